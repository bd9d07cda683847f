//! Numbers as people write them, with their currency. Where a number can be read in two ways it is not
//! read at all: `1.400` is a thousand in Vienna and a little more than one in Boston.
//!
//! What services write for programs is read by [`super::number`], which knows one way of writing only.

/// What a text says that should be one number.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Figure {
    /// It can be read in one way only. Of pence, agorot or cents this is the number of pounds, shekels or
    /// dollars.
    Sure {
        number: f64,
        /// ISO 4217, where a sign or code beside the number leaves no doubt.
        currency: Option<&'static str>,
    },
    /// It is a number, and which one is not sure; says why.
    Unsure(String),
    /// It is none.
    None,
}

impl Figure {
    /// The number that is all of `text`, but for a currency's sign or code on either side.
    pub(super) fn read(text: &str) -> Self {
        read(&plain_signs(text), true).unwrap_or(Self::None)
    }

    /// The same of a text for programs, where a bare letter behind digits is hardly that of cents.
    pub(super) fn read_for_programs(text: &str) -> Self {
        read(&plain_signs(text), false).unwrap_or(Self::None)
    }

    /// The number, where it is sure.
    #[cfg(test)]
    pub(super) const fn number(&self) -> Option<f64> {
        match self {
            Self::Sure { number, .. } => Some(*number),
            _ => None,
        }
    }
}

/// What a price is counted in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Unit {
    /// The ISO 4217 code, where the sign is that of one currency only.
    pub code: Option<&'static str>,
    /// How many of it make one of its currency: 100 pence are a pound.
    pub per_major: f64,
    /// Whether a comma between digits always parts thousands where this stands before them.
    comma_parts_thousands: bool,
}

impl Unit {
    /// The unit that a sign, a code or a word means, where nothing else can stand. The case of a letter
    /// matters where it makes the difference: `GBP` are pounds, `GBp` are pence.
    pub(super) fn named(text: &str) -> Option<Self> {
        Self::of(&word(text))
    }

    /// The unit that is written before or behind a number, where any other word can stand too: `6 ft` are
    /// no forints, `Top 10` are no pa'anga, and a bare letter is none.
    fn beside(text: &str) -> Option<Self> {
        let word = word(text);
        let is_word = word.chars().all(|c| c.is_ascii_alphabetic());
        let is_code = word.len() == 3 && word.chars().all(|c| c.is_ascii_uppercase());
        let is_sign = SIGNS.iter().any(|(sign, _)| *sign == word) || WORDS.contains(&&*word);
        let is_minor = MINOR.iter().any(|(name, _)| *name == word) && !BARE.contains(&&*word);
        if is_word && !is_code && !is_sign && !is_minor { None } else { Self::of(&word) }
    }

    /// The unit of a bare letter that stands directly behind a few digits: `99p`.
    fn behind(digits: &str, text: &str) -> Option<Self> {
        let is_few = digits.len() <= 3 && digits.chars().all(|c| c.is_ascii_digit());
        let word = text.trim_end_matches([' ', '*']);
        if is_few && BARE.contains(&word) { Self::of(word) } else { None }
    }

    fn of(word: &str) -> Option<Self> {
        if let Some((_, code)) = MINOR.iter().find(|(name, _)| *name == word) {
            let code = Some(*code).filter(|code| !code.is_empty());
            return Some(Self { code, per_major: 100.0, comma_parts_thousands: false });
        }
        let upper = word.to_uppercase();
        let of = |code| Self {
            code,
            per_major: 1.0,
            comma_parts_thousands: upper.contains(['$', '£', '¥', '₩', '₹', '円', '元', '원'])
                && upper != "R$"
                || matches!(upper.as_str(), "USD" | "GBP" | "JPY" | "INR" | "KRW"),
        };
        if let Some((_, code)) = SIGNS.iter().find(|(sign, _)| sign.to_uppercase() == upper) {
            return Some(of(Some(*code).filter(|code| !code.is_empty())));
        }
        let is_code = upper.len() == 3 && upper.chars().all(|c| c.is_ascii_uppercase());
        let code = CODES.split_ascii_whitespace().find(|code| is_code && *code == upper)?;
        Some(of(Some(code)))
    }
}

