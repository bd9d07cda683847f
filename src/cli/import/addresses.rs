//! A list of addresses, one a line, with labels behind them: `https://a.example/ news, town` or `# news`.

use super::draft::{Draft, Haul, LeftOut, cleaned};

pub(super) fn read(text: &str) -> Haul {
    let mut haul = Haul::default();
    for (number, line) in (1_usize..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let place = format!("line {number}");
        if !is_address(line) {
            let shown = cleaned(line.split(['?', '@']).next().unwrap_or_default(), 40);
            let why = format!("`{shown}` is no address; it begins with https:// or http://");
            haul.left_out.push(LeftOut::new(place, why));
            continue;
        }
        let (url, labels) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let mut draft = Draft::new(place);
        draft.url = url.to_owned();
        let labels = labels.trim().trim_start_matches('#');
        draft.tag(&labels.split(',').map(str::to_owned).collect::<Vec<_>>());
        haul.drafts.push(draft);
    }
    haul
}

pub(super) fn is_address(line: &str) -> bool {
    let scheme = line.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.:".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_an_address_are_its_labels() {
        let haul = read("# mine\n\nhttps://a.example/x news, town\r\nhttps://b.example # shop\nb.example\n");
        let labels =
            |draft: &Draft| draft.keys.iter().map(|(_, value)| value.to_string()).collect::<String>();
        let seen: Vec<(String, String)> =
            haul.drafts.iter().map(|draft| (draft.url.clone(), labels(draft))).collect();
        assert_eq!(
            seen,
            [
                ("https://a.example/x".into(), "{ tag = \"news, town\" }".into()),
                ("https://b.example".into(), "{ tag = \"shop\" }".into()),
            ]
        );
        assert!(haul.left_out.iter().all(|left| left.name == "line 5" && left.why.contains("`b.example`")));
        assert_eq!(haul.left_out.len(), 1);
    }
}
