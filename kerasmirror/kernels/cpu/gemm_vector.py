"""The product of one row with a matrix, and sums of columns: matrices read once, as they lie."""

from .launch import kernel
from .simd import (
    VECTORS,
    lanes_of,
    tile_add,
    tile_fma,
    tile_fma_row,
    tile_load,
    tile_load_part,
    tile_relu,
    tile_store,
    tile_store_part,
    tile_zero,
)

# Vectors of a row that one pass over the rows takes: 8 sums hide the latency of the additions.
STRIP = 8
SUM_STRIP = 128  # columns that one item adds up


@kernel
def row_product(lo, hi, thread, x, w, bias, y, shape, blocks):
    """Items lo to hi of y = relu(x w + bias): item = (slab of k, strip of columns).

    Shapes: x (1, k), w (k, n), bias (n,) or (0,), y (slabs, n). shape (k, n), blocks (k in a slab,
    relu).
    """
    k, n = shape
    depth, relu = blocks
    lanes = lanes_of(y)
    columns = STRIP * lanes
    strips = (n + columns - 1) // columns
    for item in range(lo, hi):
        slab, strip = item // strips, item % strips
        first, last = slab * depth, min(k, slab * depth + depth)
        j, to = strip * columns, slab * n + strip * columns
        if j + columns <= n:
            t = tile_zero(y, 1, STRIP)
            if bias.size > 0:
                t = tile_load(t, bias, j, 0)
            for i in range(first, last):
                t = tile_fma(t, x, i, 0, w, i * n + j)
            if relu == 1:
                t = tile_relu(t)
            tile_store(t, y, to, 0)
            continue
        for part in range(j, n, VECTORS * lanes):
            present = n - part
            u = tile_zero(y, 1, VECTORS)
            if bias.size > 0:
                u = tile_load_part(u, bias, part, 0, 1, present)
            if present >= VECTORS * lanes:
                for i in range(first, last):
                    u = tile_fma(u, x, i, 0, w, i * n + part)
            else:
                for i in range(first, last):
                    row = tile_load_part(u, w, i * n + part, 0, 1, present)
                    u = tile_fma_row(u, x, i, 0, row)
            if relu == 1:
                u = tile_relu(u)
            tile_store_part(u, y, slab * n + part, 0, 0, 1, present)


@kernel
def column_sums(lo, hi, thread, x, sums, height):
    """Items lo to hi of sums[slab] = the sum of `height` rows of x: item = (slab, strip)."""
    rows, columns = x.shape
    width = VECTORS * lanes_of(x)
    strips = (columns + SUM_STRIP - 1) // SUM_STRIP
    for item in range(lo, hi):
        slab, strip = item // strips, item % strips
        top, bottom = slab * height, min(rows, slab * height + height)
        for j in range(strip * SUM_STRIP, min(columns, strip * SUM_STRIP + SUM_STRIP), width):
            # Two sums, of alternating rows: one alone would wait for its own addition.
            t, u = tile_zero(x, 1, VECTORS), tile_zero(x, 1, VECTORS)
            if j + width <= columns:
                for i in range(top, bottom - 1, 2):
                    t = tile_add(t, tile_load(t, x, i * columns + j, 0))
                    u = tile_add(u, tile_load(u, x, (i + 1) * columns + j, 0))
                if (bottom - top) % 2 == 1:
                    t = tile_add(t, tile_load(t, x, (bottom - 1) * columns + j, 0))
            else:
                for i in range(top, bottom):
                    t = tile_add(t, tile_load_part(t, x, i * columns + j, 0, 1, columns - j))
            tile_store_part(tile_add(t, u), sums, slab * columns + j, 0, 0, 1, columns - j)
