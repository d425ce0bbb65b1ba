// Small things that several views show: what was decided, scores, categories.

import { h } from "./dom.js";
import { score, spoken, t } from "./speech.js";

const TONES = {
  allow: "allowed",
  allowed: "allowed",
  flag: "flagged",
  flagged: "flagged",
  replace: "blocked",
  blocked: "blocked",
  error_blocked: "failed",
  error_allowed: "failed",
};

/** Return the badge of a decision; its shape says it too, for those who see no colours. */
export function badge(decision) {
  return h("span", { class: `badge ${TONES[decision] ?? ""}` }, t(decision));
}

/** Return a category's title, after its name. */
export function category(state, name) {
  const title = state.categories[name]?.[spoken()];
  return title ? `${name} ${title}` : t("act.no category");
}

/** Return a score as a bar and a number. */
export function bar(value, tone = "") {
  return h(
    "span",
    { class: "score" },
    h("span", { class: `bar ${tone}`, share: value ?? 0, "aria-hidden": "true" }),
    h("span", { class: "number" }, score(value)),
  );
}

/** Return the scores of all categories, the highest first. */
export function bars(state, categories) {
  const sorted = Object.entries(categories).sort(([, one], [, other]) => other - one);
  return h(
    "dl",
    { class: "bars" },
    sorted.map(([name, value]) => [
      h("dt", {}, category(state, name)),
      h("dd", {}, bar(value, value >= 0.5 ? "blocked" : "")),
    ]),
  );
}

/** Return names and values, a line each. */
export function facts(pairs) {
  return h(
    "dl",
    { class: "facts" },
    pairs.filter(Boolean).map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]),
  );
}

/** Return a text that people wrote, kept from changing the direction of what stands around it. */
export function quoted(text) {
  return h("bdi", { class: "quoted", dir: "auto" }, text);
}

/** Return what a record holds of a text: itself, its hash, or nothing. */
export function kept(text) {
  if (text === null || text === undefined) return h("p", { class: "muted" }, t("one.no text"));
  if (isHash(text)) return h("p", { class: "muted" }, t("one.hash", { hash: text.slice(0, 12) }));
  return h("p", {}, quoted(text));
}

/** Whether a text is what a record holds in its place. */
export const isHash = (text) => /^[0-9a-f]{64}$/.test(text ?? "");
