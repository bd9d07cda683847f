//! A list of addresses, one a line, with labels behind them: `https://a.example/ news, town` or `# news`.

use std::collections::HashMap;

use super::draft::{Draft, Haul, LeftOut};

/// # Errors
/// That it is no list of addresses: there is not one in it.
pub(super) fn read(text: &str) -> Result<Haul, String> {
    let mut haul = Haul::default();
    // Where each stands.
    let mut known: HashMap<&str, usize> = HashMap::new();
    for (number, line) in (1_usize..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let place = format!("line {number}");
        if !is_address(line) {
            // What stands there may be a secret, or part of one.
            haul.left_out.push(LeftOut::new(place, "is no address: one begins with https:// or http://"));
            continue;
        }
        let (url, labels) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        if let Some(first) = known.get(url) {
            haul.shared.push(format!("{place}: the address of line {first} once more"));
            continue;
        }
        known.insert(url, number);
        let mut draft = Draft::new(place);
        draft.url = url.to_owned();
        let labels = labels.trim().trim_start_matches('#');
        draft.tag(&labels.split(',').map(str::to_owned).collect::<Vec<_>>());
        haul.drafts.push(draft);
    }
    if haul.drafts.is_empty() && !haul.left_out.is_empty() {
        return Err("this is no list of addresses: no line begins with https:// or http://".into());
    }
    Ok(haul)
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
        let text = "# mine\n\nhttps://a.example/x news, town\r\nhttps://b.example # shop\ns3cret\nhttps://a.example/x\n";
        let haul = read(text).expect("a list");
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
        assert!(haul.left_out.iter().all(|left| left.name == "line 5" && !left.why.contains("s3cret")));
        assert_eq!(haul.shared, ["line 6: the address of line 3 once more"]);
        assert_eq!(haul.left_out.len(), 1);
    }
}
