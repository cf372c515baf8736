"""Operations on images as user code, on either side, and their gradients."""

import numpy as np
import pytest
from parity.side_by_side import real_keras

import kerasmirror
from kerasmirror.autodiff.gradcheck import check_gradients

pytestmark = pytest.mark.keras
RNG = np.random.default_rng(0)
IMAGES = RNG.random((2, 7, 9, 3)).astype("float32")
BYTES = (IMAGES * 255).astype("uint8")
LARGER = RNG.random((2, 16, 16, 3)).astype("float32")
CHANGED = (0.9 * LARGER + 0.1 * RNG.random(LARGER.shape)).astype("float32")
VOLUMES = RNG.random((2, 5, 6, 4, 2)).astype("float32")
FIRST = np.ascontiguousarray(np.moveaxis(IMAGES, -1, 1))
MAPS = np.array(
    [[1.1, 0.2, -1, 0.1, 0.9, 0.5, 0.001, 0.002], [0.8, -0.3, 2, 0.3, 1.2, -2.5, 0, 0]], "float32"
)
FAR = MAPS * np.array([3, 3, 10, 3, 3, 10, 1, 1], "float32")
CORNERS = np.array([[0, 0], [8, 0], [0, 6], [8, 6]], "float32")
MOVED = np.array([[1, 1], [7, 0.5], [0.3, 5], [8, 5.5]], "float32")
PLACES = RNG.uniform(-8, 14, (2, 30)).astype("float32")
SCALE, SHIFT = np.array([0.7, 0.9], "float32"), np.array([1.5, -0.3], "float32")

CASES = {
    "grey": lambda i, x: i.rgb_to_grayscale(x),
    "grey of bytes": lambda i, x: i.rgb_to_grayscale(BYTES),
    "grey, channels first": lambda i, x: i.rgb_to_grayscale(FIRST, data_format="channels_first"),
    "hsv": lambda i, x: i.rgb_to_hsv(x),
    "hsv of one image": lambda i, x: i.rgb_to_hsv(x[0]),
    "rgb": lambda i, x: i.hsv_to_rgb(x),
    "cropped to proportions": lambda i, x: i.resize(x, (5, 5), crop_to_aspect_ratio=True),
    "padded to proportions": lambda i, x: i.resize(
        x, (6, 5), pad_to_aspect_ratio=True, fill_value=2.0
    ),
    "one image padded": lambda i, x: i.resize(x[0], (5, 12), pad_to_aspect_ratio=True),
    "resize, channels first": lambda i, x: i.resize(FIRST, (5, 12), data_format="channels_first"),
    "one perspective": lambda i, x: i.perspective_transform(x, CORNERS, MOVED),
    "two perspectives": lambda i, x: i.perspective_transform(
        x, np.stack([CORNERS, CORNERS]), np.stack([MOVED, MOVED * 0.9]), interpolation="nearest"
    ),
    "bytes by an affine map": lambda i, x: i.affine_transform(BYTES, MAPS[0]),
    "whole numbers at coordinates": lambda i, x: i.map_coordinates(
        BYTES[0, :, :, 0].astype("int32"), np.abs(PLACES), 1
    ),
    "blur": lambda i, x: i.gaussian_blur(x),
    "wide blur": lambda i, x: i.gaussian_blur(x, (5, 3), (1.0, 2.0)),
    "sobel": lambda i, x: i.sobel_edges(x),
    "similarity": lambda i, x: i.ssim(LARGER, CHANGED),
    "similarity of one pair": lambda i, x: i.ssim(LARGER[0], CHANGED[0], filter_size=7),
    "patches": lambda i, x: i.extract_patches(x, 3),
    "overlapping patches": lambda i, x: i.extract_patches(x, (2, 3), strides=1),
    "patches with margins": lambda i, x: i.extract_patches(
        x, (2, 2), strides=(2, 1), padding="same"
    ),
    "dilated patches": lambda i, x: i.extract_patches(x, 3, strides=1, dilation_rate=2),
    "patches of volumes": lambda i, x: i.extract_patches(VOLUMES, (2, 2, 2)),
    "patches of a volume": lambda i, x: i.extract_patches_3d(VOLUMES[0], 2, 1, padding="same"),
    "margins": lambda i, x: i.pad_images(x, 1, 2, target_height=10, target_width=13),
    "margins cut": lambda i, x: i.crop_images(x, 1, 2, target_height=4, right_cropping=3),
    "waves": lambda i, x: i.elastic_transform(x, seed=3, fill_mode="constant"),
    "small waves": lambda i, x: i.elastic_transform(
        x, alpha=1.0, sigma=2.0, seed=3, fill_mode="nearest"
    ),
}
for _name in ("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5"):
    for _smooth in (False, True):
        for _size in ((4, 5), (14, 20), (7, 12)):
            CASES[f"resize {_name} {_smooth} {_size}"] = (
                lambda i, x, name=_name, smooth=_smooth, size=_size: i.resize(
                    x, size, interpolation=name, antialias=smooth
                )
            )
for _name in ("linear", "cubic", "lanczos3", "lanczos5"):
    CASES[f"stretched {_name}"] = lambda i, x, name=_name: i.scale_and_translate(
        x, (2, 5, 6, 3), SCALE, SHIFT, (1, 2), name
    )
for _fill in ("constant", "nearest", "wrap", "reflect"):
    for _name in ("bilinear", "nearest"):
        for _maps in (MAPS, FAR):
            CASES[f"affine {_fill} {_name} {'far' if _maps is FAR else 'near'}"] = (
                lambda i, x, fill=_fill, name=_name, maps=_maps: i.affine_transform(
                    x, maps, interpolation=name, fill_mode=fill, fill_value=0.3
                )
            )
