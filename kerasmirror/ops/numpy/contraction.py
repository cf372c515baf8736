"""Products summed over axes: matmul, dot, tensordot, einsum and their kin.

All of them become one matrix product over batches, with axes merged and reordered around it.
Source: Keras 3.15 `keras.ops.numpy`.
"""

from __future__ import annotations

import functools

import numpy as np

from kerasmirror._export import export
from kerasmirror.autodiff import tangents
from kerasmirror.autodiff.broadcasting import sum_to_shape
from kerasmirror.autodiff.primitive import primitive
from kerasmirror.core import dtypes
from kerasmirror.core.tensor import Tensor
from kerasmirror.ops import shapes
from kerasmirror.ops.numpy import elementwise, indexing, joining, reduction, shape
from kerasmirror.ops.tensor import is_complex, operands, strong_operands, to_tensor

# --- matmul ---------------------------------------------------------------------------------


def _product(k, a, b):
    """a @ b for float arrays of at least two axes; halves are multiplied as float32."""
    if a.dtype.kind == "c" or b.dtype.kind == "c":
        return np.matmul(a, b)
    if a.dtype.itemsize < 4:
        wide = k.matmul(k.cast(a, "float32"), k.cast(b, "float32"))
        return k.cast(wide, a.dtype)
    if b.ndim == 2 and a.ndim > 2:
        rows = k.matmul(a.reshape(-1, a.shape[-1]), b)
        return rows.reshape(*a.shape[:-1], b.shape[1])
    return k.matmul(a, b)


def _turned(x):
    return x.swapaxes(-1, -2)


@primitive(
    "matmul",
    spec=lambda x1, x2: (shapes.matmul(x1.shape, x2.shape), x1.dtype),
    tangent=tangents.multilinear,
)
def _matmul(k, x1, x2):
    if x1.shape[-1] != x2.shape[-2] or x1.ndim > 2 < x2.ndim:
        shapes.matmul(x1.shape, x2.shape)

    def backward(dy, needs):
        # y = x w: dx = dy w', dw = x' dy
        dx1 = dx2 = None
        if needs[0]:
            dx1 = sum_to_shape(k, _product(k, dy, _turned(x2)), x1.shape)
        if needs[1] and x2.ndim == 2:
            rows = x1.reshape(-1, x1.shape[-1])
            dx2 = _product(k, _turned(rows), dy.reshape(-1, dy.shape[-1]))
        elif needs[1]:
            dx2 = sum_to_shape(k, _product(k, _turned(x1), dy), x2.shape)
        return dx1, dx2

    return _product(k, x1, x2), backward


def _computed_as_floats(x1, x2):
    """Both as floats, and the dtype of the result: whole numbers are multiplied as floats."""
    x1, x2 = to_tensor(x1), to_tensor(x2)
    if x1.dtype == x2.dtype and is_complex(x1):
        return x1, x2, x1.dtype
    result = dtypes.result_type(x1.dtype, x2.dtype)
    compute = dtypes.result_type(result, float)
    if compute != result:
        compute = "float64"  # holds whole numbers to 2^53, so that they come back exactly
    return to_tensor(x1, compute), to_tensor(x2, compute), result


@export("ops.matmul", "ops.numpy.matmul")
def matmul(x1, x2):
    """`x1 @ x2`: the matrix product over the last two axes; the axes before them broadcast.

    An operand with one axis is a row on the left, a column on the right; two int8 operands give
    int32. Raises: ValueError when the contracted axes differ.
    """
    if not (
        type(x1) is Tensor
        and type(x2) is Tensor
        and x1.data.dtype is x2.data.dtype
        and x1.data.dtype.kind == "f"
    ):
        x1, x2 = to_tensor(x1), to_tensor(x2)
        narrow = x1.dtype == x2.dtype == "int8" and len(x1.shape) > 1 < len(x2.shape)
        x1, x2, result = _computed_as_floats(x1, x2)
        return to_tensor(_vectors_too(x1, x2), "int32" if narrow else result)
    return _vectors_too(x1, x2)


