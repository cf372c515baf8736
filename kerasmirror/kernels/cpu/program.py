"""Programs: the launches of a computation, noted while it runs once, then run again as one call.

While a `Recorder` (recorder.py) is open in a thread, each launch of that thread runs as usual and
is noted: its compiled entry, its items, and its table of arguments. A `Program` runs the whole list
of them in compiled code, with no Python between but for the functions on arrays that were noted
among them (between.py). It is right wherever what the computation does lies in these alone, and the
recorder refuses the rest. What changes values in between without being noted is found by running
the program once on memory full of NaN, which is left to the caller.

Buffers come from an `Arena`, which the programs of one owner share, because only one of them runs
at a time. A buffer freed during the recording serves again within it, as in the pool. The tables
point to array objects of the program's own: they stay alive while their memory is used over and
over. Words that differ from run to run, the objects of inputs and of results, are set before it.
"""

from __future__ import annotations

import threading
from typing import NamedTuple

import numpy as np

from . import between, compiling, memory, threads, workers
from .atomics import call, load
from .compiling import Routine
from .launch import kernel
from .random import key_and_counter
from .workers import share

__all__ = ["Arena", "Program", "is_recording", "keys_drawn"]

_ROW = 4  # words of a noted launch: entry, items, chunk, address of its table
# Python's word for `seed % modulus` of kerasmirror.random: TensorFlow's seeds are int32.
_SEED_MODULUS = 2**31 - 2


def is_recording() -> bool:
    """Whether this thread's computation is being recorded."""
    return between.is_noted()


def keys_drawn(seed: int, first: int, last: int) -> list[tuple]:
    """The keys that draws number `first` up to `last` of a seed generator give to kernels."""
    return [
        key_and_counter((seed % _SEED_MODULUS, count % _SEED_MODULUS))
        for count in range(first, last)
    ]


class Arena:
    """Memory for the programs of one owner, of which one at a time runs or is recorded."""

    def __init__(self):
        self.blocks = []
        self.n_bytes = 0
        self.lock = threading.Lock()

    def new_block(self, n_bytes):
        """One more block of `n_bytes`; gives its number."""
        self.blocks.append(memory.take(n_bytes))
        self.n_bytes += self.blocks[-1].nbytes
        return len(self.blocks) - 1

    def abandon(self):
        """Leave the memory to whoever still has arrays in it."""
        self.blocks = []

    def __del__(self, give=memory.give):  # also while the interpreter takes the modules down
        for block in self.blocks:
            give(block)


class Fresh:
    """A result that is new memory in each run, and what names it: words of tables, arguments."""

    def __init__(self, array, lease_number):
        self.shape, self.dtype = array.shape, array.dtype
        self.lease_number = lease_number
        self.places = []
        self.calls = []


class _Phase(NamedTuple):
    """One of a program's parts: its inputs and results, and what runs."""

    inputs: list  # for each: (places of its words, its places in calls)
    fresh: list
    steps: list  # (address of the first row, number of rows, function or None, its arguments)


