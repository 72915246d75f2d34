"""The search page as a person uses it: a real server, a real browser."""

from __future__ import annotations

import base64
import re
import shutil
from importlib.util import find_spec
from urllib.parse import parse_qs, urlsplit

import pytest

# Marks and not a skip of the module: a run without any test would count as failed.
pytestmark = [
    pytest.mark.skipif(
        not (shutil.which("chromium") or shutil.which("google-chrome")),
        reason="Chromium is missing: apt-get install chromium.",
    ),
    *(
        pytest.mark.skipif(find_spec(name) is None, reason=f"{name} is missing: make setup.")
        for name in ("playwright", "fastapi", "torch", "sklearn")
    ),
]


def in_address(page):
    """Return the state that the page's address holds."""
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def upload(page, content, name="query.png"):
    page.set_input_files("#file", {"name": name, "mimeType": "image/png", "buffer": content})


def focused(page):
    return page.evaluate("document.activeElement.id || document.activeElement.className")


def has_no_sideways_scroll(page):
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


# --- the query ---


def test_start_offers_items_and_one_of_them_is_a_query(visitor, pictures):
    page = visitor.open(pictures)
    offered = visitor.ids()
    assert len(offered) == 24
    page.click("#more")
    visitor.until("(old) => document.querySelector('.card').dataset.id !== old",
                           offered[0])  # fmt: skip
    assert not set(offered) & set(visitor.ids())
    page.locator(".card .open").nth(2).click()
    visitor.settled("24 results")
    assert in_address(page) == {"id": str(int(offered[-1]) + 3)}
    assert re.fullmatch(r"Engine: (torch|onnxruntime) \S+", page.inner_text("#engine"))


@pytest.mark.parametrize("number", [3, 7, 12])
def test_search_by_upload(visitor, pictures, picture, found_by, number):
    page = visitor.open(pictures)
    upload(page, picture(number))
    hits = visitor.settled("24 results")
    assert hits == found_by(pictures, picture(number))
    assert hits[0] == str(number)  # the very picture, whose feature is a codeword
    assert page.inner_text("#current-name") == "query.png"
    assert page.locator("#current-picture img").evaluate("(image) => image.naturalWidth") == 32
    codewords = page.locator(".codewords li").all_inner_texts()
    assert len(codewords) == 4
    assert in_address(page) == {}  # a picture is not put into the address
    # Scores fall, and thumbnails are there.
    scores = [float(one.split()[-1]) for one in page.locator(".score").all_inner_texts()]
    assert scores == sorted(scores, reverse=True)
    visitor.until("() => document.querySelector('.card img').naturalWidth > 0")
    page.go_back()
    visitor.settled("Search with an image")
    page.go_forward()
    assert visitor.settled("24 results") == hits


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_a_picture_can_be_dropped_and_pasted(visitor, pictures, picture, found_by, way):
    page = visitor.open(pictures)
    page.evaluate(
        """([way, encoded]) => {
          const bytes = Uint8Array.from(atob(encoded), (one) => one.charCodeAt(0));
          const data = new DataTransfer();
          data.items.add(new File([bytes], "held.png", { type: "image/png" }));
          const options = { bubbles: true, cancelable: true };
          const event = way === "drop" ? new DragEvent("drop", { ...options, dataTransfer: data })
            : new ClipboardEvent("paste", { ...options, clipboardData: data });
          document.body.dispatchEvent(event);
        }""",
        [way, base64.b64encode(picture(7)).decode()],
    )
    assert visitor.settled("24 results") == found_by(pictures, picture(7))
    assert page.inner_text("#current-name") == "held.png"
    assert page.locator("#current-picture img").evaluate("(image) => image.naturalWidth") == 32


def test_what_is_no_picture_is_refused_below_the_field(visitor, pictures):
    page = visitor.open(pictures)
    page.set_input_files(
        "#file", {"name": "a.txt", "mimeType": "text/plain", "buffer": b"no picture"}
    )
    assert "An image was required, got text/plain." in page.inner_text("#image-error")
    visitor.expected = ("Failed to load resource", "415")
    upload(page, b"\x89PNG\r\n\x1a\n and nothing more")
    page.wait_for_selector(".notice.bad")
    assert page.inner_text("#summary") == "This is not an image that can be read"
    assert page.inner_text("#image-error") in page.inner_text(".notice.bad").replace("\n\n", " ")


