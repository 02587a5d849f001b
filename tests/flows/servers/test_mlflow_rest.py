"""Addresses of the MLflow server that Prefect's pages link to."""

import pytest

from flows.servers.mlflow_rest import picture


@pytest.mark.parametrize(
    ("uri", "run_id", "url"),
    [
        ("http://h:5000/", "f00d", "http://h:5000/get-artifact?path=figures/types.png&run_uuid=f00d"),
        ("http://h:5000", None, None),
        ("sqlite:///mlflow.db", "f00d", None),
        ("http://me:secret@h", "f00d", None),
    ],
)
def test_a_picture_is_shown_where_a_server_shows_it_and_no_password_is_told(monkeypatch, uri, run_id, url):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert picture(run_id, "figures/types.png") == url
