import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from kerasmirror.kernels.cpu import conv, conv_winograd
from kerasmirror.kernels.cpu.conv_winograd_points import matrices
from kerasmirror.kernels.geometry import ConvGeometry, window_output

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import oracles  # noqa: E402

ALGORITHMS = [(r, m) for (r, _), sizes in conv_winograd.TILES.items() for m in sizes]


def geometry_of(size, r, padding, stride=1, dilation=1, groups=1):
    if isinstance(padding, str):
        axes = [window_output(length, r, stride, dilation, padding) for length in size]
    else:
        axes = [(size[i] + sum(padding[i]) - r + 1, padding[i]) for i in (0, 1)]
    (rows, pad_rows), (columns, pad_columns) = axes
    steps = ((stride, stride), (pad_rows, pad_columns), (dilation, dilation))
    return ConvGeometry(*steps, groups, (rows, columns))


def sample(rng, images, size, channels, filters, r, geometry):
    arrays = (
        rng.normal(size=(images, *size, channels)),
        rng.normal(size=(r, r, channels, filters)),
        rng.normal(size=filters),
        rng.normal(size=(images, *geometry.out_size, filters)),
    )
    return [array.astype(np.float32) for array in arrays]


def passes(x, w, bias, dy, geometry, module):
    return [
        module.conv2d(x, w, bias, geometry, "relu"),
        module.conv2d(x, w, None, geometry),
        module.conv2d_grad_input(dy, w, x.shape, geometry),
        module.conv2d_grad_kernel(dy, x, w.shape, geometry),
    ]


