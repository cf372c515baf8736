"""Direct convolution and its two gradients: which loop serves which geometry.

x (N, H, W, C), w (R, S, C / groups, F), y (N, P, Q, F).
"""

from . import conv_direct_grad, conv_gather, conv_scatter
from .simd import WIDTH


def conv2d(x, w, bias, relu, geometry):
    """max(x convolved with w, plus bias; 0), the last where `relu`; bias (F,) or None."""
    plan = conv_gather.forward_gather(x.shape[1:3], w.shape[:2], geometry, w.shape[2])
    shape = (x.shape[0], *geometry.out_size, w.shape[3])
    return conv_gather.gather(x, w, bias, relu, plan, shape, geometry.groups, False)


def grad_input(dy, w, x_shape, geometry):
    """The gradient in x, of shape `x_shape`."""
    if 4 * w.shape[2] <= WIDTH[dy.itemsize]:
        return conv_scatter.scatter(dy, w, x_shape, geometry)
    filters = w.shape[3] // geometry.groups
    plan = conv_gather.backward_gather(x_shape[1:3], w.shape[:2], geometry, filters)
    return conv_gather.gather(dy, w, None, False, plan, x_shape, geometry.groups, True)


def grad_kernel(dy, x, w_shape, geometry):
    """The gradient in w, of shape `w_shape`."""
    return conv_direct_grad.grad_kernel(dy, x, w_shape, geometry)
