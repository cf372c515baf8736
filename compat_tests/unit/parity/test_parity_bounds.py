"""Bounds of a training: widened by how far Keras's own trainings are apart."""

import json

import numpy as np
import pytest

from kerasmirror.parity.compare import TOLERANCES
from kerasmirror.parity.courses import _ADDED, _Bounds, _root_mean_square


def training(losses, accuracy=0.5):
    return {"losses": {"loss": losses}, "weights": [], "accuracy": [("", accuracy)]}


def test_a_step_may_be_four_times_as_far_as_keras_gets_from_itself_some_steps_later():
    bounds = _Bounds(TOLERANCES, training([1.0] * 8))
    assert bounds.hold(training([1.00005] * 8)) and not bounds.hold(training([1.001] * 8))
    bounds.widen(training([1.0] * 6 + [1.01, 1.0]))
    assert bounds.losses["loss"] == pytest.approx([1e-4] + [0.04] * 7)
    assert bounds.hold(training([1.0] + [1.03] * 7)) and not bounds.hold(training([1.001] * 8))
    bounds.widen(training([1.0] * 7 + [1.02]))
    assert bounds.draws == 2 and bounds.losses["loss"][-1] == pytest.approx(0.08)
    assert bounds.departures["loss"] == pytest.approx([0] * 6 + [0.01, 0.02])
    json.dumps([bounds.departures, bounds.losses, bounds.accuracy])


def test_it_may_be_as_far_from_the_farthest_draw_as_that_is_from_the_nearest():
    bounds = _Bounds(TOLERANCES, training([1.0]))
    for loss, times in ((1.001, 4), (0.998, 4), (1.008, 8), (1.1, 10)):
        bounds.widen(training([loss]))
        assert bounds.losses["loss"] == pytest.approx([times * abs(loss - 1)])
    bounds.widen(training([float("nan")]))
    assert bounds.losses["loss"] == [float("inf")]


def test_weights_may_be_as_far_as_draws_spread_in_any_of_them():
    def trained(*weights):
        return {**training([1.0]), "weights": [np.array(weight) for weight in weights]}

    bounds = _Bounds(TOLERANCES, trained(1.0, 1.0))
    bounds.widen(trained(1.01, 1.02))
    assert bounds.weights == pytest.approx([0.04, 0.08])
    bounds.widen(trained(1.03, 1.12))
    assert bounds.weights == pytest.approx([0.18, 0.72])


def test_the_accuracy_may_be_four_times_as_far_too():
    bounds = _Bounds(TOLERANCES, training([1.0]))
    assert not bounds.hold(training([1.0], 0.52))
    bounds.widen(training([1.0], 0.505))
    assert bounds.accuracy == pytest.approx(0.04) and type(bounds.accuracy) is float
    assert bounds.hold(training([1.0], 0.515))
    none = {**training([1.0]), "accuracy": []}
    bounds = _Bounds(TOLERANCES, none)
    bounds.widen(none)
    assert bounds.accuracy == TOLERANCES["accuracy"]


def test_errors_are_measured_where_there_is_a_value():
    expected = np.array([0.0, 0.0, 2.0, -4.0])
    actual = np.array([0.0, 0.04, 2.0, -4.0])
    assert _root_mean_square(actual, expected, 4.0) == pytest.approx(0.04 / 3**0.5 / 4)
    scale = np.array([1.0, 0.0, 1.0, 2.0])
    assert _root_mean_square(actual + 1, expected, scale) == pytest.approx((2.25 / 3) ** 0.5)
    assert _root_mean_square(np.zeros(3), np.zeros(3), 0.0) == 0


@pytest.mark.parametrize("name", ["conv", "conv (call 2)", "conv [0]", "conv (call 12) [left.0]"])
def test_calls_and_parts_are_of_one_layer(name):
    assert _ADDED.sub("", name) == "conv"
