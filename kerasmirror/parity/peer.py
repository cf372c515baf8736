"""RealKeras: a child process in which functions run with the real `keras`."""

from __future__ import annotations

import importlib.util
import inspect
import pickle
import subprocess
import sys
from pathlib import Path

_CHILD = Path(__file__).with_name("child.py")


class RealKeras:
    """Context manager around the child process; `call(function, *arguments)` runs there.

    `function` and functions among the arguments must be module-level, in a file; they get the
    real `keras` as their first argument. Results come back pickled.
    Raises: ImportError when keras or tensorflow is not installed.
    """

    def __init__(self, python=None):
        self._python = python or sys.executable
        self._process = None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def _start(self):
        missing = [name for name in ("keras", "tensorflow") if not importlib.util.find_spec(name)]
        if missing and self._python == sys.executable:
            raise ImportError(
                f"kerasmirror.parity: real Keras is needed, and {', '.join(missing)} is not "
                "installed. Install it with `pip install 'kerasmirror[parity]'`."
            )
        self._process = subprocess.Popen(
            [self._python, str(_CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def call(self, function, *arguments):
        """`function(keras, *arguments)` in the child.

        Raises: RuntimeError with the child's traceback when it fails there.
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
            raise RuntimeError("kerasmirror.parity: the process with real Keras died.") from error
        if not good:
            kind, message, trace = answer
            raise RuntimeError(f"real Keras raised {kind}: {message}\n{trace}")
        return answer

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


def _reference(function):
    file = inspect.getsourcefile(function)
    name = function.__name__
    if name == "<lambda>" or function.__qualname__ != name or file is None:
        raise ValueError(
            "kerasmirror.parity: a function for the other process must be defined at the top level "
            f"of a file. Received: {function.__qualname__} in {file}"
        )
    return ("function", str(Path(file).resolve()), name)
