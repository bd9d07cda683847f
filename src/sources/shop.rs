//! Any shop's product page that says what it is in JSON-LD, microdata or Open Graph, or by its buy button.
//! Each gives its evidence: agreement decides, and where they disagree nothing is known. <https://schema.org/Product>, <https://developers.google.com/search/docs/appearance/structured-data/product>

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use url::Url;

use super::schema_org::{self, Product};
use super::{buttons, evidence, html};
use crate::http::{Reply, Request};
use crate::model::{Availability, Evidence, Listing, Observation, Reading, ReadingKind, Witness};
use crate::plugin::{FetchError, Needs, Plugin, Seen, Source};

/// One or several product pages.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shop {
    #[serde(deserialize_with = "one_or_many")]
    url: Vec<Url>,
}

impl Plugin for Shop {
    const KIND: &'static str = "shop";
    const ABOUT: &'static str =
        "Stock and price on any shop's product page that follows schema.org, or has a buy button";
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
        let (product, evidence) = read_page(&page, &reply.url)?;
        let verdict = evidence::weigh(&evidence);
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
    let told = chosen(metadata.products, url, &page_urls);
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
        tree.as_ref().map(|tree| of_page(&told, schema_org::microdata(tree))).unwrap_or_default();
    let mut others: Vec<Evidence> = Vec::new();
    others.extend(
        evidence::of_metadata(Witness::Microdata, &marked).map(|one| Evidence { weak: !is_own, ..one }),
    );
    others.extend(evidence::of_metadata(Witness::OpenGraph, &graph));
    let sku = told.sku.clone().or(marked.sku).or(graph.sku);
    others.extend(tree.iter().flat_map(|tree| buttons::seen(tree, sku.as_deref())));
    // Where only some variants can be had, what else the page says is about one of them.
    evidence.extend(others.into_iter().map(|one| Evidence { weak: one.weak || told.mixed, ..one }));
    if told.not_offered && told.availability.is_none() {
        evidence.push(evidence::of_words(Witness::JsonLd, Availability::OutOfStock, "no offers", true));
    }
    if !was_told && evidence.is_empty() {
        return Err(FetchError::failed(
            "nothing on the page says what is sold and whether it can be had (no schema.org, no Open Graph, no \
             buy button)",
        ));
    }
    let name = told.name.or(marked.name).or(graph.name).or(metadata.title);
    Ok((Product { name, sku, ..Product::default() }, evidence))
}

/// The product of microdata that the page is about, and whether that is sure: it is the only one, or has
/// the number or the name that JSON-LD tells.
fn of_page(told: &Product, marked: Vec<Product>) -> (Product, bool) {
    let same = |one: &Product| {
        (one.sku.is_some() && one.sku == told.sku) || (one.name.is_some() && one.name == told.name)
    };
    if let Some(found) = marked.iter().position(same) {
        return (marked.into_iter().nth(found).unwrap_or_default(), true);
    }
    let is_another = |one: &Product| one.sku.is_some() && told.sku.is_some();
    let is_only = marked.len() == 1;
    marked.into_iter().find(|one| !is_another(one)).map_or_else(Default::default, |first| (first, is_only))
}

/// The one of several products that the page is about: the one of its address, else the first on offer.
fn chosen(products: Vec<Product>, base: &Url, page_urls: &[Url]) -> Option<Product> {
    let is_this_page = |product: &&Product| {
        let own = product.url.as_deref().and_then(|link| base.join(link).ok());
        own.is_some_and(|own| {
            page_urls.iter().any(|page| page.path() == own.path() && page.query() == own.query())
        })
    };
    let of_page = || products.iter().filter(|product| product.is_offer()).find(is_this_page);
    let offered = || products.iter().find(|product| product.is_offer());
    of_page().or_else(offered).or_else(|| products.first()).cloned()
}

fn last_segment(url: &Url) -> Option<String> {
    url.path_segments()?.rfind(|segment| !segment.is_empty()).map(str::to_owned)
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
        let Some(folder) = std::env::var_os("STAKEOUT_FIXTURES") else { return };
        for page in std::fs::read_dir(std::path::Path::new(&folder).join("shops")).unwrap() {
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
