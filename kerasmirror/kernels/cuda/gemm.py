"""Matrix products and the dense layer's passes: which tiles and slabs a product takes.

The plan of a product depends on its shape and the card alone, and slabs are added in order: the
same product has the same result to the bit each time.
"""

import functools
import math

import numpy as np

from . import device, memory
from .gemm_kernels import (
    ALIGNED_C,
    BIAS,
    RELU,
    SUMS_KERNELS,
    add_slabs,
)
from .gemm_plan import plan_of
from .launch import blocks_for, launch, unsupported

__all__ = [
    "bias_grad",
    "dense",
    "dense_grad_input",
    "dense_grad_kernel",
    "dense_grad_kernel_bias",
    "matmul",
    "set_tensor_cores",
]

_MOST_MATRICES = 65535  # in the third axis of a grid
_TENSOR_CORE_CAPABILITY = (8, 0)

_tensor_cores = False


def set_tensor_cores(enabled):
    """Whether float32 products may be made of factors rounded to TF32 (10 bits after the point).

    Off at first. It takes many times less, and results are off by up to 1e-3 of the largest.
    Raises: ValueError where the card has no tensor cores for it (compute capability 8.0).
    """
    global _tensor_cores
    on = device.current()
    if enabled and on.capability < _TENSOR_CORE_CAPABILITY:
        raise ValueError(
            "set_tensor_cores: `enabled` must be False on a GPU of compute capability below 8.0. "
            f"Received: enabled={enabled}, on {on.title} ({on.capability[0]}.{on.capability[1]})"
        )
    _tensor_cores = bool(enabled)


def dense(x, w, bias=None, activation="linear"):
    """activation(x @ w + bias), activation "linear" or "relu"; x (M, K), w (K, N), bias (N,)."""
    m, k = x.shape
    return _product(x, w, m, w.shape[1], k, "nn", bias=bias, relu=activation == "relu")


def dense_grad_input(dy, w):
    """dy @ w.T: the gradient of dense in x; dy (M, N), w (K, N)."""
    m, n = dy.shape
    return _product(dy, w, m, w.shape[0], n, "nt")


def dense_grad_kernel(x, dy):
    """x.T @ dy: the gradient of dense in w; x (M, K), dy (M, N)."""
    m, k = x.shape
    return _product(x, dy, k, dy.shape[1], m, "tn")


def dense_grad_kernel_bias(x, dy):
    """(x.T @ dy, the sum of dy's rows): the gradients of dense in w and in its bias."""
    return dense_grad_kernel(x, dy), bias_grad(dy)


def matmul(a, b):
    """a @ b over the last two axes; the axes before them broadcast."""
    m, k = a.shape[-2:]
    n = b.shape[-1]
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    if math.prod(b.shape[:-2]) == 1:  # one matrix on the right: the left ones are one of more rows
        rows = math.prod(a.shape[:-1])
        return _product(a, b, rows, n, k, "nn").reshape(*lead, m, n)
    c = memory.empty((*lead, m, n), a.dtype)
    starts, batch, a_step, b_step = _runs(a.shape[:-2], b.shape[:-2], lead)
    for number, (a_first, b_first) in enumerate(starts):
        _into(
            c.view_at(number * batch * m * n, (batch, m, n)),
            a.view_at(a_first * m * k, (m, k)),
            b.view_at(b_first * k * n, (k, n)),
            m, n, k, "nn", batch, a_step, b_step,
        )  # fmt: skip
    return c


