"""Laws of the parameters: what holds for every space, distribution, design and expression."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from romflow.core.errors import ConfigError, ParameterError, RomflowError
from romflow.core.fingerprint import canonical_json, fingerprint, snapshot_key
from romflow.core.names import near_miss
from romflow.core.schema import parse_study
from romflow.parameters import distributions
from romflow.parameters.expressions import Theta
from romflow.parameters.sampling.latin_hypercube import LatinHypercube
from romflow.parameters.sampling.sobol import Sobol
from romflow.parameters.space import Parameter, ParameterSpace

numbers = st.floats(-1e6, 1e6)
positive = st.floats(1e-3, 1e3)
bounds = st.tuples(numbers, numbers).map(sorted)
positive_bounds = st.tuples(positive, positive).map(sorted)
units = st.floats(0.0, 1.0)

any_distribution = st.one_of(
    st.builds(lambda ends: distributions.Uniform(*ends), bounds),
    st.builds(lambda ends: distributions.LogUniform(*ends), positive_bounds),
    st.builds(distributions.Normal, numbers, positive),
    st.builds(distributions.LogNormal, st.floats(-5.0, 5.0), st.floats(1e-2, 2.0)),
    st.builds(lambda mean, std, ends: distributions.TruncatedNormal(mean, std, *ends), numbers, positive, bounds),
    st.builds(lambda a, b, ends: distributions.Beta(a, b, *ends), st.floats(0.1, 20.0), st.floats(0.1, 20.0), bounds),
)


@st.composite
def spaces(draw):
    names = draw(st.lists(st.from_regex(r"[a-e][a-e0-9]{0,3}", fullmatch=True), min_size=1, max_size=4, unique=True))
    return ParameterSpace([Parameter(name, draw(any_distribution), draw(st.integers(1, 3))) for name in names])


@given(any_distribution, st.lists(units, min_size=2, max_size=20))
def test_an_inverse_is_finite_inside_and_monotone(distribution, unit):
    values = distribution.ppf(np.sort(unit))
    low, high = distribution.support
    assert np.isfinite(values).all()
    assert (values >= low).all() and (values <= high).all()
    slack = 1e-12 * (1.0 + np.abs(values).max())
    assert (np.diff(values) >= -slack).all()


@given(spaces(), st.integers(0, 2**32 - 1), st.integers(0, 30))
def test_what_a_space_gives_it_accepts(space, seed, size):
    rng = np.random.default_rng(seed)
    for mu in (
        space.sample(size, rng),
        space.grid(1),
        space.centre(),
        LatinHypercube(space, seed, size=size + 1).ask(),
        Sobol(space, seed, size=size + 1).ask(),
        space.ppf(np.zeros(space.size)),
        space.ppf(np.ones(space.size)),
    ):
        rows = space.validate(mu)
        assert rows.shape[1] == space.size
        assert space.contains(rows).all()
        assert np.array_equal(space.validate(dict(zip(space.columns, rows.T, strict=True))), rows)


@given(spaces())
def test_a_space_survives_json(space):
    copy = ParameterSpace.from_spec(json.loads(canonical_json(space.to_spec())))
    assert copy == space
    assert fingerprint(copy.to_spec()) == fingerprint(space.to_spec())


@given(spaces(), st.data())
def test_one_entry_outside_is_found_and_named(space, data):
    column = data.draw(st.integers(0, space.size - 1))
    row = data.draw(st.integers(0, 4))
    mu = np.tile(space.centre(), (5, 1))
    mu[row, column] = np.nan if np.isinf(space.high[column]) else np.nextafter(space.high[column], np.inf)
    assert np.flatnonzero(~space.contains(mu)).tolist() == [row]
    with pytest.raises(
        ParameterError, match=rf"mu\[{row}, {column}\] \({space.columns[column]}\) = .*\(1 such entry\)"
    ):
        space.validate(mu)


@given(bounds, st.integers(0, 2**32 - 1), st.integers(1, 20), st.integers(1, 5))
def test_uniform_pools_are_numpys_to_round_off(ends, seed, k, p):
    low, high = ends
    space = ParameterSpace([Parameter("a", distributions.Uniform(low, high), p)])
    pool = space.sample(k, np.random.default_rng(seed))
    scale = max(abs(low), abs(high))
    np.testing.assert_allclose(pool, np.random.default_rng(seed).uniform(low, high, (k, p)), rtol=0, atol=4e-16 * scale)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5), st.data())
def test_a_snapshot_key_changes_with_every_bit(mu, data):
    key = snapshot_key("f" * 64, mu)
    assert key == snapshot_key("f" * 64, np.array(mu) + 0.0)
    index = data.draw(st.integers(0, len(mu) - 1))
    moved = list(mu)
    moved[index] = float(np.nextafter(mu[index], 0.0 if mu[index] else 1.0))
    assert snapshot_key("f" * 64, moved) != key


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(json_values)
def test_canonical_json_reads_back_and_is_its_own_canonical_form(value):
    text = canonical_json(value)
    assert json.loads(text) == value
    assert canonical_json(json.loads(text)) == text


# Expressions as text, and the same with NumPy: the text is in full parentheses, the reference stands beside it.
leaves = st.one_of(
    st.sampled_from([("a", lambda a, b: a), ("b", lambda a, b: b), ("pi", lambda a, b: np.float64(np.pi))]),
    st.floats(0.1, 9.0).map(lambda value: (repr(value), lambda a, b: np.float64(value))),
)


def _binary(symbol, apply):
    return lambda left, right: (f"({left[0]} {symbol} {right[0]})", lambda a, b: apply(left[1](a, b), right[1](a, b)))


def _unary(form, apply):
    return lambda inner: (form.format(inner[0]), lambda a, b: apply(inner[1](a, b)))


def _grow(inner):
    pairs = [
        _binary("+", np.add),
        _binary("-", np.subtract),
        _binary("*", np.multiply),
        _binary("/", np.divide),
        lambda x, y: (f"min({x[0]}, {y[0]})", lambda a, b: np.minimum(x[1](a, b), y[1](a, b))),
    ]
    singles = [
        _unary("(-{})", np.negative),
        _unary("abs({})", np.abs),
        _unary("sin({})", np.sin),
        _unary("({} ** 2)", lambda value: value**2),
        _unary("(2 ** {})", lambda value: 2.0**value),
    ]
    return st.one_of(*(st.builds(pair, inner, inner) for pair in pairs), *(st.builds(one, inner) for one in singles))


@given(st.recursive(leaves, _grow, max_leaves=12))
def test_an_expression_equals_numpy_and_its_own_source_to_the_bit(expression):
    text, reference = expression
    mu = np.array([[0.3, 1.7], [2.5, 0.4], [1.0, 1.0]])
    with np.errstate(all="ignore"):
        expected = np.broadcast_to(reference(mu[:, 0], mu[:, 1]), (3,))
    try:
        theta = Theta([text], ["a", "b"])
        values = theta(mu)[:, 0]
    except ConfigError as error:
        assert "a constant part of it is" in str(error)
        return
    except ParameterError:
        assert not np.isfinite(expected).all()
        return
    assert np.array_equal(values, expected)
    source = eval(theta.numpy_source(0), {"np": np, "mu": mu, "__builtins__": {}})  # noqa: S307 - our own source
    assert np.array_equal(np.broadcast_to(source, (3,)), values)


@given(st.text(max_size=60) | st.text(alphabet="ab12.+-*/()e ,_'[]{}:=%<>@\\\n", max_size=40))
def test_any_text_is_arithmetic_or_one_sentence(text):
    try:
        Theta([text], ["a", "b"])
    except ConfigError as error:
        assert str(error).isprintable() and str(error)[-1] in ".?"


toml_values = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
SECTIONS = ("study", "model", "parameters", "sampling", "reduction", "validation", "failures", "cluster", "export")


@given(st.dictionaries(st.sampled_from(SECTIONS) | st.text(max_size=10), toml_values, max_size=4))
def test_any_study_is_a_configuration_or_one_sentence(changes):
    good = {
        "study": {"name": "x"},
        "model": {"kind": "external"},
        "sampling": {"method": "random"},
        "parameters": {"a": {"low": 0, "high": 1}},
    }
    try:
        parse_study({**good, **changes}, "study.toml")
    except ConfigError as error:
        line = str(error)
        assert line.startswith("study.toml: ") and line.isprintable() and line[-1] in ".?"


@given(st.sampled_from(("method", "tolerance", "max_size", "estimator", "projection", "certified")), st.data())
def test_a_key_with_two_letters_exchanged_is_answered_with_the_right_one(key, data):
    place = data.draw(st.integers(0, len(key) - 2))
    typo = key[:place] + key[place + 1] + key[place] + key[place + 2 :]
    study = {
        "study": {"name": "x"},
        "model": {"kind": "external"},
        "sampling": {"method": "random"},
        "parameters": {"a": {"low": 0, "high": 1}},
        "reduction": {typo: 1},
    }
    if typo == key:
        return
    assert near_miss(typo, [key]) == key
    with pytest.raises(RomflowError) as caught:
        parse_study(study)
    assert f"has no key '{typo}'" in str(caught.value) and f"Did you mean '{key}'?" in str(caught.value)
