"""The language of programs: what operations mean, what is refused, and what is not written twice."""

import json
from dataclasses import replace

import numpy as np
import pytest

from romflow.core.errors import ShapeError
from romflow.export.checking import run_isolated
from romflow.export.program.builder import Builder
from romflow.export.program.interpreter import run
from romflow.export.program.numpy_text import HELPER, numpy_source
from romflow.export.program.program import Facts, Node, Program
from romflow.export.program.shapes import check_program, shape_of
from romflow.parameters.expressions import Theta

MU = np.random.default_rng(0).uniform(0.5, 2.0, (7, 3))
NAN = float("nan")


def value(make):
    """The result of a program in mu (b, 3), checked."""
    builder = Builder(["a", "b", "c"])
    program = builder.finish({"x": make(builder, builder.mu)})
    check_program(program)
    return run(program, MU)["x"]


CASES = {
    "add": (lambda b, m: m + 1.0, MU + 1), "radd": (lambda b, m: 1.0 + m, MU + 1),
    "subtract": (lambda b, m: 2.0 - m, 2 - MU), "divide": (lambda b, m: m.take(0) / m, MU[:, :1] / MU),
    "power": (lambda b, m: m**1.5, MU**1.5), "negative": (lambda b, m: -m, -MU),
    "square": (lambda b, m: m.square(), MU**2), "exp": (lambda b, m: m.exp(), np.exp(MU)),
    "abs": (lambda b, m: (m - 1.0).abs(), np.abs(MU - 1)), "sqrt": (lambda b, m: m.sqrt(), np.sqrt(MU)),
    "sum": (lambda b, m: m.sum(), MU.sum(1)), "min": (lambda b, m: m.min(axis=0), MU.min(1)),
    "max": (lambda b, m: m.reshape(3, 1).max(axis=0), MU.max(1)[:, None]),
    "minimum": (lambda b, m: b.minimum(m, 1.0), np.minimum(MU, 1)),
    "maximum": (lambda b, m: b.maximum(m, np.ones((2, 3))), np.maximum(MU[:, None], np.ones((2, 3)))),
    "select": (lambda b, m: b.select(m - 1.0, m, np.inf), np.where(MU > 1, MU, np.inf)),
    "select nan": (lambda b, m: b.select((m - 99.0).sqrt(), m, 7.0), np.full(MU.shape, 7.0)),
    "einsum": (lambda b, m: b.einsum("q,qij->ji", m, np.arange(12.0).reshape(3, 2, 2)),
               np.einsum("zq,qij->zji", MU, np.arange(12.0).reshape(3, 2, 2))),
    "outer": (lambda b, m: b.einsum("i,j->ij", m, m), MU[:, :, None] * MU[:, None, :]),
    "solve": (lambda b, m: b.solve(np.diag([1.0, 2.0, 4.0]), m), MU / [1, 2, 4]),
    "solve many": (lambda b, m: b.solve(np.eye(3) * m, np.ones((3, 2))), np.stack([1 / MU, 1 / MU], axis=2)),
    "least squares": (lambda b, m: b.op("least_squares", np.ones((3, 1)) * m.take(0), m),
                      MU.mean(axis=1, keepdims=True) / MU[:, :1]),
    "concatenate": (lambda b, m: b.concatenate([m, np.zeros(2), np.zeros(0)]), np.hstack([MU, np.zeros((7, 2))])),
    "take": (lambda b, m: m.take([2, 0, 2]), MU[:, [2, 0, 2]]), "cut": (lambda b, m: m.cut(1, 3), MU[:, 1:]),
    "transpose": (lambda b, m: m.reshape(3, 1).transpose(1, 0), MU[:, None, :]),
    "theta": (lambda b, m: b.theta(Theta(["a * b", "2", "log(c)"], ["a", "b", "c"])),
              np.stack([MU[:, 0] * MU[:, 1], np.full(7, 2.0), np.log(MU[:, 2])], axis=1)),
    "theta at points": (lambda b, m: b.theta(Theta(["a * x", "1"], ["x", "a", "b"]), {"x": np.arange(4.0)}),
                        np.stack([MU[:, :1] * np.arange(4.0), np.ones((7, 4))], axis=1)),
    "constant": (lambda b, m: b.constant([3.0, 4.0]), np.tile([3.0, 4.0], (7, 1)))}


