"""Uncertainty: what random inputs make of the outputs, with statistical and model errors kept apart."""

from romflow.uq.bayes.calibration import CalibrationWishes, calibrate
from romflow.uq.bayes.data import Data
from romflow.uq.distances import compare_outputs, energy_distance
from romflow.uq.error_split import DomainWish, domain_errors
from romflow.uq.estimate import Estimate
from romflow.uq.evaluation import Evaluated, of_function, of_reduced
from romflow.uq.inputs import RandomInputs
from romflow.uq.paired.control_variates import control_variate
from romflow.uq.paired.multifidelity_sampling import Fidelity, multifidelity
from romflow.uq.rare.importance_sampling import importance
from romflow.uq.streaming.answers import Answers
from romflow.uq.streaming.propagation import propagate
from romflow.uq.wishes import Wishes

__all__ = [
    "Answers",
    "CalibrationWishes",
    "Data",
    "DomainWish",
    "Estimate",
    "Evaluated",
    "Fidelity",
    "RandomInputs",
    "Wishes",
    "calibrate",
    "compare_outputs",
    "control_variate",
    "domain_errors",
    "energy_distance",
    "importance",
    "multifidelity",
    "of_function",
    "of_reduced",
    "propagate",
]
