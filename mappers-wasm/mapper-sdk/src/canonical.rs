//! `data` of the canonical events, as `schemas/canonical/` has it: what the mappers of this repository write.
//!
//! Invariants: members are written in the schema's names; an absent member is not written, but for what an
//! [`OrderUpdated`] says is gone. Whether a value fits its bounds is the host's to judge, on every event.

use std::borrow::Cow;

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::CanonicalEvent;
use crate::json::{Decimal, Id};
use crate::money::Minor;

/// A vendor's text, borrowed from the message unless it had escapes.
pub type Text<'a> = Cow<'a, str>;

/// The `data` of one canonical type.
pub trait Canonical: Serialize + Sized {
    /// E.g. `OrderPlaced`.
    const TYPE: &'static str;
    /// E.g. `1.0`.
    const VERSION: &'static str;

    /// The event that this is the data of; `occurred_at` as [`time`](crate::time) writes it.
    fn at(self, occurred_at: String) -> CanonicalEvent<Self> {
        CanonicalEvent::new(Self::TYPE, Self::VERSION, occurred_at, self)
    }
}

macro_rules! canonical {
    ($($name:ident)+) => {
        $(impl Canonical for $name<'_> {
            const TYPE: &'static str = stringify!($name);
            const VERSION: &'static str = "1.0";
        })+
    };
}

canonical! { InventoryUpdated OrderPlaced OrderUpdated OrderCancelled ShipmentNotified }

/// Levels of one article in one warehouse; the entity is `(warehouse_id, sku)`. At least one quantity is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the schema describes each member")]
pub struct InventoryUpdated<'a> {
    pub warehouse_id: Text<'a>,
    pub sku: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantity_on_hand: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantity_available: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantity_reserved: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantity_on_order: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantity_in_transit: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantity_damaged: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gtin: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<Text<'a>>,
}

impl InventoryUpdated<'_> {
    /// Whether there is no quantity, which the schema does not allow.
    #[must_use]
    pub fn states_nothing(&self) -> bool {
        [
            self.quantity_on_hand,
            self.quantity_available,
            self.quantity_reserved,
            self.quantity_on_order,
            self.quantity_in_transit,
            self.quantity_damaged,
        ]
        .iter()
        .all(Option::is_none)
    }
}

/// How far an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the words say it")]
pub enum Status {
    Open,
    Closed,
    Cancelled,
}

/// How far the money of an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the words say it")]
pub enum PaymentStatus {
    Pending,
    Authorized,
    PartiallyPaid,
    Paid,
    PartiallyRefunded,
    Refunded,
    Voided,
    Failed,
}

/// How far the goods of an order are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the words say it")]
pub enum FulfillmentStatus {
    Unfulfilled,
    Partial,
    Fulfilled,
    Restocked,
}

/// Why an order was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the words say it")]
pub enum CancelReason {
    Customer,
    Fraud,
    Inventory,
    Payment,
    Staff,
    Other,
}

/// An order that was placed. Amounts are in minor units of `currency`, but for `presentment`, which has its own.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the schema describes each member")]
pub struct OrderPlaced<'a> {
    pub order_id: Id<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_name: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor_status: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment_status: Option<PaymentStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fulfillment_status: Option<FulfillmentStatus>,
    pub currency: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<Text<'a>>,
    pub test: bool,
    pub taxes_included: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested_delivery_date: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer: Option<Customer<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billing_address: Option<Address<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shipping_address: Option<Address<'a>>,
    pub lines: Vec<Line<'a>>,
    pub shipping_lines: Vec<ShippingLine<'a>>,
    pub discount_codes: Vec<DiscountCode<'a>>,
    pub tax_lines: Vec<TaxLine<'a>>,
    pub totals: Totals,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presentment: Option<Presentment<'a>>,
}

/// A whole order as it now is.
///
/// An optional member that is `None` is written as null (there is none any more) when its name is among `stated`, the
/// members that the vendor's messages have a place for, and is left out (unchanged) when it is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderUpdated<'a> {
    /// The order.
    pub order: OrderPlaced<'a>,
    /// Names of the optional members that the vendor's messages state.
    pub stated: &'static [&'static str],
}

