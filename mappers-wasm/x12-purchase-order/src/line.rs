//! The lines of an order, and what lines and heading have in common: allowances, charges, taxes, sums that are checked.

use mapper_sdk::MapError;
use mapper_sdk::canonical::{Line, Text};
use mapper_sdk::json::{Decimal, Id};
use mapper_sdk::money::{self, Currency, Minor};
use mapper_sdk::quantity;
use mapper_sdk::x12::Segment;

/// `PO105`, the basis of a price, where the price is that of one: none stated, per each, contract, quoted, wholesale each.
const BASES_EACH: [&str; 4] = ["PE", "CT", "QT", "WE"];
const SKU_QUALIFIERS: [&str; 6] = ["SK", "VN", "VP", "BP", "IN", "UP"];

/// One `PO1` and what is behind it.
pub(crate) struct LineParts<'a> {
    id: Id<'a>,
    product: Option<Id<'a>>,
    sku: Option<Text<'a>>,
    title: Option<Text<'a>>,
    quantity: i64,
    unit: Option<Text<'a>>,
    price: Minor,
    pub(crate) subtotal: Minor,
    pub(crate) discount: Minor,
    pub(crate) tax: Minor,
    pub(crate) fees: Vec<Minor>,
}

/// A `SAC`.
pub(crate) enum Amounts {
    Off(Minor),
    Charge(Minor),
}

impl<'a> LineParts<'a> {
    pub(crate) fn open(segment: &Segment<'a>, currency: Currency, before: usize) -> Result<Self, MapError> {
        let quantity = quantity::level(segment.required(2)?, || segment.path(2))?;
        if quantity == 0 {
            return Err(segment.refused("quantity_invalid", 2, "is 0, which is no number of things ordered"));
        }
        if let Some(basis) = segment.get(5).filter(|basis| !BASES_EACH.contains(basis)) {
            let why = format!("is {basis}: a price is taken of one ({})", BASES_EACH.join(", "));
            return Err(segment.refused("price_basis_unsupported", 5, &why));
        }
        let price = decimal(currency, segment.required(4)?, || segment.path(4))?;
        let subtotal = price
            .checked_mul(quantity)
            .filter(|subtotal| (-money::MINOR_MAX..=money::MINOR_MAX).contains(subtotal))
            .ok_or_else(|| segment.refused("amount_out_of_range", 4, "times PO102 is too large"))?;
        let id = match segment.get(1) {
            Some(stated) => Id::new(stated),
            None => Id::new((before + 1).to_string()),
        };
        let named = |wanted: &[&str]| {
            wanted.iter().find_map(|wanted| {
                segment.pairs(6).find(|(_, qualifier, _)| qualifier == wanted).map(|(_, _, value)| value)
            })
        };
        Ok(Self {
            id: id.ok_or_else(|| segment.refused("x12_element_invalid", 1, "is too long"))?,
            product: named(&["UP", "EN", "UK"]).and_then(Id::new),
            sku: named(&SKU_QUALIFIERS).map(Text::from),
            title: None,
            quantity,
            unit: segment.get(3).map(Text::from),
            price,
            subtotal,
            discount: 0,
            tax: 0,
            fees: Vec::new(),
        })
    }

    /// A segment behind the `PO1`.
    pub(crate) fn detail(&mut self, segment: &Segment<'a>, currency: Currency) -> Result<(), MapError> {
        let path = || segment.path(5);
        match segment.id() {
            "PID" => {
                if let Some(text) = segment.get(5) {
                    self.title.get_or_insert(text.into());
                }
            }
            "SAC" => match allowance(segment, currency)? {
                Amounts::Off(minor) => self.discount = money::sum([Ok(self.discount), Ok(minor)], path)?,
                Amounts::Charge(minor) => self.fees.push(minor),
            },
            "TXI" => {
                let tax = decimal(currency, segment.required(2)?, || segment.path(2));
                self.tax = money::sum([Ok(self.tax), tax], || segment.path(2))?;
            }
            _ => {}
        }
        Ok(())
    }

    pub(crate) fn total(&self) -> Minor {
        self.subtotal - self.discount
    }

    pub(crate) fn close(self) -> Line<'a> {
        Line {
            total_minor: self.total(),
            line_id: self.id,
            product_id: self.product,
            variant_id: None,
            sku: self.sku,
            title: self.title,
            variant_title: None,
            quantity: self.quantity,
            unit: self.unit,
            unit_price_minor: Some(self.price),
            subtotal_minor: None,
            discount_minor: self.discount,
            tax_minor: self.tax,
            requires_shipping: true,
            gift_card: false,
            presentment: None,
        }
    }
}

/// `CTT01` is the number of lines, `CTT02`, if there, the sum of their quantities.
pub(crate) fn counted(trailer: &Segment<'_>, lines: &[LineParts<'_>]) -> Result<(), MapError> {
    let stated = trailer.required(1)?;
    if stated.parse() != Ok(lines.len()) {
        let why = format!("states {stated} lines, and there are {}", lines.len());
        return Err(trailer.refused("x12_lines_count", 1, &why));
    }
    let Some(stated) = trailer.get(2) else { return Ok(()) };
    let sum = lines.iter().map(|line| line.quantity).fold(0_i64, i64::saturating_add);
    if quantity::whole(stated, || trailer.path(2))? == sum {
        return Ok(());
    }
    Err(trailer.refused("x12_hash_total", 2, &format!("states {stated} pieces in all, and there are {sum}")))
}

/// `SAC*A` takes off, `SAC*C` adds. `SAC05` is in hundredths of the currency's unit, without a point.
pub(crate) fn allowance(segment: &Segment<'_>, currency: Currency) -> Result<Amounts, MapError> {
    let hundredths = segment.required(5)?;
    let (sign, digits) = hundredths.strip_prefix('-').map_or(("", hundredths), |digits| ("-", digits));
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(segment.refused(
            "amount_invalid",
            5,
            &format!("{hundredths:?} is no number of hundredths"),
        ));
    }
    let padded = format!("{digits:0>3}");
    let (units, cents) = padded.split_at(padded.len() - 2);
    let minor = decimal(currency, &format!("{sign}{units}.{cents}"), || segment.path(5))?;
    match segment.get(1) {
        Some("A") => Ok(Amounts::Off(minor)),
        Some("C") => Ok(Amounts::Charge(minor)),
        other => {
            let why = format!("is {:?}; A is an allowance, C a charge", other.unwrap_or_default());
            Err(segment.refused("allowance_unknown", 1, &why))
        }
    }
}

/// `TXI03`, per cent, as a rate.
pub(crate) fn rate<'a>(segment: &Segment<'a>) -> Result<Option<Decimal<'a>>, MapError> {
    let Some(percent) = segment.get(3) else { return Ok(None) };
    let rate = Decimal::from_percent(&Decimal::new(percent))
        .ok_or_else(|| segment.refused("rate_invalid", 3, &format!("{percent:?} is not a percentage")))?;
    Ok(Some(rate))
}

/// An element of type R. X12 allows a number to begin or end with its point.
pub(crate) fn decimal(
    currency: Currency,
    text: &str,
    path: impl FnOnce() -> String,
) -> Result<Minor, MapError> {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    if digits.len() > 1 && (digits.starts_with('.') || digits.ends_with('.')) {
        let digits = digits.strip_suffix('.').unwrap_or(digits);
        let zero = if digits.starts_with('.') { "0" } else { "" };
        return currency.minor(&Decimal::new(format!("{sign}{zero}{digits}")), path);
    }
    currency.minor(&Decimal::new(text), path)
}
