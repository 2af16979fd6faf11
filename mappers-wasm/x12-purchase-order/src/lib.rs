//! EDI X12 850, Purchase Order (release 004010) → `OrderPlaced` 1.0: one event for every
//! transaction set.
//!
//! A file may hold several interchanges and transaction sets. The whole file is taken or refused.
//! `ISA15` T makes test orders. Every segment of the standard is placed, left out or refused:
//!
//! - `BEG`: `BEG03` is the order's id, `BEG05` its time, with that of `GS` where that has the same
//!   day (UTC). `BEG01` is 00: a change or a cancellation is another event. `BEG02` BE is refused:
//!   its quantities are estimates.
//! - `CUR`: `CUR02` is the currency; without a heading's `CUR`, US dollars, as agreed with the
//!   partner. A part in another one is refused.
//! - `PO1`: a line. `PO102` is whole; `PO104` is the price of as many units as `PO105` says
//!   (`line.rs` has the table), scaled exactly. Where one piece is no whole number of minor units,
//!   the line states its amount alone.
//! - `SAC`: A is a discount, C freight (`SAC02` D240 in the heading) or a fee; `SAC05` is in
//!   hundredths (type N2). A percentage or a rate without `SAC05` is refused, and what is not on
//!   the invoice (`SAC12`).
//! - `TXI`: a tax; a percentage without an amount is refused; `TXI07` O is for information.
//! - `AMT`: TT is the total: of the goods, or with all charges. 1 is that of a line, or of all
//!   lines. Another total, or another amount, is refused.
//! - `CTT`: `CTT01` is the number of lines, `CTT02`, if there, the sum of `PO102`.
//! - `DTM` 002: of the heading: the requested delivery date. Other dates, and those of lines, are
//!   left out.
//! - `N1` BT, ST, BY with `N2`, `N3`, `N4`, `PER`: addresses and the customer's id; a second, other
//!   ship-to is refused. Other parties are left out.
//! - `PER` BD, OC, IC, CN: of the heading: the customer's telephone and mail.
//! - `MSG`, `NTE`: of the heading: the note.
//! - `PID`: of a line: its title, where `PID02` is empty or 08 (product).
//! - `SCH`: refused unless all of a line come to `PO102`; its dates are left out.
//! - `SDQ`, `N1` ST, `SCH03` of a line: refused: a line has no destination of its own.
//! - `CTP` of a line: left out where it is a retail price, or that of `PO104`; else refused.
//! - `SLN`: left out where it is for information (`SLN03` O) and has no price; else refused.
//! - `QTY`, `PO3`, `IT3`, `PAM`, `DIS`, `PCT`, `CTP` of the heading, `MEA` CT: refused: quantities,
//!   prices and percentages that an order has no place for.
//! - `ITD`, `INC`, `CSH`, `CN1`, `CTB`, `IT8`: left out: terms of payment, limits and contracts do
//!   not change what is ordered.
//! - `PO4`, `PKG`, `MAN`, `MEA`, `TD1`, `TD3`, `TD4`, `TD5`, `FOB`, `LDT`: left out: packages,
//!   weights and transport.
//! - `REF`, `N9`, `TAX`, `LIN`, `SI`, `TC2`, `PWK`, `NX2`, `LM`, `LQ`, `SPI`, `CB1`, `G61`, `ADV`,
//!   `MTX`, `FA1`, `FA2`, `LS`/`LE`: left out: references, codes, texts, accounts.
//! - any other: refused: it is no segment of this transaction set.

mod line;

use line::{Amounts, LineParts, amount};
use mapper_sdk::canonical::{
    Address, Canonical as _, Customer, OrderPlaced, ShippingLine, TaxLine, Text, Totals,
};
use mapper_sdk::json::Id;
use mapper_sdk::money::{self, Currency, Minor};
use mapper_sdk::text::Seen;
use mapper_sdk::x12::{self, Segment, Set};
use mapper_sdk::{CanonicalEvent, MapError, Mapped, Meta, time};

/// Where the partner sends no `CUR`.
const CURRENCY_AGREED: &str = "USD";
/// `SAC02` of freight.
const FREIGHT: &str = "D240";
/// `PER01` of someone on the buyer's side: buyer, order contact, information contact, general
/// contact.
const CONTACTS: [&str; 4] = ["BD", "OC", "IC", "CN"];

