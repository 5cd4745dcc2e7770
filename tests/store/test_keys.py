"""Keys at rest, and what is known of them at a moment: a user's two files, the environment, a data folder's list."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from palimpsest.events.codec import draft
from palimpsest.events.errors import BadInput
from palimpsest.events.prompts import newborn
from palimpsest.events.types import Settings, Timer, TimerSet
from palimpsest.store.folder import DataFolder
from palimpsest.store.keys.files import LOOK_S, Handed, KeyFiles, LiveKeys, handed, key_files
from palimpsest.store.keys.imported import adopt, distrust, imported, keys_for
from palimpsest.store.keys.keys import Access, Credentials, Keys, OpenAI, Trusted, keys_in
from palimpsest.store.logs.contract import Append
from palimpsest.store.logs.sqlite_log import SqliteLog

KEY = "sk-palimpsest-0123456789"
ONE, OTHER = "http://one.example/v1", "http://other.example/v1"
EVER = 2**53


@pytest.fixture
def files(tmp_path: Path) -> KeyFiles:
    return KeyFiles(tmp_path / "config" / "keys.json")


def path_of(files: KeyFiles) -> Path:
    assert files.path is not None
    return files.path


# --- the files ----------------------------------------------------------------------------------------------------


def test_a_key_is_kept_for_its_user_alone(files: KeyFiles) -> None:
    files.keep(Credentials(url=ONE, key=KEY))
    files.keep(Credentials(url=ONE, headers={"X-Tenant": "t-1"}))
    files.keep(Credentials(url=OTHER, key="other-key"))
    assert files.servers() == (
        Credentials(url=ONE, key=KEY, headers={"X-Tenant": "t-1"}),
        Credentials(url=OTHER, key="other-key"),
    )
    assert stat.S_IMODE(path_of(files).stat().st_mode) == 0o600
    assert stat.S_IMODE(path_of(files).parent.stat().st_mode) == 0o700
    assert [path.name for path in path_of(files).parent.iterdir()] == ["keys.json"]


def test_addresses_are_remembered_beside_it_without_a_secret(files: KeyFiles) -> None:
    files.remember(typed=("http://user:word@one.example/v1/?api-version=1",), now_ms=5)
    files.remember(allowed=(OTHER,), now_ms=6)
    assert files.trusted() == Trusted(since_ms=5, typed=(ONE,), allowed=(OTHER,))
    assert files.servers_path is not None
    assert "word" not in files.servers_path.read_text()


def test_what_is_removed_is_forgotten_whole(files: KeyFiles) -> None:
    files.keep(Credentials(url=ONE, key=KEY))
    files.remember(typed=(ONE, OTHER), allowed=(ONE,))
    assert files.remove(ONE + "/")
    assert (files.servers(), files.trusted().typed, files.trusted().allowed) == ((), (OTHER,), ())
    assert not files.remove(ONE)


def test_a_file_that_others_can_read_is_mended_with_a_word(files: KeyFiles) -> None:
    files.keep(Credentials(url=ONE, key=KEY))
    path_of(files).chmod(0o644)
    assert len(files.servers()) == 1
    assert stat.S_IMODE(path_of(files).stat().st_mode) == 0o600
    assert "this user's alone" in files.notes[0]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"servers": 5}', '{"servers": [{"key": "sk-secret-000"}]}', "\xff"])
def test_a_broken_file_is_an_error_that_shows_nothing_of_it(files: KeyFiles, text: str) -> None:
    path_of(files).parent.mkdir()
    path_of(files).write_bytes(text.encode("latin-1"))
    path_of(files).chmod(0o600)
    with pytest.raises(BadInput, match=r"keys\.json cannot be read.*palimpsest keys") as caught:
        files.servers()
    assert "secret" not in str(caught.value)


def test_a_folder_in_its_place_is_an_error(files: KeyFiles) -> None:
    path_of(files).mkdir(parents=True)
    with pytest.raises(BadInput, match="PALIMPSEST_KEYS"):
        files.servers()


@pytest.mark.parametrize(
    "server",
    [
        Credentials(url="one.example", key=KEY),
        Credentials(url=ONE),
        Credentials(url=ONE, key="sk-schlüssel"),
        Credentials(url=ONE, key="two words"),
        Credentials(url=ONE, key="line\nfeed"),
        Credentials(url=ONE, headers={"X: Y": "z"}),
        Credentials(url=ONE, headers={"X-Y": "z\r\nHost: evil"}),
    ],
)
def test_what_cannot_be_sent_is_not_kept(files: KeyFiles, server: Credentials) -> None:
    with pytest.raises(BadInput) as caught:
        files.keep(server)
    assert not path_of(files).exists()
    assert not server.key or server.key not in str(caught.value)


def test_where_they_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert key_files({}).path == tmp_path / ".config/palimpsest/keys.json"
    assert key_files({"XDG_CONFIG_HOME": "/x"}).path == Path("/x/palimpsest/keys.json")
    assert key_files({"PALIMPSEST_KEYS": "~/mine"}).path == tmp_path / "mine"


def test_with_no_home_there_is_no_place_and_that_is_said() -> None:
    files = KeyFiles(None)
    assert (files.servers(), files.trusted()) == ((), Trusted())
    with pytest.raises(BadInput, match="Set HOME, or PALIMPSEST_KEYS"):
        files.keep(Credentials(url=ONE, key=KEY))


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="PALIMPSEST_KEYS to a file elsewhere"):
        KeyFiles(tmp_path / "file" / "keys.json").keep(Credentials(url=ONE, key=KEY))


# --- the environment, and what goes where -------------------------------------------------------------------------


def test_the_environment_names_servers() -> None:
    environ = {
        "PALIMPSEST_KEY_ONE": f"{ONE} {KEY}",
        "PALIMPSEST_KEY_TWO": f"{OTHER} X-Api-Token: other-token",
        "PALIMPSEST_KEY_NONE": "",
        "PALIMPSEST_KEYS": "/somewhere",
    }
    keys = keys_in(environ)
    assert keys.access(ONE).key == KEY
    assert keys.access(OTHER).headers == {"X-Api-Token": "other-token"}
    for value in (KEY, ONE, "one.example " + KEY):
        with pytest.raises(BadInput, match="PALIMPSEST_KEY_X") as caught:
            keys_in({"PALIMPSEST_KEY_X": value})
        assert KEY not in str(caught.value)


def test_the_nearest_address_counts_and_what_is_kept_for_a_server_goes_alone() -> None:
    keys = Keys(
        servers=(Credentials(url="http://one.example", key="wide"), Credentials(url=ONE + "/near", key="near")),
        openai=OpenAI(key=KEY, headers={"OpenAI-Organization": "org"}),
        trusted=Trusted(typed=(ONE,)),
    )
    assert keys.access(ONE).key == "wide"
    assert keys.access(ONE + "/near/you").key == "near"
    assert keys.access("http://one.example/other").headers == {}


def test_while_openai_base_url_names_another_server_the_key_is_not_openais() -> None:
    keys = Keys(openai=OpenAI(key=KEY, url=ONE))
    assert keys.access(ONE).key == KEY
    assert not keys.access("https://api.openai.com/v1").secrets()
    for own in ("", "https://api.openai.com/v1/", "https://eu.api.openai.com/v1"):
        assert Keys(openai=OpenAI(key=KEY, url=own)).access("https://api.openai.com/v1").key == KEY


def test_nothing_secret_is_printed() -> None:
    server = Credentials(url=ONE, key=KEY, headers={"X": "secret-header"})
    keys = Keys(servers=(server,), openai=OpenAI(key=KEY, headers={"X": "secret-header"}))
    shown = [server, keys, keys.openai, keys.access(ONE), Handed(environment=keys, filed=keys), [keys]]
    for each in shown:
        for text in (repr(each), str(each), f"{each!r}"):
            assert KEY not in text
            assert "secret-header" not in text
    assert keys.secrets() == {KEY, "secret-header"}


def test_an_authorization_header_is_sent_unless_other_headers_say_who_asks() -> None:
    assert Access(key=KEY).authorization == f"Bearer {KEY}"
    assert Access().authorization == "Bearer none"
    assert Access(headers={"api-key": "x"}).authorization is None
    assert Access(headers={"authorization": "Basic x"}).authorization == "Basic x"


# --- at each moment -----------------------------------------------------------------------------------------------


def test_the_files_are_looked_at_five_times_a_second_at_most(files: KeyFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("palimpsest.store.keys.files.time.monotonic", lambda: now)
    live = LiveKeys(handed({"PALIMPSEST_KEYS": str(path_of(files))}))
    assert live.access(ONE)[0] == Access()
    files.keep(Credentials(url=ONE, key=KEY))
    assert live.access(ONE)[0] == Access()
    now += LOOK_S
    assert live.access(ONE)[0].key == KEY


def test_a_file_that_changes_is_read_again(files: KeyFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("palimpsest.store.keys.files.LOOK_S", 0.0)
    live = LiveKeys(handed({"PALIMPSEST_KEYS": str(path_of(files))}, imported=(OTHER,)))
    assert live.access(ONE) == (Access(), "")
    assert "keys allow" in live.access(OTHER)[1]
    files.keep(Credentials(url=ONE, key=KEY))
    files.remember(allowed=(OTHER,))
    assert live.access(ONE)[0].key == KEY
    assert live.access(OTHER)[1] == ""
    files.remove(ONE)
    assert live.access(ONE)[0] == Access()
    assert KEY in live.secrets(), "a server may still quote it"
    path_of(files).write_text("{")
    with pytest.raises(BadInput):
        live.access(ONE)


def test_on_a_machine_without_the_files_what_was_handed_over_counts(files: KeyFiles, tmp_path: Path) -> None:
    files.keep(Credentials(url=ONE, key=KEY))
    given = handed({"PALIMPSEST_KEYS": str(path_of(files)), "OPENAI_API_KEY": "sk-of-openai"})
    path_of(files).rename(tmp_path / "elsewhere")
    live = LiveKeys(given)
    assert live.access(ONE)[0].key == KEY
    assert live.access("")[0] == Access()
    live.take(Handed(filed=Keys(servers=(Credentials(url=OTHER, key="more"),), trusted=Trusted(typed=("http://t",)))))
    assert live.access(OTHER)[0].key == "more"
    assert live.access(ONE)[0].key == KEY
    assert live.access("http://t")[0].key == "sk-of-openai"


# --- a data folder's list -----------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    """A data folder of before there was a list, with an agent on a server of its own."""
    folder = DataFolder(tmp_path / "data").create()
    with SqliteLog(folder.log_path()) as log:
        log.open_epoch()
        log.append([Append((draft("ada", 1, newborn(Settings(model="m", base_url=ONE)), key="create"),))])
    return folder


def environ_of(files: KeyFiles) -> dict[str, str]:
    return {"PALIMPSEST_KEYS": str(path_of(files)), "OPENAI_API_KEY": KEY}


def test_the_addresses_of_an_old_folder_go_on_as_typed_and_it_is_said_once(folder: DataFolder, files: KeyFiles) -> None:
    given, notes = keys_for(folder, environ_of(files), EVER)
    assert LiveKeys(given).access(ONE) == (Access(key=KEY, whence="OPENAI_API_KEY"), "")
    assert notes == (f"OPENAI_API_KEY still goes to {ONE}, which agents here have: `keys` shows more.",)
    assert keys_for(folder, environ_of(files), EVER)[1] == ()


def test_a_folder_that_comes_from_elsewhere_gets_no_key(folder: DataFolder, files: KeyFiles) -> None:
    files.remember(now_ms=1)  # long before the folder was written here
    given, notes = keys_for(folder, environ_of(files), EVER)
    assert LiveKeys(given).access(ONE) == (Access(), "")
    assert notes == ()


def test_an_agent_with_a_sign_of_an_import_is_not_taken_for_one_made_here(folder: DataFolder, files: KeyFiles) -> None:
    timer = Timer(id="t", due_ms=5)
    with SqliteLog(folder.log_path()) as log:
        log.open_epoch()
        drafts = (
            draft("eve", 1, newborn(Settings(model="m", base_url=OTHER)), key="create"),
            draft("eve", 1, TimerSet(timer=timer), key="alarm:t", opens="alarm"),
        )
        log.append([Append(drafts, at_rest=True)])
    assert adopt(folder, files, EVER) == (ONE,)


def test_an_import_brings_what_no_agent_here_has(folder: DataFolder, files: KeyFiles) -> None:
    with SqliteLog.open_readonly(folder.log_path()) as log:
        distrust(folder, log, [ONE, OTHER + "/?api-version=1"])
    assert imported(folder) == (OTHER,)
    given, _ = keys_for(folder, environ_of(files), EVER)
    assert LiveKeys(given).access(OTHER)[1]
    assert not LiveKeys(given).access(ONE)[1]


def test_what_is_typed_just_now_counts_where_it_cannot_be_remembered(folder: DataFolder) -> None:
    environ = {"XDG_CONFIG_HOME": "nowhere", "OPENAI_API_KEY": KEY}
    assert keys_for(folder, environ, EVER)[1] == (), "who types nothing need not hear of it"
    given, notes = keys_for(folder, environ, EVER, (OTHER,))
    assert LiveKeys(given).access(OTHER)[0].key == KEY
    assert "is not remembered" in notes[0]


def test_a_file_of_keys_that_was_mended_is_told_of(folder: DataFolder, files: KeyFiles) -> None:
    files.keep(Credentials(url=ONE, key=KEY))
    path_of(files).chmod(0o640)
    assert "mode 600" in keys_for(folder, {"PALIMPSEST_KEYS": str(path_of(files))}, EVER)[1][0]


def test_a_list_that_cannot_be_read_is_an_error(folder: DataFolder, files: KeyFiles) -> None:
    folder.servers_path().write_text("{")
    with pytest.raises(BadInput, match="imported-servers"):
        keys_for(folder, environ_of(files), EVER)


def test_the_list_is_no_secret_and_no_key_is_in_the_folder(folder: DataFolder, files: KeyFiles) -> None:
    files.keep(Credentials(url=ONE, key=KEY))
    keys_for(folder, environ_of(files), EVER, (OTHER,))
    for path in folder.path.rglob("*"):
        assert path.is_dir() or KEY.encode() not in path.read_bytes(), path
    assert os.fspath(path_of(files).parent) not in os.fspath(folder.path)
