"""Variable: a named, assignable tensor."""

from __future__ import annotations

import contextlib
import itertools
import weakref

import numpy as np

from kerasmirror._export import export, lookup
from kerasmirror.core import budget, dtypes, scopes
from kerasmirror.core.device import (
    CPU,
    GPU,
    copied,
    current_device,
    device,
    host,
    overwrite,
    placed,
)
from kerasmirror.core.names import auto_name
from kerasmirror.core.symbolic import standardize_shape
from kerasmirror.core.tensor import Tensor

_AGGREGATIONS = ("none", "mean", "sum", "only_first_replica")
_SYNCHRONIZATIONS = ("none", "on_read", "on_write", "auto")

# Numbers on the tape: one counter for variables and recorded tensors, so none is given twice.
next_key = itertools.count(1).__next__


@export("Variable")
class Variable:
    """State with a name: `data` is its array, `value` its tensor, `path` its place in the model.

    Once an optimizer is built, `data` may be a view into the optimizer's flat buffer; `assign`
    writes in place, so everybody who holds the view sees the new values.

    Args: initializer is an array, a callable `(shape, dtype) -> array`, or an initializer's name;
    the latter two need `shape`. `aggregation`, `synchronization` and `layout` describe distributed
    variables; on one machine they are kept and have no effect.
    Raises: ValueError for a bad name, shape or option.
    Source: Keras 3.15 `keras.Variable`.
    """

    # The initializer of a variable made in a StatelessScope, until it has its values.
    _initializer = None

    def __init__(
        self,
        initializer,
        shape=None,
        dtype=None,
        trainable=True,
        autocast=True,
        aggregation="none",
        synchronization="auto",
        name=None,
        layout=None,
        **kwargs,
    ):
        if kwargs:
            raise TypeError(f"keras.Variable: unknown arguments {sorted(kwargs)}")
        name = name or auto_name(type(self).__name__)
        if not isinstance(name, str) or "/" in name:
            raise ValueError(
                "keras.Variable: Argument `name` must be a string and cannot contain character "
                f"`/`. Received: name={name!r}"
            )
        self._name = name
        scope = scopes.current_path()
        self._path = f"{scope}/{name}" if scope else name
        self._aggregation = _option("aggregation", aggregation, _AGGREGATIONS)
        self._synchronization = _option("synchronization", synchronization, _SYNCHRONIZATIONS)
        self._layout = layout
        self._trainable = bool(trainable)
        self._autocast = bool(autocast)
        self._regularizer = None
        self._constraint = None
        self._overwrite_with_gradient = False
        # Negative: the tape tells what stands for a variable from what was recorded.
        self.key = -next_key()
        self.watched = False
        self.data = self._initial_data(initializer, shape, dtype)

    def _initial_data(self, initializer, shape, dtype):
        if isinstance(initializer, str):
            initializer = lookup("initializers.get")(initializer)
        if callable(initializer) and not hasattr(initializer, "__array__"):
            if shape is None:
                raise ValueError(
                    "keras.Variable: When creating a Variable from an initializer, the `shape` "
                    f"argument must be given. Received: initializer={initializer!r}, shape=None"
                )
            shape = standardize_shape(shape, "keras.Variable")
            if None in shape:
                raise ValueError(
                    "keras.Variable: `shape` must be known in full. "
                    f"Received: shape={shape} for {self._path!r}"
                )
            self._dtype = dtypes.standardize_dtype(dtype)
            budget.spend(shape, self._dtype, self._path)
            with _on_the_host():
                values = initializer(shape, dtype=self._dtype)
            if scopes.WRITES.stateless is not None:
                self._initializer = initializer
                scopes.WRITES.uninitialized.append(weakref.ref(self))
        else:
            if scopes.WRITES.stateless is not None:
                raise ValueError(
                    "keras.Variable: in a StatelessScope a variable can be made of an initializer "
                    "and a shape only, not of values: make it before, in `__init__()` or in "
                    "`build()` by `add_weight()`. Received: "
                    f"initializer={initializer!r} for {self._path!r} while in a stateless scope"
                )
            values = initializer
            _regular(initializer)
            plain = dtype is None and not hasattr(initializer, "dtype")
            if plain and np.asarray(initializer).dtype == np.float64:
                dtype = dtypes.standardize_dtype(None)  # Python floats take floatx
            elif plain and np.asarray(initializer).dtype == np.int64:
                dtype = "int32"
            self._dtype = dtypes.standardize_dtype(
                dtype
                if dtype is not None
                else initializer.dtype
                if hasattr(initializer, "dtype")
                else np.asarray(initializer).dtype
            )
        if self._dtype == "string":
            raise ValueError(
                "keras.Variable: `initializer` must give numbers. "
                f"Received: initializer={initializer!r} for {self._path!r}"
            )
        array = _own(_raw(values), dtypes.numpy_dtype(self._dtype))
        if shape is not None and array.shape != standardize_shape(shape):
            raise ValueError(
                f"keras.Variable: the initial value must have shape {tuple(shape)}. "
                f"Received: a value of shape {array.shape} for {self._path!r}"
            )
        return array

    @property
    def value(self):
        from_dtype = scopes.autocast_dtype()
        if from_dtype is not None and self._autocast and from_dtype != self._dtype:
            if dtypes.is_float_dtype(self._dtype):
                return lookup("ops.cast")(self._as_tensor(), from_dtype)
        return self._as_tensor()

    def _as_tensor(self):
        return Tensor(self.data, self.key if self._trainable or self.watched else None)

    @property
    def name(self):
        return self._name

    @name.setter
    def name(self, value):
        self._name = value

    @property
    def path(self):
        return self._path

    @property
    def shape(self):
        return self.data.shape

    @property
    def ndim(self):
        return self.data.ndim

    @property
    def dtype(self):
        cast = scopes.autocast_dtype()
        if cast is not None and self._autocast and dtypes.is_float_dtype(self._dtype):
            return cast
        return self._dtype

    @property
    def trainable(self):
        return self._trainable

    @trainable.setter
    def trainable(self, value):
        self._trainable = bool(value)

    @property
    def aggregation(self):
        return self._aggregation

    @property
    def synchronization(self):
        return self._synchronization

    @property
    def autocast(self):
        return self._autocast

    @property
    def overwrite_with_gradient(self):
        """Whether an optimizer puts the gradient in the place of the value (float8 training)."""
        return self._overwrite_with_gradient

    @overwrite_with_gradient.setter
    def overwrite_with_gradient(self, value):
        if not isinstance(value, bool):
            raise TypeError(
                "keras.Variable: `overwrite_with_gradient` must be a boolean. "
                f"Received: overwrite_with_gradient={value!r}"
            )
        self._overwrite_with_gradient = value

    @property
    def regularizer(self):
        return self._regularizer

    @regularizer.setter
    def regularizer(self, value):
        self._regularizer = _callable_or_none("regularizer", value)

    @property
    def constraint(self):
        return self._constraint

    @constraint.setter
    def constraint(self, value):
        self._constraint = _callable_or_none("constraint", value)

    def numpy(self):
        """A copy of the values."""
        return np.array(host(self.data))

    def assign(self, value):
        """Overwrite the values; returns the new value as a tensor.

        Raises: ValueError when the shapes differ; the variable is unchanged then.
        """
        if value is None:
            raise ValueError(
                "keras.Variable.assign: `value` must be an array. "
                f"Received: value=None for variable {self._path!r}"
            )
        array = _raw(value)
        if not hasattr(array, "to_host"):
            array = np.asarray(array)
        if array.dtype.kind in "USO" or (array.dtype.kind == "c" and self.data.dtype.kind != "c"):
            raise TypeError(
                f"keras.Variable.assign: `value` must hold numbers that {self._dtype} can take. "
                f"Received: value={value!r} for variable {self._path!r}"
            )
        if array.shape != self.data.shape:
            raise ValueError(
                "keras.Variable.assign: The shape of the target variable and the shape of the "
                f"target value must match. Received: value.shape={array.shape} for variable "
                f"{self._path!r} of shape {self.shape}"
            )
        if scopes.WRITES.stateless is not None:
            return self._assign_in_scope(value)
        if scopes.WRITES.observer is not None:
            scopes.WRITES.observer.before_write(self)
        if GPU.used:
            overwrite(self.data, array)
            same = type(value) is Tensor and array.dtype == self.data.dtype
            return value if same else Tensor(copied(self.data))
        np.copyto(self.data, array, casting="unsafe")
        same = type(value) is Tensor and array.dtype == self.data.dtype
        return value if same else Tensor(np.array(self.data))

    def _assign_in_scope(self, value):
        if scopes.WRITES.observer is not scopes.WRITES.stateless:
            scopes.WRITES.observer.before_write(self)
        scopes.WRITES.stateless.add_update((self, value))
        return self._as_tensor()

    def assign_add(self, value):
        """Add to the values in place."""
        if scopes.WRITES.stateless is not None:
            return self.assign(self._as_tensor() + value)
        return self.assign(
            self._as_tensor() + value if GPU.used else np.add(self.data, _raw(value))
        )

    def assign_sub(self, value):
        """Subtract from the values in place."""
        if scopes.WRITES.stateless is not None:
            return self.assign(self._as_tensor() - value)
        return self.assign(
            self._as_tensor() - value if GPU.used else np.subtract(self.data, _raw(value))
        )

    def writable(self):
        """`data`, to be written to in place; an open StatelessScope gives an array of its own."""
        if scopes.WRITES.stateless is not None:
            scopes.WRITES.observer.before_write(self)
        return self.data

    def accumulate(self, value):
        """`data += value` in place: what metrics do in each step."""
        if scopes.WRITES.stateless is not None:
            scopes.WRITES.observer.before_write(self)
        if not GPU.used:
            self.data += value
        elif isinstance(self.data, np.ndarray):
            self.data += value.to_host() if hasattr(value, "to_host") else value
        else:
            on_host = isinstance(value, np.ndarray) and value.ndim
            overwrite(self.data, self.data + (placed(value) if on_host else value))

    # What Keras's own variables offer beside their public methods.

    @property
    def _value(self):
        return None if self._initializer is not None else self._as_tensor()

    def _initialize(self, value):
        self.data = _own(_raw(value), dtypes.numpy_dtype(self._dtype))

    def _deferred_initialize(self):
        if self._initializer is None:
            raise ValueError(f"keras.Variable: Variable {self._path} is already initialized.")
        if scopes.WRITES.stateless is not None:
            raise ValueError(
                "keras.Variable: You are attempting to initialize a variable while in a stateless "
                "scope. This is disallowed. Leave the scope, which does it at its end. "
                f"Received: {self._path!r}"
            )
        initializer, self._initializer = self._initializer, None
        self.assign(initializer(self.shape, dtype=self._dtype))

    def _convert_to_tensor(self, value, dtype=None):
        return lookup("ops.convert_to_tensor")(value, dtype=dtype)

    def move_to(self, buffer):
        """Keep the values in `buffer` (same shape and dtype) from now on."""
        overwrite(buffer, self.data)
        self.data = buffer

    def __array__(self, dtype=None, copy=None):
        return np.array(host(self.data), dtype=dtype)

    def __len__(self):
        return len(self.data)

    def __bool__(self):
        raise TypeError(
            "A Keras Variable cannot be used as a boolean. Compare its value, for example "
            f"`variable.numpy() > 0`. Received: {self._path!r} of shape {self.shape}"
        )

    def __int__(self):
        return int(self._single())

    def __float__(self):
        return float(self._single())

    def _single(self):
        if self.data.ndim:
            raise TypeError(
                "keras.Variable: Only scalar arrays can be converted to Python scalars. "
                f"Received: {self._path!r} of shape {self.shape}"
            )
        return self.data.item()

    def __index__(self):
        return self.data.__index__()

    def __deepcopy__(self, memo):
        twin = memo[id(self)] = object.__new__(type(self))
        twin.__setstate__({**self.__getstate__(), "data": copied(self.data)})
        return twin

    def __getstate__(self):
        # A number on the tape is one variable's alone.
        return {**self.__dict__, "key": None, "watched": False, "data": host(self.data)}

    def __setstate__(self, state):
        self.__dict__.update(state)
        if GPU.used and isinstance(self.data, np.ndarray):
            self.data = _own(self.data, self.data.dtype)
        self.key = -next_key()

    def __repr__(self):
        values = "" if self._initializer is not None else f", value={_text_of(self.data)}"
        return f"<Variable path={self._path}, shape={self.shape}, dtype={self.dtype}{values}>"


