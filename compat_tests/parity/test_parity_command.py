"""The comparison itself: models that agree, planted defects that are found at the right layer."""

import json
from pathlib import Path

import numpy as np
import pytest
from cases import parity_models

from kerasmirror.__main__ import main
from kerasmirror.parity import compare

FILE = parity_models.__file__


@pytest.mark.parametrize("weights_from", ["keras", "kerasmirror"])
def test_a_model_agrees_in_all_stages(weights_from, assert_parity):
    report = assert_parity(parity_models.small, steps=12, weights_from=weights_from)
    counts = {stage: count for stage, _, count, _ in report.summary()}
    assert counts == {
        "initial weights from one seed": 6,
        "outputs of layers": 6,
        "outputs": 1,
        "loss": 1,
        "gradients with respect to outputs of layers": 5,
        "gradients with respect to weights": 6,
        "weights files": 2,
        "loss of training steps": 12,
        "weights after training": 6,
        "accuracy after training": 1,
    }
    assert {row.nearer for row in report.of("layer")} <= {"both", "keras", "kerasmirror"}
    assert report.costs["peak_memory"]["kerasmirror"] < report.costs["peak_memory"]["keras"]
    assert report.costs["step_seconds"]["kerasmirror"] > 0


def test_a_graph_with_a_shared_layer_agrees(assert_parity):
    x = np.random.default_rng(1).normal(size=(64, 6)).astype("float32")
    y = np.stack([x.sum(1), x[:, 0]], 1)
    report = assert_parity(parity_models.branched, (x, y), loss="mse", optimizer="sgd", steps=5)
    names = [row.name for row in report.of("layer")]
    assert "shared" in names and "shared (call 2)" in names


@pytest.mark.parametrize(
    ("build", "verdict"),
    [
        ("wrong_forward", "They first differ in the forward pass of Dense 'hidden'."),
        ("wrong_backward", "They first differ in the backward pass of 'hidden'."),
        (
            "wrong_weight_gradient",
            "They differ in the gradient with respect to last/bias.",
        ),
        ("wrong_start", "They start from other weights: weight 4."),
    ],
)
def test_a_planted_defect_is_found_at_its_place(build, verdict, parity_report):
    report = parity_report(getattr(parity_models, build), steps=0)
    assert not report.good and report.verdict() == verdict
    if build == "wrong_forward":
        bad = next(row for row in report.rows if not row.good)
        assert bad.place == (1, 2) and bad.nearer == "keras"
        assert bad.ours - bad.theirs == pytest.approx(0.01, rel=1e-3)


def test_the_command_writes_json_and_a_page(tmp_path, capsys):
    page, data = tmp_path / "report.html", tmp_path / "report.json"
    arguments = ["C(3,4,r);M(2);F();D(10,sm)", "--input-shape", "8,8,1", "--steps", "4"]
    assert main(["parity", *arguments, "--html", str(page), "--json", str(data)]) == 0
    out = capsys.readouterr().out
    assert "Both packages agree." in out and "outputs of layers" in out
    content = json.loads(data.read_text())
    assert content["good"] and content["verdict"] == "Both packages agree."
    assert "<svg" in page.read_text()


def test_the_command_tells_a_disagreement_by_its_status(capsys):
    assert main(["parity", f"{FILE}:wrong_forward", "--steps", "0"]) == 1
    assert "forward pass of Dense 'hidden'" in capsys.readouterr().out


@pytest.mark.slow
def test_a_script_is_compared_by_the_model_that_it_trains(capsys):
    script = Path(FILE).parents[1] / "keras_scripts" / "custom_layers.py"
    assert main(["parity", str(script), "--steps", "3"]) == 0
    assert "Both packages agree." in capsys.readouterr().out


_SCRIPT = """
import keras
import numpy as np
import tensorflow as tf
x = np.random.random((40, 6)).astype("float32")
data = tf.data.Dataset.from_tensor_slices((x, x.sum(1, keepdims=True))).shuffle(40)
model = keras.Sequential([keras.layers.Dense(4, activation="tanh"), keras.layers.Dense(1)])
model.compile("sgd", "mse")
model.fit({})
"""


