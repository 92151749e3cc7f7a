"""Dictionaries of reduced models: every part in a process of its own, one table of all figures.

    python benchmarks/dictionary.py [--quick] [--json FILE] [--only PART ...]

Each part can be run alone too (benchmarks/dictionary_PART.py) and says there what it compares, and how:

clustering   local bases of clusters by angles beside those of k-means
criterion    what the a-priori criterion says beside what dictionaries really cost and err
recommender  accuracy from few nodes, what augmentation gains, and the selection beside brute force
submodel     a zone of interest with random boundary values beside the whole body
blade        1008 draws of a blade through a dictionary beside the full-order solver
"""

from __future__ import annotations

import sys

from figures import arguments, pin_threads
from parts import run

pin_threads()

PARTS = {
    "clustering": ("clustering_ratio_vs_kmeans",),
    "criterion": ("criterion_problems",),
    "recommender": ("classifier_accuracy",),
    "submodel": ("submodel_mean_error",),
    "blade": ("blade_speedup", "blade_error", "error_vs_global")}


if __name__ == "__main__":
    wish = arguments(__doc__ or "", PARTS)
    # The full-order solver of the blade takes both cores; small sizes may be measured two parts at a time,
    # the longest first.
    chosen = wish.only or list(PARTS)
    sys.exit(run("dictionary", PARTS, chosen[::-1] if wish.quick else chosen, wish.quick, wish.json,
                 2 if wish.quick else 1))
