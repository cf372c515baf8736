"""What holds of any training: determinism, interruption, memory, threads, overrides, warnings."""

from __future__ import annotations

import gc
import threading
import warnings

import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror import ops

RNG = np.random.default_rng(8)
X = RNG.normal(size=(40, 6)).astype("float32")
Y = RNG.normal(size=(40, 2)).astype("float32")


def network(**options):
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(2),
        ]
    )
    model.compile("adam", "mse", **options)
    return model


def seeded_training():
    keras.utils.clear_session()
    keras.utils.set_random_seed(3)
    model = network(metrics=["mae"])
    history = model.fit(X, Y, epochs=3, batch_size=7, verbose=0, validation_split=0.2)
    return history.history, model.get_weights(), model.predict(X, verbose=0)


def assert_bitwise_equal(first, second):
    assert first[0] == second[0]
    for a, b in zip(first[1] + [first[2]], second[1] + [second[2]], strict=True):
        assert a.tobytes() == b.tobytes()


def test_two_trainings_from_one_seed_are_bitwise_equal():
    assert_bitwise_equal(seeded_training(), seeded_training())


def test_trainings_from_different_seeds_differ():
    first = seeded_training()
    keras.utils.set_random_seed(4)
    model = network()
    model.fit(X, Y, verbose=0)
    assert any((a != b).any() for a, b in zip(first[1], model.get_weights(), strict=True))


def test_the_number_of_threads_changes_no_bit():
    numba = pytest.importorskip("numba")
    before = numba.get_num_threads()
    results = []
    try:
        for count in (1, min(2, numba.config.NUMBA_NUM_THREADS)):
            numba.set_num_threads(count)
            results.append(seeded_training())
    finally:
        numba.set_num_threads(before)
    assert_bitwise_equal(*results)


class Interrupt(keras.callbacks.Callback):
    def __init__(self, at):
        super().__init__()
        self.at = at
        self.ended = []

    def on_train_batch_end(self, batch, logs=None):
        if batch == self.at:
            raise KeyboardInterrupt

    def on_train_end(self, logs=None):
        self.ended.append(True)


def test_ctrl_c_ends_the_callbacks_and_the_model_trains_on():
    model = network()
    callback = Interrupt(at=2)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, batch_size=4, epochs=5, verbose=0, callbacks=[callback])
    assert callback.ended == [True]
    assert int(model.optimizer.iterations) == 3
    before = model.get_weights()
    history = model.fit(X, Y, batch_size=4, epochs=2, verbose=0)
    assert len(history.history["loss"]) == 2
    assert int(model.optimizer.iterations) == 23
    assert any((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))


def test_nan_data_gives_a_nan_loss_without_an_error():
    x = X.copy()
    x[3, 2] = np.nan
    history = network().fit(x, Y, epochs=2, verbose=0, shuffle=False)
    assert np.isnan(history.history["loss"]).all()


def test_terminate_on_nan_stops_a_training_on_nan_data():
    x = X.copy()
    x[3, 2] = np.nan
    model = network()
    stop = keras.callbacks.TerminateOnNaN()
    history = model.fit(x, Y, batch_size=4, epochs=5, verbose=0, shuffle=False, callbacks=[stop])
    assert len(history.history["loss"]) == 1
    assert int(model.optimizer.iterations) == 1


@pytest.mark.slow
def test_ten_thousand_predictions_keep_memory_flat():
    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096

    model = network()
    for _ in range(300):
        model.predict(X, verbose=0)
    gc.collect()
    before = resident()
    for _ in range(10_000):
        model.predict(X, verbose=0)
    gc.collect()
    assert resident() - before < 5 * 2**20


def test_training_leaves_no_tensors_behind():
    from kerasmirror.core.tensor import Tensor

    model = network()
    model.fit(X, Y, verbose=0)

    def count():
        gc.collect()
        return sum(type(item) is Tensor for item in gc.get_objects())

    before = count()
    for _ in range(5):
        model.fit(X, Y, verbose=0)
        model.predict(X, verbose=0)
    assert count() <= before


def test_predict_is_right_from_several_threads():
    model = network()
    inputs = [RNG.normal(size=(33, 6)).astype("float32") for _ in range(4)]
    expected = [model.predict(x, verbose=0) for x in inputs]
    wrong = []

    def work(number):
        for _ in range(20):
            try:
                got = model.predict(inputs[number], verbose=0)
                if not np.array_equal(got, expected[number]):
                    wrong.append(number)
            except Exception as error:  # a thread's error would be lost
                wrong.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


