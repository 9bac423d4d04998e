"""Where bfloat16 is faster than float32."""

from __future__ import annotations

import torch


def bfloat16_pays(device_type: str) -> bool:
    """Whether a device computes in bfloat16: accelerators do, and CPUs with AVX-512. Others emulate it, and a
    convolution then takes 10 times as long as in float32 and more."""
    return device_type != "cpu" or "AVX512" in torch.backends.cpu.get_cpu_capability()
