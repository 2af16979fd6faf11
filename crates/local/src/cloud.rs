//! The composition: folder, services, functions, state machines, event sources and the two listeners.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use futures::future::BoxFuture;
use sluice_aws::vendors::DynamoVendors;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::client::InProcess;
use crate::credentials::{AccessKey, CredentialsError};
use crate::disk::{Disk, Room};
use crate::dynamodb::{DynamoDb, DynamoDbError};
use crate::endpoint::{Endpoint, Machines};
use crate::events::Events;
use crate::front_door::{FrontDoor, Intake, Upload};
use crate::functions::{FunctionHost, Functions};
use crate::gate::{Caller, Gate, Hosts, Keys};
use crate::integrations::Integrations;
use crate::kms::Kms;
use crate::machines::StateMachines;
use crate::poller::Poller;
use crate::private;
use crate::relay::{Checkpoints, Relay};
use crate::s3::{Expiring, S3};
use crate::schedule::Scheduled;
use crate::server::serve;
use crate::sqs::Sqs;
use crate::topology::{MachineType, Topology, TopologyError};
use crate::usage_plan::UsagePlan;

/// The id of the state machine behind the ingest API.
const INTAKE_ID: &str = "Intake";

/// The id of the function that answers for large bodies.
const UPLOAD_ID: &str = "Upload";

/// Id of the table that says how fast each vendor may send.
const VENDORS_ID: &str = "Vendors";

/// How often old stream records, expired items and expired messages are deleted.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(60);

/// How long requests under way may take to end at a shutdown.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

/// How often [`Cloud::wait_idle`] looks.
const IDLE_INTERVAL: Duration = Duration::from_millis(5);

/// A boxed error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Settings.
#[derive(Debug, Clone)]
pub struct Options {
    /// Port of the ingest API on 127.0.0.1; 0 takes a free one.
    pub ingest_port: u16,
    /// Port of the AWS endpoint on 127.0.0.1; 0 takes a free one.
    pub aws_port: u16,
    /// Where everything is kept.
    pub data: Data,
    /// The state machines and what they run on.
    pub definitions: Definitions,
    /// Hosts that the listeners answer for besides 127.0.0.1, localhost and [::1] with their ports, such as a tunnel's; each as
    /// the `Host` header says it.
    pub allowed_hosts: BTreeSet<String>,
    /// Origins whose pages may call the ingest API (CORS). None by default.
    pub cors_origins: BTreeSet<String>,
    /// Requests to the ingest API that are answered at once; more are refused with 429.
    pub in_flight_max: usize,
    /// How the functions reach the services.
    pub transport: Transport,
    /// The ingest API answers 503 until [`Cloud::open`] is called: for who has vendors and mappers to register first.
    pub opened_later: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ingest_port: 8787,
            aws_port: 8788,
            data: Data::Directory(PathBuf::from(".sluice")),
            definitions: Definitions::embedded(),
            allowed_hosts: BTreeSet::new(),
            cors_origins: BTreeSet::new(),
            in_flight_max: 256,
            transport: Transport::InProcess,
            opened_later: false,
        }
    }
}

/// Where everything is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// A folder, created if it is missing. One process at a time.
    Directory(PathBuf),
    /// A temporary folder, deleted at the end.
    Ephemeral,
}

/// How the functions reach the services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// The SDK calls the endpoint in this process.
    InProcess,
    /// The SDK connects to the endpoint's port.
    Loopback,
}

/// `topology.json` and the definitions beside it.
#[derive(Debug, Clone)]
pub struct Definitions {
    topology: String,
    files: Files,
}

#[derive(Debug, Clone)]
enum Files {
    Embedded,
    Folder(PathBuf),
}

