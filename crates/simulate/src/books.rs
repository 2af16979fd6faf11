//! Business identity: every event by itself, from its first delivery to its end.
//!
//! What is lost, doubled, or quarantined though healthy is found by comparing these records when
//! all is over. No count is assumed.

/// Where an event is by its ledger row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// No row.
    Unknown,
    Received,
    Normalized,
    Quarantined,
}

/// What is true of an event itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nature {
    Healthy,
    /// Its mapper rejects it.
    Rejected,
    /// Its vendor has no mapper.
    MapperMissing,
}

/// No entity.
pub(crate) const NONE: u64 = u64::MAX;

/// One event of a vendor, by its external id.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) vendor: u32,
    pub(crate) nature: Nature,
    /// Which queue its document goes to.
    pub(crate) route: u16,
    pub(crate) entities: [u64; 2],
    pub(crate) status: Status,
    /// The request whose row it is.
    pub(crate) request: u32,
    /// How many rows the ledger has of it.
    pub(crate) rows: u8,
    /// A vendor was told 202.
    pub(crate) acknowledged: bool,
    pub(crate) received_at: u64,
    pub(crate) normalized_at: u64,
    /// When it was first applied, quarantined or dead-lettered.
    pub(crate) ended_at: u64,
    /// How often its document changed the canonical state.
    pub(crate) applied: u8,
    pub(crate) dead_lettered: bool,
    /// Its records that the stream has not delivered.
    pub(crate) in_stream: u8,
    /// Its recovery could not be started.
    pub(crate) unstarted: bool,
}

/// One delivery.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) event: u32,
    pub(crate) sent_at: u64,
}

/// What was found when all was over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    pub(crate) accepted: u64,
    pub(crate) normalized: u64,
    pub(crate) applied: u64,
    pub(crate) quarantined: u64,
    pub(crate) dead_lettered: u64,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) healthy_quarantined: u64,
    pub(crate) unstarted: u64,
}

/// All events and requests.
#[derive(Debug, Default)]
pub(crate) struct Books {
    pub(crate) events: Vec<Event>,
    pub(crate) requests: Vec<Request>,
    /// Accepted and not at an end.
    pub(crate) open: u64,
    pub(crate) accepted: u64,
    pub(crate) last_end: u64,
    pub(crate) last_quarantine: u64,
}

impl Books {
    pub(crate) fn event(&mut self, event: u32) -> &mut Event {
        &mut self.events[event as usize]
    }

    /// The commit: whether this request's row is the event's.
    pub(crate) fn commit(&mut self, request: u32, now: u64) -> Committed {
        let event = &mut self.events[self.requests[request as usize].event as usize];
        if event.status != Status::Unknown {
            return if event.request == request { Committed::Again } else { Committed::Duplicate };
        }
        (event.status, event.request, event.received_at) = (Status::Received, request, now);
        event.rows += 1;
        self.open += 1;
        self.accepted += 1;
        Committed::First
    }

    /// The event needs nothing more, or a person.
    pub(crate) fn end(&mut self, event: u32, now: u64) {
        let event = &mut self.events[event as usize];
        if event.ended_at == 0 {
            event.ended_at = now;
            self.open -= 1;
        }
        self.last_end = now;
    }

    pub(crate) fn findings(&self) -> Findings {
        let mut found = Findings::default();
        for event in &self.events {
            if event.status == Status::Unknown {
                // Told 202 without a row: the promise itself.
                found.lost += u64::from(event.acknowledged);
                continue;
            }
            let quarantined = event.status == Status::Quarantined;
            let applied = event.applied > 0;
            let waits = quarantined || (event.dead_lettered && !applied);
            found.accepted += 1;
            found.normalized += u64::from(event.status == Status::Normalized);
            found.applied += u64::from(applied);
            found.quarantined += u64::from(quarantined);
            found.dead_lettered += u64::from(event.dead_lettered && !applied);
            found.lost += u64::from(!applied && !waits);
            found.doubled += u64::from(event.applied > 1 || event.rows > 1);
            found.healthy_quarantined += u64::from(waits && event.nature == Nature::Healthy);
            found.unstarted += u64::from(event.unstarted);
        }
        found
    }
}

/// What a conditional write of the ledger came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Committed {
    First,
    /// The same request had written it.
    Again,
    /// Another request had.
    Duplicate,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn books(nature: Nature) -> Books {
        let mut books = Books::default();
        books.events.push(Event {
            vendor: 0,
            nature,
            route: 0,
            entities: [1, NONE],
            status: Status::Unknown,
            request: 0,
            rows: 0,
            acknowledged: false,
            received_at: 0,
            normalized_at: 0,
            ended_at: 0,
            applied: 0,
            dead_lettered: false,
            in_stream: 0,
            unstarted: false,
        });
        books.requests.extend([Request { event: 0, sent_at: 1 }, Request { event: 0, sent_at: 2 }]);
        books
    }

    #[test]
    fn one_row_an_event_whoever_writes() {
        let mut books = books(Nature::Healthy);
        assert_eq!(books.commit(1, 5), Committed::First);
        assert_eq!(books.commit(1, 6), Committed::Again);
        assert_eq!(books.commit(0, 7), Committed::Duplicate);
        assert_eq!((books.accepted, books.open, books.events[0].rows), (1, 1, 1));
    }

    #[test]
    fn what_is_neither_applied_nor_waiting_is_lost() {
        let mut books = books(Nature::Healthy);
        books.commit(0, 5);
        assert_eq!(books.findings().lost, 1);
        books.event(0).status = Status::Quarantined;
        books.end(0, 9);
        let found = books.findings();
        assert_eq!((found.lost, found.healthy_quarantined, books.open), (0, 1, 0));
        books.event(0).status = Status::Normalized;
        books.event(0).applied = 2;
        let found = books.findings();
        assert_eq!((found.lost, found.healthy_quarantined, found.doubled), (0, 0, 1));
    }

    #[test]
    fn an_acknowledgement_without_a_row_is_a_loss() {
        let mut books = books(Nature::Healthy);
        books.event(0).acknowledged = true;
        assert_eq!(books.findings().lost, 1);
    }

    #[test]
    fn a_rejected_event_in_quarantine_is_where_it_belongs() {
        let mut books = books(Nature::Rejected);
        books.commit(0, 5);
        books.event(0).status = Status::Quarantined;
        assert_eq!(books.findings().healthy_quarantined, 0);
    }
}
