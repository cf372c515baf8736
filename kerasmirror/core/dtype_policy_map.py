"""DTypePolicyMap: policies by the path of a layer."""

from __future__ import annotations

import re
from collections.abc import MutableMapping

from kerasmirror._export import export
from kerasmirror.core import dtype_policy, serialization
from kerasmirror.core.dtype_policy import DTypePolicy


@export("dtype_policies.DTypePolicyMap")
class DTypePolicyMap(DTypePolicy, MutableMapping):
    """The DTypePolicy of each layer path; a key is a path or a regular expression for whole paths.

    Passed as `dtype` to a layer made of layers. Of a path that no key matches, `default_policy`
    (None: the global policy, as it is when asked for) is the policy.
    Raises: ValueError for a map as default, TypeError for a `policy_map` that is no dict.
    Source: Keras 3.15 `keras.dtype_policies.DTypePolicyMap`.
    """

    def __init__(self, default_policy=None, policy_map=None):
        if isinstance(default_policy, DTypePolicyMap):
            raise ValueError(
                "DTypePolicyMap: `default_policy` cannot be a `DTypePolicyMap`. "
                f"Received: default_policy={default_policy!r}"
            )
        if policy_map is not None and not isinstance(policy_map, dict):
            raise TypeError(
                "DTypePolicyMap: If specified, `policy_map` must be a dict. "
                f"Received: policy_map={policy_map!r}"
            )
        self._default_policy_arg = default_policy
        self._default_policy = dtype_policy.get(default_policy)
        self._policy_map = {}
        for key, policy in (policy_map or {}).items():
            self[key] = policy

    @property
    def name(self):
        return f"map_{self.default_policy.name}"

    @property
    def default_policy(self):
        return self._default_policy

    @property
    def variable_dtype(self):
        return self._default_policy.variable_dtype

    @property
    def compute_dtype(self):
        return self._default_policy.compute_dtype

    @property
    def quantization_mode(self):
        return self._default_policy.quantization_mode

    def __getitem__(self, key):
        """The policy for the path `key`: an equal key's, else that of the one pattern it matches.

        Raises: ValueError when several patterns match.
        """
        if key in self._policy_map:
            return self._policy_map[key]
        patterns = [pattern for pattern in self._policy_map if _matches(pattern, key)]
        if len(patterns) > 1:
            raise ValueError(
                f"DTypePolicyMap: Path {key!r} matches multiple dtype policy keys, it must match "
                f"at most one. Received: keys {patterns}"
            )
        return self._policy_map[patterns[0]] if patterns else self.default_policy

    def __setitem__(self, key, policy):
        """Add a policy for the path or pattern `key`.

        Raises: ValueError for a key that is there or no string, or something that is no policy.
        """
        if key in self._policy_map:
            raise ValueError(
                f"DTypePolicyMap: {key} already exist in the DTypePolicyMap, a key must be new. "
                f"Received: key={key!r}, which has the policy {self._policy_map[key]!r}"
            )
        if not isinstance(key, str):
            raise ValueError(
                "DTypePolicyMap: `key` must be a path or a regular expression. "
                f"Received: key={key!r}"
            )
        try:
            self._policy_map[key] = dtype_policy.get(policy)
        except (TypeError, ValueError):
            raise ValueError(
                "DTypePolicyMap: Cannot interpret the assigned value, it must be what "
                f"`keras.dtype_policies.get` takes. Received: {policy!r}"
            ) from None

    def __delitem__(self, key):
        del self._policy_map[key]

    def __contains__(self, key):
        return key in self._policy_map

    def __len__(self):
        return len(self._policy_map)

    def __iter__(self):
        return iter(self._policy_map)

    def __eq__(self, other):
        if not isinstance(other, DTypePolicyMap):
            return False
        return self.name == other.name and self._policy_map == other._policy_map

    # Mutable, so there is nothing to hash by.
    __hash__ = None

    def get_config(self):
        policies = serialization.serialize_keras_object(dict(self._policy_map))
        if self._default_policy_arg is None:
            # Where the default is the global policy, loading takes all sources from that one.
            for policy in policies.values():
                config = policy["config"]
                config["source_name" if "source_name" in config else "name"] = None
        return {
            "default_policy": serialization.serialize_keras_object(self._default_policy_arg),
            "policy_map": policies,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        policies = serialization.deserialize_keras_object(config["policy_map"], custom_objects)
        return cls(default_policy=config["default_policy"], policy_map=policies)

    def __repr__(self):
        mapping = [(key, policy.name) for key, policy in self._policy_map.items()]
        return (
            f"<DTypePolicyMap at {hex(id(self))} default_policy={self._default_policy.name}, "
            f"mapping={mapping}>"
        )


def _matches(pattern, path):
    try:
        return re.fullmatch(pattern, path) is not None
    except re.error:  # a path with a bracket in it, say
        return False
