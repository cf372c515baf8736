"""The operations that scripts/bench_ops.py times: shapes, work, our kernel, TensorFlow's operation.

Both processes make the same inputs from the case's name, so that results can be compared.
"""

import math
import zlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from kerasmirror.kernels.geometry import ConvGeometry, PoolGeometry, window_output

SEED = (7, 3)
RATE = 0.25
ADAM = {"lr": 1e-3, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
# (rows, inputs, outputs) of the paper's dense layers.
DENSE = (
    (128, 784, 128),
    (128, 784, 512),
    (128, 512, 512),
    (128, 3072, 512),
    (128, 2048, 128),
    (128, 12544, 128),
    (128, 128, 10),
    (28, 4096, 64),
)
# (images, side, channels, window, filters) of its convolutions.
CONVOLUTIONS = (
    (128, 28, 1, 7, 64),
    (128, 28, 1, 5, 32),
    (128, 14, 64, 5, 128),
    (128, 28, 32, 5, 32),
    (128, 14, 32, 3, 64),
    (128, 14, 64, 3, 128),
    (128, 7, 128, 3, 128),
    (128, 32, 3, 3, 32),
    (128, 32, 3, 7, 32),
    (128, 32, 32, 3, 32),
    (128, 16, 32, 5, 64),
    (128, 16, 64, 3, 64),
    (128, 8, 128, 3, 128),
    (28, 64, 1, 5, 8),
    (28, 64, 8, 5, 8),
    (28, 64, 1, 9, 16),
    (28, 16, 8, 3, 16),
)
# (images, side, channels, window)
POOLS = ((128, 28, 64, 2), (128, 32, 32, 2), (128, 8, 128, 2), (28, 64, 8, 4), (28, 64, 8, 2))
DROPOUTS = ((128, 512), (128, 16, 16, 32), (128, 14, 14, 64))
CLASSES = ((28, 40), (128, 10), (4096, 1000))
PARAMETERS = (33136, 550570, 2103818)


class Case(NamedTuple):
    """One operation and shape; `work` is in float operations or in bytes, as `unit` says."""

    name: str
    unit: str  # "GFLOP/s" or "GB/s"
    work: float
    inputs: Callable  # (rng) -> dictionary of arrays
    ours: Callable  # (kernels, inputs) -> function without arguments
    theirs: Callable  # (tensorflow, inputs) -> the same

    def arrays(self):
        """The inputs, the same in every process."""
        return self.inputs(np.random.default_rng(zlib.crc32(self.name.encode())))


def _normal(rng, *shape):
    return rng.standard_normal(shape, dtype=np.float32)


def _graph(tf, function, *arrays):
    """A function of constant tensors as TensorFlow's graph, where it fuses what it can."""
    compiled = tf.function(function)
    tensors = [tf.constant(array) for array in arrays]
    return lambda: compiled(*tensors)


def dense_cases():
    for m, k, n in DENSE:
        text = f"{m} x {k} -> {n}"

        def inputs(rng, m=m, k=k, n=n):
            return {
                "x": _normal(rng, m, k),
                "w": _normal(rng, k, n) / k**0.5,
                "b": _normal(rng, n),
                "dy": _normal(rng, m, n),
            }

        work = 2.0 * m * k * n
        yield Case(
            f"dense, bias, relu {text}",
            "GFLOP/s",
            work,
            inputs,
            lambda kernels, a: lambda: kernels.dense(a["x"], a["w"], a["b"], "relu"),
            lambda tf, a: _graph(
                tf,
                lambda x, w, b: tf.nn.relu(tf.nn.bias_add(tf.matmul(x, w), b)),
                *(a[name] for name in "xwb"),
            ),
        )
        yield Case(
            f"dense, gradient of inputs {text}",
            "GFLOP/s",
            work,
            inputs,
            lambda kernels, a: lambda: kernels.dense_grad_input(a["dy"], a["w"]),
            lambda tf, a: _graph(
                tf, lambda dy, w: tf.matmul(dy, w, transpose_b=True), a["dy"], a["w"]
            ),
        )
        yield Case(
            f"dense, gradient of weights {text}",
            "GFLOP/s",
            work,
            inputs,
            lambda kernels, a: lambda: kernels.dense_grad_kernel(a["x"], a["dy"]),
            lambda tf, a: _graph(
                tf, lambda x, dy: tf.matmul(x, dy, transpose_a=True), a["x"], a["dy"]
            ),
        )


def convolution_cases():
    for n, side, channels, window, filters in CONVOLUTIONS:
        text = f"{n} x {side} x {side} x {channels}, {window} x {window} -> {filters}"
        out, pad = window_output(side, window, 1, 1, "same")
        geometry = ConvGeometry((1, 1), (pad, pad), (1, 1), 1, (out, out))
        x_shape, w_shape = (n, side, side, channels), (window, window, channels, filters)

        def inputs(rng, x_shape=x_shape, w_shape=w_shape):
            return {
                "x": _normal(rng, *x_shape),
                "w": _normal(rng, *w_shape) / math.prod(w_shape[:3]) ** 0.5,
                "b": _normal(rng, w_shape[3]),
                "dy": _normal(rng, *x_shape[:3], w_shape[3]),
            }

        work = 2.0 * n * out * out * window * window * channels * filters
        yield Case(
            f"convolution, bias, relu {text}",
            "GFLOP/s",
            work,
            inputs,
            lambda kernels, a, g=geometry: (
                lambda: kernels.conv2d(a["x"], a["w"], a["b"], g, "relu")
            ),
            lambda tf, a: _graph(
                tf,
                lambda x, w, b: tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, w, 1, "SAME"), b)),
                *(a[name] for name in "xwb"),
            ),
        )
        if channels > 3:  # else it is the first layer, whose input has no gradient
            yield Case(
                f"convolution, gradient of inputs {text}",
                "GFLOP/s",
                work,
                inputs,
                lambda kernels, a, g=geometry, shape=x_shape: (
                    lambda: kernels.conv2d_grad_input(a["dy"], a["w"], shape, g)
                ),
                lambda tf, a, shape=x_shape: _graph(
                    tf,
                    lambda dy, w: tf.raw_ops.Conv2DBackpropInput(
                        input_sizes=shape,
                        filter=w,
                        out_backprop=dy,
                        strides=[1] * 4,
                        padding="SAME",
                    ),
                    a["dy"],
                    a["w"],
                ),
            )
        yield Case(
            f"convolution, gradient of weights {text}",
            "GFLOP/s",
            work,
            inputs,
            lambda kernels, a, g=geometry, shape=w_shape: (
                lambda: kernels.conv2d_grad_kernel(a["dy"], a["x"], shape, g)
            ),
            lambda tf, a, shape=w_shape: _graph(
                tf,
                lambda dy, x: tf.raw_ops.Conv2DBackpropFilter(
                    input=x, filter_sizes=shape, out_backprop=dy, strides=[1] * 4, padding="SAME"
                ),
                a["dy"],
                a["x"],
            ),
        )


