"""Cases of keras.ops.numpy, math and linalg: user code over `ops`, with the arrays it takes.

One record feeds all tests: values against NumPy (`numpy`: NumPy has the same functions), values,
dtypes and gradients against Keras on TensorFlow, gradients against finite differences (`grad`),
and the shape rule against the result.
"""

import zlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Case(NamedTuple):
    name: str
    run: Callable
    arrays: tuple
    numpy: bool = False
    grad: bool = True
    keras: bool = True  # False: Keras on TensorFlow fails here, or differs on purpose (see `why`)
    symbolic: bool = True  # False: the shape of the result depends on values
    keras_grad: bool = True  # False: TensorFlow has no gradient here
    why: str = ""


CASES = []


def case(name, run, *arrays, **flags):
    CASES.append(Case(name, run, arrays, **flags))


def draw(*shape, low=None, high=None, name="x"):
    """Reproducible float32 values: normal, or uniform between two bounds."""
    rng = np.random.default_rng(zlib.crc32(repr((shape, low, high, name)).encode()))
    values = rng.standard_normal(shape) if low is None else rng.uniform(low, high, shape)
    return values.astype("float32")


X, Y = draw(2, 3, 4), draw(2, 3, 4, name="y")
POSITIVE = draw(2, 3, 4, low=0.3, high=2.0)
MATRIX, SQUARE, VECTOR = draw(3, 4), draw(3, 3), draw(4)
NAN = X.copy()
NAN[0, 1, 2] = NAN[1, 0, 0] = np.nan
TIES = np.array([[1, 3, 3, 2], [5, 5, 5, 0], [-1, -1, -2, -1]], "float32")
WHOLE = np.array([[7, -3, 4], [2, 9, -6]], "int32")

# --- elementwise ----------------------------------------------------------------------------

INPUTS = {
    "arccosh": draw(2, 3, 4, low=1.2, high=3.0),
    **dict.fromkeys(("arcsin", "arccos", "arctanh", "erfinv"), draw(2, 3, 4, low=-0.9, high=0.9)),
    **dict.fromkeys(("sqrt", "rsqrt", "log", "log2", "log10", "log1p", "reciprocal"), POSITIVE),
}
IN_NUMPY = (
    "negative absolute abs fabs square sqrt exp exp2 expm1 log log2 log10 log1p sin cos tan arcsin "
    "arccos arctan sinh cosh tanh arcsinh arccosh arctanh reciprocal cbrt sinc deg2rad rad2deg i0 "
    "sign angle real conj conjugate"
).split()
for _name in IN_NUMPY:
    case(_name, lambda ops, x, n=_name: getattr(ops, n)(x), INPUTS.get(_name, X), numpy=True)
for _name in ("rsqrt", "erf", "erfc", "erfinv"):
    case(_name, lambda ops, x, n=_name: getattr(ops, n)(x), INPUTS.get(_name, X))
for (
    _name
) in "floor ceil trunc round isnan isinf isfinite isposinf isneginf signbit logical_not".split():
    _values = np.array([-2.5, -1.5, -0.0, 0.0, 0.5, 1.5, 2.7, np.inf, -np.inf], "float32")
    case(_name, lambda ops, x, n=_name: getattr(ops, n)(x), _values, numpy=True, grad=False)
case("round-decimals", lambda ops, x: ops.round(x, 1), X, numpy=True, grad=False)
case("sign-zero", lambda ops, x: ops.sign(x), np.float32([-2, -0.0, 0, 3]), numpy=True, grad=False)
case("absolute-zero", lambda ops, x: ops.absolute(x), np.float32([-2, 0, 3]), grad=False)

for (
    _name
) in "add subtract multiply divide true_divide maximum minimum arctan2 hypot logaddexp".split():
    case(_name, lambda ops, x, y, n=_name: getattr(ops, n)(x, y), X, Y, numpy=True)
    case(
        f"{_name}-broadcast",
        lambda ops, x, y, n=_name: getattr(ops, n)(x, y),
        draw(3, 1),
        draw(2, 1, 4),
        numpy=True,
    )
