//! The page to log in.

use maud::{DOCTYPE, Markup, html};

/// Asks for the token; `next` is where it leads, `wrong` what was wrong with the last one.
pub(in crate::web) fn login_page(next: &str, wrong: Option<&str>) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; title { "Log in · Stakeout" } }
            body {
                main {
                    h1 { "Log in" }
                    form method="post" action="/login" {
                        input type="hidden" name="next" value=(next);
                        label for="token" { "Token" }
                        input #token name="token" type="password" required autocomplete="current-password";
                        @if let Some(wrong) = wrong { p role="alert" { (wrong) } }
                        button type="submit" { "Log in" }
                    }
                }
            }
        }
    }
}
