"""Places computed inside kernels: division by products, and records as arguments."""

from typing import NamedTuple

import numpy as np
import pytest

pytest.importorskip("numba.cuda.compiler", reason="needs the package numba-cuda")

from kerasmirror.kernels.cuda.indices import Divisor, divisor, grid_index, split32, wrapped
from kerasmirror.kernels.cuda.kernel import KERNELS, Signature, flat, kernel
from kerasmirror.kernels.cuda.launch import launch

LARGEST = 2**31 - 1
DIVISORS = [1, 2, 3, 5, 7, 10, 641, 2**16 - 1, 2**16, 2**30, 2**30 + 1, LARGEST - 1, LARGEST]


class _Division(NamedTuple):
    count: int
    d: int
    by: Divisor


@kernel("i4* i4* i4* R", R=_Division)
def _split(numbers, quotients, rests, r):
    i = grid_index()
    if i < r.count:
        quotients[i], rests[i] = split32(numbers[i], r.d, r.by)


@kernel("I* i4* R", I="i4 i8", R=_Division)
def _wrap(places, found, r):
    i = grid_index()
    if i < r.count:
        found[i] = wrapped(places[i], r.d, r.by)


for _own in (_split, _wrap):
    KERNELS.remove(_own)


def _numbers(d):
    """Where a wrong quotient would be found: beside multiples, and at the ends."""
    multiples = [d * k for k in (1, 2, 3, LARGEST // d - 1, LARGEST // d)]
    near = [m + by for m in multiples for by in (-1, 0, 1)] + [0, 1, LARGEST - 1, LARGEST]
    return np.array([n for n in near if 0 <= n <= LARGEST], "int32")


def test_quotients_and_remainders_by_products(gpu):
    for d in DIVISORS:
        numbers = _numbers(d)
        found = [gpu.to_device(np.zeros_like(numbers)) for _ in range(2)]
        record = flat(_Division(numbers.size, d, divisor(d)))
        launch(_split, 1, gpu.to_device(numbers), *found, *record)
        np.testing.assert_array_equal(found[0].to_host(), numbers // d)
        np.testing.assert_array_equal(found[1].to_host(), numbers % d)


def test_a_divisor_fits_its_words_and_is_exact_where_it_could_fail_first():
    for d in [*range(1, 5000), *DIVISORS]:
        factor, shift = divisor(d)
        assert factor < 2**32 and shift < 64
        last = LARGEST // d * d + d - 1  # the largest number with the largest remainder
        last = last if last <= LARGEST else last - d
        assert all(n * factor >> shift == n // d for n in (last, LARGEST) if n >= 0)


def test_a_record_is_one_argument_of_a_kernel_and_a_word_for_each_field():
    signature = Signature(["f4*", _Division])
    assert signature.words == ("f4*", "i4", "i4", "u4", "i4")
    assert len(signature.types) == 2 and signature.key == ("f4",)
    assert flat(_Division(5, 7, Divisor(3, 4))) == (5, 7, 3, 4)


@pytest.mark.parametrize(("dtype", "ends"), [("int32", 2**31), ("int64", 2**63)])
def test_places_behind_an_axis_or_before_it_go_around(gpu, dtype, ends):
    for n in (1, 7, 1000):
        places = [-ends, -ends + 1, -n - 1, -n, -1, 0, n - 1, n, 2 * n + 3, ends - 1]
        found = gpu.to_device(np.zeros(len(places), "int32"))
        record = flat(_Division(len(places), n, divisor(n)))
        launch(_wrap, 1, gpu.to_device(np.array(places, dtype)), found, *record)
        assert found.to_host().tolist() == [place % n for place in places]
