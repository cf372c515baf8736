"""What happens in `fit` made one's own: a train_step with a tape, and a loop without `fit`."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import tensorflow as tf
from keras import layers


class CustomModel(keras.Model):
    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=y_pred)
        trainable_vars = self.trainable_variables
        gradients = tape.gradient(loss, trainable_vars)
        self.optimizer.apply(gradients, trainable_vars)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, y_pred)
        return {m.name: m.result() for m in self.metrics}


class OwnMetrics(keras.Model):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.mae_metric = keras.metrics.MeanAbsoluteError(name="mae")
        self.loss_fn = keras.losses.MeanSquaredError()

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.loss_fn(y, y_pred)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        self.loss_tracker.update_state(loss)
        self.mae_metric.update_state(y, y_pred)
        return {"loss": self.loss_tracker.result(), "mae": self.mae_metric.result()}

    def test_step(self, data):
        x, y = data
        y_pred = self(x, training=False)
        self.loss_tracker.update_state(self.loss_fn(y, y_pred))
        self.mae_metric.update_state(y, y_pred)
        return {m.name: m.result() for m in self.metrics}

    @property
    def metrics(self):
        return [self.loss_tracker, self.mae_metric]


keras.utils.set_random_seed(3)
x = np.random.random((256, 8)).astype("float32")
y = x.sum(1, keepdims=True)


def make(kind):
    inputs = keras.Input(shape=(8,))
    return kind(inputs, layers.Dense(1)(layers.Dense(16, activation="relu")(inputs)))


model = make(CustomModel)
model.compile(optimizer="adam", loss="mse", metrics=["mae"])
history = model.fit(x, y, epochs=5, verbose=0).history
assert history["loss"][-1] < history["loss"][0] and "mae" in history

model = make(OwnMetrics)
model.compile(optimizer=keras.optimizers.SGD(0.05))
history = model.fit(x, y, epochs=5, verbose=0, validation_data=(x, y)).history
assert history["val_loss"][-1] < history["loss"][0]

optimizer = keras.optimizers.Adam(learning_rate=0.01)
loss_fn = keras.losses.MeanSquaredError()
model = make(keras.Model)
dataset = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(buffer_size=256).batch(64)


@tf.function
def train_step(inputs, targets):
    with tf.GradientTape() as tape:
        loss_value = loss_fn(targets, model(inputs, training=True))
    grads = tape.gradient(loss_value, model.trainable_weights)
    optimizer.apply(grads, model.trainable_weights)
    return loss_value


losses = []
for epoch in range(10):
    for step, (x_batch, y_batch) in enumerate(dataset):
        losses.append(float(train_step(x_batch, y_batch)))
assert len(losses) == 40 and losses[-1] < losses[0] / 2

point = tf.Variable([1.0, 2.0])
with tf.GradientTape(persistent=True) as tape:
    z = tf.reduce_sum(point**2) + tf.math.log(point[0])
np.testing.assert_allclose(tape.gradient(z, point).numpy(), [3.0, 4.0], rtol=1e-6)
print("custom training", losses[-1] < losses[0])
