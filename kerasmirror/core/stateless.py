"""StatelessScope: inside it variables have other values, and what is written to them goes nowhere.

A variable's array is what kernels read, so the scope lends each variable another array (and the
place on the tape of the tensor it came from) and takes it back at the end. It lends to its thread
alone: others, and their scopes, see the variable's own or theirs. Whoever writes to an array in
place tells `scopes.WRITES.observer` before; the scope then makes that array its own.
"""

from __future__ import annotations

import functools
import weakref

from kerasmirror._export import export, lookup
from kerasmirror.core import scopes
from kerasmirror.core.device import copied
from kerasmirror.core.locks import lock_of
from kerasmirror.core.tensor import Tensor
from kerasmirror.core.variable import Variable, initialize_waiting


@export("StatelessScope")
class StatelessScope:
    """Context manager: variables read as `state_mapping` says and keep their own values.

    `assign` and updates in place go to the scope: `get_current_value(variable)` gives the latest
    value, or None for a variable that the scope has not met, also after the end. Gradients flow to
    the tensors of `state_mapping`. `losses` has what `Layer.add_loss` got, with `collect_losses`. A
    variable that is created inside gets its values at the end, unless `initialize_variables` is
    False. A scope within a scope starts from the variables' own values. Other threads do not see
    the scope's values.

    Raises: ValueError for a key that is no variable, a value of another shape, and inside, for a
    new variable that is made of an array.
    Source: Keras 3.15 `keras.StatelessScope`.
    """

    def __init__(self, state_mapping=None, collect_losses=False, initialize_variables=True):
        self.collect_losses = collect_losses
        self.initialize_variables = initialize_variables
        self.losses = []
        self._loss_owners = {}  # id of a loss: the layer that added it
        self.state_mapping = {}
        self._met = {}  # id: the variable
        self._lent = {}  # id: a variable's attributes in here, by name, while the scope is open
        self._private = set()  # ids of variables whose array nobody else holds
        for variable, value in state_mapping or ():
            if not isinstance(variable, Variable):
                raise ValueError(
                    "keras.StatelessScope: all keys in argument `mapping` must be Variable "
                    f"instances. Received: {variable!r}"
                )
            tensor = _as_tensor(variable, value)
            if tensor.shape != variable.shape:
                raise ValueError(
                    "keras.StatelessScope: all values in argument `mapping` must be tensors with "
                    f"the shape of their variable. Received: a value of shape {tensor.shape} for "
                    f"{variable.path!r} of shape {variable.shape}"
                )
            self._met[id(variable)] = variable
            self.state_mapping[id(variable)] = tensor

    def __enter__(self):
        self.original_scope = scopes.WRITES.stateless
        self._outer_observer = scopes.WRITES.observer
        scopes.WRITES.stateless = scopes.WRITES.observer = self
        for number, tensor in self.state_mapping.items():
            self._lend(self._met[number], tensor)
        return self

    def __exit__(self, *args, **kwargs):
        self._take_back()
        scopes.WRITES.stateless = self.original_scope
        scopes.WRITES.observer = self._outer_observer
        if self.original_scope is None and self.initialize_variables:
            initialize_waiting()

    def add_loss(self, loss):
        """Keep a loss in `losses`."""
        self.losses.append(loss)

    def add_update(self, update):
        """Give a variable a value for the rest of the scope; `update` is (variable, value)."""
        variable, value = update
        self._lend(variable, _as_tensor(variable, value))
        self._private.discard(id(variable))

    def get_current_value(self, variable):
        """The value that the scope has for `variable`, a tensor, or None."""
        lent = self._lent.get(id(variable))
        if lent is not None:
            return Tensor(copied(lent["data"]), lent["key"])
        value = self.state_mapping.get(id(variable))
        if value is not None and value.data is variable.data:
            return Tensor(copied(value.data), value.key)  # the variable's own array
        return value

    def lent(self):
        """(variable, value) for each variable that has a value of the scope's now."""
        return [(self._met[n], Tensor(v["data"], v["key"])) for n, v in self._lent.items()]

    def before_write(self, variable):
        """Give `variable` an array that may be written to in place."""
        if id(variable) not in self._private:
            # What is written next is not on the tape.
            self._lend(variable, Tensor(copied(variable.data)), watched=False)
            self._private.add(id(variable))

    def _lend(self, variable, tensor, watched=True):
        number = id(variable)
        if number not in self._lent:
            self._met[number] = variable
            _become_lending(variable)
        self._lent[number] = {"data": tensor.data, "key": tensor.key, "watched": watched}

    def _take_back(self):
        for number, lent in self._lent.items():
            given = self.state_mapping.get(number)
            if given is None or given.data is not lent["data"]:
                self.state_mapping[number] = Tensor(lent["data"], lent["key"])
            _end_lending(self._met[number])
        self._lent.clear()
        self._private.clear()


