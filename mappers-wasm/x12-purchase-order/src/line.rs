//! The lines of an order, and what lines and heading have in common: prices, allowances, charges,
//! taxes, sums that are checked.

use mapper_sdk::MapError;
use mapper_sdk::canonical::{Line, Text};
use mapper_sdk::json::{Decimal, Id};
use mapper_sdk::money::{self, Currency, Minor};
use mapper_sdk::quantity;
use mapper_sdk::x12::{self, HashTotal, Segment};

/// `PO105` (X12 element 639) where the price is that of one of the units of `PO103`. Per each: PE,
/// of a contract TE, quoted QE, of a catalog LE, retail RE, wholesale WE; per unit of measure UM.
/// The others say what kind of price it is, and not of how many: net, contract, quoted, catalog,
/// standard, fixed, promotion, distributor, dealer, broker, retail, wholesale, posted, current.
const BASES_OF_ONE: [&str; 21] = [
    "PE", "TE", "QE", "LE", "RE", "WE", "UM", "NT", "CT", "QT", "CA", "ST", "FX", "PR", "DI", "DR", "BR",
    "RT", "WH", "PQ", "CP",
];
/// `PO105` where the price is that of a number of pieces: per ten, dozen, hundred, thousand,
/// 10,000, 100,000; plain, or of a catalog, a contract, quoted, retail, wholesale.
const BASES_OF_MANY: [(&[&str], i128); 6] = [
    (&["PN"], 10),
    (&["PD", "LD", "TD", "RD", "WD"], 12),
    (&["HP", "LC", "TC", "QH", "RC", "WC"], 100),
    (&["TP", "LM", "TM", "QS", "RM", "WM"], 1_000),
    (&["TT"], 10_000),
    (&["HT"], 100_000),
];
/// `PO103` of a piece: each, piece, unit. Of other units a hundred may be a hundred cases or a
/// hundred pieces.
const PIECES: [&str; 3] = ["EA", "PC", "UN"];
/// `PO105` by weight, length or volume, and the units of `PO103` of which it is the price of one:
/// pound, kilogram, gram, ounce, foot, yard, liter.
const BASES_OF_MEASURE: [(&str, &[&str]); 7] = [
    ("PP", &["LB"]),
    ("PK", &["KG"]),
    ("PG", &["GR"]),
    ("PO", &["OZ"]),
    ("PF", &["FT", "LF"]),
    ("PY", &["YD"]),
    ("PL", &["LT"]),
];
const SKU_QUALIFIERS: [&str; 6] = ["SK", "VN", "VP", "BP", "IN", "UP"];
/// `CTP02` of a price that is not the buyer's: resale, retail, the maker's suggestion.
const PRICES_OF_OTHERS: [&str; 4] = ["RES", "RTL", "MSR", "SUG"];

