"""The variants of convolution that are there to be compared, on the emulated GPU."""

import pytest
from test_cuda_conv import CASES, algorithm, assert_same  # noqa: F401 - a fixture

TILED = (
    "same-3x3", "one-channel-7x7", "stride-one-axis", "stride-groups", "stride-divides-dilation",
    "stride-larger-than-window", "1x1-groups", "padding-beside-1x1", "causal-row",
    "window-larger-than-image", "asymmetric", "no-image", "no-output",
)  # fmt: skip
# Small ones: a line is a block of threads with many barriers.
TRANSFORMED = {
    "same": ((1, (5, 6), 3), (3, 3), 2, (1, 1), (1, 1), "same", 1),
    "strides": ((2, (5, 4), 1), (2, 3), 2, (2, 3), (1, 1), "same", 1),
    "dilation": ((1, (3, 9), 2), (2, 3), 1, (1, 2), (2, 3), "valid", 1),
    "groups": ((1, (3, 2), 4), (2, 2), 6, (1, 1), (1, 1), "same", 2),
    "1x1": ((2, (1, 3), 2), (1, 1), 3, (1, 1), (1, 1), "valid", 1),
    "asymmetric": ((1, (3, 4), 2), (2, 2), 3, (1, 2), (1, 1), ((3, 2), (0, 3)), 1),
    "no-image": ((0, (4, 4), 2), (3, 3), 4, (1, 1), (1, 1), "same", 1),
    "no-output": ((2, (2, 2), 2), (3, 3), 4, (1, 1), (1, 1), "valid", 1),
}


@pytest.mark.parametrize("name", TILED)
def test_tiles_are_right_in_every_pass(same, algorithm, name):  # noqa: F811
    algorithm("tiles")
    assert_same(same, CASES[name])


@pytest.mark.parametrize("name", TRANSFORMED)
def test_transforms_are_right_in_every_pass(same, algorithm, name):  # noqa: F811
    algorithm("fft")
    assert_same(same, TRANSFORMED[name])


@pytest.mark.parametrize("variant", ["tiles", "fft"])
def test_the_order_of_threads_does_not_matter(same, algorithm, threads, variant):  # noqa: F811
    algorithm(variant)
    assert_same(same, ((1, (9, 4), 5), (3, 2), 18, (1, 1), (1, 1), "same", 1))


def test_tiles_take_channels_in_portions_and_outputs_in_slabs(
    same, algorithm, monkeypatch  # noqa: F811
):  # fmt: skip
    from kerasmirror.kernels.cuda import conv_tiles

    depth = conv_tiles._depth
    monkeypatch.setattr(conv_tiles, "_depth", lambda *arguments: min(2, depth(*arguments)))
    algorithm("tiles")
    assert_same(same, ((3, (9, 8), 5), (3, 3), 17, (1, 1), (1, 1), "same", 1))


def test_images_are_transformed_in_shares_that_add_up(same, algorithm, monkeypatch):  # noqa: F811
    from kerasmirror.kernels.cuda import conv_fft

    monkeypatch.setattr(conv_fft, "_ROOM", 600)
    algorithm("fft")
    assert_same(same, ((5, (3, 2), 4), (2, 2), 6, (1, 1), (1, 1), "same", 2))


@pytest.mark.parametrize("variant", ["tiles", "fft"])
def test_double_precision_is_refused(same, algorithm, variant):  # noqa: F811
    algorithm(variant)
    with pytest.raises(NotImplementedError, match="has no CUDA kernel for arrays of float64"):
        assert_same(same, CASES["1x1"], "float64")


@pytest.mark.parametrize(
    "variant, needs", [("tiles", "what 8 x 8 outputs read"), ("fft", "images of at most 4096")]
)
def test_what_has_no_room_in_shared_memory_is_refused(gpu, algorithm, variant, needs):  # noqa: F811
    import numpy as np

    from kerasmirror.kernels.geometry import ConvGeometry

    algorithm(variant)
    x = gpu.to_device(np.zeros((1, 5000, 1, 1), np.float32))
    w = gpu.to_device(np.zeros((2, 1, 1, 1), np.float32))
    geometry = ConvGeometry((1, 1), ((0, 0), (0, 0)), (4900, 1), 1, (100, 1))
    with pytest.raises(ValueError, match=f'"{variant}" needs {needs}'):
        gpu.conv2d(x, w, None, geometry)
