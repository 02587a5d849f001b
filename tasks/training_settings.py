"""Settings of the machine and of libraries that could make training faster, each laid over stage `train` alone.

with SETTINGS["one thread"].laid(): ...       # in a process that was started with SETTINGS["one thread"].environment
"""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers.models.mpnet.modeling_mpnet import MPNetSelfAttention


@dataclass(frozen=True)
class Setting:
    """environment: variables that are read when a process begins. laid: what is changed while it trains."""

    environment: dict[str, str] = field(default_factory=dict)
    laid: Callable[[], AbstractContextManager[Any]] = nullcontext


@contextmanager
def memory_given_back() -> Iterator[None]:
    """Leave glibc's allocator as it is (tasks.allocator)."""
    with patch("tasks.train.keep_memory"):
        yield


@contextmanager
def fused_attention() -> Iterator[None]:
    """Let PyTorch's fused kernel compute the attention of MPNet, for which transformers has none (5.23).

    Raises RuntimeError where it has not been used at all: with another encoder.
    """
    used: list[bool] = []

    def forward(
        self: MPNetSelfAttention, hidden_states: Any, attention_mask: Any = None, position_bias: Any = None, **_: Any
    ) -> tuple[torch.Tensor]:
        used.append(True)
        shape = (*hidden_states.shape[:-1], -1, self.attention_head_size)
        q, k, v = (part(hidden_states).view(shape).transpose(1, 2) for part in (self.q, self.k, self.v))
        masks = [mask for mask in (position_bias, attention_mask) if mask is not None]
        scale = 1 / math.sqrt(self.attention_head_size)
        mask = sum(masks[1:], masks[0]).to(q.dtype) if masks else None
        dropout = self.dropout.p if self.training else 0.0
        read = scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout, scale=scale)
        return (self.o(read.transpose(1, 2).reshape(*hidden_states.shape[:-1], self.all_head_size)),)

    with patch.object(MPNetSelfAttention, "forward", forward):
        yield
    if not used:
        raise RuntimeError("the encoder has no attention of MPNet")


AS_IT_IS, FUSED = "as it is", "fused attention"
SETTINGS = {
    AS_IT_IS: Setting(),
    "one thread": Setting({"OMP_NUM_THREADS": "1"}),
    "memory given back": Setting(laid=memory_given_back),
    "huge pages": Setting({"THP_MEM_ALLOC_ENABLE": "1"}),
    "huge pages by glibc": Setting({"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}),
    FUSED: Setting(laid=fused_attention),
}
