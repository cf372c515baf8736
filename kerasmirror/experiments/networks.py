"""Networks written as strings, and their training, for either package.

    C(3,32,r);M(2);DR(0.25);F();D(128,r)x2;D(10,sm)

C(window, filters, activation) convolution with padding "same", M(window) and A(window) maximum and
average pooling, DR(rate) dropout, F() flatten, D(units, activation) dense; "x2" repeats a layer.

The process with real Keras loads this file by its path, so it imports nothing of kerasmirror.
"""

import re
import time
from typing import NamedTuple

ACTIVATIONS = {
    "r": "relu",
    "sm": "softmax",
    "s": "sigmoid",
    "t": "tanh",
    "l": "linear",
    "lr": "leaky_relu",
    "e": "elu",
    "se": "selu",
    "g": "gelu",
    "sw": "silu",
    "sp": "softplus",
}
# What each kind of layer takes, in order.
_VALUES = {
    "C": ("window", "filters", "activation"),
    "M": ("window",),
    "A": ("window",),
    "DR": ("rate",),
    "F": (),
    "D": ("units", "activation"),
}
_RELU_LIKE = ("r", "lr", "e", "se", "g", "sw", "sp")


class StructureError(ValueError):
    """A structure string that cannot be read, or a network that cannot be built of it."""

    def __init__(self, structure, place, expected):
        self.structure, self.place = structure, place
        super().__init__(
            f"structure: {expected} at position {place + 1}.\n  {structure}\n  {' ' * place}^"
        )


class Token(NamedTuple):
    """A layer of a structure: its kind, values, how often it is repeated, and where it stands."""

    kind: str
    values: tuple
    times: int
    place: int

    def __str__(self):
        inside = ",".join(str(value) for value in self.values)
        return f"{self.kind}({inside})" + (f"x{self.times}" if self.times > 1 else "")


def parse(structure):
    """The tokens of a structure string. Spaces do not matter.

    Raises: StructureError with the place of what cannot be read.
    """
    tokens, place = [], 0
    while True:
        token, place = _read_token(structure, place)
        tokens.append(token)
        if place == len(structure):
            return tokens
        if structure[place] != ";":
            raise StructureError(structure, place, '";" or the end expected')
        place += 1


def canonical(structure):
    """The same structure without what does not matter: what ids are made of."""
    return ";".join(map(str, parse(structure)))


def _skip_spaces(text, place):
    while place < len(text) and text[place].isspace():
        place += 1
    return place


def _read_token(text, place):
    start = place = _skip_spaces(text, place)
    kind = re.compile(r"[A-Za-z]*").match(text, place).group()
    if kind not in _VALUES:
        raise StructureError(text, start, f"one of {', '.join(_VALUES)} expected")
    place = _skip_spaces(text, place + len(kind))
    if text[place : place + 1] != "(":
        raise StructureError(text, place, f'"(" expected after {kind}')
    place += 1
    values = []
    for i, name in enumerate(_VALUES[kind]):
        if i:
            place = _expect(text, place, ",", f"{name}, value {i + 1} of {kind}, is missing: ")
        place = _skip_spaces(text, place)
        written = re.compile(r"[\w.+-]*").match(text, place).group()
        values.append(_read_value(text, place, name, written))
        place += len(written)
    place = _expect(text, place, ")", "")
    times, place = _read_times(text, place)
    return Token(kind, tuple(values), times, start), _skip_spaces(text, place)


def _expect(text, place, sign, before):
    place = _skip_spaces(text, place)
    if text[place : place + 1] != sign:
        raise StructureError(text, place, f'{before}"{sign}" expected')
    return place + 1


def _read_value(text, place, name, written):
    if name == "activation":
        if written not in ACTIVATIONS:
            names = ", ".join(f"{short} ({name})" for short, name in ACTIVATIONS.items())
            raise StructureError(text, place, f"an activation expected, one of {names},")
        return written
    if name == "rate":
        try:
            rate = float(written)
        except ValueError:
            rate = -1.0
        if not 0 <= rate < 1:
            raise StructureError(text, place, "a rate of at least 0 and below 1 expected")
        return rate
    if not written.isdecimal() or int(written) == 0:
        raise StructureError(text, place, f"a number of {name} (at least 1) expected")
    return int(written)


