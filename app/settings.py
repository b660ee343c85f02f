"""Every setting, with default and unit: read once, by the command line, and passed on."""

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from platformdirs import user_data_path
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

MIB = 1024 * 1024
GIB = 1024 * MIB
SECRET_KEY_CHARS = 32
PREFIX = "DOCYARD_"
OF_CLIENTS = {"DOCYARD_URL", "DOCYARD_API_KEY"}
"""Variables of `docyard run`, which are no settings of the service."""


class SettingError(Exception):
    """A setting has a wrong value; the text names the variable and what was expected."""


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("must be more than 0 seconds")
    return value


def _seconds(value: object) -> object:
    if isinstance(value, timedelta):
        return value
    try:
        return timedelta(seconds=float(str(value)))
    except (ValueError, OverflowError):
        raise ValueError("must be a number of seconds") from None


def _absolute(value: Path) -> Path:
    return value.expanduser().absolute()


def _split(value: object) -> object:
    return (
        [part.strip() for part in value.split(",") if part.strip()]
        if isinstance(value, str)
        else value
    )


def _origins(value: tuple[str, ...]) -> tuple[str, ...]:
    for origin in value:
        url = urlsplit(origin)
        if not url.hostname or origin != f"{url.scheme}://{url.netloc}":
            raise ValueError(f"{origin!r} is no origin; write https://example.com, without a path")
    return value


def _public(value: str) -> str:
    url = urlsplit(value)
    if value and not (url.scheme in {"http", "https"} and url.hostname):
        raise ValueError("must begin with http:// or https:// and a name")
    if url.query or url.fragment:
        raise ValueError("must have no ? and no #")
    return value


