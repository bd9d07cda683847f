//! What a product page says about itself to machines: JSON-LD and microdata in the words of schema.org
//! (<https://schema.org/Product>), and Open Graph (<https://ogp.me>).

use std::sync::LazyLock;

use scraper::{ElementRef, Html, Selector};
use serde_json::{Map, Value};

use super::figure::{Figure, Unit};
use super::html::{self, Piece};
use super::stock;
use crate::model::Availability;

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
}

/// Reads JSON-LD, Open Graph and the title in one scan.
pub(super) fn metadata(page: &str) -> Metadata {
    let mut found = Metadata::default();
    let mut raw = "";
    let (mut amount, mut currency) = (None, None);
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
            Piece::Raw(text) if raw == "json" => {
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
        Value::Array(values) => values.iter().for_each(|value| collect(value, products)),
        Value::Object(object) => {
            if is_product(object) {
                products.push(product(object));
            }
            for key in ["@graph", "mainEntity", "mainEntityOfPage", "hasVariant"] {
                object.get(key).into_iter().for_each(|inner| collect(inner, products));
            }
        }
        _ => {}
    }
}

fn is_product(object: &Map<String, Value>) -> bool {
    object.contains_key("offers") || each(object.get("@type")).filter_map(Value::as_str).any(is_product_type)
}

/// Whether a type's name or address, in any letter case, is that of something on sale.
fn is_product_type(name: &str) -> bool {
    let name = name.trim().trim_end_matches('/').rsplit(['/', '#', ':']).next().unwrap_or_default();
    ["Product", "Car", "Vehicle", "Motorcycle", "Book", "IndividualProduct", "ProductModel", "ProductGroup"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(name))
}

fn product(object: &Map<String, Value>) -> Product {
    let offers = object.get("offers");
    let all = offers_in(offers);
    let (there, absent) = (
        all.iter().any(|one| one.can_be_had() == Some(true)),
        all.iter().any(|one| one.can_be_had() == Some(false)),
    );
    let best = best(all);
    Product {
        name: string(object.get("name")).map(|name| html::collapse(&html::decode(&name))),
        sku: ["sku", "productID", "mpn"].into_iter().find_map(|key| string(object.get(key))),
        url: string(object.get("url")).or_else(|| each(offers).find_map(|offer| string(offer.get("url")))),
        not_offered: offers.is_some_and(|offers| each(Some(offers)).next().is_none()),
        mixed: there && absent,
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

fn offers_in(offers: Option<&Value>) -> Vec<Product> {
    let mut found = Vec::new();
    for offer in each(offers) {
        let inner = offers_in(offer.get("offers"));
        let specification = || each(offer.get("priceSpecification")).next();
        let said = string(offer.get("availability"));
        let mut own =
            Product { availability: said.as_deref().and_then(stock::named), said, ..Product::default() };
        let currency =
            string(offer.get("priceCurrency")).or_else(|| string(specification()?.get("priceCurrency")));
        let amounts =
            [offer.get("price"), offer.get("lowPrice"), specification().and_then(|one| one.get("price"))];
        for amount in amounts.into_iter().filter_map(amount) {
            if own.price.is_none() && own.unsure.is_none() {
                own.priced(&amount, currency.as_deref());
            }
        }
        // An aggregate tells in sum what its own offers tell one by one.
        if own.availability.is_some() || !inner.iter().any(Product::is_offer) {
            found.push(own);
        } else {
            found.extend(inner);
        }
    }
    found
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

/// A page about more products than this is about none.
const MAX_PRODUCTS: usize = 200;

/// A page with more properties than this is no product page.
const MAX_PROPERTIES: usize = 10_000;

/// The products told in microdata (<https://html.spec.whatwg.org/multipage/microdata.html>) that say
/// anything about buying, in the order of the page.
pub(super) fn microdata(html: &Html) -> Vec<Product> {
    static PROPERTIES: LazyLock<Selector> =
        LazyLock::new(|| Selector::parse("[itemprop]").expect("a fixed selector"));
    let mut products: Vec<Item<'_>> = Vec::new();
    for element in html.select(&PROPERTIES).take(MAX_PROPERTIES) {
        let scopes = || {
            element.ancestors().filter_map(ElementRef::wrap).filter(|scope| scope.attr("itemscope").is_some())
        };
        let is_a = |scope: &ElementRef<'_>| itemtype(scope).split_whitespace().any(is_product_type);
        let offer = scopes().next().filter(|scope| !is_a(scope));
        let is_offered = offer.is_some_and(|scope| {
            let kind = itemtype(&scope).to_ascii_lowercase();
            kind.trim_end_matches('/').ends_with("offer")
        });
        if offer.is_some() && !is_offered {
            // A name of something else: a breadcrumb, a brand, a reviewer.
            continue;
        }
        let owner = scopes().find(is_a);
        if owner.is_none() && !is_offered {
            continue;
        }
        let Some(value) = value_of(element) else { continue };
        if products.len() > MAX_PRODUCTS {
            break;
        }
        let at = products.iter().position(|known| known.owner == owner).unwrap_or_else(|| {
            products.push(Item { owner, ..Item::default() });
            products.len() - 1
        });
        let Some(Item { product, amount, currency, .. }) = products.get_mut(at) else { continue };
        for property in element.attr("itemprop").unwrap_or_default().split_whitespace() {
            match property.to_ascii_lowercase().as_str() {
                "name" if !is_offered => _ = product.name.get_or_insert(value.clone()),
                "sku" | "productid" => _ = product.sku.get_or_insert(value.clone()),
                "price" | "lowprice" => _ = amount.get_or_insert(value.clone()),
                "pricecurrency" => _ = currency.get_or_insert(value.clone()),
                "availability" if product.availability.is_none() => {
                    product.availability = stock::named(&value);
                    product.said = Some(value.clone());
                }
                _ => {}
            }
        }
    }
    let told = |item: Item<'_>| {
        let mut product = item.product;
        match &item.amount {
            Some(amount) => product.priced(&Amount::Text(amount), item.currency.as_deref()),
            None => product.currency = item.currency.as_deref().and_then(code),
        }
        product
    };
    products.into_iter().map(told).filter(|product| product.is_offer() || product.unsure.is_some()).collect()
}

/// What kind of thing an element is about; of a list without end only the beginning counts.
fn itemtype<'a>(scope: &ElementRef<'a>) -> &'a str {
    let kinds = scope.attr("itemtype").unwrap_or_default();
    kinds.get(..kinds.floor_char_boundary(400)).unwrap_or_default()
}

