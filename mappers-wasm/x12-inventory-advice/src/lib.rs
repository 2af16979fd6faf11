//! EDI X12 846, Inventory Inquiry/Advice (release 004010) → `InventoryUpdated` 1.0: one event for every article and warehouse.
//!
//! - The article is `LIN`'s value of the first of these qualifiers that is there: SK, VN, VP, BP, IN, UP, EN, UK.
//! - The warehouse is that of the latest `N1` with the code WH, SF or LW: in the heading for all lines, within a line for the
//!   quantities behind it; or that of an `SDQ`, which divides the quantity before it.
//! - `QTY` 17 is on hand, 33 available for sale, 63 on order. Other quantities are left out.
//! - The time is `BIA`'s. Without a time of day it is that of `GS`, where `GS` has the same day. Times are read as UTC, as
//!   agreed with the partner.
//!
//! The whole file is taken or refused. At most [`LINES_MAX`] events: the host takes no more from one message.

use std::collections::BTreeMap;

use mapper_sdk::canonical::{Canonical as _, InventoryUpdated, Text};
use mapper_sdk::text::{SKU_CHARS_MAX, Seen, TITLE_CHARS_MAX, WAREHOUSE_CHARS_MAX, cut, identifier, is_gtin};
use mapper_sdk::x12::{self, Segment, Set};
use mapper_sdk::{CanonicalEvent, MapError, Mapped, Meta, quantity, time};

/// Most articles and warehouses in a file.
pub const LINES_MAX: usize = 1_000;

/// Qualifiers of what identifies an article, the best first.
const ARTICLE_QUALIFIERS: [&str; 8] = ["SK", "VN", "VP", "BP", "IN", "UP", "EN", "UK"];
const GTIN_QUALIFIERS: [&str; 3] = ["UK", "EN", "UP"];
const WAREHOUSE_CODES: [&str; 3] = ["WH", "SF", "LW"];

type Events<'a> = Vec<CanonicalEvent<InventoryUpdated<'a>>>;
/// Warehouse and article of every event so far.
type Known<'a> = Seen<(Text<'a>, Text<'a>)>;

/// The levels of one interchange.
///
/// # Errors
/// Those of X12, of identifiers, of quantities and of times; `purpose_unsupported`, `article_missing`, `warehouse_missing`,
/// `quantity_missing`, `quantity_mismatch`, `level_doubled`, `unit_mismatch`, `lines_missing`, `lines_too_many`,
/// `x12_segment_missing`, `x12_lines_count`.
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
    let occurred_at = occurred_at(set)?;
    let mut lines = 0;
    let mut everywhere: Option<Text<'a>> = None;
    let mut line: Option<Line<'a>> = None;
    for segment in &set.segments {
        match segment.id() {
            "N1" if segment.get(1).is_some_and(|code| WAREHOUSE_CODES.contains(&code)) => {
                let named = segment.get(4).map_or_else(|| segment.required(2), Ok)?;
                let warehouse = identifier(named.into(), WAREHOUSE_CHARS_MAX, || segment.path(4))?;
                match &mut line {
                    Some(line) => line.warehouse = Some(warehouse),
                    None => everywhere = Some(warehouse),
                }
            }
            "LIN" => {
                lines += 1;
                if let Some(done) = line.take() {
                    done.close(events, seen)?;
                }
                line = Some(Line::open(segment, everywhere.clone(), &occurred_at)?);
            }
            "PID" => {
                if let (Some(line), Some(text)) = (&mut line, segment.get(5)) {
                    line.title.get_or_insert(cut(text.into(), TITLE_CHARS_MAX));
                }
            }
            "QTY" => {
                if let Some(line) = &mut line {
                    line.quantity(segment)?;
                }
            }
            "SDQ" => {
                if let Some(line) = &mut line {
                    line.divided(segment)?;
                }
            }
            "CTT" => counted(segment, lines)?,
            _ => {}
        }
    }
    line.map_or(Ok(()), |line| line.close(events, seen))
}

