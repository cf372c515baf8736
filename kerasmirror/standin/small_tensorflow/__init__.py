"""What Keras scripts use of TensorFlow, on this package's tensors.

`install_as_keras(tensorflow=True)` lets `import tensorflow` give this module: tensors, variables,
GradientTape, `function`, `data.Dataset` and mathematics with TensorFlow's names and argument names.
What is not here raises an AttributeError that says so.
"""

from __future__ import annotations

import contextlib

import kerasmirror as keras  # noqa: F401 - tf.keras
from kerasmirror import ops
from kerasmirror.autodiff import GradientTape  # noqa: F401 - public
from kerasmirror.standin.small_tensorflow import arrays as _arrays
from kerasmirror.standin.small_tensorflow import (  # noqa: F401 - public
    config,
    data,
    debugging,
    image,
    linalg,
    math,
    nn,
    random,
)
from kerasmirror.standin.small_tensorflow import dtypes as _dtypes

__version__ = "2.21.0+kerasmirror"
_OF_MATH = (
    *("abs add subtract multiply divide pow mod floordiv maximum minimum sign round floor".split()),
    *("sqrt rsqrt square exp sin cos tan tanh sinh cosh sigmoid atan acos asin".split()),
    *("negative equal not_equal greater greater_equal less less_equal squared_difference".split()),
    *("logical_and logical_or logical_not argmax argmin cumsum add_n".split()),
    *(name for name in dir(math) if name.startswith("reduce_") and name != "reduce_variance"),
)
_OF_LINALG = ("matmul", "tensordot", "einsum", "norm")
globals().update({name: getattr(math, name) for name in _OF_MATH})
globals().update({name: getattr(linalg, name) for name in _OF_LINALG})
globals().update({n: v for n, v in vars(_arrays).items() if n[0] != "_" and n not in globals()})
globals().update({name: getattr(_dtypes, name) for name in _dtypes.__all__})


def function(func=None, **options):
    """The function itself, bare or as a decorator with options: kernels are compiled already."""
    return func if func is not None else lambda wrapped: wrapped


def executing_eagerly():
    return True


def clip_by_value(t, clip_value_min, clip_value_max, name=None):
    return ops.clip(t, clip_value_min, clip_value_max)


def clip_by_norm(t, clip_norm, axes=None, name=None):
    """t * clip_norm / max(|t|, clip_norm)"""
    length = ops.sqrt(ops.sum(ops.square(t), axis=axes, keepdims=True))
    return ops.divide(ops.multiply(t, clip_norm), ops.maximum(length, clip_norm))


def global_norm(t_list, name=None):
    """The norm of all tensors together; None stands for no gradient and counts nothing."""
    return ops.sqrt(sum(ops.sum(ops.square(t)) for t in t_list if t is not None))


def clip_by_global_norm(t_list, clip_norm, use_norm=None, name=None):
    """(the tensors, made shorter together to `clip_norm`; their norm before)"""
    length = global_norm(t_list) if use_norm is None else use_norm
    scale = ops.divide(clip_norm, ops.maximum(length, clip_norm))
    return [None if t is None else ops.multiply(t, scale) for t in t_list], length


def custom_gradient(f):
    """`f` gives its result and a function from the result's gradient to those of its arguments."""
    return ops.custom_gradient(f)


def cond(pred, true_fn=None, false_fn=None, name=None):
    return ops.cond(pred, true_fn, false_fn)


def while_loop(cond, body, loop_vars, maximum_iterations=None, **options):
    return ops.while_loop(cond, body, loop_vars, maximum_iterations)


def map_fn(fn, elems, **options):
    return ops.map(fn, elems)


def vectorized_map(fn, elems, **options):
    return ops.vectorized_map(fn, elems)


def group(*inputs, **options):
    """Nothing to wait for: operations have run when they return."""


def print(*inputs, **options):
    __builtins__["print"](*inputs)


@contextlib.contextmanager
def device(name):
    """Everything runs on the CPU. Raises: RuntimeError for another device."""
    if "CPU" not in str(name).upper():
        raise RuntimeError(f"tf.device: `name` must be a CPU. Received: name={name!r}")
    yield


@contextlib.contextmanager
def name_scope(name):
    with keras.name_scope(name.replace("/", "_")):
        yield


def __getattr__(name):
    raise AttributeError(
        f"tensorflow.{name} is not among the names of TensorFlow that kerasmirror stands in for; "
        "`python -m kerasmirror run --tensorflow real` uses the TensorFlow that is installed."
    )
