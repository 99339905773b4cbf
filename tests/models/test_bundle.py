"""The bundle: what goes in comes out, and what was touched is not read."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import pickle
import shutil
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from features.errors import BundleError
from models.batch import predictions, table_candidates
from models.bundle import PROTOCOL, load_bundle, save_bundle
from models.calibration import Calibration
from models.encoder import Representation
from models.evidence import SeedSpread
from models.families import FAMILIES, LinearPredictor

from .conftest import complete, invented, one_stratum, trained, validation_of
from .test_batch import served
from .test_golden import GOLDEN

Json = dict[str, Any]


def saved_bundle(folder: Path, family: str = "elastic_net") -> Path:
    save_bundle(complete(family), folder / "bundle")
    return folder / "bundle"


def rehashed(bundle: Path, **contents: bytes | None) -> Path:
    """Replace files, or with None take them out, and make the hashes right again: a forger's work, or a fool's."""
    for name, content in contents.items():
        if content is None:
            (bundle / name).unlink()
        else:
            (bundle / name).write_bytes(content)
    hashes = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in bundle.iterdir()
        if path.name != "hashes.json"
    }
    (bundle / "hashes.json").write_text(json.dumps(hashes))
    return bundle


def edited(bundle: Path, edit: Callable[[Json], object]) -> Path:
    description = json.loads((bundle / "bundle.json").read_text())
    edit(description)
    return rehashed(bundle, **{"bundle.json": json.dumps(description).encode()})


def npz(**arrays: Any) -> bytes:
    buffer = BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


@pytest.mark.parametrize("representation", [*get_args(Representation), ("clr", "rank", "genus_presence")], ids=str)
def test_a_loaded_model_predicts_as_the_saved_one(tmp_path: Path, family: str, representation: Any) -> None:
    saved = complete(family, representation=representation)
    save_bundle(saved, tmp_path / "deep" / "bundle")
    loaded = load_bundle(tmp_path / "deep" / "bundle")
    table = invented(seed=3)
    tables = [predictions(served(model), table_candidates(table)) for model in (saved, loaded)]
    assert tables[0].equals(tables[1])
    assert tables[0]["probability"].notna().mean() > 0.9
    for name in ("outcome", "family", "units", "profilers", "evidence", "card", "blocks", "validation", "card_html"):
        assert getattr(loaded, name) == getattr(saved, name)
    assert loaded.calibration == saved.calibration
    assert loaded.reference is not None
    assert saved.reference is not None
    assert loaded.reference.state() == saved.reference.state()
    for name, array in saved.reference.arrays().items():
        np.testing.assert_array_equal(loaded.reference.arrays()[name], array)
    new = table.taxa.values
    np.testing.assert_array_equal(loaded.reference.distances(new), saved.reference.distances(new))


def test_a_model_without_features_can_be_saved(tmp_path: Path, family: str) -> None:
    model = trained(family, ("taxa",))
    table = invented()
    encoder = type(model.encoder)(("taxa",), min_prevalence=1.1)
    X = encoder.fit_transform(table)
    family_to_fit = FAMILIES[family]
    predictor = family_to_fit.fit(X, np.arange(len(table)) % 2.0, one_stratum(X), family_to_fit.settings[0], seed=0)
    save_bundle(replace(model, encoder=encoder, predictor=predictor), tmp_path / "bundle")
    assert load_bundle(tmp_path / "bundle").predictor.margin(X) == pytest.approx(0)


def test_a_bundle_holds_its_files_and_no_other(tmp_path: Path, family: str) -> None:
    names = {path.name for path in saved_bundle(tmp_path, family).iterdir()}
    predictor_file = "linear.npz" if family == "elastic_net" else "trees.ubj"
    assert names == {
        "bundle.json",
        "card.md",
        "card.html",
        "hashes.json",
        "reference.npz",
        "validation.json",
        predictor_file,
    }


def test_without_taxa_there_is_no_cloud(tmp_path: Path) -> None:
    save_bundle(complete("elastic_net", ("immune",)), tmp_path / "bundle")
    assert not (tmp_path / "bundle" / "reference.npz").exists()
    assert load_bundle(tmp_path / "bundle").reference is None


def test_an_old_bundle_has_nothing_of_the_new(tmp_path: Path) -> None:
    model = load_bundle(GOLDEN / "protocol_1_elastic_net")
    assert (model.reference, model.validation, model.card_html) == (None, None, "")
    assert model.calibration.venn_abers is None
    new = saved_bundle(tmp_path)
    for name in ("reference.npz", "validation.json", "card.html"):
        old = shutil.copytree(GOLDEN / "protocol_1_elastic_net", tmp_path / f"with {name}")
        with pytest.raises(BundleError, match="protocol 1 may not"):
            load_bundle(rehashed(old, **{name: (new / name).read_bytes()}))


def test_the_validation_record_stays_out_of_the_description(tmp_path: Path) -> None:
    description = json.loads((saved_bundle(tmp_path) / "bundle.json").read_text())
    assert description["evidence"] == complete("elastic_net").evidence.to_json()
    assert "validation" not in description


def test_saving_twice_writes_the_same_bytes(tmp_path: Path, family: str) -> None:
    first_path, two = saved_bundle(tmp_path / "one", family), saved_bundle(tmp_path / "two", family)
    assert all((two / path.name).read_bytes() == path.read_bytes() for path in first_path.iterdir())


def test_nothing_is_written_over(tmp_path: Path) -> None:
    bundle = saved_bundle(tmp_path)
    with pytest.raises(FileExistsError):
        save_bundle(trained("xgboost"), bundle)
    load_bundle(bundle)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_nan_is_never_written(tmp_path: Path, bad: float) -> None:
    model = trained("elastic_net")
    for broken in (
        replace(model, calibration=Calibration(bad, 0)),
        replace(model, evidence=replace(model.evidence, held_out_brier=bad)),
        replace(model, validation=replace(validation_of({}), seeds=SeedSpread(1, bad, None, ()))),
    ):
        with pytest.raises(ValueError, match="not JSON compliant"):
            save_bundle(broken, tmp_path / "bundle")
        assert not (tmp_path / "bundle").exists()


def test_a_predictor_of_another_kind_is_refused(tmp_path: Path) -> None:
    class Strange:
        n_features = 1

        def margin(self, X: Any) -> Any:
            return X

        def contributions(self, X: Any) -> Any:
            return X, 0.0

    with pytest.raises(TypeError, match="Strange"):
        save_bundle(replace(trained("elastic_net"), predictor=Strange()), tmp_path / "bundle")


@pytest.mark.parametrize("place", ["start", "middle", "end"])
def test_a_changed_byte_in_any_file_is_refused(tmp_path: Path, family: str, place: str) -> None:
    bundle = saved_bundle(tmp_path, family)
    for path in sorted(bundle.iterdir()):
        original = path.read_bytes()
        position = {"start": 0, "middle": len(original) // 2, "end": len(original) - 1}[place]
        path.write_bytes(original[:position] + bytes([original[position] ^ 1]) + original[position + 1 :])
        with pytest.raises(BundleError, match=str(bundle)):
            load_bundle(bundle)
        path.write_bytes(original)
    load_bundle(bundle)


@pytest.mark.parametrize(
    "name", ["model.pkl", "linear.npz.bak", "predictor.joblib", ".hidden", "HASHES.JSON", "ünïcode"]
)
def test_another_file_is_refused_even_with_a_right_hash(tmp_path: Path, name: str) -> None:
    bundle = saved_bundle(tmp_path)
    (bundle / name).write_bytes(pickle.dumps("boo"))
    with pytest.raises(BundleError, match="may not"):
        load_bundle(bundle)
    with pytest.raises(BundleError, match="may not"):
        load_bundle(rehashed(bundle))


@pytest.mark.parametrize(
    "name",
    ["bundle.json", "linear.npz", "card.md", "card.html", "reference.npz", "validation.json", "hashes.json"],
)
def test_a_missing_file_is_refused(tmp_path: Path, name: str) -> None:
    bundle = saved_bundle(tmp_path)
    (bundle / name).unlink()
    with pytest.raises(BundleError):
        load_bundle(bundle)
    if name != "hashes.json":
        with pytest.raises(BundleError):
            load_bundle(rehashed(bundle))


def test_links_folders_and_pipes_are_refused(tmp_path: Path) -> None:
    bundle = saved_bundle(tmp_path)
    card = bundle / "card.md"
    elsewhere = tmp_path / "card.md"
    elsewhere.write_bytes(card.read_bytes())
    for put in (lambda: card.symlink_to(elsewhere), card.mkdir, lambda: os.mkfifo(card)):
        card.rmdir() if card.is_dir() else card.unlink()
        put()
        with pytest.raises(BundleError, match="plain file"):
            load_bundle(bundle)


def archive_of(headers: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in headers.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def npy(shape: tuple[int, ...], n_bytes: int = 0) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return buffer.getvalue() + bytes(n_bytes)


@pytest.mark.parametrize("name", ["linear.npz", "reference.npz"])
@pytest.mark.parametrize(
    ("make_content", "message"),
    [
        # 200 MB of zeros in 200 kB, and 3 GB that are declared only.
        (
            lambda: archive_of({"coef.npy": npy((25_000_000,), 200_000_000)}, zipfile.ZIP_DEFLATED),
            "take more bytes than the file",
        ),
        (lambda: archive_of({"coef.npy": os.urandom(4096)}, zipfile.ZIP_DEFLATED), "coef.npy is compressed"),
        (lambda: archive_of({"coef.npy": npy((2**60,))}), "states a shape of"),
        (lambda: archive_of({"coef.npy": npy((400_000_000,), 8)}), "states a shape of"),
        (lambda: archive_of({"coef.npy": npy((1,), 4096)}), "states a shape of"),
        (lambda: archive_of({"coef.npy": b"PK" * 10}), "magic"),
        (lambda: archive_of({"coef.npy": b""}), "magic"),
        (lambda: gzip.compress(bytes(10_000_000)), "zip"),
    ],
)
def test_an_archive_that_unpacks_to_more_than_it_holds_is_refused_by_name(
    tmp_path: Path, name: str, make_content: Callable[[], bytes], message: str
) -> None:
    bundle = rehashed(saved_bundle(tmp_path), **{name: make_content()})
    tracemalloc.start()
    try:
        with pytest.raises(BundleError, match=message) as refusal:
            load_bundle(bundle)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()
    assert name in str(refusal.value)


@pytest.mark.parametrize("name", ["bundle.json", "validation.json", "card.html", "hashes.json", "linear.npz"])
def test_a_file_larger_than_its_kind_may_be_is_not_read(tmp_path: Path, name: str) -> None:
    bundle = saved_bundle(tmp_path)
    with (bundle / name).open("r+b") as file:
        # Takes no room on the disk.
        file.truncate(600 * 2**20 if name.endswith("npz") else 70 * 2**20)
    with pytest.raises(BundleError, match=rf"{name} is not a plain file of at most [\d,]+ bytes"):
        load_bundle(bundle)


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    for name in ("file", "empty", "absent"):
        with pytest.raises(BundleError):
            load_bundle(tmp_path / name)


@pytest.mark.parametrize("hashes", ["[]", "null", "{}", '{"card.md": 1}', "not json", "[" * 100_000, '"bundle.json"'])
def test_strange_hashes_are_refused(tmp_path: Path, hashes: str) -> None:
    bundle = saved_bundle(tmp_path)
    (bundle / "hashes.json").write_text(hashes)
    with pytest.raises(BundleError, match=r"hashes\.json"):
        load_bundle(bundle)


def test_hashes_of_other_names_are_refused(tmp_path: Path) -> None:
    bundle = saved_bundle(tmp_path)
    hashes = json.loads((bundle / "hashes.json").read_text())
    for other_hashes in ({**hashes, "model.pkl": "0" * 64}, {k: v for k, v in hashes.items() if k != "card.md"}):
        (bundle / "hashes.json").write_text(json.dumps(other_hashes))
        with pytest.raises(BundleError, match="does not list the files"):
            load_bundle(bundle)


@pytest.mark.parametrize("protocol", [0, -1, PROTOCOL + 1, "1", None, [1], 1.5])
def test_an_unknown_protocol_is_refused(tmp_path: Path, protocol: Any) -> None:
    bundle = edited(saved_bundle(tmp_path), lambda description: description.update(protocol=protocol))
    with pytest.raises(BundleError, match="protocol"):
        load_bundle(bundle)


class Boom:
    """Unpickled, it makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("name", ["linear.npz", "reference.npz"])
