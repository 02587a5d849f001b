"""reports/faults.json and the table in docs/faults.md, from the lines that the tests in this folder have written.

python tests/faults/table.py faults.jsonl      (make faults)
python tests/faults/table.py                   only the table, from reports/faults.json
"""

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
REPORT, PAGE = ROOT / "reports" / "faults.json", ROOT / "docs" / "faults.md"
BEGIN, END = "<!-- table of reports/faults.json -->\n", "<!-- end of the table -->\n"
HEAD = ["fault", "how it was made", "what the person saw", "first message after", "outcome"]


def table(faults: list[dict[str, Any]]) -> str:
    """A row a fault."""
    rows = [HEAD, ["---"] * len(HEAD)]
    for one in faults:
        seconds = f"{one['first_message_s']:g} s" if one["first_message_s"] else "–"
        rows.append([one["fault"], one["made"], one["saw"], seconds, one["outcome"]])
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |\n" for row in rows)


def page(text: str, faults: list[dict[str, Any]]) -> str:
    """The page with the table between its marks."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + "\n" + table(faults) + "\n" + END + rest.partition(END)[2]


def merged(lines: list[str], known: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was measured now in place of what was measured before; the rest stays."""
    found = {one["fault"]: one for one in known}
    found |= {one["fault"]: one for one in map(json.loads, lines)}
    return [found[name] for name in sorted(found)]


def main() -> None:
    known = json.loads(REPORT.read_text(encoding="utf-8")) if REPORT.exists() else []
    if len(sys.argv) > 1:
        known = merged(Path(sys.argv[1]).read_text(encoding="utf-8").splitlines(), known)
        REPORT.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), known), encoding="utf-8")


if __name__ == "__main__":
    main()
