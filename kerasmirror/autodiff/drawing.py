"""A recorded tape as a picture: operations as boxes, tensors as arrows, parameters marked."""

from __future__ import annotations

from typing import NamedTuple

from kerasmirror._export import export
from kerasmirror.autodiff.tape import GradientTape
from kerasmirror.core import checks
from kerasmirror.core import dot as dots
from kerasmirror.core.variable import Variable


class _Value(NamedTuple):
    """A tensor or variable that went into an operation or came out of one."""

    key: int | None  # on the tape; None for what is not tracked
    shape: tuple
    dtype: str
    path: str | None  # of a variable


class _Operation(NamedTuple):
    name: str
    inputs: list
    outputs: list


@export("autodiff.DrawableTape")
class DrawableTape(GradientTape):
    """A GradientTape that notes names and shapes beside its records, for `draw_tape`.

    The notes stay when `gradient` uses the records up; `reset` forgets both. They hold no values.
    """

    def __init__(self, persistent=False, watch_accessed_variables=True):
        super().__init__(persistent, watch_accessed_variables)
        self.notes = []

    def note(self, name, inputs, outputs):
        """Called by each operation that was recorded."""
        outputs = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
        self.notes.append(
            _Operation(
                name,
                [self._value(value) for value in inputs if value is not None],
                [self._value(value) for value in outputs],
            )
        )

    def _value(self, value):
        key = value.key if self.tracks(value) else None
        path = value.path if isinstance(value, Variable) else None
        if path is None and key is not None and key < 0:
            path = "variable"  # read as a tensor: the key is a variable's, the name is not known
        return _Value(key, tuple(value.shape), str(value.dtype), path)

    def reset(self):
        super().reset()
        self.notes.clear()


@export("autodiff.tape_to_dot")
def tape_to_dot(tape, show_shapes=True, show_dtype=False, rankdir="TB", dpi=100):
    """A `pydot.Dot` of what a DrawableTape recorded.

    Each operation is a box. An arrow is a tensor, with its shape, from the operation that gave it
    to the one that took it. Variables are green (pale ones get no gradient), watched tensors blue,
    tensors that get no gradient grey; a red oval stands for what no operation took.
    Raises: TypeError for another tape, ValueError for an empty one, ImportError without pydot.
    """
    if not isinstance(tape, DrawableTape):
        checks.fail(
            "tape_to_dot",
            "tape",
            "a keras.autodiff.DrawableTape, which notes names and shapes",
            tape,
            TypeError,
        )
    checks.one_of(rankdir, ("TB", "LR", "BT", "RL"), "rankdir", owner="tape_to_dot")
    if not tape.notes:
        raise ValueError(
            "tape_to_dot: `tape` must have recorded operations: on variables, or on tensors that "
            "it watches. Received: an empty tape"
        )
    pydot = dots.pydot_for("tape_to_dot")
    return (
        None
        if pydot is None
        else _Picture(pydot, tape, show_shapes, show_dtype).graph(rankdir=rankdir, dpi=dpi)
    )


@export("autodiff.draw_tape")
def draw_tape(tape, to_file="tape.png", show_shapes=True, show_dtype=False, rankdir="TB", dpi=100):
    """Draw a DrawableTape into a file (png, svg, pdf, ..., by its ending); see `tape_to_dot`.

    Gives a Jupyter image where IPython is installed.
    Raises: as `tape_to_dot`, and ImportError without Graphviz.
    """
    graph = tape_to_dot(tape, show_shapes, show_dtype, rankdir, dpi)
    if graph is None or not dots.has_graphviz(dots.pydot_for("draw_tape"), "draw_tape"):
        return None
    return dots.write(graph, to_file)


class _Picture:
    """The graph, while it is being put together."""

    def __init__(self, pydot, tape, show_shapes, show_dtype):
        self.pydot = pydot
        self.tape = tape
        self.show_shapes = show_shapes
        self.show_dtype = show_dtype
        self.givers = {}
        self.unused = {}

    def graph(self, **settings):
        graph = self.pydot.Dot(graph_name="tape", **settings)
        graph.set_node_defaults(fontname="Helvetica", shape="box", style="rounded,filled")
        graph.set_edge_defaults(fontname="Helvetica", fontsize="10")
        for number, operation in enumerate(self.tape.notes):
            name = f"op_{number}"
            graph.add_node(self.pydot.Node(name, label=_quoted(operation.name), fillcolor="white"))
            for value in operation.inputs:
                source = self.givers.get(value.key) if value.key is not None else None
                if source is None:
                    source = self._source(graph, value, f"{name}_{len(graph.get_nodes())}")
                self.unused.pop(value.key, None)
                edge = self.pydot.Edge(source, name, label=_quoted(self._described(value)))
                graph.add_edge(edge)
            for value in operation.outputs:
                self.givers[value.key] = name
                self.unused[value.key] = (name, value)
        for number, (giver, value) in enumerate(self.unused.values()):
            name = f"result_{number}"
            graph.add_node(
                self.pydot.Node(name, label="result", shape="ellipse", fillcolor="mistyrose")
            )
            graph.add_edge(self.pydot.Edge(giver, name, label=_quoted(self._described(value))))
        return graph

    def _source(self, graph, value, name):
        """A box for what no recorded operation gave; one for all uses of a tracked one."""
        label, color = value.path or "data", "honeydew" if value.path else "gray90"
        if value.key is not None:
            name = f"source_{'v' if value.key < 0 else 't'}{abs(value.key)}"
            label, color = value.path or "watched", "palegreen" if value.path else "lightblue"
            self.givers[value.key] = name
        graph.add_node(
            self.pydot.Node(
                name, label=_quoted(label), shape="box", style="filled", fillcolor=color
            )
        )
        return name

    def _described(self, value):
        shape = str(value.shape) if self.show_shapes else ""
        return f"{shape} {value.dtype}".strip() if self.show_dtype else shape


def _quoted(text):
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
