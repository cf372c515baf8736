"""Public names of Keras that are not mirrored, each with its reason.

Using one raises an AttributeError with that reason; `python -m kerasmirror swap` lists them too. A
name that ends in ".*" stands for all names below it.
"""

from __future__ import annotations

_ANOTHER = "it runs a part of another framework, {}, inside a model; kerasmirror has one engine"
_CHECKPOINT = (
    "it writes checkpoints with Orbax, JAX's library; `callbacks.ModelCheckpoint` writes files"
)
REASONS = {
    "callbacks.OrbaxCheckpoint": _CHECKPOINT,
    "layers.FlaxLayer": _ANOTHER.format("Flax"),
    "layers.JaxLayer": _ANOTHER.format("JAX"),
    "layers.TFSMLayer": _ANOTHER.format("a TensorFlow SavedModel"),
    "layers.TorchModuleWrapper": _ANOTHER.format("PyTorch"),
}


def reason(path):
    """Why the public name `path` ("layers.Dense") is not there, or None if nothing is known."""
    while path:
        if path in REASONS:
            return REASONS[path]
        path = path.rpartition(".")[0]
        if f"{path}.*" in REASONS:
            return REASONS[f"{path}.*"]
    return None
