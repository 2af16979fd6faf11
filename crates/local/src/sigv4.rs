//! Signature Version 4, as a service checks it ("Signature Version 4 for API requests", IAM User Guide): who has signed a
//! request, by the `Authorization` header or by a presigned URL.
//!
//! The digest of the body is checked for every service but S3, which states it in `x-amz-content-sha256` and checks it where
//! the body is read.

use std::fmt::Write as _;

use hmac::{Hmac, Mac as _};
use http::header::{AUTHORIZATION, HOST};
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::credentials::AccessKey;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const DATE: HeaderName = HeaderName::from_static("x-amz-date");

/// How far the time of a signature may be from now, in seconds: AWS's 15 minutes.
const SKEW_SECONDS_MAX: i64 = 15 * 60;

/// Longest life of a presigned URL, in seconds: AWS's 7 days.
const EXPIRES_SECONDS_MAX: i64 = 7 * 24 * 60 * 60;

/// Why a request is not its signer's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the request is not signed")]
    Missing,
    #[error("the signature cannot be read: {0}")]
    Malformed(&'static str),
    #[error("the access key id is not known here")]
    UnknownKey,
    #[error("the signature does not match the request")]
    Mismatch,
    #[error(
        "the signature is of another time: it counts for 15 minutes, and a presigned URL until it expires"
    )]
    Expired,
}

/// What a request says about its signature.
#[derive(Debug)]
pub(crate) struct Signed {
    key_id: String,
    day: String,
    region: String,
    service: String,
    headers: Vec<HeaderName>,
    signature: Vec<u8>,
    at: String,
    /// Of a presigned URL: its life in seconds.
    expires: Option<i64>,
}

impl Signed {
    /// Reads the `Authorization` header, or else the query.
    pub(crate) fn parse(parts: &Parts) -> Result<Self, Refused> {
        if let Some(value) = one(&parts.headers, &AUTHORIZATION)? {
            let rest = value.strip_prefix(ALGORITHM).ok_or(Refused::Malformed("use AWS4-HMAC-SHA256"))?;
            let member = |name: &str| {
                let mut members = rest.split(',').filter_map(|member| member.trim().split_once('='));
                members.find(|(member, _)| *member == name).map(|(_, value)| value.to_owned())
            };
            let at = one(&parts.headers, &DATE)?.ok_or(Refused::Malformed("x-amz-date is missing"))?;
            return Self::new(
                member("Credential"),
                member("SignedHeaders"),
                member("Signature"),
                at.to_owned(),
                None,
            );
        }
        let query = pairs(parts);
        let member = |name: &str| query.iter().find(|(member, _)| member == name).map(|(_, value)| value);
        match member("X-Amz-Algorithm") {
            Some(algorithm) if algorithm == ALGORITHM => {}
            Some(_) => return Err(Refused::Malformed("use AWS4-HMAC-SHA256")),
            None if member("AWSAccessKeyId").is_some() => {
                return Err(Refused::Malformed(
                    "it is of version 2; presign with version 4 (`s3v4` in boto3)",
                ));
            }
            None => return Err(Refused::Missing),
        }
        let at = member("X-Amz-Date").ok_or(Refused::Malformed("X-Amz-Date is missing"))?;
        let expires = member("X-Amz-Expires").and_then(|value| value.parse().ok());
        let expires = expires.filter(|seconds| (0..=EXPIRES_SECONDS_MAX).contains(seconds));
        Self::new(
            member("X-Amz-Credential").cloned(),
            member("X-Amz-SignedHeaders").cloned(),
            member("X-Amz-Signature").cloned(),
            at.clone(),
            Some(expires.ok_or(Refused::Malformed("X-Amz-Expires is not from 0 to 604800"))?),
        )
    }

    fn new(
        credential: Option<String>,
        headers: Option<String>,
        signature: Option<String>,
        at: String,
        expires: Option<i64>,
    ) -> Result<Self, Refused> {
        let (Some(credential), Some(headers), Some(signature)) = (credential, headers, signature) else {
            return Err(Refused::Malformed("Credential, SignedHeaders or Signature is missing"));
        };
        let [key_id, day, region, service, "aws4_request"] = credential.split('/').collect::<Vec<_>>()[..]
        else {
            return Err(Refused::Malformed("Credential is not ID/DATE/REGION/SERVICE/aws4_request"));
        };
        let names: Result<Vec<HeaderName>, _> = headers.split(';').map(str::parse).collect();
        let names = names.map_err(|_| Refused::Malformed("SignedHeaders has what is no header's name"))?;
        if !names.contains(&HOST) {
            return Err(Refused::Malformed("the header host is not signed"));
        }
        Ok(Self {
            key_id: key_id.to_owned(),
            day: day.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            headers: names,
            signature: hex::decode(signature).map_err(|_| Refused::Malformed("Signature is not hex"))?,
            at,
            expires,
        })
    }

