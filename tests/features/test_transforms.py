import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from skbio.diversity.alpha import shannon, simpson, sobs
from skbio.stats import composition
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from features.arrays import Matrix
from features.errors import InputError
from features.immune import ImmuneSpec, read_immune
from features.transforms import (
    CLR,
    TRANSFORMERS,
    AlphaDiversity,
    BlockTransformer,
    CensoredFill,
    FittedState,
    GenusSums,
    Log10,
    MeanFill,
    MedianFill,
    PresenceAbsence,
    PrevalenceFilter,
    Ranks,
    ZeroReplacement,
    closure,
    genus_of,
    restore_transformer,
)

SPECIES = ["Alistipes_putredinis", "Alistipes_shahii", "Dialister_invisus", "Candidatus_Cibiobacter_qucibialis"]
PARTS = st.one_of(st.just(0.0), st.floats(1e-4, 100))
VALUES = st.one_of(st.floats(0, 1e6, allow_subnormal=False), st.just(np.nan))


def matrices(elements: st.SearchStrategy[float], columns: int = 4) -> st.SearchStrategy[Matrix]:
    """Some rows of four columns."""
    return st.integers(1, 5).flatmap(lambda rows: arrays.arrays(np.float64, (rows, columns), elements=elements))


def compositions() -> st.SearchStrategy[Matrix]:
    return matrices(PARTS).filter(lambda X: bool(X.sum(axis=1).all()))


@given(compositions())
def test_closure_agrees_with_scikit_bio(X: Matrix) -> None:
    np.testing.assert_allclose(closure(X), np.atleast_2d(composition.closure(X)))


def test_closure_of_zeros_is_zeros() -> None:
    np.testing.assert_array_equal(closure(np.zeros((1, 3))), np.zeros((1, 3)))


@given(compositions(), compositions())
def test_zero_replacement_agrees_with_scikit_bio(train: Matrix, X: Matrix) -> None:
    step = ZeroReplacement().fit(train)
    assert 0 < step.delta_ <= 0.5 / X.shape[1]
    np.testing.assert_allclose(step.transform(X), np.atleast_2d(composition.multi_replace(X, delta=step.delta_)))


@given(compositions())
def test_zero_replacement_keeps_ratios_and_closure(X: Matrix) -> None:
    replaced = ZeroReplacement().fit_transform(X)
    np.testing.assert_allclose(replaced.sum(axis=1), 1)
    assert (replaced > 0).all()
    for row, out in zip(X, replaced, strict=True):
        positive = row > 0
        np.testing.assert_allclose(out[positive] / out[positive].sum(), row[positive] / row[positive].sum())


def test_zeros_become_half_the_smallest_proportion_of_the_training_rows() -> None:
    step = ZeroReplacement().fit([[1, 99, 0], [50, 0, 50]])
    assert step.delta_ == pytest.approx(0.005)
    np.testing.assert_allclose(step.transform([[0.001, 99.999, 0]])[0, 2], 0.005)


def test_a_sample_without_taxa_is_neutral() -> None:
    steps = make_pipeline(ZeroReplacement(), CLR()).fit([[1, 2, 0], [3, 0, 1]])
    np.testing.assert_allclose(steps.transform([[0, 0, 0]]), [[0, 0, 0]], atol=1e-15)


@given(matrices(st.floats(1e-6, 1e6)), st.floats(1e-3, 1e3), st.permutations(range(4)))
def test_clr(X: Matrix, scale: float, order: list[int]) -> None:
    out = CLR().fit_transform(X)
    np.testing.assert_allclose(out, np.atleast_2d(composition.clr(X)), atol=1e-9)
    np.testing.assert_allclose(out.sum(axis=1), 0, atol=1e-9)
    np.testing.assert_allclose(CLR().fit_transform(X * scale), out, atol=1e-9)
    np.testing.assert_allclose(CLR().fit_transform(X[:, order]), out[:, order], atol=1e-9)


