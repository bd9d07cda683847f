//! Newegg's search pages, product pages and combos. Newegg has no public API for buyers; what is read is
//! the markup of <https://www.newegg.com/p/pl?d=rtx>, stable since 2020.
//!
//! A page is known by what it holds, not by its address. Items go by their item number, never by their
//! name. A page on which nothing is recognised is a failure, never "no items".

use std::collections::HashSet;
use std::sync::LazyLock;

use scraper::{ElementRef, Html, Selector};
use serde::Deserialize;
use url::Url;

use super::figure::{Figure, Unit};
use super::html::{self, Piece};
use super::{evidence, schema_org, stock};
use crate::http::{Reply, Request, browser_user_agent};
use crate::model::{Availability, Evidence, Listing, Observation, Reading, ReadingKind, Witness};
use crate::plugin::{FetchError, Needs, Plugin, Seen, Source};

/// A search page, a product page or a combo.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Newegg {
    url: Url,
    /// Keep only items whose name holds one of these words; empty keeps all.
    #[serde(default)]
    include: Vec<String>,
    /// Leave out items whose name holds one of these words, and with `combo` the combos.
    #[serde(default)]
    exclude: Vec<String>,
}

impl Plugin for Newegg {
    const KIND: &'static str = "newegg";
    const ABOUT: &'static str = "Stock and prices on a Newegg search, product or combo page";
    const EXAMPLE: &'static str = "url = \"https://www.newegg.com/p/pl?d=rtx+5070&N=100007709&PageSize=96\"\ninclude = [\"RTX 5070\"]\nexclude = [\"combo\", \"refurbished\"]";
}

impl Source for Newegg {
    fn yields(&self) -> ReadingKind {
        ReadingKind::Listing
    }

    fn requests(&self, _: &Needs) -> Vec<Request> {
        // Newegg turns away whatever does not call itself a browser.
        let request = Request::get(self.url.clone())
            .header("user-agent", browser_user_agent())
            .header("accept", "text/html,application/xhtml+xml,*/*;q=0.8")
            .header("accept-language", "en-US,en;q=0.9");
        vec![request]
    }

    fn read(&self, _: &Request, reply: &Reply, needs: &Needs) -> Result<Seen, FetchError> {
        let page = reply.ok()?.text();
        if page.trim().is_empty() {
            return Err(FetchError::failed("the page is empty"));
        }
        let observe = |items: Vec<Item>| -> Vec<Observation> {
            let kept = items.into_iter().filter(|item| self.wants(&item.listing));
            kept.map(|item| item.observation(needs)).collect()
        };
        let cut = Cut::of(&page);
        if cut.is_combo {
            return Ok(Seen::some(observe(vec![combo(&page, &reply.url)?])));
        }
        if cut.is_product {
            return Ok(Seen::some(observe(vec![product(&page, &reply.url)?])));
        }
        let mut items = Vec::new();
        // What is advertised stands on the page once more: the first place counts.
        let mut known = HashSet::new();
        for cell in &cut.cells {
            let item = item(&html::parse(cell)?, &reply.url);
            items.extend(item.filter(|item| known.insert(item.listing.sku.clone())));
        }
        if items.is_empty() && !cut.says_nothing_found && !says_nothing_found(&page) {
            if !schema_org::metadata(&page).products.is_empty() {
                return Ok(Seen::some(observe(vec![product(&page, &reply.url)?])));
            }
            return Err(FetchError::failed("nothing on the page looks like Newegg's items"));
        }
        let seen = observe(items);
        // What half a page does not show may still be there.
        Ok(if cut.breaks_off { Seen::some(seen) } else { Seen::everything(seen) })
    }

    fn usual_strategies(&self) -> &'static str {
        "[{ kind = \"restock\" }]"
    }
}

impl Newegg {
    fn wants(&self, listing: &Listing) -> bool {
        let text = format!("{} {}", listing.name, listing.sku).to_lowercase();
        let holds = |word: &String| text.contains(&word.to_lowercase());
        (self.include.is_empty() || self.include.iter().any(holds)) && !self.exclude.iter().any(holds)
    }
}

