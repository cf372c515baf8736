"""Adafactor: a matrix's squared gradients kept as one row and one column."""

from __future__ import annotations

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.core.variable import Variable
from kerasmirror.optimizers.optimizer import Optimizer, base_arguments


@export("optimizers.Adafactor")
class Adafactor(Optimizer):
    """Steps of `g / sqrt(v)`; a matrix's v is `r c^T / mean(r)` of running row and column means.

    The factor is `max(epsilon_2, rms(w)) * min(rate, 1 / sqrt(t))`, and a step with a root mean
    square above `clip_threshold` is scaled down to it. `relative_step` also keeps the rate itself
    below 1 / sqrt(t); as in Keras 3.15, the factor does so in any case.
    Source: Shazeer and Stern 2018, https://arxiv.org/abs/1804.04235, Algorithms 4 and 5;
    Keras 3.15 `keras.optimizers.Adafactor`.
    """

    def __init__(
        self,
        learning_rate=0.001,
        beta_2_decay=-0.8,
        epsilon_1=1e-30,
        epsilon_2=1e-3,
        clip_threshold=1.0,
        relative_step=True,
        weight_decay=None,
        clipnorm=None,
        clipvalue=None,
        global_clipnorm=None,
        use_ema=False,
        ema_momentum=0.99,
        ema_overwrite_frequency=None,
        loss_scale_factor=None,
        gradient_accumulation_steps=None,
        name=None,
        **kwargs,
    ):
        super().__init__(**base_arguments(locals()))
        self.beta_2_decay = beta_2_decay
        self.epsilon_1 = epsilon_1
        self.epsilon_2 = epsilon_2
        self.clip_threshold = clip_threshold
        self.relative_step = relative_step

    def build(self, var_list):
        if self.built:
            return
        super().build(var_list)
        self._r, self._c, self._v = [], [], []
        for variable in var_list:
            self._add_state(variable)

    def _add_state(self, variable):
        name, shape, dtype = variable.name, variable.shape, variable.dtype
        if variable.overwrite_with_gradient:
            r = c = v = None
        elif len(shape) < 2:
            # Unused, but in Keras's files.
            r, c = (Variable(0, name=name, trainable=False) for _ in range(2))
        else:
            r = self.add_variable(shape=shape[:-1], dtype=dtype, name=name)
            c = self.add_variable(shape=(*shape[:-2], shape[-1]), dtype=dtype, name=name)
        self._r.append(r)
        self._c.append(c)
        if not variable.overwrite_with_gradient:
            v = self.add_variable_from_reference(variable, name="velocity")
        self._v.append(v)

    def update_step(self, gradient, variable, learning_rate):
        index, dtype = self._get_variable_index(variable), variable.dtype
        r, c, v = self._r[index], self._c[index], self._v[index]
        t = ops.cast(self.iterations + 1, dtype)
        rho = ops.minimum(ops.cast(learning_rate, dtype), 1 / ops.sqrt(t))
        size = ops.maximum(ops.cast(self.epsilon_2, dtype), _rms(variable)) * rho
        squares = ops.square(gradient) + self.epsilon_1
        beta = 1 - ops.power(t, self.beta_2_decay)
        if len(variable.shape) < 2:
            self.assign(v, beta * v + (1 - beta) * squares)
        else:
            self.assign(r, beta * r + (1 - beta) * ops.mean(squares, axis=-1))
            self.assign(c, beta * c + (1 - beta) * ops.mean(squares, axis=-2))
            rows = ops.expand_dims(r / ops.mean(r, axis=-1, keepdims=True), axis=-1)
            self.assign(v, rows * ops.expand_dims(c, -2))
        step = gradient / ops.sqrt(v)
        step = step / ops.maximum(ops.cast(1.0, dtype), _rms(step) / self.clip_threshold)
        self.assign_sub(variable, size * step)

    def get_config(self):
        return {
            **super().get_config(),
            "beta_2_decay": self.beta_2_decay,
            "epsilon_1": self.epsilon_1,
            "epsilon_2": self.epsilon_2,
            "clip_threshold": self.clip_threshold,
            "relative_step": self.relative_step,
        }


def _rms(x):
    return ops.sqrt(ops.mean(ops.square(x)))
