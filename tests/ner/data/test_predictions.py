"""What the stored predictions say of themselves."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from ner.data.predictions import Predictions, read_about, read_predictions, write_predictions
from ner.registry.register import judged_in

LABELS = ["O", "B-PER", "I-PER"]


def stored(folder: Path, precision: str | None) -> Path:
    logits = np.eye(2, 3, dtype=np.float32)
    whole = Predictions([0], [0], [1], [["Marta", "left"]], [["B-PER", "O"]], logits, logits, LABELS, "document", "f")
    write_predictions(folder / "validation.parquet", Predictions(**{**vars(whole), "precision": precision}))
    return folder


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_predictions_say_in_which_precision_they_were_made_and_so_does_the_version(tmp_path, precision):
    stored(tmp_path, precision)
    assert read_predictions(tmp_path, "validation").precision == precision
    assert judged_in(tmp_path) == {"prediction_precision": precision}


def test_predictions_that_were_stored_before_that_are_read_and_say_nothing(tmp_path):
    path = stored(tmp_path, None) / "validation.parquet"
    table = pq.read_table(path)
    about = json.loads(table.schema.metadata[b"ner"])
    del about["precision"]
    pq.write_table(table.replace_schema_metadata({"ner": json.dumps(about)}), path)
    assert read_about(tmp_path, "validation")["precision"] is None and judged_in(tmp_path) == {}


def test_a_version_without_predictions_says_nothing_of_their_precision(tmp_path):
    assert judged_in(tmp_path) == {}
