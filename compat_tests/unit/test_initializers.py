import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror import initializers
from kerasmirror._export import family

CLASSES = [
    initializers.Constant,
    initializers.GlorotNormal,
    initializers.GlorotUniform,
    initializers.HeNormal,
    initializers.HeUniform,
    initializers.Identity,
    initializers.LecunNormal,
    initializers.LecunUniform,
    initializers.Ones,
    initializers.Orthogonal,
    initializers.RandomNormal,
    initializers.RandomUniform,
    initializers.TruncatedNormal,
    initializers.VarianceScaling,
    initializers.Zeros,
]
SCALED = {  # variance of a (200, 100) weight, and whether it is uniform
    "GlorotNormal": (2 / 300, False),
    "GlorotUniform": (2 / 300, True),
    "HeNormal": (2 / 200, False),
    "HeUniform": (2 / 200, True),
    "LecunNormal": (1 / 200, False),
    "LecunUniform": (1 / 200, True),
}


@pytest.mark.parametrize("name", SCALED)
def test_scaled_weights_have_the_variance_of_their_paper(name):
    variance, is_uniform = SCALED[name]
    values = np.asarray(getattr(initializers, name)(seed=1)((200, 100)), "float64")
    assert abs(values.mean()) < 5 * np.sqrt(variance / values.size)
    assert abs(values.var() / variance - 1) < 0.03
    limit = np.sqrt(3 * variance) if is_uniform else 2 * np.sqrt(variance) / 0.87962566103423978
    assert 0.99 * limit < np.abs(values).max() <= limit * (1 + 1e-6)


@pytest.mark.parametrize(
    ("shape", "axes", "fans"),
    [
        ((), (None, None), (1, 1)),
        ((7,), (None, None), (7, 7)),
        ((7, 5), (None, None), (7, 5)),
        ((3, 2, 7, 5), (None, None), (42, 30)),
        ((8, 2, 4), ([0], [1, 2]), (8, 8)),
        ((8, 2, 4), ([0, 1], [2]), (16, 4)),
    ],
)
def test_fans_count_connections(shape, axes, fans):
    assert initializers.compute_fans(shape, *axes) == fans


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (2, 3, 4), (5, 5)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_orthogonal_columns_or_rows_are_orthonormal(shape, dtype):
    values = initializers.Orthogonal(gain=2.0, seed=1)(shape, dtype)
    assert values.dtype == dtype
    matrix = np.asarray(values, "float64").reshape(-1, shape[-1])
    if matrix.shape[0] < matrix.shape[1]:
        matrix = matrix.T
    tolerance = 2e-2 if dtype == "float16" else 1e-5
    np.testing.assert_allclose(matrix.T @ matrix, 4 * np.eye(matrix.shape[1]), atol=tolerance)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_a_config_rebuilds_the_initializer(cls):
    first = cls(seed=3) if "seed" in cls().get_config() else cls()
    config = initializers.serialize(first)
    assert config["module"] == "keras.initializers"
    assert config["class_name"] == cls.__name__
    for twin in (initializers.deserialize(config), initializers.get(config), first.clone()):
        assert type(twin) is cls
        assert twin.get_config() == first.get_config()
        np.testing.assert_array_equal(np.asarray(first((3, 4))), np.asarray(twin((3, 4))))


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_values_have_the_dtype_asked_for(cls, dtype):
    assert cls()((3, 4), dtype).dtype == dtype


def test_every_public_name_is_found_by_get():
    hidden = {"get", "serialize", "deserialize", "Initializer"}
    for name, cls in family("initializers").items():
        if name not in hidden:
            assert type(initializers.get(name)) is cls
    old = {"normal": "RandomNormal", "uniform": "RandomUniform", "one": "Ones", "zero": "Zeros"}
    for name, expected in old.items():
        assert type(initializers.get(name)).__name__ == expected


def test_get_takes_none_classes_callables_and_arrays():
    assert initializers.get(None) is None
    assert isinstance(initializers.get(initializers.HeNormal), initializers.HeNormal)
    assert initializers.get(np.zeros) is np.zeros
    array = np.arange(6.0).reshape(2, 3)
    for given in (array, keras.ops.convert_to_tensor(array)):
        values = initializers.get(given)((2, 3), "float32")
        assert values.dtype == "float32"
        np.testing.assert_array_equal(np.asarray(values), array)
    with pytest.raises(ValueError) as error:
        initializers.get(array)((3, 2))
    assert str(error.value) == (
        "initializers.get: Expected `shape` to be (2, 3), the given array's. Received: shape=(3, 2)"
    )


