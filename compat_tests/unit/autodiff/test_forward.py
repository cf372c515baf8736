"""Forward mode against differences and against the tape; that no primitive is left out."""

from __future__ import annotations

import numpy as np
import pytest

import kerasmirror as keras
from compat_tests.cases.ops_gradients import CASES, NAMES, STRAIGHT_THROUGH
from kerasmirror import ops
from kerasmirror.autodiff import GradientTape, jvp, without_gradient
from kerasmirror.autodiff.forward import ForwardPass
from kerasmirror.autodiff.primitive import PRIMITIVES, primitive
from kerasmirror.autodiff.tangents import WithoutGradient, undeclared
from kerasmirror.core.tensor import Tensor

OWN = [p for p in PRIMITIVES if p.rule.__module__.startswith("kerasmirror.")]


def arguments(shapes, seed=5):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in shapes]


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_tangents_match_differences_and_the_tape(case):
    _, function, shapes = case
    xs, vs = arguments(shapes), arguments(shapes, 6)
    y, dy = jvp(function, xs, vs)
    assert dy.shape == y.shape and dy.dtype == y.dtype
    step = 1e-6
    sides = [
        function(*[Tensor(np.asarray(x + sign * step * v)) for x, v in zip(xs, vs, strict=True)])
        for sign in (1, -1)
    ]
    differences = (sides[0].data - sides[1].data) / (2 * step)
    scale = max(1.0, float(np.max(np.abs(differences), initial=0)))
    np.testing.assert_allclose(dy.data, differences, atol=2e-7 * scale, rtol=2e-6)
    transposed_by_the_tape(function, xs, vs, y, dy)


@pytest.mark.parametrize("case", STRAIGHT_THROUGH, ids=[case[0] for case in STRAIGHT_THROUGH])
def test_tangents_pass_straight_through_what_gradients_pass_through(case):
    _, function, shapes = case
    xs, vs = arguments(shapes), arguments(shapes, 6)
    # Its kernel adds the gradients of the range in float32.
    transposed_by_the_tape(function, xs, vs, *jvp(function, xs, vs), rtol=1e-6)


def transposed_by_the_tape(function, xs, vs, y, dy, rtol=1e-9):
    """<u, J v> = <J' u, v>: tape and tangents are each other's transpose, exactly."""
    u = np.random.default_rng(7).standard_normal(y.shape)
    sources = [Tensor(np.asarray(x)) for x in xs]
    with GradientTape() as tape:
        tape.watch(sources)
        result = function(*sources)
    gradients = tape.gradient(result, sources, Tensor(u), unconnected_gradients="zero")
    backwards = sum(float(np.sum(g.data * v)) for g, v in zip(gradients, vs, strict=True))
    np.testing.assert_allclose(float(np.sum(u * dy.data)), backwards, rtol=rtol, atol=1e-10)


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_each_argument_alone_can_have_a_tangent(case):
    _, function, shapes = case
    xs, vs = arguments(shapes), arguments(shapes, 6)
    total = 0.0
    for place, v in enumerate(vs):

        def one(x, place=place):
            return function(*[x if i == place else Tensor(a) for i, a in enumerate(xs)])

        total = total + jvp(one, [xs[place]], [v])[1].data
    whole = jvp(function, xs, vs)[1].data
    np.testing.assert_allclose(total, whole, rtol=1e-9, atol=1e-9 * max(1, np.abs(whole).max()))


def test_every_primitive_says_how_its_tangent_is_computed():
    assert [p.name for p in OWN if p.tangent is undeclared] == []


def test_the_cases_reach_every_primitive_that_has_a_gradient(monkeypatch):
    reached = set()
    run = ForwardPass.run

    def noted(self, called, *rest):
        reached.add(called.name)
        return run(self, called, *rest)

    monkeypatch.setattr(ForwardPass, "run", noted)
    for _, function, shapes in CASES + STRAIGHT_THROUGH:
        jvp(function, arguments(shapes), arguments(shapes, 6))
    wanted = {p.name for p in OWN if not isinstance(p.tangent, WithoutGradient)}
    assert wanted - reached == set()


WITHOUT = {
    "floor": lambda x: ops.floor(x),
    "ceil": lambda x: ops.ceil(x),
    "round": lambda x: ops.round(x),
    "trunc": lambda x: ops.trunc(x),
    "floor_divide": lambda x: ops.floor_divide(x, 2.0),
    "argmax": lambda x: ops.argmax(x),
    "argsort": lambda x: ops.argsort(x),
    "greater": lambda x: ops.greater(x, 0.0),
    "isnan": lambda x: ops.isnan(x),
    "isin": lambda x: ops.isin(x, x),
    "one_hot": lambda x: ops.one_hot(x, 3),
    "searchsorted": lambda x: ops.searchsorted(np.array([0.0, 1.0]), x),
    "stop_gradient": lambda x: ops.stop_gradient(x),
    "view": lambda x: ops.view(x, "int64"),
    "all": lambda x: ops.all(x),
    "constant_like": lambda x: ops.ones_like(x),
}


@pytest.mark.parametrize("name", WITHOUT)
def test_what_is_listed_as_without_gradient_has_none_in_either_direction(name):
    assert name in without_gradient()
    x = np.array([0.3, -1.2, 2.5])
    y, dy = jvp(WITHOUT[name], [x], [np.ones(3)])
    assert not dy.data.any()
    source = Tensor(x)
    with GradientTape() as tape:
        tape.watch(source)
        y = WITHOUT[name](source)
    assert tape.gradient(y, source) is None


