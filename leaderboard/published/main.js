/* Puts the page together, again whenever the address changes. */
"use strict";

let shownView = null;

/** The methods of a section that pass the filters, with their numbers by the chosen rule. */
function rowsOf(section, part, state) {
  const found = part.rules[state.rule];
  const claims = Map.groupBy(found.claims.map((claim) => ({ ...part.published[claim.published], ...claim })), (claim) => claim.entry);
  const ranked = found.rank.filter(known).length;
  const of = (name, rule = found) => (i) => ({ mean: rule.metrics[name].mean[i], half: rule.metrics[name].half[i] });
  return part.entries
    .map((entry, i) => ({
      ...entry, entry, i, published: claims.get(i) || [], departures: part.departures, section, ranked, method: { ...index.methods[entry.id], variant: entry.variant }, headline: section.headline,
      ...of(section.headline)(i), n: found.n[i], rank: found.rank[i], pairs: found.pairs,
      oracleGap: found.oracleGap[i], std: found.std[i],
      metric: (name) => of(name)(i),
      info: (name) => found.info[name]?.[i],
      against: (other) => comparison(found.pairs, i, other.i),
      class: index.methods[entry.id].superseded ? "superseded" : "",
    }))
    .filter((row) => isShown(state, row.method));
}

/** Entry i minus entry j, whichever of the two the pairs were computed for. */
function comparison(pairs, i, j) {
  if (!pairs) return null;
  const take = (row, column, sign) => ({
    difference: known(pairs.difference[row][column]) ? sign * pairs.difference[row][column] : null,
    half: pairs.half[row][column],
    probability: sign > 0 || !known(pairs.probability[row][column]) ? pairs.probability[row][column] : 1 - pairs.probability[row][column],
    p: pairs.p[row][column],
  });
  if (pairs.rows.includes(i)) return take(pairs.rows.indexOf(i), j, 1);
  return pairs.rows.includes(j) ? take(pairs.rows.indexOf(j), i, -1) : null;
}

function overviewScore(section, id, rule) {
  section.places ||= new Map(section.entries.map((entry, i) => [entry, i]));
  const i = section.places.get(id);
  const { mean, half, rank } = section.scores[rule];
  return i === undefined ? null : { section, mean: mean[i], half: half[i], rank: rank[i] };
}

function overviewRows(sections, state) {
  const ids = [...new Set(sections.flatMap((section) => section.entries))].filter((id) => isShown(state, index.methods[id]));
  return ids.map((id) => {
    const scores = sections.map((section) => overviewScore(section, id, state.rule));
    const ranks = scores.filter((score) => score && known(score.rank)).map((score) => score.rank[0]);
    const means = scores.filter((score) => score && known(score.mean)).map((score) => score.mean);
    return {
      id, method: index.methods[id], scores, ranks, firsts: ranks.filter((rank) => rank === 1).length,
      average: means.length ? means.reduce((a, b) => a + b) / means.length : null, section: sections[0],
    };
  });
}

/* ---- the view ---- */

async function render() {
  const state = readState();
  const view = JSON.stringify({ ...state, open: "" });
  try {
    if (view !== shownView) {
      moreRows = 0;
      shownView = view;
      await renderView(state, view);
    }
    await renderDetails(state);
  } catch (error) {
    byId("view").replaceChildren(h("p", { class: "card bad", role: "alert" }, String(error.message || error)));
  }
}

function renderAgain() {
  return renderView(readState(), shownView);
}

/** Shows a view; the document says how far it is: waiting (for data), text (the charts are still to come), drawn. */
async function renderView(state, view) {
  document.documentElement.dataset.view = "waiting";
  renderControls(state);
  const sections = chosenSections(state);
  const single = sections.length === 1;
  const content = single ? await sectionView(sections[0], state) : overview(sections, state);
  if (view !== shownView) return; // the reader has moved on while data were loading
  const focused = document.activeElement?.id;
  byId("view").replaceChildren(...content.flat(Infinity).filter(Boolean));
  if (focused) byId(focused)?.focus({ preventScroll: true });
  drawCharts();
  document.title = [single ? `${sections[0].task}, ${shortName(sections[0])}` : "", index.title].filter(Boolean).join(" · ");
}

const FRAME = 30; // milliseconds: the table is on the screen before the first chart is drawn
const PAUSE = 250; // who types on, waits for no chart
let drawing = 0;

