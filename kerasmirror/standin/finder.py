"""install_as_keras: `import keras` and `tensorflow.keras` give this package.

A finder at the head of `sys.meta_path` answers for these names with the modules that exist already,
so that `keras.layers.Dense` is `kerasmirror.layers.Dense`: one module, one class, whichever name it
was imported by.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types

import kerasmirror
from kerasmirror._export import export

# The release whose API is mirrored. Scripts and libraries ask `keras.__version__` for Keras 3.
KERAS_VERSION = "3.15.1"
_OURS = kerasmirror.__name__
_SMALL = f"{_OURS}.standin.small_tensorflow"
# All that Keras goes by, the longest first: TensorFlow's own loader looks for it under two of them.
_NAMES = (
    "keras._tf_keras.keras",
    "keras._tf_keras",
    "keras.api._v2.keras",
    "keras.api._v2",
    "keras.api",
    "tensorflow.keras",
    "keras",
)


@export("install_as_keras")
def install_as_keras(tensorflow=False):
    """Let `import keras`, `from keras.x import y` and `tensorflow.keras` give kerasmirror.

    For the whole process, from now on; a second call changes nothing. `keras.backend` gets the
    functions of Keras 2 that TensorFlow's Keras still has (`K.mean`). A real TensorFlow that is
    installed stays as it is, but for `tensorflow.keras`. Without one, `from tensorflow import
    keras` works all the same.

    Args:
        tensorflow: True lets `import tensorflow` give the names of it that Keras scripts use
            (GradientTape, function, constant, Variable, data.Dataset, math ...) on this package's
            tensors, whether or not TensorFlow is installed. False leaves TensorFlow alone.
    Raises: RuntimeError when Keras, or a TensorFlow that is to be replaced, is imported already:
        code that has it in its hands would mix two packages.
    """
    if not isinstance(tensorflow, bool):
        raise ValueError(
            "install_as_keras: `tensorflow` must be True or False. "
            f"Received: tensorflow={tensorflow!r}"
        )
    _refuse_what_is_loaded("keras", kerasmirror)
    finder = next((f for f in sys.meta_path if isinstance(f, _Finder)), None)
    if tensorflow:
        small = sys.modules.get(_SMALL)
        _refuse_what_is_loaded("tensorflow", small)
    if finder is None:
        finder = _Finder()
        sys.meta_path.insert(0, finder)
        importlib.import_module(f"{_SMALL}.legacy_backend").install(kerasmirror.backend)
        kerasmirror.__version__ = f"{KERAS_VERSION}+{_OURS}.{kerasmirror.__version__}"
    finder.small_tensorflow |= tensorflow
    _put_into_loaded_tensorflow()


def _refuse_what_is_loaded(name, ours):
    loaded = sys.modules.get(name)
    if loaded is not None and loaded is not ours and not isinstance(loaded, _NoTensorFlow):
        raise RuntimeError(
            f"install_as_keras: `{name}` must not be imported yet, else a program would mix two "
            f"packages. Call it before anything imports {name}. "
            f"Received: {name} from {getattr(loaded, '__file__', None)}"
        )


def _put_into_loaded_tensorflow():
    """A TensorFlow that is imported already finds its Keras at first use; that may be over."""
    loaded = sys.modules.get("tensorflow")
    if loaded is not None:
        loaded.keras = kerasmirror


class _Finder(importlib.abc.MetaPathFinder):
    """Answers for `keras` and `tensorflow.keras`, and for `tensorflow` where that is wanted."""

    def __init__(self):
        self.small_tensorflow = False
        self._asking = False

    def find_spec(self, name, path=None, target=None):
        if name == "tensorflow" and not self.small_tensorflow:
            return self._real_tensorflow()
        ours = self._ours(name)
        if ours is None:
            return None
        module = _module(name, ours)
        is_package = hasattr(module, "__path__")
        return importlib.machinery.ModuleSpec(name, _Loader(module), is_package=is_package)

    def _ours(self, name):
        """The name of the module that stands for `name`; None for what is not ours."""
        for prefix in _NAMES:
            if name == prefix or name.startswith(prefix + "."):
                return _OURS + name[len(prefix) :]
        if self.small_tensorflow and (name + ".").startswith("tensorflow."):
            return _SMALL + name[len("tensorflow") :]
        return None

    def _real_tensorflow(self):
        if self._asking:
            return None  # it is this finder that asks the others
        self._asking = True
        try:
            spec = importlib.util.find_spec("tensorflow")
        finally:
            self._asking = False
        if spec is None:
            loader = _Loader(_NoTensorFlow())
            return importlib.machinery.ModuleSpec("tensorflow", loader, is_package=True)
        spec.loader = _WithOurKeras(spec.loader)
        return spec


class _WithOurKeras(importlib.abc.Loader):
    """TensorFlow's own loader; at the end, what finds Keras at first use gives way to ours."""

    def __init__(self, loader):
        self._loader = loader

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        self._loader.exec_module(module)
        module.keras = kerasmirror

    def __getattr__(self, name):
        return getattr(self._loader, name)


class _Loader(importlib.abc.Loader):
    """Gives a module that exists, and leaves it as it was."""

    def __init__(self, module):
        self._module = module
        self._spec = module.__spec__

    def create_module(self, spec):
        return self._module

    def exec_module(self, module):
        if self._spec is not None:
            module.__spec__ = self._spec


class _NoTensorFlow(types.ModuleType):
    """What `tensorflow` is where none is installed: a place for `tensorflow.keras`."""

    def __init__(self):
        super().__init__("tensorflow", "Only `tensorflow.keras`, which is kerasmirror.")
        self.keras = kerasmirror
        self.__path__ = []

    def __getattr__(self, name):
        raise AttributeError(
            f"tensorflow.{name}: TensorFlow is not installed, and only `tensorflow.keras` stands "
            "for kerasmirror. `kerasmirror.install_as_keras(tensorflow=True)`, or `python -m "
            "kerasmirror run`, offers the names of it that Keras scripts use."
        )


def _module(name, ours):
    """The module called `ours`, which `name` stands for."""
    try:
        return sys.modules.get(ours) or importlib.import_module(ours)
    except ModuleNotFoundError as error:
        if error.name != ours:
            raise
        private = name.startswith("keras.src")
        why = (
            "`keras.src` is Keras's own code; its public names, as in `keras.layers`, are mirrored"
            if private
            else "kerasmirror has no such module"
        )
        raise ModuleNotFoundError(f"No module named {name!r}: {why}.", name=name) from None
