//! Newegg's search pages, product pages and combos. Newegg has no public API for buyers; what is read is
//! the markup of <https://www.newegg.com/p/pl?d=rtx>, stable since 2020.
//!
//! A page is known by what it holds, not by its address. Items go by their item number, never by their
//! name. A page on which nothing is recognised is a failure, never "no items".

use std::collections::HashSet;
use std::sync::LazyLock;

use schemars::JsonSchema;
use scraper::{ElementRef, Html, Selector};
use serde::Deserialize;
use url::Url;

use super::figure::{Figure, Unit};
use super::html::{self, Piece};
use super::{evidence, schema_org, stock};
use crate::http::{Reply, Request, browser_user_agent};
use crate::model::{Availability, Evidence, Listing, Observation, Reading, ReadingKind, Witness};
use crate::plugin::{FetchError, Needs, Plugin, Seen, Source};

/// Reads a search page, a product page or a combo; every item is a subject. On a search page, an item that is no
/// longer shown is out of stock.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Newegg {
    /// The page's address, as the browser shows it.
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
    const ABOUT: &'static str = "stock and prices on a Newegg search, product or combo page";
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
mod tests;
