// The playground: a talk through the guard.

import { ask, lines } from "./api.js";
import { field, fill, h } from "./dom.js";
import { limit } from "./limit.js";
import { Turn } from "./turn.js";
import { spoken, t, wrong } from "./speech.js";

// What outlives a change of view or language, but not the tab.
const talk = {
  turns: [],
  source: null,
  model: "",
  key: "",
  reply: "",
  draft: "",
  stop: null,
  shift: () => null,
};

export function playground(place, state) {
  talk.source ??= state.upstream ? "upstream" : "bot";
  const log = h("div", { class: "log", role: "log", "aria-label": t("play.log"), tabindex: "0" });
  const panel = limit(state, () => talk.turns);
  const draw = () => {
    fill(log, talk.turns.length ? talk.turns.map((turn) => turn.element(state)) : welcome());
    talk.turns.at(-1)?.follow();
  };
  const context = { state, draw, judged: panel.judged };
  fill(
    place,
    h("h1", { class: "unseen" }, t("playground")),
    h(
      "div",
      { class: "play" },
      h(
        "section",
        { class: "talk", "aria-label": t("play.log") },
        settings(state),
        log,
        composer(context),
      ),
      panel.element,
    ),
  );
  draw();
  panel.judged();
  document.getElementById("say").focus({ preventScroll: true });
}

function welcome() {
  return h(
    "div",
    { class: "empty" },
    h("p", { class: "strong" }, t("play.title")),
    h("p", { class: "muted" }, t("play.empty")),
  );
}

function settings(state) {
  const details = h("div", { class: "fields" });
  const choose = (source) => {
    talk.source = source;
    fill(details, source === "bot" ? botFields() : modelFields(state));
  };
  const radio = (source, name, off) =>
    h(
      "label",
      { class: "segment" },
      h("input", {
        type: "radio",
        name: "source",
        value: source,
        checked: talk.source === source,
        disabled: off,
        onchange: () => choose(source),
      }),
      h("span", {}, name),
    );
  const model = state.upstream
    ? `${t("play.upstream")} · ${state.upstream}`
    : `${t("play.upstream")} · ${t("play.none")}`;
  const box = h(
    "form",
    { class: "source", onsubmit: (event) => event.preventDefault() },
    h(
      "fieldset",
      {},
      h("legend", { class: "unseen" }, t("play.source")),
      h(
        "div",
        { class: "segments" },
        radio("upstream", model, !state.upstream),
        radio("bot", t("play.bot"), false),
      ),
    ),
    details,
  );
  choose(talk.source);
  return box;
}

function botFields() {
  const reply = h("input", {
    id: "reply",
    value: talk.reply,
    maxlength: 20000,
    autocomplete: "off",
    oninput: (event) => (talk.reply = event.target.value),
  });
  return field(t("play.reply"), reply);
}

function modelFields(state) {
  const names = h("datalist", { id: "models" });
  const model = h("input", {
    id: "model",
    list: "models",
    value: talk.model,
    autocomplete: "off",
    spellcheck: "false",
    oninput: (event) => (talk.model = event.target.value),
  });
  ask("models").then(
    ({ models }) => {
      fill(
        names,
        models.map((name) => h("option", { value: name })),
      );
      if (!talk.model && models.length) model.value = talk.model = models[0];
    },
    () => null,
  );
  const key = h("input", {
    id: "key",
    type: "password",
    value: talk.key,
    autocomplete: "off",
    title: t("play.key.why"),
    oninput: (event) => (talk.key = event.target.value),
  });
  return [
    field(t("play.model"), model, { more: [names] }),
    state.needs_key && field(t("play.key"), key),
  ];
}

function composer(context) {
  const field = h("textarea", {
    id: "say",
    rows: 2,
    placeholder: t("play.placeholder"),
    value: talk.draft,
    maxlength: 20000,
    oninput: (event) => (talk.draft = event.target.value),
    onkeydown: (event) => {
      // The Enter that ends a Hangul syllable is not meant for us.
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        form.requestSubmit();
      }
    },
  });
  const send = h("button", { type: "submit", class: "primary" }, t("play.send"));
  const stop = h("button", { type: "button", onclick: () => talk.stop?.abort() }, t("play.stop"));
  talk.shift = () => {
    send.disabled = talk.stop !== null;
    stop.hidden = talk.stop === null;
  };
  talk.shift();
  const submit = (text) => {
    const said = text.trim();
    if (!said || talk.stop) return;
    field.value = talk.draft = "";
    say(said, context);
  };
  const form = h(
    "form",
    { class: "composer", onsubmit: (event) => (event.preventDefault(), submit(field.value)) },
    suggestions(context.state, submit),
    h("label", { class: "unseen", for: "say" }, t("play.say")),
    field,
    h("div", { class: "buttons" }, clear(context), stop, send),
  );
  return form;
}

function suggestions(state, submit) {
  const chip = (line) =>
    h("button", { type: "button", class: "chip", onclick: () => submit(line) }, line);
  return h(
    "div",
    { class: "suggestions", role: "group", "aria-label": t("play.examples") },
    state.lines[spoken()].map(chip),
  );
}

function clear({ draw, judged }) {
  const forget = () => {
    talk.stop?.abort();
    talk.turns = [];
    draw();
    judged();
  };
  return h("button", { type: "button", class: "quiet", onclick: forget }, t("play.clear"));
}

/** Say something, and show the reply as it comes. */
async function say(said, { state, draw, judged }) {
  const body = request(said);
  const turn = new Turn(said);
  talk.turns.push(turn);
  talk.stop = new AbortController();
  talk.shift();
  draw();
  try {
    for await (const event of lines("talk", body, talk.stop.signal)) turn.take(event, state);
  } catch (error) {
    turn.fail(error.name === "AbortError" ? t("play.stopped") : wrong(error), state);
  }
  talk.stop = null;
  talk.shift();
  turn.settle(state);
  judged();
}

function request(said) {
  const messages = [
    ...talk.turns.flatMap((turn) => turn.messages),
    { role: "user", content: said },
  ].slice(-200);
  if (talk.source === "bot")
    return { source: "bot", messages, reply: talk.reply === "" ? null : talk.reply };
  return {
    source: "upstream",
    messages,
    model: talk.model,
    key: talk.key === "" ? null : talk.key,
  };
}