struct Item {
    listing: Listing,
    url: Url,
    evidence: Vec<Evidence>,
}

impl Item {
    fn observation(self, needs: &Needs) -> Observation {
        Observation {
            subject: self.listing.sku.clone(),
            observed_at: needs.now,
            url: Some(self.url.into()),
            reading: Reading::Listing(self.listing),
            evidence: self.evidence,
        }
    }
}

/// What one scan finds out about a page: its kind, and the few parts of each item that are worth a tree.
/// That is a tenth of a listing, and the difference between 15 ms and 1.
#[derive(Default)]
struct Cut {
    cells: Vec<String>,
    is_product: bool,
    is_combo: bool,
    says_nothing_found: bool,
    /// It began as a whole page and has no end.
    breaks_off: bool,
}

/// The parts of an item that are read.
const PARTS: &[&str] = &["item-title", "item-promo", "price-current", "item-button-area"];

impl Cut {
    fn of(page: &str) -> Self {
        let cut = Self::by(page, "item-cell");
        // Before 2020 items were containers without cells.
        if cut.cells.is_empty() { Self { cells: Self::by(page, "item-container").cells, ..cut } } else { cut }
    }

    fn by(page: &str, cell_class: &str) -> Self {
        let mut cut = Self::default();
        let mut cell = Inside::default();
        let mut part = Inside::default();
        for piece in html::scan(page) {
            match piece {
                Piece::Open(tag) => {
                    if tag.has_class(cell_class) {
                        cell = Inside::of(tag.name);
                        part = Inside::default();
                        cut.cells.push(String::new());
                    } else {
                        cell.open(tag.name);
                    }
                    cut.is_product |= tag.has_class("product-buy-box") || tag.has_id("ProductBuy");
                    cut.is_combo |= tag.has_id("singleFinalPrice");
                    cut.breaks_off |= tag.name.eq_ignore_ascii_case("html");
                    cut.says_nothing_found |= tag.has_class("result-message-error");
                    if part.depth > 0 {
                        part.open(tag.name);
                    } else if cell.depth > 0 && PARTS.iter().any(|class| tag.has_class(class)) {
                        part = Inside::of(tag.name);
                    }
                    if let Some(cell) = cut.cells.last_mut().filter(|_| part.depth > 0) {
                        cell.push_str(tag.source);
                    }
                }
                Piece::Text(text) | Piece::Raw(text) => {
                    if let Some(cell) = cut.cells.last_mut().filter(|_| part.depth > 0) {
                        cell.push_str(text);
                    }
                }
                Piece::Close(tag) => {
                    if let Some(cell) = cut.cells.last_mut().filter(|_| part.depth > 0) {
                        cell.push_str(tag.source);
                    }
                    cut.breaks_off &= !tag.name.eq_ignore_ascii_case("html");
                    part.close(tag.name);
                    cell.close(tag.name);
                    if cell.depth == 0 {
                        part = Inside::default();
                    }
                }
            }
        }
        if cut.breaks_off && cell.depth > 0 {
            // Half an item does not say whether it can be had.
            cut.cells.pop();
        }
        cut
    }
}

/// Whether the scan is inside an element, told by counting tags of its name. An element that the page
/// forgets to close goes on until the next cell begins, which the tree then sorts out.
#[derive(Default)]
struct Inside<'a> {
    name: &'a str,
    depth: usize,
}

impl<'a> Inside<'a> {
    const fn of(name: &'a str) -> Self {
        Self { name, depth: 1 }
    }

    const fn open(&mut self, name: &str) {
        if self.depth > 0 && self.name.eq_ignore_ascii_case(name) {
            self.depth = self.depth.saturating_add(1);
        }
    }

    const fn close(&mut self, name: &str) {
        if self.depth > 0 && self.name.eq_ignore_ascii_case(name) {
            self.depth = self.depth.saturating_sub(1);
        }
    }
}

fn says_nothing_found(page: &str) -> bool {
    let text = html::collapse(&html::shown(page)).to_lowercase();
    ["we have found 0 items", "found 0 items", "we couldn't find anything", "did not match any products"]
        .iter()
        .any(|sign| text.contains(sign))
}

