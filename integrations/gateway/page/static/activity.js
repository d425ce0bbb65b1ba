// What was decided: figures, charts, and the records one by one.

import { ask, query } from "./api.js";
import { lying, overTime } from "./charts.js";
import { fill, h } from "./dom.js";
import { empty, failed } from "./entrance.js";
import { addressOf, asked, chosenIn, filters, spans } from "./filters.js";
import { category } from "./marks.js";
import { open } from "./record.js";
import { linkId, list } from "./records.js";
import { count, duration, percent, t } from "./speech.js";

let last = new URLSearchParams(); // what was chosen, for who comes back from one record

export function activity(place, state, { id, values }) {
  if (!state.records) {
    fill(place, h("h1", {}, t("act.title")), empty(t("act.off"), t("act.off.why")));
    return null;
  }
  const chosen = chosenIn(id ? last : values);
  if (!id) last = values;
  const leaving = new AbortController();
  const choose = (other) => (location.hash = addressOf("activity", other));
  const figures = h("div", { class: "figures", "aria-live": "polite" });
  const records = h("section", { class: "card", "aria-labelledby": "list-title" });
  const load = () => {
    show(figures, chosen, state, leaving.signal);
    fill(
      records,
      h("h2", { id: "list-title" }, t("act.list")),
      filters(state, chosen, choose),
      list(state, chosen, leaving.signal, refocus),
    );
  };
  fill(
    place,
    h(
      "div",
      { class: "heading" },
      h("h1", {}, t("act.title")),
      h(
        "div",
        { class: "buttons" },
        spans(chosen, choose),
        h("button", { type: "button", onclick: load }, t("act.refresh")),
      ),
    ),
    figures,
    records,
  );
  load();
  refocus();
  if (id) focused = linkId(id);
  const shut = id ? open(state, id, () => choose(chosen)) : null;
  return () => {
    leaving.abort();
    shut?.();
  };
}

let focused = null; // the filter in use, or the record looked at, which are drawn anew
addEventListener("focusin", ({ target }) => {
  if (!target.closest("dialog")) focused = target.id || target.name || null;
});

function refocus() {
  if (document.activeElement !== document.body) return;
  const again =
    focused &&
    (document.getElementById(focused) ??
      document.querySelector(`[name="${CSS.escape(focused)}"]:checked`));
  if (!again) return;
  again.focus({ preventScroll: again.tagName !== "A" });
  if (again.type === "search") again.setSelectionRange(again.value.length, again.value.length);
}

async function show(place, chosen, state, signal) {
  if (!place.hasChildNodes()) fill(place, h("p", { class: "muted waiting" }, t("loading")));
  try {
    const found = await ask(query("figures", asked(chosen)), { signal });
    fill(place, lost(found.kept), tiles(found), charts(found, chosen, state));
  } catch (error) {
    if (error.name !== "AbortError")
      fill(
        place,
        failed(error, () => show(place, chosen, state, signal)),
      );
  }
}

function lost({ dropped, failed: refused }) {
  return (
    dropped + refused > 0 &&
    h("p", { class: "warn", role: "alert" }, t("act.dropped", { n: count(dropped + refused) }))
  );
}

function tiles({ totals, latency }) {
  const all = Object.values(totals).reduce((sum, one) => sum + one, 0);
  const blocked = totals.blocked + totals.error_blocked;
  const errors = totals.error_blocked + totals.error_allowed;
  const through = totals.error_allowed;
  const { p50, p95 } = latency.output;
  return h(
    "div",
    { class: "tiles" },
    tile("act.judged", count(all)),
    tile(
      "act.blocked",
      count(blocked),
      all ? t("act.of", { share: percent(blocked / all) }) : "",
      blocked ? "blocked" : "",
    ),
    tile(
      "act.errors",
      count(errors),
      through ? t("act.let", { n: count(through) }) : t("act.let.none"),
      errors ? "failed" : "",
    ),
    tile("act.p95", duration(p95), p50 === null ? "" : t("act.p50", { n: duration(p50) })),
  );
}

function tile(name, value, note = "", tone = "") {
  return h(
    "div",
    { class: `tile ${tone}` },
    h("h2", {}, t(name)),
    h("p", { class: "figure number" }, value),
    h("p", { class: "muted" }, note),
  );
}

function charts(found, chosen, state) {
  return h(
    "div",
    { class: "charts" },
    h("section", { class: "card across" }, h("h2", {}, t("act.over time")), overTime(found)),
    h(
      "section",
      { class: "card" },
      h("h2", {}, t("act.by category")),
      byCategory(found.categories, chosen, state),
    ),
    h("section", { class: "card" }, h("h2", {}, t("act.latency")), byTime(found.latency)),
  );
}

function byCategory(found, chosen, state) {
  const rows = found
    .map(({ category: name, counts }) => ({
      name: category(state, name),
      value: counts.blocked + counts.error_blocked,
      href: name && addressOf("activity", { ...chosen, category: name }),
    }))
    .filter(({ value }) => value)
    .sort((one, other) => other.value - one.value);
  if (!rows.length) return h("p", { class: "muted" }, t("act.none blocked"));
  return lying(
    rows.map((row) => ({ ...row, shown: count(row.value) })),
    "blocked",
  );
}

function byTime(latency) {
  const rows = Object.entries(latency)
    .filter(([, { count: judged }]) => judged)
    .flatMap(([stage, found]) =>
      [
        ["50", found.p50],
        ["95", found.p95],
        ["99", found.p99],
      ].map(([share, value]) => ({
        name: `${t(stage)} · ${share}%`,
        value,
        shown: duration(value),
      })),
    );
  return rows.length ? lying(rows) : h("p", { class: "muted" }, t("act.latency.none"));
}
