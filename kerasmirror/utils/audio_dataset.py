"""audio_dataset_from_directory: batches of sounds from `.wav` files."""

from __future__ import annotations

import numpy as np

from kerasmirror._export import export
from kerasmirror.core import checks
from kerasmirror.core.tensor import Tensor
from kerasmirror.utils import directories

_OWNER = "audio_dataset_from_directory"


@export("utils.audio_dataset_from_directory")
def audio_dataset_from_directory(
    directory,
    labels="inferred",
    label_mode="int",
    class_names=None,
    batch_size=32,
    sampling_rate=None,
    output_sequence_length=None,
    ragged=False,
    shuffle=True,
    seed=None,
    validation_split=None,
    subset=None,
    follow_links=False,
    verbose=True,
):
    """A `keras.utils.Dataset` of (sounds, labels) from the `.wav` files (16-bit) below `directory`.

    Shapes: sounds (batch, length, channels), float32 from -1 to 1: `output_sequence_length` of
    each file, cut or filled with zeros, or as long as the longest of the batch. Labels, batches
    and subsets are as `image_dataset_from_directory` gives them, but "both" is a tuple.
    Raises: ValueError for bad arguments, other files or none. NotImplementedError for `ragged`, as
    there are no ragged tensors here, and where a file has another rate than `sampling_rate`.
    Source: Keras 3.15 `keras.utils.audio_dataset_from_directory`, which gives a `tf.data.Dataset`
    and resamples with the package tensorflow_io.
    """
    directories.check_labels(_OWNER, labels, label_mode, class_names, "audio")
    if ragged and output_sequence_length is not None:
        raise ValueError(
            f"{_OWNER}: Cannot set both `ragged` and `output_sequence_length`. "
            f"Received: ragged={ragged}, output_sequence_length={output_sequence_length}"
        )
    if sampling_rate is not None:
        if not isinstance(sampling_rate, int):
            raise ValueError(
                f"{_OWNER}: `sampling_rate` should have an integer value. "
                f"Received: sampling_rate={sampling_rate!r}"
            )
        if sampling_rate <= 0:
            raise ValueError(
                f"{_OWNER}: `sampling_rate` should be higher than 0. "
                f"Received: sampling_rate={sampling_rate}"
            )
    if ragged:
        raise NotImplementedError(
            f"{_OWNER}: `ragged` must be False, kerasmirror has dense tensors only: sounds are "
            "filled with zeros to the longest of their batch. Received: ragged=True"
        )
    if output_sequence_length is not None:
        checks.count(output_sequence_length, "output_sequence_length", owner=_OWNER)

    def load(path):
        samples, rate = read_wav(path)
        if sampling_rate is not None and rate != sampling_rate:
            raise NotImplementedError(
                f"{_OWNER}: `sampling_rate` must be that of the files, sounds are not resampled. "
                f"Received: sampling_rate={sampling_rate}, for {path} of {rate}"
            )
        if output_sequence_length is not None:
            out = np.zeros((output_sequence_length, samples.shape[1]), "float32")
            kept = samples[:output_sequence_length]
            out[: len(kept)] = kept
            samples = out
        return Tensor(samples)

    return directories.datasets(
        _OWNER,
        directory,
        labels,
        label_mode,
        class_names,
        (".wav",),
        "audio",
        load,
        batch_size,
        shuffle,
        seed,
        validation_split,
        subset,
        follow_links,
        verbose,
        pad=output_sequence_length is None,
        as_tuple=True,
    )


def read_wav(path):
    """(samples, rate) of a 16-bit PCM file: float32 of shape (length, channels), from -1 to 1.

    Raises: ValueError for files of another kind.
    """
    import wave  # loaded for sounds only

    try:
        with wave.open(path, "rb") as file:
            width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
            frames = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise ValueError(f"{_OWNER}: {path} must be a PCM .wav file. Received: {error}") from None
    if width != 2:
        raise ValueError(
            f"{_OWNER}: {path} must have samples of 16 bits. Received: {8 * width} bits"
        )
    samples = np.frombuffer(frames, dtype="<i2").reshape(-1, channels)
    return (samples / np.float32(32768)).astype("float32"), rate
