//! Canonical state: what the vendors' statements about one article in one warehouse, or about one order, come to.
//!
//! The truth is the set of [`Contribution`]s of an entity: one for each line of a normalized document. Everything else is
//! computed from that set, so it is the same whatever the order of delivery and however often something is delivered:
//!
//! - **State** is last writer wins, member by member: the value of a member is that of the greatest [`Mark`] (`occurredAt`, then
//!   acceptance, that is `ingestId`, whose first part is `receivedAt`, then the line) among the contributions that state it. A
//!   partial update touches what it states; an older event still fills a member that no newer one has stated. A top-level member
//!   is the unit: an object or an array is replaced as a whole.
//! - **Divergence** is what would have been found if the contributions had been applied in the order in which they were accepted:
//!   each is compared with the state that those accepted before it come to ([`View::judge`]). So it says what a vendor did, not
//!   how SQS happened to deliver. A delivery out of that order may therefore add or withdraw rows; the set of them is again a
//!   function of the set of contributions.
//!
//! A delivery in the order of acceptance needs the state row alone ([`append`]); another one needs the contributions accepted since
//! the row's [`Base`] ([`rewrite`]).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sluice_formats::identifier::composed;

use crate::canonical::{self, SUBJECTS, Statement, Subject, VENDOR};
use crate::digest::Sha256Hex;
use crate::fault::{Code, Fault};
use crate::id::{CanonicalType, IngestId, InvalidId, SchemaVersion, VendorId};
use crate::limits::{
    CLAIM_BYTES_MAX, CONTRIBUTION_BYTES_PER_CHANGE_MAX, CONTRIBUTIONS_PER_CHANGE_MAX,
    DIVERGENCE_BYTES_PER_CHANGE_MAX, EFFECTS_SLICE_BYTES_MAX, ENTITY_CHANGE_ROWS_MAX, STATE_BYTES_MAX,
    TRANSACTION_BYTES_MAX, UNSETTLED_KEPT,
};
use crate::record::EventDetail;

/// What a statement is about: a [`Subject`]'s prefix and its two parts, such as `inventory#<warehouseId>#<sku>`,
/// `order#<vendorId>#<orderId>` or `shipment#<vendorId>#<shipmentId>`. Within a part, `%` and `#` are `%25` and `%23`, so
/// that no two entities share a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Entity(String);

impl Entity {
    /// A subject by what its parts are, in Normalization Form C: one article has one key, however its senders compose its
    /// characters.
    pub fn of(subject: Subject, parts: [&str; 2]) -> Self {
        let [first, second] = parts.map(|part| escape(&composed(part.into())));
        Self(format!("{}#{first}#{second}", subject.prefix))
    }

    /// An article in a warehouse.
    pub fn inventory(warehouse_id: &str, sku: &str) -> Self {
        Self::of(canonical::ARTICLE, [warehouse_id, sku])
    }

    /// A vendor's order.
    pub fn order(vendor_id: &VendorId, order_id: &str) -> Self {
        Self::of(canonical::ORDER, [vendor_id.as_str(), order_id])
    }

