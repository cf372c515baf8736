"""Quantizers and quantized dtype policies, against real Keras."""

import json

import numpy as np
import pytest
from side_by_side import real_keras, run_both

import kerasmirror
from kerasmirror.quantizers.float8 import rounded_array

pytestmark = [
    pytest.mark.keras,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


def arrays_of(parts):
    return [np.asarray(part) for part in parts]


@pytest.fixture
def x(rng):
    return rng.normal(size=(13, 7)).astype("float32")


@pytest.mark.parametrize("to_numpy", [False, True])
@pytest.mark.parametrize("axis", [0, -1, (0, 1)])
@pytest.mark.parametrize("value_range", [(-127, 127), (-8, 7)])
def test_abs_max_quantize_gives_equal_values_and_scales(x, axis, value_range, to_numpy):
    def run(keras):
        tensor = keras.ops.convert_to_tensor(x)
        return keras.quantizers.abs_max_quantize(
            tensor, axis=axis, value_range=value_range, to_numpy=to_numpy
        )

    expected, actual = arrays_of(run(real_keras()[0])), arrays_of(run(kerasmirror))
    for theirs, ours in zip(expected, actual, strict=True):
        assert theirs.dtype == ours.dtype
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("to_numpy", [False, True])
@pytest.mark.parametrize("block_size", [4, 5, 13, 32])
def test_grouped_quantization_gives_equal_values(x, block_size, to_numpy):
    def run(keras):
        tensor = keras.ops.convert_to_tensor(x)
        return keras.quantizers.abs_max_quantize_grouped_with_zero_point(
            tensor, block_size=block_size, to_numpy=to_numpy
        )

    expected, actual = arrays_of(run(real_keras()[0])), arrays_of(run(kerasmirror))
    for theirs, ours in zip(expected, actual, strict=True):
        assert theirs.dtype == ours.dtype and theirs.shape == ours.shape
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=0)


def test_a_group_of_equal_values_is_quantized_as_in_keras():
    x = np.full((6, 2), 0.5, "float32")
    for to_numpy in (False, True):

        def run(keras, to_numpy=to_numpy):
            tensor = keras.ops.convert_to_tensor(x)
            return keras.quantizers.abs_max_quantize_grouped_with_zero_point(
                tensor, block_size=3, to_numpy=to_numpy
            )

        for theirs, ours in zip(run(real_keras()[0]), run(kerasmirror), strict=True):
            np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("shape", [(5, 4), (4, 3, 6), (1, 7)])
@pytest.mark.parametrize("dtype, least", [("int8", -8), ("uint8", 0)])
def test_int4_is_packed_into_the_same_bytes(rng, shape, axis, dtype, least):
    values = rng.integers(least, least + 16, shape).astype(dtype)

    def run(keras):
        packed, packed_shape, length = keras.quantizers.pack_int4(
            keras.ops.convert_to_tensor(values), axis=axis, dtype=dtype
        )
        back = keras.quantizers.unpack_int4(packed, length, axis=axis, dtype=dtype)
        return np.asarray(packed), tuple(packed_shape), length, np.asarray(back)

    expected, actual = run(real_keras()[0]), run(kerasmirror)
    assert actual[1:3] == expected[1:3]
    np.testing.assert_array_equal(actual[0], expected[0])
    np.testing.assert_array_equal(actual[3], values)
    np.testing.assert_array_equal(expected[3], values)


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float8_e5m2"])
@pytest.mark.parametrize("scale", [0.01, 1.0, 7.5])
def test_float8_rounding_is_the_same(rng, dtype, scale):
    x = (rng.normal(size=400) * 10.0 ** rng.integers(-6, 6, 400)).astype("float32")

    def run(keras):
        tensor = keras.ops.convert_to_tensor(x)
        return keras.quantizers.quantize_and_dequantize(tensor, scale, dtype, "float32")

    np.testing.assert_array_equal(np.asarray(run(kerasmirror)), np.asarray(run(real_keras()[0])))


@pytest.mark.parametrize("amax", [3.0, 0.0, np.inf, np.nan, 1e-30])
def test_float8_scales_are_the_same(amax):
    def run(keras):
        scale = keras.ops.convert_to_tensor(np.float32(4.0))
        amax_tensor = keras.ops.convert_to_tensor(np.float32(amax))
        return np.asarray(keras.quantizers.compute_float8_scale(amax_tensor, scale, 448.0, 1))

    np.testing.assert_array_equal(run(kerasmirror), run(real_keras()[0]))


def test_the_amax_history_moves_on_as_in_keras(rng):
    history, x = rng.uniform(size=9).astype("float32"), rng.normal(size=(3, 2)).astype("float32")
    run_both(lambda keras, x, h: keras.quantizers.compute_float8_amax_history(x, h), x, history)


