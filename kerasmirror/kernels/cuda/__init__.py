"""The GPU's kernels as one flat namespace, with the CPU's names: see `namespace.py`."""

import functools

from .. import namespace


@functools.cache
def load():
    """Import every file here and gather their public names; two files may not share one."""
    return namespace.gather(globals())
