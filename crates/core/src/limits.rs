//! Every bound of the ingest path in one place, units last in the name.

/// Largest request body that travels in the input of `intake`, as sent (compressed or not), in bytes. Base64 of it and 8 KB of
/// headers fit the 262,144-byte input of Step Functions, which is a hard quota ("Quotas related to state machine executions", AWS).
pub const BODY_BYTES_MAX: usize = 190_000;

/// Largest request body at `/v1/uploads/{vendorId}`, as sent, in bytes: 5 MiB.
pub const UPLOAD_BYTES_MAX: usize = 5 * 1024 * 1024;

/// Largest request body at a path, as sent, in bytes.
#[must_use]
pub fn body_bytes_max(path: &str) -> usize {
    if path.starts_with("/v1/uploads/") { UPLOAD_BYTES_MAX } else { BODY_BYTES_MAX }
}

/// Largest body after inflating `Content-Encoding: gzip`, in bytes: what a mapper may be given, and what a contract may allow.
pub const INFLATED_BYTES_MAX: usize = 5 * 1024 * 1024;

/// Deepest nesting of a JSON body. The envelope itself is level 1.
pub const JSON_DEPTH_MAX: usize = 64;

/// Longest `externalEventId`, in characters. It is a sort key: DynamoDB allows 1,024 bytes, 256 × 4 UTF-8 bytes.
pub const EXTERNAL_EVENT_ID_CHARS_MAX: usize = 256;

/// How far in the future `occurredAt` may lie, in seconds: a vendor's clock or zone may be wrong by a day, not by more.
pub const OCCURRED_AT_AHEAD_SECONDS_MAX: i64 = 86_400;

/// Most faults listed in one answer; the count of the rest is stated.
pub const FAULTS_LISTED_MAX: usize = 50;

/// Longest text of a vendor's that an error message repeats, in characters.
pub const QUOTED_CHARS_MAX: usize = 120;

/// All request headers together (names and values), in bytes: the room that `BODY_BYTES_MAX` leaves in an input.
pub const HEADERS_BYTES_MAX: usize = 6_000;

/// How many shards the index of the ledger by status has: one DynamoDB partition takes 1,000 writes/s.
pub const STATUS_SHARDS: u8 = 16;

/// How long a normalized event may be on its way to canonical state before something is wrong, in seconds.
pub const APPLY_SECONDS_MAX: i64 = 900;

/// How often downstream is told again of a document that canonical state does not have.
pub const TOLD_AGAIN_MAX: u32 = 5;

/// How long after the first time it is told once more, in seconds; each wait is twice the one before.
pub const TOLD_AGAIN_SECONDS: i64 = 3_600;

/// Most canonical events that one vendor message may carry: a stock file of 20,000 lines, with room. Canonical state takes them in
/// some 500 transactions.
pub const EVENTS_PER_MESSAGE_MAX: usize = 25_000;

/// Largest `data` of one canonical event, in bytes of RFC 8785 text: a contribution and the state that holds it are rows, which
/// DynamoDB bounds to 400 KB. An order of 500 lines has some 200 KB.
pub const EVENT_BYTES_MAX: usize = 340_000;

/// Most notes that a mapper adds to one event.
pub const NOTES_PER_EVENT_MAX: usize = 16;

/// Longest window of `payloadHash` idempotency, in seconds: a day.
pub const IDEMPOTENCY_WINDOW_SECONDS_MAX: u32 = 86_400;

/// Largest schemas of a contract that are checked at acceptance, together, in bytes: they lie in the pointer to the active bundle, and a
/// row of DynamoDB has at most 400 KB.
pub const ACCEPT_SCHEMAS_BYTES_MAX: usize = 65_536;

/// Largest state row, in bytes, its base included: DynamoDB's 400 KB for an item, less what names and numbers take.
pub const STATE_BYTES_MAX: usize = 350_000;

/// Longest value that a divergence row repeats, in bytes; of a longer one it has the digest.
pub const CLAIM_BYTES_MAX: usize = 2_048;

/// Rows of one DynamoDB transaction ("TransactWriteItems", API Reference).
pub const TRANSACTION_ROWS_MAX: usize = 100;

/// Rows that one transaction writes about one entity at most: beside them it writes a row of effects.
pub const ENTITY_CHANGE_ROWS_MAX: usize = TRANSACTION_ROWS_MAX - 1;

/// Most bytes of divergence of one entity that one transaction writes: with the largest state row and contributions, they fit
/// [`TRANSACTION_BYTES_MAX`].
pub const DIVERGENCE_BYTES_PER_CHANGE_MAX: usize = 1_200_000;

/// Bytes of one DynamoDB transaction: 4 MB for all of its items ("TransactWriteItems", API Reference), less what names and numbers take.
pub const TRANSACTION_BYTES_MAX: usize = 3_500_000;

/// Most entities that the row of effects of an event names itself. Those of a larger event are in rows of their own, so that a
/// transaction does not write all of them again.
pub const EFFECTS_ENTITIES_MAX: usize = 100;

/// Most bytes of entity keys in one of those rows.
pub const EFFECTS_SLICE_BYTES_MAX: usize = 200_000;

/// Most contributions to one entity that one transaction changes; what they add to divergence takes some of the rest.
pub const CONTRIBUTIONS_PER_CHANGE_MAX: usize = 40;

/// Most bytes of contributions to one entity that one transaction changes: with the largest state row and divergences, they fit
/// [`TRANSACTION_BYTES_MAX`].
pub const CONTRIBUTION_BYTES_PER_CHANGE_MAX: usize = 1_500_000;

/// The contributions to an entity accepted last that its base leaves out, at least; at most twice as many. A delivery that is
/// later than this many others about the same entity costs a reading of the entity's whole history.
pub const UNSETTLED_KEPT: usize = 32;
