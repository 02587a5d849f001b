"""A file of SQLite as the address that SQLAlchemy takes, and back; wherever the checkout stands.

sqlite_uri(Path("/home/me/a b/mlflow.db"))             # sqlite:////home/me/a b/mlflow.db
sqlite_uri(Path("/home/me/feature%2Flogin/mlflow.db")) # sqlite:///%2Fhome%2Fme%2Ffeature%252Flogin%2Fmlflow.db
"""

import re
from pathlib import Path
from urllib.parse import quote, unquote

# SQLAlchemy decodes %, and ends the path at ?; Optuna formats the address, so that braces would be its own.
_SPECIAL = re.compile(r"[%?{}]")


def sqlite_uri(path: Path, driver: str = "") -> str:
    """Return the address of the file; driver: of SQLAlchemy, as "aiosqlite".

    Where quoting is needed, slashes are quoted too: MLflow makes the folder that it reads in the address as it stands,
    which then names none.
    """
    text = str(path.resolve())
    scheme = f"sqlite+{driver}" if driver else "sqlite"
    return f"{scheme}:///{quote(text, safe='') if _SPECIAL.search(text) else text}"


def sqlite_path(uri: str) -> Path:
    """Return the file that SQLAlchemy opens for an address of SQLite."""
    return Path(unquote(uri.partition(":///")[2].partition("?")[0]))
