"""How signals and gradients fare on their way through 50 layers, for several initializations.

python examples/signal_flow.py                      # tables in the terminal
python examples/signal_flow.py --plot flow.png      # and a picture (needs matplotlib)
python examples/signal_flow.py --json               # numbers only

The experiment of section 5 in Klesk, "Understanding the Flows of Signals and Gradients" (Applied
Sciences 2024, 14(21), 9972). A layer of n units with weights of variance v multiplies the variance
of its signal by n v, and by half of that behind relu, which drops half of the squares. Gradients
are multiplied alike on their way back. After 50 layers, whatever is not 1 is nothing or too much.
"""

import argparse
import json
import math

import numpy as np

import kerasmirror as keras

# Name: (the standard deviation of the weights of a layer of n units, what it stands for).
INITIALIZATIONS = {
    "large": (lambda n: 2.0 / math.sqrt(n), "n v = 4"),
    "small": (lambda n: 0.5 / math.sqrt(n), "n v = 1/4"),
    "glorot": (lambda n: math.sqrt(2.0 / (n + n)), "Glorot and Bengio 2010: n v = 1"),
    "he": (lambda n: math.sqrt(2.0 / n), "He et al. 2015: n v = 2"),
}


def build(layers, units, activation, initialization, seed=0):
    """A stack of square Dense layers with normal weights of the given kind, one output behind."""
    stddev = INITIALIZATIONS[initialization][0](units)
    model = keras.Sequential(name=f"{activation}_{initialization}")
    model.add(keras.Input((units,)))
    for number in range(layers):
        weights = keras.initializers.RandomNormal(stddev=stddev, seed=seed + number)
        model.add(
            keras.layers.Dense(
                units,
                activation=activation,
                kernel_initializer=weights,
                use_bias=False,
                name=f"layer_{number + 1}",
            )
        )
    return model


def theory(units, activation, initialization):
    """By how much a layer multiplies the mean square of a signal, and of a gradient."""
    gain = units * INITIALIZATIONS[initialization][0](units) ** 2
    return gain / 2 if activation == "relu" else gain


def flow(layers, units, batch, activation, initialization, seed=0):
    """Root mean squares forward and back, layer by layer, and what theory says of them."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((batch, units)).astype("float32")
    y = rng.standard_normal((batch, units)).astype("float32")
    model = build(layers, units, activation, initialization, seed)
    # A loss that is linear in the outputs sends the same gradient into every network.
    trace = keras.utils.trace_flow(
        model, x, y, loss=lambda y_true, y_pred: keras.ops.sum(y_true * y_pred, axis=-1)
    )
    found = {}
    for direction in ("forward", "gradient"):
        mean = trace.series("mean", direction)[1]
        std = trace.series("std", direction)[1]
        found[direction] = np.hypot(mean, std).tolist()
    found["zeros"] = trace.series("zeros")[1].tolist()
    found["gain"] = theory(units, activation, initialization)
    steps = max(layers - 1, 1)
    found["measured_forward"] = (found["forward"][-1] / found["forward"][0]) ** (2 / steps)
    found["measured_gradient"] = (found["gradient"][0] / found["gradient"][-1]) ** (2 / steps)
    return found


def verdict(gain, layers):
    """A word for what `layers` layers make of a signal."""
    end = gain**layers
    return "steady" if 1e-2 < end < 1e2 else "explodes" if end > 1 else "vanishes"


def show(results, layers):
    """A table per activation: the root mean square at some depths, forward and back."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.width = max(console.width, 110)  # narrower, numbers would be cut
    for name, (_, meaning) in INITIALIZATIONS.items():
        console.print(f"{name}: {meaning}", highlight=False)
    places = sorted({0, layers // 4, layers // 2, 3 * layers // 4, layers - 1})
    for activation in dict.fromkeys(name for name, _ in results):
        table = Table(
            title=f"{activation}: root mean square behind layer ..., factor per layer",
            show_lines=False,
        )
        table.add_column("weights", no_wrap=True)
        table.add_column("", no_wrap=True)
        for place in places:
            table.add_column(str(place + 1), justify="right", no_wrap=True, min_width=8)
        table.add_column("factor (theory)", justify="right", no_wrap=True)
        table.add_column("", no_wrap=True)
        for (name, kind), found in results.items():
            if name != activation:
                continue
            for direction in ("forward", "gradient"):
                cells = [f"{found[direction][place]:.2e}" for place in places]
                factor = f"{found[f'measured_{direction}']:.3f} ({found['gain']:.3g})"
                first = kind if direction == "forward" else ""
                word = verdict(found[f"measured_{direction}"], layers)
                table.add_row(first, direction, *cells, factor, word)
        console.print(table)


def draw(results, path):
    """Lines of all networks over the layers, forward above, back below; written to `path`."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise SystemExit("--plot needs matplotlib: pip install kerasmirror[plot]") from None
    activations = list(dict.fromkeys(name for name, _ in results))
    figure = Figure(figsize=(5.5 * len(activations), 7))
    axes = figure.subplots(2, len(activations), sharex=True, squeeze=False)
    for (activation, kind), found in results.items():
        column = activations.index(activation)
        for row, direction in enumerate(("forward", "gradient")):
            axes[row][column].semilogy(found[direction], label=kind)
    for column, activation in enumerate(activations):
        axes[0][column].set_title(f"{activation}: signals")
        axes[1][column].set_title(f"{activation}: gradients")
        axes[1][column].set_xlabel("layer")
        axes[0][column].legend()
    for row in axes:
        for ax in row:
            ax.set_ylabel("root mean square")
            ax.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path)


def run(layers=50, units=128, batch=128, activations=("linear", "relu"), seed=0):
    """{(activation, initialization): flow(...)} for every pair."""
    return {
        (activation, kind): flow(layers, units, batch, activation, kind, seed)
        for activation in activations
        for kind in INITIALIZATIONS
    }


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=50)
    parser.add_argument("--units", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--activations", nargs="+", default=["linear", "relu"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print numbers instead of tables")
    parser.add_argument("--plot", metavar="FILE", help="write a picture (needs matplotlib)")
    options = parser.parse_args(arguments)
    results = run(
        options.layers, options.units, options.batch_size, options.activations, options.seed
    )
    if options.json:
        found = {f"{activation}/{kind}": value for (activation, kind), value in results.items()}
        print(json.dumps(found))
    else:
        show(results, options.layers)
    if options.plot:
        draw(results, options.plot)


if __name__ == "__main__":
    main()
