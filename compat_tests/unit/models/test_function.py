"""keras.Operation, keras.Function, and calls of keras.ops as nodes with configs."""

import time

import numpy as np
import pytest

import kerasmirror as keras

layers, ops = keras.layers, keras.ops
X = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")


class Affine(keras.Operation):
    def __init__(self, factor, *, shift=1.0, name=None):
        super().__init__(name=name)
        self.factor = factor
        self.shift = shift

    def call(self, x):
        return self.factor * x + self.shift


def test_an_operation_computes_on_arrays_and_becomes_a_node_on_placeholders():
    operation = Affine(2.0)
    np.testing.assert_allclose(np.asarray(operation(X)), 2 * X + 1, rtol=1e-6)
    x = keras.Input((4,))
    y = operation(x)
    assert isinstance(y, keras.KerasTensor) and y.shape == (None, 4)
    assert operation.input is x and operation.output is y
    model = keras.Model(x, y)
    np.testing.assert_allclose(model.predict(X, verbose=0), 2 * X + 1, rtol=1e-6)
    assert isinstance(layers.Dense(1), keras.Operation)
    assert isinstance(model, keras.Function)


def test_an_operation_of_one_s_own_is_saved_by_its_arguments(tmp_path):
    assert Affine(2.0, name="a").get_config() == {"factor": 2.0, "shift": 1.0, "name": "a"}
    x = keras.Input((4,))
    model = keras.Model(x, Affine(3.0, shift=0.5)(x))
    model.save(tmp_path / "m.keras")
    twin = keras.saving.load_model(tmp_path / "m.keras", custom_objects={"Affine": Affine})
    np.testing.assert_array_equal(np.asarray(twin(X)), np.asarray(model(X)))
    with pytest.raises(NotImplementedError, match="`get_config\\(\\)` must be defined"):
        Affine(object()).get_config()
    with pytest.raises(ValueError, match="must be a string and cannot contain character `/`"):
        Affine(1.0, name="a/b")


def test_an_operation_whose_shape_cannot_be_told_says_so():
    class Values(keras.Operation):
        def call(self, x):
            return np.asarray(x)

    with pytest.raises(ValueError, match="Values: the output's shape and dtype of operation"):
        Values()(keras.Input((4,)))


def test_a_function_runs_a_graph_of_placeholders_without_inputs():
    a, b = keras.KerasTensor((None, 4)), keras.KerasTensor((None, 4))
    total = a + b
    function = keras.Function({"a": a, "b": b}, [total * 2, ops.square(total)], name="f")
    assert [one.name.rstrip("_0123456789") for one in function.operations] == [
        "add",
        "multiply",
        "square",
    ]
    twice, square = function({"a": X, "b": X})
    np.testing.assert_allclose(np.asarray(twice), 4 * X, rtol=1e-6)
    np.testing.assert_allclose(np.asarray(square), 4 * X * X, rtol=1e-6)
    shapes = function.compute_output_shape({"a": (7, 4), "b": (7, 4)})
    assert shapes == [(7, 4), (7, 4)]


def test_a_function_refuses_other_structures_and_shapes():
    a, b = keras.KerasTensor((2, 4), name="a"), keras.KerasTensor((2, 4), name="b")
    function = keras.Function([a, b], a + b, name="f")
    with pytest.raises(ValueError, match=r"invalid input structure: .* nested as \['a', 'b'\]"):
        function(X)
    with pytest.raises(ValueError) as raised:
        function([X[:2], X])
    assert str(raised.value) == (
        "Function 'f' got incompatible inputs: 'b' must have shape (2, 4). "
        "Received: a tensor of shape (3, 4)"
    )
    with pytest.raises(ValueError, match="`outputs` argument cannot be empty"):
        keras.Function(a, [])
    with pytest.raises(ValueError, match="Output with path `1` is not connected to `inputs`"):
        keras.Function(a, [a * 2, b * 2])