    /// The key.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the key names, unescaped: `warehouseId` and `sku`, or `vendorId` and `orderId`, and so on.
    pub fn identity(&self) -> [(&'static str, String); 2] {
        let mut parts = self.0.splitn(3, '#');
        let subject = parts.next().and_then(subject_of).unwrap_or(SUBJECTS[0]);
        subject.parts.map(|name| (name, unescape(parts.next().unwrap_or_default())))
    }
}

fn subject_of(prefix: &str) -> Option<Subject> {
    SUBJECTS.into_iter().find(|subject| subject.prefix == prefix)
}

fn escape(part: &str) -> String {
    part.replace('%', "%25").replace('#', "%23")
}

fn unescape(part: &str) -> String {
    part.replace("%23", "#").replace("%25", "%")
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Entity {
    type Err = InvalidEntity;

    fn from_str(text: &str) -> Result<Self, InvalidEntity> {
        let parts: Vec<&str> = text.split('#').collect();
        match parts.as_slice() {
            [prefix, first, second]
                if subject_of(prefix).is_some() && !first.is_empty() && !second.is_empty() =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => Err(InvalidEntity),
        }
    }
}

impl TryFrom<String> for Entity {
    type Error = InvalidEntity;

    fn try_from(text: String) -> Result<Self, InvalidEntity> {
        text.parse()
    }
}

impl From<Entity> for String {
    fn from(entity: Entity) -> Self {
        entity.0
    }
}

/// A text that is no entity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an entity is {}, with %23 for a # and %25 for a % within a part", shapes())]
pub struct InvalidEntity;

/// `inventory#<warehouseId>#<sku> or …`
fn shapes() -> String {
    let shape = |Subject { prefix, parts: [first, second] }| format!("{prefix}#<{first}>#<{second}>");
    SUBJECTS.map(shape).join(" or ")
}

/// A line of a normalized document. Sources are ordered as the events were accepted; as text `<ingestId>#<line>`, which sorts alike:
/// a line has four digits, and one that needs more has a letter before them, `A` for five digits and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Source {
    /// The accepted event.
    pub ingest_id: IngestId,
    /// From 0.
    pub line: u32,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = match self.line {
            0..10_000 => return write!(f, "{}#{:04}", self.ingest_id, self.line),
            10_000..100_000 => 'A',
            100_000..1_000_000 => 'B',
            1_000_000.. => 'C',
        };
        // From a million on as many digits as there can be.
        let width = if letter == 'C' { 10 } else { 0 };
        write!(f, "{}#{letter}{:0width$}", self.ingest_id, self.line)
    }
}

impl From<Source> for String {
    fn from(source: Source) -> Self {
        source.to_string()
    }
}

impl TryFrom<String> for Source {
    type Error = InvalidSource;

    fn try_from(text: String) -> Result<Self, InvalidSource> {
        let (ingest_id, line) = text.split_once('#').ok_or(InvalidSource::Shape)?;
        let digits = line.strip_prefix(['A', 'B', 'C']).unwrap_or(line);
        Ok(Self { ingest_id: ingest_id.parse()?, line: digits.parse().map_err(|_| InvalidSource::Shape)? })
    }
}

/// A text that is no source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSource {
    /// Not two parts, or no number.
    #[error("a source is <ingestId>#<line>")]
    Shape,
    /// The first part is no id.
    #[error(transparent)]
    Id(#[from] InvalidId),
}

/// When something was said, and by what: the total order of statements, `occurredAt` first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mark {
    /// By the vendor's clock, as the mapper gave it; to the nanosecond.
    pub occurred_at: Timestamp,
    /// Breaks ties: of two statements of the same moment, the one accepted later holds.
    pub source: Source,
}

/// What a line of a normalized document says about an entity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Contribution {
    /// When and by what.
    #[serde(flatten)]
    pub mark: Mark,
    /// Who says it.
    pub vendor_id: VendorId,
    /// Its type.
    pub event_type: CanonicalType,
    /// Its version.
    pub schema_version: SchemaVersion,
    /// Members of `data` but those that identify the entity, each as RFC 8785 text, so that equal values are equal texts.
    pub fields: BTreeMap<String, String>,
}

impl Contribution {
    /// About what its row takes.
    pub fn bytes(&self) -> usize {
        400 + self.fields.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
    }
}

impl Statement {
    fn as_str(self) -> &'static str {
        match self {
            Self::Values => "values",
            Self::Placed => "placed",
            Self::Updated => "updated",
            Self::Cancelled => "cancelled",
        }
    }
}

fn statement(event_type: &CanonicalType) -> Option<Statement> {
    canonical::kind(event_type).map(|kind| kind.statement)
}

/// Whether canonical state knows what to do with a type.
pub fn is_mergeable(event_type: &CanonicalType) -> bool {
    canonical::kind(event_type).is_some()
}

