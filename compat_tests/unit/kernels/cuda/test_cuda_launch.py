import threading

import numpy as np
import pytest

from kerasmirror.kernels.cuda import activation, device, launch, memory
from kerasmirror.kernels.cuda.indices import grid_index
from kerasmirror.kernels.cuda.kernel import KERNELS, kernel


@kernel("f8* f4 f8 i4 i8 u4 u8")
def _noted(y, a, b, c, d, e, f):
    if grid_index() == 0:
        y[0] = a
        y[1] = b
        y[2] = c
        y[3] = d
        y[4] = e
        y[5] = f


KERNELS.remove(_noted)


def noted(*numbers):
    y = memory.zeros((6,), "float64")
    launch.launch(_noted, 1, y, *numbers)
    return y.to_host().tolist()


def test_numbers_of_every_kind_arrive():
    numbers = (1.5, 1e300, -(2**31), -(2**40), 2**32 - 1, 2**52)
    assert noted(*numbers) == list(map(float, numbers))


def test_numpys_numbers_arrive_too():
    found = noted(
        np.float32(0.1), np.float64(0.1), np.int32(-3), np.int64(-4), np.uint32(5), np.uint64(6)
    )
    assert found == [float(np.float32(0.1)), 0.1, -3, -4, 5, 6]
    assert noted(True, 1, False, 2, 3, 4) == [1, 1, 0, 2, 3, 4]


@pytest.mark.parametrize("value", [3.5e38, 1e300, -1e300, np.inf, -np.inf])
def test_what_float32_has_no_number_for_is_infinite_as_on_the_cpu(value):
    with np.errstate(over="ignore"):
        expected = float(np.float32(value))
    assert noted(value, value, 0, 0, 0, 0)[:2] == [expected, value]


def test_the_largest_float32_stays_finite():
    largest = float(np.finfo("float32").max)
    assert noted(largest, 0, 0, 0, 0, 0)[0] == largest
    assert noted(np.nextafter(largest, np.inf), 0, 0, 0, 0, 0)[0] == largest


def test_a_size_of_2_to_the_31_is_an_error():
    with pytest.raises(ValueError) as raised:
        noted(1.0, 1.0, 2**31, 0, 0, 0)
    assert str(raised.value) == (
        "kerasmirror: arrays on a GPU must have fewer than 2**31 elements. "
        "Received: [2147483648] for the kernel noted"
    )


@pytest.mark.parametrize("blocks", [3, np.int64(3), (3,), (3, 1), (3, 1, 1), (np.int32(3), 1)])
def test_blocks_are_a_number_or_up_to_three(blocks):
    x = memory.to_device(np.arange(-300, 300, dtype="float32"))
    y = memory.empty(x.shape)
    launch.launch(activation._relu, blocks, x, y, x.size)
    assert y.to_host().sum() == np.arange(300).sum()


@pytest.mark.parametrize("blocks", [0, (0, 5), (3, 0, 1)])
def test_no_blocks_are_no_launch(blocks):
    y = memory.zeros((4,))
    launch.launch(activation._relu, blocks, y, y, 4)
    assert y.to_host().tolist() == [0] * 4


@pytest.mark.parametrize("blocks", [(1, 65536), (1, 1, 65536), 2**31])
def test_a_grid_that_a_gpu_does_not_take_is_refused(blocks):
    y = memory.zeros((4,))
    with pytest.raises(RuntimeError) as raised:
        launch.launch(activation._relu, blocks, y, y, 4)
    x, y, z = (*blocks, 1, 1)[:3] if isinstance(blocks, tuple) else (blocks, 1, 1)
    assert str(raised.value) == (
        f"kerasmirror: the GPU failed at launching _relu on ({x}, {y}, {z}) blocks "
        "(CUDA_ERROR_INVALID_VALUE: CUDA_ERROR_INVALID_VALUE)."
    )


def test_types_without_a_kernel_are_an_error_that_says_where_to_compute():
    x = memory.to_device(np.zeros(4, "int16"))
    with pytest.raises(NotImplementedError) as raised:
        launch.launch(activation._relu, 1, x, x, 4)
    assert str(raised.value) == (
        "kerasmirror: relu has no CUDA kernel for arrays of int16, int16. Run it on the CPU: "
        'with keras.device("cpu:0"): ..., on tensors made there '
        "(`keras.ops.convert_to_numpy` brings them)."
    )


def test_threads_launch_at_once_without_mixing_arguments():
    wrong = []

    def work(value):
        for _ in range(20):
            y = memory.zeros((6,), "float64")
            launch.launch(_noted, 1, y, *[value] * 6)
            if y.to_host().tolist() != [value] * 6:
                wrong.append(value)

    threads = [threading.Thread(target=work, args=(value,)) for value in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_kernel_is_loaded_once_for_each_device():
    x = memory.to_device(np.zeros(4, "float32"))
    activation.relu(x)
    on = device.current()
    loaded = activation._relu.loaded["f4", "f4"]
    activation._relu.loaded.clear()  # as if another device's had taken its place
    activation.relu(x)
    assert (
        activation._relu.loaded["f4", "f4"] is loaded is on.loaded[activation._relu, ("f4", "f4")]
    )
