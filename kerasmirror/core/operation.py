"""Operation: a computation with a name and a config that can be a node of a graph."""

from __future__ import annotations

import inspect

from kerasmirror._export import export
from kerasmirror.core import tree
from kerasmirror.core.names import auto_name
from kerasmirror.core.node import Node, is_recording, node_tensors, recording
from kerasmirror.core.remat import Rematerialized
from kerasmirror.core.symbolic import KerasTensor, any_symbolic

_PLAIN = (str, int, float, bool, type(None))


@export("Operation")
class Operation(Rematerialized):
    """Base of layers and of operations without weights: `call` computes, on tensors.

    Called with a KerasTensor among its arguments, an operation gives KerasTensors, whose shapes
    come from `compute_output_spec` (by default: from running `call` on placeholders), and becomes
    a node of the graph that `keras.Function` and `keras.Model` are cut out of.
    Raises: ValueError for a name that is no string or has a slash.
    Source: Keras 3.15 `keras.Operation`.
    """

    def __new__(cls, *args, **kwargs):
        self = object.__new__(cls)
        object.__setattr__(self, "_init_arguments", (args, kwargs))
        return self

    def __init__(self, name=None):
        if name is None:
            name = auto_name(type(self).__name__)
        if not isinstance(name, str) or "/" in name:
            raise ValueError(
                f"{type(self).__name__}: `name` must be a string and cannot contain character `/`. "
                f"Received: name={name!r} (of type {type(name)})"
            )
        self.name = name
        self._inbound_nodes = []
        self._outbound_nodes = []
        self._note_remat_mode()

    def __call__(self, *args, **kwargs):
        if any_symbolic(args) or any_symbolic(kwargs):
            return self.symbolic_call(*args, **kwargs)
        if getattr(self, "quantization_mode", None) is not None:
            return self.quantized_call(*args, **kwargs)
        return self.call(*args, **kwargs)

    def symbolic_call(self, *args, **kwargs):
        """What a call on placeholders gives; outside of other calls it is noted in the graph."""
        outputs = self.compute_output_spec(*args, **kwargs)
        if is_recording():
            Node(self, args, kwargs, outputs)
        return outputs

    def call(self, *args, **kwargs):
        raise NotImplementedError(f"Operation {type(self).__name__} must implement `call()`.")

    def quantized_call(self, *args, **kwargs):
        raise NotImplementedError(
            f"Operation {type(self).__name__} must implement `quantized_call()` to be called in a "
            "quantized model."
        )

    def compute_output_spec(self, *args, **kwargs):
        """KerasTensors of the shapes and dtypes that `call` gives for these arguments.

        Raises: what `call` raises on placeholders, with the operation's name.
        """
        try:
            with recording(False):
                return tree.map_structure(_fresh, self.call(*args, **kwargs))
        except Exception as error:
            kind = type(self).__name__
            raise type(error)(
                f"{kind}: the output's shape and dtype of operation '{self.name}' cannot be told "
                f"from running `call()` on placeholders (Could not automatically infer the output "
                f"shape / dtype). Mend `{kind}.call()`, or define "
                f"`{kind}.compute_output_spec()`. The error was: {error}"
            ) from error

    def get_config(self):
        """The constructor's arguments, where they are plain data, and the name.

        A class that overrides this gets {"name": ...} from here.
        Raises: NotImplementedError for other arguments.
        """
        if type(self).get_config is not Operation.get_config:
            return {"name": self.name}
        config = {"name": self.name, **self._plain_arguments()}
        parameters = inspect.signature(type(self).__init__).parameters.values()
        takes_name = any(p.name == "name" or p.kind is p.VAR_KEYWORD for p in parameters)
        if not takes_name:
            del config["name"]
        return config

    def _plain_arguments(self):
        """The constructor's arguments by name, defaults included."""
        args, kwargs = self._init_arguments
        bound = inspect.signature(type(self).__init__).bind(self, *args, **kwargs)
        bound.apply_defaults()
        given, kinds = dict(bound.arguments), bound.signature.parameters
        del given[next(iter(kinds))]
        for key, parameter in list(kinds.items())[1:]:
            if parameter.kind is parameter.VAR_KEYWORD:
                given.update(given.pop(key))
            elif parameter.kind is parameter.POSITIONAL_ONLY or (
                parameter.kind is parameter.VAR_POSITIONAL and given[key]
            ):
                raise self._no_config(f"`{key}`, which has no name to pass it by")
            elif parameter.kind is parameter.VAR_POSITIONAL:
                del given[key]
        given.pop("name", None)
        for key, value in given.items():
            if not all(isinstance(leaf, _PLAIN) for leaf in tree.flatten(value)):
                raise self._no_config(f"{key}={value!r}, which is no plain data")
        return given

    def _no_config(self, why):
        return NotImplementedError(
            f"{type(self).__name__}: `get_config()` must be defined by an operation whose "
            f"constructor takes such arguments. Received: {why}"
        )

    @classmethod
    def from_config(cls, config):
        """An operation like the one that gave `config`.

        Raises: TypeError when the config does not fit the constructor.
        """
        try:
            return cls(**config)
        except Exception as error:
            raise TypeError(
                f"{cls.__name__}.from_config: `config` must fit the constructor: {error}. "
                f"Received: config={config!r}"
            ) from error

    @property
    def input(self):
        """The placeholder(s) the operation was first called on."""
        return node_tensors(self, "input_tensors", "input")

    @property
    def output(self):
        """The placeholder(s) that the first call on placeholders gave."""
        return node_tensors(self, "output_tensors", "output")

    def __repr__(self):
        return f"<Operation name={self.name}>"


class OperationCall(Operation):
    """One use in a graph of a function that files have no name for: `run(*inputs, **options)`."""

    def __init__(self, name, run):
        super().__init__(auto_name(name))
        self.function_name = name
        self.kind = "".join(word.capitalize() for word in name.split("_"))
        self.run = run

    def __call__(self, *inputs, **options):
        return self.run(*inputs, **options)

    def call(self, *inputs, **options):
        return self.run(*inputs, **options)


def _fresh(output):
    """A KerasTensor like `output` that no other call has given."""
    if hasattr(output, "shape") and hasattr(output, "dtype"):
        return KerasTensor(output.shape, output.dtype)
    return output
