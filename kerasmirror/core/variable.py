"""Variable: a named, assignable tensor."""

from __future__ import annotations

import contextlib
import itertools
import threading

import numpy as np

from kerasmirror._export import export, lookup
from kerasmirror.core import dtypes, scopes
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
                f"keras.Variable: `name` must be a string without `/`. Received: name={name!r}"
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
        self.overwrite_with_gradient = False
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
                    "keras.Variable: `shape` must be given with a callable initializer. "
                    f"Received: initializer={initializer!r}, shape=None"
                )
            shape = standardize_shape(shape, "keras.Variable")
            if None in shape:
                raise ValueError(
                    "keras.Variable: `shape` must be known in full. "
                    f"Received: shape={shape} for {self._path!r}"
                )
            self._dtype = dtypes.standardize_dtype(dtype)
            values = initializer(shape, dtype=self._dtype)
        else:
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
        array = np.array(_raw(values), dtype=dtypes.numpy_dtype(self._dtype), order="C")
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
        return np.array(self.data)

    def assign(self, value):
        """Overwrite the values; returns the new value as a tensor.

        Raises: ValueError when the shapes differ; the variable is unchanged then.
        """
        array = np.asarray(_raw(value))
        if value is None:
            raise ValueError(
                "keras.Variable.assign: `value` must be an array. "
                f"Received: value=None for variable {self._path!r}"
            )
        if array.dtype.kind in "USO" or (array.dtype.kind == "c" and self.data.dtype.kind != "c"):
            raise TypeError(
                f"keras.Variable.assign: `value` must hold numbers that {self._dtype} can take. "
                f"Received: value={value!r} for variable {self._path!r}"
            )
        if array.shape != self.data.shape:
            raise ValueError(
                f"keras.Variable.assign: `value` must have the variable's shape {self.shape}. "
                f"Received: value.shape={array.shape} for variable {self._path!r}"
            )
        if _UNDO.log is not None:
            _UNDO.log.append((self, self.data.copy()))
        np.copyto(self.data, array, casting="unsafe")
        return Tensor(self.data)

    def assign_add(self, value):
        """Add to the values in place."""
        return self.assign(np.add(self.data, _raw(value)))

    def assign_sub(self, value):
        """Subtract from the values in place."""
        return self.assign(np.subtract(self.data, _raw(value)))

    def move_to(self, buffer):
        """Keep the values in `buffer` (same shape and dtype) from now on."""
        np.copyto(buffer, self.data)
        self.data = buffer

    def __array__(self, dtype=None, copy=None):
        return np.array(self.data, dtype=dtype)

    def __len__(self):
        return len(self.data)

    def __bool__(self):
        raise TypeError(
            "keras.Variable: a variable is neither true nor false; compare its value, for example "
            f"`variable.numpy() > 0`. Received: {self._path!r} of shape {self.shape}"
        )

    def __int__(self):
        return int(self._single())

    def __float__(self):
        return float(self._single())

    def _single(self):
        if self.data.size != 1:
            raise TypeError(
                "keras.Variable: only a variable with one value becomes a Python number. "
                f"Received: {self._path!r} of shape {self.shape}"
            )
        return self.data.item()

    def __index__(self):
        return self.data.__index__()

    def __deepcopy__(self, memo):
        twin = type(self)(
            self.data.copy(),
            dtype=self._dtype,
            trainable=self._trainable,
            name=self._name,
            autocast=self._autocast,
            aggregation=self._aggregation,
        )
        twin._path = self._path
        twin._regularizer, twin._constraint = self._regularizer, self._constraint
        memo[id(self)] = twin
        return twin

    def __repr__(self):
        values = np.array2string(self.data, separator=", ", threshold=100)
        return (
            f"<Variable path={self._path}, shape={self.shape}, dtype={self.dtype}, value={values}>"
        )


class _Undo(threading.local):
    log = None


_UNDO = _Undo()


@contextlib.contextmanager
def all_or_nothing():
    """Within it, an error takes back every `assign` of this thread before it is raised on."""
    before, _UNDO.log = _UNDO.log, []
    try:
        yield
    except BaseException:
        log, _UNDO.log = _UNDO.log, None
        for variable, values in reversed(log):
            np.copyto(variable.data, values)
        raise
    finally:
        _UNDO.log = before


def _raw(value):
    return value.data if isinstance(value, (Tensor, Variable)) else value


def _regular(values):
    try:
        np.asarray(_raw(values))
    except ValueError:
        raise ValueError(
            "keras.Variable: `initializer` must be an array without ragged rows. "
            f"Received: initializer={values!r}"
        ) from None


def _option(name, value, allowed):
    value = "none" if value is None else value
    if value not in allowed:
        raise ValueError(
            f"keras.Variable: `{name}` must be one of {allowed} or None. Received: {name}={value!r}"
        )
    return value


def _callable_or_none(name, value):
    if value is not None and not callable(value):
        raise ValueError(
            f"keras.Variable: `{name}` must be a callable or None. Received: {name}={value!r}"
        )
    return value
