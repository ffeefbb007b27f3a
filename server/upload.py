"""Reads the picture out of a request: a form's `file`, or the body itself. Counts the bytes as they come in."""

import asyncio
import io
import re
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import PurePosixPath

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from server.problems import Problem


@dataclass
class Upload:
    """A picture as it was sent. Nothing of it touches the disk."""

    content: bytes
    stem: str = "picture"
    """The file's name without folders and suffix, safe to print and to suggest for a download."""

    def take(self) -> bytes:
        """The content, which is dropped here so that it does not stay in memory for longer than its reader needs it."""
        content, self.content = self.content, b""
        return content


class _InMemory(MultiPartParser):
    spool_max_size = sys.maxsize


async def read_upload(request: Request, max_bytes: int, timeout: float) -> Upload:
    """Raises a 413 as soon as more than `max_bytes` came in, a 408 after `timeout` seconds, a 400 for a form without `file`."""
    stream = _counted(request, max_bytes)
    is_form = request.headers.get("content-type", "").lower().startswith("multipart/form-data")
    try:
        async with asyncio.timeout(timeout):
            return await (_form(request, stream) if is_form else _raw(stream))
    except TimeoutError:
        raise Problem(408, f"The upload was not complete within {timeout:g} seconds.", {"Connection": "close"}) from None


async def _counted(request: Request, max_bytes: int) -> AsyncGenerator[bytes, None]:
    too_large = Problem(413, f"The upload is larger than {max_bytes} bytes.", {"Connection": "close"})
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > max_bytes:
        raise too_large
    total = 0
    async for chunk in request.stream():
        total += len(chunk)
        if total > max_bytes:
            raise too_large
        yield chunk


async def _raw(stream: AsyncGenerator[bytes, None]) -> Upload:
    file = io.BytesIO()
    async for chunk in stream:
        file.write(chunk)
    return Upload(file.getvalue())


async def _form(request: Request, stream: AsyncGenerator[bytes, None]) -> Upload:
    try:
        form = await _InMemory(request.headers, stream, max_files=1, max_fields=8, max_part_size=1024).parse()
    except MultiPartException as error:
        raise Problem(400, f"The form cannot be read: {error.message}") from error
    except UnicodeError as error:  # in the charset that it claims
        raise Problem(400, "The form's names cannot be read: send them in UTF-8.") from error
    for name in form:
        if name != "file":
            raise Problem(400, f"The form has a field {name[:40]!a}. It holds the picture as 'file'; options go into the query.")
    for value in form.getlist("file"):
        if isinstance(value, UploadFile):
            with value.file:
                return Upload(value.file.read(), _stem(value.filename))
    raise Problem(400, "The form holds no file. Send the picture as the file field 'file', or as the body itself.")


def _stem(filename: str | None) -> str:
    stem = PurePosixPath((filename or "").replace("\\", "/")).stem
    plain = re.sub(r"[\x00-\x1f\x7f\"/:*?<>|\ud800-\udfff]+", " ", stem).strip(" .")
    return plain[:100] or "picture"
