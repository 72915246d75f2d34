"""Train a tiny model in a process of its own: to be killed, or to be one of several.

Usage: python training_run.py OUTPUT N_DEVICES KILL_AT_STEP BACKBONE
"""

import os
import signal
import sys

import numpy as np
import torch


def make_source(n_items=48, n_classes=3, seed=0):
    """Coloured, noisy squares of a few classes."""
    from anybit.data import ArrayImages, Labels

    generator = np.random.default_rng(seed)
    y = np.arange(n_items) % n_classes
    colours = generator.integers(30, 226, size=(n_classes, 1, 1, 3))
    noise = generator.integers(-30, 31, size=(n_items, 28, 28, 3))
    pixels = np.clip(colours[y] + noise, 0, 255).astype(np.uint8)
    return ArrayImages(pixels, labels=Labels.from_integers(y))


def make_options(backbone="resnet-small", n_devices=1):
    """Three epochs of a network of a few thousand parameters."""
    from anybit.training import TrainOptions

    is_small = backbone == "resnet-small"
    return TrainOptions(
        bits=8,
        n_codewords=4,
        backbone=backbone,
        backbone_options={"widths": [4, 8, 8]} if is_small else {},
        preset_overrides={"head": {"head_dims": (8, 6)}},
        input_px=28 if is_small else 64,
        epochs=(1, 1, 1),
        batch_size=16,
        device="cpu",
        n_devices=n_devices,
        # views are drawn per process, so several processes agree with one only without them
        augmentation="flip_crop" if n_devices == 1 and is_small else "none",
        checkpoint_seconds=0.0,
    )


def main():
    from anybit.training import train

    output, n_devices, kill_at, backbone = sys.argv[1:]
    torch.set_num_threads(1)

    def progress(done, total):
        if done == int(kill_at):
            os.kill(os.getpid(), signal.SIGKILL)

    options = make_options(backbone, int(n_devices))
    train(make_source(), options, output=output, resume=True, progress=progress)


if __name__ == "__main__":
    main()