def _vectors_too(x1, x2):
    rank1, rank2 = len(x1.shape), len(x2.shape)
    if rank1 > 1 < rank2:
        return _matmul(x1, x2)
    shapes.matmul(x1.shape, x2.shape)
    y = _matmul(
        shape.expand_dims(x1, 0) if rank1 == 1 else x1,
        shape.expand_dims(x2, 1) if rank2 == 1 else x2,
    )
    dropped = [axis for axis, rank in ((-2, rank1), (-1, rank2)) if rank == 1]
    return shape.squeeze(y, dropped)


# --- products over chosen axes --------------------------------------------------------------


def _contract(x1, x2, axes1, axes2):
    """Sum of products over pairs of axes; the other axes of `x1` come first, then those of `x2`."""
    free1 = [axis for axis in range(len(x1.shape)) if axis not in axes1]
    free2 = [axis for axis in range(len(x2.shape)) if axis not in axes2]
    for a, b in zip(axes1, axes2, strict=True):
        if None not in (x1.shape[a], x2.shape[b]) and x1.shape[a] != x2.shape[b]:
            raise ValueError(
                "keras.ops.tensordot: contracted axes must have one size. Received: "
                f"x1.shape={x1.shape}, x2.shape={x2.shape}, axes={(list(axes1), list(axes2))}"
            )
    return _apply_plan(x1, x2, (), free1, axes1, free2, axes2)


def _merged(x, groups):
    """`x` with its axes in the order of `groups`, each group made one axis."""
    order = tuple([axis for group in groups for axis in group])
    if order != tuple(range(len(order))):
        x = shape.transpose(x, order)
    sizes, unknown = [], 0
    start = 0
    for group in groups:
        size = shapes.size_of(x.shape[start : start + len(group)])
        unknown += size is None
        sizes.append(size)
        start += len(group)
    if unknown > 1:
        # Only symbolic inputs come here: their shape is all there is.
        return _regroup(x, groups=tuple(map(len, groups)))
    if all(len(group) == 1 for group in groups):
        return x
    return shape.reshape(x, sizes)


def _regroup_spec(x, *, groups):
    sizes, start = [], 0
    for count in groups:
        sizes.append(shapes.size_of(x.shape[start : start + count]))
        start += count
    return tuple(sizes), x.dtype


@primitive("regroup", spec=_regroup_spec, tangent=tangents.linear)
def _regroup(k, x, *, groups):
    before = x.shape
    after, _ = _regroup_spec(x, groups=groups)
    return x.reshape(after), lambda dy, needs: (dy.reshape(before),)


@primitive(
    "split_axes",
    spec=lambda y, x1, x2, *, sources: (_gathered(x1, x2, sources), y.dtype),
    tangent=tangents.linear_in(0),
)
def _split_axes(k, y, x1, x2, *, sources):
    # Takes x1 and x2 for their shapes alone, so that unknown sizes are found at run time.
    before = y.shape
    form = _gathered(x1, x2, sources)
    return y.reshape(form), lambda dy, needs: (dy.reshape(before), None, None)


def _gathered(x1, x2, sources):
    return tuple([(x1, x2)[which].shape[axis] for which, axis in sources])


def _apply_plan(x1, x2, batch, free1, axes1, free2, axes2):
    """Batched matrix product of merged axes; `batch` holds pairs of axes."""
    shared = [([a for a, _ in batch], [b for _, b in batch])] if batch else []
    left = _merged(x1, (*[first for first, _ in shared], free1, axes1))
    right = _merged(x2, (*[second for _, second in shared], axes2, free2))
    y = _matmul(left, right)
    sources = (
        *[(0, a) for a, _ in batch],
        *[(0, axis) for axis in free1],
        *[(1, axis) for axis in free2],
    )
    form = _gathered(x1, x2, sources)
    if form.count(None) <= 1:
        return shape.reshape(y, form) if form != y.shape else y
    return _split_axes(y, x1, x2, sources=sources)


