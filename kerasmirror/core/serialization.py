"""Objects to plain configs and back, and the lookup behind every `get()`.

A class or function is found only by its public name in the export registry, or among what the
user registered or passed as `custom_objects`: a config never makes Python import anything.
"""

from __future__ import annotations

import builtins
import inspect
import threading
import types
import warnings

import numpy as np

from kerasmirror import _export
from kerasmirror._export import export
from kerasmirror.core import function_code, names
from kerasmirror.core.safe_mode import SafeModeScope, in_safe_mode
from kerasmirror.core.tensor import Tensor
from kerasmirror.core.variable import Variable

_CUSTOM_OBJECTS = {}
_CUSTOM_NAMES = {}
_PLAIN = (str, int, float, bool, type(None))


class _Scope(threading.local):
    def __init__(self):
        self.stack = []


_SCOPE = _Scope()


@export("saving.CustomObjectScope", "saving.custom_object_scope", "utils.CustomObjectScope")
class CustomObjectScope:
    """Context manager: the names in `custom_objects` can be loaded inside it."""

    def __init__(self, custom_objects):
        self.custom_objects = custom_objects or {}

    def __enter__(self):
        _SCOPE.stack.append(self.custom_objects)
        return self

    def __exit__(self, *error):
        _SCOPE.stack.pop()


export("utils.custom_object_scope")(CustomObjectScope)


@export("saving.get_custom_objects", "utils.get_custom_objects")
def get_custom_objects():
    """The global dict of registered custom objects; changes to it count."""
    return _CUSTOM_OBJECTS


@export("saving.register_keras_serializable", "utils.register_keras_serializable")
def register_keras_serializable(package="Custom", name=None):
    """Decorator: register a class or function under "package>name", so that files can name it.

    Raises: ValueError for a class without `get_config`.
    """

    def register(symbol):
        registered = f"{package}>{name if name is not None else symbol.__name__}"
        if inspect.isclass(symbol) and not hasattr(symbol, "get_config"):
            raise ValueError(
                "keras.saving.register_keras_serializable: Cannot register a class that does not "
                f"have a get_config() method. Received: {symbol}"
            )
        _CUSTOM_OBJECTS[registered] = symbol
        _CUSTOM_NAMES[symbol] = registered
        return symbol

    return register


@export("saving.get_registered_name", "utils.get_registered_name")
def get_registered_name(obj):
    """The name `obj` was registered under, or its own name."""
    return _CUSTOM_NAMES.get(obj, obj.__name__)


@export("saving.get_registered_object", "utils.get_registered_object")
def get_registered_object(name, custom_objects=None, module_objects=None):
    """The custom object called `name`, or None.

    Looks into the open scopes, the registry, `custom_objects`, then `module_objects`.
    """
    for scope in reversed(_SCOPE.stack):
        if name in scope:
            return scope[name]
    if name in _CUSTOM_OBJECTS:
        return _CUSTOM_OBJECTS[name]
    for objects in (custom_objects, module_objects):
        if objects and name in objects:
            return objects[name]
    return None


