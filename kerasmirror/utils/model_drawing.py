"""plot_model and model_to_dot: a model's layers as boxes and what passes between them as arrows."""

from __future__ import annotations

from typing import NamedTuple

from kerasmirror._export import export
from kerasmirror.core import dot as dots
from kerasmirror.core import tree
from kerasmirror.core.node import node_of
from kerasmirror.models.functional import Functional
from kerasmirror.models.sequential import Sequential


class _Shown(NamedTuple):
    """What the boxes tell."""

    shapes: bool
    dtype: bool
    names: bool
    activations: bool
    trainable: bool


@export("utils.model_to_dot")
def model_to_dot(
    model,
    show_shapes=False,
    show_dtype=False,
    show_layer_names=True,
    rankdir="TB",
    expand_nested=False,
    dpi=200,
    subgraph=False,
    show_layer_activations=False,
    show_trainable=False,
    splines="ortho",
    **kwargs,
):
    """A `pydot.Dot` of the model: a box per layer, an arrow where one takes another's output.

    A subclassed model is one box. Args: what the boxes show; `rankdir`, "TB" (downwards) or "LR";
    `expand_nested`, models inside of the model as frames with their layers; `dpi` and `splines`,
    as Graphviz takes them; `subgraph`, a `pydot.Cluster`, which fits into another graph.
    Raises: ValueError for a model that is not built, ImportError without pydot.
    Source: Keras 3.15 `keras.utils.model_to_dot`.
    """
    _check(model, kwargs, "model_to_dot")
    pydot = dots.pydot_for("model_to_dot")
    if pydot is None:
        return None
    if subgraph:
        graph = _cluster(pydot, model)
    else:
        graph = pydot.Dot(rankdir=rankdir, concentrate=True, dpi=dpi, splines=splines)
        graph.set_node_defaults(shape="record")
    shown = _Shown(
        show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable
    )
    _draw(pydot, graph, model, shown, expand_nested)
    return graph


@export("utils.plot_model")
def plot_model(
    model,
    to_file="model.png",
    show_shapes=False,
    show_dtype=False,
    show_layer_names=False,
    rankdir="TB",
    expand_nested=False,
    dpi=200,
    show_layer_activations=False,
    show_trainable=False,
    splines="ortho",
    **kwargs,
):
    """Draw the model into a file (png, svg, pdf, ..., by its ending); see `model_to_dot`.

    Gives a Jupyter image where IPython is installed.
    Raises: ValueError for a model that is not built, ImportError without pydot or Graphviz.
    Source: Keras 3.15 `keras.utils.plot_model`.
    """
    _check(model, kwargs, "plot_model")
    pydot = dots.pydot_for("plot_model")
    if pydot is None or not dots.has_graphviz(pydot, "plot_model"):
        return None
    graph = model_to_dot(
        model,
        show_shapes=show_shapes,
        show_dtype=show_dtype,
        show_layer_names=show_layer_names,
        rankdir=rankdir,
        expand_nested=expand_nested,
        dpi=dpi,
        show_layer_activations=show_layer_activations,
        show_trainable=show_trainable,
        splines=splines,
    )
    return dots.write(graph, to_file)


def _check(model, kwargs, owner):
    if not model.built:
        raise ValueError(
            f"{owner}: `model` must be built first, by `build()` or by a call on data. "
            f"Received: model '{model.name}', which has not yet been built"
        )
    if kwargs.pop("layer_range", None) is not None:
        raise ValueError(f"{owner}: `layer_range` is no longer supported, draw a model of its own.")
    if kwargs:
        raise ValueError(f"{owner}: unrecognized keyword arguments. Received: {kwargs}")


def _draw(pydot, graph, model, shown, expand_nested):
    """Boxes and arrows of `model` in `graph`."""
    if not isinstance(model, (Functional, Sequential)):
        graph.add_node(_box(pydot, model, shown))
        return
    for layer in model.operations if isinstance(model, Functional) else model.layers:
        if expand_nested and isinstance(layer, (Functional, Sequential)):
            inner = _cluster(pydot, layer)
            _draw(pydot, inner, layer, shown, expand_nested)
            graph.add_subgraph(inner)
        else:
            graph.add_node(_box(pydot, layer, shown))
    for source, destination in dict.fromkeys(_arrows(model, expand_nested)):
        graph.add_edge(pydot.Edge(str(id(source)), str(id(destination)), penwidth="2"))


