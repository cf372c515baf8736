"""StatelessScope: inside it variables have other values, and what is written to them goes nowhere.

A variable's array is what kernels read, so the scope lends each variable another array (and the
place on the tape of the tensor it came from) and takes it back at the end. Whoever writes to an
array in place tells `scopes.WRITES.observer` before; the scope then makes that array its own.
"""

from __future__ import annotations

import numpy as np

from kerasmirror._export import export, lookup
from kerasmirror.core import scopes
from kerasmirror.core.tensor import Tensor
from kerasmirror.core.variable import Variable, initialize_waiting


@export("StatelessScope")
class StatelessScope:
    """Context manager: variables read as `state_mapping` says and keep their own values.

    `assign` and updates in place go to the scope: `get_current_value(variable)` gives the latest
    value, or None for a variable that the scope has not met, also after the end. Gradients flow to
    the tensors of `state_mapping`. `losses` has what `Layer.add_loss` got, with `collect_losses`. A
    variable that is created inside gets its values at the end, unless `initialize_variables` is
    False. A scope within a scope starts from the variables' own values. It is for one thread at a
    time: others that use the same variables meanwhile see the scope's values.

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
        self._own = {}  # id: (its array, its key, whether it was watched), while the scope is open
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
        if self.original_scope is not None:
            self.original_scope._take_back()
        scopes.WRITES.stateless = scopes.WRITES.observer = self
        self._lend()
        return self

    def __exit__(self, *args, **kwargs):
        self._take_back()
        scopes.WRITES.stateless = self.original_scope
        scopes.WRITES.observer = self._outer_observer
        if self.original_scope is not None:
            self.original_scope._lend()
        elif self.initialize_variables:
            initialize_waiting()

    def add_loss(self, loss):
        """Keep a loss in `losses`."""
        self.losses.append(loss)

    def add_update(self, update):
        """Give a variable a value for the rest of the scope; `update` is (variable, value)."""
        variable, value = update
        tensor = _as_tensor(variable, value)
        if id(variable) not in self._own:
            self._meet(variable)
        variable.data, variable.key, variable.watched = tensor.data, tensor.key, True
        self._private.discard(id(variable))

    def get_current_value(self, variable):
        """The value that the scope has for `variable`, a tensor, or None."""
        value = self.state_mapping.get(id(variable))
        if id(variable) in self._own and (value is None or value.data is not variable.data):
            return Tensor(np.array(variable.data), variable.key)
        if value is not None and value.data is variable.data:
            return Tensor(np.array(value.data), value.key)  # the variable's own array
        return value

    def lent(self):
        """(variable, value) for each variable that has a value of the scope's now."""
        met = [self._met[number] for number in self._own]
        return [(variable, Tensor(variable.data, variable.key)) for variable in met]

    def before_write(self, variable):
        """Give `variable` an array that may be written to in place."""
        if id(variable) not in self._own:
            self._meet(variable)
        if id(variable) not in self._private:
            self._private.add(id(variable))
            variable.data = np.array(variable.data)
            # What is written next is not on the tape.
            variable.key, variable.watched = None, False

    def _meet(self, variable):
        self._met[id(variable)] = variable
        self._own[id(variable)] = variable.data, variable.key, variable.watched

    def _lend(self):
        for number, tensor in self.state_mapping.items():
            variable = self._met[number]
            self._meet(variable)
            variable.data, variable.key, variable.watched = tensor.data, tensor.key, True

    def _take_back(self):
        for number, own in self._own.items():
            variable = self._met[number]
            given = self.state_mapping.get(number)
            if given is None or given.data is not variable.data:
                self.state_mapping[number] = Tensor(variable.data, variable.key)
            variable.data, variable.key, variable.watched = own
        self._own.clear()
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


# --- losses of layers -------------------------------------------------------------------------


def keep_losses(layer, losses):
    """Keep what `layer.add_loss` got in the open scope; False where none is open."""
    scope = scopes.WRITES.stateless
    if scopes.WRITES.losses is not None:
        scopes.WRITES.losses.extend([(layer, loss) for loss in losses])
    if scope is None:
        return False
    if scope.collect_losses:
        for loss in losses:
            scope.add_loss(loss)
            scope._loss_owners[id(loss)] = layer
    return True


def losses_of(layer):
    """The losses that `layer` has added: in the open scope, or in its last call."""
    scope = scopes.WRITES.stateless
    if scope is None:
        return layer._losses
    return [loss for loss in scope.losses if scope._loss_owners.get(id(loss)) is layer]


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
    losses = layer._losses if scope is None else scope.losses
    losses[:] = [other if one is loss else one for one in losses]
    if scope is not None and scope._loss_owners.pop(id(loss), None) is layer:
        scope._loss_owners[id(other)] = layer
