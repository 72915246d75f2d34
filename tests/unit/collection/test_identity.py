"""Adding never replaces by accident: what each item of a source is taken for.

A place is a folder or file with some contents (small numbers); each kind of source is written so
that equal numbers are equal files or rows.
"""

import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from anybit.codes import Codebooks, ModelFolder, write_model_folder
from anybit.collection import AddOptions, Collection
from anybit.data import ArrayVectors, Preprocessor, open_source
from anybit.errors import DataError, OptionError

DIM = 6


class Colours:
    """Stands in for a network: the mean colour of a picture, twice, is its feature."""

    kind = "images"
    preprocessor = Preprocessor(size_px=4, mean=(0, 0, 0), std=(1, 1, 1))
    has_own_device = False

    def __init__(self, codebooks):
        self.codebooks, self.n_encoded = codebooks, 0
        self.vector_dim = codebooks.dim

    def features(self, batch):
        self.n_encoded += len(batch)
        means = batch.mean(axis=(2, 3))
        return np.concatenate([means, means], axis=1)


def vector(number):
    return np.random.default_rng(number).random(DIM).astype(np.float32)


def picture(path, number):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (number % 256, number // 256, 90)).save(path)


def table_of(contents, **columns):
    flat = pa.array(np.array([vector(one) for one in contents], np.float32).reshape(-1))
    return pa.table({"vector": pa.FixedSizeListArray.from_arrays(flat, DIM), **columns})


def write_array(place, contents, ids=None):
    place = place.with_suffix(".npz" if ids else ".npy")
    rows = np.array([vector(one) for one in contents]).reshape(-1, DIM)
    if ids:
        np.savez(place, x=rows, ids=np.array(ids))
    else:
        np.save(place, rows)
    return place


def write_parquet(place, contents, ids=None):
    place = place.with_suffix(".parquet")
    pq.write_table(table_of(contents, **({"id": ids} if ids else {})), place)
    return place


def write_shards(place, contents, ids=None):
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    for at in range(0, len(contents), 2):
        write_parquet(place / f"{at}", contents[at : at + 2], ids and ids[at : at + 2])
    return place


def write_folder(place, contents, ids=None):
    shutil.rmtree(place, ignore_errors=True)
    for at, number in enumerate(contents):
        picture(place / "red" / f"{at}.png", number)
    if ids:
        lines = [f"red/{at}.png,{one}" for at, one in enumerate(ids)]
        (place / "metadata.csv").write_text("\n".join(["file_name,id", *lines]) + "\n")
    return place


def write_manifest(place, contents, ids=None):
    write_folder(place, contents, ids)
    if not ids:
        lines = [f"red/{at}.png" for at in range(len(contents))]
        (place / "metadata.csv").write_text("\n".join(["file_name", *lines]) + "\n")
    return place


WRITERS = {
    "array": write_array,
    "parquet": write_parquet,
    "shards": write_shards,
    "folder": write_folder,
    "manifest": write_manifest,
}
IS_IMAGES = {"folder", "manifest"}


def remove(place):
    shutil.rmtree(place) if place.is_dir() else place.unlink()


def collection(tmp_path, kind, name="shop"):
    values = np.random.default_rng(0).random((3, 16, DIM)).astype(np.float32)
    codebooks = Codebooks.stacked(values)
    content = ModelFolder({"method": "rq", "backbone": {"name": "none"}}, {})
    write_model_folder(tmp_path / f"{name}-model", content, codebooks)
    made = Collection.create(tmp_path / name, tmp_path / f"{name}-model")
    if kind in IS_IMAGES:
        made._encoder = Colours(codebooks)
    return made


@pytest.fixture(params=sorted(WRITERS))
def kind(request):
    return request.param


@pytest.fixture
def shop(tmp_path, kind):
    return collection(tmp_path, kind)


@pytest.fixture
def write(kind):
    return WRITERS[kind]


def counts(report):
    return (report.n_added, report.n_updated, report.n_moved, report.n_unchanged)


def version(made):
    made.refresh()
    return made.lookup.version


def stored_ids(made):
    return sorted(made.index().ids.tolist())


def refused(made, source, options=None, match="an id that an item of another source has"):
    before = version(made)
    with pytest.raises(DataError, match=match) as caught:
        made.add(source, options)
    assert version(made) == before
    return str(caught.value)


def test_the_same_source_again_changes_nothing(shop, write, tmp_path):
    place = write(tmp_path / "a", [1, 2, 2, 3])
    assert counts(shop.add(place)) == (4, 0, 0, 0)
    before = version(shop)
    link = tmp_path / ("link" + place.suffix)
    link.symlink_to(place)
    for spelling in (place, link, Path(os.path.relpath(place)), place.parent / "." / place.name):
        assert counts(shop.add(spelling)) == (0, 0, 0, 4)
    if place.is_dir():
        assert counts(shop.add(f"{place}{os.sep}")) == (0, 0, 0, 4)
        assert counts(shop.add(place / ".." / place.name)) == (0, 0, 0, 4)
    assert version(shop) == before


def test_a_changed_item_at_its_place_is_updated_and_further_ones_are_new(shop, write, tmp_path):
    shop.add(write(tmp_path / "a", [1, 2, 3]))
    ids = stored_ids(shop)
    report = shop.add(write(tmp_path / "a", [1, 9, 3, 4, 4]))
    assert (report.n_added, report.n_updated + report.n_unchanged) == (2, 3)
    assert report.n_updated >= 1
    assert set(ids) < set(stored_ids(shop))
    assert len(shop) == 5


@pytest.mark.parametrize("is_old_gone", [False, True])
@pytest.mark.parametrize("contents", [[7, 8, 9], [1, 2, 9], [1, 2, 3]])
def test_another_source_that_meets_used_ids(shop, write, tmp_path, contents, is_old_gone):
    old = write(tmp_path / "a", [1, 2, 3])
    shop.add(old)
    ids, planes = stored_ids(shop), shop.index().codes.planes
    new = write(tmp_path / "b", contents)
    if is_old_gone:
        remove(old)
    if is_old_gone and contents == [1, 2, 3]:
        assert counts(shop.add(new)) == (0, 0, 3, 0)
        assert counts(shop.add(new)) == (0, 0, 0, 3)
    else:
        message = refused(shop, new)
        n_clashes = 3 - (2 if is_old_gone and contents[0] == 1 else 0)
        assert f"got {n_clashes} of 3 such items" in message
        assert str(old.resolve()) in message
        assert str(new.resolve()) in message
        assert "--id-prefix" in message
        assert "--replace" in message
    assert stored_ids(shop) == ids
    np.testing.assert_array_equal(shop.index().codes.planes, planes)


def test_a_prefix_keeps_both_and_adding_again_changes_nothing(shop, write, tmp_path):
    shop.add(write(tmp_path / "a2023", [1, 2, 3]))
    new = write(tmp_path / "a2024", [1, 8, 9])
    options = AddOptions(id_prefix="2024/")
    assert counts(shop.add(new, options)) == (3, 0, 0, 0)
    before = version(shop)
    assert counts(shop.add(new, options)) == (0, 0, 0, 3)
    assert version(shop) == before
    keys = set(shop.get(shop.index().ids)["key"].to_pylist())
    assert len({one for one in keys if one and one.startswith("2024/")}) == 3
    assert len(shop) == 6
    report = shop.add(write(tmp_path / "a2024", [1, 8, 7]), options)
    assert (report.n_added, report.n_moved) == (0, 0)
    assert report.n_updated >= 1
    assert len(shop) == 6


def test_replace_overwrites_on_purpose(shop, write, tmp_path):
    shop.add(write(tmp_path / "a", [1, 2, 3]))
    new = write(tmp_path / "b", [1, 8])
    refused(shop, new)
    assert counts(shop.add(new, AddOptions(replace=True))) == (0, 2, 0, 0)
    assert counts(shop.add(new)) == (0, 0, 0, 2)
    refused(shop, tmp_path / write(tmp_path / "a", [1, 2, 3]))


@pytest.mark.parametrize("is_old_gone", [False, True])
def test_equal_contents_under_unused_ids(shop, write, tmp_path, is_old_gone):
    """The old place still there: second items. Gone: the same items, moved."""
    old = write(tmp_path / "a", [1, 2, 2, 3])
    shop.add(old)
    ids = stored_ids(shop)
    new = write(tmp_path / "b", [3, 2, 5, 2, 2])
    if is_old_gone:
        remove(old)
    options = AddOptions(id_prefix="b/")
    expected = (2, 0, 3, 0) if is_old_gone else (5, 0, 0, 0)
    assert counts(shop.add(new, options)) == expected
    assert set(ids) <= set(stored_ids(shop))
    assert len(shop) == (6 if is_old_gone else 9)
    before = version(shop)
    assert counts(shop.add(new, options)) == (0, 0, 0, 5)
    assert version(shop) == before


def test_moved_items_keep_their_ids_when_they_change_later(shop, write, tmp_path):
    old = write(tmp_path / "a", [1, 2, 3])
    shop.add(old)
    ids = stored_ids(shop)
    new = write(tmp_path / "b", [3, 2, 1])
    remove(old)
    options = AddOptions(id_prefix="b/")
    assert counts(shop.add(new, options)) == (0, 0, 3, 0)
    # Without the prefix they are found again, once more by their contents.
    third = write(tmp_path / "c", [2, 3, 1])
    remove(new)
    report = shop.add(third, AddOptions(id_prefix="c/"))
    assert counts(report) == (0, 0, 3, 0)
    report = shop.add(write(tmp_path / "c", [2, 9, 1]), AddOptions(id_prefix="c/"))
    assert (report.n_added, report.n_moved) == (0, 0)
    assert report.n_updated >= 1
    assert stored_ids(shop) == ids
    assert counts(shop.add(third, AddOptions(id_prefix="c/"))) == (0, 0, 0, 3)


def test_given_ids_update_on_purpose_and_are_counted(shop, write, tmp_path):
    shop.add(write(tmp_path / "a", [1, 2, 3], ids=[10, 11, 12]))
    new = write(tmp_path / "b", [8, 9], ids=[12, 13])
    plans = []
    report = shop.add(new, None, None, plans.append)
    assert counts(report) == (1, 1, 0, 0)
    assert report.n_existing == 1
    assert (plans[0].n_new, plans[0].n_updated, plans[0].n_existing) == (1, 1, 1)
    assert stored_ids(shop) == [10, 11, 12, 13]
    assert counts(shop.add(new)) == (0, 0, 0, 2)


def test_given_and_derived_ids_do_not_meet(shop, write, tmp_path):
    derived = write(tmp_path / "a", [1, 2, 3])
    shop.add(derived)
    ids = stored_ids(shop)
    given = write(tmp_path / "b", [8, 9], ids=[ids[1], 555])
    assert "got 1 of 2 such items" in refused(shop, given)
    assert counts(shop.add(given, AddOptions(id_prefix="b/"))) == (2, 0, 0, 0)
    assert counts(shop.add(given, AddOptions(replace=True))) == (1, 1, 0, 0)
    # Now the id is given, and its old source must not take it back.
    assert "a source of given ids" in refused(shop, derived)
    assert len(shop) == 6


def test_codes_made_elsewhere_replace_only_given_ids(shop, write, tmp_path):
    shop.add(write(tmp_path / "a", [1, 2, 3]))
    ids = np.array([stored_ids(shop)[0], 900])
    codes = shop.index().codes.take(np.array([0, 1]))
    before = version(shop)
    with pytest.raises(DataError, match="got 1 of 2 such items"):
        shop.add_codes(codes, ids, shop.model_fingerprint)
    assert version(shop) == before or len(shop) == 3
    assert shop.add_codes(codes, ids + 5000, shop.model_fingerprint).n_added == 2
    report = shop.add_codes(codes, ids + 5000, shop.model_fingerprint)
    assert (report.n_updated, report.n_existing) == (2, 2)
    assert shop.add_codes(codes, ids, shop.model_fingerprint, replace=True).n_updated == 1


def test_an_addition_to_a_used_source_from_two_processes_is_refused_at_the_commit(
    shop, write, tmp_path
):
    """Both see an empty collection, and derive the same ids."""
    other = Collection.open(shop.path)
    other._encoder = shop._encoder
    ours, theirs = write(tmp_path / "a", [1, 2, 3]), write(tmp_path / "b", [4, 5, 6])

    def meanwhile(_):
        other.add(theirs)

    with pytest.raises(DataError, match="was stored meanwhile by another process"):
        shop.add(ours, None, None, meanwhile)
    assert counts(other.add(theirs)) == (0, 0, 0, 3)
    # The same source twice at once is no accident.
    again = write(tmp_path / "b", [4, 5, 6, 7, 8])
    shop.add(again, None, None, lambda _: other.add(again))
    assert len(shop) == 5


def test_arrays_in_memory_are_told_by_their_contents(tmp_path):
    made = collection(tmp_path, "array")
    rows = np.array([vector(one) for one in (1, 2, 3)])
    assert made.add(ArrayVectors(rows)).n_added == 3
    assert counts(made.add(ArrayVectors(rows.copy()))) == (0, 0, 0, 3)
    more = np.concatenate([rows, [vector(4)]]).astype(np.float32)
    assert counts(made.add(ArrayVectors(more))) == (1, 0, 0, 3)
    message = refused(made, ArrayVectors(more[::-1]))
    assert "an array in memory" in message
    assert counts(made.add(ArrayVectors(more[::-1]), AddOptions(id_prefix="b"))) == (4, 0, 0, 0)
    saved = write_array(tmp_path / "saved", [1, 2, 3, 4])
    assert made.add(saved).n_added == 0
    assert counts(made.add(saved)) == (0, 0, 0, 4)
    assert counts(made.add(ArrayVectors(more))) == (0, 0, 0, 4)
    assert len(made) == 8


def test_a_renamed_picture_keeps_its_id_and_gives_its_old_name_free(tmp_path):
    made = collection(tmp_path, "folder")
    place = write_folder(tmp_path / "a", [1, 2, 3])
    made.add(place)
    by_key = dict(zip(made.get(made.index().ids)["key"].to_pylist(), made.index().ids, strict=True))
    (place / "blue").mkdir()
    (place / "red/0.png").rename(place / "blue/0.png")
    assert counts(made.add(place)) == (0, 0, 1, 2)
    row = made.get(np.array([by_key["red/0.png"]]))
    assert row["key"].to_pylist() == ["blue/0.png"]
    assert row["labels"].to_pylist() == [["blue"]]
    assert counts(made.add(place)) == (0, 0, 0, 3)
    picture(place / "red/0.png", 77)  # its derived id is in use
    assert counts(made.add(place)) == (1, 0, 0, 3)
    assert counts(made.add(place)) == (0, 0, 0, 4)
    picture(place / "red/0.png", 78)
    assert counts(made.add(place)) == (0, 1, 0, 3)
    assert sorted(made.get(made.index().ids)["key"].to_pylist()) == [
        "blue/0.png", "red/0.png", "red/1.png", "red/2.png",
    ]  # fmt: skip


def test_of_two_equal_pictures_only_the_one_that_was_moved_moves(tmp_path):
    made = collection(tmp_path, "folder")
    place = write_folder(tmp_path / "a", [1, 1, 1, 2])
    made.add(place)
    (place / "red/1.png").rename(place / "red/9.png")
    picture(place / "red/8.png", 1)  # a fourth one
    assert counts(made.add(place)) == (1, 0, 1, 3)
    assert len(made) == 5
    assert counts(made.add(place)) == (0, 0, 0, 5)


def test_given_ids_follow_moved_pictures(tmp_path):
    made = collection(tmp_path, "manifest")
    place = write_manifest(tmp_path / "a", [1, 2], ids=[5, 6])
    made.add(place)
    place.rename(tmp_path / "b")
    report = made.add(tmp_path / "b")
    assert counts(report) == (0, 0, 2, 0)
    assert report.n_existing == 2
    paths = made._store.read(["path"])["path"].to_pylist()
    assert paths == [str((tmp_path / "b/red" / f"{at}.png").resolve()) for at in (0, 1)]
    assert counts(made.add(tmp_path / "b")) == (0, 0, 0, 2)


def test_an_interrupted_move_goes_on(shop, write, tmp_path):
    old = write(tmp_path / "a", list(range(10)))
    shop.add(old)
    ids = stored_ids(shop)
    new = old.rename(old.with_stem("b"))
    done = []

    def interrupt(n_done, _):
        done.append(n_done)
        if len(done) > 1:
            raise KeyboardInterrupt

    options = AddOptions(batch_size=2, rows_per_commit=2)
    try:
        shop.add(new, options, interrupt)
    except KeyboardInterrupt:
        pass
    report = shop.add(new)
    assert (report.n_added, report.n_updated) == (0, 0)
    assert report.n_moved + report.n_unchanged == 10
    assert stored_ids(shop) == ids


def test_too_many_bad_images_take_a_move_back(tmp_path):
    made = collection(tmp_path, "folder")
    old = write_folder(tmp_path / "a", list(range(6)))
    made.add(old)
    rows = made._store.read(["id", "path", "item_source"])
    new = old.rename(tmp_path / "b")
    for at in range(10, 14):
        (new / "red" / f"{at}.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="at most"):
        made.add(new, AddOptions(batch_size=2, rows_per_commit=2))
    assert made._store.read(["id", "path", "item_source"]).equals(rows)


@pytest.mark.parametrize("stored", ["images", "features", "thumbnails"])
def test_moved_pictures_are_not_encoded_again(tmp_path, stored):
    made = collection(tmp_path, "folder")
    old = write_folder(tmp_path / "a", [1, 2, 2, 3])
    options = AddOptions(
        thumbnails_px=8 if stored == "thumbnails" else 0,
        store_images=stored == "images",
        store_features=stored == "features",
    )
    made.add(old, options)
    own = [one for one in made._store.columns if one not in ("path", "item_source", "signature")]
    before, n_encoded = made._store.read(own), made._encoder.n_encoded
    new = old.rename(tmp_path / "b")
    assert counts(made.add(new, options)) == (0, 0, 4, 0)
    assert made._encoder.n_encoded == n_encoded
    assert made._store.read(own).equals(before)
    paths = made._store.read(["path"])["path"].to_pylist()
    assert sorted(paths) == [str((new / "red" / f"{at}.png").resolve()) for at in range(4)]
    assert counts(made.add(new, options)) == (0, 0, 0, 4)


@pytest.mark.parametrize("change", ["options", "label", "time"])
def test_moved_pictures_are_encoded_again_where_more_than_the_place_changed(tmp_path, change):
    made = collection(tmp_path, "folder")
    old = write_folder(tmp_path / "a", [1, 2, 3])
    made.add(old)
    n_encoded = made._encoder.n_encoded
    new = old.rename(tmp_path / "b")
    if change == "label":
        (new / "red").rename(new / "blue")
    if change == "time":
        os.utime(new / "red/1.png", (1, 1))
    options = AddOptions(store_features=True) if change == "options" else AddOptions()
    assert counts(made.add(new, options)) == (0, 0, 3, 0)
    assert made._encoder.n_encoded - n_encoded == (1 if change == "time" else 3)
    labels = made._store.read(["labels"])["labels"].to_pylist()
    assert labels == [["blue" if change == "label" else "red"]] * 3
    assert counts(made.add(new, options)) == (0, 0, 0, 3)


def test_a_move_with_new_items_goes_in_one_addition(shop, write, tmp_path):
    old = write(tmp_path / "a", [1, 2, 3])
    shop.add(old)
    remove(old)
    new = write(tmp_path / "b", [1, 2, 3, 7, 8])
    assert counts(shop.add(new)) == (2, 0, 3, 0)
    index = shop.index()
    features = np.array([vector(one) for one in (1, 2, 3, 7, 8)])
    if isinstance(shop._encoder, Colours):
        return
    found = shop.search_features(features, k=5)
    assert set(found.ids.ravel().tolist()) == set(index.ids.tolist())
    assert counts(shop.add(new)) == (0, 0, 0, 5)


@pytest.mark.parametrize("prefix", ["", "a\nb", "x" * 201])
def test_unusable_prefixes_are_refused(tmp_path, prefix):
    made = collection(tmp_path, "array")
    with pytest.raises(OptionError, match="id_prefix must be 1 to 200 printable"):
        made.add(write_array(tmp_path / "a", [1]), AddOptions(id_prefix=prefix))


def test_a_prefix_and_a_name_are_not_taken_for_another_prefix_and_name(tmp_path):
    made = collection(tmp_path, "array")
    place = write_array(tmp_path / "a", list(range(12)))
    for prefix in ("1", "11"):  # "1" and row 11, "11" and row 1
        assert made.add(place, AddOptions(id_prefix=prefix)).n_added == 12
    assert made.add(place).n_added == 12
    assert len(made) == 36
    one = open_source(place).with_id_prefix("1")
    assert one.keys[:2] == ("10", "11")


def test_another_model_finds_items_in_a_source_wherever_they_are(tmp_path):
    from anybit.collection.item_match import positions_of_stored

    made = collection(tmp_path, "folder")
    place = write_folder(tmp_path / "a", [1, 2, 3])
    made.add(place)
    (place / "red/0.png").rename(place / "red/7.png")
    made.add(place)
    for source in (open_source(place), open_source(place.rename(tmp_path / "b"))):
        ids, positions = positions_of_stored(source, made._store)
        assert ids.tolist() == stored_ids(made)
        keys = [source.keys[one] for one in positions.tolist()]
        assert keys == made.get(ids)["key"].to_pylist()
    picture(tmp_path / "b/red/7.png", 99)  # neither its place nor its content is known
    ids, positions = positions_of_stored(open_source(tmp_path / "b"), made._store)
    assert sorted(positions.tolist()) == [-1, 0, 1]


def forget_sources(made):
    """Leave rows as releases before format version 3 wrote them: without source and digest."""
    names = [one for one in made._store.columns if not one.startswith(("item_", "level_"))]
    levels = [f"level_{one:02d}" for one in range(made._store.n_levels)]
    made._store.upsert(made._store.read([*names, *levels]))
    assert set(made._store.read(["item_source"])["item_source"].to_pylist()) == {None}


def test_items_of_older_collections_are_recognised_by_place_or_signature(shop, write, tmp_path):
    place = write(tmp_path / "a", [1, 2, 3])
    shop.add(place)
    ids = stored_ids(shop)
    forget_sources(shop)
    before = version(shop)
    assert counts(shop.add(place)) == (0, 0, 0, 3)
    assert version(shop) == before  # nothing is written only to record the source
    report = shop.add(write(tmp_path / "a", [1, 2, 9, 4]))
    assert report.n_added == 1
    assert set(ids) < set(stored_ids(shop))
    sources = shop._store.read(["item_source"])["item_source"].to_pylist()
    assert set(sources) - {None} == {str(place.resolve())}


def test_another_source_does_not_replace_items_of_older_collections(shop, write, tmp_path):
    shop.add(write(tmp_path / "a", [1, 2, 3]))
    forget_sources(shop)
    message = refused(shop, write(tmp_path / "b", [7, 8, 9]))
    assert "a source that was not recorded" in message
    assert counts(shop.add(tmp_path / write(tmp_path / "b", [7, 8, 9]), AddOptions(replace=True)))[
        :2
    ] == (0, 3)


def test_a_moved_folder_of_an_older_collection_keeps_its_ids(tmp_path):
    made = collection(tmp_path, "folder")
    made.add(write_folder(tmp_path / "a", [1, 2, 3]))
    forget_sources(made)
    ids = stored_ids(made)
    (tmp_path / "a").rename(tmp_path / "b")
    assert counts(made.add(tmp_path / "b")) == (0, 0, 3, 0)
    assert stored_ids(made) == ids
    paths = made._store.read(["path"])["path"].to_pylist()
    assert all(Path(path).is_file() for path in paths)


def test_given_ids_update_items_of_older_collections(shop, write, tmp_path):
    shop.add(write(tmp_path / "a", [1, 2], ids=[5, 6]))
    forget_sources(shop)
    report = shop.add(write(tmp_path / "b", [8, 9], ids=[6, 7]))
    assert (report.n_added, report.n_updated, report.n_existing) == (1, 1, 1)


def test_a_folder_that_cannot_be_looked_at_is_not_gone(tmp_path, monkeypatch):
    from anybit.collection.stored_items import gone_paths

    there, gone = tmp_path / "there.png", tmp_path / "gone.png"
    there.touch()
    names = [str(there), str(gone), None, ":memory:", str(there / "below.png")]
    assert gone_paths(names).tolist() == [False, True, False, False, True]
    many = [str(tmp_path / f"{at}.png") for at in range(100)]
    Path(many[7]).touch()
    assert np.flatnonzero(~gone_paths(many)).tolist() == [7]
    assert gone_paths([str(tmp_path / "no/such") + f"/{at}" for at in range(100)]).all()

    def refuse(*_, **__):
        raise PermissionError(13, "no right")

    monkeypatch.setattr("anybit.collection.stored_items.os.listdir", refuse)
    monkeypatch.setattr(Path, "stat", refuse)
    assert not gone_paths([*many, str(gone)]).any()
    assert not gone_paths([str(gone)]).any()  # asked for by name, not listed
