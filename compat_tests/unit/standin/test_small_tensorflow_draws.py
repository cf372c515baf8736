"""What `tf.random` and `tf.data` draw, which leaves Keras's own draws as they are."""

import random

import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror.standin import small_tensorflow as tf

DRAWS = {
    "normal": lambda: tf.random.normal((4,)),
    "uniform": lambda: tf.random.uniform((4,)),
    "integers": lambda: tf.random.uniform((4,), maxval=2**20, dtype="int32"),
    "truncated": lambda: tf.random.truncated_normal((4,)),
    "gamma": lambda: tf.random.gamma((4,), 2.0),
    "shuffle": lambda: tf.random.shuffle(np.arange(100)),
    "dropout": lambda: tf.nn.dropout(np.ones(100, "float32"), 0.5),
    "dataset": lambda: np.array(list(tf.data.Dataset.range(100).shuffle(100).as_numpy_iterator())),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_a_draw_leaves_initial_weights_alone_and_follows_the_seed(draw):
    keras.utils.set_random_seed(5)
    before = random.getstate()
    first, second = np.asarray(draw()), np.asarray(draw())
    assert random.getstate() == before
    assert not np.array_equal(first, second)
    tf.random.set_seed(5)
    np.testing.assert_array_equal(draw(), first)
    tf.random.set_seed(6)
    assert not np.array_equal(draw(), first)


def test_each_pass_over_a_shuffled_dataset_has_another_order():
    dataset = tf.data.Dataset.range(100).shuffle(100)
    first, second = (list(map(int, dataset)) for _ in range(2))
    assert first != second and sorted(first) == sorted(second) == list(range(100))
