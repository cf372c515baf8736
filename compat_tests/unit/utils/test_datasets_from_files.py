"""Datasets of files: shuffling, training, and what is said about bad arguments."""

import sys
import wave

import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror.utils import images

utils = keras.utils


@pytest.fixture
def texts(tmp_path):
    for number in range(10):
        place = tmp_path / f"class_{number % 2}"
        place.mkdir(exist_ok=True)
        (place / f"{number}.txt").write_text(f"text {number}")
        (place / "other.bin").write_text("no text")
    return tmp_path


@pytest.fixture
def pictures(tmp_path):
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    for number in range(12):
        place = tmp_path / f"class_{number % 2}"
        place.mkdir(exist_ok=True)
        pixels = np.full((6, 6, 3), 200 * (number % 2) + number, np.uint8)
        image.fromarray(pixels).save(place / f"{number}.png")
    return tmp_path


def contents(dataset):
    return [text.decode() for batch, _ in dataset.as_numpy_iterator() for text in batch]


def test_shuffling_keeps_texts_with_their_labels_and_every_pass_differs(texts):
    dataset = utils.text_dataset_from_directory(texts, batch_size=3, seed=1, verbose=False)
    passes = [contents(dataset) for _ in range(2)]
    assert passes[0] != passes[1]
    assert sorted(passes[0]) == [f"text {n}" for n in range(10)]
    for batch, labels in dataset.as_numpy_iterator():
        assert [int(text.decode()[-1]) % 2 for text in batch] == labels.tolist()
    again = utils.text_dataset_from_directory(texts, batch_size=3, seed=1, verbose=False)
    assert [contents(again) for _ in range(2)] == passes


def test_the_two_parts_of_a_split_have_all_files_between_them(texts, capsys):
    train, validation = utils.text_dataset_from_directory(
        texts, validation_split=0.3, subset="both", seed=2
    )
    assert sorted(contents(train) + contents(validation)) == [f"text {n}" for n in range(10)]
    assert len(contents(validation)) == 3
    assert train.class_names == validation.class_names == ["class_0", "class_1"]
    assert capsys.readouterr().out == (
        "Found 10 files belonging to 2 classes.\nUsing 7 files for training.\n"
        "Using 3 files for validation.\n"
    )


def test_a_model_trains_on_images_of_a_folder(pictures):
    keras.utils.set_random_seed(1)
    train, validation = utils.image_dataset_from_directory(
        pictures,
        label_mode="binary",
        image_size=(6, 6),
        batch_size=4,
        validation_split=0.25,
        subset="both",
        seed=0,
        verbose=False,
    )
    model = keras.Sequential(
        [
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.5), "binary_crossentropy", metrics=["accuracy"])
    history = model.fit(train, validation_data=validation, epochs=8, verbose=0)
    assert history.history["accuracy"][-1] == 1
    assert history.history["loss"][-1] < history.history["loss"][0] / 2


def test_links_are_followed_where_asked(texts, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "linked.txt").write_text("linked")
    (texts / "class_0" / "link").symlink_to(outside, target_is_directory=True)
    plain = utils.text_dataset_from_directory(texts, verbose=False)
    followed = utils.text_dataset_from_directory(texts, follow_links=True, verbose=False)
    assert len(plain.file_paths) == 10 and len(followed.file_paths) == 11


def test_images_of_all_kinds_become_channels_of_eight_bits(tmp_path):
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    deep = np.array([[0, 65535], [256, 32768]], np.uint16)
    image.fromarray(deep).save(tmp_path / "deep.png")
    image.fromarray(np.full((2, 2), 7, np.uint8)).save(tmp_path / "grey.png")
    dataset = utils.image_dataset_from_directory(
        tmp_path,
        labels=None,
        color_mode="grayscale",
        image_size=2,
        shuffle=False,
        verbose=False,
    )
    (batch,) = dataset.as_numpy_iterator()
    assert batch[..., 0].tolist() == [[[0, 255], [1, 128]], [[7, 7], [7, 7]]]


def test_sounds_are_read_and_other_rates_refused(tmp_path):
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(np.array([0, 16384, -32768], "<i2").tobytes())
    options = {"labels": None, "verbose": False}
    (batch,) = utils.audio_dataset_from_directory(
        tmp_path, sampling_rate=8000, **options
    ).as_numpy_iterator()
    assert batch.tolist() == [[[0.0], [0.5], [-1.0]]]
    with pytest.raises(NotImplementedError, match="sounds are not resampled"):
        list(utils.audio_dataset_from_directory(tmp_path, sampling_rate=4000, **options))
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 1, 8000, 0, "NONE", ""))
        file.writeframes(b"\x00\x01")
    with pytest.raises(ValueError, match="must have samples of 16 bits. Received: 8 bits"):
        list(utils.audio_dataset_from_directory(tmp_path, **options))
    (tmp_path / "a.wav").write_bytes(b"no sound")
    with pytest.raises(ValueError, match="must be a PCM .wav file"):
        list(utils.audio_dataset_from_directory(tmp_path, **options))


