"""Public names: documented, registered once, and with Keras's signatures."""

import inspect

import pytest

import kerasmirror
from kerasmirror import _export

NAMES = sorted(_export.public_names())
# Our own additions have no counterpart in Keras.
OWN = (
    "autodiff.",
    "config.device",
    "config.set_device",
    "config.set_threads",
    "config.threads",
    "config.conv_algorithm",
    "config.fusion",
    "config.tensor_cores",
    "install_as_keras",
    "utils.Dataset",
    "utils.FlowTrace",
    "utils.trace_flow",
)
# Why a signature differs.
DIFFERENT = {
    "Optimizer": "Keras on TensorFlow hides the arguments of the base class behind *args",
    "optimizers.Optimizer": "as above",
}


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_is_documented_and_published(name):
    symbol = _export.lookup(name)
    found = kerasmirror
    for part in name.split("."):
        found = getattr(found, part)
    assert found is symbol
    text = inspect.getdoc(symbol)
    assert text and len(text) > 4, f"{name} has no docstring"
    if inspect.isclass(symbol):
        assert "__doc__" in vars(symbol), f"{name} only inherits its docstring"


def parameters(thing):
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):
        return None
    return [(p.name, p.kind.name, _plain(p.default)) for p in signature.parameters.values()]


def _plain(default):
    if default is inspect.Parameter.empty:
        return None
    plain = isinstance(default, (int, float, str, bool, tuple, list, type(None)))
    return repr(default) if plain else type(default).__name__


@pytest.mark.keras
@pytest.mark.parametrize("name", [n for n in NAMES if not n.startswith(OWN) and n not in DIFFERENT])
def test_signatures_are_those_of_keras(name):
    keras = pytest.importorskip("keras", reason="real Keras is not installed")
    theirs = keras
    for part in name.split("."):
        if not hasattr(theirs, part):
            pytest.fail(f"Keras has no public name {name}")
        theirs = getattr(theirs, part)
    ours = _export.lookup(name)
    assert inspect.isclass(theirs) == inspect.isclass(ours)
    if inspect.isclass(theirs):
        theirs, ours = theirs.__init__, ours.__init__
    assert parameters(ours) == parameters(theirs)


def test_a_name_cannot_be_taken_twice():
    with pytest.raises(ValueError, match="`layers.Dense` is taken by"):
        _export.export("layers.Dense")(object())
