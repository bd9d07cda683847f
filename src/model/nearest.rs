//! What a mistyped name most likely means.

/// The known name nearest to `name`; `None` when none is near.
#[must_use]
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// ``; did you mean `x`?``, or nothing when no known name is near.
#[must_use]
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map_or(String::new(), |near| format!("; did you mean `{near}`?"))
}

/// [`did_you_mean`], or all names there are when none is near and they are few.
#[must_use]
pub fn or_known<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let near = did_you_mean(name, known.clone());
    let all: Vec<String> = known.map(|name| format!("`{name}`")).collect();
    if near.is_empty() && (1..=12).contains(&all.len()) {
        return format!("; known: {}", all.join(", "));
    }
    near
}
