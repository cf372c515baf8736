"""Muon: momentum made orthogonal, for matrices; AdamW for everything else."""

from __future__ import annotations

import re

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.optimizers.optimizer import Optimizer, base_arguments


@export("optimizers.Muon")
class Muon(Optimizer):
    """A matrix moves by `rate * U V^T` of its momentum `U S V^T`, found by Newton-Schulz steps.

    Each step is `X = a X + (b A + c A A) X` with `A = X X^T`. `rms_rate` scales the update by
    `rms_rate * sqrt(largest side)`, so that rates of Adam fit; None leaves it out.
    Variables that are no matrices, embeddings (`exclude_embeddings`) and those whose path matches
    one of `exclude_layers` are updated by AdamW, with `adam_beta_1`, `adam_beta_2`, `epsilon`,
    `adam_weight_decay` and `adam_lr_ratio` times the learning rate.
    Source: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/; Liu et al. 2025,
    https://arxiv.org/abs/2502.16982, Eq. 4; Keras 3.15 `keras.optimizers.Muon`.
    """

    def __init__(
        self,
        learning_rate=0.001,
        adam_beta_1=0.9,
        adam_beta_2=0.999,
        adam_weight_decay=0.004,
        epsilon=1e-7,
        weight_decay=0.004,
        clipnorm=None,
        clipvalue=None,
        global_clipnorm=None,
        use_ema=False,
        ema_momentum=0.99,
        ema_overwrite_frequency=None,
        loss_scale_factor=None,
        gradient_accumulation_steps=None,
        name=None,
        exclude_layers=None,
        exclude_embeddings=True,
        muon_a=3.4445,
        muon_b=-4.775,
        muon_c=2.0315,
        adam_lr_ratio=1,
        momentum=0.95,
        ns_steps=5,
        nesterov=True,
        rms_rate=0.2,
        **kwargs,
    ):
        super().__init__(**base_arguments(locals()))
        self.adam_beta_1 = adam_beta_1
        self.adam_beta_2 = adam_beta_2
        self.epsilon = epsilon
        self.muon_a = muon_a
        self.muon_b = muon_b
        self.muon_c = muon_c
        self.adam_lr_ratio = adam_lr_ratio
        self.momentum = momentum
        self.ns_steps = ns_steps
        self.nesterov = nesterov
        self.exclude_embeddings = exclude_embeddings
        self.exclude_layers = exclude_layers or []
        self.adam_weight_decay = adam_weight_decay
        self.rms_rate = rms_rate

    def _should_use_adamw(self, variable):
        if len(variable.shape) != 2:
            return True
        if self.exclude_embeddings and "embedding" in variable.path.lower():
            return True
        return any(re.search(pattern, variable.path) for pattern in self.exclude_layers)

    def build(self, var_list):
        if self.built:
            return
        super().build(var_list)
        self.momentums = [None] * len(var_list)
        self.adam_velocities = [None] * len(var_list)
        for index, variable in enumerate(var_list):
            if variable.overwrite_with_gradient:
                continue
            self.momentums[index] = self.add_variable_from_reference(variable, name="momentum")
            if self._should_use_adamw(variable):
                self.adam_velocities[index] = self.add_variable_from_reference(
                    variable, name="velocity"
                )

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        m, v = self.momentums[index], self.adam_velocities[index]
        if v is not None:
            self._adamw_step(gradient, variable, learning_rate * self.adam_lr_ratio, m, v)
            return
        self.assign_add(m, gradient + m * (self.momentum - 1))
        ahead = gradient + self.momentum * m if self.nesterov else m
        update = self.zeropower_via_newtonschulz5(ahead, self.ns_steps)
        self.assign_sub(variable, self.lr_adjust(learning_rate * update))

    def _adamw_step(self, gradient, variable, rate, m, v):
        dtype = variable.dtype
        t = ops.cast(self.iterations + 1, dtype)
        rest_1 = 1 - ops.power(ops.cast(self.adam_beta_1, dtype), t)
        rest_2 = 1 - ops.power(ops.cast(self.adam_beta_2, dtype), t)
        step_size = ops.cast(rate, dtype) * ops.sqrt(rest_2) / rest_1
        self.assign_add(m, (gradient - m) * (1 - self.adam_beta_1))
        self.assign_add(v, (ops.square(gradient) - v) * (1 - self.adam_beta_2))
        self.assign_sub(variable, m * step_size / (ops.sqrt(v) + self.epsilon))

    def transpose_last_axis(self, X):  # noqa: N803 - Keras's name
        """X with its last two axes exchanged."""
        return ops.swapaxes(X, -1, -2)

    def lr_adjust(self, x):
        """`x * sqrt(max(rows, columns)) * rms_rate`: steps as large as Adam's (Liu et al., Eq. 4).

        With `rms_rate=None`, x as it is.
        """
        if self.rms_rate is None:
            return x
        return x * float(max(x.shape)) ** 0.5 * self.rms_rate

    def zeropower_via_newtonschulz5(self, x, steps):
        """The orthogonal matrix nearest to x, roughly: `steps` times `x <- a x + (b A + c A A) x`.

        A is `x x'`, and x starts divided by its Frobenius norm. The polynomial moves singular
        values from (0, 1] to around 1. Matrices are the last two axes.
        Raises: ValueError for an x of less than two axes.
        """
        shape = ops.shape(x)
        if len(shape) < 2:
            raise ValueError(
                "Muon.zeropower_via_newtonschulz5: `x` must have at least two axes. "
                f"Received: x.shape={shape}"
            )
        # The short side first: A is then the smaller product.
        tall = shape[-2] > shape[-1]
        x = self.transpose_last_axis(x) if tall else ops.convert_to_tensor(x)
        x = x / (ops.sqrt(ops.sum(ops.square(x), axis=(-2, -1), keepdims=True)) + 1e-7)
        for _ in range(steps):
            a = ops.matmul(x, self.transpose_last_axis(x))
            polynomial = self.muon_b * a + ops.matmul(self.muon_c * a, a)
            x = self.muon_a * x + ops.matmul(polynomial, x)
        return self.transpose_last_axis(x) if tall else x

    def _decays_differ(self):
        return True

    def _decay_of(self, variable):
        if not self._use_weight_decay(variable):
            return None
        adam = self._should_use_adamw(variable)
        return self.adam_weight_decay if adam else self.weight_decay

    def get_config(self):
        return {
            **super().get_config(),
            "adam_beta_1": self.adam_beta_1,
            "adam_beta_2": self.adam_beta_2,
            "epsilon": self.epsilon,
            "exclude_layers": self.exclude_layers,
            "muon_a": self.muon_a,
            "muon_b": self.muon_b,
            "muon_c": self.muon_c,
            "adam_lr_ratio": self.adam_lr_ratio,
            "momentum": self.momentum,
            "ns_steps": self.ns_steps,
            "nesterov": self.nesterov,
            "exclude_embeddings": self.exclude_embeddings,
            "adam_weight_decay": self.adam_weight_decay,
            "rms_rate": self.rms_rate,
        }
