"""Which tiles and how many slabs of k a product takes: the least time by a count of cycles.

There was no card to measure on, so this is arithmetic: what a multiprocessor can multiply, how long
memory takes to answer, what slabs cost to write and to add. Shapes and the card alone decide.
"""

import functools
from typing import NamedTuple

from .gemm_kernels import TILE_KERNELS
from .gemm_tensor_core import TENSOR_CORE_KERNELS
from .launch import blocks_for

_STEP = 16  # k, a multiple of the tiles' steps
_LEAST_SLAB = 64  # k
_MOST_SLABS = 256  # of all matrices
_LATENCY = 600  # cycles from asking for values in memory to having them in a tile
_LAUNCH = 3000  # cycles that another kernel takes to start and to end
_BYTES = 16  # that a multiprocessor writes or reads in a cycle


class _Way(NamedTuple):
    """Kernels by layout, and what is assumed of them.

    `resident` blocks share a multiprocessor, `depth` k are a step, `speed` multiply-adds are done
    in a cycle by a multiprocessor that has enough blocks.
    """

    kernels: dict
    edge: int
    aligned: bool
    resident: int
    depth: int
    speed: float


def _tiles(code, edge, aligned):
    return {layout: TILE_KERNELS[code, edge, aligned, layout] for layout in ("nn", "tn", "nt")}


# A multiprocessor does 128 multiply-adds of float32 in a cycle, on large cards 64 of float64.
_WAYS = {
    "f4": [
        _Way(_tiles("f4", 128, True), 128, True, 2, 8, 108),
        _Way(_tiles("f4", 64, True), 64, True, 4, 16, 90),
        _Way(_tiles("f4", 64, False), 64, False, 4, 16, 80),
        _Way(_tiles("f4", 32, False), 32, False, 8, 16, 50),
    ],
    "f8": [_Way(_tiles("f8", 32, False), 32, False, 8, 8, 20)],
}
_TENSOR_CORES = _Way(TENSOR_CORE_KERNELS, 128, True, 2, 16, 350)


@functools.lru_cache(maxsize=4096)
def plan_of(code, m, n, k, batch, layout, aligned, tensor_cores, multiprocessors):
    """(kernel, tiles of c, slabs, k in a slab) of a product; `aligned`: addresses are."""
    aligned &= not ((m if layout[0] == "t" else k) % 4 or (k if layout[1] == "t" else n) % 4)
    ways = [way for way in _WAYS[code] if aligned or not way.aligned]
    if tensor_cores and aligned and code == "f4":
        ways.append(_TENSOR_CORES)
    choices = [(way, slabs) for way in ways for slabs in _slab_counts(k, batch)]
    way, slabs = min(choices, key=lambda c: _cycles(m, n, k, batch, *c, multiprocessors))
    # A slab of whole steps, so that what is aligned in one is in the next.
    length = blocks_for(blocks_for(k, slabs), _STEP) * _STEP
    blocks = blocks_for(m, way.edge) * blocks_for(n, way.edge)
    return way.kernels[layout], blocks, blocks_for(k, length), length


def _slab_counts(k, batch):
    slabs = 1
    while slabs == 1 or (slabs * _LEAST_SLAB <= k and slabs * batch <= _MOST_SLABS):
        yield slabs
        slabs *= 2


def _cycles(m, n, k, batch, way, slabs, multiprocessors):
    """About how many cycles a product takes."""
    blocks = batch * slabs * blocks_for(m, way.edge) * blocks_for(n, way.edge)
    depth = blocks_for(k, slabs)
    products = blocks_for(blocks, multiprocessors) * way.edge * way.edge * depth / way.speed
    waves = blocks_for(blocks, multiprocessors * way.resident)
    steps = waves * (_LATENCY * depth / way.depth + 2 * _LATENCY)
    written = (2 * slabs if slabs > 1 else 1) * batch * m * n * 4
    return max(products, steps) + written / (_BYTES * multiprocessors) + _LAUNCH * (slabs > 1)
