//! `sluice mapper shadow` against the local cloud: what it finds, and that no call that it makes writes anything.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use sluice_tests::{Dev, root};

type Seen = Arc<Mutex<BTreeSet<String>>>;

/// Passes connections on to `upstream` and notes each request: its method, and the operation for AWS's JSON protocols.
fn recording(listener: TcpListener, upstream: String) -> Seen {
    let seen = Seen::default();
    let notes = Arc::clone(&seen);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(&upstream) else { continue };
            let (mut to_client, mut from_server) =
                (client.try_clone().expect("a clone"), server.try_clone().expect("a clone"));
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from_server, &mut to_client);
                let _ = to_client.shutdown(Shutdown::Both);
            });
            let notes = Arc::clone(&notes);
            std::thread::spawn(move || forward(client, server, &notes));
        }
    });
    seen
}

fn forward(mut client: TcpStream, mut server: TcpStream, notes: &Seen) {
    let mut held = Vec::new();
    let mut buffer = [0; 16_384];
    while let Ok(read @ 1..) = client.read(&mut buffer) {
        held.extend_from_slice(&buffer[..read]);
        // Requests of this command are small texts; their heads are told from their bodies by their lines.
        for line in String::from_utf8_lossy(&held).split("\r\n") {
            let lower = line.to_ascii_lowercase();
            if let Some(operation) = lower.strip_prefix("x-amz-target:") {
                notes.lock().expect("notes").insert(operation.trim().to_owned());
            } else if line.ends_with(" HTTP/1.1") {
                notes.lock().expect("notes").insert(line.split(' ').next().unwrap_or_default().to_owned());
            }
        }
        // A line may be cut in two: the last lines are looked at again, from the beginning of one.
        let cut = held.len().saturating_sub(4_096);
        let line = held[cut..].iter().position(|byte| *byte == b'\n').map_or(cut, |at| cut + at + 1);
        if cut > 0 {
            held.drain(..line);
        }
        if server.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = server.shutdown(Shutdown::Write);
}

#[test]
fn it_reads_and_writes_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let proxy = listener.local_addr().expect("an address").to_string();
    let dev = Dev::start(&["--ephemeral", "--examples", "--allow-host", &proxy]);
    let run = |arguments: &[&str]| -> Value {
        let output = dev.sluice(arguments).arg("--json").output().expect("sluice");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    };
    for file in ["examples/vendorA-inventory.json", "examples/vendorA-inventory-renamed.json"] {
        run(&["send", file, "--key", "vendorA-dev-key"]);
    }
    run(&["balance", "--wait"]);
    let before = run(&["ls"]);

    let seen = recording(listener, dev.aws().trim_start_matches("http://").to_owned());
    let wasm = "mappers-wasm/target/wasm32-unknown-unknown/release/vendor_a_inventory_fixed.wasm";
    let output = std::process::Command::new(sluice_tests::program("sluice"))
        .current_dir(root())
        .args(["--json", &format!("--local=http://{proxy}"), "mapper", "shadow", "vendorA", "--since", "1h"])
        .args(["--candidate", "mappers-wasm/demo/vendor-a-inventory-fixed", "--wasm", wasm])
        .output()
        .expect("sluice");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let of = |name: &str| report[name]["events"].as_u64();
    assert_eq!((report["events"].as_u64(), report["same"].as_u64()), (Some(2), Some(1)), "{report}");
    assert_eq!((of("fixed"), of("newlyBroken"), of("stillBroken")), (Some(1), Some(0), Some(0)), "{report}");
    assert_eq!(report["fixed"]["causes"][0]["examples"].as_array().map(Vec::len), Some(1));

    let seen = seen.lock().expect("notes").clone();
    let reading = ["GET", "POST", "dynamodb_20120810.query", "dynamodb_20120810.getitem"];
    let other: Vec<&String> = seen.iter().filter(|note| !reading.contains(&note.as_str())).collect();
    assert!(other.is_empty(), "{other:?}");
    assert!(seen.contains("GET") && seen.contains("dynamodb_20120810.query"), "{seen:?}");
    assert_eq!(run(&["ls"]), before);
}
