//! The access key of a local cloud: random, one for each data folder, in a file that only its owner reads.
//!
//! The file has the form of AWS's shared credentials file, so `AWS_SHARED_CREDENTIALS_FILE` makes every AWS tool use it.
//! `sluice --local` reads it too; the AWS endpoint says where it is, by the header [`HEADER`], to whom it refuses.

use std::io::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::private;

/// Name of the file in the data folder.
pub const FILE: &str = "aws-credentials";

/// The header of a refusal that names the file.
pub const HEADER: &str = "x-sluice-credentials";

/// What every key id begins with, so that a local key is never taken for one of AWS, or the reverse.
const ID_PREFIX: &str = "SLUICE";

/// Characters of a key id, as AWS has them.
const ID_LENGTH: usize = 20;

/// An access key.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// Its id, which is said in every signed request.
    pub id: String,
    /// What requests are signed with, and never said.
    pub secret: String,
}

impl std::fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// It cannot be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Others may read it.
    #[error("others than its owner can read it: run `chmod 600` on it, or delete it for a new key")]
    NotPrivate,
    /// It has no key of a local cloud.
    #[error("it has no access key of a local cloud; delete it, and `sluice dev` makes a new one")]
    Malformed,
}

impl AccessKey {
    /// A new one.
    pub(crate) fn generate() -> Self {
        const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let random: [u8; ID_LENGTH - ID_PREFIX.len()] = rand::random();
        let tail = random.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)]));
        let id = ID_PREFIX.chars().chain(tail).collect();
        Self { id, secret: URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()) }
    }

    /// Reads the file, or makes it with a new key.
    pub(crate) fn open(path: &Path) -> Result<Self, CredentialsError> {
        match Self::read(path) {
            Err(CredentialsError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {}
            result => return result,
        }
        let key = Self::generate();
        let text =
            format!("[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n", key.id, key.secret);
        let mut file = private::create_new(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        Ok(key)
    }

    /// Reads the file.
    ///
    /// # Errors
    /// When it is not there, when others may read it, and when it is not the file of a local cloud.
    pub fn read(path: &Path) -> Result<Self, CredentialsError> {
        let text = std::fs::read_to_string(path)?;
        if private::open_to_others(path)?.is_some() {
            return Err(CredentialsError::NotPrivate);
        }
        let value = |wanted: &str| {
            let mut pairs = text.lines().filter_map(|line| line.split_once('='));
            pairs.find(|(name, _)| name.trim() == wanted).map(|(_, value)| value.trim().to_owned())
        };
        match (value("aws_access_key_id"), value("aws_secret_access_key")) {
            (Some(id), Some(secret))
                if id.starts_with(ID_PREFIX) && id.len() == ID_LENGTH && !secret.is_empty() =>
            {
                Ok(Self { id, secret })
            }
            _ => Err(CredentialsError::Malformed),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is the test's failure")]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_a_folder_and_no_two_are_alike() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let made = AccessKey::open(&path).unwrap();
        assert_eq!(AccessKey::open(&path).unwrap(), made);
        assert_eq!(AccessKey::read(&path).unwrap(), made);
        assert_ne!(AccessKey::generate(), AccessKey::generate());
        assert!(!format!("{made:?}").contains(&made.secret));
    }

    #[test]
    fn a_file_of_aws_is_not_used_by_mistake() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let mut file = private::create_new(&path).unwrap();
        file.write_all(b"[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = s\n")
            .unwrap();
        assert!(matches!(AccessKey::read(&path), Err(CredentialsError::Malformed)));
        assert!(matches!(AccessKey::open(&path), Err(CredentialsError::Malformed)));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        AccessKey::open(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(AccessKey::read(&path), Err(CredentialsError::NotPrivate)));
    }
}
