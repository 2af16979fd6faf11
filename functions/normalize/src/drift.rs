//! What vendors' messages look like, learned beside the work: the hot path hands over a reference and goes on.
//!
//! A sample of the events, and of those that fail on their shape, is kept until the next flush; a task of its own reads them, adds
//! them to the stored profile and records what differs. Nothing here fails or delays an event, and everything is bounded: samples
//! in number and bytes, flushes in time. Samples that are not flushed yet are lost with the process, which costs counts and no
//! finding that goes on.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use sluice_aws::metric;
use sluice_core::contract::Format;
use sluice_core::digest::Sha256Hex;
use sluice_core::drift::{Finding, Observation, Profile, Shape, Subject, TrackKey, folded};
use sluice_core::id::{EventType, SchemaVersion, VendorId};
use sluice_core::port::{DriftStore, EventBus, Recorded};
use sluice_core::record::{EventDetail, Form};
use sluice_core::schema::Schema;
use sluice_core::{Code, Fault};
use sluice_mapping::{Bundle, Message};

/// Events of one type that are all kept between two flushes; after that one in [`SAMPLE_OF`] is.
const KEPT_ALL: u64 = 32;
const SAMPLE_OF: u64 = 16;
/// Most samples of one type between two flushes, and most of those that failed on their shape.
const SAMPLES_MAX: usize = 64;
/// Most raw bytes held by all samples together.
const SAMPLE_BYTES_MAX: usize = 4 << 20;
/// A flush after something that may be news, and after ordinary events.
const FLUSH_SOON: Duration = Duration::from_millis(500);
const FLUSH_LATE: Duration = Duration::from_secs(10);
/// How often a profile is written against others that write it at the same time. Then its samples are given up.
const TRIES_MAX: u32 = 4;
/// Most findings that wait to be announced again.
const UNREPORTED_MAX: usize = 64;

/// Learns. Cheap to clone.
#[derive(Clone)]
pub struct Observer(Arc<Inner>);

struct Inner {
    store: Arc<dyn DriftStore>,
    bus: Arc<dyn EventBus>,
    pending: Mutex<Pending>,
}

#[derive(Default)]
struct Pending {
    samples: HashMap<(VendorId, EventType), Samples>,
    bytes: usize,
    flush_soon: bool,
    flush_late: bool,
    /// Types that have been flushed once: the first events of a type are news.
    known: HashMap<(VendorId, EventType), ()>,
    /// Findings that could not be reported: the next flush tries again. A process that ends before it leaves them to the next
    /// one that sees the same.
    unreported: Vec<Finding>,
}

#[derive(Default)]
struct Samples {
    events: u64,
    kept: Vec<Sample>,
}

/// One event, as it came.
struct Sample {
    event: EventDetail,
    raw: Bytes,
    digest: Sha256Hex,
    bundle: Arc<Bundle>,
    /// Why it failed, and where, if that was its shape.
    fault: Option<(Code, Vec<String>)>,
}

impl Observer {
    /// Over a store and a bus.
    pub fn new(store: Arc<dyn DriftStore>, bus: Arc<dyn EventBus>) -> Self {
        Self(Arc::new(Inner { store, bus, pending: Mutex::default() }))
    }

    /// Takes note of an event that was mapped, or failed with `fault`. Returns at once. CSV and X12 have no profile: their fields
    /// have no names.
    pub(crate) fn note(
        &self,
        event: &EventDetail,
        raw: &Bytes,
        digest: &Sha256Hex,
        bundle: &Arc<Bundle>,
        fault: Option<&Fault>,
    ) {
        if bundle.contract.payload.format != Format::Json {
            return;
        }
        let shape = match fault {
            None => None,
            Some(fault) => match shape_fault(event, fault) {
                Some(pointers) => Some((fault.code, pointers)),
                None => return,
            },
        };
        let mut pending = self.pending();
        let key = (event.key.vendor_id.clone(), event.event_type.clone());
        let news = shape.is_some() || !pending.known.contains_key(&key);
        let room = pending.bytes + raw.len() <= SAMPLE_BYTES_MAX;
        let samples = pending.samples.entry(key).or_default();
        samples.events += 1;
        let wanted =
            shape.is_some() || samples.events <= KEPT_ALL || samples.events.is_multiple_of(SAMPLE_OF);
        if wanted && room && samples.kept.len() < SAMPLES_MAX {
            samples.kept.push(Sample {
                event: event.clone(),
                raw: raw.clone(),
                digest: digest.clone(),
                bundle: Arc::clone(bundle),
                fault: shape,
            });
            pending.bytes += raw.len();
        }
        let delay = match (news, pending.flush_soon, pending.flush_late) {
            (true, false, _) => {
                pending.flush_soon = true;
                FLUSH_SOON
            }
            (false, false, false) => {
                pending.flush_late = true;
                FLUSH_LATE
            }
            _ => return,
        };
        drop(pending);
        self.flush_after(delay);
    }

