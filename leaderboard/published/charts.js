/* The charts. Each takes rows (methods with their numbers) and returns a figure, or null where there are no data. */
"use strict";

const CHART_HEIGHT = 340;
const MOST_LINES = 14;
const MOST_DOTS = 30;

const tipOf = (row, ...lines) => [labelOf(row.method), `supervision: ${row.method.supervision}`, ...lines].join("\n");
const opens = (row, section) => ({ "data-entry": row.id, "data-open": `${section.id}/${row.id}` });

function legendOf(rows) {
  const kinds = [...new Set(rows.map((row) => row.method.supervision))];
  return [h("span", { class: "faint" }, "Supervision:"), ...kinds.map((kind) => supervisionBadge(rows.find((row) => row.method.supervision === kind).method))];
}

/* ---- score against rho ---- */

/** One line per method over the levels of a task; `now` is the level that is looked at, if one is. */
function rhoCurves(sections, rows, state, now) {
  const levels = sections.filter((s) => s.rho !== null && s.rho < 1).sort((a, b) => a.rho - b.rho);
  if (levels.length < 2) return null;
  const curves = rows
    .map((row) => ({ ...row, points: levels.map((section) => overviewScore(section, row.id, state.rule)).filter((point) => point && known(point.mean)) }))
    .filter((curve) => curve.points.length > 1);
  if (!curves.length) return null;
  const height = (curve) => curve.points.reduce((sum, point) => sum + point.mean, 0) / curve.points.length;
  const drawn = curves.sort((a, b) => height(b) - height(a)).filter((curve, i) => i < MOST_LINES || curve.method.role === "baseline");
  const numbers = curvesOf(levels, state);
  const strength = (rho) => -Math.log10(1 - rho);
  return figure({
    title: `${words(levels[0].task)}${levels[0].data ? `, ${levels[0].data}` : ""}: score as the bias gets stronger`,
    hint: `Bands are 95 % intervals over seeds. To the right, bias-conflicting training samples get rarer.${
      drawn.length < curves.length ? ` The ${drawn.length} highest of ${curves.length} methods; filter to see others.` : ""}`,
    wide: true,
    legend: legendOf(drawn),
    names: drawn,
    draw: (width) => drawCurves(drawn, levels, strength, width, now),
    columns: ["Method", ...levels.map((section) => levelText(section.rho)), "mean over ρ", "breaks at ρ"],
    rows: curves.map((curve) => [
      labelOf(curve.method),
      ...levels.map((section) => {
        const point = curve.points.find((p) => p.section === section);
        return point ? within(point.mean, point.half) : "–";
      }),
      within(numbers?.[curve.id]?.area, numbers?.[curve.id]?.half), breakdownText(numbers?.[curve.id]),
    ]),
  });
}

