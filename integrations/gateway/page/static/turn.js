// One turn of the talk: what was said, what came through the guard, and the verdict beside it.

import { ask } from "./api.js";
import { fill, h } from "./dom.js";
import { badge, bar, bars, category, facts, quoted } from "./marks.js";
import { count, duration, score, t, wrong } from "./speech.js";

export class Turn {
  constructor(said) {
    this.said = said;
    this.text = "";
    this.end = null; // how it ended, as the gateway tells it
    this.failure = null;
    this.changes = null; // whether another threshold would decide otherwise, and how
    this.original = null;
  }

  /** The turn as later calls repeat it to the model. */
  get messages() {
    const user = { role: "user", content: this.said };
    return this.text ? [user, { role: "assistant", content: this.text }] : [user];
  }

  /** The highest verdict of the turn: what a threshold is held against. */
  get verdict() {
    const checks = (this.end?.checks ?? []).filter((check) => check.score !== null);
    return checks.reduce(
      (top, check) => (top === null || check.score > top.score ? check : top),
      null,
    );
  }

  get blocked() {
    return this.end?.action === "replace";
  }

  /** Take an event of the reply. */
  take(event, state) {
    if (event.type === "text") {
      this.text += event.text;
      this.spoken.textContent = this.text;
      this.follow();
    } else if (event.type === "error") {
      this.fail(wrong(event), state);
    } else {
      this.end = event;
    }
  }

  /** Keep in sight what has come. */
  follow() {
    this.reply?.scrollIntoView({ block: "nearest" });
  }

  fail(message, state) {
    this.failure = message;
    this.settle(state);
  }

  /** Say that the reply is over, and show what was decided. */
  settle(state) {
    if (!this.reply) return;
    this.reply.setAttribute("aria-busy", "false");
    fill(this.bubble, this.bubbleParts());
    fill(this.beside, this.besideParts(state));
    this.follow();
  }

  /** Note what another threshold would decide. */
  compare(wouldBlock, state) {
    this.changes =
      this.end && wouldBlock !== this.blocked ? (wouldBlock ? "blocked" : "allowed") : null;
    if (this.beside && this.end) fill(this.beside, this.besideParts(state));
  }

  element(state) {
    const isOver = this.end !== null || this.failure !== null;
    this.spoken = quoted(this.text);
    this.bubble = h("div", { class: "bubble" }, this.bubbleParts());
    this.beside = h("div", { class: "beside" }, this.besideParts(state));
    this.reply = h(
      "div",
      { class: "reply", "aria-busy": String(!isOver) },
      h("span", { class: "unseen" }, t("play.assistant")),
      this.bubble,
      this.beside,
    );
    return h(
      "article",
      { class: "turn" },
      h(
        "div",
        { class: "said" },
        h("span", { class: "unseen" }, t("play.you")),
        h("div", { class: "bubble user" }, quoted(this.said)),
      ),
      this.reply,
    );
  }

  bubbleParts() {
    if (!this.blocked)
      return [
        h("p", {}, this.spoken),
        this.failure && h("p", { class: "error", role: "alert" }, this.failure),
      ];
    const shown = [...this.text].slice(0, this.end.shown).join("");
    const refusal = [...this.text].slice(this.end.shown).join("");
    return [
      shown && h("p", {}, quoted(shown)),
      shown && h("p", { class: "from here" }, t("play.refusal")),
      h("p", { class: "refusal" }, quoted(refusal)),
      this.without(),
    ];
  }

  besideParts(state) {
    if (this.failure && !this.end) return [];
    if (!this.end) return h("p", { class: "muted waiting" }, t("play.judging"));
    const { end } = this;
    const tone = this.blocked ? "blocked" : "";
    return [
      h(
        "div",
        { class: "line" },
        badge(end.error ? (this.blocked ? "error_blocked" : "error_allowed") : end.action),
        end.category && h("span", {}, category(state, end.category)),
      ),
      end.score === null || end.score === undefined
        ? h(
            "p",
            { class: "muted" },
            end.error ? `${t("play.no verdict")} · ${end.error}` : t("play.no verdict"),
          )
        : h(
            "div",
            { class: "line" },
            h("span", { class: "muted" }, t("play.score")),
            bar(end.score, tone),
          ),
      end.degraded && h("p", { class: "warn" }, t("play.degraded")),
      this.changes && h("p", { class: `change ${this.changes}` }, t(`limit.to.${this.changes}`)),
      this.more(state),
    ];
  }

  /** Return what else is known, folded up. */
  more(state) {
    const { end } = this;
    const scores = end.checks.map((check) => score(check.score)).join(" → ");
    return h(
      "details",
      {},
      h(
        "summary",
        {},
        t("play.verdict"),
        " · ",
        h("span", { class: "number" }, duration(end.judging)),
      ),
      Object.keys(end.categories ?? {}).length
        ? bars(state, end.categories)
        : h("p", { class: "muted" }, t("play.no categories")),
      facts([
        [t("play.checks"), t("play.checks.said", { n: count(end.checks.length), scores })],
        [t("play.judged.in"), duration(end.judging)],
        [t("play.first"), duration(end.first)],
        [t("play.total"), duration(end.total)],
        [t("play.held"), count(end.held)],
        end.classifier && [t("play.classifier"), end.classifier],
      ]),
      state.records &&
        end.record &&
        h("p", {}, h("a", { href: `#/activity/${end.record}` }, t("play.record"))),
    );
  }

  /** Return the button that fetches what the user would have seen, and what it fetched. */
  without() {
    if (!this.end.original) return null;
    const place = h("div", { class: "original", "aria-live": "polite" });
    const button = h(
      "button",
      { type: "button", class: "small", "aria-expanded": "false" },
      t("play.without"),
    );
    const hide = () => {
      fill(place);
      button.textContent = t("play.without");
      button.setAttribute("aria-expanded", "false");
    };
    const show = async () => {
      try {
        const { text } = await ask(`originals/${this.end.original}`);
        fill(
          place,
          h("p", { class: "muted" }, t("play.without.why")),
          h("blockquote", {}, quoted(text)),
        );
        button.textContent = t("play.hide");
        button.setAttribute("aria-expanded", "true");
      } catch (error) {
        fill(place, h("p", { class: "error" }, wrong(error)));
      }
    };
    button.addEventListener("click", () =>
      button.getAttribute("aria-expanded") === "true" ? hide() : show(),
    );
    return h("div", { class: "without" }, button, place);
  }
}
