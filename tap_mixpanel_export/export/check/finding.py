"""One line of a check: how it is, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """How a finding is."""

    OK = "OK"
    NOTE = "note"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found.

    Attributes:
        topic: What was looked at.
        level: How it is.
        text: In words, with what to do about it.
    """

    topic: str
    level: Level
    text: str

    def __str__(self) -> str:
        return f"{self.level.value:<7}  {self.topic}: {self.text}"

    def to_dict(self) -> dict[str, str]:
        """The same for programs."""
        return {"topic": self.topic, "level": self.level.value.lower(), "text": self.text}


def ok(topic: str, text: str) -> Finding:
    """Say that something is as it should be."""
    return Finding(topic, Level.OK, text)


def note(topic: str, text: str) -> Finding:
    """Say what is good to know."""
    return Finding(topic, Level.NOTE, text)


def problem(topic: str, text: str) -> Finding:
    """Say what keeps a run from doing what it should."""
    return Finding(topic, Level.PROBLEM, text)
