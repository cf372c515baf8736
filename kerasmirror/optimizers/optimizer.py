"""Optimizer: what all update rules share, from the constructor to `apply`."""

from __future__ import annotations

import re
import warnings
from numbers import Real
from operator import is_

import numpy as np

from kerasmirror._export import export
from kerasmirror.core import checks, config, dtypes, serialization
from kerasmirror.core.device import CPU, device
from kerasmirror.core.names import auto_name
from kerasmirror.core.scopes import WRITES, name_scope
from kerasmirror.core.stateless import StatelessScope
from kerasmirror.core.tensor import Tensor
from kerasmirror.core.tracking import Tracker, TracksItself, untracked
from kerasmirror.core.variable import Variable, array_of, is_variable
from kerasmirror.optimizers import clipping, step
from kerasmirror.optimizers.flat import Block, FlatParameters
from kerasmirror.optimizers.schedules import LearningRateSchedule

_BASE_ARGUMENTS = (
    "learning_rate",
    "weight_decay",
    "clipnorm",
    "clipvalue",
    "global_clipnorm",
    "use_ema",
    "ema_momentum",
    "ema_overwrite_frequency",
    "loss_scale_factor",
    "gradient_accumulation_steps",
    "name",
)


def base_arguments(arguments):
    """Of a constructor's `locals()`, what `Optimizer.__init__` takes."""
    return {name: arguments[name] for name in _BASE_ARGUMENTS} | arguments["kwargs"]


