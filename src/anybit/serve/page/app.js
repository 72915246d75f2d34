// The page's state and what follows from it: address, request, results.

import { ApiError, getCollection, getItem, getItems, hasToken, search, takeToken } from "./api.js";
import { showHits, showPicker, showSkeletons } from "./cards.js";
import { openDetails, setUpDetails } from "./details.js";
import { $, bytes, count, make, milliseconds, percent } from "./dom.js";
import { askToken, showClosed, showFailure, showNotice, titleOf } from "./notices.js";
import { clearErrors, fieldError, queryError, setUpQuery, showQuery, showQueryCode } from "./query.js";

const K_CHOICES = [12, 24, 48, 96];
const N_START = 24;
const PAUSE_MS = 60; // between the last move of the slider and the request
const BUSY_MS = 150; // quicker answers show no sign of waiting

let collection;
let state = { query: null, bits: null, where: "", k: N_START };
let shown = null; // {query, where, answer}: what the results on the page belong to
let latest = 0; // number of the newest run; answers of older ones are dropped
let running = new AbortController();
let pause = 0;
let cursor = null;
const queries = []; // images and vectors, which an address cannot hold, for going back
const answers = new Map(); // answers of the current query, by length, filter and k

// ---- state and address --------------------------------------------------------------------------

function address() {
  const parts = new URLSearchParams();
  if (state.query?.kind === "id") parts.set("id", state.query.id);
  if (state.bits !== null) parts.set("bits", state.bits);
  if (state.where) parts.set("where", state.where);
  if (state.k !== N_START) parts.set("k", state.k);
  const text = parts.toString();
  return location.pathname + (text ? `?${text}` : "");
}

function remember(isStep) {
  const number = state.query && state.query.kind !== "id" ? queries.indexOf(state.query) : null;
  history[isStep ? "pushState" : "replaceState"]({ number }, "", address());
}

function stateOfAddress() {
  const parts = new URLSearchParams(location.search);
  const id = parts.get("id");
  const bits = Number(parts.get("bits"));
  const k = Number(parts.get("k"));
  const number = history.state?.number ?? null;
  return {
    query: number !== null ? (queries[number] ?? null) : /^-?\d{1,19}$/.test(id) ? { kind: "id", id } : null,
    bits: collection.lengths.includes(bits) && bits !== collection.bits ? bits : null,
    where: parts.get("where") ?? "",
    k: Number.isInteger(k) && k >= 1 && k <= collection.limits.k ? k : Math.min(N_START, collection.limits.k),
  };
}

/** Change the state and show what follows; a step is one that the back button undoes. */
function go(change, { isStep = true, pause_ms = 0 } = {}) {
  const isNewQuery = "query" in change && change.query !== state.query;
  state = { ...state, ...change };
  if (isNewQuery && state.query && state.query.kind !== "id") queries.push(state.query);
  remember(isStep);
  follow(pause_ms);
}

function follow(pause_ms = 0) {
  clearTimeout(pause);
  running.abort(); // the latest wins
  showControls();
  const number = (latest += 1);
  pause = setTimeout(() => run(number), pause_ms);
}

// ---- one run ------------------------------------------------------------------------------------

async function run(number) {
  running = new AbortController();
  const { signal } = running;
  const wanted = { ...state };
  const isNew = shown === null || !isSame(shown.query, wanted.query);
  clearErrors();
  if (isNew) {
    answers.clear();
    shown = null;
    showQuery(wanted.query);
    $("layout").classList.toggle("has-query", wanted.query !== null);
    $("current-code").replaceChildren();
  }
  if (wanted.query === null) return start(number);
  const waiting = setTimeout(() => busy(true), BUSY_MS);
  if (isNew) loading(wanted.k);
  try {
    const [answer] = await Promise.all([ask(wanted, signal), isNew ? nameQuery(wanted.query, signal) : null]);
    if (number !== latest) return;
    fieldError("where");
    shown = { ...wanted, answer };
    results();
    if (answer.version !== collection.version) await update(answer.version);
  } catch (error) {
    if (error.name === "AbortError" || number !== latest) return;
    if (!(error instanceof ApiError)) throw error;
    failed(error, wanted);
  } finally {
    clearTimeout(waiting);
    if (number === latest) busy(false);
  }
}

const isSame = (a, b) => a === b || (a?.kind === "id" && b?.kind === "id" && a.id === b.id);

async function ask({ query, bits, where, k }, signal) {
  const key = JSON.stringify([bits, where, k]);
  if (!answers.has(key)) {
    answers.set(key, await search(query, { k, bits, where: where || null }, signal));
  }
  return answers.get(key);
}

/** Another process has changed the collection: say its new size, and forget older answers. */
async function update(version) {
  for (const [key, answer] of answers) if (answer.version !== version) answers.delete(key);
  try {
    collection = await getCollection();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return; // the next search tells what is wrong
  }
  if (Number($("bits").max) !== collection.lengths.length - 1) return location.reload(); // another model
  describe();
  if (shown) figures(shown.answer);
}

async function nameQuery(query, signal) {
  if (query.kind !== "id") return;
  showQuery(query, await getItem(query.id, signal));
}

