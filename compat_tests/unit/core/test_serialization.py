"""Objects to configs and back; what a config may name, and what is refused."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror.core import serialization

saving = keras.saving
OBJECTS = {
    "dense": lambda k: k.layers.Dense(
        3, activation="relu", kernel_regularizer=k.regularizers.L2(0.1)
    ),
    "conv": lambda k: k.layers.Conv2D(4, 3, strides=2, padding="same"),
    "normalization": lambda k: k.layers.BatchNormalization(momentum=0.5),
    "adam": lambda k: k.optimizers.Adam(0.01, beta_1=0.8),
    "schedule": lambda k: k.optimizers.SGD(k.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)),
    "loss": lambda k: k.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1),
    "metric": lambda k: k.metrics.MeanAbsoluteError(name="error"),
    "initializer": lambda k: k.initializers.VarianceScaling(2.0, seed=3),
    "constraint": lambda k: k.constraints.MaxNorm(2),
    "model": lambda k: k.Sequential([k.Input((4,)), k.layers.Dense(2, name="d")], name="net"),
}


def plain(config):
    """As JSON has it: tuples are lists."""
    return json.loads(json.dumps(config))


@pytest.mark.keras
@pytest.mark.parametrize("name", OBJECTS)
def test_configs_are_keras_s(name):
    real = pytest.importorskip("keras")
    configs = []
    for package in (keras, real):
        package.utils.clear_session()
        configs.append(plain(package.saving.serialize_keras_object(OBJECTS[name](package))))
    assert configs[0] == configs[1]


@pytest.mark.parametrize("name", OBJECTS)
def test_an_object_comes_back_from_json(name):
    config = plain(saving.serialize_keras_object(OBJECTS[name](keras)))
    twin = saving.deserialize_keras_object(config)
    assert plain(saving.serialize_keras_object(twin)) == config


@pytest.mark.parametrize(
    "value",
    [1, 2.5, "text", None, True, [1, (2, "a")], {"k": [1.0]}, slice(1, 5, 2), b"bytes", Ellipsis],
    ids=repr,
)
def test_plain_values_come_back(value):
    assert saving.deserialize_keras_object(saving.serialize_keras_object(value)) == value


def test_arrays_and_tensors_come_back():
    for value in (np.arange(6, dtype="int16").reshape(2, 3), np.float32([1.5, -2.0])):
        twin = saving.deserialize_keras_object(saving.serialize_keras_object(value))
        np.testing.assert_array_equal(twin, value)
        assert twin.dtype == value.dtype
    tensor = keras.ops.convert_to_tensor(np.float32([1, 2]))
    twin = saving.deserialize_keras_object(saving.serialize_keras_object(tensor))
    assert type(twin) is type(tensor)
    np.testing.assert_array_equal(twin, tensor)


class Twice(keras.layers.Layer):
    def __init__(self, times=2, **kwargs):
        super().__init__(**kwargs)
        self.times = times

    def call(self, x):
        return x * self.times


def test_a_custom_layer_is_found_only_when_it_was_passed_or_registered():
    config = plain(saving.serialize_keras_object(Twice(3, name="t")))
    assert config["class_name"] == "Twice" and config["config"]["times"] == 3
    with pytest.raises(TypeError) as raised:
        saving.deserialize_keras_object(config)
    assert str(raised.value) == (
        f"keras: cannot find 'Twice' (module {config['module']!r}). Only public names of Keras and "
        "your own registered classes can be loaded; pass yours as "
        "`custom_objects={'Name': Name}` or register it with "
        "`@keras.saving.register_keras_serializable()`."
    )
    twin = saving.deserialize_keras_object(config, custom_objects={"Twice": Twice})
    assert type(twin) is Twice and twin.times == 3
    with saving.custom_object_scope({"Twice": Twice}):
        assert type(saving.deserialize_keras_object(config)) is Twice
    with pytest.raises(TypeError):
        saving.deserialize_keras_object(config)


def test_a_registered_class_is_found_by_its_registered_name():
    registered = saving.register_keras_serializable(package="mine", name="Double")(
        type("Doubled", (Twice,), {})
    )
    try:
        assert saving.get_registered_name(registered) == "mine>Double"
        config = plain(saving.serialize_keras_object(registered(4)))
        assert config["registered_name"] == "mine>Double"
        assert type(saving.deserialize_keras_object(config)) is registered
        assert saving.get_registered_object("mine>Double") is registered
    finally:
        del serialization._CUSTOM_OBJECTS["mine>Double"]
        del serialization._CUSTOM_NAMES[registered]


MALICIOUS = [
    {"module": "os", "class_name": "system", "config": {"command": "true"}},
    {"module": "os", "class_name": "function", "config": "system"},
    {"module": "builtins", "class_name": "eval", "config": {}},
    {"module": "subprocess", "class_name": "Popen", "config": {"args": ["true"]}},
    {"module": "antigravity", "class_name": "geohash", "config": {}},
    {"module": "kerasmirror.core.serialization", "class_name": "np", "config": {}},
    {"module": "keras.src.layers", "class_name": "Dense", "config": {"units": 1}},
    {"module": "keras.layers", "class_name": "__class__", "config": {}},
    {"module": "keras.layers", "class_name": "NoSuchLayer", "config": {}},
    {"module": None, "class_name": "os.system", "config": {}, "registered_name": "os.system"},
    {"module": 3, "class_name": "Dense", "config": {}},
    {"module": "keras.layers", "class_name": ["Dense"], "config": {}},
]


@pytest.mark.parametrize("config", MALICIOUS, ids=lambda c: f"{c['module']}.{c['class_name']}")
def test_a_malicious_config_is_refused_and_imports_nothing(config):
    config = {"registered_name": None, **config}
    nested = {
        "module": "keras.layers",
        "class_name": "Dense",
        "config": {"units": 2, "kernel_initializer": config},
        "registered_name": None,
    }
    before = set(sys.modules)
    for given in (config, nested, [config], {"a": config}):
        with pytest.raises((TypeError, ValueError)):
            saving.deserialize_keras_object(given)
    for get in (keras.layers.deserialize, keras.losses.get, keras.initializers.get):
        with pytest.raises((TypeError, ValueError)):
            get(config)
    assert set(sys.modules) == before


@pytest.mark.keras
@pytest.mark.parametrize("path", ["activations.relu", "losses.mean_squared_error"])
def test_functions_are_serialized_by_name_as_in_keras(path):
    real = pytest.importorskip("keras")
    family, name = path.split(".")
    ours, theirs = (getattr(getattr(package, family), name) for package in (keras, real))
    config = plain(saving.serialize_keras_object(ours))
    assert config == plain(real.saving.serialize_keras_object(theirs))
    assert saving.deserialize_keras_object(config) is ours


def test_an_operation_is_serialized_as_a_function_of_keras_ops():
    config = plain(saving.serialize_keras_object(keras.ops.sin))
    assert config["module"] == "keras.ops"
    assert saving.deserialize_keras_object(config) is keras.ops.sin


def test_a_lambda_is_loaded_without_safe_mode_only():
    two = 2
    with pytest.warns(UserWarning, match="a lambda has no name to save it by"):
        config = plain(saving.serialize_keras_object(lambda x: two * x))
    with pytest.raises(ValueError, match="arbitrary code execution"):
        saving.deserialize_keras_object(config)
    assert saving.deserialize_keras_object(config, safe_mode=False)(4) == 8


def test_a_public_class_has_no_registered_name():
    config = {"module": "keras.layers", "class_name": "Dense", "config": {"units": 1}}
    with pytest.raises(ValueError, match="'Dense' resolved to a Keras built-in, which has no"):
        saving.deserialize_keras_object({**config, "registered_name": "my>Dense"})
    assert saving.deserialize_keras_object({**config, "registered_name": "Dense"}).units == 1


def test_an_object_without_a_config_is_refused():
    with pytest.raises(TypeError, match="must be plain data, a function or an object with"):
        saving.serialize_keras_object(object())


def test_a_custom_object_needs_a_get_config_to_be_registered():
    with pytest.raises(ValueError, match=r"does not have a get_config\(\) method"):
        saving.register_keras_serializable()(type("Bare", (), {}))


def test_a_model_comes_back_with_its_compile_arguments():
    model = OBJECTS["model"](keras)
    model.compile(keras.optimizers.Adam(0.02), "mse", metrics=["mae"])
    x, y = np.ones((3, 4), "float32"), np.ones((3, 2), "float32")
    config = plain(saving.serialize_keras_object(model))
    twin = saving.deserialize_keras_object(config)
    twin.set_weights(model.get_weights())
    assert float(twin.optimizer.learning_rate) == pytest.approx(0.02)
    assert twin.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)


def test_a_config_that_does_not_fit_the_constructor_says_so():
    with pytest.raises(TypeError, match="Dense.from_config: `config` must fit the constructor"):
        keras.layers.Dense.from_config({"name": "d"})


def test_layers_deserialize_gives_layers_only():
    config = plain(keras.layers.serialize(keras.layers.Dense(2, name="d")))
    assert keras.layers.deserialize(config).units == 2
    config = plain(saving.serialize_keras_object(keras.losses.MeanSquaredError(name="m")))
    with pytest.raises(
        ValueError, match="keras.layers.deserialize: `config` must describe a layer"
    ):
        keras.layers.deserialize(config)
