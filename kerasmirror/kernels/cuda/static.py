"""What a kernel's machine code tells without a GPU: registers, memory, instructions, occupancy.

    facts = facts_of(kernel, signature, (9, 0))
    facts.registers, facts.stack, facts.hot.share("FFMA"), occupancy(facts, kernel.block)

The code is numba-cuda's, NVIDIA's assembler's and disassembler's (wheel nvidia-cuda-nvdisasm), for
any compute capability: none of them asks for a card. Facts are kept on disk as kernels are.
"""

from __future__ import annotations

import collections
import importlib.metadata
import json
import re
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from .. import cache
from . import compiler

_TOGETHER = 32  # kernels in one image
_DISASSEMBLER = "nvidia-cuda-nvdisasm"

_LABEL = re.compile(r"\s*(\.L_\w+):")
_INSTRUCTION = re.compile(r"\s+/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([^;]*?)\s*;")
_JUMP = re.compile(r"BRA\b.*`\((\.L_\w+)\)")
_DOUBLE = re.compile(r"D(?:ADD|MUL|FMA|SETP|MNMX)\b|\w+.*\.F64\b|MUFU\.\w+64H")
_WIDTHS = {"U8": 1, "S8": 1, "U16": 2, "S16": 2, "64": 8, "128": 16}


class Part(NamedTuple):
    """How often each instruction stands in a part of a kernel."""

    counts: dict

    @property
    def size(self):
        """How many instructions there are."""
        return sum(self.counts.values())

    def count(self, *names):
        """Instructions that are called one of `names`, or begin with it and a dot."""
        return sum(n for word, n in self.counts.items() if _is_one(word, names))

    def share(self, *names):
        """The part of the instructions that `count` counts."""
        return self.count(*names) / self.size if self.counts else 0.0

    def bytes_of(self, *names):
        """Bytes that one thread loads or stores by the instructions of these names."""
        return sum(n * _width(w) for w, n in self.counts.items() if _is_one(w, names))


class Facts(NamedTuple):
    """One form of a kernel for one compute capability; memory in bytes, of a thread or a block."""

    capability: tuple
    registers: int
    stack: int
    spilled: int
    shared: int
    parameters: tuple  # bytes of each
    doubles: int  # instructions on float64
    whole: Part
    loops: tuple  # the innermost loops, a Part each

    @property
    def hot(self):
        """The innermost loop with the most multiply-adds, else the largest; without one, all."""
        if not self.loops:
            return self.whole
        return max(self.loops, key=lambda part: (multiply_adds(part), part.size))


def multiply_adds(part):
    """Instructions that multiply and add, of any type and of the tensor cores."""
    return part.count("FFMA", "FFMA2", "DFMA", "HFMA2", "HMMA", "IMMA", "DMMA")


def missing():
    """What has to be installed before machine code can be read; None where nothing is."""
    for package in ("numba-cuda", "nvidia-nvjitlink", _DISASSEMBLER):
        if cache.version_of(package) == "none":
            return f"needs the package {package}"
    return None


def facts_of(kernel, signature, capability):
    """The Facts of one form of a kernel.

    Raises: what the compilers raise where it does not compile.
    """
    path = _path(kernel, signature, capability)
    found = _stored(path)
    if found is None:
        (found,) = _read([(kernel, signature)], capability)
        compiler.write_whole(path, json.dumps(found).encode())
    return _facts(found, capability)


def gather(forms, capability):
    """Put the facts of many (kernel, signature) on disk, disassembled together.

    The disassembler takes about as long for one as for a hundred. What does not compile is left to
    `facts_of`, which says why.
    """
    paths = [_path(kernel, signature, capability) for kernel, signature in forms]
    fresh = [(p, form) for p, form in zip(paths, forms, strict=True) if _stored(p) is None]
    for first in range(0, len(fresh), _TOGETHER):
        part = [form for _, form in fresh[first : first + _TOGETHER]]
        try:
            told = _read(part, capability)
        except Exception:  # each library has its own; facts_of meets it again
            continue
        for (path, _), found in zip(fresh[first : first + _TOGETHER], told, strict=True):
            compiler.write_whole(path, json.dumps(found).encode())


def _path(kernel, signature, capability):
    environment = f"facts {cache.digest_of(__file__)} sm_{capability} {compiler.versions()}"
    return compiler.path_of(kernel, signature, environment, "json")


def _stored(path):
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def _facts(found, capability):
    whole, loops = Part(found["whole"]), tuple(map(Part, found["loops"]))
    parameters = tuple(found["parameters"])
    told = {**found, "parameters": parameters, "whole": whole, "loops": loops}
    return Facts(capability=tuple(capability), **told)


