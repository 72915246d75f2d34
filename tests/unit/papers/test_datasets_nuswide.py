import numpy as np
import pytest
from PIL import Image

from anybit.errors import DataError, FormatError
from anybit.papers import open_dataset
from anybit.papers.datasets.nuswide import open_nuswide

CONCEPTS = ["airport", "animal", "beach", "sky", "tree"]


def write_nuswide(folder, hot, concepts=CONCEPTS, pictures="Flickr"):
    """Write list, ground truth and pictures as NUS-WIDE has them; return the keys."""
    for place in ("ImageList", "Groundtruth/AllLabels", "ConceptsList"):
        (folder / place).mkdir(parents=True)
    keys = [f"actor{row % 3}/{row:04}_21244.jpg" for row in range(len(hot))]
    listed = "".join(key.replace("/", "\\") + "\r\n" for key in keys)
    (folder / "ImageList/Imagelist.txt").write_bytes(listed.encode())
    (folder / "ConceptsList/Concepts81.txt").write_text("\n".join(concepts) + "\n")
    for name, column in zip(concepts, hot.T, strict=True):
        lines = "".join(f"{digit}\n" for digit in column)
        (folder / f"Groundtruth/AllLabels/Labels_{name}.txt").write_text(lines)
    for row, key in enumerate(keys):
        path = folder / pictures / key
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (row, 0, 0)).save(path)
    return keys


HOT = np.array(
    [
        [0, 1, 0, 1, 0],
        [0, 0, 0, 1, 0],
        [1, 0, 0, 0, 0],
        [0, 1, 1, 1, 0],
        [0, 0, 0, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 1, 0, 0, 1],
    ]
)


def test_most_frequent_concepts_are_kept(tmp_path):
    keys = write_nuswide(tmp_path, HOT)
    dataset = open_nuswide(tmp_path, 3)
    # animal and sky occur three times each: the first in the list comes first.
    assert dataset.class_names == ("animal", "sky", "beach")
    assert dataset.keys("all") == tuple(keys[row] for row in (0, 1, 3, 5, 6))
    assert dataset.labels("all").lists() == [(0, 1), (1,), (0, 1, 2), (2,), (0,)]
    assert dataset.notes == ("2 of 7 pictures have none of the 3 concepts and are left out",)
    assert dataset.n_missing == 0
    red = np.asarray(dataset.parts["all"].read_image(2))[0, 0, 0]
    assert abs(int(red) - 3) <= 2  # JPEG


def test_missing_pictures_are_counted_only_where_they_have_a_concept(tmp_path):
    keys = write_nuswide(tmp_path, HOT, pictures="images")
    for row in (0, 5, 4):
        (tmp_path / "images" / keys[row]).unlink()
    dataset = open_nuswide(tmp_path, 3)
    assert dataset.n_missing == 2
    assert dataset.keys("all") == tuple(keys[row] for row in (1, 3, 6))
    assert "2 of the 5 pictures of Imagelist.txt are not on disk" in dataset.notes[1]
    assert f"the first: {keys[0]}" in dataset.notes[1]


def test_twenty_one_of_81_concepts(rng, tmp_path):
    concepts = [f"concept{number:02}" for number in range(81)]
    hot = (rng.random((60, 81)) < np.linspace(0.02, 0.5, 81)).astype(int)
    (tmp_path / "nus-wide").mkdir()
    write_nuswide(tmp_path / "nus-wide", hot, concepts)
    dataset = open_dataset("nuswide21", tmp_path)
    counts = hot.sum(axis=0)
    assert len(dataset.class_names) == 21
    assert (
        counts[[concepts.index(name) for name in dataset.class_names]].min()
        >= (np.sort(counts)[-21])
    )
    assert len(dataset.parts["all"]) == int(
        hot[:, np.argsort(-counts, kind="stable")[:21]].any(axis=1).sum()
    )
    assert len(open_dataset("nuswide81", tmp_path).class_names) == 81


def test_cut_label_file_is_refused(tmp_path):
    write_nuswide(tmp_path, HOT)
    path = tmp_path / "Groundtruth/AllLabels/Labels_sky.txt"
    path.write_text(path.read_text()[:-2])
    with pytest.raises(
        DataError, match=r"Labels_sky\.txt must have one line per picture.*7, got 6"
    ):
        open_nuswide(tmp_path, 3)


@pytest.mark.parametrize("word", ["2", "11", "x"])
def test_other_digit_is_refused(tmp_path, word):
    write_nuswide(tmp_path, HOT)
    path = tmp_path / "Groundtruth/AllLabels/Labels_beach.txt"
    path.write_text(path.read_text().replace("1\n", f"{word}\n", 1))
    with pytest.raises(FormatError, match=r"Labels_beach\.txt: every line must be 0 or 1, line 4"):
        open_nuswide(tmp_path, 3)


def test_missing_class_is_named(tmp_path):
    write_nuswide(tmp_path, HOT)
    (tmp_path / "Groundtruth/AllLabels/Labels_tree.txt").unlink()
    with pytest.raises(DataError, match="for the concept tree"):
        open_nuswide(tmp_path, 3)


def test_unknown_concept_is_named(tmp_path):
    write_nuswide(tmp_path, HOT)
    with (tmp_path / "ConceptsList/Concepts81.txt").open("a") as file:
        file.write("unicorn\n")
    with pytest.raises(DataError, match="for the concept unicorn"):
        open_nuswide(tmp_path, 3)


def test_too_few_concepts_are_refused(tmp_path):
    write_nuswide(tmp_path, HOT)
    with pytest.raises(DataError, match="at least 21 concepts, got 5"):
        open_dataset("nuswide21", tmp_path)


def test_pictures_that_are_nowhere_are_asked_for(tmp_path):
    write_nuswide(tmp_path, HOT, pictures="elsewhere")
    with pytest.raises(DataError, match="none of 7 looked for is there"):
        open_nuswide(tmp_path, 3)


def test_missing_data_set_says_what_to_fetch(tmp_path):
    with pytest.raises(DataError, match="Lab for Media Search"):
        open_dataset("nuswide21", tmp_path)
