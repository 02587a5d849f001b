"""What the server takes and answers, as /openapi.json tells it."""

import json
from typing import Any

from pydantic import BaseModel, Field

from ner.serving.request import CSV, EXAMPLE, FORMS, JSON, TEXT


class Entity(BaseModel):
    type: str
    start: int = Field(description="of the text that was sent, in code points; text[start:end] is the entity")
    end: int
    text: str
    score: float = Field(description="how probable the entity is, calibrated, 0 to 1")


class Prediction(BaseModel):
    text: str
    entities: list[Entity]


class Predictions(BaseModel):
    predictions: list[Prediction]


class Error(BaseModel):
    error: str


class About(BaseModel):
    model: str
    version: int
    alias: str | None = Field(description="the alias that is followed; null where a version was named")
    loaded_at: str | None
    precision: str = Field(description="what the model multiplies in: fp32, bf16 or int8")
    device: str
    content: str | None = Field(description="sha256 of the model's files and of the code that answers")
    gate: str | None = Field(description="the verdict with which the version was registered")
    columns: list[str]
    params: list[str]
    loading: str | None = Field(description="a version that is being started")
    challenger: str | None = Field(description="the version that reads in the shadow, or answers as canary")
    canary: float = Field(description="share of the requests that the challenger answers, 0 to 1")
    note: str | None = Field(description="where what answers is not what the alias says, or not what it should be")


BODY = {
    "requestBody": {
        "required": True,
        "content": {
            JSON: {
                "schema": {
                    "type": "object",
                    "description": f"exactly one of {', '.join(FORMS)}, and perhaps params",
                    "properties": {name: {} for name in FORMS} | {"params": {"type": "object"}},
                },
                "example": json.loads(EXAMPLE),
            },
            CSV: {"schema": {"type": "string"}, "example": f"{TEXT}\nMarta lives in Oslo.\n"},
        },
    }
}
ERRORS: dict[int | str, dict[str, Any]] = {status: {"model": Error} for status in (400, 413, 415, 500, 503, 504)}
