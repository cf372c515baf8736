"""Graphs of layers: structures of their ends, nodes, sub-models, masks, clones, mistakes."""

import copy
import gc
import weakref

import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror import layers, ops
from kerasmirror.core.tensor import Tensor, get_keras_mask


@pytest.fixture(autouse=True)
def fresh_names():
    keras.utils.clear_session()
    keras.utils.set_random_seed(5)


def ones(*shape):
    return np.ones(shape, "float32")


def two_inputs():
    a, b = keras.Input((2,), name="a"), keras.Input((3,), name="b")
    return keras.Model([a, b], layers.Concatenate()([a, b]))


# Structures


def test_inputs_come_as_list_tuple_or_dict_by_name():
    model = two_inputs()
    a, b = ones(4, 2), 2 * ones(4, 3)
    expected = np.concatenate([a, b], axis=1)
    for given in ([a, b], (a, b), {"b": b, "a": a}, {"a": a, "b": b, "unused": b}):
        np.testing.assert_array_equal(np.asarray(model(given)), expected)
    assert model.input_names == ["a", "b"]
    assert model.input_shape == [(None, 2), (None, 3)]
    assert model.output_shape == (None, 5)


def test_outputs_keep_their_structure():
    a, b = keras.Input((2,), name="a"), keras.Input((3,), name="b")
    model = keras.Model({"a": a, "b": b}, {"sum": [layers.Dense(1)(a)], "pair": (a, b)})
    outputs = model({"a": ones(4, 2), "b": ones(4, 3)})
    assert list(outputs) == ["sum", "pair"]
    assert [part.shape for part in outputs["pair"]] == [(4, 2), (4, 3)]
    predicted = model.predict({"a": ones(4, 2), "b": ones(4, 3)}, verbose=0)
    assert predicted["sum"][0].shape == (4, 1)


def test_one_output_in_a_list_comes_alone():
    x = keras.Input((2,))
    assert isinstance(keras.Model([x], [layers.Dense(3)(x)])(ones(1, 2)), Tensor)


def test_nested_inputs_are_taken_flat_with_a_warning():
    a, b = keras.Input((2,), name="a"), keras.Input((3,), name="b")
    model = keras.Model([a, [b]], layers.Concatenate()([a, b]))
    assert model([ones(1, 2), [ones(1, 3)]]).shape == (1, 5)
    with pytest.warns(UserWarning, match=r"expects 2 input\(s\), nested as \['a', \['b'\]\]"):
        assert model([ones(1, 2), ones(1, 3)]).shape == (1, 5)


def test_inputs_are_cast_and_a_last_axis_of_one_comes_and_goes():
    x = keras.Input((4,), dtype="int32")
    doubled = keras.Model(x, x * 2)
    assert doubled(np.full((2, 4), 3.0)).dtype == "int32"
    assert doubled(np.ones((2, 4, 1), "int32")).shape == (2, 4)


def test_an_optional_input_may_be_none():
    class Shift(layers.Layer):
        def call(self, x, shift=None):
            return x if shift is None else x + shift

    x = keras.Input((2,), name="x")
    shift = keras.Input((2,), name="shift", optional=True)
    model = keras.Model([x, shift], Shift(name="layer")(x, shift))
    np.testing.assert_array_equal(np.asarray(model([ones(1, 2), None])), ones(1, 2))
    np.testing.assert_array_equal(np.asarray(model([ones(1, 2), ones(1, 2)])), 2 * ones(1, 2))
    with pytest.raises(ValueError, match="input 'x' must be given, it is not optional"):
        model([None, ones(1, 2)])


# Nodes


def test_each_call_of_a_layer_is_a_node_and_shares_the_weights():
    x = keras.Input((3,))
    dense = layers.Dense(3)
    y = dense(dense(x))
    model = keras.Model(x, y)
    assert len(dense._inbound_nodes) == 2
    assert dense.input is x
    assert y._keras_history == (dense, 1, 0)
    assert len(model.weights) == 2
    kernel, bias = dense.get_weights()
    once = ones(2, 3) @ kernel + bias
    np.testing.assert_allclose(np.asarray(model(ones(2, 3))), once @ kernel + bias, rtol=1e-6)


