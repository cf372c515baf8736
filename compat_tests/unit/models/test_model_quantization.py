"""Model.quantize: which layers, with what data, and what comes of it."""

from __future__ import annotations

import numpy as np
import pytest
from cases.mistakes import Mistake, other_types, place, raised_by

import kerasmirror
from kerasmirror import layers, quantizers
from kerasmirror.models.quantization import calibrate_block
from kerasmirror.quantizers.calibration import calibration_samples
from kerasmirror.quantizers.gptq import Hessian, gptq_values
from kerasmirror.quantizers.zero_point import levels_of, parameters_of, spread, values_of

# Input layers, Flatten and the like are told to stay as they are.
pytestmark = pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`:UserWarning")


def two_dense():
    return kerasmirror.Sequential(
        [
            kerasmirror.Input((12,)),
            layers.Dense(16, activation="relu", name="first"),
            layers.Dense(3, name="second"),
        ]
    )


@pytest.mark.parametrize(
    "filters, expected",
    [
        (None, [True, True]),
        ("fir", [True, False]),
        (["nothing", "^second$"], [False, True]),
        (lambda layer: layer.name != "first", [False, True]),
    ],
)
def test_filters_choose_layers(filters, expected):
    model = two_dense()
    model.quantize("int8", filters=filters)
    assert [layer.quantization_mode == "int8" for layer in model.layers] == expected


def test_layers_that_cannot_be_quantized_are_named_and_stay(rng):
    model = kerasmirror.Sequential([kerasmirror.Input((4, 3)), layers.Flatten(), layers.Dense(2)])
    with pytest.warns(UserWarning, match="Layer Flatten does not have a `quantize` method"):
        model.quantize("int8")
    assert model.layers[1].quantization_mode == "int8"
    assert model.layers[0].quantization_mode is None


def test_predictions_follow_a_quantization_in_between(rng):
    model = two_dense()
    x = rng.normal(size=(64, 12)).astype("float32")
    for _ in range(4):  # the later ones are recorded programs
        before = model.predict(x, verbose=0)
    model.quantize("int4")
    for _ in range(4):
        after = model.predict(x, verbose=0)
        np.testing.assert_allclose(after, model(x), rtol=1e-6, atol=1e-6)
    assert 1e-4 < np.abs(after - before).max() < 0.5


def test_training_goes_on_with_what_is_left_to_learn(rng):
    model = two_dense()
    model.compile("adam", "mse")
    x = rng.normal(size=(64, 12)).astype("float32")
    y = rng.normal(size=(64, 3)).astype("float32")
    model.fit(x, y, epochs=2, verbose=0)
    model.quantize("int8")
    before = [weight.numpy() for weight in model.weights]
    model.fit(x, y, epochs=2, verbose=0)
    moved = {
        weight.path: not np.array_equal(weight.numpy(), old)
        for weight, old in zip(model.weights, before, strict=True)
    }
    assert [path.rsplit("/")[-1] for path, there in moved.items() if there] == ["bias", "bias"]


def test_float8_training_learns(rng):
    model = two_dense()
    model.quantize("float8")
    model.compile("adam", "mse")
    x = rng.normal(size=(64, 12)).astype("float32")
    y = x[:, :3] * 0.5
    losses = model.fit(x, y, epochs=30, verbose=0).history["loss"]
    assert losses[-1] < losses[0] / 2
    assert model.layers[0].inputs_scale.numpy() == pytest.approx(np.abs(x).max() / 448, rel=0.3)


def text_model(width=16, blocks=2, seed=0):
    """Token ids -> embedding -> blocks with a residue -> scores."""
    kerasmirror.utils.set_random_seed(seed)

    @kerasmirror.saving.register_keras_serializable("quantization")
    class Block(layers.Layer):
        def __init__(self, width, **kwargs):
            super().__init__(**kwargs)
            self.width = width
            self.project = layers.EinsumDense(
                "abc,cde->abde", (None, 2, width // 2), bias_axes="de"
            )
            self.join = layers.EinsumDense("abde,dec->abc", (None, width), bias_axes="c")
            self.inner = layers.Dense(2 * width, activation="relu")
            self.outer = layers.Dense(width)

        def call(self, x):
            x = x + self.join(self.project(x))
            return x + self.outer(self.inner(x))

    inputs = kerasmirror.Input((8,), dtype="int32")
    first = layers.Embedding(32, width)
    parts = [Block(width) for _ in range(blocks)]
    x = first(inputs)
    for part in parts:
        x = part(x)
    model = kerasmirror.Model(inputs, layers.Dense(5)(x))
    structure = {"pre_block_layers": [first], "sequential_blocks": parts}
    return model, structure


class Letters:
    """A tokenizer."""

    def tokenize(self, text):
        return np.array([ord(letter) % 32 for letter in text])


TEXTS = ["a short text that a model is calibrated on", "and another one, which is longer still"]
CONFIGS = {
    "gptq": lambda **more: quantizers.GPTQConfig(
        TEXTS, Letters(), num_samples=12, sequence_length=8, group_size=8, **more
    ),
    "awq": lambda **more: quantizers.AWQConfig(
        TEXTS, Letters(), num_samples=12, sequence_length=8, group_size=8, **more
    ),
}


@pytest.mark.parametrize("mode", CONFIGS)
def test_calibration_sees_the_blocks_inputs_and_the_outputs_stay_near(mode, capsys):
    model, structure = text_model()
    x = np.arange(32).reshape(4, 8).astype("int32")
    before = model.predict(x, verbose=0)
    config = CONFIGS[mode](quantization_layer_structure=structure)
    model.quantize(mode, config=config)
    capsys.readouterr()
    after = model.predict(x, verbose=0)
    assert 0 < np.abs(after - before).max() < 0.25 * np.abs(before).max()
    for block in structure["sequential_blocks"]:
        for layer in (block.project, block.join, block.inner, block.outer):
            assert layer.dtype_policy.name == f"{mode}/4/8_from_float32"
            assert getattr(layer, f"is_{mode}_calibrated") and layer.observer is None
            assert "_kernel" not in vars(layer)
            if mode == "awq":  # all equal where nothing was seen
                assert np.ptp(layer.awq_scales.numpy()) > 0
    # What lies outside of the blocks is no part of it.
    assert model.layers[0].quantization_mode is None
    assert model.layers[-1].quantization_mode is None


@pytest.mark.parametrize("mode", CONFIGS)
def test_a_calibrated_model_is_saved_and_loaded(mode, tmp_path, capsys):
    model, structure = text_model()
    model.quantize(mode, config=CONFIGS[mode](quantization_layer_structure=structure))
    capsys.readouterr()
    x = np.arange(32).reshape(4, 8).astype("int32")
    expected = model.predict(x, verbose=0)
    path = tmp_path / "model.weights.h5"
    model.save_weights(path)
    twin, structure = text_model(seed=1)
    for block in structure["sequential_blocks"]:
        for layer in (block.project, block.join, block.inner, block.outer):
            layer.quantize(mode, config=CONFIGS[mode]())
    twin.load_weights(path)
    np.testing.assert_allclose(twin.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-6)


def test_a_model_says_itself_what_it_is_made_of(capsys):
    class Chain(kerasmirror.Sequential):
        def get_quantization_layer_structure(self, mode=None):
            assert mode == "gptq"
            return {"pre_block_layers": self.layers[:1], "sequential_blocks": self.layers[1:]}

    model = Chain([layers.Embedding(32, 16), layers.Dense(16), layers.Dense(4)])
    model.build((None, 8))
    model.quantize("gptq", config=CONFIGS["gptq"](), filters="dense")
    capsys.readouterr()
    assert [layer.quantization_mode for layer in model.layers] == [None, "gptq", "gptq"]
    assert kerasmirror.Model.get_quantization_layer_structure(model) is None


def dependent_inputs(rng, rows=400, size=48):
    """Rows whose columns say much about one another, as a network's do."""
    return (rng.normal(size=(rows, 12)) @ rng.normal(size=(12, size))).astype("float32")


@pytest.mark.parametrize("bits, group_size, order", [(4, 16, False), (4, -1, True), (2, 16, True)])
def test_gptq_loses_less_than_rounding_and_more_than_nothing(rng, bits, group_size, order):
    x = dependent_inputs(rng)
    kernel = rng.normal(size=(48, 10)).astype("float32")
    config = quantizers.GPTQConfig(
        None, None, weight_bits=bits, group_size=group_size, activation_order=order
    )
    hessian = Hessian(48)
    for part in np.split(x, 8):
        hessian.add(part)
    np.testing.assert_allclose(hessian.matrix, 2 * x.T @ x / 400, rtol=1e-4, atol=1e-4)

    def lost(kernel_now):
        return np.square(x @ (kernel_now - kernel)).mean()

    found = gptq_values(kernel, hessian.matrix, config)
    scale, zero = (spread(found[n], found["g_idx"]) for n in ("kernel_scale", "kernel_zero"))
    by_gptq = values_of(found["quantized_kernel"], scale, zero).T
    groups = np.arange(48) // (48 if group_size == -1 else group_size)
    scale, zero, top = parameters_of(kernel.T, bits, group_size=group_size)
    scale, zero = spread(scale, groups), spread(zero, groups)
    rounded = values_of(levels_of(kernel.T, scale, zero, top), scale, zero).T
    assert 0 < lost(by_gptq) < 0.4 * lost(rounded)


@pytest.mark.parametrize("symmetric", [False, True])
def test_weights_of_one_sign_have_levels_too(symmetric):
    w = np.array(
        [[3.0, 3.5, 4.0, 3.25], [-4.0, -4.5, -3.5, -4.0], [9.0, 9.01, 9.0, 9.0]], "float32"
    )
    scale, zero, top = parameters_of(w, 4, symmetric)
    levels = levels_of(w, scale, zero, top)
    assert zero.dtype == "uint8" and levels.min() >= 0 and levels.max() <= 15
    np.testing.assert_allclose(values_of(levels, scale, zero), w, rtol=0.1)


def test_without_data_gptq_is_rounding(rng):
    kernel = rng.normal(size=(20, 4)).astype("float32")
    found = gptq_values(
        kernel, np.zeros((20, 20)), quantizers.GPTQConfig(None, None, group_size=-1)
    )
    scale, zero, top = parameters_of(kernel.T, 4)
    np.testing.assert_array_equal(
        found["quantized_kernel"], levels_of(kernel.T, scale, zero, top).astype("uint8")
    )


def test_awq_loses_less_than_rounding_where_few_inputs_are_large(rng):
    x = rng.normal(size=(200, 32)).astype("float32")
    x[:, 3] *= 40
    losses = {}
    for points in (1, 20):
        layer = layers.Dense(16)
        layer.build((None, 32))
        layer.set_weights([np.random.default_rng(1).normal(size=(32, 16)), np.zeros(16)])
        expected = np.asarray(layer(x))
        config = quantizers.AWQConfig(None, None, group_size=-1, num_grid_points=points)
        layer.quantize("awq", config=config)
        values = [kerasmirror.ops.convert_to_tensor(x)] if points > 1 else []
        calibrate_block(layer, [layer], values, config)
        losses[points] = np.square(np.asarray(layer(x)) - expected).mean()
    assert losses[20] < 0.5 * losses[1]


def test_kernels_whose_rows_are_not_the_inputs_are_rounded(rng):
    """Keras's files have an output projection's matrix in one form, whatever its equation."""
    layer = layers.EinsumDense("abc,dce->abde", (None, 2, 3))
    layer.build((None, 4, 5))
    x = rng.normal(size=(2, 4, 5)).astype("float32")
    before = np.asarray(layer(x))
    config = CONFIGS["gptq"]()
    layer.quantize("gptq", config=config)
    calibrate_block(layer, [layer], [kerasmirror.ops.convert_to_tensor(x)], config)
    np.testing.assert_allclose(layer(x), before, atol=0.2)


def test_samples_are_windows_of_the_tokens_and_always_the_same():
    config = quantizers.GPTQConfig(TEXTS, Letters(), num_samples=5, sequence_length=7)
    samples = calibration_samples(config, "here")
    np.testing.assert_array_equal(samples, calibration_samples(config, "here"))
    assert samples.shape == (5, 1, 7) and samples.dtype == "int32"
    tokens = np.concatenate([Letters().tokenize(text) for text in TEXTS])
    windows = {tuple(tokens[i : i + 7]) for i in range(len(tokens) - 6)}
    assert {tuple(sample[0]) for sample in samples} <= windows
    few = quantizers.AWQConfig([np.arange(3)], Letters(), num_samples=4, sequence_length=10)
    assert calibration_samples(few, "here").shape == (4, 1, 10)


def dense_model(keras):
    return keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)])


def unbuilt(keras):
    return keras.Sequential([keras.layers.Dense(3)])


def gptq(keras, **more):
    return keras.quantizers.GPTQConfig(**{"dataset": ["a"], "tokenizer": Letters(), **more})


def structured(keras, blocks, **more):
    structure = {"pre_block_layers": [], "sequential_blocks": blocks}
    return gptq(keras, quantization_layer_structure=structure, **more)


MISTAKES = [
    Mistake(
        lambda keras: unbuilt(keras).quantize("int8"),
        ValueError,
        "Sequential.quantize: Cannot quantize a layer that isn't yet built. Received: layer "
        "'sequential'",
    ),
    Mistake(
        lambda keras: dense_model(keras).quantize("int8", what=3),
        ValueError,
        "Sequential.quantize: Unrecognized keyword arguments. Received: {'what': 3}",
    ),
    Mistake(
        lambda keras: dense_model(keras).quantize("int8", filters=3),
        ValueError,
        "Sequential.quantize: The `filters` argument must be a regex string, a list of regex "
        "strings, or a callable. Received: filters=3",
    ),
    Mistake(
        lambda keras: dense_model(keras).quantize("int8", config={"a": 1}),
        ValueError,
        "Sequential.quantize: Argument `config` must be an instance of `QuantizationConfig`. "
        "Received: config={'a': 1}",
    ),
    Mistake(
        lambda keras: dense_model(keras).quantize(
            "int4", config=keras.quantizers.Int8QuantizationConfig()
        ),
        ValueError,
        "Sequential.quantize: Contradictory arguments, `mode` must be that of `config`. "
        "Received: mode='int4' and config.mode='int8'",
    ),
    Mistake(
        lambda keras: dense_model(keras).quantize("gptq", config=gptq(keras)),
        ValueError,
        "Sequential.quantize: For mode='gptq', a valid quantization structure must be given by "
        "`config.quantization_layer_structure` or by overriding "
        "`get_quantization_layer_structure`: {'pre_block_layers': [...], 'sequential_blocks': "
        "[...]}. Received: None",
    ),
    Mistake(
        lambda keras: dense_model(keras).quantize("gptq", config=structured(keras, [])),
        ValueError,
        "Sequential.quantize: No sequential blocks found in the quantization structure. "
        "Received: {'pre_block_layers': [], 'sequential_blocks': []}",
    ),
    Mistake(
        lambda keras: dense_model(keras).quantize(
            "gptq", config=structured(keras, [keras.layers.Dense(2)], dataset="text")
        ),
        TypeError,
        "Sequential.quantize: `dataset` must be an iterable of texts or of token ids. "
        "Received: dataset of type str",
    ),
    Mistake(
        lambda keras: dense_model(keras).quantize(
            "gptq", config=structured(keras, [keras.layers.Dense(2)], dataset=[])
        ),
        ValueError,
        "Sequential.quantize: Provided dataset is empty, `dataset` must have items.",
    ),
    Mistake(
        lambda keras: dense_model(keras).quantize(
            "gptq", config=structured(keras, [keras.layers.Dense(2)], dataset=None, tokenizer=None)
        ),
        ValueError,
        "Sequential.quantize: GPTQ quantization requires a `dataset` and a `tokenizer` in its "
        "config. Received: dataset=None, tokenizer=None",
    ),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=place)
def test_each_mistake_raises_its_error_with_the_whole_text(mistake):
    assert raised_by(mistake) == (mistake.error, mistake.message)


@pytest.mark.keras
def test_keras_raises_the_same_exception_types():
    keras = pytest.importorskip("keras", reason="real Keras is not installed")
    assert other_types(MISTAKES, keras) == []
