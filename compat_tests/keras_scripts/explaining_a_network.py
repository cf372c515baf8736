"""Grad-CAM, gradient ascent on an image, integrated gradients and style: gradients of inputs."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import tensorflow as tf
from keras import layers

keras.utils.set_random_seed(17)
model = keras.Sequential(
    [
        keras.Input(shape=(24, 24, 1)),
        layers.Conv2D(8, 3, strides=2, padding="same", name="first"),
        layers.LeakyReLU(negative_slope=0.2),
        layers.Conv2D(16, 3, strides=2, padding="same", name="last"),
        layers.Flatten(),
        layers.Dense(10),
    ]
)
x = np.random.rand(16, 24, 24, 1).astype("float32")
y = np.random.randint(0, 10, 16)
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
model.fit(x, y, epochs=2, verbose=0)

both = keras.models.Model(model.inputs, [model.get_layer("last").output, model.outputs[0]])
with tf.GradientTape() as tape:
    places, scores = both(x[:1])
    score = scores[:, tf.argmax(scores[0])]
importance = tf.reduce_mean(tape.gradient(score, places), axis=(0, 1, 2))
heatmap = tf.squeeze(places[0] @ importance[..., tf.newaxis])
heatmap = tf.maximum(heatmap, 0) / tf.math.reduce_max(heatmap)
print("heatmap", heatmap.shape, np.round(heatmap.numpy()[:2, :3], 3).tolist())

first = keras.Model(inputs=model.inputs, outputs=model.get_layer("first").output)


@tf.function
def step(image, which, rate):
    with tf.GradientTape() as tape:
        tape.watch(image)
        activation = tf.reduce_mean(first(image)[:, 2:-2, 2:-2, which])
    gradient = tf.math.l2_normalize(tape.gradient(activation, image))
    return activation, image + rate * gradient


image = tf.convert_to_tensor(x[:1] * 0.25)
for _ in range(3):
    activation, image = step(image, 3, 10.0)
print("ascent", round(float(activation), 3), round(float(tf.reduce_sum(image)), 2))

path = tf.constant(np.array([x[0] * s / 10 for s in range(11)]))
with tf.GradientTape() as tape:
    tape.watch(path)
    score = model(path)[:, 3]
slopes = tape.gradient(score, path)
integrated = x[0] * tf.reduce_mean((slopes[:-1] + slopes[1:]) / 2.0, axis=0)
whole = model(x[:1])[0, 3] - model(x[:1] * 0)[0, 3]
print("integrated", np.allclose(tf.reduce_sum(integrated), whole, atol=1e-2))


def gram(features):
    flat = tf.reshape(tf.transpose(features, (2, 0, 1)), (8, -1))
    return tf.matmul(flat, tf.transpose(flat))


wanted = gram(first(x[1:2])[0])
image = tf.Variable(x[:1])
rate = keras.optimizers.schedules.ExponentialDecay(1.0, decay_steps=2, decay_rate=0.96)
optimizer = keras.optimizers.SGD(rate)
for _ in range(3):
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(gram(first(image)[0]) - wanted)) / 1e4
        loss += 1e-4 * tf.image.total_variation(image)[0]
    optimizer.apply_gradients([(tape.gradient(loss, image), image)])
print("style", round(float(loss), 3))
