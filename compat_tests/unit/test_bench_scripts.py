"""The scripts that time: what they run, what they write, what they say of what is missing."""

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cases import paper

import kerasmirror
from kerasmirror.kernels import for_device

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))
import bench_ops  # noqa: E402
import bench_plots  # noqa: E402
import bench_report  # noqa: E402
import bench_sweeps  # noqa: E402
import bench_vs_tensorflow  # noqa: E402
import networks  # noqa: E402
import op_cases  # noqa: E402
import peers  # noqa: E402
import processes  # noqa: E402

MACHINE = {
    "cpu": "A processor",
    "cores": 2,
    "memory_gib": 8.0,
    "system": "Linux x86_64",
    "versions": {"python": "3.11.7", "tensorflow": "2.21.0"},
    "date": "2026-01-02",
}
BOTH = ("kerasmirror", "tensorflow")


def numbers(train, loss, **more):
    found = {"train": train, "predict": train, "predict_one": 1e-3, "first_epoch": 2.0}
    return {**found, "memory": 200.0, "losses": [loss], "initial_loss": 2.5, **more}


def result(*rows, sides=BOTH):
    """A results.json: each row is (name, ours, theirs, ...)."""
    items = [
        {
            "row": name,
            "structure": "F()",
            "batch": 128,
            "peers": dict(zip(sides, found, strict=True)),
        }
        for name, *found in rows
    ]
    return {"machine": MACHINE, "rounds": 3, "peers": list(sides), "rows": items}


