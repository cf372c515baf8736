"""Reports: errors, places, verdicts, the page. No real Keras is needed."""

import json
import re

import numpy as np
import pytest

from kerasmirror.parity.compare import TOLERANCES
from kerasmirror.parity.page import page
from kerasmirror.parity.report import Report, relative_error


@pytest.fixture
def report():
    return Report("model", TOLERANCES)


def test_the_worst_element_its_place_and_its_values_are_kept(report):
    expected = np.arange(6.0).reshape(2, 3)
    actual = expected.copy()
    actual[1, 0] += 0.5
    report.add("layer", "dense", actual, expected, expected + 0.125, "Dense")
    (row,) = report.rows
    assert row.error == pytest.approx(0.1) and row.place == (1, 0)
    assert (row.ours, row.theirs, row.nearer) == (3.5, 3.0, "keras")
    assert not row.good and not report.good
    report.add("layer", "other", actual, expected, actual, "Dense")
    assert report.rows[1].nearer == "kerasmirror"


def test_what_is_not_finite_is_the_worst(report):
    report.add("outputs", "model", [1.0, np.nan, 3.0], [1.5, 2.0, 3.0])
    assert report.rows[0].place == (1,) and report.rows[0].error == np.inf
    report.add("outputs", "model", [np.nan, np.inf], [np.nan, np.inf])
    assert report.rows[1].error == 0 and report.rows[1].good


def test_shapes_that_differ_never_agree(report):
    report.add("outputs", "model", np.zeros(3), np.zeros(4))
    assert report.rows[0].error == np.inf and report.rows[0].place is None
    assert relative_error(np.zeros(3), np.zeros(3)) == 0
    assert relative_error([0.5], [0.0]) == 0.5


def test_a_bound_of_0_takes_equal_values_alone():
    report = Report("model", {**TOLERANCES, "layer": 0.0})
    report.add("layer", "same", 1.0, 1.0)
    report.add("layer", "other", 1.0 + 1e-9, 1.0)
    ((_, worst, count, good),) = report.summary()
    assert (worst.name, count, good) == ("other", 2, 1)
    assert "1 of 2" in page(report) and "other" in str(report)


def filled(report, bad=(), flow_bad=(), gradient_bad=()):
    for name in ("a", "b", "c"):
        report.add("layer", name, 1.0 + (name in bad), 1.0, kind="Dense")
    for name in ("a", "b", "c"):
        report.add("flow", name, 1.0 + (name in flow_bad), 1.0)
    for name in ("a/kernel", "c/kernel"):
        report.add("gradient", name, 1.0 + (name in gradient_bad), 1.0)
    return report.verdict()


@pytest.mark.parametrize(
    ("wrong", "verdict"),
    [
        ({}, "Both packages agree."),
        (
            {"bad": "bc", "flow_bad": "abc"},
            "They first differ in the forward pass of Dense 'b'.",
        ),
        (
            {"flow_bad": "ab", "gradient_bad": ["a/kernel"]},
            "They first differ in the backward pass of 'c'.",
        ),
        (
            {"gradient_bad": ["c/kernel"]},
            "They differ in the gradient with respect to c/kernel.",
        ),
    ],
)
def test_the_verdict_names_where_it_begins(report, wrong, verdict):
    assert filled(report, **wrong) == verdict


def test_other_disagreements_are_named_by_their_stage(report):
    filled(report)
    report.add("step", "3", 1.0, 2.0)
    assert report.verdict() == "They first differ in: loss of training steps, 3."
    with pytest.raises(
        AssertionError, match="(?s)the two packages differ:.*step 3: error 5.00e-01"
    ):
        report.check()


def test_a_course_that_keras_takes_too_is_told_with_what_it_was_measured_by(report):
    report.add("step", "1", 1.02, 1.0, allowed=0.04)
    assert report.verdict() == "Both packages agree." and not report.courses()
    report.sensitivity, report.draws = [0.01], 3
    report.roundings = {"outputs": {"a": 2e-7, "b": 3e-8}, "gradients": {"a/kernel": 1e-6}}
    assert report.verdict() == (
        "Both packages agree. The training magnifies roundings. With random errors of the size of "
        "kerasmirror's in outputs and gradients of its layers (of up to 2e-07 and 1e-06), Keras's "
        "losses depart from its own by up to 1.0e-02 (the most of 3 draws), "
        "kerasmirror's by up to 2.0e-02."
    )
    report.times = 4
    assert "With random errors of up to 4 times the size of kerasmirror's" in report.courses()
    report.add("step", "2", 2.0, 1.0, allowed=0.04)
    assert report.verdict() == "They first differ in: loss of training steps, 2."
    assert "kerasmirror's by up to 1.0e+00" in report.courses()


def test_the_page_is_whole_and_holds_the_report(report):
    filled(report, bad="b")
    for i in range(5):
        report.add("step", str(i + 1), 1 / (i + 1), 1 / (i + 1))
    report.settings = {"steps": 5, "samples": 1600}
    report.costs = {
        "first_step_seconds": {"kerasmirror": 0.1, "keras": 1.0},
        "step_seconds": {"kerasmirror": 0.01, "keras": 0.05},
        "peak_memory": {"kerasmirror": 2e8, "keras": None},
    }
    text = page(Report("<model>", TOLERANCES)), page(report)
    assert "<model>" not in text[0] and "&lt;model&gt;" in text[0]
    assert text[1].count("<svg") == text[1].count("</svg>") == 5
    assert not re.search(r'(src|href)="|https?://', text[1])
    data = re.search(r'id="report">(.*?)</script>', text[1], re.DOTALL).group(1)
    content = json.loads(data)
    assert content["good"] is False and len(content["rows"]) == len(report.rows)
    assert "5.00" in text[1] and "<p>steps 5, samples 1,600</p>" in text[1]
    assert "forward pass of Dense" in text[1]


def test_what_is_not_finite_is_text_in_the_data_and_a_gap_in_the_page(report):
    losses = [1.0, 2.0, np.nan, 3.0, np.inf, 2.0]
    for i, loss in enumerate(losses):
        report.add("step", str(i + 1), loss, 2.0, allowed=1.0)
    report.sensitivity, report.draws = [0.0, 1e-5, np.inf, 1e-3, 1e-3, 1e-3], 2
    report.roundings = {"outputs": {"conv": 3e-7}, "gradients": {"conv/kernel": 2e-6}}
    text = page(report)
    data = re.search(r'id="report">(.*?)</script>', text, re.DOTALL).group(1)

    def refuse(name):
        raise ValueError(name)

    content = json.loads(data, parse_constant=refuse)
    assert content == json.loads(json.dumps(report.as_dict(), allow_nan=False))
    step = content["rows"][2]
    assert (step["ours"], step["error"], content["sensitivity"][2]) == ("nan", "inf", "inf")
    assert content["roundings"] == report.roundings
    # keras in one piece, kerasmirror in three, of which two are a point each
    assert text.count("<polyline") == 4
    assert not re.search(r'points="[^"]*(nan|inf)', text)
    assert "errors of the size of kerasmirror" in text
    assert '<td>gradients</td><td>conv/kernel</td><td class="n">2.0e-06</td>' in text


def test_the_page_has_a_curve_for_each_loss(report):
    for name in ("", " left_loss", " right_loss"):
        for i in range(3):
            report.add("step", f"{i + 1}{name}", 1.0, 1.0)
    text = page(report)
    assert "Loss of each training step</h2>" in text
    assert "Loss of each training step (right_loss)</h2>" in text and text.count("<svg") == 6
