"""Fused layers against the same layers called one by one, which are the oracle."""

import copy
import gc

import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror.models import fusion

L = keras.layers


@pytest.fixture(autouse=True)
def no_setting_stays():
    before = keras.config.fusion()
    yield
    keras.config.fusion(before)


def conv(filters=9, size=3, activation="relu", **options):
    return L.Conv2D(
        filters, size, padding="same", activation=activation, bias_initializer="normal", **options
    )


def dense(units, activation="relu", **options):
    return L.Dense(units, activation=activation, bias_initializer="normal", **options)


def norm(**options):
    # Statistics that are far from those of a layer just made.
    return L.BatchNormalization(
        momentum=0.8,
        moving_mean_initializer="normal",
        moving_variance_initializer=keras.initializers.RandomUniform(0.5, 2),
        gamma_initializer=keras.initializers.RandomUniform(-2, 2),
        beta_initializer="normal",
        **options,
    )


IMAGES = (10, 12, 3)
# name: (input shape, layers, how many of them each operation takes)
STACKS = {
    "conv-pool": (IMAGES, lambda: [conv(), L.MaxPooling2D()], [2]),
    "conv-pool-dropout": (IMAGES, lambda: [conv(), L.MaxPooling2D(), L.Dropout(0.3)], [3]),
    "linear-conv-pool-dropout-flatten": (
        IMAGES,
        lambda: [conv(8, activation=None), L.MaxPooling2D(3, 2), L.Dropout(0.3), L.Flatten()],
        [4],
    ),
    "conv-without-bias": (IMAGES, lambda: [conv(5, use_bias=False), L.MaxPooling2D()], [2]),
    "conv-dropout": (IMAGES, lambda: [conv(4, strides=2), L.Dropout(0.5), L.Flatten()], [3]),
    "conv-activation": (IMAGES, lambda: [conv(activation=None), L.Activation("relu")], [2]),
    "conv-relu-pool": (
        IMAGES,
        lambda: [conv(activation=None), L.ReLU(), L.MaxPool2D((2, 3), 1, "same"), L.Dropout(0.1)],
        [4],
    ),
    "two-convs": (
        IMAGES,
        lambda: [conv(), conv(16), L.MaxPooling2D(), L.Dropout(0.2), L.Flatten(), dense(7)],
        [1, 4, 1],
    ),
    "pool-first": (IMAGES, lambda: [L.MaxPooling2D(), L.Dropout(0.4), conv()], [2, 1]),
    "one-axis": (
        (20, 3),
        lambda: [L.Conv1D(6, 3, activation="relu"), L.MaxPooling1D(3), L.Dropout(0.2), L.Flatten()],
        [4],
    ),
    "pool-one-axis": ((20, 3), lambda: [L.MaxPooling1D(), L.Flatten()], [2]),
    "dense-dropout": ((11,), lambda: [dense(9), L.Dropout(0.3), dense(4, "softmax")], [2, 1]),
    "dense-on-sequences": ((5, 11), lambda: [dense(9, None), L.ReLU(), L.Dropout(0.3)], [3]),
    "norm-relu-pool": (
        IMAGES,
        lambda: [conv(9, activation=None), norm(), L.ReLU(), L.MaxPooling2D(), L.Dropout(0.2)],
        [5],
    ),
    "norm-flatten": (
        IMAGES,
        lambda: [conv(4, activation=None, use_bias=False), norm(scale=False), L.Flatten()],
        [3],
    ),
    "norm-dropout": (
        IMAGES,
        lambda: [conv(4, 1, None), norm(), L.Activation("relu"), L.Dropout(0.4), L.Flatten()],
        [5],
    ),
    "norm-behind-dense": (
        (3,),
        lambda: [dense(6, None), norm(center=False), L.ReLU(), L.Dropout(0.4), dense(2, None)],
        [4, 1],
    ),
    "no-dropout-at-all": ((11,), lambda: [dense(9), L.Dropout(0.0)], [2]),
}


def stack(name, dtype="float32"):
    shape, layers, counts = STACKS[name]
    keras.utils.set_random_seed(4)
    before = keras.config.floatx()
    keras.config.set_floatx(dtype)
    try:
        model = keras.Sequential([keras.Input(shape), *layers()])
    finally:
        keras.config.set_floatx(before)
    return model, counts


def images(model, dtype="float32", count=6):
    return np.random.default_rng(3).normal(size=(count, *model.input_shape[1:])).astype(dtype)