def pool_cases():
    for n, side, channels, window in POOLS:
        text = f"{n} x {side} x {side} x {channels}, {window} x {window}"
        out = side // window
        geometry = PoolGeometry((window,) * 2, (window,) * 2, ((0, 0), (0, 0)), (out, out))
        kinds = {"ksize": [1, window, window, 1], "strides": [1, window, window, 1]}
        large, small = 4.0 * n * side * side * channels, 4.0 * n * out * out * channels

        def inputs(rng, shape=(n, side, side, channels), out=out, window=window):
            x = _normal(rng, *shape)
            blocks = x.reshape(shape[0], out, window, out, window, shape[3])
            y = np.ascontiguousarray(blocks.max(axis=(2, 4)))
            return {"x": x, "y": y, "dy": _normal(rng, *y.shape)}

        yield Case(
            f"largest of windows {text}",
            "GB/s",
            large + small,
            inputs,
            lambda kernels, a, g=geometry: lambda: kernels.max_pool2d(a["x"], g),
            lambda tf, a, kinds=kinds: _graph(
                tf, lambda x: tf.raw_ops.MaxPool(input=x, padding="VALID", **kinds), a["x"]
            ),
        )
        yield Case(
            f"largest of windows, gradient {text}",
            "GB/s",
            2 * large + 2 * small,
            inputs,
            lambda kernels, a, g=geometry: (
                lambda: kernels.max_pool2d_grad_input(a["dy"], a["x"], a["y"], g)
            ),
            lambda tf, a, kinds=kinds: _graph(
                tf,
                lambda x, y, dy: tf.raw_ops.MaxPoolGrad(
                    orig_input=x, orig_output=y, grad=dy, padding="VALID", **kinds
                ),
                *(a[name] for name in ("x", "y", "dy")),
            ),
        )


