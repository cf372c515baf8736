"""`config.set_threads` and `config.threads`, before and after the kernels are loaded."""

import json
import os
import re
import subprocess
import sys

import pytest

import kerasmirror
from kerasmirror import ops
from kerasmirror.core import config


def in_a_process(program, **variables):
    """What a program prints as JSON, in a process whose environment has no thread settings."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("KERASMIRROR_NUM_THREADS", "NUMBA_NUM_THREADS")
    }
    done = subprocess.run(
        [sys.executable, "-c", f"import json, os, sys, kerasmirror\n{program}"],
        capture_output=True,
        text=True,
        env={**environment, **variables},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_threads_are_set_without_loading_the_kernels_and_reach_them():
    program = (
        "kerasmirror.config.set_threads(1)\n"
        "early = [kerasmirror.config.threads(), 'numba' in sys.modules]\n"
        "from kerasmirror.kernels import for_device\n"
        "early.append(for_device('cpu').thread_count())\n"
        "print(json.dumps(early))"
    )
    assert in_a_process(program) == [1, False, 1]


def test_the_default_is_every_core_and_the_variable_says_otherwise():
    program = "print(json.dumps([kerasmirror.config.threads(), 'numba' in sys.modules]))"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert in_a_process(program) == [cores, False]
    assert in_a_process(program, KERASMIRROR_NUM_THREADS="1") == [1, False]


def test_loaded_kernels_follow_and_child_processes_inherit(monkeypatch):
    before = config.threads()
    monkeypatch.setenv("KERASMIRROR_NUM_THREADS", str(before))
    ops.matmul(ops.ones((2, 2)), ops.ones((2, 2)))
    kernels = sys.modules["kerasmirror.kernels.cpu.threads"]
    try:
        kerasmirror.config.set_threads(1)
        assert kernels.thread_count() == kerasmirror.config.threads() == 1
        assert os.environ["KERASMIRROR_NUM_THREADS"] == "1"
    finally:
        kerasmirror.config.set_threads(before)


@pytest.mark.parametrize("count", [0, -1, 10**6, 1.0, True, "2", None])
def test_other_counts_are_errors(count):
    before = config.threads()
    expected = (
        r"^keras\.config\.set_threads: `count` must be an int from 1 to \d+, the cores of this "
        rf"process\. Received: count={re.escape(repr(count))}$"
    )
    with pytest.raises(ValueError, match=expected):
        kerasmirror.config.set_threads(count)
    assert config.threads() == before


def test_a_bad_variable_is_named():
    program = (
        "try:\n    kerasmirror.config.threads()\n"
        "except ValueError as error:\n    print(json.dumps(str(error)))"
    )
    text = in_a_process(program, KERASMIRROR_NUM_THREADS="many")
    assert re.fullmatch(
        r"keras\.config\.threads: `KERASMIRROR_NUM_THREADS` must be an int from 1 to \d+, the "
        r"cores of this process\. Received: KERASMIRROR_NUM_THREADS='many'",
        text,
    )
