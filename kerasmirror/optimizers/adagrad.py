"""Adagrad: a step size for each weight, from the sum of its squared gradients."""

from __future__ import annotations

from kerasmirror._export import export
from kerasmirror.core.device import kernels_at
from kerasmirror.optimizers.optimizer import Optimizer, base_arguments, constant


@export("optimizers.Adagrad")
class Adagrad(Optimizer):
    """`a += g^2`, `w -= rate * g / sqrt(a + epsilon)`; a starts at `initial_accumulator_value`.

    Source: Duchi et al. 2011, https://jmlr.org/papers/v12/duchi11a.html, Fig. 1 (diagonal);
    Keras 3.15 `keras.optimizers.Adagrad`.
    """

    def __init__(
        self,
        learning_rate=0.001,
        initial_accumulator_value=0.1,
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
        self.initial_accumulator_value = initial_accumulator_value
        self.epsilon = epsilon

    def build(self, var_list):
        if self.built:
            return
        super().build(var_list)
        self._accumulators = self.add_optimizer_variables(
            var_list, "accumulator", initializer=constant(self.initial_accumulator_value)
        )

    elementwise = True

    def update_step(self, gradient, variable, learning_rate):
        rule, slots = kernels_at(variable.data).adagrad_update, self.slots_of(variable)[:1]
        self.run_rule(rule, variable, gradient, slots, float(learning_rate), self.epsilon)

    def get_config(self):
        return {
            **super().get_config(),
            "initial_accumulator_value": self.initial_accumulator_value,
            "epsilon": self.epsilon,
        }
