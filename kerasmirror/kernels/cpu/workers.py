"""Threads that share the chunks of a launch with the thread that launches.

Worker threads are started once and stay in compiled code. A launch describes its work in memory
shared with them, wakes those that sleep, takes chunks itself, and in the end waits only for workers
that hold a chunk. So on a busy machine a worker that gets no core costs nothing: its part is done
by the others. After a launch a worker looks for the next one for `_LINGER`, and lets whoever else
wants its core go first; then it sleeps in the kernel.

The state of a launch is one word: how many chunks are left, how many workers are inside, and the
number of threads that may take part. A worker enters by a compare-and-swap that takes a chunk and
adds one to the workers inside, which succeeds only while a chunk is left: from then on, until it
has left, the launch cannot end, and its description and table cannot change. Before, a worker reads
nothing but the word. Whatever time passes between reading the word and swapping it, the swap says
that the word is right *now*, so no generation number is needed. A launch has ended when neither
chunks nor workers are left; the leaving worker's and the caller's operations on the word order the
results' stores before the caller's loads.

Sleeping: the sleeper sets its flag, looks again for what it waits for, and waits on its semaphore;
the waker changes what is waited for, and posts if it takes the flag back. All four are sequentially
consistent, so one of the two sees the other. Posts too many only make a sleeper look again.
"""

import atexit
import contextlib
import ctypes
import os
import sys
import threading
import time

import numpy as np
from llvmlite import ir

from . import compiling, threads
from .atomics import add, call, exchange, load, number, pause, pointer, store, swap
from .compiling import Routine
from .deferred import cgutils, inlined, intrinsic, types

# Nanoseconds. To wake a worker costs its caller 10,000, and a training step has launches every
# 10,000 to 100,000.
_LINGER = 500_000  # a worker without work, before it sleeps
_PATIENCE = 30_000  # a caller that waits for the last chunk, before it sleeps
_GLANCES = 16  # looks at the word, a pause after each, between looks at the clock
_FAN = 4  # sleepers that one thread wakes: more are woken by those

_MONOTONIC = getattr(time, "CLOCK_MONOTONIC", 0)

# The fields of the word, from bit 0.
_CHUNKS = (1 << 32) - 1  # mask: chunks left
_INSIDE = 1 << 32  # one worker inside
_UNFINISHED = (1 << 48) - 1  # mask: chunks left and workers inside
_LIMIT = 48  # shift: threads that may take part

# The state's layout in bytes; each group on cache lines of its own.
_LINE = 128
_WORD = 0
_ENTRY, _N_ITEMS, _CHUNK, _TABLE, _N_CHUNKS, _CALLER_CORE = (_LINE + 8 * i for i in range(6))
_BUSY = 2 * _LINE  # 1 while a launch uses the workers
_POST, _WAIT, _CLOCK, _YIELD, _CORE, _MOVE, _MASKS, _CLOSED = (3 * _LINE + 8 * i for i in range(8))
_SLEEPERS = 4 * _LINE  # a line for each thread, the caller's first: flag, semaphore's handle,
_HANDLE, _STORAGE = 8, 64  # and room for a semaphore
_MOST_CORES = 8 * _LINE  # by number; on those above, workers stay where they are


@intrinsic
def _now(typing_context, function):
    """Nanoseconds, from the C function clock_gettime at `function`; 0, no time, without it."""

    def generate(context, builder, signature, arguments):
        i32, i64 = ir.IntType(32), ir.IntType(64)
        moment = cgutils.alloca_once(builder, ir.ArrayType(i64, 2))
        result = cgutils.alloca_once_value(builder, ir.Constant(i64, 0))
        with builder.if_then(builder.icmp_signed("!=", arguments[0], ir.Constant(i64, 0))):
            kind = ir.FunctionType(i32, [i32, moment.type])
            clock = builder.inttoptr(arguments[0], kind.as_pointer())
            builder.call(clock, [ir.Constant(i32, _MONOTONIC), moment])
            seconds, rest = (builder.extract_value(builder.load(moment), i) for i in range(2))
            whole = builder.mul(seconds, ir.Constant(i64, 1_000_000_000))
            builder.store(builder.add(whole, rest), result)
        return builder.load(result)

    return types.int64(types.int64), generate


