"""The report page: what may stand side by side, what may be quoted, and that a real Chromium shows it without a complaint."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nurse_evaluation import charts, published
from nurse_evaluation.cli import app
from nurse_evaluation.data import origin
from nurse_evaluation.pages import as_markdown, html
from nurse_evaluation.predictions import Prediction
from nurse_evaluation.report import make_page, read_runs
from nurse_evaluation.tables import CALIBRATION, KNOWLEDGE, OVERLAP, REPLAY, Run, comparable, labels_of, refusal, table_of
from nurse_evaluation.textscore import score_file
from nurse_training.cli import app as training
from tests import reports
from tests.chromium import Chromium, chromium

REPORTED = {"protocol": "report", "unit": "sentence", "max_new_tokens": 128, "echo": False, "swap_args": False}


def runs_of(*results: dict[str, object]) -> list[Run]:
    return [Run(f"{number}.json", one) for number, one in enumerate(results)]


def test_figures_of_other_notes_get_a_table_of_their_own_and_the_reason():
    groups = comparable(
        runs_of(reports.score("mini", 0.3), reports.score("ngram", 0.2), reports.score("mini", 0.4, "ward.jsonl")), KNOWLEDGE
    )
    tables = [table_of(group, KNOWLEDGE) for group in groups]
    assert [table.columns for table in tables] == [("", "mini", "ngram"), ("", "mini")]
    assert "open.jsonl, 57 notes of 40 patients, fingerprint a1a1a1a1a1a1" in tables[0].shared
    assert refusal(groups).startswith("2 tables and not one: the runs differ in data,")
    assert refusal(groups[:1]) == ""


def test_scores_of_another_encoder_get_a_table_of_their_own_but_bits_do_not():
    runs = runs_of(reports.score("mini", 0.3), reports.score("ngram", 0.2, encoder="roberta-large"))
    assert len(comparable(runs, KNOWLEDGE)) == 1
    groups = comparable(runs, OVERLAP)
    assert [group.labels for group in groups] == [("mini",), ("ngram",)]
    assert "differ in encoder," in refusal(groups)


def test_other_costs_and_other_typists_are_apart():
    changed = {"careless": 0.2, "key_s": 0.24, "reading_s": 0.2}
    groups = comparable(runs_of(reports.replay("mini", 0.3), reports.replay("mini", 0.3, config=changed)), REPLAY)
    assert len(groups) == 2 and "wrong ghosts accepted" in refusal(groups)


def test_a_model_that_stands_there_twice_is_told_apart_by_its_file():
    group = comparable(runs_of(reports.replay("mini", 0.3), reports.replay("/models/mini", 0.2)), REPLAY)[0]
    assert group.labels == ("mini (0)", "mini (1)")


def test_files_of_one_name_are_told_apart_by_their_folders():
    runs = [Run(f"{folder}/score.json", reports.score(model, 0.2)) for folder, model in (("a", "mini"), ("b", "mini"), ("b", "ngram"))]
    assert labels_of(runs) == ("mini (a/score)", "mini (b/score)", "ngram")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"protocol": "product", "cursors": 8}, {"protocol": "product", "cursors": 2}),
        (REPORTED, {**REPORTED, "echo": True}),
        (REPORTED, {**REPORTED, "swap_args": True}),
        (REPORTED, {**REPORTED, "unit": "note"}),
        (REPORTED, {**REPORTED, "max_new_tokens": 16}),
    ],
)
def test_scores_of_predictions_made_in_another_way_are_apart(one, other):
    row = Prediction(0, "a", 2, "Pt", " calm", " calm")
    runs = runs_of(*({**reports.score("mini", 0.2), **score_file({"config": config}, [row], None)} for config in (one, other)))
    groups = comparable(runs, OVERLAP)
    assert len(groups) == 2 and "asked at" in refusal(groups)
    assert len(comparable([runs[0], runs[0]], OVERLAP)) == 1


def test_calibrations_measured_on_other_notes_of_one_file_name_are_apart():
    runs = runs_of(*({**reports.score("mini", 0.2), "kind": "calibrate", "ece_after": 0.01, "held_out_sha256": digest} for digest in "ab"))
    assert len(comparable(runs, CALIBRATION)) == 2


def test_a_figure_stands_with_its_interval_and_unit():
    rows = table_of(comparable(runs_of(reports.replay("mini", 0.25)), REPLAY)[0], REPLAY).rows
    found = {row[0].text: (row[0].detail, row[1].text, row[1].detail) for row in rows}
    assert found["Keystrokes saved (%)"] == ("", "25.0", "23.0 to 27.0")
    assert "Time saved (%)" not in found, "no run has it"


def test_notes_that_may_be_somebodys_are_not_quoted_unless_asked_for(tmp_path: Path):
    runs = read_runs([reports.whole(tmp_path)])
    page = make_page(runs, include_text=False)
    for text in (html(page), as_markdown(page)):
        assert "stable on air" in text and "secretword" not in text
        assert "Of 1 file of predictions nothing is quoted" in text
    asked = make_page(runs, include_text=True)
    assert asked.private and "secretword" in html(asked) and "may be of real patients" in html(asked)
    assert not page.private


def test_a_private_page_is_for_its_owner_alone(tmp_path: Path):
    folder = reports.whole(tmp_path / "runs")
    for options, mode in (([], 0o644), (["--include-text"], 0o600)):
        result = CliRunner().invoke(app, ["report", str(folder), "--out", str(tmp_path / "page.html"), "--json", *options])
        assert result.exit_code == 0, result.output
        said = json.loads(result.stdout)
        assert (said["runs"], said["private"]) == (12, bool(options))
        assert {(tmp_path / name).stat().st_mode & 0o777 for name in ("page.html", "page.md")} == {mode}
        assert any("encoder" in one for one in said["refusals"])


def test_only_notes_that_all_say_they_are_open_are_open(tmp_path: Path):
    rows = [
        {"text": "a", "source": "babylonhealth/primock57 notes/x.json"},
        {"text": "b", "source": "babylonhealth/primock57 notes/y.json"},
    ]
    path = tmp_path / "notes.jsonl"
    for more, kind in (([], "open notes on mock patients (CC BY 4.0)"), ([{"text": "c"}], ""), ([{"text": "c", "source": "ward 7"}], "")):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows + more), "utf-8")
        assert origin(path) == kind
    for source, kind in (("nurse-train synth", "synthetic notes"), ("NOTEEVENTS.csv.gz", "")):
        (tmp_path / "manifest.json").write_text(json.dumps({"source": source}), "utf-8")
        assert origin(tmp_path) == kind


def test_the_synthetic_corpus_says_that_it_is_nobodys(tmp_path: Path):
    path = tmp_path / "notes.jsonl"
    assert CliRunner().invoke(training, ["synth", "--notes", "5", "--out", str(path)]).exit_code == 0
    assert origin(path) == "synthetic notes"


def test_the_published_figures_are_those_of_the_report_and_marked(tmp_path: Path):
    assert all(len(values) == len(published.MODELS) == 7 for values in published.FIGURES.values())
    assert published.FIGURES["ROUGE-L"][published.MODELS.index("gpt2_5000")] == 0.5486
    page = html(make_page(runs_of(reports.replay("mini", 0.3)), include_text=False))
    table = next(table for table in re.findall(r"<table.*?</table>", page, re.S) if "gpt2_5000" in table)
    assert "Published, on other data" in table and "mini" not in table


def test_markdown_cells_keep_to_their_line():
    run = runs_of(reports.replay("a|b\n*c*", 0.3))
    lines = [line for line in as_markdown(make_page(run, include_text=False)).splitlines() if "Keystrokes saved" in line]
    header = next(line for line in as_markdown(make_page(run, include_text=False)).splitlines() if line.startswith("|  |"))
    assert lines and "a\\|b / \\*c\\*" in header


def test_what_is_no_result_is_said(tmp_path: Path):
    (tmp_path / "other.json").write_text("{}", "utf-8")
    for paths, said in (
        ([tmp_path / "other.json"], "no result file"),
        ([tmp_path], "No result file"),
        ([tmp_path / "none.json"], "no such file"),
    ):
        result = CliRunner().invoke(app, ["report", *map(str, paths), "--out", str(tmp_path / "page.html")])
        assert result.exit_code == 2 and said in result.output and not (tmp_path / "page.html").exists()


@pytest.mark.parametrize(("rough", "step"), [(0.9, 1), (1.1, 2), (2.1, 2.5), (2.6, 5), (0.011, 0.02), (6, 10)])
def test_ticks_are_round(rough: float, step: float):
    assert charts._round_step(rough) == pytest.approx(step)


def test_an_axis_holds_all_values():
    axis = charts.axis_for("Latency (ms)", [44.0, 3.0])
    assert (axis.low, axis.high) == (0, 50) and axis.ticks() == [0, 10, 20, 30, 40, 50]
    assert axis.place(25, 100, 200) == 200
    powers = charts.Axis("Times", 1, 16, powers=True)
    assert powers.ticks() == [1, 2, 4, 8, 16] and powers.place(4, 0, 100) == 50


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    result = CliRunner().invoke(app, ["report", str(reports.whole(folder / "runs")), "--out", str(folder / "report.html")])
    assert result.exit_code == 0, result.output
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory):
    with chromium(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.mark.slow
@pytest.mark.parametrize(("width", "dark"), [(1200, False), (390, False), (1200, True)], ids=["desktop", "phone", "dark"])
def test_chromium_shows_the_page_without_a_complaint(page: Path, browser: Chromium, width: int, dark: bool):
    browser.open(page, width, dark=dark)
    assert browser.complaints() == [] and browser.fetched() == [page.resolve().as_uri()]
    assert browser.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "the page itself never scrolls sideways"
    assert browser.evaluate("document.querySelectorAll('svg.chart').length") == 6
    small = "[...document.querySelectorAll('svg text')].filter(t => t.getBoundingClientRect().height < 9).length"
    assert browser.evaluate(small) == 0, "letters of charts stay readable"
    background = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") != dark


@pytest.mark.slow
def test_every_chart_has_axis_titles_with_units_and_every_table_a_caption(page: Path, browser: Chromium):
    browser.open(page, 1200)
    titles = browser.evaluate(
        "[...document.querySelectorAll('svg.chart')].map(s => [...s.querySelectorAll('.axis')].map(t => t.textContent))"
    )
    assert all(len(pair) == 2 and all(pair) for pair in titles)
    units = {title for pair in titles for title in pair} - {"Model"}
    assert units and all(re.search(r"\((%|ms|count|bits|0 to 1)\)$", title) for title in units)
    assert browser.evaluate("[...document.querySelectorAll('table')].every(t => t.caption && t.caption.textContent.trim().length > 10)")
    assert browser.evaluate("[...document.querySelectorAll('figure')].every(f => f.querySelector('figcaption').textContent.length > 10)")
    spilled = (
        "[...document.querySelectorAll('svg.chart')].flatMap(s => { const b = s.getBoundingClientRect();"
        " return [...s.querySelectorAll('text')].filter(t => { const r = t.getBoundingClientRect();"
        " return r.left < b.left - 1 || r.right > b.right + 1 || r.bottom > b.bottom + 1 }).map(t => t.textContent) })"
    )
    assert browser.evaluate(spilled) == [], "no letter lies outside of its chart"
    overlapping = (
        "[...document.querySelectorAll('svg.chart')].flatMap(s => { const all = [...s.querySelectorAll('text')].map(t =>"
        " [t.textContent, t.getBoundingClientRect()]); return all.flatMap(([a, r], i) => all.slice(i + 1).filter(([b, q]) =>"
        " r.left < q.right + 3 && q.left < r.right + 3 && r.top < q.bottom - 3 && q.top < r.bottom - 3).map(([b, q]) => a + ' / ' + b)) })"
    )
    assert browser.evaluate(overlapping) == [], "no letter touches another"


@pytest.mark.slow
def test_it_prints(page: Path, browser: Chromium):
    browser.open(page, 1200)
    pages = len(re.findall(rb"/Type\s*/Page\b", browser.printed()))
    assert 3 <= pages <= 12
