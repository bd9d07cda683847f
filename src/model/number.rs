//! Numbers as people read them.

/// A price: at most six significant digits, two decimals where it has cents, never `0.00`.
#[must_use]
pub fn shown(value: f64) -> String {
    let mut text = plain(value);
    let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    if decimals == 1 && (1.0..10_000.0).contains(&value.abs()) {
        text.push('0');
    }
    text
}

/// A number that counts no money: at most six significant digits, no zeros at its end. Whole units are
/// never rounded away.
#[must_use]
pub fn plain(value: f64) -> String {
    if !value.is_finite() {
        return "unknown".into();
    }
    let rounded = if value.abs() >= 100_000.0 {
        value.round()
    } else {
        // Six digits in scientific form; reading it back gives the shortest number that shows them.
        format!("{value:.5e}").parse().unwrap_or(value)
    };
    // Adding zero turns minus zero into zero.
    format!("{}", rounded + 0.0)
}

/// A price with its currency (ISO 4217), to the cent: `$499.99`, `499.99 EUR`.
#[must_use]
pub fn money(price: f64, currency: Option<&str>) -> String {
    let cents = (price * 100.0).round();
    let number = if !price.is_finite() || (price * 100.0 - cents).abs() > 0.01 {
        shown(price)
    } else if cents % 100.0 == 0.0 {
        format!("{price:.0}")
    } else {
        format!("{price:.2}")
    };
    match currency {
        Some("USD") => number.strip_prefix('-').map_or(format!("${number}"), |n| format!("-${n}")),
        Some(currency) if !currency.is_empty() => format!("{number} {currency}"),
        _ => number,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_of_every_size_are_shown_without_noise_and_never_as_nothing() {
        for (value, expected) in [
            (185.660_003_66, "185.66"),
            (185.6, "185.60"),
            (185.0, "185"),
            (3.52 - 3.47, "0.05"),
            (1.084_561_2, "1.08456"),
            (0.5, "0.5"),
            (0.08, "0.08"),
            (0.000_012_345_67, "0.0000123457"),
            (1e-5, "0.00001"),
            (2.113e-8, "0.00000002113"),
            (49_348.7, "49348.7"),
            (60_123.46, "60123.5"),
            (9_999.5, "9999.50"),
            (145_726_175.579, "145726176"),
            (-3.5, "-3.50"),
            (-0.0, "0"),
            (0.0, "0"),
            (f64::NAN, "unknown"),
            (f64::INFINITY, "unknown"),
        ] {
            assert_eq!(shown(value), expected, "{value:?}");
        }
        assert_eq!(plain(201.3), "201.3");
        assert_eq!(plain(200.0), "200");
    }

    #[test]
    fn money_is_shown_to_the_cent_with_its_currency() {
        for (price, currency, expected) in [
            (499.99, Some("USD"), "$499.99"),
            (499.99, Some("EUR"), "499.99 EUR"),
            (499.0, Some("USD"), "$499"),
            (12_999.9, Some("USD"), "$12999.90"),
            (0.5, Some("USD"), "$0.50"),
            (1.234_5, Some("USD"), "$1.2345"),
            (-5.5, Some("USD"), "-$5.50"),
            (20.0, None, "20"),
            (20.0, Some(""), "20"),
        ] {
            assert_eq!(money(price, currency), expected);
        }
    }
}
