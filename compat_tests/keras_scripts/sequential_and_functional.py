"""As scripts begin: a Sequential model, a Functional one with two inputs, saving the weights."""

import os
import sys
import tempfile

import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers
from tensorflow.keras.utils import to_categorical

tf.random.set_seed(1)
rng = np.random.default_rng(1)
x = rng.normal(size=(256, 8)).astype("float32")
labels = (x[:, 0] + x[:, 1] > 0).astype(int)
y = to_categorical(labels, 2)

model = keras.Sequential(
    [
        keras.Input(shape=(8,)),
        layers.Dense(16, activation="relu", kernel_regularizer=keras.regularizers.l2(1e-4)),
        layers.BatchNormalization(),
        layers.Dropout(0.1),
        layers.Dense(2, activation="softmax"),
    ]
)
model.summary()
model.compile(
    optimizer=tf.keras.optimizers.Adam(0.01),
    loss=tf.keras.losses.CategoricalCrossentropy(),
    metrics=["accuracy"],
)
dataset = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(256).batch(32).prefetch(1)
history = model.fit(dataset, epochs=15, validation_data=(x, y), verbose=0)
loss, accuracy = model.evaluate(x, y, verbose=0)
assert accuracy > 0.9, accuracy
assert history.history["val_loss"][-1] < history.history["val_loss"][0]

words = keras.Input(shape=(8,), name="words")
numbers = keras.Input(shape=(3,), name="numbers")
hidden = layers.concatenate([layers.Dense(4, activation="tanh")(words), numbers])
urgent = layers.Dense(1, activation="sigmoid", name="urgent")(hidden)
kind = layers.Dense(3, name="kind")(hidden)
both = keras.Model(inputs=[words, numbers], outputs={"urgent": urgent, "kind": kind})
both.compile(
    optimizer="rmsprop",
    loss={
        "urgent": keras.losses.BinaryCrossentropy(),
        "kind": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    },
    loss_weights={"urgent": 1.0, "kind": 0.5},
)
extra = rng.normal(size=(256, 3)).astype("float32")
targets = {"urgent": labels[:, None].astype("float32"), "kind": extra.argmax(1)}
first = both.evaluate([x, extra], targets, verbose=0)
both.fit({"words": x, "numbers": extra}, targets, epochs=10, verbose=0)
last = both.evaluate([x, extra], targets, verbose=0)
assert (last[0] if isinstance(last, list) else last) < (
    first[0] if isinstance(first, list) else first
)

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "both.weights.h5")
    before = both.predict([x[:4], extra[:4]], verbose=0)["kind"]
    both.save_weights(path)
    both.set_weights([np.zeros_like(w) for w in both.get_weights()])
    both.load_weights(path)
    np.testing.assert_allclose(both.predict([x[:4], extra[:4]], verbose=0)["kind"], before)
print("arguments:", sys.argv[1:])
