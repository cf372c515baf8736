import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror import ops
from kerasmirror.autodiff.gradcheck import check_gradients
from kerasmirror.autodiff.tape import GradientTape
from kerasmirror.core.tensor import Tensor
from kerasmirror.ops.nn.conv import (
    conv2d_bias_activation,
    conv2d_transpose_bias_activation,
    conv_geometry,
    transpose_geometry,
)
from kerasmirror.ops.nn.dense import affine

CASES = [
    ((2, 7, 6, 3), (3, 2, 3, 4), {}),
    ((2, 7, 6, 3), (3, 2, 3, 4), {"strides": (2, 3), "padding": "same"}),
    ((2, 7, 6, 3), (2, 3, 3, 4), {"padding": "same", "dilation_rate": 2}),
    ((2, 7, 6, 4), (3, 3, 2, 6), {"padding": "same", "strides": 2}),
    ((2, 9, 3), (4, 3, 5), {"strides": 2, "padding": "same"}),
    ((2, 3, 7, 6), (3, 2, 3, 4), {"data_format": "channels_first", "padding": "same"}),
    ((2, 3, 9), (4, 3, 5), {"data_format": "channels_first", "strides": 2}),
]


@pytest.mark.parametrize(("x", "w", "options"), CASES)
def test_conv_gradients_match_finite_differences(x, w, options, rng):
    check_gradients(
        lambda x, w: ops.conv(x, w, **options), rng.standard_normal(x), rng.standard_normal(w)
    )


@pytest.mark.parametrize(("x", "w", "options"), CASES)
def test_a_placeholder_gets_the_shape_of_the_real_result(x, w, options, rng):
    x = rng.standard_normal(x).astype("float32")
    w = rng.standard_normal(w).astype("float32")
    y = ops.conv(x, w, **options)
    symbolic = ops.conv(keras.KerasTensor((None, *x.shape[1:])), w, **options)
    assert symbolic.shape == (None, *y.shape[1:])
    unknown = [None if i in (1, 2) else n for i, n in enumerate(x.shape)]
    if "data_format" not in options and len(x.shape) == 4:
        symbolic = ops.conv(keras.KerasTensor(unknown), w, **options)
        assert symbolic.shape == (2, None, None, y.shape[-1])


def test_channels_first_is_the_transposed_channels_last(rng):
    x, w = rng.standard_normal((2, 7, 6, 3)), rng.standard_normal((3, 2, 3, 4))
    last = np.asarray(ops.conv(x, w, 2, "same"))
    first = ops.conv(x.transpose(0, 3, 1, 2), w, 2, "same", data_format="channels_first")
    np.testing.assert_array_equal(np.asarray(first).transpose(0, 2, 3, 1), last)


@pytest.mark.parametrize("strides", [1, 2])
def test_depthwise_conv_is_one_conv_for_each_channel(strides, rng):
    x, w = rng.standard_normal((2, 7, 6, 3)), rng.standard_normal((3, 2, 3, 2))
    y = np.asarray(ops.depthwise_conv(x, w, strides, "same"))
    for channel in range(3):
        alone = ops.conv(x[..., [channel]], w[:, :, [channel]], strides, "same")
        np.testing.assert_allclose(y[..., 2 * channel : 2 * channel + 2], np.asarray(alone))
    check_gradients(lambda x, w: ops.depthwise_conv(x, w, strides, "same"), x, w)


def test_depthwise_conv_takes_strides_and_dilation_together(rng):
    x, w = rng.standard_normal((1, 9, 9, 2)), rng.standard_normal((3, 3, 2, 1))
    both = np.asarray(ops.depthwise_conv(x, w, 2, "valid", dilation_rate=2))
    dilated = np.asarray(ops.depthwise_conv(x, w, 1, "valid", dilation_rate=2))
    np.testing.assert_allclose(both, dilated[:, ::2, ::2])


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("strides", [1, 2, 3])
def test_conv_transpose_is_the_adjoint_of_conv(padding, strides, rng):
    w = rng.standard_normal((3, 2, 4, 3))  # window, channels of the image, channels of the map
    dy = rng.standard_normal((2, 3, 4, 3))
    x = ops.conv_transpose(dy, w, strides, padding)
    image = rng.standard_normal(x.shape)
    y = np.asarray(ops.conv(image, w, strides, padding))
    np.testing.assert_allclose(np.sum(y * dy), np.sum(image * np.asarray(x)), rtol=1e-10)
    check_gradients(lambda a, b: ops.conv_transpose(a, b, strides, padding), dy, w)


