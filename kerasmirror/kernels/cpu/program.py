"""Programs: the launches of a computation, noted while it runs once, then run again as one call.

While a `Recorder` is open in a thread, each launch of that thread runs as usual and is noted: its
compiled entry, its items, and its table of arguments. A `Program` runs the whole list of them in
compiled code, with no Python between. It is right wherever what the computation does lies in its
launches alone, and the recorder refuses the rest: an array that reaches a launch must lie in memory
that the recorder handed out, or be an input, a weight or read-only, or hold whole numbers (tables
of places). What changes values in between without a launch is found by running the program once on
memory full of NaN, which is left to the caller.

Buffers come from an `Arena`, which the programs of one owner share, because only one of them runs
at a time. A buffer freed during the recording serves again within it, as in the pool. The tables
point to array objects of the program's own: they stay alive while their memory is used over and
over. Words that differ from run to run, the objects of inputs and of results, are set before it.
"""

from __future__ import annotations

import bisect
import contextlib
import struct
import threading

import numpy as np
from numba import njit

from . import memory, threads, workers
from .atomics import call, load
from .compiling import OPTIONS, cached_on_disk
from .launch import kernel, launch
from .random import key_and_counter
from .workers import share

__all__ = ["Arena", "Program", "Recorder", "is_recording", "keys_drawn"]

_ROW = 4  # words of a noted launch: entry, items, chunk, address of its table
# Python's word for `seed % modulus` of kerasmirror.random: TensorFlow's seeds are int32.
_SEED_MODULUS = 2**31 - 2


def is_recording() -> bool:
    """Whether a computation is being recorded, in any thread."""
    return memory.recorder is not None


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

    def __del__(self):
        for block in self.blocks:
            memory.give(block)


class _Fresh:
    """A result that is new memory in each run, and the words of the tables that name it."""

    def __init__(self, array, lease_number):
        self.shape, self.dtype = array.shape, array.dtype
        self.lease_number = lease_number
        self.places = []


