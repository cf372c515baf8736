"""Operations whose rules take another way on a GPU, against the CPU."""

import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror import ops
from kerasmirror.core import device as devices

X = np.random.default_rng(0).normal(size=(2, 6, 5)).astype("float32")


@pytest.fixture(autouse=True)
def _gpu(some_gpu):
    yield
    devices.GPU.used = False  # the other tests of this process go on as if there were none


@pytest.fixture
def alike():
    """alike(function, x): result and gradient in x are on the GPU those of the CPU."""

    def run(device, function, x):
        with keras.device(device):
            v = keras.Variable(x)
            with keras.autodiff.GradientTape() as tape:
                y = function(v)
                weighted = ops.sum(ops.cast(y, "float32") * 1.5)
            gradient = tape.gradient(weighted, [v])[0]
            assert y.device == device
            return [None if t is None else ops.convert_to_numpy(t) for t in (y, gradient)]

    def check(function, x):
        pairs = zip(run("gpu:0", function, x), run("cpu:0", function, x), strict=True)
        for found, expected in pairs:
            if expected is None:
                assert found is None
                continue
            assert found.dtype == expected.dtype
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)

    return check


def ctc_loss(logits, labels=((3, 3, 1), (1, 2, 1))):
    return ops.ctc_loss(np.array(labels), logits, np.array([3, 2]), np.array([6, 5]))


def test_ctc_loss_and_its_gradient(alike):
    alike(ctc_loss, X)


def test_ctc_loss_names_a_label_that_is_no_class():
    for device in ("cpu:0", "gpu:0"):
        with keras.device(device), pytest.raises(ValueError, match="Received: 9 in sample 1"):
            ctc_loss(ops.convert_to_tensor(X), labels=((3, 3, 1), (1, 9, 1)))


@pytest.mark.parametrize("axis", [-1, 0, 1])
@pytest.mark.parametrize("dtype", ["float32", "bool", "int32"])
def test_one_hot_and_multi_hot(alike, axis, dtype):
    classes = np.array([[0, 3, -1], [4, 1, 1]])
    alike(lambda v: ops.one_hot(ops.convert_to_tensor(classes), 4, axis, dtype), X)
    alike(lambda v: ops.one_hot(ops.argmax(v, 1), 6, axis, dtype), X)
    alike(lambda v: ops.multi_hot(ops.convert_to_tensor(classes), 4, axis, dtype), X)


def test_nonzero(alike):
    alike(lambda v: ops.stack(ops.nonzero(v > 0.3)), X)