struct Selectors {
    title: Selector,
    promo: Selector,
    price: Selector,
    price_parts: Selector,
    buttons: Selector,
    product_title: Selector,
    product_price: Selector,
    product_button: Selector,
    product_stock: Selector,
    combo_title: Selector,
    combo_price: Selector,
    combo_button: Selector,
}

static SELECTORS: LazyLock<Selectors> = LazyLock::new(|| {
    let selector = |text: &str| Selector::parse(text).expect("a fixed selector");
    Selectors {
        title: selector("a.item-title[href]"),
        promo: selector(".item-promo"),
        price: selector("li.price-current"),
        price_parts: selector("strong, sup"),
        buttons: selector(".item-button-area"),
        product_title: selector("h1.product-title, h1"),
        product_price: selector(".product-price li.price-current, .product-buy-box li.price-current"),
        product_button: selector(
            "#ProductBuy .btn, .product-buy .btn, #ProductBuy button, .product-buy button",
        ),
        product_stock: selector(".product-inventory, .product-flag"),
        combo_title: selector(".grpDesc h1, h1"),
        combo_price: selector("#singleFinalPrice"),
        combo_button: selector("a.atnPrimary, .atnPrimary"),
    }
});

/// The item of one cell; adverts have no link to an item.
fn item(cell: &Html, page_url: &Url) -> Option<Item> {
    let selectors = &*SELECTORS;
    let title = cell.select(&selectors.title).next()?;
    let mut url = page_url.join(title.attr("href")?.trim()).ok()?;
    let number = item_number(&url);
    let sku = number.clone().or_else(|| last_segment(&url))?;
    // The rest of the link only says where the reader came from, and changes.
    if number.is_some_and(|number| url.path().contains(&number)) {
        url.set_query(None);
    }
    url.set_fragment(None);
    let said = |selector: &Selector| cell.select(selector).next().map(html::line);
    let (promo, button) = (said(&selectors.promo), said(&selectors.buttons));
    let mut evidence = on_the_shelf(promo.as_deref(), button.as_deref());
    if let Some(price) = cell.select(&selectors.price).next() {
        shown_price(price, page_url).told_with(&mut evidence);
    }
    let name = Some(html::line(title)).filter(|name| !name.is_empty());
    Some(Item::judged(sku, name, url, evidence, page_url))
}

impl Item {
    /// The item, as all that is said about it together has it.
    fn judged(sku: String, name: Option<String>, url: Url, evidence: Vec<Evidence>, page_url: &Url) -> Self {
        let verdict = evidence::weigh(&evidence);
        let listing = Listing {
            name: name.unwrap_or_else(|| sku.clone()),
            sku,
            price: verdict.price,
            price_currency: verdict.currency.or_else(|| Some(home_currency(page_url))),
            availability: verdict.availability,
        };
        Self { listing, url, evidence }
    }
}

/// What an item's button and its promotion line say. "View Details" says nothing, and a promotion is
/// about stock only where it says that there is none, or nothing else than how it is.
fn on_the_shelf(promo: Option<&str>, button: Option<&str>) -> Vec<Evidence> {
    let of = |from, said, text| evidence::of_words(from, said, text, false);
    let on_button = button.and_then(|text| Some(of(Witness::Button, stock::told(text)?, text)));
    let in_line = promo.and_then(|text| {
        let said = stock::told(text).filter(|said| *said == Availability::OutOfStock);
        Some(of(Witness::Phrase, said.or_else(|| stock::told_alone(text))?, text))
    });
    // An empty line where "OUT OF STOCK" would stand, and no button that could say otherwise.
    let nothing_missing = (promo == Some("") && button.is_none())
        .then(|| evidence::of_words(Witness::Phrase, Availability::InStock, "no \"OUT OF STOCK\"", true));
    on_button.into_iter().chain(in_line).chain(nothing_missing).collect()
}

/// The price that people see.
struct Shown {
    figure: Figure,
    currency: String,
}

