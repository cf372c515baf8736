"""`python -m kerasmirror swap`: imports of Keras become imports of kerasmirror."""

import subprocess
import sys

import pytest

pytest.importorskip("libcst", reason="needs libcst (kerasmirror[swap])")
from kerasmirror.__main__ import main
from kerasmirror.commands.swap_imports import swap

# (before, after)
REWRITTEN = [
    ("import keras", "import kerasmirror as keras"),
    ("import keras as k  # why", "import kerasmirror as k  # why"),
    ("import keras.layers", "import kerasmirror as keras"),
    ("import keras.layers as L", "import kerasmirror.layers as L"),
    ("import os, keras, sys", "import os, kerasmirror as keras, sys"),
    ("from keras import layers, Model", "from kerasmirror import layers, Model"),
    ("from keras.layers import (\n    Dense,  # one\n)", None),
    ("from keras.layers import *", "from kerasmirror.layers import *"),
    ("from tensorflow import keras", "import kerasmirror as keras"),
    ("from tensorflow import keras as K", "import kerasmirror as K"),
    (
        "# head\nfrom tensorflow import data, keras  # both\n",
        "# head\nfrom tensorflow import data\nimport kerasmirror as keras  # both\n",
    ),
    ("from tensorflow.keras import layers", "from kerasmirror import layers"),
    ("from tensorflow.keras.utils import to_categorical as t", None),
    ("import tensorflow.keras as k", "import kerasmirror as k"),
    ("import tensorflow.keras.backend as K", "import kerasmirror.backend as K"),
    (
        "import tensorflow as tf\nm = tf.keras.Sequential()\ntf.print(1)\n",
        "import tensorflow as tf\nimport kerasmirror as keras\n"
        "m = keras.Sequential()\ntf.print(1)\n",
    ),
    (
        "import keras as k\nimport tensorflow as tf\nm = tf.keras.Sequential()\n",
        "import kerasmirror as k\nimport tensorflow as tf\nm = k.Sequential()\n",
    ),
    (
        "try:\n    import keras\nexcept ImportError:\n    from tensorflow import keras\n",
        "try:\n    import kerasmirror as keras\nexcept ImportError:\n"
        "    import kerasmirror as keras\n",
    ),
    ("x = 1; from tensorflow import keras; y = 2", "x = 1; import kerasmirror as keras; y = 2"),
]
LEFT = [
    "import keras_tuner",
    "from .keras import layers",
    "from kerasx import y",
    "import tensorflow as tf\ntf.constant(1)",
    "s = 'import keras'",
    "import keras_core.layers as l  # import keras",
]


@pytest.mark.parametrize(("before", "after"), REWRITTEN)
def test_imports_are_rewritten(before, after):
    if after is None:
        after = before.replace("tensorflow.keras", "kerasmirror").replace(
            "keras.l", "kerasmirror.l"
        )
    swapped = swap(before)
    assert swapped.code == after and swapped.count >= 1
    compile(swapped.code, "swapped", "exec")
    assert swap(after).code == after


@pytest.mark.parametrize("code", LEFT)
def test_everything_else_is_left_as_it_is(code):
    assert swap(code).code == code and swap(code).count == 0


SCRIPT = """\
#!/usr/bin/env python
from tensorflow import keras   # the usual
import   keras.layers  as  L


def build( units = 8 ):   # own spacing
    return keras.Sequential([L.Dense(units),
                             L.NoSuchLayer(1)])


x = keras.layers.Dense.from_config
y = keras.optimizers.schedules.NoSuchSchedule()
z = keras.backend.backend()
"""


def test_a_file_is_rewritten_and_what_is_missing_is_listed(tmp_path, capsys):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    assert main(["swap", str(path)]) == 1
    assert path.read_text() == SCRIPT.replace(
        "from tensorflow import keras ", "import kerasmirror as keras "
    ).replace("import   keras.layers ", "import   kerasmirror.layers ")
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"{path}: 2 import(s) rewritten",
        f"{path}:8: keras.layers.NoSuchLayer: not in kerasmirror",
        f"{path}:12: keras.optimizers.schedules.NoSuchSchedule: not in kerasmirror",
    ]


def test_a_dry_run_shows_the_difference_and_changes_nothing(tmp_path, capsys):
    path = tmp_path / "script.py"
    path.write_text("import keras\nkeras.layers.Dense(1)\n")
    assert main(["swap", "--dry-run", str(tmp_path)]) == 0
    assert path.read_text() == "import keras\nkeras.layers.Dense(1)\n"
    out = capsys.readouterr().out
    assert "-import keras\n+import kerasmirror as keras\n" in out and "@@" in out


def test_files_that_are_no_python_are_told_and_the_others_done(tmp_path, capsys):
    (tmp_path / "a.py").write_text("import keras\ndef (:\n")
    (tmp_path / "b.py").write_text("import keras\n")
    assert main(["swap", str(tmp_path)]) == 2
    assert (tmp_path / "a.py").read_text().startswith("import keras\n")
    assert (tmp_path / "b.py").read_text() == "import kerasmirror as keras\n"
    assert "a.py: line 2: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "status", "told"),
    [
        ("import keras\nkeras.layers.Dense(1)\n", 0, []),
        ("import tensorflow as tf\nfrom tensorflow import keras\ntf.constant(1)\n", 3,
         ["3: tf.constant is TensorFlow's: `python -m kerasmirror run` stands in for some of it"]),
        ("import tensorflow as tf\ntf.keras.layers.Dense(1)\n", 3,
         ["1: TensorFlow is imported, but not used beside Keras"]),
        ("from tensorflow import data, keras\n", 3, ["1: tensorflow.data is TensorFlow's: "]),
        ("import tensorflow.data\nimport keras\n", 3, ["1: tensorflow.data is TensorFlow's: "]),
        ("from tensorflow import *\n", 3, ["1: tensorflow.* is TensorFlow's: "]),
        ("import tensorflow as tf\nimport keras\ntf.constant(1)\nkeras.NoSuchName\n", 1,
         ["3: tf.constant is TensorFlow's: ", "4: keras.NoSuchName: not in kerasmirror"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("dry", [False, True])
def test_the_status_says_what_a_file_needs_beside_kerasmirror(
    code, status, told, dry, tmp_path, capsys
):
    path = tmp_path / "script.py"
    path.write_text(code)
    assert main(["swap", *["--dry-run"] * dry, str(path)]) == status
    lines = [line for line in capsys.readouterr().out.splitlines() if f"{path}:" in line]
    lines = [line.removeprefix(f"{path}:") for line in lines if "rewritten" not in line]
    assert len(lines) == len(told)
    assert all(line.startswith(start) for line, start in zip(lines, told, strict=True))


def test_the_help_names_every_status(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["swap", "--help"])
    assert stopped.value.code == 0
    out = capsys.readouterr().out
    assert all(f"\n  {status}  " in out for status in range(4))


def test_a_missing_file_and_a_missing_libcst_are_told(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["swap", str(tmp_path / "nothing.py")])
    assert stopped.value.code == 2
    assert "FILE must be a Python file or a folder. Received: " in capsys.readouterr().err
    program = (
        "import sys; sys.modules['libcst'] = None\n"
        "from kerasmirror.__main__ import main; main(['swap', 'x.py'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.strip().endswith(
        "error: swap needs libcst, which is not installed. "
        "Install it with `pip install 'kerasmirror[swap]'`."
    )