impl Serialize for OrderUpdated<'_> {
    fn serialize<S: Serializer>(&self, writer: S) -> Result<S::Ok, S::Error> {
        let Self { order, stated } = self;
        let mut members = writer.serialize_map(None)?;
        macro_rules! write {
            ($($kind:ident $name:literal $member:ident;)+) => { $(write!(@$kind $name $member);)+ };
            (@always $name:literal $member:ident) => { members.serialize_entry($name, &order.$member)?; };
            (@optional $name:literal $member:ident) => {
                if order.$member.is_some() || stated.contains(&$name) {
                    members.serialize_entry($name, &order.$member)?;
                }
            };
        }
        write! {
            always "orderId" order_id;
            optional "orderName" order_name;
            optional "status" status;
            optional "vendorStatus" vendor_status;
            optional "paymentStatus" payment_status;
            optional "fulfillmentStatus" fulfillment_status;
            always "currency" currency;
            optional "channel" channel;
            always "test" test;
            always "taxesIncluded" taxes_included;
            optional "requestedDeliveryDate" requested_delivery_date;
            optional "note" note;
            optional "customer" customer;
            optional "billingAddress" billing_address;
            optional "shippingAddress" shipping_address;
            always "lines" lines;
            always "shippingLines" shipping_lines;
            always "discountCodes" discount_codes;
            always "taxLines" tax_lines;
            always "totals" totals;
            optional "presentment" presentment;
        }
        members.end()
    }
}

/// An order that is not carried out any more.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the schema describes each member")]
pub struct OrderCancelled<'a> {
    pub order_id: Id<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_name: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<CancelReason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason_text: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment_status: Option<PaymentStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refunded_minor: Option<Minor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restocked: Option<bool>,
}

macro_rules! texts {
    ($(#[$doc:meta])+ $name:ident { $($member:ident)+ }) => {
        $(#[$doc])+
        #[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
        #[serde(rename_all = "camelCase")]
        #[expect(missing_docs, reason = "the schema describes each member")]
        pub struct $name<'a> {
            $(#[serde(skip_serializing_if = "Option::is_none")] pub $member: Option<Text<'a>>,)+
        }

        impl $name<'_> {
            /// Itself, unless nothing is known.
            #[must_use]
            pub fn known(self) -> Option<Self> {
                let known = [$(&self.$member),+].iter().any(|member| member.is_some());
                known.then_some(self)
            }
        }
    };
}

texts! {
    /// Where to send the goods, or the bill.
    Address { name company line1 line2 city region region_code postal_code country country_code phone }
}

/// Who ordered.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the schema describes each member")]
pub struct Customer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<Id<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_name: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_name: Option<Text<'a>>,
}

impl Customer<'_> {
    /// Itself, unless nothing is known.
    #[must_use]
    pub fn known(self) -> Option<Self> {
        let known = self.customer_id.is_some()
            || [&self.email, &self.phone, &self.first_name, &self.last_name]
                .iter()
                .any(|text| text.is_some());
        known.then_some(self)
    }
}

/// A thing ordered. `total_minor` is `subtotal_minor - discount_minor`, and where the vendor states a price of one, its
/// `subtotal_minor` is `unit_price_minor * quantity`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the schema describes each member")]
pub struct Line<'a> {
    pub line_id: Id<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_id: Option<Id<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant_id: Option<Id<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sku: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant_title: Option<Text<'a>>,
    pub quantity: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_quantity: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit_price_minor: Option<Minor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subtotal_minor: Option<Minor>,
    pub discount_minor: Minor,
    pub tax_minor: Minor,
    pub total_minor: Minor,
    pub requires_shipping: bool,
    pub gift_card: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presentment: Option<LinePresentment>,
}

/// A line in the currency that the customer saw.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the schema describes each member")]
pub struct LinePresentment {
    pub unit_price_minor: Minor,
    pub discount_minor: Minor,
    pub tax_minor: Minor,
}

/// A way of shipping, and its price.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the schema describes each member")]
pub struct ShippingLine<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Text<'a>>,
    pub price_minor: Minor,
    pub discount_minor: Minor,
    pub tax_minor: Minor,
}

/// A code that the customer used, and what it took off.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the schema describes each member")]
pub struct DiscountCode<'a> {
    pub code: Text<'a>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<Text<'a>>,
    pub amount_minor: Minor,
}

/// A tax. `rate` is decimal text, as sent.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the schema describes each member")]
pub struct TaxLine<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Decimal<'a>>,
    pub amount_minor: Minor,
}

