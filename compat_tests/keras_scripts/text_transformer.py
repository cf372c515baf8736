"""Texts as word numbers, classified by a transformer block; and one that looks back only."""

import keras
import numpy as np
from keras import layers, ops

keras.utils.set_random_seed(14)


class TransformerBlock(layers.Layer):
    def __init__(self, width, heads, hidden, rate=0.1, causal=False):
        super().__init__()
        self.causal = causal
        self.attention = layers.MultiHeadAttention(num_heads=heads, key_dim=width)
        self.feed_forward = keras.Sequential(
            [layers.Dense(hidden, activation="relu"), layers.Dense(width)]
        )
        self.norms = [layers.LayerNormalization(epsilon=1e-6) for _ in range(2)]
        self.dropouts = [layers.Dropout(rate) for _ in range(2)]

    def call(self, inputs):
        mask = None
        if self.causal:
            count, size = ops.shape(inputs)[0], ops.shape(inputs)[1]
            mask = ops.arange(size)[:, None] >= ops.arange(size)
            mask = ops.broadcast_to(mask[None], (count, size, size))
        x = self.attention(inputs, inputs, attention_mask=mask)
        x = self.norms[0](inputs + self.dropouts[0](x))
        return self.norms[1](x + self.dropouts[1](self.feed_forward(x)))


class WordsAndPlaces(layers.Layer):
    def __init__(self, size, words, width):
        super().__init__()
        self.words = layers.Embedding(words, width)
        self.places = layers.Embedding(size, width)

    def call(self, x):
        return self.words(x) + self.places(ops.arange(0, ops.shape(x)[-1], 1))


texts = np.random.randint(0, 200, (64, 20))
labels = ((texts > 150).sum(1) > 5).astype("int32")
inputs = keras.Input(shape=(20,))
x = TransformerBlock(16, 2, 16)(WordsAndPlaces(20, 200, 16)(inputs))
x = layers.Dropout(0.1)(layers.GlobalAveragePooling1D()(x))
model = keras.Model(inputs, layers.Dense(2, activation="softmax")(x))
model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.summary()
history = model.fit(texts, labels, epochs=2, validation_data=(texts, labels), verbose=0).history
print({name: np.round(values, 3).tolist() for name, values in sorted(history.items())})

inputs = keras.Input(shape=(None,), dtype="int32")
x = TransformerBlock(16, 2, 32, causal=True)(WordsAndPlaces(20, 200, 16)(inputs))
model = keras.Model(inputs, [layers.Dense(200)(x), x])
model.compile("sgd", [keras.losses.SparseCategoricalCrossentropy(from_logits=True), None])
print(np.round(model.fit(texts, np.roll(texts, -1, 1), verbose=0).history["loss"], 3).tolist())
before, _ = model.predict(texts[:1], verbose=0)
changed = texts[:1].copy()
changed[0, 10:] = 7
after, _ = model.predict(changed, verbose=0)
print(model.output_shape, np.allclose(before[0, :10], after[0, :10], atol=1e-5))
