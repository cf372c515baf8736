"""The GPU as the CUDA driver shows it: its context, streams, memory, modules and launches.

All of it goes through `cuda.bindings.driver`, or through the emulator's driver of the same names
(KERASMIRROR_CUDA_EMULATOR=1), which runs kernels on the CPU, slowly: for tests, and to study them.
"""

from __future__ import annotations

import functools
import importlib
import os
import threading

from .. import cache
from . import compiler, errors

EMULATOR = "KERASMIRROR_CUDA_EMULATOR"
_LEAST_CAPABILITY = (7, 5)
_LEAST_DRIVER = 13000  # as cuDriverGetVersion counts: 1000 * major + 10 * minor

_devices = {}
_lock = threading.RLock()
_chosen = threading.local()


class _Entered(threading.local):
    device = None  # whose context is this thread's


_entered = _Entered()


def emulated():
    """Whether kernels run on the CPU."""
    return os.environ.get(EMULATOR, "") not in ("", "0")


@functools.cache
def driver():
    """The module of the driver's functions, started.

    Raises: RuntimeError that tells what is missing.
    """
    if emulated():
        api = importlib.import_module(f"{__package__}.emulator.driver")
    else:
        try:
            api = importlib.import_module("cuda.bindings.driver")
        except ImportError as error:
            raise errors.unavailable("the package cuda-bindings is not installed", error) from None
    try:
        (code,) = api.cuInit(0)
    except Exception as error:  # the bindings have several for a library that is not there
        raise errors.unavailable("there is no NVIDIA driver", error) from None
    if int(code):
        raise errors.unavailable("the NVIDIA driver finds no usable GPU", errors.said(api, code))
    version = errors.checked(api, api.cuDriverGetVersion(), "asking for the driver's version")
    if version < _LEAST_DRIVER:
        raise errors.unavailable(
            f"the NVIDIA driver is too old: it speaks CUDA {version // 1000}.{version % 1000 // 10}"
            f", and CUDA {_LEAST_DRIVER // 1000}.0 (driver 580 or later) is needed"
        )
    return api


def count():
    """How many GPUs there are; 0 where none can be used."""
    try:
        api = driver()
    except RuntimeError:
        return 0
    return errors.checked(api, api.cuDeviceGetCount(), "counting GPUs")


def get(number):
    """The Device of that number, started at the first call."""
    with _lock:
        if number not in _devices:
            there = errors.checked(driver(), driver().cuDeviceGetCount(), "counting GPUs")
            if not 0 <= number < there:
                names = ", ".join(f"'gpu:{i}'" for i in range(there)) or "none"
                raise RuntimeError(
                    f"kerasmirror: there is no GPU of number {number}. Received: 'gpu:{number}'; "
                    f"those there are: {names}"
                )
            _devices[number] = Device(driver(), number)
        return _devices[number]


def current():
    """The device that kernels run on, in this thread: the first GPU unless `use` chose one."""
    device = getattr(_chosen, "device", None)
    return device if device is not None else use(0)


def use(number):
    """Make a GPU this thread's device."""
    _chosen.device = get(number)
    return _chosen.device


