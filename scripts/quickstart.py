"""Set up an environment and train the convolutional network on MNIST.

Arguments are handed on to examples/mnist_cnn.py.
"""

import subprocess
import sys

import environment

if __name__ == "__main__":
    python = environment.set_up("examples")
    example = environment.ROOT / "examples" / "mnist_cnn.py"
    sys.exit(subprocess.run([python, example, *sys.argv[1:]]).returncode)
