"""Folders of models: what is written is read, and nothing else is taken for it."""

import json
import stat

import numpy as np
import pytest

from anybit.codes import (
    Codebooks,
    FeatureMap,
    ModelFolder,
    codebooks_of,
    feature_map_of,
    read_model_folder,
    write_model_folder,
)
from anybit.errors import FormatError, NotTrainedError, OptionError


def folder(**settings):
    return ModelFolder({"method": "rq"}, {"weights": np.arange(3)}, {"size_px": 32}, settings)


@pytest.fixture
def codebooks():
    return Codebooks.stacked(np.arange(12.0).reshape(2, 2, 3))


def test_a_folder_is_read_as_it_was_written(tmp_path, codebooks):
    made = FeatureMap.linear(np.ones(3), np.eye(3))
    written = write_model_folder(
        tmp_path / "m", folder(epochs=2), codebooks, feature_map=made, files={"a.txt": b"a"}
    )
    found = read_model_folder(tmp_path / "m")
    assert found.fingerprint == written
    assert (found.config["method"], found.preprocessor) == ("rq", {"size_px": 32})
    assert found.summary == {"epochs": 2}
    np.testing.assert_array_equal(found.tensors["weights"], [0, 1, 2])
    np.testing.assert_array_equal(codebooks_of(found).codebooks, codebooks.codebooks)
    np.testing.assert_array_equal(feature_map_of(found).apply(np.ones((1, 3))), [[0, 0, 0]])
    assert (tmp_path / "m" / "a.txt").read_bytes() == b"a"
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_the_fingerprint_is_that_of_the_model_not_of_its_training(tmp_path, codebooks):
    first = write_model_folder(tmp_path / "a", folder(seconds=1.0), codebooks)
    assert write_model_folder(tmp_path / "b", folder(seconds=2.0), codebooks) == first
    other = codebooks.cut(1)
    assert write_model_folder(tmp_path / "c", folder(seconds=1.0), other) != first


def test_a_summary_may_be_missing(tmp_path, codebooks):
    write_model_folder(tmp_path / "m", folder(epochs=2), codebooks)
    (tmp_path / "m" / "training.json").unlink()
    assert read_model_folder(tmp_path / "m").summary == {}


def test_a_folder_is_replaced_only_when_told(tmp_path, codebooks):
    write_model_folder(tmp_path / "m", folder(epochs=1), codebooks)
    with pytest.raises(OptionError, match=r"must not exist yet\. Choose another path"):
        write_model_folder(tmp_path / "m", folder(epochs=2), codebooks)
    assert read_model_folder(tmp_path / "m").summary == {"epochs": 1}
    write_model_folder(tmp_path / "m", folder(epochs=3), codebooks, overwrite=True)
    assert read_model_folder(tmp_path / "m").summary == {"epochs": 3}
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_a_changed_setting_or_weight_is_damage(tmp_path, codebooks):
    fingerprint = write_model_folder(tmp_path / "m", folder(), codebooks)
    config = tmp_path / "m" / "config.json"
    text = config.read_text()
    config.write_text(text.replace('"rq"', '"pq"'))
    with pytest.raises(FormatError, match=f"is damaged: .* the fingerprint {fingerprint[:12]} "):
        read_model_folder(tmp_path / "m")
    config.write_text(text)
    write_model_folder(tmp_path / "other", folder(), codebooks.cut(1))
    weights = (tmp_path / "other" / "model.safetensors").read_bytes()
    (tmp_path / "m" / "model.safetensors").write_bytes(weights)
    with pytest.raises(FormatError, match="is damaged"):
        read_model_folder(tmp_path / "m")


def test_a_folder_of_another_version_or_without_a_model_is_refused(tmp_path, codebooks):
    with pytest.raises(FormatError, match=r"must be a model folder with config.json, got none"):
        read_model_folder(tmp_path)
    write_model_folder(tmp_path / "m", folder(), codebooks)
    config = tmp_path / "m" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "format_version": 99}))
    with pytest.raises(FormatError, match=r"must have model format version \d, got 99"):
        read_model_folder(tmp_path / "m")
    config.write_text("{")
    with pytest.raises(FormatError, match=r"config.json must be a JSON file"):
        read_model_folder(tmp_path / "m")


def test_a_model_without_codebooks_says_so(tmp_path):
    write_model_folder(tmp_path / "m", folder())
    found = read_model_folder(tmp_path / "m")
    assert feature_map_of(found) is None
    with pytest.raises(NotTrainedError, match="must have codebooks, got one without"):
        codebooks_of(found)


def test_every_user_may_read_a_model(tmp_path, codebooks):
    write_model_folder(tmp_path / "m", folder(), codebooks)
    assert stat.S_IMODE((tmp_path / "m").stat().st_mode) == 0o755
    for path in (tmp_path / "m").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o644
