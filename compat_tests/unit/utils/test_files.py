import hashlib
import http.server
import io
import os
import tarfile
import threading
import zipfile

import pytest

from kerasmirror.utils import archives, files
from kerasmirror.utils.files import get_file

CONTENT = b"the content of the file\n" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def keras_home(tmp_path, monkeypatch):
    home = tmp_path / "home"
    monkeypatch.setenv("KERAS_HOME", str(home))
    return home


class Server(http.server.BaseHTTPRequestHandler):
    """Serves the dict `pages`; a page may be cut short, and requests are counted."""

    pages = {}
    requests = []

    def do_GET(self):  # noqa: N802 - the base class's name
        path = self.path.split("?")[0]
        self.requests.append(path)
        if path not in self.pages:
            self.send_error(404, "Not Found")
            return
        content, length = self.pages[path]
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    Server.pages, Server.requests = {}, []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def serve(path, content, length=None):
    Server.pages[path] = content, len(content) if length is None else length


def read(path):
    with open(path, "rb") as file:
        return file.read()


@pytest.mark.parametrize("file_hash", [None, SHA256, MD5])
def test_a_file_is_downloaded_once(server, keras_home, file_hash, capsys):
    serve("/folder/data.txt", CONTENT)
    for _ in range(2):
        path = get_file(origin=f"{server}/folder/data.txt?x=1", file_hash=file_hash)
    assert path == str(keras_home / "datasets" / "data.txt")
    assert read(path) == CONTENT
    assert len(Server.requests) == 1
    out = capsys.readouterr().out
    assert out.startswith(f"Downloading data from {server}/folder/data.txt?x=1\n")
    assert "24000/24000" in out


def test_names_and_folders_can_be_chosen(server, tmp_path):
    serve("/data.txt", CONTENT)
    path = get_file(
        "mine.bin", f"{server}/data.txt", cache_dir=tmp_path / "here", cache_subdir="there"
    )
    assert path == str(tmp_path / "here" / "there" / "mine.bin")


def test_the_older_names_of_arguments(server):
    serve("/data.txt", CONTENT)
    assert read(get_file("a", f"{server}/data.txt", md5_hash=MD5)) == CONTENT


def test_a_cached_file_with_another_hash_is_downloaded_again(server, keras_home, capsys):
    serve("/data.txt", CONTENT)
    (keras_home / "datasets").mkdir(parents=True)
    (keras_home / "datasets" / "data.txt").write_bytes(b"old")
    path = get_file(origin=f"{server}/data.txt", file_hash=SHA256)
    assert read(path) == CONTENT
    assert f"does not have the sha256 hash {SHA256}" in capsys.readouterr().out


def test_force_download_ignores_the_cache(server):
    serve("/data.txt", CONTENT)
    get_file(origin=f"{server}/data.txt")
    serve("/data.txt", b"new")
    assert read(get_file(origin=f"{server}/data.txt", force_download=True)) == b"new"


def test_a_download_with_another_hash_is_an_error_and_not_kept(server, keras_home):
    serve("/data.txt", b"changed on the way")
    with pytest.raises(ValueError) as raised:
        get_file(origin=f"{server}/data.txt", file_hash=SHA256)
    assert str(raised.value) == (
        f"get_file: Incomplete or corrupted file: it must have the sha256 hash {SHA256}. "
        f"Received: {hashlib.sha256(b'changed on the way').hexdigest()} from {server}/data.txt"
    )
    assert os.listdir(keras_home / "datasets") == []


def test_a_failed_download_keeps_the_old_file(server, keras_home):
    serve("/data.txt", CONTENT)
    path = get_file(origin=f"{server}/data.txt")
    serve("/data.txt", CONTENT[:100], len(CONTENT))
    with pytest.raises(OSError, match="cannot download"):
        get_file(origin=f"{server}/data.txt", force_download=True)
    assert read(path) == CONTENT
    assert os.listdir(keras_home / "datasets") == ["data.txt"]


def test_the_reason_of_a_failure_is_told(server):
    with pytest.raises(OSError) as raised:
        get_file(origin=f"{server}/absent.txt")
    assert str(raised.value) == (f"get_file: cannot download {server}/absent.txt: 404 Not Found")
    assert raised.value.__cause__.code == 404


