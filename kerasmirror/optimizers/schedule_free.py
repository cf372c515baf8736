"""Schedule-free AdamW: an average of all weights in the place of a falling learning rate."""

from __future__ import annotations

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.optimizers.optimizer import Optimizer, base_arguments


@export("optimizers.ScheduleFreeAdamW")
class ScheduleFreeAdamW(Optimizer):
    """Adam's step moves z; x is the mean of all z; gradients are taken at `y = (1-b1) z + b1 x`.

    The variables hold y, "momentum" holds z, and x is computed back from both: from y and the new
    z, as Keras 3.15 does on TensorFlow (on JAX it takes the old z, as the paper does).
    Args: warmup_steps is over how many steps the rate rises to `learning_rate`.
    Source: Defazio et al. 2024, https://arxiv.org/abs/2405.15682, Algorithm 1;
    Keras 3.15 `keras.optimizers.ScheduleFreeAdamW`.
    """

    def __init__(
        self,
        learning_rate=0.0025,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        warmup_steps=0,
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
        self.warmup_steps = warmup_steps

    def build(self, var_list):
        if self.built:
            return
        super().build(var_list)
        self._momentums, self._velocities = self.add_optimizer_variables(
            var_list, ["momentum", "velocity"]
        )
        for momentum, variable in zip(self._momentums, var_list, strict=True):
            if momentum is not None:
                momentum.assign(variable)

    elementwise = True

    def update_step(self, gradient, variable, learning_rate):
        dtype = variable.dtype
        t = ops.cast(self.iterations + 1, dtype)
        beta_1, beta_2 = ops.cast(self.beta_1, dtype), ops.cast(self.beta_2, dtype)
        rate = ops.cast(learning_rate, dtype)
        if self.warmup_steps > 0:
            rate = rate * ops.minimum(t / ops.cast(self.warmup_steps, dtype), 1.0)
        z, v = self.slots_of(variable)[:2]
        self.assign_add(v, (ops.square(gradient) - v) * (1 - beta_2))
        root = ops.sqrt(v / (1 - ops.power(beta_2, t))) + ops.cast(self.epsilon, dtype)
        self.assign_sub(z, rate * gradient / root)
        share = 1.0 / t
        x = (variable - (1 - beta_1) * z) / beta_1
        x = (1 - share) * x + share * z
        self.assign(variable, (1 - beta_1) * z + beta_1 * x)

    def get_config(self):
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "warmup_steps": self.warmup_steps,
        }
