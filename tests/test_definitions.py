"""Reading YAML strictly."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasbench.definitions import find_definition, list_definitions, parse_definition, read_definition
from nasbench.errors import DefinitionError, UnknownNameError


def plain(text):
    return parse_definition(text, "x.yaml").plain()


def test_scalars_are_what_they_look_like():
    text = "a: 1e-3\nb: 3.4e6\nc: true\nd: no\ne: 1:30\nf: 0o17\ng: '5'\nh: 1_000\ni: .inf\nj: -7\nk: 2020-01-01\nl: on"

    assert plain(text) == {
        "a": 0.001,
        "b": 3.4e6,
        "c": True,
        "d": "no",
        "e": "1:30",
        "f": "0o17",
        "g": "5",
        "h": "1_000",
        "i": ".inf",
        "j": -7,
        "k": "2020-01-01",
        "l": "on",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2", r"x\.yaml:2: the key 'a' is given twice, first on line 1"),
        ("a: &b 1\nc: *b", r"x\.yaml:1: anchors and aliases are not allowed"),
        ("a: !!python/object:os.system 1", r"x\.yaml:1: the tag .* is not allowed"),
        ("a: !!binary aGk=", r"x\.yaml:1: the tag .* is not allowed"),
        ("a: 1\n---\nb: 2", r"x\.yaml:2: a second document begins"),
        ("[1, 2]", r"x\.yaml: the file holds a list"),
        ("", r"x\.yaml: the file holds empty"),
        ("a: [1", r"x\.yaml:\d: this is no YAML"),
        ("? [a]\n: 1", r"x\.yaml:1: a key must be a plain word"),
        ("a: " + "[" * 3000 + "]" * 3000, r"x\.yaml:1: nested deeper than 20 levels"),
    ],
)
def test_what_definitions_may_not_use_is_refused_with_its_line(text, message):
    with pytest.raises(DefinitionError, match=message):
        parse_definition(text, "x.yaml")


def test_an_alias_bomb_is_refused_before_it_is_opened():
    text = "a: &a [x, x]\n" + "\n".join(f"b{i}: &b{i} [*a, *a]" for i in range(50))

    with pytest.raises(DefinitionError, match="anchors and aliases"):
        parse_definition(text, "x.yaml")


def test_a_large_file_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "big.yaml"
    path.write_bytes(b"a: 1\n" * 2_100_000)

    with pytest.raises(DefinitionError, match=r"larger than 1,000,000 bytes"):
        read_definition(path)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "bytes.yaml"
    path.write_bytes(b"\xff\xfe\x00a")

    with pytest.raises(DefinitionError, match="no UTF-8"):
        read_definition(path)


def test_an_unknown_key_is_reported_with_its_line_and_a_suggestion():
    root = parse_definition("kernel: 3\nkernal: 5", "x.yaml")

    with pytest.raises(
        DefinitionError, match=r"x\.yaml:2: the file has the unknown key 'kernal'\. Did you mean 'kernel'"
    ):
        root.mapping(("kernel",))


def test_a_missing_key_is_named():
    with pytest.raises(DefinitionError, match=r"x\.yaml:1: the file lacks the key 'name'"):
        parse_definition("about: x", "x.yaml").mapping(("name",), ("about",))


def test_a_local_definition_hides_the_bundled_one_and_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_definition("search space", "search_spaces", "mnist_tiny").hides is None

    (tmp_path / "search_spaces").mkdir()
    (tmp_path / "search_spaces" / "mnist_tiny.yaml").write_text("schema: 1")
    found = find_definition("search space", "search_spaces", "mnist_tiny")

    assert found.path.read_text() == "schema: 1"
    assert found.hides is not None and found.hides.name == "mnist_tiny.yaml"


def test_a_wrong_name_gets_a_suggestion_and_the_list():
    with pytest.raises(UnknownNameError, match=r"no search space is named 'mnist_tny'\. Did you mean 'mnist_tiny'"):
        find_definition("search space", "search_spaces", "mnist_tny")


def test_every_bundled_definition_is_listed():
    assert "mnist_tiny" in list_definitions("search_spaces")


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab:[]{}-\n ,'\"&*!|>%#1.e", max_size=60))
def test_any_text_is_either_a_definition_or_a_definition_error(text):
    try:
        parse_definition(text, "x.yaml")
    except DefinitionError as error:
        assert "\n" not in str(error)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=80))
def test_any_bytes_are_either_a_definition_or_a_definition_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("fuzz") / "x.yaml"
    path.write_bytes(data)
    try:
        read_definition(path)
    except DefinitionError as error:
        assert "\n" not in str(error)