def test_offline_is_told():
    with pytest.raises(OSError) as raised:
        get_file(origin="http://127.0.0.1:1/data.txt")
    assert str(raised.value).startswith("get_file: cannot download http://127.0.0.1:1/data.txt: ")
    assert "refused" in str(raised.value)


@pytest.mark.parametrize("name", ["../up", "/etc/passwd", "a\\b", "..", "a/b"])
def test_names_with_folders_are_refused(name):
    with pytest.raises(ValueError) as raised:
        get_file(name, "http://127.0.0.1:1/x")
    assert str(raised.value) == (
        "get_file: `fname` must be a file's name without a folder; `cache_dir` sets that. "
        f"Received: fname={name!r}"
    )


@pytest.mark.parametrize("path", ["", "/", "/x/..", "/x/%2e%2e", "/x/.", "/a%5Cb"])
def test_urls_that_end_in_no_name_are_refused(path):
    with pytest.raises(ValueError, match="`fname` must be given when the URL does not end in"):
        get_file(origin=f"http://127.0.0.1:1{path}")


def test_an_origin_is_needed_and_the_hash_algorithm_known():
    with pytest.raises(ValueError, match="`origin` must be the URL"):
        get_file("a")
    with pytest.raises(ValueError) as raised:
        get_file("a", "http://127.0.0.1:1/a", hash_algorithm="crc")
    assert str(raised.value) == (
        "get_file: `hash_algorithm` must be one of 'auto', 'sha256', 'md5'. "
        "Received: hash_algorithm='crc'"
    )


