"""Layer cases: how to make the layer, the shape it is given, and in which modes it runs."""

from typing import Any, NamedTuple


class LayerCase(NamedTuple):
    """`make(keras)` gives the layer; `shape` is its input's, batch axis included."""

    id: str
    make: Any
    shape: tuple
    training: tuple = (False,)
    integers: bool = False
    tolerance: float = 1e-5
    reason: str = ""  # why the tolerance is not the table's


BOTH = (False, True)
IMAGE = (3, 9, 8, 3)
VOLUME = (2, 5, 6, 4, 3)
MANY = (4, 14, 14, 32)


def conv(**options):
    return lambda keras: keras.layers.Conv2D(**{"filters": 6, "kernel_size": 3, **options})


def layer(name, /, *args, **options):
    return lambda keras: getattr(keras.layers, name)(*args, **options)


def transposed(name, rank, /, *args, shape, **options):
    make = layer(f"Conv{rank}DTranspose", *args, **options)
    return LayerCase(f"conv{rank}d-transpose{name}", make, shape)


TRANSPOSED = [
    transposed("", 1, 5, 3, shape=(3, 6, 4)),
    transposed("-strided", 1, 5, 4, strides=3, padding="same", shape=(3, 6, 4)),
    transposed("-wide-stride", 1, 5, 2, strides=4, activation="tanh", shape=(3, 6, 4)),
    transposed("", 2, 5, 3, activation="relu", shape=IMAGE),
    transposed("-same", 2, 4, 3, strides=2, padding="same", activation="sigmoid", shape=IMAGE),
    transposed("-even", 2, 4, (4, 2), strides=2, padding="same", shape=IMAGE),
    transposed("-strides", 2, 4, (3, 4), strides=(2, 3), use_bias=False, shape=IMAGE),
    transposed("-output-padding", 2, 4, 3, strides=2, output_padding=1, shape=IMAGE),
    transposed("-output-padding-same", 2, 4, 3, 2, "same", output_padding=(0, 1), shape=IMAGE),
    transposed("", 3, 4, (2, 3, 2), activation="relu", shape=VOLUME),
    transposed("-same", 3, 4, 3, strides=(2, 1, 2), padding="same", shape=VOLUME),
]
DEPTHWISE = [
    LayerCase("depthwise-conv1d", layer("DepthwiseConv1D", 3), (3, 11, 4)),
    LayerCase("depthwise-conv1d-strided", layer("DepthwiseConv1D", 3, 2, "same", 2), (3, 11, 4)),
    LayerCase("depthwise-conv2d", layer("DepthwiseConv2D", 3, activation="relu"), IMAGE),
    LayerCase("depthwise-conv2d-strided", layer("DepthwiseConv2D", 3, 2, "same"), MANY),
    LayerCase(
        "depthwise-conv2d-multiplied",
        layer("DepthwiseConv2D", (3, 2), depth_multiplier=3, use_bias=False, activation="tanh"),
        IMAGE,
    ),
    LayerCase("depthwise-conv2d-dilated", layer("DepthwiseConv2D", 3, dilation_rate=2), IMAGE),
    LayerCase("separable-conv1d", layer("SeparableConv1D", 5, 3, padding="same"), (3, 11, 4)),
    LayerCase("separable-conv2d", layer("SeparableConv2D", 5, 3, activation="relu"), IMAGE),
    LayerCase(
        "separable-conv2d-strided",
        layer("SeparableConv2D", 5, 3, 2, "same", depth_multiplier=2, activation="sigmoid"),
        IMAGE,
    ),
    LayerCase(
        "separable-conv2d-dilated",
        layer("SeparableConv2D", 5, 2, dilation_rate=2, use_bias=False),
        IMAGE,
    ),
]


def einsum(name, equation, output_shape, shape, **options):
    make = layer("EinsumDense", equation, output_shape, **options)
    return LayerCase(f"einsum-dense-{name}", make, shape)


