"""Config: named values with attributes, which can be frozen."""

from __future__ import annotations

import json

from kerasmirror._export import export


@export("utils.Config")
class Config:
    """Named values, as attributes (`config.rate`) and as items (`config["rate"]`).

    It has a dict's methods, `as_dict` and `to_json`. After `freeze()` nothing can be changed until
    `unfreeze()`. Iterating gives the names in alphabetical order.
    Raises: ValueError for changes to a frozen one; AttributeError for an unknown attribute.
    Source: Keras 3.15 `keras.utils.Config`.
    """

    def __init__(self, **kwargs):
        vars(self).update(_values=kwargs, _frozen=False)

    @property
    def frozen(self):
        return vars(self)["_frozen"]

    def freeze(self):
        """Allow no changes from now on."""
        vars(self)["_frozen"] = True

    def unfreeze(self):
        """Allow changes again."""
        vars(self)["_frozen"] = False

    def _changeable(self):
        if self.frozen:
            raise ValueError(
                "Config: Cannot mutate attribute(s) because the config is frozen; call unfreeze() "
                "first."
            )
        return vars(self)["_values"]

    def as_dict(self):
        return dict(self._values)

    def to_json(self):
        return json.dumps(self._values)

    def keys(self):
        return self._values.keys()

    def values(self):
        return self._values.values()

    def items(self):
        return self._values.items()

    def get(self, keyname, value=None):
        return self._values.get(keyname, value)

    def pop(self, *args):
        return self._changeable().pop(*args)

    def update(self, *args, **kwargs):
        return self._changeable().update(*args, **kwargs)

    def __setattr__(self, name, value):
        if hasattr(type(self), name):
            # A method or property of its own; what `config.keys = 3` asks for is a mistake.
            raise AttributeError(
                f"Config: {name!r} is an attribute of every Config; set it as an item, "
                f"config[{name!r}] = ..."
            )
        self._changeable()[name] = value

    def __getattr__(self, name):
        values = vars(self).get("_values", {})
        if name in values:
            return values[name]
        import difflib  # for mistakes only: loading it takes as long as ten such files

        near = difflib.get_close_matches(name, values, n=1, cutoff=0.7)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise AttributeError(f"Unknown attribute: '{name}'.{hint}")

    def __delattr__(self, name):
        del self[name]

    def __setitem__(self, key, item):
        self._changeable()[key] = item

    def __getitem__(self, key):
        return self._values[key]

    def __delitem__(self, key):
        del self._changeable()[key]

    def __contains__(self, item):
        return item in self._values

    def __iter__(self):
        return iter(sorted(self._values))

    def __len__(self):
        return len(self._values)

    def __repr__(self):
        return f"<Config {self._values}>"
