"""A damaged file of a collection is found, or answers do not come from it: never a wrong answer.

``ANYBIT_DAMAGES`` says how many damages are tried; ``pytest -s`` prints what became of them.
"""

import faulthandler
import json
import os
import re
import shutil
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import lance
import numpy as np
import pyarrow as pa
import pytest
from safetensors.numpy import load

from anybit.codes import Codebooks, Codes, ModelFolder, write_model_folder
from anybit.collection import Collection
from anybit.errors import AnybitError, DataError
from anybit.store import level_columns

N_DAMAGES = int(os.environ.get("ANYBIT_DAMAGES", "100"))
DIM, N_LEVELS, MOST = 8, 3, 1_000  # MOST is more than there are items: whole rankings
WHERE = "price < 50 AND array_has(labels, 'c1')"
SETTINGS = {"collection.json", "model/config.json", "model/preprocessor.json"}
SETTINGS |= {"model/model.safetensors"}
COLUMNS = ["id", "key", "labels", "price", "note", "thumbnail", *level_columns(N_LEVELS)]
QUERIES = np.random.default_rng(5).random((3, DIM), dtype=np.float32)


def made_collection(folder):
    """Make a collection of many commits: compacted fragments, later ones, and deleted rows."""
    rng = np.random.default_rng(11)
    codebooks = Codebooks.stacked(rng.random((N_LEVELS, 16, DIM), dtype=np.float32))
    write_model_folder(folder / "model", ModelFolder({"method": "rq"}, {}), codebooks)
    made = Collection.create(folder / "shop", folder / "model")

    def add(first, last, **more):
        ids = np.arange(first, last)
        columns = {
            "key": [f"pictures/{one}.jpg" for one in ids],
            "labels": [[f"c{one % 3}", "all"] if one % 7 else [] for one in ids],
            "price": pa.array(rng.integers(0, 100, len(ids))),
            **more,
        }
        codes = codebooks.encode(rng.random((len(ids), DIM), dtype=np.float32))
        made.add_codes(codes, ids, made.model_fingerprint, pa.table(columns))

    note = [None if one % 2 else f"note {one}" for one in range(40)]
    add(0, 40)
    add(30, 70, note=note, thumbnail=pa.array([rng.bytes(60) for _ in range(40)]))
    made.delete(np.arange(5))
    made.compact()
    add(60, 100, note=note)
    made.delete(where="price < 10")
    add(200, 230)
    add(200, 230)  # the fragment of the commit before is not in the newest version
    add(90, 110)
    with pytest.MonkeyPatch.context() as patch:  # only large collections keep their index
        patch.setattr("anybit.collection.live_index._SNAPSHOT_ROWS", 1)
        made.index()
    made.delete(np.array([33, 64, 205]))
    add(300, 304)
    return folder / "shop"


def ranking(opened, bits, k=MOST, where=None):
    found = opened.search_features(QUERIES, k, bits, where)
    return np.dstack([found.ids, found.scores]).tolist()  # float64 holds both exactly


def questions(ids):
    """Return everything that a collection is asked, by name; `ids` are those of all its rows."""
    return {
        "count": lambda opened: opened.count(),
        "count where": lambda opened: opened.count(WHERE),
        **{f"ranking of {b} bits": lambda opened, b=b: ranking(opened, b) for b in (4, 8, 12)},
        "ranking where": lambda opened: ranking(opened, 8, where=WHERE),
        "best": lambda opened: ranking(opened, 8, k=5),
        "hits": lambda o: [{**one, "rank": 0} for one in o.search(QUERIES[0], MOST).to_list()],
        "rows": lambda opened: opened.get(np.array(ids, dtype=np.int64), COLUMNS).to_pylist(),
        "info": lambda opened: {**opened.info(), "path": 0, "size_bytes": 0, "oldest_version": 0},
        "versions": lambda opened: [(one.version, one.made_at) for one in opened.versions()],
    }


@dataclass(frozen=True)
class Truth:
    """What an undamaged version holds: by fragment its files and ids; and what it answers."""

    version: int
    manifest: str
    files: dict
    ids: dict
    answers: dict

    @property
    def sources(self):
        """Every file that an answer of this version comes from."""
        return SETTINGS.union([self.manifest], *self.files.values())

    def fragments_of(self, change):
        return {one for one, some in self.files.items() if change.contents.keys() & some}

    def without(self, fragments):
        """Return what the version answers when these fragments are left out."""
        gone = {one for number in fragments for one in self.ids[number]}
        kept = dict(self.answers)
        for name in kept:
            if name.startswith("ranking"):
                kept[name] = [[hit for hit in one if hit[0] not in gone] for one in kept[name]]
        for name in ("hits", "rows"):
            kept[name] = [row for row in kept[name] if row["id"] not in gone]
        kept["best"] = [one[:5] for one in kept["ranking of 8 bits"]]
        kept["count"], kept["count where"] = len(kept["rows"]), len(kept["ranking where"][0])
        n_labelled = sum(bool(row["labels"]) for row in kept["rows"])
        kept["info"] = {**kept["info"], "n_items": kept["count"], "n_labelled": n_labelled}
        return kept


