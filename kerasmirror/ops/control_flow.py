"""Branches, loops and maps over tensors: plain Python here, as everything runs eagerly.

With KerasTensors, functions run once on them for the shape of their results.
Source: Keras 3.15 `keras.ops`; `scan` and `associative_scan` after `jax.lax`.
"""

from __future__ import annotations

import builtins

from kerasmirror._export import export
from kerasmirror.core import tree
from kerasmirror.core.symbolic import KerasTensor, any_symbolic
from kerasmirror.ops import shapes
from kerasmirror.ops.numpy import indexing, joining, shape
from kerasmirror.ops.tensor import to_tensor


@export("ops.cond")
def cond(pred, true_fn, false_fn):
    """`true_fn()` if `pred` holds, else `false_fn()`.

    Raises: ValueError when `pred` is a KerasTensor and the two give different shapes or dtypes.
    """
    if not isinstance(pred, KerasTensor):
        return true_fn() if bool(to_tensor(pred)) else false_fn()
    results = true_fn(), false_fn()
    forms = [tree.map_structure(_form, result) for result in results]
    if forms[0] != forms[1]:
        raise ValueError(
            "keras.ops.cond: `true_fn` and `false_fn` must give results of one structure, shape "
            f"and dtype. Received: {forms[0]} and {forms[1]}"
        )
    return results[0]


def _form(x):
    return None if x is None else (tuple(x.shape), x.dtype)


@export("ops.switch")
def switch(index, branches, *operands):
    """`branches[index](*operands)`; an index outside is moved to the nearest end."""
    if isinstance(index, KerasTensor) or any_symbolic(operands):
        return branches[0](*operands)
    place = builtins.min(builtins.max(int(to_tensor(index)), 0), len(branches) - 1)
    return branches[place](*operands)


@export("ops.while_loop")
def while_loop(cond, body, loop_vars, maximum_iterations=None):
    """`loop_vars = body(*loop_vars)` as long as `cond(*loop_vars)` holds.

    A single variable passes, and comes back, as it is; lists and tuples are spread.
    """
    single = not isinstance(loop_vars, (list, tuple))
    kind = tuple if single else type(loop_vars)
    values = (loop_vars,) if single else tuple(loop_vars)
    if any_symbolic(values):
        fresh = [tree.map_structure(lambda v: KerasTensor(v.shape, v.dtype), v) for v in values]
        return fresh[0] if single else kind(fresh)
    values = tuple([tree.map_structure(to_tensor, value) for value in values])
    steps = 0
    while (maximum_iterations is None or steps < maximum_iterations) and bool(cond(*values)):
        result = body(*values)
        values = (result,) if not isinstance(result, (list, tuple)) else tuple(result)
        steps += 1
    return values[0] if single else kind(values)


@export("ops.fori_loop")
def fori_loop(lower, upper, body_fun, init_val):
    """`init_val = body_fun(i, init_val)` for i from `lower` up to, without, `upper`."""
    if any_symbolic((lower, upper, init_val)):
        return tree.map_structure(lambda v: KerasTensor(v.shape, v.dtype), init_val)
    value = init_val
    for i in range(int(to_tensor(lower)), int(to_tensor(upper))):
        value = body_fun(to_tensor(i), value)
    return value


def _length(xs, owner):
    leaves = tree.flatten(xs)
    sizes = {leaf.shape[0] if leaf.shape else -1 for leaf in leaves}
    if len(sizes) != 1 or -1 in sizes:
        raise ValueError(
            f"{owner}: all tensors must have one size along their first axis. "
            f"Received: shapes={[tuple(leaf.shape) for leaf in leaves]}"
        )
    return sizes.pop()


def _at(xs, i):
    return tree.map_structure(lambda x: indexing.get_item(x, i), xs)


def _stacked(results):
    return tree.map_structure(lambda *parts: joining.stack(parts), *results)


def _mapped(f, xs, owner):
    xs = tree.map_structure(to_tensor, xs)
    size = _length(xs, owner)
    if any_symbolic(xs):
        first = tree.map_structure(lambda x: KerasTensor(x.shape[1:], x.dtype), xs)
        return tree.map_structure(lambda y: KerasTensor((size, *y.shape), y.dtype), f(first))
    return _stacked([f(_at(xs, i)) for i in range(size)])


@export("ops.map")
def map(f, xs):
    """`f` of each part of `xs` along the first axis, the results stacked."""
    return _mapped(f, xs, "keras.ops.map")


@export("ops.vectorized_map")
def vectorized_map(function, elements):
    """`function` of each part of `elements` along the first axis, the results stacked."""
    return _mapped(function, elements, "keras.ops.vectorized_map")


