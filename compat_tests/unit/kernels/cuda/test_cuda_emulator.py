"""The emulator finds what would be wrong on a GPU: barriers, addresses, order between streams."""

import random

import numpy as np
import pytest
from numba import cuda, float32

from kerasmirror.kernels.cuda import activation, device, memory, staging
from kerasmirror.kernels.cuda.emulator import driver, function
from kerasmirror.kernels.cuda.graph import Graph
from kerasmirror.kernels.cuda.indices import grid_index
from kerasmirror.kernels.cuda.kernel import KERNELS, kernel
from kerasmirror.kernels.cuda.launch import launch


@kernel("f4* i4", block=64)
def _divergent(x, n):
    i = cuda.threadIdx.x
    if i < n:
        cuda.syncthreads()
    x[i] = float32(i)


@kernel("f4* f4*", block=64)
def _turned(x, y):
    held = cuda.shared.array(64, float32)
    i = cuda.threadIdx.x
    held[i] = x[i]
    cuda.syncthreads()
    y[i] = held[63 - i]


@kernel("f4* f4*", block=64)
def _turned_without_barrier(x, y):
    held = cuda.shared.array(64, float32)
    i = cuda.threadIdx.x
    held[i] = x[i]
    cuda.syncwarp()
    y[i] = held[63 - i]


@kernel("f4* i4", block=32)
def _one_past(x, n):
    i = grid_index()
    if i <= n:
        x[i] = float32(1)


@kernel("f4* f4*", block=64)
def _sum_of_warps(x, y):
    value = x[cuda.threadIdx.x]
    for step in (16, 8, 4, 2, 1):
        value += cuda.shfl_xor_sync(0xFFFFFFFF, value, step)
    y[cuda.threadIdx.x] = value


@kernel("i4*", block=8)
def _numbered(x):
    block = (cuda.blockIdx.z * cuda.gridDim.y + cuda.blockIdx.y) * cuda.gridDim.x + cuda.blockIdx.x
    x[block * cuda.blockDim.x + cuda.threadIdx.x] += block


for _own in (_divergent, _turned, _turned_without_barrier, _one_past, _sum_of_warps, _numbered):
    KERNELS.remove(_own)


@pytest.fixture(params=["at once", "late", "others first"])
def order(request):
    """Streams that run what they get at once, or as late as a GPU may."""
    driver.order = request.param
    yield request.param
    driver.settle()
    driver.order = "at once"


@pytest.fixture
def shuffled():
    function.shuffled_by = random.Random(3)
    yield
    function.shuffled_by = None


def numbers(n=64):
    return np.arange(n, dtype="float32")


def test_a_barrier_that_some_threads_pass_by_is_found():
    with pytest.raises(RuntimeError) as raised:
        launch(_divergent, 1, memory.to_device(numbers()), 40)
    assert str(raised.value) == (
        "a barrier that not all threads of a block reach: 40 of 64 wait at it"
    )
    launch(_divergent, 1, memory.to_device(numbers()), 64)
    launch(_divergent, 1, memory.to_device(numbers()), 0)


def test_threads_meet_at_a_barrier_in_any_order(threads):
    y = memory.empty((64,))
    launch(_turned, 1, memory.to_device(numbers()), y)
    np.testing.assert_array_equal(y.to_host(), numbers()[::-1])


def test_a_missing_barrier_shows_when_threads_are_shuffled(shuffled):
    y = memory.zeros((64,))
    right = []
    for more in range(10):  # the warps may well come in an order that does no harm
        launch(_turned_without_barrier, 1, memory.to_device(numbers() + more), y)
        right.append(np.array_equal(y.to_host(), numbers()[::-1] + more))
    assert not all(right)


