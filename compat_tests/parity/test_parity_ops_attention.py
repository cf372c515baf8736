"""Attention, folding and psnr of keras.ops against Keras on TensorFlow."""

import numpy as np
import pytest
from side_by_side import run_both

pytestmark = pytest.mark.keras
RNG = np.random.default_rng(4)


def normal(*shape):
    return RNG.standard_normal(shape).astype("float32")


MASK = RNG.uniform(size=(2, 1, 5, 6)) > 0.4
MASK[:, :, 2] = False  # a query that may look nowhere
ATTENTION = {
    "plain": {},
    "mask": {"mask": MASK},
    "causal": {"is_causal": True},
    "both_and_scale": {"mask": MASK, "is_causal": True, "scale": 0.3},
}


@pytest.mark.parametrize("options", ATTENTION.values(), ids=ATTENTION)
@pytest.mark.parametrize("heads", [4, 2])
def test_attention_matches(options, heads):
    run_both(
        lambda keras, q, k, v: keras.ops.dot_product_attention(q, k, v, **options),
        normal(2, 5, 4, 3),
        normal(2, 6, heads, 3),
        normal(2, 6, heads, 3),
    )


def test_attention_with_bias_matches():
    run_both(
        lambda keras, q, k, v, b: keras.ops.dot_product_attention(q, k, v, bias=b),
        normal(2, 5, 4, 3),
        normal(2, 6, 4, 3),
        normal(2, 6, 4, 3),
        normal(1, 4, 5, 6),
    )


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_depth_and_space_match(data_format):
    run_both(lambda keras, x: keras.ops.depth_to_space(x, 2, data_format), normal(2, 4, 4, 4))
    run_both(lambda keras, x: keras.ops.space_to_depth(x, 2, data_format), normal(2, 4, 4, 4))


@pytest.mark.parametrize(
    "options", [{}, {"padding": 1}, {"stride": 2, "padding": (1, 0)}, {"dilation": (2, 1)}], ids=str
)
def test_unfold_and_fold_match(options):
    def both_ways(keras, x):
        columns = keras.ops.unfold(x, (3, 2), **options)
        return columns, keras.ops.fold(columns, (6, 7), (3, 2), **options)

    run_both(both_ways, normal(2, 3, 6, 7))


def test_psnr_matches():
    run_both(lambda keras, a, b: keras.ops.psnr(a, b, 2.5), normal(3, 4), normal(3, 4))
