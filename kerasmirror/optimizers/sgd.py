"""SGD: gradient descent, with momentum and Nesterov's variant."""

from __future__ import annotations

from kerasmirror._export import export
from kerasmirror.core.device import kernels_at
from kerasmirror.optimizers.optimizer import Optimizer, base_arguments


@export("optimizers.SGD")
class SGD(Optimizer):
    """`w -= rate * g`; with momentum mu, `m = mu * m - rate * g` and `w += m`.

    With `nesterov`, `w += mu * m - rate * g` (m the new one).
    Args: momentum is a float in [0, 1]. Raises: ValueError for another one.
    Source: Sutskever et al. 2013, https://proceedings.mlr.press/v28/sutskever13.html, Eqs. 1-4,
    Nesterov's in the variables after the look-ahead; Keras 3.15 `keras.optimizers.SGD`.
    """

    def __init__(
        self,
        learning_rate=0.01,
        momentum=0.0,
        nesterov=False,
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
        if not isinstance(momentum, float) or not 0 <= momentum <= 1:
            raise ValueError(
                f"SGD: `momentum` must be a float between [0, 1]. Received: momentum={momentum!r}"
            )
        self.momentum = momentum
        self.nesterov = nesterov

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.momentums = []
        if self.momentum != 0:
            self.momentums = self.add_optimizer_variables(variables, "momentum")

    elementwise = True

    def update_step(self, gradient, variable, learning_rate):
        k, rate = kernels_at(variable.data), float(learning_rate)
        if self.momentum == 0:
            self.run_rule(k.sgd_update, variable, gradient, (), rate)
            return
        slots = self.slots_of(variable)[:1]
        self.run_rule(
            k.momentum_update, variable, gradient, slots, rate, self.momentum, self.nesterov
        )

    def get_config(self):
        return {
            **super().get_config(),
            "momentum": self.momentum,
            "nesterov": self.nesterov,
        }
