"""The card: what a reader must know stands in it, nobody's words become markup, and the page needs nothing else."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from features.feature_table import FeatureTable
from features.transforms import STEPS as TRANSFORMERS
from models.encoder import BlockEncoder
from training.evidence import card
from training.evidence.card import card_html, model_card, preparation

from .validations import loco, single, strong

ALL = {"loco": loco, "strong": strong, "single": single}
SVG = '<svg xmlns="http://www.w3.org/2000/svg"><text>drawn</text></svg>'
FIGURES = dict.fromkeys(("forest", "seeds", "permutation", "calibration", "decision", "shap_summary"), SVG)


def section(markdown: str, title: str) -> str:
    return re.split(r"\n##+ ", markdown.partition(f"# {title}\n")[2])[0]


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_none_nan_or_undefined(name):
    markdown = model_card(ALL[name]())
    assert not re.search(r"\b(None|nan|Undefined|True|False)\b", markdown)
    assert "\n\n\n" not in markdown


@pytest.mark.parametrize("name", ALL)
def test_tables_have_as_many_cells_in_each_row(name):
    for table in re.findall(r"(?:^(?:> )?\|.*\n)+", model_card(ALL[name]()), re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}) == 1, table


def test_one_minute_is_enough():
    top = model_card(loco()).partition("\n## ")[0]
    assert "**No better than chance.** On cohorts it had not seen this model did no better than chance" in top
    for said in ("0.52 (0.44 to 0.60), the random-effects mean of 5", "AUROC 0.410 to 0.630", "p = 0.42, 200 refits",
                 "AUROC -0.040 (-0.130 to +0.050)", "0.251; prevalence 0.241", "| 7; models in them: 84 |", "0 of 7",
                 "Research use. Not a medical device. Associations, not causes."):  # fmt: skip
        assert said in top


def test_every_section_that_must_be_there_is_and_says_its_item():
    markdown = model_card(loco())
    asked = {
        "Left-out performance": "23a",
        "Calibration": "12e",
        "Subgroups": "14",
        "Patients and outcome": "8a",
        "Characteristics": "20b",
        "Preparation of the data": "STORMS 7.1",
        "Sample size": "10",
        "The model": "12c",
        "Audit of the data": "STORMS 4.13",
        "Limits": "26",
    }
    for title, item in asked.items():
        assert item in section(markdown, title).partition("\n\n")[2].partition("\n")[0] + section(markdown, title)[:90]


def test_numbers_stand_where_they_belong():
    markdown = model_card(loco())
    assert "| lee_2022/Leeds | 18 | 9 | 0.61 (0.34 to 0.84) |" in section(markdown, "Left-out performance")
    assert "prediction interval for one cohort more\n0.41 to 0.63" in section(markdown, "Left-out performance")
    assert "0.515 ± 0.012" in section(markdown, "Seeds")
    assert "The best of the 12 models tried" in section(markdown, "Permutations")
    assert "exploratory" in section(markdown, "Permutations")
    assert "| published signature | 185 | 0.55 (0.47 to 0.62) | – |" in section(markdown, "Baselines")
    assert "exchangeable" in section(markdown, "Ranges and sets")
    assert "| lee_2022/Leeds | 0.38 to 0.47 | 0.50 | no | 0.09 | 90% | 89% |" in section(markdown, "Ranges and sets")
    assert "| mitox | 58 | 21 | none | indicative only |" in section(markdown, "Decisions")
    assert "difference of 0.031 or more" in section(markdown, "Trust")
    assert "| regimen | anti-CTLA-4 | 3 | 0 | not measurable |" in section(markdown, "Subgroups")
    assert "| Bacteroides_uniformis | taxa | 0.050 | lowers | 60% |" in section(markdown, "What the model leans on")
    assert "By clade: Lachnospiraceae 41%, Bacteroides 22%" in section(markdown, "What the model leans on")
    assert "GGB9534" not in markdown
    assert "error, **waived**: outcome-contradiction" in section(markdown, "Audit of the data")
    assert "| ecog | clinical | 42% | training median |" in section(markdown, "Preparation of the data")
    assert "need 3120 patients with 1316 events" in section(markdown, "Sample size")
    assert "Measured up to day 30 (day_ici), at most 90 days before it" in section(markdown, "Patients and outcome")
    assert "this patient's" not in markdown


def test_what_a_reader_may_expect_stands_in_counts():
    markdown = model_card(loco())
    patients = section(markdown, "Patients and outcome")
    assert "| mitox | 58 | 21 | 36% (24% to 50%) |" in patients
    assert "| all, counted together | 185 | 78 | 42% (35% to 50%) |" in patients
    assert "Random-effects mean of the 5 rates: 0.42 (" in patients
    both = section(markdown, "Response and toxicity together")
    assert "| objective_response | toxicity_any | 105 | 14 | 21 | 40 | 30 | 1.94 (0.84 to 4.51) |" in both
    assert "| objective_response | toxicity_3 | 58 | 21 | 0 | 37 | 0 | not estimable |" in both
    assert "| 0.41 to 1.00 | 93 | 42 | 45% (35% to 56%) |" in section(markdown, "Patients by answer")
    characteristics = section(markdown, "Characteristics")
    assert "| sex | 181 of 185 | female 71 (39%), male 110 (61%) |" in characteristics
    assert "| IL-6 (pg/mL) | 58 of 185 | 3.25 (1.2 to 9) |" in characteristics
    assert "| IL-8 (pg/mL) | 12 of 185 | too few to say |" in characteristics
    assert "2 taxa are read, of which 1 were found in half of the patients or more" in characteristics
    alone = model_card(single())
    assert "No cohort tells the toxicity" in section(alone, "Response and toxicity together")
    assert "Too few patients were left out" in section(alone, "Patients by answer")


def test_what_is_not_known_is_said_not_to_be():
    markdown = model_card(single())
    assert "AUROC on patients left out | 0.61 (0.34 to 0.84) |" in markdown
    assert "prediction interval for a new cohort | no cohort was left out" in markdown
    assert "not estimable" in section(markdown, "Calibration")
    assert "| mine | not computed |" in section(markdown, "Ranges and sets")
    assert "--permutations 200" in section(markdown, "Permutations")
    assert "how far the result hangs on it is not known" in section(markdown, "Seeds")
    assert "every answer is the prevalence" in section(markdown, "What the model leans on")
    unknown = single()["sample_size"] | {"needed": None, "events_needed": None}
    assert "no number of patients is enough" in section(model_card(single() | {"sample_size": unknown}), "Sample size")
    assert "never tried on a cohort" in section(markdown, "Limits")
    assert "random-effects" not in markdown.lower()


def test_simulated_data_and_pooled_labels_warn():
    assert "SIMULATED DATA" in model_card(strong()).splitlines()[2]
    assert "SIMULATED" not in model_card(loco())
    assert "**Labels of different meaning were pooled.**" in model_card(loco() | {"pooled_labels": True})
    assert "Labels of different meaning" not in model_card(loco())


def test_thresholds_of_use_are_those_where_the_whole_band_is_above_both():
    curve = {"thresholds": [0.1, 0.2, 0.3, 0.4], "low": [0.3, 0.2, 0.1, -0.1], "all": [0.4, 0.1, 0.05, -0.3]}
    assert card.useful(curve) == "0.20 to 0.30"


def test_each_transformer_has_its_words(table: FeatureTable):
    assert set(card.STEPS) == set(TRANSFORMERS)
    said = preparation(BlockEncoder(("taxa", "immune"), "clr", 0.25).fit(table))
    assert said["taxa"][0] == "those found in 25% to 100% of the training samples"
    assert said["taxa"][-1] == "centred log-ratios"
    assert said["immune"][0] == "beyond a limit that nobody stated: half_limit"


class Page(HTMLParser):
    """What of a page could reach out of it, and whether its tags close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.reaching: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "br", "hr", "img", "link"):
            self.open.append(tag)
        self.reaching += [(k, v) for k, v in attrs if k in ("href", "src", "srcset", "action") or k.startswith("on")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("name", ALL)
def test_the_page_is_whole_and_needs_nothing_else(name):
    page = Page(card_html(model_card(ALL[name]()), FIGURES))
    assert page.open == []
    assert page.reaching == []
    assert not {"script", "link", "img", "iframe", "a"} & set(page.tags)
    assert page.tags.count("figure") == page.tags.count("svg") == (3 if name == "single" else 6)
    assert "blockquote" in page.tags


def test_a_figure_that_is_not_there_stays_a_mention():
    page = card_html(model_card(loco()), {"forest": SVG})
    assert page.count("<figure>") == 1
    assert '<svg role="img" aria-label="Each cohort\'s AUROC' in page
    assert "Figure <code>calibration.svg</code>" in page


def test_gates_are_marked_and_the_page_follows_paper_and_dark():
    page = card_html(model_card(loco()), {})
    assert page.count('<td class="fail">fail</td>') == 7
    assert "prefers-color-scheme: dark" in page
    assert "size: A4" in page
    assert "<title>objective_response: elastic_net on taxa + clinical</title>" in page


def test_other_peoples_words_are_shown_not_obeyed():
    hostile: Any = "a | b <script>alert(1)</script> [x](javascript:1) ![i](http://e.org/i.png) `c` *d* \\\n# e $title"
    validation = loco()
    validation["cohorts"][0]["title"] = hostile
    validation["notes"] = [hostile]
    validation["per_cohort"][0]["cohort"] = hostile
    page = card_html(model_card(validation), {})
    found = Page(page)
    assert found.reaching == []
    assert not {"script", "img", "a"} & set(found.tags)
    shown = (
        "a | b &lt;script&gt;alert(1)&lt;/script&gt; [x](javascript:1) ![i](http://e.org/i.png) `c` *d* \\ # e $title"
    )
    assert f"<td>{shown}</td>" in page
    assert f"<li>{shown}</li>" in page


def test_templates_lie_beside_the_module_that_reads_them():
    folder = Path(card.__file__).parent
    assert (folder / "card.md.jinja").is_file()
    assert (folder / "card.html").is_file()
