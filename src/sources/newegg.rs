//! What Newegg has: search and category listings, product pages, combo pages. There is no API for
//! buyers; the markup of listings has stood since 2020. <https://www.newegg.com/p/pl?d=rtx+3070>
//!
//! A listing is half a megabyte and is looked at every minute, so it is read in one pass over its tags,
//! without a tree.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::html::{self, Piece, Tag};
use crate::http::{Reply, Request};
use crate::model::{Availability, Listing, Observation, Reading, ReadingKind};
use crate::plugin::{FetchError, Needs, Plugin, Seen, Source};

/// Which page, and which of its items.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Newegg {
    url: Url,
    /// Only items whose name holds one of these words.
    #[serde(default)]
    include: Vec<String>,
    /// No items whose name holds one of these words.
    #[serde(default)]
    exclude: Vec<String>,
    /// Newegg lets no program in that says what it is.
    #[serde(default = "user_agent")]
    user_agent: String,
}

fn user_agent() -> String {
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
     Chrome/150.0.0.0 Safari/537.36"
        .into()
}

impl Plugin for Newegg {
    const KIND: &'static str = "newegg";
    const ABOUT: &'static str = "items of a Newegg search, category, product or combo page";
    const EXAMPLE: &'static str = "url = \"https://www.newegg.com/p/pl?d=rtx+3070&PageSize=96\"\nexclude = [\"combo\", \"refurbished\"]";
}

impl Source for Newegg {
    fn yields(&self) -> ReadingKind {
        ReadingKind::Listing
    }

    fn requests(&self, _: &Needs) -> Vec<Request> {
        vec![Request::get(self.url.clone()).header("user-agent", &self.user_agent)]
    }

    fn read(&self, _: &Request, reply: &Reply, needs: &Needs) -> Result<Seen, FetchError> {
        let markup = reply.ok()?.text();
        if markup.trim().is_empty() {
            return Err(FetchError::failed("the page is empty"));
        }
        let page = Page::of(&markup);
        let seen = |item: Item| item.observation(&reply.url, needs);
        if page.is_product() {
            return Ok(Seen::some(page.product(&reply.url).map(seen).into_iter().collect()));
        }
        if page.is_combo() {
            return Ok(Seen::some(vec![seen(page.combo(&reply.url))]));
        }
        if page.cells.is_empty() && !page.found_nothing {
            return Err(FetchError::failed(
                "nothing on the page can be recognised: no items, no product, no \"found 0 items\"",
            ));
        }
        let mut known = HashSet::new();
        let items = page.cells.iter().filter_map(|cell| cell.item(&reply.url));
        let items = items.filter(|item| self.is_wanted(&item.name) && known.insert(item.sku.clone()));
        let seen = items.map(seen).collect();
        // What half a page does not show may still be there.
        Ok(if page.breaks_off { Seen::some(seen) } else { Seen::everything(seen) })
    }

    fn usual_strategies(&self) -> &'static str {
        "[{ kind = \"restock\" }]"
    }
}

impl Newegg {
    fn is_wanted(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        let holds = |word: &String| name.contains(&word.to_lowercase());
        (self.include.is_empty() || self.include.iter().any(holds)) && !self.exclude.iter().any(holds)
    }
}

/// One item, however it was found.
struct Item {
    sku: String,
    name: String,
    price: Option<f64>,
    currency: Option<&'static str>,
    availability: Availability,
    url: Option<Url>,
}

impl Item {
    fn observation(self, page: &Url, needs: &Needs) -> Observation {
        Observation {
            subject: self.sku.clone(),
            observed_at: needs.now,
            url: Some(self.url.unwrap_or_else(|| page.clone()).into()),
            reading: Reading::Listing(Listing {
                sku: self.sku,
                name: self.name,
                price: self.price,
                price_currency: self.currency.map(str::to_owned),
                availability: self.availability,
            }),
        }
    }
}

/// What was found on a page, in one pass.
#[derive(Default)]
struct Page {
    cells: Vec<Cell>,
    /// The page itself says that there are no items.
    found_nothing: bool,
    /// It began as a whole page and has no end.
    breaks_off: bool,
    heading: String,
    canonical: Option<String>,
    price: Price,
    // Of a product page:
    inventory: Option<String>,
    buy: Option<String>,
    flag: Option<String>,
    product: Option<Value>,
    // Of a combo page:
    combo_button: Option<String>,
    combo_price: Option<Price>,
}

