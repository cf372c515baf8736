"""A name that no initializer, regularizer, loss, ... has: the message lists those there are."""

from __future__ import annotations

import pytest

import kerasmirror as keras
from kerasmirror import _export

HIDDEN = {"get", "serialize", "deserialize"}
ASKED = {
    "initializers": ("an initializer", lambda: keras.layers.Dense(3, kernel_initializer="foo")),
    "regularizers": ("a regularizer", lambda: keras.layers.Dense(3, kernel_regularizer="foo")),
    "constraints": ("a constraint", lambda: keras.layers.Dense(3, kernel_constraint="foo")),
    "losses": ("a loss", lambda: keras.Sequential().compile(loss="foo")),
    "metrics": ("a metric", lambda: keras.Sequential().compile(metrics=["foo"])),
}


@pytest.mark.parametrize("family", ASKED)
def test_an_unknown_name_is_refused_with_the_known_ones(family):
    what, ask = ASKED[family]
    known = ", ".join(sorted(set(_export.family(family)) - HIDDEN))
    with pytest.raises(ValueError) as raised:
        ask()
    assert str(raised.value) == (
        f"keras.{family}.get: `identifier` must be the name of {what}, one of {known}, or a "
        "registered custom one. Received: identifier='foo'"
    )


@pytest.mark.parametrize(
    "ask",
    [
        lambda: keras.layers.Dense(3, activation="foo"),
        lambda: keras.layers.Activation("foo"),
        lambda: keras.Sequential().compile(optimizer="foo"),
    ],
)
def test_unknown_activations_and_optimizers_are_refused(ask):
    with pytest.raises(ValueError) as raised:
        ask()
    start, end = str(raised.value).split(", one of ")
    assert start.endswith(".get: `identifier` must be the name of an activation") or (
        start.endswith(".get: `identifier` must be the name of an optimizer")
    )
    assert end.endswith("Received: identifier='foo'")


def test_a_refused_compile_leaves_the_former_one():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("adam", "mse", metrics=["mae"])
    before = dict(vars(model))
    for bad in ({"optimizer": "foo"}, {"loss": "foo"}, {"metrics": ["foo"]}, {"metrics": "mae"}):
        with pytest.raises(ValueError):
            model.compile(**bad)
    assert all(vars(model)[name] is value for name, value in before.items())