/// A name without what may stand around it.
fn word(text: &str) -> String {
    let word: String = plain_signs(text).split_whitespace().collect();
    word.trim_end_matches(['.', ':', '*']).to_owned()
}

/// Hundredths, and what they are hundredths of; a cent is one of many currencies.
const MINOR: &[(&str, &str)] = &[
    ("GBp", "GBP"),
    ("GBX", "GBP"),
    ("GBx", "GBP"),
    ("p", "GBP"),
    ("pence", "GBP"),
    ("ZAc", "ZAR"),
    ("ZAC", "ZAR"),
    ("ILA", "ILS"),
    ("ILa", "ILS"),
    ("USX", "USD"),
    ("¢", ""),
    ("c", ""),
    ("ct", ""),
    ("cts", ""),
    ("cent", ""),
    ("cents", ""),
    ("Cent", ""),
];

/// Hundredths in letters that mean much else: pages, pixels, carats.
const BARE: &[&str] = &["p", "c", "ct", "cts"];

/// Other ways to write words of [`SIGNS`] that mean nothing else.
const WORDS: &[&str] = &["Kr", "KR", "euro", "EURO", "ZL", "Lei", "LEI"];

/// Signs and words; without a code where several currencies share them.
const SIGNS: &[(&str, &str)] = &[
    ("$", ""),
    ("¥", ""),
    ("kr", ""),
    ("Rs", ""),
    ("Fr", ""),
    ("€", "EUR"),
    ("Euro", "EUR"),
    ("£", "GBP"),
    ("zł", "PLN"),
    ("zl", "PLN"),
    ("Kč", "CZK"),
    ("Ft", "HUF"),
    ("lei", "RON"),
    ("лв", "BGN"),
    ("₽", "RUB"),
    ("руб", "RUB"),
    ("₴", "UAH"),
    ("грн", "UAH"),
    ("₺", "TRY"),
    ("TL", "TRY"),
    ("SFr", "CHF"),
    ("円", "JPY"),
    ("元", "CNY"),
    ("₩", "KRW"),
    ("원", "KRW"),
    ("₹", "INR"),
    ("₫", "VND"),
    ("₪", "ILS"),
    ("₱", "PHP"),
    ("฿", "THB"),
    ("RM", "MYR"),
    ("Rp", "IDR"),
    ("R", "ZAR"),
    ("US$", "USD"),
    ("C$", "CAD"),
    ("CA$", "CAD"),
    ("A$", "AUD"),
    ("AU$", "AUD"),
    ("NZ$", "NZD"),
    ("HK$", "HKD"),
    ("S$", "SGD"),
    ("NT$", "TWD"),
    ("MX$", "MXN"),
    ("R$", "BRL"),
];

/// ISO 4217, without funds and metals. <https://www.six-group.com/en/products-services/financial-information/data-standards.html>
const CODES: &str = "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN \
    BWP BYN BZD CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP \
    GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK \
    LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB \
    PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB \
    TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWG BTC ETH \
    HRK";

/// Longer than this is no price with its currency.
const MAX_CHARS: usize = 48;

/// A space that parts no words: what it parts is one number.
const NO_BREAK: char = '\u{a0}';

/// One sort of digit, of either space, of apostrophe and minus; direction marks left out.
fn plain_signs(text: &str) -> String {
    let plain = |c: char| match c {
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => None,
        '’' | '‘' | '′' | '´' | '`' => Some('\''),
        '\u{2212}' | '\u{fe63}' => Some('-'),
        '￥' => Some('¥'),
        '￡' => Some('£'),
        '￠' => Some('¢'),
        '￦' => Some('₩'),
        '٫' => Some('.'),
        '٬' => Some(','),
        '\u{660}'..='\u{669}' => digit(c, 0x660),
        '\u{6f0}'..='\u{6f9}' => digit(c, 0x6f0),
        // Full-width forms stand in the order of ASCII.
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c).saturating_sub(0xfee0)),
        '\u{a0}' | '\u{2007}' | '\u{2009}' | '\u{202f}' => Some(NO_BREAK),
        c if c.is_whitespace() => Some(' '),
        c => Some(c),
    };
    text.chars().take(1_000).filter_map(plain).collect::<String>().trim().to_owned()
}

fn digit(c: char, zero: u32) -> Option<char> {
    char::from_digit(u32::from(c).saturating_sub(zero), 10)
}