def _tf_dropout(tf, x):
    kept = tf.random.stateless_uniform(tf.shape(x), SEED) >= RATE
    return tf.where(kept, x * (1 / (1 - RATE)), 0.0)


def dropout_cases():
    for shape in DROPOUTS:
        yield Case(
            f"dropout {' x '.join(map(str, shape))}",
            "GB/s",
            8.0 * math.prod(shape),
            lambda rng, shape=shape: {"x": _normal(rng, *shape)},
            lambda kernels, a: lambda: kernels.dropout(a["x"], SEED, RATE),
            lambda tf, a: _graph(tf, lambda x: _tf_dropout(tf, x), a["x"]),
        )


def _our_cross_entropy(kernels, a):
    rows = np.ones(a["labels"].shape, np.float32)

    def run():
        loss, p = kernels.sparse_cross_entropy_from_logits(a["x"], a["labels"])
        return loss, kernels.sparse_cross_entropy_from_logits_grad(rows, p, a["labels"])

    return run


def cross_entropy_cases():
    for n, classes in CLASSES:
        yield Case(
            f"softmax, cross-entropy and gradient {n} x {classes}",
            "GB/s",
            8.0 * n * classes,
            lambda rng, n=n, classes=classes: {
                "x": _normal(rng, n, classes),
                "labels": rng.integers(0, classes, n).astype("int32"),
            },
            _our_cross_entropy,
            lambda tf, a: _graph(
                tf,
                lambda x, labels: tuple(
                    tf.raw_ops.SparseSoftmaxCrossEntropyWithLogits(features=x, labels=labels)
                ),
                a["x"],
                a["labels"],
            ),
        )


def _our_adam(kernels, a):
    w, m, v = (a[name].copy() for name in "wmv")
    beta_1, beta_2 = ADAM["beta_1"], ADAM["beta_2"]
    step = ADAM["lr"] * (1 - beta_2) ** 0.5 / (1 - beta_1)

    def run():
        kernels.adam_update(w, a["g"], m, v, step, beta_1, beta_2, ADAM["epsilon"])
        return w

    return run


def _their_adam(tf, a):
    w, m, v = (tf.Variable(a[name]) for name in "wmv")
    g = tf.constant(a["g"])

    @tf.function
    def update():
        tf.raw_ops.ResourceApplyAdam(
            var=w.handle,
            m=m.handle,
            v=v.handle,
            beta1_power=ADAM["beta_1"],
            beta2_power=ADAM["beta_2"],
            lr=ADAM["lr"],
            beta1=ADAM["beta_1"],
            beta2=ADAM["beta_2"],
            epsilon=ADAM["epsilon"],
            grad=g,
        )

    def run():
        update()
        return w

    return run


def adam_cases():
    for n in PARAMETERS:
        yield Case(
            f"Adam {n} parameters",
            "GB/s",
            28.0 * n,
            lambda rng, n=n: {
                "w": _normal(rng, n),
                "g": _normal(rng, n),
                "m": _normal(rng, n),
                "v": _normal(rng, n) ** 2,
            },
            _our_adam,
            _their_adam,
        )


FAMILIES = {
    "dense": dense_cases,
    "convolution": convolution_cases,
    "pool": pool_cases,
    "dropout": dropout_cases,
    "cross-entropy": cross_entropy_cases,
    "adam": adam_cases,
}


def cases(families, containing=""):
    """The cases of some families whose names contain a text."""
    every = [case for family in families for case in FAMILIES[family]()]
    return [case for case in every if containing in case.name]
