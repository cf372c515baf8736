"""Locks of modules, for what threads of a process share."""

from __future__ import annotations

import os
import threading


def lock_of(module, name):
    """A lock, to be kept as `name` in a module, given its globals.

    It may be taken again by the thread that holds it: a finalizer may run at any time. A child
    process gets a new one, as the thread that held the old one may not exist there.
    """

    def renew():
        module[name] = threading.RLock()

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=renew)
    return threading.RLock()