@pytest.mark.parametrize("part", [0, -1])
def test_a_log_ratio_of_zero_is_refused(part: float) -> None:
    with pytest.raises(InputError, match=f"got {part}; put ZeroReplacement before CLR"):
        CLR().fit([[1, part]])
    with pytest.raises(InputError, match="parts above zero"):
        CLR().fit([[1, 1]]).transform([[1, part]])


@given(compositions())
def test_alpha_diversity_agrees_with_scikit_bio(X: Matrix) -> None:
    indices = [[sobs(row), shannon(row, base=np.e), simpson(row)] for row in X]
    np.testing.assert_allclose(AlphaDiversity().fit_transform(X), indices, atol=1e-12)


def test_alpha_diversity_of_an_empty_sample_is_zero() -> None:
    np.testing.assert_array_equal(AlphaDiversity().fit_transform([[0, 0, 0]]), [[0, 0, 0]])


def test_prevalence_is_that_of_the_training_rows() -> None:
    train = np.array([[1, 0, 0, 1], [1, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]], dtype=float)
    step = PrevalenceFilter(0.25).fit(train)
    assert step.get_feature_names_out(list("abcd")).tolist() == ["a", "b", "d"]
    np.testing.assert_array_equal(step.transform(np.array([[0, 0, 7.0, 2]])), [[0, 0, 2]])
    assert PrevalenceFilter(0.26).fit(train).get_feature_names_out(list("abcd")).tolist() == ["a"]


def test_presence_absence() -> None:
    np.testing.assert_array_equal(PresenceAbsence().fit_transform([[0, 1e-9, 3]]), [[0, 1, 1]])


@given(matrices(PARTS))
def test_ranks_agree_with_pandas_and_do_not_move_with_depth(X: Matrix) -> None:
    ranks = pd.DataFrame(X).rank(axis=1).to_numpy() / X.shape[1]
    np.testing.assert_allclose(Ranks().fit_transform(X), ranks)
    np.testing.assert_allclose(Ranks().fit_transform(4 * X), ranks)


def test_common_taxa_can_be_dropped() -> None:
    X = np.array([[1, 0, 1], [1, 1, 1], [1, 0, 1], [1, 1, 0.0]])
    assert PrevalenceFilter(0.1, 0.9).fit(X).get_feature_names_out(["a", "b", "c"]).tolist() == ["b", "c"]


@given(matrices(PARTS))
def test_genus_sums_agree_with_pandas(X: Matrix) -> None:
    step = GenusSums(SPECIES).fit(X)
    sums = pd.DataFrame(X, columns=SPECIES).T.groupby(genus_of, sort=False).sum().T
    np.testing.assert_allclose(step.transform(X), sums)
    assert step.get_feature_names_out(SPECIES).tolist() == list(sums)


def test_genera_are_named_by_the_species_whatever_the_input_names() -> None:
    step = GenusSums(SPECIES).fit(np.ones((2, 4)))
    assert step.get_feature_names_out().tolist() == ["Alistipes", "Dialister", "Candidatus_Cibiobacter"]
    assert step.set_output(transform="pandas").transform(np.ones((1, 4))).shape == (1, 3)


def test_genus_sums_need_a_column_for_each_species() -> None:
    with pytest.raises(InputError, match="each of 4 species, got 3 columns"):
        GenusSums(SPECIES).fit(np.ones((2, 3)))


@pytest.mark.parametrize(
    ("species", "genus"),
    [
        ("Akkermansia_muciniphila", "Akkermansia"),
        ("Candidatus_Cibiobacter_qucibialis", "Candidatus_Cibiobacter"),
        ("Candidatus_Avimonas", "Candidatus_Avimonas"),
        ("GGB9708_SGB15234", "GGB9708"),
        ("unclassified_Lachnospiraceae", "unclassified_Lachnospiraceae"),
        ("unclassified_Clostridia", "unclassified_Clostridia"),
        ("Escherichia", "Escherichia"),
    ],
)
def test_genus_of(species: str, genus: str) -> None:
    assert genus_of(species) == genus


