"""Table 4: what is counted are the arrays that are stored."""

from __future__ import annotations

import json

import numpy as np
import pytest

from anybit.codes import Codebooks
from anybit.errors import OptionError
from anybit.papers import ArtefactResult, published
from anybit.papers.parameters import codebook_size, parameters_result


@pytest.fixture(scope="module")
def rows():
    return {row.method: row for row in parameters_result().rows}


def counted(row):
    return [int(value.mean) for value in row.ours]


def test_independent_codebooks_are_those_of_the_paper(rows):
    assert counted(rows["AQ"]) == list(rows["AQ"].paper)
    assert counted(rows["AQ"])[-1] == 6 * 256 * 2048


def test_shared_codebook_adds_one_scale_a_level_to_the_paper(rows):
    more = np.array(counted(rows["DRQ"])) - rows["DRQ"].paper
    assert more.tolist() == [1, 2, 3, 4, 5, 6]
    with_offset = np.array(counted(rows["DRQ with offset"])) - counted(rows["DRQ"])
    assert with_offset.tolist() == [2048] * 6


def test_product_codebooks_are_those_of_the_paper_where_subspaces_divide_the_dimension(rows):
    for name in ("PQ", "OPQ"):
        is_same = [
            ours == paper for ours, paper in zip(counted(rows[name]), rows[name].paper, strict=True)
        ]
        assert is_same == [True, True, False, True, False, False]
    assert codebook_size("OPQ", 3).dim == 2049
    assert codebook_size("OPQ", 3).n_parameters == 256 * 2049 + 2049**2


def test_formula_agrees_and_bytes_are_four_a_number(rows):
    for row in rows.values():
        assert counted(row) == [int(value.mean) for value in row.companions["formula"]]
        n_bytes = [int(value.mean) for value in row.companions["bytes"]]
        assert n_bytes == [4 * count for count in counted(row)]


def test_count_is_that_of_codebooks_read_back_from_a_file(tmp_path):
    codebooks = Codebooks.shared(np.ones((16, 12), np.float32), np.ones(3, np.float32))
    codebooks.save(tmp_path / "codebooks")
    arrays, _ = Codebooks.load(tmp_path / "codebooks").to_tensors()
    size = codebook_size("DRQ", 3, dim=12, n_codewords=16)
    assert size.n_parameters == sum(array.size for array in arrays.values()) == 16 * 12 + 3


def test_trained_models_store_as_much():
    from anybit.models import (
        ProductConfig,
        ProductQuantization,
        QuantizerConfig,
        RecurrentQuantization,
    )

    sizes = {"n_levels": 3, "n_codewords": 16}
    blocks = {
        "DRQ": RecurrentQuantization(12, QuantizerConfig(**sizes, has_offset=False)),
        "DRQ with offset": RecurrentQuantization(12, QuantizerConfig(**sizes, has_offset=True)),
        "PQ": ProductQuantization(12, ProductConfig(**sizes)),
        "OPQ": ProductQuantization(12, ProductConfig(**sizes, has_rotation=True)),
    }
    for name, block in blocks.items():
        arrays, _ = block.export_codebooks().to_tensors()
        size = codebook_size(name, 3, dim=12, n_codewords=16)
        assert sum(array.size for array in arrays.values()) == size.n_parameters, name


def test_result_can_be_written_and_read():
    result = parameters_result()
    assert ArtefactResult.from_dict(json.loads(json.dumps(result.to_dict()))) == result
    assert result.bits == published("drq-table4").bits


def test_unknown_method_and_no_level_are_refused():
    with pytest.raises(OptionError, match=r"one of PQ, OPQ, .*, got 'LSH'"):
        codebook_size("LSH", 1)
    with pytest.raises(OptionError, match="at least 1, got 0"):
        codebook_size("PQ", 0)
