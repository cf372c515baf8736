"""The functions of `cuda.bindings.driver` that device.py calls, with its arguments and answers.

Memory is the host's, with a margin around each piece whose bytes must stay what they are; a
captured graph is a list of what was launched. Streams run what they get at once, or as `order` says
as late as a GPU may: then a wait that is missing shows.
"""

# ruff: noqa: D103, N802, ARG001 - names and arguments are the driver's

from __future__ import annotations

import collections
import ctypes
import functools
import itertools
import os
import threading

import numpy as np
from cuda.bindings.driver import (
    CUdevice_attribute,
    CUevent_flags,
    CUresult,
    CUstream_flags,
    CUstreamCaptureMode,
)

from .function import Function

__all__ = ["CUdevice_attribute", "CUevent_flags", "CUstreamCaptureMode", "CUstream_flags"]

MEMORY = "KERASMIRROR_CUDA_EMULATOR_MEMORY"  # bytes of the emulated card, 4 GiB unless set
_MARGIN = 256  # bytes, and what addresses are multiples of
_UNTOUCHED = 0xFF  # of floats: not a number, so that what reads memory before writing it shows
_STAGED = 64 << 10  # bytes of pageable memory that are surely read when a copy to the GPU returns
_OK = CUresult.CUDA_SUCCESS
_INVALID = CUresult.CUDA_ERROR_INVALID_VALUE
_ATTRIBUTES = {
    CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: 9,
    CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: 0,
    CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: 4,
}

# When a stream runs what it gets: "at once"; "late", when somebody waits for it; or "others first":
# late the first stream, which computes, and at once all others.
order = "at once"

_numbers = itertools.count(1)
_pieces = {}  # address: the bytes around and in it
_host_pieces = {}
_captures = {}  # stream: what it was given since the capture began
_graphs = {}
_events = {}  # event: (stream, how much it had been given)
_running = threading.RLock()


class _Context(threading.local):
    current = None


_context = _Context()


class _Queue:
    """What a stream was given and has not run yet."""

    def __init__(self):
        self.waiting = collections.deque()
        self.given = self.run = 0

    def add(self, work):
        self.waiting.append(work)
        self.given += 1

    def run_until(self, count):
        while self.run < count and self.waiting:
            self.run += 1
            self.waiting.popleft()()


_streams = []
_queues = collections.defaultdict(_Queue)


def settle():
    """Run all that streams still have to run."""
    with _running:
        for queue in list(_queues.values()):
            queue.run_until(queue.given)


def total_memory():
    """Bytes of the emulated card."""
    return int(os.environ.get(MEMORY, 4 << 30))


# --- the driver, devices, contexts ----------------------------------------------------------


def cuInit(flags):
    return (_OK,)


def cuDriverGetVersion():
    return _OK, 13000


def cuGetErrorString(code):
    return _OK, CUresult(code).name.encode()


def cuDeviceGetCount():
    return _OK, 1


def cuDeviceGet(number):
    return (_OK, 0) if number == 0 else (CUresult.CUDA_ERROR_INVALID_DEVICE, None)


def cuDeviceGetName(length, device):
    return _OK, b"emulated on the CPU"[:length]


def cuDeviceGetAttribute(attribute, device):
    return _OK, _ATTRIBUTES[attribute]


def cuDevicePrimaryCtxRetain(device):
    return _OK, 1


def cuCtxSetCurrent(context):
    _context.current = context
    return (_OK,)


# --- memory ---------------------------------------------------------------------------------


def cuMemGetInfo():
    used = sum(piece.size - 3 * _MARGIN for piece in list(_pieces.values()))
    return _OK, max(0, total_memory() - used), total_memory()


