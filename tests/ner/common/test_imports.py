import sys
from importlib import import_module

import pytest

from ner.common.imports import without


def test_what_is_hidden_is_hidden_meanwhile_and_there_again_afterwards():
    names = ("wave", "aifc_that_is_not_there", "sndhdr_that_is_not_there")
    for name in names:
        sys.modules.pop(name, None)
    with without("wave", required=names[1:]):
        with pytest.raises(ImportError):
            import wave
        assert not hasattr(import_module(names[1]), "open")
    import wave

    assert wave.open and not set(names[1:]) & set(sys.modules)


def test_what_is_loaded_stays():
    import json

    with without("json"):
        import json as again
    assert again is json and sys.modules["json"] is json
