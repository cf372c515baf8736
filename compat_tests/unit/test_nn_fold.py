import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror import ops
from kerasmirror.autodiff.gradcheck import check_gradients


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_space_to_depth_undoes_depth_to_space(data_format, rng):
    x = rng.standard_normal((2, 4, 6, 8) if data_format == "channels_last" else (2, 8, 4, 6))
    y = ops.depth_to_space(x, 2, data_format)
    np.testing.assert_array_equal(np.asarray(ops.space_to_depth(y, 2, data_format)), x)
    check_gradients(lambda x: ops.depth_to_space(x, 2, data_format), x)
    symbolic = ops.depth_to_space(keras.KerasTensor((None, *x.shape[1:])), 2, data_format)
    assert symbolic.shape == (None, *y.shape[1:])


def test_fold_is_the_adjoint_of_unfold(rng):
    options = {"kernel_size": (3, 2), "padding": (1, 0), "stride": 2, "dilation": (1, 2)}
    x = rng.standard_normal((2, 3, 6, 7))
    columns = np.asarray(ops.unfold(x, **options))
    weights = rng.standard_normal(columns.shape)
    back = np.asarray(ops.fold(weights, (6, 7), **options))
    np.testing.assert_allclose(np.sum(columns * weights), np.sum(x * back))
    check_gradients(lambda x: ops.unfold(x, **options), x)
    check_gradients(lambda w: ops.fold(w, (6, 7), **options), weights)
    symbolic = ops.unfold(keras.KerasTensor((None, 3, 6, 7)), **options)
    assert symbolic.shape == (None, *columns.shape[1:])
    assert ops.fold(symbolic, (6, 7), **options).shape == (None, 3, 6, 7)


def test_psnr_is_the_ratio_in_decibels():
    x = np.zeros((4, 4))
    np.testing.assert_allclose(float(ops.psnr(x, x + 0.1, 1.0)), 20.0)


ERRORS = [
    (
        lambda: ops.depth_to_space(np.ones((1, 2, 2, 3)), 2),
        "ops.depth_to_space: `x` must have channels that block_size**2, 4, divides. Received: 3",
    ),
    (
        lambda: ops.space_to_depth(np.ones((1, 2, 3, 3)), 2),
        "ops.space_to_depth: `x` must have sides that block_size, 2, divides. Received: (2, 3)",
    ),
    (
        lambda: ops.space_to_depth(np.ones((1, 2, 2, 3)), 1),
        "ops.space_to_depth: `block_size` must be at least 2, an int. Received: block_size=1",
    ),
    (
        lambda: ops.unfold(np.ones((1, 2, 2)), 2),
        "ops.unfold: `x` must have four axes. Received: x.shape=(1, 2, 2)",
    ),
    (
        lambda: ops.unfold(np.ones((1, 1, 2, 2)), 3),
        "ops.unfold: the window must fit into the padded image. Received: image size (2, 2), "
        "kernel_size=(3, 3), dilation=(1, 1), padding=(0, 0)",
    ),
    (
        lambda: ops.fold(np.ones((1, 4, 3)), 3, 2),
        "ops.fold: `x` must be 3D, (batch, channels * 4, 4) for these windows. "
        "Received: x.shape=(1, 4, 3)",
    ),
    (
        lambda: ops.psnr(np.ones(3), np.ones(4), 1.0),
        "ops.psnr: `x1` and `x2` must have the same shape. Received: x1.shape=(3,), x2.shape=(4,)",
    ),
]


@pytest.mark.parametrize(("run", "message"), ERRORS)
def test_mistakes_are_named(run, message):
    with pytest.raises(ValueError) as error:
        run()
    assert str(error.value) == message
