"""`tf.data.Dataset`: kerasmirror.utils.Dataset with the rest of TensorFlow's methods and arguments.

What only tells TensorFlow how to compute (`num_parallel_calls` of a batch, `deterministic`, `name`,
options) has no meaning here.
"""

from __future__ import annotations

from itertools import islice

import numpy as np

from kerasmirror import ops
from kerasmirror.core import tree
from kerasmirror.core.tensor import Tensor
from kerasmirror.random import seed_pair
from kerasmirror.standin.small_tensorflow.random import generator_for
from kerasmirror.utils.dataset import INFINITE, UNKNOWN
from kerasmirror.utils.dataset import Dataset as _Dataset

AUTOTUNE = -1
INFINITE_CARDINALITY, UNKNOWN_CARDINALITY = INFINITE, UNKNOWN


def _here(dataset):
    """A dataset that a method of the base class has made, with the methods of this one."""
    dataset.__class__ = Dataset
    return dataset


class Dataset(_Dataset):
    """A sequence of elements; each method gives a new one and computes nothing."""

    @classmethod
    def from_tensor_slices(cls, tensors, name=None):
        return _here(super().from_tensor_slices(_as_tensors(tensors)))

    @classmethod
    def from_tensors(cls, tensors, name=None):
        element = _as_tensors(tensors)
        return cls(lambda: iter([element]), 1)

    @classmethod
    def from_generator(
        cls, generator, output_types=None, output_shapes=None, args=None, output_signature=None
    ):
        """What `generator(*args)` yields, in the types that are given; shapes are not checked."""
        kinds = output_types if output_signature is None else output_signature
        types = None if kinds is None else [getattr(k, "dtype", k) for k in tree.flatten(kinds)]

        def elements():
            for element in generator(*(args or ())):
                tensors = _as_tensors(element)
                if types is not None:
                    leaves = zip(tree.flatten(tensors), types, strict=True)
                    tensors = tree.pack_sequence_as(tensors, [ops.cast(x, t) for x, t in leaves])
                yield tensors

        return cls(elements, UNKNOWN)

    @classmethod
    def range(cls, *arguments, output_type="int64", name=None):
        numbers = range(*(int(argument) for argument in arguments))
        return cls(lambda: (Tensor(np.array(n, output_type)) for n in numbers), len(numbers))

    @classmethod
    def zip(cls, *datasets, name=None):
        return _here(super().zip(datasets[0] if len(datasets) == 1 else datasets))

    def shuffle(self, buffer_size, seed=None, reshuffle_each_iteration=True, name=None):
        if seed is None:
            first, second = seed_pair(generator_for(None))
            seed = first << 32 | second
        return _here(super().shuffle(int(buffer_size), seed, reshuffle_each_iteration is not False))

    def batch(
        self,
        batch_size,
        drop_remainder=False,
        num_parallel_calls=None,
        deterministic=None,
        name=None,
    ):
        return _here(super().batch(int(batch_size), drop_remainder))

    def padded_batch(
        self,
        batch_size,
        padded_shapes=None,
        padding_values=None,
        drop_remainder=False,
        name=None,
    ):
        """Batches of elements with zeros after them, up to `padded_shapes` or the largest one."""
        if padding_values is not None:
            raise NotImplementedError(
                "tf.data.Dataset.padded_batch: `padding_values` must be None here, zeros are added."
            )
        batches = _here(super().padded_batch(int(batch_size), drop_remainder))
        if padded_shapes is None:
            return batches
        several = isinstance(padded_shapes, tuple) and not _is_shape(padded_shapes)
        return batches.map(lambda *b: _extended(b if several else b[0], padded_shapes))

    def window(self, size, shift=None, stride=1, drop_remainder=False, name=None):
        """Datasets of `size` elements that lie `stride` apart; each begins `shift` further on."""
        shift = size if shift is None else shift

        def windows():
            buffer, reach = [], (size - 1) * stride + 1
            for element in self:
                if len(buffer) >= reach:
                    yield buffer[:reach:stride]
                    del buffer[:shift]
                buffer.append(element)
            while buffer and (len(buffer) >= reach or not drop_remainder):
                yield buffer[:reach:stride]
                del buffer[:shift]

        def elements():
            for group in windows():
                # Elements of several parts become a part of datasets, as TensorFlow has it.
                if type(group[0]) is tuple:
                    columns = zip(*group, strict=True)
                    yield tuple(_of_list(column) for column in columns)
                else:
                    yield _of_list(group)

        return Dataset(elements, UNKNOWN)

    def interleave(
        self,
        map_func,
        cycle_length=None,
        block_length=1,
        num_parallel_calls=None,
        deterministic=None,
        name=None,
    ):
        """In turn `block_length` elements of each of `cycle_length` datasets by `map_func`."""

        def elements():
            waiting = (map_func(*e) if type(e) is tuple else map_func(e) for e in self)
            width = cycle_length if cycle_length and cycle_length > 0 else 2
            open_ones = [iter(made) for made in islice(waiting, width)]
            while open_ones:
                for place, one in enumerate(list(open_ones)):
                    taken = list(islice(one, block_length))
                    yield from taken
                    if len(taken) < block_length:
                        following = next(waiting, None)
                        open_ones[place] = None if following is None else iter(following)
                open_ones = [one for one in open_ones if one is not None]

        return Dataset(elements, UNKNOWN)

    def unbatch(self, name=None):
        return _here(super().unbatch())

    def map(self, map_func, num_parallel_calls=None, deterministic=None, name=None):
        return _here(super().map(map_func, num_parallel_calls))

    def flat_map(self, map_func, name=None):
        def elements():
            for element in self:
                yield from map_func(*element) if type(element) is tuple else map_func(element)

        return Dataset(elements, UNKNOWN)

    def filter(self, predicate, name=None):
        return _here(super().filter(predicate))

    def enumerate(self, start=0, name=None):
        return _here(super().enumerate(start))

    def concatenate(self, dataset, name=None):
        return _here(super().concatenate(dataset))

    def cache(self, filename="", name=None):
        if filename:
            raise NotImplementedError(
                'tf.data.Dataset.cache: `filename` must be "", elements are kept in memory. '
                f"Received: filename={filename!r}"
            )
        return _here(super().cache())

    def prefetch(self, buffer_size, name=None):
        return _here(super().prefetch(int(buffer_size)))

    def repeat(self, count=None, name=None):
        return _here(super().repeat(count))

    def take(self, count, name=None):
        return _here(super().take(int(count)))

    def skip(self, count, name=None):
        return _here(super().skip(int(count)))

    def shard(self, num_shards, index, name=None):
        """Every `num_shards`-th element, from `index` on."""
        return (
            self.enumerate()
            .filter(lambda number, _: int(number) % num_shards == index)
            .map(lambda _, element: element)
        )

    def with_options(self, options, name=None):
        return self

    def apply(self, transformation_func):
        return transformation_func(self)

    def reduce(self, initial_state, reduce_func, name=None):
        state = initial_state
        for element in self:
            state = reduce_func(state, element)
        return state

    def cardinality(self, name=None):
        return Tensor(np.array(super().cardinality(), "int64"))