const EMBEDDED_TOPOLOGY: &str = include_str!("../../../state-machines/topology.json");
const EMBEDDED: &[(&str, &str)] = &[
    ("intake.asl.json", include_str!("../../../state-machines/intake.asl.json")),
    ("normalize.asl.json", include_str!("../../../state-machines/normalize.asl.json")),
    ("start-recover.asl.json", include_str!("../../../state-machines/start-recover.asl.json")),
    ("recover.asl.json", include_str!("../../../state-machines/recover.asl.json")),
    ("replay.asl.json", include_str!("../../../state-machines/replay.asl.json")),
    ("operate.asl.json", include_str!("../../../state-machines/operate.asl.json")),
];

impl Definitions {
    /// Those that this build contains.
    pub fn embedded() -> Self {
        Self { topology: EMBEDDED_TOPOLOGY.to_owned(), files: Files::Embedded }
    }

    /// Those of a folder, such as `state-machines/`.
    pub fn folder(folder: &Path) -> Result<Self, StartError> {
        let topology = read(&folder.join("topology.json"))?;
        Ok(Self { topology, files: Files::Folder(folder.to_owned()) })
    }

    /// Another topology with the embedded definitions.
    pub fn with_topology(topology: String) -> Self {
        Self { topology, files: Files::Embedded }
    }

    fn definition(&self, file: &str) -> Result<String, StartError> {
        match &self.files {
            Files::Embedded => {
                let found = EMBEDDED.iter().find(|(name, _)| *name == file);
                found
                    .map(|(_, text)| (*text).to_owned())
                    .ok_or_else(|| StartError::NoDefinition(file.to_owned()))
            }
            Files::Folder(folder) => read(&folder.join(file)),
        }
    }
}

fn read(path: &Path) -> Result<String, StartError> {
    std::fs::read_to_string(path).map_err(|source| StartError::File { path: path.to_owned(), source })
}