/// A product of microdata on the way.
#[derive(Default)]
struct Item<'a> {
    owner: Option<ElementRef<'a>>,
    product: Product,
    amount: Option<String>,
    currency: Option<String>,
}

/// The value of a property: said for machines if it is, else as shown; an empty one says nothing.
fn value_of(element: ElementRef<'_>) -> Option<String> {
    let said = ["content", "href", "value"].into_iter().find_map(|name| element.attr(name));
    Some(said.map_or_else(|| html::short(element), html::collapse)).filter(|value| !value.is_empty())
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
            "<title>\n A &amp; B </title><meta property='og:title' content='Card'>\
             <meta content='in stock' name='product:availability'><meta property=product:price:amount content=12,50>\
             <meta property='product:price:currency' content=eur><link rel=canonical href=/p/1?a=1&amp;b>",
        );
        assert_eq!(found.title.as_deref(), Some("A & B"));
        assert_eq!(found.canonical.as_deref(), Some("/p/1?a=1&b"));
        let graph = found.open_graph;
        assert_eq!((graph.price, graph.availability), (Some(12.5), Some(Availability::InStock)));
        assert_eq!((graph.name.as_deref(), graph.currency.as_deref()), (Some("Card"), Some("EUR")));
    }

    #[test]
    fn microdata_is_read_from_its_own_product_only() {
        let page = "<div itemscope itemtype='HTTP://schema.org/product'>
            <ol itemscope itemtype='//schema.org/BreadcrumbList'><span itemprop=name>crumb</span></ol>
            <meta itemprop=name><h1 itemprop=name>A  card</h1><meta itemprop=sku content=K1>
            <div itemprop=offers itemscope itemtype='//schema.org/Offer'>
            <span itemprop=price content=499.99>499</span><meta itemprop=priceCurrency content=CAD></div>
            <div itemprop=offers itemscope itemtype='//schema.org/Offer'>
            <link itemprop=availability href='//schema.org/InStock'></div>
            <div itemscope itemtype='https://schema.org/Product'><b itemprop=name>Other</b>
            <div itemprop=offers itemscope itemtype='https://schema.org/Offer'>
            <i itemprop=price>$5.00</i><link itemprop=availability href=SoldOut></div></div></div>";
        let product = microdata(&html::parse(page).expect("a tree")).remove(0);
        assert_eq!(
            product,
            Product {
                name: Some("A card".into()),
                sku: Some("K1".into()),
                price: Some(499.99),
                currency: Some("CAD".into()),
                availability: Some(Availability::InStock),
                said: Some("//schema.org/InStock".into()),
                ..Product::default()
            }
        );
        assert_eq!(microdata(&html::parse("<p itemprop=name>x").expect("a tree")), []);
    }
}
