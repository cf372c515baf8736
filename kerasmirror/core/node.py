"""The graph behind placeholders: each call on KerasTensors is a Node, each result knows its call.

`tensor._keras_history` is (operation, node_index, tensor_index): the result number `tensor_index`
of the call `operation._inbound_nodes[node_index]`. An operation is a layer, or an
`OperationCall` for what `keras.ops` computes outside of layers.
"""

from __future__ import annotations

import contextlib
import threading
from typing import Any, NamedTuple

from kerasmirror.core import tree
from kerasmirror.core.symbolic import KerasTensor


class KerasHistory(NamedTuple):
    """Where a KerasTensor comes from."""

    operation: Any
    node_index: int
    tensor_index: int


class _Recording(threading.local):
    def __init__(self):
        self.paused = False


_RECORDING = _Recording()


def is_recording():
    """Whether calls on placeholders become nodes: outside of layers' calls they do."""
    return not _RECORDING.paused


@contextlib.contextmanager
def recording(wanted):
    """Within it, calls on placeholders become nodes, or do not."""
    before, _RECORDING.paused = _RECORDING.paused, not wanted
    try:
        yield
    finally:
        _RECORDING.paused = before


def placeholders_in(structure):
    """The KerasTensors in a nested structure."""
    return [leaf for leaf in tree.flatten(structure) if isinstance(leaf, KerasTensor)]


class Node:
    """One call of an operation: its arguments and the KerasTensors it gave.

    `implied` are keyword arguments that the operation has filled in; configs list them as if they
    had been passed, and a run leaves them to the operation again.
    """

    def __init__(self, operation, args, kwargs, outputs, implied=None):
        self.operation = operation
        self.args = tree.map_structure(lambda leaf: leaf, args)
        self.kwargs = {k: tree.map_structure(lambda x: x, v) for k, v in kwargs.items()}
        self.implied = implied or {}
        self.input_tensors = placeholders_in((self.args, self.kwargs))
        self.outputs = tree.flatten(outputs)
        for tensor in self.outputs:
            if not isinstance(tensor, KerasTensor):
                raise ValueError(
                    "keras.Operation: all operation outputs must be tensors, where an input is a "
                    f"KerasTensor. Received: {tensor!r} from operation '{operation.name}'"
                )
        nodes = operation._inbound_nodes
        nodes.append(self)
        # Models of several threads may share a layer: another node may have come behind this one.
        index = next(i for i in reversed(range(len(nodes))) if nodes[i] is self)
        if not all(tensor.record_history for tensor in self.input_tensors):
            return  # the results cannot be traced back further than here
        for position, tensor in enumerate(self.outputs):
            tensor._keras_history = KerasHistory(operation, index, position)
        for parent in self.parent_nodes:
            parent.operation._outbound_nodes.append(self)

    @property
    def output_tensors(self):
        return self.outputs

    @property
    def is_input(self):
        return not self.input_tensors

    @property
    def parent_nodes(self):
        """The nodes whose results this one takes."""
        nodes = (node_of(tensor) for tensor in self.input_tensors)
        return [node for node in nodes if node is not None]

    def __repr__(self):
        return f"<Node operation={self.operation.name}>"


def node_of(tensor):
    """The call that gave `tensor`, or None for a placeholder that none is known of."""
    history = getattr(tensor, "_keras_history", None)
    return None if history is None else history[0]._inbound_nodes[history[1]]


def keeps_history(tensors):
    """Whether a call on these placeholders is to become a node."""
    return bool(tensors) and is_recording() and all(tensor.record_history for tensor in tensors)


def node_tensors(operation, attribute, what):
    """The tensors of the operation's first call; a single one by itself.

    Raises: AttributeError when it has never been called on placeholders.
    """
    if not operation._inbound_nodes:
        raise AttributeError(
            f"The layer {operation.name} has never been called and thus has no defined {what}."
        )
    tensors = getattr(operation._inbound_nodes[0], attribute)
    return tensors[0] if len(tensors) == 1 else tensors
