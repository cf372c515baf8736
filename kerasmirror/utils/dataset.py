"""Dataset: elements that are made one after the other, as often as somebody goes through them.

What `tf.data.Dataset` is to Keras on TensorFlow, for the functions of `keras.utils` that give one.
"""

from __future__ import annotations

import collections
import itertools
import os
import random
from concurrent import futures

import numpy as np

from kerasmirror._export import export
from kerasmirror.core import checks, tree
from kerasmirror.core.tensor import Tensor

INFINITE, UNKNOWN = -1, -2
_OWNER = "Dataset"


@export("utils.Dataset")
class Dataset:
    """A sequence of elements: tensors, or tuples and dicts of tensors.

    `fit`, `evaluate` and `predict` take one whose elements are batches. Each method gives a new
    dataset and computes nothing; elements are made while they are gone through, anew each time.
    The names and the order of arguments are those of `tf.data.Dataset`.

    Args: `make`, a function without arguments that gives a new iterator; `cardinality`, the number
    of elements, -1 for no end, -2 for not known.
    Attributes: `class_names` and `file_paths`, where the dataset was made from files.
    """

    def __init__(self, make, cardinality=UNKNOWN):
        self._make = make
        self._cardinality = cardinality
        # Rows of arrays are batched at once: (arrays, a function that gives the rows' numbers).
        self._rows = None
        self._batch_size = None

    # Sources

    @classmethod
    def from_tensor_slices(cls, tensors):
        """The rows of the arrays in a nest, all of one length.

        Raises: ValueError for arrays of different lengths, or scalars.
        """
        arrays = _nest(_array, tensors)
        lengths = {leaf.shape[:1] for leaf in tree.flatten(arrays)}
        if len(lengths) != 1 or lengths == {()}:
            raise ValueError(
                f"{_OWNER}.from_tensor_slices: `tensors` must be arrays of one length. Received: "
                f"arrays of shapes {[leaf.shape for leaf in tree.flatten(arrays)]}"
            )
        count = lengths.pop()[0]
        return cls._of_rows(arrays, lambda: iter(range(count)), count)

    @classmethod
    def from_generator(cls, generator, cardinality=UNKNOWN):
        """What a generator function yields; it is called anew for each pass.

        Raises: TypeError for what cannot be called.
        """
        if not callable(generator):
            checks.fail(f"{_OWNER}.from_generator", "generator", "a function", generator, TypeError)
        return cls(lambda: map(_element, generator()), cardinality)

    @classmethod
    def zip(cls, datasets):
        """Tuples of one element of each; it ends with the first that ends."""
        datasets = tuple(datasets)
        known = [d._cardinality for d in datasets]
        finite = [n for n in known if n != INFINITE]
        count = INFINITE if not finite else UNKNOWN if UNKNOWN in finite else min(finite)
        return cls(lambda: zip(*(iter(d) for d in datasets), strict=False), count)

    @classmethod
    def _of_rows(cls, arrays, numbers, count):
        def make():
            return (_rows_at(arrays, number) for number in numbers())

        dataset = cls(make, count)
        dataset._rows = (arrays, numbers)
        return dataset

    # Going through

    def __iter__(self):
        return iter(self._make())

    def __len__(self):
        if self._cardinality < 0:
            raise TypeError(
                f"{_OWNER}: the number of elements is "
                f"{'infinite' if self._cardinality == INFINITE else 'not known'}; it has no len()."
            )
        return self._cardinality

    def __bool__(self):
        return True

    def cardinality(self):
        """The number of elements; -1 without end, -2 where it is not known."""
        return self._cardinality

    def as_numpy_iterator(self):
        """Iterator over the elements with arrays for tensors."""
        return (tree.map_structure(_plain, element) for element in self)

    # New datasets

    def take(self, count):
        """The first `count` elements; all of them for -1."""
        if count < 0:
            return self._with(lambda items: items, self._cardinality)
        known = self._cardinality
        total = count if known == INFINITE else known if known == UNKNOWN else min(known, count)
        return self._with(lambda items: itertools.islice(items, count), total)

    def skip(self, count):
        """All but the first `count` elements; none for -1."""
        if count < 0:
            return self._with(lambda items: iter(()), 0)
        known = self._cardinality
        total = known if known < 0 else max(0, known - count)
        return self._with(lambda items: itertools.islice(items, count, None), total)

    def repeat(self, count=None):
        """The elements `count` times over, without end for None and -1."""
        endless = count is None or count < 0
        total = self._cardinality * count if not endless and self._cardinality > 0 else UNKNOWN
        if endless or self._cardinality == INFINITE:
            total = INFINITE
        return self._again(lambda start: _repeated(start, None if endless else count), total)

    def shuffle(self, buffer_size, seed=None, reshuffle_each_iteration=True):
        """The elements in random order: each is drawn from a buffer of `buffer_size` of them.

        With a `seed`, the orders of the first, second, ... pass are fixed (not those of
        TensorFlow); else Python's `random` gives one for each pass.
        Raises: ValueError for a buffer of less than 1 element.
        """
        buffer_size = checks.count(buffer_size, "buffer_size", owner=f"{_OWNER}.shuffle")
        passes = itertools.count()
        fixed = random.getrandbits(32) if seed is None else seed

        def shuffled(items):
            number = next(passes) if reshuffle_each_iteration else 0
            if seed is None and reshuffle_each_iteration:
                rng = np.random.default_rng(random.getrandbits(64))
            else:
                rng = np.random.default_rng([fixed, number])
            return _from_buffer(items, buffer_size, rng)

        return self._with(shuffled, self._cardinality)

    def batch(self, batch_size, drop_remainder=False):
        """Elements stacked, `batch_size` at a time; the last batch may be smaller.

        Raises: ValueError, while going through, for elements of different shapes.
        """
        return self._batched(batch_size, drop_remainder, _stacked)

    def padded_batch(self, batch_size, drop_remainder=False):
        """The same, with elements padded by zeros to the largest of their batch."""
        return self._batched(batch_size, drop_remainder, _padded)

    def _batched(self, batch_size, drop_remainder, stack):
        batch_size = checks.count(batch_size, "batch_size", owner=f"{_OWNER}.batch")
        known = self._cardinality
        total = known if known < 0 else known // batch_size
        if known > 0 and known % batch_size and not drop_remainder:
            total += 1

        def groups(items):
            while group := list(itertools.islice(items, batch_size)):
                if len(group) == batch_size or not drop_remainder:
                    yield group

        if self._rows is not None:
            arrays, numbers = self._rows

            def make():
                return (_rows_at(arrays, np.array(group)) for group in groups(numbers()))
        else:

            def make():
                return (tree.map_structure(stack, *group) for group in groups(iter(self)))

        return self._like(make, total, batch_size)

    def unbatch(self):
        """The rows of each element."""

        def make():
            for element in self:
                leaves = tree.flatten(element)
                for number in range(leaves[0].shape[0]):
                    yield tree.map_structure(
                        lambda x, n=number: Tensor(np.asarray(x.data[n], x.data.dtype)), element
                    )

        return Dataset(make, UNKNOWN if self._cardinality >= 0 else self._cardinality)

    def map(self, map_func, num_parallel_calls=None):
        """`map_func(element)` of each element; of a tuple, its parts are the arguments.

        `num_parallel_calls` threads work ahead (-1: one per core); the order stays.
        """
        if not callable(map_func):
            checks.fail(f"{_OWNER}.map", "map_func", "a function", map_func, TypeError)

        def mapped(element):
            result = map_func(*element) if type(element) is tuple else map_func(element)
            return _element(result)

        workers = num_parallel_calls or 1
        if workers < 0:
            workers = os.cpu_count() or 1

        def make():
            if workers == 1:
                return map(mapped, iter(self))
            return _ahead(mapped, iter(self), workers, 2 * workers)

        return self._like(make, self._cardinality, self._batch_size)

    def filter(self, predicate):
        """The elements of which `predicate` is true."""

        def make():
            for element in self:
                parts = element if type(element) is tuple else (element,)
                if bool(predicate(*parts)):
                    yield element

        count = INFINITE if self._cardinality == INFINITE else UNKNOWN
        return self._like(make, count, self._batch_size)

    def enumerate(self, start=0):
        """(number, element) of each element."""

        def make():
            for number, element in enumerate(self, start):
                yield Tensor(np.asarray(number, "int64")), element

        return Dataset(make, self._cardinality)

    def concatenate(self, dataset):
        """These elements, then those of `dataset`."""
        counts = (self._cardinality, dataset._cardinality)
        total = INFINITE if INFINITE in counts else UNKNOWN if UNKNOWN in counts else sum(counts)
        return Dataset(lambda: itertools.chain(iter(self), iter(dataset)), total)

    def cache(self):
        """The same elements, kept in memory from the first whole pass on."""
        kept = []
        whole = [False]

        def make():
            if whole[0]:
                yield from kept
                return
            seen = []
            for element in self:
                seen.append(element)
                yield element
            kept[:], whole[0] = seen, True

        return self._like(make, self._cardinality, self._batch_size)

    def prefetch(self, buffer_size):
        """The same elements; a thread makes `buffer_size` of them ahead (-1: two)."""
        depth = 2 if buffer_size is None or buffer_size < 0 else buffer_size

        def make():
            if depth == 0:
                return iter(self)
            items = iter(self)
            end = object()
            return itertools.takewhile(
                lambda item: item is not end,
                _ahead(lambda _: next(items, end), itertools.repeat(None), 1, depth),
            )

        return self._like(make, self._cardinality, self._batch_size)

    # Parts

    def _with(self, change, cardinality):
        """A dataset whose items, rows' numbers where they are rows, went through `change`."""
        if self._rows is not None:
            arrays, numbers = self._rows
            made = Dataset._of_rows(arrays, lambda: change(numbers()), cardinality)
            return self._marked(made)
        return self._like(lambda: change(iter(self)), cardinality, self._batch_size)

    def _again(self, change, cardinality):
        """The same for a change that starts passes of its own."""
        if self._rows is not None:
            arrays, numbers = self._rows
            return self._marked(Dataset._of_rows(arrays, lambda: change(numbers), cardinality))
        return self._like(lambda: change(self.__iter__), cardinality, self._batch_size)

    def _like(self, make, cardinality, batch_size):
        made = Dataset(make, cardinality)
        made._batch_size = batch_size
        return self._marked(made)

    def _marked(self, made):
        for name in ("class_names", "file_paths"):
            if name in self.__dict__:
                setattr(made, name, getattr(self, name))
        return made

    def __repr__(self):
        words = {INFINITE: "no end", UNKNOWN: "elements of unknown number"}
        count = words.get(self._cardinality, f"{self._cardinality} elements")
        return f"<Dataset: {count}>"