case("logaddexp2", lambda ops, x, y: ops.logaddexp2(x, y), X, Y, numpy=True)
case("power", lambda ops, x, y: ops.power(x, y), POSITIVE, Y, numpy=True)
case("power-whole", lambda ops, x: ops.power(x, 3.0), X, numpy=True)
case("power-two", lambda ops, x: ops.power(x, 2), X, numpy=True)
case("power-of-zero", lambda ops, x: ops.power(x, 2.0), np.float32([0, -1, 2]), grad=False)
case("mod", lambda ops, x, y: ops.mod(x, y), X, POSITIVE, numpy=True)
case("fmod", lambda ops, x, y: ops.fmod(x, y), X, POSITIVE, numpy=True)
case("floor_divide", lambda ops, x, y: ops.floor_divide(x, y), X, POSITIVE, numpy=True, grad=False)
case("floor_divide-int", lambda ops, x: ops.floor_divide(x, 4), WHOLE, numpy=True, grad=False)
case("mod-int", lambda ops, x: ops.mod(x, 4), WHOLE, numpy=True, grad=False)
case("fmax", lambda ops, x, y: ops.fmax(x, y), NAN, Y, numpy=True, grad=False)
case("fmin", lambda ops, x, y: ops.fmin(x, y), NAN, Y, numpy=True, grad=False)
case(
    "divide_no_nan",
    lambda ops, x, y: ops.divide_no_nan(x, y),
    X,
    np.float32([0, 1, 0, 2]),
    grad=False,
)
case(
    "heaviside",
    lambda ops, x, y: ops.heaviside(x, y),
    np.float32([-1, 0, 2]),
    draw(3),
    grad=False,
    numpy=True,
)
case("ldexp", lambda ops, x, n: ops.ldexp(x, n), X, np.int32([0, 1, -2, 3]), numpy=True)
case("nextafter", lambda ops, x, y: ops.nextafter(x, y), X, Y, grad=False)
case("maximum-ties", lambda ops, x, y: ops.maximum(x, y), TIES, TIES.copy(), grad=False)
case("minimum-ties", lambda ops, x, y: ops.minimum(x, y), TIES, TIES.copy(), grad=False)
case("clip", lambda ops, x: ops.clip(x, -0.5, 0.7), X, numpy=True)
case("clip-ends", lambda ops, x: ops.clip(x, 1, 3), TIES, numpy=True, grad=False)
case("clip-int", lambda ops, x: ops.clip(x, -2, 5), WHOLE, numpy=True, grad=False)
case(
    "nan_to_num",
    lambda ops, x: ops.nan_to_num(x),
    np.float32([1, np.nan, np.inf, -np.inf]),
    numpy=True,
    grad=False,
)
case(
    "nan_to_num-values",
    lambda ops, x: ops.nan_to_num(x, nan=1.0, posinf=2.0, neginf=3.0),
    np.float32([1, np.nan, np.inf, -np.inf]),
    numpy=True,
    grad=False,
)
case("where", lambda ops, c, x, y: ops.where(c, x, y), X > 0, X, Y, numpy=True)
case("where-scalar", lambda ops, c, x: ops.where(c, x, 0.0), X > 0, X, numpy=True)
case(
    "where-broadcast",
    lambda ops, c, x, y: ops.where(c, x, y),
    X > 0,
    VECTOR,
    draw(3, 1),
    numpy=True,
)
case("select", lambda ops, x: ops.select([x > 1, x > 0], [x * 2, x], 0.5), X, numpy=True)

for _name in "equal not_equal less less_equal greater greater_equal".split():
    case(
        _name,
        lambda ops, x, y, n=_name: getattr(ops, n)(x, y),
        TIES,
        TIES.T[:3, :1].copy(),
        numpy=True,
        grad=False,
    )