async function start(number) {
  $("length").hidden = $("legend").hidden = true;
  $("notice").replaceChildren();
  if (collection.n_items === 0) {
    headline("This collection is empty", "");
    $("grid").replaceChildren();
    showNotice("A search needs items to find.", make("p", {}, "Add some with ", make("code", {}, "anybit add COLLECTION SOURCE"), ", then open this page again."));
    return;
  }
  const takesImages = collection.query_kinds.includes("image");
  headline(
    takesImages ? "Search with an image, or start from one of these" : "Start from one of these, or give a vector",
    "Each item is stored as a short sequence of codewords. The first ones alone are a shorter code: choose its length, and see what that changes.",
  );
  showSkeletons(N_START);
  await pickFrom(null, number);
}

async function pickFrom(from, number) {
  try {
    const page = await getItems(N_START, from);
    if (number !== latest) return;
    if (page.items.length === 0 && from !== null) return pickFrom(null, number); // after the last
    cursor = page.cursor;
    showPicker(page.items, collection.has_thumbnails, (item) => go({ query: { kind: "id", id: String(item.id) } }));
    $("more").hidden = cursor === null && from === null;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (number === latest) failed(error, state);
  }
}

// ---- what is shown ------------------------------------------------------------------------------

function nLevels(bits) {
  return Math.round((collection.n_levels * bits) / collection.bits);
}

function showControls() {
  const bits = state.bits ?? collection.bits;
  const position = collection.lengths.indexOf(bits);
  const slider = $("bits");
  slider.value = position;
  slider.setAttribute("aria-valuetext", `${bits} of ${collection.bits} bits`);
  slider.style.setProperty("--part", collection.lengths.length > 1 ? position / (collection.lengths.length - 1) : 1);
  $("bits-value").textContent = `${bits} of ${collection.bits} bits, ${count(nLevels(bits), "level")}`;
  [...$("ticks").children].forEach((tick, at) => tick.classList.toggle("on", at <= position));
  const ks = [...new Set([...K_CHOICES, state.k])].filter((k) => k <= collection.limits.k).sort((a, b) => a - b);
  $("k").replaceChildren(...ks.map((k) => make("option", { value: k, selected: k === state.k }, String(k))));
  if (document.activeElement !== $("where")) $("where").value = state.where;
  $("unfilter").hidden = !state.where;
}

function headline(title, explanation) {
  $("summary").textContent = title;
  $("explain").textContent = explanation;
  document.title = `${title} - ${collection.name}`;
}

function busy(is) {
  $("busy").classList.toggle("on", is);
  $("grid").setAttribute("aria-busy", String(is));
}

function loading(k) {
  $("more").hidden = true;
  $("legend").hidden = true;
  $("notice").replaceChildren();
  headline("Searching", "");
  showSkeletons(Math.min(k, N_START));
}

function results() {
  const { answer, query, where } = shown;
  const levels = nLevels(answer.bits);
  $("more").hidden = true;
  $("notice").replaceChildren();
  $("length").hidden = false;
  figures(answer);
  showQueryCode(answer.query.codes, levels);
  const of = `${count(answer.n_searched, "item")}${where ? " that the filter selects" : ""}`;
  if (!answer.hits.length) {
    $("grid").replaceChildren();
    $("legend").hidden = true;
    headline("No result", "");
    const again = where
      ? make("button", { type: "button", class: "primary", onclick: () => setFilter("") }, "Remove the filter")
      : null;
    showNotice(where ? `No item meets ${where}.` : "The collection has no items to find.", again);
    say(where ? "No result: no item meets the filter." : "No result.");
    return;
  }
  headline(
    `${count(answer.hits.length, "result")}, nearest first`,
    `Out of ${of}. A larger score is nearer.`,
  );
  $("legend").hidden = answer.hits[0].codes.length > 16;
  showHits(answer, levels, collection.has_thumbnails, { open: details, similar });
  const overlap = answer.overlap ? `, overlap with ${answer.overlap.bits} bits ${percent(answer.overlap.share)}` : "";
  say(
    `${count(answer.hits.length, "result")} at ${answer.bits} bits: ${bytes(answer.code_bytes)} per item, ` +
      `${milliseconds(answer.took_ms.search)}${overlap}.`,
  );
  if (query.wantsFocus) {
    query.wantsFocus = false;
    $("summary").focus({ preventScroll: true });
    scrollTo({ top: 0, behavior: "instant" });
  }
}

function figures({ code_bytes: perItem, took_ms: took, overlap, bits, hits }) {
  $("figure-bytes").textContent = bytes(perItem);
  $("figure-all").textContent = `${bytes(perItem * collection.n_items)} for ${count(collection.n_items, "item")}`;
  $("figure-ms").textContent = milliseconds(took.search);
  $("figure-total").textContent = `${milliseconds(took.total)} in all`;
  const isFull = bits === collection.bits;
  const share = hits.length === 0 ? "none" : isFull ? "100 %" : overlap ? percent(overlap.share) : "not known";
  $("figure-overlap").textContent = share;
  $("figure-full").textContent = isFull ? "this is the full length" : `with the ${collection.bits}-bit answer`;
}