def counts_of(model):
    return [len(layers) for group, layers in fusion.groups_of_stack(model)]


def outputs_and_gradients(model, x, fused, training=True):
    """The output and the gradients of x and all weights, from the model's first random numbers."""
    for generator in [g for layer in model.layers for g in layer._seed_generators]:
        generator.state.assign([7, 0])
    x = keras.ops.convert_to_tensor(x)
    with keras.config.fusion(fused), keras.autodiff.GradientTape() as tape:
        tape.watch(x)
        y = model(x, training=training)
        loss = keras.ops.sum(y * y)
    return y, tape.gradient(loss, [x, *model.trainable_weights])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", STACKS)
def test_fused_layers_give_the_bits_and_gradients_of_the_layers(name, dtype):
    model, counts = stack(name, dtype)
    assert counts_of(model) == counts
    x, weights = images(model, dtype), model.get_weights()
    expected, expected_gradients = outputs_and_gradients(model, x, fused=False)
    states = [v.numpy() for v in model.non_trainable_variables]
    model.set_weights(weights)
    actual, gradients = outputs_and_gradients(model, x, fused=True)
    assert actual.dtype == dtype and actual.shape == expected.shape
    np.testing.assert_array_equal(actual, expected)
    for ours, theirs in zip(gradients, expected_gradients, strict=True):
        assert ours.shape == theirs.shape and ours.dtype == dtype
        # A bias in front of a normalization changes nothing: its gradient is rounding alone.
        compared = expected_gradients if "norm" in name else [theirs]
        largest = max(np.abs(gradient).max() for gradient in compared)
        bound = (1e-6 if dtype == "float32" else 1e-14) * largest
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=4 * bound)
    for ours, theirs in zip(model.non_trainable_variables, states, strict=True):
        np.testing.assert_array_equal(ours, theirs)  # the seeds went on alike


@pytest.mark.parametrize("name", STACKS)
def test_fused_layers_predict_the_bits_of_the_layers(name):
    model, _ = stack(name)
    x = images(model)
    with keras.config.fusion(False):
        expected = model(x)
    # A normalization that is part of the weights rounds otherwise.
    tolerance = 2e-6 if "norm" in name else 0
    np.testing.assert_allclose(model(x), expected, rtol=0, atol=tolerance * np.abs(expected).max())
    predicted = model.predict(x, verbose=0, batch_size=4)
    np.testing.assert_allclose(predicted, expected, rtol=0, atol=tolerance * np.abs(expected).max())
    # Without a tape, dropout in training is the same too.
    state, weights = keras.ops.convert_to_tensor, model.get_weights()
    outputs = []
    for fused in (False, True):
        model.set_weights(weights)
        for generator in [g for layer in model.layers for g in layer._seed_generators]:
            generator.state.assign(state([9, 1]))
        with keras.config.fusion(fused):
            outputs.append(model(x, training=True).numpy())
    np.testing.assert_array_equal(*outputs)


@pytest.mark.parametrize("name", ["two-convs", "conv-relu-pool", "pool-first", "dense-dropout"])
def test_functional_chains_are_fused_alike(name):
    model, counts = stack(name)
    graph = keras.Model(model.inputs, model.outputs)
    found = [len(steps) for _, steps in graph._graph.fused.parts(graph._graph)]
    assert found == counts
    x = images(model)
    expected, expected_gradients = outputs_and_gradients(graph, x, fused=False)
    actual, gradients = outputs_and_gradients(graph, x, fused=True)
    np.testing.assert_array_equal(actual, expected)
    for ours, theirs in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=4e-6 * np.abs(theirs).max())
    copied = copy.deepcopy(graph)
    np.testing.assert_array_equal(copied(x), graph(x))


def test_fitting_takes_the_same_path_fused_or_not():
    losses = []
    for fused in (False, True):
        model, _ = stack("two-convs")
        model.compile("sgd", "mse")
        rng = np.random.default_rng(0)
        x, y = images(model, count=40), rng.normal(size=(40, 7)).astype("float32")
        with keras.config.fusion(fused):
            history = model.fit(x, y, epochs=2, batch_size=16, verbose=0).history["loss"]
            losses.append([*history, model.evaluate(x, y, verbose=0)])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)


