"""Dtype policies: in which dtype a layer keeps its weights, and in which it computes."""

from __future__ import annotations

from kerasmirror._export import export, family, lookup
from kerasmirror.core import config, dtypes, serialization
from kerasmirror.core.names import session
from kerasmirror.core.symbolic import KerasTensor
from kerasmirror.core.tensor import Tensor

# A policy of a quantized layer is named after one of these: "int8_from_float32".
QUANTIZATION_MODES = ("int8", "float8", "int4", "gptq", "awq")
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

    _quantization_mode = None

    def __init__(self, name=None):
        if name is None:
            name = global_policy().name
        self._name = name
        self._compute_dtype, self._variable_dtype = dtypes_of_name(name)

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
        return self._quantization_mode

    def convert_input(self, x, autocast, dtype):
        """`x` as a layer takes it: arrays become tensors, with `autocast` floats become `dtype`.

        Whole numbers and what is no array stay as they are.
        """
        dtype = dtypes.standardize_dtype(dtype)
        if not isinstance(x, (Tensor, KerasTensor)):
            if not hasattr(x, "__array__"):
                return x
            x = lookup("ops.convert_to_tensor")(x)
        if autocast and x.dtype != dtype and dtypes.is_float_dtype(x.dtype):
            return lookup("ops.cast")(x, dtype)
        return x

    def get_config(self):
        return {"name": self._name}

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    def __eq__(self, other):
        return type(self) is type(other) and self.name == other.name

    def __hash__(self):
        return hash(self.name)

    def __repr__(self):
        return f'<{type(self).__name__} "{self._name}">'


# Keras has a class of its own for float policies; here it is the same one.
export("dtype_policies.FloatDTypePolicy", "FloatDTypePolicy")(DTypePolicy)


def dtypes_of_name(name):
    """(compute dtype, variable dtype) of a policy that is not quantized.

    Raises: TypeError for a name that is no string, ValueError for an unknown one.
    """
    if not isinstance(name, str):
        raise TypeError(
            f"DTypePolicy: 'name' must be a string. Received: name={name!r} ({type(name)})"
        )
    if name in _MIXED:
        return _MIXED[name], "float32"
    try:
        dtype = dtypes.standardize_dtype(name)
    except ValueError:
        raise ValueError(
            "DTypePolicy: Cannot convert `name` to dtypes, it must be a dtype, "
            f'"mixed_float16" or "mixed_bfloat16". Received: name={name!r}'
        ) from None
    return dtype, dtype


def global_policy():
    """The policy of layers that name none."""
    return session().dtype_policy or DTypePolicy(config.floatx())


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

    It holds for the thread that sets it, as in Keras.
    Raises: ValueError for anything else.
    """
    if not isinstance(policy, (str, DTypePolicy)):
        raise ValueError(
            "keras.config.set_dtype_policy: Invalid `policy` argument, it must be a DTypePolicy or "
            f"its name. Received: policy={policy!r}"
        )
    session().dtype_policy = get(policy)


@export("dtype_policies.get")
def get(identifier):
    """The DTypePolicy for a name, a config, a policy, or None (the global one).

    Raises: ValueError for an unknown name, or something that names no dtype.
    """
    if identifier is None:
        return global_policy()
    if isinstance(identifier, DTypePolicy):
        return identifier
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if isinstance(identifier, str):
        if identifier.startswith(QUANTIZATION_MODES):
            return lookup("dtype_policies.QuantizedDTypePolicy").from_name(identifier)
        return DTypePolicy(identifier)
    try:
        return DTypePolicy(dtypes.standardize_dtype(identifier))
    except ValueError:
        raise ValueError(
            "keras.dtype_policies.get: Cannot interpret `dtype` argument, it must be a "
            f"DTypePolicy, its name, or a dtype. Received: dtype={identifier!r}"
        ) from None


@export("dtype_policies.serialize")
def serialize(dtype_policy):
    """The policy's config, as Keras writes it."""
    return serialization.serialize_keras_object(dtype_policy)


@export("dtype_policies.deserialize")
def deserialize(config, custom_objects=None):
    """The policy that `serialize` described.

    Raises: TypeError for the config of something else.
    """
    known = {name: cls for name, cls in family("dtype_policies").items() if isinstance(cls, type)}
    known["Policy"] = DTypePolicy
    return serialization.deserialize_keras_object(
        config, custom_objects=custom_objects, module_objects=known
    )
