"""Concurrent calls for tests, each in a thread with its own application context."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from caseapp.core.clock import at, now


def run_concurrently(app, times, call):
    """Run `call(number)` in `times` threads at the same moment; return results and exceptions in order."""
    barrier, moment = Barrier(times), now()

    def one(number):
        with app.app_context(), at(moment):
            barrier.wait(timeout=60)
            try:
                return call(number)
            except Exception as fault:  # noqa: BLE001 - the caller checks the results
                return fault

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(one, range(times)))
