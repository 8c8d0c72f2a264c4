/* Four questions, answered at a glance: which method, how sure, at what price, can I trust it. */
"use strict";

function answerCard(question, answer, ...evidence) {
  return h("article", { class: "card answer" },
    h("h3", null, question), h("p", { class: "big" }, answer), evidence.filter(Boolean).map((line) => h("p", null, line)));
}

const best = (rows) => rows.filter((row) => known(row.mean)).reduce((a, b) => (a && a.mean >= b.mean ? a : b), null);
const nameLink = (row) => h("a", { href: linkTo({ open: `${row.section.id}/${row.id}` }) }, labelOf(row.method));

function sectionAnswers(rows, section, state) {
  const leader = best(rows);
  if (!leader) return [answerCard("Which method?", "None yet", "No method that passes the filter has a result here.")];
  return [whichMethod(leader, rows), howSure(leader, rows, state), atWhatPrice(leader, rows), canITrust(leader, rows)];
}

function whichMethod(leader, rows) {
  const vanilla = rows.find((row) => row.method.role === "baseline" && known(row.mean));
  return answerCard("Which method?", nameLink(leader),
    [h("strong", null, `${within(leader.mean, leader.half)} %`), ` ${words(leader.headline)}`],
    vanilla && vanilla !== leader ? `${signed(leader.mean - vanilla.mean)} points over ${labelOf(vanilla.method)} (${percent(vanilla.mean)})` : null);
}

function howSure(leader, rows, state) {
  if (!ruleOf(state).rankable) return answerCard("How sure?", "Not ranked", `The rule ${state.rule} looks at ${ruleOf(state).uses}.`);
  const rivals = rows.filter((row) => row !== leader && known(row.mean));
  if (!rivals.length) return answerCard("How sure?", "Nothing to compare with", `${plural(leader.n, "seed")}.`);
  if (!known(leader.rank)) {
    return answerCard("How sure?", "Too few seeds to say", `${plural(leader.n, "seed")}; ranks need at least ${index.leastSeeds}, of two methods.`);
  }
  const tied = rivals.filter((row) => !(leader.against(row)?.p < 0.05)).sort((a, b) => b.mean - a.mean);
  const apart = rivals.filter((row) => leader.against(row)?.p < 0.05);
  const second = best(rivals);
  const found = second && leader.against(second);
  return answerCard("How sure?",
    apart.length === rivals.length ? "Better than all others" :
      `Cannot be told from ${plural(rivals.length - apart.length, "other")}`,
    [`${plural(leader.n, "seed")}. Significantly better than ${apart.length} of ${rivals.length}`,
      tied.length && tied.length < rivals.length ? `, not than ${join(tied.length > 4 ? [...tied.slice(0, 3).map((row) => labelOf(row.method)), `${tied.length - 3} more`] : tied.map((row) => labelOf(row.method)))}` : "", "."],
    found && known(found.probability) ? [
      `Beats the next, ${labelOf(second.method)}, on a further seed with probability ${percent(found.probability, 0)} %.`,
      furtherSeeds(leader, second, found)] : null);
}

function furtherSeeds(leader, second, found) {
  const [first, next, seeds] = leader.pairs.separation || [];
  if (first !== leader.i || next !== second.i || found.p < 0.05) return "";
  return seeds === null ? " No practical number of seeds would separate the two." : ` About ${plural(seeds, "more seed")} would separate the two.`;
}