def disassembled(cubin):
    """The instructions of a cubin as text."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(cubin)
        done = subprocess.run([_disassembler(), "-c", str(path)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"nvdisasm failed: {done.stderr.strip()}")
    return done.stdout


def _disassembler():
    for file in importlib.metadata.files(_DISASSEMBLER) or ():
        if file.stem == "nvdisasm":
            return str(file.locate())
    raise RuntimeError(f"the package {_DISASSEMBLER} has no nvdisasm")


def _read(forms, capability):
    """What there is to say of each form, all linked into one image."""
    codes = [compiler.ptx_of(kernel, signature, capability) for kernel, signature in forms]
    cubin, said = compiler.cubin_of([ptx for ptx, _ in codes], capability)
    said = dict(re.findall(r"Compiling entry function '(\w+)'(.*?)(?=Compiling|\Z)", said, re.S))
    text = disassembled(cubin)
    texts = dict(re.findall(r"\.section\s+\.text\.(\w+),(.*?)(?=\.section\s|\Z)", text, re.S))
    return [_told(ptx, said[symbol], texts[symbol]) for ptx, symbol in codes]


def _told(ptx, said, text):
    instructions, loops = _innermost_loops(text)
    if not instructions:
        raise RuntimeError("nvdisasm's text has no instruction that is understood here")
    return {
        "registers": _number(r"Used (\d+) registers", said),
        "stack": _number(r"(\d+) bytes stack frame", said),
        "spilled": _number(r"(\d+) bytes spill stores", said),
        "shared": _shared(ptx),
        "parameters": _parameters(ptx),
        "doubles": sum(bool(_DOUBLE.match(word)) for word in instructions),
        "whole": _counted(instructions),
        "loops": [_counted(instructions[first : last + 1]) for first, last in loops],
    }


def _number(pattern, text):
    found = re.search(pattern, text)
    return int(found[1]) if found else 0


def _shared(ptx):
    """Bytes of a block's arrays; for some cards the assembler adds the system's part to them."""
    end = 0
    for alignment, size in re.findall(r"\.shared \.align (\d+) \.b8 [^\[;]+\[(\d+)\]", ptx):
        end = -(-end // int(alignment)) * int(alignment) + int(size)
    return end


def _parameters(ptx):
    start = ptx.index("(", ptx.index(".visible .entry "))
    words = re.findall(r"\.param \.[a-z](\d+)", ptx[start : ptx.index(")", start)])
    return [int(word) // 8 for word in words]


def _innermost_loops(text):
    """(all instructions, [(first, last) of each loop without a loop in it]).

    A loop is what a jump back spans.
    """
    instructions, labels, jumps = [], {}, []
    for line in text.splitlines():
        label = _LABEL.match(line)
        if label:
            labels[label[1]] = len(instructions)
            continue
        found = _INSTRUCTION.match(line)
        if found and not found[1].startswith("NOP"):
            jump = _JUMP.match(found[1])
            if jump and jump[1] in labels:
                jumps.append((labels[jump[1]], len(instructions)))
            instructions.append(found[1].split()[0])
    # The code ends with a jump to itself, which no thread reaches.
    jumps = [(first, last) for first, last in jumps if first < last]
    inner = [a for a in jumps if not any(b != a and b[0] >= a[0] and b[1] <= a[1] for b in jumps)]
    return instructions, inner


def _counted(instructions):
    return dict(collections.Counter(instructions).most_common())


def _is_one(word, names):
    return any(word == name or word.startswith(name + ".") for name in names)


def _width(word):
    return next((_WIDTHS[part] for part in word.split(".") if part in _WIDTHS), 4)


# --- occupancy ----------------------------------------------------------------------------------


class Multiprocessor(NamedTuple):
    """What the blocks on one multiprocessor share.

    Source: CUDA C++ Programming Guide, "Technical Specifications per Compute Capability".
    """

    warps: int
    blocks: int
    shared: int  # bytes
    reserved: int  # bytes of shared memory that the system takes for each block
    lanes: int  # float32 multiply-adds per clock


MULTIPROCESSORS = {
    (7, 5): Multiprocessor(32, 16, 64 << 10, 0, 64),
    (8, 0): Multiprocessor(64, 32, 164 << 10, 1024, 64),
    (8, 6): Multiprocessor(48, 16, 100 << 10, 1024, 128),
    (8, 9): Multiprocessor(48, 24, 100 << 10, 1024, 128),
    (9, 0): Multiprocessor(64, 32, 228 << 10, 1024, 128),
    (10, 0): Multiprocessor(64, 32, 228 << 10, 1024, 128),
}
_REGISTERS = 65536  # of each multiprocessor, handed out to warps by 256
SCHEDULERS = 4  # of each multiprocessor; each issues one instruction of one warp per clock


class Occupancy(NamedTuple):
    """Blocks on a multiprocessor, their warps as part of those possible, and what bounds them."""

    blocks: int
    warps: int
    share: float
    bound: str


def occupancy(facts, threads):
    """The Occupancy of a kernel with blocks of so many threads."""
    there = MULTIPROCESSORS[facts.capability]
    warps = -(-threads // 32)
    of_warp = -(-max(facts.registers, 1) * 32 // 256) * 256
    by_registers = _REGISTERS // of_warp // SCHEDULERS * SCHEDULERS
    shared = -(-(facts.shared + there.reserved) // 128) * 128
    limits = {
        "registers": by_registers // warps,
        "shared memory": there.shared // shared if shared else there.blocks,
        "warps": there.warps // warps,
        "blocks": there.blocks,
    }
    bound = min(limits, key=lambda name: (limits[name], name != "warps"))
    blocks = limits[bound]
    return Occupancy(blocks, blocks * warps, blocks * warps / there.warps, bound)