def manifest_of(version):
    return f"items.lance/_versions/{2**64 - 1 - version}.manifest"  # the newest sorts first


def truth_of(folder, version):
    """Read a version of an undamaged collection; its fragments are read by Lance alone."""
    files, ids = {}, {}
    for one in lance.dataset(str(folder / "items.lance"), version=version).get_fragments():
        paths = [f"data/{file.path}" for file in one.metadata.files]
        if one.metadata.deletion_file is not None:
            paths.append(one.metadata.deletion_file.path(one.fragment_id))
        files[one.fragment_id] = [f"items.lance/{path}" for path in paths]
        ids[one.fragment_id] = sorted(one.to_table(columns=["id"])["id"].to_pylist())
    opened = Collection.open(folder, version=version)
    asked = questions(sorted(one for some in ids.values() for one in some))
    answers = {name: ask(opened) for name, ask in asked.items()}
    return Truth(version, manifest_of(version), files, ids, answers)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """An undamaged collection: content of its files, names by group, versions (newest last)."""
    folder = made_collection(tmp_path_factory.mktemp("original"))
    versions = [one.version for one in Collection.open(folder).versions()]
    truths = [truth_of(folder, version) for version in versions[5:]]  # those with all columns
    # In the order of their making: names are partly random, and the draw shall not be.
    files = sorted(folder.rglob("*"), key=lambda path: (path.parent, path.stat().st_mtime_ns))
    contents = {str(one.relative_to(folder)): one.read_bytes() for one in files if one.is_file()}
    groups = {}
    for path in contents:
        first, _, rest = path.partition("/")
        group = rest.split("/")[0] if first == "items.lance" else first
        if group in ("data", "_deletions", "_versions"):
            group += ", newest" if path in truths[-1].sources else ", older"
        groups.setdefault("version hint" if "hint" in path else group, []).append(path)
    return SimpleNamespace(folder=folder, contents=contents, groups=groups, truths=truths)


@dataclass(frozen=True)
class Change:
    """Damaged files with their new content; None where the file is gone."""

    group: str
    kind: str
    contents: dict

    def __str__(self):
        return f"{self.kind} of {self.group} {list(self.contents)}"


def flipped(content, rng):
    new = bytearray(content)
    for byte in rng.integers(0, len(content) + 1, 3):  # one may be the end, where nothing is
        new[byte : byte + 1] = bytes(one ^ 1 << rng.integers(8) for one in new[byte : byte + 1])
    return bytes(new)


KINDS = {
    "flip": flipped,
    "cut": lambda content, rng: content[: max(0, rng.integers(-200, len(content) + 1))],
    "append": lambda content, rng: content + rng.bytes(rng.integers(1, 65)),
    "random": lambda content, rng: rng.bytes(rng.choice([len(content), rng.integers(5_000)])),
    "deletion": lambda content, rng: None,
    "swap": None,  # with another file, half of the time one of the same group
}


def drawn_change(original, rng, groups, kinds):
    """Draw a group, a file of it, and a damage that changes the file."""
    while True:
        group, kind = str(rng.choice(groups)), str(rng.choice(kinds))
        path = str(rng.choice(original.groups[group]))
        content = original.contents[path]
        if kind == "swap":
            among = original.groups[group] if rng.random() < 0.5 else list(original.contents)
            other = str(rng.choice(among))
            change = {path: original.contents[other], other: content}
        else:
            change = {path: KINDS[kind](content, rng)}
        if any(original.contents[one] != new for one, new in change.items()):
            return Change(group, kind, change)


def damaged_copy(original, change, folder, copy=os.link):
    """Write a collection with the change; the other files may be links to the original's."""
    shutil.copytree(original.folder, folder, copy_function=copy)
    for path, content in change.contents.items():
        (folder / path).unlink()
        if content is not None:
            (folder / path).write_bytes(content)


