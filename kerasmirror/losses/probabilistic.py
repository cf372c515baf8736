"""Losses between distributions: cross-entropies, focal ones, Kullback-Leibler, Poisson."""

from __future__ import annotations

import warnings

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.core import checks, config
from kerasmirror.core.tensor import Tensor, set_keras_mask
from kerasmirror.losses.loss import NamedLoss, array_of
from kerasmirror.ops.tensor import to_tensor


def _smoothed(y_true, label_smoothing, share):
    """Targets moved from 0 and 1 by the smoothing: `y * (1 - s) + s * share`."""
    return y_true * (1.0 - label_smoothing) + label_smoothing * share


def _check_classes(owner, y_pred, axis):
    if isinstance(axis, bool):
        checks.fail(owner, "axis", "an int", axis)
    if y_pred.shape[-1] == 1:
        warnings.warn(
            f"In loss {owner}, expected y_pred.shape to be (batch_size, num_classes) with "
            f"num_classes > 1. Received: y_pred.shape={tuple(y_pred.shape)}. Consider using "
            "'binary_crossentropy' if you only have 2 classes.",
            SyntaxWarning,
            stacklevel=3,
        )


@export("losses.binary_crossentropy", "metrics.binary_crossentropy")
def binary_crossentropy(y_true, y_pred, from_logits=False, label_smoothing=0.0, axis=-1):
    """`-mean(y_true * log(p) + (1 - y_true) * log(1 - p))` over `axis`.

    `label_smoothing` moves the targets towards 0.5.
    """
    y_pred = to_tensor(y_pred)
    y_true = to_tensor(y_true, y_pred.dtype)
    if label_smoothing:
        y_true = _smoothed(y_true, label_smoothing, 0.5)
    return ops.mean(ops.binary_crossentropy(y_true, y_pred, from_logits=from_logits), axis=axis)


@export("losses.categorical_crossentropy", "metrics.categorical_crossentropy")
def categorical_crossentropy(y_true, y_pred, from_logits=False, label_smoothing=0.0, axis=-1):
    """`-sum(y_true * log(p))` along `axis`; `label_smoothing` moves the targets towards 1 / K."""
    y_pred = to_tensor(y_pred)
    _check_classes("categorical_crossentropy", y_pred, axis)
    y_true = to_tensor(y_true, y_pred.dtype)
    if label_smoothing:
        y_true = _smoothed(y_true, label_smoothing, 1 / y_true.shape[-1])
    return ops.categorical_crossentropy(y_true, y_pred, from_logits=from_logits, axis=axis)


@export("losses.sparse_categorical_crossentropy", "metrics.sparse_categorical_crossentropy")
def sparse_categorical_crossentropy(y_true, y_pred, from_logits=False, ignore_class=None, axis=-1):
    """`-log(p[y_true])` of each sample, 0 and masked where `y_true` is `ignore_class`."""
    y_true, y_pred = to_tensor(y_true), to_tensor(y_pred)
    if len(y_true.shape) == len(y_pred.shape) and y_true.shape[axis] == 1:
        y_true = ops.squeeze(y_true, axis=axis)
    if ignore_class is None:
        return ops.sparse_categorical_crossentropy(
            y_true, y_pred, from_logits=from_logits, axis=axis
        )
    valid = Tensor(array_of(y_true) != ignore_class)
    # What is left out must be a class, and its prediction harmless: 0 stands for both.
    y_true = ops.where(valid, y_true, 0)
    y_pred = ops.where(ops.expand_dims(valid, axis), y_pred, 0.0)
    values = ops.sparse_categorical_crossentropy(y_true, y_pred, from_logits=from_logits, axis=axis)
    valid = ops.reshape(valid, values.shape)
    values = ops.where(valid, values, 0.0)
    set_keras_mask(values, valid)
    return values