function atWhatPrice(leader, rows) {
  const vanilla = rows.find((row) => row.method.role === "baseline");
  const free = best(rows.filter((row) => row.method.supervision === "none"));
  const starts = leader.entry.startsFrom || [];
  const plain = (name) => rows.find((row) => row.method.method === name && !row.method.variant);
  const seconds = starts.reduce((sum, name) => sum + (plain(name)?.costs.train_seconds ?? NaN), leader.costs.train_seconds);
  const times = vanilla && leader !== vanilla && vanilla.costs.train_seconds ? seconds / vanilla.costs.train_seconds : null;
  const sparsity = leader.metric("sparsity").mean;
  return answerCard("At what price?",
    priceOf(leader),
    `Training ${duration(leader.costs.train_seconds)}${starts.length ? ` after that of ${join(starts)}` : ""}${
      times ? `, ${times.toPrecision(2)} × vanilla's${starts.length ? " in all" : ""}` : ""}${
      sparsity > 0 ? `; ${percent(sparsity, 0)} % of weights removed` : "; nothing pruned"}.`,
    free && free !== leader ? ["Best without supervision: ", nameLink(free), `, ${within(free.mean, free.half)} % (${signed(free.mean - leader.mean)}).`] : null);
}

function canITrust(leader, rows) {
  const counted = (mark) => rows.reduce((sum, row) => sum + row.marks.split(mark).length - 1, 0);
  const total = rows.reduce((sum, row) => sum + row.marks.length, 0);
  const published = leader.published.filter((p) => p.metric === leader.headline);
  return answerCard("Can I trust it?", completeness(counted("d"), total, counted("f"), counted("m")),
    leader.entry.notes.length ? `${labelOf(leader.method)}: ${leader.entry.notes.join("; ")}.` : null,
    known(leader.oracleGap) ? `Choosing its candidate on test itself would add ${percent(leader.oracleGap)} points.` : null,
    published.length ? `Published${leader.departures.length ? " (under other conditions)" : ""}: ${published.map((p) => `${withStd(p)} (${p.source})${known(p.deviations) && !leader.departures.length ? `, ours ${signed(p.deviations / 100)} std from it` : ""}`).join("; ")}.` : "No published number for it here.");
}

function completeness(done, total, failed, missing) {
  const bad = [failed ? `${failed} failed` : "", missing ? `${missing} missing` : ""].filter(Boolean);
  return `${done} of ${plural(total, "cell")} done${bad.length ? `, ${bad.join(", ")}` : ""}`;
}

/* ---- over several settings ---- */

function overviewAnswers(rows, sections, state) {
  const trust = overviewTrust(sections, state);
  const ranked = rows.filter((row) => row.ranks.length);
  if (!ranked.length) {
    return [answerCard("Which method?", "No ranks", ruleOf(state).rankable
      ? `Ranks need ${index.leastSeeds} seeds of two methods in a setting.` : `The rule ${state.rule} is never ranked by.`), trust];
  }
  const { merit } = meritOf(sections, state);
  const order = sorted(ranked, [merit], merit.first === "down" ? `-${merit.id}` : merit.id);
  const says = (row) => [known(merit.key(row)) && merit.says(row), `rank 1 in ${row.firsts} of ${plural(row.ranks.length, "setting")}`].filter(Boolean).join(", ");
  const level = merit.level || merit.key; // what makes methods alike
  const leaders = order.filter((row) => row === order[0] || (known(level(row)) && level(row) === level(order[0])));
  const [leader] = leaders;
  const others = order.slice(leaders.length);
  const free = order.find((row) => row.method.supervision === "none");
  const price = leaders.includes(free) ? `No supervision${leaders.length > 1 ? `, with ${labelOf(free.method)}` : ""}` : priceOf(leader);
  return [
    answerCard("Which method?", leaders.length < 4 ? join(leaders.map((row) => labelOf(row.method))) : `${leaders.length} methods alike`, `${leaders.length > 1 ? "each " : ""}${says(leader)}.`,
      others.length ? `Next: ${others.slice(0, 3).map((row) => `${labelOf(row.method)} (${says(row)})`).join("; ")}.` : null),
    overviewSureness(sections, state),
    answerCard("At what price?", price,
      free && !leaders.includes(free) ? `Best without supervision: ${labelOf(free.method)} (${says(free)}).` : "What it costs in time and size is shown in each setting."),
    trust,
  ];
}

const priceOf = (row) =>
  row.method.supervision === "none" ? "No supervision" : `Needs ${supervisionOf(row.method).text.replace(" too", "")}`;

function overviewSureness(sections, state) {
  const firsts = (section) => section.scores[state.rule].rank.filter((rank) => rank && rank[0] === 1).length;
  const ranked = sections.filter(firsts);
  const shared = ranked.reduce((sum, section) => sum + firsts(section), 0) / ranked.length;
  const seeds = [...new Set(sections.map((section) => section.seeds.length))].sort((a, b) => a - b);
  const sharing = shared > 1 ? `${+shared.toFixed(1)} methods share rank 1` : "One method per setting leads";
  const tasks = meritOf(sections, state).merit.id === "average" && index.suites[state.protocol][state.rule];
  const rivals = tasks && new Set(tasks.groups.filter((group) => group.includes(0)).flat()).size - 1;
  return answerCard("How sure?", !tasks ? sharing : rivals > 0 ? `Cannot be told from ${plural(rivals, "other")}` : "Better than all others",
    tasks ? `over ${tasks.tasks.length} tasks: average ranks closer than ${tasks.difference.toFixed(1)} are no difference (Nemenyi, 5 %). ${sharing}, on average over the settings.` :
      "on average over the settings: the seeds cannot tell them apart.",
    `${seeds.length > 1 ? `${seeds[0]} to ${seeds.at(-1)}` : seeds[0]} seeds per setting. Open a setting for intervals and comparisons.`);
}

function overviewTrust(sections, state) {
  const sum = (status) => sections.reduce((total, section) => total + section.cells[status], 0);
  const total = sum("done") + sum("failed") + sum("missing");
  return answerCard("Can I trust it?", completeness(sum("done"), total, sum("failed"), sum("missing")),
    `${plural(sections.length, "setting")} under protocol ${state.protocol}. Candidates chosen by ${state.rule}: ${ruleOf(state).uses}.`,
    `Computed by ${index.code.length > 3 ? `${index.code.length} versions of the code; each cell tells which` : join(index.code) || "unknown code"}.`);
}
