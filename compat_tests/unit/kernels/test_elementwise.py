import inspect
import math
import re

import numba
import numpy as np
import pytest

from kerasmirror.kernels import arithmetic, scalar
from kerasmirror.kernels.cpu import elementwise
from kerasmirror.kernels.cpu.elementwise import cast, clip, map_scalar, where

# Formula -> its parameters, and what it is in NumPy's float64 words.
PARAMETERS = {
    "leaky_relu": (0.2,),
    "general_relu": (0.1, 2.0, 0.5),
    "threshold": (0.4, -3.0),
    "hard_shrink": (0.5,),
    "soft_shrink": (0.5,),
    "elu": (0.7,),
    "celu": (0.7,),
    "squareplus": (4.0,),
}


def expit(x):
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-x))


def log_one_plus_exp(x):
    return np.logaddexp(0, x)


np_erf = np.vectorize(math.erf, otypes=[float])
ORACLES = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.2 * x),
    "general_relu": lambda x: (
        np.where(x > 0.5, np.minimum(x, 2.0), 0) - 0.1 * np.maximum(0.5 - x, 0)
    ),
    "threshold": lambda x: np.where(x > 0.4, x, -3.0),
    "hard_shrink": lambda x: np.where(np.abs(x) > 0.5, x, 0),
    "soft_shrink": lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0),
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "hard_sigmoid": lambda x: np.clip(x + 3, 0, 6) / 6,
    "hard_silu": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "sparse_plus": lambda x: np.where(x <= -1, 0, np.where(x < 1, (x + 1) ** 2 / 4, x)),
    "sparse_sigmoid": lambda x: np.clip((x + 1) / 2, 0, 1),
    "elu": lambda x: np.where(x > 0, x, 0.7 * np.expm1(np.minimum(x, 0))),
    "selu": lambda x: (
        1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0)))
    ),
    "celu": lambda x: np.maximum(x, 0) + 0.7 * np.expm1(np.minimum(x, 0) / 0.7),
    "exponential": np.exp,
    "sigmoid": expit,
    "tanh": np.tanh,
    "tanh_shrink": lambda x: x - np.tanh(x),
    "softplus": log_one_plus_exp,
    "log_sigmoid": lambda x: -log_one_plus_exp(-x),
    "silu": lambda x: x * expit(x),
    "mish": lambda x: x * np.tanh(log_one_plus_exp(x)),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "squareplus": lambda x: (x + np.sqrt(x * x + 4)) / 2,
    "erf": np_erf,
    "gelu": lambda x: x * (1 + np_erf(x / math.sqrt(2))) / 2,
    "gelu_approximate": lambda x: (
        x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    ),
}
# Points off all corners, both signs, both tails.
POINTS = np.concatenate([np.linspace(-9.03, 9.07, 181), [-30.3, -0.013, -3e-4, 3e-4, 0.013, 30.7]])


def derivative(f, x):
    h = 1e-5
    return (8 * (f(x + h) - f(x - h)) - (f(x + 2 * h) - f(x - 2 * h))) / (12 * h)


def formulas_of(module):
    return {
        name: f
        for name, f in vars(module).items()
        if inspect.isfunction(f) and f.__module__ == module.__name__ and name[0] != "_"
    }


def test_every_activation_has_an_oracle_and_a_gradient():
    names = {n for n in formulas_of(scalar) if "_grad" not in n}
    assert names == set(ORACLES)
    assert {n for n in formulas_of(scalar) if n.endswith("_grad")} == {f"{n}_grad" for n in names}


@pytest.mark.parametrize("name", ORACLES)
def test_activations_match_float64_in_both_dtypes(name):
    formula, parameters = getattr(scalar, name), PARAMETERS.get(name, ())
    for dtype, tolerance in (("float32", 1e-6), ("float64", 1e-14)):
        x = POINTS.astype(dtype)
        y = map_scalar(formula, x, *parameters)
        assert y.dtype == dtype
        expected = ORACLES[name](x.astype(np.float64))
        # 1 + erf and 1 + tanh cancel for negative x: absolute there, as in TensorFlow.
        np.testing.assert_allclose(y, expected, rtol=5 * tolerance, atol=tolerance)


