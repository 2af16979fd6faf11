//! What vendors call things, and how well a name of theirs fits one of ours.

use super::super::typegen::words;

/// What vendors call things, the most telling names first.
pub(super) const SYNONYMS: &[(&str, &[&str])] = &[
    (
        "warehouseId",
        &[
            "warehouse",
            "location",
            "site",
            "facility",
            "store",
            "depot",
            "fulfillment center",
            "branch",
            "stock location",
            "lager",
            "lagerort",
            "lager id",
            "lager nr",
            "lagernummer",
            "filiale",
            "standort",
            "werk",
        ],
    ),
    (
        "sku",
        &[
            "item",
            "article",
            "product",
            "part",
            "item number",
            "article number",
            "product code",
            "part number",
            "variant",
            "artikelnummer",
            "artikel nummer",
            "artikel nr",
            "artikelnr",
            "artikel",
            "sachnummer",
            "produkt",
            "produktnummer",
            "material",
        ],
    ),
    (
        "quantityOnHand",
        &[
            "on hand",
            "quantity",
            "qty",
            "stock",
            "stock level",
            "inventory",
            "count",
            "level",
            "units",
            "in stock",
            "bestand",
            "lagerbestand",
            "menge",
            "anzahl",
            "stueckzahl",
            "stückzahl",
        ],
    ),
    (
        "quantityAvailable",
        &[
            "available",
            "sellable",
            "free",
            "available to promise",
            "atp",
            "verfügbar",
            "verfuegbar",
            "frei",
            "verfügbarer bestand",
            "verfuegbarer bestand",
        ],
    ),
    ("quantityReserved", &["reserved", "allocated", "committed", "reserviert"]),
    ("quantityOnOrder", &["on order", "ordered", "incoming", "backordered", "bestellt", "bestellbestand"]),
    ("quantityInTransit", &["in transit", "transit", "unterwegs"]),
    (
        "quantityDamaged",
        &["damaged", "defective", "unsellable", "quality hold", "beschädigt", "beschaedigt", "gesperrt"],
    ),
    ("unit", &["uom", "unit of measure", "measure", "einheit", "mengeneinheit"]),
    ("gtin", &["ean", "upc", "barcode", "ean13"]),
    (
        "title",
        &[
            "name",
            "description",
            "product name",
            "item name",
            "titel",
            "bezeichnung",
            "artikelbezeichnung",
            "produktname",
        ],
    ),
    (
        "orderId",
        &[
            "order",
            "order number",
            "order no",
            "purchase order",
            "id",
            "bestellnummer",
            "auftragsnummer",
            "bestellung",
            "auftrag",
        ],
    ),
    ("orderName", &["reference", "order reference", "display id"]),
    ("currency", &["currency code", "währung", "waehrung"]),
    ("channel", &["source", "sales channel", "origin"]),
    ("test", &["is test", "sandbox"]),
    ("taxesIncluded", &["prices include tax", "tax included"]),
    ("reason", &["cancel reason", "cancellation reason"]),
];

/// Names for when something happened.
pub(super) const TIMES: &[&str] = &[
    "occurred at",
    "updated at",
    "updated",
    "changed at",
    "modified at",
    "last updated",
    "as of",
    "timestamp",
    "event time",
    "date modified",
    "sent at",
    "created at",
    "time",
    "date",
    "stand",
    "zeitpunkt",
    "zeitstempel",
    "geändert am",
    "geaendert am",
    "erstellt am",
    "datum",
];

/// Names that say nothing without what they belong to.
const GENERIC: &[&str] = &["id", "code", "number", "no", "value", "key", "amount", "ref", "nr", "nummer"];

/// Whether one of the words of a name is one of these.
pub(super) fn has_word(name: &str, wanted: &[&str]) -> bool {
    words(name).iter().any(|word| wanted.contains(&word.as_str()))
}

/// Least score at which a member is taken for another.
pub(super) const SCORE_MIN: u32 = 60;

/// How well a member of the vendor's, with the name of what it belongs to, fits a name; 0 to 100.
pub(super) fn score((parent, own): (&str, &str), canonical: &str, synonyms: &[&str]) -> u32 {
    let (parent, own) = (words(parent), words(own));
    let both: Vec<String> = parent.iter().chain(&own).cloned().collect();
    let generic = matches!(&own[..], [one] if GENERIC.contains(&one.as_str()));
    let mut names: Vec<(Vec<String>, u32)> = vec![(both, 0)];
    if generic && !parent.is_empty() {
        names.push((parent, 5));
    } else {
        // `sku_code` and `item_id` are the sku and the item.
        let last = own.last().map_or("", String::as_str);
        if own.len() > 1 && GENERIC.contains(&last) {
            names.push((own[..own.len() - 1].to_vec(), 3));
        }
        names.push((own, 0));
    }
    let wanted = std::iter::once((words(canonical), 100)).chain(
        synonyms
            .iter()
            .enumerate()
            .map(|(at, name)| (words(name), 92 - u32::try_from(at).unwrap_or(0).min(20))),
    );
    let mut best = 0;
    for (wanted, full) in wanted {
        for (name, less) in &names {
            let fits = if *name == wanted || name.concat() == wanted.concat() {
                full
            } else if wanted.len() > 1 && wanted.iter().all(|word| name.contains(word)) {
                full.saturating_sub(15)
            } else if name.contains(&wanted[0]) && wanted.len() == 1 && name.len() <= 2 {
                full.saturating_sub(25)
            } else {
                0
            };
            best = best.max(fits.saturating_sub(*less));
        }
    }
    best
}