/// The orders of one file.
///
/// # Errors
/// Those of X12, of money, of quantities and of times; `x12_segment_missing`,
/// `x12_segment_unsupported`, `purpose_unsupported`, `order_type_unsupported`, `lines_missing`,
/// `price_basis_unsupported`, `price_unsupported`, `x12_lines_count`, `x12_hash_total`,
/// `total_mismatch`, `amount_unsupported`, `allowance_unknown`, `allowance_amount_missing`,
/// `tax_amount_missing`, `currency_mixed`, `party_doubled`, `date_doubled`, `destination_per_line`,
/// `parts_unsupported`, `quantity_mismatch`, `unit_mismatch`, `order_doubled`, `rate_invalid`.
pub fn map<'a>(_: &Meta<'a>, payload: &'a [u8]) -> Mapped<OrderPlaced<'a>> {
    let interchanges = x12::interchanges_of("850", payload)?;
    let mut events: Vec<CanonicalEvent<OrderPlaced<'a>>> = Vec::new();
    let mut seen: Seen<String> = Seen::default();
    let sets = interchanges.iter().flat_map(|one| one.sets.iter().map(|set| (set, one.is_test())));
    for (set, test) in sets {
        let event = order(set, test)?;
        if seen.insert(event.data.order_id.as_str().to_owned(), ()).is_some() {
            let why = format!("{} is in the file twice", event.data.order_id.as_str());
            return Err(set.segments[0].refused("order_doubled", 3, &why));
        }
        events.push(event);
    }
    Ok(events)
}

fn order<'a>(set: &Set<'a>, test: bool) -> Result<CanonicalEvent<OrderPlaced<'a>>, MapError> {
    let Some(begin) = set.segments.first().filter(|segment| segment.id() == "BEG") else {
        let why = format!("segment {}, ST: no BEG follows", set.header.at);
        return Err(MapError::new("x12_segment_missing", set.header.path(0), why));
    };
    if begin.get(1) != Some("00") {
        let why = format!(
            "is {:?}: only an original order, 00, is one that was placed",
            begin.get(1).unwrap_or_default()
        );
        return Err(begin.refused("purpose_unsupported", 1, &why));
    }
    if begin.get(2) == Some("BE") {
        let why = "is BE, a blanket order: its quantities are estimates";
        return Err(begin.refused("order_type_unsupported", 2, why));
    }
    let number = begin.required(3)?;
    let order_id = Id::new(number).ok_or_else(|| begin.refused("x12_element_invalid", 3, "is too long"))?;
    let day = begin.required(5)?;
    let of_group = set.group.get(5).filter(|_| set.group.get(4) == Some(day));
    let occurred_at = time::compact(day, of_group, &begin.path(5))?;

    let mut heading = Heading::new(currency(set)?);
    let mut lines: Vec<LineParts<'a>> = Vec::new();
    let mut summary = false;
    for segment in &set.segments[1..] {
        match (segment.id(), lines.last_mut()) {
            ("PO1", _) => lines.push(LineParts::open(segment, heading.currency, lines.len())?),
            ("CTT", _) => {
                summary = true;
                line::counted(segment, &lines)?;
            }
            ("AMT", line) => heading.total(segment, line.filter(|_| !summary))?,
            (_, Some(line)) => line.detail(segment, heading.currency)?,
            (_, None) => heading.read(segment)?,
        }
    }
    if lines.is_empty() {
        return Err(MapError::new("lines_missing", set.header.path(0), format!("order {number} has no PO1")));
    }
    if !summary {
        heading.of_goods.extend(lines.last_mut().and_then(LineParts::amount_of_all));
    }
    lines.iter().try_for_each(LineParts::check)?;
    let totals = heading.totals(&lines, || begin.path(3))?;
    let data = OrderPlaced {
        order_name: Some(number.into()),
        order_id,
        status: None,
        vendor_status: None,
        payment_status: None,
        fulfillment_status: None,
        currency: heading.currency.code().to_owned().into(),
        channel: Some("EDI".into()),
        test,
        taxes_included: false,
        requested_delivery_date: heading.delivery,
        note: heading.note.map(Text::from),
        customer: heading.customer.known(),
        billing_address: heading.billing.known(),
        shipping_address: heading.shipping.known(),
        lines: lines.into_iter().map(LineParts::close).collect(),
        shipping_lines: heading.freight,
        discount_codes: Vec::new(),
        tax_lines: heading.taxes,
        totals,
        presentment: None,
    };
    Ok(data.at(occurred_at))
}

/// That of the heading's `CUR`, which is before every loop.
fn currency(set: &Set<'_>) -> Result<Currency, MapError> {
    let mut heading = set.segments.iter().take_while(|segment| !matches!(segment.id(), "SAC" | "PO1"));
    match heading.find(|segment| segment.id() == "CUR") {
        Some(segment) => Currency::parse(segment.required(2)?, &segment.path(2)),
        None => Currency::parse(CURRENCY_AGREED, ""),
    }
}

