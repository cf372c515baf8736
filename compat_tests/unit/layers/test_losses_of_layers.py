"""What `add_loss` keeps while sublayers are built on placeholders."""

import numpy as np

import kerasmirror as keras


class Penalized(keras.layers.Layer):
    def call(self, inputs):
        self.add_loss(keras.ops.mean(keras.ops.square(inputs)))
        return inputs


class Nested(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(2)
        self.penalized = Penalized()

    def call(self, inputs):
        return self.penalized(self.dense(inputs))


class Outer(keras.Model):
    def __init__(self):
        super().__init__()
        self.nested = Nested()

    def call(self, inputs):
        return self.nested(inputs)


def test_the_call_that_builds_sublayers_adds_one_loss():
    model = Outer()
    x = np.ones((3, 2), np.float32)
    outputs = model(x)
    (loss,) = model.losses
    np.testing.assert_allclose(loss, np.mean(np.square(outputs)), rtol=1e-6)


def test_a_graph_of_placeholders_has_no_loss():
    inputs = keras.Input((2,))
    model = keras.Model(inputs, Penalized()(inputs))
    assert model.losses == []
    model(np.full((3, 2), 2, np.float32))
    assert [float(loss) for loss in model.losses] == [4.0]
