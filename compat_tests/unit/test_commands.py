"""`python -m kerasmirror`: info, warm, parity, and what is no command."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cases import paper

import kerasmirror
from kerasmirror import __main__ as program
from kerasmirror.commands import warm
from kerasmirror.kernels import cache, for_device

PACKAGE = Path(kerasmirror.__file__).parent


def run(*arguments, **variables):
    """A command in a process of its own: its standard output."""
    done = subprocess.run(
        [sys.executable, "-m", "kerasmirror", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **variables},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def compiled_in(folder):
    return {path.name for path in Path(folder).rglob("*.o")}


def test_info_names_versions_machine_cache_and_memory(capsys):
    assert program.main(["info"]) == 0
    lines = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
    lines = {name: text.strip() for name, text in lines.items()}
    assert f"kerasmirror {kerasmirror.__version__}" in lines["versions"]
    assert lines["API"] == "Keras 3.15.1"
    assert lines["threads"] == str(kerasmirror.config.threads())
    assert lines["compiled kernels"].endswith(f"in {cache.cache_root()}")
    assert "blocks in use" in lines["memory pool"]


def test_info_as_json_has_the_numbers_of_the_kernels(capsys):
    kernels = for_device("cpu")
    kept = kernels.empty((1000, 1000), "float32")
    assert program.main(["info", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    tile = found["tile"]
    assert (tile["vector_bits"], tile["rows"]) == (kernels.simd.BITS, kernels.simd.ROWS)
    assert found["cache"]["folder"] == str(cache.cache_root())
    assert found["memory_pool"]["used_bytes"] >= kept.nbytes
    assert found["peak_memory_bytes"] is None or found["peak_memory_bytes"] > kept.nbytes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["wram"], "argument COMMAND: invalid choice: 'wram'"),
        ([], "the following arguments are required: COMMAND"),
        (["info", "--jsno"], "unrecognized arguments: --jsno"),
        (
            ["warm", "dense", "conv"],
            "SUBJECT must be one of dense, convolution, normalization, sequences, activations, "
            "losses, optimizers, initializers. Received: conv",
        ),
    ],
)
def test_what_is_no_command_is_an_error_of_the_command_line(arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        program.main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_parity_hands_on_every_argument_and_the_exit_status(monkeypatch):
    seen = []
    monkeypatch.setattr(program.parity, "main", lambda arguments: seen.append(arguments) or 1)
    assert program.main(["parity", "--steps", "3", "model.py:build", "--help"]) == 1
    assert seen == [["--steps", "3", "model.py:build", "--help"]]


def test_warm_fills_an_empty_cache_and_compiles_nothing_again(tmp_path):
    first = run("warm", "initializers", KERASMIRROR_CACHE_DIR=str(tmp_path))
    kernels = compiled_in(tmp_path)
    assert kernels and f"{len(kernels)} kernels" in first and str(tmp_path) in first
    again = run("warm", "initializers", KERASMIRROR_CACHE_DIR=str(tmp_path))
    assert "Compiled 0 kernels" in again
    assert compiled_in(tmp_path) == kernels


def test_every_subject_has_something_to_run():
    assert all(subject() for subject in warm.SUBJECTS.values())


@pytest.mark.slow
def test_warm_works_where_the_package_cannot_be_written(tmp_path):
    copy = tmp_path / "site" / "kerasmirror"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    # A file where the cache's folder would be stops even an administrator.
    (copy / "kernels" / "__pycache__").mkdir()
    (copy / "kernels" / "__pycache__" / "numba").touch()
    environment = {k: v for k, v in os.environ.items() if k != "KERASMIRROR_CACHE_DIR"}
    environment |= {"PYTHONPATH": str(copy.parent), "XDG_CACHE_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-m", "kerasmirror", "warm", "initializers"],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "home" / "kerasmirror") in done.stdout
    assert compiled_in(tmp_path / "home" / "kerasmirror")


TRAIN_ALL_ROWS = """
import sys
import numpy as np
import kerasmirror as keras
sys.path.insert(0, sys.argv[1])
from cases import paper
for row in paper.ROWS:
    batch = 28 if row.startswith("olivetti") else 128
    model = paper.build_row(keras, row)
    x = np.zeros((batch, *paper.INPUT_SHAPES[row.split(":")[0]]), np.float32)
    y = np.zeros(batch, np.int32)
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
    model.fit(x, y, batch_size=batch, verbose=0)
    model.evaluate(x, y, batch_size=batch, verbose=0)
    model.predict(x, batch_size=batch, verbose=0)
    model.predict(x[:1], verbose=0)
"""


@pytest.mark.slow
def test_after_warm_the_papers_networks_compile_nothing(tmp_path):
    run("warm", KERASMIRROR_CACHE_DIR=str(tmp_path))
    kernels = compiled_in(tmp_path)
    tests = Path(paper.__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-c", TRAIN_ALL_ROWS, str(tests)],
        capture_output=True,
        text=True,
        env={**os.environ, "KERASMIRROR_CACHE_DIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert sorted(compiled_in(tmp_path) - kernels) == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a child starts with nothing")
@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("kerasmirror.commands.machine", "peak_memory"),
        ("kerasmirror.parity.measure.training", "peak_memory"),
    ],
)
def test_peak_memory_is_that_of_the_process_and_not_of_its_parent(module, name):
    held = np.ones(2**26)  # 512 MiB, which a child would count as its own
    asking = f"import importlib; print(importlib.import_module({module!r}).{name}())"
    done = subprocess.run([sys.executable, "-c", asking], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 10 * 2**20 < int(done.stdout) < held.nbytes / 2
