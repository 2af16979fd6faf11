//! EDI X12 856, Ship Notice/Manifest (release 004010) → `ShipmentNotified` 1.0: one event for
//! every transaction set.
//!
//! A file may hold several interchanges and transaction sets. The whole file is taken or refused.
//! `ISA15` T makes test shipments. The levels (`HL`) are S shipment, O order, T pallet, P package
//! and I item, in any order that `HL02` gives: an item belongs to the order and the packages above
//! it, and to the packages below it. Every segment of the standard is placed, left out or refused:
//!
//! - `BSN`: `BSN02` is the shipment's id, `BSN03` and `BSN04` its time (UTC). `BSN01` is 00: a
//!   change or a cancellation is another event.
//! - `HL`: a level that is not known, a parent that is not before it, or a second shipment is
//!   refused.
//! - `LIN`: of an item: the article, by the first of SK, VN, VP, BP, IN, UP, EN, UK; `LIN01` is the
//!   line.
//! - `SN1`: of an item: `SN102` shipped, `SN105` ordered, each with its unit. `SN104`, shipped to
//!   date, is left out with a note: it is of the order.
//! - `PRF`: of an order, or of an item: `PRF01` is the order's id.
//! - `MAN`: of a package or pallet: its id; a range (`MAN03`) is refused.
//! - `TD1`: of the shipment or an order: packages and weight. Of one package, left out.
//! - `TD5`: of the shipment: carriers.
//! - `REF`: of the shipment: BM, CN, 2I, PK. Of an item: LT, the lot. Others are left out.
//! - `DTM`: of the heading or the shipment: 011 shipped, 017 estimated delivery. Of an item: 036
//!   expiration. Others are left out.
//! - `N1` SF, ST with `N2`, `N3`, `N4`, `PER`: of the shipment: from and to. ST of an order or an
//!   item is refused unless it is the shipment's. Other parties are left out.
//! - `PID`: of an item: its title, where `PID02` is empty or 08 (product).
//! - `CLD`: of an item: refused unless loads times `CLD02` come to `SN102`.
//! - `CTT`: `CTT01` is the number of `HL`; `CTT02`, if there, the sum of `SN102`.
//! - `SDQ`: refused: an item goes where the shipment goes.
//! - `SLN`: left out where it is for information (`SLN03` O); else refused.
//! - `LIN`, `SN1` elsewhere, `MEA` CT: refused: a quantity of what is no item.
//! - `PO4`, `PAL`, `PKG`, `MEA`, `TD3`, `TD4`, `TSD`, `FOB`, `ETD`: left out: sizes, equipment,
//!   terms of transport.
//! - `CUR`, `SAC`: left out: charges are the invoice's.
//! - `PWK`, `PER`, `GF`, `YNQ`, `LM`, `LQ`, `LH1` to `LHE`, `LFH`, `LEP`, `V1`, `R4`, `DTP`, `NTE`:
//!   left out: papers, contacts, codes, dangerous goods, vessels.
//! - any other: refused: it is no segment of this transaction set.

use mapper_sdk::canonical::{
    Address, Canonical as _, Carrier, Lading, ReferenceKind, ShipmentLine, ShipmentNotified, ShipmentPlace,
    ShipmentReference, Text,
};
use mapper_sdk::json::Id;
use mapper_sdk::text::{SKU_CHARS_MAX, Seen, TITLE_CHARS_MAX, cut, identifier, is_gtin};
use mapper_sdk::x12::{self, HashTotal, Segment, Set};
use mapper_sdk::{CanonicalEvent, MapError, Mapped, Meta, quantity, time};

/// Most levels below each other: shipment, pallets, orders, packages and items, and some to spare.
const DEPTH_MAX: usize = 10;
/// Qualifiers of what identifies an article, the best first.
const ARTICLE_QUALIFIERS: [&str; 8] = ["SK", "VN", "VP", "BP", "IN", "UP", "EN", "UK"];
const GTIN_QUALIFIERS: [&str; 3] = ["UK", "EN", "UP"];
/// `REF01` of what a shipment is known by.
const REFERENCES: [(&str, ReferenceKind); 4] = [
    ("BM", ReferenceKind::BillOfLading),
    ("CN", ReferenceKind::CarrierReference),
    ("2I", ReferenceKind::TrackingNumber),
    ("PK", ReferenceKind::PackingSlip),
];

