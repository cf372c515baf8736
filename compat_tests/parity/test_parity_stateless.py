"""Layer.stateless_call against Keras on TensorFlow: outputs, new state, losses, gradients."""

import numpy as np
import pytest
from side_by_side import real_keras

import kerasmirror

pytestmark = pytest.mark.keras
X = np.random.default_rng(3).standard_normal((6, 5)).astype("float32")


def stack(keras):
    return keras.Sequential(
        [
            keras.Input((5,)),
            keras.layers.Dense(4, activation="tanh", activity_regularizer="l2"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.4, seed=3),
            keras.layers.Dense(2, kernel_regularizer=keras.regularizers.L2(0.1)),
        ]
    )


def graph(keras):
    inputs = keras.Input((5,))
    x = keras.layers.Dense(4, activation="tanh")(inputs)
    x = keras.layers.Dropout(0.5, seed=2)(x)
    x = keras.layers.BatchNormalization(momentum=0.5)(x)
    return keras.Model(inputs, [x, keras.layers.Dense(2)(x)])


def subclassed(keras):
    class Tower(keras.Model):
        def __init__(self):
            super().__init__()
            self.first = keras.layers.Dense(3, activation="relu")
            self.drop = keras.layers.Dropout(0.5, seed=7)

        def call(self, inputs, training=False):
            x = self.drop(self.first(inputs), training=training)
            self.add_loss(keras.ops.sum(x))
            return x

    model = Tower()
    model(X)
    return model


def dense(keras):
    layer = keras.layers.Dense(3, kernel_regularizer="l1", activity_regularizer="l2")
    layer.build((None, 5))
    return layer


MODELS = {"stack": stack, "graph": graph, "subclassed": subclassed, "dense": dense}


def called(keras, make, tensors, gradients, options):
    """Outputs, new non-trainable values, losses, and gradients for given values of all weights."""
    model = make(keras)
    rng = np.random.default_rng(0)
    own = [variable.numpy() for variable in model.variables]
    trainable = [tensors(rng.standard_normal(v.shape) / 2) for v in model.trainable_variables]
    fixed = [
        v.numpy() if v.dtype in ("int64", "uint32") else rng.random(v.shape).astype("float32")
        for v in model.non_trainable_variables
    ]

    def run():
        outputs, state, losses = model.stateless_call(
            trainable, fixed, tensors(X), return_losses=True, **options
        )
        parts = outputs if isinstance(outputs, (list, tuple)) else [outputs]
        total = sum(keras.ops.sum(keras.ops.square(part)) for part in parts) + sum(losses)
        return total, (parts, state, losses)

    found, (parts, state, losses) = gradients(run, trainable)
    for variable, value in zip(model.variables, own, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    assert len(model.stateless_call(trainable, fixed, tensors(X), **options)) == 2
    state = [s for s, v in zip(state, model.non_trainable_variables, strict=True)]
    return [np.asarray(each, "float64") for each in (*parts, *state, *losses, *found)], len(losses)


@pytest.mark.parametrize("training", [None, False, True])
@pytest.mark.parametrize("name", MODELS)
def test_it_computes_what_keras_computes(name, training):
    keras, tf = real_keras()
    options = {} if training is None or name == "dense" else {"training": training}

    def on_tensorflow(run, sources):
        with tf.GradientTape() as tape:
            tape.watch(sources)
            total, results = run()
        return tape.gradient(total, sources), results

    def on_mirror(run, sources):
        with kerasmirror.autodiff.GradientTape() as tape:
            tape.watch(sources)
            total, results = run()
        return tape.gradient(total, sources), results

    def constant(values):
        return tf.constant(np.asarray(values, "float32"))

    def tensor(values):
        return kerasmirror.ops.convert_to_tensor(np.asarray(values, "float32"))

    expected, count = called(keras, MODELS[name], constant, on_tensorflow, options)
    actual, own_count = called(kerasmirror, MODELS[name], tensor, on_mirror, options)
    assert (len(actual), own_count) == (len(expected), count)
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ([], []),
            "Argument `trainable_variables` must be a list of tensors corresponding 1:1 to "
            "Dense().trainable_variables. Received list with length 0, but expected 2 variables.",
        ),
        (
            ([0, 0], [1]),
            "Argument `non_trainable_variables` must be a list of tensors corresponding 1:1 to "
            "Dense().non_trainable_variables. Received list with length 1, but expected 0 "
            "variables.",
        ),
    ],
)
def test_another_number_of_values_is_refused_as_by_keras(arguments, message):
    keras, _ = real_keras()
    for module in (kerasmirror, keras):
        with pytest.raises(ValueError) as raised:
            dense(module).stateless_call(*arguments, X)
        assert str(raised.value).splitlines()[0] == message


def test_a_layer_must_be_built_and_has_no_add_metric():
    with pytest.raises(ValueError) as raised:
        kerasmirror.layers.Dense(2).stateless_call([], [], X)
    assert str(raised.value) == (
        "To call stateless_call, Dense must be built (its variables must have been created), by "
        "calling it on data or by `build(input_shape)`."
    )
    with pytest.raises(NotImplementedError) as raised:
        kerasmirror.layers.Dense(2).add_metric("mean")
    assert str(raised.value) == (
        "Dense.add_metric: give metrics to `Model.compile(metrics=[...])`, or make a metric an "
        "attribute of the layer and call its `update_state()`."
    )