def test_the_output_of_a_convolution_is_let_go_after_pooling():
    from kerasmirror.kernels.cpu.memory import pool_statistics

    model = keras.Sequential([keras.Input((64, 64, 3)), conv(16), L.MaxPooling2D(), L.Dropout(0.2)])
    x = images(model, count=8)
    used = {}
    gc.collect()  # what other tests left must not be freed in between
    for fused in (False, True):
        with keras.config.fusion(fused), keras.autodiff.GradientTape() as tape:
            before = pool_statistics()["used_bytes"]
            y = model(x, training=True)
            used[fused] = pool_statistics()["used_bytes"] - before
            tape.reset()
    pooled = y.data.nbytes
    assert used[False] >= 6 * pooled  # the convolution's output and more
    assert used[True] <= 1.5 * pooled  # the result and a byte for each maximum


@pytest.mark.parametrize("name", ["norm-relu-pool", "norm-behind-dense"])
def test_a_normalization_becomes_part_of_fewer_weights_without_a_tape_only(name, monkeypatch):
    model, _ = stack(name)
    (group, _), *_ = fusion.groups_of_stack(model)
    folded = []
    normalized = fusion.Group._normalized_weights
    monkeypatch.setattr(
        fusion.Group, "_normalized_weights", lambda self: folded.append(1) or normalized(self)
    )
    model.run_eagerly = True
    model(images(model, count=8))
    assert folded == [1]
    model(images(model, count=8), training=True)
    with keras.autodiff.GradientTape():
        model(images(model, count=8))
    assert folded == [1]
    if name == "norm-behind-dense":  # 3 x 6 weights, 2 x 6 values
        model(images(model, count=2))
        assert folded == [1]
        with keras.config.fusion(False):
            expected = model(images(model))
        model.layers[1].trainable = False  # then training predicts too
        model.layers[3].rate = 0.0
        actual = model(images(model), training=True)
        assert folded == [1, 1]
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5)


# --- what is not fused ----------------------------------------------------------------------


class MyDropout(L.Dropout):
    def call(self, inputs, training=False):
        return super().call(inputs, training=training)


@pytest.mark.parametrize(
    "layers, counts",
    [
        ([conv(), MyDropout(0.3)], [1, 1]),
        ([conv(), L.Dropout(0.3, noise_shape=(None, 1, 1, None))], [1, 1]),
        ([conv(activation=None), L.Dropout(0.3)], [1, 1]),
        ([conv(activation="tanh"), L.MaxPooling2D(), L.Dropout(0.3)], [1, 2]),
        ([conv(), L.AveragePooling2D(2)], [1, 1]),
        ([conv(activity_regularizer="l2"), L.MaxPooling2D()], [1, 1]),
        ([conv(dtype="mixed_float16"), L.MaxPooling2D(dtype="float16")], [1, 1]),
        ([conv(), L.MaxPooling2D(dtype="float64")], [1, 1]),
        ([conv(activation=None), L.ReLU(max_value=6)], [1, 1]),
        ([conv(), L.MaxPooling2D(data_format="channels_first")], [1, 1]),
        ([conv(data_format="channels_first"), L.MaxPooling2D()], [1, 1]),
        ([conv(), L.MaxPooling2D((10, 12)), L.Flatten(data_format="channels_first")], [2, 1]),
        ([dense(3, None), L.Dropout(0.4)], [1, 1]),
        ([L.Dropout(0.4), L.Flatten()], [1, 1]),
    ],
    ids=str,
)
def test_other_layers_are_left_as_they_are(layers, counts):
    model = keras.Sequential([keras.Input((10, 12, 12)), *layers])
    # A pooling alone is an operation of its own, which keeps less.
    assert counts_of(model) == counts
    with keras.config.fusion(False):
        expected = model(images(model))
    np.testing.assert_array_equal(model(images(model)), expected)


def test_a_window_too_large_for_a_byte_is_left_as_it_is():
    model = keras.Sequential([keras.Input((20, 20, 3)), conv(), L.MaxPooling2D(16)])
    assert counts_of(model) == [1, 1]
    model = keras.Sequential([keras.Input((20, 20, 3)), conv(), L.MaxPooling2D((15, 17))])
    assert counts_of(model) == [2]
    x = np.arange(2 * 400 * 3, dtype="float32").reshape(2, 20, 20, 3)
    results = [outputs_and_gradients(model, x / 1000, fused) for fused in (False, True)]
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_allclose(results[0][1][0], results[1][1][0], rtol=1e-5, atol=1e-5)


