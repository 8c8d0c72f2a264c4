/* The two tables: methods in one setting, and methods over several settings. */
"use strict";

const ROWS_AT_ONCE = 60;
const CELLS_AT_ONCE = 800; // more would make typing in the search slow
let moreRows = 0;

/** Rows sorted by the state's column; whatever is unknown comes last in both directions. */
function sorted(rows, columns, sort) {
  const descending = sort.startsWith("-");
  const column = columns.find((c) => c.id === sort.replace(/^-/, "")) || columns[0];
  const keyed = rows.map((row) => [column.key(row), row]);
  const unknown = ([key]) => !known(key);
  keyed.sort((a, b) => {
    if (unknown(a) || unknown(b)) return unknown(a) - unknown(b) || compareText(labelOf(a[1].method), labelOf(b[1].method));
    const order = typeof a[0] === "string" ? compareText(a[0], b[0]) : a[0] - b[0];
    return (descending ? -order : order) || compareText(labelOf(a[1].method), labelOf(b[1].method));
  });
  return keyed.map(([, row]) => row);
}

const collator = new Intl.Collator("en", { numeric: true });
const compareText = (a, b) => collator.compare(a, b);

function headCell(column, sort) {
  const sorting = sort.replace(/^-/, "") === column.id;
  const descending = sort.startsWith("-");
  const next = sorting ? (descending ? column.id : `-${column.id}`) : column.first === "down" ? `-${column.id}` : column.id;
  return h("th", { scope: "col", class: column.class, "aria-sort": sorting ? (descending ? "descending" : "ascending") : null },
    h("button", { type: "button", id: `sort-${column.id}`, class: "sort", title: column.about, click: () => change({ sort: next }) },
      column.title, h("span", { class: "arrow", "aria-hidden": "true" }, sorting ? (descending ? "▼" : "▲") : "")),
    column.head ? column.head() : null);
}

function table(rows, columns, state, { caption, sort }) {
  const order = sorted(rows, columns, state.sort || sort);
  const step = Math.max(12, Math.min(ROWS_AT_ONCE, Math.ceil(CELLS_AT_ONCE / columns.length)));
  const body = h("tbody", null, order.slice(0, step + moreRows).map((row) =>
    h("tr", { "data-entry": row.id, class: row.class }, columns.map((column) =>
      h(column.id === "method" ? "th" : "td", { class: column.class, scope: column.id === "method" ? "row" : null, ...column.attributes?.(row) }, column.cell(row))))));
  const more = order.length - step - moreRows;
  return [
    h("div", { class: "scroll card", role: "region", tabindex: "0", "aria-label": caption },
      h("table", { class: "board" }, h("caption", { class: "sr" }, caption),
        h("thead", null, columns.some((c) => c.group) ? groupRow(columns) : null, h("tr", null, columns.map((column) => headCell(column, state.sort || sort)))), body)),
    more > 0 ? h("p", null, h("button", { type: "button", id: "more", class: "plain", click: () => { moreRows += 4 * step; renderAgain(); } },
      `Show ${Math.min(more, 4 * step)} more of ${more}`)) : null,
  ];
}

/* ---- methods in one setting ---- */

const nameParts = (method) => [
  h("span", { class: "swatch", vars: { colour: colourOf(method) } }),
  h("span", null, method.method.split(/(?<=_)/).map((part, i) => (i ? [h("wbr"), part] : part)), method.variant ? h("span", { class: "variant" }, ` ${method.variant}`) : null),
];

const supervisionColumn = {
  id: "supervision", title: "supervision", class: "given", about: "What it is given beyond biased images and targets",
  key: (row) => row.method.supervision, cell: (row) => supervisionBadge(row.method),
};

function methodCell(row) {
  return [h("a", { href: linkTo({ open: `${row.section.id}/${row.id}` }), id: `method-${row.id}`, class: "who" }, nameParts(row.method)),
    row.entry.notes.length ? h("span", { class: "flag", title: row.entry.notes.join("\n") }, row.method.superseded ? "older version" : /stale/.test(row.entry.notes.join()) ? "stale" : "note") : null];
}

