"""keras.metrics against Keras on TensorFlow: results and state over several batches."""

import warnings

import numpy as np
import pytest
from side_by_side import real_keras

import kerasmirror

pytestmark = pytest.mark.keras

RNG = np.random.default_rng(5)
N, K = 9, 4


def one_hot(n=N):
    return np.eye(K, dtype="float32")[RNG.integers(0, K, n)]


def normal(*shape):
    return RNG.standard_normal(shape).astype("float32")


def scores(*shape):
    return RNG.uniform(0, 1, shape).astype("float32")


def bits(*shape):
    return RNG.integers(0, 2, shape).astype("float32")


def probabilities(n=N):
    p = RNG.uniform(0.05, 1, (n, K))
    return (p / p.sum(-1, keepdims=True)).astype("float32")


def classes(*shape):
    return RNG.integers(0, K, shape)


def numbers():
    return normal(N, K), normal(N, K)


def binary(*shape):
    return lambda: (bits(*(shape or (N,))), scores(*(shape or (N,))))


def of_classes():
    return one_hot(), probabilities()


def sparse():
    return classes(N), probabilities()


# class, options, batch
CASES = {
    "mean": ("Mean", {}, lambda: (normal(N),)),
    "mean-scalar": ("Mean", {}, lambda: (np.float32(RNG.normal()),)),
    "mean-rank-3": ("Mean", {}, lambda: (normal(N, 3, 2),)),
    "sum": ("Sum", {}, lambda: (normal(N, 3),)),
    "accuracy": ("Accuracy", {}, lambda: (classes(N), classes(N))),
    "accuracy-column": ("Accuracy", {}, lambda: (classes(N, 1), classes(N))),
    "binary-accuracy": ("BinaryAccuracy", {}, binary(N, 1)),
    "binary-accuracy-threshold": ("BinaryAccuracy", {"threshold": 0.8}, binary(N, 3)),
    "categorical-accuracy": ("CategoricalAccuracy", {}, of_classes),
    "sparse-accuracy": ("SparseCategoricalAccuracy", {}, sparse),
    "sparse-accuracy-column": (
        "SparseCategoricalAccuracy",
        {},
        lambda: (classes(N, 1), probabilities()),
    ),
    "sparse-accuracy-steps": (
        "SparseCategoricalAccuracy",
        {},
        lambda: (classes(N, 3), normal(N, 3, K)),
    ),
    "top-k": ("TopKCategoricalAccuracy", {"k": 2}, of_classes),
    "top-k-ties": ("TopKCategoricalAccuracy", {"k": 2}, lambda: (one_hot(), bits(N, K))),
    "sparse-top-k": ("SparseTopKCategoricalAccuracy", {"k": 2}, sparse),
    "sparse-top-k-steps": (
        "SparseTopKCategoricalAccuracy",
        {"k": 2},
        lambda: (classes(N, 3), normal(N, 3, K)),
    ),
    "sparse-top-k-sorted": (
        "SparseTopKCategoricalAccuracy",
        {"k": 2, "from_sorted_ids": True},
        lambda: (classes(N), np.argsort(-probabilities(), -1)),
    ),
    "mse": ("MeanSquaredError", {}, numbers),
    "rmse": ("RootMeanSquaredError", {}, numbers),
    "mae": ("MeanAbsoluteError", {}, numbers),
    "mape": ("MeanAbsolutePercentageError", {}, numbers),
    "msle": ("MeanSquaredLogarithmicError", {}, binary(N, K)),
    "cosine": ("CosineSimilarity", {}, numbers),
    "log-cosh": ("LogCoshError", {}, numbers),
    "r2": ("R2Score", {}, numbers),
    "r2-weighted": ("R2Score", {"class_aggregation": "variance_weighted_average"}, numbers),
    "r2-each": ("R2Score", {"class_aggregation": None}, numbers),
    "r2-adjusted": ("R2Score", {"num_regressors": 5}, numbers),
    "kl": ("KLDivergence", {}, of_classes),
    "poisson": ("Poisson", {}, binary(N, K)),
    "bce": ("BinaryCrossentropy", {"label_smoothing": 0.1}, binary(N, K)),
    "cce": ("CategoricalCrossentropy", {"from_logits": True}, numbers),
    "scce": ("SparseCategoricalCrossentropy", {}, sparse),
    "scce-ignore": ("SparseCategoricalCrossentropy", {"ignore_class": 1}, sparse),
    "hinge": ("Hinge", {}, lambda: (bits(N, K), normal(N, K))),
    "squared-hinge": ("SquaredHinge", {}, lambda: (bits(N, K), normal(N, K))),
    "categorical-hinge": ("CategoricalHinge", {}, lambda: (one_hot(), normal(N, K))),
    "true-positives": ("TruePositives", {}, binary()),
    "true-negatives": ("TrueNegatives", {"thresholds": [0.7, 0.2]}, binary(N, 3)),
    "false-positives": ("FalsePositives", {"thresholds": 0.3}, binary()),
    "false-negatives": ("FalseNegatives", {"thresholds": [0.0, 0.5, 1.0]}, binary()),
    "precision": ("Precision", {}, binary()),
    "precision-list": ("Precision", {"thresholds": [0.9, 0.1, 0.5]}, binary(N, 1)),
    "precision-top-k": ("Precision", {"top_k": 2}, of_classes),
    "precision-class": ("Precision", {"class_id": 1, "thresholds": 0.2}, of_classes),
    "recall": ("Recall", {}, binary()),
    "recall-top-k-class": ("Recall", {"top_k": 2, "class_id": 2}, of_classes),
    "sensitivity": ("SensitivityAtSpecificity", {"specificity": 0.5}, binary()),
    "specificity": ("SpecificityAtSensitivity", {"sensitivity": 0.6}, binary()),
    "precision-at": ("PrecisionAtRecall", {"recall": 0.5, "num_thresholds": 20}, binary()),
    "recall-at": ("RecallAtPrecision", {"precision": 0.5, "num_thresholds": 1}, binary()),
    "recall-at-class": ("RecallAtPrecision", {"precision": 0.3, "class_id": 1}, of_classes),
    "auc": ("AUC", {}, binary()),
    "auc-0-and-1": ("AUC", {"num_thresholds": 5}, lambda: (bits(N), bits(N))),
    "auc-minoring": ("AUC", {"summation_method": "minoring"}, binary()),
    "auc-majoring": ("AUC", {"summation_method": "majoring", "curve": "PR"}, binary()),
    "auc-pr": ("AUC", {"curve": "PR", "num_thresholds": 13}, binary()),
    "auc-prgain": ("AUC", {"curve": "PRGAIN"}, binary()),
    "auc-logits": ("AUC", {"from_logits": True}, lambda: (bits(N), normal(N))),
    "auc-thresholds": ("AUC", {"thresholds": [0.2, 0.7, 0.4]}, binary()),
    "auc-multi-label": ("AUC", {"multi_label": True}, binary(N, 3)),
    "auc-multi-label-weights": (
        "AUC",
        {"multi_label": True, "num_labels": 3, "label_weights": [0.2, 0.5, 1.0], "curve": "PR"},
        binary(N, 3),
    ),
    "auc-label-weights": ("AUC", {"label_weights": [0.2, 0.5, 1.0]}, binary(N, 3)),
    "f1": ("F1Score", {}, of_classes),
    "f1-micro": ("F1Score", {"average": "micro", "threshold": 0.3}, of_classes),
    "f-beta": ("FBetaScore", {"average": "weighted", "beta": 2.0}, of_classes),
    "f-beta-macro": ("FBetaScore", {"average": "macro", "beta": 0.5}, of_classes),
    "iou-ignore": (
        "IoU",
        {"num_classes": K, "target_class_ids": [1], "ignore_class": 0},
        lambda: (classes(N, 2), classes(N, 2) + 1),
    ),
    "binary-iou": ("BinaryIoU", {"threshold": 0.4}, binary(N, 3)),
    "mean-iou": ("MeanIoU", {"num_classes": K}, lambda: (classes(N), classes(N))),
    "one-hot-iou": ("OneHotIoU", {"num_classes": K, "target_class_ids": [0, 1]}, of_classes),
    "one-hot-mean-iou": ("OneHotMeanIoU", {"num_classes": K}, of_classes),
    "pearson": ("PearsonCorrelation", {}, numbers),
    "concordance": ("ConcordanceCorrelation", {}, numbers),
}
CASES["iou"] = (
    "IoU",
    {"num_classes": K, "target_class_ids": [0, 2]},
    lambda: (classes(N), classes(N)),
)


