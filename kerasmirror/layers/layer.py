"""Layer: how everything a model is made of is built, called, penalized and described."""

from __future__ import annotations

import functools
import inspect
import warnings

import numpy as np

from kerasmirror import ops, regularizers
from kerasmirror._export import export
from kerasmirror.core import dtype_policy, dtypes, scopes, tree
from kerasmirror.core.names import auto_name
from kerasmirror.core.node import Node, is_recording, keeps_history, placeholders_in, recording
from kerasmirror.core.operation import Operation
from kerasmirror.core.stateless import (
    begin_losses_of,
    forget_losses_of,
    keep_losses,
    losses_of,
)
from kerasmirror.core.symbolic import KerasTensor, any_symbolic, standardize_shape
from kerasmirror.core.tensor import Tensor, get_keras_mask, set_keras_mask
from kerasmirror.core.variable import Variable, in_earnest, trial
from kerasmirror.layers import call_spec, unknown_sizes
from kerasmirror.layers.building import alone_at
from kerasmirror.layers.call_spec import OPEN_CALLS, CallSignature
from kerasmirror.layers.input_spec import check_inputs
from kerasmirror.layers.layer_config import config_of, layer_of
from kerasmirror.layers.layer_quantization import LayerQuantization, wrap_quantize
from kerasmirror.layers.layer_state import LayerState
from kerasmirror.layers.stateless import StatelessCall
from kerasmirror.ops.tensor import convert_input


def _wrap_build(build):
    """`build` in the layer's name scope; afterwards the layer is built and knows the shapes."""

    @functools.wraps(build)
    def wrapper(self, *args, **kwargs):
        with alone_at(self):
            if self._building:  # a subclass's build that calls super().build()
                return build(self, *args, **kwargs)
            self._building = True
            try:
                with self._name_scope(), in_earnest():
                    self._take_path()
                    build(self, *args, **kwargs)
            finally:
                self._building = False
            arguments = inspect.signature(build).bind(self, *args, **kwargs).arguments
            self._build_shapes = {k: v for k, v in list(arguments.items())[1:]}
            self._lock_state()
            self.built = True

    return wrapper


