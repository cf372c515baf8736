"""Gradients of gradients as Keras's guides use them: real Keras on TensorFlow beside ours."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.keras


def tape_of(keras):
    if keras.__name__ == "keras":
        import tensorflow

        return tensorflow.GradientTape
    return keras.autodiff.GradientTape


def critic(keras, kind):
    layers = keras.layers
    head = [layers.Flatten(), layers.Dense(5, activation="tanh"), layers.Dense(1)]
    stacks = {
        "strided": [
            layers.Conv2D(4, 3, strides=2, padding="same"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Conv2D(6, 3, padding="same", activation="relu"),
            layers.Dropout(0.0),
        ],
        "pooled": [
            layers.Conv2D(4, 3, activation="elu"),
            layers.MaxPooling2D(2),
            layers.AveragePooling2D(2, strides=1),
            layers.Conv2D(4, 2, groups=2, activation="silu"),
        ],
        "smooth": [
            layers.UpSampling2D(2),
            layers.Conv2D(3, 3, activation="softplus"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(6, activation="gelu"),
            layers.Dense(6, activation="softmax"),
        ],
    }
    model = keras.Sequential([keras.Input((8, 8, 2)), *stacks[kind], *head])
    rng = np.random.default_rng(4)
    model.set_weights([rng.normal(size=w.shape).astype("float32") * 0.4 for w in model.weights])
    return model


def penalized_training(keras, kind, steps=3):
    """[(loss, penalty) of each step], and the weights after them: WGAN-GP's critic."""
    ops, tape_class = keras.ops, tape_of(keras)
    model = critic(keras, kind)
    optimizer = keras.optimizers.SGD(1e-3, momentum=0.5)
    rng = np.random.default_rng(0)
    curve = []
    for _ in range(steps):
        real, fake = [rng.normal(size=(6, 8, 8, 2)).astype("float32") for _ in range(2)]
        mixed = real + rng.uniform(size=(6, 1, 1, 1)).astype("float32") * (fake - real)
        real, fake, mixed = [ops.convert_to_tensor(x) for x in (real, fake, mixed)]
        with tape_class() as tape:
            cost = ops.mean(model(fake, training=True)) - ops.mean(model(real, training=True))
            with tape_class() as inner:
                inner.watch(mixed)
                found = model(mixed, training=True)
            slopes = inner.gradient(found, [mixed])[0]
            norms = ops.sqrt(ops.sum(ops.square(slopes), axis=[1, 2, 3]))
            penalty = ops.mean((norms - 1.0) ** 2)
            loss = cost + 10.0 * penalty
        gradients = tape.gradient(loss, model.trainable_weights)
        optimizer.apply_gradients(
            [(g, w) for g, w in zip(gradients, model.trainable_weights, strict=True)]
        )
        curve.append((float(loss), float(penalty)))
    return curve, model.get_weights()


@pytest.mark.parametrize("kind", ["strided", "pooled", "smooth"])
def test_a_critic_with_a_penalty_on_gradients_trains_as_in_keras(kind, real_keras):
    import kerasmirror

    theirs, their_weights = real_keras.call(penalized_training, kind)
    ours, our_weights = penalized_training(kerasmirror, kind)
    np.testing.assert_allclose(ours, theirs, rtol=2e-5)
    for ours, theirs in zip(our_weights, their_weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5)


def hessian(keras):
    ops, tape_class = keras.ops, tape_of(keras)
    x = ops.convert_to_tensor(np.array([0.3, -1.2, 2.0], "float32"))
    with tape_class() as outer:
        outer.watch(x)
        with tape_class() as inner:
            inner.watch(x)
            y = ops.sum(ops.exp(ops.sin(x)) * ops.logsumexp(x) / (1.0 + x * x))
        slopes = inner.gradient(y, x)
    return np.asarray(outer.jacobian(slopes, x))


def test_hessians_are_those_of_keras(real_keras):
    import kerasmirror

    np.testing.assert_allclose(hessian(kerasmirror), real_keras.call(hessian), rtol=1e-5, atol=1e-6)