def means_the_same(path, old, new):
    """Tell whether a changed file of settings or codebooks still says the same."""
    try:
        if path.endswith(".json"):
            return json.loads(old) == json.loads(new)
        before, after = ({k: v.tobytes() for k, v in load(one).items()} for one in (old, new))
    except Exception:  # whatever a reader raises on what is no file for it
        return False
    return before == after


@dataclass
class Seen:
    """What a collection said: errors by question, what verify lists, and what may never be."""

    errors: dict = field(default_factory=dict)
    listed: tuple = ()
    faults: list = field(default_factory=list)
    skipped: dict = field(default_factory=dict)

    @property
    def text(self):
        return "\n".join([*self.errors.values(), *self.listed])

    @property
    def outcome(self):
        """Say where the damage was found."""
        found = "in use" if self.errors else "by verify" if self.listed else "harmless"
        return "at opening" if "open" in self.errors else found

    def ask(self, name, question):
        """Return an answer, or None with the error noted down."""
        try:
            return question()
        except AnybitError as cause:
            self.errors[name] = f"{type(cause).__name__}: {cause}"
        except BaseException as cause:  # a panic of Lance is no Exception
            if isinstance(cause, KeyboardInterrupt):
                raise
            self.faults.append(f"{name}: {type(cause).__name__}: {str(cause)[:200]}")
        return None


def seen_of(folder, truth, damaged=(), **options):
    """Open a collection, ask everything and verify; compare every answer exactly.

    Where `damaged` files are skipped, versions whose manifest is one of them are not listed.
    """
    seen = Seen()
    opened = seen.ask("open", lambda: Collection.open(folder, **options))
    if opened is None:
        return seen
    seen.ask("fragments", lambda: opened.count("id >= 0"))
    seen.skipped = opened.skipped
    expected = truth.without(seen.skipped)
    for name, question in questions([row["id"] for row in expected["rows"]]).items():
        answer = seen.ask(name, lambda question=question: question(opened))
        if name == "versions":  # one whose manifest is gone cannot be read
            there = [v for v in expected[name] if (folder / manifest_of(v[0])).exists()]
            expected[name] = [v for v in there if manifest_of(v[0]) not in damaged]
            if answer is not None and damaged:  # Lance does not tell the times beside a broken one
                answer, expected[name] = ([v[0] for v in one] for one in (answer, expected[name]))
        if answer is not None and answer != expected[name]:
            seen.faults.append(f"{name}: wrong answer given silently")
    seen.listed = seen.ask("verify", lambda: opened.verify().damages) or ()
    for number in seen.skipped:
        with pytest.raises(DataError, match="ids must be in the collection"):
            opened.get(np.array(truth.ids[number][:1]))
    return seen


def faults_of(original, truth, change, seen):
    """Return what is wrong with how a version took a change, when nothing may be skipped."""
    faults = list(seen.faults)
    is_read = any(
        not means_the_same(path, original.contents[path], change.contents[path])
        for path in truth.sources.intersection(change.contents)
    )
    if is_read and seen.outcome == "harmless":
        faults.append("damage of a file that answers come from was not found")
    elif is_read and not (seen.listed or seen.errors.keys() & {"open", "verify"}):
        faults.append("verify lists nothing")
    named = ["/model", "has no checksum", r"format version \d.*got \d"]
    named += [Path(path).name for path in change.contents]
    if change.contents.get(truth.manifest, b"") is None:
        named.append("version must be one that is still there")
    if seen.outcome != "harmless" and not re.search("|".join(named), seen.text):
        faults.append(f"no message names the file or the problem: {seen.text[:300]}")
    return faults


def rows_named(truth, change, seen):
    """Yield what messages say of the rows of each damaged fragment: in short, and compared."""
    for number in truth.fragments_of(change):
        found = re.search(rf"fragment {number} \((.*?)\):", seen.text)
        said, ids = found[1] if found else "none of its ids", truth.ids[number]
        true = f"ids {', '.join(map(str, ids))}" if len(ids) <= 5 else f"ids {ids[0]} to {ids[-1]}"
        short = "right ids" if said.endswith(true) else "wrong ids"
        yield short if "ids" in said else "number of rows only", f"{true}: message says {said}"


def faults_of_skipping(truth, change, seen):
    """Return what is wrong with how damaged fragments were left out."""
    lost, left = truth.fragments_of(change), seen.skipped.keys()
    if seen.errors:  # allowed where a file of no fragment is damaged
        is_right = bool(change.contents.keys() & {*SETTINGS, truth.manifest, "model/training.json"})
    else:
        is_right = lost <= left if "_checksums" in str(change) else lost == left
    return seen.faults + ([] if is_right else [f"must skip {lost}, got {left}, {[*seen.errors]}"])


