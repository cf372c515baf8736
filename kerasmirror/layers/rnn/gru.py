"""GRU and its cell."""

from __future__ import annotations

from kerasmirror import activations, ops
from kerasmirror._export import export
from kerasmirror.layers.input_spec import InputSpec
from kerasmirror.layers.rnn.cell import BaseCell, first_state, like
from kerasmirror.layers.rnn.fused import CellLayer, checked_cudnn, forwards_to_cell


@export("layers.GRUCell")
class GRUCell(BaseCell):
    """A step with gates z (update) and r (reset): `h' = z * h + (1 - z) * g`; the output is h'.

    g is `activation(x_g + r * (h @ recurrent_kernel_g + bias))` with `reset_after`, else
    `activation(x_g + (r * h) @ recurrent_kernel_g)`; kernels have the columns [z r g].
    Shapes: inputs (N, F), kernel (F, 3 units), recurrent_kernel (units, 3 units), bias (3 units,),
    with `reset_after` (2, 3 units): one for the inputs and one for the state.
    Source: Cho et al. 2014, https://arxiv.org/abs/1406.1078, Section 2.3; Keras 3.15
    `keras.layers.GRUCell`.
    """

    gates = 3

    def __init__(
        self,
        units,
        activation="tanh",
        recurrent_activation="sigmoid",
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
        reset_after=True,
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
            self.dropout_mask_count = 3
        self._keep_seed(seed)
        self.reset_after = reset_after
        self.state_size = self.units

    def build(self, input_shape):
        width = 3 * self.units
        self._add_weights(input_shape, (2, width) if self.reset_after else (width,))

    def biases(self):
        """(of the inputs, of the state), None where there is none."""
        if not self.use_bias:
            return None, None
        if not self.reset_after:
            return self.bias, None
        return self.bias[0], self.bias[1]

    def call(self, inputs, states, training=False):
        h = first_state(states)
        mask = self.get_dropout_mask(inputs) if training else None
        xs = self._dropped(inputs, mask, self.dropout, training)
        mask = self.get_recurrent_dropout_mask(h) if training else None
        hs = self._dropped(h, mask, self.recurrent_dropout, training)
        input_bias, recurrent_bias = self.biases()
        x_z, x_r, x_g = self._split(self._products(xs, self.kernel, input_bias))
        if self.reset_after:
            h_z, h_r, h_g = self._split(self._products(hs, self.recurrent_kernel, recurrent_bias))
        else:
            kernels = ops.split(self.recurrent_kernel, 3, axis=1)
            h_z, h_r = (ops.matmul(hs[i], kernels[i]) for i in (0, 1))
        z = self.recurrent_activation(ops.add(x_z, h_z))
        r = self.recurrent_activation(ops.add(x_r, h_r))
        if self.reset_after:
            h_g = ops.multiply(r, h_g)
        else:
            h_g = ops.matmul(ops.multiply(r, hs[2]), kernels[2])
        g = self.activation(ops.add(x_g, h_g))
        h = ops.add(ops.multiply(z, h), ops.multiply(ops.subtract(1, z), g))
        return h, like(states, h)


@export("layers.GRU")
@forwards_to_cell
class GRU(CellLayer):
    """Gated recurrent units over the steps of a sequence; see `GRUCell` for a step.

    Shapes: inputs (N, T, F), result (N, units), or (N, T, units) with `return_sequences`; with
    `return_state` the last h (N, units) too.
    `use_cudnn` is for graphics processors and changes nothing; True raises.
    Source: Cho et al. 2014, https://arxiv.org/abs/1406.1078; Keras 3.15 `keras.layers.GRU`.
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
        reset_after=True,
        use_cudnn="auto",
        **kwargs,
    ):
        cell = GRUCell(
            units,
            activation=activation,
            recurrent_activation=recurrent_activation,
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
            reset_after=reset_after,
            dtype=kwargs.get("dtype"),
            trainable=kwargs.get("trainable", True),
            name="gru_cell",
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
        self.use_cudnn = checked_cudnn(use_cudnn, "GRU")

    def _fused(self):
        usual = self._is("tanh", self.cell.activation) and self.cell.reset_after
        return "gru" if usual and self._is("sigmoid", self.cell.recurrent_activation) else None