/// One `PO1` and what is behind it.
pub(crate) struct LineParts<'a> {
    id: Id<'a>,
    product: Option<Id<'a>>,
    sku: Option<Text<'a>>,
    title: Option<Text<'a>>,
    /// `PO102`, as sent.
    pub(crate) stated: &'a str,
    quantity: i64,
    unit: Option<&'a str>,
    price: Option<Minor>,
    pub(crate) subtotal: Minor,
    pub(crate) discount: Minor,
    pub(crate) tax: Minor,
    pub(crate) fees: Vec<Minor>,
    /// `AMT` 1: what the partner says the line comes to.
    amount: Option<(Minor, Segment<'a>)>,
    /// What the `SCH` come to.
    scheduled: Option<(i64, Segment<'a>)>,
    /// Behind an `SLN` that is for information.
    in_parts: bool,
}

/// A `SAC`.
pub(crate) enum Amounts {
    Off(Minor),
    Charge(Minor),
}

impl<'a> LineParts<'a> {
    pub(crate) fn open(segment: &Segment<'a>, currency: Currency, before: usize) -> Result<Self, MapError> {
        let stated = segment.required(2)?;
        let quantity = quantity::level(&x12::decimal(stated), || segment.path(2))?;
        if quantity == 0 {
            return Err(segment.refused("quantity_invalid", 2, "is 0, which is no number of things ordered"));
        }
        let (price, subtotal) = price(segment, currency, quantity)?;
        let id = match segment.get(1) {
            Some(stated) => Id::new(stated),
            None => Id::new((before + 1).to_string()),
        };
        let named = |wanted: &[&str]| segment.pair_of(6, wanted).map(|(_, _, value)| value);
        Ok(Self {
            id: id.ok_or_else(|| segment.refused("x12_element_invalid", 1, "is too long"))?,
            product: named(&["UP", "EN", "UK"]).and_then(Id::new),
            sku: named(&SKU_QUALIFIERS).map(Text::from),
            title: None,
            stated,
            quantity,
            unit: segment.get(3),
            price,
            subtotal,
            discount: 0,
            tax: 0,
            fees: Vec::new(),
            amount: None,
            scheduled: None,
            in_parts: false,
        })
    }

    /// A segment behind the `PO1`.
    pub(crate) fn detail(&mut self, segment: &Segment<'a>, currency: Currency) -> Result<(), MapError> {
        let code = segment.get(1).unwrap_or_default();
        match segment.id() {
            "PID" if !self.in_parts && matches!(segment.get(2), None | Some("08")) => {
                if let Some(text) = segment.get(5) {
                    self.title.get_or_insert(text.into());
                }
            }
            "SLN" => {
                self.in_parts = true;
                if segment.get(3) != Some("O") || segment.get(6).is_some() {
                    let why = "is a part of the line, with a quantity or a price of its own";
                    return Err(segment.refused("parts_unsupported", 1, why));
                }
            }
            "SAC" | "TXI" | "AMT" if self.in_parts => {
                return Err(segment.refused("parts_unsupported", 1, "is an amount of a part of the line"));
            }
            "SAC" => match allowance(segment, currency)? {
                Some(Amounts::Off(minor)) => {
                    self.discount = money::sum([Ok(self.discount), Ok(minor)], || segment.path(5))?;
                }
                Some(Amounts::Charge(minor)) => self.fees.push(minor),
                None => {}
            },
            "TXI" => {
                let tax = tax(segment, currency)?.unwrap_or(0);
                self.tax = money::sum([Ok(self.tax), Ok(tax)], || segment.path(2))?;
            }
            "AMT" if code == "1" => self.amount = Some((amount(segment, currency, 2)?, *segment)),
            "AMT" => return Err(amount_unsupported(segment)),
            "SCH" => self.schedule(segment)?,
            "CTP" => self.other_price(segment, currency)?,
            "MEA" if code == "CT" => {
                return Err(segment.refused("quantity_unsupported", 1, "is CT: it states counts"));
            }
            "N1" if code == "ST" => {
                let why = "is ST: a line that goes to a place of its own";
                return Err(segment.refused("destination_per_line", 1, why));
            }
            "SDQ" => {
                let why = "divides the line among several places";
                return Err(segment.refused("destination_per_line", 1, why));
            }
            "QTY" | "PO3" | "IT3" | "PAM" | "DIS" | "PCT" => return Err(stated_and_not_known(segment)),
            "CUR" => same_currency(segment, currency)?,
            "PID" | "LIN" | "SI" | "CN1" | "MEA" | "PWK" | "PO4" | "REF" | "PER" | "IT8" | "CSH" | "ITD"
            | "INC" | "TAX" | "FOB" | "DTM" | "TC2" | "TD1" | "TD5" | "TD3" | "TD4" | "MAN" | "MSG"
            | "SPI" | "CTB" | "PKG" | "LS" | "LE" | "LDT" | "N9" | "N1" | "N2" | "N3" | "N4" | "NX2"
            | "LM" | "LQ" | "ADV" | "NTE" => {}
            _ => return Err(unsupported(segment)),
        }
        Ok(())
    }

    /// `SCH*10*EA***002*20260214`: so many of the line, at a time.
    fn schedule(&mut self, segment: &Segment<'a>) -> Result<(), MapError> {
        if let Some(code) = segment.get(3) {
            let why = format!("is {code}: a part of the line goes to a place of its own");
            return Err(segment.refused("destination_per_line", 3, &why));
        }
        if segment.get(2).is_some_and(|unit| self.unit.is_some_and(|of_line| of_line != unit)) {
            return Err(segment.refused("unit_mismatch", 2, "is another unit than PO103"));
        }
        let part = quantity::level(&x12::decimal(segment.required(1)?), || segment.path(1))?;
        let before = self.scheduled.map_or(0, |(sum, _)| sum);
        self.scheduled = Some((before.saturating_add(part), *segment));
        Ok(())
    }

    /// A price that is not the buyer's is left out, and so is one that `PO104` states already.
    fn other_price(&self, segment: &Segment<'a>, currency: Currency) -> Result<(), MapError> {
        let Some(price) = segment.get(3).filter(|_| segment.get(7).is_none()) else {
            return match segment.elements().skip(3).find(|element| !element.is_empty()) {
                Some(_) => Err(stated_and_not_known(segment)),
                None => Ok(()),
            };
        };
        let of_others = segment.get(2).is_some_and(|code| PRICES_OF_OTHERS.contains(&code));
        if of_others
            || decimal(currency, price, String::new).ok().is_some_and(|price| self.price == Some(price))
        {
            return Ok(());
        }
        Err(segment.refused("price_unsupported", 3, "is another price than PO104, and no retail price"))
    }

    pub(crate) fn total(&self) -> Minor {
        self.subtotal - self.discount
    }

    /// What the partner says the line comes to, and what its schedule does.
    pub(crate) fn check(&self) -> Result<(), MapError> {
        if let Some((stated, segment)) = &self.amount
            && ![self.subtotal, self.total()].contains(stated)
        {
            let (subtotal, total) = (self.subtotal, self.total());
            let why =
                format!("states {stated} in minor units; the line is {subtotal}, less allowances {total}");
            return Err(segment.refused("total_mismatch", 2, &why));
        }
        match &self.scheduled {
            Some((sum, segment)) if *sum != self.quantity => {
                let why = format!("and the others come to {sum}, and PO102 is {}", self.quantity);
                Err(segment.refused("quantity_mismatch", 1, &why))
            }
            _ => Ok(()),
        }
    }

    /// Takes back an `AMT` 1 of the last line: without a `CTT` before it, it may be that of all
    /// lines.
    pub(crate) fn amount_of_all(&mut self) -> Option<(Minor, Segment<'a>)> {
        let total = self.total();
        self.amount.take_if(|(stated, _)| ![self.subtotal, total].contains(stated))
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
            current_quantity: None,
            unit: self.unit.map(Text::from),
            subtotal_minor: self.price.is_none().then_some(self.subtotal),
            unit_price_minor: self.price,
            discount_minor: self.discount,
            tax_minor: self.tax,
            requires_shipping: true,
            gift_card: false,
            presentment: None,
        }
    }
}

