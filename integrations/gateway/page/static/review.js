// Reviews: whether what was decided was right, record by record, by keyboard.

import { address, ask, query } from "./api.js";
import { field, fill, h } from "./dom.js";
import { empty, failed } from "./entrance.js";
import { badge } from "./marks.js";
import { details } from "./record.js";
import { excerpt } from "./records.js";
import { count, percent, moment, t } from "./speech.js";

const AT_ONCE = 50;
const UNSAFE = ["blocked", "flagged", "error_blocked"];
const PASSED = ["allowed", "error_allowed"];
const NARROW = matchMedia("(max-width: 760px)"); // the list is below, not beside
const HANGUL = { ㅓ: "j", ㅏ: "k" }; // what the keys say while Korean is typed
const KEYS = { 1: "right", 2: "false_alarm", 3: "missed", 0: null };

export function review(place, state, { values }) {
  if (!state.records) {
    fill(place, h("h1", {}, t("rev.title")), empty(t("act.off"), t("act.off.why")));
    return null;
  }
  const view = new Review(state, values.get("of") ?? "", values.get("state") ?? "open");
  const keys = (event) => view.key(event);
  addEventListener("keydown", keys);
  fill(place, view.element());
  view.load(null);
  return () => removeEventListener("keydown", keys);
}

class Review {
  constructor(state, of, progress) {
    this.state = state;
    this.of = of;
    this.progress = progress;
    this.records = [];
    this.at = 0;
    this.next = null;
    this.agreement = h("div", { class: "agreement", role: "status" });
    this.list = h("ol", { class: "queue", "aria-label": t("rev.list") });
    this.detail = h("section", { class: "card one", "aria-live": "polite" });
    this.said = h("p", { class: "unseen", role: "status" });
  }

  /** The record that is looked at. */
  get one() {
    return this.records[this.at];
  }

  get chosen() {
    const status = { blocked: UNSAFE, allowed: PASSED }[this.of] ?? "";
    const reviewed = { open: "false", done: "true" }[this.progress] ?? "";
    return { span: "month", status, reviewed, limit: AT_ONCE };
  }

  element() {
    return [
      h("div", { class: "heading" }, h("h1", {}, t("rev.title")), this.choices()),
      this.state.text !== "text" &&
        h(
          "div",
          { class: "note" },
          h("p", { class: "strong" }, t("rev.no text")),
          h("p", { class: "muted" }, t("rev.no text.why")),
        ),
      h("div", { class: "card summary" }, this.agreement, exporting()),
      h("p", { class: "keys muted" }, t("rev.keys")),
      this.said,
      (this.both = h("div", { class: "reviewing none" }, this.detail, this.list)),
    ];
  }

  choices() {
    const select = (name, values, now) =>
      field(
        t(`rev.${name}`),
        h(
          "select",
          { id: `rev-${name}`, onchange: (event) => this.choose(name, event.target.value) },
          values.map((value) =>
            h(
              "option",
              { value, selected: value === now },
              value === "" || value === "all" ? t("filter.any") : t(`rev.${name}.${value}`),
            ),
          ),
        ),
      );
    return h(
      "div",
      { class: "buttons" },
      select("of", ["", "blocked", "allowed"], this.of),
      select("state", ["open", "done", "all"], this.progress),
    );
  }

  choose(name, value) {
    const values = new URLSearchParams({ of: this.of, state: this.progress, [name]: value });
    location.hash = `#/review?${values}`;
  }

  async load(after) {
    if (!after) fill(this.detail, h("p", { class: "muted waiting" }, t("loading")));
    try {
      const page = await ask(query("records", { ...this.chosen, after }));
      this.records.push(...page.records);
      this.next = page.next;
      this.draw();
      await this.count();
    } catch (error) {
      fill(
        this.detail,
        failed(error, () => this.load(after)),
      );
    }
  }

  async count() {
    const found = (await ask(query("figures", { span: "month" }))).agreement;
    const said = found.total
      ? t("rev.agreement.said", {
          right: count(found.right),
          false_alarm: count(found.false_alarm),
          missed: count(found.missed),
        })
      : t("rev.agreement.none");
    fill(
      this.agreement,
      h("span", { class: "muted" }, t("rev.agreement")),
      found.share !== null && h("span", { class: "figure number" }, percent(found.share)),
      h("span", {}, said),
    );
  }

