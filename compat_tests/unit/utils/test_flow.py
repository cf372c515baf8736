"""trace_flow: its numbers against plain NumPy, and that nothing of the model changes."""

import json
import random

import numpy as np
import pytest

import kerasmirror as keras

layers = keras.layers


def dense_stack(rng, training_layers=()):
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(6, activation="relu", name="first"),
            *training_layers,
            layers.Dense(3, name="second"),
        ],
        name="stack",
    )
    x = rng.normal(size=(10, 4)).astype("float32")
    y = rng.normal(size=(10, 3)).astype("float32")
    return model, x, y


def test_signals_and_gradients_are_those_of_the_chain_rule(rng):
    model, x, y = dense_stack(rng)
    trace = keras.utils.trace_flow(model, x, y, loss="mse")
    w1, b1, w2, b2 = model.get_weights()
    h = np.maximum(x @ w1 + b1, 0)
    out = h @ w2 + b2
    d_out = 2 * (out - y) / out.size
    d_h = d_out @ w2.T
    d_z = d_h * (h > 0)
    assert trace.loss == pytest.approx(np.mean((out - y) ** 2), rel=1e-5)
    expected = {
        "input": (x, d_z @ w1.T),
        "first": (h, d_h),
        "first/kernel": (w1, x.T @ d_z),
        "first/bias": (b1, d_z.sum(0)),
        "second": (out, d_out),
        "second/kernel": (w2, h.T @ d_out),
        "second/bias": (b2, d_out.sum(0)),
    }
    assert [signal.path for signal in trace.signals] == list(expected)
    for path, (value, gradient) in expected.items():
        for found, array in ((trace[path].forward, value), (trace[path].gradient, gradient)):
            assert found.shape == array.shape
            assert found.mean == pytest.approx(array.mean(dtype="float64"), rel=1e-4, abs=1e-7)
            assert found.std == pytest.approx(array.std(dtype="float64"), rel=1e-4, abs=1e-7)
            assert found.minimum == pytest.approx(array.min(), rel=1e-4, abs=1e-7)
            assert found.maximum == pytest.approx(array.max(), rel=1e-4, abs=1e-7)
            assert found.zeros == pytest.approx(np.mean(array == 0))
            assert sum(found.counts) == array.size
            assert len(found.edges) == len(found.counts) + 1 == 21


def test_the_gradient_behind_a_softmax_is_that_of_the_logits(rng):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="softmax", name="out")])
    x, labels = rng.normal(size=(8, 4)).astype("float32"), rng.integers(0, 3, 8)
    signal = keras.utils.trace_flow(
        model, x, labels, loss=keras.losses.SparseCategoricalCrossentropy()
    )["out"]
    expected = (model.predict(x, verbose=0) - np.eye(3)[labels]) / 8
    assert signal.of == "logits"
    assert signal.gradient.std == pytest.approx(expected.std(), rel=1e-4)
    assert signal.forward.mean == pytest.approx(1 / 3)


def everything(model):
    values = [v.numpy() for v in model.variables + model.metrics_variables]
    if model.optimizer is not None:
        values += [v.numpy() for v in model.optimizer.variables]
    return values


@pytest.mark.parametrize("training", [True, False])
def test_weights_statistics_metrics_and_random_states_stay(rng, training):
    extra = [layers.BatchNormalization(), layers.Dropout(0.5)]
    model, x, y = dense_stack(rng, extra)
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(x, y, verbose=0)
    keras.random.uniform((2,))  # the global generator exists
    before, states = everything(model), (random.getstate(), np.random.get_state()[1].tolist())
    prediction, names = model.predict(x, verbose=0), model.metrics_names
    keras.utils.trace_flow(model, x, y, training=training)
    for value, old in zip(everything(model), before, strict=True):
        np.testing.assert_array_equal(value, old)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states
    np.testing.assert_array_equal(model.predict(x, verbose=0), prediction)
    assert model.metrics_names == names
    assert all("call" not in layer.__dict__ for layer in model.layers)
    assert keras.config.fusion() is True


def test_training_goes_on_as_if_nothing_had_happened(rng):
    results = []
    for traced in (False, True):
        keras.utils.set_random_seed(3)
        model, x, y = dense_stack(np.random.default_rng(0), [layers.Dropout(0.5)])
        model.compile("adam", "mse")
        model.fit(x, y, verbose=0, shuffle=False)
        if traced:
            keras.utils.trace_flow(model, x, y)
        model.fit(x, y, verbose=0, shuffle=False)
        draw = keras.random.uniform((3,)).numpy()
        results.append([*model.get_weights(), draw])
    for plain, after_trace in zip(*results, strict=True):
        np.testing.assert_array_equal(after_trace, plain)


