"""The paper's 33 networks (P. Klęsk 2024: Olivetti, MNIST and CIFAR-10), built and trained.

The networks themselves stand in kerasmirror/experiments, in files that import nothing of the
package: they are loaded by their paths here, since the process with real Keras loads this file too.
"""

import importlib.util
from pathlib import Path

_FOLDER = Path(__file__).resolve().parents[2] / "kerasmirror" / "experiments"


def _loaded(name):
    spec = importlib.util.spec_from_file_location(f"cases_{name}", _FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_paper, _networks = _loaded("paper"), _loaded("networks")
NETWORKS, PARAMETERS, ROWS = _paper.NETWORKS, _paper.PARAMETERS, _paper.ROWS
build = _networks.build
INPUT_SHAPES = {"olivetti": (64, 64, 1), "mnist": (28, 28, 1), "cifar": (32, 32, 3)}


def build_row(keras, row):
    """The network of a row ("cifar:12")."""
    return build(keras, _paper.structure(row), INPUT_SHAPES[row.split(":")[0]])


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
