"""A child process with one package: reads pickled calls from stdin, answers on stdout.

Run by path, never imported: with real Keras it must not load kerasmirror. Arguments: the package,
"keras" or "kerasmirror", and Keras's backend. A call is (file, function name, positional
arguments); an argument ("function", file, name) stands for that function.
"""

import importlib
import importlib.util
import os
import pickle
import sys
import traceback

PACKAGE = sys.argv[1] if len(sys.argv) > 1 else "keras"
BACKEND = sys.argv[2] if len(sys.argv) > 2 else "tensorflow"
os.environ["KERAS_BACKEND"] = BACKEND
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
# Sums in one order, so that a comparison gives the same figures in every run.
os.environ.setdefault("TF_DETERMINISTIC_OPS", "1")

_HERE = os.path.dirname(os.path.realpath(__file__))
_MEASURE = os.path.join(_HERE, "measure")
_LOADED = {}


def load(path, name):
    """The function `name` of the Python file `path`."""
    if os.path.dirname(path) == _MEASURE:
        stem = os.path.splitext(os.path.basename(path))[0]
        return getattr(importlib.import_module(f"{_measure_package()}.{stem}"), name)
    if path not in _LOADED:
        spec = importlib.util.spec_from_file_location(f"parity_file_{len(_LOADED)}", path)
        module = importlib.util.module_from_spec(spec)
        sys.path.insert(0, os.path.dirname(path))
        try:
            spec.loader.exec_module(module)
        finally:
            sys.path.pop(0)
        _LOADED[path] = module
    return getattr(_LOADED[path], name)


def _measure_package():
    """The name of the folder measure/ as a package of its own, without the one it lies in."""
    name = "parity_measure"
    if name not in sys.modules:
        start = os.path.join(_MEASURE, "__init__.py")
        spec = importlib.util.spec_from_file_location(
            name, start, submodule_search_locations=[_MEASURE]
        )
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return name


def _is_reference(argument):
    is_tuple = isinstance(argument, tuple) and len(argument) == 3
    return is_tuple and isinstance(argument[0], str) and argument[0] == "function"


def main():
    """Answer calls until stdin ends."""
    # A file of the user's may be called like one beside this.
    sys.path[:] = [folder for folder in sys.path if os.path.realpath(folder) != _HERE]
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints, prints to stderr
    package = importlib.import_module(PACKAGE)
    while True:
        try:
            file, name, arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            arguments = [load(*a[1:]) if _is_reference(a) else a for a in arguments]
            answer = (True, load(file, name)(package, *arguments))
        except Exception as error:
            answer = (False, (type(error).__name__, str(error), traceback.format_exc()))
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    main()
