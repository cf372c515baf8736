"""Layer: weights, build, call, losses and config of everything a model is made of."""

from __future__ import annotations

import functools
import inspect
import warnings

import numpy as np

from kerasmirror import _export, activations, constraints, initializers, ops, regularizers
from kerasmirror._export import export
from kerasmirror.core import dtype_policy, dtypes, scopes, serialization, tree
from kerasmirror.core.names import auto_name
from kerasmirror.core.symbolic import KerasTensor, any_symbolic, standardize_shape
from kerasmirror.core.tensor import Tensor, get_keras_mask, set_keras_mask
from kerasmirror.core.tracking import Tracker
from kerasmirror.core.variable import Variable
from kerasmirror.layers import call_spec
from kerasmirror.layers.call_spec import OPEN_CALLS, CallSignature
from kerasmirror.layers.input_spec import check_inputs
from kerasmirror.metrics.metric import Metric
from kerasmirror.ops.tensor import convert_input
from kerasmirror.random import SeedGenerator

_LOCKED = (
    "Layer: all variables and sublayers must be created in `__init__()` or `build()`. "
    "Received: a new one for a layer that is built already"
)


def _wrap_build(build):
    """`build` in the layer's name scope; afterwards the layer is built and knows the shapes."""

    @functools.wraps(build)
    def wrapper(self, *args, **kwargs):
        if self._building:  # a subclass's build that calls super().build()
            return build(self, *args, **kwargs)
        self._building = True
        try:
            with self._name_scope():
                self._path = scopes.current_path()
                build(self, *args, **kwargs)
        finally:
            self._building = False
        arguments = inspect.signature(build).bind(self, *args, **kwargs).arguments
        self._build_shapes = {k: v for k, v in list(arguments.items())[1:]}
        self.built = True
        self._lock_state()

    return wrapper


