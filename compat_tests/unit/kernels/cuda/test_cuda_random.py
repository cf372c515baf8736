import ml_dtypes
import numpy as np
import pytest

SEED = (5, 7)
SHAPES = [(), (0,), (1,), (3, 2), (1025,)]
FLOATS = ["float32", "float64"]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["uint32", "int32", "uint64", "int64"])
def test_words_are_those_of_the_cpu(same, shape, dtype):
    same("random_bits", shape, (2**31 - 3, 2**40 + 1), np.dtype(dtype), exact=True)


@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize("bounds", [(0, 10), (-5, 1000), (-(2**31), 2**31 - 1)])
def test_whole_numbers_are_those_of_the_cpu(same, dtype, bounds):
    same("random_integers", (9, 29), SEED, *bounds, np.dtype(dtype), exact=True)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SHAPES)
def test_uniform_values_are_those_of_the_cpu_to_the_bit(same, dtype, shape):
    same("uniform", shape, SEED, np.dtype(dtype), exact=True)
    # A multiply-add would round once where the CPU rounds twice.
    same("uniform", shape, SEED, np.dtype(dtype), -0.05, 0.07, exact=True)


@pytest.mark.parametrize("name", ["normal", "truncated_normal"])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SHAPES)
def test_normal_values_are_those_of_the_cpu_but_for_their_last_bits(same, name, dtype, shape):
    atol = 1e-6 if dtype == "float32" else 3e-15
    same(name, shape, SEED, np.dtype(dtype), 0.25, 1.5, rtol=0, atol=atol)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("noise", [None, (5, 1, 3, 7), (5, 1, 3, 1), (1, 11, 1, 7), (1, 1, 1, 1)])
def test_dropout_drops_what_it_drops_on_the_cpu(same, dtype, noise):
    x = np.random.default_rng(0).normal(size=(5, 11, 3, 7)).astype(dtype)
    x[0, 0, 0, :3] = np.inf, -np.inf, np.nan
    same("dropout", x, SEED, 0.3, noise, exact=True)


@pytest.mark.parametrize("dtype", FLOATS)
def test_dropout_of_everything_gives_zeros_whatever_the_values(same, dtype):
    same("dropout", np.array([1, np.nan], dtype), None, 1.0, exact=True)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_halves_are_drawn_and_dropped_as_on_the_cpu(same, dtype):
    dtype = np.dtype(dtype)
    same("uniform", (7, 11), SEED, dtype, exact=True)
    same("uniform", (7, 11), SEED, dtype, -0.3, 0.7, exact=True)
    # One in the last place of a half, where float32 was in the middle between two.
    for name in ("normal", "truncated_normal"):
        same(name, (7, 11), SEED, dtype, 0.5, 2.0, rtol=2e-3 if dtype == np.float16 else 2e-2)
    x = np.random.default_rng(0).normal(size=(5, 4, 3)).astype(dtype)
    same("dropout", x, SEED, 0.3, exact=True)
    same("dropout", x, SEED, 0.3, (5, 1, 3), exact=True)


def test_dropout_of_an_empty_array_is_empty(same):
    same("dropout", np.zeros((0, 3), "float32"), SEED, 0.5, exact=True)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n", [1, 2, 3, 1026])
def test_dropout_in_place_writes_into_its_argument(gpu, cpu, dtype, n):
    x = np.random.default_rng(0).normal(size=n).astype(dtype)
    y = gpu.to_device(x)
    assert gpu.dropout_in_place(y, SEED, 0.4) is y
    np.testing.assert_array_equal(y.to_host(), cpu.dropout(x, SEED, 0.4))


@pytest.mark.parametrize("first", [1, 2, 4])
def test_dropout_of_a_part_that_starts_anywhere(gpu, cpu, first):
    x = np.random.default_rng(0).normal(size=40).astype("float32")
    part = gpu.to_device(x).view_at(first, (30,))
    y = gpu.dropout(part, SEED, 0.4)
    np.testing.assert_array_equal(y.to_host(), cpu.dropout(x[first : first + 30], SEED, 0.4))


def test_a_noise_shape_that_alternates_too_often_is_refused(gpu):
    x = gpu.zeros((2, 2, 2, 2, 2, 2), "float32")
    with pytest.raises(NotImplementedError, match="alternate at most 4 times"):
        gpu.dropout(x, SEED, 0.5, (1, 2, 1, 2, 1, 2))


def test_a_key_on_the_device_may_be_overwritten_between_two_draws(gpu, cpu):
    from kerasmirror.kernels.cuda.random import key_of, overwrite_key

    key = key_of(SEED)
    assert key_of(key) is key
    for seed in (SEED, (5, 8)):
        overwrite_key(key, seed)
        expected = cpu.uniform((6,), seed)
        np.testing.assert_array_equal(gpu.uniform((6,), key).to_host(), expected)


def test_a_captured_dropout_draws_anew_with_another_key(gpu, cpu):
    from kerasmirror.kernels.cuda import device
    from kerasmirror.kernels.cuda.random import key_of, overwrite_key

    x, key = gpu.to_device(np.ones(50, "float32")), key_of(SEED)
    gpu.dropout(x, key, 0.5)  # loads the kernel, which a capture cannot
    on = device.current()
    on.begin_capture()
    y = gpu.dropout(x, key, 0.5)
    graph = on.end_capture()
    for seed in (SEED, (5, 8)):
        overwrite_key(key, seed)
        on.run_graph(graph)
        np.testing.assert_array_equal(y.to_host(), cpu.dropout(np.ones(50, "float32"), seed, 0.5))
    on.drop_graph(graph)


def test_the_order_of_samples_is_that_of_the_cpu(gpu, cpu):
    np.testing.assert_array_equal(gpu.shuffle_order(50, 3), cpu.shuffle_order(50, 3))