def array_of(value):
    """The values of a tensor, a variable or anything NumPy reads, as an array of their device."""
    if isinstance(value, (Tensor, Variable)):
        return value.data
    return value if hasattr(value, "to_host") else np.asarray(value)


def is_variable(value):
    """Whether `value` is a Variable."""
    return isinstance(value, Variable)


class WriteLog:
    """While open, notes what variables held before they were first written to."""

    def __init__(self):
        self.entries = []  # (variable, its values before)
        self._seen = set()

    def __enter__(self):
        self._outer = scopes.WRITES.observer
        scopes.WRITES.observer = self
        return self

    def __exit__(self, *error):
        scopes.WRITES.observer = self._outer

    def before_write(self, variable):
        """Note the values of `variable`, unless it is noted already."""
        if id(variable) not in self._seen:
            self._seen.add(id(variable))
            self.entries.append((variable, copied(variable.data)))
        if self._outer is not None:
            self._outer.before_write(variable)

    def take_back(self):
        """Give every noted variable the values it had."""
        for variable, values in self.entries:
            overwrite(variable.data, values)


@contextlib.contextmanager
def all_or_nothing():
    """Within it, an error takes back what this thread has written, before it is raised on."""
    with WriteLog() as log:
        try:
            yield
        except BaseException:
            log.take_back()
            raise