/** Draws the charts of the view, those on the screen first, the page answering in between; a later call takes over. */
async function drawCharts() {
  const mine = (drawing += 1);
  document.documentElement.dataset.view = "text";
  const figures = [...document.querySelectorAll("figure.chart")].filter((figure) => figure.redraw);
  const places = figures.map((figure) => figure.place()); // all before the first is drawn: one layout instead of many
  const isSeen = ({ top }) => top < innerHeight;
  const order = [...figures.keys()].sort((a, b) => isSeen(places[b]) - isSeen(places[a]));
  for (const [done, i] of order.entries()) {
    const first = !isSeen(places[i]) && (!done || isSeen(places[order[done - 1]]));
    await new Promise((resolve) => setTimeout(resolve, first ? PAUSE : done ? 0 : FRAME));
    if (mine !== drawing) return;
    figures[i].redraw(places[i].width);
  }
  document.documentElement.dataset.view = "drawn";
}

function announce(shown, total) {
  byId("status").textContent = shown === total ? `${plural(total, "method")}` : `${shown} of ${plural(total, "method")} shown; ranks are among all`;
}

async function sectionView(section, state) {
  const part = await load(section.id);
  const rows = rowsOf(section, part, state);
  announce(rows.length, part.entries.length);
  rows.sort((a, b) => (b.mean ?? -1) - (a.mean ?? -1));
  const relatives = index.sections.filter((s) => s.task === section.task && s.data === section.data && s.protocol === section.protocol);
  const several = index.sections.filter((s) => s.protocol === state.protocol).length > 1;
  return [
    h("nav", { class: "crumbs", "aria-label": "Where you are" }, several ? [h("a", { href: linkTo({ task: "", rho: "", data: "", sort: "" }) }, "All settings"), " › "] : null, section.task),
    h("h2", null, `${words(section.task)}, ${shortName(section)}`),
    h("p", { class: "meta" }, `Protocol ${section.protocol}; ${Object.entries(section.params).map(([name, value]) => `${words(name)} ${value}`).join(", ") || "no parameters"}; seeds ${section.seeds.join(", ")}. Score: ${words(section.headline)}, ${index.metrics[section.headline]}.`),
    h("section", { class: "answers", "aria-label": "At a glance" }, sectionAnswers(rows, section, state)),
    rows.length ? table(rows, sectionColumns(rows, section), state, { caption: `Methods on ${words(section.task)}, ${shortName(section)}`, sort: "-score" }) : h("p", { class: "card" }, "No method passes the filter."),
    sectionNotes(part, section, state),
    h("section", { class: "charts", "aria-label": "Charts" },
      rhoCurves(relatives, rows, state, section), sparsityChart(rows, section), alignmentChart(rows, section), costChart(rows, section, state),
      gammaSweeps(part.rules[state.rule], rows, section, state), pairTable(rows, section), layerTable(rows), knowledgeTable(rows), gradCam(rows)),
    part.published.length ? h("details", { class: "card" }, h("summary", null, `${plural(part.published.length, "published number")} for this setting`), publishedTable(part.published, "Published numbers, as their sources give them; never mixed into ours")) : null,
  ];
}

/** Rules by which the methods of a section have scores; a task without bias labels has not all of them. */
const usableRules = (section) => index.rules.map((rule) => rule.name).filter((name) => section.scores[name].mean.some(known));

function sectionNotes(part, section, state) {
  const usable = usableRules(section);
  const notes = Object.entries(part.notApplicable).map(([method, reason]) => `${method} is not applicable here: ${reason}.`);
  if (part.departures.length) notes.push(`Published numbers were measured under other conditions; here: ${part.departures.join("; ")}.`);
  if (part.budgets) notes.unshift(part.budgets);
  const others = !usable.length || usable.includes(state.rule) ? null : h("p", { class: "hint" },
    `The rule ${state.rule} does not apply to this task. Look at it by `, usable.map((rule, i) => [i ? ", " : "", h("a", { href: linkTo({ rule }) }, rule)]), ".");
  return [others, notes.map((note) => h("p", { class: "hint" }, note))];
}

function overview(sections, state) {
  const rows = overviewRows(sections, state);
  announce(rows.length, new Set(sections.flatMap((section) => section.entries)).size);
  if (!sections.length) return [h("p", { class: "card" }, "No cells yet.")];
  const { merit } = meritOf(sections, state);
  const all = !["task", "rho", "data"].some((facet) => state[facet]);
  const groups = [...Map.groupBy(sections, (section) => `${section.task}|${section.data}`).values()];
  return [
    h("h2", null, state.task ? words(state.task) : "All settings"),
    h("section", { class: "answers", "aria-label": "At a glance" }, overviewAnswers(rows, sections, state)),
    rows.length ? table(rows, overviewColumns(rows, sections, state), state, { caption: "Scores of all methods in all settings shown, percent", sort: merit.first === "down" ? `-${merit.id}` : merit.id }) : h("p", { class: "card" }, "No method passes the filter."),
    h("p", { class: "hint" }, "Percent by each setting's headline metric, with the rank; the stronger the tint, the better within its column. Follow “look” to a setting, and a number to what is behind it."),
    index.budgets[state.protocol] ? h("p", { class: "hint" }, index.budgets[state.protocol]) : null,
    h("section", { class: "charts", "aria-label": "Charts" }, 
      all ? [averageRanks(state), interquartileMeans(state)] : null, groups.map((group) => rhoCurves(group, rows, state))),
  ];
}

