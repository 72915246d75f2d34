"""Draw the theorem on DQN's distances: the error of sqrt(AQD) stays below the quantisation error.

Example: ``python benchmarks/dqn_bound.py --output docs/dqn-bound.png``. Handwritten digits (shipped
with scikit-learn) are quantised by product codes of 8 subspaces of 4, 16 and 256 codewords.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from anybit.quantizers import ProductFitOptions, fit_product


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    vectors = (load_digits().data / 16).astype(np.float32)
    rng = np.random.default_rng(arguments.seed)
    vectors = vectors[rng.permutation(len(vectors))]
    queries, items = vectors[:100], vectors[100:]
    figure, axes = plt.subplots(figsize=(6.4, 4.2))
    largest = 0.0
    for n_codewords, colour in ((4, "#c44e52"), (16, "#dd8452"), (256, "#4c72b0")):
        codebooks = fit_product(items, ProductFitOptions(8, n_codewords)).codebooks
        rebuilt = codebooks.decode(codebooks.encode(items))
        errors = np.linalg.norm(items - rebuilt, axis=1)
        true = np.linalg.norm(queries[:, None] - items[None], axis=2)  # (Q, N)
        coded = np.linalg.norm(queries[:, None] - rebuilt[None], axis=2)  # sqrt(AQD)
        off = coded - true
        if not (np.abs(off) <= errors[None] + 1e-5).all():
            raise SystemExit("the bound does not hold")
        shown = rng.permutation(off.size)[:4000]
        x = np.broadcast_to(errors, off.shape).ravel()[shown]
        label = f"{8 * n_codewords.bit_length() - 8} bits"
        axes.scatter(x, off.ravel()[shown], s=3, alpha=0.35, color=colour, label=label)
        largest = max(largest, float(errors.max()))
        share = np.abs(off).mean() / errors.mean()
        print(f"{label}: mean error of the distance is {share:.3f} of the quantisation error")
    axes.plot([0, largest], [0, largest], color="#333", linewidth=1)
    axes.plot([0, largest], [0, -largest], color="#333", linewidth=1, label="bound")
    axes.set_xlabel("quantisation error |x - C h|")
    axes.set_ylabel("sqrt(AQD) - |q - x|")
    axes.legend(markerscale=4, frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.tight_layout()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(arguments.output, dpi=110)


if __name__ == "__main__":
    main()
