"""The operations that scripts/bench_ops.py times: shapes, work, our kernel, TensorFlow's operation.

Shapes are those of the paper's rows. Both processes make the same inputs from the case's name, so
that results can be compared.
"""

import math
import zlib
from collections.abc import Callable
from typing import NamedTuple

import networks
import numpy as np
import op_shapes

from kerasmirror.kernels.geometry import ConvGeometry, PoolGeometry, window_output

SEED = (7, 3)
RATE = 0.25
ADAM = {"lr": 1e-3, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}


class Case(NamedTuple):
    """One operation and shape; `work` is in float operations or in bytes, as `unit` says."""

    name: str
    family: str
    rows: tuple  # of the paper, in which it occurs
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


def empty_graph(tf):
    """A function that calls a graph in which nothing happens."""
    return _graph(tf, tf.identity, np.zeros(1, np.float32))


def _text(shape):
    return " x ".join(map(str, shape))


def dense_cases(rows):
    for shape in op_shapes.layer_shapes("D", rows):
        yield from _dense_case(shape)


def _dense_case(shape):
    m, k, n = shape.batch, *shape.layer.inputs, *shape.layer.outputs
    text, work = f"{m} x {k} -> {n}", 2.0 * m * k * n
    activation = "relu" if shape.layer.activation == "r" else "linear"

    def inputs(rng):
        return {
            "x": _normal(rng, m, k),
            "w": _normal(rng, k, n) / k**0.5,
            "b": _normal(rng, n),
            "dy": _normal(rng, m, n),
        }

    def case(what, ours, theirs):
        return Case(
            f"dense, {what} {text}", "dense", shape.rows, "GFLOP/s", work, inputs, ours, theirs
        )

    def forward(tf, a):
        finish = tf.nn.relu if activation == "relu" else tf.identity
        function = lambda x, w, b: finish(tf.nn.bias_add(tf.matmul(x, w), b))  # noqa: E731
        return _graph(tf, function, a["x"], a["w"], a["b"])

    yield case(
        f"bias, {activation}",
        lambda kernels, a: lambda: kernels.dense(a["x"], a["w"], a["b"], activation),
        forward,
    )
    if not shape.first:
        yield case(
            "gradient of inputs",
            lambda kernels, a: lambda: kernels.dense_grad_input(a["dy"], a["w"]),
            lambda tf, a: _graph(
                tf, lambda dy, w: tf.matmul(dy, w, transpose_b=True), a["dy"], a["w"]
            ),
        )
    yield case(
        "gradient of weights",
        lambda kernels, a: lambda: kernels.dense_grad_kernel(a["x"], a["dy"]),
        lambda tf, a: _graph(tf, lambda x, dy: tf.matmul(x, dy, transpose_a=True), a["x"], a["dy"]),
    )


def convolution_cases(rows):
    for shape in op_shapes.layer_shapes("C", rows):
        yield from _convolution_case(shape)


def _convolution_case(shape):
    n, layer = shape.batch, shape.layer
    x_shape, y_shape, w_shape = (n, *layer.inputs), (n, *layer.outputs), layer.weights[0]
    height, width = (window_output(s, layer.window, 1, 1, "same") for s in layer.inputs[:2])
    geometry = ConvGeometry((1, 1), (height[1], width[1]), (1, 1), 1, (height[0], width[0]))
    window = _text(w_shape[:2])
    text = f"{_text(x_shape)}, {window} -> {w_shape[3]}"

    def inputs(rng):
        return {
            "x": _normal(rng, *x_shape),
            "w": _normal(rng, *w_shape) / math.prod(w_shape[:3]) ** 0.5,
            "b": _normal(rng, w_shape[3]),
            "dy": _normal(rng, *y_shape),
        }

    def case(what, ours, theirs):
        work = float(n * layer.operations)
        name = f"convolution, {what} {text}"
        return Case(name, "convolution", shape.rows, "GFLOP/s", work, inputs, ours, theirs)

    strides = {"strides": [1] * 4, "padding": "SAME"}
    yield case(
        "bias, relu",
        lambda kernels, a: lambda: kernels.conv2d(a["x"], a["w"], a["b"], geometry, "relu"),
        lambda tf, a: _graph(
            tf,
            lambda x, w, b: tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, w, 1, "SAME"), b)),
            *(a[name] for name in "xwb"),
        ),
    )
    if not shape.first:
        yield case(
            "gradient of inputs",
            lambda kernels, a: (
                lambda: kernels.conv2d_grad_input(a["dy"], a["w"], x_shape, geometry)
            ),
            lambda tf, a: _graph(
                tf,
                lambda dy, w: tf.raw_ops.Conv2DBackpropInput(
                    input_sizes=x_shape, filter=w, out_backprop=dy, **strides
                ),
                a["dy"],
                a["w"],
            ),
        )
    yield case(
        "gradient of weights",
        lambda kernels, a: lambda: kernels.conv2d_grad_kernel(a["dy"], a["x"], w_shape, geometry),
        lambda tf, a: _graph(
            tf,
            lambda dy, x: tf.raw_ops.Conv2DBackpropFilter(
                input=x, filter_sizes=w_shape, out_backprop=dy, **strides
            ),
            a["dy"],
            a["x"],
        ),
    )


def pool_cases(rows):
    for shape in op_shapes.layer_shapes("M", rows):
        yield from _pool_case(shape)


def _pool_inputs(shape):
    """A function of a generator: x from relu, its largest values y, and a gradient of y."""
    window, (height, width, channels) = shape.layer.window, shape.layer.outputs

    def inputs(rng):
        x = np.maximum(_normal(rng, shape.batch, *shape.layer.inputs), 0)
        inside = x[:, : height * window, : width * window]
        blocks = inside.reshape(shape.batch, height, window, width, window, channels)
        y = np.ascontiguousarray(blocks.max(axis=(2, 4)))
        return {"x": x, "y": y, "dy": _normal(rng, *y.shape)}

    return inputs


