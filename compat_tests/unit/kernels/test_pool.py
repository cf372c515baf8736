import numpy as np
import pytest

from kerasmirror.kernels.cpu import pool
from kerasmirror.kernels.geometry import PoolGeometry, window_output

# (shape, window, stride, padding)
CASES = [
    ((2, 6, 8, 5), (2, 2), (2, 2), "valid"),
    ((3, 7, 9, 3), (2, 2), (2, 2), "valid"),  # a row and a column that no window covers
    ((2, 7, 9, 3), (2, 2), (2, 2), "same"),  # windows cut off at the end
    ((2, 9, 8, 1), (3, 2), (1, 2), "same"),  # rows shared by windows
    ((2, 8, 9, 2), (2, 3), (2, 1), "valid"),  # columns shared by windows
    ((1, 10, 11, 17), (3, 3), (2, 2), "same"),
    ((2, 9, 10, 4), (2, 2), (3, 4), "valid"),  # gaps between windows
    ((2, 5, 5, 3), (2, 2), (1, 1), "same"),
    ((2, 5, 4, 3), (5, 4), (5, 4), "valid"),  # one window, all of the image
    ((2, 5, 4, 3), (1, 1), (1, 1), "valid"),
    ((2, 5, 4, 3), (1, 1), (2, 3), "same"),
]


def geometry_of(shape, window, stride, padding):
    sides = [window_output(shape[i + 1], window[i], stride[i], 1, padding) for i in (0, 1)]
    return PoolGeometry(window, stride, (sides[0][1], sides[1][1]), (sides[0][0], sides[1][0]))


def windows(shape, geometry):
    """(n, p, q, rows, columns) of every window, cut to the image."""
    for n, p, q in np.ndindex(shape[0], *geometry.out_size):
        parts = []
        for i, place in enumerate((p, q)):
            start = place * geometry.stride[i] - geometry.pad[i][0]
            parts.append(range(max(start, 0), min(start + geometry.window[i], shape[i + 1])))
        yield n, p, q, *parts


def oracle(x, geometry, dy):
    """Max and mean of the windows, and the gradients of both, by plain loops."""
    highest = np.zeros((x.shape[0], *geometry.out_size, x.shape[3]))
    mean, dhighest, dmean = highest.copy(), np.zeros(x.shape), np.zeros(x.shape)
    for n, p, q, rows, columns in windows(x.shape, geometry):
        places = [(h, w) for h in rows for w in columns]
        for c in range(x.shape[3]):
            values = [float(x[n, h, w, c]) for h, w in places]
            first = values.index(max(values))
            highest[n, p, q, c], mean[n, p, q, c] = values[first], sum(values) / len(values)
            dhighest[(n, *places[first], c)] += dy[n, p, q, c]
            for h, w in places:
                dmean[n, h, w, c] += dy[n, p, q, c] / len(values)
    return highest, mean, dhighest, dmean


def arrays(case, dtype):
    rng = np.random.default_rng(4)
    geometry = geometry_of(*case)
    # Rounded, so that windows have ties.
    x = np.round(rng.normal(size=case[0]) * 1.5).astype(dtype)
    dy = rng.normal(size=(case[0][0], *geometry.out_size, case[0][3])).astype(dtype)
    return x, dy, geometry


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-6), ("float64", 1e-14)])
def test_pooling_and_gradients_match_the_plain_loops(case, dtype, tolerance):
    x, dy, geometry = arrays(case, dtype)
    highest, mean, dhighest, dmean = oracle(x, geometry, dy)
    y = pool.max_pool2d(x, geometry)
    results = [
        (y, highest),
        (pool.average_pool2d(x, geometry), mean),
        (pool.max_pool2d_grad_input(dy, x, y, geometry), dhighest),
        (pool.average_pool2d_grad_input(dy, x.shape, geometry), dmean),
    ]
    for actual, expected in results:
        assert actual.dtype == dtype
        np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance * 4)


@pytest.mark.parametrize("window", [(2, 2), (3, 2)])
def test_the_first_maximum_in_scan_order_takes_the_gradient(window):
    x = np.zeros((1, *window, 1), np.float32)
    geometry = PoolGeometry(window, window, ((0, 0), (0, 0)), (1, 1))
    for place in range(window[0] * window[1]):
        x.fill(0)
        x.reshape(-1)[place:] = 1  # this and all later places hold the maximum
        dy = np.full((1, 1, 1, 1), 5, np.float32)
        dx = pool.max_pool2d_grad_input(dy, x, pool.max_pool2d(x, geometry), geometry)
        assert np.flatnonzero(dx).tolist() == [place] and dx.reshape(-1)[place] == 5


@pytest.mark.parametrize("window", [(2, 2), (3, 3)])
def test_nan_is_the_maximum_wherever_it_stands(window):
    geometry = PoolGeometry(window, window, ((0, 0), (0, 0)), (1, 1))
    dy = np.ones((1, 1, 1, 2), np.float32)
    for place in np.ndindex(*window):
        x = np.random.default_rng(1).normal(size=(1, *window, 2)).astype(np.float32)
        x[(0, *place, 1)] = np.nan
        y = pool.max_pool2d(x, geometry)
        assert np.isfinite(y[..., 0]).all() and np.isnan(y[..., 1]).all()
        dx = pool.max_pool2d_grad_input(dy, x, y, geometry)
        assert dx[(0, *place, 1)] == 1 and dx.sum() == 2
        assert np.isnan(pool.average_pool2d(x, geometry)[..., 1]).all()


