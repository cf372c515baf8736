"""Layers and models of one's own: weights in build, losses, masks, configs."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops


class Linear(layers.Layer):
    def __init__(self, units=32, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape):
        self.w = self.add_weight(
            shape=(input_shape[-1], self.units), initializer="random_normal", trainable=True
        )
        self.b = self.add_weight(shape=(self.units,), initializer="zeros", trainable=True)

    def call(self, inputs):
        return ops.matmul(inputs, self.w) + self.b

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class ActivityRegularization(layers.Layer):
    def __init__(self, rate=1e-2):
        super().__init__()
        self.rate = rate

    def call(self, inputs):
        self.add_loss(self.rate * ops.mean(ops.square(inputs)))
        return inputs


class Noise(layers.Layer):
    def __init__(self):
        super().__init__()
        self.seed_generator = keras.random.SeedGenerator(1)

    def call(self, inputs, training=None):
        if training:
            return inputs + keras.random.normal(
                ops.shape(inputs), stddev=0.01, seed=self.seed_generator
            )
        return inputs


class Block(layers.Layer):
    def __init__(self):
        super().__init__()
        self.parts = [Linear(16), Linear(16)]
        self.last = Linear(1)
        self.activity = ActivityRegularization()
        self.noise = Noise()

    def call(self, inputs, training=None):
        x = inputs
        for part in self.parts:
            x = tf.nn.relu(part(x))
        return self.last(self.noise(self.activity(x), training=training))


class ResNetLike(keras.Model):
    def __init__(self):
        super().__init__()
        self.block = Block()
        self.skip = layers.Dense(1)

    def call(self, inputs, training=False):
        return self.block(inputs, training=training) + self.skip(inputs)


keras.utils.set_random_seed(2)
x = np.random.normal(size=(128, 4)).astype("float32")
y = (x**2).sum(1, keepdims=True).astype("float32")
model = ResNetLike()
assert model(x).shape == (128, 1)
assert len(model.losses) == 1, model.losses
assert len(model.trainable_weights) == 8, [w.path for w in model.weights]
model.compile(optimizer=keras.optimizers.Adam(0.01), loss="mse", metrics=["mae"])
before = model.evaluate(x, y, verbose=0)[0]
model.fit(x, y, epochs=30, batch_size=32, verbose=0)
after = model.evaluate(x, y, verbose=0)[0]
assert after < 0.5 * before, (before, after)
again = Linear.from_config(Linear(7, name="seven").get_config())
assert again.units == 7 and again.name == "seven"
print("custom layers", before > after)
