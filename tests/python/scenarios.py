"""Runs the pipeline's scenarios through AWS's own API, and writes what they came to.

    scenarios.py run SCENARIOS ENDPOINT SLUICE RESULT [--prepare]
    scenarios.py compare EXPECTED RESULT KNOWN
    scenarios.py rate SCENARIOS ENDPOINT SLUICE EVENTS

`run` needs nothing but an endpoint where the machines, functions, tables, buckets and queues of `state-machines/topology.json` are:
`sluice dev`, an emulator, or an account. `--prepare` registers the vendors and publishes the bundles first, with the command
SLUICE. `compare` prints every difference; one that KNOWN does not name, or that KNOWN names and that is not there, is an error.
`rate` prepares, sends EVENTS events of one vendor, and says how long it took until the last of them was applied.

What differs from run to run is replaced: ids that were minted, times of today, and digests of documents that hold such.
"""

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from decimal import Decimal

REST_SECONDS_MAX = 240
ULID = re.compile(r"\b0[0-9A-HJKMNP-TV-Z]{25}\b")
TIME = re.compile(r"\b(20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?Z")


def main():
    mode, *rest = sys.argv[1:]
    if mode == "run":
        run(*rest)
    elif mode == "compare":
        compare(*rest)
    elif mode == "rate":
        rate(*rest)
    else:
        sys.exit(f"no such mode: {mode}")


class World:
    def __init__(self, endpoint):
        import boto3
        from botocore.config import Config

        # StartSyncExecution has a host of its own, `sync-…`, which an address has not.
        config = Config(inject_host_prefix=False, retries={"max_attempts": 3}, s3={"addressing_style": "path"})
        self.clients = {
            name: boto3.client(name, endpoint_url=endpoint, config=config)
            for name in ("stepfunctions", "s3", "sqs")
        }
        self.dynamodb = boto3.resource("dynamodb", endpoint_url=endpoint, config=config)
        with open("state-machines/topology.json") as file:
            self.topology = json.load(file)

    def __getitem__(self, name):
        return self.clients[name]

    def machine(self, name):
        pages = self["stepfunctions"].get_paginator("list_state_machines").paginate()
        arns = {machine["name"]: machine["stateMachineArn"] for page in pages for machine in page["stateMachines"]}
        return arns[name]

    def rows(self, table):
        table, more = self.dynamodb.Table(table), {}
        while True:
            page = table.scan(ConsistentRead=True, **more)
            yield from page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            more = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def objects(self, bucket):
        for page in self["s3"].get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for item in page.get("Contents", []):
                yield item["Key"], self["s3"].get_object(Bucket=bucket, Key=item["Key"])["Body"].read()

    def depth(self, queue):
        url = self["sqs"].get_queue_url(QueueName=queue)["QueueUrl"]
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self["sqs"].get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return [int(found[name]) for name in names]

    def messages(self, queue):
        url, empty = self["sqs"].get_queue_url(QueueName=queue)["QueueUrl"], 0
        while empty < 2:
            taken = self["sqs"].receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=600)
            empty = 0 if taken.get("Messages") else empty + 1
            yield from (json.loads(message["Body"]) for message in taken.get("Messages", []))


def carry(world):
    """What EventBridge Pipes do, for an emulator that has none between a queue and a machine that is waited for: until the end."""

    def work(queue, machine, batch_size):
        url, arn = world["sqs"].get_queue_url(QueueName=queue)["QueueUrl"], world.machine(machine)
        while True:
            taken = world["sqs"].receive_message(QueueUrl=url, MaxNumberOfMessages=batch_size).get("Messages", [])
            if not taken:
                time.sleep(0.2)
                continue
            records = [{"messageId": message["MessageId"], "body": message["Body"]} for message in taken]
            done = world["stepfunctions"].start_sync_execution(stateMachineArn=arn, input=json.dumps(records))
            assert done["status"] == "SUCCEEDED", done
            again = {item["itemIdentifier"] for item in json.loads(done["output"])["batchItemFailures"]}
            for message in taken:
                if message["MessageId"] not in again:
                    world["sqs"].delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    names = {kind: {item["id"]: item["name"] for item in world.topology[kind]} for kind in ("queues", "stateMachines")}
    for pipe in world.topology["pipes"]:
        arguments = (names["queues"][pipe["queue"]], names["stateMachines"][pipe["stateMachine"]], pipe["batchSize"])
        threading.Thread(target=work, args=arguments, daemon=True).start()