function drawCurves(curves, levels, strength, width, now) {
  const labelled = width > 560;
  const margin = { left: 44, right: labelled ? Math.min(230, 24 + LETTER * Math.max(...curves.map((c) => labelOf(c.method).length))) : 12, top: 24, bottom: 44 };
  const all = curves.flatMap((curve) => curve.points.flatMap((p) => [p.mean - (p.half || 0), p.mean + (p.half || 0)]));
  const [low, high] = extent(all.map((value) => Math.min(1, Math.max(0, value))), [0, 1]);
  const x = linear([strength(levels[0].rho), strength(levels.at(-1).rho)], [margin.left + 12, width - margin.right - 8]);
  const y = linear([low, high], [CHART_HEIGHT - margin.bottom, margin.top]);
  const place = (point) => [x(strength(point.section.rho)), y(point.mean)];
  const drawing = svg("svg", { width, height: CHART_HEIGHT, viewBox: `0 0 ${width} ${CHART_HEIGHT}` },
    axes({
      x, y, width, height: CHART_HEIGHT, margin,
      xTicks: levels.map((section) => strength(section.rho)), xText: (tick) => String(levels.find((s) => strength(s.rho) === tick).rho),
      yTicks: niceTicks(low, high), yText: (tick) => percent(tick, 0),
      xTitle: "ρ, share of bias-aligned training samples", yTitle: `${words(levels[0].headline)}, %`,
    }),
    now && known(now.rho) && levels.includes(now) ? svg("line", { class: "now", x1: x(strength(now.rho)), x2: x(strength(now.rho)), y1: margin.top, y2: CHART_HEIGHT - margin.bottom }) : null);
  const alike = (curve) => curves.filter((c) => c.method.method === curve.method.method).sort((a, b) => (a.method.variant < b.method.variant ? -1 : 1));
  for (const curve of curves) {
    const band = curve.points.filter((point) => known(point.half));
    const edge = (sign) => band.map((p) => `${x(strength(p.section.rho)).toFixed(1)},${y(Math.min(high, Math.max(low, p.mean + sign * p.half))).toFixed(1)}`);
    drawing.append(svg("g", { class: `curve ${curve.method.role} variant${alike(curve).indexOf(curve) % 4}`, "data-entry": curve.id, vars: { colour: colourOf(curve.method) } },
      band.length > 1 ? svg("path", { class: "band", d: `M${edge(1).join("L")}L${edge(-1).reverse().join("L")}Z` }) : null,
      svg("path", { class: "line", d: `M${curve.points.map((p) => place(p).map((c) => c.toFixed(1)).join(",")).join("L")}` })));
  }
  for (const curve of curves) {
    for (const point of curve.points) {
      drawing.append(mark(curve.method, ...place(point), {
        ...opens(curve, point.section),
        "data-tip": tipOf(curve, `${levelText(point.section.rho)}: ${within(point.mean, point.half)} %`),
      }));
    }
  }
  if (labelled) {
    const ends = curves.map((curve) => place(curve.points.at(-1)));
    const heights = spread(ends.map(([, top]) => top), 14, margin.top, CHART_HEIGHT - margin.bottom);
    curves.forEach((curve, i) => {
      const [from] = ends[i];
      drawing.append(
        svg("path", { class: "leader", d: `M${from + 7},${ends[i][1]}L${width - margin.right + 2},${heights[i]}` }),
        svg("text", { class: `label ${curve.method.role}`, x: width - margin.right + 6, y: heights[i] + 4, "data-entry": curve.id, "data-open": opens(curve, curve.points.at(-1).section)["data-open"], vars: { colour: colourOf(curve.method) } }, labelOf(curve.method)));
    });
  }
  return drawing;
}

/* ---- scatter ---- */

/**
 * Two quantities of each method against each other.
 * `x` and `y`: {title, of(row), half(row)?, text(value), log?, limits?}. `joined`: rows of one control joined by a line.
 */
