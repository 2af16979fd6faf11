//! `sluice send`: posts bytes exactly as they are.
//!
//! Invariant: nothing between the file and the wire parses and rewrites the payload. Wrapping it in an envelope splices its
//! text in, so that numbers, key order and duplicate keys stay as the vendor wrote them.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use jiff::Timestamp;
use reqwest::Url;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use sluice_core::contract::{Encoding, Format, Signature};
use sluice_core::digest::Sha256Hex;
use sluice_core::id::rfc3339;
use sluice_core::signature::{
    HEADER_ID, HEADER_SIGNATURE, HEADER_TIMESTAMP, InvalidSecret, StandardSecret, sign_body,
};

use crate::args::{Global, Scheme, SendArgs, SignatureEncoding};
use crate::cloud::local_url;
use crate::error::CliError;
use crate::output::{Output, Page, Tone, View, fields, paint, pretty, printable};

/// Largest file read, in bytes: far beyond what the API takes, so that its 413 can be seen.
const FILE_BYTES_MAX: u64 = 32 << 20;

/// API Gateway gives up after 29 s.
const ANSWER_SECONDS_MAX: u64 = 35;

/// What the answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// 202: durable.
    Accepted,
    /// 200: was accepted before.
    Duplicate,
    /// 409: was accepted before with another payload.
    Conflict,
    /// Any other 4xx.
    Refused,
    /// 5xx.
    Unavailable,
    /// Anything else: not the ingest API.
    Unexpected,
}

impl Outcome {
    fn of(status: u16) -> Self {
        match status {
            202 => Self::Accepted,
            200 => Self::Duplicate,
            409 => Self::Conflict,
            400..=499 => Self::Refused,
            500..=599 => Self::Unavailable,
            _ => Self::Unexpected,
        }
    }

    fn tone(self) -> Tone {
        match self {
            Self::Accepted => Tone::Good,
            Self::Duplicate => Tone::Warn,
            Self::Conflict | Self::Refused | Self::Unavailable | Self::Unexpected => Tone::Bad,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate: nothing changed",
            Self::Conflict => "conflict: refused",
            Self::Refused => "refused",
            Self::Unavailable => "not taken",
            Self::Unexpected => "not an answer of the ingest API",
        }
    }
}

/// The answer, and what was sent.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Sent {
    status_code: u16,
    outcome: Outcome,
    ingest_id: Option<String>,
    request: Request,
    headers: BTreeMap<String, String>,
    body: Value,
    #[serde(skip)]
    local: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    url: String,
    bytes: usize,
    sha256: Sha256Hex,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_encoding: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_id: Option<String>,
}

/// A request ready to be posted.
#[derive(Debug)]
struct Prepared {
    body: Bytes,
    headers: HeaderMap,
    webhook_id: Option<String>,
}

/// Posts the file. A refusal is an answer too: it is written, and then an error with its exit code.
pub async fn run(args: &SendArgs, api: &Url, global: &Global, output: &Output) -> Result<(), CliError> {
    let file = read(&args.file)?;
    let url = join(api, &args.path);
    let prepared = prepare(args, file, &url, Timestamp::now(), &random_id())?;
    let request = Request {
        url: url.to_string(),
        bytes: prepared.body.len(),
        sha256: Sha256Hex::of(&prepared.body),
        content_encoding: prepared
            .headers
            .get(CONTENT_ENCODING)
            .and_then(|value| value.to_str().ok())
            .map(ToOwned::to_owned),
        webhook_id: prepared.webhook_id,
    };
    let failed = |source| CliError::Api { url: url.to_string(), source };
    let client = reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(5))
        .timeout(Duration::from_secs(ANSWER_SECONDS_MAX))
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("sluice/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(failed)?;
    let answer = client
        .post(url.clone())
        .headers(prepared.headers)
        .body(prepared.body)
        .send()
        .await
        .map_err(failed)?;
    let status_code = answer.status().as_u16();
    let headers = answer
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let bytes = answer.bytes().await.map_err(failed)?;
    let body = serde_json::from_slice(&bytes)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
    let sent = Sent {
        status_code,
        outcome: Outcome::of(status_code),
        ingest_id: body.get("ingestId").and_then(Value::as_str).map(ToOwned::to_owned),
        request,
        headers,
        body,
        local: local_url(global).is_some(),
    };
    output.document(&sent)?;
    match sent.outcome {
        Outcome::Accepted | Outcome::Duplicate => Ok(()),
        Outcome::Conflict | Outcome::Refused | Outcome::Unavailable | Outcome::Unexpected => {
            Err(CliError::Answered { status: status_code, said: said(&sent.body) })
        }
    }
}

