//! Any shop's product page that says what it is in JSON-LD, microdata or Open Graph, or by its buy button.
//! Each gives its evidence: agreement decides, and where they disagree nothing is known. <https://schema.org/Product>, <https://developers.google.com/search/docs/appearance/structured-data/product>

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use url::Url;

use super::schema_org::{self, Product};
use super::{buttons, evidence, html, microdata, names};
use crate::http::{Reply, Request};
use crate::model::{Availability, Evidence, Listing, Observation, Reading, ReadingKind, Witness};
use crate::plugin::{FetchError, Needs, Plugin, Seen, Source};

/// Hears what the page says in every way it says it (JSON-LD, microdata, Open Graph, the buy button, the line about
/// its stock), and says so where it contradicts itself.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Shop {
    /// The address of a product page, or a list of them.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(schema_with = "addresses")]
    url: Vec<Url>,
}

impl Plugin for Shop {
    const KIND: &'static str = "shop";
    const ABOUT: &'static str =
        "stock and price on any shop's product page that follows schema.org, or has a buy button";
    const EXAMPLE: &'static str = "url = \"https://shop.example/products/lamp\" # or a list of them";
}

impl Source for Shop {
    fn yields(&self) -> ReadingKind {
        ReadingKind::Listing
    }

    fn requests(&self, _: &Needs) -> Vec<Request> {
        self.url.iter().map(|url| Request::get(url.clone()).header("accept", "text/html,*/*;q=0.8")).collect()
    }

    fn read(&self, request: &Request, reply: &Reply, needs: &Needs) -> Result<Seen, FetchError> {
        let page = reply.ok()?.text();
        if page.trim().is_empty() {
            return Err(FetchError::failed("the page is empty"));
        }
        let (product, mut evidence) = read_page(&page, &reply.url)?;
        let verdict = evidence::weigh(&evidence);
        evidence::compare_prices(&mut evidence, verdict.price, verdict.currency.as_deref());
        let url = &request.url;
        let sku = product.sku.or_else(|| last_segment(url)).unwrap_or_else(|| url.to_string());
        let listing = Listing {
            name: product.name.unwrap_or_else(|| sku.clone()),
            sku: sku.clone(),
            price_currency: verdict.price.and(verdict.currency),
            price: verdict.price,
            availability: verdict.availability,
        };
        Ok(Seen::some(vec![Observation {
            subject: sku,
            observed_at: needs.now,
            url: Some(url.to_string()),
            reading: Reading::Listing(listing),
            evidence,
        }]))
    }

    fn asks_own_address(&self) -> bool {
        true
    }

    fn usual_strategies(&self) -> &'static str {
        "[{ kind = \"restock\" }]"
    }
}

/// The page's product, its name and number from wherever they are told first, and what each part of the
/// page says about having it: JSON-LD, microdata, Open Graph, the buy button, the line about its stock.
fn read_page(page: &str, url: &Url) -> Result<(Product, Vec<Evidence>), FetchError> {
    let metadata = schema_org::metadata(page);
    let page_urls: Vec<Url> =
        [Some(url.as_str()), metadata.canonical.as_deref(), metadata.open_graph.url.as_deref()]
            .into_iter()
            .flatten()
            .filter_map(|link| url.join(link).ok())
            .collect();
    let titles: Vec<&str> =
        metadata.open_graph.name.iter().chain(&metadata.headings).map(String::as_str).collect();
    let told = chosen(metadata.products, url, &page_urls, &titles);
    let was_told = told.is_some();
    let told = told.unwrap_or_default();
    let graph = metadata.open_graph;
    let mut evidence: Vec<Evidence> = evidence::of_metadata(Witness::JsonLd, &told).into_iter().collect();
    // A page that is unfit for a tree can still say all that is needed to machines.
    let tree = match html::parse(page) {
        Ok(tree) => Some(tree),
        Err(_) if told.availability.is_some() => None,
        Err(error) => return Err(error),
    };
    let (marked, is_own) =
        tree.as_ref().map(|tree| of_page(&told, microdata::products(tree))).unwrap_or_default();
    let mut others: Vec<Evidence> = Vec::new();
    others.extend(
        evidence::of_metadata(Witness::Microdata, &marked).map(|one| Evidence { weak: !is_own, ..one }),
    );
    others.extend(evidence::of_metadata(Witness::OpenGraph, &graph));
    if told.not_offered && told.availability.is_none() {
        others.push(evidence::of_words(Witness::JsonLd, Availability::OutOfStock, "no offers", true));
    }
    let sku = told.sku.clone().or(marked.sku).or(graph.sku);
    others.extend(tree.iter().flat_map(|tree| buttons::seen(tree, sku.as_deref())));
    // Where only some variants can be had, what else the page says is about one of them.
    others.retain(|one| !told.mixed || one.from != Witness::Phrase);
    evidence.extend(others.into_iter().map(|one| Evidence { weak: one.weak || told.mixed, ..one }));
    if !was_told && evidence.is_empty() {
        return Err(FetchError::failed(
            "nothing on the page says what is sold and whether it can be had (no schema.org, no Open Graph, no \
             buy button)",
        ));
    }
    let name = told.name.or(marked.name).or(graph.name).or(metadata.title);
    Ok((Product { name, sku, ..Product::default() }, evidence))
}

