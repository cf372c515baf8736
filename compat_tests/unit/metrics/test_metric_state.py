"""Metrics: state, tape, slow oracles, errors."""

import numpy as np
import pytest

import kerasmirror as keras


def test_means_of_batches_are_the_mean_of_all(rng):
    metric, parts = keras.metrics.Mean(), [rng.normal(size=n).astype("float32") for n in (3, 5, 8)]
    for part in parts:
        metric.update_state(part)
    assert float(metric.result()) == pytest.approx(np.concatenate(parts).mean(), rel=1e-6)
    metric.reset_state()
    assert float(metric.result()) == 0


def test_updates_record_nothing_on_a_tape(rng):
    y_pred = keras.ops.convert_to_tensor(rng.normal(size=(4, 3)).astype("float32"))
    y_true = np.zeros((4, 3), "float32")
    with keras.autodiff.GradientTape() as tape:
        tape.watch(y_pred)
        for name in ("MeanSquaredError", "CategoricalCrossentropy", "CosineSimilarity", "Hinge"):
            getattr(keras.metrics, name)().update_state(y_true, y_pred)
        assert tape._records == []


def test_results_do_not_change_with_later_updates():
    metric = keras.metrics.Sum()
    first = metric(np.ones(2, "float32"))
    metric.update_state(np.ones(3, "float32"))
    assert float(first) == 2 and float(metric.result()) == 5


def test_calling_updates_and_gives_the_result():
    assert float(keras.metrics.Accuracy()([1, 2, 3, 4], [0, 2, 3, 4])) == 0.75


def test_metrics_inside_metrics_are_tracked_and_reset():
    class Pair(keras.metrics.Metric):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.parts = [keras.metrics.Mean(name="a"), keras.metrics.Sum(name="b")]
            self.own = self.add_weight(name="own")

        def update_state(self, values):
            for part in self.parts:
                part.update_state(values)
            self.own.assign_add(1)

        def result(self):
            return {"mean": self.parts[0].result(), "sum": self.parts[1].result()}

    metric = Pair()
    metric.update_state(np.ones(3, "float32"))
    assert [v.name for v in metric.variables] == ["own", "total", "count", "total"]
    assert float(metric.result()["sum"]) == 3
    metric.reset_state()
    assert not any(v.numpy().any() for v in metric.variables)


@pytest.mark.parametrize("thresholds", [[0.5], [0.9, 0.1, 0.4], list(np.linspace(0, 1, 11))])
def test_counts_match_the_plain_loop(rng, thresholds):
    y_true = rng.integers(0, 2, 50)
    y_pred, weights = rng.uniform(0, 1, 50).astype("float32"), rng.uniform(0, 2, 50)
    for name, truth, side in (
        ("TruePositives", 1, True),
        ("FalsePositives", 0, True),
        ("TrueNegatives", 0, False),
        ("FalseNegatives", 1, False),
    ):
        metric = getattr(keras.metrics, name)(thresholds=thresholds)
        metric.update_state(y_true, y_pred, weights)
        expected = [
            sum(w for t, p, w in zip(y_true, y_pred, weights, strict=True)
                if t == truth and (p > np.float32(threshold)) == side)
            for threshold in thresholds
        ]  # fmt: skip
        np.testing.assert_allclose(np.atleast_1d(metric.result()), expected, rtol=1e-5)


def test_auc_with_many_thresholds_is_the_share_of_ordered_pairs(rng):
    y_true = rng.integers(0, 2, 200)
    y_pred = rng.uniform(0, 1, 200) * 0.7 + 0.3 * y_true
    metric = keras.metrics.AUC(num_thresholds=20000)
    metric.update_state(y_true, y_pred)
    ones, zeros = y_pred[y_true == 1], y_pred[y_true == 0]
    expected = np.mean(ones[:, None] > zeros[None, :])
    assert float(metric.result()) == pytest.approx(expected, abs=1e-3)


