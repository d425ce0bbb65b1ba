// The threshold to play with: what it would change, here and among recent records.

import { ask } from "./api.js";
import { fill, h, settled } from "./dom.js";
import { failed } from "./entrance.js";
import { quoted } from "./marks.js";
import { count, score, t } from "./speech.js";

const USUAL = 0.5;
let tried = null; // outlives a change of view

/** Return the panel, and what is to be called when there is something new to compare. */
export function limit(state, turns) {
  tried ??= state.threshold ?? USUAL;
  const shown = h("output", { for: "limit", class: "number" }, tried.toFixed(2));
  const here = h("div", { "aria-live": "polite" });
  const recent = h("div", { "aria-live": "polite" });
  const setting = h("code", {}, line());
  const compare = async () => {
    const judged = turns().filter((turn) => turn.verdict);
    const body = {
      threshold: tried,
      judged: judged.map(({ verdict }) => ({
        score: verdict.score,
        categories: verdict.categories,
      })),
    };
    try {
      const answer = await ask("threshold", { method: "POST", body });
      judged.forEach((turn, at) => turn.compare(answer.unsafe[at], state));
      fill(here, hereSaid(judged));
      fill(recent, recentSaid(answer.recent));
    } catch (error) {
      fill(here, failed(error, compare));
    }
  };
  const later = settled(150, compare);
  const slider = h("input", {
    id: "limit",
    type: "range",
    min: 0,
    max: 1,
    step: 0.01,
    value: tried,
    oninput: (event) => {
      tried = Number(event.target.value);
      shown.value = tried.toFixed(2);
      setting.textContent = line();
      later();
    },
  });
  const element = h(
    "aside",
    { class: "card limit", "aria-labelledby": "limit-title" },
    h("h2", { id: "limit-title" }, t("limit.title")),
    h("p", { class: "muted" }, t("limit.why")),
    h("div", { class: "slider" }, h("label", { for: "limit" }, t("limit.slider")), shown, slider),
    h(
      "p",
      { class: "muted small" },
      state.threshold === null ? t("limit.own") : t("limit.now", { n: state.threshold }),
    ),
    h("h3", {}, t("limit.chat")),
    here,
    h("h3", {}, t("limit.recent")),
    recent,
    h("h3", {}, t("limit.use")),
    h("pre", {}, setting),
  );
  return { element, judged: compare };
}

const line = () => `[policy]\nthreshold = ${tried.toFixed(2)}`;

function hereSaid(judged) {
  const flips = judged.filter((turn) => turn.changes).length;
  if (!judged.length) return h("p", { class: "muted" }, t("limit.chat.none"));
  const key = flips ? "limit.chat.flips" : "limit.chat.same";
  return h(
    "p",
    { class: flips ? "strong" : "" },
    t(key, { n: count(judged.length), m: count(flips) }),
  );
}

function recentSaid(recent) {
  if (recent === null) return h("p", { class: "muted" }, t("limit.recent.off"));
  if (!recent.looked_at) return h("p", { class: "muted" }, t("limit.recent.none"));
  const { caught, freed } = recent;
  if (!caught.count && !freed.count)
    return h("p", {}, t("limit.recent.same", { n: count(recent.looked_at) }));
  return [
    h("p", {}, t("limit.recent.said", { n: count(recent.looked_at) })),
    some("caught", caught),
    some("freed", freed),
  ];
}

function some(kind, { count: number, examples }) {
  if (!number) return null;
  return h(
    "details",
    { class: `flips ${kind}` },
    h("summary", {}, t(`limit.${kind}`, { n: count(number) })),
    h(
      "ul",
      {},
      examples.map((one) =>
        h(
          "li",
          {},
          h(
            "a",
            { href: `#/activity/${one.id}` },
            h("span", { class: "number" }, score(one.score)),
            " ",
            one.reply ? quoted(one.reply.slice(0, 80)) : one.id.slice(0, 8),
          ),
        ),
      ),
    ),
  );
}