def body_of(request):
    if "file" in request["body"]:
        with open(request["body"]["file"], "rb") as file:
            return file.read()
    return request["body"]["text"].encode()


def prepare(scenarios, endpoint, sluice):
    environment = os.environ | {"AWS_ENDPOINT_URL": endpoint}
    with open(scenarios["vendors"]) as file:
        vendors = json.load(file)
    commands = [
        ["vendors", "add", "--id", vendor["vendorId"], "--key", vendor["apiKey"]]
        + (["--secret", vendor["webhookSecret"]] if "webhookSecret" in vendor else [])
        for vendor in vendors
    ] + [["mapper", "publish", f"mappers-wasm/{bundle}"] for bundle in scenarios["bundles"]]
    for command in commands:
        done = subprocess.run([sluice, *command], env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"sluice {' '.join(command)} ended with {done.returncode}: {done.stdout}{done.stderr}")


def intake_input(request, request_id):
    headers = {"content-type": "application/json", "host": "api.example", "x-api-key": request["key"]}
    return {
        "method": "POST", "path": request.get("path", "/v1/events"), "sourceIp": "203.0.113.7",
        "requestId": request_id, "headers": headers | request.get("headers", {}),
        "body": base64.b64encode(body_of(request)).decode(),
    }


def run(path, endpoint, sluice, result, *flags):
    with open(path) as file:
        scenarios = json.load(file)
    if flags == ("--prepare",):
        prepare(scenarios, endpoint, sluice)
    world = World(endpoint)
    # The local cloud has pipes of its own.
    if flags == ("--prepare",):
        carry(world)
    machine = world.machine("sluice-intake")
    answers, ingest_ids, ends = {}, {}, {}
    for number, request in enumerate(scenarios["requests"]):
        done = world["stepfunctions"].start_sync_execution(
            stateMachineArn=machine, input=json.dumps(intake_input(request, f"scenario-{number}")),
        )
        name, expect = request["name"], request["expect"]
        assert done["status"] == "SUCCEEDED", f"{name}: {done}"
        output = json.loads(done["output"])
        # An engine that does not apply the `Output` of a Succeed state gives its input instead: told by `output`, and compared.
        answer = output.get("answer", output)
        assert "body" in answer, f"{name}: {done}"
        said = json.loads(answer["body"])
        assert answer["statusCode"] == expect["statusCode"], f"{name}: {answer}"
        assert said.get("status") == expect.get("status", said.get("status")), f"{name}: {answer}"
        if "ingestIdOf" in expect:
            assert said["ingestId"] == ingest_ids[expect["ingestIdOf"]], f"{name}: {answer}"
        if answer["statusCode"] == 202:
            ingest_ids[name] = said["ingestId"]
            ends[said["ingestId"]] = request.get("ends", "NORMALIZED")
        answers[name] = {"statusCode": answer["statusCode"], "headers": answer["headers"], "body": said,
                         "output": sorted(output)}
    came_to_rest(world, ends)
    found = collected(world)
    found["answers"] = answers
    labels = {ingest_id: f"<{name.replace(' ', '-')}>" for name, ingest_id in ingest_ids.items()}
    with open(result, "w") as file:
        json.dump(comparable(found, labels), file, indent=1, sort_keys=True)
    counts = {kind: sum(map(len, found[kind].values())) for kind in ("tables", "buckets", "queues")}
    print(json.dumps({"requests": len(answers), **counts}))