class Program:
    """A list of launches, and of functions among them; `run` runs them all.

    Made by `Recorder.program_for`. A program of two phases is run in two calls, `run(inputs)` and
    `run(inputs, 1)`, and nothing else uses the arena between them.
    """

    def __init__(self, recorder, fresh, kept, first):
        self.arena = recorder.arena
        self._recorder = recorder
        self._objects = recorder.kept
        self._constants = recorder.constants
        self._kept = kept
        self._block_numbers = recorder.blocks_in_use()
        self._table = np.array(recorder.words or [0], np.int64)
        self._words = memoryview(self._table)
        start = self._table.ctypes.data
        rows = [(*row[:3], start + 8 * row[3]) for row in recorder.rows]
        self._rows = np.array(rows, np.int64).reshape(len(rows), _ROW)
        self._results = fresh
        self._first = first
        self._held = [None] * len(recorder.phases)
        self._in_calls = [(args, place) for _, args, place, _ in recorder.inputs_of_call]
        self._in_calls += [(args, place) for result in fresh for args, place, _ in result.calls]
        self.draws = []
        self._phases = self._made_phases(recorder)

    def __len__(self):
        return len(self._rows)

    def _made_phases(self, recorder):
        in_calls = [[] for _ in recorder.input_places]
        for i, args, place, shape in recorder.inputs_of_call:
            in_calls[i].append((args, place, shape))
        inputs = list(zip(recorder.input_places, in_calls, strict=True))
        # Rows that were put in front belong to the first phase.
        added = len(self._rows) - len(recorder.rows)
        address = self._rows.ctypes.data
        phases, row, call, input_ = [], 0, 0, 0
        for number, (last_row, last_call, last_input) in enumerate(recorder.phases):
            steps, row_here = [], row
            stops = [(at + added, f, args) for at, f, args in recorder.calls[call:last_call]]
            for at, function, args in (*stops, (last_row + added, None, ())):
                steps.append((address + 8 * _ROW * row_here, at - row_here, function, args))
                row_here = at
            results = self._results[: self._first] if number == 0 else self._results[self._first :]
            phases.append(_Phase(inputs[input_:last_input], results, steps))
            row, call, input_ = row_here, last_call, last_input
        return phases

    def draw_before(self, state, keys):
        """Let each run first draw the keys that follow: as `keys` were drawn in the recording."""
        found = [np.flatnonzero(self._table == key[0]) for key in keys]
        rows = []
        for key, places in zip(keys, found, strict=True):
            places = [at for at in places if tuple(self._table[at : at + 4]) == tuple(key)]
            if not places:
                self._recorder.refuse("a key that was drawn is in no launch")
                return
            where = np.array(places, np.int64)
            table = np.array([id(state), id(self._table), id(where)], np.int64)
            args = (state, self._table, where)
            kind = (state.dtype, 1) * 3
            compiled = _draw.entries.get(kind) or _draw.compile(kind, args)
            self._objects += [compiled, state, where, table]
            rows.append((compiled[0], 1, 1, table.ctypes.data))
        self._rows = np.concatenate([np.array(rows, np.int64).reshape(-1, _ROW), self._rows])
        self._phases = self._made_phases(self._recorder)
        self.draws.append((state, len(keys)))

    def run(self, inputs, phase=0):
        """Run a phase on `inputs`, contiguous arrays of the recorded shapes and dtypes.

        Gives the new results and the kept ones, which the next run overwrites. The caller holds
        the arena's lock.
        """
        expected, results, steps = self._phases[phase]
        words, held, fresh = self._words, [], []
        for x, (places, calls) in zip(inputs, expected, strict=True):
            for place, shape in places:
                view = x if x.shape == shape else x.reshape(shape)
                held.append(view)
                words[place] = id(view)
            for args, place, shape in calls:
                args[place] = x if x.shape == shape else x.reshape(shape)
        for result in results:
            y = memory.empty(result.shape, result.dtype)
            fresh.append(y)
            for place, shape in result.places:
                view = y if y.shape == shape else y.reshape(shape)
                held.append(view)
                words[place] = id(view)
            for args, place, shape in result.calls:
                args[place] = y if y.shape == shape else y.reshape(shape)
        if len(self._held) > 1:
            self._held[phase] = held  # tables of the next phase name these objects
        n_threads = threads._count or threads.thread_count()
        if n_threads > workers.members:
            workers.grow(n_threads)
        run = _runner or _compiled_runner()
        for address, count, function, args in steps:
            if count:
                run(address, count, n_threads, workers.address)
            if function is not None:
                function(*args)
        if self._in_calls and phase == len(self._held) - 1:
            self.release()
        return fresh, self._kept

    def release(self):
        """Let go of the arrays of the last run."""
        self._held = [None] * len(self._held)
        for args, place in self._in_calls:
            args[place] = None

    def fill_memory(self, byte):
        """Set every byte of the arena that the launches read or write."""
        for number in self._block_numbers:
            np.frombuffer(self.arena.blocks[number], np.uint8).fill(byte)

    def undo_draws(self):
        """Take the states of draws back to before the last run."""
        for state, count in self.draws:
            state[1] -= count


def _run_program(rows, count, n_threads, pool):
    for i in range(count):
        row = rows + 8 * _ROW * i
        entry, n_items, chunk, table = load(row, 0), load(row, 8), load(row, 16), load(row, 24)
        if n_items <= chunk or n_threads == 1:
            call(entry, 0, n_items, 0, table)
        else:
            share(entry, n_items, chunk, table, n_threads, pool)
    return 0


_RUNNER = Routine(__file__, "run_program", lambda: _run_program, 4, for_python=True)
_runner = None


def _compiled_runner():
    global _runner
    _runner = compiling.function_of(_RUNNER)
    return _runner


@kernel
def _clear(lo, hi, thread, x):
    x = x[lo:hi]
    for i in range(x.size):
        x[i] = 0


@kernel
def _draw(lo, hi, thread, state, words, places):
    # kernels/cpu/random.py: key_and_counter of the state's seed, then the state goes on.
    low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    s0, s1 = np.uint64(state[0] % _SEED_MODULUS), np.uint64(state[1] % _SEED_MODULUS)
    state[1] += 1
    c0, c1, c2, c3 = s0 & low, s0 >> half, s1 & low, s1 >> half
    k0, k1 = np.uint64(0x3EC8F720), np.uint64(0x02461E29)
    for _ in range(10):
        p0, p1 = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = (p1 >> half) ^ c1 ^ k0, p1 & low, (p0 >> half) ^ c3 ^ k1, p0 & low
        k0 = (k0 + np.uint64(0x9E3779B9)) & low
        k1 = (k1 + np.uint64(0xBB67AE85)) & low
    for i in range(places.size):
        at = places[i]
        words[at] = c0
        words[at + 1] = c1
        words[at + 2] = c2
        words[at + 3] = c3
