"""One kernel on the CPU: blocks one after the other, a block's threads as greenlets."""

from __future__ import annotations

import ctypes
import itertools
import re

from . import lowered

_SWITCH = ctypes.CFUNCTYPE(None)
_READY, _AT_WARP_BARRIER, _AT_BARRIER = 0, 1, 2

# A `random.Random` that shuffles the order of threads, to find a barrier that is missing.
shuffled_by = None


class Function:
    """The kernel of an image of lowered.py; `run` does what a launch does."""

    def __init__(self, image):
        text = image.decode()
        self._engine = lowered.machine_code(text)
        at = self._engine.get_global_value_address
        self._registers = (ctypes.c_int32 * 12).from_address(at("emulated_registers"))
        self._kind = ctypes.c_int32.from_address(at("emulated_kind"))
        self._thread = ctypes.c_int32.from_address(at("emulated_thread"))
        address = self._engine.get_function_address(lowered.ENTRY)
        self._entry = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address)
        self.n_arguments = len(re.findall(r"^  %p\d+ = getelementptr ptr, ptr %table", text, re.M))
        code = text[: text.index("@emulated_registers")]
        self._waits = bool(re.search(r'call [^\n]*@"?emulated_(barrier|warp|shuffle)', code))
        if self._waits:
            import greenlet

            self._greenlet = greenlet.greenlet
            self._switch = _SWITCH(lambda: greenlet.getcurrent().parent.switch())
            place = ctypes.c_void_p.from_address(at("emulated_switch"))
            place.value = ctypes.cast(self._switch, ctypes.c_void_p).value

    def run(self, grid, block, arguments):
        """Run all blocks; `arguments` is the address of a table of addresses.

        Raises: RuntimeError where threads of a block wait at different barriers.
        """
        registers = self._registers
        registers[6:9] = block
        registers[9:12] = grid
        threads = list(itertools.product(*(range(n) for n in reversed(block))))
        for z, y, x in itertools.product(*(range(n) for n in reversed(grid))):
            registers[3:6] = x, y, z
            if self._waits:
                self._run_together(threads, arguments)
            else:
                for number, thread in enumerate(threads):
                    self._enter(number, thread)
                    self._entry(arguments)

    def _enter(self, number, thread):
        registers = self._registers
        registers[2], registers[1], registers[0] = thread
        self._thread.value = number

    def _run_together(self, threads, arguments):
        """The threads of a block, each until its next barrier, again and again."""
        waiting = [_Thread(i, t, self._greenlet(self._entry)) for i, t in enumerate(threads)]
        started = False
        while waiting:
            ready = [thread for thread in waiting if thread.state == _READY]
            if not ready:
                self._release(waiting, len(threads))
                continue
            if shuffled_by is not None:
                shuffled_by.shuffle(ready)
            for thread in ready:
                self._enter(thread.number, thread.place)
                if started:
                    thread.run.switch()
                else:
                    thread.run.switch(arguments)
                thread.state = self._kind.value
            started = True
            waiting = [thread for thread in waiting if not thread.run.dead]

    def _release(self, waiting, count):
        """Let go on those whose barrier all others have reached."""
        warps = {}
        for thread in waiting:
            warps.setdefault(thread.number // 32, []).append(thread)
        together = [
            warp for warp in warps.values() if all(t.state == _AT_WARP_BARRIER for t in warp)
        ]
        if together:
            for thread in itertools.chain(*together):
                thread.state = _READY
            return
        if all(thread.state == _AT_BARRIER for thread in waiting) and len(waiting) == count:
            for thread in waiting:
                thread.state = _READY
            return
        reached = sum(thread.state == _AT_BARRIER for thread in waiting)
        self._finish(waiting)
        raise RuntimeError(
            f"a barrier that not all threads of a block reach: {reached} of {count} wait at it"
        )

    def _finish(self, waiting):
        # A greenlet that is thrown away in the middle of machine code cannot be unwound.
        while waiting:
            for thread in waiting:
                self._enter(thread.number, thread.place)
                thread.run.switch()
            waiting = [thread for thread in waiting if not thread.run.dead]


class _Thread:
    def __init__(self, number, place, run):
        self.number = number
        self.place = place
        self.run = run
        self.state = _READY
