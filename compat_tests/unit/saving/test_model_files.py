"""save_model and load_model: what comes back, what is refused, what stays whole."""

import copy
import io
import json
import os
import pickle
import sys
import zipfile

import h5py
import numpy as np
import pytest

import kerasmirror as keras

layers, ops, saving = keras.layers, keras.ops, keras.saving
X = np.random.default_rng(0).normal(size=(12, 4)).astype("float32")
Y = np.random.default_rng(1).normal(size=(12, 2)).astype("float32")


class Scaled(layers.Layer):
    """A layer of the user's, with a variable in its own format and a file beside the weights."""

    def __init__(self, scale=2.0, **kwargs):
        super().__init__(**kwargs)
        self.scale = scale
        self.words = ["first"]

    def build(self, input_shape):
        self.shift = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="shift")

    def call(self, x):
        return x * self.scale + self.shift

    def get_config(self):
        return {**super().get_config(), "scale": self.scale}

    def save_own_variables(self, store):
        store["shift"] = self.shift

    def load_own_variables(self, store):
        self.shift.assign(store["shift"])

    def save_assets(self, folder):
        with open(os.path.join(folder, "words.txt"), "w") as file:
            file.write("\n".join(self.words))

    def load_assets(self, folder):
        with open(os.path.join(folder, "words.txt")) as file:
            self.words = file.read().split("\n")


def weighted_error(y_true, y_pred):
    return ops.mean(ops.square(y_true - y_pred), axis=-1) * 3


def trained(**arguments):
    keras.utils.set_random_seed(5)
    x = keras.Input((4,))
    y = layers.Dense(3, activation="tanh")(x) * 2
    model = keras.Model(x, layers.Dense(2)(Scaled(name="scaled")(y)), name="net")
    model.compile("adam", arguments.pop("loss", "mse"), metrics=["mae"])
    model.fit(X, Y, verbose=0, shuffle=False)
    model.get_layer("scaled").words = ["a", "b"]
    model.get_layer("scaled").shift.assign([1.0, 2.0, 3.0])
    return model


CUSTOM = {"Scaled": Scaled, "weighted_error": weighted_error}


def assert_same(left, right):
    for a, b in zip(left.get_weights(), right.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(np.asarray(left(X)), np.asarray(right(X)))
    for a, b in zip(left.optimizer.variables, right.optimizer.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.keras"


# What comes back


def save_to_folder(model, path):
    model.save(path.with_suffix(""), zipped=False)
    return saving.load_model(path.with_suffix(""), custom_objects=CUSTOM)


def save_to_path(model, path):
    model.save(path)
    return saving.load_model(path, custom_objects=CUSTOM)


def save_to_file(model, path):
    file = io.BytesIO()
    saving.save_model(model, file)
    file.seek(0)
    return saving.load_model(file, custom_objects=CUSTOM)


def through_pickle(model, path):
    return pickle.loads(pickle.dumps(model))


def through_deepcopy(model, path):
    return copy.deepcopy(model)


@pytest.mark.parametrize(
    "way", [save_to_path, save_to_folder, save_to_file, through_pickle, through_deepcopy]
)
@pytest.mark.parametrize("loss", ["mse", weighted_error], ids=["name", "function"])
def test_a_model_comes_back_whole_and_trains_on(path, way, loss):
    model = trained(loss=loss)
    twin = way(model, path)
    assert twin is not model
    assert_same(model, twin)
    assert twin.get_layer("scaled").words == ["a", "b"]
    for one in (model, twin):
        one.fit(X, Y, epochs=2, verbose=0, shuffle=False)
    assert_same(model, twin)


def test_an_h5_file_comes_back_with_optimizer_and_metrics(tmp_path):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Dense(2)])
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse", metrics=["mae"])
    model.fit(X, Y, verbose=0)
    path = tmp_path / "new" / "model.h5"
    model.save(path)
    twin = saving.load_model(path)
    assert_same(model, twin)
    assert twin.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)
    model.save(path, include_optimizer=False)
    assert not saving.load_model(path).compiled