def test_calls_inside_a_layer_are_no_nodes():
    class Block(layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner = layers.Dense(2)

        def call(self, x):
            return ops.relu(self.inner(x) + 1)

    block = Block()
    x = keras.Input((3,))
    model = keras.Model(x, block(x))
    assert [layer.name for layer in model.layers] == ["input_layer", "block"]
    assert block.inner._inbound_nodes == []
    assert layers.Add().name == "add"  # the operation inside has taken no name


def test_operations_are_nodes_with_names_of_their_own():
    x = keras.Input((6, 4))
    y = ops.relu(x + 1) * 2
    y = ops.reshape(y, (-1, 24))[:, :5]
    y = ops.concatenate([y, ops.mean(x, axis=1)], axis=-1) + 1
    model = keras.Model(x, layers.Dense(2)(y))
    names = [operation.name for operation in model.operations]
    assert len(set(names)) == len(names)
    assert {"add", "relu", "multiply", "reshape", "get_item", "concatenate", "add_1"} <= set(names)
    data = np.random.default_rng(0).normal(size=(3, 6, 4)).astype("float32")
    flat = np.reshape(np.maximum(data + 1, 0) * 2, (3, 24))[:, :5]
    features = np.concatenate([flat, data.mean(axis=1)], axis=1) + 1
    expected = features @ model.layers[-1].get_weights()[0]
    np.testing.assert_allclose(np.asarray(model(data)), expected, rtol=1e-5)
    again = keras.Model.from_config(model.get_config())
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(np.asarray(again(data)), np.asarray(model(data)))


def test_gradients_flow_through_operation_nodes():
    x = keras.Input((3,))
    model = keras.Model(x, ops.square(layers.Dense(1)(x)) + 1)
    model.compile("sgd", "mse")
    before = model.get_weights()
    model.fit(ones(4, 3), ones(4, 1) * 3, epochs=1, verbose=0)
    assert any((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))


def test_intermediate_values_are_let_go_after_their_last_use():
    alive = []

    class Watch(layers.Layer):
        def call(self, x):
            gc.collect()
            alive.append(sum(reference() is not None for reference in made))
            y = x + 1
            if isinstance(y, Tensor):
                made.append(weakref.ref(y))
            return y

    made = []
    x = keras.Input((3,))
    y = x
    for _ in range(5):
        y = Watch()(y)
    model = keras.Model(x, y)
    made.clear(), alive.clear()
    model(ones(2, 3))
    assert alive == [0, 1, 1, 1, 1]


def test_a_graph_of_thousands_of_layers_runs():
    x = keras.Input((2,))
    y = x
    for _ in range(2000):
        y = y + 1
    assert float(keras.Model(x, y)(ones(1, 2))[0, 0]) == 2001


# Models in models


def test_a_sub_model_ends_at_a_layer_and_shares_its_weights():
    x = keras.Input((4,))
    y = layers.Dense(3, name="features")(x)
    model = keras.Model(x, layers.Dense(1)(y))
    features = keras.Model(model.inputs, model.get_layer("features").output)
    assert features.layers[1] is model.layers[1]
    assert features(ones(2, 4)).shape == (2, 3)


def test_a_sub_model_starts_inside_another_graph():
    x = keras.Input((4,))
    y = layers.Dense(3)(x)
    z = layers.Dense(2)(layers.Activation("relu")(y))
    whole, head = keras.Model(x, z), keras.Model(y, z)
    assert isinstance(head.layers[0], layers.InputLayer)
    assert head.input_shape == (None, 3)
    middle = whole.layers[1](ones(2, 4))
    np.testing.assert_array_equal(np.asarray(head(middle)), np.asarray(whole(ones(2, 4))))
    assert z._keras_history[1] == 0  # the first graph is as it was


def test_layers_of_a_sequential_can_be_taken_out():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, name="q"), layers.Dense(1)])
    inner = keras.Model(model.inputs, [model.get_layer("q").output, model.outputs[0]])
    assert [part.shape for part in inner(ones(2, 3))] == [(2, 2), (2, 1)]