/// What is before the first `PO1`.
struct Heading<'a> {
    currency: Currency,
    delivery: Option<Text<'a>>,
    note: Option<String>,
    customer: Customer<'a>,
    billing: Address<'a>,
    shipping: Address<'a>,
    ship_to: Option<Segment<'a>>,
    within: Within,
    freight: Vec<ShippingLine<'a>>,
    taxes: Vec<TaxLine<'a>>,
    discounts: Vec<Minor>,
    fees: Vec<Minor>,
    /// `AMT` TT.
    stated: Vec<(Minor, Segment<'a>)>,
    /// `AMT` 1 of all lines.
    of_goods: Vec<(Minor, Segment<'a>)>,
}

/// Which loop the heading's segments are of: what a segment says is of the loop that it is in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Order,
    Billing,
    Shipping,
    Buyer,
    /// Another party, a note, a specification: only its text is read.
    Other,
}

impl<'a> Heading<'a> {
    fn new(currency: Currency) -> Self {
        Self {
            currency,
            delivery: None,
            note: None,
            customer: Customer::default(),
            billing: Address::default(),
            shipping: Address::default(),
            ship_to: None,
            within: Within::Order,
            freight: Vec::new(),
            taxes: Vec::new(),
            discounts: Vec::new(),
            fees: Vec::new(),
            stated: Vec::new(),
            of_goods: Vec::new(),
        }
    }

    fn read(&mut self, segment: &Segment<'a>) -> Result<(), MapError> {
        let text = |element| segment.get(element).map(Text::from);
        match segment.id() {
            "DTM" if segment.get(1) == Some("002") && self.within == Within::Order => {
                let day = Text::from(time::compact_day(segment.required(2)?, &segment.path(2))?);
                if self.delivery.as_ref().is_some_and(|before| *before != day) {
                    let why = "is another day than the DTM 002 before";
                    return Err(segment.refused("date_doubled", 2, why));
                }
                self.delivery = Some(day);
            }
            "PER" => self.contact(segment),
            "MSG" => self.remark(segment.get(1)),
            "NTE" => self.remark(segment.get(2)),
            "N1" => self.party(segment)?,
            "N2" => {
                if let Some(address) = self.address() {
                    append(&mut address.company, segment.get(1), " ");
                    append(&mut address.company, segment.get(2), " ");
                }
            }
            "N3" => {
                if let Some(address) = self.address() {
                    for line in [segment.get(1), segment.get(2)] {
                        match address.line1 {
                            None => address.line1 = line.map(Text::from),
                            Some(_) => append(&mut address.line2, line, ", "),
                        }
                    }
                }
            }
            "N4" => {
                if let Some(address) = self.address() {
                    address.city = text(1);
                    address.region_code = text(2);
                    address.postal_code = text(3);
                    address.country_code = text(4);
                }
            }
            "SAC" => match line::allowance(segment, self.currency)? {
                Some(Amounts::Off(minor)) => self.discounts.push(minor),
                Some(Amounts::Charge(price_minor)) if segment.get(2) == Some(FREIGHT) => {
                    let (title, code) = (text(15), text(2));
                    self.freight.push(ShippingLine {
                        title,
                        code,
                        price_minor,
                        discount_minor: 0,
                        tax_minor: 0,
                    });
                }
                Some(Amounts::Charge(minor)) => self.fees.push(minor),
                None => {}
            },
            "TXI" => {
                if let Some(amount_minor) = line::tax(segment, self.currency)? {
                    self.taxes.push(TaxLine { title: text(1), rate: line::rate(segment)?, amount_minor });
                }
            }
            "CUR" => line::same_currency(segment, self.currency)?,
            "N9" | "SPI" | "ADV" | "LM" | "CB1" => self.within = Within::Other,
            "MEA" if segment.get(1) == Some("CT") => return Err(line::stated_and_not_known(segment)),
            "CTP" | "PAM" | "DIS" | "PCT" => return Err(line::stated_and_not_known(segment)),
            "DTM" | "REF" | "TAX" | "FOB" | "CSH" | "TC2" | "ITD" | "INC" | "LDT" | "LIN" | "SI" | "PID"
            | "MEA" | "PWK" | "PKG" | "TD1" | "TD5" | "TD3" | "TD4" | "MAN" | "CTB" | "FA1" | "FA2"
            | "NX2" | "LQ" | "G61" | "MTX" => {}
            _ => return Err(line::unsupported(segment)),
        }
        Ok(())
    }

