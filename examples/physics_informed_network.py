"""A network that solves a differential equation: derivatives with respect to the input.

python examples/physics_informed_network.py                # on kerasmirror
python examples/physics_informed_network.py --real-keras   # the same script on Keras

u'' + 2 d u' + w^2 u = 0 with u(0) = 1 and u'(0) = 0, a damped oscillation. The network u(t) is
trained on the equation alone (Raissi et al. 2019, https://doi.org/10.1016/j.jcp.2018.10.045).

The loss needs u' and u'', and training their gradients with respect to the weights. Each layer
carries the derivatives with respect to t along with its values, by the chain rule (forward mode).
They are ordinary tensors then, which one gradient tape differentiates.
"""

import numpy as np
from _common import GradientTape, keras, parse, report

layers, ops = keras.layers, keras.ops


class TanhWithDerivatives(layers.Layer):
    """y = tanh(x W + b), with y' and y'' from x' and x''."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(units)

    def build(self, shapes):
        self.dense.build(shapes[0])

    def call(self, inputs):
        x, dx, ddx = inputs
        y = ops.tanh(self.dense(x))
        dz, ddz = ops.matmul(dx, self.dense.kernel), ops.matmul(ddx, self.dense.kernel)
        slope = 1 - ops.square(y)  # tanh'; tanh'' is -2 tanh tanh'
        return y, slope * dz, slope * ddz - 2 * y * slope * ops.square(dz)


class Oscillation(keras.Model):
    """u(t) with its derivatives, and the mean square of what the equation leaves."""

    def __init__(self, units, damping, frequency, **kwargs):
        super().__init__(**kwargs)
        self.damping, self.frequency = damping, frequency
        self.hidden = [TanhWithDerivatives(units) for _ in range(2)]
        self.last = layers.Dense(1)
        self.tracker = keras.metrics.Mean(name="loss")

    @property
    def metrics(self):
        return [self.tracker]

    def derivatives(self, t):
        """(u, u', u'') at the times t, of shape (n, 1)."""
        values = t, ops.ones_like(t), ops.zeros_like(t)
        for layer in self.hidden:
            values = layer(values)
        u = self.last(values[0])
        return u, ops.matmul(values[1], self.last.kernel), ops.matmul(values[2], self.last.kernel)

    def call(self, t):
        # u(0) = 1 and u'(0) = 0, whatever the network gives.
        return 1 + ops.square(t) * self.derivatives(t)[0]

    def residual(self, t):
        n, dn, ddn = self.derivatives(t)
        u = 1 + ops.square(t) * n
        du = 2 * t * n + ops.square(t) * dn
        ddu = 2 * n + 4 * t * dn + ops.square(t) * ddn
        return ddu + 2 * self.damping * du + self.frequency**2 * u

    def train_step(self, data):
        t, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        with GradientTape() as tape:
            loss = ops.mean(ops.square(self.residual(t)))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        self.tracker.update_state(loss)
        return {"loss": self.tracker.result()}


def solution(t, damping, frequency):
    """The oscillation itself."""
    omega = np.sqrt(frequency**2 - damping**2)
    return np.exp(-damping * t) * (np.cos(omega * t) + damping / omega * np.sin(omega * t))


def main(arguments=None):
    options = parse(__doc__, epochs=1500, arguments=arguments)
    keras.utils.set_random_seed(options.seed)
    damping, frequency = 0.3, 2.0
    t = np.linspace(0, 3, 32 if options.quick else 64, dtype="float32")[:, np.newaxis]
    model = Oscillation(16 if options.quick else 32, damping, frequency)
    model(t)
    model.compile(optimizer=keras.optimizers.Adam(1e-2 if options.quick else 5e-3))
    history = model.fit(
        t, batch_size=options.batch_size, epochs=options.epochs, shuffle=False, verbose=0
    )
    error = np.abs(model.predict(t, verbose=0) - solution(t, damping, frequency)).max()
    losses = history.history["loss"]
    text = f"residual {losses[0]:.3g} -> {losses[-1]:.3g}, largest error of u {error:.3g}"
    return report(options, {"loss": losses, "error": [float(error)]}, text)


if __name__ == "__main__":
    main()
