"""DQN: head, variants, the model folder, and distances by table look-up."""

import numpy as np
import pytest
import torch

from anybit.codes import read_model_folder
from anybit.data import Labels
from anybit.errors import FormatError, OptionError
from anybit.evaluation import EvaluationInput, evaluate
from anybit.models import (
    DQN,
    DRQ,
    BackboneConfig,
    DQNConfig,
    DRQConfig,
    ProductConfig,
    QuantizerConfig,
    load_model,
)
from anybit.search import Index
from reference import dqn

BACKBONE = BackboneConfig("resnet-small", 16, {"widths": [4, 4, 8]})


def made(variant="dqn", dim=6, metric="l2", **settings):
    torch.manual_seed(2)
    product = ProductConfig(3, 4, has_rotation=variant == "dqn2+", metric=metric)
    model = DQN(DQNConfig(BACKBONE, product, dim, variant=variant, **settings)).eval()
    model.quantizer.codebooks.normal_(std=0.3)
    if model.quantizer.rotation is not None:
        model.quantizer.rotation.copy_(torch.linalg.qr(torch.randn(dim, dim))[0])
    model.preprocessor, model.class_names = {"size_px": 16}, ("a", "b")
    return model


def test_head_is_linear():
    model = made()
    features = torch.randn(2, 8)
    first, second, both = (model.head(x) for x in (features[0], features[1], features.sum(dim=0)))
    torch.testing.assert_close(first + second - model.head(torch.zeros(8)), both)


def test_unit_length_gives_unit_vectors(rng):
    images = rng.standard_normal((4, 3, 16, 16)).astype(np.float32)
    lengths = np.linalg.norm(made(is_unit_length=True).features(images), axis=1)
    np.testing.assert_allclose(lengths, 1, rtol=1e-6)  # float32 division
    assert np.ptp(np.linalg.norm(made().features(images), axis=1)) > 1e-3


@pytest.mark.parametrize("variant", ["dqn", "dqn2+", "dqnip"])
def test_saved_model_gives_the_same_features_and_codes(tmp_path, rng, variant):
    model = made(variant)
    fingerprint = model.save_pretrained(tmp_path / "model")
    assert read_model_folder(tmp_path / "model").config["method"] == variant
    images = rng.standard_normal((9, 3, 16, 16)).astype(np.float32)
    for again in (DQN.from_pretrained(tmp_path / "model"), load_model(tmp_path / "model")):
        np.testing.assert_array_equal(again.features(images), model.features(images))
        codes = [one.export_codebooks().encode(one.features(images)) for one in (model, again)]
        np.testing.assert_array_equal(codes[0].planes, codes[1].planes)
        assert (again.method, again.class_names) == (variant, ("a", "b"))
        assert again.fingerprint == fingerprint
    output = model(torch.from_numpy(images))
    np.testing.assert_array_equal(codes[0].planes, output.codes.numpy())


def test_load_model_picks_the_class_by_the_method(tmp_path):
    DRQ(DRQConfig(BACKBONE, QuantizerConfig(2, 4), (6, 5))).save_pretrained(tmp_path / "drq")
    made().save_pretrained(tmp_path / "dqn")
    assert type(load_model(tmp_path / "drq")) is DRQ
    assert type(load_model(tmp_path / "dqn")) is DQN
    with pytest.raises(FormatError, match="must hold a DQN model, got 'drq'"):
        DQN.from_pretrained(tmp_path / "drq")
    with pytest.raises(FormatError, match="must hold a DRQ model, got 'dqn'"):
        DRQ.from_pretrained(tmp_path / "dqn")


def test_search_ranks_by_the_asymmetric_distance_of_equation_5(rng):
    model = made()
    items, queries = rng.standard_normal((2, 30, 6)).astype(np.float32)
    codebooks = model.export_codebooks()
    codes = codebooks.encode(items)
    found = Index(codebooks, codes).search(queries, 30)
    for q, query in enumerate(queries):
        wanted = [
            dqn.asymmetric_distance(query, codebooks.codebooks, codes.planes[:, i])
            for i in found.ids[q]
        ]
        # float32 sums of three entries
        assert (np.diff(wanted) >= -1e-5).all()


def test_product_codes_have_one_length(rng):
    """Subspaces are no prefixes: neither codebooks nor an evaluation offers shorter codes."""
    codebooks = made().export_codebooks()
    items, labels = (
        rng.standard_normal((30, 6)).astype(np.float32),
        Labels.from_integers([0, 1] * 15),
    )
    found = evaluate(EvaluationInput(codebooks, codebooks.encode(items), items, labels, labels))
    assert codebooks.lengths() == [row.bits for row in found.lengths] == [6]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dim": 7}, "multiple of the 3 subspaces, got 7"),
        ({"variant": "other"}, "must be one of dqn, dqn2"),
        ({"variant": "dqnip", "is_unit_length": True}, "free length"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(OptionError, match=message):
        made(**settings)


def test_rotation_belongs_to_dqn2():
    with pytest.raises(OptionError, match="has a rotation and the others have none, got dqn2"):
        DQNConfig(BACKBONE, ProductConfig(3, 4), 6, variant="dqn2+")
