"""What a model's own steps get, what `compile` sets, and data that other libraries give."""

import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror import ops

RNG = np.random.default_rng(5)
X = RNG.normal(size=(20, 4)).astype("float32")
Y = RNG.normal(size=(20, 2)).astype("float32")
W = RNG.uniform(0.5, 2, size=20).astype("float32")


class Noting(keras.Model):
    """Notes what its train_step gets."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(2)
        self.seen = []

    def call(self, x):
        return self.dense(x[0] if isinstance(x, (list, tuple)) else x)

    def train_step(self, data):
        self.seen.append(data)
        return {"loss": 0.0}


def seen_by(*args, **kwargs):
    model = Noting()
    model.compile("sgd", "mse")
    model.fit(*args, verbose=0, shuffle=False, **kwargs)
    return list(model.seen)


def test_a_train_step_gets_as_many_parts_as_there_are():
    (first, *_) = seen_by(X, Y, batch_size=10)
    assert type(first) is tuple and [tuple(part.shape) for part in first] == [(10, 4), (10, 2)]
    (first, *_) = seen_by(X, Y, sample_weight=W, batch_size=10)
    assert [tuple(part.shape) for part in first] == [(10, 4), (10, 2), (10,)]
    (first, *_) = seen_by(X, Y[:, 0] > 0, class_weight={0: 1.0, 1: 3.0}, batch_size=10)
    assert len(first) == 3


def test_inputs_alone_come_as_they_are_unless_they_could_be_taken_for_a_pair():
    (first, *_) = seen_by(X, batch_size=10)
    assert tuple(first.shape) == (10, 4)
    (first, *_) = seen_by([X, X], batch_size=10)
    assert type(first) is tuple and len(first) == 1 and len(first[0]) == 2
    (first, *_) = seen_by(iter([(X[:5],), (X[5:10],)]), steps_per_epoch=2)
    assert type(first) is tuple and len(first) == 1


def test_train_on_batch_gives_a_train_step_all_three_parts():
    model = Noting()
    model.compile("sgd", "mse")
    assert model.train_on_batch(X, Y, return_dict=True) == {"loss": 0.0}
    assert len(model.seen[0]) == 3 and model.seen[0][2] is None


def test_a_compute_loss_without_training_is_called_without_it():
    class Own(keras.Sequential):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
            return ops.mean(ops.square(y - y_pred)) * 2.0

    model, plain = (cls([keras.Input((4,)), keras.layers.Dense(2)]) for cls in (Own, Plain))
    plain.set_weights(model.get_weights())
    for net in (model, plain):
        net.compile("sgd", "mse")
    twice = model.evaluate(X, Y, batch_size=20, verbose=0)
    assert twice == pytest.approx(2 * plain.evaluate(X, Y, batch_size=20, verbose=0), rel=1e-6)
    assert model.fit(X, Y, batch_size=20, verbose=0).history["loss"][0] == pytest.approx(twice)


Plain = keras.Sequential


def two_heads():
    x = keras.Input((4,))
    y = keras.layers.Dense(2, kernel_initializer="ones")(x)
    return keras.Model(x, {"a": y, "b": {"c": y, "d": [y, y]}})


def test_losses_and_metrics_of_a_nest_of_outputs_are_nested_like_it():
    model = two_heads()
    model.compile(
        loss={"a": "mse", "b": {"c": "mae", "d": [None, "mse"]}},
        loss_weights={"a": 1.0, "b": {"c": 2.0, "d": [0.5, 0.25]}},
        metrics={"a": ["mae"], "b": {"d": ["mae", None]}},
    )
    targets = {"a": Y, "b": {"c": Y, "d": [Y, Y]}}
    found = model.evaluate(X, targets, verbose=0, return_dict=True)
    wrong = model.predict(X, verbose=0)["a"] - Y
    mse, mae = np.mean(wrong**2), np.mean(np.abs(wrong))
    assert len(found) == 6
    assert found["loss"] == pytest.approx(1.25 * mse + 2 * mae, rel=1e-5)
    assert found["a_loss"] == pytest.approx(mse, rel=1e-5)
    assert found["b/c_loss"] == pytest.approx(mae, rel=1e-5)
    assert found["a_mae"] == pytest.approx(mae, rel=1e-5)
    model.fit(X, targets, verbose=0, sample_weight={"a": W, "b": {"c": W, "d": [W, W]}})


def test_a_loss_that_is_not_nested_like_the_outputs_is_refused():
    model = two_heads()
    model.compile(loss={"a": "mse", "b": {"e": "mae"}})
    with pytest.raises(KeyError) as caught:
        model.evaluate(X, {"a": Y, "b": {"c": Y, "d": [Y, Y]}}, verbose=0)
    assert caught.value.args[0] == (
        "Model.compile: the path ('b', 'e') in the `loss` argument, can't be found in either the "
        "model's output (`y_pred`) or in the labels (`y_true`)."
    )


def test_outputs_without_a_loss_need_no_targets():
    x = keras.Input((4,))
    y = keras.layers.Dense(2, kernel_initializer="ones")(x)
    one, all_ = keras.Model(x, [y, y, y]), keras.Model(x, [y, y, y])
    one.compile(loss=["mse", None, None])
    all_.compile(loss=["mse", "mse", "mse"])
    alone = one.evaluate(X, Y, verbose=0, return_dict=True)["loss"]
    assert all_.evaluate(X, [Y, Y, Y], verbose=0)[0] == pytest.approx(3 * alone, rel=1e-6)


def test_the_compiled_metrics_are_one_metric_of_the_model():
    model = Plain([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse", metrics=["mae", "mse"])
    assert model.metrics_names == ["loss", "compile_metrics"]
    compiled = model.metrics[1]
    with pytest.raises(ValueError) as caught:
        compiled.result()
    assert str(caught.value) == (
        "CompileMetrics.result: `update_state` must be called before, or `build`."
    )
    names = list(model.fit(X, Y, verbose=0).history)
    assert sorted(names) == ["loss", "mae", "mse"]
    assert [metric.name for metric in compiled.metrics] == ["mae", "mse"]
    assert len(model.metrics_variables) == 6
    assert len(model.evaluate(X, Y, verbose=0)) == 3


def test_metrics_that_are_functions_are_called_by_their_names_in_snake_case():
    def MeanGap(y_true, y_pred):
        return ops.mean(y_pred - y_true, axis=-1)

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=[MeanGap, lambda y_true, y_pred: ops.mean(y_pred)])
    history = model.fit(np.ones((2, 2)), np.ones((2, 1)), verbose=0).history
    assert set(history) == {"loss", "mean_gap", "lambda"}


def test_the_compiled_metrics_of_own_steps_are_reported_by_their_names():
    class Own(keras.Sequential):
        def test_step(self, data):
            super().test_step(data)
            return {metric.name: metric.result() for metric in self.metrics}

        train_step = test_step

    model = Own([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse", metrics=["mae"])
    found = model.evaluate(X, Y, verbose=0, return_dict=True)
    assert sorted(found) == ["loss", "mae"]
    history = model.fit(X, Y, validation_data=(X, Y), verbose=0).history
    assert sorted(history) == ["loss", "mae", "val_loss", "val_mae"]
    assert sorted(model.train_on_batch(X, Y, return_dict=True)) == ["loss", "mae"]


class Loader:
    """Batches anew in each loop, as loaders of other libraries give them."""

    def __init__(self, sized=True):
        self.loops = 0
        if sized:
            self.__class__ = SizedLoader

    def __iter__(self):
        self.loops += 1
        for start in range(0, 20, 5):
            yield [Foreign(X[start : start + 5]), Foreign(Y[start : start + 5])]


class SizedLoader(Loader):
    def __len__(self):
        return 4


class Foreign:
    """A tensor of another library."""

    def __init__(self, values):
        self._values = values

    def detach(self):
        return self

    cpu = detach

    def numpy(self):
        return self._values

    def __array__(self, dtype=None, copy=None):
        raise TypeError("call detach() first")


@pytest.mark.parametrize("sized", [True, False])
def test_a_loader_is_looped_over_once_an_epoch(sized):
    trained, plain = (Plain([keras.Input((4,)), keras.layers.Dense(2)]) for _ in range(2))
    plain.set_weights(trained.get_weights())
    loader = Loader(sized)
    for net in (trained, plain):
        net.compile("sgd", "mse")
    trained.fit(loader, epochs=3, verbose=0)
    plain.fit(X, Y, batch_size=5, epochs=3, verbose=0, shuffle=False)
    for ours, theirs in zip(trained.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert loader.loops == 3
    assert trained.evaluate(loader, verbose=0) == plain.evaluate(X, Y, batch_size=5, verbose=0)
    np.testing.assert_array_equal(
        trained.predict(loader, verbose=0), plain.predict(X, batch_size=5, verbose=0)
    )


def test_targets_beside_a_loader_are_refused():
    model = Plain([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError) as caught:
        model.fit(Loader(), Y)
    assert str(caught.value) == (
        "keras: `y` must be None when `x` is a SizedLoader, which yields it. "
        "Received: y of type <class 'numpy.ndarray'>"
    )


def test_class_weights_go_with_a_loader():
    class Classes(Loader):
        def __init__(self):
            self.loops = 0

        def __iter__(self):
            yield X, np.arange(20) % 2

    seen = []

    class Own(keras.Sequential):
        def train_step(self, data):
            seen.append(np.asarray(data[2]))
            return {"loss": 0.0}

    model = Own([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse")
    model.fit(Classes(), class_weight={0: 1.0, 1: 4.0}, verbose=0)
    np.testing.assert_array_equal(seen[0], np.where(np.arange(20) % 2, 4.0, 1.0))


def test_an_execution_goes_beyond_the_end_of_an_epoch_of_fewer_steps():
    steps = []

    class Own(keras.Sequential):
        def train_step(self, data):
            steps.append(data)
            return {"loss": 0.0}

    counted = keras.callbacks.LambdaCallback(on_train_batch_end=lambda b, logs: ends.append(b))
    ends = []
    model = Own([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse", steps_per_execution=2)
    with pytest.warns(UserWarning, match="ran out of data"):
        model.fit(X, Y, batch_size=2, epochs=2, steps_per_epoch=5, verbose=0, callbacks=[counted])
    assert ends == [1, 3, 5, 1, 3] and len(steps) == 10


def test_the_function_that_make_train_function_sets_runs_the_steps():
    class Own(keras.Sequential):
        def make_train_function(self, force=False):
            def function(iterator):
                found = [self.train_step(data) for data in iterator]
                counts.append(len(found))
                return found[-1]

            self.train_function = function
            return function

    counts = []
    model, plain = (cls([keras.Input((4,)), keras.layers.Dense(2)]) for cls in (Own, Plain))
    plain.set_weights(model.get_weights())
    for net in (model, plain):
        net.compile("sgd", "mse", steps_per_execution=2)
        net.fit(X, Y, batch_size=4, epochs=1, verbose=0, shuffle=False)
    assert counts == [2, 2, 1]
    for ours, theirs in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_functions_that_are_made_take_batches():
    model = Plain([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse", steps_per_execution=2)
    model.optimizer.build(model.trainable_variables)
    batches = [(X[:4], Y[:4]), (X[4:8], Y[4:8]), (X[8:12], Y[8:12])]
    given = iter(batches)
    logs = model.make_train_function()(given)
    assert set(logs) == {"loss"} and len(list(given)) == 1
    assert model.make_train_function() is model.train_function
    assert set(model.make_test_function()(iter(batches))) == {"loss"}
    assert model.make_predict_function()(iter(batches)).shape == (8, 2)


def test_run_eagerly_and_jit_compile_are_what_compile_was_told():
    model = Plain([keras.Input((4,)), keras.layers.Dense(2)])
    assert not model.run_eagerly
    model.compile("sgd", "mse", run_eagerly=True)
    assert model.run_eagerly and not model.jit_compile
    model.compile("sgd", "mse")
    assert not model.run_eagerly and model.jit_compile
    model.compile("sgd", "mse", jit_compile=False)
    assert not model.jit_compile
    model.jit_compile = True
    assert model.jit_compile
    with pytest.warns(UserWarning) as caught:
        model.compile("sgd", "mse", run_eagerly=True, jit_compile=True)
    assert str(caught[0].message) == (
        "Model.compile: `jit_compile` must not be True with `run_eagerly=True`. It is taken as "
        "False."
    )


def test_stateless_compute_loss_reads_the_values_that_it_is_given():
    class Counting(keras.Sequential):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            self.layers[0].steps.assign_add(1.0)
            return super().compute_loss(x, y, y_pred, sample_weight, training)

    dense = keras.layers.Dense(2, kernel_regularizer="l2")
    dense.steps = keras.Variable(0.0, trainable=False)
    model = Counting([keras.Input((4,)), dense])
    model.compile("sgd", "mse")
    kernels = [np.full((4, 2), 3.0, "float32"), np.zeros(2, "float32")]
    others = [v.numpy() for v in model.non_trainable_variables]
    metrics = [v.numpy() for v in model.metrics_variables]
    loss, (first, second, third) = model.stateless_compute_loss(
        kernels, others, metrics, x=X, y=Y, y_pred=Y + 1.0
    )
    assert float(loss) == pytest.approx(1.0 + 0.01 * 8 * 9.0, rel=1e-6)
    assert first is kernels and [float(v) for v in second] == [1.0] and len(third) == len(metrics)
    assert float(dense.steps.numpy()) == 0.0 and not np.any(dense.kernel.numpy() == 3.0)
    with pytest.raises(ValueError) as caught:
        model.stateless_compute_loss([], others, metrics, y=Y, y_pred=Y)
    assert str(caught.value) == (
        "Model.stateless_compute_loss: `trainable_variables` must hold 2 values, one for each "
        "variable. Received: 0 values"
    )


class Counting(keras.layers.Layer):
    """Counts its calls, from a number that its build sets."""

    def __init__(self):
        super().__init__()
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def build(self, input_shape):
        self.calls.assign(10.0)

    def call(self, x):
        self.calls.assign_add(1.0)
        return x


@pytest.mark.parametrize("known_shape", [True, False])
def test_calls_on_placeholders_write_nothing_but_what_build_sets(known_shape):
    counting = Counting()
    layers = [keras.Input((4,))] * known_shape + [counting, keras.layers.Dense(2)]
    model = keras.Sequential(layers)
    model.compile("sgd", "mse")
    ends = []
    seen = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: ends.append(float(counting.calls.numpy()))
    )
    model.fit(X, Y, batch_size=10, epochs=2, verbose=0, callbacks=[seen])
    assert ends == [11.0, 12.0, 13.0, 14.0]
    model.compute_output_shape((None, 4))
    assert float(counting.calls.numpy()) == 14.0
