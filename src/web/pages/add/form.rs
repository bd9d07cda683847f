//! The form of one kind of source, with what is wrong beside its fields.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use super::super::super::Shared;
use super::super::layout::{Section, page};
use super::super::watch::as_toml;
use super::fields::{Field, Shape, fields};
use super::filled::{Filled, Table, Wrong};
use super::notifiers;
use crate::watchlist::{Offer, strategy_offers};

/// The longest that is typed into a field, and into the one for more keys.
const LONGEST: usize = 2_000;
const LONGEST_MORE: usize = 20_000;

/// The page, with what one run saw, where that was tried.
pub(super) fn page_of(
    shared: &Shared,
    offer: &Offer,
    filled: &Filled,
    wrong: &[Wrong],
    tried: Option<&Markup>,
) -> Response {
    let status = if wrong.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let body = html! {
        p { a href="/add" { "← Another source" } }
        header.title {
            h1 { "Add a watch: " (offer.name) }
            p.muted { (offer.about) "." }
        }
        @if !wrong.is_empty() { (above(offer, filled, wrong)) }
        @if let Some(tried) = tried { (tried) }
        (form(shared, offer, filled, wrong))
    };
    (status, page("Add a watch", Section::Add, &body)).into_response()
}

/// What is wrong and belongs to no field that is shown; and that something is wrong at all.
fn above(offer: &Offer, filled: &Filled, wrong: &[Wrong]) -> Markup {
    let shown = names(offer, filled);
    let others: Vec<&Wrong> = wrong.iter().filter(|wrong| !shown.contains(&wrong.field)).collect();
    html! {
        div.flash.flash-bad role="alert" {
            @if others.is_empty() { p { "Something is not right yet; it is said at its field." } }
            @for wrong in others {
                p {
                    @if !wrong.field.is_empty() { code { (wrong.field) } ": " }
                    (wrong.sentence)
                }
            }
        }
    }
}

/// The names of all fields that are shown.
fn names(offer: &Offer, filled: &Filled) -> Vec<String> {
    let of = |place: &str, example: &str| -> Vec<String> {
        let open = fields(example).into_iter().filter(|field| !field.is_secret);
        open.map(|field| format!("{place}.{}", field.key)).collect()
    };
    let mut names: Vec<String> =
        ["name", "every", "cron", "timezone", "notify", "more", "strategy"].map(str::to_owned).into();
    names.extend(of("source", offer.example));
    let yields = filled.outlook(offer).map(|outlook| outlook.yields);
    for strategy in yields.map(strategy_offers).unwrap_or_default() {
        names.extend(of(&format!("strategy.{}", strategy.name), strategy.example));
    }
    names
}

fn form(shared: &Shared, offer: &Offer, filled: &Filled, wrong: &[Wrong]) -> Markup {
    let source = fields(offer.example);
    let secret: Vec<&Field> = source.iter().filter(|field| field.is_secret).collect();
    let outlook = filled.outlook(offer);
    let notifiers = notifiers(shared);
    let table = filled.table(offer, &notifiers);
    html! {
        form.add method="post" action="/add" {
            input type="hidden" name="source" value=(offer.name);
            // What the enter key presses: the first button of a form.
            button.unseen type="submit" name="step" value="try" tabindex="-1" aria-hidden="true" { "Try it" }
            fieldset {
                legend { "The watch" }
                (text("name", "Name", filled, wrong, "rtx-5070", true))
            }
            fieldset {
                legend { "Where it looks" }
                @for field in source.iter().filter(|field| !field.is_secret) { (input("source", field, filled, wrong)) }
                @if !secret.is_empty() { (wants_secret(offer, &secret)) }
                p { button.quiet type="submit" name="step" value="example" formnovalidate { "Fill in the example" } }
            }
            fieldset {
                legend { "When" }
                p.muted { "Either every so often, or at the times of a crontab line." }
                (text("every", "Every", filled, wrong, "30m", false))
                (text("cron", "Crontab line", filled, wrong, "*/30 9-17 * * MON-FRI", false))
                (text("timezone", "Time zone", filled, wrong, "that of the daemon, or Europe/Warsaw", false))
            }
            fieldset {
                legend { "What is worth telling" }
                (said("strategy", wrong))
                @if let Some(outlook) = &outlook {
                    p.muted { "It gives " (outlook.yields.to_string()) ". With none ticked, the usual ones judge." }
                    @for strategy in strategy_offers(outlook.yields) { (judged_by(&strategy, filled, wrong)) }
                }
            }
            fieldset {
                legend { "Who is told" }
                (said("notify", wrong))
                @for (n, notifier) in notifiers.iter().enumerate() {
                    @let id = format!("notify-{n}");
                    p {
                        input type="checkbox" id=(id) name="notify" value=(notifier) checked[filled.has("notify", notifier)];
                        " " label for=(id) { (notifier) }
                    }
                }
            }
            details open[!filled.get("more").trim().is_empty()] {
                summary { "More keys" }
                div.field {
                    label for="more" { "More keys of the watch, as TOML: " code { "quiet_hours = \"22:00-07:00\"" } ", " code { "[source]" } }
                    textarea #more name="more" rows="6" maxlength=(LONGEST_MORE) spellcheck="false" { (filled.get("more")) }
                    (said("more", wrong))
                }
            }
            div.actions {
                button.quiet type="submit" name="step" value="try" { "Try it" }
                button type="submit" name="step" value="save" { "Save" }
            }
        }
        @if let Ok(table) = table { (to_paste(offer, filled.get("name").trim(), table, &secret)) }
    }
}

