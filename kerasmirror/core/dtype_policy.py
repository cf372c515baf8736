"""Dtype policies: in which dtype a layer keeps its weights, and in which it computes."""

from __future__ import annotations

from kerasmirror._export import export
from kerasmirror.core import config, dtypes
from kerasmirror.core.names import on_clear_session

_GLOBAL = {"policy": None}
_MIXED = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}


@export(
    "DTypePolicy",
    "dtype_policies.DTypePolicy",
    "mixed_precision.DTypePolicy",
    "mixed_precision.Policy",
)
class DTypePolicy:
    """`name` is a dtype ("float32"), or "mixed_float16" / "mixed_bfloat16": weights stay float32.

    Raises: TypeError for a name that is no string, ValueError for an unknown one.
    Source: Keras 3.15 `keras.DTypePolicy`.
    """

    def __init__(self, name=None):
        if name is None:
            name = global_policy().name
        if not isinstance(name, str):
            raise TypeError(
                f"DTypePolicy: `name` must be a string. Received: name={name!r} ({type(name)})"
            )
        self._name = name
        if name in _MIXED:
            self._compute_dtype, self._variable_dtype = _MIXED[name], "float32"
        else:
            try:
                self._compute_dtype = self._variable_dtype = dtypes.standardize_dtype(name)
            except ValueError:
                raise ValueError(
                    'DTypePolicy: `name` must be a dtype, "mixed_float16" or "mixed_bfloat16". '
                    f"Received: name={name!r}"
                ) from None

    @property
    def name(self):
        return self._name

    @property
    def compute_dtype(self):
        return self._compute_dtype

    @property
    def variable_dtype(self):
        return self._variable_dtype

    @property
    def quantization_mode(self):
        return None

    def get_config(self):
        return {"name": self._name}

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    def __eq__(self, other):
        return type(self) is type(other) and self._name == other._name

    def __hash__(self):
        return hash(self._name)

    def __repr__(self):
        return f'<DTypePolicy "{self._name}">'


# Keras has a class of its own for float policies; here it is the same one.
export("dtype_policies.FloatDTypePolicy", "FloatDTypePolicy")(DTypePolicy)


def global_policy():
    """The policy of layers that name none."""
    return _GLOBAL["policy"] or DTypePolicy(config.floatx())


@export("config.dtype_policy", "mixed_precision.dtype_policy", "mixed_precision.global_policy")
def dtype_policy():
    """The policy of layers that name none (`floatx()` unless set)."""
    return global_policy()


@export(
    "config.set_dtype_policy",
    "mixed_precision.set_dtype_policy",
    "mixed_precision.set_global_policy",
)
def set_dtype_policy(policy):
    """Set the policy of layers that name none: a DTypePolicy or its name.

    Raises: ValueError for anything else.
    """
    _GLOBAL["policy"] = get(policy)


@on_clear_session
def _forget_policy():
    _GLOBAL["policy"] = None


@export("dtype_policies.get")
def get(identifier):
    """The DTypePolicy for a name, a config, a policy, or None (the global one)."""
    if identifier is None:
        return global_policy()
    if isinstance(identifier, DTypePolicy):
        return identifier
    if isinstance(identifier, dict):
        return DTypePolicy.from_config(identifier.get("config", identifier))
    if isinstance(identifier, str):
        return DTypePolicy(identifier)
    try:
        return DTypePolicy(dtypes.standardize_dtype(identifier))
    except ValueError:
        raise ValueError(
            "keras.dtype_policies.get: `identifier` must be a DTypePolicy, its name, or a dtype. "
            f"Received: identifier={identifier!r}"
        ) from None


@export("dtype_policies.serialize")
def serialize(dtype_policy):
    """The policy's config, as Keras writes it."""
    return {
        "module": "keras",
        "class_name": "DTypePolicy",
        "config": dtype_policy.get_config(),
        "registered_name": None,
    }


@export("dtype_policies.deserialize")
def deserialize(config, custom_objects=None):
    """The policy of a config or a name."""
    return get(config)