@export("Layer", "layers.Layer")
class Layer:
    """Base of all layers: state made in `__init__` or `build`, computation in `call`.

    Subclasses write `__init__`, `build(input_shape)` with `add_weight`, and `call(inputs, ...)`
    with an optional `training` and `mask`. Calling the layer converts the inputs to tensors of its
    compute dtype, checks them against `input_spec`, builds it at the first call, and runs `call`.

    Args: `trainable`, `dtype` (a dtype or DTypePolicy), `autocast` (float inputs become the compute
    dtype), `name`, `activity_regularizer` (a penalty on the output).
    Source: Keras 3.15 `keras.layers.Layer`.
    """

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "build" in cls.__dict__:
            cls.build = _wrap_build(cls.__dict__["build"])

    def __new__(cls, *args, **kwargs):
        self = super().__new__(cls)
        object.__setattr__(self, "_init_arguments", (args, kwargs))
        object.__setattr__(self, "_ready", False)
        return self

    def __init__(
        self,
        *,
        activity_regularizer=None,
        trainable=True,
        dtype=None,
        autocast=True,
        name=None,
        **kwargs,
    ):
        self._start_tracking()
        owner = type(self).__name__
        input_shape = kwargs.pop("input_shape", None)
        if "input_dim" in kwargs:
            input_shape = (kwargs.pop("input_dim"),)
        if kwargs:
            raise ValueError(
                f"{owner}: the keyword arguments must be ones it knows. "
                f"Received: {', '.join(f'{k}={v!r}' for k, v in kwargs.items())}"
            )
        if input_shape is not None:
            warnings.warn(
                f"{owner}: do not pass `input_shape` or `input_dim` to a layer; put a "
                "`keras.Input(shape)` first in the Sequential model instead.",
                stacklevel=3,
            )
        self._input_shape_arg = input_shape
        if not isinstance(trainable, bool):
            raise ValueError(
                f"{owner}: `trainable` must be True or False. Received: trainable={trainable!r}"
            )
        if name is not None and (not isinstance(name, str) or "/" in name):
            raise ValueError(
                f"{owner}: `name` must be a string without `/`. Received: name={name!r}"
            )
        self._name = name if name is not None else auto_name(owner)
        self._dtype_policy = dtype_policy.get(dtype)
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self._trainable = trainable
        self.autocast = autocast
        self.built = False
        self._building = False
        self._path = None
        self._called = False
        self._input_spec = None
        self._losses = []
        self._build_shapes = None
        self._first_input_shape = None
        self._call_signature = CallSignature(self.call)
        # A layer with a rule of its own is asked for a mask even where none came in.
        self._makes_masks = type(self).compute_mask is not Layer.compute_mask
        self._supports_masking = self._makes_masks
        self._convert_input_args = True
        self._allow_non_tensor_positional_args = False
        self._ready = True

    # Tracking

    def _start_tracking(self):
        if "_tracker" in self.__dict__:
            return
        put = functools.partial(object.__setattr__, self)
        for kind in ("_trainable_variables", "_non_trainable_variables", "_layers", "_metrics"):
            put(kind, [])
        put("_seed_generators", [])
        put(
            "_tracker",
            Tracker(
                {
                    "trainable_variables": (
                        lambda x: isinstance(x, Variable) and x.trainable,
                        self._trainable_variables,
                    ),
                    "non_trainable_variables": (
                        lambda x: isinstance(x, Variable) and not x.trainable,
                        self._non_trainable_variables,
                    ),
                    "layers": (lambda x: isinstance(x, Layer), self._layers),
                    "metrics": (lambda x: isinstance(x, Metric), self._metrics),
                    "seed_generators": (
                        lambda x: isinstance(x, SeedGenerator),
                        self._seed_generators,
                    ),
                }
            ),
        )

    def __setattr__(self, name, value):
        if "_tracker" not in self.__dict__:
            self._start_tracking()
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

    def __delattr__(self, name):
        self._tracker.untrack(self.__dict__.get(name))
        object.__delattr__(self, name)

    def _lock_state(self):
        self._tracker.lock(f"{_LOCKED}: {type(self).__name__} '{self._name}'")

    # Names and dtypes

    @property
    def name(self):
        return self._name

    @property
    def path(self):
        return self._path

    def _name_scope(self):
        return scopes.name_scope(self._name, caller=self)

    @property
    def dtype_policy(self):
        return self._dtype_policy

    @dtype_policy.setter
    def dtype_policy(self, value):
        self._dtype_policy = dtype_policy.get(value)

    @property
    def dtype(self):
        return self._dtype_policy.variable_dtype

    @property
    def variable_dtype(self):
        return self._dtype_policy.variable_dtype

    @property
    def compute_dtype(self):
        return self._dtype_policy.compute_dtype

    @property
    def input_dtype(self):
        return self._dtype_policy.compute_dtype

    @property
    def quantization_mode(self):
        return self._dtype_policy.quantization_mode

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

    def build(self, input_shape):
        """Make the weights for inputs of `input_shape`; the base class has none to make."""
        self._check_ready()
        if type(self).call is not Layer.call and self._layers:
            self._build_by_call(input_shape)
        with self._name_scope():
            self._path = scopes.current_path()
        self._build_shapes = {"input_shape": input_shape}
        self.built = True
        self._lock_state()

    def _build_by_call(self, input_shape):
        """Build sublayers by running `call` on placeholders."""
        if any(not layer.built for layer in self._layers) and input_shape is not None:
            placeholders = _placeholders(input_shape, self.compute_dtype)
            with self._name_scope():
                self.call(placeholders)

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
        self._tracker.track(variable)
        if not self._trainable:
            variable.trainable = False
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
        for i, variable in enumerate(self._trainable_variables + self._non_trainable_variables):
            store[f"{i}"] = variable

    def load_own_variables(self, store):
        """Take the layer's own variables from the dict-like `store`.

        Raises: ValueError when their number differs.
        """
        variables = self._trainable_variables + self._non_trainable_variables
        if len(store.keys()) != len(variables):
            hint = "" if self.built or variables else ", and the layer has not been built yet"
            raise ValueError(
                f"Layer '{self._name}' has {len(variables)} variables "
                f"{[v.name for v in variables]}{hint}. "
                f"Received: {len(store.keys())} variables in the file"
            )
        for i, variable in enumerate(variables):
            variable.assign(store[f"{i}"])

    # Calling

    def call(self, *args, **kwargs):
        raise NotImplementedError(
            f"Layer {type(self).__name__} must implement `call()` to be called."
        )

    def __call__(self, *args, **kwargs):
        if not self._ready:
            self._check_ready()
        first = args[0] if args else None
        simple = (
            len(args) == 1
            and type(first) is Tensor
            and (first.dtype == self._dtype_policy.compute_dtype or not self.autocast)
        )
        if not simple or (kwargs and not kwargs.keys() <= {"training"}):
            args, kwargs = self._converted(args, kwargs)
            simple = len(args) == 1 and type(args[0]) is Tensor and kwargs.keys() <= {"training"}
            first = args[0] if args else None
        if self._input_spec is not None:
            check_inputs(self._input_spec, self._first_argument(args, kwargs), self._name)
        opened = OPEN_CALLS.entry is None
        if opened:
            OPEN_CALLS.entry = self
            OPEN_CALLS.values = {}
            self._clear_losses()
        before = OPEN_CALLS.values
        try:
            if not self.built:
                self._build_for(args, kwargs)
            kwargs = self._with_training(kwargs)
            if simple and getattr(first, "mask", None) is None:
                mask = None
            else:
                kwargs, mask = self._with_mask(args, kwargs)
            outputs = self._run(args, kwargs)
            if self.activity_regularizer is not None:
                self._penalize_activity(outputs)
        finally:
            OPEN_CALLS.values = before
            if opened:
                OPEN_CALLS.entry = None
        if mask is not None or self._makes_masks:
            self._set_output_mask(first, outputs, mask)
        return outputs

    def _run(self, args, kwargs):
        policy = self._dtype_policy
        cast = policy.compute_dtype if policy.compute_dtype != policy.variable_dtype else None
        if self._called and not self._layers:
            if cast == scopes.autocast_dtype():
                return self._call_or_spec(args, kwargs)
            with scopes.autocast(cast if self.autocast else None):
                return self._call_or_spec(args, kwargs)
        with self._name_scope(), scopes.autocast(cast if self.autocast else None):
            outputs = self._call_or_spec(args, kwargs)
        if not self._called:
            # What summary() derives the output's shape of a layer without weights from.
            self._first_input_shape = tree.map_structure(
                lambda x: getattr(x, "shape", None), self._first_argument(args, kwargs)
            )
        self._called = True
        return outputs

    def _call_or_spec(self, args, kwargs):
        if args and type(args[0]) is Tensor:
            return self.call(*args, **kwargs)
        if any_symbolic(args) or any_symbolic(kwargs):
            return self.compute_output_spec(*args, **kwargs)
        return self.call(*args, **kwargs)

    def _first_argument(self, args, kwargs):
        if args:
            return args[0]
        return next(iter(kwargs.values()), None)

    def _converted(self, args, kwargs):
        """Arrays and numbers among the arguments as tensors of the compute dtype."""
        self._check_arguments(args, kwargs)
        if self._convert_input_args:
            convert = functools.partial(
                _to_input, autocast=self.autocast, dtype=self.input_dtype, owner=type(self).__name__
            )
            args = tuple(tree.map_structure(convert, arg) for arg in args)
            kwargs = {key: tree.map_structure(convert, value) for key, value in kwargs.items()}
        if not self._allow_non_tensor_positional_args:
            for leaf in tree.flatten(args):
                if leaf is not None and not call_spec.is_tensor(leaf):
                    raise ValueError(
                        f"{type(self).__name__}: positional arguments of a layer call must be "
                        f"tensors; pass others by keyword. Received: {leaf!r} ({type(leaf)})"
                    )
        return args, kwargs

    def _check_arguments(self, args, kwargs):
        """Raise TypeError unless call() takes these arguments."""
        signature = self._call_signature
        owner = type(self).__name__
        try:
            signature.bind(args, self._acceptable(kwargs))
        except TypeError as error:
            raise TypeError(
                f"{owner}: the arguments must fit call{signature.signature}: {error}."
            ) from None
        if signature.has_training and len(args) > signature.names.index("training"):
            if not isinstance(args[signature.names.index("training")], (bool, type(None))):
                raise TypeError(
                    f"{owner}: `training` must be True, False or None. Received: a positional "
                    f"argument of type {type(args[signature.names.index('training')])} in its "
                    f"place in call{signature.signature}"
                )

    def _build_for(self, args, kwargs):
        accepted = self._acceptable(kwargs)
        shapes = call_spec.shapes_of(self._call_signature.bind(args, accepted))
        with self._name_scope():
            if type(self).build is not Layer.build:
                self.build(**call_spec.shapes_for(self.build, shapes, type(self).__name__))
            else:
                if self._layers and any(not layer.built for layer in self._layers):
                    self._build_on_placeholders(args, accepted)
                self._mark_built(next(iter(shapes.values()), None))
        if self._input_spec is not None:
            check_inputs(self._input_spec, self._first_argument(args, kwargs), self._name)

    def _build_at_init(self):
        """Mark a layer that has nothing to build as built, unless a subclass has a `build`."""
        if type(self).build is Layer.build:
            self.built = True

    def _mark_built(self, input_shape):
        """Note that the layer is built, its sublayers having been built by a call."""
        self._path = scopes.current_path()
        self._build_shapes = {"input_shape": input_shape}
        self.built = True
        self._lock_state()

    def _build_on_placeholders(self, args, kwargs):
        """Sublayers of a layer without `build` come to be in its first call."""
        as_placeholder = functools.partial(tree.map_structure, _placeholder_of)
        try:
            self.call(*as_placeholder(args), **{k: as_placeholder(v) for k, v in kwargs.items()})
        except Exception:
            # A call that reads values cannot run on placeholders; the real call will build.
            if any_symbolic(args) or any_symbolic(kwargs):
                raise

    def _acceptable(self, kwargs):
        """`kwargs` without a `training` that call() does not take."""
        signature = self._call_signature
        if "training" in kwargs and not signature.has_training and not signature.takes_any_keyword:
            return {key: value for key, value in kwargs.items() if key != "training"}
        return kwargs

    def _with_training(self, kwargs):
        """`training`: the caller's, else the enclosing call's, else call()'s default."""
        signature = self._call_signature
        training = kwargs.get("training")
        if training is None:
            training = OPEN_CALLS.values.get("training")
            if training is None:
                training = signature.defaults.get("training")
        elif OPEN_CALLS.values.get("training") != training:
            OPEN_CALLS.values = {**OPEN_CALLS.values, "training": training}
        kwargs = self._acceptable(kwargs)
        if signature.has_training and training is not None:
            return {**kwargs, "training": training}
        return kwargs

    def _with_mask(self, args, kwargs):
        """The mask attached to the input, as call()'s `mask` argument where it has one."""
        tensors = call_spec.tensor_arguments(self._call_signature.bind(args, kwargs))
        names = self._call_signature.names
        first = self._first_argument(args, kwargs)
        if len(tensors) == 1 and "mask" in names and kwargs.get("mask") is None:
            only = next(iter(tensors.values()))
            kwargs = {**kwargs, "mask": tree.map_structure(get_keras_mask, only)}
        elif len(tensors) > 1:
            for name, value in tensors.items():
                key = f"{name}_mask"
                if key in names and kwargs.get(key) is None:
                    kwargs = {**kwargs, key: tree.map_structure(get_keras_mask, value)}
        mask = kwargs.get("mask")
        if mask is None:
            mask = tree.map_structure(get_keras_mask, first)
        has_mask = any(leaf is not None for leaf in tree.flatten(mask))
        return kwargs, mask if has_mask else None

    def _set_output_mask(self, inputs, outputs, mask):
        if not self._supports_masking:
            warnings.warn(
                f"Layer '{self._name}' ({type(self).__name__}) does not support masking, so the "
                "mask of its input ends here.",
                stacklevel=3,
            )
            return
        flat_outputs = tree.flatten(outputs)
        if all(get_keras_mask(output) is not None for output in flat_outputs):
            return
        new_masks = self.compute_mask(inputs, mask)
        if new_masks is not None:
            for output, new in zip(flat_outputs, tree.flatten(new_masks), strict=False):
                if get_keras_mask(output) is None and new is not None:
                    set_keras_mask(output, new)

    def compute_mask(self, inputs, previous_mask):
        """The output's mask; by default the input's."""
        return previous_mask

    def compute_output_shape(self, *args, **kwargs):
        """The output's shape for the given input shape(s), by running `call` on placeholders."""
        shape = args[0] if args else next(iter(kwargs.values()))
        output = self.compute_output_spec(_placeholders(shape, self.compute_dtype))
        return tree.map_structure(lambda tensor: tuple(tensor.shape), output)

    def compute_output_spec(self, *args, **kwargs):
        """KerasTensors of the shapes and dtypes that `call` would give."""
        if type(self).compute_output_shape is not Layer.compute_output_shape:
            arguments = self._call_signature.bind(args, self._acceptable(kwargs))
            shapes = call_spec.shapes_of(arguments)
            function = self.compute_output_shape
            shape = function(**call_spec.shapes_for(function, shapes, type(self).__name__))
            return _placeholders(shape, self.compute_dtype)
        outputs = self.call(*args, **kwargs)
        return tree.map_structure(_placeholder_of, outputs)

    def symbolic_call(self, *args, **kwargs):
        """The same as `compute_output_spec`."""
        return self.compute_output_spec(*args, **kwargs)

    # Losses

    def add_loss(self, loss):
        """Add a scalar (or a list of them) computed in this call to the training loss.

        Raises: ValueError for something that is not a scalar tensor.
        """
        for one in loss if isinstance(loss, (list, tuple)) else [loss]:
            shape = getattr(one, "shape", None)
            if shape is None or any(size != 1 for size in shape):
                raise ValueError(
                    f"{type(self).__name__}.add_loss: `loss` must be a scalar tensor. "
                    f"Received: loss={one!r}"
                )
            self._losses.append(one)

    @property
    def losses(self):
        """Scalars from add_loss, activity and weight regularizers, sublayers' included."""
        found = list(self._losses)
        for layer in self._flatten_layers(include_self=False):
            found.extend(layer._losses)
        for variable in self.trainable_weights:
            if variable.regularizer is not None:
                found.append(variable.regularizer(variable))
        return found

    def _clear_losses(self):
        if self._losses:
            self._losses.clear()
        for layer in self._layers:
            layer._clear_losses()

    def _penalize_activity(self, outputs):
        for output in tree.flatten(outputs):
            if isinstance(output, Tensor):
                loss = self.activity_regularizer(output)
                if output.ndim:
                    loss = ops.divide(loss, max(1, output.shape[0]))
                self.add_loss(loss)

    def _flatten_layers(self, include_self=True, recursive=True):
        found = [self] if include_self else []
        seen = set()
        waiting = list(self._layers)
        while waiting:
            layer = waiting.pop(0)
            if id(layer) not in seen:
                seen.add(id(layer))
                found.append(layer)
                if recursive:
                    waiting = list(layer._layers) + waiting
        return found

    # Config

    def get_config(self):
        """The constructor's arguments as plain data, from which `from_config` builds a twin.

        Raises: NotImplementedError for a class with arguments of its own that are not plain data.
        """
        self._check_ready()
        config = {
            "name": self._name,
            "trainable": self._trainable,
            "dtype": dtype_policy.serialize(self._dtype_policy),
        }
        if self.activity_regularizer is not None:
            config["activity_regularizer"] = regularizers.serialize(self.activity_regularizer)
        public = next(c for c in type(self).__mro__ if _export.public_path(c) is not None)
        for key in _own_arguments(public):
            if hasattr(self, key):
                config[key] = _plain(key, getattr(self, key))
        if type(self).get_config is Layer.get_config and public is not type(self):
            config.update(self._plain_init_arguments())
        return config

    def _plain_init_arguments(self):
        args, kwargs = self._init_arguments
        try:
            given = inspect.signature(type(self).__init__).bind(self, *args, **kwargs).arguments
        except TypeError:
            given = {}
        given = dict(list(given.items())[1:])
        given.update(given.pop("kwargs", {}))
        plain = {}
        for key, value in given.items():
            if key in ("name", "trainable", "dtype"):
                continue
            leaves = tree.flatten(value)
            if not all(isinstance(leaf, (str, int, float, bool, type(None))) for leaf in leaves):
                raise NotImplementedError(
                    f"{type(self).__name__}: a layer whose constructor takes more than plain data "
                    f"must define get_config(). Received: {key}={value!r}"
                )
            plain[key] = value
        return plain

    @classmethod
    def from_config(cls, config):
        """A layer built from what `get_config` gave.

        Raises: TypeError when the config does not fit the constructor.
        """
        config = dict(config)
        if isinstance(config.get("dtype"), dict):
            config["dtype"] = dtype_policy.deserialize(config["dtype"])
        try:
            return cls(**config)
        except TypeError as error:
            raise TypeError(
                f"{cls.__name__}.from_config: `config` must fit the constructor: {error}. "
                f"Received: config={config!r}"
            ) from error

    def get_build_config(self):
        """What `build_from_config` needs to make the weights again: the input shape."""
        if self._build_shapes is None:
            return None
        if len(self._build_shapes) == 1:
            return {"input_shape": next(iter(self._build_shapes.values()))}
        return {"shapes_dict": self._build_shapes}

    def build_from_config(self, config):
        """Make the weights as `get_build_config` described."""
        if config:
            if "input_shape" in config:
                self.build(config["input_shape"])
            elif "shapes_dict" in config:
                self.build(**config["shapes_dict"])

    def _check_ready(self):
        if not self.__dict__.get("_ready"):
            raise RuntimeError(
                f"In layer '{type(self).__name__}', `super().__init__()` must be called first in "
                "`__init__()`."
            )

    def __repr__(self):
        return f"<{type(self).__name__} name={self.__dict__.get('_name')}, built={self.built}>"