/// Reads a normalized document that has the digest of `detail.normalized`: its lines by entity.
pub fn contributions(
    document: &[u8],
    detail: &EventDetail,
) -> Result<BTreeMap<Entity, Vec<Contribution>>, Fault> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Line {
        ingest_id: IngestId,
        vendor_id: VendorId,
        event_type: CanonicalType,
        schema_version: SchemaVersion,
        occurred_at: Timestamp,
        data: BTreeMap<String, Box<RawValue>>,
    }
    let malformed =
        |line: usize, what: &str| Fault::new(Code::NormalizedMalformed, format!("line {line}: {what}"));
    let mut by_entity: BTreeMap<Entity, Vec<Contribution>> = BTreeMap::new();
    let lines = document.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    for (index, line) in lines.enumerate() {
        let line: Line = serde_json::from_slice(line)
            .map_err(|error| malformed(index, "not a canonical event").with_source(error))?;
        if line.ingest_id != detail.ingest_id || line.vendor_id != detail.key.vendor_id {
            return Err(malformed(index, "belongs to another event"));
        }
        let Some(kind) = canonical::kind(&line.event_type) else {
            return Err(Fault::new(
                Code::CanonicalTypeUnknown,
                format!("canonical state has no rules for {}", line.event_type),
            ));
        };
        let mut fields: BTreeMap<String, String> = line
            .data
            .into_iter()
            .map(|(name, value)| (name, String::from(Box::<str>::from(value))))
            .collect();
        let mut identity = |name: &str| -> Result<String, Fault> {
            let text = fields.remove(name).unwrap_or_default();
            serde_json::from_str(&text).map_err(|_| malformed(index, &format!("data.{name} is no string")))
        };
        let mut part = |name: &'static str| match name {
            VENDOR => Ok(line.vendor_id.to_string()),
            member => identity(member),
        };
        let [first, second] = kind.subject.parts;
        let entity = Entity::of(kind.subject, [&part(first)?, &part(second)?]);
        let source = Source { ingest_id: line.ingest_id, line: u32::try_from(index).unwrap_or(u32::MAX) };
        by_entity.entry(entity).or_default().push(Contribution {
            mark: Mark { occurred_at: line.occurred_at, source },
            vendor_id: line.vendor_id,
            event_type: line.event_type,
            schema_version: line.schema_version,
            fields,
        });
    }
    Ok(by_entity)
}

/// A member's value and the statement that it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Field {
    /// RFC 8785 text.
    pub value: String,
    /// Where it comes from.
    #[serde(flatten)]
    pub mark: Mark,
}

/// What a set of contributions comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// Members by name.
    pub fields: BTreeMap<String, Field>,
    /// First `OrderPlaced`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placed: Option<Mark>,
    /// Last `OrderUpdated`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated: Option<Mark>,
    /// First `OrderCancelled`. A cancellation is final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled: Option<Mark>,
}

/// Where an order is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum LifeCycle {
    /// Placed, and not changed since.
    Placed,
    /// Changed, whether or not its placing is known.
    Updated,
    /// Cancelled, whatever is said afterwards.
    Cancelled,
}

impl LifeCycle {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Placed => "PLACED",
            Self::Updated => "UPDATED",
            Self::Cancelled => "CANCELLED",
        }
    }
}

/// Why a statement disagrees with those accepted before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DivergenceKind {
    /// It is older than what holds, and says something else. What holds stays.
    Stale,
    /// It is of the same moment as what holds, and says something else. It holds from now on.
    Conflict,
    /// An order that is updated or cancelled and has not been placed, as far as was known when it was accepted.
    NotPlaced,
    /// An order that is updated or cancelled before the moment it was placed.
    BeforePlaced,
    /// A cancelled order that is placed or updated at a later moment, or a cancellation from before the last update.
    AfterCancel,
}

impl DivergenceKind {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Stale, Self::Conflict, Self::NotPlaced, Self::BeforePlaced, Self::AfterCancel];

    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stale => "stale",
            Self::Conflict => "conflict",
            Self::NotPlaced => "not_placed",
            Self::BeforePlaced => "before_placed",
            Self::AfterCancel => "after_cancel",
        }
    }
}

/// One member on which two statements disagree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// Name of the member; `lifeCycle` for what is not a member's value.
    pub member: String,
    /// What held, as JSON text (or, longer than [`CLAIM_BYTES_MAX`], its digest); absent if nothing did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    /// The statement behind what held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_by: Option<Mark>,
    /// What this one says, likewise.
    pub stated: String,
}

