"""fit, evaluate, predict and the batch methods against real Keras, from the same first weights."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import kerasmirror

keras = pytest.importorskip("keras", reason="real Keras is not installed")
pytestmark = pytest.mark.keras

RNG = np.random.default_rng(5)
X = RNG.normal(size=(23, 4)).astype("float32")
LABELS = RNG.integers(0, 3, 23)
Y = np.eye(3, dtype="float32")[LABELS]
V = RNG.normal(size=(23, 2)).astype("float32")
SAMPLE_WEIGHT = RNG.uniform(0.1, 2.0, 23).astype("float32")
NEAR = {"rtol": 2e-5, "atol": 2e-6}


def with_weights(model):
    rng = np.random.default_rng(1)
    model.set_weights(
        [rng.uniform(-0.5, 0.9, w.shape).astype(w.dtype) for w in model.get_weights()]
    )
    return model


def classifier(package, **options):
    # Without graphs, which Keras takes half a second each to trace.
    options = {"run_eagerly": True, **options}
    model = package.Sequential(
        [
            package.Input((4,)),
            package.layers.Dense(6, activation="relu"),
            package.layers.Dense(3, activation="softmax"),
        ]
    )
    options = {"loss": "categorical_crossentropy", "metrics": ["accuracy"], **options}
    model.compile(options.pop("optimizer", None) or package.optimizers.SGD(0.1), **options)
    return with_weights(model)


class Recorder:
    """The events of a training, as a callback of either package."""

    @staticmethod
    def of(package):
        events = []

        class Record(package.callbacks.Callback):
            pass

        def hook(name):
            def record(self, *args, logs=None):
                position = [int(a) for a in args if not isinstance(a, (dict, type(None)))]
                given = [a for a in args if isinstance(a, dict)] + [logs or {}]
                values = {k: v for group in given for k, v in group.items()}
                numbers = {k: float(v) for k, v in values.items() if np.ndim(v) == 0}
                arrays = {k: np.asarray(v) for k, v in values.items() if np.ndim(v)}
                events.append((name, position, numbers, arrays))

            return record

        for name in dir(package.callbacks.Callback):
            if name.startswith("on_") and name not in ("on_batch_begin", "on_batch_end"):
                setattr(Record, name, hook(name))
        return Record(), events


def assert_same_values(actual, expected, what=""):
    assert list(actual) == list(expected), what
    for name in expected:
        np.testing.assert_allclose(actual[name], expected[name], err_msg=f"{what} {name}", **NEAR)


def announced(events):
    """Keras announces a batch before it knows whether a generator has one more: left out."""
    following = [*events[1:], ("", [])]
    return [
        e
        for e, after in zip(events, following, strict=True)
        if not (e[0].endswith("batch_begin") and not after[0].endswith("batch_end"))
    ]


def assert_same_events(actual, expected):
    actual, expected = announced(actual), announced(expected)
    assert [e[:2] for e in actual] == [e[:2] for e in expected]
    for ours, theirs in zip(actual, expected, strict=True):
        what = f"{ours[0]} {ours[1]}"
        assert set(ours[2]) == set(theirs[2]), what
        for kind in (2, 3):
            for name in theirs[kind]:
                np.testing.assert_allclose(
                    ours[kind][name], theirs[kind][name], err_msg=f"{what} {name}", **NEAR
                )


def both(run):
    """`run(package)` in both packages, with Keras's remarks on its data left out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = run(keras)
    return run(kerasmirror), expected


