"""What one thread sets, names, counts or lends is no other thread's."""

import copy
import pickle
import threading

import numpy as np
import pytest

import kerasmirror as keras


def in_turns(*works):
    """Run each work(turn) in a thread of its own; `turn()` waits until all have come so far."""
    barrier = threading.Barrier(len(works))
    errors = []

    def run(work):
        try:
            work(lambda: barrier.wait(30))
        except BaseException as error:  # noqa: B036 - told to the thread that waits
            errors.append(error)
            barrier.abort()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for error in errors:
        if not isinstance(error, threading.BrokenBarrierError):
            raise error
    assert not errors and not any(thread.is_alive() for thread in threads)


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