@pytest.mark.parametrize("name", ORACLES)
def test_gradients_of_activations_match_finite_differences(name):
    formula, parameters = getattr(scalar, f"{name}_grad"), PARAMETERS.get(name, ())
    dy = np.linspace(-2, 3, POINTS.size)
    dx = map_scalar(formula, POINTS, dy, *parameters)
    expected = dy * derivative(ORACLES[name], POINTS)
    np.testing.assert_allclose(dx, expected, rtol=1e-8, atol=1e-8 * np.abs(expected).max())
    single = map_scalar(formula, POINTS.astype("f4"), dy.astype("f4"), *parameters)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, dx, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_gradients_from_the_output_equal_those_from_the_input(name):
    dy = np.linspace(-2, 3, POINTS.size)
    y = map_scalar(getattr(scalar, name), POINTS)
    from_output = map_scalar(getattr(scalar, f"{name}_grad_from_output"), y, dy)
    from_input = map_scalar(getattr(scalar, f"{name}_grad"), POINTS, dy)
    np.testing.assert_allclose(from_output, from_input, rtol=1e-9, atol=1e-12)


# (formula, parameters, x, its gradient there on TensorFlow)
CORNERS = [
    ("relu", (), 0, 0), ("relu6", (), 0, 0), ("relu6", (), 6, 0), ("leaky_relu", (0.2,), 0, 0.2),
    ("threshold", (0.5, 1.0), 0.5, 0), ("hard_shrink", (0.5,), 0.5, 0),
    ("soft_shrink", (0.5,), -0.5, 0), ("hard_tanh", (), 1, 1), ("hard_tanh", (), -1, 1),
    ("hard_sigmoid", (), 3, 0), ("hard_sigmoid", (), -3, 0), ("hard_silu", (), 3, 1),
    ("hard_silu", (), -3, 0), ("sparse_plus", (), -1, 0), ("sparse_plus", (), 1, 1),
    ("sparse_sigmoid", (), -1, 0), ("sparse_sigmoid", (), 1, 0), ("elu", (0.5,), 0, 0.5),
    ("selu", (), 0, 1.0507009873554805), ("celu", (0.5,), 0, 2),
    ("general_relu", (0.1, 2.0, 0.5), 0.5, 0), ("general_relu", (0.1, 2.0, 0.5), 2.0, 1),
    ("general_relu", (0.1, 2.0, -0.5), -0.25, 0),
    ("general_relu", (0.1, math.inf, -0.5), -0.25, 1),
]  # fmt: skip


@pytest.mark.parametrize("name, parameters, x, slope", CORNERS)
def test_gradients_at_corners(name, parameters, x, slope):
    formula = getattr(scalar, f"{name}_grad")
    dx = map_scalar(formula, np.array([x], np.float64), np.array([1.0]), *parameters)
    assert dx[0] == pytest.approx(slope, abs=1e-12)


@pytest.mark.keras
def test_gradients_at_corners_are_keras_s():
    tf = pytest.importorskip("tensorflow")
    keras = pytest.importorskip("keras")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("keras runs on another backend than TensorFlow")
    for name, parameters, x, slope in CORNERS:
        if name == "general_relu":
            limit = None if parameters[1] == math.inf else parameters[1]
            f, parameters = keras.activations.relu, (parameters[0], limit, parameters[2])
        else:
            f = getattr(keras.activations, name, None) or getattr(keras.ops, name)
        v = tf.constant([x], tf.float64)
        with tf.GradientTape() as tape:
            tape.watch(v)
            y = f(v, *parameters)
        # 1e-7: leaky_relu's slope is a float32 there.
        assert float(tape.gradient(y, v)[0]) == pytest.approx(slope, abs=1e-7), name


def test_general_relu_without_a_limit_keeps_negative_values_above_its_threshold():
    x = np.array([-1.0, -0.25, 0.25])
    free = map_scalar(scalar.general_relu, x, 0.1, math.inf, -0.5)
    np.testing.assert_allclose(free, [-0.05, -0.25, 0.25])
    np.testing.assert_allclose(map_scalar(scalar.general_relu, x, 0.1, 9.0, -0.5), [-0.05, 0, 0.25])