def test_a_subclass_can_be_made_of_a_graph():
    class Classifier(keras.Model):
        def __init__(self, units):
            x = keras.Input((3,))
            super().__init__(inputs=x, outputs=layers.Dense(units)(x))
            self.units = units

        def train_step(self, data):
            self.steps = getattr(self, "steps", 0) + 1
            return super().train_step(data)

    model = Classifier(2)
    assert model.name == "classifier"
    model.compile("sgd", "mse")
    model.fit(ones(4, 3), ones(4, 2), batch_size=2, verbose=0)
    assert model.steps == 2
    assert type(keras.Model(model.inputs, model.outputs)).__name__ == "Functional"


def test_training_goes_to_the_layers_that_take_it():
    x = keras.Input((50,))
    model = keras.Model(x, layers.Dropout(0.5)(layers.Dense(50, kernel_initializer="ones")(x)))
    assert (np.asarray(model(ones(2, 50), training=True)) == 0).any()
    assert not (np.asarray(model(ones(2, 50))) == 0).any()


def test_masks_travel_along_the_graph_and_through_nested_models():
    class Masking(layers.Layer):
        def compute_mask(self, inputs, previous_mask=None):
            return ops.any(ops.not_equal(inputs, 0), axis=-1)

        def call(self, inputs):
            return inputs

    x = keras.Input((4, 2))
    masked = layers.Activation("linear")(Masking()(x))
    model = keras.Model(x, layers.GlobalAveragePooling1D()(masked))
    data = np.arange(8, dtype="float32").reshape(1, 4, 2)
    data[0, 3] = 0
    expected = data[:, :3].mean(axis=1)
    np.testing.assert_allclose(np.asarray(model(data)), expected)
    outer = keras.Input((4, 2))
    np.testing.assert_allclose(np.asarray(keras.Model(outer, model(outer))(data)), expected)
    ends = keras.Model(x, masked)(data)
    np.testing.assert_array_equal(np.asarray(get_keras_mask(ends)), [[True, True, True, False]])


# Clones


def test_clone_model_has_the_structure_and_weights_of_its_own():
    model = two_inputs()
    x = keras.Input((5,))
    tail = keras.Sequential([keras.Input((5,)), layers.Dense(2)])
    whole = keras.Model(x, layers.Dense(1)(tail(x)))
    for one in (model, whole, tail):
        clone = keras.models.clone_model(one)
        assert clone.get_config() == one.get_config()
        assert not {id(w) for w in clone.weights} & {id(w) for w in one.weights}


def test_clone_model_takes_functions_for_layers_and_calls():
    x = keras.Input((3,))
    model = keras.Model(x, layers.Dense(2)(x))

    def call(layer, *args, **kwargs):
        y = layer(*args, **kwargs)
        return layers.Activation("relu")(y) if isinstance(layer, layers.Dense) else y

    clone = keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)
    assert clone.layers[1] is model.layers[1]
    data = np.random.default_rng(1).normal(size=(8, 3)).astype("float32")
    expected = np.maximum(np.asarray(model(data)), 0)
    np.testing.assert_array_equal(np.asarray(clone(data)), expected)


def test_a_deep_copy_runs_by_itself():
    model = two_inputs()
    data = [ones(1, 2), ones(1, 3)]
    np.testing.assert_array_equal(np.asarray(copy.deepcopy(model)(data)), np.asarray(model(data)))


# Mistakes


def shaped():
    x = keras.Input((6, 4), name="x")
    return keras.Model(x, layers.Dense(2)(x), name="model")


