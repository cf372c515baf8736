"""Space and depth: pixels moved into channels and back, windows into columns and back; PSNR.

Letters: N batch, H W height and width, C channels, R S window, P Q places of a window.
"""

from __future__ import annotations

from kerasmirror._export import export
from kerasmirror.autodiff import tangents
from kerasmirror.autodiff.primitive import primitive
from kerasmirror.core import checks
from kerasmirror.core.config import standardize_data_format
from kerasmirror.core.device import contiguous
from kerasmirror.ops.numpy.elementwise import log10, multiply, square, subtract
from kerasmirror.ops.numpy.reduction import mean
from kerasmirror.ops.numpy.shape import reshape, transpose
from kerasmirror.ops.tensor import operands, to_tensor

# --- depth and space ------------------------------------------------------------------------


@export("ops.depth_to_space", "ops.nn.depth_to_space")
def depth_to_space(x, block_size, data_format="channels_last"):
    """Each pixel's channels as a block of pixels: `(H, W, b * b * C)` becomes `(b H, b W, C)`.

    Raises: ValueError for an x without four axes, channels that b * b does not divide, or b < 2.
    Source: Shi et al. 2016, https://arxiv.org/abs/1609.05158, Section 2.2; Keras 3.15.
    """
    owner = "ops.depth_to_space"
    x, first = _image(x, block_size, data_format, owner)
    n, h, w, c = x.shape
    b = block_size
    if c is not None and c % (b * b):
        raise ValueError(
            f"{owner}: `x` must have channels that block_size**2, {b * b}, divides. Received: {c}"
        )
    depth = None if c is None else c // (b * b)
    x = reshape(x, _sizes(n, h, w, b, b, depth))
    x = transpose(x, (0, 1, 3, 2, 4, 5))
    y = reshape(x, _sizes(n, _times(h, b), _times(w, b), depth))
    return transpose(y, (0, 3, 1, 2)) if first else y


