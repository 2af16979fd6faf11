//! What is stored is private: the data folder and every file in it are their owner's alone.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a panic is the test's failure")]

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use common::{Scripted, options_in, signed, start};
use sluice_local::{Cloud, StartError};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Everything in the folder with its mode, which must be more than the databases.
fn modes(folder: &Path) -> Vec<(String, u32)> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let modes: Vec<_> =
        entries.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), mode(&path))).collect();
    assert!(modes.iter().any(|(name, _)| name == "s3.sqlite-wal"), "{modes:?}");
    modes
}

#[tokio::test]
async fn the_folder_and_every_file_are_their_owners_alone() {
    let above = tempfile::tempdir().unwrap();
    let folder = above.path().join("a/b");
    for made in [false, true] {
        if made {
            // As `mkdir` leaves it, and empty: nothing in it can have been read.
            std::fs::create_dir_all(&folder).unwrap();
            set_mode(&folder, 0o755);
        }
        let cloud = start(options_in(&folder), Scripted::idle()).await;
        let put = reqwest::Client::new().put(format!("{}/sluice-normalized/k", cloud.aws_url())).body("b");
        assert!(signed(&cloud, "s3", put).await.status().is_success());
        assert_eq!(mode(&folder), 0o700);
        for (name, mode) in modes(&folder) {
            assert_eq!(mode, 0o600, "{name}");
        }
        cloud.shutdown().await;
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

#[tokio::test]
async fn a_folder_that_others_can_read_is_refused_with_the_command_that_mends_it() {
    let folder = tempfile::tempdir().unwrap();
    start(options_in(folder.path()), Scripted::idle()).await.shutdown().await;
    for open in [0o755, 0o750, 0o701] {
        set_mode(folder.path(), open);
        let error = Cloud::start(options_in(folder.path())).await.unwrap_err();
        assert!(matches!(error, StartError::NotPrivate { mode, .. } if mode == open), "{error}");
        let command = format!("chmod -R go= {}", folder.path().display());
        assert!(error.to_string().contains(&command), "{error}");
    }
    // A database of an earlier version.
    set_mode(&folder.path().join("s3.sqlite"), 0o644);
    set_mode(folder.path(), 0o700);
    let cloud = start(options_in(folder.path()), Scripted::idle()).await;
    for (name, mode) in modes(folder.path()) {
        assert_eq!(mode, 0o600, "{name}");
    }
    cloud.shutdown().await;
}
