"""Study files that are no studies, and options of the command line."""

from pathlib import Path

import pytest

from romflow.core.errors import ConfigError
from romflow.core.schema import parse_option, parse_study, read_study

GOOD = """\
[study]
name = "block"
[model]
kind = "thermal-block"
cells = 99
[parameters.conductivity]
low = 0.1
high = 1.0
size = 9
[sampling]
method = "greedy"
pool = 200
"""


def message(tmp_path, text) -> str:
    """What read_study says about a file with this text, without the folder; always one line of one sentence's form."""
    file = tmp_path / "study.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        read_study(file)
    line = str(caught.value)
    assert line.startswith(f"{file}: ") and line.isprintable() and line[-1] in ".?"
    assert caught.value.__cause__ is None or "\n" not in line
    return line.removeprefix(f"{tmp_path}/")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the section [study] is missing"),
        (b"\xff\xfea", "this is not UTF-8 text (byte 0)"),
        ("a = " + "[" * 5000, "its values are nested too deeply"),
        ("a = 9" + "9" * 5000, "this is not TOML"),
        ("a = 1\n\x00", "this is not TOML"),
        ('study = "x"', "study = 'x' is not a table; write [study]"),
        ('[study]\n"a\\nb" = 1', r"[study] has no key 'a\nb'"),
        ('["a\\nb"]\nx = 1', r"no section is called 'a\nb'"),
        ("[study]\nname = '" + "x" * 100_000 + "\x7f'", "this is not TOML"),
        ("[x" + "x" * 100_000 + "]", "no section is called 'xxx"),
    ],
)
def test_hostile_files_get_a_short_sentence(tmp_path, text, said):
    line = message(tmp_path, text)
    assert said in line and len(line) < 600


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path):
    with pytest.raises(ConfigError) as caught:
        read_study(tmp_path / "none.toml")
    assert str(caught.value) == f"{tmp_path}/none.toml: there is no such file; check the path."
    with pytest.raises(ConfigError, match="this is a folder and not a study file; give the path of a study file"):
        read_study(tmp_path)
    (tmp_path / "study.toml").write_text(GOOD)
    with pytest.raises(ConfigError, match=f"give {tmp_path}/study.toml"):
        read_study(str(tmp_path))
    with pytest.raises(ConfigError, match="cannot be read"):
        read_study("a\0b")


def test_a_file_that_may_not_be_read_is_said(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(ConfigError, match="study.toml: it cannot be read .*permission denied"):
        read_study(tmp_path / "study.toml")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({1: 2}, "the study has the key 1, which is not a text"),
        ({"study": {"name": b"x"}}, "[study] name = b'x' is a bytes, which a study cannot hold"),
        ({"study": {"name": "x"}, "model": None}, "model = none is a NoneType, which a study cannot hold"),
    ],
)
def test_what_only_python_can_say_is_refused(content, said):
    with pytest.raises(ConfigError) as caught:
        parse_study(content)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("size=3", ("size", 3)),
        (" tolerance = 1e-3 ", ("tolerance", 1e-3)),
        ("cells=[3, 3]", ("cells", [3, 3])),
        ("full=true", ("full", True)),
        ("element=Q1", ("element", "Q1")),
        ("name='a b'", ("name", "a b")),
        ("path=a/b c.txt", ("path", "a/b c.txt")),
        ("text=1\nother=2", ("text", "1\nother=2")),
        ("empty=", ("empty", "")),
    ],
)
def test_options_of_the_command_line_are_toml_or_text(text, option):
    assert parse_option(text) == option


@pytest.mark.parametrize("text", ["size", "=3", "a b=3", "size=nan", "day=2020-01-01"])
def test_wrong_options_of_the_command_line_are_refused(text):
    with pytest.raises(ConfigError, match="option") as caught:
        parse_option(text)
    assert "\n" not in str(caught.value)
