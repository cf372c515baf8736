"""Global settings: float type, epsilon, image layout, logging, threads.

Public as `keras.config` and, in part, `keras.backend`.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from numbers import Integral

from kerasmirror._export import export
from kerasmirror.core import checks
from kerasmirror.version import KERAS_VERSION

_FLOATX = "float32"
_EPSILON = 1e-7
_IMAGE_DATA_FORMAT = "channels_last"
_INTERACTIVE_LOGGING = True
_TRACEBACK_FILTERING = True
_MAX_EPOCHS = None
_MAX_STEPS_PER_EPOCH = None
_FUSION = True
_TENSOR_CORES = False
_FLASH_ATTENTION = None


@export("config.floatx", "backend.floatx")
def floatx():
    """The default float dtype of new weights and converted data, as a string ("float32")."""
    return _FLOATX


@export("config.set_floatx", "backend.set_floatx")
def set_floatx(value):
    """Set the default float dtype: "bfloat16", "float16", "float32" or "float64".

    Raises: ValueError for any other value.
    """
    global _FLOATX
    accepted = ("bfloat16", "float16", "float32", "float64")
    if value not in accepted:
        raise ValueError(
            f"keras.config.set_floatx: `value` must be one of {accepted}. Received: value={value!r}"
        )
    _FLOATX = str(value)


@export("config.epsilon", "backend.epsilon")
def epsilon():
    """The fuzz factor that keeps divisions and logarithms finite (1e-7 unless set)."""
    return _EPSILON


@export("config.set_epsilon", "backend.set_epsilon")
def set_epsilon(value):
    """Set the fuzz factor; `value` is a positive float."""
    global _EPSILON
    _EPSILON = value


@export("config.image_data_format", "backend.image_data_format")
def image_data_format():
    """The default layout of images: "channels_last" (NHWC) or "channels_first" (NCHW)."""
    return _IMAGE_DATA_FORMAT


@export("config.set_image_data_format", "backend.set_image_data_format")
def set_image_data_format(data_format):
    """Set the default layout of images.

    Raises: ValueError unless "channels_last" or "channels_first".
    """
    global _IMAGE_DATA_FORMAT
    _IMAGE_DATA_FORMAT = standardize_data_format(data_format)


def standardize_data_format(data_format, owner="keras.config"):
    """`data_format` in lower case, the global one for None.

    Raises: ValueError unless "channels_last" or "channels_first".
    """
    if data_format is None:
        return _IMAGE_DATA_FORMAT
    lower = str(data_format).lower()
    if lower not in ("channels_first", "channels_last"):
        raise ValueError(
            f'{owner}: `data_format` must be "channels_first" or "channels_last". '
            f"Received: data_format={data_format!r}"
        )
    return lower


@export("config.backend", "backend.backend")
def backend():
    """The name of the engine: always "kerasmirror"."""
    return "kerasmirror"


@export("config.set_backend")
def set_backend(backend):
    """Accept "kerasmirror", the one engine there is.

    Raises: ValueError for another name.
    """
    if backend != "kerasmirror":
        raise ValueError(
            "keras.config.set_backend: `backend` must be 'kerasmirror': kerasmirror is its own "
            "engine and runs on no other. For TensorFlow, JAX or PyTorch, `import keras` (the "
            "package from PyPI) with the environment variable KERAS_BACKEND. "
            f"Received: backend={backend!r}"
        )


@export("config.enable_flash_attention")
def enable_flash_attention():
    """Remember that flash attention is wanted, which `is_flash_attention_enabled` then tells.

    It changes no computation: flash attention is a way to order the work on a GPU that gives the
    values of ordinary attention, and there is one kernel for both here.
    """
    global _FLASH_ATTENTION
    _FLASH_ATTENTION = True


@export("config.disable_flash_attention")
def disable_flash_attention():
    """Remember that flash attention is not wanted; it changes no computation."""
    global _FLASH_ATTENTION
    _FLASH_ATTENTION = False


@export("config.is_flash_attention_enabled")
def is_flash_attention_enabled():
    """What was asked for last: True, False, or None before `enable_` or `disable_flash_attention`.

    It changes no computation.
    """
    return _FLASH_ATTENTION


@export("config.enable_interactive_logging")
def enable_interactive_logging():
    """Print progress to the terminal (the default)."""
    global _INTERACTIVE_LOGGING
    _INTERACTIVE_LOGGING = True


@export("config.disable_interactive_logging")
def disable_interactive_logging():
    """Send progress to Python's `logging` instead of the terminal."""
    global _INTERACTIVE_LOGGING
    _INTERACTIVE_LOGGING = False


