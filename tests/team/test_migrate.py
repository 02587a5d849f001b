"""Rows from SQLite into real PostgreSQL: every kind of column that both programs use, circles, numbers that go on."""

import sqlite3

import pytest

from ner.errors import NerError
from tasks import postgres
from tasks.locations import elsewhere, relocate
from tasks.migrate import copy_tables

pytestmark = pytest.mark.operations

SQLITE = """
CREATE TABLE run (id CHAR(36), state_id CHAR(36), at DATETIME, took DATETIME, data JSON, ok BOOLEAN, f FLOAT, b BLOB);
CREATE TABLE state (id CHAR(36), run_id CHAR(36), kind VARCHAR, name TEXT);
CREATE TABLE experiments (experiment_id INTEGER, artifact_location VARCHAR);
CREATE TABLE runs (experiment_id INTEGER, artifact_uri VARCHAR);
CREATE TABLE logged_models (artifact_location VARCHAR);
CREATE TABLE model_versions (source VARCHAR, storage_location VARCHAR);
CREATE TABLE trace_tags (value VARCHAR);
CREATE TABLE alembic_version (version_num VARCHAR);
"""
POSTGRES = """
CREATE TYPE kind AS ENUM ('RUNNING', 'FAILED');
CREATE TABLE run (id UUID PRIMARY KEY, state_id UUID, at TIMESTAMPTZ, took INTERVAL, data JSONB, ok BOOLEAN,
  f DOUBLE PRECISION, b BYTEA);
CREATE TABLE state (id UUID PRIMARY KEY, run_id UUID REFERENCES run (id), kind kind, name TEXT);
ALTER TABLE run ADD CONSTRAINT "Its State" FOREIGN KEY (state_id) REFERENCES state (id) ON DELETE SET NULL;
CREATE TABLE experiments (experiment_id SERIAL PRIMARY KEY, artifact_location VARCHAR);
CREATE TABLE runs (experiment_id INTEGER REFERENCES experiments, artifact_uri VARCHAR);
CREATE TABLE logged_models (artifact_location VARCHAR);
CREATE TABLE model_versions (source VARCHAR, storage_location VARCHAR);
CREATE TABLE trace_tags (value VARCHAR);
CREATE TABLE alembic_version (version_num VARCHAR);
INSERT INTO experiments VALUES (0, 'what the schema came with');
"""
RUN, STATE = "11111111-2222-3333-4444-555555555555", "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
ROW = (
    RUN,
    STATE,
    "2026-03-04 05:06:07.123456",
    "1970-01-01 00:00:05.500000",
    '{"a": "naïve ✓", "b": [1e+16, null]}',
    1,
)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source.db"
    with sqlite3.connect(path) as old:
        old.executescript(SQLITE)
        old.execute("INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, 1.7976931348623157e308, x'00ff')", ROW)
        old.execute("INSERT INTO run (id, data, ok) VALUES (?, 'null', 0)", (RUN.replace("1", "9"),))
        old.execute("INSERT INTO state VALUES (?, ?, 'RUNNING', '=cmd|''/c calc''!A1 <script>')", (STATE, RUN))
        old.executemany("INSERT INTO experiments VALUES (?, ?)", [(0, "/home/me/mlruns/0"), (41, "file:///old")])
        old.executemany("INSERT INTO runs VALUES (41, ?)", [("file:///old/r1/artifacts",), ("file:///older/r2",)])
        old.execute("INSERT INTO model_versions VALUES ('models:/m-1', 'file:///old/models/m-1/artifacts')")
    return path


@pytest.fixture
def target(new_database):
    address = new_database()
    with postgres.connection(address) as new, new.cursor() as cursor:
        cursor.execute(POSTGRES)
    return address


def rows(address, sql):
    with postgres.connection(address) as connected:
        return postgres.execute_on(connected)(sql)


