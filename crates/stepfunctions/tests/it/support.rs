//! What the tests share: the three real state machines, and a fake for everything they call.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};
use sluice_stepfunctions::{
    Commits, Engine, Integrations, Location, MachineType, ObjectPart, Options, Payload, StateMachineSpec,
    SystemClock, TaskContext, TaskError, Timestamp, TokioClock,
};

/// 2026-11-21T08:00:00Z.
pub(crate) const EPOCH_MS: i64 = 1_795_248_000_000;

pub(crate) const LAMBDA: &str = "arn:aws:states:::lambda:invoke";
pub(crate) const SEND_MESSAGE: &str = "arn:aws:states:::sqs:sendMessage";

pub(crate) fn machine_arn(name: &str) -> String {
    format!("arn:aws:states:us-east-1:000000000000:stateMachine:{name}")
}

pub(crate) fn execution_arn(machine: &str, name: &str) -> String {
    format!("arn:aws:states:us-east-1:000000000000:execution:{machine}:{name}")
}

/// One call of a task.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) resource: String,
    /// The function's name or the queue's.
    pub(crate) target: String,
    /// The function's payload, or the arguments.
    pub(crate) payload: Value,
    pub(crate) execution_arn: String,
    pub(crate) state_name: String,
    pub(crate) retry_count: u32,
    /// How many calls of the same target came before.
    pub(crate) earlier: usize,
}

/// How the fake answers a call.
pub(crate) enum Reply {
    /// The function's answer, or the service's.
    Ok(Value),
    Err(&'static str, &'static str),
    /// After a while.
    After(Duration, Box<Reply>),
    /// After a while in which the task waits for its turn.
    Queued(Duration, Box<Reply>),
    /// Never.
    Hang,
    Panic,
    /// `{}`, after a side effect.
    Run(Box<dyn Fn(&Call) + Send + Sync>),
}

pub(crate) fn after(millis: u64, reply: Reply) -> Reply {
    Reply::After(Duration::from_millis(millis), Box::new(reply))
}

type Script = dyn Fn(&Call) -> Reply + Send + Sync;

/// Answers as its script says, and remembers every call. A call of which the result was not wanted any more is also
/// remembered as cancelled.
pub(crate) struct Fake {
    script: Box<Script>,
    calls: Mutex<Vec<Call>>,
    cancelled: Mutex<Vec<Call>>,
    /// What is in S3, by bucket and key.
    objects: Mutex<BTreeMap<(String, String), Bytes>>,
    /// Why nothing can be written there.
    write_fault: Mutex<Option<&'static str>>,
}

impl Fake {
    pub(crate) fn new(script: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Fake {
            script: Box::new(script),
            calls: Mutex::default(),
            cancelled: Mutex::default(),
            objects: Mutex::default(),
            write_fault: Mutex::default(),
        })
    }

    pub(crate) fn put_object(&self, key: &str, body: impl Into<Bytes>) {
        self.objects.lock().unwrap().insert(("b".to_owned(), key.to_owned()), body.into());
    }

    /// The objects of bucket `b` by key, as text.
    pub(crate) fn objects(&self) -> BTreeMap<String, String> {
        let objects = self.objects.lock().unwrap();
        objects
            .iter()
            .map(|((_, key), body)| (key.clone(), String::from_utf8(body.to_vec()).unwrap()))
            .collect()
    }

    pub(crate) fn fail_writes(&self, why: Option<&'static str>) {
        *self.write_fault.lock().unwrap() = why;
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    pub(crate) fn cancelled(&self) -> Vec<Call> {
        self.cancelled.lock().unwrap().clone()
    }

    /// The targets of all calls, in order.
    pub(crate) fn targets(&self) -> Vec<String> {
        self.calls().into_iter().map(|call| call.target).collect()
    }

    pub(crate) fn count(&self, target: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|call| call.target == target).count()
    }
}

struct Cancelled<'a>(&'a Fake, Option<Call>);

impl Drop for Cancelled<'_> {
    fn drop(&mut self) {
        if let Some(call) = self.1.take() {
            self.0.cancelled.lock().unwrap().push(call);
        }
    }
}

