import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from anybit.errors import DataError, FormatError
from anybit.papers import protocol
from anybit.papers.pages.pages import page_text, pictures, write_pages
from anybit.papers.results.result import ArtefactResult, Curve, Embedding, ResultRow, Seeded

ROOT = Path(__file__).parents[3]
RESULTS = ROOT / "benchmarks" / "results" / "papers"
PAGES = ROOT / "docs" / "results"

TABLE = ArtefactResult(
    name="drq-table1",
    title="CIFAR-10, setting 1",
    kind="table",
    rows=(
        ResultRow(
            "DRQ",
            (Seeded.of([0.84, 0.86]), Seeded.of([0.85, 0.87])),
            (0.942, 0.943),
            {"backbone": "resnet|small"},
            {"float features": (Seeded.of([0.9]), None)},
        ),
    ),
    bits=(16, 24),
    metric="mAP@5000: the rule",
    seeds=(0, 1),
    protocol={"name": "cifar10-setting1", "checksum": "a" * 64, "sizes": {"train": 50000}},
    published={"PQ|Net": (0.947, None)},
    training={
        "Remove L_A": {"n_models": 1},
        "n_parameters": 260028,
        "training_s": 97.4,
        "is_cut": True,
        "runs": [{}, {}],
    },
    notes=("One note.",),
    command="anybit papers run drq-table1",
    commit="abc",
    machine="one core",
    versions={"python": "3.11"},
    recipe={"hours": 3},
)
FIGURE = ArtefactResult(
    name="drq-fig3",
    title="Curves",
    kind="figure",
    rows=(),
    curves={"precision_recall": (Curve("DRQ 16 bits", (0.5, 1.0), (0.9, 0.8)),),
            "precision_at": (Curve("DRQ 16 bits", (1.0, 10.0), (0.9, 0.8)),)},
    embeddings=(Embedding(((0.0, 1.5), (2.0, 3.0)), (1, 0), ("cat", "dog")),),
)  # fmt: skip


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "papers"
    folder.mkdir()
    for result in (TABLE, FIGURE):
        (folder / f"{result.name}.json").write_text(json.dumps(result.to_dict()))
    return folder


def links(text):
    return re.findall(r"\]\(([^)]+)\)", text)


def test_pages_pictures_and_index_are_written_and_linked(results, tmp_path):
    output = tmp_path / "pages"
    written = write_pages(results, output)
    assert [path.name for path in written] == [
        "drq-fig3-precision-recall.svg",
        "drq-fig3-precision-at.svg",
        "drq-fig3-tsne.png",
        "drq-fig3.md",
        "drq-table1-bits.svg",
        "drq-table1.md",
        "index.md",
    ]
    for page in output.glob("*.md"):
        text = page.read_text()
        assert links(text)
        assert all((output / link).is_file() for link in links(text))
    index = (output / "index.md").read_text()
    assert (
        "| [drq-table1](drq-table1.md) | CIFAR-10, setting 1 | cifar10-setting1 | - | DRQ | 2 |"
        in index
    )


def test_same_results_give_the_same_bytes(results, tmp_path):
    first = {path.name: path.read_bytes() for path in write_pages(results, tmp_path / "a")}
    second = {path.name: path.read_bytes() for path in write_pages(results, tmp_path / "b")}
    assert first == second


def test_page_says_values_protocol_command_and_versions():
    text = page_text(TABLE, checksum="0" * 64)
    for line in (
        "# CIFAR-10, setting 1",
        "Measure: mAP@5000: the rule.",
        "- protocol: cifar10-setting1",
        f"- checksum of the protocol: `{'a' * 64}`",
        "- sizes: train 50,000",
        "| method | source | 16 bits | 24 bits |",
        "| DRQ | ours | 0.850 ± 0.127 | 0.860 ± 0.127 |",
        "|  | paper | 0.942 | 0.943 |",
        "|  | float features | 0.900 | - |",
        r"| PQ\|Net | paper | 0.947 | - |",
        "- paper: as printed there, not run here",
        "- Remove L_A: models 1",
        "- parameters: 260,028",
        "- training (s): 97.4",
        "- is cut: yes",
        "- runs: 2 entries, in the JSON file",
        "- DRQ: backbone resnet|small",
        "- One note.",
        "anybit papers run drq-table1",
        "- commit: abc",
        "- versions: python 3.11",
        "- recipe hours: 3",
        f"Generated from `drq-table1.json` (SHA-256 `{'0' * 64}`); not edited by hand.",
    ):
        assert line in text.splitlines(), line
    assert "mean over the seeds 0, 1 ± half of its 95 % interval" in text