impl Shown {
    /// Adds it to what the button says, or what else is said to people.
    fn told_with(self, evidence: &mut Vec<Evidence>) {
        let (price, unsure) = match self.figure {
            Figure::Sure { number, .. } if number > 0.0 => (Some(number), None),
            Figure::Unsure(why) => (None, Some(why)),
            _ => return,
        };
        let to_people = |one: &&mut Evidence| matches!(one.from, Witness::Button | Witness::Phrase);
        if let Some(one) = evidence.iter_mut().find(to_people) {
            one.price = price;
            one.price_currency = Some(self.currency);
            one.excerpt.extend(unsure.map(|why| format!("; {why}")));
        } else {
            evidence.push(Evidence {
                from: Witness::Phrase,
                availability: None,
                price,
                price_currency: Some(self.currency),
                excerpt: unsure.unwrap_or_default(),
                weak: false,
            });
        }
    }
}

/// The price in `$<strong>2,199</strong><sup>.99</sup>` and its currency.
fn shown_price(element: ElementRef<'_>, page_url: &Url) -> Shown {
    let parts = element.select(&SELECTORS.price_parts).flat_map(|part| part.text());
    let number: String = parts.flat_map(str::chars).filter(|c| !c.is_whitespace()).collect();
    let text = html::line(element);
    let sign = text.split(|c: char| c.is_ascii_digit()).next().unwrap_or_default().trim();
    // With its sign, a price without cents is still sure: `$1,400`.
    let figure = match Figure::read(&format!("{sign}{number}")) {
        Figure::None => Figure::read(&number),
        figure => figure,
    };
    let code = Unit::named(sign).and_then(|unit| unit.code);
    Shown { figure, currency: code.map_or_else(|| home_currency(page_url), str::to_owned) }
}

/// `$` is the dollar of the country whose shop it is.
fn home_currency(url: &Url) -> String {
    match url.host_str().unwrap_or_default().rsplit('.').next() {
        Some("ca") => "CAD",
        _ => "USD",
    }
    .into()
}

fn product(page: &str, url: &Url) -> Result<Item, FetchError> {
    let html = html::parse(page)?;
    let selectors = &*SELECTORS;
    let metadata = schema_org::metadata(page);
    let canonical = metadata.canonical.as_deref().and_then(|link| url.join(link).ok());
    let told = metadata.products.into_iter().next().unwrap_or_default();
    let (canonical, told_url) =
        (canonical.as_ref(), told.url.as_deref().and_then(|link| url.join(link).ok()));
    let own_number = item_number(url);
    let sku = own_number
        .or_else(|| canonical.and_then(item_number))
        .or_else(|| told_url.as_ref().and_then(item_number))
        .or(told.sku.clone())
        .or_else(|| last_segment(url))
        .ok_or_else(|| FetchError::failed("the product page has no item number"))?;
    let said = |selector: &Selector, from: Witness| {
        html.select(selector).find_map(|at| {
            let text = html::line(at);
            Some(evidence::of_words(from, stock::told(&text)?, &text, false))
        })
    };
    let mut evidence: Vec<Evidence> = said(&selectors.product_button, Witness::Button).into_iter().collect();
    evidence.extend(said(&selectors.product_stock, Witness::Phrase));
    if let Some(price) = html.select(&selectors.product_price).next() {
        shown_price(price, url).told_with(&mut evidence);
    }
    // What is said to machines has the price to the cent, so it is heard first.
    evidence.splice(0..0, evidence::of_metadata(Witness::JsonLd, &told));
    if told.not_offered && told.availability.is_none() {
        evidence.push(evidence::of_words(Witness::JsonLd, Availability::OutOfStock, "no offers", true));
    }
    let name = html.select(&selectors.product_title).map(html::line).find(|name| !name.is_empty());
    Ok(Item::judged(sku, told.name.or(name), canonical.unwrap_or(url).clone(), evidence, url))
}

