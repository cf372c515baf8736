"""Records of experiments: what ran, with what result, on what machine; to be run again by id."""

from __future__ import annotations

import dataclasses
import datetime
import json
from pathlib import Path

import kerasmirror
from kerasmirror.commands import machine
from kerasmirror.experiments import data as data_sets
from kerasmirror.experiments import networks
from kerasmirror.experiments.description import Experiment
from kerasmirror.saving.atomic import replacing

SIDES = ("kerasmirror", "keras")
_FORMAT = 1


@dataclasses.dataclass
class Record:
    """An experiment, the results of the packages that ran it, and on what."""

    experiment: Experiment
    results: dict
    machine: dict
    finished: str

    def as_dict(self):
        return {
            "format": _FORMAT,
            "id": self.experiment.id,
            "experiment": self.experiment.as_dict(),
            "results": self.results,
            "machine": self.machine,
            "finished": self.finished,
        }

    def write(self, folder):
        """Write ID.json into `folder`, which is made if it is not there; gives the path."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.experiment.id}.json"
        with replacing(path) as temporary:
            Path(temporary).write_text(json.dumps(self.as_dict(), indent=1) + "\n")
        return path


def read_record(path):
    """The record in a JSON file.

    Raises: FileNotFoundError; ValueError for a file that is no record, or whose id is not that of
    the experiment in it.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text())
        experiment = Experiment.from_dict(content["experiment"])
        record = Record(experiment, content["results"], content["machine"], content["finished"])
    except (KeyError, TypeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"read_record: `path` must be a record. Received: {path} ({error})"
        ) from None
    if content.get("id") != experiment.id:
        raise ValueError(
            f"read_record: `path` must have the id of its experiment, {experiment.id}: it was "
            f"changed by hand, or by another version. Received: id={content.get('id')!r} in {path}"
        )
    return record


def read_records(folder):
    """All records in `folder`, by their ids."""
    return [read_record(path) for path in sorted(Path(folder).glob("*.json"))]


def run_experiment(experiment, sides=SIDES, real=None, log=None):
    """Run an experiment in the packages named by `sides`, from the same weights and data.

    `real` is a parity.RealKeras, needed for the side "keras"; `log(text)` is told what happens.
    """
    log = log or (lambda text: None)
    settings = experiment.settings()
    train, test = data_sets.load(experiment.data, experiment.split, experiment.samples)
    log(f"experiment {experiment.id}: {experiment.structure}")
    log(f"{len(train[1])} training and {len(test[1])} test images of {experiment.data}")
    weights = networks.initial_weights(kerasmirror, settings)
    results = {}
    for side in sides:
        if side == "keras":
            result = real.call(networks.train, settings, weights, train, test)
        else:
            result = networks.train(kerasmirror, settings, weights, train, test)
        for epoch, (loss, accuracy) in enumerate(_epochs(result["history"]), 1):
            log(f"{side}: epoch {epoch}: loss {loss:.6f}, accuracy {accuracy:.4f}")
        log(
            f"{side}: {result['parameters']} parameters, fit {result['fit_seconds']:.2f} s, test "
            f"accuracy {result['test_accuracy']:.4f}, test loss {result['test_loss']:.6f}"
        )
        results[side] = result
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    return Record(experiment, results, machine.describe(), now)


def _epochs(history):
    return zip(history["loss"], history["accuracy"], strict=True)


def repeats(old, new):
    """Whether a new record has the results of an old one, to the bit, side by side."""
    timed = ("fit_seconds", "evaluate_seconds")

    def results_of(record, side):
        return {k: v for k, v in record.results[side].items() if k not in timed}

    both = [side for side in old.results if side in new.results]
    return {side: results_of(old, side) == results_of(new, side) for side in both}
