"""The page of the models: which predicts what, how well, and nothing that contradicts it."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import httpx
import pytest

from models.evidence import STRENGTH_WORDS, Estimate, TrainingCohort, VerdictDifference, evidence_strength
from serving.app import create_app
from tests.training.evidence.validations import LOCO

from .conftest import running

PASSWORD = "a password of many words"
COHORT = TrainingCohort("one", "One", "day_ici", "first dose", None, "", "", simulated=False)
HELD_OUT = {
    ("loco", 2): "held-out cohorts",
    ("loco", 1): "held-out centres of one cohort",
    ("cv", 2): "held-out patients of the training cohorts",
    ("cv", 1): "held-out patients of the training cohorts",
}
CONTRADICTIONS = {
    "no evidence of discrimination": r"better than chance|exceeds chance|(strong|moderate|weak) evidence",
    "weak evidence": r"no evidence|no discrimination|not shown|(strong|moderate) evidence",
    "moderate evidence": r"no evidence|no discrimination|not shown|not confirmed|(strong|weak) evidence",
    "simulated evidence": r"no evidence|(strong|moderate|weak) evidence",
}


@pytest.fixture(scope="module")
def variants(models):
    """Models of every kind of evidence, whose own sentence says the opposite."""
    served, kinds = models["objective_response"][0], itertools.product((True, False, None), HELD_OUT, (False, True))
    versions = []
    for number, (beats_chance, (scheme, n_cohorts), simulated) in enumerate(kinds):
        evidence = replace(
            served.model.evidence,
            beats_chance=beats_chance,
            sentence="no evidence of discrimination" if beats_chance else "this model performed better than chance",
            scheme=scheme,
            cohorts=(COHORT, replace(COHORT, name="two"))[:n_cohorts],
            simulated=simulated,
            patients=100 + number,
            events=40,
            held_out_auroc=Estimate(0.61, 0.52, 0.7) if number else Estimate(None, None, None),
        )
        alias = ("champion", "candidate-taxa")[number // 2 % 2]
        versions.append(
            replace(served, model=replace(served.model, evidence=evidence), version=str(number), alias=alias)
        )
    return versions


@pytest.fixture(scope="module")
def compared(models):
    """A model of toxicity for each result of the comparison by verdict."""
    served, versions = models["toxicity_any"][0], []
    for number, difference in enumerate((0.005, 0.05, -0.05)):
        validation = replace(LOCO, verdict_difference=VerdictDifference(difference, 0.031))
        model = replace(served.model, validation=validation)
        versions.append(replace(served, model=model, version=str(number)))
    return versions


@pytest.fixture(scope="module")
def page(variants, compared, key_and_accounts):
    accounts = key_and_accounts[1]
    accounts.add_user("mary", "researcher", PASSWORD)
    app = create_app({"objective_response": variants, "toxicity_any": compared}, accounts)
    with running(app) as address, httpx.Client(base_url=address, follow_redirects=True) as client:
        client.post("/sign-in", data={"name": "mary", "password": PASSWORD, "to": "/"})
        return client.get("/models").text


def text_of(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)).strip()


def test_the_page_begins_with_the_first_model_of_each_outcome_and_its_interval(page, variants):
    answer = page[page.index('id="which"') : page.index('<table class="served">')]
    assert page.index('id="which"') < page.index('<table class="served">') < page.index("To validate it elsewhere")
    first, second = re.findall(r"<p>(.*?)</p>", answer, re.S)
    assert text_of(first).startswith("Response , complete or partial response (RECIST): ")
    assert "AUROC of the margin not estimable in held-out cohorts, 100 patients." in text_of(first)
    assert f"the first of the other {len(variants) - 1} models of this outcome" in text_of(first)
    assert "Toxicity" in second
    assert "which is not promoted" not in first


def test_counts_and_badges_agree(page, variants, compared):
    rows = re.findall(r"<tr>(.*?)</tr>", page[page.index("<tbody>") : page.index("</tbody>")], re.S)
    sections = re.findall(r'<section class="panel [^"]*" aria-labelledby="m\d+">(.*?)</section>', page, re.S)
    promoted = sum(">promoted" in row for row in rows)
    assert len(rows) == len(sections) == len(variants) + len(compared)
    assert f"{len(rows)} served, {promoted} promoted" in page
    assert f"All {len(rows)} served models" in page
    assert promoted == sum(">promoted" in section for section in sections) == len(variants) // 2
    links = re.findall(r'href="#(m\d+)"', page)
    assert links == re.findall(r'<h2 id="(m\d+)"', page)


def test_names_of_the_registry_and_aliases_stand_for_researchers_alone(page):
    sections = re.findall(r'<section class="panel [^"]*" aria-labelledby="m\d+">(.*?)</section>', page, re.S)
    for section in sections:
        (details,) = re.findall(r'<details class="table no-print"><summary>For researchers.*?</details>', section, re.S)
        assert "alias <code>" in details
        rest = text_of(section.replace(details, ""))
        assert not re.search(r"champion|candidate-|\w_\w", rest), rest
    assert "no approval for clinical use" in page


def test_no_word_contradicts_the_strength_of_the_evidence(page, variants):
    rows = re.findall(r"<tr>(.*?)</tr>", page[page.index("<tbody>") : page.index("</tbody>")], re.S)
    sections = re.findall(r'<section class="panel [^"]*" aria-labelledby="m\d+">(.*?)</section>', page, re.S)
    for served, row, section in zip(variants, rows, sections, strict=False):
        words = STRENGTH_WORDS[evidence_strength(served.model.evidence)]
        place = HELD_OUT[served.model.evidence.scheme, len(served.model.evidence.cohorts)]
        for part in (text_of(row), text_of(section).lower()):
            assert words in part
            assert place in part
            assert not re.search(CONTRADICTIONS[words], part.replace(words, "")), part


def test_the_colour_of_a_badge_follows_promotion_and_evidence(page, variants):
    rows = re.findall(r"<tr>(.*?)</tr>", page[page.index("<tbody>") : page.index("</tbody>")], re.S)
    expected = {
        "simulated": ("simulated", "promoted on simulated data"),
        "none": ("care", "promoted, not confirmed"),
        "weak": ("care", "promoted, not confirmed"),
        "moderate": ("ok", "promoted"),
    }
    strengths = set()
    for served, row in zip(variants, rows, strict=False):
        strength = evidence_strength(served.model.evidence)
        promoted = served.alias == "champion"
        badge = expected[strength] if promoted else ("unproven", "served, not promoted")
        assert re.search(r'<span class="tag (\w+)">([^<]+)</span>', row).groups() == badge
        strengths |= {strength} if promoted else set()
    assert strengths == set(expected)


def test_the_comparison_by_verdict_states_the_difference_once_with_its_interval(page):
    sentences = [text_of(text) for text in re.findall(r"applicability domain\?</h3>\s*<p>(.*?)</p>", page, re.S)]
    rest = ", the Brier score of the patients without “ok” minus that of the others, with its 95% interval."
    assert sentences == [
        f"No difference shown: +0.005 (−0.017 to +0.027){rest}",
        f"Yes: +0.050 (+0.028 to +0.072){rest}",
        f"No, better: −0.050 (−0.072 to −0.028){rest}",
    ]
