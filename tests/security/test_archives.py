"""Archives that somebody made to harm who opens them, and that nothing that we read or write is a pickle."""

import ast
import re
import stat
import warnings
import zipfile
from pathlib import Path

import pytest

from ner.common import archives
from ner.common.archives import open_zip
from ner.data.sources import wheels
from ner.data.sources.hub import Repository
from ner.errors import SourceError
from our_code import our_code

ROOT = Path(__file__).resolve().parents[2]
OF_BACKUP = ("backup.py", "restore.py")


def made(path: Path, **options: object) -> zipfile.ZipInfo:
    """An archive of one good member and one that `options` describes."""
    info = zipfile.ZipInfo(str(options.get("name", "pkg/other.txt")))
    info.external_attr = int(options.get("mode", 0)) << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a name that is there twice
        archive.writestr("pkg/good.txt", "EU B-ORG\n")
        archive.writestr(info, options.get("content", b"x"))
    return info


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"name": "../outside.txt"}, "climbs out of its folder"),
        ({"name": "/outside.txt"}, "climbs out of its folder"),
        ({"name": "pkg\\..\\..\\outside.txt"}, "climbs out of its folder"),
        ({"name": "C:\\outside.txt"}, "climbs out of its folder"),
        ({"mode": stat.S_IFLNK | 0o777, "content": b"/etc/passwd"}, "is a link or a device"),
        ({"mode": stat.S_IFIFO | 0o600}, "is a link or a device"),
        ({"content": bytes(80 << 20)}, r"would unpack to \d[\d,]* times its size"),
        ({"name": "pkg/good.txt"}, "twice"),
    ],
)
def test_an_archive_with_a_member_that_harms_is_refused_whole(tmp_path, options, why):
    made(tmp_path / "x.whl", **options)
    with pytest.raises(SourceError, match=rf"^x\.whl holds .*{why}.*: the archive is refused\.$"):
        wheels.extract([tmp_path / "x.whl"], {"pkg/good.txt": (tmp_path / "out" / "good.txt", None)})
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["x.whl"]


def test_a_member_that_lies_about_its_size_gives_no_more_than_it_says(tmp_path):
    path = tmp_path / "x.whl"
    info = made(path, content=b"a" * 5000)
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02") + 24  # its size in the list of members
    data[at : at + 4] = (10).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(SourceError, match="damaged"):
        wheels.extract([path], {info.filename: (tmp_path / "out.txt", None)})
    assert (tmp_path / "out.txt").stat().st_size <= 10


def test_too_many_members_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_MEMBERS", 1)
    made(tmp_path / "x.zip")
    with pytest.raises(SourceError, match=r"x\.zip holds 2 files, more than 1: the archive is refused"):
        open_zip(tmp_path / "x.zip")


def test_a_file_name_of_the_hub_that_climbs_is_refused():
    name = "data/../../../train.parquet"
    with pytest.raises(SourceError, match="climbs out of its folder"):
        Repository("owner/name", "dataset", "0" * 40, [name]).download([name])


# ---- never a pickle

LOADERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "jsonpickle"}


def calls(tree: ast.AST, name: str) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == name
    ]


def test_no_code_of_ours_loads_a_pickle_or_runs_a_models_code():
    for path in our_code():
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        imported = {
            (name.name if isinstance(node, ast.Import) else str(node.module)).partition(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in node.names
        }
        assert not imported & LOADERS, path
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg in ("trust_remote_code", "allow_pickle"):
                assert isinstance(node.value, ast.Constant) and node.value.value is False, path
        assert not [node for node in calls(tree, "load") if _of(node) in ("torch", "np", "numpy")], path
        for node in (node for node in calls(tree, "load") if _of(node) == "yaml"):
            assert path.name == "health.py" and ast.unparse(node.args[1]) == "_LOADER", path  # its safe one, in C
            assert '_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)' in text, path
        assert not calls(tree, "read_pickle") + calls(tree, "unpack_archive") + calls(tree, "extractall"), path
        assert not [node for node in calls(tree, "eval") + calls(tree, "exec") if isinstance(node.func, ast.Name)], path
        assert "tarfile" not in imported or path.name in OF_BACKUP, path  # they read members, and extract none


def _of(node: ast.Call) -> str:
    return getattr(getattr(node.func, "value", None), "id", "")


def test_weights_are_asked_for_as_safetensors_and_without_a_network():
    """In what the pipeline runs; benchmarks load the same folders as other people's scripts do."""
    for path in our_code(pattern="[!b]*.py"):
        for call in calls(ast.parse(path.read_text(encoding="utf-8")), "from_pretrained"):
            known = {word.arg for word in call.keywords}
            if re.search(r"Auto\w*Model|AutoModel", ast.unparse(call.func)):
                assert {"local_files_only", "use_safetensors"} <= known, f"{path}:{call.lineno}"
            elif "Auto" in ast.unparse(call.func):
                assert "local_files_only" in known, f"{path}:{call.lineno}"


def test_the_trainer_reads_the_state_of_a_checkpoint_as_weights_only():
    """Its own code, in the version that is installed: it writes torch files beside the safetensors, to resume from."""
    from importlib.util import find_spec

    source = find_spec("transformers.trainer")
    assert source and source.origin
    loads = [call for call in calls(ast.parse(Path(source.origin).read_text()), "load") if _of(call) == "torch"]
    assert len(loads) > 5
    for call in loads:
        assert {word.arg: getattr(word.value, "value", None) for word in call.keywords}.get("weights_only") is True


def test_what_a_version_is_made_of_is_safetensors_json_and_text(tiny_model):
    from ner.registry.versions import check_model_files

    check_model_files(tiny_model)
    assert {path.suffix for path in tiny_model.rglob("*") if path.is_file()} <= {".safetensors", ".json", ".txt"}
    for path in tiny_model.rglob("*"):
        assert path.read_bytes()[:2] not in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"), path
