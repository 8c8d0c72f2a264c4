/* The little that charts are made of: scales, axes, marks, labels that do not overlap, and figures with their data. */
"use strict";

const LETTER = 6.3; // mean width of a letter of a label, in pixels

function linear([from, to], [start, end]) {
  const span = to - from || 1;
  return Object.assign((value) => start + ((value - from) / span) * (end - start), { from, to });
}

function niceTicks(from, to, count = 5) {
  const raw = (to - from) / count || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= raw * 0.999);
  const ticks = [];
  for (let tick = Math.ceil(from / step - 1e-9) * step; tick <= to + step * 1e-6; tick += step) ticks.push(tick);
  return ticks;
}

/** Ticks of a logarithmic axis whose values are exponents of 10. */
function logTicks(from, to) {
  const every = to - from < 2.2 ? [1, 2, 5] : [1];
  const ticks = [];
  for (let power = Math.floor(from); power <= to; power += 1) {
    for (const factor of every) {
      const tick = power + Math.log10(factor);
      if (tick >= from && tick <= to) ticks.push(tick);
    }
  }
  return ticks.length > 1 ? ticks : niceTicks(from, to, 3);
}

/** Ticks of a logarithmic axis of seconds. */
function timeTicks(from, to) {
  const nice = [0.01, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 18000, 36000, 86400, 172800].map(Math.log10);
  const inside = nice.filter((tick) => tick >= from && tick <= to);
  return inside.length > 1 ? inside : logTicks(from, to);
}

/** The range of values, widened a little and kept within limits. */
function extent(values, [least, most] = [-Infinity, Infinity], share = 0.06) {
  const defined = values.filter(known);
  if (!defined.length) return [0, 1];
  let from = Math.min(...defined);
  let to = Math.max(...defined);
  const margin = (to - from) * share || Math.abs(to) * 0.05 || 0.05;
  from = Math.max(least, from - margin);
  to = Math.min(most, to + margin);
  return from < to ? [from, to] : [from - margin, to + margin];
}

/** Grid, tick labels and titles of both axes. */
function axes({ x, y, xTicks, yTicks, xText, yText, xTitle, yTitle, width, height, margin }) {
  const bottom = height - margin.bottom;
  let end = -Infinity; // of the last label: one that would run into it is left out
  const legible = xTicks.map((tick) => {
    const half = (xText(tick).length * LETTER) / 2;
    if (x(tick) - half < end + 8) return false;
    end = x(tick) + half;
    return true;
  });
  return svg("g", { class: "axes" },
    yTicks.map((tick) => [
      svg("line", { x1: margin.left, x2: width - margin.right, y1: y(tick), y2: y(tick) }),
      svg("text", { x: margin.left - 7, y: y(tick) + 4, "text-anchor": "end" }, yText(tick)),
    ]),
    xTicks.map((tick, i) => [
      svg("line", { x1: x(tick), x2: x(tick), y1: bottom, y2: bottom + 4 }),
      legible[i] ? svg("text", { x: x(tick), y: bottom + 17, "text-anchor": "middle" }, xText(tick)) : null,
    ]),
    svg("text", { class: "axis-title", x: (margin.left + width - margin.right) / 2, y: height - 4, "text-anchor": "middle" }, xTitle),
    svg("text", { class: "axis-title", x: margin.left - 34, y: 12 }, yTitle));
}

const mark = (method, x, y, attributes) =>
  svg("path", {
    d: SHAPES[supervisionOf(method).shape],
    transform: `translate(${x.toFixed(1)},${y.toFixed(1)})`,
    class: `mark ${method.role}`,
    vars: { colour: colourOf(method) },
    ...attributes,
  });

/** Moves labels apart that would overlap: given wanted heights, returns heights at least `gap` apart. */
function spread(wanted, gap, from, to) {
  const order = wanted.map((_, i) => i).sort((a, b) => wanted[a] - wanted[b]);
  const placed = [...wanted];
  let last = from - gap;
  for (const i of order) last = placed[i] = Math.max(placed[i], last + gap);
  let limit = to;
  for (const i of order.reverse()) {
    placed[i] = Math.min(placed[i], limit);
    limit = placed[i] - gap;
  }
  return placed;
}

/** Labels beside points where there is room; a point without one still has its tip. */
function pointLabels(points, box) {
  const taken = points.map((p) => [p.x - 6, p.y - 6, p.x + 6, p.y + 6]);
  const clear = (r) =>
    r[0] >= box.left && r[2] <= box.right && r[1] >= box.top && r[3] <= box.bottom &&
    !taken.some((t) => r[0] < t[2] && r[2] > t[0] && r[1] < t[3] && r[3] > t[1]);
  const labels = [];
  for (const point of points) {
    const length = point.label.length * LETTER;
    const places = [
      [point.x + 10, point.y + 4, "start"], [point.x - 10, point.y + 4, "end"],
      [point.x, point.y - 10, "middle"], [point.x, point.y + 18, "middle"],
      [point.x + 8, point.y - 8, "start"], [point.x + 8, point.y + 16, "start"],
      [point.x - 8, point.y - 8, "end"], [point.x - 8, point.y + 16, "end"],
    ];
    for (const [x, y, anchor] of places) {
      const left = anchor === "start" ? x : anchor === "end" ? x - length : x - length / 2;
      const area = [left - 2, y - 11, left + length + 2, y + 3];
      if (clear(area)) {
        taken.push(area);
        labels.push(svg("text", { class: `label ${point.method.role}`, x, y, "text-anchor": anchor, "data-entry": point.id, vars: { colour: colourOf(point.method) } }, point.label));
        break;
      }
    }
  }
  return labels;
}

/** A chart with a title, how to read it, and its data as a table for those who do not see it. */
function figure({ title, hint, draw, columns, rows, legend, names, wide, tools }) {
  const canvas = h("div", { class: "canvas" });
  const data = h("details", { class: "chart-data" }, h("summary", null, "Data of this chart"));
  data.addEventListener("toggle", () => {
    if (data.open && data.children.length === 1) data.append(plainTable(title, columns, rows));
  });
  const element = h("figure", { class: wide ? "card chart wide" : "card chart" },
    h("figcaption", null, h("h3", null, title), h("p", { class: "hint" }, hint), tools),
    canvas, legend ? h("div", { class: "legend" }, legend) : null, names ? nameLegend(names) : null, data);
  element.place = () => ({ top: canvas.getBoundingClientRect().top, width: Math.max(280, canvas.clientWidth) });
  element.redraw = (width) => {
    const drawing = draw(width);
    drawing.setAttribute("role", "img");
    drawing.setAttribute("aria-label", `${title}. ${hint} The data follow as a table.`);
    canvas.replaceChildren(drawing);
  };
  return element;
}

/** Names with their colours, for screens too narrow for labels in the chart. */
function nameLegend(rows) {
  return h("div", { class: "legend methods" }, rows.map((row) =>
    h("span", { "data-entry": row.id }, h("span", { class: "swatch", vars: { colour: colourOf(row.method) } }), labelOf(row.method))));
}

function plainTable(caption, columns, rows) {
  return h("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": `Data of ${caption}` },
    h("table", null, h("caption", { class: "sr" }, caption),
      h("thead", null, h("tr", null, columns.map((column) => h("th", { scope: "col" }, column)))),
      h("tbody", null, rows.map((row) =>
        h("tr", null, row.map((cell, i) => h(i ? "td" : "th", i ? null : { scope: "row" }, cell)))))));
}
