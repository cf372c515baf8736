"""GPTQ and AWQ of one matrix, where Keras's calculation is the papers' too."""

import numpy as np
import pytest
from side_by_side import real_keras

from kerasmirror.quantizers import AWQConfig, GPTQConfig
from kerasmirror.quantizers.awq import awq_values
from kerasmirror.quantizers.gptq import gptq_values
from kerasmirror.quantizers.zero_point import parameters_of

pytestmark = pytest.mark.keras


def keras_part(path):
    """A function of Keras that has no public name."""
    real_keras()
    module, _, name = path.rpartition(".")
    return getattr(__import__(module, fromlist=[name]), name)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("group_size", [-1, 4])
def test_scales_and_zero_points_are_those_of_keras(rng, bits, per_channel, symmetric, group_size):
    w = np.abs(rng.normal(size=(5, 10))).astype("float32")
    w[:, ::2] *= -1
    w[2] = -0.25  # a row without a range
    compute = keras_part("keras.src.quantizers.quantizers.compute_quantization_parameters")
    tensor = real_keras()[0].ops.convert_to_tensor(w)
    expected = compute(
        tensor, bits=bits, symmetric=symmetric, per_channel=per_channel, group_size=group_size
    )
    actual = parameters_of(w, bits, symmetric, per_channel, group_size)
    for their, our in zip(expected, actual, strict=True):
        their = np.asarray(their)
        np.testing.assert_allclose(our, their, rtol=2e-7)
        assert our.shape == their.shape


@pytest.mark.parametrize("order", [False, True])
@pytest.mark.parametrize("bits, group_size", [(4, -1), (4, 8), (2, 8), (8, 5), (3, -1)])
def test_gptq_of_independent_inputs_is_that_of_keras(rng, bits, group_size, order):
    # Where a group goes over a block of 128 inputs, Keras has a scale too many.
    inputs = 150 if group_size == 8 else 90
    # Signs alternate in either order: Keras's zero points overflow where a group has one sign only.
    kernel = np.abs(rng.normal(size=(inputs, 6))).astype("float32")
    kernel[::2] *= -1
    diagonal = np.sort(rng.uniform(0.5, 2, inputs)).astype("float32")
    config = GPTQConfig(
        None,
        None,
        weight_bits=bits,
        group_size=group_size,
        activation_order=order,
        hessian_damping=0.0,
    )
    ours = gptq_values(kernel, np.diag(diagonal), config)
    quantize = keras_part("keras.src.quantizers.gptq.gptq_quantize_matrix")
    compute = keras_part("keras.src.quantizers.quantizers.compute_quantization_parameters")
    ops = real_keras()[0].ops
    levels, scale, zero, groups = quantize(
        ops.convert_to_tensor(kernel.T),
        ops.convert_to_tensor(np.diag(1 / diagonal)),
        group_size=group_size,
        activation_order=order,
        order_metric=ops.convert_to_tensor(diagonal),
        compute_scale_zero=lambda w: compute(w, bits=bits, per_channel=True),
    )
    np.testing.assert_array_equal(ours["quantized_kernel"], np.asarray(levels))
    np.testing.assert_allclose(ours["kernel_scale"], np.asarray(scale), rtol=2e-7)
    np.testing.assert_array_equal(ours["kernel_zero"], np.asarray(zero))
    np.testing.assert_array_equal(ours["g_idx"], np.floor(np.asarray(groups)))


@pytest.mark.parametrize("group_size", [-1, 8, 7])
def test_awq_is_that_of_keras(rng, group_size):
    kernel = np.abs(rng.normal(size=(30, 6))).astype("float32")
    kernel[::2] *= -1
    magnitudes = rng.uniform(0, 5, 30).astype("float32")
    magnitudes[3] = 0
    ours = awq_values(kernel, magnitudes, AWQConfig(None, None, group_size=group_size))
    quantize = keras_part("keras.src.quantizers.awq.awq_quantize_matrix")
    ops = real_keras()[0].ops
    theirs = quantize(
        ops.convert_to_tensor(np.ascontiguousarray(kernel.T)),
        ops.convert_to_tensor(magnitudes),
        group_size=group_size,
    )
    names = ("quantized_kernel", "kernel_scale", "kernel_zero", "awq_scales", "g_idx")
    for name, their in zip(names, theirs, strict=True):
        np.testing.assert_allclose(ours[name], np.asarray(their), rtol=1e-6, err_msg=name)