/// A combo's microdata says "in stock" whether it is or not, so it is no evidence; its button tells the
/// truth.
fn combo(page: &str, url: &Url) -> Result<Item, FetchError> {
    let html = html::parse(page)?;
    let selectors = &*SELECTORS;
    let metadata = schema_org::metadata(page);
    let canonical = metadata.canonical.as_deref().and_then(|link| url.join(link).ok());
    let button = html.select(&selectors.combo_button).find_map(|at| {
        let text = html::line(at);
        Some(evidence::of_words(Witness::Button, stock::told(&text)?, &text, false))
    });
    let mut evidence: Vec<Evidence> = button.into_iter().collect();
    if let Some(price) = html.select(&selectors.combo_price).next() {
        let text = html::line(price);
        let shown = || Figure::read(text.rsplit(':').next().unwrap_or(&text));
        let figure = match price.attr("content").map_or(Figure::None, Figure::read) {
            Figure::None => shown(),
            figure => figure,
        };
        Shown { figure, currency: home_currency(url) }.told_with(&mut evidence);
    }
    let name = html.select(&selectors.combo_title).map(html::line).find(|name| !name.is_empty());
    let sku = item_number(url)
        .or_else(|| canonical.as_ref().and_then(item_number))
        .or_else(|| last_segment(url))
        .ok_or_else(|| FetchError::failed("the combo page has no combo number"))?;
    let url_shown = canonical.unwrap_or_else(|| url.clone());
    Ok(Item::judged(sku, name.or(metadata.open_graph.name), url_shown, evidence, url))
}

/// The item number in a link: `Combo.4210760` of a combo, else what stands after `/p/`, else `Item=`.
fn item_number(url: &Url) -> Option<String> {
    let query = |name: &str| {
        url.query_pairs().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.into_owned())
    };
    let combo = query("ItemList").filter(|item| item.to_ascii_lowercase().starts_with("combo."));
    if let Some((_, number)) = combo.as_deref().and_then(|combo| combo.split_once('.')) {
        return Some(format!("Combo.{number}"));
    }
    let mut segments = url.path_segments()?.skip_while(|segment| *segment != "p");
    let after_p = segments.nth(1).map(str::to_owned);
    after_p.filter(|item| is_item_number(item)).or_else(|| query("Item").filter(|item| is_item_number(item)))
}

/// `N82E16814137609`, `9SIA1N8AB12345` or `288-00B4-000B5`.
fn is_item_number(text: &str) -> bool {
    let capitals = |part: &str| part.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    let of_seller = lengths == [3, 4, 5] && text.split('-').all(capitals);
    of_seller || text.len() >= 12 && capitals(text) && (text.starts_with("N82E") || text.starts_with("9SI"))
}