/// A row of the divergence table about canonical state: a statement that disagrees with those accepted before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StateDivergence {
    /// Partition key: the entity.
    pub subject: Entity,
    /// Sort key: `<source>#<kind>`.
    pub id: String,
    /// Why.
    pub kind: DivergenceKind,
    /// Who said it.
    pub vendor_id: VendorId,
    /// Correlates everything.
    pub ingest_id: IngestId,
    /// Its type.
    pub event_type: CanonicalType,
    /// The statement.
    #[serde(flatten)]
    pub mark: Mark,
    /// When it was accepted.
    #[serde(with = "crate::id::millis")]
    pub at: Timestamp,
    /// On what, with both values.
    pub claims: Vec<Claim>,
}

impl StateDivergence {
    /// About what its row takes.
    fn bytes(&self) -> usize {
        let claim = |claim: &Claim| claim.held.as_ref().map_or(0, String::len) + claim.stated.len() + 200;
        400 + self.claims.iter().map(claim).sum::<usize>()
    }
}

impl View {
    /// Where an order is in its life; `None` for what has no life cycle.
    pub fn life_cycle(&self) -> Option<LifeCycle> {
        if self.cancelled.is_some() {
            Some(LifeCycle::Cancelled)
        } else if self.updated.is_some() {
            Some(LifeCycle::Updated)
        } else {
            self.placed.map(|_| LifeCycle::Placed)
        }
    }

    /// Adds a contribution. The order in which several are added makes no difference.
    pub fn take(&mut self, contribution: &Contribution) {
        let mark = contribution.mark;
        match statement(&contribution.event_type) {
            Some(Statement::Placed) => self.placed = Some(self.placed.map_or(mark, |held| held.min(mark))),
            Some(Statement::Updated) => self.updated = self.updated.max(Some(mark)),
            Some(Statement::Cancelled) => {
                self.cancelled = Some(self.cancelled.map_or(mark, |held| held.min(mark)));
            }
            Some(Statement::Values) | None => {}
        }
        for (name, value) in &contribution.fields {
            match self.fields.get_mut(name) {
                Some(held) if held.mark >= mark => {}
                Some(held) => *held = Field { value: value.clone(), mark },
                None => {
                    self.fields.insert(name.clone(), Field { value: value.clone(), mark });
                }
            }
        }
    }

    /// What disagrees between a contribution and this view, which must be of exactly those accepted before it.
    pub fn judge(&self, entity: &Entity, contribution: &Contribution) -> Vec<StateDivergence> {
        let mark = contribution.mark;
        let mut found: BTreeMap<DivergenceKind, Vec<Claim>> = BTreeMap::new();
        for (name, value) in &contribution.fields {
            let Some(held) = self.fields.get(name) else { continue };
            let kind = match held.mark.occurred_at.cmp(&mark.occurred_at) {
                _ if held.value == *value => continue,
                std::cmp::Ordering::Less => continue,
                std::cmp::Ordering::Equal => DivergenceKind::Conflict,
                std::cmp::Ordering::Greater => DivergenceKind::Stale,
            };
            found.entry(kind).or_default().push(Claim {
                member: name.clone(),
                held: Some(shown(&held.value)),
                held_by: Some(held.mark),
                stated: shown(value),
            });
        }
        let statement = statement(&contribution.event_type).unwrap_or(Statement::Values);
        let life = |held: Option<(Statement, Mark)>| Claim {
            member: "lifeCycle".to_owned(),
            held: held.map(|(held, _)| format!("{:?}", held.as_str())),
            held_by: held.map(|(_, by)| by),
            stated: format!("{:?}", statement.as_str()),
        };
        if matches!(statement, Statement::Updated | Statement::Cancelled) {
            match self.placed {
                None => found.entry(DivergenceKind::NotPlaced).or_default().push(life(None)),
                Some(placed) if mark.occurred_at < placed.occurred_at => {
                    let claim = life(Some((Statement::Placed, placed)));
                    found.entry(DivergenceKind::BeforePlaced).or_default().push(claim);
                }
                Some(_) => {}
            }
        }
        let contradicted = match statement {
            Statement::Placed | Statement::Updated => self
                .cancelled
                .filter(|cancelled| cancelled.occurred_at < mark.occurred_at)
                .map(|cancelled| (Statement::Cancelled, cancelled)),
            Statement::Cancelled => self
                .updated
                .filter(|updated| updated.occurred_at > mark.occurred_at)
                .map(|updated| (Statement::Updated, updated)),
            Statement::Values => None,
        };
        if let Some(held) = contradicted {
            found.entry(DivergenceKind::AfterCancel).or_default().push(life(Some(held)));
        }
        let row = |(kind, claims): (DivergenceKind, Vec<Claim>)| StateDivergence {
            subject: entity.clone(),
            id: format!("{}#{}", mark.source, kind.as_str()),
            kind,
            vendor_id: contribution.vendor_id.clone(),
            ingest_id: mark.source.ingest_id,
            event_type: contribution.event_type.clone(),
            mark,
            at: mark.source.ingest_id.received_at(),
            claims,
        };
        found.into_iter().map(row).collect()
    }