def test_a_vector_is_a_query(visitor, vectors):
    page = visitor.open(vectors)
    page.click("#tab-vector")
    page.fill("#vector", "1, 2, 3")
    page.click("#panel-vector button")
    assert page.inner_text("#vector-error") == "The vector must have 64 numbers, got 3."
    page.fill("#vector", "1, two")
    page.click("#panel-vector button")
    assert page.inner_text("#vector-error") == "Only numbers can be used, got two."
    page.fill("#vector", str([0.5] * 64))
    page.click("#panel-vector button")
    assert len(visitor.settled("24 results")) == 24
    assert page.inner_text("#current-name") == "Vector of 64 numbers"
    assert page.inner_text("#vector-error") == ""


def test_ids_beyond_the_numbers_of_javascript_stay_exact(visitor, vectors):
    page = visitor.open(vectors)
    assert visitor.ids() == [str(2**60 + number) for number in range(24)]
    page.locator(".card .open").nth(1).click()
    visitor.settled("24 results")
    assert in_address(page) == {"id": str(2**60 + 1)}
    page.fill("#item", str(2**60 + 5))
    page.press("#item", "Enter")
    visitor.until("() => document.querySelector('#current-name').textContent === 'chair 5'")


def test_metadata_stands_for_pictures_and_markup_stays_text(visitor, vectors, markup):
    page = visitor.open(vectors)
    card = page.locator(".card").first.inner_text()
    assert markup in card
    assert re.search(r"price\n\d", card)
    assert page.locator("#grid img").count() == 0
    assert page.locator("#tab-image").is_hidden()
    page.locator(".card .open").first.click()
    visitor.settled("24 results")
    page.locator(".card .open").first.click()
    assert page.locator("dialog[open] img").count() == 0
    assert page.evaluate("document.title") != "run"


# --- the code length ---


def test_slider_ranks_anew_and_says_what_a_length_costs(visitor, pictures):
    page = visitor.open(f"{pictures}/?id=3")
    full = visitor.settled("24 results")
    assert (page.inner_text("#figure-bytes"), page.inner_text("#figure-overlap")) == (
        "2 bytes", "100 %",
    )  # fmt: skip
    slider = page.locator("#bits")
    assert slider.get_attribute("aria-valuetext") == "16 of 16 bits"
    slider.press("Home")
    visitor.until("() => document.querySelector('#figure-bytes').textContent === '0.5 bytes'")
    short = visitor.settled("24 results")
    assert short != full
    share = len(set(short) & set(full)) / 24
    assert page.inner_text("#figure-overlap") == f"{int(share * 100)} %"
    assert re.fullmatch(r"(< )?[\d.]+ ms", page.inner_text("#figure-ms"))
    assert slider.get_attribute("aria-valuetext") == "4 of 16 bits"
    assert in_address(page) == {"id": "3", "bits": "4"}
    assert page.locator(".codewords .used").count() == 1
    assert page.locator(".card").first.locator(".cell.unused").count() == 3
    visitor.until("() => document.querySelector('#live').textContent.includes('at 4 bits')")
    page.go_back()  # over all moves of the slider
    assert page.url == "about:blank"


def test_of_quick_moves_only_the_last_is_shown(visitor, pictures):
    page = visitor.open(f"{pictures}/?id=9&bits=4")
    visitor.settled("24 results")
    n_before = len(visitor.asked)
    page.evaluate(
        """() => {
          const slider = document.querySelector("#bits");
          for (const position of [1, 2, 3, 2, 1, 3, 2]) {
            slider.value = position;
            slider.dispatchEvent(new Event("input", { bubbles: true }));
          }
        }"""
    )
    visitor.until("() => document.querySelector('#figure-bytes').textContent === '1.5 bytes'")
    page.wait_for_timeout(300)
    assert page.inner_text("#figure-bytes") == "1.5 bytes"
    assert in_address(page)["bits"] == "12"
    searches = [one for one in visitor.asked[n_before:] if one.endswith("/v1/search")]
    assert len(searches) == 1


# --- filter, address, no result ---


