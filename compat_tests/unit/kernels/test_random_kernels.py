import math

import numpy as np
import pytest

from kerasmirror.kernels.cpu import random

SEED = (123456, 7)
SIZES = (0, 1, 2, 3, 4, 5, 31, 32, 33, 255, 256, 257, 1003)


def floats(*texts):
    return [float.fromhex(t) for t in texts]


# The first values of TensorFlow 2.21's stateless functions for SEED.
UNIFORM = floats("0x1.bd4ae4p-1", "0x1.2fcf5p-2", "0x1.99b7ap-1", "0x1.35a6dp-1", "0x1.faa9acp-1")
UNIFORM_64 = floats(
    "0x1.ea572574bf3d4p-1", "0x1.9b7a1e735a6d0p-2", "0x1.d54d738d626c4p-1", "0x1.1ca901d968296p-1"
)
NORMAL = floats(
    "0x1.02f938p-1", "-0x1.38ea54p-3", "-0x1.a24a2ep-2", "-0x1.0e5ea6p-1", "-0x1.fb78fcp-4"
)
NORMAL_64 = floats("0x1.5c4e5d50ab1f5p-3", "-0x1.eb336f0afa19ap-3", "-0x1.26703a5b65e51p-3")
TRUNCATED = floats(
    "0x1.02f938p-1", "-0x1.38ea54p-3", "-0x1.a24a2ep-2", "-0x1.0e5ea6p-1", "0x1.0dabcap-1"
)
TRUNCATED_64 = floats(
    "0x1.5c4e5d50ab1f5p-3", "-0x1.eb336f0afa19ap-3", "-0x1.582a3386b2267p+0", "0x1.d8db31c5b9d1cp-4"
)
WORDS = [2364494521, 732297706, 2716233192, 2043505076, 3514739307]


def philox(counter, key):
    """One block of Philox 4x32-10 by the paper's rules, in Python's whole numbers."""
    c, k = list(counter), list(key)
    for _ in range(10):
        p0, p1 = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [p1 >> 32 ^ c[1] ^ k[0], p1 % 2**32, p0 >> 32 ^ c[3] ^ k[1], p0 % 2**32]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return c