def errors(x, w, bias, dy, geometry):
    """Each pass's largest error against float64, of its largest value."""
    actual = passes(x, w, bias, dy, geometry, conv)
    exact = passes(*(a.astype(np.float64) for a in (x, w, bias, dy)), geometry, oracles)
    for y, expected in zip(actual, exact, strict=True):
        assert y.dtype == np.float32 and y.shape == expected.shape
        yield np.abs(y - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize("r, m", ALGORITHMS)
def test_the_matrices_compute_correlations_exactly(r, m):
    b, g, a = matrices(m, r)
    inputs = [Fraction(3 * i * i - 7 * i + 2, 5) for i in range(m + r - 1)]
    window = [Fraction(4 - 3 * i * i, 7) for i in range(r)]

    def times(matrix, vector):
        return [sum(c * v for c, v in zip(row, vector, strict=True)) for row in matrix]

    products = [u * v for u, v in zip(times(g, window), times(b, inputs), strict=True)]
    direct = [sum(window[k] * inputs[i + k] for k in range(r)) for i in range(m)]
    assert times(a, products) == direct


# (images, (H, W), C and F in units, padding): whole and partial tiles, partial blocks and panels.
CASES = {
    "whole-tiles": (2, (20, 20), 4, 4, "same"),
    "partial-tiles": (3, (7, 9), 2, 5, "same"),
    "valid": (2, (10, 11), 3, 2, "valid"),
    "several-filter-blocks": (5, (3, 3), 1, 17, "same"),
    "asymmetric": (7, (6, 5), 2, 3, ((2, 0), (0, 2))),
    "full": (1, (4, 4), 2, 1, ((2, 2), (2, 2))),
    "many-slabs": (40, (9, 13), 2, 2, "same"),
    "one-place": (3, (1, 1), 2, 2, "same"),
    "one-row": (2, (1, 30), 1, 1, "same"),
}


@pytest.mark.parametrize("r, m", ALGORITHMS)
@pytest.mark.parametrize("name", CASES)
def test_winograd_matches_the_plain_loop(name, r, m, monkeypatch):
    images, size, channels, filters, padding = CASES[name]
    channels, filters = channels * conv_winograd.UNIT, filters * conv_winograd.UNIT
    geometry = geometry_of(size, r, padding)
    case = sample(np.random.default_rng(0), images, size, channels, filters, r, geometry)
    monkeypatch.setattr(conv, "_algorithm", "winograd")
    monkeypatch.setattr(conv_winograd, "tile_size", lambda *arguments: m)
    assert max(errors(*case, geometry)) < 1e-5


@pytest.mark.parametrize("r, m", ALGORITHMS)
def test_errors_stay_small_with_many_channels(r, m, monkeypatch):
    geometry = geometry_of((15, 15), r, "same")
    case = sample(np.random.default_rng(1), 2, (15, 15), 128, 128, r, geometry)
    monkeypatch.setattr(conv, "_algorithm", "winograd")
    monkeypatch.setattr(conv_winograd, "tile_size", lambda *arguments: m)
    assert max(errors(*case, geometry)) < (3e-6 if m + r - 1 <= 6 else 2e-5)


def test_images_that_padding_surrounds_are_read_inside_only(monkeypatch):
    # Three images between two of not-a-number, with tiles that reach over all edges.
    geometry = geometry_of((6, 6), 5, "same")
    unit = conv_winograd.UNIT
    x, w, _, dy = sample(np.random.default_rng(0), 5, (6, 6), unit, unit, 5, geometry)
    x[[0, 4]] = dy[[0, 4]] = np.nan
    monkeypatch.setattr(conv, "_algorithm", "winograd")
    monkeypatch.setattr(conv_winograd, "tile_size", lambda *arguments: 4)
    assert np.isfinite(conv.conv2d(x, w, None, geometry)[1:4]).all()
    assert np.isfinite(conv.conv2d_grad_input(dy, w, x.shape, geometry)[1:4]).all()


def chosen(size, channels, filters, dtype=np.float32, r=3, images=8, padding="same", **options):
    geometry = geometry_of(size, r, padding, **options)
    w_shape = (r, r, channels // geometry.groups, filters)
    return conv_winograd.tile_size((images, *size, channels), w_shape, geometry, np.dtype(dtype))


def test_the_tile_fits_the_image():
    assert chosen((16, 16), 32, 32) == chosen((8, 8), 128, 128) == 4
    assert chosen((28, 28), 32, 32, images=128) == chosen((7, 7), 128, 128, images=128) == 4
    assert chosen((14, 14), 64, 64) == chosen((10, 10), 64, 64) == 5
    assert chosen((2, 2), 32, 32) == 2
    assert chosen((64, 64), 8, 8, r=5) == chosen((14, 14), 64, 128, r=5, images=1) == 4


def test_winograd_is_not_chosen_where_it_does_not_pay_or_apply():
    assert chosen((1, 1), 32, 32) == 0  # nine products against sixteen
    assert chosen((2, 2), 256, 256, images=1) == 0  # transforms of windows that serve one tile
    assert chosen((16, 16), 3, 32) == chosen((16, 16), 32, 10) == 0
    assert chosen((16, 16), 32, 32, np.float64) == chosen((16, 16), 32, 32, stride=2) == 0
    assert chosen((16, 16), 32, 32, groups=2) == chosen((16, 16), 32, 32, r=7) == 0
    assert chosen((16, 16), 32, 32, dilation=2) == chosen((16, 16), 32, 32, images=0) == 0
    assert chosen((16, 16), 32, 32, padding=((3, 0), (0, 0))) == 0


@pytest.mark.parametrize("images", [1, 40])
@pytest.mark.parametrize("r", [3, 5])
def test_winograd_does_not_depend_on_the_number_of_threads(
    r, images, same_on_any_threads, monkeypatch
):
    monkeypatch.setattr(conv, "_algorithm", "winograd")
    geometry = geometry_of((9, 13), r, "same")
    x, w, bias, dy = sample(np.random.default_rng(0), images, (9, 13), 32, 80, r, geometry)
    assert conv_winograd.tile_size(x.shape, w.shape, geometry, x.dtype)
    same_on_any_threads(lambda: passes(x, w, bias, dy, geometry, conv))


def test_one_image_is_work_for_several_threads():
    for total, wide, channels, filters, n in (
        (8, 8, 32, 32, 6),
        (2, 2, 128, 128, 6),
        (4, 4, 64, 64, 8),
    ):
        rows, portion = conv_winograd._division(total, wide, channels, filters, n)
        assert -(-total // rows) * -(-filters // portion) >= 4
    assert conv_winograd._division(2, 2, 16, 16, 6) == (2, 16)