/// One cell of a listing.
#[derive(Default)]
struct Cell {
    link: String,
    name: String,
    price: Price,
    promo: Option<String>,
    button: Option<String>,
}

/// A price as it is shown: `$` `2,199` `.99`, and words around it.
#[derive(Clone, Default)]
struct Price {
    text: String,
    digits: String,
}

/// What the text that is being read belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Name,
    CellPrice,
    Promo,
    Button,
    Heading,
    Price,
    Inventory,
    Buy,
    Flag,
    ComboButton,
    ComboPrice,
}

/// An element whose end is waited for, by counting the elements of its name.
struct Open<'a> {
    name: &'a str,
    depth: usize,
}

impl<'a> Open<'a> {
    const fn of(tag: &Tag<'a>) -> Self {
        Self { name: tag.name, depth: 1 }
    }

    fn opens(&mut self, tag: &Tag<'_>) {
        self.depth += usize::from(tag.is(self.name));
    }

    /// Whether this end tag is its own.
    fn closes(&mut self, tag: &Tag<'_>) -> bool {
        self.depth = self.depth.saturating_sub(usize::from(tag.is(self.name)));
        self.depth == 0
    }
}

/// The state of the one pass.
#[derive(Default)]
struct Pass<'a> {
    page: Page,
    cell: Option<(Open<'a>, Cell)>,
    field: Option<(Open<'a>, Field)>,
    /// Inside the part of a price that holds its digits.
    digits: bool,
    /// The script that was just opened holds linked data.
    linked_data: bool,
}

impl Page {
    fn of(markup: &str) -> Self {
        let mut pass = Pass::default();
        for piece in html::scan(markup) {
            match piece {
                Piece::Text(text) => pass.text(text),
                Piece::Raw(text) => pass.raw(text),
                Piece::Open(tag) => pass.open(tag),
                Piece::Close(tag) => pass.close(&tag),
            }
        }
        if pass.page.breaks_off {
            // Half an item does not say whether it can be had.
            pass.cell = None;
        }
        pass.end_cell();
        pass.page
    }

    const fn is_product(&self) -> bool {
        self.inventory.is_some() || self.buy.is_some()
    }

    const fn is_combo(&self) -> bool {
        self.combo_button.is_some() || self.combo_price.is_some()
    }

    /// The page's own button decides, then its words, then what it tells machines: on a sold-out product
    /// `offers` is only missing.
    fn product(&self, url: &Url) -> Option<Item> {
        let said = [&self.buy, &self.inventory, &self.flag];
        let offer = self.product.as_ref().and_then(|product| product.get("offers"));
        let offer = offer.map(|offer| offer.get(0).unwrap_or(offer));
        let told = || offer?.get("availability")?.as_str().and_then(in_linked_data);
        let availability = said
            .iter()
            .find_map(|text| spoken(text.as_deref()?))
            .or_else(told)
            .unwrap_or(Availability::Unknown);
        let number = |value: &Value| value.as_f64().or_else(|| value.as_str()?.replace(',', "").parse().ok());
        let price = offer.and_then(|offer| number(offer.get("price")?)).or_else(|| self.price.amount());
        let own =
            self.canonical.as_deref().and_then(|link| url.join(link).ok()).unwrap_or_else(|| url.clone());
        let text = |key: &str| self.product.as_ref()?.get(key)?.as_str().map(str::to_owned);
        let sku = item_number(&own).or_else(|| text("sku")).or_else(|| last_segment(&own))?;
        let name = if self.heading.is_empty() { text("name") } else { Some(html::collapse(&self.heading)) };
        Some(Item {
            sku,
            name: html::decode(&name.unwrap_or_default()).into_owned(),
            price: price.filter(|price| price.is_finite()),
            currency: self.price.currency().or(Some("USD")),
            availability,
            url: Some(own),
        })
    }

    /// What a combo page tells machines is "in stock" even when it is sold out, so its button decides.
    fn combo(&self, url: &Url) -> Item {
        let own =
            self.canonical.as_deref().and_then(|link| url.join(link).ok()).unwrap_or_else(|| url.clone());
        let price = self.combo_price.as_ref();
        let said = self.combo_button.as_deref().and_then(spoken);
        Item {
            sku: item_number(&own).or_else(|| last_segment(&own)).unwrap_or_else(|| "combo".into()),
            name: html::decode(&html::collapse(&self.heading)).into_owned(),
            price: price.and_then(Price::amount),
            currency: price.and_then(Price::currency).or(Some("USD")),
            availability: said.unwrap_or(Availability::Unknown),
            url: Some(own),
        }
    }
}

impl<'a> Pass<'a> {
    fn open(&mut self, tag: Tag<'a>) {
        self.page.breaks_off |= tag.is("html");
        self.linked_data = tag.is("script")
            && tag.attribute("type").is_some_and(|kind| kind.eq_ignore_ascii_case("application/ld+json"));
        if let Some((open, field)) = &mut self.field {
            open.opens(&tag);
            if matches!(field, Field::CellPrice | Field::Price | Field::ComboPrice) {
                self.digits |= tag.is("strong") || tag.is("sup");
            }
        }
        if let Some((open, _)) = &mut self.cell {
            open.opens(&tag);
        }
        if tag.is("link") && tag.attribute("rel").is_some_and(|rel| rel.eq_ignore_ascii_case("canonical")) {
            self.page.canonical = tag.attribute("href").map(|link| link.into_owned());
        }
        let is_heading = tag.is("h1") && self.page.heading.is_empty();
        if self.field.is_some() || !(tag.has_classes() || is_heading) {
            return;
        }
        if tag.has_class("item-cell") || (self.cell.is_none() && tag.has_class("item-container")) {
            self.end_cell();
            self.cell = Some((Open::of(&tag), Cell::default()));
            return;
        }
        self.page.found_nothing |= tag.has_class("result-message-error");
        if let Some(field) = self.field_of(&tag) {
            if field == Field::Name
                && let Some((_, cell)) = &mut self.cell
            {
                cell.link = tag.attribute("href").map(|link| link.into_owned()).unwrap_or_default();
            }
            // The element may stay empty, and that says something too.
            if let Some(text) = self.text_of(field) {
                text.push_str("");
            }
            self.field = Some((Open::of(&tag), field));
        }
    }

    /// Which field an element begins; of each only the first counts.
    fn field_of(&self, tag: &Tag<'_>) -> Option<Field> {
        if let Some((_, cell)) = &self.cell {
            let field = if tag.is("a") && tag.has_class("item-title") && cell.name.is_empty() {
                Field::Name
            } else if tag.has_class("price-current") && cell.price.text.is_empty() {
                Field::CellPrice
            } else if tag.has_class("item-promo") && cell.promo.is_none() {
                Field::Promo
            } else if tag.has_class("item-button-area") && cell.button.is_none() {
                Field::Button
            } else {
                return None;
            };
            return Some(field);
        }
        let page = &self.page;
        if tag.is("h1") && page.heading.is_empty() {
            Some(Field::Heading)
        } else if tag.has_class("product-inventory") && page.inventory.is_none() {
            Some(Field::Inventory)
        } else if tag.has_class("product-buy") && page.buy.is_none() {
            Some(Field::Buy)
        } else if tag.has_class("product-flag") && page.flag.is_none() {
            Some(Field::Flag)
        } else if tag.has_class("atnPrimary") && page.combo_button.is_none() {
            Some(Field::ComboButton)
        } else if tag.has_class("current") && tag.attribute("id").as_deref() == Some("singleFinalPrice") {
            Some(Field::ComboPrice)
        } else if tag.has_class("price-current") && page.price.text.is_empty() {
            Some(Field::Price)
        } else {
            None
        }
    }

    fn text_of(&mut self, field: Field) -> Option<&mut String> {
        let page = &mut self.page;
        let cell = self.cell.as_mut().map(|(_, cell)| cell);
        Some(match field {
            Field::Name => &mut cell?.name,
            Field::CellPrice => &mut cell?.price.text,
            Field::Promo => cell?.promo.get_or_insert_default(),
            Field::Button => cell?.button.get_or_insert_default(),
            Field::Heading => &mut page.heading,
            Field::Price => &mut page.price.text,
            Field::Inventory => page.inventory.get_or_insert_default(),
            Field::Buy => page.buy.get_or_insert_default(),
            Field::Flag => page.flag.get_or_insert_default(),
            Field::ComboButton => page.combo_button.get_or_insert_default(),
            Field::ComboPrice => &mut page.combo_price.get_or_insert_default().text,
        })
    }

    fn text(&mut self, words: &str) {
        let Some((_, field)) = self.field else { return };
        if let Some(text) = self.text_of(field) {
            text.push_str(words);
        }
        // A combo page shows its dollars outside of any element of their own.
        if self.digits || field == Field::ComboPrice {
            let digits = match field {
                Field::CellPrice => self.cell.as_mut().map(|(_, cell)| &mut cell.price.digits),
                Field::Price => Some(&mut self.page.price.digits),
                Field::ComboPrice => self.page.combo_price.as_mut().map(|price| &mut price.digits),
                _ => None,
            };
            if let Some(digits) = digits {
                digits.extend(words.chars().filter(|c| c.is_ascii_digit() || *c == '.'));
            }
        }
    }

    fn raw(&mut self, text: &str) {
        if !self.linked_data {
            return;
        }
        // A block that is not JSON says nothing; others may.
        let Ok(data) = serde_json::from_str::<Value>(text) else { return };
        let is_product = |value: &Value| value.get("@type").and_then(Value::as_str) == Some("Product");
        let blocks = match data {
            Value::Array(blocks) => blocks,
            block => vec![block],
        };
        if self.page.product.is_none() {
            self.page.product = blocks.into_iter().find(is_product);
        }
    }

    fn close(&mut self, tag: &Tag<'_>) {
        self.page.breaks_off &= !tag.is("html");
        self.digits &= !(tag.is("strong") || tag.is("sup"));
        if self.field.as_mut().is_some_and(|(open, _)| open.closes(tag)) {
            self.field = None;
            self.digits = false;
        }
        if self.cell.as_mut().is_some_and(|(open, _)| open.closes(tag)) {
            self.end_cell();
        }
    }

    fn end_cell(&mut self) {
        self.field = None;
        if let Some((_, cell)) = self.cell.take() {
            self.page.cells.push(cell);
        }
    }
}

impl Cell {
    /// `None` for an advert, which names no item.
    fn item(&self, page: &Url) -> Option<Item> {
        let name = html::collapse(&html::decode(&self.name));
        let mut url = page.join(self.link.trim()).ok()?;
        if name.is_empty() || self.link.is_empty() {
            return None;
        }
        let sku = item_number(&url).or_else(|| last_segment(&url))?;
        url.set_fragment(None);
        if url.path().contains("/p/") {
            url.set_query(None);
        }
        let (price, currency) = (self.price.amount(), self.price.currency());
        Some(Item { sku, name, price, currency, availability: self.availability(), url: Some(url) })
    }

    /// The button decides where it says anything; "View Details" does not, and then the promotion text
    /// tells. An item with neither button nor words is to be had: so it was before there were buttons.
    fn availability(&self) -> Availability {
        let button = self.button.as_deref().and_then(spoken);
        let promo = self.promo.as_deref().and_then(spoken).filter(|said| *said != Availability::InStock);
        let silent = self.button.as_deref().is_none_or(|text| text.trim().is_empty())
            && self.promo.as_deref().is_some_and(|text| text.trim().is_empty());
        let assumed = if silent { Availability::InStock } else { Availability::Unknown };
        button.or(promo).unwrap_or(assumed)
    }
}

impl Price {
    fn amount(&self) -> Option<f64> {
        self.digits.parse().ok().filter(|amount: &f64| amount.is_finite() && *amount > 0.0)
    }

    fn currency(&self) -> Option<&'static str> {
        let signs = [('$', "USD"), ('€', "EUR"), ('£', "GBP")];
        signs.into_iter().find(|(sign, _)| self.text.contains(*sign)).map(|(_, currency)| currency)
    }
}

