"""Dataset: what its methods give, and that models train on one as on arrays."""

import threading

import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror import ops

Dataset = keras.utils.Dataset


def numbers(n=10):
    return Dataset.from_tensor_slices(np.arange(n, dtype="int32"))


def values(dataset):
    return [element.tolist() for element in dataset.as_numpy_iterator()]


def test_slices_are_rows_of_every_array_of_a_nest():
    x, y = np.arange(6.0).reshape(3, 2), np.array([1, 2, 3])
    dataset = Dataset.from_tensor_slices({"x": x, "pair": (y, ["a", "b", "c"])})
    rows = list(dataset)
    assert len(dataset) == dataset.cardinality() == len(rows) == 3
    assert rows[1]["x"].tolist() == [2.0, 3.0]
    assert rows[1]["x"].dtype == "float64"
    assert rows[1]["pair"][0].item() == 2
    assert rows[1]["pair"][1].item() == b"b" and rows[1]["pair"][1].dtype == "string"
    assert Dataset.from_tensor_slices([1.0, 2.0]).batch(2).take(1).__iter__().__next__().dtype == (
        "float32"
    )


def test_batches_take_skip_and_repeat():
    assert values(numbers().batch(4)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert values(numbers().batch(4, drop_remainder=True)) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert values(numbers().skip(7)) == [7, 8, 9]
    assert values(numbers().take(3)) == [0, 1, 2]
    assert values(numbers().take(-1)) == list(range(10))
    assert values(numbers().skip(-1)) == []
    assert values(numbers(2).repeat(2).batch(3)) == [[0, 1, 0], [1]]
    assert values(numbers(2).repeat().take(5)) == [0, 1, 0, 1, 0]
    assert values(numbers(0).repeat()) == []
    assert values(numbers(3).concatenate(numbers(2))) == [0, 1, 2, 0, 1]
    assert values(numbers(4).batch(2).unbatch()) == [0, 1, 2, 3]


def test_cardinality_is_known_as_far_as_it_can_be():
    data = numbers()
    for dataset, count in (
        (data.batch(4), 3),
        (data.batch(4, drop_remainder=True), 2),
        (data.batch(5), 2),
        (data.take(20), 10),
        (data.skip(20), 0),
        (data.repeat(3), 30),
        (data.repeat(), -1),
        (data.repeat().take(7), 7),
        (data.filter(lambda x: x > 3), -2),
        (data.map(lambda x: x).shuffle(4).prefetch(2).cache(), 10),
        (data.concatenate(data), 20),
        (data.concatenate(data.repeat()), -1),
        (Dataset.zip([data, data.take(4)]), 4),
        (Dataset.zip([data, data.repeat()]), 10),
        (Dataset.from_generator(lambda: iter([1])), -2),
    ):
        assert dataset.cardinality() == count
    with pytest.raises(TypeError) as error:
        len(data.repeat())
    assert str(error.value) == "Dataset: the number of elements is infinite; it has no len()."
    assert repr(data) == "<Dataset: 10 elements>"
    assert repr(data.repeat()) == "<Dataset: no end>"


@pytest.mark.parametrize("calls", [None, 3, -1])
def test_functions_get_the_parts_of_tuples_and_keep_the_order(calls):
    pairs = Dataset.from_tensor_slices((np.arange(20), np.arange(20) * 10))
    found = list(pairs.map(lambda a, b: {"sum": a + b, "list": [a, 1]}, num_parallel_calls=calls))
    assert [element["sum"].item() for element in found] == [11 * n for n in range(20)]
    assert found[3]["list"].tolist() == [3, 1]
    assert values(numbers().filter(lambda x: x % 2 == 0)) == [0, 2, 4, 6, 8]
    assert [(n.item(), x.item()) for n, x in numbers(2).enumerate(5)] == [(5, 0), (6, 1)]


def test_each_pass_shuffles_anew_and_a_seed_fixes_the_passes():
    data = numbers(50)
    first, second = data.shuffle(50, seed=1), data.shuffle(50, seed=1)
    passes = [values(first), values(first)]
    assert passes == [values(second), values(second)]
    assert passes[0] != passes[1]
    assert sorted(passes[0]) == list(range(50)) != passes[0]
    still = data.shuffle(50, seed=1, reshuffle_each_iteration=False)
    assert values(still) == values(still)
    once = data.shuffle(50, reshuffle_each_iteration=False)
    assert values(once) == values(once)
    keras.utils.set_random_seed(3)
    unseeded = values(data.shuffle(50))
    keras.utils.set_random_seed(3)
    assert values(data.shuffle(50)) == unseeded
    # An element is at most a buffer ahead of its place.
    near = values(data.shuffle(5, seed=0))
    assert max(n - place for place, n in enumerate(near)) < 5


def test_orders_of_shuffling_are_equally_likely():
    counts = {}
    dataset = numbers(3).shuffle(3, seed=0)
    for _ in range(3000):
        order = tuple(values(dataset))
        counts[order] = counts.get(order, 0) + 1
    assert len(counts) == 6
    assert all(400 < count < 600 for count in counts.values())


def test_a_cache_is_filled_by_a_whole_pass_only():
    made = []

    def generator():
        for n in range(3):
            made.append(n)
            yield n

    dataset = Dataset.from_generator(generator).cache()
    next(iter(dataset))
    assert values(dataset) == values(dataset) == [0, 1, 2]
    assert made == [0, 0, 1, 2]


def test_prefetching_works_ahead_and_ends_its_thread():
    made = []

    def note(x):
        made.append(int(x))
        return x

    before = threading.active_count()
    iterator = iter(numbers().map(note).prefetch(3))
    assert next(iterator).item() == 0
    iterator.close() if hasattr(iterator, "close") else None
    del iterator
    assert 1 <= len(made) <= 5
    assert threading.active_count() == before
    assert values(numbers(4).prefetch(-1)) == values(numbers(4).prefetch(0)) == [0, 1, 2, 3]


@pytest.mark.parametrize("depth", [0, 2])
def test_an_error_in_a_function_comes_where_its_element_is_due(depth):
    def odd(x):
        if int(x) == 2:
            raise RuntimeError("two")
        return x

    seen = []
    with pytest.raises(RuntimeError, match="two"):
        for element in numbers().map(odd, num_parallel_calls=2).prefetch(depth):
            seen.append(element.item())
    assert seen == [0, 1]


def test_padded_batches_fill_with_zeros():
    rows = Dataset.from_generator(lambda: iter([np.ones((1, 2)), np.ones((3, 1))]))
    (batch,) = rows.padded_batch(2).as_numpy_iterator()
    assert batch.tolist() == [[[1, 1], [0, 0], [0, 0]], [[1, 0], [1, 0], [1, 0]]]
    with pytest.raises(ValueError) as error:
        list(rows.batch(2))
    assert str(error.value) == (
        "Dataset.batch: all elements of a batch must have one shape. "
        "Received: shapes [(1, 2), (3, 1)]"
    )


def network(seed=0):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def test_training_on_a_dataset_is_training_on_its_arrays(rng):
    x, y = rng.normal(size=(37, 4)).astype("float32"), rng.integers(0, 3, 37)
    data = Dataset.from_tensor_slices((x, y)).batch(8)
    on_arrays, on_dataset = network(), network()
    expected = on_arrays.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0)
    found = on_dataset.fit(data.prefetch(2), epochs=3, validation_data=data, verbose=0)
    np.testing.assert_allclose(found.history["loss"], expected.history["loss"], rtol=1e-6)
    for a, b in zip(on_dataset.get_weights(), on_arrays.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert on_dataset.evaluate(data, verbose=0) == on_arrays.evaluate(x, y, batch_size=8, verbose=0)
    np.testing.assert_array_equal(
        on_dataset.predict(data, verbose=0), on_arrays.predict(x, batch_size=8, verbose=0)
    )
    np.testing.assert_allclose(
        found.history["val_loss"][-1], on_dataset.evaluate(data, verbose=0)[0], rtol=1e-6
    )


def test_class_weights_endless_data_and_data_of_unknown_length(rng):
    x, y = rng.normal(size=(16, 4)).astype("float32"), rng.integers(0, 3, 16)
    data = Dataset.from_tensor_slices((x, y)).batch(8)
    weights = {0: 1.0, 1: 2.0, 2: 0.5}
    on_arrays, on_dataset = network(), network()
    on_arrays.fit(x, y, batch_size=8, shuffle=False, class_weight=weights, verbose=0)
    on_dataset.fit(data, class_weight=weights, verbose=0)
    np.testing.assert_array_equal(on_dataset.get_weights()[0], on_arrays.get_weights()[0])
    model = network()
    model.fit(data.repeat(), steps_per_epoch=3, epochs=2, verbose=0)
    assert int(model.optimizer.iterations) == 6
    model.fit(data.filter(lambda a, b: True), epochs=2, verbose=0)
    assert int(model.optimizer.iterations) == 10
    with pytest.raises(ValueError) as error:
        model.fit(data.repeat(), verbose=0)
    assert str(error.value) == (
        "keras: `steps_per_epoch` (or `steps`) must be given for a Dataset without end. "
        "Received: a Dataset that repeats for ever"
    )
    with pytest.raises(ValueError, match="`y` must be None when `x` is a Dataset"):
        model.fit(data, y, verbose=0)


def test_layers_can_be_mapped():
    data = Dataset.from_tensor_slices(np.full((4, 2), 255.0, "float32")).batch(2)
    scaled = data.map(keras.layers.Rescaling(1 / 255))
    assert ops.convert_to_numpy(next(iter(scaled))).tolist() == [[1.0, 1.0], [1.0, 1.0]]


MISTAKES = [
    (
        lambda: Dataset.from_tensor_slices((np.zeros(3), np.zeros(2))),
        ValueError,
        "Dataset.from_tensor_slices: `tensors` must be arrays of one length. Received: arrays of "
        "shapes [(3,), (2,)]",
    ),
    (
        lambda: Dataset.from_tensor_slices(3),
        ValueError,
        "Dataset.from_tensor_slices: `tensors` must be arrays of one length. Received: arrays of "
        "shapes [()]",
    ),
    (
        lambda: Dataset.from_generator([1]),
        TypeError,
        "Dataset.from_generator: `generator` must be a function. Received: generator=[1]",
    ),
    (
        lambda: numbers().batch(0),
        ValueError,
        "Dataset.batch: `batch_size` must be an int of at least 1. Received: batch_size=0",
    ),
    (
        lambda: numbers().shuffle(0),
        ValueError,
        "Dataset.shuffle: `buffer_size` must be an int of at least 1. Received: buffer_size=0",
    ),
    (
        lambda: numbers().map(3),
        TypeError,
        "Dataset.map: `map_func` must be a function. Received: map_func=3",
    ),
]


@pytest.mark.parametrize("action,error,text", MISTAKES)
def test_mistakes_are_told(action, error, text):
    with pytest.raises(error) as raised:
        action()
    assert str(raised.value) == text