@export("saving.serialize_keras_object", "utils.serialize_keras_object")
def serialize_keras_object(obj):
    """A plain structure (dicts, lists, strings, numbers) that describes `obj`.

    An object becomes {"module", "class_name", "config", "registered_name"}, as Keras writes it.
    Raises: TypeError or ValueError for what has no description.
    """
    if isinstance(obj, _PLAIN):
        return obj
    if isinstance(obj, (list, tuple)):
        items = [serialize_keras_object(item) for item in obj]
        return items if isinstance(obj, list) else tuple(items)
    if isinstance(obj, dict):
        return {key: serialize_keras_object(value) for key, value in obj.items()}
    if isinstance(obj, bytes):
        return {"class_name": "__bytes__", "config": {"value": obj.decode("utf-8")}}
    if isinstance(obj, (np.integer, np.floating, np.bool_)):
        return obj.item()
    if isinstance(obj, (np.ndarray, Tensor, Variable)):
        array = np.asarray(obj)
        config = {"value": array.tolist(), "dtype": str(array.dtype)}
        kind = "__numpy__" if isinstance(obj, np.ndarray) else "__tensor__"
        return {"class_name": kind, "config": config}
    if isinstance(obj, slice):
        parts = [serialize_keras_object(p) for p in (obj.start, obj.stop, obj.step)]
        return {
            "class_name": "__slice__",
            "config": dict(zip(("start", "stop", "step"), parts, strict=True)),
        }
    if obj is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    if isinstance(obj, types.FunctionType) and obj.__name__ == "<lambda>":
        warnings.warn(
            "keras.saving.serialize_keras_object: a lambda has no name to save it by, so that its "
            "code is saved, which loads with `safe_mode=False` only. Use a named function, "
            f"registered with `@keras.saving.register_keras_serializable()`. Received: {obj}",
            stacklevel=2,
        )
        parts = function_code.dumped(obj)
        value = [parts["code"], parts["defaults"], parts["closure"]]
        return {"class_name": "__lambda__", "config": {"value": value}}
    if isinstance(obj, (types.FunctionType, types.BuiltinFunctionType)) or (
        callable(obj) and not hasattr(obj, "get_config")
    ):
        return _described_function(obj)
    if inspect.isclass(obj):
        return _describe(obj, obj.__name__)
    if not hasattr(obj, "get_config"):
        raise TypeError(
            "keras.saving.serialize_keras_object: `obj` must be plain data, a function or an "
            f"object with `get_config()`. Received: {obj} (of type {type(obj)})"
        )
    config = serialize_keras_object(obj.get_config())
    if hasattr(obj, "saved_as"):  # an operation of `keras.ops`, which has no class of its own
        module, class_name = obj.saved_as()
        return _named(module, class_name, config, class_name)
    described = _describe(type(obj), config)
    if hasattr(obj, "get_build_config"):
        build_config = obj.get_build_config()
        if build_config is not None:
            described["build_config"] = serialize_keras_object(build_config)
    if hasattr(obj, "get_compile_config"):
        compile_config = obj.get_compile_config()
        if compile_config is not None:
            described["compile_config"] = serialize_keras_object(compile_config)
    _note_described(obj, described)
    return described


class _Shared(threading.local):
    def __init__(self):
        self.described = None
        self.made = None
        self.symbols = None


_SHARED = _Shared()


class SharedObjects:
    """Context manager: an object that is described twice inside it will be one object again.

    Its descriptions have one "shared_object_id", as in Keras's files.
    """

    def __enter__(self):
        self.before = _SHARED.described, _SHARED.made
        _SHARED.described, _SHARED.made = {}, {}
        return self

    def __exit__(self, *error):
        _SHARED.described, _SHARED.made = self.before


class OwnSymbols:
    """Context manager: gives the dict of classes and functions that are described inside it and
    are no public ones, by the names that loading looks for."""

    def __enter__(self):
        self.before, _SHARED.symbols = _SHARED.symbols, {}
        return _SHARED.symbols

    def __exit__(self, *error):
        _SHARED.symbols = self.before


def _note_described(obj, described):
    if _SHARED.described is not None:
        # The object is kept, so that its id is not given to another meanwhile.
        _SHARED.described[id(obj)] = obj
        described["shared_object_id"] = id(obj)


def without_single_ids(config):
    """`config` with a "shared_object_id" only where another part of it has the same one."""
    counts, waiting = {}, [config]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict) and "shared_object_id" in part:
            number = part["shared_object_id"]
            counts[number] = counts.get(number, 0) + 1
        if isinstance(part, (dict, list, tuple)):
            waiting.extend(part.values() if isinstance(part, dict) else part)

    def cleaned(part):
        if isinstance(part, dict):
            return {
                key: cleaned(value)
                for key, value in part.items()
                if key != "shared_object_id" or counts[value] > 1
            }
        return type(part)(map(cleaned, part)) if isinstance(part, (list, tuple)) else part

    return cleaned(config)


_SAVED_AS = {}


def saved_as(module):
    """Decorator for a class without a public name: configs name it as if it stood in `module`."""

    def register(cls):
        _SAVED_AS[cls] = module
        return cls

    return register


_FINDERS = []


def find_operations_with(finder):
    """Let `finder(module, class_name)` tell what a config's operation is, None where it is none."""
    _FINDERS.append(finder)
    return finder


