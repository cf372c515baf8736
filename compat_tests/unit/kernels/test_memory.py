import gc
import threading

import numpy as np
import pytest

from kerasmirror.kernels.cpu import memory


@pytest.fixture(autouse=True)
def fresh_pool():
    gc.collect()
    memory.clear_pool()


def address(array):
    return array.ctypes.data


def test_a_large_array_is_aligned_and_of_the_asked_shape_and_type():
    for shape, dtype in [((100, 33), np.float32), ((7, 1000), np.float64), ((5000,), np.int64)]:
        array = memory.empty(shape, dtype)
        assert array.shape == shape and array.dtype == dtype and array.flags.c_contiguous
        assert address(array) % 64 == 0
        array[...] = 1


def test_zeros_are_zero_in_a_reused_block():
    first = memory.empty((64, 64))
    first.fill(7)
    where = address(first)
    del first
    second = memory.zeros((64, 64))
    assert address(second) == where
    assert not second.any()


def test_memory_is_reused_after_the_last_reference_dies():
    first = memory.empty((100, 100))
    where = address(first)
    del first
    second = memory.empty((100, 100))
    assert address(second) == where


def test_a_view_keeps_the_block():
    first = memory.empty((100, 100))
    view = first[10:].reshape(-1)[2:].view(np.int32)
    where = address(first)
    del first
    other = memory.empty((100, 100))
    assert address(other) != where
    del view
    assert address(memory.empty((100, 100))) == where


def test_two_living_arrays_never_share_memory():
    arrays = [memory.empty((50, 50)) for _ in range(20)]
    for number, array in enumerate(arrays):
        array.fill(number)
    assert all((array == number).all() for number, array in enumerate(arrays))


def test_statistics_count_blocks_and_clearing_frees_them():
    before = memory.pool_statistics()
    array = memory.empty((1000, 1000))
    during = memory.pool_statistics()
    assert during["blocks_in_use"] == before["blocks_in_use"] + 1
    assert during["allocations"] == before["allocations"] + 1
    assert during["used_bytes"] - before["used_bytes"] >= array.nbytes
    assert during["used_bytes"] - before["used_bytes"] <= array.nbytes * 1.13
    del array
    after = memory.pool_statistics()
    assert after["free_bytes"] >= 4_000_000 and after["blocks_in_use"] == before["blocks_in_use"]
    memory.clear_pool()
    assert memory.pool_statistics()["free_bytes"] == 0


def test_one_size_class_keeps_a_bounded_number_of_blocks(monkeypatch):
    monkeypatch.setattr(memory, "CLASS_LIMIT", 100_000)
    arrays = [memory.empty((10_000,)) for _ in range(10)]
    del arrays
    assert 0 < memory.pool_statistics()["free_bytes"] <= 100_000


def test_the_whole_pool_is_bounded_when_it_grows(monkeypatch):
    monkeypatch.setattr(memory, "LIMIT", 100_000)
    arrays = [memory.empty((size,)) for size in (10_000, 20_000, 40_000)]
    del arrays
    keep = memory.empty((80_000,))
    assert memory.pool_statistics()["free_bytes"] == 0
    assert keep.size == 80_000


def test_small_arrays_do_not_come_from_the_pool():
    before = memory.pool_statistics()["blocks_in_use"]
    array = memory.empty((16,))
    assert array.shape == (16,) and memory.pool_statistics()["blocks_in_use"] == before


def test_empty_shapes_work():
    assert memory.empty((0, 4000)).shape == (0, 4000)
    assert memory.zeros((), np.float64).shape == ()


def test_many_python_threads_get_memory_of_their_own():
    wrong = []

    def work(number):
        for _ in range(300):
            array = memory.empty((1500,))
            array.fill(number)
            if not (array == number).all():
                wrong.append(number)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_blocks_in_reference_cycles_come_back():
    class Node:
        pass

    node = Node()
    node.array = memory.empty((5000,))
    node.itself = node
    used = memory.pool_statistics()["blocks_in_use"]
    del node
    gc.collect()
    assert memory.pool_statistics()["blocks_in_use"] == used - 1
