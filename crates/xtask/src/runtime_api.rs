//! A Lambda Runtime API on loopback ("Using the Lambda runtime API for custom runtimes", version 2018-06-01), and functions run
//! under it as processes: what AWS does around a function's program, as far as the program can tell.
//!
//! Invariant: an invocation is given to one process, once.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

/// Lambda takes answers of 6 MB.
const BODY_BYTES_MAX: usize = 6 * 1024 * 1024;

const PREFIX: &str = "/2018-06-01/runtime/";

/// What a process made of an invocation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    /// It responded.
    Response(Value),
    /// It reported an error by its name.
    Error { error_type: String, message: String },
    /// It could not start.
    InitError(String),
}

struct Invocation {
    id: String,
    event: Vec<u8>,
    deadline: SystemTime,
}

/// A process under a Runtime API of its own. Dropping it kills it.
pub(crate) struct Environment {
    child: Child,
    started: Instant,
    invocations: Sender<Invocation>,
    answers: Receiver<(String, Answer, Instant)>,
    count: u32,
}

impl Environment {
    /// Starts a program as Lambda does. Its environment is what is given here and nothing else.
    pub(crate) fn start(
        program: &Path,
        name: &str,
        memory_mb: u64,
        variables: &HashMap<String, String>,
    ) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (invocations, waiting) = mpsc::channel();
        let (answered, answers) = mpsc::channel();
        let waiting = Arc::new(Mutex::new(waiting));
        // The threads end with the process: its connections close, and the listener is not used again.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (waiting, answered) = (Arc::clone(&waiting), answered.clone());
                std::thread::spawn(move || {
                    let _ = serve(&stream, &waiting, &answered);
                });
            }
        });
        let mut command = Command::new(program);
        command.env_clear().envs(variables).envs(lambda_variables(address, name, memory_mb));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let started = Instant::now();
        let child = command.spawn().with_context(|| format!("could not start {}", program.display()))?;
        Ok(Self { child, started, invocations, answers, count: 0 })
    }

    /// Gives it an event; `deadline` is what it is told, as a time from now.
    pub(crate) fn invoke(&mut self, event: &Value, deadline: Duration) -> Result<()> {
        self.count += 1;
        let id = format!("00000000-0000-4000-8000-{:012}", self.count);
        let invocation =
            Invocation { id, event: serde_json::to_vec(event)?, deadline: SystemTime::now() + deadline };
        self.invocations.send(invocation).ok().context("the Runtime API has ended")
    }

    /// Its next answer, and when that came, counted from the start of the process; `None` if there is none in time.
    pub(crate) fn answer(&mut self, time_max: Duration) -> Result<Option<(Answer, Duration)>> {
        match self.answers.recv_timeout(time_max) {
            Ok((id, answer, at)) => {
                let expected = format!("00000000-0000-4000-8000-{:012}", self.count);
                ensure!(
                    id == expected || matches!(answer, Answer::InitError(_)),
                    "it answered {id}, not {expected}"
                );
                Ok(Some((answer, at.duration_since(self.started))))
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => bail!("the Runtime API has ended"),
        }
    }

    /// An event and its answer, which must come.
    pub(crate) fn call(&mut self, event: &Value, time_max: Duration) -> Result<(Answer, Duration)> {
        self.invoke(event, time_max)?;
        let answer = self.answer(time_max)?;
        answer.with_context(|| {
            format!("no answer within {time_max:?}; the process: {:?}", self.child.try_wait())
        })
    }

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// As Lambda ends a process whose time is over.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        self.kill();
    }
}