/// The shipments of one file.
///
/// # Errors
/// Those of X12, of identifiers, of quantities and of times; `x12_segment_missing`,
/// `x12_segment_unsupported`, `purpose_unsupported`, `level_unsupported`, `level_parent_unknown`,
/// `shipment_doubled`, `party_doubled`, `date_doubled`, `article_missing`, `order_missing`,
/// `quantity_missing`, `quantity_unsupported`, `quantity_mismatch`, `parts_unsupported`,
/// `marks_range`, `weight_invalid`, `destination_per_line`, `x12_levels_count`, `x12_hash_total`.
pub fn map<'a>(_: &Meta<'a>, payload: &'a [u8]) -> Mapped<ShipmentNotified<'a>> {
    let interchanges = x12::interchanges_of("856", payload)?;
    let mut events: Vec<CanonicalEvent<ShipmentNotified<'a>>> = Vec::new();
    let mut seen: Seen<String> = Seen::default();
    let sets = interchanges.iter().flat_map(|one| one.sets.iter().map(|set| (set, one.is_test())));
    for (set, test) in sets {
        let event = notice(set, test)?;
        if seen.insert(event.data.shipment_id.as_str().to_owned(), ()).is_some() {
            let why = format!("{} is in the file twice", event.data.shipment_id.as_str());
            return Err(set.segments[0].refused("shipment_doubled", 2, &why));
        }
        events.push(event);
    }
    Ok(events)
}

fn notice<'a>(set: &Set<'a>, test: bool) -> Result<CanonicalEvent<ShipmentNotified<'a>>, MapError> {
    let Some(begin) = set.segments.first().filter(|segment| segment.id() == "BSN") else {
        let why = format!("segment {}, ST: no BSN follows", set.header.at);
        return Err(MapError::new("x12_segment_missing", set.header.path(0), why));
    };
    if begin.get(1) != Some("00") {
        let why = format!(
            "is {:?}: only an original notice, 00, says what was shipped",
            begin.get(1).unwrap_or_default()
        );
        return Err(begin.refused("purpose_unsupported", 1, &why));
    }
    let shipment_id = id(begin, 2, begin.required(2)?)?;
    let occurred_at = time::compact(begin.required(3)?, begin.get(4), &begin.path(3))?;

    let mut shipment = Shipment::default();
    let mut counted = false;
    for segment in &set.segments[1..] {
        match segment.id() {
            "HL" => shipment.open(segment)?,
            "CTT" => {
                shipment.count(segment)?;
                counted = true;
            }
            _ if counted => return Err(unsupported(segment)),
            _ => shipment.read(segment)?,
        }
    }
    if shipment.levels.is_empty() {
        let why = format!("segment {}, ST: no HL follows", set.header.at);
        return Err(MapError::new("x12_segment_missing", set.header.path(0), why));
    }
    let lines = shipment.lines()?;
    let data = ShipmentNotified {
        shipment_id,
        test,
        shipped_on: shipment.shipped_on,
        estimated_delivery_date: shipment.estimated_delivery_date,
        ship_from: shipment.from.map(|(place, _)| place),
        ship_to: shipment.to.map(|(place, _)| place),
        carriers: shipment.carriers,
        references: shipment.references,
        lading: shipment.lading,
        lines,
    };
    Ok(data.at(occurred_at).noting(shipment.notes))
}

fn id<'a>(segment: &Segment<'a>, element: usize, text: &'a str) -> Result<Id<'a>, MapError> {
    Id::new(text).ok_or_else(|| segment.refused("x12_element_invalid", element, "is too long"))
}

fn unsupported(segment: &Segment<'_>) -> MapError {
    let why = format!("segment {}, {}: no segment of an 856 here", segment.at, segment.id());
    MapError::new("x12_segment_unsupported", segment.path(0), why)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Shipment,
    Order,
    Pallet,
    Package,
    Item,
}

/// An `HL` and what is behind it.
struct Level<'a> {
    segment: Segment<'a>,
    kind: Kind,
    parent: Option<usize>,
    /// 1 for the shipment.
    depth: usize,
    /// Of an item: the levels below it.
    below: Vec<usize>,
    order: Option<Id<'a>>,
    marks: Vec<Id<'a>>,
    item: Item<'a>,
}

/// What an item says of itself.
#[derive(Default)]
struct Item<'a> {
    line: ShipmentLine<'a>,
    article: bool,
    /// `SN1`.
    shipped: Option<Segment<'a>>,
    /// What the `CLD` come to.
    loads: Option<(i64, Segment<'a>)>,
    /// Behind an `SLN` that is for information.
    in_parts: bool,
}

