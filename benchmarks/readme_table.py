"""Write the table of measured figures in README.md from the JSON files of the benchmarks.

    python benchmarks/readme_table.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
START, END = "<!-- figures -->", "<!-- /figures -->"
WORDS = {
    "greedy_speedup_vs_pymor": "greedy offline, 3x3 blocks, 9,604 unknowns, 20 vectors",
    "greedy_speedup_vs_pymor_300": "the same with 89,401 unknowns",
    "batch_speedup_vs_pymor": "10,000 outputs with bounds",
    "batch_slowdown_vs_numpy": "the same batch beside NumPy written by hand (time ratio)",
    "max_relative_error": "largest relative error on 100 new parameters, 3x3 blocks, 20 vectors",
    "max_relative_error_2x2": "the same for 2x2 blocks, cells = 100",
    "min_effectivity": "smallest effectivity of the bound there",
    "max_effectivity": "largest effectivity of the bound there",
    "max_effectivity_2x2": "largest effectivity for 2x2 blocks",
    "estimator_floor": "smallest relative bound that still follows the true error",
    "pod_speedup_vs_svd": "POD of 1,000,000 x 300 snapshots on disk (2.4 GB), 40 modes",
    "pod_extra_memory_mb": "its peak memory above start (MB)",
    "pod_error_vs_optimal": "projection error over that of the best basis, 10 to 40 modes and two passes to 1e-12",
    "pod_single_pass_vs_optimal": "the same with a single pass, 40 modes",
    "pod_chunking_difference": "relative difference of the projections when the blocks have another size",
    "sweep_speedup_vs_amg": "100 parameters as one sweep to 1e-8, bars (115,248 unknowns) and layered elasticity "
                            "(55,488), the worse",
    "sweep_speedup_vs_direct": "the same beside a direct factorisation for each, the worse",
    "sweep_2d_speedup_vs_best": "100 parameters as one sweep, 2-D thermal block, 110,224 unknowns",
    "sketch_ratio_std": "sketched over exact residual norm, s = 400, 110,224 unknowns: standard deviation",
    "sketch_ratio_q95": "the same: deviation from 1 of 95 % of the parameters at most",
    "sketch_ratio_worst": "the same: largest deviation from 1",
    "sketch_floor": "smallest relative residual that the sketched estimator still resolves",
    "sketch_offline_speedup": "offline stage of the sketched estimator",
    "bandit_vs_best_fixed": "learnt relaxation over the best fixed one, sweeps of SOR, last third, worst seed",
    "bandit_vs_optimum": "the same over the best of each system",
    "bandit_sweep_gain": "learnt choice among nine preconditioners, thermal block with 5,041 unknowns",
    "newton_sketch_vs_minres": "sketched Newton systems, applications of the preconditioner over those of MINRES",
    "lstsq_speedup": "least squares 1,000,000 x 100 at QR accuracy, condition 1e4 and 1e8, the worse",
    "lstsq_error_1e4": "its relative error in x at condition 1e4",
    "lstsq_error_1e8": "its relative error in x at condition 1e8",
    "coordinated_vs_countsketch": "error of A^T B from coordinated samples over that of CountSketch, equal storage",
    "powers_inverse_error": "inverse from 28 interpolation points, two parameters: relative error",
    "powers_logdet_error": "log-determinant from the same points: error over its spread",
    "powers_preconditioner_iterations": "the same as preconditioner: iterations over those of Jacobi-CG, the worse",
    "zahm_nouy_inverse_error_11": "inverse from 11 points, one parameter, Zahm-Nouy weights: relative error",
    "max_iterations": "Poisson with bars, 115,248 unknowns, contrasts 1 to 1e6, 2 to 64 subdomains, to 1e-8: most "
                      "iterations",
    "iterations_growth_with_subdomains": "the same: iterations with 64 subdomains over those with 8",
    "time_vs_naive_geneo": "the same, 16 subdomains: set-up and solve over those with exact eigenproblems, the worst",
    "elasticity_iterations": "elasticity in layers of contrast 1e4, 24,336 and 55,488 unknowns: most iterations",
    "rank_invariance": "1, 2 and 4 MPI ranks: largest relative difference of states, singular values, outputs",
    "repeat_solve_cost_ratio": "ten parameters of layered elasticity (moduli within a factor of ten), 313,200 "
                               "unknowns, 2 ranks: later solves over the first",
    "burgers_offline_speedup": "Burgers in the plane, 7,200 cells, 100 steps, 100 points, 20 vectors: offline",
    "burgers_online_speedup": "the same: one reduced trajectory",
    "burgers_batch_speedup": "the same: each of 100 reduced trajectories in a batch",
    "burgers_error": "the same: largest relative L2 error over time, 10 new parameters",
    "burgers_full_order_speedup": "the same: full-order trajectory",
    "parabolic_batch_speedup": "heat equation, 2x2 blocks, 9,801 unknowns, 20 steps, 20 vectors: each of 1,000 "
                               "trajectories with bounds in a batch",
    "parabolic_offline_speedup": "the same: POD-greedy offline",
    "parabolic_single_speedup": "the same: one trajectory with its bound",
    "parabolic_error": "the same: largest relative error over time (H1_0), 100 new parameters",
    "parabolic_min_effectivity": "the same: smallest effectivity of the bound on them",
    "parabolic_max_effectivity": "the same: largest effectivity",
    "bdf_orders_min_margin": "BDF2 and its corrections on random grids, ratios up to 35: least fitted order over its "
                             "bar (1.8, 2.4, 3.0)",
    "bdf2_error": "error of BDF2 with 640 random steps, logistic growth",
    "dc3_error": "the same, corrected to order 3",
    "dc4_error": "the same, corrected to order 4",
    "eim_follows_down_to": "-u'' + 50 mu u = f: relative residual norm down to which its interpolation is within a "
                           "tenth",
    "eim_share_of_terms": "the same: share of the 325 products that it needs",
    "eim_min_ratio": "the same: smallest value over the accurate one",
    "gram_stalls_at": "the same: where the Gram matrix stalls",
    "gram_negative_share": "the same: share of parameters at which the Gram matrix gives a negative square",
    "direct_follows_down_to": "the same: down to which the evaluation on the mesh is within a tenth",
    "eim_upper_part": "empirical interpolation of exp(-mu x): largest entry above the diagonal",
    "eim_naive_upper_part": "the same by the form that is not recursive",
    "windows_vs_uniform": "front that stands, moves and stands, 4 windows of 3 modes: error of the best over that of "
                          "equal ones",
    "gradient_gap": "gradients of outputs (thermal block, Newton model) against central differences, the worse",
    "million_wall_minutes": "layered elasticity, 1,069,200 unknowns, 2 ranks, to 1e-8: minutes, with everything",
    "million_memory_gb": "its peak memory over all processes (GB)",
    "million_residual": "its relative residual",
    "million_iterations": "its iterations",
    "splitting_guess_poisson": "domain splitting, 255 x 255, ratio 16, Poisson: relative error of the guess",
    "splitting_guess_advection": "the same for advection-diffusion, the worse",
    "splitting_iterations_saved": "the same as preconditioner and guess: iterations saved, the worst",
    "auto_vs_best": "time of the solver that \"auto\" takes over the fastest installed one, six problems, the worst",
    "calculix_displacement_error": "elastoplastic beam in space, 9,075 unknowns, with heat: displacements of the "
                                   "full-order solver, share of the largest",
    "calculix_plastic_strain_error": "the same: accumulated plastic strain",
    "calculix_import_stress_error": "the same: stresses computed from CalculiX's displacements alone",
    "step_seconds_vs_calculix": "the same: processor seconds a step over those of CalculiX",
    "law_error": "elastoviscoplastic law under cyclic strain and heat: stress, share of the largest",
    "rom_speedup": "blade in space, elastoviscoplastic, two cycles of which one trains: reduced over full-order steps",
    "rom_plastic_strain_error": "the same: relative error of the accumulated plastic strain (L2)",
    "rom_mises_error": "the same: von Mises stress (L2, largest of all times)",
    "hundred_cycles": "the same: a hundred cycles, training and offline stage counted",
    "batch_speedup": "the same: each of 100 draws in a batch",
    "blade_unknowns": "its unknowns",
    "cubature_points": "plate with a hole, 3,072 Gauss points, ten modes: points of the cubature",
    "all_points": "the same, with those of the dual fields",
    "plate_modes": "the same: displacement modes at tolerance 1e-4",
    "plastic_strain_cycle_1": "the same: relative error of the plastic strain in cycle 1, which trains",
    "plastic_strain_last_cycle": "the same in cycle 4",
    "points_by_subdomains": "the same: points with 4 or 16 subdomains over those with one",
    "volume_error": "the same: relative error of the volume",
    "least_weight": "the same: least weight over the least of the mesh",
    "adaptive_error": "hot spots at 12 unseen places, adaptive runs: largest relative error of the plastic strain",
    "adaptive_full_order_share": "the same: largest share of full-order steps",
    "indicator_rank_correlation": "the same: rank correlation of indicator and true error",
    "frozen_error": "the same without full-order steps: largest error",
    "least_effectivity": "the same: least indicator over error where the error exceeds the tolerance, adaptive runs",
    "least_effectivity_frozen": "the same without full-order steps: least indicator over error where the error exceeds "
                                "the tolerance, p above a twentieth of its end",
    "lattice_rate": "mean over random domains of Gevrey class, 12 inputs, shifted lattices of up to 1,021 points: "
                    "exponent of the error in N",
    "lattice_gain_vs_monte_carlo": "the same: error of Monte Carlo over that of the lattice at N = 509",
    "dpp_error_ratio": "least squares with 12 polynomials on 36 determinantal points: error over the best possible",
    "dpp_unstable_share": "the same with 120 points: share of designs whose Gram matrix has an eigenvalue below 1/2",
    "control_variate_variance_ratio": "reduced model that is 5 % off as control variate: variance of Monte Carlo at "
                                      "equal time over its variance, the worse of two estimators",
    "control_variate_bias_sigmas": "the same: difference from 100,000 full-order solves, in standard errors",
    "importance_worst_gain": "five exceedance probabilities .5 to 1e-4 from 5,000 draws: largest relative error of "
                             "Monte Carlo over its largest",
    "importance_bias_sigmas": "the same: largest bias in standard errors",
    "sobol_seconds_per_million": "1,000,000 certified evaluations with Sobol' indices, 3x3 blocks, 20 vectors: seconds",
    "sobol_memory_gb": "the same: peak memory (GB)",
    "sobol_coverage_least": "22 Sobol' indices with known values: least share of 95 % intervals that hold them",
    "sobol_coverage_largest": "the same: largest share",
    "onnx_difference": "ONNX file without romflow, 1,000 parameters: largest relative difference, the worst model",
    "onnx_batch_ratio": "the same: time of a batch of 10,000 with bounds over that of the model, 20 vectors",
    "onnx_gaussian_process_difference": "the same for a Gaussian process",
    "fmu_difference": "functional mock-up units 2.0 and 3.0 without romflow, 1,000 parameters: largest relative "
                      "difference",
    "c_difference": "the same for C",
    "c_microseconds": "one evaluation in C with its bound, 20 vectors: microseconds",
    "clustering_ratio_vs_kmeans": "400 travelling bumps, amplitudes over two decades, 5 modes a cluster: projection "
                                  "error by angles over that of k-means, 5 and 8 clusters, the worse",
    "constant_amplitude_ratio": "the same with one amplitude for all, where angles gain nothing",
    "criterion_problems": "problems of 4 on which the a-priori criterion ranks 1, 2, 4 and 8 clusters as finished "
                          "dictionaries do",
    "single_regime": "a problem of one regime: 1 where the criterion says that one model is enough",
    "classifier_accuracy": "recommender on overlapping regimes, 60 training and 500 test fields: accuracy",
    "feature_share": "the same: share of the nodes that it looks at",
    "augmentation_gain": "the same: points of accuracy by synthetic fields, mean of 10 seeds",
    "augmentation_worst": "the same: least gain of one seed (points)",
    "synthetic_labels_right": "the same: share of synthetic labels that simulation confirms",
    "selection_speedup": "selection of nodes beside brute-force mRMR, 10,000 nodes",
    "selection_loss": "the same: share of accuracy that is lost by it",
    "submodel_mean_error": "zone of interest with random boundary values: mean of the stress beside that of whole "
                           "bodies",
    "submodel_std_error": "the same: standard deviation",
    "submodel_mean_error_copula": "the same with a copula: mean",
    "submodel_std_error_copula": "the same with a copula: standard deviation",
    "blade_speedup": "1,008 draws of a blade with 106,299 unknowns through a dictionary of local models, a draw",
    "blade_error": "the same: error of plastic strain and von Mises stress, mean of the unseen full-order draws, the "
                   "worse",
    "error_vs_global": "the same: error over that of one model of the same size, the worse",
    "quantity_mean_error": "the same: mean of the mean plastic strain, relative error",
    "quantity_std_error": "the same: standard deviation, relative error",
    "blade_answered": "the same: share of the draws that are answered and not refused",
    "blade_draws": "the same: draws",
    "dictionary_unknowns": "the same: unknowns",
    "blade_unseen": "the same: unseen full-order draws that it is compared with",
}

ORDER = {name: place for place, name in enumerate(WORDS)}


def row(name: str, figure: dict[str, Any], command: str) -> str:
    """One line of the table."""
    value = _short(figure["value"])
    if figure["unit"] in ("x", "times") and figure["at_least"]:
        value += " times faster"
    target = f"{'at least' if figure['at_least'] else 'at most'} {_short(figure['target'])}"
    return f"| {WORDS.get(name, name)} | {value} | {target} | {figure['peer'] or ''} | `{command}` |"


def _short(value: float) -> str:
    """Three digits, whole numbers in full."""
    return f"{value:,.0f}" if value >= 1000.0 else f"{value:.3g}"


def main() -> None:
    """Replace what stands between the markers."""
    lines = ["| figure | measured | target | peer | command |", "|---|---|---|---|---|"]
    for path in sorted((ROOT / "benchmarks").glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        figures = sorted(content["figures"].items(), key=lambda item: ORDER.get(item[0], len(ORDER)))
        lines += [row(name, figure, f"benchmarks/{path.stem}.py") for name, figure in figures]
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    head, rest = text.split(START)
    tail = rest.split(END)[1]
    readme.write_text(f"{head}{START}\n\n" + "\n".join(lines) + f"\n\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
