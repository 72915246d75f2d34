import json

import lance
import numpy as np
import pyarrow as pa
import pytest

from anybit.codes import Codes
from anybit.errors import FormatError, OptionError
from anybit.store import CodeStore, level_columns
from anybit.store.code_columns import CodeColumn, columns_of_levels, stored_columns
from anybit.store.dataset import Dataset

IDS = np.arange(40)


def _codes(n_levels, n_codewords, n_items=40, seed=0):
    rng = np.random.default_rng(seed)
    planes = rng.integers(0, n_codewords, (n_levels, n_items), dtype=np.uint8)
    return Codes(planes, n_codewords)


def _rows(ids, codes, **columns):
    planes = zip(level_columns(codes.n_levels), codes.planes, strict=True)
    return pa.table({"id": pa.array(ids), **{name: plane for name, plane in planes}, **columns})


def _store(path, n_levels, n_codewords):
    store = CodeStore.create(path / "items.lance", n_levels, n_codewords, "old")
    codes = _codes(n_levels, n_codewords)
    store.upsert(_rows(IDS[:30], Codes(codes.planes[:, :30], n_codewords)))
    store.upsert(_rows(IDS[30:], Codes(codes.planes[:, 30:], n_codewords)))
    return store, codes


def _stored_names(store):
    names = lance.dataset(str(store.path)).schema.names
    return [name for name in names if name.startswith("level_")]


def _extend(store, codes, fingerprint="new", acknowledge=lambda: None):
    return store.extend(lambda ids, _: Codes(codes.planes[:, ids], codes.n_codewords),
                        acknowledge, fingerprint)  # fmt: skip


@pytest.mark.parametrize(
    ("n_levels", "n_codewords", "names"),
    [
        (1, 2, ["level_00"]),
        (11, 2, ["level_00", "level_08"]),
        (5, 4, ["level_00", "level_04"]),
        (4, 8, ["level_00", "level_02"]),
        (3, 16, ["level_00", "level_02"]),
        (2, 32, ["level_00", "level_01"]),
        (3, 256, ["level_00", "level_01", "level_02"]),
    ],
)
def test_a_column_holds_as_many_levels_as_fit_into_a_byte(tmp_path, n_levels, n_codewords, names):
    store, codes = _store(tmp_path, n_levels, n_codewords)
    assert _stored_names(store) == names
    assert store.verify().damages == ()
    opened = CodeStore.open(store.path)
    for levels in range(1, n_levels + 1):
        ids, found = opened.codes(levels)
        np.testing.assert_array_equal(ids, IDS)
        np.testing.assert_array_equal(found.planes, codes.planes[:levels])
    found = opened.fragment_codes(list(opened.fragment_states()))
    np.testing.assert_array_equal(found.codes.planes, codes.planes[:, found.ids])


def test_bytes_are_those_that_byte_planes_describe(tmp_path):
    store, codes = _store(tmp_path, 3, 16)
    table = lance.dataset(str(store.path)).to_table().sort_by("id")
    np.testing.assert_array_equal(table["level_00"], codes.planes[0] | codes.planes[1] << 4)
    np.testing.assert_array_equal(table["level_02"], codes.planes[2])
    assert not table.schema.field("level_02").nullable


def test_levels_are_read_by_name_whatever_column_holds_them(tmp_path):
    store, codes = _store(tmp_path, 4, 16)
    names = ["level_03", "id", "level_00"]
    assert set(level_columns(4)) <= set(store.columns)
    for table in (store.take(np.array([31, 2]), names), store.read(names).take([31, 2])):
        assert table.column_names == names
        assert table["level_03"].to_pylist() == codes.planes[3, [31, 2]].tolist()
        assert table["level_00"].to_pylist() == codes.planes[0, [31, 2]].tolist()
    assert store.metadata_columns == []
    with pytest.raises(OptionError, match="got level_04"):
        store.take(np.array([2]), ["level_04"])


@pytest.mark.parametrize(("n_levels", "n_codewords"), [(1, 2), (3, 16), (4, 16), (2, 256)])
def test_an_extension_starts_a_column_and_both_models_fit(tmp_path, n_levels, n_codewords):
    store, codes = _store(tmp_path, n_levels, n_codewords)
    files = {one.name for one in (store.path / "data").iterdir()}
    further = _codes(3, n_codewords, seed=1)
    seen = []
    acknowledge = lambda: seen.append(CodeStore.open(store.path, model_fingerprint="new").n_levels)  # noqa: E731
    assert _extend(store, further, acknowledge=acknowledge) == len(IDS)
    assert seen == [n_levels + 3]  # the model is named before it is acknowledged
    assert f"level_{n_levels:02d}" in _stored_names(store)
    assert files < {one.name for one in (store.path / "data").iterdir()}
    old = CodeStore.open(store.path, model_fingerprint="old")
    np.testing.assert_array_equal(old.codes()[1].planes, codes.planes)
    new = CodeStore.open(store.path, model_fingerprint="new")
    np.testing.assert_array_equal(new.codes()[1].planes, np.vstack([codes.planes, further.planes]))
    assert not lance.dataset(str(store.path)).schema.field(f"level_{n_levels:02d}").nullable
    new.upsert(_rows(np.array([99]), _codes(n_levels + 3, n_codewords, 1)))
    assert new.compact(kept_s=0).n_fragments == 1
    assert CodeStore.open(store.path, model_fingerprint="new").verify().damages == ()


def test_an_empty_store_is_extended(tmp_path):
    store = CodeStore.create(tmp_path / "items.lance", 1, 16, "old")
    _extend(store, _codes(2, 16, 0))
    new = CodeStore.open(store.path, model_fingerprint="new")
    new.upsert(_rows(IDS, _codes(3, 16)))
    np.testing.assert_array_equal(new.codes()[1].planes, _codes(3, 16).planes)
    assert not lance.dataset(str(store.path)).schema.field("level_01").nullable