    /// Adds what was noted to the profiles, and records what differs.
    pub async fn flush(&self) {
        let (samples, unreported) = {
            let mut pending = self.pending();
            (pending.flush_soon, pending.flush_late, pending.bytes) = (false, false, 0);
            (std::mem::take(&mut pending.samples), std::mem::take(&mut pending.unreported))
        };
        for finding in unreported {
            self.report_or_keep(finding).await;
        }
        for ((vendor_id, event_type), samples) in samples {
            if samples.kept.is_empty() {
                continue;
            }
            match self.learn(&vendor_id, &event_type, &samples.kept).await {
                Ok(()) => {
                    self.pending().known.insert((vendor_id, event_type), ());
                }
                Err(fault) => {
                    tracing::warn!(%vendor_id, %event_type, code = %fault.code, "drift was not looked for: {fault}");
                }
            }
        }
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.0.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn learn(
        &self,
        vendor_id: &VendorId,
        event_type: &EventType,
        samples: &[Sample],
    ) -> Result<(), Fault> {
        let nothing = Shape::default();
        for (version, window) in windows(samples) {
            let Some(last) = window.last else { continue };
            let shape = last.bundle.schemas.get(&version).map_or(&nothing, Schema::shape);
            let (vendor_id, event_type) = (vendor_id.clone(), event_type.clone());
            let of = TrackKey { vendor_id, event_type, schema_version: version };
            let subject = Subject { of, bundle: last.digest.clone() };
            let findings = self.update(&subject, &window, shape, last).await?;
            for finding in findings {
                self.report_or_keep(finding).await;
            }
        }
        Ok(())
    }

    async fn update(
        &self,
        subject: &Subject,
        window: &Window<'_>,
        shape: &Shape,
        last: &Sample,
    ) -> Result<Vec<Finding>, Fault> {
        let store = &self.0.store;
        for _ in 0..TRIES_MAX {
            let (mut track, version) = store.track(&subject.of).await?;
            let findings =
                track.update(&window.profile, last.event.received_at, shape, subject, &window.codes);
            if store.put_track(&subject.of, &track, version).await? {
                return Ok(findings);
            }
        }
        Err(Fault::new(
            Code::ConcurrentWrite,
            "others write the profile at the same time: these samples are given up",
        ))
    }

    async fn report_or_keep(&self, finding: Finding) {
        let Err(fault) = self.report(&finding).await else { return };
        tracing::warn!(
            vendor_id = %finding.vendor_id,
            event_type = %finding.event_type,
            code = %fault.code,
            "drift was not announced yet: {fault}"
        );
        let mut pending = self.pending();
        if pending.unreported.len() >= UNREPORTED_MAX {
            return;
        }
        pending.unreported.push(finding);
        if std::mem::replace(&mut pending.flush_late, true) {
            return;
        }
        drop(pending);
        self.flush_after(FLUSH_LATE);
    }

    fn flush_after(&self, delay: Duration) {
        let observer = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            observer.flush().await;
        });
    }

    /// Once a finding, as a metric and as a log line; on the bus until the store knows that it took it.
    async fn report(&self, finding: &Finding) -> Result<(), Fault> {
        let (vendor, kind) = (finding.vendor_id.as_str(), finding.kind.as_str());
        match self.0.store.record(finding).await? {
            Recorded::Known => return Ok(()),
            Recorded::Unannounced => {}
            Recorded::New => {
                metric::count("drift.detected", 1.0, &[("vendorId", vendor), ("kind", kind)]);
                tracing::warn!(
                    vendor_id = vendor,
                    event_type = finding.event_type.as_str(),
                    breaking = finding.breaking,
                    example = %finding.example,
                    "drift: {}",
                    finding.sentence()
                );
            }
        }
        self.0.bus.publish_drift(finding).await?;
        self.0.store.announced(finding).await
    }
}

/// Where in the payload a message failed, if it failed on its own shape.
fn shape_fault(event: &EventDetail, fault: &Fault) -> Option<Vec<String>> {
    // The faults of a schema are told where the vendor sees them, which is inside the envelope if there is one.
    let prefix = match (fault.code, event.form) {
        (Code::PayloadSchemaViolation, Form::Envelope) => "/payload",
        (Code::PayloadSchemaViolation, Form::Native) | (Code::MapperRefused, _) => "",
        _ => return None,
    };
    let pointers =
        fault.errors.iter().map(|error| folded(error.pointer.strip_prefix(prefix).unwrap_or(&error.pointer)));
    Some(pointers.collect())
}

/// Samples of one schema version, counted.
#[derive(Default)]
struct Window<'a> {
    profile: Profile,
    codes: BTreeMap<String, String>,
    last: Option<&'a Sample>,
}

fn windows(samples: &[Sample]) -> BTreeMap<SchemaVersion, Window<'_>> {
    let mut windows: BTreeMap<SchemaVersion, Window<'_>> = BTreeMap::new();
    let nothing = Shape::default();
    for sample in samples {
        let Ok(message) = Message::open(&sample.event, &sample.raw) else { continue };
        let Ok(payload) = sluice_core::json::parse(&message.payload) else { continue };
        let version = &sample.event.schema_version;
        let window = windows.entry(version.clone()).or_default();
        let shape = sample.bundle.schemas.get(version).map_or(&nothing, Schema::shape);
        let (ingest_id, at) = (sample.event.ingest_id, sample.event.received_at);
        window.profile.observe(Observation { ingest_id, at, payload: &payload }, shape);
        for (code, pointer) in
            sample.fault.iter().flat_map(|(code, at)| at.iter().map(move |pointer| (code, pointer)))
        {
            window.codes.entry(pointer.clone()).or_insert_with(|| code.to_string());
        }
        window.last = Some(sample);
    }
    windows
}
