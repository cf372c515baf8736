"""Products and norms: `tf.linalg`, and at the top level of TensorFlow."""

from __future__ import annotations

from kerasmirror import ops
from kerasmirror.ops import linalg as _linalg  # noqa: F401 - registers the names used below


def matmul(a, b, transpose_a=False, transpose_b=False, name=None):
    return ops.matmul(
        matrix_transpose(a) if transpose_a else a, matrix_transpose(b) if transpose_b else b
    )


def matvec(a, b, transpose_a=False, name=None):
    return ops.squeeze(matmul(a, ops.expand_dims(b, -1), transpose_a), -1)


def matrix_transpose(a, name="matrix_transpose"):
    return ops.swapaxes(a, -1, -2)


def tensordot(a, b, axes, name=None):
    return ops.tensordot(a, b, axes)


def einsum(equation, *inputs, **kwargs):
    return ops.einsum(equation, *inputs)


def norm(tensor, ord="euclidean", axis=None, keepdims=None, name=None):
    """Of the whole tensor unless `axis` says otherwise; "euclidean" is the 2-norm of a vector."""
    keepdims = bool(keepdims)
    if ord == "euclidean":
        axis = tuple(axis) if isinstance(axis, list) else axis
        return ops.sqrt(ops.sum(ops.square(ops.absolute(tensor)), axis=axis, keepdims=keepdims))
    if axis is None:
        tensor = ops.reshape(tensor, (-1,))
    return ops.norm(tensor, ord=ord, axis=axis, keepdims=keepdims)


def trace(x, name=None):
    return ops.trace(x, axis1=-2, axis2=-1)


def diag(diagonal, name="diag"):
    """A matrix (or a stack of them) with this diagonal."""
    diagonal = ops.convert_to_tensor(diagonal)
    return ops.multiply(ops.expand_dims(diagonal, -1), ops.eye(diagonal.shape[-1], dtype="bool"))


def diag_part(input, name="diag_part"):
    return ops.diagonal(input, axis1=-2, axis2=-1)


def inv(input, adjoint=False, name=None):
    return ops.inv(matrix_transpose(input) if adjoint else input)


def det(input, name=None):
    return ops.det(input)


def cholesky(input, name=None):
    return ops.cholesky(input)


def solve(matrix, rhs, adjoint=False, name=None):
    return ops.solve(matrix_transpose(matrix) if adjoint else matrix, rhs)
