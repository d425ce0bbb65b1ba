// Starts the page: lets people in, and shows the view that the address names.

import { activity } from "./activity.js";
import { ask } from "./api.js";
import { fill, h, shield } from "./dom.js";
import { closed, failed, login, takeToken } from "./entrance.js";
import { playground } from "./playground.js";
import { review } from "./review.js";
import { speak, spoken, t } from "./speech.js";

const VIEWS = { playground, activity, review };
const LANGUAGES = { ko: "한국어", en: "English" };

const page = document.getElementById("page");
let state = null;
let leave = null;

/** Return the view that the address names, and what it says besides. */
function named() {
  const [path, rest = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, id = ""] = path.split("/");
  return { name: name in VIEWS ? name : "playground", id, values: new URLSearchParams(rest) };
}

async function start() {
  await takeToken();
  await enter();
}

/** Ask how the gateway is set up, and show the page; or what is in the way. */
async function enter() {
  try {
    state = await ask("state");
  } catch (error) {
    leaveView();
    const way =
      error.status === 401
        ? login(enter)
        : error.code === "page_closed"
          ? closed()
          : failed(error, enter);
    fill(page, header(false), h("main", { id: "main", class: "entrance", tabindex: "-1" }, way));
    return;
  }
  draw();
}

function draw() {
  fill(
    page,
    h("a", { class: "skip", href: "#main", onclick: skip }, t("skip")),
    header(true),
    h("main", { id: "main", tabindex: "-1" }),
  );
  show();
}

function skip(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}

function show() {
  const main = document.getElementById("main");
  if (state === null || main === null) return;
  leaveView();
  const { name, id, values } = named();
  document.title = `${t(name)} · Guardrail`;
  for (const link of document.querySelectorAll("nav a")) {
    link.toggleAttribute("aria-current", false);
    if (link.dataset.name === name) link.setAttribute("aria-current", "page");
  }
  leave = VIEWS[name](fill(main), state, { id, values }) ?? null;
}

function leaveView() {
  leave?.();
  leave = null;
}

function header(inside) {
  return h(
    "header",
    { class: "top" },
    h("a", { class: "brand", href: "#/playground" }, shield(), "Guardrail"),
    inside && h("nav", { "aria-label": t("pages") }, Object.keys(VIEWS).map(tab)),
    h("div", { class: "aside" }, languages(inside), inside && state.has_token && out()),
  );
}

function tab(name) {
  return h("a", { href: `#/${name}`, "data-name": name }, t(name));
}

function languages(inside) {
  const pick = (language) => () => {
    speak(language);
    if (inside) draw();
    else enter();
    document.querySelector(`[lang="${language}"]`)?.focus();
  };
  const button = ([language, name]) =>
    h(
      "button",
      {
        type: "button",
        lang: language,
        "aria-pressed": String(language === spoken()),
        onclick: pick(language),
      },
      name,
    );
  return h(
    "div",
    { class: "segments", role: "group", "aria-label": t("language") },
    Object.entries(LANGUAGES).map(button),
  );
}

function out() {
  const logOut = async () => {
    await ask("logout", { method: "POST" }).catch(() => null);
    state = null;
    enter();
  };
  return h("button", { type: "button", class: "quiet", onclick: logOut }, t("log out"));
}

addEventListener("hashchange", () => {
  if (location.hash.startsWith("#token=")) start();
  else show();
});
addEventListener("token-needed", () => {
  if (state === null) return;
  state = null; // the time of the cookie is over
  enter();
});
start();
