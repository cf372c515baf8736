"""static.py itself: what it reads out of code whose properties are known."""

import numpy as np
import pytest
from numba import cuda, float32

from kerasmirror.kernels.cuda import compiler, static
from kerasmirror.kernels.cuda.kernel import KERNELS, kernel

if static.missing():
    pytest.skip(static.missing(), allow_module_level=True)


@kernel("f4* f4* i4", min_blocks=1)
def _doubled(x, y, n):
    i = cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x
    if i < n:
        y[i] = x[i] * 0.1


@kernel("f4* i4 i4")
def _indexed_stack(x, n, which):
    held = cuda.local.array(64, float32)
    for i in range(64):
        held[i] = float32(0)
    for i in range(n):
        held[(i * which) & 63] += x[i]
    x[n] = held[which & 63]


@kernel("f4* f4* i4")
def _dot(x, y, n):
    total = float32(0)
    for i in range(n):
        total = total + x[i] * y[i]
    x[0] = total


@kernel("f4* i4", block=128)
def _turned_around(x, n):
    held = cuda.shared.array(512, float32)
    i = cuda.threadIdx.x
    held[i] = x[i]
    cuda.syncthreads()
    x[i] = held[n - i]


OWN = [_doubled, _indexed_stack, _dot, _turned_around]
for _own in OWN:
    KERNELS.remove(_own)


def facts(of, capability=(9, 0)):
    return static.facts_of(of, next(iter(of.signatures.values())), capability)


@pytest.fixture(scope="module", autouse=True)
def _together():
    static.gather([(k, next(iter(k.signatures.values()))) for k in OWN], (9, 0))


def test_a_literal_that_widens_to_float64_is_seen():
    assert facts(_doubled).doubles >= 2  # a conversion or two, and a product or sum
    assert facts(_dot).doubles == 0


def test_a_stack_is_seen_and_what_it_loads_and_stores():
    found = facts(_indexed_stack)
    assert found.stack >= 256 and found.whole.count("STL", "LDL") > 0
    assert facts(_dot).stack == 0 and facts(_dot).whole.count("STL", "LDL") == 0


def test_an_inner_loop_and_its_multiply_adds_are_seen():
    found = facts(_dot)
    assert found.loops and found.hot in found.loops
    assert 0 < static.multiply_adds(found.hot) < found.hot.size < found.whole.size
    assert facts(_doubled).loops == () and facts(_doubled).hot == facts(_doubled).whole


def test_shared_memory_parameters_and_bytes_are_counted():
    found = facts(_turned_around)
    assert found.shared == facts(_turned_around, (8, 0)).shared == 2048
    assert found.parameters == (8, 4)
    assert found.whole.bytes_of("LDG") == found.whole.bytes_of("STG") == 4


def test_code_is_read_alike_alone_and_together():
    alone = static._read([(_dot, next(iter(_dot.signatures.values())))], (9, 0))
    assert static._facts(alone[0], (9, 0)) == facts(_dot)


def made_up(registers=32, shared=0, capability=(9, 0)):
    whole = static.Part({"FFMA": 1})
    return static.Facts(capability, registers, 0, 0, shared, (), 0, whole, ())


@pytest.mark.parametrize(
    ("told", "threads", "blocks", "share", "bound"),
    [
        (made_up(32), 256, 8, 1.0, "warps"),
        (made_up(128), 256, 2, 0.25, "registers"),
        (made_up(33), 256, 6, 0.75, "registers"),  # 40 registers by the unit of 256 a warp
        (made_up(32, 48 << 10), 256, 4, 0.5, "shared memory"),
        (made_up(16), 32, 32, 0.5, "blocks"),
        (made_up(32, 48 << 10, (7, 5)), 256, 1, 0.25, "shared memory"),
        (made_up(32, 0, (8, 6)), 1024, 1, 2 / 3, "warps"),
    ],
)
def test_occupancy_is_what_nvidias_calculator_says(told, threads, blocks, share, bound):
    found = static.occupancy(told, threads)
    assert (found.blocks, found.bound) == (blocks, bound)
    np.testing.assert_allclose(found.share, share)


def test_a_capability_that_the_assembler_does_not_know_is_an_error_that_says_what_to_do():
    ptx, _ = compiler.ptx_of(_dot, next(iter(_dot.signatures.values())), (9, 0))
    with pytest.raises(RuntimeError) as raised:
        compiler.cubin_of(ptx, (3, 0))
    version = compiler.cache.version_of("nvidia-nvjitlink")
    assert str(raised.value) == (
        f"kerasmirror: nvJitLink {version} made no machine code for compute capability 3.0 "
        "(ERROR_UNSUPPORTED_ARCH (17)). A GPU newer than it needs newer packages: "
        "pip install -U 'kerasmirror[cuda]'."
    )


def test_what_the_assembler_says_of_bad_code_is_passed_on():
    ptx, _ = compiler.ptx_of(_dot, next(iter(_dot.signatures.values())), (9, 0))
    with pytest.raises(RuntimeError, match=r"(?s)made no machine code .*: .*[Uu]nknown symbol"):
        compiler.cubin_of(ptx.replace("ret;", "jump somewhere;"), (9, 0))


@pytest.mark.parametrize(
    ("capability", "target"), [((7, 5), 75), ((9, 0), 90), ((10, 0), 90), ((12, 0), 90)]
)
def test_ptx_is_of_the_card_or_of_the_newest_front_end_that_keeps_tiles_in_registers(
    capability, target
):
    ptx, _ = compiler.ptx_of(_dot, next(iter(_dot.signatures.values())), capability)
    assert f".target sm_{target}\n" in ptx
    assert compiler.cubin_of(ptx, capability)[0].startswith(b"\x7fELF")