def test_filter_keeps_to_the_items_that_meet_it(visitor, pictures):
    page = visitor.open(f"{pictures}/?id=3")
    visitor.settled("24 results")
    page.locator("#columns button", has_text="row").click()
    assert page.input_value("#where") == "row"
    page.fill("#where", "row < 20 AND ink > 0.2")
    page.press("#where", "Enter")
    visitor.until("() => document.querySelector('#explain').textContent.includes('filter')")
    assert all(int(one) < 20 for one in visitor.ids())
    assert in_address(page) == {"id": "3", "where": "row < 20 AND ink > 0.2"}
    page.click("#unfilter")
    assert len(visitor.settled("24 results")) == 24
    assert in_address(page) == {"id": "3"}


def test_a_wrong_filter_is_explained_and_the_results_stay(visitor, pictures):
    page = visitor.open(f"{pictures}/?id=3")
    before = visitor.settled("24 results")
    visitor.expected = ("Failed to load resource",)
    page.fill("#where", "colour = 'red'")
    page.click("#filter button[type=submit]")
    page.wait_for_selector("#where-error:not(:empty)")
    assert "colour" in page.inner_text("#where-error")
    assert page.get_attribute("#where", "aria-invalid") == "true"
    assert visitor.ids() == before
    assert in_address(page) == {"id": "3"}
    page.fill("#where", "row < 50")
    page.click("#filter button[type=submit]")
    page.wait_for_selector("#where-error", state="hidden")
    assert page.get_attribute("#where", "aria-invalid") is None


def test_no_result_says_so_and_offers_the_way_out(visitor, pictures):
    page = visitor.open(f"{pictures}/?id=3&where=row%20%3C%200")
    visitor.settled("No result")
    assert page.inner_text(".notice p") == "No item meets row < 0."
    page.click(".notice button")
    assert len(visitor.settled("24 results")) == 24


def test_an_address_brings_the_same_results(visitor, pictures):
    page = visitor.open(f"{pictures}/?id=5&bits=8&k=12&where=row%20%3C%20200")
    hits = visitor.settled("12 results")
    assert all(int(one) < 200 for one in hits)
    assert page.input_value("#k") == "12"
    assert page.input_value("#where") == "row < 200"
    assert page.locator("#bits").get_attribute("aria-valuetext") == "8 of 16 bits"


# --- details, more like this ---


def test_details_open_and_close_by_keyboard(visitor, pictures):
    page = visitor.open(f"{pictures}/?id=3&bits=8")
    visitor.settled("24 results")
    card = page.locator(".card .open").nth(2)
    card.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open]")
    assert page.inner_text("#details-title").startswith("Result 3 of 24")
    assert page.evaluate("document.querySelector('dialog').contains(document.activeElement)")
    words = page.locator("dialog tbody td:last-child").all_inner_texts()
    assert words[2:] == ["not compared"] * 2
    same = [query == item for query, item in zip(
        page.locator("dialog tbody td:nth-child(2)").all_inner_texts(),
        page.locator("dialog tbody td:nth-child(3)").all_inner_texts(), strict=True,
    )]  # fmt: skip
    assert words[:2] == ["same" if one else "differs" for one in same[:2]]
    assert "ink" in page.inner_text("dialog")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#details-title").startswith("Result 4 of 24")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="hidden")
    assert card.evaluate("(element) => element === document.activeElement")


def test_more_like_this_searches_anew_and_back_returns(visitor, pictures):
    page = visitor.open(f"{pictures}/?id=3")
    first = visitor.settled("24 results")
    second = next(one for one in first if one != "3")
    page.click(f'.card[data-id="{second}"] .open')
    page.click("#details-similar")
    visitor.until("(id) => new URL(location).searchParams.get('id') === id", second)
    visitor.until("() => document.activeElement.id === 'summary'")
    assert page.locator("dialog").is_hidden()
    assert f"Item {second} " in page.inner_text("#current-kind")
    third = next(one for one in visitor.settled("24 results") if one not in ("3", second))
    page.click(f'.card[data-id="{third}"] .similar')
    visitor.until("(id) => new URL(location).searchParams.get('id') === id", third)
    page.go_back()
    page.go_back()
    visitor.until("() => document.querySelector('#current-kind').textContent.includes(' 3 ')")
    assert visitor.settled("24 results") == first


