import os
import stat

import h5py
import ml_dtypes
import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror.saving import hdf5
from kerasmirror.saving.atomic import replacing


def small(units=3, seed=0):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(units), keras.layers.Dense(2, use_bias=False)]
    )


def same(model, other):
    return all(
        np.array_equal(a, b) for a, b in zip(model.get_weights(), other.get_weights(), strict=True)
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.weights.h5"


def damaged(path, change):
    """A file of a small model after `change(h5 file)`."""
    small().save_weights(path)
    with h5py.File(path, "a") as file:
        change(file)
    return path


def refused(path, error=ValueError):
    """The message with which the file is refused; the model must not have changed."""
    model, twin = small(seed=1), small(seed=1)
    with pytest.raises(error) as raised:
        model.load_weights(path)
    assert same(model, twin)
    return str(raised.value)


# Writing and reading


def test_weights_come_back(path):
    model, other = small(), small(seed=1)
    model.save_weights(path)
    assert not same(model, other)
    other.load_weights(path)
    assert same(model, other)


def test_text_paths_and_the_public_functions_do_the_same(path):
    model, other = small(), small(seed=1)
    keras.saving.save_weights(model, str(path))
    keras.saving.load_weights(other, str(path))
    assert same(model, other)


def test_the_layout_of_a_file(path):
    model = small()
    model.save_weights(path)
    with h5py.File(path) as file:
        found = {}
        file.visititems(lambda name, item: found.update({name: dict(item.attrs)}))
        np.testing.assert_array_equal(file["layers/dense/vars/0"], model.layers[0].kernel)
    assert list(found) == [
        "layers",
        "layers/dense",
        "layers/dense/vars",
        "layers/dense/vars/0",
        "layers/dense/vars/1",
        "layers/dense_1",
        "layers/dense_1/vars",
        "layers/dense_1/vars/0",
        "vars",
    ]
    assert found["vars"] == {"name": model.name}
    assert found["layers/dense/vars"] == {"name": model.layers[0].name}


def test_the_optimizer_goes_along(path):
    model, other = small(), small(seed=1)
    for one in (model, other):
        one.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
    model.train_on_batch(np.ones((2, 4), "float32"), np.ones((2, 2), "float32"))
    other.optimizer.build(other.trainable_variables)
    model.save_weights(path)
    other.load_weights(path)
    for ours, theirs in zip(model.optimizer.variables, other.optimizer.variables, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    assert int(other.optimizer.iterations.numpy()) == 1


def test_bfloat16_weights_come_back(path):
    def make():
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, dtype="bfloat16")])

    model, other = make(), make()
    model.save_weights(path)
    with h5py.File(path) as file:
        assert file["layers/dense/vars/0"].attrs["dtype"] == "bfloat16"
    other.load_weights(path)
    assert other.layers[0].kernel.data.dtype == ml_dtypes.bfloat16
    assert same(model, other)


def test_other_widths_of_floats_are_converted(path):
    def widen(file):
        values = file["layers/dense/vars/0"][()].astype("float64")
        del file["layers/dense/vars/0"]
        file["layers/dense/vars/0"] = values

    other = small(seed=1)
    other.load_weights(damaged(path, widen))
    assert same(small(), other)


def test_objects_can_be_skipped(path):
    model, other = small(), small(seed=1)
    model.save_weights(path)
    kept = other.layers[0].kernel.numpy()
    other.load_weights(path, objects_to_skip=[other.layers[0]])
    np.testing.assert_array_equal(other.layers[0].kernel.numpy(), kept)
    np.testing.assert_array_equal(other.layers[1].kernel.numpy(), model.layers[1].kernel.numpy())


def test_a_layer_may_store_and_load_its_own_way(path):
    class Table(keras.layers.Layer):
        def __init__(self, words):
            super().__init__()
            self.words = words
            self.built = True

        def save_own_variables(self, store):
            store["words"] = np.array(self.words)

        def load_own_variables(self, store):
            assert list(store) == ["words"] and "words" in store and len(store) == 1
            self.words = store["words"].tolist()

    def make(words):
        model = keras.Sequential([Table(words)])
        model.built = True
        return model

    make([1, 2]).save_weights(path)
    other = make([])
    other.load_weights(path)
    assert other.layers[0].words == [1, 2]


def test_layers_of_the_tensorflow_2_13_layout_are_found(path):
    def rename(file):
        file.move("layers", "_layer_checkpoint_dependencies")

    other = small(seed=1)
    other.load_weights(damaged(path, rename))
    assert same(small(), other)