/// What a button or a short text says about stock; `None` when it says nothing.
fn spoken(text: &str) -> Option<Availability> {
    const WORDS: &[(&str, Availability)] = &[
        ("out of stock", Availability::OutOfStock),
        ("sold out", Availability::OutOfStock),
        ("auto notify", Availability::OutOfStock),
        ("notify me", Availability::OutOfStock),
        ("currently unavailable", Availability::OutOfStock),
        ("discontinued", Availability::Discontinued),
        ("deactivated", Availability::Discontinued),
        ("pre-order", Availability::PreOrder),
        ("preorder", Availability::PreOrder),
        ("pre order", Availability::PreOrder),
        ("back order", Availability::BackOrder),
        ("backorder", Availability::BackOrder),
        ("back-order", Availability::BackOrder),
        ("add to cart", Availability::InStock),
        ("buy now", Availability::InStock),
        ("in stock", Availability::InStock),
    ];
    let text = html::collapse(&html::decode(text)).to_lowercase();
    WORDS.iter().find(|(words, _)| text.contains(words)).map(|(_, availability)| *availability)
}

/// schema.org's word at the end of an address.
fn in_linked_data(word: &str) -> Option<Availability> {
    let word = word.rsplit('/').next().unwrap_or(word).to_lowercase();
    Some(match word.as_str() {
        "instock" | "onlineonly" | "instoreonly" => Availability::InStock,
        "limitedavailability" => Availability::LimitedAvailability,
        "preorder" | "presale" => Availability::PreOrder,
        "backorder" => Availability::BackOrder,
        "outofstock" | "soldout" => Availability::OutOfStock,
        "discontinued" => Availability::Discontinued,
        _ => return None,
    })
}

