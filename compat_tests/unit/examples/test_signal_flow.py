"""The experiment with 50 layers, against what theory says of variances."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "signal_flow.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("signal_flow", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def results(example):
    return example.run(layers=50, units=96, batch=64)


@pytest.mark.parametrize("activation", ["linear", "relu"])
@pytest.mark.parametrize("kind", ["large", "small", "glorot", "he"])
def test_squares_grow_by_n_times_variance_and_by_half_of_it_behind_relu(results, activation, kind):
    found = results[activation, kind]
    gain = {"large": 4, "small": 0.25, "glorot": 1, "he": 2}[kind]
    if activation == "relu":
        gain /= 2
    assert found["gain"] == pytest.approx(gain)
    # The mean of 49 layers' factors: each strays by about sqrt(2 / n), 15 % here.
    assert found["measured_forward"] == pytest.approx(gain, rel=0.08)
    assert found["measured_gradient"] == pytest.approx(gain, rel=0.08)
    # Layer by layer, too, on a logarithmic scale.
    slope = np.polyfit(range(50), np.log(np.square(found["forward"])), 1)[0]
    assert slope == pytest.approx(np.log(gain), abs=0.08)
    zeros = 0.5 if activation == "relu" else 0
    assert np.mean(found["zeros"]) == pytest.approx(zeros, abs=0.08)


def test_glorot_keeps_linear_layers_steady_and_he_relu(example, results):
    words = {
        name: [example.verdict(found[f"measured_{d}"], 50) for d in ("forward", "gradient")]
        for name, found in results.items()
    }
    assert words == {
        ("linear", "large"): ["explodes"] * 2,
        ("linear", "small"): ["vanishes"] * 2,
        ("linear", "glorot"): ["steady"] * 2,
        ("linear", "he"): ["explodes"] * 2,
        ("relu", "large"): ["explodes"] * 2,
        ("relu", "small"): ["vanishes"] * 2,
        ("relu", "glorot"): ["vanishes"] * 2,
        ("relu", "he"): ["steady"] * 2,
    }


def test_the_script_prints_numbers_or_tables(example, capsys):
    small = ["--layers", "4", "--units", "16", "--batch-size", "8"]
    example.main([*small, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert len(found) == 8 and len(found["relu/he"]["gradient"]) == 4
    example.main([*small, "--activations", "relu"])
    printed = capsys.readouterr().out
    assert "relu: root mean square" in printed and "linear: " not in printed


def test_the_script_draws(example, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    path = tmp_path / "flow.png"
    example.main(["--layers", "4", "--units", "16", "--json", "--plot", str(path)])
    assert path.read_bytes().startswith(b"\x89PNG")
