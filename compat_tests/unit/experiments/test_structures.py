"""Structure strings: what they mean, and where a mistake is."""

import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror.experiments import StructureError, build, networks, paper, parse

MISTAKES = [
    ("C(3,x,r)", 4, "a number of filters (at least 1) expected"),
    ("C(0,8,r)", 2, "a number of window (at least 1) expected"),
    ("C(3,8)", 5, 'activation, value 3 of C, is missing: "," expected'),
    ("C(3,8,r", 7, '")" expected'),
    ("C(3,8,r,4)", 7, '")" expected'),
    ("C 3", 2, '"(" expected after C'),
    ("F();Q(1)", 4, "one of C, M, A, DR, F, D expected"),
    ("F();", 4, "one of C, M, A, DR, F, D expected"),
    ("", 0, "one of C, M, A, DR, F, D expected"),
    ("F()D(10,sm)", 3, '";" or the end expected'),
    ("DR(1.0)", 3, "a rate of at least 0 and below 1 expected"),
    ("DR(x)", 3, "a rate of at least 0 and below 1 expected"),
    ("F();D(8,r)xx;D(10,sm)", 11, "a number of repetitions (at least 1) expected"),
    ("F();D(8,r)x0", 11, "a number of repetitions (at least 1) expected"),
    ("M(2);D(10,sm)", 5, "D(10,sm) does not fit what comes before it (a dense layer needs F() "
     "before it; it would get (4, 4, 3))"),
    ("F();M(2)", 4, "M(2) does not fit what comes before it (height, width and channels are "
     "needed; it would get (192,))"),
]  # fmt: skip


@pytest.mark.parametrize(("structure", "place", "expected"), MISTAKES)
def test_a_mistake_is_told_with_its_place(structure, place, expected):
    with pytest.raises(StructureError) as raised:
        build(keras, structure, (8, 8, 3))
    assert raised.value.place == place
    assert str(raised.value) == (
        f"structure: {expected} at position {place + 1}.\n  {structure}\n  {' ' * place}^"
    )


def test_an_unknown_activation_lists_those_there_are():
    with pytest.raises(
        StructureError, match=r"one of r \(relu\), sm \(softmax\), .* at position 9"
    ):
        parse("F();D(8,zz)")


def test_spaces_do_not_matter():
    assert networks.canonical(" C( 3 , 8,r ) x2 ; M(2);F( );D(10,sm)") == (
        "C(3,8,r)x2;M(2);F();D(10,sm)"
    )


def test_every_kind_of_layer_is_built():
    structure = "C(3,4,lr);A(2);C(5,4,t)x2;M(2);DR(0.25);F();D(6,s);D(5,g);D(3,sm)"
    model = build(keras, structure, (8, 8, 3), l1=0.5, l2=0.25)
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds == [
        *("Conv2D", "AveragePooling2D", "Conv2D", "Conv2D", "MaxPooling2D", "Dropout", "Flatten"),
        *("Dense", "Dense", "Dense"),
    ]
    first = model.layers[0]
    assert first.activation.__name__ == "leaky_relu" and first.padding == "same"
    assert type(first.kernel_initializer).__name__ == "HeUniform"
    assert type(model.layers[2].kernel_initializer).__name__ == "GlorotUniform"
    assert (first.kernel_regularizer.l1, first.kernel_regularizer.l2) == (0.5, 0.25)
    assert model(np.zeros((2, 8, 8, 3), np.float32)).shape == (2, 3)


def test_one_initializer_for_all_layers():
    model = build(keras, "F();D(4,r);D(2,sm)", (3,), initializer="he_normal")
    assert {type(layer.kernel_initializer).__name__ for layer in model.layers[1:]} == {"HeNormal"}


@pytest.mark.parametrize("row", paper.ROWS)
def test_the_papers_networks_have_its_numbers_of_parameters(row):
    name, number = row.split(":")
    experiment = paper.experiment_of(row)
    shape = {"olivetti": (64, 64, 1), "mnist": (28, 28, 1), "cifar10": (32, 32, 3)}
    model = build(keras, experiment["structure"], shape[experiment["data"]])
    assert model.count_params() == paper.PARAMETERS[name][int(number) - 1]


def test_a_row_that_is_not_there_is_told():
    with pytest.raises(ValueError) as raised:
        paper.structure("mnist:11")
    assert str(raised.value) == (
        "paper: `row` must be one of olivetti:1 to cifar:12. Received: row='mnist:11'"
    )
