"""SimpleRNN and its cell."""

from __future__ import annotations

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.layers.input_spec import InputSpec
from kerasmirror.layers.rnn.cell import BaseCell, first_state, like
from kerasmirror.layers.rnn.fused import CellLayer, forwards_to_cell


@export("layers.SimpleRNNCell")
class SimpleRNNCell(BaseCell):
    """A step `h' = activation(x @ kernel + h @ recurrent_kernel + bias)`; the output is h'.

    Shapes: inputs (N, F), kernel (F, units), recurrent_kernel (units, units), h (N, units).
    Source: Keras 3.15 `keras.layers.SimpleRNNCell`.
    """

    def __init__(
        self,
        units,
        activation="tanh",
        use_bias=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        kernel_regularizer=None,
        recurrent_regularizer=None,
        bias_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        seed=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self._keep_seed(seed)
        self._keep(
            units,
            activation,
            use_bias,
            (kernel_initializer, kernel_regularizer, kernel_constraint),
            (recurrent_initializer, recurrent_regularizer, recurrent_constraint),
            (bias_initializer, bias_regularizer, bias_constraint),
            dropout,
            recurrent_dropout,
        )
        self.state_size = self.units

    def build(self, input_shape):
        self._add_weights(input_shape, (self.units,))

    def call(self, sequence, states, training=False):
        h = first_state(states)
        # Drawn in inference too, unlike in the other cells: Keras's seeds move on likewise.
        mask = self.get_dropout_mask(sequence)
        xs = self._dropped(sequence, mask, self.dropout, training)
        mask = self.get_recurrent_dropout_mask(h)
        hs = self._dropped(h, mask, self.recurrent_dropout, training)
        total = ops.add(
            self._products(xs, self.kernel, self.bias), self._products(hs, self.recurrent_kernel)
        )
        h = self.activation(total)
        return h, like(states, h)


@export("layers.SimpleRNN")
@forwards_to_cell
class SimpleRNN(CellLayer):
    """`h' = activation(x @ kernel + h @ recurrent_kernel + bias)` over the steps of a sequence.

    Shapes: inputs (N, T, F), result (N, units), or (N, T, units) with `return_sequences`; with
    `return_state` the last state (N, units) too.
    Source: Keras 3.15 `keras.layers.SimpleRNN`.
    """

    _not_in_config = ("seed",)

    def __init__(
        self,
        units,
        activation="tanh",
        use_bias=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        kernel_regularizer=None,
        recurrent_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        return_sequences=False,
        return_state=False,
        go_backwards=False,
        stateful=False,
        unroll=False,
        seed=None,
        **kwargs,
    ):
        cell = SimpleRNNCell(
            units,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            seed=seed,
            dtype=kwargs.get("dtype"),
            trainable=kwargs.get("trainable", True),
            name="simple_rnn_cell",
        )
        super().__init__(
            cell,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        self.input_spec = InputSpec(ndim=3)

    def _fused(self):
        return "simple" if self._is("tanh", self.cell.activation) else None
