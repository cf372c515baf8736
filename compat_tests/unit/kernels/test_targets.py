"""Other CPUs: inner loops as machine code that is not run, and kernels run as on older ones."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

# Compiles two kernels for another CPU; prints the tile and, of the loop with most fused
# multiply-adds of each, their number and how often it touches a vector on the stack.
PROGRAM = r"""
import json, re, sys
import llvmlite.binding as llvm
import numpy as np
import kerasmirror as keras
from kerasmirror.commands import ahead
from kerasmirror.kernels import for_device
from kerasmirror.kernels.cpu import machine_code

triple, cpu, features, fused, spilled = sys.argv[1:]
names = frozenset(item[1:] for item in features.split(","))
target = machine_code.Target(triple, cpu, names, features)
machine_code.pretend(target)
kernels = for_device("cpu")

def step():
    conv = keras.layers.Conv2D(32, 3, strides=2, activation="relu")
    layers = [keras.layers.Input((9, 9, 16)), conv, keras.layers.Flatten(), keras.layers.Dense(32)]
    model = keras.Sequential(layers)
    model.compile("sgd", "mse")
    model.train_on_batch(np.zeros((4, 9, 9, 16), np.float32), np.zeros((4, 32), np.float32))

head = f'target datalayout = "{machine_code.layout()}"\ntarget triple = "{triple}"\n'
found = {}
for kernel, args in ahead.notes_of(step):
    if kernel.name.strip("_") not in ("gemm", "gather"):
        continue
    text = kernels.compiling.text_of(kernel.routine(args)[0])
    code = target.machine().emit_assembly(llvm.parse_assembly(head + text))
    loops = []
    for block in re.split(r"\n(?=\.LBB\w+:)", code):
        label = re.match(r"\.LBB\w+(?=:)", block)
        back = r"\s(j\w+|b\.\w+|tbn?z|cbn?z)\s.*"
        if label and re.search(back + re.escape(label[0]) + r"\b", block):
            loops.append((len(re.findall(fused, block)), len(re.findall(spilled, block))))
    found[kernel.name.strip("_")] = max(loops)
simd = kernels.simd
print(json.dumps([simd.BITS, simd.ROWS * simd.VECTORS, found]))
"""

LINUX = "unknown-linux-gnu"
ON_STACK = {
    "x86_64": r"vmov\w+\s+(%[yz]mm\d+, -?\d*\(%rsp\)|-?\d*\(%rsp\), %[yz]mm\d+)",
    "aarch64": r"(str|ldr)\s+q\d+, \[sp|(stp|ldp)\s+q\d+, q\d+, \[sp",
}
AVX2 = "+avx,+avx2,+fma,+bmi,+bmi2,+sse4.2"
AVX512 = AVX2 + ",+avx512f,+avx512vl,+avx512dq,+avx512bw"
NEON = "+fp-armv8,+neon"
# The CPU, its features, vectors, a fused operation.
CPUS = {
    "haswell": ("x86_64", AVX2, 256, r"vfn?madd\w+ps\s.*%ymm"),
    "skylake-avx512": ("x86_64", AVX512, 512, r"vfn?madd\w+ps\s.*%zmm"),
    "neoverse-n1": ("aarch64", NEON, 128, r"fmla\s+v\d+\.4s"),
    "apple-m1": ("aarch64", NEON, 128, r"fmla\s+v\d+\.4s"),
}


@pytest.mark.slow
@pytest.mark.parametrize("cpu", CPUS)
def test_inner_loops_are_full_of_fused_vectors_and_spill_none(cpu, tmp_path):
    kind, features, bits, fused = CPUS[cpu]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, f"{kind}-{LINUX}", cpu, features, fused, ON_STACK[kind]],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "KERASMIRROR_CACHE_DIR": str(tmp_path),
            "KERASMIRROR_COMPILE_HELPERS": "0",
        },
    )
    assert done.returncode == 0, done.stderr
    tile_bits, sums, found = json.loads(done.stdout)
    assert tile_bits == bits and set(found) == {"gemm", "gather"}
    for name, (count, on_stack) in found.items():
        assert count >= sums and on_stack == 0, name


# An AVX2 machine and one without; what numba is told cannot be more than this machine has.
OLDER = {
    "haswell": {"NUMBA_CPU_NAME": "haswell"},
    "sse2": {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": ""},
}


@pytest.mark.slow
@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="needs an x86 CPU to pose as another"
)
@pytest.mark.parametrize("cpu", OLDER)
def test_kernels_are_right_on_older_cpus(cpu, tmp_path):
    here = Path(__file__).resolve().parent
    files = [str(here / name) for name in ("test_gemm.py", "test_conv_winograd.py")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", *files],
        cwd=here.parents[2],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            **OLDER[cpu],
            "KERASMIRROR_CACHE_DIR": str(tmp_path),
            "KERASMIRROR_COMPILE_HELPERS": "0",
        },
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert " passed" in done.stdout
