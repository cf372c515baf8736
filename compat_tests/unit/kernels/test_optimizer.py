import inspect

import numpy as np
import pytest

from kerasmirror.kernels.cpu import optimizer

LR, B1, B2, EPS, RHO, MU = 0.01, 0.9, 0.999, 1e-7, 0.9, 0.8
FACTORS = (0.9, 0.2, 0.3)  # nadam's, of no particular step


def moments(g, m, v):
    return m + (g - m) * (1 - B1), v + (g * g - v) * (1 - B2)


def sgd(w, g):
    return (w - LR * g,)


def momentum(w, g, m):
    m = MU * m - LR * g
    return w + m, m


def nesterov(w, g, m):
    m = MU * m - LR * g
    return w + (MU * m - LR * g), m


def adam(w, g, m, v):
    m, v = moments(g, m, v)
    return w - LR * m / (np.sqrt(v) + EPS), m, v


def amsgrad(w, g, m, v, v_max):
    m, v = moments(g, m, v)
    v_max = np.maximum(v_max, v)
    return w - LR * m / (np.sqrt(v_max) + EPS), m, v, v_max


def adamax(w, g, m, u):
    m, u = m + (g - m) * (1 - B1), np.maximum(B2 * u, np.abs(g))
    return w - LR * m / (u + EPS), m, u


def nadam(w, g, m, v):
    m, v = moments(g, m, v)
    ahead = FACTORS[0] * m + FACTORS[1] * g
    return w - LR * ahead / (np.sqrt(v / FACTORS[2]) + EPS), m, v


def adagrad(w, g, a):
    a = a + g * g
    return w - LR * g / np.sqrt(a + EPS), a


def adadelta(w, g, square, delta):
    square = RHO * square + (1 - RHO) * (g * g)
    d = -(np.sqrt(delta + EPS) * g / np.sqrt(square + EPS))
    return w + LR * d, square, RHO * delta + (1 - RHO) * (d * d)


def rmsprop(w, g, v):
    v = RHO * v + (1 - RHO) * (g * g)
    return w - LR * g / np.sqrt(v + EPS), v


def rmsprop_momentum(w, g, v, m):
    v = RHO * v + (1 - RHO) * (g * g)
    m = MU * m + LR * g / np.sqrt(v + EPS)
    return w - m, v, m


def centered_rmsprop(w, g, v, a):
    v, a = RHO * v + (1 - RHO) * (g * g), RHO * a + (1 - RHO) * g
    return w - LR * g / np.sqrt(v - a * a + EPS), v, a


def centered_rmsprop_momentum(w, g, v, m, a):
    v, a = RHO * v + (1 - RHO) * (g * g), RHO * a + (1 - RHO) * g
    m = MU * m + LR * g / np.sqrt(v - a * a + EPS)
    return w - m, v, m, a


def lion(w, g, m):
    # 1 - beta in the weights' dtype, as Keras has it for Lion alone.
    b1, b2 = w.dtype.type(B1), w.dtype.type(B2)
    w = w - LR * np.sign(b1 * m + (1 - b1) * g)
    return w, b2 * m + (1 - b2) * g


# name -> (kernel, its numbers, oracle of (w, gradient, slots...) giving (w, slots...))
RULES = {
    "sgd": (optimizer.sgd_update, (LR,), sgd),
    "momentum": (optimizer.momentum_update, (LR, MU, False), momentum),
    "nesterov": (optimizer.momentum_update, (LR, MU, True), nesterov),
    "adam": (optimizer.adam_update, (LR, B1, B2, EPS), adam),
    "amsgrad": (optimizer.amsgrad_update, (LR, B1, B2, EPS), amsgrad),
    "adamax": (optimizer.adamax_update, (LR, B1, B2, EPS), adamax),
    "nadam": (optimizer.nadam_update, (LR, *FACTORS, B1, B2, EPS), nadam),
    "adagrad": (optimizer.adagrad_update, (LR, EPS), adagrad),
    "adadelta": (optimizer.adadelta_update, (LR, RHO, EPS), adadelta),
    "rmsprop": (optimizer.rmsprop_update, (LR, RHO, EPS), rmsprop),
    "rmsprop_momentum": (optimizer.rmsprop_momentum_update, (LR, RHO, MU, EPS), rmsprop_momentum),
    "centered_rmsprop": (optimizer.centered_rmsprop_update, (LR, RHO, EPS), centered_rmsprop),
    "centered_rmsprop_momentum": (
        optimizer.centered_rmsprop_momentum_update, (LR, RHO, MU, EPS), centered_rmsprop_momentum,
    ),
    "lion": (optimizer.lion_update, (LR, B1, B2), lion),
    "axpy": (optimizer.axpy, (0.3,), lambda w, g: (w + 0.3 * g,)),
    "lerp": (optimizer.lerp, (0.9,), lambda t, w: (0.9 * t + (1 - w.dtype.type(0.9)) * w,)),
}  # fmt: skip
# 1023 to 1025: ends of the stretches that the rules of many arrays run over.
SIZES = [0, 1, 2, 7, 8, 9, 1023, 1024, 1025, 5000]


