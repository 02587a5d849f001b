"""Linear layers in bf16 whose weights lie as the CPU's matrix product reads them, once for all calls.

torch reorders the weights of a bf16 layer in every call, which takes a third of a short one's time. And oneDNN makes
code for each new number of rows, which takes as long as a short product, so rows are added up to a multiple of ROWS.
The products are the same bit for bit.
"""

import torch

ROWS = 8


class PackedLinear(torch.nn.Module):
    """A linear layer for prediction, in place of one of torch's."""

    def __init__(self, layer: torch.nn.Linear) -> None:
        super().__init__()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), None)
        self.bias = layer.bias

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        flat = rows.flatten(0, -2)
        missing = -len(flat) % ROWS
        padded = torch.nn.functional.pad(flat, (0, 0, 0, missing)) if missing else flat
        product = torch.ops.mkldnn._linear_pointwise(padded, self.weight, self.bias, "none", [], "")
        return product[: len(flat)].view(*rows.shape[:-1], product.shape[-1])


def pack(model: torch.nn.Module) -> torch.nn.Module:
    """Return the model with its bf16 linear layers packed; as it is where this build of torch cannot do it."""
    if not (torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()):
        return model
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if type(layer) is torch.nn.Linear and layer.weight.dtype == torch.bfloat16:
                setattr(parent, name, PackedLinear(layer))
    return model
