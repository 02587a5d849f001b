import json

import pytest

from ner.serving.request import Refused, check_content_type, read

JSON, CSV = "application/json", "text/csv"
BOTH = ("text", "tokens")


def rows(tree: object, inputs: tuple[str, ...] = BOTH) -> list:
    return read(json.dumps(tree).encode(), JSON, inputs, ("min_score",)).rows


@pytest.mark.parametrize(
    "tree",
    [
        {"inputs": {"text": ["Marta", ""]}},
        {"inputs": ["Marta", ""]},
        {"inputs": [{"text": "Marta"}, {"text": ""}]},
        {"instances": ["Marta", ""]},
        {"instances": [{"text": "Marta"}, {"text": ""}]},
        {"dataframe_records": [{"text": "Marta"}, {"text": "", "tokens": None}]},
        {"dataframe_split": {"index": [0, 1], "columns": ["text"], "data": [["Marta"], [""]]}},
    ],
)
def test_every_form_of_mlflow_gives_the_same_texts(tree):
    assert rows(tree) == ["Marta", ""]


@pytest.mark.parametrize(
    "tree",
    [
        {"inputs": {"tokens": ["Marta", "lives"]}},
        {"inputs": {"tokens": [["Marta", "lives"]]}},
        {"dataframe_records": [{"tokens": ["Marta", "lives"]}]},
        {"dataframe_split": {"columns": ["tokens"], "data": [[["Marta", "lives"]]]}},
    ],
)
def test_tokens_come_in_the_same_forms(tree):
    assert rows(tree) == [["Marta", "lives"]]


def test_texts_and_tokens_may_be_mixed_by_row():
    assert rows({"inputs": [{"text": "Marta"}, {"tokens": ["Marta"]}]}) == ["Marta", ["Marta"]]
    assert rows({"inputs": {"text": ["Marta", None], "tokens": [None, ["Marta"]]}}) == ["Marta", ["Marta"]]


@pytest.mark.parametrize("text", ["NA", "nan", "null", "", " ", "5", "\0x\0", "😀 e\u0301\r\n", "שלום", "2024-01-01"])
def test_a_text_is_taken_as_it_is(text):
    assert rows({"inputs": {"text": text}}) == [text]
    quoted = '"' + text + '"'
    assert read(f"text\n{quoted}\n".encode(), CSV, BOTH).rows == [text]


@pytest.mark.parametrize(
    "tree", [{"inputs": []}, {"inputs": {"text": []}}, {"dataframe_records": []}, {"instances": []}]
)
def test_an_empty_batch_has_no_rows(tree):
    assert rows(tree) == []


@pytest.mark.parametrize(
    ("tree", "sentence"),
    [
        ({"inputs": {"text": 5}}, r"inputs\.text must be a string, got a number \(5\)"),
        ({"inputs": {"text": ["a", None]}}, "inputs, row 1, has null: a row needs one of 'text' or 'tokens'"),
        ({"inputs": {"text": ["a", True]}}, r"inputs\.text\[1\] must be a string, got true or false"),
        ({"inputs": {"text": "\ud800"}}, r"inputs\.text has half a surrogate pair at character 0"),
        ({"inputs": {"text": {"a": 1}}}, "must be a string, got an object"),
        ({"dataframe_records": [{"text": "a"}, {"text": 1.5}]}, r"dataframe_records\[1\]\.text .* a number \(1.5\)"),
        ({"dataframe_records": [{"txt": "a"}]}, r"\[0\] has 'txt', and this model takes only 'text' and 'tokens'"),
        ({"dataframe_records": [{}]}, r"\[0\] has nothing: a row needs one of 'text' or 'tokens'"),
        ({"dataframe_records": [{"text": "a", "tokens": ["a"]}]}, r"\[0\] has both"),
        ({"dataframe_records": {"text": "a"}}, "must be a list of objects, got an object"),
        ({"dataframe_records": [{"tokens": "Marta"}]}, r"tokens must be a list of strings, got a string \('Marta'\)"),
        ({"dataframe_records": [{"tokens": ["a", 5]}]}, r"\[0\]\.tokens\[1\] must be a string, got a number"),
        (
            {"dataframe_split": {"columns": ["text"], "data": [["a", "b"]]}},
            r"data\[0\] must have a value for each of 1",
        ),
        ({"dataframe_split": "x"}, "dataframe_split must be"),
        ({"inputs": {"text": ["a"], "tokens": []}}, "must be of one length, and 'text' has 1, 'tokens' has 0"),
        ({"inputs": {}}, "inputs is empty"),
        ({"text": "Marta"}, "exactly one of .* and it has 'text': send for example"),
        ({"inputs": ["a"], "instances": ["a"]}, "and it has 'inputs' and 'instances'"),
        ({"inputs": ["a"], "parms": {}}, "'parms' is not known beside 'inputs'"),
        ({"inputs": ["a"], "params": {"top_k": 1}}, "'top_k' is no parameter of this model, which takes 'min_score'"),
        ({"inputs": ["a"], "params": {"min_score": 2}}, r"params\.min_score must be a number from 0 to 1"),
        ({"inputs": ["a"], "params": [1]}, "params must be an object, got a list"),
        (["Marta"], "the body must be a JSON object, got a list"),
    ],
)
def test_a_wrong_payload_is_told_where_and_why(tree, sentence):
    with pytest.raises(Refused, match=sentence) as refused:
        rows(tree)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"{x", r"not JSON \(Expecting property name.*, line 1 column 2\)"),
        (b"", "not JSON"),
        (b'{"inputs": "caf\xe9"}', "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"inputs": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"inputs": {"text": NaN}}', r"got a number \(nan\)"),
    ],
)
def test_a_body_that_is_no_json_is_told(body, sentence):
    with pytest.raises(Refused, match=sentence):
        read(body, JSON, BOTH)


def test_a_version_that_takes_less_says_so():
    with pytest.raises(Refused, match="has 'tokens', and this model takes only 'text'"):
        rows({"dataframe_records": [{"tokens": ["a"]}]}, inputs=("text",))
    with pytest.raises(Refused, match="'min_score' is no parameter of this model, which takes none"):
        read(b'{"inputs": ["a"], "params": {"min_score": 0.5}}', JSON, BOTH)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "it is empty"),
        (b"txt\na\n", "it has 'txt'"),
        (b"text\na,b\n", "row 0 of the CSV has 2 values"),
        (b'text\n"a', "not CSV"),
    ],
)
def test_wrong_csv_is_told(body, sentence):
    with pytest.raises(Refused, match=sentence):
        read(body, CSV, BOTH)


def test_csv_keeps_commas_line_breaks_and_empty_texts_in_quotes():
    assert read(b'text\r\n"a, b\r\nc"\r\n""\r\n\r\n', CSV, BOTH).rows == ["a, b\r\nc", ""]


@pytest.mark.parametrize(
    ("header", "encoding", "sentence"),
    [
        (None, None, "there is no Content-Type: send application/json"),
        ("text/plain", None, "Content-Type is 'text/plain'"),
        ("application/json; charset=latin-1", None, "the charset is 'latin-1': send UTF-8"),
        ("application/json", "gzip", "Content-Encoding is 'gzip'"),
    ],
)
def test_another_content_type_is_a_415(header, encoding, sentence):
    with pytest.raises(Refused, match=sentence) as refused:
        check_content_type(header, encoding)
    assert refused.value.status == 415


def test_the_content_type_may_name_utf8():
    assert check_content_type("Application/JSON; charset=UTF-8", None) == JSON