  draw() {
    const more =
      this.next &&
      h("li", {}, h("button", { type: "button", onclick: () => this.load(this.next) }, t("more")));
    fill(
      this.list,
      this.records.map((one, at) => this.item(one, at)),
      more,
    );
    this.drawOne();
  }

  item(one, at) {
    return h(
      "li",
      {},
      h(
        "button",
        {
          type: "button",
          class: "item",
          "aria-current": at === this.at ? "true" : null,
          onclick: () => this.go(at),
        },
        h(
          "span",
          { class: "line" },
          badge(one.status),
          h("time", { class: "muted number", datetime: one.time }, moment(one.time)),
          one.review && h("span", { class: `mark ${one.review}` }, t(one.review)),
        ),
        h("span", { class: "text" }, excerpt(one)),
      ),
    );
  }

  drawOne() {
    this.both.classList.toggle("none", this.records.length === 0);
    if (!this.one) {
      fill(this.detail, empty(t("rev.empty"), t("rev.empty.why")));
      return;
    }
    const focused =
      this.detail.contains(document.activeElement) && document.activeElement.dataset.mark;
    fill(this.detail, this.buttons(), details(this.state, this.one));
    if (focused)
      (
        this.detail.querySelector(`[data-mark="${focused}"]`) ??
        this.detail.querySelector("[data-mark]")
      ).focus();
  }

  /** The marks that can be said of the record, and the way on. */
  buttons() {
    const mark = ([key, name]) =>
      h(
        "button",
        {
          type: "button",
          "data-mark": name,
          "aria-pressed": String(this.one.review === name),
          "aria-keyshortcuts": key,
          onclick: () => this.mark(name),
        },
        h("kbd", {}, key),
        t(name),
      );
    const fitting = UNSAFE.includes(this.one.status) ? "false_alarm" : "missed";
    const marks = Object.entries(KEYS).filter(([, name]) => name === "right" || name === fitting);
    return h(
      "div",
      { class: "marks" },
      marks.map(mark),
      this.one.review &&
        h(
          "button",
          { type: "button", class: "quiet", onclick: () => this.mark(null) },
          h("kbd", {}, "0"),
          t("rev.undo"),
        ),
      h("span", { class: "space" }),
      h(
        "button",
        {
          type: "button",
          class: "quiet",
          disabled: this.at === 0,
          onclick: () => this.go(this.at - 1),
        },
        h("kbd", {}, "k"),
        t("rev.previous"),
      ),
      h(
        "button",
        {
          type: "button",
          class: "quiet",
          disabled: this.at >= this.records.length - 1,
          onclick: () => this.go(this.at + 1),
        },
        h("kbd", {}, "j"),
        t("rev.next"),
      ),
    );
  }

  go(at) {
    if (at < 0 || at >= this.records.length) return;
    this.at = at;
    this.draw();
    if (NARROW.matches) this.detail.scrollIntoView({ block: "start" });
    else this.list.children[at].scrollIntoView({ block: "nearest" });
  }

  /** Mark the record, and go on to the next. */
  async mark(name) {
    const { at, one } = this;
    try {
      this.records[at] = await ask(`records/${one.id}/review`, {
        method: "PUT",
        body: { review: name },
      });
    } catch (error) {
      fill(
        this.detail,
        failed(error, () => this.drawOne()),
      );
      return;
    }
    this.said.textContent = name ? t("rev.done", { mark: t(name) }) : t("rev.undone");
    const isLast = this.at === this.records.length - 1;
    if (name && this.at === at && !isLast) this.go(at + 1);
    else this.draw();
    await this.count();
  }

  key(event) {
    const isTyping = event.target.closest?.("input, select, textarea, dialog");
    if (isTyping || event.ctrlKey || event.metaKey || event.altKey || !this.one) return;
    const key = HANGUL[event.key] ?? event.key;
    if (key === "j") this.go(this.at + 1);
    else if (key === "k") this.go(this.at - 1);
    else if (key in KEYS) this.markByKey(KEYS[key]);
  }

  markByKey(name) {
    const isUnsafe = UNSAFE.includes(this.one.status);
    const fits = name !== "false_alarm" ? name !== "missed" || !isUnsafe : isUnsafe;
    if (fits) this.mark(name);
  }
}

function exporting() {
  return h(
    "div",
    { class: "export" },
    h(
      "a",
      { class: "button", href: address("export?span=month"), download: "guardrail-reviews.jsonl" },
      t("rev.export"),
    ),
    h("p", { class: "muted small" }, t("rev.export.why")),
  );
}
