"""Names of Keras that are not mirrored tell why."""

import importlib

import pytest

import kerasmirror
from kerasmirror import unsupported


@pytest.mark.parametrize("path", unsupported.REASONS)
def test_using_it_raises_its_reason(path):
    space, _, name = path.rpartition(".")
    module = importlib.import_module(f"kerasmirror.{space}")
    with pytest.raises(AttributeError) as raised:
        getattr(module, name)
    assert str(raised.value) == (
        f"module 'kerasmirror.{space}' has no attribute '{name}': {unsupported.REASONS[path]}"
    )


@pytest.mark.keras
@pytest.mark.parametrize("path", unsupported.REASONS)
def test_it_is_a_name_of_keras(path):
    symbol = pytest.importorskip("keras")
    for part in path.split("."):
        symbol = getattr(symbol, part)


def test_a_name_that_nobody_has_has_pythons_own_message():
    with pytest.raises(AttributeError) as raised:
        kerasmirror.layers.NoSuchLayer  # noqa: B018
    assert str(raised.value) == "module 'kerasmirror.layers' has no attribute 'NoSuchLayer'"
    with pytest.raises(AttributeError) as raised:
        kerasmirror.nothing  # noqa: B018
    assert str(raised.value) == "module 'kerasmirror' has no attribute 'nothing'"
    assert not hasattr(kerasmirror, "__wrapped__")


def test_a_reason_holds_for_all_names_below(monkeypatch):
    monkeypatch.setitem(unsupported.REASONS, "export.*", "not here")
    assert unsupported.reason("export.ExportArchive") == "not here"
    assert unsupported.reason("exports.x") is None and unsupported.reason("layers.Dense") is None
