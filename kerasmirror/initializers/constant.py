"""Initializers that draw nothing: constants, the identity, and the short-time Fourier transform."""

from __future__ import annotations

import numpy as np

from kerasmirror._export import export
from kerasmirror.core import checks, dtypes
from kerasmirror.core.serialization import deserialize_keras_object, serialize_keras_object
from kerasmirror.core.symbolic import standardize_shape
from kerasmirror.core.tensor import Tensor
from kerasmirror.initializers.initializer import Initializer
from kerasmirror.initializers.window import window_function


@export("initializers.Zeros", "initializers.zeros")
class Zeros(Initializer):
    """All values 0."""

    def __call__(self, shape, dtype=None):
        return Tensor(np.zeros(standardize_shape(shape), _numpy(dtype)))


@export("initializers.Ones", "initializers.ones")
class Ones(Initializer):
    """All values 1."""

    def __call__(self, shape, dtype=None):
        return Tensor(np.ones(standardize_shape(shape), _numpy(dtype)))


@export("initializers.Constant", "initializers.constant")
class Constant(Initializer):
    """All values `value`: a number, or an array that broadcasts to the weight's shape."""

    def __init__(self, value=0.0):
        self.value = value

    def __call__(self, shape, dtype=None):
        shape = standardize_shape(shape)
        values = np.asarray(self.value).astype(_numpy(dtype))
        try:
            return Tensor(np.array(np.broadcast_to(values, shape)))
        except ValueError:
            raise ValueError(
                f"initializers.Constant: `value` must broadcast to the shape {shape}. "
                f"Received: value of shape {values.shape}"
            ) from None

    def get_config(self):
        return {"value": serialize_keras_object(self.value)}

    @classmethod
    def from_config(cls, config):
        return cls(deserialize_keras_object(config["value"]))


@export("initializers.Identity", "initializers.identity", "initializers.IdentityInitializer")
class Identity(Initializer):
    """`gain` on the main diagonal of a matrix, 0 elsewhere.

    Raises: ValueError for a shape that is no matrix's.
    """

    def __init__(self, gain=1.0):
        self.gain = gain

    def __call__(self, shape, dtype=None):
        if len(shape) != 2:
            checks.fail("initializers.Identity", "shape", "two sizes, a matrix", tuple(shape))
        dtype = _numpy(dtype)
        return Tensor(np.eye(*shape, dtype=dtype) * dtype.type(self.gain))

    def get_config(self):
        return {"gain": self.gain}


@export("initializers.STFT", "initializers.stft", "initializers.STFTInitializer")
class STFT(Initializer):
    """`window[t] * cos(2 pi t f)` ("real") or `-window[t] * sin(2 pi t f)` ("imag"), scaled.

    The kernel of a 1D convolution that computes one part of a short-time Fourier transform.
    Shapes: (frame length T, input channels, frequencies F), f = i / (2 (F - 1)).
    Args: window is the name of one of SciPy's windows, an array of T numbers, or None for none;
    `scaling` "density" divides by the root of the sum of its squares, "spectrum" by its sum.
    `periodic` is handed on as SciPy's `fftbins`.
    Raises: ValueError for unknown sides, windows or scalings.
    Source: Keras 3.15 `keras.initializers.STFT`; Griffin and Lim 1984,
    https://doi.org/10.1109/TASSP.1984.1164317, Section II.
    """

    def __init__(self, side="real", window="hann", scaling="density", periodic=False):
        owner = "initializers.STFT"
        self.side = checks.one_of(side, ("real", "imag"), "side", owner=owner)
        self.scaling = checks.one_of(scaling, ("density", "spectrum", None), "scaling", owner=owner)
        if isinstance(window, str):
            window_function(window, 1, False, owner)
        self.window = window
        self.periodic = periodic

    def __call__(self, shape, dtype=None):
        dtype = _numpy(dtype)
        frame_length, _, frequencies = shape
        time = np.arange(frame_length, dtype=dtype).reshape(-1, 1, 1)
        frequency = (np.arange(frequencies, dtype=dtype) / ((frequencies - 1) * 2)).astype(dtype)
        # In the order of Keras's float32 products: a phase of thousands keeps few digits.
        phase = (dtype.type(-2) * time) * frequency.reshape(1, 1, -1) * np.arccos(dtype.type(-1))
        kernel = np.cos(phase) if self.side == "real" else np.sin(phase)
        if self.window is not None:
            window, scale = self._scaled_window(frame_length, dtype)
            kernel = kernel * window.reshape(-1, 1, 1) / scale
        return Tensor(kernel.astype(dtype, copy=False))

    def _scaled_window(self, frame_length, dtype):
        window = self.window
        if isinstance(window, str):
            window = window_function(window, frame_length, self.periodic, "initializers.STFT")
        window = np.asarray(window).astype(dtype)
        if window.shape != (frame_length,):
            raise ValueError(
                f"initializers.STFT: `window` must have the frame length {frame_length} as its "
                f"shape. Received: window.shape={window.shape}"
            )
        scale = dtype.type(1)
        if self.scaling == "density":
            scale = np.sqrt(np.sum(window * window))
        elif self.scaling == "spectrum":
            scale = np.sum(np.abs(window))
        return window, scale

    def get_config(self):
        return {
            "side": self.side,
            "window": self.window,
            "periodic": self.periodic,
            "scaling": self.scaling,
        }


def _numpy(dtype):
    return dtypes.numpy_dtype(dtypes.standardize_dtype(dtype))
