"""Tables and README's part from the results of scripts/bench_vs_tensorflow.py."""

import statistics
import sys
from typing import NamedTuple

import peers
from peers import OURS
from readme import markers, write

from kerasmirror.commands import machine

BEGIN, END = markers("timing", "bench_vs_tensorflow.py")


class Metric(NamedTuple):
    """A measured number: its key, its name, the printed unit and the factor to it."""

    key: str
    name: str
    unit: str
    factor: float
    in_readme: bool


METRICS = (
    Metric("train", "training step", "ms", 1e3, True),
    Metric("predict", "predict, a batch", "ms", 1e3, True),
    Metric("predict_one", "predict, one row", "ms", 1e3, True),
    Metric("call", "model(x), a batch", "ms", 1e3, False),
    Metric("call_one", "model(x), one row", "ms", 1e3, False),
    Metric("on_batch", "predict_on_batch, a batch", "ms", 1e3, False),
    Metric("on_batch_one", "predict_on_batch, one row", "ms", 1e3, False),
    Metric("import", "import", "s", 1, False),
    Metric("first_epoch", "import to end of first epoch", "s", 1, True),
    Metric("first_epoch_cold", "the same with nothing compiled", "s", 1, True),
    Metric("memory", "peak memory", "MB", 1, True),
)
# Equal weights and images: what the losses before training may differ by, relatively.
SAME_OUTPUT = 1e-4
# Rounding grows with the steps; the same dropped units and order of batches as on TensorFlow.
SAME_LOSS = 1e-2
# With other dropped units the losses after all steps may differ by this share of the first one.
NEAR_LOSS = 0.5


def number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def table(headings, rows):
    """Lines of a Markdown table."""
    lines = ["| " + " | ".join(headings) + " |", "|---" * len(headings) + "|"]
    return lines + ["| " + " | ".join(cells) + " |" for cells in rows]


def ratio_of(row, peer, key):
    """The peer's number over ours (above 1: ours is better), None where one is missing."""
    ours, theirs = row["peers"][OURS].get(key), row["peers"][peer].get(key)
    return theirs / ours if ours and theirs else None


def ratio_to_fastest(row, names, key):
    """The smallest of the peers' ratios, None where none has the number."""
    ratios = [ratio_of(row, name, key) for name in names if name in row["peers"]]
    return min((ratio for ratio in ratios if ratio), default=None)


def ratio_text(ratio):
    """A ratio; below 1 it is marked."""
    if ratio is None:
        return ""
    if round(ratio, 2) < 1:
        return f"**{ratio:.2f} (behind)**"
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.1f}"


def first_loss_difference(row, peer):
    """Relative difference of the first epoch's losses; None where one side has none."""
    ours, theirs = (row["peers"][name].get("losses") for name in (OURS, peer))
    return abs(ours[0] - theirs[0]) / abs(theirs[0]) if ours and theirs else None


def what_differs(row, peer):
    """Which of the two sides' losses differ more than rounding and dropout explain, or None."""
    ours, theirs = row["peers"][OURS], row["peers"][peer]
    before, expected = ours.get("initial_loss"), theirs.get("initial_loss")
    if before is None or expected is None:
        return None
    if not abs(before - expected) <= SAME_OUTPUT * abs(expected):
        return "outputs differ"
    first = first_loss_difference(row, peer)
    if first is None:
        return None
    if peer == "tensorflow" and not first <= SAME_LOSS:
        return "differ"
    last = abs(ours["losses"][-1] - theirs["losses"][-1])
    return None if last <= NEAR_LOSS * expected else "differ"


def loss_text(row, peer):
    """Both sides' losses after the timed steps; marked where they should agree and do not."""
    ours, theirs = (row["peers"][name].get("losses") for name in (OURS, peer))
    differs = what_differs(row, peer)
    text = f"{ours[-1]:.3g} / {theirs[-1]:.3g}" if ours and theirs else ""
    return f"**{text} ({differs})**".replace("** ", "**") if differs else text


