"""Metrics on a GPU, the emulated one where there is no other, against the CPU."""

import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror.core import device as devices

metrics = keras.metrics

_RNG = np.random.default_rng(0)
LABELS = np.array([0, 2, 1, 1, 0, 2])
CLASSES = np.eye(3, dtype="float32")[LABELS]
SCORES = _RNG.random((6, 3)).astype("float32")
SIGNS = np.array([0, 1, 1, 0, 1, 0], "float32")
CHANCES = _RNG.random(6).astype("float32")
WEIGHTS = np.linspace(0.25, 1.5, 6).astype("float32")

CASES = {
    "auc": (lambda: metrics.AUC(), SIGNS, CHANCES),
    "auc_of_labels": (
        lambda: metrics.AUC(multi_label=True, num_labels=3, label_weights=[0.5, 1.0, 2.0]),
        CLASSES,
        SCORES,
    ),
    "interpolated_pr": (lambda: metrics.AUC(curve="PR", from_logits=True), SIGNS, CHANCES),
    "precision": (lambda: metrics.Precision(top_k=2), CLASSES, SCORES),
    "recall": (lambda: metrics.Recall(class_id=1), CLASSES, SCORES),
    "false_negatives": (lambda: metrics.FalseNegatives([0.2, 0.7]), SIGNS, CHANCES),
    "precision_at_recall": (lambda: metrics.PrecisionAtRecall(0.5), SIGNS, CHANCES),
    "f1": (lambda: metrics.F1Score(average="weighted"), CLASSES, SCORES),
    "binary_iou": (lambda: metrics.BinaryIoU(dtype="float32"), SIGNS, CHANCES),
    "one_hot_iou": (lambda: metrics.OneHotMeanIoU(3, dtype="float32"), CLASSES, SCORES),
    "r2": (lambda: metrics.R2Score(), CLASSES, SCORES),
}


@pytest.fixture(autouse=True)
def _gpu(some_gpu):
    yield
    devices.GPU.used = False  # the other tests of this process go on as if there were none


def result_on(device, make, y_true, y_pred):
    with keras.device(device):
        metric, tensor = make(), keras.ops.convert_to_tensor
        metric.update_state(tensor(y_true), tensor(y_pred), sample_weight=tensor(WEIGHTS))
        metric.update_state(y_true, tensor(y_pred))
        values = [keras.ops.convert_to_numpy(metric.result())]
        metric.reset_state()
        return [*values, *(variable.numpy() for variable in metric.variables)]


@pytest.mark.parametrize("name", CASES)
def test_what_numpy_counts_is_counted_on_the_host(name):
    found, expected = result_on("gpu:0", *CASES[name]), result_on("cpu:0", *CASES[name])
    assert np.all(np.isfinite(expected[0]))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_a_model_is_trained_and_evaluated_with_them():
    def run(device):
        keras.utils.set_random_seed(1)
        with keras.device(device):
            model = keras.Sequential(
                [keras.Input((3,)), keras.layers.Dense(1, activation="sigmoid")]
            )
            model.compile("sgd", "binary_crossentropy", metrics=["AUC", "Precision", "Recall"])
            history = model.fit(SCORES, SIGNS, batch_size=2, epochs=3, verbose=0).history
            return [*history.values(), model.evaluate(SCORES, SIGNS, verbose=0)]

    for ours, theirs in zip(run("gpu:0"), run("cpu:0"), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)
