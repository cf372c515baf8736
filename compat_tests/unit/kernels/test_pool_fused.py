"""The passes that layers share against the passes of each layer alone, which are the oracle."""

import numpy as np
import pytest

from kerasmirror.kernels.cpu import activation, gemm, pool, pool_places, random, threads
from kerasmirror.kernels.geometry import PoolGeometry, window_output

# (shape, window, stride, padding)
CASES = [
    ((2, 6, 8, 16), (2, 2), (2, 2), "valid"),
    ((3, 7, 9, 11), (2, 2), (2, 2), "valid"),  # a row and a column that no window covers
    ((2, 7, 9, 3), (2, 2), (2, 2), "same"),  # windows cut off at the end
    ((2, 9, 8, 1), (3, 2), (1, 2), "same"),  # rows shared by windows
    ((2, 8, 9, 18), (2, 3), (2, 1), "valid"),  # columns shared by windows
    ((1, 10, 11, 17), (3, 3), (2, 2), "same"),
    ((2, 11, 10, 9), (3, 3), (3, 3), "same"),
    ((2, 9, 10, 12), (2, 2), (3, 4), "valid"),  # gaps between windows
    ((2, 5, 5, 3), (2, 2), (1, 1), "same"),
    ((2, 5, 4, 8), (5, 4), (5, 4), "valid"),  # one window, all of the image
    ((2, 5, 4, 3), (1, 1), (2, 3), "same"),
    ((40, 8, 8, 33), (4, 4), (4, 4), "valid"),  # more bands than slabs
]
SEED = (5, 3)


def geometry_of(shape, window, stride, padding):
    sides = [window_output(shape[i + 1], window[i], stride[i], 1, padding) for i in (0, 1)]
    return PoolGeometry(window, stride, (sides[0][1], sides[1][1]), (sides[0][0], sides[1][0]))


def images(shape, dtype):
    # Rounded, so that windows have ties, also of 0 behind relu.
    return np.round(np.random.default_rng(4).normal(size=shape) * 1.5).astype(dtype)


def unfused(x, dz, geometry, relu, rate):
    """The result, the gradient and its sum, layer by layer."""
    y = activation.relu(x) if relu else x
    pooled = pool.max_pool2d(y, geometry)
    z = random.dropout(pooled, SEED, rate) if rate else pooled
    dpooled = random.dropout(dz, SEED, rate) if rate else dz
    dy = pool.max_pool2d_grad_input(dpooled, y, pooled, geometry)
    return z, activation.relu_grad(dy, y) if relu else dy


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_pooling_with_places_gives_the_bits_of_relu_pooling_and_dropout(case, dtype, relu, rate):
    geometry = geometry_of(*case)
    x = images(case[0], dtype)
    dz = np.random.default_rng(5).normal(size=(case[0][0], *geometry.out_size, case[0][3]))
    dz = dz.astype(dtype)
    expected, expected_gradient = unfused(x, dz, geometry, relu, rate)
    y = activation.relu(x) if relu else x
    z, places = pool_places.max_pool2d_places(y, geometry, relu, SEED, rate)
    np.testing.assert_array_equal(z, expected)
    dx, sums = pool_places.max_pool2d_places_grad_input(dz, places, x.shape, geometry, rate)
    np.testing.assert_array_equal(dx, expected_gradient)
    assert dx.dtype == sums.dtype == dtype
    total = expected_gradient.sum(axis=(0, 1, 2), dtype=np.float64)
    bound = (1e-6 if dtype == "float32" else 1e-14) * np.abs(expected_gradient).sum()
    np.testing.assert_allclose(sums, total, rtol=0, atol=bound)