class _KilledError(Exception):
    """Stands for the end of a process."""


def test_an_extension_cut_off_at_any_commit_leaves_the_old_model_and_can_be_run_again(
    tmp_path, monkeypatch
):
    further, n_done, committed = _codes(3, 16, seed=1), 0, Dataset.committed
    for n_commits in range(9):
        (tmp_path / str(n_commits)).mkdir()
        store, codes = _store(tmp_path / str(n_commits), 3, 16)
        left = iter(range(n_commits))

        def record(*args, left=left, **kwargs):
            if next(left, None) is None:
                raise _KilledError
            return committed(*args, **kwargs)

        for fingerprint in ("other", "new"):  # the second one finds what the first one has left
            with monkeypatch.context() as patched:
                patched.setattr(Dataset, "committed", record)
                try:
                    _extend(store, further, fingerprint)
                    n_done += 1
                except _KilledError:
                    pass
            opened = CodeStore.open(store.path, n_levels=3, model_fingerprint="old")
            np.testing.assert_array_equal(opened.codes()[1].planes, codes.planes)
            assert opened.metadata_columns == []
            store = opened
        _extend(CodeStore.open(store.path, model_fingerprint="old"), further)
        new = CodeStore.open(store.path, model_fingerprint="new")
        np.testing.assert_array_equal(new.codes()[1].planes[3:], further.planes)
        assert new.verify().damages == ()
    assert n_done > 2  # at last nothing was cut off


def test_rows_can_be_added_before_an_interrupted_extension_is_named(tmp_path, monkeypatch):
    store, codes = _store(tmp_path, 3, 16)
    monkeypatch.setattr("anybit.store.extension.name_models", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        _extend(store, _codes(1, 16))
    monkeypatch.undo()
    assert _stored_names(store) == ["level_00", "level_02", "level_03"]
    opened = CodeStore.open(store.path, model_fingerprint="old")
    opened.upsert(_rows(np.array([99]), _codes(3, 16, 1)))
    assert opened.verify().damages == ()
    np.testing.assert_array_equal(opened.codes()[1].planes[:, :-1], codes.planes)


@pytest.mark.parametrize(
    ("fingerprint", "n_levels", "reason"),
    [
        ("other", None, "codes of the model other, got codes of new, old.*Restore the whole"),
        ("other", 2, "codes of the model other"),
        ("old", 3, "must hold 3 levels of the model old, got 2"),
        ("new", 2, "must hold 2 levels of the model new, got 3"),
    ],
)
def test_codes_of_another_model_or_length_are_refused(tmp_path, fingerprint, n_levels, reason):
    store, _ = _store(tmp_path, 2, 256)
    _extend(store, _codes(1, 256))
    with pytest.raises(FormatError, match=reason):
        CodeStore.open(store.path, n_levels=n_levels, model_fingerprint=fingerprint)


@pytest.mark.parametrize("models", ["", "{", "{}", "[]", '{"old": 0}', '{"old": "2"}', "7"])
def test_damaged_names_of_models_are_refused(tmp_path, models):
    store, _ = _store(tmp_path, 2, 256)
    lance.dataset(str(store.path)).update_schema_metadata({"anybit.models": models})
    with pytest.raises(FormatError, match=r"name the models.*anybit\.models"):
        CodeStore.open(store.path)


@pytest.mark.parametrize("models", [{"old": 9}, {"old": 1}])
def test_more_or_fewer_levels_than_there_are_columns_are_refused(tmp_path, models):
    store, _ = _store(tmp_path, 3, 16)
    lance.dataset(str(store.path)).update_schema_metadata({"anybit.models": json.dumps(models)})
    if models["old"] == 1:  # what a longer model has left is no damage
        assert CodeStore.open(store.path).n_levels == 1
        return
    with pytest.raises(FormatError, match="level_00 onwards"):
        CodeStore.open(store.path)


def test_stored_columns_fit_or_are_none():
    found = stored_columns(["id", "level_00", "level_02", "level_03"], 16, 4)
    assert [(one.name, one.n_levels) for one in found] == [
        ("level_00", 2), ("level_02", 1), ("level_03", 1),
    ]  # fmt: skip
    assert [one.n_levels for one in columns_of_levels(range(3, 8), 16)] == [2, 2, 1]
    for names, n_codewords, n_levels in (
        (["level_01"], 16, 2),
        (["level_00"], 16, 3),
        (["level_00"], 256, 2),
        (["level_00", "level_3"], 256, 4),
        (["level_00", "level_02"], 16, None),
        ([], 16, None),
    ):
        assert stored_columns(names, n_codewords, n_levels) == []


@pytest.mark.parametrize(
    ("n_codewords", "bits", "reason"),
    [
        (2, 0x08, "level_00 must have zeros behind its levels, got "),
        (4, 0x40, "level_00 must have zeros behind its levels, got "),
        (8, 0x88, "level_00 must be below 8, got "),
        (16, 0x10, "level_02 must be below 16, got "),
        (128, 0x80, "level_00 must be below 128, got "),
    ],
)
def test_verify_reads_every_level(tmp_path, monkeypatch, n_codewords, bits, reason):
    store, codes = _store(tmp_path, 3, n_codewords)
    assert store.verify().damages == ()
    packed = CodeColumn.pack
    monkeypatch.setattr(CodeColumn, "pack", lambda one, planes: packed(one, planes) | bits)
    store.upsert(_rows(IDS, codes))
    monkeypatch.undo()
    assert any(reason in one for one in store.verify().damages)
