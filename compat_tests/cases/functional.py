"""Graphs of layers as user code: `make(keras)` gives the model, data come from its shapes."""

from typing import Any, NamedTuple


class GraphCase(NamedTuple):
    """`fed` are the shapes of the inputs and `targets` of the outputs, nested as in `fit`."""

    id: str
    make: Any
    fed: Any
    targets: Any
    compile: Any = None  # arguments of compile() beside the optimizer


def residual(keras):
    layers = keras.layers
    inputs = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(6, 3, padding="same", activation="relu")(inputs)
    for _ in range(2):
        y = layers.Conv2D(6, 3, padding="same", use_bias=False)(x)
        y = layers.BatchNormalization()(y)
        y = layers.Activation("relu")(y)
        x = layers.Add()([x, y])
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.2, seed=4)(x)
    return keras.Model(inputs, layers.Dense(4, name="out")(x), name="residual")


def two_inputs_two_outputs(keras):
    layers = keras.layers
    left = keras.Input((5,), name="left")
    right = keras.Input((3,), name="right")
    a = layers.Dense(6, activation="tanh")(left)
    b = layers.Dense(6, activation="relu")(right)
    merged = layers.Concatenate()([a, b])
    product = layers.Multiply()([a, b])
    first = layers.Dense(2, name="first")(merged)
    second = layers.Dense(1, name="second")(layers.Average()([product, b]))
    return keras.Model([left, right], [first, second])


def siamese(keras):
    layers = keras.layers
    left, right = keras.Input((6,)), keras.Input((6,))
    encoder = keras.Sequential([layers.Dense(5, activation="relu"), layers.Dense(4)], name="encode")
    difference = layers.Subtract()([encoder(left), encoder(right)])
    return keras.Model([left, right], layers.Dense(1)(difference))


def shared_layer(keras):
    inputs = keras.Input((4,))
    dense = keras.layers.Dense(4, activation="tanh")
    return keras.Model(inputs, keras.layers.Add()([dense(dense(inputs)), inputs]))


def nested(keras):
    layers = keras.layers
    inner_inputs = keras.Input((4,), name="inner_in")
    inner = keras.Model(inner_inputs, layers.Dense(3, name="inner_out")(inner_inputs), name="inner")
    inputs = keras.Input((4,), name="outer_in")
    tail = keras.Sequential([layers.Dense(5, activation="relu"), layers.Dense(2)], name="tail")
    return keras.Model(inputs, tail(inner(inputs)))


def dicts(keras):
    layers = keras.layers
    inputs = {"a": keras.Input((3,), name="a"), "b": keras.Input((2,), name="b")}
    merged = layers.Concatenate(axis=1)([inputs["a"], inputs["b"]])
    return keras.Model(inputs, {"y": layers.Dense(2)(merged), "z": layers.Dense(1)(merged)})


CASES = [
    GraphCase("residual", residual, (8, 8, 3), (4,), {"loss": "mse", "metrics": ["mae"]}),
    GraphCase(
        "two-inputs-two-outputs",
        two_inputs_two_outputs,
        [(5,), (3,)],
        [(2,), (1,)],
        {
            "loss": {"first": "mse", "second": "mae"},
            "loss_weights": {"first": 0.5, "second": 2.0},
            "metrics": {"first": ["mae"], "second": ["mse", "mae"]},
        },
    ),
    GraphCase(
        "losses-in-a-list",
        two_inputs_two_outputs,
        [(5,), (3,)],
        [(2,), (1,)],
        {"loss": ["mse", "mae"], "metrics": [["mae"], ["mse"]]},
    ),
    GraphCase("siamese", siamese, [(6,), (6,)], (1,), {"loss": "mse"}),
    GraphCase("shared-layer", shared_layer, (4,), (4,), {"loss": "mse"}),
    GraphCase("nested", nested, (4,), (2,), {"loss": "mse"}),
    GraphCase(
        "dicts",
        dicts,
        {"a": (3,), "b": (2,)},
        {"y": (2,), "z": (1,)},
        {"loss": {"y": "mse", "z": "mae"}, "metrics": {"z": ["mse"]}},
    ),
]
