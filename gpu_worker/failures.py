"""Reasons of failures, in terms of the training's options, with what to change."""

import torch

from adapters.shortage import is_disk_full as is_disk_full_by_system
from adapters.shortage import shortage
from gpu_worker.environment import DeviceMissing
from gpu_worker.images import ImageUnreadable
from gpu_worker.inference import ExportDiffers
from gpu_worker.networks import UnknownRecipe
from gpu_worker.predictions import CheckpointUnusable
from gpu_worker.progress import NonFinite
from gpu_worker.targets import DatasetUnusable
from gpu_worker.tasks import UnsupportedTask
from stemma_trainer.store import TokenRefused

_SELF_EXPLAINING = (
    CheckpointUnusable,
    DatasetUnusable,
    DeviceMissing,
    ExportDiffers,
    ImageUnreadable,
    TokenRefused,
    UnknownRecipe,
    UnsupportedTask,
)
# Errors without an exception class: the CPU allocator, and libraries other than CUDA's.
_NO_MEMORY = ("DefaultCPUAllocator", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")
# An exception can quote whole tensors or responses.
_LONGEST = 2_000


def explain(error: BaseException, *, predicts: bool = False) -> str:
    """The reason to report for an exception of a training, or of a prediction."""
    text = str(error) or type(error).__name__
    if isinstance(error, _SELF_EXPLAINING):
        return text
    if predicts and isinstance(error, NonFinite):
        return text
    if predicts and _is_out_of_memory(error):
        return f"the device ran out of memory: start a worker with more ({text})"
    if isinstance(error, NonFinite):
        return (
            f"{text}: lower the initial learning rate, or set gradient clipping; with precision"
            " fp16 choose bf16 or fp32"
        )
    if _is_out_of_memory(error):
        return f"the device ran out of memory: choose a smaller batch or image size ({text})"
    if is_disk_full(error):
        return f"the disk is full: free some space, then retry ({text})"
    if short := shortage(error):
        return f"{short}, then retry ({text[:_LONGEST]})"
    if "Expected more than 1 value per channel" in text:
        return (
            "batch normalisation cannot train on one image at a time: choose a batch of 2 or more"
        )
    what = "prediction" if predicts else "training"
    return f"the {what} stopped with {type(error).__name__}: {text[:_LONGEST]}"


def is_disk_full(error: BaseException) -> bool:
    """Whether a disk is full, also by the text of a library's own error."""
    return is_disk_full_by_system(error) or "No space left" in str(error)


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(mark in str(error) for mark in _NO_MEMORY)