def test_the_list_of_what_has_no_gradient_is_that_of_the_registry():
    listed = without_gradient()
    of_primitives = {p.name for p in OWN if isinstance(p.tangent, WithoutGradient)}
    assert of_primitives <= set(listed)
    assert all(isinstance(reason, str) and reason for reason in listed.values())
    with_gradient = {p.name for p in OWN} - of_primitives
    assert with_gradient & set(listed) == set()


@pytest.mark.parametrize(
    "function", [ops.eig, ops.lu_factor, ops.qr, ops.svd], ids=["eig", "lu_factor", "qr", "svd"]
)
def test_what_has_no_gradient_here_says_so(function):
    x = np.arange(6.0).reshape(2, 3) if function in (ops.qr, ops.svd) else np.eye(3)
    with pytest.raises(NotImplementedError, match="has no gradient here"):
        jvp(function, [x], [np.ones(x.shape)])


def test_nested_structures_and_auxiliary_values():
    def function(pair, scale):
        y = {"product": pair["a"] * pair["b"] * scale, "constant": np.float32(3.0)}
        return y, "aux"

    primals = ({"a": np.array([2.0]), "b": np.array([3.0])}, np.array([5.0]))
    tangents = ({"a": np.array([1.0]), "b": np.array([0.0])}, np.array([0.5]))
    y, dy, aux = jvp(function, primals, tangents, has_aux=True)
    assert aux == "aux"
    assert float(y["product"]) == 30.0 and float(dy["product"]) == 15.0 + 3.0
    assert float(dy["constant"]) == 0.0


def test_a_variable_can_be_a_primal():
    variable = keras.Variable(np.array([1.0, 2.0]))
    y, dy = jvp(lambda v: v * v, [variable], [np.array([1.0, 10.0])])
    np.testing.assert_array_equal(dy, [2.0, 40.0])


def test_a_layer_and_a_model_have_tangents():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.Conv2D(2, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    rng = np.random.default_rng(0)
    x, v = rng.standard_normal((2, 2, 6, 6, 1)).astype("float32")
    _, dy = jvp(lambda x: model(x), [x], [v])
    step = 1e-3  # a larger one crosses the bends of relu and of the maximum
    up, down = (np.asarray(model(x + s * step * v), "float64") for s in (1, -1))
    np.testing.assert_allclose(dy, (up - down) / (2 * step), atol=2e-4)
    np.testing.assert_allclose(np.sum(np.asarray(dy), -1), 0, atol=1e-6)


def test_no_grad_and_stop_gradient_end_a_tangent():
    from kerasmirror.autodiff import no_grad

    def function(x):
        with no_grad():
            y = x * 2.0
        return x + y + ops.stop_gradient(x)

    assert float(jvp(function, [3.0], [1.0])[1]) == 1.0


def test_a_custom_gradient_is_turned_around():
    @ops.custom_gradient
    def doubled_backwards(x, y):
        def grad(upstream):
            return 2.0 * upstream * y, ops.sum(upstream * x)

        return x * y, grad

    _, dy = jvp(doubled_backwards, [np.array([1.0, 2.0]), 3.0], [np.array([1.0, 0.0]), 0.5])
    np.testing.assert_allclose(dy, [2 * 3.0 + 0.5, 0.5 * 2.0])


def test_a_custom_gradient_without_operations_is_refused():
    @ops.custom_gradient
    def by_numpy(x):
        return x * 1.0, lambda upstream: np.asarray(upstream)

    with pytest.raises(NotImplementedError, match="computed with keras.ops"):
        jvp(by_numpy, [1.0], [1.0])


def test_a_primitive_without_a_rule_is_refused():
    @primitive("bare", spec=lambda x: (x.shape, x.dtype))
    def bare(k, x):
        return x * 1, lambda dy, needs: (dy,)

    with pytest.raises(NotImplementedError) as raised:
        jvp(lambda x: bare(x), [1.0], [1.0])
    assert str(raised.value) == (
        "kerasmirror.autodiff.jvp: the primitive 'bare' has no rule for tangents."
    )


MISTAKES = {
    "no tuple": (TypeError, lambda: jvp(ops.sin, 1.0, (1.0,))),
    "lengths": (ValueError, lambda: jvp(ops.sin, (1.0,), (1.0, 2.0))),
    "shapes": (ValueError, lambda: jvp(ops.sin, (1.0,), (np.ones(2),))),
    "nested": (RuntimeError, lambda: jvp(lambda x: jvp(ops.sin, (x,), (1.0,))[1], (1.0,), (1.0,))),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_refused(name):
    error, action = MISTAKES[name]
    with pytest.raises(error, match="kerasmirror.autodiff.jvp: "):
        action()
    assert float(jvp(ops.square, (3.0,), (1.0,))[1]) == 6.0  # nothing is left behind


def test_a_tape_within_a_jvp_and_a_jvp_within_a_tape_are_refused():
    def with_tape(x):
        with GradientTape():
            return x

    with pytest.raises(RuntimeError, match="within a jvp"):
        jvp(with_tape, (1.0,), (1.0,))
    with GradientTape(), pytest.raises(RuntimeError, match="within a GradientTape"):
        jvp(ops.sin, (1.0,), (1.0,))


def test_ops_jvp_takes_placeholders():
    x = keras.KerasTensor((None, 3))
    y, dy = ops.jvp(lambda x: ops.matmul(x, np.ones((3, 2), "float32")), (x,), (x,))
    assert y.shape == dy.shape == (None, 2)
