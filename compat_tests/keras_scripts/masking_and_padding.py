"""Sequences of unequal lengths: padding, masks that layers make, pass on, change and use."""

import keras
import numpy as np
from keras import layers, ops

keras.utils.set_random_seed(12)
raw = [[711, 632, 71], [73, 8, 3215, 55, 927], [83, 91, 1, 645, 1253, 927]]
padded = keras.utils.pad_sequences(raw, padding="post")
print(padded)
print(
    keras.utils.pad_sequences(raw, maxlen=4, truncating="post", value=-1),
    keras.preprocessing.sequence.pad_sequences(raw, maxlen=2).dtype,
)
e = layers.Embedding(5000, 16, mask_zero=True)
mo = e(padded)
print(np.array(mo._keras_mask))
ml = layers.Masking()
un = ops.cast(ops.tile(ops.expand_dims(padded, -1), [1, 1, 10]), "float32")
print(np.array(ml(un)._keras_mask))
i = keras.Input((None,), dtype="int32")
x = layers.Embedding(5000, 16, mask_zero=True)(i)
o = layers.LSTM(32)(x)
m = keras.Model(i, o)
m2 = keras.Sequential([layers.Embedding(5000, 16, mask_zero=True), layers.LSTM(32)])
print(m(padded).shape, np.allclose(m(padded)[0], m(np.array([[711, 632, 71]]))[0], atol=1e-5))


class MyLayer(layers.Layer):
    def __init__(self, **kw):
        super().__init__(**kw)
        self.embedding = layers.Embedding(5000, 16, mask_zero=True)
        self.lstm = layers.LSTM(32)

    def call(self, inputs):
        x = self.embedding(inputs)
        mask = self.embedding.compute_mask(inputs)
        return self.lstm(x, mask=mask)


print(MyLayer()(padded).shape)


class TemporalSplit(keras.layers.Layer):
    def call(self, inputs):
        return ops.split(inputs, 2, axis=1)

    def compute_mask(self, inputs, mask=None):
        if mask is None:
            return None
        return ops.split(mask, 2, axis=1)


a, b = TemporalSplit()(mo)
print(np.array(a._keras_mask), np.array(b._keras_mask))


class CustomEmbedding(keras.layers.Layer):
    def __init__(self, input_dim, output_dim, mask_zero=False, **kw):
        super().__init__(**kw)
        self.input_dim, self.output_dim, self.mask_zero = input_dim, output_dim, mask_zero

    def build(self, s):
        self.embeddings = self.add_weight(
            shape=(self.input_dim, self.output_dim), initializer="random_normal", dtype="float32"
        )

    def call(self, x):
        return ops.take(self.embeddings, ops.cast(x, "int32"), axis=0)

    def compute_mask(self, x, mask=None):
        return ops.not_equal(x, 0) if self.mask_zero else None


y = CustomEmbedding(10, 4, mask_zero=True)(np.array([[1, 2, 0]]))
print(np.array(y._keras_mask))


class MyAct(keras.layers.Layer):
    def __init__(self, **kw):
        super().__init__(**kw)
        self.supports_masking = True

    def call(self, x):
        return ops.relu(x)


i = keras.Input((None,), dtype="int32")
x = layers.Embedding(5000, 16, mask_zero=True)(i)
x = MyAct()(x)
print("Mask found:", tuple(x._keras_mask.shape))
o = layers.LSTM(8)(x)
m = keras.Model(i, o)


class TemporalSoftmax(keras.layers.Layer):
    def __init__(self, **kw):
        super().__init__(**kw)
        self.supports_masking = True

    def call(self, inputs, mask=None):
        assert mask is not None
        bm = ops.expand_dims(ops.cast(mask, "float32"), -1)
        ie = ops.exp(inputs) * bm
        s = ops.sum(ie * bm, axis=1, keepdims=True)
        return ie / s


i = keras.Input((None,), dtype="int32")
x = layers.Embedding(10, 32, mask_zero=True)(i)
x = layers.Dense(1)(x)
o = TemporalSoftmax()(x)
m = keras.Model(i, o)
print(m(np.random.randint(0, 10, (4, 9))).shape)
seqs = np.array([[1, 2, 3, 0, 0], [4, 5, 0, 0, 0]])
i = keras.Input((None,))
x = layers.Embedding(10, 4, mask_zero=True)(i)
x = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(x)
x = layers.GlobalAveragePooling1D()(x)
m = keras.Model(i, layers.Dense(1)(x))
m.compile("adam", "mse")
print(np.round(m.fit(seqs, np.ones((2, 1)), epochs=2, verbose=0).history["loss"], 5))
i = keras.Input((5,))
x = layers.Embedding(10, 4, mask_zero=True)(i)
x = layers.MultiHeadAttention(2, 4)(x, x)
x = layers.LayerNormalization()(x)
o = layers.TimeDistributed(layers.Dense(3, activation="softmax"))(x)
m = keras.Model(i, o)
m.compile(
    "adam", "sparse_categorical_crossentropy", metrics=["accuracy"], weighted_metrics=["accuracy"]
)
print(
    {
        k: np.round(v, 5)
        for k, v in m.fit(seqs, np.array([[0, 1, 2, 0, 0]] * 2), verbose=0).history.items()
    }
)
