"""The words a job is described with."""

from enum import IntEnum, StrEnum


class JobType(StrEnum):
    """What a job does."""

    SEGMENT = "SEGMENT"
    PREDICT = "PREDICT"
    PDF_IMAGES = "PDF_IMAGES"
    TRANSFORM = "TRANSFORM"
    CONDITIONAL = "CONDITIONAL"


class JobOutcome(StrEnum):
    """How a finished job ended."""

    SUCCESS = "SUCCESS"
    WARNING = "WARNING"
    ERROR = "ERROR"


class JobPriority(IntEnum):
    """Which jobs go first; a number, because the claim orders by it."""

    LOW = 0
    NORMAL = 1
    HIGH = 2


class EventKind(StrEnum):
    """What an event tells of."""

    STATUS = "STATUS"
    PROGRESS = "PROGRESS"
    LOG = "LOG"
    DOCUMENT = "DOCUMENT"
    RESULT = "RESULT"
    DELETED = "DELETED"


class Severity(StrEnum):
    """How much an event or an issue matters."""

    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


class SegmentStatus(StrEnum):
    """Whether a segment could be made."""

    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


class AttachmentType(StrEnum):
    """What a file that belongs to a job holds."""

    RESULT = "RESULT"
    RESULT_MIN = "RESULT_MIN"
    LOG = "LOG"
    PRIVACY_REPORT = "PRIVACY_REPORT"


class OptionType(StrEnum):
    """The JSON type of an option's value."""

    STRING = "STRING"
    NUMBER = "NUMBER"
    BOOLEAN = "BOOLEAN"


class WaitKind(StrEnum):
    """Why a job is not running yet."""

    QUEUE = "QUEUE"
    DEPENDENCY = "DEPENDENCY"
    DATA = "DATA"
    START = "START"
    QUOTA = "QUOTA"
    RETRY = "RETRY"