@export("ops.scan")
def scan(f, init, xs=None, length=None, reverse=False, unroll=1):
    """`carry, y = f(carry, x)` for each part x of `xs` along the first axis.

    Returns: the last carry, and the ys stacked. Without `xs`, f gets None `length` times. With
    `reverse` it starts at the end. `unroll`, for compilers, changes nothing here.
    Raises: TypeError unless `f` is callable, ValueError for a bad `unroll` or no length.
    """
    if not callable(f):
        raise TypeError(f"keras.ops.scan: `f` should be a callable. Received: f={f}")
    if not isinstance(unroll, bool) and (not isinstance(unroll, int) or unroll < 1):
        raise ValueError(
            "keras.ops.scan: `unroll` must be an positive integer or boolean. "
            f"Received: unroll={unroll}"
        )
    if xs is None and length is None:
        raise ValueError(
            "keras.ops.scan: `xs` to scan over and `length` must not both be None. "
            "Received: xs=None, length=None"
        )
    if xs is not None:
        xs = tree.map_structure(to_tensor, xs)
        size = _length(xs, "keras.ops.scan")
        if length is not None and size is not None and int(length) != size:
            raise ValueError(
                "keras.ops.scan: `length` must be the size of the first axis of `xs`. "
                f"Received: length={length}, size={size}"
            )
    else:
        size = int(length)
    if any_symbolic((init, xs)):
        first = None
        if xs is not None:
            first = tree.map_structure(lambda x: KerasTensor(x.shape[1:], x.dtype), xs)
        carry, y = f(init, first)
        return carry, tree.map_structure(lambda p: KerasTensor((size, *p.shape), p.dtype), y)
    carry = tree.map_structure(to_tensor, init)
    results = [None] * size
    for i in reversed(range(size)) if reverse else range(size):
        carry, results[i] = f(carry, None if xs is None else _at(xs, i))
    return carry, (_stacked(results) if size and results[0] is not None else None)


@export("ops.associative_scan")
def associative_scan(f, elems, reverse=False, axis=0):
    """Along `axis`, `f` of all parts up to each place, for an associative `f` of two batches.

    Pairs are joined first, then pairs of pairs: f runs on 2 log2(n) batches instead of n parts.
    Source: https://en.wikipedia.org/wiki/Prefix_sum#Algorithm_2:_Work-efficient.
    """
    if not callable(f):
        raise TypeError(f"keras.ops.associative_scan: `f` must be callable. Received: f={f}")
    leaves = [to_tensor(leaf) for leaf in tree.flatten(elems)]
    axes = [shapes.canonical_axis(axis, len(x.shape), "keras.ops.associative_scan") for x in leaves]
    sizes = {x.shape[a] for x, a in zip(leaves, axes, strict=True)}
    if len(sizes - {None}) > 1:
        raise ValueError(
            "keras.ops.associative_scan: all tensors must have one size along `axis`, which is "
            "their first dimension by default. "
            f"Received: shapes={[tuple(x.shape) for x in leaves]}, axis={axis}"
        )

    def combine(a, b):
        first, second = (tree.pack_sequence_as(elems, side) for side in (a, b))
        return tree.flatten(f(first, second))

    if None in sizes:
        combined = combine(leaves, leaves)
        return tree.pack_sequence_as(elems, [KerasTensor(y.shape, y.dtype) for y in combined])
    if reverse:
        leaves = [shape.flip(x, a) for x, a in zip(leaves, axes, strict=True)]
    leaves = _prefixes(combine, leaves, axes)
    if reverse:
        leaves = [shape.flip(x, a) for x, a in zip(leaves, axes, strict=True)]
    return tree.pack_sequence_as(elems, leaves)


def _prefixes(combine, leaves, axes):
    def cut(parts, *bounds):
        key = slice(*bounds)
        pairs = zip(parts, axes, strict=True)
        return [indexing.get_item(x, (slice(None),) * a + (key,)) for x, a in pairs]

    size = leaves[0].shape[axes[0]]
    if size < 2:
        return leaves
    odd = _prefixes(combine, combine(cut(leaves, 0, size - 1, 2), cut(leaves, 1, None, 2)), axes)
    before = cut(odd, 0, -1) if size % 2 == 0 else odd
    even = cut(leaves, 0, 1)
    if size > 2:
        later = combine(before, cut(leaves, 2, None, 2))
        pairs = zip(even, later, axes, strict=True)
        even = [joining.concatenate([first, rest], a) for first, rest, a in pairs]
    return [_interleaved(e, o, a) for e, o, a in zip(even, odd, axes, strict=True)]


def _interleaved(even, odd, axis):
    """even[0], odd[0], even[1], odd[1], ... along `axis`."""
    count = odd.shape[axis]
    front = (slice(None),) * axis
    pairs = joining.stack([indexing.get_item(even, (*front, slice(0, count))), odd], axis + 1)
    merged = shape.reshape(pairs, (*odd.shape[:axis], 2 * count, *odd.shape[axis + 1 :]))
    if even.shape[axis] == count:
        return merged
    return joining.concatenate(
        [merged, indexing.get_item(even, (*front, slice(count, None)))], axis
    )