fn occurred_at(set: &Set<'_>) -> Result<String, MapError> {
    let Some(begin) = set.segments.first().filter(|segment| segment.id() == "BIA") else {
        let why = format!("segment {}, ST: no BIA follows", set.header.at);
        return Err(MapError::new("x12_segment_missing", set.header.path(0), why));
    };
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

/// `CTT01` is the number of `LIN`.
fn counted(trailer: &Segment<'_>, lines: usize) -> Result<(), MapError> {
    let stated = trailer.required(1)?;
    if stated.parse() == Ok(lines) {
        return Ok(());
    }
    Err(trailer.refused("x12_lines_count", 1, &format!("states {stated} lines, and there are {lines}")))
}

/// What is between one `LIN` and the next.
struct Line<'a> {
    segment: Segment<'a>,
    sku: Text<'a>,
    gtin: Option<Text<'a>>,
    title: Option<Text<'a>>,
    warehouse: Option<Text<'a>>,
    occurred_at: String,
    /// The latest `QTY`, which an `SDQ` may divide; put to its warehouse when it is known to have none.
    pending: Option<(Level, i64, Segment<'a>)>,
    unit: Option<&'a str>,
    /// In the order in which the warehouses came.
    levels: Vec<(Text<'a>, BTreeMap<Level, i64>)>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    OnHand,
    Available,
    OnOrder,
}

impl<'a> Line<'a> {
    fn open(segment: &Segment<'a>, warehouse: Option<Text<'a>>, occurred_at: &str) -> Result<Self, MapError> {
        let named = |qualifiers: &[&str]| {
            qualifiers
                .iter()
                .find_map(|wanted| segment.pairs(2).find(|(_, qualifier, _)| qualifier == wanted))
        };
        let Some((element, _, sku)) = named(&ARTICLE_QUALIFIERS) else {
            let why = format!("and the elements behind it have none of {}", ARTICLE_QUALIFIERS.join(", "));
            return Err(segment.refused("article_missing", 2, &why));
        };
        Ok(Self {
            segment: *segment,
            sku: identifier(sku.into(), SKU_CHARS_MAX, || segment.path(element))?,
            gtin: named(&GTIN_QUALIFIERS)
                .map(|(_, _, gtin)| gtin.into())
                .filter(|gtin: &Text<'a>| is_gtin(gtin)),
            title: None,
            warehouse,
            occurred_at: occurred_at.to_owned(),
            pending: None,
            unit: None,
            levels: Vec::new(),
        })
    }

    fn quantity(&mut self, segment: &Segment<'a>) -> Result<(), MapError> {
        self.settle()?;
        let level = match segment.required(1)? {
            "17" => Level::OnHand,
            "33" => Level::Available,
            "63" => Level::OnOrder,
            _ => return Ok(()),
        };
        let pieces = self.pieces(level, segment.required(2)?, segment, 2)?;
        self.same_unit(segment.components(3).next(), segment, 3)?;
        self.pending = Some((level, pieces, *segment));
        Ok(())
    }

    /// `SDQ*EA*92*ROA*40*RIC*80`: the quantity before it, at each of these.
    fn divided(&mut self, segment: &Segment<'a>) -> Result<(), MapError> {
        let Some((level, pieces, _)) = self.pending.take() else { return Ok(()) };
        self.same_unit(segment.get(1), segment, 1)?;
        let mut rest = pieces;
        for (element, place, quantity) in segment.pairs(3) {
            let part = self.pieces(level, quantity, segment, element)?;
            let place = identifier(place.into(), WAREHOUSE_CHARS_MAX, || segment.path(element - 1))?;
            rest = rest.saturating_sub(part);
            self.put(place, level, part, segment)?;
        }
        if rest == 0 {
            return Ok(());
        }
        Err(segment.refused(
            "quantity_mismatch",
            4,
            &format!("and the others are not the {pieces} of the QTY before"),
        ))
    }

    fn pieces(
        &self,
        level: Level,
        text: &str,
        segment: &Segment<'a>,
        element: usize,
    ) -> Result<i64, MapError> {
        let path = || segment.path(element);
        match level {
            Level::Available => quantity::whole(text, path),
            Level::OnHand | Level::OnOrder => quantity::level(text, path),
        }
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

    /// The latest `QTY`, which no `SDQ` divided, is at the warehouse that was named before it.
    fn settle(&mut self) -> Result<(), MapError> {
        let Some((level, pieces, segment)) = self.pending.take() else { return Ok(()) };
        let Some(warehouse) = self.warehouse.clone() else {
            let why = format!("has no warehouse: no N1 with {} is before it", WAREHOUSE_CODES.join(", "));
            return Err(segment.refused("warehouse_missing", 2, &why));
        };
        self.put(warehouse, level, pieces, &segment)
    }

    fn put(
        &mut self,
        place: Text<'a>,
        level: Level,
        pieces: i64,
        segment: &Segment<'a>,
    ) -> Result<(), MapError> {
        let known = self.levels.iter().position(|(known, _)| *known == place);
        let index = known.unwrap_or_else(|| {
            self.levels.push((place, BTreeMap::new()));
            self.levels.len() - 1
        });
        if self.levels[index].1.insert(level, pieces).is_some() {
            return Err(segment.refused(
                "level_doubled",
                1,
                "states this for the same article and warehouse again",
            ));
        }
        Ok(())
    }

    fn close(mut self, events: &mut Events<'a>, seen: &mut Known<'a>) -> Result<(), MapError> {
        self.settle()?;
        if self.levels.is_empty() {
            return Err(self.segment.refused("quantity_missing", 3, "has no QTY with 17, 33 or 63"));
        }
        for (warehouse_id, levels) in self.levels {
            let of = |level| levels.get(&level).copied();
            let data = InventoryUpdated {
                warehouse_id,
                sku: self.sku.clone(),
                quantity_on_hand: of(Level::OnHand),
                quantity_available: of(Level::Available),
                quantity_on_order: of(Level::OnOrder),
                unit: self.unit.map(Text::from),
                gtin: self.gtin.clone(),
                title: self.title.clone(),
                ..InventoryUpdated::default()
            };
            if seen.insert((data.warehouse_id.clone(), data.sku.clone()), ()).is_some() {
                let why = format!("is in the file already, for the warehouse {}", data.warehouse_id);
                return Err(self.segment.refused("level_doubled", 3, &why));
            }
            events.push(data.at(self.occurred_at.clone()));
        }
        Ok(())
    }
}

mapper_sdk::export_mapper!(map);
