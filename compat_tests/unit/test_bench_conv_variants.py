"""scripts/bench_conv_variants.py: what it measures, writes, draws, and says of what is missing."""

import importlib.util
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from kerasmirror import config
from kerasmirror.kernels import for_device

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))
import bench_conv_variants as bench  # noqa: E402


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", [bench.__file__, *map(str, arguments)])
    return bench.main()


def installed(name):
    return importlib.util.find_spec(name) is not None


def test_the_quick_run_times_every_algorithm_and_pass(tmp_path, monkeypatch, capsys):
    assert run(monkeypatch, "--quick", "--json", tmp_path / "found.json") == 0
    assert config.conv_algorithm() == "auto"
    written = json.loads((tmp_path / "found.json").read_text())
    lines = written["cases"]
    assert len(lines) == 12 and written["threads"] == for_device("cpu").thread_count()
    whole = {name for name in bench.ALGORITHMS if name != "opencv" or installed("cv2")}
    assert set(lines[0]["milliseconds"]) == whole
    strided = [line for line in lines if line["stride"] == 2]
    assert {tuple(line["milliseconds"]) for line in strided} == {("direct", "gemm")}
    for line in lines:
        times = line["milliseconds"]
        assert all(0 < t < 10_000 for t in times.values())
        assert line["auto_over_best"] == times[line["auto"]] / min(times.values()) >= 1
        assert max(line["differences"].values()) <= bench.SAME
    table = capsys.readouterr().out
    assert re.search(r"^\| 2 x 8 x 8 x 8, 5 x 5 -> 8 \| gradient of weights \| ", table, re.M)
    assert "(differs)" not in table


def test_only_what_is_asked_for_is_measured(tmp_path, monkeypatch, capsys):
    options = ["window", "--quick", "--algorithms", "gemm", "fft", "--json", tmp_path / "a.json"]
    assert run(monkeypatch, *options) == 0
    lines = json.loads((tmp_path / "a.json").read_text())["cases"]
    assert {line["family"] for line in lines} == {"window"}
    assert {tuple(line["milliseconds"]) for line in lines} == {("gemm", "fft")}


def test_a_wrong_result_is_marked_and_the_run_fails(monkeypatch, capsys):
    kernels = for_device("cpu")
    right = kernels.conv2d_grad_input

    def wrong(dy, w, x_shape, geometry):
        dx = right(dy, w, x_shape, geometry)
        return dx * np.float32(1.001) if config.conv_algorithm() == "gemm" else dx

    monkeypatch.setattr(kernels, "conv2d_grad_input", wrong)
    options = ["window", "--quick", "--algorithms", "direct", "gemm"]
    assert run(monkeypatch, *options) == 1
    marked = [line for line in capsys.readouterr().out.splitlines() if "(differs)" in line]
    assert len(marked) == 1 and "gradient of inputs" in marked[0]


@pytest.mark.skipif(not installed("matplotlib"), reason="needs matplotlib (kerasmirror[plot])")
def test_the_sweeps_are_drawn(tmp_path, monkeypatch, capsys):
    path = tmp_path / "sweeps.png"
    options = ["image", "window", "--quick", "--algorithms", "direct", "fft", "--plot", path]
    assert run(monkeypatch, *options) == 0
    assert path.read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(SystemExit, match="--plot: draws the families image, window and channels"):
        run(monkeypatch, "choice", "--quick", "--plot", path)


def test_without_matplotlib_and_opencv_the_extras_are_named(monkeypatch, capsys):
    monkeypatch.setattr(bench.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit):
        run(monkeypatch, "--quick", "--plot", "sweeps.png")
    assert "--plot needs matplotlib: pip install kerasmirror[plot]" in capsys.readouterr().err
    assert run(monkeypatch, "choice", "--quick") == 0
    told = capsys.readouterr().err
    assert told == "OpenCV is not installed (kerasmirror[opencv]): left out\n"


def test_cases_differ_and_unknown_families_are_errors(monkeypatch, capsys):
    cases = [case for family in bench.families(False).values() for case in family]
    assert len({(case.family, case.name) for case in cases}) == len(cases) > 40
    with pytest.raises(SystemExit):
        run(monkeypatch, "nothing")
    assert "families: must be of image, window, channels, choice. Received: nothing" in (
        capsys.readouterr().err
    )
    with pytest.raises(SystemExit):
        run(monkeypatch, "--rounds", "0")
    assert "--rounds must be at least 1. Received: 0" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="^no case is left of these families and --containing$"):
        run(monkeypatch, "--containing", "nothing")
