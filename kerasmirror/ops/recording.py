"""`keras.ops` on placeholders: each call of a public function becomes a node of the graph.

`install` puts a function that looks for KerasTensors in front of every public operation. Inside of
the package the operations are called without it, and layers' calls on placeholders are nodes by
themselves, so that what is recorded is what the user wrote.
"""

from __future__ import annotations

import functools
import inspect

import numpy as np

from kerasmirror import _export
from kerasmirror.core import dtypes, serialization, tree
from kerasmirror.core.names import auto_name
from kerasmirror.core.node import Node, keeps_history, placeholders_in, recording
from kerasmirror.core.operation import Operation, OperationCall
from kerasmirror.core.symbolic import KerasTensor
from kerasmirror.core.tensor import Tensor
from kerasmirror.core.variable import Variable
from kerasmirror.ops import operation_names, operators

# What cannot hold a KerasTensor.
_EAGER = frozenset((Tensor, Variable, np.ndarray, int, float, bool, str, type(None), slice))
_eager = _EAGER.issuperset
_ROWS = frozenset((tuple, list))
# They answer questions about a tensor, which a placeholder can answer too.
_NOT_RECORDED = {"shape", "ndim", "size", "dtype", "is_tensor", "convert_to_numpy"}


class PublicOperation(OperationCall):
    """A use of a function of `keras.ops` in a graph: `options` are fixed, tensors are passed."""

    def __init__(self, saved, function, options, name=None):
        Operation.__init__(self, auto_name(saved.class_name) if name is None else name)
        self.saved = saved
        self.kind = saved.class_name
        self.options = options
        self.run = _runner(saved, function, options)

    def __call__(self, *args, **kwargs):
        if _EAGER.issuperset(map(type, args)) and not kwargs:
            return self.run(*args)
        return Operation.__call__(self, *args, **kwargs)

    def compute_output_spec(self, *args, **kwargs):
        with recording(False):
            return tree.map_structure(_new_placeholder, self.run(*args, **kwargs))

    def symbolic_call(self, *args, **kwargs):
        outputs = self.compute_output_spec(*args, **kwargs)
        if keeps_history(placeholders_in((args, kwargs))):
            Node(self, args, kwargs, outputs)
        return outputs

    def get_config(self):
        options = {key: _plain_option(key, value) for key, value in self.options.items()}
        return {"name": self.name, **options}

    def saved_as(self):
        """The module and the class that files name."""
        return self.saved.module, self.saved.class_name


def _plain_option(key, value):
    if key == "dtype" and value is not None:
        return dtypes.standardize_dtype(value)
    return serialization.serialize_keras_object(value)


def _new_placeholder(output):
    if not isinstance(output, KerasTensor):
        return output
    return KerasTensor(output.shape, output.dtype, record_history=output.record_history)


def _runner(saved, function, options):
    """`function` with `options`, to be called as the class that files name is called."""
    if saved.class_name == "GetItem":  # a JSON file makes a list of the tuple
        return lambda x, key: function(x, tuple(key) if isinstance(key, list) else key)
    if not options and not any(name.startswith("*") for name in saved.passed):
        return function
    names = [name for name in saved.passed if not name.startswith("*")]
    parameters = list(inspect.signature(function).parameters.values())
    variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    if not variadic:
        if parameters and [parameters[i].name for i in range(len(names))] == names:
            return functools.partial(function, **options)
        return lambda *args, **kwargs: function(
            **options, **dict(zip(names, args, strict=False)), **kwargs
        )
    # What stands before the variadic ones goes by place, options first where they stand first.
    before = []
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            break
        before.append(parameter.name)
    leading = [options[name] for name in before if name in options]
    rest = {key: value for key, value in options.items() if key not in before}
    return functools.partial(function, *leading, **rest)


def _holds_placeholder(values):
    if _EAGER.issuperset(map(type, values)):
        return False
    for value in values:
        if isinstance(value, KerasTensor):
            return True
        if isinstance(value, dict):
            value = value.values()
        elif not isinstance(value, (list, tuple)):
            continue
        if _holds_placeholder(value):
            return True
    return False