def _long_enough(value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    if any(len(key.get_secret_value()) < SECRET_KEY_CHARS for key in value):
        raise ValueError(f"each key must have {SECRET_KEY_CHARS} characters or more")
    return value


Seconds = Annotated[timedelta, BeforeValidator(_seconds), AfterValidator(_positive)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Secrets = Annotated[
    tuple[SecretStr, ...], NoDecode, BeforeValidator(_split), AfterValidator(_long_enough)
]


class Settings(BaseSettings):
    """The settings of one process. Each is the variable DOCYARD_<NAME>; durations in seconds."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="ignore"
    )

    data_dir: Annotated[Path, AfterValidator(_absolute)] = Field(
        default_factory=lambda: user_data_path("docyard", appauthor=False),
        description="Folder for everything `docyard up` keeps. Default: the user's data folder.",
    )
    database_url: str = Field(
        default_factory=lambda data: f"sqlite:///{data['data_dir'] / 'docyard.db'}",
        description="`sqlite:///path` or `postgresql://user:password@host/name`. "
        "Default: a SQLite file in the data folder.",
    )
    redis_url: str = Field(
        default_factory=lambda data: f"unix://{data['data_dir'] / 'valkey' / 'valkey.sock'}",
        description="`redis://host:port/0` or `unix:///path`. "
        "Default: the bundled Valkey in the data folder.",
    )
    store_url: str = Field(
        default_factory=lambda data: f"file://{data['data_dir'] / 'files'}",
        description="Where files are kept: `file:///path` or `s3://bucket/prefix`. "
        "Default: in the data folder.",
    )
    secret_keys: Secrets = Field(
        default=(),
        description="Keys that sign links and seal secrets, separated by commas: the first signs "
        "and seals, all are accepted. 32 characters or more each. Default: one is made in the data "
        "folder.",
    )
    public_url: Annotated[str, AfterValidator(_public)] = Field(
        default="", description="Address under which callers reach the API; links begin with it."
    )
    host: str = Field(default="127.0.0.1", description="Address the API listens on.")
    port: int = Field(
        default=8000, ge=0, le=65535, description="Port the API listens on; 0 takes a free one."
    )
    allowed_origins: Annotated[Names, AfterValidator(_origins)] = Field(
        default=(),
        description="Origins of web pages that may call the API, separated by commas.",
    )
    introspection: bool = Field(
        default=True, description="Whether GraphQL tells callers its schema."
    )
    field_suggestions: bool = Field(
        default=True, description="Whether GraphQL errors guess the name that was meant."
    )
    workers: int = Field(
        default=0, ge=0, le=256, description="Worker processes of `docyard up`; 0: one per core."
    )
    worker_slots: int = Field(
        default=1, ge=1, le=64, description="Jobs that one worker process runs at once."
    )
    upload_limit_bytes: int = Field(default=10 * GIB, ge=1, description="Largest file, in bytes.")
    request_limit_bytes: int = Field(
        default=100 * MIB,
        ge=1024,
        description="Largest GraphQL request, files in it included, in bytes.",
    )
    free_disk_bytes: int = Field(
        default=256 * MIB, ge=0, description="Free disk space below which files are refused."
    )
    upload_lifetime: Seconds = Field(
        default=timedelta(hours=24), description="How long an unfinished upload takes bytes."
    )
    max_open_jobs: int = Field(
        default=10_000, ge=1, description="Open jobs one application may have."
    )
    max_running_jobs: int = Field(
        default=0,
        ge=0,
        description="Jobs of one application that may run at once; 0: as many as there are "
        "workers. Like the setting before, it holds for applications that are made from then on.",
    )
    ageing: Seconds = Field(
        default=timedelta(minutes=10),
        description="Wait in the queue that raises the priority of a job by one class.",
    )
    job_timeout: Seconds = Field(
        default=timedelta(hours=1), description="Longest run of a job that names no other."
    )
    max_job_timeout: Seconds = Field(
        default=timedelta(hours=24), description="Longest run a job may ask for."
    )
    max_attempts: int = Field(
        default=3, ge=1, le=100, description="Attempts of a job whose worker is lost."
    )
    draft_lifetime: Seconds = Field(
        default=timedelta(hours=24), description="How long a job that is not started takes data."
    )
    job_ttl: Seconds = Field(
        default=timedelta(days=30),
        description="How long a job that names no other time is kept once it has ended.",
    )
    document_ttl: Seconds = Field(
        default=timedelta(days=30),
        description="How long a document is kept that names no other time and that no job uses.",
    )
    page_limit: int = Field(default=10_000, ge=1, description="Pages one document may have.")
    page_time: Seconds = Field(
        default=timedelta(seconds=30), description="Longest time one page may take."
    )
    sandbox_memory_bytes: int = Field(
        default=2 * GIB, ge=256 * MIB, description="Memory one document may take."
    )
    heartbeat: Seconds = Field(
        default=timedelta(seconds=5), description="How often a worker says that it is alive."
    )
    lease: Seconds = Field(
        default=timedelta(seconds=15), description="Silence after which a worker counts as lost."
    )
    sweep: Seconds = Field(
        default=timedelta(seconds=5), description="How often lost work is looked for."
    )
    retry_delay: Seconds = Field(
        default=timedelta(seconds=1), description="Wait before a lost job is taken up again."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Least severe level that is logged."
    )

    @model_validator(mode="after")
    def _fit(self) -> "Settings":
        """Refuse settings that are right by themselves and wrong together."""
        wrong = [
            (2 * self.heartbeat > self.lease, "HEARTBEAT must be at most half of DOCYARD_LEASE"),
            (
                self.job_timeout > self.max_job_timeout,
                "JOB_TIMEOUT must be at most DOCYARD_MAX_JOB_TIMEOUT",
            ),
            (
                self.max_job_timeout > timedelta(days=20),
                "MAX_JOB_TIMEOUT must be at most 1728000 seconds (20 days)",
            ),
            (
                self.upload_lifetime > timedelta(days=7),
                "UPLOAD_LIFETIME must be at most 604800 seconds (7 days)",
            ),
        ]
        for is_wrong, sentence in wrong:
            if is_wrong:
                raise ValueError(f"DOCYARD_{sentence}")
        return self

    @classmethod
    def read(cls, **given: object) -> "Settings":
        """Read the environment; `given` (the command line) comes first, None is not given.

        Raises:
            SettingError: a value is wrong. The text never repeats a secret.
        """
        try:
            return cls(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
        except ValidationError as error:
            raise SettingError(_sentence(error)) from None

    @property
    def link_keys(self) -> tuple[bytes, ...]:
        """The keys that sign links and seal secrets: the first does, all are accepted."""
        return tuple(key.get_secret_value().encode() for key in self.secret_keys)


def _sentence(error: ValidationError) -> str:
    """One sentence a wrong variable: its name, the value unless it may be secret, the fault."""
    sentences = []
    for fault in error.errors():
        if not fault["loc"]:  # settings that do not fit together; the sentence names them
            sentences.append(f"{fault['msg'].removeprefix('Value error, ')}.")
            continue
        name = str(fault["loc"][0])
        shown = "" if name.endswith(("keys", "url")) else f" (it is {fault['input']!r})"
        message = fault["msg"].removeprefix("Value error, ")
        sentences.append(f"DOCYARD_{name.upper()}{shown}: {message}.")
    return " ".join(sentences)


def unread_variables(names: Iterable[str]) -> set[str]:
    """Return those of the names that look like our variables and are none: misspelt, or of old."""
    ours = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | OF_CLIENTS
    return {name for name in names if name.startswith(PREFIX)} - ours


def shown_default(name: str) -> str:
    """Return the default of a setting as it is written into its variable; for the README."""
    default = Settings.model_fields[name].default
    if isinstance(default, timedelta):
        return f"{default.total_seconds():.10g}"
    if default is PydanticUndefined or default in {"", ()}:
        return ""
    return str(default)