/// Reads a file or standard input, with a bound.
fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    let failed = |source| CliError::ReadFile { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
    };
    read.map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(CliError::InvalidFile {
            path: path.to_owned(),
            problem: format!("is larger than {FILE_BYTES_MAX} bytes"),
            hint: Some(
                "a message has at most 5 MiB (5,242,880 bytes); over 190,000 bytes it goes to --path /v1/uploads/VENDOR"
                    .into(),
            ),
        });
    }
    Ok(bytes)
}

/// Wraps, compresses, signs: in this order, so that the signature is of the bytes on the wire.
fn prepare(
    args: &SendArgs,
    file: Vec<u8>,
    url: &Url,
    now: Timestamp,
    fresh_id: &str,
) -> Result<Prepared, CliError> {
    let mut body = if args.payload { wrap(args, &file, now)? } else { file };
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(format(&args.file).media_type()));
    if args.gzip {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        body = encoder
            .write_all(&body)
            .and_then(|()| encoder.finish())
            .map_err(|source| CliError::ReadFile { path: args.file.clone(), source })?;
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if let Some(key) = &args.key {
        let mut value = HeaderValue::from_str(key)
            .map_err(|_| CliError::usage("--key has a character that a header cannot carry"))?;
        value.set_sensitive(true);
        headers.insert(HeaderName::from_static("x-api-key"), value);
    }
    let mut webhook_id = None;
    if let (Some(secret), Some(scheme)) = (&args.secret, own_scheme(args, url)) {
        let unusable = || {
            CliError::usage(
                "the signature cannot be a header: --signature-prefix has a character that a header cannot carry",
            )
        };
        let (name, value) = sign_body(&scheme, secret, &body).ok_or_else(unusable)?;
        let name = HeaderName::try_from(name).map_err(|_| unusable())?;
        headers.insert(name, HeaderValue::try_from(value).map_err(|_| unusable())?);
    } else if let Some(secret) = &args.secret {
        let id = match (&args.webhook_id, &args.event_id) {
            (Some(id), _) => id.clone(),
            (None, Some(event_id)) => event_id.to_string(),
            (None, None) => fresh_id.to_owned(),
        };
        let timestamp = args.webhook_timestamp.unwrap_or_else(|| now.as_second());
        let secret: StandardSecret = secret.parse().map_err(|error: InvalidSecret| {
            CliError::usage(format!("--secret cannot sign: {error}"))
                .with_hint("`sluice vendors add --generate-secret` makes one")
        })?;
        let signature = secret.sign(&id, timestamp, &body);
        let header = |text: &str, what: &str| {
            HeaderValue::from_str(text)
                .map_err(|_| CliError::usage(format!("{what} has a character that a header cannot carry")))
        };
        headers.insert(HEADER_ID, header(&id, "--webhook-id, or the event id,")?);
        headers.insert(HEADER_TIMESTAMP, HeaderValue::from(timestamp));
        headers.insert(HEADER_SIGNATURE, header(&signature, "the signature")?);
        webhook_id = Some(id);
    }
    for (name, _) in &args.headers {
        headers.remove(name);
    }
    for (name, value) in &args.headers {
        headers.append(name, value.clone());
    }
    Ok(Prepared { body: body.into(), headers, webhook_id })
}

/// The format that a file's name tells.
fn format(path: &Path) -> Format {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    match extension.as_str() {
        "csv" => Format::Csv,
        "x12" | "edi" => Format::X12,
        _ => Format::Json,
    }
}

/// The vendor's own scheme, as a contract would say it; `None` for Standard Webhooks.
fn own_scheme(args: &SendArgs, url: &Url) -> Option<Signature> {
    Some(match args.scheme {
        Scheme::StandardWebhooks => return None,
        Scheme::Shopify => Signature::Shopify,
        Scheme::Woocommerce => Signature::Woocommerce,
        Scheme::Square => {
            Signature::Square { url: args.signature_url.clone().unwrap_or_else(|| url.to_string()) }
        }
        Scheme::Hmac => Signature::Hmac {
            header: args.signature_header.as_ref().map_or_else(String::new, ToString::to_string),
            encoding: match args.signature_encoding {
                SignatureEncoding::Hex => Encoding::Hex,
                SignatureEncoding::Base64 => Encoding::Base64,
            },
            prefix: args.signature_prefix.clone(),
        },
    })
}

