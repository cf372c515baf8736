"""Filters over images: blur, edges, and the similarity of two images' structure."""

from __future__ import annotations

import numpy as np

from kerasmirror._export import export
from kerasmirror.autodiff.composite import composite
from kerasmirror.core import checks, dtypes
from kerasmirror.ops.image.layout import as_batch, channels_axis, check_rank
from kerasmirror.ops.nn.conv import depthwise_conv
from kerasmirror.ops.numpy.reduction import mean
from kerasmirror.ops.numpy.repetition import pad
from kerasmirror.ops.numpy.shape import reshape, transpose
from kerasmirror.ops.tensor import cast, to_array, to_tensor


def _bell(size, sigma):
    """Gaussian weights around the middle of `size` places; they sum to 1."""
    x = np.arange(size) - (size - 1) / 2
    weights = np.exp(-0.5 * (x / sigma) ** 2)
    return weights / weights.sum()


def _each_channel(images, window, padding):
    """Every channel filtered with the same window (R, S)."""
    channels = images.shape[-1]
    kernel = np.broadcast_to(window[:, :, None, None], (*window.shape, channels, 1))
    kernel = to_tensor(np.ascontiguousarray(kernel, dtypes.numpy_dtype(images.dtype)))
    return depthwise_conv(images, kernel, 1, padding, "channels_last")


def _blurred_spec(images, **options):
    check_rank(images, "ops.image.gaussian_blur")
    return tuple(images.shape), images.dtype


@export("ops.image.gaussian_blur")
@composite(_blurred_spec)
def gaussian_blur(images, kernel_size=(3, 3), sigma=(1.0, 1.0), data_format=None):
    """Images smoothed with a Gaussian window of `kernel_size` and `sigma`, both (x, y) in pixels.

    Outside the image are zeros.
    Shapes: (H, W, C) or (N, H, W, C), or with the channels before H; result alike.
    Raises: ValueError for other ranks or sizes.
    """
    owner = "ops.image.gaussian_blur"
    kernel_size = checks.int_tuple(
        tuple(int(n) for n in np.asarray(to_array(kernel_size)).reshape(-1)),
        2,
        "kernel_size",
        owner=owner,
    )
    sigma = np.asarray(to_array(sigma), np.float64).reshape(-1)
    if sigma.size != 2 or not (sigma > 0).all():
        checks.fail(owner, "sigma", "two positive numbers", sigma.tolist())
    images, restore = as_batch(images, data_format, owner)
    # As in Keras on TensorFlow, where the two sizes differ: weights are made for (x, y), and what
    # comes of it is read as a window of kernel_size (rows, columns).
    window = np.outer(_bell(kernel_size[1], sigma[1]), _bell(kernel_size[0], sigma[0]))
    window = window.reshape(kernel_size)
    return restore(_each_channel(images, window, "same"))


def _edges_spec(images, data_format=None):
    check_rank(images, "ops.image.sobel_edges", ranks=(4,))
    return (*images.shape, 2), images.dtype


@export("ops.image.sobel_edges")
@composite(_edges_spec)
def sobel_edges(images, data_format=None):
    """How much brighter images become downwards and to the right, by Sobel's 3 x 3 windows.

    The image goes on beyond its edges as in a mirror.
    Shapes: (N, H, W, C), or with the channels before H; result with a last axis of 2: dy, dx.
    Raises: ValueError for other ranks.
    """
    owner = "ops.image.sobel_edges"
    images = to_tensor(images)
    check_rank(images, owner, ranks=(4,))
    first = channels_axis(data_format, owner) == -3
    if first:
        images = transpose(images, (0, 2, 3, 1))
    n, h, w, c = images.shape
    down = np.outer([-1, 0, 1], [1, 2, 1])
    windows = np.stack([down, down.T], -1)[:, :, None, :]
    kernel = np.broadcast_to(windows, (3, 3, c, 2))
    kernel = to_tensor(np.ascontiguousarray(kernel, dtypes.numpy_dtype(images.dtype)))
    padded = pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    edges = reshape(depthwise_conv(padded, kernel, 1, "valid", "channels_last"), (n, h, w, c, 2))
    return transpose(edges, (0, 3, 1, 2, 4)) if first else edges


def _similarity_spec(image1, image2, **options):
    for name, image in (("image1", image1), ("image2", image2)):
        check_rank(image, "ops.image.ssim", name)
    return tuple(image1.shape[:-3]), image1.dtype


@export("ops.image.ssim")
@composite(_similarity_spec)
def ssim(
    image1,
    image2,
    max_val=1.0,
    filter_size=11,
    filter_sigma=1.5,
    k1=0.01,
    k2=0.03,
    data_format=None,
):
    """Structural similarity, between -1 and 1 (equal images), over Gaussian windows.

    `max_val` is the largest value that pixels can have; `k1` and `k2` keep divisors from zero.
    Shapes: (H, W, C) or (N, H, W, C), or with the channels before H; result () or (N,).
    Raises: ValueError for other ranks.
    Source: Wang et al. 2004, https://doi.org/10.1109/TIP.2003.819861, Eq. 13.
    """
    owner = "ops.image.ssim"
    image1, image2 = to_tensor(image1), to_tensor(image2)
    given = image1.dtype
    dtype = dtypes.result_type(given, float)
    check_rank(image2, owner, "image2")
    check_rank(image1, owner, "image1")
    single = len(image1.shape) == 3
    (x, _), (y, _) = (
        as_batch(cast(image, dtype), data_format, owner) for image in (image1, image2)
    )
    filter_size = checks.positive_int(filter_size, "filter_size", owner=owner)
    bell = _bell(filter_size, filter_sigma)
    window = np.outer(bell, bell)

    def local_mean(images):
        return _each_channel(images, window, "valid")

    mean_x, mean_y = local_mean(x), local_mean(y)
    product = mean_x * mean_y
    squares = mean_x * mean_x + mean_y * mean_y
    covariance = local_mean(x * y) - product
    variances = local_mean(x * x + y * y) - squares
    c1, c2 = (k1 * max_val) ** 2, (k2 * max_val) ** 2
    similarity = ((2 * product + c1) * (2 * covariance + c2)) / ((squares + c1) * (variances + c2))
    result = mean(similarity, axis=(1, 2, 3))
    return cast(reshape(result, ()) if single else result, given)
