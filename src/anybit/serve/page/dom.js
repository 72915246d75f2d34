// Elements, numbers and codes as text. What comes from the collection is only ever set as text.

import { pictureAddress } from "./api.js";

export const $ = (id) => document.getElementById(id);

/** Make an element; attributes by name, `on…` as listeners; children are nodes or text. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== null && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

export const count = (n, noun) => `${whole.format(n)} ${noun}${n === 1 ? "" : "s"}`;

export function bytes(n) {
  const units = ["kB", "MB", "GB", "TB"];
  if (n < 1000) return count(Math.round(n * 10) / 10, "byte");
  let unit = -1;
  for (; n >= 1000; unit += 1) n /= 1000;
  return `${short.format(n)} ${units[unit]}`;
}

export const milliseconds = (ms) => `${ms < 0.01 ? "< 0.01" : short.format(ms)} ms`;

// Rounded down: 100 % is said only of the very same answer.
export const percent = (share) => `${Math.floor(share * 100 + 1e-9)} %`;

export const score = (value) => value.toFixed(Math.abs(value) >= 100 ? 1 : 3);

/** Write one metadata value. */
export function text(value) {
  if (value === null || value === undefined) return "none";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value)) return value.map(text).join(", ");
  if (typeof value === "object") return JSON.stringify(value);
  // 2026-03-04T12:00:00.000000 is read more easily without what is zero.
  const date = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(:\d\d)?(\.\d+)?(Z|[+-]\d\d:\d\d)?$/.exec(value);
  return date ? `${date[1]} ${date[2]}` : String(value);
}

/** Name an item: its class labels, else its key, else the first text of its metadata. */
export function itemName(item) {
  if (item.labels?.length) return item.labels.join(", ");
  if (item.key) return item.key;
  return Object.values(item.metadata).find((one) => typeof one === "string") ?? `Item ${item.id}`;
}

/** Return a frame with the stored picture of an item, or with a word where it has none. */
export function picture(item, alt) {
  const frame = make("span", { class: "picture" });
  const missing = () => frame.replaceChildren(make("span", { class: "missing" }, "no picture"));
  if (!item.thumbnail) {
    missing();
    return frame;
  }
  const image = make("img", { alt, loading: "lazy", decoding: "async", draggable: "false" });
  image.addEventListener("error", missing);
  // Thumbnails of a few dots are shown as dots, not as a blur.
  image.addEventListener("load", () => image.classList.toggle("pixel", image.naturalWidth < 64));
  pictureAddress(item.thumbnail).then((address) => (image.src = address), missing);
  frame.append(image);
  return frame;
}

/** Tell, level by level, how two codes compare: "same", "other" or "unused" (beyond the length). */
export function compareCodes(codes, queryCodes, nLevels) {
  return codes.map((code, level) => {
    if (level >= nLevels) return "unused";
    return code === queryCodes[level] ? "same" : "other";
  });
}

/** Draw the comparison as one cell a level, with the same in words; long codes in words alone. */
export function codeStrip(states) {
  const compared = states.filter((state) => state !== "unused").length;
  const same = states.filter((state) => state === "same").length;
  const cells = states.length > 16 ? [] : states.map((state) => make("i", { class: `cell ${state}` }));
  return make(
    "span",
    { class: "strip" },
    make("span", { class: "cells", "aria-hidden": "true" }, ...cells),
    make("span", {}, `${same} of ${compared} same`, make("span", { class: "unseen" }, " as the query, by level")),
  );
}
