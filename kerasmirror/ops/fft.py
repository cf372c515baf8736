"""Fourier transforms; complex tensors are pairs (real part, imaginary part).

A transform is linear, so its gradient is the adjoint map: for the pair dy of a transform F it is
the pair of conj(F)' dy, which for `fft` is n times the inverse transform. The transforms
themselves are pocketfft's, by NumPy. Source: Keras 3.15 `keras.ops`, `tf.signal`.
"""

from __future__ import annotations

import math

import numpy as np

from kerasmirror._export import export
from kerasmirror.autodiff import tangents
from kerasmirror.autodiff.primitive import primitive
from kerasmirror.core.symbolic import KerasTensor
from kerasmirror.ops.math import extract_sequences, positive_step
from kerasmirror.ops.numpy import elementwise, repetition
from kerasmirror.ops.tensor import is_float, to_tensor

_LAST = {1: "dimension", 2: "two axes"}


def _pair(x, owner, axes=1, known=0):
    """The two parts, which must have `axes` axes at least and the last `known` sizes known."""
    if not isinstance(x, (tuple, list)) or len(x) != 2:
        raise ValueError(
            f"{owner}: Input `x` should be a tuple of two tensors, real and imaginary part. "
            f"Received: x={x}"
        )
    real, imag = to_tensor(x[0]), to_tensor(x[1])
    if tuple(real.shape) != tuple(imag.shape):
        raise ValueError(
            f"{owner}: Both the real and imaginary parts should have the same shape. "
            f"Received: {tuple(real.shape)} and {tuple(imag.shape)}"
        )
    _check_rank(real, axes, owner)
    if None in real.shape[len(real.shape) - known :]:
        raise ValueError(
            f"{owner}: Input should have its last {_LAST[known]} fully-defined. "
            f"Received: shape {tuple(real.shape)}"
        )
    if not is_float(real) or not is_float(imag):
        raise ValueError(
            f"{owner}: real and imaginary part must be floats. "
            f"Received: {real.dtype} and {imag.dtype}"
        )
    return real, imag


def _check_rank(x, axes, owner):
    if len(x.shape) < axes:
        raise ValueError(
            f"{owner}: Input should have rank >= {axes}. Received: shape {tuple(x.shape)}"
        )


def _joined(real, imag, like):
    """The complex array of two parts, of which one may be missing (zeros of the other's shape)."""
    real = np.zeros_like(imag) if real is None else real
    imag = np.zeros_like(real) if imag is None else imag
    wide = np.complex128 if like.dtype == np.float64 else np.complex64
    return real.astype(wide) + wide(1j) * imag


def _parts(y, dtype):
    return y.real.astype(dtype), y.imag.astype(dtype)


def _complex_transform(name, forward, adjoint):
    @primitive(
        name, spec=lambda real, imag: [(real.shape, real.dtype)] * 2, tangent=tangents.linear
    )
    def rule(k, real, imag):
        dtype = real.dtype

        def backward(dys, needs):
            return _parts(adjoint(_joined(*dys, real)), dtype)

        return _parts(forward(_joined(real, imag, real)), dtype), backward

    return rule


def _count(y, axes):
    return math.prod(y.shape[-axes:])


_fft = _complex_transform("fft", np.fft.fft, lambda dy: np.fft.ifft(dy) * _count(dy, 1))
_fft2 = _complex_transform("fft2", np.fft.fft2, lambda dy: np.fft.ifft2(dy) * _count(dy, 2))
_ifft2 = _complex_transform("ifft2", np.fft.ifft2, lambda dy: np.fft.fft2(dy) / _count(dy, 2))


@export("ops.fft")
def fft(x):
    """`y_k = sum_j x_j e^(-2 pi i j k / n)` along the last axis, of a pair and as a pair."""
    return _fft(*_pair(x, "keras.ops.fft", known=1))


