"""The numba type of a register tile (simd.py)."""

from llvmlite import ir
from numba import types
from numba.extending import models, register_model

from ..simd import BITS


class Tile(types.Type):
    """`rows` x `vectors` vectors of `lanes` elements each."""

    def __init__(self, element, rows, vectors):
        self.element, self.rows, self.vectors = element, rows, vectors
        self.lanes = BITS // element.bitwidth
        super().__init__(name=f"Tile({element},{rows},{vectors})")

    @property
    def llvm_element(self):
        return ir.FloatType() if self.element.bitwidth == 32 else ir.DoubleType()

    @property
    def llvm_vector(self):
        return ir.VectorType(self.llvm_element, self.lanes)

    @property
    def count(self):
        return self.rows * self.vectors


@register_model(Tile)
class _TileModel(models.PrimitiveModel):
    def __init__(self, manager, tile):
        super().__init__(manager, tile, ir.ArrayType(tile.llvm_vector, tile.count))