def _as_tensor(variable, value):
    """`value` as a tensor of the variable's dtype, on the tape where it was."""
    if isinstance(value, Variable):
        value = value._as_tensor()
    if not isinstance(value, Tensor):
        # A copy: what the scope holds must not change with the caller's array.
        value = lookup("ops.convert_to_tensor")(value, dtype=variable._dtype)
    if value.dtype != variable._dtype:
        value = lookup("ops.cast")(value, variable._dtype)
    return value


# --- variables that scopes have values for ----------------------------------------------------

_lock = lock_of(globals(), "_lock")
_scopes_with = {}  # by a variable's id: how many open scopes, of any thread, have a value for it


def _attribute(name):
    def get(variable):
        scope = scopes.WRITES.stateless
        lent = None if scope is None else scope._lent.get(id(variable))
        return variable.__dict__[name] if lent is None else lent[name]

    def put(variable, value):
        scope = scopes.WRITES.stateless
        lent = None if scope is None else scope._lent.get(id(variable))
        (variable.__dict__ if lent is None else lent)[name] = value

    return property(get, put)


def _blank(cls):
    return object.__new__(cls)


@functools.cache
def _lending(cls):
    """The class of variables that open scopes have values for; those of the class `cls` otherwise.

    Each thread sees the values of its innermost scope. A variable is of such a class only that
    long: reading one takes no more time outside of scopes.
    """

    class Lending(cls):
        plain = cls
        data, key, watched = _attribute("data"), _attribute("key"), _attribute("watched")

        def __deepcopy__(self, memo):
            twin = memo[id(self)] = _blank(cls)
            twin.__setstate__({**self.__getstate__(), "data": copied(self.data)})
            return twin

        def __reduce_ex__(self, protocol):
            return _blank, (cls,), self.__getstate__()

    Lending.__name__, Lending.__module__ = cls.__name__, cls.__module__
    return Lending


def _become_lending(variable):
    with _lock:
        count = _scopes_with.get(id(variable), 0)
        if not count:
            variable.__class__ = _lending(type(variable))
        _scopes_with[id(variable)] = count + 1


def _end_lending(variable):
    with _lock:
        count = _scopes_with.pop(id(variable)) - 1
        if count:
            _scopes_with[id(variable)] = count
        else:
            variable.__class__ = type(variable).plain


# --- losses of layers -------------------------------------------------------------------------


_NONE = scopes.nothing, ()


def keep_losses(layer, losses):
    """Keep what `layer.add_loss` got in the open scope; False where none is open."""
    scope = scopes.WRITES.stateless
    if scopes.WRITES.losses is not None:
        scopes.WRITES.losses.extend([(layer, loss) for loss in losses])
    if scope is None:
        _added_by(layer).extend(losses)
        return False
    if scope.collect_losses:
        for loss in losses:
            scope.add_loss(loss)
            scope._loss_owners[id(loss)] = layer
    return True


def losses_of(layer, model=None):
    """The losses that `layer` has added: in the open scope, or in its last call.

    Where it was this thread that called `model` last, to which the layer belongs, in that call,
    whatever others do meanwhile.
    """
    scope = scopes.WRITES.stateless
    if scope is None:
        if model is not None and scopes.WRITES.called() is model:
            reference, losses = scopes.WRITES.added.get(id(layer), _NONE)
            return losses if reference() is layer else ()
        return layer._losses
    return [loss for loss in scope.losses if scope._loss_owners.get(id(loss)) is layer]


def begin_losses_of(layer):
    """This thread calls the layer, and not from within another's call."""
    if scopes.WRITES.stateless is None:
        scopes.WRITES.called, scopes.WRITES.added = weakref.ref(layer), {}


def _added_by(layer):
    """The list of what the layer has added in the last call of this thread."""
    reference, losses = scopes.WRITES.added.get(id(layer), _NONE)
    if reference() is not layer:
        losses = []
        scopes.WRITES.added[id(layer)] = weakref.ref(layer), losses
    return losses


def forget_losses_of(layer):
    """Drop the losses that `layer` has added in the open scope."""
    scope = scopes.WRITES.stateless
    dropped = losses_of(layer)
    if dropped:
        numbers = {id(loss) for loss in dropped}
        scope.losses[:] = [loss for loss in scope.losses if id(loss) not in numbers]
        for number in numbers:
            del scope._loss_owners[number]


def replace_loss(layer, loss, other):
    """Put `other` in the place of `loss`, which `layer` has added, in its list or in the scope."""
    scope = scopes.WRITES.stateless
    for losses in (layer._losses, _added_by(layer)) if scope is None else (scope.losses,):
        losses[:] = [other if one is loss else one for one in losses]
    if scope is not None and scope._loss_owners.pop(id(loss), None) is layer:
        scope._loss_owners[id(other)] = layer