def fit_both(make, data, **options):
    """Both histories, events and final weights compared."""

    def run(package):
        callback, events = Recorder.of(package)
        model = make(package)
        arguments = {k: v(package) if callable(v) else v for k, v in options.items()}
        x = data(package) if callable(data) else data
        x = x if isinstance(x, tuple) else (x,)
        history = model.fit(*x, verbose=0, callbacks=[callback], **arguments)
        return history, events, model

    (history, events, model), (their_history, their_events, theirs) = both(run)
    assert history.epoch == their_history.epoch
    assert_same_values(history.history, their_history.history)
    assert_same_events(events, their_events)
    for ours, other in zip(model.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(ours, other, **NEAR)
    return model, theirs


def generator(count, size=5):
    def batches(package):
        for i in range(count):
            part = slice((i % 4) * size, (i % 4 + 1) * size)
            yield X[part], Y[part]

    return batches


def dataset(package):
    class Parts(package.utils.PyDataset):
        def __len__(self):
            return 5

        def __getitem__(self, index):
            part = slice(index * 5, index * 5 + 5)
            return X[part], Y[part], SAMPLE_WEIGHT[part]

    return Parts()


FITS = {
    "plain": ((X, Y), {"epochs": 3, "batch_size": 5, "shuffle": False}),
    "default batch": ((X, Y), {"epochs": 2, "shuffle": False}),
    "one batch": ((X, Y), {"batch_size": 100}),
    "sample weight": ((X, Y), {"sample_weight": SAMPLE_WEIGHT, "batch_size": 7, "shuffle": False}),
    "class weight": ((X, Y), {"class_weight": {0: 2.0, 2: 0.5}, "batch_size": 7, "shuffle": False}),
    "validation split": (
        (X, Y),
        {"validation_split": 0.3, "batch_size": 4, "epochs": 2, "shuffle": False},
    ),
    "weighted validation": (
        (X, Y),
        {
            "validation_data": (X[:9], Y[:9], SAMPLE_WEIGHT[:9]),
            "sample_weight": SAMPLE_WEIGHT,
            "batch_size": 6,
            "shuffle": False,
        },
    ),
    "split and weights": (
        (X, Y),
        {
            "validation_split": 0.25,
            "sample_weight": SAMPLE_WEIGHT,
            "epochs": 2,
            "batch_size": 6,
            "shuffle": False,
        },
    ),
    "validation batch size": (
        (X, Y),
        {"validation_data": (X, Y), "validation_batch_size": 4, "shuffle": False},
    ),
    "validation steps": (
        (X, Y),
        {
            "validation_data": (X, Y),
            "validation_batch_size": 4,
            "validation_steps": 2,
            "epochs": 3,
            "shuffle": False,
        },
    ),
    "validation every second": (
        (X, Y),
        {"validation_data": (X, Y), "validation_freq": 2, "epochs": 5, "shuffle": False},
    ),
    "validation in listed epochs": (
        (X, Y),
        {"validation_data": (X, Y), "validation_freq": [1, 4], "epochs": 4, "shuffle": False},
    ),
    "initial epoch": ((X, Y), {"initial_epoch": 2, "epochs": 4, "shuffle": False}),
    "no epoch": ((X, Y), {"epochs": 0}),
    "past the last epoch": ((X, Y), {"initial_epoch": 3, "epochs": 2}),
    "fewer steps than data": (
        (X, Y),
        {"steps_per_epoch": 2, "batch_size": 6, "epochs": 4, "shuffle": False},
    ),
    "steps without batch size": ((X, Y), {"steps_per_epoch": 3, "epochs": 2, "shuffle": False}),
    "generator": (generator(4), {}),
    "generator, two epochs": (generator(6), {"epochs": 2, "steps_per_epoch": 3}),
    "endless validation": (
        (X, Y),
        {
            "validation_data": generator(100),
            "validation_steps": 2,
            "epochs": 2,
            "shuffle": False,
        },
    ),
    "dataset": (dataset, {"epochs": 2, "shuffle": False}),
    "validation dataset": ((X, Y), {"validation_data": dataset, "epochs": 2, "shuffle": False}),
}


@pytest.mark.parametrize("case", FITS)
def test_history_events_and_weights_match(case):
    data, options = FITS[case]
    fit_both(classifier, data, **options)


def test_data_that_runs_out_warns_and_starts_again():
    options = {"steps_per_epoch": 3, "batch_size": 10, "epochs": 2, "shuffle": False}
    with pytest.warns(UserWarning, match="the input ran out of data"):
        fit_both(classifier, (X[:20], Y[:20]), **options)


def test_a_generator_that_has_ended_gives_its_first_two_batches_again():
    with pytest.warns(UserWarning, match="the input ran out of data"):
        fit_both(classifier, generator(3), epochs=2)


@pytest.mark.parametrize("batch_size", [1, 4, 23])
def test_shuffled_order_matches(batch_size):
    def make(package):
        package.utils.set_random_seed(12)
        return classifier(package)

    fit_both(make, (X, Y), shuffle=True, epochs=3, batch_size=batch_size)


COMPILES = {
    "no metrics": {"metrics": None},
    "several metrics": {"metrics": ["accuracy", "mse", "categorical_crossentropy"]},
    "weighted metrics": {"metrics": ["mse"], "weighted_metrics": ["mse", "accuracy"]},
    "metric twice": {"metrics": ["mse", "mse"]},
    "accuracy's short name": {"metrics": ["acc"]},
    "loss weight": {"loss_weights": 0.5},
    "two executions": {"steps_per_execution": 2},
}


@pytest.mark.parametrize("case", COMPILES)
def test_compile_options_match(case):
    fit_both(
        lambda package: classifier(package, run_eagerly=False, **COMPILES[case]),
        (X, Y),
        sample_weight=SAMPLE_WEIGHT,
        batch_size=6,
        epochs=2,
        shuffle=False,
        validation_split=0.2,
    )


@pytest.mark.parametrize("targets", [LABELS, LABELS[:, None]], ids=["(n,)", "(n, 1)"])
def test_sparse_targets_and_their_accuracy_match(targets):
    def make(package):
        return classifier(package, loss="sparse_categorical_crossentropy")

    fit_both(make, (X, targets), class_weight={1: 3.0}, batch_size=9, shuffle=False)


def test_evaluate_predict_and_batch_methods_match():
    def run(package):
        model = classifier(package, metrics=["accuracy", "mse"], weighted_metrics=["mae"])
        results = [
            model.evaluate(X, Y, verbose=0, batch_size=5),
            model.evaluate(X, Y, verbose=0, sample_weight=SAMPLE_WEIGHT, batch_size=5),
            model.evaluate(X, Y, verbose=0, batch_size=5, steps=2),
            model.predict(X, verbose=0, batch_size=5),
            model.predict(X, verbose=0, batch_size=5, steps=2),
            model.train_on_batch(X[:7], Y[:7]),
            model.train_on_batch(X[7:], Y[7:], sample_weight=SAMPLE_WEIGHT[7:]),
            model.test_on_batch(X, Y),
        ]
        model.reset_metrics()
        results += [
            model.train_on_batch(X[:7], Y[:7], class_weight={0: 3.0}),
            model.predict_on_batch(X),
        ]
        named = [
            model.evaluate(X, Y, verbose=0, return_dict=True),
            model.train_on_batch(X[:3], Y[:3], return_dict=True),
            model.test_on_batch(X[:3], Y[:3], return_dict=True),
        ]
        return results, named, model

    (results, named, model), (expected, their_named, _) = both(run)
    for position, (ours, theirs) in enumerate(zip(results, expected, strict=True)):
        assert type(ours) is type(theirs), position
        np.testing.assert_allclose(ours, theirs, err_msg=str(position), **NEAR)
    for ours, theirs in zip(named, their_named, strict=True):
        assert_same_values(dict(sorted(ours.items())), dict(sorted(theirs.items())))


def test_events_of_evaluate_and_predict_match():
    def run(package):
        callback, events = Recorder.of(package)
        model = classifier(package)
        model.evaluate(X, Y, verbose=0, batch_size=8, callbacks=[callback])
        model.predict(X, verbose=0, batch_size=8, callbacks=[callback])
        return events

    assert_same_events(*both(run))


def two_outputs(package, as_dict, **options):
    class Two(package.Model):
        def __init__(self):
            super().__init__()
            self.body = package.layers.Dense(5, activation="tanh")
            self.heads = [package.layers.Dense(3, activation="softmax"), package.layers.Dense(2)]

        def call(self, x):
            x = self.body(x)
            a, b = (head(x) for head in self.heads)
            return {"a": a, "b": b} if as_dict else [a, b]

    model = Two()
    model(package.ops.zeros((1, 4)))
    model.compile(package.optimizers.SGD(0.1), **options)
    return with_weights(model)


OUTPUTS = {
    "list, one loss": (False, {"loss": "mse"}),
    "list of losses": (False, {"loss": ["categorical_crossentropy", "mse"]}),
    "loss weights": (
        False,
        {"loss": ["categorical_crossentropy", "mse"], "loss_weights": [0.3, 2.0]},
    ),
    "list of metrics": (
        False,
        {"loss": ["mse", "mae"], "metrics": [["accuracy"], ["mse", "mae"]]},
    ),
    "dict": (True, {"loss": {"a": "categorical_crossentropy", "b": "mse"}}),
    "dict with weights and metrics": (
        True,
        {
            "loss": {"a": "categorical_crossentropy", "b": "mse"},
            "loss_weights": {"a": 0.5, "b": 2.0},
            "metrics": {"a": ["accuracy"], "b": ["mae"]},
        },
    ),
}


@pytest.mark.parametrize("case", OUTPUTS)
def test_models_of_two_outputs_match(case):
    as_dict, options = OUTPUTS[case]
    y = {"a": Y, "b": V} if as_dict else [Y, V]
    model, theirs = fit_both(
        lambda package: two_outputs(package, as_dict, **options),
        (X, y),
        batch_size=10,
        epochs=2,
        shuffle=False,
    )
    np.testing.assert_allclose(
        model.evaluate(X, y, verbose=0), theirs.evaluate(X, y, verbose=0), **NEAR
    )
    ours, expected = model.predict(X, verbose=0), theirs.predict(X, verbose=0)
    assert type(ours) is type(expected)
    for name in "ab" if as_dict else (0, 1):
        np.testing.assert_allclose(ours[name], expected[name], **NEAR)


def penalized(package, trainable=True):
    class Scale(package.layers.Layer):
        """A weight, a counter that does not train, and a loss of its own."""

        def build(self, input_shape):
            self.scale = self.add_weight((input_shape[-1],), "ones", name="scale")
            self.seen = self.add_weight((), "zeros", trainable=False, name="seen")

        def call(self, x):
            self.seen.assign(self.seen + 1.0)
            self.add_loss(0.01 * package.ops.sum(package.ops.square(self.scale)))
            return x * self.scale

    inner = package.Sequential([package.Input((6,)), Scale(), package.layers.Dense(6)])
    dense = package.layers.Dense(
        6,
        kernel_regularizer=package.regularizers.L2(0.1),
        bias_regularizer="l1",
        activity_regularizer=package.regularizers.L1(0.01),
        trainable=trainable,
    )
    norm = package.layers.BatchNormalization(momentum=0.7)
    norm.trainable = trainable
    layers = [package.Input((4,)), dense, norm, inner, package.layers.Dense(3)]
    model = package.Sequential(layers)
    model.compile(package.optimizers.SGD(0.05), "mse", metrics=["mae"])
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(0.1, 0.9, w.shape).astype(w.dtype) for w in model.get_weights()])
    return model


