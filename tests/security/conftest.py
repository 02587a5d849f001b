"""The toy pipeline of the flows' tests, for what is to be seen of a running one."""

import importlib.util
from pathlib import Path

_spec = importlib.util.spec_from_file_location("flows_conftest", Path(__file__).parent.parent / "flows" / "conftest.py")
assert _spec and _spec.loader
_flows = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_flows)
pristine, toy, outside = _flows.pristine, _flows.toy, _flows.outside
