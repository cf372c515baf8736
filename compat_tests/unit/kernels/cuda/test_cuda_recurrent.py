import numpy as np
import pytest

GATES = {"lstm": 4, "gru": 3, "simple": 1}
SIZES = [(0, 3), (1, 1), (5, 67)]


def drawn(rng, dtype, *shape):
    return rng.normal(size=shape).astype(dtype)


def on_both(gpu, cpu, name, cell, arrays):
    """The function on both devices; gives nothing, but compares what it wrote."""
    moved = {id(a): gpu.to_device(a) for a in arrays}
    getattr(gpu, name)(cell, *(moved[id(a)] for a in arrays))
    getattr(cpu, name)(cell, *arrays)
    rtol = 1e-5 if arrays[0].dtype == np.float32 else 1e-13
    for array in arrays:
        np.testing.assert_allclose(moved[id(array)].to_host(), array, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("cell", GATES)
def test_a_step_makes_the_gates_and_the_states_of_the_cpu(gpu, cpu, cell, size, dtype):
    rng = np.random.default_rng(0)
    n, units = size
    z, inner = (drawn(rng, dtype, n, GATES[cell] * units) for _ in range(2))
    h_prev, c_prev, h, c, extra = (drawn(rng, dtype, n, units) for _ in range(5))
    on_both(gpu, cpu, "recurrent_step", cell, [z, inner, h_prev, c_prev, h, c, extra])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("cell", GATES)
def test_a_step_back_gives_the_gradients_of_the_cpu(gpu, cpu, cell, size, dtype):
    rng = np.random.default_rng(0)
    n, units = size
    z, dz, dinner = (np.tanh(drawn(rng, dtype, n, GATES[cell] * units)) for _ in range(3))
    dh, dc, extra, h_prev, c_prev, direct = (drawn(rng, dtype, n, units) for _ in range(6))
    arrays = [dh, dc, z, extra, h_prev, c_prev, dz, dinner if cell == "gru" else dz, direct]
    on_both(gpu, cpu, "recurrent_step_grad", cell, arrays)


def test_a_step_writes_into_one_of_many_in_an_array(gpu, cpu):
    rng = np.random.default_rng(0)
    z, inner = drawn(rng, "float32", 3, 2, 20), drawn(rng, "float32", 2, 20)
    hs, cs, extra = (drawn(rng, "float32", 4, 2, 5) for _ in range(3))
    on_gpu = [gpu.to_device(a) for a in (z, hs, cs, extra)]
    gz, gh, gc, ge = (
        [a.view_at(t * a.size // len(a), a.shape[1:]) for t in range(len(a))] for a in on_gpu
    )
    gpu.recurrent_step("lstm", gz[1], gpu.to_device(inner), gh[1], gc[1], gh[2], gc[2], ge[1])
    cpu.recurrent_step("lstm", z[1], inner, hs[1], cs[1], hs[2], cs[2], extra[1])
    for found, expected in zip(on_gpu, (z, hs, cs, extra), strict=True):
        np.testing.assert_allclose(found.to_host(), expected, rtol=1e-5, atol=1e-6)
