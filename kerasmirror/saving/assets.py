"""Files that layers keep beside their weights: what `save_assets(folder)` writes."""

from __future__ import annotations

import os

from kerasmirror.saving.weights import parts_of


def save_assets(model, folder):
    """Let every part of the model write its files into a folder of its own below `folder`."""
    for saveable, path in parts_of(model):
        if hasattr(saveable, "save_assets"):
            place = os.path.join(folder, *path.split("/")) if path else folder
            os.makedirs(place, exist_ok=True)
            saveable.save_assets(place)


def load_assets(model, folder):
    """Let every part read its files; one that has none there gets None for its folder.

    Raises: ValueError that names the part whose files do not fit.
    """
    for saveable, path in parts_of(model):
        if not hasattr(saveable, "load_assets"):
            continue
        place = os.path.join(folder, *path.split("/")) if path else folder
        try:
            saveable.load_assets(place if os.path.exists(place) else None)
        except Exception as error:
            raise ValueError(
                f"load_model: the files of {getattr(saveable, 'name', saveable)!r} must fit it. "
                f"The error was: {error}"
            ) from error