/// Why the cloud did not start. Each message says what to do where something can be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Another process works in the folder.
    #[error(
        "the data folder {path} is in use by another process{owner}; stop it, or use another folder (--data DIR) or \
         --ephemeral"
    )]
    Locked {
        /// The folder.
        path: String,
        /// ` (pid 42)`, if the lock file says so.
        owner: String,
    },
    /// Others than its owner may read the folder, in which are keys and secrets.
    #[error(
        "others can read the data folder {path} (mode {mode:o}), and it holds keys and secrets; run \
         `chmod -R go= {path}` and start again"
    )]
    NotPrivate {
        /// The folder.
        path: String,
        /// Its mode.
        mode: u32,
    },
    /// There is no room on the disk for what is opened at a start.
    #[error(
        "the disk with the data folder {path} is full ({free_bytes} bytes are left): free some space and start again; \
         nothing that was acknowledged is lost"
    )]
    DiskFull {
        /// The folder.
        path: String,
        /// What is left.
        free_bytes: u64,
        /// What failed for want of it.
        source: Box<StartError>,
    },
    /// A port is taken.
    #[error(
        "port {port} on 127.0.0.1 is in use; stop what listens there, or choose another port with {flag}"
    )]
    PortInUse {
        /// The port.
        port: u16,
        /// The command-line flag.
        flag: &'static str,
    },
    /// A port cannot be opened.
    #[error("port {port} on 127.0.0.1 cannot be opened: {source}")]
    Port {
        /// The port.
        port: u16,
        /// Why.
        source: std::io::Error,
    },
    /// A file or folder cannot be used.
    #[error("{path:?} cannot be used: {source}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The topology is refused.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// The topology names a definition that is not embedded.
    #[error("this build does not contain {0}; give the folder of the definitions")]
    NoDefinition(String),
    /// The topology has no machine behind the ingest API.
    #[error("topology.json has no state machine with the id {INTAKE_ID}")]
    NoIntake,
    /// The topology has no function for large bodies.
    #[error("topology.json has no function with the id {UPLOAD_ID}")]
    NoUpload,
    /// The table with each vendor's limits is not in the topology.
    #[error("topology.json has no table with the id {VENDORS_ID}")]
    NoVendors,
    /// The tables cannot be opened or created.
    #[error(transparent)]
    DynamoDb(#[from] DynamoDbError),
    /// A database of the folder cannot be opened.
    #[error("the data folder cannot be opened: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A database of the folder is damaged.
    #[error(
        "{path:?} is damaged: {problem}; put back a copy of the whole folder, or move it away and start again"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        problem: String,
    },
    /// A database has a layout that this program does not know.
    #[error(
        "{path:?} was written by a later version of Sluice (layout {found}, and this program knows up to {known}): start the data \
         folder with that version, or use another folder (--data DIR)"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its layout.
        found: usize,
        /// The last one that this program knows.
        known: usize,
    },
    /// A table is older than what was handed on from it.
    #[error(
        "{table} is older than what was handed on from it (records up to {handled}, of which it has {last}): rows are lost, as if \
         dynamodb.sqlite or its -wal had been exchanged or deleted. Put back the files that belong together; or delete \
         relay.sqlite to go on with what is there, which is then handed on again, and let `sluice audit` say what has no row"
    )]
    Behind {
        /// The table.
        table: String,
        /// The greatest sequence number that was handled.
        handled: i64,
        /// The greatest that is there.
        last: i64,
    },
    /// A definition's placeholders are not those of the topology.
    #[error("the definition {file} cannot be filled in: {source}")]
    Placeholders {
        /// The file.
        file: String,
        /// Why.
        source: sluice_asl::SubstitutionError,
    },
    /// The key that signs mappers cannot be read or made.
    #[error("the signing key {path:?} cannot be used: {source}")]
    SigningKey {
        /// The file.
        path: PathBuf,
        /// Why.
        source: BoxError,
    },
    /// The access key of the AWS endpoint cannot be read or made.
    #[error("the access key {path:?} cannot be used: {source}")]
    Credentials {
        /// The file.
        path: PathBuf,
        /// Why.
        source: CredentialsError,
    },
    /// The functions cannot be made.
    #[error("the functions cannot be started: {0}")]
    Functions(#[source] BoxError),
    /// The state machines cannot be opened.
    #[error("the state machines cannot be started: {0}")]
    Machines(#[source] BoxError),
}

/// What a maker of functions gets.
#[derive(Debug)]
pub struct FunctionSetup<'a> {
    /// Clients made of it reach this cloud.
    pub sdk_config: &'a SdkConfig,
    /// The names of everything.
    pub topology: &'a Topology,
    /// PEM of the public keys whose signatures on native code count.
    pub trust_keys: String,
}

/// Makes the functions.
pub type MakeFunctions = Box<dyn FnOnce(&FunctionSetup<'_>) -> Result<Arc<dyn Functions>, BoxError> + Send>;

/// What a maker of state machines gets.
#[derive(Debug)]
pub struct MachineSetup {
    /// A file that it may create and keep.
    pub journal: PathBuf,
    /// The machines of the topology.
    pub machines: Vec<MachineDefinition>,
    /// What their tasks call.
    pub integrations: Integrations,
}

/// A state machine that is ready to be created.
#[derive(Debug, Clone)]
pub struct MachineDefinition {
    /// `sluice-intake`
    pub name: String,
    /// Its type.
    pub r#type: MachineType,
    /// Amazon States Language, placeholders filled in.
    pub definition: String,
}

/// Makes the state machines. They must not run anything before [`StateMachines::resume`].
pub type MakeMachines =
    Box<dyn FnOnce(MachineSetup) -> BoxFuture<'static, Result<Arc<dyn StateMachines>, BoxError>> + Send>;

/// A running local cloud.
///
/// Dropping it stops everything where it is, as a crash would: what was acknowledged is in the folder, and goes on at the
/// next start. [`Cloud::shutdown`] answers what is under way first.
#[derive(Debug)]
pub struct Cloud {
    ingest: SocketAddr,
    aws: SocketAddr,
    topology: Arc<Topology>,
    endpoint: Arc<Endpoint>,
    keys: Arc<Keys>,
    machines: MachinesHandle,
    front_door: Arc<FrontDoorHandle>,
    relays: Vec<Arc<Relay>>,
    pollers: [Arc<Poller>; 2],
    tasks: JoinSet<()>,
    connections: TaskTracker,
    stop: CancellationToken,
    // Order matters: fields are dropped in the order of their declaration, and the lock must go last.
    _stop_on_drop: DropGuard,
    folder: Folder,
}

struct MachinesHandle(Arc<dyn StateMachines>);

impl std::fmt::Debug for MachinesHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StateMachines")
    }
}

