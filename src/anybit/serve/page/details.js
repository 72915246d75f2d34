// The details of one hit: picture, metadata, and its code beside the query's, level by level.

import { $, compareCodes, icon, itemName, make, picture, score, text } from "./dom.js";

const WORDS = { same: "same", other: "differs", unused: "not compared" };
let shown = null; // {answer, position, nLevels, similar}

/** Open the dialog on one hit of an answer; `similar(hit)` searches for more like it. */
export function openDetails(answer, hit, nLevels, similar) {
  const position = answer.hits.findIndex((one) => one.id === hit.id);
  shown = { answer, position, nLevels, similar };
  render();
  $("details").showModal();
}

function render() {
  const { answer, position, nLevels, similar } = shown;
  const hit = answer.hits[position];
  $("details-title").textContent = `Result ${position + 1} of ${answer.hits.length}: ${itemName(hit)}`;
  $("previous").disabled = position === 0;
  $("next").disabled = position === answer.hits.length - 1;
  const more = make(
    "button",
    { type: "button", class: "primary", id: "details-similar", onclick: () => (close(), similar(hit)) },
    icon("similar"),
    "More like this",
  );
  const facts = [["score", score(hit.score)], ["id", String(hit.id)]];
  if (hit.key) facts.push(["key", hit.key]);
  if (hit.labels?.length) facts.push(["labels", hit.labels.join(", ")]);
  const metadata = Object.entries(hit.metadata).map(([name, value]) => [name, text(value)]);
  const side = make("div", { class: "side" }, more);
  if (hit.thumbnail) side.prepend(picture(hit, `Picture of ${itemName(hit)}`));
  const lists = [make("h3", {}, "Item"), list(facts)];
  if (metadata.length) lists.push(make("h3", {}, "Metadata"), list(metadata));
  $("details-body").replaceChildren(
    make("div", { class: hit.thumbnail ? "split" : "split plain" }, side, make("div", {}, ...lists)),
    make("h3", {}, "Code, level by level"),
    codeTable(hit.codes, answer.query.codes, nLevels),
  );
}

function list(rows) {
  const pairs = rows.map(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]);
  return make("dl", { class: "facts" }, ...pairs.flat());
}

function codeTable(codes, queryCodes, nLevels) {
  const head = ["Level", "Query", "This item", "Codeword"].map((name) =>
    make("th", { scope: "col" }, name),
  );
  const rows = compareCodes(codes, queryCodes, nLevels).map((state, level) => {
    const name = level === 0 ? "0, coarsest" : String(level);
    return make(
      "tr",
      { class: state },
      make("th", { scope: "row" }, name),
      make("td", {}, String(queryCodes[level])),
      make("td", {}, String(codes[level])),
      make("td", {}, make("i", { class: `cell ${state}`, "aria-hidden": "true" }), WORDS[state]),
    );
  });
  return make(
    "table",
    { class: "codes" },
    make("thead", {}, make("tr", {}, ...head)),
    make("tbody", {}, ...rows),
  );
}

function step(by) {
  const position = shown.position + by;
  if (position < 0 || position >= shown.answer.hits.length) return;
  shown.position = position;
  const focused = document.activeElement;
  render();
  // A button that was just disabled, or made anew, must not take the focus with it.
  if (focused.disabled || !focused.isConnected) $("close").focus();
}

function close() {
  $("details").close(); // gives the focus back to the card
}

export function setUpDetails() {
  const dialog = $("details");
  $("close").addEventListener("click", close);
  $("previous").addEventListener("click", () => step(-1));
  $("next").addEventListener("click", () => step(1));
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) close(); // beside the sheet
  });
}
