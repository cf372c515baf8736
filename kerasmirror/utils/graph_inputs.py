"""get_source_inputs: where a placeholder comes from in the end."""

from __future__ import annotations

from kerasmirror._export import export
from kerasmirror.core.node import node_of


@export("utils.get_source_inputs")
def get_source_inputs(tensor):
    """The inputs that `tensor` is computed from, each once; something without history, as it is.

    Source: Keras 3.15 `keras.utils.get_source_inputs`.
    """
    if not hasattr(tensor, "_keras_history"):
        return tensor
    sources, seen, waiting = [], set(), [node_of(tensor)]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if node.is_input:
            sources.extend(node.output_tensors)
        # The first argument comes out of the stack first.
        waiting.extend(
            node_of(one) for one in reversed(node.input_tensors) if node_of(one) is not None
        )
    return sources
