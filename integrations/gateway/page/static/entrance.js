// What is shown to those who are not in: the way in, or why there is none.

import { ask } from "./api.js";
import { fill, h } from "./dom.js";
import { t, wrong } from "./speech.js";

const MARK = "#token=";

/** Come in by a token in the address, which is then taken out of it and of the history. */
export async function takeToken() {
  if (!location.hash.startsWith(MARK)) return;
  const token = decoded(location.hash.slice(MARK.length));
  history.replaceState(null, "", "#/playground");
  await ask("login", { method: "POST", body: { token } }).catch(() => null); // it is asked for then
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // it was not encoded
  }
}

/** Return the form that asks for the token. */
export function login(entered) {
  const field = h("input", {
    id: "token",
    type: "password",
    required: true,
    autocomplete: "current-password",
    spellcheck: "false",
  });
  const said = h("p", { class: "error", role: "alert" });
  const submit = async (event) => {
    event.preventDefault();
    try {
      await ask("login", { method: "POST", body: { token: field.value.trim() } });
    } catch (error) {
      fill(said, wrong(error));
      field.select();
      return;
    }
    entered();
  };
  const showing = h("input", {
    type: "checkbox",
    id: "showing",
    onchange: (event) => (field.type = event.target.checked ? "text" : "password"),
  });
  queueMicrotask(() => field.focus());
  return h(
    "form",
    { class: "card", onsubmit: submit },
    h("h1", {}, t("login.title")),
    h("p", { class: "muted" }, t("login.why")),
    h("label", { for: "token" }, t("login.token")),
    field,
    h("label", { class: "check", for: "showing" }, showing, t("login.show")),
    said,
    h("button", { type: "submit", class: "primary" }, t("login.enter")),
  );
}

/** Return the note for those who cannot come in. */
export function closed() {
  return h(
    "div",
    { class: "card" },
    h("h1", {}, t("closed.title")),
    h("p", { class: "muted" }, t("closed.why")),
    h("pre", {}, "GUARDRAIL_PAGE_TOKEN=… guardrail serve …"),
  );
}

/** Return the note that something failed, with a way to try again. */
export function failed(error, again) {
  return h(
    "div",
    { class: "empty", role: "alert" },
    h("p", { class: "error" }, wrong(error)),
    h("button", { type: "button", onclick: again }, t("try again")),
  );
}

/** Return the note that there is nothing, why, and what to do. */
export function empty(title, why, ...more) {
  return h(
    "div",
    { class: "empty" },
    h("p", { class: "strong" }, title),
    h("p", { class: "muted" }, why),
    ...more,
  );
}
