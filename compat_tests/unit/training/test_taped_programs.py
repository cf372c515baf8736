"""Calls of a model within a tape that run as programs: the same, to the bit, as layer by layer."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror.autodiff import GradientTape
from kerasmirror.training import taped

L = keras.layers


def residual(merge):
    def make():
        x = keras.Input((6, 6, 2))
        a = L.Conv2D(4, 3, padding="same", activation="relu")(x)
        b = L.BatchNormalization()(L.Conv2D(4, 3, padding="same")(a))
        y = L.Activation("relu")(merge()([a, b]))
        y = L.Dropout(0.2)(L.GlobalAveragePooling2D()(y))
        return keras.Model(x, L.Dense(3, kernel_regularizer="l2", bias_regularizer="l1")(y))

    return make


def stack(*layers):
    return lambda: keras.Sequential([keras.Input((6, 6, 2)), *[layer() for layer in layers]])


MODELS = {
    "dense": stack(lambda: L.Flatten(), lambda: L.Dense(5, "relu"), lambda: L.Dense(3)),
    "softmax": stack(lambda: L.Flatten(), lambda: L.Dense(3, "softmax")),
    "normalized": stack(
        lambda: L.Conv2D(4, 3, padding="same"),
        lambda: L.BatchNormalization(),
        lambda: L.ReLU(),
        lambda: L.MaxPooling2D(2),
        lambda: L.Dropout(0.3),
        lambda: L.Flatten(),
        lambda: L.Dense(3),
    ),
    "normalized without scale": stack(
        lambda: L.Conv2D(4, 3),
        lambda: L.BatchNormalization(scale=False, center=False, momentum=0.5),
        lambda: L.GlobalMaxPooling2D(),
        lambda: L.Dense(3),
    ),
    "added": residual(L.Add),
    "subtracted": residual(L.Subtract),
    "multiplied": residual(L.Multiply),
    "largest": residual(L.Maximum),
    "smallest": residual(L.Minimum),
    "joined": residual(L.Concatenate),
    "joined rows": residual(lambda: L.Concatenate(axis=1)),
}
RNG = np.random.default_rng(3)
X = RNG.normal(size=(20, 6, 6, 2)).astype("float32")
Y = RNG.uniform(0.1, 1, size=(20, 3)).astype("float32")


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """However long passes take on a busy machine, they are worth a program."""
    monkeypatch.setattr("kerasmirror.training.program._LONGEST", 60.0)


def pair(make):
    """A model that may have programs, and one of the same weights that runs layer by layer."""
    made = []
    for _ in range(2):
        keras.utils.clear_session()
        keras.utils.set_random_seed(7)
        made.append(make())
    made[1].run_eagerly = True
    return made


def passes(model):
    return [p for p in model._programs.programs.values() if type(p) is taped.Pass]


def assert_same_weights(model, eager):
    for ours, theirs in zip(model.variables, eager.variables, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy(), err_msg=ours.path)


def step(model, optimizer, x=X, y=Y, loss_of=None):
    with GradientTape() as tape:
        p = model(x, training=True)
        loss = keras.ops.mean(keras.ops.square(p - y)) if loss_of is None else loss_of(p, y)
        for penalty in model.losses:
            loss = loss + penalty
    optimizer.apply(tape.gradient(loss, model.trainable_weights), model.trainable_weights)
    return float(loss)


@pytest.mark.parametrize("name", MODELS)
def test_a_loop_written_by_hand_gives_what_it_gives_layer_by_layer(name):
    model, eager = pair(MODELS[name])
    ours, theirs = (keras.optimizers.Adam(0.01) for _ in range(2))
    for _ in range(7):
        assert step(model, ours) == step(eager, theirs)
        np.testing.assert_array_equal(model(X).numpy(), eager(X).numpy())
    assert_same_weights(model, eager)
    assert len(passes(model)) == 1 and not eager._programs.programs


@pytest.mark.parametrize("name", ["dense", "normalized", "added"])
@pytest.mark.parametrize("loss", ["mse", "mae", "binary_crossentropy", "huber", "kl_divergence"])
def test_fit_with_any_loss_and_weights_gives_what_it_gives_layer_by_layer(name, loss):
    model, eager = pair(MODELS[name])
    weight = RNG.uniform(0.5, 2, size=len(X)).astype("float32")
    histories = []
    for net in (model, eager):
        net.compile(
            "adam", loss, metrics=["mae"], weighted_metrics=["mse"], run_eagerly=net is eager
        )
        keras.utils.set_random_seed(11)
        options = {"batch_size": 5, "epochs": 3, "verbose": 0}
        histories.append(net.fit(X, Y, sample_weight=weight, **options).history)
    assert histories[0] == histories[1]
    assert_same_weights(model, eager)
    assert passes(model)
    assert model.evaluate(X, Y, verbose=0) == eager.evaluate(X, Y, verbose=0)
    np.testing.assert_array_equal(model.predict(X, verbose=0), eager.predict(X, verbose=0))


def two_and_two():
    a, b = keras.Input((4,), name="a"), keras.Input((3,), name="b")
    h = L.Concatenate()([L.Dense(6, "relu")(a), L.Dense(5, "tanh")(b)])
    return keras.Model([a, b], {"u": L.Dense(2)(h), "v": L.Dense(3, "softmax")(h)})


A, B = (RNG.normal(size=(12, n)).astype("float32") for n in (4, 3))
V = np.eye(3, dtype="float32")[RNG.integers(0, 3, 12)]


@pytest.mark.parametrize("nest", [list, tuple, lambda ab: dict(zip("ab", ab, strict=True))])
def test_several_inputs_and_outputs_train_as_layer_by_layer(nest):
    model, eager = pair(two_and_two)
    targets = {"u": A[:, :2], "v": V}
    for net in (model, eager):
        net.compile("adam", {"u": "mse", "v": "categorical_crossentropy"}, run_eagerly=net is eager)
        net.fit(nest([A, B]), targets, batch_size=4, epochs=4, verbose=0, shuffle=False)
    assert_same_weights(model, eager)
    assert passes(model)
    ours, theirs = (net.predict(nest([A, B]), verbose=0) for net in (model, eager))
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name])


def gradients(model, of=("u", "v"), x=(A, B)):
    with GradientTape() as tape:
        p = model(list(x), training=True)
        loss = sum(keras.ops.sum(keras.ops.square(p[name])) for name in of)
    return tape.gradient(loss, model.trainable_weights)


def assert_same(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def test_gradients_of_other_outputs_than_recorded_are_right():
    model, eager = pair(two_and_two)
    for _ in range(4):
        assert_same(gradients(model), gradients(eager))
    assert passes(model)
    for of in (("u",), ("v",), ("v", "u"), ("u",)):
        assert_same(gradients(model, of), gradients(eager, of))
    assert not passes(model)


def test_a_pass_whose_other_outputs_are_asked_for_draws_and_writes_once():
    def make():
        x = keras.Input((6, 6, 2))
        y = L.GlobalAveragePooling2D()(L.BatchNormalization()(L.Conv2D(4, 3)(x)))
        y = L.Dropout(0.5)(y)
        return keras.Model(x, [L.Dense(2)(y), L.Dense(3)(y)])

    model, eager = pair(make)
    for outputs in ((0, 1), (0, 1), (0, 1), (0, 1), (1,), (0, 1)):
        for net in (model, eager):
            with GradientTape() as tape:
                y = net(X, training=True)
                loss = sum(keras.ops.sum(y[i]) for i in outputs)
            net.found = [None if g is None else g.numpy() for g in tape.gradient(loss, net.weights)]
        assert_same(model.found, eager.found)
        assert_same_weights(model, eager)


def test_gradients_in_the_inputs_are_those_of_the_eager_pass():
    model, eager = pair(MODELS["normalized"])
    for _ in range(5):
        found = []
        for net in (model, eager):
            x = keras.ops.convert_to_tensor(X)
            with GradientTape() as tape:
                tape.watch(x)
                scaled = x * 2.0
                loss = keras.ops.sum(keras.ops.square(net(scaled, training=True)))
            found.append(tape.gradient(loss, [x, *net.trainable_weights]))
        assert_same(*found)
    assert passes(model)


def test_one_model_behind_another_trains_as_layer_by_layer():
    def make():
        first = keras.Sequential([keras.Input((4,)), L.Dense(5, "relu")])
        second = keras.Sequential([keras.Input((5,)), L.Dense(2, "sigmoid")])
        return first, second

    keras.utils.set_random_seed(7)
    programs = make()
    keras.utils.set_random_seed(7)
    eager = make()
    for net in eager:
        net.run_eagerly = True
    for _ in range(6):
        found = []
        for first, second in (programs, eager):
            with GradientTape() as tape:
                loss = keras.ops.mean(second(first(A)))
            found.append(tape.gradient(loss, first.trainable_weights))
            first.optimizer = first.optimizer or keras.optimizers.SGD(0.5)
            first.optimizer.apply(found[-1], first.trainable_weights)
        assert_same(*found)
    assert passes(programs[0]) and passes(programs[1])


def test_gradients_stay_what_they_are_in_later_steps():
    model, eager = pair(MODELS["dense"])
    kept = []
    for number in range(6):
        x = X * (number + 1.0)
        for net in (model, eager):
            with GradientTape() as tape:
                loss = keras.ops.sum(keras.ops.square(net(x, training=True)))
            kept.append(tape.gradient(loss, net.trainable_weights))
    for ours, theirs in zip(kept[::2], kept[1::2], strict=True):
        assert_same(ours, theirs)
    assert passes(model)


def test_two_calls_within_one_tape_are_two_calls():
    model, eager = pair(MODELS["normalized"])
    for _ in range(5):
        found = []
        for net in (model, eager):
            with GradientTape() as tape:
                loss = keras.ops.sum(net(X, training=True) * net(X * 0.5, training=True))
            found.append(tape.gradient(loss, net.trainable_weights))
        assert_same(*found)
        assert_same_weights(model, eager)


def test_a_pass_whose_gradients_nobody_asks_for_blocks_nothing():
    model, eager = pair(MODELS["normalized"])
    for number in range(12):
        for net in (model, eager):
            with GradientTape() as tape:
                y = net(X, training=True)
            if number % 3 == 2:
                tape.gradient(keras.ops.sum(y), net.trainable_weights)
        np.testing.assert_array_equal(y.numpy(), y.numpy())
        np.testing.assert_array_equal(model(X).numpy(), eager(X).numpy())
        assert_same_weights(model, eager)
    arena = model._programs.arena
    del tape
    assert arena is None or arena.lock.acquire(blocking=False)


def test_rows_of_a_jacobian_are_those_of_the_eager_pass():
    model, eager = pair(MODELS["normalized"])
    for number in range(6):
        found = []
        for net in (model, eager):
            with GradientTape() as tape:
                y = net(X, training=True)[0]
            rows = number % 2 == 1
            weights = net.trainable_weights
            found.append(tape.jacobian(y, weights) if rows else tape.gradient(y, weights))
        assert_same(*found)
        assert_same_weights(model, eager)


@pytest.mark.parametrize(
    "tape_of",
    [
        lambda: GradientTape(persistent=True),
        lambda: GradientTape(watch_accessed_variables=False),
        lambda: keras.autodiff.DrawableTape(),
    ],
    ids=["persistent", "watching little", "drawable"],
)
def test_other_tapes_see_each_layer(tape_of):
    model, _ = pair(MODELS["dense"])
    for _ in range(5):
        with tape_of() as tape:
            tape.watch(model.layers[-1].kernel)
            loss = keras.ops.sum(keras.ops.square(model(X, training=True)))
        (found,) = tape.gradient(loss, [model.layers[-1].kernel])
        assert found.shape == (5, 3)
    assert not passes(model)


def test_a_layer_used_twice_stays_eager():
    def make():
        shared = L.Dense(4, "tanh")
        return keras.Sequential([keras.Input((4,)), shared, shared, L.Dense(2)])

    model, eager = pair(make)
    for _ in range(5):
        found = []
        for net in (model, eager):
            with GradientTape() as tape:
                loss = keras.ops.sum(net(A, training=True)) + keras.ops.sum(net.layers[0].kernel)
            found.append(tape.gradient(loss, net.trainable_weights))
        assert_same(*found)
    assert not passes(model)


def test_new_weights_and_other_trainable_layers_count_at_once():
    model, eager = pair(MODELS["dense"])
    ours, theirs = (keras.optimizers.SGD(0.1) for _ in range(2))
    for _ in range(4):
        step(model, ours), step(eager, theirs)
    assert passes(model)
    for net in (model, eager):
        net.set_weights([w * 0.5 for w in net.get_weights()])
    assert step(model, ours) == step(eager, theirs)
    for net in (model, eager):
        net.layers[1].trainable = False
    ours, theirs = (keras.optimizers.SGD(0.1) for _ in range(2))
    for _ in range(5):
        assert step(model, ours) == step(eager, theirs)
    assert_same_weights(model, eager)


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 6])
def test_a_step_that_fails_leaves_moving_statistics_and_draws_as_they_were(steps):
    model, _ = pair(MODELS["normalized"])
    model.compile("sgd", "mse")
    for _ in range(steps):
        model.train_on_batch(X, Y)
    before = [v.numpy() for v in model.variables]
    with pytest.raises(ValueError, match="do not fit|must fit|broadcast"):
        model.train_on_batch(X, Y[:, :2])
    for value, variable in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(value, variable.numpy(), err_msg=variable.path)
    model.train_on_batch(X, Y)


def test_classification_with_normalization_runs_whole_steps_as_programs():
    make = stack(
        lambda: L.Conv2D(4, 3),
        lambda: L.BatchNormalization(),
        lambda: L.ReLU(),
        lambda: L.Flatten(),
        lambda: L.Dense(3, "softmax"),
    )
    model, eager = pair(make)
    labels = np.arange(20) % 3
    for net in (model, eager):
        net.compile("adam", "sparse_categorical_crossentropy", run_eagerly=net is eager)
        net.fit(X, labels, batch_size=5, epochs=3, verbose=0, shuffle=False)
    assert_same_weights(model, eager)
    kinds = {key[0]: type(p).__name__ for key, p in model._programs.programs.items()}
    assert kinds["training"] == "_Pass"
    before = [v.numpy() for v in model.variables]
    with pytest.raises(ValueError, match="labels|classes"):
        model.train_on_batch(X[:5], labels[:5] + 7)
    for value, variable in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(value, variable.numpy())


class OwnStep(keras.Model):
    """A graph whose class trains in a way of its own, as Keras's guides write it."""

    def train_step(self, data):
        x, y = data
        self.count = getattr(self, "count", 0) + 1
        with GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=y_pred)
        weights = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, weights), weights)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, y_pred)
        return {metric.name: metric.result() for metric in self.metrics}


