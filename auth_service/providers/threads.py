"""Threads for work that may wait a little: whatever answers calls goes first."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial


def threads_that_step_back(name: str, *, at_most: int, niceness: int) -> ThreadPoolExecutor:
    """Up to `at_most` of this name. On Linux a priority is one thread's own; elsewhere they have everybody's."""
    return ThreadPoolExecutor(at_most, thread_name_prefix=name, initializer=partial(_step_back, niceness))


def _step_back(niceness: int) -> None:
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
