import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror import constraints
from kerasmirror._export import family
from kerasmirror.autodiff.gradcheck import check_gradients

W = np.array([[3.0, 0.1, -1.0], [4.0, 0.2, 0.5]])


def norms(w, axis=0):
    return np.linalg.norm(np.asarray(w), axis=axis)


def test_max_norm_shrinks_what_is_too_long():
    w = constraints.MaxNorm(2.0)(W)
    np.testing.assert_allclose(norms(w), np.minimum(norms(W), 2.0), rtol=1e-5)
    np.testing.assert_allclose(np.asarray(w)[:, 0], W[:, 0] * 2 / 5, rtol=1e-5)


def test_norms_may_go_over_several_axes(rng):
    w = rng.standard_normal((3, 3, 2, 4))
    limited = np.asarray(constraints.MaxNorm(0.5, axis=[0, 1, 2])(w)).reshape(-1, 4)
    np.testing.assert_allclose(norms(limited), 0.5, rtol=1e-5)


def test_unit_norm_makes_all_norms_one():
    np.testing.assert_allclose(norms(constraints.UnitNorm(1)(W), 1), 1.0, rtol=1e-5)


def test_non_neg_cuts_at_zero():
    np.testing.assert_array_equal(np.asarray(constraints.NonNeg()(W)), np.maximum(W, 0))


@pytest.mark.parametrize("rate", [1.0, 0.3])
def test_min_max_norm_moves_norms_into_the_bounds(rate):
    w = constraints.MinMaxNorm(0.5, 2.0, rate)(W)
    expected = rate * np.clip(norms(W), 0.5, 2.0) + (1 - rate) * norms(W)
    np.testing.assert_allclose(norms(w), expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["MaxNorm", "UnitNorm", "MinMaxNorm", "NonNeg"])
def test_gradients_dtype_and_config(name):
    constraint = getattr(constraints, name)()
    check_gradients(constraint, W)
    assert constraint(W.astype("float32")).dtype == "float32"
    assert constraint(keras.Variable(W)).shape == W.shape
    config = constraints.serialize(constraint)
    for twin in (constraints.deserialize(config), constraints.get(config)):
        assert type(twin) is type(constraint)
        assert twin.get_config() == constraint.get_config()


def test_every_public_name_is_found_by_get():
    for name, cls in family("constraints").items():
        if name not in ("get", "serialize", "deserialize"):
            assert type(constraints.get(name)) is cls
    assert constraints.get(None) is None
    with pytest.raises(ValueError, match="constraints.get: `identifier` must be the name of a"):
        constraints.get("typo")


@pytest.mark.parametrize("name", ["min_value", "max_value", "rate"])
def test_a_bound_must_not_be_negative(name):
    with pytest.raises(ValueError) as error:
        constraints.MinMaxNorm(**{name: -1.0})
    assert str(error.value) == (
        f"constraints.MinMaxNorm: `{name}` must be a number of at least 0. Received: {name}=-1.0"
    )
