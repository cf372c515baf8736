"""Every CUDA kernel compiles and assembles, within its budgets: proved without a GPU.

By default one kernel of each file for the H100, of float32 where it has that; with `-m slow` all
kernels in that form for Turing, Ampere, Hopper and Blackwell, their other types and the formulas'
kernels for the H100, and some of the formulas' for the others.
"""

import re
from pathlib import Path

import pytest

pytest.importorskip("numba.cuda.compiler", reason="needs the package numba-cuda")

from kerasmirror.kernels.cuda import elementwise, load, static
from kerasmirror.kernels.cuda.kernel import KERNELS

if static.missing():
    pytest.skip(static.missing(), allow_module_level=True)

load()
HOPPER = (9, 0)
OTHERS = [(7, 5), (8, 0), (10, 0)]
# Of a thread: more would leave too few threads on a multiprocessor to hide memory's latency.
MOST_REGISTERS = 128
MOST_SHARED = 48 << 10  # without asking the driver for more
HAND_WRITTEN = list(KERNELS)


def first_form(kernel):
    return kernel, next(iter(kernel.signatures.values()))


def forms_of(kernels):
    return [(kernel, signature) for kernel in kernels for signature in kernel.signatures.values()]


def by_file(kernels):
    """{file: its kernels}: what tests take together, as the disassembler does."""
    files = {}
    for kernel in kernels:
        files.setdefault(Path(kernel.source).stem, []).append(kernel)
    return files


FILES = by_file(HAND_WRITTEN)
# Of the formulas' kernels those with the most code, and simple ones of each kind.
FORMULAS = "add divide power tanh gelu erf sin arccosh equal bitwise_and logical_or floor_divide"


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


def assert_within_budgets(forms, capability):
    """All forms, compiled together, keep to what their kernels' declarations allow."""
    forms = [form for form in forms if capability >= form[0].capability]
    static.gather(forms, capability)
    found = {}
    for kernel, signature in forms:
        wrong = faults(kernel, signature, static.facts_of(kernel, signature, capability))
        if wrong:
            found[f"{kernel.name}({signature})"] = wrong
    assert found == {}


@pytest.mark.parametrize("file", FILES)
def test_a_kernel_assembles_within_its_budgets(file):
    """The one that was declared first, or the first with a least share of multiply-adds."""
    one = max(FILES[file], key=lambda kernel: (kernel.ffma is not None, kernel.min_blocks))
    assert_within_budgets([first_form(one)], HOPPER)


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES)
def test_all_kernels_do_in_all_their_types(file):
    assert_within_budgets(forms_of(FILES[file]), HOPPER)


@pytest.mark.slow
@pytest.mark.parametrize("capability", OTHERS, ids=lambda value: f"sm_{value[0]}{value[1]}")
@pytest.mark.parametrize("file", FILES)
def test_all_kernels_do_on_other_generations(file, capability):
    assert_within_budgets([first_form(kernel) for kernel in FILES[file]], capability)


@pytest.fixture(scope="module")
def formulas():
    """{name: kernel} of the kernels that are made of formulas."""
    elementwise.declare_all()
    return {kernel.name: kernel for kernel in KERNELS if kernel.name.startswith("_map_")}


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
def test_those_made_of_formulas_do(formulas, part):
    kernels = list(formulas.values())[part::8]
    assert len(kernels) > 20
    assert_within_budgets(list(map(first_form, kernels)), HOPPER)


@pytest.mark.slow
@pytest.mark.parametrize("capability", OTHERS, ids=lambda value: f"sm_{value[0]}{value[1]}")
def test_some_of_those_do_on_other_generations(formulas, capability):
    some = [formulas[f"_map_{name}"] for name in FORMULAS.split()]
    assert_within_budgets(list(map(first_form, some)), capability)


def test_every_block_is_of_whole_warps_that_a_multiprocessor_holds():
    wrong = [kernel.name for kernel in HAND_WRITTEN if kernel.block % 32 or kernel.block > 1024]
    assert wrong == []
