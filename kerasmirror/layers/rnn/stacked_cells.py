"""StackedRNNCells: cells one on top of the other, as one cell."""

from __future__ import annotations

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.core import serialization, tree
from kerasmirror.layers.layer import Layer


@export("layers.StackedRNNCells")
class StackedRNNCells(Layer):
    """Calls each cell on the output of the one before; the states are a list of theirs.

    Raises: ValueError for a cell without `call` or `state_size`.
    Source: Keras 3.15 `keras.layers.StackedRNNCells`.
    """

    def __init__(self, cells, **kwargs):
        super().__init__(**kwargs)
        for cell in cells:
            for name in ("call", "state_size"):
                if name not in dir(cell):
                    raise ValueError(
                        f"StackedRNNCells: All cells must have a `{name}` "
                        f"{'method' if name == 'call' else 'attribute'}. Received: {cell!r}"
                    )
        self.cells = list(cells)

    @property
    def state_size(self):
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self):
        return _output_size(self.cells[-1])

    def get_initial_state(self, batch_size=None):
        """For each cell the states it asks for, or zeros."""
        states = []
        for cell in self.cells:
            if getattr(cell, "get_initial_state", None):
                states.append(cell.get_initial_state(batch_size=batch_size))
            elif isinstance(cell.state_size, int):
                states.append(ops.zeros((batch_size, cell.state_size), dtype=self.compute_dtype))
            else:
                sizes = cell.state_size
                states.append(
                    [ops.zeros((batch_size, size), dtype=self.compute_dtype) for size in sizes]
                )
        return states

    def call(self, inputs, states, training=False, **kwargs):
        new_states = []
        for cell, state in zip(self.cells, states, strict=True):
            is_list = isinstance(state, (list, tuple))
            state = list(state) if is_list else [state]
            options = dict(kwargs)
            if isinstance(cell, Layer) and cell._call_signature.has_training:
                options["training"] = training
            run = cell if callable(cell) else cell.call
            inputs, state = run(inputs, state, **options)
            if isinstance(state, (list, tuple)) and len(state) == 1 and not is_list:
                state = state[0]
            new_states.append(state)
        return inputs, new_states[0] if len(new_states) == 1 else new_states

    def build(self, input_shape):
        for cell in self.cells:
            if isinstance(cell, Layer) and not cell.built:
                cell.build(input_shape)
                cell.built = True
            input_shape = (tree.flatten(input_shape)[0], _output_size(cell))

    def get_config(self):
        cells = [serialization.serialize_keras_object(cell) for cell in self.cells]
        return {**super().get_config(), "cells": cells}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        cells = [
            serialization.deserialize_keras_object(cell, custom_objects=custom_objects)
            for cell in config.pop("cells")
        ]
        return cls(cells, **config)


def _output_size(cell):
    size = getattr(cell, "output_size", None)
    if size is not None:
        return size
    return cell.state_size[0] if isinstance(cell.state_size, (list, tuple)) else cell.state_size
