"""Configs of layers as Keras 2 and `.h5` files write them, brought to the present form."""

from __future__ import annotations

from kerasmirror import _export

# Arguments that Keras 3 no longer has, at the values that change nothing.
_GONE = {"Lambda": ("module", "function_type", "output_shape_type", "output_shape_module")}
_BESIDE_THE_LAYERS = {"Functional": "keras.src.models.functional", "Model": "keras"}


def in_present_form(data):
    """`data` of a layer, with the module where its class is now; `data` itself if it has one.

    Old configs name classes of Keras without a module, and a layer's input `batch_input_shape`.
    """
    if "module" in data:
        return data
    class_name, config = data.get("class_name"), data.get("config")
    if not isinstance(class_name, str) or not isinstance(config, dict):
        raise ValueError(
            "keras: a layer must be described by a dict with `class_name` and `config` (Expected a "
            f"dictionary containing a 'config' key.) Received: {data!r}"
        )
    config = {key: value for key, value in config.items() if key not in _GONE.get(class_name, ())}
    shape = config.pop("batch_input_shape", None)
    if shape is not None:
        if class_name == "InputLayer":
            config["batch_shape"] = shape
        else:
            config["input_shape"] = tuple(shape[1:])
    axis = config.get("axis")
    if isinstance(axis, list) and len(axis) == 1:
        config["axis"] = int(axis[0])
    return {**data, "module": _module_of(class_name), "config": config}


def _module_of(class_name):
    if class_name in _BESIDE_THE_LAYERS:
        return _BESIDE_THE_LAYERS[class_name]
    if _export.lookup(f"layers.{class_name}") is not None:
        return "keras.layers"
    return "keras" if _export.lookup(class_name) is not None else None