    /// Who says to have signed.
    pub(crate) fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Whether the body itself is needed to check the signature.
    pub(crate) fn covers_body(&self, headers: &HeaderMap) -> bool {
        // S3 would refuse what does not state its digest; curl does not.
        let stated = headers.contains_key(CONTENT_SHA256) || self.expires.is_some();
        self.service != "s3" || !stated
    }

    /// Whether the holder of `key` has signed this request, and lately. `body` counts if the signature covers it.
    pub(crate) fn verify(
        &self,
        parts: &Parts,
        body: &[u8],
        key: &AccessKey,
        now: Timestamp,
    ) -> Result<(), Refused> {
        let at = jiff::fmt::strtime::parse("%Y%m%dT%H%M%SZ", &self.at)
            .and_then(|time| time.to_datetime()?.in_tz("UTC"))
            .map_err(|_| Refused::Malformed("the date is not YYYYMMDDTHHMMSSZ"))?;
        if !self.at.starts_with(&self.day) {
            return Err(Refused::Malformed("the date of Credential is another"));
        }
        let age = now.as_second() - at.timestamp().as_second();
        if age < -SKEW_SECONDS_MAX || age > self.expires.unwrap_or(SKEW_SECONDS_MAX) {
            return Err(Refused::Expired);
        }
        let payload = if self.covers_body(&parts.headers) {
            hex::encode(Sha256::digest(body))
        } else {
            one(&parts.headers, &CONTENT_SHA256)?.unwrap_or("UNSIGNED-PAYLOAD").to_owned()
        };
        let scope = format!("{}/{}/{}/aws4_request", self.day, self.region, self.service);
        let mut signing_key = hmac(format!("AWS4{}", key.secret).as_bytes(), self.day.as_bytes());
        for part in [&self.region, &self.service, "aws4_request"] {
            signing_key = hmac(signing_key.finalize().into_bytes().as_slice(), part.as_bytes());
        }
        let signing_key = signing_key.finalize().into_bytes();
        let matches = |path: String| {
            let request = hex::encode(Sha256::digest(self.canonical_request(parts, &path, &payload)));
            let to_sign = format!("{ALGORITHM}\n{}\n{scope}\n{request}", self.at);
            hmac(signing_key.as_slice(), to_sign.as_bytes()).verify_slice(&self.signature).is_ok()
        };
        if self.canonical_paths(parts.uri.path()).into_iter().any(matches) {
            Ok(())
        } else {
            Err(Refused::Mismatch)
        }
    }

    /// A path as it may have been signed.
    fn canonical_paths(&self, path: &str) -> Vec<String> {
        if self.service != "s3" {
            // What was sent, encoded once more.
            return vec![encoded(path.as_bytes(), "/")];
        }
        // What was sent; of a client that sends what it should encode, what it should have sent.
        vec![path.to_owned(), encoded(&decoded(path), "/")]
    }

    fn canonical_request(&self, parts: &Parts, path: &str, payload: &str) -> Vec<u8> {
        let mut query: Vec<(String, String)> = pairs(parts)
            .into_iter()
            .filter(|(name, _)| self.expires.is_none() || name != "X-Amz-Signature")
            .map(|(name, value)| (encoded(name.as_bytes(), ""), encoded(value.as_bytes(), "")))
            .collect();
        query.sort_unstable();
        let query: Vec<String> = query.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut text = format!("{}\n{path}\n{}\n", parts.method, query.join("&")).into_bytes();
        for name in &self.headers {
            text.extend_from_slice(name.as_str().as_bytes());
            for (index, value) in parts.headers.get_all(name).iter().enumerate() {
                text.push(if index == 0 { b':' } else { b',' });
                let words = value.as_bytes().split(|byte| *byte == b' ').filter(|word| !word.is_empty());
                text.extend_from_slice(&words.collect::<Vec<_>>().join(&b' '));
            }
            text.push(b'\n');
        }
        let names: Vec<&str> = self.headers.iter().map(HeaderName::as_str).collect();
        text.extend_from_slice(format!("\n{}\n{payload}", names.join(";")).as_bytes());
        text
    }
}

fn hmac(key: &[u8], text: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key)
        .unwrap_or_else(|error| unreachable!("a key of any length is a key: {error}"));
    mac.update(text);
    mac
}

/// The value of a header that may come once.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Refused> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            value.to_str().map(Some).map_err(|_| Refused::Malformed("a header is not ASCII"))
        }
        (Some(_), Some(_)) => Err(Refused::Malformed("a header of the signature comes twice")),
    }
}

fn pairs(parts: &Parts) -> Vec<(String, String)> {
    let text = |encoded: &str| String::from_utf8_lossy(&decoded(encoded)).into_owned();
    let pairs = parts.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (text(name), text(value))
        })
        .collect()
}