/// `PO104` in minor units for one, where it is a whole number of them, and what the quantity comes
/// to. Nothing is rounded.
fn price(
    segment: &Segment<'_>,
    currency: Currency,
    quantity: i64,
) -> Result<(Option<Minor>, Minor), MapError> {
    let (basis, unit) = (segment.get(5), segment.get(3));
    if basis == Some("NC") && segment.get(4).is_none() {
        return Ok((Some(0), 0));
    }
    let of = match basis {
        None => 1,
        Some(basis) if BASES_OF_ONE.contains(&basis) || (basis == "NC") => 1,
        Some(basis) => of_several(basis, unit).ok_or_else(|| {
            let unit = unit.unwrap_or("nothing");
            let why = format!("is {basis}: with PO103 {unit} that is no price of a known number of units");
            segment.refused("price_basis_unsupported", 5, &why)
        })?,
    };
    let text = x12::decimal(segment.required(4)?);
    let invalid = || segment.refused("amount_invalid", 4, &format!("{text:?} is not a plain decimal number"));
    let too_large = |what: &str| segment.refused("amount_out_of_range", 4, what);
    let (negative, digits) = text.strip_prefix('-').map_or((false, &*text), |digits| (true, digits));
    let (whole, places) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || digits.ends_with('.') || !all_digits(whole) || !all_digits(places) {
        return Err(invalid());
    }
    let places = places.trim_end_matches('0');
    let number = format!("{whole}{places}").trim_start_matches('0').parse::<i128>();
    let mut number = match number {
        Ok(number) => number,
        Err(_) if whole.bytes().chain(places.bytes()).all(|digit| digit == b'0') => 0,
        Err(_) => return Err(too_large("is too large")),
    };
    if number == 0 {
        return Ok((Some(0), 0));
    }
    if basis == Some("NC") {
        return Err(segment.refused("price_basis_unsupported", 5, "is NC, no charge, and PO104 is a price"));
    }
    number *= if negative { -1 } else { 1 };
    let divisor = u32::try_from(places.len()).ok().and_then(|places| 10_i128.checked_pow(places));
    let divisor =
        divisor.and_then(|divisor| divisor.checked_mul(of)).ok_or_else(|| too_large("is too long"))?;
    let minor = number.checked_mul(10_i128.pow(u32::from(currency.exponent())));
    let minor = minor.ok_or_else(|| too_large("is too large"))?;
    let all = minor.checked_mul(i128::from(quantity)).ok_or_else(|| too_large("times PO102 is too large"))?;
    if all % divisor != 0 {
        let why = format!("times PO102 has more decimal places than {} has", currency.code());
        return Err(segment.refused("amount_too_precise", 4, &why));
    }
    let bounded = |amount: i128| {
        Minor::try_from(amount).ok().filter(|amount| (-money::MINOR_MAX..=money::MINOR_MAX).contains(amount))
    };
    let all = bounded(all / divisor).ok_or_else(|| too_large("times PO102 is too large"))?;
    let one = (minor % divisor == 0).then(|| bounded(minor / divisor)).flatten();
    Ok((one, all))
}

