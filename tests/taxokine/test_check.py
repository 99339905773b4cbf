from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from features.audit import Finding
from taxokine.cli import main
from taxokine.reports.cohorts import audit_report, findings_table
from taxokine.simulation import Trial, simulate_trial


@pytest.fixture
def trial(tmp_path: Path) -> Path:
    return simulate_trial(tmp_path / "trial", Trial(n_patients=30, n_taxa=40, visits=(-7, 28)))


def check(*paths: Path) -> Result:
    return CliRunner().invoke(main, ["cohorts", "check", *map(str, paths)])


def test_a_clean_cohort_passes(trial: Path) -> None:
    result = check(trial)
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1].startswith("audit: 0 errors, 0 warnings, ")


def test_an_error_in_the_data_is_exit_status_1_and_a_wrong_manifest_2(trial: Path) -> None:
    table = trial.parent / "stool_counts.tsv"
    taxa = pd.read_csv(table, sep="\t")
    taxa.assign(**{"SIM-002-V1": taxa["SIM-001-V1"]}).to_csv(table, sep="\t", index=False)
    result = check(trial)
    assert result.exit_code == 1
    assert "error: same-stool\n  simulated_fmt_ici: 1 pair of patients" in result.output
    assert "    SIM-001 and SIM-002 (1.000)\n  why  " in result.output
    assert result.output.splitlines()[-1].startswith("audit: 1 error, 0 warnings, ")
    (trial.parent / "manifest.yaml").write_text("name: nothing\n")
    assert check(trial).exit_code == 2


def test_the_report_groups_by_kind_and_names_a_few_rows() -> None:
    warning = Finding("b", "warning", "first", tuple("123456789"), "nine of them", "it matters", "mend it")
    note = Finding("a", "note", "first", (), "a fact", "so", "nothing")
    report = audit_report([warning, note, Finding(**{**vars(warning), "cohort": "second"})])
    assert [str(line) for line in report] == [
        "",
        "warning: b",
        "  first: nine of them",
        "    1, 2, 3, 4, 5 and 4 more",
        "  second: nine of them",
        "    1, 2, 3, 4, 5 and 4 more",
        "  why  it matters",
        "  do   mend it",
        "",
        "note: a",
        "  first: a fact",
        "  why  so",
        "  do   nothing",
        "",
        "audit: 0 errors, 2 warnings, 1 note",
    ]


def test_every_row_of_the_findings_is_named_and_written(trial: Path, tmp_path: Path) -> None:
    table = trial.parent / "stool_counts.tsv"
    taxa = pd.read_csv(table, sep="\t")
    samples = [f"SIM-{i:03}-V1" for i in range(1, 9)]
    taxa.assign(**dict.fromkeys(samples, 0)).to_csv(table, sep="\t", index=False)
    assert f"    {', '.join(samples[:5])} and 3 more\n" in check(trial).output
    out = tmp_path / "findings.csv"
    result = CliRunner().invoke(
        main, ["cohorts", "check", str(trial), "--full", "--out", str(out)], catch_exceptions=False
    )
    assert result.exit_code == 1, result.output
    assert f"    {', '.join(samples)}\n" in result.output
    findings = pd.read_csv(out)
    assert findings.loc[findings["code"] == "empty-sample", "row"].tolist() == samples
    assert set(findings["severity"]) >= {"error", "note"}


def test_no_cell_of_the_findings_is_a_formula_of_a_spreadsheet() -> None:
    names = ("=cmd|'/c calc'!A0", "+1", "-1", "@SUM(1)", "\t=1", "S-1")
    table = findings_table([Finding("b", "warning", "first", names, "what", "why", "do")])
    assert table["row"].tolist() == ["'=cmd|'/c calc'!A0", "'+1", "'-1", "'@SUM(1)", "'\t=1", "S-1"]
