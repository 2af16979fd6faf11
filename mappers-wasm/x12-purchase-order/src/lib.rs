//! EDI X12 850, Purchase Order (release 004010) → `OrderPlaced` 1.0: one event for every transaction set.
//!
//! - `orderId` is the purchase order's number, `BEG03`. Only an original (`BEG01` 00) is taken: a change or a cancellation is
//!   another event.
//! - The currency is `CUR02`; where there is no `CUR`, US dollars, as agreed with the partner.
//! - A line is a `PO1` with the `PID`, `SAC` and `TXI` behind it. Allowances are its discount.
//! - Charges of the heading are freight (`SAC02` D240) or fees; `SAC05` is in hundredths by the standard (type N2).
//! - `CTT01` (lines) and `CTT02` (hash total of quantities) are checked. `AMT` TT is the total that the partner states: that of
//!   the goods, or with all charges; another one is refused.
//! - The time is that of `BEG05`, and of `GS` where that has the same day. Times are read as UTC.
//!
//! `ISA15` T makes test orders.

mod line;

use line::{Amounts, LineParts};
use mapper_sdk::canonical::{
    Address, Canonical as _, Customer, OrderPlaced, ShippingLine, TaxLine, Text, Totals,
};
use mapper_sdk::json::Id;
use mapper_sdk::money::{self, Currency, Minor};
use mapper_sdk::x12::{self, Segment, Set};
use mapper_sdk::{CanonicalEvent, MapError, Mapped, Meta, time};

/// Where the partner sends no `CUR`.
const CURRENCY_AGREED: &str = "USD";
/// `SAC02` of freight.
const FREIGHT: &str = "D240";

