"""Calls of TensorFlow as scripts write them; each gives a nest of tensors, dtypes held too."""

import numpy as np

A = np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.5]], "float32")
B = np.array([[2.0, 1.0], [0.0, -1.0], [1.5, 2.5]], "float32")
INTEGERS = np.array([2, 0, 1], "int32")
LOGITS = np.array([[2.0, -1.0, 0.5], [0.1, 0.2, -0.3]], "float32")
IMAGES = np.arange(2 * 5 * 5 * 2, dtype="float32").reshape(2, 5, 5, 2) % 7 - 3


COLOURS = np.random.RandomState(0).uniform(size=(2, 6, 5, 3)).astype("float32")


def _gradients(tf):
    x, w = tf.Variable([1.0, 2.0]), tf.Variable([[0.5], [1.5]])
    with tf.GradientTape() as tape:
        y = tf.reduce_mean(tf.square(tf.matmul(tf.expand_dims(x, 0), w)) + tf.exp(x[0]))
    return tape.gradient(y, {"x": x, "w": w})


def _watched(tf):
    x = tf.constant(3.0)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * x
        z = y * y + tf.stop_gradient(y)
    return tape.gradient(z, x), tape.gradient(y, x)


def _function(tf):
    @tf.function(jit_compile=False)
    def scaled(x, factor=2.0):
        return x * factor

    return scaled(tf.constant([1.0, 2.0])), tf.function(lambda x: x + 1)(tf.constant(1))


def _clipped(tf):
    tensors, length = tf.clip_by_global_norm([tf.constant(A), tf.constant(B)], 3.0)
    short, _ = tf.clip_by_global_norm([tf.constant([0.1])], 3.0)
    return [*tensors, length, *short, tf.clip_by_norm(tf.constant(A), 2.0)]


def _variable(tf):
    v = tf.Variable(np.zeros(3, "float32"), name="layer/v:0")
    v.assign([1.0, 2.0, 3.0])
    v.assign_add([1.0, 1.0, 1.0])
    v.assign_sub([0.0, 0.5, 0.0])
    return tf.convert_to_tensor(v), v * 2, tf.Variable(lambda: tf.ones((2,)), trainable=False) + 0


def _dataset(tf):
    data = tf.data.Dataset.from_tensor_slices(({"a": A.T, "n": [1, 2, 3]}, INTEGERS))
    data = data.map(lambda x, y: (x["a"] * 2.0, y + tf.cast(x["n"], "int32")))
    return [data.cardinality(), *list(data.batch(2).prefetch(tf.data.AUTOTUNE))]


def _windows(tf):
    numbers = tf.data.Dataset.range(7)
    pairs = tf.data.Dataset.zip((numbers, numbers))
    return [
        [list(window) for window in numbers.window(3)],
        [list(window) for window in numbers.window(2, shift=1, stride=2, drop_remainder=True)],
        list(numbers.window(3, 2).flat_map(lambda window: window.batch(3))),
        [[list(one) for one in both] for both in pairs.window(4)],
        list(numbers.interleave(lambda n: tf.data.Dataset.from_tensors(n).repeat(3), 2, 2)),
        list(numbers.take(3).as_numpy_iterator()),
        list(numbers.with_options(tf.data.Options()).take(1)),
    ]


def _pictures(tf):
    pictures = tf.constant(COLOURS)
    return [
        tf.image.resize(pictures, [4, 9]),
        tf.image.resize(pictures[0], (3, 3), method=tf.image.ResizeMethod.NEAREST_NEIGHBOR),
        tf.image.flip_left_right(pictures),
        tf.image.flip_up_down(pictures[1]),
        tf.image.rot90(pictures[0]),
        tf.image.rgb_to_grayscale(pictures),
        tf.image.grayscale_to_rgb(pictures[..., :1]),
        tf.image.rgb_to_hsv(pictures),
        tf.image.hsv_to_rgb(pictures),
        tf.image.adjust_brightness(pictures, 0.1),
        tf.image.adjust_contrast(pictures, 2.0),
        tf.image.per_image_standardization(pictures),
        tf.image.crop_to_bounding_box(pictures, 1, 2, 3, 2),
        tf.image.central_crop(pictures[0], 0.5),
        tf.image.total_variation(pictures),
        tf.image.psnr(pictures[0], pictures[1], 1.0),
        tf.image.convert_image_dtype(pictures, tf.uint8),
        tf.image.convert_image_dtype(np.array([[[0, 51, 255]]], "uint8"), tf.float32),
    ]


