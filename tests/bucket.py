"""A bucket on 127.0.0.1: the part of Google Cloud Storage's JSON API that gcsfs, TensorStore and Orbax use.

Objects lie in memory and have generations, so that conditional writes can be tested. The buckets are those named when
it is made; `forbidden` refuses everything, as one without permission does.
"""

import base64
import hashlib
import json
import re
import secrets
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

FORBIDDEN = "forbidden"
OBJECT = re.compile(r"(?:/download)?/storage/v1/b/([^/]+)/o/([^/]+)")
REWRITE = re.compile(r"/storage/v1/b/([^/]+)/o/([^/]+)/(?:rewriteTo|copyTo)/b/([^/]+)/o/([^/]+)")
MOVE = re.compile(r"/storage/v1/b/([^/]+)/o/([^/]+)/moveTo/o/([^/]+)")
COMPOSE = re.compile(r"/storage/v1/b/([^/]+)/o/([^/]+)/compose")


class Refused(Exception):
    """An answer that is no success: (status, message)."""


class Bucket:
    """Objects by (bucket, name): content and generation; what a server with `environment` lets others reach."""

    def __init__(self, *buckets):
        self.buckets, self.objects, self.lock = {*buckets, FORBIDDEN}, {}, threading.Lock()
        self.sessions, self.generation, self.requests, self.fail = {}, 1, [], lambda method, path: None

    def names(self, prefix=""):
        with self.lock:
            return sorted(
                f"{bucket}/{name}" for bucket, name in self.objects if f"{bucket}/{name}".startswith(prefix)
            )

    def get(self, key):
        if key not in self.objects:
            raise Refused(404, "No such object: " + "/".join(key))
        return self.objects[key]

    def put(self, key, content, query):
        with self.lock:
            self.check(key, query)
            self.generation += 1
            self.objects[key] = (content, self.generation)
            return self.resource(key)

    def delete(self, key, query):
        with self.lock:
            self.get(key)
            self.check(key, query)
            del self.objects[key]

    def check(self, key, query):
        wanted = query.get("ifGenerationMatch")
        have = self.objects[key][1] if key in self.objects else 0
        if wanted is not None and int(wanted) != have:
            raise Refused(412, "conditionNotMet")

    def resource(self, key):
        (bucket, name), (content, generation) = key, self.get(key)
        return {
            "kind": "storage#object",
            "id": f"{bucket}/{name}/{generation}",
            "name": name,
            "bucket": bucket,
            "generation": str(generation),
            "metageneration": "1",
            "contentType": "application/octet-stream",
            "size": str(len(content)),
            "md5Hash": base64.b64encode(hashlib.md5(content).digest()).decode(),
            "timeCreated": "2026-01-01T00:00:00.000Z",
            "updated": "2026-01-01T00:00:00.000Z",
        }

    def list(self, bucket, query):
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        items, prefixes = [], set()
        with self.lock:
            for key in sorted(key for key in self.objects if key[0] == bucket and key[1].startswith(prefix)):
                rest = key[1][len(prefix) :]
                if key[1] < query.get("startOffset", "") or (
                    "endOffset" in query and key[1] >= query["endOffset"]
                ):
                    continue
                if delimiter and delimiter in rest:
                    prefixes.add(prefix + rest.split(delimiter)[0] + delimiter)
                else:
                    items.append(self.resource(key))
        return {"kind": "storage#objects", "items": items, "prefixes": sorted(prefixes)}


