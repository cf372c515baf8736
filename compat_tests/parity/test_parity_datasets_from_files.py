"""Datasets of files and arrays, element by element, against those of Keras on TensorFlow."""

import wave

import numpy as np
import pytest
from side_by_side import real_keras

import kerasmirror

pytestmark = pytest.mark.keras


@pytest.fixture(scope="module")
def tf_keras():
    return real_keras()[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images, texts and sounds of three classes, some in subfolders."""
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    rng = np.random.default_rng(0)
    root = tmp_path_factory.mktemp("files")
    sizes = [(12, 20), (20, 12), (16, 16), (9, 30)]
    for number in range(11):
        place = root / "abc"[number % 3]
        place = place / "inner" if number % 4 == 0 else place
        place.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (*sizes[number % 4], 3), dtype=np.uint8)
        image.fromarray(pixels).save(place / f"image_{number}.png")
        (place / f"text_{number}.txt").write_text(f"text number {number}: é\n" * 3)
        with wave.open(str(place / f"sound_{number}.wav"), "wb") as file:
            file.setparams((2, 2, 1000, 0, "NONE", ""))
            file.writeframes(rng.integers(-(2**15), 2**15, (10 + number, 2), "<i2").tobytes())
    return root


def leaves(element):
    return [np.asarray(part) for part in (element if isinstance(element, tuple) else (element,))]


def assert_same_elements(ours, theirs, rtol=1e-5, atol=1e-3):
    ours, theirs = [leaves(e) for e in ours], [leaves(e) for e in theirs]
    assert len(ours) == len(theirs)
    for mine, expected in zip(ours, theirs, strict=True):
        for a, b in zip(mine, expected, strict=True):
            assert a.dtype == b.dtype and a.shape == b.shape
            if a.dtype == object:
                assert a.tolist() == b.tolist()
            else:
                np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


IMAGE_OPTIONS = [
    {},
    {"batch_size": None, "label_mode": "categorical", "image_size": 8},
    {"interpolation": "nearest", "color_mode": "rgba"},
    {"interpolation": "bicubic", "pad_to_aspect_ratio": True},
    {"crop_to_aspect_ratio": True},
    {"pad_to_aspect_ratio": True, "data_format": "channels_first"},
    {"class_names": ["c", "a"], "label_mode": "binary"},
    {"labels": None, "interpolation": "lanczos3"},
    {"labels": [5, 6] * 5 + [7], "label_mode": "int"},
]


@pytest.mark.parametrize("options", IMAGE_OPTIONS, ids=str)
def test_images_are_the_same(tf_keras, folder, options):
    arguments = {"batch_size": 4, "image_size": (10, 14), "shuffle": False, **options}
    found = []
    for keras in (kerasmirror, tf_keras):
        dataset = keras.utils.image_dataset_from_directory(folder, verbose=False, **arguments)
        found.append(dataset)
    assert found[0].class_names == found[1].class_names
    assert found[0].file_paths == found[1].file_paths
    assert found[0].cardinality() == int(found[1].cardinality())
    assert_same_elements(*found)


def test_splits_and_the_order_of_files_are_the_same(tf_keras, folder, capsys):
    texts = []
    for options in (
        {"seed": 3},
        {"seed": 3, "validation_split": 0.3, "subset": "training"},
        {"seed": 3, "validation_split": 0.3, "subset": "validation"},
        {"seed": 3, "validation_split": 0.3, "subset": "both"},
    ):
        paths = []
        for keras in (kerasmirror, tf_keras):
            found = keras.utils.image_dataset_from_directory(folder, image_size=4, **options)
            found = found if isinstance(found, list) else [found]
            paths.append([dataset.file_paths for dataset in found])
            texts.append(capsys.readouterr().out)
        assert paths[0] == paths[1]
    assert texts[0::2] == texts[1::2]


@pytest.mark.parametrize(
    "options",
    [{}, {"max_length": 14}, {"batch_size": None}, {"labels": None}, {"label_mode": "categorical"}],
    ids=str,
)
def test_texts_are_the_same(tf_keras, folder, options):
    found = [
        keras.utils.text_dataset_from_directory(
            folder, **{"batch_size": 3, "shuffle": False, "verbose": False, **options}
        )
        for keras in (kerasmirror, tf_keras)
    ]
    assert found[0].class_names == found[1].class_names
    assert_same_elements(*found)


@pytest.mark.parametrize(
    "options",
    [{}, {"output_sequence_length": 15}, {"batch_size": None}, {"label_mode": None}],
    ids=str,
)
def test_sounds_are_the_same(tf_keras, folder, options):
    found = [
        keras.utils.audio_dataset_from_directory(
            folder, **{"batch_size": 4, "shuffle": False, "verbose": False, **options}
        )
        for keras in (kerasmirror, tf_keras)
    ]
    assert found[0].class_names == found[1].class_names
    assert_same_elements(*found, atol=0, rtol=0)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sequence_stride": 3, "sampling_rate": 2},
        {"start_index": 4, "end_index": 33},
        {"batch_size": None, "sampling_rate": 3},
        {"sequence_length": 40},
    ],
    ids=str,
)
@pytest.mark.parametrize("with_targets", [True, False])
def test_windows_are_the_same(tf_keras, options, with_targets):
    data = np.arange(80, dtype="float32").reshape(40, 2)
    targets = np.arange(40) * 10 if with_targets else None
    arguments = {"sequence_length": 5, "batch_size": 4, **options}
    found = [
        keras.utils.timeseries_dataset_from_array(data, targets, **arguments)
        for keras in (kerasmirror, tf_keras)
    ]
    assert found[0].cardinality() == int(found[1].cardinality())
    assert_same_elements(*found, atol=0, rtol=0)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("sizes", [(0.5, None), (None, 3), (4, 5), (0.25, 0.5), (7, None)], ids=str)
@pytest.mark.parametrize("kind", ["array", "list", "tuple"])
def test_splits_of_arrays_are_the_same(tf_keras, sizes, shuffle, kind):
    x, y = np.arange(20.0).reshape(10, 2), np.arange(10)
    data = {"array": x, "list": [x, y], "tuple": (x, y)}[kind]
    found = [
        keras.utils.split_dataset(data, *sizes, shuffle=shuffle, seed=7 if shuffle else None)
        for keras in (kerasmirror, tf_keras)
    ]
    for mine, expected in zip(*found, strict=True):
        assert mine.cardinality() == int(expected.cardinality())
        assert_same_elements(mine, expected, atol=0, rtol=0)


SAVED = [
    ((6, 5, 3), {}),
    ((6, 5, 4), {"scale": False}),
    ((6, 5, 1), {}),
    ((3, 6, 5), {"data_format": "channels_first"}),
    ((6, 5, 1), {"scale": False, "dtype": "float64"}),
]


@pytest.mark.filterwarnings("ignore:'mode' parameter is deprecated")
@pytest.mark.parametrize("shape,options", SAVED, ids=str)
def test_arrays_become_the_same_images_and_arrays(tf_keras, rng, shape, options):
    pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    array = rng.integers(0, 300 if shape[-1] == 1 else 256, shape).astype("float32")
    found = [keras.utils.array_to_img(array, **options) for keras in (kerasmirror, tf_keras)]
    assert found[0].mode == found[1].mode and found[0].size == found[1].size
    data_format = options.get("data_format")
    arrays = [
        keras.utils.img_to_array(img, data_format=data_format)
        for keras, img in zip((kerasmirror, tf_keras), found, strict=True)
    ]
    assert arrays[0].dtype == arrays[1].dtype
    np.testing.assert_array_equal(*arrays)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"color_mode": "grayscale"},
        {"color_mode": "rgba", "target_size": (7, 9)},
        {"target_size": (9, 7), "interpolation": "bicubic", "keep_aspect_ratio": True},
        {"target_size": (30, 5), "interpolation": "lanczos", "keep_aspect_ratio": True},
    ],
    ids=str,
)
def test_images_are_loaded_alike(tf_keras, folder, options):
    path = next(folder.rglob("image_1.png"))
    found = [
        keras.utils.img_to_array(keras.utils.load_img(path, **options))
        for keras in (kerasmirror, tf_keras)
    ]
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("size", [(8, 8), (5, 20), (40, 3)])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_images_are_cut_and_resized_alike(tf_keras, rng, size, data_format, dtype):
    shape = (2, 17, 12, 3) if data_format == "channels_last" else (3, 17, 12)
    x = rng.uniform(0, 255, shape).astype(dtype)
    found = [
        keras.preprocessing.image.smart_resize(x, size, data_format=data_format)
        for keras in (kerasmirror, tf_keras)
    ]
    np.testing.assert_allclose(*found, rtol=1e-5, atol=1e-3)
