"""The flat tables that stage `validate` checks: Great Expectations does not read list cells.

table        a row for                                        columns beside `row`
split        the split                                        parquet_sha256, documents, sentences, tokens, entities,
                                                              label_drift; with a profile also the others of
                                                              ner.data.validation.scan.beside
tokens       each distinct token                              token, token_chars, count
tags         each distinct tag                                tag, type (of B- tags), count
sentences    each sentence                                    document_id, sentence_id, sentence_tokens, sentence_tags,
                                                              fault (none where the tags are IOB2)
documents    each run of sentences of one document            document_id, copy_of
texts        each distinct sentence of 5 tokens or more       also_in_{split} for each other split
annotations  annotated entities, where ingestion says what    not_kept: the reason, none where they were kept; count
             it could not keep (problems.csv)

`count` says for how many a row stands. `row` is a number, which SplitTables.place turns into `train.txt, line 17`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ner.data.validation.losses import Losses
from ner.data.validation.scan import Scan, beside, copies, shared

OF_TOKENS, OF_SENTENCES = ("tokens", "tags"), ("sentences", "documents", "texts")


class SplitTables:
    """The tables of one split. sizes: how many things each of them is about."""

    def __init__(self, scan: Scan, tables: dict[str, pd.DataFrame], losses: Losses | None) -> None:
        self.scan, self.tables, self.losses = scan, tables, losses
        self.sizes = {**scan.sizes, "tags": scan.sizes["tokens"], "split": 1}
        if losses:
            self.sizes["annotations"] = losses.kept + len(losses.listed)

    def place(self, table: str, row: int, token: int = 0) -> str:
        """Return where a row of a table comes from. token: which one of the sentence is meant."""
        if table in OF_TOKENS:
            return self.scan.place_of_token(row)
        if table in OF_SENTENCES:
            return self.scan.place(row, token, name_token=token > 0)
        return self.losses.listed[row][0] if self.losses and table == "annotations" else self.scan.about["parquet"]


def build_tables(
    scans: Mapping[str, Scan], losses: Mapping[str, Losses], profile: Mapping[str, Any] | None = None
) -> dict[str, SplitTables]:
    """Return the tables of every split. profile: of the source's first delivery."""
    copied, result = copies(scans), {}
    for split, scan in scans.items():
        facts = {**scan.sizes, "entities": sum(scan.entities.values()), **beside(scan, scans["train"], profile)}
        tables = {
            "split": pd.DataFrame([{"parquet_sha256": scan.parquet_sha256, **facts, "row": 0}]),
            "tokens": _tokens(scan),
            "tags": _tags(scan),
            "sentences": _sentences(scan),
            "documents": pd.DataFrame(
                {
                    "document_id": scan.sentences["document_id"][scan.documents],
                    "copy_of": _sparse(len(scan.documents), copied[split]),
                    "row": scan.documents,
                }
            ),
            "texts": _texts(split, scans),
        }
        if split in losses:
            tables["annotations"] = _annotations(losses[split])
        result[split] = SplitTables(scan, tables, losses.get(split))
    return result


def _tokens(scan: Scan) -> pd.DataFrame:
    table = scan.tokens.to_pandas().astype({"token": "str"})
    return table.assign(token_chars=table["token"].str.len())


def _tags(scan: Scan) -> pd.DataFrame:
    counts, rows = ([pair[i] for pair in scan.tags.values()] for i in range(2))
    types = [name[2:] if name.startswith("B-") else None for name in scan.tags]
    return pd.DataFrame(
        {
            "tag": pd.Series(list(scan.tags), dtype="str"),
            "type": pd.Series(types, dtype="str"),
            "count": pd.Series(counts, dtype=int),
            "row": pd.Series(rows, dtype=int),
        }
    )


def _sentences(scan: Scan) -> pd.DataFrame:
    own = scan.sentences
    columns = {"document_id": "document_id", "sentence_id": "sentence_id"}
    columns |= {"sentence_tokens": "tokens", "sentence_tags": "tags"}
    faults = {number: fault.reason for number, fault in scan.faults.items()}
    table = pd.DataFrame({name: own[column] for name, column in columns.items()})
    return table.assign(fault=_sparse(len(table), faults), row=np.arange(len(table)))


def _texts(split: str, scans: Mapping[str, Scan]) -> pd.DataFrame:
    own, table = scans[split], pd.DataFrame({"row": scans[split].texts})
    numbers = pd.Series(table.index, index=table["row"])
    for name, other in scans.items():
        if name != split:
            places = {int(numbers[row]): other.place(there) for row, there in shared(own, other).items()}
            table[f"also_in_{name}"] = _sparse(len(table), places)
    return table


def _annotations(losses: Losses) -> pd.DataFrame:
    reasons = [reason for _, reason in losses.listed]
    return pd.DataFrame(
        {
            "not_kept": pd.Series([*reasons, None], dtype=object),
            "count": [*(1 for _ in reasons), losses.kept],
            "row": range(len(reasons) + 1),
        }
    )


def _sparse(length: int, values: Mapping[int, str]) -> np.ndarray:
    """Return a column that has no value but for some rows."""
    column = np.full(length, None, dtype=object)
    column[list(values)] = list(values.values())
    return column
