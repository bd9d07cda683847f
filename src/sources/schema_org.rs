//! What a product page says about itself to machines: JSON-LD in the words of schema.org
//! (<https://schema.org/Product>), and Open Graph (<https://ogp.me>).

use serde_json::{Map, Value};

use super::figure::{Figure, Unit};
use super::html::{self, Piece};
use super::stock;
use crate::model::Availability;

/// A page about more products than this is about none.
pub(super) const MAX_PRODUCTS: usize = 200;

/// A product with more offers than this is known by the first.
const MAX_OFFERS: usize = 1_000;

/// A longer block of JSON-LD is passed over: it takes some sixty times its length to hold.
const MAX_BLOCK_BYTES: usize = 1 << 20;

/// So many headings are compared with the names of products.
const MAX_HEADINGS: usize = 10;

/// A product as far as one kind of metadata tells it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Product {
    pub name: Option<String>,
    pub sku: Option<String>,
    pub url: Option<String>,
    pub price: Option<f64>,
    pub currency: Option<String>,
    pub availability: Option<Availability>,
    /// The words of the availability as they were written.
    pub said: Option<String>,
    /// Why the price that it tells is not one that can be read in one way only.
    pub unsure: Option<String>,
    /// It speaks of offers, and there is none.
    pub not_offered: bool,
    /// Of its offers some can be had and others cannot: of its variants, mostly.
    pub mixed: bool,
    /// Of an offer: it is not of a new thing.
    pub used: bool,
    /// Its variants that say anything about buying, in order.
    pub variants: Vec<Self>,
}

impl Product {
    /// Whether it can be had or ordered, where it says.
    fn can_be_had(&self) -> Option<bool> {
        let absent = [Availability::OutOfStock, Availability::Discontinued];
        self.availability.map(|availability| !absent.contains(&availability))
    }

    /// Whether it says anything about buying.
    pub(super) const fn is_offer(&self) -> bool {
        self.price.is_some() || self.availability.is_some()
    }

    /// Takes a price as a page shows it, where it shows one, and its currency.
    pub(super) fn priced_in_words(&mut self, amount: Option<&str>, currency: Option<&str>) {
        match amount {
            Some(amount) => self.priced(&Amount::Text(amount), currency),
            None => self.currency = currency.and_then(code),
        }
    }

    /// Takes a price that was found as a text or a number, with the name of its currency.
    fn priced(&mut self, amount: &Amount<'_>, currency: Option<&str>) {
        let unit = currency.and_then(Unit::named);
        let per_major = unit.map_or(1.0, |unit| unit.per_major);
        let code = unit.and_then(|unit| unit.code.map(str::to_owned)).or_else(|| code(currency?));
        match amount {
            Amount::Number(number) => {
                self.price = positive(number / per_major);
                self.currency = code;
            }
            Amount::Text(text) => match Figure::read(text) {
                Figure::Sure { number, currency } => {
                    // A text with a currency of its own is not counted in the other.
                    self.price = positive(if currency.is_some() { number } else { number / per_major });
                    self.currency = currency.map(str::to_owned).or(code);
                }
                Figure::Unsure(why) => {
                    // With the currency before it, one of the two ways may be left.
                    match Figure::read(&format!("{} {text}", currency.unwrap_or_default())) {
                        Figure::Sure { number, .. } => self.price = positive(number),
                        _ => self.unsure = Some(why),
                    }
                    self.currency = code;
                }
                Figure::None => self.currency = code,
            },
        }
    }
}

/// A price as metadata hold it.
enum Amount<'a> {
    Number(f64),
    Text(&'a str),
}

/// What a page says without a tree being built.
#[derive(Debug, Default)]
pub(super) struct Metadata {
    /// The products of its JSON-LD, in order; blocks that are no JSON are passed over.
    pub products: Vec<Product>,
    /// Its Open Graph tags.
    pub open_graph: Product,
    /// The address it wants to be known by.
    pub canonical: Option<String>,
    /// Its title.
    pub title: Option<String>,
    /// Its first headings of the first order.
    pub headings: Vec<String>,
}

