"""The page: self-contained, complete, honest about bounds, and sensible whatever is missing."""

import base64
import dataclasses
import io
import re
from html.parser import HTMLParser

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from romflow.core.mesh import Mesh
from romflow.fom.gallery.linear_elasticity import LinearElasticity
from romflow.fom.gallery.thermal_block import ThermalBlock
from romflow.parameters.distributions import LogUniform, Uniform
from romflow.parameters.space import Parameter, ParameterSpace
from romflow.reduction.pod_regression import PodRegression
from romflow.reduction.reduced_basis import ReducedBasisReductor
from romflow.report import ErrorTable, FieldComparison, ReportData, write_report
from romflow.report.page import page
from romflow.report.style import Picture
from tests.problems import MemoryStore, reaction_diffusion

STUDY = """[study]
name = "block"
[model]
kind = "thermal-block"
[parameters.conductivity]
low = 0.1
high = 1.0
size = 4
unit = "W/(m K)"
[sampling]
method = "greedy"
"""


class Parts(HTMLParser):
    """Tags, pictures, headings and text of a page."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.images, self.titles, self.ids, self.text = [], [], [], set(), []
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        attributes = dict(attrs)
        self.ids |= {attributes["id"]} if "id" in attributes else set()
        if tag == "img":
            self.images.append(attributes)

    def handle_data(self, data):
        if self.tags and self.tags[-1] == "h3" and data.strip():
            self.titles.append(data)
        if self.tags and self.tags[-1] != "style":
            self.text.append(data)

    def words(self):
        return " ".join(" ".join(self.text).split())


def table_of(fom, rom, size, seed=1):
    mu = fom.parameters.sample(size, np.random.default_rng(seed))
    truth = np.stack([fom.solve(row).state for row in mu], axis=1)
    answer = rom.solve(mu)
    gap = truth - rom.lift(answer.coefficients)
    norms = [np.sqrt(np.einsum("nk,nk->k", part, fom.inner_product @ part)) for part in (gap, truth)]
    outputs = fom.outputs.evaluate(truth, mu)
    table = ErrorTable(mu, norms[0], answer.error, norms[1], outputs, answer.output, answer.output_error)
    return table, FieldComparison(mu[0], truth[:, 0], truth[:, 0] - gap[:, 0])


def summary_of(table, rom, **offline):
    return {
        "romflow": "0.1.0",
        "study": {"name": "block", "fingerprint": "f" * 64},
        "offline": {
            "snapshots_solved": 8,
            "snapshots_reused": 3,
            "snapshots_failed": 1,
            "basis_size": rom.size,
            "tolerance": 0.9,
            "training_error": 0.05,
            "cpu_seconds": 1.0,
            "wall_seconds": 2.0,
            **offline,
        },
        "validation": {
            "size": len(table.mu),
            "norm": rom.norm_name,
            "error_kind": rom.error_kind,
            "max_relative_error": float(table.relative_error.max()),
            "mean_relative_error": 1e-3,
            "min_effectivity": 1.5,
            "max_effectivity": 7.5,
        },
        "online": {"seconds_per_evaluation": 1e-5, "batch": 1000, "full_order_seconds": 0.02, "speedup": 2000.0},
    }


@pytest.fixture(scope="module")
def data():
    fom = ThermalBlock(ParameterSpace([Parameter("conductivity", Uniform(0.1, 1.0), 4, "W/(m K)")]), [2, 2], 12)
    store = MemoryStore(fom)
    design = fom.parameters.sample(7, np.random.default_rng(0))
    rom = ReducedBasisReductor().reduce(fom, store, design)
    table, field = table_of(fom, rom, 25)
    history = [
        {
            "size": r,
            "max_estimate": 2.0**-r,
            "max_relative_estimate": 3.0**-r if r else None,
            "max_true_error": 0.5 * 2.0**-r,
            "max_relative_true_error": 0.5 * 3.0**-r,
        }
        for r in range(8)
    ]
    failure = {
        "mu": [0.1, 0.2, 0.3, 0.4],
        "message": "returned <1>",
        "attempts": 2,
        "exit_code": 9,
        "stderr": "first\n" * 30 + "<script>alert(1)</script> last line",
        "when": "2026-01-01T00:00:00",
    }
    return ReportData(
        summary=summary_of(table, rom),
        study_text=STUDY,
        plan={"unknowns": fom.n},
        history=history,
        singular_values=10.0 ** -np.arange(9.0),
        validation=table,
        training=table_of(fom, rom, 7, seed=0)[0],
        snapshot_mu=design,
        rom=rom,
        field=field,
        stages={"full-order solves": 1.5, "reduction": 0.2},
        solve_seconds=np.linspace(0.01, 0.03, 7),
        failures=[failure],
        provenance={"python": "3.11", "seeds": {"a": 1}},
    )


@pytest.fixture
def undrawn(monkeypatch):
    """Figures are built and not drawn, and those of fields are not even built: for tests of the words alone."""
    for name in ("basis_modes", "field_comparison"):
        monkeypatch.setattr(f"romflow.report.fields.{name}", lambda *_: Picture("Field", "a field", "", "data:,"))
    monkeypatch.setattr(Figure, "savefig", lambda self, buffer, **options: buffer.write(b"<svg/>"))
    monkeypatch.setattr(FigureCanvasAgg, "draw", lambda self: FigureCanvasAgg.get_renderer(self))


def test_the_whole_page_is_self_contained(data, tmp_path):
    path = write_report(tmp_path / "report.html", data)
    source = path.read_text("utf-8")
    parts = Parts(source)
    assert len(source) < 5e6
    assert not {"script", "link", "iframe", "object"} & set(parts.tags)
    assert not re.search(r"(src|href|url)\s*[=(]\s*[\"']?\s*(https?:|//|file:)", source)
    assert {tag for tag in parts.tags if tag in ("html", "title", "h1", "main")} == {"html", "title", "h1", "main"}
    assert parts.tags.count("img") == len(parts.images) == 9
    for image in parts.images:
        assert image["src"].startswith(("data:image/svg+xml;base64,", "data:image/png;base64,"))
        assert len(image["alt"]) > 20
    assert {"study", "basis", "accuracy", "fields", "times", "failures", "provenance", "study-file"} <= parts.ids
    assert parts.titles == [
        "Parameters",
        "Choices of the study",
        "Plan",
        "Singular value decay",
        "Error against the size of the basis",
        "Errors",
        "Outputs",
        "True error and error bound",
        "Effectivity",
        "Error over the parameter space",
        "Full-order and reduced solution",
        "First basis modes",
        "Times",
        "Stages of the run",
        "Full-order solves",
    ]


def test_the_figures_of_the_summary_are_on_the_page(data, undrawn):
    words = Parts(page(data)).words()
    for expected in (
        "7 basis functions",
        "121 unknowns",
        "25 independent parameters",
        "2,000 ×",
        "3 reused",
        "1 failed",
        "effectivity 1.5 to 7.5",
        "W/(m K)",
        "0.1 to 1",
        "seeds / a",
        "conductivity_3 = 0.4",
        "2 attempts",
        'kind = "thermal-block"',
        "offline time is repaid after 51 evaluations",
        "average",
    ):
        assert expected in words, expected


def test_texts_of_users_are_escaped(data, undrawn):
    hostile = dataclasses.replace(
        data,
        summary={**data.summary, "study": {"name": "<img src=x onerror=alert(1)>"}},
        study_text="# <b>bold</b> & <script>",
        provenance={"<i>": "</table>"},
    )
    source = page(hostile)
    assert Parts(source).tags.count("img") == 9 and "script" not in Parts(source).tags
    assert "&lt;script&gt;alert(1)&lt;/script&gt; last line" in source and "</table>&" not in source
    assert source.count("first\n") < 20


@pytest.mark.long
def test_same_data_same_bytes_and_rebuilding_changes_nothing(data, tmp_path):
    first = page(data)
    assert first == page(data)
    data.rom.save(tmp_path / "model.h5")
    data.save(tmp_path)
    assert page(ReportData.from_folder(tmp_path)) == first


def test_no_global_style_is_left_behind(data, undrawn):
    before = dict(matplotlib.rcParams)
    page(data)
    assert dict(matplotlib.rcParams) == before


# What the data above have; the page without the others is that of the other tests.
PARTS = ("summary", "study_text", "plan", "history", "singular_values", "validation", "training", "snapshot_mu", "rom",
         "field", "stages", "solve_seconds", "failures", "provenance")


@pytest.mark.parametrize("missing", PARTS)
def test_any_part_may_be_missing(data, missing, undrawn):
    part = next(field for field in dataclasses.fields(ReportData) if field.name == missing)
    empty = part.default_factory() if part.default is dataclasses.MISSING else part.default
    parts = Parts(page(dataclasses.replace(data, **{missing: empty})))
    assert len(parts.images) >= 6
    assert "nan" not in parts.words().lower().split() and "None" not in parts.words().split()


def test_only_failures():
    empty = ReportData(
        summary={"study": {"name": "bad"}, "offline": {"snapshots_failed": 2}},
        study_text=STUDY,
        failures=[{"mu": [1, 2, 3, 4], "message": "time limit"}, {"message": "?"}],
    )
    words = Parts(page(empty)).words()
    assert "No reduced model was built. 2 full-order solves failed." in words
    assert "conductivity_2 = 3" in words and "went on" not in words and "bound" not in words


def test_a_bound_is_called_a_bound_and_an_indicator_an_indicator(data, undrawn):
    bound = Parts(page(data))
    assert "error bound" in bound.words() and "indicator" not in bound.words()
    assert not any("indicator" in image["alt"] for image in bound.images)
    weaker = {**data.summary, "validation": {**data.summary["validation"], "error_kind": "indicator"}}
    words = Parts(page(dataclasses.replace(data, summary=weaker))).words()
    assert (
        "error indicator" in words and "not a bound" in words and "guarantee" not in words.replace("no guarantee", "")
    )
    assert "error bound" not in words
    unknown = dataclasses.replace(data, rom=None, summary={})
    assert "error bound" not in page(unknown) and "error indicator" not in page(unknown)


def test_a_violated_bound_is_not_passed_over(data, undrawn):
    clean = Parts(page(data)).words()
    assert "Attention." not in clean
    low = dataclasses.replace(
        data.validation, estimate=np.where(np.arange(25) < 3, 0.5, 2.0) * data.validation.true_error
    )
    words = Parts(page(dataclasses.replace(data, validation=low))).words()
    assert "smaller than the true error at 3 of 25 validation parameters" in words


def test_a_tolerance_that_was_not_reached_is_said(data, undrawn):
    late = {**data.summary, "offline": {**data.summary["offline"], "tolerance": 1e-9}}
    words = Parts(page(dataclasses.replace(data, summary=late))).words()
    assert "was not reached in training" in words and "above the tolerance 10⁻⁹" in words


def test_unbounded_estimates_are_shown_as_infinite(data, undrawn):
    estimate = np.where(np.arange(25) == 4, np.inf, data.validation.estimate)
    words = Parts(
        page(dataclasses.replace(data, validation=dataclasses.replace(data.validation, estimate=estimate)))
    ).words()
    assert "∞" in words and "24 of 24 points" in words


def test_exact_reproduction_and_constant_fields_are_drawn(data):
    k = 4
    table = ErrorTable(data.validation.mu[:k], np.zeros(k), np.zeros(k), np.ones(k))
    same = FieldComparison(data.field.mu, data.field.truth * 0 + 1, data.field.truth * 0 + 1)
    history = [{"size": 1, "max_estimate": 0.0, "max_relative_estimate": 0.0}]
    exact = dataclasses.replace(
        data, validation=table, training=None, field=same, history=history, solve_seconds=np.array([1.0])
    )
    assert "Largest difference 0" in Parts(page(exact)).words()


def test_black_box_without_mesh_is_drawn_as_curves():
    fom = reaction_diffusion(60)
    rom = PodRegression().reduce(fom, MemoryStore(fom), fom.parameters.grid(8))
    table, field = table_of(fom, rom, 12)
    parts = Parts(page(ReportData(summary=summary_of(table, rom), validation=table, rom=rom, field=field)))
    titles = [title for title in parts.titles if "basis" in title or "solution" in title]
    assert titles == ["Full-order and reduced solution", "First basis modes"]
    assert all(image["src"].startswith("data:image/svg") for image in parts.images)
    assert "error indicator" in parts.words()


@pytest.mark.parametrize("columns", [1, 2, 5, 14])
def test_error_over_spaces_of_any_dimension(data, columns, undrawn):
    space = ParameterSpace([Parameter("a", LogUniform(0.1, 10.0)), Parameter("b", Uniform(0.0, 1.0), 13)])
    mu = np.random.default_rng(0).uniform(0.1, 1.0, (30, columns))
    table = ErrorTable(mu, 10.0 ** -np.linspace(1, 6, 30), norm=np.ones(30))
    rom = dataclasses.replace(data.rom, parameters=space) if columns == 14 else None
    parts = Parts(page(ReportData(validation=table, rom=rom, snapshot_mu=mu[:5])))
    alt = next(image["alt"] for image in parts.images if "The largest error" in image["alt"])
    assert alt.startswith("The largest error, 0.1, is at " + ("a = " if columns == 14 else "mu[0] = "))
    assert ("12 with the strongest rank correlation" in parts.words()) == (columns > 12)


def picture(source, title):
    """The PNG with that heading as (rows, columns, 3) colours."""
    uri = re.search(rf"<h3>{title}</h3>\s*<img src=\"data:image/png;base64,([^\"]*)\"", source)[1]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri))).convert("RGB")).astype(float) / 255


def test_colours_of_a_plane_field_are_where_they_belong(data, must_fail):
    mesh = data.rom.mesh
    x = mesh.points[mesh.dofs, 0]
    source = page(dataclasses.replace(data, field=FieldComparison([0, 0, 0, 0], x, x)))
    image = picture(source, "Full-order and reduced solution")
    row = image[image.shape[0] // 2, : image.shape[1] // 3]
    inside = row[np.ptp(row, axis=1) > 0.05]
    # the field is x inside and zero on the boundary: the brightest column is next to the right end
    brightness = inside.sum(axis=1)

    def check(values):
        middle = values[len(values) // 10 : -len(values) // 8]
        assert np.all(np.diff(np.convolve(middle, np.ones(9) / 9, "valid")) > -0.02)
        assert values[len(values) * 3 // 4] > values[len(values) // 4] + 0.3

    check(brightness)
    must_fail(check, brightness[::-1])


@pytest.mark.long
def test_a_vector_field_on_a_body_is_shown_by_its_magnitude():
    space = ParameterSpace([Parameter("modulus", Uniform(0.5, 2.0), 2)])
    fom = LinearElasticity(space, cells=[4, 2, 2])
    rom = ReducedBasisReductor().reduce(fom, MemoryStore(fom), space.sample(3, np.random.default_rng(0)))
    table, field = table_of(fom, rom, 6)
    source = page(ReportData(validation=table, rom=rom, field=field))
    assert "Coloured by the magnitude of the 3 components. The boundary of the body is shown." in Parts(source).words()
    image = picture(source, "Full-order and reduced solution")
    coloured = np.ptp(image, axis=2) > 0.05
    left, right = (image[:, half][coloured[:, half]].sum(axis=1).mean() for half in (slice(0, 200), slice(350, 560)))
    assert right > left + 0.3  # clamped at the left end, deflected most at the right one


@pytest.mark.long
def test_large_meshes_give_small_pages(data):
    m = 700
    x, y = (axis.ravel() for axis in np.meshgrid(np.linspace(0, 1, m + 1), np.linspace(0, 1, m + 1)))
    i = np.arange((m + 1) ** 2).reshape(m + 1, m + 1)
    cells = np.stack([i[:-1, :-1], i[:-1, 1:], i[1:, 1:], i[1:, :-1]], axis=-1).reshape(-1, 4)
    mesh = Mesh(np.stack([x, y], axis=1), cells, "quad", np.arange(len(x)))
    states = np.stack([np.sin((k + 1) * np.pi * x) * np.sin(np.pi * y * k) for k in range(1, 3)], axis=1)
    rng = np.random.default_rng(0)
    mu = rng.uniform(0.1, 1.0, (20_000, 4))
    error = 10.0 ** rng.normal(-3, 1, len(mu))
    table = ErrorTable(mu, error, 2 * error, np.ones(len(mu)))
    rom = dataclasses.replace(data.rom, basis=states, mesh=mesh)
    large = dataclasses.replace(
        data, rom=rom, validation=table, field=FieldComparison(mu[0], states[:, 0], states[:, 1])
    )
    assert len(page(large)) < 5e6
