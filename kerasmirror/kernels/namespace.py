"""A device's kernels as one flat namespace: the public names (`__all__`) of its files."""

import importlib
import pkgutil


def gather(package):
    """Import every file of a package, given its globals, and put their public names there.

    Raises: ImportError where two files share a name.
    """
    folder = package["__name__"]
    owners = {}
    for info in sorted(pkgutil.iter_modules(package["__path__"]), key=lambda info: info.name):
        module = importlib.import_module(f"{folder}.{info.name}")
        for name in getattr(module, "__all__", ()):
            if name in owners:
                files = f"{owners[name]}.py and {info.name}.py"
                short = folder.partition(".")[2]
                raise ImportError(f"{short}: `{name}` is exported by both {files}")
            owners[name] = info.name
            package[name] = getattr(module, name)
    return sorted(owners)
