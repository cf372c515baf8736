"""What kernels state of their traffic: how it is read, and that their machine code agrees."""

from fractions import Fraction

import pytest

pytest.importorskip("numba.cuda.compiler", reason="needs the package numba-cuda")

from kerasmirror.kernels.cuda import load, static
from kerasmirror.kernels.cuda.kernel import KERNELS, Signature
from kerasmirror.kernels.cuda.traffic import operations_of, traffic_of

load()
# Of each kind of straight code one kernel; the slow test takes all.
SOME = ["_relu_grad", "_adam", "_read", "_lstm", "_cast", "_map_where", "weighted", "_sort_step"]
# Two stores, of which a thread takes one.
BRANCHES = ["_pad"]


def straight():
    """The kernels that have one signature's first form without loops, once each."""
    return [(k, next(iter(k.signatures.values()))) for k in KERNELS if k.name not in BRANCHES]


def disagreement(kernel, signature, facts):
    """What of a kernel without loops its loads and stores do not bear out, in words; or None.

    A thread makes so many items, by one way or several; each loads and stores as many bytes as are
    stated. Arrays of which there is next to nothing may be loaded beside.
    """
    stated = kernel.traffic
    loaded, written = stated.loaded(signature), stated.written(signature)
    found = Fraction(facts.whole.bytes_of("LDG")), Fraction(facts.whole.bytes_of("STG"))
    items = found[1] / written
    exactly = all(a.elements for a in stated.accesses)
    if items.denominator > 1 or items < 1:
        return f"{found[1]} bytes are stored, {written} stated"
    if found[0] < items * loaded or (exactly and found[0] != items * loaded):
        return f"{found[0]} bytes are loaded for {items} items, {loaded} stated"
    return None


def wrong(forms):
    """What is wrong, by kernel."""
    static.gather(forms, (9, 0))
    told = {}
    for kernel, signature in forms:
        facts = static.facts_of(kernel, signature, (9, 0))
        if not facts.loops and not facts.shared:
            told[kernel.name] = disagreement(kernel, signature, facts)
    return told


def test_machine_code_loads_and_stores_what_is_stated():
    forms = [form for form in straight() if form[0].name in SOME]
    assert wrong(forms) == dict.fromkeys(SOME)


@pytest.mark.slow
def test_that_of_all_kernels_without_loops_does():
    found = wrong(straight())
    assert len(found) > 60
    assert {name: said for name, said in found.items() if said} == {}


def test_every_kernel_states_its_traffic():
    assert [kernel.name for kernel in KERNELS if kernel.traffic is None] == []


def test_words_tell_elements_loads_and_stores():
    found = traffic_of("r 4rw 1/4r9 - w 3f", 5)
    signature = Signature("f4* f8* u1* f4* f4* i4".split())
    assert found.read(signature) == 4 + 32 + Fraction(1, 4)
    assert found.loaded(signature) == 4 + 32 + Fraction(9, 4)
    assert found.written(signature) == 32 + 4
    assert found.operations == 3
    assert not found.is_one_pass and traffic_of("r w 1f", 2).is_one_pass


@pytest.mark.parametrize("text", ["r w", "r 1f", "r w w 1f", "r 4 1f", "x w 1f"])
def test_what_fits_no_kernel_of_two_pointers_is_refused(text):
    with pytest.raises(ValueError, match=r"is not"):
        traffic_of(text, 2)


def test_operations_of_a_formula_are_counted():
    assert operations_of(lambda x, y: -x * y + abs(y)) == 4
    assert operations_of(lambda x: x) == 0
