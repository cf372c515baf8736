"""Intersection over union of predicted and true regions."""

from __future__ import annotations

import warnings

import numpy as np

from kerasmirror._export import export
from kerasmirror.core import config
from kerasmirror.core.tensor import Tensor
from kerasmirror.losses.loss import array_of
from kerasmirror.metrics.on_host import HostMetric, on_host
from kerasmirror.metrics.reduction import as_array


@export("metrics.IoU")
class IoU(HostMetric):
    """Mean over `target_class_ids` of `TP / (TP + FP + FN)`, from one confusion matrix.

    Samples of `ignore_class`, or of no class in [0, num_classes), do not count.
    Args: `sparse_y_true` and `sparse_y_pred` say whether targets and predictions are class numbers;
    else the largest entry along `axis` is taken.
    Raises: ValueError for a target class that is none.
    Source: Keras 3.15 `keras.metrics.IoU`.
    """

    def __init__(
        self,
        num_classes,
        target_class_ids,
        name=None,
        dtype=None,
        ignore_class=None,
        sparse_y_true=True,
        sparse_y_pred=True,
        axis=-1,
    ):
        super().__init__(name=name, dtype="int64" if dtype in (None, "int") else dtype)
        self.num_classes = num_classes
        self.ignore_class = ignore_class
        self.sparse_y_true = sparse_y_true
        self.sparse_y_pred = sparse_y_pred
        self.axis = axis
        self.total_cm = self.add_variable(
            (num_classes, num_classes), "zeros", self.dtype, name="total_confusion_matrix"
        )
        if max(target_class_ids) >= num_classes:
            raise ValueError(
                f"{type(self).__name__}: `target_class_ids` must be below num_classes={num_classes}"
                f". Received: target_class_ids={list(target_class_ids)}"
            )
        self.target_class_ids = list(target_class_ids)

    @on_host
    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true, y_pred = array_of(y_true), array_of(y_pred)
        if not self.sparse_y_true:
            y_true = y_true.argmax(self.axis)
        if not self.sparse_y_pred:
            y_pred = y_pred.argmax(self.axis)
        y_true = as_array(y_true, self._dtype).reshape(-1)
        y_pred = as_array(y_pred, self._dtype).reshape(-1)
        n = self.num_classes
        counted = (y_true >= 0) & (y_true < n) & (y_pred >= 0) & (y_pred < n)
        if self.ignore_class is not None:
            counted &= y_true != self.ignore_class
        weights = self._weights(sample_weight, y_true.shape)[counted]
        places = y_true[counted].astype(np.int64) * n + y_pred[counted].astype(np.int64)
        matrix = np.bincount(places, weights, n * n).reshape(n, n)
        self.total_cm.accumulate(matrix.astype(self.total_cm.data.dtype))

    def _weights(self, sample_weight, shape):
        if sample_weight is None:
            return np.ones(shape, self.total_cm.data.dtype)
        weights = array_of(sample_weight)
        if weights.dtype.kind == "f" and "int" in self._dtype and hasattr(sample_weight, "dtype"):
            warnings.warn(
                f"{type(self).__name__}: `sample_weight` is passed as `float`, but dtype is `int`, "
                "so the weights are cut to whole numbers by type casting. "
                f"Pass dtype='float32' to keep them. Received: dtype={self._dtype!r}",
                stacklevel=3,
            )
        return np.broadcast_to(as_array(weights, self._dtype).reshape(-1), shape)

    @on_host
    def result(self):
        matrix = self.total_cm.data
        both = np.diag(matrix)
        union = (matrix.sum(0) + matrix.sum(1) - both)[self.target_class_ids].astype(np.float32)
        epsilon = np.float32(config.epsilon())
        present = union > 1e-9
        shares = both[self.target_class_ids].astype(np.float32) / (union + epsilon)
        total = np.where(present, shares, np.float32(0)).sum()
        return Tensor(np.asarray(total / (np.float32(present.sum()) + epsilon)))

    def get_config(self):
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "target_class_ids": self.target_class_ids,
            "ignore_class": self.ignore_class,
            "sparse_y_true": self.sparse_y_true,
            "sparse_y_pred": self.sparse_y_pred,
            "axis": self.axis,
        }

    def _config_without(self, *names):
        own = IoU.get_config(self)
        return {key: value for key, value in own.items() if key not in names}


@export("metrics.BinaryIoU")
class BinaryIoU(IoU):
    """IoU of two classes; a prediction of at least `threshold` is class 1.

    Source: Keras 3.15 `keras.metrics.BinaryIoU`.
    """

    def __init__(self, target_class_ids=(0, 1), threshold=0.5, name=None, dtype=None):
        super().__init__(num_classes=2, target_class_ids=target_class_ids, name=name, dtype=dtype)
        self.threshold = threshold

    @on_host
    def update_state(self, y_true, y_pred, sample_weight=None):
        y_pred = as_array(y_pred, "float32")
        super().update_state(y_true, y_pred >= np.float32(self.threshold), sample_weight)

    def get_config(self):
        return {
            "target_class_ids": self.target_class_ids,
            "threshold": self.threshold,
            "name": self.name,
            "dtype": self._dtype,
        }


@export("metrics.MeanIoU")
class MeanIoU(IoU):
    """IoU averaged over all classes that occur. Source: Keras 3.15 `keras.metrics.MeanIoU`."""

    def __init__(
        self,
        num_classes,
        name=None,
        dtype=None,
        ignore_class=None,
        sparse_y_true=True,
        sparse_y_pred=True,
        axis=-1,
    ):
        super().__init__(
            num_classes,
            list(range(num_classes)),
            name=name,
            dtype=dtype,
            ignore_class=ignore_class,
            sparse_y_true=sparse_y_true,
            sparse_y_pred=sparse_y_pred,
            axis=axis,
        )

    def get_config(self):
        return self._config_without("target_class_ids")


@export("metrics.OneHotIoU")
class OneHotIoU(IoU):
    """IoU with one-hot targets. Source: Keras 3.15 `keras.metrics.OneHotIoU`."""

    def __init__(
        self,
        num_classes,
        target_class_ids,
        name=None,
        dtype=None,
        ignore_class=None,
        sparse_y_pred=False,
        axis=-1,
    ):
        super().__init__(
            num_classes,
            target_class_ids,
            name=name,
            dtype=dtype,
            ignore_class=ignore_class,
            sparse_y_true=False,
            sparse_y_pred=sparse_y_pred,
            axis=axis,
        )

    def get_config(self):
        return self._config_without("sparse_y_true")


@export("metrics.OneHotMeanIoU")
class OneHotMeanIoU(MeanIoU):
    """IoU with one-hot targets, averaged over all classes that occur.

    Source: Keras 3.15 `keras.metrics.OneHotMeanIoU`.
    """

    def __init__(
        self,
        num_classes,
        name=None,
        dtype=None,
        ignore_class=None,
        sparse_y_pred=False,
        axis=-1,
    ):
        super().__init__(
            num_classes,
            name=name,
            dtype=dtype,
            ignore_class=ignore_class,
            sparse_y_true=False,
            sparse_y_pred=sparse_y_pred,
            axis=axis,
        )

    def get_config(self):
        return self._config_without("target_class_ids", "sparse_y_true")