def rate(path, endpoint, sluice, events):
    with open(path) as file:
        prepare(json.load(file), endpoint, sluice)
    world, events = World(endpoint), int(events)
    carry(world)
    machine = world.machine("sluice-intake")

    def send(number):
        # An event as the local cloud's benchmark sends it (`crates/xtask/src/load.rs`).
        envelope = {"vendorId": "vendorA", "externalEventId": f"rate-{number}", "eventType": "inventory_update",
                    "occurredAt": "2026-01-15T10:30:00Z",
                    "payload": {"warehouse": "ROA", "sku": f"SKU-{number % 10_000:05}", "qty": number % 997}}
        request = {"key": "vendorA-dev-key", "body": {"text": json.dumps(envelope)}}
        done = world["stepfunctions"].start_sync_execution(
            stateMachineArn=machine, input=json.dumps(intake_input(request, f"rate-{number}")),
        )
        assert done["status"] == "SUCCEEDED", done
        output = json.loads(done["output"])
        assert output.get("answer", output)["statusCode"] == 202, done

    queues = [queue["name"] for queue in world.topology["queues"] if queue.get("redrive")]
    started = time.monotonic()
    with ThreadPoolExecutor(8) as senders:
        list(senders.map(send, range(events)))
    acknowledged = time.monotonic() - started
    while True:
        statuses = Counter(row["status"] for row in world.rows("sluice-ledger"))
        applied = sum(1 for row in world.rows("sluice-canonical-state") if row["entity"].startswith("event#"))
        if statuses == {"NORMALIZED": events} and applied == events and not any(any(world.depth(queue)) for queue in queues):
            break
        if time.monotonic() - started > REST_SECONDS_MAX:
            sys.exit(f"not at rest after {REST_SECONDS_MAX} s: {dict(statuses)}, {applied} applied")
        time.sleep(0.25)
    took = time.monotonic() - started
    print(json.dumps({"events": events, "acknowledgedSeconds": acknowledged, "seconds": took}))


def came_to_rest(world, ends):
    """Until every event has its status, no queue but the dead letters' holds a message, and nothing has changed for a while."""
    queues = [queue["name"] for queue in world.topology["queues"] if queue.get("redrive")]
    started, still_since, seen = time.monotonic(), time.monotonic(), None
    while True:
        statuses = {row["ingestId"]: row["status"] for row in world.rows("sluice-ledger")}
        depths = {queue: world.depth(queue) for queue in queues}
        sizes = [sum(1 for _ in world.rows(table)) for table in ("sluice-canonical-state", "sluice-quarantine", "sluice-divergence")]
        state = (statuses, depths, sizes, world.depth("sluice-dlq"))
        if state != seen:
            seen, still_since = state, time.monotonic()
        now = time.monotonic()
        at_rest = statuses == ends and not any(map(any, depths.values()))
        if at_rest and now - still_since > 5:
            return
        if now - started > REST_SECONDS_MAX:
            print(f"not at rest after {REST_SECONDS_MAX} s: {statuses} instead of {ends}; queues {depths}", file=sys.stderr)
            return
        time.sleep(0.5)


def collected(world):
    # Vendors are given, not made; drift and balances are written at intervals of time.
    tables = [table["name"] for table in world.topology["tables"] if table["id"] not in ("Vendors", "Drift", "Balance")]
    return {
        "tables": {table: list(world.rows(table)) for table in tables},
        "buckets": {bucket: dict(world.objects(bucket)) for bucket in ("sluice-raw", "sluice-normalized")},
        "queues": {queue["name"]: list(world.messages(queue["name"])) for queue in world.topology["queues"]},
    }