@pytest.mark.parametrize("how", ["object array", "pickle", "npy pickle"])
def test_a_pickle_in_the_arrays_is_never_run(tmp_path: Path, how: str, name: str) -> None:
    bundle, mark = saved_bundle(tmp_path), tmp_path / "ran"
    objects = np.array([Boom(mark)], dtype=object)
    if how == "object array":
        content = npz(intercept=0.0, coef=objects, mean=objects, profiles=objects, cohorts=objects, left_out=objects)
    elif how == "pickle":
        content = pickle.dumps(Boom(mark))
    else:
        buffer = BytesIO()
        np.save(buffer, objects, allow_pickle=True)
        content = buffer.getvalue()
    with pytest.raises(BundleError):
        load_bundle(rehashed(bundle, **{name: content}))
    assert not mark.exists()


def linear(coef: Any) -> bytes:
    return npz(intercept=0.0, coef=coef, mean=np.zeros(len(coef)))


def cloud(**replacements: Any) -> bytes:
    reference = complete("elastic_net").reference
    assert reference is not None
    return npz(**{**reference.arrays(), **replacements})


@pytest.mark.parametrize(
    "make_contents",
    [
        lambda: {"linear.npz": b""},
        lambda: {"linear.npz": b"PK\x03\x04 damaged"},
        lambda: {"linear.npz": npz(coef=np.zeros(3))},
        lambda: {"linear.npz": linear(np.zeros(3))},
        lambda: {"linear.npz": linear(np.full(35, np.nan))},
        lambda: {"linear.npz": linear(np.full(35, "x"))},
        lambda: {"bundle.json": b"{}"},
        lambda: {"bundle.json": b"[]"},
        lambda: {"bundle.json": b"\xff"},
        lambda: {"bundle.json": b"[" * 100_000},
        lambda: {"card.md": b"\xff\xfe\x00"},
        lambda: {"trees.ubj": b"no trees"},
        lambda: {"linear.npz": None},
        lambda: {"linear.npz": None, "trees.ubj": b"{}"},
        lambda: {"reference.npz": b""},
        lambda: {"reference.npz": cloud(profiles=np.zeros((60, 3)))},
        lambda: {"reference.npz": cloud(profiles=complete("elastic_net").reference.profiles * np.nan)},  # type: ignore[union-attr]
        lambda: {"reference.npz": cloud(cohorts=np.zeros(59, dtype=int))},
        lambda: {"reference.npz": cloud(cohorts=np.ones(60, dtype=int))},
        lambda: {"reference.npz": cloud(left_out=np.arange(60.0)[::-1])},
        lambda: {"reference.npz": cloud(left_out=np.full(60, np.nan))},
        lambda: {"reference.npz": cloud(left_out=np.full(60, "x"))},
        lambda: {"reference.npz": cloud(richness=np.arange(60)[::-1])},
        lambda: {"reference.npz": cloud(richness=np.zeros(59, dtype=int))},
        lambda: {"reference.npz": cloud(known=np.zeros((60, 1), dtype=np.int8))},
        lambda: {"reference.npz": cloud(known=np.full((60, 2), 7, dtype=np.int8))},
        lambda: {"validation.json": b"[]"},
        lambda: {"validation.json": b'{"auroc": NaN}'},
        lambda: {"validation.json": b"[" * 100_000},
        lambda: {"card.html": b"\xff\xfe\x00"},
    ],
)
def test_invalid_contents_are_refused_although_their_hashes_match(tmp_path: Path, make_contents: Any) -> None:
    bundle = rehashed(saved_bundle(tmp_path), **make_contents())
    with pytest.raises(BundleError):
        load_bundle(bundle)


