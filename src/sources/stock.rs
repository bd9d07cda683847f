//! Whether something can be had, in the words of schema.org and of shop buttons.

use crate::model::Availability;

/// schema.org's `ItemAvailability` (<https://schema.org/ItemAvailability>) and Open Graph's
/// `product:availability`, whatever their prefix, letter case and spacing.
pub(super) fn named(value: &str) -> Option<Availability> {
    let name = value.trim().trim_end_matches('/').rsplit(['/', '#', ':']).next().unwrap_or_default();
    let letters: String = name.chars().filter(char::is_ascii_alphabetic).collect();
    Some(match letters.to_ascii_lowercase().as_str() {
        "instock" | "onlineonly" | "available" => Availability::InStock,
        "limitedavailability" | "instoreonly" | "limitedstock" => Availability::LimitedAvailability,
        "preorder" | "presale" => Availability::PreOrder,
        "backorder" | "availablefororder" | "madetoorder" => Availability::BackOrder,
        "outofstock" | "soldout" | "oos" | "unavailable" | "reserved" => Availability::OutOfStock,
        "discontinued" => Availability::Discontinued,
        _ => return None,
    })
}

/// What the text of a button or a stock line begins with: `Add to Cart ►`, `In stock. Limit 2`.
pub(super) fn told(text: &str) -> Option<Availability> {
    let text = words(text);
    PHRASES.iter().find(|(phrase, _)| begins(&text, phrase)).map(|(_, availability)| *availability)
}

/// What a text says that is one of the known phrases and nothing more than a price or a remark behind it:
/// `Add to cart - $49.00`, `Pre-order, ships in March`.
pub(super) fn told_alone(text: &str) -> Option<Availability> {
    let said = words(text);
    if let Some((_, availability)) = PHRASES.iter().find(|(phrase, _)| said == *phrase) {
        return Some(*availability);
    }
    if is_vague(text) {
        return Some(Availability::OutOfStock);
    }
    if let Some(availability) = TO_ORDER.iter().find(|word| begins(&said, word)).and_then(|_| told(text)) {
        return Some(match remark(text).and_then(told) {
            Some(absent @ (Availability::OutOfStock | Availability::Discontinued)) => absent,
            _ => availability,
        });
    }
    let remark = remark(text)?;
    let head = words(text.get(..text.len().saturating_sub(remark.len()))?);
    // "In stock - 0" is not what it begins with.
    let (_, availability) = PHRASES.iter().find(|(phrase, _)| head == *phrase && head != "in stock")?;
    let other = told(remark).filter(|other| other != availability);
    other.map_or(Some(*availability), |other| (other != Availability::InStock).then_some(other))
}

/// What stands behind the first dash, bar or price sign.
fn remark(text: &str) -> Option<&str> {
    let signs = ['–', '—', '|', '·', '•', '$', '€', '£', '¥', '(', ':'];
    let at = [text.find(" -"), text.find(signs)].into_iter().flatten().min()?;
    text.get(at..)
}

/// Whether a button with these words may be about something else than the product's stock: a letter to be
/// had, or a page that is not finished.
pub(super) fn is_vague(text: &str) -> bool {
    let text = words(text);
    let letter = ["notify", "auto notify", "email me", "email when", "get in stock alert", "remind me"];
    letter.iter().any(|phrase| begins(&text, phrase))
        || matches!(text.as_str(), "coming soon" | "unavailable" | "not available")
}

/// Whether a button whose words are not known may still be the one to buy with: it sends the product's
/// form, or says so: `Ship it - $49`, `Join the waitlist`.
pub(super) fn may_sell(text: &str, submits: bool) -> bool {
    let said = words(text);
    let sells = ["add to", "buy", "order", "ship", "deliver", "pick up", "pickup", "reserve", "join"];
    let names_a_price = text.contains(['$', '€', '£']) && text.contains(|c: char| c.is_ascii_digit());
    let is_word = said.chars().count() > 2;
    let is_aside = !said.contains("waitlist") && ASIDE.iter().any(|word| said.contains(word));
    let sells = || sells.iter().any(|word| begins(&said, word)) || said.contains("waitlist");
    is_word && !is_aside && (submits || names_a_price || sells())
}

/// In the words of buttons that people use beside buying.
const ASIDE: &[&str] = &[
    "wish",
    "list",
    "favo",
    "compare",
    "registry",
    "share",
    "newsletter",
    "subscribe",
    "search",
    "sign in",
    "sign up",
    "apply",
    "update",
    "review",
    "question",
    "calculate",
    "shipping",
    "delivery",
    "size",
    "quantity",
];

const TO_ORDER: &[&str] = &["pre order", "preorder", "back order", "backorder", "available on backorder"];

/// Lower case, single spaces, without the arrows, dots and hyphens that decorate buttons.
fn words(text: &str) -> String {
    let spaced: String =
        text.chars().map(|c| if c.is_alphanumeric() || c == '\'' { c } else { ' ' }).collect();
    spaced.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}