/// The product of microdata that the page is about, and whether that is sure: it has the number or the name
/// that JSON-LD tells, or is the only one and has no other name.
fn of_page(told: &Product, marked: Vec<Product>) -> (Product, bool) {
    let same = |one: &Product| {
        (one.sku.is_some() && one.sku == told.sku) || (one.name.is_some() && one.name == told.name)
    };
    if let Some(found) = marked.iter().position(same) {
        return (marked.into_iter().nth(found).unwrap_or_default(), true);
    }
    let is_another = |one: &Product| one.sku.is_some() && told.sku.is_some();
    let is_only = marked.len() == 1;
    let Some(first) = marked.into_iter().find(|one| !is_another(one)) else { return Default::default() };
    let may_be_same = match (first.name.as_deref(), told.name.as_deref()) {
        (Some(one), Some(other)) => names(one, other) || names(other, one),
        _ => true,
    };
    (first, is_only && may_be_same)
}

/// The one of several products that the page is about: the one of its address, else the one that its title
/// names, else the first on offer. Of a group of variants it is the one that the address asks for, where it
/// asks for one.
fn chosen(products: Vec<Product>, base: &Url, page_urls: &[Url], titles: &[&str]) -> Option<Product> {
    let own = |product: &Product| product.url.as_deref().and_then(|link| base.join(link).ok());
    let same = |one: &Url, other: &Url| one.path() == other.path() && one.query() == other.query();
    let is_this_page =
        |product: &&&Product| own(product).is_some_and(|own| page_urls.iter().any(|page| same(page, &own)));
    let title_names = |product: &Product| {
        product.name.as_deref().is_some_and(|name| titles.iter().any(|title| names(title, name)))
    };
    let length = |product: &&&Product| product.name.as_ref().map_or(0, String::len);
    // One that is not offered says so.
    let judged: Vec<&Product> = products.iter().filter(|one| one.is_offer() || one.not_offered).collect();
    let of_page = || judged.iter().find(is_this_page);
    // Of "Lamp" and "Lamp Pro" the longer is meant where both are named; of two of a name the first.
    let titled = || judged.iter().rev().filter(|product| title_names(product)).max_by_key(length);
    let offered = || judged.iter().find(|product| product.is_offer());
    let found = of_page().or_else(titled).or_else(offered).or(judged.first()).copied();
    let found = found.or_else(|| products.first())?;
    let mut asked_for = found
        .variants
        .iter()
        .filter(|variant| base.query().is_some() && own(variant).is_some_and(|own| same(&own, base)));
    match (asked_for.next(), asked_for.next()) {
        (Some(variant), None) => Some(Product {
            name: variant.name.clone().or_else(|| found.name.clone()),
            sku: variant.sku.clone().or_else(|| found.sku.clone()),
            ..variant.clone()
        }),
        _ => Some(found.clone()),
    }
}

/// Whether a title names this: all its words stand in it, one behind the other.
fn names(title: &str, name: &str) -> bool {
    let words = |text: &str| {
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        words.map(str::to_lowercase).collect::<Vec<_>>()
    };
    let (title, name) = (words(title), words(name));
    !name.is_empty() && title.windows(name.len()).any(|part| part == name)
}

fn last_segment(url: &Url) -> Option<String> {
    url.path_segments()?.rfind(|segment| !segment.is_empty()).map(str::to_owned)
}

fn addresses(generator: &mut SchemaGenerator) -> Schema {
    names::one_or_many(Url::json_schema(generator))
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Url>, D::Error> {
    struct Urls;

    impl<'de> Visitor<'de> for Urls {
        type Value = Vec<Url>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a URL or a list of URLs")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<Url>, E> {
            let wrong = |error| E::custom(format!("`{text}` is not a URL: {error}"));
            Url::parse(text).map(|url| vec![url]).map_err(wrong)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<Url>, A::Error> {
            let mut urls = Vec::new();
            while let Some(url) = items.next_element()? {
                urls.push(url);
            }
            if urls.is_empty() { Err(de::Error::invalid_length(0, &self)) } else { Ok(urls) }
        }
    }
    deserializer.deserialize_any(Urls)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{fixture, plugin, read};
    use Availability::*;

    const NOW: &str = "2026-11-21T10:00:00Z";

    fn seen(page: impl Into<Vec<u8>>) -> Result<(Listing, Vec<Evidence>), FetchError> {
        let shop: Shop = plugin("url = \"https://shop.example/p/lamp-7?ref=1\"");
        let seen = read(&shop, 200, page, NOW)?;
        assert!(!seen.complete);
        let Observation { reading, evidence, .. } = seen.observations.into_iter().next().unwrap();
        match reading {
            Reading::Listing(listing) => Ok((listing, evidence)),
            other => panic!("{other:?}"),
        }
    }

    fn listing(page: impl Into<Vec<u8>>) -> Result<Listing, FetchError> {
        seen(page).map(|(listing, _)| listing)
    }

    fn json_ld(json: &str) -> String {
        format!("<title>Page</title><script type='application/ld+json'>{json}</script>")
    }

    #[test]
    fn one_page_or_several_are_asked_for() {
        let needs = Needs { now: crate::testing::at(NOW), bars: 0 };
        let count = |keys: &str| plugin::<Shop>(keys).requests(&needs).len();
        assert_eq!(count("url = 'https://a.example/1'"), 1);
        assert_eq!(count("url = ['https://a.example/1', 'https://b.example/2']"), 2);
        for keys in ["url = []", "url = 5", "url = 'lamp'", "url = ['lamp']", ""] {
            assert!(toml::from_str::<Shop>(keys).is_err(), "{keys}");
        }
    }

    #[test]
    fn what_one_kind_of_metadata_leaves_open_another_fills() {
        let page = json_ld(
            r#"{"@type": "Product", "name": "Lamp", "offers": {"price": "12,50", "priceCurrency": "EUR"}}"#,
        ) + "<div itemscope itemtype='http://schema.org/Product'><link itemprop=availability href=//schema.org/PreOrder></div>";
        let expected = Listing {
            sku: "lamp-7".into(),
            name: "Lamp".into(),
            price: Some(12.5),
            price_currency: Some("EUR".into()),
            availability: PreOrder,
        };
        assert_eq!(listing(page), Ok(expected));
        let graph = "<title>Lamp</title><meta property=product:availability content='out of stock'>
            <meta property=product:price:amount content=9.99>";
        let found = listing(graph).unwrap();
        assert_eq!((found.name.as_str(), found.price, found.availability), ("Lamp", Some(9.99), OutOfStock));
    }

    #[test]
    fn the_buy_button_tells_where_metadata_does_not() {
        for (buttons, availability) in [
            ("<button>Add to Cart</button>", InStock),
            (
                "<h1>x</h1><button class=big>Sold Out</button><h2>More</h2><button>Add to cart</button>",
                OutOfStock,
            ),
            ("<button>Notify me</button><h1>x</h1><input type=submit value='Add To Cart'>", InStock),
            ("<h1>x</h1><button>Add to cart</button><button data-sku=K7001>Sold out</button>", OutOfStock),
            ("<button disabled>Add to cart</button>", Unknown),
            ("<button hidden>Add to cart</button><a class=btn>Pre-order</a>", PreOrder),
            ("<p>Add to cart or it is sold out</p><script>'<button>Add to cart</button>'</script>", Unknown),
        ] {
            let page = json_ld(r#"{"@type": "Product", "sku": "K7001", "offers": {"price": 5}}"#) + buttons;
            assert_eq!(listing(page).unwrap().availability, availability, "{buttons}");
        }
        // What is said to machines comes first.
        let page = json_ld(r#"{"offers": {"price": 5, "availability": "SoldOut"}}"#)
            + "<button>Add to cart</button>";
        assert_eq!(listing(page).unwrap().availability, OutOfStock);
    }

    #[test]
    fn where_the_parts_of_a_page_disagree_nothing_is_known_and_all_of_it_is_shown() {
        let stock = |word: &str| {
            json_ld(&format!(
                r#"{{"name": "Lamp", "sku": "K7", "offers": {{"price": "5.00", "availability": "{word}"}}}}"#
            ))
        };
        let button = |words: &str| format!("<body><h1>Lamp</h1><button>{words}</button>");
        for (page, availability, count) in [
            (stock("InStock"), InStock, 1),
            (stock("InStock") + &button("Add to cart"), InStock, 2),
            (stock("InStock") + &button("Sold out"), Unknown, 2),
            (stock("OutOfStock") + &button("Add to cart"), Unknown, 2),
            (stock("InStock") + &button("Pre-order"), PreOrder, 2),
            (stock("OutOfStock") + &button("Back order"), BackOrder, 2),
            (stock("InStock") + &button("Notify me"), InStock, 2),
            (stock("InStock") + "<meta property=og:availability content=oos>", Unknown, 2),
            (
                stock("InStock")
                    + "<div itemscope itemtype=//schema.org/Product><i itemprop=sku>K7</i>
                       <link itemprop=availability href=SoldOut></div>",
                Unknown,
                2,
            ),
            (
                stock("InStock")
                    + "<div itemscope itemtype=//schema.org/Product><i itemprop=sku>Z9</i>
                       <link itemprop=availability href=SoldOut></div>",
                InStock,
                1,
            ),
            (
                json_ld(
                    r#"{"name": "Lamp", "offers": [{"price": 5, "availability": "InStock"}, {"availability": "SoldOut"}]}"#,
                ) + &button("Sold out"),
                InStock,
                2,
            ),
        ] {
            let (found, evidence) = seen(page.clone()).unwrap();
            assert_eq!((found.availability, evidence.len()), (availability, count), "{page} {evidence:#?}");
            assert_eq!(Evidence::is_contradictory(&evidence), availability == Unknown, "{page}");
            assert_eq!(found.price, Some(5.0));
        }
    }

    #[test]
    fn a_price_that_is_not_sure_is_shown_and_not_guessed() {
        let page = json_ld(r#"{"name": "x", "offers": {"price": "1.400", "availability": "InStock"}}"#);
        let (found, evidence) = seen(page).unwrap();
        assert_eq!((found.price, found.availability), (None, InStock));
        assert_eq!(evidence[0].excerpt, "InStock; `1.400` can be 1.400 or 1400");
        let dearer =
            "<meta property=og:price:amount content=9.00><meta property=og:price:currency content=GBX>";
        let page =
            json_ld(r#"{"name": "x", "offers": {"price": "7.00", "availability": "InStock"}}"#) + dearer;
        let (found, evidence) = seen(page).unwrap();
        assert_eq!((found.price, evidence[1].price), (Some(7.0), Some(0.09)));
    }

    #[test]
    fn of_several_products_the_page_s_own_is_taken() {
        let page = json_ld(
            r#"[{"@type": "Product", "name": "stub"},
            {"@type": "Product", "name": "other", "url": "/p/other", "offers": {"price": 1, "availability": "InStock"}},
            {"@type": "Product", "name": "own", "url": "/p/lamp-7?ref=1", "offers": {"price": 2, "availability": "SoldOut"}}]"#,
        );
        let found = listing(page).unwrap();
        assert_eq!((found.name.as_str(), found.price, found.availability), ("own", Some(2.0), OutOfStock));
        let no_offer =
            listing(json_ld(r#"{"@type": "Product", "name": "x", "mpn": "M", "offers": null}"#)).unwrap();
        assert_eq!((no_offer.sku.as_str(), no_offer.availability), ("M", OutOfStock));
    }

    #[test]
    fn the_product_that_the_title_names_is_taken_where_none_has_an_address() {
        let products = json_ld(
            r#"[{"@type": "Product", "name": "Chair", "offers": {"price": 1, "availability": "InStock"}},
            {"@type": "Product", "name": "Lamp", "offers": {"price": 2, "availability": "InStock"}},
            {"@type": "Product", "name": "Lamp Pro", "offers": {"price": 3, "availability": "SoldOut"}},
            {"@type": "Product", "name": "Sofa", "offers": null}]"#,
        );
        for (title, price, availability) in [
            ("<h1>Lamp <i>Pro</i></h1>", Some(3.0), OutOfStock),
            ("<h1>The lamp</h1>", Some(2.0), InStock),
            ("<meta property=og:title content='Lamp Pro | Shop'>", Some(3.0), OutOfStock),
            ("<h1>Sofa</h1>", None, OutOfStock),
            ("<h1>Table</h1>", Some(1.0), InStock),
        ] {
            let found = listing(products.clone() + title).unwrap();
            assert_eq!((found.price, found.availability), (price, availability), "{title}");
        }
    }

    #[test]
    fn the_button_of_another_product_never_says_in_stock_for_this_one() {
        let priced = r#"{"@type": "Product", "name": "Lamp", "offers": {"price": 5}}"#;
        let not_offered = r#"{"@type": "Product", "name": "Lamp", "offers": null}"#;
        let stock = |word: &str| {
            format!(
                r#"{{"@type": "Product", "name": "Lamp", "offers": {{"price": 5, "availability": "{word}"}}}}"#
            )
        };
        let carousel = "<h2>More</h2><div><a class=button>Add to cart</a></div>";
        for (told, body, availability) in [
            (priced.to_owned(), format!("<p class='stock out-of-stock'>Out of stock</p>{carousel}"), OutOfStock),
            (not_offered.to_owned(), carousel.to_owned(), OutOfStock),
            (not_offered.to_owned(), "<h2>More</h2><div><button>Add to cart</button></div>".into(), OutOfStock),
            (
                priced.to_owned(),
                "<div id=availability><span>Currently unavailable.</span></div><p><button>Add to Cart</button>".into(),
                Unknown,
            ),
            (
                priced.to_owned(),
                "<button disabled>Add to cart</button><p class=stock>Sold out</p><h2>x</h2><h3>Next</h3><button>Buy now</button>"
                    .into(),
                OutOfStock,
            ),
            (
                priced.to_owned(),
                "<button>Add to cart</button><p class='stock available-on-backorder'>Available on backorder</p>".into(),
                BackOrder,
            ),
            (stock("InStock"), "<button>Pre-order - ships March</button>".into(), PreOrder),
            (stock("PreOrder"), "<button disabled>Sold out</button>".into(), Unknown),
            (
                stock("InStock"),
                "<button>Add to cart - $49.00</button><button>Notify me when available</button>".into(),
                InStock,
            ),
            (
                stock("InStock"),
                "<button>Ship it - $49</button><div><button>Out of stock</button></div>".into(),
                InStock,
            ),
            (
                stock("OutOfStock"),
                "<button>Join the waitlist</button><div><b>Other</b><button>Add to cart</button></div>".into(),
                OutOfStock,
            ),
            (stock("OutOfStock"), "<button class='btn disabled'>Add to cart</button>".into(), OutOfStock),
            (stock("OutOfStock"), "<fieldset disabled><button>Add to cart</button></fieldset>".into(), OutOfStock),
            (stock("InStoreOnly"), "<button>Sold out</button>".into(), LimitedAvailability),
        ] {
            let page = json_ld(&told) + "<body><h1>Lamp</h1>" + &body;
            let (found, evidence) = seen(page).unwrap();
            assert_eq!(found.availability, availability, "{told} {body} {evidence:#?}");
        }
        // What follows the reader down the page is no contradiction.
        for before in [
            "<div><button>Add to cart</button></div><h1>Lamp</h1>",
            "<header><h1>Shop</h1></header><button>Buy now</button>",
        ] {
            let page = json_ld(&stock("OutOfStock")) + before + "<p class=stock>Out of stock</p>";
            assert_eq!(listing(page).unwrap().availability, OutOfStock, "{before}");
        }
    }

    #[test]
    fn variants_are_there_when_one_is_unless_the_address_asks_for_one() {
        let group = |first: &str, second: &str, page: &str| {
            json_ld(&format!(
                r#"{{"@type": "ProductGroup", "name": "Lamp", "productGroupID": "G1", "url": "/p/lamp-7", "hasVariant": [
                {{"@type": "Product", "name": "Lamp red", "sku": "A", "offers": {{"price": 9, "availability": "OutOfStock", "url": "{first}"}}}},
                {{"@type": "Product", "name": "Lamp blue", "sku": "B", "offers": {{"price": 5, "availability": "InStock", "url": "{second}"}}}}]}}"#
            )) + "<body>"
                + page
        };
        let button = "<h1>Lamp</h1><form><button>Add to cart</button></form>";
        let found = listing(group("/p/lamp-7?variant=1", "/p/lamp-7?variant=2", button)).unwrap();
        assert_eq!((found.sku.as_str(), found.price, found.availability), ("G1", Some(5.0), InStock));
        let found = listing(group("/p/lamp-7?ref=1", "/p/lamp-7?variant=2", "")).unwrap();
        assert_eq!((found.sku.as_str(), found.price, found.availability), ("A", Some(9.0), OutOfStock));
        let found = listing(group("/p/lamp-7?ref=1", "/p/lamp-7?ref=1", button)).unwrap();
        assert_eq!((found.price, found.availability), (Some(5.0), InStock));
    }

    #[test]
    fn microdata_with_another_name_contradicts_nothing() {
        let told =
            json_ld(r#"{"name": "Lamp", "sku": "K7001", "offers": {"price": 5, "availability": "InStock"}}"#);
        let marked = |name: &str| {
            format!(
                "<div itemscope itemtype=//schema.org/Product><i itemprop=name>{name}</i><link itemprop=availability href=SoldOut></div>"
            )
        };
        assert_eq!(listing(told.clone() + &marked("Chair")).unwrap().availability, InStock);
        assert_eq!(listing(told + &marked("Acme Lamp")).unwrap().availability, Unknown);
    }

    #[test]
    fn prices_that_disagree_are_named() {
        let page = json_ld(
            r#"{"name": "x", "offers": {"price": 499, "priceCurrency": "USD", "availability": "InStock"}}"#,
        ) + "<meta property=og:price:amount content=999><meta property=og:price:currency content=USD>";
        let (found, evidence) = seen(page).unwrap();
        assert_eq!(found.price, Some(499.0));
        assert_eq!(evidence[1].excerpt, "its price is not the one that counts");
    }

    #[test]
    fn a_page_that_says_nothing_is_a_failure() {
        for page in ["", " ", "<title>Shop</title><p>Welcome", "{}", &json_ld(r#"{"@type": "NewsArticle"}"#)]
        {
            assert!(listing(page).is_err(), "{page}");
        }
        let shop: Shop = plugin("url = \"https://shop.example/\"");
        let error = read(&shop, 404, "<p>gone", NOW).expect_err("a failure");
        assert!(error.to_string().contains("404"), "{error}");
    }

    #[test]
    fn captured_shops_are_read() {
        use Witness::*;
        for (name, sku, price, currency, availability, heard) in [
            ("bestbuy_2020-12_in_stock", "6411488", 359.99, "USD", InStock, &[JsonLd, Button][..]),
            ("bestbuy_2020-12_sold_out", "6439402", 399.99, "USD", OutOfStock, &[JsonLd, Button]),
            ("microcenter_2020-12_in_stock", "951970", 249.99, "USD", InStock, &[JsonLd, Button]),
            ("teslahunt_sold_out_jsonld_car", "5YJSA7E49JF269238", 83_900.0, "EUR", OutOfStock, &[JsonLd]),
            (
                "walmartca_2020-12_in_stock_microdata",
                "341937837",
                499.99,
                "USD",
                InStock,
                &[Microdata, Button],
            ),
        ] {
            let Some(page) = fixture(&format!("shops/{name}.html")) else { return };
            let (found, evidence) = seen(page).unwrap();
            assert_eq!(
                (found.sku.as_str(), found.availability),
                (sku, availability),
                "{name}: {evidence:#?}"
            );
            assert!(!Evidence::is_contradictory(&evidence), "{name}: {evidence:#?}");
            let witnesses: Vec<Witness> = evidence.iter().map(|one| one.from).collect();
            assert_eq!(witnesses, heard, "{name}: {evidence:#?}");
            assert_eq!(
                (found.price, found.price_currency.as_deref()),
                (Some(price), Some(currency)),
                "{name}"
            );
            assert!(found.name.len() > 10, "{}", found.name);
        }
        assert!(listing(fixture("shops/jsonld_invalid_js_comment.html").unwrap()).is_err());
    }

    #[test]
    fn captured_walls_are_known_and_shops_are_not_taken_for_walls() {
        let Some(folder) = crate::testing::fixtures() else { return };
        for page in std::fs::read_dir(folder.join("shops")).unwrap() {
            let name = page.unwrap().file_name().into_string().unwrap();
            let body = fixture(&format!("shops/{name}")).unwrap();
            for status in [200, 503] {
                let url = Url::parse("https://shop.example/p").unwrap();
                let sign = crate::http::wall_sign(&Reply::captured(status, url, body.clone()));
                assert_eq!(sign.is_some(), name.contains("robot"), "{name}: {sign:?}");
            }
        }
    }
}
