"""Speed of `Collection.add` on images against the forward pass of the backbone alone.

    python benchmarks/encoding.py MODEL SOURCE [--items 2000] [--batch-size 128] [--output FILE]

The forward pass runs over batches that lie preprocessed in memory, in halves before and after the
addition, so that a machine that changes its speed meanwhile does not favour either. Prints JSON,
or writes it.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from anybit.bench import environment, write_result
from anybit.collection import AddOptions, Collection, Encoder, load_encoder
from anybit.data import Source, open_source

# Batches kept in memory; the forward pass goes round them.
_N_BATCHES = 4


def main() -> None:
    arguments = _parsed()
    started = environment()
    source = open_source(arguments.source)
    chosen = np.linspace(0, len(source) - 1, min(arguments.items, len(source))).astype(np.int64)
    source = source.take(np.unique(chosen))
    options = AddOptions(
        batch_size=arguments.batch_size,
        n_workers=arguments.workers,
        thumbnails_px=arguments.thumbnails_px,
    )
    encoder = load_encoder(arguments.model, arguments.device)
    batches = _preprocessed(source, encoder, options.batch_size)
    _forward_s(encoder, batches, options.batch_size)  # warms up
    with tempfile.TemporaryDirectory() as folder:
        collection = Collection.create(Path(folder) / "c", arguments.model, device=arguments.device)
        collection.encoder.features(batches[0])
        before_s = _forward_s(encoder, batches, len(source) // 2)
        start = time.perf_counter()
        collection.add(source, options)
        add_s = time.perf_counter() - start
        after_s = _forward_s(encoder, batches, len(source) - len(source) // 2)
    forward_s = before_s + after_s
    result = {
        **started,
        "seed": 0,
        "n_items": len(source),
        "batch_size": options.batch_size,
        "thumbnails_px": options.thumbnails_px,
        "input_px": int(batches[0].shape[-1]),
        "bits": encoder.codebooks.bits,
        "forward_images_per_s": round(len(source) / forward_s, 1),
        "add_images_per_s": round(len(source) / add_s, 1),
        "share_of_forward": round(forward_s / add_s, 3),
    }
    if arguments.output is not None:
        write_result(arguments.output, result)
    print(json.dumps(result, indent=1))


def _preprocessed(source: Source, encoder: Encoder, batch_size: int) -> list[np.ndarray]:
    """Return a few batches of network input (B, 3, H, W)."""
    if encoder.preprocessor is None:
        raise SystemExit("the model must take images")
    batches = []
    for batch in source.iter_batches(batch_size, encoder.preprocessor):
        batches.append(encoder.preprocessor.normalise(batch.data))
        if len(batches) == _N_BATCHES:
            break
    return batches


def _forward_s(encoder: Encoder, batches: list[np.ndarray], n_items: int) -> float:
    """Return the seconds that the forward pass takes for `n_items` images."""
    start, n_done, number = time.perf_counter(), 0, 0
    while n_done < n_items:
        batch = batches[number % len(batches)][: n_items - n_done]
        encoder.features(batch)
        n_done, number = n_done + len(batch), number + 1
    return time.perf_counter() - start


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("source", type=Path)
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--thumbnails-px", type=int, default=96)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--output", type=Path, help="JSON file for the figures")
    return parser.parse_args()


if __name__ == "__main__":
    main()
