"""Programs with NumPy among the launches, and programs of two phases."""

import numpy as np
import pytest

from kerasmirror.kernels import for_device, scalar
from kerasmirror.kernels.cpu import between

k = for_device("cpu")


def record(inputs, compute, constants=()):
    """(program, results of the recording) of `compute`, which gives a list of arrays."""
    recorder = k.Recorder(k.Arena(), inputs, constants)
    with recorder.open():
        results = compute(*inputs)
    copies = [np.array(y) for y in results]
    program = recorder.program_for(results, [])
    return program, copies, recorder.refusal


@pytest.mark.parametrize(
    "compute",
    [
        lambda x, w: [k.relu(k.map_scalar(scalar.add, x, w))],
        lambda x, w: [k.concatenate([k.relu(x), w], 1)],
        lambda x, w: [k.relu(k.contiguous(k.concatenate([x, w], 1)[:, 2:7]))],
        lambda x, w: [k.map_scalar(scalar.multiply, k.mean(k.relu(x), (0,)), 2.0)],
        lambda x, w: [k.relu(k.broadcast_to(k.sum(x, (1,), True), (8, 5)))],
        lambda x, w: [k.where(k.map_scalar(scalar.greater, x, w), k.relu(x), w)],
        lambda x, w: [k.relu(k.transpose(k.max(x, (1,), True)))],
        lambda x, w: [k.relu(x), k.map_scalar(scalar.subtract, k.relu(x), k.relu(w))],
        lambda x, w: list(k.batch_norm_stats(k.map_scalar(scalar.multiply, x, w))),
    ],
)
def test_a_program_does_what_numpy_did_between_the_launches(rng, compute):
    def inputs():
        return [rng.normal(size=(8, 5)).astype("float32") for _ in range(2)]

    first = inputs()
    program, copies, refusal = record(first, compute)
    assert refusal is None
    program.fill_memory(0xFF)
    for given, expected in ((first, copies), *((x, compute(*x)) for x in (inputs(), inputs()))):
        found, _ = program.run(given)
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_results_of_steps_are_new_memory_in_each_run(rng):
    x = rng.normal(size=(4, 4)).astype("float32")
    program, _, _ = record([x], lambda x: [k.map_scalar(scalar.add, k.relu(x), x)])
    (first,), _ = program.run([x])
    kept = first.copy()
    program.run([x + 1])
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize(
    ("compute", "reason"),
    [
        (lambda x: [k.map_scalar(scalar.add, x, np.sqrt(k.relu(x)))], "apply gets values that no"),
        (lambda x: [k.map_scalar(scalar.negative, x[:2])], "apply reads a part of an input"),
        (lambda x: [k.map_scalar(scalar.negative, x.T)], "apply reads a part of an input"),
        (lambda x: [k.relu(x)] * 2, "two results are one array"),
    ],
)
def test_what_no_step_computed_is_refused(rng, compute, reason):
    x = rng.normal(size=(4, 4)).astype("float32")
    program, _, refusal = record([x], compute)
    assert program is None and refusal.startswith(reason)


def test_inputs_that_share_memory_are_refused(rng):
    x = rng.normal(size=(4, 4)).astype("float32")
    program, _, refusal = record([x, x], lambda x, y: [k.map_scalar(scalar.add, x, y)])
    assert program is None and refusal == "two inputs share memory"


def test_the_second_phase_has_what_the_first_left(rng):
    recorder = k.Recorder(k.Arena(), [x := rng.normal(size=(6, 3)).astype("float32")], [])
    with recorder.open():
        inner = k.map_scalar(scalar.multiply, x, 3.0)
        y = k.relu(inner)
    recorder.add_inputs([dy := rng.normal(size=(6, 3)).astype("float32")])
    with recorder.open():
        dx = k.map_scalar(scalar.multiply, k.relu_grad(dy, y), inner)
    del inner
    program = recorder.program_for([y, dx], [], first=1)
    assert recorder.refusal is None
    del y, dx
    program.fill_memory(0xFF)
    for _ in range(3):
        x, dy = (rng.normal(size=(6, 3)).astype("float32") for _ in range(2))
        (y,), _ = program.run([x])
        np.testing.assert_array_equal(y, np.maximum(x * np.float32(3), 0))
        (dx,), _ = program.run([dy], 1)
        np.testing.assert_array_equal(dx, np.where(y > 0, dy, 0) * (x * np.float32(3)))
    program.release()


def test_a_notable_function_runs_as_it_is_outside_of_recordings(rng):
    calls = []

    @between.notable
    def doubled(x, factor=2):
        """x twice."""
        calls.append(factor)
        return x * np.float32(factor)

    x = rng.normal(size=3).astype("float32")
    np.testing.assert_array_equal(doubled(x, factor=3), x * np.float32(3))
    assert doubled.__doc__ == "x twice." and not between.is_noted()
    program, (first,), _ = record([x], lambda x: [doubled(x)])
    (again,), _ = program.run([x * 2])
    np.testing.assert_array_equal(again, first * 2)
    assert calls == [3, 2, 2]