@intrinsic
def _describe(typing_context, state, entry, n_items, chunk, table, n_chunks, core):
    """Store the description of a launch; the store of the word that follows publishes it."""

    def generate(context, builder, signature, arguments):
        start = builder.add(arguments[0], ir.Constant(ir.IntType(64), _ENTRY))
        for place, value in enumerate(arguments[1:]):
            offset = ir.Constant(ir.IntType(64), 8 * place)
            builder.store(value, pointer(builder, (start, offset)))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 7), generate


@intrinsic
def _core(typing_context, function):
    """The number of the core that this thread runs on, from the C function at `function`; or -1."""

    def generate(context, builder, signature, arguments):
        i32, i64 = ir.IntType(32), ir.IntType(64)
        core = cgutils.alloca_once_value(builder, ir.Constant(i64, -1))
        with builder.if_then(builder.icmp_signed("!=", arguments[0], ir.Constant(i64, 0))):
            kind = ir.FunctionType(i32, [])
            current = builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), [])
            builder.store(builder.sext(current, i64), core)
        return builder.load(core)

    return types.int64(types.int64), generate


@inlined
def _wake(state, thread):
    sleeper = state + _SLEEPERS + _LINE * thread
    if load(sleeper, 0) and exchange(sleeper, 0, 0):
        call(load(state, _POST), load(sleeper, _HANDLE), 1, 0, 0)


@inlined
def _wake_next(state, thread, limit):
    # 0 wakes 1 to 4, 1 wakes 5 to 8, and so on.
    other = thread * _FAN
    last = other + _FAN
    while other < last and other + 1 < limit:
        other += 1
        _wake(state, other)


@inlined
def _run_chunks(state, thread, left):
    """Run the chunk with `left` chunks from it to the end, then others while there are any."""
    entry, table = load(state, _ENTRY), load(state, _TABLE)
    n_items, chunk, n_chunks = (
        load(state, _N_ITEMS),
        load(state, _CHUNK),
        load(state, _N_CHUNKS),
    )
    while left:
        lo = (n_chunks - left) * chunk
        call(entry, lo, min(lo + chunk, n_items), thread, table)
        word = load(state, _WORD)
        while word & _CHUNKS and not swap(state, _WORD, word, word - 1):
            word = load(state, _WORD)
        left = word & _CHUNKS


@intrinsic
def _is_for(typing_context, word, thread):
    """Whether chunks are left, and `thread` may take part."""

    def generate(context, builder, signature, arguments):
        word, thread = arguments
        i64 = ir.IntType(64)
        chunks = builder.and_(word, ir.Constant(i64, _CHUNKS))
        left = builder.icmp_signed("!=", chunks, ir.Constant(i64, 0))
        limit = builder.lshr(word, ir.Constant(i64, _LIMIT))
        return builder.and_(left, builder.icmp_signed("<", thread, limit))

    return types.boolean(types.int64, types.int64), generate