EINSUMS = [
    einsum("matrix", "ab,bc->ac", 6, (3, 5), bias_axes="c"),
    einsum("vector", "ab,b->a", (), (3, 5)),
    einsum("sequence", "abc,cd->abd", (None, 6), (2, 4, 5), bias_axes="d", activation="relu"),
    einsum("heads", "abc,cde->abde", (None, 2, 3), (2, 4, 5), bias_axes="de"),
    einsum("from-heads", "abcd,cde->abe", (None, 6), (2, 4, 3, 5), bias_axes="e"),
    einsum("some-bias", "abc,cde->abde", (4, 2, 3), (2, 4, 5), bias_axes="be"),
    einsum("turned", "abc,dc->adb", (6, 4), (2, 4, 5), activation="tanh"),
    einsum("dots-left", "...x,xy->...y", 6, (2, 3, 3, 5), bias_axes="y"),
    einsum("dots-right", "bc...,cde->bde...", (3, 4), (2, 5, 3, 2), bias_axes="e"),
    einsum("batch-in-kernel", "ab,bc->abc", (5, 4), (3, 5)),
    einsum("lora", "abc,cde->abde", (None, 2, 3), (2, 4, 5), bias_axes="de", lora_rank=2),
]

STEPS = (3, 5, 4)
SATURATED = {"tolerance": 1e-4, "reason": "1 - h^2 loses digits where tanh is nearly 1"}


def wrapped(name, inner, *args, **options):
    return lambda keras: getattr(keras.layers, name)(inner(keras), *args, **options)


def cells(*names):
    return lambda keras: keras.layers.RNN([getattr(keras.layers, n)(3, name=n) for n in names])


RECURRENT = [
    LayerCase("simple-rnn", layer("SimpleRNN", 6), STEPS),
    LayerCase("simple-rnn-relu", layer("SimpleRNN", 6, "relu", return_sequences=True), STEPS),
    LayerCase("simple-rnn-no-bias", layer("SimpleRNN", 6, use_bias=False), STEPS, **SATURATED),
    LayerCase("simple-rnn-dropout", layer("SimpleRNN", 6, dropout=0.4, seed=3), STEPS, BOTH),
    LayerCase("lstm", layer("LSTM", 6), STEPS),
    LayerCase("lstm-sequences", layer("LSTM", 20, return_sequences=True), (5, 7, 3)),
    LayerCase("lstm-backwards", layer("LSTM", 6, go_backwards=True, return_sequences=True), STEPS),
    LayerCase("lstm-other", layer("LSTM", 6, "relu", "hard_sigmoid", use_bias=False), STEPS),
    LayerCase("lstm-dropout", layer("LSTM", 6, dropout=0.4, seed=3), STEPS, BOTH),
    LayerCase(
        "lstm-both-dropouts",
        layer("LSTM", 6, dropout=0.2, recurrent_dropout=0.3, seed=3),
        STEPS,
        BOTH,
    ),
    LayerCase("gru", layer("GRU", 6), STEPS),
    LayerCase("gru-sequences", layer("GRU", 20, return_sequences=True), (5, 7, 3)),
    LayerCase("gru-reset-before", layer("GRU", 6, reset_after=False), STEPS),
    LayerCase("gru-no-bias", layer("GRU", 6, use_bias=False, go_backwards=True), STEPS),
    LayerCase("gru-dropout", layer("GRU", 6, dropout=0.4, seed=3), STEPS, BOTH),
    LayerCase("gru-both-dropouts", layer("GRU", 6, recurrent_dropout=0.3, seed=3), STEPS, BOTH),
    LayerCase("rnn-cells", cells("LSTMCell", "GRUCell", "SimpleRNNCell"), STEPS, **SATURATED),
    LayerCase("time-distributed", wrapped("TimeDistributed", layer("Dense", 6, name="a")), STEPS),
    LayerCase("time-distributed-conv", wrapped("TimeDistributed", conv(name="a")), (2, 3, 5, 6, 2)),
    LayerCase(
        "bidirectional",
        wrapped("Bidirectional", layer("LSTM", 6, return_sequences=True, name="a")),
        STEPS,
    ),
    LayerCase(
        "bidirectional-sum", wrapped("Bidirectional", layer("GRU", 6, name="a"), "sum"), STEPS
    ),
    LayerCase(
        "bidirectional-mul", wrapped("Bidirectional", layer("SimpleRNN", 6, name="a"), "mul"), STEPS
    ),
]

