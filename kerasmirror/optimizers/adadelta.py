"""Adadelta: steps in the unit of the weights, from running means of gradients and steps."""

from __future__ import annotations

from kerasmirror._export import export
from kerasmirror.core.device import kernels_at
from kerasmirror.optimizers.optimizer import Optimizer, base_arguments


@export("optimizers.Adadelta")
class Adadelta(Optimizer):
    """`d = -sqrt(E[d^2] + epsilon) / sqrt(E[g^2] + epsilon) * g`, `w += rate * d`.

    E are running means with factor `rho`; that of g^2 has this step's, that of d^2 not yet.
    Source: Zeiler 2012, https://arxiv.org/abs/1212.5701, Algorithm 1;
    Keras 3.15 `keras.optimizers.Adadelta`.
    """

    def __init__(
        self,
        learning_rate=0.001,
        rho=0.95,
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
        self.rho = rho
        self.epsilon = epsilon

    def build(self, var_list):
        if self.built:
            return
        super().build(var_list)
        self._accumulated_grads, self._accumulated_delta_vars = self.add_optimizer_variables(
            var_list, ["accumulated_grad", "accumulated_delta_var"]
        )

    elementwise = True

    def update_step(self, gradient, variable, learning_rate):
        rule, slots = kernels_at(variable.data).adadelta_update, self.slots_of(variable)[:2]
        rate = float(learning_rate)
        self.run_rule(rule, variable, gradient, slots, rate, self.rho, self.epsilon)

    def get_config(self):
        return {**super().get_config(), "rho": self.rho, "epsilon": self.epsilon}