def build(keras, name, options):
    keras.utils.clear_session()
    return getattr(keras.metrics, name)(**options)


def both(name, options):
    keras, _ = real_keras()
    return build(keras, name, options), build(kerasmirror, name, options)


def assert_same(theirs, ours, rtol=3e-6):
    expected, actual = np.asarray(theirs.result()), np.asarray(ours.result())
    assert actual.dtype == expected.dtype and actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol)
    described = [[(v.path, str(v.dtype)) for v in side.variables] for side in (theirs, ours)]
    assert described[0] == described[1]
    for e, a in zip(theirs.variables, ours.variables, strict=True):
        np.testing.assert_allclose(a.numpy(), e.numpy(), rtol=rtol, atol=rtol, err_msg=e.path)


WEIGHTED = ("none", "each", "zero")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("weights", WEIGHTED)
def test_results_over_batches_are_those_of_keras(case, weights):
    name, options, batch = CASES[case]
    theirs, ours = both(name, options)
    shape = () if case == "mean-scalar" else (N,)
    if case in ("iou-ignore", "binary-iou"):
        shape = batch()[0].shape
    for step in range(3):
        data = batch()
        weight = None
        if weights != "none":
            weight = RNG.uniform(0.5, 2, shape).astype("float32") * (weights == "each")
            if "IoU" in name:
                weight = np.round(weight).astype("int64")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs.update_state(*data, sample_weight=weight)
        ours.update_state(*data, sample_weight=weight)
        if step != 1 and not (weights == "zero" and "R2" in name):
            assert_same(theirs, ours)
    theirs.reset_state()
    ours.reset_state()
    for e, a in zip(theirs.variables, ours.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), e.numpy())


