"""The version of kerasmirror, and of the Keras it mirrors."""

__version__ = "0.1.0"
KERAS_VERSION = "3.15.1"
