"""Tables, plots and README's part from the results of scripts/bench_vs_tensorflow.py."""

import importlib.util
import statistics
import sys

from kerasmirror.commands import machine

BEGIN = "<!-- timing table: written by scripts/bench_vs_tensorflow.py -->"
END = "<!-- end of timing table -->"
OURS = "kerasmirror"
NAMES = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}
# (key, heading, factor from the measured unit to the printed one)
METRICS = (
    ("train", "train, ms a step", 1e3),
    ("predict", "predict, ms a batch", 1e3),
    ("predict_one", "predict of one row, ms", 1e3),
    ("import", "import, s", 1),
    ("first_epoch", "import to end of first epoch, s", 1),
    ("first_epoch_cold", "the same with nothing compiled, s", 1),
    ("memory", "peak memory, MB", 1),
)
# Two orders of the same float32 sums: what a loss may differ by after one epoch of a few steps.
SAME_LOSS = 1e-3


def _number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def ratio_of(row, peer, key):
    """The peer's number over ours (above 1: ours is better), None where one is missing."""
    ours, theirs = row["peers"][OURS].get(key), row["peers"][peer].get(key)
    return theirs / ours if ours and theirs else None


def ratio_text(ratio):
    """A ratio; below 1 it is marked."""
    if ratio is None:
        return ""
    if round(ratio, 2) < 1:
        return f"**{ratio:.2f} (behind)**"
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.1f}"


def loss_difference(row, peer):
    """Relative difference of the first epoch's losses of the two sides; None where one failed."""
    ours, theirs = (row["peers"][name].get("losses") for name in (OURS, peer))
    return abs(ours[0] - theirs[0]) / abs(theirs[0]) if ours and theirs else None


def loss_text(row, peer):
    """Both sides' losses; marked where they should agree and do not."""
    difference = loss_difference(row, peer)
    if difference is None:
        return ""
    ours, theirs = (row["peers"][name]["losses"][0] for name in (OURS, peer))
    # The other backends draw other random numbers from the same seed.
    if peer == "tensorflow" and difference > SAME_LOSS:
        return f"**{ours:.4f} / {theirs:.4f} (differ)**"
    return f"{ours:.4f} / {theirs:.4f}"


def others(result):
    return [peer for peer in result["peers"] if peer != OURS]


def line(row):
    """One row's numbers for the terminal."""
    parts = [f"{row['row']:12s}"]
    for peer, found in row["peers"].items():
        if "error" in found:
            parts.append(f"{peer} failed: {found['error']}")
            continue
        text = (
            f"{peer} train {found['train'] * 1e3:.2f} ms, predict {found['predict'] * 1e3:.2f}, "
            f"one {found['predict_one'] * 1e3:.2f}, first epoch {found['first_epoch']:.1f} s, "
            f"loss {found['losses'][0]:.4f}"
        )
        if peer != OURS:
            ratios = (ratio_of(row, peer, key) for key in ("train", "predict", "predict_one"))
            text += " (x " + ", ".join(f"{r:.2f}" for r in ratios if r) + ")"
        parts.append(text)
    return " | ".join(parts)


def sweep_line(kind, point):
    """One point's numbers for the terminal."""
    parts = [f"{kind} {point[kind]:4d}"]
    for peer, found in point["peers"].items():
        parts.append(f"{peer} {_sweep_cell(found)}")
    return " | ".join(parts)


def _sweep_cell(found):
    if "error" in found:
        return f"failed: {found['error']}"
    memory = "" if found["memory"] is None else f", {found['memory']:.0f} MB"
    return f"{found['epoch']:.3f} s an epoch{memory}"


def markdown(result):
    """The result as Markdown: a table for each peer, or the sweep's."""
    if "sweep" in result:
        return _sweep_table(result)
    parts = [_peer_table(result, peer) for peer in others(result)] or [_own_table(result)]
    return "\n".join(parts)


def _caption(result):
    rounds = "one round" if result["rounds"] == 1 else f"medians of {result['rounds']} rounds"
    return f"{machine.sentence(result['machine'])}; {rounds}."


def _shown_metrics(result):
    return [
        metric
        for metric in METRICS
        if any(metric[0] in found for row in result["rows"] for found in row["peers"].values())
    ]


def _peer_table(result, peer):
    metrics = _shown_metrics(result)
    headings = ["network", *(heading for _, heading, _ in metrics), "loss of the first epoch"]
    lines = [
        f"kerasmirror / Keras on {NAMES[peer]}, then the ratio (above 1: kerasmirror is ahead; "
        "bold: it is behind).",
        _caption(result),
        "",
        "| " + " | ".join(headings) + " |",
        "|---" * len(headings) + "|",
    ]
    for row in result["rows"]:
        cells = [row["row"]]
        for key, _, factor in metrics:
            ours, theirs = (row["peers"][name].get(key) for name in (OURS, peer))
            if ours is None or theirs is None:
                cells.append("failed" if _failed(row, peer) else "")
                continue
            numbers = f"{_number(ours * factor)} / {_number(theirs * factor)}"
            cells.append(f"{numbers}: {ratio_text(ratio_of(row, peer, key))}")
        lines.append("| " + " | ".join([*cells, loss_text(row, peer)]) + " |")
    return "\n".join([*lines, "", *summary(result, peer), *failures(result)]) + "\n"


def _failed(row, peer):
    return any("error" in row["peers"][name] for name in (OURS, peer))