/// Percent-decoded; what is no escape stays as it is.
pub(crate) fn decoded(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let escape = (byte == b'%').then(|| {
            let pair = [ahead.next()?, ahead.next()?];
            u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()
        });
        match escape.flatten() {
            Some(byte) => {
                out.push(byte);
                bytes = ahead;
            }
            None => out.push(byte),
        }
    }
    out
}

/// AWS's `UriEncode`: everything but unreserved characters, and those of `kept`.
fn encoded(bytes: &[u8], kept: &str) -> String {
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        match char::from(*byte) {
            plain if plain.is_ascii_alphanumeric() || "-._~".contains(plain) || kept.contains(plain) => {
                out.push(plain);
            }
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is the test's failure")]
mod tests {
    use http::Request;

    use super::*;

    /// The worked example of "Signature Version 4 for API requests" (`GET ListUsers` of IAM).
    fn example() -> (Parts, AccessKey, Timestamp) {
        let authorization = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
             SignedHeaders=content-type;host;x-amz-date, \
             Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";
        let request = Request::get("/?Action=ListUsers&Version=2010-05-08")
            .header("host", "iam.amazonaws.com")
            .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
            .header("x-amz-date", "20150830T123600Z")
            .header("authorization", authorization)
            .body(())
            .unwrap();
        let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned();
        let key = AccessKey { id: "AKIDEXAMPLE".to_owned(), secret };
        (request.into_parts().0, key, "2015-08-30T12:36:00Z".parse().unwrap())
    }

    #[test]
    fn the_example_of_the_documentation_holds_and_nothing_beside_it() {
        let (parts, key, now) = example();
        let signed = Signed::parse(&parts).unwrap();
        assert_eq!(signed.key_id(), "AKIDEXAMPLE");
        assert_eq!(signed.verify(&parts, b"", &key, now), Ok(()));

        assert_eq!(signed.verify(&parts, b"x", &key, now), Err(Refused::Mismatch), "the body");
        let other = AccessKey { secret: "other".to_owned(), ..key.clone() };
        assert_eq!(signed.verify(&parts, b"", &other, now), Err(Refused::Mismatch), "the secret");
        let (mut changed, ..) = example();
        changed.uri = "/?Action=ListUsers&Version=2010-05-09".parse().unwrap();
        assert_eq!(signed.verify(&changed, b"", &key, now), Err(Refused::Mismatch), "the query");
        let (mut changed, ..) = example();
        changed.headers.insert("host", "evil.example".parse().unwrap());
        assert_eq!(signed.verify(&changed, b"", &key, now), Err(Refused::Mismatch), "a header");
        for seconds in [-901, 901] {
            let then = now + jiff::SignedDuration::from_secs(seconds);
            assert_eq!(signed.verify(&parts, b"", &key, then), Err(Refused::Expired), "{seconds}");
        }
    }

    /// The worked example of "Authenticating Requests: Using Query Parameters" (Amazon S3 API Reference).
    #[test]
    fn a_presigned_url_holds_until_it_expires() {
        let uri = "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256\
             &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
             &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
             &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
        let request = Request::get(uri).header("host", "examplebucket.s3.amazonaws.com").body(()).unwrap();
        let parts = request.into_parts().0;
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned();
        let key = AccessKey { id: "AKIAIOSFODNN7EXAMPLE".to_owned(), secret };
        let signed = Signed::parse(&parts).unwrap();
        let at = |time: &str| signed.verify(&parts, b"", &key, time.parse().unwrap());
        assert_eq!(at("2013-05-24T23:59:59Z"), Ok(()));
        assert_eq!(at("2013-05-25T00:00:01Z"), Err(Refused::Expired));
    }

    #[test]
    fn what_is_not_signed_says_so() {
        let parse = |request: http::request::Builder| {
            Signed::parse(&request.body(()).unwrap().into_parts().0).unwrap_err()
        };
        assert_eq!(parse(Request::get("/")), Refused::Missing);
        for value in [
            "Basic dXNlcjpwYXNz",
            "AWS4-HMAC-SHA256 Credential=local/20261121/us-east-1/dynamodb/aws4_request",
            "AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=00",
            "AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request, SignedHeaders=x-amz-date, Signature=00",
            "AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request, SignedHeaders=host, Signature=zz",
        ] {
            let request = Request::get("/").header("authorization", value).header("x-amz-date", "x");
            assert!(matches!(parse(request), Refused::Malformed(_)), "{value}");
        }
        let twice = Request::get("/").header("authorization", "a").header("authorization", "b");
        assert!(matches!(parse(twice), Refused::Malformed(_)));
        assert!(matches!(parse(Request::get("/b/k?AWSAccessKeyId=x&Signature=y")), Refused::Malformed(_)));
    }
}
