"""ModelQuantization: `quantize` of a whole model, with calibration where the mode needs it."""

from __future__ import annotations

import re
import warnings

import numpy as np

from kerasmirror import ops
from kerasmirror._export import lookup
from kerasmirror.layers.core.calibrated_kernel import CalibratedKernel
from kerasmirror.layers.layer_quantization import wrap_quantize
from kerasmirror.quantizers.awq import Magnitudes, awq_values
from kerasmirror.quantizers.calibration import calibration_samples
from kerasmirror.quantizers.gptq import Hessian, gptq_values


class ModelQuantization:
    """The part of a Model that quantizes its layers."""

    def get_quantization_layer_structure(self, mode=None):
        """For modes that need data ("gptq", "awq"): which layers run in which order, None unknown.

        Models override it: {"pre_block_layers": [...], "sequential_blocks": [...]}. Token ids go
        through the former and then from block to block.
        """
        return None

    @wrap_quantize
    def quantize(self, mode=None, config=None, filters=None, **kwargs):
        """Quantize the layers that can be, by "int8", "int4", "float8", "gptq" or "awq".

        Args: `config`, a QuantizationConfig, says more than the mode; `filters`, a regular
        expression for layer names, several, or a function of the layer, chooses layers.
        "gptq" and "awq" quantize the Dense and EinsumDense layers in the blocks of
        `config.quantization_layer_structure`, or of `get_quantization_layer_structure`.
        Layers that cannot be quantized stay as they are, with a warning.
        Raises: ValueError for a bad mode, config or filter, for a model that is not built or has a
        quantized layer already, and where the structure is missing.
        Source: Keras 3.15 `keras.Model.quantize`.
        """
        owner = f"{type(self).__name__}.quantize"
        type_check = kwargs.pop("type_check", True)
        if kwargs:
            raise ValueError(f"{owner}: Unrecognized keyword arguments. Received: {kwargs}")
        _check_filters(filters, owner)
        if mode in _CALIBRATIONS:
            self._quantize_on_data(mode, config, filters, type_check, owner)
        else:
            for layer in _leaves(self):
                if _is_chosen(layer, filters):
                    try:
                        layer.quantize(mode, type_check=type_check, config=config)
                    except NotImplementedError as error:
                        warnings.warn(str(error), stacklevel=3)

    def _quantize_on_data(self, mode, config, filters, type_check, owner):
        structure = config.quantization_layer_structure
        if structure is None:
            structure = self.get_quantization_layer_structure(mode)
        if structure is None:
            raise ValueError(
                f"{owner}: For {mode=}, a valid quantization structure must be given by "
                "`config.quantization_layer_structure` or by overriding "
                "`get_quantization_layer_structure`: {'pre_block_layers': [...], "
                "'sequential_blocks': [...]}. Received: None"
            )
        blocks = structure.get("sequential_blocks", [])
        if not blocks:
            raise ValueError(
                f"{owner}: No sequential blocks found in the quantization structure. "
                f"Received: {structure!r}"
            )
        values = []
        for sample in calibration_samples(config, owner):
            x = ops.convert_to_tensor(sample, "int32")
            for layer in structure.get("pre_block_layers", []):
                x = layer(x)
            values.append(x)
        progress = lookup("utils.Progbar")(target=len(blocks))
        for i, block in enumerate(blocks):
            found = [
                layer
                for layer in _leaves(block)
                if isinstance(layer, CalibratedKernel) and _is_chosen(layer, filters)
            ]
            for layer in found:
                layer.quantize(mode, type_check=type_check, config=config)
            calibrate_block(block, found, values, config)
            if i < len(blocks) - 1:
                values = [_first(block(x)) for x in values]
            progress.update(i + 1)


_CALIBRATIONS = {
    "gptq": (Hessian, "matrix", gptq_values),
    "awq": (Magnitudes, "values", awq_values),
}


def calibrate_block(block, layers, values, config):
    """Run `block` on `values` and give its quantized `layers` weights that fit what they saw."""
    statistics, result, solve = _CALIBRATIONS[config.mode]
    seen = {}
    for layer in layers:
        rows = layer.g_idx.shape[0]
        seen[id(layer)] = statistics(rows)
        layer.observer = _observer(layer, seen[id(layer)], rows)
    try:
        for x in values:
            block(x)
    finally:
        for layer in layers:
            layer.observer = None
    for layer in layers:
        kernel = layer._kernel.numpy().astype(np.float32).reshape(layer.g_idx.shape[0], -1)
        layer.calibrate(solve(kernel, getattr(seen[id(layer)], result), config))


def _observer(layer, statistics, rows):
    def observe(inputs):
        # An equation whose summed axes are not the last of the inputs, or another number, has no
        # rows to look at: all inputs then count the same.
        if layer.inputs_are_rows(inputs, rows):
            statistics.add(inputs.data.reshape(-1, rows))

    return observe


def _first(outputs):
    return outputs[0] if isinstance(outputs, (list, tuple)) else outputs


def _leaves(layer):
    """The layers in `layer`, itself included, that have no layers in them."""
    return [inner for inner in layer._flatten_layers() if not inner._layers]


def _check_filters(filters, owner):
    several = isinstance(filters, (list, tuple)) and all(isinstance(one, str) for one in filters)
    if not (filters is None or callable(filters) or isinstance(filters, str) or several):
        raise ValueError(
            f"{owner}: The `filters` argument must be a regex string, a list of regex strings, or "
            f"a callable. Received: filters={filters!r}"
        )


def _is_chosen(layer, filters):
    if filters is None:
        return True
    if callable(filters):
        return bool(filters(layer))
    patterns = [filters] if isinstance(filters, str) else filters
    return any(re.search(pattern, layer.name) for pattern in patterns)