/// The envelope around a payload, whose text is kept.
fn wrap(args: &SendArgs, file: &[u8], now: Timestamp) -> Result<Vec<u8>, CliError> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Envelope<'a> {
        vendor_id: &'a str,
        external_event_id: &'a str,
        event_type: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        schema_version: Option<&'a str>,
        occurred_at: String,
        payload: &'a RawValue,
    }
    let invalid = |problem: String| CliError::InvalidFile {
        path: args.file.clone(),
        problem,
        hint: Some("--payload takes JSON; without it the file is posted as it is".into()),
    };
    let (Some(vendor), Some(event_type), Some(event_id)) = (&args.vendor, &args.event_type, &args.event_id)
    else {
        return Err(CliError::usage("--payload needs --vendor, --type and --event-id"));
    };
    let payload: &RawValue =
        serde_json::from_slice(file).map_err(|error| invalid(format!("is not JSON: {error}")))?;
    let envelope = Envelope {
        vendor_id: vendor.as_str(),
        external_event_id: event_id.as_str(),
        event_type: event_type.as_str(),
        schema_version: args.schema_version.as_ref().map(|version| version.as_str()),
        occurred_at: rfc3339(args.occurred_at.unwrap_or(now)),
        payload,
    };
    serde_json::to_vec(&envelope).map_err(|error| invalid(format!("cannot be wrapped: {error}")))
}

/// `path` below the API's own path: a stage of API Gateway is one.
fn join(api: &Url, path: &str) -> Url {
    let mut url = api.clone();
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let whole = format!("{}{path}", api.path().trim_end_matches('/'));
    url.set_path(&whole);
    url.set_query(query);
    url
}

