"""A new head for a finished backbone: head and quantiser learn, the backbone stays."""

import torch

from anybit.models import DRQ, BackboneConfig, DRQConfig, QuantizerConfig
from anybit.training import presets_of
from anybit.training.methods.drq.head_tuning import HeadSchedule, tune_head
from anybit.training.methods.drq.objective import Objective


def tuned(seed):
    """Tune a small head on four clusters; return what changed and the losses of similarity."""
    torch.manual_seed(3)
    config = DRQConfig(
        BackboneConfig("resnet-small", 16, {"widths": [4, 4, 8]}),
        QuantizerConfig(n_levels=2, n_codewords=4),
        head_dims=(6, 5),
        is_unit_length=True,
    )
    model = DRQ(config)
    labels = torch.eye(4, dtype=torch.bool).repeat(20, 1)  # (80, 4)
    features = 3 * torch.randn(4, 8).repeat(20, 1) + torch.randn(80, 8)
    objective = Objective(presets_of("drq")["anybit"].losses, torch.eye(4, 5), model.head.dim)
    before = {name: value.clone() for name, value in model.state_dict().items()}

    def loss():
        with torch.no_grad():
            return float(sum(objective.similarity(*model.head(features), labels).values()))

    first = loss()
    seen = []
    schedule = HeadSchedule(
        presets_of("drq")["anybit"].fine_tune, n_epochs=10, batch_size=8, seed=seed
    )
    tune_head(model, objective, features, labels, schedule, seen.append)
    assert [x.shape for x in seen] == [(80, 11)]
    changed = {name for name, value in model.state_dict().items() if not value.equal(before[name])}
    return changed, first, loss(), model


def test_head_and_quantiser_learn_and_the_backbone_stays():
    changed, first, last, model = tuned(0)
    assert last < 0.7 * first
    assert {name.split(".")[0] for name in changed} == {"head", "quantizer"}
    assert not model.head.training


def test_the_same_seed_tunes_the_same_head():
    heads = [tuned(seed)[3].head.state_dict() for seed in (1, 1, 2)]
    assert all(heads[0][name].equal(heads[1][name]) for name in heads[0])
    assert not all(heads[0][name].equal(heads[2][name]) for name in heads[0])
