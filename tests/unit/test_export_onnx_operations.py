"""Every operation of the language gives in onnxruntime what NumPy gives."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from romflow.core.errors import NotSupported
from romflow.export.onnx.graph import Graph
from romflow.export.onnx.model import model_of
from romflow.export.onnx.operations import Scope
from romflow.export.program.builder import Builder
from romflow.export.program.interpreter import run
from romflow.export.program.program import Node
from romflow.parameters.expressions import Theta

COLUMNS = ("a", "b", "c")
TOLERANCE = 1e-13


def rng():
    return np.random.default_rng(0)


MU = rng().uniform(0.2, 1.0, (70, 3))


def found(program, mu):
    model = model_of(program)
    onnx.checker.check_model(model, full_check=True)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    values = session.run(None, {"mu": mu})
    return {output.name: value for output, value in zip(session.get_outputs(), values, strict=True)}


def agree(results, builder, mu=MU, tolerance=TOLERANCE):
    program = builder.finish(results)
    ours, expected = found(program, mu), run(program, mu)
    for name, value in expected.items():
        scale = np.abs(value[np.isfinite(value)]).max(initial=1e-300)
        assert ours[name].shape == value.shape, name
        np.testing.assert_allclose(ours[name], value, rtol=0, atol=tolerance * scale, err_msg=name)


def table(builder, *shape):
    """A value that depends on the parameter in all its entries."""
    return builder.einsum("q,qs->s", builder.mu, rng().standard_normal((3, int(np.prod(shape))))).reshape(*shape)


def test_arithmetic():
    builder = Builder(COLUMNS)
    v, w = table(builder, 4, 5), table(builder, 5)
    results = {"add": v + w, "subtract": 1.0 - v, "multiply": v * builder.mu.take(1), "divide": v / v.cut(0, 1, 1),
               "minimum": builder.minimum(v, 0.1), "maximum": builder.maximum(v, w), "power": v.abs()**1.5,
               "sqrt": v.abs().sqrt(), "exp": v.exp().square(), "negative": -v, "sum": v.sum(), "sum_0": v.sum(0),
               "min": v.min(1), "max": v.max(), "select": builder.select(v, v, w), "transpose": v.transpose(1, 0),
               "reshape": v.reshape(2, 10), "take": v.take([0, 0, 2], 1), "slice": v.cut(1, 3),
               "concatenate": builder.concatenate([v, np.ones((2, 5)), v])}
    agree(results, builder)


def test_nan_and_infinity_go_through():
    builder = Builder(COLUMNS)
    odd = builder.mu / (builder.mu - 1.0)
    nan = odd - odd
    results = {"inf": odd, "nan": nan, "smaller": builder.minimum(nan, 0.0), "larger": builder.maximum(nan, 0.0),
               "least": nan.min(), "most": nan.max(), "select": builder.select(nan, 1.0, builder.mu)}
    agree(results, builder, np.array([[1.0, 0.5, 1.0], [0.5, 0.5, 0.5]]))


@pytest.mark.parametrize("spec", ["ij,ij->i", "ij,kl->iljk", "ij,il->ijl", "ij,il->jl", "ij,il->il", "ij,ik->k",
                                  "ij,jk->ki", "ij,jk->", "ij,kl->"])
def test_sums_of_products(spec):
    builder = Builder(COLUMNS)
    sizes = {"i": 4, "j": 5, "k": 2, "l": 3}
    first, second = (tuple(sizes[letter] for letter in letters) for letters in spec.split("->")[0].split(","))
    v, w = table(builder, *first), table(builder, *second)
    C, D = (rng().standard_normal(shape) for shape in (first, second))
    agree({"both": builder.einsum(spec, v, w), "left": builder.einsum(spec, C, w),
           "right": builder.einsum(spec, v, D)}, builder)


def test_axes_without_entries():
    builder = Builder(COLUMNS)
    none = builder.einsum("q,qi->i", builder.mu, np.zeros((3, 0)))
    agree({"none": none, "sum": none.sum() + builder.mu, "dot": builder.einsum("i,i->", none, np.zeros(0)) + builder.mu,
           "solve": builder.solve(builder.einsum("q,qij->ij", builder.mu, np.zeros((3, 0, 0))), none)}, builder)


def test_coefficients():
    texts = ["a * b", "2", "sqrt(a) + exp(b) - log(c)", "sin(a) * cos(b) + tan(c)", "tanh(a - b)", "abs(a - b)",
             "sign(a - b)", "min(a, b, c)", "max(a, 0.5)", "a ** b", "a / b", "-c", "a"]
    builder = Builder(COLUMNS)
    moving = Theta([*texts, "t", "a * t", "3"], [*COLUMNS, "t"])
    agree({"theta": builder.theta(Theta(texts, COLUMNS)),
           "moving": builder.theta(moving, {"t": builder.constant(np.linspace(0.0, 1.0, 5))})}, builder)


def matrices(builder, r, definite):
    M = rng().standard_normal((3, r, r))
    terms = np.einsum("qij,qkj->qik", M, M) / r + 0.1 * np.eye(r)
    # The rows in another order: without pivots the first one would be no more than rounding.
    return builder.einsum("q,qij->ij", builder.mu, terms if definite else np.roll(terms, r // 2, axis=1))


@pytest.mark.parametrize("definite", [True, False])
@pytest.mark.parametrize("r", [1, 6, 25, 42])
@pytest.mark.long
def test_systems(r, definite):
    builder = Builder(COLUMNS)
    A = matrices(builder, r, definite)
    one, many = table(builder, r), table(builder, r, 3)
    agree({"one": builder.solve(A, one, definite), "many": builder.solve(A, many, definite),
           "fixed_right": builder.solve(A, np.ones(r), definite)}, builder, tolerance=1e-12)


def test_a_matrix_of_numbers():
    builder = Builder(COLUMNS)
    C = rng().standard_normal((7, 7))
    agree({"one": builder.solve(C, table(builder, 7)), "many": builder.solve(C, table(builder, 7, 2))}, builder,
          tolerance=1e-12)


def test_pivots_are_needed(must_fail):
    builder = Builder(COLUMNS)
    tiny = np.array([[[1e-20, 1.0], [1.0, 1.0]], np.zeros((2, 2)), np.zeros((2, 2))])
    A, f = builder.einsum("q,qij->ij", builder.mu, tiny), np.array([1.0, 2.0])
    program = builder.finish({"right": builder.solve(A, f), "wrong": builder.solve(A, f, definite=True)})
    values, mu = found(program, MU), MU[:, :1]

    def check(x):
        np.testing.assert_allclose(mu * x, np.ones_like(x), rtol=1e-12)

    check(values["right"])
    must_fail(check, values["wrong"])


@pytest.mark.parametrize("r", [6, 44])
def test_what_is_not_positive_definite_gives_no_number(r):
    builder = Builder(COLUMNS)
    signs = np.ones(r)
    signs[r // 2] = -1.0
    A = builder.einsum("q,qij->ij", builder.mu, np.array([np.diag(signs)] * 3))
    singular = builder.einsum("q,qij->ij", builder.mu, np.ones((3, r, r)))
    values = found(builder.finish({"indefinite": builder.solve(A, np.ones(r), definite=True),
                                   "singular": builder.solve(singular, np.arange(1.0, r + 1))}), MU)
    assert np.isnan(values["indefinite"]).all()
    assert not np.isfinite(values["singular"]).all(axis=1).any()


@pytest.mark.parametrize("r", [1, 5, 50])
def test_least_squares(r):
    builder = Builder(COLUMNS)
    A, f = table(builder, r + 9, r), table(builder, r + 9)
    agree({"x": builder.op("least_squares", A, f)}, builder, MU[:20], tolerance=1e-11)


def test_marches():
    builder = Builder(COLUMNS)
    body = builder.body()
    x, y = body.state("xs", builder.constant(np.ones(6))), body.state("ys", builder.mu)
    nothing = body.state("none", builder.constant(np.ones(0)))
    dt = body.step("dt", np.linspace(0.1, 0.2, 4))
    moving = builder.theta(Theta(["a * t", "b"], [*COLUMNS, "t"]), {"t": builder.constant(np.arange(4.0))})
    theta = body.step("theta", moving.transpose(1, 0))
    M = rng().standard_normal((2, 6, 6))
    A = body.einsum("q,qij->ij", theta, np.einsum("qij,qkj->qik", M, M)) * dt + np.eye(6)
    after, other = body.solve(A, x * dt + x, definite=True), y * 0.5 + body.fix(builder.mu)
    results = builder.march(body, {"squares": after * after, "sums": other.sum(), "steps": dt * other},
                            {"xs": after, "ys": other, "none": nothing * dt}, final=["xs", "ys"])
    agree(results, builder)


@pytest.mark.parametrize("spec", ["ij,jk->ki", "aij,ajk->aki", "aij,akj->ika", "aij,bkj->abik"])
def test_large_products(spec):
    builder = Builder(COLUMNS)
    sizes = {"a": 2, "b": 3, "i": 12, "j": 11, "k": 10}
    first, second = (tuple(sizes[letter] for letter in letters) for letters in spec.split("->")[0].split(","))
    agree({"x": builder.einsum(spec, table(builder, *first), table(builder, *second))}, builder)


def test_a_march_with_a_large_matrix_that_stays():
    builder = Builder(COLUMNS)
    matrix = table(builder, 40, 40) / 40.0
    body = builder.body()
    x, dt = body.state("xs", table(builder, 40)), body.step("dt", np.linspace(0.5, 1.0, 3))
    after = body.einsum("ij,j->i", body.fix(matrix), x) * dt
    results = builder.march(body, {"series": after}, {"xs": after})
    agree(results, builder)
    (march,) = [node for node in model_of(builder.finish(results)).graph.node if node.op_type == "Loop"]
    steps = [node for node in march.attribute[0].g.node if node.op_type == "Loop"][0].attribute[0].g.node
    assert sum(node.op_type == "Transpose" for node in steps) == 2


def test_an_operation_that_nobody_knows_is_told():
    scope = Scope(Graph(), "batch")
    with pytest.raises(NotSupported, match="no operation determinant"):
        scope.add(Node("d", "determinant", (), {}, (1,)))
