"""keras.ops.nn against Keras on TensorFlow: values and gradients."""

import numpy as np
import pytest
from side_by_side import run_both

pytestmark = pytest.mark.keras
RNG = np.random.default_rng(3)


def normal(*shape, dtype="float32", scale=1.0):
    return (RNG.standard_normal(shape) * scale).astype(dtype)


# Around all corners of the activations' formulas, and far out on both sides.
POINTS = np.concatenate(
    [
        np.linspace(-7, 7, 57),
        [-90, -30, -6, -3, -1, -0.5, -0.2, 0, 0.2, 0.5, 1, 1.5, 3, 6, 30, 90],
        np.random.default_rng(1).standard_normal(100) * 3,
    ]
).astype("float32")

UNARY = (
    "relu relu6 sigmoid sparse_sigmoid silu swish log_sigmoid hard_sigmoid hard_silu hard_swish "
    "hard_tanh tanh_shrink selu softplus softsign sparse_plus leaky_relu hard_shrink soft_shrink "
    "elu celu squareplus gelu"
).split()


@pytest.mark.parametrize("name", UNARY)
def test_activation_matches(name):
    run_both(lambda keras, x: getattr(keras.ops, name)(x), POINTS)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("leaky_relu", {"negative_slope": 0.37}),
        ("hard_shrink", {"threshold": 1.25}),
        ("soft_shrink", {"threshold": 1.25}),
        ("elu", {"alpha": 1.7}),
        ("celu", {"alpha": 0.6}),
        ("squareplus", {"b": 2.5}),
        ("gelu", {"approximate": False}),
        ("threshold", {"threshold": 0.5, "default_value": -2.0}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_activation_with_options_matches(name, options):
    run_both(lambda keras, x: getattr(keras.ops.nn, name)(x, **options), POINTS)


@pytest.mark.parametrize("name", [n for n in UNARY if n not in ("swish", "hard_swish")])
def test_activation_in_half_precision_is_near(name):
    x = POINTS[np.abs(POINTS) < 20].astype("float16")
    run_both(lambda keras, x: getattr(keras.ops, name)(x), x, rtol=4e-3)


@pytest.mark.parametrize("axis", [-1, 0, 1, None, (1, 2), (0, 2)])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_matches(name, axis):
    x = normal(3, 4, 5, scale=3)
    run_both(lambda keras, x: getattr(keras.ops, name)(x, axis=axis), x)


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_sparsemax_matches(axis):
    run_both(lambda keras, x: keras.ops.sparsemax(x, axis=axis), normal(3, 4, 5))


@pytest.mark.parametrize("axis", [-1, 1])
def test_glu_matches(axis):
    run_both(lambda keras, x: keras.ops.glu(x, axis=axis), normal(3, 4, 6))


CONVOLUTIONS = [
    ((2, 9, 8, 3), (3, 3, 3, 4), {}),
    ((2, 9, 8, 3), (3, 2, 3, 4), {"strides": 2, "padding": "same"}),
    ((2, 9, 8, 3), (3, 2, 3, 4), {"strides": (2, 1), "padding": "valid"}),
    ((2, 9, 8, 3), (2, 3, 3, 4), {"padding": "same", "dilation_rate": 2}),
    ((2, 9, 8, 4), (3, 3, 2, 6), {"padding": "same"}),
    ((1, 5, 5, 40), (1, 1, 40, 33), {}),
    ((2, 11, 3), (4, 3, 5), {"strides": 3, "padding": "same"}),
    ((2, 11, 3), (4, 3, 5), {"dilation_rate": 2}),
]


@pytest.mark.parametrize(("x", "w", "options"), CONVOLUTIONS)
def test_conv_matches(x, w, options):
    run_both(lambda keras, x, w: keras.ops.conv(x, w, **options), normal(*x), normal(*w))


@pytest.mark.parametrize(
    ("x", "w", "options"),
    [
        ((2, 9, 8, 3), (3, 3, 3, 2), {}),
        ((2, 9, 8, 3), (3, 2, 3, 1), {"strides": 2, "padding": "same"}),
        ((2, 9, 8, 3), (3, 3, 3, 2), {"padding": "same", "dilation_rate": 2}),
        ((2, 11, 3), (4, 3, 2), {"strides": 2, "padding": "same"}),
    ],
)
def test_depthwise_conv_matches(x, w, options):
    run_both(lambda keras, x, w: keras.ops.depthwise_conv(x, w, **options), normal(*x), normal(*w))


def test_separable_conv_matches():
    run_both(
        lambda keras, x, d, p: keras.ops.separable_conv(x, d, p, 2, "same"),
        normal(2, 9, 8, 3),
        normal(3, 3, 3, 2),
        normal(1, 1, 6, 4),
    )


@pytest.mark.parametrize(
    ("x", "w", "options"),
    [
        ((2, 4, 5, 3), (3, 3, 4, 3), {}),
        ((2, 4, 5, 3), (3, 2, 4, 3), {"strides": 2, "padding": "same"}),
        ((2, 4, 5, 3), (2, 2, 4, 3), {"strides": 3}),
        ((2, 4, 5, 3), (3, 3, 4, 3), {"strides": 2, "padding": "same", "output_padding": 0}),
        ((2, 4, 5, 3), (3, 3, 4, 3), {"strides": 2, "output_padding": 1}),
        ((2, 7, 3), (4, 5, 3), {"strides": 2, "padding": "same"}),
    ],
)
def test_conv_transpose_matches(x, w, options):
    run_both(lambda keras, x, w: keras.ops.conv_transpose(x, w, **options), normal(*x), normal(*w))


POOLS = [
    ((2, 9, 8, 3), 2, {}),
    ((2, 9, 8, 3), (3, 2), {"strides": (2, 1), "padding": "same"}),
    ((2, 9, 8, 3), 3, {"strides": 1, "padding": "same"}),
    ((2, 9, 8, 3), 2, {"strides": 3}),
    ((2, 11, 3), 3, {"padding": "same"}),
    ((2, 11, 3), 2, {"strides": 1}),
]


@pytest.mark.parametrize(("x", "window", "options"), POOLS)
@pytest.mark.parametrize("name", ["max_pool", "average_pool"])
def test_pooling_matches(name, x, window, options):
    run_both(lambda keras, x: getattr(keras.ops, name)(x, window, **options), normal(*x))


@pytest.mark.parametrize("name", ["max_pool", "average_pool"])
def test_pooling_of_channels_first_matches(name):
    def pool(keras, x):
        return getattr(keras.ops, name)(x, 2, padding="same", data_format="channels_first")

    run_both(pool, normal(2, 3, 9, 8))
    run_both(pool, normal(2, 3, 9))


def test_max_pool_gives_a_tie_to_the_first_place():
    run_both(lambda keras, x: keras.ops.max_pool(x, 2), np.zeros((1, 4, 4, 2), "float32"))


@pytest.mark.parametrize("name", ["adaptive_max_pool", "adaptive_average_pool"])
def test_adaptive_pooling_matches(name):
    def pool(size, data_format="channels_last"):
        return lambda keras, x: getattr(keras.ops, name)(x, size, data_format)

    run_both(pool((3, 5)), normal(2, 7, 9, 3))
    run_both(pool((2, 2)), normal(2, 8, 5, 3))
    run_both(pool((4,)), normal(2, 11, 3))
    run_both(pool((3, 2), "channels_first"), normal(2, 3, 7, 6))


@pytest.mark.parametrize("axes", [[0], [0, 1], [-1], [0, 2]])
@pytest.mark.parametrize("keepdims", [False, True])
def test_moments_match(axes, keepdims):
    run_both(lambda keras, x: keras.ops.moments(x, axes, keepdims), normal(3, 4, 5) + 2)


@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("affine", [False, True])
def test_batch_normalization_matches(axis, affine):
    x = normal(2, 4, 3, 4)
    vectors = [normal(4), np.abs(normal(4)) + 0.2]
    if affine:
        vectors += [normal(4), normal(4)]
    run_both(
        lambda keras, x, *v: keras.ops.batch_normalization(x, v[0], v[1], axis, *v[2:]), x, *vectors
    )


@pytest.mark.parametrize("axis", [-1, 1, [1, 2]])
def test_layer_normalization_matches(axis):
    x = normal(3, 4, 5)
    shape = [x.shape[i] for i in (axis if isinstance(axis, list) else [axis])]
    run_both(
        lambda keras, x, g, b: keras.ops.layer_normalization(x, g, b, axis=axis, epsilon=1e-3),
        x,
        normal(*shape),
        normal(*shape),
    )


def test_layer_normalization_without_scale_matches():
    run_both(lambda keras, x: keras.ops.layer_normalization(x), normal(3, 4, 5))


@pytest.mark.parametrize("axis", [-1, (1, 2)])
def test_rms_normalization_matches(axis):
    run_both(lambda keras, x: keras.ops.rms_normalization(x, axis=axis), normal(3, 4, 5))
    run_both(lambda keras, x, s: keras.ops.rms_normalization(x, s), normal(3, 4), normal(4))


@pytest.mark.parametrize("options", [{}, {"axis": 0}, {"order": 1}, {"order": 3, "axis": 1}])
def test_normalize_matches(options):
    run_both(lambda keras, x: keras.ops.normalize(x, **options), normal(3, 4, 5))


PROBABILITIES = np.array(
    [[0.7, 0.2, 0.1], [0.0, 1.0, 0.0], [1e-9, 0.5, 0.5], [0.3, 0.3, 0.3]], "float32"
)
ONE_HOT = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0], [0, 1, 0]], "float32")
LABELS = np.array([2, 1, 0, 1], "int32")


