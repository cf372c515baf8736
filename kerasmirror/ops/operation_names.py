"""How saved models call the operations of `keras.ops`: a class in a module, tensors passed to it.

A file of Keras names `ops.reshape(x, (2, -1))` as class "Reshape" of "keras.src.ops.numpy" with
the config {"newshape": [2, -1]}, called on x. Each line of the table has the module's last part,
the arguments that a call passes, and the classes for which that holds; all other arguments of the
function are in the config. A class's name is the function's in camel case, or stands after "=".
"""

from __future__ import annotations

import functools
from typing import NamedTuple

from kerasmirror import _export

_TABLE = """
core | elements | VectorizedMap
core | f elems | AssociativeScan
core | f init xs | Scan
core | f xs | Map
core | index branches *operands | Switch
core | indices values | Scatter
core | init_val | ForiLoop
core | inputs indices updates | ScatterUpdate
core | inputs start_indices | Slice
core | inputs start_indices updates | SliceUpdate
core | loop_vars | WhileLoop
core | pred true_fn false_fn | Cond
core | variable | StopGradient
core | x | Unstack Cast SaturateCast ConvertToTensor
einops | tensor pattern **axes_lengths | Rearrange
image | image1 image2 | SSIM
image | images | RGBToGrayscale RGBToHSV HSVToRGB Resize ExtractPatches PadImages CropImages
image | images | GaussianBlur ElasticTransform SobelEdges
image | images output_shape scale translation | ScaleAndTranslate
image | images start_points end_points | PerspectiveTransform
image | images transform | AffineTransform
image | inputs coordinates | MapCoordinates
linalg | a b | Solve SolveTriangular Lstsq
linalg | x | Cholesky CholeskyInverse Det Eig Eigh Inv LuFactor Norm Qr SVD MatrixRank Pinv
linalg | fun primals tangents | JVP
math | data segment_ids | SegmentSum SegmentMax SegmentMin SegmentProd
math | targets predictions | InTopK
math | x | TopK Logsumexp ExtractSequences FFT FFT2 IFFT2 RFFT IRFFT STFT ISTFT Rsqrt Erf Erfc
math | x | Erfinv Logdet ViewAsComplex ViewAsReal
math | x y | CDist=cdist
nn | inputs | MaxPool AdaptiveMaxPool AveragePool AdaptiveAveragePool MultiHot
nn | inputs depthwise_kernel pointwise_kernel | SeparableConv
nn | inputs kernel | Conv DepthwiseConv ConvTranspose
nn | inputs sequence_lengths | CTCDecode
nn | query key value bias mask scale | DotProductAttention
nn | target output | BinaryCrossentropy CategoricalCrossentropy SparseCategoricalCrossentropy
nn | target output target_length output_length | CTCLoss
nn | x | Relu Relu6 Sigmoid SparseSigmoid Softplus Softsign SoftShrink SparsePlus Silu Squareplus
nn | x | LogSigmoid LeakyRelu HardSigmoid HardSilu Elu Selu Gelu Celu Glu TanhShrink HardTanh
nn | x | HardShrink Threshold Softmax LogSoftmax Sparsemax OneHot Moments Normalize Unfold Fold
nn | x | DepthToSpace SpaceToDepth
nn | x gamma beta | LayerNorm=layer_normalization
nn | x mean variance offset scale | BatchNorm=batch_normalization
nn | x scale | RMSNorm=rms_normalization
nn | x1 x2 | PSNR
nn | abs_ angle | Polar
numpy | *operands **kwargs | Einsum
numpy | *x | Meshgrid
numpy | a | Diff
numpy | array | Rot90
numpy | condition x1 x2 | Where
numpy | condlist choicelist default | Select
numpy | fill_value | Full
numpy | indices | UnravelIndex
numpy | sorted_sequence values | SearchSorted=searchsorted
numpy | start stop | Geomspace Linspace Logspace
numpy | start stop step | Arange
numpy | x | Absolute Abs Fabs All Angle Any Amax Amin Arccos Arccosh Arcsin Arcsinh Arctan Arctanh
numpy | x | Argmax Argmin Argsort Array View Bincount BitwiseInvert BitwiseNot BroadcastTo Cbrt Ceil
numpy | x | Clip Conjugate Conj Copy Cos Cosh CountNonzero Cumprod Cumsum Deg2rad Rad2deg Diag
numpy | x | Diagflat Diagonal EmptyLike Exp Exp2 ExpandDims Expm1 Flip Fliplr Flipud Floor Hsplit
numpy | x | Imag I0 Isfinite Isinf Isnan Isneginf Isposinf Isreal Log Log10 Log1p Log2 LogicalNot
numpy | x | Max Median Min Moveaxis Nanargmax Nanargmin Nancumsum Nancumprod Nanmax Nanmean
numpy | x | Nanmedian Nanmin Nanprod Nanstd Nansum Nanvar NanToNum Nonzero OnesLike ZerosLike Prod
numpy | x | Ptp Ravel Real Reciprocal Repeat Reshape Roll Round Sign Signbit Sin Sinc Sinh Sort
numpy | x | Split Stack Std Swapaxes Tan Tanh Tile Trace Tril Triu Trunc Vsplit Negative Square
numpy | x | Sqrt Squeeze Transpose Mean Vander Var Sum Corrcoef Slogdet Argpartition Histogram
numpy | x | ArraySplit Unique Dsplit
numpy | x bins | Digitize
numpy | x constant_values | Pad
numpy | x fill_value | FullLike
numpy | x indices | Take TakeAlongAxis
numpy | x key | GetItem
numpy | x q | Nanpercentile Nanquantile Percentile Quantile
numpy | x weights | Average
numpy | x y | BitwiseAnd BitwiseOr BitwiseXor BitwiseLeftShift LeftShift BitwiseRightShift
numpy | x y | RightShift
numpy | x1 x2 | Add AllClose=allclose Append Arctan2 Heaviside Cross Dot Equal Gcd Greater
numpy | x1 x2 | GreaterEqual Hypot IsIn=isin Kron Lcm Ldexp Less LessEqual Logaddexp Logaddexp2
numpy | x1 x2 | LogicalAnd LogicalOr Matmul Maximum Fmax Minimum Fmin Mod Fmod NotEqual Outer
numpy | x1 x2 | Tensordot Vdot Inner Subtract Multiply Divide DivideNoNan TrueDivide Power
numpy | x1 x2 | Nextafter FloorDivide LogicalXor Correlate
numpy | x1 x2 rtol atol | Isclose
numpy | xs | Concatenate Dstack Hstack Vstack
numpy | y | Trapezoid
"""


class SavedName(NamedTuple):
    """One public operation as files name it."""

    module: str
    class_name: str
    passed: tuple  # names of the arguments of a call; "*" and "**" before those that take any


@functools.cache
def all_names():
    """({id of a public function: SavedName}, {(module, class name): (SavedName, function)})."""
    public = {}
    for path, symbol in _export.public_names().items():
        family, _, name = path.rpartition(".")
        if path.startswith("ops."):
            public.setdefault(name.replace("_", ""), {})[family] = symbol
    by_function, by_class = {}, {}
    for line in filter(None, _TABLE.splitlines()):
        module, passed, classes = (part.strip() for part in line.split("|"))
        for entry in classes.split():
            class_name, _, function_name = entry.partition("=")
            # The same name may stand in two families: `ops.linalg.norm` is `ops.norm`.
            found = public.get((function_name or class_name).lower().replace("_", ""))
            if found is None:
                continue
            function = found.get("ops", next(iter(found.values())))
            saved = SavedName(f"keras.src.ops.{module}", class_name, tuple(passed.split()))
            by_class[module, class_name] = saved, function
            by_function.setdefault(id(function), saved)
    return by_function, by_class
