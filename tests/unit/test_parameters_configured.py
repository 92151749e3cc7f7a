"""Distributions as a study file writes them: tables here and in files, and each mistake with its sentence."""

import pytest

from romflow.core.errors import ConfigError, InputError
from romflow.core.schema import parse_study
from romflow.parameters.distributions import Table, Triangular, TruncatedLogNormal
from romflow.parameters.space import ParameterSpace

CSV = "wind,hours,site\n1.0,3,a\n2.5,1,b\n4,0.5,c\n"


def _study(**table):
    return parse_study({"study": {"name": "s"}, "model": {"kind": "thermal-block"}, "parameters": {"wind": table},
                        "sampling": {"method": "random"}})


def _distribution(base=".", **table):
    return ParameterSpace.from_config(_study(**table).parameters, base).tables[0].distribution


def test_kinds_from_numbers():
    assert _distribution(distribution="table", values=[1, 2.5]) == Table([1.0, 2.5])
    table = _distribution(distribution="table", values=[1.0, 2.0], weights=[1, 3], discrete=True)
    assert table == Table([1.0, 2.0], [1.0, 3.0], True)
    assert _distribution(distribution="triangular", low=0.0, mode=1.0, high=2.0) == Triangular(0.0, 1.0, 2.0)
    expected = TruncatedLogNormal(0.0, 1.0, 0.0, 2.0)
    assert _distribution(distribution="truncated-log-normal", mean=0.0, std=1.0, low=0.0, high=2.0) == expected


def test_a_column_of_a_file_with_further_columns(tmp_path):
    (tmp_path / "sites.csv").write_text(CSV)
    by_name = _distribution(tmp_path, distribution="table", file="sites.csv")
    assert by_name == Table([1.0, 2.5, 4.0])
    other = _distribution(tmp_path, distribution="table", file="sites.csv", column="hours", weights="wind")
    assert other == Table([3.0, 1.0, 0.5], [1.0, 2.5, 4.0])


def test_the_space_needs_no_file_afterwards(tmp_path):
    (tmp_path / "sites.csv").write_text(CSV)
    config = _study(distribution="table", file="sites.csv", weights="hours", discrete=True)
    space = ParameterSpace.from_config(config.parameters, tmp_path)
    (tmp_path / "sites.csv").unlink()
    assert ParameterSpace.from_spec(space.to_spec()) == space


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({}, r"has no sample; write values = \[...\], or file"),
        ({"column": "a"}, "has a column and no file"),
        ({"file": "a.csv", "values": [1.0]}, "write `values` or `file`, not both"),
        ({"file": "a.csv", "weights": [1.0]}, "its values in a file and its weights here"),
        ({"values": []}, "values has 0 numbers"),
        ({"values": [1.0, 2.0], "weights": [1.0, -1.0]}, r"weights\[1\] = -1 is negative"),
        ({"values": [1.0, 2.0], "weights": "w"}, "weights = 'w' is no list"),
        ({"values": [1.0, float("nan")]}, "nan"),
        ({"values": [1.0], "low": 2.0}, "has no key 'low'"),
        ({"valuse": [1.0]}, "Did you mean 'values'"),
    ],
)
def test_wrong_tables_are_refused(table, text):
    with pytest.raises(ConfigError, match=text) as caught:
        _study(distribution="table", **table)
    assert "\n" not in str(caught.value) and "wind" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "table", "text"),
    [
        (None, {}, "wind: .*sites.csv: it cannot be read"),
        (CSV, {"column": "winds"}, "the column 'winds' is missing; the first line names wind, hours, site"),
        (CSV, {"column": "site"}, "line 2: site = 'a' is not a number"),
        (CSV, {"weights": "wind"}, "both the column 'wind'"),
        ("wind\n", {}, "wind: .*sites.csv: table: values has 0 numbers"),
        ("wind,wind\n1,2\n", {}, "there twice"),
        ("wind\nnan\n", {}, r"values\[0\] = nan is not finite"),
        ("wind,w\n1,0\n", {"weights": "w"}, "all weights are 0"),
        ("", {}, "the column 'wind' is missing"),
    ],
)
def test_wrong_files_are_refused(tmp_path, content, table, text):
    if content is not None:
        (tmp_path / "sites.csv").write_text(content)
    with pytest.raises(InputError, match=text) as caught:
        _distribution(tmp_path, distribution="table", file="sites.csv", **table)
    assert "\n" not in str(caught.value)
