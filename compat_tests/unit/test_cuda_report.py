"""scripts/cuda_report.py: its bounds from made-up code, its page and table from a real kernel."""

import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba.cuda.compiler", reason="needs the package numba-cuda")

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))
import cuda_report  # noqa: E402

from kerasmirror.kernels.cuda import static  # noqa: E402

A100, H100, RTX_4090 = cuda_report.CARDS


def facts(card, counts, loops=(), registers=32, shared=0):
    parts = tuple(map(static.Part, loops))
    whole = static.Part(counts)
    return static.Facts(card.capability, registers, 0, 0, shared, (8,), 0, whole, parts)


def test_peaks_are_those_of_the_data_sheets():
    peaks = [round(card.peak, 1) for card in cuda_report.CARDS]
    assert peaks == [19.5, 66.9, 82.6]


def test_a_loop_of_multiply_adds_is_bound_by_what_else_is_issued():
    loop = {"FFMA": 75, "LDS.128": 20, "IADD3": 5}
    told = cuda_report.estimate(facts(H100, loop, [loop], registers=128), 256, H100)
    assert told.bound == "arithmetic"
    assert told.share == 0.75 and told.intensity == float("inf")
    assert told.speed == pytest.approx(0.75 * H100.peak)
    # 16 lanes for each scheduler take two clocks for a multiply-add, so the rest is issued beside.
    assert cuda_report.estimate(facts(A100, loop, [loop], 128), 256, A100).share == 1.0


def test_too_few_warps_do_not_keep_the_lanes_busy():
    loop = {"FFMA": 100}
    few = facts(H100, loop, [loop], shared=200 << 10)  # one block of 32 threads fits
    assert cuda_report.estimate(few, 32, H100).share == pytest.approx(1 / 8)


def test_a_pass_over_memory_is_bound_by_the_bytes_on_their_way():
    plain = facts(H100, {"LDG.E.128": 1, "STG.E.128": 1, "FADD": 4, "EXIT": 1})
    told = cuda_report.estimate(plain, 256, H100)
    assert told.bound == "memory" and told.intensity == 4 / 32
    assert told.share == 1.0 and told.speed == H100.bandwidth
    narrow = facts(H100, {"LDG.E.U8": 1, "FADD": 1, "EXIT": 1})
    wanted = H100.bandwidth * 1e9 * cuda_report.LATENCY / H100.multiprocessors
    assert cuda_report.estimate(narrow, 256, H100).share == pytest.approx(64 * 32 / wanted)


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
    assert re.search(r"8 x 256 \| 100% \(warps\) \| .* of memory: [\d,.]+ GB/s \|", line)


def test_a_name_that_no_kernel_has_is_an_error(tmp_path):
    if static.missing():
        pytest.skip(static.missing())
    with pytest.raises(SystemExit) as raised:
        cuda_report.main(["--output", str(tmp_path / "x.html"), "--kernels", "no_such"])
    assert str(raised.value) == "scripts/cuda_report.py: no kernel's name matches 'no_such'"
