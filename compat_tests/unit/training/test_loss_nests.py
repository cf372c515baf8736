"""Losses given in nests of their own: several for one output, one for several outputs."""

from collections import namedtuple

import numpy as np
import pytest

import kerasmirror as keras

X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
ONE, TWO = np.full((8, 1), 2.0, "float32"), np.full((8, 1), -1.0, "float32")
Pair = namedtuple("Pair", ["y1", "y2"])


def heads(nest):
    x = keras.Input((3,))
    y1, y2 = (keras.layers.Dense(1, name=name)(x) for name in ("y1", "y2"))
    return keras.Model(x, nest(y1, y2))


def squares(y_true, y_pred):
    """The mean of all squared differences, of nests too."""
    pairs = zip(keras.tree.flatten(y_true), keras.tree.flatten(y_pred), strict=True)
    return sum(keras.ops.mean(keras.ops.square(t - p)) for t, p in pairs)


def expected(model):
    outputs = keras.tree.flatten(model.predict(X, verbose=0))
    return [float(np.mean((y - t) ** 2)) for y, t in zip(outputs, (ONE, TWO), strict=True)]


@pytest.mark.parametrize(
    ("nest", "loss", "names"),
    [
        (lambda a, b: [a, b], ["mse", ["mse"]], {"y1_loss", "y2_loss"}),
        (lambda a, b: {"a": a, "b": b}, {"a": "mse", "b": ["mse"]}, {"a_loss", "b_loss"}),
        (lambda a, b: (a, b), [squares, ("mse", "mse")], {"y1_y2_loss", "y1_loss", "y2_loss"}),
        (
            lambda a, b: {"a": a, "b": b},
            [squares, {"a": "mse", "b": "mse"}],
            {"a_b_loss", "a_loss", "b_loss"},
        ),
        (Pair, [squares, Pair("mse", "mse")], {"y1_y2_loss", "y1_loss", "y2_loss"}),
        (
            lambda a, b: {"n": {"a": a, "b": b}},
            {"n": [squares, {"b": "mse"}]},
            {"n_loss", "n/b_loss"},
        ),
    ],
    ids=["list", "dict", "tuple-and-all", "dict-and-all", "named-tuple", "deep"],
)
def test_each_loss_sees_what_stands_at_its_place(nest, loss, names):
    model = heads(nest)
    model.compile("sgd", loss)
    logs = model.evaluate(X, nest(ONE, TWO), batch_size=8, verbose=0, return_dict=True)
    assert set(logs) == {"loss", *names}
    first, second = expected(model)
    for name, value in logs.items():
        if name in ("y1_loss", "a_loss"):
            assert value == pytest.approx(first, rel=1e-5)
        elif name in ("y2_loss", "b_loss", "n/b_loss"):
            assert value == pytest.approx(second, rel=1e-5)
        elif name != "loss":
            assert value == pytest.approx(first + second, rel=1e-5)
    assert logs["loss"] == pytest.approx(sum(v for k, v in logs.items() if k != "loss"), rel=1e-5)
    model.fit(X, nest(ONE, TWO), epochs=5, verbose=0)
    assert model.evaluate(X, nest(ONE, TWO), verbose=0)[0] < logs["loss"]


def test_weights_belong_to_the_losses_of_a_nest_in_order():
    model = heads(lambda a, b: [a, b])
    model.compile("sgd", ["mse", ["mse"]], loss_weights=[0.5, 3])
    first, second = expected(model)
    total = model.evaluate(X, [ONE, TWO], batch_size=8, verbose=0)[0]
    assert total == pytest.approx(0.5 * first + 3 * second, rel=1e-5)
    model.compile("sgd", ["mse", ["mse"]], loss_weights=[0.5, 3, 1])
    with pytest.raises(ValueError, match="2 losses and 3 weights"):
        model.evaluate(X, [ONE, TWO], verbose=0)


def test_names_of_no_output_are_told():
    as_dict, as_list = heads(lambda a, b: {"a": a, "b": b}), heads(lambda a, b: [a, b])
    as_dict.compile("sgd", {"a": "mse", "c": "mse"})
    with pytest.raises(
        KeyError, match="in the `loss` argument, can't be found in either the model"
    ):
        as_dict.evaluate(X, {"a": ONE, "b": TWO}, verbose=0)
    as_list.compile("sgd", {"y1": "mse", "c": "mse"})
    with pytest.raises(ValueError, match=r"Expected keys \['y1', 'y2'\] in `loss`"):
        as_list.evaluate(X, [ONE, TWO], verbose=0)
    as_list.compile("sgd", "mse", metrics={"c": ["mae"]})
    with pytest.raises(ValueError, match=r"Invalid `metrics`: .* Received: metrics with \['c'\]"):
        as_list.evaluate(X, [ONE, TWO], verbose=0)


def test_optional_inputs_may_be_none_in_training():
    class Maybe(keras.layers.Layer):
        def call(self, x, other=None):
            return x if other is None else x + other

        def compute_output_shape(self, x_shape):
            return x_shape

    x = keras.Input((3,), name="x")
    other = keras.Input((3,), name="other", optional=True)
    model = keras.Model({"x": x, "other": other}, keras.layers.Dense(1)(Maybe()(x, other)))
    model.compile("sgd", "mse")
    model.fit({"x": X, "other": None}, ONE, verbose=0)
    np.testing.assert_array_equal(
        model.predict({"x": X, "other": None}, verbose=0),
        model.predict({"x": X, "other": 0 * X}, verbose=0),
    )
    required = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    graph = keras.Model(required.inputs, required.outputs)
    graph.compile("sgd", "mse")
    with pytest.raises(ValueError, match="it is not optional, but None was passed"):
        graph.fit([None], ONE, verbose=0)
