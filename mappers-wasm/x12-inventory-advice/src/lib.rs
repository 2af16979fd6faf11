//! EDI X12 846, Inventory Inquiry/Advice (release 004010) → `InventoryUpdated` 1.0: one event for
//! every article and warehouse.
//!
//! A file may hold several interchanges and transaction sets. The whole file is taken or refused.
//! At most [`LINES_MAX`] events: the host takes no more from one message. Every segment of the
//! standard is placed, left out or refused:
//!
//! - `BIA`: the time: `BIA04`, `BIA05`; without a time of day that of `GS`, where `GS` has the same
//!   day. Times are UTC, as agreed with the partner. `BIA01` is 00, 15 or 22: others state no
//!   levels.
//! - `LIN`: the article: the value of the first of these qualifiers that is there: SK, VN, VP, BP,
//!   IN, UP, EN, UK.
//! - `PID`: its name, where `PID02` is empty or 08 (product).
//! - `N1` WH, SF, LW: the warehouse, see below. Of a heading's, the first of these codes counts.
//! - `QTY`: 17 on hand, 33 available for sale, 27 committed (reserved), 63 on order, IQ in transit,
//!   74 damaged. [`LEFT_OUT`] are no levels, and are noted; any other code is refused.
//! - `SDQ`: divides the quantity before it, or the only one behind it, among warehouses; the parts
//!   come to that quantity.
//! - `DTM` behind a `QTY`: of a present level it has `BIA`'s day, or is a date of the goods
//!   ([`DATES_OF_GOODS`]); else refused.
//! - `SCH`, `LQ` behind a `QTY`: refused for a present level: when, or in which condition, there is
//!   so much. Left out for others.
//! - `SLN`: refused unless it is for information (`SLN03` O): it states quantities of parts.
//! - `G53`: refused where it deletes the article (`G5301` 002).
//! - `MEA` CT: refused: it states counts. Other measurements are left out.
//! - `CTT`: `CTT01` is the number of `LIN`; `CTT02`, if there, the sum of all `QTY02`.
//! - `CUR`, `CTP`, `UIT`, `SAC`, `PCT`, `CS`: left out: prices and contracts say nothing of levels.
//! - `DD`, `LDT`, other `DTM` and `LM`/`LQ`: left out: demand, lead times, dates and codes of the
//!   article or the report.
//! - `REF`, `PER`, `N2`, `N3`, `N4`, other `N1`, `PKG`, `MAN`, `LS`/`LE`, `NTE`: left out:
//!   references, parties, packaging, lots.
//! - any other: refused: it is no segment of this transaction set.
//!
//! **Which warehouse.** In the heading, `N1` is for all lines that name none. Within a line an `N1`
//! is for the quantities behind it. Where a line has all its quantities before its only `N1`, which
//! is the order of the standard, that `N1` is for them. Anything else could be read in two ways,
//! and is refused.

use std::collections::BTreeMap;

use mapper_sdk::canonical::{Canonical as _, InventoryUpdated, Text};
use mapper_sdk::text::{SKU_CHARS_MAX, Seen, TITLE_CHARS_MAX, WAREHOUSE_CHARS_MAX, cut, identifier, is_gtin};
use mapper_sdk::x12::{self, HashTotal, Segment, Set};
use mapper_sdk::{CanonicalEvent, MapError, Mapped, Meta, quantity, time};

/// Most articles and warehouses in a file.
pub const LINES_MAX: usize = mapper_sdk::EVENTS_MAX;

/// Qualifiers of what identifies an article, the best first.
const ARTICLE_QUALIFIERS: [&str; 8] = ["SK", "VN", "VP", "BP", "IN", "UP", "EN", "UK"];
const GTIN_QUALIFIERS: [&str; 3] = ["UK", "EN", "UP"];
/// Parties that are a warehouse, the best first.
const WAREHOUSE_CODES: [&str; 3] = ["WH", "SF", "LW"];
/// Parties that say nothing of where an article is: buyer, seller, maker, payer, sender, receiver
/// and the like. Within a line any other is refused, since it may be a place.
const PARTY_CODES: [&str; 14] =
    ["BY", "BT", "SE", "SU", "VN", "MF", "DS", "RI", "SO", "OB", "PR", "FR", "TO", "II"];

