"""What "auto" takes: by shape, by pass, and within reach of the best that was measured."""

import numpy as np
import pytest
from test_conv import CASES, close, geometry_of, oracles, sample

from kerasmirror.kernels.cpu import conv, conv_choice, conv_direct, conv_gemm, conv_winograd


def chosen(images, side, channels, window, filters, stride=1, dtype=np.float32, **options):
    """(forward, gradient in x, gradient in w) of a square "same" convolution."""
    options = {"dilation": (1, 1), "padding": "same", "groups": 1, **options}
    geometry = geometry_of(
        (side, side), (window,) * 2, (stride,) * 2, options["dilation"], options["padding"],
        options["groups"],
    )  # fmt: skip
    x_shape = (images, side, side, channels)
    w_shape = (window, window, channels // options["groups"], filters)
    return tuple(conv.conv_algorithms(x_shape, w_shape, geometry, dtype))


# Shapes where the fastest was ahead by a tenth at least, on one core and on two.
MEASURED = {
    (128, 28, 1, 7, 64, 1): ("direct", "direct", "direct"),
    (128, 32, 3, 3, 32, 1): ("direct", "direct", "direct"),
    (8, 112, 3, 7, 64, 2): ("direct", "direct", "direct"),
    (32, 28, 12, 3, 20, 1): ("direct", "direct", "direct"),
    (32, 28, 32, 5, 64, 2): ("direct", "direct", "direct"),
    (16, 14, 64, 7, 64, 1): ("direct", "direct", "direct"),
    (128, 14, 64, 3, 128, 1): ("winograd", "winograd", "winograd"),
    (1, 28, 64, 3, 64, 1): ("winograd", "winograd", "winograd"),
    (1, 7, 128, 3, 128, 1): ("gemm", "gemm", "gemm"),
    (1, 7, 512, 3, 512, 1): ("gemm", "gemm", "gemm"),
    (1, 14, 256, 3, 256, 2): ("gemm", "gemm", "gemm"),
    (1, 7, 512, 1, 1024, 2): ("gemm", "gemm", "gemm"),
    (32, 4, 512, 3, 512, 2): ("gemm", "gemm", "gemm"),
    (128, 4, 128, 3, 128, 2): ("gemm", "gemm", "gemm"),
    (32, 28, 128, 1, 256, 1): ("gemm", "gemm", "gemm"),
    (32, 28, 8, 1, 16, 2): ("direct", "direct", "direct"),
}


@pytest.mark.skipif(conv_choice.WIDTH[4] != 16, reason="measured with vectors of 256 bits")
@pytest.mark.parametrize("shape", MEASURED, ids=str)
def test_the_measured_best_is_taken(shape):
    assert chosen(*shape) == MEASURED[shape]


@pytest.mark.skipif(conv_choice.WIDTH[4] != 16, reason="measured with vectors of 256 bits")
def test_passes_are_chosen_one_by_one():
    # Strided rows of fours suit direct, but each image's sums of the gradient in w do not.
    assert chosen(32, 8, 512, 3, 64, 2)[2] == "gemm"
    assert chosen(8, 16, 256, 3, 24, 2) == ("direct", "direct", "gemm")
    assert chosen(32, 28, 20, 5, 50) == ("direct", "gemm", "direct")


def test_groups_and_empty_batches_are_direct():
    assert chosen(1, 7, 512, 3, 512, groups=2) == ("direct",) * 3
    assert chosen(0, 7, 512, 3, 512) == ("direct",) * 3
    assert chosen(2, 2, 64, 3, 64, padding="valid") == ("direct",) * 3


def test_a_pass_of_a_1x1_window_without_strides_is_a_product_in_any_dtype():
    for dtype in (np.float32, np.float64):
        assert chosen(2, 5, 3, 1, 2, dtype=dtype) == ("gemm",) * 3


def test_taps_that_reach_no_place_are_not_counted():
    # One axis: outputs 4 apart by 2 over 7 places, three taps, of which two hang over the ends.
    geometry = geometry_of((7, 7), (3, 3), (2, 2), (1, 1), "same", 1)
    share = conv_choice._reaching((1, 7, 7, 1), (3, 3, 1, 1), geometry)
    assert share == pytest.approx(10 / 12 * (4 + 2 * 4) / 12)
    whole = geometry_of((8, 8), (3, 3), (1, 1), (1, 1), "same", 1)
    assert conv_choice._reaching((1, 8, 8, 1), (3, 3, 1, 1), whole) == 1


def test_what_is_told_is_what_runs(monkeypatch):
    ran = []

    def watch(module, names):
        for name in names:
            kept = getattr(module, name)

            def watched(*arguments, kept=kept, module=module):
                ran.append(module.__name__.rpartition("_")[2])
                return kept(*arguments)

            monkeypatch.setattr(module, name, watched)

    watch(conv_direct, ("conv2d", "grad_input", "grad_kernel"))
    watch(conv_gemm, ("conv2d", "grad_input", "grad_kernel"))
    watch(conv_winograd, ("convolve", "grad_kernel"))
    cases = {
        "few": CASES["same-3x3"],
        "few-outputs": ((1, (7, 7), 64), (3, 3), 64, (1, 1), (1, 1), "same", 1),
        "many": ((4, (9, 9), 64), (3, 3), 64, (1, 1), (1, 1), "same", 1),
        "strided": ((2, (4, 4), 64), (3, 3), 64, (2, 2), (1, 1), "same", 1),
    }
    seen = set()
    for case in cases.values():
        x, w, bias, dy, geometry = sample(case, np.float32)
        ran.clear()
        y = conv.conv2d(x, w, bias, geometry)
        dx = conv.conv2d_grad_input(dy, w, x.shape, geometry)
        dw = conv.conv2d_grad_kernel(dy, x, w.shape, geometry)
        assert tuple(ran) == conv.conv_algorithms(x.shape, w.shape, geometry)
        seen.update(ran)
        close(y, oracles.conv2d(x, w, bias, geometry), 1e-5)
        close(dx, oracles.conv2d_grad_input(dy, w, x.shape, geometry), 1e-5)
        close(dw, oracles.conv2d_grad_kernel(dy, x, w.shape, geometry), 1e-5)
    assert seen == {"direct", "gemm", "winograd"}
