"""Scaled dot-product attention.

Letters: B batch, T queries, S keys, N heads of the queries, K heads of keys and values, H values
a head; q, k, v the three inputs, p the attention weights.
"""

from __future__ import annotations

import math

import numpy as np

from kerasmirror._export import export
from kerasmirror.autodiff.broadcasting import sum_to_shape
from kerasmirror.autodiff.primitive import primitive
from kerasmirror.core import dtypes
from kerasmirror.core.symbolic import KerasTensor
from kerasmirror.ops.nn.precision import narrowed, widened
from kerasmirror.ops.tensor import float_tensor, to_tensor

# What a masked logit becomes, as in Keras: not -inf, so that a row masked as a whole is uniform.
_MASKED = -0.7 * 3.38953e38


@export("ops.dot_product_attention", "ops.nn.dot_product_attention")
def dot_product_attention(
    query,
    key,
    value,
    bias=None,
    mask=None,
    scale=None,
    is_causal=False,
    flash_attention=None,
    attn_logits_soft_cap=None,
):
    """`softmax(scale * query @ key^T + bias) @ value` for each head; masked weights are 0.

    Shapes: query (B, T, N, H), key and value (B, S, K, H) with K dividing N, each head of theirs
    for N / K of the query's; bias and mask broadcast to (B, N, T, S); result (B, T, N, H).
    Args: mask is True where a query may look; `is_causal` lets query t see keys up to t alone;
    scale is 1 / sqrt(H) unless given.
    Raises: ValueError for other shapes, and for flash attention or a soft cap, which Keras has on
    other backends only.
    Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, Equation 1; Ainslie et al. 2023,
    https://arxiv.org/abs/2305.13245 (grouped heads); Keras 3.15 on TensorFlow.
    """
    owner = "ops.dot_product_attention"
    if flash_attention:
        raise ValueError(f"{owner}: `flash_attention` must be None or False: not supported.")
    if attn_logits_soft_cap is not None:
        raise ValueError(f"{owner}: `attn_logits_soft_cap` must be None: not supported.")
    parts = [float_tensor(part) for part in (query, key, value)]
    dtype = dtypes.result_type(*[part.dtype for part in parts])
    query, key, value = (to_tensor(part, dtype) for part in parts)
    _check_shapes(query, key, value, owner)
    bias = None if bias is None else to_tensor(bias, dtype)
    if mask is not None:
        mask = to_tensor(mask, "bool")
        mask = None if isinstance(mask, KerasTensor) else mask.data
    size = query.shape[-1]
    scale = 1 / math.sqrt(size) if scale is None else float(scale)
    return _attention(query, key, value, bias, mask=mask, scale=scale, causal=bool(is_causal))


def _check_shapes(query, key, value, owner):
    given = [tuple(part.shape) for part in (query, key, value)]
    good = all(len(shape) == 4 for shape in given)
    if good:
        (b, _, n, h), (kb, s, kn, kh), (vb, vs, vn, _) = given
        pairs = ((b, kb), (b, vb), (h, kh), (s, vs), (kn, vn))
        good = all(x is None or y is None or x == y for x, y in pairs)
        good = good and (n is None or kn is None or n % kn == 0)
    if not good:
        raise ValueError(
            f"{owner}: `query` must have shape (B, T, N, H), `key` and `value` (B, S, K, H) with K "
            f"dividing N. Received: query.shape={given[0]}, key.shape={given[1]}, "
            f"value.shape={given[2]}"
        )


def _attention_spec(q, key, v, bias, *, mask, scale, causal):
    return (*q.shape[:3], v.shape[-1]), q.dtype