@export("losses.binary_focal_crossentropy", "metrics.binary_focal_crossentropy")
def binary_focal_crossentropy(
    y_true,
    y_pred,
    apply_class_balancing=False,
    alpha=0.25,
    gamma=2.0,
    from_logits=False,
    label_smoothing=0.0,
    axis=-1,
):
    """Mean over `axis` of `(1 - p_t)^gamma` times the binary cross-entropy.

    p_t is the probability given to the truth. With `apply_class_balancing`, ones weigh `alpha`
    and zeros `1 - alpha`. Source: Lin et al. 2017, https://arxiv.org/abs/1708.02002, Eqs. 4, 5.
    """
    y_pred = to_tensor(y_pred)
    y_true = to_tensor(y_true, y_pred.dtype)
    if label_smoothing:
        y_true = _smoothed(y_true, label_smoothing, 0.5)
    if from_logits:
        y_pred = ops.sigmoid(y_pred)
    entropy = ops.binary_crossentropy(y_true, y_pred, from_logits=False)
    p_true = y_true * y_pred + (1 - y_true) * (1 - y_pred)
    values = ops.power(1.0 - p_true, gamma) * entropy
    if apply_class_balancing:
        values = (y_true * alpha + (1 - y_true) * (1 - alpha)) * values
    return ops.mean(values, axis=axis)


@export("losses.categorical_focal_crossentropy", "metrics.categorical_focal_crossentropy")
def categorical_focal_crossentropy(
    y_true, y_pred, alpha=0.25, gamma=2.0, from_logits=False, label_smoothing=0.0, axis=-1
):
    """`-sum(alpha * (1 - p)^gamma * y_true * log(p))` along `axis`.

    Source: Lin et al. 2017, https://arxiv.org/abs/1708.02002, Eq. 5, for many classes.
    """
    y_pred = to_tensor(y_pred)
    _check_classes("categorical_focal_crossentropy", y_pred, axis)
    y_true = to_tensor(y_true, y_pred.dtype)
    if label_smoothing:
        y_true = _smoothed(y_true, label_smoothing, 1 / y_true.shape[-1])
    if from_logits:
        y_pred = ops.softmax(y_pred, axis=axis)
    p = y_pred / ops.sum(y_pred, axis=axis, keepdims=True)
    p = ops.clip(p, config.epsilon(), 1.0 - config.epsilon())
    entropy = -y_true * ops.log(p)
    return ops.sum(ops.power(1.0 - p, gamma) * alpha * entropy, axis=axis)


@export("losses.categorical_generalized_cross_entropy")
def categorical_generalized_cross_entropy(y_true, y_pred, q):
    """`(1 - p^q) / q`, p the probability of class `y_true`: between cross-entropy and 1 - p.

    Source: Zhang and Sabuncu 2018, https://arxiv.org/abs/1805.07836, Eq. 6.
    """
    y_pred = to_tensor(y_pred)
    chosen = ops.one_hot(ops.cast(y_true, "int32"), y_pred.shape[-1], dtype=y_pred.dtype)
    return (1 - ops.power(ops.sum(y_pred * chosen, axis=-1), q)) / q


@export("losses.kl_divergence", "metrics.kl_divergence")
def kl_divergence(y_true, y_pred):
    """`sum(y_true * log(y_true / y_pred))` over the last axis, both clipped to [epsilon, 1].

    Source: Kullback and Leibler 1951, https://doi.org/10.1214/aoms/1177729694.
    """
    y_pred = to_tensor(y_pred)
    y_true = ops.clip(to_tensor(y_true, y_pred.dtype), config.epsilon(), 1)
    y_pred = ops.clip(y_pred, config.epsilon(), 1)
    return ops.sum(y_true * ops.log(y_true / y_pred), axis=-1)


@export("losses.poisson", "metrics.poisson")
def poisson(y_true, y_pred):
    """`mean(y_pred - y_true * log(y_pred + epsilon))` over the last axis."""
    y_pred = to_tensor(y_pred)
    y_true = to_tensor(y_true, y_pred.dtype)
    return ops.mean(y_pred - y_true * ops.log(y_pred + config.epsilon()), axis=-1)