MISTAKES = [
    (
        lambda: shaped()(ones(3, 5, 4)),
        "Functional 'model': the input with name 'x' and path '' must have another shape "
        "(expected shape=(None, 6, 4), found shape=(3, 5, 4))",
    ),
    (
        lambda: shaped()(ones(3, 5)),
        "Functional 'model': the input with name 'x' and path '' must have another shape "
        "(expected shape=(None, 6, 4), found shape=(3, 5))",
    ),
    (
        lambda: shaped().predict({"q": ones(3, 6, 4)}, verbose=0),
        "The structure of `inputs` doesn't match the expected structure: Functional 'model' "
        "expects 1 input(s), nested as 'x'. Received: inputs={'q': 'tensor of shape (3, 6, 4)'}",
    ),
    (
        lambda: shaped()([ones(1, 6, 4), ones(1, 6, 4)]),
        "The structure of `inputs` doesn't match the expected structure: Functional 'model' "
        "expects 1 input(s), nested as 'x'. "
        "Received: inputs=['tensor of shape (1, 6, 4)', 'tensor of shape (1, 6, 4)']",
    ),
    (
        lambda: keras.Model(keras.Input((3,)), 3),
        "keras.Model: All `outputs` values must be KerasTensors, as `keras.Input` and layers "
        "called on it give. Received: 3 (of type <class 'int'>)",
    ),
    (
        lambda: keras.Model([], keras.Input((3,))),
        "keras.Model: `inputs` must hold at least one tensor. Received: inputs=[]",
    ),
    (
        lambda: keras.Model(keras.Input((3,)), keras.Input((3,), name="other")),
        "keras.Model: `outputs` must be computed from `inputs` alone. Output with path `` is not "
        "connected to `inputs`: it needs a tensor that is not (the graph is disconnected). "
        "Received: <KerasTensor shape=(None, 3), dtype=float32, sparse=False, ragged=False, "
        "name=other>",
    ),
    (
        lambda: keras.Model(x := keras.Input((3,), name="x"), layers.Dense(2, name="x")(x)),
        "keras.Model: all layers and operations of a model must have different names. "
        "Received: more than one called 'x'",
    ),
    (
        lambda: keras.Model(inputs=keras.Input((3,))),
        "keras.Model: `inputs` and `outputs` must be given together, other arguments by keyword. "
        "Received: 0 positional argument(s) and ['inputs']",
    ),
    (
        lambda: layers.Add()([keras.Input((3,)), keras.Input((4,))]),
        "Add: `inputs` must have shapes that broadcast. "
        "Received: inputs of shapes [(None, 3), (None, 4)]",
    ),
    (
        lambda: layers.Subtract()([ones(1, 2)] * 3),
        "Subtract: `inputs` must be a list of 2 tensors. Received: 3 tensor(s)",
    ),
    (
        lambda: layers.Concatenate()([ones(2, 3, 1), ones(2, 4, 1)]),
        "Concatenate: `inputs` must have equal sizes on all axes but axis -1. "
        "Received: inputs of shapes [(2, 3, 1), (2, 4, 1)]",
    ),
    (
        lambda: layers.Dot(axes=1)([ones(2, 3), ones(2, 4)]),
        "Dot: `inputs` must have equal sizes on the axes (1, 1). "
        "Received: inputs of shapes [(2, 3), (2, 4)]",
    ),
    (
        lambda: layers.Dot(axes=(1, 2, 3)),
        "Dot: `axes` must be an int or a list of two ints. Received: axes=(1, 2, 3)",
    ),
]


@pytest.mark.parametrize(("make", "message"), MISTAKES, ids=range(len(MISTAKES)))
def test_mistakes_are_told(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value) == message


def test_a_tensor_of_an_operation_without_history_is_refused():
    x = keras.Input((6,))
    with pytest.raises(
        ValueError, match="Output with path `0` is not connected to `inputs`: it needs"
    ):
        keras.Model(x, [keras.KerasTensor((None, 3))])


def test_a_mismatch_inside_the_graph_names_layer_and_shapes():
    class Stubborn(layers.Layer):
        def call(self, x):
            return ops.reshape(x, (4, 6))

        def compute_output_shape(self, input_shape):
            return (4, 6)

    x = keras.Input((6, 4))
    model = keras.Model(x, Stubborn(name="stubborn")(x), name="model")
    expected = (
        r"model: 'stubborn' cannot run on inputs of shape\(s\) \(3, 6, 4\): keras.ops.reshape"
    )
    with pytest.raises(ValueError, match=expected):
        model(ones(3, 6, 4))


def test_a_layer_that_was_never_called_has_no_output():
    with pytest.raises(AttributeError, match="layer dense has never been called"):
        _ = layers.Dense(2).output