@pytest.mark.parametrize("shape", [(N, 1), (N, 3), (1,), ()])
def test_weights_of_many_shapes_count_as_in_keras(shape):
    theirs, ours = both("MeanSquaredError", {})
    data = normal(N, 3, K), normal(N, 3, K)
    weight = np.asarray(scores(*shape))
    outcomes = []
    for metric in (theirs, ours):
        try:
            metric.update_state(*data, sample_weight=weight)
            outcomes.append(float(metric.result()))
        except Exception as error:
            outcomes.append(isinstance(error, Exception))
    assert outcomes[1] == pytest.approx(outcomes[0], rel=1e-6)


@pytest.mark.parametrize("name", ["MeanSquaredError", "SparseCategoricalAccuracy", "Mean"])
@pytest.mark.parametrize("weighted", [False, True])
def test_masks_leave_samples_out_as_in_keras(name, weighted):
    keras, _ = real_keras()
    theirs, ours = both(name, {})
    mask = RNG.integers(0, 2, (N, 3)).astype(bool)
    y_true = classes(N, 3) if "Sparse" in name else normal(N, 3, K)
    y_pred = normal(N, 3) if name == "Mean" else normal(N, 3, K)
    weight = scores(N, 3) if weighted or name == "Mean" else None
    for metric, module in ((theirs, keras), (ours, kerasmirror)):
        values = module.ops.convert_to_tensor(y_pred)
        if module is keras:
            values._keras_mask = keras.ops.convert_to_tensor(mask)
        else:
            values.mask = mask
        arguments = (values,) if name == "Mean" else (y_true, values)
        metric.update_state(*arguments, sample_weight=weight)
    assert_same(theirs, ours)


