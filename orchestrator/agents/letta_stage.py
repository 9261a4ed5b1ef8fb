"""PURE. How far the delivery of a message to Letta has come: what its record, a file of lines of JSON, tells."""

from enum import StrEnum


class Stage(StrEnum):
    """The key `stage` of each line. The last line counts; where that is not whole, nobody knows."""

    TO_SEND = "to send"  # the call, as the daemon wrote it: nothing has left yet
    SENDING = "sending"  # from now on the server may have it
    ANSWERING = "answering"  # its status has come
    ANSWERED = "answered"
    FAILED = "failed"  # without an answer; `sent` says whether the server may have it