@pytest.mark.parametrize("name", sorted(set(ORACLES) - {"threshold"}))
def test_nan_comes_out_as_nan_and_infinities_do_not_trouble_the_others(name):
    parameters = PARAMETERS.get(name, ())
    for dtype in ("float32", "float64"):
        x = np.array([1.5, np.nan, -1.5, np.inf, -np.inf, 2.5], dtype)
        y = map_scalar(getattr(scalar, name), x, *parameters)
        assert np.isnan(y[1]) and np.isfinite(y[[0, 2, 5]]).all()


def test_exponentials_stay_finite_far_from_zero():
    for dtype in ("float32", "float64"):
        x = np.array([-1000, -100, 100, 1000], dtype)
        assert np.array_equal(map_scalar(scalar.sigmoid, x)[[0, 2, 3]], [0, 1, 1])
        assert 0 < map_scalar(scalar.sigmoid, x)[1] < 1e-43
        assert np.array_equal(map_scalar(scalar.softplus, x)[2:], x[2:])
        assert np.array_equal(map_scalar(scalar.log_sigmoid, x)[:2], x[:2])
        for name in ("sigmoid_grad", "softplus_grad", "silu_grad", "mish_grad", "log_sigmoid_grad"):
            assert np.isfinite(map_scalar(getattr(scalar, name), x, x)).all(), name


def wide_range(name):
    near = 2.0 ** -np.linspace(0, 30, 2000)
    ends = {
        "exp": (-103.9, 88.7), "expm1": (-40, 88.7), "log": (1e-38, 1e38), "log1p": (-0.9999, 1e6),
        "tanh": (-12, 12), "erf": (-4.5, 4.5),
    }[name]  # fmt: skip
    x = np.concatenate([np.linspace(*ends, 20011), near, [] if name == "log" else -near * 0.99])
    return x.astype(np.float32)


@pytest.mark.parametrize("name, ulps", [
    ("exp", 1.1), ("expm1", 2), ("log", 1.1), ("log1p", 2), ("tanh", 2.5), ("erf", 2.5),
])  # fmt: skip
def test_vector_functions_are_exact_to_two_places(name, ulps):
    x = wide_range(name)
    y = map_scalar(getattr(scalar, name), x)
    wide = x.astype(np.float64)
    exact = np_erf(wide) if name == "erf" else getattr(np, name)(wide)
    place = np.spacing(np.abs(exact).astype(np.float32)).astype(np.float64)
    assert (np.abs(y - exact) / place).max() <= ulps


@pytest.mark.parametrize("name", ["exp", "expm1", "log", "log1p", "tanh", "erf"])
def test_vector_functions_at_special_values(name):
    x = np.array(
        [0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 1e-42, 200, -200, 3e38, -3e38, 88.73, -103.98],
        np.float32,
    )
    with np.errstate(all="ignore"):
        wide = x.astype(np.float64)
        expected = (np_erf(wide) if name == "erf" else getattr(np, name)(wide)).astype(np.float32)
    np.testing.assert_allclose(map_scalar(getattr(scalar, name), x), expected, rtol=3e-7)


# These work on whole numbers, or by way of them.
NOT_FLOAT = {"floor", "ceil", "trunc", "rint", "bitwise_and", "bitwise_or", "bitwise_xor",
             "left_shift", "right_shift"}  # fmt: skip


def float64_in(function, count):
    """(result type, operations on float64) of a function compiled for `count` float32 values."""
    # Without numba's wrapper for Python, which converts by way of float64.
    options = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "error_model": "numpy"}
    compiled, kinds = numba.njit(**options)(function), (numba.float32,) * count
    compiled.compile(kinds)
    operation = r"= (?:fadd|fsub|fmul|fdiv|fpext|call)[^=\n]*double.*"
    code = compiled.inspect_llvm(kinds)
    return compiled.nopython_signatures[0].return_type, re.findall(operation, code)


@pytest.mark.parametrize(
    "name", sorted({*formulas_of(scalar), *formulas_of(arithmetic)} - NOT_FLOAT)
)
def test_no_formula_of_float32_computes_in_float64(name):
    # A literal widens float32, which no comparison of values shows: look at the code itself.
    formula = getattr(scalar, name)
    function = elementwise.compiled_formula(formula).py_func
    result, wide = float64_in(function, len(inspect.signature(formula).parameters))
    assert result in (numba.float32, numba.boolean) and not wide, (result, wide[:3])


