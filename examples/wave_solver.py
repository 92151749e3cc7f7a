"""A program that knows nothing of romflow: parameters as JSON on standard input, the field as a .npy file.

It stands for any solver, in any language: example 03 runs it as a black box.
"""

import json
import sys

import numpy as np

task = json.load(sys.stdin)
speed, damping = task["parameters"]["speed"], task["parameters"]["damping"]
x = np.linspace(0.0, 1.0, 400)
field = np.exp(-damping * x) * np.cos(2 * np.pi * x / speed)
np.save(task["output"], field)
