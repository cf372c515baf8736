"""Whole models in files that one package writes and the other reads, both ways."""

import json
import zipfile

import numpy as np
import pytest
from side_by_side import real_keras

import kerasmirror

pytestmark = [
    pytest.mark.keras,
    # TensorFlow's tensors, with NumPy 2
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer:UserWarning"),
]

RNG = np.random.RandomState(3)
X = RNG.uniform(size=(16, 6)).astype("float32")
Y = RNG.uniform(size=(16, 2)).astype("float32")


@pytest.fixture(scope="module")
def tf_keras():
    return real_keras()[0]


def sequential(keras):
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(5, activation="relu", kernel_regularizer="l2"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.0),
            keras.layers.Dense(2),
        ],
        name="stack",
    )


def operations(keras):
    ops = keras.ops
    x = keras.Input((6,), name="x")
    y = ops.relu(1.0 - x * 2) + 1
    y = ops.concatenate([y[:, 1:4], ops.mean(y, axis=1, keepdims=True)], axis=-1)
    y = keras.layers.Dense(4)(y)
    left, right = ops.split(y, 2, axis=1)
    y = ops.where(left > 0, left, right) - ops.softmax(ops.reshape(y, (-1, 2, 2)), axis=1)[:, 0]
    return keras.Model(x, ops.einsum("ij->ij", y) @ ops.cast(np.eye(2), "float32"), name="ops")


def many_ends(keras):
    a, b = keras.Input((6,), name="a"), keras.Input((6,), name="b")
    shared = keras.layers.Dense(3, name="shared")
    inner_in = keras.Input((3,))
    inner = keras.Model(inner_in, keras.layers.Dense(3)(inner_in), name="inner")
    one, two = inner(shared(a)), inner(shared(b))
    outputs = {
        "sum": keras.layers.Dense(2, name="sum")(keras.layers.add([one, two])),
        "product": keras.layers.Dense(2, name="product")(keras.layers.multiply([one, two])),
    }
    return keras.Model({"a": a, "b": b}, outputs, name="ends")


def subclassed(keras):
    class Twice(keras.layers.Layer):
        def __init__(self, units, **kwargs):
            super().__init__(**kwargs)
            self.units = units
            self.dense = keras.layers.Dense(units)

        def call(self, x):
            return 2 * self.dense(x)

        def get_config(self):
            return {**super().get_config(), "units": self.units}

    class Net(keras.Model):
        def __init__(self, units, **kwargs):
            super().__init__(**kwargs)
            self.units = units
            self.first = Twice(units)
            self.last = [keras.layers.Dense(2)]

        def call(self, x):
            return self.last[0](self.first(x))

        def get_config(self):
            return {**super().get_config(), "units": self.units}

    model = Net(4, name="net")
    model(X[:1])
    model.custom_objects = {"Twice": Twice, "Net": Net}
    return model


MODELS = {f.__name__: f for f in (sequential, operations, many_ends, subclassed)}


def inputs_of(name):
    return {"a": X, "b": X[::-1].copy()} if name == "many_ends" else X


def targets_of(name):
    return {"sum": Y, "product": Y} if name == "many_ends" else Y