def others(result):
    return [peer for peer in result["peers"] if peer != OURS]


def line(row):
    """One row's numbers for the terminal."""
    parts = [f"{row['row']:12s}"]
    for peer, found in row["peers"].items():
        if "error" in found:
            parts.append(f"{peer} failed: {found['error']}")
            continue
        numbers = (("train", "train"), ("predict", "predict"), ("call_one", "one row"))
        words = [f"{word} {found[key] * 1e3:.3g}" for key, word in numbers if key in found]
        words += [f"start {found['first_epoch']:.1f} s"] if "first_epoch" in found else []
        words += [f"loss {found['losses'][-1]:.3g}"] if found["losses"] else []
        if peer != OURS:
            ratios = (ratio_of(row, peer, key) for key, _ in numbers)
            words.append("(x " + ", ".join(f"{r:.2f}" for r in ratios if r) + ")")
        parts.append(f"{peer} " + " ".join(words))
    return " | ".join(parts)


def caption(result):
    rounds = "one round" if result["rounds"] == 1 else f"medians of {result['rounds']} rounds"
    return f"{machine.sentence(result['machine'])}; {rounds}{_threads(result)}."


def _threads(result):
    count = result.get("threads")
    return f"; {count} thread{'s' if count > 1 else ''}" if count else ""


def shown_metrics(result, names):
    """The metrics that some row has on each of the named sides."""
    return [
        metric
        for metric in METRICS
        if all(any(metric.key in row["peers"].get(n, {}) for row in result["rows"]) for n in names)
    ]


def markdown(result):
    """The result as Markdown: a table and a summary for each peer, then the fastest backend's."""
    parts = [peer_table(result, peer) for peer in others(result)] or [_own_table(result)]
    fastest = fastest_summary(result)
    if fastest:
        parts.append("\n".join([*fastest, ""]))
    return "\n".join(parts)


def peer_table(result, peer, readme=False):
    metrics = shown_metrics(result, (OURS, peer))
    metrics = [metric for metric in metrics if metric.in_readme or not readme]
    headings = ["network", *(f"{m.name}, {m.unit}" for m in metrics), "loss after the timed steps"]
    rows = [
        [row["row"], *(_cell(row, peer, metric) for metric in metrics), loss_text(row, peer)]
        for row in result["rows"]
        if peer in row["peers"]
    ]
    lines = [
        f"kerasmirror / {peers.PEERS[peer].title}, then the ratio (above 1: kerasmirror is ahead; "
        "bold: it is behind).",
        caption(result),
        "",
        *table(headings, rows),
        "",
        *summary(result, peer),
        *failures(result, (OURS, peer)),
    ]
    return "\n".join(lines) + "\n"


def _cell(row, peer, metric):
    ours, theirs = (row["peers"][name].get(metric.key) for name in (OURS, peer))
    if ours is None or theirs is None:
        failed = any("error" in row["peers"][name] for name in (OURS, peer))
        return "failed" if failed else ""
    numbers = f"{number(ours * metric.factor)} / {number(theirs * metric.factor)}"
    return f"{numbers}: {ratio_text(ratio_of(row, peer, metric.key))}"


def _own_table(result):
    metrics = shown_metrics(result, (OURS,))
    headings = ["network", *(f"{m.name}, {m.unit}" for m in metrics), "loss after the timed steps"]
    rows = []
    for row in result["rows"]:
        found = row["peers"][OURS]
        values = [(found.get(m.key), m.factor) for m in metrics]
        cells = ["" if v is None else number(v * factor) for v, factor in values]
        loss = f"{found['losses'][-1]:.3g}" if "losses" in found else "failed"
        rows.append([row["row"], *cells, loss])
    lines = [caption(result), "", *table(headings, rows), "", *failures(result, (OURS,))]
    return "\n".join(lines) + "\n"