/// Reads JSON-LD, Open Graph and the title in one scan.
pub(super) fn metadata(page: &str) -> Metadata {
    let mut found = Metadata::default();
    let mut raw = "";
    let (mut amount, mut currency) = (None, None);
    // The text of the heading that is open.
    let mut heading: Option<String> = None;
    for piece in html::scan(page) {
        match piece {
            Piece::Open(tag) if tag.is("meta") => {
                let Some(property) = tag.attribute("property").or_else(|| tag.attribute("name")) else {
                    continue;
                };
                let Some(content) = tag.attribute("content").filter(|content| !content.trim().is_empty())
                else {
                    continue;
                };
                let graph = &mut found.open_graph;
                match property.to_ascii_lowercase().as_str() {
                    "og:title" => graph.name = Some(html::collapse(&content)),
                    "og:url" => graph.url = Some(content.trim().to_owned()),
                    "product:retailer_item_id" => graph.sku = Some(content.trim().to_owned()),
                    "product:availability" | "og:availability" => {
                        graph.availability = stock::named(&content);
                        graph.said = Some(html::collapse(&content));
                    }
                    "product:price:amount" | "og:price:amount" => amount = Some(content.into_owned()),
                    "product:price:currency" | "og:price:currency" => currency = Some(content.into_owned()),
                    _ => {}
                }
            }
            Piece::Open(tag)
                if tag.is("link")
                    && tag.attribute("rel").is_some_and(|rel| rel.eq_ignore_ascii_case("canonical")) =>
            {
                found.canonical = tag.attribute("href").map(std::borrow::Cow::into_owned);
            }
            Piece::Open(tag) if tag.is("h1") && found.headings.len() < MAX_HEADINGS => {
                heading = Some(String::new());
            }
            Piece::Close(tag) if tag.is("h1") => found.headings.extend(
                heading
                    .take()
                    .map(|text| html::collapse(&html::decode(&text)))
                    .filter(|text| !text.is_empty()),
            ),
            Piece::Text(text) => {
                // One that is as long as a page is none.
                heading = heading.filter(|heading| heading.len() < 1_000);
                if let Some(heading) = &mut heading {
                    heading.push(' ');
                    heading.push_str(text);
                }
            }
            Piece::Open(tag) => {
                raw = if tag.is("title") {
                    "title"
                } else if tag.is("script")
                    && tag.attribute("type").is_some_and(|kind| kind.to_ascii_lowercase().contains("ld+json"))
                {
                    "json"
                } else {
                    ""
                };
            }
            Piece::Raw(text) if raw == "json" && text.len() <= MAX_BLOCK_BYTES => {
                if let Some(value) = json(text) {
                    collect(&value, &mut found.products);
                }
            }
            Piece::Raw(text) if raw == "title" && found.title.is_none() => {
                found.title = Some(html::collapse(&html::decode(text))).filter(|title| !title.is_empty());
            }
            _ => {}
        }
    }
    if let Some(amount) = &amount {
        found.open_graph.priced(&Amount::Text(amount), currency.as_deref());
    }
    found
}

/// A JSON-LD block, forgiving the wrappings and raw line ends that shops leave in it.
fn json(text: &str) -> Option<Value> {
    let text = text.trim().trim_start_matches("<!--").trim_end_matches("-->").trim();
    let text = text.trim_start_matches("//<![CDATA[").trim_end_matches("//]]>").trim().trim_end_matches(';');
    serde_json::from_str(text)
        .or_else(|_| serde_json::from_str(&text.replace(|c: char| c.is_ascii_control(), " ")))
        .ok()
}

fn collect(value: &Value, products: &mut Vec<Product>) {
    match value {
        Value::Array(values) => {
            for value in values {
                if products.len() >= MAX_PRODUCTS {
                    return;
                }
                collect(value, products);
            }
        }
        Value::Object(object) if products.len() < MAX_PRODUCTS => {
            if is_product(object) {
                products.push(product(object));
            }
            for key in ["@graph", "mainEntity", "mainEntityOfPage"] {
                object.get(key).into_iter().for_each(|inner| collect(inner, products));
            }
        }
        _ => {}
    }
}

fn is_product(object: &Map<String, Value>) -> bool {
    ["offers", "hasVariant"].iter().any(|key| object.contains_key(*key))
        || each(object.get("@type")).filter_map(Value::as_str).any(is_product_type)
}

/// Whether a type's name or address, in any letter case, is that of something on sale.
pub(super) fn is_product_type(name: &str) -> bool {
    let name = name.trim().trim_end_matches('/').rsplit(['/', '#', ':']).next().unwrap_or_default();
    ["Product", "Car", "Vehicle", "Motorcycle", "Book", "IndividualProduct", "ProductModel", "ProductGroup"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(name))
}