/// Which party the segments behind an `N1` are of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Party {
    #[default]
    None,
    From,
    To,
    Other,
}

#[derive(Default)]
struct Shipment<'a> {
    levels: Vec<Level<'a>>,
    /// `HL01` of each.
    numbers: Seen<&'a str, usize>,
    party: Party,
    hash: HashTotal,
    shipped_on: Option<Text<'a>>,
    estimated_delivery_date: Option<Text<'a>>,
    from: Option<(ShipmentPlace<'a>, Segment<'a>)>,
    to: Option<(ShipmentPlace<'a>, Segment<'a>)>,
    carriers: Vec<Carrier<'a>>,
    references: Vec<ShipmentReference<'a>>,
    lading: Vec<Lading<'a>>,
    notes: Vec<MapError>,
}

impl<'a> Shipment<'a> {
    /// `HL*3*2*I`: level 3, below level 2, is an item.
    fn open(&mut self, segment: &Segment<'a>) -> Result<(), MapError> {
        let number = segment.required(1)?;
        let parent = segment.get(2);
        let found = parent.and_then(|parent| self.numbers.get(parent).copied());
        if found.is_some() != parent.is_some() || parent.is_none() != self.levels.is_empty() {
            let why = format!("is {:?}, which no HL before it is", parent.unwrap_or_default());
            return Err(segment.refused("level_parent_unknown", 2, &why));
        }
        if self.numbers.insert(number, self.levels.len()).is_some() {
            return Err(segment.refused("level_unsupported", 1, &format!("is {number} again")));
        }
        let depth = found.map_or(1, |parent| self.levels[parent].depth + 1);
        if depth > DEPTH_MAX {
            let why = format!("is the {depth}th level below another; at most {DEPTH_MAX} are read");
            return Err(segment.refused("level_unsupported", 2, &why));
        }
        let kind = match segment.required(3)? {
            "S" => Kind::Shipment,
            "O" => Kind::Order,
            "T" => Kind::Pallet,
            "P" => Kind::Package,
            "I" => Kind::Item,
            other => {
                let why = format!("is {other}: levels are S, O, T, P and I");
                return Err(segment.refused("level_unsupported", 3, &why));
            }
        };
        if (kind == Kind::Shipment) != self.levels.is_empty() {
            let why = "is not the shipment, or is a second one: a notice is of one, which is its first level";
            return Err(segment.refused("level_unsupported", 3, why));
        }
        self.party = Party::None;
        self.levels.push(Level {
            segment: *segment,
            kind,
            parent: found,
            depth,
            below: Vec::new(),
            order: None,
            marks: Vec::new(),
            item: Item::default(),
        });
        Ok(())
    }

    /// `CTT01` is the number of `HL`, `CTT02` the sum of `SN102`.
    fn count(&self, trailer: &Segment<'_>) -> Result<(), MapError> {
        let (stated, levels) = (trailer.required(1)?, self.levels.len());
        if stated.parse() != Ok(levels) {
            let why = format!("states {stated} levels, and there are {levels}");
            return Err(trailer.refused("x12_levels_count", 1, &why));
        }
        match trailer.get(2) {
            Some(stated) if !self.hash.is(stated) => {
                let why = format!("states {stated}, and the quantities of all SN1 come to {}", self.hash);
                Err(trailer.refused("x12_hash_total", 2, &why))
            }
            _ => Ok(()),
        }
    }