for _name in "logical_and logical_or logical_xor".split():
    case(
        _name,
        lambda ops, x, y, n=_name: getattr(ops, n)(x, y),
        X > 0,
        Y > 0,
        numpy=True,
        grad=False,
    )
case("isclose", lambda ops, x, y: ops.isclose(x, y), X, X + 1e-6, numpy=True, grad=False)
case("isclose-nan", lambda ops, x: ops.isclose(x, x, equal_nan=True), NAN, numpy=True, grad=False)
case("allclose", lambda ops, x, y: ops.allclose(x, y), X, X + 1e-7, numpy=True, grad=False)
for _name in "bitwise_and bitwise_or bitwise_xor".split():
    case(
        _name,
        lambda ops, x, y, n=_name: getattr(ops, n)(x, y),
        WHOLE,
        WHOLE[::-1].copy(),
        numpy=True,
        grad=False,
    )
case("bitwise_invert", lambda ops, x: ops.bitwise_invert(x), WHOLE, numpy=True, grad=False)
case("left_shift", lambda ops, x: ops.left_shift(x, 2), WHOLE, numpy=True, grad=False)
case("right_shift", lambda ops, x: ops.right_shift(x, 1), WHOLE, numpy=True, grad=False)
case("gcd", lambda ops, x: ops.gcd(x, 6), WHOLE, numpy=True, grad=False)
case("lcm", lambda ops, x: ops.lcm(x, 6), WHOLE, numpy=True, grad=False)

# --- reductions -----------------------------------------------------------------------------

for _name in "sum mean prod max min var std amax amin ptp".split():
    for _axis in (None, 1, -1, (0, 2)):
        for _keep in (False, True):
            case(
                f"{_name}-{_axis}-{_keep}",
                lambda ops, x, n=_name, a=_axis, k=_keep: getattr(ops, n)(x, axis=a, keepdims=k),
                X,
                numpy=True,
            )
for _name in "max min argmax argmin".split():
    case(
        f"{_name}-ties",
        lambda ops, x, n=_name: getattr(ops, n)(x, axis=1),
        TIES,
        numpy=True,
        grad=False,
    )
    case(f"{_name}-flat", lambda ops, x, n=_name: getattr(ops, n)(x), TIES, numpy=True, grad=False)
case(
    "argmax-keepdims",
    lambda ops, x: ops.argmax(x, axis=1, keepdims=True),
    X,
    numpy=True,
    grad=False,
)
case("max-initial", lambda ops, x: ops.max(x, axis=1, initial=0.5), X, numpy=True)
case("min-initial", lambda ops, x: ops.min(x, axis=1, initial=-0.5), X, numpy=True)
case(
    "prod-zeros",
    lambda ops, x: ops.prod(x, axis=1),
    np.float32([[0, 2, 3], [0, 0, 5], [1, 2, 3]]),
    numpy=True,
)
for _name in "nansum nanmean nanvar nanstd nanmax nanmin nanprod".split():
    case(_name, lambda ops, x, n=_name: getattr(ops, n)(x, axis=1), NAN, numpy=True, grad=False)
case("nanargmax", lambda ops, x: ops.nanargmax(x, axis=1), NAN, numpy=True, grad=False)
case("nanargmin", lambda ops, x: ops.nanargmin(x, axis=1), NAN, numpy=True, grad=False)
case("nancumsum", lambda ops, x: ops.nancumsum(x, axis=1), NAN, numpy=True, grad=False)
case("nancumprod", lambda ops, x: ops.nancumprod(x, axis=1), NAN, numpy=True, grad=False)
for _name in "cumsum cumprod".split():
    for _axis in (None, 0, -1):
        case(
            f"{_name}-{_axis}",
            lambda ops, x, n=_name, a=_axis: getattr(ops, n)(x, axis=a),
            X,
            numpy=True,
        )
