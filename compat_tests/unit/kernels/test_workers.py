import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from kerasmirror import kernels
from kerasmirror.kernels.cpu import launch, threads, workers

PACKAGE = Path(kernels.__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent

needs_two = pytest.mark.skipif(threads.most() < 2, reason="needs two cores")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@launch.kernel
def _add_through_scratch(lo, hi, thread, x, scratch, value):
    row = scratch[thread]
    for k in range(row.size):
        row[k] = lo + k
    for i in range(lo, hi):
        x[i] += value
    # Wrong if another thread of this number came in between.
    for k in range(row.size):
        if row[k] != lo + k:
            x[lo] = -1


@launch.kernel
def _long_sums(lo, hi, thread, seen, sums):
    for i in range(lo, hi):
        total = 0.0
        for k in range(20_000):
            total = total * 0.5 + k
        sums[i] = total
        seen[i] = thread


def add_in_many_launches(n_launches, seed, most_items=200):
    """Launches with random items, chunks and values; True if all did what they were to do."""
    rng = np.random.default_rng(seed)
    x, expected = np.zeros(most_items, np.int64), np.zeros(most_items, np.int64)
    items = rng.integers(1, most_items + 1, n_launches).tolist()
    chunks = rng.integers(1, most_items // 4, n_launches).tolist()
    values = rng.integers(1, 1000, n_launches).tolist()
    scratch = np.zeros((threads.most(), 16), np.int64)
    for n, (count, chunk, value) in enumerate(zip(items, chunks, values, strict=True)):
        launch.launch(_add_through_scratch, count, chunk, x, scratch, value)
        expected[:count] += value
        if n % 16 == 0 and not np.array_equal(x, expected):
            return False
    return np.array_equal(x, expected)


def run_at_once(functions):
    results = [None] * len(functions)

    def run(place):
        results[place] = functions[place]()

    runners = [threading.Thread(target=run, args=(place,)) for place in range(len(functions))]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
    return results


def run_python(code, **environment):
    """What a process prints that can import this file."""
    path = os.pathsep.join([str(PACKAGE), str(HERE)])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, (done.returncode, done.stderr)
    assert not done.stderr, done.stderr
    return done.stdout.strip()


def threads_of_a_long_launch():
    seen, sums = np.full(64, -1), np.zeros(64)
    launch.launch(_long_sums, 64, 1, seen, sums)
    assert (sums == sums[0]).all() and sums[0] > 0
    return set(seen.tolist())


@needs_two
def test_workers_take_part_in_a_launch():
    before = threads.thread_count()
    threads.set_threads(2)
    try:
        end = time.monotonic() + 20  # others may use the cores
        while threads_of_a_long_launch() != {0, 1}:
            assert time.monotonic() < end, "the worker never ran"
    finally:
        threads.set_threads(before)


def test_many_small_launches_do_every_item_once():
    assert add_in_many_launches(100_000, 0)


def test_many_launches_from_several_python_threads_do_every_item_once():
    jobs = [lambda seed=seed: add_in_many_launches(25_000, seed) for seed in range(4)]
    assert run_at_once(jobs) == [True] * 4


def test_more_threads_than_cores_do_every_item_once():
    code = (
        "import test_workers as t\n"
        "assert t.threads.thread_count() == 11\n"
        "assert t.add_in_many_launches(20_000, 1)\n"
        "jobs = [lambda seed=seed: t.add_in_many_launches(5_000, seed) for seed in range(3)]\n"
        "assert t.run_at_once(jobs) == [True] * 3\n"
        "seen = set()\n"
        "while len(seen) < 11: seen |= t.threads_of_a_long_launch()\n"
        "for _ in range(50):\n"
        "    t.threads.set_threads(11)\n"
        "    t.threads_of_a_long_launch()\n"  # now all are awake
        "    t.threads.set_threads(3)\n"
        "    assert max(t.threads_of_a_long_launch()) < 3\n"
        "print(sorted(seen))"
    )
    seen = run_python(code, NUMBA_NUM_THREADS="11")
    assert seen == str(list(range(11)))


@needs_two
def test_a_launch_keeps_to_the_number_of_threads_of_its_time():
    before = threads.thread_count()
    try:
        for count in [1, 2, threads.most(), 1, 2, 1]:
            threads.set_threads(count)
            for _ in range(20):
                assert max(threads_of_a_long_launch()) < count
    finally:
        threads.set_threads(before)


@needs_two
def test_the_number_of_threads_may_change_while_others_launch():
    before = threads.thread_count()
    done = threading.Event()

    def change():
        while not done.is_set():
            for count in (1, 2):
                threads.set_threads(count)
                time.sleep(0.0005)
        return True

    def work():
        try:
            return add_in_many_launches(20_000, 5)
        finally:
            done.set()

    try:
        assert run_at_once([work, change]) == [True, True]
    finally:
        threads.set_threads(before)


@needs_two
def test_a_launch_runs_alone_while_another_uses_the_workers():
    before = threads.thread_count()
    threads.set_threads(2)
    try:
        threads_of_a_long_launch()
        workers._state[workers._BUSY // 8] = 1
        for _ in range(20):
            assert threads_of_a_long_launch() == {0}
    finally:
        workers._state[workers._BUSY // 8] = 0
        threads.set_threads(before)


@needs_fork
def test_forked_children_have_workers_of_their_own():
    code = (
        "import os, threading, time, warnings, test_workers as t\n"
        "warnings.simplefilter('ignore')\n"
        "count = t.threads.thread_count()\n"
        "assert t.add_in_many_launches(1000, 0)\n"
        "stop = False\n"
        "def keep_launching():\n"
        "    while not stop: assert t.add_in_many_launches(100, 1)\n"
        "other = threading.Thread(target=keep_launching)\n"
        "other.start()\n"
        "for seed in range(5):\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        good = t.add_in_many_launches(1000, seed) and t.workers.members == count\n"
        "        good &= len(t.workers._threads) == count - 1\n"
        "        os._exit(0 if good else 1)\n"
        "    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0\n"
        "    assert t.add_in_many_launches(1000, seed)\n"
        "stop = True\n"
        "other.join()\n"
        "child = os.fork()\n"
        "assert t.add_in_many_launches(1000, 2)\n"
        "if child: print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    assert run_python(code) == "0"


def test_a_process_may_end_right_after_its_launches():
    for count in (1, 100, 10_000):
        run_python(f"import test_workers as t; assert t.add_in_many_launches({count}, 0)")


def test_a_process_may_end_while_a_daemon_thread_launches():
    code = (
        "import threading, time, test_workers as t\n"
        "def work():\n"
        "    while True: t.add_in_many_launches(1000, 0)\n"
        "t.add_in_many_launches(10, 0)\n"
        "threading.Thread(target=work, daemon=True).start()\n"
        "time.sleep(0.2)"
    )
    for _ in range(2):
        run_python(code)


def test_launches_work_after_the_workers_have_left():
    code = (
        "import atexit, test_workers as t\n"
        "atexit.register(lambda: print(t.add_in_many_launches(1000, 0)))\n"
        "t.add_in_many_launches(1000, 0)\n"
        "alive = [worker for worker in t.workers._threads if worker.is_alive()]\n"
        "assert len(alive) == len(t.workers._threads) == t.threads.thread_count() - 1\n"
        "t.workers._dismiss()\n"
        "assert not any(worker.is_alive() for worker in t.workers._threads)"
    )
    assert run_python(code) == "True"


def test_the_first_launch_may_come_when_the_interpreter_ends():
    code = (
        "import atexit, test_workers as t\n"
        "atexit.register(lambda: print(t.add_in_many_launches(1000, 0)))"
    )
    assert run_python(code) == "True"


@pytest.mark.parametrize("clock", [True, False])
def test_idle_workers_use_no_cpu(clock):
    code = (
        "import time, test_workers as t\n"
        "assert t.add_in_many_launches(1000, 0)\n"
        f"if not {clock}: t.workers._state[t.workers._CLOCK // 8] = 0\n"  # as on Windows
        "assert t.add_in_many_launches(10_000, 0)\n"
        "time.sleep(0.1)\n"
        "before = time.process_time()\n"
        "time.sleep(1)\n"
        "print(time.process_time() - before)"
    )
    assert float(run_python(code)) < 0.01


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal")
def test_a_launch_survives_interrupts():
    code = (
        "import os, signal, sys, threading, time, test_workers as t\n"
        # Python drops an interrupt that arrives in a weak reference's callback: so send another.
        "sys.unraisablehook = lambda unraisable: None\n"
        "t.threads_of_a_long_launch()\n"
        "wanted = threading.Event()\n"
        "def on_signal(*_):\n"
        "    if wanted.is_set(): raise KeyboardInterrupt\n"
        "signal.signal(signal.SIGINT, on_signal)\n"
        "def interrupt():\n"
        "    while wanted.is_set():\n"
        "        time.sleep(0.05)\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "for _ in range(10):\n"
        "    wanted.set()\n"
        "    timer = threading.Thread(target=interrupt)\n"
        "    try:\n"
        "        timer.start()\n"
        "        while True: t.threads_of_a_long_launch()\n"
        "    except KeyboardInterrupt: wanted.clear()\n"
        "    timer.join()\n"
        "assert t.add_in_many_launches(1000, 0)\n"
        "assert t.workers._state[t.workers._BUSY // 8] == 0\n"
        "print('done')"
    )
    assert run_python(code) == "done"


def test_without_semaphores_a_launch_runs_alone():
    code = (
        "import test_workers as t\n"
        "def none(): raise AttributeError\n"
        "t.workers._semaphores = none\n"
        "assert t.add_in_many_launches(1000, 0)\n"
        "print(t.threads_of_a_long_launch())"
    )
    assert run_python(code) == "{0}"


def test_without_more_threads_a_launch_runs_alone():
    code = (
        "import threading, test_workers as t\n"
        'def none(thread): raise RuntimeError("can\'t start new thread")\n'
        "threading.Thread.start = none\n"
        "assert t.add_in_many_launches(1000, 0)\n"
        "print(t.threads_of_a_long_launch())"
    )
    assert run_python(code) == "{0}"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs cores to choose from")
@needs_two
def test_a_worker_leaves_the_core_of_its_caller():
    code = (
        "import os, time, test_workers as t\n"
        "cores = sorted(os.sched_getaffinity(0))[:2]\n"
        "t.threads.set_threads(2)\n"
        "t.threads_of_a_long_launch()\n"
        "worker = t.workers._threads[0].native_id\n"
        "for core in cores * 2:\n"
        "    os.sched_setaffinity(worker, {core})\n"
        "    os.sched_setaffinity(0, {core})\n"
        "    end = time.monotonic() + 20\n"
        "    while core in os.sched_getaffinity(worker):\n"
        "        t.threads_of_a_long_launch()\n"
        "        assert time.monotonic() < end\n"
        "    assert os.sched_getaffinity(worker)\n"
        "print('left')"
    )
    assert run_python(code) == "left"