CASES = [
    LayerCase("dense", layer("Dense", 5), (4, 7)),
    LayerCase("dense-relu", layer("Dense", 33, activation="relu"), (17, 65)),
    LayerCase("dense-softmax", layer("Dense", 10, activation="softmax"), (5, 12)),
    LayerCase("dense-tanh-no-bias", layer("Dense", 3, activation="tanh", use_bias=False), (2, 5)),
    LayerCase("dense-3d", layer("Dense", 4, activation="gelu"), (2, 3, 6)),
    LayerCase("dense-one-unit", layer("Dense", 1, activation="sigmoid"), (1, 1)),
    LayerCase("dense-lora", layer("Dense", 5, activation="tanh", lora_rank=2), (4, 7)),
    *EINSUMS,
    LayerCase("embedding", layer("Embedding", 256, 5), (4, 6), integers=True),
    LayerCase("embedding-flat", layer("Embedding", 256, 3), (7,), integers=True),
    LayerCase("embedding-lora", layer("Embedding", 256, 5, lora_rank=2), (4, 6), integers=True),
    LayerCase(
        "embedding-options",
        layer("Embedding", 256, 5, "he_normal", "l2", mask_zero=True),
        (4, 6),
        integers=True,
    ),
    LayerCase("reversible-embedding", layer("ReversibleEmbedding", 256, 5), (4, 6), integers=True),
    LayerCase(
        "reversible-embedding-untied",
        layer("ReversibleEmbedding", 256, 5, tie_weights=False, logit_soft_cap=2.0),
        (4, 6),
        integers=True,
    ),
    LayerCase("lambda-sin", lambda keras: keras.layers.Lambda(keras.ops.sin), (3, 4)),
    LayerCase("identity", layer("Identity"), (3, 4, 2)),
    LayerCase("masking", layer("Masking", mask_value=0.5), (3, 4, 2)),
    LayerCase("conv2d", conv(), IMAGE),
    LayerCase("conv2d-same-relu", conv(padding="same", activation="relu"), IMAGE),
    LayerCase("conv2d-strides", conv(strides=(2, 3)), IMAGE),
    LayerCase("conv2d-strides-same", conv(strides=2, padding="same", activation="relu"), IMAGE),
    LayerCase("conv2d-dilation", conv(dilation_rate=(2, 1)), IMAGE),
    LayerCase("conv2d-dilation-same", conv(dilation_rate=2, padding="same"), IMAGE),
    LayerCase("conv2d-groups", conv(groups=3, padding="same"), IMAGE),
    LayerCase("conv2d-depthwise-like", conv(filters=8, groups=8), (2, 7, 7, 8)),
    LayerCase("conv2d-1x1", conv(kernel_size=1, filters=17), IMAGE),
    LayerCase("conv2d-even-window", conv(kernel_size=(2, 4), padding="same"), IMAGE),
    LayerCase("conv2d-elu", conv(activation="elu"), IMAGE),
    LayerCase("conv2d-whole-image", conv(kernel_size=(9, 8)), IMAGE),
    LayerCase("conv2d-narrow", conv(kernel_size=5, padding="same"), (2, 3, 2, 4)),
    LayerCase("conv2d-7x7-one-channel", conv(kernel_size=7, padding="same"), (2, 28, 28, 1)),
    LayerCase(
        "conv2d-many-channels",
        conv(filters=64, padding="same", activation="relu"),
        MANY,
        tolerance=5e-5,
        reason="Winograd transforms round more than a direct sum",
    ),
    LayerCase(
        "conv2d-many-channels-32x32",
        conv(filters=32, padding="same"),
        (2, 32, 32, 32),
        tolerance=5e-5,
        reason="Winograd transforms round more than a direct sum",
    ),
    LayerCase(
        "conv2d-5x5-many",
        conv(filters=32, kernel_size=5, padding="same"),
        (2, 14, 14, 32),
        tolerance=5e-5,
        reason="Winograd transforms round more than a direct sum",
    ),
    LayerCase("conv1d", layer("Conv1D", 5, 3, activation="relu"), (3, 11, 4)),
    LayerCase("conv1d-causal", layer("Conv1D", 5, 3, padding="causal"), (3, 11, 4)),
    LayerCase("conv1d-dilated", layer("Conv1D", 4, 3, dilation_rate=2, groups=2), (3, 11, 4)),
    LayerCase("conv3d", layer("Conv3D", 5, (2, 3, 2), activation="relu"), VOLUME),
    LayerCase("conv3d-same", layer("Conv3D", 4, 3, strides=2, padding="same"), VOLUME),
    LayerCase("conv3d-dilated", layer("Conv3D", 6, 2, dilation_rate=2, groups=3), VOLUME),
    *TRANSPOSED,
    *DEPTHWISE,
    LayerCase("max-pooling", layer("MaxPooling2D"), (3, 8, 8, 5)),
    LayerCase("max-pooling-same", layer("MaxPooling2D", 3, strides=2, padding="same"), IMAGE),
    LayerCase("max-pooling-overlap", layer("MaxPooling2D", (3, 2), strides=1), IMAGE),
    LayerCase("max-pooling-4", layer("MaxPooling2D", 4), (2, 16, 16, 3)),
    LayerCase("average-pooling", layer("AveragePooling2D", 2), (3, 8, 8, 5)),
    LayerCase(
        "average-pooling-same", layer("AveragePooling2D", 3, strides=2, padding="same"), IMAGE
    ),
    LayerCase("max-pooling-1d", layer("MaxPooling1D", 2), (3, 9, 4)),
    LayerCase("average-pooling-1d", layer("AveragePooling1D", 3, padding="same"), (3, 10, 4)),
    LayerCase("global-max-pooling", layer("GlobalMaxPooling2D"), IMAGE),
    LayerCase("global-max-pooling-keep", layer("GlobalMaxPooling2D", keepdims=True), IMAGE),
    LayerCase("global-average-pooling", layer("GlobalAveragePooling2D"), IMAGE),
    LayerCase("global-average-pooling-keep", layer("GlobalAveragePooling2D", keepdims=True), IMAGE),
    LayerCase("global-max-pooling-1d", layer("GlobalMaxPooling1D"), (3, 9, 4)),
    LayerCase("global-average-pooling-1d", layer("GlobalAveragePooling1D"), (3, 9, 4)),
    LayerCase("max-pooling-3d", layer("MaxPooling3D", (2, 3, 2)), VOLUME),
    LayerCase("max-pooling-3d-same", layer("MaxPooling3D", 3, 2, "same"), VOLUME),
    LayerCase("average-pooling-3d", layer("AveragePooling3D", 2), VOLUME),
    LayerCase("average-pooling-3d-same", layer("AveragePooling3D", 3, 2, "same"), VOLUME),
    LayerCase("global-max-pooling-3d", layer("GlobalMaxPooling3D"), VOLUME),
    LayerCase("global-average-pooling-3d", layer("GlobalAveragePooling3D"), VOLUME),
    LayerCase("adaptive-average-pooling-1d", layer("AdaptiveAveragePooling1D", 3), (3, 10, 4)),
    LayerCase("adaptive-average-pooling", layer("AdaptiveAveragePooling2D", (2, 5)), IMAGE),
    LayerCase("adaptive-average-pooling-3d", layer("AdaptiveAveragePooling3D", 2), VOLUME),
    LayerCase("adaptive-max-pooling-1d", layer("AdaptiveMaxPooling1D", 3), (3, 10, 4)),
    LayerCase("adaptive-max-pooling", layer("AdaptiveMaxPooling2D", (2, 5)), IMAGE),
    LayerCase("adaptive-max-pooling-3d", layer("AdaptiveMaxPooling3D", 2), VOLUME),
    LayerCase("flatten", layer("Flatten"), IMAGE),
    LayerCase("flatten-vector", layer("Flatten"), (3,)),
    LayerCase("flatten-channels-first", layer("Flatten", data_format="channels_first"), IMAGE),
    LayerCase("reshape", layer("Reshape", (4, 3)), (2, 12)),
    LayerCase("reshape-free", layer("Reshape", (3, -1, 2)), (2, 6, 4)),
    LayerCase("permute", layer("Permute", (3, 1, 2)), IMAGE),
    LayerCase("repeat-vector", layer("RepeatVector", 3), (4, 5)),
    LayerCase("up-sampling-1d", layer("UpSampling1D", 3), (3, 4, 5)),
    LayerCase("up-sampling", layer("UpSampling2D", (3, 2)), IMAGE),
    LayerCase("up-sampling-bilinear", layer("UpSampling2D", 2, interpolation="bilinear"), IMAGE),
    LayerCase("up-sampling-3d", layer("UpSampling3D", (2, 1, 3)), (2, 2, 3, 2, 4)),
    LayerCase("zero-padding-1d", layer("ZeroPadding1D", (1, 3)), (3, 4, 5)),
    LayerCase("zero-padding", layer("ZeroPadding2D", (1, 2)), IMAGE),
    LayerCase("zero-padding-sides", layer("ZeroPadding2D", ((1, 0), (0, 2))), IMAGE),
    LayerCase("zero-padding-3d", layer("ZeroPadding3D", (1, (0, 2), 1)), (2, 2, 3, 2, 4)),
    LayerCase("cropping-1d", layer("Cropping1D", (1, 0)), (3, 4, 5)),
    LayerCase("cropping", layer("Cropping2D", ((1, 0), (0, 2))), IMAGE),
    LayerCase("cropping-none", layer("Cropping2D"), IMAGE),
    LayerCase("cropping-3d", layer("Cropping3D", ((1, 0), 0, (0, 1))), (2, 4, 3, 3, 2)),
    LayerCase("activation-sin", lambda keras: keras.layers.Activation(keras.ops.sin), (3, 4)),
    LayerCase("activation-selu", layer("Activation", "selu"), (3, 4)),
    LayerCase("relu", layer("ReLU"), (3, 5)),
    LayerCase("relu-all", layer("ReLU", max_value=1.5, negative_slope=0.1, threshold=0.2), (3, 50)),
    LayerCase("leaky-relu", layer("LeakyReLU"), (3, 5)),
    LayerCase("elu", layer("ELU", alpha=0.7), (3, 5)),
    LayerCase("prelu", layer("PReLU", alpha_initializer="ones", shared_axes=[1]), (3, 5, 4)),
    LayerCase("softmax", layer("Softmax"), (3, 5)),
    LayerCase("softmax-axis", layer("Softmax", axis=1), (3, 5, 4)),
    LayerCase("softmax-axes", layer("Softmax", axis=(1, 2)), (3, 5, 4)),
    LayerCase("dropout", layer("Dropout", 0.4, seed=3), (30, 50), training=(False, True)),
    LayerCase(
        "dropout-noise-shape",
        layer("Dropout", 0.4, noise_shape=(None, 1, 5), seed=3),
        (30, 4, 5),
        training=(True,),
    ),
    LayerCase("spatial-dropout-1d", layer("SpatialDropout1D", 0.4, seed=3), (9, 4, 5), BOTH),
    LayerCase("spatial-dropout", layer("SpatialDropout2D", 0.4, seed=3), IMAGE, BOTH),
    LayerCase("spatial-dropout-3d", layer("SpatialDropout3D", 0.4, seed=3), (5, 2, 3, 2, 4), BOTH),
    LayerCase("gaussian-dropout", layer("GaussianDropout", 0.4, seed=3), (9, 4, 5), BOTH),
    LayerCase("gaussian-noise", layer("GaussianNoise", 0.4, seed=3), (9, 4, 5), BOTH),
    LayerCase("alpha-dropout", layer("AlphaDropout", 0.4, seed=3), (9, 4, 5), BOTH),
    LayerCase(
        "alpha-dropout-noise-shape",
        layer("AlphaDropout", 0.4, noise_shape=(None, 1, 5), seed=3),
        (9, 4, 5),
        BOTH,
    ),
    LayerCase("activity-regularization", layer("ActivityRegularization", 0.1, 0.2), (9, 4)),
    LayerCase("batch-normalization", layer("BatchNormalization"), (16, 5), training=(False, True)),
    LayerCase(
        "batch-normalization-images", layer("BatchNormalization"), IMAGE, training=(False, True)
    ),
    LayerCase(
        "batch-normalization-axis",
        layer("BatchNormalization", axis=1, momentum=0.8, epsilon=1e-2),
        (5, 4, 6),
        training=(False, True),
    ),
    LayerCase(
        "batch-normalization-plain",
        layer("BatchNormalization", center=False, scale=False),
        (16, 5),
        training=(False, True),
    ),
    LayerCase("layer-normalization", layer("LayerNormalization"), (4, 7, 33)),
    LayerCase("layer-normalization-axes", layer("LayerNormalization", axis=[-2, -1]), IMAGE),
    LayerCase("layer-normalization-axis", layer("LayerNormalization", axis=1), (4, 7, 5)),
    LayerCase(
        "layer-normalization-plain",
        layer("LayerNormalization", center=False, scale=False, epsilon=1e-5),
        (70, 5),
    ),
    LayerCase("rms-normalization", layer("RMSNormalization"), (4, 7, 33)),
    LayerCase("rms-normalization-axis", layer("RMSNormalization", axis=[1, 2]), (4, 7, 5)),
    LayerCase("unit-normalization", layer("UnitNormalization"), (4, 7, 5)),
    LayerCase("unit-normalization-axes", layer("UnitNormalization", axis=[1, 2]), (4, 7, 5)),
    LayerCase("group-normalization", layer("GroupNormalization", 3), (3, 9, 8, 6)),
    LayerCase("group-normalization-vector", layer("GroupNormalization", 2), (4, 6)),
    LayerCase("group-normalization-each", layer("GroupNormalization", -1, scale=False), IMAGE),
    LayerCase("group-normalization-axis", layer("GroupNormalization", 3, axis=1), IMAGE),
    LayerCase(
        "spectral-normalization",
        lambda keras: keras.layers.SpectralNormalization(keras.layers.Dense(5, name="inner")),
        (4, 7),
        BOTH,
        tolerance=1e-4,
        reason="the gradient is of a kernel divided by its singular value",
    ),
    *RECURRENT,
    LayerCase("rescaling", layer("Rescaling", 1 / 127.5, offset=-1.0), IMAGE),
    LayerCase("rescaling-integers", layer("Rescaling", 1 / 255), IMAGE, integers=True),
    LayerCase("normalization", layer("Normalization", mean=2.0, variance=3.0), (3, 4)),
    LayerCase(
        "normalization-vector",
        layer("Normalization", mean=[1.0, 2.0, 3.0], variance=[0.1, 2.0, 3.0]),
        IMAGE,
    ),
    LayerCase(
        "normalization-invert", layer("Normalization", mean=2.0, variance=3.0, invert=True), (3, 4)
    ),
    LayerCase("normalization-fresh", layer("Normalization", axis=None), (3, 4)),
]

