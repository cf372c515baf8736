"""RMSprop: gradients divided by their running root mean square."""

from __future__ import annotations

from kerasmirror._export import export
from kerasmirror.core.device import kernels_at
from kerasmirror.optimizers.optimizer import Optimizer, base_arguments


@export("optimizers.RMSprop")
class RMSprop(Optimizer):
    """`v = rho * v + (1 - rho) * g^2`, `w -= rate * g / sqrt(v + epsilon)`.

    With `momentum`, `m = momentum * m + rate * g / sqrt(...)` and `w -= m`. With `centered`, the
    square of the mean gradient is taken off v.
    Source: Hinton, https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf,
    slide 29; centered: Graves 2013, https://arxiv.org/abs/1308.0850, Eqs. 38-41;
    Keras 3.15 `keras.optimizers.RMSprop`.
    """

    def __init__(
        self,
        learning_rate=0.001,
        rho=0.9,
        momentum=0.0,
        epsilon=1e-07,
        centered=False,
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
        self.momentum = momentum
        self.epsilon = epsilon
        self.centered = centered

    def build(self, var_list):
        if self.built:
            return
        super().build(var_list)
        self._velocities = self.add_optimizer_variables(var_list, "velocity")
        self._momentums, self._average_gradients = [], []
        if self.momentum > 0:
            self._momentums = self.add_optimizer_variables(var_list, "momentum")
        if self.centered:
            self._average_gradients = self.add_optimizer_variables(var_list, "average_gradient")

    elementwise = True

    def update_step(self, gradient, variable, learning_rate):
        k, rate = kernels_at(variable.data), float(learning_rate)
        moving = self.momentum > 0
        slots = self.slots_of(variable)[: 1 + moving + bool(self.centered)]
        if moving:
            centered, plain = k.centered_rmsprop_momentum_update, k.rmsprop_momentum_update
            options = (rate, self.rho, self.momentum, self.epsilon)
        else:
            centered, plain = k.centered_rmsprop_update, k.rmsprop_update
            options = (rate, self.rho, self.epsilon)
        self.run_rule(centered if self.centered else plain, variable, gradient, slots, *options)

    def get_config(self):
        return {
            **super().get_config(),
            "rho": self.rho,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "centered": self.centered,
        }