def test_the_search_for_float64_finds_a_widening_that_is_narrowed_again():
    result, wide = float64_in(lambda x: type(x)(x * 0.5 + x), 1)
    assert result == numba.float32 and any("fmul double" in line for line in wide)


def test_arithmetic_formulas_equal_the_ufuncs_that_stand_in_for_them():
    points = [-2.5, -1.5, -0.6, -0.5, 0.5, 0.6, 1.0, 1.5, 2.5, 2.75, 3.0, 1e17]
    whole = [0, 1, 2, 3, 6]
    checked = set()
    for name, formula in formulas_of(arithmetic).items():
        ufunc = elementwise.UFUNCS.get(formula)
        if ufunc is None:
            continue
        checked.add(formula)
        inputs = whole if "bitwise" in name or "shift" in name else points
        kind = np.int64 if inputs is whole else np.float64
        pairs = (
            [(a,) for a in inputs] if ufunc.nin == 1 else [(a, b) for a in inputs for b in inputs]
        )
        for pair in pairs:
            with np.errstate(all="ignore"):
                expected = ufunc(*(kind(v) for v in pair))
                try:
                    actual = formula(*(kind(v) for v in pair))
                except (ValueError, OverflowError):
                    # Plain math raises where NumPy gives NaN or inf.
                    assert not np.isfinite(expected), f"{name}{pair}"
                    continue
            np.testing.assert_allclose(actual, expected, rtol=1e-13, err_msg=f"{name}{pair}")
    # The two others are activations, with oracles above.
    assert set(elementwise.UFUNCS) - checked == {scalar.tanh, scalar.exponential}


@np.errstate(all="ignore")
def test_formulas_of_not_a_number_and_infinity():
    nan, inf = np.float64(np.nan), np.float64(np.inf)
    for name in ("floor", "ceil", "trunc", "rint"):
        formula = getattr(scalar, name)
        assert math.isnan(formula(nan)) and formula(inf) == inf and formula(-inf) == -inf
    assert scalar.isnan(nan) and not scalar.isnan(inf)
    assert scalar.isinf(-inf) and not scalar.isinf(nan) and not scalar.isinf(np.float64(1))
    assert not scalar.isfinite(nan) and not scalar.isfinite(inf) and scalar.isfinite(np.float64(1))
    for name in ("maximum", "minimum"):
        assert math.isnan(getattr(scalar, name)(nan, inf)) and math.isnan(
            getattr(scalar, name)(inf, nan)
        )
    assert scalar.logaddexp(inf, inf) == inf and scalar.logaddexp(-inf, -inf) == -inf
    assert math.isnan(scalar.sign(nan))


@pytest.mark.parametrize("name", sorted(n for n in formulas_of(arithmetic) if n.endswith("_grad")))
def test_gradients_of_elementary_functions_match_finite_differences(name):
    inside = name in ("arcsin_grad", "arccos_grad", "arctanh_grad")
    x = np.linspace(0.05, 0.9, 13) if inside else np.linspace(1.1, 2.9, 13)
    if name in ("absolute_grad", "square_grad", "sin_grad", "cos_grad", "tan_grad", "sinh_grad"):
        x = x - 2.03
    function = {"rsqrt": lambda v: v**-0.5, "reciprocal": lambda v: 1 / v}.get(name[:-5])
    function = function or getattr(np, name[:-5])
    dy = np.linspace(-1, 2, 13)
    dx = map_scalar(getattr(scalar, name), x, dy)
    np.testing.assert_allclose(dx, dy * derivative(function, x), rtol=1e-7, atol=1e-8)


def test_rsqrt_has_no_ufunc_and_is_compiled():
    assert scalar.rsqrt not in elementwise.UFUNCS
    np.testing.assert_allclose(map_scalar(scalar.rsqrt, np.array([4.0, 0.25])), [0.5, 2.0])
    assert np.array_equal(map_scalar(scalar.absolute_grad, np.zeros(2), np.ones(2)), np.zeros(2))


