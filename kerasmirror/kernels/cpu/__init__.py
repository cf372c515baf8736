"""The CPU's kernels as one flat namespace: the public names (`__all__`) of each file here."""

import functools
import importlib
import pkgutil


@functools.cache
def load():
    """Import every file here and gather their public names; two files may not share one."""
    owners = {}
    for info in sorted(pkgutil.iter_modules(__path__), key=lambda info: info.name):
        module = importlib.import_module(f"{__name__}.{info.name}")
        for name in getattr(module, "__all__", ()):
            if name in owners:
                files = f"{owners[name]}.py and {info.name}.py"
                raise ImportError(f"kernels.cpu: `{name}` is exported by both {files}")
            owners[name] = info.name
            globals()[name] = getattr(module, name)
    return sorted(owners)
