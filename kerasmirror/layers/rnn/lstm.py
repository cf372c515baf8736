"""LSTM and its cell."""

from __future__ import annotations

from kerasmirror import activations, initializers, ops
from kerasmirror._export import export
from kerasmirror.layers.input_spec import InputSpec
from kerasmirror.layers.rnn.cell import BaseCell
from kerasmirror.layers.rnn.fused import CellLayer, checked_cudnn, forwards_to_cell


@export("layers.LSTMCell")
class LSTMCell(BaseCell):
    """A step with gates i, f, o and the new values g of x @ kernel + h @ recurrent_kernel + bias.

    `c' = f * c + i * g`, `h' = o * activation(c')`; the output is h'. i, f and o go through
    `recurrent_activation`, g through `activation`; kernels have the columns [i f g o].
    Shapes: inputs (N, F), kernel (F, 4 units), recurrent_kernel (units, 4 units), h, c (N, units).
    Source: Hochreiter and Schmidhuber 1997, https://doi.org/10.1162/neco.1997.9.8.1735; Keras 3.15
    `keras.layers.LSTMCell`.
    """

    gates = 4

    def __init__(
        self,
        units,
        activation="tanh",
        recurrent_activation="sigmoid",
        use_bias=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        unit_forget_bias=True,
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
        implementation = kwargs.pop("implementation", 2)
        super().__init__(**kwargs)
        self.recurrent_activation = activations.get(recurrent_activation)
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
        self.implementation = 1 if self.recurrent_dropout != 0.0 else implementation
        if self.implementation == 1:
            self.dropout_mask_count = 4
        self._keep_seed(seed)
        self.unit_forget_bias = unit_forget_bias
        self.state_size = [self.units, self.units]

    def build(self, input_shape):
        initializer = self._first_bias if self.unit_forget_bias else None
        self._add_weights(input_shape, (4 * self.units,), initializer)

    def _first_bias(self, shape, dtype=None):
        """1 for the forget gate, which then keeps what there is."""
        ones = initializers.get("ones")
        parts = [
            self.bias_initializer((self.units,), dtype=dtype),
            ones((self.units,), dtype=dtype),
            self.bias_initializer((2 * self.units,), dtype=dtype),
        ]
        return ops.concatenate(parts)

    def call(self, inputs, states, training=False):
        h, c = states[0], states[1]
        mask = self.get_dropout_mask(inputs) if training else None
        xs = self._dropped(inputs, mask, self.dropout, training)
        mask = self.get_recurrent_dropout_mask(h) if training else None
        hs = self._dropped(h, mask, self.recurrent_dropout, training)
        total = ops.add(
            self._products(xs, self.kernel, self.bias), self._products(hs, self.recurrent_kernel)
        )
        i, f, g, o = self._split(total)
        kept = ops.multiply(self.recurrent_activation(f), c)
        c = ops.add(kept, ops.multiply(self.recurrent_activation(i), self.activation(g)))
        h = ops.multiply(self.recurrent_activation(o), self.activation(c))
        return h, [h, c]


@export("layers.LSTM")
@forwards_to_cell
class LSTM(CellLayer):
    """Long short-term memory over the steps of a sequence; see `LSTMCell` for a step.

    Shapes: inputs (N, T, F), result (N, units), or (N, T, units) with `return_sequences`; with
    `return_state` the last h and c (N, units) too.
    `use_cudnn` is for graphics processors and changes nothing; True raises.
    Source: Hochreiter and Schmidhuber 1997, https://doi.org/10.1162/neco.1997.9.8.1735; Keras 3.15
    `keras.layers.LSTM`.
    """

    def __init__(
        self,
        units,
        activation="tanh",
        recurrent_activation="sigmoid",
        use_bias=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        unit_forget_bias=True,
        kernel_regularizer=None,
        recurrent_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        seed=None,
        return_sequences=False,
        return_state=False,
        go_backwards=False,
        stateful=False,
        unroll=False,
        use_cudnn="auto",
        **kwargs,
    ):
        cell = LSTMCell(
            units,
            activation=activation,
            recurrent_activation=recurrent_activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            unit_forget_bias=unit_forget_bias,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            dtype=kwargs.get("dtype"),
            trainable=kwargs.get("trainable", True),
            name="lstm_cell",
            seed=seed,
            implementation=kwargs.pop("implementation", 2),
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
        self.use_cudnn = checked_cudnn(use_cudnn, "LSTM")

    def _fused(self):
        usual = self._is("tanh", self.cell.activation)
        return "lstm" if usual and self._is("sigmoid", self.cell.recurrent_activation) else None