struct FrontDoorHandle(FrontDoor);

impl std::fmt::Debug for FrontDoorHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FrontDoor")
    }
}

/// The folder, locked.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    _lock: File,
    _temporary: Option<tempfile::TempDir>,
}

impl Folder {
    fn open(data: &Data) -> Result<Self, StartError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| StartError::File { path, source }
        };
        let (path, temporary) = match data {
            Data::Directory(path) => {
                private::create_folder(path).map_err(at(path))?;
                if let Some(mode) = private::open_to_others(path).map_err(at(path))? {
                    return Err(StartError::NotPrivate { path: path.display().to_string(), mode });
                }
                (path.clone(), None)
            }
            Data::Ephemeral => {
                let folder = tempfile::Builder::new()
                    .prefix("sluice-")
                    .tempdir()
                    .map_err(at(&std::env::temp_dir()))?;
                (folder.path().to_owned(), Some(folder))
            }
        };
        let lock_path = path.join("lock");
        private::ensure_file(&lock_path).map_err(at(&lock_path))?;
        let mut options = File::options();
        let mut lock = options.read(true).write(true).open(&lock_path).map_err(at(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut owner = String::new();
                let read = lock.read_to_string(&mut owner).is_ok() && !owner.trim().is_empty();
                let owner = if read { format!(" (pid {})", owner.trim()) } else { String::new() };
                return Err(StartError::Locked { path: path.display().to_string(), owner });
            }
            Err(TryLockError::Error(source)) => return Err(at(&lock_path)(source)),
        }
        let pid = std::process::id().to_string();
        let write =
            lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| lock.write_all(pid.as_bytes()));
        write.map_err(at(&lock_path))?;
        private::tighten(&path).map_err(at(&path))?;
        Ok(Self { path, _lock: lock, _temporary: temporary })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A database, which is there and its owner's alone before SQLite opens it: the files that SQLite puts beside it get its
    /// mode (<https://www.sqlite.org/src/file/src/os_unix.c>, `findCreateFileMode`).
    ///
    /// It is not damaged, and has no later layout than the last of `layouts`; without them its reader looks at that.
    fn database(&self, name: &str, layouts: Option<crate::sqlite::Layouts>) -> Result<PathBuf, StartError> {
        let path = self.file(name);
        private::ensure_file(&path).map_err(|source| StartError::File { path: path.clone(), source })?;
        if let Some(problem) = crate::sqlite::damage(&path)? {
            return Err(StartError::Damaged { path, problem });
        }
        if let Some(layouts) = layouts
            && let Some(found) = crate::sqlite::newer(&path, layouts)?
        {
            return Err(StartError::Newer { path, found, known: layouts.len() });
        }
        Ok(path)
    }
}

async fn bind(port: u16, flag: &'static str) -> Result<TcpListener, StartError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|source| {
        if source.kind() == std::io::ErrorKind::AddrInUse {
            StartError::PortInUse { port, flag }
        } else {
            StartError::Port { port, source }
        }
    })
}