def test_split_datasets_keep_their_batches():
    data = utils.Dataset.from_tensor_slices((np.arange(10), np.arange(10) * 2)).batch(4)
    left, right = utils.split_dataset(data, left_size=0.6)
    assert [len(batch[0]) for batch in left] == [4, 2]
    assert [batch[1].tolist() for batch in right] == [[12, 14, 16, 18]]


def test_without_pillow_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "PIL", None)
    for action, owner in (
        (lambda: utils.array_to_img(np.zeros((2, 2, 3))), "array_to_img"),
        (lambda: utils.load_img("a.png"), "load_img"),
        (lambda: utils.image_dataset_from_directory(tmp_path), "image_dataset_from_directory"),
    ):
        with pytest.raises(ImportError) as error:
            action()
        assert str(error.value) == (
            f"{owner}: Pillow must be installed to work with images: `pip install pillow`. "
            "(Could not import PIL.Image.)"
        )


def test_a_jpeg_drops_transparency_and_says_so(tmp_path):
    pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    path = tmp_path / "image.jpg"
    with pytest.warns(UserWarning, match="JPEG format does not support RGBA"):
        utils.save_img(path, np.zeros((4, 5, 4)))
    assert utils.img_to_array(utils.load_img(path)).shape == (4, 5, 3)


def test_resizing_with_margins_fills_with_zeros():
    image = keras.ops.ones((4, 2, 1))
    found = images.resize_with_pad(image, (4, 4), "bilinear").numpy()[..., 0]
    assert found.tolist() == [[0, 1, 1, 0]] * 4