def test_negative_images_with_padding_keep_negative_maxima():
    x = np.full((1, 3, 3, 2), -5, np.float32)
    geometry = geometry_of(x.shape, (2, 2), (1, 1), "same")
    assert (pool.max_pool2d(x, geometry) == -5).all()
    assert (pool.average_pool2d(x, geometry) == -5).all()


def test_windows_wholly_in_the_padding():
    x = np.ones((1, 2, 2, 1), np.float32)
    geometry = PoolGeometry((1, 1), (1, 1), ((1, 0), (0, 1)), (3, 3))
    y = pool.max_pool2d(x, geometry)
    assert np.isneginf(y[0, 0]).all() and np.isneginf(y[0, :, 2]).all()
    assert (y[0, 1:, :2] == 1).all()
    assert np.isnan(pool.average_pool2d(x, geometry)[0, 0]).all()
    dx = pool.max_pool2d_grad_input(np.ones_like(y), x, y, geometry)
    assert np.array_equal(dx, x)
    assert np.array_equal(pool.average_pool2d_grad_input(np.ones_like(y), x.shape, geometry), x)


@pytest.mark.parametrize("shape, size", [((0, 4, 4, 3), (2, 2)), ((2, 1, 4, 3), (0, 2))])
def test_no_images_or_no_windows(shape, size):
    x = np.ones(shape, np.float32)
    geometry = PoolGeometry((2, 2), (2, 2), ((0, 0), (0, 0)), size)
    y = pool.max_pool2d(x, geometry)
    assert y.shape == pool.average_pool2d(x, geometry).shape == (shape[0], *size, 3)
    for dx in (
        pool.max_pool2d_grad_input(y, x, y, geometry),
        pool.average_pool2d_grad_input(y, shape, geometry),
    ):
        assert dx.shape == shape and not dx.any()


def test_views_are_taken_as_they_are():
    x, dy, geometry = arrays(((4, 6, 8, 6), (2, 2), (2, 2), "valid"), "float32")
    x, dy = np.repeat(x, 2, axis=3)[..., ::2], np.repeat(dy, 2, axis=3)[..., ::2]
    assert not x.flags.c_contiguous
    y = pool.max_pool2d(x, geometry)
    assert np.array_equal(y, pool.max_pool2d(x.copy(), geometry))
    assert np.array_equal(pool.average_pool2d(x, geometry), pool.average_pool2d(x.copy(), geometry))
    strided = np.repeat(y, 2, axis=3)[..., ::2]
    assert np.array_equal(
        pool.max_pool2d_grad_input(dy, x, strided, geometry),
        pool.max_pool2d_grad_input(dy.copy(), x.copy(), y, geometry),
    )
    assert np.array_equal(
        pool.average_pool2d_grad_input(dy, x.shape, geometry),
        pool.average_pool2d_grad_input(dy.copy(), x.shape, geometry),
    )


@pytest.mark.parametrize("window, stride", [((2, 2), (2, 2)), ((3, 3), (2, 2))])
def test_nothing_depends_on_the_number_of_threads(window, stride, same_on_any_threads):
    x, dy, geometry = arrays(((33, 31, 29, 5), window, stride, "same"), "float32")
    y = pool.max_pool2d(x, geometry)
    same_on_any_threads(lambda: pool.max_pool2d(x, geometry))
    same_on_any_threads(lambda: pool.average_pool2d(x, geometry))
    same_on_any_threads(lambda: pool.max_pool2d_grad_input(dy, x, y, geometry))
    same_on_any_threads(lambda: pool.average_pool2d_grad_input(dy, x.shape, geometry))


@pytest.mark.keras
@pytest.mark.parametrize("case", CASES)
def test_pooling_and_gradients_are_tensorflow_s(case):
    tf = pytest.importorskip("tensorflow")
    x, dy, geometry = arrays(case, "float32")
    x = np.maximum(x, 0)  # as after a relu: many ties
    v = tf.constant(x)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(v)
        highest = tf.nn.max_pool2d(v, case[1], case[2], case[3].upper())
        mean = tf.nn.avg_pool2d(v, case[1], case[2], case[3].upper())
    y = pool.max_pool2d(x, geometry)
    assert np.array_equal(y, highest)
    np.testing.assert_allclose(pool.average_pool2d(x, geometry), mean, rtol=1e-6)
    dx = pool.max_pool2d_grad_input(dy, x, y, geometry)
    np.testing.assert_allclose(dx, tape.gradient(highest, v, dy), rtol=1e-6, atol=1e-6)
    dx = pool.average_pool2d_grad_input(dy, x.shape, geometry)
    np.testing.assert_allclose(dx, tape.gradient(mean, v, dy), rtol=1e-6, atol=1e-6)