def test_an_attribute_that_leads_back_to_the_model_is_harmless(path):
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(2)
            self.holder = [self.dense]

        @property
        def again(self):
            return self

        def call(self, x):
            return self.dense(x)

    model = Net()
    model(np.ones((1, 3), "float32"))
    model.save_weights(path)
    model.load_weights(path)
    with h5py.File(path) as file:
        assert list(file) == ["dense", "vars"]


# skip_mismatch


def test_with_skip_mismatch_layers_that_do_not_fit_keep_their_weights(path):
    model, other = small(units=3), small(units=5, seed=1)
    model.save_weights(path)
    with pytest.warns(UserWarning) as caught:
        other.load_weights(path, skip_mismatch=True)
    assert same(other, small(units=5, seed=1))
    message = str(caught[0].message)
    names = [layer.name for layer in other.layers]
    assert message.startswith(
        "load_weights: the weights in `filepath` must match the model; those of 2 objects do not: "
        f"{names}. The first, {other.layers[0]!r}: The array for variable "
    )
    assert "must have shape (4, 5). Received: shape (4, 3). Received: filepath=" in message


def test_without_it_nothing_is_loaded_when_the_last_layer_does_not_fit(path):
    keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(7, use_bias=False)]
    ).save_weights(path)
    message = refused(path)
    assert "those of 1 objects do not" in message
    assert "must have shape (3, 2). Received: shape (3, 7)" in message


def test_another_number_of_weights_is_an_error(path):
    keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(2)]
    ).save_weights(path)
    assert "must get 1 variables, ['kernel']. Received: 2." in refused(path)


def test_a_load_that_fails_in_the_middle_is_undone(path):
    class Picky(keras.layers.Dense):
        def load_own_variables(self, store):
            self.kernel.assign(store["0"])
            raise RuntimeError("no more")

    def make(seed):
        keras.utils.set_random_seed(seed)
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), Picky(2)])

    model, other, twin = make(0), make(1), make(1)
    model.save_weights(path)
    with pytest.raises(ValueError, match="no more"):
        other.load_weights(path)
    assert same(other, twin)
    with pytest.warns(UserWarning, match="no more"):
        other.load_weights(path, skip_mismatch=True)
    np.testing.assert_array_equal(other.layers[0].kernel.numpy(), model.layers[0].kernel.numpy())
    np.testing.assert_array_equal(other.layers[1].kernel.numpy(), twin.layers[1].kernel.numpy())


# Arguments


def test_another_ending_is_an_error(tmp_path):
    path = str(tmp_path / "model.h5")
    with pytest.raises(ValueError) as raised:
        small().save_weights(path)
    assert str(raised.value) == (
        f'save_weights: `filepath` must end in ".weights.h5". Received: filepath={path!r}'
    )
    path = str(tmp_path / "model.npz")
    with pytest.raises(ValueError) as raised:
        small().load_weights(path)
    assert str(raised.value) == (
        "load_weights: File format not supported: `filepath` must end in '.weights.h5', "
        f"'.weights.json', '.keras', '.h5', '.hdf5'. Received: filepath={path!r}"
    )


@pytest.mark.parametrize("function", ["save_weights", "load_weights"])
def test_a_model_that_is_not_built_is_an_error(function, path):
    model = keras.Sequential([keras.layers.Dense(2)])
    with pytest.raises(ValueError) as raised:
        getattr(model, function)(path)
    doing = {"save_weights": "saving", "load_weights": "loading weights into"}[function]
    assert str(raised.value) == (
        f"{function}: You are {doing} a model that has not yet been built. Call it on data, or "
        f"`build()`, first. Received: model={model!r}"
    )


def test_a_missing_file_is_an_error(path):
    with pytest.raises(FileNotFoundError) as raised:
        small().load_weights(path)
    assert str(raised.value) == (
        f"load_weights: `filepath` must be an existing file. Received: filepath={str(path)!r}"
    )


def test_unknown_arguments_and_by_name_are_errors(path):
    small().save_weights(path)
    with pytest.raises(ValueError, match=r"load_weights: Invalid keyword arguments: \['format'\]"):
        small().load_weights(path, format="h5")
    with pytest.raises(ValueError, match="load_weights: `by_name` only supports loading legacy"):
        small().load_weights(path, by_name=True)


@pytest.mark.parametrize(("answer", "written"), [("y", True), ("n", False)])
def test_without_overwrite_it_asks(path, monkeypatch, answer, written):
    small().save_weights(path)
    monkeypatch.setattr("builtins.input", lambda question: answer)
    small(seed=1).save_weights(path, overwrite=False)
    other = small(seed=2)
    other.load_weights(path)
    assert same(other, small(seed=1 if written else 0))


