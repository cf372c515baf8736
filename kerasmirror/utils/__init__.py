"""Helpers around models and data (`keras.utils`)."""

from kerasmirror.utils import (  # noqa: F401 - loading them registers their public names
    random_seed,
    summary,
)