function scatter({ title, hint, rows, section, x, y, diagonal, joined, columns, tools }) {
  const points = rows.filter((row) => known(x.of(row)) && known(y.of(row)) && (!x.log || x.of(row) > 0));
  if (points.length < 2) return null;
  const draw = (width) => {
    const margin = { left: 44, right: 16, top: 24, bottom: 44 };
    const along = (value) => (x.log ? Math.log10(value) : value);
    const ends = (axis, row) => [-1, 1].map((sign) => {
      const [least, most] = axis.limits || [-Infinity, Infinity];
      return Math.min(most, Math.max(least, axis.of(row) + sign * (axis.half?.(row) || 0)));
    });
    let xRange = extent(points.map((row) => along(x.of(row))), x.limits, 0.08);
    let yRange = extent(points.flatMap((row) => ends(y, row)), y.limits);
    if (diagonal) xRange = yRange = [Math.min(xRange[0], yRange[0]), Math.max(xRange[1], yRange[1])];
    const sx = linear(xRange, [margin.left, width - margin.right]);
    const sy = linear(yRange, [CHART_HEIGHT - margin.bottom, margin.top]);
    const placed = points.map((row) => ({ row, method: row.method, id: row.id, label: labelOf(row.method), x: sx(along(x.of(row))), y: sy(y.of(row)) }));
    const lines = joined ? [...Map.groupBy(placed.filter((p) => p.method.role === "control"), (p) => p.method.method).values()] : [];
    return svg("svg", { width, height: CHART_HEIGHT, viewBox: `0 0 ${width} ${CHART_HEIGHT}` },
      axes({
        x: sx, y: sy, width, height: CHART_HEIGHT, margin, xTitle: x.title, yTitle: y.title, yText: y.text,
        xTicks: x.log ? (x.ticks || logTicks)(...xRange) : niceTicks(...xRange, width < 420 ? 4 : 6), xText: (tick) => x.text(x.log ? 10 ** tick : tick),
        yTicks: niceTicks(...yRange),
      }),
      diagonal ? [
        svg("line", { class: "diagonal", x1: sx(xRange[0]), y1: sy(xRange[0]), x2: sx(xRange[1]), y2: sy(xRange[1]) }),
        svg("text", { class: "note", x: sx(xRange[0]) + 34, y: sy(xRange[0]) - 14 }, diagonal),
      ] : null,
      lines.map((line) => svg("path", { class: "control-line", d: `M${line.sort((a, b) => a.x - b.x).map((p) => `${p.x.toFixed(1)},${p.y.toFixed(1)}`).join("L")}` })),
      placed.map(({ row, x: left, y: top }) => [
        y.half && known(y.half(row)) ? svg("line", { class: "whisker", "data-entry": row.id, x1: left, x2: left, y1: sy(ends(y, row)[0]), y2: sy(ends(y, row)[1]), vars: { colour: colourOf(row.method) } }) : null,
        mark(row.method, left, top, {
          ...opens(row, section),
          "data-tip": tipOf(row, `${x.title}: ${x.text(x.of(row), true)}`, `${y.title}: ${y.text(y.of(row), true)}`),
        }),
      ]),
      pointLabels([...placed].sort((a, b) => a.y - b.y).slice(0, 40), { left: margin.left, right: width - 4, top: 14, bottom: CHART_HEIGHT - margin.bottom }));
  };
  return figure({
    title, hint, draw, tools, legend: legendOf(points), columns: ["Method", x.title, y.title, ...(columns || [])],
    rows: points.map((row) => [labelOf(row.method), x.text(x.of(row), true), y.text(y.of(row), true)]),
  });
}

const share = (title, metric) => ({
  title,
  of: (row) => row.metric(metric).mean,
  half: (row) => row.metric(metric).half,
  text: (value, exact) => percent(value, exact ? 1 : 0),
  limits: [0, 1],
});

function sparsityChart(rows, section) {
  if (!rows.some((row) => row.metric("sparsity").mean > 0)) return null;
  const controls = rows.some((row) => row.method.role === "control");
  return scatter({
    title: "Score against sparsity",
    hint: `Does a method beat pruning that never looks at the bias? ${
      controls ? "Grey lines are the random and magnitude controls: above them, it does." : "The random and magnitude controls have not been run here."}`,
    rows, section, joined: true,
    x: { ...share("sparsity, % of weights", "sparsity"), limits: [0, 1] },
    y: share(`${words(section.headline)}, %`, section.headline),
  });
}

function alignmentChart(rows, section) {
  return scatter({
    title: "Aligned against conflicting samples",
    hint: "A model without the shortcut lies on the diagonal; one that lives off it lies at the lower right.",
    rows, section, diagonal: "no gap",
    x: share("accuracy on aligned samples, %", "aligned_accuracy"),
    y: share("accuracy on conflicting samples, %", "conflicting_accuracy"),
  });
}

const COSTS = {
  train_seconds: { name: "training time", of: (row) => row.costs.train_seconds, text: duration, ticks: timeTicks },
  macs: { name: "multiply-accumulates per input", of: (row) => row.metric("candidate_macs").mean, text: quantity },
  parameters: { name: "parameters", of: (row) => row.costs.parameters, text: quantity },
  latency: { name: "seconds for one input", of: (row) => row.entry.latency, text: duration },
  peak_memory_bytes: { name: "peak memory in bytes", of: (row) => row.costs.peak_memory_bytes, text: quantity },
  peak_gpu_memory_bytes: { name: "peak memory of the GPU in bytes", of: (row) => row.costs.peak_gpu_memory_bytes, text: quantity },
};

