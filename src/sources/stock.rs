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

/// What a text says that is one of the known phrases and nothing more.
pub(super) fn told_alone(text: &str) -> Option<Availability> {
    let text = words(text);
    PHRASES.iter().find(|(phrase, _)| text == *phrase).map(|(_, availability)| *availability)
}

/// Whether a button with these words may be about something else than the product's stock: a letter to be
/// had, or a page that is not finished.
pub(super) fn is_vague(text: &str) -> bool {
    matches!(words(text).as_str(), "notify me" | "coming soon" | "unavailable" | "not available")
}

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
            ("Notify me by email", Some(OutOfStock), None),
            ("View Details", None, None),
            ("Add To Compare", None, None),
            ("Free gift with purchase, in stock", None, None),
            ("", None, None),
        ] {
            assert_eq!((told(text), told_alone(text)), (first, alone), "{text}");
        }
    }
}
