//! Prices as shops write them. Where a price can be read in two ways it is not read at all.

/// The number in `text`, which may bring a currency sign or code, or nothing when the text is no price
/// or could be two: `1.400` is a thousand in Vienna and a little more than one in Boston.
pub(super) fn parse(text: &str) -> Option<f64> {
    let text = text.trim();
    let (first, last) = (text.find(|c: char| c.is_ascii_digit())?, text.rfind(|c: char| c.is_ascii_digit())?);
    let (before, after) = (text.get(..first)?, text.get(last + 1..)?);
    let number = text.get(first..=last)?;
    // `$.99` is read too.
    let before = before.strip_suffix('.').map_or((before, ""), |before| (before, "0."));
    let number = format!("{}{number}", before.1);
    if !is_currency(before.0)
        || !is_currency(after.trim_start_matches([',', '.']).trim_matches(['-', '–', '—']))
    {
        return None;
    }
    // With these signs in front, a comma always parts thousands.
    let comma_groups =
        before.0.contains(['$', '£', '¥']) || before.0.contains("USD") || before.0.contains("GBP");
    plain(&number, comma_groups)?.parse().ok().filter(|price: &f64| price.is_finite())
}

/// The ISO 4217 code in a price's text, where its sign or code leaves no doubt.
pub(super) fn currency(text: &str) -> Option<&'static str> {
    const SIGNS: &[(&str, &str)] = &[
        ("€", "EUR"),
        ("£", "GBP"),
        ("zł", "PLN"),
        ("₹", "INR"),
        ("₩", "KRW"),
        ("₺", "TRY"),
        ("₴", "UAH"),
        ("C$", "CAD"),
        ("CA$", "CAD"),
        ("A$", "AUD"),
        ("AU$", "AUD"),
        ("US$", "USD"),
        ("R$", "BRL"),
    ];
    let word: String =
        text.chars().filter(|c| !c.is_ascii_digit() && !c.is_whitespace() && !",.".contains(*c)).collect();
    SIGNS.iter().find(|(sign, _)| *sign == word).map(|(_, code)| *code)
}

/// A sign or a short word: `$`, `US$`, `zł`, `CHF`, `kr.`.
fn is_currency(text: &str) -> bool {
    let text = text.trim().trim_end_matches(['.', ':']);
    text.chars().count() <= 3 && text.chars().all(|c| c.is_alphabetic() || "$€£¥₹₩₺₴₽₫₪฿".contains(c))
}

/// The digits with a decimal point, without marks between thousands.
fn plain(number: &str, comma_groups: bool) -> Option<String> {
    let number: String =
        number.chars().map(|c| if c.is_whitespace() || matches!(c, '\'' | '’') { ' ' } else { c }).collect();
    if !number.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | ',' | ' ')) || number.len() > 24 {
        return None;
    }
    let last = number.rfind(['.', ',']);
    let Some(last) = last else { return ungrouped(&number, ' ') };
    let (whole, decimals) = (number.get(..last)?, number.get(last + 1..)?);
    let mark = if number.get(last..=last) == Some(",") { ',' } else { '.' };
    let other = if mark == ',' { '.' } else { ',' };
    if whole.contains(mark) {
        // Twice the same mark: thousands, or nonsense.
        return ungrouped(&number, mark);
    }
    if decimals.contains(' ') {
        return None;
    }
    let parted = whole.contains(' ') || whole.contains(other);
    let decides = match decimals.len() {
        1 | 2 => true,
        // `0.999` and `1400.000` cannot be thousands.
        3 if whole == "0" || whole.len() > 3 && !parted => mark == '.' || whole == "0",
        3 if comma_groups && mark == ',' && !parted => return ungrouped(&number, ','),
        3 => false,
        _ => mark == '.' && !parted,
    };
    let whole = ungrouped(whole, if whole.contains(other) { other } else { ' ' })?;
    decides.then(|| format!("{whole}.{decimals}"))
}

/// Digits without the marks between their groups of three.
fn ungrouped(whole: &str, mark: char) -> Option<String> {
    let mut groups = whole.split(mark);
    let first = groups.next()?;
    let digits = |group: &str| group.chars().all(|c| c.is_ascii_digit());
    let grouped = whole.contains(mark);
    let fits = digits(first) && !first.is_empty() && (!grouped || first.len() <= 3);
    (fits && groups.all(|group| group.len() == 3 && digits(group))).then(|| whole.replace(mark, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_read_only_where_it_is_sure() {
        for (text, price) in [
            ("$1,400.00", Some(1_400.0)),
            ("1.400,00 €", Some(1_400.0)),
            ("1 400,00 zł", Some(1_400.0)),
            ("1\u{a0}400,00\u{a0}Kč", Some(1_400.0)),
            ("CHF 1'400.50", Some(1_400.5)),
            ("1,400", None),
            ("1.400", None),
            ("€1.400", None),
            ("$1,400", Some(1_400.0)),
            ("$1.400", None),
            ("1,400,000", Some(1_400_000.0)),
            ("1.400.000 €", Some(1_400_000.0)),
            ("12,34,567", None),
            ("1,400.5", Some(1_400.5)),
            ("1,40,000.00", None),
            ("0.999", Some(0.999)),
            ("107.9000", Some(107.9)),
            ("1400.000", Some(1_400.0)),
            ("499", Some(499.0)),
            ("83900", Some(83_900.0)),
            ("19,9", Some(19.9)),
            ("20,-", Some(20.0)),
            ("US$ 20", Some(20.0)),
            ("20 kr.", Some(20.0)),
            ("$.99", Some(0.99)),
            ("$10 - $20", None),
            ("10–20 €", None),
            ("from $10", None),
            ("starting at $10", None),
            ("-5", None),
            ("free", None),
            ("", None),
            ("1e5", None),
            ("1.2.3", None),
            ("1,2 3", None),
        ] {
            assert_eq!(parse(text), price, "{text}");
        }
    }

    #[test]
    fn a_currency_is_named_only_where_it_is_sure() {
        for (text, code) in [("12,00 €", Some("EUR")), ("$12", None), ("US$12.50", Some("USD")), ("12", None)]
        {
            assert_eq!(currency(text), code, "{text}");
        }
    }
}