class Recorder:
    """Notes the launches of this thread between `open` and the end of its block.

    Args: `inputs` are contiguous arrays that each run of the program gets anew, `constants` those
    it reads, or writes, wherever they are (weights).
    """

    def __init__(self, arena, inputs, constants):
        self.thread = threading.get_ident()
        self.refusal = None
        self._arena = arena
        self._inputs = list(inputs)
        self._input_ranges = [_range(x) for x in inputs]
        self._constant_ranges = sorted(_range(x) for x in constants if x.size)
        self._constants = list(constants)
        self._rows = []  # (entry, items, chunk, number of its first word)
        self._words = []
        self._kept = []  # array objects that tables point to
        self._input_places = [[] for _ in inputs]
        self._lease_of_word = {}
        self._addresses = []  # sorted (address, number) of the blocks that were handed out
        # By size, as in the pool: a block that served smaller arrays too would be missing later.
        self._free = {}
        for number, block in enumerate(arena.blocks):
            self._free.setdefault(block.nbytes, []).append(number)
        self._live = {}
        self._lease_of_block = {}
        self._leases = 0

    @contextlib.contextmanager
    def open(self):
        """Within it, this thread's launches are noted and its memory comes from the arena."""
        before, memory.recorder = memory.recorder, self
        try:
            yield self
        finally:
            memory.recorder = before

    def refuse(self, reason):
        """Give up: what runs cannot be run again as a program."""
        self.refusal = self.refusal or reason

    # Memory

    def empty(self, shape, dtype, n_bytes):
        """An array from the arena; its memory is free again when it dies."""
        if not n_bytes:
            return np.empty(shape, dtype)
        size = memory.size_class(max(64, n_bytes))
        free = self._free.get(size)
        number = free.pop() if free else self._arena.new_block(size)
        block = self._arena.blocks[number]
        if number not in self._lease_of_block:
            address = np.frombuffer(block, np.uint8).ctypes.data
            bisect.insort(self._addresses, (address, number))
        array = np.ndarray(shape, dtype, block)
        lease = _Lease(array, self._died)
        lease.number = number
        self._leases += 1
        self._lease_of_block[number] = self._leases
        self._live[id(lease)] = lease
        return array

    def zeros(self, array):
        """Clear an array from `empty` in a way that the program repeats."""
        if array.nbytes:
            flat = array.reshape(-1).view(np.uint8)
            launch(_clear, flat.size, threads.GRAIN * 4, flat)

    def _died(self, lease):
        if self._live.pop(id(lease), None) is not None:
            number = lease.number
            self._free.setdefault(self._arena.blocks[number].nbytes, []).append(number)

    def _block_at(self, address):
        at = bisect.bisect_right(self._addresses, (address, len(self._arena.blocks))) - 1
        if at < 0:
            return None, 0
        start, number = self._addresses[at]
        offset = address - start
        return (number, offset) if offset < self._arena.blocks[number].nbytes else (None, 0)

    # Launches

    def note(self, kernel_, compiled, n_items, chunk, table, args):
        """Add a launch; called by it."""
        first = len(self._words)
        words = struct.unpack(f"{len(table) // 8}q", table)
        for place, array in enumerate(args[: compiled[2]], first):
            self._words.append(self._word_of(kernel_, place, array))
        self._words.extend(words[compiled[2] :])
        self._kept.append(compiled)
        self._rows.append((compiled[0], n_items, chunk, first))

    def _word_of(self, kernel_, place, array):
        if not array.size:
            self._kept.append(array)
            return id(array)
        address, end = _range(array)
        number, offset = self._block_at(address)
        if number is not None:
            self._lease_of_word[place] = (self._lease_of_block[number], array.shape, offset)
            block = self._arena.blocks[number]
            array = np.ndarray(array.shape, array.dtype, block, offset)
        else:
            for i, (start, stop) in enumerate(self._input_ranges):
                if start <= address < stop:
                    if (address, end) != (start, stop) or array.dtype != self._inputs[i].dtype:
                        self.refuse(f"{kernel_.name} reads a part of an input")
                    self._input_places[i].append((place, array.shape))
                    break
            else:
                known = array.dtype.kind != "f" or _is_frozen(array)
                if not known and not self._is_constant(address, end):
                    self.refuse(f"{kernel_.name} gets values that no launch computed")
        self._kept.append(array)
        return id(array)

    def _is_constant(self, address, end):
        at = bisect.bisect_right(self._constant_ranges, (address, end + 1)) - 1
        # The range before may be a view's, inside of a longer one.
        return any(
            start <= address and end <= stop for start, stop in self._constant_ranges[: at + 1]
        )

    # The program

    def program_for(self, fresh, kept, draws=()):
        """The Program whose runs give `fresh` in new arrays, and `kept` where they are; or None.

        Args: results of the recorded computation, contiguous; nothing else of it may be alive.
        `draws` are seed states (two int64 words), each with the keys drawn from it in order: a run
        draws the next ones.
        """
        results = [_Fresh(array, self._owner_of(array)) for array in fresh]
        if not self.is_whole(fresh, kept):
            self.refuse("memory of the computation is still in use")
        for place, (lease, shape, offset) in self._lease_of_word.items():
            for result in results:
                if result.lease_number == lease:
                    if offset or _size(shape) != _size(result.shape):
                        self.refuse("a launch has a part of a result")
                    result.places.append((place, shape))
        kept_arrays = [self._in_arena(array) for array in kept]
        if self.refusal is not None:
            return None
        program = Program(self, results, kept_arrays)
        for state, keys in draws:
            program.draw_before(state, keys)
        return program if self.refusal is None else None

    def is_whole(self, fresh, kept):
        """Whether nothing but these results holds memory of the computation."""
        held = {self._block_at(_range(array)[0])[0] for array in (*fresh, *kept)}
        return all(lease.number in held for lease in self._live.values())

    def _owner_of(self, array):
        number, offset = self._block_at(_range(array)[0])
        if number is None or offset or not array.flags.c_contiguous:
            self.refuse("a result is no memory of a launch")
        return self._lease_of_block.get(number)

    def _in_arena(self, array):
        number, offset = self._block_at(_range(array)[0])
        if number is None or not array.flags.c_contiguous:
            self.refuse("a result is no memory of a launch")
            return None
        return np.ndarray(array.shape, array.dtype, self._arena.blocks[number], offset)


