"""PNGs of what scripts/bench_vs_tensorflow.py and bench_sweeps.py measured; needs matplotlib."""

import importlib.util
import sys

import bench_report
import peers
from peers import OURS, PEERS

_RATIO_TICKS = (0.1, 0.2, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)
_WIDE_TICKS = (0.1, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_SHOWN = ("train", "predict", "predict_one", "call", "call_one", "first_epoch", "memory")


def _title(peer):
    return peers.SIDES[peer].title


def save(draw, result, path):
    """Draw with matplotlib and save; says so where it is missing."""
    if not importlib.util.find_spec("matplotlib"):
        print("--plot: matplotlib is not installed, no plot is drawn", file=sys.stderr)
        return
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure = draw(pyplot, result)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    print(f"plot: {path}")


def rows(pyplot, result):
    """Bars of the ratios of each row, a panel for each number."""
    metrics = [m for m in bench_report.shown_metrics(result, (OURS,)) if m.key in _SHOWN]
    names = [row["row"] for row in result["rows"]]
    figure, axes = pyplot.subplots(
        1,
        len(metrics),
        figsize=(2.8 * len(metrics), 2.2 + 0.3 * len(names)),
        sharey=True,
        layout="constrained",
        squeeze=False,
    )
    axes = axes[0]
    for axis, metric in zip(axes, metrics, strict=True):
        _ratio_bars(axis, metric, result, bench_report.others(result))
    axes[0].set_yticks(range(len(names)), names, fontsize=8)
    axes[0].invert_yaxis()
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(PEERS), fontsize=8)
    figure.suptitle(bench_report.caption(result), fontsize=7)
    return figure


def _ratio_bars(axis, metric, result, others):
    height = 0.8 / max(1, len(others))
    for turn, peer in enumerate(others):
        places = [i + turn * height for i in range(len(result["rows"]))]
        # From 1 on, so that a bar to the left is a network in which kerasmirror is behind.
        widths = [
            (bench_report.ratio_of(row, peer, metric.key) or 1) - 1 if peer in row["peers"] else 0
            for row in result["rows"]
        ]
        axis.barh(places, widths, height, left=1, label=_title(peer))
    axis.set_xscale("log")
    low, high = axis.get_xlim()
    ticks = _RATIO_TICKS if high < 30 * low else _WIDE_TICKS
    ticks = [tick for tick in ticks if low <= tick <= high]
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_xticks([], minor=True)
    axis.axvline(1, color="black", linewidth=0.8)
    axis.set_title(metric.name, fontsize=9)
    axis.set_xlabel("the peer's / kerasmirror's", fontsize=8)


def sweeps(pyplot, result):
    """A line of panels for each sweep: seconds of an epoch, one side's over ours, and memory."""
    kinds = list(result["sweeps"])
    figure, axes = pyplot.subplots(
        len(kinds), 3, figsize=(14, 3.4 * len(kinds)), layout="constrained", squeeze=False
    )
    for panels, kind in zip(axes, kinds, strict=True):
        points = result["sweeps"][kind]
        _curves(panels[0], kind, points, result["peers"], "epoch", "seconds of an epoch")
        _ratio_curves(panels[1], kind, points, result["peers"])
        _curves(panels[2], kind, points, result["peers"], "memory", "peak memory, MB")
    figure.suptitle(bench_report.caption(result), fontsize=7)
    return figure


def _curves(axis, kind, points, names, key, label):
    for peer in names:
        seen = [(p["value"], p["peers"][peer].get(key)) for p in points if peer in p["peers"]]
        seen = [(x, y) for x, y in seen if y is not None]
        if seen:
            axis.plot(*zip(*seen, strict=True), marker="o", label=_title(peer))
    _finish(axis, kind, points, label)
    axis.set_ylim(bottom=0, top=1.05 * axis.get_ylim()[1])


def _ratio_curves(axis, kind, points, names):
    for peer in names:
        seen = [(p["value"], _epoch_ratio(p, peer)) for p in points]
        seen = [(x, y) for x, y in seen if y is not None]
        if peer != OURS and seen:
            axis.plot(*zip(*seen, strict=True), marker="o", label=_title(peer))
    axis.axhline(1, color="black", linewidth=0.8)
    _finish(axis, kind, points, "epoch: the peer's / kerasmirror's")
    axis.set_ylim(bottom=0)


def _epoch_ratio(point, peer):
    return bench_report.ratio_of(point, peer, "epoch") if peer in point["peers"] else None


def _finish(axis, kind, points, label):
    values = [point["value"] for point in points]
    axis.set_xscale("log", base=2)
    axis.set_xticks(values, values)
    axis.set_xticks([], minor=True)
    axis.set_xlabel(kind)
    axis.set_ylabel(label)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(fontsize=8)