    fn read(&mut self, segment: &Segment<'a>) -> Result<(), MapError> {
        let code = segment.get(1).unwrap_or_default();
        let kind = self.levels.last().map(|level| level.kind);
        match (segment.id(), kind) {
            ("DTM", None | Some(Kind::Shipment)) => self.date(segment, code)?,
            ("REF", Some(Kind::Shipment)) if self.party == Party::None => {
                let known = REFERENCES.iter().find(|(known, _)| *known == code);
                if let (Some((_, kind)), Some(value)) = (known, segment.get(2)) {
                    self.references.push(ShipmentReference { kind: *kind, value: value.into() });
                }
            }
            ("TD5", Some(Kind::Shipment)) => {
                let text = |element| segment.get(element).map(Text::from);
                self.carriers.extend(Carrier { code: text(3), name: text(5), mode: text(4) }.known());
            }
            ("TD1", Some(Kind::Shipment | Kind::Order)) => self.packages(segment)?,
            ("N1", Some(kind)) => self.party(segment, code, kind)?,
            ("N2" | "N3" | "N4" | "PER", Some(_)) => self.address(segment),
            ("PRF", Some(Kind::Order | Kind::Item)) => {
                let order = id(segment, 1, segment.required(1)?)?;
                self.last().order = Some(order);
            }
            ("MAN", Some(Kind::Pallet | Kind::Package)) => {
                if segment.get(3).is_some() || segment.get(6).is_some() {
                    return Err(segment.refused("marks_range", 3, "makes a range of numbers"));
                }
                for element in [2, 5] {
                    if let Some(mark) = segment.get(element) {
                        let mark = id(segment, element, mark)?;
                        self.last().marks.push(mark);
                    }
                }
            }
            ("SN1", Some(Kind::Item)) => {
                if !self.hash.add(segment.required(2)?) {
                    return Err(segment.refused("quantity_invalid", 2, "is not a decimal number"));
                }
                let mut notes = std::mem::take(&mut self.notes);
                self.last().item.shipped(segment, &mut notes)?;
                self.notes = notes;
            }
            (_, Some(Kind::Item)) if self.last().item.read(segment, code)? => {}
            ("LIN" | "SN1" | "SDQ", _) => {
                let why = format!("segment {}, {} is of no item", segment.at, segment.id());
                return Err(MapError::new("quantity_unsupported", segment.path(0), why));
            }
            ("MEA", _) if code == "CT" => {
                return Err(segment.refused("quantity_unsupported", 1, "is CT: it states counts"));
            }
            ("TD1", Some(Kind::Pallet | Kind::Package | Kind::Item)) => {
                let why = "is of one package or item, so it is left out";
                self.notes.push(segment.refused("quantity_left_out", 1, why));
            }
            (
                "REF" | "DTM" | "TD5" | "TD3" | "TD4" | "PID" | "PO4" | "PAL" | "PKG" | "MEA" | "TSD" | "FOB"
                | "ETD" | "CUR" | "SAC" | "PWK" | "GF" | "YNQ" | "LM" | "LQ" | "LH1" | "LH2" | "LH3" | "LH4"
                | "LHT" | "LHR" | "LHE" | "LFH" | "LEP" | "V1" | "R4" | "DTP" | "MAN" | "NTE",
                Some(_),
            )
            | ("NTE", None) => {}
            _ => return Err(unsupported(segment)),
        }
        Ok(())
    }

