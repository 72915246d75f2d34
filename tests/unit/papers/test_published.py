"""The papers' tables: the numbers that are printed there, and their known faults as notes."""

from __future__ import annotations

from importlib import resources

import pytest

from anybit.errors import FormatError, OptionError
from anybit.papers import PublishedTable, protocol, published, published_tables

# Sum of all values of a table: a figure that is mistyped changes it.
SUMS = {
    "drq-table1": 29.472,
    "drq-table2": 42.97,
    "drq-table3-cifar10": 27.544,
    "drq-table3-nuswide21": 32.951,
    "drq-table3-imagenet100": 22.629,
    "drq-table4": 45_613_056,
    "drq-table5": 18.945,
    "dqn-table1-nuswide": 13.66,
    "dqn-table1-cifar10": 9.933,
    "dqn-table1-flickr25k": 15.571,
    "dqn-variants-nuswide": 8.74,
    "dqn-variants-cifar10": 6.464,
    "dqn-variants-flickr25k": 9.699,
}


def test_all_tables_are_there_with_their_figures():
    found = {name: sum(map(sum, one.methods.values())) for name, one in published_tables().items()}
    assert found == pytest.approx(SUMS, abs=1e-9)


def test_rows_of_drq_are_those_of_its_paper():
    rows = {name: published(f"drq-{name}").methods["DRQ"] for name in ("table1", "table2")}
    assert rows == {
        "table1": (0.942, 0.943, 0.943, 0.943),
        "table2": (0.772, 0.838, 0.840, 0.843),
    }
    assert published("drq-table3-cifar10").methods["DRQ"] == (0.803, 0.824, 0.832, 0.837)
    assert published("drq-table3-imagenet100").methods["DRQ"] == (0.551, 0.583, 0.585, 0.587)
    whole = published("drq-table3-nuswide21").methods["DRQ"]
    assert published("drq-table5").methods["DRQ"] == whole == (0.748, 0.810, 0.817, 0.821)


@pytest.mark.parametrize("name", sorted(published_tables()))
def test_drq_and_dqn_do_not_lose_with_length_and_map_is_a_share(name):
    table = published(name)
    assert all(
        list(row) == sorted(row)
        for method, row in table.methods.items()
        if method in ("DRQ", "DQN", "DQN2+", "DQNip")
    )
    if table.metric.startswith("mAP"):
        assert all(0 < value < 1 for row in table.methods.values() for value in row)


@pytest.mark.parametrize("name", [n for n in published_tables() if "table4" not in n])
def test_table_has_the_lengths_and_the_data_set_of_its_protocol(name):
    table = published(name)
    rule = protocol(table.protocol)
    assert (table.bits, table.dataset) == (rule.bits, rule.dataset)


def test_rows_that_drq_copied_from_dqn_are_the_same_and_noted():
    theirs, copied = published("dqn-table1-nuswide"), published("drq-table2")
    assert copied.methods["DQN"] == theirs.methods["DQN"]
    assert copied.methods["NINH"] == theirs.methods["DNNH"]
    assert (theirs.bits[2], copied.bits[2]) == (32, 36)
    assert any("32 bits, not 36" in note for note in copied.notes)


def test_rows_whose_label_is_lost_are_kept_apart():
    rows = published("drq-table5").methods
    assert len(rows) == 7
    assert rows["Remove (row 2)"] != rows["Remove (row 3)"]


def test_unknown_table_is_refused_with_those_there_are():
    with pytest.raises(OptionError, match=r"one of drq-table1, .*, got 'drq-table9'"):
        published("drq-table9")


def test_row_that_does_not_fit_the_lengths_is_refused():
    fields = {
        "name": "t", "metric": "mAP", "dataset": None, "protocol": None,
        "bits": [8, 16], "notes": [], "methods": {"DRQ": [0.5]},
    }  # fmt: skip
    with pytest.raises(FormatError, match=r"DRQ of t must have one value .* 2 code lengths, got 1"):
        PublishedTable.from_dict(fields)
    del fields["bits"]
    with pytest.raises(FormatError, match="fields of PublishedTable"):
        PublishedTable.from_dict(fields)


def test_tables_are_a_resource_of_the_package():
    assert resources.files("anybit.papers.results").joinpath("published.json").is_file()