/// `QTY01` of what is not a level: received, sold, shipped, returned, transferred, produced or
/// planned over a time, rules for orders, and sizes of lots and packages.
pub const LEFT_OUT: [&str; 28] = [
    "02", "18", "29", "31", "32", "38", "39", "45", "57", "62", "64", "65", "66", "67", "68", "69", "70",
    "72", "73", "75", "76", "77", "78", "85", "87", "91", "AP", "AY",
];
/// `DTM01` of a date of the goods, not of the level: expiration, lot expiration, manufacture,
/// production, receipt.
pub const DATES_OF_GOODS: [&str; 5] = ["036", "208", "094", "405", "050"];

type Events<'a> = Vec<CanonicalEvent<InventoryUpdated<'a>>>;
/// Warehouse, article and time of every event so far.
type Known<'a> = Seen<(Text<'a>, Text<'a>, String)>;

/// The levels of one file.
///
/// # Errors
/// Those of X12, of identifiers, of quantities and of times; `purpose_unsupported`,
/// `article_missing`, `article_deleted`, `warehouse_missing`, `warehouse_ambiguous`,
/// `party_unsupported`, `quantity_missing`, `quantity_mismatch`, `quantity_unsupported`,
/// `division_ambiguous`, `level_doubled`, `level_dated`, `level_conditional`, `unit_mismatch`,
/// `unit_unsupported`, `parts_unsupported`, `lines_missing`, `lines_too_many`,
/// `x12_segment_missing`, `x12_segment_unsupported`, `x12_lines_count`, `x12_hash_total`.
pub fn map<'a>(_: &Meta<'a>, payload: &'a [u8]) -> Mapped<InventoryUpdated<'a>> {
    let interchanges = x12::interchanges_of("846", payload)?;
    let mut events = Vec::new();
    let mut seen = Known::default();
    for set in interchanges.iter().flat_map(|interchange| &interchange.sets) {
        advice(set, &mut events, &mut seen)?;
    }
    if events.len() > LINES_MAX {
        let why = format!("{} articles and warehouses; a file has at most {LINES_MAX}", events.len());
        return Err(MapError::new("lines_too_many", "", why));
    }
    if events.is_empty() {
        return Err(MapError::new("lines_missing", "", "no transaction set has a LIN"));
    }
    Ok(events)
}

fn advice<'a>(set: &Set<'a>, events: &mut Events<'a>, seen: &mut Known<'a>) -> Result<(), MapError> {
    let Some(begin) = set.segments.first().filter(|segment| segment.id() == "BIA") else {
        let why = format!("segment {}, ST: no BIA follows", set.header.at);
        return Err(MapError::new("x12_segment_missing", set.header.path(0), why));
    };
    let report = Report { occurred_at: occurred_at(begin, set)?, day: day(begin, 4)? };
    let mut heading = Heading::default();
    let mut lines = 0;
    let mut hash = HashTotal::default();
    let mut line: Option<Line<'a>> = None;
    for segment in &set.segments[1..] {
        match (segment.id(), &mut line) {
            ("LIN", _) => {
                lines += 1;
                if let Some(done) = line.take() {
                    done.close(&heading, &report, events, seen)?;
                }
                line = Some(Line::open(segment)?);
            }
            ("CTT", _) => counted(segment, lines, &hash)?,
            ("QTY", Some(line)) => {
                if let Some(stated) = segment.get(2)
                    && !hash.add(stated)
                {
                    return Err(segment.refused("quantity_invalid", 2, "is not a decimal number"));
                }
                line.quantity(segment)?;
            }
            (_, Some(line)) => line.detail(segment, &report)?,
            (_, None) => heading.read(segment)?,
        }
    }
    line.map_or(Ok(()), |line| line.close(&heading, &report, events, seen))
}

/// What `BIA` says.
struct Report {
    occurred_at: String,
    day: String,
}

fn occurred_at(begin: &Segment<'_>, set: &Set<'_>) -> Result<String, MapError> {
    match begin.get(1) {
        // Original, resubmission, information copy.
        Some("00" | "15" | "22") => {}
        purpose => {
            let why = format!("is {:?}: only 00, 15 and 22 state levels", purpose.unwrap_or_default());
            return Err(begin.refused("purpose_unsupported", 1, &why));
        }
    }
    let day = begin.required(4)?;
    let of_group = set.group.get(5).filter(|_| set.group.get(4) == Some(day));
    time::compact(day, begin.get(5).or(of_group), &begin.path(4))
}

