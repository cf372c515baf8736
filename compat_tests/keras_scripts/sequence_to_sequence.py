"""Words reversed letter by letter: an encoder gives states to a decoder, which then runs alone."""

import os
import tempfile

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np

keras.utils.set_random_seed(26)
sources = ["abc", "bca", "cab", "acb"] * 8
targets = ["\t" + word[::-1] + "\n" for word in sources]
letters, signs = "abc", "\t\nabc"
encoder_data = np.zeros((32, 3, 3), "float32")
decoder_data = np.zeros((32, 5, 5), "float32")
wanted = np.zeros((32, 5, 5), "float32")
for row, (source, target) in enumerate(zip(sources, targets)):
    for t, letter in enumerate(source):
        encoder_data[row, t, letters.index(letter)] = 1.0
    for t, sign in enumerate(target):
        decoder_data[row, t, signs.index(sign)] = 1.0
        if t > 0:
            wanted[row, t - 1, signs.index(sign)] = 1.0

encoder_inputs = keras.Input(shape=(None, 3))
_, state_h, state_c = keras.layers.LSTM(16, return_state=True)(encoder_inputs)
decoder_inputs = keras.Input(shape=(None, 5))
decoder = keras.layers.LSTM(16, return_sequences=True, return_state=True)
x, _, _ = decoder(decoder_inputs, initial_state=[state_h, state_c])
outputs = keras.layers.Dense(5, activation="softmax")(x)
model = keras.Model([encoder_inputs, decoder_inputs], outputs)
model.compile(optimizer="rmsprop", loss="categorical_crossentropy", metrics=["accuracy"])
history = model.fit(
    [encoder_data, decoder_data], wanted, batch_size=8, epochs=3, validation_split=0.2, verbose=0
).history
print({name: np.round(values, 3).tolist() for name, values in sorted(history.items())})

with tempfile.TemporaryDirectory() as folder:
    model.save(f"{folder}/s2s.keras")
    model = keras.models.load_model(f"{folder}/s2s.keras")

_, state_h, state_c = model.layers[2].output
encoder_model = keras.Model(model.input[0], [state_h, state_c])
states = [keras.Input(shape=(16,)), keras.Input(shape=(16,))]
x, state_h, state_c = model.layers[3](model.input[1], initial_state=states)
decoder_model = keras.Model([model.input[1], *states], [model.layers[4](x), state_h, state_c])


def decode(sequence):
    values = encoder_model.predict(sequence, verbose=0)
    sign, decoded = np.zeros((1, 1, 5)), ""
    sign[0, 0, 0] = 1.0
    while len(decoded) < 5 and not decoded.endswith("\n"):
        chances, *values = decoder_model.predict([sign, *values], verbose=0)
        best = np.argmax(chances[0, -1])
        decoded += signs[best]
        sign = np.zeros((1, 1, 5))
        sign[0, 0, best] = 1.0
    return decoded


print([decode(encoder_data[i : i + 1]) for i in range(2)])
