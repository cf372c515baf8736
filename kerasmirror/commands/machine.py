"""What a program runs on: CPU, memory, system, versions. No host name."""

import datetime
import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

from kerasmirror.version import __version__

try:
    import resource
except ImportError:  # Windows has no such module
    resource = None

PACKAGES = ("numpy", "numba", "llvmlite", "keras", "tensorflow", "jax", "torch")


def cpu_name():
    """The processor's name as the system gives it."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    if platform.system() == "Darwin":
        asked = subprocess.run(
            ["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True
        )
        if asked.returncode == 0:
            return asked.stdout.strip()
    return platform.processor() or platform.machine()


def cores():
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def memory_gib():
    """Main memory in GiB, or None where the system does not say."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None


def peak_memory():
    """The largest resident memory of this process so far in bytes; None where nothing says."""
    status = Path("/proc/self/status")
    if status.exists():
        # Linux counts what the parent had when it started this process in ru_maxrss.
        lines = status.read_text().splitlines()
        return next((int(li.split()[1]) * 1024 for li in lines if li.startswith("VmHWM:")), None)
    if resource is None:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def versions():
    """The installed packages among those that matter here, with their versions."""
    found = {"python": platform.python_version(), "kerasmirror": __version__}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def describe():
    """All of it as one dictionary."""
    return {
        "cpu": cpu_name(),
        "cores": cores(),
        "memory_gib": memory_gib(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": versions(),
        "date": datetime.date.today().isoformat(),
    }


def sentence(machine):
    """`describe()` as one line for a table's caption."""
    packages = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    memory = f", {machine['memory_gib']} GiB" if machine["memory_gib"] else ""
    return (
        f"{machine['cpu']}, {machine['cores']} cores{memory}, {machine['system']}; "
        f"{packages}; {machine['date']}"
    )