# Damaged and malicious files


def test_a_file_of_something_else_is_refused(path):
    path.write_bytes(b"PK\3\4 this is no HDF5 file" * 50)
    message = refused(path, OSError)
    assert message.startswith(
        f"load_weights: `filepath` must be a whole HDF5 file. Received: filepath={str(path)!r} ("
    )


@pytest.mark.parametrize("left", [0, 7, 100, 0.5, 0.99])
def test_a_truncated_file_is_refused(path, left):
    small().save_weights(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(left if left > 1 else left * len(content))])
    assert "`filepath` must be a whole HDF5 file." in refused(path, OSError)


def test_changed_bytes_never_crash_or_half_load(path, tmp_path):
    small().save_weights(path)
    content = path.read_bytes()
    rng = np.random.RandomState(0)
    model = small(seed=1)
    for _ in range(300):
        changed = bytearray(content)
        for place in rng.randint(0, len(content), size=rng.randint(1, 20)):
            changed[place] = rng.randint(256)
        path.write_bytes(bytes(changed))
        before = model.get_weights()
        try:
            model.load_weights(path)
        except (ValueError, OSError):
            for weight, old in zip(model.get_weights(), before, strict=True):
                np.testing.assert_array_equal(weight, old)


def taken_out(file):
    """The name and shape of an array that is deleted, to be replaced by something else."""
    name = "layers/dense/vars/0"
    shape = file[name].shape
    del file[name]
    return name, shape


def test_external_storage_is_refused(path, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"s" * 48)

    def change(file):
        name, shape = taken_out(file)
        file.create_dataset(name, shape, "float32", external=[(str(secret), 0, 48)])

    message = refused(damaged(path, change))
    assert message == (
        "load_weights: `filepath` must be a file that can be loaded safely. "
        f"Received: filepath={str(path)!r}, whose dataset '/layers/dense/vars/0' is stored in "
        "another file"
    )


@pytest.mark.parametrize("place", ["layers/dense/vars/0", "layers/dense/vars", "layers", "vars/x"])
@pytest.mark.parametrize("kind", [h5py.SoftLink, h5py.ExternalLink])
def test_soft_and_external_links_are_refused_at_every_depth(path, tmp_path, place, kind):
    other = tmp_path / "other.weights.h5"
    small(seed=2).save_weights(other)

    def change(file):
        if place in file:
            del file[place]
        target = (str(other), "/" + place) if kind is h5py.ExternalLink else ("/vars",)
        file[place] = kind(*target)

    assert refused(damaged(path, change)).endswith(f"which has a {kind.__name__} at '/{place}'")


def test_a_link_beside_the_weights_is_refused_too(path):
    def change(file):
        file.create_group("a/b/c")["hidden"] = h5py.ExternalLink("/etc/hostname", "/")

    assert refused(damaged(path, change)).endswith("which has a ExternalLink at '/a/b/c/hidden'")


def test_virtual_datasets_are_refused(path, tmp_path):
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["x"] = np.ones((4, 3), "float32")

    def change(file):
        name, shape = taken_out(file)
        layout = h5py.VirtualLayout(shape, "float32")
        layout[:] = h5py.VirtualSource(str(other), "x", shape)
        file.create_virtual_dataset(name, layout)

    assert refused(damaged(path, change)).endswith(
        "whose dataset '/layers/dense/vars/0' is a view of others (virtual)"
    )


def test_a_second_name_for_a_group_is_refused(path):
    def change(file):
        file["layers/dense/vars/loop"] = file["layers"]

    assert refused(damaged(path, change)).endswith(
        "which has a second link to one object at '/layers/dense/vars/loop'"
    )


def test_groups_nested_without_end_are_refused(path):
    def change(file):
        file.create_group("/".join(["a"] * 200))

    assert refused(damaged(path, change)).endswith("whose groups are nested more than 128 deep")


def test_a_huge_array_that_stores_nothing_is_refused(path):
    def change(file):
        name, _ = taken_out(file)
        file.create_dataset(name, (10**6, 10**6), "float32", chunks=(1000, 1000))

    assert refused(damaged(path, change)).endswith(
        "whose dataset '/layers/dense/vars/0' declares 4000000000000 bytes and stores 0"
    )


