"""What a user can get wrong with Sequential, Model and compile: type as in Keras, whole text."""

from __future__ import annotations

import pytest
from cases.mistakes import Mistake, ones, other_types, place, raised_by


def sequential(keras, *layers):
    return keras.Sequential([keras.Input((4,)), *(layers or [keras.layers.Dense(2)])], name="net")


def unbuilt(keras):
    return keras.Sequential([keras.layers.Dense(2)], name="net")


def fitted(keras, **compile_arguments):
    model = sequential(keras)
    model.compile(**compile_arguments)
    model.fit(ones(3, 4), ones(3, 2), verbose=0)


def without_super(keras, base, attribute):
    class Careless(base):
        def __init__(self):
            self.inner = attribute

        def call(self, x):
            return x

    Careless()(ones(2, 3))


def model_without_call(keras):
    class Empty(keras.Model):
        pass

    Empty()(ones(2, 3))


def weight_made_in_call(keras):
    class Late(keras.layers.Layer):
        def call(self, x):
            self.scale = self.add_weight((3,))
            return x

    Late(name="late")(ones(2, 3))


MISTAKES = [
    Mistake(
        lambda keras: keras.Sequential([3]),
        ValueError,
        (
            "Sequential.add: Only instances of `keras.Layer` can be added. Received: "
            "layer=3 (of type <class 'int'>)"
        ),
    ),
    Mistake(
        lambda keras: keras.Sequential("a"),
        ValueError,
        (
            "Sequential.add: Only instances of `keras.Layer` can be added. Received: "
            "layer='a' (of type <class 'str'>)"
        ),
    ),
    Mistake(
        lambda keras: keras.Sequential([None]),
        ValueError,
        (
            "Sequential.add: Only instances of `keras.Layer` can be added. Received: "
            "layer=None (of type <class 'NoneType'>)"
        ),
    ),
    Mistake(
        lambda keras: keras.Sequential([keras.layers.Dense]),
        ValueError,
        (
            "Sequential.add: Only instances of `keras.Layer` can be added. Received: "
            "layer=<class 'kerasmirror.layers.core.dense.Dense'> (of type <class 'type'>)"
        ),
    ),
    Mistake(
        lambda keras: keras.Sequential([keras.Input((4,)), keras.Input((4,))], name="net"),
        ValueError,
        (
            "Sequential.add: model 'net' has already been configured, an Input only goes first. "
            "Received: an Input of shape (None, 4) for a model whose layers are "
            "['input_layer']"
        ),
    ),
    Mistake(
        lambda keras: keras.Sequential(
            [keras.layers.Dense(2, name="d"), keras.Input((4,))], name="net"
        ),
        ValueError,
        (
            "Sequential.add: model 'net' has already been configured, an Input only goes first. "
            "Received: an Input of shape (None, 4) for a model whose layers are "
            "['d']"
        ),
        keras_does="accept",
    ),
    Mistake(
        lambda keras: sequential(keras).add(3),
        ValueError,
        (
            "Sequential.add: Only instances of `keras.Layer` can be added. Received: "
            "layer=3 (of type <class 'int'>)"
        ),
    ),
    Mistake(
        lambda keras: sequential(keras).add(keras.layers.InputLayer((4,))),
        ValueError,
        (
            "Sequential.add: model 'net' has already been configured, an Input only goes first. "
            "Received: an Input of shape (None, 4) for a model whose layers are "
            "['input_layer', 'dense']"
        ),
    ),
    Mistake(
        lambda keras: keras.Sequential(
            [keras.layers.Dense(2, name="a"), keras.layers.Dense(2, name="a")]
        ),
        ValueError,
        (
            "Sequential.add: all layers of the model should have unique names. Received: "
            "a second layer called 'a'"
        ),
    ),
    Mistake(
        lambda keras: keras.Sequential(name="net").pop(),
        IndexError,
        ("Sequential.pop: the model must have layers. Received: model 'net', which has none"),
    ),
    Mistake(
        lambda keras: keras.Sequential([keras.Input((4,))], name="net").pop(),
        IndexError,
        ("Sequential.pop: the model must have layers. Received: model 'net', which has none"),
    ),
    Mistake(
        lambda keras: keras.Sequential(name="net").build((None, 4)),
        ValueError,
        "Sequential.build: model 'net' has no layers. Call `model.add(layer)`.",
    ),
    Mistake(
        lambda keras: keras.Sequential(name="net")(ones(2, 3)),
        ValueError,
        "Sequential.build: model 'net' has no layers. Call `model.add(layer)`.",
    ),
    Mistake(
        lambda keras: unbuilt(keras).build(4),
        ValueError,
        (
            "Sequential.build: `input_shape` must be a tuple, batch axis included. "
            "Received: input_shape=4"
        ),
        keras_does="accept",
    ),
    Mistake(
        lambda keras: unbuilt(keras).build("abc"),
        ValueError,
        (
            "Sequential.build: `shape` must hold ints of at least 0, or None. Received: "
            "shape='abc', whose entry 'a' is not"
        ),
        keras_does="accept",
    ),
    Mistake(
        lambda keras: unbuilt(keras).build((None, -3)),
        ValueError,
        (
            "Sequential.build: `shape` must hold ints of at least 0, or None. Received: "
            "shape=(None, -3), whose entry -3 is not"
        ),
        keras_does="accept",
    ),
    Mistake(
        lambda keras: sequential(keras).build((None, 5)),
        ValueError,
        (
            "Sequential.build: model 'net' has already been configured for inputs of shape "
            "(None, 4). Received: input_shape=(None, 5)"
        ),
    ),
    Mistake(
        lambda keras: sequential(keras)(ones(2, 5)),
        ValueError,
        ("Sequential 'net': `inputs` must have shape (None, 4). Received: inputs of shape (2, 5)"),
    ),
    Mistake(
        lambda keras: sequential(keras)(ones(4)),
        ValueError,
        ("Sequential 'net': `inputs` must have shape (None, 4). Received: inputs of shape (4,)"),
    ),
    Mistake(
        lambda keras: sequential(keras)(ones(2, 3, 4)),
        ValueError,
        (
            "Sequential 'net': `inputs` must have shape (None, 4). Received: inputs of "
            "shape (2, 3, 4)"
        ),
    ),
    Mistake(
        lambda keras: sequential(keras)([ones(2, 4), ones(2, 4)]),
        ValueError,
        (
            "Sequential 'net': `inputs` must be one tensor. Received: inputs of type "
            "<class 'list'> with 2 part(s)"
        ),
        keras_does="accept",
    ),
    Mistake(
        lambda keras: sequential(keras)({"a": ones(2, 4)}),
        ValueError,
        (
            "Sequential 'net': `inputs` must be one tensor. Received: inputs of type "
            "<class 'dict'> with 1 part(s)"
        ),
    ),
    Mistake(
        lambda keras: sequential(keras)(ones(2, 4, dtype="complex64")),
        ValueError,
        ("Sequential 'net': `inputs` must have dtype float32. Received: inputs of dtype complex64"),
        keras_does="accept",
    ),
    Mistake(
        lambda keras: sequential(keras)("abc"),
        ValueError,
        (
            "Sequential: positional arguments of a layer call must be tensors; pass "
            "others by keyword. Received: 'abc' (<class 'str'>)"
        ),
    ),
    Mistake(
        lambda keras: sequential(keras)(),
        TypeError,
        (
            "Sequential: the arguments must fit call(inputs, training=None, mask=None, "
            "**kwargs): missing a required argument: 'inputs'."
        ),
    ),
    Mistake(
        lambda keras: sequential(keras, keras.layers.Dense(2), keras.layers.Conv2D(2, 2, name="c")),
        ValueError,
        (
            "Layer 'c': `inputs` is incompatible with the layer: "
            "it must have 4 axes (expected ndim=4, found ndim=2). "
            "Received: an input of shape (None, 2) and dtype float32"
        ),
    ),
    Mistake(
        lambda keras: keras.Sequential(
            [keras.Input((4, 4, 1)), keras.layers.Conv2D(2, 3), keras.layers.Conv2D(2, 3)]
        ),
        ValueError,
        (
            "Conv2D: `inputs` must be at least as large as the dilated window. Received: "
            "inputs.shape=(None, 2, 2, 2), kernel.shape=(3, 3, 2, 2), dilation_rate=(1, "
            "1), padding='valid'"
        ),
    ),
    Mistake(
        lambda keras: keras.Sequential(name="a/b"),
        ValueError,
        "Sequential: `name` must be a string without `/`. Received: name='a/b'",
    ),
    Mistake(
        lambda keras: keras.Sequential(name=3),
        ValueError,
        "Sequential: `name` must be a string without `/`. Received: name=3",
    ),
    Mistake(
        lambda keras: setattr(sequential(keras), "layers", []),
        AttributeError,
        ("Sequential: `layers` cannot be set. Use `add()` and `pop()` to change the model."),
    ),
    Mistake(
        lambda keras: unbuilt(keras).count_params(),
        ValueError,
        (
            "Sequential.count_params: layer 'net' must be built first, by calling it on "
            "data or by `layer.build(input_shape)`."
        ),
    ),
    Mistake(
        lambda keras: unbuilt(keras).set_weights([ones(4, 2), ones(2)]),
        ValueError,
        ("Sequential.set_weights: `weights` must be 0 arrays for layer 'net'. Received: 2 arrays"),
    ),
    Mistake(
        lambda keras: unbuilt(keras).input_shape,
        AttributeError,
        "Sequential model 'net' has no defined input shape yet: build it first.",
    ),
    Mistake(
        lambda keras: unbuilt(keras).output_shape,
        AttributeError,
        "Sequential model 'net' has no defined output shape yet: build it first.",
    ),
    Mistake(
        lambda keras: unbuilt(keras).inputs,
        AttributeError,
        "Sequential model 'net' has no defined inputs yet: build it first.",
    ),
    Mistake(
        lambda keras: unbuilt(keras).outputs,
        AttributeError,
        "Sequential model 'net' has no defined outputs yet: build it first.",
    ),
    Mistake(
        lambda keras: sequential(keras).get_layer(),
        ValueError,
        (
            "Model.get_layer: exactly one of `name` and `index` must be given. Received: "
            "name=None, index=None"
        ),
    ),
    Mistake(
        lambda keras: sequential(keras).get_layer("a", 0),
        ValueError,
        (
            "Model.get_layer: exactly one of `name` and `index` must be given. Received: "
            "name='a', index=0"
        ),
    ),
    Mistake(
        lambda keras: keras.Sequential([keras.layers.Dense(2, name="d")]).get_layer("a"),
        ValueError,
        "Model.get_layer: `name` must be one of ['d']. Received: name='a'",
    ),
    Mistake(
        lambda keras: sequential(keras).get_layer(index=5),
        ValueError,
        (
            "Model.get_layer: `index` must be an int below the number of layers, 1. "
            "Received: index=5"
        ),
    ),
    Mistake(
        lambda keras: sequential(keras).get_layer(index=-5),
        IndexError,
        (
            "Model.get_layer: `index` must be an int below the number of layers, 1. "
            "Received: index=-5"
        ),
    ),
    Mistake(
        lambda keras: sequential(keras).get_layer(index="a"),
        TypeError,
        (
            "Model.get_layer: `index` must be an int below the number of layers, 1. "
            "Received: index='a'"
        ),
    ),
    Mistake(
        lambda keras: keras.Model(foo=3),
        ValueError,
        "Model: the keyword arguments must be ones it knows. Received: foo=3",
    ),
    Mistake(
        lambda keras: without_super(keras, keras.layers.Layer, 3),
        RuntimeError,
        ("In layer 'Careless', `super().__init__()` must be called first in `__init__()`."),
    ),
    Mistake(
        lambda keras: without_super(keras, keras.layers.Layer, keras.layers.Dense(2)),
        RuntimeError,
        ("In layer 'Careless', `super().__init__()` must be called first in `__init__()`."),
    ),
    Mistake(
        lambda keras: without_super(keras, keras.Model, keras.layers.Dense(2)),
        RuntimeError,
        ("In layer 'Careless', `super().__init__()` must be called first in `__init__()`."),
    ),
    Mistake(
        lambda keras: model_without_call(keras),
        NotImplementedError,
        "Model Empty must implement `call()` to be called.",
    ),
    Mistake(
        lambda keras: weight_made_in_call(keras),
        ValueError,
        (
            "Layer: all variables and sublayers must be created in `__init__()` or "
            "`build()`. Received: a new one for a layer that is built already: Late "
            "'late'"
        ),
    ),
    Mistake(
        lambda keras: sequential(keras).compile(metrics="acc"),
        ValueError,
        (
            "Model.compile: `metrics` must be a list, tuple or dict. Received: "
            "metrics='acc' (of type <class 'str'>)"
        ),
    ),
    Mistake(
        lambda keras: sequential(keras).compile(weighted_metrics="acc"),
        ValueError,
        (
            "Model.compile: `weighted_metrics` must be a list, tuple or dict. Received: "
            "weighted_metrics='acc' (of type <class 'str'>)"
        ),
    ),
    Mistake(
        lambda keras: sequential(keras).compile(loss="mse", loss_weights="a"),
        ValueError,
        (
            "Model.compile: `loss_weights` must be a float, or a list or dict with one "
            "for each output. Received: loss_weights='a'"
        ),
    ),
    Mistake(
        lambda keras: sequential(keras).compile(steps_per_execution=0),
        ValueError,
        (
            "Model.compile: `steps_per_execution` must be an int of at least 1. "
            "Received: steps_per_execution=0"
        ),
        keras_does="accept",
    ),
    Mistake(
        lambda keras: sequential(keras).compile(steps_per_execution=1.5),
        ValueError,
        (
            "Model.compile: `steps_per_execution` must be an int of at least 1. "
            "Received: steps_per_execution=1.5"
        ),
        keras_does="accept",
    ),
    Mistake(
        lambda keras: sequential(keras).compile(optimizer={"class_name": "foo", "config": {}}),
        ValueError,
        (
            "keras.optimizers.get: `class_name` must be the name of an optimizer, or of "
            "a registered custom one. Received: class_name='foo'"
        ),
    ),
    Mistake(
        lambda keras: sequential(keras).compile(optimizer=3),
        ValueError,
        (
            "keras.optimizers.get: `identifier` must be a name, a config dict or an "
            "optimizer. Received: identifier=3"
        ),
    ),
    Mistake(
        lambda keras: fitted(keras, loss=3),
        ValueError,
        (
            "keras.losses.get: `identifier` must be a name, a config dict, a callable or "
            "a loss. Received: identifier=3"
        ),
    ),
    Mistake(
        lambda keras: fitted(keras, loss="mse", metrics=[3]),
        ValueError,
        (
            "keras.metrics.get: `identifier` must be a name, a config dict, a callable "
            "or a metric. Received: identifier=3"
        ),
    ),
    Mistake(
        lambda keras: fitted(keras, loss="mse", optimizer=None),
        ValueError,
        (
            "Model.fit: `optimizer` must be given to compile() for training. Received: "
            "optimizer=None"
        ),
        keras_does="AttributeError",
    ),
    Mistake(
        lambda keras: fitted(keras, loss=["mse", "mse"]),
        ValueError,
        (
            "Model.compile: `loss` must have one entry for each of the 1 output(s). "
            "Received: loss=['mse', 'mse']"
        ),
        keras_does="accept",
    ),
    Mistake(
        lambda keras: fitted(keras, loss=[]),
        ValueError,
        (
            "Model.compile: `loss` must have one entry for each of the 1 output(s). "
            "Received: loss=[]"
        ),
        keras_does="IndexError",
    ),
    Mistake(
        lambda keras: fitted(keras, loss="mse", loss_weights=[1, 2]),
        ValueError,
        (
            "Model.compile: `loss_weights` must have one entry for each of the 1 "
            "output(s). Received: loss_weights=[1, 2]"
        ),
    ),
    Mistake(
        lambda keras: fitted(keras, loss="mse", metrics=[None]),
        ValueError,
        ("Model.compile: `metrics` must be names, functions or metrics. Received: metrics=[None]"),
    ),
    Mistake(
        lambda keras: fitted(keras),
        ValueError,
        (
            "Model.compute_loss: there must be a loss, from `compile(loss=...)` with "
            "targets `y`, or from `add_loss()`. Received: loss=None, y=given"
        ),
    ),
    Mistake(
        lambda keras: sequential(keras).fit(ones(3, 4), ones(3, 2)),
        ValueError,
        (
            "Model.fit: `compile()` must be called before. Received: model 'net', which "
            "is not compiled"
        ),
    ),
    Mistake(
        lambda keras: sequential(keras).evaluate(ones(3, 4), ones(3, 2)),
        ValueError,
        (
            "Model.evaluate: `compile()` must be called before. Received: model 'net', "
            "which is not compiled"
        ),
    ),
    Mistake(
        lambda keras: sequential(keras).train_on_batch(ones(3, 4), ones(3, 2)),
        ValueError,
        (
            "Model.train_on_batch: `compile()` must be called before. Received: model "
            "'net', which is not compiled"
        ),
    ),
    Mistake(
        lambda keras: sequential(keras).test_on_batch(ones(3, 4), ones(3, 2)),
        ValueError,
        (
            "Model.test_on_batch: `compile()` must be called before. Received: model "
            "'net', which is not compiled"
        ),
    ),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=place)
def test_a_mistake_raises_its_whole_message(mistake):
    assert raised_by(mistake) == (mistake.error, mistake.message)


@pytest.mark.keras
def test_real_keras_raises_the_same_types():
    assert other_types(MISTAKES, pytest.importorskip("keras")) == []
