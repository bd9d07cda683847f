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
    assert_eq!(seen.observations[0].url.as_deref(), Some("https://www.newegg.com/card/p/N82E16814137609"));
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
        ("<p class=item-promo>out of stock</p><div class=item-button-area>View Details</div>", OutOfStock),
        ("<div class=item-button-area>Pre-order</div>", PreOrder),
        ("<div class=item-button-area>Back order</div><p class=item-promo></p>", BackOrder),
        ("<p class=item-promo>Free game</p><div class=item-button-area>View Details</div>", Unknown),
        ("<p class=item-promo></p><div class=item-button-area></div>", Unknown),
        ("<p class=item-promo>OUT OF STOCK</p><div class=item-button-area>Add to cart</div>", Unknown),
        ("<p class=item-promo>Buy now, save later</p><div class=item-button-area>Sold out</div>", OutOfStock),
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
    for (page, complete) in
        [(format!("<html><body>{whole}{half}"), false), (format!("<html><body>{whole}</body></html>"), true)]
    {
        let seen = read(&watch, 200, page, NOW).unwrap();
        assert_eq!((seen.observations.len(), seen.complete), (1, complete));
    }
}

#[test]
fn a_page_that_is_not_understood_is_no_empty_shelf() {
    let watch = watch("https://www.newegg.com/p/pl?d=x");
    for page in ["", " \n", "<html><body>Service is down", "<div class=item-cell><a href=/ad>ad</a></div>"] {
        assert!(read(&watch, 200, page, NOW).is_err(), "{page}");
    }
    assert!(read(&watch, 503, cell("<a class=item-title href=/p/1>x</a>", ""), NOW).is_err());
    for page in ["<p>We have found <b>0 items</b> that match</p>", "<div class='result-message-error'>Sorry"]
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
    let Some(folder) = crate::testing::fixtures() else { return };
    for page in std::fs::read_dir(folder.join("newegg")).unwrap() {
        let name = page.unwrap().file_name().into_string().unwrap();
        if !name.starts_with("robot") && !name.starts_with("ban") {
            assert_eq!(sign(&format!("newegg/{name}"), 200), Some(None), "{name}");
        }
    }
}
