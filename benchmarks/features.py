"""Write the features that a model makes of a source as one array.

Example: ``python benchmarks/features.py model train.parquet features.npy``.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from anybit.collection import AddOptions, load_encoder
from anybit.collection.batches import batches_of
from anybit.data import BadItems, open_source


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("source", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    encoder, source = load_encoder(arguments.model), open_source(arguments.source)
    began_s, parts = time.monotonic(), []
    for batch in batches_of(source, encoder, AddOptions(thumbnails_px=0), BadItems()):
        parts.append(encoder.features(batch.inputs).astype(np.float16))
    np.save(arguments.output, np.concatenate(parts))
    print(f"{len(source):,} items in {time.monotonic() - began_s:.0f} s")


if __name__ == "__main__":
    main()