def _named(module, class_name, config, registered_name):
    return {
        "module": module,
        "class_name": class_name,
        "config": config,
        "registered_name": registered_name,
    }


def _describe(symbol, config):
    path = _export.public_path(symbol)
    name = symbol.__name__
    if symbol in _SAVED_AS:
        return _named(_SAVED_AS[symbol], name, config, name)
    if path is not None:
        module, _, name = f"keras.{path}".rpartition(".")
        return _named(module, name, config, None)
    registered = get_registered_name(symbol)
    _note_symbol(registered, symbol)
    return _named(symbol.__module__, name, config, registered)


def _described_function(function):
    """A function by its name: of activations, losses and such, and the user's, as Keras has it."""
    path = _export.public_path(function)
    name = get_registered_name(function)
    if path is None:
        _note_symbol(name, function)
    elif _function_called(name) is not function:
        module, _, name = f"keras.{path}".rpartition(".")
        return _named(module, "function", name, name)
    return _named("builtins", "function", name, "function")


def _note_symbol(name, symbol):
    if _SHARED.symbols is not None:
        _SHARED.symbols[name] = symbol


@export("saving.deserialize_keras_object", "utils.deserialize_keras_object")
def deserialize_keras_object(config, custom_objects=None, safe_mode=True, **kwargs):
    """The object that `serialize_keras_object` described.

    Only public classes of this package and the user's own registered or passed ones can be named.
    With `safe_mode` none of them runs code that the config holds (a Lambda layer's lambda).
    Raises: TypeError for an unknown name, ValueError for a malformed config.
    """
    module_objects = kwargs.pop("module_objects", None)
    if kwargs:
        raise TypeError(f"keras.saving.deserialize_keras_object: unknown {sorted(kwargs)}")
    if isinstance(config, _PLAIN):
        if isinstance(config, str):
            custom = get_registered_object(config, custom_objects, module_objects)
            return config if custom is None else custom
        return config
    if isinstance(config, (list, tuple)):
        items = [deserialize_keras_object(i, custom_objects, safe_mode) for i in config]
        return items if isinstance(config, list) else tuple(items)
    if not isinstance(config, dict):
        raise TypeError(
            f"keras.saving.deserialize_keras_object: `config` must be plain. Received: {config!r}"
        )
    if "class_name" not in config or "config" not in config:
        return {
            key: deserialize_keras_object(value, custom_objects, safe_mode)
            for key, value in config.items()
        }
    class_name, inner = config["class_name"], config["config"]
    if not isinstance(class_name, str):
        raise _told(
            "keras.saving.deserialize_keras_object: `class_name` must be a string. "
            f"Received: class_name={class_name!r}"
        )
    if class_name in _SPECIAL:
        return _SPECIAL[class_name](inner)
    if class_name == "__lambda__":
        return _lambda(inner, safe_mode)
    if class_name == "function":
        if not isinstance(inner, str):
            raise TypeError(
                "keras: Expected 'config' to be a non-null str for a function, its name. "
                f"Received: {config}"
            )
        return find_symbol(inner, config.get("module"), config, custom_objects, module_objects)
    if not isinstance(inner, dict) and inner is not None:
        raise TypeError(
            f"keras: Expected 'config' to be a dict for {class_name!r}. Received: {config}"
        )
    cls = find_symbol(class_name, config.get("module"), config, custom_objects, module_objects)
    if inspect.isfunction(cls):
        return cls
    if not hasattr(cls, "from_config"):
        raise _told(
            f"keras: Unable to reconstruct an instance of {class_name!r}, as the class has no "
            "`from_config()`."
        )
    shared = config.get("shared_object_id") if _SHARED.made is not None else None
    if shared in (_SHARED.made or ()):
        return _SHARED.made[shared]
    safe = in_safe_mode()
    with CustomObjectScope(custom_objects), SafeModeScope(safe_mode if safe is None else safe):
        instance = _made_of(cls, inner, config)
    if shared is not None:
        _SHARED.made[shared] = instance
    return instance


def _told(why):
    """A TypeError that says why something cannot be loaded, and needs no more words around it."""
    error = TypeError(why)
    error.is_told = True
    return error


