"""Train the paper's networks in both packages and write its three tables beside its own figures.

python scripts/reproduce_paper.py [--rows mnist:1,cifar:3-7] [--epochs N] [--splits N]
                                  [--folder experiments] [--out FOLDER] [--write]

Each experiment leaves a record in the folder and is not run again while that is there, so a run
that was stopped goes on where it was. Olivetti is the mean over its splits. With matplotlib, the
accuracies of both packages and of the paper are drawn, and the loss curves laid over each other.
--write puts the accuracies into README.md.
"""

import argparse
import sys
from pathlib import Path

import readme

from kerasmirror.experiments import Experiment, paper, read_record, run_experiment, table
from kerasmirror.experiments import data as data_sets
from kerasmirror.experiments.record import SIDES
from kerasmirror.parity import RealKeras

try:
    from matplotlib import pyplot
except ImportError:
    pyplot = None

_TITLES = {"olivetti": "Olivetti", "mnist": "MNIST", "cifar": "CIFAR-10"}


def rows_of(text):
    """The rows that "all", "mnist", "mnist:1,cifar:3-7" stand for.

    Raises: ValueError for a row that is not there.
    """
    if text == "all":
        return list(paper.ROWS)
    chosen = []
    for part in text.split(","):
        name, _, numbers = part.partition(":")
        first, _, last = numbers.partition("-")
        if not numbers and name in paper.NETWORKS:
            chosen += [row for row in paper.ROWS if row.startswith(f"{name}:")]
        elif first.isdigit() and (last or first).isdigit():
            chosen += [f"{name}:{number}" for number in range(int(first), int(last or first) + 1)]
        else:
            chosen.append(part)
    for row in chosen:
        paper.structure(row)
    return list(dict.fromkeys(chosen))


def experiments_of(row, epochs, splits):
    """One experiment, or one for each of Olivetti's splits."""
    values = paper.experiment_of(row)
    if epochs:
        values["epochs"] = epochs
    count = min(splits, data_sets.splits_of(values["data"]))
    return [Experiment(**values, split=split) for split in range(count)]


def record_of(experiment, folder, sides, real):
    """The experiment's record: that in the folder if it has all sides, else a new one."""
    path = Path(folder) / f"{experiment.id}.json"
    if path.exists():
        record = read_record(path)
        if set(sides) <= set(record.results):
            return record
    record = run_experiment(experiment, sides, real, lambda text: print(text, flush=True))
    record.write(folder)
    return record


def tables(lines):
    """The Markdown of all tables; `lines` are (row, table.Line)."""
    parts = []
    for name, title in _TITLES.items():
        own = [(row, line) for row, line in lines if row.startswith(f"{name}:")]
        if not own:
            continue
        numbers = [int(row.split(":")[1]) - 1 for row, _ in own]
        further = [
            ("paper: parameters", [f"{paper.PARAMETERS[name][n]:,}" for n in numbers]),
            ("paper: Keras accuracy", [f"{paper.KERAS_ACCURACY[name][n]:.2%}" for n in numbers]),
        ]
        text = table.markdown([line for _, line in own], further)
        networks = "\n".join(f"{row}: `{paper.structure(row)}`  " for row, _ in own)
        parts.append(f"## {title}\n\n{text}\n\n{networks}\n")
    return "\n".join(parts)


def accuracies(lines, records):
    """README's table: accuracy on test data of both sides, and what the paper has for Keras."""
    rows = [
        "| network of the paper | kerasmirror | Keras | difference | Keras in the paper |",
        "|---|---|---|---|---|",
    ]
    for row, line in lines:
        if line.keras is None or line.kerasmirror is None:
            continue
        name, _, number = row.partition(":")
        ours, theirs = (side["test_accuracy"] for side in (line.kerasmirror, line.keras))
        made = records[row][0].experiment
        runs = f", mean of {len(records[row])} splits" if len(records[row]) > 1 else ""
        rows.append(
            f"| `{row}`, {made.epochs} epochs{runs} | {ours:.2%} | {theirs:.2%} | "
            f"{100 * (ours - theirs):+.2f} | {paper.KERAS_ACCURACY[name][int(number) - 1]:.2%} |"
        )
    seeds = sorted({record.experiment.seed for own in records.values() for record in own})
    return (
        "Accuracy on test data, both sides from the same weights and seed "
        f"({', '.join(map(str, seeds))}), differences in percentage points:\n\n"
    ) + "\n".join(rows)


def draw(lines, records, folder):
    """accuracy.png, and loss_ROW.png for each row; nothing without matplotlib."""
    if pyplot is None:
        print("No pictures: they need matplotlib (kerasmirror[plot]).", file=sys.stderr)
        return
    figure, axes = pyplot.subplots(figsize=(max(6, 0.6 * len(lines)), 4))
    rows = [row for row, _ in lines]
    published = [paper.KERAS_ACCURACY[r.split(":")[0]][int(r.split(":")[1]) - 1] for r in rows]
    axes.plot(rows, published, "k_", markersize=14, label="Keras in the paper")
    for side, mark in (("keras", "o"), ("kerasmirror", "x")):
        found = [(getattr(line, side) or {}).get("test_accuracy") for _, line in lines]
        if any(value is not None for value in found):
            axes.plot(rows, found, mark, fillstyle="none", label=side)
    axes.set_ylabel("test accuracy")
    axes.tick_params(axis="x", rotation=90)
    axes.legend()
    _save(figure, folder / "accuracy.png")
    for row, own in records.items():
        figure, axes = pyplot.subplots(figsize=(6, 4))
        for side, style in (("keras", "-"), ("kerasmirror", "--")):
            if side in own[0].results:
                losses = own[0].results[side]["history"]["loss"]
                axes.plot(range(1, len(losses) + 1), losses, style, label=side)
        axes.set(title=row, xlabel="epoch", ylabel="training loss", yscale="log")
        axes.legend()
        _save(figure, folder / f"loss_{row.replace(':', '_')}.png")


def _save(figure, path):
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def main(arguments=None):
    """Run what is missing, print and write the tables; exit status 2 for mistakes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default="all", help="all, a table, or rows: mnist:1,cifar:3-7")
    parser.add_argument("--epochs", type=int, help="default: 100 for Olivetti, 5 for the others")
    parser.add_argument("--splits", type=int, default=10, help="how many of Olivetti's ten")
    parser.add_argument("--only", choices=SIDES, help="run one package only")
    parser.add_argument("--folder", default="experiments", help="where records are kept")
    parser.add_argument("--out", default="experiments", help="where tables and pictures go")
    parser.add_argument("--write", action="store_true", help="put the table into README.md")
    options = parser.parse_args(arguments)
    try:
        plan = {
            row: experiments_of(row, options.epochs, options.splits)
            for row in rows_of(options.rows)
        }
    except (ValueError, TypeError) as error:
        parser.error(str(error))
    sides = [options.only] if options.only else list(SIDES)
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    lines, records = [], {}
    with RealKeras() as real:
        for row, experiments in plan.items():
            records[row] = [record_of(e, options.folder, sides, real) for e in experiments]
            lines.append((row, table.line(row, records[row])))
            # After each row: what is done is there if the run is stopped.
            (out / "tables.md").write_text(tables(lines))
    print(tables(lines))
    if options.write:
        readme.write("accuracy", "reproduce_paper.py", accuracies(lines, records))
    draw(lines, records, out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