def test_fill_learns_from_the_training_rows_only() -> None:
    train = np.array([[4.0, -np.inf], [-np.inf, 2.0], [10.0, np.nan]])
    fill = CensoredFill().fit(train)
    np.testing.assert_array_equal(fill.low_, [2, 1])
    np.testing.assert_array_equal(fill.high_, [10, 2])
    np.testing.assert_array_equal(fill.transform([[1.0, np.inf], [np.inf, -np.inf]]), [[1, 2], [10, 1]])
    np.testing.assert_array_equal(fill.transform(train), [[4, 1], [2, 2], [10, np.nan]])


@pytest.mark.parametrize(
    ("policy", "log2", "filled"),
    [("limit", [0], [-2, 3]), ("half_limit", [0], [-3, 3]), ("half_limit", [], [-1, 3]), ("missing", [], [np.nan] * 2)],
)
def test_fill_policies(policy: str, log2: list[int], filled: list[float]) -> None:
    fill = CensoredFill(policy, log2).fit([[-2.0], [3.0]])
    np.testing.assert_array_equal(fill.transform([[-np.inf], [np.inf]]).ravel(), filled)


def test_fill_halves_each_column_on_its_own_scale() -> None:
    fill = CensoredFill("half_limit", log2=[1]).fit([[8.0, 8.0]])
    np.testing.assert_array_equal(fill.transform([[-np.inf, -np.inf]]), [[4, 7]])


def test_an_analyte_beyond_its_limit_in_every_training_row_becomes_a_constant() -> None:
    fill = CensoredFill().fit([[-np.inf, 1.0], [np.nan, 2.0], [-np.inf, 3.0]])
    filled = fill.transform([[-np.inf, 1.0], [np.inf, 1.0], [7.0, 1.0], [np.nan, 1.0]])
    assert filled[0, 0] == filled[1, 0]
    np.testing.assert_array_equal(filled[2:, 0], [7, np.nan])


def test_fill_refuses_an_unknown_policy() -> None:
    with pytest.raises(InputError, match="policy"):
        CensoredFill("zero").fit([[1.0]])


def test_fill_is_a_scikit_learn_transformer() -> None:
    frame = pd.DataFrame({"IL-6": [1.0, -np.inf, 3.0], "IL-8": [np.inf, 5.0, np.nan]})
    fill = clone(CensoredFill("limit")).fit(frame)
    assert fill.get_params() == {"policy": "limit", "log2": ()}
    assert fill.get_feature_names_out().tolist() == ["IL-6", "IL-8"]
    assert fill.set_output(transform="pandas").transform(frame).columns.tolist() == ["IL-6", "IL-8"]
    filled = make_pipeline(CensoredFill("limit"), SimpleImputer()).fit_transform(frame)
    np.testing.assert_array_equal(filled, [[1, 5], [1, 5], [3, 5]])


@given(matrices(st.one_of(VALUES, st.sampled_from([np.inf, -np.inf]))))
def test_fill_leaves_numbers_alone_and_no_infinity(X: Matrix) -> None:
    filled = CensoredFill().fit_transform(X)
    np.testing.assert_array_equal(filled[np.isfinite(X)], X[np.isfinite(X)])
    np.testing.assert_array_equal(np.isnan(filled), np.isnan(X))
    assert not np.isinf(filled).any()


