"""Helpers around models and data (`keras.utils`)."""

from kerasmirror.utils import (  # noqa: F401 - loading them registers their public names
    arrays,
    audio_dataset,
    data_tuples,
    dataset,
    files,
    flow,
    frozen_config,
    graph_inputs,
    image_dataset,
    image_drawing,
    images,
    logging,
    model_drawing,
    py_dataset,
    random_seed,
    split_dataset,
    text_dataset,
    timeseries_dataset,
)
