//! `docs/quotas.toml`: quotas by Region, latencies, and facts of the design, each with its source.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::random::Latency;

/// One quota.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// In every Region that `regions` does not name.
    pub value: f64,
    /// What differs by Region.
    #[serde(default)]
    pub regions: BTreeMap<String, f64>,
    /// The page that says so, or `assumption: …`.
    pub source: String,
    /// Its code in Service Quotas, or how else it is raised. Absent: it cannot be.
    #[serde(default)]
    pub code: Option<String>,
    /// What a person calls it.
    #[serde(default)]
    pub name: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Percentiles {
    p50_ms: f64,
    p99_ms: f64,
    #[serde(rename = "source")]
    _source: String,
}

#[derive(Debug, Deserialize)]
struct File {
    #[serde(rename = "read_on")]
    _read_on: String,
    latency: BTreeMap<String, Percentiles>,
    #[serde(flatten)]
    services: BTreeMap<String, BTreeMap<String, Quota>>,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum QuotaError {
    /// Not TOML, or not of this shape.
    #[error("docs/quotas.toml cannot be read: {0}")]
    Syntax(#[from] toml::de::Error),
    /// A figure is missing.
    #[error("docs/quotas.toml has no table [{0}]: add it, with its source")]
    Missing(String),
}

/// The file, for one Region.
#[derive(Clone, Debug)]
pub struct Quotas {
    region: String,
    values: BTreeMap<String, Quota>,
    latencies: BTreeMap<String, Latency>,
}

impl Quotas {
    /// Reads the file's text.
    ///
    /// # Errors
    /// When it is not TOML of this shape.
    pub fn parse(text: &str, region: &str) -> Result<Self, QuotaError> {
        let file: File = toml::from_str(text)?;
        let values = file
            .services
            .into_iter()
            .flat_map(|(service, quotas)| {
                quotas.into_iter().map(move |(name, quota)| (format!("{service}.{name}"), quota))
            })
            .collect();
        let latencies =
            file.latency.into_iter().map(|(name, it)| (name, Latency::new(it.p50_ms, it.p99_ms))).collect();
        Ok(Self { region: region.to_owned(), values, latencies })
    }

    /// The Region that figures are for.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// A figure such as `lambda.account_concurrency`, in this Region.
    ///
    /// # Errors
    /// When the file has none of that name.
    pub fn value(&self, name: &str) -> Result<f64, QuotaError> {
        let quota = self.quota(name)?;
        Ok(quota.regions.get(&self.region).copied().unwrap_or(quota.value))
    }

    /// A figure with all that is said of it.
    ///
    /// # Errors
    /// When the file has none of that name.
    pub fn quota(&self, name: &str) -> Result<&Quota, QuotaError> {
        self.values.get(name).ok_or_else(|| QuotaError::Missing(name.to_owned()))
    }

    /// Every figure's name.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// The same with another value, in every Region.
    #[must_use]
    pub fn with(mut self, name: &str, value: f64) -> Self {
        if let Some(quota) = self.values.get_mut(name) {
            quota.value = value;
            quota.regions.clear();
        }
        self
    }

    pub(crate) fn whole(&self, name: &str) -> Result<u64, QuotaError> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts are positive")]
        self.value(name).map(|value| value.max(0.0) as u64)
    }

    pub(crate) fn latency(&self, name: &str) -> Result<Latency, QuotaError> {
        self.latencies.get(name).copied().ok_or_else(|| QuotaError::Missing(format!("latency.{name}")))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::float_cmp, reason = "tests of exact figures")]
    use super::*;

    const FILE: &str = include_str!("../../../docs/quotas.toml");

    #[test]
    fn regions_have_their_own_figures() {
        let large = Quotas::parse(FILE, "us-east-1").unwrap();
        let small = Quotas::parse(FILE, "eu-central-1").unwrap();
        let start = "step_functions.standard_start_rate";
        assert_eq!((large.value(start).unwrap(), small.value(start).unwrap()), (300.0, 150.0));
        let put = "eventbridge.put_events_per_second";
        assert_eq!((large.value(put).unwrap(), small.value(put).unwrap()), (10_000.0, 2_400.0));
        assert_eq!(large.clone().with(start, 9.0).value(start).unwrap(), 9.0);
        assert!(matches!(large.value("nothing.here"), Err(QuotaError::Missing(_))));
    }

    #[test]
    fn every_figure_says_where_it_comes_from() {
        let quotas = Quotas::parse(FILE, "us-east-1").unwrap();
        assert!(quotas.names().count() > 30);
        for name in quotas.names() {
            let quota = quotas.quota(name).unwrap();
            assert!(quota.source.len() > 10, "{name}");
            assert_eq!(quota.code.is_some(), quota.name.is_some(), "{name}: a code and a name go together");
        }
        let unsourced = "read_on = \"x\"\n[latency]\n[a.b]\nvalue = 1\n";
        assert!(matches!(Quotas::parse(unsourced, "us-east-1"), Err(QuotaError::Syntax(_))));
    }
}
