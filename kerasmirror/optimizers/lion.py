"""Lion: the sign of an interpolated momentum."""

from __future__ import annotations

from kerasmirror._export import export
from kerasmirror.core.device import kernels_at
from kerasmirror.optimizers.optimizer import Optimizer, base_arguments


@export("optimizers.Lion")
class Lion(Optimizer):
    """`w -= rate * sign(b1 * m + (1 - b1) * g)`, then `m = b2 * m + (1 - b2) * g`.

    Raises: ValueError unless 0 < beta_1 <= 1: at 0, Lion is the sign of the gradient alone.
    Source: Chen et al. 2023, https://arxiv.org/abs/2302.06675, Algorithm 2;
    Keras 3.15 `keras.optimizers.Lion`.
    """

    def __init__(
        self,
        learning_rate=0.001,
        beta_1=0.9,
        beta_2=0.99,
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
        if not 0 < beta_1 <= 1:
            raise ValueError(
                "Argument `beta_1` must be in the [0, 1] range. Otherwise, the optimizer "
                f"degenerates to SignSGD. Received: beta_1={beta_1}."
            )
        self.beta_1 = beta_1
        self.beta_2 = beta_2

    def build(self, var_list):
        if self.built:
            return
        super().build(var_list)
        self._momentums = self.add_optimizer_variables(var_list, "momentum")

    elementwise = True

    def update_step(self, gradient, variable, learning_rate):
        rule, slots = kernels_at(variable.data).lion_update, self.slots_of(variable)[:1]
        rate = float(learning_rate)
        self.run_rule(rule, variable, gradient, slots, rate, self.beta_1, self.beta_2)

    def get_config(self):
        return {**super().get_config(), "beta_1": self.beta_1, "beta_2": self.beta_2}
