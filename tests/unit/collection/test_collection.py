import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image

from anybit.codes import Codebooks, Codes, ModelFolder, write_model_folder
from anybit.collection import AddOptions, Collection, draw_contact_sheet, load_encoder
from anybit.collection.manifest import read_manifest
from anybit.data import Preprocessor
from anybit.errors import DataError, FormatError, NotTrainedError, OptionError, ShapeError
from anybit.store import open_folder

DIM = 8


class ColourEncoder:
    """Stands in for a network: the mean colour of a picture, repeated, is its feature."""

    kind = "images"
    preprocessor = Preprocessor(size_px=4, mean=(0, 0, 0), std=(1, 1, 1))
    fingerprint = ""

    def __init__(self, codebooks, has_own_device=False):
        self.codebooks, self.has_own_device = codebooks, has_own_device

    def features(self, batch):
        means = batch.mean(axis=(2, 3))  # (B, 3)
        return np.concatenate([means, means, means[:, :2]], axis=1)


def _codebooks(seed=0, **options):
    values = np.random.default_rng(seed).random((3, 16, DIM)).astype(np.float32)
    return Codebooks.stacked(values, **options)


def _model(path, backbone="none", **config):
    content = {"method": "rq", "backbone": {"name": backbone}, **config}
    preprocessor = None if backbone == "none" else ColourEncoder.preprocessor.to_dict()
    write_model_folder(path, ModelFolder(content, {}, preprocessor), _codebooks())
    return path


def _vectors(path, n_items=60, seed=1):
    rng = np.random.default_rng(seed)
    x = rng.random((n_items, DIM)).astype(np.float32)
    np.savez(path, x=x, y=np.arange(n_items) % 3)
    return x


@pytest.fixture
def collection(tmp_path):
    return Collection.create(tmp_path / "shop", _model(tmp_path / "model"))


@pytest.fixture
def pictures(tmp_path):
    """Twenty pictures in two class folders."""
    rng = np.random.default_rng(4)
    for label in ("cat", "dog"):
        (tmp_path / "pictures" / label).mkdir(parents=True)
        for number in range(10):
            pixels = np.full((120, 60, 3), rng.integers(0, 256, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / label / f"{number}.png")
    return tmp_path / "pictures"


@pytest.fixture
def gallery(tmp_path):
    made = Collection.create(tmp_path / "gallery", _model(tmp_path / "image-model", "colour"))
    made._encoder = ColourEncoder(made.codebooks)
    return made


def test_add_and_search_vectors(collection, tmp_path):
    x = _vectors(tmp_path / "x.npz")
    seen = []
    report = collection.add(
        tmp_path / "x.npz", AddOptions(rows_per_commit=7), lambda *done: seen.append(done)
    )
    assert (report.n_added, report.n_updated, report.n_bad, report.bad_file) == (60, 0, 0, None)
    assert seen[-1] == (60, 60)
    assert len(collection) == 60
    hits = collection.search(x[5], k=4, bits=8)
    expected = collection.index().search(x[5:6], 4, bits=8)
    np.testing.assert_array_equal(hits.ids, expected.ids[0])
    np.testing.assert_array_equal(hits.scores, expected.scores[0])
    assert hits.bits == 8
    assert hits.labels == [[str(one % 3)] for one in hits.ids]


def test_stored_codes_are_those_of_the_encoder_at_every_length(collection, tmp_path):
    x = _vectors(tmp_path / "x.npz")
    collection.add(tmp_path / "x.npz")
    for bits in collection.codebooks.lengths():
        expected = collection.codebooks.cut(bits).encode(x)
        np.testing.assert_array_equal(collection.index().codes.cut(bits).planes, expected.planes)


def test_adding_again_updates_and_never_doubles(collection, tmp_path):
    _vectors(tmp_path / "x.npz")
    collection.add(tmp_path / "x.npz")
    changed = _vectors(tmp_path / "x.npz", n_items=70, seed=2)
    report = collection.add(tmp_path / "x.npz")
    assert (report.n_added, report.n_updated) == (10, 60)
    expected = collection.codebooks.encode(changed)
    np.testing.assert_array_equal(collection.index().codes.planes, expected.planes)


def test_an_interrupted_addition_is_completed_by_running_it_again(
    collection, tmp_path, monkeypatch
):
    _vectors(tmp_path / "x.npz", n_items=9000)

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collection.add(tmp_path / "x.npz", AddOptions(rows_per_commit=1000), interrupt)
    assert 0 < len(collection) < 9000
    n_stored = len(collection)
    report = collection.add(tmp_path / "x.npz")
    assert (report.n_added, report.n_updated) == (9000 - n_stored, 0)
    assert report.n_unchanged == n_stored


def test_what_is_stored_as_it_is_now_is_not_encoded_again(collection, tmp_path, monkeypatch):
    x = _vectors(tmp_path / "x.npz")
    collection.add(tmp_path / "x.npz")
    encoded = []
    encoder = collection.encoder
    features = type(encoder).features
    monkeypatch.setattr(
        type(encoder),
        "features",
        lambda self, batch: encoded.append(batch) or features(self, batch),
    )
    assert collection.add(tmp_path / "x.npz").n_unchanged == 60
    assert encoded == []
    x[7] += 1
    labels = np.arange(60) % 3
    labels[9] = 0 if labels[9] else 1
    np.savez(tmp_path / "x.npz", x=x, y=labels)
    report = collection.add(tmp_path / "x.npz")
    assert (report.n_updated, report.n_unchanged) == (2, 58)
    np.testing.assert_array_equal(np.concatenate(encoded), x[[7, 9]])
    np.testing.assert_array_equal(
        collection.index().codes.planes, collection.codebooks.encode(x).planes
    )
    assert collection.add(tmp_path / "x.npz", AddOptions(store_features=True)).n_updated == 60


def test_metadata_keys_and_where(collection, tmp_path):
    rng = np.random.default_rng(0)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(rng.random(6 * DIM, np.float32)), DIM)
    table = pa.table({"vector": vectors, "price": [5, 15, 25, 35, 45, 55], "labels": [["a"]] * 6})
    pa.parquet.write_table(table, tmp_path / "items.parquet")
    collection.add(tmp_path / "items.parquet")
    hits = collection.search(rng.random(DIM), k=10, where="price < 20")
    assert sorted(hits.metadata["price"].to_pylist()) == [5, 15]
    assert hits.to_list()[0]["labels"] == ["a"]
    with pytest.raises(
        OptionError, match="column must be one of id, key, labels, price, got 'cost"
    ):
        collection.search(rng.random(DIM), where="cost < 20")