def _own_table(result):
    metrics = _shown_metrics(result)
    headings = ["network", *(heading for _, heading, _ in metrics), "loss of the first epoch"]
    lines = [_caption(result), "", "| " + " | ".join(headings) + " |"]
    lines.append("|---" * len(headings) + "|")
    for row in result["rows"]:
        found = row["peers"][OURS]
        values = [(found.get(key), factor) for key, _, factor in metrics]
        cells = ["" if v is None else _number(v * factor) for v, factor in values]
        loss = f"{found['losses'][0]:.4f}" if "losses" in found else "failed"
        lines.append("| " + " | ".join([row["row"], *cells, loss]) + " |")
    return "\n".join([*lines, "", *failures(result)]) + "\n"


def summary(result, peer):
    """For each number: the ratios' geometric mean, extremes, and in how many rows ours is ahead."""
    lines = []
    for key, heading, _ in _shown_metrics(result):
        ratios = [ratio_of(row, peer, key) for row in result["rows"]]
        ratios = [ratio for ratio in ratios if ratio]
        if ratios:
            ahead = sum(ratio > 1 for ratio in ratios)
            lines.append(
                f"- {heading.rsplit(', ', 1)[0]}: geometric mean "
                f"{statistics.geometric_mean(ratios):.2f}, from {min(ratios):.2f} to "
                f"{max(ratios):.2f}, ahead in {ahead} of {len(ratios)}"
            )
    differences = [loss_difference(row, peer) for row in result["rows"]]
    differences = [difference for difference in differences if difference is not None]
    if differences and peer == "tensorflow":
        same = sum(difference <= SAME_LOSS for difference in differences)
        lines.append(
            f"- loss of the first epoch: the same within {SAME_LOSS:g} in {same} of "
            f"{len(differences)}, the largest relative difference {max(differences):.1g}"
        )
    elif differences:
        lines.append(f"- losses: {NAMES[peer]} draws other random numbers from the same seed")
    return lines


def failures(result):
    """A line for each measurement that failed."""
    items = result.get("rows") or result.get("points")
    return [
        f"- {peer} failed at {item.get('row') or item[result['sweep']]}: {found['error']}"
        for item in items
        for peer, found in item["peers"].items()
        if "error" in found
    ]


def _sweep_table(result):
    kind = result["sweep"]
    headings = [kind, "network", *result["peers"]]
    lines = [_caption(result), "", "| " + " | ".join(headings) + " |", "|---" * len(headings) + "|"]
    for point in result["points"]:
        cells = [_sweep_cell(point["peers"][peer]) for peer in result["peers"]]
        lines.append(f"| {point[kind]} | `{point['structure']}` | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *failures(result)]) + "\n"


def plot(result, path):
    """Ratios of the rows, or the sweep's curves, as a PNG; says so where matplotlib is missing."""
    if not importlib.util.find_spec("matplotlib"):
        print("--plot: matplotlib is not installed, no plot is drawn", file=sys.stderr)
        return
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure = _plot_sweep(pyplot, result) if "sweep" in result else _plot_rows(pyplot, result)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    print(f"plot: {path}")


_RATIO_TICKS = (0.1, 0.2, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)


def _plot_rows(pyplot, result):
    keys = ("train", "predict", "predict_one", "first_epoch")
    peers = others(result) or [OURS]
    names = [row["row"] for row in result["rows"]]
    figure, axes = pyplot.subplots(
        1, len(keys), figsize=(14, 1.5 + 0.28 * len(names)), sharey=True, layout="constrained"
    )
    headings = {key: heading for key, heading, _ in METRICS}
    for axis, key in zip(axes, keys, strict=True):
        for number, peer in enumerate(peers):
            height = 0.8 / len(peers)
            places = [i + number * height for i in range(len(names))]
            # From 1 on, so that a bar to the left is a network in which kerasmirror is behind.
            widths = [(ratio_of(row, peer, key) or 1) - 1 for row in result["rows"]]
            axis.barh(places, widths, height, left=1, label=NAMES.get(peer, peer))
        axis.set_xscale("log")
        low, high = axis.get_xlim()
        ticks = [tick for tick in _RATIO_TICKS if low <= tick <= high]
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.set_xticks([], minor=True)
        axis.axvline(1, color="black", linewidth=0.8)
        axis.set_title(headings[key].rsplit(", ", 1)[0], fontsize=9)
        axis.set_xlabel("peer's time / kerasmirror's", fontsize=8)
    axes[0].set_yticks(range(len(names)), names, fontsize=8)
    axes[0].invert_yaxis()
    axes[-1].legend(fontsize=8)
    return figure


def _plot_sweep(pyplot, result):
    kind = result["sweep"]
    figure, axes = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for axis, key, label in zip(
        axes, ("epoch", "memory"), ("seconds of an epoch", "peak memory, MB"), strict=True
    ):
        for peer in result["peers"]:
            points = [(p[kind], p["peers"][peer].get(key)) for p in result["points"]]
            points = [(x, y) for x, y in points if y is not None]
            axis.plot(*zip(*points, strict=True), marker="o", label=NAMES.get(peer, peer))
        values = [point[kind] for point in result["points"]]
        axis.set_xscale("log", base=2)
        axis.set_xticks(values, values)
        axis.set_xlabel(kind)
        axis.set_ylabel(label)
        axis.set_ylim(bottom=0, top=1.05 * axis.get_ylim()[1])
        axis.legend()
    return figure


def write_readme(result, readme):
    """Replace what stands between README's markers by the table against TensorFlow."""
    if "tensorflow" not in others(result):
        sys.exit("--write: README's table compares with TensorFlow, which was not measured")
    text = readme.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        sys.exit(f"--write: {readme.name} must have the lines {BEGIN} and {END}")
    before, rest = text.split(BEGIN)
    after = rest[rest.index(END) :]
    table = _peer_table(result, "tensorflow")
    readme.write_text(f"{before}{BEGIN}\n{table}{after}", encoding="utf-8")
    print(f"{readme.name}: table written")
