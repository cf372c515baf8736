"""LayerState: what a layer owns: its name, dtypes, variables, sublayers, metrics and seeds."""

from __future__ import annotations

import functools

import numpy as np

from kerasmirror import constraints, initializers, regularizers
from kerasmirror.core import dtypes, scopes
from kerasmirror.core.node import node_tensors
from kerasmirror.core.tensor import Tensor
from kerasmirror.core.tracking import CHANGES, Tracker, TracksItself, next_change
from kerasmirror.core.variable import Variable
from kerasmirror.metrics.metric import Metric
from kerasmirror.random import SeedGenerator

_LOCKED = (
    "Layer: all variables and sublayers must be created in `__init__()` or `build()`. "
    "Received: a new one for a layer that is built already"
)


def _is_trainable_variable(value):
    return isinstance(value, Variable) and value.trainable


def _is_fixed_variable(value):
    return isinstance(value, Variable) and not value.trainable


def _is_layer(value):
    return isinstance(value, LayerState)


def _is_metric(value):
    return isinstance(value, Metric)


def _is_seed_generator(value):
    return isinstance(value, SeedGenerator)


class LayerState(TracksItself):
    """The state half of a Layer: everything assigned to an attribute is found and listed here."""

    # Tracking

    def _start_tracking(self):
        if "_tracker" in self.__dict__:
            return
        put = functools.partial(object.__setattr__, self)
        for kind in ("_trainable_variables", "_non_trainable_variables", "_layers", "_metrics"):
            put(kind, [])
        put("_seed_generators", [])
        put("_inbound_nodes", [])
        put("_outbound_nodes", [])
        put("_tracker", self._new_tracker())

    def _new_tracker(self):
        return Tracker(
            {
                "trainable_variables": (_is_trainable_variable, self._trainable_variables),
                "non_trainable_variables": (_is_fixed_variable, self._non_trainable_variables),
                "layers": (_is_layer, self._layers),
                "metrics": (_is_metric, self._metrics),
                "seed_generators": (_is_seed_generator, self._seed_generators),
            }
        )

    def _state_of_copy(self):
        """Without the graph that the layer stands in, but for the placeholder of an Input."""
        state = dict(self.__dict__)
        state["_inbound_nodes"] = [n for n in state.get("_inbound_nodes", ()) if n.is_input]
        state["_outbound_nodes"] = []
        return state

    def __setattr__(self, name, value):
        if "_tracker" not in self.__dict__:
            self._start_tracking()
        try:
            if type(value) not in _UNTRACKED and not self.__dict__.get("_tracking_off"):
                before = self.__dict__.get(name)
                if before is not None and before is not value:
                    self._tracker.untrack(before)
                value = self._tracker.track(value)
            property_of_class = getattr(type(self), name, None)
            if isinstance(property_of_class, property):
                property_of_class.__set__(self, value)
            else:
                self.__dict__[name] = value
        finally:
            CHANGES[0] = next_change()

    def __delattr__(self, name):
        try:
            self._tracker.untrack(self.__dict__.get(name))
            object.__delattr__(self, name)
        finally:
            CHANGES[0] = next_change()

    def _track_variable(self, variable):
        self._tracker.track(variable)
        if not self._trainable:
            variable.trainable = False

    def _untrack_variable(self, variable):
        self._tracker.untrack(variable)
        CHANGES[0] = next_change()

    def _lock_state(self):
        self._tracker.lock(f"{_LOCKED}: {type(self).__name__} '{self._name}'")

    # Names

    @property
    def name(self):
        return self._name

    @property
    def input(self):
        """The placeholder(s) the layer was first called on."""
        return node_tensors(self, "input_tensors", "input")

    @property
    def output(self):
        """The placeholder(s) the layer's first call on placeholders gave."""
        return node_tensors(self, "output_tensors", "output")

    @property
    def path(self):
        return self._path

    def _name_scope(self):
        return scopes.name_scope(self._name, caller=self)

    @property
    def input_spec(self):
        return self._input_spec

    @input_spec.setter
    def input_spec(self, value):
        self._input_spec = value

    @property
    def supports_masking(self):
        return self._supports_masking

    @supports_masking.setter
    def supports_masking(self, value):
        self._supports_masking = value

    @property
    def trainable(self):
        return self._trainable

    @trainable.setter
    def trainable(self, value):
        value = bool(value)
        self._trainable = value
        for variable in self._trainable_variables:
            variable.trainable = value
        for layer in self._layers:
            layer.trainable = value

    # Weights

    def add_weight(
        self,
        shape=None,
        initializer=None,
        dtype=None,
        trainable=True,
        autocast=True,
        regularizer=None,
        constraint=None,
        aggregation="none",
        overwrite_with_gradient=False,
        name=None,
    ):
        """Create and track a Variable of this layer.

        `shape` must be known in full (default: a scalar). The initializer defaults to
        "glorot_uniform" for floats and to "zeros" otherwise, the dtype to the layer's.
        """
        self._check_ready()
        if isinstance(shape, str):
            raise ValueError(
                "Layer.add_weight: `name` must be passed by keyword. Received: "
                f"add_weight({shape!r}, ...)"
            )
        shape = () if shape is None else shape
        dtype = self.variable_dtype if dtype is None else dtypes.standardize_dtype(dtype)
        if initializer is None:
            initializer = "glorot_uniform" if "float" in dtype else "zeros"
        with self._name_scope():
            variable = Variable(
                initializers.get(initializer),
                shape=shape,
                dtype=dtype,
                trainable=trainable,
                autocast=autocast,
                aggregation=aggregation,
                name=name,
            )
        variable.regularizer = regularizers.get(regularizer)
        variable.constraint = constraints.get(constraint)
        variable.overwrite_with_gradient = overwrite_with_gradient
        self._track_variable(variable)
        return variable

    def add_variable(
        self,
        shape,
        initializer,
        dtype=None,
        trainable=True,
        autocast=True,
        regularizer=None,
        constraint=None,
        name=None,
    ):
        """The same as `add_weight`."""
        return self.add_weight(
            shape=shape,
            initializer=initializer,
            dtype=dtype,
            trainable=trainable,
            autocast=autocast,
            regularizer=regularizer,
            constraint=constraint,
            name=name,
        )

    @property
    def weights(self):
        own = self._trainable_variables + self._non_trainable_variables
        return _unique(own + [w for layer in self._layers for w in layer.weights])

    @property
    def variables(self):
        found = self._trainable_variables + self._non_trainable_variables
        found += [generator.state for generator in self._seed_generators]
        for layer in self._layers:
            found += layer.variables
        return _unique(found)

    @property
    def trainable_weights(self):
        return [v for v in self.weights if v.trainable] if self._trainable else []

    @property
    def non_trainable_weights(self):
        return [v for v in self.weights if not v.trainable] if self._trainable else self.weights

    @property
    def trainable_variables(self):
        return [v for v in self.variables if v.trainable] if self._trainable else []

    @property
    def non_trainable_variables(self):
        if not self._trainable:
            return self.variables
        return [v for v in self.variables if not v.trainable]

    @property
    def metrics(self):
        return list(self._metrics) + [m for layer in self._layers for m in layer.metrics]

    @property
    def metrics_variables(self):
        return [variable for metric in self.metrics for variable in metric.variables]

    def get_weights(self):
        """The values of `weights`, as NumPy arrays."""
        return [variable.numpy() for variable in self.weights]

    def set_weights(self, weights):
        """Overwrite the values of `weights`; all shapes are checked before the first is written.

        Raises: ValueError when the number of arrays or a shape differs.
        """
        variables = self.weights
        owner = f"{type(self).__name__}.set_weights"
        if not isinstance(weights, (list, tuple)):
            raise TypeError(
                f"{owner}: `weights` must be a list of arrays, as get_weights() gives it. "
                f"Received: weights of type {type(weights)}"
            )
        arrays = [np.asarray(value) for value in weights]
        if len(arrays) != len(variables):
            raise ValueError(
                f"{owner}: `weights` must be {len(variables)} arrays for "
                f"layer '{self._name}'. Received: {len(arrays)} arrays"
            )
        for variable, array in zip(variables, arrays, strict=True):
            if variable.shape != array.shape:
                raise ValueError(
                    f"{owner}: the array for '{variable.path}' must have "
                    f"shape {variable.shape}. Received: shape {array.shape}"
                )
            if array.dtype.kind in "USOc":
                raise ValueError(
                    f"{owner}: the array for '{variable.path}' must hold real numbers. "
                    f"Received: dtype {array.dtype}"
                )
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)

    def count_params(self):
        """The number of scalars in `weights`.

        Raises: ValueError when the layer is not built.
        """
        if not self.built:
            raise ValueError(
                f"{type(self).__name__}.count_params: layer '{self._name}' must be built first, by "
                "calling it on data or by `layer.build(input_shape)`."
            )
        return sum(int(np.prod(variable.shape, dtype=np.int64)) for variable in self.weights)

    def save_own_variables(self, store):
        """Put the layer's own variables into the dict-like `store`, under "0", "1", ..."""
        for i, variable in enumerate(self._saved_variables()):
            store[f"{i}"] = variable

    def load_own_variables(self, store):
        """Take the layer's own variables from the dict-like `store`.

        Raises: ValueError when their number differs.
        """
        variables = self._saved_variables()
        if len(store.keys()) != len(variables):
            hint = "" if self.built or variables else ", and the layer has not been built yet"
            raise ValueError(
                f"Layer '{self._name}' has {len(variables)} variables "
                f"{[v.name for v in variables]}{hint}. "
                f"Received: {len(store.keys())} variables in the file"
            )
        for i, variable in enumerate(variables):
            variable.assign(store[f"{i}"])
        self._loaded()

    def _saved_variables(self):
        """The own variables that a file holds, in order."""
        return self._trainable_variables + self._non_trainable_variables

    def _loaded(self):
        """Called when the own variables have taken a file's values."""

    def _check_ready(self):
        if not self.__dict__.get("_ready"):
            raise RuntimeError(
                f"In layer '{type(self).__name__}', `super().__init__()` must be called first in "
                "`__init__()`."
            )


# Assigning values of these types cannot concern the tracker.
_UNTRACKED = frozenset((int, float, bool, str, type(None), np.ndarray, Tensor, type(lambda: 0)))


def _unique(variables):
    seen = set()
    return [v for v in variables if not (id(v) in seen or seen.add(id(v)))]