def _serve(state, thread):
    """Take part in launches as `thread` until the pool is closed."""
    sleeper = state + _SLEEPERS + _LINE * thread
    glances = 0
    until = _now(load(state, _CLOCK)) + _LINGER
    moved = False
    while not load(state, _CLOSED):
        word = load(state, _WORD)
        if _is_for(word, thread):
            core = _core(load(state, _CORE))
            if not moved and 0 <= core < _MOST_CORES and core == load(state, _CALLER_CORE):
                # Schedulers wake a thread where it ran last: the two would take turns for ever.
                call(load(state, _MOVE), 0, _LINE, load(state, _MASKS) + _LINE * core, 0)
                moved = True
            elif swap(state, _WORD, word, word + _INSIDE - 1):
                _wake_next(state, thread, word >> _LIMIT)
                _run_chunks(state, thread, word & _CHUNKS)
                if not (add(state, _WORD, -_INSIDE) - _INSIDE) & _UNFINISHED:
                    _wake(state, number(0))
                until = _now(load(state, _CLOCK)) + _LINGER
                moved = False
        elif glances < _GLANCES:
            glances += 1
            pause()
        elif 0 < _now(load(state, _CLOCK)) < until:
            glances = 0
            call(load(state, _YIELD), 0, 0, 0, 0)
        else:
            exchange(sleeper, 0, 1)
            while load(sleeper, 0) and not _is_for(load(state, _WORD), thread):
                if load(state, _CLOSED):
                    return 0
                call(load(state, _WAIT), load(sleeper, _HANDLE), -1, 0, 0)
            store(sleeper, 0, 0)
            # If this was too late it sleeps again at once.
            glances = _GLANCES
    return 0


_SERVE = Routine(__file__, "serve", lambda: _serve, 2, for_python=True)


@inlined
def share(entry, n_items, chunk, table, n_threads, state):
    """Run `entry` on items 0 to n_items together with the workers of the pool at `state`.

    Alone if there is no pool, if it is closed, or while another thread's launch uses it.
    """
    n_chunks = (n_items + chunk - 1) // chunk
    if state == 0 or n_chunks > _CHUNKS or load(state, _CLOSED) or not swap(state, _BUSY, 0, 1):
        call(entry, 0, n_items, 0, table)
        return
    # Nobody is inside: the launch before has ended.
    _describe(state, entry, n_items, chunk, table, n_chunks, _core(load(state, _CORE)))
    limit = min(n_threads, n_chunks)
    exchange(state, _WORD, (limit << _LIMIT) + n_chunks - 1)  # the caller has the first chunk
    caller = number(0)
    _wake_next(state, caller, limit)
    _run_chunks(state, caller, n_chunks)
    glances = 0
    until = number(0)
    while load(state, _WORD) & _UNFINISHED:
        if glances < _GLANCES:
            glances += 1
            pause()
            continue
        now = _now(load(state, _CLOCK))
        if until == 0:
            until = now + _PATIENCE
        if 0 < now < until:
            glances = 0
        else:
            sleeper = state + _SLEEPERS
            exchange(sleeper, 0, 1)
            while load(sleeper, 0) and load(state, _WORD) & _UNFINISHED:
                call(load(state, _WAIT), load(sleeper, _HANDLE), -1, 0, 0)
            store(sleeper, 0, 0)
    store(state, _BUSY, 0)


# The pool of this process: `launch` reads these two.
address = 0  # of its state; 0 where there is none
members = 1  # threads that can take part, the caller included

_lock = threading.RLock()
_state = _post = _masks = None
_threads = []


def grow(count):
    """Start workers so that `count` threads can take part in a launch.

    Not yet, if another process is about to compile what they run: the launch goes on without.
    """
    global address, members, _state, _post, _masks
    with _lock:
        if compiling.will_compile(_SERVE):
            return
        serve = compiling.function_of(_SERVE)
        if _state is None:
            atexit.register(_dismiss)
            _state, _masks, _post = _new_state(threads.most())
        if _post is not None:
            address = _state.ctypes.data
            # Where the system gives no more threads, launches do with fewer.
            with contextlib.suppress(RuntimeError):
                for thread in range(len(_threads) + 1, count):
                    worker = threading.Thread(
                        target=serve, args=(address, thread), name=f"kernels-{thread}", daemon=True
                    )
                    worker.start()
                    _threads.append(worker)
        members = max(members, count)


