"""`.weights.h5` files that one package writes and the other reads, and what is in them."""

import h5py
import numpy as np
import pytest
from side_by_side import real_keras

import kerasmirror

pytestmark = [
    pytest.mark.keras,
    # TensorFlow's tensors, with NumPy 2
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

X = np.random.RandomState(0).uniform(size=(8, 8, 8, 3)).astype("float32")
Y = np.random.RandomState(1).uniform(size=(8, 2)).astype("float32")


@pytest.fixture(scope="module")
def tf_keras():
    return real_keras()[0]


def convolutional(keras):
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5),
            keras.layers.Flatten(),
            keras.layers.Dense(5, activation="relu"),
            keras.layers.Dense(2),
        ]
    )


def windows(keras):
    """Every other kind of convolution."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.SeparableConv2D(4, 3, depth_multiplier=2, activation="relu"),
            layers.DepthwiseConv2D(3, use_bias=False),
            layers.Conv2DTranspose(4, 3, strides=2, activation="relu"),
            layers.Reshape((9, 9, 4, 1)),
            layers.Conv3D(3, 2, strides=2, activation="relu"),
            layers.Conv3DTranspose(2, 2),
            layers.Reshape((25, 6)),
            layers.SeparableConv1D(4, 3),
            layers.DepthwiseConv1D(3, 2),
            layers.Conv1DTranspose(3, 3),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )


def nested(keras):
    inner = keras.Sequential([keras.layers.Dense(3), keras.layers.Dense(4, use_bias=False)])
    return keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Flatten(), inner, keras.layers.Dense(2)]
    )


def subclassed(keras):
    class Net(keras.Model):
        """Layers in attributes, nested lists and a dict, and a weight of its own."""

        def __init__(self):
            super().__init__()
            self.flat = keras.layers.Flatten()
            self.zeta = keras.layers.Dense(2)
            self.alpha = keras.layers.Dense(3)
            self.blocks = [
                keras.layers.Dense(4),
                [keras.layers.Dense(4), keras.Sequential([keras.layers.Dense(4)])],
            ]
            self.table = {"b": keras.layers.Dense(4), "a": keras.layers.Dense(4)}
            self._hidden = keras.layers.Dense(4)
            self.own = self.add_weight(shape=(2,), name="own")

        def call(self, x):
            x = self.blocks[0](self.alpha(self.flat(x)))
            x = self.blocks[1][1](self.blocks[1][0](x))
            x = self._hidden(self.table["a"](self.table["b"](x)))
            return self.zeta(x) + self.own

    model = Net()
    model(X)
    return model


MODELS = [convolutional, nested, subclassed]
OPTIMIZERS = [
    ("SGD", {"learning_rate": 0.01}),
    ("SGD", {"learning_rate": 0.01, "momentum": 0.9}),
    ("Adam", {}),
    ("Adam", {"amsgrad": True}),
    ("AdamW", {}),
    ("RMSprop", {"momentum": 0.5, "centered": True}),
    ("Adagrad", {}),
    ("Adadelta", {}),
    ("Adamax", {}),
    ("Nadam", {}),
    ("Ftrl", {}),
    ("Lion", {}),
]


def trained(keras, make, seed=7):
    keras.utils.set_random_seed(seed)
    model = make(keras)
    model.compile("adam", "mse")
    model.train_on_batch(X, Y)
    model.train_on_batch(X[:4], Y[:4])
    return model


def with_optimizer(keras, optimizer, seed):
    """A model whose optimizer has state, all of it random numbers."""
    name, arguments = optimizer
    model = nested(keras)
    model.compile(getattr(keras.optimizers, name)(**arguments), "mse")
    model.optimizer.build(model.trainable_variables)
    rng = np.random.RandomState(seed)
    for variable in model.optimizer.variables:
        variable.assign(rng.randint(1, 99, size=variable.shape).astype(variable.dtype))
    return model


def content(path):
    """Names, attributes, dtypes and shapes of everything in the file; automatic names left out."""
    described = {}

    def describe(name, item):
        if isinstance(item, h5py.Dataset):
            described[name] = item.shape, str(item.dtype), dict(item.attrs)
        else:
            described[name] = sorted(item.attrs)

    with h5py.File(path) as file:
        file.visititems(describe)
    return described


def assert_same_weights(model, other):
    assert len(model.weights) == len(other.weights)
    for ours, theirs in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def assert_same_optimizer(model, other):
    assert len(model.optimizer.variables) == len(other.optimizer.variables)
    for ours, theirs in zip(model.optimizer.variables, other.optimizer.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(ours.numpy()), np.asarray(theirs.numpy()))


@pytest.mark.parametrize("make", MODELS)
def test_files_of_models_without_an_optimizer_have_one_layout(tf_keras, tmp_path, make):
    ours, theirs = tmp_path / "ours.weights.h5", tmp_path / "theirs.weights.h5"
    make(kerasmirror).save_weights(ours)
    make(tf_keras).save_weights(theirs)
    assert content(ours) == content(theirs)


@pytest.mark.parametrize("make", MODELS)
def test_files_of_trained_models_have_one_layout(tf_keras, tmp_path, make):
    ours, theirs = tmp_path / "ours.weights.h5", tmp_path / "theirs.weights.h5"
    trained(kerasmirror, make).save_weights(ours)
    trained(tf_keras, make).save_weights(theirs)
    assert content(ours) == content(theirs)


@pytest.mark.parametrize("make", MODELS)
def test_keras_reads_our_files(tf_keras, tmp_path, make):
    path = tmp_path / "ours.weights.h5"
    model = trained(kerasmirror, make)
    model.save_weights(path)
    other = trained(tf_keras, make, seed=8)
    other.load_weights(path)
    assert_same_weights(model, other)
    assert_same_optimizer(model, other)
    np.testing.assert_allclose(
        np.asarray(model.predict(X, verbose=0)), other.predict(X, verbose=0), atol=1e-5
    )


@pytest.mark.parametrize("make", MODELS)
def test_we_read_files_of_keras(tf_keras, tmp_path, make):
    path = tmp_path / "theirs.weights.h5"
    other = trained(tf_keras, make)
    other.save_weights(path)
    model = trained(kerasmirror, make, seed=8)
    model.load_weights(path)
    assert_same_weights(model, other)
    assert_same_optimizer(model, other)


@pytest.mark.parametrize("suffix", [".weights.h5", ".keras", ".h5"])
def test_every_kind_of_convolution_goes_both_ways(tf_keras, tmp_path, suffix):
    """The two packages draw the same weights from a seed; what is read must be what was drawn."""
    packages = kerasmirror, tf_keras
    for writer, reader in (packages, packages[::-1]):
        writer.utils.set_random_seed(3)
        model, path = windows(writer), tmp_path / f"{writer.__name__}{suffix}"
        if suffix == ".weights.h5":
            model.save_weights(path)
            other = windows(reader)
            other.load_weights(path)
        else:
            model.save(path)
            other = reader.models.load_model(path)
        assert_same_weights(model, other)
        outputs = [np.asarray(one(X)) for one in (model, other)]
        np.testing.assert_allclose(*outputs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "optimizer", OPTIMIZERS, ids=lambda o: "-".join([o[0], *o[1]]) if isinstance(o, tuple) else o
)
def test_the_state_of_each_optimizer_goes_both_ways(tf_keras, tmp_path, optimizer):
    if not hasattr(kerasmirror.optimizers, optimizer[0]):
        pytest.skip(f"optimizers.{optimizer[0]} is not there yet")
    ours, theirs = tmp_path / "ours.weights.h5", tmp_path / "theirs.weights.h5"
    model = with_optimizer(kerasmirror, optimizer, seed=1)
    other = with_optimizer(tf_keras, optimizer, seed=2)
    model.save_weights(ours)
    other.save_weights(theirs)
    assert content(ours) == content(theirs)
    again = with_optimizer(kerasmirror, optimizer, seed=3)
    again.load_weights(theirs)
    assert_same_optimizer(again, other)
    other.load_weights(ours)
    assert_same_optimizer(model, other)


def test_training_goes_on_with_keras_where_we_stopped(tf_keras, tmp_path):
    path = tmp_path / "ours.weights.h5"
    model = trained(kerasmirror, nested)
    model.save_weights(path)
    other = trained(tf_keras, nested, seed=8)
    other.load_weights(path)
    for _ in range(3):
        model.train_on_batch(X, Y)
        other.train_on_batch(X, Y)
    for ours, theirs in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_an_optimizer_that_is_not_built_is_skipped_with_a_warning_on_both_sides(tf_keras, tmp_path):
    path = tmp_path / "theirs.weights.h5"
    other = trained(tf_keras, nested)
    other.save_weights(path)
    for keras in (kerasmirror, tf_keras):
        model = nested(keras)
        model.compile("adam", "mse")
        with pytest.warns(UserWarning, match="Skipping variable loading for optimizer 'adam"):
            model.load_weights(path)
        assert_same_weights(model, other)


def test_a_model_of_other_shapes_is_refused_by_both(tf_keras, tmp_path):
    path = tmp_path / "ours.weights.h5"
    nested(kerasmirror).save_weights(path)
    for keras in (kerasmirror, tf_keras):
        model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3)])
        with pytest.raises(ValueError):
            model.load_weights(path)