fn random_id() -> String {
    format!("msg_{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 15]>()))
}

/// Title and detail of a problem document (RFC 9457).
fn said(body: &Value) -> Option<String> {
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    match (text("title"), text("detail")) {
        (Some(title), Some(detail)) => Some(format!("{title}: {detail}")),
        (Some(one), None) | (None, Some(one)) => Some(one.to_owned()),
        (None, None) => None,
    }
}

impl View for Sent {
    fn text(&self, page: &Page) -> String {
        let mut text = format!(
            "{} {}\n",
            paint(self.outcome.tone(), self.status_code.to_string()),
            paint(Tone::Strong, self.outcome.word())
        );
        match self.outcome {
            Outcome::Accepted | Outcome::Duplicate => {
                let member =
                    |name: &str| printable(self.body.get(name).and_then(Value::as_str).unwrap_or_default());
                text.push_str(&fields([
                    ("ingestId", member("ingestId")),
                    ("receivedAt", member("receivedAt")),
                    ("sent", format!("{} bytes, sha256 {}", self.request.bytes, self.request.sha256)),
                ]));
                if page.terminal && self.ingest_id.is_some() {
                    let local = if self.local { " --local" } else { "" };
                    text.push_str(&format!(
                        "\n{} sluice{local} show {}\n",
                        paint(Tone::Dim, "next:"),
                        member("ingestId")
                    ));
                }
            }
            Outcome::Conflict | Outcome::Refused | Outcome::Unavailable | Outcome::Unexpected => {
                self.problem(page, &mut text);
            }
        }
        text
    }
}

impl Sent {
    fn problem(&self, page: &Page, text: &mut String) {
        let faults = self.body.get("errors").and_then(Value::as_array);
        match &self.body {
            Value::String(plain) if plain.is_empty() => {}
            Value::String(plain) => {
                text.push_str(&printable(plain));
                text.push('\n');
            }
            Value::Object(_) if faults.is_some() || said(&self.body).is_some() => {
                let list = ["title", "detail", "ingestId"].into_iter().filter_map(|name| {
                    self.body.get(name).and_then(Value::as_str).map(|value| (name, printable(value)))
                });
                text.push_str(&fields(list));
            }
            other => {
                text.push_str(&pretty(other));
                text.push('\n');
            }
        }
        if let Some(faults) = faults {
            let member = |fault: &Value, name: &str| {
                fault.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
            };
            let rows = faults.iter().map(|fault| {
                let pointer = member(fault, "pointer");
                let pointer = if pointer.is_empty() { "(the body)".to_owned() } else { pointer };
                vec![pointer.into(), member(fault, "code").into(), member(fault, "message").into()]
            });
            text.push('\n');
            text.push_str(&page.table(&["WHERE", "CODE", "WHAT"], rows.collect()));
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use clap::Parser as _;
    use sluice_core::envelope::Envelope;
    use sluice_core::payload::inflate;

    use super::*;
    use crate::args::{Cli, Command};
    use crate::error::ExitKind;
    use crate::output::testing::{in_pipe, json, on_terminal};

    fn args(line: &str) -> SendArgs {
        let line = format!("sluice send f {line}");
        match Cli::try_parse_from(line.split_whitespace()).unwrap().command {
            Command::Send(args) => *args,
            other => panic!("{other:?}"),
        }
    }

    fn now() -> Timestamp {
        "2026-11-21T10:00:00.5Z".parse().unwrap()
    }

    fn url() -> Url {
        "http://127.0.0.1:8787/v1/sources/v".parse().unwrap()
    }

    fn prepared(line: &str, file: &[u8]) -> Prepared {
        prepare(&args(line), file.to_vec(), &url(), now(), "msg_1").unwrap()
    }

    const AWKWARD: &[u8] = br#" {"n": 12345678901234567890.10, "n":1, "e":"\u00e9"}
"#;

    #[test]
    fn bytes_go_out_as_they_are() {
        let sent = prepared("--key k", b"\xff not json\r\n");
        assert_eq!(&sent.body[..], b"\xff not json\r\n");
        assert_eq!(sent.headers["x-api-key"], "k");
        assert_eq!(sent.headers["content-type"], "application/json");
        assert!(!sent.headers.contains_key("content-encoding"));
    }

    #[test]
    fn a_payload_is_wrapped_without_being_touched() {
        let line = "--payload --vendor v --type orders/create --event-id e-1 --schema-version 2";
        let sent = prepared(line, AWKWARD);
        let envelope = Envelope::parse(&sent.body, now()).unwrap();
        assert_eq!(envelope.payload, AWKWARD.trim_ascii());
        assert_eq!(envelope.external_event_id.as_str(), "e-1");
        assert_eq!(envelope.schema_version.unwrap().as_str(), "2");
        assert_eq!(envelope.occurred_at, now());
        let refused = prepare(&args(line), b"{".to_vec(), &url(), now(), "x").unwrap_err();
        assert_eq!(refused.kind(), ExitKind::Usage);
        assert!(refused.to_string().starts_with("f is not JSON"), "{refused}");
    }

    #[test]
    fn gzip_inflates_to_what_was_read() {
        let sent = prepared("--gzip", AWKWARD);
        assert_eq!(sent.headers["content-encoding"], "gzip");
        assert_eq!(inflate(&sent.body, Some("gzip")).unwrap().as_ref(), AWKWARD);
    }

    const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

    #[test]
    fn the_signature_is_of_the_bytes_id_and_time() {
        let sent = prepared(
            &format!(
                "--secret {SECRET} --webhook-timestamp 1649367553 --webhook-id msg_27UH4WbU6Z5A5EzD8u03UvzRbpk"
            ),
            br#"{"email":"test@example.com","username":"test_user"}"#,
        );
        // The example of the Standard Webhooks specification's reference libraries.
        assert_eq!(sent.headers["webhook-signature"], "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=");
        let sent = prepared(&format!("--secret {SECRET}"), b"{}");
        assert_eq!(sent.headers["webhook-id"], "msg_1");
        assert_eq!(sent.headers["webhook-timestamp"], "1795255200");
        let refused = prepare(&args("--secret whsec_%%"), b"{}".to_vec(), &url(), now(), "x").unwrap_err();
        assert!(refused.to_string().contains("Standard Webhooks"), "{refused}");
    }

    /// The expected values are `openssl dgst -sha256 -hmac key`.
    #[test]
    fn a_vendors_own_scheme_signs_as_that_vendor_does() {
        let fox = b"The quick brown fox jumps over the lazy dog";
        let hex = "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8";
        let base64 = "97yD9DBThCSxMpjmqm+xQ+9NWaFJRhdZl0edvC0aPNg=";
        let sent = |line: &str| prepared(&format!("--secret key {line}"), fox).headers;
        assert_eq!(sent("--scheme shopify")["x-shopify-hmac-sha256"], base64);
        assert_eq!(sent("--scheme woocommerce")["x-wc-webhook-signature"], base64);
        let own = "--scheme hmac --signature-header X-Sig";
        assert_eq!(sent(&format!("{own} --signature-prefix sha256="))["x-sig"], format!("sha256={hex}"));
        assert_eq!(sent(&format!("{own} --signature-encoding base64"))["x-sig"], base64);
        let (here, there) =
            (sent("--scheme square"), sent("--scheme square --signature-url https://x.test/hook"));
        let name = "x-square-hmacsha256-signature";
        assert_eq!(here[name], sent(&format!("--scheme square --signature-url {}", url()))[name]);
        assert_ne!(here[name], there[name]);
        assert!(!here.contains_key(HEADER_ID));
        let header_missing =
            Cli::try_parse_from(["sluice", "send", "f", "--scheme", "hmac", "--secret", "k"]);
        assert!(header_missing.is_err());
    }

    #[test]
    fn a_files_name_tells_its_content_type() {
        for (name, expected) in [
            ("stock.csv", "text/csv"),
            ("850.X12", "application/edi-x12"),
            ("order.json", "application/json"),
            ("-", "application/json"),
        ] {
            assert_eq!(format(Path::new(name)).media_type(), expected, "{name}");
        }
    }

    #[test]
    fn own_headers_go_before_the_commands() {
        let sent = prepared("--key k --header content-type:text/csv --header x-a:1 --header x-a:2", b"a,b");
        assert_eq!(sent.headers["content-type"], "text/csv");
        assert_eq!(sent.headers.get_all("x-a").iter().count(), 2);
    }

    #[test]
    fn the_path_stands_below_the_stage() {
        let api: Url = "https://x.test/prod/".parse().unwrap();
        assert_eq!(join(&api, "/v1/events?x=1").as_str(), "https://x.test/prod/v1/events?x=1");
    }

    fn sent(status_code: u16, body: Value) -> Sent {
        Sent {
            status_code,
            outcome: Outcome::of(status_code),
            ingest_id: body.get("ingestId").and_then(Value::as_str).map(ToOwned::to_owned),
            request: Request {
                url: "http://127.0.0.1:8787/v1/events".into(),
                bytes: 2,
                sha256: Sha256Hex::of(b"{}"),
                content_encoding: None,
                webhook_id: None,
            },
            headers: BTreeMap::from([("content-type".into(), "application/json".into())]),
            body,
            local: true,
        }
    }

    #[test]
    fn an_accepted_event_says_what_next() {
        let sent = sent(
            202,
            serde_json::json!({"ingestId": "01KAJPTZ60000000000000000A", "status": "ACCEPTED", "receivedAt": "2026-11-21T10:00:00.000Z"}),
        );
        insta::assert_snapshot!(on_terminal(&sent), @"
        202 accepted
          ingestId    01KAJPTZ60000000000000000A
          receivedAt  2026-11-21T10:00:00.000Z
          sent        2 bytes, sha256 44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a

        next: sluice --local show 01KAJPTZ60000000000000000A
        ");
        insta::assert_snapshot!(json(&sent), @r#"
        {
          "statusCode": 202,
          "outcome": "accepted",
          "ingestId": "01KAJPTZ60000000000000000A",
          "request": {
            "url": "http://127.0.0.1:8787/v1/events",
            "bytes": 2,
            "sha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
          },
          "headers": {
            "content-type": "application/json"
          },
          "body": {
            "ingestId": "01KAJPTZ60000000000000000A",
            "status": "ACCEPTED",
            "receivedAt": "2026-11-21T10:00:00.000Z"
          }
        }
        "#);
    }

    #[test]
    fn a_refusal_lists_every_fault() {
        let sent = sent(
            400,
            serde_json::json!({"type": "urn:sluice:problem:envelope-invalid", "title": "The envelope is not valid", "status": 400,
                "detail": "2 faults", "errors": [{"pointer": "", "code": "type", "message": "x"}, {"pointer": "/vendorId", "code": "required", "message": "vendorId is required"}]}),
        );
        insta::assert_snapshot!(on_terminal(&sent), @"
        400 refused
          title   The envelope is not valid
          detail  2 faults

         WHERE       CODE      WHAT                 
         (the body)  type      x
         /vendorId   required  vendorId is required
        ");
        insta::assert_snapshot!(in_pipe(&sent), @"
        400 refused
          title   The envelope is not valid
          detail  2 faults

        where	code	what
        (the body)	type	x
        /vendorId	required	vendorId is required
        ");
    }

    #[test]
    fn what_is_not_json_is_shown_as_text() {
        let sent = sent(502, Value::String("<h1>\u{1b}[31mBad gateway".into()));
        insta::assert_snapshot!(on_terminal(&sent), @r"
        502 not taken
        <h1>\u{1b}[31mBad gateway
        ");
        assert_eq!(sent.outcome, Outcome::Unavailable);
    }
}