@pytest.mark.parametrize("trainable", [True, False])
def test_losses_of_layers_moving_statistics_and_frozen_layers_match(trainable):
    model, theirs = fit_both(
        lambda package: penalized(package, trainable),
        (X, Y),
        batch_size=8,
        epochs=3,
        shuffle=False,
        validation_split=0.2,
    )
    fresh = penalized(kerasmirror, trainable)
    frozen = [*model.layers[0].weights, *model.layers[1].weights]
    before = [*fresh.layers[0].weights, *fresh.layers[1].weights]
    changed = [(a.numpy() != b.numpy()).any() for a, b in zip(frozen, before, strict=True)]
    assert changed == [trainable] * 6
    assert [v.name for v in model.trainable_weights] == [v.name for v in theirs.trainable_weights]
    model(X)
    theirs(X)
    np.testing.assert_allclose(
        [float(loss) for loss in model.losses], [float(loss) for loss in theirs.losses], **NEAR
    )


def test_masks_pass_through_to_loss_and_metrics():
    def make(package):
        class Mask(package.layers.Layer):
            def __init__(self):
                super().__init__()
                self.supports_masking = True

            def compute_mask(self, inputs, mask=None):
                return package.ops.any(package.ops.not_equal(inputs, 0.0), axis=-1)

            def call(self, x):
                return x

        model = package.Sequential(
            [Mask(), package.layers.Dense(5, activation="relu"), package.layers.Dense(2)]
        )
        model(package.ops.zeros((1, 6, 4)))
        model.compile(package.optimizers.SGD(0.1), "mse", metrics=["mae"], weighted_metrics=["mse"])
        return with_weights(model)

    x = RNG.normal(size=(9, 6, 4)).astype("float32")
    x[:, 4:] = 0.0
    x[2, 1:] = 0.0
    y = RNG.normal(size=(9, 6, 2)).astype("float32")
    fit_both(make, (x, y), batch_size=4, epochs=2, shuffle=False)