class _Lease(memory.Lease):
    """Watches an array of a recording."""

    __slots__ = ("number",)


class Program:
    """A list of launches; `run` runs them all. Made by `Recorder.program_for`."""

    def __init__(self, recorder, fresh, kept):
        self.arena = recorder._arena
        self._recorder = recorder
        self._objects = recorder._kept
        self._constants = recorder._constants
        self._input_places = recorder._input_places
        self._fresh = fresh
        self._kept = kept
        self._block_numbers = list(recorder._lease_of_block)
        self._table = np.array(recorder._words or [0], np.int64)
        self._words = memoryview(self._table)
        start = self._table.ctypes.data
        rows = [(*row[:3], start + 8 * row[3]) for row in recorder._rows]
        self._rows = np.array(rows, np.int64).reshape(len(rows), _ROW)
        self.draws = []

    def __len__(self):
        return len(self._rows)

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
        self.draws.append((state, len(keys)))

    def run(self, inputs):
        """Run all launches on `inputs`, contiguous arrays of the recorded shapes and dtypes.

        Gives the new results and the kept ones, which the next run overwrites. The caller holds
        the arena's lock.
        """
        words, held, fresh = self._words, [], []
        for x, places in zip(inputs, self._input_places, strict=True):
            for place, shape in places:
                view = x if x.shape == shape else x.reshape(shape)
                held.append(view)
                words[place] = id(view)
        for result in self._fresh:
            y = memory.empty(result.shape, result.dtype)
            fresh.append(y)
            for place, shape in result.places:
                view = y if y.shape == shape else y.reshape(shape)
                held.append(view)
                words[place] = id(view)
        n_threads = threads._count or threads.thread_count()
        if n_threads > workers.members:
            workers.grow(n_threads)
        run = _runner or _compiled_runner()
        run(self._rows.ctypes.data, len(self._rows), n_threads, workers.address)
        return fresh, self._kept

    def fill_memory(self, byte):
        """Set every byte of the arena that the launches read or write."""
        for number in self._block_numbers:
            np.frombuffer(self.arena.blocks[number], np.uint8).fill(byte)

    def undo_draws(self):
        """Take the states of draws back to before the last run."""
        for state, count in self.draws:
            state[1] -= count


def _is_frozen(array):
    """Whether nobody can write to the array, nor to what it is a view of."""
    while isinstance(array, np.ndarray):
        if array.flags.writeable:
            return False
        array = array.base
    return array is None


def _range(array):
    start = array.__array_interface__["data"][0]
    return start, start + array.nbytes


def _size(shape):
    size = 1
    for n in shape:
        size *= n
    return size


def _run_program(rows, count, n_threads, pool):
    for i in range(count):
        row = rows + 8 * _ROW * i
        entry, n_items, chunk, table = load(row, 0), load(row, 8), load(row, 16), load(row, 24)
        if n_items <= chunk or n_threads == 1:
            call(entry, 0, n_items, 0, table)
        else:
            share(entry, n_items, chunk, table, n_threads, pool)


_runner = None


def _compiled_runner():
    global _runner
    with cached_on_disk(__file__):
        signature = "void(int64, int64, int64, int64)"
        _runner = njit(signature, cache=True, **OPTIONS)(_run_program)
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
