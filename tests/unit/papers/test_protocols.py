import json
from dataclasses import asdict, replace
from importlib import resources

import pytest

from anybit.errors import FormatError, OptionError
from anybit.papers import (
    Protocol,
    RecordedName,
    all_protocols,
    dataset_names,
    protocol,
    recorded_protocol,
)

NAMES = [
    "cifar10-setting1",
    "cifar10-setting1-parts",
    "cifar10-setting2",
    "cifar10-setting2-parts",
    "cifar10-dqn",
    "nuswide21-setting1",
    "nuswide21-setting2",
    "nuswide21-dqn",
    "imagenet100-dtq",
    "imagenet100-hashnet",
    "flickr25k-dqn",
]


def test_all_protocols_are_there():
    assert list(all_protocols()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_protocol_is_consistent(name):
    found = protocol(name)
    assert found.dataset in dataset_names()
    bits_per_level = found.n_codewords.bit_length() - 1
    assert 2**bits_per_level == found.n_codewords
    assert all(bits % bits_per_level == 0 for bits in found.bits)
    sizes = found.sizes
    if {"all", "train", "database", "query"} <= sizes.keys():
        apart = 0 if found.split.is_train_in_database else sizes["train"]
        assert sizes["database"] + sizes["query"] + apart == sizes["all"]
    if found.split.kind == "per_class" and {"train", "query"} <= sizes.keys():
        drawn = found.split.train * found.n_classes
        assert sizes["train"] == (drawn or sizes["all"] - sizes["query"])
        assert found.split.query in (0, sizes["query"] / found.n_classes)
    assert found.notes


@pytest.mark.parametrize(
    ("name", "at", "bits", "n_codewords", "sizes"),
    [
        ("cifar10-setting1", 5000, (16, 24, 36, 48), 16, (50_000, 50_000, 10_000)),
        ("cifar10-setting2", 54_000, (8, 16, 24, 32), 256, (5000, 54_000, 1000)),
        ("cifar10-setting1-parts", 5000, (16, 24, 36, 48), 16, (50_000, 50_000, 10_000)),
        ("cifar10-setting2-parts", 54_000, (8, 16, 24, 32), 256, (5000, 54_000, 1000)),
        ("cifar10-dqn", 0, (12, 24, 32, 48), 16, (5000, 54_000, 1000)),
        ("nuswide21-setting2", 5000, (8, 16, 24, 32), 256, (10_000, 190_834, 5000)),
        ("nuswide21-dqn", 5000, (12, 24, 32, 48), 16, (10_500, 183_234, 2100)),
        ("imagenet100-dtq", 5000, (8, 16, 24, 32), 256, (10_000, 128_564, 5000)),
        ("imagenet100-hashnet", 1000, (16, 32, 48, 64), 256, (13_000, 128_503, 5000)),
        ("flickr25k-dqn", 0, (12, 24, 32, 48), 16, (4000, 20_000, 1000)),
    ],
)
def test_protocol_has_the_figures_of_its_paper(name, at, bits, n_codewords, sizes):
    found = protocol(name)
    assert (found.at, found.bits, found.n_codewords) == (at, bits, n_codewords)
    assert tuple(found.sizes[part] for part in ("train", "database", "query")) == sizes


def test_whole_list_becomes_the_size_of_the_database():
    assert protocol("cifar10-dqn").evaluation_options(54_000).at == 54_000
    assert protocol("cifar10-setting1").evaluation_options(50_000).at == 5000
    assert protocol("cifar10-setting1").evaluation_options(300).precision_at == (1, 10, 100, 200)


def test_checksum_changes_with_the_rule_and_not_with_words_about_it():
    found = protocol("cifar10-setting2")
    words = replace(
        found, title="T", source="S", notes=("other",), recorded_as=RecordedName("n", "c")
    )
    assert words.checksum == found.checksum
    assert replace(found, at=1).checksum != found.checksum
    assert replace(found, split=replace(found.split, train=1)).checksum != found.checksum
    assert len({entry.checksum for entry in all_protocols().values()}) == len(NAMES)


# Results that are compared name these: a changed checksum is another protocol.
CHECKSUMS = {
    "cifar10-dqn": "4ee8dfb3465bdd1e",
    "nuswide21-setting1": "88e8c5a3aaaca287",
    "nuswide21-setting2": "ff861e432d8239f4",
    "nuswide21-dqn": "ef8aa76a2b3d6dad",
    "imagenet100-dtq": "42434307967fd8db",
    "imagenet100-hashnet": "80889788c8ce7343",
    "flickr25k-dqn": "5caac0880a30c306",
}


@pytest.mark.parametrize("name", CHECKSUMS)
def test_checksums_of_released_protocols_stay(name):
    assert protocol(name).checksum.startswith(CHECKSUMS[name])


def test_settings_of_cifar10_pool_both_parts_and_draw_per_class():
    for name, query in (("cifar10-setting1", 1000), ("cifar10-setting2", 100)):
        rule = protocol(name).split
        assert (rule.kind, rule.query) == ("per_class", query)
        assert rule.query_part is None
        assert rule.train_part is None
        parts = protocol(f"{name}-parts")
        assert (parts.split.query_part, parts.split.train_part) == ("test", "train")
        assert (parts.sizes, parts.at, parts.bits) == (
            protocol(name).sizes, protocol(name).at, protocol(name).bits,
        )  # fmt: skip


def test_older_results_belong_to_the_protocol_of_their_checksum():
    for name in ("cifar10-setting1", "cifar10-setting2"):
        parts = protocol(f"{name}-parts")
        assert parts.recorded_as.name == name
        assert recorded_protocol(name, parts.recorded_as.checksum) == parts
        assert recorded_protocol(parts.name, parts.checksum) == parts
        assert recorded_protocol(name, protocol(name).checksum) == protocol(name)
        assert recorded_protocol(name, "0" * 64) is None


@pytest.mark.parametrize("name", ["flickr25k-dqn", "cifar10-setting1-parts"])
def test_protocol_is_read_back_from_its_fields(name):
    found = protocol(name)
    assert Protocol.from_dict(json.loads(json.dumps(asdict(found)))) == found


@pytest.mark.parametrize("change", [{"colour": 1}, {"split": {"kind": "parts", "x": 1}}])
def test_unknown_field_is_refused(change):
    with pytest.raises(FormatError, match="fields of Protocol"):
        Protocol.from_dict(asdict(protocol("cifar10-dqn")) | change)


def test_unknown_protocol_names_the_known_ones():
    with pytest.raises(OptionError, match=r"cifar10-setting1.*got 'cifar11'"):
        protocol("cifar11")


def test_protocols_are_package_data():
    assert resources.files("anybit.papers.protocols").joinpath("protocols.json").is_file()
