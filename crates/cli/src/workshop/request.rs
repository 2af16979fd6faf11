//! A whole HTTP request as text: what a person saved of a vendor's webhook, and what a fixture of `[envelope]` and `[signature]` is.
//!
//! The request line, the headers, an empty line, the body. The head may end its lines with LF or CRLF; the body is taken byte for
//! byte.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sluice_core::intake::Request;

/// Most bytes of a head: as much as API Gateway takes.
const HEAD_BYTES_MAX: usize = 10_240;

/// Reads a request.
///
/// # Errors
/// What is wrong with it, in words that follow the file's name.
pub fn read(bytes: &[u8]) -> Result<Request, String> {
    let mut lines: Vec<&[u8]> = Vec::new();
    let mut at = 0;
    let body = loop {
        let Some(end) = bytes[at..].iter().position(|byte| *byte == b'\n').map(|end| at + end) else {
            return Err("has no empty line between its headers and its body".into());
        };
        if end > HEAD_BYTES_MAX {
            return Err(format!(
                "has no empty line within its first {HEAD_BYTES_MAX} bytes, so it is not clear where its body begins"
            ));
        }
        let line = bytes[at..end].strip_suffix(b"\r").unwrap_or(&bytes[at..end]);
        at = end + 1;
        if line.is_empty() {
            break &bytes[at..];
        }
        lines.push(line);
    };
    let [first, headers @ ..] = &lines[..] else { return Err("begins with an empty line".into()) };
    let first = text(first, 1)?;
    let mut words = first.split(' ');
    let (method, target) = match (words.next(), words.next(), words.next(), words.next()) {
        (Some(method), Some(target), None | Some("HTTP/1.0" | "HTTP/1.1" | "HTTP/2" | "HTTP/3"), None)
            if is_token(method) =>
        {
            (method, target)
        }
        _ => {
            return Err(format!(
                "begins with {:?}, and not with a request line such as POST /v1/sources/acme HTTP/1.1",
                first.chars().take(60).collect::<String>()
            ));
        }
    };
    let mut read = BTreeMap::new();
    for (at, line) in headers.iter().enumerate() {
        let line = text(line, at + 2)?;
        header(&mut read, line).map_err(|problem| format!("line {}: {problem}", at + 2))?;
    }
    let body = framed(&read, body)?;
    Ok(of(method, path(target), read, body))
}

/// A request of its parts.
pub fn of(method: &str, path: &str, headers: BTreeMap<String, String>, body: &[u8]) -> Request {
    Request {
        method: method.to_owned(),
        path: path.to_owned(),
        source_ip: "127.0.0.1".to_owned(),
        request_id: "offline".to_owned(),
        headers,
        body: STANDARD.encode(body),
        staged: None,
    }
}

/// Adds a header, `Name: value`. Of one that is there twice the last counts, as at API Gateway.
pub fn header(headers: &mut BTreeMap<String, String>, line: &str) -> Result<(), String> {
    let Some((name, value)) = line.split_once(':').filter(|(name, _)| is_token(name)) else {
        return Err(format!(
            "{:?} is not a header: write Name: value",
            line.chars().take(60).collect::<String>()
        ));
    };
    headers.retain(|known, _| !known.eq_ignore_ascii_case(name));
    headers.insert(name.to_owned(), value.trim().to_owned());
    Ok(())
}

fn text(line: &[u8], number: usize) -> Result<&str, String> {
    str::from_utf8(line).map_err(|_| format!("line {number} is not UTF-8"))
}

/// RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// The path of a target: without scheme, host and query, which the front door does not hand on.
fn path(target: &str) -> &str {
    let rest =
        target.split_once("://").map_or(target, |(_, rest)| rest.find('/').map_or("/", |at| &rest[at..]));
    rest.split(['?', '#']).next().unwrap_or(rest)
}

/// The body that the headers announce: editors add a line break to a file, which is no part of it.
fn framed<'b>(headers: &BTreeMap<String, String>, body: &'b [u8]) -> Result<&'b [u8], String> {
    let stated = |wanted: &str| {
        headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.as_str())
    };
    if stated("transfer-encoding").is_some() {
        return Err(
            "is sent in chunks: save the body as it is, without transfer-encoding and chunk sizes".into()
        );
    }
    let Some(length) = stated("content-length") else { return Ok(body) };
    let length: usize =
        length.parse().map_err(|_| format!("says content-length: {length}, which is no number"))?;
    body.get(..length).ok_or_else(|| {
        format!("says content-length: {length}, and has {} bytes behind its empty line", body.len())
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]

    use super::*;

    #[test]
    fn a_request_is_read_with_its_body_byte_for_byte() {
        for (file, path, body) in [
            (
                &b"POST /v1/sources/acme HTTP/1.1\r\nHost: x\r\nX-Sig: a:b\r\n\r\n{\"a\":\xff}\r\n"[..],
                "/v1/sources/acme",
                &b"{\"a\":\xff}\r\n"[..],
            ),
            (b"POST https://api.test/v1/events?x=1\nx-sig: first\nX-SIG:   a:b  \n\n", "/v1/events", b""),
            (b"POST http://api.test HTTP/2\nx-sig: a:b\ncontent-length: 2\n\n{}\n", "/", b"{}"),
        ] {
            let request = read(file).unwrap();
            assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", path));
            assert_eq!(request.header("x-sig"), Some("a:b"));
            assert_eq!(request.body_bytes().unwrap(), body);
        }
    }

    #[test]
    fn what_is_no_request_says_why() {
        for (file, said) in [
            (&b""[..], "no empty line"),
            (b"\nx", "begins with an empty line"),
            (b"{\"a\": 1}\n\n", "not with a request line"),
            (b"POST /a SMTP/1.0\n\n", "not with a request line"),
            (b"POST /a\nno header\n\n", "line 2: \"no header\" is not a header"),
            (b"POST /a\nx: \xff\n\n", "line 2 is not UTF-8"),
            (b"POST /a\ncontent-length: 3\n\nab", "has 2 bytes behind"),
            (b"POST /a\ncontent-length: x\n\nab", "no number"),
            (b"POST /a\nTransfer-Encoding: chunked\n\n2\r\nab\r\n0\r\n\r\n", "in chunks"),
            (&[b"POST /a\n", &b"x: y\n".repeat(3_000)[..]].concat(), "first 10240 bytes"),
        ] {
            let problem = read(file).unwrap_err();
            assert!(problem.contains(said), "{problem}");
        }
    }
}
