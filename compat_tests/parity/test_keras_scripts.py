"""Scripts for Keras print under `python -m kerasmirror run` what they print with Keras."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.keras, pytest.mark.slow]
SCRIPTS = Path(__file__).resolve().parents[1] / "keras_scripts"
NUMBER = re.compile(r"-?\d+\.?\d*(?:[eE][-+]?\d+)?")


def printed(*command):
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr
    lines = [line.rstrip() for line in done.stdout.split("\n")]
    # Which states a bar of progress shows is a matter of time.
    return [line for line in lines if line and "file://" not in line and "━" not in line]


def words(line):
    return re.sub(r"\s+", "", NUMBER.sub("#", line))


@pytest.mark.parametrize("script", sorted(p.stem for p in SCRIPTS.glob("*.py")))
def test_a_script_prints_what_it_prints_with_keras(script):
    path = str(SCRIPTS / f"{script}.py")
    theirs = printed(sys.executable, path)
    ours = printed(sys.executable, "-m", "kerasmirror", "run", path)
    assert [words(line) for line in ours] == [words(line) for line in theirs]
    for line, expected in zip(ours, theirs, strict=True):
        numbers = [float(found) for found in NUMBER.findall(line)]
        wanted = [float(found) for found in NUMBER.findall(expected)]
        assert numbers == pytest.approx(wanted, rel=2e-3, abs=2e-3), line
