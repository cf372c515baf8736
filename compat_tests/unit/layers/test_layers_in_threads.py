"""One layer in several threads: built once, called by each as if it were alone."""

import threading
import time

import numpy as np
import pytest
from cases.turns import in_turns

import kerasmirror as keras
from kerasmirror.models import fusion


def test_the_nodes_of_a_layer_that_two_threads_call_are_counted():
    layer = keras.layers.Dense(2)
    layer.build((None, 3))
    nodes = layer._inbound_nodes
    inputs = [keras.Input((3,)) for _ in range(2)]
    outputs = {}

    class Counted(list):
        def __len__(self):
            length = super().__len__()
            time.sleep(0.05)
            return length

    object.__setattr__(layer, "_inbound_nodes", Counted(nodes))

    def work(number):
        def run(turn):
            turn()
            outputs[number] = layer(inputs[number])

        return run

    in_turns(work(0), work(1))
    for number, x in enumerate(inputs):
        assert keras.Model(x, outputs[number]).inputs[0] is x


def test_a_layer_that_two_threads_call_first_is_built_once():
    begun = threading.Event()
    builds = []

    class Slow(keras.layers.Layer):
        def build(self, input_shape):
            builds.append(input_shape)
            begun.set()
            time.sleep(0.1)
            self.kernel = self.add_weight((input_shape[-1], 2), "ones")
            self.input_spec = keras.layers.InputSpec(axes={-1: input_shape[-1]})

        def call(self, x):
            return keras.ops.matmul(x, self.kernel)

    model = keras.Sequential([Slow(), keras.layers.Dense(3)])
    x = np.ones((4, 5), "float32")
    found = []

    def first(turn):
        found.append(model(x).numpy())
        turn()

    def second(turn):
        begun.wait(30)
        found.append(model(x).numpy())
        turn()

    def wrong(turn):
        begun.wait(30)
        with pytest.raises(ValueError, match="size 5 on axis -1"):
            model.layers[0](np.ones((4, 6), "float32"))
        turn()

    in_turns(first, second, wrong)
    assert len(builds) == 1 and len(model.weights) == 3
    np.testing.assert_array_equal(*found)


def test_a_layer_whose_build_fails_can_be_built_again_by_another_thread():
    class Failing(keras.layers.Layer):
        fails = True

        def build(self, input_shape):
            if self.fails:
                raise RuntimeError("not yet")
            self.kernel = self.add_weight((input_shape[-1], 2), "ones")

        def call(self, x):
            return keras.ops.matmul(x, self.kernel)

    layer = Failing()
    x = np.ones((1, 2), "float32")
    with pytest.raises(RuntimeError, match="not yet"):
        layer(x)
    layer.fails = False
    found = []
    in_turns(lambda turn: found.append(layer(x).numpy().tolist()))
    assert found == [[[2, 2]]]


def test_threads_have_dropout_masks_of_their_own_in_one_recurrent_layer():
    x = np.random.default_rng(1).normal(size=(6, 4, 3)).astype("float32")

    class Paused(keras.layers.LSTM):
        turn = staticmethod(lambda: None)

        def inner_loop(self, sequences, *args, **kwargs):
            if sequences.shape[0] == 6:
                Paused.turn()
                Paused.turn()
            return super().inner_loop(sequences, *args, **kwargs)

    def made():
        keras.utils.set_random_seed(4)
        layer = Paused(5, dropout=0.5)
        layer.build(x.shape)
        return layer

    expected = made()(x, training=True).numpy()
    layer = made()
    found = []

    def trains(turn):
        Paused.turn = staticmethod(turn)
        found.append(layer(x, training=True).numpy())

    def predicts(turn):
        turn()
        layer(x[:2])
        turn()

    in_turns(trains, predicts)
    np.testing.assert_array_equal(found[0], expected)


def test_an_activation_that_is_run_again_stays_the_layer_s_own():
    turns = []

    def activation(x):
        if turns:
            turns[0]()
        return keras.ops.relu(x)

    with keras.RematScope(mode="activations"):
        layer = keras.layers.Dense(2, activation=activation)
    x = np.ones((1, 3), "float32")
    layer(x)
    state = set(layer.__dict__)

    def work(turn):
        turn()
        layer(x)

    turns.append(threading.Barrier(2).wait)
    in_turns(work, work)
    assert layer.activation is activation and set(layer.__dict__) == state


def test_what_was_found_of_layers_that_change_meanwhile_is_looked_for_again():
    found = []

    class Watched(keras.layers.Layer):
        @property
        def size(self):
            return self.__dict__.get("_size", 0)

        @size.setter
        def size(self, value):
            plan.parts(self)  # as another thread may, in the middle of an assignment
            self.__dict__["_size"] = value

    def find(owner):
        found.append(owner.size)
        if len(found) == 1:
            owner.other = 1
        return found[-1]

    plan = fusion.Plan(find)
    layer = Watched()
    plan.parts(layer)
    plan.parts(layer)
    assert len(found) == 2  # the first search was disturbed
    layer.size = 7
    assert plan.parts(layer) == 7
