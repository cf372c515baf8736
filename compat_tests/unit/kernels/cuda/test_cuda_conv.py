"""Convolutions on the emulated GPU against the CPU's, over odd geometries."""

import numpy as np
import pytest

from kerasmirror.kernels.geometry import ConvGeometry, window_output

# (images, (H, W), C), (R, S), F, stride, dilation, padding, groups
CASES = {
    "same-3x3": ((2, (8, 9), 3), (3, 3), 16, (1, 1), (1, 1), "same", 1),
    "one-channel-7x7": ((2, (8, 9), 1), (7, 7), 5, (1, 1), (1, 1), "same", 1),
    "one-filter": ((2, (5, 5), 4), (3, 3), 1, (1, 1), (1, 1), "valid", 1),
    "stride-one-axis": ((3, (11, 7), 4), (3, 2), 33, (2, 1), (1, 1), "same", 1),
    "stride-groups": ((2, (12, 12), 6), (3, 3), 8, (2, 2), (1, 1), "same", 2),
    "dilation": ((2, (9, 9), 4), (3, 3), 4, (1, 1), (2, 3), "same", 1),
    "stride-and-dilation": ((1, (13, 12), 2), (3, 3), 18, (2, 3), (3, 2), "same", 1),
    "stride-divides-dilation": ((1, (13, 12), 2), (3, 3), 8, (2, 4), (4, 2), "same", 1),
    "stride-larger-than-window": ((1, (9, 8), 3), (2, 2), 4, (3, 3), (1, 1), "valid", 1),
    "strided-1x1": ((2, (6, 6), 8), (1, 1), 10, (2, 2), (1, 1), "valid", 1),
    "1x1": ((2, (6, 6), 8), (1, 1), 10, (1, 1), (1, 1), "valid", 1),
    "1x1-groups": ((2, (6, 6), 8), (1, 1), 12, (1, 1), (1, 1), "valid", 4),
    "padding-beside-1x1": ((2, (4, 5), 3), (1, 1), 4, (2, 1), (1, 1), ((1, 0), (0, 2)), 1),
    "padding-larger-than-window": (
        (1, (4, 4), 2), (2, 2), 3, (1, 2), (1, 1), ((3, 2), (4, 3)), 1,
    ),
    "causal-row": ((1, (1, 20), 5), (1, 5), 7, (1, 1), (1, 2), "causal", 1),
    "5x5": ((1, (9, 8), 6), (5, 5), 9, (1, 1), (1, 1), "same", 1),
    "depthwise": ((2, (7, 7), 6), (3, 3), 6, (1, 1), (1, 1), "same", 6),
    "depthwise-stride": ((3, (11, 10), 20), (3, 4), 20, (2, 3), (1, 1), "same", 20),
    "depthwise-dilation": ((1, (12, 9), 33), (3, 2), 33, (1, 1), (2, 3), "same", 33),
    "depthwise-multiplier": ((2, (9, 7), 5), (3, 3), 15, (1, 1), (1, 1), "same", 5),
    "depthwise-no-output": ((2, (2, 2), 4), (3, 3), 4, (1, 1), (1, 1), "valid", 4),
    "groups-of-four": ((2, (7, 7), 6), (3, 3), 12, (2, 2), (1, 1), "same", 3),
    "window-larger-than-image": ((1, (2, 2), 1), (3, 3), 1, (1, 1), (1, 1), "same", 1),
    "asymmetric": ((2, (10, 10), 3), (5, 4), 20, (2, 3), (1, 1), ((3, 0), (1, 4)), 1),
    "no-image": ((0, (4, 4), 2), (3, 3), 4, (1, 1), (1, 1), "same", 1),
    "no-output": ((2, (2, 2), 2), (3, 3), 4, (1, 1), (1, 1), "valid", 1),
}  # fmt: skip


def sample(case, dtype, seed=0):
    """(x, w, bias, dy, geometry) of a case."""
    (images, size, channels), window, filters, stride, dilation, padding, groups = case
    axes = [
        window_output(size[i], window[i], stride[i], dilation[i], padding)
        if isinstance(padding, str)
        else (
            (size[i] + sum(padding[i]) - (window[i] - 1) * dilation[i] - 1) // stride[i] + 1,
            padding[i],
        )
        for i in (0, 1)
    ]
    out_size = (axes[0][0], axes[1][0])
    geometry = ConvGeometry(stride, (axes[0][1], axes[1][1]), dilation, groups, out_size)
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(images, *size, channels)).astype(dtype)
    w = rng.normal(size=(*window, channels // groups, filters)).astype(dtype)
    bias = rng.normal(size=filters).astype(dtype)
    dy = rng.normal(size=(images, *out_size, filters)).astype(dtype)
    return x, w, bias, dy, geometry


def assert_same(same, case, dtype="float32", rtol=None):
    """All three passes, with and without bias and relu."""
    rtol = rtol or (2e-6 if dtype == "float32" else 1e-14)
    x, w, bias, dy, geometry = sample(case, dtype)
    same("conv2d", x, w, bias, geometry, "relu", rtol=rtol)
    same("conv2d", x, w, None, geometry, rtol=rtol)
    same("conv2d_grad_input", dy, w, x.shape, geometry, rtol=rtol)
    same("conv2d_grad_kernel", dy, x, w.shape, geometry, rtol=rtol)


@pytest.fixture
def algorithm(gpu):
    """Sets an algorithm for one test."""
    from kerasmirror.kernels.cuda import conv

    former = conv._algorithm
    yield gpu.set_conv_algorithm
    gpu.set_conv_algorithm(former)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_direct_convolution_is_the_cpu_s_in_every_pass(same, algorithm, case, dtype):
    algorithm("direct")
    assert_same(same, case, dtype)


def test_an_algorithm_of_the_cpu_alone_says_so(gpu, algorithm):
    algorithm("numpy")
    x, w, _, _, geometry = sample(CASES["1x1"], "float32")
    with pytest.raises(NotImplementedError, match='the convolution "numpy" has no CUDA kernels'):
        gpu.conv2d(gpu.to_device(x), gpu.to_device(w), None, geometry)


def test_an_unknown_algorithm_is_refused(gpu):
    with pytest.raises(ValueError, match="set_conv_algorithm: `algorithm` must be one of 'auto',"):
        gpu.set_conv_algorithm("fastest")


def test_auto_takes_an_algorithm_for_each_pass(gpu, same):
    for dtype in ("float32", "float64"):
        for name in ("same-3x3", "stride-groups", "depthwise-stride", "no-output"):
            assert_same(same, CASES[name], dtype)
    x, w, _, _, geometry = sample(CASES["same-3x3"], "float32")
    assert set(gpu.conv_algorithms(x.shape, w.shape, geometry)) <= {"gemm", "winograd"}
    assert set(gpu.conv_algorithms(x.shape, w.shape, geometry, "float64")) == {"direct"}