case(
    "cumprod-zeros",
    lambda ops, x: ops.cumprod(x, axis=1),
    np.float32([[1, 0, 3], [2, 3, 0]]),
    numpy=True,
    grad=False,
)
case("all", lambda ops, x: ops.all(x, axis=1), X > -1, numpy=True, grad=False)
case("any", lambda ops, x: ops.any(x, axis=(0, 2), keepdims=True), X > 1, numpy=True, grad=False)
case(
    "count_nonzero", lambda ops, x: ops.count_nonzero(x, axis=1), WHOLE % 2, numpy=True, grad=False
)
case("average", lambda ops, x: ops.average(x, axis=1), X, numpy=True)
case(
    "average-weights", lambda ops, x, w: ops.average(x, axis=1, weights=w), X, POSITIVE, numpy=True
)
case(
    "average-vector",
    lambda ops, x, w: ops.average(x, axis=1, weights=w),
    MATRIX,
    draw(4, low=0.2, high=1),
    numpy=True,
)
for _axis in (None, 1, (0, 2)):
    case(f"logsumexp-{_axis}", lambda ops, x, a=_axis: ops.logsumexp(x, axis=a, keepdims=True), X)
    case(f"median-{_axis}", lambda ops, x, a=_axis: ops.median(x, axis=a), X, numpy=True)
    case(
        f"quantile-{_axis}",
        lambda ops, x, a=_axis: ops.quantile(x, np.float32([0.1, 0.55]), axis=a),
        X,
        numpy=True,
    )
case("quantile-keepdims", lambda ops, x: ops.quantile(x, 0.3, axis=1, keepdims=True), X, numpy=True)
for _method in "lower higher midpoint nearest".split():
    case(
        f"quantile-{_method}",
        lambda ops, x, m=_method: ops.quantile(x, 0.3, axis=1, method=m),
        X,
        numpy=True,
    )
case("percentile", lambda ops, x: ops.percentile(x, 30.0, axis=1), X, numpy=True)
case("nanmedian", lambda ops, x: ops.nanmedian(x, axis=1), NAN, numpy=True, grad=False)
case("nanquantile", lambda ops, x: ops.nanquantile(x, 0.3, axis=1), NAN, numpy=True, grad=False)
case(
    "nanpercentile", lambda ops, x: ops.nanpercentile(x, 30.0, axis=1), NAN, numpy=True, grad=False
)

# --- shape ----------------------------------------------------------------------------------

case("reshape", lambda ops, x: ops.reshape(x, (4, -1)), X, numpy=True)
case("ravel", lambda ops, x: ops.ravel(x), X, numpy=True)
case("expand_dims", lambda ops, x: ops.expand_dims(x, 1), X, numpy=True)
case("expand_dims-two", lambda ops, x: ops.expand_dims(x, (0, -1)), X, numpy=True)
case("squeeze", lambda ops, x: ops.squeeze(x), draw(3, 1, 2, 1), numpy=True)
case("squeeze-axis", lambda ops, x: ops.squeeze(x, 1), draw(3, 1, 2, 1), numpy=True)
case("transpose", lambda ops, x: ops.transpose(x), X, numpy=True)
case("transpose-axes", lambda ops, x: ops.transpose(x, (1, 2, 0)), X, numpy=True)
case("swapaxes", lambda ops, x: ops.swapaxes(x, 0, -1), X, numpy=True)
case("moveaxis", lambda ops, x: ops.moveaxis(x, (0, 1), (2, 0)), X, numpy=True)
case("flip", lambda ops, x: ops.flip(x), X, numpy=True)
case("flip-axis", lambda ops, x: ops.flip(x, 1), X, numpy=True)
case("fliplr", lambda ops, x: ops.fliplr(x), X, numpy=True)
case("flipud", lambda ops, x: ops.flipud(x), X, numpy=True)
for _turns in (-1, 0, 1, 2, 3):
    case(
        f"rot90-{_turns}",
        lambda ops, x, k=_turns: ops.rot90(x, k, axes=(0, 2)),
        X,
        numpy=True,
        keras=_turns != 2,
        why="on TensorFlow, Keras mixes up rows in half a turn of what is not square",
    )
case("rot90-square", lambda ops, x: ops.rot90(x, 2), SQUARE, numpy=True)
case("roll", lambda ops, x: ops.roll(x, 5), X, numpy=True)
case("roll-axis", lambda ops, x: ops.roll(x, -1, axis=1), X, numpy=True)
case("roll-axes", lambda ops, x: ops.roll(x, (1, 2), axis=(0, 2)), X, numpy=True)
case("concatenate", lambda ops, x, y: ops.concatenate([x, y], axis=1), X, draw(2, 2, 4), numpy=True)
case("append", lambda ops, x, y: ops.append(x, y), X, MATRIX, numpy=True)
case("append-axis", lambda ops, x, y: ops.append(x, y, axis=2), X, Y, numpy=True)
case("hstack", lambda ops, x, y: ops.hstack([x, y]), X, Y, numpy=True)
case("vstack", lambda ops, x, y: ops.vstack([x, y]), X, Y, numpy=True)
case("dstack", lambda ops, x, y: ops.dstack([x, y]), MATRIX, MATRIX + 1, numpy=True)
case("stack", lambda ops, x, y: ops.stack([x, y], axis=-1), X, Y, numpy=True)
case("split", lambda ops, x: ops.split(x, 2, axis=2)[1], X, numpy=True)
case("split-places", lambda ops, x: ops.split(x, [1, 3], axis=2)[1], X, numpy=True)
case("array_split", lambda ops, x: ops.array_split(x, 3, axis=2)[0], X, numpy=True)
case("hsplit", lambda ops, x: ops.hsplit(x, 3)[2], X, numpy=True)
case("vsplit", lambda ops, x: ops.vsplit(x, 2)[0], X, numpy=True)
case("dsplit", lambda ops, x: ops.dsplit(x, 2)[0], X, numpy=True)
case("unstack", lambda ops, x: ops.unstack(x, axis=1)[1], X)
case("broadcast_to", lambda ops, x: ops.broadcast_to(x, (2, 3, 4)), draw(3, 1), numpy=True)
case("repeat", lambda ops, x: ops.repeat(x, 2), X, numpy=True)
case("repeat-axis", lambda ops, x: ops.repeat(x, 3, axis=1), X, numpy=True)
case("repeat-each", lambda ops, x: ops.repeat(x, [2, 0, 1], axis=1), X, numpy=True)
case("tile", lambda ops, x: ops.tile(x, (2, 1, 3)), X, numpy=True)
case("tile-longer", lambda ops, x: ops.tile(x, (2, 1, 3)), VECTOR, numpy=True)
for _mode in "constant reflect symmetric".split():
    case(
        f"pad-{_mode}",
        lambda ops, x, m=_mode: ops.pad(x, ((0, 1), (2, 1), (1, 3)), mode=m),
        X,
        numpy=True,
    )
case(
    "pad-edge",
    lambda ops, x: ops.pad(x, ((0, 1), (2, 1), (1, 3)), mode="edge"),
    X,
    numpy=True,
    keras=False,
    why="TensorFlow has no such mode",
)
case(
    "pad-wrap",
    lambda ops, x: ops.pad(x, ((0, 1), (2, 1), (1, 3)), mode="wrap"),
    X,
    numpy=True,
    keras=False,
    why="TensorFlow has no such mode",
)
case("pad-value", lambda ops, x: ops.pad(x, ((1, 1),) * 3, constant_values=2.5), X, numpy=True)

# --- indexing -------------------------------------------------------------------------------

for _label, _key in {
    "int": 1,
    "slices": (slice(None), slice(0, 2), slice(None, None, 2)),
    "dots": (Ellipsis, 1),
    "new-axis": (None, 0, slice(1, None), None),
    "negative": (-1, slice(-2, None)),
    "reversed": (slice(None), slice(None, None, -1)),
}.items():
    case(f"get_item-{_label}", lambda ops, x, k=_key: x[k], X, numpy=True)
for _label, _key in {
    "list": (slice(None), [0, 2, 2]),
    "apart": (np.array([0, 1]), slice(None), np.array([1, 1])),
    "boolean": (slice(None), np.array([True, False, True])),
}.items():
    case(
        f"get_item-{_label}",
        lambda ops, x, k=_key: x[k],
        X,
        numpy=True,
        keras=False,
        why="TensorFlow's tensors take no arrays as index",
    )
case("take", lambda ops, x: ops.take(x, np.int32([[0, 2], [1, -1]]), axis=1), X, numpy=True)
case("take-flat", lambda ops, x: ops.take(x, np.int32([0, 7, 7])), X, numpy=True)
case(
    "take_along_axis",
    lambda ops, x, i: ops.take_along_axis(x, i, axis=1),
    X,
    np.int64([[[0, 1, 2, 0], [2, 2, 2, 1]]] * 2),
    numpy=True,
)
case("diagonal", lambda ops, x: ops.diagonal(x, 1, 0, 2), X, numpy=True)
case("diag", lambda ops, x: ops.diag(x, 1), VECTOR, numpy=True)
case("diag-of-matrix", lambda ops, x: ops.diag(x, -1), SQUARE, numpy=True)
case("diagflat", lambda ops, x: ops.diagflat(x), MATRIX, numpy=True)
case("tril", lambda ops, x: ops.tril(x, 1), X, numpy=True)
case("tril-below", lambda ops, x: ops.tril(x, -1), X, numpy=True)
case("triu", lambda ops, x: ops.triu(x, 1), X, numpy=True)
case("triu-below", lambda ops, x: ops.triu(x, -1), X, numpy=True)
case(
    "trace",
    lambda ops, x: ops.trace(x, 1, 0, 2),
    X,
    numpy=True,
    keras=False,
    why="Keras takes the axes of the mask from the tensor it has already reordered",
)
case("trace-matrix", lambda ops, x: ops.trace(x, -1), MATRIX, numpy=True)
case("nonzero", lambda ops, x: ops.nonzero(x)[1], WHOLE % 2, numpy=True, grad=False, symbolic=False)
case(
    "unravel_index",
    lambda ops, i: ops.unravel_index(i, (3, 4))[0],
    np.int32([0, 5, 11]),
    numpy=True,
    grad=False,
)
case("slice", lambda ops, x: ops.slice(x, [0, 1, 1], [2, 2, 3]), X)
case(
    "slice_update",
    lambda ops, x, u: ops.slice_update(x, [1, 0, 2], u),
    X,
    draw(1, 2, 2),
    keras_grad=False,
)
case("scatter", lambda ops, i, v: ops.scatter(i, v, (3, 4)), np.int32([[0], [2], [0]]), MATRIX)
for _reduction in (None, "add", "max", "min"):
    case(
        f"scatter_update-{_reduction}",
        lambda ops, x, u, r=_reduction: ops.scatter_update(x, np.int32([[0, 1], [2, 3]]), u, r),
        MATRIX,
        draw(2),
    )

# --- products -------------------------------------------------------------------------------

for _left, _right in (
    ((3, 4), (4, 2)), ((4,), (4, 2)), ((3, 4), (4,)), ((4,), (4,)), ((5, 3, 4), (4, 2)),
    ((5, 3, 4), (5, 4, 2)), ((2, 1, 3, 4), (5, 4, 2)), ((4,), (5, 4, 2)),
):  # fmt: skip
    case(
        f"matmul-{_left}-{_right}",
        lambda ops, x, y: ops.matmul(x, y),
        draw(*_left),
        draw(*_right),
        numpy=True,
    )
for _left, _right in (((3, 4), (4, 2)), ((4,), (4,)), ((2, 3, 4), (5, 4, 2)), ((3, 4), (4,))):
    case(
        f"dot-{_left}-{_right}",
        lambda ops, x, y: ops.dot(x, y),
        draw(*_left),
        draw(*_right),
        numpy=True,
    )
case(
    "tensordot",
    lambda ops, x, y: ops.tensordot(x, y, axes=[[0, 1], [1, 0]]),
    MATRIX,
    draw(4, 3, 2),
    numpy=True,
)
case("tensordot-count", lambda ops, x, y: ops.tensordot(x, y, axes=1), X, draw(4, 2), numpy=True)
case("inner", lambda ops, x, y: ops.inner(x, y), MATRIX, draw(2, 4), numpy=True)
case("vdot", lambda ops, x, y: ops.vdot(x, y), MATRIX, MATRIX + 1, numpy=True)
case("outer", lambda ops, x, y: ops.outer(x, y), VECTOR, MATRIX, numpy=True)
case("kron", lambda ops, x, y: ops.kron(x, y), MATRIX, draw(2, 3), numpy=True)
case("cross", lambda ops, x, y: ops.cross(x, y), draw(5, 3), draw(5, 3, name="y"), numpy=True)
for _subscripts, *_shapes in (
    ("ij,jk->ik", (3, 4), (4, 2)), ("ij->ji", (3, 4)), ("ij->", (3, 4)), ("ij->j", (3, 4)),
    ("bhqd,bhkd->bhqk", (2, 3, 4, 5), (2, 3, 6, 5)), ("...ij,jk->...ik", (2, 3, 4), (4, 5)),
    ("abc,cde->abde", (2, 3, 4), (4, 5, 6)), ("i,j->ij", (3,), (4,)), ("ij,ij->", (3, 4), (3, 4)),
    ("ij,jk,kl->il", (2, 3), (3, 4), (4, 5)), ("aecd,abcd->acbe", (2, 3, 4, 5), (2, 6, 4, 5)),
    ("ij,ik->ijk", (3, 4), (3, 2)), ("ii->i", (3, 3)), ("ii", (3, 3)),
):  # fmt: skip
    case(
        f"einsum-{_subscripts}",
        lambda ops, *xs, s=_subscripts: ops.einsum(s, *xs),
        *[draw(*s, name=str(i)) for i, s in enumerate(_shapes)],
        numpy=True,
    )
for _order in (None, 1, 2, 0, 3, np.inf, -np.inf):
    case(f"norm-{_order}", lambda ops, x, o=_order: ops.norm(x, ord=o, axis=1), X, grad=_order != 0)
for _order in (None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf):
    case(f"norm-matrix-{_order}", lambda ops, x, o=_order: ops.norm(x, ord=o, axis=(1, 2)), X)

# --- order and counts -----------------------------------------------------------------------

for _axis in (-1, 0, 1):
    case(f"sort-{_axis}", lambda ops, x, a=_axis: ops.sort(x, axis=a), X, numpy=True)
    case(
        f"argsort-{_axis}",
        lambda ops, x, a=_axis: ops.argsort(x, axis=a),
        X,
        numpy=True,
        grad=False,
    )
case(
    "searchsorted",
    lambda ops, e, v: ops.searchsorted(e, v),
    np.float32([1, 2, 3]),
    np.float32([0, 1, 2.5, 9]),
    numpy=True,
    grad=False,
)
case(
    "searchsorted-right",
    lambda ops, e, v: ops.searchsorted(e, v, side="right"),
    np.float32([1, 2, 3]),
    np.float32([0, 1, 2.5, 9]),
    numpy=True,
    grad=False,
)
case("digitize", lambda ops, x: ops.digitize(x, [-0.5, 0.0, 1.0]), X, numpy=True, grad=False)
case("isin", lambda ops, x: ops.isin(x, [2, 7]), WHOLE, numpy=True, grad=False)
case(
    "bincount",
    lambda ops, x: ops.bincount(x, minlength=6),
    np.int32([1, 1, 3]),
    numpy=True,
    grad=False,
    symbolic=False,
)
case(
    "bincount-weights",
    lambda ops, x, w: ops.bincount(x, weights=w),
    np.int32([1, 1, 3]),
    draw(3),
    numpy=True,
    keras_grad=False,
    symbolic=False,
)
case(
    "histogram",
    lambda ops, x: ops.histogram(x, bins=4, range=(-1.0, 1.0))[0],
    VECTOR,
    grad=False,
    numpy=True,
)
case(
    "unique",
    lambda ops, x: ops.unique(x),
    np.int32([3, 1, 3, 2]),
    numpy=True,
    grad=False,
    symbolic=False,
)
case("top_k", lambda ops, x: ops.top_k(x, 2)[0], X)
case("top_k-ties", lambda ops, x: ops.top_k(x, 3)[1], TIES, grad=False)
case("in_top_k", lambda ops, t, p: ops.in_top_k(t, p, 2), np.int32([0, 2, 3]), TIES, grad=False)
case("diff", lambda ops, x: ops.diff(x, n=2, axis=2), X, numpy=True)
case("trapezoid", lambda ops, y: ops.trapezoid(y, dx=0.5, axis=1), X, numpy=True)
case(
    "trapezoid-x",
    lambda ops, y, x: ops.trapezoid(y, x),
    X,
    np.float32([0, 1, 3, 4]),
    numpy=True,
    grad=False,
)
case("corrcoef", lambda ops, x: ops.corrcoef(x), MATRIX, numpy=True)
for _mode in ("valid", "same", "full"):
    case(
        f"correlate-{_mode}",
        lambda ops, x, y, m=_mode: ops.correlate(x, y, mode=m),
        draw(7),
        draw(4),
        numpy=True,
    )
case("cdist", lambda ops, x, y: ops.cdist(x, y), draw(3, 4), draw(5, 4))
case("extract_sequences", lambda ops, x: ops.extract_sequences(x, 4, 3), draw(2, 11))
for _name in ("sum", "max", "min", "prod"):
    case(
        f"segment_{_name}",
        lambda ops, x, i, n=_name: getattr(ops, f"segment_{n}")(x, i, 3),
        draw(5, 2),
        np.int32([0, 2, 0, 1, 2]),
    )

# --- creation -------------------------------------------------------------------------------

case("full_like", lambda ops, x: ops.full_like(x, 3), X, numpy=True, grad=False)
case("ones_like", lambda ops, x: ops.ones_like(x), WHOLE, numpy=True, grad=False)
case("zeros_like", lambda ops, x: ops.zeros_like(x, dtype="float32"), WHOLE, numpy=True, grad=False)
case(
    "linspace",
    lambda ops, a, b: ops.linspace(a, b, 5, axis=-1),
    draw(3),
    draw(3, name="y"),
    numpy=True,
)
case(
    "linspace-open",
    lambda ops, a, b: ops.linspace(a, b, 5, endpoint=False),
    draw(3),
    draw(3, name="y"),
    numpy=True,
)
case("meshgrid", lambda ops, x, y: ops.multiply(*ops.meshgrid(x, y)), VECTOR, draw(3), numpy=True)
case("vander", lambda ops, x: ops.vander(x, 3), VECTOR, numpy=True)
case("view", lambda ops, x: ops.view(x, "int32"), X, grad=False)
case("cast", lambda ops, x: ops.cast(x, "int32"), X, grad=False)
case(
    "saturate_cast",
    lambda ops, x: ops.saturate_cast(x, "uint8"),
    np.float32([-3, 5, 300]),
    grad=False,
)
case("operators", lambda ops, x, y: (2.0 * x - y / 3.0 + 1.0) ** 2 * -y, X, Y, numpy=True)
case("operator-matmul", lambda ops, x, y: x @ y, MATRIX, draw(4, 2), numpy=True)
