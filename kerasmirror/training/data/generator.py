"""Adapters for batches that are made elsewhere: generators, PyDatasets and other iterables."""

from __future__ import annotations

import itertools
import random

from kerasmirror.core import tree
from kerasmirror.training.data import batch as batches
from kerasmirror.training.data.array import as_array


class GeneratorAdapter:
    """Batches of a generator or iterator: x, (x,), (x, y) or (x, y, sample_weight).

    The number of batches is not known in advance (`num_batches` is None). As in Keras, which
    reads two batches to learn their shapes, each pass begins with the first two batches again and
    goes on where the generator is: a generator that has ended still gives these two.
    Raises: ValueError when it yields nothing, or no tuple.
    """

    num_batches = None
    batch_size = None
    alone_in_tuple = True

    def __init__(self, generator):
        self._first = list(itertools.islice(generator, 2))
        if not self._first or self._first[0] is None:
            raise ValueError(
                "keras: a generator of training data must yield at least one batch. "
                "Received: an empty generator"
            )
        if not isinstance(self._first[0], tuple):
            raise ValueError(
                "keras: a generator of training data must yield tuples `(x,)`, `(x, y)` or "
                f"`(x, y, sample_weight)`. Received: {type(self._first[0])}"
            )
        self._generator = generator

    def __iter__(self):
        for data in itertools.chain(self._first, self._generator):
            yield to_batch(data)


class DatasetAdapter:
    """Batches of a PyDataset (`dataset[i]`, `len(dataset)`), in a new order each epoch if asked."""

    batch_size = None
    alone_in_tuple = False

    def __init__(self, dataset, shuffle=False, class_weight=None):
        self.dataset = dataset
        self.shuffle = shuffle
        self.class_weight = class_weight

    @property
    def num_batches(self):
        return self.dataset.num_batches

    def on_epoch_begin(self):
        self.dataset.on_epoch_begin()

    def on_epoch_end(self):
        self.dataset.on_epoch_end()

    def __iter__(self):
        for data in self.dataset.batches_at(self._order()):
            self.alone_in_tuple = isinstance(data, tuple)
            yield weighted(to_batch(data), self.class_weight)

    def _order(self):
        count = self.num_batches
        if count is None:
            return itertools.count()
        order = list(range(count))
        if self.shuffle:
            random.shuffle(order)
        return order


class LoaderAdapter:
    """Batches of anything that gives them anew each time it is looped over.

    Data sets and loaders of other libraries are such: `tf.data.Dataset`, `torch.utils.data`'s
    DataLoader, grain's. The number of batches is their `len()`, where they have one.
    """

    batch_size = None
    alone_in_tuple = False

    def __init__(self, dataset, class_weight=None):
        self.dataset = dataset
        self.class_weight = class_weight

    @property
    def num_batches(self):
        try:
            return len(self.dataset)
        except TypeError:  # it has no end, or does not know it
            return None

    def __iter__(self):
        for data in self.dataset:
            # Loaders make lists of tuples that were put together; both are (x, y).
            self.alone_in_tuple = isinstance(data, (tuple, list))
            yield weighted(to_batch(data), self.class_weight)


def weighted(batch, class_weight):
    """A batch with the weights of its classes, where it has no weights."""
    x, y, sample_weight = batch
    if class_weight is not None and sample_weight is None:
        sample_weight = batches.class_weights_to_sample_weights(y, class_weight)
    return x, y, sample_weight


def to_batch(data):
    """The three parts of a yielded batch, with arrays for leaves."""
    x, y, sample_weight = batches.unpack(data)
    return tuple(
        tree.map_structure(lambda leaf, name=name: as_array(leaf, name), part)
        for part, name in ((x, "x"), (y, "y"), (sample_weight, "sample_weight"))
    )