@pytest.mark.slow
@pytest.mark.parametrize("data", ["data.batch(8).prefetch(2)", "data.batch(8).repeat()"])
def test_a_script_may_train_on_a_dataset(data, tmp_path, capsys):
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT.format(data))
    assert main(["parity", str(script), "--steps", "3", "--samples", "32"]) == 0
    assert "Both packages agree." in capsys.readouterr().out


def test_a_script_that_ends_before_it_trains_is_told(tmp_path, capsys):
    script = tmp_path / "script.py"
    script.write_text("import sys\nsys.exit(3)\n")
    assert main(["parity", str(script)]) == 2
    err = capsys.readouterr().err
    assert err == "parity: the script ended before it trained, status 3\n"


@pytest.mark.parametrize(
    ("data", "received"),
    [
        ("x", "no targets"),
        ("data.map(lambda a, b: a).batch(8)", "something else (batches that are no pairs or "
         "triples)"),
        ("x, [[1], [2, 3]]", "something else (too many indices for array: array is 0-dimensional, "
         "but 1 were indexed)"),
    ],
)  # fmt: skip
def test_other_data_of_a_script_are_told(data, received, tmp_path, capsys):
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT.format(data))
    assert main(["parity", str(script)]) == 2
    assert capsys.readouterr().err == (
        "parity: a script must call `fit` with inputs and targets, arrays or lists or dicts of "
        "them, or with a dataset of batches of these, with sample weights or without. "
        f"Received: {received}\n"
    )


def test_class_weights_of_a_script_are_told(tmp_path, capsys):
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT.format("x, x[:, 0], class_weight={0: 1.0}"))
    assert main(["parity", str(script)]) == 2
    assert capsys.readouterr().err == (
        "parity: a script's `fit` must say with `sample_weight` what it weighs. "
        "Received: class_weight\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["C(3,4,r);Q(1)"], "parity: structure: one of C, M, A, DR, F, D expected at position "
         "10.\n  C(3,4,r);Q(1)\n           ^\n"),
        (["nothing.py"], "parity: `target` must be a Python file. Received: "
         "'nothing.py'\n"),
        (["no.module:build"], "parity: `target` must name a module. Received: "
         "'no.module'\n"),
        (["nothing"], "parity: `target` must be a row (mnist:4), a structure (C(3,8,r);F();"
         "D(10,sm)), module:function, file.py:function or script.py. Received: 'nothing'\n"),
        ([f"{FILE}:cannot_be_built"], "parity: kerasmirror raised ValueError: Dense: `units` must "
         "be a positive integer. Received: units=-2\n"),
        ([f"{FILE}:nothing"], f"parity: `target` must name a function of {FILE}. "
         "Received: 'nothing'\n"),
        ([f"{FILE}:no_model"], "parity: the function must give a model of `keras`. "
         "Received: None\n"),
        ([FILE], "parity: a script must train a model, or leave one in a variable. "
         f"Received: {FILE}\n"),
        (["mnist:1", "--tolerance", "layer=-1"], "parity: compare: `tolerances` must be numbers "
         "of at least 0. Received: {'layer': -1.0}\n"),
        ([f"{FILE}:other_shape"], "compare: both sides must have weights of equal shapes. "
         "Received: kerasmirror [(3, 5), (5,)], keras [(3, 4), (4,)]\n"),
        (["mnist:1", "--tolerance", "layers=1"], "compare: `tolerances` must be for initial "
         "weights, layer, outputs, loss, flow, gradient, step, final weights, accuracy, file. "
         "Received: ['layers']\n"),
        (["mnist:1", "--input-shape", "8x8"], "parity: --input-shape must be like 28,28,1. "
         "Received: 8x8\n"),
        (["mnist:1", "--steps", "-1"], "parity: compare: `steps` must be an int of at least 0. "
         "Received: steps=-1\n"),
        (["mnist:1", "--samples", "0"], "parity: compare: `samples` must be an int of at least 1. "
         "Received: samples=0\n"),
        ([f"{FILE}:own_class"], "parity: compare: `data` must be given for a model that does not "
         "know the shapes of its inputs and outputs. Received: data=None\n"),
        (["mnist:1", "--loss", "a=mse,=mae"], "parity: --loss must be like mse, mse,mae or "
         "left=mse,right=mae. Received: a=mse,=mae\n"),
        (["mnist:1", "--data", "none.npz"], "No such file or directory: 'none.npz'\n"),
    ],
)  # fmt: skip
def test_mistakes_are_one_message_and_status_2(arguments, message, capsys):
    assert main(["parity", *arguments]) == 2
    err = capsys.readouterr().err
    assert err.startswith("parity: ") and err.endswith(message) and "Traceback" not in err


