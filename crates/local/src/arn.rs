//! Names of local resources: account `000000000000`, region `us-east-1`.

/// The region that clients must use.
pub const REGION: &str = "us-east-1";

/// The account of every local resource.
pub const ACCOUNT: &str = "000000000000";

/// `arn:aws:states:…:stateMachine:<name>`
pub fn state_machine(name: &str) -> String {
    format!("arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{name}")
}

/// `arn:aws:lambda:…:function:<name>`
pub fn function(name: &str) -> String {
    format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}")
}

/// `arn:aws:sqs:…:<name>`
pub fn queue(name: &str) -> String {
    format!("arn:aws:sqs:{REGION}:{ACCOUNT}:{name}")
}

/// `<aws_url>/000000000000/<name>`
pub fn queue_url(aws_url: &str, name: &str) -> String {
    format!("{aws_url}/{ACCOUNT}/{name}")
}

/// `arn:aws:events:…:event-bus/<name>`
pub fn event_bus(name: &str) -> String {
    format!("arn:aws:events:{REGION}:{ACCOUNT}:event-bus/{name}")
}

/// `arn:aws:events:…:rule/<bus>/<name>`
pub fn rule(bus: &str, name: &str) -> String {
    format!("arn:aws:events:{REGION}:{ACCOUNT}:rule/{bus}/{name}")
}

/// The function's name, from a name, an ARN or a partial ARN, with or without a version or alias, as Lambda's
/// `FunctionName` takes it ("Invoke", Lambda API Reference).
pub fn function_name(reference: &str) -> &str {
    match reference.split_once("function:") {
        Some((_, rest)) => rest.split(':').next().unwrap_or(rest),
        None => reference.split(':').next().unwrap_or(reference),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_found_by_every_form_of_its_name() {
        for reference in [
            "sluice-accept",
            "sluice-accept:live",
            "arn:aws:lambda:us-east-1:000000000000:function:sluice-accept",
            "arn:aws:lambda:us-east-1:000000000000:function:sluice-accept:7",
            "000000000000:function:sluice-accept",
        ] {
            assert_eq!(function_name(reference), "sluice-accept", "{reference}");
        }
    }
}
