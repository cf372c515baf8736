"""A generative adversarial network of points on a ring: two models, two optimizers.

python examples/adversarial_network.py                # on kerasmirror
python examples/adversarial_network.py --real-keras   # the same script on Keras

The generator turns noise into points, the discriminator tells them from real ones, and each learns
from the other's mistakes (Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661).
"""

import numpy as np
from _common import GradientTape, keras, parse, report

layers, ops = keras.layers, keras.ops


class AdversarialNetwork(keras.Model):
    """A generator and a discriminator, which are trained in turn on each batch."""

    def __init__(self, noise, hidden, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.noise = noise
        self.generator = keras.Sequential(
            [
                keras.Input((noise,)),
                layers.Dense(hidden, activation="relu"),
                layers.Dense(hidden, activation="relu"),
                layers.Dense(2),
            ],
            name="generator",
        )
        self.discriminator = keras.Sequential(
            [
                keras.Input((2,)),
                layers.Dense(hidden),
                layers.LeakyReLU(negative_slope=0.2),
                layers.Dense(hidden),
                layers.LeakyReLU(negative_slope=0.2),
                layers.Dense(1),
            ],
            name="discriminator",
        )
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.d_tracker = keras.metrics.Mean(name="d_loss")
        self.g_tracker = keras.metrics.Mean(name="g_loss")
        self.built = True

    @property
    def metrics(self):
        return [self.d_tracker, self.g_tracker]

    def compile(self, d_optimizer, g_optimizer):
        super().compile()
        self.d_optimizer, self.g_optimizer = d_optimizer, g_optimizer
        d_optimizer.build(self.discriminator.trainable_variables)
        g_optimizer.build(self.generator.trainable_variables)
        self.loss_of = keras.losses.BinaryCrossentropy(from_logits=True)

    def call(self, noise):
        return self.generator(noise)

    def draw(self, count):
        return keras.random.normal((count, self.noise), seed=self.seed_generator)

    def train_step(self, data):
        real, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        count = ops.shape(real)[0]
        is_real, is_made = ops.ones((count, 1)), ops.zeros((count, 1))
        made = self.generator(self.draw(count))
        with GradientTape() as tape:
            d_loss = self.loss_of(is_real, self.discriminator(real))
            d_loss = d_loss + self.loss_of(is_made, self.discriminator(made))
        weights = self.discriminator.trainable_variables
        self.d_optimizer.apply_gradients(zip(tape.gradient(d_loss, weights), weights, strict=True))
        with GradientTape() as tape:
            made = self.generator(self.draw(count))
            g_loss = self.loss_of(is_real, self.discriminator(made))
        weights = self.generator.trainable_variables
        self.g_optimizer.apply_gradients(zip(tape.gradient(g_loss, weights), weights, strict=True))
        self.d_tracker.update_state(d_loss)
        self.g_tracker.update_state(g_loss)
        return {"d_loss": self.d_tracker.result(), "g_loss": self.g_tracker.result()}


def ring(count, seed=0):
    """Points around eight places on a circle of radius 2."""
    rng = np.random.default_rng(seed)
    angles = rng.integers(0, 8, count) * (np.pi / 4)
    places = 2 * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    return (places + 0.1 * rng.standard_normal((count, 2))).astype("float32")


def main(arguments=None):
    options = parse(__doc__, epochs=40, arguments=arguments)
    keras.utils.set_random_seed(options.seed)
    points = ring(64 if options.quick else 4096)
    model = AdversarialNetwork(4, 16 if options.quick else 64, seed=options.seed)
    model.compile(keras.optimizers.Adam(1e-3, beta_1=0.5), keras.optimizers.Adam(1e-3, beta_1=0.5))
    history = model.fit(
        points, batch_size=options.batch_size, epochs=options.epochs, verbose=options.verbose
    )
    made = ops.convert_to_numpy(model.generator(model.draw(500)))
    radius = np.linalg.norm(made, axis=-1)
    text = f"radius of the made points {radius.mean():.2f} +- {radius.std():.2f} (real: 2.00)"
    return report(options, history.history, text)


if __name__ == "__main__":
    main()