    fn bytes(&self) -> usize {
        self.fields.iter().map(|(name, field)| name.len() + field.value.len() + 80).sum()
    }
}

fn shown(value: &str) -> String {
    if value.len() <= CLAIM_BYTES_MAX {
        return value.to_owned();
    }
    format!("\"sha256:{} of {} bytes\"", Sha256Hex::of(value.as_bytes()), value.len())
}

/// The view of the contributions up to a source, all of which stay as they are in normal operation: what a delivery that is a
/// little out of order is judged from, so that it need not read the entity's whole history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Base {
    /// The last contribution in it.
    pub through: Source,
    /// How many are in it.
    pub contributions: u64,
    /// What they come to.
    pub view: View,
}

/// The state row of an entity. Rows are never deleted, so a version is never used twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// What it is about.
    pub entity: Entity,
    /// Counts the writes; a write is conditional on the version that it read.
    pub version: u64,
    /// How many contributions it is made of. 0: a mapper that was changed took all of them elsewhere.
    pub contributions: u64,
    /// The contribution accepted last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Source>,
    /// What they come to.
    #[serde(flatten)]
    pub view: View,
    /// See [`Base`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Base>,
    /// The contributions were written, and not all of the divergence that they come to, since one transaction does not hold both.
    /// The next write about the entity, whoever's it is, brings the divergence up to date first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub divergence_due: bool,
}

impl State {
    /// About what its row takes.
    fn bytes(&self) -> usize {
        self.view.bytes() + self.base.as_ref().map_or(0, |base| base.view.bytes())
    }

    fn empty(entity: &Entity) -> Self {
        Self {
            entity: entity.clone(),
            version: 0,
            contributions: 0,
            last: None,
            view: View::default(),
            base: None,
            divergence_due: false,
        }
    }
}

/// What a merge of one contribution into a state gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The state afterwards.
    pub next: State,
    /// Its disagreements.
    pub divergences: Vec<StateDivergence>,
}

/// Merges a contribution that was accepted after all that `current` is made of. The state is right whatever the order; the
/// divergences are only in this one.
pub fn merge(current: State, contribution: &Contribution) -> Merged {
    let divergences = current.view.judge(&current.entity, contribution);
    let mut next = current;
    next.view.take(contribution);
    next.contributions += 1;
    next.last = next.last.max(Some(contribution.mark.source));
    Merged { next, divergences }
}

/// One atomic write about an entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityChange {
    /// The new state row; the one that is replaced has the version before it (0: there is none).
    pub next: State,
    /// Contributions that are new or say something else now.
    pub put: Vec<Contribution>,
    /// Contributions that are no more.
    pub remove: Vec<Source>,
    /// Divergences that are new or say something else now.
    pub diverged: Vec<StateDivergence>,
    /// Ids of divergences that are no more.
    pub undiverged: Vec<String>,
    /// Whether this is all; if not, the same again goes on from here.
    pub complete: bool,
}

