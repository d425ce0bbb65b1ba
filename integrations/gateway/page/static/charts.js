// Charts, drawn by hand: few marks, and a table of the same figures for who cannot see them.

import { fill, h, s } from "./dom.js";
import { count, t, tick } from "./speech.js";

const SHOWN = ["blocked", "flagged", "error_blocked", "error_allowed"];
const HEIGHT = 180;
const [LEFT, BOTTOM, TOP] = [36, 22, 8];

/** Return a chart of what was not simply passed, bar by bar. */
export function overTime({ buckets, width }) {
  if (!buckets.some(sum)) return h("p", { class: "muted" }, t("act.none blocked"));
  const place = h("div", { class: "drawing" });
  const draw = () => fill(place, bars(buckets, width, Math.max(280, place.clientWidth)));
  new ResizeObserver(draw).observe(place);
  return [legend(), place, table(buckets, width)];
}

function bars(buckets, seconds, width) {
  const most = nice(Math.max(1, ...buckets.map(sum)));
  const step = (width - LEFT) / buckets.length;
  const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / most);
  const every = Math.ceil(buckets.length / Math.max(2, Math.floor(width / 90)));
  return s(
    "svg",
    {
      viewBox: `0 0 ${width} ${HEIGHT}`,
      width,
      height: HEIGHT,
      role: "img",
      "aria-label": spokenSum(buckets),
    },
    [0, most / 2, most]
      .filter(Number.isInteger)
      .map((value) => [
        s("line", { class: "rule", x1: LEFT, x2: width, y1: y(value), y2: y(value) }),
        s("text", { class: "axis end", x: LEFT - 6, y: y(value) + 4 }, count(value)),
      ]),
    buckets.map((bucket, at) => stack(bucket, LEFT + at * step, step, y, seconds)),
    buckets.map(
      (bucket, at) =>
        at % every === 0 &&
        s(
          "text",
          { class: "axis", x: LEFT + at * step, y: HEIGHT - 6 },
          tick(bucket.start, seconds),
        ),
    ),
  );
}

function stack(bucket, x, step, y, seconds) {
  const gap = Math.min(4, step * 0.25);
  let below = 0;
  const marks = SHOWN.map((status) => {
    const value = bucket.counts[status];
    const mark =
      value > 0 &&
      s("rect", {
        class: status,
        x: x + gap / 2,
        width: step - gap,
        y: y(below + value),
        height: y(below) - y(below + value),
      });
    below += value;
    return mark;
  });
  const said = Object.entries(bucket.counts)
    .filter(([, value]) => value)
    .map(([status, value]) => `${t(status)} ${count(value)}`);
  return s(
    "g",
    {},
    s("title", {}, [tick(bucket.start, seconds), ...said].join("\n")),
    s("rect", { class: "reach", x, width: step, y: TOP, height: HEIGHT - TOP - BOTTOM }),
    marks,
  );
}

const sum = ({ counts }) => SHOWN.reduce((all, status) => all + counts[status], 0);

/** Return the next round number that can be halved. */
function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  const found = [1, 1.2, 1.6, 2, 3, 4, 5, 6, 8, 10]
    .map((one) => Math.round(one * power))
    .find((one) => one >= value && one % 2 === 0);
  return value <= 1 ? 1 : (found ?? 10 * power);
}

function spokenSum(buckets) {
  const all = (status) => buckets.reduce((total, { counts }) => total + counts[status], 0);
  return `${t("act.over time")}: ${SHOWN.map((status) => `${t(status)} ${count(all(status))}`).join(", ")}`;
}

function legend() {
  return h(
    "ul",
    { class: "legend", "aria-hidden": "true" },
    SHOWN.map((status) => h("li", { class: status }, t(status))),
  );
}

function table(buckets, width) {
  const columns = ["allowed", ...SHOWN];
  const row = ({ start, counts }) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, tick(start, width)),
      columns.map((status) => h("td", { class: "number" }, count(counts[status]))),
    );
  return h(
    "details",
    { class: "as table" },
    h("summary", {}, t("act.as table")),
    h(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": t("act.over time") },
      h(
        "table",
        {},
        h(
          "thead",
          {},
          h(
            "tr",
            {},
            h("th", { scope: "col" }, t("act.time")),
            columns.map((status) => h("th", { scope: "col", class: "number" }, t(status))),
          ),
        ),
        h("tbody", {}, buckets.map(row)),
      ),
    ),
  );
}

/** Return bars that lie, each with its name and its number. */
export function lying(rows, tone = "") {
  const most = Math.max(...rows.map(({ value }) => value), Number.MIN_VALUE);
  return h(
    "dl",
    { class: "lying" },
    rows.map(({ name, value, shown, href }) => [
      h("dt", {}, href ? h("a", { href }, name) : name),
      h(
        "dd",
        {},
        h("span", { class: `bar ${tone}`, share: value / most, "aria-hidden": "true" }),
        h("span", { class: "number" }, shown),
      ),
    ]),
  );
}
