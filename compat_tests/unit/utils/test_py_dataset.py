import itertools
import threading
import time

import pytest

from kerasmirror.utils import PyDataset, Sequence


class Squares(PyDataset):
    def __init__(self, count=6, **kwargs):
        super().__init__(**kwargs)
        self.count = count
        self.threads = set()

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        self.threads.add(threading.current_thread().name)
        time.sleep(0.002 * (index % 3))
        if index == 13:
            raise RuntimeError("unlucky")
        return index * index


def test_it_iterates_over_its_batches():
    assert list(Squares()) == [0, 1, 4, 9, 16, 25]
    assert Squares().num_batches == 6


def test_sequence_is_the_same_class():
    assert Sequence is PyDataset


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"workers": 3},
        {"workers": 3, "max_queue_size": 1},
        {"workers": 2, "use_multiprocessing": True},
    ],
)
def test_batches_come_in_the_order_asked_for(options):
    dataset = Squares(**options)
    assert list(dataset.batches_at([4, 0, 3, 3, 1])) == [16, 0, 9, 9, 1]


def test_workers_do_the_work():
    dataset = Squares(workers=3)
    list(dataset.batches_at(range(12)))
    assert threading.current_thread().name not in dataset.threads
    assert len(dataset.threads) > 1


@pytest.mark.parametrize("workers", [1, 2])
def test_positions_may_have_no_end(workers):
    batches = Squares(workers=workers).batches_at(itertools.count())
    assert list(itertools.islice(batches, 3)) == [0, 1, 4]
    batches.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_comes_out_where_its_batch_is_due(workers):
    batches = Squares(workers=workers).batches_at([2, 13, 3])
    assert next(batches) == 4
    with pytest.raises(RuntimeError, match="unlucky"):
        next(batches)


def test_a_class_that_forgot_super_is_warned_about():
    class Forgot(PyDataset):
        def __init__(self):
            pass

    with pytest.warns(UserWarning, match="Forgot: call `super"):
        assert Forgot().workers == 1


def test_what_a_subclass_must_write():
    with pytest.raises(NotImplementedError, match="PyDataset must implement `__getitem__"):
        PyDataset()[0]
    with pytest.raises(NotImplementedError, match="PyDataset must implement `__len__"):
        PyDataset().num_batches  # noqa: B018


def test_options_can_be_set_later():
    dataset = Squares()
    dataset.workers, dataset.use_multiprocessing, dataset.max_queue_size = 2, True, 3
    assert (dataset.workers, dataset.use_multiprocessing, dataset.max_queue_size) == (2, True, 3)
