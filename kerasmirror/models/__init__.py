"""Models: layers composed, with a training loop."""

from kerasmirror.models import cloning, function, functional, model, sequential  # noqa: F401
