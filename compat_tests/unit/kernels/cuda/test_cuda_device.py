"""Which GPU is used, and what is said where none can be."""

import importlib
import sys
import threading

import pytest

from kerasmirror.kernels.cuda import compiler, device, errors, memory
from kerasmirror.kernels.cuda.emulator import driver

INSTALL = (
    "Install an NVIDIA driver of release 580 or later and `pip install 'kerasmirror[cuda]'`, or "
    "compute on the CPU: unset KERASMIRROR_DEVICE and name no GPU."
)


@pytest.fixture
def fresh(monkeypatch):
    """device.py as in a process that has not asked for a GPU yet."""
    device.driver.cache_clear()
    monkeypatch.setattr(device, "_devices", {})
    monkeypatch.setattr(device, "_chosen", threading.local())
    entered, context = device._entered.device, driver._context.current
    yield monkeypatch
    device.driver.cache_clear()
    device._entered.device, driver._context.current = entered, context


def refusal(call, *args):
    with pytest.raises(RuntimeError) as raised:
        call(*args)
    return str(raised.value)


def test_without_the_package_it_says_what_to_install(fresh):
    fresh.setenv(device.EMULATOR, "0")
    fresh.setitem(sys.modules, "cuda.bindings.driver", None)
    assert refusal(device.get, 0) == (
        "kerasmirror: no GPU can be used: the package cuda-bindings is not installed (import of "
        f"cuda.bindings.driver halted; None in sys.modules). {INSTALL}"
    )
    assert device.count() == 0


def test_without_a_driver_it_says_so(fresh):
    def missing(flags):
        raise OSError("libcuda.so.1: cannot open shared object file")

    fresh.setattr(driver, "cuInit", missing)
    assert refusal(device.get, 0) == (
        "kerasmirror: no GPU can be used: there is no NVIDIA driver "
        f"(libcuda.so.1: cannot open shared object file). {INSTALL}"
    )
    assert device.count() == 0


def test_the_real_bindings_say_so_too_where_there_is_no_driver(fresh):
    bindings = pytest.importorskip("cuda.bindings.driver")
    try:
        bindings.cuInit(0)
    except Exception:
        pass
    else:
        pytest.skip("there is a driver")
    fresh.setenv(device.EMULATOR, "0")
    said = refusal(device.get, 0)
    assert said.startswith("kerasmirror: no GPU can be used: there is no NVIDIA driver (")
    assert said.endswith(f"). {INSTALL}")


def test_a_driver_without_a_gpu_says_so(fresh):
    code = importlib.import_module("cuda.bindings.driver").CUresult.CUDA_ERROR_NO_DEVICE
    fresh.setattr(driver, "cuInit", lambda flags: (code,))
    assert refusal(device.get, 0) == (
        "kerasmirror: no GPU can be used: the NVIDIA driver finds no usable GPU "
        f"(CUDA_ERROR_NO_DEVICE: CUDA_ERROR_NO_DEVICE). {INSTALL}"
    )


def test_a_driver_that_is_too_old_is_named(fresh):
    fresh.setattr(driver, "cuDriverGetVersion", lambda: (driver._OK, 12080))
    assert refusal(device.get, 0) == (
        "kerasmirror: no GPU can be used: the NVIDIA driver is too old: it speaks CUDA 12.8, and "
        f"CUDA 13.0 (driver 580 or later) is needed. {INSTALL}"
    )


def test_a_gpu_that_is_too_old_is_named(fresh):
    kind = driver.CUdevice_attribute
    old = {
        kind.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: 7,
        kind.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: 0,
    }
    fresh.setattr(driver, "_ATTRIBUTES", {**driver._ATTRIBUTES, **old})
    assert refusal(device.get, 0) == (
        "kerasmirror: no GPU can be used: emulated on the CPU (compute capability 7.0) is too old: "
        f"7.5 is the least. {INSTALL}"
    )


@pytest.mark.parametrize("number", [1, -1, 7])
def test_a_number_that_no_gpu_has_is_an_error_that_names_those_there_are(number):
    assert refusal(device.get, number) == (
        f"kerasmirror: there is no GPU of number {number}. Received: 'gpu:{number}'; "
        "those there are: 'gpu:0'"
    )


def test_a_failing_call_is_told_in_the_drivers_words():
    assert refusal(device.use(0).free, 5) == (
        "kerasmirror: the GPU failed at freeing memory "
        "(CUDA_ERROR_INVALID_VALUE: CUDA_ERROR_INVALID_VALUE)."
    )


def test_a_call_from_a_thread_without_context_fails_and_a_device_enters_it_first():
    said = []

    def work():
        said.append(errors.said(driver, driver.cuMemAlloc(4)[0]))
        device.use(0)
        said.append(memory.zeros((2,)).to_host().tolist())
        said.append(int(driver.cuMemAlloc(4)[0]))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    name = "CUDA_ERROR_INVALID_CONTEXT"
    assert said == [f"{name}: {name}", [0.0, 0.0], 0]


def test_another_device_of_the_same_thread_gets_its_context_back(fresh):
    entered = []
    fresh.setattr(driver, "cuDeviceGetCount", lambda: (driver._OK, 2))
    fresh.setattr(driver, "cuDeviceGet", lambda number: (driver._OK, number))
    fresh.setattr(driver, "cuDevicePrimaryCtxRetain", lambda number: (driver._OK, 10 + number))
    enter = driver.cuCtxSetCurrent
    fresh.setattr(driver, "cuCtxSetCurrent", lambda c: entered.append(c) or enter(c))
    first, second = device.get(0), device.get(1)
    for on in (first, first, second, second, first):
        on.memory()
    assert entered == [10, 11, 10, 11, 10]


def test_what_is_compiled_depends_on_the_card_the_packages_and_the_compilers_source(fresh):
    fresh.setenv(device.EMULATOR, "0")
    _, build = device._compiling((8, 6))
    _, other = device._compiling((9, 0))
    assert build.startswith("sm_86 ") and other.startswith("sm_90 ")
    assert build.split()[1:] == other.split()[1:] == compiler.versions().split()
    assert compiler.cache.digest_of(compiler.__file__) in build
    fresh.setenv(device.EMULATOR, "1")
    _, emulated = device._compiling((9, 0))
    assert emulated.startswith("emulator ")


def test_an_image_on_disk_that_was_cut_short_is_made_anew(tmp_path, monkeypatch):
    from kerasmirror.kernels.cuda import activation

    monkeypatch.setenv("KERASMIRROR_CACHE_DIR", str(tmp_path))
    on = device.use(0)
    kernel = activation._relu
    signature = kernel.signatures["f4", "f4"]
    made = []
    monkeypatch.setattr(on, "_compile", lambda *form: made.append(form) or (b"image" * 9, "entry"))
    assert compiler.image_of(kernel, signature, on) == (b"image" * 9, "entry")
    assert compiler.image_of(kernel, signature, on) == (b"image" * 9, "entry")
    assert len(made) == 1
    (path,) = tmp_path.rglob("*.bin")
    whole = path.read_bytes()
    for cut in (whole[:-1], whole[:4], b"", b"[3]\nabc"):
        path.write_bytes(cut)
        assert compiler.image_of(kernel, signature, on) == (b"image" * 9, "entry")
    assert len(made) == 5 and path.read_bytes() == whole
    assert [p.name for p in path.parent.iterdir()] == [path.name]
