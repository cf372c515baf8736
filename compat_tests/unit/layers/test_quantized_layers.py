"""Quantized layers: exact products, gradients, states, files; what does not go."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from cases.mistakes import Mistake, other_types, place, raised_by
from kerasmirror.dtype_policies import DTypePolicyMap

import kerasmirror
from kerasmirror import layers, ops, quantizers
from kerasmirror.autodiff import GradientTape

INT8, INT4 = quantizers.Int8QuantizationConfig, quantizers.Int4QuantizationConfig


def built(layer, shape, rng):
    layer.build(shape)
    layer.set_weights([rng.normal(size=w.shape).astype("float32") for w in layer.weights])
    return layer


@pytest.mark.parametrize("terms", [5, 1023, 1024, 3000])
@pytest.mark.parametrize("kind", ["dense", "affine einsum", "turned einsum"])
def test_int8_sums_are_exact_however_long(kind, terms, rng):
    make = {
        "dense": lambda: layers.Dense(3),
        "affine einsum": lambda: layers.EinsumDense("ab,bc->ac", (3,)),
        "turned einsum": lambda: layers.EinsumDense("ab,cb->ac", (3,)),
    }[kind]
    layer = make()
    layer.build((None, terms))
    layer.quantize("int8")
    q = rng.integers(-127, 128, layer._kernel.shape).astype("int8")
    layer._kernel.assign(q)
    x = rng.integers(-127, 128, (4, terms))
    matrix = q.T if kind == "turned einsum" else q
    expected = x.astype("int64") @ matrix.astype("int64")
    actual = layer._whole_product(x.astype("int8"), q).data
    np.testing.assert_array_equal(actual.astype("float32"), expected.astype("float32"))


def test_int8_is_near_the_layer_before_for_equations_with_an_ellipsis(rng):
    for equation, shape, output in (
        ("...x,xy->...y", (2, 3, 4, 5), 7),
        ("ab...,bc->ac...", (2, 5, 3), (6,)),
    ):
        for mode in ("int8", "int4", "float8"):
            layer = built(layers.EinsumDense(equation, output), shape, rng)
            x = rng.normal(size=shape).astype("float32")
            before = np.asarray(layer(x))
            layer.quantize(mode)
            after = np.asarray(layer(x))
            assert after.shape == before.shape
            bound = {"int8": 0.05, "int4": 0.8, "float8": 0.5}[mode]
            assert 0 < np.abs(after - before).max() < bound


@pytest.mark.parametrize("mode", ["int8", "int4"])
def test_the_gradient_of_the_inputs_is_that_of_the_float_kernel(mode, rng):
    layer = built(layers.Dense(4, use_bias=False), (None, 6), rng)
    config = None
    if mode == "int4":
        config = INT4(activation_quantizer=quantizers.AbsMaxQuantizer(), block_size=None)
    layer.quantize(mode, config=config)
    x = ops.convert_to_tensor(rng.normal(size=(3, 6)).astype("float32"))
    dy = rng.normal(size=(3, 4)).astype("float32")
    with GradientTape() as tape:
        tape.watch([x])
        y = layer(x)
    gradient = tape.gradient([y], [x], output_gradients=[ops.convert_to_tensor(dy)])[0]
    np.testing.assert_allclose(gradient, dy @ layer._float_weight().T, rtol=1e-5, atol=1e-6)


def test_a_quantizer_of_ones_own_is_used(rng):
    class Halves(quantizers.Quantizer):
        calls = 0

        def __call__(self, x, axis=None, to_numpy=False):
            Halves.calls += 1
            axis = 0 if axis is None else axis  # of weights, a quantizer knows the axis itself
            scale = ops.full_like(ops.max(x, axis=axis, keepdims=True), 2.0)
            return ops.cast(ops.round(ops.multiply(x, scale)), "int8"), scale

    layer = built(layers.Dense(2, use_bias=False), (None, 3), rng)
    kernel = layer.kernel.numpy()
    layer.quantize(config=INT8(Halves(), Halves()))
    x = rng.normal(size=(4, 3)).astype("float32")
    expected = np.round(2 * x) @ np.round(2 * kernel) / 4
    assert Halves.calls == 1
    np.testing.assert_allclose(layer(x), expected, rtol=1e-6)
    assert Halves.calls == 2


def test_int4_takes_half_a_byte_a_weight_and_int8_one(rng):
    for mode, size in (("int8", 64 * 32), ("int4", 32 * 32)):
        layer = built(layers.Dense(32), (None, 64), rng)
        layer.quantize(mode)
        assert layer._kernel.data.nbytes == size
        assert not layer._kernel.trainable and len(layer.trainable_weights) == 1


def test_a_layer_built_as_quantized_takes_the_weights_of_one_that_became_it(rng):
    for mode in ("int8", "int4/4", "int4/-1", "float8"):
        first = built(layers.Dense(5, activation="relu"), (None, 8), rng)
        first.dtype_policy = f"{mode}_from_float32"
        second = layers.Dense.from_config(first.get_config())
        second.build((None, 8))
        store = {}
        first.save_own_variables(store)
        second.load_own_variables(store)
        x = rng.normal(size=(3, 8)).astype("float32")
        np.testing.assert_array_equal(first(x), second(x))
        assert second.dtype_policy == first.dtype_policy


def test_copies_and_pickles_of_quantized_layers_give_the_same(rng):
    for mode in ("int8", "int4", "float8"):
        layer = built(layers.Dense(5), (None, 8), rng)
        layer.quantize(mode)
        x = rng.normal(size=(3, 8)).astype("float32")
        expected = np.asarray(layer(x))
        twin = copy.deepcopy(layer)
        np.testing.assert_array_equal(twin(x), expected)
        again = pickle.loads(pickle.dumps(layer))
        np.testing.assert_array_equal(again(x), expected)


def test_a_stateless_call_of_a_quantized_layer_takes_the_given_variables(rng):
    for mode in ("int8", "int4"):
        layer = built(layers.Dense(5), (None, 8), rng)
        layer.quantize(mode)
        x = ops.convert_to_tensor(rng.normal(size=(3, 8)).astype("float32"))
        given = [v.value for v in layer.trainable_variables]
        fixed = [v.value for v in layer.non_trainable_variables]
        outputs, _ = layer.stateless_call(given, fixed, x)
        np.testing.assert_array_equal(outputs, layer(x))
        no_kernel = [ops.zeros_like(fixed[0]), *fixed[1:]]
        if mode == "int8":  # the bias is what is left
            outputs, _ = layer.stateless_call(given, no_kernel, x)
            np.testing.assert_array_equal(outputs, np.tile(layer.bias.numpy(), (3, 1)))


def test_a_policy_that_cannot_be_taken_leaves_the_old_one():
    layer = layers.Dense(3)
    layer.build((2, 4))
    with pytest.raises(ValueError, match="Implicitly enabling AWQ quantization"):
        layer.dtype_policy = "awq/4/-1_from_float32"
    assert layer.dtype_policy.name == "float32" and layer.quantization_mode is None
    assert layer(np.ones((2, 4), "float32")).shape == (2, 3)


def test_layers_take_their_policy_from_a_map_by_their_path(rng):
    policies = DTypePolicyMap("float32", {})
    policies["outer/a"] = "int8_from_float32"
    policies["outer/b"] = "mixed_bfloat16"

    class Outer(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.a = layers.Dense(4, dtype=self.dtype_policy, name="a")
            self.b = layers.Dense(4, dtype=self.dtype_policy, name="b")
            self.c = layers.Dense(4, dtype=self.dtype_policy, name="c")

        def call(self, x):
            return self.c(self.b(self.a(x)))

    outer = Outer(dtype=policies, name="outer")
    y = outer(rng.normal(size=(2, 3)).astype("float32"))
    assert y.dtype == "float32"
    assert [x.quantization_mode for x in (outer.a, outer.b, outer.c)] == ["int8", None, None]
    assert [x.compute_dtype for x in (outer.a, outer.b, outer.c)] == [
        "float32",
        "bfloat16",
        "float32",
    ]
    assert outer.a._kernel.dtype == "int8"
    outer.c.quantize("int8")
    assert policies["outer/c"].name == "int8_from_float32"
    assert outer.a.dtype_policy is policies


def test_low_rank_factors_learn_on_a_quantized_kernel(rng):
    for mode in ("int8", "int4"):
        for make, shape in (
            (lambda: layers.Dense(6), (8, 5)),
            (lambda: layers.EinsumDense("abc,cde->abde", (None, 2, 3)), (4, 2, 5)),
        ):
            layer = built(make(), shape, rng)
            layer.quantize(mode)
            layer.enable_lora(2)
            model = kerasmirror.Sequential([kerasmirror.Input(shape[1:]), layer])
            model.compile("sgd", "mse")
            x = rng.normal(size=shape).astype("float32")
            y = rng.normal(size=layer(x).shape).astype("float32")
            before = model.evaluate(x, y, verbose=0)
            kernel = layer._kernel.numpy()
            model.fit(x, y, epochs=20, verbose=0)
            assert model.evaluate(x, y, verbose=0) < before
            np.testing.assert_array_equal(layer._kernel.numpy(), kernel)


def test_scores_of_a_quantized_embedding_have_what_lora_adds(rng):
    layer = layers.ReversibleEmbedding(7, 9)
    layer.build()
    layer.quantize("int8")
    layer.enable_lora(2)
    layer.lora_embeddings_b.assign(rng.normal(size=(2, 9)))
    x = rng.normal(size=(4, 9)).astype("float32")
    rows = np.asarray(layer(np.arange(7)))
    np.testing.assert_allclose(layer(x, reverse=True), x @ rows.T, rtol=0.05, atol=0.1)


def test_files_of_a_layer_that_is_not_calibrated_are_refused(rng):
    layer = built(layers.Dense(4), (None, 8), rng)
    config = quantizers.GPTQConfig(None, None, group_size=4)
    x = rng.normal(size=(3, 8)).astype("float32")
    before = np.asarray(layer(x))
    layer.quantize("gptq", config=config)
    np.testing.assert_allclose(layer(x), before, rtol=1e-6)
    with pytest.raises(ValueError, match="must be calibrated before it is saved"):
        layer.save_own_variables({})


def quantized(keras, mode, make=None):
    layer = make() if make else keras.layers.Dense(2)
    layer.build((None, 4))
    layer.quantize(mode)
    return layer


def with_policy(keras, name):
    layer = keras.layers.Dense(3)
    layer.build((2, 4))
    layer.dtype_policy = name


def subclass(keras):
    class Own(keras.layers.Dense):
        pass

    quantized(keras, "int8", lambda: Own(2))


MODES = "('int8', 'float8', 'int4', 'gptq', 'awq')"
MISTAKES = [
    Mistake(
        lambda keras: keras.layers.Dense(2).quantize("int8"),
        ValueError,
        "Dense.quantize: Cannot quantize a layer that isn't yet built. Received: layer 'dense'",
    ),
    Mistake(
        lambda keras: quantized(keras, "int8").quantize("int4"),
        ValueError,
        "Dense.quantize: Layer 'dense' is already quantized with "
        "dtype_policy='int8_from_float32'. Received: mode='int4'",
    ),
    Mistake(
        lambda keras: quantized(keras, "int7"),
        ValueError,
        f"Dense.quantize: Invalid quantization mode. Expected one of {MODES}. "
        "Received: mode='int7'",
    ),
    Mistake(
        lambda keras: quantized(keras, None),
        ValueError,
        "Dense.quantize: either `mode` or `config` must be given. Received: neither",
    ),
    Mistake(
        lambda keras: quantized(keras, "gptq"),
        ValueError,
        "Dense.quantize: For GPTQ, you must pass a `GPTQConfig` object in the `config` argument. "
        "Received: config=None",
    ),
    Mistake(
        lambda keras: quantized(
            keras, "int8", lambda: keras.layers.Dense(2, dtype="mixed_float16")
        ),
        ValueError,
        "Dense.quantize: mode='int8' doesn't work well with a layer that computes in float16; its "
        "dtype policy must be another, such as 'mixed_bfloat16'. Received: layer 'dense' with "
        "dtype_policy='mixed_float16'",
    ),
    Mistake(
        subclass,
        NotImplementedError,
        "Layer Own does not have a `quantize` method implemented.",
    ),
    Mistake(
        lambda keras: quantized(keras, "int8", keras.layers.Flatten),
        NotImplementedError,
        "Layer Flatten does not have a `quantize` method implemented.",
    ),
    Mistake(
        lambda keras: quantized(keras, "float8", lambda: keras.layers.Embedding(3, 4)),
        NotImplementedError,
        "Embedding: Invalid quantization mode. Expected one of ('int8', 'int4'). "
        "Received: quantization_mode=float8",
    ),
    Mistake(
        lambda keras: keras.layers.Dense(3).quantized_build((2, 3), "int7"),
        NotImplementedError,
        "Dense: Invalid quantization mode. Expected one of ('int8', 'int4', 'float8', 'gptq', "
        "'awq'). Received: quantization_mode=int7",
    ),
    Mistake(
        lambda keras: with_policy(keras, "gptq/4/-1_from_float32"),
        ValueError,
        "Dense: Implicitly enabling GPTQ quantization by setting `dtype_policy` is not supported, "
        "as it needs data; call `layer.quantize('gptq', config=keras.quantizers.GPTQConfig(...))`. "
        "Received: dtype_policy='gptq/4/-1_from_float32'",
    ),
    Mistake(
        lambda keras: keras.layers.Dense(3, dtype="gptq/4/-1_from_float32")(np.ones((2, 4))),
        AttributeError,
        "Dense: layer 'dense' must be calibrated or take the weights of a file before it is "
        'called. Received: <GPTQDTypePolicy "gptq/4/-1_from_float32">',
    ),
    Mistake(
        lambda keras: keras.layers.EinsumDense(
            "abc,cdef->abdef", (None, 2, 3, 4), dtype="awq/4/-1_from_float32"
        ).build((None, 5, 6)),
        ValueError,
        "EinsumDense: `kernel.shape` must be of 2 or 3 axes. Received: kernel.shape=(6, 2, 3, 4)",
    ),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=place)
def test_each_mistake_raises_its_error_with_the_whole_text(mistake):
    assert raised_by(mistake) == (mistake.error, mistake.message)


@pytest.mark.keras
def test_keras_raises_the_same_exception_types():
    keras = pytest.importorskip("keras", reason="real Keras is not installed")
    assert other_types(MISTAKES, keras) == []
