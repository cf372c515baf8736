"""Custom training as Keras's guides teach it, written once: the curves of real Keras and ours.

With TensorFlow the tape is `tf.GradientTape`, here it is `keras.autodiff.GradientTape`; all else
is the same code.
"""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.keras

RNG = np.random.default_rng(12)
X = RNG.normal(size=(40, 6)).astype("float32")
Y = RNG.uniform(0.05, 0.95, size=(40, 3)).astype("float32")
LABELS = RNG.integers(0, 3, 40)
WEIGHT = RNG.uniform(0.5, 2.0, 40).astype("float32")


def tape_of(keras):
    if keras.__name__ == "keras":
        import tensorflow

        return tensorflow.GradientTape
    return keras.autodiff.GradientTape


def start(keras):
    keras.utils.clear_session()
    keras.utils.set_random_seed(21)


def quick(keras):
    """No graphs, which Keras takes seconds to trace; here nothing changes."""
    return {"run_eagerly": keras.__name__ == "keras"}


def set_weights(model):
    rng = np.random.default_rng(4)
    values = [rng.uniform(-0.5, 0.6, w.shape).astype(w.dtype) for w in model.get_weights()]
    # Vectors among them are variances.
    model.set_weights([np.abs(w) + 0.05 if w.ndim == 1 else w for w in values])
    return model


def graph(keras, kind, units=3, activation=None, **options):
    layers = keras.layers
    x = keras.Input((6,))
    h = layers.Dense(8, activation="relu", **options)(x)
    h = layers.BatchNormalization()(h)
    h = layers.Add()([h, layers.Dense(8, activation="tanh")(h)])
    return set_weights(kind(x, layers.Dense(units, activation=activation)(h)))


