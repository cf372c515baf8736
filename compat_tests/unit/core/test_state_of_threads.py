"""What one thread sets, names, counts or lends is no other thread's."""

import copy
import os
import pickle
import sys
import threading
import time

import numpy as np
import pytest
from cases.turns import in_turns

import kerasmirror as keras
from kerasmirror import autodiff, random
from kerasmirror.autodiff import tape
from kerasmirror.core import remat, safe_mode, scopes, seeds
from kerasmirror.kernels.cpu import machine_code


def test_each_thread_has_the_values_of_its_own_stateless_scope():
    a, b = keras.Variable([1.0, 2.0]), keras.Variable([5.0])
    kind = type(a)

    def first(turn):
        with keras.StatelessScope([(a, [10.0, 20.0])]) as scope:
            turn()  # both scopes are open
            assert a.numpy().tolist() == [10, 20] and np.asarray(a * 2).tolist() == [20, 40]
            a.assign_add([1.0, 1.0])
            turn()  # both have written
            assert a.numpy().tolist() == [11, 21]
        assert a.numpy().tolist() == [1, 2]
        turn()  # this one has ended
        assert np.asarray(scope.get_current_value(a)).tolist() == [11, 21]
        turn()

    def second(turn):
        with keras.StatelessScope([(a, [30.0, 40.0])]) as scope:
            turn()
            a.writable()[0] = 7
            b.assign([6.0])
            turn()
            turn()
            assert a.numpy().tolist() == [7, 40]
            with keras.StatelessScope():
                assert a.numpy().tolist() == [1, 2]
            assert a.numpy().tolist() == [7, 40] and b.numpy().tolist() == [6]
        turn()
        assert np.asarray(scope.get_current_value(a)).tolist() == [7, 40]

    def third(turn):
        for _ in range(3):
            turn()
            assert a.numpy().tolist() == [1, 2] and b.numpy().tolist() == [5]
        turn()

    in_turns(first, second, third)
    assert a.numpy().tolist() == [1, 2] and b.numpy().tolist() == [5]
    assert type(a) is type(b) is kind


def test_what_another_thread_writes_stays_behind_a_scope():
    a = keras.Variable([1.0])

    def scoped(turn):
        with keras.StatelessScope([(a, [10.0])]):
            turn()
            turn()
            assert a.numpy().tolist() == [10]

    def plain(turn):
        turn()
        a.assign([2.0])
        turn()

    in_turns(scoped, plain)
    assert a.numpy().tolist() == [2]


def test_variables_can_be_copied_in_a_scope():
    a = keras.Variable([1.0])
    kind = type(a)
    with keras.StatelessScope([(a, [3.0])]):
        twins = copy.deepcopy(a), pickle.loads(pickle.dumps(a))
    for twin in twins:
        assert type(twin) is kind and twin.numpy().tolist() == [3]


def test_two_threads_call_one_layer_on_values_of_their_own():
    layer = keras.layers.Dense(2)
    layer.build((None, 3))
    x = np.ones((4, 3), "float32")
    before = layer.get_weights()

    def work(factor):
        def run(turn):
            turn()
            for _ in range(50):
                values = [np.full((3, 2), factor, "f"), np.zeros(2, "f")]
                y, _ = layer.stateless_call(values, [], x)
                np.testing.assert_array_equal(np.asarray(y), np.full((4, 2), 3 * factor))
            turn()

        return run

    in_turns(work(2), work(5))
    for own, old in zip(layer.get_weights(), before, strict=True):
        np.testing.assert_array_equal(own, old)


def test_each_thread_names_and_counts_on_its_own():
    def work(turn):
        turn()
        assert [keras.layers.Dense(1).name for _ in range(3)] == ["dense", "dense_1", "dense_2"]
        turn()
        assert keras.backend.get_uid("kind") == 1 and keras.backend.get_uid("kind") == 2
        turn()

    in_turns(work, work, work)


def test_two_threads_build_models_of_layers_with_different_names():
    def work(turn):
        turn()
        for _ in range(20):
            x = inputs = keras.Input((2,))
            for _ in range(6):
                x = keras.layers.Dense(2)(x)
            assert len(keras.Model(inputs, x).layers) == 7

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        in_turns(work, work, work)
    finally:
        sys.setswitchinterval(interval)


