"""What a user can get wrong with data and loops: type as in Keras, whole text."""

from __future__ import annotations

import numpy as np
import pytest
from cases.mistakes import Mistake, ones, other_types, place, raised_by

X, Y = ones(6, 4), ones(6, 2)


def model(keras, loss="mse", out=2, **options):
    layers = [keras.Input((4,)), keras.layers.Dense(3), keras.layers.BatchNormalization()]
    net = keras.Sequential([*layers, keras.layers.Dense(out)], name="net")
    net.compile("adam", loss, **options)
    return net


def batches(*items):
    yield from items


def classes(values):
    return np.array(values)


def fit(keras, x, y=None, loss="mse", out=2, metrics=None, **options):
    model(keras, loss, out, metrics=metrics).fit(x, y, verbose=0, **options)


def evaluate(keras, x, y=None, **options):
    model(keras).evaluate(x, y, verbose=0, **options)


def predict(keras, x, **options):
    model(keras).predict(x, verbose=0, **options)


def on_batch(keras, x, y=None, **options):
    model(keras).train_on_batch(x, y, **options)


MISTAKES = [
    Mistake(
        lambda keras: fit(keras, None),
        ValueError,
        (
            "keras: `x` must be an array, a nest of arrays, a generator or a PyDataset. "
            "Received: x of type <class 'NoneType'>"
        ),
        keras_does="KeyError",
    ),
    Mistake(
        lambda keras: fit(keras, X),
        ValueError,
        (
            "Model.compute_loss: there must be a loss, from `compile(loss=...)` with "
            "targets `y`, or from `add_loss()`. Received: loss='mse', y=None"
        ),
    ),
    Mistake(
        lambda keras: fit(keras, X, Y[:4]),
        ValueError,
        (
            "keras: all arrays must contain the same number of samples (data "
            "cardinality). Received: lengths x: [6], y: [4]"
        ),
    ),
    Mistake(
        lambda keras: fit(keras, X, Y, sample_weight=ones(3)),
        ValueError,
        (
            "keras: all arrays must contain the same number of samples (data "
            "cardinality). Received: lengths x: [6], y: [6], sample_weight: [3]"
        ),
    ),
    Mistake(
        lambda keras: fit(keras, X[:0], Y[:0]),
        ValueError,
        "keras: `x` must contain at least one sample. Received: arrays of length 0",
        keras_does="accept",
    ),
    Mistake(
        lambda keras: fit(keras, np.float32(3), Y),
        ValueError,
        "keras: `x` must have a first axis of samples. Received: a scalar",
        keras_does="IndexError",
    ),
    Mistake(
        lambda keras: fit(keras, X, np.float32(3)),
        ValueError,
        "keras: `y` must have a first axis of samples. Received: a scalar",
        keras_does="IndexError",
    ),
    Mistake(
        lambda keras: fit(keras, np.full((6, 4), "a"), Y),
        ValueError,
        "keras: `x` must hold real numbers. Received: x of shape (6, 4) and dtype <U1",
    ),
    Mistake(
        lambda keras: fit(keras, X, np.full((6, 2), "a")),
        ValueError,
        "keras: `y` must hold real numbers. Received: y of shape (6, 2) and dtype <U1",
    ),
    Mistake(
        lambda keras: fit(keras, "abc", "abc"),
        ValueError,
        "keras: `x` must hold real numbers. Received: x of shape () and dtype <U3",
    ),
    Mistake(
        lambda keras: fit(keras, np.array([[object()] * 4] * 6), Y),
        ValueError,
        ("keras: `x` must hold real numbers. Received: x of shape (6, 4) and dtype object"),
    ),
    Mistake(
        lambda keras: fit(keras, [[1, 2], [3]], Y[:2]),
        ValueError,
        (
            "keras: `x` must be a regular array, with rows of one length. Received: x of "
            "type <class 'list'> with rows of different lengths"
        ),
    ),
    Mistake(
        lambda keras: fit(keras, X[:2], [[1, 2], [3]]),
        ValueError,
        (
            "keras: `y` must be a regular array, with rows of one length. Received: y of "
            "type <class 'list'> with rows of different lengths"
        ),
    ),
    Mistake(
        lambda keras: fit(keras, X + 1j, Y),
        ValueError,
        ("keras: `x` must hold real numbers. Received: x of shape (6, 4) and dtype complex64"),
        keras_does="accept",
    ),
    Mistake(
        lambda keras: fit(keras, X, Y + 1j),
        ValueError,
        ("keras: `y` must hold real numbers. Received: y of shape (6, 2) and dtype complex64"),
        keras_does="accept",
    ),
    Mistake(
        lambda keras: fit(keras, ones(6, 5), Y),
        ValueError,
        ("Sequential 'net': `inputs` must have shape (None, 4). Received: inputs of shape (6, 5)"),
    ),
    Mistake(
        lambda keras: fit(keras, ones(6, 4, 4), Y),
        ValueError,
        (
            "Sequential 'net': `inputs` must have shape (None, 4). Received: inputs of "
            "shape (6, 4, 4)"
        ),
    ),
    Mistake(
        lambda keras: fit(keras, ones(6), Y),
        ValueError,
        ("Sequential 'net': `inputs` must have shape (None, 4). Received: inputs of shape (6,)"),
    ),
    Mistake(
        lambda keras: fit(keras, X, ones(6, 3)),
        ValueError,
        (
            "Model: `y` and `sample_weight` must fit the model's output of shape (6, 2) "
            "for the loss 'mse'. Received: y of shape (6, 3)"
        ),
    ),
    Mistake(
        lambda keras: fit(keras, X, ones(6)),
        ValueError,
        (
            "Model: `y` and `sample_weight` must fit the model's output of shape (6, 2) "
            "for the loss 'mse'. Received: y of shape (6,)"
        ),
        keras_does="InvalidArgumentError",
    ),
    Mistake(
        lambda keras: fit(keras, X, ones(6, 2, 2)),
        ValueError,
        (
            "Model: `y` and `sample_weight` must fit the model's output of shape (6, 2) "
            "for the loss 'mse'. Received: y of shape (6, 2, 2)"
        ),
        keras_does="InvalidArgumentError",
    ),
    Mistake(
        lambda keras: fit(keras, X, [Y, Y]),
        ValueError,
        (
            "Model: `y` must have one array for each of the model's 1 output(s) (y_true "
            "and y_pred have different structures). Received: 2 array(s)"
        ),
    ),
    Mistake(
        lambda keras: fit(keras, X, {"a": Y}),
        ValueError,
        (
            "Model: `y` must have the structure of the model's output, which is no dict. "
            "Received: a dict with ['a']"
        ),
        keras_does="TypeError",
    ),
    Mistake(
        lambda keras: fit(keras, [X, X], Y),
        ValueError,
        (
            "Sequential 'net': `inputs` must be one tensor. Received: inputs of type "
            "<class 'list'> with 2 part(s)"
        ),
        keras_does="accept",
    ),
    Mistake(
        lambda keras: fit(keras, {"a": X}, Y),
        ValueError,
        (
            "Sequential 'net': `inputs` must be one tensor. Received: inputs of type "
            "<class 'dict'> with 1 part(s)"
        ),
    ),
    Mistake(
        lambda keras: fit(keras, {}, Y),
        ValueError,
        (
            "Sequential 'net': `inputs` must be one tensor. Received: inputs of type "
            "<class 'dict'> with 0 part(s)"
        ),
    ),
    Mistake(
        lambda keras: fit(keras, X, Y, batch_size=0),
        ValueError,
        "keras: `batch_size` must be an int of at least 1. Received: batch_size=0",
        keras_does="accept",
    ),
    Mistake(
        lambda keras: fit(keras, X, Y, batch_size=-1),
        ValueError,
        "keras: `batch_size` must be an int of at least 1. Received: batch_size=-1",
    ),
    Mistake(
        lambda keras: fit(keras, X, Y, batch_size=2.5),
        TypeError,
        "keras: `batch_size` must be an int of at least 1. Received: batch_size=2.5",
    ),
    Mistake(
        lambda keras: fit(keras, X, Y, batch_size="a"),
        TypeError,
        "keras: `batch_size` must be an int of at least 1. Received: batch_size='a'",
    ),
    Mistake(
        lambda keras: fit(keras, X, Y, epochs=1.5),
        TypeError,
        "Model.fit: `epochs` must be an int of at least 0. Received: epochs=1.5",
    ),
    Mistake(
        lambda keras: fit(keras, X, Y, epochs="a"),
        TypeError,
        "Model.fit: `epochs` must be an int of at least 0. Received: epochs='a'",
    ),
    Mistake(
        lambda keras: fit(keras, X, Y, epochs=None),
        TypeError,
        "Model.fit: `epochs` must be an int of at least 0. Received: epochs=None",
    ),
    Mistake(
        lambda keras: fit(keras, X, Y, epochs=-1),
        ValueError,
        "Model.fit: `epochs` must be an int of at least 0. Received: epochs=-1",
        keras_does="accept",
    ),
    Mistake(
        lambda keras: fit(keras, X, Y, initial_epoch="a"),
        TypeError,
        ("Model.fit: `initial_epoch` must be an int of at least 0. Received: initial_epoch='a'"),
    ),
    Mistake(
        lambda keras: fit(keras, X, Y, initial_epoch=-1),
        ValueError,
        ("Model.fit: `initial_epoch` must be an int of at least 0. Received: initial_epoch=-1"),
        keras_does="accept",
    ),
    Mistake(
        lambda keras: fit(keras, X, Y, validation_split=1.5),
        ValueError,
        (
            "Model.fit: `validation_split` must be a float between 0 and 1. Received: "
            "validation_split=1.5"
        ),
        keras_does="accept",
    ),
    Mistake(
        lambda keras: fit(keras, X, Y, validation_split=-0.1),
        ValueError,
        (
            "Model.fit: `validation_split` must be a float between 0 and 1. Received: "
            "validation_split=-0.1"
        ),
    ),
    Mistake(
        lambda keras: fit(keras, X, Y, validation_split="a"),
        TypeError,
        (
            "Model.fit: `validation_split` must be a float between 0 and 1. Received: "
            "validation_split='a'"
        ),
    ),
    Mistake(
        lambda keras: fit(keras, X, Y, validation_split=0.99),
        ValueError,
        (
            "Model.fit: `validation_split` must leave samples on both sides of 6. "
            "Received: validation_split=0.99"
        ),
    ),
    Mistake(
        lambda keras: fit(keras, batches((X, Y)), validation_split=0.5),
        ValueError,
        (
            "Model.fit: `validation_split` needs arrays or tensors, for other data pass "
            "`validation_data`. Received: x of type <class 'generator'>"
        ),
    ),
    Mistake(
        lambda keras: fit(keras, X, Y, validation_data=(X, Y, Y, Y)),
        ValueError,
        (
            "keras: a batch must be `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)`. "
            "Received: a tuple of 4 parts"
        ),
    ),
    Mistake(
        lambda keras: fit(keras, X, Y, validation_data=(X, Y[:2])),
        ValueError,
        (
            "keras: all arrays must contain the same number of samples (data "
            "cardinality). Received: lengths x: [6], y: [2]"
        ),
    ),
    Mistake(
        lambda keras: fit(keras, X, Y, validation_data="a"),
        ValueError,
        "keras: `x` must hold real numbers. Received: x of shape () and dtype <U1",
    ),
    Mistake(
        lambda keras: fit(keras, X, Y, validation_data=()),
        ValueError,
        (
            "keras: `x` must be an array, a nest of arrays, a generator or a PyDataset. "
            "Received: x of type <class 'NoneType'>"
        ),
    ),
    Mistake(
        lambda keras: fit(keras, X, Y, validation_data=(X, Y), validation_freq=0),
        ValueError,
        (
            "Model.fit: `validation_freq` must be an int of at least 1 or a list of "
            "epochs. Received: validation_freq=0"
        ),
        keras_does="ZeroDivisionError",
    ),
    Mistake(
        lambda keras: fit(keras, X, Y, validation_data=(X, Y), validation_freq="a"),
        ValueError,
        (
            "Model.fit: `validation_freq` must be an int of at least 1 or a list of "
            "epochs. Received: validation_freq='a'"
        ),
    ),
    Mistake(
        lambda keras: fit(keras, X, Y, validation_data=(X, Y), validation_freq=1.5),
        ValueError,
        (
            "Model.fit: `validation_freq` must be an int of at least 1 or a list of "
            "epochs. Received: validation_freq=1.5"
        ),
    ),
    Mistake(
        lambda keras: fit(keras, X, Y, validation_data=(X, Y), validation_batch_size=-1),
        ValueError,
        "keras: `batch_size` must be an int of at least 1. Received: batch_size=-1",
    ),
    Mistake(
        lambda keras: fit(keras, X, Y, validation_data=(X, Y), validation_steps=-1),
        ValueError,
        ("keras: `validation_steps` must be an int of at least 1. Received: validation_steps=-1"),
    ),
    Mistake(
        lambda keras: fit(keras, X, Y, steps_per_epoch=0),
        ValueError,
        ("keras: `steps_per_epoch` must be an int of at least 1. Received: steps_per_epoch=0"),
        keras_does="accept",
    ),
    Mistake(
        lambda keras: fit(keras, X, Y, steps_per_epoch=-1),
        ValueError,
        ("keras: `steps_per_epoch` must be an int of at least 1. Received: steps_per_epoch=-1"),
    ),
    Mistake(
        lambda keras: fit(keras, X, Y, steps_per_epoch=1.5),
        TypeError,
        ("keras: `steps_per_epoch` must be an int of at least 1. Received: steps_per_epoch=1.5"),
    ),
    Mistake(
        lambda keras: evaluate(keras, X, Y, steps="a"),
        TypeError,
        "keras: `steps` must be an int of at least 1. Received: steps='a'",
    ),
    Mistake(
        lambda keras: fit(keras, X, Y, class_weight={0: 1}, sample_weight=ones(6)),
        ValueError,
        (
            "keras: only one of `class_weight` and `sample_weight` can be given. "
            "Received: class_weight={0: 1}, sample_weight of type <class 'numpy.ndarray'>"
        ),
    ),
    Mistake(
        lambda keras: fit(keras, X, Y, class_weight=[1, 2]),
        ValueError,
        (
            "keras: `class_weight` must be a dict from class number to weight. Received: "
            "class_weight=[1, 2]"
        ),
        keras_does="AttributeError",
    ),
    Mistake(
        lambda keras: fit(keras, X, class_weight={0: 1}),
        ValueError,
        (
            "keras: `class_weight` needs a single array `y` of classes. Received: y of "
            "type <class 'NoneType'>"
        ),
        keras_does="IndexError",
    ),
    Mistake(
        lambda keras: fit(keras, X, [Y, Y], class_weight={0: 1}),
        ValueError,
        (
            "keras: `class_weight` needs a single array `y` of classes. Received: y of "
            "type <class 'list'>"
        ),
    ),
    Mistake(
        lambda keras: fit(keras, batches((X, Y)), class_weight={0: 1}),
        ValueError,
        (
            "keras: `class_weight` cannot be used with a generator: yield sample "
            "weights. Received: class_weight={0: 1}"
        ),
    ),
    Mistake(
        lambda keras: fit(keras, X, Y, sample_weight=ones(6, 5)),
        ValueError,
        (
            "Model: `y` and `sample_weight` must fit the model's output of shape (6, 2) "
            "for the loss 'mse'. Received: y of shape (6, 2), sample_weight of shape (6, "
            "5)"
        ),
        keras_does="InvalidArgumentError",
    ),
    Mistake(
        lambda keras: fit(keras, X, Y, sample_weight="a"),
        ValueError,
        (
            "keras: `sample_weight` must hold real numbers. Received: sample_weight of "
            "shape () and dtype <U1"
        ),
    ),
    Mistake(
        lambda keras: fit(keras, batches((X, Y)), Y),
        ValueError,
        (
            "keras: `y` must be None when `x` is a generator, which yields it. Received: "
            "y of type <class 'numpy.ndarray'>"
        ),
    ),
    Mistake(
        lambda keras: fit(keras, batches((X, Y)), sample_weight=ones(6)),
        ValueError,
        (
            "keras: `sample_weight` must be None when `x` is a generator, which yields "
            "it. Received: sample_weight of type <class 'numpy.ndarray'>"
        ),
    ),
    Mistake(
        lambda keras: fit(keras, batches()),
        ValueError,
        (
            "keras: a generator of training data must yield at least one batch. "
            "Received: an empty generator"
        ),
    ),
    Mistake(
        lambda keras: fit(keras, batches(X, X)),
        ValueError,
        (
            "keras: a generator of training data must yield tuples `(x,)`, `(x, y)` or "
            "`(x, y, sample_weight)`. Received: <class 'numpy.ndarray'>"
        ),
    ),
    Mistake(
        lambda keras: fit(keras, batches([X, Y])),
        ValueError,
        (
            "keras: a generator of training data must yield tuples `(x,)`, `(x, y)` or "
            "`(x, y, sample_weight)`. Received: <class 'list'>"
        ),
    ),
    Mistake(
        lambda keras: fit(keras, batches((X, Y, Y, Y))),
        ValueError,
        (
            "keras: a batch must be `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)`. "
            "Received: a tuple of 4 parts"
        ),
    ),
    Mistake(
        lambda keras: fit(keras, batches((X,))),
        ValueError,
        (
            "Model.compute_loss: there must be a loss, from `compile(loss=...)` with "
            "targets `y`, or from `add_loss()`. Received: loss='mse', y=None"
        ),
    ),
    Mistake(
        lambda keras: fit(keras, batches((ones(6, 5), Y))),
        ValueError,
        ("Sequential 'net': `inputs` must have shape (None, 4). Received: inputs of shape (6, 5)"),
    ),
    Mistake(
        lambda keras: fit(keras, batches(("a", "b"))),
        ValueError,
        "keras: `x` must hold real numbers. Received: x of shape () and dtype <U1",
    ),
    Mistake(
        lambda keras: fit(keras, {1, 2}, Y),
        ValueError,
        (
            "keras: `x` must be an array, a nest of arrays, a generator or a PyDataset. "
            "Received: x of type <class 'set'>"
        ),
    ),
    Mistake(
        lambda keras: fit(keras, lambda: 3, Y),
        ValueError,
        (
            "keras: `x` must be an array, a nest of arrays, a generator or a PyDataset. "
            "Received: x of type <class 'function'>"
        ),
    ),
    Mistake(
        lambda keras: fit(keras, X, Y, callbacks="a"),
        ValueError,
        (
            "keras: `callbacks` must be instances of `keras.callbacks.Callback`. "
            "Received: 'a' (of type <class 'str'>)"
        ),
        keras_does="AttributeError",
    ),
    Mistake(
        lambda keras: fit(keras, X, Y, callbacks=[3]),
        ValueError,
        (
            "keras: `callbacks` must be instances of `keras.callbacks.Callback`. "
            "Received: 3 (of type <class 'int'>)"
        ),
        keras_does="AttributeError",
    ),
    Mistake(
        lambda keras: fit(
            keras,
            X,
            classes([0, 1, 2, 1, 0, 7]),
            loss="sparse_categorical_crossentropy",
            out=3,
            shuffle=False,
        ),
        ValueError,
        (
            "ops.sparse_categorical_crossentropy: `target` must hold class numbers from "
            "0 to 2, as `output` has 3 classes. Received: label 7 at position (5,)"
        ),
        keras_does="InvalidArgumentError",
    ),
    Mistake(
        lambda keras: fit(
            keras,
            X,
            classes([0, 1, 2, 1, 0, -1]),
            loss="sparse_categorical_crossentropy",
            out=3,
            shuffle=False,
        ),
        ValueError,
        (
            "ops.sparse_categorical_crossentropy: `target` must hold class numbers from "
            "0 to 2, as `output` has 3 classes. Received: label -1 at position (5,)"
        ),
        keras_does="InvalidArgumentError",
    ),
    Mistake(
        lambda keras: fit(keras, X, Y, loss="categorical_crossentropy", out=3),
        ValueError,
        (
            "ops.categorical_crossentropy: `target` and `output` must have the same "
            "shape. Received: target.shape=(6, 2), output.shape=(6, 3)"
        ),
    ),
    Mistake(
        lambda keras: fit(keras, X, Y, loss="sparse_categorical_crossentropy", out=3),
        ValueError,
        (
            "ops.sparse_categorical_crossentropy: `target` must have the shape of "
            "`output` without its last axis. Received: target.shape=(6, 2), "
            "output.shape=(6, 3)"
        ),
    ),
    Mistake(
        lambda keras: fit(keras, X, ones(6, 3), loss="binary_crossentropy"),
        ValueError,
        (
            "ops.binary_crossentropy: `target` and `output` must have the same shape. "
            "Received: target.shape=(6, 3), output.shape=(6, 2)"
        ),
    ),
    Mistake(
        lambda keras: evaluate(keras, X, ones(6, 3)),
        ValueError,
        (
            "Model: `y` and `sample_weight` must fit the model's output of shape (6, 2) "
            "for the loss 'mse'. Received: y of shape (6, 3)"
        ),
    ),
    Mistake(
        lambda keras: evaluate(keras, X, Y[:2]),
        ValueError,
        (
            "keras: all arrays must contain the same number of samples (data "
            "cardinality). Received: lengths x: [6], y: [2]"
        ),
    ),
    Mistake(
        lambda keras: evaluate(keras, X, Y, nothing=1),
        ValueError,
        "Model.evaluate: unknown arguments. Received: ['nothing']",
    ),
    Mistake(
        lambda keras: predict(keras, ones(2, 5)),
        ValueError,
        ("Sequential 'net': `inputs` must have shape (None, 4). Received: inputs of shape (2, 5)"),
    ),
    Mistake(
        lambda keras: predict(keras, X[:0]),
        ValueError,
        "keras: `x` must contain at least one sample. Received: arrays of length 0",
        keras_does="UnboundLocalError",
    ),
    Mistake(
        lambda keras: predict(keras, None),
        ValueError,
        (
            "keras: `x` must be an array, a nest of arrays, a generator or a PyDataset. "
            "Received: x of type <class 'NoneType'>"
        ),
        keras_does="KeyError",
    ),
    Mistake(
        lambda keras: predict(keras, np.full((6, 4), "a")),
        ValueError,
        "keras: `x` must hold real numbers. Received: x of shape (6, 4) and dtype <U1",
    ),
    Mistake(
        lambda keras: predict(keras, X, batch_size=2.5),
        TypeError,
        "keras: `batch_size` must be an int of at least 1. Received: batch_size=2.5",
    ),
    Mistake(
        lambda keras: on_batch(keras, X, Y[:2]),
        ValueError,
        (
            "keras: all arrays must contain the same number of samples (data "
            "cardinality). Received: lengths x: [6], y: [2]"
        ),
    ),
    Mistake(
        lambda keras: on_batch(keras, X, ones(6, 3)),
        ValueError,
        (
            "Model: `y` and `sample_weight` must fit the model's output of shape (6, 2) "
            "for the loss 'mse'. Received: y of shape (6, 3)"
        ),
    ),
    Mistake(
        lambda keras: on_batch(keras, ones(6, 5), Y),
        ValueError,
        ("Sequential 'net': `inputs` must have shape (None, 4). Received: inputs of shape (6, 5)"),
    ),
    Mistake(
        lambda keras: on_batch(keras, X, Y, class_weight={0: 1}, sample_weight=ones(6)),
        ValueError,
        (
            "Model.train_on_batch: only one of `class_weight` and `sample_weight` can be "
            "given. Received: sample_weight=[1. 1. 1. 1. 1. 1.], class_weight={0: 1}"
        ),
    ),
    Mistake(
        lambda keras: on_batch(keras, X, class_weight={0: 1}),
        ValueError,
        (
            "keras: `class_weight` needs a single array `y` of classes. Received: y of "
            "type <class 'NoneType'>"
        ),
        keras_does="IndexError",
    ),
    Mistake(
        lambda keras: on_batch(keras, X, Y, class_weight=[1]),
        ValueError,
        (
            "keras: `class_weight` must be a dict from class number to weight. Received: "
            "class_weight=[1]"
        ),
        keras_does="AttributeError",
    ),
    Mistake(
        lambda keras: model(keras).predict_on_batch(ones(2, 5)),
        ValueError,
        ("Sequential 'net': `inputs` must have shape (None, 4). Received: inputs of shape (2, 5)"),
    ),
    Mistake(
        lambda keras: model(keras).predict_on_batch(None),
        ValueError,
        (
            "keras: all arrays must contain the same number of samples (data "
            "cardinality). Received: lengths of nothing"
        ),
    ),
    Mistake(
        lambda keras: model(keras).test_on_batch(X, ones(6, 3)),
        ValueError,
        (
            "Model: `y` and `sample_weight` must fit the model's output of shape (6, 2) "
            "for the loss 'mse'. Received: y of shape (6, 3)"
        ),
    ),
]