#[async_trait]
impl Integrations for Fake {
    async fn invoke(
        &self,
        resource: &str,
        arguments: Value,
        context: &TaskContext,
    ) -> Result<Value, TaskError> {
        let is_lambda = resource == LAMBDA;
        let (name, payload) = if is_lambda {
            (arguments["FunctionName"].clone(), arguments["Payload"].clone())
        } else {
            (arguments["QueueUrl"].clone(), arguments.clone())
        };
        let target = name.as_str().unwrap_or("").rsplit([':', '/']).next().unwrap_or("").to_owned();
        let call = {
            let mut calls = self.calls.lock().unwrap();
            let call = Call {
                resource: resource.to_owned(),
                earlier: calls.iter().filter(|call| call.target == target).count(),
                target,
                payload,
                execution_arn: context.execution_arn.to_string(),
                state_name: context.state_name.to_string(),
                retry_count: context.retry_count,
            };
            calls.push(call.clone());
            call
        };
        let mut guard = Cancelled(self, Some(call.clone()));
        let mut reply = (self.script)(&call);
        let answer = loop {
            match reply {
                Reply::Ok(answer) if is_lambda => {
                    break Ok(json!({"ExecutedVersion": "$LATEST", "Payload": answer, "StatusCode": 200}));
                }
                Reply::Ok(answer) => break Ok(answer),
                Reply::Err(error, cause) => break Err(TaskError::new(error, cause)),
                Reply::After(time, then) => {
                    tokio::time::sleep(time).await;
                    reply = *then;
                }
                Reply::Queued(time, then) => {
                    let turn = context.wait_for_turn();
                    tokio::time::sleep(time).await;
                    drop(turn);
                    reply = *then;
                }
                Reply::Hang => std::future::pending().await,
                Reply::Panic => panic!("the fake was told to panic"),
                Reply::Run(effect) => {
                    effect(&call);
                    reply = Reply::Ok(json!({}));
                }
            }
        };
        guard.1 = None;
        answer
    }

    async fn read_object(
        &self,
        bucket: &str,
        key: &str,
        offset: u64,
        bytes_max: u64,
    ) -> Result<ObjectPart, TaskError> {
        // Small parts, so that every item is read across a boundary some time.
        let bytes_max = usize::try_from(bytes_max).unwrap().min(37);
        let objects = self.objects.lock().unwrap();
        let Some(body) = objects.get(&(bucket.to_owned(), key.to_owned())) else {
            return Err(TaskError::new("S3.NoSuchKey", "The specified key does not exist."));
        };
        let begin = usize::try_from(offset).unwrap().min(body.len());
        let bytes = body.slice(begin..(begin + bytes_max).min(body.len()));
        let etag = body.iter().fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)));
        Ok(ObjectPart { bytes, etag: etag.to_string(), size: body.len() as u64 })
    }

    async fn write_object(&self, bucket: &str, key: &str, body: Bytes) -> Result<(), TaskError> {
        if let Some(why) = *self.write_fault.lock().unwrap() {
            return Err(TaskError::new("S3.AccessDenied", why));
        }
        self.objects.lock().unwrap().insert((bucket.to_owned(), key.to_owned()), body);
        Ok(())
    }
}

/// A Standard machine whose only state is a Distributed Map that calls the function `work` with each item of `in.jsonl`.
pub(crate) fn spread(more: Value) -> Value {
    let mut map = json!({
        "Type": "Map", "End": true, "Label": "L",
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"},
            "StartAt": "Work", "States": {"Work": task("work", None)},
        },
        "ItemReader": {
            "Resource": "arn:aws:states:::s3:getObject",
            "ReaderConfig": {"InputType": "JSONL"},
            "Arguments": {"Bucket": "b", "Key": "in.jsonl"},
        },
    });
    for (name, value) in more.as_object().unwrap() {
        if value.is_null() {
            map.as_object_mut().unwrap().remove(name);
        } else {
            map[name] = value.clone();
        }
    }
    json!({ "Spread": map })
}

/// Numbers from 0, one a line.
pub(crate) fn lines(count: usize) -> String {
    (0..count).map(|number| format!("{{\"n\": {number}}}\n")).collect()
}

/// The functions and the queue of the pipeline, all well.
pub(crate) fn healthy(call: &Call) -> Reply {
    let id =
        call.payload.pointer("/event/ingestId").or(call.payload.get("ingestId")).cloned().unwrap_or_default();
    match call.target.as_str() {
        "sluice-accept" => Reply::Ok(json!({"accepted": {"ingestId": "01A"}})),
        "sluice-persist-raw" => Reply::Ok(
            json!({"answer": {"statusCode": 202, "headers": {}, "body": "{\"status\":\"ACCEPTED\"}"}}),
        ),
        "sluice-normalize" => Reply::Ok(json!({"status": "NORMALIZED", "ingestId": id})),
        "sluice-quarantine" if call.payload["operation"] == "quarantine" => {
            let failure = json!({"error": "mapper_refused", "cause": format!("{id} was not normalized")});
            Reply::Ok(json!({"status": "QUARANTINED", "deadLetter": {"ingestId": id}, "failure": failure}))
        }
        "sluice-quarantine" if call.payload["operation"] == "await" => {
            if call.payload["redriveCount"].as_u64() <= call.payload["redrives"].as_u64() {
                return Reply::Err("mapper_refused", "01 was not normalized");
            }
            Reply::Ok(json!({"status": "REDRIVEN"}))
        }
        "sluice-quarantine" => Reply::Ok(json!({"status": "RELEASED"})),
        "sluice-dlq" => Reply::Ok(json!({"MessageId": "m-1"})),
        other => panic!("nothing here is called {other}"),
    }
}