def test_dropout_zeros_its_share_in_training_alone(rng):
    model, x, y = dense_stack(rng, [layers.Dropout(0.5, name="drop")])
    x = np.tile(x, (200, 1))
    y = np.tile(y, (200, 1))
    on = keras.utils.trace_flow(model, x, y, loss="mse")
    off = keras.utils.trace_flow(model, x, y, loss="mse", training=False)
    kept = 1 - on["first"].forward.zeros
    assert on["drop"].forward.zeros == pytest.approx(1 - kept / 2, abs=0.02)
    assert off["drop"].forward.zeros == off["first"].forward.zeros
    # The mask of the way forward is that of the way back.
    assert on["first"].gradient.zeros == pytest.approx(0.5, abs=0.02)
    assert (on.training, off.training) == (True, False)


def test_a_shared_layer_has_a_row_for_each_call_and_one_for_its_weights(rng):
    inputs = keras.Input((4,))
    shared = layers.Dense(4, name="shared")
    hidden = shared(inputs)
    model = keras.Model(inputs, layers.Add(name="sum")([shared(hidden), hidden]))
    x = rng.normal(size=(5, 4)).astype("float32")
    trace = keras.utils.trace_flow(model, x, x, loss="mse")
    paths = [(s.path, s.call) for s in trace.signals]
    assert paths == [
        ("input", 0),
        ("shared", 0),
        ("shared/kernel", 0),
        ("shared/bias", 0),
        ("shared", 1),
        ("sum", 0),
    ]
    kernel, bias = model.get_weights()
    first = x @ kernel + bias
    d_out = 2 * (first @ kernel + bias + first - x) / x.size
    d_first = d_out @ kernel.T + d_out
    assert trace["shared"].gradient.std == pytest.approx(d_first.std(), rel=1e-4)
    d_kernel = x.T @ d_first + first.T @ d_out
    assert trace["shared/kernel"].gradient.std == pytest.approx(d_kernel.std(), rel=1e-4)


def test_several_outputs_nested_models_and_operations_are_listed(rng):
    inner = keras.Sequential([layers.Dense(3, name="a"), layers.Dense(2, name="b")], name="inner")
    inputs = keras.Input((4,))
    scaled = inputs * 2.0
    model = keras.Model(inputs, [inner(scaled), layers.Dense(1, name="head")(scaled)])
    x = rng.normal(size=(5, 4)).astype("float32")
    y = [np.zeros((5, 2)), np.zeros((5, 1))]
    model.compile("sgd", ["mse", "mae"])
    trace = keras.utils.trace_flow(model, x, y)
    assert model.metrics_names == ["loss"]  # no trackers of the outputs came to be
    paths = [s.path for s in trace.signals if s.kind == "output"]
    operation = next(s for s in trace.signals if s.type == "Multiply")
    assert sorted(paths) == sorted([operation.path, "inner/a", "inner/b", "inner", "head"])
    assert operation.forward.mean == pytest.approx(2 * x.mean(), rel=1e-5)
    assert operation.gradient.shape == (5, 4)
    assert trace["inner/a"].depth == 1
    without = keras.utils.trace_flow(model, x, y, operations=False)
    assert operation.path not in [s.path for s in without.signals]


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3, name="dense")
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

    def call(self, inputs):
        return keras.ops.tanh(self.dense(inputs["x"])) * self.scale


def test_a_subclassed_model_is_built_and_its_own_output_and_weights_are_listed(rng):
    model = Subclassed()
    x, y = {"x": rng.normal(size=(5, 4)).astype("float32")}, np.ones((5, 3), "float32")
    trace = keras.utils.trace_flow(model, x, y, loss="mse")
    assert model.built
    assert [s.path for s in trace.signals] == [
        "input",
        "dense",
        "dense/kernel",
        "dense/bias",
        "output",
        f"{model.name}/scale",
    ]
    assert trace[f"{model.name}/scale"].gradient.shape == ()
    assert abs(trace["output"].forward.maximum) <= 1


def test_quantized_layers_are_watched_too(rng):
    model, x, y = dense_stack(rng)
    plain = keras.utils.trace_flow(model, x, y, loss="mse")
    for layer in model.layers:
        layer.quantize("int8")
    found = keras.utils.trace_flow(model, x, y, loss="mse")
    assert found["first"].forward.std == pytest.approx(plain["first"].forward.std, rel=0.05)
    assert all("quantized_call" not in layer.__dict__ for layer in model.layers)


def test_nan_and_infinity_are_counted_and_left_out_of_the_statistics(rng):
    model = keras.Sequential([keras.Input((3,)), layers.Activation("linear", name="same")])
    x = np.array([[1, np.nan, np.inf], [0, 3, -np.inf]], "float32")
    trace = keras.utils.trace_flow(model, x, x, loss="mse")
    found = trace["same"].forward
    assert (found.nans, found.infinities, found.minimum, found.maximum) == (1, 2, 0, 3)
    assert found.mean == pytest.approx(4 / 3)
    assert found.zeros == pytest.approx(1 / 6)
    assert sum(found.counts) == 3
    assert trace.as_dict()["loss"] == "nan"
    nothing = np.full((2, 3), np.nan, "float32")
    found = keras.utils.trace_flow(model, nothing, nothing, loss="mse")["same"].forward
    assert (found.mean, found.std, found.nans, sum(found.counts)) == (None, None, 6, 0)


