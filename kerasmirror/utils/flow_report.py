"""FlowTrace: the statistics of a pass's signals and gradients, as a table, a dict or a picture."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from kerasmirror._export import export
from kerasmirror.core import checks


class Statistics(NamedTuple):
    """An array's statistics; all but the counts are of its finite values, None without any."""

    shape: tuple
    dtype: str
    mean: float | None
    std: float | None
    minimum: float | None
    maximum: float | None
    zeros: float | None  # the share of all values
    nans: int
    infinities: int
    counts: list  # of the histogram
    edges: list

    def as_dict(self):
        found = self._asdict()
        counts, edges = found.pop("counts"), found.pop("edges")
        found["shape"] = list(self.shape)
        return {**found, "histogram": {"counts": counts, "edges": edges}}


class Signal(NamedTuple):
    """A row of the trace: a value on its way forward, and the gradient that came back to it.

    `kind` is "input", "output" or "weight". `of` is "logits" where the gradient is that of what
    the output's softmax or sigmoid was computed from, as the loss was computed from it too.
    """

    path: str
    kind: str
    type: str
    call: int
    depth: int
    forward: Statistics
    gradient: Statistics | None
    of: str

    def as_dict(self):
        found = self._asdict()
        found["forward"] = self.forward.as_dict()
        found["gradient"] = None if self.gradient is None else self.gradient.as_dict()
        found["gradient_of"] = found.pop("of")
        return found


def statistics_of(array, bins):
    """The Statistics of `array`; complex values count by their size."""
    dtype = str(array.dtype)
    values = np.abs(array) if array.dtype.kind == "c" else array
    values = values.astype("float64").reshape(-1)
    finite = values[np.isfinite(values)]
    nans = int(np.count_nonzero(np.isnan(values)))
    infinities = values.size - finite.size - nans
    zeros = float(np.mean(values == 0)) if values.size else None
    shape = tuple(array.shape)
    if not finite.size:
        return Statistics(
            shape, dtype, None, None, None, None, zeros, nans, infinities, [0] * bins, []
        )
    low, high = float(finite.min()), float(finite.max())
    # Scaled to at most 1: squares of the largest floats are infinite.
    scale = max(abs(low), abs(high)) or 1.0
    scaled = finite / scale
    counts, edges = np.histogram(scaled, bins)
    return Statistics(
        shape,
        dtype,
        float(scaled.mean()) * scale,
        float(scaled.std()) * scale,
        low,
        high,
        zeros,
        nans,
        infinities,
        counts.tolist(),
        (edges * scale).tolist(),
    )


_VALUES = ("std", "mean", "zeros", "minimum", "maximum", "nans", "infinities")


