"""BatchNormalization."""

from __future__ import annotations

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.core import checks, dtypes
from kerasmirror.core.device import kernels_at
from kerasmirror.core.symbolic import KerasTensor
from kerasmirror.core.tensor import Tensor
from kerasmirror.layers.input_spec import InputSpec
from kerasmirror.layers.layer import Layer
from kerasmirror.layers.normalization.axes import checked_epsilon
from kerasmirror.layers.weight_options import add_weight_with_options, keep_weight_options
from kerasmirror.ops.nn.normalization import batch_norm_train


@export("layers.BatchNormalization")
class BatchNormalization(Layer):
    """`gamma * (x - mean) / sqrt(var + epsilon) + beta` for each channel.

    In training (and while `trainable`) mean and var are the batch's, and the moving ones follow:
    `moving = momentum * moving + (1 - momentum) * batch`; otherwise they are the moving ones.
    Shapes: gamma, beta, moving_mean, moving_variance (C,) with C the size of `axis`.
    With a `mask`, masked steps do not count in the statistics.
    `synchronized` means over all replicas; there is one.
    Raises: ValueError for a momentum outside [0, 1] or an axis the input does not have.
    Source: Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167, Algorithms 1 and 2; Keras
    3.15 `keras.layers.BatchNormalization`, without batch renormalization.
    """

    def __init__(
        self,
        axis=-1,
        momentum=0.99,
        epsilon=1e-3,
        center=True,
        scale=True,
        beta_initializer="zeros",
        gamma_initializer="ones",
        moving_mean_initializer="zeros",
        moving_variance_initializer="ones",
        beta_regularizer=None,
        gamma_regularizer=None,
        beta_constraint=None,
        gamma_constraint=None,
        renorm=False,
        renorm_clipping=None,
        renorm_momentum=0.99,
        synchronized=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if renorm or renorm_clipping:
            raise NotImplementedError(
                "BatchNormalization: `renorm` must be False, kerasmirror does not have batch "
                f"renormalization yet. Received: renorm={renorm}, renorm_clipping={renorm_clipping}"
            )
        try:
            self.axis = int(axis)
        except (TypeError, ValueError) as error:
            checks.fail("BatchNormalization", "axis", "an int", axis, type(error))
        self.momentum = checks.real_in(
            momentum,
            0,
            1,
            "momentum",
            owner="BatchNormalization",
            expected="a number between 0 and 1",
            wrong_type=TypeError if momentum is None else ValueError,
        )
        self.epsilon = checked_epsilon(epsilon, "BatchNormalization")
        self.center = center
        self.scale = scale
        keep_weight_options(
            self,
            beta=(beta_initializer, beta_regularizer, beta_constraint),
            gamma=(gamma_initializer, gamma_regularizer, gamma_constraint),
            moving_mean=(moving_mean_initializer,),
            moving_variance=(moving_variance_initializer,),
        )
        self.renorm = False
        self.renorm_clipping = None
        self.renorm_momentum = renorm_momentum
        self.synchronized = synchronized
        self.supports_masking = True
        self.gamma = None
        self.beta = None

    def build(self, input_shape):
        rank = len(input_shape)
        if not -rank <= self.axis < rank:
            raise IndexError(
                f"BatchNormalization: `axis` must be an axis of the input of shape "
                f"{tuple(input_shape)}. Received: axis={self.axis}"
            )
        shape = (input_shape[self.axis],)
        if self.scale:
            self.gamma = add_weight_with_options(self, "gamma", shape, autocast=False)
        if self.center:
            self.beta = add_weight_with_options(self, "beta", shape, autocast=False)
        for name in ("moving_mean", "moving_variance"):
            variable = add_weight_with_options(self, name, shape, trainable=False, autocast=False)
            setattr(self, name, variable)
        self._positive_axis = self.axis % rank
        self._other_axes = tuple(i for i in range(rank) if i != self._positive_axis)
        self.input_spec = InputSpec(ndim=rank, axes={self._positive_axis: shape[0]})

    def call(self, inputs, training=None, mask=None):
        dtype = dtypes.result_type(inputs.dtype, "float32")  # half precision overflows in squares
        x = ops.cast(inputs, dtype) if inputs.dtype != dtype else inputs
        if not (training and self._trainable):
            outputs = self._transform(x, self.moving_mean, self.moving_variance)
        elif mask is None and self._positive_axis == len(x.shape) - 1:
            outputs, mean, variance = batch_norm_train(
                x, self.gamma, self.beta, epsilon=float(self.epsilon)
            )
            self._follow(mean, variance)
        else:
            mean, variance = self._moments(x, mask)
            self._follow(mean, variance)
            outputs = self._transform(x, mean, variance)
        if outputs.dtype == self.compute_dtype:
            return outputs
        return ops.cast(outputs, self.compute_dtype)

    def _transform(self, x, mean, variance):
        return ops.batch_normalization(
            x,
            mean,
            variance,
            axis=self._positive_axis,
            offset=self.beta,
            scale=self.gamma,
            epsilon=self.epsilon,
        )

    def _follow(self, mean, variance):
        if isinstance(mean, KerasTensor):
            return
        k = kernels_at(mean.data)
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            value = k.moving_average(moving.value.data, batch.data, self.momentum)
            moving.assign(Tensor(value))
            if k.is_recording():
                k.overwrite(moving.data, value)  # for the program: `assign` is none of its steps

    def _moments(self, x, mask):
        if mask is None:
            return ops.moments(x, axes=self._other_axes)
        if len(mask.shape) != len(x.shape) - 1:
            raise ValueError(
                "BatchNormalization: `mask` must have one axis fewer than the input. "
                f"Received: mask.shape={tuple(mask.shape)}, inputs.shape={tuple(x.shape)}"
            )
        # Weighted by 1 and 0; epsilon keeps a batch with nothing in it finite, as in Keras.
        weight = ops.cast(ops.broadcast_to(ops.expand_dims(mask, -1), x.shape), x.dtype)
        total = ops.add(ops.sum(weight, self._other_axes, keepdims=True), 1e-7)
        mean = ops.divide(ops.sum(ops.multiply(weight, x), self._other_axes, keepdims=True), total)
        squares = ops.multiply(weight, ops.square(ops.subtract(x, mean)))
        variance = ops.divide(ops.sum(squares, self._other_axes, keepdims=True), total)
        return ops.reshape(mean, (-1,)), ops.reshape(variance, (-1,))

    def compute_output_shape(self, input_shape):
        return input_shape
