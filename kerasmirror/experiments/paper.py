"""The paper's 33 networks, their numbers of parameters, and Keras's accuracies as it prints them.

P. Klęsk 2024, tables on Olivetti, MNIST and CIFAR-10. Plain data: the process with real Keras may
load this file by its path.
"""

_MNIST_END = "F();D(128,r);DR(0.125);D(10,sm)"
_CIFAR_END = "F();D(128,r);DR(0.5);D(10,sm)"
_OLIVETTI_END = "F();D(64,r);DR(0.25);D(40,sm)"

NETWORKS = {
    "olivetti": [
        "F();D(8,r);DR(0.25);D(40,sm)",
        _OLIVETTI_END,
        "F();D(64,r);DR(0.25);D(64,r);DR(0.25);D(40,sm)",
        "C(5,8,r);M(4);DR(0.25);" + _OLIVETTI_END,
        "C(9,16,r);M(4);DR(0.25);" + _OLIVETTI_END,
        "C(5,8,r);M(4);DR(0.25);C(3,16,r);M(2);DR(0.25);" + _OLIVETTI_END,
        "C(5,8,r);M(2);DR(0.25);C(3,16,r);M(2);DR(0.25);" + _OLIVETTI_END,
        "C(5,8,r)x2;M(4);DR(0.25);" + _OLIVETTI_END,
        "C(3,8,r)x2;M(4);DR(0.25);" + _OLIVETTI_END,
        "C(5,8,r)x2;M(2);DR(0.25);C(3,16,r)x2;M(2);DR(0.25);" + _OLIVETTI_END,
        "C(5,8,r)x2;M(4);DR(0.25);C(3,32,r)x2;M(2);DR(0.25);" + _OLIVETTI_END,
    ],
    "mnist": [
        "F();D(128,r);DR(0.125);D(128,r);DR(0.125);D(10,sm)",
        "F();D(512,r);DR(0.125);D(512,r);DR(0.125);D(10,sm)",
        "F();D(512,r);DR(0.125);D(512,r);DR(0.125);D(512,r);DR(0.125);D(10,sm)",
        "C(7,64,r);M(2);DR(0.125);" + _MNIST_END,
        "C(7,64,r);M(2);DR(0.125);C(5,128,r);M(2);DR(0.125);" + _MNIST_END,
        "C(5,64,r);M(2);DR(0.125);C(3,128,r);M(2);DR(0.125);" + _MNIST_END,
        "C(5,32,r)x2;M(2);DR(0.125);C(3,64,r)x2;M(2);DR(0.125);" + _MNIST_END,
        "C(3,32,r)x2;M(2);DR(0.125);C(3,64,r)x2;M(2);DR(0.125);C(3,128,r)x2;M(2);DR(0.125);"
        + _MNIST_END,
        "C(5,32,r)x2;M(2);DR(0.125);C(3,64,r)x2;M(2);DR(0.125);C(3,128,r)x2;M(2);DR(0.125);"
        + _MNIST_END,
        "C(5,32,r)x2;M(2);DR(0.125);C(3,64,r)x2;M(2);DR(0.25);C(3,128,r)x2;M(2);DR(0.5);"
        + _CIFAR_END,
    ],
    "cifar": [
        "F();D(512,r);DR(0.25);D(512,r);DR(0.25);D(512,r);DR(0.25);D(10,sm)",
        "F();D(512,r);DR(0.125);D(512,r);DR(0.125);D(512,r);DR(0.125);D(10,sm)",
        "C(3,32,r);M(2);DR(0.125);" + _MNIST_END,
        "C(3,32,r);M(2);DR(0.125);F();D(128,r);DR(0.25);D(10,sm)",
        "C(7,32,r);M(2);DR(0.125);" + _MNIST_END,
        "C(7,32,r);M(2);DR(0.125);C(5,64,r);M(2);DR(0.125);" + _MNIST_END,
        "C(3,32,r);C(5,16,r);M(2);DR(0.125);F();D(128,r);DR(0.25);D(10,sm)",
        "C(7,32,r);C(5,32,r);M(2);DR(0.125);C(3,64,r)x2;M(2);DR(0.25);" + _CIFAR_END,
        "C(3,32,r)x2;M(2);DR(0.125);C(3,64,r)x2;M(2);DR(0.125);" + _MNIST_END,
        "C(3,32,r)x2;M(2);DR(0.125);C(3,64,r)x2;M(2);DR(0.25);" + _CIFAR_END,
        "C(3,32,r)x2;M(2);DR(0.125);C(3,64,r)x2;M(2);DR(0.125);C(3,128,r)x2;M(2);DR(0.125);"
        + _MNIST_END,
        "C(3,32,r)x2;M(2);DR(0.125);C(3,64,r)x2;M(2);DR(0.25);C(3,128,r)x2;M(2);DR(0.5);"
        + _CIFAR_END,
    ],
}
# As the paper prints them: a check that the strings are read as they are meant.
PARAMETERS = {
    "olivetti": [
        33136, 264808, 268968, 133944, 266120, 69576, 266184, 135552, 134400, 270112, 147136,
    ],
    "mnist": [
        118282, 669706, 932362, 1610250, 1012362, 879754, 484714, 435306, 452202, 452202,
    ],
    "cifar": [
        2103818, 2103818, 1050890, 1050890, 1054730, 581706, 539418, 611498, 591274, 591274,
        550570, 550570,
    ],
}  # fmt: skip
# Test accuracies of Keras in the paper.
KERAS_ACCURACY = {
    "olivetti": [
        0.6908, 0.9550, 0.9475, 0.9608, 0.9575, 0.9617, 0.9442, 0.9683, 0.9708, 0.9433, 0.9558,
    ],
    "mnist": [
        0.9816, 0.9840, 0.9841, 0.9869, 0.9946, 0.9935, 0.9942, 0.9955, 0.9952, 0.9954,
    ],
    "cifar": [
        0.5681, 0.5595, 0.6450, 0.6406, 0.6578, 0.7197, 0.6624, 0.7774, 0.7656, 0.7938,
        0.8172, 0.8441,
    ],
}  # fmt: skip
DATA = {"olivetti": "olivetti", "mnist": "mnist", "cifar": "cifar10"}
BATCH_SIZES = {"olivetti": 28, "mnist": 128, "cifar": 128}
EPOCHS = {"olivetti": 100, "mnist": 5, "cifar": 5}
ROWS = [f"{table}:{i + 1}" for table, rows in NETWORKS.items() for i in range(len(rows))]


def structure(row):
    """The structure of a row ("cifar:12"). Raises: ValueError for a row that is not there."""
    if row not in ROWS:
        raise ValueError(
            f"paper: `row` must be one of {ROWS[0]} to {ROWS[-1]}. Received: row={row!r}"
        )
    table, number = row.split(":")
    return NETWORKS[table][int(number) - 1]


def experiment_of(row):
    """What an experiment on a row is made of: structure, data, batch size and epochs."""
    table = row.split(":")[0]
    return {
        "structure": structure(row),
        "data": DATA[table],
        "batch_size": BATCH_SIZES[table],
        "epochs": EPOCHS[table],
    }