TEXT, IMAGE = utils.text_dataset_from_directory, utils.image_dataset_from_directory
SERIES = utils.timeseries_dataset_from_array
LABELS = (
    "text_dataset_from_directory: the `labels` argument should be a list or tuple of int labels, "
    'one for each text file, "inferred" (from the subfolders), or None. Received: labels='
)
MISTAKES = [
    (lambda p: TEXT(p, labels="names"), ValueError, f"{LABELS}'names'"),
    (lambda p: TEXT(p, labels=3), ValueError, f"{LABELS}3"),
    (
        lambda p: TEXT(p, labels=[1, 2], class_names=["a"]),
        ValueError,
        'text_dataset_from_directory: you can only pass `class_names` if `labels="inferred"`. '
        "Received: labels=[1, 2], class_names=['a']",
    ),
    (
        lambda p: TEXT(p, labels=None, class_names=["a"]),
        ValueError,
        'text_dataset_from_directory: you can only pass `class_names` if `labels="inferred"`. '
        "Received: labels=None, class_names=['a']",
    ),
    (
        lambda p: TEXT(p, labels=[1, 2]),
        ValueError,
        "text_dataset_from_directory: Expected the lengths of `labels` to match the number of "
        "files in directory {}, 10. Received: 2 labels",
    ),
    (
        lambda p: TEXT(p, class_names=["a"]),
        ValueError,
        "text_dataset_from_directory: the `class_names` passed did not match the names of the "
        "subfolders. Expected: ['class_0', 'class_1'] (or some of them). "
        "Received: class_names=['a']",
    ),
    (
        lambda p: TEXT(p, label_mode="other"),
        ValueError,
        'text_dataset_from_directory: the `label_mode` argument must be one of "int", '
        '"categorical", "binary" and None. Received: label_mode=\'other\'',
    ),
    (
        lambda p: TEXT(p, label_mode="binary", class_names=["class_0"]),
        ValueError,
        'text_dataset_from_directory: for `label_mode="binary"` there must be exactly 2 classes. '
        "Received: class_names=['class_0']",
    ),
    (
        lambda p: TEXT(p, validation_split=2, subset="training"),
        ValueError,
        "text_dataset_from_directory: `validation_split` must be between 0 and 1. "
        "Received: validation_split=2",
    ),
    (
        lambda p: TEXT(p, validation_split=0.5),
        ValueError,
        "text_dataset_from_directory: if `subset` is set, `validation_split` must be set, and the "
        "other way round. Received: validation_split=0.5, subset=None",
    ),
    (
        lambda p: TEXT(p, validation_split=0.5, subset="other"),
        ValueError,
        'text_dataset_from_directory: `subset` must be either "training", "validation" or '
        "\"both\". Received: subset='other'",
    ),
    (
        lambda p: TEXT(p, validation_split=0.5, subset="training"),
        ValueError,
        "text_dataset_from_directory: with `validation_split` and `shuffle`, you must provide a "
        "`seed`, so that the two subsets do not overlap. Received: seed=None",
    ),
    (
        lambda p: TEXT(p, validation_split=0.01, subset="validation", seed=1),
        ValueError,
        "text_dataset_from_directory: No text files found in directory {}. Allowed formats: .txt",
    ),
    (
        lambda p: TEXT(p, format="grain"),
        NotImplementedError,
        "text_dataset_from_directory: Grain datasets are not mirrored; leave `format` at its "
        "default for a kerasmirror Dataset, which `fit` takes. Received: format='grain'",
    ),
    (
        lambda p: TEXT(p, format="csv"),
        ValueError,
        'text_dataset_from_directory: `format` should be either "tf" or "grain". '
        "Received: format='csv'",
    ),
    (
        lambda p: IMAGE(p),
        ValueError,
        "image_dataset_from_directory: No images found in directory {}. "
        "Allowed formats: .bmp, .gif, .jpeg, .jpg, .png",
    ),
    (
        lambda p: IMAGE(p, color_mode="cmyk"),
        ValueError,
        "image_dataset_from_directory: `color_mode` must be one of 'rgb', 'rgba', 'grayscale'. "
        "Received: color_mode='cmyk'",
    ),
    (
        lambda p: IMAGE(p, interpolation="area"),
        NotImplementedError,
        "image_dataset_from_directory: `interpolation` must be one of bilinear, nearest, bicubic, "
        "lanczos3, lanczos5; 'area' is TensorFlow's own. Received: interpolation='area'",
    ),
    (
        lambda p: IMAGE(p, crop_to_aspect_ratio=True, pad_to_aspect_ratio=True),
        ValueError,
        "image_dataset_from_directory: only one of `pad_to_aspect_ratio` and "
        "`crop_to_aspect_ratio` can be True. Received: both",
    ),
    (
        lambda p: utils.audio_dataset_from_directory(p, ragged=True),
        NotImplementedError,
        "audio_dataset_from_directory: `ragged` must be False, kerasmirror has dense tensors only: "
        "sounds are filled with zeros to the longest of their batch. Received: ragged=True",
    ),
    (
        lambda p: SERIES(np.arange(9), None, 3, sampling_rate=9),
        ValueError,
        "timeseries_dataset_from_array: `sampling_rate` must be lower than the length of the data, "
        "9. Received: sampling_rate=9",
    ),
    (
        lambda p: SERIES(np.arange(9), None, 3, start_index=4, end_index=4),
        ValueError,
        "timeseries_dataset_from_array: `end_index` must be higher than `start_index`. "
        "Received: start_index=4, end_index=4",
    ),
    (
        lambda p: SERIES(np.arange(9), None, 3, format="grain"),
        NotImplementedError,
        "timeseries_dataset_from_array: Grain datasets are not mirrored; leave `format` at its "
        "default for a kerasmirror Dataset, which `fit` takes. Received: format='grain'",
    ),
    (
        lambda p: utils.split_dataset(np.zeros(4)),
        ValueError,
        "split_dataset: at least one of `left_size` and `right_size` must be given. "
        "Received: left_size=None, right_size=None",
    ),
    (
        lambda p: utils.split_dataset(np.zeros(4), 3, 3),
        ValueError,
        "split_dataset: the sum of `left_size` and `right_size` must be at most the 4 samples. "
        "Received: 3 and 3",
    ),
    (
        lambda p: utils.split_dataset("data", 3),
        TypeError,
        "split_dataset: `dataset` must be a Dataset, an array, or a list or tuple of arrays. "
        "Received: dataset=<class 'str'>",
    ),
    (
        lambda p: utils.split_dataset(np.zeros(4), "half"),
        TypeError,
        "split_dataset: `left_size` must be an int, a float or None. Received: left_size='half'",
    ),
    (
        lambda p: keras.preprocessing.image.smart_resize(np.zeros((2, 2)), (3, 3)),
        ValueError,
        "smart_resize: `x` must be an image (height, width, channels) or a batch of images. "
        "Received: x of shape (2, 2)",
    ),
    (
        lambda p: utils.array_to_img(np.zeros((2, 2))),
        ValueError,
        "array_to_img: `x` must have rank 3 (a single image). Received: x of shape (2, 2)",
    ),
    (
        lambda p: utils.load_img(3),
        TypeError,
        "load_img: `path` must be a path or a BytesIO. Received: path=3",
    ),
]


@pytest.mark.parametrize("action,error,text", MISTAKES)
def test_mistakes_are_told(texts, action, error, text):
    pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    with pytest.raises(error) as raised:
        action(texts)
    assert str(raised.value) == text.replace("{}", str(texts))
