"""Activations as layers."""

from __future__ import annotations

from numbers import Real

from kerasmirror import activations, constraints, initializers, ops, regularizers
from kerasmirror._export import export
from kerasmirror.core import dtypes
from kerasmirror.layers.input_spec import InputSpec
from kerasmirror.layers.layer import Layer


class _Elementwise(Layer):
    """A layer whose output has its input's shape, and whose mask passes through."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self._build_at_init()

    def compute_output_shape(self, input_shape):
        return input_shape


@export("layers.Activation")
class Activation(_Elementwise):
    """`activation(inputs)`: a name of `keras.activations`, or any function such as `ops.sin`.

    Source: Keras 3.15 `keras.layers.Activation`.
    """

    def __init__(self, activation, **kwargs):
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, inputs):
        return self.activation(inputs)


def _at_least_zero(value, name, owner, what):
    """`value`, which must be a number of at least 0; `what` says in words whose it is."""
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not number or not value >= 0:
        raise ValueError(
            f"{owner}: {what} and must be a number of at least 0. Received: {name}={value!r}"
        )
    return value


@export("layers.ReLU")
class ReLU(_Elementwise):
    """`min(x, max_value)` where `x >= threshold`, `negative_slope * (x - threshold)` below.

    Raises: ValueError for negative arguments.
    Source: Keras 3.15 `keras.layers.ReLU`.
    """

    def __init__(self, max_value=None, negative_slope=0.0, threshold=0.0, **kwargs):
        super().__init__(**kwargs)
        if max_value is not None:
            what = "max_value of a ReLU layer cannot be a negative value"
            _at_least_zero(max_value, "max_value", "ReLU", what)
        self.max_value = max_value
        what = "of a ReLU layer cannot be None or a negative value"
        self.negative_slope = _at_least_zero(
            negative_slope, "negative_slope", "ReLU", f"negative_slope {what}"
        )
        self.threshold = _at_least_zero(threshold, "threshold", "ReLU", f"threshold {what}")

    def call(self, inputs):
        return activations.relu(
            inputs,
            negative_slope=self.negative_slope,
            max_value=self.max_value,
            threshold=self.threshold,
        )


@export("layers.LeakyReLU")
class LeakyReLU(_Elementwise):
    """`x` where positive, `negative_slope * x` elsewhere.

    Raises: ValueError for a `negative_slope` of None or below 0.
    Source: Keras 3.15 `keras.layers.LeakyReLU`.
    """

    def __init__(self, negative_slope=0.3, **kwargs):
        if "alpha" in kwargs:
            negative_slope = kwargs.pop("alpha")
        super().__init__(**kwargs)
        what = "The negative_slope value of a Leaky ReLU layer cannot be None or negative"
        self.negative_slope = _at_least_zero(negative_slope, "negative_slope", "LeakyReLU", what)

    def call(self, inputs):
        return activations.leaky_relu(inputs, negative_slope=self.negative_slope)


@export("layers.ELU")
class ELU(_Elementwise):
    """`x` where positive, `alpha * (exp(x) - 1)` elsewhere.

    Source: Clevert et al. 2016, https://arxiv.org/abs/1511.07289; Keras 3.15 `keras.layers.ELU`.
    """

    def __init__(self, alpha=1.0, **kwargs):
        super().__init__(**kwargs)
        self.alpha = alpha

    def call(self, inputs):
        return activations.elu(inputs, alpha=self.alpha)


@export("layers.PReLU")
class PReLU(_Elementwise):
    """`x` where positive, `alpha * x` elsewhere, with a learned alpha of the input's shape.

    `shared_axes` are those along which one alpha serves all positions.
    Source: He et al. 2015, https://arxiv.org/abs/1502.01852; Keras 3.15 `keras.layers.PReLU`.
    """

    def __init__(
        self,
        alpha_initializer="Zeros",
        alpha_regularizer=None,
        alpha_constraint=None,
        shared_axes=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.alpha_constraint = constraints.get(alpha_constraint)
        if shared_axes is not None and not isinstance(shared_axes, (list, tuple)):
            shared_axes = [shared_axes]
        self.shared_axes = None if shared_axes is None else list(shared_axes)

    def build(self, input_shape):
        shape = list(input_shape[1:])
        for axis in self.shared_axes or []:
            if not 1 <= axis <= len(shape):
                raise IndexError(
                    "PReLU: `shared_axes` must be axes of the input behind the batch axis. "
                    f"Received: shared_axes={self.shared_axes}, inputs of shape "
                    f"{tuple(input_shape)}"
                )
            shape[axis - 1] = 1
        self.alpha = self.add_weight(
            shape=shape,
            name="alpha",
            initializer=self.alpha_initializer,
            regularizer=self.alpha_regularizer,
            constraint=self.alpha_constraint,
        )
        shared = self.shared_axes or []
        axes = {i: n for i, n in enumerate(input_shape) if i > 0 and i not in shared}
        self.input_spec = InputSpec(ndim=len(input_shape), axes=axes)

    def call(self, inputs):
        negative = ops.multiply(ops.negative(self.alpha), activations.relu(ops.negative(inputs)))
        return ops.add(activations.relu(inputs), negative)


@export("layers.Softmax")
class Softmax(_Elementwise):
    """`exp(x) / sum(exp(x))` along `axis`; where `mask` is false, the result is 0.

    Raises: ValueError for a mask that does not broadcast to the input.
    Source: Keras 3.15 `keras.layers.Softmax`.
    """

    def __init__(self, axis=-1, **kwargs):
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs, mask=None):
        if mask is None:
            return self._softmax(inputs)
        if dtypes.standardize_dtype(mask.dtype) != "bool":
            mask = ops.greater(mask, 0.5)
        sizes = zip(reversed(mask.shape), reversed(inputs.shape), strict=False)
        if len(mask.shape) > len(inputs.shape) or any(
            m not in (1, n) for m, n in sizes if None not in (m, n)
        ):
            raise ValueError(
                "Softmax: `mask` must be broadcastable to `inputs`, and must not have more "
                "dimensions. "
                f"Received: mask.shape={tuple(mask.shape)}, inputs.shape={tuple(inputs.shape)}"
            )
        lowest = -3e4 if inputs.dtype == "float16" else -1e9
        outputs = self._softmax(ops.where(mask, inputs, lowest))
        return ops.where(mask, outputs, 0.0)

    def _softmax(self, inputs):
        if isinstance(self.axis, (list, tuple)):
            if len(self.axis) > 1:
                total = ops.logsumexp(inputs, axis=tuple(self.axis), keepdims=True)
                return ops.exp(ops.subtract(inputs, total))
            return activations.softmax(inputs, axis=self.axis[0])
        return activations.softmax(inputs, axis=self.axis)
