//! `cargo xtask demo`: one event's whole life, shown with the real `sluice` on real requests.
//!
//! Every step runs the command that it prints, shows what came back, and checks it: what is shown holds, or the demo ends
//! with an error. The local cloud is a child of this process, on free ports, with its data in a folder that goes away.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use crate::cloud::{LocalCloud, Storage};
use crate::project::Project;
use crate::steps::{self, Steps};

/// How long an event may take to come to rest.
const PATIENCE: Duration = Duration::from_secs(60);

/// The mended mapper, and the name of its module.
const FIXED_BUNDLE: &str = "mappers-wasm/demo/vendor-a-inventory-fixed";

pub(crate) fn run(project: &Project) -> Result<()> {
    let mut steps = Steps::new(15);
    crate::build(project, &mut steps, false)?;
    let cloud = steps.run("Start the local cloud: sluice dev --ephemeral --examples", || {
        LocalCloud::start(project, project.sluice("release"), &Storage::Ephemeral)
    })?;
    let demo = Demo { project, cloud };

    let first = steps.run("A vendor sends an event, and it is accepted", || demo.accepted())?;
    steps.run("The vendor sends it again: the same ingestId, and nothing happens twice", || {
        demo.duplicate(&first)
    })?;
    steps.run("The same externalEventId with another payload is a conflict", || demo.conflict(&first))?;
    steps.run("An envelope that is none is refused, with every fault at once", || demo.refused())?;
    steps.run("A Shopify order: money to minor units, ids to the last digit", || demo.order())?;
    steps.run("A vendor that signs: one message, several events", || demo.signed())?;
    let broken = steps
        .run("The vendor renames a member without a word: quarantined, with its cause", || {
            demo.quarantined()
        })?;
    steps
        .run("Both failures are in the dead-letter queue, and their executions wait for a person", || {
            demo.dead_lettered(&broken)
        })?;
    steps.run("The mapper is mended and published, without a deployment", || demo.publish())?;
    steps.run("The failed execution is redriven, to success", || demo.redrive(&broken))?;
    steps.run(
        "Nothing was lost: accepted = normalized + nothing to state + quarantined + held + in flight",
        || demo.balance(),
    )?;
    steps.run("Stop the local cloud", || demo.cloud.stop())?;
    println!("\n{}", steps::green("The demo held in every step."));
    println!("Try it yourself: target/release/sluice dev --examples");
    Ok(())
}

/// Two events that fail: one that the mended mapper will take, one that nothing will.
struct Broken {
    renamed: String,
    hopeless: String,
}

struct Demo<'a> {
    project: &'a Project,
    cloud: LocalCloud,
}