def tried(original, change, rng, folder):
    """Damage a copy and ask it everything; return outcome, what is wrong, and notes to count."""
    newest, has_records = original.truths[-1], "_checksums" in str(change)
    damaged_copy(original, change, folder)
    seen = seen_of(folder, newest)
    faults, notes = faults_of(original, newest, change, seen), Counter()
    for short, said in rows_named(newest, change, seen) if "open" not in seen.errors else ():
        notes[f"messages name {short}"] += 1
        faults += [said] if short == "wrong ids" else []
    if newest.fragments_of(change) or has_records:
        left = seen_of(folder, newest, change.contents, skip_damaged=True)
        faults += [f"skip_damaged: {one}" for one in faults_of_skipping(newest, change, left)]
        notes["skip_damaged: " + ("refused" if left.errors else "all other rows")] += 1
    items = {path for path in change.contents if path.startswith("items.lance")}
    older = [one for one in original.truths[:-1] if has_records or one.sources & items]
    if older:
        truth = older[rng.integers(len(older))]
        then = seen_of(folder, truth, version=truth.version)
        found = faults_of(original, truth, change, then)
        faults += [f"version {truth.version}: {one}" for one in found]
        notes["an older version that reads the file: " + then.outcome] += 1
    return seen.outcome, faults, notes


def test_every_damage_is_found_or_without_consequence(original, tmp_path):
    rng, table, notes, faults = np.random.default_rng(20), defaultdict(Counter), Counter(), []
    for number in range(N_DAMAGES):
        change = drawn_change(original, rng, list(original.groups), list(KINDS))
        faulthandler.dump_traceback_later(120, exit=True, file=sys.__stderr__)  # if it hangs
        outcome, found, counts = tried(original, change, rng, tmp_path / str(number))
        faulthandler.cancel_dump_traceback_later()
        shutil.rmtree(tmp_path / str(number))
        table[change.group, change.kind]["FAULTY" if found else outcome] += 1
        notes += counts
        faults += [f"{number}: {change}: {one}" for one in found]
    sys.stdout.write(table_of(table) + "".join(f"{n:6} {k}\n" for k, n in sorted(notes.items())))
    now = {path: (original.folder / path).read_bytes() for path in original.contents}
    assert now == original.contents  # reading changes nothing
    assert not faults, f"{len(faults)} faults\n" + "\n".join(faults)


def table_of(counts):
    """Return a table of outcomes by group of files and kind of damage."""
    outcomes = ["at opening", "in use", "by verify", "harmless", "FAULTY"]
    rows = [("file", "damage", *outcomes)]
    for names, some in [*sorted(counts.items()), (("all", ""), sum(counts.values(), Counter()))]:
        rows.append((*names, *(some[one] for one in outcomes)))
    return "".join(("\n{:20} {:10}" + 5 * "{:>12}").format(*row) for row in rows) + "\n"


def written_over(original, change, folder):
    """Add to a damaged copy, put the files back, and return what is wrong with the rows."""
    damaged_copy(original, change, folder, copy=shutil.copy2)
    ids = np.array([10, 50, 95, 210, 301, 900])  # one of each fragment, and a new one
    codes, seen = Codes(np.full((N_LEVELS, len(ids)), 3, dtype=np.uint8), 16), Seen()
    model = original.truths[-1].answers["info"]["model_fingerprint"]
    said = seen.ask("add", lambda: Collection.open(folder).add_codes(codes, ids, model))
    if said is not None and (said.n_added, said.n_updated) != (1, 5):
        seen.faults.append(f"1 must be added and 5 updated, got {said}")
    for path in change.contents:
        (folder / path).write_bytes(original.contents[path])
    kept = lance.dataset(str(folder / "items.lance")).to_table(["id"])["id"].to_pylist()
    expected = set().union(*original.truths[-1].ids.values(), [] if said is None else ids.tolist())
    if sorted(kept) != sorted(expected):
        seen.faults.append(f"must have {len(expected)} rows, got {len(kept)} of {len({*kept})} ids")
    return seen.faults


def test_writing_over_damage_is_refused_or_right(original, tmp_path):
    rng, faults = np.random.default_rng(21), []
    for number in range(max(1, N_DAMAGES // 4)):
        group = ["data, newest", "_deletions, newest"][number % 2]
        change = drawn_change(original, rng, [group], ["flip", "swap"])
        found = written_over(original, change, tmp_path / str(number))
        faults += [f"{number}: {change}: {one}" for one in found]
    assert not faults, f"{len(faults)} faults\n" + "\n".join(faults)
