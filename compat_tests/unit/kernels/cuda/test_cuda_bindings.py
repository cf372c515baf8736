"""What reaches the driver through the real `cuda.bindings`, a library in C standing in its place.

No GPU is needed: the library's functions are the emulator's, see driver_library.py.
"""

import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("cuda.bindings.driver", reason="needs the package cuda-bindings")

from cuda.bindings import driver as bindings
from driver_library import PROTOTYPES, build

from kerasmirror.kernels.cuda.emulator import driver as emulated

HERE = Path(__file__).parent
PACKAGE = Path(emulated.__file__).parents[1]
CALLED = sorted(
    {
        name
        for path in PACKAGE.glob("*.py")
        for name in re.findall(r"\b(?:api|driver\(\))\.(cu[A-Z]\w+)\(", path.read_text())
    }
)
ENUMS = sorted(
    {
        pair
        for path in PACKAGE.glob("*.py")
        for pair in re.findall(r"\b(?:api|driver\(\))\.(CU\w+)\.(CU\w+)", path.read_text())
    }
)


def parameters(function):
    return len(inspect.signature(function).parameters)


def test_all_calls_of_the_driver_are_found():
    assert {"cuInit", "cuLaunchKernel", "cuMemAlloc", "cuDeviceGetCount"} <= set(CALLED)
    assert ("CUresult", "CUDA_ERROR_OUT_OF_MEMORY") in ENUMS


@pytest.mark.parametrize("name", CALLED)
def test_a_function_takes_and_gives_as_much_as_the_real_one(name):
    real = getattr(bindings, name)
    assert parameters(getattr(emulated, name)) == parameters(real)
    letters = PROTOTYPES[name]
    given = len(letters) - sum(kind.isupper() for kind in letters)
    if name != "cuDeviceGetName":  # whose bindings make the buffer for the name
        assert given == parameters(real)


@pytest.mark.parametrize(("kind", "name"), ENUMS)
def test_a_constant_is_the_real_one(kind, name):
    assert getattr(getattr(emulated, kind), name) is getattr(getattr(bindings, kind), name)


PROGRAM = """
import sys, threading
sys.path.insert(0, {here!r})
from cuda.bindings import driver as bindings
from driver_library import Library, run_beside
library = Library()
import numpy as np
from kerasmirror import kernels
from kerasmirror.kernels.cuda import device, memory
assert not device.emulated()
run_beside(library)
k = kernels.for_device("cuda")
try:
    {body}
finally:
    print(*library.failures, sep="\\n", file=sys.stderr)
assert not library.failures
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    if shutil.which("gcc") is None or sys.platform != "linux":
        pytest.skip("needs gcc and Linux, to make a library in the driver's place")
    made = tmp_path_factory.mktemp("library")
    build(made)
    return made


@pytest.fixture
def through_bindings(folder):
    """Run a program whose driver is the library; gives what it prints."""

    def run(body, **settings):
        program = PROGRAM.format(here=str(HERE), body=body.strip().replace("\n", "\n    "))
        environment = {**os.environ, "LD_LIBRARY_PATH": str(folder), **settings}
        environment.pop("KERASMIRROR_CUDA_EMULATOR", None)
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.split("\n")[:-1]

    return run


def test_kernels_get_arrays_and_numbers_of_every_kind(through_bindings):
    said = through_bindings(
        """
x = np.linspace(-2, 2, 1000).astype("float32")
there = k.to_device(x)
print(np.array_equal(k.relu(there).to_host(), np.maximum(x, 0)))
cpu = kernels.for_device("cpu")
print(np.array_equal(k.dropout(there, (3, 4), 0.25).to_host(), cpu.dropout(x, (3, 4), 0.25)))
a, b = x[:12].reshape(3, 4).astype("float64"), x[:20].reshape(4, 5).astype("float64")
print(np.allclose(k.matmul(k.to_device(a), k.to_device(b)).to_host(), a @ b, rtol=1e-12))
print(library.calls.count("cuLaunchKernel"), set(library.calls) & {"cuCtxGetCurrent"})
"""
    )
    assert said[:3] == ["True"] * 3
    assert int(said[3].split()[0]) >= 3


def test_memory_events_streams_and_graphs_take_our_arguments(through_bindings):
    said = through_bindings(
        """
on = device.use(0)
x = np.arange(6, dtype="float32") - 2
there = k.to_device(x)
print(on.title, on.capability, on.multiprocessors, on.memory()[1])
print(k.zeros((2, 3)).to_host().tolist())
copied = k.empty(x.shape)
on.copy(copied.address, there.address, there.nbytes)
print(copied.to_host().tolist())
page_locked = on.allocate_host(64)
event = on.event()
on.record(event, on.stream)
on.wait(on.copies, event)
on.copy_in(there.address, page_locked, there.nbytes, on.copies)
on.free_host(page_locked)
print(there.to_host().tolist(), type(on.stream).__name__, on.stream_number())
k.relu(there)
on.begin_capture()
y = k.relu(copied)
graph = on.end_capture()
on.copy(copied.address, k.to_device(1 - x).address, copied.nbytes)
on.run_graph(graph)
print(y.to_host().tolist())
on.drop_graph(graph)
del y, copied, there
k.clear_pool()
print(k.pool_statistics()["free_bytes"], library.calls.count("cuMemFree") > 0)
"""
    )
    assert said[0].startswith("emulated on the CPU (9, 0) 4 ")
    assert said[1:3] == ["[[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]", "[-2.0, -1.0, 0.0, 1.0, 2.0, 3.0]"]
    assert said[3].startswith("[0.0, 0.0, 0.0, 0.0, 0.0, 0.0] CUstream ")
    assert said[4] == "[3.0, 2.0, 1.0, 0.0, 0.0, 0.0]"
    assert said[5] == "0 True"


def test_each_thread_enters_the_context_once_though_its_number_was_used_before(
    through_bindings,
):
    said = through_bindings(
        """
there = k.to_device(np.ones(4, "float32"))
numbers = []
def work():
    numbers.append(threading.get_ident())
    device.current().synchronize()
    print(k.relu(there).to_host().sum())
for _ in range(4):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
print(len(numbers), library.calls.count("cuCtxSetCurrent"))
"""
    )
    assert said == ["4.0"] * 4 + ["4 5"]


def test_failures_of_the_driver_are_told_in_its_words(through_bindings):
    (said,) = through_bindings(
        """
on = device.use(0)
try:
    on.free(12345)
except RuntimeError as error:
    print(error)
"""
    )
    assert said == (
        "kerasmirror: the GPU failed at freeing memory "
        "(CUDA_ERROR_INVALID_VALUE: CUDA_ERROR_INVALID_VALUE)."
    )


def test_memory_that_is_not_there_is_an_error_of_its_own(through_bindings):
    said = through_bindings(
        """
try:
    k.empty((1 << 20,))
except MemoryError as error:
    print(type(error).__name__, error)
""",
        KERASMIRROR_CUDA_EMULATOR_MEMORY=str(1 << 20),
    )
    assert said == [
        "DeviceMemoryError kerasmirror: gpu:0 (emulated on the CPU) has not enough memory for an "
        "array of shape (1048576,) and dtype float32, 4 MiB: 0 bytes are in use by arrays of this "
        "process, 1 MiB of 1 MiB are free. A smaller batch needs less."
    ]
