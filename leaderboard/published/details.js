/* What is behind a number: the method in its setting, and each of its cells. */
"use strict";

async function renderDetails(state) {
  const dialog = byId("details");
  const [sectionId, entryId, seed] = state.open.split("/");
  const section = index.sections.find((candidate) => candidate.id === sectionId);
  if (!section) {
    if (dialog.open) dialog.close();
    return;
  }
  const part = await load(sectionId);
  const row = rowsOf(section, part, { ...state, q: "", supervision: "" }).find((candidate) => candidate.id === entryId);
  if (!row || readState().open !== state.open) return;
  const cells = await load(`${sectionId}.cells${row.entry.chunk}`);
  byId("details-body").replaceChildren(...entryDetails(row, part, state, cells, seed));
  if (!dialog.open) dialog.showModal();
  byId(`cell-${seed}`)?.scrollIntoView({ block: "start" });
}

function entryDetails(row, part, state, cells, seed) {
  const { section } = row;
  return [
    h("h2", { id: "details-title" }, labelOf(row.method)),
    h("p", { class: "meta" }, supervisionBadge(row.method), ` ${words(section.task)}, ${shortName(section)}, protocol ${section.protocol}`),
    h("p", null, known(row.mean) ? [h("strong", null, `${within(row.mean, row.half)} %`), ` ${words(row.headline)} by rule ${state.rule}`,
      known(row.std) ? `; standard deviation ${percent(row.std)} over ${plural(row.n, "seed")}` : "",
      known(row.rank) ? `; rank ${row.rank[0] === row.rank[1] ? row.rank[0] : row.rank.join(" to ")} of ${row.ranked}` : "; not ranked"] : "No result by this rule."),
    h("div", { class: "columns" }, byRule(row, part), byMetric(row, part, state)),
    row.entry.notes.map((note) => h("p", { class: "note" }, note)),
    publishedTable(row.published, `Published for ${row.method.method}`),
    h("h3", null, "Cells"),
    Object.entries(cells.cells[row.id] || {}).map(([number, values]) => cellDetails(row, number, cellOf(values, cells), cells.environments, number === seed)),
    h("h3", null, "Parameters of the method"), values(row.entry.params),
    h("h3", null, "Parameters of the task"), values(section.params),
  ].flat().filter(Boolean);
}

/** A cell with its values by name; files hold them by position. */
function cellOf(values, { columns, choice }) {
  const named = (names, list) => Object.fromEntries(names.map((name, i) => [name, list[i]]));
  const cell = named(columns, values);
  cell.rules = Object.fromEntries(Object.entries(cell.rules).map(([rule, chosen]) => [rule, named(choice, chosen)]));
  return cell;
}

function byRule(row, part) {
  return h("table", null, h("caption", null, `${words(row.headline)}, %, by selection rule`), h("tbody", null,
    index.rules.map(({ name }) => {
      const { mean, half } = part.rules[name].metrics[row.headline];
      return h("tr", null, h("th", { scope: "row" }, name), h("td", { class: "number" }, within(mean[row.i], half[row.i])));
    })));
}

function byMetric(row, part, state) {
  return h("table", null, h("caption", null, `All metrics, %, by rule ${state.rule}`), h("tbody", null,
    Object.keys(index.metrics).map((name) => {
      const { mean, half } = part.rules[state.rule].metrics[name];
      return h("tr", null, h("th", { scope: "row", title: index.metrics[name] }, words(name)), h("td", { class: "number" }, within(mean[row.i], half[row.i])));
    })));
}

function publishedTable(numbers, caption) {
  if (!numbers.length) return null;
  return h("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": caption },
    h("table", null, h("caption", null, caption),
      h("thead", null, h("tr", null, ["Method", "Number", "Ours", "What it is", "Level", "Source", "Read from", "Note"].map((text) => h("th", { scope: "col" }, text)))),
      h("tbody", null, numbers.map((p) => h("tr", null,
        h("th", { scope: "row" }, p.method), h("td", { class: "number" }, p.metric ? withStd(p) : String(p.value)),
        h("td", { class: "number" }, known(p.ours) ? within(p.ours, p.half) : ""),
        [words(p.published_metric), p.level, p.source, p.evidence, p.note].map((text) => h("td", null, text)))))));
}

