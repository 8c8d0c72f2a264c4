/* Elements, numbers and data. Text from results only ever becomes text nodes and attribute values, never markup. */
"use strict";

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else if (name === "vars") for (const [key, item] of Object.entries(value)) element.style.setProperty(`--${key}`, item);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
const byId = (id) => document.getElementById(id);

/* ---- data: each file of data/ calls receive() with its name ---- */

const received = new Map();
const waiting = new Map();

function receive(name, content) {
  received.set(name, content);
  if (waiting.has(name)) waiting.get(name).resolve(content);
}

function load(name) {
  if (received.has(name)) return Promise.resolve(received.get(name));
  if (!waiting.has(name)) {
    const entry = {};
    entry.promise = new Promise((resolve, reject) => Object.assign(entry, { resolve, reject }));
    waiting.set(name, entry);
    const failed = () => {
      waiting.delete(name);
      entry.reject(new Error(`data/${name}.js could not be loaded; is the folder complete?`));
    };
    document.head.append(h("script", { src: `data/${encodeURIComponent(name)}.js`, error: failed }));
  }
  return waiting.get(name).promise;
}

/* ---- numbers ---- */

const known = (value) => value !== null && value !== undefined;
const percent = (value, digits = 1) => (known(value) ? (100 * value).toFixed(digits).replace(/^-(0(\.0+)?)$/, "$1") : "–");
const signed = (value, digits = 1) => (known(value) ? (value > 0 ? "+" : "") + percent(value, digits).replace("-", "−") : "–");
const within = (mean, half) => (known(half) ? `${percent(mean)} ± ${percent(half)}` : percent(mean));
const withStd = (published) => `${percent(published.value)}${known(published.std) ? ` (std ${percent(published.std)})` : ""}`;
const words = (name) => name.replaceAll("_", " ");
const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;
const levelText = (rho) => (rho === null ? "natural bias" : `ρ ${rho}`);

function duration(seconds) {
  if (!known(seconds)) return "–";
  const short = (value) => String(+value.toPrecision(value < 100 ? 2 : 3));
  if (seconds < 100) return `${short(seconds)} s`;
  return seconds < 5400 ? `${short(seconds / 60)} min` : `${short(seconds / 3600)} h`;
}

function quantity(value) {
  if (!known(value)) return "–";
  for (const [size, unit] of [[1e12, " T"], [1e9, " G"], [1e6, " M"], [1e3, " k"]]) {
    if (value >= size) return `${(value / size).toPrecision(3)}${unit}`;
  }
  return String(Math.round(value));
}

function join(items) {
  return items.length < 2 ? items.join("") : `${items.slice(0, -1).join(", ")} and ${items[items.length - 1]}`;
}
