import sys
from pathlib import Path

import numpy as np
import pytest

from kerasmirror.kernels.cpu import conv, threads
from kerasmirror.kernels.geometry import ConvGeometry, window_output

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import oracles  # noqa: E402


def geometry_of(size, window, stride, dilation, padding, groups):
    axes = [
        window_output(size[i], window[i], stride[i], dilation[i], padding)
        if isinstance(padding, str)
        else (
            (size[i] + sum(padding[i]) - (window[i] - 1) * dilation[i] - 1) // stride[i] + 1,
            padding[i],
        )
        for i in (0, 1)
    ]
    return ConvGeometry(
        stride, (axes[0][1], axes[1][1]), dilation, groups, (axes[0][0], axes[1][0])
    )


# (images, (H, W), C), (R, S), F, stride, dilation, padding, groups
CASES = {
    "same-3x3": ((2, (8, 9), 3), (3, 3), 16, (1, 1), (1, 1), "same", 1),
    "one-channel-7x7": ((2, (8, 9), 1), (7, 7), 5, (1, 1), (1, 1), "same", 1),
    "one-filter": ((2, (5, 5), 4), (3, 3), 1, (1, 1), (1, 1), "valid", 1),
    "stride-one-axis": ((3, (11, 7), 4), (3, 2), 33, (2, 1), (1, 1), "same", 1),
    "stride-groups": ((2, (12, 12), 6), (3, 3), 8, (2, 2), (1, 1), "same", 2),
    "dilation": ((2, (9, 9), 4), (3, 3), 4, (1, 1), (2, 3), "same", 1),
    "stride-and-dilation": ((1, (13, 12), 2), (3, 3), 18, (2, 3), (3, 2), "same", 1),
    "stride-larger-than-window": ((1, (9, 8), 3), (2, 2), 4, (3, 3), (1, 1), "valid", 1),
    "strided-1x1": ((2, (6, 6), 8), (1, 1), 10, (2, 2), (1, 1), "valid", 1),
    "1x1": ((2, (6, 6), 8), (1, 1), 10, (1, 1), (1, 1), "valid", 1),
    "1x1-groups": ((2, (6, 6), 8), (1, 1), 12, (1, 1), (1, 1), "valid", 4),
    "causal-row": ((1, (1, 20), 5), (1, 5), 7, (1, 1), (1, 2), "causal", 1),
    "depthwise": ((2, (7, 7), 6), (3, 3), 6, (1, 1), (1, 1), "same", 6),
    "six-groups-of-two": ((2, (7, 7), 12), (3, 3), 12, (2, 1), (1, 1), "same", 6),
    "eight-groups-of-three": ((2, (7, 5), 24), (3, 2), 8, (1, 1), (1, 1), "same", 8),
    "depthwise-stride": ((3, (11, 10), 20), (3, 4), 20, (2, 3), (1, 1), "same", 20),
    "depthwise-dilation": ((1, (12, 9), 33), (3, 2), 33, (1, 1), (2, 3), "same", 33),
    "depthwise-multiplier": ((2, (9, 7), 5), (3, 3), 15, (1, 1), (1, 1), "same", 5),
    "depthwise-multiplier-stride": ((1, (9, 17), 2), (5, 3), 40, (2, 2), (1, 1), "valid", 2),
    "depthwise-asymmetric": ((2, (10, 40), 16), (3, 3), 16, (1, 1), (1, 1), ((3, 0), (1, 4)), 16),
    "depthwise-no-output": ((2, (2, 2), 4), (3, 3), 4, (1, 1), (1, 1), "valid", 4),
    "one-image-in-bands": ((1, (41, 9), 3), (3, 3), 20, (2, 1), (1, 1), "same", 1),
    "groups-of-four": ((2, (7, 7), 6), (3, 3), 12, (2, 2), (1, 1), "same", 3),
    "window-larger-than-image": ((1, (2, 2), 1), (3, 3), 1, (1, 1), (1, 1), "same", 1),
    "asymmetric": ((2, (10, 10), 3), (5, 4), 20, (2, 3), (1, 1), ((3, 0), (1, 4)), 1),
    "no-image": ((0, (4, 4), 2), (3, 3), 4, (1, 1), (1, 1), "same", 1),
    "no-output": ((2, (2, 2), 2), (3, 3), 4, (1, 1), (1, 1), "valid", 1),
    "wide": ((5, (6, 6), 32), (3, 3), 64, (1, 1), (1, 1), "same", 1),
    "strided-many-channels": ((2, (9, 8), 20), (3, 3), 10, (2, 3), (1, 1), "same", 1),
    "stride-past-window-many-channels": ((1, (9, 8), 12), (2, 2), 4, (3, 3), (1, 1), "valid", 1),
    "dilated-groups-many-channels": ((1, (9, 8), 24), (3, 3), 6, (2, 1), (1, 2), "same", 2),
    "short-rows": ((2, (6, 3), 2), (3, 3), 5, (1, 1), (1, 1), "same", 1),
    "many-images": ((40, (5, 4), 2), (3, 3), 6, (1, 1), (1, 1), "same", 1),
    "rows-in-several-blocks": ((1, (40, 9), 2), (3, 3), 6, (1, 1), (1, 1), "same", 1),
}


