"""Code of the usual kernels that comes with the package (`compiled/`), in LLVM's language.

scripts/precompile.py makes it, for the kinds of CPU that matter, and one file for each file of
kernels. Such a file begins with the hash of the sources that it was made from: where these have
changed, it counts for nothing, and numba compiles. The code is optimised but made for no CPU in
particular, so LLVM only has to make machine code of it, which takes a twentieth of a compilation.
"""

import functools
import lzma
import os
from pathlib import Path

from .. import cache
from . import machine_code, simd

FOLDER = Path(__file__).resolve().parent / "compiled"

# The LLVM versions that have been seen to read the code of the one that wrote it; newer ones do.
_OLDEST_LLVM = 20
_MARK = "; entry "


def tile():
    """The name of the kind of CPU: what a kernel's code depends on beside its sources."""
    lanes = simd.BITS // 32
    fused = "-fma" if simd.HAS_FMA else ""
    architecture = machine_code.target().architecture
    return f"{architecture}-{simd.ROWS}x{simd.VECTORS}x{lanes}{fused}"


def path_of(source):
    """Where the code of the kernels of the file `source` is."""
    return FOLDER / tile() / f"{Path(source).stem}.ll.xz"


def text_of(source, symbol):
    """The code of an entry, or None where there is none that is current."""
    return entries(source).get(symbol)


@functools.cache
def entries(source):
    """{symbol: code} of a file of kernels; nothing where its code is of other sources.

    Nor with KERASMIRROR_SHIPPED_KERNELS=0, for who wants to see numba compile.
    """
    if machine_code.LLVM < _OLDEST_LLVM or os.environ.get("KERASMIRROR_SHIPPED_KERNELS") == "0":
        return {}
    digest, found = read(path_of(source))
    return found if digest == cache.digest_of(source) else {}


def read(path):
    """(hash of the sources, {symbol: code}) of a file; (None, {}) where there is none."""
    try:
        text = lzma.decompress(path.read_bytes()).decode()
    except (OSError, EOFError, ValueError, lzma.LZMAError):
        return None, {}
    head, *parts = text.split(_MARK)
    found = (part.partition("\n") for part in parts)
    return head.strip().rpartition(" ")[2], {symbol: code for symbol, _, code in found}


def write(source, found):
    """Keep {symbol: code} as what belongs to a file of kernels as it is now."""
    text = f"; LLVM {machine_code.LLVM}, made of sources {cache.digest_of(source)}\n"
    text += "".join(f"{_MARK}{symbol}\n{code}" for symbol, code in sorted(found.items()))
    path = path_of(source)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