    /// The level that segments are read of.
    fn last(&mut self) -> &mut Level<'a> {
        let last = self.levels.len() - 1;
        &mut self.levels[last]
    }

    fn date(&mut self, segment: &Segment<'a>, code: &str) -> Result<(), MapError> {
        let known = match code {
            "011" => &mut self.shipped_on,
            "017" => &mut self.estimated_delivery_date,
            _ => return Ok(()),
        };
        let day = Text::from(time::compact_day(segment.required(2)?, &segment.path(2))?);
        if known.as_ref().is_some_and(|before| *before != day) {
            let why = format!("is another day than the DTM {code} before");
            return Err(segment.refused("date_doubled", 2, &why));
        }
        *known = Some(day);
        Ok(())
    }

    /// `TD1*CTN25*4****G*120.5*LB`: four cartons, 120.5 pounds in all.
    fn packages(&mut self, segment: &Segment<'a>) -> Result<(), MapError> {
        let text = |element| segment.get(element).map(Text::from);
        let packages = match segment.get(2) {
            Some(stated) => Some(quantity::level(&x12::decimal(stated), || segment.path(2))?),
            None => None,
        };
        let weight = segment.get(7).map(x12::decimal);
        if let Some(weight) = &weight {
            let (whole, places) = weight.split_once('.').unwrap_or((weight, "0"));
            let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            if !digits(whole) || !digits(places) {
                let why = format!("{weight:?} is not a weight");
                return Err(segment.refused("weight_invalid", 7, &why));
            }
        }
        let known = weight.is_some();
        let level = self.last();
        let order_id = if level.kind == Kind::Order { level.order.clone() } else { None };
        if level.kind == Kind::Order && order_id.is_none() {
            return Err(segment.refused("order_missing", 1, "is of an order, and no PRF is before it"));
        }
        let lading = Lading {
            order_id,
            packaging: text(1),
            packages,
            weight,
            weight_kind: text(6).filter(|_| known),
            weight_unit: text(8).filter(|_| known),
        };
        if lading.packaging.is_some() || lading.packages.is_some() || known {
            self.lading.push(lading);
        }
        Ok(())
    }

    fn party(&mut self, segment: &Segment<'a>, code: &str, kind: Kind) -> Result<(), MapError> {
        let place_id = match segment.get(4) {
            Some(number) => Some(id(segment, 4, number)?),
            None => None,
        };
        let address = Address { name: segment.get(2).map(Text::from), ..Address::default() };
        let place = ShipmentPlace { place_id, address };
        if kind != Kind::Shipment {
            self.party = Party::Other;
            let is_its_own = |to: &ShipmentPlace<'a>| match (&place.place_id, &to.place_id) {
                (None, None) => place.address.name == to.address.name,
                (one, other) => one == other,
            };
            if code == "ST" && !self.to.as_ref().is_some_and(|(to, _)| is_its_own(to)) {
                let why = "is ST: another place than that of the shipment";
                return Err(segment.refused("destination_per_line", 1, why));
            }
            return Ok(());
        }
        let known = match code {
            "SF" => (Party::From, &mut self.from),
            "ST" => (Party::To, &mut self.to),
            _ => {
                self.party = Party::Other;
                return Ok(());
            }
        };
        self.party = known.0;
        if let Some((_, before)) = known.1.replace((place, *segment)) {
            let why = format!("is {code}, as segment {} is", before.at);
            return Err(segment.refused("party_doubled", 1, &why));
        }
        Ok(())
    }

    fn address(&mut self, segment: &Segment<'a>) {
        let place = match self.party {
            Party::From => &mut self.from,
            Party::To => &mut self.to,
            Party::None | Party::Other => return,
        };
        let Some((ShipmentPlace { address, .. }, _)) = place else { return };
        let text = |element| segment.get(element).map(Text::from);
        match segment.id() {
            "N2" => {
                append(&mut address.company, segment.get(1), " ");
                append(&mut address.company, segment.get(2), " ");
            }
            "N3" => {
                for line in [segment.get(1), segment.get(2)] {
                    match address.line1 {
                        None => address.line1 = line.map(Text::from),
                        Some(_) => append(&mut address.line2, line, ", "),
                    }
                }
            }
            "N4" => {
                address.city = text(1);
                address.region_code = text(2);
                address.postal_code = text(3);
                address.country_code = text(4);
            }
            _ => {
                let phone = segment.pair_of(3, &["TE"]);
                address.phone = address.phone.take().or(phone.map(|(_, _, phone)| phone.into()));
            }
        }
    }

    /// The items, each with the order above it and the packages above and below it.
    fn lines(&mut self) -> Result<Vec<ShipmentLine<'a>>, MapError> {
        for at in 0..self.levels.len() {
            for above in self.above(at).into_iter().skip(1) {
                if self.levels[above].kind == Kind::Item {
                    self.levels[above].below.push(at);
                }
            }
        }
        let mut lines = Vec::new();
        for at in 0..self.levels.len() {
            if self.levels[at].kind != Kind::Item {
                continue;
            }
            let mut line = std::mem::take(&mut self.levels[at].item).close(&self.levels[at].segment)?;
            let mut related: Vec<usize> = self.above(at);
            line.order_id = related.iter().find_map(|above| self.levels[*above].order.clone());
            if let Some(above) = related.iter().find(|above| self.levels[**above].kind == Kind::Order)
                && line.order_id.is_none()
            {
                let why = "is an order, and has no PRF";
                return Err(self.levels[*above].segment.refused("order_missing", 3, why));
            }
            related.extend_from_slice(&self.levels[at].below);
            for related in related {
                let Level { kind, marks, .. } = &self.levels[related];
                match kind {
                    Kind::Package => line.package_ids.extend_from_slice(marks),
                    Kind::Pallet => line.pallet_ids.extend_from_slice(marks),
                    Kind::Item if related != at => {
                        let why = "is an item within an item";
                        return Err(self.levels[related.max(at)].segment.refused(
                            "parts_unsupported",
                            3,
                            why,
                        ));
                    }
                    Kind::Shipment | Kind::Order | Kind::Item => {}
                }
            }
            lines.push(line);
        }
        Ok(lines)
    }

    /// A level and those above it, the nearest first.
    fn above(&self, at: usize) -> Vec<usize> {
        std::iter::successors(Some(at), |at| self.levels[*at].parent).collect()
    }
}

