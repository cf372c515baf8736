"""What the recurrent cells share: weights, dropout masks, states."""

from __future__ import annotations

import threading
from numbers import Integral

from kerasmirror import activations, ops, random
from kerasmirror.layers.layer import Layer
from kerasmirror.layers.weight_options import add_weight_with_options, keep_weight_options


class BaseCell(Layer):
    """A cell with `gates` products of inputs and state for each unit.

    In training, dropout draws one mask for all steps of a batch; with several masks, one for each
    gate. The layer around it makes them before the first step and forgets them after the last.
    """

    gates = 1

    def _keep(
        self,
        units,
        activation,
        use_bias,
        kernel,
        recurrent,
        bias,
        dropout,
        recurrent_dropout,
    ):
        whole = isinstance(units, Integral) and not isinstance(units, bool)
        if not whole or units <= 0:
            raise ValueError(
                f"{type(self).__name__}: Received an invalid value for argument `units`, expected "
                f"a positive integer. Received: units={units!r}"
            )
        self.units = self.output_size = int(units)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        keep_weight_options(self, kernel=kernel, recurrent=recurrent, bias=bias)
        self.dropout = min(1.0, max(0.0, dropout))
        self.recurrent_dropout = min(1.0, max(0.0, recurrent_dropout))
        self._masks = {}

    def _keep_seed(self, seed):
        self.seed = seed
        self.seed_generator = random.SeedGenerator(seed)

    def _add_weights(self, input_shape, bias_shape, bias_initializer=None):
        width = self.gates * self.units
        self.kernel = add_weight_with_options(self, "kernel", (input_shape[-1], width))
        self.recurrent_kernel = self.add_weight(
            name="recurrent_kernel",
            shape=(self.units, width),
            initializer=self.recurrent_initializer,
            regularizer=self.recurrent_regularizer,
            constraint=self.recurrent_constraint,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                name="bias",
                shape=bias_shape,
                initializer=bias_initializer or self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    # Dropout

    def _mask(self, kind, like, rate):
        key = kind, threading.get_ident()  # others may be at another batch
        if self._masks.get(key) is None and rate > 0:
            ones = ops.ones_like(like)
            count = getattr(self, "dropout_mask_count", None)
            masks = [
                random.dropout(ones, rate, seed=self.seed_generator) for _ in range(count or 1)
            ]
            self._masks[key] = masks if count else masks[0]
        return self._masks.get(key)

    def get_dropout_mask(self, step_input):
        """The mask (or one for each gate) of a step's inputs, None without dropout."""
        return self._mask("inputs", step_input, self.dropout)

    def get_recurrent_dropout_mask(self, step_input):
        """The mask (or one for each gate) of the state, None without recurrent dropout."""
        return self._mask("state", step_input, self.recurrent_dropout)

    def reset_dropout_mask(self):
        """Forget the inputs' mask."""
        self._masks.pop(("inputs", threading.get_ident()), None)

    def reset_recurrent_dropout_mask(self):
        """Forget the state's mask."""
        self._masks.pop(("state", threading.get_ident()), None)

    def _dropped(self, x, masks, rate, training):
        """`x` for each gate, with its mask where there is dropout; as it is without."""
        if not (training and 0.0 < rate < 1.0):
            return [x] * self.gates
        if not isinstance(masks, list):
            masks = [masks] * self.gates
        return [ops.multiply(x, mask) for mask in masks]

    def _products(self, xs, kernel, bias=None):
        """`x @ kernel + bias`, (N, gates * units): one product where all gates' x are the same."""
        if all(x is xs[0] for x in xs):
            product = ops.matmul(xs[0], kernel)
        else:
            kernels = ops.split(kernel, self.gates, axis=1)
            product = ops.concatenate(
                [ops.matmul(x, part) for x, part in zip(xs, kernels, strict=True)], axis=1
            )
        return product if bias is None else ops.add(product, bias)

    def _split(self, z):
        return ops.split(z, self.gates, axis=-1)

    # States

    def get_initial_state(self, batch_size=None):
        """Zeros for each state."""
        sizes = self.state_size if isinstance(self.state_size, list) else [self.state_size]
        return [ops.zeros((batch_size, size), dtype=self.compute_dtype) for size in sizes]


def first_state(states):
    """The first of a list of states, or the state itself."""
    return states[0] if isinstance(states, (list, tuple)) else states


def like(states, new):
    """`new` as `states` came: in a list, or alone."""
    return [new] if isinstance(states, (list, tuple)) else new