function rankCell(row) {
  if (!known(row.rank)) return h("span", { class: "faint", title: `not ranked: fewer than ${index.leastSeeds} seeds, no other method, or a rule that never ranks` }, "–");
  const [first, last] = row.rank;
  const of = row.ranked;
  return [h("span", { class: first === 1 ? "rank first" : "rank" }, String(first)),
    last > first ? h("span", { class: "range" }, h("span", { class: "sr" }, " to "), h("span", { "aria-hidden": "true" }, "–"), String(last)) : null,
    h("span", { class: "extent", "aria-hidden": "true", vars: { from: `${(100 * (first - 1)) / of}%`, to: `${(100 * (of - last)) / of}%` } })];
}

/** Dots and whiskers of all methods on one axis; a thin line marks vanilla, a hollow diamond the published number. */
function intervalColumn(rows) {
  const width = 110;
  const ends = rows.filter((row) => known(row.mean)).flatMap((row) => [row.mean - (row.half || 0), row.mean + (row.half || 0)]);
  const x = linear(extent(ends.map((value) => Math.min(1, Math.max(0, value))), [0, 1], 0.03), [6, width - 6]);
  const inside = (value) => Math.min(width - 2, Math.max(2, x(value)));
  const vanilla = rows.find((row) => row.method.role === "baseline" && known(row.mean));
  const reference = (height) => (vanilla ? svg("line", { class: "reference", x1: x(vanilla.mean), x2: x(vanilla.mean), y1: 0, y2: height }) : null);
  return {
    id: "interval", title: "95 % interval", class: "interval wide-only", first: "down", key: (row) => row.mean,
    about: "Mean and 95 % t-interval over seeds; the dotted line is vanilla",
    head: () => svg("svg", { width, height: 14, "aria-hidden": "true", class: "scale" },
      niceTicks(x.from, x.to, 5).map((tick) => svg("text", { x: Math.min(width - 14, Math.max(8, x(tick))), y: 11, "text-anchor": "middle" }, percent(tick, 0)))),
    cell: (row) => (!known(row.mean) ? "" : svg("svg", { width, height: 26, role: "img", "aria-label": `interval ${within(row.mean, row.half)}` },
      reference(26),
      known(row.half) ? svg("line", { class: "whisker", x1: inside(row.mean - row.half), x2: inside(row.mean + row.half), y1: 13, y2: 13, vars: { colour: colourOf(row.method) } }) : null,
      row.published.filter((p) => p.metric === row.headline).map((p) => svg("path", { class: "published", d: SHAPES.diamond, transform: `translate(${inside(p.value)},13)`, "data-tip": `published ${withStd(p)}\n${p.source}` })),
      svg("circle", { class: "dot", cx: inside(row.mean), cy: 13, r: 4, vars: { colour: colourOf(row.method) } }))),
  };
}

/** Of several published numbers the first that comes with a standard deviation; never the one that suits ours best. */
function leadingNumber(row) {
  const numbers = row.published.filter((p) => p.metric === row.headline);
  return numbers.find((p) => known(p.std)) || numbers[0];
}

function publishedCell(row) {
  const numbers = row.published.filter((p) => p.metric === row.headline);
  if (!numbers.length) return h("span", { class: "faint" }, "–");
  const shown = leadingNumber(row);
  const difference = known(row.mean) ? row.mean - shown.value : null;
  return h("span", { title: numbers.map((p) => `${withStd(p)}: ${p.source} (${p.evidence})`).join("\n") },
    withStd(shown), row.departures.length ? h("span", { class: "delta", title: row.departures.join("\n") }, "other conditions") : known(difference) ? h("span", { class: "delta" }, `ours ${signed(difference)}${
      known(shown.deviations) ? ` = ${shown.deviations.toFixed(1).replace("-", "−")} std` : ""}`) : null);
}

function seedsCell(row) {
  const text = { d: "done", f: "failed", m: "missing" };
  const signs = { d: "●", f: "✕", m: "○" };
  const counts = Object.entries(text).map(([mark, name]) => [row.marks.split(mark).length - 1, name]).filter(([n]) => n);
  const label = counts.map(([n, name]) => `${n} ${name}`).join(", ");
  const drawn = row.marks.length > 12 ? `${row.marks.split("d").length - 1}/${row.marks.length}` : [...row.marks].map((mark) => h("span", { class: `seed ${text[mark]}` }, signs[mark]));
  return [h("span", { "aria-hidden": "true", title: label }, drawn), h("span", { class: "sr" }, label)];
}

