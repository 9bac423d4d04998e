"""What one call takes, for the tables that compare costs."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch


def seconds(call: Callable[[], object], device: str | torch.device = "cpu") -> float:
    """Of one call: a GPU's queue included; on a CPU the process's own, all threads together, whoever else is busy."""
    if torch.device(device).type == "cpu":
        start = time.process_time()
        call()
        return time.process_time() - start
    torch.cuda.synchronize()
    start = time.perf_counter()
    call()
    torch.cuda.synchronize()
    return time.perf_counter() - start
