"""Whole models on a GPU, the emulated one where there is no other, against the CPU."""

import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror.core import device as devices

layers = keras.layers


@pytest.fixture(autouse=True)
def _gpu(some_gpu):
    yield
    devices.GPU.used = False  # the other tests of this process go on as if there were none


def dense_network():
    return keras.Sequential(
        [
            layers.Input((6,)),
            layers.Dense(5, activation="relu"),
            layers.Dense(4, activation="tanh"),
            layers.Dense(3),
        ]
    )


def convolutional_network():
    return keras.Sequential(
        [
            layers.Input((8, 8, 3)),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.Conv2D(4, 3, strides=2, activation="relu"),
            layers.MaxPooling2D(),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(7, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(3, activation="softmax"),
        ]
    )


def residual_network():
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(4, 3, padding="same")(inputs)
    y = layers.Activation("relu")(layers.LayerNormalization()(x))
    y = layers.Conv2D(4, 3, padding="same", kernel_regularizer="l2")(y)
    x = layers.add([x, y])
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(x))


NETWORKS = {
    "dense": (dense_network, (6,), True),
    "convolutional": (convolutional_network, (8, 8, 3), False),
    "residual": (residual_network, (6, 6, 2), False),
}


def train(device, build, shape, from_logits, optimizer="adam", **fit):
    """(history, predictions, evaluation, weights) of a training on a device."""
    keras.utils.set_random_seed(3)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, *shape)).astype("float32")
    y = rng.integers(0, 3, 20)
    with keras.device(device):
        model = build()
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)
        model.compile(optimizer, loss, metrics=["accuracy"])
        history = model.fit(x, y, batch_size=8, epochs=3, verbose=0, **fit).history
        predictions = model.predict(x, batch_size=8, verbose=0)
        evaluation = model.evaluate(x, y, verbose=0)
        graphs = [type(found).__name__ for found in model._programs.programs.values()]
        return history, predictions, evaluation, model.get_weights(), graphs