def _read_times(text, place):
    place = _skip_spaces(text, place)
    if text[place : place + 1] != "x":
        return 1, place
    written = re.compile(r"\d*").match(text, place + 1).group()
    if not written or int(written) == 0:
        raise StructureError(text, place + 1, "a number of repetitions (at least 1) expected")
    return int(written), place + 1 + len(written)


def build(keras, structure, input_shape, initializer=None, l1=0.0, l2=0.0):
    """The Sequential model of a structure string, in the package `keras`.

    Windows of weights start He-uniform before relu and its relatives, Glorot-uniform before the
    others, unless `initializer` names one for all. l1 and l2 penalize weights (not biases).
    Raises: StructureError for a structure that cannot be read, or whose layers do not fit.
    """
    penalty = {"class_name": "L1L2", "config": {"l1": l1, "l2": l2}} if l1 or l2 else None
    model = keras.Sequential([keras.Input(tuple(input_shape))])
    shape = (None, *input_shape)
    for token in parse(structure):
        for _ in range(token.times):
            layer = _layer(keras, token, initializer, keras.regularizers.get(penalty))
            try:
                _check_rank(token, shape)
                model.add(layer)
                if any(size is not None and size < 1 for size in model.output_shape):
                    raise ValueError(f"nothing is left of {shape[1:]}")
                shape = model.output_shape
            except Exception as error:
                why = str(error).strip().splitlines()[0]
                raise StructureError(
                    structure, token.place, f"{token} does not fit what comes before it ({why})"
                ) from None
    return model


def _check_rank(token, shape):
    if token.kind == "D" and len(shape) > 2:
        raise ValueError(f"a dense layer needs F() before it; it would get {shape[1:]}")
    if token.kind in "CMA" and len(shape) != 4:
        raise ValueError(f"height, width and channels are needed; it would get {shape[1:]}")


def _layer(keras, token, initializer, penalty):
    layers, values = keras.layers, token.values
    if token.kind == "M":
        return layers.MaxPooling2D(values[0])
    if token.kind == "A":
        return layers.AveragePooling2D(values[0])
    if token.kind == "DR":
        return layers.Dropout(values[0])
    if token.kind == "F":
        return layers.Flatten()
    usual = "he_uniform" if values[-1] in _RELU_LIKE else "glorot_uniform"
    options = {
        "activation": ACTIVATIONS[values[-1]],
        "kernel_initializer": initializer or usual,
        "kernel_regularizer": penalty,
    }
    if token.kind == "C":
        return layers.Conv2D(values[1], values[0], padding="same", **options)
    return layers.Dense(values[0], **options)


def initial_weights(keras, settings):
    """The weights that an experiment's network starts with."""
    keras.utils.set_random_seed(settings["seed"])
    return _built(keras, settings).get_weights()


def _built(keras, settings):
    return build(
        keras,
        settings["structure"],
        settings["input_shape"],
        settings["initializer"],
        settings["l1"],
        settings["l2"],
    )


def optimizer_of(keras, settings):
    """The optimizer that an experiment names, with its options."""
    options = {"learning_rate": settings["learning_rate"], **settings["optimizer_options"]}
    return keras.optimizers.get({"class_name": settings["optimizer"], "config": options})


def train(keras, settings, weights, train_data, test_data):
    """Train and evaluate as an experiment says, from `weights`; gives what is measured.

    Data are (float32 inputs, labels). Gives a dict: parameters, seconds of fit and of evaluate, the
    history of fit, test_accuracy and test_loss, both of the whole test data.
    """
    keras.utils.set_random_seed(settings["seed"])
    model = _built(keras, settings)
    model.set_weights(weights)
    optimizer = optimizer_of(keras, settings)
    loss, metrics = "sparse_categorical_crossentropy", ["accuracy"]
    model.compile(optimizer=optimizer, loss=loss, metrics=metrics)
    size = settings["batch_size"]
    begun = time.perf_counter()
    fitted = model.fit(*train_data, batch_size=size, epochs=settings["epochs"], verbose=0)
    trained = time.perf_counter()
    found = model.evaluate(*test_data, batch_size=size, verbose=0, return_dict=True)
    ended = time.perf_counter()
    return {
        "parameters": model.count_params(),
        "fit_seconds": trained - begun,
        "evaluate_seconds": ended - trained,
        "history": {name: [float(v) for v in values] for name, values in fitted.history.items()},
        "test_accuracy": float(found["accuracy"]),
        "test_loss": float(found["loss"]),
    }