fn product(object: &Map<String, Value>) -> Product {
    let variants: Vec<Product> = each(object.get("hasVariant"))
        .filter_map(Value::as_object)
        .take(MAX_OFFERS)
        .map(one_product)
        .filter(Product::is_offer)
        .collect();
    let own = one_product(object);
    if own.availability.is_some() || variants.is_empty() {
        return own;
    }
    // Of the one product that all variants are, some of which may be there.
    let any = |there| variants.iter().any(|one| one.can_be_had() == Some(there));
    let mixed = any(true) && any(false) || variants.iter().any(|one| one.mixed);
    let first_priced = || variants.iter().find(|one| one.price.is_some()).or(variants.first());
    let chosen = if any(true) { best(variants.clone()) } else { first_priced().cloned().unwrap_or_default() };
    Product {
        name: own.name,
        // Not that of the variant, which is another one from day to day.
        sku: own.sku.or_else(|| string(object.get("productGroupID"))),
        url: own.url,
        not_offered: false,
        mixed,
        variants,
        ..chosen
    }
}

fn one_product(object: &Map<String, Value>) -> Product {
    let offers = object.get("offers");
    let mut all = Vec::new();
    offers_in(offers, &mut all);
    // What is to be had used is another thing.
    if all.iter().any(|one| !one.used && one.is_offer()) {
        all.retain(|one| !one.used);
    }
    let any = |there| all.iter().any(|one: &Product| one.can_be_had() == Some(there));
    let mixed = any(true) && any(false);
    let best = best(all);
    // "Sold out" on the button is about the shop's own stock, which says nothing of that of its stores.
    let in_store = best.said.as_deref().is_some_and(|said| said.to_ascii_lowercase().contains("instoreonly"));
    Product {
        name: string(object.get("name")).map(|name| html::collapse(&html::decode(&name))),
        sku: ["sku", "productID", "mpn"].into_iter().find_map(|key| string(object.get(key))),
        url: string(object.get("url")).or_else(|| each(offers).find_map(|offer| string(offer.get("url")))),
        not_offered: offers.is_some_and(|offers| each(Some(offers)).next().is_none()),
        mixed: mixed || in_store,
        ..best
    }
}

/// One value or each of several; `null` is none.
fn each(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    let (one, many) = match value {
        Some(Value::Array(values)) => (None, values.as_slice()),
        Some(Value::Null) | None => (None, &[][..]),
        Some(one) => (Some(one), &[][..]),
    };
    one.into_iter().chain(many)
}

fn string(value: Option<&Value>) -> Option<String> {
    let text = match each(value).next()? {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Object(object) => return string(object.get("name").or_else(|| object.get("@id"))),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}

fn offers_in(offers: Option<&Value>, found: &mut Vec<Product>) {
    for offer in each(offers) {
        if found.len() >= MAX_OFFERS {
            return;
        }
        let said = string(offer.get("availability"));
        let before = found.len();
        if said.as_deref().and_then(stock::named).is_none() {
            offers_in(offer.get("offers"), found);
        }
        // An aggregate tells in sum what its own offers tell one by one.
        if found.iter().skip(before).any(Product::is_offer) {
            continue;
        }
        found.truncate(before);
        found.push(one_offer(offer, said));
    }
}

fn one_offer(offer: &Value, said: Option<String>) -> Product {
    let specification = specification(offer.get("priceSpecification"));
    let mut own =
        Product { availability: said.as_deref().and_then(stock::named), said, ..Product::default() };
    own.used = string(offer.get("itemCondition")).is_some_and(|condition| {
        let condition = condition.to_ascii_lowercase();
        ["used", "refurbished", "damaged"].iter().any(|word| condition.contains(word))
    });
    let currency = string(offer.get("priceCurrency")).or_else(|| string(specification?.get("priceCurrency")));
    let amounts = [offer.get("price"), offer.get("lowPrice"), specification.and_then(|one| one.get("price"))];
    for amount in amounts.into_iter().filter_map(amount) {
        if own.price.is_none() && own.unsure.is_none() {
            own.priced(&amount, currency.as_deref());
        }
    }
    own
}

/// Of several prices the first that is asked, not one that is struck out or advised.
fn specification(all: Option<&Value>) -> Option<&Value> {
    let asked = |one: &&Value| {
        let kind = string(one.get("priceType")).unwrap_or_default().to_ascii_lowercase();
        let kind = kind.rsplit(['/', '#', ':']).next().unwrap_or_default();
        let other =
            ["listprice", "strikethroughprice", "srp", "msrp", "minimumadvertisedprice", "invoiceprice"];
        !other.contains(&kind) && one.get("validForMemberTier").is_none()
    };
    each(all).find(asked).or_else(|| each(all).next())
}

/// Of several offers the one that is easiest to have, and among those the cheapest.
fn best(offers: Vec<Product>) -> Product {
    let ease = |offer: &Product| match offer.availability {
        Some(Availability::InStock) => 0,
        Some(Availability::LimitedAvailability) => 1,
        Some(Availability::PreOrder) => 2,
        Some(Availability::BackOrder) => 3,
        Some(Availability::OutOfStock) => 4,
        Some(Availability::Discontinued) => 5,
        Some(Availability::Unknown) | None => 6,
    };
    let cost = |offer: &Product| offer.price.unwrap_or(f64::INFINITY);
    offers
        .into_iter()
        .min_by(|a, b| ease(a).cmp(&ease(b)).then(cost(a).total_cmp(&cost(b))))
        .unwrap_or_default()
}

fn amount(value: Option<&Value>) -> Option<Amount<'_>> {
    match each(value).next()? {
        Value::Number(number) => number.as_f64().map(Amount::Number),
        Value::String(text) => Some(Amount::Text(text)),
        _ => None,
    }
}

