"""The CPU and the GPU offer the same kernels: names, arguments, files; read off, nothing runs."""

import ast
from pathlib import Path

import pytest

from kerasmirror import kernels

FOLDER = Path(kernels.__file__).parent

# Public functions of one device alone, and why.
ONLY_CPU = {
    "Arena": "a recorded step of the CPU; a GPU's is a CUDA graph (graph.py)",
    "Program": "a recorded step of the CPU; a GPU's is a CUDA graph (graph.py)",
    "Recorder": "a recorded step of the CPU; a GPU's is a CUDA graph (graph.py)",
    "keys_drawn": "a recorded step of the CPU; a graph reads its keys from the device (keys.py)",
    "set_threads": "a GPU's grid is of the size of the work",
    "thread_count": "a GPU's grid is of the size of the work",
}
ONLY_CUDA = {
    "constant": "a number as an array, which the CPU's kernels have from NumPy",
    "set_tensor_cores": "the CPU multiplies in full float32 always",
    "to_device": "the CPU's arrays are the host's",
    "to_host": "the CPU's arrays are the host's",
}
# Functions that stand in another file than the CPU's, whose subject is divided otherwise.
ELSEWHERE = {
    "cast": "casting.py",
    "cumprod": "cumulative.py",
    "cumsum": "cumulative.py",
    "is_recording": "graph.py",
    "moments": "norm.py",
}
# The CPU's own functions under their name: what they give is for the host.
SHARED = {"shuffle_order"}


def public(device):
    """{name: (file, what it is defined as)} of a device's kernels."""
    found = {}
    for path in sorted((FOLDER / device).glob("*.py")):
        tree = ast.parse(path.read_text())
        defined = {getattr(node, "name", None): node for node in tree.body}
        for name in exported(tree):
            found[name] = path.name, defined.get(name)
    return found


def exported(tree):
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return ast.literal_eval(node.value)
    return []


def arguments(function):
    """Names and defaults, as they are written; types say which device's arrays are meant."""
    arguments = function.args
    for argument in ast.walk(arguments):
        if isinstance(argument, ast.arg):
            argument.annotation = None
    return ast.unparse(arguments)


CPU, CUDA = public("cpu"), public("cuda")
BOTH = sorted(CPU.keys() & CUDA.keys())


def test_each_device_has_what_the_other_has():
    assert CPU.keys() - CUDA.keys() == ONLY_CPU.keys()
    assert CUDA.keys() - CPU.keys() == ONLY_CUDA.keys()


@pytest.mark.parametrize("name", BOTH)
def test_a_kernel_takes_the_same_arguments_on_both_devices(name):
    (_, on_cpu), (_, on_cuda) = CPU[name], CUDA[name]
    if name in SHARED:
        assert on_cuda is None
    else:
        assert arguments(on_cuda) == arguments(on_cpu)


def test_kernels_stand_in_files_of_the_same_name():
    moved = {name: CUDA[name][0] for name in BOTH if CUDA[name][0] != CPU[name][0]}
    assert moved == ELSEWHERE
