"""Backups in S3-compatible storage: `<prefix>/<stack key>/<database>/<id>/` in a bucket.

A backup's manifest is put last, and what has none is no backup. Large files go up in parts while they are made, so nothing lies here
first. Who reads a backup leaves a lease beside it, which keeps others from removing it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any
from uuid import uuid4

from keelson.backups.places import MANIFEST, PIN, MissingError
from keelson.backups.sealing import BLOCK
from keelson.errors import BackupError, KeelsonError

if TYPE_CHECKING:
    from keelson.backups.terms import Bucket

PART = 16 << 20  # bytes that go up at once; S3 takes 10,000 parts
GROWS = 4000  # after so many parts they are twice as large
AT_ONCE = 2  # parts that are on their way
CONNECT, ANSWER, TRIES = 10, 60, 4  # s, s, and how often a request is made
LEASE = timedelta(hours=24)  # for which one holds that nobody gave back
LEASES = "lease-"
LONGEST = 160  # characters of a fault in a sentence
MISSING = {"NoSuchKey", "404", "NotFound"}
FORBIDDEN = {"AccessDenied", "403", "Forbidden", "AllAccessDisabled"}
STRANGER = {
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidToken",
    "ExpiredToken",
    "AuthorizationHeaderMalformed",
    "XAdminUserNotFound",
}
FULL = {
    "QuotaExceeded",
    "XMinioStorageFull",
    "InsufficientStorage",
    "507",
    "InsufficientCapacity",
    "XMinioAdminBucketQuotaExceeded",
}
BUSY = {"SlowDown", "ServiceUnavailable", "503", "RequestTimeout", "InternalError", "500", "502", "504"}


class ForbiddenError(BackupError):
    """The storage knows who asks, and does not allow it."""


class Storage:
    """The backups of one stack in a bucket."""

    def __init__(self, bucket: Bucket, key: str, secret: str) -> None:
        self.bucket, self._secret = bucket, secret
        self.path = PurePosixPath(bucket.name, bucket.prefix, key)
        self._root = "/".join(filter(None, (bucket.prefix.strip("/"), key)))

    def names(self) -> list[str]:
        """Return the databases and Redis of which something is there."""
        prefix = f"{self._root}/"
        with self.sentences("list"):
            pages = self._pages("list_objects_v2", Prefix=prefix, Delimiter="/")
            return sorted(each["Prefix"][len(prefix) : -1] for page in pages for each in page.get("CommonPrefixes", ()))

    def ids(self, name: str) -> list[str]:
        """Return the ids of complete backups."""
        return sorted(identity for identity, files in self._found(name).items() if MANIFEST in files)

    def place(self, name: str, identity: str) -> BucketPlace:
        """Return the place of one backup."""
        return BucketPlace(self, name, identity)

    def clear(self, name: str, ours: set[str]) -> None:
        """Remove what is no backup: of the runs `ours`, and what nobody has added to for as long as a lease holds."""
        latest = datetime.now(UTC) - LEASE
        for identity, files in self._found(name).items():
            if MANIFEST not in files and (identity in ours or max(files.values()) < latest):
                self.place(name, identity).discard()
        with self.sentences("clear"):
            prefix = f"{self._root}/{name}/"
            for page in self._pages("list_multipart_uploads", Prefix=prefix):
                for upload in page.get("Uploads", ()):
                    identity = upload["Key"][len(prefix) :].partition("/")[0]
                    if identity in ours or upload["Initiated"] < latest:
                        self.call("abort_multipart_upload", Key=upload["Key"], UploadId=upload["UploadId"])

    def key(self, *parts: str) -> str:
        """Return an object's key."""
        return "/".join((self._root, *parts))

    def call(self, operation: str, **arguments: Any) -> Any:  # noqa: ANN401 - the answer's own shape
        """Ask the storage something about the bucket."""
        return getattr(self._client, operation)(Bucket=self.bucket.name, **arguments)

    def objects(self, prefix: str) -> Iterator[dict[str, Any]]:
        """Return the objects below a key."""
        for page in self._pages("list_objects_v2", Prefix=prefix):
            yield from page.get("Contents", ())

    @contextmanager
    def sentences(self, doing: str) -> Iterator[None]:
        """Say in one sentence what the storage refuses, or that it cannot be reached."""
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, SSLError  # noqa: PLC0415 - slow

        try:
            yield
        except ClientError as fault:
            raise self._refusal(doing, fault.response) from None
        except SSLError as fault:
            msg = f"the storage {self._where} shows no certificate that is trusted ({_short(fault)}); set backup.bucket.ca_file to its authority's"
            raise BackupError(msg) from None
        except (HTTPClientError, BotoCoreError, OSError) as fault:
            msg = f"the storage {self._where} cannot be reached, or does not answer ({_short(fault)}); see that it runs, and try again"
            raise BackupError(msg) from None

    def _found(self, name: str) -> dict[str, dict[str, datetime]]:
        """Return when each file of each backup was put there, whole or not."""
        prefix, found = f"{self._root}/{name}/", dict[str, dict[str, datetime]]()
        with self.sentences("list"):
            for each in self.objects(prefix):
                identity, _, file = each["Key"][len(prefix) :].partition("/")
                found.setdefault(identity, {})[file] = each["LastModified"]
        return found

    def _refusal(self, doing: str, answer: dict[str, Any]) -> BackupError:
        code, text = str(answer["Error"].get("Code", "")), str(answer["Error"].get("Message", ""))
        status = str(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
        if code in MISSING:
            return MissingError(f"what was asked for is not in the bucket {self.bucket.name}")
        key, name = self.bucket.access_key, self.bucket.name
        known = (
            (
                {"NoSuchBucket"},
                f"the storage {self._where} has no bucket {name}; make it, or correct backup.bucket.name",
            ),
            (
                STRANGER,
                f"the storage {self._where} does not know the key {key}, or its secret ({code}); correct backup.bucket.access_key and secret_key, and run `keelson up`",
            ),
            (FULL, f"the bucket {name} is full ({code}); make room, or raise its quota"),
            (BUSY, f"the storage {self._where} does not keep up ({code}); try again later"),
        )
        for codes, sentence in known:
            if {code, status} & codes:
                return BackupError(sentence)
        if {code, status} & FORBIDDEN:
            return ForbiddenError(
                f"the key {key} may not {doing} in the bucket {name} ({code}); allow it to list, read, write and delete there"
            )
        return BackupError(f"the storage {self._where} refused to {doing}: {code}: {text}; correct it and try again")

    @property
    def _where(self) -> str:
        return self.bucket.endpoint or "S3"

    def _pages(self, operation: str, **arguments: str) -> Iterator[dict[str, Any]]:
        yield from self._client.get_paginator(operation).paginate(Bucket=self.bucket.name, **arguments)

    @cached_property
    def _client(self) -> Any:  # noqa: ANN401 - made from S3's own description
        import botocore.session  # noqa: PLC0415 - slow
        from botocore.config import Config  # noqa: PLC0415

        bucket = self.bucket
        return botocore.session.Session().create_client(
            "s3",
            endpoint_url=bucket.endpoint or None,
            region_name=bucket.region,
            aws_access_key_id=bucket.access_key,
            aws_secret_access_key=self._secret,
            verify=bucket.ca_file or None,
            config=Config(
                s3={"addressing_style": "path" if bucket.path_style else "auto"},
                connect_timeout=CONNECT,
                read_timeout=ANSWER,
                retries={"total_max_attempts": TRIES, "mode": "standard"},
                request_checksum_calculation="when_required",  # what is put there is read back, and others than AWS refuse more
                response_checksum_validation="when_required",
            ),
        )


class BucketPlace:
    """The place of one backup; see `keelson.backups.places.Place` for what each method is for."""

    grows = False  # an object is there once all of it went up

    def __init__(self, storage: Storage, name: str, identity: str) -> None:
        self._storage = storage
        self.path = storage.path / name / identity
        self._prefix = storage.key(name, identity)

    @contextmanager
    def create(self, name: str) -> Iterator[IO[bytes]]:
        """Give a new object, which is there as a whole or not at all."""
        upload = _Upload(self._storage, f"{self._prefix}/{name}")
        try:
            yield upload  # type: ignore[misc]
            with self._storage.sentences("write"):
                upload.finish()
        except BaseException:
            upload.abort()
            raise

    @contextmanager
    def open(self, name: str) -> Iterator[tuple[IO[bytes], int]]:
        """Give an object to be read."""
        try:
            found = self._get(name)
        except MissingError:
            msg = f"{self.path / name} is missing; use another backup"
            raise MissingError(msg) from None
        with contextlib.closing(found["Body"]) as body:
            yield _Download(self._storage, body), found["ContentLength"]  # type: ignore[misc]

    def note(self, name: str) -> bytes | None:
        """Return a small object."""
        try:
            with self.open(name) as (file, _):
                return b"".join(iter(partial(file.read, BLOCK), b""))
        except MissingError:
            return None

    def keep_note(self, name: str, text: str | None) -> None:
        """Put or remove a small object."""
        with self._storage.sentences("write"):
            if text is None:
                self._delete(f"{self._prefix}/{name}")
            else:
                self._put(name, text.encode())

    @contextmanager
    def held(self) -> Iterator[None]:
        """Leave a lease; one who may only read goes without."""
        lease = f"{LEASES}{uuid4().hex[:12]}.json"
        who = {"who": f"process {os.getpid()} on {socket.gethostname()}", "at": datetime.now(UTC).isoformat()}
        try:
            self.keep_note(lease, json.dumps(who) + "\n")
        except ForbiddenError:
            yield
            return
        try:
            if self.note(MANIFEST) is None:
                msg = f"the backup {self.path} is being removed, or is none; use another one"
                raise BackupError(msg)
            yield
        finally:
            with contextlib.suppress(KeelsonError):  # then it ends by its time
                self.keep_note(lease, None)

    def remove(self) -> bool:
        """Take its manifest away, then the rest; back it goes where somebody has begun to read meanwhile."""
        manifest = self.note(MANIFEST)
        if self._is_kept():
            return False
        self.keep_note(MANIFEST, None)
        if self._is_kept():
            if manifest is not None:
                self.keep_note(MANIFEST, manifest.decode())
            return False
        self.discard()
        return True

    def discard(self) -> None:
        """Remove all that is there."""
        with self._storage.sentences("delete"):
            for each in list(self._storage.objects(f"{self._prefix}/")):
                self._delete(each["Key"])

    def _is_kept(self) -> bool:
        with self._storage.sentences("list"):
            found = list(self._storage.objects(f"{self._prefix}/"))
        alive = datetime.now(UTC) - LEASE
        names = {each["Key"].rpartition("/")[2]: each["LastModified"] for each in found}
        return PIN in names or any(name.startswith(LEASES) and at > alive for name, at in names.items())

    def _get(self, name: str) -> Any:  # noqa: ANN401 - as above
        with self._storage.sentences("read"):
            return self._storage.call("get_object", Key=f"{self._prefix}/{name}")

    def _put(self, name: str, content: bytes) -> None:
        self._storage.call("put_object", Key=f"{self._prefix}/{name}", Body=content)

    def _delete(self, key: str) -> None:
        self._storage.call("delete_object", Key=key)


class _Download:
    """An object that is being read."""

    def __init__(self, storage: Storage, body: Any) -> None:  # noqa: ANN401 - botocore's own
        self._storage, self._body = storage, body

    def read(self, size: int | None = None) -> bytes:
        with self._storage.sentences("read"):
            return bytes(self._body.read(size))


class _Upload:
    """An object that is being written: in parts where it is larger than one."""

    def __init__(self, storage: Storage, key: str) -> None:
        self._storage, self._key = storage, key
        self._waiting = bytearray()
        self._id = ""
        self._parts: list[dict[str, Any]] = []
        self._going: deque[tuple[int, Future[Any]]] = deque()
        self._pool = ThreadPoolExecutor(AT_ONCE, "upload")

    def write(self, block: bytes) -> int:
        self._waiting += block
        size = PART << (len(self._parts) // GROWS)
        with self._storage.sentences("write"):
            while len(self._waiting) >= size:
                self._send(bytes(self._waiting[:size]))
                del self._waiting[:size]
        return len(block)

    def finish(self) -> None:
        if not self._id:
            self._storage.call("put_object", Key=self._key, Body=bytes(self._waiting))
            self._pool.shutdown()
            return
        if self._waiting:
            self._send(bytes(self._waiting))
        while self._going:
            self._settle()
        self._storage.call(
            "complete_multipart_upload", Key=self._key, UploadId=self._id, MultipartUpload={"Parts": self._parts}
        )
        self._pool.shutdown()

    def abort(self) -> None:
        """Leave nothing of it, as far as the storage answers; else the next run does."""
        self._pool.shutdown(cancel_futures=True)
        if self._id:
            with contextlib.suppress(Exception):
                self._storage.call("abort_multipart_upload", Key=self._key, UploadId=self._id)

    def _send(self, content: bytes) -> None:
        if not self._id:
            self._id = self._storage.call("create_multipart_upload", Key=self._key)["UploadId"]
        if len(self._going) >= AT_ONCE:
            self._settle()
        number = len(self._parts) + len(self._going) + 1
        arguments = {"Key": self._key, "UploadId": self._id, "PartNumber": number, "Body": content}
        self._going.append((number, self._pool.submit(self._storage.call, "upload_part", **arguments)))

    def _settle(self) -> None:
        number, going = self._going.popleft()
        self._parts.append({"PartNumber": number, "ETag": going.result()["ETag"]})


def _short(fault: BaseException) -> str:
    """Return the root of a chain of faults, in few words."""
    while inner := fault.__cause__ or fault.__context__:
        fault = inner
    text = " ".join(str(fault).split()) or type(fault).__name__
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