// The slider and the results both change what is read out: it waits until they rest.
let saying = 0;
function say(words) {
  clearTimeout(saying);
  saying = setTimeout(() => ($("live").textContent = words), 400);
}

function failed(error, wanted) {
  if (error.code === "unauthorized") return gate(error);
  if (error.code === "bad_filter") {
    fieldError("where", error.message); // columns and an example stand below it
    state.where = shown?.where ?? ""; // the results, if any, are those of the last filter that was right
    remember(false);
    $("unfilter").hidden = !state.where;
    if (shown === null) follow();
    return;
  }
  if (["too_large", "unsupported_image"].includes(error.code) && wanted.query?.kind === "image") {
    queryError("image", error.message, error.cure);
  }
  shown = null;
  $("grid").replaceChildren();
  $("length").hidden = $("legend").hidden = $("more").hidden = true;
  headline(titleOf(error), "");
  showFailure(error, follow, wanted.query ? newQuery : null);
}

function gate(error) {
  $("layout").hidden = true;
  $("api").hidden = true; // it would be refused
  $("facts").textContent = "";
  if (error.code === "unauthorized") askToken(error, open);
  else showClosed(error);
}

// ---- what a person does -------------------------------------------------------------------------

function details(hit) {
  openDetails(shown.answer, hit, nLevels(shown.answer.bits), similar);
}

function similar(hit) {
  go({ query: { kind: "id", id: String(hit.id), wantsFocus: true } });
}

function newQuery() {
  go({ query: null });
  $("summary").focus();
}

function setFilter(where) {
  fieldError("where");
  $("where").value = where;
  if (where !== state.where) go({ where });
}

let isSetUp = false;
function setUp() {
  if (isSetUp) return; // a token was asked for in between
  isSetUp = true;
  setUpQuery(collection, (query) => {
    clearErrors();
    go({ query });
  });
  setUpDetails();
  const slider = $("bits");
  slider.max = collection.lengths.length - 1;
  $("ticks").replaceChildren(...collection.lengths.map((bits) => make("span", {}, String(bits))));
  $("ticks").classList.toggle("many", collection.lengths.length > 8);
  slider.addEventListener("input", () => {
    const bits = collection.lengths[Number(slider.value)];
    go({ bits: bits === collection.bits ? null : bits }, { isStep: false, pause_ms: PAUSE_MS });
  });
  $("k").addEventListener("change", () => go({ k: Number($("k").value) }));
  $("clear").addEventListener("click", newQuery);
  $("browse").addEventListener("click", newQuery);
  $("more").addEventListener("click", () => pickFrom(cursor, latest));
  $("filter").addEventListener("submit", (event) => {
    event.preventDefault();
    setFilter($("where").value.trim());
  });
  $("unfilter").addEventListener("click", () => {
    setFilter("");
    $("where").focus();
  });
  const columns = collection.columns.map(({ name, type }) =>
    make("li", {}, make("button", { type: "button", onclick: () => insertColumn(name) }, name, make("small", {}, type))),
  );
  $("columns").replaceChildren(...columns);
  $("filter").hidden = columns.length === 0;
  const narrow = matchMedia("(max-width: 980px)"); // there the panel stands above the results
  const fold = () => ($("refine").open = !narrow.matches || Boolean(state.where));
  narrow.addEventListener("change", fold);
  $("where-help").textContent = `For example: ${example()}`;
  fold();
  addEventListener("popstate", () => {
    if ($("details").open) $("details").close();
    state = stateOfAddress();
    follow();
  });
}

function insertColumn(name) {
  const field = $("where");
  field.setRangeText(name, field.selectionStart, field.selectionEnd, "end");
  field.focus();
}

function example() {
  const ways = { int: "< 20", float: "< 0.5", bool: "= true", timestamp: "> '2026-01-31'", string: "LIKE 'a%'" };
  const own = collection.columns.filter(({ name }) => !["id", "key"].includes(name));
  const column = Object.keys(ways).map((type) => own.find((one) => one.type === type)).find(Boolean);
  const label = collection.class_names?.[0];
  const labelled = collection.label_column && label && !label.includes("'");
  const parts = [column && `${column.name} ${ways[column.type]}`, labelled && `${collection.label_column} = '${label}'`];
  return parts.filter(Boolean).join(" AND ") || "id > 0";
}

async function open() {
  try {
    collection = await getCollection();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return gate(error);
  }
  describe();
  $("layout").hidden = false;
  state = stateOfAddress();
  setUp();
  follow();
}

function describe() {
  $("api").hidden = hasToken(); // a link cannot carry it
  $("name").textContent = collection.name;
  $("grid").classList.toggle("plain", !collection.has_thumbnails);
  $("facts").textContent = `${count(collection.n_items, "item")}, ${collection.bits} bits in ${count(collection.n_levels, "level")} of ${collection.n_codewords} codewords`;
  const { name, version } = collection.engine;
  $("engine").textContent = name === "none" ? "Engine: none, vectors only" : `Engine: ${name} ${version ?? ""}`.trim();
  $("version").textContent = `Collection version ${collection.version}`;
}

takeToken();
open();
