//! The state machines: the deployed definitions on the project's own interpreter, with their
//! retries, catches and timers.
//!
//! An execution's tasks name what they call by the placeholders of the definition
//! (`${NormalizeFunctionArn}`), so a definition that calls something else, or in another order, is
//! simulated as it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use sluice_asl::{
    Definition, Effect, Execution, Input, InputKind, MachineType, ScheduledTask, Start, Status, TaskId,
    TimerId, Timestamp, placeholders, substitute,
};

use crate::agenda::{Happening, Ref};
use crate::invocations::{Caller, Work};
use crate::topology::{Deployment, ModelError};
use crate::world::World;

/// A deployed machine.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) id: String,
    pub(crate) definition: Arc<Definition>,
    pub(crate) standard: bool,
}

/// Who started an execution.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Starter {
    /// A vendor's request waits for it.
    Request(u32),
    /// The bus, for an event.
    Bus(u32),
    /// A pipe waits for it: the poller, the batch.
    Pipe(u16, Ref),
    /// Another execution, or Reconcile.
    Recovery,
}

/// What a task calls, once Step Functions has come to it.
#[derive(Debug)]
enum Call {
    Invoke(usize, Work),
    Start {
        machine: usize,
        name: String,
        input: Value,
    },
    /// A message to a queue; `None` for an event of none.
    Send {
        queue: usize,
        event: Option<u32>,
    },
}

/// A running execution.
#[derive(Debug)]
pub(crate) struct Run {
    machine: usize,
    execution: Execution,
    starter: Starter,
    started_at: u64,
    calls: Vec<(u64, Call)>,
    transitions: u64,
}

/// Reads the definitions and gives each placeholder the id of what it names.
pub(crate) fn load(deployment: &Deployment) -> Result<Vec<Machine>, ModelError> {
    let load = |machine: &crate::topology::StateMachine| {
        let file = machine.definition.clone();
        let fault = |fault: String| ModelError::Definition { file: file.clone(), fault };
        let text =
            deployment.definitions.get(&file).ok_or_else(|| fault("there is no such file".to_owned()))?;
        let values: BTreeMap<String, String> =
            placeholders(text).into_iter().map(|name| (name.clone(), name)).collect();
        let text = substitute(text, &values).map_err(|error| fault(error.to_string()))?;
        let standard = machine.kind == "STANDARD";
        let kind = if standard { MachineType::Standard } else { MachineType::Express };
        let definition = Definition::parse(&text, kind).map_err(|error| fault(error.to_string()))?;
        Ok(Machine { id: machine.id.clone(), definition: Arc::new(definition), standard })
    };
    deployment.topology.state_machines.iter().map(load).collect()
}

/// The number in an id such as `E17` or `R3`.
pub(crate) fn number(value: &Value) -> Option<u32> {
    value.as_str()?.get(1..)?.parse().ok()
}

impl World {
    /// The detail of `ingest.accepted`, references only.
    pub(crate) fn detail(&mut self, event: u32) -> Value {
        let vendor = self.books.event(event).vendor;
        let id = format!("E{event}");
        json!({
            "ingestId": id, "vendorId": format!("v{vendor}"), "externalEventId": id, "eventType": "e",
            "schemaVersion": "1", "rawRef": {"bucket": "raw", "key": id},
        })
    }

    /// Starts an execution; its throttles are its starter's concern.
    pub(crate) fn start(&mut self, machine: usize, name: String, input: Value, starter: Starter) {
        let definition = Arc::clone(&self.machines[machine].definition);
        let standard = self.machines[machine].standard;
        self.counts.starts[usize::from(standard)] += 1;
        let start = Start {
            execution_arn: String::new(),
            execution_name: name,
            input,
            // Only a Standard machine's transitions are billed and throttled, and are counted by
            // its history.
            keep_history: standard,
            ..Start::example()
        };
        let input =
            Input { at: self.timestamp(), seed: self.random.next_u64(), kind: InputKind::Start(start) };
        let Ok((execution, effects)) = Execution::start(definition, input) else { return };
        let run =
            Run { machine, execution, starter, started_at: self.now, calls: Vec::new(), transitions: 0 };
        let at = self.runs.insert(run);
        self.charge_transitions(at, 0.0);
        self.effects(at, effects);
    }

    fn timestamp(&self) -> Timestamp {
        Timestamp::from_millis(i64::try_from(self.now / 1_000).unwrap_or(i64::MAX))
    }

    /// Gives an execution an input, later if its account's state transitions are throttled.
    pub(crate) fn input(&mut self, at: Ref, kind: InputKind) {
        let Some(run) = self.runs.get_mut(at) else { return };
        if self.machines[run.machine].standard {
            // Entered at least by what follows; what it really was is charged afterwards.
            let wait = self.starts.transitions.reserve(self.now, 1.0);
            if wait > 0 {
                let slot = self.inputs.insert((at, kind));
                self.agenda.push(self.now + wait, Happening::Input(slot));
                return;
            }
        }
        self.apply(at, kind);
    }

