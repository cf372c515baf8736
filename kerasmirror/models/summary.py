"""print_summary: a model's layers, shapes and numbers of parameters as a table."""

from __future__ import annotations

import math
import re
import shutil

from kerasmirror.core import config
from kerasmirror.core.console import print_msg

_NUMBER, _UNKNOWN, _TYPE = 34, 45, 33  # terminal colours, as in Keras


def count_params(weights):
    """The number of scalars in a list of variables."""
    return sum(math.prod(variable.shape) for variable in weights)


def memory_size(weights):
    """Bytes that a list of variables takes, each counted once."""
    return sum(variable.data.nbytes for variable in {id(v): v for v in weights}.values())


def readable_memory_size(size):
    """`size` bytes as "1.50 KB"."""
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if size < 1024:
            return f"{size:.2f} {unit}"
        size /= 1024
    return f"{size:.2f} PB"


def print_summary(
    model,
    line_length=None,
    positions=None,
    print_fn=None,
    expand_nested=False,
    show_trainable=False,
    layer_range=None,
):
    """Print a table of the model's layers, then the totals: what `model.summary()` shows.

    Args: `line_length`, columns in all; `positions`, where each column ends, as a fraction of
    them. `print_fn` gets the whole text, without colours, instead of the terminal.
    `expand_nested` shows the layers inside of layers, `show_trainable` a column Y or N.
    `layer_range`, two regular expressions: from the first layer that matches the first to the
    last one that matches the second.
    Raises: ValueError for a line too short for its columns or a bad `layer_range`.
    Source: Keras 3.15 `keras.Model.summary`.
    """
    # Rich takes a tenth of a second to load, and only this function needs it.
    from rich.console import Console
    from rich.markup import escape

    graph = getattr(model, "_graph", None)
    layers = _in_range(model.layers if graph is None else graph.operations, layer_range)
    branched = graph is not None and not _is_chain(graph)
    table, line_length = _table(line_length, positions, show_trainable, branched)
    for layer in layers:
        for row in _rows(layer, expand_nested, show_trainable, graph if branched else None, 0):
            table.add_row(*row)
    if print_fn is None and not config.is_interactive_logging_enabled():
        print_fn = _log
    if print_fn is None:
        console = Console(highlight=False)
    else:
        console = Console(highlight=False, force_terminal=False, color_system=None)
        console.begin_capture()
    if console.width < line_length:
        console.width = line_length
    console.print(f'[bold]Model: "{escape(model.name)}"[/]')
    console.print(table)
    for label, weights in _totals(model):
        console.print(
            f"[bold] {label} params: [/]{_coloured(f'{count_params(weights):,}')}"
            f" ({readable_memory_size(memory_size(weights))})"
        )
    if print_fn is not None:
        print_fn(console.end_capture())


def _log(text):
    print_msg(text, line_break=False)


def _totals(model):
    trainable, frozen = model.trainable_weights, model.non_trainable_weights
    optimizer = getattr(model, "optimizer", None)
    built = optimizer is not None and optimizer.built
    updated = list(optimizer.variables) if built else []
    totals = [
        ("Total", [*trainable, *frozen, *updated]),
        ("Trainable", trainable),
        ("Non-trainable", frozen),
    ]
    return [*totals, ("Optimizer", updated)] if built else totals


def _is_chain(graph):
    """Whether each call takes the one before and no layer is called twice."""
    for nodes in graph.nodes_by_depth.values():
        if len(nodes) > 1 or len(nodes[0].input_tensors) > 1:
            return False
    return len({node.operation for node in graph.nodes}) == len(graph.nodes)


def _connections(layer, graph):
    """Where the layer's inputs come from: "dense[0][0]", for call 0 of `dense`, its result 0."""
    found = [
        f"{operation.name}[{_coloured(call)}][{_coloured(position)}]"
        for node in layer._inbound_nodes
        if node in graph.members
        for operation, call, position in (tensor._keras_history for tensor in node.input_tensors)
    ]
    return ", ".join(found) or "-"