/// "Defined runtime environment variables" of the Developer Guide, as far as a Rust program reads them.
fn lambda_variables(address: SocketAddr, name: &str, memory_mb: u64) -> [(&'static str, String); 10] {
    [
        ("AWS_LAMBDA_RUNTIME_API", address.to_string()),
        ("AWS_LAMBDA_FUNCTION_NAME", name.to_owned()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1".to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", memory_mb.to_string()),
        ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{name}")),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "1".to_owned()),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
        ("AWS_LAMBDA_LOG_FORMAT", "JSON".to_owned()),
        ("_HANDLER", "bootstrap".to_owned()),
        ("LAMBDA_TASK_ROOT", "/var/task".to_owned()),
    ]
}

/// One connection: requests one after another, until it closes.
fn serve(
    stream: &TcpStream,
    waiting: &Mutex<Receiver<Invocation>>,
    answered: &Sender<(String, Answer, Instant)>,
) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    while let Some(request) = Request::read(&mut reader)? {
        let at = Instant::now();
        let path = request.path.strip_prefix(PREFIX).unwrap_or_default().to_owned();
        let parts: Vec<&str> = path.split('/').collect();
        match (request.method.as_str(), parts.as_slice()) {
            ("GET", ["invocation", "next"]) => {
                let next =
                    waiting.lock().map_err(|_| anyhow::anyhow!("a connection's thread panicked"))?.recv();
                // The environment is gone: there will be no invocation, and whoever asks is about to be killed.
                let Ok(next) = next else { return Ok(()) };
                let deadline = next.deadline.duration_since(SystemTime::UNIX_EPOCH)?.as_millis();
                let headers = format!(
                    "lambda-runtime-aws-request-id: {}\r\nlambda-runtime-deadline-ms: {deadline}\r\n\
                     lambda-runtime-invoked-function-arn: arn:aws:lambda:us-east-1:000000000000:function:x:live\r\n\
                     lambda-runtime-trace-id: Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0\r\n",
                    next.id
                );
                write!(
                    writer,
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n",
                    next.event.len()
                )?;
                writer.write_all(&next.event)?;
            }
            ("POST", [.., "response"]) if parts.len() == 3 => {
                let answer = serde_json::from_slice(&request.body).map_or_else(
                    |error| Answer::Error { error_type: "not JSON".to_owned(), message: error.to_string() },
                    Answer::Response,
                );
                let _ = answered.send((parts[1].to_owned(), answer, at));
                accepted(writer)?;
            }
            ("POST", ["invocation", id, "error"]) => {
                let error: Value = serde_json::from_slice(&request.body).unwrap_or_default();
                let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
                let answer = Answer::Error { error_type: text("errorType"), message: text("errorMessage") };
                let _ = answered.send(((*id).to_owned(), answer, at));
                accepted(writer)?;
            }
            ("POST", ["init", "error"]) => {
                let text = String::from_utf8_lossy(&request.body).into_owned();
                let _ = answered.send((String::new(), Answer::InitError(text), at));
                accepted(writer)?;
            }
            _ => writer.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")?,
        }
    }
    Ok(())
}

fn accepted(mut writer: &TcpStream) -> Result<()> {
    Ok(writer.write_all(
        b"HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\ncontent-length: 15\r\n\r\n{\"status\":\"OK\"}",
    )?)
}

struct Request {
    method: String,
    path: String,
    body: Vec<u8>,
}

impl Request {
    /// `None` at the end of the connection.
    fn read(reader: &mut BufReader<&TcpStream>) -> Result<Option<Self>> {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split_whitespace().map(str::to_owned);
        let (method, path) =
            words.next().zip(words.next()).with_context(|| format!("not a request: {line:?}"))?;
        let (mut length, mut chunked) = (0, false);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse()?,
                "transfer-encoding" => chunked = value.trim().eq_ignore_ascii_case("chunked"),
                _ => {}
            }
        }
        let mut body = Vec::new();
        if chunked {
            loop {
                let mut size = String::new();
                reader.read_line(&mut size)?;
                let size = usize::from_str_radix(size.trim(), 16).context("a chunk without a size")?;
                read_more(reader, &mut body, size)?;
                let mut end = String::new();
                reader.read_line(&mut end)?;
                if size == 0 {
                    break;
                }
            }
        } else {
            read_more(reader, &mut body, length)?;
        }
        Ok(Some(Self { method, path, body }))
    }
}

fn read_more(reader: &mut BufReader<&TcpStream>, body: &mut Vec<u8>, bytes: usize) -> Result<()> {
    ensure!(body.len() + bytes <= BODY_BYTES_MAX, "the answer is longer than {BODY_BYTES_MAX} bytes");
    let at = body.len();
    body.resize(at + bytes, 0);
    Ok(reader.read_exact(&mut body[at..])?)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop")]

    use super::*;

    /// A runtime in Python's standard library: answers an event with itself, fails on `{"fail": …}`, never answers `{"sleep": …}`.
    const RUNTIME: &str = r#"#!/usr/bin/python3
import json, os, time, urllib.request
base = f"http://{os.environ['AWS_LAMBDA_RUNTIME_API']}/2018-06-01/runtime/invocation/"
while True:
    with urllib.request.urlopen(base + "next") as next:
        event, id = json.load(next), next.headers["Lambda-Runtime-Aws-Request-Id"]
    if "sleep" in event: time.sleep(60)
    what, body = ("error", {"errorType": "E", "errorMessage": event["fail"]}) if "fail" in event else ("response", event)
    urllib.request.urlopen(base + id + "/" + what, data=json.dumps(body).encode()).read()
"#;

    #[test]
    #[cfg(unix)]
    fn a_foreign_runtime_is_served() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = std::env::temp_dir().join(format!("sluice-runtime-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let program = folder.join("bootstrap");
        std::fs::write(&program, RUNTIME).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let generous = Duration::from_secs(60);
        let mut environment = Environment::start(&program, "f", 128, &HashMap::new()).unwrap();
        let event = serde_json::json!({"a": "é"});
        assert_eq!(environment.call(&event, generous).unwrap().0, Answer::Response(event));
        let failed = environment.call(&serde_json::json!({"fail": "why"}), generous).unwrap().0;
        assert_eq!(failed, Answer::Error { error_type: "E".into(), message: "why".into() });
        environment.invoke(&serde_json::json!({"sleep": 1}), generous).unwrap();
        assert_eq!(environment.answer(Duration::from_millis(200)).unwrap(), None);
        assert!(environment.is_alive());
        environment.kill();
        assert!(!environment.is_alive());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
