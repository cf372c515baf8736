import numpy as np
import pytest

from kerasmirror.kernels.cpu import threads


@pytest.fixture
def same_on_any_threads():
    """Runs a function with one thread and with several, and wants the same bytes from both."""

    def check(run):
        if threads.most() < 2:
            pytest.skip("needs two cores")
        before = threads.thread_count()
        results = []
        try:
            for count in (1, 2):
                threads.set_threads(count)
                result = run()
                arrays = result if isinstance(result, (tuple, list)) else [result]
                results.append([np.asarray(a).tobytes() for a in arrays])
        finally:
            threads.set_threads(before)
        assert results[0] == results[1]

    return check
