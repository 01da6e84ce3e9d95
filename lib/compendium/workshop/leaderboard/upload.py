"""Take a submission out of an HTTP request: a form with a file, or the CSV itself with the name in the address."""

from __future__ import annotations

from email.parser import BytesParser
from email.policy import HTTP
from typing import BinaryIO, NamedTuple

from compendium.workshop.leaderboard.kept_list import MAX_BYTES
from meddel.errors import MedDELError

MAX_NAME = 40
_FORM_BYTES = 10_000
_DRAINED = 4 * MAX_BYTES


class TooLargeError(MedDELError):
    """A request's body is larger than what is read."""


class Upload(NamedTuple):
    """Who submits, and the bytes of the list."""

    name: str
    content: bytes


def body(stream: BinaryIO, length: str | None) -> bytes:
    """Read a request's body.

    Parameters
    ----------
    stream : binary file
        Stands at the body's begin.
    length : str or None
        The header Content-Length.

    Raises
    ------
    TooLargeError
        The body is larger than a list may be; some of it has been read, so that the client hears the answer.
    MedDELError
        There is no length, or the body ends before it.
    """
    if length is None or not length.isascii() or not length.isdigit():
        raise MedDELError("the upload does not say how long it is", fix="upload a file")
    size = int(length)
    if size > MAX_BYTES + _FORM_BYTES:
        left = min(size, _DRAINED)
        while left and (read := stream.read(min(left, 65_536))):
            left -= len(read)
        raise TooLargeError(f"the list has more than {MAX_BYTES:,} bytes", fix="upload ids only")
    content = stream.read(size)
    if len(content) < size:
        raise MedDELError("the upload was cut off", fix="upload it again")
    return content


def form(content: bytes, kind: str) -> Upload:
    """Return what a form holds, whose fields are ``name`` and ``list``.

    Parameters
    ----------
    content : bytes
        The body.
    kind : str
        The header Content-Type, with the boundary.

    Raises
    ------
    MedDELError
        A field is missing, or the name is refused.
    """
    head = f"Content-Type: {kind}\r\n\r\n".encode("latin-1", "replace")
    message = BytesParser(policy=HTTP).parsebytes(head + content)
    fields = {
        part.get_param("name", header="content-disposition"): part.get_payload(decode=True) or b""
        for part in (message.iter_parts() if message.is_multipart() else ())
    }
    if not {"name", "list"} <= fields.keys():
        raise MedDELError("the form lacks a name or a list", fix="fill in both")
    return Upload(checked_name(fields["name"].decode("utf-8", "replace")), fields["list"])


def checked_name(name: str) -> str:
    """Return a name without spaces around it.

    Raises
    ------
    MedDELError
        It is empty, too long, or holds what can't be printed.
    """
    text = name.strip()
    if not text or len(text) > MAX_NAME or not text.isprintable():
        raise MedDELError(f"a name has 1 to {MAX_NAME} printable characters", fix="choose another name")
    return text
