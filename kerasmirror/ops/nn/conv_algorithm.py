"""Which algorithm a convolution goes by when the choice is ours."""

from __future__ import annotations

from kerasmirror._export import export
from kerasmirror.autodiff.primitive import kernels_of
from kerasmirror.core import checks, dtypes
from kerasmirror.core.config import floatx, standardize_data_format
from kerasmirror.ops.nn.conv import conv_geometry


@export("config.conv_algorithm_for")
def conv_algorithm_for(
    input_shape,
    kernel_shape,
    strides=1,
    padding="valid",
    data_format=None,
    dilation_rate=1,
    dtype=None,
):
    """What `config.conv_algorithm("auto")` takes for a convolution: a name for each of its passes.

    The result is a named tuple (forward, grad_input, grad_kernel) of names that
    `config.conv_algorithm` knows. It does not depend on what is set, only on the shapes, the dtype
    and the processor's vectors.

    Args: those of `ops.conv`, with the shapes (channels last) of its inputs (N, H, W, C) or
    (N, W, C) and of its kernel (R, S, C / groups, F) or (S, C / groups, F) in their place;
    dtype: of the inputs, None for `config.floatx()`.
    Raises: ValueError as `ops.conv`, or for a size that is not known.
    Source: our own, Keras leaves this to its backends.
    """
    owner = "keras.config.conv_algorithm_for"
    channels_first = standardize_data_format(data_format, owner) == "channels_first"
    padding = checks.padding(padding, owner=owner)
    for name, shape in (("input_shape", input_shape), ("kernel_shape", kernel_shape)):
        if None in shape:
            checks.fail(owner, name, "a shape whose sizes are all known", tuple(shape))
    geometry = conv_geometry(
        input_shape, kernel_shape, strides, padding, channels_first, dilation_rate, owner=owner
    )
    images, *sizes = input_shape
    channels = sizes.pop(0 if channels_first else -1)
    ahead = (1,) * (2 - len(sizes))  # one axis is two with H = 1
    dtype = dtypes.standardize_dtype(dtype or floatx())
    return kernels_of("cpu").conv_algorithms(
        (images, *ahead, *sizes, channels),
        (*ahead, *kernel_shape),
        geometry,
        "float64" if dtype == "float64" else "float32",  # half precision is widened
    )
