"""Where compiled kernels go when neither the package nor the user's folder can be written."""

import os
import subprocess
import sys

PROGRAM = """
from kerasmirror.kernels import cache
cache._writable = lambda folder: False
import kerasmirror as keras
y = keras.ops.softmax(keras.ops.convert_to_tensor([[1.0, 1.0]]))
root = cache.cache_root()
assert root == cache.cache_root() and list(root.rglob("*.o"))
print(root, y.numpy().tolist())
"""


def test_a_folder_for_the_process_stands_in_where_nothing_can_be_written():
    environment = {k: v for k, v in os.environ.items() if k != "KERASMIRROR_CACHE_DIR"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        env={**environment, "KERASMIRROR_COMPILE_HELPERS": "0"},
    )
    assert done.returncode == 0, done.stderr
    root, _, values = done.stdout.partition(" ")
    assert values == "[[0.5, 0.5]]\n"
    assert not os.path.exists(root)
    assert done.stderr.count("compiled kernels cannot be kept in ") == 1
    assert "Set KERASMIRROR_CACHE_DIR" in done.stderr