@pytest.mark.parametrize("window", [(2, 2), (3, 3)])
@pytest.mark.parametrize("relu", [False, True])
def test_what_is_not_a_number_goes_where_it_goes_unfused(window, relu):
    geometry = PoolGeometry(window, window, ((0, 0), (0, 0)), (1, 1))
    dz = np.ones((1, 1, 1, 9), np.float32)
    for place in np.ndindex(*window):
        x = np.random.default_rng(1).normal(size=(1, *window, 9)).astype(np.float32)
        x[(0, *place, slice(1, 9, 2))] = np.nan
        x[0, -1, -1, 1:3] = np.nan
        x[..., 4] = -np.inf
        expected, gradient = unfused(x, dz, geometry, relu, 0)
        y = activation.relu(x) if relu else x
        z, places = pool_places.max_pool2d_places(y, geometry, relu)
        np.testing.assert_array_equal(z, expected)
        dx, sums = pool_places.max_pool2d_places_grad_input(dz, places, x.shape, geometry)
        np.testing.assert_array_equal(dx, gradient)
        np.testing.assert_array_equal(sums, gradient.sum(axis=(0, 1, 2)))


def test_windows_wholly_in_the_padding_bring_no_gradient():
    x = np.ones((1, 2, 2, 9), np.float32)
    geometry = PoolGeometry((1, 1), (1, 1), ((1, 0), (0, 1)), (3, 3))
    z, places = pool_places.max_pool2d_places(x, geometry)
    np.testing.assert_array_equal(z, pool.max_pool2d(x, geometry))
    dx, sums = pool_places.max_pool2d_places_grad_input(np.ones_like(z), places, x.shape, geometry)
    assert np.array_equal(dx, x) and (sums == 4).all()


@pytest.mark.parametrize("shape, size", [((0, 4, 4, 3), (2, 2)), ((2, 1, 4, 3), (0, 2))])
def test_no_images_or_no_windows(shape, size):
    geometry = PoolGeometry((2, 2), (2, 2), ((0, 0), (0, 0)), size)
    z, places = pool_places.max_pool2d_places(np.ones(shape, np.float32), geometry)
    dx, sums = pool_places.max_pool2d_places_grad_input(z, places, shape, geometry)
    assert z.shape == places.shape == (shape[0], *size, 3)
    assert dx.shape == shape and not dx.any() and sums.shape == (3,) and not sums.any()


def test_results_do_not_depend_on_the_number_of_threads():
    geometry = PoolGeometry((2, 2), (2, 2), ((0, 0), (0, 0)), (16, 16))
    x = np.random.default_rng(2).normal(size=(32, 32, 32, 24)).astype(np.float32)
    dz = np.random.default_rng(3).normal(size=(32, 16, 16, 24)).astype(np.float32)
    found, before = [], threads.thread_count()
    try:
        for count in {1, before}:
            threads.set_threads(count)
            z, places = pool_places.max_pool2d_places(x, geometry, True, SEED, 0.25)
            back = pool_places.max_pool2d_places_grad_input(dz, places, x.shape, geometry, 0.25)
            found.append([z, places, *back, *activation.relu_grad_sums(dz, z, 1 / 0.75)])
    finally:
        threads.set_threads(before)
    for first, second in zip(found[0], found[-1], strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(7,), (33, 7), (4, 5, 6, 3), (5000, 20), (300, 512), (0, 4)])
def test_dropout_in_place_gives_the_bits_of_dropout(dtype, shape):
    y = np.random.default_rng(6).normal(size=shape).astype(dtype)
    expected = random.dropout(y, SEED, 0.4)
    assert random.dropout_in_place(y, SEED, 0.4) is y
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1), (33, 7), (4, 5, 6, 3), (5000, 20), (300, 512), (0, 4)])
@pytest.mark.parametrize("scale", [1.0, 1 / 0.7])
def test_relu_gradient_with_sums_gives_relu_gradient_and_bias_gradient(dtype, shape, scale):
    rng = np.random.default_rng(7)
    y = activation.relu(np.round(rng.normal(size=shape) * 2).astype(dtype))
    if y.size:
        y.reshape(-1)[-1] = np.nan
    dy = rng.normal(size=shape).astype(dtype)
    dx, sums = activation.relu_grad_sums(dy, y, scale)
    expected = activation.relu_grad(dy * y.dtype.type(scale), y)
    np.testing.assert_array_equal(dx, expected)
    bound = (1e-6 if dtype == "float32" else 1e-14) * (1 + np.abs(expected).sum())
    np.testing.assert_allclose(sums, gemm.bias_grad(expected), rtol=0, atol=bound)
    assert sums.shape == shape[-1:] and sums.dtype == dtype