def test_frozen_weights_have_no_gradient(rng):
    model, x, y = dense_stack(rng)
    model.layers[0].trainable = False
    trace = keras.utils.trace_flow(model, x, y, loss="mse")
    assert trace["first/kernel"].gradient is None
    assert trace["first/kernel"].type == "not trainable"
    assert trace["first"].gradient is not None


def test_the_dict_is_json_and_the_table_has_every_signal(rng):
    model, x, y = dense_stack(rng)
    trace = keras.utils.trace_flow(model, x, y, loss="mse", bins=5)
    found = json.loads(json.dumps(trace.as_dict()))
    assert found["model"] == "stack"
    first = found["signals"][1]
    assert first["path"] == "first" and first["forward"]["shape"] == [10, 6]
    assert len(first["gradient"]["histogram"]["counts"]) == 5
    text = str(trace)
    for part in ("first (Dense)", "    kernel", "(10, 6)", "d std"):
        assert part in text or part.strip() in text
    assert repr(trace).startswith("<FlowTrace of 'stack': 7 signals, loss=")
    paths, numbers = trace.series("std", "gradient", "weight")
    assert paths == ["first/kernel", "first/bias", "second/kernel", "second/bias"]
    assert np.all(numbers > 0)


@pytest.mark.parametrize("value", ["std", "zeros", "histogram"])
def test_a_trace_is_drawn_into_a_file(rng, tmp_path, value):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    model, x, y = dense_stack(rng)
    trace = keras.utils.trace_flow(model, x, y, loss="mse")
    figure = trace.plot(value, path=tmp_path / "flow.png")
    assert (tmp_path / "flow.png").read_bytes().startswith(b"\x89PNG")
    assert len(figure.axes) == 2


def test_a_trace_without_matplotlib_says_what_to_install(rng, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    model, x, y = dense_stack(rng)
    trace = keras.utils.trace_flow(model, x, y, loss="mse")
    with pytest.raises(ImportError) as error:
        trace.plot()
    assert str(error.value) == (
        "FlowTrace.plot: matplotlib must be installed to draw: `pip install kerasmirror[plot]`."
    )


def test_layers_are_themselves_again_after_an_error(rng):
    model, x, y = dense_stack(rng)
    with pytest.raises(ValueError, match="must have shape"):
        keras.utils.trace_flow(model, x[:, :2], y, loss="mse")
    assert all("call" not in layer.__dict__ for layer in model.layers)


MISTAKES = [
    (
        lambda model, x, y: keras.utils.trace_flow("model", x, y),
        TypeError,
        "trace_flow: `model` must be a keras.Model. Received: model='model'",
    ),
    (
        lambda model, x, y: keras.utils.trace_flow(model, x, y),
        ValueError,
        "trace_flow: `loss` must be given for a model that is not compiled. "
        "Received: loss=None for model 'stack'",
    ),
    (
        lambda model, x, y: keras.utils.trace_flow(model, x, loss="mse"),
        ValueError,
        "trace_flow: `y` must be given where `loss` is. Received: y=None",
    ),
    (
        lambda model, x, y: keras.utils.trace_flow(model, None, loss="mse"),
        ValueError,
        "trace_flow: `x` must be an array or a nest of arrays. Received: x=None",
    ),
    (
        lambda model, x, y: keras.utils.trace_flow(model, x, y[:3], loss="mse"),
        ValueError,
        "keras: all arrays must contain the same number of samples (data cardinality). "
        "Received: lengths x: [10], y: [3]",
    ),
    (
        lambda model, x, y: keras.utils.trace_flow(model, x[:0], y[:0], loss="mse"),
        ValueError,
        "trace_flow: `x` must contain at least one sample. Received: arrays of length 0",
    ),
    (
        lambda model, x, y: keras.utils.trace_flow(model, x, y, loss="mse", bins=0),
        ValueError,
        "trace_flow: `bins` must be an int of at least 1. Received: bins=0",
    ),
    (
        lambda model, x, y: keras.utils.trace_flow(model, x, y, loss="mse", training=1),
        ValueError,
        "trace_flow: `training` must be True or False. Received: training=1",
    ),
    (
        lambda model, x, y: keras.utils.trace_flow(model, x, y, loss="mse").series("median"),
        ValueError,
        "FlowTrace.series: `value` must be one of 'std', 'mean', 'zeros', 'minimum', 'maximum', "
        "'nans', 'infinities'. Received: value='median'",
    ),
    (
        lambda model, x, y: keras.utils.trace_flow(model, x, y, loss="mse")["third"],
        KeyError,
        "\"FlowTrace: the path must be one of ['input', 'first', 'first/kernel', "
        "'first/bias', 'second', 'second/kernel', 'second/bias']. Received: 'third'\"",
    ),
]


@pytest.mark.parametrize("action,error,text", MISTAKES)
def test_mistakes_are_told(rng, action, error, text):
    with pytest.raises(error) as raised:
        action(*dense_stack(rng))
    assert str(raised.value) == text
