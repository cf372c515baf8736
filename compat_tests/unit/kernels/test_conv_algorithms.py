"""Each algorithm of a convolution against the plain loop, and what a forced one refuses."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_conv import CASES, close, sample

from kerasmirror.core import config
from kerasmirror.kernels import for_device
from kerasmirror.kernels.cpu import (
    conv,
    conv_fft,
    conv_gemm,
    conv_numpy,
    conv_opencv,
    conv_winograd,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import oracles  # noqa: E402

needs_opencv = pytest.mark.skipif(
    importlib.util.find_spec("cv2") is None, reason="needs OpenCV (kerasmirror[opencv])"
)
EVERYWHERE = ["gemm", "fft", "numpy", pytest.param("opencv", marks=needs_opencv)]
TOLERANCE = {"float32": 1e-6, "float64": 1e-14}
# Shapes that only some of the variants treat in a way of their own.
MORE = {
    "window-for-fourier-in-opencv": ((2, (15, 14), 3), (13, 12), 4, (1, 1), (1, 1), "valid", 1),
    "more-images-than-opencv-s-channels": ((132, (3, 2), 1), (2, 2), 2, (1, 1), (1, 1), "same", 1),
    "more-channels-than-opencv-s": ((1, (2, 2), 132), (2, 1), 2, (2, 1), (1, 1), "same", 1),
    "padding-larger-than-the-window": (
        (1, (4, 4), 2), (2, 2), 3, (1, 2), (1, 1), ((3, 2), (4, 3)), 1,
    ),
    "padding-beside-1x1": ((2, (4, 5), 3), (1, 1), 4, (2, 1), (1, 1), ((1, 0), (0, 2)), 1),
}  # fmt: skip


@pytest.fixture
def algorithm():
    """Sets an algorithm for one test."""
    former = config.conv_algorithm()
    for_device("cpu")
    yield config.conv_algorithm
    config.conv_algorithm(former)


def passes(x, w, bias, dy, geometry):
    y = conv.conv2d(x, w, bias, geometry, "relu")
    dx = conv.conv2d_grad_input(dy, w, x.shape, geometry)
    return y, dx, conv.conv2d_grad_kernel(dy, x, w.shape, geometry)


def assert_right(case, dtype, tolerance):
    x, w, bias, dy, geometry = sample(case, dtype)
    y, dx, dw = passes(x, w, bias, dy, geometry)
    close(y, oracles.conv2d(x, w, bias, geometry, "relu"), tolerance)
    close(dx, oracles.conv2d_grad_input(dy, w, x.shape, geometry), tolerance)
    close(dw, oracles.conv2d_grad_kernel(dy, x, w.shape, geometry), tolerance)
    plain = conv.conv2d(x, w, None, geometry)
    close(plain, oracles.conv2d(x, w, None, geometry), tolerance)
    assert {found.dtype for found in (y, dx, dw, plain)} == {np.dtype(dtype)}
    assert all(found.flags.c_contiguous for found in (y, dx, dw, plain))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", [*CASES, *MORE])
@pytest.mark.parametrize("name", EVERYWHERE)
def test_every_geometry_is_right_in_every_pass(algorithm, name, case, dtype):
    algorithm(name)
    assert_right((CASES | MORE)[case], dtype, TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", ["asymmetric", "stride-groups", "1x1", "same-3x3", "depthwise"])
def test_images_go_in_shares_that_add_up(algorithm, monkeypatch, case, dtype):
    for module, name in ((conv_gemm, "_BAND"), (conv_fft, "_ROOM"), (conv_numpy, "_ROOM")):
        monkeypatch.setattr(module, name, 3000)
    monkeypatch.setattr(conv_opencv, "_MOST", 1)
    (images, *rest), *others = CASES[case]
    for name in ("gemm", "fft", "numpy", *["opencv"] * bool(importlib.util.find_spec("cv2"))):
        algorithm(name)
        assert_right(((images + 3, *rest), *others), dtype, TOLERANCE[dtype])


def test_a_band_of_the_matrix_may_end_within_an_image(monkeypatch):
    lines = []
    x, w, _, dy, geometry = sample(CASES["same-3x3"], np.float32)
    monkeypatch.setattr(conv_gemm, "_BAND", 9 * 3 * 27 * 4)  # three lines of eight
    kept = conv_gemm._add_columns

    def watched(matrix, dx, some, *rest):
        lines.append((some.start, some.stop))
        kept(matrix, dx, some, *rest)

    monkeypatch.setattr(conv_gemm, "_add_columns", watched)
    dx = conv_gemm.grad_input(dy, w, x.shape, geometry)
    close(dx, oracles.conv2d_grad_input(dy, w, x.shape, geometry), 1e-6)
    assert lines == [(0, 3), (3, 6), (6, 9), (9, 12), (12, 15), (15, 16)]


@pytest.mark.parametrize("case", ["wide", "stride-and-dilation", "groups-of-four"])
@pytest.mark.parametrize("name", ["direct", "gemm"])
def test_our_own_do_not_depend_on_the_number_of_threads(
    algorithm, same_on_any_threads, monkeypatch, case, name
):
    monkeypatch.setattr(conv_gemm.threads, "GRAIN", 1)
    algorithm(name)
    arrays = sample(CASES[case], np.float32)
    same_on_any_threads(lambda: passes(*arrays))


def test_the_gemm_of_a_1x1_window_copies_nothing(algorithm, monkeypatch):
    def refused(*arguments):
        raise AssertionError("a copy")

    monkeypatch.setattr(conv_gemm, "_columns", refused)
    monkeypatch.setattr(conv_gemm, "_add_columns", refused)
    algorithm("gemm")
    assert_right(CASES["1x1"], np.float32, 1e-6)


def test_direct_is_direct_where_auto_would_take_another(algorithm, monkeypatch):
    for name in ("convolve", "grad_kernel"):
        monkeypatch.setattr(conv_winograd, name, None)
    monkeypatch.setattr(conv_gemm, "gemm", None)
    algorithm("direct")
    assert_right(CASES["wide"], np.float32, 1e-6)
    assert_right(CASES["1x1"], np.float32, 1e-6)


@pytest.mark.parametrize("side", [1, 2, 3, 4, 6])
def test_winograd_is_taken_where_auto_would_not(algorithm, side):
    unit = conv_winograd.UNIT
    case = ((2, (side, side), unit), (3, 3), 2 * unit, (1, 1), (1, 1), "same", 1)
    x, w, _, _, geometry = sample(case, np.float32)
    assert "winograd" not in conv.conv_algorithms(x.shape, w.shape, geometry)
    algorithm("winograd")
    assert_right(case, np.float32, 2e-5)


@pytest.mark.parametrize(
    "change, needs",
    [
        ({"stride": (2, 1)}, r"needs strides of 1\. Received: .*, strides=\(2, 1\)$"),
        ({"dilation": (1, 2)}, r"needs no dilation\. Received: .*, dilation_rate=\(1, 2\)$"),
        ({"groups": 2}, r"needs one group of channels\. Received: .*, groups=2$"),
        ({"window": (7, 7)}, r"needs windows of 3 x 3.*\. Received: .*, window=\(7, 7\)$"),
        ({"window": (3, 1)}, r"needs windows of 3 x 3.*\. Received: .*, window=\(3, 1\)$"),
        (
            {"padding": ((0, 0), (0, 3))},
            r"needs padding smaller than the window\. Rec.*, padding=\(\(0, 0\), \(0, 3\)\)$",
        ),
        ({"filters": 33}, r"needs channels and filters in mul.* channels=32, filters=33$"),
        ({"channels": 3}, r"needs channels and filters in mul.* channels=3, filters=32$"),
        ({"images": 0}, r"needs at least one image\. Received: .*, images=0$"),
        ({"dtype": np.float64}, r"needs float32\. Received: .*, dtype=float64$"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_winograd_refuses_by_name_what_it_cannot_do(algorithm, change, needs):
    sizes = {
        "images": 2, "channels": 32, "window": (3, 3), "filters": 32, "stride": (1, 1),
        "dilation": (1, 1), "padding": "same", "groups": 1, "dtype": np.float32, **change,
    }  # fmt: skip
    layout = ("window", "filters", "stride", "dilation", "padding", "groups")
    case = ((sizes["images"], (8, 8), sizes["channels"]), *(sizes[name] for name in layout))
    x, w, _, dy, geometry = sample(case, sizes["dtype"])
    algorithm("winograd")
    for run in (
        lambda: conv.conv2d(x, w, None, geometry),
        lambda: conv.conv2d_grad_input(dy, w, x.shape, geometry),
        lambda: conv.conv2d_grad_kernel(dy, x, w.shape, geometry),
    ):
        with pytest.raises(ValueError, match=f'^keras.config.conv_algorithm: .*"winograd" {needs}'):
            run()


def test_the_kernels_know_the_names_that_the_setting_knows():
    assert conv.ALGORITHMS == config._CONV_ALGORITHMS
    with pytest.raises(
        ValueError,
        match=r"^set_conv_algorithm: `algorithm` must be one of 'auto', .*\. "
        r"Received: algorithm='other'$",
    ):
        conv.set_conv_algorithm("other")


def test_importing_the_kernels_loads_no_opencv():
    program = (
        "import sys\n"
        "from kerasmirror.kernels import for_device\n"
        "for_device('cpu').set_conv_algorithm('fft')\n"
        "print('cv2' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr
