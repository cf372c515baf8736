"""`tf.math`, most of which TensorFlow has at its top level too."""

from __future__ import annotations

from kerasmirror import ops

# TensorFlow's name for what `ops` calls otherwise; those that follow are called the same.
_RENAMED = {
    "mod": "mod",
    "floormod": "mod",
    "floordiv": "floor_divide",
    "scalar_mul": "multiply",
    "pow": "power",
    "acos": "arccos",
    "acosh": "arccosh",
    "asin": "arcsin",
    "asinh": "arcsinh",
    "atan": "arctan",
    "atanh": "arctanh",
    "atan2": "arctan2",
    "is_finite": "isfinite",
    "is_inf": "isinf",
    "is_nan": "isnan",
}
_UNARY = (
    *("abs", "exp", "expm1", "log", "log1p", "sqrt", "rsqrt", "square", "sign", "negative"),
    *("sin", "cos", "tan", "sinh", "cosh", "tanh", "sigmoid", "floor", "ceil", "round", "erf"),
    *("erfinv", "reciprocal", "logical_not", "real", "imag", "conj", "angle"),
)
_BINARY = (
    *("add", "subtract", "multiply", "divide", "maximum", "minimum", "equal", "not_equal"),
    *("greater", "greater_equal", "less", "less_equal", "logical_and", "logical_or", "logical_xor"),
)


def _unary(op):
    def function(x, name=None):
        return op(x)

    return function


def _binary(op):
    def function(x, y, name=None):
        return op(x, y)

    return function


def _reduction(op):
    def function(input_tensor, axis=None, keepdims=False, name=None):
        axis = tuple(axis) if isinstance(axis, list) else axis
        return op(input_tensor, axis=axis, keepdims=keepdims)

    return function


def _named(make, names):
    for name in names:
        op = getattr(ops, _RENAMED.get(name, name), None)
        if op is not None:
            function = make(op)
            function.__name__ = function.__qualname__ = name
            globals()[name] = function


_BINARY_RENAMED = ("mod", "floormod", "floordiv", "scalar_mul", "pow", "atan2")
_named(_unary, (*_UNARY, *(name for name in _RENAMED if name not in _BINARY_RENAMED)))
_named(_binary, (*_BINARY, *_BINARY_RENAMED))
_REDUCTIONS = {
    "reduce_sum": ops.sum,
    "reduce_mean": ops.mean,
    "reduce_max": ops.max,
    "reduce_min": ops.min,
    "reduce_prod": ops.prod,
    "reduce_any": ops.any,
    "reduce_all": ops.all,
    "reduce_std": ops.std,
    "reduce_variance": ops.var,
    "reduce_logsumexp": ops.logsumexp,
}
for _name, _op in _REDUCTIONS.items():
    globals()[_name] = _reduction(_op)


def count_nonzero(input, axis=None, keepdims=None, dtype="int64", name=None):
    counted = ops.cast(ops.not_equal(input, 0), dtype)
    return ops.sum(counted, axis=axis, keepdims=bool(keepdims))


def softplus(features, name=None):
    return ops.softplus(features)


def squared_difference(x, y, name=None):
    return ops.square(ops.subtract(x, y))


def multiply_no_nan(x, y, name=None):
    """x * y, and 0 where y is 0 whatever x is."""
    return ops.where(ops.equal(y, 0), ops.zeros_like(y), ops.multiply(x, y))


def divide_no_nan(x, y, name=None):
    return ops.divide_no_nan(x, y)


def argmax(input, axis=None, output_type="int64", name=None):
    return ops.cast(ops.argmax(input, 0 if axis is None else axis), output_type)


def argmin(input, axis=None, output_type="int64", name=None):
    return ops.cast(ops.argmin(input, 0 if axis is None else axis), output_type)


def cumsum(x, axis=0, exclusive=False, reverse=False, name=None):
    return _cumulative(ops.cumsum, ops.subtract, x, axis, exclusive, reverse)


def cumprod(x, axis=0, exclusive=False, reverse=False, name=None):
    if exclusive:
        raise NotImplementedError("tf.math.cumprod: `exclusive` must be False here.")
    return _cumulative(ops.cumprod, None, x, axis, exclusive, reverse)


def _cumulative(op, without_own, x, axis, exclusive, reverse):
    x = ops.flip(x, axis) if reverse else ops.convert_to_tensor(x)
    result = op(x, axis)
    result = without_own(result, x) if exclusive else result
    return ops.flip(result, axis) if reverse else result


def add_n(inputs, name=None):
    total = inputs[0]
    for value in inputs[1:]:
        total = ops.add(total, value)
    return total


def top_k(input, k=1, sorted=True, name=None):
    return ops.top_k(input, k, sorted=sorted)


def in_top_k(targets, predictions, k, name=None):
    return ops.in_top_k(targets, predictions, k)


def confusion_matrix(labels, predictions, num_classes=None, dtype="int32", name=None):
    """Counts with a row for each label and a column for each prediction."""
    labels, predictions = ops.cast(labels, "int64"), ops.cast(predictions, "int64")
    if num_classes is None:
        num_classes = int(ops.maximum(ops.max(labels), ops.max(predictions))) + 1
    places = ops.add(ops.multiply(labels, num_classes), predictions)
    counts = ops.bincount(places, minlength=num_classes * num_classes)
    return ops.cast(ops.reshape(counts, (num_classes, num_classes)), dtype)


def l2_normalize(x, axis=None, epsilon=1e-12, name=None):
    """x / sqrt(max(sum(x^2), epsilon))"""
    axis = tuple(axis) if isinstance(axis, list) else axis
    squares = ops.sum(ops.square(x), axis=axis, keepdims=True)
    return ops.multiply(x, ops.rsqrt(ops.maximum(squares, epsilon)))