def _array(value):
    if isinstance(value, Tensor):
        return value.data
    array = np.asarray(value)
    if array.dtype.kind in "US":
        # Texts are bytes, as TensorFlow's are.
        texts = array.ravel().tolist()
        texts = [text.encode() if isinstance(text, str) else text for text in texts]
        array = np.array(texts, dtype=object).reshape(array.shape)
    elif array.dtype == np.float64 and not isinstance(value, np.ndarray):
        array = array.astype("float32")  # Python's floats
    return array


def _element(value):
    """What a user's function gave, with tensors for leaves."""
    return _nest(lambda leaf: leaf if isinstance(leaf, Tensor) else Tensor(_array(leaf)), value)


def _nest(function, value):
    """`function` of the leaves of tuples and dicts; a list is an array, as in TensorFlow."""
    if isinstance(value, dict):
        return {key: _nest(function, part) for key, part in value.items()}
    if isinstance(value, tuple):
        return tuple(_nest(function, part) for part in value)
    return function(value)


def _plain(leaf):
    return leaf.numpy()[()] if isinstance(leaf, Tensor) else leaf


def _rows_at(arrays, number):
    return tree.map_structure(lambda leaf: Tensor(np.asarray(leaf[number], leaf.dtype)), arrays)


def _stacked(*leaves):
    arrays = [leaf.data for leaf in leaves]
    if len({array.shape for array in arrays}) > 1:
        raise ValueError(
            f"{_OWNER}.batch: all elements of a batch must have one shape. "
            f"Received: shapes {[array.shape for array in arrays]}"
        )
    return Tensor(np.stack(arrays))