def test_a_home_that_cannot_be_written_to_is_replaced(server, tmp_path, monkeypatch):
    serve("/data.txt", CONTENT)
    monkeypatch.setattr(files.tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    path = get_file(origin=f"{server}/data.txt", cache_dir=str(blocked / "below"))
    assert path.startswith(str(tmp_path / "temporary" / ".keras-"))


# Archives


def tar_of(members, mode="w:gz"):
    """`members` are (TarInfo or name, content) pairs."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for info, content in members:
            if isinstance(info, str):
                info = tarfile.TarInfo(info)
            info.size = len(content or b"")
            archive.addfile(info, io.BytesIO(content or b""))
    return stream.getvalue()


def zip_of(members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return stream.getvalue()


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def unpacked(tmp_path, content, **arguments):
    """The files below the target, after an attempt to unpack; nothing may lie beside it."""
    archive, target = tmp_path / "in" / "archive", tmp_path / "out" / "target"
    archive.parent.mkdir()
    target.parent.mkdir()
    archive.write_bytes(content)
    archives.extract_archive(str(archive), str(target), **arguments)
    assert os.listdir(target.parent) == ["target"]
    assert sorted(os.listdir(tmp_path)) == ["in", "out"]
    found = {}
    for folder, _, names in os.walk(target):
        for name in names:
            path = os.path.join(folder, name)
            assert os.path.isfile(path) and not os.path.islink(path)
            found[os.path.relpath(path, target)] = read(path)
    return found


MEMBERS = [("top.txt", b"top"), ("folder/inner.txt", b"inner" * 1000), ("folder/empty", b"")]


@pytest.mark.parametrize("make", [tar_of, zip_of, lambda members: tar_of(members, "w:xz")])
def test_archives_are_unpacked(tmp_path, make):
    assert unpacked(tmp_path, make(MEMBERS)) == {
        "top.txt": b"top",
        "folder/inner.txt": b"inner" * 1000,
        "folder/empty": b"",
    }


OUTSIDE = ["../up.txt", "/tmp/kerasmirror-absolute.txt", "a/../../up.txt", "..\\up.txt", "C:\\x"]


@pytest.mark.parametrize("make", [tar_of, zip_of])
@pytest.mark.parametrize("name", OUTSIDE)
def test_names_that_lead_outside_are_left_out(tmp_path, make, name):
    with pytest.warns(UserWarning) as caught:
        found = unpacked(tmp_path, make([("good.txt", b"good"), (name, b"bad")]))
    assert found == {"good.txt": b"good"}
    assert str(caught[0].message).startswith(
        "get_file: a member of the archive was left out, as it leads outside: "
    )
    assert not os.path.exists("/tmp/kerasmirror-absolute.txt")


LINKS = [
    special("link", tarfile.SYMTYPE, "/etc/passwd"),
    special("link", tarfile.SYMTYPE, "good.txt"),
    special("link", tarfile.LNKTYPE, "../in/archive"),
    special("link", tarfile.CHRTYPE),
    special("link", tarfile.FIFOTYPE),
]


@pytest.mark.parametrize("link", LINKS, ids=lambda info: f"{info.type}-{info.linkname}")
def test_links_and_devices_are_left_out(tmp_path, link):
    with pytest.warns(UserWarning, match="as it is a link or a device: 'link'"):
        found = unpacked(tmp_path, tar_of([("good.txt", b"good"), (link, None)]))
    assert found == {"good.txt": b"good"}


def test_a_file_behind_a_linked_folder_stays_inside(tmp_path):
    link = special("folder", tarfile.SYMTYPE, str(tmp_path))
    with pytest.warns(UserWarning, match="a link or a device"):
        found = unpacked(tmp_path, tar_of([(link, None), ("folder/evil.txt", b"evil")]))
    assert found == {"folder/evil.txt": b"evil"}


def test_links_in_zip_files_are_left_out(tmp_path):
    info = zipfile.ZipInfo("link")
    info.external_attr = 0o120777 << 16
    with pytest.warns(UserWarning, match="as it is a link or a device: 'link'"):
        assert unpacked(tmp_path, zip_of([("a", b"a"), (info, b"/etc/passwd")])) == {"a": b"a"}


@pytest.mark.parametrize("make", [lambda members: tar_of(members, "w:xz"), zip_of])
def test_bombs_are_refused_and_leave_nothing(tmp_path, make, monkeypatch):
    monkeypatch.setattr(archives, "_ALWAYS_FINE", 1 << 10)
    monkeypatch.setattr(archives, "_MAX_EXPANSION", 100)
    archive, target = tmp_path / "archive", tmp_path / "target"
    archive.write_bytes(make([("zeros", bytes(1 << 22))]))
    with pytest.raises(ValueError) as raised:
        archives.extract_archive(str(archive), str(target))
    assert str(raised.value) == (
        "get_file: the archive must not hold more than its size allows (an archive bomb). "
        f"Received: {str(archive)!r} of {archive.stat().st_size} bytes"
    )
    assert os.listdir(tmp_path) == ["archive"]


def test_many_small_files_above_the_bound_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "_MAX_MEMBERS", 10)
    archive = tmp_path / "archive"
    archive.write_bytes(tar_of([(f"{i}", b"") for i in range(11)]))
    with pytest.raises(ValueError, match="an archive bomb"):
        archives.extract_archive(str(archive), str(tmp_path / "target"))


def test_what_is_no_archive_is_told(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"plain")
    assert archives.extract_archive(str(path), str(tmp_path / "target")) is False
    assert archives.extract_archive(str(path), str(tmp_path / "target"), None) is False
    with pytest.raises(NotImplementedError, match="Received: archive_format='rar'"):
        archives.extract_archive(str(path), str(tmp_path / "target"), "rar")


@pytest.mark.parametrize(
    ("fname", "url", "arguments", "folder"),
    [
        (None, "/flowers.tgz", {"extract": True}, "flowers.tgz"),
        ("flowers", "/x.tgz", {"extract": True}, "flowers"),
        ("flowers.tar.gz", "/x.tgz", {"extract": True}, "flowers_extracted"),
        ("flowers", "/x.tgz", {"untar": True}, "flowers"),
    ],
)
def test_an_archive_is_downloaded_and_unpacked_once(
    server, keras_home, fname, url, arguments, folder
):
    serve(url, tar_of(MEMBERS))
    path = get_file(fname, server + url, **arguments)
    assert path == str(keras_home / "datasets" / folder)
    assert read(os.path.join(path, "top.txt")) == b"top"
    os.remove(os.path.join(path, "top.txt"))
    assert get_file(fname, server + url, **arguments) == path
    assert Server.requests == [url]


def test_a_new_download_replaces_the_unpacked_folder(server):
    serve("/x.tgz", tar_of(MEMBERS))
    path = get_file("x", f"{server}/x.tgz", extract=True)
    serve("/x.tgz", tar_of([("other.txt", b"other")]))
    get_file("x", f"{server}/x.tgz", extract=True, force_download=True)
    assert os.listdir(path) == ["other.txt"]


def test_a_file_that_is_no_archive_gives_a_warning(server):
    serve("/x.tgz", b"no archive")
    with pytest.warns(UserWarning, match="is no archive that is known"):
        get_file("x", f"{server}/x.tgz", extract=True)
