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
  if (!known(leader.rank)) {
    return answerCard("How sure?", "Too few seeds to say", `${plural(leader.n, "seed")}; ranks need at least ${index.leastSeeds}.`);
  }
  const rivals = rows.filter((row) => row !== leader && known(row.mean));
  const apart = rivals.filter((row) => leader.against(row)?.p < 0.05);
  const second = best(rivals);
  const found = second && leader.against(second);
  return answerCard("How sure?",
    !rivals.length ? "Nothing to compare with" : apart.length === rivals.length ? "Better than all others" :
      `Cannot be told from ${plural(rivals.length - apart.length, "other")}`,
    `${plural(leader.n, "seed")}. Significantly better than ${apart.length} of ${rivals.length}.`,
    found && known(found.probability) ? [
      `Beats the next, ${labelOf(second.method)}, on a further seed with probability ${percent(found.probability, 0)} %.`,
      furtherSeeds(leader, second, found)] : null);
}

function furtherSeeds(leader, second, found) {
  const { top, further } = leader.pairs;
  if (top[0] !== leader.i || top[1] !== second.i || found.p < 0.05) return "";
  return further === null ? " No practical number of seeds would separate the two." : ` About ${plural(further, "more seed")} would separate the two.`;
}

function atWhatPrice(leader, rows) {
  const vanilla = rows.find((row) => row.method.role === "baseline");
  const free = best(rows.filter((row) => row.method.supervision === "none"));
  const times = vanilla && leader !== vanilla && vanilla.costs.train_seconds ? leader.costs.train_seconds / vanilla.costs.train_seconds : null;
  const sparsity = leader.metric("sparsity").mean;
  return answerCard("At what price?",
    leader.method.supervision === "none" ? "No supervision" : `Needs ${supervisionOf(leader.method).text.replace(" too", "")}`,
    `Training ${duration(leader.costs.train_seconds)}${times ? `, ${times.toPrecision(2)} × vanilla's` : ""}${
      sparsity > 0 ? `; ${percent(sparsity, 0)} % of weights removed` : "; nothing pruned"}.`,
    free && free !== leader ? ["Best without supervision: ", nameLink(free), `, ${within(free.mean, free.half)} % (${signed(free.mean - leader.mean)}).`] : null);
}

function canITrust(leader, rows) {
  const counted = (mark) => rows.reduce((sum, row) => sum + row.marks.split(mark).length - 1, 0);
  const total = rows.reduce((sum, row) => sum + row.marks.length, 0);
  const published = leader.published.filter((p) => p.metric === leader.headline);
  return answerCard("Can I trust it?", completeness(counted("d"), total, counted("f"), counted("m")),
    known(leader.oracle) ? `Choosing its candidate on test itself would add ${percent(leader.oracle - leader.mean)} points.` : null,
    published.length ? `Published: ${published.map((p) => `${within(p.value, p.std)} (${p.source})`).join("; ")}.` : "No published number for it here.");
}

function completeness(done, total, failed, missing) {
  const bad = [failed ? `${failed} failed` : "", missing ? `${missing} missing` : ""].filter(Boolean);
  return `${done} of ${plural(total, "cell")} done${bad.length ? `, ${bad.join(", ")}` : ""}`;
}

/* ---- over several settings ---- */

function overviewAnswers(rows, sections, state) {
  const ranked = rows.filter((row) => row.ranks.length).sort((a, b) => b.firsts - a.firsts || b.average - a.average);
  const sum = (status) => sections.reduce((total, section) => total + section.cells[status], 0);
  const total = sum("done") + sum("failed") + sum("missing");
  const trust = answerCard("Can I trust it?", completeness(sum("done"), total, sum("failed"), sum("missing")),
    `${plural(sections.length, "setting")} under protocol ${state.protocol}. Candidates chosen by ${state.rule}: ${ruleOf(state).uses}.`,
    `Computed by ${join(index.code) || "unknown code"}.`);
  if (!ranked.length) {
    return [answerCard("Which method?", "No ranks", ruleOf(state).rankable
      ? `Ranks need ${index.leastSeeds} seeds of a method in a setting.` : `The rule ${state.rule} is never ranked by.`), trust];
  }
  const [leader] = ranked;
  const free = ranked.find((row) => row.method.supervision === "none");
  const first = (row) => `rank 1 in ${row.firsts} of ${plural(row.ranks.length, "setting")}`;
  const share = (section) => section.scores[state.rule].rank.filter((rank) => rank && rank[0] === 1).length;
  const seeds = [...new Set(sections.map((section) => section.seeds.length))].sort((a, b) => a - b);
  return [
    answerCard("Which method?", labelOf(leader.method), `${first(leader)}.`,
      ranked.length > 1 ? `Next: ${ranked.slice(1, 4).map((row) => `${labelOf(row.method)}, ${first(row)}`).join("; ")}.` : null),
    answerCard("How sure?", `${(sections.reduce((s, section) => s + share(section), 0) / sections.length).toFixed(1)} methods share rank 1`,
      "on average over the settings: the seeds cannot tell them apart.", `${seeds.length > 1 ? `${seeds[0]} to ${seeds.at(-1)}` : seeds[0]} seeds per setting. Open a setting for intervals and comparisons.`),
    answerCard("At what price?", leader.method.supervision === "none" ? "No supervision" : `Needs ${supervisionOf(leader.method).text.replace(" too", "")}`,
      free && free !== leader ? `Best without supervision: ${labelOf(free.method)}, ${first(free)}.` : null),
    trust,
  ];
}
