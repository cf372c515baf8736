"""The options every weight of a layer has: initializer, regularizer, constraint."""

from __future__ import annotations

from kerasmirror import constraints, initializers, regularizers


def keep_weight_options(layer, **options):
    """Keep `kernel=(initializer, regularizer, constraint)` as `layer.kernel_initializer`, ...

    A shorter tuple keeps only the first ones.
    """
    families = (
        ("initializer", initializers),
        ("regularizer", regularizers),
        ("constraint", constraints),
    )
    for weight, values in options.items():
        for value, (kind, family) in zip(values, families, strict=False):
            setattr(layer, f"{weight}_{kind}", family.get(value))


def add_weight_with_options(layer, weight, shape, options=None, **kwargs):
    """`layer.add_weight` called `weight`, with the options kept by `keep_weight_options`.

    `options` is the name that they were kept by, where it is not the weight's.
    """
    options = options or weight
    return layer.add_weight(
        name=weight,
        shape=shape,
        initializer=getattr(layer, f"{options}_initializer"),
        regularizer=getattr(layer, f"{options}_regularizer", None),
        constraint=getattr(layer, f"{options}_constraint", None),
        **kwargs,
    )


def refuse(layer, **values):
    """Raise NotImplementedError for options of Keras that are not mirrored, unless None."""
    for name, value in values.items():
        if value is not None:
            raise NotImplementedError(
                f"{type(layer).__name__}: `{name}` must be None, kerasmirror does not have "
                f"{'LoRA' if name.startswith('lora') else 'quantization'} yet. "
                f"Received: {name}={value!r}"
            )