def test_every_value_arrives_and_references_hold_and_numbers_go_on(source, target):
    counted = copy_tables(source, target)
    assert counted["run"] == 2 and counted["experiments"] == 2 and counted["logged_models"] == 0
    seen = "SELECT at::text, extract(epoch FROM took)::float, data->>'a', ok, f, b = '\\x00ff' FROM run WHERE ok"
    assert rows(target, seen) == [("2026-03-04 05:06:07.123456+00", 5.5, "naïve ✓", True, 1.7976931348623157e308, True)]
    assert rows(target, "SELECT data::text FROM run WHERE NOT ok") == [("null",)]
    assert rows(target, "SELECT count(*) FROM pg_constraint WHERE contype = 'f'") == [(3,)]
    assert rows(target, "INSERT INTO experiments (artifact_location) VALUES ('x') RETURNING experiment_id") == [(42,)]


def test_a_row_that_refers_to_nothing_leaves_postgresql_as_it_was(source, target):
    with sqlite3.connect(source) as old:
        old.execute("UPDATE state SET run_id = ?", (STATE,))
    with pytest.raises(NerError, match="refers to"):
        copy_tables(source, target)
    assert rows(target, "SELECT artifact_location FROM experiments") == [("what the schema came with",)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("UPDATE state SET name = 'a' || char(0)", "table state holds what PostgreSQL cannot.*NUL"),
        ("UPDATE state SET kind = 'LOST'", "table state holds what PostgreSQL cannot.*LOST"),
        ("UPDATE run SET at = 'yesterday'", "table run: a row cannot be converted.*yesterday"),
        ("ALTER TABLE state ADD COLUMN more", "different tables .state.*requirements.lock"),
    ],
)
def test_what_cannot_be_moved_is_named(source, target, change, reason):
    with sqlite3.connect(source) as old:
        old.execute(change)
    with pytest.raises(NerError, match=reason):
        copy_tables(source, target)


def test_addresses_of_artifacts_follow_on_both_sides_and_others_are_told(source, target):
    copy_tables(source, target)
    with sqlite3.connect(source) as old, postgres.connection(target) as new:
        for execute in (old.execute, postgres.execute_on(new)):
            relocate(execute, "file:///old", "s3://ner/mlflow")
            assert list(execute("SELECT artifact_location FROM experiments ORDER BY 1")) == [
                ("s3://ner/mlflow",),
                ("s3://ner/mlflow/0",),
            ]
            assert list(execute("SELECT * FROM model_versions")) == [
                ("models:/m-1", "s3://ner/mlflow/models/m-1/artifacts")
            ]
            assert elsewhere(execute, "s3://ner/mlflow") == ["file:///older/r2"]


def test_a_dump_is_loaded_whole_or_not_at_all_and_a_full_database_only_by_force(source, target, new_database, tmp_path):
    copy_tables(source, target)
    with postgres.moment(target) as (snapshot, counted):
        postgres.dump(target, tmp_path / "d.dump", snapshot)
    other = new_database()
    postgres.load(other, tmp_path / "d.dump", replace=False)
    assert postgres.counts(other) == counted
    with pytest.raises(NerError, match="is not empty"):
        postgres.require_empty(other, "mlflow")
    with pytest.raises(NerError, match="already exists"):
        postgres.load(other, tmp_path / "d.dump", replace=False)
    postgres.load(other, tmp_path / "d.dump", replace=True)
    assert postgres.counts(other) == counted


def test_a_database_that_somebody_uses_or_that_is_not_there_is_told(new_database):
    address = new_database()
    with postgres.connection(address) as other:
        postgres.execute_on(other)("SELECT 1")
        with pytest.raises(NerError, match=r"is in use \(connections: 1\): stop the mlflow servers"):
            postgres.require_alone(address, "mlflow")
    with pytest.raises(NerError, match=r"PostgreSQL at postgresql://127.0.0.1:\d+/nowhere cannot be used") as told:
        postgres.counts(address.rpartition("/")[0] + "/nowhere")
    assert "p%40ss" not in str(told.value)