def made(keras, name):
    """The model of a case, compiled and trained for one epoch; and its custom objects."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(4)
    model = MODELS[name](keras)
    custom = model.__dict__.pop("custom_objects", None)
    # Keras cannot read an `.h5` file with the short names "mse" and "mae", of its own neither.
    metric = keras.metrics.MeanAbsoluteError(name="error")
    metrics = {"sum": [metric]} if name == "many_ends" else [metric]
    model.compile(keras.optimizers.Adam(0.01), keras.losses.MeanSquaredError(), metrics=metrics)
    model.fit(inputs_of(name), targets_of(name), batch_size=8, verbose=0, shuffle=False)
    return model, custom


def packages(tf_keras, direction):
    return (tf_keras, kerasmirror) if direction == "from keras" else (kerasmirror, tf_keras)


def flat(value):
    parts = value.values() if isinstance(value, dict) else [value]
    return [np.asarray(part) for part in parts]


def without_ids(config):
    if isinstance(config, list):
        return [without_ids(part) for part in config]
    if not isinstance(config, dict):
        return config
    return {k: without_ids(v) for k, v in config.items() if k != "shared_object_id"}


DIRECTIONS = pytest.mark.parametrize("direction", ["from keras", "to keras"])


@DIRECTIONS
@pytest.mark.parametrize("name", MODELS)
def test_a_keras_file_is_the_same_model_on_the_other_side(tf_keras, tmp_path, name, direction):
    writer, reader = packages(tf_keras, direction)
    path = str(tmp_path / "model.keras")
    model, _ = made(writer, name)
    _, custom = made(reader, name)  # its own classes, not the writer's
    model.save(path)
    loaded = reader.saving.load_model(path, custom_objects=custom)
    for left, right in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)
    for left, right in zip(model.optimizer.variables, loaded.optimizer.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(left), np.asarray(right))
    x, y = inputs_of(name), targets_of(name)
    expected, actual = (one.predict(x, verbose=0) for one in (model, loaded))
    for left, right in zip(flat(expected), flat(actual), strict=True):
        np.testing.assert_allclose(left, right, rtol=2e-5, atol=1e-6)
    # Training goes on as if nothing had happened, on either side.
    histories = [
        one.fit(x, y, batch_size=8, epochs=3, verbose=0, shuffle=False).history
        for one in (model, loaded)
    ]
    np.testing.assert_allclose(histories[0]["loss"], histories[1]["loss"], rtol=1e-4)
    assert histories[0].keys() == histories[1].keys()


@DIRECTIONS
@pytest.mark.parametrize("name", ["sequential", "many_ends"])
def test_an_h5_file_is_the_same_model_on_the_other_side(tf_keras, tmp_path, name, direction):
    writer, reader = packages(tf_keras, direction)
    path = str(tmp_path / "model.h5")
    model, custom = made(writer, name)
    model.save(path)
    loaded = reader.saving.load_model(path, custom_objects=custom)
    for left, right in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)
    x, y = inputs_of(name), targets_of(name)
    if reader is tf_keras:  # which does not restore an optimizer from such files
        assert type(loaded.optimizer).__name__ == "Adam"
        return
    for left, right in zip(model.optimizer.variables, loaded.optimizer.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(left), np.asarray(right))
    histories = [
        one.fit(x, y, batch_size=8, epochs=2, verbose=0, shuffle=False).history
        for one in (model, loaded)
    ]
    np.testing.assert_allclose(histories[0]["loss"], histories[1]["loss"], rtol=1e-4)


@DIRECTIONS
def test_weights_in_several_files_are_read_on_the_other_side(tf_keras, tmp_path, direction):
    writer, reader = packages(tf_keras, direction)
    path = str(tmp_path / "model.weights.json")
    model, _ = made(writer, "sequential")
    model.save_weights(path, max_shard_size=2e-7)  # 215 bytes: several files
    assert len(list(tmp_path.glob("*.weights.h5"))) > 2
    other, _ = made(reader, "sequential")
    other.load_weights(path)
    for left, right in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("name", ["sequential", "operations", "many_ends"])
def test_the_config_in_a_file_is_that_of_keras(tf_keras, tmp_path, name):
    configs = []
    for package in (tf_keras, kerasmirror):
        path = tmp_path / f"{package.__name__}.keras"
        made(package, name)[0].save(str(path))
        with zipfile.ZipFile(path) as archive:
            assert archive.namelist()[:3] == ["metadata.json", "config.json", "model.weights.h5"]
            metadata = json.loads(archive.read("metadata.json"))
            assert set(metadata) == {"keras_version", "date_saved"}
            config = json.loads(archive.read("config.json"))
        config["compile_config"].pop("jit_compile")  # TensorFlow compiles, or not
        config["compile_config"].pop("auto_scale_loss", None)
        configs.append(config)
    configs = [without_ids(config) for config in configs]  # the numbers are addresses
    assert configs[1]["config"] == configs[0]["config"]
    assert configs[1]["compile_config"] == configs[0]["compile_config"]
    assert {k: configs[1][k] for k in ("module", "class_name", "registered_name")} == {
        k: configs[0][k] for k in ("module", "class_name", "registered_name")
    }


@DIRECTIONS
def test_json_text_describes_a_model_to_the_other_side(tf_keras, direction):
    writer, reader = packages(tf_keras, direction)
    model, _ = made(writer, "operations")
    twin = reader.models.model_from_json(model.to_json())
    twin.set_weights(model.get_weights())
    expected, actual = (np.asarray(one(X)) for one in (model, twin))
    np.testing.assert_allclose(expected, actual, rtol=2e-5, atol=1e-6)


def test_the_editor_agrees_with_keras(tf_keras, tmp_path, capsys):
    path = str(tmp_path / "model.keras")
    model, _ = made(tf_keras, "sequential")
    model.save(path)
    other, _ = made(tf_keras, "operations")
    for reference, mirrored, good in (
        (model, made(kerasmirror, "sequential")[0], True),
        (other, made(kerasmirror, "operations")[0], False),
    ):
        theirs = tf_keras.saving.KerasFileEditor(path).compare(reference)
        ours = kerasmirror.saving.KerasFileEditor(path).compare(mirrored)
        assert ours["status"] == theirs["status"] == ("success" if good else "error")
        assert ours["error_count"] == 0 or not good
        if good:
            assert ours["match_count"] == 22  # Keras counts those of nested objects repeatedly
    capsys.readouterr()