    fn remark(&mut self, text: Option<&str>) {
        let Some(text) = text else { return };
        let note = self.note.get_or_insert_default();
        if !note.is_empty() {
            note.push('\n');
        }
        note.push_str(text);
    }

    /// The contact is that of the order, or of the party that it is behind.
    fn contact(&mut self, segment: &Segment<'a>) {
        let buyers = segment.get(1).is_some_and(|code| CONTACTS.contains(&code));
        for (_, qualifier, value) in segment.pairs(3) {
            match (qualifier, self.within) {
                ("TE", Within::Billing | Within::Shipping) => {
                    if let Some(address) = self.address() {
                        address.phone.get_or_insert(value.into());
                    }
                }
                ("TE", Within::Buyer | Within::Order) if buyers => {
                    self.customer.phone.get_or_insert(value.into());
                }
                ("EM", Within::Buyer | Within::Order) if buyers => {
                    self.customer.email.get_or_insert(value.into());
                }
                _ => {}
            }
        }
    }

    fn party(&mut self, segment: &Segment<'a>) -> Result<(), MapError> {
        self.within = match segment.get(1) {
            Some("BT") => Within::Billing,
            Some("ST") => Within::Shipping,
            Some("BY") => Within::Buyer,
            _ => Within::Other,
        };
        if self.within == Within::Buyer {
            self.customer.customer_id = segment.get(4).and_then(Id::new);
        }
        if self.within == Within::Shipping
            && let Some(before) = self.ship_to.replace(*segment)
        {
            let why = format!("is ST, as segment {} is: an order goes to one place", before.at);
            return Err(segment.refused("party_doubled", 1, &why));
        }
        if let Some(address) = self.address() {
            address.name = segment.get(2).map(Text::from);
        }
        Ok(())
    }

    fn address(&mut self) -> Option<&mut Address<'a>> {
        match self.within {
            Within::Billing => Some(&mut self.billing),
            Within::Shipping => Some(&mut self.shipping),
            Within::Order | Within::Buyer | Within::Other => None,
        }
    }

    /// An `AMT`, of the order or of the line that it is behind.
    fn total(&mut self, segment: &Segment<'a>, line: Option<&mut LineParts<'a>>) -> Result<(), MapError> {
        match (segment.get(1), line) {
            (Some("TT"), _) => self.stated.push((amount(segment, self.currency, 2)?, *segment)),
            (_, Some(line)) => line.detail(segment, self.currency)?,
            (Some("1"), None) => self.of_goods.push((amount(segment, self.currency, 2)?, *segment)),
            (_, None) => return Err(line::amount_unsupported(segment)),
        }
        Ok(())
    }

    fn totals(&self, lines: &[LineParts<'_>], path: impl Fn() -> String) -> Result<Totals, MapError> {
        let total = |amounts: &mut dyn Iterator<Item = Minor>| money::sum(amounts.map(Ok), &path);
        let goods = total(&mut lines.iter().map(LineParts::total))?;
        let off = total(&mut self.discounts.iter().copied())?;
        let line_fees = lines.iter().flat_map(|line| line.fees.iter());
        let fees = total(&mut self.fees.iter().chain(line_fees).copied())?;
        let shipping = total(&mut self.freight.iter().map(|line| line.price_minor))?;
        let line_taxes = lines.iter().map(|line| line.tax);
        let tax = total(&mut self.taxes.iter().map(|line| line.amount_minor).chain(line_taxes))?;
        let all = total(&mut [goods, -off, fees, shipping, tax].into_iter())?;
        let gross = total(&mut lines.iter().map(|line| line.subtotal))?;
        let goods_only = self.of_goods.iter().map(|stated| (stated, [goods, gross, gross]));
        for ((stated, segment), known) in
            self.stated.iter().map(|stated| (stated, [all, goods, gross])).chain(goods_only)
        {
            if !known.contains(stated) {
                let why =
                    format!("states {stated} in minor units; the goods are {goods}, and all of it {all}");
                return Err(segment.refused("total_mismatch", 2, &why));
            }
        }
        let line_discounts = lines.iter().map(|line| line.discount);
        Ok(Totals {
            subtotal_minor: goods,
            discount_minor: total(&mut self.discounts.iter().copied().chain(line_discounts))?,
            shipping_minor: shipping,
            fees_minor: (fees != 0).then_some(fees),
            tax_minor: tax,
            tip_minor: 0,
            duties_minor: 0,
            total_minor: all,
            current_total_minor: None,
        })
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
