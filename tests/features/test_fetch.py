import hashlib
import socket
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from features.errors import DataMissing, FileError
from features.fetch import cohort_files
from features.manifest import SourceFile

CONTENT = b"clade_name\ts1\ns__A\t100.0\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
OTHER_SHA256 = "0" * 64


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *_args: object) -> None:
        pass


class Broken(Quiet):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[:5])


class Server:
    def __init__(self, handler: object) -> None:
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)  # type: ignore[arg-type]
        self.thread = Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self.address = f"127.0.0.1:{self.http.server_port}"

    def __enter__(self) -> str:
        self.thread.start()
        return self.address

    def __exit__(self, *_: object) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def published_url(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "published"
    folder.mkdir()
    (folder / "Lee merged.txt").write_bytes(CONTENT)
    with Server(partial(Quiet, directory=str(folder))) as address:
        yield f"http://{address}/Lee%20merged.txt"


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


def files_in(data_dir: Path) -> list[Path]:
    return [path for path in data_dir.rglob("*") if path.is_file()]


def test_missing_file_is_fetched_once(published_url: str, data_dir: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = SourceFile(name="taxa.tsv", sha256=SHA256.upper(), url=published_url)
    path = data_dir / "lee_2022" / "taxa.tsv"
    assert cohort_files(data_dir / "lee_2022", [file]) == {"taxa.tsv": path}
    assert path.read_bytes() == CONTENT
    assert files_in(data_dir) == [path]
    modified_ns = path.stat().st_mtime_ns
    cohort_files(data_dir / "lee_2022", [file])
    assert path.stat().st_mtime_ns == modified_ns
    assert capfd.readouterr() == ("", "")


def test_progress_goes_to_stderr(published_url: str, data_dir: Path, capfd: pytest.CaptureFixture[str]) -> None:
    cohort_files(data_dir / "lee_2022", [SourceFile(name="taxa.tsv", sha256=SHA256, url=published_url)], progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "100%" in err


def test_fetched_file_with_another_hash_is_removed(published_url: str, data_dir: Path) -> None:
    with pytest.raises(FileError, match=r"(?s)taxa\.tsv.*" + OTHER_SHA256 + ".*" + SHA256):
        cohort_files(data_dir / "lee_2022", [SourceFile(name="taxa.tsv", sha256=OTHER_SHA256, url=published_url)])
    assert files_in(data_dir) == []


def test_http_error_names_the_published_file_and_the_status(published_url: str, data_dir: Path) -> None:
    file = SourceFile(name="taxa.tsv", sha256=SHA256, url=published_url.replace("Lee", "Leigh"))
    with pytest.raises(DataMissing, match=r"taxa\.tsv.*Leigh merged\.txt.*404"):
        cohort_files(data_dir / "lee_2022", [file])
    assert files_in(data_dir) == []


def test_broken_transfer_leaves_no_file(data_dir: Path) -> None:
    with Server(Broken) as address, pytest.raises(DataMissing, match="it broke"):
        cohort_files(data_dir / "lee_2022", [SourceFile(name="taxa.tsv", sha256=SHA256, url=f"http://{address}/x.tsv")])
    assert files_in(data_dir) == []


def test_connection_error_does_not_show_the_secrets_of_the_url(
    data_dir: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://user:hunter2@127.0.0.1:{unused.getsockname()[1]}/x.tsv?token=t0ken"
        with pytest.raises(DataMissing, match=r"x\.tsv: no connection") as caught:
            cohort_files(data_dir / "lee_2022", [SourceFile(name="taxa.tsv", sha256=SHA256, url=url)])
    output = str(caught.value) + "".join(capfd.readouterr())
    assert "hunter2" not in output
    assert "t0ken" not in output
    assert caught.value.__suppress_context__
    assert files_in(data_dir) == []


def test_present_file_is_used_without_a_hash(data_dir: Path) -> None:
    path = data_dir / "own" / "taxa.tsv"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"anything")
    assert cohort_files(data_dir / "own", [SourceFile(name="taxa.tsv")]) == {"taxa.tsv": path}


def test_corrupt_present_file_is_named_and_not_removed(published_url: str, data_dir: Path) -> None:
    path = data_dir / "lee_2022" / "taxa.tsv"
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT[:-1])
    actual = hashlib.sha256(CONTENT[:-1]).hexdigest()
    with pytest.raises(FileError, match=f"{actual}.*{SHA256}.*delete it to fetch again"):
        cohort_files(data_dir / "lee_2022", [SourceFile(name="taxa.tsv", sha256=SHA256, url=published_url)])
    assert path.read_bytes() == CONTENT[:-1]


@pytest.mark.parametrize(("fetch", "reason"), [(True, "no url"), (False, "switched off")])
def test_missing_file_that_cannot_be_fetched(published_url: str, data_dir: Path, fetch: bool, reason: str) -> None:
    files = [SourceFile(name="a.tsv", sha256=SHA256, url=published_url), SourceFile(name="b.tsv")]
    with pytest.raises(DataMissing, match=rf"b\.tsv not in .*lee_2022.*{reason}.*TAXOKINE_DATA"):
        cohort_files(data_dir / "lee_2022", files, fetch=fetch)
    assert files_in(data_dir) == []


def test_unwritable_folder_is_explained(published_url: str, data_dir: Path) -> None:
    data_dir.write_text("a file stands where the folder should be")
    with pytest.raises(DataMissing, match="writable"):
        cohort_files(data_dir / "lee_2022", [SourceFile(name="taxa.tsv", sha256=SHA256, url=published_url)])


@pytest.mark.parametrize(
    ("name", "sha256", "url", "match"),
    [
        ("../taxa.tsv", None, None, "plain name"),
        ("/taxa.tsv", None, None, "plain name"),
        ("", None, None, "plain name"),
        ("taxa.tsv", "abc", None, "String should match pattern"),
        ("taxa.tsv", SHA256, "http://example.org/taxa.tsv", "https"),
        ("taxa.tsv", SHA256, "http://127.0.0.1.example.org/taxa.tsv", "https"),
        ("taxa.tsv", SHA256, "ftp://example.org/taxa.tsv", "https"),
        ("taxa.tsv", SHA256, "file:///taxa.tsv", "https"),
        ("taxa.tsv", SHA256, "https://example.org/", "https"),
        ("taxa.tsv", SHA256, "https://[example/taxa.tsv", "https"),
        ("taxa.tsv", None, "https://example.org/taxa.tsv", "no sha256"),
    ],
)
def test_invalid_source_file(name: str, sha256: str | None, url: str | None, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        SourceFile(name=name, sha256=sha256, url=url)


def test_published_cohort_from_a_server(cohorts_dir: Path, data_dir: Path) -> None:
    # Both hashes are those of the files as published by omicsEye/Cancer-Microbiome.
    hashes = {
        "metaphlan4_merged.tsv": "79de4f9a90e1c49b7ced415a89aab93bbee42c274356b276204787a2b332e87d",
        "metadata.tsv": "624c004ca07e0a9ea19607e04a4dde4a91b8247127d25f77fc05cd454c1d94df",
    }
    with Server(partial(Quiet, directory=str(cohorts_dir / "frankel_2017"))) as address:
        files = [
            SourceFile(name=name, sha256=sha256, url=f"http://{address}/{name}") for name, sha256 in hashes.items()
        ]
        paths = cohort_files(data_dir / "frankel_2017", files)
    assert cohort_files(data_dir / "frankel_2017", files, fetch=False) == paths
    for name, path in paths.items():
        assert path.read_bytes() == (cohorts_dir / "frankel_2017" / name).read_bytes()