@pytest.mark.parametrize("by_name", [False, True])
def test_weights_of_an_h5_file_go_by_order_or_by_name(tmp_path, by_name):
    def stack(names, units=2):
        made = [layers.Dense(3, name=names[0]), layers.Dense(units, name=names[1])]
        return keras.Sequential([keras.Input((4,)), *made])

    model, path = stack(["a", "b"]), str(tmp_path / "model.h5")
    model.save(path)
    other = stack(["z", "b"] if by_name else ["z", "y"])
    before = other.layers[0].get_weights()
    other.load_weights(path, by_name=by_name or None)
    np.testing.assert_array_equal(
        other.layers[0].get_weights()[0], before[0] if by_name else model.get_weights()[0]
    )
    np.testing.assert_array_equal(other.layers[1].get_weights()[0], model.get_weights()[2])
    wide = stack(["a", "b"], units=5)
    before = wide.get_weights()
    with pytest.raises(ValueError, match="Shape mismatch in layer #1 .named b"):
        wide.load_weights(path)
    np.testing.assert_array_equal(wide.get_weights()[0], before[0])
    with pytest.warns(UserWarning, match="Shape mismatch"):
        wide.load_weights(path, skip_mismatch=True)
    np.testing.assert_array_equal(wide.get_weights()[0], model.get_weights()[0])


def test_weights_in_several_files(tmp_path):
    model, path = trained(), str(tmp_path / "big.weights.json")
    model.save_weights(path, max_shard_size=1e-7)
    index = json.loads((tmp_path / "big.weights.json").read_text())
    files = sorted(file.name for file in tmp_path.glob("*.h5"))
    assert files[0] == "big_00000.weights.h5" and len(files) > 3
    assert index["weight_map"]["/layers/scaled/vars"] in files
    other = trained()
    other.set_weights([0 * value for value in other.get_weights()])
    other.load_weights(path)
    assert_same(model, other)
    with pytest.raises(ValueError, match="which exceeds the maximum shard size"):
        model.save_weights(path, max_shard_size=1e-8)
    assert json.loads((tmp_path / "big.weights.json").read_text()) == index


def test_a_keras_file_gives_its_weights_to_another_model(path):
    model = trained()
    model.save(path)
    other = trained()
    other.set_weights([0 * value for value in other.get_weights()])
    other.load_weights(path)
    assert_same(model, other)


def test_without_compile_the_model_is_not_compiled(path):
    trained().save(path)
    assert not saving.load_model(path, custom_objects=CUSTOM, compile=False).compiled


def test_a_layer_in_two_models_is_one_layer_again(path):
    shared = layers.Dense(4, name="shared")
    a, b = keras.Input((4,)), keras.Input((4,))
    one, two = keras.Model(a, shared(a), name="one"), keras.Model(b, shared(b) + 1, name="two")
    x = keras.Input((4,))
    model = keras.Model(x, two(one(x)))
    model.save(path)
    twin = saving.load_model(path)
    inner = [twin.get_layer(name).get_layer("shared") for name in ("one", "two")]
    assert inner[0] is inner[1]
    np.testing.assert_array_equal(np.asarray(model(X)), np.asarray(twin(X)))


def test_model_checkpoint_saves_whole_models(tmp_path):
    model = trained()
    checkpoint = keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras")
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[checkpoint])
    assert_same(model, saving.load_model(tmp_path / "2.keras", custom_objects=CUSTOM))
    assert (tmp_path / "1.keras").exists()


def test_state_trees_hold_all_variables_by_path():
    keras.utils.clear_session()
    model = trained()
    model.fit(X, Y, verbose=0)
    tree = model.get_state_tree("numpy_array")
    assert set(tree["trainable_variables"]) == {"dense", "scaled", "dense_1"}
    assert set(tree["trainable_variables"]["dense"]) == {"kernel", "bias"}
    assert int(tree["optimizer_variables"]["adam"]["iteration"]) == 2
    assert "total" in tree["metrics_variables"]["loss"]
    before = model.get_weights()
    model.set_weights([0 * value for value in before])
    model.set_state_tree(tree)
    for left, right in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)
    with pytest.raises(ValueError, match="Invalid `value_format` argument"):
        model.get_state_tree("text")
    with pytest.raises(ValueError, match="Unknown variable name"):
        model.set_state_tree({"weights": {}})


# What is refused


