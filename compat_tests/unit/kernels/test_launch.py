import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from kerasmirror import kernels
from kerasmirror.kernels import cache
from kerasmirror.kernels.cpu import activation, launch, threads

PACKAGE = Path(kernels.__file__).resolve().parents[2]


@launch.kernel
def _affine(lo, hi, thread, x, y, whole, double, single, shape):
    for i in range(lo, hi):
        y[i] = x[i] * whole + double + single + shape[0] * 10 + shape[1]


@launch.kernel
def _owner(lo, hi, thread, threads_seen, starts):
    for i in range(lo, hi):
        threads_seen[i] = thread
        starts[i] = lo


@launch.kernel
def _cube(lo, hi, thread, x, y):
    for n in range(lo, hi):
        for h in range(x.shape[1]):
            for c in range(x.shape[2]):
                y[c, h, n] = x[n, h, c]


@launch.kernel
def _negate(lo, hi, thread, x, y):
    for i in range(lo, hi):
        y[i] = not x[i]


def test_scalars_and_tuples_reach_the_kernel():
    x = np.arange(5, dtype=np.float64)
    y = np.empty_like(x)
    launch.launch(_affine, 5, 5, x, y, 3, 0.5, np.float32(0.25), (7, 2))
    np.testing.assert_array_equal(y, x * 3 + 0.5 + 0.25 + 72)


def test_array_shapes_of_any_rank_reach_the_kernel():
    x = np.random.default_rng(0).normal(size=(4, 3, 5))
    y = np.empty((5, 3, 4))
    launch.launch(_cube, 4, 1, x, y)
    np.testing.assert_array_equal(y, x.transpose(2, 1, 0))


def test_each_dtype_gets_an_entry_of_its_own():
    for dtype in (np.bool_, np.int32, np.int64):
        x = np.array([0, 1, 1], dtype)
        y = np.empty(3, np.bool_)
        launch.launch(_negate, 3, 3, x, y)
        np.testing.assert_array_equal(y, ~x.astype(bool))


@pytest.mark.parametrize("items, chunk", [(1, 1), (10, 3), (1000, 7), (64, 64)])
def test_every_item_runs_once_in_chunks(items, chunk):
    seen, starts = np.full(items, -1), np.full(items, -1)
    launch.launch(_owner, items, chunk, seen, starts)
    assert seen.min() >= 0 and seen.max() < threads.thread_count()
    if items > chunk and threads.thread_count() > 1:
        np.testing.assert_array_equal(starts, np.arange(items) // chunk * chunk)
    else:
        assert not starts.any()


def test_no_items_do_nothing():
    launch.launch(_owner, 0, 1, np.zeros(0, np.int64), np.zeros(0, np.int64))


def test_one_thread_does_all_when_asked():
    before = threads.thread_count()
    threads.set_threads(1)
    try:
        seen, starts = np.full(100, -1), np.full(100, -1)
        launch.launch(_owner, 100, 3, seen, starts)
    finally:
        threads.set_threads(before)
    assert not seen.any()


def test_thread_counts_out_of_range_are_errors():
    with pytest.raises(
        ValueError, match=r"set_threads: `count` must be between 1 and \d+. Rec.*=0"
    ):
        threads.set_threads(0)


def test_a_scattered_array_is_an_error():
    with pytest.raises(ValueError, match=r"_negate: array 1 must be C-contiguous. Received: shape"):
        launch.launch(_negate, 3, 3, np.zeros(3, bool), np.zeros(6, bool)[::2])


def test_arrays_after_scalars_are_an_error():
    with pytest.raises(TypeError, match="arrays must come before scalars"):
        launch.launch(_negate, 3, 3, 1, np.zeros(3, bool))


def test_other_arguments_are_an_error():
    with pytest.raises(TypeError, match="cannot pass str to a kernel"):
        launch.launch(_negate, 3, 3, np.zeros(3, bool), "x")


def test_kernels_run_from_several_python_threads_at_once():
    wrong = []

    def work(seed):
        x = np.random.default_rng(seed).normal(size=100_000).astype(np.float32)
        for _ in range(20):
            if not np.array_equal(activation.relu(x), np.maximum(x, 0)):
                wrong.append(seed)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(0,), (1,), (5, 7), (3, 50_001)])
def test_relu_and_its_gradient_match_numpy(shape, dtype):
    rng = np.random.default_rng(1)
    x, dy = rng.normal(size=shape).astype(dtype), rng.normal(size=shape).astype(dtype)
    y = activation.relu(x)
    np.testing.assert_array_equal(y, np.maximum(x, 0))
    np.testing.assert_array_equal(activation.relu_grad(dy, y), np.where(x > 0, dy, 0))
    assert y.dtype == dtype and y.shape == shape