for _fill in ("constant", "nearest", "wrap"):
    for _order in (0, 1):
        CASES[f"coordinates {_fill} {_order}"] = lambda i, x, fill=_fill, order=_order: (
            i.map_coordinates(x[0, :, :, 0], PLACES, order, fill_mode=fill, fill_value=0.5)
        )


@pytest.mark.parametrize("name", CASES)
def test_values_are_those_of_keras(name):
    keras, _ = real_keras()
    expected = np.asarray(CASES[name](keras.ops.image, IMAGES))
    actual = np.asarray(CASES[name](kerasmirror.ops.image, IMAGES))
    assert actual.dtype == expected.dtype
    # Waves move pixels by many times their own rounding.
    np.testing.assert_allclose(actual, expected, atol=1e-3 if "waves" in name else 2e-6)


def test_bytes_are_rounded_within_one_of_keras():
    keras, _ = real_keras()
    expected = np.asarray(keras.ops.image.resize(BYTES, (5, 6)))
    actual = np.asarray(kerasmirror.ops.image.resize(BYTES, (5, 6)))
    assert actual.dtype == np.uint8
    assert np.abs(actual.astype(int) - expected.astype(int)).max() <= 1


# Beyond the edges Keras on TensorFlow fails ("mirror") or is a pixel off ("reflect").
@pytest.mark.parametrize("mode", ["mirror", "reflect"])
@pytest.mark.parametrize("order", [0, 1])
def test_coordinates_beyond_mirrors_are_those_of_scipy(mode, order):
    ndimage = pytest.importorskip("scipy.ndimage")
    image = IMAGES[0, :, :, 0].astype("float64")
    actual = kerasmirror.ops.image.map_coordinates(image, PLACES, order, fill_mode=mode)
    expected = ndimage.map_coordinates(image, PLACES, order=order, mode=mode)
    np.testing.assert_allclose(np.asarray(actual), expected, atol=1e-6)


DIFFERENTIABLE = {
    "hsv": lambda i, x: i.rgb_to_hsv(x),
    "rgb": lambda i, x: i.hsv_to_rgb(x),
    "grey": lambda i, x: i.rgb_to_grayscale(x),
    "resize": lambda i, x: i.resize(x, (4, 5), antialias=True),
    "nearest": lambda i, x: i.resize(x, (4, 12), interpolation="nearest"),
    "affine": lambda i, x: i.affine_transform(x, MAPS, fill_mode="reflect"),
    "perspective": lambda i, x: i.perspective_transform(x, CORNERS, MOVED),
    "coordinates": lambda i, x: i.map_coordinates(x[0, :, :, 0], PLACES.astype("float64"), 1),
    "patches": lambda i, x: i.extract_patches(x, 3, strides=2, padding="same"),
    "sobel": lambda i, x: i.sobel_edges(x),
    "similarity": lambda i, x: i.ssim(x, x * 0.5 + 0.1, filter_size=3),
    "margins": lambda i, x: i.pad_images(x, 1, 2, 3, 4),
    "margins cut": lambda i, x: i.crop_images(x, 1, 2, 3, 4),
}


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradients_agree_with_finite_differences(name):
    x = np.random.default_rng(5).random((2, 7, 9, 3))
    check_gradients(lambda value: DIFFERENTIABLE[name](kerasmirror.ops.image, value), x)


def test_coordinates_have_a_gradient():
    image = np.random.default_rng(5).random((6, 7))
    places = np.random.default_rng(6).uniform(0.1, 4.9, (2, 8))
    check_gradients(
        lambda at: kerasmirror.ops.image.map_coordinates(image, at, 1), places.round(2) + 0.003
    )


def test_images_of_unknown_size_can_stand_in_a_graph():
    keras = kerasmirror
    inputs = keras.Input((None, None, 3))
    small = keras.ops.image.resize(inputs, (4, 5))
    model = keras.Model(inputs, keras.ops.image.rgb_to_grayscale(small))
    assert model.output_shape == (None, 4, 5, 1)
    expected = keras.ops.image.rgb_to_grayscale(keras.ops.image.resize(IMAGES, (4, 5)))
    np.testing.assert_array_equal(model.predict(IMAGES, verbose=0), np.asarray(expected))


MISTAKES = {
    "ops.image.resize: Invalid images rank: expected rank 3": lambda i: i.resize(
        IMAGES[0, 0], (2, 2)
    ),
    "ops.image.resize: `interpolation` must be": lambda i: i.resize(
        IMAGES, (2, 2), interpolation="cubist"
    ),
    "ops.image.rgb_to_hsv: Invalid images dtype: expected float": lambda i: i.rgb_to_hsv(BYTES),
    "ops.image.rgb_to_grayscale: Invalid channel size": lambda i: i.rgb_to_grayscale(
        IMAGES[..., :2]
    ),
    "ops.image.pad_images: Must specify exactly two of top_padding": lambda i: i.pad_images(
        IMAGES, 1, 2
    ),
    "ops.image.crop_images: bottom_cropping must be >= 0": lambda i: i.crop_images(
        IMAGES, 5, 0, target_height=4, target_width=2
    ),
    "ops.image.extract_patches: `size` must fit": lambda i: i.extract_patches(IMAGES, 8),
    "ops.image.map_coordinates: the first axis of `coordinates` must": lambda i: i.map_coordinates(
        IMAGES, PLACES, 1
    ),
    "ops.image.affine_transform: `transform` must have shape": lambda i: i.affine_transform(
        IMAGES, MAPS[:, :6]
    ),
}


@pytest.mark.parametrize("message", MISTAKES)
def test_what_does_not_fit_is_refused(message):
    with pytest.raises(ValueError) as caught:
        MISTAKES[message](kerasmirror.ops.image)
    assert str(caught.value).startswith(message)
