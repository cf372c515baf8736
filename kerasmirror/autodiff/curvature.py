"""Second derivatives of primitives: the gradient of <dy, J(x) u> in x.

J(x) is the matrix of derivatives of y = P(x), dy a gradient of y, u a change of x. For a linear P,
or one made of linear pieces (relu, max, sort), it is 0. For a product it is the product's gradient
with one factor replaced by its change. For a function f of single values, it is
`sum over i of f_ij(x) u_i dy` with the second derivatives f_ij, which stand here.
"""

from __future__ import annotations

import math

import numpy as np

from kerasmirror.autodiff import tangents
from kerasmirror.autodiff.broadcasting import sum_to_shape

# Made of linear pieces, or linear with a tangent of their own.
_PIECEWISE = frozenset(
    """absolute clip fake_quant general_relu hard_shrink hard_sigmoid hard_tanh leaky_relu max
    max_pool maximum min minimum mod nextafter pad quantile relu relu6 saturate_cast scatter_update
    sign soft_shrink sort sparse_sigmoid sparsemax stretch_maxima threshold top_k""".split()
)


def curvature(k, call, kind, dys, needs):
    """The gradients of <dys, J(x) call.tangents> in the inputs x, None for what has none."""
    nothing = [None] * len(call.inputs)
    straight = kind is tangents.linear or isinstance(kind, tangents.WithoutGradient)
    if straight or hasattr(kind, "places") or call.name in _PIECEWISE:
        return nothing
    if kind is tangents.multilinear:
        return _products(k, call, dys[0], needs, call.options)
    rule = _RULES.get(call.name)
    if rule is None:
        raise _missing(call.name)
    dy = dys[-1]  # of the sign and the logarithm of a determinant the second
    return nothing if dy is None else rule(k, call, dy, needs)


def _missing(name):
    return NotImplementedError(
        f"GradientTape.gradient: the operation {name!r} has no second derivative here; within two "
        "tapes, write it with operations that have."
    )


def _products(k, call, dy, needs, options, factors=(0, 1)):
    found = [None] * len(call.inputs)
    for place in factors:
        change = call.tangents[place]
        wanted = tuple([i in factors and i != place and n for i, n in enumerate(needs)])
        if change is None or not any(wanted):
            continue
        inputs = [x if i in factors else None for i, x in enumerate(call.inputs)]
        inputs[place] = tangents.settled(change, inputs[place].dtype)
        gradients = call.rule(k, *inputs, **options)[1](dy, wanted)
        for i, grad in enumerate(gradients):
            if wanted[i]:
                found[i] = tangents.plus(found[i], grad)
    return found


def _rectified_products(k, call, dy, needs):
    """Of `activation(x * w + bias)`, for any product that is linear in x and in w."""
    if call.options.get("activation", "linear") == "relu":
        dy = np.multiply(dy, (call.y > 0).astype(dy.dtype))
    return _products(k, call, dy, needs, {**call.options, "activation": "linear"})


def _segment(k, call, dy, needs):
    if call.options["reduction"] == "mul":
        raise _missing("segment_prod")
    return [None] * len(call.inputs)


def _solve(k, call, dy, needs):
    # With a x = b, J u = w = a^-1 (ub - ua x) and db = a^-T dy: <dy, w> = <db, ub - ua x>. It
    # depends on a by db and by x, on b by x.
    keep = {"lower": np.tril, "upper": np.triu, None: np.asarray}[call.options["half"]]
    matrix, (ua, ub) = keep(call.inputs[0]), call.tangents
    right = np.zeros_like(call.y) if ub is None else ub
    if ua is not None:
        right = right - k.matmul(keep(ua), call.y)
    db = np.linalg.solve(_turned(matrix), dy)
    da = keep(-k.matmul(db, _turned(np.linalg.solve(matrix, right))))
    if ua is None:
        return [da, None]
    for_x = call.backward(-k.matmul(_turned(keep(ua)), db), (True, True))
    return [da + for_x[0], for_x[1]]


def _log_determinant(k, call, dy, needs):
    # <dy, J u> = dy trace(x^-1 u), whose gradient is -dy (x^-1 u x^-1)'
    inverse = np.linalg.inv(call.inputs[0])
    product = k.matmul(k.matmul(inverse, call.tangents[0]), inverse)
    return [-dy[..., None, None] * _turned(product)]


def _turned(x):
    return np.ascontiguousarray(np.swapaxes(x, -1, -2))


def _elementwise(**seconds):
    """The rule of f(x0, x1) with the second derivatives f00, f01, f11 (of x0, x1, y, options)."""

    def rule(k, call, dy, needs):
        found = [None] * len(call.inputs)
        for name, second in seconds.items():
            first, other = int(name[1]), int(name[2])
            for i, j in {(first, other), (other, first)}:
                change = call.tangents[i]
                if change is None or not needs[j]:
                    continue
                slope = second(*call.inputs, call.y, **call.options)
                part = tangents.settled(np.multiply(slope, change) * dy, call.y.dtype)
                part = sum_to_shape(k, np.broadcast_to(part, call.y.shape), call.inputs[j].shape)
                found[j] = tangents.plus(found[j], part)
        return found

    return rule


def _sigmoid(x):
    return np.exp(-np.logaddexp(0, -x))