/// The item number in a link: after `/p/`, or in its `Item` or `ItemList`.
fn item_number(url: &Url) -> Option<String> {
    let mut segments = url.path_segments()?.skip_while(|segment| *segment != "p").skip(1);
    let after_p = segments.next().filter(|segment| !segment.is_empty() && *segment != "pl");
    let in_query = || {
        url.query_pairs()
            .find(|(name, _)| name.eq_ignore_ascii_case("item") || name.eq_ignore_ascii_case("itemlist"))
            .map(|(_, value)| value.into_owned())
    };
    after_p.map(str::to_owned).or_else(in_query).filter(|number| !number.is_empty())
}

fn last_segment(url: &Url) -> Option<String> {
    url.path_segments()?.rfind(|segment| !segment.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{fixture, plugin, read};

    fn newegg(keys: &str) -> Newegg {
        plugin(&format!("url = \"https://www.newegg.com/p/pl?d=rtx\"\n{keys}"))
    }

    fn seen(source: &Newegg, body: impl Into<Vec<u8>>) -> Seen {
        read(source, 200, body, "2026-11-20T10:00:00Z").expect("the page can be read")
    }

    fn listings(seen: &Seen) -> Vec<&Listing> {
        let listing = |seen: &Observation| match &seen.reading {
            Reading::Listing(_) => true,
            _ => false,
        };
        assert!(seen.observations.iter().all(listing));
        seen.observations
            .iter()
            .filter_map(|seen| match &seen.reading {
                Reading::Listing(listing) => Some(listing),
                _ => None,
            })
            .collect()
    }

    fn count(seen: &Seen, availability: Availability) -> usize {
        listings(seen).iter().filter(|listing| listing.availability == availability).count()
    }

    fn cell(promo: &str, button: &str) -> String {
        format!(
            "<DIV id='c' CLASS='is-new item-cell'><div class='item-container'>\
             <a href='/card/p/N82E1?Item=N82E1' class='item-title'><i></i>\n A &amp;  B </a>{promo}\
             <ul><li class=price-current>$<strong>1,499</strong><sup>.99</sup>&nbsp;<a>(3 Offers)</a></li></ul>\
             {button}</div></DIV>"
        )
    }

    #[test]
    fn an_item_s_own_button_and_words_say_whether_it_can_be_had() {
        use Availability::{BackOrder, InStock, OutOfStock, PreOrder, Unknown};
        let out = "<p class='item-promo'><i></i>OUT\n OF  STOCK</p>";
        let empty = "<p class='item-promo'></p>";
        let gift = "<p class='item-promo'>Free gift with purchase</p>";
        let area =
            |text: &str| format!("<div class='item-button-area'><div><button>{text}</button></div></div>");
        for (promo, button, availability) in [
            (empty, area("Add to cart <i></i>"), InStock),
            ("", area("Add To Cart"), InStock),
            (out, area("Auto Notify"), OutOfStock),
            (out, area("View Details"), OutOfStock),
            (out, String::new(), OutOfStock),
            (empty, String::new(), InStock),
            (empty, area("View Details"), Unknown),
            (gift, area("View Details"), Unknown),
            ("", String::new(), Unknown),
            (gift, area("Sold Out"), OutOfStock),
            ("", area("Pre-order"), PreOrder),
            ("", area("Back order"), BackOrder),
        ] {
            let seen = seen(&newegg(""), cell(promo, &button));
            let [listing] = listings(&seen)[..] else { panic!("{seen:?}") };
            assert_eq!(listing.availability, availability, "{promo} {button}");
            assert_eq!((listing.sku.as_str(), listing.name.as_str()), ("N82E1", "A & B"));
            assert_eq!((listing.price, listing.price_currency.as_deref()), (Some(1_499.99), Some("USD")));
            assert_eq!(seen.observations[0].url.as_deref(), Some("https://www.newegg.com/card/p/N82E1"));
            assert!(seen.complete);
        }
    }

    #[test]
    fn words_choose_the_items() {
        let page = cell("", "") + &cell("", "").replace("N82E1", "1B4-09M4").replace("A &amp;", "Combo");
        for (keys, count) in
            [("", 2), ("exclude = [\"COMBO\"]", 1), ("include = [\"combo\"]", 1), ("include = [\"z\"]", 0)]
        {
            assert_eq!(seen(&newegg(keys), page.clone()).observations.len(), count, "{keys}");
        }
    }

    #[test]
    fn a_page_without_anything_known_on_it_is_a_failure_and_never_no_items() {
        for body in ["", "  ", "<html><body><h1>Maintenance</h1></body></html>", "{}"] {
            assert!(read(&newegg(""), 200, body, "2026-11-20T10:00:00Z").is_err(), "{body}");
        }
        let half = format!(
            "<html><body>{}<div class='item-cell'><a class='item-title' href='/p/2'>Two",
            cell("", "")
        );
        let read_so_far = seen(&newegg(""), half);
        assert_eq!((read_so_far.observations.len(), read_so_far.complete), (1, false));
        let nothing = "<p class='result-message-error'>We have found 0 items that match</p>";
        assert_eq!(seen(&newegg(""), nothing), Seen::everything(vec![]));
    }

    #[test]
    fn the_captured_listings_are_read_item_by_item() {
        let Some(body) = fixture("newegg/listing_2020-12_rtx3080_mixed.html") else { return };
        let page = seen(&newegg(""), body);
        assert_eq!(page.observations.len(), 47);
        assert_eq!(count(&page, Availability::OutOfStock), 45);
        assert_eq!(count(&page, Availability::InStock), 1);
        assert_eq!(count(&page, Availability::BackOrder), 1);
        let Some(body) = fixture("newegg/listing_2019-2020_grid_fragment.html") else { return };
        let page = seen(&newegg(""), body);
        assert_eq!(page.observations.len(), 18);
        assert_eq!(count(&page, Availability::OutOfStock), 1);
        assert_eq!(count(&page, Availability::InStock), 2);
        assert_eq!(count(&page, Availability::Unknown), 15);
        for (name, availability) in [
            ("item_cell_2020-12_in_stock", Availability::InStock),
            ("item_cell_2020-12_out_of_stock", Availability::OutOfStock),
        ] {
            let Some(body) = fixture(&format!("newegg/{name}.html")) else { return };
            let page = seen(&newegg(""), body);
            assert_eq!((page.observations.len(), count(&page, availability)), (1, 1), "{name}");
        }
    }

    #[test]
    fn the_captured_product_and_combo_pages_tell_the_truth_of_their_button() {
        use Availability::{InStock, OutOfStock};
        for (name, sku, availability, price) in [
            ("product_2020-12_in_stock_raw", "N82E16814126451", InStock, Some(154.99)),
            ("product_2020-12_out_of_stock", "N82E16814137609", OutOfStock, Some(899.99)),
            ("combo_2020-12_in_stock_raw", "Combo.4210760", InStock, Some(541.98)),
            ("combo_2020-12_out_of_stock_raw", "Combo.4208280", OutOfStock, Some(1_004.98)),
            ("product_2022_rtx3060_in_stock_raw", "", InStock, None),
            ("product_2022_ssd_in_stock_raw", "", InStock, None),
            ("product_2022_marketplace_mouse_in_stock_raw", "", InStock, None),
            ("product_2022_marketplace_3dprinter_in_stock_raw", "", InStock, None),
        ] {
            let Some(body) = fixture(&format!("newegg/{name}.html")) else { return };
            let page = seen(&newegg(""), body);
            let [listing] = listings(&page)[..] else { panic!("{name}: {page:?}") };
            assert_eq!(listing.availability, availability, "{name}");
            assert!(!listing.name.is_empty() && !page.complete, "{name}");
            assert!(sku.is_empty() || listing.sku == sku, "{name}: {}", listing.sku);
            assert!(
                listing.price.is_some() && (price.is_none() || listing.price == price),
                "{name}: {listing:?}"
            );
        }
    }
}