def state(name, size, dtype):
    """(w, g, slots...): slots positive and large enough that no root is of a negative number."""
    rng = np.random.default_rng(8)
    slots = len(inspect.signature(RULES[name][2]).parameters) - 2
    w, g = rng.normal(size=(2, size))
    slots = rng.uniform(0.7, 1.4, (slots, size))
    if "centered" in name:
        slots[-1] *= 0.3  # the mean gradient, whose square is taken from the mean square
    return [a.astype(dtype) for a in (w, g, *slots)]


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-6), ("float64", 1e-13)])
def test_two_steps_match_float64_and_leave_the_gradient_alone(name, dtype, tolerance):
    update, numbers, oracle = RULES[name]
    for size in SIZES:
        arrays = state(name, size, dtype)
        first_gradient = arrays[1].copy()
        expected = [a.astype(np.float64) for a in arrays]
        for _ in range(2):
            update(*arrays, *numbers)
            w, *slots = oracle(*expected)
            expected = [w, expected[1], *slots]
        assert np.array_equal(arrays[1], first_gradient)
        for actual, wanted in zip(arrays, expected, strict=True):
            np.testing.assert_allclose(actual, wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_operation_rounds_to_the_arrays_dtype_in_keras_s_order(name, dtype):
    # To the bit: a number left in float64 would widen the arithmetic without showing in 1e-6.
    update, numbers, oracle = RULES[name]
    arrays = state(name, 5000, dtype)
    w, *slots = oracle(*arrays)
    update(*arrays, *numbers)
    for actual, wanted in zip(arrays, [w, arrays[1], *slots], strict=True):
        assert wanted.dtype == dtype and np.array_equal(actual, wanted)


@pytest.mark.parametrize("name", RULES)
def test_rules_update_arrays_of_any_shape_and_parts_of_buffers_in_place(name):
    update, numbers, _ = RULES[name]
    flat = state(name, 60, "float32")
    buffers = [np.concatenate([[9], a, [9]]).astype(np.float32) for a in flat]
    shaped = [b[1:-1].reshape(3, 4, 5) for b in buffers]
    update(*flat, *numbers)
    update(*shaped, *numbers)
    for a, b in zip(flat, buffers, strict=True):
        assert np.array_equal(a, b[1:-1]) and b[0] == b[-1] == 9


@pytest.mark.parametrize("name", RULES)
def test_a_strided_gradient_is_read_and_strided_weights_are_refused(name):
    update, numbers, _ = RULES[name]
    flat = state(name, 20, "float32")
    strided = [a.copy() for a in flat]
    strided[1] = np.repeat(flat[1], 2)[::2]
    update(*flat, *numbers)
    update(*strided, *numbers)
    assert all(np.array_equal(a, b) for a, b in zip(flat, strided, strict=True))
    flat[0] = np.repeat(flat[0], 2)[::2]
    with pytest.raises(ValueError, match="must be C-contiguous"):
        update(*flat, *numbers)


@pytest.mark.parametrize("name", RULES)
def test_nothing_depends_on_the_number_of_threads(name, same_on_any_threads):
    update, numbers, _ = RULES[name]

    def run():
        arrays = state(name, 100_003, "float32")
        update(*arrays, *numbers)
        return arrays

    same_on_any_threads(run)


def test_amsgrad_keeps_the_largest_velocity():
    w, g, m, v, v_max = state("amsgrad", 9, "float64")
    v_max[:4], v_max[4:] = 100, 0
    optimizer.amsgrad_update(w, g, m, v, v_max, LR, B1, B2, EPS)
    assert (v_max[:4] == 100).all() and np.array_equal(v_max[4:], v[4:])


def test_adamax_keeps_the_larger_norm():
    w, g, m, u = state("adamax", 4, "float64")
    g[:], u[:] = [-5, 5, 0.1, -0.1], 1
    optimizer.adamax_update(w, g, m, u, LR, B1, B2, EPS)
    np.testing.assert_allclose(u, [5, 5, B2, B2])


def test_lion_goes_neither_way_at_zero_and_passes_nan_on():
    w, m = np.ones(4), np.zeros(4)
    optimizer.lion_update(w, np.array([0.0, 2.0, -3.0, np.nan]), m, LR, B1, B2)
    np.testing.assert_allclose(w, [1, 1 - LR, 1 + LR, np.nan])


def test_lion_rounds_its_direction_to_the_weights_dtype():
    # m b + g (1 - b) is 0 in float32 and not in float64, which would move w by a whole lr.
    b, rest = np.float32(B1), np.float32(1) - np.float32(B1)
    m = np.random.default_rng(3).uniform(0.5, 1, 20_000).astype(np.float32)
    g = -(m * b / rest)
    zero = (m * b + g * rest == 0) & (m.astype(float) * b + g.astype(float) * rest != 0)
    m, g = m[zero], g[zero]
    assert m.size > 100
    w = np.ones_like(m)
    optimizer.lion_update(w, g, m, LR, B1, B2)
    assert (w == 1).all()


def test_lerp_takes_a_float64_of_numpy_as_it_takes_a_float():
    target, w = state("lerp", 5000, "float32")
    again = target.copy()
    optimizer.lerp(target, w, 0.99)
    optimizer.lerp(again, w, np.float64(0.99))
    assert np.array_equal(target, again)


@pytest.mark.parametrize("size", [*SIZES, 100_003])  # the last one in several chunks
def test_scaling_and_adding_an_array_to_itself(size):
    for dtype in ("float32", "float64"):
        w = np.random.default_rng(1).normal(size=size).astype(dtype)
        twice, grown = w.copy(), w.copy()
        optimizer.scale(twice, 2.3)
        assert np.array_equal(twice, w * w.dtype.type(2.3))
        optimizer.axpy(grown, grown, -0.01)
        assert np.array_equal(grown, w + w.dtype.type(-0.01) * w)


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 4095, 4096, 4097, 100_003])
def test_squared_norm_is_added_up_in_float64(size, same_on_any_threads):
    g = np.random.default_rng(1).normal(size=size).astype(np.float32)
    expected = (g.astype(np.float64) ** 2).sum()
    assert optimizer.squared_norm(g) == pytest.approx(expected, rel=1e-14)
    assert optimizer.squared_norm(g.astype(np.float64)) == pytest.approx(expected, rel=1e-14)
    assert optimizer.squared_norm(np.repeat(g, 2)[::2]) == optimizer.squared_norm(g)
    same_on_any_threads(lambda: np.float64(optimizer.squared_norm(g)))