@export("config.is_interactive_logging_enabled")
def is_interactive_logging_enabled():
    """Whether progress is printed to the terminal."""
    return _INTERACTIVE_LOGGING


@export("config.enable_traceback_filtering")
def enable_traceback_filtering():
    """Accepted for Keras scripts: tracebacks here are short, nothing is hidden from them."""
    global _TRACEBACK_FILTERING
    _TRACEBACK_FILTERING = True


@export("config.disable_traceback_filtering")
def disable_traceback_filtering():
    """Accepted for Keras scripts: tracebacks here are short, nothing is hidden from them."""
    global _TRACEBACK_FILTERING
    _TRACEBACK_FILTERING = False


@export("config.is_traceback_filtering_enabled")
def is_traceback_filtering_enabled():
    """What was set last; it changes nothing here."""
    return _TRACEBACK_FILTERING


@export("config.max_epochs")
def max_epochs():
    """The cap on epochs of any `fit`, or None."""
    return _MAX_EPOCHS


@export("config.set_max_epochs")
def set_max_epochs(max_epochs):
    """Cap the epochs of any `fit` (None: no cap)."""
    global _MAX_EPOCHS
    _MAX_EPOCHS = max_epochs


@export("config.max_steps_per_epoch")
def max_steps_per_epoch():
    """The cap on steps of any epoch, or None."""
    return _MAX_STEPS_PER_EPOCH


@export("config.set_max_steps_per_epoch")
def set_max_steps_per_epoch(max_steps_per_epoch):
    """Cap the steps of any epoch (None: no cap)."""
    global _MAX_STEPS_PER_EPOCH
    _MAX_STEPS_PER_EPOCH = max_steps_per_epoch


_THREADS_VARIABLE = "KERASMIRROR_NUM_THREADS"
_KERNELS_THREADS = "kerasmirror.kernels.cpu.threads"


@export("config.set_threads")
def set_threads(count):
    """Let the kernels use `count` threads, from 1 to the number of cores of this process.

    It also sets KERASMIRROR_NUM_THREADS, which processes started from this one inherit.
    Raises: ValueError for any other count. Source: our own, Keras leaves this to its backends.
    """
    count = _checked_threads(count, "keras.config.set_threads", "count")
    # The kernels read the variable when they are loaded, which a setting should not wait for.
    os.environ[_THREADS_VARIABLE] = str(count)
    kernels = sys.modules.get(_KERNELS_THREADS)
    if kernels is not None:
        kernels.set_threads(count)


@export("config.threads")
def threads():
    """How many threads the kernels use: `set_threads`, KERASMIRROR_NUM_THREADS, or every core.

    Source: our own, Keras leaves this to its backends.
    """
    kernels = sys.modules.get(_KERNELS_THREADS)
    if kernels is not None:
        return kernels.thread_count()
    asked = os.environ.get(_THREADS_VARIABLE)
    if not asked:
        return _most_threads()
    number = int(asked) if asked.isdecimal() else asked
    return _checked_threads(number, "keras.config.threads", _THREADS_VARIABLE)


def _most_threads():
    asked = os.environ.get("NUMBA_NUM_THREADS")
    if asked:
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _checked_threads(count, owner, name):
    most = _most_threads()
    whole = isinstance(count, Integral) and not isinstance(count, bool)
    if whole and 1 <= count <= most:
        return int(count)
    checks.fail(owner, name, f"an int from 1 to {most}, the cores of this process", count)


_CONV_VARIABLE = "KERASMIRROR_CONV_ALGORITHM"
_KERNELS_CONV = ("kerasmirror.kernels.cpu.conv", "kerasmirror.kernels.cuda.conv")
_CONV_ALGORITHMS = ("auto", "direct", "winograd", "gemm", "fft", "numpy", "opencv", "tiles")


