//! Who does something that is recorded: `--by`, or the user of this computer.

use clap::Args;

use crate::error::CliError;

/// Who does it, for the record.
#[derive(Debug, Clone, Args)]
pub struct By {
    /// Who decides, for the record [default: SLUICE_BY, or the user of this computer].
    #[arg(long = "by", value_name = "NAME", env = "SLUICE_BY")]
    pub name: Option<String>,
}

impl By {
    /// The name.
    ///
    /// # Errors
    /// When nothing says it.
    pub fn who(&self) -> Result<String, CliError> {
        who(self.name.as_deref())
    }
}

/// `name`, or the user of this computer.
///
/// # Errors
/// When neither is known.
pub fn who(name: Option<&str>) -> Result<String, CliError> {
    let user = || ["USER", "LOGNAME", "USERNAME"].iter().find_map(|name| std::env::var(name).ok());
    let name = name.map(ToOwned::to_owned).or_else(user).or_else(user_id);
    name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).ok_or_else(|| {
        CliError::usage("it is recorded who does this, and that is not known")
            .with_hint("say --by NAME, or set SLUICE_BY")
    })
}

/// In a container there may be no names.
fn user_id() -> Option<String> {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::MetadataExt as _;
        std::fs::metadata("/proc/self").ok().map(|process| format!("uid {}", process.uid()))
    }
    #[cfg(not(target_os = "linux"))]
    None
}