@pytest.mark.parametrize("name", CASES)
def test_operations_mean_what_numpy_does(name, must_fail):
    make, expected = CASES[name]

    def check(found):
        np.testing.assert_allclose(found, expected, rtol=1e-14, atol=1e-14)

    found = value(make)
    assert found.shape == expected.shape
    check(found)
    must_fail(check, found * (1 + 1e-12) + 1e-12, found * (1 - 1e-12) - 1e-12)


def marched(builder, steps):
    """x' = -a x by explicit Euler, x(0) = b, with the sum of the states."""
    body = builder.body()
    x, total, dt = body.state("x", builder.mu.take(1)), body.state("total", 0.0), body.step("dt", steps)
    new = x - dt * body.fix(builder.mu.take(0)) * x
    return builder.march(body, {"states": new, "twice": 2.0 * dt}, {"x": new, "total": total + new}, ["total"])


def test_a_march_is_a_loop(must_fail):
    builder, steps = Builder(["a", "b", "c"]), np.array([0.1, 0.2, 0.4])
    program = builder.finish(marched(builder, steps))
    check_program(program)
    found, factors = run(program, MU), np.cumprod(1 - MU[:, :1] * steps, axis=1)

    def check(states):
        np.testing.assert_allclose(states, factors * MU[:, 1:2], rtol=1e-14)

    check(found["states"])
    must_fail(check, found["states"] * (1 + 1e-13), found["states"] * (1 - 1e-13))
    np.testing.assert_allclose(found["total"], found["states"].sum(axis=1), rtol=1e-14)
    np.testing.assert_allclose(found["twice"], np.tile(2 * steps, (7, 1)))


def test_the_answer_does_not_depend_on_the_batch():
    builder = Builder(["a", "b", "c"])
    program = builder.finish(marched(builder, np.full(5, 0.1)) | {"length": builder.mu.square().sum().sqrt()})
    mu = np.random.default_rng(1).uniform(0.5, 2.0, (4321, 3))
    whole, parts = run(program, mu), [run(program, rows) for rows in np.array_split(mu, [1, 17, 2000])]
    for name, values in whole.items():
        np.testing.assert_array_equal(values, np.concatenate([part[name] for part in parts]))
    assert run(program, mu[:0])["states"].shape == (0, 5)


def test_constants_are_folded_and_equal_things_are_one():
    builder = Builder(["a", "b"])
    weight = builder.constant([1.0, 2.0]).sum() * 2.0
    assert weight.constant == 6.0
    once, again = (builder.mu * weight).sum(), (builder.mu * 6.0).sum()
    assert once is again and once * 1.0 is once and once + 0.0 is once
    program = builder.finish({"x": once})
    assert [node.op for node in program.nodes] == ["multiply", "sum"] and list(program.constants.values()) == [6.0]


@pytest.mark.parametrize(("op", "operands", "attributes"), [
    ("add", [(2,), (3,)], {}), ("einsum", [(2,), (3, 2)], {"spec": "q,qi->i"}), ("einsum", [(2,)], {"spec": "q->q"}),
    ("einsum", [(2,), (2,)], {"spec": "q,q->r"}), ("solve", [(2, 3), (2,)], {}), ("solve", [(2, 2), (3,)], {}),
    ("least_squares", [(1, 2), (1,)], {}), ("sum", [(2,)], {"axis": 1}), ("reshape", [(2,)], {"shape": (3,)}),
    ("take", [(2,)], {"axis": 0, "indices": 2}), ("take", [(2,)], {"axis": 0, "indices": (0, -1)}),
    ("slice", [(2,)], {"axis": 0, "start": 1, "stop": 3}), ("transpose", [(2, 3)], {"axes": (0, 0)}),
    ("concatenate", [(2, 1), (2, 2)], {"axis": 0}), ("theta", [(2,), (3,)], {"programs": ()}),
    ("theta", [()], {"programs": ([("column", 1)],)}), ("exp", [(2,), (2,)], {}), ("cosine", [(2,)], {})])