@export("ops.space_to_depth", "ops.nn.space_to_depth")
def space_to_depth(x, block_size, data_format="channels_last"):
    """Each block of pixels as the channels of one: `(b H, b W, C)` becomes `(H, W, b * b * C)`.

    Raises: ValueError for an x without four axes, sides that b does not divide, or b < 2.
    Source: Keras 3.15 `keras.ops.space_to_depth`; the inverse of `depth_to_space`.
    """
    owner = "ops.space_to_depth"
    x, first = _image(x, block_size, data_format, owner)
    n, h, w, c = x.shape
    b = block_size
    if (h is not None and h % b) or (w is not None and w % b):
        raise ValueError(
            f"{owner}: `x` must have sides that block_size, {b}, divides. Received: {(h, w)}"
        )
    h, w = (None if side is None else side // b for side in (h, w))
    x = reshape(x, _sizes(n, h, b, w, b, c))
    x = transpose(x, (0, 1, 3, 2, 4, 5))
    y = reshape(x, _sizes(n, h, w, _times(c, b * b)))
    return transpose(y, (0, 3, 1, 2)) if first else y


def _image(x, block_size, data_format, owner):
    """x with channels last, and whether it had them first."""
    first = standardize_data_format(data_format, owner) == "channels_first"
    if not isinstance(block_size, int) or block_size < 2:
        raise ValueError(
            f"{owner}: `block_size` must be at least 2, an int. Received: block_size={block_size!r}"
        )
    x = to_tensor(x)
    if len(x.shape) != 4:
        raise ValueError(f"{owner}: `x` must have four axes. Received: x.shape={tuple(x.shape)}")
    return (transpose(x, (0, 2, 3, 1)) if first else x), first


def _times(size, factor):
    return None if size is None else size * factor


def _sizes(*sizes):
    """Sizes for `reshape`: the unknown one is -1."""
    return tuple(-1 if size is None else size for size in sizes)


# --- windows and columns --------------------------------------------------------------------


@export("ops.unfold", "ops.nn.unfold")
def unfold(x, kernel_size, dilation=1, padding=0, stride=1):
    """Every window of an image as a column: `y[n, (c R + r) S + s, p Q + q]`.

    Shapes: x (N, C, H, W), channels first, result (N, C * R * S, P * Q).
    Raises: ValueError for an x without four axes, or a window that does not fit.
    Source: Keras 3.15 `keras.ops.unfold`.
    """
    owner = "ops.unfold"
    x = to_tensor(x)
    if len(x.shape) != 4:
        raise ValueError(f"{owner}: `x` must have four axes. Received: x.shape={tuple(x.shape)}")
    window = _window(kernel_size, dilation, padding, stride, owner)
    _places(x.shape[2:], window, owner)
    return _unfold(x, window=window)


@export("ops.fold", "ops.nn.fold")
def fold(x, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """Columns added back into an image, each where `unfold` took it: the adjoint of `unfold`.

    Shapes: x (N, C * R * S, P * Q), result (N, C, H, W) with (H, W) = output_size.
    Raises: ValueError for an x that `unfold` of such an image does not give.
    Source: Keras 3.15 `keras.ops.fold`.
    """
    owner = "ops.fold"
    x = to_tensor(x)
    size = checks.int_tuple(output_size, 2, "output_size", owner=owner)
    window = _window(kernel_size, dilation, padding, stride, owner)
    p, q = _places(size, window, owner)
    cells = window[0][0] * window[0][1]
    shape = tuple(x.shape)
    good = len(shape) == 3 and shape[2] in (None, p * q)
    if not good or (shape[1] is not None and shape[1] % cells):
        raise ValueError(
            f"{owner}: `x` must be 3D, (batch, channels * {cells}, {p * q}) for these windows. "
            f"Received: x.shape={shape}"
        )
    return _fold(x, size=size, window=window)


def _window(kernel_size, dilation, padding, stride, owner):
    """((R, S), dilation, padding, stride), two ints each."""
    return (
        checks.int_tuple(kernel_size, 2, "kernel_size", owner=owner),
        checks.int_tuple(dilation, 2, "dilation", owner=owner),
        checks.int_tuple(padding, 2, "padding", owner=owner, minimum=0),
        checks.int_tuple(stride, 2, "stride", owner=owner),
    )


def _places(size, window, owner):
    """How many windows fit along each side; None where a side is unknown."""
    places = tuple(
        None if n is None else (n + 2 * pad - d * (r - 1) - 1) // s + 1
        for n, r, d, pad, s in zip(size, *window, strict=True)
    )
    if any(p is not None and p < 1 for p in places):
        raise ValueError(
            f"{owner}: the window must fit into the padded image. Received: image size "
            f"{tuple(size)}, kernel_size={window[0]}, dilation={window[1]}, padding={window[2]}"
        )
    return places


def _taps(window, places):
    """Each place (r, s) of the window with the padded image's rows and columns that meet it."""
    (height, width), (dr, ds), _, (step_r, step_s) = window
    p, q = places
    for r in range(height):
        for s in range(width):
            rows = slice(r * dr, r * dr + (p - 1) * step_r + 1, step_r)
            yield r, s, rows, slice(s * ds, s * ds + (q - 1) * step_s + 1, step_s)


def _columns(k, x, window, places):
    (height, width), _, (pad_r, pad_s), _ = window
    padded = k.pad(x, ((0, 0), (0, 0), (pad_r, pad_r), (pad_s, pad_s)))
    n, c = x.shape[:2]
    y = k.empty((n, c, height, width, *places), x.dtype)
    for r, s, rows, columns in _taps(window, places):
        y[:, :, r, s] = padded[:, :, rows, columns]
    return y.reshape(n, c * height * width, places[0] * places[1])


def _image_of(k, x, size, window, places):
    (height, width), _, (pad_r, pad_s), _ = window
    n, channels = x.shape[0], x.shape[1] // (height * width)
    x = x.reshape(n, channels, height, width, *places)
    y = k.zeros((n, channels, size[0] + 2 * pad_r, size[1] + 2 * pad_s), x.dtype)
    for r, s, rows, columns in _taps(window, places):
        y[:, :, rows, columns] += x[:, :, r, s]
    return contiguous(y[:, :, pad_r : pad_r + size[0], pad_s : pad_s + size[1]])


def _unfold_spec(x, *, window):
    n, c, *size = x.shape
    p, q = _places(size, window, "ops.unfold")
    cells = window[0][0] * window[0][1]
    return (n, _times(c, cells), None if p is None or q is None else p * q), x.dtype


@primitive("unfold", spec=_unfold_spec, tangent=tangents.linear)
def _unfold(k, x, *, window):
    size = x.shape[2:]
    places = _places(size, window, "ops.unfold")

    def backward(dy, needs):
        return (_image_of(k, dy, size, window, places),)

    return _columns(k, x, window, places), backward


def _fold_spec(x, *, size, window):
    cells = window[0][0] * window[0][1]
    return (x.shape[0], None if x.shape[1] is None else x.shape[1] // cells, *size), x.dtype


@primitive("fold", spec=_fold_spec, tangent=tangents.linear)
def _fold(k, x, *, size, window):
    places = _places(size, window, "ops.fold")

    def backward(dy, needs):
        return (_columns(k, dy, window, places),)

    return _image_of(k, x, size, window, places), backward


# --- likeness of images ---------------------------------------------------------------------


@export("ops.psnr", "ops.nn.psnr")
def psnr(x1, x2, max_val):
    """Peak signal-to-noise ratio in decibels: `10 log10(max_val^2 / mean((x1 - x2)^2))`.

    Raises: ValueError when the shapes differ. Source: Keras 3.15 `keras.ops.psnr`.
    """
    x1, x2 = operands(x1, x2, float)
    pairs = zip(x1.shape, x2.shape, strict=False)
    if len(x1.shape) != len(x2.shape) or any(a != b for a, b in pairs):
        raise ValueError(
            "ops.psnr: `x1` and `x2` must have the same shape. "
            f"Received: x1.shape={tuple(x1.shape)}, x2.shape={tuple(x2.shape)}"
        )
    peak = multiply(log10(to_tensor(max_val, x1.dtype)), 20.0)
    return subtract(peak, multiply(log10(mean(square(subtract(x1, x2)))), 10.0))
