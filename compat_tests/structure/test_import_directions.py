"""The levels: imports point down, numba stays under kernels/, `import kerasmirror` is light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "kerasmirror"

# What each level may import besides itself. A name not listed here is a new level: place it.
BASE = {"_export", "version"}
CORE = BASE | {"core"}
AUTODIFF = CORE | {"kernels", "autodiff"}
OPS = AUTODIFF | {"ops"}
FORMULAS = OPS | {"random", "activations", "initializers", "regularizers", "constraints"}
MEASURES = FORMULAS | {"losses", "metrics", "optimizers"}
LAYERS = MEASURES | {"layers", "quantizers"}
ANYTHING = LAYERS | {"saving", "callbacks", "training", "models", "datasets", "utils", "parity"}
COMMANDS = ANYTHING | {"kernels", "standin", "unsupported", "experiments"}
ALLOWED = {
    "_export": set(),
    "version": set(),
    "kernels": set(),
    "core": BASE | {"kernels"},  # device.py: the arrays of a device come from its kernels
    "autodiff": CORE | {"kernels"},
    "ops": AUTODIFF,
    "random": OPS,
    "random_images": OPS | {"random"},
    "activations": OPS,
    "initializers": OPS | {"random"},
    "regularizers": OPS,
    "constraints": OPS,
    "losses": FORMULAS,
    "metrics": FORMULAS | {"losses"},
    "optimizers": FORMULAS,
    "quantizers": FORMULAS,
    "layers": MEASURES | {"quantizers"},
    "saving": CORE,
    "callbacks": OPS | {"saving", "optimizers"},
    "training": MEASURES | {"callbacks"},
    "models": LAYERS | {"saving", "callbacks", "training"},
    "datasets": ANYTHING,
    "utils": ANYTHING,
    "parity": ANYTHING | {"experiments"},
    "standin": ANYTHING,
    "experiments": ANYTHING | {"commands"},
    "unsupported": set(),
    "commands": COMMANDS,
    "__main__": {"commands", "parity"},
    "__init__": {"_export", "unsupported", "version"},
}


def level_of(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def imported_modules(path):
    """Dotted names that a file imports, relative ones resolved, with their line numbers."""
    package = ["kerasmirror", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield f"{module}.{alias.name}", node.lineno


FILES = sorted(PACKAGE.rglob("*.py"))


def test_imports_point_down_only():
    wrong = []
    for path in FILES:
        level = level_of(path)
        for name, line in imported_modules(path):
            parts = name.split(".")
            if parts[0] != "kerasmirror" or len(parts) < 2:
                continue
            target = parts[1]
            if target != level and target not in ALLOWED[level] | {"__version__"}:
                wrong.append(f"{path.relative_to(PACKAGE)}:{line} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_ops_see_formulas_and_geometry_but_no_kernels():
    above = {"ops", "losses", "metrics", "layers", "optimizers", "random", "activations"}
    wrong = [
        f"{path.relative_to(PACKAGE)}:{line} imports {name}"
        for path in FILES
        if level_of(path) in above
        for name, line in imported_modules(path)
        if name.startswith("kerasmirror.kernels.cpu")
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("outsider", ["numba", "llvmlite"])
def test_compilers_are_imported_under_kernels_only(outsider):
    wrong = [
        str(path.relative_to(PACKAGE))
        for path in FILES
        if level_of(path) != "kernels"
        and any(name.split(".")[0] == outsider for name, _ in imported_modules(path))
    ]
    assert not wrong


def test_real_keras_is_imported_by_the_parity_child_only():
    found = {
        str(path.relative_to(PACKAGE))
        for path in FILES
        if any(name.split(".")[0] in ("keras", "tensorflow") for name, _ in imported_modules(path))
    }
    assert found <= {"parity/child.py", "parity/measure.py"}


def test_no_function_imports_our_own_modules():
    wrong = []
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            for inner in ast.walk(node):
                names = [a.name for a in inner.names] if isinstance(inner, ast.Import) else []
                if isinstance(inner, ast.ImportFrom):
                    names = ["kerasmirror" if inner.level else (inner.module or "")]
                if any(name.split(".")[0] == "kerasmirror" for name in names):
                    wrong.append(f"{path.relative_to(PACKAGE)}:{inner.lineno}")
    # The harness compares two packages and gets ours like any other.
    assert [w for w in wrong if not w.startswith("parity/compare.py")] == []


def test_importing_the_package_loads_no_compiler_kernel_or_tensorflow():
    program = (
        "import sys, kerasmirror\n"
        "heavy = ['numba', 'llvmlite', 'tensorflow', 'keras', 'h5py', 'kerasmirror.kernels.cpu']\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
