"""Rows of a table by their number: what the Embedding layers do."""

from __future__ import annotations

from kerasmirror.autodiff import tangents
from kerasmirror.autodiff.primitive import primitive


def _rows_spec(table, indices, *, owner="embedding_rows"):
    return (*indices.shape, table.shape[1]), table.dtype


@primitive("embedding_rows", spec=_rows_spec, tangent=tangents.linear_in(0))
def embedding_rows(k, table, indices, *, owner="embedding_rows"):
    """`table[indices]`; -1 is the last row.

    Shapes: table (rows, width), indices (...) of whole numbers, result (..., width).
    Raises: IndexError for an index outside the table.
    """
    rows = table.shape[0]
    if indices.size:
        low, high = indices.min(), indices.max()
        if low < -rows or high >= rows:
            raise IndexError(
                f"{owner}: the indices must be within [0, {rows}). "
                f"Received: indices from {low} to {high}, of shape {indices.shape}"
            )

    def backward(dy, needs):
        # Each row of dy goes to the row that was read; those read twice add up.
        flat = dy.reshape(indices.size, table.shape[1])
        return k.scatter_add_rows(flat, indices, rows), None

    return k.take_rows(table, indices), backward