fn read(text: &str, for_people: bool) -> Option<Figure> {
    if text.chars().count() > MAX_CHARS {
        return None;
    }
    let (first, last) = (text.find(|c: char| c.is_ascii_digit())?, text.rfind(|c: char| c.is_ascii_digit())?);
    let (before, number, after) = (text.get(..first)?, text.get(first..=last)?, text.get(last + 1..)?);
    // `$.99` is read too; `kr.99` is ninety-nine crowns.
    let (before, point) = match before.strip_suffix('.') {
        Some(sign) if sign.is_empty() || sign.ends_with(['$', '£', '€', ' ', NO_BREAK, '-']) => {
            (sign, "0.")
        }
        _ => (before, ""),
    };
    let (negative, before) = without_minus(before);
    // `20,-` and `20.–` are even amounts.
    let even = after.strip_prefix([',', '.']).and_then(|rest| rest.strip_prefix(['-', '–', '—']));
    let after = even.map_or(after, |rest| rest.trim_start_matches(['-', '–', '—']));
    let bare = Unit::behind(number, after).filter(|_| for_people && point.is_empty());
    let [before, after] =
        [before, after].map(|side| side.trim_matches(|c: char| matches!(c, ' ' | NO_BREAK | '*')));
    let [left, right] = [before, after].map(|side| (!side.is_empty()).then(|| Unit::beside(side)));
    let right = if bare.is_some() { Some(bare) } else { right };
    // A word that is no currency: this is not, or not only, a price.
    let (left, right) =
        (left.map_or(Some(None), |unit| unit.map(Some))?, right.map_or(Some(None), |unit| unit.map(Some))?);
    if number.contains(['-', '–', '—', '~']) {
        let is_range = number.split(['-', '–', '—', '~']).filter(|part| !part.trim().is_empty()).count() == 2;
        return is_range.then(|| Figure::Unsure(format!("`{text}` is a range")));
    }
    if let (Some(left), Some(right)) = (left, right)
        && (left.code.is_some() && right.code.is_some() && left.code != right.code
            || left.per_major != right.per_major)
    {
        return Some(Figure::Unsure(format!("`{text}` names two currencies")));
    }
    let comma_parts_thousands = left.is_some_and(|unit| unit.comma_parts_thousands);
    // Spaces part thousands, and an old price from a new one: `100 200`. A page's code for its currency may
    // have been put before both.
    let code_before = before.len() == 3 && before.chars().all(|c| c.is_ascii_uppercase());
    let is_one = right.is_some() || left.is_some() && !code_before || number.contains(['.', ',']);
    if number.contains(' ') && !is_one {
        let joined = ungrouped(&number.replace(NO_BREAK, " "), ' ')?;
        return Some(Figure::Unsure(format!("`{text}` can be {joined} or {}", number.replace(' ', " and "))));
    }
    let number = format!("{point}{}", number.replace(NO_BREAK, " "));
    match digits(&number, comma_parts_thousands)? {
        Ok(digits) => {
            let number: f64 = digits.parse().ok().filter(|number: &f64| number.is_finite())?;
            let per_major = left.or(right).map_or(1.0, |unit| unit.per_major);
            let number = if negative { -number } else { number } / per_major;
            let currency = left.and_then(|unit| unit.code).or_else(|| right?.code);
            Some(Figure::Sure { number, currency })
        }
        Err((one, other)) => Some(Figure::Unsure(format!("`{text}` can be {one} or {other}"))),
    }
}

/// A minus stands before the sign or behind it.
fn without_minus(before: &str) -> (bool, &str) {
    let trimmed = before.trim();
    match trimmed.strip_prefix('-').or_else(|| trimmed.strip_suffix('-')) {
        Some(rest) => (true, rest.trim()),
        None => (false, trimmed),
    }
}

