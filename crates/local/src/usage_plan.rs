//! How fast each vendor may send: API Gateway's usage plan, which throttles by API key before anything is started.
//!
//! A token bucket per key, with the vendor's `rateLimit` of the vendors table. A key that is not known, or whose vendor has no limit,
//! passes: `Accept` refuses the first, and the front door's own bound holds for the second. A directory that cannot be read lets
//! the request pass as well, as it is `Accept` that must say 503.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderMap;
use sluice_core::digest::Sha256Hex;
use sluice_core::port::VendorDirectory;
use sluice_core::problem::{Kind, Problem};
use sluice_core::record::RateLimit;
use tokio::time::Instant;

/// Most buckets held. Beyond that the full ones go, which says nothing that a new one would not.
const BUCKETS_MAX: usize = 10_000;

pub(crate) struct UsagePlan {
    vendors: Arc<dyn VendorDirectory>,
    buckets: Mutex<HashMap<Sha256Hex, Bucket>>,
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

    /// 429, if the key's vendor has sent more than it may.
    pub(crate) async fn admit(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(key) = headers.get("x-api-key") else { return Ok(()) };
        let digest = Sha256Hex::of(key.as_bytes());
        let Ok(Some(owner)) = self.vendors.owner_of_key(&digest).await else { return Ok(()) };
        let Ok(Some(profile)) = self.vendors.profile(&owner).await else { return Ok(()) };
        let Some(limit) = profile.rate_limit else { return Ok(()) };
        let now = Instant::now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= BUCKETS_MAX {
            buckets.retain(|_, bucket| bucket.tokens < f64::from(limit.burst));
        }
        let bucket = buckets
            .entry(digest)
            .or_insert_with(|| Bucket { tokens: f64::from(limit.burst), filled_at: now });
        if bucket.take(limit, now) {
            return Ok(());
        }
        let detail = format!(
            "{owner} may send {} requests a second, {} at once: send it again later",
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
    use sluice_core::testing::World;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_vendor_is_throttled_by_its_own_limit_only() {
        let world = World::new();
        world.add_vendor("slow", "key-slow", &[]);
        world.add_vendor("free", "key-free", &[]);
        let limit = RateLimit { per_second: 2, burst: 3 };
        world.state().vendors.get_mut(&"slow".parse().unwrap()).unwrap().rate_limit = Some(limit);
        let plan = UsagePlan::new(Arc::new(world));
        let send = async |key: &'static str| {
            let headers = HeaderMap::from_iter([(
                http::HeaderName::from_static("x-api-key"),
                HeaderValue::from_static(key),
            )]);
            plan.admit(&headers).await.is_ok()
        };
        for _ in 0..3 {
            assert!(send("key-slow").await);
        }
        assert!(!send("key-slow").await, "the burst is used up");
        assert!(send("key-free").await && send("nobody's").await);
        tokio::time::advance(Duration::from_millis(500)).await;
        assert!(send("key-slow").await, "one more after half a second");
        assert!(!send("key-slow").await);
        assert!(plan.admit(&HeaderMap::new()).await.is_ok());
    }
}
