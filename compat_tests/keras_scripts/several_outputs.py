"""A ticket to its priority and department: inputs, losses, metrics and data in dicts."""

import keras
import numpy as np
from keras import layers

keras.utils.set_random_seed(2)
WORDS, TAGS, DEPARTMENTS = 100, 12, 4
title = keras.Input(shape=(None,), name="title")
body = keras.Input(shape=(None,), name="body")
tags = keras.Input(shape=(TAGS,), name="tags")
x = layers.concatenate(
    [
        layers.LSTM(8)(layers.Embedding(WORDS, 8)(title)),
        layers.GRU(8)(layers.Embedding(WORDS, 8)(body)),
        tags,
    ]
)
outputs = {
    "priority": layers.Dense(1, name="priority")(x),
    "department": layers.Dense(DEPARTMENTS, name="department")(x),
}
model = keras.Model(inputs=[title, body, tags], outputs=outputs)
model.summary()
model.compile(
    optimizer="sgd",
    loss={
        "priority": keras.losses.BinaryCrossentropy(from_logits=True),
        "department": keras.losses.CategoricalCrossentropy(from_logits=True),
    },
    loss_weights={"priority": 1.0, "department": 0.2},
    metrics={"department": ["accuracy"], "priority": "mae"},
)
inputs = {
    "title": np.random.randint(WORDS, size=(64, 10)),
    "body": np.random.randint(WORDS, size=(64, 20)),
    "tags": np.random.randint(2, size=(64, TAGS)).astype("float32"),
}
targets = {
    "priority": np.random.random(size=(64, 1)),
    "department": keras.utils.to_categorical(np.random.randint(DEPARTMENTS, size=64), DEPARTMENTS),
}


class Names(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        print(epoch, list(logs), self.model.metrics_names)


history = model.fit(
    inputs, targets, epochs=2, validation_split=0.25, verbose=0, callbacks=[Names()]
)
print({name: np.round(values, 3).tolist() for name, values in history.history.items()})
print(np.round(model.evaluate(inputs, targets, verbose=0), 3).tolist())
results = model.evaluate(inputs, targets, verbose=0, return_dict=True)
print({name: round(value, 3) for name, value in results.items()})
print({name: value.shape for name, value in model.predict(inputs, verbose=0).items()})
try:
    model.fit({"title": inputs["title"]}, targets, verbose=0)
except ValueError as error:
    print(type(error).__name__)

model = keras.Model([title, body, tags], list(outputs.values()))
model.compile("sgd", ["mse", "categorical_crossentropy"], metrics=[["mae"], ["accuracy"]])
weights = [np.ones(64), np.linspace(0, 1, 64)]
history = model.fit(
    list(inputs.values()), list(targets.values()), sample_weight=weights, verbose=0
).history
print({name: np.round(values, 3).tolist() for name, values in history.items()})
