"""Reads Sluice's local cloud with AWS's own Python client, unchanged.

Arguments: the ingest API, the AWS endpoint, the file to send, the API key. Prints one JSON document with what was found; a
difference is an exception. Credentials and region come from the environment, as for any use of boto3.
"""

import json
import sys
import time
import urllib.request

import boto3

api, endpoint, path, key = sys.argv[1:]
body = open(path, "rb").read()
request = urllib.request.Request(
    f"{api}/v1/events", data=body, headers={"content-type": "application/json", "x-api-key": key}
)
answer = json.load(urllib.request.urlopen(request))
sent = json.loads(body)


def client(service):
    return boto3.client(service, endpoint_url=endpoint)


def ledger_row():
    found = boto3.resource("dynamodb", endpoint_url=endpoint).Table("sluice-ledger").get_item(
        Key={"vendorId": sent["vendorId"], "externalEventId": sent["externalEventId"]}, ConsistentRead=True
    )
    return found["Item"]


for _ in range(600):
    row = ledger_row()
    if row["status"] != "RECEIVED":
        break
    time.sleep(0.1)
assert row["ingestId"] == answer["ingestId"], row

raw = client("s3").get_object(Bucket=row["rawRef"]["bucket"], Key=row["rawRef"]["key"])
assert raw["Body"].read() == body, "the raw object's bytes are those that were sent"
listed = client("s3").list_objects_v2(Bucket="sluice-raw", Prefix=f"raw/{sent['vendorId']}/")
assert row["rawRef"]["key"] in [item["Key"] for item in listed["Contents"]]

machines = {machine["name"] for machine in client("stepfunctions").list_state_machines()["stateMachines"]}
assert machines >= {"sluice-intake", "sluice-normalize", "sluice-recover"}, machines
queue = client("sqs").get_queue_url(QueueName="sluice-dlq")["QueueUrl"]
depth = client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["ApproximateNumberOfMessages"])

print(json.dumps({
    "ingestId": row["ingestId"],
    "status": row["status"],
    "deadLetters": depth["Attributes"]["ApproximateNumberOfMessages"],
}))