def test_a_seed_is_drawn_in_the_constructor_and_kept():
    one = initializers.GlorotUniform()
    assert one.get_config()["seed"] is None
    np.testing.assert_array_equal(np.asarray(one((3, 4))), np.asarray(one((3, 4))))
    assert not np.array_equal(np.asarray(one((3, 4))), np.asarray(one.clone()((3, 4))))


def test_a_seed_generator_survives_serialization():
    one = initializers.HeUniform(keras.random.SeedGenerator(3))
    twin = initializers.deserialize(initializers.serialize(one))
    np.testing.assert_array_equal(np.asarray(one((3, 4))), np.asarray(twin((3, 4))))


def test_a_constant_may_be_an_array_that_broadcasts():
    one = initializers.Constant(np.array([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(np.asarray(one((2, 3))), [[1, 2, 3], [1, 2, 3]])
    twin = initializers.Constant.from_config(one.get_config())
    np.testing.assert_array_equal(np.asarray(twin((2, 3))), [[1, 2, 3], [1, 2, 3]])
    with pytest.raises(ValueError) as error:
        one((2, 4))
    assert str(error.value) == (
        "initializers.Constant: `value` must broadcast to the shape (2, 4). "
        "Received: value of shape (3,)"
    )


def test_stft_is_the_fourier_transform_of_a_frame(rng):
    frame = rng.standard_normal(16)
    parts = [initializers.STFT(side, None)((16, 1, 9), "float64") for side in ("real", "imag")]
    real, imaginary = (frame @ np.asarray(part)[:, 0] for part in parts)
    np.testing.assert_allclose(real + 1j * imaginary, np.fft.rfft(frame), atol=1e-10)


ERRORS = [
    (
        lambda: initializers.VarianceScaling(scale=-1.0),
        "initializers.VarianceScaling: Argument `scale` must be positive float. "
        "Received: scale=-1.0",
    ),
    (
        lambda: initializers.VarianceScaling(mode="fan"),
        "initializers.VarianceScaling: Invalid `mode` argument: fan. It must be one of "
        "('fan_in', 'fan_out', 'fan_avg').",
    ),
    (
        lambda: initializers.VarianceScaling(distribution="cauchy"),
        "initializers.VarianceScaling: Invalid `distribution` argument: cauchy. It must be one of "
        "('truncated_normal', 'untruncated_normal', 'uniform', 'normal').",
    ),
    (
        lambda: initializers.HeNormal(seed="a"),
        "initializers.HeNormal: `seed` must be an int, a keras.random.SeedGenerator or None. "
        "Received: seed='a'",
    ),
    (
        lambda: initializers.Identity()((3,)),
        "initializers.Identity: `shape` must be two sizes, a matrix. Received: shape=(3,)",
    ),
    (
        lambda: initializers.Orthogonal()((3,)),
        "initializers.Orthogonal: `shape` must be two sizes or more. Received: shape=(3,)",
    ),
    (
        lambda: initializers.STFT("phase"),
        "initializers.STFT: `side` must be one of 'real', 'imag'. Received: side='phase'",
    ),
    (
        lambda: initializers.STFT(scaling="l2"),
        "initializers.STFT: `scaling` must be one of 'density', 'spectrum', None. "
        "Received: scaling='l2'",
    ),
    (
        lambda: initializers.STFT(window="round"),
        "initializers.STFT: `window` must be an array, None, or one of bartlett, blackman, "
        "blackmanharris, boxcar, cosine, flattop, hamming, hann, nuttall, triang, tukey. "
        "Received: window='round'",
    ),
    (
        lambda: initializers.STFT(window=np.ones(5))((4, 1, 3)),
        "initializers.STFT: `window` must have the frame length 4 as its shape. "
        "Received: window.shape=(5,)",
    ),
]


@pytest.mark.parametrize(("run", "message"), ERRORS)
def test_mistakes_are_named(run, message):
    with pytest.raises(ValueError) as error:
        run()
    assert str(error.value) == message


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="initializers.get: `identifier` must be the name of an"):
        initializers.get("typo")