def ratios_line(name, ratios):
    """Geometric mean, smallest and largest ratio, and in how many rows ours is ahead."""
    ahead = sum(ratio > 1 for ratio in ratios)
    return (
        f"- {name}: geometric mean {statistics.geometric_mean(ratios):.2f}, "
        f"from {min(ratios):.2f} to {max(ratios):.2f}, ahead in {ahead} of {len(ratios)}"
    )


def summary(result, peer):
    """A line for each number, and one for the losses."""
    lines = []
    rows = [row for row in result["rows"] if peer in row["peers"]]
    for metric in shown_metrics(result, (OURS, peer)):
        ratios = [ratio_of(row, peer, metric.key) for row in rows]
        ratios = [ratio for ratio in ratios if ratio]
        if ratios:
            lines.append(ratios_line(metric.name, ratios))
    differences = [first_loss_difference(row, peer) for row in rows]
    differences = [difference for difference in differences if difference is not None]
    if differences and peer == "tensorflow":
        same = sum(difference <= SAME_LOSS for difference in differences)
        lines.append(
            f"- loss of the first epoch: the same within {SAME_LOSS:g} in {same} of "
            f"{len(differences)}, the largest relative difference {max(differences):.1g}"
        )
    elif differences:
        lines.append("- losses: the same before training; then other units are dropped")
    return lines


def fastest_summary(result):
    """Lines that compare ours with the fastest of Keras's backends, row by row."""
    backends = [name for name in others(result) if name in peers.BACKENDS]
    if len(backends) < 2:
        return []
    titles = ", ".join(peers.PEERS[name].title.removeprefix("Keras on ") for name in backends)
    lines = [f"Against the best of Keras's backends in each row and number ({titles}):", ""]
    for metric in METRICS:
        ratios = [ratio_to_fastest(row, backends, metric.key) for row in result["rows"]]
        ratios = [ratio for ratio in ratios if ratio]
        if ratios:
            lines.append(ratios_line(metric.name, ratios))
            behind = _rows_behind(result, backends, metric.key)
            lines += [f"  - behind in {behind}"] if behind else []
    return lines


def _rows_behind(result, names, key):
    found = []
    for row in result["rows"]:
        ratio = ratio_to_fastest(row, names, key)
        if ratio and ratio < 1:
            who = min(names, key=lambda name: ratio_of(row, name, key) or float("inf"))
            found.append(f"{row['row']} ({who}, {ratio:.2f})")
    return ", ".join(found)


def failures(result, names=None):
    """A line for each measurement that failed."""
    return [
        f"- {peer} failed at {row['row']}: {found['error']}"
        for row in result["rows"]
        for peer, found in row["peers"].items()
        if "error" in found and (names is None or peer in names)
    ]


def wrong_rows(result):
    """A line for each row whose losses differ, so that a faster wrong side is told."""
    return [
        f"- {row['row']}, {peer}: {differs}"
        for row in result["rows"]
        for peer in others(result)
        if peer in row["peers"] and (differs := what_differs(row, peer))
    ]


def readme_part(results):
    """The table against TensorFlow, then in words what the other peers and runs gave."""
    first, *more = results
    parts = [peer_table(first, "tensorflow", readme=True)]
    for result in results:
        names = [name for name in others(result) if name != "tensorflow"]
        if result in more and names:
            parts.append(f"{caption(result)}\n")
        fastest = fastest_summary(result)
        if fastest:
            parts.append("\n".join([*fastest, ""]))
        for name in names:
            lines = [f"Against {peers.PEERS[name].title}:", "", *summary(result, name), ""]
            parts.append("\n".join(lines))
    return "\n".join(parts)


def write_readme(results, path):
    """Replace what stands between README's markers."""
    if "tensorflow" not in others(results[0]):
        sys.exit("--write: README's table compares with TensorFlow, which was not measured")
    write("timing", "bench_vs_tensorflow.py", readme_part(results), path)