impl Demo<'_> {
    fn accepted(&self) -> Result<String> {
        let file = "examples/vendorA-inventory.json";
        let sent = self.send(file, "vendorA-dev-key", &[], 202)?;
        let id = ingest_id(&sent)?;
        self.settled(&id, "NORMALIZED")?;

        say("What was stored is what was sent, byte for byte:");
        let raw = self.sluice(&["show", &id, "--raw"])?;
        print!("{}", indented(&raw));
        let bytes = fs::read_to_string(self.project.root.join(file))?;
        check(raw == bytes, "the raw object has the bytes of the request")?;

        say("What its mapper made of it, a WebAssembly module in a sandbox:");
        let document = self.normalized(&id)?;
        check(
            document["eventType"] == "InventoryUpdated" && document["schemaVersion"] == "1.0",
            "InventoryUpdated 1.0",
        )?;
        let data = json!({"warehouseId": "ROA", "sku": "ABC-001", "quantityOnHand": 12});
        check(document["data"] == data, "warehouse, sku and qty under their canonical names")?;
        check(
            document["rawRef"]["bucket"] == "sluice-raw" && document["ingestId"] == id.as_str(),
            "it refers to the raw object and carries the ingestId",
        )?;
        Ok(id)
    }

    fn duplicate(&self, first: &str) -> Result<()> {
        let sent = self.send("examples/vendorA-inventory.json", "vendorA-dev-key", &[], 200)?;
        check(sent["body"]["status"] == "DUPLICATE", "the answer says DUPLICATE")?;
        check(ingest_id(&sent)? == first, "with the ingestId of the first")
    }

    fn conflict(&self, first: &str) -> Result<()> {
        let sent = self.send("examples/vendorA-inventory-conflict.json", "vendorA-dev-key", &[], 409)?;
        check(ingest_id(&sent)? == first, "what was accepted first holds, and is named")?;
        let event = self.show(first)?;
        check(event["normalized"]["documents"][0]["data"]["quantityOnHand"] == 12, "its quantity is still 12")
    }

    fn refused(&self) -> Result<()> {
        let sent = self.send("examples/invalid-envelope.json", "vendorA-dev-key", &[], 400)?;
        let faults = sent["body"]["errors"].as_array().context("errors")?;
        for pointer in ["/vendorId", "/externalEventId", "/eventType", "/occurredAt", "/payload"] {
            check(
                faults.iter().any(|fault| fault["pointer"] == pointer),
                &format!("a fault is listed for {pointer}"),
            )?;
        }
        Ok(())
    }

    fn order(&self) -> Result<()> {
        let sent = self.send("examples/shopify-order.json", "shopify-demo-dev-key", &[], 202)?;
        let id = ingest_id(&sent)?;
        self.settled(&id, "NORMALIZED")?;
        let document = self.normalized(&id)?;
        check(document["eventType"] == "OrderPlaced", "OrderPlaced")?;
        let data = &document["data"];
        check(data["orderId"] == "820982911946154508", "the order's id, beyond 2^53, has every digit")?;
        let total = &data["totals"]["totalMinor"];
        check(total.is_i64() && data["currency"] == "USD", &format!("the total is {total} cents, an integer"))
    }

    fn signed(&self) -> Result<()> {
        let file = "examples/signed-stock.json";
        let vendors: Value =
            serde_json::from_str(&fs::read_to_string(self.project.root.join("examples/vendors.json"))?)?;
        let secret = vendors
            .as_array()
            .and_then(|vendors| vendors.iter().find_map(|vendor| vendor["webhookSecret"].as_str()))
            .context("examples/vendors.json has a vendor with a webhookSecret")?;
        let unsigned = self.send(file, "signed-demo-dev-key", &[], 401)?;
        check(
            unsigned["body"]["type"] == "urn:sluice:problem:signature-invalid",
            "the key alone is not enough",
        )?;
        let sent = self.send(file, "signed-demo-dev-key", &["--secret", secret], 202)?;
        let id = ingest_id(&sent)?;
        let event = self.settled(&id, "NORMALIZED")?;
        let documents = event["normalized"]["documents"].as_array().context("documents")?;
        for document in documents {
            println!("      {}", document["data"]);
        }
        check(documents.len() == 3, "three canonical events from one message")
    }

    fn quarantined(&self) -> Result<Broken> {
        let sent = self.send("examples/vendorA-inventory-renamed.json", "vendorA-dev-key", &[], 202)?;
        let renamed = ingest_id(&sent)?;
        say("It is accepted all the same: what a vendor says is kept first and judged afterwards.");
        self.settled(&renamed, "QUARANTINED")?;
        let row = self.sluice_json(&["quarantine", "show", &renamed])?;
        show(&row["cause"]);
        check(
            row["cause"]["code"] == "payload_schema_violation",
            "the payload is not what the contract says",
        )?;
        check(
            row["cause"]["errors"][0]["pointer"] == "/payload/qty",
            "the cause names the member, /payload/qty",
        )?;

        say("Another one, with a version that nobody has heard of; that one will stay.");
        let sent =
            self.send("examples/vendorA-inventory-unknown-version.json", "vendorA-dev-key", &[], 202)?;
        let hopeless = ingest_id(&sent)?;
        self.settled(&hopeless, "QUARANTINED")?;
        let row = self.sluice_json(&["quarantine", "show", &hopeless])?;
        show(&row["cause"]);
        check(row["cause"]["code"] == "schema_version_unknown", "its cause is another one")?;
        Ok(Broken { renamed, hopeless })
    }

    fn dead_lettered(&self, broken: &Broken) -> Result<()> {
        let letters = eventually(|| {
            let queue = self.cloud.json(&["dlq", "ls"])?;
            let messages = queue["messages"].as_array().cloned().unwrap_or_default();
            Ok((messages.len() >= 2).then_some(messages))
        })?;
        say(&typed(&["dlq", "ls"]));
        for letter in &letters {
            show(&letter["body"]);
        }
        for id in [&broken.renamed, &broken.hopeless] {
            let named = letters.iter().any(|letter| letter["body"].to_string().contains(id.as_str()));
            check(named, &format!("a message names {id}"))?;
            // The message is sent before the execution comes to rest.
            let execution = eventually(|| {
                let execution = self.show(id)?["execution"].clone();
                Ok((execution["status"] == "FAILED").then_some(execution))
            })?;
            check(
                execution["redrivable"] == true,
                "its sluice-recover execution has FAILED and can be redriven",
            )?;
        }
        Ok(())
    }

    fn publish(&self) -> Result<()> {
        let module = "mappers-wasm/target/wasm32-unknown-unknown/release/vendor_a_inventory_fixed.wasm";
        let reason = "vendorA calls qty quantity since today";
        let published =
            self.sluice_json(&["mapper", "publish", FIXED_BUNDLE, "--wasm", module, "--reason", reason])?;
        show(&published);
        check(
            published["outcome"] == "activated",
            "it is the active mapper of vendorA inventory_update now",
        )?;
        check(published["replaced"].is_object(), "and replaced the one before it, which stays in the store")?;
        let seconds = published["inEffectWithinSeconds"].as_u64().unwrap_or(0);
        std::thread::sleep(Duration::from_secs(seconds.min(30)));
        Ok(())
    }

    fn redrive(&self, broken: &Broken) -> Result<()> {
        let redriven = self.sluice_json(&["redrive", &broken.renamed, "--wait"])?;
        show(&redriven);
        check(
            redriven["redrives"][0]["outcome"] == "released",
            "RedriveExecution, and released from quarantine",
        )?;
        let event = self.settled(&broken.renamed, "NORMALIZED")?;
        show(&event["lifecycle"]);
        check(event["execution"]["status"] == "SUCCEEDED", "the same execution has SUCCEEDED")?;
        check(event["execution"]["redriveCount"] == 1, "after one redrive")?;
        let document = self.normalized(&broken.renamed)?;
        check(document["data"]["quantityOnHand"] == 7, "with the quantity that the vendor meant")
    }

    fn balance(&self) -> Result<()> {
        let balance = self.sluice_json(&["balance", "--wait"])?;
        show(&balance);
        let number = |name: &str| balance[name].as_u64().with_context(|| format!("{name} is a number"));
        let places = ["normalized", "nothingToState", "quarantined", "held", "inFlight"];
        let found: u64 = places.into_iter().map(number).sum::<Result<u64>>()?;
        check(
            number("accepted")? == found,
            "accepted = normalized + nothing to state + quarantined + held + in flight",
        )?;
        check(
            number("accepted")? == 5,
            "five events were accepted; the duplicate, the conflict and the refused are none",
        )?;
        check(
            number("quarantined")? == 1 && number("inFlight")? == 0,
            "one waits for a person, none is on its way",
        )?;
        check(balance["balanced"] == true, "the ledger and the quarantine agree")
    }

    /// Posts a file and expects a status.
    fn send(&self, file: &str, key: &str, more: &[&str], status: u16) -> Result<Value> {
        let mut arguments = vec!["send", file, "--key", key];
        arguments.extend(more);
        say(&typed(&arguments));
        // For what is refused the command ends with a code of its own; its document says the same.
        let sent = self.cloud.answer(&arguments)?;
        println!("      POST {} -> {}", sent["request"]["url"].as_str().unwrap_or("?"), sent["statusCode"]);
        show(&sent["body"]);
        check(sent["statusCode"] == status, &format!("the status is {status}"))?;
        Ok(sent)
    }

    /// Waits until an event has a status, and gives all of it.
    fn settled(&self, id: &str, status: &str) -> Result<Value> {
        let event = eventually(|| {
            let event = self.show(id)?;
            Ok((event["status"] != "RECEIVED").then_some(event))
        })
        .with_context(|| format!("{id} did not become {status}"))?;
        check(event["status"] == status, &format!("{id} is {status}"))?;
        Ok(event)
    }

    /// The only line of a normalized document.
    fn normalized(&self, id: &str) -> Result<Value> {
        let text = self.sluice(&["show", id, "--normalized"])?;
        let document = serde_json::from_str(text.trim_end()).context("one canonical event, in one line")?;
        show(&document);
        Ok(document)
    }

    /// All of an event, without saying so.
    fn show(&self, id: &str) -> Result<Value> {
        self.cloud.json(&["show", id])
    }

    /// Runs a command that must succeed, and gives its output.
    fn sluice(&self, arguments: &[&str]) -> Result<String> {
        say(&typed(arguments));
        self.cloud.text(arguments)
    }

    fn sluice_json(&self, arguments: &[&str]) -> Result<Value> {
        say(&typed(arguments));
        self.cloud.json(arguments)
    }
}

/// Asks again until there is an answer, within [`PATIENCE`].
fn eventually<T>(mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if started.elapsed() > PATIENCE {
            bail!("nothing came of it within {}", steps::human(PATIENCE));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn ingest_id(sent: &Value) -> Result<String> {
    Ok(sent["body"]["ingestId"].as_str().context("the answer has an ingestId")?.to_owned())
}

/// What is shown must hold.
fn check(holds: bool, what: &str) -> Result<()> {
    ensure!(holds, "this does not hold: {what}");
    println!("      {} {what}", steps::green("✓"));
    Ok(())
}

/// A command as one would type it against the local cloud on its usual ports.
fn typed(arguments: &[&str]) -> String {
    format!("$ {}", steps::shown(Command::new("sluice").arg("--local").args(arguments)))
}

fn say(text: &str) {
    println!("      {}", steps::bold(text));
}

fn show(value: &Value) {
    print!("{}", indented(&serde_json::to_string_pretty(value).unwrap_or_default()));
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("        {line}\n")).collect()
}
