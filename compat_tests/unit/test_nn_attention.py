import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror import ops
from kerasmirror.autodiff.gradcheck import check_gradients


@pytest.mark.parametrize("heads", [4, 2, 1])
@pytest.mark.parametrize("causal", [False, True])
def test_attention_gradients_match_finite_differences(heads, causal, rng):
    check_gradients(
        lambda q, k, v, b: ops.dot_product_attention(q, k, v, b, is_causal=causal),
        rng.standard_normal((2, 4, 4, 3)),
        rng.standard_normal((2, 5, heads, 3)),
        rng.standard_normal((2, 5, heads, 3)),
        rng.standard_normal((4, 1, 5)),
    )


def test_a_masked_key_has_no_influence(rng):
    q, k, v = (rng.standard_normal((1, 3, 2, 4)) for _ in range(3))
    mask = np.array([True, True, False])
    with_all = np.asarray(ops.dot_product_attention(q, k, v, mask=mask))
    without = np.asarray(ops.dot_product_attention(q, k[:, :2], v[:, :2]))
    np.testing.assert_allclose(with_all, without)


def test_a_causal_query_sees_no_later_key(rng):
    q, k, v = (rng.standard_normal((1, 4, 2, 3)) for _ in range(3))
    y = np.asarray(ops.dot_product_attention(q, k, v, is_causal=True))
    np.testing.assert_allclose(y[:, 0], v[:, 0])
    v[:, -1] = 100.0
    again = np.asarray(ops.dot_product_attention(q, k, v, is_causal=True))
    np.testing.assert_array_equal(y[:, :-1], again[:, :-1])


def test_shapes_of_placeholders_and_half_precision(rng):
    q = keras.KerasTensor((None, 5, 4, 3), "float16")
    kv = keras.KerasTensor((None, 6, 2, 3), "float16")
    y = ops.dot_product_attention(q, kv, kv, mask=keras.KerasTensor((None, 1, 5, 6), "bool"))
    assert (y.shape, y.dtype) == ((None, 5, 4, 3), "float16")
    x = rng.standard_normal((1, 3, 2, 4)).astype("float16")
    assert ops.dot_product_attention(x, x, x).dtype == "float16"


def test_mistakes_are_named():
    x = np.ones((1, 3, 4, 2))
    with pytest.raises(ValueError) as error:
        ops.dot_product_attention(x, x[:, :, :3], x[:, :, :3])
    assert str(error.value) == (
        "ops.dot_product_attention: `query` must have shape (B, T, N, H), `key` and `value` "
        "(B, S, K, H) with K dividing N. Received: query.shape=(1, 3, 4, 2), "
        "key.shape=(1, 3, 3, 2), value.shape=(1, 3, 3, 2)"
    )
    with pytest.raises(ValueError, match="`flash_attention` must be None or False"):
        ops.dot_product_attention(x, x, x, flash_attention=True)
    with pytest.raises(ValueError, match="`attn_logits_soft_cap` must be None"):
        ops.dot_product_attention(x, x, x, attn_logits_soft_cap=3.0)