def _padded(*leaves):
    arrays = [leaf.data for leaf in leaves]
    if len({array.ndim for array in arrays}) > 1:
        raise ValueError(
            f"{_OWNER}.padded_batch: all elements of a batch must have one rank. "
            f"Received: shapes {[array.shape for array in arrays]}"
        )
    size = [max(sizes) for sizes in zip(*(array.shape for array in arrays), strict=True)]
    out = np.zeros((len(arrays), *size), arrays[0].dtype)
    for number, array in enumerate(arrays):
        out[(number, *(slice(n) for n in array.shape))] = array
    return Tensor(out)


def _repeated(start, count):
    for _ in itertools.count() if count is None else range(count):
        empty = True
        for item in start():
            empty = False
            yield item
        if empty:
            return  # without end, and without anything


def _from_buffer(items, size, rng):
    buffer = list(itertools.islice(items, size))
    for item in items:
        place = int(rng.integers(len(buffer)))
        yield buffer[place]
        buffer[place] = item
    for place in rng.permutation(len(buffer)):
        yield buffer[place]


def _ahead(function, items, workers, depth):
    """`function` of each item, in order, made by threads up to `depth` items ahead."""
    pool = futures.ThreadPoolExecutor(workers)
    queue = collections.deque()
    try:
        for item in items:
            queue.append(pool.submit(function, item))
            if len(queue) >= depth:
                yield queue.popleft().result()
        while queue:
            yield queue.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
