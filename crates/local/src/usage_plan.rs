//! How fast each vendor may send: API Gateway's usage plan, which throttles by API key before anything is started.
//!
//! A token bucket per key, with the vendor's `rateLimit` of the vendors table. A key that is not known, or whose vendor has no limit,
//! passes: `Accept` refuses the first, and the front door's own bound holds for the second. A directory that cannot be read lets
//! the request pass as well, as it is `Accept` that must say 503.
//!
//! A message at `/v1/sources/{vendorId}` may come without a key, proved by its signature, which only `Accept` can check. So such a
//! path has a bucket of its own, beside those of keys: what anybody can send in a vendor's name cannot use up what its keys may
//! send. Names that are no vendor's share one bucket. What bounds such requests on AWS says `cdk/README.md`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderMap;
use sluice_core::digest::Sha256Hex;
use sluice_core::id::VendorId;
use sluice_core::port::VendorDirectory;
use sluice_core::problem::{Kind, Problem};
use sluice_core::record::RateLimit;
use tokio::time::Instant;

/// Most buckets held. Beyond that the full ones go, which says nothing that a new one would not.
const BUCKETS_MAX: usize = 10_000;

/// What may be sent without a key in the name of a vendor that has no limit of its own.
const KEYLESS: RateLimit = RateLimit { per_second: 100, burst: 500 };

const SOURCES: &str = "/v1/sources/";

pub(crate) struct UsagePlan {
    vendors: Arc<dyn VendorDirectory>,
    buckets: Mutex<HashMap<Sender, Bucket>>,
}

/// Who is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Sender {
    Key(Sha256Hex),
    /// Without a key, in this vendor's name; `None` for all names that are no vendor's.
    Path(Option<VendorId>),
}

struct Bucket {
    tokens: f64,
    filled_at: Instant,
}

impl Bucket {
    fn take(&mut self, limit: RateLimit, now: Instant) -> bool {
        let seconds = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.tokens = seconds.mul_add(f64::from(limit.per_second), self.tokens).min(f64::from(limit.burst));
        self.filled_at = now;
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

    /// 429, if more was sent than may be, by the owner of the key, or without one in the vendor's name.
    pub(crate) async fn admit(&self, path: &str, headers: &HeaderMap) -> Result<(), Problem> {
        let Some((sender, name, limit)) = self.sender(path, headers).await else { return Ok(()) };
        let now = Instant::now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= BUCKETS_MAX {
            buckets.retain(|_, bucket| bucket.tokens < f64::from(limit.burst));
        }
        let bucket = buckets
            .entry(sender)
            .or_insert_with(|| Bucket { tokens: f64::from(limit.burst), filled_at: now });
        if bucket.take(limit, now) {
            return Ok(());
        }
        let detail = format!(
            "{name} may send {} requests a second, {} at once: send it again later",
            limit.per_second, limit.burst
        );
        Err(Problem::new(Kind::TooManyRequests, detail))
    }

    /// Whose bucket, what to call them, and what they may send; `None`: nobody counts it.
    async fn sender(&self, path: &str, headers: &HeaderMap) -> Option<(Sender, String, RateLimit)> {
        if let Some(key) = headers.get("x-api-key") {
            let digest = Sha256Hex::of(key.as_bytes());
            if let Some(owner) = self.vendors.owner_of_key(&digest).await.ok()? {
                let limit = self.vendors.profile(&owner).await.ok()??.rate_limit?;
                return Some((Sender::Key(digest), owner.to_string(), limit));
            }
        }
        // A key that nobody has counts as none.
        let name = path.strip_prefix(SOURCES)?;
        let vendor = match name.parse::<VendorId>() {
            Ok(vendor) => self.vendors.profile(&vendor).await.ok()?,
            Err(_) => None,
        };
        Some(match vendor {
            Some(profile) => {
                let name = format!("{} without an API key", profile.vendor_id);
                (Sender::Path(Some(profile.vendor_id)), name, profile.rate_limit.unwrap_or(KEYLESS))
            }
            None => (Sender::Path(None), "whoever is not known".to_owned(), KEYLESS),
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test's own constants")]
    use std::time::Duration;

    use http::HeaderValue;
    use sluice_core::testing::World;

    use super::*;

    /// Two vendors, of which `slow` has a limit of its own.
    fn plan() -> UsagePlan {
        let world = World::new();
        world.add_vendor("slow", "key-slow", &[]);
        world.add_vendor("free", "key-free", &[]);
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
        let send = async |vendor: &'static str| plan.admit("/v1/events", &key(vendor)).await.is_ok();
        for _ in 0..3 {
            assert!(send("key-slow").await);
        }
        assert!(!send("key-slow").await, "the burst is used up");
        assert!(send("key-free").await && send("nobody's").await);
        tokio::time::advance(Duration::from_millis(500)).await;
        assert!(send("key-slow").await, "one more after half a second");
        assert!(!send("key-slow").await);
        assert!(plan.admit("/v1/events", &HeaderMap::new()).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_without_a_key_is_throttled_by_the_vendor_in_its_path() {
        let plan = plan();
        let send = async |vendor: &str, headers: &HeaderMap| {
            plan.admit(&format!("/v1/sources/{vendor}"), headers).await.is_ok()
        };
        let admitted = async |vendor: &str, headers: &HeaderMap| {
            let mut admitted = 0;
            while admitted < 1_000 && send(vendor, headers).await {
                admitted += 1;
            }
            admitted
        };
        let none = HeaderMap::new();
        assert_eq!(admitted("slow", &none).await, 3, "its own limit");
        assert!(!send("slow", &key("nobody's")).await, "a made-up key is no way round");
        assert_eq!(admitted("slow", &key("key-slow")).await, 3, "its key has a bucket of its own");
        assert_eq!(admitted("free", &none).await, KEYLESS.burst, "no limit of its own");
        assert_eq!(admitted("free", &key("key-free")).await, 1_000);
        assert_eq!(admitted("nobody", &none).await, KEYLESS.burst);
        assert!(!send("somebody", &none).await && !send("%20", &none).await, "all unknown names share one");
        tokio::time::advance(Duration::from_millis(500)).await;
        assert!(send("slow", &none).await);
        assert!(!send("slow", &none).await);
    }
}
