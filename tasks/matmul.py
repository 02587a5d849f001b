"""How many operations a second a large matrix product does here, in the numbers that the contenders multiply in.

rates = {name: measure() for name, measure in measures().items()}       # GFLOP/s by "fp32", "bf16", "int8"
"""

import time
from collections.abc import Callable

import numpy as np
import torch

ROWS, INNER, OUTER, REPEATS = 1024, 768, 3072, 4


def measures() -> dict[str, Callable[[], float]]:
    """A function a kind of number; each call measures anew, in well under a second."""
    return {"fp32": by_torch(torch.float32), "bf16": by_torch(torch.bfloat16), "int8": by_onnxruntime()}


def by_torch(kind: torch.dtype) -> Callable[[], float]:
    """torch, whose own kernels the core uses in fp32 and bf16."""
    rows, weights = torch.ones(ROWS, INNER, dtype=kind), torch.ones(OUTER, INNER, dtype=kind)

    @torch.inference_mode()
    def product() -> None:
        torch.nn.functional.linear(rows, weights)

    return lambda: rate(product)


def by_onnxruntime() -> Callable[[], float]:
    """ONNX Runtime in 8 bits, unsigned times signed, as a graph that stage `export` quantised computes."""
    import onnx
    import onnxruntime
    from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info

    weights = onnx.numpy_helper.from_array(np.ones((INNER, OUTER), np.int8), "weights")
    graph = make_graph(
        [make_node("MatMulInteger", ["rows", "weights"], ["out"])],
        "product",
        [make_tensor_value_info("rows", onnx.TensorProto.UINT8, [ROWS, INNER])],
        [make_tensor_value_info("out", onnx.TensorProto.INT32, [ROWS, OUTER])],
        [weights],
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    model = make_model(graph, opset_imports=[make_opsetid("", 20)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feed = {"rows": np.ones((ROWS, INNER), np.uint8)}
    return lambda: rate(lambda: session.run(None, feed))


def rate(product: Callable[[], object]) -> float:
    """GFLOP/s of the fastest of a few products, the first of which only warms up."""
    product()
    fastest = float("inf")
    for _ in range(REPEATS):
        begin = time.perf_counter()
        product()
        fastest = min(fastest, time.perf_counter() - begin)
    return 2 * ROWS * INNER * OUTER / fastest / 1e9