def _padded(tf):
    def elements():
        yield [1], {"a": [1.0], "b": 1}
        yield [2, 3, 4], {"a": [2.0, 3.0], "b": 2}

    spec = tf.TensorSpec(shape=(None,), dtype=tf.int32)
    parts = {"a": tf.TensorSpec((None,), "float32"), "b": tf.TensorSpec((), tf.int64)}
    data = tf.data.Dataset.from_generator(elements, output_signature=(spec, parts))
    first = data.map(lambda x, y: x)
    return [
        list(data.padded_batch(2)),
        list(data.padded_batch(2, padded_shapes=([None], {"a": [4], "b": []}))),
        list(first.padded_batch(2, padded_shapes=(5,))),
        list(first.padded_batch(1, padded_shapes=[-1])),
    ]


def _assertions(tf):
    tf.debugging.assert_equal([1, 2], [1, 2])
    tf.debugging.assert_less(1.0, 2.0)
    tf.debugging.assert_near(1.0, 1.0 + 1e-7)
    tf.debugging.assert_all_finite(A, "finite")
    failed = []
    for holds in (
        lambda: tf.debugging.assert_equal(1, 2, message="differ"),
        lambda: tf.debugging.assert_greater_equal([1.0, 2.0], 1.5),
        lambda: tf.debugging.assert_non_negative([-1.0]),
        lambda: tf.debugging.check_numerics([np.inf], "finite"),
    ):
        try:
            holds()
        except Exception:
            failed.append(True)
    return [tf.debugging.check_numerics(A, "finite"), failed]


def _more_datasets(tf):
    numbers = tf.data.Dataset.range(7)
    pairs = tf.data.Dataset.zip((numbers, numbers.map(lambda n: n * n)))
    return [
        list(numbers.skip(1).take(3).repeat(2)),
        list(numbers.filter(lambda n: n % 2 == 0)),
        list(pairs.batch(3, drop_remainder=True)),
        list(numbers.shard(3, 1)),
        list(numbers.take(2).concatenate(numbers.take(1)).enumerate()),
        list(numbers.batch(3).unbatch().cache()),
        list(numbers.take(3).flat_map(lambda n: tf.data.Dataset.from_tensors(n).repeat(2))),
        numbers.reduce(np.int64(0), lambda s, n: s + n),
        len(numbers.batch(3)),
        sorted(int(n) for n in numbers.shuffle(3, seed=1)),
    ]


def _draws(tf):
    tf.random.set_seed(1)
    whole = tf.random.uniform((30,), maxval=5, dtype=tf.int32)
    return [
        tf.zeros_like(tf.random.normal((4, 2))),
        tf.zeros_like(tf.random.truncated_normal([3])),
        tf.reduce_all(tf.random.uniform((100,), 2.0, 3.0) >= 2.0),
        tf.zeros_like(whole),
        tf.reduce_all((whole >= 0) & (whole < 5)),
        tf.sort(tf.random.shuffle(INTEGERS)),
    ]