fn begins(text: &str, phrase: &str) -> bool {
    text.strip_prefix(phrase).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

const PHRASES: &[(&str, Availability)] = {
    use Availability::{BackOrder, Discontinued, InStock, OutOfStock, PreOrder};
    &[
        ("add to cart", InStock),
        ("add to basket", InStock),
        ("add to bag", InStock),
        ("add to trolley", InStock),
        ("add to shopping cart", InStock),
        ("add to order", InStock),
        ("buy now", InStock),
        ("buy it now", InStock),
        ("in stock", InStock),
        ("out of stock", OutOfStock),
        ("sold out", OutOfStock),
        ("currently sold out", OutOfStock),
        ("currently out of stock", OutOfStock),
        ("currently unavailable", OutOfStock),
        ("temporarily out of stock", OutOfStock),
        ("temporarily sold out", OutOfStock),
        ("temporarily unavailable", OutOfStock),
        ("unavailable", OutOfStock),
        ("not available", OutOfStock),
        ("auto notify", OutOfStock),
        ("notify me", OutOfStock),
        ("notify me when available", OutOfStock),
        ("notify me when in stock", OutOfStock),
        ("notify when available", OutOfStock),
        ("email me when available", OutOfStock),
        ("email when available", OutOfStock),
        ("get in stock alert", OutOfStock),
        ("coming soon", OutOfStock),
        ("pre order", PreOrder),
        ("pre order now", PreOrder),
        ("preorder", PreOrder),
        ("preorder now", PreOrder),
        ("back order", BackOrder),
        ("backorder", BackOrder),
        ("available on backorder", BackOrder),
        ("discontinued", Discontinued),
        ("no longer available", Discontinued),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;
    use Availability::*;

    #[test]
    fn schema_org_is_understood_however_it_is_spelled() {
        for (value, availability) in [
            ("http://schema.org/InStock", Some(InStock)),
            ("https://schema.org/Instock", Some(InStock)),
            ("//schema.org/InStock", Some(InStock)),
            ("HTTPS://SCHEMA.ORG/OUTOFSTOCK/", Some(OutOfStock)),
            ("schema:SoldOut", Some(OutOfStock)),
            ("in stock", Some(InStock)),
            ("PreSale", Some(PreOrder)),
            ("https://schema.org/BackOrder", Some(BackOrder)),
            ("InStoreOnly", Some(LimitedAvailability)),
            ("OnlineOnly", Some(InStock)),
            ("Discontinued", Some(Discontinued)),
            ("", None),
            ("https://schema.org/", None),
            ("soon", None),
        ] {
            assert_eq!(named(value), availability, "{value}");
        }
    }

    #[test]
    fn buttons_and_stock_lines_are_understood() {
        for (text, first, alone) in [
            ("Add to Cart ►", Some(InStock), Some(InStock)),
            (" ADD\n TO CART", Some(InStock), Some(InStock)),
            ("In stock. Limit 2 per customer.", Some(InStock), None),
            ("OUT\n OF STOCK.", Some(OutOfStock), Some(OutOfStock)),
            ("Pre-order", Some(PreOrder), Some(PreOrder)),
            ("Back order", Some(BackOrder), Some(BackOrder)),
            ("Notify me by email", Some(OutOfStock), Some(OutOfStock)),
            ("Add to cart - $49.00", Some(InStock), Some(InStock)),
            ("Add to Cart €49,00", Some(InStock), Some(InStock)),
            ("Buy now — ships today", Some(InStock), Some(InStock)),
            ("Sold out (more in May)", Some(OutOfStock), Some(OutOfStock)),
            ("Add to cart - sold out", Some(InStock), Some(OutOfStock)),
            ("Pre-order - ships March", Some(PreOrder), Some(PreOrder)),
            ("Pre-order now: sold out", Some(PreOrder), Some(OutOfStock)),
            ("Available on backorder, 3 weeks", Some(BackOrder), Some(BackOrder)),
            ("In stock: 0", Some(InStock), None),
            ("In stock - 0", Some(InStock), None),
            ("View Details", None, None),
            ("Add To Compare", None, None),
            ("Free gift with purchase, in stock", None, None),
            ("", None, None),
        ] {
            assert_eq!((told(text), told_alone(text)), (first, alone), "{text}");
        }
    }

    #[test]
    fn a_button_that_is_not_understood_may_still_be_the_one_to_buy_with() {
        for (text, alone, in_form) in [
            ("Ship it - $49", true, true),
            ("Join the waitlist", true, true),
            ("Order online", true, true),
            ("Proceed", false, true),
            ("Add to wish list", false, false),
            ("Order shipping costs", false, false),
            ("+", false, false),
        ] {
            assert_eq!((may_sell(text, false), may_sell(text, true)), (alone, in_form), "{text}");
        }
    }
}
