"""Several threads at one model: what one does in the middle of another's pass spoils neither."""

import gc
import threading

import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror.kernels.cpu import memory
from kerasmirror.training import passes, program, replayable
from kerasmirror.training.program import _Pass

L = keras.layers


@pytest.fixture(autouse=True)
def any_pass_is_fast(monkeypatch):
    monkeypatch.setattr(program, "_LONGEST", float("inf"))


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def elsewhere(function, *args):
    """function(*args), from another thread."""
    found = []

    def work():
        try:
            found.append((function(*args), None))
        except BaseException as error:  # noqa: B036 - told to the thread that waits
            found.append((None, error))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    (value, error) = found[0]
    if error is not None:
        raise error
    return value


def network(*layers, features=40, classes=3):
    keras.utils.set_random_seed(9)
    return keras.Sequential(
        [keras.Input((features,)), *layers, L.Dense(classes, activation="softmax")]
    )


def passes_of(model, kind):
    found = model._programs.programs.copy().items()
    return [made for key, made in found if key[0] == kind and type(made) is _Pass]


def interrupted(monkeypatch, kind, once):
    """Let another thread do `once` in the middle of the next recording of a kind of pass."""
    compute = kind.compute
    waiting = [once]

    def run(self, inputs):
        found = compute(self, inputs)
        if waiting:
            elsewhere(waiting.pop())
        return found

    monkeypatch.setattr(kind, "compute", run)
    return waiting


def test_a_program_of_weights_that_have_moved_meanwhile_is_not_kept(monkeypatch, rng):
    model = network(L.Dense(30, activation="relu"))
    x = rng.normal(size=(8, 40)).astype("f")
    model(x)

    def move_weights():
        optimizer = keras.optimizers.SGD()
        optimizer.build(model.trainable_variables)  # into buffers of its own
        model(x[:3])

    waiting = interrupted(monkeypatch, passes.Forward, move_weights)
    while waiting:
        model(x)
    assert not passes_of(model, "forward")
    model.set_weights([rng.normal(size=w.shape).astype("f") for w in model.weights])
    found = [model(x).numpy() for _ in range(4)]
    model.run_eagerly = True
    for y in found:
        np.testing.assert_array_equal(y, model(x).numpy())


def test_gradients_outlive_programs_that_another_thread_drops(monkeypatch, rng):
    x, y = rng.normal(size=(16, 40)).astype("f"), rng.integers(0, 3, 16)

    def trained(meanwhile):
        model = network(L.Dense(2000, activation="relu"))  # gradients in pooled blocks
        model.compile("sgd", "sparse_categorical_crossentropy")
        for _ in range(4):
            model.train_on_batch(x, y)
        assert passes_of(model, "training")
        apply = model.optimizer.apply

        def apply_later(gradients, weights):
            meanwhile(model)
            apply(gradients, weights)

        model.optimizer.__dict__["apply"] = apply_later
        model.train_on_batch(x, y)
        return model.get_weights()

    def drop(model):
        model._programs.release_if_large()
        gc.collect()
        sizes = [n_bytes for n_bytes, blocks in memory._free.items() for _ in range(len(blocks))]
        taken = [memory.empty((n_bytes,), np.uint8) for n_bytes in sizes]
        for array in taken:
            array.fill(0xFF)

    monkeypatch.setattr(program, "_KEPT_BYTES", 0)
    expected = trained(lambda model: None)
    found = trained(lambda model: elsewhere(drop, model))
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_recording_takes_nothing_back_that_another_thread_writes(monkeypatch, rng):
    model = network(L.Dense(30), L.BatchNormalization())
    x = rng.normal(size=(8, 40)).astype("f")
    model(x)
    mean = model.layers[1].moving_mean
    waiting = interrupted(
        monkeypatch, passes.Forward, lambda: mean.assign(np.full(30, 2, np.float32))
    )
    while waiting:
        model(x)
    np.testing.assert_array_equal(mean.numpy(), np.full(30, 2))
    model(x)  # the other thread is done: now it can be recorded
    assert passes_of(model, "forward")


def test_a_pass_whose_arena_was_left_runs_no_more(rng):
    model = network(L.Dense(30, activation="relu"))
    x = rng.normal(size=(8, 40)).astype("f")
    for _ in range(3):
        y = model(x).numpy()
    (made,) = passes_of(model, "forward")
    now = model._programs._now
    assert made.run(now, [x]) is not None
    with made.program.arena.lock:
        assert made.run(now, [x]) is None  # another thread is at it
        now.leave(made.program.arena)
    assert made.run(now, [x]) is None and not made.program.arena.lock.locked()
    np.testing.assert_array_equal(model(x).numpy(), y)


def test_penalties_of_a_step_are_those_of_its_own_batch(rng):
    class Penalized(L.Layer):
        meanwhile = staticmethod(lambda: None)

        def call(self, x, training=False):
            if training or x.shape[0] != 3:
                self.add_loss(keras.ops.mean(x) * 0.1)
            return x

    class Last(L.Layer):
        def call(self, x, training=False):
            if training:
                Penalized.meanwhile()
            return x

    def trained(meanwhile):
        model = network(L.Dense(5, activity_regularizer="l2"), Penalized(), Last())
        model.compile("sgd", "sparse_categorical_crossentropy")
        for _ in range(3):
            Penalized.meanwhile = staticmethod(lambda: meanwhile(model))
            model.train_on_batch(x, y)
        losses = [float(loss) for loss in model.losses]
        return losses, model.get_weights()

    x, y = rng.normal(size=(8, 40)).astype("f"), rng.integers(0, 3, 8)
    expected = trained(lambda model: None)
    for n in (4, 3):
        found = trained(lambda model, n=n: elsewhere(lambda: model(x[:n]).numpy()))
        assert found[0] == expected[0] and len(found[0]) == 2
        for a, b in zip(found[1], expected[1], strict=True):
            np.testing.assert_array_equal(a, b)


def test_losses_are_of_the_last_call_whoever_made_it(rng):
    model = network(L.Dense(5, activity_regularizer="l2"))
    x = rng.normal(size=(8, 40)).astype("f")
    model(x)
    (mine,) = [float(loss) for loss in model.losses]
    other = network(L.Dense(5, activity_regularizer="l2"))
    other(2 * x)
    assert [float(loss) for loss in model.losses] == [mine]  # not of this thread's last call
    (its,) = elsewhere(lambda: (model(x[:2]), [float(loss) for loss in model.losses])[1])
    assert [float(loss) for loss in model.losses] == [its] != [mine]
    model(x)
    assert [float(loss) for loss in model.losses] == [mine]
    model._clear_losses()
    assert model.losses == []


def test_a_model_may_get_attributes_while_it_is_looked_at(monkeypatch):
    model = network()

    class Beside(frozenset):
        def __contains__(self, name):
            elsewhere(setattr, model, f"note_{len(vars(model))}", 1)
            return super().__contains__(name)

    monkeypatch.setattr(replayable, "_BESIDE", Beside())
    state = len(vars(model))
    assert replayable.Guard(model) and len(vars(model)) > state
