"""What a user can get wrong with layers: the exception's type is Keras's, its text ours, whole."""

from __future__ import annotations

import numpy as np
import pytest
from cases.mistakes import Mistake, ones, other_types, place, raised_by


def called_twice(layer, first, second):
    layer(first)
    layer(second)


def built(layer, shape):
    layer.build(shape)
    return layer


MISTAKES = [
    Mistake(
        lambda keras: keras.layers.Dense(-3),
        ValueError,
        "Dense: `units` must be a positive integer. Received: units=-3",
    ),
    Mistake(
        lambda keras: keras.layers.Dense(0),
        ValueError,
        "Dense: `units` must be a positive integer. Received: units=0",
    ),
    Mistake(
        lambda keras: keras.layers.Dense(2.5),
        ValueError,
        "Dense: `units` must be a positive integer. Received: units=2.5",
    ),
    Mistake(
        lambda keras: keras.layers.Dense("a"),
        ValueError,
        "Dense: `units` must be a positive integer. Received: units='a'",
    ),
    Mistake(
        lambda keras: keras.layers.Dense(None),
        ValueError,
        "Dense: `units` must be a positive integer. Received: units=None",
    ),
    Mistake(
        lambda keras: keras.layers.Dense((3,)),
        ValueError,
        "Dense: `units` must be a positive integer. Received: units=(3,)",
    ),
    Mistake(
        lambda keras: keras.layers.Dense(True),
        ValueError,
        "Dense: `units` must be a positive integer. Received: units=True",
        keras_does="accept",
    ),
    Mistake(
        lambda keras: keras.layers.Dense(3, foo=1),
        ValueError,
        "Dense: the keyword arguments must be ones it knows. Received: foo=1",
    ),
    Mistake(
        lambda keras: keras.layers.Dense(3, dtype="foo"),
        ValueError,
        (
            "DTypePolicy: Cannot convert `name` to dtypes, it must be a dtype, "
            '"mixed_float16" or "mixed_bfloat16". Received: name=\'foo\''
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Dense(3, name=3),
        ValueError,
        "Dense: `name` must be a string without `/`. Received: name=3",
    ),
    Mistake(
        lambda keras: keras.layers.Dense(3, name="a/b"),
        ValueError,
        "Dense: `name` must be a string without `/`. Received: name='a/b'",
    ),
    Mistake(
        lambda keras: keras.layers.Dense(3, trainable="yes"),
        ValueError,
        "Dense: `trainable` must be True or False. Received: trainable='yes'",
    ),
    Mistake(
        lambda keras: keras.layers.Dense(3).enable_lora(2),
        ValueError,
        (
            "Dense.enable_lora: Cannot enable lora on a layer that isn't yet built. "
            "Received: layer 'dense'"
        ),
    ),
    Mistake(
        lambda keras: built(keras.layers.Dense(3, lora_rank=2), (1, 4)).enable_lora(2),
        ValueError,
        (
            "Dense.enable_lora: lora is already enabled, which can be done once. "
            "Received: layer 'dense' with lora_rank=2"
        ),
    ),
    Mistake(
        lambda keras: built(
            keras.layers.Dense(3, lora_rank=2, kernel_constraint="unit_norm"), (1, 4)
        ),
        ValueError,
        (
            "Dense.enable_lora: Lora is incompatible with kernel constraints; the layer must have "
            "no `kernel_constraint`. Received: layer 'dense'"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Dense(3, bias_initializer=3),
        ValueError,
        (
            "keras.initializers.get: `identifier` must be a name, a config dict, a "
            "callable or an initializer. Received: identifier=3"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Dense(3, kernel_regularizer=0.1),
        ValueError,
        (
            "keras.regularizers.get: `identifier` must be a name, a config dict, a "
            "callable or a regularizer. Received: identifier=0.1"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Dense(3, kernel_constraint=0.1),
        ValueError,
        (
            "keras.constraints.get: `identifier` must be a name, a config dict, a "
            "callable or a constraint. Received: identifier=0.1"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Dense(2)(),
        TypeError,
        (
            "Dense: the arguments must fit call(inputs, training=None): missing a "
            "required argument: 'inputs'."
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Dense(2)(ones(2, 3), ones(2, 3)),
        TypeError,
        (
            "Dense: `training` must be True, False or None. Received: a positional "
            "argument of type <class 'numpy.ndarray'> in its place in call(inputs, "
            "training=None)"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Dense(2)(ones(2, 3), True),
        ValueError,
        (
            "Dense: positional arguments of a layer call must be tensors; pass others by "
            "keyword. Received: True (<class 'bool'>)"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Dense(2)(ones(2, 3), foo=1),
        TypeError,
        (
            "Dense: the arguments must fit call(inputs, training=None): got an "
            "unexpected keyword argument 'foo'."
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Dense(2)(foo=ones(2, 3)),
        TypeError,
        (
            "Dense: the arguments must fit call(inputs, training=None): missing a "
            "required argument: 'inputs'."
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Dense(2)("abc"),
        ValueError,
        (
            "Dense: positional arguments of a layer call must be tensors; pass others by "
            "keyword. Received: 'abc' (<class 'str'>)"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Dense(2)([[1.0, 2.0]]),
        ValueError,
        (
            "Dense: positional arguments of a layer call must be tensors; pass others by "
            "keyword. Received: 1.0 (<class 'float'>)"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Dense(2)(np.array([["a"]])),
        ValueError,
        ("Dense: the inputs must hold numbers. Received: an array of shape (1, 1) and dtype <U1"),
    ),
    Mistake(
        lambda keras: keras.layers.Dense(2)(ones(3)),
        ValueError,
        (
            "Layer 'dense': `inputs` is incompatible with the layer: "
            "it must have at least 2 axes (expected min_ndim=2, "
            "found ndim=1). Received: an input of shape (3,) and dtype float32"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Dense(2, name="d")(ones()),
        ValueError,
        (
            "Layer 'd': `inputs` is incompatible with the layer: "
            "it must have at least 2 axes (expected min_ndim=2, found "
            "ndim=0). Received: an input of shape () and dtype float32"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Dense(2)(ones(2, 3, dtype="complex64")),
        ValueError,
        (
            "Dense: `inputs` must hold real numbers. Received: inputs of shape (2, 3) "
            "and dtype complex64"
        ),
        keras_does="accept",
    ),
    Mistake(
        lambda keras: keras.layers.Dense(2, name="d")([ones(2, 3), ones(2, 3)]),
        ValueError,
        "Layer 'd': `inputs` must be 1 tensor(s). Received: 2 tensor(s)",
    ),
    Mistake(
        lambda keras: keras.layers.Dense(2).build((None, None)),
        ValueError,
        (
            "Dense: `inputs` must have a last axis of known size. Received: inputs of "
            "shape (None, None)"
        ),
    ),
    Mistake(
        lambda keras: called_twice(keras.layers.Dense(2), ones(2, 3), ones(2, 4)),
        ValueError,
        (
            "Layer 'dense': `inputs` is incompatible with the layer: "
            "it must have size 3 on axis -1. Received: an input of "
            "shape (2, 4) and dtype float32"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Conv2D(0, 3),
        ValueError,
        "Conv2D: `filters` must be a positive integer. Received: filters=0",
    ),
    Mistake(
        lambda keras: keras.layers.Conv2D(-1, 3),
        ValueError,
        "Conv2D: `filters` must be a positive integer. Received: filters=-1",
    ),
    Mistake(
        lambda keras: keras.layers.Conv2D(2.5, 3),
        ValueError,
        "Conv2D: `filters` must be a positive integer. Received: filters=2.5",
    ),
    Mistake(
        lambda keras: keras.layers.Conv2D(True, 3),
        ValueError,
        "Conv2D: `filters` must be a positive integer. Received: filters=True",
        keras_does="accept",
    ),
    Mistake(
        lambda keras: keras.layers.Conv2D(4, 0),
        ValueError,
        (
            "Conv2D: `kernel_size` must be one int or 2 ints, each at least 1. Received: "
            "kernel_size=0"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Conv2D(4, -1),
        ValueError,
        (
            "Conv2D: `kernel_size` must be one int or 2 ints, each at least 1. Received: "
            "kernel_size=-1"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Conv2D(4, 2.5),
        ValueError,
        (
            "Conv2D: `kernel_size` must be one int or 2 ints, each at least 1. Received: "
            "kernel_size=2.5"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Conv2D(4, "3"),
        ValueError,
        (
            "Conv2D: `kernel_size` must be one int or 2 ints, each at least 1. Received: "
            "kernel_size='3'"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Conv2D(4, True),
        ValueError,
        (
            "Conv2D: `kernel_size` must be one int or 2 ints, each at least 1. Received: "
            "kernel_size=True"
        ),
        keras_does="accept",
    ),
    Mistake(
        lambda keras: keras.layers.Conv2D(4, None),
        ValueError,
        (
            "Conv2D: `kernel_size` must be one int or 2 ints, each at least 1. Received: "
            "kernel_size=None"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Conv2D(4, (3, 3, 3)),
        ValueError,
        (
            "Conv2D: `kernel_size` must be one int or 2 ints, each at least 1. Received: "
            "kernel_size=(3, 3, 3)"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Conv2D(4, (0, 3)),
        ValueError,
        (
            "Conv2D: `kernel_size` must be one int or 2 ints, each at least 1. Received: "
            "kernel_size=(0, 3)"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Conv2D(4, 3, strides=0),
        ValueError,
        ("Conv2D: `strides` must be one int or 2 ints, each at least 1. Received: strides=0"),
    ),
    Mistake(
        lambda keras: keras.layers.Conv2D(4, 3, strides=1.5),
        ValueError,
        ("Conv2D: `strides` must be one int or 2 ints, each at least 1. Received: strides=1.5"),
    ),
    Mistake(
        lambda keras: keras.layers.Conv2D(4, 3, strides=(1, 2, 3)),
        ValueError,
        (
            "Conv2D: `strides` must be one int or 2 ints, each at least 1. Received: "
            "strides=(1, 2, 3)"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Conv2D(4, 3, dilation_rate=0),
        ValueError,
        (
            "Conv2D: `dilation_rate` must be one int or 2 ints, each at least 1. "
            "Received: dilation_rate=0"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Conv2D(4, 3, dilation_rate="a"),
        ValueError,
        (
            "Conv2D: `dilation_rate` must be one int or 2 ints, each at least 1. "
            "Received: dilation_rate='a'"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Conv2D(4, 3, strides=2, dilation_rate=2),
        ValueError,
        (
            "Conv2D: `strides` must be 1 where `dilation_rate` is above 1. Received: "
            "strides=(2, 2), dilation_rate=(2, 2)"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Conv2D(4, 3, groups=0),
        ValueError,
        "Conv2D: `groups` must be a positive integer. Received: groups=0",
    ),
    Mistake(
        lambda keras: keras.layers.Conv2D(4, 3, groups=1.5),
        ValueError,
        "Conv2D: `groups` must be a positive integer. Received: groups=1.5",
    ),
    Mistake(
        lambda keras: keras.layers.Conv2D(4, 3, groups=3),
        ValueError,
        ("Conv2D: `filters` must be divisible by `groups`. Received: filters=4, groups=3"),
    ),
    Mistake(
        lambda keras: keras.layers.Conv2D(4, 3, padding="foo"),
        ValueError,
        'Conv2D: `padding` must be "valid" or "same". Received: padding=\'foo\'',
    ),
    Mistake(
        lambda keras: keras.layers.Conv2D(4, 3, padding="causal"),
        ValueError,
        'Conv2D: `padding` must be "valid" or "same". Received: padding=\'causal\'',
    ),
    Mistake(
        lambda keras: keras.layers.Conv2D(4, 3, padding=3),
        ValueError,
        'Conv2D: `padding` must be "valid" or "same". Received: padding=3',
        keras_does="AttributeError",
    ),
    Mistake(
        lambda keras: keras.layers.Conv2D(4, 3, data_format="foo"),
        ValueError,
        (
            'Conv2D: `data_format` must be "channels_first" or "channels_last". '
            "Received: data_format='foo'"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Conv1D(4, (3, 3)),
        ValueError,
        ("Conv1D: `kernel_size` must be one int at least 1. Received: kernel_size=(3, 3)"),
    ),
    Mistake(
        lambda keras: keras.layers.Conv1D(4, 3, padding="foo"),
        ValueError,
        ('Conv1D: `padding` must be "valid" or "same" or "causal". Received: padding=\'foo\''),
    ),
    Mistake(
        lambda keras: keras.layers.Conv2D(4, 3)(ones(3, 3)),
        ValueError,
        (
            "Layer 'conv2d': `inputs` is incompatible with the layer: "
            "it must have 4 axes (expected ndim=4, found ndim=2). "
            "Received: an input of shape (3, 3) and dtype float32"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Conv2D(4, 3)(ones(5, 5, 3)),
        ValueError,
        (
            "Layer 'conv2d': `inputs` is incompatible with the layer: "
            "it must have 4 axes (expected ndim=4, found ndim=3). "
            "Received: an input of shape (5, 5, 3) and dtype float32"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Conv2D(4, 3, groups=2)(ones(1, 5, 5, 3)),
        ValueError,
        (
            "Conv2D: `groups` must divide the number of input channels. Received: "
            "groups=2, inputs of shape (1, 5, 5, 3) with 3 channels"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Conv2D(4, 9)(ones(1, 5, 5, 3)),
        ValueError,
        (
            "Conv2D: `inputs` must be at least as large as the dilated window. Received: "
            "inputs.shape=(1, 5, 5, 3), kernel.shape=(9, 9, 3, 4), dilation_rate=(1, 1), "
            "padding='valid'"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Conv2D(4, 3)(ones(1, 5, 5, 0)),
        ValueError,
        (
            "Conv2D: input channels must match the kernel's, 0, or be a multiple (the "
            "groups) that divides the 4 filters. Received: inputs.shape=(1, 5, 5, 0), "
            "kernel.shape=(3, 3, 0, 4)"
        ),
        keras_does="InvalidArgumentError",
    ),
    Mistake(
        lambda keras: keras.layers.Conv2D(4, 3).build((None, 5, 5, None)),
        ValueError,
        (
            "Conv2D: `inputs` must have a known number of channels. Received: inputs of "
            "shape (None, 5, 5, None)"
        ),
        keras_does="TypeError",
    ),
    Mistake(
        lambda keras: called_twice(keras.layers.Conv2D(2, 2), ones(1, 3, 3, 3), ones(1, 3, 3, 4)),
        ValueError,
        (
            "Layer 'conv2d': `inputs` is incompatible with the layer: "
            "it must have size 3 on axis -1. Received: an input of "
            "shape (1, 3, 3, 4) and dtype float32"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.MaxPooling2D(0),
        ValueError,
        (
            "MaxPooling2D: `pool_size` must be one int or 2 ints, each at least 1. "
            "Received: pool_size=0"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.MaxPooling2D("a"),
        ValueError,
        (
            "MaxPooling2D: `pool_size` must be one int or 2 ints, each at least 1. "
            "Received: pool_size='a'"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.MaxPooling2D((2, 2, 2)),
        ValueError,
        (
            "MaxPooling2D: `pool_size` must be one int or 2 ints, each at least 1. "
            "Received: pool_size=(2, 2, 2)"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.MaxPooling2D(2, strides=-1),
        ValueError,
        (
            "MaxPooling2D: `strides` must be one int or 2 ints, each at least 1. "
            "Received: strides=-1"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.MaxPooling2D(2, padding="x"),
        ValueError,
        'MaxPooling2D: `padding` must be "valid" or "same". Received: padding=\'x\'',
        keras_does="accept",
    ),
    Mistake(
        lambda keras: keras.layers.MaxPooling2D(2, data_format="x"),
        ValueError,
        (
            'MaxPooling2D: `data_format` must be "channels_first" or "channels_last". '
            "Received: data_format='x'"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.MaxPooling2D()(ones(3, 3)),
        ValueError,
        (
            "Layer 'max_pooling2d': `inputs` is incompatible with the layer: "
            "it must have 4 axes (expected ndim=4, found "
            "ndim=2). Received: an input of shape (3, 3) and dtype float32"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.AveragePooling1D((2, 2)),
        ValueError,
        ("AveragePooling1D: `pool_size` must be one int at least 1. Received: pool_size=(2, 2)"),
    ),
    Mistake(
        lambda keras: keras.layers.GlobalMaxPooling2D(data_format="x"),
        ValueError,
        (
            'GlobalMaxPooling2D: `data_format` must be "channels_first" or '
            "\"channels_last\". Received: data_format='x'"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.GlobalMaxPooling2D()(ones(3, 3)),
        ValueError,
        (
            "Layer 'global_max_pooling2d': `inputs` is incompatible with the layer: "
            "it must have 4 axes (expected ndim=4, "
            "found ndim=2). Received: an input of shape (3, 3) and dtype float32"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Dropout(-0.1),
        ValueError,
        (
            "Dropout: Invalid value received for argument `rate`. Expected a float value "
            "between 0 and 1. Received: rate=-0.1"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Dropout(1.1),
        ValueError,
        (
            "Dropout: Invalid value received for argument `rate`. Expected a float value "
            "between 0 and 1. Received: rate=1.1"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Dropout("a"),
        TypeError,
        (
            "Dropout: Invalid value received for argument `rate`. Expected a float value "
            "between 0 and 1. Received: rate='a'"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Dropout(None),
        TypeError,
        (
            "Dropout: Invalid value received for argument `rate`. Expected a float value "
            "between 0 and 1. Received: rate=None"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Dropout(float("nan")),
        ValueError,
        (
            "Dropout: Invalid value received for argument `rate`. Expected a float value "
            "between 0 and 1. Received: rate=nan"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Dropout(0.5, noise_shape=(0, 1)),
        ValueError,
        (
            "Dropout: Invalid value received for argument `noise_shape`. Expected "
            "all dimensions to be positive integers or None. Received: noise_shape=(0, 1)"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Dropout(0.5, noise_shape="a"),
        ValueError,
        (
            "Dropout: Invalid value received for argument `noise_shape`. Expected "
            "a tuple or list of integers. Received: noise_shape='a'"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Dropout(0.5, seed="a"),
        ValueError,
        "SeedGenerator: Argument `seed` must be an integer or None. Received: seed='a'",
    ),
    Mistake(
        lambda keras: keras.layers.BatchNormalization(axis="a"),
        ValueError,
        "BatchNormalization: `axis` must be an int. Received: axis='a'",
    ),
    Mistake(
        lambda keras: keras.layers.BatchNormalization(axis=None),
        TypeError,
        "BatchNormalization: `axis` must be an int. Received: axis=None",
    ),
    Mistake(
        lambda keras: keras.layers.BatchNormalization(axis=(1, 2)),
        TypeError,
        "BatchNormalization: `axis` must be an int. Received: axis=(1, 2)",
    ),
    Mistake(
        lambda keras: keras.layers.BatchNormalization(momentum="a"),
        ValueError,
        ("BatchNormalization: `momentum` must be a number between 0 and 1. Received: momentum='a'"),
    ),
    Mistake(
        lambda keras: keras.layers.BatchNormalization(momentum=None),
        TypeError,
        (
            "BatchNormalization: `momentum` must be a number between 0 and 1. Received: "
            "momentum=None"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.BatchNormalization(momentum=2),
        ValueError,
        ("BatchNormalization: `momentum` must be a number between 0 and 1. Received: momentum=2"),
        keras_does="accept",
    ),
    Mistake(
        lambda keras: keras.layers.BatchNormalization(epsilon=None),
        TypeError,
        ("BatchNormalization: `epsilon` must be a number of at least 0. Received: epsilon=None"),
    ),
    Mistake(
        lambda keras: keras.layers.BatchNormalization(epsilon="a"),
        ValueError,
        ("BatchNormalization: `epsilon` must be a number of at least 0. Received: epsilon='a'"),
    ),
    Mistake(
        lambda keras: keras.layers.BatchNormalization(epsilon=-1),
        ValueError,
        ("BatchNormalization: `epsilon` must be a number of at least 0. Received: epsilon=-1"),
        keras_does="accept",
    ),
    Mistake(
        lambda keras: keras.layers.BatchNormalization(axis=3)(ones(3, 2)),
        IndexError,
        (
            "BatchNormalization: `axis` must be an axis of the input of shape (3, 2). "
            "Received: axis=3"
        ),
    ),
    Mistake(
        lambda keras: called_twice(keras.layers.BatchNormalization(), ones(1, 3, 3, 3), ones(1, 3)),
        ValueError,
        (
            "Layer 'batch_normalization': `inputs` is incompatible with the layer: "
            "it must have 4 axes (expected ndim=4, "
            "found ndim=2). Received: an input of shape (1, 3) and dtype float32"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Flatten(data_format="x"),
        ValueError,
        (
            'Flatten: `data_format` must be "channels_first" or "channels_last". '
            "Received: data_format='x'"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Flatten()(ones()),
        ValueError,
        (
            "Layer 'flatten': `inputs` is incompatible with the layer: "
            "it must have at least 1 axes (expected min_ndim=1, "
            "found ndim=0). Received: an input of shape () and dtype float32"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Reshape((-1, -1)),
        ValueError,
        (
            "Reshape: `target_shape` must have at most one unknown dimension, a -1. "
            "Received: target_shape=(-1, -1)"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Reshape((-2, 3)),
        ValueError,
        (
            "Reshape: `target_shape` must be non-negative integers, or one -1 among them. "
            "Received: target_shape=(-2, 3)"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Reshape("ab"),
        ValueError,
        (
            "Reshape: `target_shape` must be non-negative integers, or one -1 among them. "
            "Received: target_shape=('a', 'b')"
        ),
        keras_does="accept",
    ),
    Mistake(
        lambda keras: keras.layers.Reshape(1.5),
        TypeError,
        (
            "Reshape: `target_shape` must be non-negative integers, or one -1 among them. "
            "Received: target_shape=1.5"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Reshape(None),
        TypeError,
        (
            "Reshape: `target_shape` must be non-negative integers, or one -1 among them. "
            "Received: target_shape=None"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Reshape((2.5,)),
        ValueError,
        (
            "Reshape: `target_shape` must be non-negative integers, or one -1 among them. "
            "Received: target_shape=(2.5,)"
        ),
        keras_does="accept",
    ),
    Mistake(
        lambda keras: keras.layers.Reshape((True,)),
        ValueError,
        (
            "Reshape: `target_shape` must be non-negative integers, or one -1 among them. "
            "Received: target_shape=(True,)"
        ),
        keras_does="accept",
    ),
    Mistake(
        lambda keras: keras.layers.Reshape((3, 5))(ones(2, 4)),
        ValueError,
        (
            "Reshape: `target_shape` must have as many values as the input. Received: "
            "target_shape=(3, 5), inputs of shape (2, 4)"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Reshape((3, -1))(ones(2, 4)),
        ValueError,
        (
            "Reshape: `target_shape` must have as many values as the input. Received: "
            "target_shape=(3, -1), inputs of shape (2, 4)"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.ReLU(max_value=-1),
        ValueError,
        (
            "ReLU: max_value of a ReLU layer cannot be a negative value and must be a number of at "
            "least 0. Received: max_value=-1"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.ReLU(negative_slope=None),
        ValueError,
        (
            "ReLU: negative_slope of a ReLU layer cannot be None or a negative value and must be a "
            "number of at least 0. Received: negative_slope=None"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.ReLU(threshold=-1),
        ValueError,
        (
            "ReLU: threshold of a ReLU layer cannot be None or a negative value and must be a "
            "number of at least 0. Received: threshold=-1"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.LeakyReLU(negative_slope=-1),
        ValueError,
        (
            "LeakyReLU: The negative_slope value of a Leaky ReLU layer cannot be None or negative "
            "and must be a number of at least 0. Received: negative_slope=-1"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.PReLU(shared_axes=[5])(ones(2, 3)),
        IndexError,
        (
            "PReLU: `shared_axes` must be axes of the input behind the batch axis. "
            "Received: shared_axes=[5], inputs of shape (2, 3)"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Softmax(axis=2)(ones(2, 3)),
        ValueError,
        (
            "ops.softmax: `axis` must be within [-2, 2) for an input with 2 axes, "
            "axis 2 is out of bounds. Received: axis=2"
        ),
        keras_does="InvalidArgumentError",
    ),
    Mistake(
        lambda keras: keras.layers.Normalization(mean=1.0),
        ValueError,
        (
            "Normalization: `mean` and `variance` must be given together. Received: "
            "mean=1.0, variance=None"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Normalization(mean=[1.0, 2.0], variance=[1.0]),
        ValueError,
        (
            "Normalization: `mean` and `variance` must have the same shape. Received: "
            "shapes (2,) and (1,)"
        ),
    ),
    Mistake(
        lambda keras: keras.Input(),
        ValueError,
        "Input: you must pass a `shape` argument. Received: shape=None",
    ),
    Mistake(
        lambda keras: keras.Input(3),
        ValueError,
        ("Input: `shape` must be a tuple of ints and Nones, like (3,). Received: shape=3"),
    ),
    Mistake(
        lambda keras: keras.Input((3,), batch_shape=(1, 3)),
        ValueError,
        (
            "Input: you cannot pass both `shape` and `batch_shape`. Received: "
            "shape=(3,), batch_shape=(1, 3)"
        ),
    ),
    Mistake(
        lambda keras: keras.Input(batch_shape=(1, 3), batch_size=4),
        ValueError,
        (
            "Input: you cannot pass both `batch_size` and `batch_shape`, which has it. Received: "
            "batch_size=4, batch_shape=(1, 3)"
        ),
    ),
    Mistake(
        lambda keras: keras.Input((-1,)),
        ValueError,
        (
            "Input: `shape` must hold ints of at least 0, or None. Received: "
            "shape=(-1,), whose entry -1 is not"
        ),
    ),
    Mistake(
        lambda keras: keras.Input((2.5,)),
        ValueError,
        (
            "Input: `shape` must hold ints of at least 0, or None. Received: "
            "shape=(2.5,), whose entry 2.5 is not"
        ),
    ),
    Mistake(
        lambda keras: keras.Input("a"),
        ValueError,
        (
            "Input: `shape` must hold ints of at least 0, or None. Received: shape='a', "
            "whose entry 'a' is not"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.InputLayer((3,), foo=1),
        ValueError,
        "InputLayer: the keyword arguments must be ones it knows. Received: foo=1",
        keras_does="accept",
    ),
    Mistake(
        lambda keras: keras.layers.InputLayer((3,), sparse=True),
        ValueError,
        (
            "Input: `sparse=True` is not supported, kerasmirror has dense tensors only. "
            "Received: sparse=True"
        ),
        keras_does="accept",
    ),
    Mistake(
        lambda keras: keras.layers.Layer()(ones(2, 3)),
        NotImplementedError,
        "Layer Layer must implement `call()` to be called.",
    ),
    Mistake(
        lambda keras: keras.layers.Layer().add_weight("a", (2,)),
        ValueError,
        ("Layer.add_weight: `name` must be passed by keyword. Received: add_weight('a', ...)"),
    ),
    Mistake(
        lambda keras: keras.layers.Layer().add_weight((None, 2), name="w"),
        ValueError,
        ("keras.Variable: `shape` must be known in full. Received: shape=(None, 2) for 'layer/w'"),
    ),
    Mistake(
        lambda keras: keras.layers.Layer().add_weight((-1, 2)),
        ValueError,
        (
            "keras.Variable: `shape` must hold ints of at least 0, or None. Received: "
            "shape=(-1, 2), whose entry -1 is not"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Layer().add_weight((2,), dtype="foo"),
        ValueError,
        (
            "keras: `dtype` must be one of ['bfloat16', 'bool', 'complex128', "
            "'complex64', 'float16', 'float32', 'float64', 'float8_e4m3fn', "
            "'float8_e5m2', 'int16', 'int32', 'int4', 'int64', 'int8', 'string', "
            "'uint16', 'uint32', 'uint4', 'uint64', 'uint8']. Received: dtype='foo'"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Layer().add_weight((2,), name="a/b"),
        ValueError,
        "keras.Variable: Argument `name` must be a string and cannot contain character `/`. "
        "Received: name='a/b'",
    ),
    Mistake(
        lambda keras: keras.layers.Layer().add_loss("a"),
        ValueError,
        "Layer.add_loss: `loss` must be a scalar tensor. Received: loss='a'",
    ),
    Mistake(
        lambda keras: keras.layers.Dense(2).count_params(),
        ValueError,
        (
            "Dense.count_params: layer 'dense' must be built first, by calling it on "
            "data or by `layer.build(input_shape)`."
        ),
    ),
    Mistake(
        lambda keras: built(keras.layers.Dense(2), (None, 3)).add_weight((2,)),
        ValueError,
        (
            "Layer: all variables and sublayers must be created in `__init__()` or "
            "`build()`. Received: a new one for a layer that is built already: Dense "
            "'dense'"
        ),
    ),
    Mistake(
        lambda keras: setattr(
            built(keras.layers.Dense(2), (None, 3)), "extra", keras.Variable(1.0)
        ),
        ValueError,
        (
            "Layer: all variables and sublayers must be created in `__init__()` or "
            "`build()`. Received: a new one for a layer that is built already: Dense "
            "'dense'"
        ),
    ),
    Mistake(
        lambda keras: setattr(
            built(keras.layers.Dense(2), (None, 3)), "extra", keras.layers.Dense(2)
        ),
        ValueError,
        (
            "Layer: all variables and sublayers must be created in `__init__()` or "
            "`build()`. Received: a new one for a layer that is built already: Dense "
            "'dense'"
        ),
    ),
    Mistake(
        lambda keras: built(keras.layers.Dense(2), (None, 3)).set_weights([ones(3, 2)]),
        ValueError,
        ("Dense.set_weights: `weights` must be 2 arrays for layer 'dense'. Received: 1 arrays"),
    ),
    Mistake(
        lambda keras: built(keras.layers.Dense(2), (None, 3)).set_weights([ones(2, 3), ones(2)]),
        ValueError,
        (
            "Dense.set_weights: the array for 'dense/kernel' must have shape (3, 2). "
            "Received: shape (2, 3)"
        ),
    ),
    Mistake(
        lambda keras: built(keras.layers.Dense(2), (None, 3)).set_weights([ones(3, 2), ones(3)]),
        ValueError,
        (
            "Dense.set_weights: the array for 'dense/bias' must have shape (2,). "
            "Received: shape (3,)"
        ),
    ),
    Mistake(
        lambda keras: built(keras.layers.Dense(2), (None, 3)).set_weights(3),
        TypeError,
        (
            "Dense.set_weights: `weights` must be a list of arrays, as get_weights() "
            "gives it. Received: weights of type <class 'int'>"
        ),
    ),
    Mistake(
        lambda keras: built(keras.layers.Dense(2), (None, 3)).set_weights("ab"),
        TypeError,
        (
            "Dense.set_weights: `weights` must be a list of arrays, as get_weights() "
            "gives it. Received: weights of type <class 'str'>"
        ),
        keras_does="AttributeError",
    ),
    Mistake(
        lambda keras: built(keras.layers.Dense(2), (None, 3)).set_weights(
            [np.full((3, 2), "a"), ones(2)]
        ),
        ValueError,
        (
            "Dense.set_weights: the array for 'dense/kernel' must hold real numbers. "
            "Received: dtype <U1"
        ),
    ),
    Mistake(
        lambda keras: built(keras.layers.Dense(2), (None, 3)).set_weights(
            [ones(3, 2, dtype="complex64"), ones(2)]
        ),
        ValueError,
        (
            "Dense.set_weights: the array for 'dense/kernel' must hold real numbers. "
            "Received: dtype complex64"
        ),
        keras_does="accept",
    ),
    Mistake(
        lambda keras: keras.layers.Dense(2).set_weights([ones(3, 2), ones(2)]),
        ValueError,
        ("Dense.set_weights: `weights` must be 0 arrays for layer 'dense'. Received: 2 arrays"),
    ),
    Mistake(
        lambda keras: keras.InputSpec(axes={"a": 1}),
        TypeError,
        "InputSpec: `axes` must be a dict with int keys. Received: axes={'a': 1}",
    ),
    Mistake(
        lambda keras: keras.InputSpec(ndim=2, axes={3: 1}),
        ValueError,
        "InputSpec: `axes` must be below the rank 2. Received: axes={3: 1}",
    ),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=place)
def test_a_mistake_raises_its_whole_message(mistake):
    assert raised_by(mistake) == (mistake.error, mistake.message)


@pytest.mark.keras
def test_real_keras_raises_the_same_types():
    assert other_types(MISTAKES, pytest.importorskip("keras")) == []
