"""Cases for derivatives of operations: at least one for each primitive that has a gradient.

A case is (name, function of tensors, shapes or arrays of its arguments). Arrays come from a fixed
generator; where an operation has corners or a domain, the function moves its argument there.
"""

from __future__ import annotations

import numpy as np

from kerasmirror import activations, ops, quantizers, random, regularizers
from kerasmirror.core.tensor import Tensor
from kerasmirror.kernels.geometry import ConvGeometry, PoolGeometry
from kerasmirror.ops.nn import fused
from kerasmirror.ops.nn.conv import conv2d_bias_activation, conv2d_transpose_bias_activation
from kerasmirror.ops.nn.dense import affine, affine_over
from kerasmirror.ops.nn.embedding import embedding_rows
from kerasmirror.ops.nn.normalization import batch_norm_train, group_norm
from kerasmirror.ops.nn.recurrent import recurrent
from kerasmirror.ops.nn.upsampling import repeat_places
from kerasmirror.ops.numpy.complex import complex_tensor
from kerasmirror.ops.numpy.contraction import _split_axes

IDS = np.array([0, 2, 0, 1, 2])
LABELS = np.array([1, 0, 2])
PLACES = np.array([[0, 1], [2, 0], [0, 1]])
STEPS = np.array([[True, True, False, True], [False, True, True, False]])
POOL = PoolGeometry((2, 2), (2, 2), ((0, 0), (0, 0)), (2, 2))
CONV = ConvGeometry((1, 1), ((0, 0), (0, 0)), (1, 1), 1, (4, 4))
SEED = (3, 7)


def spd(x):
    """A symmetric positive definite matrix of any square one."""
    return ops.matmul(x, ops.swapaxes(x, -1, -2)) + 2.0 * np.eye(x.shape[-1])


def well(x):
    """A matrix far from singular."""
    return x + 3.0 * np.eye(*x.shape[-2:])


def shares(x):
    """Probabilities within [0.1, 0.9]."""
    return 0.1 + 0.8 * ops.sigmoid(x)


def parts(z):
    """A real tensor that holds all of a complex one."""
    return ops.view_as_real(z)


def both(results):
    """Several results as one."""
    return ops.concatenate([ops.ravel(part) for part in results])


def turned(q):
    """q q', in which the signs of its columns do not show."""
    return ops.matmul(q * np.arange(1.0, q.shape[-1] + 1), ops.swapaxes(q, -1, -2))


def ctc(x):
    """The CTC loss of unscaled outputs."""
    return ops.ctc_loss(
        np.array([[1, 2], [2, 0]]), ops.cast(x, "float64"), np.array([2, 1]), np.array([4, 3])
    )


_UNARY = {
    "": "negative square exp exp2 expm1 sin cos tan arctan sinh cosh tanh arcsinh sigmoid relu "
    "relu6 leaky_relu elu selu celu gelu silu softplus softsign log_sigmoid hard_sigmoid hard_silu "
    "hard_tanh hard_shrink soft_shrink tanh_shrink squareplus sparse_plus sparse_sigmoid "
    "absolute sign erf erfc i0 cbrt sinc".split(),
    "positive": "sqrt reciprocal log log1p log2 log10 rsqrt".split(),
    "inside": "arcsin arccos arctanh erfinv".split(),
    "above": ["arccosh"],
}
_MOVE = {
    "": lambda x: x,
    "positive": lambda x: ops.exp(x),
    "inside": lambda x: 0.8 * ops.tanh(x),
    "above": lambda x: 1.1 + ops.exp(x),
}


def _unary(name, kind):
    move, run = _MOVE[kind], getattr(ops, name)
    return name, lambda x: run(move(x)), [(3, 4)]


_C = [(3, 2), (3, 2)]  # real and imaginary part


def _complex(run):
    return lambda a, b: run(complex_tensor(a, b))


