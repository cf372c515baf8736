"""`keras.ops`: differentiable operations on tensors; every file below is loaded."""

import importlib
import pkgutil

for _info in pkgutil.walk_packages(__path__, __name__ + "."):
    importlib.import_module(_info.name)