@pytest.mark.parametrize(
    "edit",
    [
        lambda description: description.update(family="svm"),
        lambda description: description.update(family=["elastic_net"]),
        lambda description: description.update(outcome="survival"),
        lambda description: description.update(calibration={"slope": float("nan"), "intercept": 0}),
        lambda description: description.update(calibration={"slope": "1", "intercept": 0}),
        lambda description: description.update(calibration={"slope": 1, "intercept": 0, "more": 0}),
        lambda description: description["calibration"]["venn_abers"].update(high=[2.0] * 60),
        lambda description: description["calibration"]["venn_abers"].pop("low"),
        lambda description: description["calibration"].update(venn_abers="wide"),
        lambda description: description.pop("reference"),
        lambda description: description.update(reference=None),
        lambda description: description["reference"].update(cohorts=[]),
        lambda description: description["reference"].update(outcomes=["toxicity_any"]),
        lambda description: description["reference"].update(cohorts=["invented", "nobody"]),
        lambda description: description["reference"]["steps"].pop(0),
        lambda description: description["reference"]["steps"][0]["learned"].update(kept_=[10**6]),
        lambda description: description.update(protocol=1),
        lambda description: description.pop("encoder"),
        lambda description: description.update(encoder=[]),
        lambda description: description["encoder"]["names"].pop("immune"),
        lambda description: description["encoder"]["steps"]["taxa"][0].update(step="__class__"),
        lambda description: description["encoder"]["steps"]["taxa"][0].update(learned=[]),
        lambda description: description["encoder"]["steps"]["taxa"][0]["learned"].update(kept_=[10**6]),
        lambda description: description["encoder"]["steps"]["taxa"][1]["learned"].update(delta_=float("nan")),
    ],
)
def test_a_description_that_does_not_fit_is_refused_though_its_hash_matches(tmp_path: Path, edit: Any) -> None:
    with pytest.raises(BundleError):
        load_bundle(edited(saved_bundle(tmp_path), edit))


def test_trees_of_other_features_are_refused(tmp_path: Path) -> None:
    other_hashes = trained("xgboost", ("taxa",)).predictor
    assert not isinstance(other_hashes, LinearPredictor)
    bundle = saved_bundle(tmp_path, "xgboost")
    with pytest.raises(BundleError):
        load_bundle(rehashed(bundle, **{"trees.ubj": other_hashes.ubj()}))  # type: ignore[attr-defined]