impl EntityChange {
    /// Rows that it writes.
    pub fn rows(&self) -> usize {
        1 + self.put.len() + self.remove.len() + self.diverged.len() + self.undiverged.len()
    }

    /// About how many bytes it writes.
    pub fn bytes(&self) -> usize {
        self.next.bytes()
            + self.put.iter().map(Contribution::bytes).sum::<usize>()
            + self.diverged.iter().map(StateDivergence::bytes).sum::<usize>()
            + 200 * (self.remove.len() + self.undiverged.len())
    }

    /// Within what one transaction takes beside a row of effects. What is left out is gone on with by the same again: first the
    /// contributions, then the divergence, each under the version of the state. So no divergence is ever written by a writer
    /// that another one was quicker than.
    fn bounded(mut self) -> Self {
        let fits = |change: &Self| {
            change.rows() <= ENTITY_CHANGE_ROWS_MAX && change.bytes() <= TRANSACTION_BYTES_MAX
        };
        if fits(&self) {
            return self;
        }
        self.complete = false;
        self.next.divergence_due = true;
        if !self.put.is_empty() || !self.remove.is_empty() {
            (self.diverged, self.undiverged) = (Vec::new(), Vec::new());
            return self;
        }
        self.undiverged.truncate(ENTITY_CHANGE_ROWS_MAX - 1);
        let mut bytes = 0;
        let room = ENTITY_CHANGE_ROWS_MAX - 1 - self.undiverged.len();
        self.diverged.truncate(room);
        let fits = |row: &&StateDivergence| {
            bytes += row.bytes();
            bytes <= DIVERGENCE_BYTES_PER_CHANGE_MAX
        };
        let kept = self.diverged.iter().take_while(fits).count();
        self.diverged.truncate(kept);
        self
    }

    fn checked(mut self) -> Result<Self, Fault> {
        // The base only saves reading: a large order does without, rather than not be held at all.
        if self.next.bytes() > STATE_BYTES_MAX {
            self.next.base = None;
        }
        let bytes = self.next.bytes();
        if bytes > STATE_BYTES_MAX {
            return Err(Fault::new(
                Code::StateTooLarge,
                format!(
                    "the state of {} would have {bytes} bytes; {STATE_BYTES_MAX} are allowed",
                    self.next.entity
                ),
            ));
        }
        Ok(self)
    }
}

/// Whether contributions, in order of acceptance, can be added without reading those of before.
pub fn can_append(current: Option<&State>, adds: &[Contribution]) -> bool {
    let bytes: usize = adds.iter().map(Contribution::bytes).sum();
    if adds.len() > CONTRIBUTIONS_PER_CHANGE_MAX || bytes > CONTRIBUTION_BYTES_PER_CHANGE_MAX {
        return false;
    }
    let Some(current) = current else { return true };
    if current.divergence_due {
        return false;
    }
    let settled = current.base.as_ref().map_or(0, |base| base.contributions);
    let unsettled = current.contributions - settled + adds.len() as u64;
    adds.first().is_none_or(|first| current.last < Some(first.mark.source))
        && unsettled <= 2 * UNSETTLED_KEPT as u64
}

/// Adds contributions for which [`can_append`] holds: all of them, or as many as one transaction takes with their divergence.
pub fn append(
    entity: &Entity,
    current: Option<State>,
    adds: Vec<Contribution>,
) -> Result<EntityChange, Fault> {
    let mut next = current.unwrap_or_else(|| State::empty(entity));
    let (mut diverged, mut put, mut bytes) = (Vec::new(), Vec::new(), 0);
    let all = adds.len();
    for contribution in adds {
        let merged = merge(next.clone(), &contribution);
        let claims: usize = merged.divergences.iter().map(StateDivergence::bytes).sum();
        let rows = 1 + put.len() + 1 + diverged.len() + merged.divergences.len();
        if !put.is_empty()
            && (rows > ENTITY_CHANGE_ROWS_MAX || bytes + claims > DIVERGENCE_BYTES_PER_CHANGE_MAX)
        {
            break;
        }
        bytes += claims;
        diverged.extend(merged.divergences);
        next = merged.next;
        put.push(contribution);
    }
    next.version += 1;
    let complete = put.len() == all;
    EntityChange { next, put, remove: Vec::new(), diverged, undiverged: Vec::new(), complete }.checked()
}