def test_a_dtype_policy_is_that_of_the_thread_which_sets_it():
    def half(turn):
        keras.config.set_dtype_policy("mixed_float16")
        turn()
        assert keras.layers.Dense(1).compute_dtype == "float16"
        turn()
        turn()
        assert keras.config.dtype_policy().name == "float32"  # the session is cleared

    def single(turn):
        turn()
        assert keras.layers.Dense(1).compute_dtype == "float32"
        turn()
        keras.utils.clear_session()
        turn()

    in_turns(half, single)


def test_unsafe_loading_is_allowed_for_one_thread():
    def unsafe(turn):
        keras.config.enable_unsafe_deserialization()
        turn()
        assert safe_mode.in_safe_mode() is False
        turn()

    def other(turn):
        turn()
        assert safe_mode.in_safe_mode() is None
        turn()

    in_turns(unsafe, other)


@pytest.mark.parametrize("draw", [keras.random.draw_seed, keras.random.seed_pair])
def test_two_threads_draw_two_seeds_of_one_generator(draw):
    generator = keras.random.SeedGenerator(3)
    found = []

    class Paused:
        """Lets the other thread begin its draw in the middle of this one's."""

        def __init__(self, turn):
            self.turn = turn

        def before_write(self, variable):
            self.turn()
            time.sleep(0.05)  # whatever the other one can do without this one, it does

    def first(turn):
        scopes.WRITES.observer = Paused(turn)
        found.append(np.asarray(draw(generator)).tolist())

    def second(turn):
        turn()
        found.append(np.asarray(draw(generator)).tolist())

    in_turns(first, second)
    assert sorted(found) == [[3, 0], [3, 1]]


def test_the_global_generator_may_be_forgotten_by_another_thread(monkeypatch):
    made = random.SeedGenerator

    def forgotten(*args):
        generator = made(*args)
        random.forget_global_seed_generator()
        return generator

    random.forget_global_seed_generator()
    monkeypatch.setattr(random, "SeedGenerator", forgotten)
    assert isinstance(random.global_seed_generator(), made)


CONTEXTS = {
    "no_grad": autodiff.no_grad,
    "name_scope": lambda: keras.name_scope("scope"),
    "RematScope": keras.RematScope,
}


@pytest.mark.parametrize("name", CONTEXTS)
def test_threads_may_share_a_context(name):
    context = CONTEXTS[name]()
    state = []

    def now():
        return tape.ACTIVE.tape, scopes.current_path(), remat.get_current_remat_mode()

    def first(turn):
        with keras.name_scope("a"), autodiff.GradientTape():
            before = now()
            with context:
                turn()
                turn()
            turn()
            state.append(now() == before)

    def second(turn):
        before = now()
        turn()
        with context:
            turn()
            turn()
        state.append(now() == before)

    in_turns(first, second)
    assert state == [True, True]


def test_one_of_two_entries_into_a_shared_name_scope_adds_no_name():
    caller = object()
    scope = keras.name_scope("layer", caller=caller)

    def within(turn):
        with keras.name_scope("layer", caller=caller):
            turn()
            with scope:
                turn()
                assert scopes.current_path() == "layer"
            turn()
            assert scopes.current_path() == "layer"
        assert scopes.current_path() == ""

    def alone(turn):
        turn()
        turn()
        with scope:
            assert scopes.current_path() == "layer"
            turn()
        assert scopes.current_path() == ""

    in_turns(within, alone)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_process_can_draw_whatever_other_threads_were_doing():
    held, done = threading.Event(), threading.Event()

    def draws():
        with seeds.drawing:
            held.set()
            done.wait(60)

    thread = threading.Thread(target=draws)
    thread.start()
    held.wait(30)
    child = os.fork()
    if not child:
        free = seeds.drawing.acquire(timeout=5)
        os._exit(0 if free else 1)
    _, status = os.waitpid(child, 0)
    done.set()
    thread.join()
    assert status == 0


def test_two_functions_of_machine_code_made_at_once_are_not_confused(monkeypatch):
    class Methods(list):
        def append(self, method):
            super().append(method)
            if method.name == b"first":  # as if another thread came in between
                found.append(machine_code.python_function(0, "second"))

    found, methods = [], Methods()
    monkeypatch.setattr(machine_code, "_methods", methods)
    first = machine_code.python_function(0, "first")
    assert [first.__name__, found[0].__name__] == ["first", "second"]
    monkeypatch.undo()
    machine_code._methods.extend(methods)  # Python keeps pointers to them
