"""Loss: a function of targets and predictions, weighted by sample and reduced to a scalar."""

from __future__ import annotations

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.core import config, dtype_policy, serialization, tree
from kerasmirror.core.names import auto_name
from kerasmirror.core.tensor import Tensor, get_keras_mask
from kerasmirror.core.variable import array_of
from kerasmirror.ops.tensor import to_tensor

REDUCTIONS = ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none", None)


@export("losses.Loss", "Loss")
class Loss:
    """Base class of losses: a subclass writes `call(y_true, y_pred)`, one value for each sample.

    Args: reduction says what becomes of these values: "sum_over_batch_size" or "mean" (their
    mean), "sum", "mean_with_sample_weight" (weighted sum by sum of weights), "none" or None.
    A mask on `y_pred` or on the values leaves samples out; means count only what is left.
    Raises: ValueError for another reduction.
    Source: Keras 3.15 `keras.losses.Loss`.
    """

    # False where targets are class numbers, which need not become floats and ints again.
    casts_targets = True

    def __init__(self, name=None, reduction="sum_over_batch_size", dtype=None):
        self.name = name or auto_name(type(self).__name__)
        if reduction not in REDUCTIONS:
            raise ValueError(
                f"{type(self).__name__}: Invalid value for argument `reduction`, it must be one of "
                f"{', '.join(map(repr, REDUCTIONS))}. Received: reduction={reduction!r}"
            )
        self.reduction = reduction
        self._dtype_policy = dtype_policy.get(dtype or config.floatx())
        self._dtype = self._dtype_policy.compute_dtype

    @property
    def dtype(self):
        return self._dtype

    def __call__(self, y_true, y_pred, sample_weight=None):
        in_mask = get_keras_mask(y_pred)
        y_true = self._tensors(y_true) if self.casts_targets else to_tensor(y_true)
        values = self.call(y_true, self._tensors(y_pred))
        out_mask = get_keras_mask(values)
        if in_mask is None or out_mask is None:
            mask = out_mask if in_mask is None else in_mask
        else:
            mask = Tensor(array_of(in_mask).astype(bool) & array_of(out_mask).astype(bool))
        return reduce_weighted_values(values, sample_weight, mask, self.reduction, self.dtype)

    def _tensors(self, structure):
        if tree.is_nested(structure):
            return tree.map_structure(lambda leaf: to_tensor(leaf, self._dtype), structure)
        return to_tensor(structure, self._dtype)

    def call(self, y_true, y_pred):
        """One value for each sample; a subclass writes it."""
        raise NotImplementedError(f"{type(self).__name__} has no `call` method.")

    def get_config(self):
        return {"name": self.name, "reduction": self.reduction}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


class LossFunctionWrapper(Loss):
    """A loss made of a function `fn(y_true, y_pred, **kwargs)`."""

    def __init__(self, fn, reduction="sum_over_batch_size", name=None, dtype=None, **kwargs):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.fn = fn
        self._fn_kwargs = kwargs

    def call(self, y_true, y_pred):
        if tree.is_nested(y_pred):
            pairs = [
                squeeze_or_expand_to_same_rank(a, b)
                for a, b in zip(tree.flatten(y_true), tree.flatten(y_pred), strict=True)
            ]
            y_true = tree.pack_sequence_as(y_true, [a for a, _ in pairs])
            y_pred = tree.pack_sequence_as(y_pred, [b for _, b in pairs])
        else:
            y_true, y_pred = squeeze_or_expand_to_same_rank(y_true, y_pred)
        return self.fn(y_true, y_pred, **self._fn_kwargs)

    def get_config(self):
        config = super().get_config()
        config["fn"] = serialization.serialize_keras_object(self.fn)
        config.update(serialization.serialize_keras_object(self._fn_kwargs))
        return config

    @classmethod
    def from_config(cls, config):
        if "fn" in config:
            config = serialization.deserialize_keras_object(config)
        return cls(**config)

    def __repr__(self):
        return f"<LossFunctionWrapper({self.fn}, kwargs={self._fn_kwargs})>"


class NamedLoss(LossFunctionWrapper):
    """A public loss class: its config is its constructor's arguments, without the function."""

    def get_config(self):
        return {**Loss.get_config(self), **self._fn_kwargs}


def squeeze_or_expand_to_same_rank(x1, x2, expand_rank_1=True):
    """Both with one rank, where one has a last axis of size 1 more than the other.

    That axis is dropped, or, where the other has a single axis, it is added there.
    """
    rank_1, rank_2 = len(x1.shape), len(x2.shape)
    if rank_1 == rank_2 + 1 and x1.shape[-1] == 1:
        if rank_2 == 1 and expand_rank_1:
            return x1, ops.expand_dims(x2, axis=-1)
        return ops.squeeze(x1, axis=-1), x2
    if rank_2 == rank_1 + 1 and x2.shape[-1] == 1:
        if rank_1 == 1 and expand_rank_1:
            return ops.expand_dims(x1, axis=-1), x2
        return x1, ops.squeeze(x2, axis=-1)
    return x1, x2


def reduce_weighted_values(
    values, sample_weight=None, mask=None, reduction="sum_over_batch_size", dtype=None
):
    """The values times their weights, reduced."""
    values = to_tensor(values, dtype)
    if sample_weight is not None:
        sample_weight = to_tensor(sample_weight, values.dtype)
    sample_weight = apply_mask(sample_weight, mask, values.dtype, reduction)
    if sample_weight is not None:
        values, sample_weight = squeeze_or_expand_to_same_rank(values, sample_weight)
        values = values * sample_weight
    return _reduce(values, sample_weight, reduction)


def _reduce(values, sample_weight, reduction):
    shape = tuple(values.shape)
    if reduction in (None, "none") or shape in ((), (0,)):
        return values
    if reduction == "sum" or 0 in shape:
        return ops.sum(values)
    if reduction == "mean_with_sample_weight" and sample_weight is not None:
        return ops.divide_no_nan(ops.sum(values), ops.sum(sample_weight))
    return ops.mean(values)


def apply_mask(sample_weight, mask, dtype, reduction):
    """The sample weights times the mask; for means, scaled so that only what is left counts."""
    if mask is None:
        return sample_weight
    mask = array_of(mask)
    weights = mask.astype(bool).astype(dtype)
    if reduction in ("mean", "sum_over_batch_size"):
        valid = weights.sum()
        weights *= mask.size / valid if valid else 0
    elif mask.dtype != bool:
        weights = mask.astype(dtype)
    weights = Tensor(weights)
    if sample_weight is None:
        return weights
    sample_weight = to_tensor(sample_weight, dtype)
    weights, sample_weight = squeeze_or_expand_to_same_rank(weights, sample_weight)
    return sample_weight * weights
