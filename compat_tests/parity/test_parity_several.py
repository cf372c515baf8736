"""The comparison of models with several inputs, outputs and losses; values that decide."""

import numpy as np
import pytest
from cases import parity_models

from kerasmirror.__main__ import main
from kerasmirror.parity import compare

FILE = parity_models.__file__


def _counts(report):
    return {stage: count for stage, _, count, _ in report.summary()}


def test_lists_of_inputs_and_outputs_agree_with_a_loss_of_each(assert_parity):
    report = assert_parity(parity_models.two_lists, steps=4)
    counts = _counts(report)
    assert counts["outputs of layers"] == 4 and counts["outputs"] == 2
    assert counts["gradients with respect to weights"] == 6
    assert counts["weights files"] == 4
    names = [row.name for row in report.of("step")]
    assert names[0] == "1" and "4 kind_loss" in names and "4 size_loss" in names
    assert len(names) == 12
    assert [row.name for row in report.of("accuracy")] == ["after training: 0"]
    assert {row.name for row in report.of("gradient")} >= {"hidden/kernel", "size/bias"}


def test_dicts_tokens_states_and_weighed_losses_agree(assert_parity):
    report = assert_parity(parity_models.two_dicts, steps=3)
    names = [row.name for row in report.of("layer")]
    assert {"reader [0]", "reader [1]", "reader [2]"} <= set(names)
    assert [row.name for row in report.of("outputs")] == ["kind", "size"]
    loss, kind, size = (report.of("step")[3 * i].theirs for i in range(3))
    assert loss == pytest.approx(kind + 0.5 * size, rel=1e-5)


def _data_of_own_class(samples):
    rng = np.random.default_rng(3)
    x = {name: rng.normal(size=(samples, 5)).astype("float32") for name in "ab"}
    y = {"value": x["a"][:, :2], "kind": np.arange(samples) % 3}
    return x, y, {"value": rng.uniform(0, 2, samples), "kind": np.linspace(0, 1, samples)}


def test_a_class_of_ones_own_agrees_with_sample_weights(assert_parity):
    data = _data_of_own_class(64)
    report = assert_parity(parity_models.own_class, data, steps=4)
    plain = assert_parity(parity_models.own_class, data[:2], steps=0)
    assert report.of("loss")[0].theirs != pytest.approx(plain.of("loss")[0].theirs, rel=1e-2)
    assert [row.name for row in report.of("accuracy")] == ["after training: kind"]


def test_the_command_reads_several_arrays_of_a_file(tmp_path, capsys):
    rng = np.random.default_rng(1)
    path = tmp_path / "data.npz"
    arrays = {"x.0": rng.normal(size=(40, 6)), "x.1": rng.normal(size=(40, 4))}
    arrays |= {"y.0": np.arange(40) % 3, "y.1": rng.normal(size=(40, 1))}
    weights = {"sample_weight.0": np.ones(40), "sample_weight.1": np.linspace(0, 1, 40)}
    np.savez(path, **arrays, **weights)
    losses = "kind=sparse_categorical_crossentropy,size=mse"
    arguments = ["--data", str(path), "--steps", "2", "--loss", losses]
    assert main(["parity", f"{FILE}:two_lists", *arguments]) == 0
    assert "Both packages agree." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((np.zeros((4, 6)),), "compare: `data` must be (x, y) or (x, y, sample_weight). "
         "Received: tuple of 1"),
        (([np.zeros((4, 6)), np.zeros((5, 4))], np.zeros(4)), "compare: `data` must have equally "
         "many rows. Received: inputs 0 4, inputs 1 5, targets 4"),
        (({}, np.zeros(4)), "compare: `data` must have inputs. Received: none"),
        ((np.array([None]), np.zeros(1)), "compare: `data` must be arrays with a row for each "
         "sample, or lists or dicts of them. Received: inputs of shape (1,), object"),
    ],
)  # fmt: skip
def test_data_that_do_not_fit_are_told(data, message):
    with pytest.raises(ValueError) as raised:
        compare(parity_models.two_lists, data)
    assert str(raised.value) == message


def _pairs():
    x = np.random.default_rng(0).normal(size=(32, 4)).astype("float32")
    x[:, 1], x[:, 3] = x[:, 0], x[:, 2]
    return x, x.sum(1, keepdims=True)


def test_a_maximum_of_values_a_rounding_apart_is_judged_at_equal_values(parity_report):
    report = parity_report(parity_models.deciding, _pairs(), steps=0)
    decided = [row for row in report.rows if row.own is not None]
    assert {row.name for row in decided} >= {"pairs", "pairs/kernel"}
    assert all(row.own > 0.1 and row.error < 1e-5 for row in decided)
    assert report.good and "a maximum or a relu lets another one through" in report.verdict()


@pytest.mark.parametrize(
    ("build", "layer"),
    [("deciding_with_wrong_gradient", "pairs"), ("wrong_maximum", "pool")],
)
def test_a_wrong_gradient_is_found_where_values_are_equal(build, layer, parity_report):
    report = parity_report(getattr(parity_models, build), _pairs(), steps=0)
    assert report.forward_is_good
    assert report.verdict() == f"They first differ in the backward pass of '{layer}'."


def _mostly_empty():
    """Images that are -40 but for a square: other patches are equal, and a softmax is 0 or 1."""
    x = np.full((48, 16, 16, 1), -40, "float32")
    x[:, 5:9, 5:9] = np.random.default_rng(0).uniform(-40, 40, (48, 4, 4, 1))
    return x, np.arange(48) % 3


@pytest.mark.parametrize(
    ("build", "verdict"),
    [
        ("filtering", "Both packages agree."),
        (
            "filtering_with_wrong_gradient",
            "They first differ in the backward pass of 'second'.",
        ),
    ],
)
def test_equal_patches_may_be_a_rounding_apart_but_hide_no_wrong_gradient(
    build, verdict, parity_report
):
    report = parity_report(getattr(parity_models, build), _mostly_empty(), steps=0)
    assert report.verdict().startswith(verdict)
    wrong = {row.name for row in report.rows if not row.good}
    assert wrong == ({"first", "first/kernel", "first/bias"} if "wrong" in build else set())