def _lambda(inner, safe_mode):
    safe = in_safe_mode()
    if safe_mode if safe is None else safe:
        raise ValueError(
            "keras: the config holds the code of a Python lambda, which allows arbitrary code "
            "execution, so it is not loaded. If you trust where it comes from, pass "
            "`safe_mode=False` to the loading function, or call "
            "`keras.config.enable_unsafe_deserialization()`."
        )
    code, defaults, closure = inner["value"]
    parts = {"code": code, "defaults": defaults, "closure": closure}
    return function_code.loaded(parts, {"__builtins__": builtins})


def _made_of(cls, inner, config):
    try:
        instance = cls.from_config({} if inner is None else inner)
    except TypeError as error:
        if getattr(error, "is_told", False):
            raise
        raise _told(
            f"{error} (from the config of {cls.__name__}: make sure that objects, such as layers, "
            "that its `get_config()` returns are explicitly deserialized in its `from_config()`)"
        ) from error
    build_config = config.get("build_config")
    if build_config and hasattr(instance, "build_from_config") and not instance.built:
        instance.build_from_config(_with_tuples(build_config))
        instance.built = True
    compile_config = config.get("compile_config")
    if compile_config and hasattr(instance, "compile_from_config"):
        instance.compile_from_config(compile_config)
    return instance


def _with_tuples(shapes):
    """Shapes that JSON made lists are tuples again."""
    if isinstance(shapes, dict):
        return {key: _with_tuples(value) for key, value in shapes.items()}
    if isinstance(shapes, list):
        if all(size is None or isinstance(size, int) for size in shapes):
            return tuple(shapes)
        return [_with_tuples(part) for part in shapes]
    return shapes


def _as_array(inner):
    dtype = np.dtype(inner["dtype"])
    # One number of dtype "(1000000,)f8", or a letter of "U1000000", would take a million's memory.
    if dtype.subdtype is not None or dtype.names is not None:
        raise ValueError(
            "keras.saving.deserialize_keras_object: the `dtype` of an array must be that of plain "
            f"values. Received: dtype={inner['dtype']!r}"
        )
    return np.array(inner["value"], dtype=dtype.kind if dtype.kind in "US" else dtype)


def _as_slice(inner):
    return slice(inner["start"], inner["stop"], inner["step"])


_SPECIAL = {
    "__tensor__": lambda inner: Tensor(_as_array(inner)),
    "__numpy__": lambda inner: _as_array(inner),
    "__bytes__": lambda inner: inner["value"].encode("utf-8"),
    "__slice__": _as_slice,
    "__ellipsis__": lambda inner: Ellipsis,
}


# What a config may name: classes and functions that compute. Others, such as data sets and
# settings, would let a file change settings or open connections.
_FAMILIES = (
    "layers",
    "models",
    "losses",
    "metrics",
    "optimizers",
    "optimizers.schedules",
    "initializers",
    "regularizers",
    "constraints",
    "activations",
    "dtype_policies",
    "quantizers",
    "ops",
    "ops.nn",
    "ops.numpy",
)
_CLASSES_ONLY = ("keras", "keras.models", "keras.random")
_LOADABLE = frozenset((*_CLASSES_ONLY, *(f"keras.{family}" for family in _FAMILIES)))
_NEVER = frozenset(("get", "serialize", "deserialize", "load_model", "clone_model"))


# Where Keras looks for a function of which a config has the name alone.
_FUNCTIONS = (
    "activations",
    "losses",
    "metrics",
    "initializers",
    "regularizers",
    "constraints",
    "optimizers",
)


def _function_called(name):
    for family in _FUNCTIONS:
        symbol = _export.lookup(f"{family}.{name}")
        if inspect.isfunction(symbol) and name not in _NEVER:
            return symbol
    return None