@export("optimizers.Optimizer", "Optimizer")
class Optimizer(TracksItself):
    """Base class of optimizers: subclass it, create state in `build`, write `update_step`.

    One call of `apply` divides gradients by `loss_scale_factor`, averages them over
    `gradient_accumulation_steps` calls, clips them (`clipnorm` each, `global_clipnorm` together,
    `clipvalue` elementwise), decays weights by `weight_decay * learning_rate`, runs `update_step`,
    keeps the moving average of the weights (`use_ema`), and applies the variables' constraints.

    Args: learning_rate is a float, a LearningRateSchedule or a callable without arguments.
    `ema_overwrite_frequency` writes the average into the weights every so many steps.
    Raises: ValueError for options that contradict one another or are out of range.
    Source: Keras 3.15 `keras.optimizers.Optimizer`.
    """

    # An elementwise rule sets this beside its `update_step`: it then runs once for many variables.
    elementwise = False

    def __init__(
        self,
        learning_rate,
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
        self._lock = False
        owner = type(self).__name__
        if kwargs.pop("decay", None) is not None:
            warnings.warn(
                f"{owner}: `decay` is no argument any more and has no effect. "
                "Use a learning rate schedule.",
                stacklevel=3,
            )
        if kwargs:
            raise ValueError(f"{owner}: unknown arguments {kwargs}")
        _check_options(owner, gradient_accumulation_steps, use_ema, ema_momentum,
                       ema_overwrite_frequency)  # fmt: skip
        clipping.check(owner, clipnorm, clipvalue, global_clipnorm)
        self.name = name or auto_name(owner)
        self.weight_decay = weight_decay
        self.clipnorm = clipnorm
        self.clipvalue = clipvalue
        self.global_clipnorm = global_clipnorm
        self.use_ema = use_ema
        self.ema_momentum = ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.loss_scale_factor = loss_scale_factor
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self.built = False
        self._variables = []
        self._trainable_variables = []
        self._trainable_variables_indices = {}
        self._slots = []
        self._model_variables_moving_average = self._accumulated_gradients = None
        self._flat = None
        self._excluded, self._excluded_pattern = (), None
        self._is_elementwise = _is_elementwise(type(self))
        self._tracker = self._new_tracker()
        self._iterations = self._scalar_variable(0, "iteration", "int64")
        if isinstance(learning_rate, LearningRateSchedule) or callable(learning_rate):
            self._learning_rate = learning_rate
        elif isinstance(learning_rate, float):
            self._learning_rate = self._scalar_variable(
                learning_rate, "learning_rate", config.floatx()
            )
        else:
            checks.fail(
                owner,
                "learning_rate",
                "a float, a LearningRateSchedule or a callable without arguments",
                learning_rate,
            )

    def _new_tracker(self):
        return Tracker({"variables": (is_variable, self._variables)})

    def _scalar_variable(self, value, name, dtype):
        # What the host reads at every step stays there.
        with name_scope(self.name, caller=self), device(CPU):
            return Variable(
                value,
                dtype=dtype,
                trainable=False,
                aggregation="only_first_replica",
                name=name,
            )

    # State

    @property
    def variables(self):
        return self._variables[:]

    @property
    def iterations(self):
        if self.gradient_accumulation_steps:
            return Tensor(np.asarray(self.steps_done()))
        return self._iterations

    def steps_done(self):
        """`iterations` as an int."""
        return int(self._iterations.data) // (self.gradient_accumulation_steps or 1)

    @untracked
    def build(self, variables):
        """Create the state for `variables`, the trainable variables in the order of gradients."""
        variables = list(variables)
        self._trainable_variables = variables
        self._trainable_variables_indices = {id(v): i for i, v in enumerate(variables)}
        if self._is_elementwise:
            self._flat = FlatParameters(variables)
        if self.use_ema:
            averages = self._state_like(variables, "average")
            self._model_variables_moving_average = averages
            self._set_blocks("average", averages)
        if self.gradient_accumulation_steps:
            self._accumulated_gradients = [
                self.add_variable_from_reference(variable, name="gradient_accumulator")
                for variable in variables
            ]
            self._set_blocks("accumulator", self._accumulated_gradients)
        self.built = True

    def _set_blocks(self, role, variables):
        if self._flat is not None:
            for block, new in zip(self._flat.blocks, self._flat.add(variables), strict=True):
                if role == "slot":
                    block.slots.append(new)
                else:
                    setattr(block, role, new)

    def _state_like(self, variables, name, initializer="zeros"):
        return [
            None
            if variable.overwrite_with_gradient
            else self.add_variable_from_reference(variable, name=name, initializer=initializer)
            for variable in variables
        ]

    def add_variable(
        self, shape, initializer="zeros", dtype=None, aggregation="none", layout=None, name=None
    ):
        """A new variable of the optimizer, saved with it."""
        self._check_super_called()
        if isinstance(initializer, str) and initializer == "zeros":
            initializer = _zeros
        with name_scope(self.name, caller=self):
            variable = Variable(
                initializer,
                shape=shape,
                dtype=dtype,
                trainable=False,
                aggregation=aggregation,
                layout=layout,
                name=name,
            )
        self._tracker.track(variable)
        return variable

    def add_variable_from_reference(self, reference_variable, name=None, initializer="zeros"):
        """A new variable of the shape and dtype of a model's, named "<its path>_<name>"."""
        path = reference_variable.path.replace("/", "_")
        return self.add_variable(
            shape=reference_variable.shape,
            initializer=initializer,
            dtype=reference_variable.dtype,
            name=f"{path}_{name or 'var'}",
        )

    def add_optimizer_variables(self, trainable_variables, name, initializer="zeros"):
        """State for each trainable variable: a list, or a tuple of lists for a list of names.

        A variable with `overwrite_with_gradient` gets None.
        Raises: ValueError when the numbers of names and initializers differ.
        """
        names = [name] if isinstance(name, str) else list(name)
        several = isinstance(initializer, (list, tuple))
        initializers = list(initializer) if several else [initializer] * len(names)
        if len(names) != len(initializers):
            raise ValueError(
                f"{type(self).__name__}.add_optimizer_variables: `initializer` must hold one entry "
                f"for each name. Received: name={name!r}, initializer={initializer!r}"
            )
        lists = tuple([] for _ in names)
        for variable in trainable_variables:
            # Interleaved, variable by variable: the order in files.
            for state, own_name, own_initializer in zip(lists, names, initializers, strict=True):
                state.extend(self._state_like([variable], own_name, own_initializer))
        for state in lists:
            if len(state) == len(self._trainable_variables):
                self._slots.append(state)
                self._set_blocks("slot", state)
        return lists[0] if isinstance(name, str) else lists

    def slots_of(self, variable):
        """The state of one variable (or block) made by `add_optimizer_variables`, in its order."""
        if type(variable) is Block:
            return variable.slots
        index = self._get_variable_index(variable)
        return [state[index] for state in self._slots]

    def _get_variable_index(self, variable):
        return self._trainable_variables_indices[id(variable)]

    # Updates

    def update_step(self, gradient, variable, learning_rate):
        """Update one variable; a subclass writes it."""
        raise NotImplementedError(f"{type(self).__name__} has no `update_step` method.")

    def run_rule(self, rule, variable, gradient, slots, *options):
        """Run an in-place kernel `rule(weights, gradient, *slots, *options)` on flat arrays."""
        if type(variable) is Block:
            rule(variable.data, gradient.data, *[slot.data for slot in slots], *options)
            return
        # A user's `update_step` called ours, with a variable of any shape and dtype.
        block = Block.around(variable)
        block.slots = [Block.around(slot) for slot in slots]
        block.load([_raw(gradient)], own=False)
        rule(block.data, block.gradient.data, *[slot.data for slot in block.slots], *options)
        block.push()

    def assign(self, variable, value):
        """Write `value` into a variable."""
        variable.assign(value)

    def assign_add(self, variable, value):
        """Add `value` to a variable."""
        variable.assign_add(value)

    def assign_sub(self, variable, value):
        """Subtract `value` from a variable."""
        variable.assign_sub(value)

    def apply_gradients(self, grads_and_vars):
        """`apply` for (gradient, variable) pairs; returns the iterations variable."""
        pairs = list(grads_and_vars)
        if not pairs:
            raise ValueError(
                f"{type(self).__name__}.apply_gradients: `grads_and_vars` must hold at least one "
                "pair. Received: grads_and_vars=[]"
            )
        grads, variables = zip(*pairs, strict=True)
        self.apply(list(grads), list(variables))
        return self._iterations

    def apply(self, grads, trainable_variables=None):
        """Update the variables with one gradient each (None: the variable is left as it is).

        `trainable_variables` builds the optimizer at the first call; later it may name a part.
        Raises: ValueError for unknown variables, numbers or shapes that differ, or no gradient.
        """
        if len(grads) == 0:
            return
        variables = self._variables_for(grads, trainable_variables)
        gradients = [g if type(g) is np.ndarray else _raw(g) for g in grads]
        if any([g is None for g in gradients]):
            gradients, variables = self._without_missing(gradients, variables)
        if any([v.overwrite_with_gradient for v in variables]):
            gradients, variables = self._overwrite(gradients, variables)
        if WRITES.stateless is not None:
            for variable in (*variables, *self.variables):
                variable.writable()
        if gradients:
            step.apply_arrays(self, gradients, variables)
            for variable in variables:
                if variable._constraint is not None:
                    variable.assign(variable._constraint(variable))
        self._iterations.data += 1

    def _variables_for(self, grads, given):
        variables = self._trainable_variables
        if given is not None and not (given is variables and self.built):
            given = list(given)
            if not self.built:
                with name_scope(self.name, caller=self):
                    self.build(given)
                self.built = True
            variables = self._trainable_variables
            # The same list object tells later steps that the gradients are complete.
            if len(given) != len(variables) or not all(map(is_, given, variables)):
                self._check_known(given)
                variables = given
        elif not self.built:
            raise ValueError(
                f"{type(self).__name__}.apply: `trainable_variables` must be given unless the "
                "optimizer is built. Call `optimizer.build(trainable_variables)` first."
            )
        if len(grads) != len(variables):
            raise ValueError(
                f"{type(self).__name__}.apply: `grads` must hold one gradient for each of the "
                f"{len(variables)} trainable variables. Received: {len(grads)} gradients"
            )
        return variables

    def _check_known(self, variables):
        for variable in variables:
            if id(variable) not in self._trainable_variables_indices:
                raise ValueError(
                    f"{type(self).__name__}.apply: `trainable_variables` must be among those the "
                    "optimizer was built with; make a new optimizer for new variables. "
                    f"Received: {variable.path!r}"
                )

    def _without_missing(self, gradients, variables):
        pairs = zip(gradients, variables, strict=True)
        kept = [(g, v) for g, v in pairs if g is not None]
        if not kept:
            raise ValueError(
                f"{type(self).__name__}.apply: No gradients provided for any variable. `grads` "
                f"must hold at least one. Received: None for all of {[v.path for v in variables]}"
            )
        missing = [v.path for g, v in zip(gradients, variables, strict=True) if g is None]
        warnings.warn(
            f"Gradients do not exist for variables {missing} when minimizing the loss. "
            "If using `model.compile()`, did you forget to provide a `loss` argument?",
            stacklevel=3,
        )
        return [g for g, _ in kept], [v for _, v in kept]

    def _overwrite(self, gradients, variables):
        """Variables with `overwrite_with_gradient` take their gradient as value.

        Of accumulated gradients they take the elementwise maximum, when all have come.
        """
        kept = []
        steps = self.gradient_accumulation_steps
        update = not steps or (int(self._iterations.data) + 1) % steps == 0
        for gradient, variable in zip(gradients, variables, strict=True):
            if not variable.overwrite_with_gradient:
                kept.append((gradient, variable))
                continue
            if steps:
                held = self._accumulated_gradients[self._get_variable_index(variable)]
                gradient = np.maximum(gradient, held.data)
                held.assign(np.zeros_like(gradient) if update else gradient)
            if update:
                variable.assign(gradient)
        return [g for g, _ in kept], [v for _, v in kept]

    def before_update(self):
        """What a rule does once a step, before the `update_step` of each variable."""

    # Weight decay and averages

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        """No decay for the variables in `var_list` and those whose path matches one of `var_names`.

        Raises: ValueError once the optimizer is built.
        """
        if self.built:
            raise ValueError(
                f"{type(self).__name__}.exclude_from_weight_decay: the optimizer must not be built "
                "yet when variables are excluded."
            )
        self.__dict__["_excluded"] = tuple(
            var_list or ()
        )  # the model's, not state of the optimizer
        self._excluded_pattern = re.compile("|".join(set(var_names))) if var_names else None

    def _use_weight_decay(self, variable):
        pattern = self._excluded_pattern
        if any([variable is one for one in self._excluded]):
            return False
        return pattern is None or pattern.search(variable.path) is None

    def _decay_of(self, variable):
        """The weight decay of one variable, None or 0 for none."""
        return self.weight_decay if self._use_weight_decay(variable) else None

    def _apply_weight_decay(self, variables):
        """`variable -= variable * decay * learning_rate`, what `apply` does in its kernels."""
        rate = self._current_rate()
        for variable in variables:
            decay = self._decay_of(variable)
            if decay:
                kind = dtypes.numpy_dtype(variable._dtype).type
                variable.assign(variable.data - variable.data * kind(decay) * kind(rate))

    def _clip_gradients(self, grads):
        """The gradients (None for none) clipped as the options say."""
        return clipping.clipped(self, grads)

    def _decays_differ(self):
        return bool(self._excluded) or self._excluded_pattern is not None

    def finalize_variable_values(self, var_list):
        """At the end of training: with `use_ema`, the weights become their moving average."""
        if self.use_ema:
            step.overwrite_with_average(self, list(var_list))

    def scale_loss(self, loss):
        """The loss times `loss_scale_factor`, to be differentiated in its place."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    def stateless_apply(self, optimizer_variables, grads, trainable_variables):
        """`apply` on given values: (new values of trainable variables, of optimizer variables).

        The variables themselves keep their values.
        """
        self._check_super_called()
        if not self.built:
            raise ValueError(
                f"{type(self).__name__}.stateless_apply: the optimizer must be built. "
                "Call `optimizer.build(trainable_variables)` first."
            )
        own, model = self.variables, self._trainable_variables
        for name, given, expected in (
            ("optimizer_variables", optimizer_variables, own),
            ("trainable_variables", trainable_variables, model),
        ):
            if len(given) != len(expected):
                raise ValueError(
                    f"{type(self).__name__}.stateless_apply: `{name}` must hold {len(expected)} "
                    f"values. Received: {len(given)} values"
                )
        values = [*trainable_variables, *optimizer_variables]
        with StatelessScope(zip([*model, *own], values, strict=True)) as scope:
            self.apply(grads)
        return tuple([scope.get_current_value(v) for v in part] for part in (model, own))

    # Learning rate

    @property
    def learning_rate(self):
        if isinstance(self._learning_rate, LearningRateSchedule):
            return self._learning_rate(self._iterations)
        if isinstance(self._learning_rate, Variable):
            return self._learning_rate
        return self._learning_rate()

    @learning_rate.setter
    def learning_rate(self, learning_rate):
        before = self._learning_rate
        if isinstance(learning_rate, LearningRateSchedule) or callable(learning_rate):
            self._learning_rate = learning_rate
            if isinstance(before, Variable):
                self._tracker.untrack(before)
        elif isinstance(before, Variable):
            before.assign(learning_rate)
        else:
            raise TypeError(
                f"{type(self).__name__}: `learning_rate` cannot be set to a value, because it is a "
                "schedule or a callable (This optimizer was created with a "
                "`LearningRateSchedule`). Give the constructor a float to make it settable. "
                f"Received: learning_rate={learning_rate!r}"
            )

    def _current_rate(self):
        rate = self._learning_rate
        if isinstance(rate, Variable):
            return rate.data.item()
        with device(CPU):  # a schedule's few numbers
            return float(np.asarray(_raw(self.learning_rate), config.floatx()))

    # Saving

    def set_weights(self, weights):
        """Set all variables of the optimizer, in the order of `variables`."""
        owner = f"{type(self).__name__}.set_weights"
        if not self.built:
            raise ValueError(
                f"{owner}: You are calling `set_weights()` on an optimizer that must be built "
                "first, by `optimizer.build(trainable_variables)`."
            )
        for variable, weight in zip(self.variables, weights, strict=False):
            if variable.shape != tuple(weight.shape):
                raise ValueError(
                    f"{owner}: each weight must have its variable's shape {variable.shape}. "
                    f"Received: shape {tuple(weight.shape)} for {variable.path!r}"
                )
            variable.assign(weight)

    def save_own_variables(self, store):
        """Write the variables to a dict-like store, under "0", "1", ..."""
        for i, variable in enumerate(self.variables):
            store[str(i)] = variable.numpy()

    def load_own_variables(self, store):
        """Read the variables back; warns and reads nothing when their number differs."""
        if len(store.keys()) != len(self.variables):
            warnings.warn(
                f"Skipping variable loading for optimizer '{self.name}', because it has "
                f"{len(self.variables)} variables whereas the saved optimizer has "
                f"{len(store.keys())} variables. ",
                stacklevel=2,
            )
            return
        for i, variable in enumerate(self.variables):
            variable.assign(store[str(i)])

    def get_config(self):
        rate = self._learning_rate
        if isinstance(rate, Variable):
            learning_rate = float(rate.numpy())
        else:
            learning_rate = serialization.serialize_keras_object(rate)
        return {
            "name": self.name,
            "learning_rate": learning_rate,
            "weight_decay": self.weight_decay,
            "clipnorm": self.clipnorm,
            "global_clipnorm": self.global_clipnorm,
            "clipvalue": self.clipvalue,
            "use_ema": self.use_ema,
            "ema_momentum": self.ema_momentum,
            "ema_overwrite_frequency": self.ema_overwrite_frequency,
            "loss_scale_factor": self.loss_scale_factor,
            "gradient_accumulation_steps": self.gradient_accumulation_steps,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """The optimizer that `get_config` described."""
        config = dict(config)
        if isinstance(config.get("learning_rate"), dict):
            config["learning_rate"] = serialization.deserialize_keras_object(
                config["learning_rate"], custom_objects=custom_objects
            )
        return cls(**config)

    def _check_super_called(self):
        if "_lock" not in self.__dict__:
            raise RuntimeError(
                f"{type(self).__name__}: call `super().__init__()` first in `__init__()`, before "
                "setting attributes."
            )

    def _state_of_copy(self):
        # A copy's variables lie on their own, so it updates them one by one.
        return {**self.__dict__, "_flat": None, "_trainable_variables_indices": None}

    def __setstate__(self, state):
        super().__setstate__(state)
        variables = self._trainable_variables
        self.__dict__["_trainable_variables_indices"] = {id(v): i for i, v in enumerate(variables)}

    def __setattr__(self, name, value):
        if name != "_lock":
            self._check_super_called()
        tracker = self.__dict__.get("_tracker")
        if tracker is not None and not self.__dict__.get("_tracking_off", False):
            value = tracker.track(value)
        super().__setattr__(name, value)


def _check_options(owner, steps, use_ema, ema_momentum, ema_overwrite_frequency):
    if steps and not steps >= 2:
        checks.fail(owner, "gradient_accumulation_steps", "an int of at least 2, or None", steps)
    if use_ema:
        if not isinstance(ema_momentum, Real) or not 0 <= ema_momentum <= 1:
            checks.fail(owner, "ema_momentum", "in the range [0, 1]", ema_momentum)
        if ema_overwrite_frequency and (
            not isinstance(ema_overwrite_frequency, int) or ema_overwrite_frequency < 1
        ):
            checks.fail(
                owner,
                "ema_overwrite_frequency",
                "an int of at least 1, or None",
                ema_overwrite_frequency,
            )


def _is_elementwise(cls):
    # A subclass that overrides `update_step` of an elementwise rule says so again, or not.
    owner = next(base for base in cls.__mro__ if "update_step" in vars(base))
    return vars(owner).get("elementwise", False)


def _zeros(shape, dtype):
    return np.zeros(shape, dtypes.numpy_dtype(dtype))


def power(base, step, real):
    """`base ** step` in the dtype `real`; as in Keras, the base is first rounded to `floatx`."""
    base = dtypes.numpy_dtype(config.floatx()).type(base)
    return np.power(real(base), real(step))


def constant(value):
    """An initializer of state: `value` everywhere."""
    return lambda shape, dtype: np.full(shape, value, dtypes.numpy_dtype(dtype))


def _raw(value):
    return None if value is None else array_of(value)
