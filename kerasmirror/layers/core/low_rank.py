"""LoRA: a layer's main weight held fixed, and a product of two thin matrices that is learned."""

from __future__ import annotations

import numpy as np

from kerasmirror import initializers, ops
from kerasmirror.core import checks, scopes
from kerasmirror.layers.layer import Layer
from kerasmirror.layers.layer_config import config_of


class LowRankLayer(Layer):
    """A layer with a main weight W (..., units), which `enable_lora` adapts.

    Then W + (lora_alpha / lora_rank) * A @ B takes the place of W, with A (..., lora_rank) and
    B (lora_rank, units) learned and W fixed. A file gets the sum as the one weight; a layer that
    loads weights starts with a product of 0.
    A subclass says in `main_weight` which weight it is; the variable is `_kernel` for "kernel".
    Source: Hu et al. 2021, https://arxiv.org/abs/2106.09685, Section 4.1; Keras 3.15.
    """

    main_weight = "kernel"

    def _keep_lora(self, rank, alpha):
        """Note the constructor's arguments; `build` calls `_enable_lora_if_asked`."""
        self.lora_rank = rank
        self.lora_alpha = rank if alpha is None else alpha
        self.lora_enabled = False

    def _enable_lora_if_asked(self):
        self.built = True
        if self.lora_rank:
            self.enable_lora(self.lora_rank, lora_alpha=self.lora_alpha)

    def enable_lora(self, rank, lora_alpha=None, a_initializer="he_uniform", b_initializer="zeros"):
        """Hold the main weight fixed and learn `lora_alpha / rank * A @ B` on top of it.

        Raises: ValueError for a layer that is not built, is adapted already, or whose main weight
        has a constraint, and for a rank below 1.
        """
        name, owner = self.main_weight, f"{type(self).__name__}.enable_lora"
        if getattr(self, f"{name}_constraint", None):
            plural = {"kernel": "kernel", "embeddings": "embedding"}[name]
            raise ValueError(
                f"{owner}: Lora is incompatible with {plural} constraints; the layer must have no "
                f"`{name}_constraint`. Received: layer '{self.name}'"
            )
        if not self.built:
            raise ValueError(
                f"{owner}: Cannot enable lora on a layer that isn't yet built. "
                f"Received: layer '{self.name}'"
            )
        if self.lora_enabled:
            raise ValueError(
                f"{owner}: lora is already enabled, which can be done once. "
                f"Received: layer '{self.name}' with lora_rank={self.lora_rank}"
            )
        if self.quantization_mode == "gptq":
            raise NotImplementedError(
                f"{owner}: lora is not currently supported with GPTQ quantization. "
                f"Received: layer '{self.name}'"
            )
        rank = checks.positive_int(rank, "rank", owner=owner)
        initial = initializers.get(a_initializer), initializers.get(b_initializer)
        locked = self._tracker.locked_message
        self._tracker.unlock()
        try:
            self._add_lora_factors(rank, *initial)
        finally:
            if locked is not None:
                self._tracker.lock(locked)
        getattr(self, f"_{name}").trainable = False
        self.lora_enabled = True
        self.lora_rank = rank
        self.lora_alpha = rank if lora_alpha is None else lora_alpha

    def _add_lora_factors(self, rank, a_initializer, b_initializer):
        name, shape = self.main_weight, tuple(self._main_shape())
        regularizer = getattr(self, f"{name}_regularizer", None)
        # In float32 whatever the layer's dtype is: a half loses small steps.
        options = {"dtype": "float32", "regularizer": regularizer}
        for letter, size, initializer in (
            ("a", (*shape[:-1], rank), a_initializer),
            ("b", (rank, shape[-1]), b_initializer),
        ):
            variable = self.add_weight(size, initializer, name=f"lora_{name}_{letter}", **options)
            variable._path = f"{self._path or scopes.current_path()}/{variable.name}"
            setattr(self, f"lora_{name}_{letter}", variable)

    def _main_shape(self):
        """The main weight's shape, as the formula has it."""
        return self._base_weight().shape

    def _base_weight(self):
        """The main weight without what LoRA adds."""
        return getattr(self, f"_{self.main_weight}")

    def _lora_factors(self):
        name = self.main_weight
        return getattr(self, f"lora_{name}_a"), getattr(self, f"lora_{name}_b")

    def _lora_scale(self):
        return self.lora_alpha / self.lora_rank

    def _adapted_weight(self):
        """The main weight with what LoRA adds.

        Raises: AttributeError for a layer that is not built.
        """
        if not self.built:
            raise AttributeError(
                f"{type(self).__name__}: layer '{self.name}' must be built before its "
                f"`{self.main_weight}` can be read."
            )
        if not self.lora_enabled:
            return self._base_weight()
        first, second = self._lora_factors()
        product = ops.multiply(ops.matmul(first, second), self._lora_scale())
        return ops.cast(ops.add(self._base_weight(), product), self.compute_dtype)

    def _add_low_rank(self, outputs, inputs):
        """`outputs + scale * (inputs @ A) @ B`: for a layer whose outputs are inputs @ W."""
        first, second = self._lora_factors()
        product = ops.matmul(ops.matmul(inputs, first), second)
        sums = ops.add(outputs, ops.multiply(product, self._lora_scale()))
        return ops.cast(sums, outputs.dtype)

    # Quantized layers override what follows.

    @property
    def variable_serialization_spec(self):
        """For each quantization mode the weights that a file holds, in order."""
        return {None: [self.main_weight, "bias"]}

    def _quantization_mode_error(self, mode):
        modes = ", ".join(repr(known) for known in self.variable_serialization_spec if known)
        return NotImplementedError(
            f"{type(self).__name__}: Invalid quantization mode. Expected one of ({modes}). "
            f"Received: quantization_mode={mode}"
        )

    def _saved_variables(self):
        mode = self.quantization_mode
        if mode is None:
            left_out = [id(factor) for factor in self._lora_factors()] if self.lora_enabled else []
            return [v for v in super()._saved_variables() if id(v) not in left_out]
        if mode not in self.variable_serialization_spec:
            raise self._quantization_mode_error(mode)
        names = self.variable_serialization_spec[mode]
        names = [f"_{name}" if name == self.main_weight else name for name in names]
        found = [getattr(self, name, None) for name in names]
        return [variable for variable in found if variable is not None]

    def _merged_values(self):
        """What is saved in place of variables: their names in the spec and the values."""
        if not self.lora_enabled:
            return {}
        base = self._base_weight()
        first, second = self._lora_factors()
        product = first.numpy() @ second.numpy() * self._lora_scale()
        merged = np.asarray(base.numpy(), "float32") + product
        return {self.main_weight: merged.astype(base.data.dtype)}

    def save_own_variables(self, store):
        """Put the layer's weights into `store`, LoRA's product added to the main weight."""
        if not self.built:
            return
        merged = {
            id(getattr(self, f"_{name}" if name == self.main_weight else name)): value
            for name, value in self._merged_values().items()
        }
        for i, variable in enumerate(self._saved_variables()):
            store[f"{i}"] = merged.get(id(variable), variable)

    def _loaded(self):
        if self.lora_enabled:
            for factor in self._lora_factors():
                factor.assign(np.zeros(factor.shape, factor.data.dtype))

    def get_config(self):
        config = config_of(self, is_derived=type(self).get_config is LowRankLayer.get_config)
        if not self.lora_rank:
            config.pop("lora_rank", None)
            config.pop("lora_alpha", None)
        return config
