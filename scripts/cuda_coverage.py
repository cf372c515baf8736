"""Which of our operations, layers, losses and optimizers run on a GPU, as a table; needs no GPU.

python scripts/cuda_coverage.py [--area NAME ...] [--compute] [--write FILE] [--list]

Each case of the tests runs twice, on the CPU and on the emulated GPU. Kernels are only looked up
there, not run, but where a case goes by values; with --compute all run, which takes minutes for
each area, and the results are compared. "Runs" means: every kernel that a case needs exists for its
types, and nothing left the GPU by itself. --list names what does not run, and why; --write puts the
table between the markers in FILE, or makes FILE of it.
"""

import argparse
import ast
import collections
import inspect
import os
import re
import sys
import warnings
from pathlib import Path

os.environ["KERASMIRROR_CUDA_EMULATOR"] = "1"

import numpy as np  # noqa: E402 - the emulator is chosen before

import kerasmirror as keras  # noqa: E402
from kerasmirror.autodiff.tape import GradientTape  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "compat_tests"))
from cases import layers, ops_gradients, ops_numpy  # noqa: E402 - the cases are the tests'

KERNELS = ROOT / "kerasmirror" / "kernels"
BEGIN, END = "<!-- CUDA coverage: written by scripts/cuda_coverage.py -->", "<!-- end of CUDA"
RTOL, ATOL = 1e-4, 1e-5


# --- kernels --------------------------------------------------------------------------------


def public(device):
    """{name: file} of a device's public kernels, read off the files."""
    found = {}
    for path in sorted((KERNELS / device).glob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
                found.update(dict.fromkeys(ast.literal_eval(node.value), path.name))
    return found


def kernel_results():
    """(name, None or what is missing) of the CPU's public kernels, less how the CPU runs them."""
    there = public("cuda")
    return [
        (name, None if name in there else "no CUDA twin")
        for name, file in public("cpu").items()
        if file not in ("program.py", "recorder.py", "threads.py")
    ]


# --- cases ----------------------------------------------------------------------------------


def operation_cases():
    """(name, function of nothing) of operations: keras.ops on the cases' arrays."""
    for case in ops_numpy.CASES:
        yield case.name, lambda case=case: case.run(keras.ops, *map(tensor, case.arrays))


def gradient_cases():
    """Operations with their gradients, in float32."""
    for name, function, shapes in ops_gradients.CASES:
        yield name, lambda function=function, shapes=shapes: with_gradient(function, shapes)


def with_gradient(function, shapes):
    """The result of a function and its gradients in its floating-point arguments."""
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=s) if isinstance(s, tuple) else np.asarray(s) for s in shapes]
    values = [tensor(a.astype("float32") if a.dtype.kind == "f" else a) for a in arrays]
    with GradientTape() as tape:
        for value in values:
            tape.watch(value)
        y = function(*values)
    return [y, *tape.gradient(y, values)]


def layer_cases():
    """Layers, built and called in each of their modes."""
    rng = np.random.default_rng(0)
    for case in layers.CASES + layers.CHANNELS_FIRST:
        x = rng.integers(0, 5, case.shape) if case.integers else rng.normal(size=case.shape)
        x = x.astype("int32" if case.integers else "float32")

        def run(case=case, x=x):
            keras.utils.set_random_seed(1)
            layer = case.make(keras)
            return [layer(tensor(x), training=mode) for mode in case.training]

        yield case.id, run


def loss_cases():
    """All losses that can be made without arguments, on probabilities, with the gradient."""
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(3), (2, 4)).astype("float32")
    whole = np.array([0, 2, 1, 1])
    for name, kind in classes(keras.losses, keras.losses.Loss):
        sparse = name in ("Circle", "CategoricalGeneralizedCrossEntropy") or "Sparse" in name
        target = whole if sparse else shares[0]
        if name == "CTC":
            continue  # of ops.ctc_loss, which other areas have

        def run(kind=kind, target=target):
            y = tensor(shares[1])
            with GradientTape() as tape:
                tape.watch(y)
                loss = kind()(tensor(target), y)
            return loss, tape.gradient(loss, y)

        yield name, run


def optimizer_cases():
    """All optimizers, two steps on two variables, plainly and with clipping and averages."""
    plain = {}
    every = {"global_clipnorm": 0.5, "use_ema": True, "weight_decay": 0.01}
    for name, kind in classes(keras.optimizers, keras.optimizers.Optimizer):
        if name in ("LossScaleOptimizer", "MultiOptimizer"):
            continue  # around another optimizer
        for label, options in (("", plain), (" with options", every)):

            def run(kind=kind, options=options):
                rng = np.random.default_rng(0)
                optimizer = kind(**options)
                shapes = (4, 3), (3, 5)
                variables = [
                    keras.Variable(rng.normal(size=s).astype("float32"), name=f"w{i}")
                    for i, s in enumerate(shapes)
                ]
                for _ in range(2):
                    gradients = [tensor(rng.normal(size=s).astype("float32")) for s in shapes]
                    optimizer.apply(gradients, variables)
                return [v.value for v in variables]

            yield name + label, run