def find_symbol(name, module, config, custom_objects=None, module_objects=None):
    """The class or function a config names; custom objects first, then the public names.

    Raises: TypeError when there is none, ValueError for a public one under a registered name.
    """
    for key in (config.get("registered_name"), name):
        if isinstance(key, str):
            custom = get_registered_object(key, custom_objects, module_objects)
            if custom is not None:
                return custom
    if isinstance(module, str) and isinstance(name, str):
        symbol = None
        if module in _LOADABLE and not (name in _NEVER or name.startswith("set_")):
            symbol = _export.lookup(f"{module}.{name}"[len("keras.") :])
            if module in _CLASSES_ONLY and not inspect.isclass(symbol):
                symbol = None
        elif module == "builtins" and config.get("class_name") == "function":
            symbol = _function_called(name)
        if symbol is not None:
            _check_no_registered_name(name, config)
            return symbol
        if module == "builtins" and ">" not in name:  # Keras up to 3.6 left out the package
            for key, custom in {**(custom_objects or {}), **_CUSTOM_OBJECTS}.items():
                if key.endswith(f">{name}"):
                    return custom
    for finder in _FINDERS:
        if (found := finder(module, name)) is not None:
            return found
    for symbol, saved_module in _SAVED_AS.items():
        if (module, name) == (saved_module, symbol.__name__):
            return symbol
    raise _told(
        f"keras: cannot find {name!r} (module {module!r}). Only public names of Keras and your own "
        "registered classes can be loaded; pass yours as "
        "`custom_objects={'Name': Name}` or register it with "
        "`@keras.saving.register_keras_serializable()`."
    )


def _check_no_registered_name(name, config):
    given = config.get("registered_name")
    if given and given not in (name, config.get("class_name")):
        raise ValueError(
            f"keras: {name!r} resolved to a Keras built-in, which has no registered name. Remove "
            f"it from the config. Received: registered_name={given!r}"
        )


def resolve(identifier, family, what, base=None, custom_objects=None):
    """What `keras.<family>.get(identifier)` gives for a name, a config, a class or an object.

    A name may be the class's ("GlorotUniform"), its snake case ("glorot_uniform") or a function's.
    `what` names the kind in errors; objects of `base` and callables are returned as they are.
    Raises: ValueError for an unknown name or anything else.
    """
    if identifier is None:
        return None
    if isinstance(identifier, dict):
        config = dict(identifier)
        if "class_name" not in config:
            raise ValueError(
                f"keras.{family}.get: `identifier` must have a `class_name` when it is a config. "
                f"Received: identifier={identifier}"
            )
        config.setdefault("config", {})
        if config.get("module") is None:
            symbol = _by_name(config["class_name"], family, custom_objects)
            if symbol is None:
                raise ValueError(
                    f"keras.{family}.get: `class_name` must be the name of {_article(what)}, or of "
                    f"a registered custom one. Received: class_name={config['class_name']!r}"
                )
            return symbol.from_config(config["config"]) if inspect.isclass(symbol) else symbol
        return deserialize_keras_object(config, custom_objects)
    if isinstance(identifier, str):
        symbol = _by_name(identifier, family, custom_objects)
        if symbol is None:
            raise ValueError(
                f"keras.{family}.get: `identifier` must be the name of {_article(what)}, one of "
                f"{', '.join(sorted(_known(family)))}, or a registered custom one. "
                f"Received: identifier={identifier!r}"
            )
        return symbol() if inspect.isclass(symbol) else symbol
    if inspect.isclass(identifier):
        return identifier()
    if callable(identifier) or (base is not None and isinstance(identifier, base)):
        return identifier
    raise ValueError(
        f"keras.{family}.get: `identifier` must be a name, a config dict, a callable or "
        f"{_article(what)}. Received: identifier={identifier!r}"
    )


def _article(what):
    return f"{'an' if what[0] in 'aeiou' else 'a'} {what}"


def _known(family):
    hidden = {"get", "serialize", "deserialize"}
    return {name for name in _export.family(family) if name not in hidden}


def _by_name(name, family, custom_objects):
    custom = get_registered_object(name, custom_objects)
    if custom is not None:
        return custom
    symbols = _export.family(family)
    hidden = ("get", "serialize", "deserialize")
    if name in symbols and name not in hidden:
        return symbols[name]
    for public, symbol in symbols.items():
        if public in hidden:
            continue
        if inspect.isclass(symbol) and name in (
            names.to_snake_case(public),
            public.lower(),
        ):
            return symbol
    return None