def curve(keras, model, *args, epochs=5, **options):
    """The logs of each step of `fit` (four an epoch), and the weights after it."""
    steps = []

    class Noting(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            steps.append({name: float(value) for name, value in logs.items()})

    options = {"batch_size": 10, "epochs": epochs, "verbose": 0, "shuffle": False, **options}
    model.fit(*args, callbacks=[Noting()], **options)
    return steps, [np.array(w) for w in model.get_weights()]


def a_train_step_that_updates_the_compiled_metrics(keras):
    start(keras)
    tape_class = tape_of(keras)

    class CustomModel(keras.Model):
        def train_step(self, data):
            x, y = data
            with tape_class() as tape:
                y_pred = self(x, training=True)
                loss = self.compute_loss(y=y, y_pred=y_pred)
            weights = self.trainable_variables
            self.optimizer.apply(tape.gradient(loss, weights), weights)
            for metric in self.metrics:
                if metric.name == "loss":
                    metric.update_state(loss)
                else:
                    metric.update_state(y, y_pred)
            return {m.name: m.result() for m in self.metrics}

    model = graph(keras, CustomModel, kernel_regularizer="l2")
    model.compile("adam", "mse", metrics=["mae"], **quick(keras))
    return curve(keras, model, X, Y)


def a_train_step_with_metrics_of_its_own(keras):
    start(keras)
    tape_class = tape_of(keras)

    class CustomModel(keras.Model):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.loss_tracker = keras.metrics.Mean(name="loss")
            self.mae_metric = keras.metrics.MeanAbsoluteError(name="mae")
            self.loss_fn = keras.losses.MeanSquaredError()

        def train_step(self, data):
            x, y = data
            with tape_class() as tape:
                y_pred = self(x, training=True)
                loss = self.loss_fn(y, y_pred)
            weights = self.trainable_weights
            gradients = tape.gradient(loss, weights)
            self.optimizer.apply_gradients(zip(gradients, weights, strict=True))
            self.loss_tracker.update_state(loss)
            self.mae_metric.update_state(y, y_pred)
            return {"loss": self.loss_tracker.result(), "mae": self.mae_metric.result()}

        @property
        def metrics(self):
            return [self.loss_tracker, self.mae_metric]

    model = graph(keras, CustomModel)
    model.compile(optimizer=keras.optimizers.RMSprop(0.01), **quick(keras))
    return curve(keras, model, X, Y)


def weighted_step(keras):
    tape_class = tape_of(keras)

    class CustomModel(keras.Model):
        def train_step(self, data):
            x, y, sample_weight = data if len(data) == 3 else (*data, None)
            with tape_class() as tape:
                y_pred = self(x, training=True)
                loss = self.compute_loss(
                    x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=True
                )
            weights = self.trainable_variables
            self.optimizer.apply(tape.gradient(loss, weights), weights)
            for metric in self.metrics:
                if metric.name == "loss":
                    metric.update_state(loss)
                else:
                    metric.update_state(y, y_pred, sample_weight=sample_weight)
            return {m.name: m.result() for m in self.metrics}

    return CustomModel


def a_train_step_with_sample_weights(keras):
    start(keras)
    model = graph(keras, weighted_step(keras), activation="sigmoid")
    model.compile("adam", "binary_crossentropy", weighted_metrics=["mse"], **quick(keras))
    return curve(keras, model, X, Y, sample_weight=WEIGHT)


def a_train_step_with_class_weights(keras):
    start(keras)
    model = graph(keras, weighted_step(keras), activation="softmax")
    loss = "sparse_categorical_crossentropy"
    model.compile("adam", loss, metrics=["accuracy"], **quick(keras))
    return curve(keras, model, X, LABELS, class_weight={0: 1.0, 1: 2.5, 2: 0.5})


def a_test_step_and_a_predict_step(keras):
    start(keras)

    class CustomModel(keras.Model):
        def test_step(self, data):
            x, y = data
            y_pred = self(x, training=False)
            loss = self.compute_loss(y=y, y_pred=y_pred, training=False)
            for metric in self.metrics:
                if metric.name == "loss":
                    metric.update_state(loss)
                else:
                    metric.update_state(y, y_pred)
            return {m.name: m.result() for m in self.metrics}

        def predict_step(self, data):
            return keras.ops.exp(super().predict_step(data))

    model = graph(keras, CustomModel)
    model.compile("sgd", "mae", metrics=["mse"], **quick(keras))
    steps, weights = curve(keras, model, X, Y, validation_data=(X, Y), epochs=2)
    values = model.evaluate(X, Y, batch_size=10, verbose=0, return_dict=True)
    steps.append({name: float(value) for name, value in values.items()})
    return steps, [*weights, model.predict(X, verbose=0)]


def a_gan(keras):
    start(keras)
    tape_class, ops, layers = tape_of(keras), keras.ops, keras.layers

    class GAN(keras.Model):
        def __init__(self, discriminator, generator, latent_dim):
            super().__init__()
            self.discriminator = discriminator
            self.generator = generator
            self.latent_dim = latent_dim
            self.d_loss_tracker = keras.metrics.Mean(name="d_loss")
            self.g_loss_tracker = keras.metrics.Mean(name="g_loss")
            self.seed_generator = keras.random.SeedGenerator(1337)
            self.built = True

        @property
        def metrics(self):
            return [self.d_loss_tracker, self.g_loss_tracker]

        def compile(self, d_optimizer, g_optimizer, loss_fn):
            super().compile(**quick(keras))
            self.d_optimizer = d_optimizer
            self.g_optimizer = g_optimizer
            self.loss_fn = loss_fn

        def latent(self, count):
            return keras.random.normal((count, self.latent_dim), seed=self.seed_generator)

        def train_step(self, real_images):
            if isinstance(real_images, tuple):
                real_images = real_images[0]
            count = ops.shape(real_images)[0]
            generated = self.generator(self.latent(count))
            combined = ops.concatenate([generated, real_images], axis=0)
            labels = ops.concatenate([ops.ones((count, 1)), ops.zeros((count, 1))], axis=0)
            labels = labels + 0.05 * keras.random.uniform(labels.shape, seed=self.seed_generator)
            with tape_class() as tape:
                predictions = self.discriminator(combined)
                d_loss = self.loss_fn(labels, predictions)
            weights = self.discriminator.trainable_weights
            self.d_optimizer.apply(tape.gradient(d_loss, weights), weights)
            misleading = ops.zeros((count, 1))
            latent = self.latent(count)
            with tape_class() as tape:
                predictions = self.discriminator(self.generator(latent))
                g_loss = self.loss_fn(misleading, predictions)
            weights = self.generator.trainable_weights
            self.g_optimizer.apply(tape.gradient(g_loss, weights), weights)
            self.d_loss_tracker.update_state(d_loss)
            self.g_loss_tracker.update_state(g_loss)
            return {
                "d_loss": self.d_loss_tracker.result(),
                "g_loss": self.g_loss_tracker.result(),
            }

    discriminator = keras.Sequential(
        [keras.Input((6,)), layers.Dense(8), layers.LeakyReLU(negative_slope=0.2), layers.Dense(1)]
    )
    generator = keras.Sequential(
        [keras.Input((4,)), layers.Dense(8, activation="relu"), layers.Dense(6)]
    )
    gan = GAN(set_weights(discriminator), set_weights(generator), 4)
    gan.compile(
        keras.optimizers.Adam(0.003),
        keras.optimizers.Adam(0.003),
        keras.losses.BinaryCrossentropy(from_logits=True),
    )
    return curve(keras, gan, X)


def a_compute_loss_of_several_outputs_and_add_loss(keras):
    start(keras)
    layers, ops = keras.layers, keras.ops

    class Sparse(layers.Layer):
        def call(self, x):
            self.add_loss(0.01 * ops.sum(ops.abs(x)))
            return x

    class CustomModel(keras.Model):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            loss = ops.mean(ops.square(y_pred["a"] - y["a"]))
            loss = loss + 0.5 * ops.mean(ops.abs(y_pred["b"] - y["b"]))
            return loss + sum(self.losses)

    x = keras.Input((6,))
    h = Sparse()(layers.Dense(7, activation="relu", bias_regularizer="l1")(x))
    model = set_weights(CustomModel(x, {"a": layers.Dense(3)(h), "b": layers.Dense(2)(h)}))
    model.compile("adam", metrics={"a": ["mae"], "b": ["mse"]}, **quick(keras))
    return curve(keras, model, X, {"a": Y, "b": Y[:, :2]})


def a_loop_written_by_hand(keras):
    start(keras)
    tape_class = tape_of(keras)
    model = graph(keras, keras.Model, kernel_regularizer=keras.regularizers.L1L2(0.01, 0.02))
    optimizer = keras.optimizers.Adam(0.01)
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    accuracy = keras.metrics.SparseCategoricalAccuracy()
    steps = []
    for _ in range(5):
        for first in range(0, 40, 10):
            x, y = X[first : first + 10], LABELS[first : first + 10]
            with tape_class() as tape:
                logits = model(x, training=True)
                loss = loss_fn(y, logits, sample_weight=WEIGHT[first : first + 10])
                loss = loss + sum(model.losses)
            weights = model.trainable_weights
            optimizer.apply(tape.gradient(loss, weights), weights)
            accuracy.update_state(y, logits)
            steps.append({"loss": float(loss), "accuracy": float(accuracy.result())})
        accuracy.reset_state()
    return steps, [np.array(w) for w in model.get_weights()]


def train_on_batch_in_a_loop(keras):
    start(keras)
    model = graph(keras, keras.Model, activation="softmax")
    loss = "sparse_categorical_crossentropy"
    model.compile("adam", loss, metrics=["accuracy"], **quick(keras))
    steps = []
    for number in range(20):
        rows = slice(number % 4 * 10, number % 4 * 10 + 10)
        options = {"class_weight": {0: 2.0, 1: 1.0, 2: 0.5}} if number % 2 else {}
        logs = model.train_on_batch(X[rows], LABELS[rows], return_dict=True, **options)
        steps.append({name: float(value) for name, value in logs.items()})
    return steps, [np.array(w) for w in model.get_weights()]


PATTERNS = [
    a_train_step_that_updates_the_compiled_metrics,
    a_train_step_with_metrics_of_its_own,
    a_train_step_with_sample_weights,
    a_train_step_with_class_weights,
    a_test_step_and_a_predict_step,
    a_gan,
    a_compute_loss_of_several_outputs_and_add_loss,
    a_loop_written_by_hand,
    train_on_batch_in_a_loop,
]


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.__name__)
def test_a_pattern_of_the_guides_gives_the_curve_of_keras(pattern, real_keras):
    import kerasmirror

    ours, our_weights = pattern(kerasmirror)
    theirs, their_weights = real_keras.call(pattern)
    assert len(ours) == len(theirs) >= 9
    for step, (found, expected) in enumerate(zip(ours, theirs, strict=True)):
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, rel=2e-4, abs=2e-5), (step, name)
    for found, expected in zip(our_weights, their_weights, strict=True):
        np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-4)
