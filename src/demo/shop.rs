//! The shop of the demo: a result listing and product pages in Newegg's markup.

use std::fmt::Write as _;
use std::ops::Range;

/// An item: number, name, dollars, and the seconds of a round in which it can be bought.
struct Item(&'static str, &'static str, u32, Range<u64>);

const ITEMS: [Item; 8] = [
    Item("N82E16814137603", "MSI GeForce RTX 3070 VENTUS 3X OC 8GB GDDR6 Video Card", 559, 3..6),
    Item("N82E16814126461", "ASUS TUF Gaming GeForce RTX 3070 8GB GDDR6 Video Card", 599, 14..19),
    Item("N82E16814932342", "GIGABYTE GeForce RTX 3070 Gaming OC 8GB Video Card", 579, 0..0),
    Item("N82E16814487530", "EVGA GeForce RTX 3070 XC3 ULTRA 8GB GDDR6 Video Card", 569, 27..30),
    Item("N82E16814500505", "ZOTAC GAMING GeForce RTX 3070 Twin Edge OC 8GB", 539, 0..0),
    Item("9SIAMNPKA48211", "PNY GeForce RTX 3070 XLR8 Gaming 8GB, refurbished", 1_249, 0..40),
    Item("N82E16814126457", "ASUS ROG Strix GeForce RTX 3070 8GB GDDR6 Video Card", 699, 16..22),
    Item("N82E16814137601", "MSI GeForce RTX 3070 GAMING X TRIO 8GB Video Card", 609, 0..0),
];

impl Item {
    fn path(&self) -> String {
        let words = self.1.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        format!("/{}/p/{}", words.collect::<Vec<_>>().join("-").to_ascii_lowercase(), self.0)
    }
}

/// The listing at that second of a round.
pub(super) fn listing(second_of_round: u64) -> String {
    let mut page = String::from(
        "<!DOCTYPE html>\n<html lang=\"en-us\"><head><meta charset=\"utf-8\">\
         <title>rtx 3070 | Newegg.com</title></head>\n<body><div id=\"app\">\n\
         <div class=\"item-cells-wrap border-cells items-grid-view four-cells expulsion-one-cell\">\n",
    );
    for (n, item) in ITEMS.iter().enumerate() {
        let Item(number, name, dollars, sold) = item;
        let path = item.path();
        let in_stock = sold.contains(&second_of_round);
        let (promo, button) = if in_stock {
            (
                "",
                "<button class=\"btn btn-primary btn-mini\" title=\"Add to cart\">Add to cart <i class=\"fas fa-caret-right\"></i></button>",
            )
        } else {
            (
                "<p class=\"item-promo\"><i class=\"item-promo-icon\"></i>OUT OF STOCK</p>",
                "<button class=\"btn btn-message btn-mini\" title=\"Auto Notify\">Auto Notify <i class=\"fas fa-caret-right\"></i></button>",
            )
        };
        let price = if *dollars >= 1_000 {
            format!("{},{:03}", dollars / 1_000, dollars % 1_000)
        } else {
            dollars.to_string()
        };
        let _ = writeln!(
            page,
            "<div class=\"item-cell\" id=\"item_cell_{number}_{n}_0\"><div class=\"item-container\">\
             <a href=\"{path}\" class=\"item-img\"><img src=\"/{number}.jpg\" title=\"{name}\" alt=\"{name}\"></a>\
             <div class=\"item-info\"><div class=\"item-branding\"><a href=\"{path}#reviews\" class=\"item-rating\" \
             title=\"Rating + 4\"><i class=\"rating rating-4\"></i><span class=\"item-rating-num\">(11)</span></a></div>\
             <a href=\"{path}\" class=\"item-title\" title=\"View Details\">{name}</a>{promo}\
             <ul class=\"item-features\"><li><strong>GPU Series:</strong> NVIDIA GeForce RTX 30 Series</li>\
             <li><strong>Item #: </strong>{number}</li></ul></div>\
             <div class=\"item-action\"><ul class=\"price\"><li class=\"price-was\"></li>\
             <li class=\"price-current\"><span class=\"price-current-label\"></span>$<strong>{price}</strong>\
             <sup>.99</sup>&nbsp;</li><li class=\"price-ship\">Free Shipping</li></ul>\
             <div class=\"item-operate\"><div class=\"item-button-area\">{button}</div></div></div></div></div>"
        );
    }
    page.push_str("</div>\n</div></body></html>\n");
    page
}

/// The page of one item at that second of a round, so that the link in a message leads somewhere.
pub(super) fn product(number: &str, second_of_round: u64) -> Option<String> {
    let Item(number, name, dollars, sold) = ITEMS.iter().find(|item| item.0 == number)?;
    let (inventory, button) = if sold.contains(&second_of_round) {
        ("In stock.", "Add to cart")
    } else {
        ("OUT OF STOCK.", "Auto Notify")
    };
    Some(format!(
        "<!DOCTYPE html>\n<html lang=\"en-us\"><head><meta charset=\"utf-8\"><title>{name} - Newegg.com</title>\
         </head>\n<body><h1 class=\"product-title\">{name}</h1><p>Item #: <em>{number}</em></p>\
         <ul class=\"price\"><li class=\"price-current\">$<strong>{dollars}</strong><sup>.99</sup></li></ul>\
         <div class=\"product-inventory\"><strong>{inventory}</strong></div>\
         <div id=\"ProductBuy\"><div class=\"product-buy\"><button class=\"btn\">{button}</button></div></div>\
         </body></html>\n"
    ))
}
