"""What the machine can do at most: multiply-adds in registers and a copy in memory, all threads."""

import statistics
import time

from kerasmirror.kernels.cpu import memory
from kerasmirror.kernels.cpu.launch import kernel, launch
from kerasmirror.kernels.cpu.simd import BITS, ROWS, VECTORS, tile_fma, tile_store, tile_zero

_STEPS = 20000
_COPY_FLOATS = 1 << 25
_LANES = BITS // 32
SHORTEST_SAMPLE = 2e-3  # seconds; several calls make one sample where one is shorter


@kernel
def _multiply_add(lo, hi, thread, a, w, y):
    # One operand stays what it is, so that only the sums depend on one another and nothing is read.
    for item in range(lo, hi):
        t = tile_zero(y, ROWS, VECTORS)
        for _ in range(_STEPS):
            t = tile_fma(t, a, 0, 1, w, 0)
        tile_store(t, y, item * ROWS * VECTORS * _LANES, VECTORS * _LANES)


@kernel
def _copy(lo, hi, thread, x, y):
    y[lo:hi] = x[lo:hi]


def seconds(call, budget=0.2, fewest=7):
    """The median time of one call, after a first one that is not counted."""
    call()
    start = time.perf_counter()
    call()
    once = time.perf_counter() - start
    inner = max(1, int(SHORTEST_SAMPLE / max(once, 1e-7)))
    samples, end = [], time.perf_counter() + budget
    while len(samples) < fewest or time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(inner):
            call()
        samples.append((time.perf_counter() - start) / inner)
    return statistics.median(samples)


def gflops():
    """10^9 float32 operations a second, two for each multiply-add."""
    items = 64
    a, w = memory.zeros((ROWS,)), memory.zeros((VECTORS * _LANES,))
    a.fill(1e-6)
    w.fill(1e-6)
    y = memory.empty((items, ROWS, VECTORS * _LANES))
    took = seconds(lambda: launch(_multiply_add, items, 1, a, w, y))
    return 2e-9 * items * _STEPS * ROWS * VECTORS * _LANES / took


def gigabytes():
    """10^9 bytes a second that a copy of 128 MiB reads and writes."""
    x, y = memory.zeros((_COPY_FLOATS,)), memory.zeros((_COPY_FLOATS,))
    took = seconds(lambda: launch(_copy, _COPY_FLOATS, 1 << 17, x, y))
    return 1e-9 * 8 * _COPY_FLOATS / took
