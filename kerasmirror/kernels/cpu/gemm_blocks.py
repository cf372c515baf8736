"""The kernel behind every matrix product: c[m, n] = sum over k of a[m, k] * b[k, n].

A block of c is one item of work and owned by one thread. It takes k in slices; of each, one panel
of b after the other, as wide as a register tile, lies in the first cache while all rows of the
block are multiplied with it. A panel whose rows are contiguous in b is packed by the first tile
that needs it, on the way; a transposed or partial one before that. a is read where it is, by rows
or by columns, and packed only where its rows do not fill a tile or its columns would evict one
another. Where c has too few blocks for all threads, k is split into slabs with a partial c each.
"""

import numpy as np

from .launch import helper, kernel
from .simd import (
    BITS,
    VECTORS,
    clear,
    copy,
    hidden,
    lanes_of,
    prefetch,
    tile_add,
    tile_fma,
    tile_fma_row,
    tile_load,
    tile_load_part,
    tile_relu,
    tile_rows,
    tile_store,
    tile_store_part,
    tile_zero,
    transpose_block,
)
from .simd import ROWS as TILE_ROWS

# With 16 registers 6 x 2 sums need fewer loads a product than 4 x 2: 99 instead of 75 GFLOP/s.
ROWS = 6 if BITS == 256 else TILE_ROWS


@kernel
def gemm(
    lo, hi, thread, a, b, bias, c, sums, scratch, places, shape, strides, blocks, flags
):  # fmt: skip
    """Items lo to hi of a product: item = ((slab, matrix), block of rows, block of columns).

    a, b, c, scratch (threads, elements): 2-D, read as flat; places (2, matrices): where the
    matrices of a and b start; shape (m, n, k); strides of a and b (row, column each); blocks
    (rows, columns, k in a slab, k in a slice); flags: a is packed, relu. bias (n,) or (0,). sums
    (n,) or (0,): the sums of b over k.
    """
    m, n, k = shape
    rows, columns, depth, length = blocks
    batch = places.shape[1]
    grid_rows = (m + rows - 1) // rows
    grid_columns = (n + columns - 1) // columns
    width = VECTORS * lanes_of(c)
    panel = np.empty((length + 1) * width, c.dtype)
    a_pack = thread * scratch.shape[1]
    for item in range(lo, hi):
        rest, column = item // grid_columns, item % grid_columns
        rest, row = rest // grid_rows, rest % grid_rows
        slab, matrix = rest // batch, rest % batch
        ms = (row * rows, min(m, row * rows + rows))
        first, end = slab * depth, min(k, slab * depth + depth)
        c_at = (slab * batch + matrix) * m * n
        for k0 in range(first, end, length):
            ks = (k0, min(end, k0 + length))
            if flags[0] == 1:
                a_at = places[0, matrix] + ms[0] * strides[0] + k0 * strides[1]
                _pack_rows(a, a_at, strides, scratch, a_pack, ks[1] - k0, ms[1] - ms[0])
            # From the right: see `spills`.
            start = column * columns
            panels = (min(n, start + columns) - start + width - 1) // width
            for j in range(start + (panels - 1) * width, start - 1, -width):
                _panel(
                    a, places[0, matrix], b, places[1, matrix], bias, c, c_at, sums, scratch,
                    a_pack, panel, ms, j, ks, (k0 == first, ks[1] == end, columns >= n), n,
                    strides, flags,
                )  # fmt: skip


@helper
def _panel(
    a, a_place, b, b_place, bias, c, c_at, sums, scratch, a_pack, panel, ms, j, ks, ends, n,
    strides, flags
):  # fmt: skip
    """Add the slice ks of k to the rows ms of c and the tile's width of columns from j on.

    ends: this is the first slice, the last one; the block has all columns.
    """
    lanes = lanes_of(c)
    width = VECTORS * lanes
    depth = ks[1] - ks[0]
    present = min(width, n - j)
    b_at = b_place + ks[0] * strides[2] + j * strides[3]
    ready = present < width or strides[3] != 1
    if ready:
        _pack_panel(b, b_at, strides[2], strides[3], panel, depth, present)
    bias_at = panel.size - width
    if bias.size > 0:
        clear(panel, bias_at, width)
        copy(panel, bias_at, bias, j, present)
    packed = flags[0] == 1
    source = scratch if packed else a
    by_rows = strides[1] == 1 and not packed
    step = ROWS if packed else strides[1]
    ahead = 32 * strides[2]  # further than the CPU looks ahead: 2 % for a b that is in no cache
    for i in range(ms[0], ms[1], ROWS):
        # The last tile overlaps the one before. It leaves the rows that are done alone, unless
        # they are this block's and this is all of k: then it would store the same again.
        begin = i if packed else min(i, ms[1] - ROWS)
        last = min(begin + ROWS, ms[1]) - begin
        again = begin >= ms[0] and ends[0] and ends[1]
        # What spills over the right edge to the next rows' first columns is overwritten later: 12
        # masked stores take 150 cycles.
        spills = ends[0] and ends[2] and (begin + ROWS - 1) * n + j + width <= ms[1] * n
        whole = (begin == i or again) and last == ROWS and (present == width or spills)
        place = c_at + begin * n + j
        t = tile_zero(c, ROWS, VECTORS)
        if not ends[0]:
            if whole:
                t = tile_load(t, c, place, n)
            else:
                t = tile_load_part(t, c, place, n, last, present)
        elif bias.size > 0:
            t = tile_rows(t, panel, bias_at)
        at = a_place + begin * strides[0] + ks[0] * strides[1]
        if packed:
            at = a_pack + (i - ms[0]) * depth
        w_at = b_at
        if by_rows:
            if ready:
                for d in range(depth):
                    t = tile_fma(t, a, at + d, strides[0], panel, d * width)
            else:
                for d in range(depth):
                    u = tile_load(tile_zero(c, 1, VECTORS), b, w_at, 0)
                    prefetch(b, w_at + ahead)
                    tile_store(u, panel, d * width, 0)
                    t = tile_fma_row(t, a, at + d, strides[0], u)
                    w_at = hidden(w_at + strides[2])
        elif ready:
            for d in range(depth):
                t = tile_fma(t, source, at, 1, panel, d * width)
                at = hidden(at + step)
        else:
            for d in range(depth):
                u = tile_load(tile_zero(c, 1, VECTORS), b, w_at, 0)
                prefetch(b, w_at + ahead)
                tile_store(u, panel, d * width, 0)
                t = tile_fma_row(t, source, at, 1, u)
                at = hidden(at + step)
                w_at = hidden(w_at + strides[2])
        ready = True
        if ends[1] and flags[1] == 1:
            t = tile_relu(t)
        if whole:
            tile_store(t, c, place, n)
        else:
            tile_store_part(t, c, place, n, i - begin, last, present)
    if sums.size > 0 and ms[0] == 0:
        _panel_sums(panel, depth, sums, j, present, ends[0])


