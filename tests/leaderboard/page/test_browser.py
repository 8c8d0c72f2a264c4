"""The page as its readers meet it: in a headless Chromium, by pointer, keyboard, phone and screen reader."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leaderboard.board import Board, Section
from leaderboard.page import build
from leaderboard.page.values import entry_ids, section_id
from leaderboard.published import claims
from leaderboard.references import read_references

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]
SECTION = "#task=colored_mnist&rho=0.99"
SORTED = "return document.querySelector(`#sort-${arguments[0]}`).closest('th').getAttribute('aria-sort')"


def numbers(texts: list[str]) -> list[float]:
    return [float(text.split()[0]) for text in texts]


def test_methods_are_listed_by_score_with_the_boards_numbers(page: Any, folder: Path, section: Section) -> None:
    page.open(folder, SECTION)
    means = sorted((e.summary(section.headline, "unbiased_val").mean for e in section.entries), reverse=True)
    assert numbers(page.column(4)) == [float(f"{100 * mean:.1f}") for mean in means]
    assert page.run(SORTED, "score") == "descending"


def test_a_heading_sorts_and_sorts_the_other_way(page: Any, folder: Path) -> None:
    page.open(folder, SECTION)
    page.click("#sort-sparsity")
    assert page.run(SORTED, "sparsity") == "descending"
    falling = numbers(page.column(9))
    assert falling == sorted(falling, reverse=True)
    assert falling[0] == 95.0
    page.click("#sort-sparsity")
    assert numbers(page.column(9)) == sorted(falling)
    page.click("#sort-method")
    names = page.column(2)
    assert names == sorted(names)


def test_filters_choose_task_level_protocol_rule_and_supervision(page: Any, folder: Path) -> None:
    page.open(folder)
    assert len(page.texts("table.board thead .look")) == 7
    page.choose("task", "colored_mnist")
    assert len(page.texts("table.board thead .look")) == 4
    page.choose("rho", "0.995")
    page.wait("return document.querySelector('h2').innerText === 'colored mnist, ρ 0.995'")
    page.choose("rule", "oracle")
    page.wait("return location.hash.includes('rule=oracle')")
    page.wait("return document.querySelector('.answers').innerText.includes('Not ranked')")
    assert set(page.column(1)) == {"–"}
    page.choose("rule", "last")
    page.click("#supervision input[value='b on train']")
    page.wait("return document.querySelectorAll('table.board tbody tr').length === 2")
    assert {text.split()[0] for text in page.column(2)} == {"bise", "group_dro"}
    assert page.texts("#status") == ["2 of 16 methods shown; ranks are among all"]
    page.choose("protocol", "short")
    page.wait("return document.querySelectorAll('table.board thead .look').length === 2")


def test_search_finds_methods_and_parameters(page: Any, folder: Path) -> None:
    page.open(folder, SECTION)
    page.keys("/")
    page.keys("FFW gamma=1")
    page.wait("return document.querySelectorAll('table.board tbody tr').length === 3")
    assert {text.split("\n")[0] for text in page.column(2)} == {f"ffw_structured gamma={g}" for g in ("1", "10", "100")}
    assert page.run("return document.activeElement.id") == "search"
    page.keys(" nothing like it")
    page.wait("return document.querySelector('#view').innerText.includes('No method passes the filter')")


def test_an_address_brings_the_same_view_back(page: Any, folder: Path) -> None:
    page.open(folder)
    page.choose("task", "colored_mnist")
    page.choose("rho", "0.98")
    page.wait("return document.querySelector('#sort-worst')")
    page.click("#supervision input[value='none']")
    page.wait("return document.querySelectorAll('table.board tbody tr').length === 8")
    page.click("#sort-worst")
    rows, address = page.column(2), page.run("return location.hash")
    page.open(folder, address)
    assert page.column(2) == rows
    assert page.run(SORTED, "worst") == "descending"
    page.run("history.back()")
    page.open(folder, "#task=%3Cscript%3E&rho=nonsense&rule=none&sort=-nothing&open=a/b/c&protocol=%00")
    assert page.texts("h2")[0] == "All settings"


def test_an_address_without_a_protocol_finds_one_that_has_the_task(
    page: Any, make_rows: Callable[..., Any], make_board: Callable[..., Board], tmp_path: Path
) -> None:
    rows = [{**row, "protocol": "short"} if row["task"] == "celeba" else row for row in make_rows(seeds=3)]
    build(make_board(rows), tmp_path / "page", rule="unbiased_val")
    page.open(tmp_path / "page", "#task=celeba")
    assert page.run("return document.querySelector('#protocol').value") == "short"
    page.open(tmp_path / "page", "#task=colored_mnist")
    assert page.run("return document.querySelector('#protocol').value") == "paper"
    page.open(tmp_path / "page", "#task=celeba")
    page.choose("protocol", "paper")
    page.wait("return !location.hash.includes('celeba')")
    assert page.run("return document.querySelector('#protocol').value") == "paper"


def test_back_goes_back(page: Any, folder: Path) -> None:
    page.open(folder)
    page.choose("task", "celeba")
    page.wait("return document.querySelector('h2').innerText === 'celeba, natural bias'")
    page.run("history.back()")
    page.wait("return document.querySelector('h2').innerText === 'All settings'")


def test_a_number_leads_to_its_cells_and_how_to_run_them_again(page: Any, folder: Path, section: Section) -> None:
    page.open(folder, SECTION)
    page.click("a[id^='method-bise']")
    page.wait("return document.querySelector('dialog').open")
    assert page.texts("dialog h2") == ["bise"]
    (entry,) = (entry for entry in section.entries if entry.method == "bise")
    std = 100 * entry.summary(section.headline, "unbiased_val").std
    assert f"standard deviation {std:.1f} over 4 seeds" in page.texts("dialog p")[1]
    assert page.texts("dialog details > summary")[1] == "Seed 1: failed: diverged: loss is NaN"
    page.click("#cell-1 > summary")
    page.wait("return document.querySelector('#cell-1 .cell').innerText.includes('ValueError: NaN')")
    shown = page.texts("#cell-1 .cell")[0]
    for text in (
        entry.cells[1]["key"],
        "Test CPU",
        "2.66 GB",
        "git checkout abc123",
        "debias-bench run cell.yaml",
        '"seeds": [1]',
        f"debias-bench show cell {entry.cells[1]['key']}",
    ):
        assert text in shown
    page.click("#cell-0 > summary")
    page.wait("return document.querySelector('#cell-0 .cell').innerText.includes('worst_group_val')")
    assert f"{100 * entry.by_rule['unbiased_val'][0]['unbiased_accuracy']:.1f}" in page.texts("#cell-0 > summary")[0]
    assert page.texts("#cell-0 .training figcaption strong") == ["training: loss", "masks: <b>tau"]
    assert page.texts("#cell-0 .training figcaption span") == [
        "2.5 → 0.0125, 100 epochs, logarithmic",
        "not finite → not finite, 1 epoch",
    ]
    (name,) = (name for name, other in entry_ids(section).items() if other is entry)
    page.open(folder, f"{SECTION}&open={section_id(section)}/{name}/1")
    page.wait(
        "return document.querySelector('#cell-1')?.open && document.querySelector('#cell-1 .cell').children.length"
    )


def test_everything_can_be_done_by_keyboard(page: Any, folder: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    page.open(folder, SECTION)
    page.keys(Keys.TAB)
    assert page.texts("a.skip:focus") == ["Skip to the results"]
    page.keys(Keys.ENTER)
    assert page.run("return document.activeElement.id") == "main"
    page.run("document.querySelector('#sort-time').focus()")
    page.keys(Keys.ENTER)
    assert page.run(SORTED, "time") == "ascending"
    assert page.run("return document.activeElement.id") == "sort-time", "sorting keeps the focus"
    link = page.run("return document.querySelector('a[id^=method-]').id")
    page.run("document.getElementById(arguments[0]).focus()", link)
    page.keys(Keys.ENTER)
    page.wait("return document.querySelector('dialog').open")
    for _ in range(30):
        page.keys(Keys.TAB)
        assert page.run("return !document.activeElement.closest('main, .controls')"), "the focus stays in the dialog"
    page.keys(Keys.ESCAPE)
    page.wait("return !document.querySelector('dialog').open && !location.hash.includes('open')")
    assert page.run("return document.activeElement.id") == link
    for region in page.driver.find_elements("css selector", ".scroll"):
        assert region.get_attribute("tabindex") == "0"


def test_colours_follow_the_system_until_the_reader_chooses(page: Any, folder: Path) -> None:
    brightness = "return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]"
    page.emulate(dark=True)
    page.open(folder)
    assert page.run(brightness) < 40
    page.click("#theme")
    assert page.run(brightness) > 200
    page.open(folder)
    assert page.run(brightness) > 200, "the choice is remembered"
    page.click("#theme")
    page.run("localStorage.clear()")
    page.emulate()
    page.open(folder)
    assert page.run(brightness) > 200


@pytest.mark.parametrize("address", ["", "#task=colored_mnist", SECTION])
def test_a_phone_needs_no_sideways_scrolling_of_the_page(page: Any, folder: Path, address: str) -> None:
    page.emulate(375)
    page.open(folder, address)
    assert page.run("return document.documentElement.scrollWidth") == 375
    assert page.run("return [...document.querySelectorAll('figure.chart svg')].every((s) => s.clientWidth <= 351)")
    if address == SECTION:
        box = page.run("return document.querySelector('table.board tbody .score').getBoundingClientRect().toJSON()")
        assert box["right"] <= 375, "rank, method and score are in sight"
        page.click("a[id^='method-']")
        page.wait("return document.querySelector('dialog').open")
        assert page.run("return document.querySelector('dialog').scrollWidth") <= 375


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("address", ["", SECTION, f"{SECTION}&open="])
def test_axe_finds_no_serious_barrier(page: Any, folder: Path, section: Section, address: str, dark: bool) -> None:
    axe = pytest.importorskip("axe_core_python.base", reason="axe-core-python is not installed").AXE_SCRIPT
    if address.endswith("open="):
        name = next(name for name, entry in entry_ids(section).items() if entry.method == "bise")
        address += f"{section_id(section)}/{name}/1"
    page.emulate(dark=dark)
    page.open(folder, address)
    page.run("document.querySelectorAll('.chart-data, #view details').forEach((d) => { d.open = true; })")
    page.run(axe)
    found = page.driver.execute_async_script(
        "axe.run({ resultTypes: ['violations', 'passes', 'incomplete'] }).then(arguments[arguments.length - 1])"
    )
    assert [rule["id"] for rule in found["incomplete"] if rule.get("error")] == []
    assert "color-contrast" in {rule["id"] for rule in found["passes"]}
    barriers = [
        (violation["id"], violation["impact"], [node["html"][:120] for node in violation["nodes"]][:3])
        for violation in found["violations"]
        if violation["impact"] in ("serious", "critical", "moderate")
    ]
    assert barriers == []


@pytest.mark.parametrize(
    "text",
    ["<script>window.broken=1</script>", "<img src=x onerror=window.broken=1>", "'\"><svg onload=window.broken=1>"],
)
def test_text_from_results_is_never_markup(
    page: Any, make_board: Callable[..., Board], make_rows: Callable[..., Any], tmp_path: Path, text: str
) -> None:
    hostile = dict.fromkeys(
        ("method", "variant", "task", "supervision", "failure", "traceback", "candidate", "hardware"), text
    )
    rows = []
    for row in make_rows(seeds=3):
        if row["task"] == "celeba" and row["method"] in ("vanilla", "bise"):
            changes = {name: value for name, value in hostile.items() if row.get(name) is not None}
            told = {
                "params": json.dumps({text: text}),
                "task_params": json.dumps({text: text}),
                "environment": json.dumps({text: text}),
                "info": json.dumps({text: 1.0}),
            }
            rows.append({**row, **changes, **told, "method": text + row["method"]})
    build(make_board(rows), tmp_path / "page", title=text)
    page.open(tmp_path / "page")
    assert page.texts("h1") == [text]
    assert any(text in name for name in page.column(2))
    page.run("document.querySelector('a[id^=method-]').click()")
    page.wait("return document.querySelector('dialog').open")
    page.run("document.querySelectorAll('dialog details').forEach((d) => { d.open = true; })")
    page.wait("return document.querySelector('dialog').innerText.includes('To reproduce')")
    assert text in page.texts("dialog")[0]
    assert page.run("return window.broken") is None
    assert page.run("return document.querySelectorAll('main script, main img, dialog script, dialog img').length") == 0


def test_many_methods_are_shown_a_part_at_a_time(
    page: Any, make_board: Callable[..., Board], make_rows: Callable[..., Any], tmp_path: Path
) -> None:
    rows = []
    for row in make_rows(seeds=3):
        if row["task"] == "celeba" and row["method"] == "vanilla":
            rows += [
                {**row, "method": f"m{i:03d}", "unbiased_accuracy": row["accuracy"] - 0.001 * i} for i in range(400)
            ]
    build(make_board(rows), tmp_path / "page")
    page.open(tmp_path / "page")
    assert len(page.column(1)) == 60
    page.click("#more")
    page.wait("return document.querySelectorAll('table.board tbody tr').length === 300")
    page.click("#search")
    page.keys("m399")
    page.wait("return document.querySelectorAll('table.board tbody tr').length === 1")


def test_a_page_with_a_missing_file_says_so(browser: Any, folder: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(folder, tmp_path / "page")
    for path in (tmp_path / "page" / "data").glob("celeba-*"):
        path.unlink()
    browser.emulate()
    browser.open(tmp_path / "page", "#task=celeba")
    assert "could not be loaded; is the folder complete?" in browser.texts("#view [role=alert]")[0]
    browser.errors()


def test_a_rule_that_does_not_apply_to_a_task_says_so_and_names_others(
    page: Any, make_board: Callable[..., Board], make_rows: Callable[..., Any], tmp_path: Path
) -> None:
    scores = ("accuracy", "unbiased_accuracy", "worst_group_accuracy", "candidate", "sparsity")
    rows = [
        {**row, **dict.fromkeys(scores)} if "val" in (row.get("rule") or "") and row["task"] == "celeba" else row
        for row in make_rows(seeds=3)
        if row["method"] in ("vanilla", "bise")
    ]
    build(make_board(rows), tmp_path / "page")
    page.open(tmp_path / "page")
    assert page.run("return [...document.querySelectorAll('table.board td.setting:nth-child(6)')].length") == 2
    assert page.texts("table.board tbody td.setting .faint") == ["n/a", "n/a"]
    page.open(tmp_path / "page", "#task=celeba")
    assert "The rule unbiased_val does not apply to this task. Look at it by last, oracle." in page.texts("#view .hint")
    page.click("#view .hint a")
    page.wait("return document.querySelectorAll('table.board .score strong').length === 2")


def test_what_stands_against_a_number_is_said(
    page: Any, make_board: Callable[..., Board], make_rows: Callable[..., Any], tmp_path: Path
) -> None:
    rows = [
        {**row, "stale": "method version 1, now 2" if row["method"] == "group_dro" else None}
        for row in make_rows(seeds=3)
        if row["task"] == "celeba" and row["method"] in ("vanilla", "group_dro")
    ]
    build(make_board(rows), tmp_path / "page")
    page.open(tmp_path / "page")
    assert page.texts(".flag") == ["stale"]
    assert "stale: method version 1, now 2" in page.texts(".answers")[0]


def test_published_numbers_stand_beside_ours_only_where_conditions_are_alike(
    page: Any, folder: Path, section: Section
) -> None:
    page.open(folder, f"{SECTION}&q=denetdm")
    (entry,) = (entry for entry in section.entries if entry.method == "denetdm")
    ours = entry.summary(section.headline, "unbiased_val").mean
    numbers_of = [claim for claim in claims(section, "unbiased_val", read_references()) if claim.entry is entry]
    headline = [claim for claim in numbers_of if claim.reference.metric == section.headline]
    shown = next(claim.reference for claim in headline if claim.reference.std is not None)
    number, difference = page.texts("td.paper")[0].split("\n")
    assert number == f"{100 * shown.value:.1f} (std {100 * shown.std:.1f})"
    assert difference.split()[1].replace("−", "-") == f"{100 * (ours - shown.value):+.1f}"
    page.open(folder, "#protocol=short&task=colored_mnist&rho=0.99&q=denetdm")
    assert page.texts("td.paper .delta") == ["other conditions"]
    assert any("protocol short, not the authors' budget" in text for text in page.texts("#view .hint"))


def test_the_cards_over_settings_name_all_that_share_the_lead(
    page: Any, make_board: Callable[..., Board], make_rows: Callable[..., Any], tmp_path: Path
) -> None:
    rows = []
    for row in make_rows(seeds=3):
        setting = (row["task"], row["rho"], row["protocol"])
        if setting == ("colored_mnist", 0.99, "paper") and row["method"] in (
            "vanilla",
            "ffw_unstructured",
            "group_dro",
        ):
            same = {**row, "unbiased_accuracy": 0.9 if row["status"] == "done" else None}
            rows.append(row if row["method"] == "vanilla" else same)
        elif row["task"] == "celeba" and row["method"] == "vanilla" and row["seed"] == 0:
            rows.append(row)
    build(make_board(rows), tmp_path / "page")
    page.open(tmp_path / "page")
    which, sure, price, trust = page.texts(".answers article")
    assert "ffw_unstructured and group_dro\neach rank 1 in 1 of 1 setting." in which.replace("\n\n", "\n")
    assert "2 methods share rank 1" in sure
    assert "Needs" in price
    assert "10 of 10 cells done" in trust


def test_the_price_of_a_method_has_that_of_the_network_it_starts_from(
    page: Any, make_board: Callable[..., Board], make_rows: Callable[..., Any], tmp_path: Path
) -> None:
    rows = [
        row
        for row in make_rows(seeds=3)
        if row["method"] in ("vanilla", "ffw_unstructured") and (row["task"], row["rho"]) == ("colored_mnist", 0.99)
    ]
    seconds = {"vanilla": 60.0, "ffw_unstructured": 15.0}
    build(make_board([{**row, "train_seconds": seconds[row["method"]]} for row in rows]), tmp_path / "page")
    page.open(tmp_path / "page", SECTION)
    _, _, price, _ = page.texts(".answers article")
    assert "Training 15 s after that of vanilla, 1.3 × vanilla's in all" in price
