"""IterableAdapter: the batches of a `keras.utils.Dataset`, gone through anew in each epoch."""

from __future__ import annotations

from kerasmirror.training.data import batch as batches
from kerasmirror.training.data.generator import to_batch


class IterableAdapter:
    """Batches x, (x, y) or (x, y, sample_weight) of a dataset that can be gone through again.

    `num_batches` is None where the dataset does not know how many it has. The dataset shuffles.
    """

    batch_size = None

    def __init__(self, dataset, class_weight=None):
        self.dataset = dataset
        self.class_weight = class_weight
        count = dataset.cardinality()
        self.num_batches = count if count >= 0 else None

    def __iter__(self):
        for data in self.dataset:
            x, y, sample_weight = to_batch(data)
            if self.class_weight is not None and sample_weight is None:
                sample_weight = batches.class_weights_to_sample_weights(y, self.class_weight)
            yield x, y, sample_weight
