"""Compare every network of the paper with real Keras on real data, and write README's table of it.

python scripts/parity_rows.py [--rows all] [--steps 50] [--folder parity_rows] [--write]

Each row is one `python -m kerasmirror parity` on the row's own data (KERASMIRROR_DATASETS names the
folder of data sets), a report in FOLDER/mnist_4.json. Reports that are there are not made again, so
that a run may be continued; their steps and batch sizes, which may differ, stand in the table.
Without --write, the table is only printed.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import readme

from kerasmirror.experiments import paper

BOUND = 1e-4
HEAD = (
    "network",
    "parameters",
    "initial weights",
    "outputs of layers",
    "gradients",
    "steps × batch",
    f"steps within {BOUND:.0e}",
    "largest departure of the loss",
    "Keras from itself",
    "agree",
)


def rows_of(text):
    """The rows that a text names: "all", "mnist", "mnist:4", or several, by commas."""
    found = []
    for part in text.split(","):
        chosen = [row for row in paper.ROWS if part in ("all", row, row.split(":")[0])]
        if not chosen:
            raise SystemExit(f"--rows: all, a table or rows ({paper.ROWS[0]}), not {part}")
        found += [row for row in chosen if row not in found]
    return found


def path_of(folder, row):
    """Where the report of a row is kept."""
    return Path(folder) / f"{row.replace(':', '_')}.json"


def compare(row, folder, steps, batch_size):
    """Run the comparison of a row unless its report is there; whether there is one then."""
    path = path_of(folder, row)
    if path.exists():
        return True
    path.parent.mkdir(parents=True, exist_ok=True)
    chosen = paper.experiment_of(row)
    batch_size = batch_size or chosen["batch_size"]
    samples = 280 if chosen["data"] == "olivetti" else steps * batch_size
    options = {"data": chosen["data"], "steps": steps, "batch-size": batch_size}
    options |= {"samples": samples, "json": path}
    arguments = [f"--{name}={value}" for name, value in options.items()]
    command = [sys.executable, "-m", "kerasmirror", "parity", row, *arguments]
    done = subprocess.run(command, stdout=subprocess.DEVNULL)
    return done.returncode in (0, 1)


def line(row, report):
    """The cells of a row's report."""

    def errors(*stages):
        return [part for part in report["rows"] if part["stage"] in stages]

    table, number = row.split(":")
    start, layers = errors("initial weights"), errors("layer", "outputs")
    gradients, steps = errors("flow", "gradient"), errors("step")
    exact = sum(part["error"] == 0 for part in start)
    beyond = next((part["name"] for part in steps if float(part["error"]) > BOUND), None)
    decided = any(part["own"] is not None and part["good"] for part in gradients)
    settings = report["settings"]
    return (
        f"`{row}`",
        f"{paper.PARAMETERS[table][int(number) - 1]:,}",
        f"{exact} of {len(start)} exact",
        _largest(layers),
        _largest(gradients) + ("*" if decided else ""),
        f"{settings['steps']} × {settings['batch_size']}",
        "all" if beyond is None else f"the first {int(beyond) - 1}",
        _largest(steps),
        f"{max(map(float, report['sensitivity'])):.0e}" if report["sensitivity"] else "",
        "yes" if report["good"] else report["verdict"],
    )


def _largest(parts):
    return f"{max(float(part['error']) for part in parts):.0e}"


def table(reports):
    """The table and its explanation as Markdown, of {row: report}."""
    lines = ["| " + " | ".join(HEAD) + " |", "|---" * len(HEAD) + "|"]
    lines += ["| " + " | ".join(line(row, report)) + " |" for row, report in reports.items()]
    good = sum(report["good"] for report in reports.values())
    return (
        f"{good} of {len(reports)} networks agree (real data, Adam at 1e-3, dropout on, shuffled; "
        "errors relative to the largest value):\n\n" + "\n".join(lines) + "\n\n"
        f"Where a loss leaves Keras's by more than {BOUND:.0e}, Keras was trained again, with "
        "random errors in its layers of the size that kerasmirror's layers have at the same "
        'inputs, where needed of up to 4 times that: "Keras from itself" is how far that takes its '
        "losses. "
        "\\* A maximum or a relu of values a rounding apart sent a gradient another way; compared "
        "at equal outputs of layers."
    )


def main(arguments=None):
    """Compare, print, and with --write put the table into README. Status 1: a row is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default="all", help="all, mnist, mnist:4, by commas")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--batch-size", type=int, help="default: the paper's")
    parser.add_argument("--folder", default="parity_rows", help="where reports are kept")
    parser.add_argument("--write", action="store_true", help="put the table into README.md")
    options = parser.parse_args(arguments)
    reports = {}
    for row in rows_of(options.rows):
        if compare(row, options.folder, options.steps, options.batch_size):
            reports[row] = json.loads(path_of(options.folder, row).read_text())
            print(" | ".join(line(row, reports[row])), flush=True)
    text = table(reports) if reports else ""
    print(text)
    if options.write and reports:
        readme.write("parity", "parity_rows.py", text)
    return 0 if len(reports) == len(rows_of(options.rows)) else 1


if __name__ == "__main__":
    sys.exit(main())
