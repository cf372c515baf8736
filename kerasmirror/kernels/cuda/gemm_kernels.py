"""c = relu(a b + bias) by tiles: the kernels, one for each size of tile, layout and dtype."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numba import cuda, int32, types, uint32

from .gemm_tiles import (
    PADDING,
    bring,
    fill,
    first_column,
    first_row,
    hand_over,
    multiplier,
    storer,
)
from .indices import add32, grid_index, mul32, quotient, remainder
from .kernel import inlined, kernel

# Flags of a launch. ALIGNED_C: c takes 128-bit accesses, see gemm_tiles.put.
ALIGNED_C, BIAS, RELU = 1, 2, 4
_REALS = {"f4": types.float32, "f8": types.float64}
_NUMBERS = {"f4": np.float32, "f8": np.float64}
_GROUP = 8  # rows of tiles whose blocks run at the same time: they share columns of b in the cache


@inlined
def tile_row(number, across, down):
    """The row of tiles that block `number` of across x down has, in groups of _GROUP rows."""
    group = quotient(number, mul32(across, _GROUP))
    height = min(_GROUP, add32(down, -group * _GROUP))
    return add32(group * _GROUP, remainder(number - group * across * _GROUP, height))


@inlined
def tile_column(number, across, down):
    """The column of tiles that goes with tile_row."""
    group = quotient(number, mul32(across, _GROUP))
    height = min(_GROUP, add32(down, -group * _GROUP))
    return quotient(number - group * across * _GROUP, height)


def tile_traffic(edge, arrays="- -"):
    """What a multiply-add of a tile takes of a and b; `arrays`: the words of the others.

    A tile loads a value for `edge` multiply-adds, from the second cache where one of the tiles
    beside it, whose blocks run at the same time, was first: _GROUP rows of at least as many.
    """
    word = f"1/{edge * _GROUP}r{_GROUP}"
    return f"{word} {word} {arrays} 2f"


class Part(NamedTuple):
    """What a thread does with a step's tiles and with its part of c.

    `multiply(acc, sa, at_a, sb, at_b)` adds a step's products to the `owned` values in acc, reading
    the tiles from `read_row(thread)` and `read_column(thread)` on. `prepare(registers)` is for
    values on their way to a tile, `store(...)` writes the thread's part of the tile at (m0, n0).
    """

    owned: int
    read_row: Callable
    read_column: Callable
    multiply: Callable
    prepare: Callable
    store: Callable


@inlined
def _as_they_are(registers):
    pass


def part_of(edge, rows, columns, depth):
    """The Part of a thread that owns rows x columns values and multiplies them one by one."""

    put_all = storer(
        [(i & 3) + (i >> 2) * 16 for i in range(rows)],
        [32 * g for g in range(columns // 4)],
        4,
        lambda i, g, u: i * columns + 4 * g + u,
    )

    @inlined
    def read_row(thread):
        return first_row(thread, edge, rows, columns)

    @inlined
    def read_column(thread):
        return first_column(thread, edge, columns)

    @inlined
    def store(c, bias, m, n, at, m0, n0, acc, flags, zero, infinite):
        row = int32(m0 + first_row(cuda.threadIdx.x, edge, rows, columns))
        column = int32(n0 + first_column(cuda.threadIdx.x, edge, columns))
        put_all(
            c, at + row * n + column, n, bias, column, m - row, n - column, acc,
            flags & BIAS, flags & ALIGNED_C, zero if flags & RELU else -infinite,
        )  # fmt: skip

    multiply = multiplier(rows, columns, depth, edge + PADDING)
    return Part(rows * columns, read_row, read_column, multiply, _as_they_are, store)


def tile_kernel(code, edge, steps, layout, aligned, part, kind="", **budgets):
    """The kernel for tiles of edge x edge, in steps of 8 * steps k; `part` is a thread's.

    `layout` has "t" for an operand that lies with its axes exchanged, else "n": "nt" is a b'.
    `aligned`: the last axes of a and b are multiples of 4, all addresses of 16.
    Block (x, 0, z) makes tile x of slab z % slabs, `length` long in k, of matrix z // slabs, and
    writes c's z-th matrix. a_step and b_step are the elements from one matrix to the next.
    """
    real = _REALS[code]
    zero, infinite = _NUMBERS[code](0), _NUMBERS[code](np.inf)
    depth, stride = 8 * steps, edge + PADDING
    size = depth * stride
    owned, read_row, read_column, multiply, prepare, store = part
    shared, fetched = 2 * size, 4 * steps  # shapes have to be constants
    quarter, shift = edge // 4, (edge // 4).bit_length() - 1
    # Whether a thread's 4 values are neighbours along the tile's edge, else along k.
    a_along, b_along = layout[0] == "t", layout[1] == "n"

    def gemm(a, b, bias, c, m, n, k, a_step, b_step, slabs, length, flags):
        sa = cuda.shared.array(shared, real, alignment=16)
        sb = cuda.shared.array(shared, real, alignment=16)
        acc = cuda.local.array(owned, real, alignment=16)
        ga = cuda.local.array(fetched, real, alignment=16)
        gb = cuda.local.array(fetched, real, alignment=16)
        thread = cuda.threadIdx.x
        across, down = quotient(n + (edge - 1), edge), quotient(m + (edge - 1), edge)
        m0 = mul32(tile_row(cuda.blockIdx.x, across, down), edge)
        n0 = mul32(tile_column(cuda.blockIdx.x, across, down), edge)
        matrix = quotient(cuda.blockIdx.z, slabs)
        k0 = mul32(remainder(cuda.blockIdx.z, slabs), length)
        left = min(int32(k - k0), length)

        # The thread's first values of a and b, in memory and in the tiles.
        a_k = thread >> shift if a_along else (thread & 1) * 4
        a_row = (thread & (quarter - 1)) * 4 if a_along else thread >> 1
        b_k = thread >> shift if b_along else (thread & 1) * 4
        b_column = (thread & (quarter - 1)) * 4 if b_along else thread >> 1
        to_a, to_b = int32(a_k * stride + a_row), int32(b_k * stride + b_column)
        a_row, b_column = m0 + a_row, n0 + b_column
        a_inside, b_inside = int32(m - a_row), int32(n - b_column)
        if aligned:  # rows that nobody stores may be any: the last ones there are
            a_row = min(a_row, m - (4 if a_along else 1))
            b_column = min(b_column, n - (4 if b_along else 1))
        a_apart, b_apart = m if a_along else 1, n if b_along else 1
        at_a = matrix * a_step + a_row * (1 if a_along else k) + (k0 + a_k) * a_apart
        at_b = matrix * b_step + b_column * (1 if b_along else k) + (k0 + b_k) * b_apart
        row, column = int32(read_row(thread)), int32(read_column(thread))
        a_left, b_left = int32(left - a_k), int32(left - b_k)
        fill(acc, 0, owned, zero)

        buffer = int32(0)
        started = False
        while True:
            more = left > 0
            if more:
                bring(ga, a, at_a, a_apart, a_left, a_inside, steps, a_along, aligned, zero)
                bring(gb, b, at_b, b_apart, b_left, b_inside, steps, b_along, aligned, zero)
                at_a += depth * a_apart
                at_b += depth * b_apart
                left = int32(left - depth)
                a_left, b_left = int32(a_left - depth), int32(b_left - depth)
            if started:
                multiply(acc, sa, buffer + row, sb, buffer + column)
                buffer = int32(size - buffer)
            if not more:
                break
            prepare(ga)
            prepare(gb)
            hand_over(sa, buffer + to_a, ga, steps, a_along, stride)
            hand_over(sb, buffer + to_b, gb, steps, b_along, stride)
            cuda.syncthreads()
            started = True

        at = cuda.blockIdx.z * (m * n)
        store(c, bias, m, n, at, m0, n0, acc, flags, zero, infinite)

    gemm.__name__ = f"_gemm_{edge}_{layout}{kind}"
    words = "T* T* T* T* i4 i4 i4 i4 i4 i4 i4 i4"
    budgets["shared"] = 4 * size * int(code[1])
    return kernel(words, block=2 * edge, T=code, traffic=tile_traffic(edge), **budgets)(gemm)


# By the dtype's code, the tile's edge and whether it is for aligned operands: what a thread owns,
# and budgets. At least 384 threads are to fit on a multiprocessor.
_SIZES = {
    ("f4", 128, True): (8, 8, 1, {"min_blocks": 2, "registers": 128, "ffma": 0.75}),
    ("f4", 64, True): (8, 4, 2, {"min_blocks": 3, "registers": 128, "ffma": 0.75}),
    ("f4", 64, False): (8, 4, 2, {"min_blocks": 3, "registers": 128}),
    ("f4", 32, False): (4, 4, 2, {"min_blocks": 6, "registers": 128}),
    ("f8", 32, False): (4, 4, 1, {"min_blocks": 6, "registers": 128}),
}
TILE_KERNELS = {
    (code, edge, aligned, layout): tile_kernel(
        code,
        edge,
        steps,
        layout,
        aligned,
        part_of(edge, rows, columns, 8 * steps),
        "" if aligned else "_any",
        **budgets,
    )
    for (code, edge, aligned), (rows, columns, steps, budgets) in _SIZES.items()
    for layout in ("nn", "tn", "nt")
}


@kernel("T* T* T* i4 i4 i4 i4 i4", T="f4 f8", traffic="4r - w 4f")
def add_slabs(parts, bias, c, count, n, size, slabs, flags):
    """c = relu(the sum of a matrix's slabs, in turn, + bias), `size` elements in a matrix."""
    i = grid_index()
    if i < count:
        at = i + quotient(i, size) * (slabs - 1) * size
        zero = type(parts[i])(0)
        v = zero
        while slabs > 0:
            v += parts[at]
            at += size
            slabs -= 1
        if flags & BIAS:
            v += bias[remainder(i, n)]
        c[i] = zero if flags & RELU and v < zero else v


def _sums_kernel(code):
    real, zero = _REALS[code], _NUMBERS[code](0)

    def column_sums(x, sums, rows, columns, height, width):
        """sums (slabs, columns) of x (rows, columns) over slabs of `height` rows.

        A block has 2**width columns; threads that share one meet in shared memory.
        """
        parts = cuda.shared.array(256, real)
        thread = cuda.threadIdx.x
        column = add32(cuda.blockIdx.x << width, thread & ((1 << width) - 1))
        step = 256 >> width
        row = add32(mul32(cuda.blockIdx.y, height), thread >> width)
        end = min(rows, mul32(cuda.blockIdx.y + 1, height))
        v = zero
        if column < columns:
            at = row * columns + column
            while row < end:
                v += x[at]
                at += step * columns
                row = add32(row, step)
        parts[uint32(thread)] = v
        half = 128
        while half >= 1 << width:
            cuda.syncthreads()
            if thread < half:
                v += parts[uint32(thread + half)]
                parts[uint32(thread)] = v
            half >>= 1
        if thread < 1 << width and column < columns:
            sums[cuda.blockIdx.y * columns + column] = v

    return kernel("T* T* i4 i4 i4 i4", T=code, shared=256 * int(code[1]), traffic="r - 1f")(
        column_sums
    )


SUMS_KERNELS = {code: _sums_kernel(code) for code in ("f4", "f8")}
