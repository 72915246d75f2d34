"""Deep Recurrent Quantization."""

from __future__ import annotations

from anybit.models import DRQ, BackboneConfig, DRQConfig, QuantizerConfig
from anybit.training.engine.definition import MethodDefinition
from anybit.training.engine.train_options import TrainOptions
from anybit.training.methods.drq.presets import PRESETS, DRQPreset
from anybit.training.methods.drq.training import DRQTraining

__all__ = ["DRQ_METHOD"]


def _architecture(backbone: BackboneConfig, preset: DRQPreset, options: TrainOptions) -> DRQConfig:
    settings = {
        "n_levels": options.n_levels,
        "n_codewords": options.n_codewords,
        "metric": options.metric or "ip",
        **preset.quantizer,
    }
    return DRQConfig(backbone, QuantizerConfig(**settings), **preset.head)


DRQ_METHOD = MethodDefinition(PRESETS, DRQ, _architecture, DRQTraining)