def test_mean_iou_matches_sets(rng):
    y_true, y_pred = rng.integers(0, 3, 60), rng.integers(0, 3, 60)
    metric = keras.metrics.MeanIoU(3)
    metric.update_state(y_true, y_pred)
    shares = [
        np.sum((y_true == c) & (y_pred == c)) / np.sum((y_true == c) | (y_pred == c))
        for c in range(3)
    ]
    assert float(metric.result()) == pytest.approx(np.mean(shares), rel=1e-6)


def test_f1_matches_its_formula(rng):
    y_true = np.eye(3, dtype="float32")[rng.integers(0, 3, 40)]
    y_pred = rng.uniform(0, 1, (40, 3)).astype("float32")
    metric = keras.metrics.F1Score(threshold=0.5)
    metric.update_state(y_true, y_pred)
    chosen = y_pred > 0.5
    tp = (chosen * y_true).sum(0)
    expected = 2 * tp / (chosen.sum(0) + y_true.sum(0))
    np.testing.assert_allclose(metric.result().numpy(), expected, rtol=1e-5)


def test_names_in_snake_case_are_classes_before_functions():
    metrics = keras.metrics
    for name in ("mse", "MSE", "mean_squared_error", "MeanSquaredError"):
        assert isinstance(metrics.get(name), metrics.MeanSquaredError)
    assert isinstance(metrics.get("accuracy"), metrics.Accuracy)
    assert metrics.get(metrics.binary_accuracy) is metrics.binary_accuracy
    assert metrics.get(None) is None
    config = {"class_name": "AUC", "config": {"num_thresholds": 3}}
    assert metrics.get(config).num_thresholds == 3


MISTAKES = {
    "Invalid AUC curve value: \"abc\". It must be one of 'ROC', 'PR', 'PRGAIN'.": (
        lambda m: m.AUC(curve="abc")
    ),
    "Invalid AUC summation method value: \"sum\". It must be one of 'interpolation', 'majoring', "
    "'minoring'.": lambda m: m.AUC(summation_method="sum"),
    "AUC: Argument `num_thresholds` must be an integer > 1. Received: num_thresholds=1": (
        lambda m: m.AUC(num_thresholds=1)
    ),
    "AUC: `num_labels` must be None unless `multi_label` is True. Received: num_labels=3": (
        lambda m: m.AUC(num_labels=3)
    ),
    "Precision: Threshold values must be in [0, 1]. Received: [2]": (
        lambda m: m.Precision(thresholds=[0.5, 2])
    ),
    "PrecisionAtRecall: `recall` must be in the range [0, 1]. Received: recall=-1": (
        lambda m: m.PrecisionAtRecall(-1)
    ),
    "FBetaScore: Invalid `beta` argument value. It should be a Python float. Received: beta=1 of "
    "type '<class 'int'>'": lambda m: m.FBetaScore(beta=1),
    "FBetaScore: Invalid `beta` argument value. It should be > 0. Received: beta=-1.0": (
        lambda m: m.FBetaScore(beta=-1.0)
    ),
    "F1Score: Invalid `average` argument value. Expected one of: {None, 'micro', 'macro', "
    "'weighted'}. Received: average=sum": lambda m: m.F1Score(average="sum"),
    "F1Score: Invalid `threshold` argument value. It should verify 0 < threshold <= 1. Received: "
    "threshold=2.0": lambda m: m.F1Score(threshold=2.0),
    "F1Score expects 2D inputs with shape (batch_size, output_dim). Received input shapes: "
    "y_pred.shape=(3,) and y_true.shape=(3,).": lambda m: m.F1Score()(np.ones(3), np.ones(3)),
    "RecallAtPrecision: Argument `num_thresholds` must be an integer > 0. Received: "
    "num_thresholds=-1": lambda m: m.RecallAtPrecision(0.5, num_thresholds=-1),
    "R2Score: Invalid value for argument `class_aggregation`, it must be one of (None, "
    "'uniform_average', 'variance_weighted_average'). Received: class_aggregation='x'": (
        lambda m: m.R2Score("x")
    ),
    "R2Score: Invalid value for argument `num_regressors`, it must be at least 0. Received: "
    "num_regressors=-1": (lambda m: m.R2Score(num_regressors=-1)),
    "R2Score: `y_true` and `y_pred` must have shape (batch, outputs). Received: "
    "y_true.shape=(3,), y_pred.shape=(3,)": lambda m: m.R2Score()(np.ones(3), np.ones(3)),
    "R2Score.result: there must have been data. Call `update_state` first.": (
        lambda m: m.R2Score().result()
    ),
    "IoU: `target_class_ids` must be below num_classes=2. Received: target_class_ids=[0, 2]": (
        lambda m: m.IoU(2, [0, 2])
    ),
    "metrics: When class_id is provided, y_pred must be a 2D array with shape (num_samples, "
    "num_classes), found shape: (3,)": lambda m: m.Recall(class_id=1)(np.ones(3), np.ones(3)),
    "Mean.stateless_result: `metric_variables` must hold 2 values, one for each variable. "
    "Received: 1 values": lambda m: m.Mean().stateless_result([1.0]),
    "keras.metrics.get: `identifier` must be a name, a config dict, a callable or a metric. "
    "Received: identifier=7": lambda m: m.get(7),
}