@functools.lru_cache(maxsize=1024)
def _runs(a_lead, b_lead, lead):
    """Runs of matrices with even distances: (where each starts in a and b, length, distances).

    Lengths and distances are numbers of matrices.
    """
    rank = len(lead)
    sizes = [(1,) * (rank - len(own)) + own for own in (a_lead, b_lead)]
    first = rank  # of the trailing axes over which both advance evenly
    length, steps = 1, (0, 0)
    while first > 0:
        whole = [size[first - 1] != 1 or lead[first - 1] == 1 for size in sizes]
        found = tuple(int(w) for w in whole)
        if lead[first - 1] != 1:
            if length > 1 and found != steps:
                break
            steps = found
        length *= lead[first - 1]
        first -= 1
    places = [
        np.arange(math.prod(size), dtype=np.int64).reshape(size)[(..., *[0] * (rank - first))]
        for size in sizes
    ]
    starts = np.stack([np.broadcast_to(p, lead[:first]).reshape(-1) for p in places], axis=1)
    return starts.tolist(), length, *steps


def _product(a, b, m, n, k, layout, bias=None, relu=False):
    """relu(a b + bias); "t" in the layout: that operand lies with its axes exchanged."""
    c = memory.empty((m, n), a.dtype)
    _into(c, a, b, m, n, k, layout, bias=bias, relu=relu)
    return c


def _into(c, a, b, m, n, k, layout, batch=1, a_step=0, b_step=0, bias=None, relu=False):
    """c = relu(a b + bias) for `batch` products; the steps are from matrix to matrix, or 0."""
    if not c.size:
        return
    a_step, b_step = a_step * m * k, b_step * k * n
    end = (BIAS if bias is not None else 0) | (RELU if relu else 0)
    bias = c if bias is None else bias
    if k == 0:
        launch(add_slabs, blocks_for(c.size), c, bias, c, c.size, n, c.size, 0, end)
        return
    if (a.code, b.code) not in (("f4", "f4"), ("f8", "f8")):
        raise NotImplementedError(unsupported("matmul", (a.code, b.code)))
    aligned = not (a.address | b.address) % 16
    kernel, blocks, slabs, length = plan_of(
        a.code, m, n, k, batch, layout, aligned, _tensor_cores, device.current().multiprocessors
    )
    whole = c if slabs == 1 else memory.empty((batch * slabs, m, n), a.dtype)
    flags = end if slabs == 1 else 0
    if not (n % 4 or whole.address % 16):
        flags |= ALIGNED_C
    most = _MOST_MATRICES // slabs
    for first in range(0, batch, most):
        count = min(most, batch - first)
        launch(
            kernel,
            (blocks, 1, count * slabs),
            a.view_at(first * a_step, (1,)) if first else a,
            b.view_at(first * b_step, (1,)) if first else b,
            bias,
            whole.view_at(first * slabs * m * n, (1,)) if first else whole,
            m, n, k, a_step, b_step, slabs, length, flags,
        )  # fmt: skip
    if slabs > 1:
        launch(add_slabs, blocks_for(c.size), whole, bias, c, c.size, n, m * n, slabs, end)


def bias_grad(dy):
    """Sum of dy over all axes but the last."""
    columns = dy.shape[-1]
    rows = math.prod(dy.shape[:-1])
    if rows == 0 or columns == 0:
        return memory.zeros((columns,), dy.dtype)
    width, slabs, height = _sums_plan(rows, columns, device.current().multiprocessors)
    sums = memory.empty((slabs, columns), dy.dtype)
    blocks = (blocks_for(columns, 1 << width), slabs)
    launch(SUMS_KERNELS[dy.code], blocks, dy, sums, rows, columns, height, width)
    return sums.reshape(-1) if slabs == 1 else bias_grad(sums)


@functools.lru_cache(maxsize=1024)
def _sums_plan(rows, columns, multiprocessors):
    """(log2 of columns in a block, slabs, rows in a slab) of a sum over rows."""
    width = min(5, (columns - 1).bit_length())
    at_once = 256 >> width  # rows that a block adds to side by side
    wanted = max(1, 4 * multiprocessors // blocks_for(columns, 1 << width))
    slabs = max(1, min(wanted, rows // (8 * at_once), _MOST_MATRICES))
    height = blocks_for(rows, slabs)
    return width, blocks_for(rows, height), height