def _new_state(n_threads):
    """The memory that a pool of `n_threads` shares, masks of cores, and what wakes a sleeper."""
    n_bytes = _SLEEPERS + _LINE * n_threads
    room = np.zeros((n_bytes + _LINE) // 8, np.int64)
    # Never freed: when the interpreter ends, a daemon thread may be in the middle of a launch.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(room))
    skip = -room.ctypes.data % _LINE // 8
    state = room[skip : skip + n_bytes // 8]
    try:
        create, post, wait = _semaphores()
    except (AttributeError, OSError):
        return state, None, None  # a system without: launches run on the calling thread
    state[_POST // 8], state[_WAIT // 8] = _address_of(post), _address_of(wait)
    for thread in range(n_threads):
        place = _SLEEPERS + _LINE * thread
        state[(place + _HANDLE) // 8] = create(state.ctypes.data + place + _STORAGE)
    masks = None
    if sys.platform != "win32":
        library = ctypes.CDLL(None)
        state[_CLOCK // 8] = _address_of(library.clock_gettime)
        state[_YIELD // 8] = _address_of(library.sched_yield)
        if sys.platform == "linux" and hasattr(library, "sched_getcpu"):
            masks = _masks_of_others()
            state[_CORE // 8] = _address_of(library.sched_getcpu)
            state[_MOVE // 8] = _address_of(library.sched_setaffinity)
            state[_MASKS // 8] = masks.ctypes.data
    return state, masks, post


def _address_of(function):
    return ctypes.cast(function, ctypes.c_void_p).value


def _masks_of_others():
    """For each core, bits for all the other cores that this thread may use, _LINE bytes of them."""
    masks = np.zeros((_MOST_CORES, _MOST_CORES), np.bool_)
    masks[:, [core for core in os.sched_getaffinity(0) if core < _MOST_CORES]] = True
    np.fill_diagonal(masks, False)
    return np.packbits(masks, axis=1, bitorder=sys.byteorder)


def _semaphores():
    """`create(room)` -> handle, and the C functions `post(handle, 1, 0)`, `wait(handle, -1)`.

    The arguments suit the three systems, which pass these in registers: a function finds the ones
    it takes, and -1 is "forever".
    """
    handle = ctypes.c_void_p
    if sys.platform == "win32":
        library = ctypes.WinDLL("kernel32")
        make, post, wait = (
            library.CreateSemaphoreW,
            library.ReleaseSemaphore,
            library.WaitForSingleObject,
        )
        make.argtypes, make.restype = [handle, ctypes.c_long, ctypes.c_long, handle], handle

        def create(room):
            return make(None, 0, 2**31 - 1, None)

    elif sys.platform == "darwin":  # has no unnamed POSIX semaphores
        library = ctypes.CDLL(None)
        make = library.dispatch_semaphore_create
        post, wait = library.dispatch_semaphore_signal, library.dispatch_semaphore_wait
        make.argtypes, make.restype = [ctypes.c_long], handle

        def create(room):
            return make(0)

    else:
        library = ctypes.CDLL(None)
        make, post, wait = library.sem_init, library.sem_post, library.sem_wait
        make.argtypes = [handle, ctypes.c_int, ctypes.c_uint]

        def create(room):
            if make(room, 0, 0) != 0:
                raise OSError("sem_init failed")
            return room

    post.argtypes = [handle, ctypes.c_long, handle]
    return create, post, wait


def _dismiss():
    """Send the workers home: the interpreter is about to take their code away."""
    if _state is None:
        return
    _state[_CLOSED // 8] = 1
    for thread in range(1, len(_threads) + 1):
        _post(int(_state[(_SLEEPERS + _LINE * thread + _HANDLE) // 8]), 1, None)
    for worker in _threads:
        worker.join(5)


def _none_after_fork():
    # The child has none of the threads; it gets a pool of its own at its first launch.
    global address, members, _lock, _state, _post, _threads
    address, members = 0, 1
    _lock, _state, _post, _threads = threading.RLock(), None, None, []


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_none_after_fork)
