"""Automatic names, name scopes, tracked attributes, placeholders and settings."""

from __future__ import annotations

import copy
import threading

import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror.core import names, scopes, symbolic


@pytest.fixture(autouse=True)
def fresh_session():
    keras.utils.clear_session()


@pytest.mark.parametrize(
    ("name", "snake"),
    [
        ("MaxPooling2D", "max_pooling2d"),
        ("Conv2D", "conv2d"),
        ("PReLU", "p_re_lu"),
        ("ReLU", "re_lu"),
        ("ELU", "elu"),
        ("GlobalAveragePooling1D", "global_average_pooling1d"),
        ("My Layer", "my_layer"),
    ],
)
def test_snake_case(name, snake):
    assert names.to_snake_case(name) == snake


def test_names_count_up_for_each_kind_and_start_again():
    def made():
        return [keras.layers.Dense(1).name, keras.layers.Flatten().name, keras.layers.Dense(1).name]

    assert made() == ["dense", "flatten", "dense_1"]
    keras.utils.clear_session()
    assert made() == ["dense", "flatten", "dense_1"]
    assert keras.backend.get_uid("thing") == 1 and keras.backend.get_uid("thing") == 2


def test_scopes_nest_once_for_each_caller_and_close_on_errors():
    owner = object()
    with keras.name_scope("a"), keras.name_scope("b", caller=owner):
        with keras.name_scope("b", caller=owner):
            assert scopes.current_path() == "a/b"
    with pytest.raises(KeyError), keras.name_scope("c"):
        raise KeyError("inside")
    assert scopes.current_path() == ""
    seen = []
    with keras.name_scope("mine"):
        thread = threading.Thread(target=lambda: seen.append(scopes.current_path()))
        thread.start()
        thread.join()
    assert seen == [""]


@pytest.mark.parametrize("name", ["a/b", 3, None])
def test_a_scope_s_name_is_a_string_without_slashes(name):
    with pytest.raises(ValueError) as raised:
        keras.name_scope(name)
    assert str(raised.value) == (
        "keras.name_scope: Argument `name` must be a string and cannot contain character `/`. "
        f"Received: name={name!r}"
    )


def test_layers_in_lists_dicts_and_sets_are_found_and_forgotten():
    layer = keras.layers.Layer()
    a, b, c, d = (keras.layers.Dense(1) for _ in range(4))
    layer.parts = [a]
    layer.parts.append(b)
    layer.named = {"c": c}
    layer.named["d"] = d
    assert layer._flatten_layers(include_self=False) == [a, b, c, d]
    layer.parts.remove(a)
    del layer.named["c"]
    assert layer._layers == [b, d]
    layer.single = a
    assert layer._layers == [b, d, a]
    del layer.single
    layer.parts.clear()
    assert layer._layers == [d]


def test_tracked_containers_stay_containers():
    layer = keras.layers.Layer()
    layer.items_ = [1, 2]
    layer.table = {"k": [3]}
    layer.bag = {4}
    assert layer.items_ == [1, 2] and layer.table == {"k": [3]} and layer.bag == {4}
    layer.items_ += [5]
    layer.table.update(m=6)
    layer.bag.update({7})
    assert (layer.items_, layer.table, layer.bag) == ([1, 2, 5], {"k": [3], "m": 6}, {4, 7})
    assert type(copy.deepcopy(layer.items_)) is list


