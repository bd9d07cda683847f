//! Addresses of notifications as Apprise writes them (<https://appriseit.com/services/discord/>).

use toml::Value;
use url::form_urlencoded;

use super::draft::{Haul, Notifier, cleaned};
use super::fit;

impl Haul {
    /// The name of the notifier that an address is, which is made where it is new.
    ///
    /// # Errors
    /// What there is instead.
    pub(super) fn notifier(&mut self, address: &str) -> Result<String, String> {
        let address = address.trim();
        if let Some(known) = self.notifiers.iter().find(|known| known.from == address) {
            return Ok(known.name.clone());
        }
        let keys = discord(address).ok_or_else(|| instead(address))?;
        let name = match self.notifiers.len() {
            0 => "discord-imported".to_owned(),
            before => format!("discord-imported-{}", before.saturating_add(1)),
        };
        let unused: Vec<String> = options(address)
            .filter(|(option, value)| {
                !["thread", "thread_id"].contains(option) && !["", "no", "false"].contains(value)
            })
            .filter(|(option, _)| option.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
            .map(|(option, _)| format!("`{}`", cleaned(option, 20)))
            .collect();
        let notifier = Notifier { name: name.clone(), from: address.to_owned(), keys };
        if let Some(why) = fit::mistake(&notifier.text()) {
            return Err(format!("a notification by discord: {}", cleaned(&why, 160)));
        }
        self.notifiers.push(notifier);
        if !unused.is_empty() {
            self.shared
                .push(format!("{name}: {} of its address, for which there is no place", unused.join(", ")));
        }
        Ok(name)
    }
}

/// `discord://NAME@ID/TOKEN/?…`, or the webhook's own address.
fn discord(address: &str) -> Option<Vec<(&'static str, Value)>> {
    let (scheme, rest) = address.split_once("://")?;
    let path = rest.split('?').next().unwrap_or_default();
    let path = match scheme.to_ascii_lowercase().as_str() {
        "discord" => path,
        "https" => {
            let (host, path) = path.split_once('/')?;
            ["discord.com", "discordapp.com"].contains(&host).then_some(())?;
            path.strip_prefix("api/webhooks/")?
        }
        _ => return None,
    };
    let (name, path) = path.rsplit_once('@').unwrap_or(("", path));
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let (id, token) = (parts.next()?, parts.next()?);
    let is_token = token.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if !id.bytes().all(|byte| byte.is_ascii_digit()) || !is_token {
        return None;
    }
    let url = format!("https://discord.com/api/webhooks/{id}/{token}");
    let mut keys: Vec<(&'static str, Value)> = vec![("kind", "discord".into()), ("url", url.into())];
    if !name.is_empty() {
        keys.push(("username", unquoted(name).into()));
    }
    let thread = options(address).find(|(option, _)| ["thread", "thread_id"].contains(option));
    keys.extend(thread.filter(|(_, id)| !id.is_empty()).map(|(_, id)| ("thread_id", id.into())));
    Some(keys)
}

/// With the signs for which `%20` and the like stand; a plus is a plus.
fn unquoted(text: &str) -> String {
    let pair = format!("={}", text.replace('+', "%2B").replace('&', "%26"));
    form_urlencoded::parse(pair.as_bytes()).map(|(_, text)| text.into_owned()).collect()
}

/// What stands behind the question mark.
fn options(address: &str) -> impl Iterator<Item = (&str, &str)> {
    let query = address.split_once('?').map_or("", |(_, query)| query);
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "yes")))
}

/// The address is a secret: only its scheme is told.
fn instead(address: &str) -> String {
    let scheme = address.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    let scheme = cleaned(&scheme.unwrap_or_else(|| "?".into()), 20);
    let instead = match scheme.as_str() {
        "mailto" | "mailtos" => "write a [notify.NAME] of kind `email`, with its server",
        "json" | "jsons" | "xml" | "xmls" | "form" | "forms" | "post" | "posts" | "put" | "puts" | "get"
        | "gets" => "write a [notify.NAME] of kind `webhook`, which sends JSON of its own shape",
        "discord" => "it is no discord://ID/TOKEN",
        _ => "there are `discord`, `email`, `webhook` and `console`; a `webhook` reaches most others",
    };
    format!("a notification by {scheme}: {instead}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_discord_address_is_a_webhook() {
        let mut haul = Haul::default();
        for (address, name) in [
            ("discord://123/T0ken-_x/", "discord-imported"),
            ("discord://123/T0ken-_x/", "discord-imported"),
            ("discord://Grey%20Owl+1@124/T0ken?thread=7&tts=yes&avatar=no", "discord-imported-2"),
            ("https://discordapp.com/api/webhooks/125/T0ken", "discord-imported-3"),
        ] {
            assert_eq!(haul.notifier(address).as_deref(), Ok(name), "{address}");
        }
        assert_eq!(haul.shared, ["discord-imported-2: `tts` of its address, for which there is no place"]);
        let urls: Vec<String> = haul.notifiers.iter().map(Notifier::text).collect();
        assert!(
            urls.concat().contains("url = \"https://discord.com/api/webhooks/123/T0ken-_x\""),
            "{urls:?}"
        );
        assert!(urls.concat().contains("username = \"Grey Owl+1\"\nthread_id = \"7\""), "{urls:?}");
    }

    #[test]
    fn other_addresses_are_told_by_their_kind_alone() {
        let mut haul = Haul::default();
        for (address, said) in [
            ("mailto://me:pa55word@example.com", "by mailto: write a [notify.NAME] of kind `email`"),
            ("tgram://bott0ken/chat", "by tgram: there are `discord`"),
            ("json://host/pa55word", "of kind `webhook`"),
            ("discord://x/pa55word/", "no discord://ID/TOKEN"),
            ("pa55word", "by ?: "),
        ] {
            let why = haul.notifier(address).expect_err(address);
            assert!(why.contains(said) && !why.contains("pa55word") && !why.contains("t0ken"), "{why}");
        }
    }
}