impl Cloud {
    /// Starts with the product's functions and state machines.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        Self::start_with(options, Box::new(crate::product::functions), Box::new(crate::step_functions::open))
            .await
    }

    /// Starts with other functions and the product's state machines.
    pub async fn start_with_functions(
        options: Options,
        make_functions: MakeFunctions,
    ) -> Result<Self, StartError> {
        Self::start_with(options, make_functions, Box::new(crate::step_functions::open)).await
    }

    /// Starts with other functions and state machines than the product's own.
    pub async fn start_with(
        options: Options,
        make_functions: MakeFunctions,
        make_machines: MakeMachines,
    ) -> Result<Self, StartError> {
        let topology = Arc::new(Topology::parse(&options.definitions.topology)?);
        let folder = Folder::open(&options.data)?;
        let disk = Disk::new(folder.path.clone());
        Self::start_in(folder, topology, options, make_functions, make_machines).await.map_err(|source| {
            match disk.is_full() {
                Some(Room { free_bytes, .. }) => StartError::DiskFull {
                    path: disk.folder().display().to_string(),
                    free_bytes,
                    source: Box::new(source),
                },
                None => source,
            }
        })
    }

    async fn start_in(
        folder: Folder,
        topology: Arc<Topology>,
        options: Options,
        make_functions: MakeFunctions,
        make_machines: MakeMachines,
    ) -> Result<Self, StartError> {
        let intake = topology.state_machine(INTAKE_ID).ok_or(StartError::NoIntake)?.name.clone();
        let upload = topology.function(UPLOAD_ID).ok_or(StartError::NoUpload)?.name.clone();
        let ingest_listener = bind(options.ingest_port, "--port").await?;
        let aws_listener = bind(options.aws_port, "--aws-port").await?;
        let address = |listener: &TcpListener, port| {
            listener.local_addr().map_err(|source| StartError::Port { port, source })
        };
        let (ingest, aws) =
            (address(&ingest_listener, options.ingest_port)?, address(&aws_listener, options.aws_port)?);
        let aws_url = format!("http://{aws}");

        let dynamodb =
            Arc::new(DynamoDb::open(&folder.database("dynamodb.sqlite", Some(crate::dynamodb::LAYOUTS))?)?);
        for table in &topology.tables {
            dynamodb.ensure_table(table)?;
        }
        let s3 = S3::open(&folder.database("s3.sqlite", Some(crate::s3::LAYOUTS))?)?;
        s3.ensure_buckets(&topology.buckets)?;
        let objects = s3.objects();
        let expiring = s3.expiring(&topology.buckets);
        let sqs = Arc::new(Sqs::open(&folder.database("sqs.sqlite", Some(crate::sqs::LAYOUTS))?, &aws_url)?);
        sqs.ensure_queues(&topology.queues)?;
        let events = Arc::new(Events::new(&topology, Arc::clone(&sqs)));
        let key_path = folder.file("signing-key.pem");
        let unusable = |source| StartError::SigningKey { path: key_path.clone(), source };
        let kms = Kms::open(&key_path).map_err(unusable)?;
        let credentials = folder.file(crate::credentials::FILE);
        let operator = AccessKey::open(&credentials)
            .map_err(|source| StartError::Credentials { path: credentials.clone(), source })?;
        let keys = Arc::new(Keys::new(operator, credentials));
        let trust_keys = kms.public_pem().map_err(unusable)?;
        let endpoint = Arc::new(Endpoint {
            dynamodb: Arc::clone(&dynamodb),
            s3,
            sqs: Arc::clone(&sqs),
            events: Arc::clone(&events),
            kms,
            functions: OnceLock::new(),
            machines: OnceLock::new(),
        });

        let client = match options.transport {
            Transport::InProcess => {
                Some(InProcess { endpoint: Arc::downgrade(&endpoint), caller: Caller::Functions })
            }
            Transport::Loopback => None,
        };
        let sdk = functions_sdk_config(&aws_url, &keys, client);
        let setup = FunctionSetup { sdk_config: &sdk, topology: &topology, trust_keys };
        let made = make_functions(&setup).map_err(StartError::Functions)?;
        let functions =
            FunctionHost::new(&topology, made, functions_of_intake(&topology, &options.definitions)?);
        let machines = make_machines(MachineSetup {
            journal: folder.database("stepfunctions.sqlite", None)?,
            machines: machine_definitions(&topology, &options.definitions, &aws_url)?,
            integrations: Integrations::new(
                functions.clone(),
                Arc::clone(&sqs),
                Arc::clone(&events),
                objects,
                Arc::clone(&dynamodb),
            ),
        });
        let machines = machines.await.map_err(StartError::Machines)?;
        events.connect(&machines);
        let checkpoints =
            Arc::new(Checkpoints::open(&folder.database("relay.sqlite", Some(crate::relay::LAYOUTS))?)?);
        let relays = relays(&topology, &dynamodb, &functions, &checkpoints);
        for relay in &relays {
            if let Some((handled, last)) = relay.beyond_the_stream()? {
                return Err(StartError::Behind { table: relay.table.clone(), handled, last });
            }
        }
        let pollers = [
            Arc::new(Poller::of_routes(&topology, &sqs, &functions)),
            Arc::new(Poller::of_pipes(&topology, &sqs, &machines)),
        ];
        let scheduled = Scheduled::all(&topology, &functions);
        let upload = Upload::new(functions.clone(), upload);
        // Both are set here and nowhere else.
        let _ = endpoint.functions.set(functions);
        let _ = endpoint.machines.set(Machines(Arc::downgrade(&machines)));

        let vendors = topology.table(VENDORS_ID).ok_or(StartError::NoVendors)?;
        let usage_plan = UsagePlan::new(Arc::new(DynamoVendors::new(&sdk, vendors.name.clone())));
        let front_door = FrontDoor::new(
            Intake { machines: Arc::clone(&machines), name: intake },
            upload,
            usage_plan,
            Hosts::of(ingest, &options.allowed_hosts),
            Arc::new(Disk::new(folder.path.clone())),
            options.cors_origins,
            options.in_flight_max,
        );
        if !options.opened_later {
            front_door.open();
        }
        let front_door = Arc::new(FrontDoorHandle(front_door));
        let stop = CancellationToken::new();
        let connections = TaskTracker::new();
        let mut tasks = JoinSet::new();
        machines.resume();
        for relay in &relays {
            let relay = Arc::clone(relay);
            tasks.spawn(async move { relay.run().await });
        }
        for poller in &pollers {
            let poller = Arc::clone(poller);
            tasks.spawn(async move { poller.run().await });
        }
        let moving = Arc::clone(&sqs);
        tasks.spawn(async move { moving.run_moves().await });
        for schedule in scheduled {
            tasks.spawn(schedule.run());
        }
        tasks.spawn(maintain(relays.clone(), Arc::clone(&dynamodb), Arc::clone(&sqs), expiring));
        let handler = Arc::clone(&front_door);
        tasks.spawn(serve(ingest_listener, stop.clone(), connections.clone(), move |request, client| {
            let handler = Arc::clone(&handler);
            async move { handler.0.handle(request, client).await.map(http_body_util::Full::new) }
        }));
        let handler = Arc::clone(&endpoint);
        let gate = Gate { hosts: Hosts::of(aws, &options.allowed_hosts), keys: Arc::clone(&keys) };
        tasks.spawn(serve(aws_listener, stop.clone(), connections.clone(), move |request, _client| {
            let (handler, gate) = (Arc::clone(&handler), gate.clone());
            async move {
                match gate.admit(request.map(s3s::Body::from)).await {
                    Ok((caller, request)) => handler.handle(caller, request).await,
                    Err(refusal) => refusal.map(s3s::Body::from),
                }
            }
        }));
        let stop_on_drop = stop.clone().drop_guard();
        let machines = MachinesHandle(machines);
        let cloud = Self {
            ingest,
            aws,
            topology,
            endpoint,
            keys,
            machines,
            front_door,
            relays,
            pollers,
            tasks,
            connections,
            stop,
            folder,
            _stop_on_drop: stop_on_drop,
        };
        Ok(cloud)
    }

    /// The ingest API takes events from now on.
    pub fn open(&self) {
        self.front_door.0.open();
    }

    /// Address of the ingest API.
    pub fn ingest_url(&self) -> String {
        format!("http://{}", self.ingest)
    }

    /// Address of the AWS endpoint.
    pub fn aws_url(&self) -> String {
        format!("http://{}", self.aws)
    }

    /// The folder with the data.
    pub fn data_folder(&self) -> &Path {
        &self.folder.path
    }

    /// The file with the access key of the AWS endpoint, in the form of AWS's shared credentials file.
    pub fn credentials_file(&self) -> PathBuf {
        self.folder.file(crate::credentials::FILE)
    }

    /// What was started.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// For AWS clients in this process. They call the services without a socket, and fail once the cloud is gone.
    pub fn sdk_config(&self) -> SdkConfig {
        let endpoint = Arc::downgrade(&self.endpoint);
        let client = InProcess { endpoint, caller: Caller::Operator };
        sdk_config(&self.aws_url(), self.keys.of(Caller::Operator), Some(client))
    }

    /// For AWS clients that connect to the endpoint's port, as other processes do.
    pub fn loopback_sdk_config(&self) -> SdkConfig {
        sdk_config(&self.aws_url(), self.keys.of(Caller::Operator), None)
    }

    /// The state machines.
    pub fn machines(&self) -> &Arc<dyn StateMachines> {
        &self.machines.0
    }

    /// Waits until no request is being answered, every stream record has been handled, no execution is running, and no queue of a
    /// route or a pipe has a message. An execution that waits for a person has failed, and is not running.
    pub async fn wait_idle(&self) {
        let mut quiet = 0;
        // Twice in a row: work passes from one part to the next between two looks, never in both directions.
        while quiet < 2 {
            self.machines.0.idle().await;
            let mut idle = self.front_door.0.in_flight() == 0;
            for relay in &self.relays {
                idle = idle && relay.is_caught_up().await;
            }
            let idle = idle
                && self.pollers.iter().all(|poller| poller.is_idle())
                && self.machines.0.unfinished() == 0;
            quiet = if idle { quiet + 1 } else { 0 };
            if !idle {
                tokio::time::sleep(IDLE_INTERVAL).await;
            }
        }
    }

    /// Accepts nothing more, answers what is under way, and stops. What has not ended goes on at the next start.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        self.connections.close();
        if tokio::time::timeout(SHUTDOWN_GRACE, self.connections.wait()).await.is_err() {
            tracing::warn!("requests were still under way at the shutdown");
        }
        self.tasks.shutdown().await;
        self.machines.0.shutdown().await;
    }
}

