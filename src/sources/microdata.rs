//! What a product page says about itself in microdata, in the words of schema.org.
//! <https://html.spec.whatwg.org/multipage/microdata.html>, <https://schema.org/Product>

use std::collections::HashMap;

use scraper::{ElementRef, Html};

use super::schema_org::{MAX_PRODUCTS, Product, is_product_type};
use super::{html, stock};

/// A page with more properties than this is no product page.
const MAX_PROPERTIES: usize = 10_000;

/// Of a list of kinds without end only the beginning counts.
const MAX_KINDS: usize = 400;

/// The products that say anything about buying, in the order of the page, which is gone over once.
pub(super) fn products(html: &Html) -> Vec<Product> {
    let mut products: Vec<Item> = Vec::new();
    let mut known = HashMap::new();
    let mut open: Vec<(ElementRef<'_>, Scope<'_>)> = Vec::new();
    let mut properties = 0_usize;
    for element in html.root_element().descendants().filter_map(ElementRef::wrap) {
        let parent = element.parent().and_then(ElementRef::wrap);
        while !open.is_empty() && open.last().map(|(last, _)| *last) != parent {
            open.pop();
        }
        let scope = open.last().map(|(_, scope)| *scope).unwrap_or_default();
        open.push((element, scope.within(element)));
        let Some(names) = element.attr("itemprop") else { continue };
        properties = properties.saturating_add(1);
        if properties > MAX_PROPERTIES {
            break;
        }
        let is_offered = scope.kind == Kind::Offer;
        // A name of something else is that of a breadcrumb, a brand, a reviewer.
        if !is_offered && scope.kind != Kind::Product {
            continue;
        }
        let Some(value) = value_of(element) else { continue };
        if products.len() > MAX_PRODUCTS {
            break;
        }
        let at = *known.entry(scope.owner.map(|owner| owner.id())).or_insert(products.len());
        if at == products.len() {
            products.push(Item::default());
        }
        let Some(Item { product, amount, currency }) = products.get_mut(at) else { continue };
        for property in names.split_whitespace() {
            match property.to_ascii_lowercase().as_str() {
                "name" if !is_offered => _ = product.name.get_or_insert(value.clone()),
                "sku" | "productid" => _ = product.sku.get_or_insert(value.clone()),
                "price" | "lowprice" => _ = amount.get_or_insert(value.clone()),
                "pricecurrency" => _ = currency.get_or_insert(value.clone()),
                "availability" if product.availability.is_none() => {
                    product.availability = stock::named(&value);
                    product.said = Some(value.clone());
                }
                _ => {}
            }
        }
    }
    let told = |item: Item| {
        let mut product = item.product;
        product.priced_in_words(item.amount.as_deref(), item.currency.as_deref());
        product
    };
    products.into_iter().map(told).filter(|product| product.is_offer() || product.unsure.is_some()).collect()
}

/// What the innermost item around a property is about, and whose it is.
#[derive(Clone, Copy, Default)]
struct Scope<'a> {
    kind: Kind,
    /// The innermost product around it.
    owner: Option<ElementRef<'a>>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Kind {
    Product,
    Offer,
    #[default]
    Other,
}

impl<'a> Scope<'a> {
    /// That of what stands in `element`, which stands in this one.
    fn within(self, element: ElementRef<'a>) -> Self {
        if element.attr("itemscope").is_none() {
            return self;
        }
        let kinds = element.attr("itemtype").unwrap_or_default();
        let kinds = kinds.get(..kinds.floor_char_boundary(MAX_KINDS)).unwrap_or_default();
        if kinds.split_whitespace().any(is_product_type) {
            return Self { kind: Kind::Product, owner: Some(element) };
        }
        let is_offer = kinds.to_ascii_lowercase().trim_end_matches('/').ends_with("offer");
        Self { kind: if is_offer { Kind::Offer } else { Kind::Other }, ..self }
    }
}

/// A product on the way.
#[derive(Default)]
struct Item {
    product: Product,
    amount: Option<String>,
    currency: Option<String>,
}

/// The value of a property: said for machines if it is, else as shown; an empty one says nothing.
fn value_of(element: ElementRef<'_>) -> Option<String> {
    let said = ["content", "href", "value"].into_iter().find_map(|name| element.attr(name));
    Some(said.map_or_else(|| html::short(element), html::collapse)).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Availability;

    #[test]
    fn microdata_is_read_from_its_own_product_only() {
        let page = "<div itemscope itemtype='HTTP://schema.org/product'>
            <ol itemscope itemtype='//schema.org/BreadcrumbList'><span itemprop=name>crumb</span></ol>
            <meta itemprop=name><h1 itemprop=name>A  card</h1><meta itemprop=sku content=K1>
            <div itemprop=offers itemscope itemtype='//schema.org/Offer'>
            <span itemprop=price content=499.99>499</span><meta itemprop=priceCurrency content=CAD></div>
            <div itemprop=offers itemscope itemtype='//schema.org/Offer'>
            <link itemprop=availability href='//schema.org/InStock'></div>
            <div itemscope itemtype='https://schema.org/Product'><b itemprop=name>Other</b>
            <div itemprop=offers itemscope itemtype='https://schema.org/Offer'>
            <i itemprop=price>$5.00</i><link itemprop=availability href=SoldOut></div></div></div>";
        let product = products(&html::parse(page).expect("a tree")).remove(0);
        assert_eq!(
            product,
            Product {
                name: Some("A card".into()),
                sku: Some("K1".into()),
                price: Some(499.99),
                currency: Some("CAD".into()),
                availability: Some(Availability::InStock),
                said: Some("//schema.org/InStock".into()),
                ..Product::default()
            }
        );
        assert_eq!(products(&html::parse("<p itemprop=name>x").expect("a tree")), []);
    }

    #[test]
    fn a_property_deep_in_a_page_costs_little_more_than_one_at_its_top() {
        let took = |depth: usize| {
            let kinds = "a ".repeat(200);
            let page = format!(
                "{}<div itemscope itemtype=Offer>{}",
                format!("<div itemscope itemtype='{kinds}'>").repeat(depth),
                "<b itemprop=x>y</b>".repeat(9_000)
            );
            let tree = html::parse(&page).expect("a tree");
            let took = || {
                let started = std::time::Instant::now();
                assert_eq!(products(&tree), []);
                started.elapsed()
            };
            (0..5).map(|_| took()).min().expect("five")
        };
        let (flat, deep) = (took(4), took(480));
        assert!(deep < flat * 4 + std::time::Duration::from_millis(20), "{deep:?} {flat:?}");
    }
}