def _table(line_length, positions, show_trainable, branched):
    from rich.table import Column, Table

    headers = ["Layer (type)", "Output Shape", "Param #"]
    justify = ["left", "left", "right"]
    default = 88
    if branched:
        headers.append("Connected to")
        justify.append("left")
        default = 108
    positions = list(positions or ((0.3, 0.56, 0.74, 1.0) if branched else (0.45, 0.80, 1.0)))
    if show_trainable:
        default += 12
        positions = [position * 0.90 for position in positions] + [1.0]
        headers.append("Trainable")
        justify.append("center")
    line_length = line_length or min(default, shutil.get_terminal_size().columns - 4)
    columns, end = [], 0
    for header, side, position in zip(headers, justify, positions, strict=False):
        width = int(position * line_length) - end
        if width < 4:
            raise ValueError(
                "summary: `line_length` must leave each column 4 characters. "
                f"Received: line_length={line_length}, positions={positions}"
            )
        columns.append(Column(header, justify=side, width=width))
        end += width
    return Table(*columns, width=line_length, show_lines=True), line_length


def _rows(layer, expand_nested, show_trainable, graph, level):
    from rich.markup import escape

    prefix = "   " * level + "└ " if level else ""
    kind = f"[color({_TYPE})]{escape(getattr(layer, 'kind', type(layer).__name__))}[/]"
    row = [f"{escape(prefix + layer.name)} ({kind})", _shape_text(layer), _params_text(layer)]
    if graph is not None:
        row.append(_connections(layer, graph))
    if show_trainable:
        if not getattr(layer, "weights", None):
            row.append("[bold]-[/]")
        else:
            row.append("[bold][color(34)]Y[/][/]" if layer.trainable else "[bold][color(9)]N[/][/]")
    rows = [row]
    if expand_nested:
        for inner in getattr(layer, "layers", None) or ():
            rows.extend(_rows(inner, expand_nested, show_trainable, graph, level + 1))
    return rows


def _coloured(value):
    return f"[color({_UNKNOWN if value is None else _NUMBER})]{value}[/]"


def _params_text(layer):
    if not hasattr(layer, "built"):  # an operation of `keras.ops`
        return _coloured(0)
    if not layer.built:
        return f"{_coloured(0)} (unbuilt)"
    return _coloured(f"{layer.count_params():,}")


def _shape_text(layer):
    shapes = _output_shapes(layer)
    # Nested shapes are texts in lists: without the quotes they read as shapes.
    return "?" if shapes is None else str(shapes).replace("'", "")


def _output_shapes(layer):
    """The layer's output shape as text, or a nest of them; None while it is unknown."""
    nodes = getattr(layer, "_inbound_nodes", None)
    if nodes:
        found = [_one_shape(tensor.shape) for tensor in nodes[-1].output_tensors]
        return found[0] if len(found) == 1 else found
    shapes = getattr(layer, "_build_shapes", None)
    if shapes is None and getattr(layer, "_first_input_shape", None) is not None:
        shapes = {"input_shape": layer._first_input_shape}
    if shapes is None:
        return None
    try:
        if hasattr(layer, "output_shape"):
            return _shape_tree(layer.output_shape)
        return _shape_tree(layer.compute_output_shape(**shapes))
    except NotImplementedError:
        return None


def _shape_tree(shape):
    if isinstance(shape, dict):
        return {key: _shape_tree(value) for key, value in shape.items()}
    if any(isinstance(size, (list, tuple, dict)) for size in shape):
        parts = [_shape_tree(value) for value in shape]
        return parts[0] if len(parts) == 1 else type(shape)(parts)
    return _one_shape(shape)


def _one_shape(shape):
    return f"({', '.join(_coloured(size) for size in shape)})"


def _in_range(layers, layer_range):
    if layer_range is None:
        return layers
    good = isinstance(layer_range, (list, tuple)) and len(layer_range) == 2
    if not good or not all(isinstance(name, str) for name in layer_range):
        raise ValueError(
            "summary: `layer_range` must be the names of two layers. "
            f"Received: layer_range={layer_range!r}"
        )
    first, last = (
        [i for i, layer in enumerate(layers) if re.match(pattern, layer.name)]
        for pattern in layer_range
    )
    if not first or not last:
        raise ValueError(
            "summary: `layer_range` must match the names of layers, "
            f"{[layer.name for layer in layers]}. Received: layer_range={layer_range!r}"
        )
    if min(first) > max(last):
        return layers[min(last) : max(first) + 1]
    return layers[min(first) : max(last) + 1]
