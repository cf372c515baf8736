"""scripts/cuda_report.py: its bounds from made-up code, its page and table from a real kernel."""

import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("numba.cuda.compiler", reason="needs the package numba-cuda")

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))
import cuda_estimates  # noqa: E402
import cuda_report  # noqa: E402

from kerasmirror.kernels.cuda import static  # noqa: E402
from kerasmirror.kernels.cuda.kernel import Signature  # noqa: E402
from kerasmirror.kernels.cuda.traffic import traffic_of  # noqa: E402

A100, H100, RTX_4090 = cuda_report.CARDS


def facts(card, counts, loops=(), registers=32, shared=0):
    parts = tuple(map(static.Part, loops))
    whole = static.Part(counts)
    return static.Facts(card.capability, registers, 0, 0, shared, (8,), 0, whole, parts)


def test_peaks_are_those_of_the_data_sheets():
    peaks = [round(card.peak, 1) for card in cuda_report.CARDS]
    assert peaks == [19.5, 66.9, 82.6]


def estimated(card, found, traffic, block=256, words="f4* f4*"):
    kernel = SimpleNamespace(block=block, traffic=traffic_of(traffic, words.count("*")))
    return cuda_estimates.estimate(found, kernel, Signature(words.split()), card)


def test_a_loop_of_multiply_adds_is_bound_by_what_else_is_issued():
    loop = {"FFMA": 75, "LDS.128": 20, "IADD3": 5}
    told = estimated(H100, facts(H100, loop, [loop], registers=128), "1/1024r8 1/1024r8 2f")
    assert told.bound == "arithmetic"
    assert told.peak == pytest.approx(0.75) and told.intensity == 256
    assert told.speed == pytest.approx(0.75 * H100.peak)
    # 16 lanes for each scheduler take two clocks for a multiply-add, so the rest is issued beside.
    again = estimated(A100, facts(A100, loop, [loop], 128), "1/1024r8 1/1024r8 2f")
    assert again.peak == pytest.approx(1)


def test_too_few_warps_do_not_keep_the_lanes_busy():
    loop = {"FFMA": 100}
    few = facts(H100, loop, [loop], shared=200 << 10)  # one block of 32 threads fits
    told = estimated(H100, few, "1/4096r 1/4096r 2f", 32)
    assert told.peak == pytest.approx(1 / 8)


def test_a_pass_over_memory_is_bound_by_the_bytes_on_their_way():
    plain = facts(H100, {"LDG.E.128": 1, "STG.E.128": 1, "FADD": 4, "EXIT": 1})
    told = estimated(H100, plain, "r w 1f")
    assert told.bound == "memory" and told.intensity == 1 / 8
    assert told.bandwidth == 1.0 and told.speed == pytest.approx(H100.bandwidth / 8e3)
    narrow = facts(H100, {"LDG.E.U8": 1, "FADD": 1, "EXIT": 1})
    wanted = H100.bandwidth * 1e9 * cuda_estimates.LATENCY / H100.multiprocessors
    found = estimated(H100, narrow, "r 1f", words="u1*").bandwidth
    assert found == pytest.approx(64 * 32 / wanted)


def test_what_moves_much_may_be_held_up_by_instructions():
    slow = facts(H100, {"LDG.E": 1, "STG.E": 1, "IMAD": 400})
    told = estimated(H100, slow, "r w 1f")
    clocks = 402 / 4 / 32  # of a multiprocessor for an item
    moved = 8 * H100.multiprocessors * H100.clock / clocks
    assert told.bound == "instructions"
    assert told.bandwidth == pytest.approx(moved / H100.bandwidth)


def test_the_part_that_makes_items_is_the_loops_or_the_code_without_one():
    passes = [{"LDG.E": 1, "FADD": 3}, {"LDG.E": 1, "STG.E": 1, "FMUL": 2}, {"LDS": 9}]
    whole = {"LDG.E": 2, "STG.E": 1, "FADD": 3, "FMUL": 2, "LDS": 9, "S2R": 5}
    signature = Signature(["f4*", "f4*"])
    stated = traffic_of("r2 w 5f", 2)
    part, items = cuda_estimates.working_part(facts(H100, whole, passes), stated, signature)
    assert items == 1 and part.counts == {"LDG.E": 2, "FADD": 3, "STG.E": 1, "FMUL": 2}
    whole = {"LDG.E": 5, "STG.E": 1, "FMNMX": 5, "IADD3": 2}
    found = facts(H100, whole, [{"LDG.E": 1, "FMNMX": 1, "IADD3": 2}])
    part, items = cuda_estimates.working_part(found, traffic_of("4r w 4f", 2), signature)
    assert items == 1 and part.counts["LDG.E"] == 4 and part.count("IADD3") == 0


def test_tensor_cores_are_not_estimated():
    found = facts(A100, {"HMMA.1688.F32.TF32": 8, "LDG.E.128": 1})
    assert estimated(A100, found, "1/1024r8 1/1024r8 2f").bound == "tensor cores"


def test_every_published_figure_names_its_source_or_says_that_there_is_none():
    for said, source in cuda_report.PUBLISHED:
        assert (source or "").startswith("https://") or "no published" in said


def test_the_page_and_the_table_tell_of_each_kernel(tmp_path, capsys):
    if static.missing():
        pytest.skip(static.missing())
    page, written = tmp_path / "cuda.html", tmp_path / "cuda.md"
    arguments = ["--output", str(page), "--markdown", str(written), "--kernels", "^_relu"]
    cuda_report.main(arguments)
    assert "kernels for RTX 4090" in capsys.readouterr().err
    text = page.read_text()
    assert text.count("<svg") == len(cuda_report.CARDS) == text.count("</svg>")
    assert "<td>relu</td>" in text and "<td>relu_grad</td>" in text
    # It loads nothing: sources are named as text.
    assert not re.search(r"\b(?:src|href)=|@import|url\(", text)
    (line,) = [line for line in written.read_text().split("\n") if "| relu |" in line]
    assert re.search(
        r"8 x 256 \| 100% \(warps\) \|  \| 4 \| 4 \| 1 \|( memory: 100% .* \|){3}$", line
    )
    assert "Nothing here was timed" in written.read_text()
    assert "2 of 2 are bound by memory on all three cards. Not: none." in written.read_text()


def test_a_name_that_no_kernel_has_is_an_error(tmp_path):
    if static.missing():
        pytest.skip(static.missing())
    with pytest.raises(SystemExit) as raised:
        cuda_report.main(["--output", str(tmp_path / "x.html"), "--kernels", "no_such"])
    assert str(raised.value) == "scripts/cuda_report.py: no kernel's name matches 'no_such'"
