"""Theta expressions: values, NumPy source, and every text that must be refused."""

import threading
import time

import numpy as np
import pytest

from romflow.core.errors import ConfigError, ParameterError, ShapeError
from romflow.parameters.expressions import Theta

MU = np.array([[0.5, 2.0], [3.0, 0.25]])


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("a", lambda a, b: a),
        ("1", lambda a, b: 1 + 0 * a),
        ("-a ** 2", lambda a, b: -(a**2)),
        ("(-a) ** 2", lambda a, b: a**2),
        ("2 ** 3 ** 2", lambda a, b: 512 + 0 * a),
        ("(2 ** 3) ** 2", lambda a, b: 64 + 0 * a),
        ("(a ** b) ** 2", lambda a, b: (a**b) ** 2),
        ("a ** b ** 2", lambda a, b: a ** (b**2)),
        ("a - b - 1", lambda a, b: (a - b) - 1),
        ("a - (b - 1)", lambda a, b: a - (b - 1)),
        ("a / b / 2", lambda a, b: a / b / 2),
        ("a / (b / 2)", lambda a, b: a / (b / 2)),
        ("2 ** -1 * a", lambda a, b: a / 2),
        ("--a + +b", lambda a, b: a + b),
        ("a * -b", lambda a, b: -a * b),
        ("sqrt(a) + exp(b) - log(a * b)", lambda a, b: np.sqrt(a) + np.exp(b) - np.log(a * b)),
        ("sin(pi * a) * cos(b) / tan(a)", lambda a, b: np.sin(np.pi * a) * np.cos(b) / np.tan(a)),
        ("abs(a - b)", lambda a, b: abs(a - b)),
        ("min(a, b)", lambda a, b: np.minimum(a, b)),
        ("max(1, a, b, 2.5)", lambda a, b: np.maximum(np.maximum(a, b), 2.5)),
        (" ( a\n + b ) ", lambda a, b: a + b),
        ("1e-3 * a + .5 + 1.", lambda a, b: 1e-3 * a + 1.5),
        ("1 / 3", lambda a, b: 1 / 3 + 0 * a),
    ],
)
def test_values_and_source_are_those_of_the_formula(text, reference):
    theta = Theta([text], ["a", "b"])
    expected = reference(MU[:, 0], MU[:, 1])
    np.testing.assert_allclose(theta(MU)[:, 0], expected, rtol=1e-15)
    source = eval(theta.numpy_source(0), {"np": np, "mu": MU, "__builtins__": {}})  # noqa: S307 - our own source
    assert np.array_equal(np.broadcast_to(source, (2,)), theta(MU)[:, 0])


def test_q_expressions_are_columns_in_order():
    theta = Theta(["b", "c", "1", "a", "b * c", 2, 0.5, np.float64(0.25)], ["a", "b", "c"])
    assert len(theta) == 8
    assert theta.columns == ("a", "b", "c")
    assert theta.expressions == ("b", "c", "1", "a", "b * c", "2", "0.5", "0.25")
    values = theta(np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))
    assert values.tolist() == [[2, 3, 1, 1, 6, 2, 0.5, 0.25], [5, 6, 1, 4, 30, 2, 0.5, 0.25]]
    assert values.flags.c_contiguous


def test_one_row_counts_as_a_batch_of_one_and_no_expression_as_q_zero():
    theta = Theta(["a + b"], ["a", "b"])
    assert theta([1.0, 2.0]).tolist() == [[3.0]]
    assert theta(np.empty((0, 2))).shape == (0, 1)
    assert Theta([], ["a"])(np.ones((3, 1))).shape == (3, 0)


def test_whole_numbers_in_mu_are_float64_too():
    assert Theta(["2 ** a"], ["a"])(np.array([[-1], [1100 - 100]])).tolist() == [[0.5], [2.0**1000]]


@pytest.mark.parametrize("mu", [np.ones((2, 3)), np.ones(3), np.ones((1, 1, 2)), 1.0])
def test_mu_of_another_shape_is_refused(mu):
    with pytest.raises(ShapeError, match=r"theta needs \(b, 2\)"):
        Theta(["a"], ["a", "b"])(mu)


def test_a_value_that_is_not_finite_names_expression_and_row():
    theta = Theta(["a", "log(a - 1)"], ["a", "b"])
    with pytest.raises(ParameterError) as caught:
        theta([[3.0, 0.0], [1.0, 0.25], [0.5, 0.0]])
    assert str(caught.value) == (
        "theta = 'log(a - 1)' is -inf at mu[1] = [1, 0.25] (2 such values); it must be finite on the whole space."
    )
    with pytest.raises(ParameterError, match=r"theta = 'a' is nan at mu\[0\]"):
        theta([[np.nan, 0.0]])