impl<'a> Item<'a> {
    /// `SN1*1*24*EA**30*EA`: 24 shipped, of 30 ordered.
    fn shipped(&mut self, segment: &Segment<'a>, notes: &mut Vec<MapError>) -> Result<(), MapError> {
        if self.shipped.replace(*segment).is_some() {
            return Err(segment.refused("quantity_unsupported", 2, "is a second quantity of the item"));
        }
        let whole = |element| match segment.get(element) {
            Some(stated) => quantity::level(&x12::decimal(stated), || segment.path(element)).map(Some),
            None => Ok(None),
        };
        let to_date = segment.get(4).map(|_| segment.refused("quantity_left_out", 4, "is shipped to date"));
        notes.extend(to_date);
        self.line.quantity = whole(2)?.unwrap_or_default();
        self.line.unit = segment.get(3).map(Text::from);
        self.line.ordered_quantity = whole(5)?;
        let of_order = segment.get(6).filter(|unit| self.line.unit.as_deref() != Some(unit));
        self.line.ordered_unit = of_order.filter(|_| segment.get(5).is_some()).map(Text::from);
        Ok(())
    }

    /// Any other segment of an item; whether it is one that only items have.
    fn read(&mut self, segment: &Segment<'a>, code: &str) -> Result<bool, MapError> {
        match segment.id() {
            "LIN" => self.article(segment)?,
            "PID" if self.in_parts || !matches!(segment.get(2), None | Some("08")) => {}
            "PID" => {
                if let Some(text) = segment.get(5) {
                    self.line.title.get_or_insert(cut(text.into(), TITLE_CHARS_MAX));
                }
            }
            "REF" if code == "LT" => self.line.lot = segment.get(2).map(Text::from),
            "DTM" if code == "036" => {
                let day = time::compact_day(segment.required(2)?, &segment.path(2))?;
                self.line.expires_on = Some(day.into());
            }
            "CLD" => {
                let whole = |element| {
                    quantity::level(&x12::decimal(segment.required(element)?), || segment.path(element))
                };
                let of_these = whole(1)?.saturating_mul(whole(2)?);
                let before = self.loads.map_or(0, |(sum, _)| sum);
                self.loads = Some((before.saturating_add(of_these), *segment));
            }
            "SLN" => {
                self.in_parts = true;
                if segment.get(3) != Some("O") {
                    return Err(segment.refused(
                        "parts_unsupported",
                        4,
                        "is a quantity of a part of the item",
                    ));
                }
            }
            "SDQ" => {
                let why = "divides the item among several places";
                return Err(segment.refused("destination_per_line", 1, why));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn article(&mut self, segment: &Segment<'a>) -> Result<(), MapError> {
        if std::mem::replace(&mut self.article, true) {
            return Err(segment.refused("quantity_unsupported", 2, "is a second article of the item"));
        }
        let Some((element, _, sku)) = segment.pair_of(2, &ARTICLE_QUALIFIERS) else {
            let why = format!("and the elements behind it have none of {}", ARTICLE_QUALIFIERS.join(", "));
            return Err(segment.refused("article_missing", 2, &why));
        };
        self.line.sku = Some(identifier(sku.into(), SKU_CHARS_MAX, || segment.path(element))?);
        self.line.gtin = segment
            .pair_of(2, &GTIN_QUALIFIERS)
            .map(|(_, _, gtin)| Text::from(gtin))
            .filter(|gtin| is_gtin(gtin));
        self.line.line_id = segment.get(1).and_then(Id::new);
        Ok(())
    }

    fn close(self, level: &Segment<'a>) -> Result<ShipmentLine<'a>, MapError> {
        if !self.article {
            return Err(level.refused("article_missing", 3, "is an item, and has no LIN"));
        }
        if self.shipped.is_none() {
            return Err(level.refused("quantity_missing", 3, "is an item, and has no SN1"));
        }
        match &self.loads {
            Some((sum, segment)) if *sum != self.line.quantity => {
                let why = format!("and the others come to {sum}, and SN102 is {}", self.line.quantity);
                Err(segment.refused("quantity_mismatch", 2, &why))
            }
            _ => Ok(self.line),
        }
    }
}

/// Adds to a text what a second segment of the same kind says.
fn append<'a>(text: &mut Option<Text<'a>>, more: Option<&'a str>, between: &str) {
    let Some(more) = more else { return };
    match text {
        None => *text = Some(more.into()),
        Some(text) => *text.to_mut() += &format!("{between}{more}"),
    }
}

mapper_sdk::export_mapper!(map);
