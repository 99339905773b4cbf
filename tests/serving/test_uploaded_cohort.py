"""A cohort's uploaded files: what is missing or wrong is named, and nothing is kept."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from features.errors import InputError, ManifestError
from serving.upload import UploadedFile
from serving.uploaded_cohort import write_cohort
from serving.validation_jobs import ValidationJobs
from taxokine.simulation import Trial, simulate_trial


@pytest.fixture(scope="module")
def cohort_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    path = simulate_trial(tmp_path_factory.mktemp("trial"), Trial(n_patients=6, n_taxa=30, visits=(-7,)))
    return {file.name: file.read_bytes() for file in path.parent.iterdir()}


def uploads(files: dict[str, bytes]) -> list[UploadedFile]:
    return [UploadedFile(name, content) for name, content in files.items()]


def test_a_cohort_is_written_under_plain_names(cohort_files, tmp_path):
    files = {f"C:\\trial\\{name}": content for name, content in cohort_files.items()}
    cohort = write_cohort(uploads(files), tmp_path / "uploaded")
    assert cohort.name == "simulated_fmt_ici"
    assert {file.name: file.read_bytes() for file in cohort.path.parent.iterdir()} == cohort_files
    assert cohort.path.parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stool_counts.tsv": None}, "manifest.yaml names stool_counts.tsv, which you did not choose"),
        ({"manifest.yaml": None}, "expected one manifest (.yaml) among the files, got none"),
        ({"second.yml": b"name: x"}, "got manifest.yaml, second.yml"),
        ({"a/..": b""}, "is not a name for a file; rename it"),
        ({"tab\t.tsv": b""}, "is not a name for a file; rename it"),
        ({f"{130 * 'é'}.tsv": b""}, "is not a name for a file; rename it"),
        ({"a/manifest.yaml": b""}, "two files are called manifest.yaml"),
    ],
)
def test_files_that_are_no_cohort_are_refused_by_name(cohort_files, tmp_path, change, message):
    files = {name: content for name, content in {**cohort_files, **change}.items() if content is not None}
    with pytest.raises(InputError) as refused:
        write_cohort(uploads(files), tmp_path / "uploaded")
    assert message in str(refused.value)


def test_an_invalid_manifest_names_its_line_but_no_folder_of_the_server(cohort_files, tmp_path):
    files = {**cohort_files, "manifest.yaml": cohort_files["manifest.yaml"].replace(b"\ntaxa:", b"\ntaxas:")}
    with pytest.raises(ManifestError, match=r"(?m)^manifest\.yaml, line \d+: taxas") as refused:
        write_cohort(uploads(files), tmp_path / "uploaded")
    assert str(tmp_path) not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "make_content"),
    [
        # YAML whose aliases unfold to 10^9 items, deep nesting, and a manifest of megabytes.
        ("manifest.yaml", lambda: b"a: &a [x,x,x,x,x,x,x,x,x,x]\n" + b"".join(
            b"%c: &%c [%s]\n" % (98 + i, 98 + i, b",".join([b"*%c" % (97 + i)] * 10)) for i in range(8))),
        ("manifest.yaml", lambda: b"[" * 100_000),
        ("manifest.yaml", lambda: b"name: x\n" + b"".join(b"k%d: [1, {a: b}]\n" % i for i in range(100_000))),
        # Gigabytes in 2 MB, a claim of HDF5, and no end of a line.
        ("stool_counts.tsv", lambda: gzip.compress(bytes(2_000_000_000), 1)),
        ("stool_counts.tsv", lambda: b"\x89HDF\r\n\x1a\n" + bytes(1000)),
        ("stool_counts.tsv", lambda: b"x\t" * 5_000_000),
    ],
    ids=["aliases", "nesting", "large", "bomb", "hdf5", "wide"],
)  # fmt: skip
def test_a_hostile_cohort_is_refused_in_a_process_of_its_own(cohort_files, tmp_path, name, make_content):
    content = make_content()
    before = psutil.Process().memory_info().rss
    with pytest.raises(InputError) as refused:
        write_cohort(uploads({**cohort_files, name: content}), tmp_path / "uploaded")
    assert str(tmp_path) not in str(refused.value)
    assert psutil.Process().memory_info().rss - before < 100e6


READ_WITH_LITTLE_MEMORY = r"""
import re
import sys
from pathlib import Path
from serving import uploaded_cohort
from serving.upload import UploadedFile, child

child._ENVIRONMENT = re.compile(child._ENVIRONMENT.pattern + r"|MALLOC_\w+")

uploaded_cohort.MAX_MEMORY = 2**20
files = [UploadedFile(file.name, file.read_bytes()) for file in Path(sys.argv[1]).iterdir()]
uploaded_cohort.MAX_SECONDS = 900
uploaded_cohort.write_cohort(files, Path(sys.argv[2]))
"""


def test_a_cohort_beyond_the_limits_is_named_with_the_remedy(cohort_files, tmp_path):
    header, row, *_ = cohort_files["stool_counts.tsv"].splitlines(keepends=True)
    counts = row.partition(b"\t")[2]
    large = header + b"".join(b"d__Bacteria;s__Invented_%d\t%b" % (i, counts) for i in range(40_000))
    (folder := tmp_path / "cohort").mkdir()
    for name, content in {**cohort_files, "stool_counts.tsv": large}.items():
        (folder / name).write_bytes(content)
    # A process and each thread's arena hold memory that no limit on new memory counts: here all but little is new.
    finished = subprocess.run(
        [sys.executable, "-c", READ_WITH_LITTLE_MEMORY, str(folder), str(tmp_path / "uploaded")],
        capture_output=True,
        text=True,
        env={**os.environ, "MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536"},
    )
    assert finished.returncode == 1
    assert "InputError: " in finished.stderr
    assert "take more than 1 MB of memory to read; " in finished.stderr
    assert "run 'taxokine validate" in finished.stderr


def test_what_a_refused_upload_or_a_killed_server_left_is_deleted(cohort_files, models, tmp_path: Path):
    folder = tmp_path / "validations"
    jobs = ValidationJobs(folder, tmp_path, {})
    served = models["objective_response"][0]
    del (files := dict(cohort_files))["stool_counts.tsv"]
    with pytest.raises(InputError):
        jobs.start_on_files(served, uploads(files))
    assert not (folder / "uploaded").exists()
    assert jobs.latest(served) is None
    write_cohort(uploads(cohort_files), folder / "uploaded")
    ValidationJobs(folder, tmp_path, {})
    assert not (folder / "uploaded").exists()
