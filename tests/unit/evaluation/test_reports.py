"""The report's forms: one page that loads nothing, Markdown for a card, JSON, a terminal."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from guardrail import Policy
from guardrail.classifiers import Embedded
from guardrail.config import ClassifierConfig
from guardrail.errors import ConfigError
from guardrail.evaluation import Candidate, Dataset, Report, Row, evaluate
from guardrail.evaluation.card import PUBLISHED, published_for
from guardrail.evaluation.figures import Figure
from guardrail.evaluation.markdown import BEGIN, END, write_into
from guardrail.evaluation.sheet import cell_text
from guardrail.evaluation.sheets import sheets
from guardrail.types import exchange
from tests.unit.evaluation.helpers import Reading, labelled, row

HOSTILE = '<script>alert("x")</script><img src=//evil.example onerror=alert(1)> {{ 7 * 7 }} \ud800'


def rows() -> list[Row]:
    made = [
        Row(exchange(r["user"], r["assistant"]), r["unsafe"], r["category"], r["source"])
        for r in labelled(60)
    ]
    return [*made, row(0.99, unsafe=False, user=HOSTILE, source=HOSTILE, category="성차별")]


@pytest.fixture(scope="module")
def report() -> Report:
    candidates = [
        Candidate("기본", Reading()),
        Candidate("<b>엄격</b>", Reading(), Policy(threshold=0.3)),
    ]
    return evaluate(
        [Dataset.of(rows(), "kor-ethical-qa"), Dataset.of(rows()[:20], "other")],
        candidates,
        perturb=["jamo", "spread"],
        streaming={"whole": None},
        detail_rows=20,
        resamples=50,
    )


@pytest.fixture(scope="module")
def html(report: Report) -> str:
    return report.to_html()


class Page(HTMLParser):
    """What a page would load, and the text it shows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the tag and what it names."""
        self.tags.append(tag)
        self.loads += [
            value for name, value in attrs if name in ("src", "href", "xlink:href") and value
        ]


def test_the_page_loads_nothing(html: str) -> None:
    """No address but its own places and pictures it carries."""
    page = Page(html)

    assert all(one.startswith(("#", "data:image/")) for one in page.loads)
    assert page.tags.count("svg") >= 8
    assert "default-src 'none'" in html


def test_hostile_text_is_only_text(html: str) -> None:
    """It stands in the page, and nothing of it is markup."""
    assert html.count("<script>") == 1
    assert Page(html).tags.count("img") == 0
    assert "&lt;script&gt;alert(" in html
    assert "{{ 7 * 7 }}" in html
    assert "<b>엄격</b>" not in html


def test_the_pages_script_is_the_one_it_allows(html: str) -> None:
    """The policy names its hash."""
    script = re.search(r"<script>(.*?)</script>", html, re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()

    assert f"'sha256-{digest}'" in html


def test_the_classifiers_own_threshold_is_told() -> None:
    """It is what decides where the policy has none; the slider starts there."""
    report = evaluate([Dataset.of(rows())], [Candidate("e", Embedded(0.615))])

    assert report.results[0].threshold == 0.615
    assert "threshold the classifier&#39;s own, 0.615;" in report.to_html()
    assert 'value="123" aria-label="Threshold"><output>0.615' in report.to_html()


def test_titles_are_korean_too(html: str) -> None:
    """Categories by both names; plots leave letters to the browser."""
    assert "O1 폭력과 혐오" in html
    assert re.search(r"<text[^>]*>기본</text>", html)


def test_a_page_can_be_written_whatever_the_text(report: Report, tmp_path: Path) -> None:
    """Lone surrogates too."""
    for name in ("r.html", "r.json", "r.md"):
        report.save(tmp_path / "new" / name)
        assert (tmp_path / "new" / name).stat().st_size > 1000


def test_other_forms_are_refused(report: Report, tmp_path: Path) -> None:
    """With those that there are."""
    with pytest.raises(ConfigError, match=r"\.html, \.json, \.md"):
        report.save(tmp_path / "r.pdf")


def test_json_holds_everything_and_no_nan(report: Report) -> None:
    """Any reader takes it."""
    plain = json.loads(report.to_json(), parse_constant=lambda name: pytest.fail(name))

    assert plain["results"][0]["overall"]["recall"]["low"] <= 1
    assert plain["results"][0]["robustness"][0]["name"] == "jamo"


def test_markdown_has_tables_and_no_rows_text(report: Report) -> None:
    """So that it can be published."""
    text = report.to_markdown()

    assert "## By category" in text
    assert "대답" not in text
    assert all(line.count(" | ") == header for header, line in aligned(text))


def aligned(text: str) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    width = 0
    for line, following in zip(text.splitlines(), [*text.splitlines()[1:], ""], strict=True):
        if following.startswith("| ---"):
            width = line.count(" | ")
        if line.startswith("| "):
            found.append((width, line))
    return found


def test_a_card_takes_the_tables_between_its_marks(report: Report, tmp_path: Path) -> None:
    """Again and again, and nothing else of it changes."""
    card = tmp_path / "MODEL_CARD.md"
    card.write_text(f"# Card\n\n{BEGIN}\nold\n{END}\n\n## After\n")
    for _ in range(2):
        write_into(card, report)
    text = card.read_text()

    assert text.startswith(f"# Card\n\n{BEGIN}\n\n81 rows")
    assert text.endswith(f"{END}\n\n## After\n")
    assert "\nold\n" not in text
    assert text.count("### Figures") == 1


def test_a_card_without_marks_is_told(report: Report, tmp_path: Path) -> None:
    """With what to add."""
    card = tmp_path / "MODEL_CARD.md"
    card.write_text("# Card\n")
    with pytest.raises(ConfigError, match="guardrail eval: begin"):
        write_into(card, report)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_terminal_shows_it_at_any_width(report: Report, width: int) -> None:
    """Narrow ones lose intervals first, then columns."""
    out = StringIO()
    report.show(Console(file=out, width=width))

    assert "Recall" in out.getvalue()
    assert "Against 기본" in out.getvalue()


@pytest.mark.parametrize("width", [60, 80, 120, 160, 400])
def test_every_interval_is_shown_at_any_width(report: Report, width: int) -> None:
    """Of the main table and the differences: what is too wide goes on below."""
    out = StringIO()
    report.show(Console(file=out, width=width))
    by_words = " ".join(out.getvalue().split())
    promised = [sheet for sheet in sheets(report) if sheet.id in ("figures", "differences")]
    texts = {
        cell_text(cell, sign=sheet.id == "differences")
        for sheet in promised
        for line in sheet.lines
        for cell in line
        if isinstance(cell, Figure)
    }

    assert [text for text in texts if text not in by_words] == []
    assert max(map(cell_len, out.getvalue().splitlines())) <= width


def test_the_cards_figures_stand_beside_ours() -> None:
    """For the same model on the same set, and for no other."""
    main = ClassifierConfig(kind="kosafeguard")
    found = published_for("pku-safe-rlhf", main)

    assert found is not None
    assert (found.steps, found.f1) == (142947, 0.841706)
    assert published_for("pku-safe-rlhf", ClassifierConfig()) is None
    assert published_for("other", main) is None
    assert (
        published_for("kor-ethical-qa", ClassifierConfig(kind="kosafeguard", model="x/y")) is None
    )


@pytest.mark.parametrize("revision", ["285894", "step-285894", "checkpoint_285894_ema"])
def test_a_checkpoint_is_known_by_its_steps(revision: str) -> None:
    """However its revision is called."""
    config = ClassifierConfig(kind="kosafeguard", revision=revision)
    found = published_for("kor-ethical-qa", config)

    assert found is not None
    assert found.steps == 285894


def test_the_cards_table_is_whole() -> None:
    """Two sets, four checkpoints each; F1 follows from precision and recall as printed."""
    assert len({(one.data, one.steps) for one in PUBLISHED}) == 8
    for one in PUBLISHED:
        f1 = 2 * one.precision * one.recall / (one.precision + one.recall)
        assert f1 == pytest.approx(one.f1, abs=1e-5)