@helper
def _panel_sums(panel, depth, sums, j, present, first):
    """Add the rows of a panel to sums[j:]."""
    width = VECTORS * lanes_of(panel)
    t, u = tile_zero(panel, 1, VECTORS), tile_zero(panel, 1, VECTORS)
    if not first:
        t = tile_load_part(t, sums, j, 0, 1, present)
    # Two sums, of alternating rows: one alone would wait for its own addition.
    for d in range(0, depth - 1, 2):
        t = tile_add(t, tile_load(t, panel, d * width, 0))
        u = tile_add(u, tile_load(u, panel, (d + 1) * width, 0))
    if depth % 2 == 1:
        t = tile_add(t, tile_load(t, panel, (depth - 1) * width, 0))
    tile_store_part(tile_add(t, u), sums, j, 0, 0, 1, present)


@helper
def _pack_panel(b, at, k_step, step, panel, depth, present):
    """panel[k][i] = b[at + k * k_step + i * step]; anything from i = `present` on."""
    lanes = lanes_of(panel)
    width = VECTORS * lanes
    if step == 1:
        # Other columns do no harm to the right of the last, but past the end of b nothing is read.
        safe = depth
        if at + (depth - 1) * k_step + width > b.size:
            safe = max(0, depth - 1 - width // k_step)
        t = tile_zero(panel, 1, VECTORS)
        for k in range(depth):
            if k < safe:
                t = tile_load(t, b, at + k * k_step, 0)
            else:
                t = tile_load_part(t, b, at + k * k_step, 0, 1, present)
            tile_store(t, panel, k * width, 0)
        return
    done = 0  # of k, for all columns
    if present == width and k_step == 1:
        done = depth // lanes * lanes
        for s in range(0, width, lanes):
            for k in range(0, done, lanes):
                transpose_block(panel, k * width + s, width, b, at + s * step + k, step)
    elif present < width:
        clear(panel, 0, width * depth)
    for i in range(present):
        for k in range(done, depth):
            copy(panel, k * width + i, b, at + k * k_step + i * step, 1)


@helper
def _pack_rows(a, at, strides, scratch, place, depth, count):
    """scratch[panel][k][i] = a[at + (panel * ROWS + i, k) strides], zeros past `count`."""
    whole = count // ROWS * ROWS
    if strides[0] == 1:
        for k in range(depth):
            for i in range(0, whole, ROWS):
                copy(scratch, place + i * depth + k * ROWS, a, at + k * strides[1] + i, ROWS)
    else:
        whole = 0
    if whole == count:
        return
    clear(scratch, place + whole * depth, -(-(count - whole) // ROWS) * ROWS * depth)
    for i in range(whole, count):
        start = place + i // ROWS * ROWS * depth + i % ROWS
        for k in range(depth):
            copy(scratch, start + k * ROWS, a, at + i * strides[0] + k * strides[1], 1)


@kernel
def add_slabs(lo, hi, thread, parts, bias, c, sizes):
    """Rows lo to hi of c: its slabs added in order, then the bias, then relu."""
    size, n, slabs, relu = sizes
    zero = c.dtype.type(0)
    for row in range(lo, hi):
        out = c[row * n : row * n + n]
        part = parts[row * n : row * n + n]  # slice = slice would compile for two seconds
        for j in range(n):
            out[j] = part[j]
        for slab in range(1, slabs):
            part = parts[slab * size + row * n : slab * size + row * n + n]
            for j in range(n):
                out[j] += part[j]
        if bias.size > 0:
            for j in range(n):
                out[j] += bias[j]
        if relu == 1:
            for j in range(n):
                out[j] = zero if out[j] < zero else out[j]
