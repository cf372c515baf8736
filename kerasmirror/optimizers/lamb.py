"""Lamb: Adam's step, scaled for each variable by the norm of its weights."""

from __future__ import annotations

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.optimizers.optimizer import Optimizer, base_arguments


@export("optimizers.Lamb")
class Lamb(Optimizer):
    """`w -= rate * |w| / |r| * r`, r Adam's bias-corrected step; the ratio is 1 where a norm is 0.

    Source: You et al. 2020, https://arxiv.org/abs/1904.00962, Algorithm 2;
    Keras 3.15 `keras.optimizers.Lamb`.
    """

    def __init__(
        self,
        learning_rate=0.001,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-07,
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
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def build(self, var_list):
        if self.built:
            return
        super().build(var_list)
        self._momentums, self._velocities = self.add_optimizer_variables(
            var_list, ["momentum", "velocity"]
        )

    def update_step(self, gradient, variable, learning_rate):
        t = ops.cast(self.iterations + 1, variable.dtype)
        m, v = self.slots_of(variable)[:2]
        self.assign_add(m, (gradient - m) * (1 - self.beta_1))
        self.assign_add(v, (ops.square(gradient) - v) * (1 - self.beta_2))
        m_hat = m / (1.0 - ops.power(ops.cast(self.beta_1, variable.dtype), t))
        v_hat = v / (1.0 - ops.power(ops.cast(self.beta_2, variable.dtype), t))
        step = m_hat / (ops.sqrt(v_hat) + self.epsilon)
        weights, length = ops.sqrt(ops.sum(variable * variable)), ops.sqrt(ops.sum(step * step))
        ratio = weights / length if weights.item() > 0 and length.item() > 0 else 1.0
        self.assign_sub(variable, learning_rate * ratio * step)

    def get_config(self):
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }
