"""The implicit matrix product on the emulated GPU, for each size of tile."""

import pytest
from test_cuda_conv import CASES, algorithm, assert_same  # noqa: F401 - a fixture

SMALL = (
    "same-3x3", "one-channel-7x7", "one-filter", "stride-one-axis", "stride-groups", "dilation",
    "stride-and-dilation", "stride-divides-dilation", "stride-larger-than-window", "strided-1x1",
    "1x1", "1x1-groups", "padding-larger-than-window", "5x5", "asymmetric", "no-image", "no-output",
)  # fmt: skip
# Several tiles of every size in every direction, with a remainder; one step of k and many.
TILES = {
    (32, "fours"): ((1, (7, 6), 4), (3, 3), 36, (1, 1), (1, 1), "same", 1),
    (32, "any"): ((1, (7, 6), 3), (2, 3), 35, (1, 1), (1, 1), "same", 1),
    (32, "groups"): ((1, (7, 6), 16), (2, 2), 24, (2, 1), (1, 1), "same", 2),
    (64, "fours"): ((1, (9, 8), 8), (3, 3), 68, (1, 1), (1, 1), "same", 1),
    (64, "any"): ((1, (9, 8), 5), (3, 3), 66, (1, 2), (1, 1), "valid", 1),
    (128, "fours"): ((1, (12, 12), 16), (3, 3), 132, (1, 1), (1, 1), "same", 1),
    (128, "any"): ((1, (12, 12), 15), (3, 3), 130, (1, 1), (1, 1), "same", 1),
}


@pytest.mark.parametrize("name", SMALL)
def test_every_geometry_is_right_in_every_pass(same, algorithm, name):  # noqa: F811
    algorithm("gemm")
    assert_same(same, CASES[name])


@pytest.mark.parametrize("edge, kind", TILES)
def test_every_tile_is_right_with_remainders(same, algorithm, threads, monkeypatch, edge, kind):  # noqa: F811
    from kerasmirror.kernels.cuda import conv_gemm

    def edges(kernels, wide, aligned):
        return [min(edge, most(kernels, wide, aligned))]

    def most(kernels, wide, aligned):
        return max(known(kernels, wide, aligned))

    known = conv_gemm.edges
    monkeypatch.setattr(conv_gemm, "edges", edges)
    monkeypatch.setattr(conv_gemm, "_LEAST_SUMS", 30)
    algorithm("gemm")
    assert_same(same, TILES[edge, kind])


def test_double_precision_has_no_implicit_product(gpu, same, algorithm):  # noqa: F811
    algorithm("gemm")
    with pytest.raises(NotImplementedError, match="has no CUDA kernel for arrays of float64"):
        assert_same(same, CASES["1x1"], "float64")
