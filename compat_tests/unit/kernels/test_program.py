"""Programs: recorded launches, run again on other inputs."""

import gc
import threading

import numpy as np
import pytest

from kerasmirror.kernels import for_device

k = for_device("cpu")


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def record(compute, inputs, constants=(), keep=False, arena=None, draws=()):
    """(recorder, program or None, copies of the results) of `compute(*inputs)`."""
    recorder = k.Recorder(arena or k.Arena(), inputs, constants)
    with recorder.open():
        results = compute(*inputs)
    copies = [np.array(y) for y in results]
    program = recorder.program_for(*(([], results) if keep else (results, [])), draws)
    return recorder, program, copies


def two_layers(w, bias):
    def compute(x):
        hidden = k.dense(x, w, bias, "relu")
        return [k.softmax(k.dense(hidden, w, bias))]

    return compute


def test_a_program_repeats_its_launches_on_other_inputs(rng):
    w, bias = rng.normal(size=(40, 40)).astype("f"), rng.normal(size=40).astype("f")
    compute = two_layers(w, bias)
    x, other = rng.normal(size=(2, 64, 40)).astype("f")
    _, program, (expected,) = record(compute, [x], [w, bias])
    assert len(program) == 3
    for given in (x, other, x):
        (y,), _ = program.run([given])
        np.testing.assert_array_equal(y, compute(given)[0])
    np.testing.assert_array_equal(y, expected)


def test_weights_are_read_where_they_are(rng):
    w, bias = rng.normal(size=(8, 8)).astype("f"), np.zeros(8, "f")
    x = rng.normal(size=(4, 8)).astype("f")
    _, program, _ = record(two_layers(w, bias), [x], [w, bias])
    w *= 2
    bias += 1
    (y,), _ = program.run([x])
    np.testing.assert_array_equal(y, two_layers(w, bias)(x)[0])


def test_results_of_a_run_outlive_the_next(rng):
    x, other = rng.normal(size=(2, 64, 64)).astype("f")
    _, program, _ = record(lambda x: [k.relu(x)], [x])
    (first,), _ = program.run([x])
    program.run([other])
    np.testing.assert_array_equal(first, np.maximum(x, 0))


def test_kept_results_stay_in_one_place(rng):
    x, other = rng.normal(size=(2, 64, 64)).astype("f")
    _, program, _ = record(lambda x: [k.relu(x)], [x], keep=True)
    _, (first,) = program.run([x])
    _, (second,) = program.run([other])
    assert first is second
    np.testing.assert_array_equal(second, np.maximum(other, 0))


def test_memory_of_dead_arrays_serves_again_within_a_program(rng):
    x = rng.normal(size=(256, 256)).astype("f")

    def chain(x):
        for _ in range(10):
            x = k.relu(x)
        return [x]

    arena = k.Arena()
    _, program, _ = record(chain, [x], arena=arena)
    assert len(arena.blocks) == 2
    np.testing.assert_array_equal(program.run([x])[0][0], np.maximum(x, 0))


def test_zeros_are_cleared_in_each_run(rng):
    x = rng.normal(size=(16, 64)).astype("f")

    def compute(x):
        padded = k.zeros((16, 64), "float32")
        return [k.relu(padded), k.relu(x)]

    arena = k.Arena()
    _, program, _ = record(compute, [x], arena=arena)
    program.fill_memory(0xFF)
    np.testing.assert_array_equal(program.run([x])[0][0], np.zeros((16, 64)))


def test_single_values_run_too(rng):
    x, other = rng.normal(size=(2, 1)).astype("f")
    arena = k.Arena()
    _, program, _ = record(lambda x: [k.relu(x)], [x], arena=arena)
    assert arena.n_bytes == 64
    np.testing.assert_array_equal(program.run([other])[0][0], np.maximum(other, 0))


