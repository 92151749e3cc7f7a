"""Data of a calibration: likelihoods, what bounded errors do to them, series in time, files, wrong content."""

import numpy as np
import pytest
from scipy import stats

from romflow.core.errors import InputError, ParameterError, ShapeError
from romflow.uq.bayes.data import Data

Y = np.array([1.0, -0.5, 2.0])
STD = np.array([0.5, 0.1, 1.0])
C = np.diag(STD**2) + 0.004
Q = np.random.default_rng(0).normal(size=(3, 40)) * 0.5 + Y[:, None]
E = np.abs(np.random.default_rng(1).normal(size=(3, 40))) * 0.2


@pytest.mark.parametrize("data", [Data(Y, std=STD), Data(Y, covariance=C)], ids=["std", "covariance"])
def test_likelihoods_are_normal_densities(data, must_fail):
    covariance = np.diag(STD**2) if data.covariance is None else C

    def agrees(found):
        expected = [stats.multivariate_normal(q, covariance).logpdf(Y) for q in Q.T]
        pairs = zip(Q.T, E.T, strict=True)
        wide = [stats.multivariate_normal(q, covariance + np.diag(e**2)).logpdf(Y) for q, e in pairs]
        np.testing.assert_allclose(found[0], expected, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(found[1], wide, rtol=1e-10, atol=1e-10)

    found = data.log_likelihood(Q), data.widened(Q, E)
    agrees(found)
    must_fail(agrees, (found[0] + 1e-6, found[1]), (found[0], found[1] - 1e-6))


@pytest.mark.parametrize("data", [Data(Y, std=STD), Data(Y, covariance=C)], ids=["std", "covariance"])
def test_no_change_within_the_errors_leaves_the_stated_range(data, must_fail):
    low, high = data.change(Q, E)
    before = data.log_likelihood(Q)
    corners = np.array(np.meshgrid(*[[-1.0, 0.0, 1.0]] * 3)).reshape(3, -1).T
    changes = np.array([data.log_likelihood(Q + corner[:, None] * E) - before for corner in corners])

    def holds(ends):
        assert (changes >= ends[0] - 1e-12).all() and (changes <= ends[1] + 1e-12).all()

    holds((low, high))
    must_fail(holds, (0.8 * low, high), (low, 0.3 * high))
    if data.std is not None:  # attained
        np.testing.assert_allclose(changes.min(axis=0), low, rtol=1e-12)


def test_unknown_errors_leave_it_open():
    errors = E.copy()
    errors[1, 3] = np.inf
    for data in (Data(Y, std=STD), Data(Y, covariance=C)):
        low, high = data.change(Q, errors)
        assert low[3] == -np.inf and high[3] == np.inf
        assert np.isfinite(np.delete(low, 3)).all() and np.isfinite(data.widened(Q, errors)).all()


def test_series_are_read_between_the_times_of_the_model():
    times = np.linspace(0.0, 1.0, 5)
    series = np.stack([times, 2.0 - times])[:, :, None] * np.array([1.0, 3.0])
    data = Data([0.0] * 4, 1.0, outputs=["b", "a", "a", 0], times=[0.0, 0.3, 1.0, 0.5])
    found = data.in_time(series, times, ["a", "b"])
    np.testing.assert_allclose(found, np.outer([2.0, 0.3, 1.0, 0.5], [1.0, 3.0]))


def test_an_infinite_error_stays_infinite_beside_its_time():
    series = np.ones((1, 5, 2))
    series[0, 2, 1] = np.inf
    data = Data([0.0] * 4, 1.0, outputs=["a"] * 4, times=[0.2, 0.4, 0.5, 1.0])
    found = data.in_time(series, np.linspace(0.0, 1.0, 5), ["a"])
    assert found[:, 1].tolist() == [1.0, np.inf, np.inf, 1.0] and (found[:, 0] == 1.0).all()


def test_a_file_gives_names_numbers_and_times(tmp_path):
    file = tmp_path / "data.csv"
    file.write_text("time, output ,value,std\n0.5,mean,1.0,0.1\n\n1,top,2,.2\n")
    data = Data.from_csv(file)
    assert data.outputs == ("mean", "top") and data.times.tolist() == [0.5, 1.0] and data.std.tolist() == [0.1, 0.2]
    assert data.rows(["top", "mean"]).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the column 'output' is missing"),
        ("output,value\nmean,1\n", "the column 'std' is missing"),
        ("output,value,std,sdt\n", "have no column 'sdt'"),
        ("output,value,std,std\n", "there twice"),
        ("output,value,std\nmean,1\n", "line 2 has 2 values"),
        ("output,value,std\nmean,x,1\n", "line 2: value = 'x' is not a number"),
        ("output,value,std\nmean,nan,1\n", r"values\[0\] = nan is not finite"),
        ("output,value,std\nmean,1,0\n", r"std\[0\] = 0 is not positive"),
        ("output,value,std\n", "there are no values"),
    ],
)
def test_wrong_files_are_refused(tmp_path, text, said):
    (tmp_path / "data.csv").write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        Data.from_csv(tmp_path / "data.csv")
    assert "data.csv" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: Data([], 1.0), ParameterError, "there are no values"),
        (lambda: Data([1.0]), ParameterError, "give std .* or covariance, one of the two"),
        (lambda: Data([1.0], 1.0, [[1.0]]), ParameterError, "one of the two"),
        (lambda: Data([1.0], -1.0), ParameterError, r"std\[0\] = -1 is not positive"),
        (lambda: Data([1.0, np.inf], 1.0), ParameterError, r"values\[1\] = inf"),
        (lambda: Data([1.0, 2.0], [1.0]), ShapeError, "std has 1 numbers"),
        (lambda: Data(["x"], 1.0), ParameterError, "are no numbers"),
        (lambda: Data([[1.0]], 1.0), ShapeError, r"shape \(1, 1\)"),
        (lambda: Data([1.0, 2.0], covariance=[[1.0, 2.0], [2.0, 1.0]]), ParameterError, "smallest eigenvalue -1"),
        (lambda: Data([1.0, 2.0], covariance=[[1.0, 0.5], [0.4, 1.0]]), ParameterError, "not symmetric"),
        (lambda: Data([1.0, 2.0], covariance=[[1.0]]), ShapeError, r"it must be \(2, 2\)"),
        (lambda: Data([1.0, 2.0], covariance=[[1.0, np.nan], [np.nan, 1.0]]), ParameterError, "not finite"),
        (lambda: Data([1.0, 2.0], 1.0, outputs=["a"]), ShapeError, "outputs names 1 and there are 2"),
        (lambda: Data([1.0], 1.0, times=[1.0, 2.0]), ShapeError, "2 times and 1 values"),
        (lambda: Data([1.0], 1.0, outputs=["a"]).rows(["b"]), ParameterError, "no output is called 'a'"),
        (lambda: Data([1.0], 1.0, outputs=[2]).rows(["b"]), ParameterError, "output 2 is there and the model has 1"),
        (lambda: Data([1.0], 1.0).in_time(np.zeros((1, 2, 1)), [0.0, 1.0], ["a"]), ParameterError, "have no times"),
        (lambda: Data([1.0], 1.0, times=[2.0]).in_time(np.zeros((1, 2, 1)), [0.0, 1.0], ["a"]), ParameterError,
         r"times\[0\] = 2 is outside \[0, 1\]"),
    ],
)
def test_wrong_content_is_refused_in_one_sentence(make, error, text):
    with pytest.raises(error, match=text) as caught:
        make()
    assert "\n" not in str(caught.value)