/// A strategy with its keys.
fn judged_by(strategy: &Offer, filled: &Filled, wrong: &[Wrong]) -> Markup {
    let id = format!("strategy-{}", strategy.name);
    let place = format!("strategy.{}", strategy.name);
    let keys = fields(strategy.example);
    let is_ticked = filled.has("strategy", strategy.name);
    html! {
        div.card {
            p {
                input type="checkbox" id=(id) name="strategy" value=(strategy.name) checked[is_ticked];
                " " label for=(id) { b { (strategy.name) } ": " (strategy.about) }
            }
            @if !keys.is_empty() {
                details open[is_ticked] {
                    summary { "Its keys" }
                    div.fields { @for field in &keys { (input(&place, field, filled, wrong)) } }
                }
            }
        }
    }
}

/// The field of a key.
fn input(place: &str, field: &Field, filled: &Filled, wrong: &[Wrong]) -> Markup {
    let name = format!("{place}.{}", field.key);
    let hint = match field.shape {
        Shape::List => ", separated by commas",
        Shape::Toml => ", as TOML",
        Shape::Text | Shape::Number | Shape::YesNo => "",
    };
    let label = format!("{}{hint}", field.key);
    if field.shape == Shape::YesNo {
        let now = filled.get(&name);
        return html! {
            div.field {
                label for=(name) { (label) }
                select id=(name) name=(name) {
                    option value="" selected[now.is_empty()] { "as usual" }
                    option value="true" selected[now == "true"] { "yes" }
                    option value="false" selected[now == "false"] { "no" }
                }
                (said(&name, wrong))
            }
        };
    }
    text(&name, &label, filled, wrong, &field.example, false)
}

/// A field of text, with what is wrong with it.
fn text(name: &str, label: &str, filled: &Filled, wrong: &[Wrong], example: &str, required: bool) -> Markup {
    let is_wrong = wrong.iter().any(|wrong| wrong.field == name);
    let about = is_wrong.then(|| format!("{name}-wrong"));
    html! {
        div.field {
            label for=(name) { (label) }
            input type="text" id=(name) name=(name) value=(filled.get(name)) placeholder=(example) required[required]
                maxlength=(LONGEST) autocomplete="off" spellcheck="false"
                aria-invalid=[is_wrong.then_some("true")] aria-describedby=[about];
            (said(name, wrong))
        }
    }
}

/// What is wrong with a field.
fn said(name: &str, wrong: &[Wrong]) -> Markup {
    let of_field: Vec<&Wrong> = wrong.iter().filter(|wrong| wrong.field == name).collect();
    html! {
        @if !of_field.is_empty() {
            div.wrong id={ (name) "-wrong" } { @for wrong in of_field { p { (wrong.sentence) } } }
        }
    }
}

/// That a secret is not typed in here, and where it goes.
fn wants_secret(offer: &Offer, secret: &[&Field]) -> Markup {
    let lines: Vec<String> =
        secret.iter().map(|field| format!("{} = \"{}\"", field.key, field.example)).collect();
    html! {
        p {
            "It wants a secret, and secrets stand in the configuration file alone. Where this is there already, \
             the watch can be saved here:"
        }
        pre tabindex="0" { "[source." (offer.name) "]\n" (lines.join("\n")) }
    }
}

/// The same watch for the configuration file.
fn to_paste(offer: &Offer, name: &str, mut table: Table, secret: &[&Field]) -> Markup {
    if let Some(source) = table.get_mut("source").and_then(|source| source.as_object_mut()) {
        for field in secret {
            source.insert(field.key.clone(), field.example.clone().into());
        }
    }
    let name = if name.is_empty() { offer.name } else { name };
    let written = as_toml(name, &serde_json::Value::from(table).to_string());
    html! {
        details {
            summary { "The same for the configuration file" }
            pre.scroll tabindex="0" { (written) }
        }
    }
}
