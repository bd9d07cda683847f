//! What a product page says to people: on its buy button, and on the line beside it.
//!
//! A page has many buttons. Its own is one that people can see, that stands in no list of other products
//! and in no header or footer of the shop, and that names the item number, or stands nearest to the
//! heading, in its block or in a form, before the next section begins, with no other so near that says
//! otherwise or might sell too. Only such a one can contradict what the page says to machines; any other of
//! its block, a link, a mere "notify me" and a line of text are heard where nothing else speaks, and what
//! belongs to other products is not heard at all.

use std::collections::HashSet;
use std::sync::LazyLock;

use scraper::{ElementRef, Html, Selector};

use super::{evidence, html, stock};
use crate::model::{Availability, Evidence, Witness};

/// More buttons that say the same than this are those of a list of products.
const MAX_OWN: usize = 3;

/// More elements than this with the words of a button are looked at on no page.
const MAX_LOOKED_AT: usize = 500;

/// The heading is looked for among so many.
const MAX_HEADINGS: usize = 20;

/// Longer names and styles are looked at in their beginning only.
const MAX_NAME: usize = 400;

/// What is said to people, the buy button first.
pub(super) fn seen(tree: &Html, sku: Option<&str>) -> Vec<Evidence> {
    let said = Page::read(tree);
    let mut found = button(&said.buttons, sku);
    found.extend(lines(&said.lines));
    found
}

/// An element with words about stock, or with words that may be the buy button's.
struct Said<'a> {
    element: ElementRef<'a>,
    text: String,
    /// What its words mean, where they are known and it can be pressed.
    availability: Option<Availability>,
    /// It would be one to buy with, and cannot be pressed.
    dead: bool,
    /// How many elements around the heading have to be left to find one that holds this too.
    distance: usize,
    /// Whether it stands in the block that holds the heading, or in a form, and not just anywhere.
    in_block: bool,
    /// Or there is none.
    behind_heading: bool,
    /// Whether it may be about another product: behind the next heading, or in an item of a list that the
    /// heading does not stand in.
    apart: bool,
}

impl Said<'_> {
    fn is_link(&self) -> bool {
        self.element.value().name() == "a"
    }

    fn says(&self, from: Witness, weak: bool) -> Option<Evidence> {
        Some(evidence::of_words(from, self.availability?, &self.text, weak))
    }
}