function costChart(rows, section, state) {
  const cost = COSTS[state.cost] || COSTS.train_seconds;
  const select = h("select", { id: "cost", change: (event) => change({ cost: event.target.value }) },
    Object.entries(COSTS).filter(([, { of }]) => rows.some((row) => known(of(row)))).map(([name, { name: text }]) => h("option", { value: name, selected: name === state.cost }, text)));
  return scatter({
    title: "Score against cost",
    hint: "Upper left is best. Training time is that of the method alone: where it starts from a vanilla network, add vanilla's.",
    rows, section,
    tools: h("label", { class: "tool" }, "Cost: ", select),
    x: { title: cost.name, of: cost.of, text: cost.text, ticks: cost.ticks, log: true },
    y: share(`${words(section.headline)}, %`, section.headline),
  });
}

/* ---- over tasks ---- */

/** Average ranks; bars at the right join methods that cannot be told apart. */
function averageRanks(state) {
  const found = index.suites[state.protocol][state.rule];
  if (!found) return null;
  const methods = found.methods.map((id) => index.methods[id]);
  const drawn = methods.slice(0, MOST_DOTS);
  const groups = found.groups.map((group) => group.filter((i) => i < MOST_DOTS)).filter((group) => group.length > 1);
  return figure({
    title: `Average rank over ${found.tasks.length} tasks`,
    hint: `Methods joined by a bar at the right are closer than the critical difference, ${found.difference.toFixed(1)} (Nemenyi, 5 %).${
      found.leftOut ? ` ${plural(found.leftOut, "method")} without results on every task left out.` : ""} ${found.sources}${
      methods.length > MOST_DOTS ? ` The ${MOST_DOTS} best of ${methods.length} methods are drawn.` : ""}`,
    columns: ["Method", "Average rank"], rows: methods.map((method, i) => [labelOf(method), found.ranks[i].toFixed(2)]),
    draw: (width) => dotPlot({
      width, methods: drawn, ids: found.methods, groups, of: (i) => [found.ranks[i]], range: [1, Math.max(2, Math.ceil(found.ranks[drawn.length - 1]))],
      title: "average rank, 1 is best", text: (tick) => String(Math.round(tick)), ticks: [1, ...niceTicks(2, found.ranks[drawn.length - 1]).filter(Number.isInteger)],
    }),
  });
}

function interquartileMeans(state) {
  const found = index.suites[state.protocol][state.rule];
  if (!found) return null;
  const methods = found.methods.map((id) => index.methods[id]);
  const range = extent(found.means.slice(0, MOST_DOTS).flat(), [0, 1]);
  return figure({
    title: `Interquartile mean over ${found.tasks.length} tasks`,
    hint: `Mean of the middle half of the scores of all tasks and seeds, with a 95 % bootstrap interval. ${found.sources}`,
    columns: ["Method", "Interquartile mean, %", "95 % interval"],
    rows: methods.map((method, i) => [labelOf(method), percent(found.means[i][0]), found.means[i].slice(1).map((end) => percent(end)).join(" to ")]),
    draw: (width) => dotPlot({ width, methods: methods.slice(0, MOST_DOTS), ids: found.methods, of: (i) => found.means[i], range, title: "score, %", text: (tick) => percent(tick, 0), ticks: niceTicks(...range) }),
  });
}

/** A row per method: a dot, its interval if there is one, and bars for groups of neighbours. */
function dotPlot({ width, methods, ids, of, range, title, text, ticks, groups = [] }) {
  const above = width < 480; // then labels stand over the dots instead of beside them
  const step = above ? 34 : 24;
  const longest = Math.max(...methods.map((method) => labelOf(method).length));
  const margin = { left: above ? 8 : 20 + 1.1 * LETTER * longest, right: 14 + 9 * groups.length, top: 10, bottom: 40 };
  const height = margin.top + step * methods.length + margin.bottom;
  const x = linear(range, [margin.left + 8, width - margin.right - 8]);
  const y = (i) => margin.top + step * (i + 0.5);
  return svg("svg", { width, height, viewBox: `0 0 ${width} ${height}` },
    svg("g", { class: "axes" }, ticks.map((tick) => [
      svg("line", { x1: x(tick), x2: x(tick), y1: margin.top, y2: height - margin.bottom }),
      svg("text", { x: x(tick), y: height - margin.bottom + 16, "text-anchor": "middle" }, text(tick))]),
    svg("text", { x: (margin.left + width - margin.right) / 2, y: height - 4, "text-anchor": "middle" }, title)),
    methods.map((method, i) => [
      svg("text", { class: `label ${method.role}`, x: above ? margin.left : margin.left - 6, y: above ? y(i) - 9 : y(i) + 4, "text-anchor": above ? "start" : "end", "data-entry": ids[i], vars: { colour: colourOf(method) } }, labelOf(method)),
      known(of(i)[1]) ? svg("line", { class: "whisker", "data-entry": ids[i], x1: x(of(i)[1]), x2: x(of(i)[2]), y1: y(i), y2: y(i), vars: { colour: colourOf(method) } }) : null,
      mark(method, x(of(i)[0]), y(i), { "data-entry": ids[i], "data-tip": `${labelOf(method)}\n${title}: ${title.includes("%") ? percent(of(i)[0]) : of(i)[0].toFixed(2)}` }),
    ]),
    groups.map((group, g) => svg("line", { class: "group", x1: width - 8 - 9 * g, x2: width - 8 - 9 * g, y1: y(group[0]) - 7, y2: y(group.at(-1)) + 7 })));
}

