"""In which order losses and metrics are reported, and models with steps of their own."""

from __future__ import annotations

import numpy as np

import kerasmirror as keras
from kerasmirror import layers

X = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
Y = {"zeta": X[:, :1], "alpha": X[:, :2], "mid": X[:, 2:3]}
LOSSES = {"mid": "mse", "zeta": "mae", "alpha": "mse"}


def of_three_outputs(as_dict=True):
    inputs = keras.Input((4,))
    outputs = {name: layers.Dense(y.shape[1], name=name)(inputs) for name, y in Y.items()}
    model = keras.Model(inputs, outputs if as_dict else list(outputs.values()))
    model.compile("sgd", loss=LOSSES, metrics={"zeta": "mse", "alpha": "mae"})
    return model


def test_losses_of_outputs_in_a_dict_come_in_the_order_of_compile():
    model = of_three_outputs()
    model.fit(X, Y, verbose=0)
    names = ["loss", "compile_metrics", "mid_loss", "zeta_loss", "alpha_loss"]
    assert model.metrics_names == names
    results = model.evaluate(X, Y, verbose=0, return_dict=True)
    expected = ["loss", "mid_loss", "zeta_loss", "alpha_loss", "alpha_mae", "zeta_mse"]
    assert model.evaluate(X, Y, verbose=0) == [results[name] for name in expected]


def test_losses_of_outputs_in_a_list_come_in_their_order():
    model = of_three_outputs(as_dict=False)
    model.fit(X, list(Y.values()), verbose=0)
    assert model.metrics_names[2:] == ["zeta_loss", "alpha_loss", "mid_loss"]


def test_dicts_of_results_are_sorted():
    model = of_three_outputs()
    for results in (
        model.evaluate(X, Y, verbose=0, return_dict=True),
        model.train_on_batch(X, Y, return_dict=True),
        model.test_on_batch(X, Y, return_dict=True),
        model.fit(X, Y, verbose=0).history,
    ):
        assert list(results) == sorted(results)


class Triplets(keras.Model):
    """Its batches are three inputs; `call` takes what `train_step` gives it, not the first one."""

    def __init__(self):
        super().__init__()
        self.embed = layers.Dense(2)

    def call(self, inputs):
        return [self.embed(one) for one in inputs]

    def train_step(self, data):
        with keras.autodiff.GradientTape() as tape:
            anchor, positive, negative = self(data)
            loss = keras.ops.mean((anchor - positive) ** 2 - (anchor - negative) ** 2)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        return {"loss": loss}

    def test_step(self, data):
        return {"parts": len(self(data))}


def test_a_step_of_ones_own_calls_the_model_with_what_it_likes():
    model = Triplets()
    model.compile("sgd")
    data = keras.utils.Dataset.from_tensor_slices((X, X[::-1].copy(), X * 2)).batch(4)
    assert model.evaluate(data, verbose=0, return_dict=True) == {"parts": 3.0}
    assert np.isfinite(model.fit(data, verbose=0).history["loss"]).all()
    assert model.embed.kernel.shape == (4, 2)
