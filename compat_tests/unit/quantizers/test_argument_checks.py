"""Arguments of quantizers, LoRA and EinsumDense that cannot mean anything are refused in words."""

import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror import dtype_policies, layers, quantizers
from kerasmirror.quantizers.calibration import calibration_samples


class Letters:
    """A tokenizer."""

    def tokenize(self, text):
        return [ord(letter) for letter in text]


@pytest.mark.parametrize("block_size", [0, -1, 2.5, None])
def test_groups_need_a_positive_block_size(block_size):
    grouped = quantizers.abs_max_quantize_grouped_with_zero_point
    with pytest.raises(ValueError, match="`block_size` must be a positive integer. Received"):
        grouped(np.ones((4, 3), "float32"), block_size)
    with pytest.raises(ValueError, match=r"`inputs.shape` must be \(rows, columns\)"):
        grouped(np.ones((2, 4, 3), "float32"), 2)


def test_nibbles_are_packed_on_an_axis_that_is_there():
    x = np.arange(-3, 3, dtype="int8").reshape(2, 3)
    for axis in (0, 1, -1, -2):
        packed, _, length = quantizers.pack_int4(x, axis=axis)
        np.testing.assert_array_equal(quantizers.unpack_int4(packed, length, axis=axis), x)
    for axis in (2, -3):
        with pytest.raises(ValueError, match=rf"pack_int4: `axis` must be .* axis={axis}"):
            quantizers.pack_int4(x, axis=axis)
        with pytest.raises(ValueError, match=rf"unpack_int4: `axis` must be .* axis={axis}"):
            quantizers.unpack_int4(x, 3, axis=axis)
    for length in (5, -1):
        with pytest.raises(ValueError, match=f"`orig_len` must be .* orig_len={length}"):
            quantizers.unpack_int4(x, length)


@pytest.mark.parametrize("block_size", ["a", 2.5, True, 0, -2])
def test_int4_config_checks_its_block_size(block_size):
    with pytest.raises(ValueError, match="block_size must be None, -1, or a positive integer"):
        quantizers.Int4QuantizationConfig(block_size=block_size)


def test_data_without_tokens_cannot_calibrate():
    config = quantizers.GPTQConfig(["", ""], Letters(), num_samples=2, sequence_length=4)
    with pytest.raises(ValueError, match="owner: `dataset` must have items with tokens"):
        calibration_samples(config, "owner")


def test_modes_and_filters_of_other_types_are_refused():
    with pytest.raises(ValueError, match="Int4DTypePolicy: Invalid mode.* Received: mode=None"):
        dtype_policies.Int4DTypePolicy(None)
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    with pytest.raises(ValueError, match=r"The `filters` argument must be .* filters=\[3\]"):
        model.quantize("int8", filters=[3])


@pytest.mark.parametrize("rank", [0, -1, 2.5, "a", None])
def test_lora_needs_a_positive_rank(rank):
    layer = layers.Dense(3)
    layer.build((2, 4))
    with pytest.raises(ValueError, match="Dense.enable_lora: `rank` must be a positive integer"):
        layer.enable_lora(rank)
    assert not layer.lora_enabled


def test_a_layer_that_could_not_be_adapted_is_as_before():
    layer = layers.Dense(3)
    layer.build((2, 4))
    with pytest.raises(ValueError, match="identifier='no_initializer'"):
        layer.enable_lora(2, b_initializer="no_initializer")
    assert len(layer.weights) == 2
    assert layer.kernel.trainable
    with pytest.raises(ValueError, match="all variables and sublayers must be created"):
        layer.other = keras.Variable(1.0)


def test_bias_axes_name_at_least_one_axis():
    layer = layers.EinsumDense("abc,cd->abd", (None, 3), bias_axes="")
    with pytest.raises(ValueError, match="`bias_axes` must name axes of the output 'abd'"):
        layer(np.ones((2, 5, 4), "float32"))


def test_a_map_of_policies_takes_names_and_paths_of_any_kind():
    policies = dtype_policies.DTypePolicyMap("float32", {"dense": "mixed_bfloat16"})
    layer = layers.Dense(3, dtype=policies, name="dense")
    layer.build((2, 4))
    assert layer(np.ones((2, 4), "float32")).dtype == "bfloat16"
    again = dtype_policies.DTypePolicyMap.from_config(policies.get_config())
    assert again["dense"].name == "mixed_bfloat16"
    policies["a (b"] = "bfloat16"  # no regular expression: this path alone
    assert policies["a (b"].name == "bfloat16"
    assert policies["other"].name == "float32"
    for key in (3, None):
        with pytest.raises(ValueError, match=f"`key` must be a path .* Received: key={key}"):
            policies[key] = "float32"
    with pytest.raises(ValueError, match="Cannot interpret the assigned value"):
        dtype_policies.DTypePolicyMap(policy_map={"dense": "no_policy"})
