"""The console's pages over 100,000 events, 10,000 of them quarantined in 12 groups: server time and bytes.

Run by `cargo xtask bench console`. Prints figures beside their targets; asserts only that the pages show what was written.
"""

import hashlib
import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

import boto3
from boto3.dynamodb.types import TypeSerializer

EVENTS, QUARANTINED, GROUPS = 100_000, 10_000, 12
REQUESTS = 60
MILLISECONDS_TARGET, BYTES_TARGET = 100, 100_000
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def ulid(at_ms, number):
    """The text of a ULID."""
    value, text = (at_ms << 80) | number, ""
    for _ in range(26):
        text, value = ALPHABET[value & 31] + text, value >> 5
    return text


def rfc3339(at_ms):
    """UTC with milliseconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at_ms // 1000)) + f".{at_ms % 1000:03}Z"


def rows():
    """A ledger row for each event, with a quarantine row where there is one."""
    now = int(time.time() * 1000)
    every = EVENTS // QUARANTINED
    for number in range(EVENTS):
        at_ms = now - (EVENTS - number) * 700
        ingest_id, at = ulid(at_ms, number), rfc3339(at_ms)
        held = number % every == 0
        status = "QUARANTINED" if held else "NORMALIZED"
        shard = ord(ingest_id[-1]) % 16
        raw = {"bucket": "sluice-raw", "key": f"raw/vendorA/{at[:10].replace('-', '/')}/{ingest_id}.json"}
        key = {"vendorId": "vendorA", "externalEventId": f"bench-{number}"}
        ledger = {**key, "ingestId": ingest_id, "eventType": "inventory_update", "schemaVersion": "1", "occurredAt": at,
                  "receivedAt": at, "updatedAt": at, "status": status, "statusShard": f"{status}#{shard}", "rawRef": raw,
                  "rawSha256": "0" * 64, "rawBytes": 168, "payloadSha256": f"{number:064x}", "contentType": "application/json"}
        if not held:
            digest = hashlib.sha256(b"bundle").hexdigest()
            ledger["normalized"] = {"ref": {"bucket": "sluice-normalized", "key": f"normalized/{ingest_id}.json"}, "sha256": "0" * 64,
                                    "events": 1, "eventType": "InventoryUpdated", "schemaVersion": "1.0", "bundle": digest,
                                    "fuel": 4242, "at": at}
            yield ledger, None
            continue
        group = (number // every) % GROUPS
        fingerprint = f"{group:016x}"
        cause = {"error": "Rejected", "code": "payload_schema_violation", "message": f"the payload has fault {group}",
                 "errors": [{"pointer": f"/field{group}", "code": "required", "message": "is required"}]}
        ledger["quarantine"] = {"code": cause["code"], "message": cause["message"], "at": at}
        open_group = f"{fingerprint}#{ord(ingest_id[-1]) % 8}"
        yield ledger, {**key, "ingestId": ingest_id, "eventType": "inventory_update", "status": "OPEN", "fingerprint": fingerprint,
                       "attempts": 1, "cause": cause, "rawRef": raw, "receivedAt": at, "firstSeenAt": at, "lastSeenAt": at,
                       "openGroup": open_group,
                       "executionArn": f"arn:aws:states:us-east-1:000000000000:execution:sluice-recover:{ingest_id}-0"}


def seed(ready):
    """Writes them in batches of 25."""
    os.environ.update(AWS_SHARED_CREDENTIALS_FILE=ready["credentials"], AWS_REGION="us-east-1", AWS_DEFAULT_REGION="us-east-1")
    client = boto3.client("dynamodb", endpoint_url=ready["aws"])
    item = TypeSerializer().serialize
    batches, waiting = [], {"sluice-ledger": [], "sluice-quarantine": []}
    for ledger, held in rows():
        for table, row in [("sluice-ledger", ledger), ("sluice-quarantine", held)]:
            if row is None:
                continue
            waiting[table].append({"PutRequest": {"Item": item(row)["M"]}})
            if len(waiting[table]) == 25:
                batches.append({table: waiting[table]})
                waiting[table] = []
    batches += [{table: rest} for table, rest in waiting.items() if rest]

    def write(batch):
        answer = client.batch_write_item(RequestItems=batch)
        assert not answer.get("UnprocessedItems"), answer

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, batches))


def get(connection, path, cookie):
    """The answer's status, headers and body, and how long it took in milliseconds."""
    started = time.perf_counter()
    connection.request("GET", path, headers={"cookie": cookie} if cookie else {})
    answer = connection.getresponse()
    body = answer.read()
    return answer, body, (time.perf_counter() - started) * 1000


def main(sluice):
    folder = tempfile.mkdtemp(prefix="sluice-bench-console-")
    child = subprocess.Popen([sluice, "--json", "dev", "--port", "0", "--aws-port", "0", "--console-port", "0", "--data", folder],
                             stdout=subprocess.PIPE, text=True)
    try:
        ready = json.loads(child.stdout.readline())
        started = time.time()
        seed(ready)
        print(f"      {EVENTS:,} events, {QUARANTINED:,} quarantined in {GROUPS} groups, written in {time.time() - started:.0f} s")
        address = urllib.parse.urlparse(ready["console"])
        connection = http.client.HTTPConnection(address.netloc)
        answer, _, _ = get(connection, address.path, None)
        cookie = answer.headers["set-cookie"].split(";")[0]
        print(f"\n{'page':14}{'first':>12}{'median':>12}{'slowest':>12}{'bytes':>12}   target: <= {MILLISECONDS_TARGET} ms, <= {BYTES_TARGET:,} bytes")
        for name, path, words in [("overview", "/", "100,000 accepted"), ("quarantine", "/quarantine", "10,000 events"),
                                  ("group", f"/groups/{0:016x}", "cannot be mapped")]:
            answer, body, first = get(connection, path, cookie)
            assert answer.status == 200 and words in body.decode(), (name, answer.status, body[:600])
            times = []
            for _ in range(REQUESTS):
                answer, body, took = get(connection, path, cookie)
                assert answer.status == 200
                times.append(took)
                time.sleep(0.1)
            median = statistics.median(times)
            ratio = max(median / MILLISECONDS_TARGET, len(body) / BYTES_TARGET)
            print(f"{name:14}{first:9.1f} ms{median:9.1f} ms{max(times):9.1f} ms{len(body):12,}   {ratio:.2f} x")
    finally:
        child.terminate()
        child.wait()
        shutil.rmtree(folder, ignore_errors=True)


main(sys.argv[1])
