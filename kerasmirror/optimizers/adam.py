"""Adam and its relatives: AdamW, Adamax, Nadam."""

from __future__ import annotations

import numpy as np

from kerasmirror._export import export
from kerasmirror.core.device import kernels_at
from kerasmirror.core.variable import Variable
from kerasmirror.optimizers.optimizer import Optimizer, base_arguments, power


@export("optimizers.Adam")
class Adam(Optimizer):
    """`m += (1 - b1)(g - m)`, `v += (1 - b2)(g^2 - v)`, `w -= a * m / (sqrt(v) + epsilon)`.

    The bias correction is in the step size: `a = rate * sqrt(1 - b2^t) / (1 - b1^t)`, so `epsilon`
    is the paper's "epsilon hat" (line above its Section 2.1). With `amsgrad`, the largest v so far
    stands in the place of v.
    Source: Kingma and Ba 2015, https://arxiv.org/abs/1412.6980; Reddi et al. 2018,
    https://openreview.net/forum?id=ryQu7f-RZ; Keras 3.15 `keras.optimizers.Adam`.
    """

    def __init__(
        self,
        learning_rate=0.001,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-07,
        amsgrad=False,
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
        self.amsgrad = amsgrad

    def build(self, var_list):
        if self.built:
            return
        super().build(var_list)
        self._momentums, self._velocities = self.add_optimizer_variables(
            var_list, ["momentum", "velocity"]
        )
        if self.amsgrad:
            self._velocity_hats = self.add_optimizer_variables(var_list, "velocity_hat")

    elementwise = True

    def update_step(self, gradient, variable, learning_rate):
        # In the variable's dtype, as Keras computes it: float32 rounds 1 - beta_2^t visibly.
        real = np.float64 if variable.dtype == "float64" else np.float32
        one, t = real(1), self.steps_done() + 1
        step_size = real(learning_rate) * np.sqrt(one - power(self.beta_2, t, real))
        step_size = float(step_size / (one - power(self.beta_1, t, real)))
        k = kernels_at(variable.data)
        rule = k.amsgrad_update if self.amsgrad else k.adam_update
        slots = self.slots_of(variable)[: 3 if self.amsgrad else 2]
        self.run_rule(
            rule, variable, gradient, slots, step_size, self.beta_1, self.beta_2, self.epsilon
        )

    def get_config(self):
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "amsgrad": self.amsgrad,
        }


@export("optimizers.AdamW")
class AdamW(Adam):
    """Adam with weight decay apart from the gradient: first `w -= rate * weight_decay * w`.

    Raises: ValueError for weight_decay=None.
    Source: Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101, Algorithm 2;
    Keras 3.15 `keras.optimizers.AdamW`.
    """

    def __init__(
        self,
        learning_rate=0.001,
        weight_decay=0.004,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-07,
        amsgrad=False,
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
        super().__init__(
            beta_1=beta_1,
            beta_2=beta_2,
            epsilon=epsilon,
            amsgrad=amsgrad,
            **base_arguments(locals()),
        )
        if self.weight_decay is None:
            raise ValueError(
                f"Argument `weight_decay` must be a float. Received: weight_decay={weight_decay!r}"
            )


@export("optimizers.Adamax")
class Adamax(Optimizer):
    """`m += (1 - b1)(g - m)`, `u = max(b2 * u, |g|)`, `w -= rate / (1 - b1^t) * m / (u + epsilon)`.

    Source: Kingma and Ba 2015, https://arxiv.org/abs/1412.6980, Algorithm 2;
    Keras 3.15 `keras.optimizers.Adamax`.
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
        self._m, self._u = self.add_optimizer_variables(var_list, ["momentum", "norm"])

    elementwise = True

    def update_step(self, gradient, variable, learning_rate):
        real = np.float64 if variable.dtype == "float64" else np.float32
        correction = real(1) - power(self.beta_1, self.steps_done() + 1, real)
        step_size = float(real(learning_rate) / correction)
        rule = kernels_at(variable.data).adamax_update
        slots = self.slots_of(variable)[:2]
        self.run_rule(
            rule, variable, gradient, slots, step_size, self.beta_1, self.beta_2, self.epsilon
        )

    def get_config(self):
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }


@export("optimizers.Nadam")
class Nadam(Optimizer):
    """Adam with Nesterov's look-ahead: the step is taken along next step's share of m and along g.

    With `u_t = b1 * (1 - 0.96^t / 2)` and U_t the product of u_1 ... u_t,
    `w -= rate * (u_{t+1} * m / (1 - U_{t+1}) + (1 - u_t) * g / (1 - U_t))
    / (sqrt(v / (1 - b2^t)) + epsilon)`.
    Source: Dozat 2016, https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ, Algorithm 2;
    Keras 3.15 `keras.optimizers.Nadam`.
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
        dtype = var_list[0].dtype if var_list else None
        self._u_product = Variable(1.0, dtype=dtype)

    def before_update(self):
        real = self._u_product.data.dtype.type
        decay = np.power(real(0.96), real(self.steps_done() + 1))
        share = real(1) - real(0.5) * decay
        self._u_product.assign(self._u_product.data * real(self.beta_1) * share)

    def _share(self, step, real):
        """The momentum u_t of a step."""
        return power(self.beta_1, 1, real) * (real(1) - real(0.5) * power(0.96, step, real))

    elementwise = True

    def update_step(self, gradient, variable, learning_rate):
        real = np.float64 if variable.dtype == "float64" else np.float32
        one, t = real(1), self.steps_done() + 1
        here, ahead = self._share(t, real), self._share(t + 1, real)
        product = real(self._u_product.data.item())
        self.run_rule(
            kernels_at(variable.data).nadam_update,
            variable,
            gradient,
            self.slots_of(variable)[:2],
            float(learning_rate),
            float(ahead / (one - product * ahead)),
            float((one - here) / (one - product)),
            float(one - power(self.beta_2, t, real)),
            # Keras rounds the betas before it takes them off 1, here only.
            float(power(self.beta_1, 1, real)),
            float(power(self.beta_2, 1, real)),
            self.epsilon,
        )

    def get_config(self):
        return {
            **super().get_config(),
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
        }
