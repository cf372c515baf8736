"""Make the code of the usual kernels that comes with the package, for each kind of CPU.

python scripts/precompile.py             # make anew what is not of the current sources
python scripts/precompile.py --all       # make all of it anew
python scripts/precompile.py --check     # say what is not current, is missing or is left over

The kernels are those of `python -m kerasmirror warm`. numba compiles each to LLVM's language, which
kerasmirror/kernels/cpu/shipped.py reads. Nothing of it depends on this machine: run twice, it gives
the same bytes. Kernels whose code is not current are compiled by numba when they are needed.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from kerasmirror.commands import warm  # noqa: E402
from kerasmirror.kernels import cache, for_device  # noqa: E402
from kerasmirror.kernels.cpu import machine_code  # noqa: E402

X86, ARM = "x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"
AVX2 = ("avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe", "popcnt", "sse4.2")
AVX512 = (*AVX2, "avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl")
# What kernels are optimised for; the machine code is made on the user's machine, for its CPU.
TARGETS = {
    "sse2": (X86, "x86-64", ("sse2",)),
    "avx2": (X86, "haswell", AVX2),
    "avx512": (X86, "skylake-avx512", AVX512),
    "arm64": (ARM, "neoverse-n1", ("fp-armv8", "neon")),
}
# What every process has: the C library, and the interpreter.
LIBRARY = {
    *("calloc", "cos", "cosf", "exp", "expf", "fmod", "fmodf", "free", "log", "logf", "malloc"),
    *("memcpy", "memmove", "memset", "pow", "powf", "sin", "sinf", "sqrt", "sqrtf"),
}


def kernels_for(name):
    """The CPU's kernels, loaded for one of TARGETS."""
    triple, cpu, features = TARGETS[name]
    text = ",".join(f"+{feature}" for feature in features)
    machine_code.pretend(machine_code.Target(triple, cpu, frozenset(features), text))
    return for_device("cpu")


def routines_of(kernels):
    """{file of kernels: its routines} that a warm cache would have."""
    routines = [kernel.routine(args)[0] for kernel, args in warm.notes_of(warm.SUBJECTS)]
    routines = sorted([*routines, *kernels.noting.ROUTINES], key=lambda one: one[:2])
    return {
        source: list(found) for source, found in itertools.groupby(routines, lambda one: one.source)
    }


def state_of(source, routines, kernels):
    """What is wrong with a file of code, or None."""
    digest, found = kernels.shipped.read(kernels.shipped.path_of(source))
    if digest is None:
        return "is missing"
    if digest != cache.digest_of(source):
        return "is not of the current sources"
    if set(found) != {routine.symbol for routine in routines}:
        return "has not the kernels that are needed"
    return None


def code_of(routine, kernels):
    """The code of a routine, once machine code has been made of it."""
    text = kernels.compiling.text_of(routine)
    outside = {name for name in machine_code.emit(text).needs if not name.startswith("Py")}
    if outside - LIBRARY:
        raise SystemExit(f"{routine.symbol} needs {', '.join(sorted(outside - LIBRARY))}")
    return text


def work(name, options):
    """Check or make the code for one of TARGETS; prints what was found as JSON lines."""
    kernels = kernels_for(name)
    wanted = routines_of(kernels)
    for source, routines in wanted.items():
        wrong = state_of(source, routines, kernels)
        if wrong or options.all:
            path = kernels.shipped.path_of(source)
            if not options.check:
                code = {routine.symbol: code_of(routine, kernels) for routine in routines}
                kernels.shipped.write(source, code)
                wrong = f"made: {len(code)} kernels, {path.stat().st_size:,} bytes"
            print(json.dumps([str(path.relative_to(ROOT)), wrong]), flush=True)
    expected = {kernels.shipped.path_of(source) for source in wanted}
    for path in sorted((kernels.shipped.FOLDER / kernels.shipped.tile()).glob("*")):
        if path not in expected:
            if not options.check:
                path.unlink()
            print(json.dumps([str(path.relative_to(ROOT)), "is left over"]), flush=True)


def run(name, options):
    """`work` in a process of its own, which pretends to be that CPU."""
    flags = [f"--{flag}" for flag in ("all", "check") if getattr(options, flag)]
    command = [sys.executable, __file__, "--for", name, *flags]
    environment = {key: value for key, value in os.environ.items() if "NUMBA" not in key}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        found = []
        for line in process.stdout:
            found.append(json.loads(line))
            print(*found[-1], flush=True)
    if process.returncode:
        raise SystemExit(f"{name}: exit status {process.returncode}")
    return found


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="change nothing; status 1 if stale")
    parser.add_argument("--all", action="store_true", help="make also what is current")
    parser.add_argument("--for", dest="target", choices=TARGETS, help="one kind of CPU, here")
    options = parser.parse_args()
    if options.target:
        work(options.target, options)
        return
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(itertools.chain(*pool.map(lambda name: run(name, options), TARGETS)))
    if options.check:
        print("Everything is current." if not found else f"{len(found)} files are not current.")
        sys.exit(bool(found))


if __name__ == "__main__":
    main()
