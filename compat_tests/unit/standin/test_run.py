"""`python -m kerasmirror run`: scripts as people write them for Keras, without an edit."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "keras_scripts"


def run(*arguments, **options):
    command = [sys.executable, "-m", "kerasmirror", "run", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=150, **options)


@pytest.mark.parametrize("script", sorted(p.stem for p in SCRIPTS.glob("*.py")))
def test_a_script_for_keras_runs(script):
    done = run(SCRIPTS / f"{script}.py", "--its", "own")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_a_script_gets_its_arguments_its_folder_and_its_name(tmp_path):
    (tmp_path / "beside.py").write_text("import keras\nvalue = keras.layers.Dense\n")
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, beside, keras\n"
        "print(sys.argv[1:], __name__, beside.value is keras.layers.Dense)\n"
        "assert __file__ == sys.argv[0]\n"
        "sys.exit(7)\n"
    )
    done = run(script, "--epochs", "3", cwd=tmp_path.parent)
    assert done.stdout.split("\n")[0] == "['--epochs', '3'] __main__ True"
    assert done.returncode == 7


def test_namespaces_below_others_are_imported_by_each_of_their_names(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from tensorflow.keras.preprocessing.sequence import pad_sequences\n"
        "from keras.preprocessing.image import img_to_array\n"
        "import tensorflow.keras.preprocessing.image, keras.optimizers.schedules\n"
        "from tensorflow.keras.datasets import mnist\n"
        "from tensorflow.keras import backend as K\n"
        "print(pad_sequences([[1], [2, 3]]).tolist(), float(K.mean(K.constant([1.0, 3.0]))))\n"
    )
    done = run(script)
    assert (done.returncode, done.stdout) == (0, "[[0, 1], [2, 3]] 2.0\n"), done.stderr


def test_a_module_runs_like_a_script(tmp_path):
    (tmp_path / "program.py").write_text("import keras, sys\nprint(keras.__name__, sys.argv[1:])\n")
    done = run("-m", "program", "x", cwd=tmp_path)
    assert done.stdout == "kerasmirror ['x']\n", done.stderr


def test_an_error_of_the_script_is_its_own(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import keras\nkeras.layers.Dense(-1)\n")
    done = run(script)
    assert done.returncode == 1 and "ValueError" in done.stderr and "line 2" in done.stderr


def test_a_script_that_is_not_there_is_told():
    done = run("nothing.py")
    assert done.returncode == 2
    assert done.stderr.strip().endswith("error: SCRIPT must be a Python file. Received: nothing.py")


@pytest.mark.keras
def test_the_real_tensorflow_on_request(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import tensorflow as tf, keras\nprint(tf.__version__, keras.__name__)\n")
    done = run("--tensorflow", "real", script)
    assert done.stdout.split()[1] == "kerasmirror" and "+" not in done.stdout.split()[0]
