import pytest
from PIL import Image

from anybit.errors import DataError, FormatError
from anybit.papers import open_dataset


def write_flickr(folder, labels, n_pictures=12):
    """Write numbered pictures and a file of numbers per label."""
    (folder / "mirflickr").mkdir()
    for number in range(1, n_pictures + 1):
        Image.new("RGB", (4, 4), (number, 0, 0)).save(folder / f"mirflickr/im{number}.jpg")
    place = folder / "mirflickr25k_annotations_v080"
    place.mkdir()
    (place / "README.txt").write_text("24 potential labels, 14 relevant labels")
    for name, numbers in labels.items():
        (place / f"{name}.txt").write_text("".join(f"{number}\r\n" for number in numbers))


def test_potential_and_relevant_labels_are_classes_of_their_own(tmp_path):
    write_flickr(tmp_path, {"baby": [2, 10, 11], "baby_r1": [10], "sky": [1, 2]})
    dataset = open_dataset("flickr25k", tmp_path)
    assert dataset.class_names == ("baby", "baby_r1", "sky")
    assert dataset.keys("all") == tuple(f"im{number}.jpg" for number in range(1, 13))
    lists = dataset.labels("all").lists()
    assert [lists[number - 1] for number in (1, 2, 10, 11, 12)] == [(2,), (0, 2), (0, 1), (0,), ()]
    assert dataset.notes == ("8 pictures have no label and are kept",)
    assert dataset.parts["all"].read_image(11).size == (4, 4)


def test_missing_pictures_are_counted(tmp_path):
    write_flickr(tmp_path, {"baby": [2, 14]})
    (tmp_path / "mirflickr/im5.jpg").unlink()
    dataset = open_dataset("flickr25k", tmp_path)
    assert dataset.n_missing == 3  # 5, 13 and 14
    assert len(dataset.parts["all"]) == 11
    assert "3 of the 14 pictures of MIRFlickr-25k are not on disk" in dataset.notes[1]
    assert "the first: im5.jpg" in dataset.notes[1]


@pytest.mark.parametrize("word", ["im3.jpg", "-3", "0", "3.5"])
def test_what_is_no_picture_number_is_refused(tmp_path, word):
    write_flickr(tmp_path, {"baby": [2, word]})
    with pytest.raises(FormatError, match=rf"baby\.txt must hold picture numbers.*'{word}'"):
        open_dataset("flickr25k", tmp_path)


def test_missing_annotations_are_asked_for(tmp_path):
    write_flickr(tmp_path, {"baby": [2]})
    (tmp_path / "mirflickr25k_annotations_v080").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"must hold the annotations too"):
        open_dataset("flickr25k", tmp_path)


def test_empty_annotations_are_refused(tmp_path):
    write_flickr(tmp_path, {})
    with pytest.raises(DataError, match=r"a file <label>\.txt per label, got none"):
        open_dataset("flickr25k", tmp_path)


def test_missing_data_set_says_what_to_fetch(tmp_path):
    with pytest.raises(DataError, match=r"mirflickr25k_annotations_v080\.zip"):
        open_dataset("flickr25k", tmp_path)