def words(seed_pair, count, first_block=0):
    mix = philox(
        [seed_pair[0] % 2**32, seed_pair[0] >> 32, seed_pair[1] % 2**32, seed_pair[1] >> 32],
        [0x3EC8F720, 0x02461E29],
    )
    out = []
    for block in range(first_block, first_block + -(-count // 4)):
        out += philox([block % 2**32, block >> 32, mix[2], mix[3]], mix[:2])
    return out[:count]


def test_one_block_is_the_papers_known_answer():
    # Random123's kat_vectors: philox4x32, 10 rounds, counter and key of pi's digits.
    counter = [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344]
    assert philox(counter, [0xA4093822, 0x299F31D0]) == [
        0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1,
    ]  # fmt: skip


@pytest.mark.parametrize("seed_pair", [SEED, (0, 0), (2**63 + 5, 2**40 + 1)])
def test_words_are_philox_keyed_by_the_seed(seed_pair):
    assert random.random_bits((101,), seed_pair).tolist() == words(seed_pair, 101)


def test_negative_seeds_are_taken_as_64_bits_in_two_s_complement():
    expected = words((2**64 - 1, 2**64 - 2), 9)
    assert random.random_bits((9,), (-1, -2)).tolist() == expected


def test_golden_values_of_tensorflow():
    assert random.random_bits((5,), SEED).tolist() == WORDS
    assert random.uniform((5,), SEED).tolist() == UNIFORM
    assert random.uniform((4,), SEED, "float64").tolist() == UNIFORM_64
    assert random.random_integers((6,), SEED, -7, 1000).tolist() == [108, 250, 728, 976, 151, 863]
    assert random.random_integers((6,), SEED, -7, 1000, "int64").tolist() == [
        567, 356, 545, 336, 521, 915,
    ]  # fmt: skip
    wide = random.random_integers((2,), SEED, -(2**62), 2**62 + 12345, "int64")
    assert wide.tolist() == [-1466491317857070407, 4165101454918839784]


def test_golden_normal_values_of_tensorflow():
    # The last bit of log, sin and cos is the C library's; with glibc all are equal.
    tight = {"rtol": 3e-7, "atol": 1e-7}
    np.testing.assert_allclose(random.normal((5,), SEED), NORMAL, **tight)
    np.testing.assert_allclose(random.truncated_normal((5,), SEED), TRUNCATED, **tight)
    exact = {"rtol": 1e-14}
    np.testing.assert_allclose(random.normal((3,), SEED, "float64"), NORMAL_64, **exact)
    np.testing.assert_allclose(
        random.truncated_normal((4,), SEED, "float64"), TRUNCATED_64, **exact
    )


@pytest.mark.parametrize("size", SIZES)
def test_a_shorter_array_is_the_beginning_of_a_longer_one(size):
    for draw in (random.uniform, random.normal, random.truncated_normal):
        for dtype in ("float32", "float64"):
            long = draw((1100,), SEED, dtype)
            short = draw((size,), SEED, dtype)
            assert short.dtype == dtype and np.array_equal(short, long[:size])
    for dtype in ("uint32", "int32", "uint64", "int64"):
        long = random.random_bits((1100,), SEED, dtype)
        assert np.array_equal(random.random_bits((size,), SEED, dtype), long[:size])


def test_uniform_values_are_the_words_low_bits():
    w = np.array(words(SEED, 1003), np.uint64)
    expected = (w & np.uint64(0x7FFFFF)).astype(np.float32) * np.float32(2.0**-23)
    assert np.array_equal(random.uniform((17, 59), SEED).reshape(-1), expected)
    high, low = w[:1002:2], w[1:1002:2]
    fraction = (high & np.uint64(0xFFFFF)) << np.uint64(32) | low
    expected = fraction.astype(np.float64) * 2.0**-52
    assert np.array_equal(random.uniform((501,), SEED, "float64"), expected)
    expected = (w & np.uint64(0x3FF)).astype(np.float16) / np.float16(1024)
    assert np.array_equal(random.uniform((1003,), SEED, "float16"), expected)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_uniform_values_are_scaled_in_their_dtype(dtype):
    low, high = np.dtype(dtype).type(-0.3), np.dtype(dtype).type(2.1)
    unit = random.uniform((99,), SEED, dtype)
    y = random.uniform((99,), SEED, dtype, -0.3, 2.1)
    assert y.dtype == dtype and np.array_equal(y, unit * (high - low) + low)


def test_normal_values_are_box_muller_of_the_uniform_ones():
    u = random.uniform((1004,), SEED, "float64")
    radius = np.sqrt(-2 * np.log(u[::2]))
    expected = np.stack([np.sin(2 * np.pi * u[1::2]), np.cos(2 * np.pi * u[1::2])], -1)
    expected = (expected * radius[:, None]).reshape(-1)
    y = random.normal((1003,), SEED, "float64")
    np.testing.assert_allclose(y, expected[:1003], rtol=1e-12)
    scaled = random.normal((1003,), SEED, "float64", mean=2.0, stddev=0.5)
    assert np.array_equal(scaled, y * 0.5 + 2.0)
    half = random.normal((50,), SEED, "float16", mean=1.0, stddev=2.0)
    wide = random.normal((50,), SEED).astype("float16")
    assert np.array_equal(half, wide * np.float16(2) + np.float16(1))


def test_a_uniform_value_of_zero_gives_a_finite_normal_one():
    # TensorFlow replaces u below 1e-7, of which only 0 is a value of float32's.
    seed_pair, place = _seed_with_a_zero()
    value = random.normal((place + 1,), seed_pair)[place]
    v = random.uniform((place + 2,), seed_pair)[place + 1]
    radius = math.sqrt(-2 * math.log(np.float32(1e-7)))
    assert value == pytest.approx(math.sin(2 * math.pi * v) * radius, abs=2e-6)


def _seed_with_a_zero():
    for seed in range(40):
        zeros = np.flatnonzero(random.uniform((1 << 20,), (seed, 0))[::2] == 0)
        if zeros.size:
            return (seed, 0), 2 * int(zeros[0])
    raise AssertionError("no zero among 20 million values")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_truncated_groups_take_the_first_values_that_fit_from_their_stretch(dtype):
    size = 4 if dtype == "float32" else 2
    y = random.truncated_normal((size * 300,), SEED, dtype)
    assert np.abs(y).max() < 2
    # A value's stretch is 256 words: group g starts at word 256 * size * g.
    stream = random.normal((256 * size * 40 // (4 // size),), SEED, dtype)
    stretch = 256 * size // (1 if dtype == "float32" else 2)
    for group in range(30):
        fitting = stream[stretch * group : stretch * (group + 1)]
        fitting = fitting[np.abs(fitting) < 2][:size]
        assert np.array_equal(y[size * group : size * (group + 1)], fitting)
    scaled = random.truncated_normal((size * 300,), SEED, dtype, mean=1.0, stddev=0.25)
    assert np.array_equal(scaled, y * y.dtype.type(0.25) + y.dtype.type(1))


def test_the_moments_of_the_distributions():
    u = random.uniform((200_000,), SEED)
    z = random.normal((200_000,), SEED)
    assert abs(u.mean() - 0.5) < 3e-3 and abs(u.var() - 1 / 12) < 1e-3
    assert abs(z.mean()) < 1e-2 and abs(z.var() - 1) < 1e-2


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_dropout_keeps_what_the_uniform_values_say(size, dtype):
    x = np.random.default_rng(3).normal(size=size).astype(dtype)
    y = random.dropout(x, SEED, 0.3)
    kept = random.uniform((size,), SEED, dtype) >= x.dtype.type(0.3)
    scale = x.dtype.type(1 / (1 - 0.3))
    assert y.dtype == dtype and np.array_equal(y, np.where(kept, x * scale, x.dtype.type(0)))


def test_dropout_at_rates_that_are_whole_numbers_of_2_to_the_minus_23():
    # An element whose uniform value equals the rate is kept.
    u = random.uniform((8,), SEED)
    for dtype in ("float32", "float64"):
        u = random.uniform((8,), SEED, dtype)
        x = np.ones(8, dtype)
        y = random.dropout(x, SEED, float(u[2]))
        assert y[2] > 0 and np.array_equal(y > 0, u >= u[2])


def test_dropout_drops_nothing_or_everything_at_the_ends():
    x = np.arange(1, 8, dtype=np.float32)
    assert np.array_equal(random.dropout(x, SEED, 0.0), x)
    assert np.array_equal(random.dropout(x, SEED, 1.0), np.zeros(7))


def test_dropout_of_a_view_and_with_a_noise_shape():
    x = np.arange(1, 61, dtype=np.float32).reshape(6, 10)
    assert np.array_equal(random.dropout(x.T, SEED, 0.5), random.dropout(x.T.copy(), SEED, 0.5))
    y = random.dropout(x, SEED, 0.5, noise_shape=(6, 1))
    kept = random.uniform((6, 1), SEED) >= 0.5
    assert 0 < kept.sum() < 6 and np.array_equal(y, np.where(kept, x * 2, 0))


def test_nothing_depends_on_the_number_of_threads(same_on_any_threads):
    x = np.ones(200_003, np.float32)
    wide = np.ones(100_003)
    same_on_any_threads(lambda: random.dropout(x, SEED, 0.4))
    same_on_any_threads(lambda: random.dropout(wide, SEED, 0.4))
    same_on_any_threads(lambda: random.random_bits(x.shape, SEED))
    for draw in (random.uniform, random.normal, random.truncated_normal):
        same_on_any_threads(lambda draw=draw: draw(x.shape, SEED))
        same_on_any_threads(lambda draw=draw: draw(wide.shape, SEED, "float64"))


@pytest.mark.parametrize("n", [0, 1, 2, 3, 10, 1001])
def test_the_shuffled_order_is_fisher_yates_on_the_seeds_words(n):
    for seed in (0, 42, 2**31 - 1, 2**31 + 5):
        key = seed % (2**31 - 1)
        tail = [0x7FFFFFFF if key == 0 else 0, 0]
        x = [w for b in range(-(-n // 4)) for w in philox([b, 0, *tail], [key, 0])]
        order = list(range(n))
        for i in range(n - 1):
            j = i + x[i] % (n - i)
            order[i], order[j] = order[j], order[i]
        assert random.shuffle_order(n, seed).tolist() == order


def test_golden_orders_of_keras_fit():
    assert random.shuffle_order(10, 0).tolist() == [2, 0, 5, 8, 7, 1, 9, 6, 3, 4]
    assert random.shuffle_order(10, 42).tolist() == [3, 8, 7, 5, 2, 0, 1, 6, 9, 4]
    assert random.shuffle_order(10, 2**31 + 5).tolist() == [7, 6, 2, 1, 4, 8, 3, 9, 5, 0]


@pytest.mark.keras
@pytest.mark.parametrize("seed_pair", [(5, 0), (1337, 1)])
def test_values_equal_tensorflow_s(seed_pair):
    tf = pytest.importorskip("tensorflow")
    for dtype in ("float32", "float64"):
        for shape in ((7, 143), (3,)):
            ours = random.uniform(shape, seed_pair, dtype, -1.5, 0.7)
            theirs = tf.random.stateless_uniform(shape, seed_pair, -1.5, 0.7, dtype)
            assert np.array_equal(ours, theirs)
            for name in ("normal", "truncated_normal"):
                ours = getattr(random, name)(shape, seed_pair, dtype, 0.5, 2.0)
                theirs = getattr(tf.random, f"stateless_{name}")(shape, seed_pair, 0.5, 2.0, dtype)
                np.testing.assert_allclose(ours, theirs, rtol=3e-7, atol=5e-7)
    for dtype in ("int32", "int64"):
        theirs = tf.random.stateless_uniform((1001,), seed_pair, -5, 77, dtype)
        assert np.array_equal(random.random_integers((1001,), seed_pair, -5, 77, dtype), theirs)
        theirs = tf.random.stateless_uniform((1001,), seed_pair, None, None, dtype)
        assert np.array_equal(random.random_bits((1001,), seed_pair, dtype), theirs)


@pytest.mark.keras
def test_dropout_equals_keras_s():
    keras = pytest.importorskip("keras")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("keras runs on another backend than TensorFlow")
    x = np.random.default_rng(0).normal(size=(33, 7)).astype(np.float32)
    for seed in (5, 2**31 + 5, 2**40):
        ours = random.dropout(x, (seed % (2**31 - 2), 0), 0.3)
        assert np.array_equal(ours, keras.random.dropout(x, 0.3, seed=seed))
    layer = keras.layers.Dropout(0.5, seed=9)
    for draw in (0, 1):
        assert np.array_equal(random.dropout(x, (9, draw), 0.5), layer(x, training=True))


@pytest.mark.keras
@pytest.mark.parametrize(
    "seed, n, batch", [(0, 7, 4), (1, 1000, 32), (42, 5000, 128), (9, 333, 50)]
)
def test_the_shuffled_order_is_that_of_keras_fit(seed, n, batch):
    keras = pytest.importorskip("keras")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("keras runs on another backend than TensorFlow")
    seen = []

    class Recorder(keras.Model):
        def call(self, x):
            return x

        def train_step(self, data):
            seen.extend(data[0].numpy()[:, 0].astype(int).tolist())
            return {"loss": keras.ops.zeros(())}

    keras.utils.set_random_seed(seed)
    model = Recorder()
    model.compile(run_eagerly=True)
    x = np.arange(n, dtype=np.float32)[:, None]
    model.fit(x, x, batch_size=batch, verbose=0)
    assert random.shuffle_order(n, seed).tolist() == seen
