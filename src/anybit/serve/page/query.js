// The query panel: an image, an item or a vector; what is searched with now, and its code.

import { $, bytes, count, itemName, make, picture } from "./dom.js";

const KINDS = ["image", "id", "vector"];
let collection, ask;

/** Set the panel up for a collection; `ask(query)` is called with every valid query. */
export function setUpQuery(ofCollection, onQuery) {
  [collection, ask] = [ofCollection, onQuery];
  const kinds = KINDS.filter((kind) => collection.query_kinds.includes(kind));
  for (const kind of KINDS) {
    const tab = $(`tab-${kind}`);
    tab.hidden = !kinds.includes(kind);
    tab.addEventListener("click", () => select(kind));
    tab.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (by === undefined) return;
      const next = kinds[(kinds.indexOf(kind) + by + kinds.length) % kinds.length];
      select(next);
      $(`tab-${next}`).focus();
    });
  }
  select(kinds[0]);
  const { upload_bytes: limit } = collection.limits;
  $("image-help").textContent = `JPEG, PNG, WebP, GIF or BMP, at most ${bytes(limit)}`;
  $("vector-help").textContent = `${count(collection.dim, "number")}, such as a row of a .npy file.`;
  $("file").addEventListener("change", (event) => {
    takeImage(event.target.files[0]);
    event.target.value = ""; // the same file can be chosen again
  });
  $("form-id").addEventListener("submit", takeId);
  $("form-vector").addEventListener("submit", takeVector);
  if (kinds.includes("image")) setUpDropAndPaste();
}

function select(kind) {
  for (const one of KINDS) {
    const is = one === kind;
    $(`tab-${one}`).setAttribute("aria-selected", String(is));
    $(`tab-${one}`).tabIndex = is ? 0 : -1;
    $(`panel-${one}`).hidden = !is;
  }
}

/** Show what was wrong with a field below it; without a message, that nothing is. */
export function fieldError(name, message = "", cure = "") {
  const field = $(name === "image" ? "file" : name);
  field.toggleAttribute("aria-invalid", false);
  if (message) field.setAttribute("aria-invalid", "true");
  $(`${name}-error`).textContent = message && cure ? `${message} ${cure}` : message;
}

export function clearErrors() {
  for (const name of ["image", "item", "vector"]) fieldError(name);
}

/** Show an error where the query was given. */
export function queryError(kind, message, cure) {
  select(kind);
  fieldError(kind === "id" ? "item" : kind, message, cure);
}

function takeImage(blob) {
  if (!blob) return;
  const { upload_bytes: limit } = collection.limits;
  select("image");
  if (!blob.type.startsWith("image/")) {
    fieldError("image", `An image was required, got ${blob.type || "a file of unknown type"}.`,
      "Choose a JPEG, PNG, WebP, GIF or BMP file.");
  } else if (blob.size > limit) {
    fieldError("image", `An image of at most ${bytes(limit)} was required, got ${bytes(blob.size)}.`,
      "Save it smaller and choose it again.");
  } else {
    ask({ kind: "image", blob, name: blob.name || "pasted image", url: URL.createObjectURL(blob) });
  }
}

function takeId(event) {
  event.preventDefault();
  const id = $("item").value.trim();
  if (/^-?\d{1,19}$/.test(id)) ask({ kind: "id", id });
  else fieldError("item", `The id of an item is a whole number, got ${id || "nothing"}.`);
}

function takeVector(event) {
  event.preventDefault();
  const words = $("vector").value.replace(/[[\](),;]/g, " ").split(/\s+/).filter(Boolean);
  const values = words.map(Number);
  const bad = words.find((word, at) => !Number.isFinite(values[at]));
  if (bad !== undefined) {
    fieldError("vector", `Only numbers can be used, got ${bad.slice(0, 20)}.`);
  } else if (values.length !== collection.dim) {
    fieldError("vector", `The vector must have ${count(collection.dim, "number")}, got ${values.length}.`);
  } else {
    ask({ kind: "vector", values });
  }
}

function setUpDropAndPaste() {
  const hasFile = (event) => event.dataTransfer?.types.includes("Files");
  let depth = 0; // dragenter and dragleave also fire for every element that is crossed
  const show = (is) => ($("overlay").hidden = !is);
  document.addEventListener("dragenter", (event) => {
    if (hasFile(event) && (depth += 1) === 1) show(true);
  });
  document.addEventListener("dragleave", (event) => {
    if (hasFile(event) && (depth = Math.max(0, depth - 1)) === 0) show(false);
  });
  document.addEventListener("dragover", (event) => hasFile(event) && event.preventDefault());
  document.addEventListener("drop", (event) => {
    if (!hasFile(event)) return;
    event.preventDefault();
    depth = 0;
    show(false);
    takeImage(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith("image/"));
    if (!file) return; // text goes to the field that has the focus
    event.preventDefault();
    takeImage(file);
  });
}

/** Show the query; `item` is that of an id, when it is known. */
export function showQuery(query, item = null) {
  $("current").hidden = query === null;
  if (query === null) return;
  const names = {
    image: () => query.name,
    id: () => (item ? itemName(item) : `Item ${query.id}`),
    vector: () => `Vector of ${count(query.values.length, "number")}`,
  };
  const kinds = { image: "Your image", id: `Item ${query.id} of the collection`, vector: "Your vector" };
  $("current-name").textContent = names[query.kind]();
  $("current-kind").textContent = kinds[query.kind];
  const frame = $("current-picture");
  frame.hidden = !(query.kind === "image" || item?.thumbnail);
  if (query.kind === "image") {
    const image = make("img", { alt: "The query", src: query.url });
    // A browser may not know a format that the server decodes.
    image.addEventListener("error", () => (frame.hidden = true));
    image.addEventListener("load", () => image.classList.toggle("pixel", image.naturalWidth < 64));
    frame.replaceChildren(image);
  } else if (item?.thumbnail) {
    frame.replaceChildren(picture(item, "The query"));
  }
}

/** Show the code of the query; levels from `nLevels` on are not compared. */
export function showQueryCode(codes, nLevels) {
  const chips = codes.map((code, level) =>
    make("li", { class: level < nLevels ? "used" : "unused" }, String(code),
      make("span", { class: "unseen" }, level < nLevels ? "" : " (not compared)")),
  );
  const title = make("p", { class: "soft", id: "code-title" }, `Code: ${nLevels} of ${count(codes.length, "level")} compared`);
  $("current-code").replaceChildren(
    ...(codes.length ? [title, make("ol", { class: "codewords", "aria-labelledby": "code-title" }, ...chips)] : []),
  );
}
