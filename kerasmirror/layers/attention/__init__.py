"""Layers in which each query chooses among values."""

from kerasmirror.layers.attention import attention, multi_head  # noqa: F401