def sample(case, dtype, seed=0):
    (images, size, channels), window, filters, stride, dilation, padding, groups = case
    geometry = geometry_of(size, window, stride, dilation, padding, groups)
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(images, *size, channels)).astype(dtype)
    w = rng.normal(size=(*window, channels // groups, filters)).astype(dtype)
    bias = rng.normal(size=filters).astype(dtype)
    dy = rng.normal(size=(images, *geometry.out_size, filters)).astype(dtype)
    return x, w, bias, dy, geometry


def close(actual, expected, tolerance):
    """Within `tolerance` of the largest value."""
    assert actual.shape == expected.shape
    scale = np.abs(expected).max(initial=1e-30)
    np.testing.assert_allclose(actual / scale, expected / scale, rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 1e-6), (np.float64, 1e-14)])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_convolution_and_its_gradients_match_the_plain_loop(case, dtype, tolerance, monkeypatch):
    monkeypatch.setattr(conv, "_algorithm", "direct")
    x, w, bias, dy, geometry = sample(case, dtype)
    y = conv.conv2d(x, w, bias, geometry, "relu")
    close(y, oracles.conv2d(x, w, bias, geometry, "relu"), tolerance)
    close(conv.conv2d(x, w, None, geometry), oracles.conv2d(x, w, None, geometry), tolerance)
    dx = conv.conv2d_grad_input(dy, w, x.shape, geometry)
    close(dx, oracles.conv2d_grad_input(dy, w, x.shape, geometry), tolerance)
    dw = conv.conv2d_grad_kernel(dy, x, w.shape, geometry)
    close(dw, oracles.conv2d_grad_kernel(dy, x, w.shape, geometry), tolerance)
    assert y.dtype == dx.dtype == dw.dtype == dtype


@pytest.mark.parametrize("name", ["stride-and-dilation", "asymmetric", "stride-groups"])
def test_gradients_are_adjoint_to_the_convolution(name):
    x, w, _, dy, geometry = sample(CASES[name], np.float64)
    along = np.vdot(conv.conv2d(x, w, None, geometry), dy)
    np.testing.assert_allclose(np.vdot(conv.conv2d_grad_input(dy, w, x.shape, geometry), x), along)
    np.testing.assert_allclose(np.vdot(conv.conv2d_grad_kernel(dy, x, w.shape, geometry), w), along)


@pytest.mark.parametrize(
    "name",
    ["wide", "many-images", "one-channel-7x7", "strided-1x1", "one-image-in-bands", "depthwise"],
)
@pytest.mark.skipif(threads.most() < 2, reason="this machine has one core")
def test_results_do_not_depend_on_the_number_of_threads(name, monkeypatch):
    monkeypatch.setattr(threads, "GRAIN", 1)
    same_with_one_and_two_threads(CASES[name])


def same_with_one_and_two_threads(case):
    x, w, bias, dy, geometry = sample(case, np.float32)

    def run(count):
        threads.set_threads(count)
        yield conv.conv2d(x, w, bias, geometry, "relu")
        yield conv.conv2d_grad_input(dy, w, x.shape, geometry)
        yield conv.conv2d_grad_kernel(dy, x, w.shape, geometry)

    before = threads.thread_count()
    try:
        for one, two in zip(list(run(1)), list(run(2)), strict=True):
            np.testing.assert_array_equal(one, two)
    finally:
        threads.set_threads(before)


def test_scattered_images_are_taken():
    x, w, _, _, geometry = sample(CASES["same-3x3"], np.float32)
    turned = np.ascontiguousarray(x[..., ::-1])[..., ::-1]
    np.testing.assert_array_equal(
        conv.conv2d(turned, w, None, geometry), conv.conv2d(x, w, None, geometry)
    )


def test_values_outside_an_output_s_window_do_not_reach_it():
    x, w, _, _, geometry = sample(CASES["same-3x3"], np.float32)
    x[0, 4, 4, 0] = np.nan
    reached = np.isnan(conv.conv2d(x, w, None, geometry)).any(-1)
    expected = np.zeros_like(reached)
    expected[0, 3:6, 3:6] = True
    np.testing.assert_array_equal(reached, expected)
