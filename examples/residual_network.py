"""A residual network on digits: the Functional API.

python examples/residual_network.py                # on kerasmirror
python examples/residual_network.py --real-keras   # the same script on Keras

A block computes `relu(f(x) + x)`, so that it has to learn only what is to be changed in its input
(He et al. 2016, https://arxiv.org/abs/1512.03385). Where sizes change, x goes through a convolution
of one pixel.
"""

from _common import digits, keras, parse, report

layers = keras.layers


def block(x, filters, strides=1):
    """Two convolutions with batch normalization, and the way around them."""
    around = x
    if strides != 1 or x.shape[-1] != filters:
        around = layers.Conv2D(filters, 1, strides=strides, use_bias=False)(x)
        around = layers.BatchNormalization(momentum=0.9)(around)
    y = layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
    y = layers.BatchNormalization(momentum=0.9)(y)
    y = layers.Activation("relu")(y)
    y = layers.Conv2D(filters, 3, padding="same", use_bias=False)(y)
    y = layers.BatchNormalization(momentum=0.9)(y)
    return layers.Activation("relu")(layers.Add()([y, around]))


def build(shape, classes, widths=(16, 32, 64)):
    """Two blocks of each width; each wider pair halves height and width."""
    inputs = keras.Input(shape)
    x = layers.Conv2D(widths[0], 3, padding="same", activation="relu")(inputs)
    for number, width in enumerate(widths):
        x = block(x, width, strides=1 if number == 0 else 2)
        x = block(x, width)
    x = layers.GlobalAveragePooling2D()(x)
    outputs = layers.Dense(classes, activation="softmax")(x)
    return keras.Model(inputs, outputs, name="residual_network")


def main(arguments=None):
    options = parse(__doc__, epochs=4, arguments=arguments)
    keras.utils.set_random_seed(options.seed)
    (x, y), test, classes = digits(options)
    model = build(x.shape[1:], classes, (4, 8) if options.quick else (16, 32, 64))
    model.compile(
        optimizer=keras.optimizers.SGD(0.02, momentum=0.9),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,  # compiling would take TensorFlow longer than these few steps
    )
    if not options.json:
        model.summary()
    history = model.fit(
        x,
        y,
        batch_size=options.batch_size,
        epochs=options.epochs,
        validation_data=test,
        verbose=options.verbose,
    )
    accuracy = history.history["val_accuracy"][-1]
    losses = {name: history.history[name] for name in ("loss", "val_loss")}
    return report(options, losses, f"test accuracy {accuracy:.2%}")


if __name__ == "__main__":
    main()