CASES = [_unary(name, kind) for kind, names in _UNARY.items() for name in names] + [
    ("add", lambda a, b: a + b, [(3, 4), (4,)]),
    ("subtract", lambda a, b: a - b, [(4,), (3, 4)]),
    ("multiply", lambda a, b: a * b, [(3, 1), (3, 4)]),
    ("divide", lambda a, b: a / ops.exp(b), [(3, 4), (4,)]),
    ("power", lambda a, b: ops.power(ops.exp(a), b), [(3, 4), (3, 1)]),
    ("maximum", ops.maximum, [(3, 4), (4,)]),
    ("minimum", ops.minimum, [(3, 4), (3, 4)]),
    ("mod", lambda a, b: ops.mod(5.0 * a, 2.0 + ops.exp(b)), [(3, 4), (4,)]),
    ("arctan2", ops.arctan2, [(3, 4), (4,)]),
    ("hypot", ops.hypot, [(3, 4), (4,)]),
    ("logaddexp", ops.logaddexp, [(3, 4), (4,)]),
    ("nextafter", ops.nextafter, [(3, 4), (3, 4)]),
    ("where", lambda a, b: ops.where(np.arange(4) > 1, a, b), [(3, 4), (4,)]),
    ("clip", lambda x, a, b: ops.clip(2.0 * x, 0.1 * a - 1.0, 0.1 * b + 1.0), [(3, 4), (4,), (4,)]),
    ("cast", lambda x: ops.cast(ops.cast(x, "float64"), "float64") * 2.0, [(3,)]),
    ("saturate_cast", lambda x: ops.saturate_cast(x, "float64"), [(3,)]),
    ("copy", lambda x: ops.copy(x), [(3,)]),
    ("sum", lambda x: ops.sum(x, (0, 2)), [(2, 3, 4)]),
    ("mean", lambda x: ops.mean(x, 1, keepdims=True), [(2, 3, 4)]),
    ("var", lambda x: ops.var(x, (0, 1)), [(2, 3, 4)]),
    ("std", lambda x: ops.std(x, 1), [(3, 4)]),
    ("prod", lambda x: ops.prod(x, (0, 2)), [(2, 3, 2)]),
    ("max", lambda x: ops.max(x, 1), [(3, 4)]),
    ("min", lambda x: ops.min(x, (0, 1), keepdims=True), [(3, 4)]),
    ("cumsum", lambda x: ops.cumsum(x, 1), [(3, 4)]),
    ("cumprod", lambda x: ops.cumprod(x, 1), [(3, 4)]),
    ("cumprod-flat", lambda x: ops.cumprod(x), [(2, 3)]),
    ("logsumexp", lambda x: ops.logsumexp(x, 1), [(3, 4)]),
    ("reshape", lambda x: ops.reshape(x, (4, 3)), [(3, 4)]),
    ("expand_dims", lambda x: ops.expand_dims(x, (0, 2)), [(3, 4)]),
    ("squeeze", lambda x: ops.squeeze(x, 1), [(3, 1, 4)]),
    ("transpose", lambda x: ops.transpose(x, (2, 0, 1)), [(2, 3, 4)]),
    ("flip", lambda x: ops.flip(x, 1), [(3, 4)]),
    ("roll", lambda x: ops.roll(x, 2, 1), [(3, 4)]),
    ("concatenate", lambda a, b: ops.concatenate([a, b], 1), [(3, 2), (3, 4)]),
    ("stack", lambda a, b: ops.stack([a, b], 1), [(3, 4), (3, 4)]),
    ("split", lambda x: both(ops.split(x, [1, 3], 1)), [(2, 4)]),
    ("unstack", lambda x: both(ops.unstack(x, axis=1)), [(2, 3)]),
    ("get_item", lambda x: x[1:, ::2] * x[np.array([0, 2]), None][:, 0, ::2], [(3, 4)]),
    ("take", lambda x: ops.take(x, PLACES, 1), [(2, 3, 2)]),
    ("take_along_axis", lambda x: ops.take_along_axis(x, PLACES, 1), [(3, 3)]),
    ("diagonal", lambda x: ops.diagonal(x, 1), [(3, 4)]),
    ("diag", lambda x: ops.diag(x, 1), [(3,)]),
    ("tril", lambda x: ops.tril(x, -1), [(3, 4)]),
    ("broadcast_to", lambda x: ops.broadcast_to(x, (2, 3, 4)), [(3, 1)]),
    ("repeat", lambda x: ops.repeat(x, [1, 0, 2], 0), [(3, 2)]),
    ("tile", lambda x: ops.tile(x, (2, 3)), [(3, 2)]),
    ("pad", lambda x: ops.pad(x, ((1, 2), (0, 1)), constant_values=3.0), [(3, 2)]),
    ("pad-reflect", lambda x: ops.pad(x, ((1, 2), (0, 1)), mode="reflect"), [(3, 2)]),
    ("sort", lambda x: ops.sort(x, 0), [(4, 2)]),
    ("top_k", lambda x: ops.top_k(x, 2)[0], [(3, 4)]),
    ("bincount", lambda w: ops.bincount(IDS, weights=w), [(5,)]),
    ("quantile", lambda x: ops.quantile(x, [0.2, 0.7], 0), [(5, 2)]),
    ("nanmedian", lambda x: ops.nanmedian(x, (0, 1)), [(3, 2, 2)]),
    ("matmul", ops.matmul, [(2, 3, 4), (4, 5)]),
    ("einsum", lambda a, b: ops.einsum("bij,bkj->bki", a, b), [(2, 3, 4), (2, 5, 4)]),
    (
        "split_axes",
        lambda x: _split_axes(x, Tensor(np.ones((2, 3))), x, sources=((0, 0), (0, 1), (1, 1))),
        [(6, 4)],
    ),
    ("kron", ops.kron, [(2, 3), (3, 2)]),
    ("segment_sum", lambda x: ops.segment_sum(x, IDS), [(5, 2)]),
    ("segment_max", lambda x: ops.segment_max(x, IDS), [(5, 2)]),
    ("segment_min", lambda x: ops.segment_min(x, IDS), [(5, 2)]),
    ("segment_prod", lambda x: ops.segment_prod(x, IDS), [(5, 2)]),
    ("slice", lambda x: ops.slice(x, (1, 0), (2, 3)), [(3, 4)]),
    ("slice_update", lambda x, u: ops.slice_update(x, (1, 1), u), [(3, 4), (2, 2)]),
    ("scatter", lambda x: ops.scatter(np.array([[0], [2], [0]]), x, (4, 2)), [(3, 2)]),
    *[
        (
            f"scatter_update-{how}",
            lambda x, u, how=how: ops.scatter_update(x, np.array([[0], [2]]), u, how),
            [(4, 2), (2, 2)],
        )
        for how in (None, "add", "max", "min")
    ],
    ("det", lambda x: ops.det(well(x)), [(2, 3, 3)]),
    ("slogdet", lambda x: ops.slogdet(well(x))[1], [(2, 3, 3)]),
    ("inv", lambda x: ops.inv(well(x)), [(2, 3, 3)]),
    ("solve", lambda a, b: ops.solve(well(a), b), [(2, 3, 3), (2, 3, 2)]),
    ("solve_triangular", lambda a, b: ops.solve_triangular(well(a), b, lower=True), [(3, 3), (3,)]),
    ("cholesky", lambda x: ops.cholesky(spd(x)), [(2, 3, 3)]),
    ("qr", lambda x: both(ops.qr(well(x))), [(4, 3)]),
    (
        "eigh",
        lambda x: both(
            [
                p := ops.eigh(spd(x)),
            ][0][:1]
            + (turned(p[1]),)
        ),
        [(3, 3)],
    ),
    (
        "svd",
        lambda x: both(
            [
                (p := ops.svd(well(x), full_matrices=False))[1],
                turned(p[0]),
                turned(ops.transpose(p[2])),
            ]
        ),
        [(4, 3)],
    ),
    (
        "svd-wide",
        lambda x: both(
            [
                (p := ops.svd(well(x), full_matrices=False))[1],
                turned(p[0]),
                turned(ops.transpose(p[2])),
            ]
        ),
        [(3, 4)],
    ),
    ("singular_values", lambda x: ops.svd(well(x), compute_uv=False), [(4, 3)]),
    ("lstsq", lambda a, b: ops.lstsq(well(a), b), [(4, 3), (4,)]),
    ("norm", lambda x: ops.norm(x, axis=1), [(3, 4)]),
    ("fft", lambda a, b: both(ops.fft((a, b))), [(2, 4), (2, 4)]),
    ("fft2", lambda a, b: both(ops.fft2((a, b))), [(3, 4), (3, 4)]),
    ("ifft2", lambda a, b: both(ops.ifft2((a, b))), [(3, 4), (3, 4)]),
    ("rfft", lambda x: both(ops.rfft(x, 6)), [(2, 5)]),
    ("irfft", lambda a, b: ops.irfft((a, b)), [(2, 4), (2, 4)]),
    ("istft", lambda x: ops.istft(ops.stft(x, 4, 2, 4), 4, 2, 4), [(12,)]),
    ("real", _complex(ops.real), _C),
    ("imag", _complex(lambda z: ops.imag(z * z)), _C),
    ("conj", _complex(lambda z: parts(ops.conj(z) * z * z)), _C),
    ("complex-absolute", _complex(lambda z: ops.absolute(z * (2.0 + 1j))), _C),
    ("complex-angle", _complex(ops.angle), _C),
    ("complex-multiply", _complex(lambda z: parts(z * z * z)), _C),
    ("complex-divide", _complex(lambda z: parts((z + 1.0) / (z * z + (3.0 + 2j)))), _C),
    ("complex-exp", _complex(lambda z: parts(ops.exp(z) - ops.sum(z, 0))), _C),
    ("complex-matmul", _complex(lambda z: parts(ops.matmul(z, ops.transpose(z)))), _C),
    ("complex-cast", lambda a: parts(ops.cast(a, "complex128") * (1.0 + 2j)), [(3, 2)]),
    ("polar", lambda a, b: parts(ops.polar(ops.exp(a), b)), [(3, 2), (3, 2)]),
    ("softmax", lambda x: ops.softmax(x, (0, 2)), [(2, 3, 4)]),
    ("log_softmax", lambda x: ops.log_softmax(x, 1), [(2, 3, 4)]),
    ("sparsemax", lambda x: ops.sparsemax(x, 0), [(3, 4)]),
    ("glu", lambda x: ops.glu(x, 1), [(2, 4, 3)]),
    ("threshold", lambda x: ops.threshold(x, 0.1, 5.0), [(3, 4)]),
    ("mish", activations.mish, [(3, 4)]),
    ("general_relu", lambda x: activations.relu(x, 0.1, 0.5, 0.2), [(3, 4)]),
    ("squareplus-4", lambda x: ops.squareplus(x, 0.5), [(3, 4)]),
    ("gelu-exact", lambda x: ops.gelu(x, approximate=False), [(3, 4)]),
    ("moments", lambda x: both(ops.moments(x, (0, 2))), [(2, 3, 4)]),
    (
        "batch_normalization",
        lambda x, m, v, o, s: ops.batch_normalization(x, m, ops.exp(v), 1, o, s),
        [(2, 3, 4), (3,), (3,), (3,), (3,)],
    ),
    ("batch_norm_train", lambda *a: both(batch_norm_train(*a, epsilon=1e-3)), [(5, 3), (3,), (3,)]),
    (
        "batch_norm_train-relu",
        lambda *a: batch_norm_train(*a, epsilon=1e-3, relu=True)[0],
        [(5, 3), (3,), (3,)],
    ),
    (
        "layer_normalization",
        lambda *a: ops.layer_normalization(*a, axis=(1, 2)),
        [(2, 3, 4), (3, 4), (3, 4)],
    ),
    (
        "group_norm",
        lambda *a: group_norm(*a, groups=2, epsilon=1e-3),
        [(2, 3, 4, 6), (6,), (6,)],
    ),
    ("rms_normalization", lambda *a: ops.rms_normalization(*a), [(3, 4), (4,)]),
    ("normalize", lambda x: ops.normalize(x, 1, 3), [(3, 4)]),
    ("normalize-scalar", lambda x: ops.normalize(x, 0), [()]),
    ("max_pool", lambda x: ops.max_pool(x, 2, 1, "same"), [(2, 4, 5, 2)]),
    ("average_pool", lambda x: ops.average_pool(x, 2, 2, "same"), [(2, 5, 2)]),
    ("adaptive_average_pool", lambda x: ops.adaptive_average_pool(x, (2, 3)), [(1, 5, 4, 2)]),
    ("adaptive_max_pool", lambda x: ops.adaptive_max_pool(x, 2), [(2, 5, 2)]),
    ("conv", lambda x, w: ops.conv(x, w, 2, "same"), [(1, 5, 4, 2), (3, 2, 2, 3)]),
    ("depthwise_conv", lambda x, w: ops.depthwise_conv(x, w, 1, "same"), [(1, 5, 2), (3, 2, 2)]),
    (
        "conv-channels-first",
        lambda x, w, b: conv2d_bias_activation(
            x, w, b, geometry=CONV, activation="relu", channels_first=True
        ),
        [(1, 2, 4, 4), (1, 1, 2, 3), (3,)],
    ),
    ("conv_transpose", lambda x, w: ops.conv_transpose(x, w, 2), [(1, 3, 2), (3, 4, 2)]),
    (
        "conv_transpose-relu",
        lambda x, w, b: conv2d_transpose_bias_activation(
            x, w, b, size=(4, 4), geometry=CONV, activation="relu"
        ),
        [(1, 4, 4, 2), (1, 1, 3, 2), (3,)],
    ),
    ("affine", lambda x, w, b: affine(x, w, b, activation="relu"), [(2, 3, 4), (4, 5), (5,)]),
    ("affine-linear", lambda x, w: affine(x, w, None), [(3, 4), (4, 5)]),
    (
        "affine_relu_dropout",
        lambda *a: fused.affine_relu_dropout(*a, pair=SEED, rate=0.4),
        [(4, 3), (3, 5), (5,)],
    ),
    (
        "max_pool_dropout",
        lambda x: fused.max_pool_dropout(x, pool=POOL, pair=SEED, rate=0.3, flat=True),
        [(2, 4, 4, 3)],
    ),
    (
        "conv2d_pool_dropout",
        lambda *a: fused.conv2d_pool_dropout(
            *a, geometry=CONV, activation="relu", pool=POOL, pair=SEED, rate=0.3
        ),
        [(2, 4, 4, 2), (1, 1, 2, 3), (3,)],
    ),
    (
        "conv2d_dropout",
        lambda *a: fused.conv2d_pool_dropout(
            *a, geometry=CONV, activation="relu", pair=SEED, rate=0.3, flat=True
        ),
        [(2, 4, 4, 2), (1, 1, 2, 3), (3,)],
    ),
    (
        "dot_product_attention",
        lambda q, key, v, b: ops.dot_product_attention(q, key, v, b, is_causal=True),
        [(2, 3, 4, 2), (2, 3, 2, 2), (2, 3, 2, 5), (1, 4, 3, 3)],
    ),
    ("unfold", lambda x: ops.unfold(x, 2, padding=1), [(1, 2, 3, 4)]),
    ("fold", lambda x: ops.fold(x, (3, 4), 2), [(1, 8, 6)]),
    ("extract_patches", lambda x: ops.image.extract_patches(x, 2, 1), [(1, 3, 4, 2)]),
    (
        "categorical_crossentropy",
        lambda t, y: ops.categorical_crossentropy(shares(t), shares(y), axis=1),
        [(2, 3, 2), (2, 3, 2)],
    ),
    (
        "categorical_crossentropy-logits",
        lambda t, y: ops.categorical_crossentropy(ops.softmax(t), y, from_logits=True),
        [(2, 3), (2, 3)],
    ),
    (
        "sparse_categorical_crossentropy",
        lambda y: ops.sparse_categorical_crossentropy(LABELS, shares(y)),
        [(3, 3)],
    ),
    (
        "sparse_categorical_crossentropy-logits",
        lambda y: ops.sparse_categorical_crossentropy(LABELS, y, from_logits=True),
        [(3, 3)],
    ),
    (
        "binary_crossentropy",
        lambda t, y: ops.binary_crossentropy(shares(t), shares(y)),
        [(3, 4), (3, 4)],
    ),
    (
        "binary_crossentropy-logits",
        lambda t, y: ops.binary_crossentropy(shares(t), y, from_logits=True),
        [(3, 4), (3, 4)],
    ),
    ("ctc_loss", ctc, [(2, 4, 3)]),
    ("embedding_rows", lambda w: embedding_rows(w, Tensor(PLACES)), [(3, 2)]),
    ("repeat_places", lambda x: repeat_places(x, counts=(1, 2, 3)), [(2, 2, 2)]),
    (
        "affine_over",
        lambda x, w, b: affine_over(x, w, b, summed=2, activation="relu"),
        [(2, 3, 4), (3, 4, 2, 5), (2, 5)],
    ),
    *[
        (
            f"recurrent-{cell}",
            lambda x, h, c, w, r, cell=cell, kept=kept: both(
                recurrent(
                    x,
                    h,
                    c,
                    w,
                    r,
                    None,
                    None,
                    cell=cell,
                    sequences=kept == 3,
                    mask=STEPS,
                    backwards=kept == 3,
                )[:kept]
            ),
            [(2, 4, 3), (2, 2), (2, 2), (3, 2 * gates), (2, 2 * gates)],
        )
        for cell, gates, kept in (("lstm", 4, 3), ("gru", 3, 2), ("simple", 1, 2))
    ],
    (
        "recurrent-biases",
        lambda x, h, w, r, a, b: recurrent(
            x, h, Tensor(np.zeros((2, 2))), w, r, a, b, cell="gru", sequences=True
        )[0],
        [(2, 4, 3), (2, 2), (3, 6), (2, 6), (6,), (6,)],
    ),
    ("dropout", lambda x: random.dropout(x, 0.4, seed=3), [(4, 5)]),
    ("shuffle", lambda x: random.shuffle(x, seed=3), [(5, 2)]),
    ("penalty", lambda w: regularizers.L1L2(0.1, 0.2)(w), [(3, 4)]),
    ("mean_cosine", lambda w: regularizers.OrthogonalRegularizer()(w), [(3, 4)]),
]
NAMES = [name for name, _, _ in CASES]
# Gradients that are none of what is computed, but pass through it.
STRAIGHT_THROUGH = [
    (
        "fake_quant",
        lambda x, a, b: quantizers.fake_quant_with_min_max_vars(
            2.0 * x, 0.1 * a - 1.0, 0.1 * b + 1.0, axis=1
        ),
        [(5, 3), (3,), (3,)],
    ),
]
