"""Programs of models: bit for bit what the eager way gives, and dropped when a model changes."""

import copy
import gc
import threading
import weakref

import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror.training import program
from kerasmirror.training.program import _Pass

L = keras.layers


@pytest.fixture
def rng():
    return np.random.default_rng(11)


@pytest.fixture(autouse=True)
def any_pass_is_fast(monkeypatch):
    """On a busy machine a pass that compiles kernels is not the only slow one."""
    monkeypatch.setattr(program, "_LONGEST", float("inf"))


def made(model, kind="forward"):
    """The programs of a model."""
    found = model._programs.programs.items()
    return [p for key, p in found if key[0] == kind and type(p) is _Pass]


def classifier(*layers, shape=(12, 12, 2), classes=5):
    keras.utils.set_random_seed(5)
    end = [L.Flatten(), L.Dense(classes, activation="softmax")]
    return keras.Sequential([keras.Input(shape), *layers, *end])


def eagerly(model, x):
    model.run_eagerly = True
    y = model(x).numpy()
    model.run_eagerly = False
    return y


def data(rng, n=40, shape=(12, 12, 2), classes=5):
    return rng.normal(size=(n, *shape)).astype("f"), rng.integers(0, classes, n)


IMAGE = {
    "Activation": lambda: [L.Activation("relu")],
    "Activation softmax": lambda: [L.Activation("softmax")],
    "Activation sigmoid": lambda: [L.Activation("sigmoid")],
    "AveragePooling2D": lambda: [L.AveragePooling2D(2)],
    "Conv2D": lambda: [L.Conv2D(6, 3, activation="relu")],
    "Conv2D same": lambda: [L.Conv2D(17, 5, padding="same"), L.Conv2D(3, 1, use_bias=False)],
    "Conv2D wide": lambda: [L.Conv2D(24, 3, padding="same"), L.Conv2D(24, 3, padding="same")],
    "Conv2D strided": lambda: [L.Conv2D(4, 3, strides=2, activation="tanh")],
    "Dense": lambda: [L.Dense(7, activation="relu"), L.Dense(7)],
    "DepthwiseConv2D": lambda: [
        L.DepthwiseConv2D(3, 2, depth_multiplier=2),
        L.BatchNormalization(),
    ],
    "Dropout": lambda: [L.Dropout(0.5), L.Dense(9, activation="relu"), L.Dropout(0.25)],
    "ELU": lambda: [L.ELU()],
    "LeakyReLU": lambda: [L.LeakyReLU()],
    "MaxPooling2D": lambda: [L.MaxPooling2D(2)],
    "ReLU": lambda: [L.ReLU()],
    "ReLU bounded": lambda: [L.ReLU(6.0)],
    "Reshape": lambda: [L.Reshape((144, 2)), L.Conv1D(4, 3), L.MaxPooling1D(), L.AvgPool1D(2)],
    "SeparableConv2D": lambda: [L.SeparableConv2D(6, 3, activation="relu", padding="same")],
    "Softmax": lambda: [L.Softmax()],
    "conv, pool, dropout": lambda: [
        L.Conv2D(8, 3, padding="same", activation="relu"),
        L.MaxPooling2D(2),
        L.Dropout(0.25),
    ],
    "channels first": lambda: [L.Conv2D(4, 3, data_format="channels_first", padding="same")],
}
# What the networks of image classifiers are made of runs by programs; the others may stay eager.
REPLAYED = {"Conv2D", "Conv2D same", "Conv2D wide", "Dense", "DepthwiseConv2D", "Dropout",
            "MaxPooling2D", "SeparableConv2D", "conv, pool, dropout", "Activation",
            "Activation softmax"}  # fmt: skip


@pytest.mark.parametrize("name", IMAGE)
def test_a_forward_program_gives_what_the_eager_pass_gives(rng, name):
    model = classifier(*IMAGE[name]())
    x, other = data(rng, 6)[0], data(rng, 6)[0]
    expected, expected_other = eagerly(model, x), eagerly(model, other)
    for _ in range(3):
        assert model(x).numpy().tobytes() == expected.tobytes()
        assert model(other).numpy().tobytes() == expected_other.tobytes()
    assert made(model) or name not in REPLAYED


@pytest.mark.parametrize("name", IMAGE)
def test_training_by_programs_gives_the_same_weights(rng, name):
    x, y = data(rng)
    results = []
    for run_eagerly in (True, False):
        model = classifier(*IMAGE[name]())
        model.compile(
            "adam",
            "sparse_categorical_crossentropy",
            metrics=["accuracy"],
            run_eagerly=run_eagerly,
        )
        history = model.fit(x, y, batch_size=16, epochs=3, verbose=0).history
        states = [v.numpy().tobytes() for v in model.variables]
        results.append(([w.tobytes() for w in model.get_weights()], states, history))
        assert bool(made(model, "training")) == (not run_eagerly and name in REPLAYED) or (
            name not in REPLAYED
        )
    assert results[0] == results[1]


