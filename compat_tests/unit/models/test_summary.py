import pytest

import kerasmirror as keras
from kerasmirror.core import config
from kerasmirror.models import summary


def model():
    inner = keras.Sequential(
        [keras.Input((300,)), keras.layers.Dense(4, name="deep")], name="inner"
    )
    return keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(300, name="wide"),
            keras.layers.Dropout(0.5, name="drop"),
            inner,
            keras.layers.Dense(2, name="last", trainable=False),
        ],
        name="tower",
    )


def printed(of, **arguments):
    texts = []
    of.summary(print_fn=texts.append, **arguments)
    assert len(texts) == 1
    return texts[0]


def cells(text):
    rows = [line for line in text.splitlines() if line[:1] in "│┃"]
    return [[cell.strip() for cell in row.strip("│┃").split(row[0])] for row in rows]


def test_the_whole_text(monkeypatch):
    monkeypatch.setenv("COLUMNS", "64")
    small = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="a")], name="m")
    assert printed(small) == (
        'Model: "m"\n'
        "┏━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━┓\n"
        "┃ Layer (type)             ┃ Output Shape      ┃   Param # ┃\n"
        "┡━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━┩\n"
        "│ a (Dense)                │ (None, 2)         │         8 │\n"
        "└──────────────────────────┴───────────────────┴───────────┘\n"
        " Total params: 8 (32.00 B)\n"
        " Trainable params: 8 (32.00 B)\n"
        " Non-trainable params: 0 (0.00 B)\n"
    )


def test_rows_and_totals():
    text = printed(model(), line_length=88)
    assert cells(text) == [
        ["Layer (type)", "Output Shape", "Param #"],
        ["wide (Dense)", "(None, 300)", "2,700"],
        ["drop (Dropout)", "(None, 300)", "0"],
        ["inner (Sequential)", "(None, 4)", "1,204"],
        ["last (Dense)", "(None, 2)", "10"],
    ]
    assert text.endswith(
        " Total params: 3,914 (15.29 KB)\n"
        " Trainable params: 3,904 (15.25 KB)\n"
        " Non-trainable params: 10 (40.00 B)\n"
    )


def test_nested_layers_and_the_trainable_column():
    rows = cells(printed(model(), expand_nested=True, show_trainable=True, line_length=120))
    assert [row[-1] for row in rows] == ["Trainable", "Y", "-", "Y", "Y", "N"]
    assert rows[4][0] == "└ deep (Dense)"


def test_the_optimizer_counts_once_it_is_built():
    tower = model()
    tower.compile("adam", "mse")
    assert "Optimizer params" not in printed(tower)
    tower.optimizer.build(tower.trainable_variables)
    assert printed(tower).endswith(" Optimizer params: 7,810 (30.51 KB)\n")
    assert " Total params: 11,724 (45.80 KB)\n" in printed(tower)


def test_layers_without_weights_yet():
    rows = cells(printed(keras.Sequential([keras.layers.Dense(3, name="later")])))
    assert rows[1] == ["later (Dense)", "?", "0 (unbuilt)"]


def test_names_are_no_markup():
    assert 'Model: "[bold]"' in printed(
        keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)], name="[bold]")
    )


@pytest.mark.parametrize(
    ("layer_range", "names"),
    [
        (("drop", "inner"), ["drop", "inner"]),
        (("inner", "drop"), ["drop", "inner"]),
        ((".*r", "last"), ["drop", "inner", "last"]),
        (["wide", "wide"], ["wide"]),
    ],
)
def test_a_range_of_layers(layer_range, names):
    rows = cells(printed(model(), layer_range=layer_range, line_length=88))
    assert [row[0].split()[0] for row in rows[1:]] == names


@pytest.mark.parametrize("layer_range", ["ab", ("a",), ("a", 1)])
def test_a_range_of_something_else_is_an_error(layer_range):
    with pytest.raises(ValueError) as raised:
        model().summary(layer_range=layer_range)
    assert "summary: `layer_range` must" in str(raised.value)


def test_a_range_that_matches_nothing_is_an_error():
    with pytest.raises(ValueError) as raised:
        model().summary(layer_range=("wide", "absent"))
    assert str(raised.value) == (
        "summary: `layer_range` must match the names of layers, ['wide', 'drop', 'inner', 'last']. "
        "Received: layer_range=('wide', 'absent')"
    )


def test_a_line_too_short_is_an_error():
    with pytest.raises(ValueError) as raised:
        model().summary(line_length=10)
    assert str(raised.value) == (
        "summary: `line_length` must leave each column 4 characters. "
        "Received: line_length=10, positions=[0.45, 0.8, 1.0]"
    )


def test_it_prints_to_the_terminal(capsys):
    model().summary()
    assert 'Model: "tower"' in capsys.readouterr().out


def test_without_interactive_logging_it_goes_to_the_log(caplog, capsys):
    config.disable_interactive_logging()
    try:
        with caplog.at_level("INFO", logger="kerasmirror"):
            model().summary()
    finally:
        config.enable_interactive_logging()
    assert capsys.readouterr().out == ""
    assert "wide (Dense)" in caplog.text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0.00 B"),
        (1023, "1023.00 B"),
        (1024, "1.00 KB"),
        (5 << 20, "5.00 MB"),
        (3 << 50, "3.00 PB"),
    ],
)
def test_sizes_in_words(size, text):
    assert summary.readable_memory_size(size) == text
