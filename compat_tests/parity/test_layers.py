"""Every layer against real Keras on TensorFlow: outputs, gradients, shapes, weights, config."""

import numpy as np
import pytest
from cases.layers import CASES, CHANNELS_FIRST

import kerasmirror
from kerasmirror.parity.report import relative_error

keras = pytest.importorskip("keras", reason="real Keras is not installed")
tensorflow = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
pytestmark = pytest.mark.keras


def data_of(case):
    rng = np.random.default_rng(len(case.id))
    if case.integers:
        return rng.integers(0, 256, case.shape).astype("uint8")
    return rng.normal(size=case.shape).astype("float32")


def built(package, case):
    """The case's layer with the same random weights in both packages."""
    layer = case.make(package)
    layer.build(case.shape)
    rng = np.random.default_rng(7)
    # Positive: a moving variance must be.
    layer.set_weights([rng.uniform(0.1, 1.0, w.shape).astype(w.dtype) for w in layer.get_weights()])
    return layer


def run_mirror(case, x, training):
    layer = built(kerasmirror, case)
    inputs = kerasmirror.ops.convert_to_tensor(x)
    options = {"training": True} if training else {}
    with kerasmirror.autodiff.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs, **options)
    cotangent = np.random.default_rng(1).normal(size=outputs.shape).astype("float32")
    sources = [] if case.integers else [inputs]
    gradients = tape.gradient(outputs, sources + layer.trainable_weights, cotangent)
    return outputs, gradients, layer


def run_keras(case, x, training):
    layer = built(keras, case)
    inputs = tensorflow.constant(x)
    options = {"training": True} if training else {}
    with tensorflow.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs, **options)
    cotangent = np.random.default_rng(1).normal(size=outputs.shape).astype("float32")
    sources = [] if case.integers else [inputs]
    weights = [w.value for w in layer.trainable_weights]
    gradients = tape.gradient(outputs, sources + weights, tensorflow.constant(cotangent))
    # The gradient of an embedding has the touched rows only.
    gradients = [None if g is None else tensorflow.convert_to_tensor(g) for g in gradients]
    return outputs, gradients, layer


MODES = [(case, training) for case in CASES for training in case.training]
MODE_IDS = [f"{case.id}{'-training' if training else ''}" for case, training in MODES]


@pytest.mark.parametrize(("case", "training"), MODES, ids=MODE_IDS)
def test_outputs_gradients_and_state_match_keras(case, training):
    x = data_of(case)
    expected, expected_gradients, theirs = run_keras(case, x, training)
    actual, gradients, ours = run_mirror(case, x, training)
    assert actual.dtype == keras.backend.standardize_dtype(expected.dtype)
    assert relative_error(actual, expected) <= case.tolerance
    for position, (theirs_gradient, gradient) in enumerate(
        zip(expected_gradients, gradients, strict=True)
    ):
        assert (gradient is None) == (theirs_gradient is None), position
        if gradient is not None:
            error = relative_error(gradient, theirs_gradient)
            assert error <= case.tolerance, (position, error)
    for left, right in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        assert relative_error(left, right) <= case.tolerance


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_weights_shapes_and_config_match_keras(case):
    theirs, ours = built(keras, case), built(kerasmirror, case)
    assert [w.name for w in ours.weights] == [w.name for w in theirs.weights]
    assert [w.shape for w in ours.weights] == [tuple(w.shape) for w in theirs.weights]
    assert [w.dtype for w in ours.weights] == [w.dtype for w in theirs.weights]
    assert ours.count_params() == theirs.count_params()
    assert ours.compute_output_shape(case.shape) == tuple(theirs.compute_output_shape(case.shape))
    open_batch = (None, *case.shape[1:])
    placeholder = ours(kerasmirror.KerasTensor(open_batch, "uint8" if case.integers else "float32"))
    real = theirs(keras.KerasTensor(open_batch, "uint8" if case.integers else "float32"))
    assert (placeholder.shape, placeholder.dtype) == (real.shape, real.dtype)
    if "sin" not in case.id:  # Keras names the module of its own function
        config, expected = ours.get_config(), theirs.get_config()
        expected["name"] = config["name"]
        assert _plain(config) == _plain(expected)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_layer_is_rebuilt_from_its_config(case):
    layer = built(kerasmirror, case)
    twin = type(layer).from_config(layer.get_config())
    twin.build(case.shape)
    twin.set_weights(layer.get_weights())
    x = data_of(case)
    np.testing.assert_array_equal(np.asarray(twin(x)), np.asarray(layer(x)))
    assert twin.get_config() == layer.get_config()


def _plain(config):
    """Tuples as lists, as JSON has them; random seeds out, which differ from layer to layer."""
    if isinstance(config, dict):
        return {key: _plain(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return [_plain(value) for value in config]
    return config


@pytest.mark.parametrize("case", CHANNELS_FIRST, ids=lambda case: case.id)
def test_channels_first_equals_channels_last_transposed(case):
    rank = len(case.shape) - 2
    to_first = (0, rank + 1, *range(1, rank + 1))
    x = data_of(case)
    last = built(kerasmirror, case)
    config = {**last.get_config(), "data_format": "channels_first"}
    first = type(last).from_config(config)
    first.build(tuple(case.shape[i] for i in to_first))
    first.set_weights(last.get_weights())
    results = []
    for layer, inputs in ((last, x), (first, np.ascontiguousarray(x.transpose(to_first)))):
        inputs = kerasmirror.ops.convert_to_tensor(inputs)
        with kerasmirror.autodiff.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs)
            total = kerasmirror.ops.sum(kerasmirror.ops.square(outputs))
        results.append((outputs, tape.gradient(total, [inputs, *layer.trainable_weights])))
        assert layer.compute_output_shape(inputs.shape) == outputs.shape
    (y, (dx, *dw)), (y_first, (dx_first, *dw_first)) = results
    y_last = np.asarray(y).transpose(to_first) if y.ndim == rank + 2 else np.asarray(y)
    assert relative_error(y_first, y_last) <= 1e-5
    assert relative_error(dx_first, np.asarray(dx).transpose(to_first)) <= 1e-5
    for left, right in zip(dw_first, dw, strict=True):
        assert relative_error(left, right) <= 1e-5


def test_an_adapted_normalization_matches_keras():
    x = np.random.default_rng(0).normal(3.0, 2.0, (500, 4, 3)).astype("float32")
    for axis in (-1, (1, 2), None):
        ours, theirs = (p.layers.Normalization(axis=axis) for p in (kerasmirror, keras))
        ours.adapt(x)
        theirs.adapt(x)
        assert relative_error(ours(x), theirs(x)) <= 1e-5
        by_batches = kerasmirror.layers.Normalization(axis=axis)
        by_batches.adapt([x[:100], x[100:250], x[250:]])
        assert relative_error(by_batches(x), theirs(x)) <= 1e-5
