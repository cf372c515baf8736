"""Lines of complex numbers transformed in shared memory, and complex matrices as real ones."""

import functools

import numpy as np
from numba import cuda, types

from . import device, memory
from .gemm_kernels import BIAS, RELU
from .indices import grid_index, quotient, remainder
from .kernel import kernel
from .launch import blocks_for, launch

LARGEST = 4096  # places of a line
_THREADS = 128
_REAL, _HALF, _TO_REAL, _INVERSE = 8, 16, 32, 64  # flags beside BIAS and RELU


@functools.lru_cache(64)
def _roots(on, length):
    """cos and sin of 2 pi k / length for the first half of all k, on a device."""
    angles = 2 * np.pi * np.arange(max(1, length // 2)) / length
    return memory.to_device(np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32))


def transform_lines(source, target, length, lines, channels, places, layouts, kind, finish=None):
    """Transform lines (a, b, c) of `length` places, for a, b in `lines` and c in `channels`.

    places: those that the source has, and those that the target gets; layouts: of both, in values
    or complex numbers. kind: a key of _FLAGS; "inverse to real" has the first half of a line's
    spectrum, the rest of which mirrors it, and finishes by (bias, relu).
    """
    bias, relu = finish or (None, False)
    flags = _FLAGS[kind] | BIAS * (bias is not None) | RELU * bool(relu)
    bias = source if bias is None else bias
    at_once = min(channels, LARGEST // length)
    blocks = lines[0] * lines[1] * blocks_for(channels, at_once)
    numbers = (length, length.bit_length() - 1, lines[1], channels, at_once, flags)
    launch(
        _transform, blocks, source, _roots(device.current(), length), bias, target,
        *numbers, *places[0], *layouts[0], *places[1], *layouts[1],
    )  # fmt: skip


_FLAGS = {
    "real": _REAL,
    "complex": 0,
    "inverse": _INVERSE,
    "inverse to real": _INVERSE | _HALF | _TO_REAL,
}


@kernel("f4* f4* f4* f4* " + "i4 " * 22, block=_THREADS, shared=8 * LARGEST, traffic="r - - 2w 40f")
def _transform(
    source, roots, bias, target, length, stages, n_lines, channels, at_once, flags,
    s_from, s_step, s_count, s_first, s_image, s_line, s_place, s_channel,
    t_from, t_step, t_count, t_first, t_image, t_line, t_place, t_channel,
):  # fmt: skip
    # A block: one line of some channels, which are side by side in shared memory.
    real = cuda.shared.array(LARGEST, types.float32)
    imaginary = cuda.shared.array(LARGEST, types.float32)
    thread = cuda.threadIdx.x
    portions = quotient(channels + at_once - 1, at_once)
    c0 = remainder(cuda.blockIdx.x, portions) * at_once
    rest = quotient(cuda.blockIdx.x, portions)
    b, a = remainder(rest, n_lines), quotient(rest, n_lines)
    here = min(at_once, channels - c0)
    zero = types.float32(0)
    start = s_first + a * s_image + b * s_line + c0 * s_channel
    i = thread
    while i < length * here:
        e, c = quotient(i, here), remainder(i, here)
        from_end = flags & _HALF != 0 and e >= s_count
        j = length - e if from_end else e - s_from
        re, im = zero, zero
        if j >= 0:
            k = quotient(j, s_step)
            if k < s_count and k * s_step == j:
                at = start + k * s_place + c * s_channel
                if flags & _REAL:
                    re = source[at]
                else:
                    re = source[2 * at]
                    im = -source[2 * at + 1] if from_end else source[2 * at + 1]
        # To the place whose number has the same bits from the other end.
        to, bits = 0, e
        for _ in range(stages):
            to = to * 2 + (bits & 1)
            bits >>= 1
        real[to * here + c] = re
        imaginary[to * here + c] = im
        i += _THREADS
    cuda.syncthreads()
    half = length >> 1
    stage = 0
    while stage < stages:
        i = thread
        while i < half * here:
            k, c = quotient(i, here), remainder(i, here)
            within = k & ((1 << stage) - 1)
            low = (((k >> stage) << (stage + 1)) + within) * here + c
            high = low + (here << stage)
            root = within << (stages - 1 - stage)
            cosine, sine = roots[2 * root], roots[2 * root + 1]
            if not flags & _INVERSE:
                sine = -sine
            re, im = real[high], imaginary[high]
            turned_re = re * cosine - im * sine
            turned_im = re * sine + im * cosine
            re, im = real[low], imaginary[low]
            real[low] = re + turned_re
            imaginary[low] = im + turned_im
            real[high] = re - turned_re
            imaginary[high] = im - turned_im
            i += _THREADS
        cuda.syncthreads()
        stage += 1
    start = t_first + a * t_image + b * t_line + c0 * t_channel
    scale = types.float32(1)
    if flags & _INVERSE:
        scale = scale / types.float32(length)
    i = thread
    while i < t_count * here:
        j, c = quotient(i, here), remainder(i, here)
        own = (t_from + j * t_step) * here + c
        at = start + j * t_place + c * t_channel
        if flags & _TO_REAL:
            value = real[own] * scale
            if flags & BIAS:
                value += bias[c0 + c]
            if flags & RELU and value < zero:
                value = zero
            target[at] = value
        else:
            target[2 * at] = real[own] * scale
            target[2 * at + 1] = imaginary[own] * scale
        i += _THREADS


def doubled(spectrum, group, groups, conjugate=False, turned=False):
    """Complex matrices (points, K, L), of L those of a group, as real ones (points, 2 K, 2 L).

    An element z is [[re, im], [-im, re]], so that (re, im, re, im, ...) @ it is a complex product.
    `spectrum` is (points, K, 2 L groups). Turned, rows and columns change places.
    """
    points, rows = spectrum.shape[:2]
    all_columns = spectrum.shape[2] // 2
    columns = all_columns // groups
    shape = (points, 2 * columns, 2 * rows) if turned else (points, 2 * rows, 2 * columns)
    out = memory.empty(shape, spectrum.dtype)
    n = points * rows * columns
    sign = -1 if conjugate else 1
    sizes = (n, rows, columns, all_columns, group * columns, sign, int(turned))
    launch(_double, blocks_for(n), spectrum, out, *sizes)
    return out


@kernel("f4* f4* i4 i4 i4 i4 i4 i4 i4", traffic="2r 4w 0f")
def _double(spectrum, out, n, rows, columns, all_columns, first, sign, turned):
    i = grid_index()
    if i < n:
        column, rest = remainder(i, columns), quotient(i, columns)
        row, point = remainder(rest, rows), quotient(rest, rows)
        at = 2 * (rest * all_columns + first + column)
        re, im = spectrum[at], spectrum[at + 1]
        if sign < 0:
            im = -im
        if turned:
            width = 2 * rows
            to = (point * columns + column) * 2 * width + 2 * row
        else:
            width = 2 * columns
            to = rest * 2 * width + 2 * column
        out[to] = re
        out[to + 1] = im
        out[to + width] = -im
        out[to + width + 1] = re