@export("config.conv_algorithm")
def conv_algorithm(algorithm=None):
    """Let all convolutions of this process go by one algorithm; without argument, which it is.

    `config.conv_algorithm("fft")` holds from the call on. What it returns is a context manager that
    sets, at its end, what was set before: `with config.conv_algorithm("fft"): model.fit(...)`. All
    algorithms give the same numbers but for rounding; they are there to be compared.

    Args:
        algorithm: "auto" (the default) takes the fastest for each shape and pass,
            `config.conv_algorithm_for` tells which. "direct": an implicit matrix product.
            "winograd": fewer products for small windows; float32, strides of 1, no dilation or
            groups, channels in whole vectors. "gemm": image to matrix, and a matrix product. "fft":
            products of Fourier transforms. "numpy": a view of all windows and `tensordot`.
            "opencv": `filter2D` for each pair of channels, from the extra `kerasmirror[opencv]`.
            "tiles": images and windows in shared memory, piece by piece. "numpy" and "opencv" are
            for the CPU alone, "tiles" for GPUs alone, where "direct" is one thread for each result.

    It also sets KERASMIRROR_CONV_ALGORITHM, which processes started from this one inherit.
    Raises: ValueError for another name, and from a convolution that the algorithm cannot do, which
    never falls back to another; ImportError for "opencv" where it is not installed.
    Source: our own, Keras leaves this to its backends.
    """
    former = os.environ.get(_CONV_VARIABLE, "auto")
    owner = "keras.config.conv_algorithm"
    if algorithm is None:
        return checks.one_of(former, _CONV_ALGORITHMS, _CONV_VARIABLE, owner=owner)
    checks.one_of(algorithm, _CONV_ALGORITHMS, "algorithm", owner=owner)
    if algorithm == "opencv" and importlib.util.find_spec("cv2") is None:
        raise ImportError(
            f'{owner}: `algorithm` "opencv" needs OpenCV, which `pip install kerasmirror[opencv]` '
            "installs."
        )
    _take_conv_algorithm(algorithm)
    return _Former(_take_conv_algorithm, former)


def _take_conv_algorithm(algorithm):
    # The kernels read the variable when they are loaded, which a setting should not wait for.
    os.environ[_CONV_VARIABLE] = algorithm
    for name in _KERNELS_CONV:
        kernels = sys.modules.get(name)
        if kernels is not None:
            kernels.set_conv_algorithm(algorithm)


@export("config.tensor_cores")
def tensor_cores(enabled=None):
    """Let a GPU multiply float32 matrices in TF32, or not; without argument, whether it does.

    Tensor cores take several times the products of a second, of factors with 11 significant bits:
    results are off by up to 1e-3 of the largest. Off unless set, in TensorFlow and PyTorch's
    convolutions it is on. `config.tensor_cores(True)` holds from the call on. What it returns is a
    context manager that sets, at its end, what was set before.
    Raises: ValueError for anything but True and False, and for True on a card without them (compute
    capability below 8.0). Source: our own, Keras leaves this to its backends.
    """
    if enabled is None:
        return _TENSOR_CORES
    if not isinstance(enabled, bool):
        checks.fail("keras.config.tensor_cores", "enabled", "True or False", enabled)
    former = _TENSOR_CORES
    _take_tensor_cores(enabled)
    return _Former(_take_tensor_cores, former)


def _take_tensor_cores(enabled):
    global _TENSOR_CORES
    kernels = sys.modules.get("kerasmirror.kernels.cuda.gemm")
    if kernels is not None:
        kernels.set_tensor_cores(enabled)
    _TENSOR_CORES = enabled


@export("config.fusion")
def fusion(enabled=None):
    """Let models run adjacent layers as one operation, or not; without argument, whether they do.

    `config.fusion(False)` holds from the call on. What it returns is a context manager that sets,
    at its end, what was set before: `with config.fusion(False): model.fit(...)`. Fused or not, the
    forward pass gives the same bits in training, and gradients differ by rounding alone; fused, a
    pass over memory serves several layers. On unless set.
    Raises: ValueError for anything but True and False. Source: our own.
    """
    if enabled is None:
        return _FUSION
    if not isinstance(enabled, bool):
        checks.fail("keras.config.fusion", "enabled", "True or False", enabled)
    former = _FUSION
    _take_fusion(enabled)
    return _Former(_take_fusion, former)


def _take_fusion(enabled):
    global _FUSION
    _FUSION = enabled


class _Former:
    """Sets, at the end of a `with` block, what was set before."""

    def __init__(self, take, former):
        self._take = take
        self._former = former

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._take(self._former)


@export("version")
def version():
    """The version of Keras whose API is mirrored."""
    return KERAS_VERSION
