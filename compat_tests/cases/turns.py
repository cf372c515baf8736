"""Threads that come so far, all of them, before any goes on."""

import threading


def in_turns(*works):
    """Run each work(turn) in a thread of its own; `turn()` waits until all have come so far."""
    barrier = threading.Barrier(len(works))
    errors = []

    def run(work):
        try:
            work(lambda: barrier.wait(30))
        except BaseException as error:  # noqa: B036 - told to the thread that waits
            errors.append(error)
            barrier.abort()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for error in errors:
        if not isinstance(error, threading.BrokenBarrierError):
            raise error
    assert not errors and not any(thread.is_alive() for thread in threads)
