"""How many operations a second a large matrix product does here, in the numbers that the contenders multiply in.

rates = {name: measure() for name, measure in measures().items()}       # GFLOP/s by "fp32", "bf16", "int8"
rate = by_torch("bf16", "cuda")()
"""

import time
from collections.abc import Callable

import numpy as np
import torch

ROWS, INNER, OUTER, REPEATS = 1024, 768, 3072, 4
ROWS_ON_GPU = 65536  # enough to fill one
KINDS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def measures() -> dict[str, Callable[[], float]]:
    """A function a kind of number; each call measures anew, in well under a second."""
    return {"fp32": by_torch("fp32"), "bf16": by_torch("bf16"), "int8": by_onnxruntime()}


def by_torch(kind: str, device: str = "cpu") -> Callable[[], float]:
    """torch, whose own kernels the core and the training use. kind: one of KINDS."""
    count = ROWS if device == "cpu" else ROWS_ON_GPU
    rows = torch.ones(count, INNER, dtype=KINDS[kind], device=device)
    weights = torch.ones(OUTER, INNER, dtype=KINDS[kind], device=device)

    @torch.inference_mode()
    def product() -> None:
        torch.nn.functional.linear(rows, weights)
        if device != "cpu":
            torch.cuda.synchronize()

    return lambda: rate(product, count)


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


def rate(product: Callable[[], object], rows: int = ROWS) -> float:
    """GFLOP/s of the fastest of a few products, the first of which only warms up."""
    product()
    fastest = float("inf")
    for _ in range(REPEATS):
        begin = time.perf_counter()
        product()
        fastest = min(fastest, time.perf_counter() - begin)
    return 2 * rows * INNER * OUTER / fastest / 1e9
