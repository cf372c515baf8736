"""Learning-rate schedules: functions of the step, computed in float32 as Keras computes them."""

from __future__ import annotations

import math

import numpy as np

from kerasmirror._export import export
from kerasmirror.core import checks, config, serialization
from kerasmirror.core.tensor import Tensor
from kerasmirror.core.variable import Variable


@export("optimizers.schedules.LearningRateSchedule")
class LearningRateSchedule:
    """Base class of schedules: a subclass writes `__call__(step)` and `get_config()`.

    Source: Keras 3.15 `keras.optimizers.schedules.LearningRateSchedule`.
    """

    def __call__(self, step):
        raise NotImplementedError(f"{type(self).__name__} has no `__call__(self, step)` method.")

    def get_config(self):
        raise NotImplementedError(
            f"{type(self).__name__} has no `get_config()` method, so it cannot be saved."
        )

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def _float(value):
    """`value` (a number, a step, a tensor) in `floatx()`; all arithmetic below stays in it."""
    if isinstance(value, (Tensor, Variable)):
        value = value.data
    array = np.asarray(value, config.floatx())
    return array[()]


def _positive(owner, name, value):
    if value <= 0:
        checks.fail(owner, name, "more than 0", value)
    return value


@export("optimizers.schedules.ExponentialDecay")
class ExponentialDecay(LearningRateSchedule):
    """`initial_learning_rate * decay_rate ** (step / decay_steps)`.

    With `staircase` the exponent is rounded down. Raises: ValueError unless decay_steps > 0.
    Source: Keras 3.15 `keras.optimizers.schedules.ExponentialDecay`.
    """

    def __init__(
        self,
        initial_learning_rate,
        decay_steps,
        decay_rate,
        staircase=False,
        name="ExponentialDecay",
    ):
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive("ExponentialDecay", "decay_steps", decay_steps)
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def __call__(self, step):
        periods = _float(step) / _float(self.decay_steps)
        if self.staircase:
            periods = np.floor(periods)
        rate = _float(self.initial_learning_rate) * np.power(_float(self.decay_rate), periods)
        return Tensor(np.asarray(rate))

    def get_config(self):
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "decay_rate": self.decay_rate,
            "staircase": self.staircase,
            "name": self.name,
        }


@export("optimizers.schedules.PiecewiseConstantDecay")
class PiecewiseConstantDecay(LearningRateSchedule):
    """`values[i]` for the first boundary with `step <= boundaries[i]`, else the last value.

    Raises: ValueError unless there is one value more than boundaries.
    Source: Keras 3.15 `keras.optimizers.schedules.PiecewiseConstantDecay`.
    """

    def __init__(self, boundaries, values, name="PiecewiseConstant"):
        if len(boundaries) != len(values) - 1:
            raise ValueError(
                "PiecewiseConstantDecay: `values` must hold one entry more than `boundaries`. "
                f"Received: boundaries={boundaries} ({len(boundaries)} entries), "
                f"values={values} ({len(values)} entries)"
            )
        self.boundaries = boundaries
        self.values = values
        self.name = name

    def __call__(self, step):
        step = np.asarray(step.data if isinstance(step, (Tensor, Variable)) else step)
        boundaries = np.asarray(self.boundaries).astype(step.dtype)
        values = np.asarray(self.values)
        if values.dtype == np.float64:
            values = values.astype(config.floatx())
        return Tensor(np.asarray(values[np.searchsorted(boundaries, step, side="left")]))

    def get_config(self):
        return {"boundaries": self.boundaries, "values": self.values, "name": self.name}


@export("optimizers.schedules.PolynomialDecay")
class PolynomialDecay(LearningRateSchedule):
    """`(initial - end) * (1 - step / decay_steps) ** power + end`, constant after `decay_steps`.

    With `cycle`, decay_steps grows to the next multiple that the step has not passed.
    Raises: ValueError unless decay_steps > 0.
    Source: Keras 3.15 `keras.optimizers.schedules.PolynomialDecay`.
    """

    def __init__(
        self,
        initial_learning_rate,
        decay_steps,
        end_learning_rate=0.0001,
        power=1.0,
        cycle=False,
        name="PolynomialDecay",
    ):
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive("PolynomialDecay", "decay_steps", decay_steps)
        self.end_learning_rate = end_learning_rate
        self.power = power
        self.cycle = cycle
        self.name = name

    def __call__(self, step):
        step, steps = _float(step), _float(self.decay_steps)
        start, end = _float(self.initial_learning_rate), _float(self.end_learning_rate)
        if self.cycle:
            steps = steps * np.where(step == 0, _float(1), np.ceil(step / steps))
        else:
            step = np.minimum(step, steps)
        rate = (start - end) * np.power(_float(1) - step / steps, _float(self.power)) + end
        return Tensor(np.asarray(rate))

    def get_config(self):
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "end_learning_rate": self.end_learning_rate,
            "power": self.power,
            "cycle": self.cycle,
            "name": self.name,
        }


