/* What the method logged of its epochs: a small chart of each curve, and the numbers as tables. */
"use strict";

const LOG_WIDTH = 200;
const LOG_HEIGHT = 64;
const DECADES = 2; // a curve of positive numbers that spans more is drawn on a logarithmic axis

function trainingLog(training) {
  const phases = Object.entries(training || {}).filter(([, { epochs }]) => epochs.length);
  if (!phases.length) return null;
  return [
    h("h4", null, "Log of the training"),
    h("div", { class: "training" }, phases.flatMap(([phase, { epochs, curves }]) =>
      Object.entries(curves).map(([name, numbers]) => trainingCurve(`${phase}: ${words(name)}`, epochs, numbers)))),
    h("details", null, h("summary", null, "As numbers"), phases.map(([phase, { epochs, curves }]) =>
      plainTable(`${phase}, up to ${epochs.at(-1)} epochs`, ["epoch", ...Object.keys(curves).map(words)],
        epochs.map((epoch, i) => [String(epoch), ...Object.values(curves).map((numbers) => logged(numbers[i]))])))),
  ];
}

const logged = (value) => (known(value) ? String(+value.toPrecision(4)) : "not finite");

function trainingCurve(title, epochs, numbers) {
  const defined = numbers.filter(known);
  const logarithmic = defined.length > 0 && Math.min(...defined) > 0 && Math.log10(Math.max(...defined) / Math.min(...defined)) > DECADES;
  const heights = numbers.map((value) => (known(value) && logarithmic ? Math.log10(value) : value));
  const x = linear([epochs[0], epochs.at(-1)], [3, LOG_WIDTH - 3]);
  const y = linear(extent(heights), [LOG_HEIGHT - 3, 3]);
  let pen = "M"; // lifted where a number is missing
  const path = heights.map((height, i) => {
    if (!known(height)) {
      pen = "M";
      return "";
    }
    const step = `${pen}${x(epochs[i]).toFixed(1)},${y(height).toFixed(1)}`;
    pen = "L";
    return step;
  }).join("");
  const summary = `${logged(numbers[0])} → ${logged(numbers.at(-1))}, ${plural(epochs.at(-1), "epoch")}${logarithmic ? ", logarithmic" : ""}`;
  return h("figure", null,
    h("figcaption", null, h("strong", null, title), h("span", { class: "faint" }, summary)),
    svg("svg", { viewBox: `0 0 ${LOG_WIDTH} ${LOG_HEIGHT}`, role: "img", "aria-label": `${title}: ${summary}` },
      epochs.length > 1 ? svg("path", { d: path }) : svg("circle", { cx: LOG_WIDTH / 2, cy: LOG_HEIGHT / 2, r: 3 })));
}
