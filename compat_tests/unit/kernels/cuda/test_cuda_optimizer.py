import numpy as np
import pytest

# Each rule: how many arrays it takes, and its numbers.
RULES = {
    "sgd_update": (2, (0.01,)),
    "momentum_update": (3, (0.01, 0.8, False)),
    "adam_update": (4, (0.01, 0.9, 0.999, 1e-7)),
    "amsgrad_update": (5, (0.01, 0.9, 0.999, 1e-7)),
    "adamax_update": (4, (0.01, 0.9, 0.999, 1e-7)),
    "nadam_update": (4, (0.01, 0.9, 0.2, 0.3, 0.9, 0.999, 1e-7)),
    "adagrad_update": (3, (0.01, 1e-7)),
    "adadelta_update": (4, (0.01, 0.9, 1e-7)),
    "rmsprop_update": (3, (0.01, 0.9, 1e-7)),
    "rmsprop_momentum_update": (4, (0.01, 0.9, 0.8, 1e-7)),
    "centered_rmsprop_update": (4, (0.01, 0.9, 1e-7)),
    "centered_rmsprop_momentum_update": (5, (0.01, 0.9, 0.8, 1e-7)),
    "lion_update": (3, (0.01, 0.9, 0.99)),
    "axpy": (2, (-0.3,)),
    "scale": (1, (0.7,)),
    "lerp": (2, (0.9,)),
}
TOLERANCE = {"float32": 3e-7, "float64": 1e-15}


def arrays_of(count, n, dtype):
    """Weights and gradients of both signs, and slots as earlier steps may have left them."""
    rng = np.random.default_rng(n)
    w, g = rng.normal(size=(2, n))
    slots = np.abs(rng.normal(size=(3, n)))
    slots[2] /= 10  # the mean gradient is smaller than the root of the mean square
    return [a.astype(dtype) for a in (w, g, *slots[5 - count :])][:count]


def compare(gpu, cpu, name, arrays, numbers, first=0):
    """The rule on both devices, on the GPU on parts of arrays that begin at `first`."""
    moved = []
    for array in arrays:
        whole = gpu.to_device(np.concatenate([np.full(first, 9, array.dtype), array.ravel()]))
        moved.append(whole.view_at(first, array.shape))
    getattr(gpu, name)(*moved, *numbers)
    getattr(cpu, name)(*arrays, *numbers)
    for expected, found in zip(arrays, moved, strict=True):
        tolerance = TOLERANCE[str(expected.dtype)]
        np.testing.assert_allclose(found.to_host(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", RULES)
def test_rules_update_as_on_the_cpu(gpu, cpu, name, dtype):
    count, numbers = RULES[name]
    for n in (0, 3, 1031):
        compare(gpu, cpu, name, arrays_of(count, n, dtype), numbers)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nesterovs_momentum(gpu, cpu, dtype):
    compare(gpu, cpu, "momentum_update", arrays_of(3, 70, dtype), (0.01, 0.8, True))


@pytest.mark.parametrize("first", [1, 2, 3, 4])
def test_parts_that_begin_in_the_middle_of_sixteen_bytes(gpu, cpu, first):
    compare(gpu, cpu, "adam_update", arrays_of(4, 33, "float32"), RULES["adam_update"][1], first)


def test_arrays_may_have_any_shape(gpu, cpu):
    arrays = [a.reshape(3, 5, 2) for a in arrays_of(4, 30, "float32")]
    compare(gpu, cpu, "adam_update", arrays, RULES["adam_update"][1])


def test_an_array_may_be_added_to_itself(gpu):
    w = gpu.to_device(np.arange(9, dtype="float32"))
    gpu.axpy(w, w, -0.5)
    np.testing.assert_array_equal(w.to_host(), np.arange(9, dtype="float32") / 2)


def test_lion_keeps_what_is_not_a_number_and_stands_still_at_zero(gpu, cpu):
    w = np.zeros(4, "float32")
    g = np.array([0, np.nan, 2, -2], "float32")
    compare(gpu, cpu, "lion_update", [w, g, np.zeros(4, "float32")], (0.5, 0.9, 0.99))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [0, 1, 300, 5000])
def test_squared_norm_is_the_cpus_to_the_last_bits(gpu, cpu, threads, dtype, n):
    g = np.random.default_rng(n).normal(size=n).astype(dtype)
    found = gpu.squared_norm(gpu.to_device(g))
    assert isinstance(found, float)
    np.testing.assert_allclose(found, cpu.squared_norm(g), rtol=1e-14)


def test_squares_beyond_float32_add_up(gpu):
    g = gpu.to_device(np.full(5, 1e25, "float32"))
    np.testing.assert_allclose(gpu.squared_norm(g), 5e50, rtol=1e-6)


def test_squared_norm_does_not_depend_on_the_order_of_threads(gpu):
    from random import Random

    from kerasmirror.kernels.cuda.emulator import function

    g = gpu.to_device(np.random.default_rng(1).normal(size=700).astype("float32"))
    norms = set()
    for seed in range(3):
        function.shuffled_by = Random(seed)
        norms.add(gpu.squared_norm(g))
    function.shuffled_by = None
    assert len(norms) == 1