@export("ops.tensordot", "ops.numpy.tensordot")
def tensordot(x1, x2, axes=2):
    """Sum of products over axes: the last `axes` of `x1` with the first of `x2`, or listed pairs.

    `axes` is an int, or (axes of x1, axes of x2). Raises: ValueError when their sizes differ.
    """
    x1, x2, result = _computed_as_floats(x1, x2)
    rank1, rank2 = len(x1.shape), len(x2.shape)
    if isinstance(axes, int):
        if not 0 <= axes <= min(rank1, rank2):
            raise ValueError(
                "keras.ops.tensordot: `axes` must not exceed the operands' axes. "
                f"Received: axes={axes}, x1.shape={x1.shape}, x2.shape={x2.shape}"
            )
        axes1, axes2 = tuple(range(rank1 - axes, rank1)), tuple(range(axes))
    else:
        axes1, axes2 = [tuple(a) if isinstance(a, (list, tuple)) else (int(a),) for a in axes]
        axes1 = shapes.canonical_axes(axes1, rank1, "keras.ops.tensordot", "axes")
        axes2 = shapes.canonical_axes(axes2, rank2, "keras.ops.tensordot", "axes")
        if len(axes1) != len(axes2):
            raise ValueError(
                "keras.ops.tensordot: `axes` must name as many axes of both operands. "
                f"Received: axes={axes}"
            )
    return to_tensor(_contract(x1, x2, axes1, axes2), result)


@export("ops.dot", "ops.numpy.dot")
def dot(x1, x2):
    """Sum of products over the last axis of `x1` and the last but one (or only) of `x2`."""
    x1, x2, result = _computed_as_floats(x1, x2)
    rank1, rank2 = len(x1.shape), len(x2.shape)
    if not rank1 or not rank2:
        return to_tensor(elementwise.multiply(x1, x2), result)
    axis = rank2 - 2 if rank2 > 1 else 0
    return to_tensor(_contract(x1, x2, (rank1 - 1,), (axis,)), result)


@export("ops.inner", "ops.numpy.inner")
def inner(x1, x2):
    """Sum of products over the last axes of both."""
    x1, x2, result = _computed_as_floats(x1, x2)
    rank1, rank2 = len(x1.shape), len(x2.shape)
    if not rank1 or not rank2:
        return to_tensor(elementwise.multiply(x1, x2), result)
    if None not in (x1.shape[-1], x2.shape[-1]) and x1.shape[-1] != x2.shape[-1]:
        raise ValueError(
            "keras.ops.inner: the last dimension of both operands must have one size. "
            f"Received: x1.shape={tuple(x1.shape)}, x2.shape={tuple(x2.shape)}"
        )
    return to_tensor(_contract(x1, x2, (rank1 - 1,), (rank2 - 1,)), result)


@export("ops.vdot", "ops.numpy.vdot")
def vdot(x1, x2):
    """Sum of all products of the flat operands."""
    return inner(shape.ravel(x1), shape.ravel(x2))


@export("ops.outer", "ops.numpy.outer")
def outer(x1, x2):
    """All products of a value of the flat `x1` (rows) and one of the flat `x2` (columns)."""
    x1, x2 = strong_operands(x1, x2)
    return elementwise.multiply(shape.reshape(x1, (-1, 1)), shape.ravel(x2))


@export("ops.kron", "ops.numpy.kron")
def kron(x1, x2):
    """The Kronecker product: each value of `x1` times the whole of `x2`, as blocks."""
    x1, x2 = operands(x1, x2)
    rank = max(len(x1.shape), len(x2.shape))
    x1 = shape.expand_dims(x1, tuple(range(rank - len(x1.shape))))
    x2 = shape.expand_dims(x2, tuple(range(rank - len(x2.shape))))
    blocks = elementwise.multiply(
        shape.expand_dims(x1, tuple(range(1, 2 * rank, 2))),
        shape.expand_dims(x2, tuple(range(0, 2 * rank, 2))),
    )
    return _regroup(blocks, groups=(2,) * rank)