MISTAKES = [
    (
        lambda model, path: model.save(f"{path}.txt"),
        "save_model: Invalid filepath extension for saving. `filepath` must end in `.keras`, the "
        "native Keras format, or in `.h5`; `model.export()` writes models for other programs. "
        "Received: filepath='PATH.txt'",
    ),
    (
        lambda model, path: model.save(path, zipped=False),
        "save_model: with `zipped=False`, `filepath` should not end in `.keras`, as it becomes a "
        "folder. Received: filepath='PATH'",
    ),
    (
        lambda model, path: model.save(path, format="h5"),
        "save_model: The following argument(s) are not supported: ['format']",
    ),
    (
        lambda model, path: saving.load_model(path),
        "load_model: File not found: filepath='PATH'. Please ensure the file is an accessible "
        "`.keras` zip file.",
    ),
    (
        lambda model, path: saving.load_model(f"{path}.txt"),
        "load_model: File format not supported: `filepath` must be a `.keras` file, a folder of "
        "its contents, or a `.h5` file. TensorFlow's SavedModel cannot be loaded. "
        "Received: filepath='PATH.txt'",
    ),
    (
        lambda model, path: model.export(path, format="tflite"),
        "Model.export: Unrecognized format='tflite'; it must be one of ['tf_saved_model', 'onnx', "
        "'openvino', 'litert', 'torch'].",
    ),
    (
        lambda model, path: keras.models.model_from_json("[1]"),
        "model_from_json: the config must be a dict. Received: a list",
    ),
]


@pytest.mark.parametrize(("make", "message"), MISTAKES, ids=range(len(MISTAKES)))
def test_mistakes_are_told(path, make, message):
    with pytest.raises(ValueError) as raised:
        make(trained(), str(path))
    assert str(raised.value) == message.replace("PATH", str(path))


def test_a_custom_class_that_nobody_passes_is_not_found(path):
    trained().save(path)
    with pytest.raises(TypeError, match="cannot find 'Scaled'"):
        saving.load_model(path)


@pytest.mark.parametrize(("answer", "written"), [("y", True), ("n", False)])
def test_without_overwrite_it_asks(path, monkeypatch, answer, written):
    path.write_bytes(b"old")
    monkeypatch.setattr("builtins.input", lambda question: answer)
    trained().save(path, overwrite=False)
    assert zipfile.is_zipfile(path) == written