@pytest.mark.parametrize("activation", ["linear", "relu"])
def test_the_fused_convolution_is_the_unfused_one(activation, rng):
    x, w, bias = (rng.standard_normal(s) for s in ((2, 7, 6, 3), (3, 3, 3, 4), (4,)))
    geometry = conv_geometry(x.shape, w.shape, 1, "same", False, 1, owner="test")

    def fused(x, w, bias):
        return conv2d_bias_activation(x, w, bias, geometry=geometry, activation=activation)

    plain = np.asarray(ops.conv(x, w, padding="same")) + bias
    plain = np.maximum(plain, 0) if activation == "relu" else plain
    np.testing.assert_allclose(np.asarray(fused(*map(Tensor, (x, w, bias)))), plain, rtol=1e-12)
    check_gradients(fused, x, w, bias)


def test_the_fused_transposed_convolution_has_right_gradients(rng):
    x, w, bias = (rng.standard_normal(s) for s in ((2, 3, 4, 3), (3, 3, 4, 3), (4,)))
    size, geometry = transpose_geometry(x.shape, w.shape, 2, "same", None, False, 1, owner="test")
    check_gradients(
        lambda x, w, b: conv2d_transpose_bias_activation(
            x, w, b, size=size, geometry=geometry, activation="relu"
        ),
        x,
        w,
        bias,
    )


def test_gradients_that_nobody_needs_are_not_computed(rng, monkeypatch):
    from kerasmirror.autodiff.primitive import kernels_of

    k = kernels_of("cpu")

    def forbidden(*args):
        raise AssertionError("computed for nobody")

    monkeypatch.setattr(k, "conv2d_grad_input", forbidden)
    monkeypatch.setattr(k, "dense_grad_input", forbidden)
    w = Tensor(rng.standard_normal((3, 3, 3, 4)))
    with GradientTape() as tape:
        tape.watch(w)
        y = ops.conv(rng.standard_normal((2, 5, 5, 3)), w)
    assert tape.gradient(y, w).shape == w.shape
    w = Tensor(rng.standard_normal((3, 4)))
    with GradientTape() as tape:
        tape.watch(w)
        y = affine(Tensor(rng.standard_normal((2, 3))), w, None)
    assert tape.gradient(y, w).shape == w.shape


@pytest.mark.parametrize("activation", ["linear", "relu"])
@pytest.mark.parametrize("lead", [(5,), (2, 3), (2, 3, 2)])
def test_affine_gradients_match_finite_differences(activation, lead, rng):
    x, w, bias = (rng.standard_normal(s) for s in ((*lead, 4), (4, 3), (3,)))
    expected = x @ w + bias
    expected = np.maximum(expected, 0) if activation == "relu" else expected
    run = lambda x, w, b: affine(x, w, b, activation=activation)  # noqa: E731
    np.testing.assert_allclose(np.asarray(run(Tensor(x), Tensor(w), Tensor(bias))), expected)
    check_gradients(run, x, w, bias)


def test_affine_refuses_other_widths():
    message = (
        "affine: `inputs` must have 4 values on the last axis. "
        "Received: inputs.shape=(2, 5), kernel.shape=(4, 3)"
    )
    for x in (Tensor(np.ones((2, 5))), keras.KerasTensor((2, 5))):
        with pytest.raises(ValueError) as error:
            affine(x, Tensor(np.ones((4, 3))), None)
        assert str(error.value) == message


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_float32(dtype, rng):
    x = ops.cast(rng.standard_normal((2, 6, 6, 3)), dtype)
    w = ops.cast(rng.standard_normal((3, 3, 3, 4)), dtype)
    with GradientTape() as tape:
        tape.watch([x, w])
        y = ops.conv(x, w)
    dx, dw = tape.gradient(y, [x, w])
    assert (y.dtype, dx.dtype, dw.dtype) == (dtype,) * 3
    wide = ops.conv(ops.cast(x, "float32"), ops.cast(w, "float32"))
    np.testing.assert_array_equal(np.asarray(y), np.asarray(ops.cast(wide, dtype)))


