"""Set up an environment with real Keras and run all checks and tests.

python scripts/run_tests.py            # ruff, then the default tests (under 10 minutes)
python scripts/run_tests.py --slow     # the slow ones too (real data, long training)
Other arguments are handed on to pytest.
"""

import os
import subprocess
import sys

import environment


def main():
    arguments = sys.argv[1:]
    python = environment.set_up("test", "parity", "examples")
    if "--set-up-only" in arguments:
        return 0
    checks = [["ruff", "check", "."], ["ruff", "format", "--check", "."]]
    if "--slow" in arguments:
        arguments.remove("--slow")
        arguments += ["-m", "slow or not slow"]
    for check in checks:
        if subprocess.run([python, "-m", *check], cwd=environment.ROOT).returncode:
            return 1
    if "-n" not in arguments:
        # Whole files go to one process: they share what is costly to set up.
        arguments += ["-n", str(min(4, os.cpu_count() or 1)), "--dist", "loadfile"]
    tests = [python, "-m", "pytest", *arguments]
    return subprocess.run(tests, cwd=environment.ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())