def _pool_case(shape):
    window, outputs = shape.layer.window, shape.layer.outputs
    x_shape = (shape.batch, *shape.layer.inputs)
    geometry = PoolGeometry((window,) * 2, (window,) * 2, ((0, 0), (0, 0)), outputs[:2])
    sizes = [1, window, window, 1]
    kinds = {"ksize": sizes, "strides": sizes, "padding": "VALID"}
    large, small = 4.0 * math.prod(x_shape), 4.0 * shape.batch * math.prod(outputs)
    text, inputs = f"{_text(x_shape)}, {window} x {window}", _pool_inputs(shape)

    def case(what, work, ours, theirs):
        name = f"largest of windows{what} {text}"
        return Case(name, "pool", shape.rows, "GB/s", work, inputs, ours, theirs)

    yield case(
        "",
        large + small,
        lambda kernels, a: lambda: kernels.max_pool2d(a["x"], geometry),
        lambda tf, a: _graph(tf, lambda x: tf.raw_ops.MaxPool(input=x, **kinds), a["x"]),
    )
    yield case(
        ", gradient",
        2 * large + 2 * small,
        lambda kernels, a: lambda: kernels.max_pool2d_grad_input(a["dy"], a["x"], a["y"], geometry),
        lambda tf, a: _graph(
            tf,
            lambda x, y, dy: tf.raw_ops.MaxPoolGrad(orig_input=x, orig_output=y, grad=dy, **kinds),
            *(a[name] for name in ("x", "y", "dy")),
        ),
    )
    yield case(
        ", dropout",
        large + small,
        lambda kernels, a: lambda: kernels.max_pool2d_places(a["x"], geometry, True, SEED, RATE)[0],
        lambda tf, a: _graph(
            tf, lambda x: _tf_dropout(tf, tf.raw_ops.MaxPool(input=x, **kinds)), a["x"]
        ),
    )
    yield case(
        ", dropout, gradient, also of relu and bias",
        large + small,
        lambda kernels, a: _our_pool_gradient(kernels, a, x_shape, geometry),
        lambda tf, a: _their_pool_gradient(tf, a, kinds),
    )


def _our_pool_gradient(kernels, a, x_shape, geometry):
    _, places = kernels.max_pool2d_places(a["x"], geometry, True, SEED, RATE)
    return lambda: kernels.max_pool2d_places_grad_input(a["dy"], places, x_shape, geometry, RATE)


def _their_pool_gradient(tf, a, kinds):
    kept = tf.random.stateless_uniform(a["y"].shape, SEED) >= RATE

    def gradient(kept, x, y, dy):
        dy = tf.where(kept, dy * (1 / (1 - RATE)), 0.0)
        dx = tf.raw_ops.MaxPoolGrad(orig_input=x, orig_output=y, grad=dy, **kinds)
        dx = tf.raw_ops.ReluGrad(gradients=dx, features=x)
        return dx, tf.raw_ops.BiasAddGrad(out_backprop=dx)

    return _graph(tf, gradient, kept, *(a[name] for name in ("x", "y", "dy")))


def _tf_dropout(tf, x):
    kept = tf.random.stateless_uniform(tf.shape(x), SEED) >= RATE
    return tf.where(kept, x * (1 / (1 - RATE)), 0.0)


def dropout_cases(rows):
    for shape in op_shapes.layer_shapes("DR", rows):
        x_shape = (shape.batch, *shape.layer.inputs)
        yield Case(
            f"dropout {_text(x_shape)}",
            "dropout",
            shape.rows,
            "GB/s",
            8.0 * math.prod(x_shape),
            lambda rng, x_shape=x_shape: {"x": _normal(rng, *x_shape)},
            lambda kernels, a: lambda: kernels.dropout(a["x"], SEED, RATE),
            lambda tf, a: _graph(tf, lambda x: _tf_dropout(tf, x), a["x"]),
        )


def _our_cross_entropy(kernels, a):
    rows = np.ones(a["labels"].shape, np.float32)

    def run():
        loss, p = kernels.sparse_cross_entropy_from_logits(a["x"], a["labels"])
        return loss, kernels.sparse_cross_entropy_from_logits_grad(rows, p, a["labels"])

    return run


def _their_cross_entropy(tf, a):
    operation = tf.raw_ops.SparseSoftmaxCrossEntropyWithLogits
    function = lambda x, labels: tuple(operation(features=x, labels=labels))  # noqa: E731
    return _graph(tf, function, a["x"], a["labels"])


def cross_entropy_cases(rows):
    for (n, classes), used in op_shapes.class_shapes(rows).items():
        yield Case(
            f"softmax, cross-entropy and gradient {n} x {classes}",
            "cross-entropy",
            tuple(used),
            "GB/s",
            8.0 * n * classes,
            lambda rng, n=n, classes=classes: {
                "x": _normal(rng, n, classes),
                "labels": rng.integers(0, classes, n).astype("int32"),
            },
            _our_cross_entropy,
            _their_cross_entropy,
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


def adam_cases(rows):
    for n, used in op_shapes.parameter_counts(rows).items():
        yield Case(
            f"Adam {n} parameters",
            "adam",
            tuple(used),
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


def cases(families, rows, containing=""):
    """The cases of some families and rows whose names contain a text."""
    every = [case for family in families for case in FAMILIES[family](rows)]
    return [case for case in every if containing in case.name]


def by_name():
    """Every case of every row."""
    return {case.name: case for case in cases(FAMILIES, networks.paper.ROWS)}
