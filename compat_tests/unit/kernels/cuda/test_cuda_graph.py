import gc

import numpy as np
import pytest


@pytest.fixture
def k(gpu):
    return gpu


def test_a_graph_repeats_its_launches_on_what_its_inputs_hold(k):
    x = k.to_device(np.array([-1, 2, -3], "float32"))
    graph = k.graph.Graph()
    with graph.recording():
        y = k.relu(k.relu(x))
    k.memory.overwrite_from_host(x, np.array([4, -5, 6], "float32"))
    graph.run()
    assert y.to_host().tolist() == [4, 0, 6]
    k.memory.overwrite_from_host(x, np.array([-7, 8, 9], "float32"))
    graph.run()
    assert y.to_host().tolist() == [0, 8, 9]


def test_nothing_runs_while_a_graph_is_recorded(k):
    x = k.to_device(np.array([-1, 2], "float32"))
    y = k.to_device(np.array([5, 5], "float32"))
    graph = k.graph.Graph()
    with graph.recording():
        k.memory.copy_into(y, k.relu(x))
    assert y.to_host().tolist() == [5, 5]
    graph.run()
    assert y.to_host().tolist() == [0, 2]


def test_memory_of_a_graph_is_its_own_until_it_goes(k):
    gc.collect()  # what earlier tests left
    k.clear_pool()
    before = k.pool_statistics()["used_bytes"]
    x = k.to_device(np.ones(1000, "float32"))
    graph = k.graph.Graph()
    with graph.recording():
        y = k.relu(x)
    others = [k.to_device(np.full(1000, i, "float32")) for i in range(8)]
    graph.run()
    assert y.to_host().tolist() == [1] * 1000
    assert [array.to_host()[0] for array in others] == list(range(8))
    del graph, y, x, others
    gc.collect()
    assert k.pool_statistics()["used_bytes"] == before


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        (lambda k, x: k.to_device(np.ones(3)), "an array is copied from the host"),
        (lambda k, x: x.to_host(), "a value is read back"),
    ],
)
def test_what_a_graph_cannot_repeat_ends_the_recording(k, what, reason):
    x = k.to_device(np.ones(3, "float32"))
    graph = k.graph.Graph()
    with pytest.raises(k.graph.CannotRecord, match=reason), graph.recording():
        what(k, x)
    assert k.relu(x).to_host().tolist() == [1, 1, 1]  # the stream runs what it is given again


def test_an_error_within_a_recording_leaves_the_device_usable(k):
    x = k.to_device(np.ones(3, "float32"))
    with pytest.raises(ZeroDivisionError), k.graph.Graph().recording():
        k.relu(x)
        1 / 0
    assert k.relu(x).to_host().tolist() == [1, 1, 1]


def test_each_run_draws_with_the_keys_it_is_given(k, cpu):
    x = k.to_device(np.ones(64, "float32"))
    graph = k.graph.Graph()
    with graph.recording():
        a, b = k.dropout(x, (5, 0), 0.5), k.dropout(x, (5, 1), 0.5)
        again = k.dropout(x, (5, 0), 0.5)
    assert graph.pairs == [(5, 0), (5, 1)]
    for first, second in (((5, 0), (5, 1)), ((5, 2), (5, 3))):
        graph.run([k.random.key_and_counter(pair) for pair in (first, second)])
        ones = np.ones(64, "float32")
        assert np.array_equal(a.to_host(), cpu.dropout(ones, first, 0.5))
        assert np.array_equal(again.to_host(), cpu.dropout(ones, first, 0.5))
        assert np.array_equal(b.to_host(), cpu.dropout(ones, second, 0.5))


def test_batches_come_in_by_turns_through_slots(k):
    n = k.staging.SMALLEST // 4 + 5
    arrays = [np.full(n, i, "float32") for i in range(5)]
    target = k.empty((n,), "float32")
    seen = []
    for array in arrays:
        k.staging.overwrite(target, array)
        seen.append(target.to_host())
    assert all(np.array_equal(a, b) for a, b in zip(arrays, seen, strict=True))
    assert np.array_equal(k.staging.upload(arrays[3]).to_host(), arrays[3])
    assert k.staging.upload(np.arange(3)).to_host().tolist() == [0, 1, 2]


class _Other:
    """Another package's array, as its consumers see it."""

    def __init__(self, array):
        self._array = array

    def __dlpack__(self, stream=None):
        from kerasmirror.kernels.cuda import exchange

        return exchange.to_dlpack(self._array, stream)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()


def test_dlpack_shows_the_same_memory_and_keeps_it(k):
    from kerasmirror.kernels.cuda import exchange

    array = k.to_device(np.arange(6, dtype="int32").reshape(2, 3))
    address = array.address

    other = _Other(array)
    back = exchange.shared(other)
    assert back.address == address and back.shape == (2, 3) and back.dtype == np.int32
    assert len(exchange._lent) == 1
    values = back.to_host()
    del array, back, other
    gc.collect()
    assert exchange._lent == {} and values.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_capsule_that_nobody_takes_lets_the_memory_go(k):
    from kerasmirror.kernels.cuda import exchange

    capsule = exchange.to_dlpack(k.to_device(np.ones(3)))
    assert len(exchange._lent) == 1
    del capsule
    gc.collect()
    assert exchange._lent == {}


def test_the_cuda_array_interface_shows_the_same_memory(k):
    from kerasmirror.kernels.cuda import exchange

    array = k.to_device(np.arange(4, dtype="float32"))
    shown = array.__cuda_array_interface__
    assert shown["data"] == (array.address, False) and shown["typestr"] == "<f4"

    class Other:
        __cuda_array_interface__ = {**shown, "strides": (8,), "shape": (2,)}

    with pytest.raises(ValueError, match="must be contiguous"):
        exchange.shared(Other())
    Other.__cuda_array_interface__ = shown
    assert exchange.shared(Other()).to_host().tolist() == [0, 1, 2, 3]
