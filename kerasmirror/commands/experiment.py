"""`python -m kerasmirror experiment`: the paper's experimenter, both packages side by side."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

import kerasmirror
from kerasmirror.experiments import data as data_sets
from kerasmirror.experiments import networks, paper, table
from kerasmirror.experiments.description import Experiment
from kerasmirror.experiments.record import (
    SIDES,
    read_record,
    read_records,
    repeats,
    run_experiment,
)
from kerasmirror.parity import RealKeras


def add_arguments(parser):
    """The command's own options."""
    parser.add_argument(
        "structures",
        nargs="*",
        metavar="STRUCTURE",
        help="a network as a string, or a row of the paper (mnist:4)",
    )
    parser.add_argument("--id", help="run a recorded experiment again, and compare")
    parser.add_argument("--list", action="store_true", help="list the recorded experiments")
    parser.add_argument("--folder", default="experiments", help="where records are kept")
    parser.add_argument("--only", choices=SIDES, help="run in one package only")
    parser.add_argument(
        "--data", choices=list(data_sets.INPUT_SHAPES), help="default: made, or the row's own"
    )
    parser.add_argument("--split", type=int, help="of Olivetti's ten (0 to 9)")
    parser.add_argument("--samples", type=int, help="use the first training images only")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--optimizer", help="a name: sgd, rmsprop, adam, nadam ...")
    parser.add_argument("--momentum", type=float, help="of sgd and rmsprop")
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--initializer", help="a name: glorot_uniform, he_normal ...")
    parser.add_argument("--l1", type=float)
    parser.add_argument("--l2", type=float)
    parser.add_argument("--seed", type=int)


_SETTINGS = (
    *("data", "split", "samples", "epochs", "batch_size", "optimizer", "learning_rate"),
    *("initializer", "l1", "l2", "seed"),
)


def run(options, parser):
    """Run, print the paper's table, keep records. Status 1: a rerun differs; 2: an error."""
    console = Console(soft_wrap=True)
    try:
        if options.list:
            return _list(console, options.folder)
        if options.id:
            _refuse_settings(options, parser)
            return _again(options, console)
        return _new(options, parser, console)
    except (ValueError, TypeError, OSError, ImportError) as error:
        print(f"experiment: {error}", file=sys.stderr)
        return 2


def _experiment(structure, options):
    values = {"data": "made", "structure": structure}
    if structure in paper.ROWS:
        values = paper.experiment_of(structure)
    given = {name: getattr(options, name) for name in _SETTINGS}
    values.update({name: value for name, value in given.items() if value is not None})
    if options.momentum is not None:
        values["optimizer_options"] = {"momentum": options.momentum}
    experiment = Experiment(**values)
    _check(experiment)
    return experiment


def _check(experiment):
    """Raise StructureError now, rather than after other experiments have run for hours."""
    settings = experiment.settings()
    weights = networks.initial_weights(kerasmirror, settings)
    networks.optimizer_of(kerasmirror, settings)
    classes = data_sets.CLASSES[experiment.data]
    if not weights or weights[-1].shape[-1] != classes:
        raise networks.StructureError(
            experiment.structure,
            networks.parse(experiment.structure)[-1].place,
            f"a last layer with {classes} outputs, the classes of {experiment.data}, expected",
        )


def _new(options, parser, console):
    if not options.structures:
        parser.error("STRUCTURE, --id or --list is needed")
    experiments = [_experiment(structure, options) for structure in options.structures]
    records = []
    with _sides(options) as (sides, real):
        for structure, experiment in zip(options.structures, experiments, strict=True):
            record = _run(experiment, sides, real, options, console)
            records.append((structure, record))
            console.print(f"record: {record.write(options.folder)}", markup=False, highlight=False)
    _print(console, records)
    return 0


def _refuse_settings(options, parser):
    """End with an error if there is more than --id says: a record has its own settings."""
    given = [n for n in (*_SETTINGS, "momentum") if getattr(options, n) is not None]
    more = [*options.structures, *(f"--{name.replace('_', '-')}" for name in given)]
    if more:
        parser.error(f"--id must come without STRUCTURE and settings. Received: {' '.join(more)}")


def _again(options, console):
    path = Path(options.folder) / f"{options.id}.json"
    if not path.is_file():
        raise ValueError(
            f"--id must be that of a record in {options.folder}. Received: {options.id}"
        )
    old = read_record(path)
    with _sides(options) as (sides, real):
        sides = [side for side in sides if side in old.results]
        if not sides:
            raise ValueError(f"the record {options.id} has no results of {options.only}")
        new = _run(old.experiment, sides, real, options, console)
    _print(console, [("recorded", old), ("now", new)])
    equal = repeats(old, new)
    for side, same in equal.items():
        console.print(f"{side}: {'the same results' if same else 'other results'}")
    return 0 if all(equal.values()) else 1


@contextlib.contextmanager
def _sides(options):
    sides = [options.only] if options.only else list(SIDES)
    with contextlib.ExitStack() as stack:
        yield sides, stack.enter_context(RealKeras()) if "keras" in sides else None


def _run(experiment, sides, real, options, console):
    folder = Path(options.folder)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{experiment.id}.log").open("a") as log:

        def tell(text):
            log.write(text + "\n")
            log.flush()
            console.print(text, markup=False, highlight=False)

        return run_experiment(experiment, sides, real, tell)


def _print(console, records):
    """For each record the paper's columns as lines: both packages and the difference."""
    for label, record in records:
        cells = table.line(label, [record]).cells()
        shown = Table(title=label, title_justify="left", show_edge=False)
        shown.add_column(f"{cells[1]} parameters")
        for name in ("Keras", "kerasmirror", "difference"):
            shown.add_column(name, justify="right")
        for i, name in enumerate(("fit [s]", "test accuracy", "test loss")):
            shown.add_row(name, *cells[2 + 3 * i : 5 + 3 * i])
        console.print(shown)


def _list(console, folder):
    """Print a line for each record. Status 2 for a folder that is not there."""
    if not Path(folder).is_dir():
        raise ValueError(f"--folder must be a folder with records. Received: {folder}")
    records = read_records(folder)
    if not records:
        console.print(f"no records in {folder}", markup=False, highlight=False)
    for record in records:
        experiment, sides = record.experiment, ", ".join(record.results)
        text = f"{experiment.id}  {record.finished}  {experiment.data}  {experiment.structure}"
        console.print(f"{text}  ({sides})", markup=False, highlight=False)
    return 0
