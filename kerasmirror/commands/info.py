"""`python -m kerasmirror info`: what a report of a problem or a timing should say."""

from __future__ import annotations

import json
import time

from kerasmirror.commands import machine
from kerasmirror.core.device import current_device
from kerasmirror.kernels import cache, for_device, gpu
from kerasmirror.version import KERAS_VERSION

_GPU_PACKAGES = ("numba-cuda", "cuda-bindings", "nvidia-nvvm", "nvidia-nvjitlink")


def add_arguments(parser):
    """The command's own options."""
    parser.add_argument("--json", action="store_true", help="as JSON instead of a table")


def cache_contents():
    """(kernels, bytes) in the folder of compiled kernels."""
    files = [path for path in cache.cache_root().rglob("*") if path.is_file()]
    return sum(path.suffix == ".o" for path in files), sum(path.stat().st_size for path in files)


def gather():
    """Everything as one dictionary; loads the kernels."""
    start = time.perf_counter()
    kernels = for_device("cpu")
    loading = time.perf_counter() - start
    count, size = cache_contents()
    simd = kernels.simd
    return {
        "keras_api": KERAS_VERSION,
        **machine.describe(),
        "threads": kernels.thread_count(),
        "tile": {
            "vector_bits": simd.BITS,
            "rows": simd.ROWS,
            "vectors": simd.VECTORS,
            "fused_multiply_add": simd.HAS_FMA,
        },
        "seconds_to_load_kernels": round(loading, 3),
        "cache": {"folder": str(cache.cache_root()), "kernels": count, "bytes": size},
        "memory_pool": kernels.pool_statistics(),
        "gpu": gpus(),
        "peak_memory_bytes": machine.peak_memory(),
    }


def gpus():
    """Whether GPUs can be used: their names and memory, or what is missing."""
    found = {"device": current_device(), "devices": [], "missing": None}
    found["packages"] = {name: cache.version_of(name) for name in _GPU_PACKAGES}
    try:
        number = 0
        while True:
            card = gpu(number)
            free, total = card.memory()
            found["devices"].append(
                {
                    "name": card.name,
                    "title": card.title,
                    "compute_capability": ".".join(map(str, card.capability)),
                    "multiprocessors": card.multiprocessors,
                    "free_bytes": free,
                    "total_bytes": total,
                }
            )
            number += 1
    except (ImportError, RuntimeError) as error:
        if not found["devices"]:
            found["missing"] = str(error)
    return found


def _gpu_text(found):
    cards = [
        f"{card['name']} {card['title']}, compute capability {card['compute_capability']}, "
        f"{megabytes(card['free_bytes'])} of {megabytes(card['total_bytes'])} free"
        for card in found["devices"]
    ]
    return "; ".join(cards) or found["missing"]


def _readable(found):
    tile, kept, pool = found["tile"], found["cache"], found["memory_pool"]
    floats = tile["vectors"] * tile["vector_bits"] // 32
    fused = "fused" if tile["fused_multiply_add"] else "no fused"
    peak = found["peak_memory_bytes"]
    memory = f", {found['memory_gib']} GiB" if found["memory_gib"] else ""
    yield "versions", ", ".join(f"{name} {text}" for name, text in found["versions"].items())
    yield "API", f"Keras {found['keras_api']}"
    yield "machine", f"{found['cpu']}, {found['cores']} cores{memory}, {found['system']}"
    yield "threads", str(found["threads"])
    yield (
        "register tile",
        f"{tile['rows']} x {floats} float32 in vectors of {tile['vector_bits']} bits, "
        f"{fused} multiply-add",
    )
    yield "kernels loaded in", f"{found['seconds_to_load_kernels']:.2f} s"
    yield "compiled kernels", f"{kept['kernels']}, {megabytes(kept['bytes'])}, in {kept['folder']}"
    yield "memory pool", pool_text(pool)
    yield "device", found["gpu"]["device"]
    yield "GPUs", _gpu_text(found["gpu"])
    if peak is not None:
        yield "peak memory", megabytes(peak)


def megabytes(n_bytes):
    """Bytes for a reader."""
    return f"{n_bytes / 2**20:.1f} MB"


def pool_text(pool):
    """The pool's statistics for a reader."""
    return (
        f"{megabytes(pool['used_bytes'])} in {pool['blocks_in_use']} blocks in use, "
        f"{megabytes(pool['free_bytes'])} free, {pool['allocations']} allocations"
    )


def run(options, parser):
    """Print what there is; exit status 0."""
    found = gather()
    if options.json:
        print(json.dumps(found, indent=1))
        return 0
    for name, text in _readable(found):
        print(f"{name:18s} {text}")
    return 0
