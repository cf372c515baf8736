"""The paper's 33 networks (P. Klęsk 2024: Olivetti, MNIST and CIFAR-10), as it writes them.

C(window, filters, activation), M(window) max pooling, DR(rate) dropout, F() flatten, D(units,
activation); "x2" repeats, r is relu, sm softmax.
"""

import re

_MNIST_END = "F();D(128,r);DR(0.125);D(10,sm)"
_CIFAR_END = "F();D(128,r);DR(0.5);D(10,sm)"
_OLIVETTI_END = "F();D(64,r);DR(0.25);D(40,sm)"

NETWORKS = {
    "olivetti": [
        "F();D(8,r);DR(0.25);D(40,sm)",
        _OLIVETTI_END,
        "F();D(64,r);DR(0.25);D(64,r);DR(0.25);D(40,sm)",
        "C(5,8,r);M(4);DR(0.25);" + _OLIVETTI_END,
        "C(9,16,r);M(4);DR(0.25);" + _OLIVETTI_END,
        "C(5,8,r);M(4);DR(0.25);C(3,16,r);M(2);DR(0.25);" + _OLIVETTI_END,
        "C(5,8,r);M(2);DR(0.25);C(3,16,r);M(2);DR(0.25);" + _OLIVETTI_END,
        "C(5,8,r)x2;M(4);DR(0.25);" + _OLIVETTI_END,
        "C(3,8,r)x2;M(4);DR(0.25);" + _OLIVETTI_END,
        "C(5,8,r)x2;M(2);DR(0.25);C(3,16,r)x2;M(2);DR(0.25);" + _OLIVETTI_END,
        "C(5,8,r)x2;M(4);DR(0.25);C(3,32,r)x2;M(2);DR(0.25);" + _OLIVETTI_END,
    ],
    "mnist": [
        "F();D(128,r);DR(0.125);D(128,r);DR(0.125);D(10,sm)",
        "F();D(512,r);DR(0.125);D(512,r);DR(0.125);D(10,sm)",
        "F();D(512,r);DR(0.125);D(512,r);DR(0.125);D(512,r);DR(0.125);D(10,sm)",
        "C(7,64,r);M(2);DR(0.125);" + _MNIST_END,
        "C(7,64,r);M(2);DR(0.125);C(5,128,r);M(2);DR(0.125);" + _MNIST_END,
        "C(5,64,r);M(2);DR(0.125);C(3,128,r);M(2);DR(0.125);" + _MNIST_END,
        "C(5,32,r)x2;M(2);DR(0.125);C(3,64,r)x2;M(2);DR(0.125);" + _MNIST_END,
        "C(3,32,r)x2;M(2);DR(0.125);C(3,64,r)x2;M(2);DR(0.125);C(3,128,r)x2;M(2);DR(0.125);"
        + _MNIST_END,
        "C(5,32,r)x2;M(2);DR(0.125);C(3,64,r)x2;M(2);DR(0.125);C(3,128,r)x2;M(2);DR(0.125);"
        + _MNIST_END,
        "C(5,32,r)x2;M(2);DR(0.125);C(3,64,r)x2;M(2);DR(0.25);C(3,128,r)x2;M(2);DR(0.5);"
        + _CIFAR_END,
    ],
    "cifar": [
        "F();D(512,r);DR(0.25);D(512,r);DR(0.25);D(512,r);DR(0.25);D(10,sm)",
        "F();D(512,r);DR(0.125);D(512,r);DR(0.125);D(512,r);DR(0.125);D(10,sm)",
        "C(3,32,r);M(2);DR(0.125);" + _MNIST_END,
        "C(3,32,r);M(2);DR(0.125);F();D(128,r);DR(0.25);D(10,sm)",
        "C(7,32,r);M(2);DR(0.125);" + _MNIST_END,
        "C(7,32,r);M(2);DR(0.125);C(5,64,r);M(2);DR(0.125);" + _MNIST_END,
        "C(3,32,r);C(5,16,r);M(2);DR(0.125);F();D(128,r);DR(0.25);D(10,sm)",
        "C(7,32,r);C(5,32,r);M(2);DR(0.125);C(3,64,r)x2;M(2);DR(0.25);" + _CIFAR_END,
        "C(3,32,r)x2;M(2);DR(0.125);C(3,64,r)x2;M(2);DR(0.125);" + _MNIST_END,
        "C(3,32,r)x2;M(2);DR(0.125);C(3,64,r)x2;M(2);DR(0.25);" + _CIFAR_END,
        "C(3,32,r)x2;M(2);DR(0.125);C(3,64,r)x2;M(2);DR(0.125);C(3,128,r)x2;M(2);DR(0.125);"
        + _MNIST_END,
        "C(3,32,r)x2;M(2);DR(0.125);C(3,64,r)x2;M(2);DR(0.25);C(3,128,r)x2;M(2);DR(0.5);"
        + _CIFAR_END,
    ],
}
# Parameters as the paper prints them: a check that the strings are read as they are meant.
PARAMETERS = {
    "olivetti": [
        33136, 264808, 268968, 133944, 266120, 69576, 266184, 135552, 134400, 270112, 147136,
    ],
    "mnist": [
        118282, 669706, 932362, 1610250, 1012362, 879754, 484714, 435306, 452202, 452202,
    ],
    "cifar": [
        2103818, 2103818, 1050890, 1050890, 1054730, 581706, 539418, 611498, 591274, 591274,
        550570, 550570,
    ],
}  # fmt: skip
INPUT_SHAPES = {"olivetti": (64, 64, 1), "mnist": (28, 28, 1), "cifar": (32, 32, 3)}
ROWS = [f"{table}:{i + 1}" for table, rows in NETWORKS.items() for i in range(len(rows))]

