"""Fourier transforms: values, gradients, inverses, and Keras's short-time transforms."""

import warnings

import numpy as np
import pytest

from kerasmirror import KerasTensor, ops
from kerasmirror.autodiff.gradcheck import check_gradients


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-10)


def close_pair(actual, expected):
    close(actual[0], np.real(expected))
    close(actual[1], np.imag(expected))


@pytest.mark.parametrize("name", ["fft", "fft2", "ifft2"])
def test_complex_transforms_match_numpy(name, rng):
    a, b = rng.normal(size=(2, 3, 5)), rng.normal(size=(2, 3, 5))
    close_pair(getattr(ops, name)((a, b)), getattr(np.fft, name)(a + 1j * b))
    for part in (0, 1):
        check_gradients(lambda x, y, part=part: getattr(ops, name)((x, y))[part], a, b)


@pytest.mark.parametrize("size", [6, 7])
@pytest.mark.parametrize("length", [None, 4, 5, 9])
def test_real_transforms_match_numpy(size, length, rng):
    x = rng.normal(size=(2, size))
    close_pair(ops.rfft(x, length), np.fft.rfft(x, length))
    for part in (0, 1):
        check_gradients(lambda x, part=part: ops.rfft(x, length)[part], x)
    a, b = rng.normal(size=(2, size)), rng.normal(size=(2, size))
    close(ops.irfft((a, b), length), np.fft.irfft(a + 1j * b, length))
    check_gradients(lambda x, y: ops.irfft((x, y), length), a, b)


def test_dtypes_and_placeholders():
    x = np.ones((2, 8), "float32")
    assert ops.rfft(x)[0].dtype == ops.fft((x, x))[1].dtype == "float32"
    assert ops.irfft(ops.rfft(x)).dtype == "float32"
    real, imag = ops.rfft(KerasTensor((None, 8)))
    assert real.shape == imag.shape == (None, 5)
    assert ops.stft(KerasTensor((None, 20)), 8, 4, 8)[0].shape == (None, 6, 5)


def test_istft_inverts_stft(rng):
    x = rng.normal(size=(2, 40))
    for window in ("hann", "hamming"):
        spectrum = ops.stft(x, 8, 2, 8, window=window)
        back = ops.istft(spectrum, 8, 2, 8, window=window, length=40)
        # At the ends fewer windows overlap than are divided out, in TensorFlow as here.
        close(back[:, 2:-2], x[:, 2:-2])
    check_gradients(lambda x: ops.stft(x, 6, 3, 8)[0], x[0])
    check_gradients(lambda x, y: ops.istft((x, y), 8, 4, 8), *rng.normal(size=(2, 5, 5)))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ops.fft(np.ones(3)), ValueError, "tuple of two tensors"),
        (lambda: ops.fft((np.ones(3), np.ones(2))), ValueError, "same shape"),
        (lambda: ops.fft((np.int32([1]), np.int32([1]))), ValueError, "must be floats"),
        (lambda: ops.stft(np.int32([1]), 1, 1, 1), TypeError, "`float32` or `float64`"),
        (lambda: ops.stft(np.ones(9), 4, 2, 3), ValueError, "must equal or be larger"),
        (lambda: ops.stft(np.ones(9), 4, 2, 4, window="flat"), ValueError, "it must be 'hann' or"),
    ],
)
def test_wrong_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.keras
@pytest.mark.parametrize("window", ["hann", "hamming", None])
@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize(("sequence", "stride", "size"), [(8, 2, 8), (6, 3, 9)])
def test_short_time_transforms_match_keras(window, center, sequence, stride, size, rng):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import keras

        x = rng.normal(size=(2, 30)).astype("float32")
        options = {"window": window, "center": center}
        expected = keras.ops.stft(x, sequence, stride, size, **options)
        back = keras.ops.istft(expected, sequence, stride, size, **options)
    actual = ops.stft(x, sequence, stride, size, **options)
    for ours, theirs in zip(actual, expected, strict=True):
        np.testing.assert_allclose(ours, np.asarray(theirs), rtol=1e-5, atol=1e-5)
    ours = ops.istft(actual, sequence, stride, size, **options).numpy()
    theirs = np.asarray(back)
    assert ours.shape == theirs.shape
    finite = np.isfinite(theirs)
    np.testing.assert_array_equal(np.isfinite(ours), finite)
    np.testing.assert_allclose(ours[finite], theirs[finite], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("length", [0, -1, 1.5, True])
def test_windows_have_a_positive_length(length):
    x = np.zeros(8, "float32")
    text = f"`sequence_length` must be a positive integer. Received: sequence_length={length}"
    with pytest.raises(ValueError, match=f"keras.ops.extract_sequences: {text}"):
        ops.extract_sequences(x, length, 1)
    with pytest.raises(ValueError, match=f"keras.ops.stft: {text}"):
        ops.stft(x, length, 1, 4)
    with pytest.raises(ValueError, match=f"keras.ops.istft: {text}"):
        ops.istft((x[None, :3], x[None, :3]), length, 1, 4)
