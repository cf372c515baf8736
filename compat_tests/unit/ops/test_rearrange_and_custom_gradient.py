"""ops.rearrange and ops.custom_gradient."""

import numpy as np
import pytest

from kerasmirror import KerasTensor, Variable, ops
from kerasmirror.autodiff import tape
from kerasmirror.autodiff.gradcheck import check_gradients


@pytest.mark.parametrize(
    ("pattern", "lengths", "expected"),
    [
        ("a b c -> c a b", {}, lambda x: x.transpose(2, 0, 1)),
        ("a b c -> a (b c)", {}, lambda x: x.reshape(2, 12)),
        ("a b c -> (c b) a", {}, lambda x: x.transpose(2, 1, 0).reshape(12, 2)),
        ("a (p q) c -> a p q c", {"p": 3}, lambda x: x.reshape(2, 3, 2, 2)),
        ("a (p q) c -> a q (p c)", {"q": 2}, lambda x: x.reshape(2, 3, 2, 2).transpose(0, 2, 1, 3)
            .reshape(2, 2, 6)),
    ],
)  # fmt: skip
def test_rearrange_matches_reshape_and_transpose(pattern, lengths, expected, rng):
    x = rng.normal(size=(2, 6, 2))
    np.testing.assert_array_equal(ops.rearrange(x, pattern, **lengths), expected(x))
    check_gradients(lambda t: ops.rearrange(t, pattern, **lengths), x)


def test_rearrange_of_a_placeholder():
    x = KerasTensor((None, 6, 4))
    assert ops.rearrange(x, "b (h w) c -> b h (w c)", h=2).shape == (None, 2, 12)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("a b -> b a", "one name or bracket for each axis"),
        ("a b c -> a b d", "the same axes, each once, on both sides"),
        ("a (p q) c -> a p q c", "sizes for all but one of the axes"),
        ("a (p q) c -> a p q c|p=4", "that make up 6"),
    ],
)
def test_rearrange_names_what_does_not_fit(pattern, message):
    pattern, _, size = pattern.partition("|p=")
    with pytest.raises(ValueError, match=message):
        ops.rearrange(np.ones((2, 6, 2)), pattern, **({"p": int(size)} if size else {}))


@ops.custom_gradient
def doubled(x, y):
    def grad(upstream):
        return upstream * 10.0, upstream * y

    return ops.multiply(x, y), grad


def test_custom_gradient_replaces_the_true_one():
    x, y = Variable([1.0, 2.0]), ops.convert_to_tensor([3.0, 4.0])
    with tape.GradientTape() as t:
        t.watch(y)
        z = ops.sum(doubled(x, y) * 2.0)
    assert float(z) == 22.0
    dx, dy = t.gradient(z, [x, y])
    np.testing.assert_array_equal(dx, [20, 20])
    np.testing.assert_array_equal(dy, [6, 8])
    np.testing.assert_array_equal(doubled(x, y), [3, 8])


def test_custom_gradient_with_several_outputs_and_the_documented_signature():
    @ops.custom_gradient
    def function(x):
        def grad(*args, upstream=None):
            first, second = args if upstream is None else upstream
            return first + 100.0 * second

        return (x, x * 2.0), grad

    x = Variable([1.0])
    with tape.GradientTape(persistent=True) as t:
        a, b = function(x)
        both = ops.sum(a + b)
    np.testing.assert_array_equal(t.gradient(both, x), [101])
    np.testing.assert_array_equal(t.gradient(a, x), [1])


def test_custom_gradient_counts_its_gradients():
    @ops.custom_gradient
    def function(x):
        return x * 1.0, lambda upstream: (upstream, upstream)

    x = Variable([1.0])
    with tape.GradientTape() as t:
        y = function(x)
    with pytest.raises(ValueError, match="one gradient for each of the 1 tensor arguments"):
        t.gradient(y, x)