fn sdk_config(aws_url: &str, key: &AccessKey, client: Option<InProcess>) -> SdkConfig {
    // Built from nothing, not loaded: a developer's own AWS profile must have no say here.
    let credentials = Credentials::new(&key.id, &key.secret, None, None, "sluice-local");
    let mut builder = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(crate::arn::REGION))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(aws_url);
    if let Some(client) = client {
        builder = builder.http_client(SharedHttpClient::new(client));
    }
    builder.build()
}

/// For the functions: in this process without credentials, so that nothing is signed which nobody checks; without the guard
/// against stalled connections, since there are none.
fn functions_sdk_config(aws_url: &str, keys: &Keys, client: Option<InProcess>) -> SdkConfig {
    let unsigned = client.is_some();
    let mut builder = sdk_config(aws_url, keys.of(Caller::Functions), client).into_builder();
    if unsigned {
        builder.set_credentials_provider(None);
    }
    builder.stalled_stream_protection(StalledStreamProtectionConfig::disabled()).build()
}

/// Names of the functions for whose answer a sender waits: the one of large bodies, and those that the machine behind the front door
/// calls.
fn functions_of_intake(
    topology: &Topology,
    definitions: &Definitions,
) -> Result<BTreeSet<String>, StartError> {
    let machine = topology.state_machine(INTAKE_ID).ok_or(StartError::NoIntake)?;
    let used = sluice_asl::placeholders(&definitions.definition(&machine.definition)?);
    let called = |id: &str| id == UPLOAD_ID || used.contains(&format!("{id}FunctionArn"));
    Ok(topology.functions.iter().filter(|it| called(&it.id)).map(|it| it.name.clone()).collect())
}

