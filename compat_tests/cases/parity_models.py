"""Models for the comparison of both packages; some with a defect planted on one side."""

import numpy as np


def small(keras):
    """Convolution, pooling, dropout, dense."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            keras.layers.Conv2D(4, 3, activation="relu", name="first"),
            keras.layers.MaxPooling2D(2, name="pool"),
            keras.layers.Dropout(0.25, name="drop"),
            keras.layers.Flatten(name="flat"),
            keras.layers.Dense(8, activation="tanh", name="hidden"),
            keras.layers.Dense(3, activation="softmax", name="last"),
        ]
    )


def branched(keras):
    """A graph with two branches and a layer that is called twice."""
    inputs = keras.Input((6,), name="inputs")
    shared = keras.layers.Dense(6, activation="relu", name="shared")
    twice = shared(shared(inputs))
    other = keras.layers.Dense(6, name="other")(inputs)
    return keras.Model(inputs, keras.layers.Dense(2, name="out")(twice + other))


def _on_our_side(keras):
    return keras.__name__ == "kerasmirror"


def wrong_forward(keras):
    """`hidden` adds a little to one element, in kerasmirror alone."""
    model = small(keras)
    if _on_our_side(keras):
        layer = model.get_layer("hidden")
        usual = layer.call

        def call(inputs, training=None):
            outputs = usual(inputs, training=training)
            mask = np.zeros(outputs.shape, "float32")
            mask[1, 2] = 0.01
            return outputs + mask

        layer.call = call
    return model


def wrong_backward(keras):
    """The gradient with respect to the input of `hidden` is a little too large."""
    model = small(keras)
    if _on_our_side(keras):
        layer = model.get_layer("hidden")
        usual = layer.call

        @keras.ops.custom_gradient
        def passed(x):
            return x, lambda dy: dy * 1.01

        layer.call = lambda inputs, training=None: usual(passed(inputs))
    return model


def wrong_weight_gradient(keras):
    """The gradient with respect to the bias of `last` is a little too large."""
    model = small(keras)
    if _on_our_side(keras):
        layer = model.get_layer("last")

        @keras.ops.custom_gradient
        def passed(x):
            return x, lambda dy: dy * 1.01

        layer.call = lambda x, training=None: keras.ops.softmax(
            keras.ops.matmul(x, layer.kernel) + passed(keras.ops.convert_to_tensor(layer.bias))
        )
    return model


def wrong_start(keras):
    """Other initial weights."""
    model = small(keras)
    if _on_our_side(keras):
        model.get_layer("last").kernel.assign_add(np.full((8, 3), 0.1, "float32"))
    return model


def other_shape(keras):
    """A layer of another size."""
    units = 5 if _on_our_side(keras) else 4
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(units)])


def cannot_be_built(keras):
    """A mistake of the user's."""
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(-2)])


def two_outputs(keras):
    """What the comparison does not take."""
    inputs = keras.Input((3,))
    outputs = [keras.layers.Dense(1)(inputs), keras.layers.Dense(2)(inputs)]
    return keras.Model(inputs, outputs, name="two")
