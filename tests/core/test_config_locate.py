"""Every key that tomllib sees has its line."""

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config.locate import KeyPath, last_table, locate

DOCUMENT = '''\
# [comment.not_a_table]
top = "a # no comment"   # one
[supervisor]
vault = 'C:\\path'
"quoted.key" = 1
'literal key' = 2
"esc\\u0061ped" = 3

[supervisor.logs] # the logs
max_bytes = 5

[watchers.inbox]
command = [  # a comment ] in between
  "python", '-m',
  """
long = "not a key"
[not.a.table]
""", { inline = [1,
  2] },
]
env = { A = "x=1, y", "B" = '}', c.d = 1979-05-27 07:32:00 }
text = """ends with two quotes""\\""""""
raw = \'\'\'a\'b\'\'c
[neither]\'\'\'\'\'
retry.max = 3
retry.initial = "1s"
a . "b" . c = 1.5e3

[[tasks]]
name = "one"
[tasks.sub]
x = true
[[tasks]]
name = "two"
[[tasks.deep]]
y = -inf
[x.y.z]
k = 0xf
[x]
late = []
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 2),
        (("supervisor",), 3),
        (("supervisor", "vault"), 4),
        (("supervisor", "quoted.key"), 5),
        (("supervisor", "literal key"), 6),
        (("supervisor", "escaped"), 7),
        (("supervisor", "logs"), 9),
        (("supervisor", "logs", "max_bytes"), 10),
        (("watchers",), 12),
        (("watchers", "inbox", "command"), 13),
        (("watchers", "inbox", "command", 1), 14),
        (("watchers", "inbox", "command", 2), 15),
        (("watchers", "inbox", "command", 3, "inline"), 18),
        (("watchers", "inbox", "command", 3, "inline", 1), 19),
        (("watchers", "inbox", "env", "B"), 21),
        (("watchers", "inbox", "env", "c", "d"), 21),
        (("watchers", "inbox", "text"), 22),
        (("watchers", "inbox", "raw"), 23),
        (("watchers", "inbox", "retry"), 25),
        (("watchers", "inbox", "retry", "initial"), 26),
        (("watchers", "inbox", "a", "b", "c"), 27),
        (("tasks",), 29),
        (("tasks", 0), 29),
        (("tasks", 0, "sub", "x"), 32),
        (("tasks", 1, "name"), 34),
        (("tasks", 1, "deep", 0, "y"), 36),
        (("x", "y"), 37),
        (("x",), 39),  # its own header, not the one that implies it
        (("x", "late"), 40),
    ],
)
def test_the_line_of_each_kind_of_key(path: KeyPath, line: int) -> None:
    assert locate(DOCUMENT)[path] == line


def test_exactly_the_keys_of_a_document_are_found() -> None:
    assert set(locate(DOCUMENT)) == set(_paths(tomllib.loads(DOCUMENT)))


def test_windows_line_ends_count_once() -> None:
    assert locate("[a]\r\nb = 1\r\n\r\nc = 2\r\n") == {("a",): 1, ("a", "b"): 2, ("a", "c"): 4}


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment"])
def test_an_empty_document_has_no_keys(text: str) -> None:
    assert locate(text) == {}


@pytest.mark.parametrize(
    ("text", "table"), [("a = 1", ()), ("[a.b]\nc = 1", ("a", "b")), ("[a]\n[[b]]\n[[b]]", ("b", 1))]
)
def test_the_table_that_is_open_at_the_end(text: str, table: KeyPath) -> None:
    assert last_table(text) == table


def test_nesting_as_deep_as_tomllib_takes_is_no_trouble() -> None:
    text = "x = " + "[" * 150 + "]" * 150
    tomllib.loads(text)
    assert len(locate(text)) == 150


def _paths(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from _paths(item, (*path, key))


# Documents as text: written by hand from parts, since a writer would use few of TOML's ways.

_plain = st.text("abcXYZ019_-", min_size=1, max_size=5)
_any_text = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=6)


def _basic(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


_keys = st.one_of(
    _plain,
    _any_text.map(_basic),
    st.text('ab .[]{}#=",é', max_size=5).map(lambda text: f"'{text}'"),
)
_strings = st.one_of(
    _any_text.map(_basic),
    st.text('ab .[]{}#=",', max_size=8).map(lambda text: f"'{text}'"),
    st.lists(st.sampled_from(["a = 1\n", "[b]\n", '"', '""', "\\\\", '\\"', "# c\n", "]", "}", "'''", "\\\n  "])).map(
        lambda parts: '"""' + "".join(parts).replace('"""', '""\\"') + '\\n"""'
    ),
    st.lists(st.sampled_from(["a = 1\n", "[b]\n", "'", '"""', "\\", "# c\n", "]", "}"])).map(
        lambda parts: "'''" + "".join(parts).replace("'''", "' '") + ".'''"
    ),
    st.sampled_from(['""""a"""""', "''''a'''''", '""', "''", '""""""', "''''''"]),
)
_scalars = st.one_of(
    st.sampled_from(["true", "0", "-1", "1_000", "0xff", "3.5e-2", "-inf", "nan", "07:32:00", "1979-05-27 07:32:00Z"]),
    _strings,
)
_between = st.sampled_from(["", " ", "\n", ' # a ] } " comment\n', "\n\n\t"])
_values = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.lists(st.tuples(_between, inner, _between)).map(
            lambda items: "[" + ",".join("".join(item) for item in items) + "]"
        ),
        st.lists(st.tuples(_keys, inner.filter(lambda value: "\n" not in value)), max_size=3).map(
            lambda pairs: "{ " + ", ".join(f"{key} = {value}" for key, value in pairs) + " }"
        ),
    ),
    max_leaves=6,
)
_dotted = st.lists(_keys, min_size=1, max_size=3).flatmap(
    lambda keys: st.sampled_from([".".join(keys), " . ".join(keys)])
)
_statements = st.one_of(
    st.tuples(_dotted, _values).map(lambda pair: f"{pair[0]} = {pair[1]}"),
    _dotted.map(lambda key: f"[{key}]"),
    _dotted.map(lambda key: f"[[ {key} ]]  # a header"),
    st.sampled_from(["", "  # [comment]", "\t"]),
)
_documents = st.tuples(st.lists(_statements, max_size=12), st.sampled_from(["\n", "\r\n"])).map(
    lambda parts: parts[1].join(parts[0])
)


def _parses(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


@given(_documents.filter(_parses))
def test_every_key_that_tomllib_sees_has_a_line_with_that_key(text: str) -> None:
    lines = text.split("\n")
    found = locate(text)
    assert set(found) == set(_paths(tomllib.loads(text)))
    for path, number in found.items():
        key = path[-1]
        if isinstance(key, str):
            assert key in lines[number - 1] or _basic(key) in lines[number - 1]


@given(_documents.filter(_parses), _documents)
def test_lines_do_not_depend_on_what_follows(text: str, more: str) -> None:
    whole = f"{text}\n{more}"
    if _parses(whole):
        after = locate(whole)
        for path, number in locate(text).items():
            assert after[path] == number or after[path] > text.count("\n") + 1  # a table named only later
