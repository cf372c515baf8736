"""Code of kernels that comes with the package: read, refused, kept, and the same as numba's."""

import json
import lzma
import os
import subprocess
import sys
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
import pytest

import kerasmirror
from kerasmirror.kernels import cache, for_device
from kerasmirror.kernels.cpu import activation, compiling, launch, machine_code, shipped
from kerasmirror.kernels.cpu.jit import names

ROOT = Path(kerasmirror.__file__).resolve().parents[1]
SCRIPT = ROOT / "scripts" / "precompile.py"
ROUTINE = activation._relu.routine((np.zeros(3, np.float32),) * 2)[0]
for_device("cpu")


@pytest.fixture
def none_yet(tmp_path, monkeypatch):
    """A cache and a folder of shipped code of one's own, both empty."""
    monkeypatch.setenv("KERASMIRROR_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("KERASMIRROR_COMPILE_HELPERS", "0")
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "compiled")
    shipped.entries.cache_clear()
    yield shipped.path_of(ROUTINE.source)
    shipped.entries.cache_clear()


def kept():
    return [path.name for path in cache.cache_root().rglob("*.o")]


@pytest.fixture
def numba_stays_out(monkeypatch):
    def refuse(routine, path):
        raise AssertionError(f"numba compiles {routine.name}")

    monkeypatch.setattr(compiling, "_from_numba", refuse)


@pytest.mark.usefixtures("numba_stays_out")
def test_shipped_code_becomes_machine_code_without_numba_and_is_kept(none_yet):
    shipped.write(ROUTINE.source, {ROUTINE.symbol: compiling.text_of(ROUTINE)})
    address = compiling.address_of(ROUTINE)
    assert address and kept() == ["_relu__f4x1_f4x1.o"]
    none_yet.unlink()
    shipped.entries.cache_clear()
    assert compiling.address_of(ROUTINE) == address  # from the disk


def test_code_of_other_sources_counts_for_nothing(none_yet, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(cache, "digest_of", lambda source: "0123456789abcdef0123")
        shipped.write(ROUTINE.source, {ROUTINE.symbol: "no code at all"})
    assert shipped.text_of(ROUTINE.source, ROUTINE.symbol) is None
    assert compiling.address_of(ROUTINE) and kept() == ["_relu__f4x1_f4x1.o"]  # by numba


@pytest.mark.parametrize("text", ["no code at all", "define void @f() { call void @missing() }"])
def test_code_that_this_llvm_does_not_know_is_left_to_numba(none_yet, text):
    shipped.write(ROUTINE.source, {ROUTINE.symbol: text})
    assert compiling._from_package(ROUTINE, Path("unused")) is None
    assert compiling.address_of(ROUTINE)


def test_code_that_needs_something_outside_of_the_process_is_left_to_numba(none_yet):
    text = (
        "declare void @not_there()\ndefine void @f() {\n  call void @not_there()\n  ret void\n}\n"
    )
    assert machine_code.emit(text).needs == ("not_there",)
    shipped.write(ROUTINE.source, {ROUTINE.symbol: text})
    assert compiling._from_package(ROUTINE, Path("unused")) is None


@pytest.mark.parametrize(
    "content", [b"", b"PK", lzma.compress(b"; LLVM 22"), lzma.compress(b"\xff")]
)
def test_a_damaged_file_counts_for_nothing(none_yet, content):
    none_yet.parent.mkdir(parents=True)
    none_yet.write_bytes(content)
    assert shipped.entries(ROUTINE.source) == {}


def test_an_old_llvm_and_the_variable_leave_all_to_numba(none_yet, monkeypatch):
    shipped.write(ROUTINE.source, {ROUTINE.symbol: "code"})
    assert shipped.text_of(ROUTINE.source, ROUTINE.symbol) == "code"
    shipped.entries.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(machine_code, "LLVM", 15)
        assert shipped.text_of(ROUTINE.source, ROUTINE.symbol) is None
    shipped.entries.cache_clear()
    monkeypatch.setenv("KERASMIRROR_SHIPPED_KERNELS", "0")
    assert shipped.text_of(ROUTINE.source, ROUTINE.symbol) is None


def test_a_damaged_object_file_is_made_again(none_yet):
    shipped.write(ROUTINE.source, {ROUTINE.symbol: compiling.text_of(ROUTINE)})
    compiling.address_of(ROUTINE)
    path = next(cache.cache_root().rglob("*.o"))
    whole = path.read_bytes()
    for damaged in (b"", whole[:100], whole[:-1], whole.replace(b"\x7fELF", b"\x7fELV")):
        if damaged != whole:
            path.write_bytes(damaged)
            assert machine_code.read(path) is None
    assert compiling.address_of(ROUTINE) and path.read_bytes() == whole


def test_code_is_for_the_tile_of_this_cpu_alone(monkeypatch):
    """A CPU without AVX-512 never sees the code for it, which uses vectors of other sizes."""
    simd, before = shipped.simd, shipped.path_of(ROUTINE.source)
    for bits, rows, fma in ((512, 8, True), (256, 4, False), (128, 8, True), (128, 4, False)):
        monkeypatch.setattr(simd, "BITS", bits)
        monkeypatch.setattr(simd, "ROWS", rows)
        monkeypatch.setattr(simd, "HAS_FMA", fma)
        assert shipped.path_of(ROUTINE.source) != before
        assert shipped.path_of(ROUTINE.source).parent.name.endswith(
            f"{rows}x2x{bits // 32}" + "-fma" * fma
        )


def test_normalised_text_forgets_the_numbers_of_numba_and_keeps_its_meaning():
    text = """; ModuleID = 'x'
target triple = "x"
@.const.a = internal constant [3 x i8] c"%b\\00"
define internal i64 @"_ZN1aB2v7"(i64 %0, ptr captures(none) %arg.1) #1 {
  %2 = add i64 %0, 1
  br label %3

3:                                                ; preds = %1, %3
  %.9.i = phi i64 [ %2, %1 ], [ %.9.i, %3 ]
  br i1 true, label %3, label %"B 1"

"B 1":
  ret i64 %.9.i
}
declare i64 @sqrt(i64)
attributes #1 = { nounwind memory(none) }
"""
    llvm.parse_assembly(names.normalised(text)).verify()
    assert (
        names.normalised(text)
        == """@g0 = internal constant [3 x i8] c"%b\\00"
define internal i64 @g1(i64 %v0, ptr %v1) nounwind {
start:
  %v2 = add i64 %v0, 1
  br label %v4
v4:
  %v5 = phi i64 [ %v2, %start ], [ %v5, %v4 ]
  br i1 true, label %v4, label %v6
v6:
  ret i64 %v5
}
declare i64 @sqrt(i64)
"""
    )


TRAIN = """
import json, sys
import numpy as np
import kerasmirror as keras
from kerasmirror import layers
keras.utils.set_random_seed(1)
rng = np.random.default_rng(1)
x, y = rng.random((64, 16, 16, 3), dtype=np.float32), np.arange(64) % 10
conv = [layers.Conv2D(32, n, padding="same", activation="relu") for n in (3, 3, 5)]
pool = [layers.MaxPooling2D(2), layers.Dropout(0.25)]
last = [layers.Flatten(), layers.Dense(64, "relu"), layers.Dense(10, "softmax")]
model = keras.Sequential([layers.Input((16, 16, 3)), *conv, *pool, *last])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
found = model.fit(x, y, batch_size=32, epochs=2, verbose=0).history
weights = [int(np.frombuffer(w.tobytes(), np.uint8).astype(np.int64) @ np.arange(w.nbytes))
           for w in model.get_weights()]
print(json.dumps(["numba" in sys.modules, found["loss"], weights]))
"""


def train(folder, **variables):
    done = subprocess.run(
        [sys.executable, "-c", TRAIN],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "KERASMIRROR_CACHE_DIR": str(folder), **variables},
    )
    assert done.returncode == 0 and done.stderr == ""
    return json.loads(done.stdout)


