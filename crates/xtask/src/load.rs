//! Load on the ingest API of a local cloud: bounded in count, on loopback only, over connections that are kept.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

/// How long an answer may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// Longest answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// What to send.
#[derive(Clone, Copy)]
pub(crate) struct Load<'a> {
    /// `http://127.0.0.1:…`
    pub(crate) api: &'a str,
    pub(crate) key: &'a str,
    /// Makes this run's event ids its own.
    pub(crate) name: &'a str,
    pub(crate) events: u64,
    pub(crate) connections: u64,
    /// Events a second, each sent at its own time whether or not the ones before it were answered; `None` is as fast as the
    /// answers come.
    pub(crate) per_second: Option<u64>,
}

/// What came of it.
pub(crate) struct Outcome {
    /// From the first event to the last answer.
    pub(crate) took: Duration,
    /// Of every event, ascending: from when it was due to its answer, so that a stall counts for all whom it delays.
    pub(crate) latencies: Vec<Duration>,
}

impl Outcome {
    /// The latency that `percent` of the events did not exceed.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.latencies.len() * percent).div_ceil(100).max(1);
        self.latencies.get(rank - 1).copied().unwrap_or_default()
    }
}

/// Sends; every answer must be 202.
pub(crate) fn run(load: Load<'_>) -> Result<Outcome> {
    let address = loopback(load.api)?;
    let next = AtomicU64::new(0);
    let started = Instant::now();
    let results: Vec<Result<Vec<Duration>>> = std::thread::scope(|scope| {
        let workers: Vec<_> =
            (0..load.connections).map(|_| scope.spawn(|| work(load, address, &next, started))).collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|_| bail!("a connection's thread panicked")))
            .collect()
    });
    let took = started.elapsed();
    let mut latencies = Vec::new();
    for result in results {
        latencies.extend(result?);
    }
    latencies.sort_unstable();
    Ok(Outcome { took, latencies })
}

fn loopback(url: &str) -> Result<SocketAddr> {
    let address: SocketAddr = url
        .strip_prefix("http://")
        .and_then(|rest| rest.parse().ok())
        .with_context(|| format!("{url} is no address of this machine"))?;
    ensure!(address.ip().is_loopback(), "load is sent to this machine only, not to {address}");
    Ok(address)
}

fn work(load: Load<'_>, address: SocketAddr, next: &AtomicU64, started: Instant) -> Result<Vec<Duration>> {
    let mut connection = Connection::open(address)?;
    let headers = format!("x-api-key: {}\r\ncontent-type: application/json\r\n", load.key);
    let mut latencies = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= load.events {
            return Ok(latencies);
        }
        let due = match load.per_second {
            Some(rate) => started + Duration::from_nanos(number * 1_000_000_000 / rate),
            None => Instant::now(),
        };
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let (status, body) = connection.post("/v1/events", &headers, &event(load.name, number))?;
        ensure!(status == 202, "event {number} was answered {status}: {body}");
        latencies.push(due.elapsed());
    }
}

/// An event of vendorA's, as in `examples/vendorA-inventory.json`.
fn event(name: &str, number: u64) -> String {
    format!(
        r#"{{"vendorId":"vendorA","externalEventId":"{name}-{number}","eventType":"inventory_update","occurredAt":"2026-01-15T10:30:00Z","payload":{{"warehouse":"ROA","sku":"SKU-{:05}","qty":{}}}}}"#,
        number % 10_000,
        number % 997
    )
}

/// HTTP/1.1 with answers that state their length, one after another.
struct Connection {
    stream: TcpStream,
    host: SocketAddr,
    received: Vec<u8>,
}

impl Connection {
    fn open(host: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(host).with_context(|| format!("could not connect to {host}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
        Ok(Self { stream, host, received: Vec::new() })
    }

    /// `headers` end their lines.
    fn post(&mut self, path: &str, headers: &str, body: &str) -> Result<(u16, String)> {
        let mut request = String::with_capacity(body.len() + 160);
        let _ = write!(
            request,
            "POST {path} HTTP/1.1\r\nhost: {}\r\n{headers}content-length: {}\r\n\r\n{body}",
            self.host,
            body.len()
        );
        self.stream.write_all(request.as_bytes())?;
        let head_bytes = loop {
            if let Some(at) = self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            self.receive()?;
        };
        let head = std::str::from_utf8(&self.received[..head_bytes])?;
        let (status, body_bytes) = parse_head(head).with_context(|| format!("not an answer: {head:?}"))?;
        while self.received.len() < head_bytes + body_bytes {
            self.receive()?;
        }
        let body = String::from_utf8_lossy(&self.received[head_bytes..head_bytes + body_bytes]).into_owned();
        self.received.drain(..head_bytes + body_bytes);
        Ok((status, body))
    }

    fn receive(&mut self) -> Result<()> {
        let mut buffer = [0; 4096];
        let count = self.stream.read(&mut buffer).context("no answer")?;
        ensure!(count > 0, "the connection was closed");
        self.received.extend_from_slice(&buffer[..count]);
        ensure!(self.received.len() <= ANSWER_BYTES_MAX, "the answer is too long");
        Ok(())
    }
}

/// Status and length of the body.
fn parse_head(head: &str) -> Option<(u16, usize)> {
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    Some((status, length?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read() {
        assert_eq!(parse_head("HTTP/1.1 202 Accepted\r\nContent-Length: 12\r\n\r\n"), Some((202, 12)));
        assert_eq!(parse_head("HTTP/1.1 202 Accepted\r\n\r\n"), None);
        assert_eq!(parse_head("ICY 200 OK\r\ncontent-length: 1\r\n\r\n"), None);
    }

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let latencies = (1..=100).map(Duration::from_millis).collect();
        let outcome = Outcome { took: Duration::ZERO, latencies };
        assert_eq!(outcome.percentile(50), Duration::from_millis(50));
        assert_eq!(outcome.percentile(95), Duration::from_millis(95));
        assert_eq!(outcome.percentile(100), Duration::from_millis(100));
    }

    #[test]
    fn only_this_machine_is_loaded() {
        let load = Load {
            api: "http://192.0.2.1:80",
            key: "k",
            name: "n",
            events: 1,
            connections: 1,
            per_second: None,
        };
        assert!(run(load).is_err_and(|error| error.to_string().contains("this machine only")));
    }
}