/// A definition file of the repository with its placeholders filled in as the local cloud does. The one that normalizes a single
/// event is the tests' own: that of the product takes batches, and sends back what may pass by itself.
pub(crate) fn definition(file: &str) -> String {
    let folder = if file == "one-event.asl.json" { "tests/it/fixtures" } else { "../../state-machines" };
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(file);
    let template = std::fs::read_to_string(path).unwrap();
    let mut values = BTreeMap::new();
    for name in sluice_asl::placeholders(&template) {
        let value = match name.as_str() {
            "AcceptFunctionArn" => lambda_arn("sluice-accept"),
            "PersistRawFunctionArn" => lambda_arn("sluice-persist-raw"),
            "NormalizeFunctionArn" => lambda_arn("sluice-normalize"),
            "QuarantineFunctionArn" => lambda_arn("sluice-quarantine"),
            "RecoverStateMachineArn" => machine_arn("sluice-recover"),
            "DlqQueueUrl" => "http://127.0.0.1:8788/000000000000/sluice-dlq".to_owned(),
            other => panic!("no value for {other}"),
        };
        values.insert(name, value);
    }
    sluice_asl::substitute(&template, &values).unwrap()
}

fn lambda_arn(name: &str) -> String {
    format!("arn:aws:lambda:us-east-1:000000000000:function:{name}")
}

/// Creates or updates the three machines of the pipeline.
pub(crate) async fn put_pipeline(engine: &Engine) {
    let machines = [
        ("sluice-intake", MachineType::Express, "intake.asl.json"),
        ("sluice-normalize", MachineType::Express, "one-event.asl.json"),
        ("sluice-recover", MachineType::Standard, "recover.asl.json"),
    ];
    for (name, machine_type, file) in machines {
        engine.put_state_machine(StateMachineSpec::new(name, machine_type, definition(file))).await.unwrap();
    }
}

/// Options under which a paused runtime makes everything deterministic.
pub(crate) fn simulated(seed: u64) -> Options {
    Options { commits: Commits::Inline, seed: Some(seed), ..Options::default() }
}

/// An engine in memory on tokio's clock.
pub(crate) async fn in_memory(fake: &Arc<Fake>) -> Engine {
    open(&Location::Memory, fake, simulated(1)).await
}

pub(crate) async fn open(location: &Location, fake: &Arc<Fake>, options: Options) -> Engine {
    let clock = TokioClock::starting_at(Timestamp::from_millis(EPOCH_MS));
    Engine::open(location, Arc::clone(fake) as Arc<dyn Integrations>, Arc::new(clock), options).await.unwrap()
}

/// An engine as `sluice dev` has it: grouped commits and the real clock.
pub(crate) async fn open_real(location: &Location, fake: &Arc<Fake>) -> Engine {
    let fake = Arc::clone(fake) as Arc<dyn Integrations>;
    Engine::open(location, fake, Arc::new(SystemClock), Options::default()).await.unwrap()
}

pub(crate) async fn put(engine: &Engine, name: &str, machine_type: MachineType, states: Value) -> String {
    let spec = StateMachineSpec::new(name, machine_type, asl(states));
    engine.put_state_machine(spec).await.unwrap().arn.to_string()
}

/// A JSONata definition that starts at the first of `states`.
pub(crate) fn asl(states: Value) -> String {
    let first = states.as_object().unwrap().keys().next().unwrap().clone();
    json!({"QueryLanguage": "JSONata", "StartAt": first, "States": states}).to_string()
}

/// A Task state that calls `function`.
pub(crate) fn task(function: &str, next: Option<&str>) -> Value {
    let mut state = json!({
        "Type": "Task",
        "Resource": LAMBDA,
        "Arguments": {"FunctionName": function, "Payload": "{% $states.input %}"},
        "Output": "{% $states.result.Payload %}",
    });
    match next {
        Some(next) => state["Next"] = next.into(),
        None => state["End"] = true.into(),
    }
    state
}

pub(crate) fn input(value: Value) -> Payload {
    Payload::from_value(value).unwrap()
}

/// The types of an execution's history, in order.
pub(crate) async fn event_types(engine: &Engine, arn: &str) -> Vec<&'static str> {
    let history = engine.execution_history(arn).await.unwrap();
    history.iter().map(|event| event.event_type.name()).collect()
}

/// Waits until every execution has ended; a failure when that takes three days of virtual time.
pub(crate) async fn idle(engine: &Engine) {
    let three_days = Duration::from_secs(3 * 24 * 3600);
    let waited = tokio::time::timeout(three_days, engine.idle()).await;
    waited.unwrap_or_else(|_| panic!("{} executions never end", engine.unfinished()));
}
