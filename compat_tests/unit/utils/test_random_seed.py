import random

import numpy as np
import pytest

from kerasmirror.core import seeds
from kerasmirror.utils.random_seed import set_random_seed


@pytest.fixture(autouse=True)
def restored():
    before = seeds.global_seed()
    states = random.getstate(), np.random.get_state()
    yield
    seeds.set_global_seed(before)
    random.setstate(states[0])
    np.random.set_state(states[1])


def test_python_and_numpy_repeat_after_the_same_seed():
    def draw():
        set_random_seed(11)
        return random.random(), np.random.uniform()

    assert draw() == draw()
    assert draw()[0] == random.Random(11).random()


def test_the_seed_can_be_asked_for():
    set_random_seed(5)
    assert seeds.global_seed() == 5


def test_listeners_hear_of_a_new_seed():
    heard = []
    seeds.on_new_seed(heard.append)
    try:
        set_random_seed(6)
    finally:
        seeds._LISTENERS.remove(heard.append)
    assert heard == [6]


def test_a_seed_that_is_no_int_is_an_error():
    with pytest.raises(ValueError) as raised:
        set_random_seed("7")
    assert str(raised.value) == (
        "set_random_seed: `seed` must be an int. Received: seed='7' (of type <class 'str'>)"
    )