def test_result_of_a_renamed_protocol_is_shown_under_the_name_of_its_checksum(results, tmp_path):
    own = protocol("cifar10-setting1-parts")
    recorded = {"name": "cifar10-setting1", "checksum": own.recorded_as.checksum}
    old = replace(TABLE, protocol=recorded)
    lines = page_text(old, checksum="").splitlines()
    assert lines[0] == "# CIFAR-10, setting 1 (cifar10-setting1-parts)"
    assert "- protocol: cifar10-setting1-parts" in lines
    assert "- recorded as: cifar10-setting1" in lines
    assert f"- checksum of the protocol: `{own.recorded_as.checksum}`" in lines
    (results / "drq-table1.json").write_text(json.dumps(old.to_dict()))
    write_pages(results, tmp_path / "pages")
    assert "| cifar10-setting1-parts |" in (tmp_path / "pages" / "index.md").read_text()


def test_companions_of_unseen_classes_are_said_to_be_of_another_model():
    companions = {"unseen classes": (None, None), "unseen classes, float": (None, None)}
    row = replace(TABLE.rows[0], companions=companions)
    text = page_text(replace(TABLE, rows=(row,)), checksum="")
    assert "- unseen classes: a separate model, trained without these classes" in text
    assert "- unseen classes, float: the features of that separate model" in text


def test_one_seed_is_said_to_have_no_interval():
    row = replace(TABLE.rows[0], ours=(Seeded.of([0.8]), Seeded.of([0.8])))
    text = page_text(replace(TABLE, rows=(row,), seeds=(7,)), checksum="")
    assert "- ours: one run (seed 7), so there is no interval" in text.splitlines()
    unseeded = page_text(replace(TABLE, rows=(row,), seeds=()), checksum="")
    assert "- ours:" not in unseeded  # numbers of parameters have no seed


def test_map_is_drawn_only_where_code_lengths_are_compared():
    def names(result):
        return list(pictures(result))

    assert names(TABLE) == ["drq-table1-bits.svg"]
    row = TABLE.rows[0]
    single = replace(row, ours=(row.ours[0], None))
    assert names(replace(TABLE, rows=(single,))) == []
    assert names(replace(TABLE, bits=(), columns=("parameters", "mAP"))) == []


def test_caption_says_what_a_band_is():
    curve = FIGURE.curves["precision_at"][0]
    banded = replace(curve, lower=(0.8, 0.7), upper=(1.0, 0.9))
    captions = [
        next(iter(pictures(replace(FIGURE, curves={"precision_at": (one,)})).values()))[0]
        for one in (curve, banded)
    ]
    assert captions == [
        "Precision among the first R",
        "Precision among the first R; band: all seeds",
    ]


def test_same_table_of_another_network_has_a_page_of_its_own(results, tmp_path):
    other = replace(TABLE, recipe={"backbone": "alexnet"})
    (results / "drq-table1.alexnet.json").write_text(json.dumps(other.to_dict()))
    written = {path.name for path in write_pages(results, tmp_path / "pages")}
    assert {"drq-table1.md", "drq-table1.alexnet.md", "drq-table1.alexnet-bits.svg"} <= (written)
    index = (tmp_path / "pages" / "index.md").read_text()
    assert "| alexnet |" in index
    assert 0 < index.index("](drq-table1.md)") < index.index("](drq-table1.alexnet.md)")
    (results / "drq-table7.alexnet.json").write_text(json.dumps(other.to_dict()))
    with pytest.raises(DataError, match=r"to drq-table1\.json, or to drq-table1\.WORD\.json"):
        write_pages(results, tmp_path / "pages")


def test_wrong_folders_and_files_are_refused(results, tmp_path):
    with pytest.raises(DataError, match="at least one JSON file"):
        write_pages(tmp_path / "nowhere", tmp_path / "pages")
    (results / "other.json").write_text(json.dumps(TABLE.to_dict()))
    with pytest.raises(DataError, match=r"other\.json must hold the result 'other'"):
        write_pages(results, tmp_path / "pages")
    (results / "other.json").write_text("{}")
    with pytest.raises(FormatError, match=r"other\.json"):
        write_pages(results, tmp_path / "pages")
    wrong = replace(FIGURE, curves={"loss": FIGURE.curves["precision_at"]})
    with pytest.raises(DataError, match="curves must be one of precision_recall"):
        pictures(wrong)


@pytest.mark.skipif(not list(RESULTS.glob("*.json")), reason="no paper was run")
def test_stored_pages_are_those_of_the_stored_results(tmp_path):
    """Byte for byte but for pictures, which differ with the version of matplotlib.

    A page holds the checksum of its JSON file, so a picture of older figures is found as well.
    """
    written = write_pages(RESULTS, tmp_path)
    for path in written:
        stored = PAGES / path.name
        assert stored.is_file(), f"write the pages anew: {path.name} is missing"
        if path.suffix == ".md":
            assert stored.read_text() == path.read_text(), f"write the pages anew: {path.name}"
    assert {path.name for path in PAGES.iterdir()} == {path.name for path in written}
