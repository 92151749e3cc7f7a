"""The choice between our Schwarz and PETSc, and options of PETSc, where petsc4py need not be installed."""

import pytest

from romflow.core.errors import ConfigError
from romflow.dd import choice, petsc_library
from romflow.dd.communicator import Single
from romflow.dd.petsc_library import check_options, reason_text


class _Schwarz:
    pass


class _Petsc:
    pass


@pytest.fixture
def loads(monkeypatch):
    """loads(""): PETSc loads; loads("why"): it does not."""
    monkeypatch.setattr(choice, "_schwarz", lambda: _Schwarz)
    monkeypatch.setattr(choice, "_petsc", lambda: _Petsc)

    def install(reason):
        monkeypatch.setattr(choice, "absent", lambda: reason)
        monkeypatch.setattr(choice, "missing", lambda: reason)
        monkeypatch.setattr(petsc_library, "missing", lambda: reason)

    return install


@pytest.mark.parametrize(("reason", "components", "symmetric", "wanted", "word"), [
    ("", 1, True, _Petsc, "installed"), ("", 3, True, _Schwarz, "3 unknowns a node"),
    ("", 1, False, _Schwarz, "not symmetric"), ("petsc4py is not installed", 1, True, _Schwarz, "not installed")])
def test_auto_says_why(loads, reason, components, symmetric, wanted, word):
    loads(reason)
    chosen, why = choice.choose("auto", Single(), components=components, symmetric=symmetric)
    assert chosen is wanted and word in why


def test_a_method_that_is_named_is_taken(loads, monkeypatch):
    loads("")
    assert choice.choose("schwarz", Single(), components=1, symmetric=True)[0] is _Schwarz
    loads("petsc4py is not installed: pip install romflow[petsc] builds it")
    with pytest.raises(ConfigError, match=r"romflow\[petsc\]"):
        choice.choose("petsc", Single(), components=1, symmetric=True)
    with pytest.raises(ConfigError, match="Did you mean 'petsc'"):
        choice.choose("petcs", Single(), components=1, symmetric=True)


def test_without_petsc4py_the_reason_names_the_extra(monkeypatch):
    monkeypatch.setattr(petsc_library, "find_spec", lambda name: None)
    assert "romflow[petsc]" in petsc_library.missing.__wrapped__()
    choice.check("auto", {"pc_type": "gamg"})


@pytest.mark.parametrize(("options", "word"), [
    ({"ksp_max_it": 5}, "max_iterations"), ({"ksp_rtol": 1e-3}, "tolerance"), ({"ksp_monitor": True}, "prints"),
    ({"ksp_view": "ascii:out"}, "prints"), ({"pc_type": "python"}, "other code"), ({"pc_python_type": "a.B"}, "other"),
    ({"-pc_type": "lu"}, "hyphen"), ({"pc_type": None}, "text, number")])
def test_options_that_are_refused(options, word):
    with pytest.raises(ConfigError, match=word):
        check_options(options)


def test_reasons_are_words():
    assert "limit of iterations" in reason_text(-3) and "reason -77" in reason_text(-77)
