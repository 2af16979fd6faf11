//! `Upload`: a request whose body may be too large for the input of a state machine, answered by the same `intake` as any other.
//!
//! A small body goes into the input as it would at `/v1/sources`. A large one is staged and the input says where (a claim check). When
//! `intake` has answered, the staged body is removed whatever the answer was: `PersistRaw` has stored what was accepted, and
//! what was refused is not kept. So a sender that proves nothing fills no storage; what a crash leaves expires with the bucket's
//! lifecycle.
//!
//! It decides nothing: who may send, what a message is and whether it was seen before is `Accept`'s to say.

mod config;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use sluice_aws::SdkConfig;
use sluice_aws::config::ConfigError;
use sluice_aws::stage::{Stage, log};
use sluice_core::id::IngestId;
use sluice_core::intake::{Answer, Request};
use sluice_core::limits::{BODY_BYTES_MAX, UPLOAD_BYTES_MAX};
use sluice_core::port::{Clock, Intake, UploadStore};
use sluice_core::problem::{Kind, Problem};
use sluice_core::{Code, Fault};

pub use config::Config;

/// What the function needs of the world.
#[derive(Clone)]
pub struct Deps {
    /// Large bodies on their way.
    pub uploads: Arc<dyn UploadStore>,
    /// Answers.
    pub intake: Arc<dyn Intake>,
    /// Time and ids.
    pub clock: Arc<dyn Clock>,
}

impl Deps {
    /// On AWS, or on the local cloud if the configuration points there.
    pub fn new(sdk: &SdkConfig, config: Config) -> Self {
        Self {
            uploads: Arc::new(sluice_aws::uploads::S3UploadStore::new(sdk, config.uploads_bucket)),
            intake: Arc::new(sluice_aws::intake::SfnIntake::new(sdk, config.intake_state_machine_arn)),
            clock: Arc::new(sluice_aws::clock::SystemClock),
        }
    }

    /// With the settings of the environment.
    pub fn from_environment(
        sdk: &SdkConfig,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        Ok(Self::new(sdk, Config::from_env(lookup)?))
    }
}

/// What API Gateway gives: a request, or why it gives none (`cdk/templates/upload.vtl`).
#[derive(Deserialize)]
#[serde(untagged)]
enum Input {
    Refused { refused: Refused, detail: String },
    Request(Request),
}

/// What was too large.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Refused {
    BodyTooLarge,
    HeadersTooLarge,
}

impl From<Refused> for Kind {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::BodyTooLarge => Self::BodyTooLarge,
            Refused::HeadersTooLarge => Self::HeadersTooLarge,
        }
    }
}

/// Answers one [`Request`]; gives an [`Answer`].
pub async fn handle(deps: &Deps, input: Value) -> Result<Value, Fault> {
    let started = Instant::now();
    let input: Input = serde_json::from_value(input).map_err(|error| {
        Fault::new(Code::InputMalformed, "the input is not a request of the front door").with_source(error)
    })?;
    let answer = match input {
        Input::Refused { refused, detail } => Problem::new(refused.into(), detail).into_answer(),
        Input::Request(request) => answer(deps, request).await?,
    };
    log(&Stage {
        stage: "upload",
        ingest_id: "",
        vendor_id: "",
        external_event_id: "",
        delivery_id: None,
        status: &answer.status_code.to_string(),
        started,
    });
    serde_json::to_value(&answer)
        .map_err(|error| Fault::new(Code::InputMalformed, "failed to write the answer").with_source(error))
}

