"""Winograd's convolution on the emulated GPU, and what it refuses."""

import pytest
from test_cuda_conv import CASES, algorithm, assert_same, sample  # noqa: F401 - a fixture

# As on the CPU: of the largest value.
TOLERANCE = 2e-5
SHAPES = {
    "fours": ((2, (8, 8), 8), (3, 3), 4, (1, 1), (1, 1), "same", 1),
    "remainders": ((2, (7, 9), 5), (3, 3), 6, (1, 1), (1, 1), "same", 1),
    "two-by-two": ((3, (2, 2), 3), (3, 3), 4, (1, 1), (1, 1), "same", 1),
    "valid": ((1, (9, 6), 1), (3, 3), 2, (1, 1), (1, 1), "valid", 1),
    "asymmetric": ((1, (6, 7), 2), (3, 3), 3, (1, 1), (1, 1), ((2, 0), (0, 1)), 1),
    "smaller-than-the-window": ((1, (1, 2), 2), (3, 3), 3, (1, 1), (1, 1), "same", 1),
    "no-image": ((0, (4, 4), 2), (3, 3), 4, (1, 1), (1, 1), "same", 1),
}


@pytest.mark.parametrize("name", SHAPES)
def test_every_pass_is_the_cpu_s(same, algorithm, name):  # noqa: F811
    algorithm("winograd")
    assert_same(same, SHAPES[name], rtol=TOLERANCE)


def test_images_go_in_shares_that_add_up(same, algorithm, monkeypatch):  # noqa: F811
    from kerasmirror.kernels.cuda import conv_winograd

    monkeypatch.setattr(conv_winograd, "_ROOM", 2000)
    (_, *image), *rest = SHAPES["remainders"]
    algorithm("winograd")
    assert_same(same, ((5, *image), *rest), rtol=TOLERANCE)


@pytest.mark.parametrize(
    "name, needs",
    [
        ("5x5", r"needs windows of 3 x 3\. Received: .*, window=\(5, 5\)$"),
        ("dilation", r"needs no dilation\. Received: .*, dilation_rate=\(2, 3\)$"),
        ("stride-groups", r"needs strides of 1\. Received: .*, strides=\(2, 2\)$"),
        ("depthwise", r"needs one group of channels\. Received: .*, groups=6$"),
    ],
)
def test_winograd_says_what_it_needs(same, algorithm, name, needs):  # noqa: F811
    algorithm("winograd")
    with pytest.raises(ValueError, match=needs):
        assert_same(same, CASES[name])


def test_auto_takes_winograd_for_many_channels_alone(gpu):
    for channels, expected in ((128, "winograd"), (16, "gemm")):
        case = ((4, (16, 16), channels), (3, 3), channels, (1, 1), (1, 1), "same", 1)
        x, w, _, _, geometry = sample(case, "float32")
        assert set(gpu.conv_algorithms(x.shape, w.shape, geometry)) == {expected}
