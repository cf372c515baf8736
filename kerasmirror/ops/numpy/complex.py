"""Complex tensors: their parts, absolute values and angles, and the way to and from real ones.

A gradient of a real loss L in z = a + bi is dL/da + i dL/db, as in TensorFlow. Primitives that take
complex arrays to complex ones are differentiated as holomorphic functions (autodiff/primitive.py);
those here are none.
"""

from __future__ import annotations

import math

import numpy as np

from kerasmirror._export import export
from kerasmirror.autodiff import tangents
from kerasmirror.autodiff.primitive import primitive
from kerasmirror.core import dtypes
from kerasmirror.ops import shapes
from kerasmirror.ops.numpy import comparison, creation, elementwise, joining
from kerasmirror.ops.tensor import float_tensor, is_complex, is_float, snapshot, to_tensor

_WHOLES = {"float32": "complex64", "float64": "complex128"}


@primitive("real", spec=elementwise.part_spec, tangent=tangents.linear)
def _real(k, x):
    return np.ascontiguousarray(x.real), lambda dy, needs: (dy.astype(x.dtype),)


@primitive("imag", spec=elementwise.part_spec, tangent=tangents.linear)
def _imag(k, x):
    return np.ascontiguousarray(x.imag), lambda dy, needs: (x.dtype.type(1j) * dy,)


@primitive("conj", spec=shapes.same, tangent=tangents.linear, holomorphic=False)
def _conj(k, x):
    return np.conjugate(x), lambda dy, needs: (np.conjugate(dy),)


def _whole_spec(real, imag):
    return shapes.broadcast_shapes(real.shape, imag.shape), _WHOLES[real.dtype]


@primitive("complex", spec=_whole_spec, tangent=tangents.linear, holomorphic=False)
def _complex(k, real, imag):
    y = np.empty(np.broadcast_shapes(real.shape, imag.shape), _WHOLES[real.dtype.name])
    y.real, y.imag = real, imag

    def backward(dy, needs):
        return tuple([np.ascontiguousarray(part) for part in (dy.real, dy.imag)])

    return y, backward


@primitive("complex_angle", spec=elementwise.part_spec)
def _angle(k, x):
    def backward(dy, needs):
        # d angle = (a db - b da) / |z|^2
        with np.errstate(all="ignore"):
            return ((x.dtype.type(1j) * x / (np.abs(x) ** 2)) * dy,)

    return np.angle(x), backward


@_angle.forward
def _angle_tangent(k, inputs, changes, y):
    return (changes[0] / inputs[0]).imag


# --- parts ----------------------------------------------------------------------------------


@export("ops.real", "ops.numpy.real")
def real(x):
    """The real part; a real `x` as it is."""
    x = to_tensor(x)
    return _real(x) if is_complex(x) else snapshot(x)


@export("ops.imag", "ops.numpy.imag")
def imag(x):
    """The imaginary part; 0 for a real `x`."""
    x = to_tensor(x)
    return _imag(x) if is_complex(x) else creation.zeros_like(x)


def _conjugated(x):
    x = to_tensor(x)
    return _conj(x) if is_complex(x) else snapshot(x)


@export("ops.conj", "ops.numpy.conj")
def conj(x):
    """The complex conjugate, `a - bi` for `a + bi`; a real `x` as it is."""
    return _conjugated(x)


@export("ops.conjugate", "ops.numpy.conjugate")
def conjugate(x):
    """The complex conjugate, `a - bi` for `a + bi`; a real `x` as it is."""
    return _conjugated(x)


@export("ops.angle", "ops.numpy.angle")
def angle(x):
    """The angle in the complex plane, in (-pi, pi]; of a real number pi below 0, else 0."""
    x = to_tensor(x)
    if is_complex(x):
        return _angle(x)
    x = float_tensor(x)
    zero = to_tensor(0.0, x.dtype)
    # x * 0 keeps a NaN.
    below = elementwise.select_by(elementwise._less(x, zero), to_tensor(math.pi, x.dtype), zero)
    return elementwise.add(below, elementwise.multiply(x, zero))


@export("ops.isreal", "ops.numpy.isreal")
def isreal(x):
    """Whether the imaginary part is 0."""
    return comparison.equal(imag(x), 0)


# --- to and from real tensors ---------------------------------------------------------------


def complex_tensor(real, imag):
    """`real + imag * i`: complex128 of float64, else complex64."""
    dtype = dtypes.result_type(real.dtype, imag.dtype, "float32")
    return _complex(to_tensor(real, dtype), to_tensor(imag, dtype))


@export("ops.view_as_complex")
def view_as_complex(x):
    """`a + bi` of the two values a, b along the last axis (complex64).

    Shapes: x (..., 2), result (...). Raises: ValueError for another last axis.
    Source: Keras 3.15 `keras.ops.view_as_complex`.
    """
    x = to_tensor(x)
    if not x.shape or x.shape[-1] != 2:
        raise ValueError(
            "keras.ops.view_as_complex: Last dimension of input must be size 2 (real and "
            f"imaginary). Received: x.shape={tuple(x.shape)}"
        )
    x = to_tensor(x, "float32")
    return _complex(x[..., 0], x[..., 1])


@export("ops.view_as_real")
def view_as_real(x):
    """Real and imaginary part of `x` along a new last axis.

    Shapes: x (...), result (..., 2). Source: Keras 3.15 `keras.ops.view_as_real`.
    """
    return joining.stack([real(x), imag(x)], axis=-1)


@export("ops.polar", "ops.nn.polar")
def polar(abs_, angle):
    """`abs_ * (cos(angle) + i sin(angle))`: complex numbers by absolute value and angle.

    Shapes: abs_ and angle alike, result as they are. Float64 gives complex128, others complex64.
    Raises: ValueError unless both hold floats and have one shape.
    Source: Keras 3.15 `keras.ops.polar`.
    """
    abs_, angle = to_tensor(abs_), to_tensor(angle)
    if not is_float(abs_) or not is_float(angle):
        raise ValueError(
            "keras.ops.polar: `abs_` and `angle` must hold floats. "
            f"Received: dtypes {abs_.dtype} and {angle.dtype}"
        )
    shapes.broadcast_shapes(abs_.shape, angle.shape, "keras.ops.polar")
    return complex_tensor(
        elementwise.multiply(abs_, elementwise.cos(angle)),
        elementwise.multiply(abs_, elementwise.sin(angle)),
    )
