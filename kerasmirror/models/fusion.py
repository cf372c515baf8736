"""Fusion: adjacent layers that run as one operation, found once for each structure of a model.

    [Conv (linear or relu)] MaxPooling [Dropout] [Flatten]
    Conv or Dense (relu) Dropout [Flatten behind a Conv]
    Conv or Dense (linear) BatchNormalization [relu] [MaxPooling] [Dropout] [Flatten behind a Conv]

relu is the layer's activation or an Activation or ReLU layer behind a linear one. In training the
normalization is an operation of its own, with relu; in prediction it becomes part of the weights
before it, where they are fewer than the values it would pass over. Layers are left
as they are unless their type is exactly one of these, in channels last, computing and keeping
weights in one of float32 and float64, without activity regularizer, LoRA and quantization, and
without a `call` of the instance's own; and in a single run, where a mask comes in or something is
not as it should be: then each layer is called, and says so itself.
`kerasmirror.config.fusion(False)` turns all of it off.
"""

from __future__ import annotations

import math

from kerasmirror import activations, ops, random
from kerasmirror.autodiff.tape import ACTIVE
from kerasmirror.core import config, scopes
from kerasmirror.core.tensor import Tensor
from kerasmirror.core.tracking import CHANGES
from kerasmirror.layers.activation import Activation, ReLU
from kerasmirror.layers.call_spec import OPEN_CALLS
from kerasmirror.layers.convolutional.conv import Conv1D, Conv2D
from kerasmirror.layers.core.dense import Dense
from kerasmirror.layers.input_spec import check_inputs
from kerasmirror.layers.normalization.batch import BatchNormalization
from kerasmirror.layers.pooling import MaxPooling1D, MaxPooling2D
from kerasmirror.layers.regularization import Dropout
from kerasmirror.layers.reshaping import Flatten
from kerasmirror.ops.nn.conv import conv2d_bias_activation
from kerasmirror.ops.nn.dense import affine
from kerasmirror.ops.nn.fused import (
    LARGEST_WINDOW,
    affine_relu_dropout,
    batch_norm_weights,
    conv2d_pool_dropout,
    max_pool_dropout,
)
from kerasmirror.ops.nn.normalization import batch_norm_train
from kerasmirror.ops.nn.pool import pool_geometry

_CONVS = {Conv2D: MaxPooling2D, Conv1D: MaxPooling1D}
_POOLS = (MaxPooling2D, MaxPooling1D)
_CLASSES = (
    *_CONVS,
    Dense,
    BatchNormalization,
    Activation,
    ReLU,
    *_POOLS,
    Dropout,
    Flatten,
)
# A `call` that somebody puts into a class later is not what the operations here compute.
_CALLS = {cls: (cls.__call__, cls.call) for cls in _CLASSES}
_DTYPES = ("float32", "float64")


class Plan:
    """The groups among a model's layers, made when first asked for and after each change."""

    def __init__(self, find):
        self._find = find
        self._made = None, None  # what CHANGES was before, the parts

    def __deepcopy__(self, memo):
        return Plan(self._find)

    def __reduce__(self):
        return Plan, (self._find,)

    def parts(self, owner):
        """What `find(owner)` gave for the owner as it is."""
        made = self._made
        if made[0] != CHANGES[0]:
            stamp = CHANGES[0]
            made = self._made = stamp, self._find(owner)
        return made[1]


def groups_of_stack(model):
    """[(group or None, its layers)] of a Sequential's layers."""
    parts, i, layers = [], 0, model.layers
    while i < len(layers):
        group = group_at(layers[i:])
        count = 1 if group is None else len(group.layers)
        parts.append((group, layers[i : i + count]))
        i += count
    return parts


def group_at(layers):
    """The Group that the first of `layers` and those behind it make, or None."""
    usable = 0
    while usable < len(layers) and _is_usable(layers[usable], layers[0]):
        usable += 1
    rest = list(layers[:usable])
    if not rest:
        return None
    group = Group()
    head = rest[0] if type(rest[0]) in _CONVS or type(rest[0]) is Dense else None
    relu = False
    if head is not None:
        activation = activations.fusable(head.activation)
        if activation is None or (head.__dict__.get("data_format") == "channels_first"):
            return None
        group.take(rest, "head")
        relu = activation == "relu"
        if not relu and rest and _is_norm(rest[0]):
            group.take(rest, "norm")
        if not relu and rest and _is_relu(rest[0]):
            group.take(rest, "activation")
            relu = True
    group.relu = relu
    if rest and _is_pooling(rest[0], head):
        group.take(rest, "pool")
    if rest and (relu or group.pool) and _is_dropout(rest[0]):
        group.take(rest, "dropout")
    gain = group.norm or group.pool or group.dropout or group.activation
    if gain and rest and type(rest[0]) is Flatten and type(head) is not Dense:
        if rest[0].data_format == "channels_last":
            group.take(rest, "flatten")
    return group if gain else None


def _is_usable(layer, first):
    if type(layer) not in _CALLS or "call" in layer.__dict__ or not layer.built:
        return False
    policy = layer._policy
    dtype = first._policy.compute_dtype
    return (
        layer._called
        and policy.compute_dtype == policy.variable_dtype == dtype
        and dtype in _DTYPES
        and policy.quantization_mode is None
        and layer.activity_regularizer is None
        and not layer._losses
        and not layer.__dict__.get("lora_enabled")
    )


def _is_relu(layer):
    if type(layer) is ReLU:
        return layer.max_value is None and layer.negative_slope == 0 and layer.threshold == 0
    return type(layer) is Activation and activations.fusable(layer.activation) == "relu"


