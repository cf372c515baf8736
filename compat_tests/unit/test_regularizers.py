import numpy as np
import pytest

from kerasmirror import regularizers
from kerasmirror._export import family
from kerasmirror.autodiff.gradcheck import check_gradients

X = np.array([[1.0, -2.0, 0.5], [3.0, 0.25, -1.0]])


@pytest.mark.parametrize(
    ("regularizer", "expected"),
    [
        (regularizers.L1(0.1), 0.1 * 7.75),
        (regularizers.L2(0.1), 0.1 * 15.3125),
        (regularizers.L1L2(0.1, 0.2), 0.1 * 7.75 + 0.2 * 15.3125),
        (regularizers.L1L2(), 0.0),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, float) else "",
)
def test_the_penalty_and_its_gradient(regularizer, expected):
    value = regularizer(X)
    assert value.shape == ()
    np.testing.assert_allclose(float(value), expected, rtol=1e-12)
    check_gradients(regularizer, X)


@pytest.mark.parametrize("mode", ["rows", "columns"])
def test_the_orthogonal_penalty_is_the_mean_cosine_of_pairs(mode):
    vectors = X if mode == "rows" else X.T
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = [abs(unit[i] @ unit[j]) for i in range(len(unit)) for j in range(i + 1, len(unit))]
    regularizer = regularizers.OrthogonalRegularizer(0.3, mode)
    np.testing.assert_allclose(float(regularizer(X)), 0.3 * np.mean(cosines), rtol=1e-10)
    check_gradients(regularizer, X)


def test_half_precision_sums_in_float32():
    x = np.full((300, 300), 2.0, "float16")
    assert float(regularizers.L2(0.1)(x)) == np.float16(36000.0)
    assert regularizers.L2(0.1)(x).dtype == "float16"


@pytest.mark.parametrize("name", ["L1", "L2", "L1L2", "OrthogonalRegularizer"])
def test_a_config_rebuilds_the_regularizer(name):
    first = getattr(regularizers, name)(0.25)
    config = regularizers.serialize(first)
    assert config["module"] == "keras.regularizers"
    for twin in (regularizers.deserialize(config), regularizers.get(config)):
        assert type(twin) is type(first)
        assert twin.get_config() == first.get_config()


def test_every_public_name_is_found_by_get():
    for name, cls in family("regularizers").items():
        if name not in ("get", "serialize", "deserialize"):
            assert type(regularizers.get(name)) is cls
    assert regularizers.get(None) is None
    assert regularizers.get(np.sum) is np.sum
    with pytest.raises(ValueError, match="regularizers.get: `identifier` must be the name of a"):
        regularizers.get("typo")


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), "a"])
def test_a_factor_must_be_finite_and_not_negative(value):
    with pytest.raises(ValueError) as error:
        regularizers.L2(value)
    assert str(error.value) == (
        f"regularizers.L2: `l2` must be a finite number of at least 0. Received: l2={value!r}"
    )


def test_other_mistakes_are_named():
    with pytest.raises(ValueError) as error:
        regularizers.OrthogonalRegularizer(mode="diagonal")
    assert str(error.value) == (
        'Invalid value for argument `mode`. Expected one of {"rows", "columns"}. '
        "Received: mode=diagonal"
    )
    with pytest.raises(ValueError) as error:
        regularizers.OrthogonalRegularizer()(np.ones(3))
    assert str(error.value) == (
        "Inputs to OrthogonalRegularizer must have rank 2. Received: inputs.shape=(3,)"
    )
    with pytest.raises(NotImplementedError):
        regularizers.Regularizer().get_config()
