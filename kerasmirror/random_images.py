"""Random distortions of images."""

from __future__ import annotations

import numpy as np

from kerasmirror import random
from kerasmirror._export import export
from kerasmirror.autodiff.composite import composite
from kerasmirror.core import checks
from kerasmirror.ops.image.filters import gaussian_blur
from kerasmirror.ops.image.layout import as_batch, check_rank
from kerasmirror.ops.image.warping import (
    INTERPOLATIONS,
    MAP_FILL_MODES,
    map_coordinates,
    same_spec,
)
from kerasmirror.ops.numpy.joining import stack
from kerasmirror.ops.numpy.shape import expand_dims
from kerasmirror.ops.tensor import cast, to_array, to_tensor


@export("ops.image.elastic_transform")
@composite(same_spec)
def elastic_transform(
    images,
    alpha=20.0,
    sigma=5.0,
    interpolation="bilinear",
    fill_mode="reflect",
    fill_value=0.0,
    seed=None,
    data_format=None,
):
    """Images in which every pixel is moved by smooth random waves, `alpha` high and `sigma` wide.

    Shapes: (H, W, C) or (N, H, W, C), or with the channels before H; result alike.
    Raises: ValueError for other ranks or names.
    Source: Simard et al. 2003, https://doi.org/10.1109/ICDAR.2003.1227801, section 2.
    """
    owner = "ops.image.elastic_transform"
    checks.one_of(interpolation, INTERPOLATIONS, "interpolation", owner=owner)
    checks.one_of(fill_mode, MAP_FILL_MODES, "fill_mode", owner=owner)
    check_rank(images, owner)
    images, restore = as_batch(images, data_format, owner)
    alpha, sigma = (float(to_array(value)) for value in (alpha, sigma))
    n, height, width, channels = images.shape
    # Keras draws the waves of both directions from the same seed: they are the same waves.
    waves = random.normal((n, height, width), dtype=images.dtype, seed=seed) * sigma
    window = 6 * int(sigma) | 1
    waves = gaussian_blur(
        expand_dims(waves, -1), (window, window), (sigma, sigma), "channels_last"
    )[..., 0]
    y, x = (part.astype(images.data.dtype) for part in np.mgrid[:height, :width])
    rows, columns = to_tensor(y) + waves * alpha, to_tensor(x) + waves * alpha
    moved = []
    for image in range(n):
        place = [rows[image], columns[image]]
        parts = [
            map_coordinates(
                images[image, :, :, channel],
                place,
                INTERPOLATIONS.index(interpolation),
                fill_mode,
                fill_value,
            )
            for channel in range(channels)
        ]
        moved.append(stack(parts, axis=-1))
    return restore(cast(stack(moved), images.dtype))