/// The digits with a decimal point and without marks between groups, or the two ways to read them.
fn digits(number: &str, comma_parts_thousands: bool) -> Option<Result<String, (String, String)>> {
    if !number.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | ',' | ' ' | '\'')) || number.len() > 32
    {
        return None;
    }
    let marks: Vec<char> = number.chars().filter(|c| !c.is_ascii_digit()).collect();
    let Some((&mark, others)) = marks.split_last() else { return Some(Ok(number.to_owned())) };
    let (whole, tail) = number.rsplit_once(mark)?;
    let joined = || format!("{whole}{tail}");
    let decimal = || format!("{whole}.{tail}");
    let Some(&group) = others.first() else {
        let short = !whole.is_empty() && whole.len() <= 3 && !whole.starts_with('0');
        return match (mark, tail.len()) {
            (' ' | '\'', 3) if short => Some(Ok(joined())),
            (' ' | '\'', _) => None,
            (_, 1 | 2) => Some(Ok(decimal())),
            // `0.999` and `1400.000` have no thousands.
            (_, 3) if whole == "0" => Some(Ok(decimal())),
            ('.', 3) if whole.len() > 3 => Some(Ok(decimal())),
            (',', 3) if comma_parts_thousands && short => Some(Ok(joined())),
            (_, 3) => Some(Err((decimal(), joined()))),
            ('.', _) => Some(Ok(decimal())),
            _ => Some(Err((decimal(), joined()))),
        };
    };
    if others.iter().any(|other| *other != group) {
        return None;
    }
    if group == mark {
        // Twice the same mark: thousands, or no number.
        return ungrouped(number, mark).map(Ok);
    }
    if !matches!(mark, '.' | ',') {
        return None;
    }
    let whole = ungrouped(whole, group)?;
    let decimal = format!("{whole}.{tail}");
    // Two marks that are each used for thousands somewhere: `1 400,000`.
    let unclear = tail.len() == 3 && matches!(group, ' ' | '\'');
    Some(if unclear { Err((decimal, format!("{whole}{tail}"))) } else { Ok(decimal) })
}

