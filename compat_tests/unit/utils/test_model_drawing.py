"""plot_model and model_to_dot: files, and what is said where something is missing."""

import shutil
import sys

import pytest

import kerasmirror as keras

layers = keras.layers


@pytest.fixture
def model():
    return keras.Sequential([keras.Input((4,)), layers.Dense(3, name="a<b"), layers.Dense(2)])


@pytest.mark.parametrize(
    "ending,start", [(".png", b"\x89PNG"), (".svg", b"<?xml"), ("", b"\x89PNG")]
)
def test_a_model_is_drawn_into_a_file(model, tmp_path, ending, start):
    pytest.importorskip("pydot", reason="pydot is not installed")
    if shutil.which("dot") is None:
        pytest.skip("Graphviz is not installed")
    path = tmp_path / f"model{ending}"
    keras.utils.plot_model(model, path, show_shapes=True, show_layer_names=True)
    assert path.read_bytes().startswith(start)


def test_names_are_escaped(model):
    pytest.importorskip("pydot", reason="pydot is not installed")
    assert "<b>a&lt;b</b> (Dense)" in keras.utils.model_to_dot(model).to_string()


@pytest.mark.parametrize("function", ["plot_model", "model_to_dot"])
def test_without_pydot_the_error_says_what_to_install(model, monkeypatch, function):
    monkeypatch.setitem(sys.modules, "pydot", None)
    with pytest.raises(ImportError) as error:
        getattr(keras.utils, function)(model)
    assert str(error.value) == (
        f"You must install pydot (`pip install pydot`) for `{function}` to work."
    )


def test_without_pydot_a_notebook_gets_a_message(model, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pydot", None)
    monkeypatch.setitem(sys.modules, "IPython.core.magics.namespace", sys)
    assert keras.utils.plot_model(model) is None
    assert "You must install pydot" in capsys.readouterr().out


def test_without_graphviz_the_error_says_what_to_install(model, monkeypatch):
    pydot = pytest.importorskip("pydot", reason="pydot is not installed")

    def missing(*args, **kwargs):
        raise FileNotFoundError("dot")

    monkeypatch.setattr(pydot.Dot, "create", missing)
    with pytest.raises(ImportError) as error:
        keras.utils.plot_model(model)
    assert str(error.value) == (
        "You must install graphviz (see instructions at https://graphviz.gitlab.io/download/) "
        "for `plot_model` to work."
    )


def test_mistakes_are_told(model):
    unbuilt = keras.Sequential([layers.Dense(2)], name="unbuilt")
    for function in (keras.utils.plot_model, keras.utils.model_to_dot):
        owner = function.__name__
        with pytest.raises(ValueError) as error:
            function(unbuilt)
        assert str(error.value) == (
            f"{owner}: `model` must be built first, by `build()` or by a call on data. "
            "Received: model 'unbuilt', which has not yet been built"
        )
        with pytest.raises(ValueError) as error:
            function(model, layer_range=["a", "b"])
        assert str(error.value) == (
            f"{owner}: `layer_range` is no longer supported, draw a model of its own."
        )
        with pytest.raises(ValueError) as error:
            function(model, colour="red")
        assert str(error.value) == (
            f"{owner}: unrecognized keyword arguments. Received: {{'colour': 'red'}}"
        )
