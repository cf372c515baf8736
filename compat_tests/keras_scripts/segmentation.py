"""Networks of every kind of convolution: one that draws masks, a mobile one, volumes and series."""

import keras
import numpy as np
from keras import layers

keras.utils.set_random_seed(25)


def block(x, filters, layer):
    for _ in range(2):
        x = layers.Activation("relu")(x)
        x = layer(filters, 3, padding="same")(x)
        x = layers.BatchNormalization()(x)
    return x


inputs = keras.Input(shape=(16, 16, 3))
x = previous = layers.Conv2D(8, 3, strides=2, padding="same")(inputs)
x = layers.MaxPooling2D(3, strides=2, padding="same")(block(x, 12, layers.SeparableConv2D))
x = previous = layers.add([x, layers.Conv2D(12, 1, strides=2, padding="same")(previous)])
for filters in (12, 8):
    x = layers.UpSampling2D(2)(block(x, filters, layers.Conv2DTranspose))
    short = layers.Conv2D(filters, 1, padding="same")(layers.UpSampling2D(2)(previous))
    x = previous = layers.add([x, short])
outputs = layers.Conv2D(3, 3, activation="softmax", padding="same")(x)
model = keras.Model(inputs, outputs)
model.compile(
    keras.optimizers.Adam(1e-4),
    "sparse_categorical_crossentropy",
    metrics=["accuracy", keras.metrics.MeanIoU(3, sparse_y_pred=False, name="iou")],
)
images = np.random.rand(16, 16, 16, 3).astype("float32")
masks = np.random.randint(0, 3, (16, 16, 16, 1)).astype("uint8")
history = model.fit(images, masks, epochs=2, batch_size=8, verbose=0).history
print({name: np.round(values, 2).tolist() for name, values in sorted(history.items())})
print(np.argmax(model.predict(images[:1], verbose=0)[0], -1).shape, model.count_params())


def inverted(x, filters, strides):
    channels = x.shape[-1]
    y = layers.Conv2D(2 * channels, 1, use_bias=False)(x)
    y = layers.ReLU(6.0)(layers.BatchNormalization()(y))
    if strides == 2:
        y = layers.ZeroPadding2D(((0, 1), (0, 1)))(y)
    padding = "same" if strides == 1 else "valid"
    y = layers.DepthwiseConv2D(3, strides=strides, use_bias=False, padding=padding)(y)
    y = layers.ReLU(6.0)(layers.BatchNormalization()(y))
    y = layers.BatchNormalization()(layers.Conv2D(filters, 1, use_bias=False)(y))
    return layers.Add()([x, y]) if strides == 1 and filters == channels else y


inputs = keras.Input((16, 16, 3))
x = inverted(inverted(layers.Conv2D(8, 3, padding="same")(inputs), 8, 1), 12, 2)
x = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(x))
mobile = keras.Model(inputs, layers.Dense(3, activation="softmax")(x), name="mobile")
mobile.compile("sgd", "sparse_categorical_crossentropy")
mobile.summary()
losses = mobile.fit(images, masks[:, 0, 0, 0], epochs=2, verbose=0).history["loss"]
print(np.round(losses, 3).tolist())

volumes = keras.Sequential(
    [
        keras.Input((8, 8, 6, 1)),
        layers.Conv3D(8, 3, activation="relu", padding="same"),
        layers.MaxPool3D(2),
        layers.Conv3D(8, 3, activation="relu"),
        layers.GlobalAveragePooling3D(),
        layers.Dense(1, activation="sigmoid"),
    ]
)
volumes.compile("adam", "binary_crossentropy", metrics=["acc"])
scans, found = np.random.rand(16, 8, 8, 6, 1), np.arange(16) % 2
history = volumes.fit(scans, found, epochs=2, batch_size=4, verbose=0).history
print({name: np.round(values, 3).tolist() for name, values in sorted(history.items())})

series = keras.Sequential(
    [
        keras.Input((20, 1)),
        layers.Conv1D(8, 7, padding="same", strides=2, activation="relu"),
        layers.Conv1DTranspose(8, 7, padding="same", strides=2, activation="relu"),
        layers.Conv1DTranspose(1, 7, padding="same"),
    ]
)
series.compile("adam", "mse")
x = np.random.rand(32, 20, 1)
print(np.round(series.fit(x, x, epochs=2, verbose=0).history["loss"], 3).tolist())
