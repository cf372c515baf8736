"""A `libcuda.so.1` whose functions are the emulator's, for the real bindings to call.

`cuda.bindings.driver` asks the library for each function by name and calls it with C's types. Here
every such function is one of the emulated driver's behind a prototype of cuda.h, so whatever the
bindings make of our arguments arrives where a GPU would be. Real machine code is compiled and
handed over too; what runs in its place is the same kernel's code for the CPU.
"""

import ctypes
import subprocess
import threading

SOURCE = r"""
#include <string.h>
static struct { char name[64]; void *function; } known[512];
static int count;
void standin_register(const char *name, void *function) {
    strncpy(known[count].name, name, 63);
    known[count++].function = function;
}
int cuGetProcAddress_v2(const char *name, void **found, int version, unsigned long long flags,
                        int *status) {
    int i;
    for (i = 0; i < count && strcmp(known[i].name, name); i++);
    *found = i < count ? known[i].function : 0;
    if (status) *status = i == count;
    return i < count ? 0 : 500;
}
"""

# The parameters of cuda.h in their order: u unsigned int, i int, b unsigned char, z size_t,
# p a handle or an address, s a string; one in capitals is a pointer to where such a result goes.
PROTOTYPES = {
    "cuInit": "u",
    "cuDriverGetVersion": "I",
    "cuGetErrorString": "iS",
    "cuDeviceGetCount": "I",
    "cuDeviceGet": "Ii",
    "cuDeviceGetName": "sii",
    "cuDeviceGetAttribute": "Iii",
    "cuDevicePrimaryCtxRetain": "Pi",
    "cuCtxSetCurrent": "p",
    "cuMemGetInfo": "ZZ",
    "cuMemAlloc": "Zz",
    "cuMemFree": "z",
    "cuMemHostAlloc": "Pzu",
    "cuMemFreeHost": "p",
    "cuMemcpyHtoDAsync": "zpzp",
    "cuMemcpyDtoHAsync": "pzzp",
    "cuMemcpyDtoDAsync": "zzzp",
    "cuMemsetD8Async": "zbzp",
    "cuModuleLoadData": "Pp",
    "cuModuleGetFunction": "Pps",
    "cuLaunchKernel": "puuuuuuuppp",
    "cuStreamCreate": "Pu",
    "cuStreamSynchronize": "p",
    "cuStreamWaitEvent": "ppu",
    "cuStreamBeginCapture": "pi",
    "cuStreamEndCapture": "pP",
    "cuEventCreate": "Pu",
    "cuEventRecord": "pp",
    "cuEventSynchronize": "p",
    "cuGraphInstantiate": "Ppz",
    "cuGraphDestroy": "p",
    "cuGraphLaunch": "pp",
    "cuGraphExecDestroy": "p",
}
# What the bindings ask the library for, where cuda.h renames a function.
_NAMED = {"cuGraphInstantiate": "cuGraphInstantiateWithFlags"}
_TYPES = {
    "u": ctypes.c_uint,
    "i": ctypes.c_int,
    "b": ctypes.c_ubyte,
    "z": ctypes.c_size_t,
    "p": ctypes.c_size_t,  # as a number, where ctypes would make None of a null pointer
    "s": ctypes.c_void_p,
}
_INVALID_VALUE, _UNKNOWN = 1, 999
_ELF = b"\x7fELF"


def build(folder):
    """Compile the library into a folder, which has to be on LD_LIBRARY_PATH."""
    source = folder / "driver.c"
    source.write_text(SOURCE)
    made = ["gcc", "-shared", "-fPIC", "-o", str(folder / "libcuda.so.1"), str(source)]
    subprocess.run(made, check=True, capture_output=True)


class Library:
    """The functions of the emulated driver as the library's; in a process that never loaded it.

    `calls` has the name of every call, in order; `failures` what went wrong behind C's back.
    """

    def __init__(self):
        from kerasmirror.kernels.cuda.emulator import driver

        self.emulated = driver
        self.calls = []
        self.failures = []
        self.images = {}  # by the name of the function: what the emulator runs for it
        self.functions = {}  # by handle
        self.held = []
        library = ctypes.CDLL("libcuda.so.1")
        for name, letters in PROTOTYPES.items():
            kinds = [ctypes.c_void_p if k.isupper() else _TYPES[k] for k in letters]
            entry = ctypes.CFUNCTYPE(ctypes.c_int, *kinds)(self._entry(name, letters))
            self.held.append(entry)
            asked = _NAMED.get(name, name).encode()
            library.standin_register(asked, ctypes.cast(entry, ctypes.c_void_p))

    def _entry(self, name, letters):
        own = getattr(self, f"_{name}", None)

        def called(*args):
            self.calls.append(name)
            try:
                if own is not None:
                    return own(*args)
                given = [a for a, kind in zip(args, letters, strict=True) if kind.islower()]
                places = [(a, k) for a, k in zip(args, letters, strict=True) if k.isupper()]
                code, *results = getattr(self.emulated, name)(*given)
                if not int(code):
                    for (place, kind), result in zip(places, results, strict=True):
                        _TYPES[kind.lower()].from_address(place).value = int(result)
                return int(code)
            except BaseException as error:
                self.failures.append(f"{name}{args}: {error!r}")
                return _UNKNOWN

        return called

    # What cannot be passed on as it is

    def _cuGetErrorString(self, code, place):
        _, text = self.emulated.cuGetErrorString(code)
        self.held.append(ctypes.create_string_buffer(text))
        ctypes.c_void_p.from_address(place).value = ctypes.addressof(self.held[-1])
        return 0

    def _cuDeviceGetName(self, place, length, device):
        _, text = self.emulated.cuDeviceGetName(length, device)
        ctypes.memmove(place, text + b"\0", min(length, len(text) + 1))
        return 0

    def _cuModuleLoadData(self, place, image):
        if ctypes.string_at(image, 4) != _ELF:
            return _INVALID_VALUE
        ctypes.c_size_t.from_address(place).value = 4096 + len(self.held)
        return 0

    def _cuModuleGetFunction(self, place, module, name):
        name = ctypes.string_at(name).decode()
        _, made = self.emulated.cuModuleLoadData(self.images[name])
        handle = 8192 + len(self.functions)
        self.functions[handle] = made
        ctypes.c_size_t.from_address(place).value = handle
        return 0

    def _cuLaunchKernel(self, function, *args):
        (code,) = self.emulated.cuLaunchKernel(self.functions[function], *args)
        return int(code)


def run_beside(library):
    """Let the emulator have each kernel's code for the CPU under the name that the GPU's has."""
    from kerasmirror.kernels.cuda import compiler
    from kerasmirror.kernels.cuda.emulator import lowered

    made = compiler.image_of
    lock = threading.Lock()

    def image_of(kernel, signature, device):
        image, symbol = made(kernel, signature, device)
        with lock:
            library.images[symbol] = lowered.compile_kernel(kernel, signature)[0]
        return image, symbol

    compiler.image_of = image_of
