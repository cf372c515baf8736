"""InputSpec: what a layer expects of its inputs, and the check of it."""

from __future__ import annotations

from kerasmirror._export import export
from kerasmirror.core import dtypes, tree
from kerasmirror.core.symbolic import standardize_shape
from kerasmirror.core.tensor import Tensor


@export("InputSpec", "layers.InputSpec")
class InputSpec:
    """Expected dtype, shape or rank of one input; None means anything.

    Args: `shape` has None where any size is good; `axes` maps an axis to its size;
    `allow_last_axis_squeeze` lets a last axis of 1 be absent; `optional` lets the input be None.
    Raises: TypeError for `axes` that are no ints, ValueError for an axis beyond the rank.
    Source: Keras 3.15 `keras.InputSpec`.
    """

    def __init__(
        self,
        dtype=None,
        shape=None,
        ndim=None,
        max_ndim=None,
        min_ndim=None,
        axes=None,
        allow_last_axis_squeeze=False,
        name=None,
        optional=False,
    ):
        self.dtype = None if dtype is None else dtypes.standardize_dtype(dtype)
        self.shape = None if shape is None else standardize_shape(shape, "InputSpec")
        self.ndim = ndim if shape is None else len(self.shape)
        self.max_ndim = max_ndim
        self.min_ndim = min_ndim
        self.name = name
        self.optional = optional
        self.allow_last_axis_squeeze = allow_last_axis_squeeze
        try:
            self.axes = {int(axis): size for axis, size in (axes or {}).items()}
        except (ValueError, TypeError, AttributeError):
            raise TypeError(
                f"InputSpec: `axes` must be a dict with int keys. Received: axes={axes!r}"
            ) from None
        rank = self.ndim or self.max_ndim
        if self.axes and rank and max(self.axes) >= rank:
            raise ValueError(
                f"InputSpec: `axes` must be below the rank {rank}. Received: axes={axes!r}"
            )

    def __repr__(self):
        names = ("dtype", "shape", "ndim", "max_ndim", "min_ndim", "axes")
        set_ones = [f"{name}={getattr(self, name)}" for name in names if getattr(self, name)]
        return f"InputSpec({', '.join(set_ones)})"

    def get_config(self):
        names = ("dtype", "shape", "ndim", "max_ndim", "min_ndim", "axes", "optional")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def check_inputs(specs, inputs, layer):
    """Raise ValueError unless `inputs` (a tensor or a nest of them) are what `specs` expect."""
    if type(specs) is InputSpec and type(inputs) is Tensor and _mismatch(specs, inputs) is None:
        return
    specs = tree.flatten(specs)
    if isinstance(inputs, dict) and all(spec is not None and spec.name for spec in specs):
        missing = [spec.name for spec in specs if spec.name not in inputs]
        if missing:
            raise ValueError(
                f"{_called(layer)}: `inputs` must have the keys "
                f"{[spec.name for spec in specs]}. Received: keys {list(inputs)}"
            )
        inputs = [inputs[spec.name] for spec in specs]
    inputs = tree.flatten(inputs)
    if len(inputs) != len(specs):
        raise ValueError(
            f"{_called(layer)}: `inputs` must be {len(specs)} tensor(s). "
            f"Received: {len(inputs)} tensor(s)"
        )
    for position, (x, spec) in enumerate(zip(inputs, specs, strict=True)):
        if spec is None or (x is None and spec.optional):
            continue
        if not hasattr(x, "shape"):
            raise ValueError(
                f"{_called(layer)}: `inputs` must be tensors. Received: {x!r} ({type(x)})"
            )
        expected = _mismatch(spec, x)
        if expected is not None:
            which = "inputs" if len(specs) == 1 else f"inputs[{position}]"
            raise ValueError(
                f"{_called(layer)}: `{which}` is incompatible with the layer: it must have "
                f"{expected}. "
                f"Received: an input of shape {tuple(x.shape)} and dtype {x.dtype}"
            )


def _called(layer):
    """The layer's name, and its path where that says more."""
    path = getattr(layer, "path", None)
    where = "" if path in (None, layer.name) else f" at '{path}'"
    return f"Layer '{layer.name}'{where}"


def _mismatch(spec, x):
    """What `x` should have had, in words, or None when all is well."""
    shape = tuple(x.shape)
    ndim = len(shape)
    squeezable = spec.allow_last_axis_squeeze
    if spec.ndim is not None and not squeezable and ndim != spec.ndim:
        return f"{spec.ndim} axes (expected ndim={spec.ndim}, found ndim={ndim})"
    if spec.max_ndim is not None and ndim > spec.max_ndim:
        return (
            f"at most {spec.max_ndim} axes (expected max_ndim={spec.max_ndim}, found ndim={ndim})"
        )
    if spec.min_ndim is not None and ndim < spec.min_ndim:
        return (
            f"at least {spec.min_ndim} axes (expected min_ndim={spec.min_ndim}, found ndim={ndim})"
        )
    if spec.dtype is not None and dtypes.standardize_dtype(x.dtype) != spec.dtype:
        return f"dtype {spec.dtype}"
    for axis, size in spec.axes.items():
        if size is not None and shape[axis] not in (size, None):
            return f"size {size} on axis {axis}"
    if spec.shape is not None:
        wanted = spec.shape
        if squeezable:
            shape = shape[:-1] if shape and shape[-1] == 1 else shape
            wanted = wanted[:-1] if wanted and wanted[-1] == 1 else wanted
        for want, size in zip(wanted, shape, strict=False):
            if want is not None and size is not None and want != size:
                found = tuple(x.shape)
                return f"another shape (expected shape={spec.shape}, found shape={found})"
    return None