@export("Layer", "layers.Layer")
class Layer(LayerQuantization, LayerState, StatelessCall, Operation):
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
        if "quantize" in cls.__dict__:
            cls.quantize = wrap_quantize(cls.__dict__["quantize"])

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
        self._path = None
        self._dtype_policy = dtype_policy.get(dtype)
        self._settle_policy()
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self._trainable = trainable
        self.autocast = autocast
        self.built = False
        self._building = False
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
        self._note_remat_mode()

    # Building

    def build(self, input_shape):
        """Make the weights for inputs of `input_shape`; the base class has none to make."""
        self._check_ready()
        if type(self).call is not Layer.call and self._layers:
            self._build_by_call(input_shape)
        with self._name_scope():
            self._take_path()
        self._build_shapes = {"input_shape": input_shape}
        self._lock_state()
        self.built = True

    def _build_by_call(self, input_shape):
        """Build sublayers by running `call` on placeholders."""
        if any(not layer.built for layer in self._layers) and input_shape is not None:
            placeholders = _placeholders(input_shape, self.compute_dtype)
            with self._name_scope(), trial():
                self.call(placeholders)

    # Calling

    def call(self, *args, **kwargs):
        raise NotImplementedError(
            f"Layer {type(self).__name__} must implement `call()` to be called."
        )

    def __call__(self, *args, **kwargs):
        if not self._ready:
            self._check_ready()
        first = args[0] if args else None
        usual = len(args) == 1 and (not kwargs or kwargs.keys() <= _TRAINING)
        if not usual or not self._takes_as_it_is(first):
            if is_recording() and (any_symbolic(args) or any_symbolic(kwargs)):
                return self._recorded_call(args, kwargs)
            args, kwargs = self._converted(args, kwargs)
            first = args[0] if args else None
        if self._input_spec is not None:
            given = first if args else self._first_argument(args, kwargs)
            check_inputs(self._input_spec, given, self)
        opened = OPEN_CALLS.entry is None
        if opened:
            OPEN_CALLS.entry = self
            OPEN_CALLS.values = {}
            begin_losses_of(self)
            self._clear_losses()
        before = OPEN_CALLS.values
        try:
            if not self.built:
                self._build_for(args, kwargs)
            kwargs = self._with_training(kwargs)
            if usual and _has_no_mask(first):
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

    def _takes_as_it_is(self, value):
        """Whether `value` is a tensor, or a list of tensors, of the dtype that call() gets."""
        dtype = self._policy.compute_dtype
        if type(value) is Tensor:
            return value.dtype == dtype or not self.autocast
        if type(value) is not list and type(value) is not tuple:
            return False
        return bool(value) and all([type(x) is Tensor and x.dtype == dtype for x in value])

    def _recorded_call(self, args, kwargs):
        """A call on placeholders that a graph can be made of: what happens inside is one node."""
        with recording(False):
            outputs = Layer.__call__(self, *args, **kwargs)
        kept = keeps_history(placeholders_in((args, kwargs)))
        outputs = tree.map_structure(functools.partial(self._fresh, kept=kept), outputs)
        if kept:
            kwargs = self._acceptable(kwargs)
            Node(self, args, kwargs, tree.flatten(outputs), self._implied(args, kwargs))
        return outputs

    def _fresh(self, output, kept):
        if not isinstance(output, KerasTensor):
            raise ValueError(
                f"{type(self).__name__}: call() of layer '{self._name}' must give tensors only. "
                f"Received: {output!r}"
            )
        fresh = KerasTensor(output.shape, output.dtype, record_history=kept)
        if get_keras_mask(output) is not None:
            set_keras_mask(fresh, get_keras_mask(output))
        return fresh

    def _implied(self, args, kwargs):
        """The `training` and `mask` that Keras notes in a node beside what was passed."""
        signature = self._call_signature
        implied = {}
        training = signature.defaults.get("training")
        if training is not None and kwargs.get("training") is None:
            implied["training"] = training
        tensors = call_spec.tensor_arguments(signature.bind(args, kwargs))
        if signature.has_mask and kwargs.get("mask") is None and len(tensors) == 1:
            implied["mask"] = tree.map_structure(lambda x: None, next(iter(tensors.values())))
        return implied

    def _run(self, args, kwargs):
        policy = self._policy
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
        call = self.call if self._policy._quantization_mode is None else self.quantized_call
        if args and (type(args[0]) is Tensor or type(args[0]) is list and _has_no_mask(args[0])):
            return call(*args, **kwargs)
        if any_symbolic(args) or any_symbolic(kwargs):
            with trial():
                return self.compute_output_spec(*args, **kwargs)
        return call(*args, **kwargs)

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
        with alone_at(self):
            if not self.built:  # by another thread, meanwhile
                self._build_once(args, kwargs)
        if self._input_spec is not None:
            check_inputs(self._input_spec, self._first_argument(args, kwargs), self)

    def _build_once(self, args, kwargs):
        accepted = self._acceptable(kwargs)
        shapes = call_spec.shapes_of(self._call_signature.bind(args, accepted))
        with self._name_scope():
            if type(self).build is not Layer.build:
                self.build(**call_spec.shapes_for(self.build, shapes, type(self).__name__))
            else:
                if self._layers and any(not layer.built for layer in self._layers):
                    self._build_on_placeholders(args, accepted)
                self._mark_built(next(iter(shapes.values()), None))

    def _build_at_init(self):
        """Mark a layer that has nothing to build as built, unless a subclass has a `build`."""
        if type(self).build is Layer.build:
            self.built = True

    def _mark_built(self, input_shape):
        """Note that the layer is built, its sublayers having been built by a call."""
        self._take_path()
        self._build_shapes = {"input_shape": input_shape}
        self._lock_state()
        self.built = True

    def _build_on_placeholders(self, args, kwargs):
        """Sublayers of a layer without `build` come to be in its first call."""
        as_placeholder = functools.partial(tree.map_structure, _placeholder_of)
        kwargs_of_call = {k: as_placeholder(v) for k, v in kwargs.items()}
        try:
            with scopes.SymbolicScope(), trial():
                unknown_sizes.outputs_of(self, as_placeholder(args), kwargs_of_call)
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
        training = kwargs.get("training") if kwargs else None
        if training is None:
            training = OPEN_CALLS.values.get("training")
            if training is None:
                training = signature.defaults.get("training")
        elif OPEN_CALLS.values.get("training") != training:
            OPEN_CALLS.values = {**OPEN_CALLS.values, "training": training}
        if kwargs:
            kwargs = self._acceptable(kwargs)
        if signature.has_training and training is not None:
            return {**kwargs, "training": training} if kwargs else {"training": training}
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
        with scopes.SymbolicScope(), trial():
            outputs = unknown_sizes.outputs_of(self, args, kwargs)
        return tree.map_structure(_placeholder_of, outputs)

    def symbolic_call(self, *args, **kwargs):
        """The same as `compute_output_spec`."""
        return self.compute_output_spec(*args, **kwargs)

    # Losses

    def add_loss(self, loss):
        """Add a scalar (or a list of them) computed in this call to the training loss.

        Raises: ValueError for something that is not a scalar tensor.
        """
        losses = loss if isinstance(loss, (list, tuple)) else [loss]
        for one in losses:
            shape = getattr(one, "shape", None)
            if shape is None or any(size != 1 for size in shape):
                raise ValueError(
                    f"{type(self).__name__}.add_loss: `loss` must be a scalar tensor. "
                    f"Received: loss={one!r}"
                )
        if scopes.WRITES.stateless is None:
            # Of placeholders there is no loss; the call on tensors adds it.
            losses = [one for one in losses if not isinstance(one, KerasTensor)]
        if not keep_losses(self, losses):
            self._losses.extend(losses)

    @property
    def losses(self):
        """Scalars from add_loss, activity and weight regularizers, sublayers' included."""
        found = []
        for layer in self._flatten_layers():
            found.extend(losses_of(layer, self))
        for variable in self.trainable_weights:
            if variable.regularizer is not None:
                found.append(variable.regularizer(variable))
        return found

    def _clear_losses(self):
        if scopes.WRITES.stateless is not None:
            forget_losses_of(self)
        elif self._losses:
            self._losses.clear()
            scopes.WRITES.added.pop(id(self), None)
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
        return config_of(self, is_derived=type(self).get_config is Layer.get_config)

    @classmethod
    def from_config(cls, config):
        """A layer built from what `get_config` gave.

        Raises: TypeError when the config does not fit the constructor.
        """
        return layer_of(cls, config)

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

    def __repr__(self):
        return f"<{type(self).__name__} name={self.__dict__.get('_name')}, built={self.built}>"


_TRAINING = frozenset(("training",))


def _has_no_mask(value):
    """Whether `value` is a tensor without a mask, or a list of such tensors."""
    if type(value) is Tensor:
        return getattr(value, "mask", None) is None
    if type(value) is not list and type(value) is not tuple:
        return False
    return all([type(x) is Tensor and getattr(x, "mask", None) is None for x in value])


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
        return KerasTensor(value.shape, value.dtype, record_history=False)
    return value


def _placeholders(shape, dtype):
    """KerasTensors for a shape or a nest of shapes."""
    if isinstance(shape, dict):
        return {key: _placeholders(value, dtype) for key, value in shape.items()}
    if isinstance(shape, (list, tuple)) and any(isinstance(s, (list, tuple, dict)) for s in shape):
        return type(shape)(_placeholders(value, dtype) for value in shape)
    return KerasTensor(standardize_shape(shape), dtype, record_history=False)