def test_a_huge_chunk_behind_a_small_array_is_refused(path):
    def change(file):
        name, shape = taken_out(file)
        options = {"maxshape": (None, None), "compression": "gzip"}
        data = file.create_dataset(name, shape, "float32", chunks=(1 << 12, 1 << 12), **options)
        data[:] = 1.0

    assert refused(damaged(path, change)).endswith(
        "whose dataset '/layers/dense/vars/0' of 48 bytes has chunks of 67108864"
    )


def test_an_array_of_another_shape_is_refused_before_it_is_read(path, monkeypatch):
    def change(file):
        name, _ = taken_out(file)
        file[name] = np.ones((1000, 1000), "float32")

    damaged(path, change)
    read = []
    original = hdf5.StoredVariables._read

    def watched(self, key):
        read.append(self.group[key].shape)
        return original(self, key)

    monkeypatch.setattr(hdf5.StoredVariables, "_read", watched)
    assert "must have shape (4, 3). Received: shape (1000, 1000)" in refused(path)
    assert (1000, 1000) not in read


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.array([[b"text"] * 3] * 4), "A weight must be a number. Received: an array of dtype"),
        (np.zeros((4, 3), [("a", "f4")]), "A weight must be a number. Received: an array of dtype"),
        (np.zeros((4, 3), "complex64"), "A weight must be a number. Received: an array of dtype"),
    ],
)
def test_arrays_that_are_no_numbers_are_refused(path, values, reason):
    def change(file):
        name, _ = taken_out(file)
        file[name] = values

    assert reason in refused(damaged(path, change))


def test_texts_of_any_length_are_refused(path):
    def change(file):
        name, shape = taken_out(file)
        file.create_dataset(name, shape, h5py.string_dtype())

    assert "A weight must be a number." in refused(damaged(path, change))


def test_floats_do_not_become_integers(path):
    model = small()
    model.compile("sgd", "mse")
    model.optimizer.build(model.trainable_variables)
    model.save_weights(path)
    with h5py.File(path, "a") as file:
        del file["optimizer/vars/0"]
        file["optimizer/vars/0"] = np.float32(0.5)
    with pytest.raises(ValueError, match="must be int64. Received: float32"):
        model.load_weights(path)


def test_a_group_in_place_of_an_array_is_refused(path):
    def change(file):
        name, _ = taken_out(file)
        file.create_group(name)

    assert "'/layers/dense/vars/0' must be a dataset. Received: a group" in refused(
        damaged(path, change)
    )


def test_an_array_in_place_of_a_group_is_refused(path):
    def change(file):
        del file["layers/dense/vars"]
        file["layers/dense/vars"] = np.ones(3)

    assert "must get 2 variables, ['kernel', 'bias']. Received: 0." in refused(
        damaged(path, change)
    )


def test_a_missing_name_is_refused(path):
    def change(file):
        file.move("layers/dense/vars/1", "layers/dense/vars/one")

    assert "the file has no array '1' for it" in refused(damaged(path, change))


def test_filters_that_would_be_loaded_as_plugins_are_refused(path):
    def change(file):
        name, shape = taken_out(file)
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk(shape)
        properties.set_filter(32013, h5py.h5z.FLAG_OPTIONAL)
        space = h5py.h5s.create_simple(shape)
        h5py.h5d.create(file.id, name.encode(), h5py.h5t.NATIVE_FLOAT, space, dcpl=properties)

    assert refused(damaged(path, change)).endswith(
        "whose dataset '/layers/dense/vars/0' needs filters [32013]"
    )


# Atomic writing


def test_a_failed_write_leaves_the_old_file_and_no_other(path, monkeypatch):
    small().save_weights(path)
    before = path.read_bytes()

    def fail(self, key, value):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(hdf5.NewVariables, "__setitem__", fail)
    with pytest.raises(OSError, match="No space left"):
        small(seed=1).save_weights(path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_a_failed_rename_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    target = tmp_path / "file"
    target.write_text("old")

    def fail(*_):
        raise OSError("no rename")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no rename"), replacing(target) as temporary:
        with open(temporary, "w") as file:
            file.write("new")
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_new_files_get_ordinary_permissions_and_old_ones_keep_theirs(tmp_path):
    target = tmp_path / "file"

    def write():
        with replacing(target) as temporary, open(temporary, "w") as file:
            file.write("new")
        return stat.S_IMODE(target.stat().st_mode)

    mask = os.umask(0o027)
    try:
        assert write() == 0o640
        target.chmod(0o600)
        assert write() == 0o600
    finally:
        os.umask(mask)


def test_a_link_is_followed(tmp_path):
    target, link = tmp_path / "file", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    with replacing(link) as temporary, open(temporary, "w") as file:
        file.write("new")
    assert link.is_symlink() and target.read_text() == "new"