HOSTILE = [
    "__import__('os')",
    "__import__",
    "open",
    "a.real",
    "a . real",
    "a[0]",
    "[a]",
    "{a}",
    "{a: b}",
    "lambda: 1",
    "lambda a: a",
    "'a'",
    '"a"',
    "f'a'",
    "b'a'",
    "[x for x in a]",
    "(x for x in a)",
    "(a := 1)",
    "a if b else 1",
    "a and b",
    "not a",
    "a < b",
    "a == b",
    "a in b",
    "a is b",
    "a // b",
    "a % b",
    "a @ b",
    "a | b",
    "~a",
    "a << 2",
    "a, b",
    "(a, b)",
    "()",
    "*a",
    "min(*a)",
    "min(**a)",
    "sqrt(x=a)",
    "sqrt()",
    "sqrt(a, b)",
    "min(a)",
    "sqrt",
    "sqrt(sqrt)",
    "pi(a)",
    "a(b)",
    "(a)(b)",
    "sqrt(a)(b)",
    "sqr(a)",
    "True",
    "None",
    "...",
    "await a",
    "yield",
    "1j",
    "0x10",
    "1_000",
    "012",
    "1if a else 2",
    "2a",
    "2 a",
    "a b",
    "a;b",
    "a = b",
    "a #",
    "a\\",
    "a\x00",
    "ａ",
    "α",
    "",
    " \n ",
    "a +",
    "(a",
    "a)",
    "a ** ** b",
    "1e400",
    "9" * 400,
    "9" * 5000,
    "0" * 5000 + "1",
    "1 / 0",
    "0 ** -1",
    "log(-1)",
    "exp(1000)",
    "9**9**9**9",
    "a ** 9**9**9**9",
    "9**9**9**9 * 0",
    "10 ** 10 ** 10 ** 10 ** 10",
    "(" * 150 + "a" + ")" * 150,
    "(" * 5000 + "a" + ")" * 5000,
    "(" * 5000,
    "abs(" * 150 + "a" + ")" * 150,
    "-" * 9000 + "a",
    "+".join(["a"] * 3000),
    "**".join(["a"] * 3000),
    "max(" + ",".join(["a"] * 200) + ")",
    "a" * 50_000,
    "1+" * 100_000 + "1",
    "c",
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:20] + ("..." if len(text) > 20 else ""))
def test_what_is_not_arithmetic_is_refused_at_once_in_one_sentence(text):
    start = time.process_time()
    with pytest.raises(ConfigError) as caught:
        Theta([text], ["a", "b"])
    line = str(caught.value)
    assert line.startswith("theta = ") and line.isprintable() and line[-1] in ".?" and len(line) < 500
    assert time.process_time() - start < 1.0


@pytest.mark.parametrize("value", [True, None, float("nan"), float("inf"), 10**400, b"a", ["a"], 1j])
def test_what_is_neither_text_nor_number_is_refused(value):
    with pytest.raises(ConfigError, match="theta = "):
        Theta([value], ["a"])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("+".join(["a"] * 1002), "it has more than 1000 operators; split it."),
        ("(" * 101 + "a" + ")" * 101, "it is nested more than 100 deep; split it."),
        (" " * 10_000 + "a", "has 10001 characters; at most 10000 are read, split it."),
    ],
)
def test_what_is_too_large_is_refused_before_pythons_parser_sees_it(text, reason):
    with pytest.raises(ConfigError) as caught:
        Theta([text], ["a"])
    assert str(caught.value).endswith(reason)


def test_one_text_for_a_list_of_texts_is_refused():
    with pytest.raises(ConfigError, match="give a list of expressions"):
        Theta("abc", ["a", "b", "c"])


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(ConfigError) as caught:
        Theta(["conductivty_0"], ["conductivity_0", "load"])
    assert str(caught.value) == (
        "theta = 'conductivty_0': no parameter is called 'conductivty_0'; known: conductivity_0, load. "
        "Did you mean 'conductivity_0'?"
    )
    with pytest.raises(ConfigError, match="no function is called 'sqr'; known: .* Did you mean 'sqrt'"):
        Theta(["sqr(a)"], ["a"])


def test_a_column_cannot_take_a_word_of_the_language():
    with pytest.raises(ConfigError, match="the column 'exp' is a word of the theta language"):
        Theta(["1"], ["exp"])


def test_the_largest_allowed_expressions_work_even_with_a_small_stack():
    texts = ["+".join(["a"] * 1001), "-" * 1000 + "a", "(" * 100 + "a" + ")" * 100, "**".join(["1"] * 900 + ["a"])]
    values = []
    previous = threading.stack_size(512 * 1024)
    try:
        thread = threading.Thread(target=lambda: values.append(Theta(texts, ["a"])([[0.5]])))
        thread.start()
        thread.join()
    finally:
        threading.stack_size(previous)
    assert values[0].tolist() == [[500.5, 0.5, 0.5, 1.0]]


def test_the_source_of_many_arguments_is_python():
    theta = Theta(["max(" + ", ".join(["a"] * 99) + ", b)"], ["a", "b"])
    compile(theta.numpy_source(0), "source", "eval")
    assert theta(MU)[:, 0].tolist() == [2.0, 3.0]