# Assigning values of these types cannot concern the tracker.
_UNTRACKED = frozenset((int, float, bool, str, type(None), np.ndarray, Tensor, type(lambda: 0)))


def _unique(variables):
    seen = set()
    return [v for v in variables if not (id(v) in seen or seen.add(id(v)))]


def _to_input(value, autocast, dtype, owner):
    if isinstance(value, np.ndarray) and value.dtype.kind in "USO":
        raise ValueError(
            f"{owner}: the inputs must hold numbers. "
            f"Received: an array of shape {value.shape} and dtype {value.dtype}"
        )
    return convert_input(value, autocast=autocast, dtype=dtype)


def float_inputs(layer, inputs):
    """`inputs`, with whole numbers and booleans as floats of the layer's compute dtype.

    Raises: ValueError for complex numbers.
    """
    if inputs.dtype in dtypes.FLOAT_TYPES:
        return inputs
    if inputs.dtype.startswith("complex"):
        raise ValueError(
            f"{type(layer).__name__}: `inputs` must hold real numbers. "
            f"Received: inputs of shape {tuple(inputs.shape)} and dtype {inputs.dtype}"
        )
    return ops.cast(inputs, layer.compute_dtype)


def _placeholder_of(value):
    if isinstance(value, (Tensor, Variable)):
        return KerasTensor(value.shape, value.dtype)
    return value


def _placeholders(shape, dtype):
    """KerasTensors for a shape or a nest of shapes."""
    if isinstance(shape, dict):
        return {key: _placeholders(value, dtype) for key, value in shape.items()}
    if isinstance(shape, (list, tuple)) and any(isinstance(s, (list, tuple, dict)) for s in shape):
        return type(shape)(_placeholders(value, dtype) for value in shape)
    return KerasTensor(standardize_shape(shape), dtype)


@functools.cache
def _own_arguments(cls):
    """The constructor arguments of `cls` that are not the base class's."""
    base = {"self", "kwargs", "args", "name", "trainable", "dtype", "autocast"}
    base.add("activity_regularizer")
    return [name for name in inspect.signature(cls.__init__).parameters if name not in base]


def _plain(key, value):
    if key == "activation" or key.endswith("_activation"):
        return activations.serialize(value)
    return serialization.serialize_keras_object(value)
