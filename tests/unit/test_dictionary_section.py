"""The table [dictionary]: what it takes, and one sentence for everything that it does not."""

from __future__ import annotations

from typing import Any

import pytest

from romflow.core.dictionary_section import simplified_time
from romflow.core.errors import ConfigError
from romflow.core.fingerprint import fingerprint
from romflow.core.schema import StudyConfig, parse_study
from romflow.study import Study


def study(dictionary: Any, **others: Any) -> StudyConfig:
    return parse_study({
        "study": {"name": "b"}, "model": {"kind": "thermal-block"}, "time": {"end": 1, "steps": 4},
        "parameters": {"k": {"low": 0.1, "high": 1.0}}, "sampling": {"method": "random", "size": 5},
        "dictionary": dictionary, **others}, "study.toml")


def test_defaults_choose_the_number_of_clusters():
    wish = study({}).dictionary
    assert wish is not None and wish.clusters == "auto" and wish.dissimilarity == "sine" and wish.most == 8


@pytest.mark.parametrize(("dictionary", "words"), [
    ({"clusters": 0}, "[dictionary] clusters: is 0; the rule is \"auto\", or a whole number from 1 to 1000"),
    ({"clusters": 2.5}, "clusters: is 2.5"),
    ({"snapshots": "all"}, "snapshots: is 'all'"),
    ({"cluster": 2}, "Did you mean 'clusters'"),
    ({"recommender": {"inputs": "parameters"}}, "[dictionary.recommender] has no key 'inputs'"),
    ({"recommender": {"share": 0.0}}, "[dictionary.recommender] share = 0 is too small"),
    ({"fallback": {"tolerance": -1.0}}, "[dictionary.fallback] tolerance = -1 is too small"),
    ({"simplified": {"model": {"kind": "burgers"}}, "budget": 4}, "of the same kind"),
    ({"simplified": {"time": {"steps": 0}}, "budget": 4},
     "study.toml: [dictionary.simplified.time] steps = 0 is too small; write 1 or more"),
    ({"simplified": {"time": {"stepz": 2}}, "budget": 4}, "Did you mean 'steps'"),
    ({"simplified": {}}, "give budget (of all clusters), or snapshots (of each)"),
    ({"budget": 3, "clusters": 2, "snapshots": 2}, "asks for 4 full-order runs"),
])
def test_what_breaks_a_rule_is_refused_in_one_sentence(dictionary, words):
    with pytest.raises(ConfigError) as refusal:
        study(dictionary)
    assert words in str(refusal.value)


def test_simplified_times_replace_what_says_the_same():
    found = study({"simplified": {"time": {"times": [0.5, 1.0]}}, "budget": 4})
    time = simplified_time(found.dictionary, found.time)
    assert time is not None and time.times == [0.5, 1.0] and time.steps is None
    fewer = study({"simplified": {"time": {"steps": 2}}, "budget": 4})
    time = simplified_time(fewer.dictionary, fewer.time)
    assert time is not None and time.steps == 2 and time.end == 1.0


@pytest.mark.parametrize(("dictionary", "design", "runs"), [
    ({}, 40, 40), ({"simplified": {}, "budget": 12}, 40, 12),
    ({"simplified": {}, "clusters": 3, "snapshots": 5}, 40, 15),
    ({"simplified": {}, "snapshots": 5, "most": 4}, 40, 20), ({"simplified": {}, "budget": 60}, 40, 40)])
def test_the_number_of_full_order_runs_is_known_before(dictionary, design, runs):
    wish = study(dictionary).dictionary
    assert wish is not None and wish.full_order_runs(design) == runs


def test_a_study_without_dictionary_keeps_its_fingerprint():
    content = {"study": {"name": "b"}, "model": {"kind": "thermal-block"},
               "parameters": {"k": {"low": 0.1, "high": 1.0, "size": 9}}, "sampling": {"method": "random", "size": 5}}
    plain, several = Study.from_dict(content), Study.from_dict({**content, "dictionary": {}})
    left_out = {"cluster", "export", "uq", "dictionary"}
    without = fingerprint({"study": plain.config.model_dump(mode="json", exclude=left_out),
                           "model": {"kind": "thermal-block"}})
    assert plain.fingerprint == without != several.fingerprint