/* ---- gamma ---- */

const GAMMA_LINES = [
  { name: "score", class: "score", of: (run) => run.score },
  { name: "bias accuracy", class: "bias", of: (run) => run.bias },
  { name: "sparsity", class: "sparsity", of: (run) => run.sparsity },
];

/** One chart for each method that was tried at several gamma and is otherwise the same. */
function gammaSweeps(found, rows, section, state) {
  const ids = new Set(rows.map((row) => row.id));
  return found.gammas.filter((sweep) => isShown(state, sweep) || sweep.results.some((run) => ids.has(run.id))).map((sweep) => gammaSweep(sweep, section));
}

/** Round marks joined by lines: the trials of a tuning, or the results if there was none; diamonds: results at what was chosen. */
function gammaSweep(sweep, section) {
  const runs = sweep.tuned ? sweep.trials : sweep.results;
  const chosen = sweep.tuned ? sweep.results : [];
  const gammas = [...runs, ...chosen].map((run) => run.gamma).concat(sweep.pruned).sort((a, b) => a - b);
  const log = gammas.at(-1) / gammas[0] >= 10;
  const along = (value) => (log ? Math.log10(value) : value);
  const lines = GAMMA_LINES.filter((line) => runs.some((run) => known(line.of(run))));
  const leads = (run) => (run.id ? { "data-entry": run.id, "data-open": `${section.id}/${run.id}` } : {});
  const whisker = (run, x, y) => known(run.half) && svg("line", { class: "whisker", x1: x(along(run.gamma)), x2: x(along(run.gamma)), y1: y(Math.max(0, run.score - run.half)), y2: y(Math.min(1, run.score + run.half)) });
  const draw = (width) => {
    const margin = { left: 44, right: 96, top: 24, bottom: 44 };
    const range = extent(gammas.map(along), undefined, 0.04);
    const x = linear(range, [margin.left, width - margin.right]);
    const y = linear([0, 1], [CHART_HEIGHT - margin.bottom, margin.top]);
    const ends = spread(lines.map((line) => y(line.of(runs.at(-1)) ?? 0)), 15, margin.top, CHART_HEIGHT - margin.bottom);
    return svg("svg", { width, height: CHART_HEIGHT, viewBox: `0 0 ${width} ${CHART_HEIGHT}` },
      axes({
        x, y, width, height: CHART_HEIGHT, margin, xTitle: "γ, weight of the bias term", yTitle: "%",
        xTicks: log ? logTicks(...range) : niceTicks(...range), xText: (tick) => String(+(log ? 10 ** tick : tick).toPrecision(2)),
        yTicks: niceTicks(0, 1), yText: (tick) => percent(tick, 0),
      }),
      lines.map((line, i) => {
        const points = runs.filter((run) => known(line.of(run)));
        const at = (run) => [x(along(run.gamma)), y(line.of(run))];
        return svg("g", { class: `gamma ${line.class}` },
          svg("path", { class: "line", d: `M${points.map((run) => at(run).map((c) => c.toFixed(1)).join(",")).join("L")}` }),
          line.class === "score" ? points.map((run) => whisker(run, x, y)) : null,
          points.map((run) => svg("circle", { cx: at(run)[0], cy: at(run)[1], r: 4.5, ...leads(run), "data-tip": `${run.id ? "" : "trial, "}γ ${run.gamma}\n${line.name}: ${percent(line.of(run))} %` })),
          svg("text", { class: "label", x: width - margin.right + 10, y: ends[i] + 4 }, line.name));
      }),
      svg("g", { class: "gamma score" }, chosen.map((run) => [
        svg("line", { class: "now", x1: x(along(run.gamma)), x2: x(along(run.gamma)), y1: margin.top, y2: CHART_HEIGHT - margin.bottom }),
        whisker(run, x, y),
        svg("path", { class: "chosen", d: SHAPES.diamond, transform: `translate(${x(along(run.gamma)).toFixed(1)},${y(run.score).toFixed(1)}) scale(1.3)`, ...leads(run), "data-tip": `result at γ ${run.gamma}\nscore: ${within(run.score, run.half)} %` }),
      ])),
      sweep.pruned.map((gamma) => svg("path", { class: "ended", d: SHAPES.cross, transform: `translate(${x(along(gamma)).toFixed(1)},${y(0) - 8})`, "data-tip": `trial at γ ${gamma}, ended early` })));
  };
  const numbers = (run, what) => [String(run.gamma), what, ...lines.map((line) => percent(line.of(run)))];
  return figure({
    title: `${sweep.method}${sweep.variant ? ` (${sweep.variant})` : ""}: what γ does`,
    hint: `A larger γ removes more of what tells the bias. Bias accuracy is how well the bias can still be read from the features.${
      sweep.tuned ? ` Round marks are the trials of the tuning, on seed ${join(sweep.seeds)}, scored on test like all else, which the tuning did not see${chosen.length ? "; the diamond is the result at what it chose, on the seeds of the table" : ""}.` : ""}${
      sweep.pruned.length ? " Crosses at the bottom are trials that were ended early." : ""}`,
    draw,
    columns: ["γ", "what", ...lines.map((line) => `${line.name}, %`)],
    rows: [
      ...runs.map((run) => numbers(run, sweep.tuned ? "trial" : "result")), ...chosen.map((run) => numbers(run, "result")),
      ...sweep.pruned.map((gamma) => [String(gamma), "trial, ended early", ...lines.map(() => "–")]),
    ],
  });
}