function values(object) {
  const entries = Object.entries(object);
  if (!entries.length) return h("p", { class: "faint" }, "none");
  return h("dl", { class: "values" }, entries.map(([name, value]) => [h("dt", null, words(name)), h("dd", null, typeof value === "object" && value !== null ? JSON.stringify(value) : String(value))]));
}

function cellDetails(row, number, cell, environments, opened) {
  const score = cell.rules[readState().rule]?.score;
  const said = { done: known(score) ? `${percent(score)} %` : "done", failed: `failed: ${cell.failure}`, missing: "not run" }[cell.status];
  const body = h("div", { class: "cell" });
  const element = h("details", { id: `cell-${number}`, open: opened, class: cell.status }, h("summary", null, `Seed ${number}: ${said}`), body);
  const show = () => body.children.length || body.append(...cellBody(row, number, cell, environments));
  element.addEventListener("toggle", show);
  if (opened) show();
  return element;
}

function cellBody(row, number, cell, environments) {
  const about = {
    key: cell.key, finished: cell.finished_at, code: cell.code, hardware: cell.hardware,
    training: known(cell.train_seconds) ? duration(cell.train_seconds) : null,
    evaluation: known(cell.evaluate_seconds) ? duration(cell.evaluate_seconds) : null,
    "peak memory": known(cell.peak_memory_bytes) ? `${quantity(cell.peak_memory_bytes)}B` : null,
    "peak memory of tensors on the GPU": known(cell.peak_gpu_memory_bytes) ? `${quantity(cell.peak_gpu_memory_bytes)}B` : null,
    parameters: known(cell.parameters) ? quantity(cell.parameters) : null,
    "multiply-accumulates, dense": known(cell.macs) ? quantity(cell.macs) : null,
    "candidates to choose from": cell.candidates,
  };
  return [
    values(Object.fromEntries(Object.entries(about).filter(([, value]) => known(value)))),
    cell.status === "failed" ? [h("h4", null, "Why it failed"), h("pre", { tabindex: "0" }, `${cell.failure}\n${cell.traceback || ""}`)] : null,
    Object.keys(cell.rules).length ? choices(row, cell) : null,
    trainingLog(cell.training),
    h("h4", null, "To reproduce"), command(row, number, cell),
    cell.status === "missing" ? null : h("p", null, "In the results folder that it is run in, ", h("code", null, `debias-bench show cell ${cell.key}`), " then tells every candidate and all that the method reported."),
    h("details", null, h("summary", null, "Environment"), h("pre", { tabindex: "0" }, JSON.stringify(environments[cell.environment], null, 2))),
    h("p", null, h("a", { href: linkTo({ open: `${row.section.id}/${row.id}/${number}` }) }, "Permalink of this cell")),
  ].flat(2).filter(Boolean);
}

function choices(row, cell) {
  const info = (choice) => Object.entries(choice.info || {}).map(([name, value]) => `${words(name)} ${typeof value === "number" ? +value.toPrecision(4) : value}`).join(", ");
  return h("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": "Chosen candidates" },
    h("table", null, h("caption", null, "Which candidate each rule chose, and what the method reported of it"),
      h("thead", null, h("tr", null, ["Rule", "Candidate", `${words(row.headline)}, %`, "sparsity, %", "reported by the method"].map((text) => h("th", { scope: "col" }, text)))),
      h("tbody", null, Object.entries(cell.rules).map(([rule, choice]) => h("tr", null,
        h("th", { scope: "row" }, rule), h("td", null, choice.candidate ?? "not applicable"), h("td", { class: "number" }, percent(choice.score, 2)),
        h("td", { class: "number" }, percent(choice.sparsity)), h("td", null, info(choice)))))));
}

function command(row, number, cell) {
  const commit = /\+g([0-9a-f]+)/.exec(cell.code || "");
  const text = (commit ? `git checkout ${commit[1]}\n` : "") + row.entry.reproduce.join(number);
  const button = h("button", { type: "button", class: "plain", click: async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = "Selected; copy it with your keyboard";
    }
  } }, "Copy");
  const code = h("pre", { tabindex: "0" }, text);
  return [code, /\.changed$/.test(cell.code || "") ? h("p", null, "Its working tree had changes that were not committed.") : null, button];
}