def _heads_first(k, x, heads):
    """(B, L, K, H) as (B, heads, L, H), each head repeated heads / K times."""
    x = k.transpose(x, (0, 2, 1, 3))
    return x if x.shape[1] == heads else k.repeat(x, heads // x.shape[1], 1)


def _heads_back(k, dx, heads):
    """The gradient's way back: heads that were repeated add up."""
    if dx.shape[1] != heads:
        batch, repeated, *rest = dx.shape
        dx = k.sum(dx.reshape(batch, heads, repeated // heads, *rest), 2)
    return k.transpose(dx, (0, 2, 1, 3))


def _allowed(mask, shape, causal):
    """Where a query may look, broadcastable to (B, N, T, S), or None for everywhere."""
    if causal:
        lower = np.tri(*shape[-2:], dtype=bool)
        mask = lower if mask is None else mask & lower
    return mask


@primitive("dot_product_attention", spec=_attention_spec)
def _attention(k, q, key, v, bias, *, mask, scale, causal):
    given = [part if part is None else part.dtype for part in (q, key, v, bias)]
    kv_heads, heads = key.shape[2], q.shape[2]
    q, key, v, bias = widened(q, key, v, bias)
    scale = q.dtype.type(scale)
    q, key, v = (_heads_first(k, part, heads) for part in (q, key, v))
    logits = k.matmul(q, key.swapaxes(-1, -2)) * scale
    if bias is not None:
        logits = logits + bias
    allowed = _allowed(mask, logits.shape, causal)
    if allowed is not None:
        logits = np.where(allowed, logits, q.dtype.type(_MASKED))
    p = k.softmax(logits)

    def backward(dy, needs):
        dy = k.transpose(*widened(dy), (0, 2, 1, 3))
        dq = dkey = dv = dbias = None
        if needs[2]:
            dv = narrowed(_heads_back(k, k.matmul(p.swapaxes(-1, -2), dy), kv_heads), given[2])
        if needs[0] or needs[1] or needs[3]:
            dlogits = k.softmax_grad(k.matmul(dy, v.swapaxes(-1, -2)), p)
            if allowed is not None:
                dlogits = np.where(allowed, dlogits, dlogits.dtype.type(0))
            if needs[3]:
                dbias = narrowed(sum_to_shape(k, dlogits, bias.shape), given[3])
            dlogits = dlogits * scale
        if needs[0]:
            dq = narrowed(_heads_back(k, k.matmul(dlogits, key), heads), given[0])
        if needs[1]:
            dkey = k.matmul(dlogits.swapaxes(-1, -2), q)
            dkey = narrowed(_heads_back(k, dkey, kv_heads), given[1])
        return dq, dkey, dv, dbias

    y = k.transpose(k.matmul(p, v), (0, 2, 1, 3))
    return narrowed(y, given[0]), backward


@_attention.forward
def _attention_tangent(k, inputs, changes, y, *, mask, scale, causal):
    # y = p v with p = softmax(l), l = scale q key' + bias: dy = dp v + p dv, dp = softmax'(l) dl
    heads = inputs[0].shape[2]
    q, key, v, bias = widened(*inputs)
    dq, dkey, dv, dbias = widened(*changes)
    q, key, v, dq, dkey, dv = (
        None if part is None else _heads_first(k, part, heads) for part in (q, key, v, dq, dkey, dv)
    )
    logits = k.matmul(q, key.swapaxes(-1, -2)) * q.dtype.type(scale)
    if bias is not None:
        logits = logits + bias
    allowed = _allowed(mask, logits.shape, causal)
    if allowed is not None:
        logits = np.where(allowed, logits, q.dtype.type(_MASKED))
    p = k.softmax(logits)
    dlogits = np.zeros_like(logits)
    if dq is not None:
        dlogits += k.matmul(dq, key.swapaxes(-1, -2)) * q.dtype.type(scale)
    if dkey is not None:
        dlogits += k.matmul(q, dkey.swapaxes(-1, -2)) * q.dtype.type(scale)
    if dbias is not None:
        dlogits += dbias
    if allowed is not None:
        dlogits = np.where(allowed, dlogits, dlogits.dtype.type(0))
    dy = k.matmul(k.softmax_grad(dlogits, p), v)
    if dv is not None:
        dy += k.matmul(p, dv)
    return k.transpose(dy, (0, 2, 1, 3))