CALLS = {
    "operators": lambda x: (1 - x) / (x * x + 2) ** 2 % 3 // 1,
    "items": lambda x: ops.concatenate([x[:, 0:2], x[..., ::-1]], axis=-1)[:, 1],
    "comparisons": lambda x: ops.where((x > 0) & ~(x >= 1), x, -abs(x)),
    "reductions": lambda x: ops.sum(x, axis=1, keepdims=True) + ops.max(x, axis=-1, keepdims=True),
    "shapes": lambda x: ops.transpose(ops.reshape(x, (-1, 2, 2)), (0, 2, 1)),
    "several": lambda x: ops.stack(ops.split(x, 2, axis=1), axis=2),
    "matrices": lambda x: x @ np.ones((4, 2), "float32"),
    "einsum": lambda x: ops.einsum("bi,bj->bij", x, x),
    "arrays": lambda x: np.ones(4, "float32") + x + ops.convert_to_tensor([1.0, 2.0, 3.0, 4.0]),
    "activations": lambda x: ops.leaky_relu(ops.gelu(x), negative_slope=0.1),
    "types": lambda x: ops.cast(ops.cast(x, "int32"), "float32"),
    "one-hot": lambda x: ops.one_hot(ops.argmax(x, axis=-1), 4),
    "pad": lambda x: ops.pad(x, ((0, 0), (1, 1)), constant_values=2.0),
    "clip": lambda x: ops.clip(x, -0.5, 0.5),
    "normalization": lambda x: ops.layer_normalization(x, axis=-1),
    "keywords": lambda x: ops.mean(x=x, axis=1),
}


@pytest.mark.parametrize("name", CALLS)
def test_operations_on_placeholders_come_back_from_json(name):
    x = keras.Input((4,))
    model = keras.Model(x, CALLS[name](x))
    eager = np.asarray(CALLS[name](ops.convert_to_tensor(X)))
    np.testing.assert_allclose(np.asarray(model(X)), eager, rtol=1e-6)
    twin = keras.models.model_from_json(model.to_json())
    np.testing.assert_array_equal(np.asarray(twin(X)), np.asarray(model(X)))
    clone = keras.models.clone_model(model)
    np.testing.assert_array_equal(np.asarray(clone(X)), np.asarray(model(X)))


def test_what_files_have_no_name_for_runs_and_says_why_it_has_no_config():
    x, limit = keras.Input((4,)), keras.Input((1,))
    model = keras.Model([x, limit], ops.clip(x, 0.0, limit))  # Keras takes numbers only
    np.testing.assert_allclose(
        np.asarray(model([X, np.ones((3, 1), "float32")])), np.clip(X, 0, 1), rtol=1e-6
    )
    with pytest.raises(NotImplementedError, match="the call of `keras.ops.clip` has no config"):
        model.get_config()


def test_questions_about_placeholders_make_no_nodes():
    x = keras.Input((4,))
    assert ops.shape(x) == (None, 4) and ops.ndim(x) == 2
    assert x._keras_history.operation._outbound_nodes == []


def test_inputs_become_tensors_of_their_declared_dtype():
    half, whole = keras.Input((2,), dtype="float16"), keras.Input((2,), dtype="int32")
    model = keras.Model([half, whole], [half + 1, whole + 1])
    ones = np.ones((3, 2))
    assert [y.dtype for y in model([ones, ones])] == ["float16", "int32"]


def test_a_layer_in_mixed_precision_adds_no_cast_to_the_graph():
    x = keras.Input((4,))
    model = keras.Model(x, layers.Dense(2, dtype="mixed_float16")(x))
    assert len(model.operations) == 2
    assert model(X).dtype == "float16"


def test_a_graph_of_two_hundred_calls_is_built_in_well_under_a_second():
    start = time.perf_counter()
    x = y = keras.Input((8,))
    for _ in range(100):
        y = ops.relu(layers.Dense(8)(y))
    model = keras.Model(x, y)
    assert len(model.operations) == 201
    assert time.perf_counter() - start < 2  # 0.1 s where nothing else runs
