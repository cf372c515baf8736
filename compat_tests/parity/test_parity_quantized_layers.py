"""Quantized layers against real Keras: weights, outputs, gradients, configs, files both ways."""

import warnings

import numpy as np
import pytest
from side_by_side import real_keras

import kerasmirror

pytestmark = [
    pytest.mark.keras,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    # Layers that cannot be quantized say so, in both packages.
    pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`:UserWarning"),
]

LAYERS = {
    "dense": (lambda k: k.layers.Dense(6, activation="tanh"), (4, 9)),
    "dense of 3 axes": (lambda k: k.layers.Dense(5, use_bias=False), (2, 3, 7)),
    "dense of many inputs": (lambda k: k.layers.Dense(3), (2, 2100)),
    "query": (
        lambda k: k.layers.EinsumDense("abc,cde->abde", (None, 3, 5), bias_axes="de"),
        (2, 4, 8),
    ),
    "output": (
        lambda k: k.layers.EinsumDense("abde,dec->abc", (None, 7), bias_axes="c"),
        (2, 4, 3, 5),
    ),
    "turned": (
        lambda k: k.layers.EinsumDense("abc,dc->abd", (None, 7), activation="relu"),
        (2, 3, 5),
    ),
    "batched": (
        lambda k: k.layers.EinsumDense("abc,acd->abd", (3, 4), bias_axes="d"),
        (2, 3, 5),
    ),
}
MODES = {
    "int8": (None, "int8", None),
    "int8 weights only": (
        lambda k: k.quantizers.Int8QuantizationConfig(activation_quantizer=None),
        "int8",
        None,
    ),
    "int4": (None, "int4", None),
    "int4 by channel": (lambda k: k.quantizers.Int4QuantizationConfig(block_size=-1), "int4", None),
    "int4 of 4": (lambda k: k.quantizers.Int4QuantizationConfig(block_size=4), "int4", None),
    "int4 with inputs": (
        lambda k: k.quantizers.Int4QuantizationConfig(
            activation_quantizer=k.quantizers.AbsMaxQuantizer(axis=-1), block_size=None
        ),
        "int4",
        None,
    ),
    "float8": (None, "float8", None),
    "int8 in bfloat16": (None, "int8", "mixed_bfloat16"),
    "int4 in bfloat16": (None, "int4", "mixed_bfloat16"),
}


def pair(name, dtype=None):
    """The same layer in both packages, with the same weights, and inputs for it."""
    make, shape = LAYERS[name]
    rng = np.random.default_rng(3)
    layers = []
    for keras in (real_keras()[0], kerasmirror):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            layer = make(keras)
            if dtype is not None:
                layer = type(layer).from_config({**layer.get_config(), "dtype": dtype})
            layer.build(shape)
        layers.append(layer)
    weights = [rng.normal(size=w.shape).astype("float32") for w in layers[0].weights]
    for layer in layers:
        layer.set_weights(weights)
    return (*layers, rng.normal(size=shape).astype("float32"))


def quantized_pair(name, mode):
    config, mode, dtype = MODES[mode]
    theirs, ours, x = pair(name, dtype)
    for keras, layer in ((real_keras()[0], theirs), (kerasmirror, ours)):
        layer.quantize(mode, config=config and config(keras))
    return theirs, ours, x


def value_of(variable):
    return np.asarray(variable.numpy())


def assert_equal_variables(theirs, ours):
    assert [v.name for v in ours.weights] == [v.name for v in theirs.weights]
    for their, our in zip(theirs.weights, ours.weights, strict=True):
        assert our.dtype == their.dtype and our.trainable == their.trainable, our.name
        a, b = value_of(their), value_of(our)
        np.testing.assert_allclose(b.astype("float64"), a.astype("float64"), rtol=2e-7, atol=0)


def output_and_gradient(keras_and_tf, layer, x):
    if keras_and_tf is None:
        x = kerasmirror.ops.convert_to_tensor(x)
        with kerasmirror.autodiff.GradientTape() as tape:
            tape.watch([x])
            y = layer(x)
            total = kerasmirror.ops.sum(y * y)
        return np.asarray(y), np.asarray(tape.gradient(total, [x])[0])
    tf = keras_and_tf[1]

    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            total = tf.reduce_sum(y * y)
        return y, tape.gradient(total, x)

    if layer.quantization_mode == "float8":  # Keras's has no gradients outside of a graph
        run = tf.function(run)
    return [np.asarray(part) for part in run(tf.constant(x))]


# Every mode on one layer of each kind, the main ones on all.
CASES = [
    (name, mode)
    for name in LAYERS
    for mode in MODES
    if name in ("dense", "query") or mode in ("int8", "int4 of 4", "float8")
]


@pytest.mark.parametrize("name, mode", CASES)
def test_variables_outputs_and_gradients_are_those_of_keras(name, mode):
    theirs, ours, x = quantized_pair(name, mode)
    assert_equal_variables(theirs, ours)
    assert ours.dtype_policy.name == theirs.dtype_policy.name
    expected = output_and_gradient(real_keras(), theirs, x)
    actual = output_and_gradient(None, ours, x)
    tolerance = 3e-2 if "bfloat16" in mode else 2e-6
    for their, our in zip(expected, actual, strict=True):
        assert our.dtype == their.dtype
        their, our = their.astype("float64"), our.astype("float64")
        np.testing.assert_allclose(our, their, rtol=tolerance, atol=tolerance * np.abs(their).max())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["dense", "query", "turned"])
def test_configs_are_those_of_keras_and_make_the_layer_again(name, mode):
    theirs, ours, _ = quantized_pair(name, mode)
    kernel = {"kernel_initializer", "bias_initializer", "name"}  # seeds and counters
    mine = {k: v for k, v in ours.get_config().items() if k not in kernel}
    assert mine == {k: v for k, v in theirs.get_config().items() if k not in kernel}
    again = type(ours).from_config(ours.get_config())
    again.build(LAYERS[name][1])
    store = {}
    ours.save_own_variables(store)
    again.load_own_variables(store)
    # By name: what float8 adds comes before the kernel where `build` makes both.
    assert sorted(v.name for v in again.weights) == sorted(v.name for v in ours.weights)
    found = {v.name: value_of(v) for v in again.weights}
    for variable in ours.weights:
        np.testing.assert_array_equal(found[variable.name], value_of(variable))


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "float8"])
@pytest.mark.parametrize("make", ["Embedding", "tied", "own"])
def test_embeddings_are_those_of_keras(make, mode, rng):
    config, mode, dtype = MODES[mode]
    layers = []
    for keras in (real_keras()[0], kerasmirror):
        options = {"dtype": dtype} if dtype else {}
        if make == "Embedding":
            layer = keras.layers.Embedding(7, 9, **options)
        else:
            layer = keras.layers.ReversibleEmbedding(7, 9, tie_weights=make == "tied", **options)
        layer.build()
        layers.append(layer)
    theirs, ours = layers
    weights = [rng.normal(size=w.shape).astype("float32") for w in theirs.weights]
    for keras, layer in zip((real_keras()[0], kerasmirror), layers, strict=True):
        layer.set_weights(weights)
        layer.quantize(mode, config=config and config(keras))
    assert_equal_variables(theirs, ours)
    numbers, vectors = rng.integers(0, 7, (2, 3)), rng.normal(size=(4, 9)).astype("float32")
    tolerance = 3e-2 if dtype else 2e-6

    def compare(their, our):
        their, our = np.asarray(their), np.asarray(our)
        assert our.dtype == their.dtype
        their, our = their.astype("float64"), our.astype("float64")
        np.testing.assert_allclose(our, their, rtol=tolerance, atol=tolerance * np.abs(their).max())

    compare(theirs(numbers), ours(numbers))
    if make != "Embedding":
        vectors = vectors.astype("float32")
        compare(theirs(vectors, reverse=True), ours(vectors, reverse=True))


def model_of(keras):
    return keras.Sequential(
        [
            keras.Input((6,), dtype="int32"),
            keras.layers.Embedding(11, 8),
            keras.layers.EinsumDense("abc,cd->abd", (6, 12), bias_axes="d", activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(5),
        ]
    )


def quantized_model(keras, mode):
    model = model_of(keras)
    rng = np.random.default_rng(8)
    model.set_weights([rng.normal(size=w.shape).astype("float32") for w in model.weights])
    config, mode, _ = MODES[mode]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.quantize(mode, config=config and config(keras))
    return model


FILES = ["int8", "int4", "int4 by channel"]


@pytest.mark.parametrize("direction", ["to Keras", "from Keras"])
@pytest.mark.parametrize("ending", [".weights.h5", ".keras"])
@pytest.mark.parametrize("mode", FILES)
def test_files_of_quantized_models_go_both_ways(tmp_path, mode, ending, direction):
    keras = real_keras()[0]
    writer, reader = (keras, kerasmirror) if direction == "from Keras" else (kerasmirror, keras)
    written = quantized_model(writer, mode)
    path = str(tmp_path / f"model{ending}")
    if ending == ".keras":
        written.save(path)
        read = reader.saving.load_model(path)
    else:
        written.save_weights(path)
        read = quantized_model(reader, mode)
        for weight in read.weights:
            weight.assign(np.zeros(weight.shape, value_of(weight).dtype))
        read.load_weights(path)
    theirs, ours = (written, read) if writer is keras else (read, written)
    assert_equal_variables(theirs, ours)
    x = np.random.default_rng(2).integers(0, 11, (4, 6)).astype("int32")
    expected = theirs.predict(x, verbose=0)
    np.testing.assert_allclose(ours.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mode", ["gptq", "awq"])
def test_keras_reads_files_of_calibrated_layers(tmp_path, mode, rng):
    """One way only: Keras leaves the zero points out and then does not read its own files."""
    writer, reader = kerasmirror, real_keras()[0]
    policy = f"{mode}/4/4_from_float32"

    def made(k):
        layers = [
            k.layers.EinsumDense("abc,cde->abde", (4, 2, 3), bias_axes="e", dtype=policy),
            k.layers.Flatten(),
            k.layers.Dense(5, dtype=policy),
        ]
        return k.Sequential([k.Input((4, 8)), *layers])

    written, read = made(writer), made(reader)
    for layer in (written.layers[0], written.layers[2]):
        setattr(layer, f"is_{mode}_calibrated", True)
    for weight in written.weights:
        whole = value_of(weight).dtype == "uint8"
        value = rng.integers(0, 16, weight.shape) if whole else rng.uniform(0.5, 1, weight.shape)
        weight.assign(value.astype(value_of(weight).dtype))
    for model in (written, read):
        for layer in (model.layers[0], model.layers[2]):
            layer.g_idx.assign((np.arange(layer.g_idx.shape[0]) // 4).astype("float32"))
    path = str(tmp_path / "model.weights.h5")
    written.save_weights(path)
    read.load_weights(path)
    assert_equal_variables(written, read)
    x = rng.normal(size=(2, 4, 8)).astype("float32")
    expected = written.predict(x, verbose=0)
    np.testing.assert_allclose(read.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-4)


def in_graph(tf, layer, x, dy):
    @tf.function
    def run(x, dy):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(x, training=True) * dy)
        return tape.gradient(loss, [v.value for v in layer.trainable_variables])

    return run(tf.constant(x), tf.constant(dy))


def test_float8_training_moves_all_states_as_keras_does(rng):
    theirs, ours, _ = quantized_pair("dense", "float8")
    tf = real_keras()[1]
    expected, actual = [], []
    batches = [
        (rng.normal(size=(4, 9)).astype("float32"), rng.normal(size=(4, 6)).astype("float32"))
        for _ in range(4)
    ]
    for keras, layer, found in ((real_keras()[0], theirs, expected), (kerasmirror, ours, actual)):
        optimizer = keras.optimizers.AdamW(learning_rate=0.1)
        optimizer.build(layer.trainable_variables)
        for x, dy in batches:
            if keras is kerasmirror:
                with keras.autodiff.GradientTape() as tape:
                    loss = keras.ops.sum(layer(x, training=True) * dy)
                gradients = tape.gradient(loss, layer.trainable_variables)
            else:
                gradients = in_graph(tf, layer, x, dy)
            optimizer.apply(gradients, layer.trainable_variables)
            found.append([value_of(v) for v in layer.variables])
    for their_step, our_step in zip(expected, actual, strict=True):
        for their, our in zip(their_step, our_step, strict=True):
            np.testing.assert_allclose(our, their, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("mode", ["int8", "int4", "int4 of 4"])
def test_low_rank_factors_go_into_quantized_files_as_in_keras(mode, rng):
    theirs, ours, x = quantized_pair("dense", mode)
    stores = []
    factors = [rng.normal(size=shape).astype("float32") for shape in ((9, 2), (2, 6))]
    for layer in (theirs, ours):
        layer.enable_lora(2)
        layer.lora_kernel_a.assign(factors[0])
        layer.lora_kernel_b.assign(factors[1])
        store = {}
        layer.save_own_variables(store)
        stores.append({key: np.asarray(value) for key, value in store.items()})
    assert stores[0].keys() == stores[1].keys()
    for key, their in stores[0].items():
        our = stores[1][key]
        assert our.dtype == their.dtype
        np.testing.assert_allclose(our.astype(float), their.astype(float), rtol=1e-5, atol=1e-6)
    expected = output_and_gradient(real_keras(), theirs, x)
    actual = output_and_gradient(None, ours, x)
    for their, our in zip(expected, actual, strict=True):
        np.testing.assert_allclose(our, their, rtol=1e-5, atol=1e-5)
