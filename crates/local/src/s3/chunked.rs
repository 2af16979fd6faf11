//! `aws-chunked`, the content coding of AWS's SDKs ("Signature calculations for the Authorization header: transferring a
//! payload in multiple chunks", Amazon S3 API Reference): chunks of `<hex length>[;chunk-signature=…]\r\n<bytes>\r\n`, one
//! of length zero, then trailing headers. Signatures are not checked.

use bytes::{Bytes, BytesMut};

/// Longest line (a chunk's header or a trailer), in bytes.
const LINE_BYTES_MAX: usize = 8_192;

/// The body is not of that form.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is not aws-chunked: {0}")]
pub(crate) struct Malformed(&'static str);

/// The bytes and the trailing headers.
pub(crate) fn decode(body: &Bytes) -> Result<(Bytes, Vec<(String, String)>), Malformed> {
    let mut rest = body.clone();
    let mut data = BytesMut::new();
    let mut only: Option<Bytes> = None;
    loop {
        let header = line(&mut rest)?;
        let length = header.split(';').next().unwrap_or_default().trim();
        let length = usize::from_str_radix(length, 16)
            .map_err(|_| Malformed("a chunk's length is not hexadecimal"))?;
        if length == 0 {
            break;
        }
        if rest.len() < length {
            return Err(Malformed("a chunk is cut short"));
        }
        let chunk = rest.split_to(length);
        if !line(&mut rest)?.is_empty() {
            return Err(Malformed("a chunk is longer than its length says"));
        }
        match only.take() {
            None if data.is_empty() => only = Some(chunk),
            first => {
                data.extend_from_slice(&first.unwrap_or_default());
                data.extend_from_slice(&chunk);
            }
        }
    }
    let mut trailers = Vec::new();
    while !rest.is_empty() {
        let trailer = line(&mut rest)?;
        if trailer.is_empty() {
            break;
        }
        let (name, value) = trailer.split_once(':').ok_or(Malformed("a trailing header has no colon"))?;
        trailers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
    }
    Ok((only.unwrap_or_else(|| data.freeze()), trailers))
}

fn line(rest: &mut Bytes) -> Result<String, Malformed> {
    let window = &rest[..rest.len().min(LINE_BYTES_MAX)];
    let end = window.windows(2).position(|pair| pair == b"\r\n").ok_or(Malformed("a line does not end"))?;
    let line = rest.split_to(end + 2);
    std::str::from_utf8(&line[..end]).map(str::to_owned).map_err(|_| Malformed("a line is not text"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is the test's failure")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn signed_and_unsigned_chunks_and_trailers_are_read() {
        let body =
            "5;chunk-signature=ad80\r\nhello\r\n6\r\n world\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n";
        let (data, trailers) = decode(&Bytes::from(body)).unwrap();
        assert_eq!(data, "hello world");
        assert_eq!(trailers, [("x-amz-checksum-crc32".to_owned(), "DUoRhQ==".to_owned())]);
        assert_eq!(decode(&Bytes::from("0\r\n\r\n")).unwrap().0, "");
        for wrong in ["", "5\r\nhel", "zz\r\n", "3\r\nhello\r\n0\r\n\r\n", "0\r\nno colon\r\n\r\n"] {
            assert!(decode(&Bytes::from(wrong)).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_bytes_back(chunks in proptest::collection::vec(
            proptest::collection::vec(any::<u8>(), 1..50), 0..6))
        {
            let mut body = Vec::new();
            for chunk in &chunks {
                body.extend(format!("{:x}\r\n", chunk.len()).bytes());
                body.extend(chunk);
                body.extend(b"\r\n");
            }
            body.extend(b"0\r\n\r\n");
            prop_assert_eq!(decode(&body.into()).unwrap().0.to_vec(), chunks.concat());
        }

        #[test]
        fn nothing_makes_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&body.into());
        }
    }
}
