"""The encoder: fitted on training rows alone, the same after JSON, indifferent to order and to unknown names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from skbio.stats.composition import clr, multi_replace

from features.arrays import Matrix
from features.feature_table import Block, FeatureTable
from features.measured_values import CensoredPolicy
from models.encoder import BlockEncoder, EncoderState, Representation, Representations, missing_value

from .conftest import BLOCKS, UNITS, invented

POLICIES = get_args(CensoredPolicy)
REPRESENTATIONS = get_args(Representation)
SIDE_BY_SIDE: tuple[Representation, ...] = ("clr", "rank", "genus_clr", "genus_presence")


STATE = TypeAdapter(EncoderState)


def with_block(table: FeatureTable, name: str, block: Block) -> FeatureTable:
    return replace(table, **{name: block})


def with_immune(values: np.ndarray, *names: str) -> FeatureTable:
    return with_block(invented().take(np.arange(len(values))), "immune", Block(names, values))


def encoding(encoder: BlockEncoder, table: FeatureTable, name: str) -> np.ndarray:
    column = [feature.name for feature in encoder.features_].index(name)
    return encoder.transform(table)[:, column]


@pytest.mark.parametrize("representation", [*REPRESENTATIONS, SIDE_BY_SIDE], ids=str)
@pytest.mark.parametrize("censored", POLICIES)
def test_json_keeps_the_encoder(representation: Representations, censored: CensoredPolicy) -> None:
    table = invented()
    original = BlockEncoder(BLOCKS, representation, 0.2, censored)
    X = original.fit_transform(table)
    restored = BlockEncoder.from_state(STATE.validate_json(STATE.dump_json(original.state())))
    np.testing.assert_array_equal(restored.transform(table), X)
    np.testing.assert_array_equal(restored.transform(invented(seed=1)), original.transform(invented(seed=1)))
    assert restored.features_ == original.features_
    assert restored.names_ == original.names_
    assert restored.used_ == original.used_
    assert restored.get_params() == original.get_params()
    np.testing.assert_array_equal([restored.low_, restored.high_], [original.low_, original.high_])


def test_rows_are_the_same_however_many_are_encoded_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    table, encoder = invented(), BlockEncoder(BLOCKS, SIDE_BY_SIDE)
    X, shapes = encoder.fit_transform(table), []
    encode_rows = BlockEncoder._encode

    def recorded(self: BlockEncoder, values: Mapping[str, Matrix]) -> Matrix:
        shapes.append(len(values["taxa"]))
        return encode_rows(self, values)

    monkeypatch.setattr(BlockEncoder, "_encode", recorded)
    monkeypatch.setattr("features.row_blocks.ROWS_OF_BLOCK", 25)
    np.testing.assert_array_equal(encoder.transform(table), X)
    assert max(shapes) == 25
    assert sum(shapes) == len(X)


@pytest.mark.parametrize("representation", REPRESENTATIONS)
def test_what_was_left_out_of_training_changes_nothing(representation: Representation) -> None:
    table, second_encoder = invented(), invented(seed=5)
    train = np.arange(40)
    mixed = table
    for name in BLOCKS:
        n_kept, strange = table.block(name), 1e3 * second_encoder.block(name).values
        mixed = with_block(mixed, name, Block(n_kept.names, np.vstack([n_kept.values[:40], strange[40:]])))
    first_encoder, two = (
        BlockEncoder(BLOCKS, representation).fit(full_encoder.take(train)) for full_encoder in (table, mixed)
    )
    assert first_encoder.state() == two.state()
    # The left-out rows themselves are the same whoever stands beside them.
    test = np.arange(40, 60)
    np.testing.assert_allclose(
        first_encoder.transform(table.take(test))[:1], first_encoder.transform(table.take(test[:1])), atol=1e-12
    )


def test_fit_and_transform_are_fit_transform() -> None:
    table = invented()
    np.testing.assert_array_equal(
        BlockEncoder(BLOCKS).fit(table).transform(table), BlockEncoder(BLOCKS).fit_transform(table)
    )


@pytest.mark.parametrize("representation", REPRESENTATIONS)
@given(seed=st.integers(0, 1000))
def test_the_order_of_names_is_no_matter(representation: Representation, seed: int) -> None:
    table = invented(20)
    encoder = BlockEncoder(BLOCKS, representation).fit(table)
    rng, shuffled = np.random.default_rng(seed), table
    for name in BLOCKS:
        block = table.block(name)
        order = rng.permutation(len(block.names))
        shuffled = with_block(shuffled, name, Block(tuple(block.names[i] for i in order), block.values[:, order]))
    np.testing.assert_array_equal(encoder.transform(shuffled), encoder.transform(table))


@pytest.mark.parametrize("representation", REPRESENTATIONS)
def test_a_name_unseen_in_training_has_no_effect(representation: Representation) -> None:
    table = invented()
    encoder = BlockEncoder(BLOCKS, representation).fit(table)
    extended = table
    for name in BLOCKS:
        block = table.block(name)
        strange = Block(("Strange_one", *block.names), np.column_stack([np.full(len(table), 0.5), block.values]))
        extended = with_block(extended, name, strange)
    np.testing.assert_array_equal(encoder.transform(extended), encoder.transform(table))


def test_a_taxon_that_is_missing_was_not_found_and_anything_else_is_unknown() -> None:
    table = invented()
    encoder = BlockEncoder(BLOCKS).fit(table)
    fewer, spelled_out = table, table
    for name in BLOCKS:
        block = table.block(name)
        fewer = with_block(fewer, name, Block(block.names[1:], block.values[:, 1:]))
        values = block.values.copy()
        values[:, 0] = missing_value(name)
        spelled_out = with_block(spelled_out, name, Block(block.names, values))
    np.testing.assert_array_equal(encoder.transform(fewer), encoder.transform(spelled_out))
    nothing = table
    for name in BLOCKS:
        nothing = with_block(nothing, name, Block((), np.empty((len(table), 0))))
    assert np.isfinite(encoder.transform(nothing)).all()


def test_clr_is_scikit_bios() -> None:
    table = invented()
    encoder = BlockEncoder(("taxa",), "clr", 0.3).fit(table)
    n_kept = np.flatnonzero((table.taxa.values > 0).mean(axis=0) >= 0.3)
    assert [feature.name for feature in encoder.features_] == [table.taxa.names[i] for i in n_kept]
    assert [feature.source for feature in encoder.features_] == n_kept.tolist()
    values = table.taxa.values[:, n_kept]
    closed = values / values.sum(axis=1, keepdims=True)
    delta = min(closed[closed > 0].min() / 2, 0.5 / len(n_kept))
    np.testing.assert_allclose(encoder.transform(table), clr(multi_replace(closed, delta)), atol=1e-9)


def test_each_representation_names_its_features() -> None:
    table = invented()
    names = {r: [f.name for f in BlockEncoder(("taxa",), r).fit(table).features_] for r in REPRESENTATIONS}
    assert names["clr"] == names["rank"]
    assert set(names["presence"]) < set(names["clr"]) < set(table.taxa.names)
    assert names["genus_clr"] == list(dict.fromkeys(name.split("_")[0] for name in names["clr"]))
    assert set(names["genus_presence"]) <= set(names["genus_clr"])
    assert names["diversity"] == ["richness", "shannon", "simpson"]
    assert {f.source for f in BlockEncoder(("taxa",), "diversity").fit(table).features_} == {-1}


def test_used_are_the_columns_that_reach_the_matrix() -> None:
    table = invented()
    encoder = BlockEncoder(BLOCKS, "clr", 0.3).fit(table)
    for block in BLOCKS:
        assert list(encoder.used_[block]) == [f.name for f in encoder.features_ if f.block == block]
        assert all(encoder.names_[block][position] == name for name, position in encoder.used_[block].items())
    # Sums and indices are computed from every column.
    for representation in ("genus_clr", "genus_presence", "diversity"):
        assert len(BlockEncoder(("taxa",), representation).fit(table).used_["taxa"]) == len(table.taxa.names)


def test_immune_numbers_are_logarithms_unless_they_already_are() -> None:
    table = invented()
    encoder = BlockEncoder(("immune",)).fit(table)
    values = dict(zip(table.immune.names, table.immune.values.T, strict=True))
    for name, unit in UNITS.items():
        known_values = np.isfinite(values[name])
        reference_values = (
            values[name][known_values] if unit in {"NPX", "log2_expression"} else np.log10(values[name][known_values])
        )
        np.testing.assert_allclose(encoding(encoder, table, name)[known_values], reference_values)


@pytest.mark.parametrize(
    ("policy", "below", "above"), [("half_limit", 1.0, 40.0), ("limit", 2.0, 40.0), ("missing", 8.0, 8.0)]
)
def test_beyond_an_unstated_limit_comes_from_training(policy: CensoredPolicy, below: float, above: float) -> None:
    train = with_immune(np.array([[2.0], [8.0], [40.0], [np.nan]]), "IL-6")
    encoder = BlockEncoder(("immune",), censored=policy).fit(train)
    # 0.001 is smaller than anything in training; it is no limit.
    test = with_immune(np.array([[-np.inf], [np.inf], [np.nan], [0.001]]), "IL-6")
    encoded = encoding(encoder, test, "IL-6")
    np.testing.assert_allclose(10 ** encoded[:3], [below, above, 8.0])


def test_half_of_a_logarithm_is_one_less() -> None:
    train = with_immune(np.array([[2.0], [8.0], [40.0]]), "CD40L")
    encoder = BlockEncoder(("immune",)).fit(train)
    np.testing.assert_allclose(encoding(encoder, with_immune(np.array([[-np.inf]]), "CD40L"), "CD40L"), 1.0)


def test_an_analyte_seldom_measured_is_dropped() -> None:
    train = with_immune(np.array([[2.0, np.nan], [8.0, np.nan], [40.0, 3.0]]), "IL-6", "IL-8")
    encoder = BlockEncoder(("immune",)).fit(train)
    assert [feature.name for feature in encoder.features_] == ["IL-6"]
    assert encoder.names_["immune"] == ("IL-6", "IL-8")
    assert list(encoder.used_["immune"]) == ["IL-6"]


def test_no_column_may_stand() -> None:
    table = invented()
    encoder = BlockEncoder(("taxa",), min_prevalence=1.1)
    assert encoder.fit_transform(table).shape == (len(table), 0)
    assert BlockEncoder.from_state(STATE.validate_json(STATE.dump_json(encoder.state()))).transform(table).shape == (
        len(table),
        0,
    )


@given(values=st.lists(st.floats(0, 1e15) | st.sampled_from([np.nan, np.inf, -np.inf]), min_size=5, max_size=5))
def test_whatever_was_measured_the_encoding_is_finite(values: list[float]) -> None:
    encoder = BlockEncoder(("immune",)).fit(invented())
    assert np.isfinite(encoder.encode({"immune": np.array([values])})).all()


def test_side_by_side_each_representation_is_encoded_as_alone() -> None:
    table, rows = invented(), invented(seed=4)
    encoder = BlockEncoder(BLOCKS, SIDE_BY_SIDE).fit(table)
    X = encoder.transform(rows)
    for representation, columns in zip(SIDE_BY_SIDE, encoder.encodings_["taxa"], strict=True):
        single = BlockEncoder(("taxa",), representation).fit(table)
        np.testing.assert_array_equal(X[:, columns], single.transform(rows))
        assert encoder.features_[columns] == single.features_
    assert sum(len(encoder.encodings_[block]) for block in BLOCKS) == len(SIDE_BY_SIDE) + 2


def test_a_taxon_side_by_side_is_explained_once_by_the_sum_of_its_columns() -> None:
    encoder = BlockEncoder(BLOCKS, SIDE_BY_SIDE).fit(invented())
    names = [(feature.block, feature.name) for feature in encoder.explained_]
    assert len(set(names)) == len(names) < len(encoder.features_)
    terms = np.random.default_rng(0).normal(size=(3, len(encoder.features_)))
    summed = encoder.sum_by_feature(terms)
    for i, feature in enumerate(encoder.explained_):
        columns = [j for j, other in enumerate(encoder.features_) if other == feature]
        np.testing.assert_allclose(summed[:, i], terms[:, columns].sum(axis=1))
    first = encoder.explained_columns(np.arange(len(encoder.features_), dtype=float)[None])[0].astype(int)
    assert [encoder.features_[i] for i in first] == encoder.explained_
