"""Normalization layers check their axes and epsilon alike, when they are made."""

import numpy as np
import pytest

from kerasmirror import layers

WITH_EPSILON = (
    layers.BatchNormalization,
    layers.GroupNormalization,
    layers.LayerNormalization,
    layers.RMSNormalization,
)
OF_SAMPLES = (layers.LayerNormalization, layers.RMSNormalization, layers.UnitNormalization)


@pytest.mark.parametrize("cls", WITH_EPSILON)
@pytest.mark.parametrize("epsilon", [-1, "a", float("nan")])
def test_epsilon_is_at_least_zero(cls, epsilon):
    with pytest.raises(ValueError) as caught:
        cls(epsilon=epsilon)
    assert str(caught.value) == (
        f"{cls.__name__}: `epsilon` must be a number of at least 0. Received: epsilon={epsilon!r}"
    )


@pytest.mark.parametrize("cls", OF_SAMPLES)
@pytest.mark.parametrize("axis", [1.5, [1.5], [1, "a"], None, True, [True]])
def test_axes_are_ints(cls, axis):
    with pytest.raises(TypeError, match=rf"{cls.__name__}: .*list/tuple of ints.*Received: axis="):
        cls(axis=axis)


@pytest.mark.parametrize("axis", [1.5, [1], None])
def test_groups_lie_along_one_axis(axis):
    with pytest.raises(TypeError, match="GroupNormalization: `axis` must be an int. Received"):
        layers.GroupNormalization(2, axis=axis)


@pytest.mark.parametrize("cls", [layers.LayerNormalization, layers.RMSNormalization])
def test_no_epsilon_is_that_of_the_config(cls):
    x = np.array([[1e-3, 2e-3, 4e-3]], "float32")
    np.testing.assert_array_equal(cls(epsilon=None)(x), cls(epsilon=1e-7)(x))