def test_unequal_data_are_told(tmp_path, capsys):
    np.savez(tmp_path / "data.npz", x=np.zeros((4, 28, 28, 1)), y=np.zeros(3))
    assert main(["parity", "mnist:1", "--data", str(tmp_path / "data.npz")]) == 2
    assert capsys.readouterr().err == (
        "parity: compare: `data` must have equally many rows. Received: inputs 4, targets 3\n"
    )
    np.savez(tmp_path / "data.npz", x=np.zeros((4, 28, 28, 1)), labels=np.zeros(4))
    assert main(["parity", "mnist:1", "--data", str(tmp_path / "data.npz")]) == 2
    assert capsys.readouterr().err == (
        "parity: --data: the file must have the arrays x and y (of several inputs or outputs "
        "x.NAME, y.NAME) and may have sample_weight. Received: labels, x in "
        f"{tmp_path / 'data.npz'}\n"
    )


def test_a_real_keras_that_is_not_there_is_told(monkeypatch, capsys):
    found = "kerasmirror.parity.peer.importlib.util.find_spec"
    monkeypatch.setattr(found, lambda name: None if name in ("keras", "tensorflow") else 1)
    assert main(["parity", "mnist:1"]) == 2
    err = capsys.readouterr().err
    assert "real Keras is needed, and keras, tensorflow is not installed" in err


def test_bad_arguments_raise_their_messages():
    with pytest.raises(ValueError) as raised:
        compare(parity_models.small, weights_from="both")
    assert str(raised.value) == (
        'compare: `weights_from` must be "keras" or "kerasmirror". Received: weights_from=\'both\''
    )
    with pytest.raises(ValueError, match="RealKeras: `backend` must be one of tensorflow, jax"):
        compare(parity_models.small, backend="theano")


@pytest.mark.slow
def test_a_curve_that_magnifies_roundings_is_judged_by_keras_itself(parity_report):
    # A rate of 1 lets every rounding grow until the two curves have nothing to do with each other.
    optimizer = {"class_name": "Adam", "config": {"learning_rate": 1.0}}
    report = parity_report(parity_models.small, optimizer=optimizer, steps=40)
    assert len(report.sensitivity) == 40 and report.good
    assert "The training magnifies roundings" in report.verdict()
    bounds = [row.allowed for row in report.of("step")]
    assert bounds == sorted(bounds) and bounds[-1] > 1e-4


@pytest.mark.parametrize(
    "build", [pytest.param("wrong_backward", marks=pytest.mark.slow), "wrong_training"]
)
def test_a_defect_in_training_is_no_rounding(build, parity_report):
    optimizer = {"class_name": "SGD", "config": {"learning_rate": 1.0}}
    report = parity_report(getattr(parity_models, build), optimizer=optimizer, steps=6)
    assert max(report.sensitivity) < 1e-5
    assert not report.of("step")[-1].good
    if build == "wrong_training":  # the passes of inference agree
        assert report.verdict() == "They first differ in: loss of training steps, 1."
        assert all(0 < max(sizes.values()) < 1e-5 for sizes in report.roundings.values())
