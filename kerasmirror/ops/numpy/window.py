"""Windows for spectra, and the Bessel function of one of them.

Source: https://en.wikipedia.org/wiki/Window_function; Keras 3.15 `keras.ops.numpy`.
"""

from __future__ import annotations

import numpy as np

from kerasmirror._export import export
from kerasmirror.autodiff import tangents
from kerasmirror.autodiff.primitive import primitive
from kerasmirror.core import dtypes
from kerasmirror.core.tensor import Tensor
from kerasmirror.ops import shapes
from kerasmirror.ops.tensor import float_tensor, to_array, to_tensor


def _window(window, x):
    values = window(int(to_array(x).item()))
    return Tensor(values.astype(dtypes.numpy_dtype(dtypes.standardize_dtype(None))))


@export("ops.bartlett", "ops.numpy.bartlett")
def bartlett(x):
    """A triangle of `x` values: `1 - |2 i / (x - 1) - 1|`."""
    return _window(np.bartlett, x)


@export("ops.hamming", "ops.numpy.hamming")
def hamming(x):
    """`x` values of `0.54 - 0.46 cos(2 pi i / (x - 1))`."""
    return _window(np.hamming, x)


@export("ops.hanning", "ops.numpy.hanning")
def hanning(x):
    """`x` values of `0.5 - 0.5 cos(2 pi i / (x - 1))`."""
    return _window(np.hanning, x)


@export("ops.blackman", "ops.numpy.blackman")
def blackman(x):
    """`x` values of `0.42 - 0.5 cos(t) + 0.08 cos(2 t)`, `t = 2 pi i / (x - 1)`."""
    return _window(np.blackman, x)


@export("ops.kaiser", "ops.numpy.kaiser")
def kaiser(x, beta):
    """`x` values of `i0(beta sqrt(1 - t^2)) / i0(beta)`, t from -1 to 1."""
    beta = float(to_array(beta).item())
    return _window(lambda n: np.kaiser(n, beta), x)


@primitive("i0", spec=shapes.same, tangent=tangents.diagonal)
def _i0(k, x):
    wide = x.astype("float64")

    def backward(dy, needs):
        # i0' = i1 = mean of cos(t) e^(x cos(t)) over a circle; for a smooth periodic function
        # equal steps converge faster than any power of their number.
        cosines = np.cos(2 * np.pi * np.arange(256) / 256)
        i1 = np.zeros(wide.shape)
        for cosine in cosines:
            i1 += cosine * np.exp(wide * cosine)
        return ((dy * (i1 / 256)).astype(dy.dtype),)

    return np.asarray(np.i0(wide), dtype=x.dtype), backward


@export("ops.i0", "ops.numpy.i0")
def i0(x):
    """The modified Bessel function of the first kind, order 0."""
    x = to_tensor(x)
    return _i0(to_tensor(x, "float64") if x.dtype == "int64" else float_tensor(x))