def test_images_with_thumbnails_labels_and_keys(gallery, pictures):
    report = gallery.add(pictures, AddOptions(batch_size=3, n_workers=2, thumbnails_px=32))
    assert report.n_added == 20
    query = pictures / "dog" / "3.png"
    hits = gallery.search(query, k=20)
    assert len(hits) == 20
    assert {str(key) for key in hits.keys} == {
        f"{c}/{n}.png" for c in "cat dog".split() for n in range(10)
    }
    assert all(key.startswith(label[0]) for key, label in zip(hits.keys, hits.labels, strict=True))
    as_picture = gallery.search(Image.open(query), k=20)
    np.testing.assert_array_equal(hits.ids, as_picture.ids)
    for thumbnail in gallery.thumbnails(hits.ids[:3]):
        assert thumbnail is not None
        assert thumbnail[:2] == b"\xff\xd8"
    sheet = gallery.contact_sheet(hits, Image.open(query))
    assert sheet.mode == "RGB"
    assert sheet.width > sheet.height / 5
    assert len(np.unique(np.asarray(sheet).reshape(-1, 3), axis=0)) > 20


def test_no_thumbnails_when_they_are_off(gallery, pictures):
    gallery.add(pictures, AddOptions(thumbnails_px=0))
    assert gallery.thumbnails(gallery.index().ids) == [None] * 20
    hits = gallery.search(pictures / "cat" / "0.png", k=3)
    assert gallery.contact_sheet(hits).size[0] > 0


def test_batches_threads_and_chunks_do_not_change_the_codes(tmp_path, pictures):
    model = _model(tmp_path / "m", "colour")
    planes = []
    small = AddOptions(batch_size=3, n_workers=4, rows_per_commit=4)
    for number, (options, has_own_device) in enumerate(
        [(AddOptions(), False), (small, False), (small, True)]
    ):
        made = Collection.create(tmp_path / f"c{number}", model)
        made._encoder = ColourEncoder(made.codebooks, has_own_device)
        made.add(pictures, options)
        planes.append(made.index().codes.planes)
    np.testing.assert_array_equal(planes[0], planes[1])
    np.testing.assert_array_equal(planes[0], planes[2])


def test_bad_images_are_skipped_counted_and_listed(gallery, pictures):
    (pictures / "cat" / "4.png").write_bytes(b"no picture")
    report = gallery.add(pictures, AddOptions(max_bad=0.05))
    assert (report.n_added, report.n_bad) == (19, 1)
    lines = report.bad_file.read_text().splitlines()
    assert lines[0] == "position,key,reason"
    assert lines[1].startswith("4,cat/4.png,")
    assert "cat/4.png" not in lines[1].split(",", 2)[2]
    (pictures / "cat" / "4.png").unlink()
    assert gallery.add(pictures).bad_file is None


