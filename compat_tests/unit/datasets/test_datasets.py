import io
import os
import pickle
import zipfile

import numpy as np
import pytest
from synthetic import object_array, write_all

from kerasmirror import config, datasets
from kerasmirror.datasets import arrays


@pytest.fixture
def folder(tmp_path, monkeypatch):
    folder = tmp_path / "data"
    monkeypatch.setenv("KERASMIRROR_DATASETS", str(folder))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    write_all(folder)
    return folder


@pytest.fixture
def nothing(tmp_path, monkeypatch):
    """No data anywhere, and a proxy that refuses every connection."""
    monkeypatch.delenv("KERASMIRROR_DATASETS", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    return tmp_path


IMAGES = [
    (datasets.mnist.load_data, (28, 28), ()),
    (datasets.fashion_mnist.load_data, (28, 28), ()),
    (datasets.cifar10.load_data, (32, 32, 3), (1,)),
    (datasets.cifar100.load_data, (32, 32, 3), (1,)),
]


@pytest.mark.parametrize(("load", "image", "label"), IMAGES)
def test_images_have_their_shapes_and_dtypes(folder, load, image, label):
    (x_train, y_train), (x_test, y_test) = load()
    for x, y in ((x_train, y_train), (x_test, y_test)):
        assert x.shape == (len(x), *image) and x.dtype == "uint8"
        assert y.shape == (len(x), *label) and y.dtype.kind in "iu"
        assert x.flags.writeable


def test_pixels_are_those_of_the_files(folder):
    (x, y), _ = datasets.mnist.load_data()
    with np.load(folder / "mnist.npz") as file:
        np.testing.assert_array_equal(x, file["x_train"])
        np.testing.assert_array_equal(y, file["y_train"])
    (x2, y2), _ = datasets.fashion_mnist.load_data()
    np.testing.assert_array_equal(x2, x)
    np.testing.assert_array_equal(y2, y)


def test_cifar_planes_become_pixels(folder):
    (x, y), _ = datasets.cifar10.load_data()
    batch = pickle.loads((folder / "cifar-10-batches-py" / "data_batch_2").read_bytes())
    np.testing.assert_array_equal(x[5, 3, 4], batch[b"data"][1].reshape(3, 32, 32)[:, 3, 4])
    assert y[4:8, 0].tolist() == batch[b"labels"]


def test_cifar_in_the_layout_that_is_configured(folder):
    (last, _), _ = datasets.cifar10.load_data()
    config.set_image_data_format("channels_first")
    try:
        (first, _), _ = datasets.cifar10.load_data()
    finally:
        config.set_image_data_format("channels_last")
    np.testing.assert_array_equal(first, last.transpose(0, 3, 1, 2))


def test_the_labels_of_cifar100(folder):
    batch = pickle.loads((folder / "cifar-100-python" / "train").read_bytes())
    for mode in ("fine", "coarse"):
        (_, y), _ = datasets.cifar100.load_data(mode)
        assert y[:, 0].tolist() == batch[f"{mode}_labels".encode()]


def test_the_unpacked_layout_of_the_cache_is_found_too(folder):
    target = folder / "cifar-10-batches-py-target"
    target.mkdir()
    (folder / "cifar-10-batches-py").rename(target / "cifar-10-batches-py")
    assert len(datasets.cifar10.load_data()[0][0]) == 20


@pytest.mark.parametrize("name", ["boston_housing", "california_housing"])
def test_houses_are_shuffled_and_split(folder, name):
    load = getattr(datasets, name).load_data
    (x_train, y_train), (x_test, y_test) = load(test_split=0.3)
    assert (len(x_train), len(y_train), len(x_test), len(y_test)) == (35, 35, 15, 15)
    with np.load(folder / f"{name}.npz") as file:
        np.testing.assert_array_equal(np.sort(np.r_[y_train, y_test]), np.sort(file["y"]))
        row = np.flatnonzero(file["y"] == y_train[0])[0]
        np.testing.assert_array_equal(file["x"][row], x_train[0])
    assert not np.array_equal(load(seed=1)[0][1], load(seed=2)[0][1])


def test_words_start_at_index_from(folder):
    (x, y), (x_test, _) = datasets.imdb.load_data()
    assert x.dtype == object and len(x) == len(y) == 30 and len(x_test) == 20
    assert all(text[0] == 1 and all(w == 2 or w >= 4 for w in text[1:]) for text in x)
    plain = datasets.imdb.load_data(start_char=None, index_from=0)[0][0]
    for text, moved in zip(plain, x, strict=True):
        assert all(b in (2, a + 3) for a, b in zip(text, moved[1:], strict=True))


def test_rare_and_frequent_words_are_replaced_or_dropped(folder):
    (x, _), _ = datasets.imdb.load_data(num_words=20, skip_top=5)
    assert all(word == 2 or 5 <= word < 20 for text in x for word in text)
    (x, _), _ = datasets.imdb.load_data(num_words=20, skip_top=5, oov_char=None)
    assert all(5 <= word < 20 for text in x for word in text)


def test_long_texts_are_left_out(folder):
    (x, y), _ = datasets.reuters.load_data(maxlen=6)
    assert len(x) == len(y) and max(len(text) for text in x) < 6


def test_word_indices_and_label_names(folder):
    assert datasets.imdb.get_word_index() == {"the": 1, "naïve": 2}
    assert datasets.reuters.get_word_index() == {"the": 1, "naïve": 2}
    names = datasets.reuters.get_label_names()
    assert len(names) == 46 and names[:2] == ("cocoa", "grain") and names[-1] == "lead"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: datasets.boston_housing.load_data(test_split=1),
            "boston_housing.load_data: `test_split` must be at least 0 and below 1. "
            "Received: test_split=1",
        ),
        (
            lambda: datasets.california_housing.load_data("huge"),
            "california_housing.load_data: `version` must be one of 'small', 'large'. "
            "Received: version='huge'",
        ),
        (
            lambda: datasets.cifar100.load_data("medium"),
            "cifar100.load_data: `label_mode` must be one of 'fine', 'coarse'. "
            "Received: label_mode='medium'",
        ),
        (
            lambda: datasets.imdb.load_data(maxlen=1),
            "imdb.load_data: `maxlen` must be more than the length of some reviews. "
            "Received: maxlen=1",
        ),
    ],
)
def test_bad_arguments(folder, call, message):
    with pytest.raises(ValueError) as raised:
        call()
    assert str(raised.value) == message


