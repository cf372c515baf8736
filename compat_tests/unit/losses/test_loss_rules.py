"""Losses: reductions, weights and masks by hand, gradients, errors."""

import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror.autodiff.gradcheck import check_gradients

TARGETS = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], "float32")
PREDICTIONS = np.array([[0.5, 0.0], [0.0, 3.0], [1.0, 0.0]], "float32")
ERRORS = np.array([0.125, 2.0, 0.5])  # mean squared error of each row


def loss(reduction="sum_over_batch_size", weights=None, mask=None):
    y_pred = keras.ops.convert_to_tensor(PREDICTIONS)
    if mask is not None:
        y_pred.mask = np.array(mask)
    value = keras.losses.MeanSquaredError(reduction=reduction)(TARGETS, y_pred, weights)
    return value.numpy()


@pytest.mark.parametrize("reduction, expected", [
    ("sum_over_batch_size", ERRORS.mean()),
    ("mean", ERRORS.mean()),
    ("mean_with_sample_weight", ERRORS.mean()),
    ("sum", ERRORS.sum()),
    ("none", ERRORS),
    (None, ERRORS),
])  # fmt: skip
def test_reductions(reduction, expected):
    np.testing.assert_allclose(loss(reduction), expected, rtol=1e-6)


@pytest.mark.parametrize("reduction, expected", [
    ("sum_over_batch_size", (0.125 + 4.0) / 3),
    ("mean_with_sample_weight", (0.125 + 4.0) / 3),
    ("sum", 0.125 + 4.0),
    ("none", [0.125, 4.0, 0.0]),
])  # fmt: skip
def test_sample_weights_multiply(reduction, expected):
    weights = np.array([1, 2, 0], "float32")
    np.testing.assert_allclose(loss(reduction, weights), expected, rtol=1e-6)


def test_weights_that_sum_to_zero_give_zero():
    assert loss("mean_with_sample_weight", np.zeros(3, "float32")) == 0


def test_masked_samples_count_neither_above_nor_below():
    np.testing.assert_allclose(loss(mask=[True, False, True]), (0.125 + 0.5) / 2, rtol=1e-6)
    assert loss(mask=[False] * 3) == 0


def test_no_samples_give_no_losses_or_zero():
    empty = np.zeros((0, 2), "float32")
    assert keras.losses.MeanSquaredError()(empty, empty).shape == (0,)
    steps = np.zeros((0, 3, 2), "float32")
    assert float(keras.losses.MeanSquaredError()(steps, steps)) == 0


DIFFERENTIABLE = {
    "MeanSquaredError": {},
    "MeanAbsolutePercentageError": {},
    "CosineSimilarity": {},
    "Huber": {"delta": 0.7},
    "LogCosh": {},
    "Poisson": {},
    "KLDivergence": {},
    "BinaryCrossentropy": {"label_smoothing": 0.1},
    "BinaryFocalCrossentropy": {"apply_class_balancing": True},
    "CategoricalCrossentropy": {},
    "CategoricalFocalCrossentropy": {},
    "Dice": {},
    "Tversky": {"alpha": 0.3},
    "SquaredHinge": {},
}


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradients_match_finite_differences(rng, name):
    y_true = rng.uniform(0.2, 0.8, (5, 3))
    function = getattr(keras.losses, name)(dtype="float64", **DIFFERENTIABLE[name])
    check_gradients(
        lambda y_pred: function(y_true, y_pred), rng.uniform(0.1, 0.9, (5, 3)), rtol=1e-5
    )


def test_sparse_gradients_match_finite_differences(rng):
    function = keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype="float64")
    labels = np.array([0, 2, 1, 1, 2])
    check_gradients(lambda x: function(labels, x), rng.normal(size=(5, 3)), rtol=1e-5)


def test_weights_get_gradients_too(rng):
    errors = rng.uniform(0.5, 1, 4).astype("float32")
    weights = keras.ops.convert_to_tensor(np.ones(4, "float32"))
    with keras.autodiff.GradientTape() as tape:
        tape.watch(weights)
        value = keras.losses.MeanSquaredError("sum")(
            np.zeros((4, 1), "float32"), errors[:, None], weights
        )
    np.testing.assert_allclose(tape.gradient(value, weights).numpy(), errors**2, rtol=1e-6)


def test_short_long_and_class_names_are_found():
    losses = keras.losses
    for name in ("mse", "MSE", "mean_squared_error"):
        assert losses.get(name) is losses.mean_squared_error
    assert isinstance(losses.get("MeanSquaredError"), losses.MeanSquaredError)
    assert isinstance(losses.get(losses.Huber), losses.Huber)
    assert isinstance(losses.get({"class_name": "Huber", "config": {"delta": 2.0}}), losses.Huber)
    assert losses.get(losses.hinge) is losses.hinge and losses.get(None) is None


MISTAKES = {
    "Huber: Invalid value for argument `reduction`, it must be one of 'sum_over_batch_size', "
    "'sum', 'mean', 'mean_with_sample_weight', 'none', None. Received: reduction='average'": (
        lambda: keras.losses.Huber(reduction="average")
    ),
    "CategoricalGeneralizedCrossEntropy: `q` must be between 0 and 1, both excluded. "
    "Received: q=1": lambda: keras.losses.CategoricalGeneralizedCrossEntropy(q=1),
    "categorical_crossentropy: `axis` must be an int. Received: axis=True": (
        lambda: keras.losses.categorical_crossentropy(TARGETS, PREDICTIONS, axis=True)
    ),
    "keras.losses.get: `identifier` must be a name, a config dict, a callable or a loss. "
    "Received: identifier=7": lambda: keras.losses.get(7),
    "losses.ctc: `y_true` must have shape (batch, labels). Received: y_true.shape=(3,)": (
        lambda: keras.losses.ctc(np.ones(3, int), np.ones((3, 2, 2), "float32"))
    ),
}


@pytest.mark.parametrize("text", MISTAKES)
def test_mistakes_are_named(text):
    with pytest.raises(ValueError) as raised:
        MISTAKES[text]()
    assert str(raised.value) == text


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="Received: identifier='mean_cubed_error'") as raised:
        keras.losses.get("mean_cubed_error")
    assert "mean_squared_error" in str(raised.value)


def test_a_loss_without_call_is_named():
    class Own(keras.losses.Loss):
        pass

    with pytest.raises(NotImplementedError) as raised:
        Own()(TARGETS, PREDICTIONS)
    assert str(raised.value) == "Own has no `call` method."


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="do not broadcast"):
        keras.losses.MeanSquaredError()(np.ones((3, 2)), np.ones((4, 2), "float32"))


def test_a_sparse_entropy_on_a_softmax_runs_three_primitives():
    logits = keras.ops.convert_to_tensor(PREDICTIONS)
    with keras.autodiff.GradientTape() as tape:
        tape.watch(logits)
        y_pred = keras.activations.softmax(logits)
        keras.losses.SparseCategoricalCrossentropy()(np.array([0, 1, 0]), y_pred)
        # softmax, the entropy from its logits, the mean
        assert len(tape._records) == 3
