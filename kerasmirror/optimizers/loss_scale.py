"""LossScaleOptimizer: the loss times a factor that follows the range of half precision."""

from __future__ import annotations

import numpy as np

from kerasmirror._export import export
from kerasmirror.core import serialization
from kerasmirror.core.device import CPU, device
from kerasmirror.core.scopes import name_scope
from kerasmirror.core.tensor import Tensor
from kerasmirror.core.tracking import untracked
from kerasmirror.optimizers.optimizer import Optimizer, _raw, constant

_UNSUPPORTED = {
    "weight_decay": None,
    "clipnorm": None,
    "global_clipnorm": None,
    "clipvalue": None,
    "use_ema": False,
    "ema_momentum": 0.99,
    "ema_overwrite_frequency": None,
    "loss_scale_factor": None,
    "gradient_accumulation_steps": None,
}


@export("optimizers.LossScaleOptimizer", "mixed_precision.LossScaleOptimizer")
class LossScaleOptimizer(Optimizer):
    """Runs `inner_optimizer` on gradients of a scaled loss, divided by the scale again.

    The scale starts at `initial_scale`. A step with an infinite or NaN gradient is left out and
    halves it; `dynamic_growth_steps` good steps in a row double it.
    Raises: ValueError for options that belong to the inner optimizer.
    Source: Micikevicius et al. 2018, https://arxiv.org/abs/1710.03740, Section 3.2;
    Keras 3.15 `keras.optimizers.LossScaleOptimizer`.
    """

    @untracked
    def __init__(
        self, inner_optimizer, initial_scale=2.0**15, dynamic_growth_steps=2000, name=None, **kwargs
    ):
        if not kwargs.pop("dynamic", True):
            raise ValueError(
                "LossScaleOptimizer: `dynamic` must be True. For a fixed scale, set "
                "`loss_scale_factor` of the inner optimizer. Received: dynamic=False"
            )
        unknown = [option for option in kwargs if option not in _UNSUPPORTED]
        if unknown:
            raise ValueError(
                "LossScaleOptimizer does not support arguments: "
                f"{', '.join(f'`{option}`' for option in unknown)}."
            )
        for option, value in kwargs.items():
            if value != _UNSUPPORTED[option]:
                raise ValueError(
                    f"LossScaleOptimizer: `{option}` must be set on the `inner_optimizer`. "
                    f"Received: {option}={value!r}"
                )
        super().__init__(learning_rate=0.0, name=name)
        self.inner_optimizer = inner_optimizer
        self.initial_scale = initial_scale
        self.dynamic_growth_steps = dynamic_growth_steps
        self.inner_optimizer.loss_scale_factor = None

    @untracked
    def build(self, var_list):
        with device(CPU):  # the host reads both at every step
            self.step_counter = self.add_variable((), constant(0), "int64", name="step_counter")
            self.dynamic_scale = self.add_variable(
                (), constant(self.initial_scale), "float32", name="dynamic_scale"
            )
        self.inner_optimizer.build(var_list)
        super().build(var_list)

    @property
    def variables(self):
        return self._variables + self.inner_optimizer.variables

    def apply(self, grads, trainable_variables=None):
        if not self.built:
            with name_scope(self.name, caller=self):
                self.build(trainable_variables)
            self.built = True
        arrays = [None if g is None else _array(g) for g in grads]
        if not self.check_finite(arrays):
            self.step_counter.assign(0)
            self.dynamic_scale.assign(self.dynamic_scale.data * np.float32(0.5))
            return
        scale = self.dynamic_scale.data
        variables = trainable_variables or self._trainable_variables
        unscaled = [
            g if g is None or v.overwrite_with_gradient else Tensor(g / scale.astype(g.dtype))
            for g, v in zip(arrays, variables, strict=True)
        ]
        self.inner_optimizer.apply(unscaled, trainable_variables=trainable_variables)
        if int(self.step_counter) == self.dynamic_growth_steps - 1:
            self.step_counter.assign(0)
            self.dynamic_scale.assign(scale * np.float32(2))
        else:
            self.step_counter.assign_add(1)

    def check_finite(self, grads):
        """Whether all numbers in the gradients (None for none) are finite, as a tensor."""
        arrays = [_array(g) for g in grads if g is not None]
        # Of all of them before one is read: a GPU has no pauses between them.
        finite = [np.isfinite(array).all() for array in arrays]
        return Tensor(np.asarray(all(finite)))

    @property
    def learning_rate(self):
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate):
        self.inner_optimizer.learning_rate = learning_rate

    @property
    def iterations(self):
        return self.inner_optimizer.iterations

    def scale_loss(self, loss):
        """The loss times the present scale, to be differentiated in its place."""
        return loss * (float(self.dynamic_scale) if self.built else self.initial_scale)

    def finalize_variable_values(self, var_list):
        self.inner_optimizer.finalize_variable_values(var_list)

    def get_config(self):
        return {
            "name": self.name,
            "inner_optimizer": serialization.serialize_keras_object(self.inner_optimizer),
            "initial_scale": self.initial_scale,
            "dynamic_growth_steps": self.dynamic_growth_steps,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        inner = serialization.deserialize_keras_object(
            config.pop("inner_optimizer"), custom_objects=custom_objects
        )
        return cls(inner, **config)


def _array(gradient):
    return gradient if type(gradient) is np.ndarray else _raw(gradient)
