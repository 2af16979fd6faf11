//! How fast each vendor may send: API Gateway's usage plan, which throttles by API key before anything is started.
//!
//! A token bucket for each key, with the vendor's `rateLimit` of the vendors table; a vendor without one is bounded by the front
//! door alone. A directory that cannot be read lets the request pass, as it is `Accept` that must say 503.
//!
//! A request without a known key is judged once its body is there. If a signature proves its vendor
//! ([`UsagePlan::judge`]), it has that vendor's bucket of what is proved. If nothing proves it, it has the bucket of its address, whatever
//! vendor it names: so junk uses up nothing of anybody's, and tells nothing of who is known. What bounds such requests on AWS says
//! `cdk/README.md`.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderMap;
use sluice_core::contract::{NativePath, Signature};
use sluice_core::digest::Sha256Hex;
use sluice_core::id::VendorId;
use sluice_core::intake::Request;
use sluice_core::jiff::Timestamp;
use sluice_core::port::{Freshness, VendorDirectory};
use sluice_core::problem::{Kind, Problem};
use sluice_core::record::RateLimit;
use sluice_core::signature::verify;
use tokio::time::Instant;

/// Most buckets held. Beyond that the full ones go, which says nothing that a new one would not.
const BUCKETS_MAX: usize = 10_000;

/// What may be sent from one address without a proof.
const UNPROVED: RateLimit = RateLimit { per_second: 100, burst: 500 };

/// Paths that name a vendor.
const SOURCES: [&str; 2] = ["/v1/sources/", "/v1/uploads/"];

pub(crate) struct UsagePlan {
    vendors: Arc<dyn VendorDirectory>,
    buckets: Mutex<HashMap<Sender, Bucket>>,
}

/// Who is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Sender {
    Key(Sha256Hex),
    /// Without a key, proved by a signature.
    Signed(VendorId),
    /// Without a proof.
    Address(IpAddr),
}

/// The owner of a known API key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) vendor_id: VendorId,
    key: Sha256Hex,
}

struct Bucket {
    limit: RateLimit,
    tokens: f64,
    filled_at: Instant,
}

impl Bucket {
    fn full(limit: RateLimit, now: Instant) -> Self {
        Self { limit, tokens: f64::from(limit.burst), filled_at: now }
    }

