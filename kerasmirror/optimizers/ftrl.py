"""FTRL-proximal: follow the regularized leader, with weights that become exactly zero."""

from __future__ import annotations

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.optimizers.optimizer import Optimizer, base_arguments, constant


@export("optimizers.Ftrl")
class Ftrl(Optimizer):
    """Minimizes all past linearized losses plus L1 and L2 terms, weight by weight.

    With p = -learning_rate_power, n' = n + g^2 and g_s = g + 2 * shrinkage * w:
    `z += g_s - (n'^p - n^p) / rate * w`,
    `w = (clip(z, -l1, l1) - z) / (n'^p / rate + 2 * l2 + beta / rate)`.
    Raises: ValueError for negative strengths or accumulators, or a positive learning_rate_power.
    Source: McMahan et al. 2013, https://doi.org/10.1145/2487575.2488200, Algorithm 1;
    Keras 3.15 `keras.optimizers.Ftrl`.
    """

    def __init__(
        self,
        learning_rate=0.001,
        learning_rate_power=-0.5,
        initial_accumulator_value=0.1,
        l1_regularization_strength=0.0,
        l2_regularization_strength=0.0,
        l2_shrinkage_regularization_strength=0.0,
        beta=0.0,
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
        if learning_rate_power > 0:
            raise ValueError(
                "`learning_rate_power` needs to be negative or zero. "
                f"Received: learning_rate_power={learning_rate_power}."
            )
        for name, value in (
            ("initial_accumulator_value", initial_accumulator_value),
            ("l1_regularization_strength", l1_regularization_strength),
            ("l2_regularization_strength", l2_regularization_strength),
            ("l2_shrinkage_regularization_strength", l2_shrinkage_regularization_strength),
        ):
            if value < 0:
                raise ValueError(
                    f"`{name}` needs to be positive or zero. Received: {name}={value}."
                )
        self.learning_rate_power = learning_rate_power
        self.initial_accumulator_value = initial_accumulator_value
        self.l1_regularization_strength = l1_regularization_strength
        self.l2_regularization_strength = l2_regularization_strength
        self.l2_shrinkage_regularization_strength = l2_shrinkage_regularization_strength
        self.beta = beta

    def build(self, var_list):
        if self.built:
            return
        super().build(var_list)
        self._accumulators, self._linears = self.add_optimizer_variables(
            var_list,
            ["accumulator", "linear"],
            initializer=[constant(self.initial_accumulator_value), "zeros"],
        )

    elementwise = True

    def update_step(self, gradient, variable, learning_rate):
        rate, power = float(learning_rate), -self.learning_rate_power
        accumulator, linear = self.slots_of(variable)[:2]
        shrunk = gradient + 2 * self.l2_shrinkage_regularization_strength * variable
        grown = accumulator + ops.square(gradient)
        grown_power = ops.power(grown, power)
        sigma = (grown_power - ops.power(accumulator, power)) / rate
        self.assign_add(linear, shrunk - sigma * variable)
        curvature = grown_power / rate + 2 * self.l2_regularization_strength + self.beta / rate
        bound = self.l1_regularization_strength
        self.assign(variable, (ops.clip(linear, -bound, bound) - linear) / curvature)
        self.assign(accumulator, grown)

    def get_config(self):
        return {
            **super().get_config(),
            "learning_rate_power": self.learning_rate_power,
            "initial_accumulator_value": self.initial_accumulator_value,
            "l1_regularization_strength": self.l1_regularization_strength,
            "l2_regularization_strength": self.l2_regularization_strength,
            "l2_shrinkage_regularization_strength": self.l2_shrinkage_regularization_strength,
            "beta": self.beta,
        }
