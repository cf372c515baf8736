"""CUDA graphs: the launches of a computation, recorded once and run again as one.

A recorded launch keeps its arguments. So everything it reads has to stay where it is: the graph
owns the memory of all arrays that are made while it is recorded; inputs are arrays that are
overwritten before each run; keys of random numbers lie in a table that is, too. A step that does
what cannot be recorded, reading a value back or copying one from the host, ends the recording.
"""

from __future__ import annotations

import contextlib
import threading

import numpy as np

from . import device, memory

__all__ = ["is_recording"]

_MOST_KEYS = 256
_KEY_WORDS = 4


class CannotRecord(RuntimeError):
    """The computation does what a graph cannot repeat; says what."""


class Graph:
    """What runs within `recording` on this thread's device, to be run by `run` as often as asked.

    `pairs` are the seeds of the keys that it reads, in the order in which they were first drawn.
    """

    def __init__(self):
        self.device = device.current()
        self.pairs = []
        self.kept = []  # constants that it reads
        self._pool = memory.pool_of(self.device)
        self._keys = memory.zeros((_MOST_KEYS, _KEY_WORDS), np.uint32)
        self._words = np.zeros((_MOST_KEYS, _KEY_WORDS), np.uint32)
        self._thread = threading.get_ident()
        self._free = {}
        self._held = []  # (size, address) of every block that the graph has taken
        self._graph = None

    @contextlib.contextmanager
    def recording(self):
        """Within it, launches are noted and not run.

        Raises: CannotRecord. Nothing has run then.
        """
        with self.device.lock:
            if self.device.recorder is not None:
                raise CannotRecord("another graph is being recorded")
            self.device.recorder = self
        try:
            self.device.synchronize()
            self.device.begin_capture()
        except BaseException:
            self._stop()
            raise
        try:
            yield self
        except BaseException:
            self._stop()
            with contextlib.suppress(RuntimeError):
                self.device.drop_graph(self.device.end_capture())
            raise
        self._stop()
        self._graph = self.device.end_capture()

    def _stop(self):
        self.device.recorder = None

    def run(self, keys=None):
        """Run what was recorded; `keys` has the words of each of `pairs`' keys, for this run."""
        if keys:
            self._words[: len(keys)] = keys
            part = self._keys.view_at(0, (len(keys), _KEY_WORDS))
            memory.overwrite_from_host(part, self._words[: len(keys)])
        self.device.run_graph(self._graph)

    def __del__(self):
        graph, self._graph = self._graph, None
        if graph is not None:
            with contextlib.suppress(RuntimeError):  # the driver may be gone at the very end
                self.device.drop_graph(graph)
        for size, address in self._held:
            self._pool.take_back(size, address)

    # For memory.py and random.py, while it is recorded

    def is_of_this_thread(self):
        """Whether what this thread launches is recorded."""
        return self._thread == threading.get_ident()

    def refuse(self, reason):
        """End the recording."""
        raise CannotRecord(reason)

    def take(self, size, described):
        """A Block of a size class out of the graph's own memory."""
        free = self._free.get(size)
        if free:
            return memory.Block(self.device, free.pop(), size, self)
        block = self._pool.lend(size, described, self)
        self._held.append((size, block.address))
        return block

    def take_back(self, size, address):
        """Keep a block that no array of the recording uses any more."""
        self._free.setdefault(size, []).append(address)

    def key(self, pair):
        """The array that holds the key of a seed, in every run that of the run's."""
        pair = tuple(pair)
        if pair not in self.pairs:
            if len(self.pairs) == _MOST_KEYS:
                self.refuse(f"more than {_MOST_KEYS} draws of random numbers")
            self.pairs.append(pair)
        number = self.pairs.index(pair)
        return self._keys.view_at(number * _KEY_WORDS, (_KEY_WORDS,))


def recorded():
    """The graph that this thread is recording on its device, or None."""
    graph = device.current().recorder
    return graph if graph is not None and graph.is_of_this_thread() else None


def is_recording():
    """Whether a Program of the CPU's kind is being recorded: there is none on a GPU."""
    return False