# TensorFlow's own kernels have no channels first on the CPU; these are held against channels last.
CHANNELS_FIRST = [
    LayerCase("conv2d", conv(padding="same", activation="relu", strides=2), IMAGE),
    LayerCase("conv2d-groups", conv(groups=3), IMAGE),
    LayerCase("conv1d", layer("Conv1D", 5, 3), (3, 11, 4)),
    LayerCase("conv3d", layer("Conv3D", 5, 3, padding="same", activation="relu"), VOLUME),
    LayerCase("conv1d-transpose", layer("Conv1DTranspose", 5, 3, 2), (3, 6, 4)),
    LayerCase("conv2d-transpose", layer("Conv2DTranspose", 5, 3, 2, activation="tanh"), IMAGE),
    LayerCase("conv3d-transpose", layer("Conv3DTranspose", 5, 3, 2, "same"), VOLUME),
    LayerCase("depthwise-conv2d", layer("DepthwiseConv2D", 3, 2, "same", 2), IMAGE),
    LayerCase("separable-conv2d", layer("SeparableConv2D", 5, 3, activation="relu"), IMAGE),
    LayerCase("max-pooling", layer("MaxPooling2D", 3, strides=2, padding="same"), IMAGE),
    LayerCase("average-pooling", layer("AveragePooling2D", 2), IMAGE),
    LayerCase("global-max-pooling", layer("GlobalMaxPooling2D"), IMAGE),
    LayerCase("global-average-pooling", layer("GlobalAveragePooling2D"), IMAGE),
    LayerCase("max-pooling-1d", layer("MaxPooling1D", 2), (3, 9, 4)),
    LayerCase("max-pooling-3d", layer("MaxPooling3D", 3, 2, "same"), VOLUME),
    LayerCase("average-pooling-3d", layer("AveragePooling3D", 2), VOLUME),
    LayerCase("global-max-pooling-3d", layer("GlobalMaxPooling3D"), VOLUME),
    LayerCase("adaptive-average-pooling", layer("AdaptiveAveragePooling2D", (2, 5)), IMAGE),
    LayerCase("adaptive-max-pooling-3d", layer("AdaptiveMaxPooling3D", 2), VOLUME),
    LayerCase("up-sampling", layer("UpSampling2D", (3, 2)), IMAGE),
    LayerCase("up-sampling-bilinear", layer("UpSampling2D", 2, interpolation="bilinear"), IMAGE),
    LayerCase("up-sampling-3d", layer("UpSampling3D", (2, 1, 3)), (2, 2, 3, 2, 4)),
    LayerCase("zero-padding", layer("ZeroPadding2D", ((1, 0), (0, 2))), IMAGE),
    LayerCase("cropping", layer("Cropping2D", ((1, 0), (0, 2))), IMAGE),
]
