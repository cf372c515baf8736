"""A network of binary neurons: a layer with a gradient of its own.

python examples/custom_gradient.py                # on kerasmirror
python examples/custom_gradient.py --real-keras   # the same script on Keras

The sign of a number has the derivative 0, through which nothing can be learnt. The straight-through
estimator lets the gradient pass where the number is between -1 and 1, as if the sign were the
number itself (Hubara et al. 2016, https://arxiv.org/abs/1602.02830).
"""

from _common import digits, keras, parse, report

layers, ops = keras.layers, keras.ops


@ops.custom_gradient
def binary(x):
    """-1 below zero, else 1; the gradient is that of x cut to [-1, 1]."""
    y = ops.where(x >= 0, 1.0, -1.0)

    def gradient(*upstream):
        return upstream[0] * ops.cast(ops.abs(x) <= 1, "float32")

    return y, gradient


class BinaryDense(layers.Layer):
    """sign(x sign(W) + b): both the weights that are used and the outputs are -1 or 1."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.kernel = self.add_weight(
            shape=(input_shape[-1], self.units), initializer="glorot_uniform", name="kernel"
        )
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")

    def call(self, inputs):
        # Divided by the root of their number, the sums are of the size where gradients pass.
        signs = binary(ops.convert_to_tensor(self.kernel))
        sums = ops.matmul(inputs, signs) / self.kernel.shape[0] ** 0.5
        return binary(sums + self.bias)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def build(shape, classes, units):
    return keras.Sequential(
        [
            keras.Input(shape),
            layers.Flatten(),
            layers.Rescaling(2.0, offset=-1.0),
            BinaryDense(units, name="binary_1"),
            BinaryDense(units, name="binary_2"),
            layers.Dense(classes, activation="softmax"),
        ]
    )


def main(arguments=None):
    options = parse(__doc__, epochs=8, arguments=arguments)
    keras.utils.set_random_seed(options.seed)
    (x, y), test, classes = digits(options)
    model = build(x.shape[1:], classes, 32 if options.quick else 512)
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    history = model.fit(
        x,
        y,
        batch_size=options.batch_size,
        epochs=options.epochs,
        validation_data=test,
        verbose=options.verbose,
    )
    bits = sum(model.get_layer(f"binary_{n}").get_weights()[0].size for n in (1, 2))
    accuracy = history.history["val_accuracy"][-1]
    losses = {name: history.history[name] for name in ("loss", "val_loss")}
    return report(options, losses, f"test accuracy {accuracy:.2%} with {bits:,} weights of one bit")


if __name__ == "__main__":
    main()
