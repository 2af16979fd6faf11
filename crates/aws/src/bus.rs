//! The event bus, ten entries a call, which is EventBridge's limit for `PutEvents`, and ten calls at once.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use futures::{StreamExt as _, stream};
use sluice_core::drift::Finding;
use sluice_core::port::{BusEvent, EventBus};
use sluice_core::record::{BUS_SOURCE, DRIFT_DETECTED};
use sluice_core::{Code, Fault};

use crate::error::fault;

const ENTRIES_PER_CALL: usize = 10;

/// Calls at once: a batch of a hundred records takes as long as one call.
const CALLS_AT_ONCE: usize = 10;

/// The bus.
#[derive(Debug, Clone)]
pub struct EventBridgeBus {
    client: Client,
    bus: String,
}

impl EventBridgeBus {
    /// Over a bus, by name.
    pub fn new(sdk: &SdkConfig, bus: impl Into<String>) -> Self {
        Self { client: crate::client::eventbridge(sdk), bus: bus.into() }
    }

    async fn put(&self, events: &[BusEvent]) -> Result<Vec<Result<(), Fault>>, Fault> {
        let mut entries = Vec::with_capacity(events.len());
        for event in events {
            let detail = serde_json::to_string(&event.detail).map_err(|error| {
                Fault::new(Code::RowMalformed, "failed to write an event's detail").with_source(error)
            })?;
            let resource = event.detail.ingest_id.to_string();
            entries.push(self.entry(event.detail_type.as_str(), &resource, detail));
        }
        let sent = entries.len();
        let results = self.put_entries(entries).await?;
        if results.len() == sent {
            Ok(results)
        } else {
            Err(Fault::new(Code::Unavailable, "the bus answered for another number of events than were sent"))
        }
    }

    fn entry(&self, detail_type: &str, resource: &str, detail: String) -> PutEventsRequestEntry {
        PutEventsRequestEntry::builder()
            .event_bus_name(&self.bus)
            .source(BUS_SOURCE)
            .detail_type(detail_type)
            .resources(resource)
            .detail(detail)
            .build()
    }

    async fn put_entries(
        &self,
        entries: Vec<PutEventsRequestEntry>,
    ) -> Result<Vec<Result<(), Fault>>, Fault> {
        let answer = self
            .client
            .put_events()
            .set_entries(Some(entries))
            .send()
            .await
            .map_err(|error| fault("put events on the bus", error))?;
        let results: Vec<_> = answer
            .entries
            .unwrap_or_default()
            .into_iter()
            .map(|entry| match entry.error_code {
                None => Ok(()),
                Some(code) => {
                    let said = entry.error_message.unwrap_or_default();
                    Err(Fault::new(
                        Code::Unavailable,
                        format!("the bus did not take the event: {code}: {said}"),
                    ))
                }
            })
            .collect();
        Ok(results)
    }
}

#[async_trait]
impl EventBus for EventBridgeBus {
    async fn publish(&self, events: &[BusEvent]) -> Result<Vec<Result<(), Fault>>, Fault> {
        let put = |chunk: &[BusEvent]| {
            let chunk = chunk.to_vec();
            async move {
                // Other chunks may be on the bus: this one is reported by entry, and they as what they are.
                self.put(&chunk).await.unwrap_or_else(|failure| {
                    chunk.iter().map(|_| Err(Fault::new(failure.code, failure.message.clone()))).collect()
                })
            }
        };
        let calls: Vec<_> = events.chunks(ENTRIES_PER_CALL).map(put).collect();
        let answers: Vec<Vec<_>> = stream::iter(calls).buffered(CALLS_AT_ONCE).collect().await;
        Ok(answers.into_iter().flatten().collect())
    }

    async fn publish_drift(&self, finding: &Finding) -> Result<(), Fault> {
        let detail = serde_json::to_string(finding).map_err(|error| {
            Fault::new(Code::RowMalformed, "failed to write a finding's detail").with_source(error)
        })?;
        let entry = self.entry(DRIFT_DETECTED, &finding.example.to_string(), detail);
        self.put_entries(vec![entry]).await?.into_iter().collect()
    }
}
