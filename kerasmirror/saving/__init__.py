"""Models and weights on disk (`keras.saving`)."""

from kerasmirror.saving import weights  # noqa: F401 - loading it registers its public names