    pub(crate) fn delayed_input(&mut self, slot: Ref) {
        if let Some((at, kind)) = self.inputs.remove(slot) {
            self.apply(at, kind);
        }
    }

    fn apply(&mut self, at: Ref, kind: InputKind) {
        let stamp = self.timestamp();
        let seed = self.random.next_u64();
        let Some(run) = self.runs.get_mut(at) else { return };
        // An input that the execution does not know any more is late, and changes nothing.
        let Ok(effects) = run.execution.apply(Input { at: stamp, seed, kind }) else { return };
        self.charge_transitions(at, 1.0);
        self.effects(at, effects);
    }

    fn charge_transitions(&mut self, at: Ref, charged: f64) {
        let Some(run) = self.runs.get_mut(at) else { return };
        if !self.machines[run.machine].standard {
            return;
        }
        let entered = |event: &&sluice_asl::HistoryEvent| event.event_type.name().ends_with("StateEntered");
        let all = run.execution.history().iter().filter(entered).count() as u64;
        let new = all - run.transitions;
        run.transitions = all;
        self.counts.transitions += new;
        #[expect(clippy::cast_precision_loss, reason = "a few states")]
        let rest = new as f64 - charged;
        if rest > 0.0 {
            let _ = self.starts.transitions.reserve(self.now, rest);
        }
    }