def classes(module, base):
    """(name, class) of a module's public classes below `base`, each once."""
    seen = set()
    for name, kind in sorted(vars(module).items()):
        if inspect.isclass(kind) and issubclass(kind, base) and kind is not base:
            if kind not in seen and name == kind.__name__:
                seen.add(kind)
                yield name, kind


AREAS = {
    "operations": operation_cases,
    "operations with gradients": gradient_cases,
    "layers": layer_cases,
    "losses with gradients": loss_cases,
    "optimizers": optimizer_cases,
}


# --- trying ---------------------------------------------------------------------------------


def tensor(array):
    """An array on the device in use."""
    return keras.ops.convert_to_tensor(array)


class LookUp:
    """While on, launches end where the kernel for their types was found."""

    def __init__(self):
        from kerasmirror.kernels.cuda import device, kernel, launch

        self.launch, self.kernels, self.device = launch, kernel.KERNELS, device
        self.load = launch._load

    def turn(self, on):
        """Look up only, or run kernels."""
        for kernel in self.kernels:
            kernel.loaded.clear()
        self.launch._load = self.found if on else self.load

    def found(self, kernel, key):
        """What takes the place of a kernel that there is."""
        if key not in kernel.signatures:
            raise NotImplementedError(self.launch.unsupported(kernel.name, key))
        return Found(self.device.current())


class Found:
    """Takes the place of a kernel that there is, and does nothing."""

    def __init__(self, device):
        self.device = device

    def run(self, *arguments):
        """Nothing."""


def outcome(run, look_up, compute):
    """None where a case runs on the GPU (and gives the CPU's values), else why not."""
    try:
        with keras.device("cpu:0"):
            expected = run()
    except Exception as error:  # whatever it is: the case says nothing about GPUs
        return f"fails on the CPU: {brief(error)}"
    look_up.turn(not compute)
    try:
        values = on_gpu(run)
    except (ValueError, IndexError, OverflowError) as error:
        if compute:
            return brief(error)
        # It may have met the contents of memory into which nothing was computed.
        return outcome(run, look_up, True)
    except Exception as error:
        return brief(error)
    if compute:
        for a, b in zip(values, map(np.asarray, flat(expected)), strict=True):
            if not np.allclose(a, b, RTOL, ATOL, equal_nan=True):
                return f"other values, by {np.nanmax(np.abs(a - b)):.2g}"
    return None


def on_gpu(run):
    """The results as NumPy arrays."""
    with keras.device("gpu:0"):
        found = run()
        return [np.asarray(keras.ops.convert_to_numpy(v)) for v in flat(found)]


def flat(result):
    """The tensors in a result."""
    return [part for part in keras.tree.flatten(result) if part is not None]


def brief(error):
    """An error in a few words, the same for all that fail alike."""
    text = " ".join(str(error).split()).removeprefix("kerasmirror: ")
    text = re.split(r"(?<=\w)\. (?=[A-Z])|: with keras", text)[0]
    return f"{type(error).__name__}: {text[:150]}"


def results_of(area, look_up, compute):
    """(name, None or why not) of an area's cases."""
    if area == "kernels":
        return kernel_results()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [(name, outcome(run, look_up, compute)) for name, run in AREAS[area]()]


# --- the table ------------------------------------------------------------------------------


def rows(results):
    """Lines of the table: an area, its cases, those that run, the others' names."""
    yield "| | cases | run on a GPU | do not |"
    yield "|---|---|---|---|"
    for area, found in results.items():
        missing = [name for name, reason in found if reason]
        names = ", ".join(f"`{name}`" for name in missing) or "none"
        yield f"| {area} | {len(found)} | {len(found) - len(missing)} | {names} |"


def reasons(results):
    """What does not run, by reason."""
    by_reason = collections.defaultdict(list)
    for area, found in results.items():
        for name, reason in found:
            if reason:
                by_reason[reason].append(f"{area}: {name}")
    for reason, names in sorted(by_reason.items(), key=lambda item: -len(item[1])):
        yield f"{len(names):4} {reason}"
        yield f"     {', '.join(names)}"


def write(path, text):
    """Put the table between the file's markers, or make the file of it."""
    block = f"{BEGIN}\n{text}\n{END} coverage -->"
    if path.exists():
        before, marker, rest = path.read_text().partition(BEGIN)
        if not marker:
            raise SystemExit(f"{path} has no line {BEGIN}")
        after = rest.partition(END)[2].partition("\n")[2]
        path.write_text(f"{before}{block}\n{after}")
    else:
        path.write_text(block + "\n")


def main():
    """Try, print, and with --write put the table into a file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--area", nargs="*", choices=["kernels", *AREAS], help="these alone")
    parser.add_argument("--compute", action="store_true", help="run kernels, compare values")
    parser.add_argument("--list", action="store_true", help="say why what does not run does not")
    parser.add_argument("--write", type=Path, metavar="FILE", help="where the table goes")
    options = parser.parse_args()
    with keras.device("gpu:0"):
        look_up = LookUp()
    areas = options.area or ["kernels", *AREAS]
    results = {area: results_of(area, look_up, options.compute) for area in areas}
    text = "\n".join(rows(results))
    print(text)
    if options.list:
        print("\n".join(reasons(results)))
    if options.write:
        write(options.write, text)


if __name__ == "__main__":
    main()