def _is_norm(layer):
    return type(layer) is BatchNormalization and layer._positive_axis == layer._input_spec.ndim - 1


def _is_pooling(layer, head):
    if type(layer) not in _POOLS or layer.data_format != "channels_last":
        return False
    if math.prod(layer.pool_size) > LARGEST_WINDOW:
        return False
    return head is None or _CONVS.get(type(head)) is type(layer)


def _is_dropout(layer):
    return type(layer) is Dropout and layer.noise_shape is None and 0 <= layer.rate < 1


class Group:
    """Layers that run as one operation."""

    def __init__(self):
        self.layers = []
        self.head = self.norm = self.activation = self.pool = self.dropout = self.flatten = None
        self.relu = False
        self._calls = []
        self._settled = {}

    def take(self, rest, role):
        """Make the first of `rest` the group's layer for `role`."""
        layer = rest.pop(0)
        setattr(self, role, layer)
        self.layers.append(layer)
        self._calls.append((type(layer), *_CALLS[type(layer)]))

    def run(self, x, training):
        """What the layers give for `x`, or None where they have to be called one by one."""
        if not config._FUSION or type(x) is not Tensor or getattr(x, "mask", None) is not None:
            return None
        for cls, dunder, call in self._calls:
            if cls.__call__ is not dunder or cls.call is not call:
                return None
        first = self.layers[0]
        if x.dtype != first._policy.compute_dtype or scopes.autocast_dtype() is not None:
            return None
        settled = self._settled.get(x.shape)
        if settled is None:
            try:
                settled = self._settle(x)
            except ValueError:
                return None  # the layer whose mistake it is will say so
            self._settled[x.shape] = settled
        if training is None:
            training = OPEN_CALLS.values.get("training")
        keep = ACTIVE.tape is not None
        if keep and ACTIVE.tape.nested:
            return None  # there are no second derivatives of several layers in one
        if self.norm is None:
            kernel, bias = (None, None) if self.head is None else (self.head.kernel, self.head.bias)
            return self._run(x, kernel, bias, settled, self._drawn(training, keep))
        if training and self.norm._trainable:
            return self._run_and_normalize(x, settled, training, keep)
        if keep or not self._folds(x, settled):
            return None
        kernel, bias = self._normalized_weights()
        return self._run(x, kernel, bias, settled, self._drawn(training, keep))

    def _drawn(self, training, keep):
        """The options of an operation that has dropout in it."""
        dropout = self.dropout
        if not training or dropout is None or not dropout.rate > 0:
            return {"keep": keep}
        pair = random.seed_pair(dropout.seed_generator)
        return {"keep": keep, "pair": pair, "rate": float(dropout.rate)}

    def _run(self, x, kernel, bias, settled, options):
        if self.head is None:
            return max_pool_dropout(x, **settled, **options)
        if type(self.head) is not Dense:
            return conv2d_pool_dropout(x, kernel, bias, **settled, **options)
        if "rate" not in options:
            return affine(x, kernel, bias, activation="relu" if self.relu else "linear")
        return affine_relu_dropout(x, kernel, bias, **options)

    def _folds(self, x, settled):
        """Whether the weights are fewer than the values of the normalization's input."""
        values = x.data.size // x.shape[-1]
        if "geometry" in settled:
            values = x.shape[0] * math.prod(settled["geometry"].out_size)
        return self.head.kernel.data.size <= values * self.head.kernel.shape[-1]

    def _normalized_weights(self):
        norm, head = self.norm, self.head
        statistics = norm.moving_mean, norm.moving_variance
        return batch_norm_weights(
            head.kernel, head.bias, *statistics, norm.gamma, norm.beta, epsilon=float(norm.epsilon)
        )

    def _run_and_normalize(self, x, settled, training, keep):
        """The layers in training: batch normalization and relu are one operation."""
        norm, head = self.norm, self.head
        if type(head) is Dense:
            y = affine(x, head.kernel, head.bias)
        else:
            y = conv2d_bias_activation(x, head.kernel, head.bias, geometry=settled["geometry"])
        y, mean, variance = batch_norm_train(
            y, norm.gamma, norm.beta, epsilon=float(norm.epsilon), relu=self.relu
        )
        norm._follow(mean, variance)
        if self.pool is not None:
            options = {"pool": settled["pool"], "flat": settled["flat"]}
            return max_pool_dropout(y, **options, **self._drawn(training, keep))
        if self.dropout is not None and self.dropout.rate > 0:
            y = random.dropout(y, self.dropout.rate, seed=self.dropout.seed_generator)
        return y if self.flatten is None else ops.reshape(y, (y.shape[0], -1))

    def _settle(self, x):
        """What the operation needs to know beside the layers' weights for inputs of this shape.

        Raises: ValueError where a layer would.
        """
        for layer in (self.layers[0], self.head):
            if layer is not None and layer._input_spec is not None:
                check_inputs(layer._input_spec, x, layer)
        if type(self.head) is Dense:
            return {}
        settled = {"flat": self.flatten is not None}
        shape = x.shape[1:-1]
        if self.head is not None:
            geometry = self.head._geometry(x.shape, self.head.kernel.shape)
            settled |= {"geometry": geometry, "activation": "relu" if self.relu else "linear"}
            shape = geometry.out_size[-len(shape) :]
        if self.pool is not None:
            pool = self.pool
            settled["pool"] = pool_geometry(
                tuple(shape), pool.pool_size, pool.strides, pool.padding, type(pool).__name__
            )
        return settled
