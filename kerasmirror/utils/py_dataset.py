"""PyDataset: data that a user's class makes batch by batch."""

from __future__ import annotations

import collections
import itertools
import warnings
from concurrent import futures

from kerasmirror._export import export


@export("utils.PyDataset", "utils.Sequence")
class PyDataset:
    """Base of datasets: `dataset[i]` is the batch number i, `len(dataset)` their number.

    Subclasses define `__getitem__`, and `__len__` or the property `num_batches` (None: without
    end); `on_epoch_begin` and `on_epoch_end` may change the data between epochs. `fit` asks for
    each batch of an epoch once.

    Args: with `workers` above 1, `fit` has that many threads (processes with
    `use_multiprocessing`) make batches ahead of time, at most `max_queue_size` of them.
    Source: Keras 3.15 `keras.utils.PyDataset`.
    """

    def __init__(self, workers=1, use_multiprocessing=False, max_queue_size=10):
        self._workers = workers
        self._use_multiprocessing = use_multiprocessing
        self._max_queue_size = max_queue_size

    def _option(self, name, default):
        if name not in self.__dict__:
            warnings.warn(
                f"{type(self).__name__}: call `super().__init__(**kwargs)` in `__init__()`; "
                "`kwargs` may hold `workers`, `use_multiprocessing` and `max_queue_size`.",
                stacklevel=4,
            )
            setattr(self, name, default)
        return self.__dict__[name]

    @property
    def workers(self):
        return self._option("_workers", 1)

    @workers.setter
    def workers(self, value):
        self._workers = value

    @property
    def use_multiprocessing(self):
        return self._option("_use_multiprocessing", False)

    @use_multiprocessing.setter
    def use_multiprocessing(self, value):
        self._use_multiprocessing = value

    @property
    def max_queue_size(self):
        return self._option("_max_queue_size", 10)

    @max_queue_size.setter
    def max_queue_size(self, value):
        self._max_queue_size = value

    def __getitem__(self, index):
        raise NotImplementedError(f"{type(self).__name__} must implement `__getitem__(index)`.")

    @property
    def num_batches(self):
        if hasattr(self, "__len__"):
            return len(self)
        raise NotImplementedError(
            f"{type(self).__name__} must implement `__len__()` or the property `num_batches`."
        )

    def __iter__(self):
        try:
            count = self.num_batches
        except NotImplementedError:
            count = None
        for index in itertools.count() if count is None else range(count):
            yield self[index]

    def on_epoch_begin(self):
        """Called before each epoch."""

    def on_epoch_end(self):
        """Called after each epoch."""

    def batches_at(self, positions):
        """The batches at `positions` (which may have no end), in that order, made by the workers.

        An error in `__getitem__` is raised where its batch is due.
        """
        if self.workers <= 1 and not (self.workers == 1 and self.use_multiprocessing):
            for position in positions:
                yield self[position]
            return
        if self.use_multiprocessing:
            pool = futures.ProcessPoolExecutor(self.workers, initializer=_keep, initargs=(self,))
            make = _make_batch
        else:
            pool = futures.ThreadPoolExecutor(self.workers)
            make = self.__getitem__
        try:
            yield from self._ahead(pool, make, iter(positions))
        finally:
            pool.shutdown(cancel_futures=True)

    def _ahead(self, pool, make, positions):
        queue = collections.deque()
        while True:
            for position in itertools.islice(positions, max(1, self.max_queue_size) - len(queue)):
                queue.append(pool.submit(make, position))
            if not queue:
                return
            yield queue.popleft().result()


_KEPT = {}


def _keep(dataset):
    """Once in each worker process, so that the data is not sent with every batch."""
    _KEPT["dataset"] = dataset


def _make_batch(position):
    return _KEPT["dataset"][position]