def test_fill_of_momspi(cohorts_dir: Path) -> None:
    path = cohorts_dir / "momspi" / "blood_cytokines.csv"
    spec = ImmuneSpec(
        layout="wide",
        key=["subject_id", "visit_number"],
        unit="unstated",
        below_codes=[-2],
        above_codes=[-1],
        drop=["sample_id"],
        exclude={"FGF basic": "zero throughout", "IL-17": "zero throughout"},
    )
    table = read_immune(path, spec)
    raw = pd.read_csv(path)
    filled = CensoredFill().set_output(transform="pandas").fit_transform(table.wide("half_limit"))
    assert not filled.isna().any(axis=None)
    for published, analyte in table.synonyms().items():
        measured_values = raw[published].where(raw[published] >= 0)
        values = measured_values.mask(raw[published] == -2, measured_values.min() / 2).mask(
            raw[published] == -1, measured_values.max()
        )
        np.testing.assert_allclose(filled[analyte], values)


def test_log10_of_chosen_columns() -> None:
    step = Log10([0, 2]).fit([[100, -3, 0], [10, -4, 8], [np.nan, 2, np.nan]])
    np.testing.assert_allclose(
        step.transform([[1000, -5, 0], [np.nan, 0, 100]]), [[3, -5, np.log10(4)], [np.nan, 0, 2]]
    )


def test_median_fill() -> None:
    train = np.array([[1, np.nan, np.nan, 5], [3, np.nan, 2, np.nan], [8, 7, np.nan, 1]])
    step = MedianFill(0.5).fit(train)
    assert step.get_feature_names_out(list("abcd")).tolist() == ["a", "d"]
    np.testing.assert_array_equal(step.transform([[np.nan, 1, 1, np.nan], [9, 1, 1, 2]]), [[3, 3], [9, 2]])
    imputed = SimpleImputer(strategy="median").fit_transform(train)
    np.testing.assert_array_equal(MedianFill(0).fit_transform(train), imputed)


def test_mean_fill_is_uninformative_for_0_and_1() -> None:
    train = np.array([[1, 4.0], [1, np.nan], [0, 5], [np.nan, 9]])
    imputed = SimpleImputer(strategy="mean").fit_transform(train)
    np.testing.assert_array_equal(MeanFill(0).fit_transform(train), imputed)


def test_a_column_never_measured_is_dropped_whatever_the_share() -> None:
    assert MedianFill(0).fit([[np.nan, 1.0]]).get_feature_names_out(["a", "b"]).tolist() == ["b"]


STEP: dict[str, Callable[[], BlockTransformer]] = {
    "PrevalenceFilter": lambda: PrevalenceFilter(0.5),
    "ZeroReplacement": ZeroReplacement,
    "CLR": CLR,
    "PresenceAbsence": PresenceAbsence,
    "Ranks": Ranks,
    "GenusSums": lambda: GenusSums(SPECIES),
    "AlphaDiversity": AlphaDiversity,
    "CensoredFill": lambda: CensoredFill("half_limit", [1, 3]),
    "Log10": lambda: Log10([0, 2]),
    "MedianFill": lambda: MedianFill(0.4),
    "MeanFill": lambda: MeanFill(0.4),
}
GAPS = ("CensoredFill", "Log10", "MedianFill", "MeanFill")


def test_every_step_is_tested() -> None:
    assert set(STEP) == set(TRANSFORMERS)


@pytest.mark.parametrize("name", STEP)
@settings(max_examples=40)
@given(data=st.data())
def test_a_step_restored_from_json_transforms_equally(name: str, data: st.DataObject) -> None:
    elements = {"CensoredFill": VALUES | st.sampled_from([np.inf, -np.inf]), "CLR": st.floats(1e-3, 10)}
    inputs = matrices(elements.get(name, VALUES if name in GAPS else PARTS))
    step = STEP[name]().fit(data.draw(inputs))
    X = data.draw(inputs)
    state = FittedState(**json.loads(json.dumps(asdict(step.state()), allow_nan=False)))
    restored = restore_transformer(state)
    np.testing.assert_array_equal(restored.transform(X), step.transform(X))
    np.testing.assert_array_equal(restored._kernel(X), step.transform(X))
    assert restored.names_out(SPECIES) == step.get_feature_names_out(SPECIES).tolist()
    assert restored.transform(X).shape == (len(X), len(restored.names_out(SPECIES)))
    assert restored.state() == state


