"""Small files in the layout of the public data sets, with random content."""

import gzip
import json
import pickle

import numpy as np


def object_array(items):
    array = np.empty(len(items), object)
    array[:] = items
    return array


def texts(rng, count):
    return object_array(
        [rng.randint(1, 50, size=rng.randint(2, 12)).tolist() for _ in range(count)]
    )


def write_all(folder, seed=0):
    """Every data set, a few samples of each, into `folder`; returns the arrays by name."""
    rng = np.random.RandomState(seed)
    folder.mkdir(exist_ok=True)
    written = {"images": rng.randint(0, 256, (12, 28, 28)).astype("uint8")}
    written["digits"] = rng.randint(0, 10, 12).astype("uint8")
    images, digits = written["images"], written["digits"]
    np.savez(
        folder / "mnist.npz",
        x_train=images[:8],
        y_train=digits[:8],
        x_test=images[8:],
        y_test=digits[8:],
    )
    (folder / "fashion-mnist").mkdir()
    for part, chosen in (("train", slice(0, 8)), ("t10k", slice(8, 12))):
        write_idx(folder / "fashion-mnist" / f"{part}-images-idx3-ubyte.gz", images[chosen])
        write_idx(folder / "fashion-mnist" / f"{part}-labels-idx1-ubyte.gz", digits[chosen])
    for name, features in (("boston_housing", 13), ("california_housing", 8)):
        x, y = rng.uniform(size=(50, features)), rng.uniform(size=50)
        np.savez(folder / f"{name}.npz", x=x, y=y)
    np.savez(
        folder / "imdb.npz",
        x_train=texts(rng, 30),
        y_train=rng.randint(0, 2, 30),
        x_test=texts(rng, 20),
        y_test=rng.randint(0, 2, 20),
    )
    np.savez(folder / "reuters.npz", x=texts(rng, 40), y=rng.randint(0, 46, 40))
    for name in ("imdb", "reuters"):
        (folder / f"{name}_word_index.json").write_text(json.dumps({"the": 1, "naïve": 2}))
    write_cifar(folder, rng)
    return written


def write_idx(path, array):
    header = np.array([0x800 + array.ndim, *array.shape], ">i4").tobytes()
    with gzip.open(path, "wb") as file:
        file.write(header + array.tobytes())


def write_cifar(folder, rng):
    ten, hundred = folder / "cifar-10-batches-py", folder / "cifar-100-python"
    ten.mkdir()
    hundred.mkdir()
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        batch = {
            b"data": rng.randint(0, 256, (4, 3072)).astype("uint8"),
            b"labels": rng.randint(0, 10, 4).tolist(),
            b"filenames": [b"a.png"] * 4,
        }
        (ten / name).write_bytes(pickle.dumps(batch, protocol=4))
    for name in ("train", "test"):
        batch = {
            b"data": rng.randint(0, 256, (4, 3072)).astype("uint8"),
            b"fine_labels": rng.randint(0, 100, 4).tolist(),
            b"coarse_labels": rng.randint(0, 20, 4).tolist(),
        }
        (hundred / name).write_bytes(pickle.dumps(batch, protocol=4))
