"""PASCAL VOC2007, multi-label: codes of 16 to 48 bits against the pretrained float features.

Usage:
    python benchmarks/voc2007.py DATA.parquet --output DIR --backbone NAME --weights FILE ...

DATA has the columns image, labels (a list of names) and split (trainval / test). The model is
trained on trainval. Two protocols, mAP over the whole list, relevant is what shares a label:
``trainval`` is the database and test the queries; and, with a database that training never saw,
every fifth picture of test a query and the other four fifths the database. Beside the
model stand the pooled features of the pretrained backbone (cosine), uncompressed.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from image_runs import add_training_arguments, map_at, options_of, trained

from anybit.bench import environment, write_result
from anybit.data import Preprocessor, Source, SourceOptions, open_source
from anybit.evaluation import EvaluationInput
from anybit.models import BackboneConfig, build_backbone
from anybit.papers import features_of
from anybit.quantizers import RecurrentFitOptions, fit_recurrent

BITS = (16, 24, 32, 40, 48)
N_CODEWORDS = 256


def main() -> None:
    """Train, evaluate by both protocols, and write one JSON file."""
    args = parsed()
    started = environment()
    trainval = open_source(args.data, SourceOptions(split="trainval"))
    test = open_source(args.data, SourceOptions(split="test"))
    model = trained(trainval, options_of(args, BITS[-1], N_CODEWORDS), args.output / "model")
    codebooks = model.export_codebooks()
    learned = [features_of(model, source) for source in (trainval, test)]
    pooled = [pretrained_features(args, model.preprocessor, s) for s in (trainval, test)]
    options = RecurrentFitOptions(n_levels=6, n_codewords=N_CODEWORDS, metric="cosine")
    unsupervised = fit_recurrent(pooled[0], options).codebooks
    report: dict[str, Any] = {**started, "seed": args.seed}
    is_query = np.arange(len(test)) % 5 == 0
    for name, (base, queried, rows, asked) in {
        "trainval_to_test": (0, 1, slice(None), slice(None)),
        "test_to_test": (1, 1, ~is_query, is_query),
    }.items():
        labels = (trainval.labels, test.labels)
        at = np.arange(len(labels[base]))[rows], np.arange(len(labels[queried]))[asked]
        for kind, vectors, books in (
            ("trained", learned, codebooks),
            ("pretrained", pooled, unsupervised),
        ):
            items = vectors[base][at[0]]
            data = EvaluationInput(
                books,
                books.encode(items),
                vectors[queried][at[1]],
                labels[queried].take(at[1]),
                labels[base].take(at[0]),
                items,
            )
            print(name, kind)
            report[f"{name}_{kind}"] = map_at(data, BITS, len(items))
    write_result(args.output / "result.json", {**report, "training": model.summary})


def pretrained_features(
    args: argparse.Namespace, settings: dict[str, Any], source: Source
) -> np.ndarray:
    """Return the pooled features of the pretrained backbone alone, (N, D) float32, unit length."""
    options = options_of(args, BITS[-1], N_CODEWORDS)
    config = BackboneConfig(
        options.backbone,
        options.input_px,
        options.backbone_options,
        options.input_mean,
        options.input_std,
    )
    network = build_backbone(config, args.weights).module.eval()
    preprocessor = Preprocessor.from_dict(settings)
    parts = []
    with torch.inference_mode():
        for batch in source.iter_batches(256, preprocessor):
            pixels = torch.from_numpy(preprocessor.normalise(batch.data))
            parts.append(network(pixels).numpy())
    found = np.concatenate(parts)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    add_training_arguments(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()