def run_script(script, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", [script.__file__, *map(str, arguments)])
    return script.main()


def rows_of(table):
    return [line for line in table.splitlines() if re.match(r"\| \w+:\d", line)]


# Tables


def test_slower_rows_and_other_losses_are_marked():
    measured = result(
        ("mnist:1", numbers(2e-3, 2.3), numbers(5e-3, 2.3)),
        ("mnist:2", numbers(4e-3, 2.4), numbers(3e-3, 2.5)),
    )
    table = bench_report.markdown(measured)
    first, second = rows_of(table)
    assert "2 / 5: 2.50 |" in first and "**" not in first and first.endswith("| 2.3 / 2.3 |")
    assert "4 / 3: **0.75 (behind)**" in second
    assert second.endswith("| **2.4 / 2.5 (differ)** |")
    assert "- training step: geometric mean 1.37, from 0.75 to 2.50, ahead in 1 of 2" in table
    assert "the same within 0.01 in 1 of 2, the largest relative difference 0.04" in table
    assert "A processor, 2 cores, 8.0 GiB, Linux x86_64; python 3.11.7" in table
    assert bench_report.wrong_rows(measured) == ["- mnist:2, tensorflow: differ"]


def test_losses_may_differ_where_other_units_are_dropped_but_not_outputs_of_equal_weights():
    predicts = {"call": 1e-3, "losses": [], "initial_loss": 2.5}
    wrong = {**predicts, "initial_loss": 2.501}
    measured = result(
        ("mnist:1", numbers(2e-3, 2.3), numbers(5e-3, 2.1), predicts),
        ("mnist:2", numbers(2e-3, 2.3), numbers(5e-3, 0.1), wrong),
        ("mnist:3", numbers(2e-3, 2.3), numbers(5e-3, float("nan")), predicts),
        sides=("kerasmirror", "jax", "onnxruntime"),
    )
    assert bench_report.wrong_rows(measured) == [
        "- mnist:2, jax: differ",
        "- mnist:2, onnxruntime: outputs differ",
        "- mnist:3, jax: differ",
    ]
    assert "| **(outputs differ)** |" in bench_report.peer_table(measured, "onnxruntime")


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
    assert bench_report.line(failed["rows"][0]).startswith(
        "mnist:1      | kerasmirror failed: MemoryError | tensorflow train 5 predict 5"
    )


def test_without_a_peer_the_table_has_our_numbers():
    alone = result(("mnist:1", numbers(2e-3, 2.3)), sides=("kerasmirror",))
    assert "| mnist:1 | 2 | 2 | 1 | 2 | 200 | 2.3 |" in bench_report.markdown(alone)


def test_rows_are_compared_with_the_fastest_backend_of_each_row():
    measured = result(
        ("mnist:1", numbers(2e-3, 1.0), numbers(8e-3, 1.0), numbers(4e-3, 1.0)),
        ("mnist:2", numbers(4e-3, 1.0), numbers(8e-3, 1.0), numbers(2e-3, 1.0)),
        # JAX failed here, so that TensorFlow is the fastest.
        ("mnist:3", numbers(2e-3, 1.0), numbers(8e-3, 1.0), {"error": "ImportError"}),
        sides=(*BOTH, "jax"),
    )
    lines = bench_report.fastest_summary(measured)
    assert lines[0] == (
        "Against the best of Keras's backends in each row and number (TensorFlow, JAX):"
    )
    assert lines[2] == "- training step: geometric mean 1.59, from 0.50 to 4.00, ahead in 2 of 3"
    assert lines[3] == "  - behind in mnist:2 (jax, 0.50)"
    assert bench_report.fastest_summary(result(("mnist:1", *[numbers(1e-3, 1.0)] * 2))) == []


# README


def test_the_readme_keeps_what_stands_around_the_table(tmp_path, capsys):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{bench_report.BEGIN}\nold\n{bench_report.END}\nafter\n")
    measured = result(("mnist:1", numbers(2e-3, 2.3, call=7.0), numbers(5e-3, 2.3, call=7.0)))
    bench_report.write_readme([measured], readme)
    text = readme.read_text()
    assert text.startswith(f"before\n{bench_report.BEGIN}\nkerasmirror / Keras on TensorFlow")
    assert text.endswith(f"\n{bench_report.END}\nafter\n") and "\nold\n" not in text
    assert "peak memory" in text and "| model(x)" not in text  # the widest columns stay away
    bench_report.write_readme([measured], readme)
    assert readme.read_text() == text


def test_the_readme_tells_of_peers_from_another_run(tmp_path, capsys):
    readme = tmp_path / "README.md"
    readme.write_text(f"{bench_report.BEGIN}\n{bench_report.END}\n")
    first = result(("mnist:1", numbers(2e-3, 2.3), numbers(5e-3, 2.3)))
    second = result(
        ("mnist:1", numbers(2e-3, 2.3), numbers(5e-3, 2.3), numbers(3e-3, 2.3), {"call": 1e-3}),
        sides=(*BOTH, "jax", "onnxruntime"),
    )
    second["rounds"] = 1
    second["rows"][0]["peers"]["kerasmirror"]["call"] = 2e-3
    bench_report.write_readme([first, second], readme)
    text = readme.read_text()
    assert "; one round." in text and "; medians of 3 rounds." in text
    assert "Against Keras on JAX:\n\n- training step: geometric mean 1.50, from" in text
    assert "Against ONNX Runtime:\n\n- model(x), a batch: geometric mean 0.50" in text
    assert text.count("| mnist:1 |") == 1


def test_the_readme_table_needs_tensorflow_and_markers(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("no markers\n")
    alone = result(("mnist:1", numbers(2e-3, 2.3)), sides=("kerasmirror",))
    with pytest.raises(SystemExit, match="compares with TensorFlow, which was not measured"):
        bench_report.write_readme([alone], readme)
    both = result(("mnist:1", numbers(2e-3, 2.3), numbers(5e-3, 2.3)))
    with pytest.raises(SystemExit, match="README.md must have the lines <!-- timing table"):
        bench_report.write_readme([both], readme)
    assert readme.read_text() == "no markers\n"


def test_the_projects_readme_has_the_markers():
    text = (SCRIPTS.parent / "README.md").read_text(encoding="utf-8")
    assert text.count(bench_report.BEGIN) == text.count(bench_report.END) == 1


# Plots


def swept():
    """A sweeps.json with two points."""
    points = [
        {
            "value": value,
            "structure": "F()",
            "batch": value,
            "steps": 1280 // value,
            "peers": {
                "kerasmirror": {"epoch": ours, "memory": 200.0},
                "tensorflow": {"epoch": 2.0, "memory": 700.0} if value < 99 else {"error": "late"},
            },
        }
        for value, ours in ((64, 0.5), (128, 0.25))
    ]
    about = {"machine": MACHINE, "rounds": 1, "row": "mnist:1"}
    return {**about, "peers": list(BOTH), "sweeps": {"batch": points}}


@pytest.mark.parametrize("kind", ["rows", "sweeps"])
def test_a_plot_is_drawn_or_its_absence_explained(kind, tmp_path, capsys):
    rows = result(("mnist:1", numbers(2e-3, 2.3), numbers(5e-3, 2.3)))
    measured, draw = {"rows": (rows, bench_plots.rows), "sweeps": (swept(), bench_plots.sweeps)}[
        kind
    ]
    path = tmp_path / "plot.png"
    bench_plots.save(draw, measured, path)
    if path.exists():
        assert path.read_bytes()[:4] == b"\x89PNG"
    else:
        expected = "--plot: matplotlib is not installed, no plot is drawn\n"
        assert capsys.readouterr().err == expected


# Sides, rows and processes


def test_another_interpreter_is_asked_what_it_has():
    found = peers.versions_in(sys.executable, ["numpy", "no_such_package"])
    assert found == {"numpy": np.__version__}
    assert peers.versions_in("/no/python", ["numpy"]) == (
        "/no/python does not run: No such file or directory"
    )
    with pytest.raises(SystemExit, match="--peers: must be among tensorflow, jax, .* Rec.* tf"):
        peers.available(["tf"], {})


def test_peers_have_interpreters_of_their_own():
    found = peers.interpreters(["jax=/a/python", "torch=this"])
    assert found["jax"] == "/a/python"
    assert found["torch"] == found["kerasmirror"] == sys.executable
    for text in ("jax", "jax=", "kerasmirror=/a/python", "tf=/a/python"):
        with pytest.raises(SystemExit, match=f"--python: must be PEER=INTERPRETER .*: {text}$"):
            peers.interpreters([text])


def test_a_peer_that_cannot_run_is_one_line_and_left_out(capsys):
    pythons = peers.interpreters(["jax=/no/python"])
    assert peers.available(["jax"], pythons) == ([], {})
    assert capsys.readouterr().err == (
        "jax: left out, /no/python does not run: No such file or directory\n"
    )


def test_rows_are_chosen_by_name_table_or_all():
    assert networks.chosen_rows("all") == paper.ROWS
    chosen = networks.chosen_rows("cifar:12,olivetti,olivetti:2")
    assert chosen == ["cifar:12", *(f"olivetti:{i}" for i in range(1, 12))]
    with pytest.raises(SystemExit, match=r"--rows: must be .* Received: cifar:13"):
        networks.chosen_rows("mnist:1,cifar:13")


def test_the_rows_layers_have_the_papers_parameters():
    for row in paper.ROWS:
        table, number = row.split(":")
        structure, shape, _, _ = networks.structure_of(row)
        weights = networks.initial_weights(structure, shape, 1)
        expected = paper.PARAMETERS[table][int(number) - 1]
        assert sum(part.size for part in weights) == expected, row


def test_operations_are_counted_as_two_for_each_multiply_add():
    convolution, dense = 6 * 4 * 2 * 9 * 3, 3 * 2 * 2 * 5
    found = networks.operations("C(3,2,r);M(2);F();D(5,sm)", (6, 4, 3))
    assert found == 2 * (convolution + dense)


def test_initial_weights_fit_the_model_and_have_the_initializers_limits():
    structure, shape, _, _ = networks.structure_of("olivetti:4")
    weights = networks.initial_weights(structure, shape, 3)
    expected = paper.build(kerasmirror, structure, shape).get_weights()
    assert [part.shape for part in weights] == [part.shape for part in expected]
    for ours, theirs in zip(weights, expected, strict=True):
        np.testing.assert_allclose(np.abs(ours).max(), np.abs(theirs).max(), rtol=0.1)


def test_children_run_without_settings_that_hold_a_side_back(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    ours = processes.environment_of("kerasmirror", "/somewhere")
    theirs = processes.environment_of("jax")
    for name in ("OPENBLAS_CORETYPE", "TF_ENABLE_ONEDNN_OPTS", "OMP_NUM_THREADS"):
        assert name not in ours and name not in theirs and name in os.environ
    assert ours["KERASMIRROR_CACHE_DIR"] == "/somewhere" and "KERAS_BACKEND" not in ours
    assert theirs["KERAS_BACKEND"] == "jax"
    assert ours["CUDA_VISIBLE_DEVICES"] == "-1" and "KERASMIRROR_DEVICE" not in ours
    on_gpu = processes.environment_of("kerasmirror", device="gpu")
    assert on_gpu["KERASMIRROR_DEVICE"] == "gpu:0" and "JAX_PLATFORMS" not in on_gpu
    assert on_gpu.get("CUDA_VISIBLE_DEVICES") != "-1"


def test_without_a_gpu_timings_on_one_are_refused():
    run = subprocess.run(
        [sys.executable, "scripts/bench_vs_tensorflow.py", "--device", "gpu"],
        cwd=processes.ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "KERASMIRROR_CUDA_EMULATOR": ""},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 2 and "--device gpu: RuntimeError: kerasmirror: no GPU" in run.stderr


def options_of(**more):
    found = {"rounds": 1, "steps": 2, "epochs": 1, "batch": 16, "threads": None, "cold": False}
    return argparse.Namespace(**{**found, "timeout": 60, "device": "cpu", **more})


def test_sides_alternate_and_take_turns_to_go_first(monkeypatch):
    seen = []

    def measured(side, spec, options, cache=None):
        seen.append(side)
        if "until" in spec:  # the process that compiles, or a cold one
            return {"first_epoch": 9.0 if cache else 0.1}
        if side == "jax":
            return {"error": "ImportError"}
        return {"train": len(seen), "first_epoch": 5.0, "losses": [1.0], "memory": None}

    monkeypatch.setattr(processes, "measured", measured)
    sides = ["kerasmirror", "tensorflow", "jax"]
    found = processes.alternating(sides, {}, options_of(rounds=3))
    assert [name[0] for name in seen] == list("kktjtkkt")
    assert found["kerasmirror"]["train"] == 6  # of 2, 6, 7
    assert found["tensorflow"]["train"] == 5 and found["tensorflow"]["memory"] is None
    assert found["jax"] == {"error": "ImportError"}
    assert "first_epoch_cold" not in found["kerasmirror"]
    found = processes.alternating(sides, {}, options_of(cold=True))
    assert found["kerasmirror"]["first_epoch_cold"] == 9.0
    assert found["tensorflow"]["first_epoch_cold"] == 5.0
    assert found["jax"] == {"error": "ImportError"}


def test_a_child_that_fails_gives_its_last_words():
    options = options_of(pythons={"kerasmirror": sys.executable, "jax": "/no/python"})
    spec = {**bench_vs_tensorflow.spec_of_row("mnist:1", options)}
    del spec["shape"]
    assert processes.measured("kerasmirror", spec, options) == {"error": "KeyError: 'shape'"}
    assert processes.measured("jax", spec, options) == {
        "error": "/no/python: No such file or directory"
    }
    options.timeout = 0.01
    assert processes.measured("kerasmirror", spec, options) == {"error": "no result after 0.01 s"}


# Whole runs, with given numbers in place of processes


@pytest.fixture
def given(monkeypatch):
    """A dictionary (side, row) to the numbers of that side; "asked" has those that were asked."""
    found = {"asked": []}

    def measured(side, spec, options, cache=None):
        key = (side, spec["structure"])
        if spec["until"] == "end":
            found["asked"].append(key)
        return found.get(key, numbers(1e-3, 2.0))

    monkeypatch.setattr(processes, "measured", measured)
    monkeypatch.setattr(peers, "versions_in", lambda python, names: dict.fromkeys(names, "1"))
    return found


def structure(row):
    return networks.structure_of(row)[0]


def test_an_interrupted_run_keeps_its_rows_and_goes_on(given, tmp_path, monkeypatch, capsys):
    line, told = bench_report.line, []

    def interrupt(row):
        told.append(row["row"])
        if len(told) == 2:
            raise KeyboardInterrupt
        return line(row)

    monkeypatch.setattr(bench_report, "line", interrupt)
    options = ["--rows", "mnist:1,mnist:2,cifar:1", "--out", tmp_path, "--rounds", 1]
    with pytest.raises(KeyboardInterrupt):
        run_script(bench_vs_tensorflow, monkeypatch, *options)
    kept = json.loads((tmp_path / "results.json").read_text())
    assert [row["row"] for row in kept["rows"]] == ["mnist:1", "mnist:2"]
    given["asked"].clear()
    assert run_script(bench_vs_tensorflow, monkeypatch, *options, "--resume") == 0
    assert {text for _, text in given["asked"]} == {structure("cifar:1")}
    whole = json.loads((tmp_path / "results.json").read_text())
    assert [row["row"] for row in whole["rows"]] == ["mnist:1", "mnist:2", "cifar:1"]
    assert len(rows_of((tmp_path / "results.md").read_text())) == 3
    with pytest.raises(SystemExit, match="--resume: .* has rounds=1, this run rounds=2; use the"):
        run_script(bench_vs_tensorflow, monkeypatch, *options[:-1], 2, "--resume")


def test_a_resumed_run_measures_failed_rows_again(given, tmp_path, monkeypatch, capsys):
    key = ("tensorflow", structure("mnist:1"))
    given[key] = {"error": "MemoryError"}
    options = ["--rows", "mnist:1,mnist:2", "--rounds", 1, "--out", tmp_path]
    assert run_script(bench_vs_tensorflow, monkeypatch, *options) == 0
    assert "- tensorflow failed at mnist:1: MemoryError" in capsys.readouterr().out
    del given[key]
    assert run_script(bench_vs_tensorflow, monkeypatch, *options, "--resume") == 0
    printed = capsys.readouterr().out
    assert "1 rows, kerasmirror, tensorflow: about" in printed and "failed" not in printed
    assert len(rows_of(printed)) == 2


def test_a_peer_that_fails_twice_is_left_out_from_there_on(given, tmp_path, monkeypatch, capsys):
    for row in ("mnist:1", "mnist:2"):
        given[("jax", structure(row))] = {"error": "ImportError: no jaxlib"}
    options = ["--rows", "mnist", "--rounds", 1, "--peers", "tensorflow,jax", "--out", tmp_path]
    assert run_script(bench_vs_tensorflow, monkeypatch, *options) == 0
    assert capsys.readouterr().err == "jax: left out from here on: ImportError: no jaxlib\n"
    asked = [text for side, text in given["asked"] if side == "jax"]
    assert asked == [structure("mnist:1"), structure("mnist:2")]
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert "jax" in rows[1]["peers"] and "jax" not in rows[2]["peers"] and len(rows) == 10


def test_a_side_with_other_results_makes_the_run_fail(given, tmp_path, monkeypatch, capsys):
    given[("tensorflow", structure("mnist:1"))] = numbers(1e-3, 2.5)
    options = ["--rows", "mnist:1", "--rounds", 1, "--out", tmp_path]
    assert run_script(bench_vs_tensorflow, monkeypatch, *options) == 1
    assert capsys.readouterr().err == (
        "Losses that should agree and do not:\n- mnist:1, tensorflow: differ\n"
    )


def test_the_remaining_time_follows_what_the_rows_took():
    options = options_of(epochs=None, batch=None, steps=10, rounds=3)
    remaining = bench_vs_tensorflow.Remaining(["mnist:1", "mnist:2"], ["kerasmirror"], options)
    guess = remaining.guesses["mnist:1"]
    assert remaining.guesses["mnist:2"] > guess > 0
    remaining.done("mnist:1", 100 * guess)
    expected = 100 * remaining.guesses["mnist:2"]
    assert remaining.text() == f"about {processes.duration(expected)}"
    assert (processes.duration(89), processes.duration(200)) == ("89 s", "3 minutes")


def test_one_tiny_row_without_any_peer(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(peers, "versions_in", lambda python, names: {})
    options = ["--rows", "mnist:1", "--rounds", 1, "--steps", 2, "--epochs", 1, "--batch", 16]
    assert run_script(bench_vs_tensorflow, monkeypatch, *options, "--out", tmp_path) == 0
    printed = capsys.readouterr()
    assert "tensorflow: left out, keras and tensorflow not installed" in printed.err
    written = json.loads((tmp_path / "results.json").read_text())
    found = written["rows"][0]["peers"]["kerasmirror"]
    assert found["parameters"] == paper.PARAMETERS["mnist"][0]
    assert found["losses"][0] > found["losses"][1] > 0
    for key in ("import", "first_epoch", "train", "predict", "predict_one", "call", "on_batch_one"):
        assert 0 < found[key] < 60
    assert found["first_epoch"] > found["import"]
    assert written["machine"]["versions"]["kerasmirror"] == kerasmirror.__version__
    assert "| mnist:1 |" in (tmp_path / "results.md").read_text()
    options = ["--read", tmp_path / "results.json", "--out", tmp_path / "again"]
    assert run_script(bench_vs_tensorflow, monkeypatch, *options) == 0
    again = (tmp_path / "again" / "results.md").read_text()
    assert again == (tmp_path / "results.md").read_text()


# Sweeps


def sweep_options(**more):
    found = {"row": "mnist:1", "samples": 1280, "batch": None, "epochs": 1, "values": None}
    return argparse.Namespace(**{**found, "quick": False, **more})


def test_a_sweeps_table_has_ratios_growth_and_failures():
    table = bench_sweeps.markdown(swept())
    assert "| 64 | 0.5 s, 391 us a sample, 200 MB | 2 s, 1562 us a sample, 700 MB |" in table
    assert "700 MB | 4.00 | 3.50 |" in table
    assert "| failed: late |  |  |" in table and "- tensorflow failed at batch 128: late" in table
    expected = "0.50 times the time, +0 MB from 64 to 128; the shortest epoch is at 128"
    assert f"- kerasmirror: {expected}" in table
    assert "- tensorflow: " not in table  # one point shows no growth


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("batch", 64, {"batch": 64, "steps": 20, "cores": None}),
        ("batch", 640, {"batch": 640, "steps": 2, "epochs": 4}),
        ("image", 24, {"shape": (24, 24, 3), "batch": 128, "steps": 10}),
        ("threads", 1, {"cores": 1, "structure": paper.NETWORKS["mnist"][0], "steps": 10}),
    ],
)
def test_an_epoch_of_a_sweep_has_the_same_samples(kind, value, expected):
    spec = bench_sweeps.spec_of(kind, value, sweep_options())
    assert {name: spec[name] for name in expected} == expected


def test_the_depth_of_a_sweep_is_the_number_of_convolutions():
    for value in (1, 4):
        spec = bench_sweeps.spec_of("depth", value, sweep_options())
        layers = networks.layers_of(spec["structure"], spec["shape"])
        assert sum(layer.kind == "C" for layer in layers) == value


def test_a_sweep_of_threads_ends_at_the_cores():
    assert bench_sweeps.values_of("threads", sweep_options(values=[1, 10**6])) == [1]


def test_sweeps_refuse_unknown_kinds_and_values_for_several(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run_script(bench_sweeps, monkeypatch, "width")
    expected = "kinds: must be of batch, image, depth, threads. Received: width"
    assert expected in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run_script(bench_sweeps, monkeypatch, "--values", 1, 2)
    assert "--values: needs exactly one kind of sweep before it" in capsys.readouterr().err


# Kernels


def test_one_kernel_against_the_peaks(tmp_path, monkeypatch, capsys):
    options = ["adam", "--containing", "33136", "--rounds", 1, "--budget", 0.01]
    assert run_script(bench_ops, monkeypatch, *options, "--no-tensorflow", "--out", tmp_path) == 0
    written = json.loads((tmp_path / "ops.json").read_text())
    (case,) = written["cases"]
    assert case["unit"] == "GB/s" and case["name"] == "Adam 33136 parameters"
    assert case["rate"] == pytest.approx(28 * 33136 / case["milliseconds"] / 1e6)
    (peak,) = written["peaks"].values()
    assert case["share_of_peak"] == pytest.approx(case["rate"] / peak["GB/s"])
    assert peak["GFLOP/s"] > 0 and case["rows"] == ["olivetti:1"]
    assert re.search(r"^\| Adam 33136 parameters \| ", capsys.readouterr().out, re.MULTILINE)


def test_kernel_cases_have_names_of_their_own_and_unknown_ones_are_errors(monkeypatch, capsys):
    names = [case.name for case in op_cases.cases(op_cases.FAMILIES, paper.ROWS)]
    assert len(names) == len(set(names)) == len(op_cases.by_name()) > 60
    with pytest.raises(SystemExit):
        run_script(bench_ops, monkeypatch, "adam", "nothing")
    assert "families: must be of dense, " in capsys.readouterr().err
    with pytest.raises(SystemExit, match="--containing: no case's name contains 'nothing'"):
        run_script(bench_ops, monkeypatch, "--containing", "nothing")


def test_kernel_cases_are_the_distinct_layers_of_their_rows():
    found = op_cases.cases(["convolution"], ["cifar:11", "cifar:12", "cifar:6"])
    rows = {case.name: case.rows for case in found}
    assert rows["convolution, bias, relu 128 x 32 x 32 x 3, 3 x 3 -> 32"] == (
        "cifar:11",
        "cifar:12",
    )
    # Two equal layers in a row are one case; nobody asks for the gradient of the images.
    assert "convolution, gradient of inputs 128 x 32 x 32 x 32, 3 x 3 -> 32" in rows
    assert "convolution, gradient of inputs 128 x 32 x 32 x 3, 3 x 3 -> 32" not in rows
    assert sum("bias, relu" in name for name in rows) == 6 + 2
    dense = {case.name for case in op_cases.cases(["dense"], ["mnist:1"])}
    assert "dense, bias, linear 128 x 128 -> 10" in dense  # softmax is timed with its loss
    assert "dense, gradient of inputs 128 x 784 -> 128" not in dense


@pytest.mark.parametrize("family", ["pool", "dropout", "dense"])
def test_kernel_cases_run_where_windows_do_not_fill_the_image(family):
    for case in op_cases.cases([family], ["mnist:8"]):
        result = case.ours(for_device("cpu"), case.arrays())()
        assert bench_ops.norm_of(result) > 0, case.name


def timed_case(name, threads, milliseconds, ratio):
    found = {"name": name, "family": "dense", "threads": threads, "milliseconds": milliseconds}
    return {**found, "ratio": ratio, "share_of_peak": 0.5}


def test_kernels_are_summed_up_by_family_and_threads():
    lines = bench_ops.summary(
        [
            timed_case("a", 1, 4.0, 2.0),
            timed_case("b", 1, 4.0, 0.5),
            timed_case("a", 2, 2.0, 4.0),
            timed_case("b", 2, 4.0, 1.0),
        ]
    )
    ratios = "geometric mean 1.00, from 0.50 to 2.00, ahead in 1 of 2"
    assert lines[0] == f"- dense, threads: 1: {ratios}; median share of the peak 50%"
    assert lines[1].endswith("; median share of the peak 50%; 1.41 times as fast as 1")


@pytest.mark.parametrize("text", ["0", "two", "1,1000000"])
def test_threads_of_kernels_are_numbers_up_to_the_cores(text, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run_script(bench_ops, monkeypatch, "--threads", text)
    assert re.search(rf"--threads: must be numbers from 1 to \d+. Received: {text}", (
        capsys.readouterr().err
    ))  # fmt: skip


@pytest.mark.slow
@pytest.mark.keras
def test_both_sides_have_the_same_losses_and_results(tmp_path, monkeypatch, capsys):
    options = ["--rows", "olivetti:4", "--rounds", 1, "--steps", 3, "--epochs", 1, "--cold"]
    assert run_script(bench_vs_tensorflow, monkeypatch, *options, "--out", tmp_path) == 0
    row = json.loads((tmp_path / "results.json").read_text())["rows"][0]
    assert bench_report.first_loss_difference(row, "tensorflow") < 1e-5
    ours = row["peers"]["kerasmirror"]
    assert ours["first_epoch_cold"] > ours["first_epoch"]
    # Exit status 1 would mean that a result is not TensorFlow's.
    options = ["dropout", "pool", "adam", "cross-entropy", "--rounds", 1, "--budget", 0.005]
    assert run_script(bench_ops, monkeypatch, *options, "--out", tmp_path) == 0
    written = json.loads((tmp_path / "ops.json").read_text())
    assert all(case["same_result"] and case["ratio"] > 0 for case in written["cases"])


@pytest.mark.slow
@pytest.mark.keras
def test_a_quick_sweep_has_numbers_of_both_sides(tmp_path, monkeypatch, capsys):
    options = ["batch", "depth", "--quick", "--out", tmp_path]
    assert run_script(bench_sweeps, monkeypatch, *options) == 0
    written = json.loads((tmp_path / "sweeps.json").read_text())
    assert [point["value"] for point in written["sweeps"]["batch"]] == [16, 64]
    for points in written["sweeps"].values():
        for found in (found for point in points for found in point["peers"].values()):
            assert found["epoch"] > 0 and found["memory"] > 50


@pytest.mark.slow
@pytest.mark.parametrize("name", ["onnxruntime", "torch-native"])
def test_other_peers_compute_our_networks(name, tmp_path, monkeypatch, capsys):
    for need in peers.PEERS[name].needs:
        pytest.importorskip(need)
    options = ["--rows", "olivetti:6", "--rounds", 1, "--steps", 2, "--epochs", 1, "--peers", name]
    assert run_script(bench_vs_tensorflow, monkeypatch, *options, "--out", tmp_path) == 0
    row = json.loads((tmp_path / "results.json").read_text())["rows"][0]
    ours, theirs = row["peers"]["kerasmirror"], row["peers"][name]
    assert theirs["initial_loss"] == pytest.approx(ours["initial_loss"], rel=1e-5)
    assert theirs["parameters"] == ours["parameters"] and theirs["call_one"] > 0
