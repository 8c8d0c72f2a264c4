/* What diagnostics found, where cells have them: pruned layers, what features still tell, where models look. */
"use strict";

function diagnosticTable({ title, hint, columns, rows }) {
  return h("figure", { class: `card chart ${columns.length > 4 ? "wide" : ""}` },
    h("figcaption", null, h("h3", null, title), h("p", { class: "hint" }, hint)),
    h("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": title },
      h("table", { class: "tints" },
        h("thead", null, h("tr", null, ["Method", ...columns].map((column) => h("th", { scope: "col" }, column)))),
        h("tbody", null, rows.map(([row, cells]) => h("tr", { "data-entry": row.id }, h("th", { scope: "row" }, labelOf(row.method)), cells))))));
}

/** Share of the weights that is pruned in each layer, a row per method. */
function layerTable(rows) {
  const pruned = rows.filter((row) => row.entry.layers);
  if (!pruned.length) return null;
  const layers = [...new Set(pruned.flatMap((row) => Object.keys(row.entry.layers)))];
  return diagnosticTable({
    title: "Pruned share per layer",
    hint: "Where a method cuts, from the input (left) to the output (right): percent of a layer's weights, mean over seeds.",
    columns: layers,
    rows: pruned.map((row) => [row, layers.map((layer) =>
      h("td", { vars: { tint: `${Math.round(70 * (row.entry.layers[layer] ?? 0))}%` } }, percent(row.entry.layers[layer], 0)))]),
  });
}

const MEASURES = {
  decodability: (attribute) => `${attribute} read from features`,
  information: (attribute) => `information on ${attribute}`,
  counterfactual: (attribute) => `flips with ${attribute}`,
  biasedness: (attribute) => `follows ${attribute} (φ)`,
};

/** What models know of target and bias before and after the method. */
function knowledgeTable(rows) {
  const measured = rows.filter((row) => row.entry.measures);
  if (!measured.length) return null;
  const key = (measure) => `${measure.name} ${measure.attribute}`;
  const columns = new Map(measured.flatMap((row) => row.entry.measures.map((measure) => [key(measure), measure])));
  return diagnosticTable({
    title: "What the models still know of the bias",
    hint: "Percent before → after the method, mean over seeds: how well a linear probe reads target and bias from the features, how much information it finds, how many predictions change when an image is redrawn with another bias value, and how often the bias decides (φ, a measure of this benchmark).",
    columns: [...columns.values()].map((measure) => [MEASURES[measure.name](measure.attribute), known(measure.chance) ? h("span", { class: "half" }, ` chance ${percent(measure.chance, 0)}`) : null]),
    rows: measured.map((row) => [row, [...columns.keys()].map((name) => {
      const found = row.entry.measures.find((measure) => key(measure) === name);
      if (!found) return h("td", { class: "faint" }, "–");
      return h("td", null, known(found.before) ? h("span", { class: "half" }, `${percent(found.before)} → `) : null, percent(found.after));
    })]),
  });
}

const HEAT = [[8, 8, 32], [74, 20, 110], [190, 55, 84], [249, 142, 9], [252, 255, 164]];

function heat(value) {
  const place = (value / 255) * (HEAT.length - 1);
  const below = Math.min(HEAT.length - 2, Math.floor(place));
  return HEAT[below].map((from, i) => Math.round(from + (place - below) * (HEAT[below + 1][i] - from)));
}

/** One map as a canvas of the map's own resolution. */
function heatMap(bytes, height, width, label) {
  const canvas = h("canvas", { width, height, role: "img", "aria-label": label, title: label });
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i += 1) image.data.set([...heat(bytes[i]), 255], 4 * i);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

function mapsOf(model, when, targets) {
  const [count, height, width] = model.shape;
  const bytes = Uint8Array.from(atob(model.maps), (letter) => letter.charCodeAt(0));
  if (bytes.length !== count * height * width) return null;
  return h("div", { class: "maps" }, h("span", null, when), targets.map((target, i) =>
    heatMap(bytes.subarray(i * height * width, (i + 1) * height * width), height, width, `${when}: class ${target} taken for ${model.predicted[i]}`)));
}

/** Where models look, before and after. */
function gradCam(rows) {
  const shown = rows.filter((row) => row.entry.maps).slice(0, 12);
  if (!shown.length) return null;
  return h("figure", { class: "card chart wide" },
    h("figcaption", null, h("h3", null, "Where models look (Grad-CAM)"),
      h("p", { class: "hint" }, "Maps of the predicted class for the same bias-conflicting test images, before and after the method; bright places speak for the prediction. Point at a map to read what was predicted.")),
    h("div", { class: "grid" }, shown.map((row) => {
      const { maps } = row.entry;
      return h("div", { "data-entry": row.id }, h("h4", null, labelOf(row.method)),
        maps.before ? mapsOf(maps.before, "before", maps.y) : null, mapsOf(maps.after, "after", maps.y));
    })));
}
