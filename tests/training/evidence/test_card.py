"""The model card: its contents, the escaping of text from others, and the self-contained page."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from features.feature_table import FeatureTable
from features.transforms import TRANSFORMERS
from models.encoder import BlockEncoder
from models.evidence import CentreDecisionCurve, Validation
from training.evidence.card import TEMPLATES, card_html, useful_thresholds
from training.evidence.preprocessing import STEPS, preprocessing_steps

from .validations import LOCO, card_of, single, strong

RECORDS = {"loco": LOCO, "strong": strong(), "single": single()}
SVG = '<svg xmlns="http://www.w3.org/2000/svg"><text>drawn</text></svg>'
FIGURES = dict.fromkeys(("forest", "seeds", "permutation", "calibration", "decision", "shap_bar"), SVG)


def section(markdown: str, title: str) -> str:
    return re.split(r"\n##+ ", markdown.partition(f"# {title}\n")[2])[0]


@pytest.mark.parametrize("name", RECORDS)
def test_nothing_is_none_nan_or_undefined(name):
    markdown = card_of(RECORDS[name])
    assert not re.search(r"\b(None|nan|Undefined|True|False)\b", markdown)
    assert "\n\n\n" not in markdown


@pytest.mark.parametrize("name", RECORDS)
def test_tables_have_as_many_cells_in_each_row(name):
    for table in re.findall(r"(?:^(?:> )?\|.*\n)+", card_of(RECORDS[name]), re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}) == 1, table


def test_the_top_summarises_the_evidence():
    top = card_of(LOCO).partition("\n## ")[0]
    assert "**No evidence of discrimination on held-out cohorts" in top
    for text in ("0.52 (0.44 to 0.60), random-effects mean of 5", "AUROC 0.410 to 0.630", "p = 0.42, 200 refits",
                 "AUROC -0.040 (-0.130 to +0.050)", "0.251; 0.241 if each centre's own rate",
                 "| 7, with 84 models |", "1 of 9: checks of this program, no approval for clinical use",
                 "Research use. Not a medical device. Associations, not causes. Prognostic: no random"):  # fmt: skip
        assert text in top


def test_the_top_begins_with_the_patients_and_whether_another_cohort_tested_it():
    lines = card_of(LOCO).splitlines()
    assert lines[0] == "# Response (CR or PR): elastic net of taxa + clinical"
    rows = [line for line in lines if line.startswith("> | ")]
    assert rows[1:4] == [
        "> | for whom: tumour type | melanoma 150, lung non small cell 30, not reported 5 |",
        "> | line of treatment | not reported |",
        "> | drugs | anti-PD-1 185 |",
    ]
    assert rows[4].startswith("> | day of the stool | -60 to 30; day 0: ")
    assert rows[5] == "> | tested on another cohort, in its training | yes, each cohort held out in turn |"
    assert rows[6].startswith("> | AUROC of the ")
    assert "| tested on another cohort, in its training | no |" in card_of(single())


def test_every_section_names_its_checklist_items():
    markdown = card_of(LOCO)
    items = {
        "Held-out performance": "23a",
        "Calibration": "12e",
        "Subgroups": "14",
        "Patients and outcome": "8a",
        "Characteristics": "20b",
        "Preparation of the data": "12b",
        "Sample size": "10",
        "The model": "12c",
        "Audit of the data": "STORMS: batch effects",
        "Limits": "26",
    }
    for title, item in items.items():
        assert item in section(markdown, title).partition("\n\n")[2].partition("\n")[0] + section(markdown, title)[:90]


def test_every_section_reports_its_numbers():
    markdown = card_of(LOCO)
    assert "| lee_2022/Leeds | 18 | 9 | 0.61 (0.34 to 0.84) |" in section(markdown, "Held-out performance")
    assert "prediction interval for a new centre 0.41 to 0.63" in section(markdown, "Held-out performance")
    assert "0.515 ± 0.012" in section(markdown, "Seeds")
    assert "The best of the 12 models compared" in section(markdown, "Permutations")
    assert "exploratory" in section(markdown, "Permutations")
    assert "| published signature | 185 | 0.55 (0.47 to 0.62) | – |" in section(markdown, "Baselines")
    assert "exchangeable" in section(markdown, "Ranges and sets")
    assert "| lee_2022/Leeds | 0.38 to 0.47 | 0.50 | no | 0.09 | 90% | 89% |" in section(markdown, "Ranges and sets")
    assert "| mitox | 58 | 21 | none | indicative only |" in section(markdown, "Decisions")
    domain = section(markdown, "Applicability domain")
    assert "difference of 0.031 or more is detectable" in domain
    assert "| use with care | 91 | 39 | 0.50 | 0.253 |" in domain
    # Two patients had the outcome.
    assert "| abstain | 6 | 2 | too few | too few |" in domain
    assert "| regimen | anti-CTLA-4 | 3 | 0 | not estimable |" in section(markdown, "Subgroups")
    assert "| Bacteroides_uniformis | taxa | 0.050 | lowers | 60% |" in section(markdown, "Feature attribution")
    assert "By genus: Lachnospiraceae 41%, Bacteroides 22%" in section(markdown, "Feature attribution")
    assert "GGB9534" not in markdown
    assert "error, **waived**: outcome-contradiction" in section(markdown, "Audit of the data")
    assert "| ecog | clinical | 42% | training median |" in section(markdown, "Preparation of the data")
    assert "need 3120 patients with 1316 events" in section(markdown, "Sample size")
    assert "Measurements up to day 30 (day_ici) and at most 90 days before it" in section(
        markdown, "Patients and outcome"
    )
    assert "this patient's" not in markdown


def test_rates_are_reported_as_counts():
    markdown = card_of(LOCO)
    patients = section(markdown, "Patients and outcome")
    assert "| mitox | 58 | 21 | 36% (24% to 50%) |" in patients
    assert "| all, counted together | 185 | 78 | 42% (35% to 50%) |" in patients
    assert "Random-effects mean of the 5 rates: 0.42 (" in patients
    joint = section(markdown, "Response and toxicity together")
    assert "| objective_response | toxicity_any | 105 | 14 | 21 | 40 | 30 | 1.94 (0.84 to 4.51) |" in joint
    assert "| objective_response | toxicity_3 | 58 | 21 | 0 | 37 | 0 | not estimable |" in joint
    assert "| 0.41 to 1.00 | 93 | 42 | 45% (35% to 56%) |" in section(markdown, "Outcomes by predicted probability")
    characteristics = section(markdown, "Characteristics")
    assert "| sex | 181 of 185 | female 71 (39%), male 110 (61%) |" in characteristics
    assert "| IL-6 (pg/mL) | 58 of 185 | 3.25 (1.2 to 9) |" in characteristics
    assert "| IL-8 (pg/mL) | 12 of 185 | too few patients |" in characteristics
    assert "the model reads 2 taxa, of which 1 are present in at least half of the patients" in characteristics
    one_cohort = card_of(single())
    assert "No cohort reports the toxicity" in section(one_cohort, "Response and toxicity together")
    assert "Too few held-out patients" in section(one_cohort, "Outcomes by predicted probability")


def test_the_conditional_permutation_is_reported_for_a_model_that_has_one():
    markdown = card_of(LOCO)
    assert "| profiles beyond covariates, conditional permutation | p = 0.94, 200 refits |" in markdown
    assert "200 times: mean 0.57, 95th percentile 0.62; observed 0.52, p = 0.94." in section(markdown, "Permutations")
    older_record = LOCO.to_json()
    del older_record["permutation"]["conditional"]
    assert "onditional" not in section(card_of(Validation.from_json(older_record)), "Permutations")


def test_missing_results_are_reported_as_missing():
    markdown = card_of(single())
    assert "AUROC of the probability, patients held out | 0.61 (0.34 to 0.84) |" in markdown
    assert "prediction interval for a new centre | no cohort was held out" in markdown
    assert "not estimable" in section(markdown, "Calibration")
    assert "| mine | not computed |" in section(markdown, "Ranges and sets")
    assert "--permutations 200" in section(markdown, "Permutations")
    assert "how much the result depends on it is not known" in section(markdown, "Seeds")
    assert "every prediction is the prevalence" in section(markdown, "Feature attribution")
    no_effect = replace(single(), sample_size=replace(single().sample_size, needed=None, events_needed=None))
    assert "no number of patients suffices" in section(card_of(no_effect), "Sample size")
    assert "tested it on no other cohort" in section(markdown, "Limits")
    assert "random-effects" not in markdown.lower()


def test_simulated_data_and_pooled_labels_warn():
    pooled = replace(LOCO, evidence=replace(LOCO.evidence, pooled_labels=True))
    assert "SIMULATED DATA" in card_of(strong()).splitlines()[2]
    assert "SIMULATED" not in card_of(LOCO)
    assert "**Labels of different meaning were pooled.**" in card_of(pooled)
    assert "Labels of different meaning" not in card_of(LOCO)


def test_useful_thresholds_have_the_whole_band_above_both_alternatives():
    thresholds, band, treat_all = (0.1, 0.2, 0.3, 0.4), (0.3, 0.2, 0.1, -0.1), (0.4, 0.1, 0.05, -0.3)
    curve = CentreDecisionCurve("mitox", 58, 21, True, thresholds, band, band, band, treat_all)
    assert useful_thresholds(curve) == "0.20 to 0.30"


def test_every_transformer_has_a_description(table: FeatureTable):
    assert set(STEPS) == set(TRANSFORMERS)
    steps = preprocessing_steps(BlockEncoder(("taxa", "immune"), "clr", 0.25).fit(table))
    assert steps["taxa"][0] == "taxa detected in 25% to 100% of the training samples"
    assert steps["taxa"][-1] == "centred log-ratios"
    assert steps["immune"][0] == "values beyond an unreported limit: half_limit"


class Page(HTMLParser):
    """The tags of a page, the references that lead out of it, and the tags still open at its end."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.references: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "br", "hr", "img", "link"):
            self.open.append(tag)
        self.references += [(k, v) for k, v in attrs if k in ("href", "src", "srcset", "action") or k.startswith("on")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("name", RECORDS)
def test_the_page_is_well_formed_and_self_contained(name):
    page = Page(card_html(card_of(RECORDS[name]), FIGURES))
    assert page.open == []
    assert page.references == []
    assert not {"script", "link", "img", "iframe", "a"} & set(page.tags)
    assert page.tags.count("figure") == page.tags.count("svg") == (3 if name == "single" else 6)
    assert "blockquote" in page.tags


def test_a_figure_that_is_not_drawn_remains_a_reference():
    page = card_html(card_of(LOCO), {"forest": SVG})
    assert page.count("<figure>") == 1
    assert '<svg role="img" aria-label="AUROC of each centre' in page
    assert "Figure <code>calibration.svg</code>" in page


def test_gates_are_marked_and_the_page_has_print_and_dark_styles():
    page = card_html(card_of(LOCO), {})
    assert page.count('<td class="fail">fail</td>') == 8
    assert "prefers-color-scheme: dark" in page
    assert "size: A4" in page
    assert "<title>Response (CR or PR): elastic net of taxa + clinical</title>" in page


def test_markup_in_text_from_others_is_escaped():
    hostile = "a | b <script>alert(1)</script> [x](javascript:1) ![i](http://e.org/i.png) `c` *d* \\\n# e $title"
    cohorts = (replace(LOCO.evidence.cohorts[0], title=hostile),)
    validation = replace(
        LOCO,
        evidence=replace(LOCO.evidence, cohorts=cohorts, notes=(hostile,)),
        per_centre=(replace(LOCO.per_centre[0], centre=hostile),),
    )
    html = card_html(card_of(validation), {})
    page = Page(html)
    assert page.references == []
    assert not {"script", "img", "a"} & set(page.tags)
    escaped = (
        "a | b &lt;script&gt;alert(1)&lt;/script&gt; [x](javascript:1) ![i](http://e.org/i.png) `c` *d* \\ # e $title"
    )
    assert f"<td>{escaped}</td>" in html
    assert f"<li>{escaped}</li>" in html


def test_the_templates_are_installed():
    assert (TEMPLATES / "card.md.jinja").is_file()
    assert (TEMPLATES / "card.html").is_file()
