// The grid: results of a search, or items to pick a query from.

import { $, codeStrip, compareCodes, icon, itemName, make, picture, score, text } from "./dom.js";

const N_METADATA = 4; // values on the card of an item that has no picture

/** Return a card's face: the picture, or the name and the first metadata values. */
function face(item, hasPictures) {
  if (hasPictures) return picture(item, "");
  const title = itemName(item);
  const rows = Object.entries(item.metadata).filter(([, value]) => value !== title);
  const cells = rows.slice(0, N_METADATA).map(([name, value]) => [
    make("span", { class: "soft" }, name),
    make("span", {}, text(value)),
  ]);
  if (title !== `Item ${item.id}`) cells.push([make("span", { class: "soft" }, "id"), make("span", {}, String(item.id))]);
  return make("span", { class: "metadata" }, make("b", {}, title), ...cells.flat());
}

function makeCard(item, hasPictures) {
  const open = make("button", { type: "button", class: "open" });
  open.append(face(item, hasPictures), make("span", { class: "caption" }));
  const card = make("li", { class: "card" }, open);
  card.dataset.id = item.id;
  return card;
}

/** Show items to start from; choosing one calls `pick(item)`. */
export function showPicker(items, hasPictures, pick) {
  const cards = items.map((item) => {
    const card = makeCard(item, hasPictures);
    const open = card.querySelector(".open");
    open.addEventListener("click", () => pick(item));
    open.prepend(make("span", { class: "unseen" }, "Search with "));
    open.querySelector(".caption").append(...nameLine(item, hasPictures), make("span", { class: "unseen" }, `, item ${item.id}`));
    return card;
  });
  $("grid").replaceChildren(...cards);
}

export function showSkeletons(n) {
  const bone = () => make("li", { class: "card bone", "aria-hidden": "true" }, make("span"));
  $("grid").replaceChildren(...Array.from({ length: n }, bone));
}

/** Show hits; cards that stay move to their new place, so that one sees what a length changes. */
export function showHits(answer, nLevels, hasPictures, actions) {
  const grid = $("grid");
  const isResult = (card) => card.dataset.rank !== undefined;
  const before = new Map();
  for (const card of grid.children) {
    if (isResult(card)) before.set(card.dataset.id, { card, place: card.getBoundingClientRect() });
  }
  const focused = document.activeElement;
  const cards = answer.hits.map((hit, position) => {
    const card = before.get(String(hit.id))?.card ?? makeHit(hit, hasPictures, actions);
    fill(card, hit, position, compareCodes(hit.codes, answer.query.codes, nLevels));
    return card;
  });
  grid.replaceChildren(...cards);
  if (grid.contains(focused)) focused.focus({ preventScroll: true });
  if (!before.size || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  const moves = cards.map((card) => [card, before.get(card.dataset.id)?.place]);
  const places = cards.map((card) => card.getBoundingClientRect()); // all read before one is moved
  moves.forEach(([card, old], position) => {
    const now = places[position];
    const frames = old
      ? [{ transform: `translate(${old.x - now.x}px, ${old.y - now.y}px)` }, { transform: "none" }]
      : [{ opacity: 0 }, { opacity: 1 }];
    card.animate(frames, { duration: 260, easing: "cubic-bezier(.2, .7, .2, 1)" });
  });
}

function makeHit(hit, hasPictures, actions) {
  const card = makeCard(hit, hasPictures);
  card.hasPictures = hasPictures;
  card.querySelector(".open").addEventListener("click", () => actions.open(card.hit));
  const similar = make(
    "button",
    { type: "button", class: "quiet similar", onclick: () => actions.similar(card.hit) },
    icon("similar"),
    "More like this",
  );
  similar.append(make("span", { class: "unseen" }, `: ${itemName(hit)}, item ${hit.id}`));
  card.append(similar);
  return card;
}

/** A picture is named below it; a card of metadata begins with the name. */
function nameLine(item, hasPictures) {
  return hasPictures ? [make("span", { class: "name" }, itemName(item))] : [];
}

function fill(card, hit, position, states) {
  card.hit = hit;
  card.dataset.rank = position + 1;
  card.querySelector(".caption").replaceChildren(
    ...nameLine(hit, card.hasPictures),
    make(
      "span",
      { class: "numbers" },
      make("span", { class: "rank" }, make("span", { class: "unseen" }, "rank "), `${position + 1}`),
      make("span", { class: "score" }, make("span", { class: "unseen" }, "score "), score(hit.score)),
    ),
    codeStrip(states),
  );
}
