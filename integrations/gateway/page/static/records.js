// The list of records, a page at a time.

import { ask, query } from "./api.js";
import { fill, h } from "./dom.js";
import { empty, failed } from "./entrance.js";
import { asked, narrows } from "./filters.js";
import { badge, category, isHash, quoted } from "./marks.js";
import { duration, moment, score, t } from "./speech.js";

const AT_ONCE = 50;
const EXCERPT = 160;

/** Return the list; it fills itself, and tells when it has. */
export function list(state, chosen, signal, filled) {
  const rows = h("tbody");
  const more = h("div", { class: "more" });
  const shown = h("div", { class: "scroll" }, table(rows));
  const place = h(
    "div",
    { "aria-live": "polite" },
    h("p", { class: "muted waiting" }, t("loading")),
  );
  const load = async (after) => {
    try {
      const page = await ask(query("records", { ...asked(chosen), limit: AT_ONCE, after }), {
        signal,
      });
      if (!after) fill(place, page.records.length ? [shown, more] : none(chosen));
      rows.append(...page.records.map((one) => row(state, one)));
      fill(
        more,
        page.next && h("button", { type: "button", onclick: () => load(page.next) }, t("more")),
      );
      if (!after) filled();
    } catch (error) {
      if (error.name !== "AbortError")
        fill(
          after ? more : place,
          failed(error, () => load(after)),
        );
    }
  };
  load(null);
  return place;
}

function none(chosen) {
  if (narrows(chosen)) return empty(t("act.empty.filtered"), t("act.empty.filtered.why"));
  return empty(
    t("act.empty"),
    t("act.empty.why"),
    h("a", { class: "button", href: "#/playground" }, t("playground")),
  );
}

function table(rows) {
  const names = ["time", "decision", "category", "score", "took", "text", "mark"];
  const isNumber = (name) => name === "score" || name === "took";
  const head = names.map((name) =>
    h("th", { scope: "col", class: isNumber(name) ? "number" : "" }, t(`act.${name}`)),
  );
  return h(
    "table",
    { class: "records" },
    h("caption", { class: "unseen" }, t("act.found")),
    h("thead", {}, h("tr", {}, head)),
    rows,
  );
}

function row(state, one) {
  const href = `#/activity/${one.id}`;
  const follow = (event) => {
    if (!event.target.closest("a") && getSelection().isCollapsed) location.hash = href;
  };
  return h(
    "tr",
    { onclick: follow },
    h(
      "td",
      { class: "when" },
      h(
        "a",
        { href, id: linkId(one.id) },
        h("time", { datetime: one.time }, moment(one.time)),
      ),
    ),
    h("td", { class: "what" }, badge(one.status)),
    h("td", { class: "kind" }, one.category ? category(state, one.category) : ""),
    h("td", { class: "number" }, score(one.score)),
    h("td", { class: "number took" }, duration(one.seconds)),
    h("td", { class: "text" }, excerpt(one)),
    h("td", { class: "mark" }, one.review ? t(one.review) : ""),
  );
}

/** Return the id of the link to a record. */
export function linkId(id) {
  return `record-${id}`;
}

/** Return the start of what was judged, as far as it was kept. */
export function excerpt(one) {
  const text = one.reply ?? one.user;
  if (!text || isHash(text))
    return h("span", { class: "muted" }, one.error ? one.error.split(":")[0] : "–");
  return quoted(text.slice(0, EXCERPT));
}