@export("ops.cross", "ops.numpy.cross")
def cross(x1, x2, axisa=-1, axisb=-1, axisc=-1, axis=None):
    """The vector product of vectors of 2 or 3 elements; of two plane vectors, its third element.

    `axisa`, `axisb` and `axisc` say where the vectors stand in `x1`, `x2` and the result, `axis`
    all of them at once.
    """
    if axis is not None:
        axisa = axisb = axisc = axis
    x1, x2 = operands(x1, x2)
    x1, x2 = shape.moveaxis(x1, axisa, -1), shape.moveaxis(x2, axisb, -1)
    sizes = x1.shape[-1], x2.shape[-1]
    if not all(n in (2, 3) for n in sizes):
        raise ValueError(
            "keras.ops.cross: vectors must have 2 or 3 elements. "
            f"Received: x1.shape={x1.shape}, x2.shape={x2.shape}"
        )
    a = [x1[..., i] for i in range(sizes[0])] + [None] * (3 - sizes[0])
    b = [x2[..., i] for i in range(sizes[1])] + [None] * (3 - sizes[1])

    def minor(i, j):
        # a_i b_j - a_j b_i, where a missing element is 0
        plus = None if a[i] is None or b[j] is None else elementwise.multiply(a[i], b[j])
        minus = None if a[j] is None or b[i] is None else elementwise.multiply(a[j], b[i])
        if plus is None:
            return elementwise.negative(minus)
        return plus if minus is None else elementwise.subtract(plus, minus)

    if sizes == (2, 2):
        return minor(0, 1)
    parts = [minor(1, 2), minor(2, 0), minor(0, 1)]
    return shape.moveaxis(_stacked_last(parts), -1, axisc)


def _stacked_last(parts):
    from_parts = [shape.expand_dims(part, -1) for part in parts]
    return joining.concatenate(from_parts, axis=-1)


@export("ops.trace", "ops.numpy.trace")
def trace(x, offset=0, axis1=0, axis2=1):
    """The sum of the diagonal `offset` places above the main one of the matrices over two axes."""
    return reduction.sum(indexing.diagonal(reduction.widened(x), offset, axis1, axis2), -1)


# --- einsum ---------------------------------------------------------------------------------


@export("ops.einsum", "ops.numpy.einsum")
def einsum(subscripts, *operands, **kwargs):
    """Einstein's sum: products of the operands' elements, summed over letters not in the result.

    `subscripts` is "ij,jk->ik"; "..." stands for the axes that are not named, which broadcast.
    Operands are taken from left to right, two at a time. Raises: ValueError for subscripts that
    do not fit the operands.
    """
    if kwargs:
        raise ValueError(f"keras.ops.einsum: unknown arguments. Received: {sorted(kwargs)}")
    if not operands:
        raise ValueError("keras.ops.einsum: at least one operand must be given.")
    tensors = [to_tensor(x) for x in operands]
    result = dtypes.result_type(*[x.dtype for x in tensors])
    if result == "int8" and all(x.dtype == "int8" for x in tensors):
        result = "int32"
    compute = result if dtypes.is_float_dtype(result) or "complex" in result else "float64"
    tensors = [to_tensor(x, compute) for x in tensors]
    inputs, output = _parsed(subscripts, tuple([len(x.shape) for x in tensors]))
    current, letters = _prepared(tensors[0], inputs[0], set("".join(inputs[1:])) | set(output))
    for position in range(1, len(tensors)):
        wanted = set("".join(inputs[position + 1 :])) | set(output)
        other, names = _prepared(tensors[position], inputs[position], set(letters) | wanted)
        current, letters = _summed_alone(current, letters, set(names) | wanted)
        current, letters = _pair(current, letters, other, names, wanted, output)
    current, letters = _summed_alone(current, letters, set(output))
    if letters != output:
        current = shape.transpose(current, [letters.index(letter) for letter in output])
    return to_tensor(current, result)