def test_a_graph_with_a_train_step_of_its_own_runs_as_a_program():
    def make():
        x = keras.Input((4,))
        return OwnStep(x, L.Dense(2)(L.Dense(5, "relu")(x)))

    model, eager = pair(make)
    for net in (model, eager):
        net.compile("adam", "mse", metrics=["mae"], run_eagerly=net is eager)
        net.fit(A, A[:, :2], batch_size=3, epochs=4, verbose=0, shuffle=False)
    assert_same_weights(model, eager)
    assert passes(model) and model.count == 16
    assert model.history.history == eager.history.history
    assert sorted(model.history.history) == ["loss", "mae"]


def test_an_autoencoder_fits_its_own_inputs():
    model, eager = pair(lambda: keras.Sequential([keras.Input((4,)), L.Dense(4)]))
    for net in (model, eager):
        net.compile("adam", "mse", run_eagerly=net is eager)
        net.fit(A, A, batch_size=4, epochs=4, verbose=0, shuffle=False)
    assert_same_weights(model, eager)


def test_a_layer_told_to_train_in_the_graph_obeys_the_call():
    x = keras.Input((20,))
    model = keras.Model(x, L.Dropout(0.5, seed=1)(x, training=True))
    ones = np.ones((2, 20), "float32")
    for _ in range(5):
        np.testing.assert_array_equal(model(ones, training=False).numpy(), ones)
    assert all(np.any(model(ones).numpy() == 0) for _ in range(5))
    np.testing.assert_array_equal(model.predict(ones, verbose=0), ones)


def test_threads_that_train_models_of_their_own_do_not_meet():
    pairs = [pair(MODELS["normalized"]) for _ in range(3)]
    wrong = []

    def work(model, eager):
        try:
            ours, theirs = (keras.optimizers.SGD(0.01) for _ in range(2))
            for _ in range(8):
                if step(model, ours) != step(eager, theirs):
                    wrong.append("loss")
            assert_same_weights(model, eager)
        except BaseException as error:  # a thread's error would be lost
            wrong.append(error)

    threads = [threading.Thread(target=work, args=one) for one in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
