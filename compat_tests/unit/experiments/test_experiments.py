"""Descriptions and ids, records, the command, and the paper's tables."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from kerasmirror.__main__ import main
from kerasmirror.experiments import Experiment, read_record, run_experiment, table
from kerasmirror.experiments import data as data_sets
from kerasmirror.experiments.record import Record, repeats

ROOT = Path(__file__).resolve().parents[3]
SMALL = {"structure": "M(4);F();D(10,sm)", "data": "made", "epochs": 2, "samples": 256}


def test_the_id_is_that_of_all_that_matters_and_of_nothing_else():
    plain = Experiment(**SMALL)
    assert plain.id == Experiment(**{**SMALL, "structure": " M(4) ;F();D(10, sm)"}).id
    assert plain.id == Experiment.from_dict(json.loads(json.dumps(plain.as_dict()))).id
    changes = [
        {"structure": "M(2);F();D(10,sm)"},
        *({"epochs": 3}, {"samples": 0}, {"seed": 2}, {"l1": 0.1}, {"learning_rate": 0.1}),
        *({"optimizer": "sgd"}, {"optimizer_options": {"beta_1": 0.8}}, {"batch_size": 64}),
        {"initializer": "he_normal"},
    ]
    ids = {plain.id, *(Experiment(**{**SMALL, **change}).id for change in changes)}
    assert len(ids) == 1 + len(changes)
    # Ids stand in other people's records: they must not change with the package.
    assert plain.id == "0c4ab4c160d5"


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"data": "imagenet"}, ValueError, "Experiment: `data` must be one of olivetti, mnist, "
         "cifar10, made. Received: data='imagenet'"),
        ({"split": 1}, ValueError, "Experiment: `split` must be below 1 for made. Received: "
         "split=1"),
        ({"epochs": 0}, ValueError, "Experiment: `epochs` must be an int of at least 1. Received: "
         "epochs=0"),
        ({"seed": -1}, ValueError, "Experiment: `seed` must be an int of at least 0. Received: "
         "seed=-1"),
        ({"l2": -1.0}, ValueError, "Experiment: `l2` must be a number of at least 0. Received: "
         "l2=-1.0"),
        ({"optimizer": "best"}, ValueError, "Experiment: `optimizer` must be the name of an "
         "optimizer. Received: optimizer='best'"),
        ({"initializer": "best"}, ValueError, "Experiment: `initializer` must be the name of an "
         "initializer. Received: initializer='best'"),
    ],
)  # fmt: skip
def test_a_mistake_raises_its_whole_message(change, kind, message):
    with pytest.raises(kind) as raised:
        Experiment(**{**SMALL, **change})
    assert str(raised.value) == message


def test_made_data_are_the_same_each_time_and_can_be_learned():
    (x, y), (x_test, y_test) = data_sets.load("made", samples=100)
    again = data_sets.load("made")[0]
    assert x.shape == (100, 16, 16, 1) and x_test.shape == (1000, 16, 16, 1)
    assert x.dtype == np.float32 and -1 <= x.min() and x.max() <= 1
    np.testing.assert_array_equal(x, again[0][:100])
    np.testing.assert_array_equal(y, again[1][:100])


def test_olivetti_comes_from_the_folder_of_data_sets(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    train = np.stack([rng.permutation(20)[:12] for _ in range(10)])
    test = np.stack([np.setdiff1d(np.arange(20), row) for row in train])
    images = rng.integers(0, 256, (20, 64, 64)).astype("uint8")
    np.savez(tmp_path / "olivetti.npz", images=images, labels=np.arange(20), train=train, test=test)
    monkeypatch.setenv("KERASMIRROR_DATASETS", str(tmp_path))
    (x, y), (_, y_test) = data_sets.load("olivetti", split=3)
    np.testing.assert_array_equal(y, train[3])
    np.testing.assert_array_equal(y_test, test[3])
    np.testing.assert_allclose(x[0, :, :, 0], images[train[3][0]] / 127.5 - 1, atol=1e-6)


def test_olivetti_that_can_be_had_in_no_way_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("KERASMIRROR_DATASETS", str(tmp_path))
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="must be in the file olivetti.npz of the folder"):
        data_sets.load("olivetti")


@pytest.fixture(scope="module")
def record():
    return run_experiment(Experiment(**SMALL), ["kerasmirror"])


def test_a_record_is_read_as_it_was_written(record, tmp_path):
    path = record.write(tmp_path / "new")
    assert path.name == f"{record.experiment.id}.json"
    assert read_record(path) == record
    assert set(record.results["kerasmirror"]["history"]) == {"accuracy", "loss"}


def test_an_experiment_that_is_run_again_gives_the_same(record):
    again = run_experiment(record.experiment, ["kerasmirror"])
    assert repeats(record, again) == {"kerasmirror": True}
    other = run_experiment(Experiment(**{**SMALL, "seed": 2}), ["kerasmirror"])
    assert repeats(record, other) == {"kerasmirror": False}


def test_records_that_are_none_are_told(record, tmp_path):
    path = record.write(tmp_path)
    content = json.loads(path.read_text())
    content["experiment"]["epochs"] = 7
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="must have the id of its experiment"):
        read_record(path)
    path.write_text("[]")
    with pytest.raises(ValueError, match="must be a record"):
        read_record(path)
    with pytest.raises(FileNotFoundError):
        read_record(tmp_path / "none.json")


def test_the_table_has_means_and_differences():
    def of(accuracy, loss, seconds):
        return {
            "parameters": 10, "test_accuracy": accuracy, "test_loss": loss, "fit_seconds": seconds
        }  # fmt: skip

    experiment = Experiment(**SMALL)
    records = [
        Record(experiment, {"keras": of(0.5, 1.0, 4.0), "kerasmirror": of(0.6, 1.1, 1.0)}, {}, ""),
        Record(experiment, {"keras": of(0.7, 1.0, 4.0), "kerasmirror": of(0.6, 1.3, 1.0)}, {}, ""),
    ]
    cells = table.line("row", records).cells()
    assert cells == [
        *("row", "10", "4.00", "1.00", "-75.0 %", "60.00%", "60.00%", "+0.00 pp"),
        *("1.0000", "1.2000", "+20.0 %"),
    ]
    alone = table.line("x", [Record(experiment, {"kerasmirror": of(0.6, 1.0, 1.0)}, {}, "")])
    assert alone.cells()[2:5] == ["-", "1.00", "-"]
    text = table.markdown([alone], [("paper", ["99"])])
    assert text.splitlines()[0].endswith("| difference | paper |") and text.endswith("| 99 |")


@pytest.fixture
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


ONLY = ["--only", "kerasmirror", "--epochs", "1", "--samples", "256"]


def test_the_command_runs_lists_and_repeats(in_folder, capsys):
    assert main(["experiment", "M(4);F();D(10,sm)", *ONLY]) == 0
    (path,) = (in_folder / "experiments").glob("*.json")
    out = capsys.readouterr().out
    assert f"record: {Path('experiments') / path.name}" in out and "test accuracy" in out
    log = path.with_suffix(".log").read_text()
    assert log.startswith(f"experiment {path.stem}: M(4);F();D(10,sm)\n") and "epoch 1: " in log
    assert main(["experiment", "--list"]) == 0
    assert capsys.readouterr().out.startswith(path.stem)
    assert main(["experiment", "--id", path.stem, "--only", "kerasmirror"]) == 0
    assert "kerasmirror: the same results" in capsys.readouterr().out
    content = json.loads(path.read_text())
    content["results"]["kerasmirror"]["test_loss"] += 1e-7
    path.write_text(json.dumps(content))
    assert main(["experiment", "--id", path.stem, "--only", "kerasmirror"]) == 1
    assert "kerasmirror: other results" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["C(3,8,r);Q(1)"], "experiment: structure: one of C, M, A, DR, F, D expected at position "
         "10.\n  C(3,8,r);Q(1)\n           ^\n"),
        (["F();D(3,sm)"], "experiment: structure: a last layer with 10 outputs, the classes of "
         "made, expected at position 5.\n  F();D(3,sm)\n      ^\n"),
        (["F();D(10,sm)", "--epochs", "0"], "experiment: Experiment: `epochs` must be an int of at "
         "least 1. Received: epochs=0\n"),
        (["F();D(10,sm)", "--momentum", "0.9"], "experiment: Adam: unknown arguments "
         "{'momentum': 0.9}\n"),
    ],
)  # fmt: skip
def test_mistakes_on_the_command_line_are_one_message(in_folder, capsys, arguments, message):
    assert main(["experiment", *arguments]) == 2
    assert capsys.readouterr().err == message
    assert list(in_folder.iterdir()) == []


def test_an_unknown_id_and_no_structure_are_told(in_folder, capsys):
    assert main(["experiment", "--id", "0123"]) == 2
    assert capsys.readouterr().err == (
        "experiment: --id must be that of a record in experiments. Received: 0123\n"
    )
    with pytest.raises(SystemExit) as stopped:
        main(["experiment"])
    assert stopped.value.code == 2
    assert "STRUCTURE, --id or --list is needed" in capsys.readouterr().err


def test_an_id_comes_alone(in_folder, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["experiment", "F();D(10,sm)", "--id", "0123", "--batch-size", "8"])
    assert stopped.value.code == 2
    err = capsys.readouterr().err
    assert "without STRUCTURE and settings. Received: F();D(10,sm) --batch-size\n" in err


def test_a_real_keras_that_is_not_there_is_told(in_folder, capsys, monkeypatch):
    real = "kerasmirror.parity.peer.importlib.util.find_spec"
    monkeypatch.setattr(real, lambda name: None if name in ("keras", "tensorflow") else 1)
    assert main(["experiment", "M(4);F();D(10,sm)", "--epochs", "1", "--samples", "256"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("experiment: ") and "pip install 'kerasmirror[parity]'" in err


@pytest.mark.keras
def test_both_packages_start_from_the_same_weights(in_folder, capsys):
    arguments = ["M(4);F();D(16,r);D(10,sm)", "--epochs", "2", "--samples", "512"]
    assert main(["experiment", *arguments]) == 0
    (path,) = (in_folder / "experiments").glob("*.json")
    results = read_record(path).results
    ours, theirs = results["kerasmirror"], results["keras"]
    assert ours["parameters"] == theirs["parameters"]
    np.testing.assert_allclose(ours["history"]["loss"], theirs["history"]["loss"], rtol=1e-4)
    np.testing.assert_allclose(ours["test_loss"], theirs["test_loss"], rtol=1e-4)


@pytest.fixture
def reproduce(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import reproduce_paper

    return reproduce_paper


def test_rows_are_read(reproduce):
    assert reproduce.rows_of("mnist:1,cifar:3-5,mnist:1") == [
        *("mnist:1", "cifar:3", "cifar:4", "cifar:5")
    ]
    assert len(reproduce.rows_of("olivetti")) == 11 and len(reproduce.rows_of("all")) == 33
    with pytest.raises(ValueError, match="must be one of olivetti:1 to cifar:12"):
        reproduce.rows_of("cifar:13")
    with pytest.raises(ValueError, match="must be one of olivetti:1 to cifar:12"):
        reproduce.rows_of("imagenet")


def test_the_papers_tables_are_written_and_runs_are_not_repeated(
    reproduce, in_folder, monkeypatch, capsys
):
    data = (np.zeros((64, 28, 28), "uint8"), np.arange(64) % 10)
    monkeypatch.setattr("kerasmirror.datasets.mnist.load_data", lambda: (data, data))
    monkeypatch.setitem(
        sys.modules["kerasmirror._export"]._BY_PATH,
        "datasets.mnist.load_data",
        lambda: (data, data),
    )
    arguments = ["--rows", "mnist:1", "--epochs", "1", "--only", "kerasmirror"]
    assert reproduce.main(arguments) == 0
    text = (in_folder / "experiments" / "tables.md").read_text()
    assert "## MNIST" in text and "| 118,282 |" in text and "98.16%" in text
    (record,) = (in_folder / "experiments").glob("*.json")
    before = os.stat(record).st_mtime_ns
    assert reproduce.main(arguments) == 0
    assert os.stat(record).st_mtime_ns == before
    if reproduce.pyplot is not None:
        assert (in_folder / "experiments" / "loss_mnist_1.png").stat().st_size > 1000


def test_readme_gets_the_accuracies_of_rows_that_ran_on_both_sides(
    reproduce, in_folder, monkeypatch, capsys
):
    begin, end = reproduce.readme.markers("accuracy", "reproduce_paper.py")
    page = in_folder / "page.md"
    page.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    monkeypatch.setattr(reproduce.readme.write, "__defaults__", (page,))
    accuracy = {"keras": 0.5, "kerasmirror": 0.6225}
    for split in (0, 1):
        experiment = Experiment(**reproduce.paper.experiment_of("olivetti:2"), split=split)
        results = {
            side: {
                **dict.fromkeys(("parameters", "fit_seconds", "test_loss"), 1),
                "test_accuracy": value + 0.01 * split,
                "history": {"loss": [1.0]},
            }
            for side, value in accuracy.items()
        }
        Record(experiment, results, {}, "").write("experiments")
    assert reproduce.main(["--rows", "olivetti:2", "--splits", "2", "--write"]) == 0
    text = page.read_text()
    assert text.startswith(f"before\n{begin}\nAccuracy on test data") and "old" not in text
    row = "| `olivetti:2`, 100 epochs, mean of 2 splits | 62.75% | 50.50% | +12.25 | 95.50% |"
    assert text.endswith(f"\n{row}\n{end}\nafter\n")


def test_a_folder_without_records_and_one_that_is_not_there_are_told(in_folder, capsys):
    assert main(["experiment", "--list"]) == 2
    message = "experiment: --folder must be a folder with records. Received: experiments\n"
    assert capsys.readouterr().err == message
    (in_folder / "experiments").mkdir()
    assert main(["experiment", "--list"]) == 0
    assert capsys.readouterr().out == "no records in experiments\n"
