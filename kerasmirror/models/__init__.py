"""Models: layers composed, with a training loop."""

from kerasmirror.models import model, sequential  # noqa: F401