def _cluster(pydot, model):
    cluster = pydot.Cluster(style="dashed", graph_name=model.name)
    cluster.set("label", model.name)
    cluster.set("labeljust", "l")
    return cluster


def _arrows(model, expand_nested):
    """(source, destination) of every connection; models are seen through where they are expanded.

    What enters a Sequential model is drawn by the graph around it, as it has no box for its input.
    """
    if isinstance(model, Sequential) and not expand_nested:
        yield from zip(model.layers, model.layers[1:], strict=False)
        return
    functional = isinstance(model, Functional)
    for layer in model.operations if functional else model.layers[1:]:
        for node in layer._inbound_nodes:
            if functional and node not in model._graph.members:
                continue
            for position, tensor in enumerate(node.input_tensors):
                if node_of(tensor) is None:
                    continue
                if expand_nested:
                    yield _giver(tensor), _taker(layer, position)
                else:
                    yield node_of(tensor).operation, layer


def _giver(tensor):
    """The innermost layer that gives `tensor`."""
    operation, _, position = tensor._keras_history
    while isinstance(operation, (Functional, Sequential)):
        operation, _, position = operation.outputs[position]._keras_history
    return operation


def _taker(operation, position):
    """The innermost layer that takes the operation's input number `position`."""
    while isinstance(operation, (Functional, Sequential)):
        if isinstance(operation, Functional):
            operation = node_of(operation.inputs[position]).operation
        else:
            operation = operation.layers[0]
    return operation


def _box(pydot, layer, shown):
    box = pydot.Node(str(id(layer)), label=_label(layer, shown))
    for attribute, value in (("fontname", "Helvetica"), ("border", "0"), ("margin", "0")):
        box.set(attribute, value)
    return box


def _label(layer, shown):
    """An HTML-like table: the title, the activation, and a row of details."""
    kind = getattr(layer, "kind", type(layer).__name__)
    title = f"<b>{dots.text(layer.name)}</b> ({kind})" if shown.names else f"<b>{kind}</b>"
    span = max(1, 2 * shown.shapes + shown.dtype + shown.trainable)
    rows = [
        f'<tr><td colspan="{span}" bgcolor="black"><font point-size="16" color="white">'
        f"{title}</font></td></tr>"
    ]
    activation = getattr(layer, "activation", None)
    if shown.activations and activation is not None:
        name = getattr(activation, "name", None) or getattr(activation, "__name__", activation)
        rows.append(
            f'<tr><td bgcolor="white" colspan="{span}"><font point-size="14">'
            f"Activation: <b>{dots.text(name)}</b></font></td></tr>"
        )
    cells = _details(layer, kind, shown)
    if cells:
        rows.append(f"<tr>{''.join(cells)}</tr>")
    table = '<table border="0" cellborder="1" bgcolor="black" cellpadding="10">'
    return f"<{table}{''.join(rows)}</table>>"


def _details(layer, kind, shown):
    cells = []
    if shown.shapes:
        taken, given = _of_call(layer, "input", "shape"), _of_call(layer, "output", "shape")
        if taken is None or given is None:
            taken = given = None
        if kind != "InputLayer":
            cells.append(_cell(f"Input shape: <b>{_shape_text(taken)}</b>"))
        cells.append(_cell(f"Output shape: <b>{_shape_text(given)}</b>"))
    if shown.dtype:
        dtype = _of_call(layer, "output", "dtype")
        cells.append(_cell(f"Output dtype: <b>{dots.text(dtype or '?')}</b>"))
    if shown.trainable and getattr(layer, "weights", None):
        color = "forestgreen" if layer.trainable else "firebrick"
        word = "Trainable" if layer.trainable else "Non-trainable"
        cells.append(_cell(f"<b>{word}</b>", color, ' color="white"'))
    return cells


def _cell(content, background="white", font=""):
    return f'<td bgcolor="{background}"><font point-size="14"{font}>{content}</font></td>'


def _of_call(layer, side, attribute):
    """The shapes or dtypes of the layer's first call on placeholders; None without one."""
    try:
        return tree.map_structure(lambda x: getattr(x, attribute), getattr(layer, side))
    except (ValueError, AttributeError):
        return None


def _shape_text(shape):
    if shape is None:
        return "?"
    if isinstance(shape, dict):
        shape = ", ".join(f"{key}: {value}" for key, value in shape.items())
    return dots.text(str(shape).replace("}", "").replace("{", ""))
