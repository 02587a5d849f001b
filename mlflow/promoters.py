"""Who may promote. MLflow's basic auth calls `authorize` with every request (.ner/mlflow_auth.ini names it).

MLflow's permissions know no difference between the aliases of a model: whoever may edit it may set each. Here the alias
`champion`, and the tag `content` that says which files a version has, are for administrators.
"""

import json
from typing import Any

from flask import Response, request
from mlflow.server import auth

GUARDED = {
    "registered-models/alias": ("alias", "champion"),
    "model-versions/set-tag": ("key", "content"),
    "model-versions/delete-tag": ("key", "content"),
}
REFUSED = "only an administrator of MLflow may set or remove the {what} {name!r}."


def authorize() -> Any:
    """Return who asks, by MLflow's own check, or the answer that refuses."""
    who = auth.authenticate_request_basic_auth()
    if isinstance(who, Response) or request.method in ("GET", "HEAD", "OPTIONS"):
        return who
    for path, (field, name) in GUARDED.items():
        if request.path.rstrip("/").endswith(f"/mlflow/{path}") and concerns(field, name):
            if not auth.store.get_user(who.username).is_admin:
                what = "alias" if field == "alias" else "tag"
                body = {"error_code": "PERMISSION_DENIED", "message": REFUSED.format(what=what, name=name)}
                return Response(json.dumps(body), 403, content_type="application/json")
    return who


def concerns(field: str, name: str) -> bool:
    """Return whether the request names it; one that cannot be read counts as if it did."""
    body = request.get_json(force=True, silent=True)
    try:
        body = json.loads(body) if isinstance(body, str) else body
    except ValueError:
        return True
    values = [body.get(field) if isinstance(body, dict) else None, *request.args.getlist(field)]
    names = [value for value in values if value is not None]
    return not names or any(not isinstance(item, str) or item.strip().casefold() == name for item in names)