_ACTIVATIONS = {"r": "relu", "sm": "softmax"}


def build_row(keras, row):
    """The network of a row ("cifar:12")."""
    table, number = row.split(":")
    return build(keras, NETWORKS[table][int(number) - 1], INPUT_SHAPES[table])


def build(keras, structure, input_shape):
    """The network of a structure: He-uniform weights before relu, Glorot-uniform else."""
    model = keras.Sequential([keras.Input(input_shape)])
    for part in structure.split(";"):
        kind, inside, times = re.fullmatch(r"(C|M|DR|F|D)\(([^)]*)\)(?:x(\d))?", part).groups()
        for _ in range(int(times or 1)):
            model.add(_layer(keras, kind, inside.split(",")))
    return model


def _layer(keras, kind, values):
    layers = keras.layers
    if kind == "C":
        return layers.Conv2D(
            int(values[1]),
            int(values[0]),
            padding="same",
            activation=_ACTIVATIONS[values[2]],
            kernel_initializer="he_uniform",
        )
    if kind == "D":
        initializer = "he_uniform" if values[1] == "r" else "glorot_uniform"
        return layers.Dense(
            int(values[0]), activation=_ACTIVATIONS[values[1]], kernel_initializer=initializer
        )
    if kind == "M":
        return layers.MaxPooling2D(int(values[0]))
    return layers.Dropout(float(values[0])) if kind == "DR" else layers.Flatten()


def scaled(images, row):
    """Pixels from [0, 255] to [-1, 1], in the shape the row's network takes."""
    shape = INPUT_SHAPES[row.split(":")[0]]
    return (images / 127.5 - 1).astype("float32").reshape(-1, *shape)


def initial_weights(keras, row, seed):
    """The weights a row's network starts from after `set_random_seed(seed)`."""
    keras.utils.set_random_seed(seed)
    return build_row(keras, row).get_weights()


def accuracy_on_test_data(keras, row, train, test, epochs, batch_size, seed):
    """The row's network trained with Adam at 1e-3 from one seed: its accuracy on the test data.

    train and test are (images in [0, 255], labels).
    """
    keras.utils.set_random_seed(seed)
    model = build_row(keras, row)
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(scaled(train[0], row), train[1], batch_size=batch_size, epochs=epochs, verbose=0)
    results = model.evaluate(scaled(test[0], row), test[1], verbose=0, return_dict=True)
    return results["accuracy"]


def training_losses(keras, row, images, labels, steps, batch_size, seed):
    """The loss of each of `steps` steps of a shuffled `fit` with dropout on, from one seed."""
    keras.utils.set_random_seed(seed)
    model = build_row(keras, row)
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss="sparse_categorical_crossentropy")
    losses = []

    class Recorder(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            losses.append(float(logs["loss"]))
            self.model.reset_metrics()  # so that the next value is that of one step

    model.fit(
        scaled(images, row),
        labels,
        batch_size=batch_size,
        steps_per_epoch=steps,
        verbose=0,
        callbacks=[Recorder()],
    )
    return losses
