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
}

ORDER = {name: place for place, name in enumerate(WORDS)}


def row(name: str, figure: dict[str, Any], command: str) -> str:
    """One line of the table."""
    value = f"{figure['value']:.3g}"
    if figure["unit"] == "x" and figure["at_least"]:
        value += " times faster"
    target = f"{'at least' if figure['at_least'] else 'at most'} {figure['target']:.3g}"
    return f"| {WORDS.get(name, name)} | {value} | {target} | {figure['peer'] or ''} | `{command}` |"


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
