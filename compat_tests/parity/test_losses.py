"""keras.losses against Keras on TensorFlow: values and gradients."""

import warnings

import numpy as np
import pytest
from side_by_side import assert_near, on_keras, on_mirror, real_keras, run_both

import kerasmirror

pytestmark = pytest.mark.keras

RNG = np.random.default_rng(3)
N, K = 7, 5


def one_hot(shape=(N, K)):
    return np.eye(shape[-1], dtype="float32")[RNG.integers(0, shape[-1], shape[:-1])]


def probabilities(shape=(N, K)):
    p = RNG.uniform(0.05, 1, shape)
    return (p / p.sum(-1, keepdims=True)).astype("float32")


def normal(*shape):
    return RNG.standard_normal(shape).astype("float32")


def positive(*shape):
    return RNG.uniform(0.1, 3, shape).astype("float32")


def bits(*shape):
    return RNG.integers(0, 2, shape).astype("float32")


def unit(*shape):
    x = normal(*shape)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


NUMBERS = (normal(N, K), normal(N, K))
# class, options, y_true, y_pred
CASES = {
    "mse": ("MeanSquaredError", {}, *NUMBERS),
    "mse-rank-1": ("MeanSquaredError", {}, normal(N), normal(N, 1)),
    "mse-rank-3": ("MeanSquaredError", {}, normal(N, 3, K), normal(N, 3, K)),
    "mse-targets-of-higher-rank": ("MeanSquaredError", {}, normal(N, K, 1), normal(N, K)),
    "mae": ("MeanAbsoluteError", {}, *NUMBERS),
    "mape": ("MeanAbsolutePercentageError", {}, *NUMBERS),
    "mape-zero-target": ("MeanAbsolutePercentageError", {}, bits(N, K), 0.01 * normal(N, K)),
    "msle": ("MeanSquaredLogarithmicError", {}, positive(N, K), positive(N, K)),
    "msle-negative": ("MeanSquaredLogarithmicError", {}, *NUMBERS),
    "cosine": ("CosineSimilarity", {}, *NUMBERS),
    "cosine-axis": ("CosineSimilarity", {"axis": 1}, normal(N, 4, 3), normal(N, 4, 3)),
    "huber": ("Huber", {}, *NUMBERS),
    "huber-delta": ("Huber", {"delta": 0.3}, *NUMBERS),
    "log-cosh": ("LogCosh", {}, *NUMBERS),
    "log-cosh-far": ("LogCosh", {}, 100 * normal(N, K), 100 * normal(N, K)),
    "hinge": ("Hinge", {}, 2 * bits(N, K) - 1, normal(N, K)),
    "hinge-0-1": ("Hinge", {}, bits(N, K), normal(N, K)),
    "squared-hinge": ("SquaredHinge", {}, bits(N, K), normal(N, K)),
    "categorical-hinge": ("CategoricalHinge", {}, one_hot(), normal(N, K)),
    "kl": ("KLDivergence", {}, probabilities(), probabilities()),
    "kl-zeros": ("KLDivergence", {}, one_hot(), probabilities()),
    "poisson": ("Poisson", {}, positive(N, K), positive(N, K)),
    "bce": ("BinaryCrossentropy", {}, bits(N, K), RNG.uniform(0, 1, (N, K)).astype("f4")),
    "bce-0-and-1": ("BinaryCrossentropy", {}, bits(N, K), bits(N, K)),
    "bce-logits": ("BinaryCrossentropy", {"from_logits": True}, bits(N, K), normal(N, K)),
    "bce-smoothed": (
        "BinaryCrossentropy",
        {"from_logits": True, "label_smoothing": 0.2},
        bits(N, K),
        normal(N, K),
    ),
    "bce-rank-1": ("BinaryCrossentropy", {"from_logits": True}, bits(N), normal(N, 1)),
    "bce-axis": ("BinaryCrossentropy", {"axis": 1}, bits(N, 4, 3), positive(N, 4, 3) / 4),
    "focal": ("BinaryFocalCrossentropy", {}, bits(N, K), positive(N, K) / 4),
    "focal-balanced": (
        "BinaryFocalCrossentropy",
        {
            "apply_class_balancing": True,
            "alpha": 0.3,
            "gamma": 1.5,
            "from_logits": True,
            "label_smoothing": 0.1,
        },
        bits(N, K),
        normal(N, K),
    ),
    "cce": ("CategoricalCrossentropy", {}, one_hot(), probabilities()),
    "cce-unnormalized": ("CategoricalCrossentropy", {}, one_hot(), positive(N, K)),
    "cce-logits": ("CategoricalCrossentropy", {"from_logits": True}, one_hot(), normal(N, K)),
    "cce-smoothed": (
        "CategoricalCrossentropy",
        {"from_logits": True, "label_smoothing": 0.1},
        one_hot(),
        normal(N, K),
    ),
    "cce-axis": (
        "CategoricalCrossentropy",
        {"from_logits": True, "axis": 1},
        np.swapaxes(one_hot((N, 3, K)), 1, 2).copy(),
        normal(N, K, 3),
    ),
    "categorical-focal": ("CategoricalFocalCrossentropy", {}, one_hot(), probabilities()),
    "categorical-focal-options": (
        "CategoricalFocalCrossentropy",
        {"alpha": 0.5, "gamma": 1.2, "from_logits": True, "label_smoothing": 0.1},
        one_hot(),
        normal(N, K),
    ),
    "scce": ("SparseCategoricalCrossentropy", {}, RNG.integers(0, K, N), probabilities()),
    "scce-column": (
        "SparseCategoricalCrossentropy",
        {},
        RNG.integers(0, K, (N, 1)),
        probabilities(),
    ),
    "scce-logits": (
        "SparseCategoricalCrossentropy",
        {"from_logits": True},
        RNG.integers(0, K, (N, 3)),
        normal(N, 3, K),
    ),
    "scce-ignore": (
        "SparseCategoricalCrossentropy",
        {"from_logits": True, "ignore_class": 0},
        np.array([0, 1, 2, 0, 4, 3, 1]),
        normal(N, K),
    ),
    "scce-ignore-outside": (
        "SparseCategoricalCrossentropy",
        {"ignore_class": -1},
        np.array([-1, 1, 2, -1, 4, 3, 1]),
        probabilities(),
    ),
    "generalized": (
        "CategoricalGeneralizedCrossEntropy",
        {"q": 0.7},
        RNG.integers(0, K, N),
        probabilities(),
    ),
    "dice": ("Dice", {}, bits(N, 4, 3), probabilities((N, 4, 3))),
    "dice-axis": ("Dice", {"axis": (1, 2)}, bits(N, 4, 3), probabilities((N, 4, 3))),
    "tversky": (
        "Tversky",
        {"alpha": 0.2, "beta": 0.7, "axis": (1, 2)},
        bits(N, 4, 3),
        probabilities((N, 4, 3)),
    ),
    "tversky-all": ("Tversky", {}, bits(N, 4, 3), probabilities((N, 4, 3))),
    "circle": ("Circle", {"gamma": 4.0}, RNG.integers(0, 3, N), unit(N, K)),
    "circle-with-itself": (
        "Circle",
        {"gamma": 2.0, "margin": 0.3, "remove_diagonal": False},
        RNG.integers(0, 3, N),
        unit(N, K),
    ),
}
REDUCTIONS = ("sum_over_batch_size", "sum", "mean_with_sample_weight", "none")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_losses_and_gradients_are_those_of_keras(case, reduction):
    name, options, y_true, y_pred = CASES[case]

    def loss(keras, y_pred):
        return getattr(keras.losses, name)(reduction=reduction, **options)(y_true, y_pred)

    run_both(loss, y_pred, rtol=2e-5)