def test_arrays_broadcast_in_both_kinds_of_formulas():
    x, y = np.arange(1.0, 4.0), np.array([[1.0], [2.0]])
    assert np.array_equal(map_scalar(scalar.add, x, y), x + y)
    dx = map_scalar(scalar.relu_grad, y, x)
    assert np.array_equal(dx, [[1, 2, 3], [1, 2, 3]])
    assert map_scalar(scalar.relu, np.zeros((2, 0, 3))).shape == (2, 0, 3)
    assert map_scalar(scalar.add, np.zeros((0, 3)), np.ones(3)).shape == (0, 3)
    scalar_array = map_scalar(scalar.relu, np.array(-2.0))
    assert scalar_array.shape == () and scalar_array == 0


def test_python_numbers_take_the_arrays_dtype():
    x = np.ones(3, np.float32)
    for y in (
        map_scalar(scalar.add, x, 0.1), map_scalar(scalar.subtract, 2, x),
        map_scalar(scalar.elu, -x, 0.1),
    ):  # fmt: skip
        assert y.dtype == np.float32
    assert map_scalar(scalar.add, x, 0.1)[0] == np.float32(1) + np.float32(0.1)
    assert map_scalar(scalar.less, x, 2).dtype == bool
    assert map_scalar(scalar.add, np.ones(2, np.int32), 3).dtype == np.int32


@pytest.mark.parametrize("n", [1, 2, 7, 8, 9, 63, 1001])
def test_odd_sizes_and_strided_views(n):
    x = np.linspace(-3, 3, 2 * n).astype(np.float32)
    view, whole = map_scalar(scalar.silu, x[::2]), map_scalar(scalar.silu, x)
    assert np.array_equal(view, whole[::2]) and view.flags.c_contiguous
    square = np.arange(n * 3.0).reshape(n, 3)
    assert np.array_equal(map_scalar(scalar.relu, square.T), square.T)


def test_halves_are_computed_in_float32():
    x = np.linspace(-3, 3, 11).astype(np.float16)
    y = map_scalar(scalar.sigmoid, x)
    assert y.dtype == np.float16
    assert np.array_equal(y, map_scalar(scalar.sigmoid, x.astype(np.float32)).astype(np.float16))
    assert map_scalar(scalar.sigmoid, np.arange(3)).dtype == np.float32


def test_results_do_not_depend_on_the_number_of_threads(same_on_any_threads):
    x = np.linspace(-9, 9, 100_003).astype(np.float32)
    same_on_any_threads(lambda: map_scalar(scalar.gelu, x))
    same_on_any_threads(lambda: map_scalar(scalar.elu_grad, x, x, 0.3))


def test_where_clip_and_cast():
    x = np.array([[-1.5, np.nan, 2.5]], np.float32)
    chosen = where(np.array([[True], [False]]), x, np.float32(7))
    np.testing.assert_array_equal(chosen, [[-1.5, np.nan, 2.5], [7, 7, 7]])
    assert chosen.dtype == np.float32
    assert where(np.array([1, 0]), np.array([1, 2]), 0.5 * np.ones(1)).dtype == np.float64
    np.testing.assert_array_equal(clip(x, -1, 2), np.array([[-1, np.nan, 2]], np.float32))
    assert np.array_equal(clip(np.arange(4), np.array([1]), 2), [1, 1, 2, 2])
    assert clip(x, -1, 2).dtype == np.float32
    assert np.array_equal(cast(np.array([-1.7, 1.7]), "int32"), [-1, 1])
    assert cast(np.array([0.0, 0.5]), bool).tolist() == [False, True]
    assert cast(np.ones((2, 3)), "float32").shape == (2, 3)


def test_numpy_scalars_alone_are_arrays_without_axes():
    for formula in (scalar.add, scalar.maximum):
        y = map_scalar(formula, np.float32(2), np.float32(0.5))
        assert (y.shape, y.dtype) == ((), np.float32)
        assert y == (2.5 if formula is scalar.add else 2.0)
    for formula in (scalar.sigmoid, scalar.exp):
        for dtype in (np.float32, np.float64):
            y = map_scalar(formula, dtype(0.5))
            assert (y.shape, y.dtype) == ((), dtype)
            assert y == map_scalar(formula, np.array(0.5, dtype))
    assert map_scalar(scalar.leaky_relu, np.float32(-1), 0.25) == -0.25
