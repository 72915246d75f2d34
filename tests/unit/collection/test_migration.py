import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from anybit.codes import Codebooks, ModelFolder, write_model_folder
from anybit.collection import AddOptions, Collection
from anybit.errors import DataError
from anybit.store import CodeStore

DIM, K = 6, 16


def values(n_levels, seed=0):
    return np.random.default_rng(seed).random((8, K, DIM)).astype(np.float32)[:n_levels]


def model(path, n_levels=3, seed=0):
    """Write a model for vectors; those of one seed have the same first levels."""
    codebooks = Codebooks.stacked(values(n_levels, seed))
    write_model_folder(
        path, ModelFolder({"method": "rq", "backbone": {"name": "none"}}, {}), codebooks
    )
    return path


@pytest.fixture
def vectors(tmp_path):
    x = np.random.default_rng(1).random((300, DIM)).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=x, y=np.arange(300) % 3)
    return x


@pytest.fixture
def shop(tmp_path, vectors):
    made = Collection.create(tmp_path / "shop", model(tmp_path / "old"))
    made.add(tmp_path / "x.npz")
    made.delete(ids=np.array([5]))
    return made


def expected_planes(path, x):
    keep = np.arange(len(x)) != 5
    return Collection.open(path).codebooks.encode(x[keep]).planes


def test_another_model_encodes_everything_again(shop, tmp_path, vectors):
    reader = Collection.open(shop.path)
    assert len(reader.index()) == 299
    report = shop.migrate(model(tmp_path / "new", 4, seed=7), tmp_path / "x.npz")
    assert (report.n_items, report.n_encoded, report.is_extended) == (299, 299, False)
    for opened in (shop, reader, Collection.open(shop.path)):
        np.testing.assert_array_equal(
            opened.index().codes.planes, expected_planes(shop.path, vectors)
        )
        assert opened.model_fingerprint == report.new_fingerprint
    assert reader.get(np.array([8]))["labels"].to_pylist() == [["2"]]
    assert shop.verify().is_intact


def test_codes_of_the_old_model_are_refused_afterwards(shop, tmp_path):
    codes, old = shop.index().codes, shop.model_fingerprint
    store = Collection.open(shop.path)._store
    rows = store.read(["id", "level_00", "level_01", "level_02"])
    shop.migrate(model(tmp_path / "new", seed=7), tmp_path / "x.npz")
    with pytest.raises(DataError, match="must come from the model"):
        shop.add_codes(codes, np.arange(codes.n_items), old)
    with pytest.raises(DataError, match="was replaced: the collection got another model"):
        store.upsert(rows)


def test_stored_vectors_are_encoded_when_no_source_is_given(shop, tmp_path, vectors):
    with pytest.raises(DataError, match="got none stored"):
        shop.migrate(model(tmp_path / "new", seed=7))
    assert shop.model_fingerprint == Collection.open(shop.path).model_fingerprint
    shop.add(tmp_path / "x.npz", AddOptions(store_features=True))
    shop.delete(ids=np.array([5]))
    report = shop.migrate(tmp_path / "new")
    assert report.n_encoded == 299
    halves = vectors.astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(shop.index().codes.planes, expected_planes(shop.path, halves))


def test_a_longer_model_keeps_stored_codes_and_files(shop, tmp_path, vectors):
    before = {path: path.read_bytes() for path in (shop.path / "items.lance/data").iterdir()}
    reader = Collection.open(shop.path)
    first = reader.index().codes.planes
    report = shop.migrate(model(tmp_path / "longer", 5), tmp_path / "x.npz")
    assert (report.n_encoded, report.is_extended) == (299, True)
    for path, content in before.items():
        assert path.read_bytes() == content
    for opened in (shop, reader, Collection.open(shop.path)):
        planes = opened.index().codes.planes
        np.testing.assert_array_equal(planes[:3], first)
        np.testing.assert_array_equal(planes, expected_planes(shop.path, vectors))
    shop.add(tmp_path / "x.npz")  # brings back the one that was deleted
    np.testing.assert_array_equal(
        reader.index().codes.planes, shop.codebooks.encode(vectors).planes
    )
    assert shop.verify().is_intact


def test_an_extension_that_did_not_end_is_read_as_before_and_goes_on(
    shop, tmp_path, vectors, monkeypatch
):
    first = shop.index().codes.planes

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("anybit.collection.replacement.write_manifest", killed)
        with pytest.raises(KeyboardInterrupt):
            shop.migrate(model(tmp_path / "longer", 5), tmp_path / "x.npz")
    opened = Collection.open(shop.path)
    np.testing.assert_array_equal(opened.index().codes.planes, first)
    assert opened.migrate(tmp_path / "longer", tmp_path / "x.npz").is_extended
    np.testing.assert_array_equal(opened.index().codes.planes, expected_planes(shop.path, vectors))