@pytest.mark.parametrize("loss", ["categorical_crossentropy", "sparse_categorical_crossentropy"])
@pytest.mark.parametrize("from_logits", [False, True])
def test_losses_of_programs_match(rng, loss, from_logits):
    x, y = data(rng, shape=(6,))
    y = np.eye(5, dtype="f")[y] if loss.startswith("c") else y.astype("uint8")[:, None]
    name = "".join(word.capitalize() for word in loss.split("_"))
    results = []
    for run_eagerly in (True, False):
        keras.utils.set_random_seed(2)
        end = L.Dense(5, activation=None if from_logits else "softmax")
        model = keras.Sequential([keras.Input((6,)), L.Dense(8, activation="relu"), end])
        chosen = getattr(keras.losses, name)(from_logits=from_logits)
        model.compile(keras.optimizers.SGD(0.1, 0.9), chosen, run_eagerly=run_eagerly)
        history = model.fit(x, y, batch_size=10, epochs=2, verbose=0).history
        results.append(([w.tobytes() for w in model.get_weights()], history))
    assert made(model, "training") and results[0] == results[1]


def test_functional_models_and_nested_ones_run_by_programs(rng):
    inner = keras.Sequential([keras.Input((8,)), L.Dense(6, activation="relu")])
    inputs = keras.Input((8,))
    model = keras.Model(inputs, L.Dense(3)(L.Dropout(0.5)(inner(inputs))))
    x = rng.normal(size=(4, 8)).astype("f")
    expected = eagerly(model, x)
    for _ in range(3):
        assert model(x).numpy().tobytes() == expected.tobytes()
    assert made(model)


# --- what keeps a model eager -----------------------------------------------------------------


class Doubled(L.Dense):
    """A subclass with a `call` of its own."""

    def call(self, inputs):
        return super().call(inputs) * 2


@pytest.mark.parametrize(
    "layer",
    [
        lambda: Doubled(4),
        lambda: L.Dense(4, activity_regularizer="l2"),
        lambda: L.Dense(4, activation=lambda x: keras.ops.relu(x)),
        lambda: L.Dense(4, dtype="mixed_float16"),
    ],
    ids=["subclass", "penalty", "own activation", "mixed"],
)
def test_unknown_layers_stay_eager(rng, layer):
    model = keras.Sequential([keras.Input((4,)), layer(), L.Dense(3)])
    x = rng.normal(size=(4, 4)).astype("f")
    for _ in range(4):
        model(x)
    assert not model._programs.programs


def test_a_subclassed_model_stays_eager(rng):
    class Mine(keras.Sequential):
        calls = 0

        def call(self, inputs, **kwargs):
            self.__dict__["calls"] = self.calls + 1
            return super().call(inputs, **kwargs)

    model = Mine([keras.Input((4,)), L.Dense(3)])
    x = rng.normal(size=(2, 4)).astype("f")
    for _ in range(4):
        model(x)
    assert model.calls == 4


def test_a_tape_gets_its_records(rng):
    model = keras.Sequential([keras.Input((4,)), L.Dense(3, activation="relu")])
    x = rng.normal(size=(2, 4)).astype("f")
    for _ in range(3):
        model(x)
    with keras.autodiff.GradientTape() as tape:
        y = keras.ops.sum(model(x))
    assert all(g is not None for g in tape.gradient(y, model.trainable_variables))


def test_training_true_is_no_inference(rng):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((50,)), L.Dropout(0.5)])
    model.add(L.Dense(50, kernel_initializer="identity"))
    x = np.ones((2, 50), "f")
    for _ in range(3):
        np.testing.assert_array_equal(model(x).numpy(), x)
    assert 0 in model(x, training=True).numpy()


# --- changes ----------------------------------------------------------------------------------


def _set_weights(model):
    model.set_weights([w + 1 for w in model.get_weights()])


def _move_weights(model):
    for variable in model.variables:
        variable.data = variable.data + np.float32(1)


def _train(model):
    model.compile("sgd", "mse")
    model.fit(np.ones((8, 6), "f"), np.ones((8, 3), "f"), verbose=0)


def _other_activation(model):
    model.layers[0].activation = keras.activations.linear


def _pop_and_add(model):
    model.pop()
    model.add(L.Dense(3, kernel_initializer="ones"))


def _patch_a_layer(model):
    layer = model.layers[-1]
    before = layer.call
    layer.call = lambda inputs: before(inputs) * 3