CASES = {
    "constant": lambda tf: [tf.constant(1), tf.constant([1.5, 2]), tf.constant(7, shape=(2, 2))],
    "constant of a type": lambda tf: tf.constant([1, 2], dtype=tf.float32),
    "zeros, ones, fill, eye": lambda tf: [
        tf.zeros((2, 3)),
        tf.ones([2], tf.int32),
        tf.fill([2, 2], 4.0),
        tf.eye(2, 3),
        tf.zeros_like(A),
        tf.ones_like(INTEGERS),
    ],
    "shape, size, rank": lambda tf: [tf.shape(A), tf.size(A), tf.rank(A), tf.shape(A)[0]],
    "shape from tensors": lambda tf: tf.zeros((tf.shape(A)[0], 2)),
    "range, linspace": lambda tf: [
        tf.range(3),
        tf.range(1, 6, 2),
        tf.range(0.0, 1.0, 0.25),
        tf.linspace(0.0, 1.0, 5),
    ],
    "reshape, transpose": lambda tf: [
        tf.reshape(A, (3, -1)),
        tf.transpose(A),
        tf.transpose(IMAGES, perm=[0, 3, 1, 2]),
        tf.expand_dims(A, axis=-1),
        tf.squeeze(A[:1], axis=[0]),
    ],
    "concat, stack, split": lambda tf: [
        tf.concat([A, A], axis=1),
        tf.stack([A, A], axis=-1),
        tf.unstack(A),
        tf.split(A, 3, axis=1),
        tf.split(A, [1, 2], axis=1),
        tf.tile(A, [1, 2]),
        tf.repeat(A, 2, axis=0),
        tf.reverse(A, axis=[1]),
        tf.pad(A, [[0, 1], [1, 0]], constant_values=9.0),
    ],
    "gather, where, mask": lambda tf: [
        tf.gather(A, INTEGERS, axis=1),
        tf.where(A > 0),
        tf.where(A > 0, A, 0.0),
        tf.boolean_mask(A, [True, False]),
        tf.one_hot(INTEGERS, depth=4),
        tf.one_hot(INTEGERS, 3, on_value=5.0, off_value=-1.0),
    ],
    "arithmetic": lambda tf: [
        tf.add(A, 1.0),
        tf.subtract(A, 2.0),
        tf.multiply(A, A),
        tf.divide(A, 2.0),
        tf.pow(A, 2.0),
        tf.maximum(A, 0.0),
        tf.math.squared_difference(A, 1.0),
        tf.math.divide_no_nan(A, [[0.0, 1.0, 2.0]]),
        tf.math.multiply_no_nan(A, [[0.0, 1.0, 2.0]]),
        tf.add_n([A, A, A]),
    ],
    "functions": lambda tf: [
        f(tf.constant(A))
        for f in (
            *(tf.abs, tf.exp, tf.square, tf.sign, tf.sin, tf.tanh, tf.sigmoid, tf.floor, tf.round),
            *(tf.math.softplus, tf.math.erf, tf.math.expm1, tf.negative, tf.math.atan),
            *(tf.math.is_nan, tf.math.ceil, tf.nn.relu, tf.nn.elu, tf.nn.leaky_relu, tf.nn.gelu),
            *(tf.nn.silu, tf.nn.selu, tf.nn.softmax, tf.nn.log_softmax, tf.nn.softsign),
        )
    ],
    "roots and logarithms": lambda tf: [
        f(tf.constant([0.5, 2.0])) for f in (tf.sqrt, tf.math.log, tf.math.log1p, tf.math.rsqrt)
    ],
    "reductions": lambda tf: [
        tf.reduce_sum(A),
        tf.reduce_mean(A, axis=0),
        tf.reduce_max(A, axis=[1]),
        tf.reduce_min(A, axis=1, keepdims=True),
        tf.reduce_prod(A),
        tf.reduce_any(A > 3),
        tf.reduce_all(A > -9, axis=0),
        tf.reduce_logsumexp(A, axis=1),
        tf.math.reduce_std(A),
        tf.math.reduce_variance(A, axis=0),
        tf.math.count_nonzero(INTEGERS),
        tf.reduce_sum(INTEGERS),
    ],
    "arg and cumulative": lambda tf: [
        tf.argmax(A, axis=1),
        tf.argmax(A),
        tf.argmin(A, axis=1, output_type=tf.int32),
        tf.cumsum(A, axis=1),
        tf.math.cumsum(A, axis=1, exclusive=True),
        tf.math.cumsum(A, axis=1, reverse=True),
        list(tf.math.top_k(A, k=2)),
        tf.math.in_top_k([0, 1], LOGITS, 1),
        tf.math.confusion_matrix([0, 1, 1, 2], [0, 1, 2, 2]),
    ],
    "products": lambda tf: [
        tf.matmul(A, B),
        tf.matmul(A, A, transpose_b=True),
        tf.linalg.matmul(A, A, transpose_a=True),
        tf.tensordot(A, B, axes=1),
        tf.einsum("ij,jk->ki", A, B),
        tf.linalg.matvec(A, [1.0, 2.0, 3.0]),
        tf.norm(A),
        tf.norm(A, axis=1, keepdims=True),
        tf.norm(A, ord=1, axis=1),
        tf.linalg.trace(A[:, :2]),
        tf.linalg.diag([1.0, 2.0]),
        tf.linalg.diag_part(A[:, :2]),
        tf.linalg.inv(A[:, :2]),
        tf.linalg.det(A[:, :2]),
        tf.math.l2_normalize(A, axis=1),
    ],
    "comparisons": lambda tf: [
        tf.equal(A, 4.0),
        tf.not_equal(A, 4.0),
        tf.greater(A, 0.0),
        tf.less_equal(A, 0.5),
        tf.logical_and(A > 0, A < 2),
        tf.logical_not(A > 0),
    ],
    "cross-entropies": lambda tf: [
        tf.nn.softmax_cross_entropy_with_logits(labels=[[0.0, 1.0, 0.0]] * 2, logits=LOGITS),
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels=[1, 2], logits=LOGITS),
        tf.nn.sigmoid_cross_entropy_with_logits(labels=[[0.0, 1.0, 1.0]] * 2, logits=LOGITS),
        tf.nn.l2_loss(A),
        list(tf.nn.moments(tf.constant(A), axes=[0])),
    ],
    "images": lambda tf: [
        tf.nn.conv2d(IMAGES, IMAGES[0, :3, :3, :, None], strides=1, padding="SAME"),
        tf.nn.max_pool2d(IMAGES, ksize=2, strides=[1, 2, 2, 1], padding="VALID"),
        tf.nn.avg_pool2d(IMAGES, ksize=[3, 3], strides=2, padding="SAME"),
        tf.nn.bias_add(IMAGES, [1.0, 2.0]),
    ],
    "control flow": lambda tf: [
        tf.cond(tf.constant(True), lambda: tf.constant(1.0), lambda: tf.constant(2.0)),
        tf.while_loop(lambda i: i < 5, lambda i: [i + 2], [tf.constant(0)]),
        tf.map_fn(lambda row: row * 2.0, A),
        tf.vectorized_map(lambda row: tf.reduce_sum(row), A),
    ],
    "casts and clips": lambda tf: [
        tf.cast(A, tf.int32),
        tf.cast(INTEGERS, "float32") / 2,
        tf.clip_by_value(A, -1.0, 1.0),
        tf.identity(A),
    ],
    "gradients": _gradients,
    "watched tensors": _watched,
    "function": _function,
    "clipping by norms": _clipped,
    "variables": _variable,
    "dataset": _dataset,
    "more datasets": _more_datasets,
    "environment": lambda tf: [
        tf.executing_eagerly(),
        tf.config.list_physical_devices("GPU"),
        tf.__version__.startswith("2."),
        tf.float32.name,
        tf.float32.is_floating,
        tf.constant(1.0).dtype == tf.float32,
        tf.is_tensor(tf.constant(1)),
        tf.is_tensor(1),
        tf.newaxis is None,
    ],
    "draws": _draws,
    "windows of datasets": _windows,
    "padded batches": _padded,
    "pictures": _pictures,
    "drawn pictures": lambda tf: [
        tf.shape(tf.image.random_crop(COLOURS, (2, 3, 2, 3))),
        tf.shape(tf.image.random_flip_left_right(tf.image.random_brightness(COLOURS, 0.1))),
        tf.shape(tf.image.random_flip_up_down(tf.image.random_contrast(COLOURS[0], 0.5, 1.0))),
    ],
    "assertions": _assertions,
}


def plain(value):
    """Nests of arrays, so that both sides can be compared and sent."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return np.asarray(value)


def run_all(keras):
    """Every case with real TensorFlow."""
    import tensorflow

    results = {}
    for name, case in CASES.items():
        try:
            results[name] = plain(case(tensorflow))
        except Exception as error:
            results[name] = f"{type(error).__name__}: {error}"
    return results