@pytest.mark.parametrize(
    "compute",
    [
        lambda x: [k.relu(x * 2)],
        lambda x: [np.maximum(x, 0)],
        lambda x: [k.relu(x[:8])],
        lambda x: [k.relu(x)[:8]],
        lambda x: [k.relu(np.broadcast_to(x * 2, x.shape))],
    ],
    ids=["numpy before", "numpy result", "part of an input", "part of a result", "frozen view"],
)
def test_what_is_no_launch_is_refused(rng, compute):
    x = rng.normal(size=(16, 64)).astype("f")
    recorder, program, _ = record(compute, [x])
    if compute(x)[0].shape == (8, 64) and recorder.refusal is None:
        np.testing.assert_array_equal(program.run([x])[0][0], compute(x)[0])
    else:
        assert program is None and recorder.refusal


def test_memory_that_somebody_keeps_is_refused(rng):
    x = rng.normal(size=(64, 64)).astype("f")
    kept = []

    def compute(x):
        kept.append(k.relu(x))
        return [k.relu(kept[0])]

    recorder, program, _ = record(compute, [x])
    assert program is None and "still in use" in recorder.refusal


def test_launches_of_other_threads_are_not_noted(rng):
    x = rng.normal(size=(64, 64)).astype("f")

    def compute(x):
        other = threading.Thread(target=lambda: k.relu(x * 3))
        other.start()
        other.join()
        return [k.relu(x)]

    recorder, program, _ = record(compute, [x])
    assert recorder.refusal is None and len(program) == 1


def test_a_run_draws_the_next_numbers_of_a_seed_state(rng):
    x = rng.normal(size=(64, 64)).astype("f")
    state = np.array([2**31 + 77, 5], np.int64)
    keys = k.keys_drawn(*state.tolist(), 7)

    def compute(x):
        first = k.dropout(x, ((2**31 + 77) % (2**31 - 2), 5), 0.5)
        return [k.dropout(first, ((2**31 + 77) % (2**31 - 2), 6), 0.25)]

    state[1] = 7
    _, program, _ = record(compute, [x], [state], draws=[(state, keys)])
    for count in (7, 9):
        assert state[1] == count
        pairs = [((2**31 + 77) % (2**31 - 2), count + i) for i in range(2)]
        expected = k.dropout(k.dropout(x, pairs[0], 0.5), pairs[1], 0.25)
        np.testing.assert_array_equal(program.run([x])[0][0], expected)
    program.undo_draws()
    assert state[1] == 9


def test_an_arena_gives_its_memory_to_the_pool(rng):
    x = rng.normal(size=(512, 512)).astype("f")
    k.clear_pool()
    _, program, _ = record(lambda x: [k.relu(k.relu(x))], [x])
    before = k.pool_statistics()["free_bytes"]
    del program, _
    gc.collect()
    assert k.pool_statistics()["free_bytes"] >= before + 2 * x.nbytes


def test_threads_record_at_once_each_its_own(rng):
    """The recorder opened first is closed first: the other one has to go on noting."""
    x, y = rng.normal(size=(2, 64, 64)).astype("f")
    opened, closed = threading.Event(), threading.Event()
    found = {}

    def first():
        recorder = k.Recorder(k.Arena(), [x], [])
        with recorder.open():
            found["first"] = [k.relu(x)]
            opened.wait(10)
        closed.set()
        k.relu(x)  # after its end: no launch of it
        found["program"] = recorder.program_for(found["first"], [])

    def second(y):
        opened.set()
        closed.wait(10)
        assert k.is_recording()
        return [k.relu(k.softmax(y))]

    thread = threading.Thread(target=first)
    thread.start()
    recorder, program, (expected,) = record(second, [y])
    thread.join()
    assert recorder.refusal is None and not k.is_recording()
    assert len(program) == 2 and len(found["program"]) == 1
    np.testing.assert_array_equal(program.run([y])[0][0], expected)
    np.testing.assert_array_equal(found["program"].run([y])[0][0], np.maximum(y, 0))
