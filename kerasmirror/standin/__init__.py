"""Scripts written for Keras, run on this package without an edit."""

from kerasmirror.standin.finder import install_as_keras

__all__ = ["install_as_keras"]