def test_a_changed_layer_is_called_as_it_now_is():
    model, _ = stack("conv-pool-dropout")
    x = images(model)
    first = model(x)
    model.layers[0].activation = keras.activations.linear
    changed = model(x)
    assert np.abs(changed.numpy() - first.numpy()).max() > 0.1
    with keras.config.fusion(False):
        np.testing.assert_array_equal(model(x), changed)
    pooling = model.layers[1]
    before = pooling.call
    pooling.call = lambda inputs: before(inputs) * 2
    assert counts_of(model) == [1, 1, 1]
    np.testing.assert_array_equal(model(x), 2 * changed.numpy())


def test_a_call_put_into_a_class_is_heeded(monkeypatch):
    model, _ = stack("conv-pool-dropout")
    x = images(model)
    expected = model(x).numpy()
    call, calls = L.MaxPooling2D.call, []
    monkeypatch.setattr(L.MaxPooling2D, "call", lambda self, x: calls.append(self) or call(self, x))
    model.run_eagerly = True
    np.testing.assert_array_equal(model(x), expected)
    assert calls == [model.layers[1]]


def test_added_and_removed_layers_change_the_groups():
    model, counts = stack("conv-pool-dropout")
    x = images(model)
    dropped = model(x)
    model.pop()
    assert counts_of(model) == [2]
    np.testing.assert_array_equal(model(x), dropped)  # dropout does nothing in prediction
    model.add(L.Flatten())
    assert counts_of(model) == [3] and model(x).ndim == 2
    np.testing.assert_array_equal(model(x).numpy().reshape(dropped.shape), dropped)


def test_a_mask_goes_through_the_layers():
    model, _ = stack("dense-on-sequences")
    tensor = keras.ops.convert_to_tensor(images(model))
    tensor.mask = np.array([[True, True, False, True, False]] * 6)
    np.testing.assert_array_equal(model.call(tensor).mask, tensor.mask)


def test_intermediate_results_that_a_model_gives_are_not_fused_away():
    model, _ = stack("two-convs")
    outputs = [layer.output for layer in model.layers]
    every = keras.Model(model.inputs, outputs)
    groups = every._graph.fused.parts(every._graph)
    assert [len(steps) for _, steps in groups] == [1] * len(outputs)
    x = images(model)
    np.testing.assert_array_equal(every(x)[-1], model(x))


def test_a_value_with_two_uses_is_not_fused_away_and_branches_are():
    keras.utils.set_random_seed(2)
    inputs = keras.Input(IMAGES)
    shared = conv()(inputs)
    left = L.Dropout(0.5)(L.MaxPooling2D()(shared))
    right = L.MaxPooling2D()(conv(9)(shared))
    model = keras.Model(inputs, L.Add()([left, right]))
    groups = model._graph.fused.parts(model._graph)
    assert sorted(len(steps) for group, steps in groups if group is not None) == [2, 2]
    assert sum(len(steps) for _, steps in groups) == 6
    x = images(model)
    expected, expected_gradients = outputs_and_gradients(model, x, fused=False)
    actual, gradients = outputs_and_gradients(model, x, fused=True)
    np.testing.assert_array_equal(actual, expected)
    for ours, theirs in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=4e-6 * np.abs(theirs).max())


def test_a_layer_called_twice_keeps_its_place():
    dropout = L.Dropout(0.5, seed=1)
    first, second = keras.Input((6,)), keras.Input((6,))
    outputs = [dropout(dense(4)(first)), dropout(dense(4)(second))]
    model = keras.Model([first, second], outputs)
    assert all(group is None for group, _ in model._graph.fused.parts(model._graph))


@pytest.mark.parametrize("fused", [False, True])
def test_mistakes_are_those_of_the_layers(fused):
    model, _ = stack("conv-pool-dropout")
    graph = keras.Model(model.inputs, model.outputs)
    with keras.config.fusion(fused):
        for one in (model, graph):
            with pytest.raises(ValueError, match=f"'{one.name}'"):
                one(np.zeros((2, 10, 12, 4), "float32"))
        free = keras.Sequential(
            [keras.Input((None, None, 3)), conv(name="front"), L.MaxPooling2D()]
        )
        with pytest.raises(ValueError, match="at least as large as the window") as error:
            free(np.zeros((2, 1, 1, 3), "float32"))
        assert "max_pool" in str(error.value)


def test_the_setting_is_a_value_and_a_context():
    assert keras.config.fusion() is True
    with keras.config.fusion(False):
        assert keras.config.fusion() is False
    assert keras.config.fusion() is True
    keras.config.fusion(False)
    assert keras.config.fusion() is False
    with pytest.raises(ValueError, match="`enabled` must be True or False. Received: enabled=1"):
        keras.config.fusion(1)