@export("losses.BinaryCrossentropy")
class BinaryCrossentropy(NamedLoss):
    """Cross-entropy of probabilities (or logits) of one class.

    Args: label_smoothing in [0, 1] moves targets towards 0.5; values are means over `axis`.
    Source: Keras 3.15 `keras.losses.BinaryCrossentropy`.
    """

    def __init__(
        self,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        reduction="sum_over_batch_size",
        name="binary_crossentropy",
        dtype=None,
    ):
        super().__init__(
            binary_crossentropy,
            name=name,
            reduction=reduction,
            dtype=dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis


@export("losses.BinaryFocalCrossentropy")
class BinaryFocalCrossentropy(NamedLoss):
    """Binary cross-entropy in which easy samples count less.

    Source: Keras 3.15 `keras.losses.BinaryFocalCrossentropy`.
    """

    def __init__(
        self,
        apply_class_balancing=False,
        alpha=0.25,
        gamma=2.0,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        reduction="sum_over_batch_size",
        name="binary_focal_crossentropy",
        dtype=None,
    ):
        super().__init__(
            binary_focal_crossentropy,
            name=name,
            reduction=reduction,
            dtype=dtype,
            apply_class_balancing=apply_class_balancing,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis
        self.apply_class_balancing = apply_class_balancing
        self.alpha = alpha
        self.gamma = gamma


@export("losses.CategoricalCrossentropy")
class CategoricalCrossentropy(NamedLoss):
    """Cross-entropy with one-hot (or soft) targets.

    Args: label_smoothing in [0, 1] moves targets towards 1 / number of classes.
    Source: Keras 3.15 `keras.losses.CategoricalCrossentropy`.
    """

    def __init__(
        self,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        reduction="sum_over_batch_size",
        name="categorical_crossentropy",
        dtype=None,
    ):
        super().__init__(
            categorical_crossentropy,
            name=name,
            reduction=reduction,
            dtype=dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis


@export("losses.CategoricalFocalCrossentropy")
class CategoricalFocalCrossentropy(NamedLoss):
    """Categorical cross-entropy in which easy samples count less.

    Source: Keras 3.15 `keras.losses.CategoricalFocalCrossentropy`.
    """

    def __init__(
        self,
        alpha=0.25,
        gamma=2.0,
        from_logits=False,
        label_smoothing=0.0,
        axis=-1,
        reduction="sum_over_batch_size",
        name="categorical_focal_crossentropy",
        dtype=None,
    ):
        super().__init__(
            categorical_focal_crossentropy,
            name=name,
            reduction=reduction,
            dtype=dtype,
            alpha=alpha,
            gamma=gamma,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis
        self.alpha = alpha
        self.gamma = gamma


@export("losses.SparseCategoricalCrossentropy")
class SparseCategoricalCrossentropy(NamedLoss):
    """Cross-entropy with class numbers as targets.

    Args: samples of class `ignore_class` count neither in the sum nor in the mean.
    Source: Keras 3.15 `keras.losses.SparseCategoricalCrossentropy`.
    """

    casts_targets = False

    def __init__(
        self,
        from_logits=False,
        ignore_class=None,
        reduction="sum_over_batch_size",
        axis=-1,
        name="sparse_categorical_crossentropy",
        dtype=None,
    ):
        super().__init__(
            sparse_categorical_crossentropy,
            name=name,
            reduction=reduction,
            dtype=dtype,
            from_logits=from_logits,
            ignore_class=ignore_class,
            axis=axis,
        )
        self.from_logits = from_logits
        self.ignore_class = ignore_class


@export("losses.CategoricalGeneralizedCrossEntropy")
class CategoricalGeneralizedCrossEntropy(NamedLoss):
    """Loss of `(1 - p^q) / q`, robust to wrong labels.

    Raises: ValueError unless 0 < q < 1.
    Source: Keras 3.15 `keras.losses.CategoricalGeneralizedCrossEntropy`.
    """

    def __init__(
        self,
        q=0.5,
        reduction="sum_over_batch_size",
        name="categorical_generalized_cross_entropy",
        dtype=None,
    ):
        if not 0 < q < 1:
            checks.fail(
                "CategoricalGeneralizedCrossEntropy", "q", "between 0 and 1, both excluded", q
            )
        super().__init__(
            categorical_generalized_cross_entropy,
            name=name,
            reduction=reduction,
            dtype=dtype,
            q=q,
        )
        self.q = q


@export("losses.KLDivergence")
class KLDivergence(NamedLoss):
    """Kullback-Leibler divergence of `y_pred` from `y_true`.

    Source: Keras 3.15 `keras.losses.KLDivergence`.
    """

    def __init__(self, reduction="sum_over_batch_size", name="kl_divergence", dtype=None):
        super().__init__(kl_divergence, name=name, reduction=reduction, dtype=dtype)


@export("losses.Poisson")
class Poisson(NamedLoss):
    """Negative log likelihood of counts, without the term that `y_pred` does not change.

    Source: Keras 3.15 `keras.losses.Poisson`.
    """

    def __init__(self, reduction="sum_over_batch_size", name="poisson", dtype=None):
        super().__init__(poisson, name=name, reduction=reduction, dtype=dtype)
