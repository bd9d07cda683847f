//! The page to log in.

use maud::{Markup, html};

use super::layout::bare_page;

/// Asks for the token; `next` is where it leads, `wrong` what was wrong with the last one.
pub(in crate::web) fn login_page(next: &str, wrong: Option<&str>) -> Markup {
    bare_page(
        "Log in",
        &html! {
            h1 { "Log in" }
            form.stack method="post" action="/login" {
                input type="hidden" name="next" value=(next);
                label for="token" { "Token" }
                input #token name="token" type="password" required autofocus autocomplete="current-password"
                    aria-describedby=[wrong.map(|_| "wrong")] aria-invalid=[wrong.map(|_| "true")];
                @if let Some(wrong) = wrong { p #wrong .wrong role="alert" { (wrong) } }
                button type="submit" { "Log in" }
            }
            p.muted { "It stands under " code { "[web]" } " as " code { "token" } " in the configuration." }
        },
    )
}
