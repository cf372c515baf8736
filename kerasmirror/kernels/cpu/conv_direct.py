"""Direct convolution and its two gradients: which loop serves which geometry.

x (N, H, W, C), w (R, S, C / groups, F), y (N, P, Q, F). Groups of so few channels that several fit
a vector are taken as one, with zeros between them.
"""

import numpy as np

from . import conv_depthwise, conv_direct_grad, conv_gather, conv_scatter
from .simd import BITS, WIDTH


def conv2d(x, w, bias, relu, geometry):
    """max(x convolved with w, plus bias; 0), the last where `relu`; bias (F,) or None."""
    if _is_depthwise(w.shape, geometry):
        return conv_depthwise.conv2d(x, w, bias, relu, geometry)
    w, geometry = _merged(w, geometry)
    plan = conv_gather.forward_gather(x.shape[1:3], w.shape[:2], geometry, w.shape[2], x.shape[3])
    shape = (x.shape[0], *geometry.out_size, w.shape[3])
    return conv_gather.gather(x, w, bias, relu, plan, shape, geometry.groups, False)


def grad_input(dy, w, x_shape, geometry):
    """The gradient in x, of shape `x_shape`."""
    if _is_depthwise(w.shape, geometry):
        return conv_depthwise.grad_input(dy, w, x_shape, geometry)
    w, geometry = _merged(w, geometry)
    if 4 * w.shape[2] <= WIDTH[dy.itemsize]:
        return conv_scatter.scatter(dy, w, x_shape, geometry)
    filters = w.shape[3] // geometry.groups
    plan = conv_gather.backward_gather(x_shape[1:3], w.shape[:2], geometry, filters, w.shape[3])
    return conv_gather.gather(dy, w, None, False, plan, x_shape, geometry.groups, True)


def grad_kernel(dy, x, w_shape, geometry):
    """The gradient in w, of shape `w_shape`."""
    if _is_depthwise(w_shape, geometry):
        return conv_depthwise.grad_kernel(dy, x, w_shape, geometry)
    together = _groups_together(w_shape, geometry, x.itemsize)
    if together == 1:
        return conv_direct_grad.grad_kernel(dy, x, w_shape, geometry)
    r, s, channels, filters = w_shape
    merged = geometry._replace(groups=geometry.groups // together)
    dw = conv_direct_grad.grad_kernel(dy, x, (r, s, together * channels, filters), merged)
    blocks = dw.reshape(r * s, together, channels, merged.groups, together, -1)
    # The diagonal's axis comes last.
    return np.ascontiguousarray(blocks.diagonal(0, 1, 4).swapaxes(3, 4)).reshape(w_shape)


def _is_depthwise(w_shape, geometry):
    return geometry.groups > 1 and w_shape[2] == 1


def _groups_together(w_shape, geometry, itemsize):
    """How many groups fit a vector with their channels and with their filters."""
    if geometry.groups == 1:
        return 1
    lanes, groups = BITS // 8 // itemsize, geometry.groups
    most = max(1, lanes // max(1, w_shape[2], w_shape[3] // groups))
    return max(n for n in range(1, most + 1) if groups % n == 0)


def _merged(w, geometry):
    """w and the geometry with neighbouring groups as one: zeros between their channels."""
    together = _groups_together(w.shape, geometry, w.itemsize)
    if together == 1:
        return w, geometry
    r, s, channels, filters = w.shape
    groups = geometry.groups // together
    blocks = w.reshape(r, s, channels, groups, together, -1)
    out = np.zeros((r, s, together, *blocks.shape[2:]), w.dtype)
    for n in range(together):
        out[:, :, n, :, :, n] = blocks[:, :, :, :, n]
    return out.reshape(r, s, together * channels, filters), geometry._replace(groups=groups)