    fn effects(&mut self, at: Ref, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::ScheduleTask(task) => self.schedule(at, &task),
                Effect::SetTimer { timer, at: due } => {
                    let due = u64::try_from(due.as_millis()).unwrap_or(0) * 1_000;
                    self.agenda.push(due.max(self.now), Happening::Timer(at, timer.0));
                }
                // A timer that fires in vain does no harm, and neither does the result of a task
                // that nobody waits for.
                Effect::CancelTimer { .. } | Effect::CancelTask { .. } => {}
                Effect::StartMapRun(_) | Effect::StopMapRun { .. } => {
                    self.fail_model("a Distributed Map is not simulated".to_owned());
                }
                Effect::Finished => self.finished(at),
            }
        }
    }

    fn schedule(&mut self, at: Ref, task: &ScheduledTask) {
        let call = match self.call_of(at, task) {
            Ok(call) => call,
            Err(fault) => return self.fail_model(format!("state {}: {fault}", task.state_name)),
        };
        let delay = self.latencies.task.draw(&mut self.random);
        if let Some(run) = self.runs.get_mut(at) {
            run.calls.push((task.task.0, call));
        }
        self.agenda.push(self.now + delay, Happening::Task(at, task.task.0));
    }

    fn call_of(&mut self, at: Ref, task: &ScheduledTask) -> Result<Call, String> {
        let arguments = &*task.arguments;
        match task.resource.strip_prefix("arn:aws:states:::") {
            Some("lambda:invoke") => {
                let id = arguments["FunctionName"].as_str().unwrap_or_default();
                let id = id.strip_suffix("FunctionArn").unwrap_or(id);
                let function = self.function(id).ok_or_else(|| format!("there is no function {id}"))?;
                let starter = self.runs.get_mut(at).map(|run| run.starter);
                Ok(Call::Invoke(function, work(id, &arguments["Payload"], starter)?))
            }
            Some("states:startExecution") => {
                let id = arguments["StateMachineArn"].as_str().unwrap_or_default();
                let id = id.strip_suffix("StateMachineArn").unwrap_or(id);
                let machine = self.machine(id).ok_or_else(|| format!("there is no state machine {id}"))?;
                let name = arguments["Name"].as_str().unwrap_or_default().to_owned();
                Ok(Call::Start { machine, name, input: arguments["Input"].clone() })
            }
            Some("sqs:sendMessage") => {
                let id = arguments["QueueUrl"].as_str().unwrap_or_default();
                let id = id.strip_suffix("QueueUrl").unwrap_or(id);
                let queue = self.queues.iter().position(|queue| queue.id == id);
                let queue = queue.ok_or_else(|| format!("there is no queue {id}"))?;
                let event = number(&arguments["MessageBody"]["input"]["event"]["ingestId"]);
                Ok(Call::Send { queue, event })
            }
            _ => Err(format!("{} is not simulated", task.resource)),
        }
    }

    /// Step Functions calls what a task calls.
    pub(crate) fn task(&mut self, at: Ref, task: u64) {
        let Some(run) = self.runs.get_mut(at) else { return };
        let Some(index) = run.calls.iter().position(|(id, _)| *id == task) else { return };
        match run.calls.swap_remove(index).1 {
            Call::Invoke(function, work) => {
                if self.invoke(function, work, Caller::Task(at, task)).is_err() {
                    self.task_failed(at, task, "Lambda.TooManyRequestsException", "Rate Exceeded.");
                }
            }
            Call::Start { machine, name, input } => self.start_recovery(at, task, machine, name, input),
            Call::Send { queue, event } => {
                self.counts.queue_requests += 1;
                // Of the others nobody but a person reads.
                if let (Some(event), true) = (event, self.pollers.iter().any(|it| it.queue == queue)) {
                    let delay = self.latencies.queue.draw(&mut self.random);
                    let queue = u16::try_from(queue).unwrap_or(0);
                    self.agenda.push(self.now + delay, Happening::Visible(queue, event, 0));
                }
                let output = json!({"MessageId": "m"});
                self.input(at, InputKind::TaskSucceeded { task: TaskId(task), output });
            }
        }
    }

    fn start_recovery(&mut self, at: Ref, task: u64, machine: usize, name: String, input: Value) {
        if !self.starts.names.insert(name.clone()) {
            let error = "StepFunctions.ExecutionAlreadyExistsException";
            return self.task_failed(at, task, error, "Execution Already Exists");
        }
        if !self.starts.standard.take(self.now, 1.0) {
            self.starts.names.remove(&name);
            self.counts.standard_throttled += 1;
            return self.task_failed(at, task, "StepFunctions.ThrottlingException", "Rate exceeded");
        }
        self.start(machine, name, input, Starter::Recovery);
        let output = json!({"ExecutionArn": "arn", "StartDate": 0});
        self.input(at, InputKind::TaskSucceeded { task: TaskId(task), output });
    }

    pub(crate) fn task_failed(&mut self, at: Ref, task: u64, error: &str, cause: &str) {
        let cause = Some(cause.to_owned());
        self.input(at, InputKind::TaskFailed { task: TaskId(task), error: error.to_owned(), cause });
    }

    pub(crate) fn timer(&mut self, at: Ref, timer: u64) {
        self.input_of_timer(at, InputKind::TimerFired { timer: TimerId(timer) });
    }

    /// A timer is no state transition by itself.
    fn input_of_timer(&mut self, at: Ref, kind: InputKind) {
        if self.runs.get_mut(at).is_some() {
            self.apply(at, kind);
        }
    }

    fn finished(&mut self, at: Ref) {
        let Some(run) = self.runs.remove(at) else { return };
        let took = self.now - run.started_at;
        if !self.machines[run.machine].standard {
            // "Duration is rounded up to the nearest 100 ms", memory in chunks of 64 MB.
            self.counts.express_gb_ms += (took / 100_000 + 1) * 100 * 64;
        }
        let status = run.execution.status();
        match run.starter {
            Starter::Request(request) => {
                let answer = match status {
                    Status::Succeeded { output } => output["statusCode"].as_u64().unwrap_or(503),
                    _ => 503,
                };
                self.answer(request, u16::try_from(answer).unwrap_or(503));
            }
            Starter::Bus(event) => {
                if !matches!(status, Status::Succeeded { .. }) {
                    self.books.event(event).unstarted = true;
                }
            }
            Starter::Pipe(poller, batch) => {
                let output = match status {
                    Status::Succeeded { output } => Some(Arc::clone(output)),
                    _ => None,
                };
                self.pipe_done(poller, batch, output.as_deref());
            }
            // A recovery ends in AwaitRedrive, or well; its rows say which.
            Starter::Recovery => {}
        }
    }
}

/// What a function is asked, by its payload.
fn work(function: &str, payload: &Value, starter: Option<Starter>) -> Result<Work, String> {
    let missing = || format!("the payload of {function} names no event: {payload}");
    let request = match starter {
        Some(Starter::Request(request)) => Some(request),
        _ => None,
    };
    match function {
        "Accept" => Ok(Work::Accept(number(&payload["requestId"]).or(request).ok_or_else(missing)?)),
        "PersistRaw" => Ok(Work::Persist(number(&payload["accepted"]["requestId"]).ok_or_else(missing)?)),
        "Normalize" => Ok(Work::Normalize(number(&payload["ingestId"]).ok_or_else(missing)?)),
        "Quarantine" if payload["operation"] == "await" => {
            Ok(Work::Await { redriven: payload["redriveCount"].as_u64() > payload["redrives"].as_u64() })
        }
        "Quarantine" => {
            let event = number(&payload["event"]["ingestId"]).ok_or_else(missing)?;
            match payload["operation"].as_str() {
                Some("quarantine") => Ok(Work::Quarantine(event)),
                Some("release") => Ok(Work::Release(event)),
                _ => Err(format!("{function} is asked for {}", payload["operation"])),
            }
        }
        other => Err(format!("no task calls {other} today: the model does not know its payload")),
    }
}
