import pytest
from PIL import Image

from anybit.errors import DataError
from anybit.papers import open_dataset
from anybit.papers.datasets.imagenet import open_imagenet

SYNSETS = ["n01440764", "n02389026", "n03047690"]


def picture(path):
    """Write a small picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4), (9, 9, 9)).save(path, "JPEG")


def write_imagenet(folder, has_folders=True):
    """Write train and val of three synsets; classes.txt names two of them."""
    for synset in SYNSETS:
        for number in range(4):
            picture(folder / "train" / synset / f"{synset}_{number}.JPEG")
    names = []
    for number, synset in enumerate([*SYNSETS, *SYNSETS]):
        name = f"ILSVRC2012_val_{number + 1:08}.JPEG"
        below = folder / "val" / synset if has_folders else folder / "val"
        picture(below / name)
        names.append((name, synset))
    (folder / "classes.txt").write_text(f"{SYNSETS[2]} clog\n{SYNSETS[0]}\n")
    return names


def test_folders_of_the_listed_classes_are_opened(tmp_path):
    write_imagenet(tmp_path)
    dataset = open_dataset("imagenet100", tmp_path)
    assert dataset.class_names == (SYNSETS[2], SYNSETS[0])
    assert {part: len(source) for part, source in dataset.parts.items()} == {"train": 8, "val": 4}
    assert dataset.keys("train")[4] == f"train/{SYNSETS[0]}/{SYNSETS[0]}_0.JPEG"
    assert dataset.labels("train").integers().tolist() == [0] * 4 + [1] * 4
    assert dataset.parts["val"].read_image(3).size == (4, 4)


@pytest.mark.parametrize("truth", ["kaggle", "lines"])
def test_flat_validation_pictures_get_their_synset_from_the_ground_truth(tmp_path, truth):
    names = write_imagenet(tmp_path, has_folders=False)
    if truth == "kaggle":
        rows = [f"{name[:-5]},{synset} 1 2 3 4 \n" for name, synset in reversed(names)]
        (tmp_path / "LOC_val_solution.csv").write_text("ImageId,PredictionString\n" + "".join(rows))
    else:
        path = tmp_path / "val/imagenet_2012_validation_synset_labels.txt"
        path.write_text("".join(f"{synset}\n" for _, synset in names))
    dataset = open_imagenet(tmp_path)
    assert dataset.keys("val") == tuple(
        f"val/{name}" for name, synset in names if synset != SYNSETS[1]
    )
    assert dataset.labels("val").integers().tolist() == [1, 0, 1, 0]


def test_ground_truth_of_another_length_is_refused(tmp_path):
    write_imagenet(tmp_path, has_folders=False)
    path = tmp_path / "imagenet_2012_validation_synset_labels.txt"
    path.write_text(f"{SYNSETS[0]}\n")
    with pytest.raises(DataError, match="one line per validation picture: 6, got 1"):
        open_imagenet(tmp_path)


def test_picture_without_ground_truth_is_named(tmp_path):
    names = write_imagenet(tmp_path, has_folders=False)
    rows = [f"{name[:-5]},{synset} 1\n" for name, synset in names[1:]]
    (tmp_path / "LOC_val_solution.csv").write_text("ImageId,PredictionString\n" + "".join(rows))
    with pytest.raises(DataError, match=f"1 have none; the first: {names[0][0]}"):
        open_imagenet(tmp_path)


def test_flat_validation_without_ground_truth_is_refused(tmp_path):
    write_imagenet(tmp_path, has_folders=False)
    with pytest.raises(DataError, match="a ground truth must give the synsets"):
        open_imagenet(tmp_path)


@pytest.mark.parametrize("part", ["train", "val"])
def test_missing_class_is_named(tmp_path, part):
    write_imagenet(tmp_path)
    (tmp_path / part / SYNSETS[2]).rename(tmp_path / "away")
    with pytest.raises(DataError, match=f"{part} must hold a folder.*missing: {SYNSETS[2]}"):
        open_imagenet(tmp_path)


def test_classes_are_asked_for_where_there_are_not_a_hundred(tmp_path):
    write_imagenet(tmp_path)
    (tmp_path / "classes.txt").unlink()
    with pytest.raises(DataError, match=r"100 synsets, got 3\. Write the synsets"):
        open_imagenet(tmp_path)


def test_class_listed_twice_is_refused(tmp_path):
    write_imagenet(tmp_path)
    (tmp_path / "classes.txt").write_text(f"{SYNSETS[0]}\n{SYNSETS[0]}\n")
    with pytest.raises(DataError, match="each synset once, got 2"):
        open_imagenet(tmp_path)


def test_lists_name_their_classes_by_the_synsets_in_the_paths(tmp_path):
    for part in ("train", "test", "database"):
        lines = []
        for column, synset in enumerate(SYNSETS):
            key = f"{'val' if part == 'test' else 'train'}/{synset}/{part}_{column}.JPEG"
            picture(tmp_path / key)
            hot = " ".join("1" if other == column else "0" for other in range(3))
            lines.append(f"/data/of/theirs/{key} {hot}\n")
        (tmp_path / f"{part}.txt").write_text("".join(lines))
    dataset = open_dataset("imagenet100", tmp_path)
    assert dataset.class_names == tuple(SYNSETS)
    assert dataset.keys("query")[1] == f"val/{SYNSETS[1]}/test_1.JPEG"
    (tmp_path / "classes.txt").write_text("a\nb\n")
    with pytest.raises(DataError, match="must name the 3 classes of the lists, got 2"):
        open_dataset("imagenet100", tmp_path)


def test_lists_of_different_classes_are_refused(tmp_path):
    picture(tmp_path / "a.JPEG")
    (tmp_path / "train.txt").write_text("a.JPEG 0 1\n")
    (tmp_path / "test.txt").write_text("a.JPEG 0 1 0\n")
    with pytest.raises(DataError, match="must have the same classes"):
        open_dataset("imagenet100", tmp_path)


def test_lists_without_any_picture_are_refused(tmp_path):
    for part in ("train", "test"):
        (tmp_path / f"{part}.txt").write_text("far/away.JPEG 0 1\n")
    with pytest.raises(DataError, match=r"got none of 2 looked for.*far/away\.JPEG"):
        open_dataset("imagenet100", tmp_path)


def test_missing_data_set_says_what_to_fetch(tmp_path):
    with pytest.raises(DataError, match=r"ILSVRC2012_img_train\.tar"):
        open_dataset("imagenet100", tmp_path)