fn day(segment: &Segment<'_>, element: usize) -> Result<String, MapError> {
    time::compact_day(segment.required(element)?, &segment.path(element))
}

/// `CTT01` is the number of `LIN`, `CTT02` the sum of `QTY02`.
fn counted(trailer: &Segment<'_>, lines: usize, hash: &HashTotal) -> Result<(), MapError> {
    let stated = trailer.required(1)?;
    if stated.parse() != Ok(lines) {
        let why = format!("states {stated} lines, and there are {lines}");
        return Err(trailer.refused("x12_lines_count", 1, &why));
    }
    match trailer.get(2) {
        Some(stated) if !hash.is(stated) => {
            let why = format!("states {stated}, and the quantities of all QTY come to {hash}");
            Err(trailer.refused("x12_hash_total", 2, &why))
        }
        _ => Ok(()),
    }
}

fn unsupported(segment: &Segment<'_>) -> MapError {
    let why = format!("segment {}, {}: no segment of an 846", segment.at, segment.id());
    MapError::new("x12_segment_unsupported", segment.path(0), why)
}

fn warehouse<'a>(segment: &Segment<'a>) -> Result<Text<'a>, MapError> {
    let named = segment.get(4).map_or_else(|| segment.required(2), Ok)?;
    identifier(named.into(), WAREHOUSE_CHARS_MAX, || segment.path(4))
}

/// What is before the first `LIN`: the warehouse of each of [`WAREHOUSE_CODES`].
#[derive(Default)]
struct Heading<'a>([Option<Text<'a>>; WAREHOUSE_CODES.len()]);

impl<'a> Heading<'a> {
    fn read(&mut self, segment: &Segment<'a>) -> Result<(), MapError> {
        match segment.id() {
            "N1" => {
                let code = WAREHOUSE_CODES.iter().position(|code| segment.get(1) == Some(code));
                let Some(known) = code.map(|code| &mut self.0[code]) else { return Ok(()) };
                let named = warehouse(segment)?;
                if known.as_ref().is_some_and(|known| *known != named) {
                    let why = "names a second warehouse for all lines";
                    return Err(segment.refused("warehouse_ambiguous", 1, why));
                }
                *known = Some(named);
                Ok(())
            }
            "MEA" => measured(segment),
            "CUR" | "DTM" | "REF" | "PER" | "N2" | "N3" | "N4" | "LM" | "LQ" | "NTE" => Ok(()),
            _ => Err(unsupported(segment)),
        }
    }

    fn warehouse(&self) -> Option<&Text<'a>> {
        self.0.iter().flatten().next()
    }
}

/// Weights and sizes are no quantities of an article; counts are.
fn measured(segment: &Segment<'_>) -> Result<(), MapError> {
    match segment.get(1) {
        Some("CT") => Err(segment.refused("quantity_unsupported", 1, "is CT: it states counts")),
        _ => Ok(()),
    }
}

/// What is between one `LIN` and the next.
struct Line<'a> {
    segment: Segment<'a>,
    sku: Text<'a>,
    gtin: Option<Text<'a>>,
    title: Option<Text<'a>>,
    unit: Option<&'a str>,
    /// Levels in the order of the file.
    levels: Vec<Stated<'a>>,
    /// Warehouses that the line names: the segment, and how many levels are behind it that no `SDQ`
    /// divides.
    named: Vec<(Text<'a>, Segment<'a>)>,
    /// What an `SDQ` before the first `QTY` says.
    early: Vec<Part<'a>>,
    behind: Behind,
    /// Between `LS` and `LE`.
    in_lots: bool,
    /// Behind an `SLN`.
    in_parts: bool,
    /// Quantities that are left out.
    notes: Vec<MapError>,
}

/// A `QTY` that is a level.
struct Stated<'a> {
    level: Level,
    pieces: i64,
    segment: Segment<'a>,
    /// Which of the line's warehouses was named before it.
    named: Option<usize>,
    parts: Vec<Part<'a>>,
}

/// A warehouse and a quantity of an `SDQ`.
struct Part<'a> {
    warehouse: Text<'a>,
    pieces: &'a str,
    segment: Segment<'a>,
    element: usize,
}

/// The latest `QTY` of a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Behind {
    None,
    LeftOut,
    Level(Level),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    OnHand,
    Available,
    Reserved,
    OnOrder,
    InTransit,
    Damaged,
}

