"""Check the web page with axe-core in its states, light and dark, wide and narrow.

    python benchmarks/axe.py AXE_MIN_JS http://127.0.0.1:8000 > axe.json

Needs `anybit serve` running at that address (of one with a token, the states that ask for it are
checked), Playwright and Chromium. axe-core (MPL-2.0) is no part
of this project: `npm pack axe-core` fetches it, and ``package/axe.min.js`` is the file to name.
Exits with 1 when there is a serious or critical finding.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

SIZES = {"wide": (1280, 860), "phone": (390, 844)}
# Rules of WCAG 2.2 A and AA, and the good practices that axe-core adds.
RUN = """async () => {
  const found = await axe.run(document, {resultTypes: ["violations", "incomplete"]});
  const short = ({id, impact, help, nodes}) =>
    ({id, impact, help, nodes: nodes.map((node) => node.target.join(" "))});
  return {violations: found.violations.map(short), unsure: found.incomplete.map(short),
    n_passed: found.passes.length, version: found.testEngine.version};
}"""


def states(page: Page, address: str):
    """Bring the page from state to state; yield the name of each."""
    page.goto(address)
    page.wait_for_selector(".card:not(.bone), #token")
    if page.locator("#token").is_visible():
        yield "token wanted"
        page.fill("#token", "wrong")
        page.press("#token", "Enter")
        page.wait_for_selector("#gate [role=alert]:not(:empty)")
        yield "wrong token"
        return
    yield "start"
    page.locator(".card .open").nth(3).click()
    page.wait_for_selector(".similar")
    page.locator("#bits").press("Home")
    page.wait_for_function("new URL(location).searchParams.has('bits')")
    page.wait_for_timeout(500)
    yield "results"
    page.locator(".card .open").first.click()
    page.wait_for_selector("dialog[open]")
    yield "details"
    page.keyboard.press("Escape")
    page.locator("#refine").evaluate("(element) => { element.open = true }")
    if page.locator("#filter").is_visible():
        page.fill("#where", "no such column <")
        page.press("#where", "Enter")
        page.wait_for_selector("#where-error:not(:empty)")
        yield "filter error"
        page.fill("#where", "id < 0")
        page.press("#where", "Enter")
        page.wait_for_selector(".notice")
        yield "no result"
    page.goto(f"{address}/?id=999999999999")
    page.wait_for_selector(".notice.bad")
    yield "error"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("axe", type=Path, help="axe.min.js of axe-core")
    parser.add_argument("address", help="of a running anybit serve")
    arguments = parser.parse_args()
    script, rows = arguments.axe.read_text(), []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for size, (width, height) in SIZES.items():
            for scheme in ("light", "dark"):
                context = browser.new_context(
                    viewport={"width": width, "height": height},
                    color_scheme=scheme,
                    reduced_motion="reduce",
                    bypass_csp=True,  # the page's own policy admits no foreign script
                )
                page = context.new_page()
                page.add_init_script(script)
                for state in states(page, arguments.address.rstrip("/")):
                    found = page.evaluate(RUN)
                    rows.append({"size": size, "scheme": scheme, "state": state, **found})
                context.close()
        browser.close()
    print(json.dumps(rows, indent=1))
    bad = [one for row in rows for one in row["violations"] if one["impact"] in SERIOUS]
    every = sum(len(row["violations"]) for row in rows)
    print(f"{len(rows)} states, {every} findings, {len(bad)} serious", file=sys.stderr)
    return 1 if bad else 0


SERIOUS = ("serious", "critical")

if __name__ == "__main__":
    sys.exit(main())