/// After which source the history must be read for a [`rewrite`]; `None`: from the beginning.
pub fn history_from(
    current: Option<&State>,
    adds: &[Contribution],
    replaces: &BTreeSet<IngestId>,
) -> Option<Source> {
    let current = current?;
    if current.divergence_due {
        return None;
    }
    let through = current.base.as_ref()?.through;
    let within = adds.iter().any(|add| add.mark.source <= through)
        || replaces.iter().any(|ingest_id| *ingest_id <= through.ingest_id);
    (!within).then_some(through)
}

/// Brings the contributions of some events up to date: `adds` are there afterwards, and of the events in `replaces` nothing else is.
///
/// `history` is what [`history_from`] asks for, in order; `diverged` the divergence that the table has of the entity, if
/// [`State::divergence_due`]. `None`: all is as it should be. At most [`CONTRIBUTIONS_PER_CHANGE_MAX`] contributions of
/// [`CONTRIBUTION_BYTES_PER_CHANGE_MAX`] are changed at once.
pub fn rewrite(
    entity: &Entity,
    current: Option<State>,
    history: Vec<Contribution>,
    diverged: Option<Vec<StateDivergence>>,
    adds: Vec<Contribution>,
    replaces: &BTreeSet<IngestId>,
) -> Result<Option<EntityChange>, Fault> {
    let mut state = current.unwrap_or_else(|| State::empty(entity));
    let due = state.divergence_due;
    let base = state.base.take().filter(|base| {
        !due && !adds.iter().any(|add| add.mark.source <= base.through)
            && !replaces.iter().any(|ingest_id| *ingest_id <= base.through.ingest_id)
    });
    let by_source = |rows: Vec<Contribution>| -> BTreeMap<Source, Contribution> {
        rows.into_iter().map(|row| (row.mark.source, row)).collect()
    };
    let old = by_source(history);
    let adds = by_source(adds);
    let obsolete = |source: &&Source| replaces.contains(&source.ingest_id) && !adds.contains_key(source);
    let mut remove: Vec<Source> = old.keys().filter(obsolete).copied().collect();
    let mut put: Vec<Contribution> =
        adds.values().filter(|add| old.get(&add.mark.source) != Some(*add)).cloned().collect();
    if remove.is_empty() && put.is_empty() && !due {
        return Ok(None);
    }
    let changes = remove.len() + put.len();
    remove.truncate(CONTRIBUTIONS_PER_CHANGE_MAX);
    put.truncate(CONTRIBUTIONS_PER_CHANGE_MAX - remove.len());
    let mut bytes = 0;
    let fits = |row: &&Contribution| {
        bytes += row.bytes();
        bytes <= CONTRIBUTION_BYTES_PER_CHANGE_MAX
    };
    put.truncate(put.iter().take_while(fits).count());
    let complete = remove.len() + put.len() == changes;
    let mut new = old.clone();
    new.retain(|source, _| !remove.contains(source));
    new.extend(put.iter().map(|row| (row.mark.source, row.clone())));

    let start = base.as_ref().map_or_else(View::default, |base| base.view.clone());
    // What is due was not written with the contributions: only the table itself says what of it is there.
    let before = match diverged.filter(|_| due) {
        Some(rows) => rows.into_iter().map(|row| (row.id.clone(), row)).collect(),
        None => fold(entity, start.clone(), &old, 0).1,
    };
    let settle = if new.len() > 2 * UNSETTLED_KEPT { new.len() - UNSETTLED_KEPT } else { 0 };
    let (view, after, settled) = fold(entity, start, &new, settle);
    let settled_before = base.as_ref().map_or(0, |base| base.contributions);
    let next = State {
        entity: entity.clone(),
        version: state.version + 1,
        contributions: settled_before + new.len() as u64,
        last: new.keys().next_back().copied().or_else(|| base.as_ref().map(|base| base.through)),
        view,
        base: match settled {
            Some((through, view)) => {
                Some(Base { through, contributions: settled_before + settle as u64, view })
            }
            None => base,
        },
        divergence_due: false,
    };
    let undiverged = before.keys().filter(|id| !after.contains_key(*id)).cloned().collect();
    let diverged =
        after.into_iter().filter(|(id, row)| before.get(id) != Some(row)).map(|(_, row)| row).collect();
    EntityChange { next, put, remove, diverged, undiverged, complete }.bounded().checked().map(Some)
}

