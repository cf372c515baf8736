"""Metric: state that is updated batch by batch, and a result computed from it."""

from __future__ import annotations

import numpy as np

from kerasmirror._export import export
from kerasmirror.core import config, dtype_policy, dtypes
from kerasmirror.core.names import auto_name
from kerasmirror.core.scopes import name_scope
from kerasmirror.core.stateless import StatelessScope
from kerasmirror.core.tracking import Tracker, TracksItself
from kerasmirror.core.variable import Variable, is_variable


@export("metrics.Metric", "Metric")
class Metric(TracksItself):
    """Base class of metrics: create variables in `__init__`, write `update_state` and `result`.

    Calling a metric updates it and gives the result so far. Variables and metrics assigned as
    attributes are tracked; `reset_state` sets all variables to zero.
    Source: Keras 3.15 `keras.metrics.Metric`.
    """

    def __init__(self, dtype=None, name=None):
        self.name = name or auto_name(type(self).__name__)
        self._dtype_policy = dtype_policy.get(dtype or config.floatx())
        self._dtype = self._dtype_policy.compute_dtype
        self._metrics = []
        self._variables = []
        self._tracker = self._new_tracker()

    def _new_tracker(self):
        return Tracker(
            {
                "variables": (is_variable, self._variables),
                "metrics": (_is_metric, self._metrics),
            }
        )

    @property
    def dtype(self):
        return self._dtype

    @property
    def variables(self):
        variables = list(self._variables)
        for metric in self._metrics:
            variables.extend(metric.variables)
        return variables

    def add_variable(self, shape, initializer, dtype=None, aggregation="sum", name=None):
        """A new variable of the metric; None as initializer gives zeros."""
        self._check_super_called()
        with name_scope(self.name.replace("/", ">"), caller=self):
            variable = Variable(
                zeros if initializer in (None, "zeros") else initializer,
                shape=shape,
                dtype=dtype,
                trainable=False,
                aggregation=aggregation,
                synchronization="on_read",
                name=name,
            )
        self._tracker.track(variable)
        return variable

    def add_weight(self, shape=(), initializer=None, dtype=None, name=None):
        """The same under its older name."""
        return self.add_variable(shape=shape, initializer=initializer, dtype=dtype, name=name)

    def reset_state(self):
        """Set all variables to zero."""
        for variable in self.variables:
            variable.writable().fill(0)

    def update_state(self, *args, **kwargs):
        """Take in one batch; a subclass writes it."""
        raise NotImplementedError(f"{type(self).__name__} has no `update_state` method.")

    def result(self):
        """The metric's value so far; a subclass writes it."""
        raise NotImplementedError(f"{type(self).__name__} has no `result` method.")

    def __call__(self, *args, **kwargs):
        self._check_super_called()
        self.update_state(*args, **kwargs)
        return self.result()

    # The same as functions of the state: the variables keep their values.

    def stateless_update_state(self, metric_variables, *args, **kwargs):
        """The variables' new values after `update_state` from the given ones."""
        return self._with_values(
            metric_variables, lambda: self.update_state(*args, **kwargs), "stateless_update_state"
        )[1]

    def stateless_result(self, metric_variables):
        """`result` for the given values of the variables."""
        return self._with_values(metric_variables, self.result, "stateless_result")[0]

    def stateless_reset_state(self):
        """The variables' values after `reset_state`."""
        values = [variable.data for variable in self.variables]
        return self._with_values(values, self.reset_state, "stateless_reset_state")[1]

    def _with_values(self, values, function, owner):
        variables = self.variables
        if len(values) != len(variables):
            raise ValueError(
                f"{type(self).__name__}.{owner}: `metric_variables` must hold {len(variables)} "
                f"values, one for each variable. Received: {len(values)} values"
            )
        with StatelessScope(zip(variables, values, strict=True)) as scope:
            result = function()
        return result, [scope.get_current_value(variable) for variable in variables]

    def get_config(self):
        return {"name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    def _check_super_called(self):
        if "_tracker" not in self.__dict__:
            raise RuntimeError(
                f"{type(self).__name__}: call `super().__init__()` in `__init__()`, before adding "
                "variables."
            )

    def __setattr__(self, name, value):
        tracker = self.__dict__.get("_tracker")
        if tracker is not None:
            value = tracker.track(value)
        super().__setattr__(name, value)

    def __repr__(self):
        return f"<{type(self).__name__} name={self.name}>"


def _is_metric(value):
    return isinstance(value, Metric)


def zeros(shape, dtype):
    """The initial value of most states."""
    return np.zeros(shape, dtypes.numpy_dtype(dtype))