# --- when something is wrong ---


def test_a_server_that_stops_is_told_and_can_be_tried_again(visitor, serve, goods, port):
    with serve(goods, port=port) as address:
        page = visitor.open(f"{address}/?id={2**60 + 3}")
        visitor.settled("24 results")
    visitor.expected = ("Failed to load resource",)
    page.locator("#bits").press("Home")
    page.wait_for_selector(".notice.bad")
    assert page.inner_text("#summary") == "The server does not answer"
    assert "anybit serve" in page.inner_text(".notice")
    assert visitor.ids() == []
    with serve(goods, port=port):
        page.locator(".notice button", has_text="Try again").click()
        visitor.settled("24 results")
        assert page.inner_text("#figure-bytes") == "0.5 bytes"


def test_an_item_that_is_not_there(visitor, pictures):
    visitor.expected = ("404",)
    page = visitor.open(f"{pictures}/?id=123456")
    visitor.settled("No such item")
    page.locator(".notice button", has_text="New query").click()
    assert len(visitor.settled("Search with an image")) == 24


def test_a_token_is_asked_for_taken_from_the_address_and_not_kept_there(
    browser, visitor, serve, digits
):
    visitor.expected = ("401",)
    with serve(digits, "--token", "open-sesame") as address:
        page = visitor.page
        page.goto(address)
        page.wait_for_selector("#token")
        assert not page.locator("#api").is_visible()
        page.fill("#token", "wrong")
        page.press("#token", "Enter")
        page.wait_for_selector(".gate [role=alert]:not(:empty)")
        page.fill("#token", "open-sesame")
        page.press("#token", "Enter")
        page.wait_for_selector(".card:not(.bone)")
        # Images cannot carry a token themselves: they come all the same.
        visitor.until("() => document.querySelector('.card img')?.naturalWidth > 0")
        assert page.locator(".card img").first.get_attribute("src").startswith("blob:")
        other = browser.new_page()
        other.goto(f"{address}/#token=open-sesame")
        other.wait_for_selector(".card:not(.bone)")
        assert other.url == f"{address}/"
        assert other.evaluate("JSON.stringify(localStorage)") == "{}"
        other.close()


def test_policy_admits_nothing_but_the_pages_own_files(visitor, pictures):
    visitor.expected = ("Content Security Policy",)
    page = visitor.open(pictures)
    page.evaluate(
        """() => {
          const script = document.createElement("script");
          script.textContent = "document.body.dataset.hurt = 'yes'";
          document.head.append(script);
        }"""
    )
    assert page.evaluate("document.body.dataset.hurt ?? 'no'") == "no"
    assert any("Content Security Policy" in one for one in visitor.problems)


# --- looks ---


def test_theme_follows_the_system_until_it_is_chosen(visitor, pictures):
    page = visitor.open(pictures)
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(background)
    assert light != dark
    page.click("#theme")
    assert page.inner_text("#theme") == "Theme: light"
    assert page.evaluate(background) == light
    page.reload()
    assert page.evaluate(background) == light
    page.click("#theme")
    page.emulate_media(color_scheme="light")
    assert page.evaluate(background) == dark


def test_a_phone_never_scrolls_sideways(phone, pictures, picture):
    page = phone.open(pictures)
    assert has_no_sideways_scroll(page)
    upload(page, picture(7), "a-name-" + 30 * "that-is-long-" + ".png")
    phone.settled("24 results")
    assert has_no_sideways_scroll(page)
    page.locator("#bits").press("Home")
    page.locator(".card .open").first.click()
    page.wait_for_selector("dialog[open]")
    assert page.evaluate("document.querySelector('dialog').scrollWidth <= innerWidth")
    assert has_no_sideways_scroll(page)
    page.keyboard.press("Escape")
    page.locator("#refine summary").click()
    page.fill("#where", "row < 0")
    page.press("#where", "Enter")
    phone.settled("No result")
    assert has_no_sideways_scroll(page)


def test_a_phone_has_room_for_vectors(phone, vectors):
    page = phone.open(vectors)
    assert has_no_sideways_scroll(page)
    page.locator(".card .open").first.click()
    phone.settled("24 results")
    assert has_no_sideways_scroll(page)
