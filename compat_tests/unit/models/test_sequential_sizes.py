"""A Sequential model goes along with other sizes as far as its layers do."""

import numpy as np
import pytest

import kerasmirror as keras


@pytest.mark.parametrize("declared", [True, False])
def test_convolutions_take_images_of_other_sizes(declared):
    layers = [keras.layers.Conv2D(3, 3), keras.layers.GlobalAveragePooling2D()]
    model = keras.Sequential([keras.Input((8, 8, 2)), *layers] if declared else layers)
    small, large = np.ones((2, 8, 8, 2), "float32"), np.ones((3, 9, 12, 2), "float32")
    assert model(small).shape == (2, 3)
    np.testing.assert_allclose(model(large)[:2], model(small), rtol=1e-5)
    assert model.predict(large, verbose=0).shape == (3, 3)


def test_sizes_that_a_layer_cannot_take_are_told_with_those_of_the_model():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)], name="net")
    with pytest.raises(ValueError) as raised:
        model(np.ones((2, 5), "float32"))
    assert str(raised.value) == (
        "Sequential 'net': `inputs` must have shape (None, 4). Received: inputs of shape (2, 5)"
    )