def test_too_many_bad_images_leave_the_collection_as_it_was(gallery, pictures):
    gallery.add(pictures)
    before = gallery.index().codes.planes
    for number in range(3):
        (pictures / "dog" / f"{number}.png").write_bytes(b"")
        Image.new("RGB", (9, 9), (number, 9, 9)).save(pictures / "cat" / f"{number}.png")
    with pytest.raises(DataError, match=r"at most 1.00% .*bad-items\.csv"):
        gallery.add(pictures, AddOptions(batch_size=2, rows_per_commit=2))
    np.testing.assert_array_equal(gallery.index().codes.planes, before)


def test_evaluation_input_holds_codes_labels_and_features(collection, tmp_path):
    x = _vectors(tmp_path / "x.npz")
    collection.add(tmp_path / "x.npz", AddOptions(store_features=True))
    q = _vectors(tmp_path / "q.npz", n_items=9, seed=7)
    data = collection.evaluation_input(tmp_path / "q.npz")
    np.testing.assert_array_equal(data.query_features, q)
    np.testing.assert_array_equal(data.database_features, x.astype(np.float16))
    assert data.database_codes.n_items == len(data.database_labels) == 60
    assert data.database_labels.integers().tolist() == [one % 3 for one in range(60)]
    np.save(tmp_path / "bare.npy", q)
    with pytest.raises(DataError, match="queries must have labels"):
        collection.evaluation_input(tmp_path / "bare.npy")


def test_codes_of_another_model_are_refused(collection):
    codes = Codes(np.zeros((3, 2), dtype=np.uint8), n_codewords=16)
    ids = np.array([4, 5])
    with pytest.raises(DataError, match="codes must come from the model"):
        collection.add_codes(codes, ids, "0" * 64)
    with pytest.raises(ShapeError, match="3 levels of 16"):
        collection.add_codes(codes.cut(8), ids, collection.model_fingerprint)
    columns = pa.table({"key": ["a", "b"], "labels": [["x"], []]})
    report = collection.add_codes(codes, ids, collection.model_fingerprint, columns)
    assert report.n_added == 2
    assert collection.search(np.ones(DIM, np.float32), k=1).keys == ["a"]


def test_an_exchanged_model_is_noticed(collection, tmp_path):
    write_model_folder(
        collection.path / "model",
        ModelFolder({"backbone": {"name": "none"}}, {}),
        _codebooks(seed=9),
        overwrite=True,
    )
    with pytest.raises(FormatError, match="that made its codes"):
        Collection.open(collection.path)


@pytest.mark.parametrize(
    ("query", "error", "message"),
    [
        (np.zeros(DIM + 1, np.float32), ShapeError, r"shape \(8,\), got \(9,\)"),
        (np.full(DIM, np.nan, np.float32), DataError, "finite"),
        ("missing.npy", DataError, "must be a file"),
        ("missing.jpg", DataError, "takes vectors of 8 values"),
    ],
)
def test_unusable_queries_are_refused(collection, query, error, message):
    with pytest.raises(error, match=message):
        collection.search(query)


def test_missing_query_picture_is_named(gallery, tmp_path):
    with pytest.raises(DataError, match=r"query .*nothing\.png: .*missing"):
        gallery.search(tmp_path / "nothing.png")


def test_a_feature_may_be_the_query_of_an_image_collection(gallery, pictures):
    gallery.add(pictures)
    gallery._encoder = None
    assert len(gallery.search(np.ones(DIM, np.float32), k=3)) == 3


def test_query_from_a_npy_file(collection, tmp_path):
    x = _vectors(tmp_path / "x.npz")
    collection.add(tmp_path / "x.npz")
    np.save(tmp_path / "q.npy", x[3])
    expected = collection.search(x[3], k=5).ids
    np.testing.assert_array_equal(collection.search(tmp_path / "q.npy", k=5).ids, expected)


def test_an_empty_collection_finds_nothing(collection):
    hits = collection.search(np.ones(DIM, np.float32))
    assert len(hits) == 0
    assert hits.to_list() == []
    assert collection.contact_sheet(hits).width > 0


def test_wrong_sources_are_refused_and_nothing_is_written(collection, gallery, pictures, tmp_path):
    np.save(tmp_path / "wide.npy", np.zeros((3, 9), np.float32))
    with pytest.raises(ShapeError, match=r"8 dimensions .* got 9"):
        collection.add(tmp_path / "wide.npy")
    broken = np.zeros((5000, DIM), np.float32)
    broken[4500, 2] = np.nan
    np.save(tmp_path / "nan.npy", broken)
    with pytest.raises(DataError, match="4500"):
        collection.add(tmp_path / "nan.npy", AddOptions(rows_per_commit=100))
    with pytest.raises(DataError, match="takes vectors, got a source of images"):
        collection.add(pictures)
    with pytest.raises(DataError, match="takes images, got a source of vectors"):
        gallery.add(tmp_path / "nan.npy")
    assert len(collection) == len(gallery) == 0