@export("utils.FlowTrace")
class FlowTrace:
    """What `keras.utils.trace_flow` found; printed, it is a table.

    Attributes: `model`, the model's name; `loss`; `training`; `signals`, one for the input, each
    layer's output and each weight, with `path`, `kind` ("input", "output", "weight"), `forward`
    and `gradient` (None where no gradient arrives). Both have `shape`, `mean`, `std`, `minimum`,
    `maximum`, `zeros` (a share), `nans`, `infinities`, and a histogram, `counts` and `edges`.
    """

    def __init__(self, model, loss, training, signals):
        self.model = model
        self.loss = loss
        self.training = training
        self.signals = signals

    def __getitem__(self, path):
        """The first signal of that path: `trace["dense"]`, `trace["dense/kernel"]`."""
        for signal in self.signals:
            if signal.path == path:
                return signal
        known = [signal.path for signal in self.signals]
        raise KeyError(f"FlowTrace: the path must be one of {known}. Received: {path!r}")

    def series(self, value="std", direction="forward", kind="output"):
        """(paths, numbers): one statistic of all signals of a kind, NaN where there is none."""
        checks.one_of(value, _VALUES, "value", owner="FlowTrace.series")
        checks.one_of(direction, ("forward", "gradient"), "direction", owner="FlowTrace.series")
        checks.one_of(kind, ("input", "output", "weight"), "kind", owner="FlowTrace.series")
        paths, numbers = [], []
        for signal in self.signals:
            if signal.kind == kind:
                found = getattr(getattr(signal, direction), value, None)
                paths.append(signal.path)
                numbers.append(math.nan if found is None else found)
        return paths, np.array(numbers)

    def as_dict(self):
        """Everything as dicts, lists and numbers that JSON knows."""
        loss = self.loss if math.isfinite(self.loss) else str(self.loss)
        return {
            "model": self.model,
            "loss": loss,
            "training": self.training,
            "signals": [signal.as_dict() for signal in self.signals],
        }

    def table(self):
        """The same as a `rich.table.Table`."""
        from rich.table import Table

        mode = "training" if self.training else "inference"
        table = Table(
            title=f'"{self.model}": signals and gradients ({mode}), loss {self.loss:.6g}',
            title_justify="left",
        )
        for header in ("Signal", "Shape"):
            table.add_column(header, no_wrap=True)
        for header in ("mean", "std", "zeros", "d mean", "d std", "d zeros", "NaN", "inf"):
            table.add_column(header, justify="right", no_wrap=True)
        for signal in self.signals:
            table.add_row(*_cells(signal), style="dim" if signal.kind == "weight" else None)
        return table

    def __str__(self):
        from rich.console import Console

        console = Console(width=400, force_terminal=False, color_system=None, highlight=False)
        with console.capture() as captured:
            console.print(self.table())
        lines = [line.rstrip() for line in captured.get().splitlines()]
        notes = [signal.path for signal in self.signals if signal.of == "logits"]
        if notes:
            lines.append(
                "d: gradient of the loss. Of what the activation was computed from (the loss reads "
                f"it): {', '.join(notes)}."
            )
        return "\n".join(lines)

    def __repr__(self):
        return f"<FlowTrace of '{self.model}': {len(self.signals)} signals, loss={self.loss:.6g}>"

    def plot(self, value="std", path=None, figure=None):
        """A picture: `value` of each output and weight forward (above) and of its gradient (below).

        `value` is "histogram" (one shape per output) or a statistic: "std", "mean", "zeros", ...
        `path` writes it to a file, `figure` draws into one that exists.
        Raises: ImportError without matplotlib. Returns the figure.
        """
        checks.one_of(value, (*_VALUES, "histogram"), "value", owner="FlowTrace.plot")
        if figure is None:
            figure = _new_figure(len(self.series()[0]))
        axes = figure.subplots(2, 1, sharex=True)
        for ax, direction in zip(axes, ("forward", "gradient"), strict=True):
            if value == "histogram":
                self._draw_histograms(ax, direction)
            else:
                self._draw_lines(ax, value, direction)
            ax.set_ylabel(f"{'value' if direction == 'forward' else 'gradient'}: {value}")
            ax.grid(alpha=0.3)
        paths = self.series()[0]
        step = max(1, len(paths) // 40)
        axes[1].set_xticks(range(0, len(paths), step), paths[::step], rotation=90, fontsize=7)
        axes[0].set_title(f"{self.model}: signals and gradients")
        if path is not None:
            figure.savefig(path, bbox_inches="tight")
        return figure

    def _draw_lines(self, ax, value, direction):
        numbers = self.series(value, direction)[1]
        ax.plot(range(len(numbers)), numbers, marker="o", markersize=3, label="outputs")
        places, weights, position = [], [], -1
        for signal in self.signals:
            position += signal.kind == "output"
            found = getattr(getattr(signal, direction), value, None)
            if signal.kind == "weight" and found is not None:
                places.append(max(position, 0))
                weights.append(found)
        ax.plot(places, weights, linestyle="", marker="x", markersize=4, label="weights")
        drawn = np.concatenate([numbers[np.isfinite(numbers)], weights])
        if value == "std" and np.any(drawn > 0):
            ax.set_yscale("log")
        ax.legend(fontsize=7)

    def _draw_histograms(self, ax, direction):
        outputs = [signal for signal in self.signals if signal.kind == "output"]
        for position, signal in enumerate(outputs):
            found = getattr(signal, direction)
            if found is None or not found.edges:
                continue
            edges, counts = np.array(found.edges), np.array(found.counts)
            half = 0.45 * counts / counts.max()
            centers = (edges[1:] + edges[:-1]) / 2
            ax.fill_betweenx(centers, position - half, position + half, step="mid", alpha=0.6)


def _new_figure(count):
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError(
            "FlowTrace.plot: matplotlib must be installed to draw: `pip install kerasmirror[plot]`."
        ) from None
    return Figure(figsize=(min(16, 4 + 0.25 * count), 7))


def _cells(signal):
    name = "  " * signal.depth + signal.path.rpartition("/")[2]
    if signal.type:
        name += f" ({signal.type})"
    if signal.call:
        name += f" call {signal.call + 1}"
    gradient = signal.gradient
    both = [part for part in (signal.forward, gradient) if part is not None]
    nans, infinities = sum(p.nans for p in both), sum(p.infinities for p in both)
    return [
        name,
        str(signal.forward.shape),
        *_numbers(signal.forward),
        *(_numbers(gradient) if gradient is not None else ("-", "-", "-")),
        str(nans) if nans else "",
        str(infinities) if infinities else "",
    ]


def _numbers(found):
    mean, std = ("-" if v is None else f"{v:.3g}" for v in (found.mean, found.std))
    return mean, std, "-" if found.zeros is None else f"{found.zeros:.1%}"