@export("ops.fft2")
def fft2(x):
    """The Fourier transform over the last two axes, of a pair and as a pair."""
    return _fft2(*_pair(x, "keras.ops.fft2", axes=2, known=2))


@export("ops.ifft2")
def ifft2(x):
    """The inverse Fourier transform over the last two axes, of a pair and as a pair."""
    return _ifft2(*_pair(x, "keras.ops.ifft2", axes=2, known=2))


def _rfft_spec(x, *, length):
    size = x.shape[-1] if length is None else length
    bins = None if size is None else size // 2 + 1
    return [((*x.shape[:-1], bins), x.dtype)] * 2


@primitive("rfft", spec=_rfft_spec, tangent=tangents.linear)
def _rfft(k, x, *, length):
    size = x.shape[-1]
    n = size if length is None else length

    def backward(dys, needs):
        # Only half of the spectrum comes out, so the other half has no gradient to add.
        dx = np.fft.ifft(_joined(*dys, x), n).real[..., :size] * n
        missing = size - dx.shape[-1]
        if missing:
            dx = np.pad(dx, [(0, 0)] * (dx.ndim - 1) + [(0, missing)])
        return (dx.astype(x.dtype),)

    return _parts(np.fft.rfft(x, n), x.dtype), backward


@export("ops.rfft")
def rfft(x, fft_length=None):
    """The first `n // 2 + 1` values of `fft` of real `x`, cut or filled with zeros to a length."""
    x = to_tensor(x)
    _check_rank(x, 1, "keras.ops.rfft")
    if not is_float(x):
        raise ValueError(f"keras.ops.rfft: `x` must hold floats. Received: dtype={x.dtype}")
    return _rfft(x, length=None if fft_length is None else int(fft_length))


def _irfft_spec(real, imag, *, length):
    bins = real.shape[-1]
    size = length if length is not None else None if bins is None else 2 * (bins - 1)
    return (*real.shape[:-1], size), real.dtype


