"""Names of flow runs that say what they are of, where Prefect would make up an animal."""

import re
from collections.abc import Callable
from datetime import datetime

from prefect.runtime import flow_run

MADE_UP = re.compile(r"[a-z]+\d*(-[a-z]+){1,2}")  # such as brave-otter, and theta5-corvi-h of the form in the UI
LONGEST = 160


def named(template: str) -> Callable[[], str]:
    """Return a callable that names a run: the template with the run's parameters in its braces."""
    return lambda: run_name(template.format_map(flow_run.parameters))


def run_name(what: str) -> str:
    """Return `what` and the time to the second; a name that somebody chose stays."""
    return dated(what) if MADE_UP.fullmatch(flow_run.name or "") else flow_run.name


def dated(what: str) -> str:
    """Return a name with the time to the second, for a run that does not exist yet."""
    what = what if len(what) <= LONGEST else f"{what[:LONGEST]}…"
    return f"{what}, {datetime.now():%Y-%m-%d %H:%M:%S}"