# Keras optimizer -> (its arguments, kernel, slots, numbers of step t)
def _adam_size(t):
    one = np.float32(1)
    roots = np.sqrt(one - np.float32(B2) ** np.float32(t))
    return float(np.float32(LR) * roots / (one - np.float32(B1) ** np.float32(t)))


def _nadam_numbers(t):
    u = [B1 * (1 - 0.5 * 0.96**i) for i in range(1, t + 2)]
    product = np.prod(u[:-1])
    factors = (u[-1] / (1 - product * u[-1]), (1 - u[-2]) / (1 - product), 1 - B2**t)
    return (LR, *factors, B1, B2, EPS)


KERAS = {
    "SGD": ({}, "sgd_update", 0, lambda t: (LR,)),
    "SGD-momentum": ({"momentum": MU}, "momentum_update", 1, lambda t: (LR, MU, False)),
    "SGD-nesterov": (
        {"momentum": MU, "nesterov": True}, "momentum_update", 1, lambda t: (LR, MU, True)
    ),
    "Adam": ({}, "adam_update", 2, lambda t: (_adam_size(t), B1, B2, EPS)),
    "Adam-amsgrad": (
        {"amsgrad": True}, "amsgrad_update", 3, lambda t: (_adam_size(t), B1, B2, EPS)
    ),
    "Adamax": ({}, "adamax_update", 2, lambda t: (LR / (1 - B1**t), B1, B2, EPS)),
    "Nadam": ({}, "nadam_update", 2, _nadam_numbers),
    "Adagrad": ({"initial_accumulator_value": 0.0}, "adagrad_update", 1, lambda t: (LR, EPS)),
    "Adadelta": ({"rho": RHO}, "adadelta_update", 2, lambda t: (LR, RHO, EPS)),
    "RMSprop": ({"rho": RHO}, "rmsprop_update", 1, lambda t: (LR, RHO, EPS)),
    "RMSprop-momentum": (
        {"rho": RHO, "momentum": MU}, "rmsprop_momentum_update", 2, lambda t: (LR, RHO, MU, EPS)
    ),
    "RMSprop-centered": (
        {"rho": RHO, "centered": True}, "centered_rmsprop_update", 2, lambda t: (LR, RHO, EPS)
    ),
    "RMSprop-both": (
        {"rho": RHO, "momentum": MU, "centered": True},
        "centered_rmsprop_momentum_update", 3, lambda t: (LR, RHO, MU, EPS),
    ),
    "Lion": ({"beta_2": B2}, "lion_update", 1, lambda t: (LR, B1, B2)),
}  # fmt: skip


@pytest.mark.keras
@pytest.mark.parametrize("name", KERAS)
def test_ten_steps_stay_with_keras_s(name):
    keras = pytest.importorskip("keras")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("keras runs on another backend than TensorFlow")
    options, kernel, slots, numbers = KERAS[name]
    rng = np.random.default_rng(9)
    w = rng.normal(size=257).astype(np.float32)
    state_ = [np.zeros_like(w) for _ in range(slots)]
    variable = keras.Variable(w)
    theirs = getattr(keras.optimizers, name.split("-")[0])(learning_rate=LR, **options)
    for t in range(1, 11):
        g = rng.normal(size=257).astype(np.float32)
        theirs.apply([keras.ops.convert_to_tensor(g)], [variable])
        getattr(optimizer, kernel)(w, g, *state_, *numbers(t))
        expected = variable.value.numpy()
        np.testing.assert_allclose(w, expected, rtol=1e-6, atol=1e-6)