def comparable(found, labels):
    now = datetime.now(timezone.utc)

    def of_today(match):
        at = datetime.fromisoformat(match.group(1)).replace(tzinfo=timezone.utc)
        return "<now>" if abs((now - at).total_seconds()) < 86_400 else match.group(0)

    def masked(text):
        text = ULID.sub(lambda match: labels.get(match.group(0), "<ulid>"), text)
        text = TIME.sub(of_today, text)
        text = re.sub(r"\b\d{4}/\d\d/\d\d/(\d\d/)?", "<day>/", text)
        return text

    # A document that holds an id or a time of today has another digest each time.
    digests = {}
    for objects in found["buckets"].values():
        for content in objects.values():
            digest = hashlib.sha256(content).hexdigest()
            same = hashlib.sha256(masked(content.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape"))
            digests[digest] = f"<sha256 of a document like {same.hexdigest()}>"

    def plain(value):
        if isinstance(value, dict):
            return {masked_text(key): plain(item) for key, item in value.items()}
        if isinstance(value, (list, tuple, set)):
            return [plain(item) for item in value]
        if isinstance(value, Decimal):
            return int(value) if value == value.to_integral_value() else str(value)
        if isinstance(value, bytes):
            return masked_text(value.decode("utf-8", "surrogateescape"))
        return masked_text(value) if isinstance(value, str) else value

    def masked_text(text):
        text = re.sub(r"[0-9a-f]{64}", lambda match: digests.get(match.group(0), match.group(0)), text)
        text = masked(text)
        # Where it runs: account, region, executions.
        text = re.sub(r"arn:aws:states:[\w-]+:\d{12}:(\w+):([\w-]+):\S*?(?=[\"\\\s,]|$)", r"<\1 of \2>", text)
        return re.sub(r"arn:aws:(\w+):[\w-]+:\d{12}:", r"arn:aws:\1:<region>:<account>:", text)

    out = plain(found)
    for kind in ("tables", "queues"):
        out[kind] = {
            name: sorted(items, key=lambda item: json.dumps(item, sort_keys=True)) for name, items in out[kind].items()
        }
    for table, name in (("sluice-ledger", "statusShard"), ("sluice-quarantine", "openGroup")):
        for row in out["tables"][table]:
            # A shard is chosen by the ingestId's digest.
            row[name] = re.sub(r"#.*", "#<shard>", row[name])
    return out


def differences(expected, found, path=""):
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in sorted(expected.keys() | found.keys()):
            if key not in expected or key not in found:
                side = "missing" if key not in found else "added"
                yield f"{path}/{key}", f"{side}: {json.dumps(expected.get(key, found.get(key)))[:200]}"
            else:
                yield from differences(expected[key], found[key], f"{path}/{key}")
    elif isinstance(expected, list) and isinstance(found, list):
        if len(expected) != len(found):
            yield path, f"{len(expected)} and {len(found)} items"
        for at, (one, other) in enumerate(zip(expected, found)):
            yield from differences(one, other, f"{path}/{at}")
    elif expected != found:
        yield path, f"{json.dumps(expected)[:200]} and {json.dumps(found)[:200]}"


def compare(expected, found, known):
    with open(expected) as one, open(found) as other:
        expected, found = json.load(one), json.load(other)
    with open(known) as file:
        # A line of the document's table: | `pattern` | what and why |
        rules = re.findall(r"^\| `(/[^`]+)` \|", file.read(), re.M)
    used, unknown, count = set(), [], 0
    for path, what in differences(expected, found):
        count += 1
        rule = next((rule for rule in rules if re.fullmatch(rule, path)), None)
        used.add(rule)
        if rule is None:
            unknown.append(f"{path}: {what}")
    for line in unknown:
        print(f"NOT EXPLAINED {line}")
    unused = [rule for rule in rules if rule not in used]
    for rule in unused:
        print(f"EXPLAINED, BUT NOT THERE {rule}")
    compared = sum(len(items) for kind in ("tables", "buckets", "queues") for items in expected[kind].values())
    print(f"{compared} rows, objects and messages and {len(expected['answers'])} answers compared: "
          f"{count} differences, {count - len(unknown)} of them explained in {known}")
    sys.exit(1 if unknown or unused else 0)


main()
