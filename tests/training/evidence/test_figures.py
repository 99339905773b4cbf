"""Figures: drawn of every kind of evidence, with the cohorts' names and numbers in them, the same each time."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import image
from scipy.stats import beta

from training.evidence.figures import _groups, write_figures

from .validations import estimate, loco, predictions, single, strong

ALWAYS = {"forest", "roc", "precision_recall", "calibration", "decision", "shap_summary"}
RNG = np.random.default_rng(0)
NULLS = {"null": RNG.normal(0.5, 0.04, 200), "best_null": RNG.normal(0.56, 0.03, 200)}


def drawn(validation: dict[str, Any], folder: Path, **nulls: Any) -> dict[str, str]:
    return write_figures(folder, validation, **predictions(validation), **nulls)


def small(validation: dict[str, Any]) -> dict[str, Any]:
    """Return the same of two cohorts, which are drawn faster."""
    return validation | {key: validation[key][:2] for key in ("per_cohort", "decision")}


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    return drawn(loco(), folder, **NULLS), folder


def texts(svg: str) -> list[str]:
    return ["".join(found.itertext()) for found in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_each_is_written_as_png_at_print_size_and_as_svg(figures):
    found, folder = figures
    assert set(found) == ALWAYS | {"permutation", "seeds"}
    assert {path.name for path in folder.iterdir()} == {f"{name}.{kind}" for name in found for kind in ("png", "svg")}
    for name in found:
        pixels = image.imread(folder / f"{name}.png")
        assert pixels.shape[1] == 2130
        assert 0 < (pixels[..., :3] < 0.9).any(axis=-1).mean() < 0.5
    ET.parse(folder / "forest.svg")


@pytest.mark.parametrize("name", ["roc", "precision_recall", "calibration", "decision"])
def test_cohorts_stand_with_their_patients_and_events(figures, name):
    said = texts(figures[0][name])
    for one in loco()["per_cohort"]:
        assert one["cohort"] in said
        assert f"{one['patients']} patients, {one['events']} events" in said


def test_the_forest_names_every_cohort_and_baseline_with_its_numbers(figures):
    said = texts(figures[0]["forest"])
    for wanted in ("lee_2022/Leeds  (18 patients, 9 events)", "0.61 (0.34 to 0.84)", "random-effects mean of 5",
                   "0.52 (0.44 to 0.60)", "0.41 to 0.63", "baseline: published signature  (185 patients)"):  # fmt: skip
        assert wanted in said


def test_what_is_indicative_or_not_estimable_is_said(tmp_path, figures):
    assert texts(figures[0]["decision"]).count("indicative only") == 5
    large = small(loco())
    for one in large["decision"]:
        one["indicative"] = False
    large["per_cohort"][0]["calibration"]["slope"] = None
    large["per_cohort"][1]["auroc"] = estimate(None)
    found = drawn(large, tmp_path)
    assert "indicative only" not in texts(found["decision"])
    assert texts(found["calibration"]).count("slope not estimable") == 1
    assert "one outcome only" in texts(found["forest"])


def test_features_stand_with_the_folds_that_used_them(figures):
    said = texts(figures[0]["shap_summary"])
    assert {"Faecalibacterium_prausnitzii (taxa)", " ▲ 80%", "age (clinical)", " ▼ 100%", "Lachnospiraceae"} <= {*said}
    assert not any("GGB9534" in one for one in said)


def test_the_null_stands_with_what_was_observed(figures):
    said = texts(figures[0]["permutation"])
    assert "this model: p = 0.31, 200 refits to permuted outcomes" in said
    assert "the best of 12 models: p = 0.42, 200 refits to permuted outcomes" in said
    assert {"observed 0.52", "observed 0.56"} <= {*said}


def test_little_evidence_makes_fewer_figures(tmp_path):
    found = drawn(single(), tmp_path)
    assert set(found) == ALWAYS
    assert "no feature has any weight: every answer is the prevalence" in texts(found["shap_summary"])
    assert not any("random-effects" in one for one in texts(found["forest"]))


def test_a_cohort_of_one_outcome_is_drawn_without_warning(tmp_path):
    validation = small(loco())
    validation["per_cohort"][1] |= {"events": 0, "prevalence": 0.0, "auroc": estimate(None)}
    assert set(drawn(validation, tmp_path)) == ALWAYS | {"seeds"}


def test_simulated_data_are_named_in_each(tmp_path):
    for svg in drawn(small(strong()), tmp_path, **NULLS).values():
        assert any("SIMULATED DATA" in one for one in texts(svg))


def test_the_same_evidence_draws_the_same(tmp_path):
    assert drawn(single(), tmp_path) == drawn(single(), tmp_path)


def test_ids_of_two_figures_never_meet_and_all_references_resolve(figures):
    ids = {name: re.findall(r'\bid="([^"]+)"', svg) for name, svg in figures[0].items()}
    everything = [one for found in ids.values() for one in found]
    assert len(everything) == len(set(everything))
    for name, svg in figures[0].items():
        assert set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', svg)) <= {(one, "") for one in ids[name]} | {
            ("", one) for one in ids[name]
        }


def test_nothing_is_loaded_and_text_takes_the_pages_colour(figures):
    for svg in figures[0].values():
        assert not re.search(r'(?:href|src)="(?!#)', svg)
        assert "<metadata" not in svg
        assert "<?xml" not in svg
        assert "currentColor" in svg


def test_groups_are_rising_and_of_ten_or_more():
    probability = beta(2, 3).rvs(58, random_state=1)
    groups = list(_groups(probability))
    assert sorted(np.concatenate(groups).tolist()) == list(range(58))
    assert len(groups) == 5
    assert min(group.size for group in groups) >= 10
    assert all(probability[a].max() < probability[b].min() for a, b in pairwise(groups))
    assert len(list(_groups(np.full(58, 0.4)))) == 1
    assert len(list(_groups(probability[:7]))) == 1
