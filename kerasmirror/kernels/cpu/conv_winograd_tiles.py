"""What Winograd's three passes share: windows known, register tiles, the input's transform."""

from .conv_winograd_points import matrices
from .conv_winograd_transforms import combination
from .launch import helper, inlined
from .simd import BITS, clear, copy, lanes_of

# What is known of a window: the outputs of a tile, the most first.
TILES = {(3, 3): (5, 4, 2), (5, 5): (4,)}
MATRICES = [matrices(m, r) for (r, _), sizes in TILES.items() for m in sizes]
input_transform = combination("input_transform", [b for b, _, _ in MATRICES])

UNIT = max(BITS // 32, 8)  # channels and filters come in multiples of this
# Rows of a register tile: 12 or 16 sums hide the latency of a fused multiply-add, and 6 x 2 are
# what 16 registers hold; what these leave of a count goes in fours, and columns of one vector in
# eights.
TALL, SHORT, NARROW = (8 if BITS != 256 else 6), 4, 8

BLOCK_FILTERS = 64
_NEAR = 384 * 1024  # bytes of scratch that stay in a core's second cache


def rows_of_tiles(total, wide, depth, n, at_least):
    """How many rows of tiles an item takes: as many as stay near the core, or `at_least` tiles."""
    near = _NEAR // (4 * depth * n * n)
    rows = max(1, max(near, at_least) // wide)
    return -(-total // -(-total // rows))


def plane_size(size):
    """Elements from a point's plane to the next.

    An odd number of cache lines: the same place of all planes then falls into different sets of the
    first cache.
    """
    return (-(-size // 16) | 1) * 16


@helper
def transform_input(x, image, place, tile, points, pad, scratch, free, at, plane):
    """V of one row of tiles: B d B^T at scratch[at + point * plane + tile * C].

    First B d for all columns of a row of tiles, which neighbours share, then (B d) B^T.
    """
    height, width, channels = image
    number, row, wide = place
    top, left = pad
    m, n, lanes = len(tile), len(points), lanes_of(x)
    columns = wide * m + n - m
    line, own = columns * channels, width * channels
    source = (number * height + row * m - top) * own
    present = min(width, columns - left) * channels
    start = free + left * channels
    if row * m >= top and row * m - top + n <= height:
        for e in range(0, present, lanes):
            input_transform(points, points, x, source + e, own, scratch, start + e, line)
    else:
        rows = free + n * line
        for i in range(n):
            if 0 <= row * m - top + i < height:
                copy(scratch, rows + i * present, x, source + i * own, present)
            else:
                clear(scratch, rows + i * present, present)
        for e in range(0, present, lanes):
            input_transform(points, points, scratch, rows + e, present, scratch, start + e, line)
    rest = left * channels + present
    for i in range(n):
        clear(scratch, free + i * line, left * channels)
        clear(scratch, free + i * line + rest, line - rest)
        for k in range(wide):
            source, target = free + i * line + k * m * channels, at + k * channels
            target += i * n * plane
            for c in range(0, channels, lanes):
                input_transform(
                    points, points, scratch, source + c, channels, scratch, target + c, plane
                )


@inlined
def is_short(left):
    """Whether a register tile takes 4 of the `left` rows, so that few or none are in vain."""
    return left <= SHORT or TALL < left <= 2 * SHORT
