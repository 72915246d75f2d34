"""The HTTP API: the same answers as the collection's own, and typed errors."""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time

import numpy as np
import pytest

from anybit.collection import Collection
from anybit.errors import DependencyError, OptionError
from anybit.serve import Client, ServeError, ServeOptions, ServerSettings, create_app, serve
from anybit.store import CodeStore

from .conftest import N_PICTURES, N_VECTORS, digit_vectors, picture_file, served


def search(client, **wanted):
    answer = client.post("/v1/search", json=wanted)
    assert answer.status_code == 200, answer.text
    return answer.json()


def error_of(answer, status, code):
    """The body of an error, which must be typed and complete."""
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code), answer.text
    assert set(error) == {"code", "message", "cure"}
    assert error["message"]
    assert error["cure"]
    return error["message"]


@pytest.mark.parametrize("bits", [4, 8, 16, None])
@pytest.mark.parametrize("where", [None, "price < 20 AND is_odd"])
def test_search_by_vector_is_that_of_the_collection(api, vectors, bits, where):
    query = digit_vectors()[0][7] + np.float32(0.01)
    found = search(api, vector=query.tolist(), k=9, bits=bits, where=where)
    expected = vectors.search(query, 9, bits, where)
    assert [hit["id"] for hit in found["hits"]] == expected.ids.tolist()
    np.testing.assert_array_equal(
        np.array([hit["score"] for hit in found["hits"]], np.float32), expected.scores
    )
    assert [hit["key"] for hit in found["hits"]] == expected.keys
    assert found["bits"] == (bits or 16)
    assert found["code_bytes"] == (bits or 16) / 8
    assert found["n_searched"] == vectors.count(where)
    assert found["query"]["kind"] == "vector"
    assert set(found["took_ms"]) == {"decode", "encode", "search", "total"}


def test_hits_carry_full_codes_labels_metadata_and_thumbnail(api, vectors):
    hits = search(api, id=12, k=9, bits=4)["hits"]
    planes = vectors.index().codes.planes
    assert [hit["codes"] for hit in hits] == [planes[:, hit["id"]].tolist() for hit in hits]
    hit = hits[-1]
    assert hit["labels"][0].startswith("class ")
    assert hit["metadata"]["price"] == hit["id"] / 10
    assert hit["metadata"]["made"].startswith("2024-")
    assert hit["thumbnail"] == f"/v1/items/{hit['id']}/thumbnail"


def test_overlap_counts_common_hits_of_short_and_full_code(api, vectors):
    shares = []
    for query in digit_vectors()[0][:10]:
        found = search(api, vector=query.tolist(), k=7, bits=4, with_overlap=True)
        short, full = vectors.search(query, 7, 4).ids, vectors.search(query, 7).ids
        assert found["overlap"] == {"bits": 16, "share": len(set(short) & set(full)) / 7}
        shares.append(found["overlap"]["share"])
    assert min(shares) < 1
    assert max(shares) > 0
    assert search(api, id=3, k=5, with_overlap=True)["overlap"]["share"] == 1
    assert search(api, id=3, k=5, bits=4)["overlap"] is None


def test_search_by_id_uses_what_the_item_s_code_says(api, vectors):
    codes = vectors.index().codes
    feature = vectors.codebooks.decode(codes)[33]
    expected = vectors.search(feature, 6)
    assert [hit["id"] for hit in search(api, id=33, k=6)["hits"]] == expected.ids.tolist()
    assert search(api, id="33", k=6)["query"]["codes"] == codes.planes[:, 33].tolist()


def test_search_by_image_is_that_of_the_collection(image_api, pictures):
    file = picture_file(digit_vectors()[0][5], "PNG")
    answer = image_api.post(
        "/v1/search",
        files={"image": ("5.png", file)},
        data={"query": json.dumps({"k": 5, "with_overlap": True, "bits": 8})},
    )
    assert answer.status_code == 200, answer.text
    found = answer.json()
    path = next(path for path in (pictures.path.parent / "pictures").rglob("5.png"))
    expected = pictures.search(path, 5, 8)
    assert [hit["key"] for hit in found["hits"]] == expected.keys
    key = next(key for key in pictures.get(pictures.ids())["key"].to_pylist() if "/5.png" in key)
    assert found["query"]["kind"] == "image"
    row = pictures.get(pictures.ids("key = '" + key + "'"), [f"level_0{m}" for m in range(4)])
    assert found["query"]["codes"] == [row[f"level_0{m}"][0].as_py() for m in range(4)]
    assert found["took_ms"]["decode"] > 0


