"""MultiOptimizer: different optimizers for different variables."""

from __future__ import annotations

import re
from collections.abc import MutableMapping

from kerasmirror._export import export
from kerasmirror.core import serialization
from kerasmirror.core.tracking import untracked
from kerasmirror.optimizers.loss_scale import LossScaleOptimizer
from kerasmirror.optimizers.optimizer import Optimizer


@export("optimizers.OptimizerMap")
class OptimizerMap(MutableMapping):
    """Optimizers by pattern of the variable's path; `default_optimizer` where none matches.

    Calling the map with a variable gives its optimizer.
    Raises: TypeError for a default or a map of another type, ValueError for bad entries.
    Source: Keras 3.15 `keras.optimizers.OptimizerMap`.
    """

    def __init__(self, default_optimizer, optimizer_map=None):
        if not isinstance(default_optimizer, Optimizer):
            raise TypeError(
                "OptimizerMap: `default_optimizer` must be an optimizer. "
                f"Received: default_optimizer={default_optimizer!r}"
            )
        if optimizer_map is not None and not isinstance(optimizer_map, dict):
            raise TypeError(
                "OptimizerMap: `optimizer_map` must be a dict. "
                f"Received: optimizer_map={optimizer_map!r}"
            )
        self._default_optimizer = default_optimizer
        self._optimizer_map = optimizer_map or {}

    @property
    def default_optimizer(self):
        return self._default_optimizer

    def __getitem__(self, key):
        if key in self._optimizer_map:
            return self._optimizer_map[key]
        matching = [pattern for pattern in self._optimizer_map if re.fullmatch(pattern, key)]
        if len(matching) > 1:
            raise ValueError(f"OptimizerMap: {key!r} must match one pattern. Received: {matching}")
        return self._optimizer_map[matching[0]] if matching else self.default_optimizer

    def __setitem__(self, key, optimizer):
        if not isinstance(key, str):
            raise ValueError(f"OptimizerMap: `key` must be a string. Received: key={key!r}")
        if key in self._optimizer_map:
            raise ValueError(f"OptimizerMap: `key` must be new. Received: key={key!r}")
        _check_inner("OptimizerMap", optimizer)
        self._optimizer_map[key] = optimizer

    def __delitem__(self, key):
        del self._optimizer_map[key]

    def __len__(self):
        return len(self._optimizer_map)

    def __iter__(self):
        return iter(self._optimizer_map)

    def __call__(self, variable):
        return self[variable.path]

    def get_config(self):
        return {
            "default_optimizer": serialization.serialize_keras_object(self._default_optimizer),
            "optimizer_map": serialization.serialize_keras_object(self._optimizer_map),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(
            *(
                serialization.deserialize_keras_object(config[key], custom_objects=custom_objects)
                for key in ("default_optimizer", "optimizer_map")
            )
        )


def _check_inner(owner, optimizer):
    if not isinstance(optimizer, Optimizer):
        raise ValueError(
            f"{owner}: optimizer must be a Keras Optimizer instance. Received: {optimizer!r}"
        )
    for kind in (LossScaleOptimizer, MultiOptimizer):
        if isinstance(optimizer, kind):
            raise ValueError(
                f"{owner}: optimizer cannot be {kind.__name__}. {kind.__name__} cannot be used "
                "inside an MultiOptimizer. It must be one that updates variables itself."
            )


@export("optimizers.MultiOptimizer")
class MultiOptimizer(Optimizer):
    """Updates each variable with the optimizer that `optimizer_map(variable)` gives.

    Raises: ValueError for optimizers that cannot stand inside, AttributeError for `learning_rate`:
    each inner optimizer has its own.
    Source: Keras 3.15 `keras.optimizers.MultiOptimizer`.
    """

    def __init__(self, optimizer_map, loss_scale_factor=None, name=None):
        super().__init__(learning_rate=0.0, loss_scale_factor=loss_scale_factor, name=name)
        self._inner_optimizers = []
        self._optimizer_map = optimizer_map
        known = list(getattr(optimizer_map, "values", list)())
        for optimizer in (*known, getattr(optimizer_map, "default_optimizer", None)):
            if optimizer is not None:
                self._number_of(optimizer)

    def _var_key(self, variable):
        return id(variable)

    @property
    def _var_to_optimizer_idx(self):
        return self._numbers

    def _number_of(self, optimizer):
        """The place of an optimizer in the list; a new one is added."""
        for number, known in enumerate(self._inner_optimizers):
            if known is optimizer:
                return number
        optimizer.loss_scale_factor = self.loss_scale_factor
        self._inner_optimizers.append(optimizer)
        return len(self._inner_optimizers) - 1

    @untracked
    def build(self, variables):
        if self.built:
            return
        parts = {}
        self._numbers = {}
        for variable in variables:
            optimizer = self._optimizer_map(variable)
            _check_inner("MultiOptimizer", optimizer)
            number = self._numbers[id(variable)] = self._number_of(optimizer)
            parts.setdefault(number, []).append(variable)
        for number in sorted(parts):
            self._inner_optimizers[number].build(parts[number])
        super().build(variables)

    def _state_of_copy(self):
        state = super()._state_of_copy()
        if self.built:
            state["_numbers"] = [self._numbers[id(v)] for v in self._trainable_variables]
        return state

    def __setstate__(self, state):
        super().__setstate__(state)
        if self.built:
            numbers = zip(self._trainable_variables, state["_numbers"], strict=True)
            self.__dict__["_numbers"] = {id(variable): number for variable, number in numbers}

    @property
    def optimizers(self):
        return self._inner_optimizers

    @property
    def variables(self):
        variables = self._variables[:]
        for optimizer in self._inner_optimizers:
            variables.extend(optimizer.variables)
        return variables

    @property
    def learning_rate(self):
        raise AttributeError(
            "MultiOptimizer has no learning rate of its own: ask the inner optimizers."
        )

    @learning_rate.setter
    def learning_rate(self, learning_rate):
        raise AttributeError(
            "MultiOptimizer has no learning rate of its own: set those of the inner optimizers."
        )

    @property
    def loss_scale_factor(self):
        return self._loss_scale_factor

    @loss_scale_factor.setter
    def loss_scale_factor(self, value):
        self._loss_scale_factor = value
        for optimizer in self.__dict__.get("_inner_optimizers", ()):
            optimizer.loss_scale_factor = value

    def apply(self, grads, trainable_variables=None):
        if len(grads) == 0:
            return
        variables = self._variables_for(grads, trainable_variables)
        parts = {}
        for gradient, variable in zip(grads, variables, strict=True):
            gradients, members = parts.setdefault(self._numbers[id(variable)], ([], []))
            gradients.append(gradient)
            members.append(variable)
        for number in sorted(parts):
            self._inner_optimizers[number].apply(*parts[number])
        self._iterations.assign_add(1)

    def finalize_variable_values(self, var_list):
        parts = {}
        for variable in var_list:
            parts.setdefault(self._numbers[id(variable)], []).append(variable)
        for number, variables in parts.items():
            self._inner_optimizers[number].finalize_variable_values(variables)

    def get_config(self):
        return {
            "optimizer_map": serialization.serialize_keras_object(self._optimizer_map),
            "loss_scale_factor": self.loss_scale_factor,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        config["optimizer_map"] = serialization.deserialize_keras_object(
            config["optimizer_map"], custom_objects=custom_objects
        )
        return cls(**config)