@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("axis", [-1, 0])
def test_categorical_crossentropy_matches(from_logits, axis):
    def loss(keras, target, output):
        return keras.ops.categorical_crossentropy(target, output, from_logits, axis)

    run_both(loss, ONE_HOT, normal(4, 3, scale=4) if from_logits else np.abs(normal(4, 3)))


def test_categorical_crossentropy_clips_probabilities_as_keras_does():
    run_both(lambda keras, t, p: keras.ops.categorical_crossentropy(t, p), ONE_HOT, PROBABILITIES)


@pytest.mark.parametrize("from_logits", [False, True])
def test_sparse_categorical_crossentropy_matches(from_logits):
    output = normal(4, 3, scale=4) if from_logits else PROBABILITIES

    def loss(keras, output):
        return keras.ops.sparse_categorical_crossentropy(LABELS, output, from_logits)

    def column(keras, output):
        target = LABELS[:, None].astype("float32")
        return keras.ops.sparse_categorical_crossentropy(target, output, from_logits)

    run_both(loss, output)
    run_both(column, output)


@pytest.mark.parametrize("from_logits", [False, True])
def test_binary_crossentropy_matches(from_logits):
    target = np.array([[0, 1, 1], [0.3, 0, 1]], "float32")
    output = np.array([[0.2, 0.9, 0.0], [0.5, 1.0, 1e-9]], "float32")
    if from_logits:
        output = normal(2, 3, scale=9)
    run_both(lambda keras, t, p: keras.ops.binary_crossentropy(t, p, from_logits), target, output)


@pytest.mark.parametrize("scale", [1, 60])
def test_cross_entropies_use_the_logits_of_a_softmax_or_sigmoid(scale):
    logits = normal(4, 3, scale=scale)

    def losses(keras, x):
        return (
            keras.ops.categorical_crossentropy(ONE_HOT, keras.ops.softmax(x)),
            keras.ops.sparse_categorical_crossentropy(LABELS, keras.activations.softmax(x)),
            keras.ops.binary_crossentropy(ONE_HOT, keras.activations.sigmoid(x)),
        )

    run_both(losses, logits)


def test_one_hot_and_multi_hot_match():
    x = np.array([[0, 2, -1], [1, 7, 1]])

    def encode(keras):
        return (
            keras.ops.one_hot(x, 3),
            keras.ops.one_hot(x, 3, axis=0),
            keras.ops.one_hot(x, 4, axis=1, dtype="int32"),
            keras.ops.multi_hot(x, 3),
            keras.ops.multi_hot(x[0], 3, dtype="int32"),
        )

    run_both(encode, gradients=False)