@pytest.mark.slow
def test_training_has_the_same_bits_with_shipped_code_and_with_numbas(tmp_path):
    if state_of_all():
        pytest.skip("scripts/precompile.py has not been run since a kernel changed")
    # A few kernels that `warm` does not know of may be compiled here too.
    _, *results = train(tmp_path / "shipped")
    assert list((tmp_path / "shipped").rglob("gemm__*.o"))
    numba, *others = train(tmp_path / "numba", KERASMIRROR_SHIPPED_KERNELS="0")
    assert numba and results == others


def state_of_all():
    done = subprocess.run(
        [sys.executable, SCRIPT, "--check"], capture_output=True, text=True, cwd=ROOT
    )
    assert not done.stderr
    return [] if done.returncode == 0 else done.stdout.splitlines()


@pytest.mark.slow
@pytest.mark.skipif(not SCRIPT.exists(), reason="needs the repository")
def test_shipped_code_is_of_the_current_sources():
    wrong = state_of_all()
    assert not wrong, "\n".join([*wrong, "Run: python scripts/precompile.py"])


FAILS = """
import numpy as np
from kerasmirror.kernels.cpu import launch

@launch.kernel
def _fails(lo, hi, thread, x):
    raise ValueError("no")

launch.launch(_fails, 1, 1, np.zeros(1))
print("after")
"""


def test_entries_tell_of_an_error_in_a_kernel(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(FAILS)
    done = subprocess.run(
        [sys.executable, program],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "KERASMIRROR_COMPILE_HELPERS": "0"},
    )
    assert done.stdout == "after\n" and done.returncode == 0
    assert "SystemError: program._fails__f8x1 failed" in done.stderr


def test_two_kernels_of_one_name_get_code_of_their_own():
    def make(factor):
        scope = {}
        source = f"def _times(lo, hi, thread, x, y):\n    y[0] = x[0] * {factor}.0\n"
        exec(compile(source, f"/nowhere/{factor}/twice.py", "exec"), scope)
        return launch.kernel(scope["_times"])

    results = []
    for factor in (2, 3):
        kernel, y = make(factor), np.zeros(1)
        text = compiling.text_of(kernel.routine((y, y))[0])
        code = machine_code.emit(text)
        assert machine_code.is_complete(code)
        results.append(machine_code.load(code, "twice._times__f8x1_f8x1"))
    assert results[0] != results[1]