@pytest.mark.parametrize("name", STEP)
def test_scikit_learn_conventions(name: str) -> None:
    frame = pd.DataFrame(np.arange(1.0, 13).reshape(3, 4), columns=SPECIES)
    step = STEP[name]()
    assert clone(step).get_params() == step.get_params()
    with pytest.raises(NotFittedError):
        step.transform(frame)
    step.fit(frame)
    assert step.n_features_in_ == 4
    out = step.set_output(transform="pandas").transform(frame)
    assert out.columns.tolist() == step.get_feature_names_out().tolist()
    with pytest.raises(ValueError, match="3 features, but"):
        STEP[name]().fit(frame.to_numpy()).transform(frame.to_numpy()[:, :3])
    with pytest.raises(ValueError, match="feature names should match"):
        step.transform(frame[SPECIES[::-1]])
    with pytest.raises(ValueError, match="3 features, but"):
        restore_transformer(step.state()).transform(np.ones((1, 3)))


@pytest.mark.parametrize("name", STEP)
def test_transform_does_not_fit(name: str) -> None:
    rng = np.random.default_rng(0)
    train, X = rng.uniform(0.1, 1, (6, 4)), rng.uniform(5, 9, (5, 4))
    step = STEP[name]().fit(train)
    state = step.state()
    together = step.transform(X)
    np.testing.assert_array_equal(together, np.vstack([step.transform(row[None]) for row in X]))
    assert step.state() == state


@pytest.mark.parametrize("name", [name for name in STEP if name not in {"GenusSums", "Log10", "CensoredFill"}])
def test_steps_accept_a_matrix_without_columns(name: str) -> None:
    out = STEP[name]().fit(np.empty((2, 0))).transform(np.empty((3, 0)))
    assert out.shape == (3, 3 if name == "AlphaDiversity" else 0)
    assert not np.isnan(out).any()


@pytest.mark.parametrize("name", STEP)
def test_missing_values_are_accepted_only_by_imputing_steps(name: str) -> None:
    X = np.array([[1, 2, 3, np.nan], [1, 2, 3, 4]])
    if name in GAPS:
        assert STEP[name]().fit(X).transform(X).shape[0] == 2
    else:
        with pytest.raises(ValueError, match="NaN"):
            STEP[name]().fit(X)


def expected_failures(step: Any) -> dict[str, str]:
    failing = {"check_estimators_empty_data_messages": "a fold may leave no column standing"}
    if isinstance(step, CensoredFill):
        failing["check_estimators_nan_inf"] = "infinities are what it fills"
    return failing


@parametrize_with_checks(
    [
        PrevalenceFilter(),
        ZeroReplacement(),
        PresenceAbsence(),
        Ranks(),
        AlphaDiversity(),
        CensoredFill(),
        Log10([]),
        MedianFill(),
        MeanFill(),
    ],
    expected_failed_checks=expected_failures,
)
def test_scikit_learn_checks(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


@pytest.mark.parametrize("step", list(TRANSFORMERS.values()), ids=lambda step: step.__name__)
def test_each_of_many_rows_is_transformed_as_it_is_alone(step: type[BlockTransformer]) -> None:
    X = np.random.default_rng(0).dirichlet(np.ones(len(SPECIES)), 1_100)
    params: dict[type, dict[str, Any]] = {GenusSums: {"species": SPECIES}, Log10: {"columns": [0]}}
    transformer = step(**params.get(step, {})).fit(X)
    transformed = transformer.transform(X)
    assert len(transformed) == len(X)
    np.testing.assert_array_equal(transformer.fit_transform(X), transformed)
    for row in (0, 511, 512, 1_023, 1_024, 1_099):
        np.testing.assert_array_equal(transformed[row], transformer.transform_unchecked(X[[row]])[0])
