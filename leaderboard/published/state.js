/* What the reader looks at. It lives in the address, so that every view has a permalink and "back" works. */
"use strict";

const DEFAULTS = {
  protocol: "", rule: "", task: "", rho: "", data: "", supervision: "", q: "", sort: "", cost: "train_seconds", open: "",
};
let index = null;
let lastRead = null;

/** The state that the address says; every link of a view asks for it. */
function readState() {
  if (lastRead?.address !== location.hash) lastRead = { address: location.hash, state: parseState() };
  return { ...lastRead.state };
}

function parseState() {
  const given = new URLSearchParams(location.hash.slice(1));
  const state = { ...DEFAULTS };
  for (const name of Object.keys(DEFAULTS)) if (given.has(name)) state[name] = given.get(name);
  if (!protocols().includes(state.protocol)) state.protocol = impliedProtocol(state.task);
  if (!index.rules.some((rule) => rule.name === state.rule)) state.rule = index.rule;
  for (const facet of ["task", "rho", "data"]) {
    if (!facetValues(state, facet).includes(state[facet])) state[facet] = "";
  }
  return state;
}

function hashOf(state) {
  const kept = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) {
    const implied = DEFAULTS[name] || (name === "protocol" ? impliedProtocol(state.task) : name === "rule" ? index.rule : "");
    if (value !== implied) kept.set(name, value);
  }
  return `#${kept}`;
}

const linkTo = (change) => hashOf({ ...readState(), ...change });

function change(patch, { replace = false } = {}) {
  const target = linkTo(patch);
  if (target === (location.hash || "#")) return;
  history[replace ? "replaceState" : "pushState"](null, "", target);
  render();
}

/* ---- facets: what can be chosen, given what is chosen ---- */

const protocols = () => [...new Set(index.sections.map((section) => section.protocol))];
/** The protocol of an address that says none: the first under which the task was run. */
const impliedProtocol = (task) => (index.sections.find((section) => section.task === task) || index.sections[0])?.protocol || "";
const facetOf = (section, facet) => (facet === "rho" ? String(section.rho ?? "natural") : section[facet]);

function facetValues(state, facet) {
  const before = ["task", "rho", "data"].slice(0, ["task", "rho", "data"].indexOf(facet));
  const matching = index.sections.filter(
    (section) => section.protocol === state.protocol && before.every((f) => !state[f] || facetOf(section, f) === state[f]),
  );
  return [...new Set(matching.map((section) => facetOf(section, facet)))].filter((value) => value !== "");
}

function chosenSections(state) {
  return index.sections.filter(
    (section) =>
      section.protocol === state.protocol &&
      ["task", "rho", "data"].every((facet) => !state[facet] || facetOf(section, facet) === state[facet]),
  );
}

const ruleOf = (state) => index.rules.find((rule) => rule.name === state.rule);
const chosenSupervision = (state) => (state.supervision ? state.supervision.split("|") : []);

/** Whether a method passes the filter by supervision and the search. */
function isShown(state, method) {
  const kinds = chosenSupervision(state);
  if (kinds.length && !kinds.includes(method.supervision)) return false;
  const text = `${method.method} ${method.variant} ${method.supervision} ${words(method.method)}`.toLowerCase();
  return state.q.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

/* ---- methods: names, colours, marks ---- */

const labelOf = (method) => (method.variant ? `${method.method} (${method.variant})` : method.method);

/** A colour per method name, the same in every view; controls and the baseline are grey. */
function colourOf(method) {
  if (method.role === "baseline") return "var(--baseline)";
  if (method.role === "control") return "var(--control)";
  if (!colours) {
    const names = [...new Set(Object.values(index.methods).filter((m) => m.role === "method").map((m) => m.method))].sort();
    colours = new Map(names.map((name, i) => [name, `var(--c${i % 8})`]));
  }
  return colours.get(method.method);
}

let colours = null;

const SUPERVISION = {
  none: { shape: "circle", short: "none", text: "biased images and targets only" },
  "b on train": { shape: "square", short: "b on train", text: "bias labels of the training images too" },
  "unbiased split": { shape: "diamond", short: "unbiased split", text: "an unbiased split with bias labels too" },
  "b on train + unbiased split": { shape: "triangle", short: "b + unbiased", text: "bias labels on train and an unbiased split" },
};

function supervisionOf(method) {
  return SUPERVISION[method.supervision] || { shape: "cross", short: method.supervision, text: method.supervision };
}

const SHAPES = {
  circle: "M-5,0a5,5 0 1,0 10,0a5,5 0 1,0 -10,0Z",
  square: "M-4.5,-4.5H4.5V4.5H-4.5Z",
  diamond: "M0,-6L6,0L0,6L-6,0Z",
  triangle: "M0,-6L5.8,4.6H-5.8Z",
  cross: "M-5,-3L-3,-5L0,-2L3,-5L5,-3L2,0L5,3L3,5L0,2L-3,5L-5,3L-2,0Z",
};

function supervisionBadge(method) {
  const { shape, short, text } = supervisionOf(method);
  return h("span", { class: "badge", title: `Supervision: ${text}` },
    svg("svg", { viewBox: "-7 -7 14 14", width: 11, height: 11, "aria-hidden": "true" }, svg("path", { d: SHAPES[shape] })),
    h("span", { class: "sr" }, "supervision: "), h("span", { class: "short" }, short));
}
