import pytest
import torch

from ner.inference.packed import PackedLinear, pack
from ner.inference.tagger import is_bfloat16


@pytest.mark.parametrize("rows", [(1,), (7,), (64,), (3, 5), (2, 8), (0,)])
def test_packed_layers_give_the_same_products_bit_for_bit(rows):
    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(48, 96), torch.nn.GELU(), torch.nn.Linear(96, 5)).to(torch.bfloat16)
    inputs = torch.randn(*rows, 48).bfloat16()
    with torch.inference_mode():
        before = model(inputs)
        packed = pack(model)
        assert torch.equal(packed(inputs), before)
    assert isinstance(packed[0], PackedLinear) or not is_bfloat16("auto", "cpu")


def test_layers_in_fp32_stay():
    assert type(pack(torch.nn.Sequential(torch.nn.Linear(4, 4)))[0]) is torch.nn.Linear