class Device:
    """One GPU. `lock` is held while a launch's table of arguments is in use."""

    def __init__(self, api, number):
        self.api = api
        self.number = number
        self.name = f"gpu:{number}"
        self.lock = threading.RLock()
        self.handle = self._checked(api.cuDeviceGet(number), "opening it")
        title = self._checked(api.cuDeviceGetName(128, self.handle), "asking for its name")
        self.title = title.decode().strip("\0 ") if isinstance(title, bytes) else str(title)
        wanted = api.CUdevice_attribute
        major = self._attribute(wanted.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)
        minor = self._attribute(wanted.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)
        self.capability = major, minor
        if self.capability < _LEAST_CAPABILITY:
            raise errors.unavailable(
                f"{self.title} (compute capability {major}.{minor}) is too old: "
                f"{'.'.join(map(str, _LEAST_CAPABILITY))} is the least"
            )
        self.multiprocessors = self._attribute(wanted.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)
        # How kernels are compiled, and what that depends on beside their sources.
        self._compile, self.build = _compiling(self.capability)
        self.context = self._checked(api.cuDevicePrimaryCtxRetain(self.handle), "its context")
        self.loaded = {}  # by kernel and types: what launch.py made of it
        self._capturing = None  # the thread whose work is noted
        self.recorder = None  # the Graph that is being recorded, whose arrays are its own
        self._enter()
        kind = api.CUstream_flags.CU_STREAM_NON_BLOCKING
        self._computes = self._checked(api.cuStreamCreate(kind), "making a stream")
        self.copies = self._checked(api.cuStreamCreate(kind), "making a stream")
        self._captures = self._checked(api.cuStreamCreate(kind), "making a stream")

    @property
    def stream(self):
        """Where this thread's work goes: while it records a graph, not among other threads'."""
        if self._capturing is not None and self._capturing == threading.get_ident():
            return self._captures
        return self._computes

    def _checked(self, result, doing):
        return errors.checked(self.api, result, doing)

    def _attribute(self, attribute):
        return self._checked(self.api.cuDeviceGetAttribute(attribute, self.handle), "a property")

    def _enter(self):
        """Make the context this thread's."""
        if _entered.device is not self:
            self._checked(self.api.cuCtxSetCurrent(self.context), "entering its context")
            _entered.device = self

    # Kernels

    def compile(self, kernel, signature):
        """(image, name of the function in it) of a kernel for this device."""
        return self._compile(kernel, signature)

    def function(self, image, symbol, name):
        """The function `symbol` of an image, loaded."""
        self._enter()
        module = self._checked(self.api.cuModuleLoadData(image), f"loading the kernel {name}")
        found = self.api.cuModuleGetFunction(module, symbol.encode())
        return self._checked(found, f"finding the kernel {name}")

    def launch(self, name, function, x, y, z, threads, arguments):
        """Run a function on (x, y, z) blocks; `arguments`: where a table of addresses is."""
        self._enter()
        (code,) = self.api.cuLaunchKernel(
            function, x, y, z, threads, 1, 1, 0, self.stream, arguments, 0
        )
        if int(code):
            raise errors.failed(self.api, code, f"launching {name} on ({x}, {y}, {z}) blocks")

    def require_no_recording(self, reason):
        """Let whoever records a graph in this thread know of what it cannot repeat."""
        recorder = self.recorder
        if recorder is not None and recorder.is_of_this_thread():
            recorder.refuse(reason)

    def synchronize(self):
        """Wait until all that was launched has run."""
        self._enter()
        self._checked(self.api.cuStreamSynchronize(self.stream), "computing what was launched")

    def synchronize_with(self, stream):
        """Wait until another package's stream, given by its number, has run."""
        self._enter()
        self._checked(self.api.cuStreamSynchronize(stream), "computing what another launched")

    def stream_number(self):
        """The handle of the stream that computes, for others who read this device's memory."""
        return int(self.stream)

    # Memory

    def memory(self):
        """(bytes free, bytes in all) of the card."""
        self._enter()
        code, free, total = self.api.cuMemGetInfo()
        self._checked((code,), "asking for its memory")
        return int(free), int(total)

    def allocate(self, n_bytes):
        """The address of fresh memory, or None where there is not as much."""
        self._enter()
        code, address = self.api.cuMemAlloc(n_bytes)
        if int(code) == int(self.api.CUresult.CUDA_ERROR_OUT_OF_MEMORY):
            return None
        return int(self._checked((code, address), f"allocating {n_bytes} bytes"))

    def free(self, address):
        """Give memory from `allocate` back."""
        self._enter()
        self._checked(self.api.cuMemFree(address), "freeing memory")

    def allocate_host(self, n_bytes):
        """The address of page-locked memory of the host, which is copied at full speed."""
        self._enter()
        return int(self._checked(self.api.cuMemHostAlloc(n_bytes, 0), "page-locked memory"))

    def free_host(self, address):
        """Give memory from `allocate_host` back."""
        self._enter()
        self._checked(self.api.cuMemFreeHost(address), "freeing page-locked memory")

    def copy_in(self, address, host, n_bytes, stream=None):
        """Copy from the host's memory at address `host`."""
        self._enter()
        stream = self.stream if stream is None else stream
        self._checked(self.api.cuMemcpyHtoDAsync(address, host, n_bytes, stream), "copying to it")

    def copy_in_now(self, address, host, n_bytes):
        """Copy from the host's memory beside all else, a recording too, and wait for it.

        Only into memory that nothing launched before reads or writes.
        """
        self.copy_in(address, host, n_bytes, self.copies)
        self._checked(self.api.cuStreamSynchronize(self.copies), "copying to it")

    def copy_out(self, host, address, n_bytes):
        """Copy to the host's memory at address `host`, and wait for it."""
        self._enter()
        copied = self.api.cuMemcpyDtoHAsync(host, address, n_bytes, self.stream)
        self._checked(copied, "copying from it")
        self.synchronize()

    def copy(self, to, source, n_bytes):
        """Copy within the device."""
        self._enter()
        self._checked(self.api.cuMemcpyDtoDAsync(to, source, n_bytes, self.stream), "copying in it")

    def fill_bytes(self, address, value, n_bytes):
        """Set each byte to `value`."""
        self._enter()
        self._checked(self.api.cuMemsetD8Async(address, value, n_bytes, self.stream), "filling")

    # Events and graphs

    def event(self):
        """A new event."""
        self._enter()
        flag = self.api.CUevent_flags.CU_EVENT_DISABLE_TIMING
        return self._checked(self.api.cuEventCreate(flag), "making an event")

    def record(self, event, stream):
        """Let `event` be what `stream` has been given so far."""
        self._enter()
        self._checked(self.api.cuEventRecord(event, stream), "noting an event")

    def wait_for(self, event):
        """Let the host wait until an event has happened."""
        self._enter()
        self._checked(self.api.cuEventSynchronize(event), "waiting for an event")

    def wait(self, stream, event):
        """Let `stream` go on when `event` has happened."""
        self._enter()
        self._checked(self.api.cuStreamWaitEvent(stream, event, 0), "waiting for an event")

    def begin_capture(self):
        """Note launches from here on instead of running them."""
        self._enter()
        mode = self.api.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_RELAXED
        self._checked(self.api.cuStreamBeginCapture(self._captures, mode), "recording a graph")
        self._capturing = threading.get_ident()

    def end_capture(self):
        """What was launched since `begin_capture`, to be run as a whole by `run_graph`."""
        self._capturing = None
        graph = self._checked(self.api.cuStreamEndCapture(self._captures), "recording a graph")
        made = self._checked(self.api.cuGraphInstantiate(graph, 0), "making a graph")
        self._checked(self.api.cuGraphDestroy(graph), "making a graph")
        return made

    def run_graph(self, graph):
        """Launch a graph."""
        self._enter()
        self._checked(self.api.cuGraphLaunch(graph, self.stream), "running a graph")

    def drop_graph(self, graph):
        """Free a graph."""
        self._enter()
        self._checked(self.api.cuGraphExecDestroy(graph), "freeing a graph")


def _compiling(capability):
    """(how a kernel is compiled, what that depends on) for a compute capability."""
    if emulated():
        lowered = importlib.import_module(f"{__package__}.emulator.lowered")
        versions = cache.version_of("numba-cuda"), cache.version_of("llvmlite")
        return lowered.compile_kernel, f"emulator {versions} {cache.digest_of(lowered.__file__)}"

    def compile_kernel(kernel, signature):
        ptx, symbol = compiler.ptx_of(kernel, signature, capability)
        return compiler.cubin_of(ptx, capability)[0], symbol

    return compile_kernel, f"sm_{capability[0]}{capability[1]} {compiler.versions()}"