def test_images_of_many_requests_are_encoded_together_and_get_their_own_answers(image_api):
    files = [picture_file(one, "PNG") for one in digit_vectors()[0][:12]]

    def ask(file):
        return image_api.post("/v1/search", files={"image": ("a", file)}).json()["query"]["codes"]

    alone = [ask(file) for file in files]
    together = [None] * len(files)
    threads = [
        threading.Thread(target=lambda row=row: together.__setitem__(row, ask(files[row])))
        for row in range(len(files))
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert together == alone
    assert len({tuple(one) for one in alone}) > 1


def test_collection_tells_what_can_be_asked_for(api, image_api):
    told = api.get("/v1/collection").json()
    assert (told["name"], told["n_items"], told["bits"]) == ("digits", N_VECTORS, 16)
    assert told["lengths"] == [4, 8, 12, 16]
    assert told["query_kinds"] == ["id", "vector"]
    assert told["engine"] == {"name": "none", "version": None}
    kinds = {one["name"]: one["type"] for one in told["columns"]}
    assert kinds == {
        "id": "int", "key": "string", "labels": "list", "price": "float", "digit": "int",
        "colour": "string", "is_odd": "bool", "made": "timestamp",
    }  # fmt: skip
    told = image_api.get("/v1/collection").json()
    assert told["query_kinds"] == ["image", "id", "vector"]
    assert told["engine"]["name"] == "torch"
    assert told["n_items"] == N_PICTURES
    assert told["label_column"] == "labels"


def test_pages_of_items_go_through_all_of_them_once(api):
    seen, cursor = [], None
    while True:
        params = {"limit": 70} if cursor is None else {"limit": 70, "cursor": cursor}
        page = api.get("/v1/items", params=params).json()
        seen += [one["id"] for one in page["items"]]
        cursor = page["cursor"]
        if cursor is None:
            break
    assert seen == list(range(N_VECTORS))


def test_item_and_thumbnail(api):
    item = api.get("/v1/items/7").json()
    assert (item["id"], item["key"], item["metadata"]["price"]) == (7, "digit-7", 0.7)
    answer = api.get("/v1/items/7/thumbnail")
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["cache-control"] == "private, max-age=300"
    assert answer.content == picture_file(digit_vectors()[0][7])
    again = api.get("/v1/items/7/thumbnail", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = api.get("/v1/items/8/thumbnail", headers={"If-None-Match": answer.headers["etag"]})
    assert other.status_code == 200


@pytest.mark.parametrize(
    ("wanted", "status", "code", "said"),
    [
        ({}, 400, "bad_request", "either id or vector, got neither"),
        ({"id": 0, "vector": [1.0]}, 400, "bad_request", "got both"),
        ({"id": 5, "k": 0}, 400, "bad_request", "k:"),
        ({"id": 5, "k": 501}, 400, "bad_request", "k must be from 1 to 500"),
        ({"id": 5, "bits": 7}, 400, "bad_request", "bits must be one of 4, 8, 12, 16"),
        ({"id": 5, "colour": "red"}, 400, "bad_request", "colour"),
        ({"id": 2**70}, 400, "bad_request", "id"),
        ({"id": 10**9}, 404, "not_found", "1000000000"),
        ({"vector": [1.0, 2.0]}, 400, "bad_request", "64 finite numbers, got 2"),
        ({"vector": [1e39] * 64}, 400, "bad_request", "too large"),
        ({"id": 5, "where": "nothing = 1"}, 400, "bad_filter", "A column must be one of id, key"),
        ({"id": 5, "where": "price <"}, 400, "bad_filter", "A value"),
    ],
)
def test_requests_that_do_not_fit_are_refused_with_a_reason(api, wanted, status, code, said):
    assert said in error_of(api.post("/v1/search", json=wanted), status, code)


def test_bodies_that_are_no_json_are_refused(api):
    as_json = {"content-type": "application/json"}
    for content in (b"", b"{", b"[" * 100_000, b"\xff\xfe", b"null", b'{"id": NaN}'):
        error_of(api.post("/v1/search", content=content, headers=as_json), 400, "bad_request")
    error_of(api.post("/v1/search", content=b'{"id": 5}'), 415, "bad_request")


def test_no_result_is_an_empty_answer(api):
    found = search(api, id=5, where="price < -1", with_overlap=True)
    assert (found["hits"], found["n_searched"], found["overlap"]) == ([], 0, None)


def test_unknown_addresses_and_methods_are_typed_errors(api):
    error_of(api.get("/v2/everything"), 404, "not_found")
    error_of(api.put("/v1/search"), 405, "bad_request")
    error_of(api.get("/v1/items/999999"), 404, "not_found")
    error_of(api.get("/v1/items/999999/thumbnail"), 404, "not_found")
    error_of(api.get("/v1/items?limit=0"), 400, "bad_request")


def test_rows_of_another_process_are_found_without_a_restart(own):
    with served(own, follow_s=0.05) as client:
        assert client.get("/v1/collection").json()["n_items"] == N_VECTORS
        other = Collection.open(own.path)
        x = digit_vectors()[0][:2] + np.float32(0.5)
        other.add_codes(other.codebooks.encode(x), np.array([900, 901]), own.model_fingerprint)
        assert search(client, id=900, k=1)["n_searched"] == N_VECTORS + 2
        assert client.get("/v1/collection").json()["n_items"] == N_VECTORS + 2
        other.delete(np.array([900]))
        deadline = time.monotonic() + 5
        while f"anybit_items {N_VECTORS + 1}.0" not in client.get("/metrics").text:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        error_of(client.post("/v1/search", json={"id": 900}), 404, "not_found")


def test_items_are_changed_only_where_it_is_allowed(api, own):
    item = {"items": [{"id": 1000, "vector": [0.5] * 64}]}
    error_of(api.post("/v1/items", json=item), 403, "read_only")
    error_of(api.request("DELETE", "/v1/items", json={"ids": [1]}), 403, "read_only")
    with served(own, is_writable=True) as client:
        item["items"][0] |= {"key": "new", "labels": ["x"], "metadata": {"price": 5, "size": 3}}
        done = client.post("/v1/items", json=item).json()
        assert (done["n_added"], done["n_updated"]) == (1, 0)
        stored = client.get("/v1/items/1000").json()
        assert (stored["key"], stored["labels"]) == ("new", ["x"])
        assert (stored["metadata"]["price"], stored["metadata"]["size"]) == (5.0, 3)
        assert search(client, id=1000, k=1, where="size = 3")["n_searched"] == 1
        assert client.post("/v1/items", json=item).json()["n_updated"] == 1
        done = client.request("DELETE", "/v1/items", json={"ids": [1000, 7, 123456]}).json()
        assert done["n_deleted"] == 2
        done = client.request("DELETE", "/v1/items", json={"where": "digit = 0"}).json()
        assert done["n_deleted"] > 10
        error_of(client.get("/v1/items/7"), 404, "not_found")
        for bad in ({}, {"ids": [1], "where": "digit = 1"}, {"where": " "}, {"where": "1 = 1"}):
            answer = client.request("DELETE", "/v1/items", json=bad)
            assert answer.status_code == 400, bad
        for wrong in ({"price": "cheap"}, {"level_00": 3}, {"thumbnail": "x"}, {"a b": 1}):
            item["items"][0]["metadata"] = wrong
            error_of(client.post("/v1/items", json=item), 400, "bad_request")
        two = {"items": [item["items"][0] | {"metadata": {}}] * 2}
        error_of(client.post("/v1/items", json=two), 400, "bad_request")


def test_an_upload_replaces_no_item_of_a_folder(tmp_path, pictures):
    copied = Collection.open(shutil.copytree(pictures.path, tmp_path / "copy"), "cpu")
    used, file = int(copied.index().ids[3]), picture_file(digit_vectors()[0][200], "PNG")
    with served(copied, is_writable=True) as client:
        before = client.get(f"/v1/items/{used}").json()
        for number in (used, str(used)):
            data = {"item": json.dumps({"id": number, "key": "other.png"})}
            answer = client.post("/v1/items", files={"image": ("a.png", file)}, data=data)
            error_of(answer, 409, "conflict")
        assert client.get(f"/v1/items/{used}").json() == before
        data = {"item": json.dumps({"id": 5, "key": "own.png"})}
        for count in ("n_added", "n_updated"):
            answer = client.post("/v1/items", files={"image": ("a.png", file)}, data=data)
            assert answer.json()[count] == 1


def test_an_image_is_added_with_its_thumbnail(tmp_path, pictures):
    copied = Collection.open(shutil.copytree(pictures.path, tmp_path / "copy"), "cpu")
    file = picture_file(digit_vectors()[0][200], "PNG")
    with served(copied, is_writable=True) as client:
        answer = client.post(
            "/v1/items",
            files={"image": ("a.png", file)},
            data={"item": json.dumps({"id": 5, "key": "added.png", "labels": ["4"]})},
        )
        assert answer.json()["n_added"] == 1, answer.text
        found = client.post("/v1/search", files={"image": ("a.png", file)}).json()
        best = [hit["id"] for hit in found["hits"] if hit["score"] == found["hits"][0]["score"]]
        assert 5 in best
        assert client.get("/v1/items/5").json()["codes"] == found["query"]["codes"]
        assert client.get("/v1/items/5/thumbnail").content.startswith(b"\xff\xd8\xff")
        answer = client.post(
            "/v1/items", files={"image": ("a", b"no image")}, data={"item": '{"id": 6}'}
        )
        error_of(answer, 415, "unsupported_image")


def test_health_readiness_and_figures(vectors):
    app = create_app(vectors, ServeOptions(n_decoders=1))
    service = app.state.service
    from starlette.testclient import TestClient

    client = TestClient(app)  # without its lifespan nothing is loaded
    assert client.get("/healthz").json() == {"status": "ok"}
    assert (client.get("/readyz").status_code, service.state) == (503, "loading")
    error_of(client.post("/v1/search", json={"id": 1}), 503, "unavailable")
    with client:
        deadline = time.monotonic() + 10
        while client.get("/readyz").status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        client.post("/v1/search", json={"id": 1})
        figures = client.get("/metrics").text
        assert f"anybit_items {N_VECTORS}.0" in figures
        assert 'anybit_requests_total{method="POST",route="/v1/search",status="200"} 1.0' in figures
        assert 'anybit_stage_seconds_count{stage="search"} 1.0' in figures
        service.stop_soon()
        assert client.get("/readyz").status_code == 503
        assert client.post("/v1/search", json={"id": 1}).status_code == 200  # what runs, runs
    assert service.state == "stopping"


@pytest.mark.parametrize(("kept_bytes", "n_reads"), [(0, 2), (2**20, 0)])
def test_hits_are_kept_in_memory(own, monkeypatch, kept_bytes, n_reads):
    reads, take_at = [], CodeStore.take_at
    monkeypatch.setattr(
        CodeStore, "take_at", lambda self, *given: reads.append(1) or take_at(self, *given)
    )
    vector = digit_vectors()[0][0].tolist()
    with served(own, kept_bytes=kept_bytes, follow_s=1000) as client:
        del reads[:]  # what loading has read
        answers = [client.post("/v1/search", json={"vector": vector, "k": 3}) for _ in range(2)]
    assert len(reads) == n_reads
    assert len({json.dumps(one.json()["hits"]) for one in answers}) == 1


def test_a_collection_without_its_model_s_network_is_refused(pictures, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(DependencyError, match="a model with a network needs torch"):
        serve(ServerSettings(str(pictures.path)))


def test_other_addresses_than_loopback_need_a_token(vectors):
    with pytest.raises(OptionError, match=r"needs a token, got host 0.0.0.0 without.*token-file"):
        serve(ServerSettings(str(vectors.path), host="0.0.0.0"))


def test_description_is_complete_and_loads_nothing_from_elsewhere(api):
    told = api.get("/v1/openapi.json").json()
    assert set(told["paths"]) == {
        "/healthz", "/readyz", "/metrics", "/v1/collection", "/v1/search", "/v1/items",
        "/v1/items/{id}", "/v1/items/{id}/thumbnail",
    }  # fmt: skip
    body = told["paths"]["/v1/search"]["post"]["requestBody"]["content"]
    assert set(body) == {"application/json", "multipart/form-data"}
    used = set(_references(told))
    assert used <= {f"#/components/schemas/{name}" for name in told["components"]["schemas"]}
    assert "HTTPValidationError" not in json.dumps(told["paths"])
    for path in ("/docs", "/redoc"):
        assert api.get(path).status_code == 404


def _references(value):
    if isinstance(value, dict):
        for key, one in value.items():
            if key == "$ref":
                yield one
            yield from _references(one)
    elif isinstance(value, list):
        for one in value:
            yield from _references(one)


def test_page_is_served_from_the_package(api):
    answer = api.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "<script>" not in answer.text
    again = api.get("/", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304


def test_client_refuses_what_is_no_address():
    with pytest.raises(OptionError, match="url must be such as"):
        Client("ftp://somewhere")
    with pytest.raises(ServeError, match="must answer") as caught:
        Client("http://127.0.0.1:9").collection()
    assert caught.value.code == "unavailable"