fn last_segment(url: &Url) -> Option<String> {
    url.path_segments()?.rfind(|segment| !segment.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{fixture, plugin, read};
    use Availability::*;

    const NOW: &str = "2026-11-21T10:00:00Z";

    fn watch(url: &str) -> Newegg {
        plugin(&format!("url = \"{url}\""))
    }

    fn listings(seen: Seen) -> Vec<Listing> {
        let listing = |seen: Observation| match seen.reading {
            Reading::Listing(listing) => listing,
            other => panic!("{other:?}"),
        };
        seen.observations.into_iter().map(listing).collect()
    }

    fn cell(title: &str, parts: &str) -> String {
        format!("<div class=\"item-cell\"><div class=\"item-container\">{title}{parts}</div></div>")
    }

    #[test]
    fn an_item_is_read_from_its_own_cell() {
        let page = "<script>var a = '<div class=\"item-cell\"><a class=item-title href=/p/1>';</script>
            <DIV ID=x CLASS='is-blackfriday item-cell'><div class=item-container>
              <a href='/card/p/N82E16814137609?Item=N82E16814137609&amp;cm_re=x#r' class=\"item-title\"
                ><span></span> A &amp; B\n  card</a>
              <p class=item-promo><i class=item-promo-icon></i>OUT
                OF STOCK</p>
              <ul><li class=\"price-current \">$<strong>2,199</strong><sup>.99</sup>&nbsp;<a>(2 Offers)</a></ul>
            </div></DIV><div class=item-cell><a class=txt-ads-box href=/promotions/msi>advert</a></div>";
        let seen = read(&watch("https://www.newegg.com/p/pl?d=x"), 200, page, NOW).unwrap();
        assert!(seen.complete);
        assert_eq!(
            seen.observations[0].url.as_deref(),
            Some("https://www.newegg.com/card/p/N82E16814137609")
        );
        let expected = Listing {
            sku: "N82E16814137609".into(),
            name: "A & B card".into(),
            price: Some(2_199.99),
            price_currency: Some("USD".into()),
            availability: OutOfStock,
        };
        assert_eq!(listings(seen), [expected]);
    }

    #[test]
    fn the_button_and_the_promotion_tell_the_stock() {
        for (parts, availability) in [
            ("<div class=item-button-area><button>Add to cart <i></i></button></div>", InStock),
            (
                "<div class=item-button-area><button> ADD\nTO CART</button></div><p class=item-promo>Free game</p>",
                InStock,
            ),
            ("<div class=item-button-area><span>Sold Out</span></div>", OutOfStock),
            ("<div class=item-button-area><a>Auto Notify &#9658;</a></div>", OutOfStock),
            (
                "<p class=item-promo>out of stock</p><div class=item-button-area>View Details</div>",
                OutOfStock,
            ),
            ("<div class=item-button-area>Pre-order</div>", PreOrder),
            ("<div class=item-button-area>Back order</div><p class=item-promo></p>", BackOrder),
            ("<p class=item-promo>Free game</p><div class=item-button-area>View Details</div>", Unknown),
            ("<p class=item-promo></p><div class=item-button-area></div>", Unknown),
            ("<p class=item-promo>OUT OF STOCK</p><div class=item-button-area>Add to cart</div>", Unknown),
            (
                "<p class=item-promo>Buy now, save later</p><div class=item-button-area>Sold out</div>",
                OutOfStock,
            ),
            ("<p class=item-promo></p>", InStock),
            ("", Unknown),
        ] {
            let page = cell("<a class=item-title href=/p/5-0>x</a>", parts);
            let seen = read(&watch("http://127.0.0.1:9100/newegg/5"), 200, page, NOW).unwrap();
            let found = listings(seen);
            assert_eq!((found[0].sku.as_str(), found[0].availability), ("5-0", availability), "{parts}");
        }
    }

    #[test]
    fn an_item_that_stands_on_the_page_twice_is_one() {
        let once = cell("<a class=item-title href=/p/1>Card</a>", "");
        let watch: Newegg = plugin("url = 'https://www.newegg.com/p/pl'");
        let seen = read(&watch, 200, once.repeat(2), NOW).unwrap();
        assert_eq!(seen.observations.len(), 1);
    }

    #[test]
    fn words_choose_the_items() {
        let page = [
            ("GeForce RTX 5070", "/p/1"),
            ("Radeon", "/p/2"),
            ("RTX 5070 + board", "/Product/ComboDealDetails?ItemList=Combo.7"),
        ]
        .map(|(name, href)| cell(&format!("<a class=item-title href={href}>{name}</a>"), ""))
        .concat();
        for (keys, skus) in [
            ("", &["1", "2", "Combo.7"][..]),
            ("include = ['rtx']", &["1", "Combo.7"]),
            ("include = ['RTX', 'radeon']\nexclude = ['COMBO']", &["1", "2"]),
            ("include = ['titan']", &[]),
        ] {
            let watch: Newegg = plugin(&format!("url = 'https://www.newegg.com/p/pl'\n{keys}"));
            let seen = read(&watch, 200, page.clone(), NOW).unwrap();
            let found: Vec<_> = seen.observations.iter().map(|seen| seen.subject.as_str()).collect();
            assert_eq!(found, skus, "{keys}");
        }
    }

    #[test]
    fn half_a_page_makes_nothing_gone_and_no_half_item_new() {
        let whole = cell("<a class=item-title href=/p/1>One</a>", "");
        let half = "<div class=item-cell><a class=item-title href=/p/2>Two</a><p class=item-promo></p>";
        let watch = watch("https://www.newegg.com/p/pl?d=x");
        for (page, complete) in [
            (format!("<html><body>{whole}{half}"), false),
            (format!("<html><body>{whole}</body></html>"), true),
        ] {
            let seen = read(&watch, 200, page, NOW).unwrap();
            assert_eq!((seen.observations.len(), seen.complete), (1, complete));
        }
    }

    #[test]
    fn a_page_that_is_not_understood_is_no_empty_shelf() {
        let watch = watch("https://www.newegg.com/p/pl?d=x");
        for page in
            ["", " \n", "<html><body>Service is down", "<div class=item-cell><a href=/ad>ad</a></div>"]
        {
            assert!(read(&watch, 200, page, NOW).is_err(), "{page}");
        }
        assert!(read(&watch, 503, cell("<a class=item-title href=/p/1>x</a>", ""), NOW).is_err());
        for page in
            ["<p>We have found <b>0 items</b> that match</p>", "<div class='result-message-error'>Sorry"]
        {
            assert_eq!(read(&watch, 200, page, NOW), Ok(Seen::everything(vec![])), "{page}");
        }
    }

    #[test]
    fn item_numbers_are_found_in_links() {
        for (link, number) in [
            ("/a-b/p/N82E16814137609?Item=9SIA1N8AB12345", Some("N82E16814137609")),
            ("/p/288-00B4-000B5", Some("288-00B4-000B5")),
            ("/p/pl?d=rtx", None),
            ("/Product/Product.aspx?Item=N82E16814137609", Some("N82E16814137609")),
            ("/Product/ComboDealDetails?itemlist=combo.4210760&x=1", Some("Combo.4210760")),
            ("/p/5-0", None),
        ] {
            let url = Url::parse("https://www.newegg.com").unwrap().join(link).unwrap();
            assert_eq!(item_number(&url).as_deref(), number, "{link}");
        }
    }

    #[test]
    fn captured_listings_are_read_whole() {
        let Some(page) = fixture("newegg/listing_2020-12_rtx3080_mixed.html") else { return };
        let seen = read(&watch("https://www.newegg.com/p/pl?d=rtx+3080"), 200, page, NOW).unwrap();
        for one in &seen.observations {
            assert!(one.evidence.iter().any(|evidence| evidence.availability.is_some()), "{one:?}");
            assert!(!Evidence::is_contradictory(&one.evidence), "{one:?}");
        }
        let found = listings(seen);
        let count = |wanted| found.iter().filter(|listing| listing.availability == wanted).count();
        assert_eq!((found.len(), count(OutOfStock), count(InStock), count(BackOrder)), (47, 45, 1, 1));
        let in_stock = found.iter().find(|listing| listing.availability == InStock).unwrap();
        assert_eq!((in_stock.sku.as_str(), in_stock.price), ("N82E16883360054", Some(2_199.99)));
        assert_eq!(found.iter().filter(|listing| listing.sku.starts_with("Combo.")).count(), 16);

        let page = fixture("newegg/listing_2019-2020_grid_fragment.html").unwrap();
        let found = listings(read(&watch("https://www.newegg.com/p/pl"), 200, page, NOW).unwrap());
        let count = |wanted| found.iter().filter(|listing| listing.availability == wanted).count();
        assert_eq!((found.len(), count(OutOfStock), count(InStock), count(Unknown)), (18, 1, 2, 15));

        for (name, sku, price, availability) in [
            ("item_cell_2020-12_in_stock.html", "N82E16883360054", Some(2_199.99), InStock),
            ("item_cell_2020-12_out_of_stock.html", "N82E16814137609", None, OutOfStock),
        ] {
            let page = fixture(&format!("newegg/{name}")).unwrap();
            let found = listings(read(&watch("https://www.newegg.com/p/pl"), 200, page, NOW).unwrap());
            assert_eq!(found.len(), 1);
            assert_eq!(
                (found[0].sku.as_str(), found[0].price, found[0].availability),
                (sku, price, availability)
            );
        }
    }

    #[test]
    fn the_cut_reads_what_the_whole_tree_would() {
        for (name, class) in [
            ("listing_2020-12_rtx3080_mixed.html", "item-cell"),
            ("listing_2019-2020_grid_fragment.html", "item-container"),
            ("item_cell_2020-12_in_stock.html", "item-cell"),
        ] {
            let Some(page) = fixture(&format!("newegg/{name}")) else { return };
            let page = String::from_utf8_lossy(&page);
            let url = Url::parse("https://www.newegg.com/p/pl").unwrap();
            let listing = |cell: Html| item(&cell, &url).map(|item| item.listing);
            let tree = Html::parse_document(&page);
            let cells = Selector::parse(&format!(".{class}")).unwrap();
            let whole: Vec<_> =
                tree.select(&cells).map(|cell| listing(Html::parse_fragment(&cell.html()))).collect();
            let cut: Vec<_> =
                Cut::of(&page).cells.iter().map(|cell| listing(html::parse(cell).unwrap())).collect();
            assert_eq!(cut, whole, "{name}");
            assert!(!cut.is_empty());
        }
    }

    #[test]
    fn captured_product_pages_are_read_by_their_button() {
        for (name, sku, price, availability) in [
            ("product_2020-12_in_stock_raw", "N82E16814126451", Some(154.99), InStock),
            ("product_2020-12_out_of_stock", "N82E16814137609", Some(899.99), OutOfStock),
            ("product_2022_marketplace_3dprinter_in_stock_raw", "288-00B4-000B5", Some(435.98), InStock),
            ("product_2022_marketplace_mouse_in_stock_raw", "0TP-0007-002D8", Some(79.99), InStock),
            ("product_2022_rtx3060_in_stock_raw", "N82E16814137631", Some(379.99), InStock),
            ("product_2022_ssd_in_stock_raw", "N82E16820147743", Some(107.9), InStock),
            ("combo_2020-12_in_stock_raw", "Combo.4210760", Some(541.98), InStock),
            ("combo_2020-12_out_of_stock_raw", "Combo.4208280", Some(1_004.98), OutOfStock),
        ] {
            let Some(page) = fixture(&format!("newegg/{name}.html")) else { return };
            let seen = read(&watch("http://127.0.0.1:1/somewhere"), 200, page, NOW).unwrap();
            assert!(!seen.complete);
            let evidence = seen.observations[0].evidence.clone();
            let witnesses: Vec<_> = evidence.iter().map(|one| one.from).collect();
            let combo = name.starts_with("combo");
            let expected = match availability {
                _ if combo => &[Witness::Button][..],
                // Its JSON-LD speaks of no offers at all.
                OutOfStock => &[Witness::Button, Witness::Phrase],
                _ => &[Witness::JsonLd, Witness::Button, Witness::Phrase],
            };
            assert!(expected.iter().all(|one| witnesses.contains(one)), "{name}: {evidence:#?}");
            assert!(!Evidence::is_contradictory(&evidence), "{name}: {evidence:#?}");
            let found = listings(seen);
            assert_eq!(found.len(), 1, "{name}");
            assert_eq!(
                (found[0].sku.as_str(), found[0].price, found[0].availability),
                (sku, price, availability),
                "{name}"
            );
            assert_eq!(found[0].price_currency.as_deref(), Some("USD"));
            assert!(found[0].name.len() > 20, "{}", found[0].name);
        }
    }

    #[test]
    fn captured_walls_are_known_and_pages_are_not_taken_for_walls() {
        let sign = |name: &str, status: u16| {
            let url = Url::parse("https://www.newegg.com/p/pl?d=x").unwrap();
            fixture(name).map(|body| crate::http::wall_sign(&Reply::captured(status, url, body)))
        };
        for (name, status) in [("robot_check_2022-07.html", 200), ("ban_notice_2020-11_text.txt", 403)] {
            let Some(sign) = sign(&format!("newegg/{name}"), status) else { return };
            assert!(sign.is_some(), "{name}");
        }
        let Some(folder) = std::env::var_os("STAKEOUT_FIXTURES") else { return };
        for page in std::fs::read_dir(std::path::Path::new(&folder).join("newegg")).unwrap() {
            let name = page.unwrap().file_name().into_string().unwrap();
            if !name.starts_with("robot") && !name.starts_with("ban") {
                assert_eq!(sign(&format!("newegg/{name}"), 200), Some(None), "{name}");
            }
        }
    }
}
