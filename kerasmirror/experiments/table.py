"""The paper's table of experiments: parameters, fit time, test accuracy and loss, differences."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

COLUMNS = (
    "network",
    "parameters",
    "Keras fit [s]",
    "kerasmirror fit [s]",
    "difference",
    "Keras accuracy",
    "kerasmirror accuracy",
    "difference",
    "Keras loss",
    "kerasmirror loss",
    "difference",
)


class Line(NamedTuple):
    """One network: means over its records (Olivetti's splits). A side that did not run is None."""

    label: str
    parameters: int
    keras: dict | None
    kerasmirror: dict | None

    def cells(self):
        """The line as text, one cell for each of COLUMNS."""
        return [
            self.label,
            f"{self.parameters:,}",
            *self._pair("fit_seconds", "{:.2f}", relative=True),
            *self._pair("test_accuracy", "{:.2%}", relative=False),
            *self._pair("test_loss", "{:.4f}", relative=True),
        ]

    def _pair(self, name, form, relative):
        """Both values and the difference: in percent of Keras's, or in percentage points."""
        theirs, ours = ((side or {}).get(name) for side in (self.keras, self.kerasmirror))
        cells = ["-" if value is None else form.format(value) for value in (theirs, ours)]
        if theirs is None or ours is None:
            return [*cells, "-"]
        if not relative:
            return [*cells, f"{100 * (ours - theirs):+.2f} pp"]
        return [*cells, f"{100 * (ours - theirs) / theirs:+.1f} %" if theirs else "-"]


def line(label, records):
    """The line of records that differ in their split only."""

    def mean(side):
        results = [record.results[side] for record in records if side in record.results]
        names = ("parameters", "fit_seconds", "test_accuracy", "test_loss")
        return {n: float(np.mean([r[n] for r in results])) for n in names} if results else None

    keras, ours = mean("keras"), mean("kerasmirror")
    return Line(label, int((ours or keras)["parameters"]), keras, ours)


def markdown(lines, further=()):
    """The table in Markdown; `further` are (heading, cell for each line) of more columns."""
    heads = [*COLUMNS, *(head for head, _ in further)]
    rows = [[*one.cells(), *(cells[i] for _, cells in further)] for i, one in enumerate(lines)]
    first = ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)]
    return "\n".join([*first, *("| " + " | ".join(row) + " |" for row in rows)])