def test_a_variable_and_a_metric_are_tracked_by_assignment():
    class Own(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.trained = keras.Variable(1.0, name="trained")
            self.kept = keras.Variable(2.0, trainable=False, name="kept")
            self.error = keras.metrics.Mean(name="error")
            self.seeds = keras.random.SeedGenerator(3)

    layer = Own()
    assert [v.name for v in layer.trainable_variables] == ["trained"]
    assert [v.name for v in layer.weights] == ["trained", "kept"]
    assert [m.name for m in layer.metrics] == ["error"]
    assert "seed_generator_state" in [v.name for v in layer.variables]
    layer.trainable = False
    assert layer.trainable_variables == [] and layer.trained.trainable is False
    layer.trainable = True
    assert layer.kept.trainable in (True, False) and layer.trained.trainable is True


def test_placeholders_have_shapes_and_no_values():
    x = keras.KerasTensor((None, 3), "int32", name="x")
    assert (x.shape, x.dtype, x.ndim, x.name) == ((None, 3), "int32", 2, "x")
    assert keras.utils.is_keras_tensor(x) and not keras.utils.is_keras_tensor(np.ones(3))
    assert symbolic.any_symbolic({"a": [1, x]}) and not symbolic.any_symbolic([1, "x"])
    for action, error, message in (
        (
            bool,
            TypeError,
            "A symbolic KerasTensor cannot be used as a boolean. It has no value.",
        ),
        (int, ValueError, "A KerasTensor has no value, so it cannot become an int."),
        (float, ValueError, "A KerasTensor has no value, so it cannot become a float."),
        (
            np.asarray,
            ValueError,
            "KerasTensor: a placeholder doesn't have any actual numerical value, so NumPy cannot "
            "read it. Use `keras.ops` functions and layers on it instead of NumPy's.",
        ),
        (
            lambda x: x.__tf_tensor__(),
            ValueError,
            "A KerasTensor cannot be used as input to a TensorFlow function: it has no values. "
            f"Use `keras.ops` functions and layers on it instead. Received: {x!r}",
        ),
        (
            lambda x: x.__jax_array__(),
            ValueError,
            "A KerasTensor cannot be used as input to a JAX function: it has no values. "
            f"Use `keras.ops` functions and layers on it instead. Received: {x!r}",
        ),
        (len, TypeError, f"len() of a KerasTensor whose first axis is unknown: {x!r}"),
    ):
        with pytest.raises(error) as raised:
            action(x)
        assert str(raised.value) == message


SETTINGS = [
    ("floatx", "set_floatx", "float16"),
    ("epsilon", "set_epsilon", 1e-5),
    ("image_data_format", "set_image_data_format", "channels_first"),
    ("max_epochs", "set_max_epochs", 3),
    ("max_steps_per_epoch", "set_max_steps_per_epoch", 2),
]


@pytest.mark.parametrize(("read", "write", "value"), SETTINGS)
def test_a_setting_is_read_as_it_was_written(read, write, value):
    before = getattr(keras.config, read)()
    assert before != value
    try:
        getattr(keras.config, write)(value)
        assert getattr(keras.config, read)() == value
    finally:
        getattr(keras.config, write)(before)
    assert getattr(keras.config, read)() == before


def test_caps_on_epochs_and_steps_hold():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x, y = np.ones((12, 2), "float32"), np.ones((12, 1), "float32")
    keras.config.set_max_epochs(2)
    keras.config.set_max_steps_per_epoch(3)
    try:
        with pytest.warns(UserWarning, match="Limiting"):
            history = model.fit(x, y, batch_size=2, epochs=5, verbose=0)
    finally:
        keras.config.set_max_epochs(None)
        keras.config.set_max_steps_per_epoch(None)
    assert len(history.history["loss"]) == 2
    assert int(model.optimizer.iterations) == 6


@pytest.mark.parametrize("value", ["float31", None, 32])
def test_a_bad_floatx_is_refused(value):
    with pytest.raises(ValueError) as raised:
        keras.config.set_floatx(value)
    assert str(raised.value) == (
        "keras.config.set_floatx: `value` must be one of ('bfloat16', 'float16', 'float32', "
        f"'float64'). Received: value={value!r}"
    )
    assert keras.config.floatx() == "float32"


def test_a_layer_that_is_frozen_from_the_start_lists_and_saves_its_weights_once():
    layer = keras.layers.Dense(2, trainable=False)
    layer.build((None, 3))
    assert [len(v) for v in (layer.weights, layer.trainable_weights)] == [2, 0]
    assert len(layer._trainable_variables) == 2 and layer._non_trainable_variables == []
    store = {}
    layer.save_own_variables(store)
    assert sorted(store) == ["0", "1"]
    layer.trainable = True
    assert len(layer.trainable_weights) == 2


def test_a_weight_can_be_taken_away_from_a_layer_that_is_built():
    layer = keras.layers.Dense(2)
    layer.build((None, 3))
    layer._untrack_variable(layer.bias)
    assert layer.weights == [layer.kernel]
    layer._tracker.unlock()
    layer._track_variable(layer.bias)
    layer._tracker.lock()
    assert len(layer.weights) == 2
