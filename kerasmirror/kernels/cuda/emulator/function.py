"""One kernel on the CPU: blocks one after the other, a block's threads as greenlets."""

from __future__ import annotations

import ctypes
import itertools
import re
import threading

from . import lowered

_SWITCH = ctypes.CFUNCTYPE(None)
_READY, _AT_WARP_BARRIER, _AT_BARRIER = 0, 1, 2

# A `random.Random` that shuffles the order of threads, to find a barrier that is missing.
shuffled_by = None

_running = threading.RLock()  # the registers of a function are those of one launch


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
        with _running:
            self._run(grid, block, arguments)

    def _run(self, grid, block, arguments):
        registers = self._registers
        registers[6:9] = block
        registers[9:12] = grid
        places = list(itertools.product(*(range(n) for n in reversed(block))))
        threads = list(enumerate(places))
        for z, y, x in itertools.product(*(range(n) for n in reversed(grid))):
            registers[3:6] = x, y, z
            if self._waits:
                self._run_together(threads, arguments)
                continue
            if shuffled_by is not None:
                shuffled_by.shuffle(threads)
            for number, place in threads:
                self._enter(number, place)
                self._entry(arguments)

    def _enter(self, number, thread):
        registers = self._registers
        registers[2], registers[1], registers[0] = thread
        self._thread.value = number

    def _run_together(self, threads, arguments):
        """The threads of a block, a warp until its next barrier, again and again.

        Shuffled, any warp may be far ahead of the others, and any thread of the rest of its warp.
        """
        made = [_Thread(i, place, self._greenlet(self._entry), arguments) for i, place in threads]
        made.sort(key=lambda thread: thread.number)
        warps = [made[first : first + 32] for first in range(0, len(made), 32)]
        while warps:
            ready = [warp for warp in warps if any(t.state == _READY for t in warp)]
            if not ready:
                self._release(warps, len(made))
                continue
            for warp in ready if shuffled_by is None else [shuffled_by.choice(ready)]:
                self._run_warp(warp)
            warps = [warp for warp in warps if warp]

    def _run_warp(self, warp):
        """Run those threads of a warp that do not wait; let all go on that wait for each other."""
        order = [thread for thread in warp if thread.state == _READY]
        if shuffled_by is not None:
            shuffled_by.shuffle(order)
        for thread in order:
            self._enter(thread.number, thread.place)
            thread.go_on()
            thread.state = self._kind.value
        warp[:] = [thread for thread in warp if not thread.run.dead]
        if all(thread.state == _AT_WARP_BARRIER for thread in warp):
            for thread in warp:
                thread.state = _READY

    def _release(self, warps, count):
        """Let all go on from a barrier of the block, which all of them have reached."""
        waiting = list(itertools.chain(*warps))
        reached = sum(thread.state == _AT_BARRIER for thread in waiting)
        if reached == count:
            for thread in waiting:
                thread.state = _READY
            return
        self._finish(waiting)
        raise RuntimeError(
            f"a barrier that not all threads of a block reach: {reached} of {count} wait at it"
        )

    def _finish(self, waiting):
        # A greenlet that is thrown away in the middle of machine code cannot be unwound.
        while waiting:
            for thread in waiting:
                self._enter(thread.number, thread.place)
                thread.go_on()
            waiting = [thread for thread in waiting if not thread.run.dead]


class _Thread:
    def __init__(self, number, place, run, arguments):
        self.number = number
        self.place = place
        self.run = run
        self.arguments = (arguments,)  # of the first switch alone
        self.state = _READY

    def go_on(self):
        """Run until the next barrier or the end."""
        arguments, self.arguments = self.arguments, ()
        self.run.switch(*arguments)
