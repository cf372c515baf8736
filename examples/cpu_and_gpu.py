"""Train one small network on the CPU and on the GPU, and lay the losses side by side.

python examples/cpu_and_gpu.py

Without an NVIDIA GPU the emulated one is used: the code that the GPU would run, on the CPU, thread
by thread. It needs `pip install 'kerasmirror[emulator]'` and takes about half a minute.
"""

import os
import time

import numpy as np

import kerasmirror as keras


def digits(count, rng):
    """Images (8, 8, 1) of one of three strokes under noise, and which stroke it is."""
    strokes = np.zeros((3, 8, 8, 1), "float32")
    strokes[0, :, 3:5] = 1
    strokes[1, 3:5] = 1
    strokes[2, np.arange(8), np.arange(8)] = 1
    labels = rng.integers(0, 3, count)
    return strokes[labels] + 0.3 * rng.normal(size=(count, 8, 8, 1)).astype("float32"), labels


def network():
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def losses_on(device, epochs=3):
    keras.utils.set_random_seed(1)
    x, y = digits(48, np.random.default_rng(0))
    with keras.device(device):
        model = network()
        model.compile("adam", "sparse_categorical_crossentropy")
        start = time.perf_counter()
        losses = model.fit(x, y, batch_size=16, epochs=epochs, verbose=0).history["loss"]
    return losses, time.perf_counter() - start


def main(epochs=3):
    try:
        keras.device("gpu:0")
    except RuntimeError as error:
        print(f"{error}\nSo the GPU is emulated.\n")
        os.environ["KERASMIRROR_CUDA_EMULATOR"] = "1"
    found = {device: losses_on(device, epochs) for device in ("cpu:0", "gpu:0")}
    print("epoch  " + "  ".join(f"loss on {device}" for device in found))
    for epoch in range(epochs):
        row = "  ".join(f"{losses[epoch]:13.7f}" for losses, _ in found.values())
        print(f"{epoch + 1:5d}  {row}")
    print("; ".join(f"{device}: {seconds:.1f} s" for device, (_, seconds) in found.items()))
    return {device: losses for device, (losses, _) in found.items()}


if __name__ == "__main__":
    main()
