"""Codes and speed of a model by torch and by ONNX Runtime, one thread each.

    OMP_NUM_THREADS=1 python benchmarks/onnx_codes.py MODEL SOURCE [--items 2000] [--output FILE]

MODEL is a folder that `anybit export MODEL --to onnx` wrote. Times are processor time, so that
other work on the machine counts little. Prints JSON, or writes it.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from anybit.bench import environment, write_result
from anybit.collection import EncoderOptions, load_encoder
from anybit.data import open_source

_BATCH = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("source", type=Path)
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    started = environment(("numpy", "torch", "timm", "onnxruntime"))
    torch.set_num_threads(1)
    encoders = {
        name: load_encoder(arguments.model, EncoderOptions("cpu", name, 1))
        for name in ("torch", "onnx")
    }
    codebooks, preprocessor = encoders["torch"].codebooks, encoders["torch"].preprocessor
    source = open_source(arguments.source)
    images = [source.read_image(i) for i in range(min(arguments.items, len(source)))]
    inputs = np.concatenate([preprocessor(image)[None] for image in images])
    features = {}
    result = {
        **started,
        "seed": 0,
        "n_items": len(inputs),
        "input_px": preprocessor.size_px,
        "n_levels": codebooks.n_levels,
        "n_codewords": codebooks.n_codewords,
        "model_fingerprint": encoders["torch"].fingerprint,
    }
    for name, encoder in encoders.items():
        features[name], seconds = _batches(encoder, inputs)
        result[name] = {
            "engine": f"{encoder.engine.name} {encoder.engine.version}",
            f"images_per_s_at_{_BATCH}": round(len(inputs) / seconds, 1),
            "one_image_ms": round(1000 * _one_s(encoder, inputs), 2),
        }
    ours, theirs = features["torch"], features["onnx"]
    is_same = codebooks.encode(ours).planes == codebooks.encode(theirs).planes
    result |= {
        "share_of_equal_codes": float(is_same.mean()),
        "n_codes": is_same.size,
        "largest_difference": float(np.abs(ours - theirs).max()),
        "largest_feature": float(np.abs(ours).max()),
    }
    if arguments.output:
        write_result(arguments.output, result)
    print(json.dumps(result, indent=1))


def _batches(encoder, inputs):
    """Return features and the processor seconds of the faster of two passes."""
    encoder.features(inputs[:_BATCH])  # warms up
    taken = []
    for _ in range(2):
        start = time.process_time()
        parts = [encoder.features(inputs[i : i + _BATCH]) for i in range(0, len(inputs), _BATCH)]
        taken.append(time.process_time() - start)
    return np.concatenate(parts), min(taken)


def _one_s(encoder, inputs):
    taken = []
    for i in range(min(100, len(inputs))):
        start = time.process_time()
        encoder.features(inputs[i : i + 1])
        taken.append(time.process_time() - start)
    return float(np.median(taken))


if __name__ == "__main__":
    main()
