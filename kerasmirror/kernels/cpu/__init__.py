"""The CPU's kernels as one flat namespace: every public name (`__all__`) of every file in this folder."""

import functools
import importlib
import pkgutil


@functools.cache
def load():
    """Import every file of this folder and put its public names here; two files may not share one."""
    owners = {}
    for info in sorted(pkgutil.iter_modules(__path__), key=lambda info: info.name):
        module = importlib.import_module(f"{__name__}.{info.name}")
        for name in getattr(module, "__all__", ()):
            if name in owners:
                raise ImportError(
                    f"kernels.cpu: `{name}` is exported by both {owners[name]}.py and {info.name}.py"
                )
            owners[name] = info.name
            globals()[name] = getattr(module, name)
    return sorted(owners)
