"""A network of fully connected layers on MNIST.

python examples/mnist_mlp.py                # on kerasmirror
python examples/mnist_mlp.py --real-keras   # the same script on Keras, where it is installed
"""

import argparse
import time

from mnist_data import load_digits

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=5)
parser.add_argument("--batch-size", type=int, default=128)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--real-keras", action="store_true", help="run on Keras itself")
options = parser.parse_args()

if options.real_keras:
    import keras
else:
    import kerasmirror as keras

keras.utils.set_random_seed(options.seed)
(x_train, y_train), (x_test, y_test), name = load_digits(keras)
print(f"{name}: {len(x_train)} training and {len(x_test)} test images of {x_train.shape[1:]}")

model = keras.Sequential(
    [
        keras.Input(x_train.shape[1:]),
        keras.layers.Flatten(),
        keras.layers.Dense(512, activation="relu"),
        keras.layers.Dropout(0.125),
        keras.layers.Dense(512, activation="relu"),
        keras.layers.Dropout(0.125),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile(
    optimizer=keras.optimizers.Adam(1e-3),
    loss="sparse_categorical_crossentropy",
    metrics=["accuracy"],
)
model.summary()

start = time.perf_counter()
model.fit(
    x_train,
    y_train,
    batch_size=options.batch_size,
    epochs=options.epochs,
    validation_data=(x_test, y_test),
    callbacks=[keras.callbacks.EarlyStopping(patience=2, restore_best_weights=True)],
)
seconds = time.perf_counter() - start
loss, accuracy = model.evaluate(x_test, y_test, batch_size=options.batch_size, verbose=0)
print(f"trained on {len(x_train) * options.epochs / seconds:,.0f} images per second")
print(f"test accuracy {accuracy:.2%}, loss {loss:.4f}")
