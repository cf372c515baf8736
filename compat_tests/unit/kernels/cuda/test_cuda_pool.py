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


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", GEOMETRIES)
def test_max_pooling_and_its_gradient(same, cpu, dtype, sizes):
    geometry, x, dy = _case(sizes, 5, dtype)
    same("max_pool2d", x, geometry, exact=True)
    same("max_pool2d_grad_input", dy, x, cpu.max_pool2d(x, geometry), geometry, exact=True)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", GEOMETRIES)
def test_average_pooling_and_its_gradient(same, dtype, sizes):
    geometry, x, dy = _case(sizes, 3, dtype)
    same("average_pool2d", x, geometry)
    same("average_pool2d_grad_input", dy, x.shape, geometry)


def test_nan_is_the_largest_value_and_takes_the_gradient(same, cpu):
    geometry, x, dy = _case(GEOMETRIES[3], 3, "float32")
    x[0, 1, 1] = x[0, 2, 2, 0] = np.nan
    x[1, :, :, 1] = -np.inf
    same("max_pool2d", x, geometry, exact=True)
    same("max_pool2d_grad_input", dy, x, cpu.max_pool2d(x, geometry), geometry, exact=True)
    same("max_pool2d_places", x, geometry, exact=True)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.parametrize("sizes", GEOMETRIES)
def test_max_pooling_that_keeps_places(same, cpu, dtype, relu, rate, sizes):
    geometry, x, dz = _case(sizes, 5, dtype)
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


def test_pooling_of_no_images(same):
    geometry = _geometry((4, 4), (2, 2), (2, 2), "valid")
    x = np.zeros((0, 4, 4, 3), "float32")
    same("max_pool2d", x, geometry)
    same("max_pool2d_places", x, geometry)
    same("average_pool2d_grad_input", np.zeros((0, 2, 2, 3), "float32"), x.shape, geometry)
