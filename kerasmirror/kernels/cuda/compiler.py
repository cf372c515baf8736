"""What a device loads for a kernel: machine code from numba-cuda and NVIDIA's linker, or from disk.

The cubin is made for the card's own architecture, so any driver of the same major version takes it.
"""

from __future__ import annotations

import json
import os
import threading

from numba import cuda

from .. import cache

# For later cards NVVM has another front end, which leaves the sums of a tile in local memory: 256
# bytes of stack a thread instead of 64 registers. The assembler takes older PTX for newer cards.
_NEWEST_TARGET = (9, 0)


def ptx_of(kernel, signature, capability):
    """The PTX of a kernel for a compute capability such as (9, 0), and its name in there."""
    bounds = (kernel.block, kernel.min_blocks)
    target = min(tuple(capability), _NEWEST_TARGET)
    text, _ = cuda.compile_ptx(kernel.function, signature.types, cc=target, launch_bounds=bounds)
    return text, symbol_in(text)


def symbol_in(ptx):
    """The name of the entry in PTX."""
    start = ptx.index(".visible .entry ") + len(".visible .entry ")
    return ptx[start : ptx.index("(", start)].strip()


def cubin_of(ptx, capability):
    """PTX assembled for a compute capability; gives (machine code, what the assembler said).

    Args: the text of one kernel, or a list of texts, whose kernels get into one image.
    """
    from cuda.bindings import nvjitlink

    major, minor = capability
    try:
        handle = nvjitlink.create(2, [f"-arch=sm_{major}{minor}", "-verbose"])
    except nvjitlink.nvJitLinkError as error:
        raise RuntimeError(_refused(capability, error)) from None
    try:
        for text in [ptx] if isinstance(ptx, str) else ptx:
            code = text.encode()
            nvjitlink.add_data(handle, nvjitlink.InputType.PTX, code, len(code), "kernel")
        nvjitlink.complete(handle)
        image = bytearray(nvjitlink.get_linked_cubin_size(handle))
        nvjitlink.get_linked_cubin(handle, image)
        said = bytearray(nvjitlink.get_info_log_size(handle))
        nvjitlink.get_info_log(handle, said)
    except nvjitlink.nvJitLinkError as error:
        said = bytearray(nvjitlink.get_error_log_size(handle))
        nvjitlink.get_error_log(handle, said)
        raise RuntimeError(_refused(capability, error, said)) from None
    finally:
        nvjitlink.destroy(handle)
    return bytes(image), said.decode(errors="replace").strip("\0")


def _refused(capability, error, said=b""):
    """What to say where the installed assembler does not take a kernel."""
    version = cache.version_of("nvidia-nvjitlink")
    more = said.decode(errors="replace").strip("\0 \n")
    return (
        f"kerasmirror: nvJitLink {version} made no machine code for compute capability "
        f"{capability[0]}.{capability[1]} ({error}){': ' + more if more else ''}. A GPU newer than "
        "it needs newer packages: pip install -U 'kerasmirror[cuda]'."
    )


def versions():
    """What machine code depends on beside a kernel's source: the packages and this file."""
    packages = ("numba-cuda", "nvidia-nvvm", "nvidia-nvjitlink")
    return " ".join([*map(cache.version_of, packages), cache.digest_of(__file__)])


def path_of(kernel, signature, environment, ending):
    """Where something about one form of a kernel lies, which also depends on `environment`."""
    folder = cache.cache_folder(kernel.source, environment)
    return folder / f"{kernel.name}-{'-'.join(signature.words).replace('*', 'p')}.{ending}"


def image_of(kernel, signature, device):
    """(what the device loads, the name of the function in it), from the disk where it is."""
    path = path_of(kernel, signature, device.build, "bin")
    try:
        head, _, image = path.read_bytes().partition(b"\n")
        size, symbol = json.loads(head)
        if len(image) == size:
            return image, symbol
    except (OSError, ValueError, TypeError):
        pass  # not there, or cut short: made anew
    image, symbol = device.compile(kernel, signature)
    write_whole(path, json.dumps([len(image), symbol]).encode() + b"\n" + image)
    return image, symbol


def write_whole(path, contents):
    """Write a file that others see whole or not at all; none where that fails."""
    beside = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
    try:
        beside.write_bytes(contents)
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