WEIGHTS = {
    "each": positive(N),
    "column": positive(N, 1),
    "zeros": np.zeros(N, "float32"),
    "ints": np.arange(N),
}


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("case", ["mse", "scce-logits-2d", "scce-ignore", "bce"])
def test_sample_weights_count_as_in_keras(case, reduction, weights):
    if case == "scce-logits-2d":
        name, options = "SparseCategoricalCrossentropy", {"from_logits": True}
        y_true, y_pred = np.arange(N) % K, NUMBERS[1]
    else:
        name, options, y_true, y_pred = CASES[case]

    def loss(keras, y_pred):
        loss = getattr(keras.losses, name)(reduction=reduction, **options)
        return loss(y_true, y_pred, sample_weight=WEIGHTS[weights])

    run_both(loss, y_pred, rtol=2e-5)


@pytest.mark.parametrize("shape", [(N,), (N, 3), (N, 1), (N, 3, 1)])
def test_weights_of_time_steps_count_as_in_keras(shape):
    weights = positive(*shape) if shape != (N,) else None
    y_true, y_pred = normal(N, 3, K), normal(N, 3, K)
    run_both(
        lambda keras, p: keras.losses.MeanSquaredError()(y_true, p, sample_weight=weights), y_pred
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("rank", [1, 2])
def test_masks_leave_samples_out_as_in_keras(reduction, weighted, rank):
    shape = (N, 4, K) if rank == 2 else (N, K)
    y_true, y_pred = normal(*shape), normal(*shape)
    mask = RNG.integers(0, 2, shape[:-1]).astype(bool)
    weights = positive(*shape[:-1]) if weighted else None

    def loss(keras, y_pred):
        loss = keras.losses.MeanSquaredError(reduction=reduction)
        if keras is kerasmirror:
            y_pred.mask = mask
        else:
            y_pred._keras_mask = keras.ops.convert_to_tensor(mask)
        return loss(y_true, y_pred, sample_weight=weights)

    run_both(loss, y_pred)


@pytest.mark.parametrize("activation, name", [
    ("softmax", "SparseCategoricalCrossentropy"),
    ("softmax", "CategoricalCrossentropy"),
    ("sigmoid", "BinaryCrossentropy"),
])  # fmt: skip
def test_entropies_use_the_logits_behind_an_activation(activation, name):
    logits = 30 * normal(N, K)
    y_true = np.arange(N) % K if name.startswith("Sparse") else one_hot()

    def loss(keras, logits):
        y_pred = getattr(keras.activations, activation)(logits)
        return getattr(keras.losses, name)()(y_true, y_pred)

    run_both(loss, logits, rtol=2e-5)


def test_a_subclass_and_a_wrapped_function_reduce_as_in_keras():
    y_true, y_pred = NUMBERS

    def loss(keras, y_pred):
        class Cubic(keras.losses.Loss):
            def call(self, y_true, y_pred):
                return keras.ops.mean(keras.ops.abs(y_true - y_pred) ** 3, axis=-1)

        return Cubic(reduction="sum")(y_true, y_pred)

    run_both(loss, y_pred)


FUNCTIONS = (
    "binary_crossentropy binary_focal_crossentropy categorical_crossentropy huber hinge "
    "kl_divergence "
    "categorical_focal_crossentropy categorical_hinge cosine_similarity dice log_cosh poisson "
    "mean_absolute_error mean_absolute_percentage_error mean_squared_error squared_hinge tversky "
    "mean_squared_logarithmic_error"
).split()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_forms_are_those_of_keras(name):
    y_true, y_pred = one_hot(), probabilities()
    run_both(lambda keras, p: getattr(keras.losses, name)(y_true, p), y_pred, rtol=2e-5)


def test_all_public_names_are_there():
    keras, _ = real_keras()
    theirs = {name for name in dir(keras.losses) if not name.startswith("_")}
    missing = {name for name in theirs if not hasattr(kerasmirror.losses, name)}
    assert missing == set()


@pytest.mark.parametrize("case", CASES)
def test_configs_rebuild_the_loss_on_either_side(case):
    keras, _ = real_keras()
    name, options, y_true, y_pred = CASES[case]
    ours = getattr(kerasmirror.losses, name)(**options)
    theirs = getattr(keras.losses, name)(**options)
    config = theirs.get_config()
    assert {key: ours.get_config()[key] for key in config} == config
    expected, _, _ = on_keras(lambda keras, p: theirs(y_true, p), [y_pred])
    # Not keras.losses.deserialize, which misses one of its own losses.
    read = keras.saving.deserialize_keras_object(kerasmirror.losses.serialize(ours))
    (actual,), _, _ = on_keras(lambda keras, p: read(y_true, p), [y_pred])
    assert_near(actual, expected[0], "ours, read by Keras")
    rebuilt = kerasmirror.losses.deserialize(kerasmirror.losses.serialize(ours))
    (actual,), _ = on_mirror(lambda k, p: rebuilt(y_true, p), [y_pred], [np.float32(1)])
    assert_near(actual, expected[0], "ours, read by us", rtol=2e-5)


def test_one_class_warns_as_in_keras():
    keras, _ = real_keras()
    for module in (keras, kerasmirror):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            module.losses.categorical_crossentropy(np.ones((2, 1), "f4"), np.ones((2, 1), "f4"))
        messages = [str(w.message) for w in caught if w.category is SyntaxWarning]
        assert len(messages) == 1 and "Consider using 'binary_crossentropy'" in messages[0]
