"""scripts/parity_rows.py: the table of the paper's networks. No real Keras is needed."""

import json
from pathlib import Path

import pytest

from kerasmirror.parity.compare import TOLERANCES
from kerasmirror.parity.report import Report

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import parity_rows

    return parity_rows


def report_of(losses, decided=False):
    report = Report("row", TOLERANCES)
    report.settings = {"steps": len(losses), "batch_size": 32, "samples": 64, "seed": 1}
    report.add("initial weights", "weight 0", 1.0, 1.0)
    report.add("layer", "dense", 1.0, 1.0 + 1e-6, kind="Dense")
    report.add("gradient", "dense/kernel", 1.5 if decided else 1.0, 1.0)
    if decided:
        report.decide_as_ours("gradient", "dense/kernel", 1.5, 1.5 + 3e-7)
    for i, loss in enumerate(losses):
        report.add("step", str(i + 1), loss, 1.0, allowed=1.0)
    return report


def test_a_line_tells_the_first_step_beyond_and_what_keras_departs_from_itself(script):
    report = report_of([1.0, 1.00001, 1.002, 1.0])
    report.sensitivity = [0.0, 1e-5, 3e-3, 0.0]
    assert script.line("mnist:1", report.as_dict()) == (
        *("`mnist:1`", "118,282", "1 of 1 exact", "1e-06", "0e+00", "4 × 32"),
        *("the first 2", "2e-03", "3e-03", "yes"),
    )
    report.sensitivity = [0.0, float("inf"), 3e-3, 0.0]
    assert script.line("mnist:1", json.loads(json.dumps(report.as_dict())))[8] == "inf"
    cells = script.line("cifar:12", report_of([1.0], decided=True).as_dict())
    assert cells[4] == "2e-07*" and cells[6:9] == ("all", "0e+00", "")


def test_a_disagreement_stands_in_the_table(script):
    report = report_of([1.0])
    report.add("outputs", "model", 2.0, 1.0)
    text = script.table({"olivetti:2": report.as_dict(), "mnist:2": report_of([1.0]).as_dict()})
    assert text.startswith("1 of 2 networks agree") and "They first differ in: outputs" in text


def test_rows_are_read_and_reports_that_are_there_not_made_again(script, tmp_path, monkeypatch):
    assert len(script.rows_of("all")) == 33
    assert script.rows_of("mnist:2,olivetti:1,mnist:2") == ["mnist:2", "olivetti:1"]
    with pytest.raises(SystemExit, match="not imagenet"):
        script.rows_of("imagenet")
    script.path_of(tmp_path, "mnist:1").write_text(json.dumps(report_of([1.0]).as_dict()))
    begin, end = script.readme.markers("parity", "parity_rows.py")
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    monkeypatch.setattr(script.readme.write, "__defaults__", (readme,))
    assert script.main(["--rows", "mnist:1", "--folder", str(tmp_path), "--write"]) == 0
    text = readme.read_text()
    assert text.startswith(f"before\n{begin}\n1 of 1 networks agree")
    assert text.endswith(f"{end}\nafter\n") and "old" not in text


def test_a_row_runs_the_command_on_its_own_data(script, tmp_path, monkeypatch):
    seen = []

    def run(command, **options):
        seen.append(command[1:])
        return type("Done", (), {"returncode": 2})

    monkeypatch.setattr(script.subprocess, "run", run)
    assert script.main(["--rows", "cifar:3", "--folder", str(tmp_path), "--steps", "10"]) == 1
    (command,) = seen
    assert command[:4] == ["-m", "kerasmirror", "parity", "cifar:3"]
    assert command[4:8] == ["--data=cifar10", "--steps=10", "--batch-size=128", "--samples=1280"]
