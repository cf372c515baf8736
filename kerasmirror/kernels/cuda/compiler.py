"""What a device loads for a kernel: machine code from numba-cuda and NVIDIA's linker, or from disk.

The cubin is made for the card's own architecture, so any driver of the same major version takes it.
"""

from __future__ import annotations

import json
import os

from numba import cuda

from .. import cache


def ptx_of(kernel, signature, capability):
    """The PTX of a kernel for a compute capability such as (9, 0), and its name in there."""
    bounds = (kernel.block, kernel.min_blocks)
    text, _ = cuda.compile_ptx(
        kernel.function, signature.types, cc=capability, launch_bounds=bounds
    )
    return text, symbol_in(text)


def symbol_in(ptx):
    """The name of the entry in PTX."""
    start = ptx.index(".visible .entry ") + len(".visible .entry ")
    return ptx[start : ptx.index("(", start)].strip()


def cubin_of(ptx, capability):
    """PTX assembled for a compute capability; gives (machine code, what the assembler said)."""
    from cuda.bindings import nvjitlink

    major, minor = capability
    handle = nvjitlink.create(2, [f"-arch=sm_{major}{minor}", "-verbose"])
    try:
        text = ptx.encode()
        nvjitlink.add_data(handle, nvjitlink.InputType.PTX, text, len(text), "kernel")
        nvjitlink.complete(handle)
        image = bytearray(nvjitlink.get_linked_cubin_size(handle))
        nvjitlink.get_linked_cubin(handle, image)
        said = bytearray(nvjitlink.get_info_log_size(handle))
        nvjitlink.get_info_log(handle, said)
    finally:
        nvjitlink.destroy(handle)
    return bytes(image), said.decode(errors="replace").strip("\0")


def image_of(kernel, signature, device):
    """(what the device loads, the name of the function in it), from the disk where it is."""
    folder = cache.cache_folder(kernel.source, device.build)
    path = folder / f"{kernel.name}-{'-'.join(signature.words).replace('*', 'p')}.bin"
    try:
        head, _, image = path.read_bytes().partition(b"\n")
        if image:
            return image, json.loads(head)
    except (OSError, ValueError):
        pass  # not there, or cut short: made anew
    image, symbol = device.compile(kernel, signature)
    _write(path, json.dumps(symbol).encode() + b"\n" + image)
    return image, symbol


def _write(path, contents):
    beside = path.with_suffix(f".{os.getpid()}")
    try:
        beside.write_bytes(contents)
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