@export("optimizers.schedules.InverseTimeDecay")
class InverseTimeDecay(LearningRateSchedule):
    """`initial_learning_rate / (1 + decay_rate * step / decay_steps)`.

    With `staircase` the quotient is rounded down. Raises: ValueError unless decay_steps > 0.
    Source: Keras 3.15 `keras.optimizers.schedules.InverseTimeDecay`.
    """

    def __init__(
        self,
        initial_learning_rate,
        decay_steps,
        decay_rate,
        staircase=False,
        name="InverseTimeDecay",
    ):
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive("InverseTimeDecay", "decay_steps", decay_steps)
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def __call__(self, step):
        periods = _float(step) / _float(self.decay_steps)
        if self.staircase:
            periods = np.floor(periods)
        denominator = _float(1) + _float(self.decay_rate) * periods
        return Tensor(np.asarray(_float(self.initial_learning_rate) / denominator))

    def get_config(self):
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "decay_rate": self.decay_rate,
            "staircase": self.staircase,
            "name": self.name,
        }


@export("optimizers.schedules.CosineDecay")
class CosineDecay(LearningRateSchedule):
    """Half a cosine from the initial rate to `alpha` times it, over `decay_steps`.

    With `warmup_target`, the rate first goes straight to it in `warmup_steps` and decays from
    there. Raises: ValueError unless decay_steps > 0.
    Source: Loshchilov and Hutter 2017, https://arxiv.org/abs/1608.03983, Eq. 5 without restarts;
    Keras 3.15 `keras.optimizers.schedules.CosineDecay`.
    """

    def __init__(
        self,
        initial_learning_rate,
        decay_steps,
        alpha=0.0,
        name="CosineDecay",
        warmup_target=None,
        warmup_steps=0,
    ):
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = _positive("CosineDecay", "decay_steps", decay_steps)
        self.alpha = alpha
        self.name = name
        self.warmup_steps = warmup_steps
        self.warmup_target = warmup_target

    def __call__(self, step):
        step, steps = _float(step), _float(self.decay_steps)
        start = _float(self.initial_learning_rate)
        if self.warmup_target is None:
            return Tensor(np.asarray(self._decayed(np.minimum(step, steps), steps, start)))
        target, warmup = _float(self.warmup_target), _float(self.warmup_steps)
        step = np.minimum(step, steps + warmup)
        with np.errstate(divide="ignore", invalid="ignore"):  # no warmup steps: not chosen below
            rising = (target - start) * (step / warmup) + start
        falling = self._decayed(step - warmup, steps, target)
        return Tensor(np.asarray(np.where(step < warmup, rising, falling)))

    def _decayed(self, step, steps, start):
        cosine = _float(0.5) * (_float(1) + np.cos(_float(math.pi) * (step / steps)))
        return start * (_float(1 - self.alpha) * cosine + _float(self.alpha))

    def get_config(self):
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "decay_steps": self.decay_steps,
            "alpha": self.alpha,
            "name": self.name,
            "warmup_target": self.warmup_target,
            "warmup_steps": self.warmup_steps,
        }


@export("optimizers.schedules.CosineDecayRestarts")
class CosineDecayRestarts(LearningRateSchedule):
    """Cosine decay that starts again: period i lasts `t_mul ** i * first_decay_steps` steps.

    Each start is `m_mul` times the one before; `alpha` is the least rate as a fraction.
    Raises: ValueError unless first_decay_steps > 0.
    Source: Loshchilov and Hutter 2017, https://arxiv.org/abs/1608.03983, Eq. 5;
    Keras 3.15 `keras.optimizers.schedules.CosineDecayRestarts`.
    """

    def __init__(
        self,
        initial_learning_rate,
        first_decay_steps,
        t_mul=2.0,
        m_mul=1.0,
        alpha=0.0,
        name="SGDRDecay",
    ):
        self.initial_learning_rate = initial_learning_rate
        self.first_decay_steps = _positive(
            "CosineDecayRestarts", "first_decay_steps", first_decay_steps
        )
        self._t_mul = t_mul
        self._m_mul = m_mul
        self.alpha = alpha
        self.name = name

    def __call__(self, step):
        one, growth = _float(1), _float(self._t_mul)
        done = _float(step) / _float(self.first_decay_steps)
        if growth == 1:
            restart = np.floor(done)
            done = done - restart
        else:
            # 1 + t + ... + t^(i-1) = (1 - t^i) / (1 - t) periods lie before restart i.
            restart = np.floor(np.log(one - done * (one - growth)) / np.log(growth))
            before = (one - np.power(growth, restart)) / (one - growth)
            done = (done - before) / np.power(growth, restart)
        height = np.power(_float(self._m_mul), restart)
        cosine = _float(0.5) * height * (one + np.cos(_float(math.pi) * done))
        alpha = _float(self.alpha)
        rate = _float(self.initial_learning_rate) * ((one - alpha) * cosine + alpha)
        return Tensor(np.asarray(rate))

    def get_config(self):
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "first_decay_steps": self.first_decay_steps,
            "t_mul": self._t_mul,
            "m_mul": self._m_mul,
            "alpha": self.alpha,
            "name": self.name,
        }


@export("optimizers.schedules.serialize")
def serialize(learning_rate_schedule):
    """The schedule's config, as Keras writes it."""
    return serialization.serialize_keras_object(learning_rate_schedule)


@export("optimizers.schedules.deserialize")
def deserialize(config, custom_objects=None):
    """The schedule of a config."""
    return serialization.resolve(
        config, "optimizers.schedules", "schedule", custom_objects=custom_objects
    )
