"""Tables of applications and API keys."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint
from sqlmodel import Field, SQLModel

from app.clock import now
from app.db.columns import Word, new_id, words


class Scope(StrEnum):
    """What a key may do; each includes those before it."""

    READ = "READ"
    WRITE = "WRITE"
    ADMIN = "ADMIN"

    def includes(self, other: "Scope") -> bool:
        """True where this scope allows what `other` allows."""
        order = list(Scope)
        return order.index(self) >= order.index(other)


class Application(SQLModel, table=True):
    """The tenant: owns everything, has API keys."""

    id: UUID = Field(default_factory=new_id, primary_key=True)
    name: str = Field(max_length=255)
    email: str | None = Field(default=None, max_length=255)
    max_open_jobs: int = Field(ge=1)
    # None: as many as there are workers.
    max_running_jobs: int | None = Field(default=None, ge=1)
    last_job_number: int = 0
    created_at: datetime = Field(default_factory=now)


class ApiKey(SQLModel, table=True):
    """A key of an application; only its hash is kept."""

    __tablename__ = "api_key"
    __table_args__ = (CheckConstraint(f"scope IN ({words(Scope)})", name="scope_known"),)

    id: UUID = Field(default_factory=new_id, primary_key=True)
    application_id: UUID = Field(foreign_key="application.id", index=True, ondelete="CASCADE")
    name: str = Field(max_length=255)
    prefix: str = Field(max_length=16)
    token_hash: str = Field(max_length=64, unique=True)
    scope: Scope = Field(default=Scope.WRITE, sa_type=Word(Scope))
    created_at: datetime = Field(default_factory=now)
    last_used_at: datetime | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None


class SignInCode(SQLModel, table=True):
    """A code that signs one browser in, once; only its hash is kept."""

    __tablename__ = "sign_in_code"

    code_hash: str = Field(max_length=64, primary_key=True)
    application_id: UUID = Field(foreign_key="application.id", index=True, ondelete="CASCADE")
    expires_at: datetime