def test_float64_models_match_to_twelve_digits():
    def run(package):
        package.config.set_floatx("float64")
        package.config.set_dtype_policy("float64")
        try:
            model = classifier(package)
            history = model.fit(
                X.astype("float64"), Y.astype("float64"), epochs=3, verbose=0, shuffle=False
            )
            return history.history["loss"], model.get_weights()
        finally:
            package.config.set_floatx("float32")
            package.config.set_dtype_policy("float32")

    (losses, weights), (their_losses, their_weights) = both(run)
    # Keras adds its losses up in float32, whatever floatx is.
    np.testing.assert_allclose(losses, their_losses, rtol=1e-7)
    for ours, theirs in zip(weights, their_weights, strict=True):
        assert ours.dtype == theirs.dtype == np.float64
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "bool", "float16", "float64"])
def test_data_of_other_dtypes_trains_as_in_keras(dtype):
    x, y = (np.abs(X) * 3).astype(dtype), (np.abs(Y) * 2).astype(dtype)
    fit_both(lambda p: classifier(p, loss="mse", metrics=["mae"]), (x, y), shuffle=False, epochs=2)


@pytest.mark.parametrize("shape", [(23, 4, 1), (23, 4)])
def test_a_last_axis_of_one_may_be_there_or_not(shape):
    def make(package):
        inner = [package.layers.Flatten(), package.layers.Dense(3)]
        first = package.Input((4, 1) if len(shape) == 2 else (4,))
        model = package.Sequential([first, *inner])
        model.compile(package.optimizers.SGD(0.1), "mse")
        return with_weights(model)

    fit_both(make, (X.reshape(shape), Y), shuffle=False, batch_size=6)


def test_names_of_weights_and_models_match_after_clear_session():
    def run(package):
        package.utils.clear_session()
        made = []
        for _ in range(2):
            model = classifier(package, metrics=None)
            made += [model.name, *(layer.name for layer in model.layers)]
            made += [v.path for v in model.weights]
        return made

    ours, theirs = both(run)
    assert ours == theirs