async fn answer(deps: &Deps, mut request: Request) -> Result<Answer, Fault> {
    // Whoever calls it says where bytes are only by sending them.
    request.staged = None;
    let Some(body) = request.body_bytes() else {
        return Err(Fault::new(Code::InputMalformed, "the front door did not give the body as base64"));
    };
    if body.len() > UPLOAD_BYTES_MAX {
        return Ok(Problem::body_too_large(&request.path).into_answer());
    }
    if body.len() <= BODY_BYTES_MAX {
        return deps.intake.answer(&request).await;
    }
    request.body = String::new();
    let now = deps.clock.now();
    let key = format!("uploads/{}/{}", now.strftime("%Y/%m/%d"), IngestId::mint(now, deps.clock.random()));
    let staged = deps.uploads.put(&key, Bytes::from(body)).await?;
    request.staged = Some(staged.clone());
    let answer = deps.intake.answer(&request).await;
    if let Err(fault) = deps.uploads.remove(&staged).await {
        tracing::warn!(key, code = %fault.code, "a staged body was not removed and will expire: {fault}");
    }
    answer
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]
    use std::sync::Mutex;

    use async_trait::async_trait;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;
    use sluice_core::testing::World;

    use super::*;

    /// Says 202, notes what it was asked, and whether the staged body was there then.
    struct Fake {
        world: World,
        asked: Mutex<Vec<(Request, Option<usize>)>>,
        fails: bool,
    }

    #[async_trait]
    impl Intake for Fake {
        async fn answer(&self, request: &Request) -> Result<Answer, Fault> {
            let staged = match &request.staged {
                Some(staged) => Some(self.world.get_staged(staged).await),
                None => None,
            };
            self.asked.lock().unwrap().push((request.clone(), staged));
            if self.fails {
                return Err(Fault::new(Code::Unavailable, "down"));
            }
            Ok(Answer::json(202, &json!({})))
        }
    }

    trait GetStaged {
        async fn get_staged(&self, staged: &sluice_core::intake::Staged) -> usize;
    }

    impl GetStaged for World {
        async fn get_staged(&self, staged: &sluice_core::intake::Staged) -> usize {
            UploadStore::get(self, staged).await.unwrap().len()
        }
    }

    async fn send(bytes: usize, fails: bool) -> (Result<u16, Fault>, World, Vec<(Request, Option<usize>)>) {
        let world = World::new();
        let fake = Arc::new(Fake { world: world.clone(), asked: Mutex::default(), fails });
        let deps = Deps {
            uploads: Arc::new(world.clone()),
            intake: Arc::<Fake>::clone(&fake),
            clock: Arc::new(world.clone()),
        };
        let input = json!({"method": "POST", "path": "/v1/uploads/shop", "sourceIp": "127.0.0.1", "requestId": "r",
            "headers": {"x": "y"}, "body": STANDARD.encode(vec![b'a'; bytes]),
            "staged": {"ref": {"bucket": "b", "key": "another's"}, "sha256": "0".repeat(64), "bytes": 1}});
        let answer = handle(&deps, input).await;
        let asked = fake.asked.lock().unwrap().clone();
        (answer.map(|answer| answer["statusCode"].as_u64().unwrap().try_into().unwrap()), world, asked)
    }

    #[tokio::test]
    async fn a_small_body_goes_straight_through_and_a_large_one_by_reference() {
        let (answer, world, asked) = send(BODY_BYTES_MAX, false).await;
        assert_eq!(answer.unwrap(), 202);
        assert!(asked[0].0.staged.is_none() && asked[0].0.body_bytes().unwrap().len() == BODY_BYTES_MAX);
        assert!(world.state().uploads.is_empty());

        for (bytes, fails) in
            [(BODY_BYTES_MAX + 1, false), (UPLOAD_BYTES_MAX, false), (UPLOAD_BYTES_MAX, true)]
        {
            let (answer, world, asked) = send(bytes, fails).await;
            assert_eq!(answer.is_err(), fails);
            let (request, staged) = &asked[0];
            assert_eq!((request.body.as_str(), *staged), ("", Some(bytes)));
            assert_eq!(request.staged.as_ref().unwrap().bytes, bytes as u64);
            assert!(serde_json::to_string(request).unwrap().len() < 1_000);
            assert!(world.state().uploads.is_empty(), "nothing stays, whatever the answer");
        }
    }

    #[tokio::test]
    async fn what_the_gateway_does_not_give_is_answered_as_it_says() {
        let world = World::new();
        let fake = Arc::new(Fake { world: world.clone(), asked: Mutex::default(), fails: false });
        let intake: Arc<dyn Intake> = Arc::<Fake>::clone(&fake);
        let deps = Deps { uploads: Arc::new(world.clone()), intake, clock: Arc::new(world) };
        for (refused, status) in [("body-too-large", 413), ("headers-too-large", 431)] {
            let answer = handle(&deps, json!({"refused": refused, "detail": "at most 7"})).await.unwrap();
            assert_eq!(answer["statusCode"], status);
            assert!(answer["body"].as_str().unwrap().contains("at most 7"));
        }
        assert!(fake.asked.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn one_byte_more_is_413_and_nothing_is_run() {
        let (answer, world, asked) = send(UPLOAD_BYTES_MAX + 1, false).await;
        assert_eq!(answer.unwrap(), 413);
        assert!(asked.is_empty() && world.state().uploads.is_empty());
    }
}