/// Of how many units of `PO103` a price is.
fn of_several(basis: &str, unit: Option<&str>) -> Option<i128> {
    if let Some((_, units)) = BASES_OF_MEASURE.iter().find(|(measure, _)| *measure == basis) {
        return unit.filter(|unit| units.contains(unit)).map(|_| 1);
    }
    let (_, of) = BASES_OF_MANY.iter().find(|(bases, _)| bases.contains(&basis))?;
    match unit {
        Some("DZ") if *of == 12 => Some(1),
        Some(unit) if PIECES.contains(&unit) => Some(*of),
        _ => None,
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
    let mut hash = HashTotal::default();
    let added = lines.iter().all(|line| hash.add(line.stated));
    if added && hash.is(stated) {
        return Ok(());
    }
    Err(trailer.refused("x12_hash_total", 2, &format!("states {stated} pieces in all, and there are {hash}")))
}

/// `SAC*A` takes off, `SAC*C` adds. `SAC05` is in hundredths of the currency's unit, without a
/// point (type N2). A `SAC` without any amount or rate is a remark.
pub(crate) fn allowance(segment: &Segment<'_>, currency: Currency) -> Result<Option<Amounts>, MapError> {
    let Some(hundredths) = segment.get(5) else {
        let Some(element) = [7, 8].into_iter().find(|element| segment.get(*element).is_some()) else {
            return Ok(None);
        };
        let why = format!(
            "is {}, and SAC05 is empty: what the {} comes to is not stated",
            segment.get(element).unwrap_or_default(),
            if element == 7 { "percentage" } else { "rate" }
        );
        return Err(segment.refused("allowance_amount_missing", element, &why));
    };
    if let Some(handling) = segment.get(12).filter(|handling| !["02", "06"].contains(handling)) {
        let why = format!(
            "is {handling}: only what is on the invoice, 02, or charged to the customer, 06, is of the total"
        );
        return Err(segment.refused("allowance_unknown", 12, &why));
    }
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
        Some("A") => Ok(Some(Amounts::Off(minor))),
        Some("C") => Ok(Some(Amounts::Charge(minor))),
        other => {
            let why = format!("is {:?}; A is an allowance, C a charge", other.unwrap_or_default());
            Err(segment.refused("allowance_unknown", 1, &why))
        }
    }
}