/// Digits without the marks between their groups of three, or of two before the last three as in India.
fn ungrouped(whole: &str, mark: char) -> Option<String> {
    let groups: Vec<&str> = whole.split(mark).collect();
    let (first, rest) = groups.split_first()?;
    let (last, middle) = rest.split_last()?;
    let starts = |most: usize| (1..=most).contains(&first.len()) && !first.starts_with('0');
    let by_three = starts(3) && rest.iter().all(|group| group.len() == 3);
    let in_india = mark == ','
        && starts(2)
        && last.len() == 3
        && !middle.is_empty()
        && middle.iter().all(|group| group.len() == 2);
    (by_three || in_india).then(|| groups.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_read_only_where_it_is_sure() {
        for (text, number) in [
            ("$1,400.00", Some(1_400.0)),
            ("1.400,00 €", Some(1_400.0)),
            ("1 400,00 zł", Some(1_400.0)),
            ("1\u{a0}400,00\u{a0}Kč", Some(1_400.0)),
            ("1\u{202f}400,00\u{a0}€", Some(1_400.0)),
            ("CHF 1'400.50", Some(1_400.5)),
            ("1’400.50 CHF", Some(1_400.5)),
            ("$1,400", Some(1_400.0)),
            ("£ 1,400", Some(1_400.0)),
            ("¥1,400", Some(1_400.0)),
            ("￥１，４００", Some(1_400.0)),
            ("1,400,000", Some(1_400_000.0)),
            ("1.400.000 €", Some(1_400_000.0)),
            ("₹12,34,567.00", Some(1_234_567.0)),
            ("12,34,567", Some(1_234_567.0)),
            ("1,400.5", Some(1_400.5)),
            ("1.234,567", Some(1_234.567)),
            ("0.999", Some(0.999)),
            ("0,999", Some(0.999)),
            ("107.9000", Some(107.9)),
            ("1400.000", Some(1_400.0)),
            ("499", Some(499.0)),
            ("83900", Some(83_900.0)),
            ("19,9", Some(19.9)),
            ("20,-", Some(20.0)),
            ("20.– CHF", Some(20.0)),
            ("US$ 20", Some(20.0)),
            ("$20.00 USD", Some(20.0)),
            ("20 kr.", Some(20.0)),
            ("kr.99", Some(99.0)),
            ("$.99", Some(0.99)),
            ("12,99 €*", Some(12.99)),
            ("-5", Some(-5.0)),
            ("\u{2212}5,50 €", Some(-5.5)),
            ("-$5.25", Some(-5.25)),
            ("$-5.25", Some(-5.25)),
            ("450p", Some(4.5)),
            ("1,234.5 GBp", Some(12.345)),
            ("GBX 450", Some(4.5)),
            ("ZAc 12050", Some(120.5)),
            ("99¢", Some(0.99)),
            ("99 ¢", Some(0.99)),
            ("99c", Some(0.99)),
            ("1\u{a0}400", Some(1_400.0)),
            ("1 400 kr", Some(1_400.0)),
            ("kr 1 400", Some(1_400.0)),
            ("1 400 EUR", Some(1_400.0)),
            ("EUR 1 400,00", Some(1_400.0)),
            ("1 400,00", Some(1_400.0)),
            ("1 234 567,50", Some(1_234_567.5)),
            ("5 Kr", Some(5.0)),
            ("5 ZŁ", Some(5.0)),
        ] {
            assert_eq!(Figure::read(text).number(), number, "{text}");
        }
    }

    #[test]
    fn what_can_be_two_numbers_is_none_of_them_and_says_so() {
        for (text, why) in [
            ("1,400", "`1,400` can be 1.400 or 1400"),
            ("1.400", "`1.400` can be 1.400 or 1400"),
            ("€1.400", "`€1.400` can be 1.400 or 1400"),
            ("$1.400", "`$1.400` can be 1.400 or 1400"),
            ("1,400 kr", "`1,400 kr` can be 1.400 or 1400"),
            ("1 400,000", "`1 400,000` can be 1400.000 or 1400000"),
            ("100 200", "`100 200` can be 100200 or 100 and 200"),
            ("555 123", "`555 123` can be 555123 or 555 and 123"),
            ("EUR 100 200", "`EUR 100 200` can be 100200 or 100 and 200"),
            ("$10 - $20", "`$10 - $20` is a range"),
            ("10–20 €", "`10–20 €` is a range"),
            ("£5 EUR", "`£5 EUR` names two currencies"),
            ("£5 GBX", "`£5 GBX` names two currencies"),
        ] {
            assert_eq!(Figure::read(text), Figure::Unsure(why.into()), "{text}");
        }
        for text in [
            "from $10",
            "starting at $10",
            "free",
            "",
            "1e5",
            "1.2.3",
            "1,2 3",
            "1,40,00",
            "SKU 123",
            "5 stars",
            "500 p.",
            "500 p",
            "1080p",
            "1.5 ct",
            "1.5ct",
            "c 99",
            "p. 5",
            "Top 10",
            "top 10",
            "12 usd",
            "6 ft",
            "6 FT",
            "5 rm",
            "12 500 1",
            "1 2",
            "0 400",
            "NaN",
            "2026-11-21",
            "10:30",
            "..",
            "$",
            "1,,4",
            "5-",
            &"9".repeat(50),
        ] {
            assert_eq!(Figure::read(text), Figure::None, "{text}");
        }
    }

    #[test]
    fn a_currency_is_named_only_where_it_is_sure() {
        for (text, code) in [
            ("12,00 €", Some("EUR")),
            ("$12", None),
            ("US$12.50", Some("USD")),
            ("$12.50 CAD", Some("CAD")),
            ("450p", Some("GBP")),
            ("450 GBp", Some("GBP")),
            ("4.50 GBP", Some("GBP")),
            ("ILA 300", Some("ILS")),
            ("99¢", None),
            ("12", None),
        ] {
            let Figure::Sure { currency, .. } = Figure::read(text) else { panic!("{text}") };
            assert_eq!(currency, code, "{text}");
        }
        let unit = |name: &str| Unit::named(name).map(|unit| (unit.code, unit.per_major));
        assert_eq!(unit("GBp"), Some((Some("GBP"), 100.0)));
        assert_eq!(unit("gbp"), Some((Some("GBP"), 1.0)));
        assert_eq!(unit("XYZ"), None);
        assert_eq!(Figure::read_for_programs("450p"), Figure::None);
        assert_eq!(Figure::read_for_programs("450 GBp").number(), Some(4.5));
    }

    proptest::proptest! {
        /// No text at all makes it panic, and what it reads is finite.
        #[test]
        fn any_text_is_read_or_not(text in "[-0-9., '’€$£pzł\u{a0}\u{2212}–]{0,16}|.{0,40}") {
            if let Figure::Sure { number, .. } = Figure::read(&text) {
                proptest::prop_assert!(number.is_finite());
            }
        }
    }
}