def assert_same(found, expected):
    for name, values in expected[0].items():
        np.testing.assert_allclose(found[0][name], values, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found[2], expected[2], rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(found[3], expected[3], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("network", NETWORKS)
def test_training_gives_what_it_gives_on_the_cpu(network):
    expected = train("cpu:0", *NETWORKS[network])
    found = train("gpu:0", *NETWORKS[network])
    assert_same(found, expected)
    if network != "residual":  # whose LayerNormalization no program is made for
        assert "_TrainingGraph" in found[4] and "_ForwardGraph" in found[4]


@pytest.mark.parametrize("option", ["run_eagerly", "sample_weight", "validation", "callbacks"])
def test_ways_to_train_that_no_graph_takes(option):
    rng = np.random.default_rng(1)
    fit = {
        "run_eagerly": {},
        "sample_weight": {"sample_weight": rng.random(20).astype("float32")},
        "validation": {"validation_split": 0.25},
        "callbacks": {"callbacks": [keras.callbacks.EarlyStopping("loss", patience=1)]},
    }[option]

    def build():
        model = dense_network()
        model.run_eagerly = option == "run_eagerly"
        return model

    expected = train("cpu:0", build, (6,), True, **fit)
    assert_same(train("gpu:0", build, (6,), True, **fit), expected)


def slow(optimizer):
    return pytest.param(optimizer, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    "optimizer",
    [
        keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
        slow(keras.optimizers.RMSprop(0.01, centered=True)),
        keras.optimizers.AdamW(0.01, clipnorm=0.5),
        slow(keras.optimizers.Nadam(0.01, global_clipnorm=1.0)),
        slow(keras.optimizers.Adagrad(0.01, clipvalue=0.1)),
        slow(keras.optimizers.Lion(0.001, use_ema=True, ema_overwrite_frequency=2)),
        slow(keras.optimizers.Adamax(keras.optimizers.schedules.ExponentialDecay(0.01, 2, 0.5))),
        slow(keras.optimizers.Ftrl(0.05)),
        slow(keras.optimizers.Adadelta(1.0, gradient_accumulation_steps=2)),
    ],
    ids=lambda optimizer: optimizer.name,
)
def test_optimizers_and_their_options(optimizer):
    config = keras.optimizers.serialize(optimizer)
    results = []
    for device in ("cpu:0", "gpu:0"):
        with keras.device(device):
            own = keras.optimizers.deserialize(config)
        results.append(train(device, dense_network, (6,), True, own))
    assert_same(results[1], results[0])


def test_tensors_live_where_they_are_made_and_do_not_meet():
    x = np.arange(6, dtype="float32").reshape(2, 3)
    ours = keras.ops.convert_to_tensor(x)
    with keras.device("gpu:0"):
        theirs = keras.ops.convert_to_tensor(x)
        assert (ours.device, theirs.device) == ("cpu:0", "gpu:0")
        assert keras.ops.add(ours, ours).device == "cpu:0"  # where its inputs are
        with pytest.raises(ValueError) as raised:
            keras.ops.add(ours, theirs)
    assert str(raised.value) == (
        "add: inputs must be on one device. Received: tensors on gpu:0 and cpu:0. Make them on "
        "one, in `with keras.device(...)`, or copy one over: "
        "`keras.ops.convert_to_tensor(keras.ops.convert_to_numpy(x))`"
    )
    assert keras.ops.add(theirs, 1.0).device == "gpu:0"
    assert np.array_equal(keras.ops.convert_to_numpy(theirs * 2), x * 2)
    assert keras.ops.convert_to_tensor(x).device == "cpu:0"


def test_an_operation_without_a_cuda_kernel_says_so():
    with keras.device("gpu:0"):
        x = keras.ops.convert_to_tensor(np.eye(3, dtype="float32"))
        with pytest.raises(NotImplementedError) as raised:
            keras.ops.linalg.svd(x)
    assert str(raised.value) == (
        "kerasmirror: svd: numpy.svd has no CUDA kernel for arrays on a GPU. Run it on the CPU: "
        'with keras.device("cpu:0"): ..., on tensors made there (`keras.ops.convert_to_numpy` '
        "brings them)."
    )


def test_convolutions_take_the_algorithm_that_is_set():
    x = np.random.default_rng(0).normal(size=(2, 6, 6, 3)).astype("float32")
    w = np.random.default_rng(1).normal(size=(3, 3, 3, 4)).astype("float32")
    expected = keras.ops.convert_to_numpy(keras.ops.conv(x, w))
    for algorithm in ("direct", "tiles", "gemm", "fft"):
        with keras.config.conv_algorithm(algorithm), keras.device("gpu:0"):
            y = keras.ops.convert_to_numpy(keras.ops.conv(x, w))
        np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    with keras.config.conv_algorithm("numpy"), keras.device("gpu:0"):
        with pytest.raises(NotImplementedError, match='the convolution "numpy" has no CUDA'):
            keras.ops.conv(x, w)
    with keras.config.conv_algorithm("tiles"):
        with pytest.raises(ValueError, match='"tiles" needs a GPU. Received: algorithm="tiles"'):
            keras.ops.conv(x, w)


def test_tensor_cores_are_off_unless_they_are_asked_for():
    rng = np.random.default_rng(0)
    # Large enough for them to be worth while.
    x, w = (rng.normal(size=s).astype("float32") for s in ((256, 64), (64, 256)))
    with keras.device("gpu:0"):
        assert keras.config.tensor_cores() is False
        plain = keras.ops.convert_to_numpy(keras.ops.matmul(x, w))
        with keras.config.tensor_cores(True):
            rounded = keras.ops.convert_to_numpy(keras.ops.matmul(x, w))
        again = keras.ops.convert_to_numpy(keras.ops.matmul(x, w))
    assert np.array_equal(plain, again) and not np.array_equal(plain, rounded)
    np.testing.assert_allclose(plain, x @ w, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(rounded, x @ w, atol=2e-3 * np.abs(x @ w).max())
    with pytest.raises(ValueError, match="keras.config.tensor_cores: `enabled` must be True or Fa"):
        keras.config.tensor_cores("tf32")


def test_labels_out_of_range_leave_the_model_as_it_was():
    x, y = np.ones((16, 6), "float32"), np.zeros(16, "int64")
    with keras.device("gpu:0"):
        model = dense_network()
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss)
        model.fit(x, y, batch_size=8, verbose=0)
        before = model.get_weights()
        y[11] = 3
        with pytest.raises(ValueError) as raised:
            model.fit(x[8:], y[8:], batch_size=8, shuffle=False, verbose=0)
        assert all(map(np.array_equal, model.get_weights(), before))
    assert str(raised.value) == (
        "keras.ops.sparse_categorical_crossentropy: `target` must hold class numbers from 0 to 2, "
        "as `output` has 3 classes. Received: label 3 at position (3,)"
    )


def test_too_little_memory_leaves_the_model_as_it_was(monkeypatch):
    from kerasmirror.kernels.cuda import memory

    x, y = np.ones((8, 6), "float32"), np.zeros(8, "int64")
    with keras.device("gpu:0"):
        model = dense_network()
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        model.fit(x, y, verbose=0)
        before = model.get_weights()
        device = devices.GPU.kernels.device.current()
        monkeypatch.setattr(device, "allocate", lambda n_bytes: None)
        memory.clear_pool()
        with pytest.raises(MemoryError, match="has not enough memory"):
            model.fit(np.ones((16, 6), "float32"), np.zeros(16, "int64"), batch_size=16, verbose=0)
        monkeypatch.undo()
        assert all(map(np.array_equal, model.get_weights(), before))
        model.fit(x, y, verbose=0)


def test_values_come_back_once_an_epoch_and_batches_go_there_once(monkeypatch):
    x, y = np.ones((24, 6), "float32"), np.zeros(24, "int64")
    with keras.device("gpu:0"):
        model = dense_network()
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, metrics=["accuracy"])
        model.fit(x, y, batch_size=8, epochs=2, verbose=0)
        device = devices.GPU.kernels.device.current()
        copies = {"copy_in": 0, "copy_out": 0}

        def counted(name):
            run = getattr(device, name)

            def count(*args):
                copies[name] += 1
                return run(*args)

            return count

        for name in copies:
            monkeypatch.setattr(device, name, counted(name))
        model.fit(x, y, batch_size=8, epochs=2, verbose=0)
        assert copies["copy_out"] == 2 * 2  # epochs, times the loss and one metric
        assert copies["copy_in"] <= 2 * 3 * 2 + 2  # x and y of three batches; two resets
        copies["copy_out"] = 0
        model.evaluate(x, y, batch_size=8, verbose=0)
        assert copies["copy_out"] == 2
        copies["copy_out"] = 0
        model.predict(x, batch_size=8, verbose=0)
        assert copies["copy_out"] == 3


def test_files_go_from_one_device_to_the_other(tmp_path):
    path = tmp_path / "model.keras"
    x = np.random.default_rng(0).normal(size=(4, 8, 8, 3)).astype("float32")
    with keras.device("gpu:0"):
        model = convolutional_network()
        expected = model.predict(x, verbose=0)
        model.save(path)
    np.testing.assert_allclose(keras.models.load_model(path).predict(x, verbose=0), expected, 1e-5)
    with keras.device("gpu:0"):
        again = keras.models.load_model(path)
        assert again.weights[0].value.device == "gpu:0"
        np.testing.assert_allclose(again.predict(x, verbose=0), expected, rtol=1e-6)


def test_a_hand_written_loop_with_a_tape():
    def run(device):
        keras.utils.set_random_seed(1)
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(16, 6)).astype("float32"), rng.integers(0, 3, 16)
        with keras.device(device):
            model, losses = dense_network(), []
            optimizer = keras.optimizers.Adam(0.01)
            loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            for _ in range(4):
                with keras.autodiff.GradientTape() as tape:
                    loss = loss_of(y, model(x, training=True))
                weights = model.trainable_weights
                optimizer.apply(tape.gradient(loss, weights), weights)
                losses.append(float(loss))
        return losses

    np.testing.assert_allclose(run("gpu:0"), run("cpu:0"), rtol=1e-5)
