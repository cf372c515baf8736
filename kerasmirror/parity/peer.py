"""Child processes in which functions run with the real `keras`, or with this package."""

from __future__ import annotations

import importlib.util
import inspect
import pickle
import subprocess
import sys
from pathlib import Path

_CHILD = Path(__file__).with_name("child.py")
_BACKENDS = ("tensorflow", "jax", "torch")


class PeerError(RuntimeError):
    """A function raised an exception in the other process: its `kind`, `text` and traceback."""

    def __init__(self, title, kind, text, trace):
        super().__init__(f"{title} raised {kind}: {text}\n{trace}")
        self.title, self.kind, self.text = title, kind, text


class Peer:
    """Context manager around a child process; `call(function, *arguments)` runs there.

    `function` and functions among the arguments must be module-level, in a file; they get the
    package as their first argument. Results come back pickled.
    """

    package, needs = "kerasmirror", ()

    def __init__(self, python=None):
        self._python = python or sys.executable
        self._process = None
        self.backend = "tensorflow"

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def _start(self):
        missing = [name for name in self.needs if not importlib.util.find_spec(name)]
        if missing and self._python == sys.executable:
            raise ImportError(
                f"kerasmirror.parity: real Keras is needed, and {', '.join(missing)} is not "
                "installed. Install it with `pip install 'kerasmirror[parity]'`."
            )
        self._process = subprocess.Popen(
            [self._python, str(_CHILD), self.package, self.backend],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def call(self, function, *arguments):
        """`function(keras, *arguments)` in the child.

        Raises: PeerError with the child's traceback when it fails there.
        """
        if self._process is None:
            self._start()
        arguments = [_reference(a) if inspect.isfunction(a) else a for a in arguments]
        _, file, name = _reference(function)
        try:
            pickle.dump((file, name, arguments), self._process.stdin)
            self._process.stdin.flush()
            good, answer = pickle.load(self._process.stdout)  # our own child's answer
        except (BrokenPipeError, EOFError) as error:
            self.close()
            raise RuntimeError(
                f"kerasmirror.parity: the process with {self._title()} died."
            ) from error
        if not good:
            kind, message, trace = answer
            raise PeerError(self._title(), kind, message, trace)
        return answer

    def _title(self):
        return "kerasmirror"

    def close(self):
        """End the child process."""
        if self._process is not None:
            self._process.stdin.close()
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process.stdout.close()
            self._process = None


class RealKeras(Peer):
    """A Peer with real Keras.

    `backend` is TensorFlow unless another one is named; `python` may be another environment's.
    Raises: ImportError when keras or the backend is not installed.
    """

    package = "keras"

    def __init__(self, python=None, backend="tensorflow"):
        if backend not in _BACKENDS:
            raise ValueError(
                f"RealKeras: `backend` must be one of {', '.join(_BACKENDS)}. "
                f"Received: backend={backend!r}"
            )
        super().__init__(python)
        self.backend = backend
        self.needs = ("keras", backend)

    def _title(self):
        return "real Keras"


def _reference(function):
    file = inspect.getsourcefile(function)
    name = function.__name__
    if name == "<lambda>" or function.__qualname__ != name or file is None:
        raise ValueError(
            "kerasmirror.parity: a function for the other process must be defined at the top level "
            f"of a file. Received: {function.__qualname__} in {file}"
        )
    return ("function", str(Path(file).resolve()), name)
