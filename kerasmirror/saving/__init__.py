"""Models and weights on disk (`keras.saving`)."""

from kerasmirror.saving import (  # noqa: F401 - loading them registers their public names
    file_editor,
    model_files,
    weights,
)