def test_a_write_beside_an_array_is_found():
    # A size of which its class of blocks has no byte left over.
    count = memory.size_class(256) // 4
    x = memory.empty((count,))
    launch(_one_past, count // 32 + 1, x, count - 1)
    assert driver.overruns() == []
    launch(_one_past, count // 32 + 1, x, count)
    assert driver.overruns() == [x.address]
    # As it was, for the tests after this one.
    driver.ctypes.memset(x.address + count * 4, driver._UNTOUCHED, 4)
    assert driver.overruns() == []


def test_lanes_of_a_warp_exchange_values(threads):
    y = memory.empty((64,))
    launch(_sum_of_warps, 1, memory.to_device(numbers()), y)
    np.testing.assert_array_equal(y.to_host(), np.repeat(numbers().reshape(2, 32).sum(1), 32))


def test_each_block_of_a_grid_of_three_axes_runs_once():
    x = memory.zeros((2 * 3 * 4 * 8,), "int32")
    launch(_numbered, (4, 3, 2), x)
    np.testing.assert_array_equal(x.to_host().reshape(24, 8), np.tile(np.arange(24), (8, 1)).T)


def test_memory_that_was_never_written_holds_what_is_not_a_number():
    memory.clear_pool()
    assert np.isnan(memory.empty((100,)).to_host()).all()


def test_a_graph_runs_with_the_arguments_of_its_recording(order):
    x = memory.to_device(numbers(8) - 4)
    graph = Graph()
    with graph.recording():
        y = activation.relu(x)
    memory.overwrite_from_host(x, 4 - numbers(8))
    other = activation.relu(memory.to_device(numbers(8)))
    graph.run()
    np.testing.assert_array_equal(y.to_host(), np.maximum(4 - numbers(8), 0))
    np.testing.assert_array_equal(other.to_host(), numbers(8))


def test_nothing_runs_while_a_graph_is_recorded(order):
    x = memory.to_device(numbers(8))
    y = memory.zeros((8,))
    on = device.current()
    on.begin_capture()
    on.copy(y.address, x.address, y.nbytes)
    made = on.end_capture()
    assert not y.to_host().any()
    on.run_graph(made)
    np.testing.assert_array_equal(y.to_host(), numbers(8))
    on.drop_graph(made)


def test_waiting_while_a_graph_is_recorded_is_refused():
    on = device.current()
    on.begin_capture()
    with pytest.raises(RuntimeError) as raised:
        on.synchronize()
    assert str(raised.value) == (
        "kerasmirror: the GPU failed at computing what was launched "
        "(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED: CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED)."
    )
    on.drop_graph(on.end_capture())


def test_batches_are_copied_in_order_with_what_computes_on_them(order):
    n = staging.SMALLEST // 4 + 5
    held = memory.empty((n,))
    results = []
    for batch in range(6):
        staging.overwrite(held, np.full(n, batch + 1, "float32"))
        results.append(activation.relu(held))
    for batch, result in enumerate(results):
        np.testing.assert_array_equal(result.to_host(), np.full(n, batch + 1, "float32"))


def test_a_host_array_may_change_when_its_copy_returns(order):
    for n in (100, 100_000):
        values = np.ones(n, "float32")
        there = memory.to_device(values)
        values[:] = 2
        np.testing.assert_array_equal(there.to_host(), np.ones(n, "float32"))


def test_a_constant_is_written_beside_what_still_runs(order):
    for value in range(50):
        x = memory.to_device(np.full(8, value, "float32"))
        y = activation.relu(x)
        del x
        kept = memory.constant(np.asarray(1000.5 + value, "float32"))
        assert float(kept) == 1000.5 + value
        np.testing.assert_array_equal(y.to_host(), np.full(8, value, "float32"))


def test_a_stream_that_does_not_wait_for_another_is_found():
    driver.order = "late"
    try:
        on = device.current()
        page_locked = on.allocate_host(64)
        held = np.ctypeslib.as_array((driver.ctypes.c_float * 16).from_address(page_locked))
        x = memory.zeros((16,))
        on.synchronize()
        held[:] = 1
        on.copy_in(x.address, page_locked, 64, on.copies)
        assert not activation.relu(x).to_host().any()  # nothing said that it waits
        event = on.event()
        on.record(event, on.copies)
        on.wait(on.stream, event)
        assert activation.relu(x).to_host().all()
        on.free_host(page_locked)
    finally:
        driver.settle()
        driver.order = "at once"