/* ---- who beats whom ---- */

const MOST_PAIRS = 16;

/** Probability that the row's method scores higher than the column's on a further seed. */
function pairTable(rows, section) {
  const ranked = rows.filter((row) => known(row.mean) && row.n > 1).sort((a, b) => b.mean - a.mean).slice(0, MOST_PAIRS);
  if (ranked.length < 2 || !ranked.some((row) => row.against(ranked[1]))) return null;
  return h("figure", { class: `card chart ${ranked.length > 8 ? "wide" : ""}` },
    h("figcaption", null, h("h3", null, "Who beats whom, how surely"),
      h("p", { class: "hint" },
        "Probability (%) that the method of the row scores higher than that of the column on a further seed; bold where the difference is significant after correction.")),
    h("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": "Who beats whom" },
      h("table", { class: "tints pairs" },
        h("thead", null, h("tr", null, h("th", { scope: "col" }, "scores higher than"), ranked.map((row, i) => h("th", { scope: "col", "data-tip": labelOf(row.method) }, h("span", { "aria-hidden": "true" }, String(i + 1)), h("span", { class: "sr" }, labelOf(row.method)))))),
        h("tbody", null, ranked.map((row, i) => h("tr", { "data-entry": row.id }, h("th", { scope: "row" }, `${i + 1}  ${labelOf(row.method)}`),
          ranked.map((other) => {
            const found = row === other ? null : row.against(other);
            if (!found || !known(found.probability)) return h("td", { class: "empty" }, "");
            const tip = `${labelOf(row.method)} − ${labelOf(other.method)}\n${signed(found.difference)} ± ${percent(found.half)} points\np ${found.p ?? "–"} (Holm)`;
            return h("td", { class: `${found.probability < 0.5 ? "low" : ""} ${found.p < 0.05 ? "sure" : ""}`, "data-tip": tip, vars: { tint: `${Math.round(110 * Math.max(0, found.probability - 0.5))}%` } }, percent(found.probability, 0));
          })))))));
}