ERRORS = [
    (
        {"strides": 0},
        "ops.conv: `strides` must be one int or 2 ints, each at least 1. Received: strides=0",
    ),
    (
        {"dilation_rate": (1, 2, 3)},
        "ops.conv: `dilation_rate` must be one int or 2 ints, each at least 1. "
        "Received: dilation_rate=(1, 2, 3)",
    ),
    (
        {"padding": "full"},
        'ops.conv: `padding` must be "valid" or "same". Received: padding=\'full\'',
    ),
    (
        {"data_format": "NHWC"},
        'ops.conv: `data_format` must be "channels_first" or "channels_last". '
        "Received: data_format='NHWC'",
    ),
    (
        {"dilation_rate": 4},
        "ops.conv: `inputs` must be at least as large as the dilated window. "
        "Received: inputs.shape=(2, 8, 8, 3), kernel.shape=(3, 3, 3, 4), dilation_rate=(4, 4), "
        "padding='valid'",
    ),
]


@pytest.mark.parametrize(("options", "message"), ERRORS)
def test_conv_says_what_is_wrong_with_an_argument(options, message):
    for x in (np.ones((2, 8, 8, 3)), keras.KerasTensor((2, 8, 8, 3))):
        with pytest.raises(ValueError) as error:
            ops.conv(x, np.ones((3, 3, 3, 4)), **options)
        assert str(error.value) == message


def test_conv_says_what_is_wrong_with_a_shape():
    message = (
        "ops.conv: input channels must match the kernel's, 2, or be a multiple (the groups) that "
        "divides the 4 filters. Received: inputs.shape=(2, 8, 8, 3), kernel.shape=(3, 3, 2, 4)"
    )
    with pytest.raises(ValueError) as error:
        ops.conv(np.ones((2, 8, 8, 3)), np.ones((3, 3, 2, 4)))
    assert str(error.value) == message
    message = (
        "ops.depthwise_conv: `inputs` must have one or two spatial axes; convolutions over three "
        "are not supported. Received: inputs.shape=(1, 4, 4, 4, 1)"
    )
    with pytest.raises(ValueError) as error:
        ops.depthwise_conv(np.ones((1, 4, 4, 4, 1)), np.ones((2, 2, 2, 1, 1)))
    assert str(error.value) == message
    with pytest.raises(ValueError, match=r"ops\.depthwise_conv: input channels must match the"):
        ops.depthwise_conv(np.ones((2, 8, 8, 3)), np.ones((3, 3, 2, 1)))
    with pytest.raises(ValueError, match=r"ops\.conv_transpose: `output_padding` must leave a"):
        ops.conv_transpose(np.ones((1, 4, 4, 2)), np.ones((3, 3, 1, 2)), 2, output_padding=3)


@pytest.mark.parametrize("x_dtype", ["float16", "bfloat16"])
def test_float32_weights_get_float32_gradients_from_half_precision_inputs(x_dtype, rng):
    x = ops.cast(rng.standard_normal((2, 5, 5, 3)), x_dtype)
    w = ops.cast(rng.standard_normal((3, 3, 3, 4)), "float32")
    bias = ops.cast(rng.standard_normal(4), "float32")
    geometry = conv_geometry(x.shape, w.shape, 1, "same", False, 1, owner="test")
    runs = [
        lambda: conv2d_bias_activation(x, w, bias, geometry=geometry),
        lambda: affine(x, ops.reshape(w, (27, 4))[:3], bias),
    ]
    for run in runs:
        with GradientTape() as tape:
            tape.watch([x, w, bias])
            y = run()
        dx, dw, db = tape.gradient(y, [x, w, bias])
        assert y.dtype == dx.dtype == x_dtype
        assert dw.dtype == db.dtype == "float32"


def test_half_precision_overflows_to_infinity_in_silence():
    x = Tensor(np.full((1, 4), 300.0, "float16"))
    y = affine(x, Tensor(np.full((4, 1), 300.0, "float16")), None)
    assert y.dtype == "float16"
    assert np.asarray(y)[0, 0] == np.inf