fn button(all: &[Said<'_>], sku: Option<&str>) -> Vec<Evidence> {
    let named: Vec<&Said<'_>> = all
        .iter()
        .filter(|said| said.availability.is_some() && sku.is_some_and(|sku| names(said.element, sku)))
        .collect();
    if let Some(first) = named.first() {
        let weak = stock::is_vague(&first.text);
        return if agree(&named) {
            first.says(Witness::Button, weak).into_iter().collect()
        } else {
            both(&named)
        };
    }
    let near = nearest(all.iter().filter(|said| said.behind_heading || !said.is_link()));
    let known: Vec<&Said<'_>> = near.iter().copied().filter(|said| said.availability.is_some()).collect();
    let clear: Vec<&Said<'_>> = known.iter().copied().filter(|said| !stock::is_vague(&said.text)).collect();
    // A wish to be told is heard where nothing else is.
    let heard = if clear.is_empty() { known } else { clear };
    let Some(first) = heard.iter().find(|said| !said.is_link()).or(heard.first()) else { return Vec::new() };
    if heard.len() > MAX_OWN {
        return Vec::new();
    }
    if !agree(&heard) {
        return both(&heard);
    }
    // One that cannot be pressed is at one with "sold out" only.
    let doubtful = |other: &&&Said<'_>| other.availability.is_none() && !(other.dead && is_absent(first));
    let is_own = first.behind_heading
        && first.in_block
        && !first.is_link()
        && !stock::is_vague(&first.text)
        && !near.iter().any(|other| doubtful(&other));
    first.says(Witness::Button, !is_own).into_iter().collect()
}

fn lines(all: &[Said<'_>]) -> Vec<Evidence> {
    let near = nearest(all.iter());
    if near.len() > MAX_OWN {
        return Vec::new();
    }
    if !agree(&near) {
        return both(&near).into_iter().map(|one| Evidence { from: Witness::Phrase, ..one }).collect();
    }
    near.first().and_then(|line| line.says(Witness::Phrase, true)).into_iter().collect()
}

/// Those of the page's own product that stand nearest to its heading: behind it, else before it.
fn nearest<'s, 'a: 's>(all: impl Iterator<Item = &'s Said<'a>>) -> Vec<&'s Said<'a>> {
    let (behind, before): (Vec<_>, Vec<_>) =
        all.filter(|said| !said.apart).partition(|said| said.behind_heading);
    let all = if behind.is_empty() { before } else { behind };
    let distance = all.iter().map(|said| said.distance).min();
    all.into_iter().filter(|said| Some(said.distance) == distance).collect()
}

/// The first, and the first that says otherwise: together they say that nobody knows.
fn both(all: &[&Said<'_>]) -> Vec<Evidence> {
    let first = all.first();
    let other = all.iter().find(|said| first.is_some_and(|first| is_absent(first) != is_absent(said)));
    first.into_iter().chain(other).filter_map(|said| said.says(Witness::Button, true)).collect()
}

fn is_absent(said: &Said<'_>) -> bool {
    matches!(said.availability, Some(Availability::OutOfStock | Availability::Discontinued))
}

fn agree(all: &[&Said<'_>]) -> bool {
    let count = all.iter().filter(|said| is_absent(said)).count();
    count == 0 || count == all.len()
}

/// Whether an attribute that holds such things names the item, as a whole word.
fn names(element: ElementRef<'_>, sku: &str) -> bool {
    let holds = |value: &str| {
        value.match_indices(sku).any(|(at, _)| {
            let before = value.get(..at).and_then(|text| text.chars().next_back());
            let after = value.get(at.saturating_add(sku.len())..).and_then(|text| text.chars().next());
            ![before, after].into_iter().flatten().any(char::is_alphanumeric)
        })
    };
    let may_name = |name: &str| name.starts_with("data-") || matches!(name, "id" | "name" | "value" | "href");
    // Shorter ones are found anywhere.
    sku.chars().count() >= 4 && element.value().attrs().any(|(name, value)| may_name(name) && holds(value))
}

/// What a page says in words, each with its place.
#[derive(Default)]
struct Page<'a> {
    buttons: Vec<Said<'a>>,
    lines: Vec<Said<'a>>,
}

/// Where an element stands, as far as that is the same for all that it holds.
#[derive(Clone, Copy, Default)]
struct Place {
    hidden: bool,
    /// It cannot be pressed, nor can what it holds.
    dead: bool,
    /// Among what is not about the product of the page.
    foreign: bool,
    listed: bool,
    in_form: bool,
    /// How many sections had begun when the form around it did.
    sections: Option<usize>,
    /// How many of the elements around it are also around the heading.
    shared: usize,
}

impl Place {
    /// The place of what stands in `element`, which stands here.
    fn within(self, element: ElementRef<'_>, sections: usize, holds_heading: bool) -> Self {
        let name = element.value().name();
        let is_form = name == "form" && !holds_heading;
        Self {
            hidden: self.hidden || is_hidden(element),
            dead: self.dead || is_dead(element),
            foreign: self.foreign || (!holds_heading && is_foreign(element)),
            listed: self.listed || (!holds_heading && matches!(name, "li" | "article" | "tr")),
            in_form: self.in_form || is_form,
            sections: if is_form { Some(sections) } else { self.sections },
            shared: self.shared.saturating_add(usize::from(holds_heading)),
        }
    }
}

impl<'a> Page<'a> {
    /// Goes over the page once; of each element around words its place is found once.
    fn read(tree: &'a Html) -> Self {
        let heading = heading(tree);
        let around_heading: HashSet<_> = heading.iter().map(|element| element.id()).collect();
        let mut page = Self::default();
        let mut looked_at = 0_usize;
        let mut sections = 0_usize;
        let mut behind_heading = heading.is_empty();
        // The open elements with the sections that had begun before each, and the places in the first of them.
        let mut open: Vec<(ElementRef<'a>, usize)> = Vec::new();
        let mut places: Vec<Place> = Vec::new();
        // How deep the last line stands, while it is open, and how many were heard before it: of lines in
        // lines the innermost speaks.
        let mut line_at: Option<(usize, usize)> = None;
        // How deep the outermost open form stands.
        let mut form_at: Option<usize> = None;
        for element in tree.root_element().descendants().filter_map(ElementRef::wrap) {
            let parent = element.parent().and_then(ElementRef::wrap);
            while !open.is_empty() && open.last().map(|(last, _)| *last) != parent {
                open.pop();
            }
            places.truncate(open.len());
            line_at = line_at.filter(|(depth, _)| *depth <= open.len());
            form_at = form_at.filter(|depth| *depth < open.len());
            if form_at.is_none() && element.value().name() == "form" {
                form_at = Some(open.len());
            }
            open.push((element, sections));
            behind_heading |= heading.last() == Some(&element);
            if behind_heading && !heading.is_empty() && begins_section(element) {
                sections = sections.saturating_add(1);
            }
            let (is_button, is_line) = (is_button(element), is_line(element));
            if !is_button && !is_line {
                continue;
            }
            let is_input = element.value().name() == "input";
            let value = element.attr("value").filter(|_| is_input);
            let text = value.map_or_else(|| html::short(element), html::collapse);
            let told = stock::told_alone(&text);
            let is_link = element.value().name() == "a";
            let submits = form_at.is_some() && is_submit(element);
            if told.is_none() && (is_link || !is_button || !stock::may_sell(&text, submits)) {
                continue;
            }
            looked_at = looked_at.saturating_add(1);
            if looked_at > MAX_LOOKED_AT {
                break;
            }
            while let Some((around, began)) = open.get(places.len()) {
                let outer = places.last().copied().unwrap_or_default();
                places.push(outer.within(*around, *began, around_heading.contains(&around.id())));
            }
            let own = places.last().copied().unwrap_or_default();
            let outer = places.iter().rev().nth(1).copied().unwrap_or_default();
            if is_line && !is_button {
                let (_, before) = line_at.unwrap_or((0, page.lines.len()));
                page.lines.truncate(before);
                line_at = Some((open.len(), before));
            }
            if own.hidden || outer.foreign {
                continue;
            }
            let promises_in_vain =
                own.dead && !matches!(told, Some(Availability::OutOfStock | Availability::Discontinued));
            let block = heading.get(own.shared.saturating_sub(1));
            let in_open = block.is_none_or(|block| matches!(block.value().name(), "html" | "body" | "main"));
            let is_beside = open.len().saturating_sub(own.shared) == 1;
            let said = Said {
                element,
                text,
                availability: told.filter(|_| !promises_in_vain),
                dead: promises_in_vain,
                distance: heading.len().saturating_sub(own.shared),
                in_block: !heading.is_empty() && (!in_open || is_beside || own.in_form),
                behind_heading,
                apart: outer.listed || sections > 0 && own.sections.unwrap_or(sections) > 0,
            };
            if is_button {
                page.buttons.push(said);
            } else if said.availability.is_some() {
                page.lines.push(said);
            }
        }
        page
    }
}

fn is_button(element: ElementRef<'_>) -> bool {
    let value = element.value();
    match value.name() {
        "button" => true,
        "input" => matches!(value.attr("type"), Some("submit" | "button")),
        "a" if value.attr("class").is_some() => true,
        _ => value.attr("role") == Some("button"),
    }
}

fn is_submit(element: ElementRef<'_>) -> bool {
    let value = element.value();
    matches!(value.name(), "button" | "input") && matches!(value.attr("type"), None | Some("submit"))
}

fn is_line(element: ElementRef<'_>) -> bool {
    static LINES: LazyLock<Selector> = LazyLock::new(|| {
        Selector::parse("[class*=stock], [class*=availab], [id*=stock], [id*=availab]")
            .expect("a fixed selector")
    });
    LINES.matches(&element)
}

/// Whether other products may follow: under a heading that people see, which is not just a price.
fn begins_section(element: ElementRef<'_>) -> bool {
    matches!(element.value().name(), "h2" | "h3" | "h4")
        && !is_hidden(element)
        && html::short(element).chars().filter(|c| c.is_alphabetic()).count() > 3
}

/// Where the page says what it is about, with the elements around it, the outermost first.
fn heading(tree: &Html) -> Vec<ElementRef<'_>> {
    static HEADING: LazyLock<Selector> = LazyLock::new(|| Selector::parse("h1").expect("a fixed selector"));
    for one in tree.select(&HEADING).take(MAX_HEADINGS) {
        let mut chain: Vec<_> = one.ancestors().filter_map(ElementRef::wrap).collect();
        chain.reverse();
        chain.push(one);
        let mut names = chain.iter().map(|around| around.value().name());
        // The name of the shop stands in its header; that of a product may stand in a header of its own.
        let is_shop = names.find(|name| matches!(*name, "main" | "article" | "section" | "header" | "nav"));
        let is_shop = matches!(is_shop, Some("header" | "nav"));
        if !is_shop && !html::short(one).is_empty() && !chain.iter().any(|around| is_hidden(*around)) {
            return chain;
        }
    }
    Vec::new()
}

/// A button that cannot be pressed does not say "in stock".
fn is_dead(element: ElementRef<'_>) -> bool {
    let value = element.value();
    let by_class = || {
        beginning(value.attr("class").unwrap_or_default())
            .split_ascii_whitespace()
            .any(|word| matches!(word, "disabled" | "is-disabled" | "btn-disabled" | "button-disabled"))
    };
    let name = value.name();
    let can_be = matches!(name, "button" | "input" | "a") || value.attr("role") == Some("button");
    (value.attr("disabled").is_some() && (can_be || name == "fieldset"))
        || (can_be && (value.attr("aria-disabled") == Some("true") || by_class()))
}

/// Whether nobody can see it, whatever it stands in.
fn is_hidden(element: ElementRef<'_>) -> bool {
    let value = element.value();
    let style = beginning(value.attr("style").unwrap_or_default());
    let style: String = style.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_lowercase();
    // `hidden md:block` is hidden on a small screen only.
    let class = beginning(value.attr("class").unwrap_or_default());
    let by_class = class.split_ascii_whitespace().any(|word| HIDDEN.contains(&word))
        && !class.contains([':', '@'])
        && !class.contains("-block")
        && !class.contains("-flex");
    value.attr("hidden").is_some()
        || value.attr("aria-hidden") == Some("true")
        || style.contains("display:none")
        || style.contains("visibility:hidden")
        || (value.name() == "dialog" && value.attr("open").is_none())
        || by_class
}

fn beginning(value: &str) -> &str {
    value.get(..value.floor_char_boundary(MAX_NAME)).unwrap_or_default()
}

const HIDDEN: &[&str] = &["hidden", "hide", "d-none", "is-hidden", "visually-hidden", "sr-only"];

/// Whether this holds what is not about the product of the page.
fn is_foreign(outer: ElementRef<'_>) -> bool {
    let value = outer.value();
    if matches!(value.name(), "html" | "body" | "main" | "form") {
        return false;
    }
    if matches!(value.name(), "nav" | "header" | "footer" | "dialog")
        || value.attr("aria-modal") == Some("true")
    {
        return true;
    }
    ["class", "id", "data-testid", "aria-label"].iter().filter_map(|name| value.attr(name)).any(|names| {
        let names = beginning(names).to_ascii_lowercase();
        FOREIGN.iter().any(|word| names.contains(word))
    })
}

/// In the names of what shows other products, or asks for an address.
const FOREIGN: &[&str] = &[
    "related",
    "recommend",
    "similar",
    "upsell",
    "up-sell",
    "crosssell",
    "cross-sell",
    "recently",
    "also-bought",
    "also-viewed",
    "also-like",
    "sponsored",
    "newsletter",
    "wishlist",
    "mini-cart",
    "minicart",
    "accessor",
    "frequently",
    "compare",
    "site-footer",
    "site-header",
];

#[cfg(test)]
mod tests {
    use super::*;
    use Availability::*;

    fn heard(page: &str) -> Option<(Availability, bool)> {
        let tree = html::parse(page).expect("a tree");
        seen(&tree, Some("K7001")).first().map(|one| (one.availability.expect("words"), one.weak))
    }

    #[test]
    fn only_the_page_s_own_button_can_contradict() {
        let (strong, weak) = (false, true);
        for (page, expected) in [
            ("<h1>x</h1><div><form><button>Add to cart</button></form></div>", Some((InStock, strong))),
            ("<h1>x</h1><button>Add to cart</button><button>Buy now</button>", Some((InStock, strong))),
            ("<h1>x</h1><button disabled>Sold out</button>", Some((OutOfStock, strong))),
            ("<h1>x</h1><button>Pre-order</button>", Some((PreOrder, strong))),
            // Without a heading nobody knows whose it is.
            ("<button>Add to cart</button>", Some((InStock, weak))),
            ("<button data-sku='K7001'>Add to cart</button>", Some((InStock, strong))),
            ("<button data-sku='K70011'>Add to cart</button>", Some((InStock, weak))),
            // The nearest to the heading, though others are on the page.
            (
                "<div><h1>x</h1><button>Sold out</button></div><div><button>Add to cart</button></div>",
                Some((OutOfStock, strong)),
            ),
            (
                "<h1>x</h1><button>Sold Out</button><h2>More</h2><button>Add to cart</button>",
                Some((OutOfStock, strong)),
            ),
            ("<h1>x</h1><button>Sold Out</button><button>Buy now</button>", Some((OutOfStock, weak))),
            ("<h1>x</h1><h2>Others bought</h2><div><button>Add to cart</button></div>", None),
            // A wish to be told, a link, and an item of a list say little.
            ("<h1>x</h1><button>Notify me</button>", Some((OutOfStock, weak))),
            ("<h1>x</h1><a class=b>Buy now</a>", Some((InStock, weak))),
            ("<h1>x</h1><ul><li><button>Add to cart</button></ul>", None),
            (&("<h1>x</h1>".to_owned() + &"<p><button>Add to cart</button>".repeat(8)), None),
            // What cannot be seen or pressed, or is about something else, says nothing.
            ("<h1>x</h1><button disabled>Add to cart</button>", None),
            ("<h1>x</h1><div style='display: none'><p><button>Sold out</button></div>", None),
            ("<h1>x</h1><div class='a hidden'><button>Sold out</button></div>", None),
            (
                "<h1>x</h1><form class='hidden md:block'><button>Sold out</button></form>",
                Some((OutOfStock, strong)),
            ),
            ("<h1>x</h1><dialog><button>Add to cart</button></dialog>", None),
            (
                "<h1>x</h1><section class='product-recommendations'><button>Add to cart</button></section>",
                None,
            ),
            ("<h1>x</h1><footer><button>Notify me</button></footer>", None),
            ("<div class=related-x><h1>x</h1><button>Sold out</button></div>", Some((OutOfStock, strong))),
            // A line is heard where no button is.
            ("<h1>x</h1><p class='stock out-of-stock'>Out of stock</p>", Some((OutOfStock, weak))),
            ("<h1>x</h1><p class='stock'>We stock many things</p><p>Out of stock</p>", None),
        ] {
            assert_eq!(heard(page), expected, "{page}");
        }
    }

    #[test]
    fn a_button_of_another_product_is_not_heard_and_a_doubtful_one_contradicts_nothing() {
        let (strong, weak) = (false, true);
        for (page, expected) in [
            // Words that are followed by a price or a remark are the button's own.
            (
                "<h1>x</h1><button>Add to cart - $49.00</button><button>Notify me when available</button>",
                Some((InStock, strong)),
            ),
            (
                "<h1>x</h1><button>Add to cart - $49.00</button><h4>More</h4><div><button>Sold out</button></div>",
                Some((InStock, strong)),
            ),
            (
                "<div><h1>x</h1><button>Add to cart €49</button></div><div><b>y</b><button>Sold out</button></div>",
                Some((InStock, strong)),
            ),
            // Another that may sell stands as near.
            (
                "<h1>x</h1><button>Ship it - $49</button><button>Out of stock</button>",
                Some((OutOfStock, weak)),
            ),
            (
                "<h1>x</h1><form><button>In den Korb</button></form><div><button>Sold out</button></div>",
                Some((OutOfStock, weak)),
            ),
            (
                "<h1>x</h1><button>+</button><button>Share</button><button>Sold out</button>",
                Some((OutOfStock, strong)),
            ),
            (
                "<div><h1>x</h1><button>Join the waitlist</button></div><div><button>Add to cart</button></div>",
                None,
            ),
            (
                "<div><h1>x</h1><button disabled>Buy now</button></div><div><button>Add to cart</button></div>",
                None,
            ),
            // Somewhere on the page is not in the product's block.
            (
                "<main><div><h1>x</h1></div><div><i><button>Sold out</button></i></div></main>",
                Some((OutOfStock, weak)),
            ),
            (
                "<main><div><h1>x</h1></div><div><form><button>Sold out</button></form></div></main>",
                Some((OutOfStock, strong)),
            ),
            // Before the heading stands what follows the reader down the page, or what the shop praises.
            ("<div><button>Add to cart</button></div><h1>x</h1>", Some((InStock, weak))),
            ("<div><a class=btn>Buy now</a></div><h1>x</h1>", None),
            ("<header><h1>Shop</h1></header><div><button>Buy now</button></div>", Some((InStock, weak))),
            ("<main><header><h1>x</h1></header><button>Buy now</button></main>", Some((InStock, strong))),
            // A link beside it says otherwise.
            (
                "<div><h1>x</h1><a class=btn>Add to cart</a><p><button disabled>Sold out</button></div>",
                Some((InStock, weak)),
            ),
            // What cannot be pressed says nothing, however that is written.
            ("<h1>x</h1><button class='btn disabled'>Add to cart</button>", None),
            ("<h1>x</h1><fieldset disabled><button>Add to cart</button></fieldset>", None),
            ("<h1>x</h1><button class='disabled:grey'>Add to cart</button>", Some((InStock, strong))),
            // The heading of a price, or one that nobody sees, ends nothing; nor does one in its own form.
            ("<h1>x</h1><h2>$49.00</h2><button>Add to cart</button>", Some((InStock, strong))),
            ("<h1>x</h1><h2 class=sr-only>Choose</h2><button>Add to cart</button>", Some((InStock, strong))),
            (
                "<h1>x</h1><form><h3>Choose a colour</h3><button>Add to cart</button></form>",
                Some((InStock, strong)),
            ),
            // The number of a shop's own system is not the words.
            (
                "<h1>x</h1><form><button type=submit value=123>Add to cart</button></form>",
                Some((InStock, strong)),
            ),
        ] {
            assert_eq!(heard(page), expected, "{page}");
        }
    }

    #[test]
    fn an_item_number_is_named_where_numbers_are_kept() {
        let named = |button: &str, sku: &str| {
            let tree = html::parse(button).expect("a tree");
            let button =
                tree.root_element().descendants().filter_map(ElementRef::wrap).find(|one| is_button(*one));
            names(button.expect("a button"), sku)
        };
        for (button, sku, expected) in [
            ("<button data-sku=12345>", "12345", true),
            ("<a class=x href='/cart/add?id=12345&n=1'>", "12345", true),
            ("<button value=12345>", "12345", true),
            ("<button width=1200>", "1200", false),
            ("<button style='width: 1200px; 1200'>", "1200", false),
            ("<button data-n=12>", "12", false),
            ("<button data-n=123456>", "12345", false),
        ] {
            assert_eq!(named(button, sku), expected, "{button}");
        }
    }

    #[test]
    fn of_lines_in_lines_the_innermost_speaks() {
        for (page, expected) in [
            ("<h1>x</h1><div class=stock-box><p class=stock>Sold out</p></div>", Some((OutOfStock, true))),
            ("<h1>x</h1><div class=stock-box><p class='stock hidden'>Sold out</p></div>", None),
            (
                "<h1>x</h1><p class=stock>Sold out</p><div class=stock-box><p class='stock hidden'>In stock</p></div>",
                Some((OutOfStock, true)),
            ),
            ("<h1>x</h1><h2>More</h2><p class=stock>In stock</p>", None),
        ] {
            assert_eq!(heard(page), expected, "{page}");
        }
    }

    /// How long it takes at best to hear a page, without building its tree.
    fn hearing(page: &str) -> std::time::Duration {
        let tree = html::parse(page).expect("a tree");
        let took = || {
            let started = std::time::Instant::now();
            assert!(seen(&tree, Some("K7001")).is_empty());
            started.elapsed()
        };
        (0..5).map(|_| took()).min().expect("five")
    }

    #[test]
    fn buttons_deep_in_a_page_cost_little_more_than_those_beside_each_other() {
        let names = "x".repeat(399);
        let outer = format!("<div class='{names}' id='{names}' data-testid='{names}' style='{names}'>");
        let page = |depth: usize| {
            let open = outer.repeat(depth);
            let (inside, beside) = (&open, outer.clone() + "</div>");
            let beside = beside.repeat(480_usize.saturating_sub(depth));
            format!("<h1>x</h1>{beside}{inside}{}", "<button>Add to cart</button>".repeat(490))
        };
        let (flat, deep) = (hearing(&page(8)), hearing(&page(480)));
        assert!(deep < flat * 8 + std::time::Duration::from_millis(20), "{deep:?} {flat:?}");
    }

    #[test]
    fn a_crowd_of_nested_buttons_is_looked_at_for_a_moment_only() {
        let page = "<h1>x</h1>".to_owned() + &"<i role=button>".repeat(400) + &"<b>x</b>".repeat(20_000);
        assert_eq!(heard(&page), None);
    }
}
