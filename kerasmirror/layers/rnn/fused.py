"""RNN layers that make their cell; where it is a usual one, all steps are one primitive."""

from __future__ import annotations

import inspect

from kerasmirror import activations, ops
from kerasmirror.core import tree
from kerasmirror.core.tensor import Tensor
from kerasmirror.layers.rnn.rnn import RNN
from kerasmirror.ops.nn.recurrent import recurrent


def forwards_to_cell(cls):
    """Class decorator: the constructor's arguments that the cell keeps are read from there."""
    own = {"self", "kwargs", "activity_regularizer", "use_cudnn", "units"}
    own |= set(inspect.signature(RNN.__init__).parameters)
    for name in inspect.signature(cls.__init__).parameters.keys() - own:
        setattr(cls, name, property(lambda self, name=name: getattr(self.cell, name)))
    cls.units = property(lambda self: self.cell.units)
    return cls


def checked_cudnn(value, owner):
    """`value`, which must be "auto", True or False."""
    if value not in ("auto", True, False):
        raise ValueError(
            f"{owner}: Invalid value received for argument `use_cudnn`. Expected one of "
            f"'auto', True, False. Received: use_cudnn={value!r}"
        )
    return value


class CellLayer(RNN):
    """An RNN layer that makes its cell: LSTM, GRU, SimpleRNN."""

    _not_in_config = ("use_cudnn",)

    def _fused(self):
        """Which cell of `recurrent` this is, None where it is none of them."""
        return None

    @staticmethod
    def _is(name, activation):
        return activation is getattr(activations, name) or activation is getattr(ops, name)

    def inner_loop(self, sequences, initial_state, mask, training=False):
        if getattr(self, "use_cudnn", False) is True:
            raise ValueError(
                f"{type(self).__name__}: use_cudnn=True was specified, but cuDNN is not supported "
                "here. Pass use_cudnn='auto'."
            )
        self._check_states(initial_state, sequences.shape[0])
        cell, kind = self.cell, self._fused()
        if kind is None or cell.recurrent_dropout or type(sequences) is not Tensor:
            return super().inner_loop(sequences, initial_state, mask, training)
        if training and 0.0 < cell.dropout < 1.0:
            dropped = cell.get_dropout_mask(sequences[:, 0])
            if isinstance(dropped, list):
                return super().inner_loop(sequences, initial_state, mask, training)
            sequences = ops.multiply(sequences, ops.expand_dims(dropped, 1))
        mask = tree.flatten(mask)[0] if mask is not None else None
        states = list(initial_state)
        bias, recurrent_bias = cell.biases() if kind == "gru" else (cell.bias, None)
        y, h, c = recurrent(
            sequences,
            states[0],
            states[1] if kind == "lstm" else ops.zeros_like(states[0]),
            cell.kernel,
            cell.recurrent_kernel,
            bias,
            recurrent_bias,
            cell=kind,
            sequences=self.return_sequences,
            backwards=bool(self.go_backwards),
            mask=None if mask is None else mask.data,
            zero_masked=self.zero_output_for_mask,
        )
        return y, y, [h, c] if kind == "lstm" else [h]

    def _check_states(self, states, batch_size):
        """Raise ValueError unless there is a (batch, units) for each state of the cell."""
        shapes = [tuple(state.shape) for state in states]
        if shapes != [(batch_size, self.cell.units)] * len(self.state_size):
            raise ValueError(
                f"{type(self).__name__}: `initial_state` must have {len(self.state_size)} state(s) "
                f"of shape {(batch_size, self.cell.units)}. Received: states of shapes {shapes}"
            )

    def get_config(self):
        config = super().get_config()
        for name in ("cell", *self._not_in_config):
            config.pop(name, None)
        config["activity_regularizer"] = config.get("activity_regularizer")
        return config

    @classmethod
    def from_config(cls, config):
        return super(RNN, cls).from_config(config)