@functools.lru_cache(maxsize=512)
def _parsed(subscripts, ranks):
    """Letters of each operand and of the result; "..." becomes capital letters of its own."""
    text = subscripts.replace(" ", "")
    left, arrow, output = text.partition("->")
    inputs = left.split(",")
    fits = len(inputs) == len(ranks)
    free = [c for c in "ZYXWVUTSRQPONMLKJIHGFEDCBAzyxwvutsrqponmlkjihgfedcba" if c not in text]
    named, longest = [], 0
    for letters, rank in zip(inputs, ranks, strict=False):
        hidden = rank - len(letters.replace("...", ""))
        fits &= hidden == 0 if "..." not in letters else hidden >= 0
        longest = max(longest, hidden) if "..." in letters else longest
        # Hidden axes are aligned at their ends, as in broadcasting.
        names = "".join(reversed(free[: max(hidden, 0)]))
        named.append(letters.replace("...", names))
    hidden_names = "".join(reversed(free[:longest]))
    if arrow:
        output = output.replace("...", hidden_names)
    else:
        counted = "".join(named)
        alone = sorted({c for c in counted if counted.count(c) == 1 and c not in hidden_names})
        output = hidden_names + "".join(alone)
    fits &= all(c.isalpha() for c in "".join(named) + output)
    fits &= set(output) <= set("".join(named)) and len(set(output)) == len(output)
    if not fits:
        raise ValueError(
            "keras.ops.einsum: `subscripts` must name each axis of each operand. "
            f"Received: subscripts={subscripts!r}, operands with {ranks} axes"
        )
    return tuple(named), output


def _prepared(x, letters, wanted):
    """Letters that stand twice become diagonals; letters nobody else wants are summed."""
    for letter in sorted(set(letters)):
        while letters.count(letter) > 1:
            first = letters.index(letter)
            second = letters.index(letter, first + 1)
            x = indexing.diagonal(x, 0, first, second)
            rest = letters[:first] + letters[first + 1 : second] + letters[second + 1 :]
            letters = rest + letter
    return _summed_alone(x, letters, wanted)


def _summed_alone(x, letters, wanted):
    axes = tuple([i for i, letter in enumerate(letters) if letter not in wanted])
    if not axes:
        return x, letters
    return reduction.sum(x, axes), "".join(c for c in letters if c in wanted)


def _pair(x1, names1, x2, names2, wanted, output):
    """One matrix product of two operands whose letters are all wanted or shared."""
    x1, names1, x2, names2 = _without_ones(x1, names1, x2, names2)
    both = [c for c in names1 if c in names2]
    batch = [c for c in both if c in wanted]
    summed = [c for c in both if c not in wanted]
    free1 = [c for c in names1 if c not in names2]
    free2 = [c for c in names2 if c not in names1]
    _check_sizes(x1, names1, x2, names2, both)
    y = _apply_plan(
        x1,
        x2,
        [(names1.index(c), names2.index(c)) for c in batch],
        [names1.index(c) for c in free1],
        [names1.index(c) for c in summed],
        [names2.index(c) for c in free2],
        [names2.index(c) for c in summed],
    )
    return y, "".join(batch + free1 + free2)


def _without_ones(x1, names1, x2, names2):
    """A shared axis of size 1 broadcasts: it goes, so that the other operand's size counts."""
    for letter in [c for c in names1 if c in names2]:
        first, second = names1.index(letter), names2.index(letter)
        if x1.shape[first] == 1 and x2.shape[second] != 1:
            x1, names1 = shape.squeeze(x1, first), names1.replace(letter, "")
        elif x2.shape[second] == 1 and x1.shape[first] != 1:
            x2, names2 = shape.squeeze(x2, second), names2.replace(letter, "")
    return x1, names1, x2, names2


def _check_sizes(x1, names1, x2, names2, both):
    for letter in both:
        sizes = x1.shape[names1.index(letter)], x2.shape[names2.index(letter)]
        if None not in sizes and sizes[0] != sizes[1]:
            raise ValueError(
                f"keras.ops.einsum: axis {letter!r} must have one size. Received: {sizes[0]} and "
                f"{sizes[1]} in operands of shapes {x1.shape} and {x2.shape}"
            )