# As in Keras, the first epoch has trained the model when its validation fails.
AFTER_AN_EPOCH = [
    Mistake(
        lambda keras: fit(keras, X, Y, validation_data=(ones(6, 5), Y)),
        ValueError,
        ("Sequential 'net': `inputs` must have shape (None, 4). Received: inputs of shape (6, 5)"),
    ),
    Mistake(
        lambda keras: fit(keras, X, Y, validation_data=(X, ones(6, 3))),
        ValueError,
        (
            "Model: `y` and `sample_weight` must fit the model's output of shape (6, 2) "
            "for the loss 'mse'. Received: y of shape (6, 3)"
        ),
    ),
]


@pytest.mark.parametrize("mistake", MISTAKES + AFTER_AN_EPOCH, ids=place)
def test_a_mistake_raises_its_whole_message(mistake):
    assert raised_by(mistake) == (mistake.error, mistake.message)


@pytest.mark.slow
@pytest.mark.keras
def test_real_keras_raises_the_same_types():
    assert other_types(MISTAKES + AFTER_AN_EPOCH, pytest.importorskip("keras")) == []


def state(net):
    """Everything that a failed call must leave alone."""
    optimizer = [variable.numpy() for variable in net.optimizer.variables]
    compiled = (net.optimizer, net.loss, net.compiled, net._compile_loss, net._compile_metrics)
    return net.get_weights() + optimizer, compiled


@pytest.mark.parametrize("mistake", MISTAKES, ids=place)
def test_a_mistake_leaves_a_trained_model_as_it_was(mistake, monkeypatch):
    made, make = [], model

    def trained(keras, loss="mse", out=2, **options):
        net = make(keras, loss, out, **options)
        good = {"mse": Y, "binary_crossentropy": Y}
        y = good.get(loss, np.eye(3)[[0, 1, 2, 0, 1, 2]])
        y = np.argmax(y, -1) if loss.startswith("sparse") else y
        net.fit(X, y, verbose=0)
        made.append((net, y, *state(net)))
        return net

    monkeypatch.setitem(globals(), "model", trained)
    assert raised_by(mistake) == (mistake.error, mistake.message)
    (net, y, arrays, compiled) = made[0]
    now, compiled_now = state(net)
    for before, after in zip(arrays, now, strict=True):
        np.testing.assert_array_equal(after, before)
    assert all(a is b for a, b in zip(compiled, compiled_now, strict=True))
    weights = net.get_weights()
    net.fit(X, y, verbose=0)
    assert any((a != b).any() for a, b in zip(weights, net.get_weights(), strict=True))
