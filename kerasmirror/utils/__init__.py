"""Helpers around models and data (`keras.utils`)."""

from kerasmirror.utils import (  # noqa: F401 - loading them registers their public names
    arrays,
    data_tuples,
    files,
    flow,
    logging,
    model_drawing,
    py_dataset,
    random_seed,
)
