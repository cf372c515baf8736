"""Train networks of the paper on real data in both packages and write README's accuracy table.

python scripts/parity_table.py [--olivetti FILE.npz] [--write]

MNIST comes through `kerasmirror.datasets`. Olivetti needs a file with the arrays images (400, 64,
64) of 0 to 255, labels (400,), train and test (splits, indices): accuracy is the splits' mean.
Without --write, the table is only printed.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

import kerasmirror
from kerasmirror.parity import RealKeras

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "compat_tests"))
from cases import paper  # noqa: E402 - the cases are the tests'

SEED = 1
BEGIN, END = "<!-- accuracy table: written by scripts/parity_table.py -->", "<!-- end of accuracy"


def rows(olivetti):
    """(label, row, list of (train, test), epochs, batch size) of each line of the table."""
    train, test = kerasmirror.datasets.mnist.load_data()
    yield "MNIST row 1, 5 epochs", "mnist:1", [(train, test)], 5, 128
    yield "MNIST row 4, 3 epochs", "mnist:4", [(train, test)], 3, 128
    if olivetti:
        with np.load(olivetti) as data:
            images, labels = data["images"], data["labels"]
            splits = [
                ((images[i], labels[i]), (images[j], labels[j]))
                for i, j in zip(data["train"], data["test"], strict=True)
            ]
        label = f"Olivetti row 2, 100 epochs, mean of {len(splits)} splits"
        yield label, "olivetti:2", splits, 100, 28


def measured(call, row, splits, epochs, batch_size):
    """Mean test accuracy and seconds, building and evaluating included."""
    start = time.perf_counter()
    found = [call(row, train, test, epochs, batch_size, SEED) for train, test in splits]
    return float(np.mean(found)), time.perf_counter() - start


def main():
    """Measure, print, and with --write put the table into README."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--olivetti", help="npz file with images, labels, train, test")
    parser.add_argument("--write", action="store_true", help="put the table into README.md")
    options = parser.parse_args()
    lines = [
        f"Test accuracy from the same seed ({SEED}), pixels in [-1, 1], Adam at 1e-3 "
        "(seconds on one machine, start of the process not counted):",
        "",
        "| network of the paper | kerasmirror | Keras on TensorFlow | seconds | Keras's seconds |",
        "|---|---|---|---|---|",
    ]
    with RealKeras() as real:
        for label, row, splits, epochs, batch_size in rows(options.olivetti):

            def ours(*arguments):
                return paper.accuracy_on_test_data(kerasmirror, *arguments)

            def theirs(*arguments):
                return real.call(paper.accuracy_on_test_data, *arguments)

            ours_found, ours_took = measured(ours, row, splits, epochs, batch_size)
            keras_found, keras_took = measured(theirs, row, splits, epochs, batch_size)
            lines.append(
                f"| {label} | {ours_found:.2%} | {keras_found:.2%} | {ours_took:.0f} | "
                f"{keras_took:.0f} |"
            )
            print(lines[-1], flush=True)
    if options.write:
        readme = ROOT / "README.md"
        before, rest = readme.read_text().split(BEGIN)
        after = rest[rest.index(END) :]
        readme.write_text(before + BEGIN + "\n" + "\n".join(lines) + "\n" + after)


if __name__ == "__main__":
    main()
