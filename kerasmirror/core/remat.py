"""RematScope: which operations compute their intermediate values again in the backward pass.

`keras.remat`, which does it for one function, is autodiff/remat.py.
"""

from __future__ import annotations

import functools
import inspect
import math
import threading
from typing import Any, NamedTuple

from kerasmirror._export import export, lookup
from kerasmirror.core import checks, tree
from kerasmirror.core.locks import lock_of
from kerasmirror.core.symbolic import KerasTensor, any_symbolic

_MODES = ("full", "activations", "larger_than", "list_of_layers", None)


class RematMode(NamedTuple):
    """What a RematScope asks of the operations that are made in it."""

    mode: Any
    output_size_threshold: int
    layer_names: list


class _Open(threading.local):
    def __init__(self):
        self.scopes = []


_OPEN = _Open()
_swapping = lock_of(globals(), "_swapping")


@export("RematScope")
class RematScope:
    """Context manager: layers that are made in it trade time for memory in training.

    Such a layer keeps its inputs alone for the backward pass and computes what it needs of the
    forward pass again (`keras.remat`). Scopes nest, the innermost counts; the layer remembers it.

    Args:
        mode: "full": every layer, with all that runs in its `call`; "activations": the activation
            function of layers that have one; "larger_than": layers whose output, batch included,
            has more than `output_size_threshold` elements; "list_of_layers": those whose name is in
            `layer_names`; None: no layer.
    Raises: ValueError for another mode.
    Source: Chen et al. 2016, https://arxiv.org/abs/1604.06174; Keras 3.15 `keras.RematScope`.
    """

    def __init__(self, mode="full", output_size_threshold=1024, layer_names=None):
        self.mode = checks.one_of(mode, _MODES, "mode", owner="keras.RematScope")
        self.output_size_threshold = output_size_threshold
        self.layer_names = layer_names or []

    def __enter__(self):
        _OPEN.scopes.append(self)
        return self

    def __exit__(self, *args, **kwargs):
        if _OPEN.scopes and _OPEN.scopes[-1] is self:
            _OPEN.scopes.pop()


def get_current_remat_mode():
    """The RematMode of the innermost open RematScope, or None."""
    if not _OPEN.scopes:
        return None
    scope = _OPEN.scopes[-1]
    return RematMode(scope.mode, scope.output_size_threshold, scope.layer_names)


class Rematerialized:
    """What operations and layers have in common: the mode of the scope that they were made in."""

    _remat_mode = None

    def _note_remat_mode(self):
        """Remember the open RematScope. Nothing is changed, and nothing costs, outside of one."""
        mode = get_current_remat_mode()
        if mode is not None and mode.mode is not None:
            self.__dict__["_remat_mode"] = mode
            # Of the instance's own: whoever would run the layer without its `call`, to be faster,
            # looks for one.
            for method in ("call", "quantized_call"):
                if hasattr(type(self), method):
                    self.__dict__[method] = RematerializedCall(self, method)

    def rematerialized_call(self, layer_call, *args, **kwargs):
        """`layer_call` as the mode of the layer's RematScope wants it for these arguments."""
        mode = self._remat_mode
        if mode is None:
            return layer_call
        wanted = mode.mode == "full"
        if mode.mode == "list_of_layers":
            wanted = self.name in mode.layer_names
        elif mode.mode == "larger_than":
            wanted = self._output_size(args, kwargs) > mode.output_size_threshold
        elif mode.mode == "activations" and getattr(self, "activation", None) is not None:
            return functools.partial(_call_with_activation, self, layer_call)
        return lookup("remat")(layer_call) if wanted else layer_call

    def _output_size(self, args, kwargs):
        args, kwargs = (tree.map_structure(_placeholder_of, each) for each in (args, kwargs))
        spec = tree.flatten(self.compute_output_spec(*args, **kwargs))
        return sum(math.prod(x.shape) for x in spec if isinstance(x, KerasTensor))


class RematerializedCall:
    """A method, `call` or `quantized_call`, of an operation that was made in a RematScope."""

    def __init__(self, operation, method):
        self._operation = operation
        self.__name__ = method
        self.__signature__ = inspect.signature(self._plain())

    def _plain(self):
        return getattr(type(self._operation), self.__name__).__get__(self._operation)

    def __call__(self, *args, **kwargs):
        call = self._plain()
        if any_symbolic(args) or any_symbolic(kwargs):
            return call(*args, **kwargs)
        return self._operation.rematerialized_call(call, *args, **kwargs)(*args, **kwargs)

    def __reduce__(self):
        return RematerializedCall, (self._operation, self.__name__)


def _call_with_activation(layer, layer_call, *args, **kwargs):
    # Into the dict: an assignment would make models look at all of their layers again. Of threads
    # that call the layer at once, the last one to leave puts the activation back.
    own = layer.__dict__
    with _swapping:
        activation, calls = own.get("_activation_of_calls") or (own["activation"], 0)
        own["_activation_of_calls"] = activation, calls + 1
        own["activation"] = lookup("remat")(activation)
    try:
        return layer_call(*args, **kwargs)
    finally:
        with _swapping:
            activation, calls = own["_activation_of_calls"]
            own["_activation_of_calls"] = activation, calls - 1
            if calls == 1:
                del own["_activation_of_calls"]
                own["activation"] = activation


def _placeholder_of(value):
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return KerasTensor(value.shape, value.dtype, record_history=False)
    return value