class OwnStep(keras.Model):
    """A train_step of the user's own, with a tape, gradients and the optimizer."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(2)

    def call(self, x):
        return self.dense(x)

    def train_step(self, data):
        x, y = data[:2]
        with keras.autodiff.GradientTape() as tape:
            loss = self.compute_loss(x=x, y=y, y_pred=self(x, training=True))
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        return {"own_loss": loss}


def test_a_custom_train_step_trains_like_the_built_in_one():
    model, plain = OwnStep(), keras.Sequential([keras.layers.Dense(2)])
    for net in (model, plain):
        net.build((None, 6))
        net.set_weights([np.full((6, 2), 0.1, "float32"), np.zeros(2, "float32")])
        net.compile(keras.optimizers.SGD(0.1), "mse")
    history = model.fit(X, Y, batch_size=10, epochs=2, verbose=0, shuffle=False)
    plain.fit(X, Y, batch_size=10, epochs=2, verbose=0, shuffle=False)
    assert list(history.history) == ["own_loss"]
    for ours, theirs in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_compute_loss_can_be_overridden():
    class Own(keras.Sequential):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return ops.mean(ops.abs(y - y_pred)) * 3.0

    model = Own([keras.Input((6,)), keras.layers.Dense(2)])
    model.compile("sgd")
    expected = 3.0 * np.abs(Y - model.predict(X, verbose=0)).mean()
    assert model.evaluate(X, Y, verbose=0, batch_size=40) == pytest.approx(expected, rel=1e-6)
    losses = model.fit(X, Y, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_compute_metrics_can_be_overridden():
    class Own(keras.Sequential):
        def compute_metrics(self, x, y, y_pred, sample_weight=None):
            results = super().compute_metrics(x, y, y_pred, sample_weight)
            return {**results, "largest": ops.max(ops.abs(y_pred))}

    model = Own([keras.Input((6,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    history = model.fit(X, Y, verbose=0).history
    assert sorted(history) == ["largest", "loss"]


def test_changing_trainable_after_compile_warns_once():
    model = network()
    model.fit(X, Y, verbose=0)
    model.layers[0].trainable = False
    with pytest.warns(UserWarning) as caught:
        model.fit(X, Y, verbose=0)
    assert str(caught[0].message) == (
        "keras: `trainable` has changed since the model was compiled; call `compile()` again for "
        f"it to take full effect. Changed layers: ['{model.layers[0].name}']"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X, Y, verbose=0)


def test_a_model_without_trainable_weights_warns_and_keeps_its_weights():
    model = network()
    model.trainable = False
    model.compile("sgd", "mse")
    before = model.get_weights()
    with pytest.warns(UserWarning, match="does not have any trainable weights"):
        model.fit(X, Y, verbose=0)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_optimizer_of_another_model_is_refused():
    first, second = network(), network()
    first.fit(X, Y, verbose=0)
    second.compile(first.optimizer, "mse")
    before = second.get_weights()
    with pytest.raises(ValueError, match="variables"):
        second.fit(X, Y, verbose=0)
    for a, b in zip(before, second.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_sublayers_in_lists_and_dicts_train():
    class Nested(keras.Model):
        def __init__(self):
            super().__init__()
            self.parts = [keras.layers.Dense(4), {"head": keras.layers.Dense(2)}]

        def call(self, x):
            return self.parts[1]["head"](self.parts[0](x))

    model = Nested()
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    assert [w.shape for w in model.weights] == [(6, 4), (4,), (4, 2), (2,)]
    before = model.get_weights()
    model.fit(X, Y, verbose=0)
    assert all((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))


def test_one_layer_twice_in_a_sequential_shares_its_weights():
    shared = keras.layers.Dense(6, activation="tanh")
    model = keras.Sequential([keras.Input((6,)), shared, shared, keras.layers.Dense(2)])
    assert [layer.name for layer in model.layers].count(shared.name) == 2
    assert len(model.weights) == 4
    inner = np.tanh(X @ shared.kernel.numpy() + shared.bias.numpy())
    inner = np.tanh(inner @ shared.kernel.numpy() + shared.bias.numpy())
    last = model.layers[-1]
    expected = inner @ last.kernel.numpy() + last.bias.numpy()
    np.testing.assert_allclose(model.predict(X, verbose=0), expected, rtol=1e-5, atol=1e-6)
    model.compile("sgd", "mse")
    losses = model.fit(X, Y, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    model.pop()
    assert model.pop() is shared and model.layers == [shared]
    assert len(model.weights) == 2


def test_layers_can_be_added_after_training():
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
    model.compile("sgd", "mse")
    model.fit(X, np.ones((40, 3), "float32"), verbose=0)
    kept = model.get_weights()
    model.add(keras.layers.Dense(2))
    for a, b in zip(kept, model.get_weights()[:2], strict=True):
        np.testing.assert_array_equal(a, b)
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    assert model.output_shape == (None, 2)
