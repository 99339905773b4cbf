"""Figures of every kind of validation record: names and numbers of the cohorts, and the same output each time."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image
from matplotlib.figure import Figure
from scipy.stats import beta, binomtest
from shap import Explanation

from models.evidence import Validation
from training.drawing import LOWERS, RAISES, WIDTH, write_figure
from training.evidence.figures import draw_calibration, probability_groups, write_figures
from training.evidence.shap_figures import write_shap_figures
from training.validation.permutation_null import NullDistributions

from .validations import LOCO, NOT_ESTIMABLE, NULL, held_out_scores, single, strong

ALWAYS = {"forest", "roc", "precision_recall", "calibration", "decision"}


def draw(validation: Validation, folder: Path, null: NullDistributions | None = None) -> dict[str, str]:
    return write_figures(folder, validation, held_out_scores(validation), null)


def two_cohorts(validation: Validation) -> Validation:
    """Return the same record of two cohorts, which is drawn faster."""
    return replace(validation, per_centre=validation.per_centre[:2], decision_curves=validation.decision_curves[:2])


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    return draw(LOCO, folder, NULL), folder


def texts(svg: str) -> list[str]:
    return ["".join(element.itertext()) for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_each_figure_is_written_as_svg(figures):
    svgs, folder = figures
    assert set(svgs) == ALWAYS | {"permutation", "seeds"}
    assert {path.name for path in folder.iterdir()} == {f"{name}.svg" for name in svgs}
    for name in svgs:
        root = ET.parse(folder / f"{name}.svg").getroot()
        # A4 between its margins: 7.1 inches of 72 points.
        assert root.attrib["width"] == "511.2pt"


def test_a_figure_of_a_report_is_also_written_as_png_at_print_size(tmp_path):
    figure = Figure(figsize=(WIDTH, 1), layout="constrained")
    figure.subplots().plot([0, 1], [0, 1])
    write_figure(tmp_path, "line", figure)
    pixels = image.imread(tmp_path / "line.png")
    assert pixels.shape[1] == 2130
    assert 0 < (pixels[..., :3] < 0.9).any(axis=-1).mean() < 0.5
    assert (tmp_path / "line.svg").exists()


def test_a_figure_is_drawn_once_for_each_file(tmp_path):
    figure = Figure(figsize=(WIDTH, 1), layout="constrained")
    figure.subplots().plot([0, 1], [0, 1])
    drawings = []
    figure.canvas.mpl_connect("draw_event", drawings.append)
    write_figure(tmp_path, "line", figure)
    assert len(drawings) == 2


@pytest.mark.parametrize("name", ["roc", "precision_recall", "calibration", "decision"])
def test_cohorts_are_named_with_their_patients_and_events(figures, name):
    labels = texts(figures[0][name])
    for centre in LOCO.per_centre:
        assert centre.centre in labels
        assert f"{centre.patients} patients, {centre.events} events" in labels


def test_the_forest_plot_names_every_cohort_and_baseline_with_its_numbers(figures):
    labels = texts(figures[0]["forest"])
    for label in ("lee_2022/Leeds  (18 patients, 9 events)", "0.61 (0.34 to 0.84)", "random-effects mean of 5 centres",
                  "0.52 (0.44 to 0.60)", "0.41 to 0.63", "baseline: published signature  (185 patients)"):  # fmt: skip
        assert label in labels


def test_indicative_curves_and_missing_estimates_are_labelled(tmp_path, figures):
    assert texts(figures[0]["decision"]).count("indicative only") == 5
    first, second = LOCO.per_centre[:2]
    validation = replace(
        LOCO,
        decision_curves=tuple(replace(curve, indicative=False) for curve in LOCO.decision_curves[:2]),
        per_centre=(
            replace(first, calibration=replace(first.calibration, slope=NOT_ESTIMABLE)),
            replace(second, auroc=NOT_ESTIMABLE),
        ),
    )
    svgs = draw(validation, tmp_path)
    assert "indicative only" not in texts(svgs["decision"])
    assert texts(svgs["calibration"]).count("slope not estimable") == 1
    assert "one outcome only" in texts(svgs["forest"])


@pytest.fixture(scope="module")
def explanation() -> Explanation:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 30))
    names = [f"taxon_{i}" for i in range(30)]
    return Explanation(X * np.linspace(1, 0.1, 30), np.full(40, -0.3), data=X, feature_names=names)


def test_shap_figures_name_the_features_with_the_largest_values(tmp_path, explanation):
    svgs = write_shap_figures(tmp_path, strong(), explanation)
    assert set(svgs) == {"shap_bar", "shap_beeswarm", "shap_waterfall"}
    for svg in svgs.values():
        labels = " ".join(texts(svg))
        assert "taxon_5" in labels
        assert "SIMULATED DATA" in labels
    assert {path.suffix for path in tmp_path.iterdir()} == {".svg"}


def test_colours_of_raises_and_lowers_are_those_of_the_pages(tmp_path, explanation):
    style = (Path(__file__).parents[3] / "serving" / "static" / "style.css").read_text()
    assert f"--raises: {RAISES}; --lowers: {LOWERS};" in style
    svgs = write_shap_figures(tmp_path, strong(), explanation)
    assert RAISES in svgs["shap_waterfall"]
    assert LOWERS in svgs["shap_waterfall"]
    # Sizes and values of features neither raise nor lower.
    for name in ("shap_bar", "shap_beeswarm"):
        assert RAISES not in svgs[name]
        assert LOWERS not in svgs[name]


def test_a_model_without_features_has_no_shap_figures(tmp_path, explanation):
    assert write_shap_figures(tmp_path, LOCO, Explanation(np.zeros((40, 30)), np.zeros(40))) == {}


def test_the_permutation_null_is_drawn_with_the_observed_auroc(figures):
    labels = texts(figures[0]["permutation"])
    assert "this model: p = 0.31, 200 refits to permuted outcomes" in labels
    assert "the best of 12 models: p = 0.42, 200 refits to permuted outcomes" in labels
    assert "conditional: p = 0.94, 200 refits to permuted profiles" in labels
    assert {"observed 0.52", "observed 0.56"} <= {*labels}


def test_a_single_cohort_has_fewer_figures(tmp_path):
    svgs = draw(single(), tmp_path)
    assert set(svgs) == ALWAYS
    assert not any("random-effects" in label for label in texts(svgs["forest"]))


def test_a_cohort_of_one_outcome_is_drawn_without_warning(tmp_path):
    first, second = LOCO.per_centre[:2]
    no_events = replace(second, events=0, prevalence=0.0, auroc=NOT_ESTIMABLE)
    validation = replace(two_cohorts(LOCO), per_centre=(first, no_events))
    assert set(draw(validation, tmp_path)) == ALWAYS | {"seeds"}


def test_every_figure_of_simulated_data_is_labelled(tmp_path):
    for svg in draw(two_cohorts(strong()), tmp_path, NULL).values():
        assert any("SIMULATED DATA" in label for label in texts(svg))


def test_the_same_record_is_drawn_the_same(tmp_path):
    assert draw(single(), tmp_path) == draw(single(), tmp_path)


def test_ids_are_unique_across_figures_and_all_references_resolve(figures):
    ids = {name: re.findall(r'\bid="([^"]+)"', svg) for name, svg in figures[0].items()}
    all_ids = [identifier for figure_ids in ids.values() for identifier in figure_ids]
    assert len(all_ids) == len(set(all_ids))
    for name, svg in figures[0].items():
        assert set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', svg)) <= {
            (identifier, "") for identifier in ids[name]
        } | {("", identifier) for identifier in ids[name]}


def test_figures_load_nothing_and_their_text_takes_the_colour_of_the_page(figures):
    for svg in figures[0].values():
        assert not re.search(r'(?:href|src)="(?!#)', svg)
        assert "<metadata" not in svg
        assert "<?xml" not in svg
        assert "currentColor" in svg


def test_calibration_shows_the_rate_of_each_group_with_its_exact_interval():
    probability = beta(2, 3).rvs(58, random_state=1)
    y = (np.arange(58) % 3 == 0).astype(float)
    axes = Figure().subplots()
    draw_calibration(axes, y, probability)
    bars, points = axes.lines[1::2], axes.lines[2::2]
    groups = list(probability_groups(probability))
    for group, bar, point in zip(groups, bars, points, strict=True):
        interval = binomtest(int(y[group].sum()), len(group)).proportion_ci(method="exact")
        assert bar.get_ydata() == pytest.approx(list(interval))
        assert point.get_ydata() == pytest.approx([y[group].mean()])


def test_probability_groups_rise_and_have_at_least_ten_patients():
    probability = beta(2, 3).rvs(58, random_state=1)
    groups = list(probability_groups(probability))
    assert sorted(np.concatenate(groups).tolist()) == list(range(58))
    assert len(groups) == 5
    assert min(group.size for group in groups) >= 10
    assert all(probability[a].max() < probability[b].min() for a, b in pairwise(groups))
    assert len(list(probability_groups(np.full(58, 0.4)))) == 1
    assert len(list(probability_groups(probability[:7]))) == 1
