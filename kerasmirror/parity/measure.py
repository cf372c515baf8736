"""What is measured of a model, written against `keras`, which is either package.

The child process loads this file by its path, so it imports nothing of kerasmirror.
"""

import numpy as np


def built_model(keras, build, seed):
    """The model `build(keras)` makes right after `keras.utils.set_random_seed(seed)`."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    return build(keras)


def as_numpy(keras, value):
    """A tensor as a NumPy array."""
    return np.asarray(keras.ops.convert_to_numpy(value))


def initial_weights(keras, build, seed):
    """The weights a model starts with."""
    return built_model(keras, build, seed).get_weights()


def forward_and_gradients(keras, build, seed, weights, x, y, loss):
    """Inference outputs, the loss, and the gradient of each trainable weight, dropout off.

    `weights` replace the initial ones; `loss` is a name or what `keras.losses.get` takes.
    """
    model = built_model(keras, build, seed)
    if not model.built:
        model(x)
    if weights is not None:
        model.set_weights(weights)
    loss = keras.losses.get(loss)
    outputs = as_numpy(keras, model(x, training=False))
    mean_loss, gradients = loss_and_gradients(keras, model, x, y, loss)
    names = [variable.path.split("/", 1)[-1] for variable in model.trainable_weights]
    return {"outputs": outputs, "loss": mean_loss, "gradients": gradients, "names": names}


def loss_and_gradients(keras, model, x, y, loss):
    """Mean loss of a batch, regularization included, and its gradients."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow

        tape_type = tensorflow.GradientTape
    else:
        tape_type = keras.autodiff.GradientTape

    def batch_loss():
        values = loss(keras.ops.convert_to_tensor(y), model(x, training=False))
        total = keras.ops.mean(values)
        for penalty in model.losses:
            total = total + penalty
        return total

    with tape_type() as tape:
        total = batch_loss()
    weights = model.trainable_weights
    if keras.backend.backend() == "tensorflow":
        weights = [variable.value for variable in weights]
    gradients = tape.gradient(total, weights)
    gradients = [
        np.zeros(w.shape, "float32") if g is None else as_numpy(keras, g)
        for w, g in zip(weights, gradients)  # noqa: B905 - one gradient per weight by contract
    ]
    return float(as_numpy(keras, total)), gradients


def training_curve(keras, build, seed, weights, x, y, loss, optimizer, steps, batch_size):
    """The loss of each of `steps` training steps of `fit`, shuffled, dropout on; final weights."""
    model = built_model(keras, build, seed)
    if weights is not None:
        model.set_weights(weights)
    if isinstance(optimizer, dict):
        optimizer = keras.optimizers.get(optimizer)
    model.compile(optimizer=optimizer, loss=loss)
    losses = []

    class Recorder(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            losses.append(float(logs["loss"]))
            self.model.reset_metrics()  # so that the next value is that of one step

    epochs = -(-steps * batch_size // len(x))
    model.fit(x, y, batch_size=batch_size, epochs=epochs, verbose=0, callbacks=[Recorder()])
    return {"losses": losses[:steps], "weights": model.get_weights()}
