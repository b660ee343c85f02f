"""Settings: read from the environment, refused with the name of the variable and never a secret."""

from datetime import timedelta
from pathlib import Path

import pytest

from app.settings import SettingError, Settings


@pytest.fixture(autouse=True)
def no_settings_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"DOCYARD_{name.upper()}", raising=False)


def test_all_that_is_not_said_follows_from_the_data_folder(tmp_path: Path) -> None:
    settings = Settings.read(data_dir=tmp_path)
    assert settings.database_url == f"sqlite:///{tmp_path}/docyard.db"
    assert settings.redis_url == f"unix://{tmp_path}/valkey/valkey.sock"
    assert settings.store_url == f"file://{tmp_path}/files"
    assert (settings.allowed_origins, settings.secret_keys) == ((), ())
    assert (settings.heartbeat, settings.lease) == (timedelta(seconds=5), timedelta(seconds=15))


def test_the_environment_is_read_and_what_is_empty_is_not_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DOCYARD_LEASE", "12.5")
    monkeypatch.setenv("DOCYARD_PORT", "")
    monkeypatch.setenv("DOCYARD_ALLOWED_ORIGINS", "https://a.example, https://b.example,")
    monkeypatch.setenv("DOCYARD_SECRET_KEYS", f"{'a' * 32},{'b' * 40}")
    settings = Settings.read()
    assert settings.lease == timedelta(seconds=12.5)
    assert settings.port == 8000
    assert settings.allowed_origins == ("https://a.example", "https://b.example")
    assert settings.link_keys == (b"a" * 32, b"b" * 40)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            {"heartbeat": "8", "lease": "15"},
            "DOCYARD_HEARTBEAT must be at most half of DOCYARD_LEASE.",
        ),
        (
            {"job_timeout": "601", "max_job_timeout": "600"},
            "DOCYARD_JOB_TIMEOUT must be at most DOCYARD_MAX_JOB_TIMEOUT.",
        ),
        (
            {"max_job_timeout": "1728001"},
            "DOCYARD_MAX_JOB_TIMEOUT must be at most 1728000 seconds (20 days).",
        ),
        (
            {"upload_lifetime": "604801"},
            "DOCYARD_UPLOAD_LIFETIME must be at most 604800 seconds (7 days).",
        ),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(
    given: dict[str, str], sentence: str
) -> None:
    with pytest.raises(SettingError) as refused:
        Settings.read(**given)
    assert str(refused.value) == sentence


def test_the_command_line_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCYARD_PORT", "1234")
    assert Settings.read(port=4321).port == 4321
    assert Settings.read(port=None).port == 1234


def test_a_data_folder_is_made_absolute() -> None:
    assert Settings.read(data_dir=Path("data")).data_dir == Path.cwd() / "data"
    assert Settings.read(data_dir=Path("~/data")).data_dir == Path.home() / "data"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PORT", "70000", "(it is '70000')"),
        ("PORT", "http", "(it is 'http')"),
        ("LEASE", "0", "must be more than 0 seconds"),
        ("LEASE", "-1", "must be more than 0 seconds"),
        ("LEASE", "soon", "must be a number of seconds"),
        ("LEASE", "1e300", "must be a number of seconds"),
        ("LEASE", "nan", "must be a number of seconds"),
        ("WORKERS", "257", "less than or equal to 256"),
        ("LOG_LEVEL", "LOUD", "(it is 'LOUD')"),
        ("ALLOWED_ORIGINS", "example.com", "'example.com' is no origin"),
        ("ALLOWED_ORIGINS", "https://a.example,https://b.example/", "'https://b.example/' is no"),
        ("ALLOWED_ORIGINS", "*", "'*' is no origin"),
        ("PUBLIC_URL", "docyard.example", "must begin with http:// or https:// and a name"),
        ("PUBLIC_URL", "https://", "must begin with http:// or https:// and a name"),
        ("PUBLIC_URL", "https://docyard.example/?a=1", "must have no ? and no #"),
        ("SECRET_KEYS", "hush", "each key must have 32 characters or more"),
    ],
)
def test_a_wrong_value_names_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"DOCYARD_{name}", value)
    with pytest.raises(SettingError) as refused:
        Settings.read()
    assert f"DOCYARD_{name}" in str(refused.value)
    assert said in str(refused.value)
    assert "hush" not in str(refused.value)


def test_settings_show_no_secret_and_do_not_change() -> None:
    settings = Settings.read(secret_keys="s" * 32)
    assert "sss" not in repr(settings)
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1