def recorded(function, saved):
    """`function`, that makes a node where it is called on a KerasTensor."""
    signature = None

    @functools.wraps(function)
    def public(*args, **kwargs):
        for arg in args:  # quicker than `all`, and every eager operation passes here
            kind = type(arg)
            if kind not in _EAGER and (kind not in _ROWS or not _eager(map(type, arg))):
                break
        else:
            if not kwargs:
                return function(*args)
            if _eager(map(type, kwargs.values())):
                return function(*args, **kwargs)
        if not (_holds_placeholder(args) or (kwargs and _holds_placeholder(kwargs.values()))):
            return function(*args, **kwargs)
        if not keeps_history(placeholders_in((args, kwargs))):
            return function(*args, **kwargs)
        nonlocal signature
        signature = signature or inspect.signature(function)
        try:
            given = signature.bind(*args, **kwargs)
        except TypeError:
            return function(*args, **kwargs)  # which says what is wrong
        given.apply_defaults()
        return _recorded_call(function, saved, given, args, kwargs)

    return public


def _recorded_call(function, saved, given, args, kwargs):
    options = dict(given.arguments)
    passed, named = [], {}
    for name in () if saved is None else saved.passed:
        plain = name.lstrip("*")
        if plain not in options:
            continue
        value = options.pop(plain)
        if name.startswith("**"):
            named.update(value)
        elif name.startswith("*"):
            passed.extend(value)
        else:
            passed.append(value)
    for parameter in given.signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            options.update(options.pop(parameter.name, {}))
    if saved is None or placeholders_in(options):
        # Files have no such call. It is a node that runs, but that has no config.
        operation = OperationCall(function.__name__, function)
        with recording(False):
            outputs = tree.map_structure(_new_placeholder, function(*args, **kwargs))
        leaves = tree.flatten(outputs)
        if leaves and all(isinstance(leaf, KerasTensor) for leaf in leaves):
            Node(operation, args, kwargs, outputs)
        return outputs
    return PublicOperation(saved, function, options).symbolic_call(*passed, **named)


class _SavedClass:
    """Stands for the class that a file names: makes operations of its configs."""

    def __init__(self, saved, function):
        self.saved = saved
        self.function = function

    def from_config(self, config):
        options = {
            key: serialization.deserialize_keras_object(value)
            for key, value in config.items()
            if key != "name"
        }
        return PublicOperation(self.saved, self.function, options, config.get("name"))


def saved_class(module, class_name):
    """What `class_name` of `module` in a file stands for; None where it is no operation."""
    if not isinstance(module, str) or not isinstance(class_name, str):
        return None
    start, _, last = module.rpartition(".")
    if start not in ("keras.src.ops", "keras.ops"):
        return None
    found = operation_names.all_names()[1].get((last, class_name))
    return None if found is None else _SavedClass(*found)


serialization.find_operations_with(saved_class)


def _public(symbol, saved):
    general = getattr(symbol, "general", None)
    if general is None:
        return recorded(symbol, saved)
    # An operation that sees to tensors itself, sooner, and hands on everything else.
    symbol.general = recorded(general, saved)
    return symbol


def install():
    """Put the recording functions into the registry of public names and behind the operators."""
    names = operation_names.all_names()[0]
    public = {}
    for path, symbol in _export.public_names().items():
        name = path.rpartition(".")[2]
        if path.startswith("ops.") and inspect.isfunction(symbol) and name not in _NOT_RECORDED:
            if id(symbol) not in public:
                public[id(symbol)] = _public(symbol, names.get(id(symbol)))
                _export.replace(symbol, public[id(symbol)])
    operators.install(KerasTensor, lambda function: public.get(id(function), function))
    # A placeholder equals itself only: `in`, `index` and dicts of placeholders rely on that.
    KerasTensor.__eq__ = object.__eq__
