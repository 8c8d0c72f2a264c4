"""What a GPU needs so that a cell gives the same numbers every time, and what is recorded of it."""

from __future__ import annotations

import os

import torch
from torch.backends import cuda

WORKSPACE = ":4096:8"
"""Of cuBLAS: buffers of fixed sizes, without which its products may differ from call to call."""


def prepare(device: str) -> None:
    """Make the device ready for a cell; nothing is needed on a CPU.

    The GPU is seeded alike in a process's first cell and in later ones, kernels add up in a fixed order wherever torch
    has such a kernel (it warns where not), and products of fp32 are products of fp32: cuDNN rounds to TF32, a mantissa
    of 10 bits, unless told.

    Args:
        device: ``cpu``, ``cuda``, ``cuda:1``, …
    """
    if not _is_gpu(device):
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", WORKSPACE)
    torch.cuda.init()  # type: ignore[no-untyped-call]
    torch.cuda.reset_peak_memory_stats(device)
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=True)
    for fused in (cuda.enable_flash_sdp, cuda.enable_mem_efficient_sdp, cuda.enable_cudnn_sdp):
        fused(False)  # their gradients add up in any order
    # a check for bugs, at the price of a pass over memory
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def model_of(device: str) -> str | None:
    """The name of a GPU; ``None`` for a CPU."""
    return torch.cuda.get_device_name(device) if _is_gpu(device) else None


def peak_memory_bytes(device: str) -> int | None:
    """What tensors took at most since :func:`prepare`, without CUDA's own few hundred megabytes; ``None`` for a CPU."""
    return torch.cuda.max_memory_allocated(device) if _is_gpu(device) else None


def _is_gpu(device: str) -> bool:
    return torch.device(device).type == "cuda"
