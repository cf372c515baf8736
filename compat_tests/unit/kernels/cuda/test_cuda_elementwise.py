import ml_dtypes  # noqa: F401 - it names bfloat16
import numpy as np
import pytest

from kerasmirror.kernels import scalar

X = np.random.default_rng(0).normal(size=(5, 7)).astype("float32")
DTYPES = "bool uint8 int8 int32 int64 float16 bfloat16 float32 float64".split()


@pytest.fixture
def mapped(gpu, cpu):
    """mapped(formula, *args): the GPU gives what the CPU gives, in shape, dtype and values."""

    def check(formula, *args, rtol=0.0):
        expected = cpu.map_scalar(formula, *args)
        moved = [gpu.to_device(a) if isinstance(a, np.ndarray) else a for a in args]
        found = gpu.map_scalar(formula, *moved).to_host()
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        wide = [y.astype("float64") for y in (found, expected)]
        np.testing.assert_allclose(*wide, rtol=rtol, atol=rtol)

    return check


def test_arrays_of_one_shape(mapped):
    mapped(scalar.add, X, X)
    mapped(scalar.add, *np.ones((2, 3000), "float32"))
    mapped(scalar.silu_grad, X, X[::-1].copy(), rtol=1e-6)
    mapped(scalar.subtract, X[:0], X[:0])


def test_arrays_that_broadcast(mapped):
    mapped(scalar.subtract, X, X[0])
    mapped(scalar.subtract, X[:, :1].copy(), X[0])
    mapped(scalar.divide, X, np.float32(3))
    x = np.random.default_rng(1).normal(size=(2, 3, 4, 5)).astype("float32")
    mapped(scalar.multiply, x, x[:, :1, :, :1].copy())
    a, b = x[:, :1, :, :1].copy(), x[:1, :, :1].copy()
    mapped(scalar.multiply, a.reshape(2, 1, 4, 1, 1, 1), b.reshape(1, 3, 1, 5, 1, 1))
    c = np.arange(12, dtype="float32")
    mapped(scalar.multiply, c.reshape(2, 1, 2, 1, 3, 1), c.reshape(1, 2, 1, 3, 1, 2))


def test_numbers_take_the_arrays_type_as_in_numpy(mapped):
    mapped(scalar.add, X, 2.1)
    mapped(scalar.subtract, 1, X)
    mapped(scalar.multiply, X, np.float64(0.1))
    mapped(scalar.add, (X * 9).astype("int32"), 2)
    mapped(scalar.add, (X * 9).astype("int32"), 2.5)
    mapped(scalar.multiply, X.astype("float16"), 0.1)
    mapped(scalar.elu, X, 0.3, rtol=1e-6)


@pytest.mark.parametrize("formula", ["add", "multiply", "maximum", "less", "logical_and"])
@pytest.mark.parametrize("dtypes", ["bool bool", "uint8 int32", "int32 float32", "bfloat16 bool"])
def test_mixed_types_give_what_numpy_gives(mapped, formula, dtypes):
    a, b = dtypes.split()
    mapped(getattr(scalar, formula), (X > 0).astype(a), (np.abs(X[0]) * 9).astype(b))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_floats(mapped, dtype):
    mapped(scalar.divide, X.astype(dtype), np.abs(X).astype(dtype))
    mapped(scalar.tanh, X.astype(dtype), rtol=1e-12 if dtype == "float64" else 0.0)


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8"])
@pytest.mark.parametrize("formula", ["floor_divide", "mod", "bitwise_xor", "left_shift", "power"])
def test_whole_numbers(mapped, formula, dtype):
    a = np.arange(-6, 9).astype(dtype)
    mapped(getattr(scalar, formula), a, np.full(15, 3, dtype))


@pytest.mark.parametrize("formula", ["floor_divide", "mod"])
def test_division_of_floats_rounds_towards_minus_infinity(mapped, formula):
    a = np.array([7, -7, 7, -7, 0.5, -0.0, np.inf, 3], "float32")
    mapped(getattr(scalar, formula), a, np.array([2, 2, -2, -2, 0.1, 3, 2, np.inf], "float32"))


