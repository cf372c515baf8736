"""Every CUDA kernel compiles and assembles, within its budgets: proved without a GPU.

By default one form of each kernel (of float32, where there is one) for the H100; with `-m slow` all
of them for Turing, Ampere, Hopper and Blackwell.
"""

import functools
import re

import pytest

pytest.importorskip("numba.cuda.compiler", reason="needs the package numba-cuda")

from kerasmirror.kernels.cuda import load, static
from kerasmirror.kernels.cuda.kernel import KERNELS, Kernel

if static.missing():
    pytest.skip(static.missing(), allow_module_level=True)

load()
HOPPER = (9, 0)
OTHERS = [(7, 5), (8, 0), (10, 0)]
# Of a thread: more would leave too few threads on a multiprocessor to hide memory's latency.
MOST_REGISTERS = 128
MOST_SHARED = 48 << 10  # without asking the driver for more
ALL = [(kernel, signature) for kernel in KERNELS for signature in kernel.signatures.values()]
FIRST = [(kernel, next(iter(kernel.signatures.values()))) for kernel in KERNELS]
REST = [form for form in ALL if form not in FIRST]


def described(form):
    kernel, signature = form
    return f"{kernel.name}({signature})"


@functools.cache
def gathered(which, capability):
    forms = {"first": FIRST, "rest": REST, "all": ALL}[which]
    static.gather([form for form in forms if capability >= form[0].capability], capability)


def widths(signature):
    sizes = {"1": 1, "2": 2, "4": 4, "8": 8}
    return tuple(8 if word.endswith("*") else sizes[word[1]] for word in signature.words)


def wide_loads(part):
    """Loads of shared memory, 128 bits each: LDS.128, on Turing LDS.U.128, or LDSM."""
    return [w for w in part.counts if w.startswith("LDSM") or re.match(r"LDS\b.*\.128", w)]


def faults(kernel, signature, facts):
    """What is wrong with a form of a kernel, in words."""
    single = not any(word.startswith("f8") for word in signature.words)
    held = static.occupancy(facts, kernel.block)
    rules = [
        (facts.stack > kernel.stack, f"{facts.stack} bytes of stack"),
        (facts.spilled, f"{facts.spilled} bytes of spilled registers"),
        (
            not kernel.stack and facts.whole.count("LDL", "STL"),
            "loads or stores of local memory",
        ),
        (
            facts.registers > (kernel.registers or MOST_REGISTERS),
            f"{facts.registers} registers",
        ),
        (facts.shared > (kernel.shared or MOST_SHARED), f"{facts.shared} bytes of shared memory"),
        (single and facts.doubles > kernel.doubles, f"{facts.doubles} instructions on float64"),
        (held.blocks < kernel.min_blocks, f"{held.blocks} blocks fit, {held.bound} bound them"),
        (facts.parameters != widths(signature), f"parameters of {facts.parameters} bytes"),
    ]
    if kernel.ffma is not None and single:
        share = static.multiply_adds(facts.hot) / facts.hot.size
        rules += [
            (share < kernel.ffma, f"{share:.3f} of its inner loop are multiply-adds"),
            (
                not facts.hot.count("LDS.128", "LDS.U.128", "LDSM"),
                "no 128-bit load of shared memory",
            ),
        ]
    return [said for wrong, said in rules if wrong]


@pytest.mark.parametrize("form", FIRST, ids=described)
def test_a_kernel_assembles_within_its_budgets(form):
    gathered("first", HOPPER)
    assert faults(*form, static.facts_of(*form, HOPPER)) == []


@pytest.mark.slow
@pytest.mark.parametrize("form", REST, ids=described)
def test_its_other_types_do(form):
    gathered("rest", HOPPER)
    assert faults(*form, static.facts_of(*form, HOPPER)) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "form, capability",
    [
        (form, capability)
        for capability in OTHERS
        for form in ALL
        if capability >= form[0].capability
    ],
    ids=lambda value: (
        described(value) if isinstance(value[0], Kernel) else f"sm_{value[0]}{value[1]}"
    ),
)
def test_it_does_on_other_generations(form, capability):
    gathered("all", capability)
    assert faults(*form, static.facts_of(*form, capability)) == []


def test_every_block_is_of_whole_warps_that_a_multiprocessor_holds():
    wrong = [kernel.name for kernel in KERNELS if kernel.block % 32 or kernel.block > 1024]
    assert wrong == []