/// `TXI02`. None where the tax is for information (`TXI07` O), or neither an amount nor a
/// percentage is there.
pub(crate) fn tax(segment: &Segment<'_>, currency: Currency) -> Result<Option<Minor>, MapError> {
    match (segment.get(2), segment.get(3)) {
        _ if segment.get(7) == Some("O") => Ok(None),
        (Some(_), _) => amount(segment, currency, 2).map(Some),
        (None, Some(percent)) => {
            let why = format!("is {percent}, and TXI02 is empty: what the tax comes to is not stated");
            Err(segment.refused("tax_amount_missing", 3, &why))
        }
        (None, None) => Ok(None),
    }
}

/// `TXI03`, per cent, as a rate.
pub(crate) fn rate<'a>(segment: &Segment<'a>) -> Result<Option<Decimal<'a>>, MapError> {
    let Some(percent) = segment.get(3) else { return Ok(None) };
    let rate = Decimal::from_percent(&Decimal::new(x12::decimal(percent)))
        .ok_or_else(|| segment.refused("rate_invalid", 3, &format!("{percent:?} is not a percentage")))?;
    Ok(Some(rate))
}

/// An element of type R: decimal text.
pub(crate) fn amount(segment: &Segment<'_>, currency: Currency, element: usize) -> Result<Minor, MapError> {
    decimal(currency, segment.required(element)?, || segment.path(element))
}

fn decimal(currency: Currency, text: &str, path: impl FnOnce() -> String) -> Result<Minor, MapError> {
    currency.minor(&Decimal::new(x12::decimal(text)), path)
}

/// A currency of a part of the order.
pub(crate) fn same_currency(segment: &Segment<'_>, currency: Currency) -> Result<(), MapError> {
    match segment.get(2) {
        Some(code) if code != currency.code() => {
            let why = format!("is {code}, and the order is in {}", currency.code());
            Err(segment.refused("currency_mixed", 2, &why))
        }
        _ => Ok(()),
    }
}

/// An `AMT` that is no total.
pub(crate) fn amount_unsupported(segment: &Segment<'_>) -> MapError {
    let why = format!("is {:?}: TT is the total, 1 that of lines", segment.get(1).unwrap_or_default());
    segment.refused("amount_unsupported", 1, &why)
}

/// A segment that states quantities, amounts or percentages of which it is not known what they do
/// to the order.
pub(crate) fn stated_and_not_known(segment: &Segment<'_>) -> MapError {
    let why = format!(
        "segment {}, {} states a quantity, an amount or a percentage that has no place in an order",
        segment.at,
        segment.id()
    );
    MapError::new("x12_segment_unsupported", segment.path(0), why)
}

/// A segment that the standard does not have here.
pub(crate) fn unsupported(segment: &Segment<'_>) -> MapError {
    let why = format!("segment {}, {}: no segment of an 850 here", segment.at, segment.id());
    MapError::new("x12_segment_unsupported", segment.path(0), why)
}
