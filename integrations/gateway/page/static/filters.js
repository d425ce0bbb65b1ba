// What of the records is shown: kept in the address, so that it can be shared and gone back to.

import { field, h, settled } from "./dom.js";
import { category } from "./marks.js";
import { t } from "./speech.js";

const KNOWN = {
  span: ["hour", "day", "week", "month"],
  status: ["blocked", "flagged", "allowed", "errors"],
  category: ["O1", "O2", "O3", "O4", "O5", "O6"],
  stage: ["output", "input"],
  review: ["unreviewed", "right", "false_alarm", "missed"],
};
const ERRORS = ["error_blocked", "error_allowed"];
const FIELDS = [...Object.keys(KNOWN), "text"];
const USUAL_SPAN = "day";

/** Return what an address chooses; what there is not is not chosen. */
export function chosenIn(values) {
  const known = ([name, all]) => [name, all.includes(values.get(name)) ? values.get(name) : ""];
  const chosen = Object.fromEntries(Object.entries(KNOWN).map(known));
  return {
    ...chosen,
    span: chosen.span || USUAL_SPAN,
    text: (values.get("text") ?? "").slice(0, 200),
  };
}

/** Return the address of a choice. */
export function addressOf(view, chosen) {
  const said = FIELDS.filter(
    (name) => chosen[name] && !(name === "span" && chosen.span === USUAL_SPAN),
  );
  const values = new URLSearchParams(said.map((name) => [name, chosen[name]]));
  return said.length ? `#/${view}?${values}` : `#/${view}`;
}

/** Return a choice as the API reads it. */
export function asked(chosen) {
  const { status, review, ...rest } = chosen;
  return {
    ...rest,
    status: status === "errors" ? ERRORS : status,
    review: review === "unreviewed" ? "" : review,
    reviewed: review === "unreviewed" ? "false" : "",
    offset: -new Date().getTimezoneOffset(),
  };
}

/** Whether anything is left out but by time. */
export const narrows = (chosen) => FIELDS.some((name) => name !== "span" && chosen[name]);

/** Return the row of filters; what is chosen there goes to `choose`. */
export function filters(state, chosen, choose) {
  const change = (name) => (event) => choose({ ...chosen, [name]: event.target.value });
  const select = (name, values, worded) =>
    field(
      t(`filter.${name}`),
      h(
        "select",
        { id: `filter-${name}`, onchange: change(name) },
        h("option", { value: "" }, t("filter.any")),
        values.map((value) =>
          h("option", { value, selected: chosen[name] === value }, worded(value)),
        ),
      ),
    );
  const search = h("input", {
    id: "filter-text",
    type: "search",
    maxlength: 200,
    value: chosen.text,
    oninput: settled(300, change("text")),
  });
  return h(
    "form",
    { class: "filters", role: "search", onsubmit: (event) => event.preventDefault() },
    select("status", KNOWN.status, t),
    select("category", KNOWN.category, (name) => category(state, name)),
    select("stage", KNOWN.stage, t),
    select("review", KNOWN.review, (name) => t(name === "unreviewed" ? "filter.unreviewed" : name)),
    state.text === "text" && field(t("filter.text"), search, { wide: true }),
    narrows(chosen) &&
      h(
        "button",
        {
          type: "button",
          class: "quiet",
          onclick: () => choose(chosenIn(new URLSearchParams({ span: chosen.span }))),
        },
        t("filter.reset"),
      ),
  );
}

/** Return the choice of how far back one looks. */
export function spans(chosen, choose) {
  const radio = (span) =>
    h(
      "label",
      { class: "segment" },
      h("input", {
        type: "radio",
        name: "span",
        value: span,
        checked: chosen.span === span,
        onchange: () => choose({ ...chosen, span }),
      }),
      h("span", {}, t(`span.${span}`)),
    );
  return h(
    "fieldset",
    { class: "segments" },
    h("legend", { class: "unseen" }, t("span")),
    KNOWN.span.map(radio),
  );
}
