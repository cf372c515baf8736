"""Depthwise convolutions on the emulated GPU."""

import pytest
from test_cuda_conv import CASES, algorithm, assert_same  # noqa: F401 - a fixture

MORE = {
    "window-wider-than-four": ((2, (6, 9), 3), (2, 7), 3, (1, 1), (1, 1), "same", 3),
    "channels-in-several-blocks": ((2, (5, 5), 40), (3, 3), 80, (2, 1), (1, 1), "same", 40),
}
NAMES = [name for name in CASES if name.startswith("depthwise")]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [*NAMES, *MORE])
def test_every_pass_is_the_cpu_s(same, algorithm, threads, name, dtype):  # noqa: F811
    algorithm("depthwise")
    assert_same(same, (CASES | MORE)[name], dtype)


def test_slabs_of_lines_add_up(same, algorithm):  # noqa: F811
    algorithm("depthwise")
    assert_same(same, ((5, (19, 3), 2), (2, 2), 2, (1, 1), (1, 1), "same", 2))


def test_auto_takes_the_kernels_for_depthwise(gpu, same):
    from test_cuda_conv import sample

    x, w, _, _, geometry = sample(CASES["depthwise"], "float32")
    assert set(gpu.conv_algorithms(x.shape, w.shape, geometry)) == {"depthwise"}


def test_other_convolutions_are_refused(same, algorithm):  # noqa: F811
    algorithm("depthwise")
    with pytest.raises(ValueError, match='"depthwise" needs as many groups as channels'):
        assert_same(same, CASES["1x1"])