def test_wrong_operands_are_refused(op, operands, attributes):
    with pytest.raises(ShapeError, match=op):
        shape_of(op, operands, attributes)


def program_of(*nodes, constants=None, result="x"):
    return Program(("a", "b"), constants or {}, nodes, {"x": result}, None)


@pytest.mark.parametrize(("program", "words"), [
    (program_of(Node("x", "exp", ("y",), {}, (2,))), "exp x uses y, which is not made before"),
    (program_of(Node("x", "exp", ("mu",), {}, (3,))), "has the shape"),
    (program_of(Node("mu", "exp", ("mu",), {}, (2,))), "'mu' is no identifier, or taken"),
    (program_of(Node("2x", "exp", ("mu",), {}, (2,))), "'2x' is no identifier"),
    (program_of(Node("x", "exp", ("c",), {}, ()), constants={"c": np.array(1.0)}), "does not depend on the parameter"),
    (program_of(Node("x", "exp", ("mu",), {}, (2,)), result="y"), "the result y is not made"),
    (program_of(constants={"c": np.array([1])}), "no array of float64"),
    (program_of(Node("x", "reshape", ("mu",), {}, (3,))), "reshape")])
def test_programs_that_are_wrong_are_found(program, words):
    with pytest.raises(ShapeError, match=words):
        check_program(program)


def test_marches_that_are_wrong_are_found():
    builder = Builder(["a", "b"])
    body = builder.body()
    x = body.state("x", builder.mu)
    with pytest.raises(ShapeError, match="must agree"):
        builder.march(body, {"all": x}, {})
    dt = body.step("dt", np.ones(3))
    with pytest.raises(ShapeError, match="belongs to another program"):
        x + builder.mu
    with pytest.raises(ShapeError, match="the state 'x' is there already"):
        body.state("x", 0.0)
    found = builder.march(body, {"all": x * dt}, {"x": x.sum()})
    program = builder.finish(found)
    with pytest.raises(ShapeError, match="the state x changes its shape"):
        check_program(program)
    march = replace(program.nodes[0], attributes={**program.nodes[0].attributes, "count": 4})
    with pytest.raises(ShapeError, match="needs 4 rows"):
        check_program(replace(program, nodes=(march,)))


@pytest.mark.parametrize("mu", [np.ones((2, 4)), np.ones(3)])
def test_parameters_of_another_shape_are_refused(mu):
    builder = Builder(["a", "b", "c"])
    with pytest.raises(ShapeError, match=r"the rule is \(b, 3\)"):
        run(builder.finish({"x": builder.mu}), mu)


def test_printed_text_says_the_same_for_every_operation():
    builder = Builder(["a", "b", "c"])
    results = {f"r{i}": make(builder, builder.mu) for i, (make, _) in enumerate(CASES.values())}
    results |= marched(builder, np.array([0.1, 0.2]))
    program = builder.finish(results)
    march = next(node for node in program.nodes if node.op == "march")
    constants = program.constants | march.attributes["body"].constants
    source = numpy_source(program, lambda name: f"given[{name!r}]")
    code = f"{HELPER}\ndef f(mu):\n    b = len(mu)\n{source}\nanswer.update(f(given['mu']))"
    for mu in (MU, MU[:0]):
        found, expected = run_isolated(code, constants | {"mu": mu}), run(program, mu)
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name], values, err_msg=name)


def test_facts_are_json():
    facts = Facts("n", ("a",), ("m",), (-np.inf,), (1.0,), ("o",), "bound", "X", times=(0.0, 1.0),
                  validation={"worst": np.float64(np.nan), "n": np.int64(3), "by": np.array([1.0, np.inf])})
    plain = facts.plain()
    assert plain["low"] == [None] and plain["high"] == [1.0] and plain["times"] == [0.0, 1.0]
    assert plain["validation"] == {"worst": None, "n": 3, "by": [1.0, None]}
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
