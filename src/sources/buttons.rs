//! What a product page says to people: on its buy button, and on the line beside it.
//!
//! A page has many buttons. Its own is one that people can see, that stands in no list of other products
//! and in no header or footer of the shop, and that names the item number, or stands nearest to the
//! heading, before the next section begins, with no other so near that says otherwise. Only such a one can contradict what the page says to
//! machines; any other, a link, a mere "notify me" and a line of text are heard where nothing else speaks.

use std::sync::LazyLock;

use scraper::{ElementRef, Html, Selector};

use super::{evidence, html, stock};
use crate::model::{Availability, Evidence, Witness};

/// More buttons that say the same than this are those of a list of products.
const MAX_OWN: usize = 3;

/// More elements than this with the words of a button are looked at on no page.
const MAX_LOOKED_AT: usize = 500;

/// Longer names and styles are looked at in their beginning only.
const MAX_NAME: usize = 400;

/// What is said to people, the buy button first.
pub(super) fn seen(tree: &Html, sku: Option<&str>) -> Vec<Evidence> {
    static BUTTONS: LazyLock<Selector> = LazyLock::new(|| {
        Selector::parse("button, input[type=submit], input[type=button], a[class], [role=button]")
            .expect("a fixed selector")
    });
    static LINES: LazyLock<Selector> = LazyLock::new(|| {
        Selector::parse("[class*=stock], [class*=availab], [id*=stock], [id*=availab]")
            .expect("a fixed selector")
    });
    let heading = heading(tree);
    let mut found = Vec::new();
    let buttons = said(tree, &BUTTONS, &heading);
    found.extend(button(&buttons, sku));
    let lines = said(tree, &LINES, &heading);
    let is_button = |line: &&Said<'_>| !buttons.iter().any(|button| button.element == line.element);
    let line = nearest(lines.iter().filter(is_button));
    found.extend(line.map(|line| evidence::of_words(Witness::Phrase, line.availability, &line.text, true)));
    found
}

/// An element with words about stock.
struct Said<'a> {
    element: ElementRef<'a>,
    text: String,
    availability: Availability,
    /// How many elements around the heading have to be left to find one that holds this too.
    distance: usize,
    behind_heading: bool,
    /// Whether another heading stands between, under which other products may be.
    behind_section: bool,
    /// Whether it stands in an item of a list that the heading does not stand in.
    listed: bool,
}

fn button(buttons: &[Said<'_>], sku: Option<&str>) -> Option<Evidence> {
    let of = |said: &Said<'_>, weak| evidence::of_words(Witness::Button, said.availability, &said.text, weak);
    let named: Vec<_> =
        buttons.iter().filter(|said| sku.is_some_and(|sku| names(said.element, sku))).collect();
    if let Some(first) = named.first() {
        return Some(of(first, !agree(&named) || stock::is_vague(&first.text)));
    }
    let distance = buttons.iter().map(|said| said.distance).min()?;
    let near: Vec<_> = buttons
        .iter()
        .filter(|said| {
            said.distance == distance
                && !said.behind_section
                && said.element.value().name() != "a"
                && !stock::is_vague(&said.text)
        })
        .collect();
    let is_own = distance < usize::MAX
        && (1..=MAX_OWN).contains(&near.len())
        && near.iter().all(|said| !said.listed)
        && agree(&near);
    if let Some(own) = near.first().filter(|_| is_own) {
        return Some(of(own, false));
    }
    nearest(buttons.iter()).map(|said| of(said, true))
}

/// The first behind the heading, else the first: those before it are the shop's own.
fn nearest<'s, 'a: 's>(mut all: impl Iterator<Item = &'s Said<'a>> + Clone) -> Option<&'s Said<'a>> {
    all.clone().find(|said| said.behind_heading).or_else(|| all.next())
}

fn agree(all: &[&Said<'_>]) -> bool {
    let absent = |said: &&&Said<'_>| {
        matches!(said.availability, Availability::OutOfStock | Availability::Discontinued)
    };
    let count = all.iter().filter(absent).count();
    count == 0 || count == all.len()
}

/// Whether an attribute names the item, as a whole word.
fn names(element: ElementRef<'_>, sku: &str) -> bool {
    let holds = |value: &str| {
        value.match_indices(sku).any(|(at, _)| {
            let before = value.get(..at).and_then(|text| text.chars().next_back());
            let after = value.get(at.saturating_add(sku.len())..).and_then(|text| text.chars().next());
            ![before, after].into_iter().flatten().any(char::is_alphanumeric)
        })
    };
    sku.len() > 1 && element.value().attrs().any(|(name, value)| name != "class" && holds(value))
}

