"""The examples on both sides: the same scripts, the same loss curves."""

import importlib.util
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from side_by_side import real_keras

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NAMES = [
    "residual_network",
    "variational_autoencoder",
    "adversarial_network",
    "physics_informed_network",
    "custom_gradient",
]


def run(name, package, monkeypatch):
    """What the script's `main` gives on `package`, with its quick options."""
    monkeypatch.setenv("KERAS_PACKAGE", package)
    monkeypatch.setattr(sys, "argv", [name])
    monkeypatch.syspath_prepend(str(EXAMPLES))
    # Each side gets the shared file anew: it is where Keras is chosen.
    monkeypatch.delitem(sys.modules, "_common", raising=False)
    spec = importlib.util.spec_from_file_location(f"{name}_on_{package}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.delitem(sys.modules, "_common")
    assert module.keras.__name__ == package
    return module.main(["--quick", "--json"])


@pytest.mark.keras
@pytest.mark.parametrize("name", NAMES)
def test_an_example_learns_the_same_on_both_sides(name, monkeypatch, capsys):
    real_keras()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow's own
        expected = run(name, "keras", monkeypatch)
    actual = run(name, "kerasmirror", monkeypatch)
    assert actual.keys() == expected.keys()
    for key, curve in expected.items():
        np.testing.assert_allclose(actual[key], curve, rtol=1e-4, atol=1e-6, err_msg=key)


@pytest.mark.parametrize("name", NAMES)
def test_an_example_runs_without_keras(name, monkeypatch, capsys):
    before = set(sys.modules)
    losses = run(name, "kerasmirror", monkeypatch)
    assert not {"keras", "tensorflow"} & (set(sys.modules) - before)
    curve = losses.get("loss") or losses["d_loss"]
    assert np.all(np.isfinite(curve)) and min(curve[1:]) < curve[0]
    assert capsys.readouterr().out.startswith('{"')