@pytest.mark.parametrize("text", MISTAKES)
def test_mistakes_are_named(text):
    with pytest.raises(ValueError) as raised:
        MISTAKES[text](keras.metrics)
    assert str(raised.value) == text


def test_a_constructor_without_super_is_named():
    class Own(keras.metrics.Metric):
        def __init__(self):
            self.add_weight(name="found")

    with pytest.raises(RuntimeError) as raised:
        Own()
    assert str(raised.value) == (
        "Own: call `super().__init__()` in `__init__()`, before adding variables."
    )


@pytest.mark.parametrize("method", ["update_state", "result"])
def test_methods_a_subclass_must_write_are_named(method):
    metric = keras.metrics.Metric()
    with pytest.raises(NotImplementedError) as raised:
        getattr(metric, method)()
    assert str(raised.value) == f"Metric has no `{method}` method."


def test_float_weights_of_counts_warn():
    metric = keras.metrics.MeanIoU(2)
    with pytest.warns(UserWarning, match="the weights are cut to whole numbers by type casting"):
        metric.update_state([0, 1], [0, 1], np.array([0.5, 1.5]))


def test_an_r2_score_with_too_few_values_is_not_adjusted():
    metric = keras.metrics.R2Score(num_regressors=5)
    metric.update_state(np.array([[1.0], [2.0], [4.0]]), np.array([[1.0], [2.0], [3.0]]))
    with pytest.warns(UserWarning, match="more independent predictors than values"):
        score = float(metric.result())
    assert score == pytest.approx(1 - 1 / (14 / 3), rel=1e-5)


def test_binary_accuracy_of_booleans_and_whole_numbers():
    y = np.array([[True], [False], [True], [True]])
    for predicted, expected in ((y, 1.0), (y.astype("int32"), 1.0), (~y, 0.0)):
        metric = keras.metrics.BinaryAccuracy()
        metric.update_state(y, predicted)
        assert float(metric.result()) == expected


def test_the_interpolated_area_of_precision_and_recall_is_the_result():
    metric = keras.metrics.AUC(curve="PR", num_thresholds=5)
    metric.update_state([0, 0, 1, 1], [0.0, 0.5, 0.3, 0.9])
    assert float(metric.interpolate_pr_auc()) == float(metric.result())
    other = keras.metrics.AUC(curve="ROC", num_thresholds=5)
    other.update_state([0, 0, 1, 1], [0.0, 0.5, 0.3, 0.9])
    assert float(other.interpolate_pr_auc()) == float(metric.result()) != float(other.result())
