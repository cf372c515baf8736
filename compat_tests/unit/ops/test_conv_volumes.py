"""Convolutions over three axes, against sums written out, and their adjoint."""

import itertools

import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror import ops
from kerasmirror.autodiff.gradcheck import check_gradients

CASES = [  # strides, padding, dilation, groups
    (1, "valid", 1, 1),
    (1, "same", 1, 2),
    ((1, 2, 3), "valid", 1, 1),
    (2, "same", 1, 1),
    (1, "valid", (2, 1, 2), 2),
    (2, "same", 2, 1),
]


def written_out(x, w, strides, padding, dilation, groups):
    strides, dilation = np.broadcast_to(strides, 3), np.broadcast_to(dilation, 3)
    reach = (np.array(w.shape[:3]) - 1) * dilation + 1
    sizes, pads = [], []
    for size, stride, need in zip(x.shape[1:4], strides, reach, strict=True):
        out = -(-size // stride) if padding == "same" else (size - need) // stride + 1
        total = max((out - 1) * stride + need - size, 0) if padding == "same" else 0
        sizes.append(out)
        pads.append((total // 2, total - total // 2))
    x = np.pad(x, [(0, 0), *pads, (0, 0)])
    y = np.zeros((x.shape[0], *sizes, w.shape[-1]), x.dtype)
    per_group, filters = w.shape[3], w.shape[4] // groups
    for place in itertools.product(*map(range, sizes)):
        for tap in itertools.product(*map(range, w.shape[:3])):
            d, h, v = np.array(place) * strides + np.array(tap) * dilation
            for g in range(groups):
                channels, out = (
                    slice(g * per_group, (g + 1) * per_group),
                    slice(g * filters, (g + 1) * filters),
                )
                y[(slice(None), *place, out)] += x[:, d, h, v, channels] @ w[tap][:, out]
    return y


def data(groups=1, dtype="float64", channels=4, filters=6):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(2, 5, 6, 7, channels)).astype(dtype)
    return x, rng.normal(size=(3, 2, 3, channels // groups, filters)).astype(dtype)


@pytest.mark.parametrize(("strides", "padding", "dilation", "groups"), CASES)
def test_a_convolution_is_its_sum(strides, padding, dilation, groups):
    x, w = data(groups)
    expected = written_out(x, w, strides, padding, dilation, groups)
    options = {"strides": strides, "padding": padding, "dilation_rate": dilation}
    y = ops.conv(x, w, **options)
    np.testing.assert_allclose(y, expected, rtol=1e-10, atol=1e-10)
    first = ops.conv(x.transpose(0, 4, 1, 2, 3), w, data_format="channels_first", **options)
    np.testing.assert_allclose(np.transpose(first, (0, 2, 3, 4, 1)), expected, atol=1e-10)
    spec = ops.conv(keras.KerasTensor((None, *x.shape[1:])), keras.KerasTensor(w.shape), **options)
    assert spec.shape == (None, *expected.shape[1:])


@pytest.mark.parametrize(("strides", "padding", "dilation", "groups"), CASES)
def test_its_gradients_match_finite_differences(strides, padding, dilation, groups):
    x, w = data(groups, channels=2, filters=2)
    options = {"strides": strides, "padding": padding, "dilation_rate": dilation}
    check_gradients(lambda x, w: ops.conv(x, w, **options), x[:1, :, :5, :5], w)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("strides", "dilation"), [(1, 1), (2, 1), ((1, 2, 3), 1), (1, 2)])
def test_the_transposed_one_is_the_adjoint(strides, padding, dilation):
    _, w = data()
    rng = np.random.default_rng(4)
    y = rng.normal(size=(2, 3, 2, 3, 6))
    options = {"strides": strides, "padding": padding, "dilation_rate": dilation}
    back = np.asarray(ops.conv_transpose(y, w, **options))
    x = rng.normal(size=back.shape)
    forth = np.asarray(ops.conv(x, w, **options))
    assert forth.shape == y.shape
    np.testing.assert_allclose(np.sum(forth * y), np.sum(x * back), rtol=1e-10)
    spec = ops.conv_transpose(keras.KerasTensor((None, 3, 2, 3, 6)), keras.KerasTensor(w.shape),
                              **options)  # fmt: skip
    assert spec.shape == (None, *back.shape[1:])


def test_the_transposed_ones_gradients_match_finite_differences():
    _, w = data(channels=2, filters=2)
    y = np.random.default_rng(5).normal(size=(1, 2, 2, 3, 2))
    check_gradients(lambda y, w: ops.conv_transpose(y, w, strides=2, padding="same"), y, w)


@pytest.mark.keras
@pytest.mark.parametrize("output_padding", [None, 1])
def test_values_are_those_of_keras(output_padding):
    theirs = pytest.importorskip("keras").ops
    x, w = data(dtype="float32")
    y = np.random.default_rng(6).normal(size=(2, 3, 4, 5, 6)).astype("float32")
    for padding in ("valid", "same"):
        np.testing.assert_allclose(
            ops.conv(x, w, 2, padding), theirs.conv(x, w, 2, padding), rtol=1e-4, atol=1e-4
        )
        arguments = (y, w, 2, padding, output_padding)
        np.testing.assert_allclose(
            ops.conv_transpose(*arguments), theirs.conv_transpose(*arguments), rtol=1e-4, atol=1e-4
        )


def test_a_window_that_does_not_fit_is_told():
    x, w = data()
    with pytest.raises(ValueError) as raised:
        ops.conv(x[:, :2], w)
    assert str(raised.value) == (
        "ops.conv: `inputs` must be at least as large as the dilated window. Received: "
        "inputs.shape=(2, 2, 6, 7, 4), kernel.shape=(3, 2, 3, 4, 6), dilation_rate=(1, 1, 1), "
        "padding='valid'"
    )
