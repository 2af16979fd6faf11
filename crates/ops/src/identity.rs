//! Who calls AWS: the identity of the credentials in use, for the record of who did what.

use serde::Serialize;
use sluice_aws::error::fault;

use crate::cloud::Cloud;
use crate::error::OpsError;

/// The identity of the credentials in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Caller {
    /// The account.
    pub account: String,
    /// The ARN of the user or of the role's session.
    pub arn: String,
    /// A name for the record: the user's, or the role's with that of its session.
    pub name: String,
}

/// Asks AWS, which answers whoever has credentials (`GetCallerIdentity`, AWS STS API Reference: it
/// needs no permission). `None` on the local cloud, which knows one access key and no names.
///
/// # Errors
/// When STS does not answer.
pub async fn caller(cloud: &Cloud) -> Result<Option<Caller>, OpsError> {
    if cloud.is_local() {
        return Ok(None);
    }
    let answer = aws_sdk_sts::Client::new(cloud.sdk()).get_caller_identity().send().await;
    let answer = answer.map_err(|error| fault("ask who calls AWS", error))?;
    let arn = answer.arn().unwrap_or_default().to_owned();
    Ok(Some(Caller { account: answer.account().unwrap_or_default().to_owned(), name: name(&arn), arn }))
}

/// `arn:aws:iam::111122223333:user/team/ada` is `ada`, and
/// `arn:aws:sts::111122223333:assumed-role/Operator/ada@example.com` is `Operator/ada@example.com`.
fn name(arn: &str) -> String {
    let resource = arn.rsplit(':').next().unwrap_or_default();
    match resource.split_once('/') {
        Some(("assumed-role", session)) => session.to_owned(),
        Some((_, path)) => path.rsplit('/').next().unwrap_or_default().to_owned(),
        None => resource.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_that_of_a_user_or_of_a_session() {
        for (arn, expected) in [
            ("arn:aws:iam::111122223333:user/ada", "ada"),
            ("arn:aws:iam::111122223333:user/team/ada", "ada"),
            ("arn:aws:sts::111122223333:assumed-role/Operator/ada@example.com", "Operator/ada@example.com"),
            ("arn:aws:iam::111122223333:root", "root"),
            ("", ""),
        ] {
            assert_eq!(name(arn), expected);
        }
    }

    #[tokio::test]
    async fn the_local_cloud_knows_no_names() {
        let cloud = Cloud::local("http://127.0.0.1:1", "SLUICE", "s");
        assert!(caller(&cloud).await.is_ok_and(|caller| caller.is_none()));
    }
}
