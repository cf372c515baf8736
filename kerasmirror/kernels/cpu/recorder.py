"""Recorder: notes the launches of a computation, and whether they are all that it does.

Every array that reaches a launch must lie in memory that the recorder handed out, or be an input,
a weight or read-only, or hold whole numbers (tables of places). NumPy functions that say so are
noted too, each in its place among the launches (between.py).

A computation may have two phases, with something else between them: a forward pass, and a backward
pass that begins once the loss is known. The second has inputs of its own, and what the first left
in memory.
"""

from __future__ import annotations

import bisect
import contextlib
import struct

import numpy as np

from . import memory, threads
from .launch import launch
from .program import Fresh, Program, _clear

__all__ = ["Recorder"]


class Recorder:
    """Notes what a thread computes between its `open` and the end of the block.

    Args: `inputs` are contiguous arrays that each run of the program gets anew, `constants` those
    it reads, or writes, wherever they are (weights).
    """

    def __init__(self, arena, inputs, constants):
        self.refusal = None
        self.rows = []  # (entry, items, chunk, number of its first word)
        self.words = []
        self.kept = []  # what tables point to
        self.calls = []  # (number of rows before it, function, its arguments)
        self.inputs_of_call = []  # (input, arguments, place among them, shape)
        self.input_places = []
        self.constants = list(constants)
        self.phases = []  # where each ends: (rows, calls, inputs)
        self.arena = arena
        self._inputs = []
        self._input_ranges = []
        self._constant_ranges = sorted(_extent(x) for x in constants if x.size)
        self._lease_of_word = {}
        self._leases_of_calls = []
        self._addresses = []  # sorted (address, number) of the blocks that were handed out
        # By size, as in the pool: a block that served smaller arrays too would be missing later.
        self._free = {}
        for number, block in enumerate(arena.blocks):
            self._free.setdefault(block.nbytes, []).append(number)
        self._live = {}
        self._lease_of_block = {}
        self._leases = 0
        self.add_inputs(inputs)

    def add_inputs(self, inputs):
        """Know further inputs: those of the next phase."""
        for x in inputs:
            start, stop = _extent(x)
            if any(first < stop and start < last for first, last in self._input_ranges):
                self.refuse("two inputs share memory")  # which of them a launch reads is not known
            self._inputs.append(x)
            self._input_ranges.append((start, stop))
            self.input_places.append([])

    @contextlib.contextmanager
    def open(self):
        """Within it, a phase: this thread's launches are noted, its memory is the arena's."""
        before = memory.set_recorder(self)
        try:
            yield self
        finally:
            memory.set_recorder(before)
            self.phases.append((len(self.rows), len(self.calls), len(self._inputs)))

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
        number = free.pop() if free else self.arena.new_block(size)
        block = self.arena.blocks[number]
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
            self._free.setdefault(self.arena.blocks[number].nbytes, []).append(number)

    def _block_at(self, address):
        at = bisect.bisect_right(self._addresses, (address, len(self.arena.blocks))) - 1
        if at < 0:
            return None, 0
        start, number = self._addresses[at]
        offset = address - start
        return (number, offset) if offset < self.arena.blocks[number].nbytes else (None, 0)

    def _lies_in_arena(self, array):
        return self._block_at(_extent(array)[0])[0] is not None

    # What happens

    def note(self, kernel_, compiled, n_items, chunk, table, args):
        """Add a launch; called by it."""
        first = len(self.words)
        words = struct.unpack(f"{len(table) // 8}q", table)
        for place, array in enumerate(args[: compiled[2]], first):
            self.words.append(self._word_of(kernel_.name, place, array))
        self.words.extend(words[compiled[2] :])
        self.kept.append(compiled)
        self.rows.append((compiled[0], n_items, chunk, first))

    def _word_of(self, name, place, array):
        if not array.size:
            self.kept.append(array)
            return id(array)
        number, offset = self._block_at(_extent(array)[0])
        if number is not None:
            self._lease_of_word[place] = (self._lease_of_block[number], array.shape, offset)
            array = np.ndarray(array.shape, array.dtype, self.arena.blocks[number], offset)
        else:
            i = self._input_of(name, array)
            if i is not None:
                self.input_places[i].append((place, array.shape))
        self.kept.append(array)
        return id(array)

    def note_call(self, function, args):
        """Add a call of a function on arrays; called by between.py."""
        name = getattr(function, "__name__", str(function))
        args = list(args)
        for place, array in enumerate(args):
            if isinstance(array, np.ndarray) and array.size:
                args[place] = self._argument(name, args, place, array)
        self.calls.append((len(self.rows), function, args))

    def _argument(self, name, args, place, array):
        number, _ = self._block_at(_extent(array)[0])
        if number is None:
            i = self._input_of(name, array)
            if i is not None:
                self.inputs_of_call.append((i, args, place, array.shape))
                if not array.flags.c_contiguous:
                    self.refuse(f"{name} reads a part of an input")
            return array
        _, offset = self._block_at(array.__array_interface__["data"][0])
        lease = self._lease_of_block[number]
        block = self.arena.blocks[number]
        # Not the array itself, whose memory is used again when it dies.
        array = np.ndarray(array.shape, array.dtype, block, offset, array.strides)
        self._leases_of_calls.append((lease, args, place, array, offset))
        return array

    def _input_of(self, name, array):
        """The number of the input that an array outside of the arena is; None for a constant."""
        address, end = _extent(array)
        for i, (start, stop) in enumerate(self._input_ranges):
            if start <= address < stop:
                if (address, end) != (start, stop) or array.dtype != self._inputs[i].dtype:
                    self.refuse(f"{name} reads a part of an input")
                return i
        known = array.dtype.kind != "f" or _is_frozen(array)
        if not known and not self._is_constant(address, end):
            self.refuse(f"{name} gets values that no launch computed")
        return None

    def _is_constant(self, address, end):
        at = bisect.bisect_right(self._constant_ranges, (address, end + 1)) - 1
        # The range before may be a view's, inside of a longer one.
        return any(
            start <= address and end <= stop for start, stop in self._constant_ranges[: at + 1]
        )

    # The program

    def program_for(self, fresh, kept, draws=(), first=None):
        """The Program whose runs give `fresh` in new arrays, and `kept` where they are; or None.

        Args: results of the recorded computation, contiguous; nothing else of it may be alive.
        `draws` are seed states (two int64 words), each with the keys drawn from it in order: a run
        draws the next ones. `first`: so many of `fresh` are results of the first of two phases.
        """
        results = [Fresh(array, self._owner_of(array)) for array in fresh]
        if not self.is_whole(fresh, kept):
            self.refuse("memory of the computation is still in use")
        for place, (lease, shape, offset) in self._lease_of_word.items():
            for result in results:
                if result.lease_number == lease:
                    if offset or _size(shape) != _size(result.shape):
                        self.refuse("a launch has a part of a result")
                    result.places.append((place, shape))
        for lease, args, place, array, offset in self._leases_of_calls:
            for result in results:
                if result.lease_number == lease:
                    whole = not offset and array.size == _size(result.shape)
                    if not whole or not array.flags.c_contiguous:
                        self.refuse("a call has a part of a result")
                    result.calls.append((args, place, array.shape))
        if len({result.lease_number for result in results}) < len(results):
            self.refuse("two results are one array")
        kept_arrays = [self._in_arena(array) for array in kept]
        if self.refusal is not None:
            return None
        program = Program(self, results, kept_arrays, len(fresh) if first is None else first)
        for state, keys in draws:
            program.draw_before(state, keys)
        return program if self.refusal is None else None

    def forget(self):
        """Watch no array any longer: their memory is theirs."""
        self._live.clear()

    def blocks_in_use(self):
        """Numbers of the blocks that were handed out."""
        return list(self._lease_of_block)

    def is_whole(self, fresh, kept):
        """Whether nothing but these results holds memory of the computation."""
        held = {self._block_at(_extent(array)[0])[0] for array in (*fresh, *kept)}
        # A copy: the garbage collector, in whatever thread, may end a lease meanwhile.
        return all(lease.number in held for lease in list(self._live.values()))

    def _owner_of(self, array):
        number, offset = self._block_at(_extent(array)[0])
        if number is None or offset or not array.flags.c_contiguous:
            self.refuse("a result is no memory of a launch")
        return self._lease_of_block.get(number)

    def _in_arena(self, array):
        number, offset = self._block_at(_extent(array)[0])
        if number is None or not array.flags.c_contiguous:
            self.refuse("a result is no memory of a launch")
            return None
        return np.ndarray(array.shape, array.dtype, self.arena.blocks[number], offset)


class _Lease(memory.Lease):
    """Watches an array of a recording."""

    __slots__ = ("number",)


def _is_frozen(array):
    """Whether nobody can write to the array, nor to what it is a view of."""
    while isinstance(array, np.ndarray):
        if array.flags.writeable:
            return False
        array = array.base
    return array is None


def _extent(array):
    """The addresses of an array's first byte and of the one behind its last."""
    start = array.__array_interface__["data"][0]
    if array.flags.c_contiguous:
        return start, start + array.nbytes
    stop = start
    for size, stride in zip(array.shape, array.strides, strict=True):
        if stride > 0:
            stop += (size - 1) * stride
        else:
            start += (size - 1) * stride
    return start, stop + array.itemsize


def _size(shape):
    size = 1
    for n in shape:
        size *= n
    return size