@pytest.mark.parametrize("formula", ["isnan", "isinf", "isfinite", "floor", "absolute", "rint"])
def test_unary_formulas_of_numbers_and_booleans(mapped, formula):
    mapped(getattr(scalar, formula), np.array([-np.inf, -2.5, -0.4, 0.5, 1.5, np.nan], "float32"))
    mapped(getattr(scalar, formula), np.arange(3, dtype="int32"))


def test_negative_powers_of_whole_numbers_are_refused(gpu):
    x = gpu.to_device(np.arange(3, dtype="int32"))
    with pytest.raises(ValueError, match="Integers to negative integer powers are not allowed"):
        gpu.map_scalar(scalar.power, x, -1)


def test_an_array_of_the_host_is_a_constant_of_the_caller(gpu):
    for _ in range(2):
        y = gpu.map_scalar(scalar.add, gpu.to_device(X), X)
        np.testing.assert_array_equal(y.to_host(), X + X)
    mask = np.array([True, False, True])
    y = gpu.where(mask, gpu.to_device(np.arange(3.0)), 7.0)
    assert y.to_host().tolist() == [0, 7, 2]


def test_types_without_a_kernel_are_refused(gpu):
    x = gpu.to_device(np.ones(3, "uint64"))
    with pytest.raises(NotImplementedError, match="add has no CUDA kernel for arrays of uint64"):
        gpu.map_scalar(scalar.add, x, x)


def test_where_and_clip(same):
    same("where", X > 0, X, X[0], exact=True)
    same("where", X > 0, X, 0, exact=True)
    same("where", X[0] > 0, 1.5, X[:, :1].copy(), exact=True)
    same("where", X > 0, 1.0, 2.0, exact=True)
    same("where", X > 0, X.astype("float16"), 0, exact=True)
    same("where", (X > 0).astype("int32"), X > 1, X > 2, exact=True)
    same("clip", np.append(X, np.float32(np.nan)), -0.5, 0.5, exact=True)
    same("clip", (X * 9).astype("int32"), -3, 4, exact=True)
    same("clip", X, X[0], X[0] + 1, exact=True)


@pytest.mark.parametrize("source", DTYPES)
@pytest.mark.parametrize("target", DTYPES)
def test_casts_give_the_cpus_values(same, source, target):
    same("cast", (np.abs(X) * 10).astype(source), target, exact=True)


def test_every_half_becomes_the_same_float(same):
    words = np.arange(1 << 16, dtype=np.uint16)
    for dtype in ("float16", "bfloat16"):
        same("cast", words.view(dtype), "float32", exact=True)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_floats_become_the_nearest_half(gpu, dtype):
    rng = np.random.default_rng(3)
    x = rng.integers(0, 1 << 32, 20000, dtype=np.uint32).view(np.float32)
    halves = rng.integers(0, 0x7C00, 3000, dtype=np.uint16).view(dtype).astype("float32")
    between = (halves + np.nextafter(halves.astype(dtype), np.asarray(9, dtype)).astype("f4")) / 2
    with np.errstate(over="ignore", invalid="ignore"):
        small = np.abs(x[:2000]) % np.float32(7e-5)
    x = np.concatenate([x, halves, between, small, -small])
    with np.errstate(over="ignore", invalid="ignore"):
        expected = x.astype(dtype).astype("float32")
    found = gpu.cast(gpu.to_device(x), dtype).to_host().astype("float32")
    np.testing.assert_array_equal(found, expected)


def test_a_double_is_rounded_once_to_a_half(same):
    # By way of float32 the tie would be settled wrongly, or made.
    a = 1 + 2.0**-11
    x = np.array([a, a + 1e-12, a - 1e-12, 65520, 65519.999999, 1e-8, 3e-8, np.inf, np.nan])
    same("cast", np.concatenate([x, -x]), "float16", exact=True)


def test_every_formula_can_be_declared_for_the_tests_that_compile_all(gpu):
    from kerasmirror.kernels.cuda import elementwise
    from kerasmirror.kernels.cuda.kernel import KERNELS

    elementwise.declare_all()
    declared = {kernel.name for kernel in KERNELS}
    named = [name for name, value in vars(scalar).items() if hasattr(value, "__code__")]
    assert [n for n in named if n[0] != "_" and f"_map_{n}" not in declared] == []
    assert {"_map_add_broadcast", "_map_erf_grad_broadcast", "_map_where"} <= declared