class Options:
    """What tells TensorFlow how to run a dataset; any attribute may be set, none means anything."""

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        setattr(self, name, Options())
        return getattr(self, name)


def _of_list(items):
    items = list(items)
    return Dataset(lambda: iter(items), len(items))


def _is_shape(value):
    return all(size is None or isinstance(size, int) for size in value)


def _extended(part, shapes):
    """The tensors of a batch with zeros up to the sizes that are given, nested alike."""
    if isinstance(shapes, dict):
        return {name: _extended(part[name], shape) for name, shape in shapes.items()}
    if _is_shape(shapes):
        return _with_zeros(part, shapes)
    return tuple(_extended(one, shape) for one, shape in zip(part, shapes, strict=True))


def _with_zeros(tensor, shape):
    wanted = [
        have if n in (None, -1) else n for n, have in zip(shape, tensor.shape[1:], strict=True)
    ]
    if any(n < have for n, have in zip(wanted, tensor.shape[1:], strict=True)):
        raise ValueError(
            "tf.data.Dataset.padded_batch: `padded_shapes` must not be smaller than an element. "
            f"Received: {tuple(shape)} for elements of shape {tensor.shape[1:]}"
        )
    zeros = [(0, n - have) for n, have in zip(wanted, tensor.shape[1:], strict=True)]
    return ops.pad(tensor, [(0, 0), *zeros])


def _as_tensors(structure):
    """A list stands for an array, tuples and dicts for parts; Python's integers are int32."""
    if isinstance(structure, dict):
        return {key: _as_tensors(value) for key, value in structure.items()}
    if isinstance(structure, tuple):
        return tuple(_as_tensors(value) for value in structure)
    return ops.convert_to_tensor(structure)