def _bell(x):
    """The density of the normal distribution."""
    return np.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def _log_part(x0, x1, y):
    """log x0 where the power has one, as in its first derivative."""
    return np.log(np.where(x0 > 0, x0, 1))


_UNARY = {
    "arccos": lambda x, y: -x * (1 - x * x) ** -1.5,
    "arccosh": lambda x, y: -x * (x * x - 1) ** -1.5,
    "arcsin": lambda x, y: x * (1 - x * x) ** -1.5,
    "arcsinh": lambda x, y: -x * (1 + x * x) ** -1.5,
    "arctan": lambda x, y: -2 * x / (1 + x * x) ** 2,
    "arctanh": lambda x, y: 2 * x / (1 - x * x) ** 2,
    "cos": lambda x, y: -y,
    "cosh": lambda x, y: y,
    "erf": lambda x, y: -4 / math.sqrt(math.pi) * x * np.exp(-x * x),
    "erfc": lambda x, y: 4 / math.sqrt(math.pi) * x * np.exp(-x * x),
    "erfinv": lambda x, y: math.pi / 2 * y * np.exp(2 * y * y),
    "exp": lambda x, y: y,
    "exp2": lambda x, y: y * math.log(2) ** 2,
    "expm1": lambda x, y: y + 1,
    "hard_silu": lambda x, y: (np.abs(x) < 3) / 3,
    "log": lambda x, y: -1 / (x * x),
    "log10": lambda x, y: -1 / (x * x * math.log(10)),
    "log1p": lambda x, y: -1 / (1 + x) ** 2,
    "log2": lambda x, y: -1 / (x * x * math.log(2)),
    "log_sigmoid": lambda x, y: -_sigmoid(x) * _sigmoid(-x),
    "reciprocal": lambda x, y: 2 * y**3,
    "rsqrt": lambda x, y: 0.75 * y**5,
    "sigmoid": lambda x, y: y * (1 - y) * (1 - 2 * y),
    "silu": lambda x, y: _sigmoid(x) * _sigmoid(-x) * (2 + x * (1 - 2 * _sigmoid(x))),
    "sin": lambda x, y: -y,
    "sinh": lambda x, y: y,
    "softplus": lambda x, y: _sigmoid(x) * _sigmoid(-x),
    "softsign": lambda x, y: -2 * np.sign(x) / (1 + np.abs(x)) ** 3,
    "sparse_plus": lambda x, y: (np.abs(x) < 1) / 2,
    "sqrt": lambda x, y: -0.25 / y**3,
    "square": lambda x, y: 2,
    "tan": lambda x, y: 2 * y * (1 + y * y),
    "tanh": lambda x, y: -2 * y * (1 - y * y),
    "tanh_shrink": lambda x, y: 2 * np.tanh(x) * (1 - np.tanh(x) ** 2),
    "gelu": lambda x, y: _bell(x) * (2 - x * x),
    "elu": lambda x, y, *, alpha: np.where(x > 0, 0, alpha * np.exp(np.minimum(x, 0))),
    "celu": lambda x, y, *, alpha: np.where(x > 0, 0, np.exp(np.minimum(x, 0) / alpha) / alpha),
    "squareplus": lambda x, y, *, b: b / 2 * (x * x + b) ** -1.5,
}

_RULES = {
    "affine": _rectified_products,
    "affine_over": _rectified_products,
    "conv2d": _rectified_products,
    "conv2d_transpose": _rectified_products,
    "segment": _segment,
    "slogdet": _log_determinant,
    "solve": _solve,
    "divide": _elementwise(
        f01=lambda x0, x1, y: -1 / (x1 * x1), f11=lambda x0, x1, y: 2 * y / (x1 * x1)
    ),
    "power": _elementwise(
        f00=lambda x0, x1, y: x1 * (x1 - 1) * x0 ** (x1 - 2),
        f01=lambda x0, x1, y: x0 ** (x1 - 1) * (1 + x1 * _log_part(x0, x1, y)),
        f11=lambda x0, x1, y: np.where(x0 > 0, y * _log_part(x0, x1, y) ** 2, 0),
    ),
    "hypot": _elementwise(
        f00=lambda x0, x1, y: x1 * x1 / y**3,
        f01=lambda x0, x1, y: -x0 * x1 / y**3,
        f11=lambda x0, x1, y: x0 * x0 / y**3,
    ),
    "arctan2": _elementwise(
        f00=lambda x0, x1, y: -2 * x0 * x1 / (x0 * x0 + x1 * x1) ** 2,
        f01=lambda x0, x1, y: (x0 * x0 - x1 * x1) / (x0 * x0 + x1 * x1) ** 2,
        f11=lambda x0, x1, y: 2 * x0 * x1 / (x0 * x0 + x1 * x1) ** 2,
    ),
    "logaddexp": _elementwise(
        f00=lambda x0, x1, y: _sigmoid(x0 - x1) * _sigmoid(x1 - x0),
        f01=lambda x0, x1, y: -_sigmoid(x0 - x1) * _sigmoid(x1 - x0),
        f11=lambda x0, x1, y: _sigmoid(x0 - x1) * _sigmoid(x1 - x0),
    ),
    "binary_cross_entropy_from_logits": _elementwise(
        f01=lambda x0, x1, y: -1, f11=lambda x0, x1, y: _sigmoid(x1) * _sigmoid(-x1)
    ),
    **{name: _elementwise(f00=second) for name, second in _UNARY.items()},
}
