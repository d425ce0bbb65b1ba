// Builds elements. Text only ever becomes text nodes: nothing here reads markup.

const SVG = "http://www.w3.org/2000/svg";

/** Return an HTML element. Properties that begin with "on" listen; false and null leave out. */
export function h(tag, properties = {}, ...children) {
  return filled(document.createElement(tag), properties, children);
}

/** Return an SVG element. */
export function s(tag, properties = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), properties, children);
}

function filled(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" && "value" in element) element.value = value;
    else if (name === "checked" || name === "selected") element[name] = value;
    else if (name === "share") element.style.setProperty("--share", value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(
    ...children.flat(Infinity).filter((one) => one !== null && one !== undefined && one !== false),
  );
  return element;
}

/** Put other children in the place of an element's own. */
export function fill(element, ...children) {
  element.replaceChildren(
    ...children.flat(Infinity).filter((one) => one !== null && one !== undefined && one !== false),
  );
  return element;
}

/** Return a control, which has an id, under its name. */
export function field(name, control, { wide = false, more = [] } = {}) {
  return h(
    "div",
    { class: wide ? "field grow" : "field" },
    h("label", { for: control.id }, name),
    control,
    more,
  );
}

/** Return a shield with a tick, drawn in the current colour. */
export function shield() {
  return s(
    "svg",
    { viewBox: "0 0 32 32", class: "shield", "aria-hidden": "true" },
    s("path", {
      d: "M16 2 4 6.5v8.7c0 7.2 5 12.4 12 14.8 7-2.4 12-7.6 12-14.8V6.5z",
      fill: "currentColor",
    }),
    s("path", { d: "m10.5 16 4 4 7.5-8", class: "tick" }),
  );
}

/** Call a function once a while has passed since it was last asked for. */
export function settled(milliseconds, work) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...values), milliseconds);
  };
}
