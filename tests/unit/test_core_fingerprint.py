"""Fingerprints: equal content has equal identity, different content has not."""

import hashlib
import struct

import numpy as np
import pytest

from romflow.core.errors import ConfigError, ParameterError, ShapeError, StoreError
from romflow.core.fingerprint import canonical_json, check_json, file_fingerprint, fingerprint, snapshot_key


def test_json_is_canonical():
    assert canonical_json({"b": (1, 2.0), "a": {"ä": None}}) == b'{"a":{"\\u00e4":null},"b":[1,2.0]}'
    assert canonical_json({"x": 1, "y": 2}) == canonical_json({"y": 2, "x": 1})


def test_fingerprints_tell_contents_apart():
    specs = [
        {"cells": 99},
        {"cells": 100},
        {"cells": "99"},
        {"cell": 99},
        {"cells": [99]},
        {"cells": 0.1 + 0.2},
        {"cells": 0.3},
    ]
    assert len({fingerprint(spec) for spec in specs}) == len(specs)
    assert fingerprint({}) == hashlib.sha256(b"{}").hexdigest()


@pytest.mark.parametrize(
    ("obj", "text"),
    [
        ({"a": [{"b": float("nan")}]}, r"a\[0\]\.b = nan is not finite"),
        ({"a": float("inf")}, "a = inf is not finite"),
        ({"a": {3: 1}}, "a has the key 3, and JSON keys are texts"),
        ({"a": {1, 2}}, "a is a set, which JSON cannot hold"),
        ({"a": np.arange(3)}, "a is a ndarray"),
        (np.int64(3), "the value is a int64"),
        (b"x", "the value is a bytes"),
    ],
)
def test_what_json_cannot_hold_is_refused_by_its_path(obj, text):
    with pytest.raises(ConfigError, match=text):
        canonical_json(obj)


def test_a_cycle_and_a_deep_nest_are_refused():
    cycle: list = []
    cycle.append(cycle)
    with pytest.raises(ConfigError, match="nested more than 100 deep"):
        check_json(cycle)
    nest: list = []
    for _ in range(99):
        nest = [nest]
    check_json(nest)


def test_a_file_is_known_by_its_bytes(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(b"x" * 3_000_000)
    assert file_fingerprint(file) == hashlib.sha256(b"x" * 3_000_000).hexdigest()
    with pytest.raises(StoreError, match="cannot read"):
        file_fingerprint(tmp_path / "b")


def test_a_snapshot_key_is_the_hash_of_the_fingerprint_and_the_bits():
    spec = fingerprint({"cells": 9})
    expected = hashlib.sha256(spec.encode() + struct.pack("<2d", 0.1, 2.0)).hexdigest()
    assert snapshot_key(spec, [0.1, 2]) == expected
    assert snapshot_key(spec, np.array([0.1, 2.0], dtype=">f8")) == expected
    assert snapshot_key(spec, np.array([0.1, 9.0, 2.0])[::2]) == expected


def test_a_snapshot_key_takes_minus_zero_for_zero_and_nothing_else_for_equal():
    assert snapshot_key("f", [-0.0]) == snapshot_key("f", [0.0])
    assert snapshot_key("f", [0.3]) != snapshot_key("f", [0.1 + 0.2])
    assert snapshot_key("f", [1.0, 2.0]) != snapshot_key("f", [2.0, 1.0])
    assert snapshot_key("f", [1.0]) != snapshot_key("g", [1.0])


def test_a_snapshot_key_refuses_what_is_no_parameter():
    with pytest.raises(ShapeError, match=r"shape \(1, 2\)"):
        snapshot_key("f", [[1.0, 2.0]])
    with pytest.raises(ParameterError, match=r"mu\[1\] = nan is not finite"):
        snapshot_key("f", [1.0, np.nan])