impl Level {
    fn of(code: &str) -> Option<Self> {
        Some(match code {
            "17" => Self::OnHand,
            "33" => Self::Available,
            "27" => Self::Reserved,
            "63" => Self::OnOrder,
            "IQ" => Self::InTransit,
            "74" => Self::Damaged,
            _ => return None,
        })
    }

    /// What is in the warehouse now, rather than to come.
    fn is_present(self) -> bool {
        matches!(self, Self::OnHand | Self::Available | Self::Reserved | Self::Damaged)
    }

    fn pieces(self, text: &str, segment: &Segment<'_>, element: usize) -> Result<i64, MapError> {
        let text = x12::decimal(text);
        match self {
            Self::Available => quantity::whole(&text, || segment.path(element)),
            _ => quantity::level(&text, || segment.path(element)),
        }
    }
}

impl<'a> Line<'a> {
    fn open(segment: &Segment<'a>) -> Result<Self, MapError> {
        let Some((element, _, sku)) = segment.pair_of(2, &ARTICLE_QUALIFIERS) else {
            let why = format!("and the elements behind it have none of {}", ARTICLE_QUALIFIERS.join(", "));
            return Err(segment.refused("article_missing", 2, &why));
        };
        Ok(Self {
            segment: *segment,
            sku: identifier(sku.into(), SKU_CHARS_MAX, || segment.path(element))?,
            gtin: segment
                .pair_of(2, &GTIN_QUALIFIERS)
                .map(|(_, _, gtin)| gtin.into())
                .filter(|gtin: &Text<'a>| is_gtin(gtin)),
            title: None,
            unit: None,
            levels: Vec::new(),
            named: Vec::new(),
            early: Vec::new(),
            behind: Behind::None,
            in_lots: false,
            in_parts: false,
            notes: Vec::new(),
        })
    }

    /// Any segment of a line but `QTY`.
    fn detail(&mut self, segment: &Segment<'a>, report: &Report) -> Result<(), MapError> {
        let present = matches!(self.behind, Behind::Level(level) if level.is_present());
        let code = segment.get(1).unwrap_or_default();
        match segment.id() {
            "N1" => self.party(segment)?,
            "SDQ" => self.divided(segment)?,
            "PID" if !self.in_parts && matches!(segment.get(2), None | Some("08")) => {
                if let Some(text) = segment.get(5) {
                    self.title.get_or_insert(cut(text.into(), TITLE_CHARS_MAX));
                }
            }
            "DTM" if present && !self.in_lots && !DATES_OF_GOODS.contains(&code) => {
                if day(segment, 2)? != report.day {
                    let why = "is of another day than BIA04, and a level is stated as of that day";
                    return Err(segment.refused("level_dated", 2, why));
                }
            }
            "SCH" if present => {
                return Err(segment.refused(
                    "level_dated",
                    1,
                    "says when there is so much of the QTY before",
                ));
            }
            "LQ" if present && !self.in_lots => {
                return Err(segment.refused("level_conditional", 2, "is a condition of the QTY before"));
            }
            "MEA" => measured(segment)?,
            "SLN" => {
                self.in_parts = true;
                if segment.get(3) != Some("O") && segment.get(4).is_some() {
                    return Err(segment.refused(
                        "parts_unsupported",
                        4,
                        "is a quantity of a part of the article",
                    ));
                }
            }
            "G53" if code == "002" => {
                return Err(segment.refused("article_deleted", 1, "is 002: the article is deleted"));
            }
            "LS" => self.in_lots = true,
            "LE" => self.in_lots = false,
            "PID" | "PKG" | "DTM" | "CTP" | "CUR" | "SAC" | "REF" | "PER" | "MAN" | "UIT" | "CS" | "DD"
            | "G53" | "PCT" | "LDT" | "LM" | "LQ" | "SCH" | "N2" | "N3" | "N4" | "NTE" => {}
            _ => return Err(unsupported(segment)),
        }
        Ok(())
    }

    fn party(&mut self, segment: &Segment<'a>) -> Result<(), MapError> {
        let code = segment.required(1)?;
        if WAREHOUSE_CODES.contains(&code) {
            if self.in_lots {
                return Err(segment.refused("warehouse_ambiguous", 1, "names a warehouse of a lot"));
            }
            self.named.push((warehouse(segment)?, *segment));
        } else if !self.in_lots && !PARTY_CODES.contains(&code) {
            let why = format!("is {code}, which may be another place than {}", WAREHOUSE_CODES.join(", "));
            return Err(segment.refused("party_unsupported", 1, &why));
        }
        Ok(())
    }

    fn quantity(&mut self, segment: &Segment<'a>) -> Result<(), MapError> {
        self.in_parts = false;
        let code = segment.required(1)?;
        let Some(level) = Level::of(code) else {
            if !LEFT_OUT.contains(&code) {
                let why = format!("is {code}: it is not known whether that is a level");
                return Err(segment.refused("quantity_unsupported", 1, &why));
            }
            self.notes.push(segment.refused(
                "quantity_left_out",
                1,
                &format!("is {code}, which is no level"),
            ));
            self.behind = Behind::LeftOut;
            return Ok(());
        };
        let pieces = level.pieces(segment.required(2)?, segment, 2)?;
        self.same_unit(unit(segment, 3)?, segment, 3)?;
        let named = self.named.len().checked_sub(1);
        self.levels.push(Stated { level, pieces, segment: *segment, named, parts: Vec::new() });
        self.behind = Behind::Level(level);
        Ok(())
    }

    /// `SDQ*EA*92*ROA*40*RIC*80`: a quantity at each of these. `SDQ23` would be a place within all
    /// of them.
    fn divided(&mut self, segment: &Segment<'a>) -> Result<(), MapError> {
        if self.behind != Behind::LeftOut {
            self.same_unit(segment.get(1), segment, 1)?;
        }
        let mut parts = Vec::new();
        for element in (3..=21).step_by(2) {
            let (Some(place), pieces) = (segment.get(element), segment.get(element + 1)) else {
                if segment.get(element + 1).is_some() {
                    return Err(segment.refused("x12_element_missing", element, "is empty"));
                }
                continue;
            };
            let Some(pieces) = pieces else {
                return Err(segment.refused("x12_element_missing", element + 1, "is empty"));
            };
            let warehouse = identifier(place.into(), WAREHOUSE_CHARS_MAX, || segment.path(element))?;
            parts.push(Part { warehouse, pieces, segment: *segment, element: element + 1 });
        }
        match (self.behind, self.levels.last_mut()) {
            (Behind::LeftOut, _) => {}
            (Behind::Level(_), Some(stated)) => stated.parts.append(&mut parts),
            _ => self.early.append(&mut parts),
        }
        Ok(())
    }

    fn same_unit(
        &mut self,
        unit: Option<&'a str>,
        segment: &Segment<'a>,
        element: usize,
    ) -> Result<(), MapError> {
        let Some(unit) = unit else { return Ok(()) };
        match self.unit {
            Some(before) if before != unit => {
                let why = format!("is {unit}, and {before} before, for the same article");
                Err(segment.refused("unit_mismatch", element, &why))
            }
            _ => {
                self.unit = Some(unit);
                Ok(())
            }
        }
    }

    /// The levels of each warehouse, in the order in which the warehouses came.
    fn by_warehouse(&mut self, heading: &Heading<'a>) -> Result<Levels<'a>, MapError> {
        if let Some(early) = self.early.first() {
            let [only] = &mut self.levels[..] else {
                let why = "is before several quantities, or none: it is not known which one it divides";
                return Err(early.segment.refused("division_ambiguous", 0, why));
            };
            only.parts.append(&mut self.early);
        }
        let only_one_behind_all = self.only_one_behind_all()?;
        let mut levels = Levels(Vec::new());
        for stated in &self.levels {
            let Stated { level, pieces, segment, named, parts } = stated;
            if !parts.is_empty() {
                let mut rest = *pieces;
                for part in parts {
                    let pieces = level.pieces(part.pieces, &part.segment, part.element)?;
                    rest = rest.saturating_sub(pieces);
                    levels.put(&part.warehouse, *level, pieces, &part.segment)?;
                }
                if rest != 0 {
                    let why = format!("and the others are not the {pieces} of QTY, segment {}", segment.at);
                    return Err(parts[0].segment.refused("quantity_mismatch", 4, &why));
                }
                continue;
            }
            let of_line = only_one_behind_all.or(named.map(|named| &self.named[named].0));
            let Some(warehouse) = of_line.or_else(|| heading.warehouse()) else {
                let why = format!("has no warehouse: no N1 with {} is there", WAREHOUSE_CODES.join(", "));
                return Err(segment.refused("warehouse_missing", 2, &why));
            };
            levels.put(warehouse, *level, *pieces, segment)?;
        }
        Ok(levels)
    }

    /// The warehouse of a line that names one, behind all its quantities.
    ///
    /// # Errors
    /// `warehouse_ambiguous` unless each warehouse that a line names has quantities behind it, and
    /// each quantity one before it.
    fn only_one_behind_all(&self) -> Result<Option<&Text<'a>>, MapError> {
        let undivided = || self.levels.iter().filter(|stated| stated.parts.is_empty());
        let has_quantities = |n: usize| undivided().any(|stated| stated.named == Some(n));
        let before_all = undivided().filter(|stated| stated.named.is_none()).count();
        match &self.named[..] {
            [(warehouse, _)] if before_all > 0 && !has_quantities(0) => Ok(Some(warehouse)),
            named => {
                let idle = named.iter().enumerate().find(|(n, _)| before_all > 0 || !has_quantities(*n));
                let Some((_, (_, segment))) = idle else { return Ok(None) };
                let why = "could be for the quantities before it or for those behind it";
                Err(segment.refused("warehouse_ambiguous", 1, why))
            }
        }
    }

    fn close(
        mut self,
        heading: &Heading<'a>,
        report: &Report,
        events: &mut Events<'a>,
        seen: &mut Known<'a>,
    ) -> Result<(), MapError> {
        let levels = self.by_warehouse(heading)?;
        if levels.0.is_empty() {
            return Err(self.segment.refused("quantity_missing", 3, "has no QTY that is a level"));
        }
        for (warehouse_id, levels) in levels.0 {
            let of = |level| levels.get(&level).copied();
            let data = InventoryUpdated {
                warehouse_id,
                sku: self.sku.clone(),
                quantity_on_hand: of(Level::OnHand),
                quantity_available: of(Level::Available),
                quantity_reserved: of(Level::Reserved),
                quantity_on_order: of(Level::OnOrder),
                quantity_in_transit: of(Level::InTransit),
                quantity_damaged: of(Level::Damaged),
                unit: self.unit.map(Text::from),
                gtin: self.gtin.clone(),
                title: self.title.clone(),
            };
            // Of another time it is another statement: a mailbox hands over the morning's file with
            // the evening's.
            let known = (data.warehouse_id.clone(), data.sku.clone(), report.occurred_at.clone());
            if seen.insert(known, ()).is_some() {
                let why = format!(
                    "is in the file already, for the warehouse {} and the same time",
                    data.warehouse_id
                );
                return Err(self.segment.refused("level_doubled", 3, &why));
            }
            // The first event of the line has the notes.
            let notes = std::mem::take(&mut self.notes);
            events.push(data.at(report.occurred_at.clone()).noting(notes));
        }
        Ok(())
    }
}

/// The unit of `C001`: alone, or with an exponent and a multiplier of one. Anything else is another
/// unit than its code says.
fn unit<'a>(segment: &Segment<'a>, element: usize) -> Result<Option<&'a str>, MapError> {
    let mut components = segment.components(element);
    let unit = components.next();
    if components.all(|component| matches!(component.trim_matches(' '), "" | "1")) {
        return Ok(unit.filter(|unit| !unit.is_empty()));
    }
    Err(segment.refused(
        "unit_unsupported",
        element,
        "is a unit with a multiplier, an exponent or another unit",
    ))
}

struct Levels<'a>(Vec<(Text<'a>, BTreeMap<Level, i64>)>);

impl<'a> Levels<'a> {
    fn put(
        &mut self,
        place: &Text<'a>,
        level: Level,
        pieces: i64,
        segment: &Segment<'a>,
    ) -> Result<(), MapError> {
        let known = self.0.iter().position(|(known, _)| known == place);
        let index = known.unwrap_or_else(|| {
            self.0.push((place.clone(), BTreeMap::new()));
            self.0.len() - 1
        });
        if self.0[index].1.insert(level, pieces).is_some() {
            let why = "states this for the same article and warehouse again";
            return Err(segment.refused("level_doubled", 1, why));
        }
        Ok(())
    }
}

mapper_sdk::export_mapper!(map);