@pytest.mark.parametrize(
    "change",
    [_set_weights, _move_weights, _train, _other_activation, _pop_and_add, _patch_a_layer],
)
def test_changes_of_a_model_show(rng, change):
    keras.utils.set_random_seed(4)
    model = keras.Sequential([keras.Input((6,)), L.Dense(8, activation="relu"), L.Dense(3)])
    x = rng.normal(size=(5, 6)).astype("f")
    for _ in range(3):
        before = model(x).numpy()
    assert made(model)
    change(model)
    for _ in range(3):
        after = model(x).numpy()
        assert not np.array_equal(before, after)
        assert after.tobytes() == eagerly(model, x).tobytes()


def test_a_patched_class_shows(rng, monkeypatch):
    model = keras.Sequential([keras.Input((6,)), L.Dense(3)])
    x = rng.normal(size=(5, 6)).astype("f")
    for _ in range(3):
        before = model(x).numpy()
    call = L.Dense.call
    monkeypatch.setattr(L.Dense, "call", lambda self, inputs: call(self, inputs) * 2)
    np.testing.assert_array_equal(model(x).numpy(), before * 2)


def test_frozen_layers_are_left_alone(rng):
    x, y = data(rng, shape=(6,))
    model = keras.Sequential([keras.Input((6,)), L.Dense(8), L.Dense(5, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=8, verbose=0)
    assert made(model, "training")
    model.layers[0].trainable = False
    model.compile("sgd", "sparse_categorical_crossentropy")
    frozen = model.layers[0].get_weights()
    others = model.layers[1].get_weights()
    model.fit(x, y, batch_size=8, verbose=0)
    for a, b in zip(frozen, model.layers[0].get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(others[0], model.layers[1].get_weights()[0])


def test_numbers_of_threads_give_the_same_results(rng):
    from kerasmirror.kernels import for_device

    k = for_device("cpu")
    before = k.thread_count()
    model = classifier(*IMAGE["conv, pool, dropout"]())
    x = data(rng, 16)[0]
    try:
        found = []
        for count in (before, 1, before):
            k.set_threads(count)
            found.append([model(x).numpy().tobytes() for _ in range(3)])
    finally:
        k.set_threads(before)
    assert len({y for group in found for y in group}) == 1


# --- safety -----------------------------------------------------------------------------------


def test_outputs_outlive_later_calls(rng):
    model = keras.Sequential([keras.Input((6,)), L.Dense(4), L.Dense(3, activation="softmax")])
    batches = [rng.normal(size=(5, 6)).astype("f") for _ in range(6)]
    outputs = [model(x) for x in batches]
    for x, y in zip(batches, outputs, strict=True):
        np.testing.assert_array_equal(y.numpy(), eagerly(model, x))


def test_outputs_carry_their_logits(rng):
    model = keras.Sequential([keras.Input((6,)), L.Dense(5, activation="softmax")])
    x, y = data(rng, 8, (6,))
    losses = {
        float(keras.ops.sum(keras.ops.sparse_categorical_crossentropy(y, model(x * 80))))
        for _ in range(4)
    }
    assert len(losses) == 1 and made(model)


def test_predictions_that_a_metric_keeps_stay_as_they_were(rng):
    kept = []

    class Keeper(keras.metrics.Mean):
        def update_state(self, y_true, y_pred, sample_weight=None):
            kept.append((y_pred, y_pred.numpy()))
            super().update_state(y_pred)

    x, y = data(rng, shape=(6,))
    model = keras.Sequential([keras.Input((6,)), L.Dense(5, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=[Keeper()])
    model.fit(x, y, batch_size=8, verbose=0)
    assert made(model, "training")
    for tensor, values in kept:
        np.testing.assert_array_equal(tensor.numpy(), values)


def test_wrong_labels_raise_as_ever_and_harm_nothing(rng):
    x, y = data(rng, shape=(6,))
    model = keras.Sequential([keras.Input((6,)), L.Dropout(0.5), L.Dense(5, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=8, verbose=0)
    before = [v.numpy() for v in model.weights]
    wrong = y.copy()
    wrong[3] = 5
    with pytest.raises(ValueError, match="label 5"):
        model.fit(x[:8], wrong[:8], batch_size=8, verbose=0, shuffle=False)
    for a, b in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(a, b.numpy())
    model.fit(x, y, batch_size=8, verbose=0)


def test_a_wrong_shape_raises_as_ever(rng):
    model = keras.Sequential([keras.Input((6,)), L.Dense(5)])
    x = rng.normal(size=(4, 6)).astype("f")
    for _ in range(3):
        model(x)
    with pytest.raises(ValueError, match="must have shape"):
        model(x[:, :5].copy())
    np.testing.assert_array_equal(model(x).numpy(), eagerly(model, x))


def test_inputs_of_other_kinds_are_taken(rng):
    model = keras.Sequential([keras.Input((6,)), L.Dense(5)])
    x = rng.normal(size=(4, 6)).astype("f")
    expected = eagerly(model, x)
    for given in (x, keras.ops.convert_to_tensor(x), np.asfortranarray(x), x[::1], x.tolist()) * 3:
        given = np.array(given, "f") if isinstance(given, list) else given
        np.testing.assert_allclose(model(given).numpy(), expected, rtol=1e-6)
    whole = np.ones((4, 6), "int32")
    np.testing.assert_array_equal(model(whole).numpy(), model(whole.astype("f")).numpy())


def test_threads_may_share_a_model(rng):
    model = keras.Sequential([keras.Input((64,)), L.Dense(64, activation="relu"), L.Dense(8)])
    batches = [rng.normal(size=(32, 64)).astype("f") for _ in range(4)]
    expected = [eagerly(model, x) for x in batches]
    wrong = []

    def work(x, y):
        for _ in range(100):
            if not np.array_equal(model(x).numpy(), y):
                wrong.append(1)

    threads = [
        threading.Thread(target=work, args=pair) for pair in zip(batches, expected, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_another_thread_may_predict_while_a_model_trains(rng):
    x, y = data(rng, 64, (32,))
    results = []
    for busy in (False, True):
        keras.utils.set_random_seed(8)
        hidden = L.Dense(256, activation="relu")
        model = keras.Sequential([keras.Input((32,)), hidden, L.Dense(5, activation="softmax")])
        model.compile("sgd", "sparse_categorical_crossentropy")
        model.fit(x, y, batch_size=8, verbose=0)
        done = threading.Event()

        def predict(model=model, done=done):
            while not done.is_set():
                model(x)

        other = threading.Thread(target=predict)
        if busy:
            other.start()
        model.fit(x, y, batch_size=8, epochs=20, verbose=0)
        done.set()
        if busy:
            other.join()
        results.append([w.tobytes() for w in model.get_weights()])
    assert results[0] == results[1]


def test_programs_that_gave_their_memory_back_are_recorded_again(rng, monkeypatch):
    monkeypatch.setattr("kerasmirror.training.program._KEPT_BYTES", 0)
    x, y = data(rng, shape=(6,))
    results = []
    for run_eagerly in (True, False):
        keras.utils.set_random_seed(8)
        layers = [L.Dense(16), L.Dropout(0.5), L.Dense(5, activation="softmax")]
        model = keras.Sequential([keras.Input((6,)), *layers])
        loss = "sparse_categorical_crossentropy"
        model.compile("sgd", loss, run_eagerly=run_eagerly)
        for _ in range(3):
            model.fit(x, y, batch_size=8, verbose=0)
            assert model._programs.arena is None
        results.append([w.tobytes() for w in model.get_weights()])
    assert results[0] == results[1]


def test_passes_that_are_slow_twice_are_never_recorded(rng, monkeypatch):
    monkeypatch.setattr(program, "_LONGEST", 0.0)
    model = classifier(L.Dense(4))
    x, y = data(rng)
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=10, epochs=2, verbose=0)
    model.predict(x, batch_size=10, verbose=0)
    assert set(model._programs.programs.values()) == {"refused"}
    assert model._programs.arena is None
    # One slow pass, which may have compiled kernels, decides nothing.
    other = classifier(L.Dense(4))
    other(x)
    assert list(other._programs.programs.values()) == ["slow"]
    monkeypatch.setattr(program, "_LONGEST", float("inf"))
    for _ in range(3):
        other(x)
    assert len(made(other)) == 1


def test_a_copied_model_has_programs_of_its_own(rng):
    model = keras.Sequential([keras.Input((6,)), L.Dense(5)])
    x = rng.normal(size=(4, 6)).astype("f")
    for _ in range(3):
        before = model(x).numpy()
    twin = copy.deepcopy(model)
    twin.set_weights([w * 2 for w in twin.get_weights()])
    np.testing.assert_allclose(twin(x).numpy(), before * 2, rtol=1e-6)
    np.testing.assert_array_equal(model(x).numpy(), before)


def test_programs_go_with_their_model(rng):
    model = keras.Sequential([keras.Input((6,)), L.Dense(5, activation="softmax")])
    x, y = data(rng, shape=(6,))
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=8, verbose=0)
    model.predict(x, batch_size=8, verbose=0)
    assert made(model) and made(model, "training")
    gone = weakref.ref(model._programs.arena)
    del model
    gc.collect()
    assert gone() is None