function sectionColumns(rows, section) {
  const metric = (id, name, title, about, extra) => ({
    id, title, about, class: "number", first: "down", key: (row) => row.metric(name).mean,
    cell: (row) => percent(row.metric(name).mean), attributes: (row) => ({ title: within(row.metric(name).mean, row.metric(name).half) }), ...extra,
  });
  return [
    { id: "rank", title: "Rank", class: "ranks", about: "1 + the number of methods that are significantly better, up to the last rank it may have", key: (row) => row.rank && row.rank[0] + row.rank[1] / 1000, cell: rankCell },
    { id: "method", title: "Method", class: "name", about: "With the parameters that differ from its defaults, and its supervision", key: (row) => labelOf(row.method), cell: methodCell },
    supervisionColumn,
    { id: "score", title: words(section.headline), class: "number score", first: "down", about: index.metrics[section.headline], key: (row) => row.mean,
      cell: (row) => (known(row.mean) ? [h("strong", null, percent(row.mean)), known(row.half) ? h("span", { class: "half" }, ` ± ${percent(row.half)}`) : null] : row.marks.includes("d") ? h("span", { class: "faint" }, "rule not applicable") : h("span", { class: "bad" }, row.marks.includes("f") ? "failed" : "not run")) },
    intervalColumn(rows),
    metric("worst", "worst_group_accuracy", "worst group", index.metrics.worst_group_accuracy),
    metric("aligned", "aligned_accuracy", "aligned", index.metrics.aligned_accuracy),
    metric("conflicting", "conflicting_accuracy", "conflicting", index.metrics.conflicting_accuracy),
    metric("sparsity", "sparsity", "sparsity", "Share of weights that are exactly zero or removed"),
    { id: "time", title: "training", class: "number", about: "Wall time in the method, mean over seeds; without the network that it starts from", key: (row) => row.costs.train_seconds, cell: (row) => duration(row.costs.train_seconds) },
    { id: "oracle", title: "oracle gap", class: "number", about: "What choosing the candidate on test itself would add", key: (row) => row.oracleGap, cell: (row) => percent(row.oracleGap) },
    ...(rows.some((row) => row.published.some((p) => p.metric === row.headline)) ? [{ id: "published", title: "published", class: "number paper", first: "down", about: "A published number, one with a standard deviation where there is one, and ours minus it; all of them are below", key: (row) => leadingNumber(row)?.value, cell: publishedCell }] : []),
    { id: "seeds", title: "seeds", class: "seeds", first: "down", about: "● done, ✕ failed, ○ missing", key: (row) => row.marks.split("d").length, cell: seedsCell },
  ];
}

/* ---- methods over several settings ---- */

const shortName = (section) => [levelText(section.rho), section.data].filter(Boolean).join(", ");

const FIRSTS = {
  id: "firsts", title: "rank 1", class: "number", first: "down", about: "In how many of the settings shown nothing is significantly better",
  key: (row) => (row.ranks.length ? row.firsts + (row.average || 0) / 1000 : null), level: (row) => row.firsts, says: () => "",
  cell: (row) => (row.ranks.length ? [h("strong", null, String(row.firsts)), h("span", { class: "half" }, ` of ${row.ranks.length}`)] : "–"),
};

/** By what methods are ordered over the settings shown: average rank over all tasks, area over the levels of one, or rank 1. */
function meritOf(sections, state) {
  const tasks = index.suites[state.protocol][state.rule];
  const all = !["task", "rho", "data"].some((facet) => state[facet]);
  if (all && tasks) {
    const ranks = new Map(tasks.methods.map((id, i) => [id, tasks.ranks[i]]));
    const merit = {
      id: "average", title: "average rank", class: "number", about: `Mean over ${tasks.tasks.length} tasks of the rank by mean score, each task's levels averaged`,
      key: (row) => ranks.get(row.id), says: (row) => `average rank ${ranks.get(row.id).toFixed(1)}`, cell: (row) => (ranks.has(row.id) ? ranks.get(row.id).toFixed(1) : "–"),
    };
    return { merit, extras: [merit] };
  }
  const curves = curvesOf(sections, state);
  if (!curves) return { merit: FIRSTS, extras: [] };
  const merit = {
    id: "area", title: "mean over ρ", class: "number", first: "down", about: "Mean height of the curve over the levels of ρ, every factor of 10 in 1 − ρ counting the same",
    key: (row) => curves[row.id]?.area, says: (row) => `${percent(curves[row.id].area)} % over ρ`, cell: (row) => within(curves[row.id]?.area, curves[row.id]?.half),
  };
  const breakdown = {
    id: "breakdown", title: "breaks at ρ", class: "number", first: "down", about: "Lowest ρ at which the score falls below half way between chance and 100 %",
    key: (row) => (curves[row.id]?.holds ? 1 : curves[row.id]?.breakdown), cell: (row) => breakdownText(curves[row.id]),
  };
  return { merit, extras: [merit, breakdown] };
}

