"""What a training computes on, and in which precision."""

import os

import torch

from ner.errors import ParamsError
from ner.params import TrainParams


def computes_in_half(params: TrainParams) -> bool:
    """Whether a bf16 copy of the weights computes: in one process that is not compiled. Elsewhere autocast does it."""
    on_gpu = use_gpu(params)
    is_compiled = on_gpu and params.compile
    return not is_compiled and params.processes == 1 and pick_precision(params, on_gpu) == "bf16"


def compute_the_same_again() -> None:
    """Make CUDA deterministic: only kernels whose results do not depend on the order in which their blocks end.

    The Trainer's full_determinism does that too, but also waits for every kernel, gives cuBLAS 128 KiB to work in, and
    new memory is filled before it is written. Source: PyTorch, "Reproducibility".
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # torch swaps the module


def use_gpu(params: TrainParams) -> bool:
    """Whether to train on CUDA. Raises ParamsError where it is asked for and not there."""
    if params.device == "cuda" and not torch.cuda.is_available():
        raise ParamsError("params.yaml, train.device: no CUDA device is visible here; write auto or cpu.")
    return params.device != "cpu" and torch.cuda.is_available()


def pick_precision(params: TrainParams, on_gpu: bool) -> str:
    """Resolve `auto` to what the hardware multiplies fastest: bf16 where it has instructions for it, else fp16 on GPUs.

    Mixed precision: weights, optimizer and softmax stay in fp32. Raises ParamsError for fp16 on a CPU.
    """
    if on_gpu:
        best = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    else:
        best = "bf16" if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported() else "fp32"
    if params.precision == "fp16" and not on_gpu:
        raise ParamsError("params.yaml, train.precision: fp16 needs a GPU; write auto, bf16 or fp32.")
    return best if params.precision == "auto" else params.precision
