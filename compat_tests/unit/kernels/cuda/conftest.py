"""The CUDA kernels: on a GPU where there is one, else their own lowered code, run on the CPU."""

import random

import numpy as np
import pytest

pytest.importorskip("numba_cuda", reason="needs the package numba-cuda")
pytest.importorskip("greenlet", reason="needs the package greenlet")


@pytest.fixture(scope="session", autouse=True)
def _gpu(some_gpu):
    """One for the whole session."""


@pytest.fixture
def gpu(some_gpu):
    """The CUDA kernels' namespace; afterwards no memory may have been written beside arrays."""
    from kerasmirror import kernels

    namespace = kernels.for_device("cuda")
    yield namespace
    if some_gpu == "real":
        return
    from kerasmirror.kernels.cuda.emulator import driver

    assert driver.overruns() == []


@pytest.fixture
def cpu():
    from kerasmirror import kernels

    return kernels.for_device("cpu")


@pytest.fixture(params=["in order", pytest.param("shuffled", marks=pytest.mark.slow)])
def threads(request):
    """Runs a test with the threads of a block in order, then in a random one."""
    from kerasmirror.kernels.cuda.emulator import function

    function.shuffled_by = random.Random(7) if request.param == "shuffled" else None
    yield request.param
    function.shuffled_by = None


@pytest.fixture
def same(gpu, cpu):
    """same(name, *args, rtol=1e-5): a function gives on the GPU what it gives on the CPU.

    NumPy arrays among the arguments (in lists too) are brought to the GPU; numbers stay.
    """

    def check(name, *args, rtol=1e-5, atol=0.0, exact=False, **options):
        expected = getattr(cpu, name)(*args, **options)
        moved = [_moved(gpu, a) for a in args]
        options = {key: _moved(gpu, value) for key, value in options.items()}
        found = getattr(gpu, name)(*moved, **options)
        many = isinstance(expected, (tuple, list))
        for e, f in zip(expected, found, strict=True) if many else [(expected, found)]:
            if e is None:
                assert f is None
                continue
            f = f.to_host()
            assert f.shape == np.shape(e) and f.dtype == np.asarray(e).dtype
            if exact:
                np.testing.assert_array_equal(f, e)
            else:
                scale = float(np.max(np.abs(e), initial=0.0, where=np.isfinite(e)))
                np.testing.assert_allclose(f, e, rtol=rtol, atol=atol or rtol * scale)
        return found

    return check


def _moved(gpu, value):
    if isinstance(value, np.ndarray):
        return gpu.to_device(value)
    if isinstance(value, list):
        return [_moved(gpu, item) for item in value]
    return value
