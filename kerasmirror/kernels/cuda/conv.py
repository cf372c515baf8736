"""2D convolution and its two gradients: host functions and the choice of the algorithm.

x (N, H, W, C), w (R, S, C / groups, F), y (N, P, Q, F). "auto" takes what conv_choice.py
finds fastest, `conv_algorithms` tells what that is. Any one algorithm takes all convolutions once
`set_conv_algorithm` says so, and refuses those that it cannot do.
"""

import numpy as np

from .. import conv_names
from ..conv_names import ConvAlgorithms
from . import (
    conv_choice,
    conv_depthwise,
    conv_direct,
    conv_fft,
    conv_gemm,
    conv_tiles,
    conv_winograd,
)

__all__ = [
    "conv2d",
    "conv2d_grad_input",
    "conv2d_grad_kernel",
    "conv_algorithms",
    "set_conv_algorithm",
]

_MODULES = {
    "direct": conv_direct,
    "tiles": conv_tiles,
    "gemm": conv_gemm,
    "winograd": conv_winograd,
    "fft": conv_fft,
    "depthwise": conv_depthwise,
}
_ELSEWHERE = ("numpy", "opencv")  # known to users, but the CPU's alone
ALGORITHMS = ("auto", *_MODULES, *_ELSEWHERE)


def _checked(algorithm, owner, name):
    return conv_names.checked(algorithm, ALGORITHMS, owner, name)


_algorithm = conv_names.from_environment(_checked)


def set_conv_algorithm(algorithm):
    """Let all convolutions of this process go by one of ALGORITHMS; "auto" takes the fastest."""
    global _algorithm
    _algorithm = _checked(algorithm, "set_conv_algorithm", "algorithm")


def conv_algorithms(x_shape, w_shape, geometry, dtype=np.float32):
    """What "auto" takes for each of a convolution's passes, whatever is set."""
    shapes = (tuple(x_shape), tuple(w_shape), geometry, np.dtype(dtype))
    return ConvAlgorithms(*(conv_choice.best(step, *shapes) for step in ConvAlgorithms._fields))


def conv2d(x, w, bias, geometry, activation="linear"):
    """activation(x convolved with w, plus bias): bias (F,) or None, "linear" or "relu"."""
    module = _chosen("forward", x.shape, w.shape, geometry, x.dtype)
    return module.conv2d(x, w, bias, activation == "relu", geometry)


def conv2d_grad_input(dy, w, x_shape, geometry):
    """The gradient of conv2d in x, of shape `x_shape`."""
    x_shape = tuple(x_shape)
    module = _chosen("grad_input", x_shape, w.shape, geometry, dy.dtype)
    return module.grad_input(dy, w, x_shape, geometry)


def conv2d_grad_kernel(dy, x, w_shape, geometry):
    """The gradient of conv2d in w, of shape `w_shape`."""
    w_shape = tuple(w_shape)
    module = _chosen("grad_kernel", x.shape, w_shape, geometry, x.dtype)
    return module.grad_kernel(dy, x, w_shape, geometry)


def _chosen(step, x_shape, w_shape, geometry, dtype):
    """The module of the algorithm that is set, or of the best.

    Raises: NotImplementedError for one that only the CPU has, ValueError for one that cannot do
    this convolution.
    """
    if _algorithm == "auto":
        return _MODULES[conv_choice.best(step, x_shape, w_shape, geometry, dtype)]
    if _algorithm in _ELSEWHERE:
        raise NotImplementedError(
            f'kerasmirror: the convolution "{_algorithm}" has no CUDA kernels. Set another by '
            "`keras.config.conv_algorithm`, or run it on the CPU: "
            'with keras.device("cpu:0"): ...'
        )
    module = _MODULES[_algorithm]
    found = module.obstacle(x_shape, w_shape, geometry) if hasattr(module, "obstacle") else None
    if found:
        raise ValueError(
            'keras.config.conv_algorithm: `algorithm` must be "auto" or one that can do this '
            f'convolution; "{_algorithm}" needs {found[0]}. '
            f'Received: algorithm="{_algorithm}", {found[1]}'
        )
    return module
