"""A model without a `call` of its own: its train_step puts two others together."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

inputs = keras.Input((12,))
hidden = layers.Dense(8, activation="relu")(inputs)
encoder = keras.Model(inputs, [layers.Dense(2)(hidden), layers.Dense(2)(hidden)])
decoder = keras.Sequential([keras.Input((2,)), layers.Dense(12, activation="sigmoid")])


class Autoencoder(keras.Model):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.total = keras.metrics.Mean(name="total")
        self.divergence = keras.metrics.Mean(name="divergence")

    @property
    def metrics(self):
        return [self.total, self.divergence]

    def train_step(self, data):
        with tf.GradientTape() as tape:
            mean, log_variance = self.encoder(data)
            noise = tf.random.normal(tf.shape(mean))
            rebuilt = self.decoder(mean + ops.exp(0.5 * log_variance) * noise)
            error = ops.mean(keras.losses.binary_crossentropy(data, rebuilt)) * 12
            divergence = 1 + log_variance - ops.square(mean) - ops.exp(log_variance)
            divergence = -0.5 * ops.mean(ops.sum(divergence, axis=1))
            total = error + divergence
        gradients = tape.gradient(total, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        self.total.update_state(total)
        self.divergence.update_state(divergence)
        return {metric.name: metric.result() for metric in self.metrics}


keras.utils.set_random_seed(3)
pixels = np.random.default_rng(1).integers(0, 2, (4, 12))[np.arange(128) % 4].astype("float32")
model = Autoencoder()
model.compile(optimizer=keras.optimizers.Adam(0.02))
history = model.fit(pixels, epochs=24, batch_size=32, verbose=0).history
assert history["total"][-1] < 0.8 * history["total"][0], history
assert model.optimizer.built and len(model.optimizer.variables) > len(model.trainable_weights)
print("done")
