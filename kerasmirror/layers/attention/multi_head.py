"""MultiHeadAttention."""

from __future__ import annotations

import math
import string

from kerasmirror import constraints, initializers, ops, regularizers
from kerasmirror._export import export
from kerasmirror.core.symbolic import KerasTensor
from kerasmirror.core.tensor import Tensor, get_keras_mask
from kerasmirror.layers.activation import Softmax
from kerasmirror.layers.attention.attention import causal_mask
from kerasmirror.layers.core.einsum_dense import EinsumDense
from kerasmirror.layers.layer import Layer
from kerasmirror.layers.regularization import Dropout, checked_rate

_OPTIONS = {"initializer": initializers, "regularizer": regularizers, "constraint": constraints}


@export("layers.MultiHeadAttention")
class MultiHeadAttention(Layer):
    """Projections of query, key and value to heads, attention in each, and a projection back.

    A head is `softmax(query @ key^T / sqrt(key_dim)) @ value` over `attention_axes` (default: all
    but the first and the last axis). Masks say where a query may look: those of the inputs,
    `attention_mask` (N, T, S), `use_causal_mask`, and `sliding_window` steps on either side.
    `use_gate` multiplies the heads by sigmoids of the query.
    Shapes: query (N, T, C), value and key (N, S, C), result (N, T, output_shape or C).
    Raises: ValueError for sizes below 1, value and key of different lengths, or flash attention,
    which Keras has on other backends only.
    Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, Section 3.2.2; Keras 3.15
    `keras.layers.MultiHeadAttention`.
    """

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        dropout=0.0,
        use_bias=True,
        output_shape=None,
        attention_axes=None,
        sliding_window=None,
        flash_attention=None,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        use_gate=False,
        seed=None,
        **kwargs,
    ):
        sizes = {"num_heads": num_heads, "key_dim": key_dim}
        if value_dim is not None:
            sizes["value_dim"] = value_dim
        for name, value in sizes.items():
            if not isinstance(value, int) or value <= 0:
                raise ValueError(
                    f"MultiHeadAttention: Received an invalid value for argument `{name}`, "
                    f"expected a positive integer. Received: {name}={value!r}"
                )
        super().__init__(**kwargs)
        self.supports_masking = True
        self._num_heads, self._key_dim = num_heads, key_dim
        self._value_dim = value_dim or key_dim
        self._dropout = checked_rate(dropout, "dropout", "MultiHeadAttention")
        self._use_bias = use_bias
        self._use_gate = use_gate
        self._output_shape = _as_shape(output_shape)
        if flash_attention:
            raise ValueError(
                "MultiHeadAttention: `flash_attention` must be None or False: not supported. "
                f"Received: flash_attention={flash_attention!r}"
            )
        self._kernel = (kernel_initializer, kernel_regularizer, kernel_constraint)
        self._bias = (bias_initializer, bias_regularizer, bias_constraint)
        for weight in ("kernel", "bias"):
            values = zip(getattr(self, f"_{weight}"), _OPTIONS.items(), strict=True)
            for value, (kind, family) in values:
                setattr(self, f"_{weight}_{kind}", family.get(value))
            delattr(self, f"_{weight}")
        self._activity_regularizer = regularizers.get(activity_regularizer)
        if isinstance(attention_axes, int):
            attention_axes = (attention_axes,)
        elif attention_axes and not isinstance(attention_axes, (list, tuple)):
            raise ValueError(
                "MultiHeadAttention: `attention_axes` must be an int, list, or tuple. "
                f"Received: attention_axes={attention_axes!r}"
            )
        self._attention_axes = attention_axes
        window = sliding_window
        if window is not None and (not isinstance(window, int) or window <= 0):
            raise ValueError(
                "MultiHeadAttention: `sliding_window` must be `None` or a positive integer. "
                f"Received: sliding_window={window!r}"
            )
        self._sliding_window = window
        self.seed = seed

    num_heads = property(lambda self: self._num_heads)
    key_dim = property(lambda self: self._key_dim)
    value_dim = property(lambda self: self._value_dim)
    dropout = property(lambda self: self._dropout)
    use_bias = property(lambda self: self._use_bias)
    attention_axes = property(lambda self: self._attention_axes)
    query_dense = property(lambda self: self._query_dense)
    key_dense = property(lambda self: self._key_dense)
    value_dense = property(lambda self: self._value_dense)
    output_dense = property(lambda self: self._output_dense)

    def build(self, query_shape, value_shape, key_shape=None):
        key_shape = self._checked_key(value_shape, key_shape)
        heads, keys, values = self._num_heads, self._key_dim, self._value_dim
        self._query_dense = self._projection("query", query_shape, 1, [heads, keys])
        self._key_dense = self._projection("key", key_shape, 1, [heads, keys])
        if self._use_gate:
            self._gate_dense = self._projection(
                "gate", query_shape, 1, [heads, values], activation="sigmoid"
            )
        self._value_dense = self._projection("value", value_shape, 1, [heads, values])
        self._build_attention(len(value_shape) + 1)
        output = list(self._output_shape or [query_shape[-1]])
        projected = (*query_shape[:-1], heads, values)
        self._output_dense = self._projection("attention_output", projected, 2, output)

    def _projection(self, name, shape, summed, sizes, **options):
        """A built EinsumDense from the last `summed` axes of `shape` to `sizes`."""
        letters = iter(string.ascii_lowercase)
        free, inner, new = (
            "".join(next(letters) for _ in range(count))
            for count in (len(shape) - summed, summed, len(sizes))
        )
        for weight in ("kernel", "bias"):
            given = getattr(self, f"_{weight}_initializer")
            # A fresh one for each projection: with one seed they would all be alike.
            options[f"{weight}_initializer"] = type(given).from_config(given.get_config())
            for kind in ("regularizer", "constraint"):
                options[f"{weight}_{kind}"] = getattr(self, f"_{weight}_{kind}")
        dense = EinsumDense(
            f"{free}{inner},{inner}{new}->{free}{new}",
            output_shape=[None] * (len(free) - 1) + list(sizes),
            bias_axes=new if self._use_bias else None,
            activity_regularizer=self._activity_regularizer,
            dtype=self.dtype_policy,
            name=name,
            **options,
        )
        dense.build(tuple(shape))
        return dense

    def _build_attention(self, rank):
        """The equations of scores and of their sum, for projected inputs of `rank` axes."""
        if self._attention_axes is None:
            self._attention_axes = tuple(range(1, rank - 2))
        else:
            self._attention_axes = tuple(
                [axis if axis >= 0 else rank - 1 + axis for axis in self._attention_axes]
            )
        axes = self._attention_axes
        target = string.ascii_lowercase[:rank]
        others = iter(string.ascii_lowercase[rank:])
        source = "".join(next(others) if i in axes else c for i, c in enumerate(target))
        batch = [c for i, c in enumerate(target) if i not in axes and i != rank - 1]
        scores = "".join([*batch, *[target[i] for i in axes], *[source[i] for i in axes]])
        self._dot_product_equation = f"{source},{target}->{scores}"
        self._combine_equation = f"{scores},{source}->{target}"
        last = tuple(range(len(scores) - len(axes), len(scores)))
        self._softmax = Softmax(axis=last, dtype=self.dtype_policy)
        self._dropout_layer = Dropout(self._dropout, dtype=self.dtype_policy, seed=self.seed)

    def call(
        self,
        query,
        value,
        key=None,
        query_mask=None,
        value_mask=None,
        key_mask=None,
        attention_mask=None,
        return_attention_scores=False,
        training=None,
        use_causal_mask=False,
    ):
        key = value if key is None else key
        query, value, key = (_without_mask(x) for x in (query, value, key))
        mask = self._compute_attention_mask(
            query, value, query_mask, value_mask, key_mask, attention_mask, use_causal_mask
        )
        gate = self._gate_dense(query) if self._use_gate else None
        query, key, value = self._query_dense(query), self._key_dense(key), self._value_dense(value)
        outputs, scores = self._compute_attention(
            query, key, value, mask, training, return_attention_scores
        )
        outputs = self._output_dense(outputs if gate is None else ops.multiply(outputs, gate))
        return (outputs, scores) if return_attention_scores else outputs

    def _compute_attention(
        self,
        query,
        key,
        value,
        attention_mask=None,
        training=None,
        return_attention_scores=False,
        use_causal_mask=False,
    ):
        """(heads, scores) of projected inputs; the scores are None where nobody asked for them."""
        mask = attention_mask
        if use_causal_mask:
            causal = causal_mask(query.shape[1], value.shape[1])
            mask = causal if mask is None else ops.logical_and(ops.cast(mask, "bool"), causal)
        n_axes = len(self._attention_axes)
        if mask is not None:
            for _ in range(len(query.shape) - 1 + n_axes - len(mask.shape)):
                mask = ops.expand_dims(mask, -2 * n_axes - 1)
        if not (self._dropout > 0.0 or return_attention_scores or len(query.shape) != 4):
            scale = 1.0 / math.sqrt(self._key_dim)
            return ops.dot_product_attention(query, key, value, mask=mask, scale=scale), None
        query = ops.multiply(query, 1.0 / math.sqrt(self._key_dim))
        scores = self._softmax(ops.einsum(self._dot_product_equation, key, query), mask=mask)
        dropped = scores
        if self._dropout > 0.0:
            dropped = self._dropout_layer(scores, training=training)
        return ops.einsum(self._combine_equation, dropped, value), scores

    def _compute_attention_mask(
        self,
        query,
        value,
        query_mask=None,
        value_mask=None,
        key_mask=None,
        attention_mask=None,
        use_causal_mask=False,
    ):
        """All masks in one, (N, T, S), or None."""
        masks = [] if query_mask is None else [ops.expand_dims(query_mask, -1)]
        masks += [ops.expand_dims(m, -2) for m in (value_mask, key_mask) if m is not None]
        if use_causal_mask:
            masks.append(causal_mask(query.shape[1], value.shape[1]))
        if self._sliding_window is not None:
            rows = ops.expand_dims(ops.arange(query.shape[1]), (0, 2))
            columns = ops.expand_dims(ops.arange(value.shape[1]), (0, 1))
            masks.append(ops.less(ops.abs(ops.subtract(rows, columns)), self._sliding_window))
        masks += [] if attention_mask is None else [attention_mask]
        mask = None
        for one in masks:
            one = ops.cast(one, "bool")
            mask = one if mask is None else ops.logical_and(mask, one)
        return mask

    def _checked_key(self, value_shape, key_shape):
        key_shape = value_shape if key_shape is None else key_shape
        if tuple(value_shape[1:-1]) != tuple(key_shape[1:-1]):
            raise ValueError(
                "MultiHeadAttention: All dimensions of `value` and `key`, except the last one, "
                f"must be equal. Received: value_shape={value_shape} and key_shape={key_shape}"
            )
        return key_shape

    def compute_output_shape(self, query_shape, value_shape, key_shape=None):
        self._checked_key(value_shape, key_shape)
        return (*query_shape[:-1], *(self._output_shape or query_shape[-1:]))

    def compute_output_spec(
        self,
        query,
        value,
        key=None,
        query_mask=None,
        value_mask=None,
        key_mask=None,
        attention_mask=None,
        return_attention_scores=False,
        training=None,
        use_causal_mask=False,
    ):
        key_shape = None if key is None else key.shape
        shape = self.compute_output_shape(query.shape, value.shape, key_shape)
        output = KerasTensor(shape, self.compute_dtype)
        if not return_attention_scores:
            return output
        scores = (query.shape[0], self._num_heads, query.shape[1], value.shape[1])
        return output, KerasTensor(scores, self.compute_dtype)

    def get_config(self):
        config = super().get_config()
        names = ("num_heads", "key_dim", "value_dim", "dropout", "use_bias", "use_gate")
        names += ("output_shape", "attention_axes", "sliding_window")
        config |= {name: getattr(self, f"_{name}") for name in names}
        for weight in ("kernel", "bias"):
            for kind, family in _OPTIONS.items():
                value = getattr(self, f"_{weight}_{kind}")
                config[f"{weight}_{kind}"] = family.serialize(value) if value else None
        regularizer = self._activity_regularizer
        config["activity_regularizer"] = (
            regularizers.serialize(regularizer) if regularizer else None
        )
        return config


def _as_shape(value):
    if not value:
        return None
    if isinstance(value, int):
        return (value,)
    try:
        return tuple(value)
    except TypeError:
        raise ValueError(
            "MultiHeadAttention: Invalid `output_shape`. It should be of type tuple, list, or int. "
            f"Received: output_shape={value!r}"
        ) from None


def _without_mask(x):
    """`x` for a layer that takes no mask: the masks of the inputs have been used."""
    if get_keras_mask(x) is None or not isinstance(x, Tensor):
        return x
    return Tensor(x.data, x.key)