fn machine_definitions(
    topology: &Topology,
    definitions: &Definitions,
    aws_url: &str,
) -> Result<Vec<MachineDefinition>, StartError> {
    let values = topology.placeholders(aws_url);
    let fill_in = |machine: &crate::topology::StateMachine| {
        let template = definitions.definition(&machine.definition)?;
        let used = sluice_asl::placeholders(&template);
        let values = values
            .iter()
            .filter(|(name, _)| used.contains(*name))
            .map(|(name, value)| (name.clone(), value.clone()));
        let definition = sluice_asl::substitute(&template, &values.collect())
            .map_err(|source| StartError::Placeholders { file: machine.definition.clone(), source })?;
        Ok(MachineDefinition { name: machine.name.clone(), r#type: machine.r#type, definition })
    };
    topology.state_machines.iter().map(fill_in).collect()
}

fn relays(
    topology: &Topology,
    dynamodb: &Arc<DynamoDb>,
    functions: &FunctionHost,
    checkpoints: &Arc<Checkpoints>,
) -> Vec<Arc<Relay>> {
    let relay = |stream: &crate::topology::Stream| {
        let table = &topology.table(&stream.table)?.name;
        Some(Arc::new(Relay {
            dynamodb: Arc::clone(dynamodb),
            functions: functions.clone(),
            checkpoints: Arc::clone(checkpoints),
            stream_arn: dynamodb.stream_arn(table)?,
            table: table.clone(),
            function: topology.function(&stream.function)?.name.clone(),
            batch_size: stream.batch_size.max(1),
            bisect: stream.bisect_batch_on_function_error,
        }))
    };
    topology.streams.iter().filter_map(relay).collect()
}

async fn maintain(relays: Vec<Arc<Relay>>, dynamodb: Arc<DynamoDb>, sqs: Arc<Sqs>, expiring: Expiring) {
    let mut ticks = tokio::time::interval(MAINTENANCE_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let (relays, dynamodb, sqs) = (relays.clone(), Arc::clone(&dynamodb), Arc::clone(&sqs));
        let expiring = expiring.clone();
        let sweep = tokio::task::spawn_blocking(move || {
            for relay in &relays {
                if let Err(error) = relay.trim() {
                    tracing::warn!(%error, "old stream records were not deleted");
                }
            }
            if let Err(error) = dynamodb.sweep_expired_items() {
                tracing::warn!(%error, "expired items were not deleted");
            }
            if let Err(error) = sqs.expire() {
                tracing::warn!(%error, "expired messages were not deleted");
            }
            if let Err(error) = expiring.sweep(crate::wire::now_ms()) {
                tracing::warn!(%error, "expired objects were not deleted");
            }
        });
        if let Err(error) = sweep.await {
            tracing::error!(%error, "maintenance failed");
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a panic is the test's failure")]
mod tests {
    use super::*;

    #[test]
    fn a_sender_waits_for_the_functions_of_intake_and_no_other() {
        let definitions = Definitions::embedded();
        let topology = Topology::parse(EMBEDDED_TOPOLOGY).unwrap();
        let first = functions_of_intake(&topology, &definitions).unwrap();
        assert_eq!(first, ["sluice-accept", "sluice-persist-raw", "sluice-upload"].map(str::to_owned).into());
    }
}
