// What stands where the results would be: nothing found, something wrong, a token needed.

import { hasToken, keepToken } from "./api.js";
import { $, icon, make } from "./dom.js";

const TITLES = {
  offline: "The server does not answer",
  not_found: "No such item",
  too_large: "The image is too large",
  unsupported_image: "This is not an image that can be read",
  rate_limited: "Too many requests",
  timeout: "The search took too long",
  unavailable: "The server is busy or shutting down",
};
// Where the cure of the API names a request, the page names what one can press.
const CURES = { not_found: "Choose another item with New query." };

export const titleOf = (error) => TITLES[error.code] ?? "The search failed";

export function showNotice(message, ...children) {
  $("notice").replaceChildren(
    make("div", { class: "notice" }, make("p", {}, message), ...children.filter(Boolean)),
  );
}

/** Show why there are no results; `fresh` is null where there is no query to give up. */
export function showFailure(error, again, fresh) {
  const buttons = [make("button", { type: "button", class: "primary", onclick: () => again() }, "Try again")];
  if (fresh) buttons.push(make("button", { type: "button", class: "quiet", onclick: fresh }, "New query"));
  const box = make(
    "div",
    { class: "notice bad", role: "alert" },
    make("p", { class: "strong" }, icon("warning"), error.message),
    make("p", {}, CURES[error.code] ?? error.cure),
    make("div", { class: "row" }, ...buttons),
    make("p", { class: "soft" }, `Code of the error: ${error.code}`),
  );
  $("notice").replaceChildren(box);
}

/** Show that the collection could not be opened at all. */
export function showClosed(error) {
  const again = make("button", { type: "button", onclick: () => location.reload() }, "Try again");
  const lines = [make("h2", {}, TITLES[error.code] ?? "The collection cannot be opened")];
  lines.push(make("p", {}, error.message), make("p", {}, error.cure), again);
  $("gate").replaceChildren(make("div", { class: "notice bad", role: "alert" }, ...lines));
  $("gate").hidden = false;
}

/** Ask for the token, keep it for this tab, and go on with `open`. */
export function askToken(error, open) {
  const field = make("input", { id: "token", type: "password", autocomplete: "off", required: true });
  const form = make(
    "form",
    { class: "notice", novalidate: true },
    make("h2", {}, "This collection needs a token"),
    make("p", { role: "alert" }, hasToken() ? error.message : ""),
    make("label", { for: "token" }, "Token"),
    make("div", { class: "row" }, field, make("button", { type: "submit" }, "Open")),
    make("p", { class: "soft" }, "It is kept until this tab is closed."),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    keepToken(field.value.trim());
    $("gate").hidden = true;
    open();
  });
  $("gate").replaceChildren(form);
  $("gate").hidden = false;
  field.focus();
}
