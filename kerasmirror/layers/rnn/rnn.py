"""RNN: a cell over the steps of a sequence."""

from __future__ import annotations

import functools

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.core import scopes, serialization, tree
from kerasmirror.core.tracking import untracked
from kerasmirror.core.variable import Variable
from kerasmirror.layers.layer import Layer
from kerasmirror.layers.rnn.cell import BaseCell
from kerasmirror.layers.rnn.stacked_cells import StackedRNNCells
from kerasmirror.ops.nn.recurrent import run_steps


def is_nested(value):
    """Whether `value` is a list, tuple or dict."""
    return isinstance(value, (list, tuple, dict))


@export("layers.RNN")
class RNN(Layer):
    """Calls `cell` on each step of the inputs, handing its states on.

    A cell has `call(inputs, states) -> (output, states)` and `state_size`, an int or a list of
    them; several cells are one on top of the other. `return_sequences` gives the outputs of all
    steps instead of the last one's, `return_state` the last states too; `go_backwards` takes the
    steps from the last one on; `stateful` starts where the last batch ended (`reset_state`).
    Where the mask is false, states and output stay (or the output is 0, `zero_output_for_mask`).
    `unroll` changes nothing: the steps are taken one by one in any case.
    Shapes: inputs (N, T, ...), result (N, output_size) or (N, T, output_size), states (N, size).
    Raises: ValueError for a cell without `call` or `state_size`, inputs without steps, a mask of
    another shape, or another batch size than the states of a stateful layer have.
    Source: Keras 3.15 `keras.layers.RNN`.
    """

    def __init__(
        self,
        cell,
        return_sequences=False,
        return_state=False,
        go_backwards=False,
        stateful=False,
        unroll=False,
        zero_output_for_mask=False,
        **kwargs,
    ):
        if isinstance(cell, (list, tuple)):
            cell = StackedRNNCells(cell)
        for name in ("call", "state_size"):
            if name not in dir(cell):
                raise ValueError(
                    f"RNN: Argument `cell` should have a `call` method and a `state_size` "
                    f"attribute; it has no `{name}`. Received: cell={cell!r}"
                )
        super().__init__(**kwargs)
        self.zero_output_for_mask = zero_output_for_mask
        self.cell = cell
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.go_backwards = go_backwards
        self.stateful = stateful
        self.unroll = unroll
        self.supports_masking = True
        self.states = None
        self._expected_batch_size = None
        size = cell.state_size
        if not isinstance(size, (list, tuple, int)):
            raise ValueError(
                "RNN: the cell's `state_size` must be an int, or a list of ints, one for each "
                f"state. Received: state_size={size!r}"
            )
        self.single_state = isinstance(size, int)
        self.state_size = [size] if self.single_state else list(size)

    def compute_output_shape(self, sequences_shape, initial_state_shape=None):
        batch, steps = sequences_shape[0], sequences_shape[1]
        output_size = getattr(self.cell, "output_size", None)
        output_size = self.state_size[0] if output_size is None else output_size
        if not isinstance(output_size, int):
            raise ValueError(
                f"RNN: the cell's `output_size` must be an int. Received: {output_size!r}"
            )
        shape = (batch, steps, output_size) if self.return_sequences else (batch, output_size)
        if not self.return_state:
            return shape
        sizes = [
            (batch, size) if isinstance(size, int) else [(batch, one) for one in size]
            for size in self.state_size
        ]
        return (shape, *sizes)

    def compute_mask(self, inputs, mask):
        mask = tree.flatten(mask)[0] if mask is not None else None
        mask = mask if self.return_sequences else None
        return [mask, *[None for _ in self.state_size]] if self.return_state else mask

    def build(self, sequences_shape, initial_state_shape=None):
        step_shape = (sequences_shape[0], *sequences_shape[2:])
        if isinstance(self.cell, Layer) and not self.cell.built:
            self.cell.build(step_shape)
            self.cell.built = True
        if not self.stateful:
            return
        if self.states is not None:
            self.reset_state()
            return
        if sequences_shape[0] is None:
            raise ValueError(
                "RNN: When using `stateful=True` in a RNN, the batch size must be static. "
                f"Received: inputs of shape {tuple(sequences_shape)}"
            )
        self._create_states(sequences_shape[0])
        self._expected_batch_size = sequences_shape[0]

    @untracked
    def _create_states(self, batch_size):
        with self._name_scope():
            make = functools.partial(
                Variable, trainable=False, dtype=self.variable_dtype, name="rnn_state"
            )
            with scopes.autocast(None):
                self.states = tree.map_structure(make, self.get_initial_state(batch_size))

    def get_initial_state(self, batch_size):
        """The states before the first step: the cell's own, or zeros."""
        if getattr(self.cell, "get_initial_state", None):
            states = self.cell.get_initial_state(batch_size=batch_size)
            return list(states) if is_nested(states) else [states]
        dtype = self.cell.compute_dtype
        return [ops.zeros((batch_size, size), dtype=dtype) for size in self.state_size]

    def reset_states(self):
        """The same as `reset_state`."""
        self.reset_state()

    def reset_state(self):
        """Make the states of a stateful layer 0."""
        for variable in tree.flatten(self.states) if self.states is not None else ():
            variable.assign(ops.zeros_like(variable.value))

    def inner_loop(self, sequences, initial_state, mask, training=False):
        """(last output, outputs, states) of the cell over all steps."""
        options = {}
        if isinstance(self.cell, Layer) and self.cell._call_signature.has_training:
            options["training"] = training

        def step(inputs, states):
            output, new_states = self.cell(inputs, states, **options)
            return output, list(new_states) if is_nested(new_states) else [new_states]

        return run_steps(
            step,
            sequences,
            initial_state,
            sequences=self.return_sequences,
            backwards=self.go_backwards,
            mask=tree.flatten(mask)[0] if mask is not None else None,
            zero_masked=self.zero_output_for_mask,
        )

    def call(self, sequences, initial_state=None, mask=None, training=False):
        if self.unroll and sequences.shape[1] is None:
            raise ValueError(
                "RNN: Cannot unroll a RNN if the time dimension is undefined. "
                f"Received: inputs of shape {tuple(sequences.shape)}"
            )
        self._check_steps(sequences.shape, mask)
        if initial_state is None:
            stateful = self.stateful
            states = self.states if stateful else self.get_initial_state(sequences.shape[0])
        else:
            states = initial_state
        if self.stateful and self._expected_batch_size not in (None, sequences.shape[0]):
            raise ValueError(
                "RNN: If an RNN is stateful, the batch size of the input sequences must be the "
                f"same as the batch size of the initial state, {self._expected_batch_size}. "
                f"Received: inputs of shape {tuple(sequences.shape)}"
            )
        states = list(states) if is_nested(states) else [states]
        dtype = self.cell.compute_dtype
        states = tree.map_structure(lambda x: ops.convert_to_tensor(x, dtype=dtype), states)
        self._draw_masks(self.cell, sequences[:, 0], states)
        last, outputs, states = self.inner_loop(sequences, states, mask, training)
        self._forget_masks(self.cell)
        cast = functools.partial(ops.cast, dtype=self.compute_dtype)
        output = cast(outputs if self.return_sequences else last)
        states = tree.map_structure(cast, states)
        if self.stateful:
            for variable, state in zip(
                tree.flatten(self.states), tree.flatten(states), strict=True
            ):
                variable.assign(state)
        return (output, *states) if self.return_state else output

    def _check_steps(self, shape, mask):
        """Raise ValueError for no steps at all, or a mask that is not one value for each step."""
        owner = type(self).__name__
        if shape[1] == 0:
            raise ValueError(
                f"{owner}: `sequences` must have at least one step. "
                f"Received: inputs of shape {tuple(shape)}"
            )
        mask = tree.flatten(mask)[0] if mask is not None else None
        if mask is not None and tuple(mask.shape[:2]) != tuple(shape[:2]):
            raise ValueError(
                f"{owner}: `mask` must have the shape (batch, steps) of the inputs. "
                f"Received: mask.shape={tuple(mask.shape)}, inputs of shape {tuple(shape)}"
            )

    def _draw_masks(self, cell, inputs, states):
        """Draw the cells' dropout masks before the first step, for all of them."""
        if isinstance(cell, BaseCell):
            cell.get_dropout_mask(inputs)
            cell.get_recurrent_dropout_mask(states[0] if is_nested(states) else states)
        if isinstance(cell, StackedRNNCells):
            for one, state in zip(cell.cells, states, strict=True):
                self._draw_masks(one, inputs, state)
                state = list(state) if is_nested(state) else [state]
                inputs, _ = one(inputs, state) if callable(one) else one.call(inputs, state)

    def _forget_masks(self, cell):
        if isinstance(cell, BaseCell):
            cell.reset_dropout_mask()
            cell.reset_recurrent_dropout_mask()
        for one in cell.cells if isinstance(cell, StackedRNNCells) else ():
            self._forget_masks(one)

    def get_config(self):
        return {
            **super().get_config(),
            "cell": serialization.serialize_keras_object(self.cell),
            "zero_output_for_mask": self.zero_output_for_mask,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        cell = serialization.deserialize_keras_object(
            config.pop("cell"), custom_objects=custom_objects
        )
        return cls(cell, **config)