def test_a_failed_save_leaves_the_old_file_and_nothing_else(path):
    class Stubborn(layers.Layer):
        def call(self, x):
            return x

        def save_own_variables(self, store):
            raise RuntimeError("no")

    trained().save(path)
    before = path.read_bytes()
    with pytest.raises(RuntimeError, match="no"):
        keras.Sequential([keras.Input((4,)), Stubborn()]).save(path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_a_model_without_weights_yet_is_saved_with_a_warning(path):
    model = keras.Sequential([layers.Dense(2)])
    with pytest.warns(UserWarning, match="`model` should be built"):
        model.save(path)
    assert not saving.load_model(path).built


# What strangers put into files


def rewritten(path, change):
    """The archive at `path` with its members as `change` makes them of {name: bytes}."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    changed = change(members)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (members if changed is None else changed).items():
            archive.writestr(name, content)


def with_config(change):
    def apply(members):
        config = json.loads(members["config.json"])
        change(config)
        members["config.json"] = json.dumps(config)

    return apply


def small(path):
    keras.Sequential([keras.Input((4,)), layers.Dense(2, name="d")], name="s").save(path)


def first_dense(config):
    return config["config"]["layers"][1]["config"]


@pytest.mark.parametrize("name", ["../evil.txt", "/tmp/evil.txt", "assets/../../evil", "a\\..\\b"])
def test_members_that_would_leave_their_folder_are_refused(path, name):
    small(path)
    with zipfile.ZipFile(path, "a") as archive:
        info = zipfile.ZipInfo("x")
        info.filename = name
        archive.writestr(info, b"evil")
    with pytest.raises(ValueError, match="would be unpacked outside of its folder"):
        saving.load_model(path)


def test_a_link_in_the_archive_is_refused(path):
    small(path)
    with zipfile.ZipFile(path, "a") as archive:
        info = zipfile.ZipInfo("assets/link")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(ValueError, match="is a link"):
        saving.load_model(path)


@pytest.mark.parametrize("name", ["config.json", "model.weights.h5", "assets/zeros"])
def test_a_member_that_unpacks_to_far_more_than_it_stores_is_refused(path, name):
    small(path)
    rewritten(path, lambda members: {k: v for k, v in members.items() if k != name})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"\0" * 40_000_000, zipfile.ZIP_DEFLATED, 9)
    raw = bytearray(path.read_bytes())
    # Deflate itself shrinks a little less than a bomb claims to: let the directory claim more.
    with zipfile.ZipFile(path) as archive:
        size = archive.getinfo(name).file_size
    at = raw.rfind(size.to_bytes(4, "little"))
    raw[at : at + 4] = (2**31).to_bytes(4, "little")
    path.write_bytes(raw)
    with pytest.raises(ValueError, match="decompression bomb"):
        saving.load_model(path)


def test_one_name_twice_is_refused(path):
    small(path)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("config.json", b"{}")
    with pytest.raises(ValueError, match="holds 'config.json' twice"):
        saving.load_model(path)


@pytest.mark.parametrize("missing", ["config.json", "model.weights.h5"])
def test_an_archive_without_its_parts_is_refused(path, missing):
    small(path)
    rewritten(path, lambda members: {k: v for k, v in members.items() if k != missing})
    with pytest.raises(ValueError, match=f"with a '{missing}' in it"):
        saving.load_model(path)


@pytest.mark.parametrize("text", ["", "[", "[" * 100_000, "3", '"a"', "{}", '{"class_name": 1}'])
def test_a_config_that_is_none_is_refused(path, text):
    small(path)
    rewritten(path, lambda members: {**members, "config.json": text})
    with pytest.raises((ValueError, TypeError)):
        saving.load_model(path)


def test_a_config_of_layers_too_deep_within_each_other_is_refused():
    start = '{"module": "keras.layers", "class_name": "TimeDistributed", "config": {"layer": '
    inner = '{"module": "keras.layers", "class_name": "Dense", "config": {"units": 1}}'
    with pytest.raises(ValueError, match="must not be nested so deeply"):
        keras.models.model_from_json(start * 450 + inner + "}}" * 450)


def test_layers_larger_than_the_file_are_refused_before_they_are_made(path):
    small(path)
    rewritten(path, with_config(lambda config: first_dense(config).update(units=10**9)))
    with pytest.raises(ValueError, match="describes larger weights than it holds"):
        saving.load_model(path)


def test_many_layers_just_below_a_limit_are_refused(path):
    small(path)

    def many(config):
        layer = config["config"]["layers"][1]
        wide = [copy.deepcopy(layer) for _ in range(40)]
        for number, one in enumerate(wide):
            one["config"].update(name=f"d{number}", units=3000)
            one.pop("build_config", None)
        config["config"]["layers"][1:] = wide

    rewritten(path, with_config(many))
    with pytest.raises(ValueError, match="describes larger weights than it holds"):
        saving.load_model(path)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("keras.utils", "get_file"),
        ("keras.saving", "load_model"),
        ("keras.models", "save_model"),
        ("keras.models", "model_from_json"),
        (None, "eval"),
        (None, ["eval"]),
    ],
)
def test_what_a_config_may_not_name_is_refused_and_nothing_is_imported(path, module, name):
    small(path)
    evil = {"module": module, "class_name": name, "config": {"x": 1}, "registered_name": None}
    rewritten(path, with_config(lambda config: first_dense(config).update(activation=evil)))
    before = set(sys.modules)
    with pytest.raises((TypeError, ValueError)):
        saving.load_model(path)
    assert set(sys.modules) == before


def test_functions_that_make_or_write_models_are_not_found_by_a_config(path):
    for name in ("save_model", "model_from_json"):
        named = {"module": "keras.models", "class_name": "function", "config": name}
        with pytest.raises(TypeError, match=f"cannot find '{name}'"):
            saving.deserialize_keras_object(named)


@pytest.mark.parametrize("dtype", ["(1000000,)f8", "f8,f8"])
def test_an_array_of_a_dtype_that_holds_more_than_one_value_is_refused(dtype):
    array = {"class_name": "__numpy__", "config": {"value": 1.0, "dtype": dtype}}
    with pytest.raises(ValueError, match="must be that of plain values"):
        saving.deserialize_keras_object(array)


def test_an_array_of_text_takes_the_room_of_its_text():
    array = {"class_name": "__numpy__", "config": {"value": ["ab"], "dtype": "<U100000000"}}
    assert saving.deserialize_keras_object(array).nbytes == 8
    words = np.array(["ab", "c"])
    again = saving.deserialize_keras_object(saving.serialize_keras_object(words))
    assert again.dtype == words.dtype and list(again) == ["ab", "c"]


@pytest.mark.parametrize("name", ["AUC", "RecallAtPrecision"])
def test_metrics_of_more_thresholds_than_the_file_is_worth_are_refused(path, name):
    small(path)
    metric = {"name": "m", "num_thresholds": 10**9}
    if name != "AUC":
        metric["precision"] = 0.5
    described = {"module": "keras.metrics", "class_name": name, "config": metric}
    change = with_config(lambda config: config["compile_config"].update(metrics=[described]))
    rewritten(path, change)
    with pytest.raises(ValueError, match="describes larger weights than it holds"):
        saving.load_model(path)


def test_a_call_on_values_alone_is_refused_before_it_runs():
    x = keras.Input((2,))
    config = keras.Model(x, ops.tile(x, (1, 3))).get_config()
    call = config["layers"][1]
    call["config"]["repeats"] = [10**12]
    call["inbound_nodes"][0]["args"] = [saving.serialize_keras_object(np.ones(1, "float32"))]
    with pytest.raises(ValueError, match="a call must take outputs of other calls"):
        keras.Model.from_config(config)


@pytest.mark.parametrize("name", ["model_config", "training_config"])
@pytest.mark.parametrize("value", [5, np.array([1, 2]), b"\xff", "{}", '{"optimizer_config": 5}'])
def test_an_h5_file_with_an_odd_config_is_refused(tmp_path, name, value):
    path = tmp_path / "model.h5"
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    model.compile("sgd", "mse")
    model.save(path)
    with h5py.File(path, "a") as file:
        file.attrs[name] = value
    with pytest.raises(ValueError, match="load_model: .*config must|must be described by"):
        saving.load_model(path)


def test_a_lambda_layer_is_refused_in_safe_mode_and_in_old_files(tmp_path):
    model = keras.Sequential([keras.Input((4,)), layers.Lambda(lambda x: x * 2)])
    for name in ("model.keras", "model.h5"):
        path = tmp_path / name
        model.save(path)
        with pytest.raises(ValueError, match="arbitrary code execution"):
            saving.load_model(path)
        twin = saving.load_model(path, safe_mode=False)
        np.testing.assert_array_equal(np.asarray(twin(X)), X * 2)
    with pytest.raises(ValueError, match="arbitrary code execution"):
        keras.models.model_from_json(model.to_json())


def test_weights_that_lie_elsewhere_are_refused(tmp_path):
    model, path = trained(), tmp_path / "w.weights.json"
    model.save_weights(path, max_shard_size=1)
    index = json.loads(path.read_text())
    for name in ("../w_00000.weights.h5", "/etc/passwd", "sub\\w.weights.h5", 3, "w.txt"):
        index["weight_map"] = dict.fromkeys(index["weight_map"], name)
        path.write_text(json.dumps(index))
        with pytest.raises(ValueError, match="the weights must lie in|must be a JSON file"):
            model.load_weights(path)


def test_an_h5_file_with_links_is_refused(tmp_path):
    path, target = tmp_path / "model.h5", tmp_path / "other.h5"
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    model.save(path)
    model.save(target)
    with h5py.File(path, "a") as file:
        del file["model_weights"]
        file["model_weights"] = h5py.ExternalLink(str(target), "/model_weights")
    with pytest.raises(ValueError, match="ExternalLink"):
        saving.load_model(path)


def test_damaged_files_raise_and_never_crash(path):
    small(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(2)
    outcomes = set()
    for _ in range(150):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            damaged[place] = rng.integers(0, 256)
        if rng.random() < 0.2:
            damaged = damaged[: rng.integers(1, len(whole) + 1)]
        path.write_bytes(damaged)
        try:
            saving.load_model(path)
            outcomes.add("loaded")
        except (ValueError, TypeError, OSError, KeyError) as error:
            outcomes.add(type(error).__name__)
    assert "ValueError" in outcomes