@contextlib.contextmanager
def trial():
    """Within it, what this thread writes lasts to the end only: a call on placeholders."""
    with WriteLog() as log:
        try:
            yield
        finally:
            log.take_back()


@contextlib.contextmanager
def in_earnest():
    """Within it, within a trial, what is written stays: the values that a layer is built with."""
    before = scopes.WRITES.observer
    if type(before) is WriteLog:
        scopes.WRITES.observer = None
    try:
        yield
    finally:
        scopes.WRITES.observer = before


def initialize_waiting():
    """Give their values to variables that were made in a StatelessScope."""
    waiting, scopes.WRITES.uninitialized = scopes.WRITES.uninitialized, []
    for reference in waiting:
        variable = reference()
        if variable is not None and variable._initializer is not None:
            variable._deferred_initialize()


def _raw(value):
    return value.data if isinstance(value, (Tensor, Variable)) else value


def _on_the_host():
    """Where initializers compute: the same first weights, to the bit, for every device."""
    return device(CPU) if GPU.used else contextlib.nullcontext()


def _own(values, dtype):
    """A new array with these values, on the current device."""
    if not GPU.used:
        return np.array(values, dtype=dtype, order="C")
    if isinstance(values, GPU.kernels.array.DeviceArray):
        if values.device == current_device():
            return copied(values) if values.dtype == dtype else GPU.kernels.cast(values, dtype)
        values = host(values)
    array = np.array(values, dtype=dtype, order="C")
    # Not as `placed` does, for which single values are shared.
    return array if current_device() == CPU else GPU.kernels.to_device(array)


def _text_of(array):
    return np.array2string(host(array), threshold=100)


def _regular(values):
    try:
        host(_raw(values)) if isinstance(values, (Tensor, Variable)) else np.asarray(values)
    except ValueError:
        raise ValueError(
            "keras.Variable: `initializer` must be an array without ragged rows. "
            f"Received: initializer={values!r}"
        ) from None


def _option(name, value, allowed):
    value = "none" if value is None else value
    if value not in allowed:
        raise ValueError(
            f"keras.Variable: Invalid value for argument `{name}`, it must be one of {allowed} or "
            f"None. Received: {name}={value!r}"
        )
    return value


def _callable_or_none(name, value):
    if value is not None and not callable(value):
        raise ValueError(
            f"keras.Variable: Invalid value for attribute `{name}`, it must be a callable or None. "
            f"Received: {name}={value!r}"
        )
    return value