def cuMemAlloc(n_bytes):
    if n_bytes <= 0:
        return _INVALID, None
    if n_bytes > cuMemGetInfo()[1]:
        return CUresult.CUDA_ERROR_OUT_OF_MEMORY, None
    piece = np.full(n_bytes + 3 * _MARGIN, _UNTOUCHED, np.uint8)
    address = -(-(piece.ctypes.data + _MARGIN) // _MARGIN) * _MARGIN
    _pieces[address] = piece
    return _OK, address


def cuMemFree(address):
    settle()
    piece = _pieces.pop(int(address), None)
    if piece is None:
        return (_INVALID,)
    return (_OK,) if _intact(address, piece) else (CUresult.CUDA_ERROR_ILLEGAL_ADDRESS,)


def overruns():
    """Addresses of memory around which something wrote."""
    settle()
    return [address for address, piece in list(_pieces.items()) if not _intact(address, piece)]


def _intact(address, piece):
    first = address - piece.ctypes.data
    last = first + piece.size - 3 * _MARGIN
    return bool((piece[:first] == _UNTOUCHED).all() and (piece[last:] == _UNTOUCHED).all())


def _inside(address, n_bytes):
    """Whether bytes lie in one piece of device memory."""
    for start, piece in list(_pieces.items()):
        if start <= address and address + n_bytes <= start + piece.size - 3 * _MARGIN:
            return True
    return False


def cuMemHostAlloc(n_bytes, flags):
    piece = np.zeros(n_bytes, np.uint8)
    _host_pieces[piece.ctypes.data] = piece
    return _OK, piece.ctypes.data


def cuMemFreeHost(address):
    settle()
    return (_OK,) if _host_pieces.pop(int(address), None) is not None else (_INVALID,)


def _page_locked(host):
    return any(start <= host < start + piece.size for start, piece in list(_host_pieces.items()))


def cuMemcpyHtoDAsync(address, host, n_bytes, stream):
    if not _inside(address, n_bytes):
        return (_INVALID,)
    if n_bytes <= _STAGED and not _page_locked(host) and int(stream) not in _captures:
        staged = ctypes.create_string_buffer(ctypes.string_at(host, n_bytes), n_bytes)
        return _given(stream, lambda: ctypes.memmove(address, staged, n_bytes))
    return _given(stream, lambda: ctypes.memmove(address, host, n_bytes))


def cuMemcpyDtoHAsync(host, address, n_bytes, stream):
    if not _inside(address, n_bytes):
        return (_INVALID,)
    given = _given(stream, lambda: ctypes.memmove(host, address, n_bytes))
    if not _page_locked(host) and int(stream) not in _captures:
        return cuStreamSynchronize(stream)
    return given


def cuMemcpyDtoDAsync(to, source, n_bytes, stream):
    if not (_inside(to, n_bytes) and _inside(source, n_bytes)):
        return (_INVALID,)
    return _given(stream, lambda: ctypes.memmove(to, source, n_bytes))


def cuMemsetD8Async(address, value, n_bytes, stream):
    if not _inside(address, n_bytes):
        return (_INVALID,)
    return _given(stream, lambda: ctypes.memset(address, value, n_bytes))


# --- kernels --------------------------------------------------------------------------------


def cuModuleLoadData(image):
    return _OK, Function(image)


def cuModuleGetFunction(module, name):
    return _OK, module


def cuLaunchKernel(function, x, y, z, bx, by, bz, shared, stream, arguments, extra):
    grid, block = (x, y, z), (bx, by, bz)
    if min(grid) < 1 or x >= 2**31 or y > 65535 or z > 65535 or bx * by * bz > 1024:
        return (_INVALID,)
    if order == "at once" and int(stream) not in _captures:
        function.run(grid, block, arguments)
        return (_OK,)
    # The driver keeps a copy of the arguments.
    table, kept = _copied(function, arguments)

    def run(kept=kept):
        function.run(grid, block, ctypes.addressof(table))

    return _given(stream, run)


def _copied(function, arguments):
    count = function.n_arguments
    places = (ctypes.c_void_p * count).from_address(arguments)
    words = [ctypes.create_string_buffer(ctypes.string_at(place, 8), 8) for place in places]
    return (ctypes.c_void_p * count)(*(ctypes.addressof(word) for word in words)), words


# --- streams, events, graphs ----------------------------------------------------------------


def _given(stream, work):
    stream = int(stream)
    if stream in _captures:
        _captures[stream].append(work)
    elif order == "at once":
        work()
    else:
        with _running:
            queue = _queues[stream]
            queue.add(work)
            if order == "others first" and stream != min(_streams):
                queue.run_until(queue.given)
    return (_OK,)


def cuStreamCreate(flags):
    stream = next(_numbers)
    _streams.append(stream)
    return _OK, stream


def cuStreamSynchronize(stream):
    if int(stream) in _captures:
        return (CUresult.CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,)
    with _running:
        queue = _queues[int(stream)]
        queue.run_until(queue.given)
    return (_OK,)


def cuEventCreate(flags):
    return _OK, next(_numbers)


def cuEventRecord(event, stream):
    _events[int(event)] = int(stream), _queues[int(stream)].given
    return (_OK,)


def cuEventSynchronize(event):
    _happen(_events.get(int(event)))
    return (_OK,)


def cuStreamWaitEvent(stream, event, flags):
    mark = _events.get(int(event))
    return _given(stream, lambda: _happen(mark))


def _happen(mark):
    if mark is not None:
        with _running:
            _queues[mark[0]].run_until(mark[1])


def cuStreamBeginCapture(stream, mode):
    if int(stream) in _captures:
        return (CUresult.CUDA_ERROR_ILLEGAL_STATE,)
    _captures[int(stream)] = []
    return (_OK,)


def cuStreamEndCapture(stream):
    if int(stream) not in _captures:
        return CUresult.CUDA_ERROR_ILLEGAL_STATE, None
    graph = next(_numbers)
    _graphs[graph] = _captures.pop(int(stream))
    return _OK, graph


def cuGraphInstantiate(graph, flags):
    made = next(_numbers)
    _graphs[made] = list(_graphs[int(graph)])
    return _OK, made


def cuGraphDestroy(graph):
    del _graphs[int(graph)]
    return (_OK,)


def cuGraphLaunch(graph, stream):
    for work in _graphs[int(graph)]:
        _given(stream, work)
    return (_OK,)


def cuGraphExecDestroy(graph):
    del _graphs[int(graph)]
    return (_OK,)


# --- contexts ---------------------------------------------------------------------------------


def _within_a_context(function):
    @functools.wraps(function)
    def called(*args):
        if _context.current is None:
            nothing = (None,) * _RESULTS.get(function.__name__, 0)
            return CUresult.CUDA_ERROR_INVALID_CONTEXT, *nothing
        return function(*args)

    return called


# Which functions give something beside their code, and how much.
_RESULTS = {
    "cuMemGetInfo": 2,
    "cuMemAlloc": 1,
    "cuMemHostAlloc": 1,
    "cuModuleLoadData": 1,
    "cuModuleGetFunction": 1,
    "cuStreamCreate": 1,
    "cuStreamEndCapture": 1,
    "cuEventCreate": 1,
    "cuGraphInstantiate": 1,
}
_WITHIN = ("cuMem", "cuModule", "cuLaunch", "cuStream", "cuEvent", "cuGraph")
for _name in [name for name in globals() if name.startswith(_WITHIN)]:
    globals()[_name] = _within_a_context(globals()[_name])