def test_create_refuses_what_it_may_not_replace(collection, tmp_path):
    model = tmp_path / "model"
    with pytest.raises(OptionError, match="--overwrite"):
        Collection.create(collection.path, model)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    with pytest.raises(OptionError, match="no collection"):
        Collection.create(tmp_path / "photos", model, overwrite=True)
    (tmp_path / "file").touch()
    with pytest.raises(OptionError, match="writable"):
        Collection.create(tmp_path / "file" / "shop", model)
    with pytest.raises(FormatError, match="model folder"):
        Collection.create(tmp_path / "other", tmp_path / "no-model")
    write_model_folder(tmp_path / "raw", ModelFolder({"backbone": {"name": "none"}}, {}))
    with pytest.raises(NotTrainedError, match="codebooks"):
        Collection.create(tmp_path / "other", tmp_path / "raw")
    assert not (tmp_path / "other").exists()
    assert not [one for one in tmp_path.iterdir() if one.name.startswith(".")]


def test_overwrite_starts_anew(collection, tmp_path):
    _vectors(tmp_path / "x.npz")
    collection.add(tmp_path / "x.npz")
    assert len(Collection.create(collection.path, tmp_path / "model", overwrite=True)) == 0


def test_a_model_object_can_be_given(tmp_path):
    class Model:
        def save_pretrained(self, path):
            _model(path)
            return ""

    assert len(Collection.create(tmp_path / "c", Model())) == 0


def test_folders_that_are_no_collection_are_refused(collection, tmp_path):
    with pytest.raises(FormatError, match="no such folder"):
        Collection.open(tmp_path / "nothing")
    with pytest.raises(FormatError, match=r"with collection\.json"):
        Collection.open(tmp_path)
    manifest = collection.path / "collection.json"
    content = json.loads(manifest.read_text())
    for text, message in [
        (json.dumps({**content, "format_version": 4}), "version 3 or older, got 4"),
        (json.dumps({**content, "format": "other"}), "must describe an anybit-collection"),
        (json.dumps({"format": "anybit-collection", "format_version": 1}), "damaged"),
        (json.dumps({**content, "chdcksum": "1"}), "unknown key 'chdcksum'"),
        (json.dumps({**content, "checksum": "1"}), "checksum is not that of its content"),
        ("{", "must be a JSON file"),
    ]:
        manifest.write_text(text)
        with pytest.raises(FormatError, match=message):
            Collection.open(collection.path)


def test_info_is_json(collection, tmp_path):
    _vectors(tmp_path / "x.npz")
    collection.add(tmp_path / "x.npz")
    info = json.loads(json.dumps(collection.info()))
    assert (info["n_items"], info["n_labelled"]) == (60, 60)
    assert info["lengths_bits"] == [4, 8, 12]
    assert info["backbone"] == "none"


def test_unit_length_models_scale_their_vectors(tmp_path):
    encoder = load_encoder(_model(tmp_path / "m", is_unit_length=True))
    np.testing.assert_allclose(
        encoder.features(np.full((1, DIM), 5, np.float32)), DIM**-0.5, rtol=1e-6
    )
    assert not encoder.features(np.zeros((1, DIM), np.float32)).any()


def test_vectors_need_no_torch(tmp_path):
    _vectors(tmp_path / "x.npz")
    code = (
        "import sys; from anybit.collection import Collection;"
        f"c = Collection.create({str(tmp_path / 'c')!r}, {str(_model(tmp_path / 'm'))!r});"
        f"c.add({str(tmp_path / 'x.npz')!r});"
        "raise SystemExit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_contact_sheet_wants_one_thumbnail_a_hit(collection):
    hits = collection.search(np.ones(DIM, np.float32))
    with pytest.raises(ShapeError, match="0 thumbnails, got 1"):
        draw_contact_sheet(hits, [None])
    with pytest.raises(OptionError, match="n_columns"):
        draw_contact_sheet(hits, [], n_columns=0)


@pytest.mark.parametrize(
    "options",
    [{"batch_size": 0}, {"n_workers": 0}, {"thumbnails_px": -1}, {"max_bad": 2.0}],
)
def test_add_options_are_checked(options):
    with pytest.raises(OptionError, match=next(iter(options))):
        AddOptions(**options)


def test_any_flipped_bit_of_the_manifest_is_found_or_changes_nothing(collection):
    path = collection.path / "collection.json"
    content, expected = path.read_bytes(), read_manifest(open_folder(collection.path))
    n_found = 0
    for at in range(len(content)):
        for bit in (0, 3, 6):
            flipped = bytearray(content)
            flipped[at] ^= 1 << bit
            path.write_bytes(bytes(flipped))
            try:
                assert read_manifest(open_folder(collection.path)) == expected, (at, bit)
            except FormatError:
                n_found += 1
    assert n_found > 2 * len(content)
