"""Graphs of layers against real Keras: weights, config, training, files, summary, merging."""

import json

import numpy as np
import pytest
from cases.functional import CASES
from cases.merging import CASES as MERGING

import kerasmirror
from kerasmirror.core import tree
from kerasmirror.parity.report import relative_error

keras = pytest.importorskip("keras", reason="real Keras is not installed")
tensorflow = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
pytestmark = pytest.mark.keras


def made(package, case):
    package.utils.clear_session()
    package.utils.set_random_seed(11)
    return case.make(package)


def is_shape(part):
    return isinstance(part, tuple)


def data_of(shapes, count=24, seed=0):
    rng = np.random.default_rng(seed)

    def build(part):
        if is_shape(part):
            return rng.normal(size=(count, *part)).astype("float32")
        if isinstance(part, dict):
            return {key: build(value) for key, value in part.items()}
        return [build(value) for value in part]

    return build(shapes)


def plain(config):
    return json.loads(json.dumps(config))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_structure_config_and_first_weights_are_those_of_keras(case):
    theirs, ours = made(keras, case), made(kerasmirror, case)
    assert ours.name == theirs.name
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    assert [w.path for w in ours.weights] == [w.path for w in theirs.weights]
    assert ours.output_names == theirs.output_names
    assert ours.input_shape == theirs.input_shape
    assert ours.output_shape == theirs.output_shape
    for left, right in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)
    assert plain(ours.get_config()) == plain(theirs.get_config())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_model_from_keras_config_is_the_same_model(case):
    theirs, ours = made(keras, case), made(kerasmirror, case)
    twin = kerasmirror.Model.from_config(plain(theirs.get_config()))
    assert plain(twin.get_config()) == plain(ours.get_config())
    twin.set_weights(ours.get_weights())
    x = data_of(case.fed, 3)
    expected, actual = ours.predict(x, verbose=0), twin.predict(x, verbose=0)
    tree.map_structure(np.testing.assert_array_equal, actual, expected)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_training_takes_keras_course(case):
    x, y = data_of(case.fed), data_of(case.targets, seed=1)
    histories, outputs, results = [], [], []
    for package in (keras, kerasmirror):
        model = made(package, case)
        model.compile(package.optimizers.SGD(0.05), **case.compile)
        history = model.fit(x, y, batch_size=8, epochs=3, verbose=0, validation_data=(x, y))
        histories.append(history.history)
        outputs.append(model.predict(x, verbose=0))
        results.append(model.evaluate(x, y, verbose=0, return_dict=True))
    expected, actual = histories
    assert list(actual) == list(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(actual[name], values, rtol=2e-5, err_msg=name)
    assert results[1] == pytest.approx(results[0], rel=2e-5)
    for left, right in zip(tree.flatten(outputs[1]), tree.flatten(outputs[0]), strict=True):
        assert relative_error(left, right) <= 2e-5


# Keras writes its files with NumPy calls that NumPy 2 warns about.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_weight_files_go_both_ways(case, tmp_path):
    x = data_of(case.fed, 5)
    theirs, ours = made(keras, case), made(kerasmirror, case)
    path = tmp_path / "theirs.weights.h5"
    theirs.set_weights([w + 0.25 for w in theirs.get_weights()])
    theirs.save_weights(path)
    ours.load_weights(path)
    for left, right in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)
    path = tmp_path / "ours.weights.h5"
    ours.set_weights([w - 0.5 for w in ours.get_weights()])
    ours.save_weights(path)
    theirs.load_weights(path)
    both = ours.predict(x, verbose=0), theirs.predict(x, verbose=0)
    for left, right in zip(*map(tree.flatten, both), strict=True):
        assert relative_error(left, right) <= 1e-5


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_summary_is_that_of_keras(case):
    texts = []
    for package in (keras, kerasmirror):
        lines = []
        made(package, case).summary(
            print_fn=lambda text, lines=lines, **_: lines.append(text), expand_nested=True
        )
        texts.append("\n".join(lines).rstrip())
    assert texts[1] == texts[0]


@pytest.mark.parametrize("case", MERGING, ids=lambda case: case.id)
def test_merging_layers_match_keras(case):
    arrays = data_of([shape[1:] for shape in case.shapes], case.shapes[0][0], seed=3)
    theirs, ours = case.make(keras), case.make(kerasmirror)
    cotangent = None
    results = []
    for package, layer, tape_type in (
        (keras, theirs, tensorflow.GradientTape),
        (kerasmirror, ours, kerasmirror.autodiff.GradientTape),
    ):
        inputs = [package.ops.convert_to_tensor(array) for array in arrays]
        with tape_type() as tape:
            for x in inputs:
                tape.watch(x)
            y = layer(inputs)
            if cotangent is None:
                cotangent = np.random.default_rng(5).normal(size=y.shape).astype("float32")
            total = package.ops.sum(package.ops.multiply(y, cotangent))
        results.append([y, *tape.gradient(total, inputs)])
    for left, right in zip(results[1], results[0], strict=True):
        assert relative_error(left, right) <= 1e-5
    assert ours.compute_output_shape(case.shapes) == theirs.compute_output_shape(case.shapes)
    config = ours.get_config()
    assert plain(config) == plain({**theirs.get_config(), "name": config["name"]})
    twin = type(ours).from_config(config)
    np.testing.assert_array_equal(np.asarray(twin(inputs)), np.asarray(results[1][0]))


MASKED = ["Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"]


@pytest.mark.parametrize("name", MASKED)
@pytest.mark.parametrize("masked", [(True, True), (True, False)], ids=["both", "one"])
def test_masks_pass_merging_layers_as_in_keras(name, masked):
    arrays = data_of([(3, 4), (3, 4)], 2, seed=8)
    masks = [np.array([[1, 1, 0], [0, 1, 0]], bool), np.array([[1, 0, 0], [1, 1, 0]], bool)]
    results = []
    for package, setter, getter in (
        (keras, keras.src.backend.set_keras_mask, keras.src.backend.get_keras_mask),
        (kerasmirror, *_mirror_masks()),
    ):
        inputs = [package.ops.convert_to_tensor(array) for array in arrays]
        for x, mask, wanted in zip(inputs, masks, masked, strict=True):
            if wanted:
                setter(x, package.ops.convert_to_tensor(mask))
        y = getattr(package.layers, name)()(inputs)
        results.append((np.asarray(y), getter(y)))
    (expected, expected_mask), (actual, mask) = results
    assert relative_error(actual, expected) <= 1e-6
    assert (mask is None) == (expected_mask is None)
    if mask is not None:
        np.testing.assert_array_equal(np.asarray(mask), np.asarray(expected_mask))


def _mirror_masks():
    from kerasmirror.core import tensor

    return tensor.set_keras_mask, tensor.get_keras_mask