/// What the order comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the schema describes each member")]
pub struct Totals {
    pub subtotal_minor: Minor,
    pub discount_minor: Minor,
    pub shipping_minor: Minor,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fees_minor: Option<Minor>,
    pub tax_minor: Minor,
    pub tip_minor: Minor,
    pub duties_minor: Minor,
    pub total_minor: Minor,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_total_minor: Option<Minor>,
}

/// What the customer saw, when that was another currency.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the schema describes each member")]
pub struct Presentment<'a> {
    pub currency: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subtotal_minor: Option<Minor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discount_minor: Option<Minor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shipping_minor: Option<Minor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tax_minor: Option<Minor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_minor: Option<Minor>,
}

/// What is on its way. The entity is the vendor's `shipment_id`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the schema describes each member")]
pub struct ShipmentNotified<'a> {
    pub shipment_id: Id<'a>,
    pub test: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shipped_on: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimated_delivery_date: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ship_from: Option<ShipmentPlace<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ship_to: Option<ShipmentPlace<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub carriers: Vec<Carrier<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<ShipmentReference<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lading: Vec<Lading<'a>>,
    pub lines: Vec<ShipmentLine<'a>>,
}

/// Where a shipment comes from, or goes to.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the schema describes each member")]
pub struct ShipmentPlace<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place_id: Option<Id<'a>>,
    #[serde(flatten)]
    pub address: Address<'a>,
}

texts! {
    /// Who moves a shipment.
    Carrier { code name mode }
}

/// What a number of a shipment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the words say it")]
pub enum ReferenceKind {
    BillOfLading,
    CarrierReference,
    TrackingNumber,
    PackingSlip,
}

/// A number that a shipment is known by to others.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the schema describes each member")]
pub struct ShipmentReference<'a> {
    pub kind: ReferenceKind,
    pub value: Text<'a>,
}

/// Packages and weights of a shipment, or of what is of one order in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the schema describes each member")]
pub struct Lading<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<Id<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packaging: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packages: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_kind: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_unit: Option<Text<'a>>,
}

/// An article of a shipment; it has a `sku` or a `gtin`.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the schema describes each member")]
pub struct ShipmentLine<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line_id: Option<Id<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_id: Option<Id<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sku: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gtin: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<Text<'a>>,
    pub quantity: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordered_quantity: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordered_unit: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lot: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_on: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub package_ids: Vec<Id<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pallet_ids: Vec<Id<'a>>,
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn order() -> OrderPlaced<'static> {
        OrderPlaced {
            order_id: Id::new("1").unwrap(),
            order_name: None,
            status: None,
            vendor_status: None,
            payment_status: Some(PaymentStatus::PartiallyPaid),
            fulfillment_status: None,
            currency: "EUR".into(),
            channel: None,
            test: false,
            taxes_included: true,
            requested_delivery_date: None,
            note: None,
            customer: None,
            billing_address: None,
            shipping_address: None,
            lines: Vec::new(),
            shipping_lines: Vec::new(),
            discount_codes: Vec::new(),
            tax_lines: Vec::new(),
            totals: Totals::default(),
            presentment: None,
        }
    }

    #[test]
    fn an_update_is_the_order_with_what_is_gone() {
        let placed = serde_json::to_string(&order()).unwrap();
        assert!(placed.contains(r#""paymentStatus":"partiallyPaid""#), "{placed}");
        let same = serde_json::to_string(&OrderUpdated { order: order(), stated: &[] }).unwrap();
        assert_eq!(same, placed);
        let gone = OrderUpdated { order: order(), stated: &["note", "shippingAddress", "paymentStatus"] };
        let gone = serde_json::to_string(&gone).unwrap();
        assert!(gone.contains(r#""note":null"#) && gone.contains(r#""shippingAddress":null"#), "{gone}");
        assert!(gone.contains(r#""paymentStatus":"partiallyPaid""#) && !gone.contains("channel"), "{gone}");
    }

    #[test]
    fn what_is_not_known_is_not_there() {
        assert_eq!(Address::default().known(), None);
        assert!(Address { city: Some("Roanoke".into()), ..Address::default() }.known().is_some());
        assert_eq!(Customer::default().known(), None);
        assert!(InventoryUpdated::default().states_nothing());
        let level = InventoryUpdated { quantity_damaged: Some(0), ..InventoryUpdated::default() };
        assert!(!level.states_nothing());
    }
}
