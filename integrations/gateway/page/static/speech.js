// The page's language: what it is, and how words, numbers and times are written in it.

import { words } from "./words.js";

const KEPT = "guardrail-language";

let language = remembered() ?? (navigator.language.startsWith("ko") ? "ko" : "en");
document.documentElement.lang = language;

/** Return the language in use: "ko" or "en". */
export const spoken = () => language;

/** Speak another language from now on. */
export function speak(other) {
  language = other;
  document.documentElement.lang = other;
  try {
    localStorage.setItem(KEPT, other);
  } catch {
    // A browser may keep nothing; then it is asked again next time.
  }
}

function remembered() {
  try {
    const kept = localStorage.getItem(KEPT);
    return kept in words ? kept : null;
  } catch {
    return null;
  }
}

/** Return a text, its {fields} filled. */
export function t(key, fields = {}) {
  const text = words[language][key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => fields[name] ?? whole);
}

/** Return what went wrong, in words. */
export function wrong(error) {
  const key = `error.${error.code}`;
  return t(key in words[language] ? key : "error.other", error);
}

export const count = (number) => new Intl.NumberFormat(language).format(number);

export const percent = (share) =>
  new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1 }).format(share);

/** Return a score with as many digits as all others. */
export const score = (value) => (value === null || value === undefined ? "–" : value.toFixed(3));

/** Return a span of seconds. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds >= 1) return `${seconds.toFixed(2)}${language === "ko" ? "초" : " s"}`;
  const milliseconds = seconds * 1000;
  return `${milliseconds.toFixed(milliseconds < 10 ? 1 : 0)} ms`;
}

/** Return a moment: of the clock, with its date unless it is today's. */
export function moment(iso, { long = false } = {}) {
  const time = new Date(iso);
  const today = time.toDateString() === new Date().toDateString();
  const date = long || !today ? { month: "numeric", day: "numeric" } : {};
  const year = long ? { year: "numeric" } : {};
  const clock = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  return new Intl.DateTimeFormat(language, { ...year, ...date, ...clock }).format(time);
}

/** Return the start of a bar of a chart. */
export function tick(iso, width) {
  const shown =
    width >= 86400
      ? { month: "numeric", day: "numeric" }
      : width >= 21600
        ? { month: "numeric", day: "numeric", hour: "2-digit", hourCycle: "h23" }
        : { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  return new Intl.DateTimeFormat(language, shown).format(new Date(iso));
}
