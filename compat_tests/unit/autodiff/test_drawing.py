"""Pictures of tapes: what is a box, what is an arrow, and that recording stays the same."""

import shutil
import sys

import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror import autodiff, ops


def dense_loss(tape):
    """A dense layer's loss on data; (loss, kernel)."""
    kernel = keras.Variable(np.ones((3, 2), "float32"), name="kernel")
    offset = keras.Variable(np.ones((2,), "float32"), trainable=False, name="offset")
    x = ops.ones((4, 3))
    with tape:
        y = ops.relu(ops.matmul(x, kernel) + offset)
        loss = ops.sum(y * y)
    return loss, kernel


def boxes(graph):
    return {
        node.get_name(): (node.get("label").strip('"'), node.get("fillcolor"))
        for node in graph.get_nodes()
        if node.get("label")
    }


def arrows(graph):
    names = boxes(graph)
    return sorted(
        (names[e.get_source()][0], names[e.get_destination()][0], e.get("label").strip('"'))
        for e in graph.get_edges()
    )


def test_operations_are_boxes_and_tensors_arrows_with_shapes():
    pytest.importorskip("pydot", reason="pydot is not installed")
    tape = autodiff.DrawableTape()
    dense_loss(tape)
    graph = autodiff.tape_to_dot(tape)
    found = arrows(graph)
    assert ("data", "matmul", "(4, 3)") in found
    assert ("kernel", "matmul", "(3, 2)") in found
    assert ("matmul", "add", "(4, 2)") in found
    assert ("relu", "multiply", "(4, 2)") in found
    assert found.count(("relu", "multiply", "(4, 2)")) == 2  # both factors
    assert ("sum", "result", "()") in found
    colors = {label: color for label, color in boxes(graph).values()}
    assert colors["kernel"] == "palegreen"
    assert colors["data"] == "gray90"
    assert colors["matmul"] == "white"
    assert colors["result"] == "mistyrose"


def test_a_tensor_used_twice_has_one_box_and_a_watched_one_its_color():
    pytest.importorskip("pydot", reason="pydot is not installed")
    x = ops.ones((2,))
    with autodiff.DrawableTape() as tape:
        tape.watch(x)
        ops.exp(x)
        ops.tanh(x)
    graph = autodiff.tape_to_dot(tape, show_dtype=True)
    watched = [label for label, color in boxes(graph).values() if color == "lightblue"]
    assert watched == ["watched"]
    assert arrows(graph) == [
        ("exp", "result", "(2,) float32"),
        ("tanh", "result", "(2,) float32"),
        ("watched", "exp", "(2,) float32"),
        ("watched", "tanh", "(2,) float32"),
    ]
    plain = autodiff.tape_to_dot(tape, show_shapes=False)
    assert {label for _, _, label in arrows(plain)} == {""}


def test_operations_with_several_results_and_custom_gradients_are_drawn():
    pytest.importorskip("pydot", reason="pydot is not installed")

    @ops.custom_gradient
    def clipped(x):
        return ops.clip(x, -1, 1), lambda upstream: upstream

    x = ops.ones((4, 2))
    with autodiff.DrawableTape() as tape:
        tape.watch(x)
        mean, variance = ops.moments(clipped(x), axes=0)
        ops.add(mean, variance)
    found = arrows(autodiff.tape_to_dot(tape))
    assert ("watched", "clipped", "(4, 2)") in found
    assert ("add", "result", "(2,)") in found


def test_gradients_are_those_of_a_plain_tape_and_the_notes_stay():
    gradients = []
    for tape in (autodiff.GradientTape(), autodiff.DrawableTape()):
        loss, kernel = dense_loss(tape)
        gradients.append(tape.gradient(loss, kernel).numpy())
    np.testing.assert_array_equal(gradients[0], gradients[1])
    assert [note.name for note in tape.notes][0] == "matmul"
    tape.reset()
    assert tape.notes == []


def test_a_training_step_is_drawn_into_a_file(tmp_path):
    pytest.importorskip("pydot", reason="pydot is not installed")
    if shutil.which("dot") is None:
        pytest.skip("Graphviz is not installed")
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    with autodiff.DrawableTape() as tape:
        p = model(np.ones((2, 4), "float32"))
        ops.mean(keras.losses.sparse_categorical_crossentropy(np.array([0, 1]), p))
    autodiff.draw_tape(tape, tmp_path / "tape.svg", rankdir="LR")
    text = (tmp_path / "tape.svg").read_text()
    assert text.startswith("<?xml") and "kernel" in text


def test_mistakes_are_told(monkeypatch):
    tape = autodiff.GradientTape()
    with pytest.raises(TypeError) as error:
        autodiff.draw_tape(tape)
    assert str(error.value) == (
        "tape_to_dot: `tape` must be a keras.autodiff.DrawableTape, which notes names and shapes. "
        f"Received: tape={tape!r}"
    )
    drawable = autodiff.DrawableTape()
    with pytest.raises(ValueError) as error:
        autodiff.tape_to_dot(drawable)
    assert str(error.value) == (
        "tape_to_dot: `tape` must have recorded operations: on variables, or on tensors that it "
        "watches. Received: an empty tape"
    )
    dense_loss(drawable)
    with pytest.raises(ValueError) as error:
        autodiff.tape_to_dot(drawable, rankdir="down")
    assert str(error.value) == (
        "tape_to_dot: `rankdir` must be one of 'TB', 'LR', 'BT', 'RL'. Received: rankdir='down'"
    )
    monkeypatch.setitem(sys.modules, "pydot", None)
    with pytest.raises(ImportError) as error:
        autodiff.draw_tape(drawable)
    assert str(error.value) == (
        "You must install pydot (`pip install pydot`) for `tape_to_dot` to work."
    )
