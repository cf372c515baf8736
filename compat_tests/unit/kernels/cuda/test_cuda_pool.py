import numpy as np
import pytest

from kerasmirror.kernels.geometry import PoolGeometry, window_output

# (H, W), window, stride, padding: side by side, overlapping, with gaps, padded, larger than x.
GEOMETRIES = [
    ((6, 4), (2, 2), (2, 2), "valid"),
    ((5, 7), (2, 2), (2, 2), "valid"),
    ((7, 6), (3, 2), (2, 1), "same"),
    ((5, 5), (3, 3), (1, 1), "same"),
    ((7, 8), (2, 2), (3, 3), "valid"),
    ((7, 8), (2, 3), (2, 3), "same"),
    ((8, 10), (3, 4), (3, 4), "valid"),
    ((1, 3), (2, 2), (2, 2), "same"),
    ((3, 2), (4, 5), (2, 2), "same"),
    ((2, 2), (3, 3), (1, 1), "valid"),
]


# Channels in fours and not, of one type each, and of the other one for some of the geometries.
FORMS = [(sizes, *form) for sizes in GEOMETRIES for form in ((5, "float32"), (8, "float64"))]
FORMS += [(sizes, *form) for sizes in GEOMETRIES[1:4] for form in ((3, "float64"), (4, "float32"))]


def _geometry(size, window, stride, padding):
    axes = [window_output(size[i], window[i], stride[i], 1, padding) for i in range(2)]
    return PoolGeometry(window, stride, (axes[0][1], axes[1][1]), (axes[0][0], axes[1][0]))


def _case(sizes, channels, dtype):
    rng = np.random.default_rng(0)
    geometry = _geometry(*sizes)
    # Whole numbers, so that there are equal maxima.
    x = rng.integers(-3, 4, (2, *sizes[0], channels)).astype(dtype)
    dy = rng.normal(size=(2, *geometry.out_size, channels)).astype(dtype)
    return geometry, x, dy


@pytest.mark.parametrize(("sizes", "channels", "dtype"), FORMS)
def test_max_pooling_and_its_gradient(same, cpu, sizes, channels, dtype):
    geometry, x, dy = _case(sizes, channels, dtype)
    same("max_pool2d", x, geometry, exact=True)
    same("max_pool2d_grad_input", dy, x, cpu.max_pool2d(x, geometry), geometry, exact=True)


@pytest.mark.parametrize(("sizes", "channels", "dtype"), FORMS)
def test_average_pooling_and_its_gradient(same, sizes, channels, dtype):
    geometry, x, dy = _case(sizes, channels, dtype)
    same("average_pool2d", x, geometry)
    same("average_pool2d_grad_input", dy, x.shape, geometry)


def test_nan_is_the_largest_value_and_takes_the_gradient(same, cpu):
    geometry, x, dy = _case(GEOMETRIES[3], 3, "float32")
    x[0, 1, 1] = x[0, 2, 2, 0] = np.nan
    x[1, :, :, 1] = -np.inf
    same("max_pool2d", x, geometry, exact=True)
    same("max_pool2d_grad_input", dy, x, cpu.max_pool2d(x, geometry), geometry, exact=True)
    same("max_pool2d_places", x, geometry, exact=True)


@pytest.mark.parametrize(("relu", "rate"), [(False, 0.0), (True, 0.3)])
@pytest.mark.parametrize(("sizes", "channels", "dtype"), FORMS)
def test_max_pooling_that_keeps_places(same, cpu, sizes, channels, dtype, relu, rate):
    geometry, x, dz = _case(sizes, channels, dtype)
    if relu:
        x = np.maximum(x, 0)
    same("max_pool2d_places", x, geometry, relu, (3, 4), rate, exact=True)
    _, places = cpu.max_pool2d_places(x, geometry, relu, (3, 4), rate)
    same("max_pool2d_places_grad_input", dz, places, x.shape, geometry, rate)


def test_the_sums_for_the_bias_come_together_from_parts(same, cpu, threads):
    rng = np.random.default_rng(5)
    geometry = _geometry((40, 34), (2, 2), (2, 2), "valid")
    x = rng.normal(size=(1, 40, 34, 3)).astype("float32")
    dz = rng.normal(size=(1, 20, 17, 3)).astype("float32")
    _, places = cpu.max_pool2d_places(x, geometry, True, None, 0.0)
    same("max_pool2d_places_grad_input", dz, places, x.shape, geometry)


def test_a_window_that_begins_before_the_image(same, cpu):
    geometry = PoolGeometry((2, 2), (2, 2), ((1, 0), (1, 0)), (1, 1))
    x, dy = np.arange(12, dtype="float32").reshape(1, 2, 2, 3), np.ones((1, 1, 1, 3), "float32")
    same("max_pool2d_grad_input", dy, x, cpu.max_pool2d(x, geometry), geometry, exact=True)
    _, places = cpu.max_pool2d_places(x, geometry)
    same("max_pool2d_places", x, geometry, exact=True)
    same("max_pool2d_places_grad_input", dy, places, x.shape, geometry, exact=True)


def test_windows_with_more_places_than_a_byte_tells_apart(same, cpu):
    geometry, x, dy = _case(((18, 19), (16, 17), (1, 1), "valid"), 4, "float32")
    same("max_pool2d_grad_input", dy, x, cpu.max_pool2d(x, geometry), geometry, exact=True)


def test_channels_in_fours_that_do_not_begin_at_16_bytes(gpu, cpu):
    geometry, x, _ = _case(GEOMETRIES[0], 4, "float32")
    there = gpu.to_device(np.append(np.float32(0), x)).view_at(1, x.shape)
    np.testing.assert_array_equal(
        gpu.max_pool2d(there, geometry).to_host(), cpu.max_pool2d(x, geometry)
    )


def test_pooling_of_no_images(same):
    geometry = _geometry((4, 4), (2, 2), (2, 2), "valid")
    x = np.zeros((0, 4, 4, 3), "float32")
    same("max_pool2d", x, geometry)
    same("max_pool2d_places", x, geometry)
    same("average_pool2d_grad_input", np.zeros((0, 2, 2, 3), "float32"), x.shape, geometry)
