"""`install_as_keras`, each case in a process of its own: it is for the whole process."""

import subprocess
import sys

import pytest


def run(program):
    program = "import sys, kerasmirror\n" + program
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)


def output_of(program):
    done = run(program)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


# As if TensorFlow were not installed.
WITHOUT = """
import importlib.abc
class Hide(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "tensorflow":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
real, sys.meta_path[:] = list(sys.meta_path), []
import importlib.machinery
class Others(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "tensorflow":
            return None
        for finder in real:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                return spec
sys.meta_path[:] = [Others()]
"""


def test_every_way_to_import_keras_gives_the_same_objects():
    program = """
kerasmirror.install_as_keras()
import keras, keras.layers, keras.api.layers as by_api
import keras.ops.image as images
from keras import layers, Model
from keras.layers import Dense
from keras.utils import to_categorical
import keras.mixed_precision as mixed
assert keras is kerasmirror and keras.layers is kerasmirror.layers is layers is by_api
assert Dense is kerasmirror.layers.Dense and Model is kerasmirror.Model
assert to_categorical is kerasmirror.utils.to_categorical
assert images is kerasmirror.ops.image and mixed is kerasmirror.mixed_precision
assert kerasmirror.layers.__name__ == kerasmirror.layers.__spec__.name == "kerasmirror.layers"
assert sum(getattr(m, "__file__", "") == kerasmirror.layers.__file__
           for m in set(map(id, sys.modules.values())) and set(sys.modules.values())) == 1
print(keras.__version__.startswith("3."), "tensorflow" in sys.modules)
"""
    assert output_of(program) == ["True", "False"]


def test_keras_of_a_tensorflow_that_is_not_installed():
    program = f"""{WITHOUT}
kerasmirror.install_as_keras()
from tensorflow import keras
from tensorflow.keras import layers
import tensorflow.keras.backend as K
from tensorflow.keras.callbacks import Callback
import tensorflow as tf
assert keras is tf.keras is kerasmirror and layers is kerasmirror.layers
assert Callback is kerasmirror.callbacks.Callback and K is kerasmirror.backend
try:
    tf.constant(1)
except AttributeError as error:
    print("install_as_keras(tensorflow=True)" in str(error))
"""
    assert output_of(program) == ["True"]


def test_the_small_tensorflow():
    program = """
kerasmirror.install_as_keras(tensorflow=True)
import tensorflow as tf
import tensorflow.keras.layers as layers
from tensorflow.data import Dataset
from tensorflow.keras import Model
assert layers is kerasmirror.layers and tf.keras is kerasmirror and Dataset is tf.data.Dataset
assert isinstance(tf.constant(1.0), kerasmirror.ops.convert_to_tensor(1.0).__class__)
try:
    tf.lookup
except AttributeError as error:
    print("--tensorflow real" in str(error))
try:
    import tensorflow.lite
except ModuleNotFoundError as error:
    print(error.name)
"""
    assert output_of(program) == ["True", "tensorflow.lite"]


@pytest.mark.keras
def test_a_real_tensorflow_stays_as_it_is():
    program = """
kerasmirror.install_as_keras()
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras.layers import Dense
assert "site-packages" in tf.__file__ and tf.constant(1.0).numpy() == 1.0
assert keras is kerasmirror and Dense is kerasmirror.layers.Dense
assert tf.keras.layers.Dense is Dense
assert not any(n.startswith("keras.src") for n in sys.modules)
model = keras.Sequential([Dense(2)])
print(model(tf.ones((1, 3)).numpy()).shape)
"""
    assert output_of(program) == ["(1,", "2)"]


@pytest.mark.keras
def test_it_refuses_when_keras_is_there_already():
    program = """
import keras
for tensorflow in (False, True):
    try:
        kerasmirror.install_as_keras(tensorflow)
    except RuntimeError as error:
        print(str(error).split(".")[0])
assert keras.__version__ == "3.15.1" and keras is not kerasmirror
"""
    line = (
        "install_as_keras: `keras` must not be imported yet, else a program would mix two packages"
    )
    assert output_of(program) == (line + " " + line).split()


def test_a_second_call_changes_nothing():
    program = """
kerasmirror.install_as_keras()
import keras
version, finders = keras.__version__, len(sys.meta_path)
kerasmirror.install_as_keras()
assert (version, finders) == (keras.__version__, len(sys.meta_path))
kerasmirror.install_as_keras(tensorflow=True)
import tensorflow as tf
print(tf.__version__)
"""
    assert output_of(program) == ["2.21.0+kerasmirror"]


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            "import keras.src.layers",
            "No module named 'keras.src': `keras.src` is Keras's own code; its public names, as "
            "in `keras.layers`, are mirrored.",
        ),
        (
            "import keras.nothing",
            "No module named 'keras.nothing': kerasmirror has no such module.",
        ),
        (
            "kerasmirror.install_as_keras(tensorflow='small')",
            "install_as_keras: `tensorflow` must be True or False. Received: tensorflow='small'",
        ),
    ],
)
def test_mistakes_are_told(statement, message):
    done = run(f"kerasmirror.install_as_keras()\n{statement}")
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].partition(": ")[2] == message
