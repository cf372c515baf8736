"""Operations on images: `keras.ops.image`."""

from kerasmirror.ops.image import (  # noqa: F401 - loading them registers their public names
    color,
    filters,
    margins,
    patches,
    resizing,
    warping,
)
