"""LLVM: from intermediate code as text to functions in this process, for the CPU at hand.

An object file is what is kept on disk (cache.py); it names the symbols that it needs from outside,
since LLVM ends the process where one is missing.
"""

import ctypes
import functools
import os
import zlib
from typing import NamedTuple

import llvmlite.binding as llvm

LLVM = llvm.llvm_version_info[0]

_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}
# What compiled code calls of the interpreter; elsewhere than on Linux a library does not see these.
_PYTHON = (
    "PyErr_SetString",
    "PyErr_WriteUnraisable",
    "PyEval_RestoreThread",
    "PyEval_SaveThread",
    "PyGILState_Ensure",
    "PyGILState_Release",
    "PyLong_AsLongLong",
    "PyLong_FromLongLong",
)
# CPUs that machines pretend to be, with AVX that they may not have; numba's list.
_NO_AVX = {"corei7-avx", "core-avx-i", "sandybridge", "ivybridge", "nocona"}


class Target(NamedTuple):
    """What code is made for; `features` are the names of those the CPU has."""

    triple: str
    cpu: str
    features: frozenset
    options: str  # features as LLVM's text

    @property
    def architecture(self):
        """x86_64, aarch64, or another name of LLVM's."""
        name = self.triple.partition("-")[0]
        return _ARCHITECTURES.get(name, name)

    def machine(self):
        """LLVM's description of it, with the options of numba's own compiler."""
        found = llvm.Target.from_triple(self.triple)
        reloc = "static" if self.architecture == "x86_64" else "default"
        return found.create_target_machine(
            cpu=self.cpu,
            features=self.options,
            opt=3,
            reloc=reloc,
            codemodel="jitdefault",
            jit=True,
        )


_target = None


def target():
    """What this process makes code for."""
    return _target or _host()


def pretend(target):
    """Make code for another CPU; before kernels are imported, in a process that runs none."""
    global _target
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    _target = target


@functools.cache
def _host():
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    # The variables are numba's.
    cpu, asked = os.environ.get("NUMBA_CPU_NAME"), os.environ.get("NUMBA_CPU_FEATURES")
    name = llvm.get_host_cpu_name()
    if asked is None and cpu == "generic":
        asked = ""
    if asked is not None:
        items = asked.split(",")
        features = frozenset(item[1:] for item in items if item.startswith("+"))
        return Target(llvm.get_process_triple(), cpu or name, features, asked)
    found = llvm.get_host_cpu_features()
    if name in _NO_AVX:
        found.update({feature: False for feature in found if feature.startswith("avx")})
    features = frozenset(feature for feature, on in found.items() if on)
    if cpu not in (None, "host", name):
        features = frozenset()  # tiles suit any CPU of that name
    return Target(llvm.get_process_triple(), cpu or name, features, found.flatten())


def description():
    """What machine code depends on beside its intermediate code, as text."""
    t = target()
    with open(__file__, "rb") as file:
        own = zlib.crc32(file.read())
    return repr((t.triple, t.cpu, sorted(t.features), t.options, llvm.llvm_version_info, own))


@functools.cache
def _emitter():
    return target().machine()


def layout():
    """LLVM's data layout of the target, as text."""
    return str(_emitter().target_data)


class Code(NamedTuple):
    """An object file, and the symbols from outside that it needs."""

    needs: tuple
    data: bytes

    def write(self, path):
        """Keep it in a file, which other processes see whole or not at all."""
        head = " ".join([str(zlib.crc32(self.data)), *self.needs]).encode()
        partial = f"{path}.{os.getpid()}"
        try:
            with open(partial, "wb") as file:
                file.write(head + b"\n" + self.data)
            os.replace(partial, path)
        except OSError:
            return  # full or read-only: the code is made again next time


def read(path):
    """The Code in a file, or None where there is none, or not a whole one."""
    try:
        with open(path, "rb") as file:
            head, _, data = file.read().partition(b"\n")
    except OSError:
        return None
    sum_, *needs = head.decode("ascii", "replace").split(" ")
    return Code(tuple(needs), data) if sum_ == str(zlib.crc32(data)) else None


def emit(text):
    """Machine code of a module in LLVM's language, without a triple and a data layout of its own.

    RuntimeError where this LLVM does not know something in it.
    """
    emitter = _emitter()
    head = f'target datalayout = "{layout()}"\ntarget triple = "{target().triple}"\n'
    with llvm.parse_assembly(head + text, llvm.create_context()) as module:
        module.verify()
        symbols = [*module.functions, *module.global_variables]
        needs = tuple(
            symbol.name
            for symbol in symbols
            if symbol.is_declaration and not symbol.name.startswith("llvm.")
        )
        return Code(needs, emitter.emit_object(module))


_engines = []  # (LLVM's linker and loader, names in it)
_loaded = {}


def _new_engine():
    # The first one makes what this process has loaded known to LLVM.
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target().machine())
    _engines.append((engine, set()))


@functools.cache
def _publish_symbols():
    _new_engine()
    for name in _PYTHON:
        address = ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value
        llvm.add_symbol(name, address)
    error = ctypes.c_void_p.in_dll(ctypes.pythonapi, "PyExc_SystemError")
    llvm.add_symbol("PyExc_SystemError", ctypes.addressof(error))


def is_complete(code):
    """Whether this process has all the symbols that the code needs."""
    _publish_symbols()
    return all(llvm.address_of_symbol(name) for name in code.needs)


def load(code, name):
    """The address of the function `name` of a complete Code."""
    key = name, zlib.crc32(code.data)
    if key not in _loaded:
        if name in _engines[-1][1]:
            _new_engine()
        engine, names = _engines[-1]
        engine.add_object_file(llvm.object_file.ObjectFileRef.from_data(code.data))
        names.add(name)
        _loaded[key] = engine.get_function_address(name)
    return _loaded[key]


class _Method(ctypes.Structure):
    # PyMethodDef of Python's methodobject.h.
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    ]


_FASTCALL = 0x80
_methods = []  # Python keeps pointers to them


def python_function(address, name):
    """A Python function that calls the C function of Python's METH_FASTCALL kind at `address`."""
    new = ctypes.pythonapi.PyCFunction_NewEx
    new.restype = ctypes.py_object
    new.argtypes = [ctypes.POINTER(_Method), ctypes.c_void_p, ctypes.c_void_p]
    method = _Method(name.encode(), address, _FASTCALL, None)
    _methods.append(method)
    return new(ctypes.byref(method), None, None)
