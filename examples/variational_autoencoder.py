"""A variational autoencoder of digits: a subclassed model with a training step of its own.

python examples/variational_autoencoder.py                # on kerasmirror
python examples/variational_autoencoder.py --real-keras   # the same script on Keras

The encoder gives a normal distribution for each picture, a sample of which the decoder turns back
into the picture. The loss is the picture's cross-entropy plus the distance of the distribution from
the standard normal one (Kingma and Welling 2014, https://arxiv.org/abs/1312.6114).
"""

from _common import GradientTape, digits, keras, parse, report

layers, ops = keras.layers, keras.ops


class Sampling(layers.Layer):
    """`mean + exp(log_variance / 2) * noise`: a sample through which gradients flow."""

    def __init__(self, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs):
        mean, log_variance = inputs
        noise = keras.random.normal(ops.shape(mean), seed=self.seed_generator)
        return mean + ops.exp(0.5 * log_variance) * noise


class VariationalAutoencoder(keras.Model):
    """Encoder, sampling, decoder; pictures are rows of pixels from 0 to 1."""

    def __init__(self, pixels, hidden, latent, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.encoder = keras.Sequential([layers.Dense(hidden, activation="relu")], name="encoder")
        self.mean = layers.Dense(latent, name="mean")
        self.log_variance = layers.Dense(latent, name="log_variance")
        self.sampling = Sampling(seed)
        self.decoder = keras.Sequential(
            [layers.Dense(hidden, activation="relu"), layers.Dense(pixels)], name="decoder"
        )
        self.trackers = [
            keras.metrics.Mean(name=name) for name in ("loss", "reconstruction", "divergence")
        ]

    @property
    def metrics(self):
        return self.trackers

    def encode(self, x):
        hidden = self.encoder(x)
        return self.mean(hidden), self.log_variance(hidden)

    def call(self, x):
        return ops.sigmoid(self.decoder(self.sampling(self.encode(x))))

    def losses_of(self, x):
        mean, log_variance = self.encode(x)
        logits = self.decoder(self.sampling([mean, log_variance]))
        pixels = ops.binary_crossentropy(x, logits, from_logits=True)
        reconstruction = ops.mean(ops.sum(pixels, axis=-1))
        spread = 1 + log_variance - ops.square(mean) - ops.exp(log_variance)
        divergence = ops.mean(-0.5 * ops.sum(spread, axis=-1))
        return reconstruction + divergence, reconstruction, divergence

    def train_step(self, data):
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        with GradientTape() as tape:
            losses = self.losses_of(x)
        gradients = tape.gradient(losses[0], self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        for tracker, loss in zip(self.trackers, losses, strict=True):
            tracker.update_state(loss)
        return {tracker.name: tracker.result() for tracker in self.trackers}


def main(arguments=None):
    options = parse(__doc__, epochs=10, arguments=arguments)
    keras.utils.set_random_seed(options.seed)
    (x, _), _, _ = digits(options)
    x = x.reshape(len(x), -1)
    hidden, latent = (24, 2) if options.quick else (256, 8)
    model = VariationalAutoencoder(x.shape[1], hidden, latent, seed=options.seed)
    model.compile(optimizer=keras.optimizers.Adam(2e-3))
    history = model.fit(
        x, batch_size=options.batch_size, epochs=options.epochs, verbose=options.verbose
    )
    last = {name: values[-1] for name, values in history.history.items()}
    return report(
        options,
        history.history,
        f"loss {last['loss']:.2f} = reconstruction {last['reconstruction']:.2f} "
        f"+ divergence {last['divergence']:.2f}",
    )


if __name__ == "__main__":
    main()