/// Shops write 0 where there is no price.
fn positive(price: f64) -> Option<f64> {
    Some(price).filter(|price| *price > 0.0 && price.is_finite())
}

fn code(text: &str) -> Option<String> {
    let text = text.trim();
    if text.len() == 3 && text.chars().all(|c| c.is_ascii_alphabetic()) {
        return Some(text.to_ascii_uppercase());
    }
    Unit::named(text)?.code.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(json: &str) -> Product {
        let page = format!("<script type=\"application/ld+json\">{json}</script>");
        metadata(&page).products.into_iter().next().unwrap_or_default()
    }

    #[test]
    fn offers_are_read_in_every_shape() {
        use Availability::*;
        for (offers, price, availability) in [
            (
                r#"{"price": "1,400.00", "availability": "https://schema.org/Instock"}"#,
                Some(1_400.0),
                Some(InStock),
            ),
            (r#"{"price": 12.5, "availability": "SoldOut"}"#, Some(12.5), Some(OutOfStock)),
            (
                r#"[{"price": 9, "availability": "OutOfStock"}, {"price": 12, "availability": "InStock"}]"#,
                Some(12.0),
                Some(InStock),
            ),
            (
                r#"{"@type": "AggregateOffer", "lowPrice": "5.00", "availability": "//schema.org/PreOrder"}"#,
                Some(5.0),
                Some(PreOrder),
            ),
            (
                r#"{"@type": "AggregateOffer", "lowPrice": 5, "offers": [{"price": 6, "availability": "InStock"}]}"#,
                Some(6.0),
                Some(InStock),
            ),
            (
                r#"{"priceSpecification": [{"price": "7.50"}], "availability": "BackOrder"}"#,
                Some(7.5),
                Some(BackOrder),
            ),
            (r#"{"price": "0.00", "availability": "Discontinued"}"#, None, Some(Discontinued)),
            (r#"{"price": "359.99"}"#, Some(359.99), None),
            ("null", None, None),
            ("[]", None, None),
        ] {
            let product = one(&format!(r#"{{"@type": "Thing", "sku": 7, "offers": {offers}}}"#));
            assert_eq!((product.price, product.availability), (price, availability), "{offers}");
            assert_eq!(product.sku.as_deref(), Some("7"));
            assert_eq!(product.not_offered, offers == "null" || offers == "[]");
        }
    }

    #[test]
    fn a_price_is_read_with_the_currency_beside_it_and_reported_where_it_is_not_sure() {
        for (offer, price, currency, unsure) in [
            (r#""price": "1,400", "priceCurrency": "USD""#, Some(1_400.0), Some("USD"), false),
            (r#""price": "1.400", "priceCurrency": "EUR""#, None, Some("EUR"), true),
            (r#""price": 1.4, "priceCurrency": "EUR""#, Some(1.4), Some("EUR"), false),
            (r#""price": 450, "priceCurrency": "GBp""#, Some(4.5), Some("GBP"), false),
            (r#""price": "450", "priceCurrency": "GBX""#, Some(4.5), Some("GBP"), false),
            (r#""price": "£4.50", "priceCurrency": "GBX""#, Some(4.5), Some("GBP"), false),
            (r#""price": "1.400,00 €""#, Some(1_400.0), Some("EUR"), false),
        ] {
            let product = one(&format!(r#"{{"@type": "Product", "offers": {{{offer}}}}}"#));
            let found = (product.price, product.currency.as_deref(), product.unsure.is_some());
            assert_eq!(found, (price, currency, unsure), "{offer}");
        }
    }

    #[test]
    fn products_are_found_wherever_they_stand_and_broken_blocks_are_passed_over() {
        let page = r#"
            <script type="application/ld+json">{"@type": "Product", "name": "broken", // no
            }</script>
            <SCRIPT TYPE='application/LD+JSON'><!-- {"@graph": [{"@type": "WebPage"},
                {"@type": ["Thing", "http://schema.org/car"], "name": "Tom &amp; Co
                 car"}]} --></SCRIPT>
            <script>{"@type": "Product", "name": "not for machines"}</script>
            <script type="application/ld+json">[{"@type": "ItemPage", "mainEntity": {"@type": "Book", "name": "b"}},
                {"@type": "Review", "itemReviewed": {"@type": "Product", "name": "stub"}}]</script>"#;
        let names: Vec<_> = metadata(page).products.into_iter().filter_map(|product| product.name).collect();
        assert_eq!(names, ["Tom & Co car", "b"]);
    }

    #[test]
    fn open_graph_is_read_from_property_and_from_name() {
        let found = metadata(
            "<title>\n A &amp; B </title><h1>Best <b>A&amp;B</b></h1><meta property='og:title' content='Card'>\
             <meta content='in stock' name='product:availability'><meta property=product:price:amount content=12,50>\
             <meta property='product:price:currency' content=eur><link rel=canonical href=/p/1?a=1&amp;b>",
        );
        assert_eq!(found.title.as_deref(), Some("A & B"));
        assert_eq!(found.headings, ["Best A&B"]);
        assert_eq!(found.canonical.as_deref(), Some("/p/1?a=1&b"));
        let graph = found.open_graph;
        assert_eq!((graph.price, graph.availability), (Some(12.5), Some(Availability::InStock)));
        assert_eq!((graph.name.as_deref(), graph.currency.as_deref()), (Some("Card"), Some("EUR")));
    }

    #[test]
    fn a_new_thing_at_the_price_that_is_asked_is_what_counts() {
        use Availability::*;
        for (offers, price, availability) in [
            (
                r#"[{"price": 49, "availability": "OutOfStock", "itemCondition": "NewCondition"},
                {"price": 30, "availability": "InStock", "itemCondition": "https://schema.org/UsedCondition"}]"#,
                49.0,
                OutOfStock,
            ),
            (r#"{"price": 30, "availability": "InStock", "itemCondition": "UsedCondition"}"#, 30.0, InStock),
            (
                r#"{"availability": "InStock", "priceSpecification": [{"price": 99, "priceType": "https://schema.org/ListPrice"},
                {"price": 95, "priceType": "StrikethroughPrice"}, {"price": 90, "priceType": "SRP"}, {"price": 79}]}"#,
                79.0,
                InStock,
            ),
        ] {
            let product = one(&format!(r#"{{"@type": "Product", "offers": {offers}}}"#));
            assert_eq!((product.price, product.availability), (Some(price), Some(availability)), "{offers}");
            assert!(!product.mixed, "{offers}");
        }
        assert!(one(r#"{"offers": {"availability": "InStoreOnly"}}"#).mixed);
    }

    #[test]
    fn variants_are_one_product_that_is_there_when_one_of_them_is() {
        use Availability::*;
        let group = |first: &str, second: &str| {
            one(&format!(
                r#"{{"@type": "ProductGroup", "name": "Lamp", "productGroupID": "G1", "hasVariant": [
                {{"@type": "Product", "sku": "A", "offers": {{"price": 9, "availability": "{first}"}}}},
                {{"@type": "Product", "sku": "B", "offers": {{"price": 5, "availability": "{second}"}}}}]}}"#
            ))
        };
        for (first, second, price, availability, mixed) in [
            ("OutOfStock", "InStock", 5.0, InStock, true),
            ("InStock", "OutOfStock", 9.0, InStock, true),
            ("InStock", "InStock", 5.0, InStock, false),
            ("OutOfStock", "OutOfStock", 9.0, OutOfStock, false),
        ] {
            let found = group(first, second);
            assert_eq!(
                (found.price, found.availability, found.mixed),
                (Some(price), Some(availability), mixed)
            );
            assert_eq!((found.name.as_deref(), found.sku.as_deref()), (Some("Lamp"), Some("G1")));
            assert_eq!(found.variants.len(), 2);
        }
    }

    #[test]
    fn a_block_without_end_is_no_product_page() {
        let page = |json: String| format!("<script type=application/ld+json>{json}</script>");
        let stubs = |count: usize| vec![r#"{"offers":0}"#; count].join(",");
        assert_eq!(metadata(&page(format!("[{}]", stubs(5_000)))).products.len(), MAX_PRODUCTS);
        assert!(metadata(&page(format!("[{}]", stubs(100_000)))).products.is_empty());
        let mut offers = Vec::new();
        offers_in(Some(&Value::from(vec![0; 5_000])), &mut offers);
        assert_eq!(offers.len(), MAX_OFFERS);
    }
}