const breakdownText = (curve) => (curve?.holds ? "holds" : known(curve?.breakdown) ? curve.breakdown.toFixed(3) : "–");

/** Numbers of the curves over rho, if the sections are exactly the levels of one task. */
function curvesOf(sections, state) {
  const same = sections.every((s) => s.task === sections[0].task && s.data === sections[0].data && s.protocol === sections[0].protocol);
  const found = same && sections.find((section) => section.curves)?.curves[state.rule];
  return found && Object.keys(found).length ? found : null;
}

function groupRow(columns) {
  const runs = [];
  for (const column of columns) {
    if (runs.length && runs.at(-1).name === column.group) runs.at(-1).span += 1;
    else runs.push({ name: column.group, span: 1 });
  }
  return h("tr", { class: "groups" }, runs.map(({ name, span }) =>
    name ? h("th", { colspan: span, scope: "colgroup" }, words(name)) : h("td", { colspan: span })));
}

function overviewColumns(rows, sections, state) {
  const { merit, extras } = meritOf(sections, state);
  return [
    { id: "method", title: "Method", class: "name", about: "With the parameters that differ from its defaults, and its supervision", key: (row) => labelOf(row.method),
      cell: (row) => h("span", { class: "who" }, nameParts(row.method)) },
    supervisionColumn,
    ...(merit === FIRSTS ? [FIRSTS] : [...extras, FIRSTS]),
    ...sections.map((section, i) => settingColumn(section, i, rows, state)),
  ];
}

function settingColumn(section, position, rows, state) {
  const means = rows.map((row) => row.scores[position]?.mean).filter(known);
  const [low, high] = [Math.min(...means), Math.max(...means)];
  const applies = usableRules(section).includes(state.rule);
  return {
    id: `s-${section.id}`, group: section.task, title: shortName(section), class: "number setting", first: "down",
    about: `${words(section.headline)}, %`,
    head: () => h("a", { href: linkTo({ task: section.task, rho: facetOf(section, "rho"), data: section.data, sort: "" }), class: "look", "aria-label": `look at ${section.task}, ${shortName(section)}` }, "look"),
    key: (row) => row.scores[position]?.mean,
    attributes: (row) => ({ vars: { tint: known(row.scores[position]?.mean) && high > low ? `${Math.round(44 * ((row.scores[position].mean - low) / (high - low)) ** 1.6)}%` : "0%" } }),
    cell: (row) => {
      const score = row.scores[position];
      if (!score) return h("span", { class: "faint" }, "–");
      const title = `${labelOf(row.method)}\n${within(score.mean, score.half)} %\n${score.rank ? `rank ${score.rank.join("–")}` : "not ranked"}`;
      if (!known(score.mean) && !applies && section.cells.done) return h("span", { class: "faint", title: `the rule ${state.rule} does not apply to this task` }, "n/a");
      if (!known(score.mean)) return h("span", { class: "bad", title: "no result: failed or not run" }, "✕", h("span", { class: "sr" }, "no result"));
      return h("a", { href: linkTo({ open: `${section.id}/${row.id}` }), "data-tip": title, class: score.rank?.[0] === 1 ? "score first" : "score", "aria-label": `${percent(score.mean)}${score.rank ? `, rank ${score.rank[0]}` : ""}` },
        percent(score.mean), score.rank ? h("sup", null, String(score.rank[0])) : null);
    },
  };
}
