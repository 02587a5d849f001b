"""What one would write without this project: FastAPI, and transformers.pipeline on each request.

python -m ner.bench.plain_server FOLDER PORT
"""

import sys
from typing import Any

import transformers
import uvicorn
from fastapi import FastAPI


def make_app(folder: str) -> FastAPI:
    """Return the application, which takes what MLflow's server takes of a text."""
    annotator: Any = transformers.pipeline("token-classification", folder, aggregation_strategy="simple")
    app = FastAPI()

    @app.post("/invocations")
    def invocations(body: dict[str, Any]) -> dict[str, Any]:
        predictions = annotator(body["inputs"]["text"])
        return {"predictions": [[{**row, "score": float(row["score"])} for row in rows] for rows in predictions]}

    return app


if __name__ == "__main__":
    uvicorn.run(make_app(sys.argv[1]), port=int(sys.argv[2]), log_level="warning")
