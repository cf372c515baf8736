"""The scripts that time: what they run, what they write, what they say of what is missing."""

import argparse
import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from cases import paper

import kerasmirror

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))
import bench_ops  # noqa: E402
import bench_report  # noqa: E402
import bench_vs_tensorflow  # noqa: E402
import op_cases  # noqa: E402

MACHINE = {
    "cpu": "A processor",
    "cores": 2,
    "memory_gib": 8.0,
    "system": "Linux x86_64",
    "versions": {"python": "3.11.7", "tensorflow": "2.21.0"},
    "date": "2026-01-02",
}


def numbers(train, loss, **more):
    found = {"train": train, "predict": train, "predict_one": 1e-3, "import": 0.5}
    return {**found, "first_epoch": 2.0, "memory": 200.0, "losses": [loss], **more}


def result(*rows, peers=("kerasmirror", "tensorflow")):
    """A results.json: each row is (name, ours, theirs)."""
    items = [
        {
            "row": name,
            "structure": "F()",
            "batch": 128,
            "peers": dict(zip(peers, pair, strict=True)),
        }
        for name, *pair in rows
    ]
    return {"machine": MACHINE, "rounds": 3, "peers": list(peers), "rows": items}


def run_script(script, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", [script.__file__, *map(str, arguments)])
    return script.main()


def test_slower_rows_and_other_losses_are_marked():
    table = bench_report.markdown(
        result(
            ("mnist:1", numbers(2e-3, 2.3), numbers(5e-3, 2.3)),
            ("mnist:2", numbers(4e-3, 2.4), numbers(3e-3, 2.5)),
        )
    )
    first, second = (line for line in table.splitlines() if line.startswith("| mnist:"))
    assert "2 / 5: 2.50 |" in first and "**" not in first and "2.3000 / 2.3000" in first
    assert "4 / 3: **0.75 (behind)**" in second
    assert "**2.4000 / 2.5000 (differ)**" in second
    assert "- train: geometric mean 1.37, from 0.75 to 2.50, ahead in 1 of 2" in table
    assert "the same within 0.001 in 1 of 2" in table
    assert "A processor, 2 cores, 8.0 GiB, Linux x86_64; python 3.11.7" in table


def test_a_failed_process_is_told_and_spoils_no_other_row():
    failed = result(
        ("mnist:1", {"error": "MemoryError"}, numbers(5e-3, 2.3)),
        ("mnist:2", numbers(3e-3, 2.5), numbers(3e-3, 2.5)),
    )
    table = bench_report.markdown(failed)
    assert "| mnist:1 | failed |" in table
    assert "- kerasmirror failed at mnist:1: MemoryError" in table
    assert "| mnist:2 | 3 / 3: 1.00 |" in table
    assert bench_report.failures(failed) == ["- kerasmirror failed at mnist:1: MemoryError"]


def test_without_a_peer_the_table_has_our_numbers():
    alone = result(("mnist:1", numbers(2e-3, 2.3)), peers=("kerasmirror",))
    assert "| mnist:1 | 2 | 2 | 1 | 0.5 | 2 | 200 | 2.3000 |" in bench_report.markdown(alone)


def test_the_readme_keeps_what_stands_around_the_table(tmp_path, capsys):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{bench_report.BEGIN}\nold\n{bench_report.END}\nafter\n")
    measured = result(("mnist:1", numbers(2e-3, 2.3), numbers(5e-3, 2.3)))
    bench_report.write_readme(measured, readme)
    text = readme.read_text()
    assert text.startswith(f"before\n{bench_report.BEGIN}\nkerasmirror / Keras on TensorFlow")
    assert text.endswith(f"\n{bench_report.END}\nafter\n") and "\nold\n" not in text
    bench_report.write_readme(measured, readme)
    assert readme.read_text() == text


def test_the_readme_table_needs_tensorflow_and_markers(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("no markers\n")
    alone = result(("mnist:1", numbers(2e-3, 2.3)), peers=("kerasmirror",))
    with pytest.raises(SystemExit, match="compares with TensorFlow, which was not measured"):
        bench_report.write_readme(alone, readme)
    both = result(("mnist:1", numbers(2e-3, 2.3), numbers(5e-3, 2.3)))
    with pytest.raises(SystemExit, match="README.md must have the lines <!-- timing table"):
        bench_report.write_readme(both, readme)
    assert readme.read_text() == "no markers\n"


def test_the_projects_readme_has_the_markers():
    text = (SCRIPTS.parent / "README.md").read_text(encoding="utf-8")
    assert text.count(bench_report.BEGIN) == text.count(bench_report.END) == 1


def test_a_plot_is_drawn_or_its_absence_explained(tmp_path, capsys):
    path = tmp_path / "plot.png"
    bench_report.plot(result(("mnist:1", numbers(2e-3, 2.3), numbers(5e-3, 2.3))), path)
    if path.exists():
        assert path.read_bytes()[:4] == b"\x89PNG"
    else:
        expected = "--plot: matplotlib is not installed, no plot is drawn\n"
        assert capsys.readouterr().err == expected


def test_another_interpreter_is_asked_what_it_has(capsys):
    found = bench_vs_tensorflow.versions_in(sys.executable, ["numpy", "no_such_package"])
    assert found == {"numpy": np.__version__}
    with pytest.raises(SystemExit, match="--peers: must be among tensorflow, jax, torch. Rec.* tf"):
        bench_vs_tensorflow.installed_peers(["tf"], sys.executable)


def test_rows_are_chosen_by_name_table_or_all():
    assert bench_vs_tensorflow.chosen_rows("all") == paper.ROWS
    chosen = bench_vs_tensorflow.chosen_rows("cifar:12,olivetti,olivetti:2")
    assert chosen == ["cifar:12", *(f"olivetti:{i}" for i in range(1, 12))]
    with pytest.raises(SystemExit, match=r"--rows: must be .* Received: cifar:13"):
        bench_vs_tensorflow.chosen_rows("mnist:1,cifar:13")


def test_children_run_without_settings_that_hold_blas_back(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    ours = bench_vs_tensorflow.environment_of("kerasmirror", "/somewhere")
    theirs = bench_vs_tensorflow.environment_of("jax")
    assert not [name for name in (*ours, *theirs) if name.startswith("OPENBLAS_")]
    assert ours["KERASMIRROR_CACHE_DIR"] == "/somewhere"
    assert theirs["KERAS_BACKEND"] == "jax"
    assert os.environ["OPENBLAS_CORETYPE"] == "Haswell"


def test_sides_alternate_and_take_turns_to_go_first(monkeypatch):
    seen = []

    def measured(peer, spec, options, cache=None):
        seen.append(peer)
        return {"train": len(seen), "losses": [1.0], "parameters": 1, "memory": None}

    monkeypatch.setattr(bench_vs_tensorflow, "measured", measured)
    options = argparse.Namespace(rounds=3, cold=False)
    found = bench_vs_tensorflow.alternating(["a", "b"], {}, options)
    assert seen == ["a", "b", "b", "a", "a", "b"]
    assert found["a"]["train"] == 4 and found["b"]["train"] == 3 and found["a"]["memory"] is None


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("batch", [64, 128], [("batch", 64, 20), ("batch", 128, 10)]),
        ("image", [16, 24], [("shape", (16, 16, 3), 10), ("shape", (24, 24, 3), 10)]),
        ("threads", [1, 10**6], [("cores", 1, 10)]),
    ],
)
def test_an_epoch_of_a_sweep_has_the_same_samples(kind, values, expected):
    options = argparse.Namespace(values=values, samples=1280, batch=None, steps=10, epochs=1)
    specs = list(bench_vs_tensorflow.sweep_specs(kind, "mnist:1", options))
    assert [(name, spec[name], spec["steps"]) for (name, *_), (_, spec) in zip(
        expected, specs, strict=True
    )] == expected  # fmt: skip


def test_the_depth_of_a_sweep_is_the_number_of_convolutions():
    options = argparse.Namespace(values=[1, 4], samples=256, batch=None, steps=2, epochs=1)
    for value, spec in bench_vs_tensorflow.sweep_specs("depth", "mnist:1", options):
        model = paper.build(kerasmirror, spec["structure"], spec["shape"])
        convolutions = [layer for layer in model.layers if "conv2d" in layer.name]
        assert len(convolutions) == value


def test_one_tiny_row_without_any_peer(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench_vs_tensorflow, "versions_in", lambda python, names: {})
    options = ["--rows", "mnist:1", "--rounds", 1, "--steps", 2, "--epochs", 1, "--batch", 16]
    assert run_script(bench_vs_tensorflow, monkeypatch, *options, "--out", tmp_path) == 0
    printed = capsys.readouterr()
    assert "tensorflow: left out, keras and tensorflow not installed" in printed.err
    written = json.loads((tmp_path / "results.json").read_text())
    found = written["rows"][0]["peers"]["kerasmirror"]
    assert found["parameters"] == paper.PARAMETERS["mnist"][0]
    assert len(found["losses"]) == 2 and found["losses"][1] != found["losses"][0] > 0
    for key in ("import", "first_epoch", "train", "predict", "predict_one"):
        assert 0 < found[key] < 60
    assert found["first_epoch"] > found["import"]
    assert written["machine"]["versions"]["kerasmirror"] == kerasmirror.__version__
    assert "| mnist:1 |" in (tmp_path / "results.md").read_text()
    options = ["--read", tmp_path / "results.json", "--out", tmp_path / "again"]
    assert run_script(bench_vs_tensorflow, monkeypatch, *options) == 0
    again = (tmp_path / "again" / "results.md").read_text()
    assert again == (tmp_path / "results.md").read_text()


def test_a_child_that_fails_is_reported_with_its_last_words(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench_vs_tensorflow, "versions_in", lambda python, names: {})
    monkeypatch.setitem(bench_vs_tensorflow.paper.NETWORKS, "mnist", ["F();D(10,nothing)"])
    monkeypatch.setattr(bench_vs_tensorflow.paper, "ROWS", ["mnist:1"])
    options = ["--rounds", 1, "--steps", 1, "--out", tmp_path]
    assert run_script(bench_vs_tensorflow, monkeypatch, *options) == 1
    assert "- kerasmirror failed at mnist:1: KeyError: 'nothing'" in capsys.readouterr().out


def test_one_kernel_against_the_peaks(tmp_path, monkeypatch, capsys):
    options = ["adam", "--containing", "33136", "--rounds", 1, "--budget", 0.01]
    assert run_script(bench_ops, monkeypatch, *options, "--no-tensorflow", "--out", tmp_path) == 0
    written = json.loads((tmp_path / "ops.json").read_text())
    (case,) = written["cases"]
    assert case["unit"] == "GB/s" and case["name"] == "Adam 33136 parameters"
    assert case["rate"] == pytest.approx(28 * 33136 / case["milliseconds"] / 1e6)
    assert case["share_of_peak"] == pytest.approx(case["rate"] / written["peak"]["GB/s"])
    assert written["peak"]["GFLOP/s"] > 0
    assert re.search(r"^\| Adam 33136 parameters \| ", capsys.readouterr().out, re.MULTILINE)


def test_kernel_cases_have_names_of_their_own_and_unknown_ones_are_errors(monkeypatch, capsys):
    names = [case.name for case in op_cases.cases(op_cases.FAMILIES)]
    assert len(names) == len(set(names)) > 60
    with pytest.raises(SystemExit):
        run_script(bench_ops, monkeypatch, "adam", "nothing")
    assert "families: must be of dense, " in capsys.readouterr().err
    with pytest.raises(SystemExit, match="--containing: no case's name contains 'nothing'"):
        run_script(bench_ops, monkeypatch, "--containing", "nothing")


@pytest.mark.slow
@pytest.mark.keras
def test_both_sides_have_the_same_losses_and_results(tmp_path, monkeypatch, capsys):
    options = ["--rows", "olivetti:4", "--rounds", 1, "--steps", 3, "--epochs", 1, "--cold"]
    assert run_script(bench_vs_tensorflow, monkeypatch, *options, "--out", tmp_path) == 0
    row = json.loads((tmp_path / "results.json").read_text())["rows"][0]
    assert bench_report.loss_difference(row, "tensorflow") < 1e-5
    ours = row["peers"]["kerasmirror"]
    assert ours["first_epoch_cold"] > ours["first_epoch"]
    # Exit status 1 would mean that a result is not TensorFlow's.
    options = ["dropout", "pool", "adam", "cross-entropy", "--rounds", 1, "--budget", 0.005]
    assert run_script(bench_ops, monkeypatch, *options, "--out", tmp_path) == 0
    written = json.loads((tmp_path / "ops.json").read_text())
    assert all(case["same_result"] and case["ratio"] > 0 for case in written["cases"])
