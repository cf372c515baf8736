"""TimeDistributed: a layer on each step."""

from __future__ import annotations

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.layers.core.wrapper import Wrapper
from kerasmirror.layers.layer import Layer


@export("layers.TimeDistributed")
class TimeDistributed(Wrapper):
    """Calls `layer` on each step of the inputs, and puts the results side by side.

    Shapes: inputs (N, T, ...), result (N, T, ...) with what the layer makes of (N, ...).
    Raises: ValueError when `layer` is no Layer, or the mask is not (N, T, ...).
    Source: Keras 3.15 `keras.layers.TimeDistributed`.
    """

    def __init__(self, layer, **kwargs):
        if not isinstance(layer, Layer):
            raise ValueError(
                "TimeDistributed: Please initialize `TimeDistributed` layer with a "
                f"`keras.layers.Layer` instance. Received: {layer!r}"
            )
        super().__init__(layer, **kwargs)
        self.supports_masking = True

    def _step_shape(self, input_shape):
        if not isinstance(input_shape, (tuple, list)) or len(input_shape) < 3:
            raise ValueError(
                "TimeDistributed: `TimeDistributed` Layer should be passed an `input_shape` with "
                f"at least 3 dimensions. Received: {input_shape}"
            )
        return (input_shape[0], *input_shape[2:])

    def compute_output_shape(self, input_shape):
        shape = self.layer.compute_output_shape(self._step_shape(input_shape))
        return (shape[0], input_shape[1], *shape[1:])

    def build(self, input_shape):
        super().build(self._step_shape(input_shape))

    def call(self, inputs, training=None, mask=None):
        if mask is not None:
            self._check_mask(inputs.shape, mask.shape)
        signature = self.layer._call_signature
        options = {"training": training} if signature.has_training else {}
        masked = mask is not None and signature.has_mask
        call, outputs = self.layer._call_in_use, []
        for t in range(inputs.shape[1]):
            if masked:
                options["mask"] = mask[:, t]
            outputs.append(call(inputs[:, t], **options))
        return ops.stack(outputs, axis=1)

    def _check_mask(self, input_shape, mask_shape):
        if len(mask_shape) < 2:
            raise ValueError(
                "TimeDistributed: The `mask` passed to the `TimeDistributed` layer must be at "
                "least 2D (e.g., `(batch_size, timesteps)`). "
                f"Received: a mask with {len(mask_shape)} dimension(s), shape {mask_shape}"
            )
        if tuple(mask_shape[:2]) != tuple(input_shape[:2]):
            raise ValueError(
                "TimeDistributed: The `mask` passed to the `TimeDistributed` layer has a shape "
                f"{mask_shape} that is incompatible with the input shape {input_shape}. Expected "
                f"mask shape prefix: ({input_shape[0]}, {input_shape[1]})."
            )