def test_an_extension_that_did_not_end_does_not_keep_writers_out(
    shop, tmp_path, vectors, monkeypatch
):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("anybit.collection.replacement.write_manifest", killed)
        with pytest.raises(KeyboardInterrupt):
            shop.migrate(model(tmp_path / "longer", 5), tmp_path / "x.npz")
    assert CodeStore.open(shop.path / "items.lance").n_levels == 5
    opened = Collection.open(shop.path)
    store = CodeStore.open(shop.path / "items.lance", n_levels=3)
    rows = store.read(["id", "level_00", "level_01", "level_02"])
    with pytest.raises(DataError, match="has more levels than the 3"):
        store.upsert(rows)
    opened.add(tmp_path / "x.npz")  # brings back the one that was deleted
    assert CodeStore.open(shop.path / "items.lance").n_levels == 3
    np.testing.assert_array_equal(
        Collection.open(shop.path).index().codes.planes, opened.codebooks.encode(vectors).planes
    )
    assert opened.migrate(tmp_path / "longer", tmp_path / "x.npz").n_encoded == 300
    np.testing.assert_array_equal(
        Collection.open(shop.path).index().codes.planes, opened.codebooks.encode(vectors).planes
    )
    assert opened.verify().is_intact


def test_an_interrupted_migration_goes_on_where_it_was(shop, tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("anybit.collection.replacement.write_manifest", killed)
        with pytest.raises(KeyboardInterrupt):
            shop.migrate(model(tmp_path / "new", seed=7), tmp_path / "x.npz")
    assert shop.search_features(np.zeros((1, DIM), np.float32), 300).ids.shape == (1, 299)
    report = shop.migrate(tmp_path / "new", tmp_path / "x.npz")
    assert (report.n_items, report.n_encoded) == (299, 0)


def test_rows_that_come_during_a_migration_are_taken_along(shop, tmp_path, vectors):
    other = Collection.open(shop.path)
    extra = tmp_path / "more.npz"
    both = np.concatenate([vectors, vectors[:2] + 1])
    np.savez(tmp_path / "all.npz", x=both, y=np.arange(302) % 3)
    np.savez(extra, x=both[300:], y=np.array([0, 1]), ids=np.array([300, 301]))

    def meanwhile(done, total):
        if done == total and len(other) == 299:
            other.add_codes(
                other.codebooks.encode(both[300:]), np.array([300, 301]), other.model_fingerprint
            )
            other.delete(ids=np.array([0, 1]))

    shop.migrate(model(tmp_path / "new", seed=7), tmp_path / "all.npz", meanwhile)
    expected = [one for one in range(302) if one not in (0, 1, 5)]
    np.testing.assert_array_equal(shop.index().ids, expected)
    np.testing.assert_array_equal(
        shop.index().codes.planes, shop.codebooks.encode(both[expected]).planes
    )


def test_replaced_folders_go_when_they_are_old_enough(shop, tmp_path):
    shop.migrate(model(tmp_path / "new", seed=7), tmp_path / "x.npz")
    shop.compact()
    assert (shop.path / "items.lance").is_dir()
    shop.compact(kept_s=0)
    manifest = shop._manifest
    left = sorted(path.name for path in shop.path.iterdir())
    assert left == ["collection.json", manifest.items, manifest.model, "replacement.lock"]
    assert len(Collection.open(shop.path)) == 299


def test_pictures_come_from_the_store_or_from_their_files(tmp_path, monkeypatch):
    """The encoder is a stand-in: the mean colour of a picture, twice."""
    from anybit.collection.migration import Features
    from anybit.data import Preprocessor

    class Colours:
        kind, vector_dim = "images", 6
        preprocessor = Preprocessor(size_px=4, mean=(0, 0, 0), std=(1, 1, 1))
        has_own_device = False

        def features(self, batch):
            means = batch.mean(axis=(2, 3))
            return np.concatenate([means, means], axis=1)

    encoder = Colours()
    encoder.codebooks = Codebooks.stacked(values(3))
    (tmp_path / "pictures/red").mkdir(parents=True)
    for number in range(4):
        colour = (60 * number, 30, 10)
        Image.new("RGB", (8, 8), colour).save(tmp_path / f"pictures/red/{number}.png")
    for store_images in (False, True):
        made = Collection.create(
            tmp_path / f"c{store_images}", model(tmp_path / f"m{store_images}")
        )
        made._encoder = encoder
        made.add(tmp_path / "pictures", AddOptions(store_images=store_images))
        ids = made.index().ids
        found = Features(made._store, encoder, None).of(ids)
        reds = np.array([float(key[4]) * 60 / 255 for key in made.get(ids)["key"].to_pylist()])
        np.testing.assert_allclose(found[:, 0], reds, atol=1e-6)  # float32 means
        if not store_images:
            path = next((tmp_path / "pictures/red").iterdir())
            path.rename(tmp_path / "elsewhere.png")
            with pytest.raises(DataError, match="neither stored nor at"):
                Features(made._store, encoder, None).of(ids)
            (tmp_path / "elsewhere.png").rename(path)


def test_some_of_the_stored_pictures_are_those(tmp_path):
    from anybit.collection.migration import _StoredImages

    for number in range(3):
        Image.new("RGB", (2, 2), (number, 0, 0)).save(tmp_path / f"{number}.png")
    rows = pa.table(
        {
            "id": pa.array([4, 5, 6]),
            "key": ["a", "b", "c"],
            "path": [str(tmp_path / f"{number}.png") for number in range(3)],
        }
    )
    some = _StoredImages(rows).take(np.array([2, 0]))
    assert some.ids.tolist() == [6, 4]
    assert [some.read_image(number).getpixel((0, 0))[0] for number in (0, 1)] == [2, 0]