def test_without_data_and_network_it_says_where_to_put_the_file(nothing):
    with pytest.raises(OSError) as raised:
        datasets.mnist.load_data()
    origin = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
    assert str(raised.value).startswith(
        "keras.datasets.mnist: the data is not in the cache and cannot be downloaded. Put "
        f"{origin} into {nothing / 'home' / 'datasets'} under the name mnist.npz, or mnist.npz "
        "into a folder and set the environment variable KERASMIRROR_DATASETS to that one's path. "
        f"Reason: get_file: cannot download {origin}: "
    )


def test_without_data_and_network_an_archive_may_be_unpacked_by_hand(nothing):
    with pytest.raises(OSError) as raised:
        datasets.cifar10.load_data()
    assert (
        f"into {nothing / 'home' / 'datasets'} under the name cifar-10-batches-py-target_archive, "
        "or the folder cifar-10-batches-py into a folder" in str(raised.value)
    )


def test_files_in_the_cache_need_their_hash(folder, nothing):
    cache = nothing / "home" / "datasets"
    cache.mkdir(parents=True)
    (cache / "mnist.npz").write_bytes((folder / "mnist.npz").read_bytes())
    with pytest.raises(OSError, match="Put https"):
        datasets.mnist.load_data()


# Files from strangers


class Evil:
    """What a malicious pickle does when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_calls_something_is_refused(folder, tmp_path, protocol):
    sentinel = tmp_path / "sentinel"
    path = folder / "cifar-10-batches-py" / "data_batch_1"
    path.write_bytes(pickle.dumps({"data": Evil(str(sentinel))}, protocol))
    with pytest.raises(ValueError) as raised:
        datasets.cifar10.load_data()
    module = "posix" if os.name == "posix" else "nt"
    assert (
        str(raised.value) == f"{path}: a data set may not contain the Python object {module}.mkdir."
    )
    assert not sentinel.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"cnumpy\nload\n(S'/etc/passwd'\ntR.",
        b"cnumpy.f2py\ncompile\n(S'x'\ntR.",
        b"cnumpy\nndarray\n((I1000000000\nttR.",
        b"cnumpy\ndtype\n(S'V1000000000'\ntR.",
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"c_codecs\nencode\n(Vx\nVidna\ntR.",
        b"c_codecs\nlookup\n(S'idna'\ntR.",
        b"Ppersistent\n.",
    ],
)
def test_other_ways_to_call_something_are_refused(content):
    with pytest.raises(ValueError, match="x: a data set may not contain"):
        arrays.load_pickle(io.BytesIO(content), "x")


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("dtype", ["uint8", ">i4", "float64", "bool", object])
def test_pickled_arrays_are_read(protocol, dtype):
    value = np.arange(6).reshape(2, 3).astype(dtype)
    pickled = pickle.dumps({"x": value, "fortran": np.asfortranarray(value)}, protocol)
    for name, read in arrays.load_pickle(io.BytesIO(pickled), "x").items():
        np.testing.assert_array_equal(read, value, err_msg=str(name))
        assert read.dtype == value.dtype


def test_the_pickles_of_python_2_are_read():
    content = (
        b"\x80\x02}q\x00U\x04dataq\x01cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\n"
        b"q\x03K\x00\x85q\x04U\x01bq\x05\x87q\x06Rq\x07(K\x01K\x02K\x02\x86q\x08cnumpy\ndtype\nq\t"
        b"U\x02u1q\nK\x00K\x01\x87q\x0bRq\x0c(K\x03U\x01|q\rNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK"
        b"\x00tq\x0eb\x89U\x04\x01\x02\x03\xffq\x0ftq\x10bs."
    )
    read = arrays.load_pickle(io.BytesIO(content), "x")
    np.testing.assert_array_equal(read[b"data"], [[1, 2], [3, 255]])


@pytest.mark.parametrize("left", [0, 1, 10, 100])
def test_a_cut_pickle_is_refused(left):
    pickled = pickle.dumps({"x": np.arange(100)}, 4)[:left]
    with pytest.raises(ValueError, match="x: the file is damaged"):
        arrays.load_pickle(io.BytesIO(pickled), "x")


def test_an_array_of_another_size_than_its_bytes_is_refused():
    pickled = pickle.dumps(np.arange(100, dtype="uint8"), 4).replace(b"Kd\x85", b"Ke\x85")
    with pytest.raises(ValueError, match="x: the file is damaged"):
        arrays.load_pickle(io.BytesIO(pickled), "x")


def npz(header_shape, content, compression=zipfile.ZIP_STORED):
    stream = io.BytesIO()
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": header_shape}
    )
    with zipfile.ZipFile(stream, "w", compression) as archive:
        archive.writestr("x_train.npy", header.getvalue() + content)
    return stream.getvalue()


def test_an_npz_array_larger_than_its_file_is_refused(folder):
    (folder / "mnist.npz").write_bytes(npz((10**12,), b"abc"))
    with pytest.raises(ValueError) as raised:
        datasets.mnist.load_data()
    assert str(raised.value) == (
        f"{folder / 'mnist.npz'}, 'x_train.npy': an array of shape (1000000000000,) is declared "
        "and not stored."
    )


def test_an_npz_bomb_is_refused(folder, monkeypatch):
    monkeypatch.setattr(arrays, "_ALWAYS_FINE", 1 << 10)
    monkeypatch.setattr(arrays, "_MAX_EXPANSION", 100)
    bomb = npz((1 << 20,), bytes(1 << 20), zipfile.ZIP_DEFLATED)
    (folder / "mnist.npz").write_bytes(bomb)
    with pytest.raises(ValueError, match="'x_train.npy' holds far more than is stored."):
        datasets.mnist.load_data()


def test_objects_in_npz_files_are_plain(folder, tmp_path):
    sentinel = tmp_path / "sentinel"
    np.savez(folder / "imdb.npz", x_train=object_array([Evil(str(sentinel))]))
    with pytest.raises(ValueError, match="a data set may not contain the Python object"):
        datasets.imdb.load_data()
    assert not sentinel.exists()


@pytest.mark.parametrize("change", [slice(0, 100), slice(0, -1)])
def test_a_damaged_idx_file_is_refused(folder, change):
    import gzip

    path = folder / "fashion-mnist" / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[change]))
    with pytest.raises(ValueError, match="the file is damaged"):
        datasets.fashion_mnist.load_data()


# The real data


@pytest.fixture
def real_folder():
    folder = os.environ.get("KERASMIRROR_DATASETS")
    if not folder:
        pytest.skip("KERASMIRROR_DATASETS names no folder with MNIST and CIFAR-10")
    return folder


@pytest.mark.slow
def test_the_real_mnist(real_folder):
    (x_train, y_train), (x_test, y_test) = datasets.mnist.load_data()
    assert (x_train.shape, x_test.shape) == ((60000, 28, 28), (10000, 28, 28))
    assert y_train[:5].tolist() == [5, 0, 4, 1, 9] and y_test[:5].tolist() == [7, 2, 1, 0, 4]
    assert int(x_train.sum()) == 1567298545


@pytest.mark.slow
def test_the_real_cifar10(real_folder):
    (x_train, y_train), (x_test, y_test) = datasets.cifar10.load_data()
    assert (x_train.shape, x_test.shape) == ((50000, 32, 32, 3), (10000, 32, 32, 3))
    assert np.bincount(y_train[:, 0]).tolist() == [5000] * 10
    assert np.bincount(y_test[:, 0]).tolist() == [1000] * 10
