"""Claims on kernels, noting what would be compiled, and processes that compile ahead."""

import gc
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from cases import paper

import kerasmirror as keras
from kerasmirror.commands import ahead, warm
from kerasmirror.kernels import for_device, helpers

launch = for_device("cpu").launch


def test_a_kernel_has_one_claim_at_a_time(tmp_path):
    with helpers.claimed(tmp_path, "gemm", wait=False) as mine:
        assert mine
        with helpers.claimed(tmp_path, "gemm", wait=False) as again:
            assert not again
        with helpers.claimed(tmp_path, "pool", wait=False) as other:
            assert other
    assert list(tmp_path.iterdir()) == []
    with helpers.claimed(tmp_path, "gemm", wait=False) as mine:
        assert mine


def test_a_claim_is_waited_for(tmp_path):
    order = []

    def wait():
        with helpers.claimed(tmp_path, "gemm") as mine:
            order.append(("waited", mine))

    with helpers.claimed(tmp_path, "gemm"):
        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.05)
        order.append("done")
    thread.join()
    assert order == ["done", ("waited", False)]


@pytest.mark.skipif(os.name == "nt", reason="needs to ask whether a process runs")
def test_the_claim_of_a_process_that_has_ended_counts_for_nothing(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / "gemm.claim").write_text(str(ended.pid))
    with helpers.claimed(tmp_path, "gemm", wait=False) as mine:
        assert mine
    assert list(tmp_path.iterdir()) == []


def test_an_old_claim_counts_for_nothing(tmp_path):
    path = tmp_path / "gemm.claim"
    path.write_text(str(os.getpid()))
    os.utime(path, (time.time() - 60, time.time() - 60))
    with helpers.claimed(tmp_path, "gemm", wait=False) as mine:
        assert mine


def test_a_folder_that_cannot_be_written_is_claimed_at_once(tmp_path):
    with helpers.claimed(tmp_path / "none", "gemm") as mine:
        assert mine


def small_model():
    conv = keras.layers.Conv2D(8, 3, padding="same", activation="relu")
    output = keras.layers.Dense(4, activation="softmax")
    stack = [keras.layers.Input((8, 8, 2)), conv, keras.layers.MaxPooling2D(2)]
    model = keras.Sequential([*stack, keras.layers.Flatten(), output])
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def names(notes):
    return {kernel.routine(args)[0].name for kernel, args in notes}


def step(model):
    model.train_on_batch(np.zeros((4, 8, 8, 2), np.float32), np.zeros(4, np.int64))


@pytest.fixture
def nothing_is_loaded(monkeypatch):
    """As in a new process: what a kernel was already used for is compiled or loaded again."""
    gc.unfreeze()  # what conftest has frozen is not among the objects
    for each in gc.get_objects():
        if type(each) is launch.Kernel:
            monkeypatch.setattr(each, "entries", {})


@pytest.mark.usefixtures("nothing_is_loaded")
def test_what_is_noted_is_what_a_step_launches(monkeypatch):
    noted = ahead.notes_of(lambda: step(small_model()))
    launched = []
    compile_or_load = launch.Kernel.compile

    def note(kernel, key, args):
        launched.append((kernel, args))
        return compile_or_load(kernel, key, args)

    monkeypatch.setattr(launch.Kernel, "compile", note)
    step(small_model())
    assert launched and names(launched) == names(noted)


def test_nothing_runs_while_noting():
    x = np.ones(8, np.float32)
    before = launch._here, launch._shared, launch.Kernel.compile
    noted = ahead.notes_of(lambda: keras.ops.relu(keras.ops.convert_to_tensor(x)))
    assert len(noted) <= 1 and np.array_equal(x, np.ones(8))
    assert (launch._here, launch._shared, launch.Kernel.compile) == before
    y = keras.ops.multiply(keras.ops.relu(keras.ops.convert_to_tensor(x)), 2.0)
    np.testing.assert_array_equal(y, np.full(8, 2.0))


def test_a_model_that_no_other_process_knows_is_noted_as_nothing():
    assert ahead._notes_of_model('{"model": {"class_name": "Mine"}}') == []
    assert ahead._notes_of_model("no JSON") == []


def train_rows(rows):
    for row in rows:
        batch = 28 if row.startswith("olivetti") else 128
        model = paper.build_row(keras, row)
        x = np.zeros((batch, *paper.INPUT_SHAPES[row.split(":")[0]]), np.float32)
        y = np.zeros(batch, np.int64)
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(x, y, batch_size=batch, verbose=0)
        model.evaluate(x, y, batch_size=batch, verbose=0)
        model.predict(x, batch_size=batch, verbose=0)
        model.predict(x[:1], verbose=0)


@pytest.mark.usefixtures("nothing_is_loaded")
def test_warm_compiles_all_that_the_papers_networks_need():
    have = names(warm.notes_of(warm.SUBJECTS))
    need = names(ahead.notes_of(lambda: train_rows(paper.ROWS)))
    assert len(need) > 20 and sorted(need - have) == []


TRAIN = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
import kerasmirror as keras
from kerasmirror.kernels import helpers
keras.utils.set_random_seed(1)
x = np.random.default_rng(1).random((256, 32), dtype=np.float32)
y = np.arange(256) % 4
hidden = keras.layers.Dense(64, "relu")
model = keras.Sequential([keras.layers.Input((32,)), hidden, keras.layers.Dense(4, "softmax")])
model.compile("adam", "sparse_categorical_crossentropy")
losses = model.fit(x, y, batch_size=64, epochs=2, verbose=0).history["loss"]
print([loss.hex() for loss in losses], [helper.pid for helper in helpers._helpers])
"""


def train(cache, count):
    package = os.path.dirname(os.path.dirname(os.path.abspath(keras.__file__)))
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, package],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "KERASMIRROR_CACHE_DIR": str(cache),
            "KERASMIRROR_COMPILE_HELPERS": str(count),
            "KERASMIRROR_SHIPPED_KERNELS": "0",
        },
        timeout=120,
    )
    assert done.returncode == 0 and done.stderr == ""
    losses, _, helpers_there = done.stdout.rpartition(" [")
    return losses, [int(pid) for pid in helpers_there.strip(" ]\n").split(",") if pid]


@pytest.mark.skipif(os.name == "nt", reason="needs to ask whether a process runs")
def test_helpers_change_nothing_and_end_with_the_program(tmp_path):
    losses, processes = train(tmp_path / "one", 2)
    assert len(processes) == 2
    for process in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)
    again, processes = train(tmp_path / "one", 2)
    assert processes == [] and again == losses  # nothing was missing any more
    alone, processes = train(tmp_path / "two", 0)
    assert processes == [] and alone == losses


def test_there_are_no_helpers_where_python_is_another_program(monkeypatch):
    monkeypatch.delenv("KERASMIRROR_COMPILE_HELPERS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)
    assert helpers._count() == 1
    monkeypatch.setattr(sys, "executable", "/opt/tool/app")
    assert helpers._count() == 0
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert helpers._count() == 0


def test_a_child_process_leaves_the_helpers_to_its_parent(monkeypatch):
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    monkeypatch.setattr(helpers, "_helpers", [process])
    monkeypatch.setattr(helpers, "_started", False)
    helpers._none_after_fork()
    assert helpers._helpers == [] and helpers._started
    assert process.poll() is None
    process.communicate(b"\n")