type Folded = (View, BTreeMap<String, StateDivergence>, Option<(Source, View)>);

/// Applies contributions in order; also gives the view after the first `settle` of them.
fn fold(entity: &Entity, start: View, rows: &BTreeMap<Source, Contribution>, settle: usize) -> Folded {
    let (mut view, mut found, mut settled) = (start, BTreeMap::new(), None);
    for (index, (source, row)) in rows.iter().enumerate() {
        found.extend(view.judge(entity, row).into_iter().map(|row| (row.id.clone(), row)));
        view.take(row);
        if index + 1 == settle {
            settled = Some((*source, view.clone()));
        }
    }
    (view, found, settled)
}

/// What an accepted event did to canonical state: which normalized document of it is in, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Effects {
    /// The event.
    pub ingest_id: IngestId,
    /// Counts the writes, as [`State::version`].
    pub version: u64,
    /// Digest of the document.
    pub sha256: Sha256Hex,
    /// When that document was made: of two documents of one event the later one is the truth.
    #[serde(with = "crate::id::millis")]
    pub normalized_at: Timestamp,
    /// Entities that this document, or one before it, speaks of. Empty if they are in rows of their own.
    pub entities: BTreeSet<Entity>,
    /// Where they are, if there are too many of them for this row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<EntityList>,
    /// Entities up to this one, in their order, are as the document says: where the next delivery goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<Entity>,
    /// Whether no document of the event was in before this one, so that nothing of another has to be taken back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub first: bool,
    /// Whether all of it is in.
    pub done: bool,
}

/// Rows that list the entities of an event, in order. They are written before the row of effects that names them, and never changed:
/// version and digest tell apart what two writers list at the same time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EntityList {
    /// Version of the row of effects that named them first.
    pub version: u64,
    /// The document of that version.
    pub sha256: Sha256Hex,
    /// How many rows they are.
    pub rows: u32,
}

impl EntityList {
    /// Sort key of one of its rows, whose partition key is [`Effects::key`].
    pub fn part(&self, row: u32) -> String {
        format!("entities#{:010}#{}#{row:05}", self.version, self.sha256)
    }

    /// Lays entities out in rows.
    pub fn of(version: u64, sha256: &Sha256Hex, entities: &[Entity]) -> (Self, Vec<Vec<Entity>>) {
        let mut rows: Vec<Vec<Entity>> = Vec::new();
        let mut room = 0;
        for entity in entities {
            let bytes = entity.as_str().len() + 8;
            match rows.last_mut() {
                Some(row) if bytes <= room => row.push(entity.clone()),
                _ => {
                    rows.push(vec![entity.clone()]);
                    room = EFFECTS_SLICE_BYTES_MAX;
                }
            }
            room = room.saturating_sub(bytes);
        }
        let list =
            Self { version, sha256: sha256.clone(), rows: u32::try_from(rows.len()).unwrap_or(u32::MAX) };
        (list, rows)
    }
}

impl Effects {
    /// Partition key of its row.
    pub fn key(ingest_id: IngestId) -> String {
        format!("event#{ingest_id}")
    }
}

/// One atomic write to the table of canonical state and to that of divergence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// New rows of events; each replaces the one with the version before it (0: there is none).
    pub effects: Vec<Effects>,
    /// Changes of entities.
    pub entities: Vec<EntityChange>,
}

impl Change {
    /// Rows that it writes.
    pub fn rows(&self) -> usize {
        self.effects.len() + self.entities.iter().map(EntityChange::rows).sum::<usize>()
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
