"""Report: what was compared, how far the two sides are apart, and how far they may be."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Row(NamedTuple):
    """One comparison: `error` is the largest difference over the largest expected value."""

    name: str
    error: float
    allowed: float

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
    difference = np.max(np.abs(actual - expected))
    largest = np.max(np.abs(expected))
    if not np.isfinite(difference):
        return 0.0 if np.array_equal(actual, expected, equal_nan=True) else float("inf")
    return float(difference / largest) if largest else float(difference)


class Report:
    """Rows of comparisons; `check()` raises on the bad ones, `str()` is a table."""

    def __init__(self, title):
        self.title = title
        self.rows = []

    def add(self, name, actual, expected, allowed):
        self.rows.append(Row(name, relative_error(actual, expected), allowed))

    @property
    def good(self):
        return all(row.good for row in self.rows)

    def worst(self, start=""):
        """The largest error among the rows whose name begins with `start`."""
        return max((row.error for row in self.rows if row.name.startswith(start)), default=0.0)

    def check(self):
        """Raise AssertionError with the table unless every row is within its bound."""
        if not self.good:
            raise AssertionError(f"the two packages differ:\n{self}")
        return self

    def __str__(self):
        width = max([len(row.name) for row in self.rows] + [10])
        lines = [self.title, f"{'':{width}}  {'error':>9}  {'allowed':>9}"]
        lines += [
            f"{row.name:{width}}  {row.error:9.2e}  {row.allowed:9.2e}{'' if row.good else '  BAD'}"
            for row in self.rows
        ]
        return "\n".join(lines)