    fn fill(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.filled_at).as_secs_f64();
        let (rate, burst) = (f64::from(self.limit.per_second), f64::from(self.limit.burst));
        self.tokens = seconds.mul_add(rate, self.tokens).min(burst);
        self.filled_at = now;
    }

    fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.tokens >= f64::from(self.limit.burst)
    }

    fn take(&mut self, limit: RateLimit, now: Instant) -> bool {
        self.limit = limit;
        self.fill(now);
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

impl UsagePlan {
    pub(crate) fn new(vendors: Arc<dyn VendorDirectory>) -> Self {
        Self { vendors, buckets: Mutex::default() }
    }

    /// Whose key a request has, if it is anybody's.
    pub(crate) async fn owner(&self, headers: &HeaderMap) -> Option<Owner> {
        let key = Sha256Hex::of(headers.get("x-api-key")?.as_bytes());
        let vendor_id = self.vendors.owner_of_key(&key).await.ok()??;
        Some(Owner { vendor_id, key })
    }

    /// 429, if the key was used more often than may be.
    pub(crate) async fn admit(&self, owner: &Owner) -> Result<(), Problem> {
        let Some(limit) = self.limit(&owner.vendor_id).await else { return Ok(()) };
        self.take(Sender::Key(owner.key.clone()), owner.vendor_id.as_str(), limit)
    }

    /// Whether a signature proves the vendor of a request without a known key; 429, if its sender has sent more than may be.
    pub(crate) async fn judge(
        &self,
        request: &Request,
        body: &[u8],
        client: IpAddr,
    ) -> Result<bool, Problem> {
        let Some(vendor_id) = self.proved(request, body).await else {
            self.take(Sender::Address(client), "whoever does not prove who it is", UNPROVED)?;
            return Ok(false);
        };
        if let Some(limit) = self.limit(&vendor_id).await {
            let name = format!("{vendor_id} without an API key");
            self.take(Sender::Signed(vendor_id), &name, limit)?;
        }
        Ok(true)
    }

    async fn limit(&self, vendor_id: &VendorId) -> Option<RateLimit> {
        self.vendors.profile(vendor_id, Freshness::Cached).await.ok()??.rate_limit
    }

    /// The vendor that a request is for, if it is signed by one of its schemes. `Accept` looks again, and at all the rest.
    ///
    /// As there, a vendor that does not exist costs the same reads and MACs as one that does.
    async fn proved(&self, request: &Request, body: &[u8]) -> Option<VendorId> {
        let name = SOURCES.iter().find_map(|prefix| request.path.strip_prefix(prefix))?;
        let vendor_id: VendorId = name.parse().ok()?;
        let profile = self.vendors.profile(&vendor_id, Freshness::Cached).await.ok()?;
        let contracts = self.vendors.contracts(&vendor_id).await.ok()?;
        let native = contracts.iter().map(|active| &active.contract).filter(|contract| {
            contract.envelope.as_ref().is_some_and(|native| native.path == NativePath::Sources)
        });
        let mut schemes: BTreeSet<&Signature> =
            native.filter_map(|contract| contract.signature.as_ref()).collect();
        if schemes.is_empty() {
            schemes.insert(&Signature::Shopify);
        }
        let secrets = profile.as_ref().map_or(&[][..], |profile| &profile.webhook_secrets);
        let holds = |scheme| verify(scheme, request, body, secrets, Timestamp::now()).is_ok();
        // Every scheme is tried: `any` would stop at the first.
        let held = schemes.into_iter().filter(|scheme| holds(scheme)).count();
        (held > 0).then_some(vendor_id)
    }

    fn take(&self, sender: Sender, name: &str, limit: RateLimit) -> Result<(), Problem> {
        let now = Instant::now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= BUCKETS_MAX {
            buckets.retain(|_, bucket| !bucket.is_full(now));
        }
        let bucket = buckets.entry(sender).or_insert_with(|| Bucket::full(limit, now));
        if bucket.take(limit, now) {
            return Ok(());
        }
        let detail = format!(
            "{name} may send {} requests a second, {} at once: send it again later",
            limit.per_second, limit.burst
        );
        Err(Problem::new(Kind::TooManyRequests, detail))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]
    use std::time::Duration;

    use http::HeaderValue;
    use sluice_core::bundle::ActiveMapper;
    use sluice_core::contract::Contract;
    use sluice_core::signature::sign_body;
    use sluice_core::testing::World;

    use super::*;

    /// Two vendors that sign as Shopify does, of which `slow` has a limit of its own.
    fn plan() -> UsagePlan {
        let world = World::new();
        for vendor in ["slow", "free"] {
            world.add_vendor(vendor, &format!("key-{vendor}"), &["secret"]);
            let contract: Contract = serde_json::from_value(serde_json::json!({
                "vendorId": vendor, "eventType": "orders", "signature": {"scheme": "shopify"},
                "payload": {"defaultVersion": "1", "versions": {"1": "s.json"}},
                "envelope": {"eventType": {"header": "x-shopify-topic"}, "externalEventId": {"header": "x-shopify-webhook-id"},
                    "occurredAt": {"pointer": "/at"}},
                "canonical": {"type": "OrderPlaced", "version": "1.0"},
            }))
            .unwrap();
            let pointer = ActiveMapper {
                bundle: Sha256Hex::of(b"b"),
                contract: contract.clone(),
                revision: 1,
                activated_at: Timestamp::UNIX_EPOCH,
                activated_by: "test".into(),
                reason: "test".into(),
                canary: None,
            };
            world.state().mappers.insert((contract.vendor_id, contract.event_type), pointer);
        }
        let limit = RateLimit { per_second: 2, burst: 3 };
        world.state().vendors.get_mut(&"slow".parse().unwrap()).unwrap().rate_limit = Some(limit);
        UsagePlan::new(Arc::new(world))
    }

    fn key(key: &'static str) -> HeaderMap {
        let name = http::HeaderName::from_static("x-api-key");
        HeaderMap::from_iter([(name, HeaderValue::from_static(key))])
    }

    #[tokio::test(start_paused = true)]
    async fn a_vendor_is_throttled_by_its_own_limit_only() {
        let plan = plan();
        let send = async |vendor: &'static str| match plan.owner(&key(vendor)).await {
            Some(owner) => Some(plan.admit(&owner).await.is_ok()),
            None => None,
        };
        for _ in 0..3 {
            assert_eq!(send("key-slow").await, Some(true));
        }
        assert_eq!(send("key-slow").await, Some(false), "the burst is used up");
        assert_eq!((send("key-free").await, send("nobody's").await), (Some(true), None));
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(send("key-slow").await, Some(true), "one more after half a second");
        assert_eq!(send("key-slow").await, Some(false));
        assert_eq!(plan.owner(&HeaderMap::new()).await, None);
    }

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    /// A message of `slow`, signed as Shopify signs, or not.
    fn message(vendor: &str, signed: bool) -> Request {
        let headers = if signed {
            let (name, value) = sign_body(&Signature::Shopify, "secret", b"{}").unwrap();
            vec![(name.to_owned(), value)]
        } else {
            vec![("x-shopify-hmac-sha256".to_owned(), "AAAA".to_owned())]
        };
        Request {
            method: "POST".into(),
            path: format!("{}{vendor}", SOURCES[0]),
            source_ip: HERE.to_string(),
            request_id: "1".into(),
            headers: headers.into_iter().collect(),
            body: String::new(),
            staged: None,
        }
    }

    /// How many are let pass, of a thousand; all must be judged alike.
    async fn passed(plan: &UsagePlan, message: &Request, client: IpAddr, proved: bool) -> u32 {
        let mut passed = 0;
        while passed < 1_000
            && let Ok(judged) = plan.judge(message, b"{}", client).await
        {
            assert_eq!(judged, proved);
            passed += 1;
        }
        passed
    }

    #[tokio::test(start_paused = true)]
    async fn junk_uses_up_nothing_of_what_is_proved() {
        let plan = plan();
        let (genuine, junk) = (message("slow", true), message("slow", false));
        assert_eq!(passed(&plan, &junk, HERE, false).await, UNPROVED.burst);
        assert_eq!(passed(&plan, &genuine, HERE, true).await, 3, "its own limit, from the same address");
        assert_eq!(passed(&plan, &message("free", true), HERE, true).await, 1_000, "no limit of its own");
        assert_eq!(plan.admit(&plan.owner(&key("key-slow")).await.unwrap()).await, Ok(()), "nor of its keys");
        assert_eq!(passed(&plan, &junk, THERE, false).await, UNPROVED.burst, "an address has its own");
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_is_known_and_one_that_is_not_are_answered_alike() {
        let plan = plan();
        let names = ["slow", "free", "nobody", "somebody", "%20"];
        for _ in 0..UNPROVED.burst / 5 {
            for name in names {
                assert_eq!(plan.judge(&message(name, false), b"{}", HERE).await, Ok(false), "{name}");
            }
        }
        let refused = plan.judge(&message("slow", false), b"{}", HERE).await.unwrap_err();
        for name in names {
            assert_eq!(plan.judge(&message(name, false), b"{}", HERE).await, Err(refused.clone()), "{name}");
        }
        // A made-up key, and a path that is no source's.
        let events = Request { path: "/v1/events".into(), ..message("slow", true) };
        assert_eq!(plan.judge(&events, b"{}", HERE).await, Err(refused));
    }
}
