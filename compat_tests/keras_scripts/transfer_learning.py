"""A trained base, frozen under a new head, then fine-tuned."""

import keras
import numpy as np
from keras import layers

keras.utils.set_random_seed(5)
images = np.random.random((64, 12, 12, 3)).astype("float32")
base = keras.Sequential(
    [
        keras.Input((12, 12, 3)),
        layers.Conv2D(8, 3, activation="relu"),
        layers.BatchNormalization(),
        layers.MaxPooling2D(),
        layers.Conv2D(8, 3, activation="relu"),
        layers.GlobalAveragePooling2D(),
    ],
    name="base",
)
base.trainable = False
inputs = keras.Input(shape=(12, 12, 3))
x = layers.Rescaling(scale=2.0, offset=-1)(inputs) if hasattr(layers, "Rescaling") else inputs
x = base(x, training=False)
outputs = layers.Dense(1)(layers.Dropout(0.2)(x))
model = keras.Model(inputs, outputs)
assert len(model.trainable_weights) == 2
labels = (images.mean((1, 2, 3)) > 0.5).astype("float32")
model.compile(
    optimizer=keras.optimizers.Adam(0.01),
    loss=keras.losses.BinaryCrossentropy(from_logits=True),
    metrics=[keras.metrics.BinaryAccuracy()],
)
before = [w.copy() for w in base.get_weights()]
model.fit(images, labels, epochs=2, verbose=0)
for old, new in zip(before, base.get_weights()):
    np.testing.assert_array_equal(old, new)

base.trainable = True
model.compile(
    optimizer=keras.optimizers.Adam(1e-3), loss=keras.losses.BinaryCrossentropy(from_logits=True)
)
assert len(model.trainable_weights) == 8
model.fit(images, labels, epochs=1, verbose=0)
after = [w for w in base.get_weights()]
assert all(not np.array_equal(before[i], after[i]) for i in (0, 1, 2, 3, 6, 7))
print("transfer learning", len(model.weights))
