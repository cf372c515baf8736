"""Time Python's part of an eager operation: the public function with a tape on, less its kernel.

python scripts/bench_op_overhead.py            # the table
python scripts/bench_op_overhead.py --limit 5  # and an error where one takes more microseconds

Arrays are small, so that the kernel itself takes little; both sides run it on the same ones.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time

import numpy as np

import kerasmirror as keras
from kerasmirror import ops
from kerasmirror.autodiff import GradientTape
from kerasmirror.kernels import for_device, scalar
from kerasmirror.kernels.geometry import ConvGeometry

ROUNDS, CALLS = 15, 400


def cases(k):
    """(name, operation, its kernel, arrays) of what models and users call most."""
    rng = np.random.default_rng(0)

    def array(*shape):
        return rng.standard_normal(shape).astype("float32")

    a, b, w = array(4, 8), array(4, 8), array(8, 3)
    image, window = array(1, 6, 6, 2), array(3, 3, 2, 4)
    geometry = ConvGeometry((1, 1), ((0, 0), (0, 0)), (1, 1), 1, (4, 4))
    return [
        ("add", ops.add, lambda x, y: k.map_scalar(scalar.add, x, y), (a, b)),
        ("x + y", lambda x, y: x + y, lambda x, y: k.map_scalar(scalar.add, x, y), (a, b)),
        ("x * 2.0", lambda x: x * 2.0, lambda x: k.map_scalar(scalar.multiply, x, b), (a,)),
        ("multiply", ops.multiply, lambda x, y: k.map_scalar(scalar.multiply, x, y), (a, b)),
        ("relu", ops.relu, lambda x: k.relu(x), (a,)),
        ("exp", ops.exp, lambda x: k.map_scalar(scalar.exp, x), (a,)),
        ("matmul", ops.matmul, lambda x, y: k.matmul(x, y), (a, w)),
        ("reshape", lambda x: ops.reshape(x, (8, 4)), lambda x: x.reshape(8, 4), (a,)),
        ("transpose", lambda x: ops.transpose(x), lambda x: x.transpose(1, 0), (a,)),
        ("sum", lambda x: ops.sum(x, axis=1), lambda x: k.sum(x, (1,), False), (a,)),
        ("mean", lambda x: ops.mean(x, axis=1), lambda x: k.mean(x, (1,), False), (a,)),
        ("concatenate", lambda x, y: ops.concatenate([x, y], 1),
         lambda x, y: k.concatenate((x, y), 1), (a, b)),
        ("getitem", lambda x: x[1:3], lambda x: k.get_at(x, slice(1, 3)), (a,)),
        ("where", ops.where, lambda c, x, y: k.where(c, x, y), (a > 0, a, b)),
        ("conv", lambda x, y: ops.conv(x, y),
         lambda x, y: k.conv2d(x, y, None, geometry, "linear"), (image, window)),
        ("softmax", lambda x: ops.softmax(x), lambda x: k.softmax(x), (a,)),
    ]  # fmt: skip


def microseconds(run, after=lambda: None):
    """The least time of one call, in rounds of many, without garbage collections (as timeit)."""
    best = float("inf")
    gc.disable()
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(CALLS):
            run()
        best = min(best, (time.perf_counter() - start) / CALLS)
        after()
    gc.enable()
    return best * 1e6


def main(arguments=None):
    """Print the table; with a limit, exit with 1 where an operation is beyond it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--limit", type=float, help="microseconds allowed to an operation")
    parser.add_argument("--only", help="operations whose names hold this")
    options = parser.parse_args(arguments)
    k = for_device("cpu")
    beyond = []
    print(f"kerasmirror {keras.__version__}, microseconds for a call on small arrays, tape on\n")
    print(f"{'operation':12} {'whole':>8} {'kernel':>8} {'Python':>8}")
    for name, operation, kernel, arrays in cases(k):
        if options.only and options.only not in name:
            continue
        tensors = [ops.convert_to_tensor(array) for array in arrays]
        kept = []  # as on the tape: memory that is in use is not given out again
        alone = microseconds(
            lambda kernel=kernel, arrays=arrays, keep=kept.append: keep(kernel(*arrays)),
            kept.clear,
        )
        with GradientTape() as tape:
            tape.watch(tensors)
            whole = microseconds(
                lambda operation=operation, tensors=tensors: operation(*tensors), tape.reset
            )
        print(f"{name:12} {whole:8.2f} {alone:8.2f} {whole - alone:8.2f}")
        if options.limit is not None and whole - alone > options.limit:
            beyond.append(name)
    if beyond:
        sys.exit(f"\nbeyond {options.limit} microseconds: {', '.join(beyond)}")


if __name__ == "__main__":
    main()