/* ---- controls ---- */

function renderControls(state) {
  const choose = (id, options, value) => {
    const select = byId(id);
    select.replaceChildren(...options.map(([key, text]) => h("option", { value: key, selected: key === value }, text)));
    select.closest("label").hidden = options.length < 2;
  };
  const all = (facet, text, show = words) => [["", text], ...facetValues(state, facet).map((value) => [value, show(value)])];
  const unlessAlone = (options) => (options.length === 2 ? options.slice(1) : options);
  choose("protocol", protocols().map((name) => [name, name]), state.protocol);
  choose("rule", index.rules.map((rule) => [rule.name, rule.name]), state.rule);
  choose("task", unlessAlone(all("task", "all tasks")), state.task);
  choose("rho", unlessAlone(all("rho", "all levels", (value) => levelText(value === "natural" ? null : value))), state.rho);
  choose("data", unlessAlone(all("data", "all versions")), state.data);
  byId("rule-uses").textContent = `Candidates are chosen by ${ruleOf(state).uses}.`;
  if (document.activeElement !== byId("search")) byId("search").value = state.q;
  const chosen = chosenSupervision(state);
  for (const box of document.querySelectorAll("#supervision input")) box.checked = chosen.includes(box.value);
}

function setUpControls() {
  for (const facet of ["protocol", "rule", "task", "rho", "data"]) {
    byId(facet).addEventListener("change", (event) => {
      const cleared = { protocol: { task: "", rho: "", data: "" }, task: { rho: "", data: "" }, rho: { data: "" } }[facet] || {};
      change({ ...cleared, [facet]: event.target.value, sort: "" });
    });
  }
  byId("search").addEventListener("input", (event) => change({ q: event.target.value.trim() }, { replace: true }));
  const kinds = [...new Set(Object.values(index.methods).map((method) => method.supervision))].sort();
  byId("supervision").append(...kinds.map((kind, i) => h("label", { for: `supervision-${i}` },
    h("input", { type: "checkbox", value: kind, id: `supervision-${i}`, change: () =>
      change({ supervision: [...document.querySelectorAll("#supervision input:checked")].map((box) => box.value).join("|") }) }),
    supervisionBadge({ supervision: kind }))));
  const theme = byId("theme");
  const label = () => theme.replaceChildren(isDark() ? "☀ Light" : "☾ Dark");
  theme.addEventListener("click", () => { chooseTheme(isDark() ? "light" : "dark"); label(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", label);
  label();
}

/* ---- reading along: tips, highlighting, opening from charts, keys ---- */

function setUpReading() {
  const tip = byId("tip");
  document.addEventListener("pointermove", (event) => {
    const target = event.target.closest?.("[data-tip]");
    tip.hidden = !target;
    if (!target) return;
    tip.textContent = target.dataset.tip;
    const box = tip.getBoundingClientRect();
    const left = Math.max(6, Math.min(event.clientX + 14, innerWidth - box.width - 6));
    const top = event.clientY + 18 + box.height > innerHeight ? event.clientY - box.height - 12 : event.clientY + 18;
    tip.style.transform = `translate(${left}px,${top}px)`;
  });
  document.addEventListener("pointerover", (event) => {
    const id = event.target.closest?.("svg [data-entry]")?.dataset.entry;
    document.querySelectorAll(".hot").forEach((element) => element.classList.remove("hot"));
    byId("view").classList.toggle("has-hot", Boolean(id));
    if (id) document.querySelectorAll(`[data-entry="${CSS.escape(id)}"]`).forEach((element) => element.classList.add("hot"));
  });
  document.addEventListener("click", (event) => {
    const opened = event.target.closest?.("[data-open]");
    if (opened) change({ open: opened.dataset.open });
    const jump = event.target.closest?.("[data-jump]");
    if (jump) {
      event.preventDefault();
      const goal = byId(jump.dataset.jump);
      goal.scrollIntoView();
      goal.focus({ preventScroll: true });
    }
  });
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest?.("input, select, textarea");
    if (event.key === "/" && !typing && !byId("details").open) {
      event.preventDefault();
      byId("search").focus();
    }
  });
  byId("details").addEventListener("close", () => change({ open: "" }));
  byId("details").addEventListener("click", (event) => event.target === byId("details") && byId("details").close());
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    drawCharts();
  });
}

async function start() {
  index = await load("index");
  setUpControls();
  setUpReading();
  addEventListener("popstate", render);
  await render();
  document.documentElement.dataset.ready = "true";
}

start();
