// One record in full, over the page.

import { ask } from "./api.js";
import { fill, h } from "./dom.js";
import { failed } from "./entrance.js";
import { badge, bar, bars, category, facts, kept } from "./marks.js";
import { count, duration, moment, t } from "./speech.js";

/** Show a record; return what shuts it. */
export function open(state, id, done) {
  const body = h("div", {}, h("p", { class: "muted waiting" }, t("loading")));
  const shut = () => dialog.close();
  const dialog = h(
    "dialog",
    {
      "aria-labelledby": "record-title",
      onclose: done,
      onclick: (event) => event.target === dialog && shut(),
    },
    h(
      "div",
      { class: "inside" },
      h(
        "div",
        { class: "heading" },
        h("h2", { id: "record-title" }, t("one.title")),
        h("button", { type: "button", onclick: shut }, t("close")),
      ),
      body,
    ),
  );
  const load = async () => {
    try {
      fill(body, details(state, await ask(`records/${encodeURIComponent(id)}`)));
    } catch (error) {
      fill(body, failed(error, load));
    }
  };
  document.body.append(dialog);
  dialog.showModal();
  load();
  return () => {
    dialog.removeEventListener("close", done);
    dialog.remove();
  };
}

/** Return all that is known of a record. */
export function details(state, one) {
  const tone = one.status === "blocked" ? "blocked" : "";
  return [
    h(
      "div",
      { class: "line" },
      badge(one.status),
      one.category && h("span", {}, category(state, one.category)),
      h("time", { class: "muted", datetime: one.time }, moment(one.time, { long: true })),
    ),
    one.degraded && h("p", { class: "warn" }, t("play.degraded")),
    said(one),
    one.score !== null && facts([[t("play.score"), bar(one.score, tone)]]),
    Object.keys(one.categories).length > 0 && [
      h("h3", {}, t("play.categories")),
      bars(state, one.categories),
    ],
    facts([
      [t("one.stage"), t(one.stage)],
      [t("act.took"), duration(one.seconds)],
      one.stream && [t("play.checks"), count(one.stream.checks)],
      one.stream && [t("play.held"), count(one.stream.held)],
      one.stream && [t("one.shown"), count(one.stream.shown)],
      one.stream && [t("play.first"), duration(one.stream.waited)],
      one.classifier && [t("play.classifier"), one.classifier],
      one.error && [t("one.error"), one.error],
      [t("one.reviewed"), one.review ? t(one.review) : t("one.reviewed.not")],
      [t("one.id"), h("code", {}, one.id)],
    ]),
  ];
}

/** Return what was said, as far as it was kept. */
export function said(one) {
  if (one.user === null && one.reply === null) return h("p", { class: "muted" }, t("one.no text"));
  return h(
    "div",
    { class: "exchange" },
    h("h3", {}, t("one.user")),
    kept(one.user),
    one.stage === "output" && [h("h3", {}, t("one.reply")), kept(one.reply)],
  );
}