@pytest.mark.parametrize("case", CASES)
def test_configs_are_read_by_either_side(case):
    keras, _ = real_keras()
    name, options, batch = CASES[case]
    theirs, ours = both(name, options)
    config = theirs.get_config()
    own = ours.get_config()
    assert {key for key in config if key not in own} == set()
    for key, value in config.items():
        if key not in ("dtype", "label_weights"):
            assert own[key] == value, key
    read = keras.saving.deserialize_keras_object(kerasmirror.metrics.serialize(ours))
    rebuilt = kerasmirror.metrics.deserialize(kerasmirror.metrics.serialize(ours))
    data = batch()
    for metric in (ours, read, rebuilt):
        metric.update_state(*data)
    assert_same(read, ours)
    assert_same(read, rebuilt)


@pytest.mark.parametrize("case", ["mean", "mse", "auc", "sparse-accuracy", "precision-list"])
def test_functions_of_the_state_are_those_of_keras(case):
    name, options, batch = CASES[case]
    sides = both(name, options)
    data = batch()
    results = []
    for metric in sides:
        state = metric.stateless_reset_state()
        state = metric.stateless_update_state(state, *data)
        state = metric.stateless_update_state(state, *data)
        results.append(np.asarray(metric.stateless_result(state)))
        assert all(not v.numpy().any() for v in metric.variables)
    np.testing.assert_allclose(results[1], results[0], rtol=1e-6)


def test_a_metric_written_by_the_user_works_as_in_keras():
    keras, _ = real_keras()
    results = []
    y_true, y_pred = bits(N), scores(N)
    for module in (keras, kerasmirror):

        class Positives(module.metrics.Metric):
            ops = module.ops

            def __init__(self, inner, name="positives", **kwargs):
                super().__init__(name=name, **kwargs)
                self.found = self.add_weight(name="found", initializer="zeros")
                self.inner = inner

            def update_state(self, y_true, y_pred, sample_weight=None):
                y_true = self.ops.cast(y_true, "bool")
                y_pred = self.ops.cast(self.ops.convert_to_tensor(y_pred) > 0.5, "bool")
                both = self.ops.logical_and(y_true, y_pred)
                self.found.assign(self.found + self.ops.sum(self.ops.cast(both, "float32")))
                self.inner.update_state(self.ops.cast(both, "float32"))

            def result(self):
                return self.found.value + self.inner.result()

        metric = Positives(module.metrics.Mean())
        metric(y_true, y_pred)
        results.append(float(metric(y_true, y_pred)))
        results.append([v.path for v in metric.variables])
    assert results[0] == pytest.approx(results[2]) and results[1] == results[3]


FUNCTIONS = {
    "binary_accuracy": binary(N, 1),
    "categorical_accuracy": of_classes,
    "sparse_categorical_accuracy": sparse,
    "top_k_categorical_accuracy": lambda: (one_hot(), probabilities(), 2),
    "sparse_top_k_categorical_accuracy": lambda: (classes(N), probabilities(), 2),
    "mean_squared_error": numbers,
    "pearson_correlation": numbers,
    "concordance_correlation": numbers,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_forms_are_those_of_keras(name):
    keras, _ = real_keras()
    data = FUNCTIONS[name]()
    expected = np.asarray(getattr(keras.metrics, name)(*data))
    actual = np.asarray(getattr(kerasmirror.metrics, name)(*data))
    assert actual.dtype == expected.dtype
    np.testing.assert_allclose(actual, expected, rtol=2e-6, atol=2e-6)


NAMES = (
    "accuracy Accuracy mse MSE mae bce mape msle auc AUC mean MeanIoU sparse_categorical_accuracy "
    "BinaryAccuracy binary_accuracy r2_score top_k_categorical_accuracy cosine_similarity "
    "categorical_crossentropy kl_divergence f1_score precision Recall"
).split()


@pytest.mark.parametrize("name", NAMES)
def test_get_finds_what_keras_finds(name):
    keras, _ = real_keras()
    outcomes = []
    for module in (keras, kerasmirror):
        try:
            outcomes.append(type(module.metrics.get(name)).__name__)
        except (TypeError, ValueError) as error:
            outcomes.append(type(error).__name__)
    assert outcomes[0] == outcomes[1]


def test_all_public_names_are_there():
    keras, _ = real_keras()
    names = {name for name in dir(keras.metrics) if not name.startswith("_")}
    assert {name for name in names if not hasattr(kerasmirror.metrics, name)} == set()