/// The orders of one interchange.
///
/// # Errors
/// Those of X12, of money, of quantities and of times; `x12_segment_missing`, `purpose_unsupported`, `lines_missing`,
/// `price_basis_unsupported`, `x12_lines_count`, `x12_hash_total`, `total_mismatch`, `allowance_unknown`,
/// `order_doubled`, `rate_invalid`.
pub fn map<'a>(_: &Meta<'a>, payload: &'a [u8]) -> Mapped<OrderPlaced<'a>> {
    let interchanges = x12::interchanges_of("850", payload)?;
    let mut events: Vec<CanonicalEvent<OrderPlaced<'a>>> = Vec::new();
    let sets = interchanges.iter().flat_map(|one| one.sets.iter().map(|set| (set, one.is_test())));
    for (set, test) in sets {
        let event = order(set, test)?;
        if events.iter().any(|before| before.data.order_id == event.data.order_id) {
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
    let number = begin.required(3)?;
    let order_id = Id::new(number).ok_or_else(|| begin.refused("x12_element_invalid", 3, "is too long"))?;
    let day = begin.required(5)?;
    let of_group = set.group.get(5).filter(|_| set.group.get(4) == Some(day));
    let occurred_at = time::compact(day, of_group, &begin.path(5))?;

    let currency = currency(set)?;
    let mut heading = Heading::new(currency);
    let mut lines: Vec<LineParts<'a>> = Vec::new();
    for segment in &set.segments[1..] {
        match (segment.id(), lines.last_mut()) {
            ("PO1", _) => lines.push(LineParts::open(segment, currency, lines.len())?),
            ("CTT", _) => line::counted(segment, &lines)?,
            ("AMT", _) if segment.get(1) == Some("TT") => {
                heading.stated = Some((amount(currency, segment, 2)?, *segment));
            }
            (_, Some(line)) => line.detail(segment, currency)?,
            (_, None) => heading.read(segment)?,
        }
    }
    if lines.is_empty() {
        return Err(MapError::new("lines_missing", set.header.path(0), format!("order {number} has no PO1")));
    }
    let totals = heading.totals(&lines, || begin.path(3))?;
    let data = OrderPlaced {
        order_name: Some(number.into()),
        order_id,
        status: None,
        vendor_status: None,
        payment_status: None,
        fulfillment_status: None,
        currency: heading.code,
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

fn currency(set: &Set<'_>) -> Result<Currency, MapError> {
    match set.segments.iter().find(|segment| segment.id() == "CUR") {
        Some(segment) => Currency::parse(segment.required(2)?, &segment.path(2)),
        None => Currency::parse(CURRENCY_AGREED, ""),
    }
}

/// An element of type R: decimal text.
fn amount(currency: Currency, segment: &Segment<'_>, element: usize) -> Result<Minor, MapError> {
    line::decimal(currency, segment.required(element)?, || segment.path(element))
}

/// What is before the first `PO1`.
struct Heading<'a> {
    currency: Currency,
    code: Text<'a>,
    delivery: Option<Text<'a>>,
    note: Option<String>,
    customer: Customer<'a>,
    billing: Address<'a>,
    shipping: Address<'a>,
    party: Party,
    freight: Vec<ShippingLine<'a>>,
    taxes: Vec<TaxLine<'a>>,
    discounts: Vec<Minor>,
    fees: Vec<Minor>,
    stated: Option<(Minor, Segment<'a>)>,
}

/// Whose address the segments behind an `N1` are.
#[derive(Clone, Copy)]
enum Party {
    Billing,
    Shipping,
    Other,
}

impl<'a> Heading<'a> {
    fn new(currency: Currency) -> Self {
        Self {
            currency,
            code: currency.code().to_owned().into(),
            delivery: None,
            note: None,
            customer: Customer::default(),
            billing: Address::default(),
            shipping: Address::default(),
            party: Party::Other,
            freight: Vec::new(),
            taxes: Vec::new(),
            discounts: Vec::new(),
            fees: Vec::new(),
            stated: None,
        }
    }

    fn read(&mut self, segment: &Segment<'a>) -> Result<(), MapError> {
        let text = |element| segment.get(element).map(Text::from);
        match segment.id() {
            // Delivery requested.
            "DTM" if segment.get(1) == Some("002") => {
                self.delivery = Some(time::compact_day(segment.required(2)?, &segment.path(2))?.into());
            }
            "PER" => {
                for (_, qualifier, value) in segment.pairs(3) {
                    match qualifier {
                        "TE" => self.customer.phone = Some(value.into()),
                        "EM" => self.customer.email = Some(value.into()),
                        _ => {}
                    }
                }
            }
            "MSG" => {
                if let Some(text) = segment.get(1) {
                    let note = self.note.get_or_insert_default();
                    if !note.is_empty() {
                        note.push('\n');
                    }
                    note.push_str(text);
                }
            }
            "N1" => {
                let name = text(2);
                self.party = match segment.get(1) {
                    Some("BT") => Party::Billing,
                    Some("ST") => Party::Shipping,
                    Some("BY") => {
                        self.customer.customer_id = segment.get(4).and_then(Id::new);
                        Party::Other
                    }
                    _ => Party::Other,
                };
                if let Some(address) = self.address() {
                    address.name = name;
                }
            }
            "N2" => {
                if let Some(address) = self.address() {
                    address.company = text(1);
                }
            }
            "N3" => {
                if let Some(address) = self.address() {
                    address.line1 = text(1);
                    address.line2 = text(2);
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
                Amounts::Off(minor) => self.discounts.push(minor),
                Amounts::Charge(price_minor) if segment.get(2) == Some(FREIGHT) => {
                    let (title, code) = (text(15), text(2));
                    self.freight.push(ShippingLine {
                        title,
                        code,
                        price_minor,
                        discount_minor: 0,
                        tax_minor: 0,
                    });
                }
                Amounts::Charge(minor) => self.fees.push(minor),
            },
            "TXI" => self.taxes.push(TaxLine {
                title: text(1),
                rate: line::rate(segment)?,
                amount_minor: amount(self.currency, segment, 2)?,
            }),
            _ => {}
        }
        Ok(())
    }

    fn address(&mut self) -> Option<&mut Address<'a>> {
        match self.party {
            Party::Billing => Some(&mut self.billing),
            Party::Shipping => Some(&mut self.shipping),
            Party::Other => None,
        }
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
        if let Some((stated, segment)) = &self.stated
            && ![all, goods, gross].contains(stated)
        {
            let why = format!("states {stated} in minor units; the goods are {goods}, and all of it {all}");
            return Err(segment.refused("total_mismatch", 2, &why));
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
        })
    }
}

mapper_sdk::export_mapper!(map);