def test_relu_keeps_what_is_not_a_number():
    assert np.isnan(activation.relu(np.array([np.nan], np.float32)))[0]


def run_python(code, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(PACKAGE), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_kernels_imports_no_numba():
    code = "import sys, kerasmirror.kernels; print('numba' in sys.modules)"
    assert run_python(code) == "False"


def test_an_unknown_device_is_an_error():
    with pytest.raises(
        ValueError, match="kernels: `device` must be one of .* Received: device='tpu'"
    ):
        kernels.for_device("tpu")


def test_compiled_kernels_are_found_on_disk_by_another_process(tmp_path):
    code = (
        "import sys\n"
        "import numpy as np\n"
        "from kerasmirror.kernels.cpu import activation, shipped\n"
        "shipped.entries = lambda source: {}\n"
        "activation.relu(np.ones(3, np.float32))\n"
        "print('numba' in sys.modules)"
    )
    environment = {"KERASMIRROR_CACHE_DIR": str(tmp_path), "KERASMIRROR_COMPILE_HELPERS": "0"}
    assert run_python(code, **environment) == "True"
    assert run_python(code, **environment) == "False"
    assert any(tmp_path.glob("activation-*/_relu__f4x1_f4x1.o"))


def test_the_thread_count_comes_from_the_environment():
    code = "from kerasmirror.kernels.cpu import threads; print(threads.thread_count())"
    assert run_python(code, KERASMIRROR_NUM_THREADS="1") == "1"


def test_the_cache_goes_to_the_user_folder_when_the_package_is_read_only(tmp_path, monkeypatch):
    monkeypatch.delenv("KERASMIRROR_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr(cache, "_writable", lambda folder: cache.PACKAGE not in folder.parents)
    assert cache.cache_root() == tmp_path / "xdg" / "kerasmirror"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache.cache_root() == tmp_path / "home" / ".cache" / "kerasmirror"


def test_a_folder_below_a_file_is_not_writable(tmp_path):
    (tmp_path / "file").touch()
    assert not cache._writable(tmp_path / "file" / "cache")
    assert cache._writable(tmp_path / "new" / "cache")


def test_the_cache_folder_changes_with_every_source_behind_a_kernel(tmp_path, monkeypatch):
    monkeypatch.setenv("KERASMIRROR_CACHE_DIR", str(tmp_path / "cache"))
    package = tmp_path / "package" / "kernels"
    (package / "cpu").mkdir(parents=True)
    (package / "cpu" / "one.py").write_text("from . import (\n    two,\n)\n")
    (package / "cpu" / "two.py").write_text("from ..three import something\n")
    (package / "cpu" / "jit").mkdir()
    makers = [f"cpu/{name}" for name in cache._MAKERS]
    for name in ("three.py", "cpu/other.py", *makers):
        (package / name).write_text("")
    monkeypatch.setattr(cache, "PACKAGE", package)

    def folder(environment="cpu"):
        cache._imports_of.cache_clear()
        cache.digest_of.cache_clear()
        return cache.cache_folder(package / "cpu" / "one.py", environment)

    first = folder()
    assert folder() == first and first.is_dir()
    assert folder("another cpu") != first
    (package / "cpu" / "other.py").write_text("x = 1\n")
    assert folder() == first
    for name in ("cpu/one.py", "cpu/two.py", "three.py", *makers):
        path = package / name
        old = path.read_text()
        path.write_text(old + "\nx = 1\n")
        assert folder() != first, name
        path.write_text(old)
    assert folder() == first


def test_folders_of_old_hashes_are_removed(tmp_path, monkeypatch):
    monkeypatch.setenv("KERASMIRROR_CACHE_DIR", str(tmp_path))
    stale, fresh = tmp_path / "launch-stale", tmp_path / "launch-fresh"
    stale.mkdir()
    fresh.mkdir()
    os.utime(stale, (0, 0))
    cache.cache_folder(launch.__file__, "a cpu")
    assert fresh.exists() and not stale.exists()


def test_two_files_may_not_export_one_name(monkeypatch):
    from kerasmirror.kernels import cpu
    from kerasmirror.kernels.cpu import memory

    monkeypatch.setattr(memory, "__all__", ["empty", "relu"])
    with pytest.raises(ImportError, match="`relu` is exported by both activation.py and memory.py"):
        cpu.load.__wrapped__()


def test_the_namespace_holds_what_files_export():
    namespace = kernels.for_device("cpu")
    assert namespace.relu is activation.relu and namespace.set_threads is threads.set_threads
    assert not hasattr(namespace, "thread_local") and "relu" in namespace.load()
