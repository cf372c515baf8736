"""Report: what was compared, how far the two sides are apart, and where that begins."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

STAGES = {
    "initial weights": "initial weights from one seed",
    "layer": "outputs of layers",
    "outputs": "outputs",
    "loss": "loss",
    "flow": "gradients with respect to outputs of layers",
    "gradient": "gradients with respect to weights",
    "file": "weights files",
    "step": "loss of training steps",
    "final weights": "weights after training",
    "accuracy": "accuracy after training",
}


class Row(NamedTuple):
    """One comparison.

    `error` is the largest difference over the largest expected value, `place` the index of the
    element that differs most, `ours` and `theirs` its values; `nearer` says who is nearer to the
    value in float64 there ("kerasmirror", "keras", "both"), None where nobody knows. `own` is set
    where Keras was given kerasmirror's outputs of the layers: the error without that.
    """

    stage: str
    name: str
    error: float
    allowed: float
    place: tuple | None
    ours: float | None
    theirs: float | None
    nearer: str | None
    kind: str | None
    own: float | None = None

    @property
    def good(self):
        return self.error <= self.allowed


def relative_error(actual, expected):
    """max |actual - expected| / max |expected|; 0 for equal zeros, infinity for other shapes."""
    actual, expected = np.asarray(actual, "float64"), np.asarray(expected, "float64")
    if actual.shape != expected.shape:
        return float("inf")
    if not expected.size:
        return 0.0
    with np.errstate(invalid="ignore"):
        difference = np.max(np.abs(actual - expected))
    largest = np.max(np.abs(expected))
    if not np.isfinite(difference):
        return 0.0 if np.array_equal(actual, expected, equal_nan=True) else float("inf")
    return float(difference / largest) if largest else float(difference)


def _worst_place(actual, expected):
    """The index of the element that differs most; one that is not finite on one side only wins."""
    if actual.shape != expected.shape or not actual.size:
        return None
    with np.errstate(invalid="ignore"):
        difference = np.abs(actual - expected)
    same = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
    difference = np.where(same, 0, np.where(np.isfinite(difference), difference, np.inf))
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(difference)), actual.shape))


class Report:
    """Rows of comparisons, in order; `good`, `check()`, and `str()`, a table.

    `costs` has seconds and bytes of the training on both sides, where there was one;
    `sensitivity`, where it was measured, how far the losses of Keras's steps depart from its own
    when its layers have errors as kerasmirror's, the most of `draws` such trainings, and
    `roundings` the sizes of these: {"outputs": {layer: size}, "gradients": {weight: size}}, root
    mean squares in shares of the largest output and of gradients (measure.noise.scale), `times`
    how many times as large they were at most; `settings`, steps, batch size, samples, seed.
    """

    def __init__(self, title, tolerances):
        self.title, self.tolerances = title, tolerances
        self.rows, self.costs, self.sensitivity = [], {}, None
        self.draws, self.times, self.roundings, self.settings = 0, 1, {}, {}

    def add(self, stage, name, actual, expected, exact=None, kind=None, allowed=None):
        """Compare two arrays or numbers; `exact` is the same in float64.

        `allowed` takes the place of the stage's tolerance.
        """
        self.rows.append(self._row(stage, name, actual, expected, exact, kind, allowed))

    def decide_as_ours(self, stage, name, actual, given):
        """Judge a row that is not good by what Keras gives at kerasmirror's outputs of layers.

        It stays as it is if that is no nearer: either shows that the two agree.
        """
        for i, row in enumerate(self.rows):
            if (row.stage, row.name) == (stage, name) and not row.good:
                other = self._row(stage, name, actual, given, None, row.kind, row.allowed)
                self.rows[i] = other._replace(own=row.error) if other.error < row.error else row

    def _row(self, stage, name, actual, expected, exact, kind, allowed):
        ours, theirs = np.asarray(actual, "float64"), np.asarray(expected, "float64")
        place = _worst_place(ours, theirs)
        nearer = None
        if place is not None and exact is not None and np.shape(exact) == ours.shape:
            truth = np.asarray(exact, "float64")[place]
            far = abs(ours[place] - truth), abs(theirs[place] - truth)
            nearer = "kerasmirror" if far[0] < far[1] else "keras" if far[1] < far[0] else "both"
        values = (None, None) if place is None else (float(ours[place]), float(theirs[place]))
        error = relative_error(ours, theirs)
        allowed = self.tolerances[stage] if allowed is None else allowed
        return Row(stage, name, error, allowed, place, *values, nearer, kind)

    @property
    def good(self):
        return all(row.good for row in self.rows)

    @property
    def forward_is_good(self):
        """Whether all of the forward pass agrees."""
        return all(row.good for row in self.rows if row.stage in ("layer", "outputs", "loss"))

    def of(self, stage):
        """The rows of a stage."""
        return [row for row in self.rows if row.stage == stage]

    def worst(self, stage):
        """The row with the largest error of a stage, or None."""
        return max(self.of(stage), key=lambda row: row.error, default=None)

    def verdict(self):
        """One sentence: that both agree, or where they first disagree."""
        if self.good:
            return "Both packages agree." + self._decided() + self._sensitive()
        for stage in ("initial weights", "layer"):
            bad = next((row for row in self.of(stage) if not row.good), None)
            if bad is not None and stage == "layer":
                return f"They first differ in the forward pass of {bad.kind} '{bad.name}'."
            if bad is not None:
                return f"They start from other weights: {bad.name}."
        layers = [row.name for row in self.of("layer")]
        flow = [row for row in self.of("flow") if not row.good]
        if flow:
            last = max(flow, key=lambda row: layers.index(row.name))
            after = layers[layers.index(last.name) + 1 :]
            if after:
                return f"They first differ in the backward pass of '{after[0]}'."
        gradient = next((row for row in self.of("gradient") if not row.good), None)
        if gradient is not None and not flow:
            return f"They differ in the gradient with respect to {gradient.name}."
        bad = next(row for row in self.rows if not row.good)
        return f"They first differ in: {STAGES[bad.stage]}, {bad.name}."

    def _decided(self):
        rows = [row for row in self.rows if row.own is not None]
        if not rows:
            return ""
        return (
            " Of values that are a rounding apart, a maximum or a relu lets another one through: "
            f"{len(rows)} gradients differ by up to {max(row.own for row in rows):.1e}, and by up "
            f"to {max(row.error for row in rows):.1e} where Keras's layers pass on the outputs of "
            "kerasmirror's."
        )

    def _sensitive(self):
        courses = self.courses()
        return f" The training magnifies roundings. {courses}" if courses else ""

    def courses(self):
        """How far Keras's losses are from its own and from kerasmirror's; "" if not measured."""
        if self.sensitivity is None:
            return ""
        size = "the size" if self.times == 1 else f"up to {self.times} times the size"
        return (
            f"With random errors of {size} of kerasmirror's in outputs and gradients of its layers"
            f"{self._largest_roundings()}, Keras's losses depart from its own by up to "
            f"{max(self.sensitivity):.1e} ({self._drawn()}), "
            f"kerasmirror's by up to {self.worst('step').error:.1e}."
        )

    def _largest_roundings(self):
        found = (max(sizes.values(), default=0.0) for sizes in self.roundings.values())
        shown = " and ".join(f"{size:.0e}" for size in found)
        return f" (of up to {shown})" if shown else ""

    def _drawn(self):
        return "one draw" if self.draws == 1 else f"the most of {self.draws} draws"

    def check(self):
        """Raise AssertionError with the table unless every row is within its bound."""
        if not self.good:
            raise AssertionError(f"the two packages differ:\n{self}")
        return self

    def as_dict(self):
        """All of it as plain data; numbers that are not finite as text, "inf" or "nan"."""
        return _finite(self._as_dict())

    def _as_dict(self):
        return {
            "title": self.title,
            "settings": self.settings,
            "good": self.good,
            "verdict": self.verdict(),
            "rows": [{**row._asdict(), "good": row.good} for row in self.rows],
            "costs": self.costs,
            "sensitivity": self.sensitivity,
            "draws": self.draws,
            "times": self.times,
            "roundings": self.roundings,
        }

    def summary(self):
        """A row for each stage: the worst of it, and how many there are and agree."""
        for stage in STAGES:
            rows = self.of(stage)
            if rows:
                worst = max(rows, key=lambda row: (not row.good, _share(row)))
                yield STAGES[stage], worst, len(rows), sum(row.good for row in rows)

    def __str__(self):
        lines = [self.title]
        for stage, worst, count, good in self.summary():
            mark = "" if good == count else "  BAD"
            lines.append(
                f"{stage:44} {good:>4} of {count:<4} {worst.error:9.2e} of {worst.allowed:7.1e}  "
                f"{worst.name}{mark}"
            )
        for row in self.rows:
            if not row.good:
                lines.append(f"  {row.stage} {row.name}: {describe(row)}")
        return "\n".join([*lines, self.verdict()])


def _finite(data):
    """Plain data that JSON can hold."""
    if isinstance(data, float) and not math.isfinite(data):
        return str(data)
    if isinstance(data, dict):
        return {key: _finite(part) for key, part in data.items()}
    return [_finite(part) for part in data] if isinstance(data, (list, tuple)) else data


def _share(row):
    """How much of its bound an error takes; of a bound of 0, the error itself."""
    return row.error / row.allowed if row.allowed else row.error


def describe(row):
    """Error, place, both values and the judgement, as text."""
    text = f"error {row.error:.2e} of {row.allowed:.1e}"
    if row.place is not None:
        text += f" at {list(row.place)}: kerasmirror {row.ours:.9g}, keras {row.theirs:.9g}"
    if row.own is not None:
        text += f", as each decides for itself {row.own:.2e}"
    if row.nearer:
        who = "both equally" if row.nearer == "both" else row.nearer
        text += f", nearer to float64: {who}"
    return text