def refuse(status, method, path, times=10**9):
    """For `Bucket.fail`: refuse the requests of a method whose path matches, so many times."""

    def fail(asked, of):
        if asked == method and re.fullmatch(path, of) and next(fail.left, None) is not None:
            raise Refused(
                status, f"{method} of {'storage.buckets.get' if path.endswith('bucket') else of} is refused"
            )

    fail.left = iter(range(times))
    return fail


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    bucket: Bucket

    def answer(self, status, content=b"", **headers):
        if isinstance(content, dict):
            content, headers["Content-Type"] = json.dumps(content).encode(), "application/json"
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def serve(self):
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size) if size else b""
        self.bucket.requests.append((self.command, url.path))
        try:
            self.bucket.fail(self.command, unquote(url.path))
            named = re.match(r"(?:/upload|/download)?/storage/v1/b/([^/]+)", url.path)
            if named and named[1] == FORBIDDEN:
                raise Refused(403, "the caller does not have storage.objects.create access")
            if named and named[1] not in self.bucket.buckets:
                raise Refused(404, "The specified bucket does not exist.")
            self.route(url.path, query, body)
        except Refused as refused:
            status, message = refused.args
            self.answer(status, {"error": {"code": status, "message": message}})

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = serve

    def route(self, path, query, body):
        if found := re.fullmatch(r"/storage/v1/b/([^/]+)", path):
            self.answer(
                200, {"kind": "storage#bucket", "name": found[1], "id": found[1], "metageneration": "1"}
            )
        elif found := re.fullmatch(r"/storage/v1/b/([^/]+)/o", path):
            self.answer(200, self.bucket.list(found[1], query))
        elif found := re.fullmatch(r"/upload/storage/v1/b/([^/]+)/o", path):
            self.upload(found[1], query, body)
        elif found := REWRITE.fullmatch(path):
            source, target = (unquote(found[1]), unquote(found[2])), (unquote(found[3]), unquote(found[4]))
            made = self.bucket.put(target, self.bucket.get(source)[0], query)
            self.answer(200, {"kind": "storage#rewriteResponse", "done": True, "resource": made} | made)
        elif found := MOVE.fullmatch(path):
            source, target = ((unquote(found[1]), unquote(found[each])) for each in (2, 3))
            made = self.bucket.put(target, self.bucket.get(source)[0], query)
            self.bucket.delete(source, {})
            self.answer(200, made)
        elif found := COMPOSE.fullmatch(path):
            parts = [
                self.bucket.get((found[1], each["name"]))[0] for each in json.loads(body)["sourceObjects"]
            ]
            self.answer(200, self.bucket.put((found[1], unquote(found[2])), b"".join(parts), query))
        elif found := OBJECT.fullmatch(path):
            self.object((unquote(found[1]), unquote(found[2])), query)
        else:
            raise Refused(501, f"{self.command} {path} is not served here")

    def object(self, key, query):
        if self.command == "DELETE":
            self.bucket.delete(key, query)
            self.answer(204)
        elif self.command == "GET" and query.get("alt") == "media":
            content, generation = self.bucket.get(key)
            self.media(content, generation, query)
        elif self.command in ("GET", "HEAD"):
            self.answer(200, self.bucket.resource(key))
        else:
            self.answer(200, self.bucket.resource(key))  # PATCH: metadata is not kept

    def media(self, content, generation, query):
        if query.get("ifGenerationNotMatch") == str(generation):
            return self.answer(304)
        if "ifGenerationMatch" in query and int(query["ifGenerationMatch"]) != generation:
            raise Refused(412, "conditionNotMet")
        headers = {"x-goog-generation": str(generation), "x-goog-stored-content-length": str(len(content))}
        wanted = re.fullmatch(r"bytes=(\d+)?-(\d+)?", self.headers.get("Range", ""))
        if not wanted:
            return self.answer(200, content, **headers)
        first = int(wanted[1]) if wanted[1] else max(0, len(content) - int(wanted[2]))
        last = min(int(wanted[2]), len(content) - 1) if wanted[1] and wanted[2] else len(content) - 1
        if first > last:
            raise Refused(416, "Request range not satisfiable")
        headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        return self.answer(206, content[first : last + 1], **headers)

    def upload(self, bucket, query, body):
        kind = query["uploadType"]
        if "upload_id" in query:
            return self.resume(query["upload_id"], body)
        if kind == "media":
            return self.answer(200, self.bucket.put((bucket, query["name"]), body, query))
        if kind == "multipart":
            boundary = re.search(r'boundary="?([^";]+)"?', self.headers["Content-Type"])[1].encode()
            _, first, second = re.split(rb"\r?\n?--" + re.escape(boundary) + rb"(?:--)?(?:\r?\n)?", body)[:3]
            described, content = (re.split(rb"\r?\n\r?\n", part, maxsplit=1)[1] for part in (first, second))
            return self.answer(200, self.bucket.put((bucket, json.loads(described)["name"]), content, query))
        session = secrets.token_hex(8)
        name = query.get("name") or json.loads(body)["name"]
        self.bucket.sessions[session] = ((bucket, name), bytearray(), query)
        host, port = self.server.server_address[:2]
        where = (
            f"http://{host}:{port}/upload/storage/v1/b/{bucket}/o?uploadType=resumable&upload_id={session}"
        )
        return self.answer(200, Location=where)

    def resume(self, session, body):
        key, content, query = self.bucket.sessions[session]
        if self.command == "DELETE":
            return self.answer(499)
        content += body
        if not self.headers.get("Content-Range", "*").endswith("/*"):
            return self.answer(200, self.bucket.put(key, bytes(content), query))
        return self.answer(308, Range=f"bytes=0-{len(content) - 1}")

    def log_message(self, *_):
        """Nothing is printed."""


class Server(ThreadingHTTPServer):
    """Ends with the process that started it; a client that goes away is no news."""

    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        """Nothing is printed."""


@contextmanager
def served(bucket):
    """The environment variables with which gcsfs, google-cloud-storage and TensorStore reach the bucket."""
    server = Server(("127.0.0.1", 0), type("Bound", (Handler,), {"bucket": bucket}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield {
            "STORAGE_EMULATOR_HOST": url,
            "TENSORSTORE_GCS_HTTP_URL": url,
            "GCE_METADATA_ROOT": "127.0.0.1:1",
            "GOOGLE_AUTH_SUPPRESS_CREDENTIALS_WARNINGS": "1",
        }
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def fetch(bucket, prefix, folder):
    """Copy the objects whose names begin with `prefix/` into a folder."""
    for key in [key for key in bucket.objects if f"{key[0]}/{key[1]}".startswith(prefix + "/")]:
        path = folder / f"{key[0]}/{key[1]}".removeprefix(prefix + "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bucket.objects[key][0])
    return folder
