"""Keras 3's public API on home-made layers and kernels: `import kerasmirror as keras`."""

import importlib

from kerasmirror import _export, unsupported
from kerasmirror.version import __version__  # noqa: F401 - public

# The levels, lowest first; a folder may import from those before it only.
_LEVELS = (
    "core",
    "autodiff",
    "ops",
    "random",
    "random_images",
    "activations",
    "initializers",
    "regularizers",
    "constraints",
    "losses",
    "metrics",
    "optimizers",
    "quantizers",
    "layers",
    "saving",
    "callbacks",
    "training",
    "models",
    "datasets",
    "utils",
    "standin",
)

for _level in _LEVELS:
    importlib.import_module(f"{__name__}.{_level}")
importlib.import_module(f"{__name__}.ops.recording").install()
_export.publish(__name__, unsupported.reason)
