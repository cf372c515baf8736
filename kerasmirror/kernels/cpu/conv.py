"""2D convolution and its two gradients: host functions and the choice of the algorithm.

x (N, H, W, C), w (R, S, C / groups, F), y (N, P, Q, F). "auto" takes what conv_choice.py
finds fastest, `conv_algorithms` tells what that is. Any one algorithm takes all convolutions once
`set_conv_algorithm` says so, and refuses those that it cannot do.
"""

import importlib.util

import numpy as np

from .. import conv_names
from ..conv_names import ConvAlgorithms
from . import (
    conv_choice,
    conv_direct,
    conv_fft,
    conv_gemm,
    conv_numpy,
    conv_opencv,
    conv_winograd,
)

__all__ = [
    "conv2d",
    "conv2d_grad_input",
    "conv2d_grad_kernel",
    "conv_algorithms",
    "set_conv_algorithm",
]

ALGORITHMS = ("auto", "direct", "winograd", "gemm", "fft", "numpy", "opencv", "tiles")
_WHOLE_ARRAYS = {"gemm": conv_gemm, "fft": conv_fft, "numpy": conv_numpy, "opencv": conv_opencv}


def _checked(algorithm, owner, name):
    conv_names.checked(algorithm, ALGORITHMS, owner, name)
    if algorithm == "opencv" and importlib.util.find_spec("cv2") is None:
        raise ImportError(
            f'{owner}: `{name}` "opencv" needs OpenCV, which `pip install kerasmirror[opencv]` '
            "installs."
        )
    return algorithm


_algorithm = conv_names.from_environment(_checked)


def set_conv_algorithm(algorithm):
    """Let all convolutions of this process go by one of ALGORITHMS; "auto" takes the fastest."""
    global _algorithm
    _algorithm = _checked(algorithm, "set_conv_algorithm", "algorithm")


def conv_algorithms(x_shape, w_shape, geometry, dtype=np.float32):
    """What "auto" takes for each of a convolution's passes, whatever is set."""
    shapes = (tuple(x_shape), tuple(w_shape), geometry, np.dtype(dtype))
    return ConvAlgorithms(*(_best(step, *shapes)[0] for step in ConvAlgorithms._fields))


def conv2d(x, w, bias, geometry, activation="linear"):
    """activation(x convolved with w, plus bias): bias (F,) or None, "linear" or "relu"."""
    x, w = np.ascontiguousarray(x), np.ascontiguousarray(w)
    relu = activation == "relu"
    algorithm, m = _chosen("forward", x.shape, w.shape, geometry, x.dtype)
    if algorithm == "winograd":
        pad = (geometry.pad[0][0], geometry.pad[1][0])
        return conv_winograd.convolve(x, w, bias, relu, pad, geometry.out_size, m)
    if algorithm != "direct":
        return _WHOLE_ARRAYS[algorithm].conv2d(x, w, bias, relu, geometry)
    return conv_direct.conv2d(x, w, bias, relu, geometry)


def conv2d_grad_input(dy, w, x_shape, geometry):
    """The gradient of conv2d in x, of shape `x_shape`."""
    dy, w = np.ascontiguousarray(dy), np.ascontiguousarray(w)
    x_shape = tuple(x_shape)
    algorithm, m = _chosen("grad_input", x_shape, w.shape, geometry, dy.dtype)
    if algorithm == "winograd":
        # What the padding of the forward pass leaves of a full one.
        pad = (w.shape[0] - 1 - geometry.pad[0][0], w.shape[1] - 1 - geometry.pad[1][0])
        turned = conv_winograd.turned_windows(w)
        return conv_winograd.convolve(dy, turned, None, False, pad, x_shape[1:3], m)
    if algorithm != "direct":
        return _WHOLE_ARRAYS[algorithm].grad_input(dy, w, x_shape, geometry)
    return conv_direct.grad_input(dy, w, x_shape, geometry)


def conv2d_grad_kernel(dy, x, w_shape, geometry):
    """The gradient of conv2d in w, of shape `w_shape`."""
    dy, x = np.ascontiguousarray(dy), np.ascontiguousarray(x)
    w_shape = tuple(w_shape)
    algorithm, m = _chosen("grad_kernel", x.shape, w_shape, geometry, x.dtype)
    if algorithm == "winograd":
        pad = (geometry.pad[0][0], geometry.pad[1][0])
        return conv_winograd.grad_kernel(dy, x, pad, m, w_shape[0])
    if algorithm != "direct":
        return _WHOLE_ARRAYS[algorithm].grad_kernel(dy, x, w_shape, geometry)
    return conv_direct.grad_kernel(dy, x, w_shape, geometry)


def _chosen(step, x_shape, w_shape, geometry, dtype):
    """(algorithm, Winograd's tile or 0): the one that is set, or the best."""
    if _algorithm == "auto":
        return _best(step, x_shape, w_shape, geometry, dtype)
    if _algorithm == "winograd":
        return "winograd", _winograd_tile(x_shape, w_shape, geometry, dtype)
    if _algorithm == "tiles":
        raise ValueError(
            'keras.config.conv_algorithm: `algorithm` must be "auto" or one that can do this '
            'convolution; "tiles" needs a GPU. Received: algorithm="tiles", on the CPU'
        )
    return _algorithm, 0


def _best(step, x_shape, w_shape, geometry, dtype):
    # Given to the cached choice, so that another rule for tiles is another entry.
    return conv_choice.best(step, x_shape, w_shape, geometry, dtype, conv_winograd.tile_size)


def _winograd_tile(x_shape, w_shape, geometry, dtype):
    """The tile that Winograd's algorithm takes even where another would be faster."""
    unit = conv_winograd.UNIT
    window = tuple(w_shape[:2])
    tiles = conv_winograd.TILES.get(window)
    windows = " or ".join(f"{r} x {s}" for r, s in conv_winograd.TILES)
    pads = geometry.pad[0] + geometry.pad[1]
    for holds, needs, received in (
        (dtype == np.float32, "float32", f"dtype={dtype}"),
        (tiles, f"windows of {windows}", f"window={window}"),
        (geometry.stride == (1, 1), "strides of 1", f"strides={geometry.stride}"),
        (geometry.dilation == (1, 1), "no dilation", f"dilation_rate={geometry.dilation}"),
        (geometry.groups == 1, "one group of channels", f"groups={geometry.groups}"),
        (max(pads) < min(window), "padding smaller than the window", f"padding={geometry.pad}"),
        (
            w_shape[2] % unit == w_shape[3] % unit == 0,
            f"channels and filters in multiples of {unit}",
            f"channels={w_shape[2]}, filters={w_shape[3]}",
        ),
        (x_shape[0], "at least one image", f"images={x_shape[0]}"),
    ):
        if not holds:
            raise ValueError(
                'keras.config.conv_algorithm: `algorithm` must be "auto" or one that can do this '
                f'convolution; "winograd" needs {needs}. Received: algorithm="winograd", {received}'
            )
    m = conv_winograd.tile_size(x_shape, w_shape, geometry, dtype)
    return m or next((m for m in tiles if max(geometry.out_size) >= m), tiles[-1])
