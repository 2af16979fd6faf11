//! A full disk: new events are refused with the reason, nothing that was acknowledged is lost, and work goes on when there is room.
//!
//! The disk is a file system in memory, mounted in a mount namespace of the test's own: it runs itself again under `unshare`.
//! Where no namespace can be made, it says so.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test's own constants")]

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use sluice_tests::{Dev, program, root};

const TEST: &str = "a_full_disk_refuses_new_events_loses_none_and_recovers";
const DISK: &str = "SLUICE_TEST_DISK";
const DISK_SIZE: &str = "192m";

#[test]
fn a_full_disk_refuses_new_events_loses_none_and_recovers() {
    if let Some(disk) = std::env::var_os(DISK) {
        return on(Path::new(&disk));
    }
    let folder = tempfile::tempdir().unwrap();
    let me = std::env::current_exe().unwrap();
    let script = format!(
        "mount -t tmpfs -o size={DISK_SIZE} tmpfs \"${DISK}\" && exec \"$0\" --exact {TEST} --nocapture"
    );
    let run = |unshare: &[&str], script: &str| {
        let mut command = Command::new("unshare");
        command.args(unshare).args(["sh", "-c", script]).arg(&me).env(DISK, folder.path());
        command.output().ok()
    };
    let namespaces: [&[&str]; 2] = [&["--mount"], &["--user", "--map-root-user", "--mount"]];
    let works = |unshare: &&&[&str]| {
        let probe = format!("mount -t tmpfs tmpfs \"${DISK}\"");
        run(unshare, &probe).is_some_and(|output| output.status.success())
    };
    let Some(unshare) = namespaces.iter().find(works) else {
        let _ = writeln!(std::io::stderr(), "not run: this user can mount nothing, not even for itself");
        return;
    };
    let output = run(unshare, &script).unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Posts an event; status and detail.
fn post(dev: &Dev, number: usize) -> (u64, String) {
    let event = json!({"vendorId": "vendorA", "externalEventId": format!("e-{number}"), "eventType": "inventory_update",
        "occurredAt": "2026-01-15T10:30:00Z", "payload": {"warehouse": "ROA", "sku": format!("SKU-{number}"), "qty": number}});
    let output = Command::new("curl")
        .args(["--silent", "--write-out", "\n%{http_code}", "-H", "x-api-key: vendorA-dev-key"])
        .args(["-H", "content-type: application/json", "--data-binary", &event.to_string()])
        .arg(format!("{}/v1/events", dev.api()))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    let body: Value = serde_json::from_str(body).unwrap_or(Value::Null);
    (status.parse().unwrap(), body["detail"].as_str().unwrap_or_default().to_owned())
}

/// Fills the disk until so many bytes are left.
fn fill(disk: &Path, left: u64) {
    let output = Command::new("df").args(["--output=avail", "-B1"]).arg(disk).output().unwrap();
    let free: u64 = String::from_utf8(output.stdout).unwrap().lines().nth(1).unwrap().trim().parse().unwrap();
    let mut filler = std::fs::File::options().create(true).append(true).open(disk.join("filler")).unwrap();
    let mut wanted = free.saturating_sub(left);
    let block = vec![b'x'; 1 << 20];
    while wanted > 0 {
        let part = usize::try_from(wanted.min(1 << 20)).unwrap();
        match filler.write(&block[..part]) {
            Ok(written @ 1..) => wanted -= written as u64,
            // Others have written meanwhile.
            _ => return,
        }
    }
}

fn on(disk: &Path) {
    let data = disk.join("data");
    let arguments = ["--data", data.to_str().unwrap(), "--examples"];
    let dev = Dev::start(&arguments);
    let ok = |dev: &Dev, arguments: &[&str]| -> Value {
        let output = dev.sluice(&["--json"]).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let mut accepted = 0;
    let mut send = |dev: &Dev, expected: u64| {
        loop {
            let (status, detail) = post(dev, accepted);
            if status == 202 {
                accepted += 1;
            }
            if status == expected {
                return detail;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    };
    for _ in 0..20 {
        send(&dev, 202);
    }
    // Less than the reserve, and then nothing at all.
    for left in [8 << 20, 0] {
        fill(disk, left);
        let detail = send(&dev, 503);
        assert!(detail.contains("disk") && detail.contains("full"), "{left} bytes left: {detail}");
        assert!(!detail.contains("damage"), "{detail}");
    }
    drop(dev);

    // Nothing can be opened: it says why, and blames no damage.
    let output = Command::new(program("sluice"))
        .current_dir(root())
        .args(["--json", "dev", "--port", "0", "--aws-port", "0"])
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "it started on a full disk");
    assert!(said.contains("full") && !said.contains("damage"), "{said}");

    // Room again, for a cloud that is started and for one that has run out of it.
    std::fs::remove_file(disk.join("filler")).unwrap();
    let dev = Dev::start(&arguments);
    for _ in 0..5 {
        send(&dev, 202);
    }
    fill(disk, 0);
    send(&dev, 503);
    std::fs::remove_file(disk.join("filler")).unwrap();
    for _ in 0..5 {
        send(&dev, 202);
    }
    let balance = ok(&dev, &["balance", "--wait"]);
    assert_eq!(
        (&balance["balanced"], &balance["inFlight"], &balance["accepted"]),
        (&json!(true), &json!(0), &json!(accepted)),
        "{balance}"
    );
    let listed = ok(&dev, &["ls", "--limit", "1000"]);
    let statuses = listed["events"].as_array().unwrap().iter().map(|row| row["status"].as_str().unwrap());
    assert_eq!(statuses.filter(|status| *status == "NORMALIZED").count(), accepted, "{listed}");
}