/// The elements around an element, the outermost first, and itself.
fn chain(element: ElementRef<'_>) -> Vec<ElementRef<'_>> {
    let mut chain: Vec<_> = element.ancestors().filter_map(ElementRef::wrap).collect();
    chain.reverse();
    chain.push(element);
    chain
}

/// Where the page says what it is about, with the elements around it.
fn heading(tree: &Html) -> Vec<ElementRef<'_>> {
    static HEADING: LazyLock<Selector> = LazyLock::new(|| Selector::parse("h1").expect("a fixed selector"));
    let is_one = |one: &ElementRef<'_>| !is_hidden(*one) && !html::short(*one).is_empty();
    tree.select(&HEADING).take(MAX_LOOKED_AT).find(is_one).map(chain).unwrap_or_default()
}

/// The visible elements of the page's own that say something about stock, in its order.
fn said<'a>(tree: &'a Html, which: &Selector, heading: &[ElementRef<'a>]) -> Vec<Said<'a>> {
    let mut found = Vec::new();
    let (mut behind_heading, mut behind_section) = (false, false);
    let mut looked_at = 0;
    for node in tree.root_element().descendants() {
        let Some(element) = ElementRef::wrap(node) else { continue };
        behind_heading |= heading.last() == Some(&element);
        behind_section |= behind_heading && matches!(element.value().name(), "h2" | "h3");
        if !which.matches(&element) {
            continue;
        }
        let text = element.attr("value").map_or_else(|| html::short(element), html::collapse);
        let Some(availability) = stock::told_alone(&text) else { continue };
        looked_at += 1;
        if looked_at > MAX_LOOKED_AT {
            break;
        }
        if !is_meant(element, availability) {
            continue;
        }
        let around = chain(element);
        let shared = around.iter().zip(heading).take_while(|(one, other)| one == other).count();
        let apart = around.iter().skip(shared).rev().skip(1);
        let foreign = apart.clone().any(|outer| is_foreign(*outer));
        let listed = apart.clone().any(|outer| matches!(outer.value().name(), "li" | "article" | "tr"));
        let distance = if heading.is_empty() { usize::MAX } else { heading.len().saturating_sub(shared) };
        if !foreign {
            found.push(Said {
                element,
                text,
                availability,
                distance,
                behind_heading,
                behind_section,
                listed,
            });
        }
    }
    found
}

/// A button that nobody can see says nothing, and one that cannot be pressed does not say "in stock".
fn is_meant(element: ElementRef<'_>, said: Availability) -> bool {
    let dead = element.attr("disabled").is_some() || element.attr("aria-disabled") == Some("true");
    let promises_in_vain = dead && said != Availability::OutOfStock && said != Availability::Discontinued;
    !promises_in_vain && !is_hidden(element)
}

fn is_hidden(element: ElementRef<'_>) -> bool {
    std::iter::once(element).chain(element.ancestors().filter_map(ElementRef::wrap)).any(|one| {
        let value = one.value();
        let style = beginning(value.attr("style").unwrap_or_default());
        let style: String =
            style.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_lowercase();
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
    })
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
        seen(&tree, Some("K7")).first().map(|one| (one.availability.expect("words"), one.weak))
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
            ("<button data-sku='K7'>Add to cart</button>", Some((InStock, strong))),
            ("<button data-sku='K77'>Add to cart</button>", Some((InStock, weak))),
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
            (
                "<h1>x</h1><h2>Others bought</h2><div><button>Add to cart</button></div>",
                Some((InStock, weak)),
            ),
            // A wish to be told, a link, and an item of a list say little.
            ("<h1>x</h1><button>Notify me</button>", Some((OutOfStock, weak))),
            ("<h1>x</h1><a class=b>Buy now</a>", Some((InStock, weak))),
            ("<h1>x</h1><ul><li><button>Add to cart</button></ul>", Some((InStock, weak))),
            (
                &("<h1>x</h1>".to_owned() + &"<p><button>Add to cart</button>".repeat(8)),
                Some((InStock, weak)),
            ),
            // What cannot be seen or pressed, or is about something else, says nothing.
            ("<h1>x</h1><button disabled>Add to cart</button>", None),
            ("<h1>x</h1><div style='display: none'><p><button>Sold out</button></div>", None),
            ("<h1>x</h1><div class='a hidden'><button>Sold out</button></div>", None),
            (
                "<h1>x</h1><div class='hidden md:block'><button>Sold out</button></div>",
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
    fn a_crowd_of_nested_buttons_is_looked_at_for_a_moment_only() {
        let page = "<h1>x</h1>".to_owned() + &"<i role=button>".repeat(400) + &"<b>x</b>".repeat(20_000);
        assert_eq!(heard(&page), None);
    }
}