RANGES = [(-3.0, 3.0), (0.0, 6.0), (0.1, 6.1), (-6.1, -0.1), (-0.1, 127.4), (-1.0, 1e-3)]


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("num_bits", [2, 4, 8, 16])
@pytest.mark.parametrize("low, high", RANGES)
def test_fake_quant_and_its_gradients_are_those_of_keras(rng, low, high, num_bits, narrow):
    # Half of the values at and around the ends, where gradients change sides.
    x = np.concatenate([rng.uniform(low - 1, high + 1, 40), [low, high, 0.0]]).astype("float32")

    def run(keras, x, low, high):
        return keras.quantizers.fake_quant_with_min_max_vars(
            x, low, high, num_bits=num_bits, narrow_range=narrow
        )

    run_both(run, x, np.array([low], "float32"), np.array([high], "float32"))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_fake_quant_of_channels_and_its_gradients_are_those_of_keras(rng, axis):
    x = rng.normal(size=(4, 4, 4), scale=2.0).astype("float32")
    low = np.array([-1.0, -0.5, 0.0, -4.0], "float32")
    high = np.array([1.0, 2.5, 1.0, -0.5], "float32")
    run_both(
        lambda keras, x, low, high: keras.quantizers.fake_quant_with_min_max_vars(
            x, low, high, num_bits=5, axis=axis
        ),
        x,
        low,
        high,
    )


NAMES = [
    "int8_from_float32",
    "int4_from_mixed_bfloat16",
    "int4/64_from_float32",
    "int4/-1_from_bfloat16",
    "float8_from_mixed_bfloat16",
    "gptq/4/128_from_float32",
    "gptq/2/-1_from_mixed_bfloat16",
    "awq/4/32_from_float32",
]


@pytest.mark.parametrize("name", NAMES)
def test_policies_have_keras_names_dtypes_and_configs(name):
    def facts(keras):
        policy = keras.dtype_policies.get(name)
        again = keras.dtype_policies.deserialize(keras.dtype_policies.serialize(policy))
        assert again == policy and again.get_config() == policy.get_config()
        return {
            "name": policy.name,
            "repr": repr(policy),
            "dtypes": (policy.compute_dtype, policy.variable_dtype),
            "mode": policy.quantization_mode,
            "config": keras.dtype_policies.serialize(policy),
        }

    assert facts(kerasmirror) == facts(real_keras()[0])


def test_a_map_is_written_as_keras_writes_it_and_reads_what_keras_wrote():
    def made(keras, default):
        policies = keras.dtype_policies.DTypePolicyMap(default)
        policies["a/dense"] = keras.dtype_policies.get("int8_from_float32")
        policies["b/.*"] = "mixed_bfloat16"
        policies["c"] = "int4/32_from_float32"
        return policies

    theirs = real_keras()[0]
    for default in ("mixed_bfloat16", None):
        text = json.dumps(theirs.dtype_policies.serialize(made(theirs, default)))
        assert json.dumps(kerasmirror.dtype_policies.serialize(made(kerasmirror, default))) == text
        read = kerasmirror.dtype_policies.deserialize(json.loads(text))
        assert read["b/x"].name == ("mixed_bfloat16" if default else "float32")
        assert read["c"].block_size == 32


CONFIGS = {
    "int8": lambda keras: keras.quantizers.Int8QuantizationConfig(),
    "int8 own": lambda keras: keras.quantizers.Int8QuantizationConfig(
        keras.quantizers.AbsMaxQuantizer(axis=0, value_range=(-100, 100)), None
    ),
    "int4": lambda keras: keras.quantizers.Int4QuantizationConfig(),
    "int4 own": lambda keras: keras.quantizers.Int4QuantizationConfig(
        keras.quantizers.AbsMaxQuantizer(axis=0, value_range=(-8, 7)), block_size=None
    ),
    "float8": lambda keras: keras.quantizers.Float8QuantizationConfig(),
    "gptq": lambda keras: keras.quantizers.GPTQConfig(["text"], len, symmetric=True, group_size=8),
    "awq": lambda keras: keras.quantizers.AWQConfig(["text"], len, num_grid_points=5),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_configs_are_written_as_keras_writes_them_and_read_back(name):
    theirs = real_keras()[0]
    written = theirs.quantizers.serialize(CONFIGS[name](theirs))
    assert kerasmirror.quantizers.serialize(CONFIGS[name](kerasmirror)) == written
    read = kerasmirror.quantizers.deserialize(json.loads(json.dumps(written)))
    assert type(read).__name__ == written["class_name"]
    again = json.loads(json.dumps(kerasmirror.quantizers.serialize(read)))
    assert again == json.loads(json.dumps(written))


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float8_e5m2"])
def test_the_layers_rounding_to_float8_is_the_conversion(rng, dtype):
    x = (rng.normal(size=20_000) * 10.0 ** rng.integers(-8, 6, 20_000)).astype("float32")
    # Halfway cases, subnormal numbers and the ends.
    steps = np.arange(-600, 600, dtype="float32")
    x = np.concatenate([x, steps / 16, steps * 2**-11, steps * 2**-18, [0, 448, 57344, 1e38]])
    x = x.astype("float32")
    for scale in np.float32([1.0, 0.37]):
        expected = kerasmirror.quantizers.quantize_and_dequantize(x, scale, dtype, "float32")
        np.testing.assert_array_equal(rounded_array(x, scale, dtype), np.asarray(expected))
