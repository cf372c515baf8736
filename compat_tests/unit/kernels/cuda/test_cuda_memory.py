import gc
import threading

import numpy as np
import pytest

from kerasmirror.kernels.cuda import activation, device, errors, memory
from kerasmirror.kernels.cuda.emulator import driver


@pytest.fixture
def small_card(monkeypatch):
    """A card of 1 MiB with nothing on it but what other tests still hold."""
    gc.collect()
    memory.clear_pool()
    held = driver.total_memory() - driver.cuMemGetInfo()[1]
    monkeypatch.setenv(driver.MEMORY, str(held + (1 << 20)))
    yield
    memory.clear_pool()


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "int64", "int32", "uint8", "bool", "float16"]
)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (7, 5)])
def test_values_come_back_as_they_went(shape, dtype):
    values = np.arange(int(np.prod(shape)), dtype="float64").reshape(shape).astype(dtype)
    found = memory.to_device(values).to_host()
    assert found.dtype == values.dtype and found.shape == values.shape
    np.testing.assert_array_equal(found, values)


def test_an_array_that_is_not_contiguous_is_copied_in_its_order():
    values = np.arange(24.0).reshape(4, 6).T[::2]
    np.testing.assert_array_equal(memory.to_device(values).to_host(), values)


def test_zeros_are_zeros_in_memory_that_was_used():
    used = memory.to_device(np.full(1000, 7, "float32"))
    address = used.address
    del used
    again = memory.zeros((1000,))
    assert again.address == address
    assert not again.to_host().any()


def test_memory_of_a_dead_array_serves_the_next_of_its_size():
    first = memory.empty((300,))
    address, before = first.address, memory.pool_statistics()["allocations"]
    view = first.reshape(3, 100).view_at(100, (100,))
    del first
    assert memory.empty((300,)).address != address, "a view keeps the memory"
    del view
    assert memory.empty((300,)).address == address
    assert memory.pool_statistics()["allocations"] <= before + 1


def test_addresses_suit_vectors_of_any_width():
    addresses = [memory.empty((n,)).address for n in (1, 3, 100, 1000, 100_000)]
    assert not any(address % 256 for address in addresses)


def test_statistics_count_what_is_lent_and_what_is_free():
    gc.collect()
    before = memory.pool_statistics()
    x = memory.empty((1 << 16,))
    lent = memory.pool_statistics()
    grown = lent["used_bytes"] - before["used_bytes"]
    assert grown >= 4 << 16
    del x
    after = memory.pool_statistics()
    assert after["used_bytes"] == before["used_bytes"]
    assert after["free_bytes"] >= grown
    memory.clear_pool()
    cleared = memory.pool_statistics()
    assert (cleared["free_bytes"], cleared["used_bytes"]) == (0, before["used_bytes"])


def test_too_large_an_array_is_an_error_that_tells_the_sizes(small_card):
    kept = memory.to_device(np.ones(1000, "float32"))
    lent = memory._readable(memory.pool_statistics()["used_bytes"])
    free, total = map(memory._readable, device.current().memory())
    with pytest.raises(errors.DeviceMemoryError) as raised:
        memory.empty((600, 1000), np.dtype("float64"))
    assert str(raised.value) == (
        "kerasmirror: gpu:0 (emulated on the CPU) has not enough memory for an array of shape "
        f"(600, 1000) and dtype float64, 5 MiB: {lent} are in use by arrays of this process, "
        f"{free} of {total} are free. A smaller batch needs less."
    )
    assert isinstance(raised.value, MemoryError)
    assert kept.to_host().sum() == 1000
    assert activation.relu(kept).to_host().sum() == 1000


def test_an_array_with_more_elements_than_32_bits_count_is_refused(monkeypatch):
    for shape in [(1 << 16, 1 << 15), (2**31 - 1,), (3, 1 << 40)]:
        with pytest.raises(ValueError, match="must have at most 2147418112 elements") as raised:
            memory.empty(shape, "uint8")
        assert f"Received: shape={shape}" in str(raised.value)
    monkeypatch.setattr(memory, "_MOST_ELEMENTS", 100)
    assert memory.empty((4, 25)).size == 100
    with pytest.raises(ValueError, match="must have at most 100 elements"):
        memory.to_device(np.zeros((101,)))


def test_free_blocks_of_other_sizes_are_given_back_before_it_fails(small_card):
    held = [memory.empty((1 << 14,)) for _ in range(10)]
    held.clear()
    assert memory.pool_statistics()["free_bytes"] >= 10 << 16
    assert memory.empty((200_000,)).size == 200_000
    with pytest.raises(errors.DeviceMemoryError):
        memory.empty((300_000,))
    assert memory.empty((1000,)).size == 1000


def test_arrays_that_die_in_other_threads_leave_the_pool_whole():
    gc.collect()
    before = memory.pool_statistics()["used_bytes"]

    def work():
        for n in range(200):
            memory.empty((n % 7 * 100 + 1,))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert memory.pool_statistics()["used_bytes"] == before
    blocks = [a for addresses in memory.pool_of(device.current()).free.values() for a in addresses]
    assert len(blocks) == len(set(blocks))


def test_dtypes_without_kernels_are_refused_with_the_reason():
    with pytest.raises(NotImplementedError) as raised:
        memory.empty((3,), "complex64")
    assert str(raised.value) == (
        "kerasmirror: values of complex64 cannot lie on a GPU: there are no CUDA kernels for them. "
        'Run this part on the CPU: with keras.device("cpu:0"): ...'
    )