@primitive("irfft", spec=_irfft_spec, tangent=tangents.linear)
def _irfft(k, real, imag, *, length):
    bins = real.shape[-1]
    n = 2 * (bins - 1) if length is None else length

    def backward(dy, needs):
        # All but the first value (and the last of an even n) stand for two, with their conjugate.
        spectrum = np.fft.rfft(dy, n)
        weights = np.full(n // 2 + 1, 2.0 / n)
        weights[0] = 1.0 / n
        if n % 2 == 0:
            weights[-1] = 1.0 / n
        spectrum = (spectrum * weights)[..., :bins]
        missing = bins - spectrum.shape[-1]
        if missing:
            spectrum = np.pad(spectrum, [(0, 0)] * (spectrum.ndim - 1) + [(0, missing)])
        return _parts(spectrum, real.dtype)

    return np.fft.irfft(_joined(real, imag, real), n).astype(real.dtype), backward


@export("ops.irfft")
def irfft(x, fft_length=None):
    """The real tensor whose `rfft` is the pair `x`; by default of even length."""
    real, imag = _pair(x, "keras.ops.irfft")
    return _irfft(real, imag, length=None if fft_length is None else int(fft_length))


# --- short-time transforms ------------------------------------------------------------------


def _window(window, sequence_length, fft_length, dtype, owner):
    """The window in the middle of `fft_length` zeros, or None."""
    if window is None:
        return None
    if isinstance(window, str):
        if window not in ("hann", "hamming"):
            raise ValueError(
                f"{owner}: If a string is passed to `window`, it must be 'hann' or 'hamming'. "
                f"Received: window={window!r}"
            )
        angle = 2 * math.pi * np.arange(sequence_length) / sequence_length
        a = 0.5 if window == "hann" else 0.54
        window = a - (1 - a) * np.cos(angle)
    window = to_tensor(to_tensor(window), dtype)
    if tuple(window.shape) != (sequence_length,):
        raise ValueError(
            f"{owner}: The shape of `window` must be equal to ({sequence_length},). "
            f"Received: window.shape={tuple(window.shape)}"
        )
    before = (fft_length - sequence_length) // 2
    return repetition.pad(window, ((before, fft_length - sequence_length - before),))


def _check_lengths(sequence_length, fft_length, owner):
    positive_step(sequence_length, owner, "sequence_length")
    if fft_length < sequence_length:
        raise ValueError(
            f"{owner}: `fft_length` must equal or be larger than `sequence_length`. "
            f"Received: sequence_length={sequence_length}, fft_length={fft_length}"
        )


@export("ops.stft")
def stft(x, sequence_length, sequence_stride, fft_length, window="hann", center=True):
    """`rfft` of windows of the last axis, one every `sequence_stride`: (..., frames, bins) pairs.

    `window` ("hann", "hamming", values or None) weighs each; `center` reflects the ends, so that
    frame t has place `t * sequence_stride` in its middle.
    Raises: TypeError unless `x` is float32 or float64, ValueError for lengths that do not fit.
    """
    x = to_tensor(x)
    if x.dtype not in ("float32", "float64"):
        raise TypeError(
            f"keras.ops.stft: `x` must be `float32` or `float64`. Received: dtype={x.dtype}"
        )
    _check_rank(x, 1, "keras.ops.stft")
    sequence_stride = positive_step(sequence_stride, "keras.ops.stft")
    _check_lengths(sequence_length, fft_length, "keras.ops.stft")
    window = _window(window, sequence_length, fft_length, x.dtype, "keras.ops.stft")
    if center:
        half = fft_length // 2
        x = repetition.pad(x, ((0, 0),) * (len(x.shape) - 1) + ((half, half),), mode="reflect")
    frames = extract_sequences(x, fft_length, sequence_stride)
    if window is not None:
        frames = elementwise.multiply(frames, window)
    return rfft(frames, fft_length)


def _overlap_spec(frames, *, stride):
    count, length = frames.shape[-2:]
    size = None if count is None else (count - 1) * stride + length
    return (*frames.shape[:-2], size), frames.dtype


@primitive("overlap_add", spec=_overlap_spec, tangent=tangents.linear)
def _overlap_add(k, frames, *, stride):
    count, length = frames.shape[-2:]
    y = k.zeros((*frames.shape[:-2], (count - 1) * stride + length), frames.dtype)
    for i in range(count):
        y[..., i * stride : i * stride + length] += frames[..., i, :]
    places = np.arange(count)[:, None] * stride + np.arange(length)
    return y, lambda dy, needs: (k.take(dy, places, -1),)


@export("ops.istft")
def istft(x, sequence_length, sequence_stride, fft_length, length=None, window="hann", center=True):
    """The tensor whose `stft` with the same arguments is the pair `x`, cut to `length`."""
    real, imag = _pair(x, "keras.ops.istft", axes=2)
    sequence_stride = positive_step(sequence_stride, "keras.ops.istft")
    _check_lengths(sequence_length, fft_length, "keras.ops.istft")
    window = _window(window, sequence_length, fft_length, real.dtype, "keras.ops.istft")
    frames = irfft((real, imag), fft_length)
    if window is not None:
        # What overlapping windows, applied twice, add up to at each place is divided out.
        overlaps = -(-fft_length // sequence_stride)
        squares = np.zeros(overlaps * sequence_stride, window.data.dtype)
        squares[:fft_length] = window.data**2
        total = np.tile(squares.reshape(overlaps, sequence_stride).sum(0), overlaps)
        frames = elementwise.multiply(
            frames, elementwise.divide(window, to_tensor(total[:fft_length]))
        )
    y = _overlap_add(frames, stride=sequence_stride)
    start = fft_length // 2 if center else 0
    if length is not None:
        y = y[..., start : start + length]
        if isinstance(y, KerasTensor):
            return KerasTensor((*y.shape[:-1], length), y.dtype)
        return y
    return y[..., start : -start if start else None]
