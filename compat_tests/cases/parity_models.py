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


def no_model(keras):
    """Gives nothing, as a function without `return`."""


def two_lists(keras):
    """Two inputs and two outputs in lists, of a class and of a number."""
    left, right = keras.Input((6,), name="left"), keras.Input((4,), name="right")
    hidden = keras.layers.Dense(8, activation="relu", name="hidden")(left)
    both = keras.layers.Concatenate(name="both")([hidden, right])
    kind = keras.layers.Dense(3, activation="softmax", name="kind")(both)
    return keras.Model([left, right], [kind, keras.layers.Dense(1, name="size")(both)])


def two_dicts(keras):
    """Images and tokens by name, two losses with weights, compiled; a layer with three outputs."""
    inputs = {"image": keras.Input((6, 6, 2)), "tokens": keras.Input((5,), dtype="int32")}
    seen = keras.layers.Flatten()(keras.layers.Conv2D(3, 3, activation="relu")(inputs["image"]))
    words = keras.layers.Embedding(20, 6)(inputs["tokens"])
    _, state, _ = keras.layers.LSTM(4, return_state=True, name="reader")(words)
    both = keras.layers.Concatenate()([seen, state])
    kind = keras.layers.Dense(3, activation="softmax", name="last_of_kind")(both)
    model = keras.Model(inputs, {"kind": kind, "size": keras.layers.Dense(1)(both)})
    losses = {"kind": "categorical_crossentropy", "size": "mean_absolute_error"}
    model.compile("sgd", losses, loss_weights={"kind": 1.0, "size": 0.5})
    return model


def own_class(keras):
    """A class of one's own: a dict in, a dict out, a loss that is a function."""

    class Two(keras.Model):
        def __init__(self):
            super().__init__()
            self.first = keras.layers.Dense(4, activation="tanh", name="first")
            self.value = keras.layers.Dense(2, name="value")
            self.kind = keras.layers.Dense(3, activation="softmax", name="kind")

        def call(self, inputs):
            x = self.first(inputs["a"]) + self.first(inputs["b"])
            return {"value": self.value(x), "kind": self.kind(x)}

    def absolute(y_true, y_pred):
        return keras.ops.mean(keras.ops.abs(y_true - y_pred), axis=-1)

    model = Two()
    model.compile("adam", {"value": absolute, "kind": "sparse_categorical_crossentropy"})
    return model


def wrong_training(keras):
    """`hidden` gives a little more in training, in kerasmirror alone."""
    model = small(keras)
    if _on_our_side(keras):
        layer = model.get_layer("hidden")
        usual = layer.call
        layer.call = lambda inputs, training=None: usual(inputs) * (1.001 if training else 1)
    return model


def deciding_with_wrong_gradient(keras):
    """`deciding`, and a gradient of `pairs` which is a little too large on our side."""
    model = deciding(keras)
    if _on_our_side(keras):
        layer = model.get_layer("pairs")
        usual = layer.call
        passed = keras.ops.custom_gradient(lambda x: (x, lambda dy: dy * 1.001))
        layer.call = lambda inputs, training=None: usual(passed(inputs))
    return model


def wrong_maximum(keras):
    """`deciding` of values that are equal on both sides: our maximum takes the second of two."""
    model = deciding(keras, moved=False)
    if _on_our_side(keras):
        layer, ops = model.get_layer("pool"), keras.ops
        usual = layer.call

        @ops.custom_gradient
        def passed(x):
            def backward(dy):
                to_second = ops.cast(x[:, 1::2] >= x[:, ::2], "float32") * dy
                both = ops.stack([dy - to_second, to_second], axis=2)
                return ops.reshape(both, ops.shape(x))

            return usual(x), backward

        layer.call = lambda inputs, training=None: passed(inputs)
    return model


def deciding(keras, moved=True):
    """A maximum of pairs of values which our side moves by less than is allowed, and by halves."""
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(4, use_bias=False, kernel_initializer="identity", name="before"),
            keras.layers.Dense(4, use_bias=False, kernel_initializer="identity", name="pairs"),
            keras.layers.Reshape((4, 1), name="line"),
            keras.layers.MaxPooling1D(2, name="pool"),
            keras.layers.Flatten(name="flat"),
            keras.layers.Dense(1, name="last"),
        ]
    )
    if _on_our_side(keras) and moved:
        layer = model.get_layer("pairs")
        usual = layer.call
        by = np.array([0, 1e-6, 0, 1e-6], "float32")
        layer.call = lambda inputs, training=None: usual(inputs) + by
    return model


def filtering(keras):
    """Two convolutions and a maximum: equal in Keras where patches of an image are equal."""
    return keras.Sequential(
        [
            keras.Input((16, 16, 1)),
            keras.layers.Conv2D(16, 3, activation="relu", name="first"),
            keras.layers.Conv2D(16, 3, activation="relu", name="second"),
            keras.layers.MaxPooling2D(2, name="pool"),
            keras.layers.Flatten(name="flat"),
            keras.layers.Dense(3, activation="softmax", name="last"),
        ]
    )


def filtering_with_wrong_gradient(keras):
    """`filtering`, and a gradient through `second` which is a little too large on our side."""
    model = filtering(keras)
    if _on_our_side(keras):
        layer = model.get_layer("second")
        usual = layer.call
        passed = keras.ops.custom_gradient(lambda x: (x, lambda dy: dy * 1.001))
        layer.call = lambda inputs, training=None: usual(passed(inputs))
    return model
