"""Losses, metrics, weights and data of every kind for `fit`, some of them one's own."""

import keras
import numpy as np
from keras import layers, ops

keras.utils.set_random_seed(4)


def get_uncompiled_model():
    inputs = keras.Input(shape=(20,), name="digits")
    x = layers.Dense(16, activation="relu", name="dense_1")(inputs)
    x = layers.Dense(16, activation="relu", name="dense_2")(x)
    outputs = layers.Dense(10, activation="softmax", name="predictions")(x)
    return keras.Model(inputs=inputs, outputs=outputs)


def get_compiled_model():
    m = get_uncompiled_model()
    m.compile(
        optimizer="rmsprop",
        loss="sparse_categorical_crossentropy",
        metrics=["sparse_categorical_accuracy"],
    )
    return m


x = np.random.rand(500, 20).astype("float32")
y = (x[:, :10].argmax(1)).astype("float32")
xv, yv = x[-100:], y[-100:]


def show(h):
    for k, v in h.history.items():
        print(k, np.round(v, 4))


m = get_compiled_model()
show(m.fit(x[:400], y[:400], batch_size=64, epochs=2, validation_data=(xv, yv), verbose=0))


def custom_mse(y_true, y_pred):
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


m = get_uncompiled_model()
m.compile(optimizer=keras.optimizers.Adam(), loss=custom_mse)
show(m.fit(x, ops.one_hot(y.astype("int32"), 10), epochs=1, verbose=0))


class CustomMSE(keras.losses.Loss):
    def __init__(self, regularization_factor=0.1, name="custom_mse"):
        super().__init__(name=name)
        self.rf = regularization_factor

    def call(self, y_true, y_pred):
        return (
            ops.mean(ops.square(y_true - y_pred), axis=-1)
            + ops.mean(ops.square(0.5 - y_pred), axis=-1) * self.rf
        )


m = get_uncompiled_model()
m.compile(optimizer="adam", loss=CustomMSE())
show(m.fit(x, ops.one_hot(y.astype("int32"), 10), epochs=1, verbose=0))


class CategoricalTruePositives(keras.metrics.Metric):
    def __init__(self, name="categorical_true_positives", **kwargs):
        super().__init__(name=name, **kwargs)
        self.true_positives = self.add_variable(shape=(), name="ctp", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_pred = ops.reshape(ops.argmax(y_pred, axis=1), (-1, 1))
        values = ops.cast(y_true, "int32") == ops.cast(y_pred, "int32")
        values = ops.cast(values, "float32")
        if sample_weight is not None:
            values = ops.multiply(values, ops.cast(sample_weight, "float32"))
        self.true_positives.assign_add(ops.sum(values))

    def result(self):
        return self.true_positives

    def reset_state(self):
        self.true_positives.assign(0.0)


m = get_uncompiled_model()
m.compile("rmsprop", "sparse_categorical_crossentropy", metrics=[CategoricalTruePositives()])
show(m.fit(x, y[:, None], batch_size=64, epochs=2, verbose=0))
cw = {i: 1.0 for i in range(10)}
cw[5] = 2.0
m = get_compiled_model()
show(m.fit(x, y, class_weight=cw, batch_size=64, epochs=1, verbose=0))
sw = np.ones(len(y))
sw[y == 5] = 2.0
m = get_compiled_model()
show(m.fit(x, y, sample_weight=sw, batch_size=64, epochs=1, verbose=0))
m = get_uncompiled_model()
m.compile(
    "adam", "sparse_categorical_crossentropy", weighted_metrics=["accuracy"], metrics=["accuracy"]
)
show(
    m.fit(
        x,
        y,
        sample_weight=sw,
        batch_size=64,
        epochs=1,
        verbose=0,
        validation_data=(xv, yv, sw[-100:]),
    )
)


class LogisticEndpoint(layers.Layer):
    def __init__(self, name=None):
        super().__init__(name=name)
        self.loss_fn = keras.losses.BinaryCrossentropy(from_logits=True)

    def call(self, targets, logits, sample_weights=None):
        self.add_loss(self.loss_fn(targets, logits, sample_weights))
        return ops.softmax(logits)


i = keras.Input((3,), name="inputs")
t = keras.Input((10,), name="targets")
logits = layers.Dense(10)(i)
preds = LogisticEndpoint(name="predictions")(t, logits)
m = keras.Model([i, t], preds)
m.compile("adam")
show(m.fit({"inputs": np.ones((3, 3)), "targets": np.ones((3, 10))}, verbose=0))


class ExamplePyDataset(keras.utils.PyDataset):
    def __init__(self, x, y, b, **k):
        super().__init__(**k)
        self.x, self.y, self.b = x, y, b

    def __len__(self):
        return int(np.ceil(len(self.x) / self.b))

    def __getitem__(self, i):
        return self.x[i * self.b : (i + 1) * self.b], self.y[i * self.b : (i + 1) * self.b]


m = get_compiled_model()
show(
    m.fit(
        ExamplePyDataset(x, y, 32),
        epochs=2,
        verbose=0,
        validation_data=ExamplePyDataset(xv, yv, 32),
    )
)
show(m.fit(x, y, validation_split=0.2, epochs=1, steps_per_epoch=3, verbose=0))


def gen():
    while True:
        yield x[:32], y[:32]


show(m.fit(gen(), steps_per_epoch=4, epochs=2, verbose=0))
print(
    np.round(m.train_on_batch(x[:32], y[:32]), 4),
    np.round(m.test_on_batch(x[:32], y[:32]), 4),
    m.predict_on_batch(x[:2]).shape,
)
print(
    {k: round(float(v), 4) for k, v in m.train_on_batch(x[:32], y[:32], return_dict=True).items()}
)
print(m.metrics_names, [q.name for q in m.metrics])
print({k: round(float(v), 4) for k, v in m.get_metrics_result().items()})
try:
    get_uncompiled_model().fit(x, y)
except Exception as e:
    print(type(e).__name__)
try:
    m.fit(x, y[:10])
except Exception as e:
    print(type(e).__name__)
try:
    m.compile("adam", "mse", metrics=["nonsense"])
    m.fit(x, y, verbose=0)
except Exception as e:
    print(type(e).__name__)
